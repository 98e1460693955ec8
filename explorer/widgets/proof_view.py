"""A proof in a panel: whether it holds, who loads the two, and how far their answers differ."""

from __future__ import annotations

import ipywidgets

from explorer.diagnosing.proof import Proof
from explorer.render.markup import element, join
from explorer.render.proofs import loaders_table, network_note, outputs_table, proof_sentence
from explorer.render.tables import Cell
from explorer.state.telling import sentence
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.table import Column, Row, Table


class ProofView:
    """The widgets that show a proof, hidden while there is none.

    Attributes:
        result: Whether it holds.
        loaders: Who loads the two.
        outputs: The differences.
    """

    def __init__(self, panel: Panel, old: str = "old", new: str = "new") -> None:
        """Makes the widgets.

        Args:
            panel: The panel that they stand in.
            old: What the first of the two is called.
            new: What the other one is called.
        """
        self.result: ipywidgets.HTML = panel.html()
        loaders = (Column("loader", header=True), Column(old), Column(new))
        self.loaders = Table("Who loads it?", loaders, layout=panel._layout)
        columns = (
            Column("signature", "name", header=True),
            Column("output", "name"),
            Column("difference", "number"),
            Column("loaders"),
        )
        self.outputs = Table("Largest difference of each output", columns, layout=panel._layout)

    @property
    def parts(self) -> tuple[ipywidgets.Widget, ...]:
        """The widgets, in the order in which they stand below each other."""
        return self.result, self.loaders, self.outputs

    def show(self, proof: Proof | None) -> None:
        """Shows a proof, or nothing."""
        for part in self.parts:
            set_hidden(part, proof is None)
        if proof is None:
            return
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
