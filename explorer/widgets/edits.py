"""The pending edits: each listed, undone and redone, and what they change in sum."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets

from explorer.editing.diff import Change
from explorer.errors import printable_name
from explorer.render.html import diff_html
from explorer.render.markup import element
from explorer.render.text import changes_text
from explorer.savedmodel.model import Shape, printable_tags
from explorer.state.choices import edits_in_words
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.recipe_form import RecipeForm
from explorer.widgets.table import Column, Row, Table

_SIGNS = {"added": "+ added", "removed": "− removed", "changed": "~ changed"}
_LONGEST_VALUE = 60  # characters


class Edits(Panel):
    """Edits since the model was opened, with undo, redo and reset, and the difference that they make."""

    place = "edits"
    title = "Edits"

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.undo = self.button("Undo", lambda: self.ask(self.state.undo), tooltip="Take the last edit back")
        self.redo = self.button("Redo", lambda: self.ask(self.state.redo), tooltip="Make the undone edit again")
        self.reset = self.button("Reset", lambda: self.ask(self.state.reset), tooltip="Back to the file as it is")
        self.recipe = self.button("Apply a recipe…", self._open_recipe, tooltip="Make the edits of a recipe")
        self.count = self.html()
        self.list = Table(
            "Pending edits", (Column("#", "number"), Column("edit", "wrap", header=True)), layout=self._layout
        )
        columns = (Column("change"), Column("where", "name"), Column("what", "wrap"))
        self.diff = Table("Changes against the original", columns, layout=self._layout)
        self.diff_heading = self.html(element("h4", "Changes against the original"))
        self.forms = self.row(kind="forms")
        self.recipe_form: RecipeForm | None = None
        buttons = self.row(self.undo, self.redo, self.reset, self.recipe, self.count, kind="toolbar")
        return buttons, self.forms, self.list, self.diff_heading, self.diff

    def render(self) -> None:
        """Shows the state."""
        state = self.state
        set_hidden(self, state.model is None)
        assign(self.undo, disabled=not state.can_undo)
        assign(self.redo, disabled=not state.can_redo)
        assign(self.reset, disabled=not state.edits)
        assign(self.count, value=str(element("p", edits_in_words(len(state.edits)), class_="smx-note")))
        self.list.show(Row(str(number), (number, edit_in_words(entry))) for number, entry in enumerate(state.edits, 1))
        # Where there is one meta graph, its tags before each place would say nothing.
        tags = [] if state.model is None else [graph.tags for graph in state.model.meta_graphs]
        alone = f"{printable_tags(tags[0])} / " if len(tags) == 1 else ""
        self.diff.show(
            Row(str(place), (_SIGNS[change.kind], change.where.removeprefix(alone), _change_in_words(change)))
            for place, change in enumerate(state.changes())
        )
        for part in (self.list, self.diff_heading, self.diff):
            set_hidden(part, not state.edits)
        if self.recipe_form is not None:
            self.recipe_form.show()

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        changes = self.state.changes()
        return diff_html(changes), changes_text(changes)

    def _open_recipe(self) -> None:
        if self.recipe_form is None:
            self.recipe_form = RecipeForm(self)
            self.forms.children = (self.recipe_form,)
        self.recipe_form.start()


def edit_in_words(entry: Mapping[str, Any]) -> str:
    """A recipe entry as people say it: ``rename input x of serving_default to features``."""
    edit = str(entry["edit"])
    said = {key: printable_name(str(value)) for key, value in entry.items()}
    signature, new = said.get("signature_key", ""), said.get("new_key", "")
    key = said.get("input_key", said.get("output_key", ""))
    side = "input" if "input_key" in entry else "output"
    which = f"{side} {key} of {signature}"
    if "new_tags" in entry:
        new = printable_tags(entry["new_tags"])
    value = _value_in_words(entry.get("value"))
    words = {
        "rename_signature": f"rename signature {signature} to {new}",
        "copy_signature": f"copy signature {signature} as {new}",
        "remove_signature": f"remove signature {signature}",
        "set_method_name": f"set the method name of {signature} to {said.get('method_name', '')}",
        "add_signature": f"add signature {signature}",
        "add_signature_from_function": f"add signature {signature} from function {said.get('function_name', '')}",
        f"rename_{side}": f"rename {which} to {new}",
        f"remove_{side}": f"remove {which}",
        f"set_{side}_tensor": f"point {which} at {said.get('tensor_name', '')}",
        "add_output": f"add output {key} to {signature}: {said.get('tensor_name', '')}",
        "bind_input": f"fix {which} to {value}",
        "set_input_shape": f"restrict {which} to the shape {_shape_in_words(entry.get('shape'))}",
        "set_default": f"let {which} be {value} by default",
        "remove_default": f"remove the default of {which}",
        "add_wrapped_signature": f"add signature {said.get('new_signature_key', '')}, with a step around {signature}",
        "set_tags": f"set the tags to {new}",
        "remove_meta_graph": "remove the meta graph",
        "copy_meta_graph": f"copy the meta graph as {new}",
        "clear_devices": "clear the devices",
        "strip_default_attrs": "strip the default attributes",
        "repair_two_truths": "let the object graph say what a server sees",
        "repair_captures": "let the functions take the variables that are restored",
    }
    where = f" (in {printable_tags(entry['tags'])})" if entry.get("tags") is not None else ""
    return words.get(edit, edit) + where


def _change_in_words(change: Change) -> str:
    field = change.field.replace("_", " ")
    return f"{field} {' → '.join(value for value in (change.before, change.after) if value is not None)}"


def _value_in_words(value: object) -> str:
    return printable_name(json.dumps(value, ensure_ascii=False, default=str), _LONGEST_VALUE)


def _shape_in_words(shape: object) -> str:
    return str(Shape(tuple(shape) if isinstance(shape, list | tuple) else None))
