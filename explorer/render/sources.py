"""A source of a conversion as text and HTML: what it is, what it holds, what it lacks, and what could be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from explorer.errors import printable_name, quoted
from explorer.render.markup import Markup, element, join
from explorer.render.tables import Cell, Table
from explorer.render.text import table_text
from explorer.savedmodel.model import DType, Shape

if TYPE_CHECKING:
    from explorer.converting.candidates import Candidates
    from explorer.converting.source import Source

MOST_ROWS = 20
"""Candidates and variables beyond these are only counted."""


def source_sentence(source: Source) -> str:
    """What a source is, in one sentence."""
    return f"{quoted(str(source.path))} {source.title}"


def facts_table(source: Source) -> Table:
    """What was found out about a source, one fact a row."""
    rows: tuple[tuple[Cell, ...], ...] = tuple((label, value) for label, value in source.facts)
    return Table("What it holds", ("fact", "value"), rows)


def variables_table(source: Source) -> Table:
    """The variables of a checkpoint, one a row."""
    rows = [
        (variable.name, str(DType(variable.dtype_number)), shape_text(variable.shape), variable.size_bytes)
        for variable in source.variables[:MOST_ROWS]
    ]
    more = len(source.variables) - len(rows)
    title = (
        f"Variables ({len(source.variables)})"
        if not more
        else f"Variables (the first {len(rows)} of {len(source.variables)})"
    )
    return Table(title, ("name", "dtype", "shape", "size_bytes"), tuple(rows))


def candidates_table(candidates: Candidates, role: str) -> Table:
    """The candidates for inputs or outputs, best first, each with its reasons.

    Args:
        candidates: The candidates.
        role: ``inputs`` or ``outputs``.
    """
    ranked = candidates.inputs if role == "inputs" else candidates.outputs
    rows = [
        (one.key, one.tensor_name, tensor_type(one.dtype, one.shape), "; ".join(one.reasons))
        for one in ranked[:MOST_ROWS]
    ]
    return Table(f"Candidates for {role}", ("key", "tensor_name", "tensor", "why"), tuple(rows))


def constants_table(candidates: Candidates) -> Table:
    """The placeholders that only training changes, with the value that each gets for answering."""
    rows = [
        (
            one.key,
            one.tensor_name,
            tensor_type(one.dtype, one.shape),
            None if one.value is None else str(one.value),
            one.reason,
        )
        for one in candidates.constants[:MOST_ROWS]
    ]
    return Table(
        "Placeholders that only training changes", ("key", "tensor_name", "tensor", "value", "why"), tuple(rows)
    )


def layers_table(layers: Sequence[tuple[str, str]]) -> Table:
    """The layers of a Keras model, each of which can be an output."""
    return Table("Layers, each of which can be an output", ("layer", "class"), tuple(layers))


def source_text(source: Source) -> str:
    """What a source is, as lines of text."""
    lines = [f"{printable_name(str(source.path), 4000)} {source.title}"]
    if source.facts:
        width = max(len(label) for label, _ in source.facts)
        lines += [f"  {label.ljust(width)}  {printable_name(value, 400)}" for label, value in source.facts]
    lines += dict.fromkeys(need.sentence for need in source.needs)
    if source.problem:
        lines.append(source.problem)
    return "\n".join(lines)


def candidates_tables(candidates: Candidates) -> tuple[Table, ...]:
    """All that could be asked for, a table for each role."""
    tables = [candidates_table(candidates, "inputs"), candidates_table(candidates, "outputs")]
    return (*tables, constants_table(candidates)) if candidates.constants else tuple(tables)


def candidates_text(candidates: Candidates) -> str:
    """What could be asked for, as tables of text."""
    return "\n\n".join(table_text(table) for table in candidates_tables(candidates))


def source_html(source: Source) -> Markup:
    """What a source is, as HTML."""
    from explorer.render.html import table_element

    parts = [element("p", source_sentence(source))]
    if source.facts:
        parts.append(table_element(facts_table(source)))
    sentences = dict.fromkeys(need.sentence for need in source.needs)
    parts += [element("p", sentence, class_="smx-note") for sentence in sentences]
    if source.problem:
        parts.append(element("p", source.problem, class_="smx-error"))
    return join(parts)


def tensor_type(dtype: DType, shape: Shape) -> str:
    """A dtype and a shape as they stand in one cell."""
    return f"{dtype}{shape}"


def shape_text(shape: tuple[int, ...] | None) -> str:
    """The shape of a variable as it stands in a cell."""
    return "[unknown rank]" if shape is None else f"[{', '.join(map(str, shape))}]"
