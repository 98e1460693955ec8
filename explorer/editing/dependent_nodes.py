"""The nodes of a TensorFlow 1 graph that compute something else once some of its tensors are replaced.

These are the nodes between the replaced tensors and the answers. Two things can't be had in part: a loop that is
written with nodes, whose frame belongs to all of it, and the arrays and stacks that such a loop fills.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from explorer.savedmodel.graph import PLACEHOLDER_OPS, Graph, input_node, split_tensor_name

ENTERS: Final = frozenset({"Enter", "RefEnter"})
"""The ops that lead into a loop; their attribute ``frame_name`` tells one loop from another."""

_EXITS: Final = frozenset({"Exit", "RefExit"})
_FILLED: Final = frozenset({"TensorArray", "TensorArrayV2", "TensorArrayV3", "Stack", "StackV2"})
_DEEPEST: Final = 50  # loops in loops, as in explorer.savedmodel.loops


def dependent_nodes(graph: Graph, replaced: Collection[str], fed: Collection[str], wanted: Iterable[str]) -> set[str]:
    """The nodes that some tensors depend on and that depend on replaced ones.

    Args:
        graph: The graph.
        replaced: The names of the tensors that get other values.
        fed: The names of tensors that a request feeds: what leads to them isn't needed.
        wanted: The names of the tensors that are asked for.

    Returns:
        The names of the nodes.
    """
    needed = _leading_to(graph, wanted, {*replaced, *fed})
    found = _following(graph, _takers(graph, replaced, fed), needed, fed)
    loops = [loop & needed for loop in _loops(graph)]
    filled = [name for name in needed if graph.nodes[name].op in _FILLED]
    consumers = graph.consumers()
    while True:
        more: set[str] = set()
        for loop in loops:
            if not loop.isdisjoint(found):
                more |= _following(graph, loop, needed, fed)
        for name in filled:
            if name not in found and not found.isdisjoint(consumers.get(name, ())):
                more |= _following(graph, [name], needed, fed)
        if more <= found:
            return found
        found |= more


def _leading_to(graph: Graph, wanted: Iterable[str], ends: Collection[str]) -> set[str]:
    """The nodes that some tensors depend on, beyond certain tensors not looked at."""
    found: set[str] = set()
    pending = list(wanted)
    while pending:
        edge = pending.pop()
        if _tensor_of(edge) in ends or is_answered(graph, edge, ends):
            continue
        name = input_node(edge)
        node = graph.nodes.get(name)
        if node is not None and name not in found:
            found.add(name)
            pending += node.inputs
    return found


def _takers(graph: Graph, replaced: Collection[str], fed: Collection[str]) -> list[str]:
    """The nodes that take a replaced tensor, or run after a placeholder that is replaced."""
    consumers = graph.consumers()
    found: dict[str, None] = {}
    for tensor in replaced:
        for name in consumers.get(split_tensor_name(tensor)[0], ()):
            if any(
                _tensor_of(edge) == tensor or is_answered(graph, edge, {tensor}) for edge in graph.nodes[name].inputs
            ):
                found[name] = None
    return list(found)


def _following(graph: Graph, names: Iterable[str], among: Collection[str], fed: Collection[str]) -> set[str]:
    """Some nodes and all that depend on them, among others, but not by way of tensors that a request feeds."""
    consumers = graph.consumers()
    found = {name for name in names if name in among}
    pending = list(found)
    while pending:
        source = pending.pop()
        for name in consumers.get(source, ()):
            if name in among and name not in found and _depends(graph, name, source, fed):
                found.add(name)
                pending.append(name)
    return found


def _depends(graph: Graph, name: str, source: str, fed: Collection[str]) -> bool:
    """Whether a node takes something of another one, or runs after it, that no request gives."""
    edges = [edge for edge in graph.nodes[name].inputs if input_node(edge) == source]
    return any(_tensor_of(edge) not in fed and not is_answered(graph, edge, fed) for edge in edges)


def is_answered(graph: Graph, edge: str, tensors: Collection[str]) -> bool:
    """Whether an edge only waits for a placeholder that one of some tensors takes the place of.

    See https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/graph/subgraph.cc.
    """
    if edge[:1] != "^" or f"{edge[1:]}:0" not in tensors:
        return False
    node = graph.nodes.get(edge[1:])
    return node is not None and node.op in PLACEHOLDER_OPS


def _loops(graph: Graph) -> list[set[str]]:
    """The nodes of every loop, from where it is entered to where it is left; loops in it are parts of it."""
    entries: dict[bytes, list[str]] = {}
    for node in graph.nodes.values():
        if node.op in ENTERS:
            frame = node.attrs.get("frame_name")
            entries.setdefault((frame.text() if frame is not None else None) or b"", []).append(node.name)
    return [_loop(graph, names) for names in entries.values()]


def _loop(graph: Graph, entries: Iterable[str]) -> set[str]:
    consumers = graph.consumers()
    pending = [(name, 1) for name in entries]
    seen = set(pending)
    while pending:
        name, depth = pending.pop()
        if graph.nodes[name].op in _EXITS:
            depth -= 1
        if depth == 0:
            continue
        for consumer in consumers.get(name, ()):
            deeper = min(depth + (graph.nodes[consumer].op in ENTERS), _DEEPEST)
            if (consumer, deeper) not in seen:
                seen.add((consumer, deeper))
                pending.append((consumer, deeper))
    return {name for name, _ in seen}


def _tensor_of(edge: str) -> str:
    """The tensor that an edge brings; a name that no tensor has for one that only orders."""
    if edge[:1] == "^":
        return ""
    name, index = split_tensor_name(edge)
    return f"{name}:{index or 0}"
