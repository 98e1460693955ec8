"""The signatures of the chosen meta graph, and the edits of a whole one."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from explorer.errors import printable_name
from explorer.render.html import to_html
from explorer.render.tables import signatures_table
from explorer.render.text import to_text
from explorer.widgets.form import Form, KeyForm
from explorer.widgets.function_form import FunctionForm
from explorer.widgets.notes import note_for
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.signature_forms import MethodForm, SignatureForm
from explorer.widgets.table import Column, Row, Table


class Signatures(Panel):
    """A table of signatures; choosing a row chooses the signature."""

    place = "signatures"
    title = "Signatures"
    terms = ("signature", "method name")

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        columns = (Column("signature", "name", header=True), Column("method"), Column("in → out", "code"))
        empty = "This meta graph has no signature, so nobody can call it; add one."
        self.table = Table("Signatures", columns, selectable=True, empty=empty, layout=self._layout)
        self.table.observe(self.heard(self._select), "selected")
        self.rename = self.button("Rename signature", self._open_rename)
        self.copy = self.button("Copy signature", self._open_copy)
        self.method = self.button("Change method", self._open_method)
        self.remove = self.button("Remove signature", self._remove)
        self.add = self.button("Add signature", self._open_add)
        self.add_function = self.button("Add signature from a function", self._open_add_function)
        self.forms = self.row(kind="forms")
        self.key_form: KeyForm | None = None
        self.method_form: MethodForm | None = None
        self.signature_form: SignatureForm | None = None
        self.function_form: FunctionForm | None = None
        buttons = (self.rename, self.copy, self.method, self.remove, self.add, self.add_function)
        return self.table, self.row(*buttons, kind="toolbar"), self.forms

    def render(self) -> None:
        """Shows the state."""
        meta_graph, signature = self.state.meta_graph, self.state.signature
        set_hidden(self, meta_graph is None)
        keys = list(meta_graph.signatures) if meta_graph is not None else []
        selected = str(keys.index(self.state.signature_key)) if self.state.signature_key in keys else ""
        self.table.show(self._rows(), selected)
        for button in (self.rename, self.copy, self.method, self.remove):
            assign(button, disabled=signature is None or signature.is_reserved)
        set_hidden(self.add_function, meta_graph is None or not meta_graph.has_object_graph)
        for form in self._all_forms():
            form.show()

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        if self.state.meta_graph is None:
            return "", ""
        table = signatures_table(self.state.meta_graph)
        return to_html(table), to_text(table)

    def _all_forms(self) -> list[Form]:
        forms = (self.key_form, self.method_form, self.signature_form, self.function_form)
        return [form for form in forms if form is not None]

    def _rows(self) -> list[Row]:
        meta_graph = self.state.meta_graph
        if meta_graph is None:
            return []
        return [
            Row(str(place), row, note=note_for(self.state, row[0], ("key", "method_name", None)))
            for place, row in enumerate(signatures_table(meta_graph).rows)
        ]

    def _select(self, _change: object) -> None:
        keys = list(self.state.meta_graph.signatures) if self.state.meta_graph is not None else []
        if self.table.selected.isdecimal() and int(self.table.selected) < len(keys):
            self.ask(self.state.choose_signature, keys[int(self.table.selected)])

    def _remove(self) -> None:
        self.ask(self.state.edit, {"edit": "remove_signature", "signature_key": self.state.signature_key})

    def _open_rename(self) -> None:
        self._open_key_form("rename_signature", "Rename", "Another key for signature {}", "New key for signature {}")

    def _open_copy(self) -> None:
        heading = "A second key for the tensors of signature {}"
        self._open_key_form("copy_signature", "Add the copy", heading, "Key of the copy of signature {}")

    def _open_key_form(self, edit: str, apply_text: str, heading: str, label: str) -> None:
        key = self.state.signature_key
        if key is None:
            return
        if self.key_form is None:
            self.key_form = KeyForm(self)
        self._only(self.key_form)
        self.key_form.start(
            apply_text,
            heading.format(printable_name(key)),
            label.format(printable_name(key)),
            key,
            lambda new_key: {"edit": edit, "signature_key": key, "new_key": new_key},
        )

    def _open_method(self) -> None:
        signature = self.state.signature
        if signature is None:
            return
        if self.method_form is None:
            self.method_form = MethodForm(self)
        self._only(self.method_form)
        self.method_form.start(signature.key, signature.method_name)

    def _open_add(self) -> None:
        if self.signature_form is None:
            self.signature_form = SignatureForm(self)
        self._only(self.signature_form)
        self.signature_form.start()

    def _open_add_function(self) -> None:
        if self.function_form is None:
            self.function_form = FunctionForm(self)
        self._only(self.function_form)
        self.function_form.start()

    def _only(self, form: Form) -> None:
        """Makes room for one form: the others close."""
        for other in self._all_forms():
            other.dismiss()
        if form not in self.forms.children:
            self.forms.children = (*self.forms.children, form)
