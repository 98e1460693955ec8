"""The attributes of a node: an AttrValue's type, types, shapes, number or text, read where they stand when asked for.

Field numbers are those of ``AttrValue`` in ``tensorflow/core/framework/attr_value.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from explorer.savedmodel import records
from explorer.savedmodel.model import Shape
from explorer.savedmodel.wire import LENGTH, VARINT, Readable, signed

# AttrValue: field number << 3 | wire type, as records.iter_fields tells them
_LIST: Final = 1 << 3 | LENGTH
_TEXT: Final = 2 << 3 | LENGTH
_NUMBER: Final = 3 << 3 | VARINT
_TYPE: Final = 6 << 3 | VARINT
_SHAPE: Final = 7 << 3 | LENGTH
_FUNCTION: Final = 10 << 3 | LENGTH
# AttrValue.ListValue: repeated numbers are packed, and may stand one by one as well
_LIST_TYPE: Final = 6 << 3 | VARINT
_LIST_TYPE_PACKED: Final = 6 << 3 | LENGTH
_LIST_SHAPE: Final = 7 << 3 | LENGTH
# TensorShapeProto, and TensorShapeProto.Dim
_DIM: Final = 2 << 3 | LENGTH
_UNKNOWN_RANK: Final = 3 << 3 | VARINT
_SIZE: Final = 1 << 3 | VARINT
# NameAttrList
_NAME: Final = 1 << 3 | LENGTH

MOST_ITEMS: Final = 100_000
"""An attribute that claims more types, shapes or dimensions than this is not interpreted."""


class Attribute:
    """One attribute of a node, not read before it is asked something.

    Every question is answered with None where the attribute is of another kind.
    """

    __slots__ = ("_end", "_source", "_start")

    def __init__(self, source: Readable, start: int, end: int) -> None:
        self._source = source
        self._start = start
        self._end = end

    @property
    def size_bytes(self) -> int:
        """How many bytes the serialized AttrValue has."""
        return self._end - self._start

    def to_bytes(self) -> bytes:
        """The serialized AttrValue; that of a large constant is as large."""
        return self._source.read_at(self._start, self._end - self._start)

    def type_number(self) -> int | None:
        """The number of a ``type``; an AttrValue without any field is the type 0 that protobuf doesn't write."""
        return self._number(_TYPE)

    def number(self) -> int | None:
        """The value of an ``int``."""
        return self._number(_NUMBER)

    def text(self) -> bytes | None:
        """The value of a ``string``."""
        return self._payload(_TEXT)

    def function_name(self) -> str | None:
        """The name of a ``func``."""
        value = self._payload(_FUNCTION)
        if value is None:
            return None
        names = [bytes(part) for tag, _, part in records.iter_fields(value) if tag == _NAME]
        return names[-1].decode("utf-8", "replace") if names else ""

    def type_numbers(self) -> tuple[int, ...] | None:
        """The numbers of a ``list(type)``; an empty list is a list of anything."""
        value = self._payload(_LIST)
        if value is None:
            return None
        numbers: list[int] = []
        for tag, number, part in records.iter_fields(value):
            if tag == _LIST_TYPE:
                numbers.append(signed(number))
            elif tag == _LIST_TYPE_PACKED:
                numbers.extend(_packed(part))
            if len(numbers) > MOST_ITEMS:
                return None
        return tuple(numbers)

    def shape(self) -> Shape | None:
        """The value of a ``shape``."""
        value = self._payload(_SHAPE)
        return None if value is None else shape_from(value)

    def shapes(self) -> tuple[Shape, ...] | None:
        """The values of a ``list(shape)``; an empty list is a list of anything."""
        parts = self._shape_parts()
        return None if parts is None else tuple(shape_from(part) for part in parts)

    def shape_at(self, index: int) -> Shape | None:
        """One value of a ``list(shape)``, None where the list is shorter."""
        parts = self._shape_parts()
        return None if parts is None or index >= len(parts) else shape_from(parts[index])

    def _shape_parts(self) -> list[bytes | memoryview] | None:
        value = self._payload(_LIST)
        if value is None:
            return None
        return [part for tag, _, part in records.iter_fields(value) if tag == _LIST_SHAPE]

    def _number(self, wanted: int) -> int | None:
        found = None
        known = False
        for tag, number, _ in records.iter_fields(self.to_bytes()):
            known = True
            if tag == wanted:
                found = signed(number)
        return found if known else 0

    def _payload(self, wanted: int) -> bytes | None:
        """The payloads of a field, one after the other, which is how protobuf merges a message given twice."""
        parts = [bytes(part) for tag, _, part in records.iter_fields(self.to_bytes()) if tag == wanted]
        return b"".join(parts) if parts else None


def shape_from(data: bytes | memoryview) -> Shape:
    """Reads a serialized TensorShapeProto; sizes of -1 become None, and ``unknown_rank`` wins over any dimensions."""
    dims: list[int | None] = []
    for tag, number, part in records.iter_fields(data):
        if tag == _UNKNOWN_RANK and number:
            return Shape(None)
        if tag == _DIM:
            size = 0
            for inner, value, _ in records.iter_fields(part):
                if inner == _SIZE:
                    size = signed(value)
            dims.append(None if size == -1 else size)
            if len(dims) > MOST_ITEMS:
                return Shape(None)
    return Shape(tuple(dims))


def _packed(data: memoryview) -> Iterator[int]:
    position = 0
    while position < len(data):
        number, position = records.read_varint(data, position)
        yield signed(number)
