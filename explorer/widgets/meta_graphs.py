"""The meta graphs of the model: what each holds, and the edits of a whole one."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from explorer.render.html import to_html
from explorer.render.markup import element
from explorer.render.tables import COUNT_COLUMNS, cell_text, meta_graphs_table
from explorer.render.text import to_text
from explorer.savedmodel.model import printable_tags
from explorer.widgets.panel import Panel, set_hidden
from explorer.widgets.table import Cell, Column, Row, Table
from explorer.widgets.tags_form import TagsForm

_COLUMNS = (
    Column("tags", "name", header=True),
    Column("signatures", "number"),
    *(Column({"variable_bytes": "size"}.get(name, name), "number") for name in COUNT_COLUMNS),
)

_DEVICES = "Forgets where each node was placed, so that a machine without that GPU or TPU can load the model."
_DEFAULTS = "Leaves out what an op would have anyway, so that an older TensorFlow can load the model."


class MetaGraphs(Panel):
    """A table of meta graphs; choosing a row chooses the meta graph."""

    place = "meta-graphs"
    title = "Meta graphs"
    terms = ("tag set",)

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.table = Table("Meta graphs", _COLUMNS, selectable=True, layout=self._layout)
        self.table.observe(self.heard(self._select), "selected")
        self.edit_tags = self.button("Edit tags", lambda: self._open_form(copying=False))
        self.copy = self.button("Copy meta graph", lambda: self._open_form(copying=True))
        self.remove = self.button("Remove meta graph", self._remove)
        self.more = self.button("More", self._toggle_more)
        self.forms = self.row(kind="forms")
        self.form: TagsForm | None = None
        self.rest: ipywidgets.Box | None = None
        return self.table, self.row(self.edit_tags, self.copy, self.remove, self.more, kind="toolbar"), self.forms

    def render(self) -> None:
        """Shows the state."""
        model = self.state.model
        self.table.show(self._rows(), str(self.state.meta_graph_index))
        set_hidden(self, model is None)
        if self.form is not None:
            self.form.show()

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        model = self.state.model
        if model is None:
            return "", ""
        counted = {index: counts.to_dict() for index, counts in enumerate(self.state.counts)}
        table = meta_graphs_table(model, counted or None)
        return to_html(table), to_text(table)

    def _rows(self) -> list[Row]:
        if self.state.model is None:
            return []
        rows = []
        for index, meta_graph in enumerate(self.state.model.meta_graphs):
            cells: list[Cell] = [printable_tags(meta_graph.tags), len(meta_graph.callable_signatures)]
            counts = self.state.counts[index].to_dict() if index < len(self.state.counts) else {}
            for name in COUNT_COLUMNS:
                value = counts.get(name)
                cells.append("…" if not counts else "?" if value is None else (cell_text(name, value), value))
            rows.append(Row(str(index), tuple(cells)))
        return rows

    def _select(self, change: object) -> None:
        if self.table.selected.isdecimal():
            self.ask(self.state.choose_meta_graph, int(self.table.selected))

    def _remove(self) -> None:
        self._edit("remove_meta_graph")

    def _edit(self, edit: str) -> None:
        self.ask(self.state.edit, {"edit": edit})

    def _toggle_more(self) -> None:
        opening = self.more.description == "More"
        if self.rest is None:
            self.clear_devices = self.button("Clear devices", lambda: self._edit("clear_devices"))
            self.strip = self.button("Strip default attributes", lambda: self._edit("strip_default_attrs"))
            self.rest = self.row(
                self.row(self.clear_devices, self.html(element("p", _DEVICES, class_="smx-note"))),
                self.row(self.strip, self.html(element("p", _DEFAULTS, class_="smx-note"))),
                kind="options",
            )
            self.forms.children = (self.rest, *self.forms.children)
        set_hidden(self.rest, not opening)
        self.more.description = "Less" if opening else "More"

    def _open_form(self, *, copying: bool) -> None:
        if self.form is None:
            self.form = TagsForm(self)
            self.forms.children = (*self.forms.children, self.form)
        self.form.start(copying=copying)
