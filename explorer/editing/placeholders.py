"""A placeholder of a TensorFlow 1 graph that is given a value of its own: it becomes a ``PlaceholderWithDefault``.

Name, dtype and shape stay, so every signature that feeds it is as it was; one that leaves it out gets the default.
A graph has one default per placeholder.
"""

from __future__ import annotations

from typing import Any

from explorer.editing.editable import document_of
from explorer.errors import EditError, UnsupportedEditError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.graph import PLACEHOLDER_OPS, Graph, split_tensor_name
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.object_graph import node_message
from explorer.savedmodel.overlay import Change, replacement
from explorer.savedmodel.reader import GRAPH_DEF, fields_of

_NODE = 1  # graph.proto, GraphDef.node
_SCAN_WINDOW = 1 << 17


def placeholder_message(graph: Graph, tensor_name: str | None, what: str) -> Any:
    """The NodeDef of the placeholder that an input feeds.

    Args:
        graph: The graph.
        tensor_name: The tensor of the input.
        what: The input, as it stands in a sentence.

    Raises:
        UnsupportedEditError: The input feeds something else.
    """
    name, index = split_tensor_name(tensor_name or "")
    node = graph.nodes.get(name)
    if node is None or index != 0 or (node.op not in PLACEHOLDER_OPS and node.op != "PlaceholderWithDefault"):
        found = (
            "no tensor of the graph" if node is None else f"a tensor that the node {quoted(name)} ({node.op}) computes"
        )
        raise UnsupportedEditError(f"{what} feeds {found}; only a placeholder can be given a value of its own")
    return node_message(node)


def given_default(meta_graph: MetaGraph, graph: Graph, message: Any, edge: str) -> list[Change]:
    """The changes that let a placeholder take its value from an edge where nobody feeds it.

    Args:
        meta_graph: The meta graph.
        graph: Its graph.
        message: The placeholder's NodeDef; it is changed.
        edge: The edge.

    Raises:
        EditError: The placeholder has another default already.
    """
    name = message.name
    if message.op == "PlaceholderWithDefault":
        raise EditError(
            f"the placeholder {quoted(name)} has a default value in the graph already, and a graph holds only one; "
            "another signature needs a placeholder of its own"
        )
    message.op = "PlaceholderWithDefault"
    message.input.insert(0, edge)
    if "shape" not in message.attr:
        message.attr["shape"].shape.unknown_rank = True
    return [replaced_node(meta_graph, graph, message)]


def replaced_node(meta_graph: MetaGraph, graph: Graph, message: Any) -> Change:
    """The change that puts a NodeDef in the place of the node with its name."""
    document = document_of(meta_graph)
    position = graph.nodes[message.name].position
    for field in fields_of(document, meta_graph.field, GRAPH_DEF):
        size = field.end - field.value_start
        if position > size:
            position -= size
            continue
        target = field.value_start + position
        for node in wire.scan(document, field, _SCAN_WINDOW):
            if node.value_start == target and node.number == _NODE:
                return replacement(node, wire.encode_field(_NODE, message.SerializeToString(deterministic=True)))
    raise AssertionError(message.name)
