"""Dimensions that a request has too few or too many of, against what the signature declares.

The server compares nothing of this; the graph's ops may refuse the tensor, or compute something else with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from explorer.errors import listed, quoted
from explorer.savedmodel.model import TensorInfo
from explorer.serving.lint.draft import Draft
from explorer.serving.lint.inputs import Cells
from explorer.serving.lint.shapes import (
    fits,
    leaves_unwrapped,
    leaves_wrapped,
    printable_sizes,
    within_list,
    without_first,
)
from explorer.serving.lint.tree import Node, moved, new_array, new_object

_Dims = tuple[int | None, ...]


def settle_rows(draft: Draft, rows: Node, cells: Cells, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Compares rows that all have one shape with the signature.

    Args:
        draft: The body.
        rows: The list under ``instances``.
        cells: Input key → its value in each row.
        shapes: Input key → the shape of one row's value.
    """
    assert draft.signature is not None
    inputs = draft.signature.inputs
    if any(info.shape.rank == 0 for info in inputs.values()):
        _settle_scalars(draft, rows, cells, shapes)
        return
    known = {key: info.shape.dims for key, info in inputs.items() if info.shape.dims is not None}
    if len(rows.items) == 1 and len(known) == len(inputs) and _settle_one_row(draft, rows, cells, shapes, known):
        return
    for key, dims in known.items():
        wanted, shape = dims[1:], shapes[key]
        if fits((len(cells[key]), *shape), dims):
            continue
        if len(shape) == len(wanted):
            _tell_sizes(draft, key, cells[key][0], (len(rows.items), *shape), inputs[key])
        elif len(inputs) == 1 and fits((len(rows.items), *shape), wanted):
            why = "the batch dimension is missing, so that each value counts as a row"
            whole = (len(rows.items), *shape)
            _report(draft, "missing_dimension", rows, key, inputs[key], whole, why, "a list was put around all")
            inner = new_array(rows.items, rows)
            rows.items = [inner]
        else:
            _bend(draft, key, cells[key], shape, wanted, inputs[key], (len(rows.items), *shape))


def settle_column(draft: Draft, key: str, value: Node, info: TensorInfo, shape: tuple[int, ...]) -> None:
    """Compares a column with the signature."""
    dims = info.shape.dims
    if dims is None or fits(shape, dims):
        return
    if len(shape) == len(dims):
        _tell_sizes(draft, key, value, shape, info)
    elif len(dims) == len(shape) + 1 and fits(shape, dims[1:]):
        why = "the first dimension, the batch, is missing"
        _report(draft, "missing_dimension", value, key, info, shape, why, "a list was put around it")
        within_list(value)
    else:
        _bend(draft, key, [value], shape, dims, info, shape)


def _bend(
    draft: Draft, key: str, values: list[Node], shape: tuple[int, ...], wanted: _Dims, info: TensorInfo,
    whole: tuple[int, ...],
) -> None:  # fmt: skip
    """Adds or removes one dimension of size 1 where that makes values fit."""
    bend: Callable[[Node], object] | None = None
    code = "extra_dimension" if len(shape) > len(wanted) else "missing_dimension"
    change = ""
    if shape[:1] == (1,) and fits(shape[1:], wanted):
        bend, change = without_first, "the outer list was removed"
    elif shape[-1:] == (1,) and fits(shape[:-1], wanted):
        bend, change = leaves_unwrapped, "the innermost lists were removed"
    elif wanted[-1:] == (1,) and fits(shape, wanted[:-1]):
        bend, change = leaves_wrapped, "a list was put around each value"
    why = "a dimension is missing" if code == "missing_dimension" else "there is a dimension too many"
    if abs(len(shape) - len(wanted)) != 1:
        why = "the number of dimensions is another"
    _report(draft, code, values[0], key, info, whole, why, change, "" if bend else f"'{key}' has other dimensions")
    if bend is not None:
        for value in values:
            bend(value)


