"""Tables of a model as data; how they look as text, HTML or a DataFrame is for the modules beside this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explorer.errors import printable_name
from explorer.savedmodel.default_values import printable_default
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, TensorInfo, printable_tags

if TYPE_CHECKING:
    from explorer.checking.findings import Finding
    from explorer.editing.diff import Change
    from explorer.savedmodel.folder import Version

Cell = str | int | None
"""A name as the model holds it (not yet printable), a number, or None where there is nothing to say."""

HEADERS = {"in_out": "in → out", "variable_bytes": "variables' size", "tensorflow": "TensorFlow"}
"""Columns whose header isn't their name with blanks in place of underscores."""

COUNT_COLUMNS = ("nodes", "functions", "variables", "variable_bytes", "assets")


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: What it shows, as its caption.
        columns: The columns' names, in snake case; one that ends in ``_bytes`` holds sizes.
        rows: The cells, row by row.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def meta_graphs_table(model: SavedModel, counts: Mapping[int, Mapping[str, int | None]] | None = None) -> Table:
    """The meta graphs of a model, one a row.

    Args:
        model: The model.
        counts: Position of a meta graph → ``nodes``, ``functions``, ``variables``, ``variable_bytes``, ``assets``;
            None leaves these columns out.
    """
    columns: tuple[str, ...] = ("tags", "signatures", "tensorflow", "object_graph")
    if counts is not None:
        columns += COUNT_COLUMNS
    rows = []
    for index, meta_graph in enumerate(model.meta_graphs):
        row: list[Cell] = [
            ",".join(sorted(meta_graph.tags)) or "(no tag)",
            ", ".join(meta_graph.callable_signatures) or "(none)",
            meta_graph.tensorflow_version or None,
            "yes" if meta_graph.has_object_graph else "no",
        ]
        if counts is not None:
            row += [counts.get(index, {}).get(column) for column in COUNT_COLUMNS]
        rows.append(tuple(row))
    return Table("Meta graphs", columns, tuple(rows))


def signatures_table(meta_graph: MetaGraph) -> Table:
    """The signatures of a meta graph, one a row; those that only loaders use have the method ``reserved``."""
    rows = tuple(
        (
            signature.key,
            "reserved" if signature.is_reserved else signature.method or None,
            signature_in_one_line(signature),
        )
        for signature in meta_graph.signatures.values()
    )
    return Table(meta_graph_title(meta_graph), ("signature", "method", "in_out"), rows)


def tensors_table(signature: Signature) -> Table:
    """The inputs and outputs of a signature, one a row."""
    rows: list[tuple[Cell, ...]] = []
    for direction, tensors in (("in", signature.inputs), ("out", signature.outputs)):
        for key, info in tensors.items():
            default = signature.defaults.get(key) if direction == "in" else None
            rows.append((direction, key, *_described(info), None if default is None else printable_default(default)))
    method = "reserved" if signature.is_reserved else printable_name(signature.method)
    title = f"{printable_name(signature.key)}  {method}"
    return Table(title.rstrip(), ("direction", "key", "dtype", "shape", "tensor", "encoding", "default"), tuple(rows))


def tensor_table(info: TensorInfo) -> Table:
    """One tensor, in a table of one row."""
    return Table("Tensor", ("dtype", "shape", "tensor", "encoding"), (_described(info),))


def versions_table(versions: Iterable[Version]) -> Table:
    """The versions under a base path, one a row; TensorFlow Serving takes the one with the largest number."""
    ordered = sorted(versions, key=lambda version: version.number)
    rows = tuple(
        (
            version.number,
            version.name,
            "SavedModel" if version.is_model else "no saved_model.pb",
            "yes" if version.number == ordered[-1].number else "no",
        )
        for version in ordered
    )
    return Table("Versions", ("version", "folder", "content", "served"), rows)


def findings_table(findings: Iterable[Finding]) -> Table:
    """What checks found, one finding a row."""
    rows = tuple(
        (finding.severity, finding.code, finding_place(finding), finding.message, finding.fix or None)
        for finding in findings
    )
    return Table("Findings", ("severity", "code", "where", "message", "fix"), rows)


def changes_table(changes: Iterable[Change]) -> Table:
    """What differs between two models, one difference a row."""
    rows = tuple((change.kind, change.where, change.field, change.before, change.after) for change in changes)
    return Table("Changes", ("change", "where", "field", "before", "after"), rows)


def signature_in_one_line(signature: Signature) -> str:
    """A signature's inputs and outputs: ``x float32[?] → y float32[?]``; for a reserved one, the op that it runs."""
    if signature.is_reserved:
        # Its one output is no tensor: TensorFlow writes the op's name there, with the dtype DT_INVALID.
        names = [name for info in signature.outputs.values() for name in info.tensor_names]
        return f"runs {', '.join(names) or 'nothing'}"
    return f"{tensors_in_one_line(signature.inputs)} → {tensors_in_one_line(signature.outputs)}"


def tensors_in_one_line(tensors: Mapping[str, TensorInfo]) -> str:
    """Inputs or outputs in one line: ``x float32[?], y int64[]``; ``nothing`` where there are none."""
    return ", ".join(f"{key} {info}" for key, info in tensors.items()) or "nothing"


def meta_graph_title(meta_graph: MetaGraph) -> str:
    """A meta graph by its tags and the TensorFlow that wrote it."""
    version = meta_graph.tensorflow_version
    made_by = f"  (TensorFlow {printable_name(version)})" if version else ""
    return f"MetaGraph {printable_tags(meta_graph.tags)}{made_by}"


def finding_place(finding: Finding) -> str:
    """Where in the model a fault is: ``serve / serving_default / output y``."""
    parts = [] if finding.tags is None else [printable_tags(finding.tags)]
    if finding.signature_key is not None:
        parts.append(printable_name(finding.signature_key))
    if finding.key is not None:
        parts.append(f"{finding.field} {printable_name(finding.key)}" if finding.field else printable_name(finding.key))
    elif finding.field is not None:
        parts.append(finding.field.replace("_", " "))
    return " / ".join(parts) or "the model"


def header(column: str) -> str:
    """A column's header as people read it."""
    return HEADERS.get(column, column.replace("_", " "))


def cell_text(column: str, cell: Cell) -> str:
    """A cell as printable text, whole: nothing for None, a size with its unit, a name as :func:`visible_name`."""
    if cell is None:
        return ""
    if isinstance(cell, int):
        return printable_size(cell) if column.endswith("_bytes") else str(cell)
    return printable_name(visible_name(cell), len(cell) + 3)


def visible_name(name: str) -> str:
    """A name that isn't overlooked: in quotation marks where it is empty, or blank at an end."""
    return name if name and name == name.strip() else f'"{name}"'


def printable_size(size_bytes: int) -> str:
    """A size in bytes as text: ``812 bytes``, ``12.3 KB`` (thousands, as disks and file managers count)."""
    if size_bytes < 1000:
        return "1 byte" if size_bytes == 1 else f"{size_bytes} bytes"
    size = float(size_bytes)
    for unit in ("KB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def _described(info: TensorInfo) -> tuple[str, str, str, str]:
    tensor = info.tensor_name
    if tensor is None:
        tensor = ", ".join(f"{role}: {name}" for role, name in (info.components or {}).items())
    return str(info.dtype), str(info.shape), tensor, info.encoding
