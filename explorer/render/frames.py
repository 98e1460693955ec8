"""Tables as pandas DataFrames, names in them as the model holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from explorer.render.special import special_view
from explorer.render.tables import (
    Table,
    changes_table,
    findings_table,
    meta_graphs_table,
    signatures_table,
    tensor_table,
    tensors_table,
)
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, TensorInfo

if TYPE_CHECKING:
    import pandas as pd


def to_frame(thing: object) -> pd.DataFrame:
    """Makes a DataFrame.

    Args:
        thing: A SavedModel (its meta graphs), MetaGraph (its signatures), Signature (its inputs and outputs),
            TensorInfo, Table, Verdict, Proof, or a sequence of findings or of changes.

    Returns:
        One row a thing, columns in snake case; whole numbers stay whole where some are missing (``Int64``).

    Raises:
        TypeError: It is something else.
    """
    import pandas as pd

    if (special := special_view(thing)) is not None:
        return special.frame(thing)
    table = as_table(thing)
    frame = pd.DataFrame(list(table.rows), columns=list(table.columns))
    for position, column in enumerate(table.columns):
        cells = [row[position] for row in table.rows]
        if None in cells and any(isinstance(cell, int) for cell in cells):
            frame[column] = pd.Series(cells, dtype="Int64")
    return frame


def as_table(thing: object) -> Table:
    """The table that shows a thing best; arguments and errors as for :func:`to_frame`."""
    if isinstance(thing, Table):
        return thing
    if isinstance(thing, SavedModel):
        return meta_graphs_table(thing)
    if isinstance(thing, MetaGraph):
        return signatures_table(thing)
    if isinstance(thing, Signature):
        return tensors_table(thing)
    if isinstance(thing, TensorInfo):
        return tensor_table(thing)
    if isinstance(thing, list | tuple) and thing:
        from explorer.checking.findings import Finding
        from explorer.editing.diff import Change

        if all(isinstance(item, Finding) for item in thing):
            return findings_table(thing)
        if all(isinstance(item, Change) for item in thing):
            return changes_table(thing)
    raise TypeError(f"a {type(thing).__name__} has no table")
