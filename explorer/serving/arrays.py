"""numpy arrays on their way into requests: checked, written as JSON without a detour over lists, made into tensors.

orjson writes an array from its memory, a float32 by the shortest digits that are the same float32. numpy and orjson
are imported where they are needed: a body of zeros costs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.errors import RequestError
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType
from explorer.savedmodel.tensors import NUMPY_NAMES, Tensor

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FLOAT32, FLOAT64, COMPLEX64, BFLOAT16, COMPLEX128, FLOAT16 = 1, 2, 8, 14, 18, 19
FLOATS = frozenset({FLOAT32, FLOAT64, BFLOAT16, FLOAT16})
COMPLEX = frozenset({COMPLEX64, COMPLEX128})

BFLOAT16_OVERFLOW = float.fromhex("0x1.ffp+127")
"""From here on a number rounds to infinity as ``bfloat16``: half a unit above the largest."""

INTEGER_RANGES = {
    3: (-(2**31), 2**31 - 1),
    4: (0, 2**8 - 1),
    5: (-(2**15), 2**15 - 1),
    6: (-(2**7), 2**7 - 1),
    9: (-(2**63), 2**63 - 1),
    11: (-(2**7), 2**7 - 1),
    12: (0, 2**8 - 1),
    13: (-(2**31), 2**31 - 1),
    15: (-(2**15), 2**15 - 1),
    16: (0, 2**16 - 1),
    17: (0, 2**16 - 1),
    22: (0, 2**32 - 1),
    23: (0, 2**64 - 1),
}
"""Number of a dtype → the least and the greatest whole number that it holds; quantized ones by their integers."""

_MOST_DIMENSIONS = 30
"""numpy 1 takes 32 dimensions, numpy 2 takes 64; tensors have up to 254."""

_LARGE_ROW = 1000
"""From this many elements on each row is written by itself; smaller ones together, and cut apart."""

_READABLE_ELEMENTS = 10_000
"""Up to so many elements there is a blank behind each comma, for people; nobody reads more."""


def as_array(value: object) -> Array:
    """What numpy makes of a value, in this machine's byte order; float16 and bfloat16 as the same float32.

    Raises:
        TypeError: It makes nothing of it.
        ValueError: The same.
    """
    import numpy as np

    array = np.asarray(value)
    if array.dtype.name == "bfloat16":  # the extension type that ml_dtypes and TensorFlow bring
        return array.astype(np.float32)
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float32 if array.dtype.itemsize == 2 else np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def first_misfit(array: Array, dtype: int) -> tuple[int, ...] | None:
    """Where the first element is that a dtype can't hold, as one index a dimension; None where all fit.

    Args:
        array: At least one element, of any numeric dtype.
        dtype: The number of the dtype in ``types.proto``, none of texts.
    """
    import numpy as np

    if dtype in INTEGER_RANGES:
        if array.dtype.kind not in "iu":
            return (0,) * array.ndim
        lowest, highest = INTEGER_RANGES[dtype]
        if int(array.min()) >= lowest and int(array.max()) <= highest:
            return None
        return _first(
            (array < max(lowest, np.iinfo(array.dtype).min)) | (array > min(highest, np.iinfo(array.dtype).max))
        )
    if dtype == constants.DT_BOOL:
        return None if array.dtype.kind == "b" else (0,) * array.ndim
    if array.dtype.kind not in ("iufc" if dtype in COMPLEX else "iuf"):
        return (0,) * array.ndim
    if dtype == BFLOAT16:
        return _first(np.isfinite(array) & ((array >= BFLOAT16_OVERFLOW) | (array <= -BFLOAT16_OVERFLOW)))
    narrow = {FLOAT32: "f4", FLOAT16: "f2", COMPLEX64: "c8"}.get(dtype)
    if narrow is None or np.dtype(narrow).itemsize >= array.dtype.itemsize and array.dtype.kind in "fc":
        return None
    with np.errstate(over="ignore"):
        return _first(np.isfinite(array) & ~np.isfinite(array.astype(narrow)))


def json_array(array: Array, dtype: int) -> Array:
    """The array as it is written: whole numbers for a float dtype get their point, doubles keep their digits."""
    import numpy as np

    if dtype in FLOATS:
        is_float32 = array.dtype.kind == "f" and array.dtype.itemsize == 4 and dtype != FLOAT64
        return np.ascontiguousarray(array, np.float32 if is_float32 else np.float64)
    return np.ascontiguousarray(array, NUMPY_NAMES[dtype])


def array_text(array: Array) -> str:
    """An array as JSON in ASCII; NaN and infinities as the bare tokens that TensorFlow Serving reads."""
    if not array.ndim:
        return _written(array.reshape(1), False)[1:-1]
    return _written(array, array.size <= _READABLE_ELEMENTS)


def row_texts(array: Array) -> tuple[list[str], str, str]:
    """Each element of the first dimension as JSON.

    Returns:
        The texts, and the brackets that belong before and behind each: adding them would copy the texts once more.
    """
    spaced = array.size <= _READABLE_ELEMENTS
    if array.ndim > 1 and (not array.size or array[0].size >= _LARGE_ROW):
        return [_written(row, spaced) for row in array], "", ""
    # Nowhere but between two rows do so many brackets close and open again.
    inner = array.ndim - 1
    opened, closed = "[" * inner, "]" * inner
    text = _written(array, spaced)[1 + inner : -1 - inner]
    return text.split(f"{closed}{', ' if spaced else ','}{opened}"), opened, closed


def tensor_of(nested: Any, shape: tuple[int, ...], dtype: int) -> Tensor:
    """A tensor of checked values.

    Args:
        nested: Nested lists of numbers, True and False, texts and bytes; or an array of numbers.
        shape: Their shape.
        dtype: The number of the dtype in ``types.proto``.

    Raises:
        RequestError: No tensor of the dtype can be made here.
    """
    if not hasattr(nested, "dtype"):
        nested = _flat(nested, len(shape))
        if dtype == constants.DT_STRING:
            return Tensor(
                dtype, shape, texts=tuple(text if isinstance(text, bytes) else text.encode() for text in nested)
            )
    return Tensor(dtype, shape, elements(nested, dtype).tobytes())


def elements(values: Any, dtype: int) -> Array:
    """Numbers in the form in which a tensor holds them; ``bfloat16`` as the 16 bits of each.

    Args:
        values: A flat list or an array; every number fits.
        dtype: The number of the dtype in ``types.proto``.

    Raises:
        RequestError: No tensor of the dtype can be made here.
    """
    import numpy as np

    if dtype == BFLOAT16:
        with np.errstate(over="ignore"):
            bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        # Round to the nearest, ties to even, as Eigen does; the quiet bit keeps a NaN one.
        rounded = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
        is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        return np.where(is_nan, bits >> np.uint32(16) | np.uint32(0x40), rounded).astype("<u2")
    name = NUMPY_NAMES.get(dtype)
    if name is None:
        raise RequestError(f"no values of the dtype {DType(dtype)} can be made here; feed a tensor of another dtype")
    return np.ascontiguousarray(values, name)


def nested_of(tensor: Tensor, *, as_bytes: bool = False) -> Any:
    """The values of a tensor as a body takes them: an array of numbers, nested lists of texts.

    Args:
        tensor: The tensor; one of more dimensions than numpy knows comes as nested lists.
        as_bytes: Whether all texts come as ``bytes``; else only those that aren't UTF-8, and the others as ``str``.
    """
    if tensor.dtype == constants.DT_STRING:
        texts = tensor.texts if as_bytes else [_text(value) for value in tensor.texts]
        return _in_shape(list(texts), tensor.shape)
    flat = Tensor(tensor.dtype, (_count(tensor),), tensor.data).to_array()
    if tensor.dtype in FLOATS and flat.dtype.itemsize == 2:
        flat = flat.astype("<f4")
    if len(tensor.shape) <= _MOST_DIMENSIONS:
        return flat.reshape(tensor.shape)
    return _in_shape(shortest(flat), tensor.shape)


def shortest(flat: Array) -> list[Any]:
    """The elements of a flat array as Python has them; of float32 the shortest of the same value."""
    import numpy as np
    import orjson

    if (flat.dtype.kind, flat.dtype.itemsize) != ("f", 4):
        return list(flat.tolist())
    finite = np.isfinite(flat)
    # orjson writes NaN and infinities as null, so they are put back by hand.
    numbers: list[Any] = orjson.loads(
        orjson.dumps(np.where(finite, flat, np.float32(0)), option=orjson.OPT_SERIALIZE_NUMPY)
    )
    for index in np.flatnonzero(~finite).tolist():
        numbers[index] = float(flat[index])
    return numbers


def lists_of(array: Array) -> Any:
    """An array as nested lists, float32 by its shortest digits."""
    if not array.size:
        return array.tolist()
    numbers = shortest(array.reshape(-1))
    return _in_shape(numbers, array.shape)


def _in_shape(flat: list[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return flat[0]
    if 0 in shape:
        nested: Any = []
        for size in reversed(shape[: shape.index(0)]):
            nested = [nested] * size
        return nested
    nested = flat
    for size in reversed(shape[1:]):
        nested = [nested[start : start + size] for start in range(0, len(nested), size)]
    return nested


def _count(tensor: Tensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def _flat(nested: Any, rank: int) -> list[Any]:
    flat = [nested] if rank == 0 else nested
    for _ in range(rank - 1):
        flat = [item for row in flat for item in row]
    return list(flat)


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _first(bad: Array) -> tuple[int, ...] | None:
    import numpy as np

    flat = int(bad.argmax())
    index = np.unravel_index(flat, bad.shape)
    return tuple(int(place) for place in index) if bad[index] else None


def _written(array: Array, spaced: bool) -> str:
    if array.ndim > 1 and array.size and array[0].size >= _LARGE_ROW:
        # A hundred megabytes in one piece would be claimed anew and copied, which costs as much as writing them.
        return "[" + (", " if spaced else ",").join([_written(row, spaced) for row in array]) + "]"
    data = _dumped(array)
    return (data.replace(b",", b", ") if spaced else data).decode("ascii")


def _dumped(array: Array) -> bytes:
    """An array as JSON without blanks."""
    import numpy as np
    import orjson

    if array.size == 0:  # the lists around nothing, which orjson writes in its own way
        return orjson.dumps(array.tolist())
    data = orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return data
    flat = array.reshape(-1)
    special = flat[~np.isfinite(flat)]
    tokens = np.where(np.isnan(special), b"NaN", np.where(special > 0, b"Infinity", b"-Infinity")).tolist()
    parts = data.split(b"null")  # orjson writes null for each of them, in their order
    woven = [b""] * (2 * len(parts) - 1)
    woven[::2], woven[1::2] = parts, tokens
    return b"".join(woven)
