"""The default value of an input, a serialized ``TensorProto``, in a few characters.

Field numbers: ``tensorflow/core/framework/tensor.proto``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

from explorer.errors import FormatError, printable_name
from explorer.savedmodel import records, wire
from explorer.savedmodel.model import DType

MOST_ELEMENTS = 4
"""A default value with more elements is shown by its dtype and shape."""

_LENGTH_TYPE = 2
_DTYPE, _SHAPE, _CONTENT = 1 << 3, 2 << 3 | _LENGTH_TYPE, 4 << 3 | _LENGTH_TYPE
_DIM, _SIZE = 2 << 3 | _LENGTH_TYPE, 1 << 3

_STRING_FIELD, _STRING = 8, 7
# dtype → (field with its values, format of one element in tensor_content)
_FORMATS = {
    1: (5, "<f"),
    2: (6, "<d"),
    3: (7, "<i"),
    4: (7, "<B"),
    5: (7, "<h"),
    6: (7, "<b"),
    9: (10, "<q"),
    10: (11, "<?"),
    17: (7, "<H"),
    22: (16, "<I"),
    23: (17, "<Q"),
}


def printable_default(proto: bytes) -> str:
    """A default value as text: ``0.5``, ``[7, 7]``, ``'a'``, or ``float32[10]`` where it is longer.

    Args:
        proto: A serialized ``TensorProto``.

    Returns:
        One line; ``unreadable`` for bytes that are none.
    """
    try:
        number, dims, parts = _parse(proto)
        count = 1
        for dim in dims:
            count *= dim
        dtype = DType(number)
        summary = f"{dtype}[{', '.join(map(str, dims))}]"
        if not 0 < count <= MOST_ELEMENTS or len(dims) > 1:
            return summary
        shown = [_shown(value) for value in _values(number, parts)]
    except (FormatError, struct.error, OverflowError, ValueError):
        return "unreadable"
    if not shown:
        return summary
    # A proto with fewer values than elements repeats the last one.
    shown = (shown + [shown[-1]] * count)[:count]
    return f"[{', '.join(shown)}]" if dims else shown[0]


def _parse(proto: bytes) -> tuple[int, list[int], list[tuple[int, int, bytes]]]:
    number, dims, parts = 0, [], []
    for tag, value, payload in records.iter_fields(proto):
        if tag == _DTYPE:
            number = value
        elif tag == _SHAPE:
            dims = [_size(dim) for inner, _, dim in records.iter_fields(payload) if inner == _DIM][:255]
        else:
            parts.append((tag, value, bytes(payload)))
    return number, dims, parts


def _size(dim: memoryview) -> int:
    sizes = [wire.signed(value) for tag, value, _ in records.iter_fields(dim) if tag == _SIZE]
    return sizes[-1] if sizes else 0


def _values(number: int, parts: list[tuple[int, int, bytes]]) -> list[Any]:
    if number == _STRING:
        return [payload for tag, _, payload in parts if tag == _STRING_FIELD << 3 | _LENGTH_TYPE]
    if number not in _FORMATS:
        return []
    field, element = _FORMATS[number]
    contents = [payload for tag, _, payload in parts if tag == _CONTENT and payload]
    if contents:
        return [value for (value,) in struct.iter_unpack(element, contents[-1])]
    decode = _decoder(element)
    return [value for part in parts if part[0] >> 3 == field for value in decode(part)]


def _decoder(element: str) -> Callable[[tuple[int, int, bytes]], Iterator[Any]]:
    """Reads the values of one repeated field, packed or not."""
    if element in ("<f", "<d"):
        width = struct.calcsize(element)

        def floats(part: tuple[int, int, bytes]) -> Iterator[Any]:
            tag, value, payload = part
            data = payload if tag & 7 == _LENGTH_TYPE else value.to_bytes(width, "little")
            return (number for (number,) in struct.iter_unpack(element, data))

        return floats

    def integers(part: tuple[int, int, bytes]) -> Iterator[Any]:
        tag, value, payload = part
        position = 0
        if tag & 7 != _LENGTH_TYPE:
            yield _integer(value, element)
        while position < len(payload):
            value, position = records.read_varint(payload, position)
            yield _integer(value, element)

    return integers


def _integer(value: int, element: str) -> int | bool:
    if element == "<?":
        return bool(value)
    return value if element.isupper() else wire.signed(value)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return printable_name(repr(value.decode("utf-8", "backslashreplace")), 60)
    return f"{value:.7g}" if isinstance(value, float) else str(value).lower()
