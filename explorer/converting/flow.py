"""How values flow through a graph, by numbers of nodes: what follows what, what lies in loops and branches, how deep.

Control edges say when something runs and carry no value, so they play no part here. Everything is linear in the number
of edges, because graphs of 50,000 nodes are common.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

from explorer.savedmodel.edges import split_tensor_name
from explorer.savedmodel.graph import Graph, Node

_ENTER: Final = frozenset({"Enter", "RefEnter"})
_EXIT: Final = frozenset({"Exit", "RefExit"})
_NEXT: Final = frozenset({"NextIteration", "RefNextIteration"})
_SWITCH: Final = frozenset({"Switch", "RefSwitch", "_SwitchN"})
_MERGE: Final = frozenset({"Merge", "RefMerge"})
SHAPE_OPS: Final = frozenset({"Shape", "ShapeN", "Size", "Rank", "BroadcastGradientArgs"})
"""Ops that only look at shapes."""

_MOST_ROUNDS: Final = 6  # loops in loops in loops; a value that goes further round than this is not followed


class Flow:
    """The data edges of a graph.

    Args:
        graph: The graph.

    Attributes:
        graph: The graph.
        nodes: Its nodes in file order; a node's number is its place here.
        numbers: Node name → number.
        sources: For each node, the numbers of the nodes that it takes values from, in the order of its inputs; -1 for
            one that isn't there.
        consumers: For each node, the numbers of the nodes that take values from it.
        order: All numbers, sources first; loops are cut at their way back.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: Sequence[Node] = tuple(graph.nodes.values())
        self.numbers: Mapping[str, int] = {node.name: number for number, node in enumerate(self.nodes)}
        look_up = self.numbers.get
        self.sources: list[tuple[int, ...]] = []
        self.consumers: list[list[int]] = [[] for _ in self.nodes]
        for number, node in enumerate(self.nodes):
            found = tuple(
                [
                    look_up(edge if ":" not in edge else split_tensor_name(edge)[0], -1)
                    for edge in node.inputs
                    if edge[:1] != "^"
                ]
            )
            self.sources.append(found)
            for source in found if len(found) < 2 else dict.fromkeys(found):
                if source >= 0:
                    self.consumers[source].append(number)
        self.order: Sequence[int] = self._sorted()

    def __len__(self) -> int:
        return len(self.nodes)

    def op(self, number: int) -> str:
        """The op of a node."""
        return self.nodes[number].op

    def spread(self, marks: list[int]) -> list[int]:
        """Gives every node the marks (bits) of all that it depends on, its own included."""
        found = list(marks)
        sources = self.sources
        for _ in range(_MOST_ROUNDS):
            for number in self.order:
                mark = found[number]
                for source in sources[number]:
                    if source >= 0:
                        mark |= found[source]
                found[number] = mark
            if not any(found[source] & ~found[number] for number in self._turning for source in sources[number]):
                break
        return found

    @cached_property
    def _turning(self) -> list[int]:
        """The nodes at which loops come back."""
        return [number for number in range(len(self)) if self._has_way_back(number)]

    def _has_way_back(self, number: int) -> bool:
        return self.op(number) in _MERGE and any(
            source >= 0 and self.op(source) in _NEXT for source in self.sources[number]
        )

    @cached_property
    def loops(self) -> list[int]:
        """For each node, in how many loops of the graph it lies; what does can't be fetched."""
        found = [0] * len(self)
        for number in self.order:
            op = self.op(number)
            around = self._largest(found, number)
            found[number] = around + 1 if op in _ENTER else max(around - 1, 0) if op in _EXIT else around
        return found

    @cached_property
    def branches(self) -> list[int]:
        """For each node, in how many branches it lies, in which it may have no value."""
        found = [0] * len(self)
        for number in self.order:
            op = self.op(number)
            around = self._largest(found, number)
            if op in _SWITCH:
                around += 1
            elif op in _MERGE or op in _EXIT:
                around = max(around - 1, 0)
            found[number] = min(around, len(self))
        return found

    @cached_property
    def depths(self) -> list[int]:
        """For each node, how many nodes come before it on the longest way."""
        found = [0] * len(self)
        for number in self.order:
            found[number] = self._largest(found, number) + 1
        return found

    @cached_property
    def of_shapes(self) -> list[bool]:
        """For each node, whether its value depends on shapes and constants alone."""
        found = [False] * len(self)
        fixed = [False] * len(self)
        for number in self.order:
            op = self.op(number)
            sources = self.sources[number]
            if op in SHAPE_OPS:
                found[number] = True
            elif op == "Const":
                fixed[number] = True
            elif sources:
                every = all(source >= 0 and (found[source] or fixed[source]) for source in sources)
                found[number] = every and any(found[source] for source in sources)
                fixed[number] = every and not found[number]
        return found

    @cached_property
    def taken_counts(self) -> Mapping[int, int]:
        """How many outputs of a node others take, judged by the highest: number → count, where that isn't 1."""
        found: dict[int, int] = {}
        for taker, node in enumerate(self.nodes):
            if any(":" in edge for edge in node.inputs):
                for source, index in self.all_taken(taker):
                    if index >= found.get(source, 1):
                        found[source] = index + 1
        return found

    def taken(self, number: int, place: int) -> tuple[int, int] | None:
        """The tensor, as node and index, that a node takes at a place of its inputs; None where there is none."""
        edges = (edge for edge in self.nodes[number].inputs if edge[:1] != "^")
        edge = next(itertools.islice(edges, place, None), None)
        if edge is None or self.sources[number][place] < 0:
            return None
        return self.sources[number][place], split_tensor_name(edge)[1] or 0

    def all_taken(self, number: int) -> Iterator[tuple[int, int]]:
        """The tensors, as node and index, that a node takes, in order; what isn't in the graph is left out."""
        edges = (edge for edge in self.nodes[number].inputs if edge[:1] != "^")
        for source, edge in zip(self.sources[number], edges, strict=True):
            if source >= 0:
                yield source, split_tensor_name(edge)[1] or 0

    def before(self, number: int) -> Iterable[int]:
        """The nodes that a node takes values from."""
        return (source for source in self.sources[number] if source >= 0)

    def _largest(self, values: list[int], number: int) -> int:
        """The largest value among a node's sources, loops' ways back left out."""
        largest = 0
        for source in self.sources[number]:
            if source >= 0 and values[source] > largest and self.nodes[source].op not in _NEXT:
                largest = values[source]
        return largest

    def _sorted(self) -> list[int]:
        """The nodes, sources first; nodes of a circle that no loop explains stand at the end."""
        waiting = [0] * len(self.nodes)
        for number, sources in enumerate(self.sources):
            waiting[number] = sum(1 for source in set(sources) if source >= 0 and self.nodes[source].op not in _NEXT)
        ready = [number for number in range(len(self.nodes) - 1, -1, -1) if waiting[number] == 0]
        order: list[int] = []
        while ready:
            number = ready.pop()
            order.append(number)
            if self.nodes[number].op in _NEXT:
                continue
            for consumer in self.consumers[number]:
                waiting[consumer] -= 1
                if waiting[consumer] == 0:
                    ready.append(consumer)
        if len(order) < len(self.nodes):
            placed = set(order)
            order.extend(number for number in range(len(self.nodes)) if number not in placed)
        return order
