"""Writes the sorted table of LevelDB, the file format of ``variables.index`` (its reader is ``table``).

Blocks, prefixes, checksums and the footer are as ``tensorflow/core/lib/io/table_builder.cc`` writes them with its
default options, so every reader of checkpoints reads them. Nothing is compressed: TensorFlow compresses no index.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final

from explorer.errors import FormatError
from explorer.savedmodel.records import masked_crc32c
from explorer.savedmodel.table import FOOTER_BYTES, MAGIC
from explorer.savedmodel.wire import encode_varint

BLOCK_BYTES: Final = 64 << 10
"""A block is closed when it has this many bytes; a larger one comes only from a single large pair."""

_RESTART_EVERY = 16  # every so many keys one is written whole, so that readers can search within a block
_TRAILER_UNCOMPRESSED = b"\0"


def write_table(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Makes the bytes of a table.

    Args:
        pairs: Keys with their values, the keys strictly increasing byte by byte.

    Returns:
        The whole file; ``table.read_table`` gives the pairs back.

    Raises:
        FormatError: The keys are not in order.
    """
    table = bytearray()
    directory = _Block(restart_every=1)
    block = _Block()
    for key, value in _in_order(pairs):
        block.add(key, value)
        if block.size >= BLOCK_BYTES:
            directory.add(key, _append(table, block))
            block = _Block()
    if block.count:
        directory.add(block.last_key, _append(table, block))
    # The format has room for blocks about blocks, of which TensorFlow writes none.
    footer = _append(table, _Block()) + _append(table, directory)
    return bytes(table) + footer.ljust(FOOTER_BYTES - 8, b"\0") + MAGIC.to_bytes(8, "little")


def _in_order(pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    previous: bytes | None = None
    for key, value in pairs:
        if previous is not None and key <= previous:
            raise FormatError("the keys of a table must be strictly increasing")
        previous = key
        yield key, value


class _Block:
    """The pairs of one block, each key without what it shares with the one before it."""

    def __init__(self, restart_every: int = _RESTART_EVERY) -> None:
        self.count = 0
        self.last_key = b""
        self._restart_every = restart_every
        self._content = bytearray()
        self._restarts = [0]

    @property
    def size(self) -> int:
        """How many bytes the block would have if it were closed now."""
        return len(self._content) + 4 * (len(self._restarts) + 1)

    def add(self, key: bytes, value: bytes) -> None:
        """Appends a pair."""
        shared = 0
        if self.count % self._restart_every:
            shared = len(os.path.commonprefix([self.last_key, key]))
        elif self.count:
            self._restarts.append(len(self._content))
        self._content += encode_varint(shared) + encode_varint(len(key) - shared) + encode_varint(len(value))
        self._content += key[shared:] + value
        self.last_key = key
        self.count += 1

    def to_bytes(self) -> bytes:
        """The pairs and the places of the keys that are written whole."""
        numbers = (*self._restarts, len(self._restarts))
        return bytes(self._content) + b"".join(number.to_bytes(4, "little") for number in numbers)


def _append(table: bytearray, block: _Block) -> bytes:
    """Adds a block with its trailer; returns how the directory writes its place."""
    content = block.to_bytes()
    place = encode_varint(len(table)) + encode_varint(len(content))
    stored = content + _TRAILER_UNCOMPRESSED
    table += stored + masked_crc32c(stored).to_bytes(4, "little")
    return place
