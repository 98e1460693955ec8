"""How a flow is looked at: which boxes are seen while some groups are unfolded, and what goes between them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from explorer.diagnosing.flow_bodies import ARGUMENT, ENDS, Called, Source
from explorer.diagnosing.flow_boxes import MOST_BOXES, Box, Link, Path, View
from explorer.diagnosing.flow_calls import called_functions
from explorer.diagnosing.flow_facts import output_index, outputs_of
from explorer.diagnosing.flow_frames import MOST_STEPS, Frame, Frames, role_step
from explorer.diagnosing.flow_groups import HELD, NODE, Item
from explorer.diagnosing.flow_labels import Place, group_box, more_box, node_box, role_box

_MOST_TENSORS: Final = 20  # told of one link
_DEEPEST: Final = 60  # functions in functions


@dataclass
class _Seen:
    """A box in the making: an item of a frame, one function of a node (``role``), or what there is no room for."""

    frame: Frame
    item: Item | None
    path: Path
    parent: Path
    role: Called | None = None
    rest: tuple[int, ...] = ()
    rest_count: int = 0
    unfolded: bool = False


class Looker:
    """Looks at a flow.

    Args:
        frames: Makes the frames of its functions.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames

    def view(self, unfolded: Collection[Path], most: int = MOST_BOXES) -> View:
        """What is seen while some groups are unfolded; see :meth:`explorer.diagnosing.flow.Flow.view`."""
        wanted = set(unfolded)
        root = self.frames.frame()
        root.seen = [None] * len(root.body)
        frames = [root]
        seen: list[_Seen] = []
        pending: list[_Seen | None] = [None]
        left, left_out = most, 0
        for around in pending:
            if around is None:
                inner = self._children(root, root.groups.root, ())
            elif left > 0:
                inner = self._inside(around, frames)
                around.unfolded = True
            else:
                left_out += 1
                continue
            kept = inner if len(inner) <= left else inner[: max(left - 1, 1)]
            if len(kept) < len(inner):
                left_out += len(inner) - len(kept)
                kept = [*kept, self._rest(inner[len(kept) :])]
            left -= len(kept)
            seen += kept
            pending += [one for one in kept if one.path in wanted and self._can_unfold(one)]
        seen = [one for one in seen if not self._is_handed_on(one)]
        for one in seen:
            self._mark(one)
        links = self._links(frames)
        return View(tuple(self._box(one) for one in _outer_first(seen)), links, left_out)

    # ------------------------------------------------------------ what is in a group

    def _inside(self, one: _Seen, frames: list[Frame]) -> list[_Seen]:
        """What is in a box that is unfolded."""
        assert one.item is not None
        frame, item = one.frame, one.item
        if item.kind != NODE:
            return self._children(frame, item, one.path)
        called = self._called(one)
        if len(called) > 1:
            return [_Seen(frame, item, (*one.path, role_step(role)), one.path, role) for role in called]
        inner = self.frames.inner(frame, item.number, called[0], one.path)
        inner.seen = [None] * len(inner.body)
        frames.append(inner)
        if inner.is_inlined:
            frame.calls[item.number] = inner
        return self._children(inner, inner.groups.root, one.path)

    def _children(self, frame: Frame, item: Item, path: Path) -> list[_Seen]:
        return [
            _Seen(frame, child, (*path, child.step), path)
            for child in frame.groups.children(item)
            if not frame.hides or any(self.frames.is_seen(frame, number) for number in child.members)
        ]

    def _rest(self, left: list[_Seen]) -> _Seen:
        """A box for what there is no room for."""
        members = tuple(
            number for one in left if one.item is not None and one.role is None for number in one.item.members
        )
        first = left[0]
        return _Seen(first.frame, None, (*first.parent, "more"), first.parent, None, members, len(left))

    def _can_unfold(self, one: _Seen) -> bool:
        if one.item is None or one.item.kind != NODE:
            return one.item is not None
        frame = one.frame
        called = (
            (one.role,) if one.role is not None else called_functions(self.frames.graph, frame.body, one.item.number)
        )
        if len(called) != 1:
            return len(called) > 1
        # A function that calls itself ends here: what is in it is seen already, further out.
        around = {frame.body.function, *(outer.body.function for outer in frame.around())}
        return called[0].function not in around and len(around) < _DEEPEST

    def _called(self, one: _Seen) -> tuple[Called, ...]:
        if one.role is not None or one.item is None:
            return () if one.role is None else (one.role,)
        return called_functions(self.frames.graph, one.frame.body, one.item.number)

    # ------------------------------------------------------------ links

    def _is_handed_on(self, one: _Seen) -> bool:
        """Whether all that a box holds for a call is seen inside that call, which is unfolded."""
        if one.item is None or not one.frame.is_inlined or one.item.kind not in (NODE, HELD):
            return False
        frame, body = one.frame, one.frame.body
        return all(
            number in body.handles and all(taker in frame.calls for taker in body.consumers[number])
            for number in one.item.members
        )

    def _mark(self, one: _Seen) -> None:
        """Notes for the nodes that a box stands for that it is there that they are seen."""
        if one.item is None:
            members = one.rest
        elif one.role is not None or (one.unfolded and one.item.kind != NODE):
            return
        else:
            members = one.item.members
        for number in members:
            if self.frames.is_seen(one.frame, number):
                one.frame.seen[number] = one.path

    def _source(self, frame: Frame, source: Source) -> tuple[Frame, Source, Path] | None:
        """Where a value comes from that is to be seen, through calls that are unfolded."""
        for _ in range(MOST_STEPS):
            number = source[0]
            if number < 0:
                return None
            if frame.is_inlined and frame.body.kinds[number] == ARGUMENT and frame.seen[number] is None:
                given = frame.argument(number)
                if given is None or frame.outer is None:
                    return None
                frame, source = frame.outer, given
                continue
            inner = frame.calls.get(number)
            if inner is not None:
                index = output_index(self.frames.graph, frame.body, source)
                results = inner.body.results
                inputs = inner.body.inputs[results[index]] if index < len(results) else ()
                if inputs:
                    frame, source = inner, inputs[0]
                    continue
            path = frame.seen[number]
            return None if path is None else (frame, source, path)
        return None

    def _links(self, frames: list[Frame]) -> tuple[Link, ...]:
        found: dict[tuple[Path, Path], dict[tuple[int, int, str], tuple[Frame, Source]]] = {}
        orders: dict[tuple[Path, Path], None] = {}
        for frame in frames:
            body, seen = frame.body, frame.seen
            for number, sources in enumerate(body.inputs):
                target = seen[number]
                if target is None:
                    continue
                call = frame.calls.get(number)
                for place, source in enumerate(sources):
                    if source[0] >= 0 and seen[source[0]] == target and source[0] not in frame.calls:
                        continue
                    if call is not None and self._goes_on(call, place):
                        continue
                    if seen[source[0]] is None and source[0] in body.handles and self.frames.is_seen(frame, source[0]):
                        continue
                    origin = self._source(frame, source)
                    if origin is not None and _are_apart(origin[2], target):
                        key = (id(origin[0]), *origin[1])
                        found.setdefault((origin[2], target), {})[key] = origin[:2]
                for before in body.controls[number]:
                    path = seen[before]
                    if path is not None and _are_apart(path, target):
                        orders[path, target] = None
        links = [
            Link(source, target, self._tensors(list(tensors.values())), len(tensors))
            for (source, target), tensors in found.items()
        ]
        return (*links, *(Link(*ends, is_order=True) for ends in orders if ends not in found))

    def _goes_on(self, call: Frame, place: int) -> bool:
        """Whether what a call takes is seen to go on to something inside it."""
        if place >= len(call.body.arguments):
            return False
        number = call.body.arguments[place]
        return number >= 0 and not self.frames.is_seen(call, number)

    def _tensors(self, sources: list[tuple[Frame, Source]]) -> tuple[str, ...]:
        told = []
        for frame, source in sources[:_MOST_TENSORS]:
            number = source[0]
            name = frame.body.names[number]
            outputs = outputs_of(self.frames.graph, frame.body, number)
            index = output_index(self.frames.graph, frame.body, source)
            about = str(outputs[index]) if index < len(outputs) else ""
            named = name if frame.body.kinds[number] in ENDS else f"{name}:{index}"
            told.append(f"{named} {about}".strip())
        return tuple(told)

    def _box(self, one: _Seen) -> Box:
        place = Place(one.frame, one.path, one.parent, self._can_unfold(one), one.unfolded)
        if one.item is None:
            return more_box(place, one.rest, one.rest_count)
        if one.item.kind != NODE:
            return group_box(self.frames, place, one.item)
        return node_box(self.frames, place, one.item.number) if one.role is None else role_box(place, one.role)


def _outer_first(seen: list[_Seen]) -> Iterator[_Seen]:
    """The boxes, each group before what is in it."""
    inner: dict[Path, list[_Seen]] = {}
    for one in seen:
        inner.setdefault(one.parent, []).append(one)
    pending = inner.pop((), [])[::-1]
    while pending:
        one = pending.pop()
        yield one
        pending += inner.pop(one.path, [])[::-1]


def _are_apart(one: Path, other: Path) -> bool:
    """Whether neither of two boxes is in the other, or is it."""
    shorter = min(len(one), len(other))
    return one[:shorter] != other[:shorter]
