"""A long request as it can be looked at: the first and the last elements, and how many there are between.

Made from the values, not from the text: of a body of 100 MB nothing is written but what is shown.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

MOST_CHARS = 2000
"""How long a shortened request is at most, in characters, when nothing else is said."""

# First and last elements of each list that are shown, the most first; the least is tried whatever comes of it.
_STEPS = ((12, 4), (6, 3), (3, 2), (2, 1), (1, 1), (1, 0))
_LONGEST_STRING = 100
_HEAD, _TAIL = 60, 20
_LONGEST_PARSED = 1_000_000
_SMALLEST = 80


def shortened(request: object, most_chars: int = MOST_CHARS) -> str:
    """A request in few characters.

    Args:
        request: A text, bytes, or what has an ``outline()``: a :class:`~explorer.serving.body.Body` or a
            :class:`~explorer.serving.requests.Request`.
        most_chars: The longest text that is shown whole.

    Returns:
        The text itself where it is short enough. Else one that nobody can send by mistake: its first line says that
        it is shortened, and where elements are left out stands ``… 1234 more …``.
    """
    most_chars = max(most_chars, _SMALLEST)
    outline = getattr(request, "outline", None)
    value = outline() if callable(outline) else request
    if isinstance(value, bytes):
        return _shortened_bytes(value, most_chars)
    if not isinstance(value, str):
        return shortened_value(value, most_chars)
    if len(value) <= most_chars:
        return value
    if len(value) <= _LONGEST_PARSED:
        import json

        try:
            return shortened_value(json.loads(value), most_chars)
        except (ValueError, RecursionError):
            pass  # no JSON, so it is cut as any text
    return _cut(value, most_chars, len(value))


def shortened_value(value: Any, most_chars: int = MOST_CHARS) -> str:
    """The same for dicts, lists, arrays and scalars; what is long is only looked at where it is shown."""
    for head, tail in _STEPS:
        writer = _Writer(head, tail, most_chars if (head, tail) != _STEPS[-1] else 20 * most_chars)
        try:
            writer.write(value)
        except _TooLongError:
            continue
        text = "".join(writer.parts)
        if not writer.left_out:
            return text
        if len(text) <= most_chars:
            return f"(shortened for reading: … stands for what is left out)\n{text}"
        return _cut(text, most_chars, None)
    return f"(shortened for reading: the request has more than {most_chars} characters)\n…"


class _TooLongError(Exception):
    """More was written than is wanted."""


class _Writer:
    """Writes a value, leaving out the middle of what is long.

    Attributes:
        parts: What was written.
        left_out: Whether anything was not.
    """

    def __init__(self, head: int, tail: int, most_chars: int) -> None:
        self.parts: list[str] = []
        self.left_out = False
        self._head = head
        self._tail = tail
        self._room = most_chars

    def write(self, value: Any) -> None:
        """Adds a value."""
        if isinstance(value, Mapping):
            self._add("{")
            self._write_all([(f"{_quoted(str(key))}: ", item) for key, item in value.items()])
            self._add("}")
        elif isinstance(value, str):
            self._write_string(value)
        elif isinstance(value, bytes):
            self._write_bytes(value)
        elif getattr(value, "shape", None) or (isinstance(value, Sequence) and not isinstance(value, str)):
            self._add("[")
            self._write_all(value)
            self._add("]")
        else:
            self._add(_scalar(value))

    def _write_all(self, items: Any) -> None:
        count = len(items)
        head, tail = self._head, self._tail
        if count <= head + tail + 1:
            head, tail = count, 0
        shown = [*range(head), *range(count - tail, count)]
        for place, index in enumerate(shown):
            if place:
                self._add(", ")
            if place == head and tail:
                self._skip(count - head - tail)
                self._add(", ")
            item = items[index]
            if isinstance(items, list) and isinstance(item, tuple) and len(item) == 2:
                self._add(item[0])
                item = item[1]
            self.write(item)
        if not tail and count > head:
            self._add(", ")
            self._skip(count - head)

    def _skip(self, count: int) -> None:
        self.left_out = True
        self._add(f"… {count} more …")

    def _write_string(self, text: str) -> None:
        if len(text) <= _LONGEST_STRING:
            self._add(_quoted(text))
            return
        count = len(text) - _HEAD - _TAIL
        self.left_out = True
        self._add(f"{_quoted(text[:_HEAD])[:-1]}… {count} more characters …{_quoted(text[-_TAIL:])[1:]}")

    def _write_bytes(self, data: bytes) -> None:
        whole = 4 * ((len(data) + 2) // 3)
        self._add('{"b64": ')
        if whole <= _LONGEST_STRING:
            self._add(_quoted(base64.b64encode(data).decode("ascii")))
        else:
            # Each three bytes are four characters, whatever stands around them.
            start = base64.b64encode(data[: _HEAD // 4 * 3]).decode("ascii")
            end = base64.b64encode(data[(whole - _TAIL) // 4 * 3 :]).decode("ascii")
            self.left_out = True
            self._add(f'"{start}… {whole - len(start) - len(end)} more characters …{end}"')
        self._add("}")

    def _add(self, text: str) -> None:
        self._room -= len(text)
        if self._room < 0:
            raise _TooLongError
        self.parts.append(text)


def _scalar(value: Any) -> str:
    if hasattr(value, "dtype"):
        import numpy as np

        from explorer.serving.arrays import array_text

        return array_text(np.asarray(value))
    return _quoted(value)


def _quoted(value: Any) -> str:
    import json

    return json.dumps(value, default=str)


def _cut(text: str, most_chars: int, whole: int | None) -> str:
    """The ends of a text that has no elements to count."""
    note = (
        "(shortened for reading: the middle is left out)"
        if whole is None
        else f"(shortened for reading: {whole} characters in all)"
    )
    room = max(20, most_chars - len(note) - 40)
    head, tail = room * 2 // 3, room // 3
    return f"{note}\n{text[:head]}… {len(text) - head - tail} more characters …{text[-tail:]}"


def _shortened_bytes(data: bytes, most_chars: int) -> str:
    """Bytes in hexadecimal, and how many they are."""
    most = max(8, (most_chars - 60) // 3)
    if len(data) <= most:
        return data.hex(" ")
    head, tail = most * 2 // 3, most // 3
    count = len(data) - head - tail
    start, end = data[:head].hex(" "), data[-tail:].hex(" ")
    return f"(shortened for reading: {len(data)} bytes)\n{start} … {count} more bytes … {end}"
