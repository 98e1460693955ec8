"""A large regular array of numbers in a body, read in one go.

The exact parser takes a microsecond for each number. Here orjson reads them, in C and rightly rounded, and what is
known of the difference to RapidJSON decides whether its answer is the server's: where that isn't certain, there is no
block, or a number is read again exactly.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from explorer.savedmodel import constants
from explorer.serving.json_number import numbers

if TYPE_CHECKING:
    import numpy as np

DT_DOUBLE: Final = 2
_FEWEST_BYTES: Final = 1024
_DEEPEST: Final = 32
_CHUNK: Final = 1 << 15
_PIECE_BYTES: Final = 1 << 18
_OPENING: Final = re.compile(rb"\[*+")
_NOT_STRUCTURE: Final = b"0123456789+-.eE "
_BRACKETS_TO_SPACES: Final = bytes.maketrans(b"[]", b"  ")
_LARGE_EXPONENT: Final = re.compile(rb"[eE]\+?[0-9]{3}")

_LARGEST: Final = 9e18
"""From 2**63 on, RapidJSON gathers digits in a double, and each may cost a rounding."""

_MOST_ERROR: Final = 2.0**-49
"""RapidJSON drops digits behind the 17th (one unit in the last place), and rounds when it makes a double of an integer,
adds up to two digits, and scales by a power of ten that is rounded itself: five units, of 2**-52 at most. Eight are
left for it here."""

_EXACT_BYTES: Final = 16
"""A number of so many bytes without an exponent has at most 15 digits and a point, or is an integer: both round it
rightly."""

_INT32: Final = (-(1 << 31), (1 << 31) - 1)
INTEGERS: Final = {
    3: (*_INT32, "i4"), 4: (*_INT32, "u1"), 5: (*_INT32, "i2"), 6: (*_INT32, "i1"),
    9: (-(1 << 63), (1 << 63) - 1, "i8"), 22: (0, (1 << 32) - 1, "u4"), 23: (0, (1 << 64) - 1, "u8"),
}  # fmt: skip
"""dtype → the integers that it takes, and numpy's type of an element: small ones take any ``int32``, cut to width."""


class NumberBlock:
    """An array of numbers, all of its lists of one length at each level.

    Attributes:
        shape: Its dimensions, none of them zero.
        values: Its numbers as orjson reads them: ``int64``, ``uint64`` or ``float64``.
    """

    __slots__ = ("_body", "_end", "_start", "shape", "values")

    def __init__(self, shape: tuple[int, ...], values: np.ndarray[Any, Any], body: bytes, start: int, end: int) -> None:
        self.shape = shape
        self.values = values
        self._body, self._start, self._end = body, start, end

    def to_array(self, dtype: int) -> np.ndarray[Any, Any] | None:
        """The numbers, flat, as the server holds them in a tensor.

        Args:
            dtype: The dtype's number in ``types.proto``.

        Returns:
            None where the dtype doesn't take each of them.
        """
        if dtype == constants.DT_FLOAT:
            return self._float32()
        if dtype == DT_DOUBLE:
            return self._float64()
        if dtype not in INTEGERS or self.values.dtype.kind == "f":
            return None
        smallest, largest, element = INTEGERS[dtype]
        if int(self.values.min()) < smallest or int(self.values.max()) > largest:
            return None
        return self.values.astype(element)

    def _float32(self) -> np.ndarray[Any, Any]:
        import numpy as np

        doubles = self.values.astype("f8", copy=False)
        floats = doubles.astype("f4")
        if self.values.dtype.kind != "f":
            return floats
        doubtful: list[int] = []
        for start in range(0, len(doubles), _CHUNK):
            # What RapidJSON reads lies between these two; where both are one float32, so is what lies between.
            chunk = doubles[start : start + _CHUNK]
            low, high = (chunk * (1 - _MOST_ERROR)).astype("f4"), (chunk * (1 + _MOST_ERROR)).astype("f4")
            doubtful += (np.flatnonzero(low != high) + start).tolist()
        if doubtful:
            tokens = self._tokens()
            floats[doubtful] = numbers([tokens[index] for index in doubtful])
        return floats

    def _float64(self) -> np.ndarray[Any, Any]:
        import numpy as np

        if self.values.dtype.kind == "f" and not self._is_exact():
            return np.array(numbers(self._tokens()), dtype="f8")
        return self.values.astype("f8", copy=False)

    def _tokens(self) -> list[bytes]:
        return self._body[self._start : self._end].translate(_BRACKETS_TO_SPACES).split(b",")

    def _is_exact(self) -> bool:
        """Whether all literals are so short that both read them exactly."""
        import numpy as np

        tight = self._body[self._start : self._end].translate(None, b" []") + b","
        if b"e" in tight or b"E" in tight:
            return False
        commas = np.flatnonzero(np.frombuffer(tight, dtype="u1") == 0x2C)
        return int(np.diff(commas, prepend=-1).max()) - 1 <= _EXACT_BYTES


