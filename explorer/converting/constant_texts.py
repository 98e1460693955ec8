"""The texts that a constant of a graph holds: keys of a checkpoint, the path of a file."""

from __future__ import annotations

import math
from typing import Final

from explorer.savedmodel.edges import input_node
from explorer.savedmodel.graph import Graph
from explorer.savedmodel.object_graph import parsed

_PASSED_ON: Final = frozenset({"Identity", "PlaceholderWithDefault"})
_LARGEST: Final = 32 << 20
_MOST_TEXTS: Final = 1_000_000
_MOST_STEPS: Final = 10


def constant_of(graph: Graph, edge: str) -> str | None:
    """The name of the constant that an edge comes from, through nodes that pass it on; None where it is computed."""
    for _ in range(_MOST_STEPS):
        node = graph.nodes.get(input_node(edge))
        if node is None or node.op == "Const":
            return None if node is None else node.name
        if node.op not in _PASSED_ON or not node.inputs:
            return None
        edge = node.inputs[0]
    return None


def constant_texts(graph: Graph, edge: str) -> tuple[str, ...] | None:
    """The texts of the constant that an edge comes from, in row-major order; None where they can't be told.

    Raises:
        FormatError: The constant is corrupt.
    """
    name = constant_of(graph, edge)
    node = None if name is None else graph.nodes[name]
    if node is None or node.size_bytes > _LARGEST or (value := node.attrs.get("value")) is None:
        return None
    tensor = parsed("tensorflow.AttrValue", value.to_bytes(), "a constant").tensor
    count = math.prod(dim.size for dim in tensor.tensor_shape.dim)
    texts = [text.decode("utf-8", "backslashreplace") for text in tensor.string_val]
    if not 0 <= count <= _MOST_TEXTS or (count and not texts):
        return None
    # Of values that repeat at the end, a TensorProto holds the last one once.
    return (*texts[:count], *texts[-1:] * (count - len(texts)))
