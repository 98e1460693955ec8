"""Checkpoints in the format of before TensorFlow 0.12: what they hold, and each tensor as today's format holds it.

Such a checkpoint is a table, or several that were written by several machines: under the empty key what it lists, and
under a key for each slice of each tensor its values
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/saved_tensor_slice.proto; the writer is
``tensorflow/core/util/tensor_slice_writer.cc``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from explorer.converting.bundle import BundleSlice, BundleTensor
from explorer.converting.slice_keys import Extent
from explorer.converting.stored_values import values_content
from explorer.converting.table_head import OldTensor, old_tensors
from explorer.converting.v1_table import walk_table
from explorer.errors import FormatError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.overlay import Document, FileSource
from explorer.savedmodel.wire import LENGTH, VARINT, Field

__all__ = ["V1Slice", "V1Tensor", "bundle_tensor", "read_v1"]

_LARGEST_LIST: Final = 64 << 20
# SavedTensorSlices.data; SavedSlice.name, .slice, .data
_DATA: Final = 2
_NAME, _SLICE, _VALUES = 1, 2, 3
# TensorSliceProto.extent; TensorSliceProto.Extent.start, .length
_EXTENT: Final = 1
_START, _LENGTH = 1, 2


@dataclass(frozen=True, slots=True)
class V1Slice:
    """A stored part of a tensor.

    Attributes:
        extents: Start and length in each dimension.
        document: Where its values are.
        proto: The field there whose payload is the TensorProto with its values; None where there are no values.
    """

    extents: tuple[Extent, ...]
    document: Document
    proto: Field | None


@dataclass(frozen=True, slots=True)
class V1Tensor:
    """A tensor of an old checkpoint.

    Attributes:
        name: Its name.
        dtype_number: The number of its dtype.
        shape: Its whole shape.
        slices: What is stored of it, in the order of the files; one that covers all of it where it isn't partitioned.
    """

    name: str
    dtype_number: int
    shape: tuple[int, ...]
    slices: tuple[V1Slice, ...]


_Found = dict[str, tuple[tuple[int, tuple[int, ...]], dict[tuple[Extent, ...], V1Slice]]]
"""Name → dtype and shape, and the slices that were found."""


def read_v1(files: Iterable[Path]) -> Mapping[str, V1Tensor]:
    """Finds the tensors of an old checkpoint; every byte is read once, for its checksum, and none is kept.

    Args:
        files: Its file, or its parts.

    Returns:
        Name → tensor, sorted by name.

    Raises:
        FormatError: A file is damaged, or contradicts another one.
        SourceError: A file can't be read.
    """
    found: _Found = {}
    for path in files:
        try:
            _read_file(FileSource(str(path)), found)
        except FormatError as error:
            raise FormatError(f"{quoted(path.name)} is no readable part of an old checkpoint: {error}") from None
    whole = {name: V1Tensor(name, *about, tuple(slices.values())) for name, (about, slices) in sorted(found.items())}
    for tensor in whole.values():
        _expect_whole(tensor)
    return whole


def bundle_tensor(tensor: V1Tensor) -> BundleTensor:
    """A tensor as today's format holds it, slices kept as slices.

    Raises:
        FormatError: Its values are damaged.
    """
    name = tensor.name.encode()
    if len(tensor.slices) == 1 and _sizes(tensor, tensor.slices[0].extents) == tensor.shape:
        part = tensor.slices[0]
        content = values_content(part.document, part.proto, tensor.dtype_number, math.prod(tensor.shape), tensor.name)
        return BundleTensor(name, tensor.dtype_number, tensor.shape, content)
    slices = tuple(
        BundleSlice(
            part.extents,
            values_content(
                part.document,
                part.proto,
                tensor.dtype_number,
                math.prod(_sizes(tensor, part.extents)),
                tensor.name,
            ),
        )
        for part in tensor.slices
    )
    return BundleTensor(name, tensor.dtype_number, tensor.shape, slices=slices)


def _read_file(source: FileSource, found: _Found) -> None:
    pairs = walk_table(source)
    key, value = next(pairs, (b"?", Document(())))
    if value.size > _LARGEST_LIST:
        raise FormatError(f"its list of tensors has {value.size} bytes, and more than {_LARGEST_LIST} are not read")
    listed = None if key else old_tensors(value.to_bytes())
    if listed is None:
        raise FormatError("it doesn't begin with a list of tensors")
    known = {tensor.name: tensor for tensor in listed}
    for _, value in pairs:
        for field in wire.scan(value):
            if field.number == _DATA and field.wire_type == LENGTH:
                name, part = _read_slice(value, field)
                _add(known, found, name, part)
    lost = [name for name in known if name not in found]
    if lost:
        raise FormatError(f"it lists the tensor {quoted(lost[0])}, and its values are not there")


def _read_slice(document: Document, saved: Field) -> tuple[str, V1Slice]:
    name = ""
    proto: Field | None = None
    extents: list[Extent] = []
    for field in wire.scan(document, saved):
        if field.wire_type != LENGTH:
            continue
        if field.number == _NAME:
            name = wire.text(document, field, "the name of a tensor")
        elif field.number == _VALUES:
            proto = field
        elif field.number == _SLICE:
            extents += [_read_extent(document, one) for one in wire.scan(document, field) if one.number == _EXTENT]
    return name, V1Slice(tuple(extents), document, proto)


def _read_extent(document: Document, extent: Field) -> Extent:
    start, length = 0, None
    for field in wire.scan(document, extent):
        if field.wire_type == VARINT and field.number == _START:
            start = wire.signed(wire.number(document, field))
        elif field.wire_type == VARINT and field.number == _LENGTH:
            length = wire.signed(wire.number(document, field))
    return start, length


def _add(known: Mapping[str, OldTensor], found: _Found, name: str, part: V1Slice) -> None:
    listed = known.get(name)
    if listed is None:
        raise FormatError(f"it has values of {quoted(name)}, which it doesn't list")
    if listed.shape is None or any(size < 0 for size in listed.shape):
        raise FormatError(f"it doesn't say the shape of {quoted(name)}")
    about, slices = found.setdefault(name, ((listed.dtype_number, listed.shape), {}))
    if about != (listed.dtype_number, listed.shape):
        raise FormatError(f"it contradicts another part of the checkpoint about {quoted(name)}")
    if len(part.extents) != len(listed.shape) or any(
        start < 0 or (length is not None and (length < 0 or start + length > size)) or start > size
        for (start, length), size in zip(part.extents, listed.shape, strict=True)
    ):
        raise FormatError(f"a slice of {quoted(name)} doesn't fit its shape")
    slices.setdefault(part.extents, part)  # a second copy says nothing new


def _expect_whole(tensor: V1Tensor) -> None:
    """Refuses a partitioned tensor of which a part is not there."""
    stored = sum(math.prod(_sizes(tensor, part.extents)) for part in tensor.slices)
    if stored != math.prod(tensor.shape):
        raise FormatError(
            f"of {quoted(tensor.name)}, {stored} values are stored and its shape has {math.prod(tensor.shape)}: a part "
            "of the checkpoint is missing or damaged"
        )


def _sizes(tensor: V1Tensor, extents: tuple[Extent, ...]) -> tuple[int, ...]:
    """The shape of a slice."""
    return tuple(
        size - start if length is None else length for size, (start, length) in zip(tensor.shape, extents, strict=True)
    )
