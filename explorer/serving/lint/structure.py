"""The value that a tolerant reader builds: lists and objects that are still open, and the slips that it meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from explorer.serving.lint.tree import Node

BOM: Final = b"\xef\xbb\xbf"
"""What some editors write before UTF-8; the server passes over it."""

_MOST_SLIPS: Final = 1000


class Slip(NamedTuple):
    """Something that JSON doesn't allow.

    Attributes:
        code: A short name.
        start: The byte where it is.
        node: The value that has it, or would be there.
        message: A sentence.
        change: What was corrected.
        stop: Why it can't be.
    """

    code: str
    start: int
    node: Node
    message: str
    change: str
    stop: str


@dataclass(slots=True)
class Frame:
    """A list or an object that isn't closed yet."""

    node: Node
    closer: str
    call: bool = False
    key: str | None = None
    key_start: int = 0
    comma: int = -1  # where the comma stands behind the last value, -1 if there is none
    commas: int = 0

    @property
    def count(self) -> int:
        """How many values it holds."""
        return len(self.node.items) + len(self.node.members)


class Structure:
    """A value in the making.

    Attributes:
        root: The outermost value, None before it begins.
        slips: What JSON doesn't allow.
        stack: The lists and objects that are open, the innermost last.
        at: The byte that is read next.
        count: How many values there are.
    """

    def __init__(self, body: bytes, anchor: int | None) -> None:
        self.body = body
        self.anchor = anchor
        self.slips: list[Slip] = []
        self.stack: list[Frame] = []
        self.root: Node | None = None
        self.at = len(BOM) if body.startswith(BOM) else 0
        self.count = 0

    def tell(
        self, code: str, start: int, message: str, change: str = "", stop: str = "", node: Node | None = None
    ) -> None:
        """Takes note of a slip; see :class:`Slip`."""
        if stop or len(self.slips) < _MOST_SLIPS:
            start = start if self.anchor is None else self.anchor
            self.slips.append(Slip(code, start, node or self._here(), message, change, stop))

    def _here(self) -> Node:
        """A node that stands where the next value will."""
        node = Node("null", self.start())
        self._place(node)
        return node

    def start(self) -> int:
        """Where the next value begins."""
        return self.at if self.anchor is None else self.anchor

    def _place(self, node: Node) -> None:
        if self.stack:
            frame = self.stack[-1]
            node.parent = frame.node
            if frame.node.kind == "object":
                if frame.key is None:  # a key is wrong, or what stands in its place
                    node.parent, node.step = frame.node.parent, frame.node.step
                else:
                    node.step = frame.key
            else:
                node.step = len(frame.node.items)
            if frame.call:  # the call is unwrapped, so its argument stands where it stood
                node.parent, node.step = frame.node.parent, frame.node.step

    def comma(self, letter: int) -> None:
        """Takes a comma, or a semicolon in its place."""
        at = self.at
        self.at += 1
        if not self.stack:
            self.tell("stray", at, "a comma stands before the first value; remove it", "removed")
            return
        frame = self.stack[-1]
        if letter != 0x2C:
            self.tell("separator", at, "a ; stands between values; JSON separates them by commas", "; became a comma")
        if frame.key is not None:
            self._lacks_value(frame)
        if frame.comma >= 0 or not frame.count:
            self.tell("extra_comma", at, "a comma has no value before it; remove it", "a comma was removed")
        frame.comma = at
        frame.commas += 1

    def close(self, closer: str) -> None:
        """Closes the innermost list or object that a bracket fits."""
        at = self.at
        self.at += 1
        depth = next((n for n, frame in enumerate(reversed(self.stack)) if frame.closer == closer), None)
        if depth is None:
            self.tell("extra_bracket", at, f"a {closer} closes nothing; remove it", "removed")
            return
        for _ in range(depth):
            frame = self.stack[-1]
            self.tell(
                "missing_bracket",
                at,
                f"a {closer} stands here, but the {_opened(frame)} is still open; close it with {frame.closer} first",
                f"{frame.closer} was added",
                node=frame.node,
            )
            self._pop()
        self._pop()

    def close_rest(self) -> None:
        """Closes what is still open at the end of the body."""
        last = self.stack[-1]
        missing = "".join(frame.closer for frame in reversed(self.stack))
        shown = missing if len(missing) <= 20 else f"{missing[:20]}… ({len(missing)} brackets)"
        self.at = len(self.body)
        self.tell(
            "missing_bracket",
            len(self.body),
            f"the body ends before everything is closed; {shown} is missing, or more of it was cut off",
            f"{shown} was added at the end",
            node=last.node,
        )
        while self.stack:
            self._pop()

    def _pop(self) -> None:
        """Closes the innermost list or object."""
        frame = self.stack[-1]
        if frame.key is not None:
            self._lacks_value(frame)
        if frame.comma >= 0 and not frame.call and not (frame.closer == ")" and frame.count == 1):
            self.tell(
                "trailing_comma",
                frame.comma,
                f"a comma stands behind the last value; JSON wants the {frame.closer} there",
                "the comma was removed",
                node=frame.node,
            )
        self.stack.pop()
        node = frame.node
        is_single = frame.closer == ")" and len(node.items) == 1 and (frame.call or not frame.commas)
        if frame.closer == ")" and not frame.call:
            self.tell(
                "brackets",
                node.start,
                "( ) stands around values; JSON has no such brackets, and writes a list with [ ]",
                "( ) was removed" if is_single else "( ) became [ ]",
                node=node,
            )
        if is_single:
            node.become(node.items[0])  # brackets around one value, as in float32(1.0)
            for step, child in enumerate(node.items):
                child.parent, child.step = node, step
            for key, child in node.members:
                child.parent, child.step = node, key

    def _lacks_value(self, frame: Frame) -> None:
        assert frame.key is not None
        self.tell("missing_value", frame.key_start, "a key has no value; write one behind it", "", "a key has no value")
        frame.key = None

    def make_set(self, frame: Frame) -> None:
        """Braces around values that have no keys: a set of Python's."""
        frame.node.kind, frame.node.items, frame.node.members = "array", [], []
        self.tell(
            "brackets",
            frame.node.start,
            "braces stand around values without keys; JSON writes a list with [ ]",
            "{ } became [ ]",
            node=frame.node,
        )

    def add(self, node: Node) -> Node:
        """Puts a value where the next one belongs."""
        self.count += 1
        if not self.stack:
            self.root = node
            return node
        frame = self.stack[-1]
        self._place(node)
        if frame.node.kind == "object":
            assert frame.key is not None
            frame.node.members.append((frame.key, node))
            frame.key = None
        elif not (frame.call and frame.node.items):  # of a call the first argument is the value
            frame.node.items.append(node)
        frame.comma = -1
        return node

    def anchored(self, at: int) -> int:
        """What a value that begins at a byte gets for its place."""
        return at if self.anchor is None else self.anchor


def _opened(frame: Frame) -> str:
    return "object" if frame.closer == "}" else "list"
