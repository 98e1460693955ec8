"""The graph of a meta graph without TensorFlow: nodes, functions, tensors with dtype and shape, what depends on what.

Names and edges are read in one pass; dtypes and shapes are worked out when a tensor is asked for, from the definitions
and the ``_output_shapes`` that the file carries. Nothing here recurs, so a graph may be as deep as it likes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

from explorer.errors import FormatError
from explorer.savedmodel import records
from explorer.savedmodel.constants import DT_RESOURCE, DT_VARIANT
from explorer.savedmodel.edges import PLACEHOLDER_OPS, Edges, Needs, input_node, split_tensor_name
from explorer.savedmodel.function_library import Function, read_functions
from explorer.savedmodel.model import DType, MetaGraph, Shape
from explorer.savedmodel.nodes import Node, read_nodes
from explorer.savedmodel.op_defs import OP, UNKNOWN, OpDef, output_types, read_op_def
from explorer.savedmodel.overlay import Document, Piece
from explorer.savedmodel.reader import GRAPH_DEF, META_INFO_DEF, STRIPPED_OP_LIST, fields_of
from explorer.savedmodel.wire import LENGTH, Field

__all__ = [
    "HANDLES",
    "PLACEHOLDER_OPS",
    "FunctionInfo",
    "Graph",
    "GraphTensor",
    "Needs",
    "Node",
    "has_graph",
    "input_node",
    "name_rank",
    "read_graph",
    "split_tensor_name",
]

HANDLES: Final = frozenset({DT_RESOURCE, DT_VARIANT})
"""The dtypes of handles, which no request and no answer can hold."""

_MOST_GRAPHS_KEPT: Final = 8
_MOST_UNKNOWN: Final = 1000  # outputs of one node of an unknown op that are listed


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """An output of a node.

    Attributes:
        name: ``node:index``.
        dtype: Its dtype; number 0 where the file doesn't say.
        shape: Its shape; of unknown rank where the file doesn't say.
        op: The op of the node.
        node: The name of the node.
    """

    name: str
    dtype: DType
    shape: Shape
    op: str
    node: str

    def __str__(self) -> str:
        return f"{self.dtype}{self.shape}"


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """A function of the graph's library.

    Attributes:
        name: The name by which nodes call it.
        args: Name and dtype of each argument, captured values included.
        results: Name and dtype of each result.
    """

    name: str
    args: tuple[tuple[str, DType], ...]
    results: tuple[tuple[str, DType], ...]


def has_graph(meta_graph: MetaGraph) -> bool:
    """Whether there are bytes to read a graph from: not so for a model that was made by ``from_dict``."""
    return meta_graph.document is not None and meta_graph.field is not None


def read_graph(meta_graph: MetaGraph) -> Graph:
    """Reads the graph of a meta graph.

    Models that share the bytes of a graph, as a model does before and after an edit of its signatures, share one
    ``Graph``, which lives as long as they do.

    Args:
        meta_graph: One that was read from a file.

    Returns:
        The graph; an empty one where the file has none.

    Raises:
        FormatError: The graph is corrupt, or the meta graph was made from data.
    """
    document, field = meta_graph.document, meta_graph.field
    if document is None or field is None:
        raise FormatError("a meta graph that was made from data has no graph; open a SavedModel to read one")
    graph_def = _joined(document, fields_of(document, field, GRAPH_DEF))
    op_lists = [
        op_list
        for info in fields_of(document, field, META_INFO_DEF)
        for op_list in fields_of(document, info, STRIPPED_OP_LIST)
    ]
    with _reading:  # two threads that ask at once get one graph, too
        return _read_pieces(graph_def, _joined(document, op_lists))


class Graph:
    """A GraphDef with the op definitions that explain it. Made by :func:`read_graph`.

    Attributes:
        nodes: The nodes by name, in file order; of two with one name the last.
        node_count: How many nodes the file has.
        derived: What was worked out from single functions and is worth keeping, by a key of its maker. A graph that an
            edit appended to has the same functions and more, so it begins with what was known.
    """

    def __init__(self, document: Document, op_list: Document, before: Graph | None = None) -> None:
        self._document = document
        self._op_list = op_list
        known = before.nodes if before is not None else {}
        found = read_nodes(document, 0 if before is None else before._document.size)
        self.nodes: Mapping[str, Node] = MappingProxyType({**known, **found.nodes})
        self.node_count: int = found.node_count + (0 if before is None else before.node_count)
        self._libraries = found.libraries
        self._known_types: dict[str, tuple[DType, ...] | None] = {}
        self._edges: Edges = Edges(found.nodes, None if before is None else before._edges)
        self._earlier: Mapping[str, Function] = {}
        self.derived: dict[object, object] = {}
        if before is not None:
            self.derived = dict(before.derived)
            self._earlier = before._functions
            # What was of an unknown op may be known now.
            self._known_types = {name: types for name, types in before._known_types.items() if types is not None}

    def begins_with(self, document: Document, op_list: Document) -> bool:
        """Whether these bytes are a longer form of this graph: the same, and more behind."""
        return all(
            whole.pieces[: len(part.pieces)] == part.pieces
            for whole, part in ((document, self._document), (op_list, self._op_list))
        )

    @property
    def function_count(self) -> int:
        """How many functions the library has."""
        return len(self.functions)

    @cached_property
    def functions(self) -> Mapping[str, FunctionInfo]:
        """The functions of the library by name."""
        return MappingProxyType(
            {
                name: FunctionInfo(
                    name,
                    tuple((arg.name, DType(arg.type_number)) for arg in signature.inputs),
                    tuple((arg.name, DType(arg.type_number)) for arg in signature.outputs),
                )
                for name, (signature, *_) in self._functions.items()
            }
        )

    def tensor(self, tensor_name: str) -> GraphTensor | None:
        """The tensor with a name such as ``x:0``.

        Args:
            tensor_name: Node and index; a bare op name names no tensor.

        Returns:
            The tensor, or None where there is no such node or it has fewer outputs. Where the op is unknown, every
            index is believed.
        """
        name, index = split_tensor_name(tensor_name)
        node = self.nodes.get(name)
        if node is None or index is None:
            return None
        types = self._types(node)
        if types is not None and index >= len(types):
            return None
        return self._tensor(node, index, UNKNOWN if types is None else types[index])

    def output_count(self, node_name: str) -> int | None:
        """How many outputs a node has; None where there is no such node, or its op is unknown."""
        node = self.nodes.get(node_name)
        types = None if node is None else self._types(node)
        return None if types is None else len(types)

    def tensors(self) -> Iterator[GraphTensor]:
        """Every tensor, in file order; of a node with an unknown op those that the file mentions."""
        for node in self.nodes.values():
            for index, dtype in enumerate(self._mentioned_types(node)):
                yield self._tensor(node, index, dtype)

    def search(
        self,
        text: str,
        *,
        dtype: DType | None = None,
        shape: Shape | None = None,
        limit: int = 50,
        handles: bool = True,
    ) -> list[GraphTensor]:
        """Finds tensors by a part of their name or op, in any case of letters.

        Args:
            text: The part; with an index (``add:0``) it is a tensor of a node with that part.
            dtype: Only tensors of this dtype, references to it included.
            shape: Only tensors that can have this shape.
            limit: The most that are returned.
            handles: Whether handles of variables and tables are wanted too, which no request and no answer can hold.

        Returns:
            The tensors, best first: the name itself, the op itself, names that begin so, names with a part (between
            slashes) that begins so, then any others; among equals the shorter name.
        """
        if limit < 1:
            return []
        wanted = text.strip().lower()
        node_text, index = split_tensor_name(wanted)
        ranked = []
        for order, node in enumerate(self.nodes.values()):
            rank = name_rank(node_text, node.name.lower(), node.op.lower()) if node_text else 0
            if rank is not None:
                ranked.append((rank, len(node.name) if node_text else 0, order, node))
        ranked.sort(key=lambda entry: entry[:3])
        found: list[GraphTensor] = []
        for *_, node in ranked:
            for position, known in enumerate(self._mentioned_types(node)):
                if index not in (None, position) or (dtype is not None and known.base != dtype.base):
                    continue
                if not handles and known.base.number in HANDLES:
                    continue
                tensor = self._tensor(node, position, known)
                if shape is None or tensor.shape.is_compatible_with(shape):
                    found.append(tensor)
                    if len(found) >= limit:
                        return found
        return found

    def needs(self, tensor_names: Iterable[str], fed: Iterable[str]) -> Needs:
        """What some tensors need from outside, found by following data and control inputs back.

        A fed tensor takes the place of what computes it; a fed placeholder also answers for control inputs, as in
        https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/graph/subgraph.cc.

        Args:
            tensor_names: What is fetched.
            fed: The tensors that are fed.

        Returns:
            The placeholders that wait in vain, and the fed tensors that are used.
        """
        return self._edges.needs(tensor_names, fed)

    def function(self, name: str) -> Function | None:
        """A function of the library, None where there is none of that name."""
        return self._functions.get(name)

    def op_def(self, op: str) -> OpDef | None:
        """The definition of an op or the signature of a function, None where the file has neither."""
        found = self._ops.get(op)
        if found is None and (function := self._functions.get(op)) is not None:
            return function.signature
        return found

    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """For each node that others take something from, or run after, the names of those others."""
        return self._consumers

    @cached_property
    def _consumers(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for source in {input_node(edge) for edge in node.inputs}:
                found.setdefault(source, []).append(node.name)
        return MappingProxyType({name: tuple(names) for name, names in found.items()})

    @cached_property
    def _ops(self) -> Mapping[str, OpDef]:
        ops: dict[str, OpDef] = {}
        for tag, _, part in records.iter_fields(self._op_list.to_bytes()):
            if tag == OP << 3 | LENGTH:
                op = read_op_def(part)
                ops[op.name] = op
        return ops

    @cached_property
    def _functions(self) -> Mapping[str, Function]:
        return {**self._earlier, **read_functions(self._document, self._libraries)}

    @cached_property
    def _mentioned(self) -> Mapping[str, int]:
        """For each node whose tensors others take, one more than the largest index that they take."""
        largest: dict[str, int] = {}
        for node in self.nodes.values():
            for edge in node.inputs:
                if edge[:1] != "^":
                    name, index = split_tensor_name(edge)
                    if (index or 0) >= largest.get(name, 0):
                        largest[name] = (index or 0) + 1
        return largest

    def _types(self, node: Node) -> tuple[DType, ...] | None:
        """The dtypes of a node's outputs, None where its op is unknown; kept, because searches ask again and again."""
        try:
            return self._known_types[node.name]
        except KeyError:
            op = self.op_def(node.op)
            if op is None:
                types = None
            else:
                types = output_types(op, node.attrs.get) if op.outputs else ()
            return self._known_types.setdefault(node.name, types)

    def _mentioned_types(self, node: Node) -> tuple[DType, ...]:
        """The dtypes of a node's outputs, where its op is unknown of those that the file mentions."""
        types = self._types(node)
        if types is not None:
            return types
        shapes = node.attrs.get("_output_shapes")
        known = () if shapes is None else shapes.shapes() or ()
        return (UNKNOWN,) * max(len(known), min(self._mentioned.get(node.name, 0), _MOST_UNKNOWN))

    def _tensor(self, node: Node, index: int, dtype: DType) -> GraphTensor:
        attrs = node.attrs
        shape = None
        if "_output_shapes" in attrs:
            shape = attrs["_output_shapes"].shape_at(index)
        elif node.op in PLACEHOLDER_OPS and index == 0 and "shape" in attrs:
            shape = attrs["shape"].shape()
        return GraphTensor(f"{node.name}:{index}", dtype, Shape(None) if shape is None else shape, node.op, node.name)


