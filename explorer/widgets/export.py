"""The export: where to, as which version, how far it is, and what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import ipywidgets

from explorer.errors import printable_name
from explorer.exporting.export import STALE_WARMUP
from explorer.exporting.publish import WrittenFile
from explorer.render.html import page
from explorer.render.markup import element, join
from explorer.render.tables import printable_size
from explorer.state.telling import message_and_fix, sentence
from explorer.widgets.field import Field
from explorer.widgets.panel import Panel, assign, set_hidden, set_options
from explorer.widgets.table import Column, Row, Table

_WARMUP = (
    ("refuse to export", "refuse"),
    ("rewrite the records", "rewrite"),
    ("leave the records out", "drop"),
)
_MOST_NOTES = 150  # rows; a table that is much longer shows no notes
_MOST_DIGITS = 19  # of a version's number: it has 63 bits
_ONCE = "Write variables that stand twice only once"


class ExportPanel(Panel):
    """Writes the draft as a new version, beside the others and never over one."""

    place = "export"
    title = "Export"
    terms = ("version",)

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.base = Field(
            "Base path",
            placeholder="Folder that holds the numbered versions",
            on_submit=self.heard(self._export),
            layout=self._layout,
        )
        self.base.observe(self.heard(lambda change: self.ask(self.state.choose_export_base, change.new)), "value")
        self.export = self.button("Export", self._export, kind="primary", tooltip="Write the draft as a new version")
        self.cancel = self.button("Cancel export", lambda: self.ask(self.state.cancel))
        self.more = self.button("Show options", self._toggle_options)
        self.version = Field("Version number", placeholder="the next one", layout=self._layout)
        self.version.observe(self.heard(lambda _: self._choose_version()), "value")
        self.link = self._checkbox("link", "Hardlink unchanged files instead of copying them")
        self.follow = self._checkbox("follow_outside_links", "Copy what links to places outside the model lead to")
        self.once = self._checkbox("remove_duplicates", _ONCE)
        self.warmup = self.dropdown(
            "Where warm-up records no longer fit", lambda choice: self.ask(self.state.choose_options, warmup=choice)
        )
        record_columns = (
            Column("record", "number"),
            Column("kind"),
            Column("signature", "name", header=True),
            Column("inputs", "name"),
            Column("draft"),
        )
        self.records = Table("Warm-up records", record_columns, layout=self._layout)
        self.records_note = self.html()
        self.options = self.row(
            self.version, self.link, self.follow, self.once, self.warmup, self.records_note, self.records,
            kind="options",
        )  # fmt: skip
        set_hidden(self.options, True)
        self.bar = ipywidgets.FloatProgress(
            min=0, max=1, layout=self._layout, style={"bar_color": "var(--jp-brand-color1)"}
        )
        self.done = self.html()
        self.progress = self.row(self.bar, self.done, self.cancel, kind="toolbar")
        self.refusal, self.result = self.html(), self.html()
        columns = (Column("file", "name", header=True), Column("size", "number"), Column("how"))
        self.files = Table("Files of the new version", columns, layout=self._layout)
        self.state.observe(self._show_progress, "progress")
        return (
            self.base, self.row(self.export, self.more, kind="toolbar"), self.options, self.refusal, self.progress,
            self.result, self.files,
        )  # fmt: skip

    def render(self) -> None:
        """Shows the state."""
        state = self.state
        set_hidden(self, state.model is None)
        if self.base.value != state.export_base:
            self.base.fill(state.export_base)
        next_number, problem = state.export_target() if state.model is not None else (None, "")
        self._show_options()
        assign(self.base, problem=problem)
        number = next_number if state.options.version is None else state.options.version
        assign(
            self.export,
            description="Export" if number is None else f"Export as {number}",
            disabled=bool(state.busy),
        )
        refusal = self._refusal()
        assign(self.refusal, value=refusal)
        set_hidden(self.refusal, not refusal)
        set_hidden(self.progress, state.busy != "exporting")
        self._show_result()

    def fallback(self) -> tuple[str, str]:
        """The last export as HTML and text."""
        published = self.state.published
        if published is None:
            return page(element("p", "Nothing has been exported yet.")), "Nothing has been exported yet."
        lines = [f"Version {published.version}: {published.path}", self.state.proof, *published.notes]
        return page([element("p", line) for line in lines]), "\n".join(map(printable_name, lines))

    def close(self) -> None:
        """Lets go of the state, as every panel does, and of its progress."""
        if not self._closed:
            self.state.unobserve(self._show_progress, "progress")
        super().close()

    def _export(self) -> None:
        if not self._is_wrong_number():
            self.ask(self.state.export, **asdict(self.state.options))

    def _checkbox(self, option: str, label: str) -> ipywidgets.Checkbox:
        box = ipywidgets.Checkbox(description=label, indent=False, layout=self._layout, style=self._check_style)
        box.observe(self.heard(lambda change: self.ask(self.state.choose_options, **{option: change.new})), "value")
        return box

    def _choose_version(self) -> None:
        self.ask(self.state.choose_options, version=self._typed_number())

    def _typed_number(self) -> int | None:
        text = self.version.value.strip()
        return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None

    def _is_wrong_number(self) -> bool:
        return bool(self.version.value.strip()) and self._typed_number() is None

    def _toggle_options(self) -> None:
        opening = self.more.description == "Show options"
        set_hidden(self.options, not opening)
        self.more.description = "Hide options" if opening else "Show options"
        if opening:
            self.ask(self.state.look_into_options)

    def _show_options(self) -> None:
        options, savings, warmup = self.state.options, self.state.savings, self.state.warmup
        if self._typed_number() != options.version:
            self.version.fill("" if options.version is None else str(options.version))
        problem = "A version is a whole number, such as 7." if self._is_wrong_number() else ""
        assign(self.version, problem=problem)
        assign(self.link, value=options.link)
        assign(self.follow, value=options.follow_outside_links)
        reason = "looking for them …" if savings is None else savings.reason
        assign(
            self.once,
            value=options.remove_duplicates,
            description=f"{_ONCE}: {reason}",
            disabled=savings is None or not (savings.possible or options.remove_duplicates),
        )
        set_options(self.warmup, _WARMUP, options.warmup)
        fits = () if warmup is None else warmup.fits
        note = "" if warmup is None else warmup.problem
        # Shown while nobody knows whether there are records, so that the choice is there from the first moment.
        set_hidden(self.warmup, warmup is not None and not fits and not note and options.warmup == "refuse")
        assign(self.records_note, value=str(element("p", element("strong", "▲ "), note, class_="smx-error")))
        set_hidden(self.records_note, not note)
        self.records.show(
            Row(
                str(place),
                (
                    one.record.index,
                    one.record.kind.replace("_", " "),
                    one.record.signature_key,
                    ", ".join(one.record.input_keys or ()),
                    "● fits" if one.fits else "✖ doesn't fit",
                ),
                note=("warning", one.remark) if one.remark else None,
            )
            for place, one in enumerate(fits)
        )
        set_hidden(self.records, not fits)

    def _show_progress(self, _change: Any) -> None:
        if self.state.busy != "exporting":
            return
        done, total = self.state.progress
        assign(self.bar, value=done / total if total else 0.0)
        text = f"{printable_size(done)} of {printable_size(total)}" if total else "Starting …"
        assign(self.done, value=str(element("p", text, class_="smx-note", role="status")))

    def _refusal(self) -> str:
        """Why an export would be refused, as markup; empty where it wouldn't."""
        errors = self.state.refusals
        broken = [found for found in errors if found.code != STALE_WARMUP]
        if broken:
            text = f"An export would be refused, because the edits break the model. {message_and_fix(broken[0])}"
        elif errors:
            text = (
                "An export would be refused, because warm-up records name what the edits changed. "
                "Choose under the options to rewrite the records or to leave them out."
            )
        else:
            return ""
        return str(element("p", element("strong", "✖ "), text, class_="smx-error"))

    def _show_result(self) -> None:
        published = self.state.published
        for part in (self.result, self.files):
            set_hidden(part, published is None)
        if published is None:
            return
        lines = [
            element(
                "p",
                element("strong", f"● Version {published.version} is written: "),
                element("code", str(published.path)),
            ),
            element("p", self.state.proof),
            *(element("p", note, class_="smx-note") for note in published.notes),
        ]
        assign(self.result, value=str(element("div", join(lines), class_="smx-good-box", role="status")))
        self.files.show(
            _file_row(str(place), file, has_note=len(published.files) <= _MOST_NOTES)
            for place, file in enumerate(published.files)
        )


def _file_row(row_id: str, file: WrittenFile, has_note: bool) -> Row:
    """A file of the new version with what became of it, and why: below it, or in a long table beside it."""
    size = (printable_size(file.size_bytes), file.size_bytes)
    how = f"{file.how}: {file.reason}" if file.reason and not has_note else file.how
    note = ("note", f"{sentence(file.reason)}.") if file.reason and has_note else None
    return Row(row_id, (file.name, size, how), note=note)
