"""Which ops run behind some nodes: in the functions that they call, loops and branches in those included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from explorer.savedmodel.graph import Graph
from explorer.savedmodel.object_graph import node_message, read_outline

_MOST_NAMES = 20
_PLAIN = frozenset({"Const", "Identity", "NoOp", "Placeholder"})


class _Body(NamedTuple):
    ops: Mapping[str, tuple[str, ...]]
    functions: tuple[str, ...]


def ops_behind(graph: Graph, nodes: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The ops in all functions that some nodes of a graph lead to.

    Args:
        graph: The graph.
        nodes: The names of nodes, calls of functions in most cases.

    Returns:
        Op → the names of some nodes of that op. The bodies of functions are read once while the file is open.

    Raises:
        FormatError: A function is corrupt.
    """
    found: dict[str, tuple[str, ...]] = {}
    pending: list[str] = []
    for name in nodes:
        message = node_message(graph.nodes[name])
        found.setdefault(message.op, (name,))
        pending += _named(graph, message)
    seen: set[str] = set()
    while pending:
        function = pending.pop()
        if function not in seen:
            seen.add(function)
            body = _body(graph, function)
            pending += body.functions
            for op, names in body.ops.items():
                found[op] = (*found.get(op, ()), *names)
    return found


def _body(graph: Graph, name: str) -> _Body:
    known = graph.derived.get(("ops", name))
    if isinstance(known, _Body):
        return known
    ops: dict[str, list[str]] = {}
    functions: dict[str, None] = {}
    for node in read_outline(graph, name).node_def:
        named = ops.setdefault(node.op, [])
        if len(named) < _MOST_NAMES:
            named.append(node.name)
        for called in _named(graph, node):
            functions[called] = None
    body = _Body({op: tuple(names) for op, names in ops.items()}, tuple(functions))
    graph.derived["ops", name] = body
    return body


def _named(graph: Graph, node: Any) -> list[str]:
    """The functions that a node names: what it calls, and the bodies in its attributes."""
    names = [node.op] if graph.function(node.op) is not None else []
    if node.op in _PLAIN:
        return names
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            names.append(value.func.name)
        elif kind == "list" and value.list.func:
            names += [function.name for function in value.list.func]
    return [name for name in names if graph.function(name) is not None]
