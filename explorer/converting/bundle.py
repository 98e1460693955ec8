"""Writes a checkpoint (``variables.index`` and its data file) from tensors that lie elsewhere, and finds those of one.

The format is that of ``tensorflow/core/util/tensor_bundle/tensor_bundle.cc``; its reader for tables of names is
:mod:`explorer.savedmodel.checkpoint_index`. No tensor is in memory as a whole: its bytes are passed on in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from explorer.converting.crc32c import extend_crc32c, masked
from explorer.converting.slice_keys import Extent, slice_key
from explorer.errors import FormatError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.constants import DTYPE_SIZES, VARIABLES_FOLDER
from explorer.savedmodel.table import read_table
from explorer.savedmodel.table_writer import write_table
from explorer.savedmodel.wire import FIXED32, Readable

INDEX: Final = f"{VARIABLES_FOLDER}/variables.index"
DATA: Final = f"{VARIABLES_FOLDER}/variables.data-00000-of-00001"
"""The names that the two files have in a SavedModel."""

PIECE_BYTES: Final = 1 << 20
"""How much of a tensor is in memory at once."""

# BundleHeaderProto: num_shards 1, endianness LITTLE (0, not written), version.producer 1
_HEADER: Final = wire.encode_field(1, 1) + wire.encode_field(3, wire.encode_field(1, 1))
# BundleEntryProto
_DTYPE, _SHAPE, _OFFSET, _SIZE, _CRC32C, _SLICES = 1, 2, 4, 5, 6, 7


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a tensor or of one slice, as a data file holds them.

    Attributes:
        size_bytes: How many they are.
        pieces: Gives them, piece by piece, the same every time.
        checksum: The masked CRC-32C that the index says of them, where it is known already.
        is_plain: Whether that is the checksum of the bytes themselves; texts have one of their own making.
    """

    size_bytes: int
    pieces: Callable[[], Iterator[bytes]]
    checksum: int | None = None
    is_plain: bool = True


@dataclass(frozen=True, slots=True)
class BundleSlice:
    """A stored part of a partitioned tensor: start and length in each dimension, and its bytes."""

    extents: tuple[Extent, ...]
    content: Content


@dataclass(frozen=True, slots=True)
class BundleTensor:
    """A tensor of a checkpoint.

    Attributes:
        name: Its key.
        dtype_number: The number of its dtype.
        shape: Its shape.
        content: Its bytes; None where it is stored in slices.
        slices: Its slices.
    """

    name: bytes
    dtype_number: int
    shape: tuple[int, ...]
    content: Content | None = None
    slices: tuple[BundleSlice, ...] = ()

    @property
    def contents(self) -> tuple[Content, ...]:
        """All that is stored of it."""
        return (self.content,) if self.content is not None else tuple(part.content for part in self.slices)

    def same_values(self, other: BundleTensor) -> bool:
        """Whether both surely hold the same, judged by their checksums."""
        mine, others = (
            (one.dtype_number, one.shape, [(part.size_bytes, part.checksum) for part in one.contents])
            for one in (self, other)
        )
        return mine == others and None not in [part.checksum for part in self.contents]


def range_content(source: Readable, offset: int, size_bytes: int, checksum: int | None, is_plain: bool) -> Content:
    """The content that is a range of a file."""

    def pieces() -> Iterator[bytes]:
        for at in range(offset, offset + size_bytes, PIECE_BYTES):
            yield source.read_at(at, min(PIECE_BYTES, offset + size_bytes - at))

    return Content(size_bytes, pieces, checksum, is_plain)


def bytes_content(data: bytes) -> Content:
    """The content that is some bytes in memory."""
    return Content(len(data), lambda: iter((data,)), masked(extend_crc32c(data)))


def bundle_content(tensors: Iterable[BundleTensor]) -> tuple[bytes, Callable[[BinaryIO], None]]:
    """Makes a checkpoint with one data file.

    Tensors whose checksum isn't known are read here once, and all of them when the data file is written.

    Args:
        tensors: The tensors, in any order; no two with one name.

    Returns:
        The bytes of ``variables.index``, and what writes the data file. Its writer raises FormatError where a tensor
        is not what its checksum says.

    Raises:
        FormatError: A tensor is damaged, or two have one name.
    """
    stored: dict[bytes, tuple[BundleTensor, Content | None, tuple[Extent, ...]]] = {}
    for tensor in tensors:
        if tensor.name in stored:
            raise FormatError(f"a checkpoint can't hold two tensors with the name {_shown(tensor.name)}")
        stored[tensor.name] = tensor, tensor.content, ()
        for part in tensor.slices if tensor.content is None else ():
            stored[slice_key(tensor.name, part.extents)] = tensor, part.content, part.extents
    pairs = [(b"", _HEADER)]
    order: list[tuple[BundleTensor, Content, int]] = []
    offset = 0
    for key, (tensor, content, extents) in sorted(stored.items()):
        if content is None:
            pairs.append((key, _partitioned_entry(tensor)))
            continue
        checksum = _checksum(tensor, content) if content.checksum is None else content.checksum
        shape = _slice_shape(tensor.shape, extents) if extents else tensor.shape
        pairs.append((key, _entry(tensor.dtype_number, shape, offset, content.size_bytes, checksum)))
        order.append((tensor, content, checksum))
        offset += content.size_bytes
    return write_table(pairs), lambda file: _write_data(order, file)


