"""A JSON value with the places of its parts: what the linter reads, corrects and writes again.

Nothing here recurs: a body may be nested 100,000 deep.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from explorer.errors import printable_name

Kind = Literal["object", "array", "string", "integer", "real", "bool", "null"]

WORDS: Final[dict[str, str]] = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "real": "a decimal number",
    "bool": "true or false",
    "null": "null",
}
"""What a kind is called in a sentence."""

NUMBERS: Final = ("integer", "real")

_MOST_STEPS = 24  # of a path that are shown, the first and the last ones
_LONGEST_TEXT = 60


class Node:
    """A JSON value.

    Attributes:
        kind: What it is.
        raw: Numbers, ``true``, ``false`` and ``null`` as they are written.
        text: The text of a string; bytes that aren't UTF-8 as ``surrogateescape`` leaves them.
        items: The elements of a list.
        members: The keys and values of an object, repeated keys included.
        start: The byte of the body where it begins.
        parent: What holds it in the body, None for the outermost value.
        step: Its key or its index there.
    """

    __slots__ = ("items", "kind", "members", "parent", "raw", "start", "step", "text")

    def __init__(self, kind: Kind, start: int = 0, *, raw: str = "", text: str = "") -> None:
        self.kind: Kind = kind
        self.raw = raw
        self.text = text
        # Most values hold no others, and share two lists that nobody adds to.
        self.items: list[Node] = [] if kind == "array" else _NO_ITEMS
        self.members: list[tuple[str, Node]] = [] if kind == "object" else _NO_MEMBERS
        self.start = start
        self.parent: Node | None = None
        self.step: str | int = 0

    def __repr__(self) -> str:
        return f"Node({self.kind}, {self.path})"

    @property
    def path(self) -> str:
        """Where it stands in the body, as ``instances[2].x[0]``; empty for the whole body."""
        steps: list[str | int] = []
        node = self
        while node.parent is not None:
            steps.append(node.step)
            node = node.parent
        steps.reverse()
        return printable_path(steps)

    def get(self, key: str) -> Node | None:
        """The first member with a key, which is the one that the server takes."""
        return next((value for name, value in self.members if name == key), None)

    def names(self) -> list[str]:
        """The keys of an object, each once, in the order of the body."""
        return list(dict.fromkeys(name for name, _ in self.members))

    def become(self, other: Node) -> None:
        """Takes the value of another node and keeps its own place."""
        self.kind, self.raw, self.text = other.kind, other.raw, other.text
        self.items, self.members = other.items, other.members

    def set(self, kind: Kind, raw: str = "", text: str = "") -> None:
        """Becomes a value that holds no others."""
        self.kind, self.raw, self.text, self.items, self.members = kind, raw, text, _NO_ITEMS, _NO_MEMBERS


_NO_ITEMS: list[Node] = []
_NO_MEMBERS: list[tuple[str, Node]] = []


def printable_path(steps: Iterable[str | int]) -> str:
    """Keys and indices as one writes them in a program; a long path keeps both ends."""
    every = list(steps)
    shown = every if len(every) <= _MOST_STEPS else [*every[: _MOST_STEPS // 2], *every[-_MOST_STEPS // 2 :]]
    parts = []
    for position, step in enumerate(shown):
        if position == _MOST_STEPS // 2 and len(shown) < len(every):
            parts.append("…")
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif step.isidentifier():
            parts.append(f".{step}" if parts else step)
        else:
            parts.append(f"['{printable_name(step)}']")
    return "".join(parts)


def new_object(members: Iterable[tuple[str, Node]], like: Node) -> Node:
    """An object that stands where another value stood."""
    made = _placed(Node("object", like.start), like)
    made.members = list(members)
    return made


def new_array(items: Iterable[Node], like: Node) -> Node:
    """A list that stands where another value stood."""
    made = _placed(Node("array", like.start), like)
    made.items = list(items)
    return made


def new_string(text: str, like: Node) -> Node:
    """A string that stands where another value stood."""
    return _placed(Node("string", like.start, text=text), like)


def moved(node: Node) -> Node:
    """The same value as a node of its own, so that the old one can become something around it."""
    made = _placed(Node(node.kind, node.start, raw=node.raw, text=node.text), node)
    made.items, made.members = node.items, node.members
    return made


def _placed(node: Node, like: Node) -> Node:
    node.parent, node.step = like.parent, like.step
    return node


def is_base64(node: Node) -> bool:
    """Whether the server takes it for bytes: an object with the one key ``b64`` and a string.

    See ``IsValBase64Object`` in
    https://github.com/tensorflow/serving/blob/master/tensorflow_serving/util/json_tensor.cc.
    """
    return (
        node.kind == "object"
        and len(node.members) == 1
        and node.members[0][0] == "b64"
        and node.members[0][1].kind == "string"
    )


def is_row_object(node: Node) -> bool:
    """Whether the server takes it for an object of named inputs."""
    return node.kind == "object" and not is_base64(node)


def same_value(first: Node, second: Node) -> bool:
    """Whether two values are written the same."""
    pending = [(first, second)]
    while pending:
        a, b = pending.pop()
        if (a.kind, a.raw, a.text) != (b.kind, b.raw, b.text) or len(a.items) != len(b.items):
            return False
        if [key for key, _ in a.members] != [key for key, _ in b.members]:
            return False
        pending += zip(a.items, b.items, strict=True)
        pending += zip((value for _, value in a.members), (value for _, value in b.members), strict=True)
    return True


def shown(node: Node) -> str:
    """A value in a few characters, for a sentence."""
    if node.kind == "string":
        text = node.text if len(node.text) <= _LONGEST_TEXT else node.text[:_LONGEST_TEXT] + "…"
        return printable_name(json.dumps(text, ensure_ascii=False))
    if node.kind == "array":
        return f"a list of {len(node.items)}"
    if node.kind == "object":
        return "{" + ", ".join(f'"{printable_name(key, 40)}": …' for key in node.names()[:5]) + "}"
    return printable_name(node.raw, _LONGEST_TEXT)


def count_values(node: Node) -> int:
    """How many values there are in it, itself included."""
    return sum(1 for _ in walk(node))


def walk(node: Node) -> Iterator[Node]:
    """A value and all values in it, those nearest to the beginning of the body first."""
    pending = [node]
    while pending:
        found = pending.pop()
        yield found
        if found.items:
            pending += reversed(found.items)
        elif found.members:
            pending += [value for _, value in reversed(found.members)]


def json_text(node: Node, indent: int | None = None) -> str:
    """A value as JSON that the server reads.

    Args:
        node: The value.
        indent: Blanks per level, lists without lists and objects in them on one line; None writes all on one line.

    Returns:
        Text without a line end behind it. Every string must be UTF-8.
    """
    parts: list[str] = []
    # What is still to be written, last first: a text, or a value and its level.
    pending: list[str | tuple[Node, int]] = [(node, 1)]
    while pending:
        entry = pending.pop()
        if isinstance(entry, str):
            parts.append(entry)
            continue
        value, level = entry
        if value.kind == "string":
            parts.append(json.dumps(value.text, ensure_ascii=False))
        elif value.kind not in ("array", "object"):
            parts.append(value.raw)
        else:
            opening, closing = "[]" if value.kind == "array" else "{}"
            children = value.items if value.kind == "array" else [child for _, child in value.members]
            names = [f"{json.dumps(key, ensure_ascii=False)}: " for key, _ in value.members]
            broken = indent is not None and any(child.items or child.members for child in children)
            # An object of more than one member is clearer on several lines, where there are lines at all.
            broken = broken or (indent is not None and len(value.members) > 1)
            width = (indent or 0) * min(level, 40)
            between = ",\n" + " " * width if broken else ", "
            inner: list[str | tuple[Node, int]] = [opening + ("\n" + " " * width if broken else "")]
            for position, child in enumerate(children):
                if position:
                    inner.append(between)
                if names:
                    inner.append(names[position])
                inner.append((child, level + 1))
            inner.append(("\n" + " " * (width - (indent or 0)) if broken else "") + closing)
            pending += reversed(inner)
    return "".join(parts)
