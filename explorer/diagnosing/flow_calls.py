"""Which functions a node of a flow runs: what it calls, and the bodies that it is given in its attributes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from explorer.diagnosing.flow_bodies import ENDS, Body, Called
from explorer.savedmodel.graph import Graph, split_tensor_name
from explorer.savedmodel.inner_tensors import CALL_OPS
from explorer.savedmodel.object_graph import node_message

_PLAIN = frozenset({"Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp", "VarHandleOp"})
_CALLS = CALL_OPS | {"TPUPartitionedCall"}


def called_functions(graph: Graph, body: Body, number: int) -> tuple[Called, ...]:
    """The functions that a node names, in the order in which one would tell of them; none for most nodes."""
    known = body.known_calls.get(number)
    if known is None:
        known = body.known_calls[number] = tuple(_called(graph, body, number))
    return known


def is_call(op: str, called: Sequence[Called]) -> bool:
    """Whether a node calls one function and is nothing else: what it takes and gives is what the function does."""
    return len(called) == 1 and (op in _CALLS or called[0].role == "")


def node_of(graph: Graph, body: Body, number: int) -> Any:
    """The ``NodeDef`` of a node, of a function without its large attributes; None for what is no node."""
    if body.definition is not None:
        return body.messages.get(number)
    node = graph.nodes.get(
        split_tensor_name(body.fed_tensors[number])[0] if number in body.fed_tensors else body.names[number]
    )
    return None if node is None or body.kinds[number] in ENDS else node_message(node)


def _called(graph: Graph, body: Body, number: int) -> Iterable[Called]:
    op = body.ops[number]
    if op in _PLAIN or not op or body.kinds[number] in ENDS:
        return
    if not graph.function_count:
        return
    if graph.function(op) is not None:
        yield Called("", op)
        return
    message = node_of(graph, body, number)
    if message is None:
        return
    found = []
    for role, value in message.attr.items():
        found += [Called(role if place is None else f"{role}[{place}]", name) for place, name in _names(value)]
    known = [one for one in found if graph.function(one.function) is not None]
    yield from sorted(known, key=lambda one: (_RANKS.get(one.role, 9), one.role.partition("[")[0], len(one.role), one))


_RANKS: Final = {"cond": 0, "body": 1, "then_branch": 0, "else_branch": 1, "f": 0}


def _names(value: Any) -> Iterable[tuple[int | None, str]]:
    """The functions in an attribute: its value, those of its list, and what these are given in turn."""
    kind = value.WhichOneof("value")
    if kind == "func":
        yield None, value.func.name
        pending = list(value.func.attr.values())
    elif kind == "list" and value.list.func:
        pending = []
        for place, function in enumerate(value.list.func):
            yield place, function.name
            pending += list(function.attr.values())
    else:
        return
    for inner in pending:
        for _, name in _names(inner):
            yield None, name
