"""The values in a TensorProto as a data file holds them: little-endian and one after the other.

A TensorProto of an old checkpoint has its values in a field for their dtype (``float_val``, ``int_val`` …), numbers of
a variable length among them; see
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/tensor.proto.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from explorer.converting.bundle import PIECE_BYTES, Content
from explorer.converting.crc32c import extend_crc32c, masked
from explorer.errors import FormatError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.constants import DT_BOOL, DT_STRING, DTYPE_SIZES
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.tensor_info import DType
from explorer.savedmodel.wire import FIXED32, FIXED64, LENGTH, VARINT, Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TENSOR_CONTENT: Final = 4
_STRING_VAL: Final = 8
_FIXED_FIELDS: Final = {1: 5, 2: 6, 8: 9, 18: 12, 24: 18, 25: 18, 26: 18, 27: 18, 28: 18}
"""Dtype → field whose payload already is what a data file holds: float, double, complex and eight-bit floats."""
_VARINT_FIELDS: Final = {
    3: 7, 4: 7, 5: 7, 6: 7, 9: 10, 10: 11, 11: 7, 12: 7, 13: 7, 14: 13, 15: 7, 16: 7, 17: 7, 19: 13, 22: 16, 23: 17,
}  # fmt: skip
"""Dtype → field of numbers of variable length; half and bfloat16 stand there as the number that their bits are."""

_MOST_VARINT_BYTES: Final = 10


def values_content(document: Document, proto: Field | None, dtype_number: int, count: int, name: str) -> Content:
    """The content that a TensorProto's values become.

    Args:
        document: Where it is.
        proto: The field that it is the payload of.
        dtype_number: The number of the dtype, which the proto itself need not say.
        count: How many values it must have.
        name: Of which tensor it is, for the sentences.

    Raises:
        FormatError: It has other values, or another number of them.
    """
    if dtype_number == DT_STRING:
        return _texts(document, proto, count, name)
    wanted = _FIXED_FIELDS.get(dtype_number) or _VARINT_FIELDS.get(dtype_number)
    if wanted is None:
        raise FormatError(f"{quoted(name)} has the dtype {DType(dtype_number)}, which an old checkpoint can't hold")
    fields = [field for field in wire.scan(document, proto) if field.number in (wanted, _TENSOR_CONTENT)]
    size_bytes = count * DTYPE_SIZES[dtype_number]

    def pieces() -> Iterator[bytes]:
        for field in fields:
            if field.wire_type == VARINT:
                data = document.read_at(field.value_start, field.end - field.value_start)
                yield from _numbers(iter((data,)), dtype_number, name)
                continue
            ranges = (
                document.read_at(at, min(PIECE_BYTES, field.end - at))
                for at in range(field.value_start, field.end, PIECE_BYTES)
            )
            is_coded = field.number in _VARINT_FIELDS.values() and field.number != _TENSOR_CONTENT
            yield from _numbers(ranges, dtype_number, name) if is_coded else ranges

    known = sum(field.end - field.value_start for field in fields)
    if dtype_number in _FIXED_FIELDS and known != size_bytes:
        raise _wrong_count(name, known // DTYPE_SIZES[dtype_number], count)
    if any(field.wire_type not in (LENGTH, VARINT, FIXED32, FIXED64) for field in fields):
        raise FormatError(f"the values of {quoted(name)} are damaged")
    return Content(size_bytes, pieces)


def _numbers(ranges: Iterator[bytes], dtype_number: int, name: str) -> Iterator[bytes]:
    """Numbers of variable length as numbers of the dtype's own."""
    import numpy as np

    width = DTYPE_SIZES[dtype_number]
    before = b""
    for fresh in ranges:
        data = np.frombuffer(before + fresh, np.uint8)
        ends = np.flatnonzero(data < 0x80)
        whole = int(ends[-1]) + 1 if len(ends) else 0
        before = data[whole:].tobytes()
        if len(before) > _MOST_VARINT_BYTES:
            raise FormatError(f"the values of {quoted(name)} are damaged: a number has more than ten bytes")
        values = _decoded(data[:whole], ends, name)
        if dtype_number == DT_BOOL:
            yield (values != 0).astype("u1").tobytes()
        else:
            yield values.astype(f"<u{width}").tobytes()  # negative numbers are cut to the dtype's own bits
    if before:
        raise FormatError(f"the values of {quoted(name)} are damaged: they end inside a number")


def _decoded(data: NDArray[np.uint8], ends: NDArray[Any], name: str) -> NDArray[np.uint64]:
    """Numbers of variable length, all at once: first the lowest seven bits of each, then the next."""
    import numpy as np

    if len(ends) == len(data):
        small: NDArray[np.uint64] = data.astype(np.uint64)
        return small
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    longest = int(lengths.max(initial=1))
    if longest > _MOST_VARINT_BYTES:
        raise FormatError(f"the values of {quoted(name)} are damaged: a number has more than ten bytes")
    values: NDArray[np.uint64] = (data[starts] & 0x7F).astype(np.uint64)
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        bits = (data[starts[longer] + place] & 0x7F).astype(np.uint64)
        values[longer] |= bits << np.uint64(7 * place)
    return values


def _texts(document: Document, proto: Field | None, count: int, name: str) -> Content:
    """Texts: their lengths, a checksum of these, and the texts (``WriteStringTensor`` of ``tensor_bundle.cc``)."""
    starts, lengths = array("Q"), array("Q")
    for field in wire.scan(document, proto):
        if field.number == _STRING_VAL and field.wire_type == LENGTH:
            starts.append(field.value_start)
            lengths.append(field.end - field.value_start)
    if len(lengths) != count:
        raise _wrong_count(name, len(lengths), count)

    def texts() -> Iterator[bytes]:
        for start, length in zip(starts, lengths, strict=True):
            for at in range(start, start + length, PIECE_BYTES):
                yield document.read_at(at, min(PIECE_BYTES, start + length - at))

    head = bytearray()
    checksum = extend_crc32c(b"".join(length.to_bytes(4 if length < 1 << 32 else 8, "little") for length in lengths))
    for length in lengths:
        head += wire.encode_varint(length)
    mark = masked(checksum).to_bytes(4, "little")
    checksum = extend_crc32c(mark, checksum)
    for text in texts():
        checksum = extend_crc32c(text, checksum)

    def pieces() -> Iterator[bytes]:
        yield bytes(head) + mark
        yield from texts()

    return Content(len(head) + len(mark) + sum(lengths), pieces, masked(checksum), is_plain=False)


def _wrong_count(name: str, found: int, count: int) -> FormatError:
    return FormatError(f"{quoted(name)} has {found} values where its shape has {count}: the checkpoint is damaged")
