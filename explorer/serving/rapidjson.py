"""The JSON dialect of TensorFlow Serving: RapidJSON 1.1.0, iterative, with NaN and infinity, that stops when done.

What follows the first value is ignored, nothing checks that strings are UTF-8, a lone low surrogate is taken, and an
error has RapidJSON's sentence and offset. See ``IterativeParse`` and ``ParseStringToStream`` in ``reader.h`` of
https://github.com/Tencent/rapidjson (v1.1.0), and ``ParseJson`` in ``json_tensor.cc`` of
https://github.com/tensorflow/serving.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from explorer.serving.json_number import NUMBER, NumberTooBigError, number, numbers, read_number
from explorer.serving.json_text import pretty
from explorer.serving.json_values import ABSENT, Absent, JsonObject, JsonValue, invalid, parse_error

if TYPE_CHECKING:
    from explorer.serving.number_block import NumberBlock

__all__ = ["ABSENT", "Absent", "JsonObject", "JsonValue", "parse_json", "pretty"]

ReadBlock = Callable[[bytes, int], "tuple[NumberBlock | None, int]"]
"""Reads a large array of numbers at a place in one go: what it is, and where it ends.

None and a place mean that no array that begins before that place can be read so.
"""

_SPACE: Final = rb"[ \t\n\r]*+"
_PLAIN_STRING: Final = rb'"([^"\\\x00-\x1f]*+)"'
_VALUE: Final = re.compile(
    _SPACE
    + rb"(?:"
    + _PLAIN_STRING
    + rb"|("
    + NUMBER
    + rb")(?=[ \t\n\r,\]}\x00])|([\[{])|(true)|(false)|(null))"
    + _SPACE
)
_STRING_GROUP, _NUMBER_GROUP, _OPEN_GROUP, _TRUE_GROUP, _FALSE_GROUP = 1, 2, 3, 4, 5
_KEY: Final = re.compile(_SPACE + _PLAIN_STRING + _SPACE + rb":")
_WHITE_SPACE: Final = re.compile(_SPACE)
_NUMBERS: Final = re.compile(rb"(?:" + _SPACE + NUMBER + _SPACE + rb",){8,512}+")
_STRING_PART: Final = re.compile(rb'[^"\\\x00-\x1f]*+')
_HEX: Final = re.compile(rb"[0-9a-fA-F]{4}")
_LITERALS: Final = {0x74: b"true", 0x66: b"false", 0x6E: b"null"}
_ESCAPES: Final = {
    0x22: b'"', 0x5C: b"\\", 0x2F: b"/", 0x62: b"\b", 0x66: b"\f", 0x6E: b"\n", 0x72: b"\r", 0x74: b"\t",
}  # fmt: skip

_COMMA, _CLOSE_ARRAY, _CLOSE_OBJECT = 0x2C, 0x5D, 0x7D
_EMPTY = "The document is empty"
_NO_VALUE = "Invalid value."
_NO_NAME = "Missing a name for object member."
_NO_COLON = "Missing a colon after a name of object member."
_NO_OBJECT_COMMA = "Missing a comma or '}' after an object member."
_NO_ARRAY_COMMA = "Missing a comma or ']' after an array element."
_BAD_ESCAPE = "Invalid escape character in string."
_BAD_SURROGATE = "The surrogate pair in string is invalid."


def parse_json(body: bytes, read_block: ReadBlock | None = None) -> JsonValue:
    """The first JSON value of a body.

    Args:
        body: Any bytes.
        read_block: Reads large arrays of numbers, which then stand as a ``NumberBlock`` each; None reads every number.

    Raises:
        RequestError: It begins with no JSON, in the server's words.
    """
    if not body:
        raise invalid(f"JSON Parse error: {_EMPTY}")
    start = 0
    for mark in b"\xef\xbb\xbf":  # each byte of a byte order mark is passed over by itself
        start += body[start : start + 1] == bytes((mark,))
    # A zero byte ends the text, as one that stands in it does.
    return _document(body + b"\0", start, read_block)


def _document(body: bytes, position: int, read_block: ReadBlock | None) -> JsonValue:
    # What encloses the container that is open, outermost first: its items or members, and the key whose value is read.
    outer: list[tuple[list[JsonValue] | None, list[tuple[bytes, JsonValue]] | None, bytes]] = []
    items: list[JsonValue] | None = None
    members: list[tuple[bytes, JsonValue]] | None = None
    key = b""
    no_block_before = 0
    may_be_numbers = False
    match_value, match_numbers = _VALUE.match, _NUMBERS.match
    value: JsonValue
    while True:
        if may_be_numbers and items is not None:
            run = match_numbers(body, position)
            may_be_numbers = run is not None
            if run is not None:
                try:
                    items += numbers(run[0].split(b",")[:-1])
                    position = run.end()
                except NumberTooBigError:
                    may_be_numbers = False  # one by one, the place of the culprit is known
        found = match_value(body, position)
        if found is None:
            value, position = _other_value(body, position, is_first=items is None and members is None)
        else:
            group = found.lastindex
            position = found.end()
            if group == _STRING_GROUP:
                value = found[_STRING_GROUP]
            elif group == _NUMBER_GROUP:
                try:
                    value = number(found[_NUMBER_GROUP])
                except NumberTooBigError:
                    value, position = read_number(body, found.start(_NUMBER_GROUP))
            elif group == _OPEN_GROUP:
                begin = found.start(_OPEN_GROUP)
                block: NumberBlock | None = None
                if read_block is not None and begin >= no_block_before and body[begin] == 0x5B:
                    block, end = read_block(body, begin)
                    if block is None:
                        no_block_before = end
                    else:
                        value, position = block, _after_space(body, end)
                if block is None:
                    if body[begin] == 0x5B:
                        if body[position] != _CLOSE_ARRAY:
                            outer.append((items, members, key))
                            items, members = [], None
                            may_be_numbers = True
                            continue
                        value = []
                    else:
                        if body[position] != _CLOSE_OBJECT:
                            outer.append((items, members, key))
                            items, members = None, []
                            key, position = _key(body, position)
                            continue
                        value = JsonObject([])
                    position = _after_space(body, position + 1)
            else:
                value = True if group == _TRUE_GROUP else False if group == _FALSE_GROUP else None
        # A value ends here; it may be the last one of its container, that container of its own, and so on.
        while True:
            if items is not None:
                items.append(value)
                after = body[position]
                if after == _COMMA:
                    position += 1
                    break
                if after != _CLOSE_ARRAY:
                    raise parse_error(_NO_ARRAY_COMMA, position)
                value = items
            elif members is not None:
                members.append((key, value))
                after = body[position]
                if after == _COMMA:
                    key, position = _key(body, position + 1)
                    break
                if after != _CLOSE_OBJECT:
                    raise parse_error(_NO_OBJECT_COMMA, position)
                value = JsonObject(members)
            else:
                return value
            items, members, key = outer.pop()
            position = _after_space(body, position + 1)


def _after_space(body: bytes, position: int) -> int:
    if body[position] > 0x20:
        return position
    found = _WHITE_SPACE.match(body, position)
    return found.end() if found else position


def _key(body: bytes, position: int) -> tuple[bytes, int]:
    """The name of a member, and the place after its colon."""
    found = _KEY.match(body, position)
    if found is not None:
        return found[1], found.end()
    position = _after_space(body, position)
    if body[position] != 0x22:
        raise parse_error(_NO_NAME, position)
    key, position = _string(body, position + 1)
    position = _after_space(body, position)
    if body[position] != 0x3A:
        raise parse_error(_NO_COLON, position)
    return key, position + 1


def _other_value(body: bytes, position: int, is_first: bool) -> tuple[JsonValue, int]:
    """A value that isn't of the usual form, and the place of what follows it."""
    position = _after_space(body, position)
    first = body[position]
    if first in b"]},:\0":
        raise parse_error(f"{_EMPTY}." if is_first else _NO_VALUE, position)
    value: JsonValue
    if first == 0x22:
        value, position = _string(body, position + 1)
    elif first in _LITERALS:
        word = _LITERALS[first]
        raise parse_error(_NO_VALUE, next(at for at in range(position, len(body)) if body[at] != word[at - position]))
    else:
        value, position = read_number(body, position)
    return value, _after_space(body, position)


