"""The proof of an export: on request old and new run on the same inputs, and their answers are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets

from explorer.render.html import page
from explorer.render.markup import element
from explorer.render.proofs import proof_html, proof_text
from explorer.state.lines import proof_lines
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.proof_view import ProofView

_CONSENT = (
    "This runs the code in both models on made-up inputs, in a child process with limits; it needs TensorFlow and "
    "takes some ten seconds. Nothing runs before you press the button."
)
_NOTHING = "Nothing has been proved: only what was exported can be, and only when somebody asks for it."


class ProofPanel(Panel):
    """Who loads the version that was exported, and how far its answers differ from the source's."""

    place = "proof"
    title = "Proof"

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes no widget yet; they come with the first export."""
        self._is_made = False
        self.state.observe(self._show_progress, "progress")
        return ()

    def render(self) -> None:
        """Shows the state."""
        state = self.state
        there = state.published is not None and state.exported is not None
        set_hidden(self, not there)
        if not there:
            return
        if not self._is_made:
            self.children = (*self.children[:-1], *self._make(), self.children[-1])  # what went wrong stands last
            self._is_made = True
        running, proof = state.busy == "proving", state.proven
        assign(self.prove, disabled=bool(state.busy))
        set_hidden(self.consent, running or proof is not None)
        set_hidden(self.prove, running or proof is not None)
        set_hidden(self.progress, not running)
        self._show_progress(None)
        self.shown.show(proof)
        lines = proof_lines(state)
        draft = "Here model is the draft, as the script under Code makes it."
        self.code.show(Code("Python", lines.python, draft), Code("Command", lines.command))

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        proof = self.state.proven
        if proof is not None:
            return proof_html(proof), proof_text(proof)
        return page(element("p", _NOTHING)), _NOTHING

    def close(self) -> None:
        """Lets go of the state, as every panel does, and of its progress."""
        if not self._closed:
            self.state.unobserve(self._show_progress, "progress")
        super().close()

    def _make(self) -> tuple[ipywidgets.Widget, ...]:
        self.consent = self.html(element("p", _CONSENT, class_="smx-note"))
        self.prove = self.button("Prove that old and new answer alike", self._prove)
        self.bar = ipywidgets.FloatProgress(
            min=0, max=1, layout=self._layout, style={"bar_color": "var(--jp-brand-color1)"}
        )
        self.done = self.html()
        self.cancel = self.button("Cancel proof", lambda: self.ask(self.state.cancel))
        self.progress = self.row(self.bar, self.done, self.cancel, kind="toolbar")
        self.shown = ProofView(self)
        self.result, self.loaders, self.outputs = self.shown.result, self.shown.loaders, self.shown.outputs
        self.code = CodeView(label="The proof as code", layout=self._layout)
        return self.consent, self.prove, self.progress, *self.shown.parts, self.code

    def _prove(self) -> None:
        self.ask(self.state.prove, consent=True)  # the sentence beside the button said what it runs

    def _show_progress(self, _change: Any) -> None:
        if not self._is_made or self.state.busy != "proving":
            return
        done, total = self.state.progress
        assign(self.bar, value=done / total if total else 0.0)
        text = f"{done} of {total} runs" if done else "Starting TensorFlow …"
        assign(self.done, value=str(element("p", text, class_="smx-note", role="status")))
