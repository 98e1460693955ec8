"""A view of a flow laid out: how large each box is, and where it and each line are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from explorer.diagnosing.flow import Box, Link, Path, View
from explorer.errors import listed, printable_name
from explorer.render.layers import BOTTOM, TOP, Block, Places, Wire, place
from explorer.render.tables import printable_size

TITLE_PX: Final = 12
FACT_PX: Final = 11
# How wide a letter of a monospaced font is at most (DejaVu Sans Mono: 0.602 of its size).
_TITLE_LETTER: Final = 0.605 * TITLE_PX
_FACT_LETTER: Final = 0.605 * FACT_PX
_LONGEST_TITLE: Final = 28  # letters
_LONGEST_FACT: Final = 32
_MOST_FACTS: Final = 3
PAD_X: Final = 10.0
_PAD_Y: Final = 7.0
LINE_PX: Final = 15.0
_HEAD_PX: Final = 26.0  # of a frame
_FRAME_PAD: Final = 14.0
_UNDER_PORTS: Final = 14.0
_MARGIN: Final = 6.0
_SIGN_PX: Final = 16.0  # for the sign of what can be unfolded
_CLINGING: Final = frozenset({"variable", "constant", "table", "held", "constants"})


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box with its place.

    Attributes:
        box: What it is.
        x: Its left side, in pixels.
        y: Its upper side.
        width: Its width.
        height: Its height.
        title: Its first line of text.
        lines: The others.
    """

    box: Box
    x: float
    y: float
    width: float
    height: float
    title: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DrawnLink:
    """A line with its points, from the lower side of one box to the upper side of another.

    Attributes:
        link: What it is.
        points: Where it goes by, in pixels.
    """

    link: Link
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture of a flow.

    Attributes:
        boxes: Its boxes, each frame before what is in it.
        links: Its lines.
        width: Its width in pixels.
        height: Its height in pixels.
        title: What it is called.
        about: What it shows, in a sentence.
    """

    boxes: tuple[DrawnBox, ...]
    links: tuple[DrawnLink, ...]
    width: float
    height: float
    title: str = "Drawing of a signature"
    about: str = ""


def make_drawing(view: View, *, title: str = "Drawing of a signature", orders: bool = False) -> Drawing:
    """Lays out what is seen of a flow.

    Args:
        view: What is seen.
        title: What the picture is called.
        orders: Whether control edges are drawn too, which only say what runs first.

    Returns:
        The picture; the same view gives the same one.
    """
    return _Layout(view, orders).drawing(title)


@dataclass
class _Level:
    """What is in a frame, or in the picture itself.

    Attributes:
        boxes: The boxes right in it.
        entries: Where lines come in, by the box that they come from.
        exits: Where lines go out.
        wires: The lines between all these: ends → number.
        numbers: The place of each box in ``boxes``, by its path.
        ports: Where on the upper and lower side lines come in and go out, from the left side of what is placed.
        places: Where all is placed.
        width: The width of the frame.
        height: Its height.
        left: How far from the frame's left side that is which is placed.
        top: How far from its upper side.
    """

    boxes: list[Box] = field(default_factory=list)
    entries: dict[_Key, int] = field(default_factory=dict)
    exits: dict[_Key, int] = field(default_factory=dict)
    wires: dict[tuple[_End, _End], int] = field(default_factory=dict)
    numbers: dict[Path, int] = field(default_factory=dict)
    ports: dict[tuple[str, _Key], float] = field(default_factory=dict)
    places: Places = field(default_factory=Places)
    width: float = 0.0
    height: float = 0.0
    left: float = 0.0
    top: float = 0.0

    def wire(self, source: _End, target: _End) -> int:
        """The number of a line."""
        return self.wires.setdefault((source, target), len(self.wires))


_Key = tuple[Path, bool]
"""What goes through the side of a frame: the box that it comes from, and whether it is an order only."""

_End = tuple[str, Path, _Key | None]
"""An end of a line in a level: ``box`` with its path and what it goes on as inside it; or ``in`` or ``out``."""


class _Layout:
    def __init__(self, view: View, orders: bool) -> None:
        self.view = view
        self.boxes = {box.path: box for box in view.boxes}
        self.links = [link for link in view.links if orders or not link.is_order]
        self.levels: dict[Path, _Level] = {(): _Level()}
        for box in view.boxes:
            if box.unfolded:
                self.levels[box.path] = _Level()
            outer = self.levels[box.parent]
            outer.numbers[box.path] = len(outer.boxes)
            outer.boxes.append(box)
        self.ways = [self._way(link) for link in self.links]

    def drawing(self, title: str) -> Drawing:
        for path in sorted(self.levels, key=len, reverse=True):
            self._lay_out(path)
        corners: dict[Path, tuple[float, float]] = {(): (_MARGIN, _MARGIN)}
        drawn = []
        for box in self.view.boxes:
            outer = self.levels[box.parent]
            x, y = outer.places.corners[outer.numbers[box.path]]
            x, y = x + corners[box.parent][0] + outer.left, y + corners[box.parent][1] + outer.top
            corners[box.path] = (x, y)
            width, height = self._size(box)
            drawn.append(DrawnBox(box, x, y, width, height, *_texts(box)))
        lines = []
        for link, way in zip(self.links, self.ways, strict=True):
            points: list[tuple[float, float]] = []
            for path, number in way:
                level, (x, y) = self.levels[path], corners[path]
                for at_x, at_y in level.places.lines[number]:
                    point = (at_x + x + level.left, at_y + y + level.top)
                    if not points or points[-1] != point:
                        points.append(point)
            lines.append(DrawnLink(link, tuple(points)))
        root = self.levels[()]
        return Drawing(
            tuple(drawn), tuple(lines), root.width + 2 * _MARGIN, root.height + 2 * _MARGIN, title, self._about()
        )

    def _about(self) -> str:
        groups = sum(1 for box in self.view.boxes if box.can_unfold and not box.unfolded)
        ends = [
            listed([printable_name(box.title, 60) for box in self.view.boxes if box.kind == kind and not box.parent])
            for kind in ("input", "output")
        ]
        return (
            f"From {ends[0] or 'no input'} to {ends[1] or 'no output'}: {len(self.view.boxes)} boxes, "
            f"{groups} of them folded groups."
        )

    def _way(self, link: Link) -> list[tuple[Path, int]]:
        """The lines of which a link consists, with the level of each: out of frames, across, into frames."""
        source, target = link.source, link.target
        shared = 0
        while shared < min(len(source), len(target)) - 1 and source[shared] == target[shared]:
            shared += 1
        key: _Key = (source, link.is_order)
        way = []
        end: _End = ("box", source, None)
        for depth in range(len(source) - 1, shared, -1):
            level = self.levels[source[:depth]]
            level.exits.setdefault(key, len(level.exits))
            way.append((source[:depth], level.wire(end, ("out", (), key))))
            end = ("box", source[:depth], key)
        for depth in range(shared, len(target)):
            level = self.levels[target[:depth]]
            inside = key if depth + 1 < len(target) else None
            way.append((target[:depth], level.wire(end, ("box", target[: depth + 1], inside))))
            if inside is not None:
                entered = self.levels[target[: depth + 1]]
                entered.entries.setdefault(key, len(entered.entries))
                end = ("in", (), key)
        return way

    def _lay_out(self, path: Path) -> None:
        level = self.levels[path]
        numbers: dict[_End, int] = {}
        blocks: list[Block] = []
        for key in level.entries:
            numbers["in", (), key] = len(blocks)
            blocks.append(Block(0.0, 0.0, TOP))
        first = len(blocks)
        for box in level.boxes:
            numbers["box", box.path, None] = len(blocks)
            blocks.append(Block(*self._size(box), clings=box.kind in _CLINGING))
        for key in level.exits:
            numbers["out", (), key] = len(blocks)
            blocks.append(Block(0.0, 0.0, BOTTOM))
        wires = [
            Wire(
                numbers[source[0], source[1], source[2] if source[0] != "box" else None],
                numbers[target[0], target[1], target[2] if target[0] != "box" else None],
                self._port(source, is_exit=True),
                self._port(target, is_exit=False),
            )
            for source, target in level.wires
        ]
        places = place(blocks, wires)
        level.places = Places(places.corners[first:], places.lines, places.width, places.height)
        if not path:
            level.width, level.height = places.width, places.height
            return
        box = self.boxes[path]
        title, lines = _texts(box)
        head = (len(title) + (len(lines[0]) + 3 if lines else 0) + 2) * _FACT_LETTER + 2 * PAD_X
        level.width = max(places.width + 2 * _FRAME_PAD, head)
        level.left = (level.width - places.width) / 2
        level.top = _UNDER_PORTS if level.entries else _HEAD_PX + 4
        level.height = level.top + places.height + (0.0 if level.exits else _FRAME_PAD)
        level.ports = {
            **{("in", key): places.corners[numbers["in", (), key]][0] for key in level.entries},
            **{("out", key): places.corners[numbers["out", (), key]][0] for key in level.exits},
        }
        if level.entries:  # from the upper side of the frame, behind its title
            for (source, _), number in level.wires.items():
                if source[0] == "in":
                    x, y = level.places.lines[number][0]
                    level.places.lines[number] = [(x, y - level.top), *level.places.lines[number]]

    def _port(self, end: _End, *, is_exit: bool) -> float | None:
        kind, path, key = end
        if kind != "box" or key is None:
            return None
        level = self.levels[path]
        return float(level.ports["out" if is_exit else "in", key] + level.left)

    def _size(self, box: Box) -> tuple[float, float]:
        if box.unfolded:
            level = self.levels[box.path]
            return level.width, level.height
        title, lines = _texts(box)
        sign = _SIGN_PX if box.can_unfold else 0.0
        wide = max(len(title) * _TITLE_LETTER + sign, *(len(line) * _FACT_LETTER for line in lines), 0.0)
        return max(wide + 2 * PAD_X, 48.0), TITLE_PX + LINE_PX * len(lines) + 2 * _PAD_Y


def _texts(box: Box) -> tuple[str, tuple[str, ...]]:
    facts = [fact for fact in box.facts if fact != box.title]
    if box.size_bytes:
        size = printable_size(box.size_bytes)
        facts = [*facts[:-1], f"{facts[-1]} · {size}"] if facts and len(facts[-1]) + len(size) < 26 else [*facts, size]
    return shortened(box.title, _LONGEST_TITLE), tuple(shortened(fact, _LONGEST_FACT) for fact in facts[:_MOST_FACTS])


def shortened(text: str, most: int) -> str:
    """A text that fits: both its ends, because many names begin alike and many end so."""
    text = printable(text)
    return text if len(text) <= most else f"{text[: (most - 1) // 2]}…{text[-(most - 1 - (most - 1) // 2) :]}"


def printable(text: str) -> str:
    """A text of any length with its invisible characters made visible."""
    return printable_name(text, len(text) + 1)