def _string(body: bytes, position: int) -> tuple[bytes, int]:
    """The string that begins after a quotation mark, and the place after the one that ends it."""
    parts = []
    while True:
        plain = _STRING_PART.match(body, position)
        if plain is not None:
            parts.append(plain[0])
            position = plain.end()
        special = body[position]
        if special == 0x22:
            return b"".join(parts), position + 1
        if special == 0:
            raise parse_error("Missing a closing quotation mark in string.", position)
        if special != 0x5C:
            raise parse_error(_BAD_ESCAPE, position)
        simple = _ESCAPES.get(body[position + 1])
        if simple is not None:
            parts.append(simple)
            position += 2
        elif body[position + 1] == 0x75:
            part, position = _character(body, position)
            parts.append(part)
        else:
            raise parse_error(_BAD_ESCAPE, position)


def _character(body: bytes, start: int) -> tuple[bytes, int]:
    """A character that is written as a number, in UTF-8; an error in it stands at its first backslash."""
    code, position = _hexadecimal(body, start + 2, start), start + 6
    if 0xD800 <= code <= 0xDBFF:
        if body[position : position + 2] != b"\\u":
            raise parse_error(_BAD_SURROGATE, start)
        low, position = _hexadecimal(body, position + 2, start), position + 6
        if not 0xDC00 <= low <= 0xDFFF:
            raise parse_error(_BAD_SURROGATE, start)
        code = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00))
    return chr(code).encode("utf-8", "surrogatepass"), position


def _hexadecimal(body: bytes, position: int, start: int) -> int:
    found = _HEX.match(body, position)
    if found is None:
        raise parse_error("Incorrect hex digit after \\u escape in string.", start)
    return int(found[0], 16)
