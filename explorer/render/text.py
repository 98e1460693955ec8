"""Models, tables, findings and differences as aligned plain text for a terminal.

What ``python -m explorer show`` prints comes from here, so nothing costly is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from explorer.errors import printable_name
from explorer.render.overview import overview, serving_status
from explorer.render.special import special_view
from explorer.render.tables import (
    Table,
    cell_text,
    finding_place,
    header,
    meta_graphs_table,
    signatures_table,
    tensor_table,
    tensors_table,
)
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, TensorInfo

if TYPE_CHECKING:
    from explorer.checking.findings import Finding
    from explorer.editing.diff import Change

SIGNS = {"added": "+", "removed": "−", "changed": "~"}
"""Kind of a change → the sign before it; the word stands beside it."""

_WIDEST_PADDING = 80
"""A cell wider than this doesn't widen its column: one long name would push everything else out of sight."""


def to_text(thing: object) -> str:
    """Writes something of ours as text.

    Args:
        thing: A SavedModel, MetaGraph, Signature, TensorInfo, Table, Verdict, Proof, or a sequence of findings or of
            changes.

    Returns:
        Lines without a trailing newline. Every name is shown whole, its invisible characters made visible.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(thing, SavedModel):
        return _model_text(thing)
    if isinstance(thing, MetaGraph):
        return _meta_graph_text(thing)
    if isinstance(thing, Signature):
        return table_text(tensors_table(thing))
    if isinstance(thing, TensorInfo):
        return table_text(tensor_table(thing))
    if isinstance(thing, Table):
        return table_text(thing)
    if isinstance(thing, Sequence) and not isinstance(thing, str | bytes):
        from explorer.checking.findings import Finding
        from explorer.editing.diff import Change

        findings = [item for item in thing if isinstance(item, Finding)]
        changes = [item for item in thing if isinstance(item, Change)]
        if len(changes) == len(thing) > 0:
            return changes_text(changes)
        if len(findings) == len(thing):
            return findings_text(findings) if findings else "nothing"
    if (special := special_view(thing)) is not None:
        return special.text(thing)
    raise TypeError(f"a {type(thing).__name__} has no text form")


def table_text(table: Table) -> str:
    """A table: its title, its headers, its rows, aligned."""
    columns = range(len(table.columns))
    rows = [[header(column) for column in table.columns]]
    rows += [[cell_text(column, cell) for column, cell in zip(table.columns, row, strict=True)] for row in table.rows]
    widths = [_column_width([row[column] for row in rows]) for column in columns[:-1]]
    numeric = [bool(table.rows) and all(isinstance(row[column], int) for row in table.rows) for column in columns]
    lines = [table.title] if table.title else []
    for row in rows:
        padded = [_padded(row[column], widths[column], numeric[column]) for column in columns[:-1]]
        lines.append("  " + "  ".join([*padded, row[-1]]).rstrip())
    if not table.rows:
        lines.append("  (none)")
    return "\n".join(lines)


def findings_text(findings: Iterable[Finding]) -> str:
    """What checks found, the fix below each message."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.severity}  {finding.code}  {_whole(finding_place(finding))}")
        lines.append(f"  {_whole(finding.message)}")
        if finding.fix:
            lines.append(f"  Fix: {_whole(finding.fix)}")
    return "\n".join(lines) or "No findings."


def changes_text(changes: Iterable[Change]) -> str:
    """What differs between two models: ``~ changed  serve / a / input x  key: x → y``."""
    lines = []
    for change in changes:
        start = f"{SIGNS[change.kind]} {change.kind}"
        lines.append(f"{start:<9}  {_whole(change.where)}  {_whole(change.field)}: {change_values(change)}")
    return "\n".join(lines) or "No changes."


def change_values(change: Change) -> str:
    """What a change takes away, gives, or turns into what."""
    shown = [_whole(value) or '""' for value in (change.before, change.after) if value is not None]
    return " → ".join(shown)


def _model_text(model: SavedModel) -> str:
    head = overview(model)
    version = f"version {head.version}" if head.version else ""
    lines = ["   ".join(part for part in (f"{head.name}  {version}".rstrip(), *head.facts.split(" · ")) if part)]
    if model.path is not None:
        lines.append(_whole(str(model.path)))
    lines.append(serving_status(model)[1])
    if len(model.meta_graphs) > 1:
        lines += ["", table_text(meta_graphs_table(model))]
    for meta_graph in model.meta_graphs:
        lines += ["", _meta_graph_text(meta_graph)]
    return "\n".join(lines)


def _meta_graph_text(meta_graph: MetaGraph) -> str:
    parts = [table_text(signatures_table(meta_graph))]
    parts += [table_text(tensors_table(signature)) for signature in meta_graph.callable_signatures.values()]
    return "\n\n".join(parts)


def _whole(text: str) -> str:
    return printable_name(text, len(text) + 1)


def _column_width(cells: Iterable[str]) -> int:
    return max((width for cell in cells if (width := _width(cell)) <= _WIDEST_PADDING), default=0)


def _padded(cell: str, width: int, right: bool) -> str:
    blanks = " " * (width - _width(cell))
    return blanks + cell if right else cell + blanks


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
