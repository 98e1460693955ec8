"""The sorted table of LevelDB, the file format of ``variables.index``: pairs of key and value in key order.

The format is described in https://github.com/google/leveldb/blob/main/doc/table_format.md; TensorFlow's writer and
reader are ``tensorflow/core/lib/io/table_builder.cc`` and ``format.cc``. Snappy blocks are read too
(https://github.com/google/snappy/blob/main/format_description.txt), although TensorFlow writes none today.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from explorer.errors import FormatError
from explorer.savedmodel.records import masked_crc32c, read_varint

MAGIC: Final = 0xDB4775248B80FB57
FOOTER_BYTES: Final = 48
MOST_UNPACKED_BYTES: Final = 128 << 20
"""How many bytes blocks and keys may come to, prefixes and snappy undone; a million variables need about a third."""

_TRAILER_BYTES = 5  # one byte says how the block is compressed, four are its checksum
_UNCOMPRESSED, _SNAPPY = 0, 1


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walks a table from its first key to its last.

    Args:
        data: The whole file.

    Yields:
        Keys, strictly increasing, with their values.

    Raises:
        FormatError: The bytes are no such table, a checksum is wrong, or it unpacks to more than
            ``MOST_UNPACKED_BYTES``.
    """
    if len(data) < FOOTER_BYTES:
        raise FormatError(f"a table has at least {FOOTER_BYTES} bytes, this file has {len(data)}; it seems cut off")
    footer = len(data) - FOOTER_BYTES
    if int.from_bytes(data[-8:], "little") != MAGIC:
        raise FormatError("the file doesn't end as a table does; it is cut off or something else", len(data) - 8)
    _, position = _handle(data, footer)
    (offset, size), _ = _handle(data, position)
    unpacked = 0
    last_block_end = 0
    previous: bytes | None = None
    for _, place in _entries(_block(data, offset, size)):
        (offset, size), _ = _handle(place, 0)
        # Blocks are written one after the other. Were the same one named a million times, reading would never end.
        if offset < last_block_end:
            raise FormatError("two blocks of the table overlap", offset)
        last_block_end = offset + size + _TRAILER_BYTES
        block = _block(data, offset, size)
        unpacked += len(block)
        for key, value in _entries(block):
            if previous is not None and key <= previous:
                raise FormatError("the keys of the table are not in order", offset)
            previous = key
            unpacked += len(key)
            _check_budget(unpacked)
            yield key, value


def _handle(data: bytes, position: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block as they are written at ``position``, and the position after them."""
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return (offset, size), position


def _check_budget(unpacked: int) -> None:
    if unpacked > MOST_UNPACKED_BYTES:
        raise FormatError(f"the table unpacks to more than {MOST_UNPACKED_BYTES} bytes, which is not read")


def _block(data: bytes, offset: int, size: int) -> bytes:
    """The content of one block, its checksum compared."""
    end = offset + size
    if end + _TRAILER_BYTES > len(data) - FOOTER_BYTES:
        raise FormatError("a block of the table reaches past its end; the file seems cut off or damaged", offset)
    (stored,) = struct.unpack_from("<I", data, end + 1)
    if masked_crc32c(memoryview(data)[offset : end + 1]) != stored:
        raise FormatError("the checksum of a block of the table is wrong; the file is damaged", offset)
    if data[end] == _UNCOMPRESSED:
        return data[offset:end]
    if data[end] == _SNAPPY:
        return unpack_snappy(data[offset:end])
    raise FormatError(f"a block of the table is compressed in a way that is not known ({data[end]})", offset)


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The pairs of one block; a key repeats the beginning of the one before it by reference."""
    if len(block) < 4:
        raise FormatError("a block of the table is too short")
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise FormatError("a block of the table is shorter than its own directory")
    position = unpacked = 0
    key = b""
    while position < end:
        shared, position = read_varint(block, position)
        added, position = read_varint(block, position)
        length, position = read_varint(block, position)
        if shared > len(key) or added + length > end - position:
            raise FormatError("an entry of the table reaches past its block")
        key = key[:shared] + block[position : position + added]
        position += added
        unpacked += len(key)
        _check_budget(unpacked)
        yield key, block[position : position + length]
        position += length


def unpack_snappy(packed: bytes) -> bytes:
    """Undoes Snappy's compression.

    Args:
        packed: One block in the raw format, without the framing of ``.sz`` files.

    Returns:
        The bytes that were compressed.

    Raises:
        FormatError: The bytes are not Snappy's, or unpack to more than ``MOST_UNPACKED_BYTES``.
    """
    size, position = read_varint(packed, 0)
    _check_budget(size)
    unpacked = bytearray()
    while position < len(packed):
        tag = packed[position]
        position += 1
        if tag & 3 == 0:
            length = (tag >> 2) + 1
            if length > 60:  # 61 to 64 say in how many bytes the length follows
                width = length - 60
                length = _little(packed, position, width) + 1
                position += width
            unpacked += packed[position : position + length]
            if length > len(packed) - position:
                raise FormatError("a compressed block ends too early")
            position += length
        else:
            position = _copy(packed, position, tag, unpacked)
        if len(unpacked) > size:
            break
    if len(unpacked) != size:
        raise FormatError("a compressed block doesn't have the length that it announces")
    return bytes(unpacked)


def _copy(packed: bytes, position: int, tag: int, unpacked: bytearray) -> int:
    """Repeats what was unpacked already; the copy may overlap its own source. Returns the position after it."""
    if tag & 3 == 1:
        length, width = (tag >> 2 & 7) + 4, 1
        back = (tag >> 5) << 8 | _little(packed, position, width)
    else:
        length, width = (tag >> 2) + 1, 2 if tag & 3 == 2 else 4
        back = _little(packed, position, width)
    if not 0 < back <= len(unpacked):
        raise FormatError("a compressed block refers to what lies before its beginning")
    start = len(unpacked) - back
    pattern = unpacked[start : start + min(back, length)]
    unpacked += (pattern * (length // len(pattern) + 1))[:length]
    return position + width


def _little(packed: bytes, position: int, width: int) -> int:
    if position + width > len(packed):
        raise FormatError("a compressed block ends too early")
    return int.from_bytes(packed[position : position + width], "little")
