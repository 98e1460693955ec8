"""Which folder this is: its path, version, kind and size, whether a server would take it, and the chosen meta graph."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from explorer.errors import printable_name
from explorer.render.html import page
from explorer.render.markup import Markup, element, name_element
from explorer.savedmodel.model import printable_tags
from explorer.state.verdict import verdict
from explorer.widgets.field import Field
from explorer.widgets.panel import Panel, assign, set_hidden, set_options

_SIGNS = {"good": "●", "warning": "▲", "bad": "✖"}


class Header(Panel):
    """The head of the Explorer."""

    place = "header"

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.path = Field(
            "SavedModel path", placeholder="Folder of a SavedModel or of its versions", on_submit=self.heard(self._open)
        )
        self.open_button = self.button("Open", self._open, tooltip="Read the SavedModel at this path")
        self.name, self.of, self.facts, self.folder, self.verdict = (self.html() for _ in range(5))
        self.version = self.dropdown("version", lambda number: self.ask(self.state.choose_version, number))
        self.tags = self.dropdown("tags", lambda index: self.ask(self.state.choose_meta_graph, index))
        self.title_row = self.row(self.name, self.version, self.of, self.facts, self.folder)
        self.verdict_row = self.row(self.verdict, self.tags)
        self.notice = self.html()
        self._shown_path: str | None = None
        return (
            self.row(self.path, self.open_button, kind="path-row"),
            self.title_row,
            self.verdict_row,
            self.notice,
        )

    def render(self) -> None:
        """Shows the state."""
        state, model = self.state, self.state.model
        if self._shown_path != state.path:
            self._shown_path = state.path
            self.path.fill(state.path)
        for part in (self.title_row, self.verdict_row):
            set_hidden(part, model is None)
        assign(self.notice, value=str(element("p", state.notice, class_="smx-notice", role="status")))
        set_hidden(self.notice, not state.notice)
        if model is None:
            return
        assign(self.name, value=str(name_element(state.overview.name, "strong", class_="smx-name")))
        assign(self.of, value=str(element("p", f"of {len(state.versions)}" if state.versions else "")))
        assign(self.facts, value=str(self._facts()))
        assign(self.folder, value=str(name_element(str(model.path or ""), "p", class_="smx-muted")))
        assign(self.verdict, value=str(self._verdict()))
        names = {version.number: version.name for version in reversed(state.versions)}
        options = [(_version_label(number, name), number) for number, name in names.items()]
        if state.version is not None and state.version not in names:
            options.insert(0, (str(state.version), state.version))
        set_options(self.version, options, state.version)
        set_hidden(self.version, state.version is None)
        tags = [
            (printable_name(printable_tags(graph.tags), 60), index) for index, graph in enumerate(model.meta_graphs)
        ]
        set_options(self.tags, tags, state.meta_graph_index)

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        if self.state.model is None:
            sentence = self.state.error or "No SavedModel is open."
            return page(element("p", sentence)), sentence
        found = verdict(self.state.model, self.state.findings)
        lines = [f"{self.state.overview.name}  {self.state.overview.facts}", f"{found.word} {found.sentence}"]
        return page([element("p", line) for line in lines]), "\n".join(lines)

    def _open(self) -> None:
        self.ask(self.state.open, self.path.value)

    def _facts(self) -> Markup:
        state = self.state
        made_by = state.meta_graph.tensorflow_version if state.meta_graph is not None else ""
        facts = [state.overview.facts, f"TensorFlow {printable_name(made_by)}" if made_by else ""]
        return element("p", " · ".join(filter(None, facts)))

    def _verdict(self) -> Markup:
        found = verdict(self.state.model, self.state.findings)
        checking = element("span", " Checking …", class_="smx-muted") if self.state.checking else None
        word = element("strong", f"{_SIGNS[found.level]} {found.word}", class_=f"smx-{found.level}")
        return element("p", word, " ", found.sentence, checking)


def _version_label(number: int, name: str) -> str:
    return str(number) if name == str(number) else f"{number} ({printable_name(name)})"
