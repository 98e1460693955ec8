"""``variables.index``: what a checkpoint holds and where in its data files.

The index is a table (see ``table``) of ``BundleEntryProto`` messages under the variables' names, after a
``BundleHeaderProto`` under the empty name. The messages are described in
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/tensor_bundle.proto, the writer is
``tensorflow/core/util/tensor_bundle/tensor_bundle.cc``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from explorer.errors import FormatError, quoted
from explorer.savedmodel.records import iter_fields
from explorer.savedmodel.table import read_table
from explorer.savedmodel.wire import FIXED32, LENGTH, VARINT, signed

OBJECT_GRAPH_KEY: Final = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""The entry with which TF2 matches variables to objects; not a variable."""

_Part = tuple[tuple[int, int | None], ...]  # start and length per dimension, no length meaning all of it
_ESCAPED = re.compile(rb"\x00\xff|\xff\x00")
_MOST_SLICE_RANK = 256


@dataclass(frozen=True)
class VariableSlice:
    """One stored part of a partitioned variable.

    Attributes:
        starts: Where it begins in each dimension.
        lengths: How far it reaches in each dimension; None for all of it.
        size_bytes: Its size in the data file.
        shard: The number of that data file.
        offset: Its first byte there.
        checksum: The masked CRC-32C of its bytes.
    """

    starts: tuple[int, ...]
    lengths: tuple[int | None, ...]
    size_bytes: int
    shard: int
    offset: int
    checksum: int


@dataclass(frozen=True)
class Variable:
    r"""One variable of the checkpoint.

    Attributes:
        name: The checkpoint key; bytes that are not UTF-8 are written ``\xNN``.
        dtype_number: The number in TensorFlow's ``types.proto``.
        shape: The size of each dimension, ``()`` for a scalar; None for an unknown rank.
        size_bytes: The stored size, of all its slices together.
        shard: The number of the data file; None for a partitioned variable, whose slices say it.
        offset: Its first byte there; None for a partitioned variable.
        checksum: The masked CRC-32C of its bytes; None for a partitioned variable.
        slices: The parts of a partitioned variable in the order of the index; else empty.
    """

    name: str
    dtype_number: int
    shape: tuple[int, ...] | None
    size_bytes: int
    shard: int | None
    offset: int | None
    checksum: int | None
    slices: tuple[VariableSlice, ...] = ()


@dataclass(frozen=True)
class CheckpointIndex:
    """An index taken apart.

    Attributes:
        variables: The variables, in the order of the index (that of the names' bytes).
        bookkeeping_entries: How many entries hold TF2's object graph instead of a variable: 0 or 1.
        num_shards: How many data files the checkpoint was written in.
        big_endian: Whether the values were written on a big-endian machine.
        reach: Number of a data file that entries point into → how many bytes it must have.
    """

    variables: tuple[Variable, ...]
    bookkeeping_entries: int
    num_shards: int
    big_endian: bool
    reach: dict[int, int]


def read_index(data: bytes) -> CheckpointIndex:
    """Takes an index apart.

    Args:
        data: The whole of ``variables.index``.

    Returns:
        What it lists.

    Raises:
        FormatError: The bytes are no index of a checkpoint, or contradict themselves.
    """
    pairs = read_table(data)
    key, value = next(pairs, (b"?", b""))
    if key:
        raise FormatError("it has no header")
    num_shards, big_endian = _header(value)
    reach: dict[int, int] = {}
    stored: dict[tuple[bytes, _Part], _Entry] = {}
    whole: dict[bytes, _Entry] = {}
    for key, value in pairs:
        entry = _entry(value)
        if not entry.parts:
            _check_place(entry, num_shards)
            reach[entry.shard] = max(reach.get(entry.shard, 0), entry.offset + entry.size_bytes)
        if key.startswith(b"\0"):
            stored[_slice_key(key)] = entry
        else:
            whole[key] = entry
    bookkeeping = 1 if whole.pop(OBJECT_GRAPH_KEY.encode(), None) else 0
    variables = tuple(_variable(name, entry, stored) for name, entry in whole.items())
    return CheckpointIndex(variables, bookkeeping, num_shards, big_endian, reach)


@dataclass(frozen=True)
class _Entry:
    """A ``BundleEntryProto`` as it stands in the index; ``parts`` are the slices that it announces."""

    dtype_number: int
    shape: tuple[int, ...] | None
    shard: int
    offset: int
    size_bytes: int
    checksum: int
    parts: tuple[_Part, ...]


def _check_place(entry: _Entry, num_shards: int) -> None:
    if not 0 <= entry.shard < num_shards:
        raise FormatError(f"an entry lies in data file {entry.shard} of {num_shards}")
    if entry.offset < 0 or entry.size_bytes < 0:
        raise FormatError("an entry has a negative place or size")


