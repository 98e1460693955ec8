"""The pairs of a table that may be larger than memory, found by position: the old format of checkpoints is one.

The weights of an old checkpoint are values of its table, up to two gigabytes each, so here a value is a range of the
file; :mod:`explorer.savedmodel.table` describes the format and reads small tables from memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from explorer.converting.crc32c import extend_crc32c, masked
from explorer.errors import FormatError
from explorer.savedmodel.overlay import BytesSource, Document, FileSource, Piece, Source
from explorer.savedmodel.records import read_varint
from explorer.savedmodel.table import FOOTER_BYTES, MAGIC, unpack_snappy

LARGEST_BLOCK: Final = 64 << 20
"""In bytes: the directory of a table, and a compressed block, are not read when they are larger."""

_CHUNK: Final = 1 << 20
_TRAILER_BYTES: Final = 5  # one byte says how the block is compressed, four are its checksum
_HEAD_BYTES: Final = 30  # three numbers of at most ten bytes
_LONGEST_KEY: Final = 1 << 16
_UNCOMPRESSED, _SNAPPY = 0, 1


def walk_table(source: FileSource) -> Iterator[tuple[bytes, Document]]:
    """Walks a table from its first key to its last; the checksum of every block is compared.

    Args:
        source: The file.

    Yields:
        Keys, strictly increasing, with the place of their value.

    Raises:
        FormatError: The file is no such table, or a damaged one.
        SourceError: It can't be read.
    """
    if source.size < FOOTER_BYTES:
        raise FormatError(f"it has {source.size} bytes, and a table has at least {FOOTER_BYTES}; it seems cut off")
    footer = source.read_at(source.size - FOOTER_BYTES, FOOTER_BYTES)
    if int.from_bytes(footer[-8:], "little") != MAGIC:
        raise FormatError("it doesn't end as a table does; it is cut off or something else")
    _, _, position = _handle(footer, 0)
    offset, size, _ = _handle(footer, position)
    if size > LARGEST_BLOCK:
        raise FormatError(f"its directory has {size} bytes, and more than {LARGEST_BLOCK} are not read")
    last_end = 0
    previous: bytes | None = None
    for _, place in _pairs(_block(source, offset, size)):
        offset, size, _ = _handle(place.to_bytes(), 0)
        # Blocks are written one after the other. Were the same one named a million times, reading would never end.
        if offset < last_end:
            raise FormatError("two blocks of its table overlap", offset)
        last_end = offset + size + _TRAILER_BYTES
        for key, value in _pairs(_block(source, offset, size)):
            if previous is not None and key <= previous:
                raise FormatError("the keys of its table are not in order", offset)
            previous = key
            yield key, value


def _handle(data: bytes, position: int) -> tuple[int, int, int]:
    """Offset and size of a block, and the position after them."""
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return offset, size, position


def _block(source: FileSource, offset: int, size: int) -> Piece:
    """Where the content of a block is; its checksum is compared."""
    end = offset + size
    if end + _TRAILER_BYTES > source.size - FOOTER_BYTES:
        raise FormatError("a block of its table reaches past its end; it seems cut off or damaged", offset)
    checksum = 0
    for at in range(offset, end + 1, _CHUNK):
        checksum = extend_crc32c(source.read_at(at, min(_CHUNK, end + 1 - at)), checksum)
    trailer = source.read_at(end, _TRAILER_BYTES)
    if masked(checksum) != int.from_bytes(trailer[1:], "little"):
        raise FormatError("the checksum of a block of its table is wrong; it is damaged", offset)
    if trailer[0] == _UNCOMPRESSED:
        return Piece(source, offset, size)
    if trailer[0] != _SNAPPY:
        raise FormatError(f"a block of its table is compressed in a way that is not known ({trailer[0]})", offset)
    if size > LARGEST_BLOCK:
        raise FormatError(f"a compressed block of its table has more than {LARGEST_BLOCK} bytes", offset)
    unpacked = unpack_snappy(source.read_at(offset, size))
    return Piece(BytesSource(unpacked), 0, len(unpacked))


def _pairs(block: Piece) -> Iterator[tuple[bytes, Document]]:
    """The pairs of one block; a key repeats the beginning of the one before it by reference."""
    source, start, size = block
    if size < 4:
        raise FormatError("a block of its table is too short")
    restarts = int.from_bytes(source.read_at(start + size - 4, 4), "little")
    position, end = start, start + size - 4 - 4 * restarts
    if end < start:
        raise FormatError("a block of its table is shorter than its own directory")
    key = b""
    while position < end:
        head = source.read_at(position, min(_HEAD_BYTES, end - position))
        shared, at = read_varint(head, 0)
        added, at = read_varint(head, at)
        length, at = read_varint(head, at)
        if shared > len(key) or added > _LONGEST_KEY or at + added + length > end - position:
            raise FormatError("an entry of its table reaches past its block", position)
        key = key[:shared] + _part(source, position + at, added)
        position += at + added
        yield key, Document([Piece(source, position, length)])
        position += length


def _part(source: Source, offset: int, length: int) -> bytes:
    return source.read_at(offset, length) if length else b""