def read_bundle(index: bytes, open_shard: Callable[[int, int], Readable]) -> Mapping[bytes, BundleTensor]:
    """The tensors of a checkpoint, TensorFlow 2's object graph among them, ready to be written into another one.

    Args:
        index: The content of its index.
        open_shard: Gives a data file by its number and the number of all.

    Returns:
        Key → tensor, in the order of the index.

    Raises:
        FormatError: The index is damaged, was written on a big-endian machine, or points beyond a data file.
        SourceError: A data file can't be read.
    """
    from explorer.savedmodel.object_graph import parsed

    pairs = read_table(index)
    key, value = next(pairs, (b"?", b""))
    header = parsed("tensorflow.BundleHeaderProto", value, "the header of the index")
    if key:
        raise FormatError("the index has no header")
    if header.endianness != 0:
        raise FormatError("the checkpoint was written on a big-endian machine; its values are not taken apart")
    entries = {key: parsed("tensorflow.BundleEntryProto", value, "an entry of the index") for key, value in pairs}
    shards: dict[int, Readable] = {}

    def content(entry: Any) -> Content:
        if not 0 <= entry.shard_id < header.num_shards or entry.offset < 0 or entry.size < 0:
            raise FormatError("an entry of the index has an impossible place")
        if entry.shard_id not in shards:
            shards[entry.shard_id] = open_shard(entry.shard_id, header.num_shards)
        shard = shards[entry.shard_id]
        if entry.offset + entry.size > shard.size:
            raise FormatError(f"data file {entry.shard_id} of the checkpoint is cut off; copy it again")
        return range_content(shard, entry.offset, entry.size, entry.crc32c, entry.dtype in DTYPE_SIZES)

    found: dict[bytes, BundleTensor] = {}
    for key, entry in entries.items():
        if key.startswith(b"\0"):
            continue
        shape = tuple(dim.size for dim in entry.shape.dim)
        if entry.shape.unknown_rank or any(size < 0 for size in shape):
            raise FormatError(f"{_shown(key)} has no whole shape in the index")
        slices = []
        for part in entry.slices:
            extents = tuple(
                (extent.start, extent.length if extent.HasField("length") else None) for extent in part.extent
            )
            stored = entries.get(slice_key(key, extents))
            if len(extents) != len(shape):
                raise FormatError(f"a slice of {_shown(key)} has another rank than the whole")
            if stored is None:
                raise FormatError(f"a slice of {_shown(key)} is announced in the index and not stored")
            slices.append(BundleSlice(extents, content(stored)))
        found[key] = BundleTensor(key, entry.dtype, shape, None if slices else content(entry), tuple(slices))
    return found


def _checksum(tensor: BundleTensor, content: Content) -> int:
    checksum = size_bytes = 0
    for piece in content.pieces():
        checksum = extend_crc32c(piece, checksum)
        size_bytes += len(piece)
    _expect_size(tensor, size_bytes, content)
    return masked(checksum)


def _write_data(order: Iterable[tuple[BundleTensor, Content, int]], file: BinaryIO) -> None:
    for tensor, content, expected in order:
        checksum = size_bytes = 0
        for piece in content.pieces():
            if content.is_plain:
                checksum = extend_crc32c(piece, checksum)
            size_bytes += len(piece)
            file.write(piece)
        _expect_size(tensor, size_bytes, content)
        if content.is_plain and masked(checksum) != expected:
            raise FormatError(
                f"the checksum of {_shown(tensor.name)} is wrong: its file is damaged, or was changed meanwhile"
            )


def _expect_size(tensor: BundleTensor, size_bytes: int, content: Content) -> None:
    if size_bytes != content.size_bytes:
        raise FormatError(
            f"{_shown(tensor.name)} has {size_bytes} bytes where {content.size_bytes} were expected: its file is "
            "damaged"
        )


def _entry(dtype_number: int, shape: Iterable[int], offset: int, size_bytes: int, checksum: int) -> bytes:
    """A BundleEntryProto; zeros are left out, as protobuf does."""
    numbers = [wire.encode_field(field, value) for field, value in ((_OFFSET, offset), (_SIZE, size_bytes)) if value]
    # A fixed32 of zero would be left out too; a reader takes it for zero either way.
    crc = wire.encode_varint(_CRC32C << 3 | FIXED32) + checksum.to_bytes(4, "little")
    return wire.encode_field(_DTYPE, dtype_number) + wire.encode_field(_SHAPE, _shape(shape)) + b"".join(numbers) + crc


def _partitioned_entry(tensor: BundleTensor) -> bytes:
    """The BundleEntryProto of a whole that is stored in slices: it says which."""
    parts = []
    for part in tensor.slices:
        extents = b""
        for start, length in part.extents:
            numbers = wire.encode_field(1, start) if start else b""
            extents += wire.encode_field(1, numbers + (b"" if length is None else wire.encode_field(2, length)))
        parts.append(wire.encode_field(_SLICES, extents))
    whole = wire.encode_field(_DTYPE, tensor.dtype_number) + wire.encode_field(_SHAPE, _shape(tensor.shape))
    return whole + b"".join(parts)


def _shape(sizes: Iterable[int]) -> bytes:
    """A TensorShapeProto."""
    return b"".join(wire.encode_field(2, wire.encode_field(1, size) if size else b"") for size in sizes)


def _slice_shape(shape: tuple[int, ...], extents: tuple[Extent, ...]) -> tuple[int, ...]:
    sizes = zip(shape, extents, strict=True)
    return tuple(size if length is None else length for size, (_, length) in sizes)


def _shown(name: bytes) -> str:
    return quoted(name.decode("utf-8", "backslashreplace"))
