"""Numbers as TensorFlow Serving prints them in an answer.

It tries six digits, takes as many as always suffice (9 for float32, 17 for float64) where those don't read back to the
same value, and appends ``.0`` to what would look like an integer; ``NaN`` and ``Infinity`` are bare tokens, which JSON
doesn't have. See ``WriteDecimal`` in ``json_tensor.cc`` of https://github.com/tensorflow/serving.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_FEW = 48
"""Up to so many numbers, a loop is faster than numpy."""

_CHUNK = 4096
_FLOAT32 = struct.Struct("<f")
_FLOAT32_FORMAT, _FLOAT64_FORMAT = "%.9g", "%.17g"

# How far a number, scaled to six digits before the point, may lie from a whole one and still be the nearest float to
# it: half a unit in the last place is 2**-24 or 2**-53 of a million. Much room is left for the error of the scaling.
_NEAR_WHOLE = {4: 0.2, 8: 1e-5}
_SCALED_SAFELY = (1e-30, 1e30)


def float32_text(value: float) -> str:
    """A float32 as text.

    Args:
        value: A number that a float32 holds exactly.
    """
    text = f"{value:.6g}"
    if text[-1] in "nf":
        return _not_finite(value)
    if _FLOAT32.unpack(_FLOAT32.pack(float(text)))[0] != value:
        text = _FLOAT32_FORMAT % value
    return text if "." in text or "e" in text else text + ".0"


def float64_text(value: float) -> str:
    """A float64 as text."""
    text = f"{value:.6g}"
    if text[-1] in "nf":
        return _not_finite(value)
    if float(text) != value:
        text = _FLOAT64_FORMAT % value
    return text if "." in text or "e" in text else text + ".0"


def float32_texts(data: bytes) -> list[str]:
    """Many float32 as texts, for large ones at the price of one formatting each.

    Args:
        data: The numbers as they lie in this machine's memory.
    """
    numbers = memoryview(data).cast("f")
    if len(numbers) <= _FEW:
        return [float32_text(value) for value in numbers.tolist()]
    return _texts(data, "f4", _FLOAT32_FORMAT)


def float64_texts(data: bytes) -> list[str]:
    """Many float64 as texts, see :func:`float32_texts`."""
    numbers = memoryview(data).cast("d")
    if len(numbers) <= _FEW:
        return [float64_text(value) for value in numbers.tolist()]
    return _texts(data, "f8", _FLOAT64_FORMAT)


def _not_finite(value: float) -> str:
    if value != value:
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _texts(data: bytes, dtype: str, longest: str) -> list[str]:
    import numpy as np

    with np.errstate(all="ignore"):  # of signalling NaNs, and of numbers that round to infinity
        return _many_texts(np.frombuffer(data, dtype=dtype), longest)


def _many_texts(values: np.ndarray[Any, Any], longest: str) -> list[str]:
    import numpy as np

    finite = np.isfinite(values)
    short = finite & _may_be_short(values)
    texts = np.empty(len(values), dtype=object)
    kept = np.flatnonzero(short)
    if len(kept):
        tried = _formatted("%.6g", values[kept])
        same = np.fromiter(map(float, tried), "f8", len(tried)).astype(values.dtype) == values[kept]
        texts[kept] = tried
        short[kept[~same]] = False
    long = np.flatnonzero(finite & ~short)
    texts[long] = _formatted(longest, values[long])
    for index in np.flatnonzero(~finite).tolist():
        texts[index] = _not_finite(float(values[index]))
    # Only whole numbers can lack the point; those from here on have an exponent.
    for index in np.flatnonzero(finite & (np.abs(values) < 10.0**17) & (values == np.trunc(values))).tolist():
        text = texts[index]
        if "." not in text and "e" not in text:
            texts[index] = text + ".0"
    found: list[str] = texts.tolist()
    return found


def _may_be_short(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which numbers may read back from six digits: all that do, and few others."""
    import numpy as np

    sizes = np.abs(values.astype("f8"))
    smallest, largest = _SCALED_SAFELY
    usual = (sizes > smallest) & (sizes < largest)
    sizes = np.where(usual, sizes, 1.0)
    scaled = sizes * 10.0 ** (5 - np.floor(np.log10(sizes)))
    near: np.ndarray[Any, Any] = ~usual | (np.abs(scaled - np.rint(scaled)) < _NEAR_WHOLE[values.dtype.itemsize])
    return near


def _formatted(form: str, values: np.ndarray[Any, Any]) -> Sequence[str]:
    """Each number in a form; one formatting of many costs half of many formattings of one."""
    numbers = values.tolist()
    texts: list[str] = []
    for start in range(0, len(numbers), _CHUNK):
        chunk = tuple(numbers[start : start + _CHUNK])
        texts += (" ".join([form] * len(chunk)) % chunk).split(" ")
    return texts
