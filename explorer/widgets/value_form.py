"""The values of a request as a form: a field for each input and feature, a place for files, and what fills all."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets

from explorer.errors import printable_name
from explorer.render.markup import element
from explorer.serving.example_values import KINDS
from explorer.serving.images import SCALES
from explorer.state.given import MOST_FILE_BYTES
from explorer.state.value_rows import ValueRow, left_out, value_rows
from explorer.widgets.field import Field
from explorer.widgets.file_drop import FileDrop
from explorer.widgets.panel import Panel, assign, set_hidden, set_options

_USUAL_SCALE = "usual"
_SCALES = (("as usual", _USUAL_SCALE), *((scale.replace("..", " to "), scale) for scale in SCALES))


class ValueForm:
    """The form; its widgets are those of the panel that it stands in."""

    def __init__(self, panel: Panel) -> None:
        """Makes a form without rows.

        Args:
            panel: Where it stands.
        """
        self._panel, self._state = panel, panel.state
        self._layout = panel._layout
        self._rows: list[_Row] = []
        self.kind = panel.dropdown("fill with", lambda _: self._refill())
        self.batch = Field("batch size", placeholder="1", on_submit=panel.heard(self._refill), layout=self._layout)
        self.batch.observe(panel.heard(lambda _: self._refill()), "value")
        self.refill = panel.button("Fill anew", self._again, tooltip="Forgets what was given; random values change")
        self.scale = panel.dropdown("pixels", lambda choice: self._choose_scale(choice))
        self.file = FileDrop(
            panel.heard(lambda name, data: panel.ask(self._state.take_file, None, name, data)),
            label="File with all inputs …", name="File with the values of all inputs", most_bytes=MOST_FILE_BYTES,
            layout=self._layout,
        )  # fmt: skip
        self.more = panel.html()
        self.rows = panel.row(kind="values")
        self.tools = panel.row(self.kind, self.batch, self.refill, self.scale, self.file, kind="value-tools")
        self.widgets: tuple[ipywidgets.Widget, ...] = (self.tools, self.rows, self.more)

    def show(self) -> None:
        """Shows the state."""
        state = self._state
        shown = value_rows(state)
        set_options(self.kind, [(kind, kind) for kind in KINDS], state.values_kind)
        batch = "" if state.batch is None else str(state.batch)
        if self.batch.value != batch and not self.batch.problem:
            self.batch.fill(batch)
        while len(self._rows) < len(shown):
            self._rows.append(_Row(self._panel, self._give, self._take_file, self._take_back))
        for row, one in zip(self._rows, shown, strict=False):
            row.show(one)
        wanted = tuple(row.box for row in self._rows[: len(shown)])
        if self.rows.children != wanted:
            self.rows.children = wanted
        set_hidden(self.tools, not shown)
        set_hidden(self.file, sum(not one.feature for one in shown) < 2)
        set_options(self.scale, _SCALES, state.scale or _USUAL_SCALE)
        set_hidden(self.scale, not any(one.has_pixels for one in shown))
        hidden = left_out(state, shown)
        more = f"And {hidden} more inputs, which can be given with state.set_value(key, text)." if hidden else ""
        assign(self.more, value=str(element("p", more, class_="smx-note")))
        set_hidden(self.more, not more)

    def close(self) -> None:
        """Brings back what isn't in sight now, so that the panel closes that as well."""
        for row in self._rows:
            row.gather()
        self.rows.children = tuple(row.box for row in self._rows)

    def _refill(self) -> None:
        text = self.batch.value.strip()
        if text and not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
            assign(self.batch, problem="Give a whole number from 1 on.")
            return
        assign(self.batch, problem="")
        batch = int(text) if text else None
        if (self.kind.value, batch) != (self._state.values_kind, self._state.batch):
            self._panel.ask(self._state.choose_values, self.kind.value, batch, self._state.seed)

    def _again(self) -> None:
        state = self._state
        self._panel.ask(state.choose_values, state.values_kind, state.batch, state.seed + 1)

    def _give(self, row: ValueRow, text: str) -> None:
        self._panel.ask(self._state.set_value, row.key, text, row.feature)

    def _take_file(self, row: ValueRow, name: str, data: bytes) -> None:
        self._panel.ask(self._state.take_file, row.key, name, data)

    def _take_back(self, row: ValueRow) -> None:
        self._panel.ask(self._state.set_value, row.key, "", row.feature)

    def _choose_scale(self, choice: str | None) -> None:
        self._panel.ask(self._state.choose_scale, None if choice == _USUAL_SCALE else choice)


class _Row:
    """The widgets of a row, used again for another signature."""

    def __init__(
        self,
        panel: Panel,
        on_text: Callable[[ValueRow, str], object],
        on_file: Callable[[ValueRow, str, bytes], object],
        on_back: Callable[[ValueRow], object],
    ) -> None:
        self._one: ValueRow | None = None
        self._panel = panel
        self._on_file, self._on_back = on_file, on_back
        self.field = Field("", layout=panel._layout)
        self.field.observe(panel.heard(lambda change: self._one and on_text(self._one, change.new)), "value")
        self.note: ipywidgets.HTML | None = None
        self.drop: FileDrop | None = None
        self.back: ipywidgets.Widget | None = None
        self.box = panel.row(self.field, kind="value-row")

    def show(self, one: ValueRow) -> None:
        """Shows a row."""
        is_other = self._one is None or (self._one.key, self._one.feature) != (one.key, one.feature)
        self._one = one
        parts = [
            self._shown_field(one, is_other) if one.is_typed else self._shown_note(one),
            *([self._shown_drop(one)] if one.takes_file else []),
            *([self._shown_back(one)] if one.file_name else []),
        ]
        if self.box.children != tuple(parts):
            self.box.children = tuple(parts)
        for name, wanted in (("smx-feature", bool(one.feature)), ("smx-has-file", bool(one.file_name))):
            (self.box.add_class if wanted else self.box.remove_class)(name)

    def gather(self) -> None:
        """Puts all that was ever made into the row."""
        made = (self.field, self.note, self.drop, self.back)
        self.box.children = tuple(widget for widget in made if widget is not None)

    def _shown_field(self, one: ValueRow, is_other: bool) -> Field:
        assign(self.field, label=one.label, placeholder=one.placeholder, hint=one.hint, problem=one.problem)
        if is_other or self.field.value != one.text:
            self.field.fill(one.text)
        return self.field

    def _shown_note(self, one: ValueRow) -> ipywidgets.HTML:
        """What stands in the field's place for records, whose features are typed below."""
        if self.note is None:
            self.note = self._panel.html()
        lines = (element("span", one.label, class_="smx-label"), element("br"), one.placeholder, " ", one.hint)
        assign(self.note, value=str(element("p", lines)))
        return self.note

    def _shown_drop(self, one: ValueRow) -> FileDrop:
        if self.drop is None:
            self.drop = FileDrop(
                self._panel.heard(lambda name, data: self._one and self._on_file(self._one, name, data)),
                most_bytes=MOST_FILE_BYTES, layout=self._panel._layout,
            )  # fmt: skip
        what = printable_name(f"{one.file_name}, the image for input {one.key}") if one.picture else ""
        assign(self.drop, name=f"File for input {printable_name(one.key)}", picture=one.picture, alt=what)
        return self.drop

    def _shown_back(self, one: ValueRow) -> ipywidgets.Widget:
        if self.back is None:
            self.back = self._panel.button("Remove", lambda: self._one and self._on_back(self._one))
        assign(self.back, tooltip=f"Forget the file for input {printable_name(one.key)}")
        return self.back
