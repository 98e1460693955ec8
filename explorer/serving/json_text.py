"""JSON as TensorFlow Serving quotes it in its error texts: RapidJSON's PrettyWriter, arrays on one line, cut short.

Nothing more is written once the text has 256 bytes; what is being written by then, such as a long string, is whole. A
number that isn't finite ends the text where it would stand. See ``prettywriter.h`` and ``writer.h`` of
https://github.com/Tencent/rapidjson (v1.1.0), and ``JsonValueToString`` in ``json_tensor.cc`` of
https://github.com/tensorflow/serving.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

from explorer.serving.json_double import double_text
from explorer.serving.json_values import ABSENT, Absent, JsonObject, JsonValue

_MOST_BYTES: Final = 256
_INDENT: Final = b"    "
_SPECIAL: Final = re.compile(rb'["\\\x00-\x1f]')
_ESCAPED: Final = {
    **{bytes((code,)): b"\\u%04X" % code for code in range(0x20)},
    b'"': b'\\"', b"\\": b"\\\\", b"\b": b"\\b", b"\f": b"\\f", b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t",
}  # fmt: skip

_Level = tuple[Iterator[JsonValue] | None, Iterator[tuple[bytes, JsonValue]] | None, bytes]


def pretty(value: JsonValue) -> bytes:
    """A value as it stands in an error text.

    Args:
        value: What ``parse_json`` gives without blocks.
    """
    text = bytearray()
    levels: list[_Level] = []  # of each open container what is left, and what closes it
    is_first = True
    while True:
        # Here a value begins, and what comes before it is written.
        if isinstance(value, list):
            text += b"["
            levels.append((iter(value), None, b"]"))
            is_first = True
        elif isinstance(value, JsonObject):
            text += b"{"
            levels.append((None, iter(value.members), b"}"))
            is_first = True
        else:
            if isinstance(value, float) and not math.isfinite(value):
                return bytes(text)
            text += _scalar(value)
            is_first = False
        while True:
            if not levels or len(text) >= _MOST_BYTES:
                return bytes(text)
            items, members, close = levels[-1]
            if items is not None:
                following = next(items, ABSENT)
                if not isinstance(following, Absent):
                    text += b"" if is_first else b", "
                    value = following
                    break
            else:
                assert members is not None
                member = next(members, None)
                if member is not None:
                    text += (b"\n" if is_first else b",\n") + _INDENT * len(levels) + _quoted(member[0])
                    if len(text) >= _MOST_BYTES:
                        return bytes(text)
                    text += b": "
                    value = member[1]
                    break
                text += b"" if is_first else b"\n" + _INDENT * (len(levels) - 1)
            text += close
            levels.pop()
            is_first = False


def _scalar(value: JsonValue) -> bytes:
    if isinstance(value, bytes):
        return _quoted(value)
    if value is None:
        return b"null"
    if value is True:
        return b"true"
    if value is False:
        return b"false"
    return (double_text(value) if isinstance(value, float) else str(value)).encode()


def _quoted(text: bytes) -> bytes:
    return b'"' + _SPECIAL.sub(lambda found: _ESCAPED[found[0]], text) + b'"'
