"""Which ops run behind some nodes: in the functions that they call, loops and branches in those included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from explorer.savedmodel.function_library import LARGE_FUNCTION, keep_signature
from explorer.savedmodel.graph import Graph
from explorer.savedmodel.object_graph import node_message, read_outline
from explorer.savedmodel.overlay import BytesSource, Document

_MOST_NAMES = 20
_PLAIN = frozenset({"Const", "Identity", "NoOp", "Placeholder"})
_KEPT = "ops of the function"


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
        pending += _named(message, graph.function)
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


def written_function(function: Any, knows: Callable[[str], object]) -> Document:
    """The bytes of a FunctionDef that an edit made; with those of a large one is kept what the message tells.

    An edit that clones a function of 50,000 nodes has them all in hand. Who checks the model after it need not find
    them out again from the bytes.

    Args:
        function: The message.
        knows: Gives something for the name of a function that there is or will be, None for others.
    """
    source = BytesSource(function.SerializeToString(deterministic=True))
    if source.size >= LARGE_FUNCTION:
        keep_signature(source, function.signature.SerializeToString())
        source.derived[_KEPT] = _body_of(function, knows)
    return Document.of(source)


def _body(graph: Graph, name: str) -> _Body:
    known = graph.derived.get(("ops", name))
    if isinstance(known, _Body):
        return known
    function = graph.function(name)
    source = None if function is None else function.source
    body = None if source is None else source.derived.get(_KEPT)
    if not isinstance(body, _Body):
        body = _body_of(read_outline(graph, name), graph.function)
    graph.derived["ops", name] = body
    return body


def _body_of(function: Any, knows: Callable[[str], object]) -> _Body:
    ops: dict[str, list[str]] = {}
    functions: dict[str, None] = {}
    for node in function.node_def:
        named = ops.setdefault(node.op, [])
        if len(named) < _MOST_NAMES:
            named.append(node.name)
        for called in _named(node, knows):
            functions[called] = None
    return _Body({op: tuple(names) for op, names in ops.items()}, tuple(functions))


def _named(node: Any, knows: Callable[[str], object]) -> list[str]:
    """The functions that a node names: what it calls, and the bodies in its attributes."""
    names = [node.op] if knows(node.op) is not None else []
    if node.op in _PLAIN:
        return names
    for value in node.attr.values():
        kind = value.WhichOneof("value")
        if kind == "func":
            names.append(value.func.name)
        elif kind == "list" and value.list.func:
            names += [function.name for function in value.list.func]
    return [name for name in names if knows(name) is not None]
