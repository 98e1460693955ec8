"""The variables of a graph, and under which keys of a checkpoint they lie.

A saver of TensorFlow 1 stores a variable under the name of its node, and all parts of a partitioned variable under the
name that the parts share. Where a graph comes with more (the collection of its variables, the nodes of its own saver),
that says it; else the names do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from explorer.savedmodel.constants import REF_OFFSET
from explorer.savedmodel.graph import Graph, Node
from explorer.savedmodel.model import DType, MetaGraph, Shape
from explorer.savedmodel.object_graph import parsed
from explorer.savedmodel.reader import COLLECTION_DEF, fields_of, map_entry
from explorer.savedmodel.wire import payload

REF_OPS: Final = frozenset({"Variable", "VariableV2"})
"""Ops whose output is a reference to the variable's memory."""

HANDLE_OP: Final = "VarHandleOp"
"""The op whose output is a handle."""

_COLLECTIONS: Final = ("variables", "local_variables", "model_variables", "trainable_variables")
_HIGHEST_RANK: Final = 254  # TensorShape::MaxDimensions of tensorflow/core/framework/tensor_shape.h
_PART = re.compile(r"(.+)/part_(\d{1,9})(/.+)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a checkpoint the value of a variable lies.

    Attributes:
        key: The key.
        whole: The shape of what lies there, where the variable is a part of it; else None.
        starts: Where the part begins in each dimension.
    """

    key: str
    whole: tuple[int, ...] | None = None
    starts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphVariable:
    """A variable of a graph.

    Attributes:
        node: The name of its node.
        op: The op of that: one of ``REF_OPS``, or ``HANDLE_OP``.
        dtype: The dtype of its values.
        shape: Their shape; of unknown rank where the graph doesn't say.
        places: Where its value may lie, the likeliest first.
    """

    node: str
    op: str
    dtype: DType
    shape: Shape
    places: tuple[Place, ...]

    def __str__(self) -> str:
        return f"{self.dtype}{self.shape}"


def graph_variables(meta_graph: MetaGraph, graph: Graph, saved: Mapping[str, Place]) -> tuple[GraphVariable, ...]:
    """The variables of a graph.

    Args:
        meta_graph: The meta graph; its collections say how variables are partitioned.
        graph: Its graph.
        saved: Node of a variable → where the graph's own saver reads it, as far as that is known.

    Returns:
        The variables, in file order.
    """
    declared = _declared(meta_graph)
    found = [
        _variable(node, [place for place in (saved.get(node.name), declared.get(node.name)) if place is not None])
        for node in graph.nodes.values()
        if node.op in REF_OPS or node.op == HANDLE_OP
    ]
    parts = _parts(found)
    return tuple(replace(one, places=(*one.places, *parts[one.node])) if one.node in parts else one for one in found)


def _variable(node: Node, places: list[Place]) -> GraphVariable:
    attrs = node.attrs
    number = (attrs["dtype"].type_number() if "dtype" in attrs else None) or 0
    shape = attrs["shape"].shape() if "shape" in attrs else None
    shared = (attrs["shared_name"].text() if "shared_name" in attrs else None) or b""
    names = [node.name, shared.decode("utf-8", "replace")]
    places += [Place(name) for name in names if name]
    return GraphVariable(
        node.name,
        node.op,
        DType(number % REF_OFFSET),
        Shape(None) if shape is None else shape,
        tuple(dict.fromkeys(places)),
    )


def _declared(meta_graph: MetaGraph) -> dict[str, Place]:
    """What the collections say of partitioned variables: node → place."""
    document = meta_graph.document
    assert document is not None
    found: dict[str, Place] = {}
    for entry in fields_of(document, meta_graph.field, COLLECTION_DEF):
        name, _, value = map_entry(document, entry)
        if name not in _COLLECTIONS or value is None:
            continue
        collection = parsed("tensorflow.CollectionDef", payload(document, value), "a collection of variables")
        for data in collection.bytes_list.value:
            variable = parsed("tensorflow.VariableDef", data, "a variable in a collection")
            if variable.HasField("save_slice_info_def"):
                info = variable.save_slice_info_def
                place = Place(info.full_name, tuple(info.full_shape), tuple(info.var_offset))
                found.setdefault(variable.variable_name.partition(":")[0], place)
    return found


def _parts(variables: Iterable[GraphVariable]) -> dict[str, list[Place]]:
    """The parts of partitioned variables by their names: ``w/part_0`` and ``w/part_1`` lie under ``w``.

    Slots of an optimizer are called after them: ``w/part_0/Adam`` lies under ``w/Adam``.

    A variable is partitioned along one dimension, in which its parts follow each other
    (``tensorflow/python/ops/partitioned_variables.py``).
    """
    groups: dict[str, dict[int, GraphVariable]] = {}
    for variable in variables:
        name = _PART.fullmatch(variable.node)
        if name is not None and variable.shape.dims is not None and None not in variable.shape.dims:
            groups.setdefault(name[1] + (name[3] or ""), {})[int(name[2])] = variable
    found: dict[str, list[Place]] = {}
    for key, parts in groups.items():
        if sorted(parts) == list(range(len(parts))):
            _place_parts(key, [parts[number] for number in range(len(parts))], found)
    return found


def _place_parts(key: str, parts: list[GraphVariable], found: dict[str, list[Place]]) -> None:
    """Adds where the parts of one variable lie; equal parts don't show along which dimension they were cut."""
    shapes = [tuple(size or 0 for size in part.shape.dims or ()) for part in parts]
    rank = len(shapes[0])
    if rank > _HIGHEST_RANK or any(len(shape) != rank for shape in shapes):
        return
    differ = [axis for axis in range(rank) if len({shape[axis] for shape in shapes}) > 1]
    for axis in range(rank):
        if differ not in ([], [axis]):
            continue
        total = sum(shape[axis] for shape in shapes)
        whole = tuple(total if at == axis else size for at, size in enumerate(shapes[0]))
        position = 0
        for part, shape in zip(parts, shapes, strict=True):
            starts = tuple(position if at == axis else 0 for at in range(rank))
            found.setdefault(part.node, []).append(Place(key, whole, starts))
            position += shape[axis]
