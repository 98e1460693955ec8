"""The Explorer: all panels over one state, laid out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor

import ipywidgets

from explorer.render.html import to_html
from explorer.render.text import to_text
from explorer.savedmodel.model import SavedModel
from explorer.state import ExplorerState
from explorer.widgets.answer import AnswerPanel
from explorer.widgets.background import background_executor
from explorer.widgets.client_code import ClientPanel
from explorer.widgets.code import CodePanel
from explorer.widgets.drawing import DrawingPanel
from explorer.widgets.edits import Edits
from explorer.widgets.export import ExportPanel
from explorer.widgets.header import Header
from explorer.widgets.meta_graphs import MetaGraphs
from explorer.widgets.panel import Panel
from explorer.widgets.problems import Problems
from explorer.widgets.proof import ProofPanel
from explorer.widgets.request import RequestPanel
from explorer.widgets.signatures import Signatures
from explorer.widgets.tensors import Tensors
from explorer.widgets.verdict import ClientsPanel
from explorer.widgets.wrap import WrapPanel


class Explorer(Panel):
    """A SavedModel to look at, edit and export, in a notebook.

    The last line of a cell shows it: ``Explorer("sample_models/half_plus_two")``. What is shown can be asked and
    changed from Python too: ``x.state.model`` is the draft, ``x.state.edit({...})`` edits it.
    """

    place = "explorer"
    shows_errors = False  # the header does

    def __init__(
        self,
        path: str | os.PathLike[str] | SavedModel | None = None,
        *,
        version: int | None = None,
        state: ExplorerState | None = None,
        executor: Executor | None = None,
    ) -> None:
        """Makes the widget; what can't be opened is said in it, not raised.

        Args:
            path: A base path, a version folder, a SavedModel's folder, or a model that was made in Python; None lets
                a person type one.
            version: Which version of a base path; None takes the largest, as a server does.
            state: A state to show instead of a new one.
            executor: Does slow work; None takes threads where an event loop runs, as in a notebook.
        """
        if state is None:
            state = ExplorerState(executor=executor or background_executor())
        if path is not None:
            state.open(path, version)
        super().__init__(state)

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes the panels."""
        state = self.state
        self.header = Header(state, embedded=self)
        self.signatures = Signatures(state, embedded=self)
        self.tensors = Tensors(state, embedded=self)
        self.drawing = DrawingPanel(state, embedded=self)
        self.problems = Problems(state, embedded=self)
        self.meta_graphs = MetaGraphs(state, embedded=self)
        self.wrap = WrapPanel(state, embedded=self)
        self.request = RequestPanel(state, embedded=self)
        self.answer = AnswerPanel(state, embedded=self)
        self.client = ClientPanel(state, embedded=self)
        self.code = CodePanel(state, embedded=self)
        self.edits = Edits(state, embedded=self)
        self.clients = ClientsPanel(state, embedded=self)
        self.export = ExportPanel(state, embedded=self)
        self.proof = ProofPanel(state, embedded=self)
        left = ipywidgets.VBox(
            (
                self.signatures, self.tensors, self.drawing, self.problems, self.meta_graphs, self.wrap, self.request,
                self.answer,
            ),
            layout=self._layout,
        )  # fmt: skip
        right = ipywidgets.VBox(
            (self.client, self.code, self.edits, self.clients, self.export, self.proof), layout=self._layout
        )
        return self.header, self.row(left, right, kind="columns")

    def render(self) -> None:
        """Nothing of its own: every panel shows its part."""

    def fallback(self) -> tuple[str, str]:
        """The model as HTML and text, for a viewer without widgets."""
        if self.state.model is None:
            return self.header.fallback()
        return to_html(self.state.model), to_text(self.state.model)
