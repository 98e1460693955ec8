"""The pending edits: each listed, undone and redone, and what they change in sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets

from explorer.errors import printable_name
from explorer.render.html import diff_html
from explorer.render.markup import element
from explorer.render.tables import changes_table
from explorer.render.text import changes_text
from explorer.savedmodel.model import printable_tags
from explorer.state.choices import edits_in_words
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.table import Column, Row, Table

_SIGNS = {"added": "+ added", "removed": "− removed", "changed": "~ changed"}


class Edits(Panel):
    """Edits since the model was opened, with undo, redo and reset, and the difference that they make."""

    place = "edits"
    title = "Edits"

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.undo = self.button("Undo", lambda: self.ask(self.state.undo), tooltip="Take the last edit back")
        self.redo = self.button("Redo", lambda: self.ask(self.state.redo), tooltip="Make the undone edit again")
        self.reset = self.button("Reset", lambda: self.ask(self.state.reset), tooltip="Back to the file as it is")
        self.count = self.html()
        self.list = Table(
            "Pending edits", (Column("#", "number"), Column("edit", "wrap", header=True)), layout=self._layout
        )
        columns = (
            Column("change"),
            Column("where", "name"),
            Column("field"),
            Column("before", "code"),
            Column("after", "code"),
        )
        self.diff = Table("Changes against the original", columns, layout=self._layout)
        self.diff_heading = self.html(element("h4", "Changes against the original"))
        buttons = self.row(self.undo, self.redo, self.reset, self.count, kind="toolbar")
        return buttons, self.list, self.diff_heading, self.diff

    def render(self) -> None:
        """Shows the state."""
        state = self.state
        set_hidden(self, state.model is None)
        assign(self.undo, disabled=not state.can_undo)
        assign(self.redo, disabled=not state.can_redo)
        assign(self.reset, disabled=not state.edits)
        assign(self.count, value=str(element("p", edits_in_words(len(state.edits)), class_="smx-note")))
        self.list.show(Row(str(number), (number, edit_in_words(entry))) for number, entry in enumerate(state.edits, 1))
        rows = changes_table(state.changes()).rows
        self.diff.show(Row(str(place), (_SIGNS[str(kind)], *rest)) for place, (kind, *rest) in enumerate(rows))
        for part in (self.list, self.diff_heading, self.diff):
            set_hidden(part, not state.edits)

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        changes = self.state.changes()
        return diff_html(changes), changes_text(changes)


def edit_in_words(entry: Mapping[str, Any]) -> str:
    """A recipe entry as people say it: ``rename input x of serving_default to features``."""
    edit = str(entry["edit"])
    said = {key: printable_name(str(value)) for key, value in entry.items()}
    signature, new = said.get("signature_key", ""), said.get("new_key", "")
    key = said.get("input_key", said.get("output_key", ""))
    side = "input" if "input" in edit else "output"
    if "new_tags" in entry:
        new = printable_tags(entry["new_tags"])
    words = {
        "rename_signature": f"rename signature {signature} to {new}",
        "copy_signature": f"copy signature {signature} as {new}",
        "remove_signature": f"remove signature {signature}",
        "set_method_name": f"set the method name of {signature} to {said.get('method_name', '')}",
        "add_signature": f"add signature {signature}",
        f"rename_{side}": f"rename {side} {key} of {signature} to {new}",
        "remove_output": f"remove output {key} of {signature}",
        f"set_{side}_tensor": f"point {side} {key} of {signature} at {said.get('tensor_name', '')}",
        "add_output": f"add output {key} to {signature}: {said.get('tensor_name', '')}",
        "set_tags": f"set the tags to {new}",
        "remove_meta_graph": "remove the meta graph",
        "copy_meta_graph": f"copy the meta graph as {new}",
    }
    where = f" (in {printable_tags(entry['tags'])})" if entry.get("tags") is not None else ""
    return words.get(edit, edit) + where
