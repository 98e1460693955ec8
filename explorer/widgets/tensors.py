"""The inputs and outputs of the chosen signature, and the edits of one of them."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from explorer.errors import printable_name
from explorer.render.html import to_html
from explorer.render.markup import element, name_element
from explorer.render.tables import tensors_table
from explorer.render.text import to_text
from explorer.savedmodel.model import Signature, TensorInfo
from explorer.widgets.form import Form, KeyForm, TensorForm
from explorer.widgets.input_form import InputForm
from explorer.widgets.notes import note_for
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.table import Column, Row, Table

_COLUMNS = (
    Column("", "text"),
    Column("key", "name", header=True),
    Column("dtype", "code"),
    Column("shape", "code"),
    Column("tensor", "path"),
    Column("encoding", usual="name"),
    Column("default", "path", usual=""),
)
_WORDS = {"in": "input", "out": "output"}


class Tensors(Panel):
    """A table of inputs and outputs, each with what can be done to it."""

    place = "tensors"
    title = "Inputs and outputs"
    terms = ("key", "dtype", "shape", "tensor")
    has_subject = True

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.table = Table(
            "Inputs and outputs", _COLUMNS, on_action=self.heard(self._act), layout=self._layout,
            empty="This signature has neither inputs nor outputs.",
        )  # fmt: skip
        self.add = self.button("Add output", self._open_add)
        self.forms = self.row(kind="forms")
        self.key_form: KeyForm | None = None
        self.tensor_form: TensorForm | None = None
        self.input_form: InputForm | None = None
        return self.table, self.row(self.add, kind="toolbar"), self.forms

    def render(self) -> None:
        """Shows the state."""
        signature = self.state.signature
        set_hidden(self, signature is None)
        if signature is None:
            return
        assign(self.subject, value=str(element("p", "of ", name_element(signature.key, "strong", class_="smx-name"))))
        self.table.show(self._rows(signature))
        assign(self.add, disabled=signature.is_reserved)
        for form in self._all_forms():
            form.show()

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        if self.state.signature is None:
            return "", ""
        table = tensors_table(self.state.signature)
        return to_html(table), to_text(table)

    def _rows(self, signature: Signature) -> list[Row]:
        rows = []
        places = {"in": 0, "out": 0}
        for direction, key, *cells in tensors_table(signature).rows:
            word = _WORDS[str(direction)]
            actions = [("rename", "Rename", f"Rename {word} {key}"), ("repoint", "Repoint", f"Repoint {word} {key}")]
            if direction == "out":
                actions.append(("remove", "Remove", f"Remove output {key}"))
            else:
                actions.append(("more", "More…", f"More for input {key}"))
            note = note_for(self.state, signature.key, (word,), str(key))
            row_id = f"{word}/{places[str(direction)]}"
            places[str(direction)] += 1
            rows.append(Row(row_id, (word, key, *cells), () if signature.is_reserved else tuple(actions), note))
        return rows

    def _act(self, action: str, row: str) -> None:
        """Does what the button of a row is for."""
        signature = self.state.signature
        side, _, place = row.partition("/")
        if signature is None or side not in ("input", "output") or not place.isdecimal():
            return
        tensors = list((signature.inputs if side == "input" else signature.outputs).items())
        if int(place) >= len(tensors):
            return
        key, info = tensors[int(place)]
        if action == "rename":
            self._open_rename(signature.key, side, key)
        elif action == "repoint":
            self._open_repoint(signature.key, side, key, info)
        elif action == "more" and side == "input":
            self._open_more(signature, key, info)
        elif action == "remove" and side == "output":
            entry = {"edit": "remove_output", "signature_key": signature.key, "output_key": key}
            self.ask(self.state.edit, entry)

    def _open_rename(self, signature_key: str, side: str, key: str) -> None:
        if self.key_form is None:
            self.key_form = KeyForm(self)
        self._only(self.key_form)
        self.key_form.start(
            "Rename",
            f"Another key for {side} {printable_name(key)}; clients then write it in their requests"
            if side == "input"
            else f"Another key for {side} {printable_name(key)}; clients then find it in the answers",
            f"New key for {side} {printable_name(key)}",
            key,
            lambda new_key: {
                "edit": f"rename_{side}",
                "signature_key": signature_key,
                f"{side}_key": key,
                "new_key": new_key,
            },
        )

    def _open_repoint(self, signature_key: str, side: str, key: str, info: TensorInfo) -> None:
        form = self._tensor_form()
        form.start(
            "Repoint",
            f"Another tensor for {side} {printable_name(key)}; dtype and shape become its own",
            f"Tensor for {side} {printable_name(key)}",
            info.tensor_name or "",
            lambda _key, tensor_name: {
                "edit": f"set_{side}_tensor",
                "signature_key": signature_key,
                f"{side}_key": key,
                "tensor_name": tensor_name,
            },
            fed=side == "input",
        )

    def _open_more(self, signature: Signature, key: str, info: TensorInfo) -> None:
        if self.input_form is None:
            self.input_form = InputForm(self)
        self._only(self.input_form)
        self.input_form.start(signature.key, key, info, signature.defaults.get(key))

    def _open_add(self) -> None:
        signature_key = self.state.signature_key
        self._tensor_form().start(
            "Add this output",
            f"One more tensor in the answer of signature {printable_name(signature_key or '')}",
            "Tensor of the new output",
            "",
            lambda key, tensor_name: {
                "edit": "add_output",
                "signature_key": signature_key,
                "output_key": key,
                "tensor_name": tensor_name,
            },
            with_key=True,
        )

    def _tensor_form(self) -> TensorForm:
        if self.tensor_form is None:
            self.tensor_form = TensorForm(self)
        self._only(self.tensor_form)
        return self.tensor_form

    def _all_forms(self) -> list[Form]:
        return [form for form in (self.key_form, self.tensor_form, self.input_form) if form is not None]

    def _only(self, form: Form) -> None:
        """Makes room for one form: the others close."""
        for other in self._all_forms():
            if other is not form:
                other.dismiss()
        if form not in self.forms.children:
            self.forms.children = (*self.forms.children, form)
