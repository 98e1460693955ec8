"""Values that a person gives for an input, such as a default: checked against its dtype, and flat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from explorer.errors import EditError
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType

Value = float | int | bool | str

FLOATS: Final = (1, 2, 14, 19)
"""Numbers in ``types.proto`` of the dtypes with fractions: float32, float64, bfloat16, float16."""

DOUBLE: Final = 2

RANGES: Final[Mapping[int, tuple[int, int]]] = {
    3: (-(1 << 31), (1 << 31) - 1),
    4: (0, 255),
    5: (-(1 << 15), (1 << 15) - 1),
    6: (-128, 127),
    9: (-(1 << 63), (1 << 63) - 1),
    10: (0, 1),
    17: (0, (1 << 16) - 1),
    22: (0, (1 << 32) - 1),
    23: (0, (1 << 63) - 1),
}
"""Integer dtypes and bool → least and largest value; a row's integers are int64, so uint64 gets half of its own."""

_DEEPEST = 32


def blank_of(type_number: int) -> Value:
    """0, the empty text or False: what fills up where nothing else is said."""
    if type_number == constants.DT_STRING:
        return ""
    if type_number == constants.DT_BOOL:
        return False
    return 0.0 if type_number in FLOATS else 0


def flat_values(value: Any, type_number: int, what: str) -> tuple[Value, ...]:
    """The elements of a value, row by row, as a dtype has them.

    Args:
        value: A number, a text, (nested) lists of them, or a numpy array.
        type_number: The dtype, by its number in ``types.proto``.
        what: What the value is, for the sentences.

    Raises:
        EditError: An element doesn't fit the dtype.
    """
    return tuple(_checked(item, type_number, what) for item in _elements(value, what, 0))


def _elements(value: Any, what: str, depth: int) -> Iterator[Any]:
    if hasattr(value, "tolist"):  # arrays and scalars of numpy's
        value = value.tolist()
    if not isinstance(value, list | tuple):
        yield value
        return
    if depth > _DEEPEST:
        raise EditError(f"{what} is nested deeper than {_DEEPEST} lists")
    for item in value:
        yield from _elements(item, what, depth + 1)


def _checked(item: Any, type_number: int, what: str) -> Value:
    dtype = DType(type_number)
    if type_number == constants.DT_STRING:
        try:
            text = item.decode() if isinstance(item, bytes) else item
            if isinstance(text, str):
                text.encode()
                return text
        except UnicodeError:
            raise EditError(f"{what} must be text in UTF-8") from None
    elif type_number == constants.DT_BOOL:
        if isinstance(item, bool):
            return item
    elif isinstance(item, bool):
        pass
    elif type_number in FLOATS and isinstance(item, int | float):
        try:
            return float(item)
        except OverflowError:
            raise EditError(f"{what} is more than {dtype} holds") from None
    elif type_number in RANGES and isinstance(item, int):
        least, largest = RANGES[type_number]
        if not least <= item <= largest:
            raise EditError(f"{what} has {item}, and {dtype} goes from {least} to {largest}")
        return item
    raise EditError(f"{what} must be {dtype}, not {type(item).__name__}")