def _variable(name: bytes, entry: _Entry, stored: dict[tuple[bytes, _Part], _Entry]) -> Variable:
    """One variable; a partitioned one is put together from the entries of its slices."""
    text = name.decode("utf-8", "backslashreplace")
    if not entry.parts:
        place = (entry.size_bytes, entry.shard, entry.offset, entry.checksum)
        return Variable(text, entry.dtype_number, entry.shape, *place)
    slices = []
    for part in entry.parts:
        found = stored.get((name, part))
        if found is None:
            raise FormatError(f"a slice of the variable {quoted(text)} is announced and not stored")
        starts, lengths = tuple(start for start, _ in part), tuple(length for _, length in part)
        slices.append(VariableSlice(starts, lengths, found.size_bytes, found.shard, found.offset, found.checksum))
    size_bytes = sum(piece.size_bytes for piece in slices)
    return Variable(text, entry.dtype_number, entry.shape, size_bytes, None, None, None, tuple(slices))


def _header(data: bytes) -> tuple[int, bool]:
    """``num_shards`` and ``endianness`` of a ``BundleHeaderProto``."""
    num_shards = endianness = 0
    for tag, value, _ in iter_fields(data):
        if tag == 1 << 3 | VARINT:
            num_shards = signed(value)
        elif tag == 2 << 3 | VARINT:
            endianness = value
    return num_shards, endianness == 1


def _entry(data: bytes) -> _Entry:
    dtype_number = shard = offset = size_bytes = checksum = 0
    shape = b""
    parts = []
    for tag, value, payload in iter_fields(data):
        if tag == 1 << 3 | VARINT:
            dtype_number = signed(value)
        elif tag == 2 << 3 | LENGTH:
            shape += bytes(payload)  # a message that comes twice is merged, which for its bytes is one after the other
        elif tag == 3 << 3 | VARINT:
            shard = signed(value)
        elif tag == 4 << 3 | VARINT:
            offset = signed(value)
        elif tag == 5 << 3 | VARINT:
            size_bytes = signed(value)
        elif tag == 6 << 3 | FIXED32:
            checksum = value
        elif tag == 7 << 3 | LENGTH:
            parts.append(_part(payload))
    return _Entry(dtype_number, _shape(shape), shard, offset, size_bytes, checksum, tuple(parts))


def _shape(data: bytes) -> tuple[int, ...] | None:
    """The sizes in a ``TensorShapeProto``."""
    sizes = []
    for tag, value, payload in iter_fields(data):
        if tag == 2 << 3 | LENGTH:
            size = 0
            for inner, number, _ in iter_fields(payload):
                if inner == 1 << 3 | VARINT:
                    size = signed(number)
            sizes.append(size)
        elif tag == 3 << 3 | VARINT and value:
            return None
    return tuple(sizes)


def _part(data: memoryview) -> _Part:
    """Start and length per dimension of a ``TensorSliceProto``; no length means the whole dimension."""
    extents = []
    for tag, _, payload in iter_fields(data):
        if tag == 1 << 3 | LENGTH:
            start: int = 0
            length: int | None = None
            for inner, number, _ in iter_fields(payload):
                if inner == 1 << 3 | VARINT:
                    start = signed(number)
                elif inner == 2 << 3 | VARINT:
                    length = signed(number)
            extents.append((start, length))
    return tuple(extents)


def _slice_key(key: bytes) -> tuple[bytes, _Part]:
    """Takes apart the key of one stored slice: the number 0, the name, the rank, start and length per dimension.

    Written by ``EncodeTensorNameSlice`` of ``tensorflow/core/util/saved_tensor_slice_util.cc`` in ``OrderedCode``,
    where a name's zero bytes are ``00 ff``, its ``ff`` bytes ``ff 00``, and ``00 01`` ends it.
    """
    end = 1
    while end + 1 < len(key) and key[end : end + 2] != b"\0\1":
        end += 2 if key[end] in (0, 255) else 1
    name = _ESCAPED.sub(lambda pair: pair[0][:1], key[1:end])
    position = end + 2
    width = key[position] if position < len(key) else 0
    rank = int.from_bytes(key[position + 1 : position + 1 + width], "big")
    position += 1 + width
    if rank > _MOST_SLICE_RANK:
        raise FormatError("the key of a slice has an impossible rank")
    extents = []
    for _ in range(rank):
        start, position = _ordered_number(key, position)
        length, position = _ordered_number(key, position)
        extents.append((start, None if length == -1 else length))
    if position != len(key):
        raise FormatError("the key of a slice is damaged")
    return name, tuple(extents)


def _ordered_number(key: bytes, position: int) -> tuple[int, int]:
    """A signed number in ``OrderedCode``: as many leading one bits (zero bits if negative) as it has bytes."""
    first = int.from_bytes(key[position : position + 2].ljust(2, b"\0"), "big")
    negative = not first & 0x8000
    bits = first ^ 0xFFFF if negative else first
    width = next((count for count in range(10) if not bits & 0x8000 >> count), 10)
    raw = key[position : position + width]
    if len(raw) < width:
        raise FormatError("the key of a slice ends too early")
    value = int.from_bytes(raw, "big")
    # The header's bits are inverted sign bits; what stays is the number in two's complement.
    if negative:
        value -= 1 << 8 * width
        value |= ((1 << width) - 1) << 8 * width - width
        return value, position + width
    return value & (1 << 8 * width - width) - 1, position + width
