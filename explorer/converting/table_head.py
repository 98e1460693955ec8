"""The first pair of a LevelDB table, read by position: it says what a checkpoint of either format holds.

A checkpoint of the old format keeps its weights in the table itself, so that file may have gigabytes; its list of
tensors is the value of the first, empty key. The table is described in :mod:`explorer.savedmodel.table`, the list in
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/saved_tensor_slice.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from explorer.errors import FormatError, quoted
from explorer.savedmodel.attributes import shape_from
from explorer.savedmodel.checkpoint_index import Variable
from explorer.savedmodel.constants import DTYPE_SIZES
from explorer.savedmodel.overlay import FileSource
from explorer.savedmodel.records import iter_fields, masked_crc32c, read_varint, utf8_text
from explorer.savedmodel.table import FOOTER_BYTES, MAGIC, unpack_snappy
from explorer.savedmodel.wire import LENGTH, VARINT, signed

LARGEST_BLOCK: Final = 64 << 20
"""In bytes: the directory of a table and the list of its tensors are not read when they are larger."""

_LARGEST_CHECKED: Final = 1 << 20  # a checksum costs a tenth of a second per mebibyte
_TRAILER_BYTES: Final = 5
_UNCOMPRESSED, _SNAPPY = 0, 1
_ENTRY_HEAD: Final = 30  # three numbers of at most ten bytes
# SavedTensorSlices.meta; SavedTensorSliceMeta.tensor; SavedSliceMeta.name, .shape, .type
_META: Final = 1 << 3 | LENGTH
_TENSOR: Final = 1 << 3 | LENGTH
_NAME: Final = 1 << 3 | LENGTH
_SHAPE: Final = 2 << 3 | LENGTH
_TYPE: Final = 3 << 3 | VARINT


@dataclass(frozen=True, slots=True)
class OldTensor:
    """A tensor in the list of a checkpoint of the old format.

    Attributes:
        name: Its name.
        dtype_number: The number of its dtype.
        shape: Its whole shape, also where a file holds only a slice of it; None for an unknown rank.
    """

    name: str
    dtype_number: int
    shape: tuple[int, ...] | None


def is_table(source: FileSource) -> bool:
    """Whether a file ends as a table does."""
    if source.size < FOOTER_BYTES:
        return False
    return int.from_bytes(source.read_at(source.size - 8, 8), "little") == MAGIC


def first_value(source: FileSource) -> bytes | None:
    """The value of the empty key, with which checkpoints of both formats begin.

    Args:
        source: A file for which :func:`is_table` is true.

    Returns:
        The value; None where the table begins with another key, as no checkpoint does.

    Raises:
        FormatError: The table is damaged, or the value is larger than ``LARGEST_BLOCK``.
    """
    footer = source.read_at(source.size - FOOTER_BYTES, FOOTER_BYTES)
    _, _, position = _handle(footer, 0)
    offset, size, _ = _handle(footer, position)
    directory = _block(source, offset, size)
    _, _, length, position = _entry_head(directory, 0)
    key_bytes = _entry_head(directory, 0)[1]
    offset, size, _ = _handle(directory[position + key_bytes : position + key_bytes + length], 0)
    if _compression(source, offset, size) != _UNCOMPRESSED:
        block = _block(source, offset, size)
        _, added, length, position = _entry_head(block, 0)
        value = block[position : position + length]
    else:  # the block may hold whole weights behind the list: only the list is read
        head = source.read_at(offset, min(_ENTRY_HEAD, size))
        _, added, length, position = _entry_head(head, 0)
        if length > LARGEST_BLOCK:
            raise FormatError(f"the list of tensors has {length} bytes, and more than {LARGEST_BLOCK} are not read")
        value = source.read_at(offset + position, min(length, size - position)) if added == 0 else b""
    if added:
        return None
    if len(value) < length:
        raise FormatError("the list of tensors reaches past its block")
    return value


def old_tensors(value: bytes) -> tuple[OldTensor, ...] | None:
    """The tensors of one file of a checkpoint in the old format.

    Args:
        value: What :func:`first_value` gave.

    Returns:
        The tensors in the order of the file; None where the value is no such list, as in the ``.index`` of today's
        format, whose first value says into how many files it was written.

    Raises:
        FormatError: The list is damaged.
    """
    found: list[OldTensor] = []
    is_list = False
    for tag, _, part in iter_fields(value):
        if tag == 1 << 3 | VARINT:
            return None
        if tag == _META:
            is_list = True
            found.extend(_old_tensor(tensor) for inner, _, tensor in iter_fields(part) if inner == _TENSOR)
    return tuple(found) if is_list else None


def old_variables(files: Iterable[tuple[OldTensor, ...]]) -> tuple[Variable, ...]:
    """The variables of a checkpoint in the old format; one that lies in several files is one variable.

    Raises:
        FormatError: Two files contradict each other about a variable.
    """
    known: dict[str, OldTensor] = {}
    for tensors in files:
        for tensor in tensors:
            if known.setdefault(tensor.name, tensor) != tensor:
                raise FormatError(f"two files of the checkpoint contradict each other about {quoted(tensor.name)}")
    return tuple(
        Variable(tensor.name, tensor.dtype_number, tensor.shape, _size_bytes(tensor), None, None, None)
        for tensor in sorted(known.values(), key=lambda tensor: tensor.name)
    )


def _size_bytes(tensor: OldTensor) -> int:
    count = DTYPE_SIZES.get(tensor.dtype_number, 0)
    for size in tensor.shape or ():
        count *= max(size, 0)
    return count


def _old_tensor(data: memoryview) -> OldTensor:
    name, number = "", 0
    shape: tuple[int, ...] | None = ()
    for tag, value, part in iter_fields(data):
        if tag == _NAME:
            name = utf8_text(part, "the name of a tensor")
        elif tag == _TYPE:
            number = signed(value)
        elif tag == _SHAPE:
            dims = shape_from(part).dims
            shape = None if dims is None else tuple(-1 if dim is None else dim for dim in dims)
    return OldTensor(name, number, shape)


def _handle(data: bytes, position: int) -> tuple[int, int, int]:
    """Offset and size of a block, and the position after them."""
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return offset, size, position


def _entry_head(block: bytes, position: int) -> tuple[int, int, int, int]:
    """How many bytes of the key are shared and added, how long the value is, and the position after these."""
    shared, position = read_varint(block, position)
    added, position = read_varint(block, position)
    length, position = read_varint(block, position)
    if shared:
        raise FormatError("the first key of a block repeats one before it")
    return shared, added, length, position


def _compression(source: FileSource, offset: int, size: int) -> int:
    if offset + size + _TRAILER_BYTES > source.size - FOOTER_BYTES:
        raise FormatError("a block of the table reaches past its end; the file seems cut off or damaged", offset)
    return source.read_at(offset + size, 1)[0]


def _block(source: FileSource, offset: int, size: int) -> bytes:
    kind = _compression(source, offset, size)
    if size > LARGEST_BLOCK:
        raise FormatError(f"a block has {size} bytes, and one of more than {LARGEST_BLOCK} is not read", offset)
    data = source.read_at(offset, size + _TRAILER_BYTES)
    stored = int.from_bytes(data[-4:], "little")
    if size <= _LARGEST_CHECKED and masked_crc32c(memoryview(data)[: size + 1]) != stored:
        raise FormatError("the checksum of a block of the table is wrong; the file is damaged", offset)
    if kind == _UNCOMPRESSED:
        return data[:size]
    if kind == _SNAPPY:
        return unpack_snappy(data[:size])
    raise FormatError(f"a block of the table is compressed in a way that is not known ({kind})", offset)
