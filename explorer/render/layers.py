"""Where to put boxes that hang together: in layers from top to bottom, with few crossings, near what they belong to.

It is the method of Sugiyama, Tagawa and Toda (1981) in a small form: layers by longest paths, order by barycentres,
places by least squares that keep the order. The same input always gives the same places; nothing here knows what a box
means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from explorer.render.circles import ways_back

GAP_X: Final = 18.0
GAP_Y: Final = 34.0
_TURN: Final = 10.0  # how far from its box a line that goes back up turns
_LARGE: Final = 100.0  # high
_LANE: Final = 8.0  # between two lines, or a line and a box
_SWEEPS: Final = 10
_SWEEPS_OF_MANY: Final = 3
_MANY: Final = 3000  # places in all layers together
_PLACING_SWEEPS: Final = 12
_STRAIGHT: Final = 6.0  # how much more a long line wants to be straight than a box to be in the middle

TOP, BOTTOM = "top", "bottom"


class Block(NamedTuple):
    """Something to be placed.

    Attributes:
        width: Its width.
        height: Its height.
        edge: ``top`` or ``bottom`` for what must be in the first or last layer; else empty.
        clings: Whether it stands right above what takes it, and not as far up as it could.
    """

    width: float
    height: float
    edge: str = ""
    clings: bool = False


class Wire(NamedTuple):
    """A line from the bottom of a block to the top of another.

    Attributes:
        source: The place of a block in the list.
        target: The place of another.
        leaves_at: How far from the source's left side it leaves; None for wherever it fits.
        enters_at: How far from the target's left side it enters.
    """

    source: int
    target: int
    leaves_at: float | None = None
    enters_at: float | None = None


@dataclass
class Places:
    """Where everything is.

    Attributes:
        corners: The upper left corner of each block.
        lines: The points of each wire, from its source to its target.
        width: How wide it is all together.
        height: How high.
    """

    corners: list[tuple[float, float]] = field(default_factory=list)
    lines: list[list[tuple[float, float]]] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


@dataclass
class _Slot:
    """A place in a layer: a block, or where a line goes by."""

    block: int
    layer: int
    width: float
    x: float = 0.0
    order: int = 0
    above: list[_Joint] = field(default_factory=list)
    below: list[_Joint] = field(default_factory=list)


class _Joint(NamedTuple):
    """That a slot is joined to one in a neighbouring layer: at which distances from the middles of both."""

    other: _Slot
    here: float
    there: float
    weight: float


def place(blocks: Sequence[Block], wires: Sequence[Wire]) -> Places:
    """Places blocks.

    Args:
        blocks: The blocks, in the order in which they are best read.
        wires: The lines between them; a block isn't joined to itself.

    Returns:
        Places in which no two blocks overlap, and a line ends at the blocks that it joins.
    """
    if not blocks:
        return Places()
    backward = ways_back(len(blocks), [(wire.source, wire.target) for wire in wires])
    layer_of = _layers(blocks, wires, backward)
    slots = [
        _Slot(number, layer, block.width) for number, (block, layer) in enumerate(zip(blocks, layer_of, strict=True))
    ]
    rows: list[list[_Slot]] = [[] for _ in range(max(layer_of) + 1)]
    for slot in slots:
        rows[slot.layer].append(slot)
    ways = _lay_lines(blocks, wires, backward, slots, rows)
    _reduce_crossings(rows)
    _place_rows(rows)
    return _measured(blocks, wires, slots, rows, ways)


def _layers(blocks: Sequence[Block], wires: Sequence[Wire], backward: frozenset[int]) -> list[int]:
    """The layer of each block: below all that it takes something from."""
    after: list[list[int]] = [[] for _ in blocks]
    before: list[list[int]] = [[] for _ in blocks]
    for number, wire in enumerate(wires):
        if number not in backward:
            after[wire.source].append(wire.target)
            before[wire.target].append(wire.source)
    has_top = any(block.edge == TOP for block in blocks)
    layer = [1 if has_top and block.edge != TOP else 0 for block in blocks]
    waiting = [len(sources) for sources in before]
    ready = [number for number in range(len(blocks) - 1, -1, -1) if not waiting[number]]
    sorted_blocks = []
    while ready:
        number = ready.pop()
        sorted_blocks.append(number)
        for target in reversed(after[number]):
            layer[target] = max(layer[target], layer[number] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for number in reversed(sorted_blocks):
        # A way back into a loop gives the order of what is in it, so what clings looks at the ways forward alone.
        if blocks[number].clings and after[number] and not before[number]:
            layer[number] = max(layer[number], min(layer[target] for target in after[number]) - 1)
    deepest = max((layer[number] for number, block in enumerate(blocks) if block.edge != BOTTOM), default=0)
    alone = [n for n, block in enumerate(blocks) if not after[n] and not before[n] and not block.edge]
    if len(alone) < len(blocks):
        joined = max(
            (layer[n] for n, block in enumerate(blocks) if block.edge != BOTTOM and n not in set(alone)), default=0
        )
        for number in alone:  # what is joined to nothing stands at the end
            layer[number] = max(layer[number], joined)
    for number, block in enumerate(blocks):
        if block.edge == BOTTOM:
            layer[number] = deepest + 1
    used = sorted(set(layer))
    close = {one: place for place, one in enumerate(used)}
    return [close[one] for one in layer]


def _lay_lines(
    blocks: Sequence[Block],
    wires: Sequence[Wire],
    backward: frozenset[int],
    slots: list[_Slot],
    rows: list[list[_Slot]],
) -> list[list[_Slot]]:
    """Gives every line a slot in each layer that it goes by; lines that leave at one point share theirs.

    Returns:
        For each wire its slots, from the source's to the target's.
    """
    shared: dict[tuple[int, float | None, int], _Slot] = {}
    joined: set[tuple[int, int, float, float]] = set()

    def join(upper: _Slot, lower: _Slot, leaves: float, enters: float) -> None:
        key = (id(upper), id(lower), leaves, enters)
        if key not in joined:
            joined.add(key)
            weight = _STRAIGHT if upper.block < 0 and lower.block < 0 else 1.0
            upper.below.append(_Joint(lower, leaves, enters, weight))
            lower.above.append(_Joint(upper, enters, leaves, weight))

    def passing(layer: int) -> _Slot:
        slot = _Slot(-1, layer, 0.0)
        rows[layer].append(slot)
        return slot

    ways = []
    for number, wire in enumerate(wires):
        source, target = slots[wire.source], slots[wire.target]
        leaves = 0.0 if wire.leaves_at is None else wire.leaves_at - blocks[wire.source].width / 2
        enters = 0.0 if wire.enters_at is None else wire.enters_at - blocks[wire.target].width / 2
        if number in backward:
            # It goes round: beside its source, up, and beside its target.
            lane = [passing(layer) for layer in range(target.layer, source.layer + 1)]
            for upper, lower in zip(lane, lane[1:], strict=False):
                join(upper, lower, 0.0, 0.0)
            ways.append([source, *reversed(lane), target])
            continue
        way = [source]
        for layer in range(source.layer + 1, target.layer):
            key = (wire.source, wire.leaves_at, layer)
            if key not in shared:
                shared[key] = passing(layer)
            way.append(shared[key])
        way.append(target)
        for place, (upper, lower) in enumerate(zip(way, way[1:], strict=False)):
            join(upper, lower, leaves if place == 0 else 0.0, enters if place == len(way) - 2 else 0.0)
        ways.append(way)
    return ways


def _reduce_crossings(rows: list[list[_Slot]]) -> None:
    """Orders each layer by the middle of its neighbours, down and up in turn, and keeps the best of all orders."""
    for row in rows:
        for order, slot in enumerate(row):
            slot.order = order
    best = [list(row) for row in rows]
    fewest = _crossings(rows)
    size = sum(map(len, rows))
    for turn in range(_SWEEPS if size < _MANY else _SWEEPS_OF_MANY):
        if fewest == 0:
            break
        down = turn % 2 == 0
        for row in rows if down else reversed(rows):
            keys = {}
            for slot in row:
                joints = slot.above if down else slot.below
                # A share of the old order decides between equals, and holds what is joined to nothing.
                middle = (
                    sum(one.other.order + one.there * 1e-3 for one in joints) / len(joints) if joints else slot.order
                )
                keys[id(slot)] = (middle, slot.order)
            row.sort(key=lambda slot: keys[id(slot)])
            for order, slot in enumerate(row):
                slot.order = order
        count = _crossings(rows)
        if count < fewest:
            fewest, best = count, [list(row) for row in rows]
    for row, ordered in zip(rows, best, strict=True):
        row[:] = ordered
        for order, slot in enumerate(row):
            slot.order = order


def _crossings(rows: list[list[_Slot]]) -> int:
    """How many pairs of lines cross between neighbouring layers."""
    total = 0
    for row in rows:
        ends = [
            end for slot in row for end in sorted((one.here, one.other.order, one.there) for one in slot.below)
        ]  # from left to right above
        below = {end: rank for rank, end in enumerate(sorted({end[1:] for end in ends}))}
        if len(below) > 1:
            total += _inversions([below[end[1:]] for end in ends], len(below))
    return total


def _inversions(values: Iterable[int], size: int) -> int:
    """How many pairs stand in the wrong order, by a tree of counts."""
    tree = [0] * (size + 1)
    total = 0
    for count, value in enumerate(values):
        place = value + 1
        smaller = 0
        while place:
            smaller += tree[place]
            place &= place - 1
        total += count - smaller
        place = value + 1
        while place <= size:
            tree[place] += 1
            place += place & -place
    return total


def _place_rows(rows: list[list[_Slot]]) -> None:
    """Gives each slot the x of its middle."""
    for row in rows:
        x = 0.0
        for place, slot in enumerate(row):
            if place:
                x += _distance(row[place - 1], slot)
            slot.x = x
        shift = x / 2
        for slot in row:
            slot.x -= shift
    size = sum(map(len, rows))
    for turn in range(_PLACING_SWEEPS if size < _MANY else _SWEEPS_OF_MANY):
        down = turn % 2 == 0
        last = turn >= _PLACING_SWEEPS - 2
        for row in rows if down else reversed(rows):
            wanted = []
            for slot in row:
                joints = [*slot.above, *slot.below] if last else (slot.above if down else slot.below)
                weight = sum(one.weight for one in joints)
                if weight:
                    middle = sum((one.other.x + one.there - one.here) * one.weight for one in joints) / weight
                    wanted.append((middle, weight))
                else:
                    wanted.append((slot.x, 0.05))
            _settle(row, wanted)


def _settle(row: list[_Slot], wanted: Sequence[tuple[float, float]]) -> None:
    """Puts a layer as near as possible to where its slots want to be (least squares), in their order and apart.

    With the distances taken off, an order is a sequence that never falls; slots that push each other form a run that
    moves as one (pool adjacent violators).
    """
    offsets = [0.0]
    for left, right in zip(row, row[1:], strict=False):
        offsets.append(offsets[-1] + _distance(left, right))
    runs: list[list[float]] = []  # middle, weight, how many
    for (middle, weight), offset in zip(wanted, offsets, strict=True):
        runs.append([middle - offset, weight, 1])
        while len(runs) > 1 and runs[-2][0] > runs[-1][0]:
            value, total, count = runs.pop()
            before = runs[-1]
            before[0] = (before[0] * before[1] + value * total) / (before[1] + total)
            before[1] += total
            before[2] += count
    position = 0
    for value, _, count in runs:
        for _ in range(int(count)):
            row[position].x = value + offsets[position]
            position += 1


def _distance(left: _Slot, right: _Slot) -> float:
    """How far apart the middles of two neighbours are at least."""
    gap = GAP_X if left.block >= 0 and right.block >= 0 else _LANE
    return left.width / 2 + right.width / 2 + gap


def _measured(
    blocks: Sequence[Block], wires: Sequence[Wire], slots: list[_Slot], rows: list[list[_Slot]], ways: list[list[_Slot]]
) -> Places:
    left = min(slot.x - slot.width / 2 for row in rows for slot in row)
    right = max(slot.x + slot.width / 2 for row in rows for slot in row)
    tops, bottoms = [], []
    turns = any(way[1].layer == way[0].layer for way in ways)
    y = _TURN if turns else 0.0
    for row in rows:
        height = max((blocks[slot.block].height for slot in row if slot.block >= 0), default=0.0)
        tops.append(y)
        bottoms.append(y + height)
        y += height + GAP_Y
    found = Places(width=right - left, height=bottoms[-1] + (_TURN if turns else 0.0))
    for block, slot in zip(blocks, slots, strict=True):
        # In the middle of its layer, or at its end, near what takes it; large ones stand side by side at its beginning.
        free = bottoms[slot.layer] - tops[slot.layer] - block.height
        corner_y = tops[slot.layer] + (free if block.clings else free / 2 if block.height < _LARGE else 0.0)
        if block.edge:
            corner_y = 0.0 if block.edge == TOP else found.height - block.height
        found.corners.append((slot.x - slot.width / 2 - left, corner_y))
    for wire, way in zip(wires, ways, strict=True):
        (source_x, source_y), (target_x, target_y) = found.corners[wire.source], found.corners[wire.target]
        source, target = blocks[wire.source], blocks[wire.target]
        first, last = way[0].layer, way[-1].layer
        start = source_x + (source.width / 2 if wire.leaves_at is None else wire.leaves_at)
        end = target_x + (target.width / 2 if wire.enters_at is None else wire.enters_at)
        # It leaves its layer before it turns, so that it crosses no higher neighbour.
        points = [(start, source_y + source.height), (start, bottoms[first])]
        if way[1].layer == first:
            x = way[1].x - left
            points += [(start, bottoms[first] + _TURN), (x, bottoms[first] + _TURN)]
            for slot in way[1:-1]:
                points += [(slot.x - left, bottoms[slot.layer]), (slot.x - left, tops[slot.layer])]
            points += [(points[-1][0], tops[last] - _TURN), (end, tops[last] - _TURN)]
        else:
            for slot in way[1:-1]:
                points += [(slot.x - left, tops[slot.layer]), (slot.x - left, bottoms[slot.layer])]
        points.append((end, tops[last]))
        points.append((end, target_y))
        found.lines.append([point for place, point in enumerate(points) if not place or point != points[place - 1]])
    return found