def _settle_one_row(
    draft: Draft, rows: Node, cells: Cells, shapes: Mapping[str, tuple[int, ...]], known: Mapping[str, _Dims]
) -> bool:
    """One row some of whose values are whole tensors already; True where that explains all that doesn't fit."""
    assert draft.signature is not None
    inputs = draft.signature.inputs
    whole = [key for key, dims in known.items() if fits(shapes[key], dims)]
    if not whole or any(key not in whole and not fits((1, *shapes[key]), dims) for key, dims in known.items()):
        return False
    key, value = whole[0], cells[whole[0]][0]
    why = "the one row holds the whole batch, so that there is a dimension too many"
    if len(inputs) == 1:
        _report(
            draft, "extra_dimension", value, key, inputs[key], (1, *shapes[key]), why, "its elements became the rows"
        )
        if value.items:
            rows.items = value.items
        else:  # an empty batch, which rows can't be
            _become_columns(draft, rows, {key: value})
        return True
    sizes = {name: shapes[name][0] if name in whole else 1 for name in cells}
    if len(whole) < len(cells):
        why = f"rows give every input a batch dimension, and {listed(whole)} shall have none; only columns can say that"
    elif len(set(sizes.values())) > 1:
        said = ", ".join(f"'{name}' {size}" for name, size in sizes.items())
        why += f"; the sizes differ ({said}), which only columns can hold"
    change = "'instances' became 'inputs', one tensor an input"
    _report(draft, "extra_dimension", value, key, inputs[key], (1, *shapes[key]), why, change)
    columns = {
        name: values[0] if name in whole else new_array([moved(values[0])], values[0]) for name, values in cells.items()
    }
    _become_columns(draft, rows, columns)
    return True


def _become_columns(draft: Draft, rows: Node, columns: Mapping[str, Node]) -> None:
    value = next(iter(columns.values())) if len(columns) == 1 else new_object(columns.items(), rows)
    draft.root.members = [
        ("inputs", value) if name == "instances" else (name, other) for name, other in draft.root.members
    ]


def _settle_scalars(draft: Draft, rows: Node, cells: Cells, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Inputs that are scalars, which rows can't be: the server puts all rows into one tensor."""
    assert draft.signature is not None
    inputs = draft.signature.inputs
    key = next(key for key, info in inputs.items() if info.shape.rank == 0)
    can = len(rows.items) == 1 and all(not shapes[name] for name, info in inputs.items() if info.shape.rank == 0)
    _report(
        draft,
        "scalar_in_rows",
        cells[key][0],
        key,
        inputs[key],
        (len(rows.items), *shapes[key]),
        "rows always become a tensor with a batch dimension, and only columns can hold a scalar",
        "'instances' became 'inputs'" if can else "",
        "" if can else f"'{key}' takes one scalar a request; send each row in a request of its own, as columns",
    )
    if not can:
        return
    columns = {
        name: values[0] if inputs[name].shape.rank == 0 else new_array([moved(values[0])], values[0])
        for name, values in cells.items()
    }
    _become_columns(draft, rows, columns)


def _tell_sizes(draft: Draft, key: str, node: Node, shape: tuple[int, ...], info: TensorInfo) -> None:
    _report(draft, "wrong_size", node, key, info, shape, "a size is another", "", f"'{key}' needs other sizes")


def _report(
    draft: Draft, code: str, node: Node, key: str, info: TensorInfo, shape: tuple[int, ...], why: str, change: str,
    stop: str = "",
) -> None:  # fmt: skip
    draft.find(
        "warning",
        code,
        node,
        f"{quoted(key)} becomes {info.dtype}{printable_sizes(shape)}, and {info} is declared: {why}; the server "
        "doesn't compare shapes, but the model's ops may refuse it or compute something else",
        change=change,
        stop=stop,
        group=(code, key),
    )
