"""A second copy of the nodes between some tensors of a TensorFlow 1 graph and others, which gets other values.

Variables, tables and constants are shared: only what depends on the replaced tensors is copied, under names that begin
with a scope of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from explorer.editing.dependent_nodes import ENTERS, dependent_nodes, is_answered
from explorer.editing.two_truths import Functions
from explorer.editing.writing import unused_node
from explorer.errors import UnsupportedEditError, quoted
from explorer.savedmodel.graph import Graph, split_tensor_name
from explorer.savedmodel.object_graph import node_message

_SHARED: Final = "shared_name"
_FRAME: Final = "frame_name"
_COLOCATED: Final = b"loc:@"


@dataclass(frozen=True, slots=True)
class Clones:
    """What was cloned.

    Attributes:
        nodes: The new NodeDefs.
        names: Node → its copy.
        replaced: Tensor name → the edge that takes its place.
        fed: The names of tensors that requests feed, whose consumers take them as before.
    """

    nodes: list[Any]
    names: Mapping[str, str]
    replaced: Mapping[str, str]
    fed: frozenset[str]

    def edge(self, edge: str) -> str:
        """What an edge of the graph is in the copy."""
        name, index = split_tensor_name(edge)
        tensor = f"{name}:{index or 0}"
        if tensor in self.fed:
            return edge
        if tensor in self.replaced:
            return self.replaced[tensor]
        return edge if name not in self.names else self.names[name] + edge[len(name) :]

    def tensor(self, tensor_name: str) -> str:
        """The name of the tensor of the copy for one of the graph."""
        edge = self.edge(tensor_name)
        return edge if split_tensor_name(edge)[1] is not None else f"{edge}:0"


def clone_nodes(
    functions: Functions,
    replaced: Mapping[str, str],
    fed: Collection[str],
    wanted: Iterable[str],
    scope: str,
    taken: set[str],
) -> Clones:
    """Copies what leads from replaced tensors to others.

    Args:
        functions: The meta graph.
        replaced: Tensor name → the edge that takes its place in the copy.
        fed: The names of tensors that requests feed.
        wanted: The names of the tensors that are asked for.
        scope: What the names of the copies shall begin with.
        taken: Names of nodes that an edit has given; those of the copies are added.

    Raises:
        UnsupportedEditError: One of the nodes holds something that others share with it.
    """
    graph = functions.graph
    found = dependent_nodes(graph, replaced, fed, wanted)
    prefix = _unused_scope(functions, scope, taken) if found else ""
    names = {name: f"{prefix}/{name}" for name in graph.nodes if name in found}
    taken.update(names.values())
    clones = Clones([], names, dict(replaced), frozenset(fed))
    clones.nodes.extend(_clone(graph, name, clones, prefix) for name in names)
    return clones


def _clone(graph: Graph, name: str, clones: Clones, prefix: str) -> Any:
    node = node_message(graph.nodes[name])
    op = graph.op_def(node.op)
    if _SHARED in node.attr or (op is not None and _SHARED in op.defaults):
        raise UnsupportedEditError(
            f"the node {quoted(name)} ({node.op}) runs after the input that the step feeds and holds something that "
            "others share with it, so there can't be a second one; wrap a signature that doesn't need it"
        )
    node.name = clones.names[name]
    data = [clones.edge(edge) for edge in node.input if edge[:1] != "^"]
    order = [_control_edge(graph, edge, clones) for edge in node.input if edge[:1] == "^"]
    node.ClearField("input")
    node.input.extend([*data, *dict.fromkeys(order)])
    if node.op in ENTERS and _FRAME in node.attr:
        node.attr[_FRAME].s = f"{prefix}/".encode() + node.attr[_FRAME].s
    if "_class" in node.attr:
        places = [_place(place, clones) for place in node.attr["_class"].list.s]
        node.attr["_class"].list.s[:] = places
    return node


def _control_edge(graph: Graph, edge: str, clones: Clones) -> str:
    name = edge[1:]
    if name in clones.names:
        return f"^{clones.names[name]}"
    if is_answered(graph, edge, clones.replaced) and not is_answered(graph, edge, clones.fed):
        return f"^{split_tensor_name(clones.replaced[f'{name}:0'])[0]}"
    return edge


def _place(place: bytes, clones: Clones) -> bytes:
    """A constraint that puts a node beside another one, or beside that one's copy."""
    name = place.removeprefix(_COLOCATED).decode("utf-8", "replace")
    is_copied = place.startswith(_COLOCATED) and name in clones.names
    return _COLOCATED + clones.names[name].encode() if is_copied else place


def _unused_scope(functions: Functions, wanted: str, taken: set[str]) -> str:
    """A name that no node has, nor any scope."""
    while True:
        scope = unused_node(functions, wanted, taken)
        if not any(name.startswith(f"{scope}/") for name in (*functions.graph.nodes, *taken)):
            return scope