def name_rank(text: str, name: str, op: str) -> int | None:
    """How well a part of a name fits a node, all in small letters: 0 is best, None is not at all.

    The name itself comes before the op itself, then names that begin so, names with a part (between slashes) that
    begins so, and any others.
    """
    if text in name:
        if text == name:
            return 0
        if name.startswith(text):
            return 2
        return 3 if f"/{text}" in name else 4
    if text in op:
        return 1 if text == op else 5
    return None


_reading = threading.RLock()


def _read_pieces(graph_def: tuple[Piece, ...], op_list: tuple[Piece, ...]) -> Graph:
    if not graph_def:
        return Graph(Document(()), Document(op_list))
    # Kept with the file that the graph begins in, so that both go when the last model over the file goes.
    kept = graph_def[0].source.derived
    graph = kept.get((graph_def, op_list))
    if not isinstance(graph, Graph):
        documents = Document(graph_def), Document(op_list)
        # Edits append to a graph, so the longest known one that it begins with saves reading that part again.
        known = [found for found in kept.values() if isinstance(found, Graph) and found.begins_with(*documents)]
        graph = Graph(*documents, max(known, key=lambda found: found.node_count, default=None))
        graphs = [key for key, found in kept.items() if isinstance(found, Graph)]
        if len(graphs) >= _MOST_GRAPHS_KEPT:
            del kept[graphs[0]]
        kept[graph_def, op_list] = graph
    return graph


def _joined(document: Document, fields: Iterable[Field]) -> tuple[Piece, ...]:
    """The payloads of some fields one after the other, which is how protobuf merges a message given in parts.

    Neighbouring ranges of one source become one, so that a graph is recognised however edits cut the file up.
    """
    pieces: list[Piece] = []
    for field in fields:
        for piece in document.slice(field.value_start, field.end):
            last = pieces[-1] if pieces else None
            if last is not None and last.source is piece.source and last.offset + last.length == piece.offset:
                pieces[-1] = Piece(last.source, last.offset, last.length + piece.length)
            else:
                pieces.append(piece)
    return tuple(pieces)
