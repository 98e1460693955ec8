"""The conversion of a checkpoint, a frozen graph or a Keras file: what it is, what is chosen, and what was written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, cast

import ipywidgets

from explorer.converting import kinds
from explorer.render.html import page, table_element
from explorer.render.markup import element, join
from explorer.render.proofs import proof_text
from explorer.render.sources import candidates_tables, shape_text, source_html, source_sentence, source_text
from explorer.render.tables import printable_size
from explorer.render.text import table_text
from explorer.runtime.looking import Looked
from explorer.savedmodel.model import DType
from explorer.state import ExplorerState
from explorer.state.converting import ConvertState
from explorer.state.telling import sentence
from explorer.widgets.background import background_executor
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.field import Field
from explorer.widgets.panel import Panel, assign, set_hidden, set_options, warning_markup
from explorer.widgets.proof_view import ProofView
from explorer.widgets.table import Column, Row, Table
from explorer.widgets.tensor_choices import FixedChoices, TensorChoices

_CONSENT = (
    "A Keras file holds no graph, so Keras has to build the model: that runs code, in a child process with limits. "
    "Code inside the file (a Lambda layer, an unknown class) is refused before anything runs."
)
_CUSTOM = " The modules of the custom classes above are imported there."
_PROOF_CONSENT = (
    "This runs the source and what was written on the same made-up inputs, in child processes with limits; it needs "
    "TensorFlow and takes some ten seconds. Nothing runs before you press the button."
)
_NOTHING = "No source was given: a checkpoint, a frozen graph or a Keras file."
_KEPT = "It has signatures already; they are kept as they are."
_FIELDS = (
    ("graph", "Graph of the checkpoint", "A GraphDef: graph.pbtxt, graph.pb"),
    ("architecture", "Same architecture", "A SavedModel, a whole Keras file, or the JSON of model.to_json()"),
    ("custom_objects", "Custom classes", "Name=module:Name or Name=file.py:Name"),
    ("signature_key", "Signature key", "serving_default"),
    ("endpoints", "Further signatures", "signature=layer, separated by blanks"),
    ("export_base", "Base path", "Folder that holds the numbered versions"),
)
_ROLES = (("output", "outputs"), ("input", "inputs"), ("value for good", "constants"))
_HINTS = {"outputs": "key=tensor:0", "inputs": "key=tensor:0", "constants": "placeholder=value, such as keep_prob=1.0"}
_DOING = {"looking": "Looking …", "converting": "Converting …", "proving": "Starting TensorFlow …"}


class ConvertPanel(Panel):
    """Turns a source into a SavedModel: it says what the source is, proposes a signature, and exports.

    The last line of a cell shows it: ``ConvertPanel("frozen.pb")``.
    """

    place = "convert"
    title = "Convert"
    terms = ("checkpoint", "frozen graph", "signature")

    state: ConvertState  # type: ignore[assignment]  # a panel of its own, beside those of a SavedModel

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        custom_objects: Mapping[str, object] | None = None,
        *,
        state: ConvertState | None = None,
        explorer: ExplorerState | None = None,
        executor: Executor | None = None,
    ) -> None:
        """Makes the panel; what can't be converted is said in it, not raised.

        Args:
            path: The source; None lets a person type one.
            custom_objects: Class name in a Keras file → ``module:Name``, ``file.py:Name``, or the class itself where
                its module can be imported.
            state: A state to show instead of a new one.
            explorer: Where the new version is opened; None opens it in an Explorer below.
            executor: Does slow work; None takes threads where an event loop runs, as in a notebook.
        """
        if state is None:
            state = ConvertState(executor=executor or background_executor())
        self._explorer = explorer
        if path is not None or custom_objects:
            state.begin(path, custom_objects or {})
        super().__init__(cast(ExplorerState, state))

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.path = Field(
            "Source", placeholder="A .pb, a checkpoint's prefix or folder, an .h5 or a .keras file",
            on_submit=self.heard(self._look), layout=self._layout,
        )  # fmt: skip
        self.look = self.button("Look", self._look, tooltip="Say what this is; nothing of it is run")
        self.source, self.gap = self.html(), self.html()
        columns = (
            Column("variable", "name", header=True), Column("dtype"), Column("shape"), Column("size", "number"),
        )  # fmt: skip
        self.variables = Table("Variables", columns, layout=self._layout)
        self.outputs = TensorChoices(self, self.state, "outputs")
        self.inputs = TensorChoices(self, self.state, "inputs")
        self.fixed = FixedChoices(self, self.state)
        self.fields = {name: Field(label, placeholder=hint, layout=self._layout) for name, label, hint in _FIELDS}
        for name, field in self.fields.items():
            field.observe(self.heard(lambda change, name=name: self.ask(self.state.enter, name, change.new)), "value")
        self.role = self.dropdown("Another", lambda _: self.show())
        self.other = Field("Its name", on_submit=self.heard(self._add), layout=self._layout)
        self.add = self.button("Add", self._add)
        self.others = self.row(self.role, self.other, self.add, kind="path-row")
        self.others.add_class("smx-one-more")
        self.consent = self.html()
        self.convert = self.button("Convert", self._convert, kind="primary")
        self.bar = ipywidgets.FloatProgress(
            min=0, max=1, layout=self._layout, style={"bar_color": "var(--jp-brand-color1)"}
        )
        self.done = self.html()
        self.cancel = self.button("Cancel", lambda: self.ask(self.state.cancel))
        self.progress = self.row(self.bar, self.done, self.cancel, kind="toolbar")
        self.notice, self.result = self.html(), self.html()
        self.code = CodeView(label="The conversion as code", layout=self._layout)
        self.proof_consent = self.html(element("p", _PROOF_CONSENT, class_="smx-note"))
        self.prove = self.button("Prove that both answer alike", lambda: self.ask(self.state.prove, consent=True))
        self.proof = ProofView(self, "source", "SavedModel")
        self.open = self.button("Open in the Explorer", self._open)
        self.below = ipywidgets.VBox((), layout=self._layout)
        self._shown_path: str | None = None
        self.state.observe(self._show_progress, "progress")
        return (
            self.row(self.path, self.look, kind="path-row"), self.source, self.variables,
            *(self.fields[name] for name in ("graph", "architecture", "custom_objects")), *self.outputs.widgets,
            *self.inputs.widgets, *self.fixed.widgets, self.others, self.gap,
            self.row(*(self.fields[name] for name in ("signature_key", "endpoints", "export_base")), kind="fields"),
            self.consent, self.convert, self.progress, self.notice, self.code, self.result,
            self.open, self.proof_consent, self.prove, *self.proof.parts, self.below,
        )  # fmt: skip

    def render(self) -> None:
        """Shows the state."""
        state = self.state
        looked: Looked | None = state.looked
        if self._shown_path != state.path:
            self._shown_path = state.path
            self.path.fill(state.path)
        self._show_source(looked)
        self._show_fields(looked)
        for part in (self.outputs, self.inputs, self.fixed):
            part.show()
        is_graph = looked is not None and looked.candidates is not None
        set_hidden(self.others, not is_graph)
        set_options(self.role, _ROLES, self.role.value or "outputs")
        assign(self.other, placeholder=_HINTS[self.role.value])
        ready = looked is not None and looked.source.can_be_converted
        set_hidden(self.gap, not (ready and state.gap))
        assign(self.gap, value=warning_markup(state.gap))
        self._show_convert(ready)
        self._show_result()

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        state = self.state
        looked: Looked | None = state.looked
        if looked is None:
            text = state.error or _NOTHING
            return page(element("p", text)), text
        found = () if looked.candidates is None else candidates_tables(looked.candidates)
        lines = state.lines()
        written = state.published
        last = "" if written is None else f"Version {written.version} is written: {written.path}"
        proof = "" if state.proven is None else proof_text(state.proven)
        parts = [source_html(looked.source), *map(table_element, found)]
        parts += [element("p", state.gap or last)] if state.gap or last else []
        parts += [element("pre", text) for text in (lines.python, proof) if text]
        texts = [source_text(looked.source), *map(table_text, found), state.gap, lines.python, last, proof]
        return page(*parts), "\n\n".join(filter(None, texts))

    def close(self) -> None:
        """Lets go of the state, as every panel does, and of its progress and its rows."""
        if not self._closed:
            self.state.unobserve(self._show_progress, "progress")
            for part in (self.outputs, self.inputs, self.fixed):
                part.close()
        super().close()

    def _look(self) -> None:
        self.ask(self.state.look, self.path.value)

    def _add(self) -> None:
        role, text = self.role.value, self.other.value
        if role == "constants":
            done = self.ask(self.state.add_constant, text)
        else:
            done = self.ask(self.state.add_tensors, role, text)
        if done:
            self.other.fill("")

    def _convert(self) -> None:
        self.ask(self.state.convert, consent=True)  # where Keras is needed, the sentence above said what it runs

    def _open(self) -> None:
        published = self.state.published
        if published is None:
            return
        if self._explorer is not None:
            self._explorer.open(published.path)
            return
        from explorer.widgets.explorer import Explorer  # it imports this module's neighbours, all of them

        for old in self.below.children:
            old.close()
        self.below.children = (Explorer(published.path),)

    def _show_source(self, looked: Looked | None) -> None:
        lines = []
        if looked is not None:
            source = looked.source
            lines.append(element("p", source_sentence(source)))
            facts = [
                element("span", element("span", label, class_="smx-muted"), " ", value) for label, value in source.facts
            ]
            lines += [element("p", facts, class_="smx-facts")] if facts else []
            needs = dict.fromkeys(need.sentence for need in source.needs)
            lines += [element("p", sentence(one), class_="smx-note") for one in needs]
            lines += [element("p", sentence(source.problem), class_="smx-error")] if source.problem else []
            told = (source.problem, *(need.sentence for need in source.needs))
            if looked.refusal and looked.model is None and not any(one and one in looked.refusal for one in told):
                lines.append(element("p", sentence(looked.refusal), class_="smx-error"))
            if source.can_be_converted and not (looked.refusal or looked.candidates or self.state.needs_consent):
                lines.append(element("p", _KEPT, class_="smx-note"))
        assign(self.source, value=str(element("div", join(lines), class_="smx-source", role="status")) if lines else "")
        set_hidden(self.source, not lines)
        held = () if looked is None or looked.model is not None else looked.source.variables
        set_hidden(self.variables, not held)
        self.variables.show(
            Row(str(place), (one.name, str(DType(one.dtype_number)), shape_text(one.shape), _size(one.size_bytes)))
            for place, one in enumerate(held)
        )

    def _show_fields(self, looked: Looked | None) -> None:
        state = self.state
        needs = set() if looked is None else {need.what for need in looked.source.needs}
        ready = looked is not None and looked.source.can_be_converted
        runs_code = state.needs_consent
        shown = {
            "graph": ready and kinds.GRAPH in needs,
            "architecture": ready and kinds.ARCHITECTURE in needs,
            "custom_objects": runs_code,  # also where they are what is missing
            "signature_key": ready,
            "endpoints": ready and runs_code,
            "export_base": ready,
        }
        for name, field in self.fields.items():
            set_hidden(field, not shown[name])
            if field.value != getattr(state, name):
                field.fill(getattr(state, name))
            if name != "export_base":
                assign(field, problem=state.problem(name))

    def _show_convert(self, ready: bool) -> None:
        state = self.state
        busy = bool(state.busy)
        set_hidden(self.convert, not ready)
        set_hidden(self.consent, not (ready and state.needs_consent))
        custom = _CUSTOM if state.custom_objects.strip() else ""
        assign(self.consent, value=str(element("p", _CONSENT, custom, class_="smx-note")))
        number, problem = state.export_target() if ready else (None, "")
        assign(self.fields["export_base"], problem=problem)
        assign(
            self.convert,
            description="Convert" if number is None else f"Convert to version {number}",
            disabled=busy or bool(state.missing),
        )
        lines, proof = state.lines(), state.proof_line()
        set_hidden(self.code, not lines.python)
        codes = [Code("Python", lines.python), Code("Command", lines.command)]
        self.code.show(*codes, *([Code("Proof", proof)] if proof else []))
        set_hidden(self.progress, not busy)
        set_hidden(self.cancel, state.busy == "looking")
        self._show_progress(None)
        assign(self.notice, value=str(element("p", state.notice, class_="smx-notice", role="status")))
        set_hidden(self.notice, not state.notice or state.published is not None)

    def _show_progress(self, _change: Any) -> None:
        state = self.state
        if not state.busy:
            return
        done, total = state.progress
        assign(self.bar, value=done / total if total else 0.0)
        text = _DOING.get(state.busy, "At work …")
        if state.doing:
            is_size = state.doing == "writing"
            how_far = f"{printable_size(done)} of {printable_size(total)}" if is_size else f"{done} of {total}"
            text = f"{sentence(state.doing)}{f': {how_far}' if total else ' …'}"
        assign(self.done, value=str(element("p", text, class_="smx-note", role="status")))

    def _show_result(self) -> None:
        state = self.state
        published, prepared = state.published, state.prepared
        there = published is not None and prepared is not None
        for part in (self.result, self.open):
            set_hidden(part, not there)
        for part in (self.prove, self.proof_consent):
            set_hidden(part, not there or bool(state.busy) or state.proven is not None)
        self.proof.show(state.proven)
        if not there and self.below.children:
            for old in self.below.children:
                old.close()
            self.below.children = ()
        if there:
            lines = [
                element("p", element("strong", f"● Version {published.version} is written: "),
                        element("code", str(published.path))),
                *(element("p", sentence(reason), class_="smx-note") for reason in prepared.reasons),
                *(element("p", sentence(note), class_="smx-note") for note in published.notes),
            ]  # fmt: skip
            assign(self.result, value=str(element("div", join(lines), class_="smx-good-box", role="status")))


def _size(size_bytes: int) -> tuple[str, int]:
    return printable_size(size_bytes), size_bytes
