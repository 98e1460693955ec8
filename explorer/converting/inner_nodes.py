"""The nodes of a graph and of the functions in its library, as far as op and device go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from explorer.savedmodel import nodes
from explorer.savedmodel.graph import Graph
from explorer.savedmodel.records import iter_fields
from explorer.savedmodel.wire import LENGTH

# function.proto, FunctionDef
_NODE_DEF: Final = 3 << 3 | LENGTH
_OP: Final = nodes.OP << 3 | LENGTH
_DEVICE: Final = nodes.DEVICE << 3 | LENGTH


class Placed(NamedTuple):
    """What a node does, and where.

    Attributes:
        op: Its op.
        device: Where it was placed; mostly empty.
    """

    op: str
    device: str


def every_node(graph: Graph) -> Iterator[Placed]:
    """Every node of a graph, then those of its functions."""
    for node in graph.nodes.values():
        yield Placed(node.op, node.device)
    for name in graph.functions:
        function = graph.function(name)
        for tag, _, part in iter_fields(b"" if function is None else function.outline()):
            if tag == _NODE_DEF:
                yield _placed(part)


def _placed(node: memoryview) -> Placed:
    op = device = b""
    for tag, _, part in iter_fields(node):
        if tag == _OP:
            op = bytes(part)
        elif tag == _DEVICE:
            device = bytes(part)
    return Placed(op.decode("utf-8", "replace"), device.decode("utf-8", "replace"))
