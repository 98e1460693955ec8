"""Which variables a graph can do without when it answers: those that only its training reads.

Slots of an optimizer, counters of steps and sums of metrics are read to be updated. What a request's values meet, a
weight or a running mean, is needed, and so is whatever can't be told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from explorer.savedmodel.edges import split_tensor_name
from explorer.savedmodel.graph import Graph, Node

_SOURCES: Final = frozenset({"Const", "NoOp", "Variable", "VariableV2", "VarHandleOp"})
"""Ops without inputs that bring no data."""

_READS: Final = frozenset(
    {"Identity", "ReadVariableOp", "IsVariableInitialized", "VarIsInitializedOp", "VariableShape"}
)
_UPDATES: Final = ("Assign", "Scatter", "Apply", "SparseApply", "ResourceApply", "ResourceSparseApply", "Resource")
_SAVES: Final = ("SaveV2", "SaveSlices", "Save")
_GATHERS: Final = frozenset({"ResourceGather", "ResourceGatherNd"})
_INITIALS: Final = frozenset({"Assign", "AssignVariableOp"})


def needed_variables(graph: Graph, variables: Iterable[str]) -> list[str]:
    """The variables of which a signature may need the value.

    Args:
        graph: The graph.
        variables: The names of the nodes of some variables.

    Returns:
        Those of them that aren't for training alone, in the order given.
    """
    names = list(variables)
    if not names:
        return []
    takers: dict[str, list[Node]] = {}
    for node in graph.nodes.values():
        for name in {split_tensor_name(edge)[0] for edge in node.inputs if edge[:1] != "^"}:
            takers.setdefault(name, []).append(node)
    data = _after(takers, [node.name for node in graph.nodes.values() if _brings_data(node)])
    return [name for name in names if _is_needed(graph, takers, data, name)]


def _is_needed(graph: Graph, takers: dict[str, list[Node]], data: set[str], variable: str) -> bool:
    is_trained = False
    has_other_end = False
    for name in _after(takers, [variable], stop=True):
        node = graph.nodes[name]
        if _is_update(node):
            # The first assignment gives a variable its initial value; any other one is training.
            is_trained = is_trained or node.op not in _INITIALS or len(_assignments(takers, variable)) > 1
        elif name != variable:
            if name in data:
                return True
            has_other_end = has_other_end or (not takers.get(name) and node.op not in _READS)
    return has_other_end and not is_trained


def _after(takers: dict[str, list[Node]], names: Iterable[str], stop: bool = False) -> set[str]:
    """What depends on the values of some nodes, these included; with ``stop``, nothing behind an update."""
    found = set(names)
    pending = list(found)
    while pending:
        for node in takers.get(pending.pop(), ()):
            if node.name not in found:
                found.add(node.name)
                if not (stop and _is_update(node)):
                    pending.append(node.name)
    return found


def _assignments(takers: dict[str, list[Node]], variable: str) -> list[Node]:
    return [node for node in takers.get(variable, ()) if node.op in _INITIALS]


def _is_update(node: Node) -> bool:
    return node.op not in _GATHERS and (node.op.startswith(_UPDATES) or node.op in _SAVES)


def _brings_data(node: Node) -> bool:
    """Whether a node is where values come in: a placeholder, a queue, a reader, an iterator."""
    if node.op.startswith("Placeholder"):
        return True
    return not any(edge[:1] != "^" for edge in node.inputs) and node.op not in _SOURCES
