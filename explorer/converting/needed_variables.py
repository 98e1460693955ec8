"""Which variables a graph can do without when it answers: those that only its training reads.

Slots of an optimizer, counters of steps and sums of metrics are read to be updated. What a request's values meet, a
weight or a running mean, is needed, and so is whatever can't be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    sources: dict[str, set[str]] = {}
    takers: dict[str, list[Node]] = {}
    for node in graph.nodes.values():
        sources[node.name] = {split_tensor_name(edge)[0] for edge in node.inputs if edge[:1] != "^"}
        for name in sources[node.name]:
            takers.setdefault(name, []).append(node)
    data = _after(takers, [node.name for node in graph.nodes.values() if _brings_data(node)])
    updates = {node.name for node in graph.nodes.values() if _is_update(node)}
    initials = {name for name in updates if graph.nodes[name].op in _INITIALS}
    ends = {node.name for node in graph.nodes.values() if not takers.get(node.name) and node.op not in _READS} - updates
    # Each is worked out for all variables at once: a graph may have thousands that lead to the same nodes.
    meets_data = _before(sources, data - updates, updates)
    ends_elsewhere = _before(sources, ends, updates)
    is_updated = _before(sources, updates - initials, updates)
    is_assigned = _before(sources, initials, updates)

    def is_needed(variable: str) -> bool:
        if variable in meets_data:
            return True
        # The first assignment gives a variable its initial value; any other one is training.
        is_trained = variable in is_updated or (variable in is_assigned and _assignments(takers, variable) > 1)
        return variable in ends_elsewhere and not is_trained

    return [name for name in names if is_needed(name)]


def _after(takers: Mapping[str, list[Node]], names: Iterable[str]) -> set[str]:
    """What depends on the values of some nodes, these included."""
    found = set(names)
    pending = list(found)
    while pending:
        for node in takers.get(pending.pop(), ()):
            if node.name not in found:
                found.add(node.name)
                pending.append(node.name)
    return found


def _before(sources: Mapping[str, set[str]], names: Iterable[str], updates: set[str]) -> set[str]:
    """What the values of some nodes depend on, on a way without an update between; these themselves left out."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        for name in sources.get(pending.pop(), ()):
            if name not in found:
                found.add(name)
                if name not in updates:
                    pending.append(name)
    return found


def _assignments(takers: Mapping[str, list[Node]], variable: str) -> int:
    return sum(node.op in _INITIALS for node in takers.get(variable, ()))


def _is_update(node: Node) -> bool:
    return node.op not in _GATHERS and (node.op.startswith(_UPDATES) or node.op in _SAVES)


def _brings_data(node: Node) -> bool:
    """Whether a node is where values come in: a placeholder, a queue, a reader, an iterator."""
    if node.op.startswith("Placeholder"):
        return True
    return not any(edge[:1] != "^" for edge in node.inputs) and node.op not in _SOURCES
