"""The export: where to, as which version, how far it is, and what was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets

from explorer.errors import printable_name
from explorer.render.html import page
from explorer.render.markup import element, join
from explorer.render.tables import printable_size
from explorer.state.telling import message_and_fix
from explorer.widgets.field import Field
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.table import Column, Row, Table

_WARMUP = [("refuse to export", "refuse"), ("leave the records out", "drop")]


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
        self.version.observe(self.heard(lambda _: self.show()), "value")
        check = {"indent": False, "layout": self._layout, "style": self._check_style}
        self.link = ipywidgets.Checkbox(description="Hardlink unchanged files instead of copying them", **check)
        self.follow = ipywidgets.Checkbox(description="Copy what links to places outside the model lead to", **check)
        self.warmup = ipywidgets.Dropdown(
            description="Where warm-up records no longer fit",
            options=_WARMUP,
            layout=self._layout,
            style=self._label_style,
        )
        self.options = self.row(self.version, self.warmup, self.link, self.follow, kind="options")
        set_hidden(self.options, True)
        self.bar = ipywidgets.FloatProgress(
            min=0, max=1, layout=self._layout, style={"bar_color": "var(--jp-brand-color1)"}
        )
        self.done = self.html()
        self.progress = self.row(self.bar, self.done, self.cancel, kind="toolbar")
        self.refusal, self.result = self.html(), self.html()
        columns = (Column("file", "name", header=True), Column("size", "number"), Column("how"), Column("why", "wrap"))
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
        number, problem = state.export_target() if state.model is not None else (None, "")
        chosen = self.version.value.strip()
        wrong_number = bool(chosen) and not chosen.isdecimal()
        assign(self.version, problem="A version is a whole number, such as 7." if wrong_number else "")
        assign(self.base, problem=problem)
        as_version = (chosen if not wrong_number else "") or ("" if number is None else str(number))
        assign(
            self.export, description=f"Export as {as_version}" if as_version else "Export", disabled=bool(state.busy)
        )
        assign(self.refusal, value=str(self._refusal()))
        set_hidden(self.refusal, not state.new_errors)
        set_hidden(self.progress, not state.busy)
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
        chosen = self.version.value.strip()
        if chosen and not chosen.isdecimal():
            return
        self.ask(
            self.state.export,
            version=int(chosen) if chosen else None,
            link=self.link.value,
            warmup=self.warmup.value,
            follow_outside_links=self.follow.value,
        )

    def _toggle_options(self) -> None:
        opening = self.more.description == "Show options"
        set_hidden(self.options, not opening)
        self.more.description = "Hide options" if opening else "Show options"

    def _show_progress(self, _change: Any) -> None:
        done, total = self.state.progress
        assign(self.bar, value=done / total if total else 0.0)
        text = f"{printable_size(done)} of {printable_size(total)}" if total else "Starting …"
        assign(self.done, value=str(element("p", text, class_="smx-note", role="status")))

    def _refusal(self) -> object:
        if not self.state.new_errors:
            return ""
        reason = message_and_fix(self.state.new_errors[0])
        text = f"An export would be refused, because the edits break the model. {reason}"
        return element("p", element("strong", "✖ "), text, class_="smx-error")

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
            Row(str(place), (file.name, (printable_size(file.size_bytes), file.size_bytes), file.how, file.reason))
            for place, file in enumerate(published.files)
        )
