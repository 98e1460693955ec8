"""Loops of TensorFlow 1 that are written with nodes of the graph (``Enter``, ``Merge``, ``NextIteration``, ``Exit``).

A tensor between ``Enter`` and ``Exit`` has a value for each turn of the loop, so a session can neither fetch nor feed
it; see https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/ops/control_flow_ops.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from explorer.savedmodel.graph import Graph

_ENTER: Final = frozenset({"Enter", "RefEnter"})
_EXIT: Final = frozenset({"Exit", "RefExit"})
_DEEPEST: Final = 50  # loops in loops; a circle through an Exit, which only a broken graph has, ends here


class _Step(NamedTuple):
    op: str
    inputs: Iterable[str]


def is_in_graph_loop(graph: Graph, node_name: str) -> bool:
    """Whether what a node of a graph gives has a value for each turn of a loop."""

    def step(name: str) -> _Step | None:
        node = graph.nodes.get(name)
        return None if node is None else _Step(node.op, node.inputs)

    return graph.op_def("Enter") is not None and _is_in_loop(node_name, step)


def is_in_function_loop(function: Any, node_name: str) -> bool:
    """Whether what a node of a function's body gives has a value for each turn of a loop in that body."""
    if not any(node.op in _ENTER for node in function.node_def):
        return False
    steps = {node.name: _Step(node.op, node.input) for node in function.node_def}
    return _is_in_loop(node_name, steps.get)


def _is_in_loop(node_name: str, step: Callable[[str], _Step | None]) -> bool:
    """Whether the way back from a node comes to an ``Enter`` that no ``Exit`` on the way belongs to."""
    pending, seen = [(node_name, 0)], {(node_name, 0)}
    while pending:
        name, loops_left = pending.pop()
        found = step(name)
        if found is None:
            continue
        if found.op in _ENTER:
            if loops_left == 0:
                return True
            loops_left -= 1
        elif found.op in _EXIT:
            loops_left = min(loops_left + 1, _DEEPEST)
        for edge in found.inputs:
            following = edge.removeprefix("^").partition(":")[0], loops_left
            if following not in seen:
                seen.add(following)
                pending.append(following)
    return False
