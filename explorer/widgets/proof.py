"""The proof of an export: on request old and new run on the same inputs, and their answers are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets

from explorer.diagnosing.proof import Proof
from explorer.render.html import page
from explorer.render.markup import element, join
from explorer.render.proofs import loaders_table, network_note, outputs_table, proof_html, proof_sentence, proof_text
from explorer.render.tables import Cell
from explorer.state.lines import proof_lines
from explorer.state.telling import sentence
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.table import Column, Row, Table

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
        for part in (self.result, self.loaders, self.outputs):
            set_hidden(part, proof is None)
        if proof is not None:
            self._show_proof(proof)
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
        self.result = self.html()
        self.loaders = Table(
            "Who loads it?", (Column("loader", header=True), Column("old"), Column("new")), layout=self._layout
        )
        columns = (
            Column("signature", "name", header=True),
            Column("output", "name"),
            Column("difference", "number"),
            Column("loaders"),
        )
        self.outputs = Table("Largest difference of each output", columns, layout=self._layout)
        self.code = CodeView(label="The proof as code", layout=self._layout)
        return self.consent, self.prove, self.progress, self.result, self.loaders, self.outputs, self.code

    def _prove(self) -> None:
        self.ask(self.state.prove, consent=True)  # the sentence beside the button said what it runs

    def _show_progress(self, _change: Any) -> None:
        if not self._is_made or self.state.busy != "proving":
            return
        done, total = self.state.progress
        assign(self.bar, value=done / total if total else 0.0)
        text = f"{done} of {total} runs" if done else "Starting TensorFlow …"
        assign(self.done, value=str(element("p", text, class_="smx-note", role="status")))

    def _show_proof(self, proof: Proof) -> None:
        word = element("strong", "● The proof holds. " if proof.holds else "✖ The proof doesn't hold. ")
        note = network_note(proof)
        lines = (
            element("p", word, proof_sentence(proof), class_=None if proof.holds else "smx-error"),
            element("p", note, class_="smx-note") if note else None,
        )
        box = "smx-good-box" if proof.holds else None
        assign(self.result, value=str(element("div", join(lines), class_=box, role="status")))
        self.loaders.show(_loader_rows(proof))
        self.outputs.show(_output_rows(proof))


def _loader_rows(proof: Proof) -> list[Row]:
    """A row for each loader, and below it why it refuses a model."""
    rows = []
    for place, (loader, before, after, why) in enumerate(loaders_table(proof).rows):
        level = "note" if proof.loaders[place].holds else "error"
        note = (level, sentence(why)) if why else None
        rows.append(Row(str(place), (loader, before, after), (), note))
    return rows


def _output_rows(proof: Proof) -> list[Row]:
    """A row for each output and for what its loaders have in common."""
    groups: dict[tuple[Cell, ...], list[str]] = {}
    for signature, output, loader, difference, why in outputs_table(proof).rows:
        groups.setdefault((signature, output, difference, why), []).append(str(loader or ""))
    willing = sum(not loading.before and not loading.after for loading in proof.loaders)
    rows = []
    for place, ((signature, output, difference, why), names) in enumerate(groups.items()):
        loaders = "" if names == [""] else f"all {willing}" if len(names) == willing > 1 else ", ".join(names)
        note = ("note", f"{sentence(why)}.") if why else None
        rows.append(Row(str(place), (signature, output, str(difference), loaders), (), note))
    return rows
