"""The values of a predict request against the signature: dtypes, ragged rows, dimensions too few and too many."""

from __future__ import annotations

from explorer.errors import quoted
from explorer.savedmodel.model import Signature
from explorer.serving.lint.draft import Draft
from explorer.serving.lint.inputs import Cells, column_cells, row_cells
from explorer.serving.lint.leaves import check_leaf, in_rest
from explorer.serving.lint.nesting import settle_column, settle_rows
from explorer.serving.lint.readers import text_readers
from explorer.serving.lint.shapes import MOST_RANK, Measured, measure, printable_sizes
from explorer.serving.lint.tree import Node, new_array, new_object

Measures = dict[str, list[Measured]]


def check_predict(draft: Draft) -> None:
    """Looks at the data of a body whose top level and signature are settled."""
    signature = draft.signature
    assert signature is not None
    rows, columns = draft.root.get("instances"), draft.root.get("inputs")
    if rows is not None and rows.kind == "array":
        if not rows.items:
            _settle_no_rows(draft, rows, signature)
            return
        cells = row_cells(draft, rows, signature)
        found = None if cells is None else _measured(draft, cells, signature)
        if cells is not None and found is not None and _rows_are_equal(draft, rows, cells, found):
            settle_rows(draft, rows, cells, {key: every[0].shape for key, every in found.items()})
    elif columns is not None:
        cells = column_cells(draft, columns, signature)
        if cells is not None and (found := _measured(draft, cells, signature)) is not None:
            for key, (value,) in cells.items():
                settle_column(draft, key, value, signature.inputs[key], found[key][0].shape)
            _tell_batch_sizes(draft, cells, signature)


def _settle_no_rows(draft: Draft, rows: Node, signature: Signature) -> None:
    draft.find(
        "error",
        "no_rows",
        rows,
        "'instances' is empty, and the server wants at least one row; an empty batch is possible in columns only",
        change="the empty batch was sent as columns",
    )
    empty = {key: new_array([], rows) for key in signature.inputs}
    value = next(iter(empty.values())) if len(empty) == 1 else new_object(empty.items(), rows)
    _replace_data(draft, "inputs", value)


def _replace_data(draft: Draft, key: str, value: Node) -> None:
    kept = [(name, other) for name, other in draft.root.members if name not in ("instances", "inputs")]
    draft.root.members = [*kept, (key, value)]


def _measured(draft: Draft, cells: Cells, signature: Signature) -> Measures | None:
    """Looks at every element; None where an input isn't rectangular, or can't be sent at all."""
    found: Measures = {}
    is_sound = True
    for key, values in cells.items():
        info = signature.inputs[key]
        readers = text_readers(draft.meta_graph, info)
        measures = [measure(value) for value in values]
        if not in_rest(info.dtype) or info.encoding != "name":
            is_sound = is_sound and not any(every.leaves for every in measures)
            if any(every.leaves for every in measures):
                _refuse_dtype(draft, key, signature, values[0])
            found[key] = measures
            continue
        for value, every in zip(values, measures, strict=True):
            if every.odd is not None:
                is_sound = False
                draft.find(
                    "error",
                    "ragged",
                    every.odd,
                    f"{every.odd.path} {every.why}; a tensor has no ragged rows, so pad them to one size, or send them "
                    "in requests of their own",
                    stop="rows of different sizes must be padded, and only you know with what",
                    group=("ragged", key),
                )
            elif len(every.shape) + 1 > MOST_RANK:
                is_sound = False
                draft.find(
                    "error",
                    "too_deep",
                    value,
                    f"the lists are nested {len(every.shape)} deep, and a tensor has at most {MOST_RANK} dimensions",
                    stop="a tensor can't have so many dimensions",
                    group=key,
                )
            for leaf in every.leaves:
                check_leaf(draft, key, leaf, info.dtype, readers)
        found[key] = measures
    return found if is_sound else None


def _refuse_dtype(draft: Draft, key: str, signature: Signature, node: Node) -> None:
    info = signature.inputs[key]
    what = f"the dtype {info.dtype}" if info.encoding == "name" else f"the encoding {info.encoding}"
    draft.find(
        "error",
        "dtype_not_in_rest",
        node,
        f"the input {quoted(key)} of the signature {quoted(signature.key)} has {what}, for which the server's REST API "
        "has no JSON form; send it by gRPC, or let the model take float32 and cast",
        stop=f"no JSON body can hold {info.dtype} for {quoted(key)}; send it by gRPC",
        group=key,
    )


def _rows_are_equal(draft: Draft, rows: Node, cells: Cells, found: Measures) -> bool:
    """Whether all rows have one shape; where they don't, those of another shape go into bodies of their own."""
    shapes = list(zip(*([every.shape for every in measures] for measures in found.values()), strict=True))
    if len(set(shapes)) <= 1:
        return True
    keys = list(found)
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for number, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(number)
    for number, shape in enumerate(shapes):
        if shape == shapes[0]:
            continue
        position = next(at for at, sizes in enumerate(shape) if sizes != shapes[0][at])
        key = keys[position]
        draft.find(
            "error",
            "ragged",
            cells[key][number],
            f"row {number} of '{key}' has the shape {printable_sizes(shape[position])}, and row 0 has "
            f"{printable_sizes(shapes[0][position])}; the rows of one request become one tensor, so all must have one "
            "shape: pad them, or send rows of another size in a request of their own",
            change=f"the rows were sorted by their shapes into {len(groups)} bodies",
            group=("ragged rows", key),
        )
    by_size = list(groups.values())
    items = rows.items
    # The first body holds the rows with the shape of the first; more_bodies holds the others.
    for numbers in by_size[1:]:
        members = [(key, value) for key, value in draft.root.members if key == "signature_name"]
        others = new_array([items[number] for number in numbers], rows)
        draft.more.append(new_object([*members, ("instances", others)], draft.root))
    rows.items = [items[number] for number in by_size[0]]
    return False


def _tell_batch_sizes(draft: Draft, cells: Cells, signature: Signature) -> None:
    sizes = {
        key: len(value.items)
        for key, (value,) in cells.items()
        if value.kind == "array"
        and signature.inputs[key].shape.rank
        and (signature.inputs[key].shape.dims or (0,))[0] is None
    }
    if len(set(sizes.values())) > 1:
        said = ", ".join(f"'{key}' {size}" for key, size in sizes.items())
        draft.find(
            "note",
            "batch_sizes",
            next(iter(cells.values()))[0],
            f"the first dimensions differ ({said}); the server doesn't compare them in columns, the model's ops may",
        )
