"""What the checks say about one thing, for the line below its row."""

from __future__ import annotations

from collections.abc import Collection

from explorer.checking.findings import Finding
from explorer.state import ExplorerState
from explorer.state.telling import message_and_fix


def findings_about(
    state: ExplorerState, signature_key: object, fields: Collection[str | None], key: str | None = None
) -> list[Finding]:
    """The findings about a part of a signature of the chosen meta graph, worst first.

    Args:
        state: The state.
        signature_key: The signature.
        fields: The parts: ``"key"``, ``"method_name"``, ``"input"``, ``"output"``, or None for the whole.
        key: The input or output key.
    """
    tags = state.meta_graph.tags if state.meta_graph is not None else None
    return [
        found
        for found in state.findings
        if found.signature_key == signature_key and found.field in fields and found.key == key and found.tags == tags
    ]


def note_for(
    state: ExplorerState, signature_key: object, fields: Collection[str | None], key: str | None = None
) -> tuple[str, str] | None:
    """The worst of :func:`findings_about` as a row's note; notes that are merely good to know stay out of tables."""
    found = [finding for finding in findings_about(state, signature_key, fields, key) if finding.severity != "note"]
    if not found:
        return None
    sign = "✖" if found[0].severity == "error" else "▲"
    more = f" (and {len(found) - 1} more under Problems)" if len(found) > 1 else ""
    return found[0].severity, f"{sign} {message_and_fix(found[0])}{more}"
