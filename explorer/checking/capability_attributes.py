"""The attributes of nodes: which functions they name, read with care, since a node may name them in hidden places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from explorer.errors import FormatError
from explorer.savedmodel import wire
from explorer.savedmodel.wire import LENGTH, Field

# AttrValue, AttrValue.ListValue, NameAttrList
_LIST, _FUNC = 1, 10
_LIST_FUNC = 9
_FUNC_NAME, _FUNC_ATTR = 1, 2
# An entry of NodeDef.attr; AttrValue.s, .shape, .tensor and .placeholder; .i, .b and .type
_ENTRY_NAME: Final = 1 << 3 | LENGTH
_ENTRY_VALUE: Final = 2 << 3 | LENGTH
_SHORT_ENTRY: Final = 300
_SCALAR_TEXTS: Final = (0x12, 0x3A, 0x42, 0x4A)
_SCALAR_NUMBERS: Final = (0x18, 0x28, 0x30)
_DEEPEST: Final = 50  # functions named in the attributes of a function's name, which nobody nests
_LONGEST_TEXT: Final = 1 << 12


def fields_of_kind(document: wire.Readable, parent: Field, number: int) -> Iterator[Field]:
    """The length-delimited fields of a message that have a number."""
    return (part for part in wire.scan(document, parent) if part.number == number and part.wire_type == LENGTH)


def attribute_entry(document: wire.Readable, entry: Field) -> tuple[str, Field | None]:
    """The name and the value of an attribute."""
    name, value = "", None
    for part in wire.scan(document, entry):
        if part.number == 1:
            name = wire.text(document, part, "the name of an attribute")
        elif part.number == 2 and part.wire_type == LENGTH:
            value = part
    return name, value


def functions_of(document: wire.Readable, entry: Field) -> Iterator[str]:
    """The functions that an attribute of a node names."""
    size = entry.end - entry.value_start
    if size <= _SHORT_ENTRY and _names_nothing(document.read_at(entry.value_start, size)):
        return
    _, value = attribute_entry(document, entry)
    if value is not None:
        yield from _functions_in(document, value)


def _names_nothing(entry: bytes) -> bool:
    """Whether an attribute is written as plainly as TensorFlow writes it, and is one value that names no function.

    Nearly all are; whatever else stands there is read with care.
    """
    if len(entry) < 4 or entry[0] != _ENTRY_NAME or (at := 2 + entry[1]) + 1 >= len(entry) or entry[1] >= 0x80:
        return False
    size = entry[at + 1]
    if entry[at] != _ENTRY_VALUE or size >= 0x80 or at + 2 + size != len(entry):
        return False
    if size < 2 or entry[at + 3] >= 0x80:
        return size == 0
    tag = entry[at + 2]
    return (tag in _SCALAR_TEXTS and size == 2 + entry[at + 3]) or (tag in _SCALAR_NUMBERS and size == 2)


def _functions_in(document: wire.Readable, value: Field) -> Iterator[str]:
    """The functions that an AttrValue names, those in the attributes of a function's name included."""
    pending = [(value, 0)]
    while pending:
        attribute, depth = pending.pop()
        if depth > _DEEPEST:
            raise FormatError("the attributes of a node name functions nested too deeply")
        for part in wire.scan(document, attribute):
            if part.wire_type != LENGTH or part.number not in (_FUNC, _LIST):
                continue
            for func in (part,) if part.number == _FUNC else fields_of_kind(document, part, _LIST_FUNC):
                for inner in wire.scan(document, func):
                    if inner.number == _FUNC_NAME:
                        yield wire.text(document, inner, "the name of a function")
                    elif inner.number == _FUNC_ATTR and inner.wire_type == LENGTH:
                        _, found = attribute_entry(document, inner)
                        if found is not None:
                            pending.append((found, depth + 1))


def short_text(document: wire.Readable, part: Field) -> str | None:
    """The bytes of a field as text, a long one left out."""
    if part.wire_type != LENGTH or part.end - part.value_start > _LONGEST_TEXT:
        return None
    return wire.payload(document, part).decode("utf-8", "replace")