class BlockReader:
    """Finds the large regular arrays of numbers of one body, from its beginning to its end."""

    def __init__(self) -> None:
        # The next of each from where the last array began; kept, so that a long body isn't searched for each array.
        self._brace = self._quotation = -1

    def read(self, body: bytes, start: int) -> tuple[NumberBlock | None, int]:
        """Reads a large regular array of numbers.

        Args:
            body: A body that ends with a zero byte, always the same one.
            start: Where its ``[`` stands, further on each time.

        Returns:
            The block, and where it ends; or None, and a place before which no other array is worth trying.
        """
        # Neither can stand in an array of numbers, and one of them follows it.
        self._brace = _next(body, b"}", start, self._brace)
        self._quotation = _next(body, b'"', start, self._quotation)
        stop = min(self._brace, self._quotation)
        if stop - start < _FEWEST_BYTES:
            return None, stop
        end = body.rfind(b"]", start, stop) + 1
        if end - start < _FEWEST_BYTES:
            return None, stop
        shape = _shape(body, start, end)
        values = None if shape is None else _values(body, start, end)
        if shape is None or values is None or len(values) != math.prod(shape):
            return None, stop
        return NumberBlock(shape, values, body, start, end), end


def _next(body: bytes, character: bytes, start: int, known: int) -> int:
    if known >= start:
        return known
    found = body.find(character, start)
    return len(body) if found < 0 else found


def _shape(body: bytes, start: int, end: int) -> tuple[int, ...] | None:
    """The dimensions of an array; None where its brackets and commas aren't those of a regular one."""
    opening = _OPENING.match(body, start, end)
    depth = opening.end() - start if opening else 0
    comma = body.find(b",", start, end)
    if not 0 < depth <= _DEEPEST or comma < 0 or not body.endswith(b"]" * depth, start, end):
        return None
    structure = b"".join(
        body[at : min(at + _PIECE_BYTES, end)].translate(None, _NOT_STRUCTURE) for at in range(start, end, _PIECE_BYTES)
    )
    row = structure[depth - 1 : structure.find(b"]") + 1]
    sizes = [len(row) - 1]
    for level in range(1, depth):
        close = structure.find(b"]" * (level + 1)) + level + 1
        size = (close - (depth - 1 - level) - 1) // (len(row) + 1)
        if size < 1:
            return None
        row = b"[" + (row + b",") * (size - 1) + row + b"]"
        sizes.append(size)
    if row != structure:
        return None
    sizes.reverse()
    # The brackets are in order; that no number stands among those at a boundary is left to show.
    separator = b", " if body[comma + 1] == 0x20 else b","
    for level in range(1, depth):
        boundary = b"]" * level + separator + b"[" * level
        if body.count(boundary, start, end) != math.prod(sizes[: depth - level]) - 1:
            return None
    return tuple(sizes)


def _values(body: bytes, start: int, end: int) -> np.ndarray[Any, Any] | None:
    """The numbers of an array whose brackets are in order; None where one may differ from what RapidJSON reads."""
    import numpy as np
    import orjson

    pieces = []
    at, has_exponent = start, False
    try:
        # An integer -0 is 0 to RapidJSON.
        if not isinstance(orjson.loads(b"-0"), int):
            return None
        while at < end:
            # Piece by piece the memory stays warm, which is a third of the time.
            comma = body.find(b",", at + _PIECE_BYTES, end)
            stop = end if comma < 0 else comma
            # With spaces in place of brackets, two numbers in one place stay two, and are refused.
            flat = body[at:stop].translate(_BRACKETS_TO_SPACES)
            has_exponent = has_exponent or b"e" in flat or b"E" in flat
            pieces.append(np.array(orjson.loads(b"[%b]" % flat)))
            at = stop + 1
    except (ValueError, OverflowError):
        return None
    if any(piece.ndim != 1 or piece.dtype.kind not in "iuf" for piece in pieces):
        return None
    values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    if not len(values):
        return None
    if values.dtype.kind == "f":
        if not (values.max() < _LARGEST and values.min() > -_LARGEST):  # nor is it so for NaN
            return None
        # RapidJSON refuses an exponent above 308 even of zero.
        if has_exponent and not values.all() and _LARGE_EXPONENT.search(body, start, end):
            return None
    return values
