"""Texts that a model can read: serialized ``tf.Example`` records with the features that it asks for, and small images.

Which features a model asks for stands in the nodes that parse them: ``ParseExample``, ``ParseExampleV2`` and
``ParseSingleExample`` of ``tensorflow/core/ops/parsing_ops.cc``.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer.savedmodel import constants, records, wire
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.reader import GRAPH_DEF, fields_of
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.wire import LENGTH

if TYPE_CHECKING:
    import numpy as np

_NODES, _LIBRARY = 1, 2  # graph.proto, GraphDef
_FUNCTION = 1  # function.proto, FunctionDefLibrary
_FUNCTION_NODE = 3 << 3 | LENGTH  # function.proto, FunctionDef
_PARSERS = ("ParseExample", "ParseExampleV2", "ParseSingleExample")
_LARGEST_NODE = 1 << 20
_MOST_ELEMENTS = 1_000_000
_SIDE = 16


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that a model asks for.

    Attributes:
        name: Its name in the record.
        dtype: The number of its dtype: ``float``, ``int64`` or ``string``.
        size: How many values it has.
    """

    name: str
    dtype: int
    size: int


def mentioned_ops(meta_graph: MetaGraph, names: Iterable[str]) -> frozenset[str]:
    """Which of some ops stand in a meta graph, in functions too; an op of a longer name that begins so counts as well.

    The list of ops in the file isn't asked: it lacks those of functions that only other functions call.
    """
    wanted = {name: name.encode() for name in names}
    found: set[str] = set()
    for data in _pieces(meta_graph):
        found.update(name for name, text in wanted.items() if name not in found and text in data)
    return frozenset(found)


def example_features(meta_graph: MetaGraph) -> tuple[Feature, ...]:
    """The features that a meta graph's parsing ops ask for, wherever in the graph they are."""
    found: dict[str, Feature] = {}
    for nodes in _scopes(meta_graph):
        for node in nodes.values():
            if node.op in _PARSERS:
                for feature in _features(node, nodes):
                    found.setdefault(feature.name, feature)
    return tuple(found.values())


def _pieces(meta_graph: MetaGraph) -> Iterator[bytes]:
    """The bytes of each function, and of each node that isn't a large constant."""
    for top, functions in _graphs(meta_graph):
        yield from top
        yield from functions


def _scopes(meta_graph: MetaGraph) -> Iterator[Mapping[str, Any]]:
    """The nodes by name of the graph, and of each function, that parses records."""
    for top, functions in _graphs(meta_graph):
        for data in functions:
            if b"Parse" in data:
                yield _nodes([bytes(node) for tag, _, node in records.iter_fields(data) if tag == _FUNCTION_NODE])
        nodes = list(top)
        if any(b"Parse" in node for node in nodes):
            yield _nodes(nodes)


def _graphs(meta_graph: MetaGraph) -> Iterator[tuple[Iterator[bytes], Iterator[bytes]]]:
    """The nodes and the functions of each GraphDef, as they are encoded."""
    document, field = meta_graph.document, meta_graph.field
    if document is None or field is None:
        return
    for graph in fields_of(document, field, GRAPH_DEF):
        nodes = fields_of(document, graph, _NODES)
        libraries = fields_of(document, graph, _LIBRARY)
        functions = [function for library in libraries for function in fields_of(document, library, _FUNCTION)]
        yield (
            (wire.payload(document, node) for node in nodes if node.end - node.start <= _LARGEST_NODE),
            (wire.payload(document, function) for function in functions),
        )


def _nodes(encoded: list[bytes]) -> Mapping[str, Any]:
    message = message_class("tensorflow.NodeDef")
    nodes: dict[str, Any] = {}
    for data in encoded:
        if len(data) <= _LARGEST_NODE:
            node: Any = message.FromString(data)
            nodes[node.name] = node
    return nodes


def _features(node: Any, nodes: Mapping[str, Any]) -> Iterator[Feature]:
    """The features of one parsing node."""
    dense_types = list(node.attr["Tdense"].list.type)
    shapes = [[dim.size for dim in shape.dim] for shape in node.attr["dense_shapes"].list.shape]
    sparse_types = list(node.attr["sparse_types"].list.type)
    ragged_types: list[int] = []
    if node.op == "ParseSingleExample":
        dense = [key.decode("utf-8", "replace") for key in node.attr["dense_keys"].list.s]
        sparse = [key.decode("utf-8", "replace") for key in node.attr["sparse_keys"].list.s]
        ragged: list[str] = []
    elif node.op == "ParseExample":
        first = 2 + node.attr["Nsparse"].i
        sparse = [name for edge in node.input[2:first] for name in _constant(edge, nodes)]
        dense = [name for edge in node.input[first : first + node.attr["Ndense"].i] for name in _constant(edge, nodes)]
        ragged = []
    else:
        sparse, dense, ragged = ([*_constant(edge, nodes)] for edge in node.input[2:5])
        ragged_types = list(node.attr["ragged_value_types"].list.type)
    for name, dtype, shape in zip(dense, dense_types, shapes, strict=False):
        yield Feature(name, dtype, math.prod(max(1, size) for size in shape))
    for name, dtype in (*zip(sparse, sparse_types, strict=False), *zip(ragged, ragged_types, strict=False)):
        yield Feature(name, dtype, 1)


def _constant(edge: str, nodes: Mapping[str, Any]) -> Iterator[str]:
    """The texts of the constant that an input comes from."""
    node = nodes.get(edge.partition(":")[0])
    if node is not None and node.op == "Const":
        for text in node.attr["value"].tensor.string_val:
            yield text.decode("utf-8", "replace")


def encoded_example(features: tuple[Feature, ...], random: np.random.Generator) -> bytes:
    """A serialized ``tf.Example`` with a random value for each feature (``tensorflow/core/example/feature.proto``)."""
    entries = []
    for feature in features:
        size = min(feature.size, _MOST_ELEMENTS)
        if feature.dtype == constants.DT_STRING:
            values = b"".join(wire.encode_field(1, f"text {number}") for number in random.integers(0, 5, size))
            kind = 1
        elif feature.dtype == constants.DT_FLOAT:
            values = wire.encode_field(1, random.uniform(-1, 1, size).astype("<f4").tobytes())
            kind = 2
        else:
            values = wire.encode_field(1, b"".join(wire.encode_varint(int(n)) for n in random.integers(0, 3, size)))
            kind = 3
        value = wire.encode_field(kind, values)
        entries.append(wire.encode_field(1, wire.encode_field(1, feature.name) + wire.encode_field(2, value)))
    return wire.encode_field(1, b"".join(entries))


def encoded_image(random: np.random.Generator) -> bytes:
    """A small PNG image in colour (https://www.w3.org/TR/png-3/)."""
    pixels = random.integers(0, 256, (_SIDE, _SIDE, 3), dtype="uint8")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
