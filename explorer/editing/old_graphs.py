"""Placeholders of graphs that were made before a placeholder could be a scalar.

Up to version 21 of GraphDef the attribute ``shape`` of a placeholder that had none was written as that of a scalar, so
every such shape is taken for an unknown one
(https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/ops/array_ops.cc, ``Placeholder``).
"""

from __future__ import annotations

from typing import Final

from explorer.savedmodel import wire
from explorer.savedmodel.model import MetaGraph, Shape
from explorer.savedmodel.reader import GRAPH_DEF, fields_of

_VERSIONS, _PRODUCER = 4, 1  # graph.proto, GraphDef.versions; versions.proto, VersionDef.producer
_LAST_WITHOUT_SCALARS: Final = 21


def meant_shape(meta_graph: MetaGraph, shape: Shape) -> Shape:
    """The shape that a placeholder of a graph of TensorFlow 1 has, given the one that is written down."""
    if shape.dims == () and not meta_graph.has_object_graph and _producer(meta_graph) <= _LAST_WITHOUT_SCALARS:
        return Shape(None)
    return shape


def _producer(meta_graph: MetaGraph) -> int:
    """The version of GraphDef by which the graph was made; 0 where the file doesn't say."""
    document = meta_graph.document
    assert document is not None
    found = 0
    for graph in fields_of(document, meta_graph.field, GRAPH_DEF):
        for versions in fields_of(document, graph, _VERSIONS):
            for field in wire.scan(document, versions):
                if field.number == _PRODUCER and field.wire_type == wire.VARINT:
                    found = wire.signed(wire.number(document, field))
    return found
