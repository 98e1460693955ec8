"""Bodies where they are run: which frame is in which, and what the arguments of a function are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from explorer.diagnosing.flow_bodies import ARGUMENT, ENDS, LEAVES, RESULT, Body, Called, Source, function_body
from explorer.diagnosing.flow_boxes import Path
from explorer.diagnosing.flow_calls import called_functions, is_call, node_of
from explorer.diagnosing.flow_facts import Held, held_by
from explorer.diagnosing.flow_groups import Groups
from explorer.savedmodel.graph import Graph
from explorer.savedmodel.model import MetaGraph

LOOPS: Final = frozenset({"While", "StatelessWhile", "_While"})
BRANCHES: Final = frozenset({"If", "StatelessIf", "_If", "Case", "StatelessCase"})

MOST_STEPS: Final = 1000
"""An argument is passed on so often at most, which only a broken model exceeds."""


@dataclass
class Frame:
    """A body where it is run: in the signature, or in the node of another body.

    Attributes:
        body: The body.
        groups: Its groups.
        path: The path of the box that stands around it.
        outer: The frame of the node that runs it; None for the signature.
        node: The number of that node there.
        first_input: Which of that node's inputs would be the first argument.
        given: Which of its inputs are arguments.
        is_inlined: Whether it is a call, so that its arguments need no boxes: what comes in goes on to what takes it.
        hides: Whether some of its arguments or results have no boxes.
    """

    body: Body
    groups: Groups
    path: Path
    outer: Frame | None = None
    node: int = -1
    first_input: int = 0
    given: range = range(0)
    is_inlined: bool = False
    hides: bool = False
    seen: list[Path | None] = field(default_factory=list)
    calls: dict[int, Frame] = field(default_factory=dict)

    def argument(self, number: int) -> Source | None:
        """What an argument is given by the node around, None where that isn't one of its inputs."""
        if self.outer is None or self.body.kinds[number] != ARGUMENT:
            return None
        inputs = self.outer.body.inputs[self.node]
        place = self.body.arguments.index(number) + self.first_input
        return inputs[place] if place in self.given and place < len(inputs) else None

    def around(self) -> Iterator[Frame]:
        """The frames around it, innermost first."""
        frame = self.outer
        while frame is not None:
            yield frame
            frame = frame.outer


class Frames:
    """Makes frames.

    Args:
        meta_graph: The meta graph.
        graph: Its graph.
        root: What the signature needs.
    """

    def __init__(self, meta_graph: MetaGraph, graph: Graph, root: Body) -> None:
        self.meta_graph = meta_graph
        self.graph = graph
        self.root = root
        self._groups: dict[str, Groups] = {}
        self._held: dict[tuple[str, int], Held | None] = {}

    def frame(self) -> Frame:
        """The frame of the signature."""
        return Frame(self.root, self.groups(self.root), ())

    def groups(self, body: Body) -> Groups:
        """The groups of a body; kept."""
        return self._groups.setdefault(body.function, Groups(body))

    def find_frames(self) -> Iterator[Frame]:
        """A frame for the signature and for every function that it leads to, each function once, outer ones first."""
        known: set[str] = set()
        pending = [self.frame()]
        for frame in pending:
            yield frame
            for number in range(len(frame.body)):
                called = called_functions(self.graph, frame.body, number)
                for one in called:
                    if one.function not in known:
                        known.add(one.function)
                        path = self.path_of(frame, number)
                        path = path if len(called) == 1 else (*path, role_step(one))
                        pending.append(self.inner(frame, number, one, path))

    def path_of(self, frame: Frame, number: int) -> Path:
        """The path to a node of a frame."""
        return (*frame.path, *(item.step for item in frame.groups.path_to(number)))

    def is_seen(self, frame: Frame, number: int) -> bool:
        """Whether a node has a box.

        In a call the arguments and results have none, but for what the model holds; in a loop those have none that are
        handed from turn to turn as they are.
        """
        if not frame.hides or frame.body.kinds[number] not in ENDS:
            return True
        if not frame.is_inlined:
            return not self._is_kept(frame.body, number)
        return number in frame.body.handles and self.origin(frame, number) is not None

    def _is_kept(self, body: Body, number: int) -> bool:
        if body.kinds[number] == RESULT:
            place = body.results.index(number)
            sources = [source for source, _ in body.inputs[number]]
            return place < len(body.arguments) and sources == [body.arguments[place]]
        takers = body.consumers[number]
        return bool(takers) and all(body.kinds[one] == RESULT and self._is_kept(body, one) for one in takers)

    def inner(self, frame: Frame, number: int, called: Called, path: Path) -> Frame:
        """The frame of a function that a node of another frame runs."""
        body = function_body(self.graph, called.function)
        op = frame.body.ops[number]
        all_called = called_functions(self.graph, frame.body, number)
        is_inlined = is_call(op, all_called)
        first, given = 0, range(0)
        if is_inlined or op in LOOPS:
            given = range(len(frame.body.inputs[number]))
        elif op in BRANCHES:
            first, given = 1, range(1, len(frame.body.inputs[number]))
        elif len(all_called) == 1 and (message := node_of(self.graph, frame.body, number)) is not None:
            # Of a dataset the function gets elements, and behind them what it was given beside the dataset.
            count = len(message.attr["Targuments"].list.type) if "Targuments" in message.attr else 0
            first, given = 1 + count - len(body.arguments), range(1, 1 + count)
        hides = is_inlined or (op in LOOPS and called.role == "body")
        return Frame(body, self.groups(body), path, frame, number, first, given, is_inlined, hides)

    def origin(self, frame: Frame, number: int) -> tuple[Frame, int] | None:
        """The leaf of an outer body that a handle is; None where something works it out."""
        for _ in range(MOST_STEPS):
            kind = frame.body.kinds[number]
            if kind in LEAVES:
                return frame, number
            source = frame.argument(number)
            if source is None or frame.outer is None or source[0] < 0:
                return None
            frame, number = frame.outer, source[0]
        return None

    def leaf(self, frame: Frame, number: int) -> tuple[str, str, Held | None]:
        """The kind and name of a leaf, and what it holds; for a handle those of the leaf that it is."""
        origin = self.origin(frame, number)
        if origin is None:
            return frame.body.kinds[number], frame.body.names[number], None
        frame, number = origin
        key = (frame.body.function, number)
        if key not in self._held:
            self._held[key] = held_by(self.meta_graph, self.graph, frame.body, number)
        return frame.body.kinds[number], frame.body.names[number], self._held[key]


def role_step(called: Called) -> str:
    """What one of several functions of a node is called on a path."""
    return f"f:{called.role} {called.function}"
