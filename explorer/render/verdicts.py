"""A verdict for clients as a table, as text, as HTML and as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from explorer.diagnosing.compatibility import Verdict
from explorer.render.tables import Cell, Table
from explorer.render.text import table_text

if TYPE_CHECKING:
    import pandas as pd

PROTOCOL_NAMES = {
    "rest_row": "REST row",
    "rest_column": "REST column",
    "grpc": "gRPC",
    "tf.saved_model": "tf.saved_model",
}
"""Protocol → how people call it."""

VERDICT_SENTENCES = {
    "same": "Clients can't tell the two apart by their interface.",
    "compatible": "Requests that worked still work, and their answers read the same.",
    "breaking": "Some requests that worked fail, or their answers read otherwise.",
}
"""Verdict → what it means for all clients together."""


def verdict_table(verdict: Verdict) -> Table:
    """What a new version is for clients, one reason a row; a verdict without reasons is one row too."""
    rows: list[tuple[Cell, ...]] = []
    for key, protocols in verdict.signatures.items():
        for protocol, found in protocols.items():
            for reason in found.reasons or (None,):
                rows.append((key, PROTOCOL_NAMES.get(protocol, protocol), found.verdict, reason))
    return Table("Will clients break?", ("signature", "protocol", "verdict", "message"), tuple(rows))


def verdict_text(verdict: Verdict) -> str:
    """What a new version is for clients, as aligned text: the verdict, what it means, the table of reasons."""
    return f"{verdict.verdict}: {VERDICT_SENTENCES[verdict.verdict]}\n\n{table_text(verdict_table(verdict))}"


def verdict_html(verdict: Verdict) -> str:
    """What a new version is for clients, as a piece of HTML that brings its style along."""
    from explorer.render.html import page, table_element
    from explorer.render.markup import element

    summary = element("p", element("strong", verdict.verdict), f": {VERDICT_SENTENCES[verdict.verdict]}")
    return page(summary, table_element(verdict_table(verdict)))


def verdict_frame(verdict: Verdict) -> pd.DataFrame:
    """What a new version is for clients, one reason a row."""
    from explorer.render.frames import to_frame

    return to_frame(verdict_table(verdict))
