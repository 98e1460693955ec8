"""Small binary files, read whole: protobuf fields, the CRC-32C checksum, and the file itself, all bounded.

For messages that are already in memory (an entry of ``variables.index``, a warm-up record). Nothing here knows what a
field means.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import cache
from typing import Final

from explorer.errors import FormatError, SourceError, quoted
from explorer.savedmodel.wire import FIXED32, FIXED64, GROUP_END, GROUP_START, LENGTH, VARINT

LFS_POINTER_START: Final = b"version https://git-lfs.github.com/spec/"
"""How a Git LFS pointer file begins (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""

_DEEPEST_GROUP = 100  # protobuf's own limit
_MOST_VARINT_BITS = 64
_LARGEST_TAG = 0xFFFFFFFF
_NOTHING = memoryview(b"")


def iter_fields(data: bytes | memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Walks the fields of one message in file order.

    A field is told by its tag, ``number << 3 | wire type``: one that comes with an unexpected wire type is then simply
    an unknown field, which is how protobuf treats it. Groups are skipped.

    Args:
        data: One whole message.

    Yields:
        The tag; the value of a varint, fixed32 or fixed64 field (else 0); the payload of a length-delimited field
        (else empty).

    Raises:
        FormatError: The bytes are not protobuf, or end too early; its offset counts from the start of ``data``.
    """
    view = memoryview(data)
    position, end = 0, len(view)
    while position < end:
        start = position
        # Nearly all tags and lengths have one byte; for those a call would cost more than all the rest.
        tag = view[position]
        if tag < 0x80:
            position += 1
        else:
            tag, position = read_varint(view, position)
        wire_type = tag & 7
        if wire_type > FIXED32 or tag < 8 or tag > _LARGEST_TAG:
            raise FormatError("a field has an impossible tag", start)
        if wire_type == VARINT:
            value, position = read_varint(view, position)
            yield tag, value, _NOTHING
        elif wire_type == LENGTH:
            if position < end and (length := view[position]) < 0x80:
                position += 1
            else:
                length, position = read_varint(view, position)
            if length > end - position:
                raise FormatError("a field is longer than the message that holds it", start)
            yield tag, 0, view[position : position + length]
            position += length
        elif wire_type == GROUP_START:
            position = _end_of_group(view, position, tag)
        elif wire_type == GROUP_END:
            raise FormatError("a group ends that never began", start)
        else:
            width = 8 if wire_type == FIXED64 else 4
            if width > end - position:
                raise FormatError("a message ends inside a number", start)
            yield tag, int.from_bytes(view[position : position + width], "little"), _NOTHING
            position += width


def read_varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """Reads one base-128 number.

    Args:
        data: Where it stands.
        position: Its first byte.

    Returns:
        The number, modulo 2**64 as protobuf reads it, and the position after it.

    Raises:
        FormatError: The data end inside the number, or it has more than ten bytes.
    """
    value = shift = 0
    start = position
    try:
        while (byte := data[position]) >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            position += 1
            if shift >= _MOST_VARINT_BITS + 6:
                raise FormatError("a number has more than ten bytes", start)
    except IndexError:
        raise FormatError("the data end inside a number", start) from None
    return (value | byte << shift) & 0xFFFFFFFFFFFFFFFF, position + 1


def utf8_text(payload: bytes | memoryview, what: str) -> str:
    """The text of a ``string`` field.

    Raises:
        FormatError: It is not UTF-8, which protobuf demands; ``what`` names it in the sentence.
    """
    try:
        return bytes(payload).decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{what} is not UTF-8 text") from None


def masked_crc32c(data: bytes | memoryview) -> int:
    """The checksum that LevelDB tables and TFRecord files store: CRC-32C, rotated and shifted.

    The mask is that of https://github.com/google/leveldb/blob/main/util/crc32c.h: a checksum of data that hold
    checksums would be weak otherwise.
    """
    table = _crc32c_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_whole(path: str, largest_bytes: int, what: str) -> bytes | None:
    """Reads a file that is expected to be small.

    Args:
        path: The file; links are followed, as the folders of the Hugging Face cache and of Kubernetes need.
        largest_bytes: The size from which on it is refused unread.
        what: What the file is, for the sentences.

    Returns:
        Its bytes, or None where there is no such file.

    Raises:
        FormatError: It is larger than that, or no regular file (a named pipe would never end).
        SourceError: The operating system doesn't let us read it.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise FormatError(f"{quoted(path)} should be {what} and is no regular file")
        if found.st_size > largest_bytes:
            raise FormatError(
                f"{quoted(path)} has {found.st_size} bytes, and {what} of more than {largest_bytes} bytes is not read"
            )
        with open(path, "rb") as file:
            return file.read(largest_bytes)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        if isinstance(error, FormatError):
            raise
        raise SourceError(f"{quoted(path)} cannot be read: {getattr(error, 'strerror', None) or error}", path) from None


def is_lfs_pointer(start: bytes) -> bool:
    """Whether a file that starts so is a Git LFS pointer in place of the file itself."""
    return start.startswith(LFS_POINTER_START)


@cache
def _crc32c_table() -> tuple[int, ...]:
    """The 256 remainders of the Castagnoli polynomial, bits reversed (RFC 3720, appendix B.4)."""
    table = []
    for byte in range(256):
        remainder = byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
        table.append(remainder)
    return tuple(table)


def _checked_wire_type(tag: int, start: int) -> int:
    wire_type = tag & 7
    if wire_type > FIXED32 or tag < 8 or tag > _LARGEST_TAG:
        raise FormatError("a field has an impossible tag", start)
    return wire_type


def _end_of_group(view: memoryview, position: int, tag: int) -> int:
    """The position after the group that ``tag`` began; nested groups are walked without recursion."""
    open_groups = [tag >> 3]
    while open_groups:
        start = position
        tag, position = read_varint(view, position)
        wire_type = _checked_wire_type(tag, start)
        if wire_type == GROUP_START:
            open_groups.append(tag >> 3)
            if len(open_groups) > _DEEPEST_GROUP:
                raise FormatError(f"groups are nested more than {_DEEPEST_GROUP} deep", start)
        elif wire_type == GROUP_END:
            if open_groups.pop() != tag >> 3:
                raise FormatError("a group ends that never began", start)
        elif wire_type == VARINT:
            _, position = read_varint(view, position)
        elif wire_type == LENGTH:
            length, position = read_varint(view, position)
            position += length
        else:
            position += 8 if wire_type == FIXED64 else 4
        if position > len(view):
            raise FormatError("a field is longer than the message that holds it", start)
    return position
