"""Protobuf's wire format: fields found by positioned reads, fields written, nothing interpreted.

Only what a table needs is read; a field of a gigabyte costs as much as one of ten bytes, because its payload is
skipped by its length. See https://protobuf.dev/programming-guides/encoding/ for the format.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from explorer.errors import FormatError

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
GROUP_START: Final = 3
GROUP_END: Final = 4
FIXED32: Final = 5

_HEADER = 20  # a tag and a length are at most ten bytes each
_WINDOW = 4096  # what one positioned read fetches; a graph's nodes are scanned with a larger window
_DEEPEST_GROUP = 100


class Readable(Protocol):
    """Something with bytes at positions: a file, a text's binary form, a document with pending edits."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def read_at(self, offset: int, length: int) -> bytes:
        """The ``length`` bytes from ``offset``; fewer only where the end is reached."""


class Field(NamedTuple):
    """Where one field of a message stands, in bytes from the beginning of the document.

    Attributes:
        number: The field number of the message's ``.proto``.
        wire_type: One of ``VARINT``, ``FIXED64``, ``LENGTH``, ``GROUP_START``, ``FIXED32``.
        start: The first byte of the tag.
        value_start: The first byte after the tag, and after the length where there is one.
        end: The first byte after the field.
        parent: The length-delimited field that this one stands in; None at top level.
    """

    number: int
    wire_type: int
    start: int
    value_start: int
    end: int
    parent: Field | None = None


def scan(document: Readable, parent: Field | None = None, window: int = _WINDOW) -> Iterator[Field]:
    """Walks the fields of one message, each payload skipped.

    Args:
        document: What to read from.
        parent: The length-delimited field whose payload is the message; None for the whole document.
        window: How many bytes one read fetches.

    Yields:
        The message's fields in file order.

    Raises:
        FormatError: The bytes are not protobuf, or end too early.
    """
    position = 0 if parent is None else parent.value_start
    stop = document.size if parent is None else parent.end
    base, buffer = position, b""
    while position < stop:
        at = position - base
        if at < 0 or at + _HEADER > len(buffer):
            wanted = min(window, stop - position)
            if at < 0 or at + min(_HEADER, stop - position) > len(buffer):
                base, buffer, at = position, document.read_at(position, wanted), 0
        start = position
        # One-byte tags are nearly all there are; the general case stands in read_varint.
        try:
            tag = buffer[at]
            at += 1
            if tag >= 0x80:
                tag, at = read_varint(buffer, at - 1)
            wire_type = tag & 7
            if wire_type == LENGTH:
                length = buffer[at]
                at += 1
                if length >= 0x80:
                    length, at = read_varint(buffer, at - 1)
                value_start = base + at
                position = value_start + length
            elif wire_type == VARINT:
                value_start = base + at
                _, at = read_varint(buffer, at)
                position = base + at
            elif wire_type == FIXED32:
                value_start = base + at
                position = value_start + 4
            elif wire_type == FIXED64:
                value_start = base + at
                position = value_start + 8
            elif wire_type == GROUP_START:
                value_start = base + at
                position = _group_end(document, value_start, stop, tag >> 3)
            else:
                raise FormatError("this is not a protobuf message: a field has an impossible wire type", start)
        except IndexError:
            raise FormatError("the file ends in the middle of a field", start) from None
        if not 0 < tag >> 3 < 1 << 29:
            raise FormatError("this is not a protobuf message: a field has an impossible number", start)
        if position > stop:
            raise FormatError(
                f"a field claims {position - value_start} bytes where {max(stop - value_start, 0)} are left: "
                "the file is truncated or corrupt",
                start,
            )
        yield Field(tag >> 3, wire_type, start, value_start, position, parent)


def _group_end(document: Readable, position: int, stop: int, number: int) -> int:
    """The position after the end of a group; groups are a dead part of the format, so a plain walk will do."""
    open_groups = [number]
    while open_groups:
        buffer = document.read_at(position, min(_HEADER, stop - position))
        tag, at = read_varint(buffer, 0)
        wire_type = tag & 7
        if wire_type == GROUP_START:
            open_groups.append(tag >> 3)
            if len(open_groups) > _DEEPEST_GROUP:
                raise FormatError("groups are nested too deeply", position)
        elif wire_type == GROUP_END:
            if open_groups.pop() != tag >> 3:
                raise FormatError("a group ends that was not begun", position)
        elif wire_type == VARINT:
            _, at = read_varint(buffer, at)
        elif wire_type == LENGTH:
            length, at = read_varint(buffer, at)
            at += length
        elif wire_type in (FIXED32, FIXED64):
            at += 4 if wire_type == FIXED32 else 8
        else:
            raise FormatError("this is not a protobuf message: a field has an impossible wire type", position)
        position += at
        if position > stop:
            raise FormatError("the file ends in the middle of a group", stop)
    return position


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Reads an unsigned base-128 number.

    Args:
        data: The bytes.
        at: Where the number begins.

    Returns:
        The number, at most 64 bits of it, and the position after it.

    Raises:
        FormatError: It is longer than the ten bytes that the format allows.
        IndexError: ``data`` ends within it.
    """
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise FormatError("a number is longer than ten bytes: the file is corrupt")


def signed(number: int) -> int:
    """An unsigned 64-bit varint as the int64 that it stands for."""
    return number - (1 << 64) if number >= 1 << 63 else number


def payload(document: Readable, field: Field) -> bytes:
    """The bytes of a length-delimited field."""
    data = document.read_at(field.value_start, field.end - field.value_start)
    if len(data) != field.end - field.value_start:
        raise FormatError("the file became shorter while it was read", field.value_start)
    return data


def text(document: Readable, field: Field, what: str = "a name") -> str:
    """The text of a string field; ``what`` names it in the error."""
    if field.wire_type != LENGTH:
        raise FormatError(f"{what} is a number where text was expected", field.start)
    try:
        return payload(document, field).decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{what} is not UTF-8 text", field.value_start) from None


def number(document: Readable, field: Field) -> int:
    """The value of a varint field, unsigned."""
    if field.wire_type != VARINT:
        raise FormatError("a number was expected here", field.start)
    try:
        return read_varint(document.read_at(field.value_start, field.end - field.value_start), 0)[0]
    except IndexError:
        raise FormatError("the file became shorter while it was read", field.value_start) from None


def encode_varint(value: int) -> bytes:
    """A number in base-128; a negative one as its 64-bit two's complement."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_field(field_number: int, value: int | str | bytes) -> bytes:
    """One field: a varint from an int, a length-delimited one from text or bytes."""
    if isinstance(value, int):
        return encode_varint(field_number << 3 | VARINT) + encode_varint(value)
    data = value.encode("utf-8") if isinstance(value, str) else value
    return encode_header(field_number, len(data)) + data


def encode_header(field_number: int, length: int) -> bytes:
    """The tag and the length of a length-delimited field."""
    return encode_varint(field_number << 3 | LENGTH) + encode_varint(length)
