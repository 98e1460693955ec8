"""Which of the nodes in question run, what makes them run, and on which way one comes to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from explorer.checking.capability_nodes import Bodies, Body, Call, Spot, Way
from explorer.checking.capability_roots import Root
from explorer.savedmodel.graph import PLACEHOLDER_OPS, Graph, input_node, split_tensor_name

_MOST_STEPS: Final = 2_000_000
"""After so many steps the roots that are left are followed together, so that time stays linear in what the file has."""


@dataclass(slots=True)
class Reached:
    """What runs.

    Attributes:
        nodes: Name of a node of the graph → the positions of the roots that make it run.
        functions: The same of functions.
        ways: Function → the way on which one comes to it first; a call in a loop is in the loop.
    """

    nodes: dict[str, list[int]] = field(default_factory=dict)
    functions: dict[str, list[int]] = field(default_factory=dict)
    ways: dict[str, Way] = field(default_factory=dict)


def find_reached(
    graph: Graph, bodies: Bodies, roots: Sequence[Root], nodes: Collection[str], functions: Collection[str]
) -> Reached:
    """Follows every root as far as it leads to what is asked for.

    Args:
        graph: The graph.
        bodies: The functions that its nodes name.
        roots: Where running begins.
        nodes: The nodes of the graph that are asked for.
        functions: The functions that are asked for: all that is in them is taken to run when they do.
    """
    calls = {name: _calls(body, bodies.functions) for name, body in bodies.functions.items()}
    _join_twins(bodies, calls)
    leading = _leading(calls, functions)
    from_graph: dict[str, list[Call]] = {}
    for spot in bodies.graph.spots:
        for call in _spot_calls(spot, bodies.functions):
            if call.function in leading:
                from_graph.setdefault(spot.name, []).append(call)
    walk = _Walk(graph, roots, _depending(graph, {*nodes, *from_graph}), from_graph, calls, leading)
    for number in range(len(roots)):
        if walk.steps > _MOST_STEPS:
            walk.follow(list(range(number, len(roots))))
            break
        walk.follow([number])
    return walk.reached


class _Walk:
    def __init__(
        self,
        graph: Graph,
        roots: Sequence[Root],
        depending: Collection[str],
        from_graph: Mapping[str, list[Call]],
        calls: Mapping[str, list[Call]],
        leading: Collection[str],
    ) -> None:
        self.steps = 0
        self.reached = Reached()
        self._graph = graph
        self._roots = roots
        self._depending = depending
        self._from_graph = from_graph
        self._calls = calls
        self._leading = leading

    def follow(self, numbers: list[int]) -> None:
        """Notes all that some roots make run; of several at once, what one of them does counts for each."""
        together = len(numbers) > 1
        fed = frozenset() if together else self._roots[numbers[0]].fed
        pending = [edge for number in numbers for edge in self._roots[number].tensors]
        begun = [Call(name, "call") for number in numbers for name in self._roots[number].functions]
        seen: set[str] = set()
        seen_functions: set[str] = set()
        self._note_functions(begun, None, numbers, seen_functions)
        while pending:
            edge = pending.pop()
            self.steps += 1
            name = input_node(edge)
            if name in seen or name not in self._depending:
                continue
            if fed and self._is_fed(edge, name, fed):
                continue
            seen.add(name)
            self.reached.nodes.setdefault(name, []).extend(numbers)
            self._note_functions(self._from_graph.get(name, ()), None, numbers, seen_functions)
            pending.extend(self._graph.nodes[name].inputs)

    def _is_fed(self, edge: str, name: str, fed: frozenset[str]) -> bool:
        if edge[:1] == "^":  # a fed placeholder doesn't run, any other fed node may
            return f"{name}:0" in fed and self._graph.nodes[name].op in PLACEHOLDER_OPS
        return f"{name}:{split_tensor_name(edge)[1] or 0}" in fed

    def _note_functions(self, begun: Iterable[Call], way: Way | None, numbers: list[int], seen: set[str]) -> None:
        pending = [(call, way) for call in begun]
        while pending:
            call, before = pending.pop()
            self.steps += 1
            if call.function in seen or call.function not in self._leading:
                continue
            seen.add(call.function)
            here: Way = call.way if call.way != "call" or before is None else before
            self.reached.ways.setdefault(call.function, here)
            self.reached.functions.setdefault(call.function, []).extend(numbers)
            pending.extend((inner, here) for inner in self._calls.get(call.function, ()))


def _calls(body: Body, functions: Mapping[str, Body]) -> list[Call]:
    return [call for spot in body.spots for call in _spot_calls(spot, functions)]


def _spot_calls(spot: Spot, functions: Mapping[str, Body]) -> list[Call]:
    """What a node runs: the functions that it names, and the one that its op is."""
    return [call for call in (*spot.calls, Call(spot.op, "call")) if call.function in functions]


def _join_twins(bodies: Bodies, calls: dict[str, list[Call]]) -> None:
    """Adds what runs in the place of a function: its gradient, and other implementations of the same thing.

    See ``api_implements`` in ``tensorflow/core/grappler/optimizers/implementation_selector.cc``.
    """
    for of, gradient in bodies.gradients:
        if of in calls and gradient in calls:
            calls[of].append(Call(gradient, "call"))
    twins: dict[str, list[str]] = {}
    for name, body in bodies.functions.items():
        if body.implements:
            twins.setdefault(body.implements, []).append(name)
    for names in twins.values():  # a ring joins them all, however many there are
        for name, following in zip(names, (*names[1:], names[0]), strict=True):
            if name != following:
                calls[name].append(Call(following, "call"))


def _leading(calls: Mapping[str, list[Call]], functions: Collection[str]) -> set[str]:
    """The functions in question and all that lead to them."""
    callers: dict[str, list[str]] = {}
    for name, made in calls.items():
        for call in made:
            callers.setdefault(call.function, []).append(name)
    return _closure(functions, callers)


def _depending(graph: Graph, nodes: Collection[str]) -> set[str]:
    """Some nodes and all that run after them."""
    return _closure([name for name in nodes if name in graph.nodes], graph.consumers()) if nodes else set()


def _closure(begin: Iterable[str], following: Mapping[str, Sequence[str]]) -> set[str]:
    found = set(begin)
    pending = list(found)
    while pending:
        for name in following.get(pending.pop(), ()):
            if name not in found:
                found.add(name)
                pending.append(name)
    return found
