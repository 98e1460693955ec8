"""Example values of one input as TensorFlow Serving's REST API takes them: nested lists of what JSON can hold.

Which JSON value fits which dtype is what ``tensorflow_serving/util/json_tensor.cc`` accepts; where the server takes a
value and quietly turns it into another (200 as ``int8`` becomes -56, 1e39 as ``float32`` becomes infinity) this
module refuses it.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from typing import Any

from explorer.errors import RequestError, printable_name, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, TensorInfo

MOST_ELEMENTS = 5_000_000
"""A body with more elements than this is not made: as JSON it would take 25 MB and more."""

MOST_RANK = 254
"""The most dimensions that a tensor of TensorFlow can have (``TensorShape::MaxDimensions``)."""

_INTEGER_RANGES = {
    3: (-(2**31), 2**31 - 1),
    4: (0, 2**8 - 1),
    5: (-(2**15), 2**15 - 1),
    6: (-(2**7), 2**7 - 1),
    9: (-(2**63), 2**63 - 1),
    22: (0, 2**32 - 1),
    23: (0, 2**64 - 1),
}
_FLOAT32, _FLOAT64 = 1, 2
_LARGEST_FLOAT32 = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]

Tensor = tuple[Any, tuple[int, ...]]
"""Nested lists of JSON values, and the shape that they have."""


class _MisfitError(Exception):
    """A value that doesn't fit, and the indices that lead to it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.indices: list[int] = []


def check_sendable(key: str, info: TensorInfo, where: str) -> None:
    """Checks that the REST API has a JSON form for an input.

    Args:
        key: The input key.
        info: What is declared.
        where: The signature as it stands in a sentence.

    Raises:
        RequestError: It has none.
    """
    if info.encoding != "name":
        raise RequestError(
            f"input {quoted(key)} of {where} is encoded as {info.encoding}, several tensors in one; "
            "REST requests hold plain tensors only"
        )
    if info.dtype.number not in _INTEGER_RANGES and info.dtype.number not in (
        _FLOAT32,
        _FLOAT64,
        constants.DT_BOOL,
        constants.DT_STRING,
    ):
        raise RequestError(
            f"input {quoted(key)} of {where} has the dtype {info.dtype} ({info.dtype.name}), which TensorFlow "
            "Serving's REST API doesn't take; send it by gRPC, whose messages hold every dtype"
        )


def zeros(key: str, info: TensorInfo, where: str, batch: int = 1) -> Tensor:
    """Zeros, False or empty texts in the declared shape.

    Args:
        key: The input key.
        info: What is declared; the dtype must be sendable.
        where: The signature as it stands in a sentence.
        batch: The size of the first dimension where it isn't declared; every other unknown dimension is 1, and an
            unknown rank one dimension.

    Raises:
        RequestError: That would be too many elements.
    """
    dims = (None,) if info.shape.dims is None else info.shape.dims
    shape = tuple(_size(dim, batch if axis == 0 else 1) for axis, dim in enumerate(dims))
    _check_size(key, where, shape)
    nested = _zero(info.dtype)
    for size in reversed(shape):
        nested = [nested] * size
    return nested, shape


def read_value(key: str, value: object, info: TensorInfo, where: str) -> Tensor:
    """Turns a value that somebody gave into JSON values, after a check of dtype and shape.

    Args:
        key: The input key.
        value: A scalar, nested lists or tuples, a numpy array or what can become one; bytes stand for a string
            that need not be UTF-8.
        info: What is declared; the dtype must be sendable.
        where: The signature as it stands in a sentence.

    Raises:
        RequestError: It doesn't fit; the sentence names the element.
    """
    try:
        nested, shape = _converted(value, _leaf_of(info.dtype), 0)
        _check_size(key, where, shape)
        _check_shape(shape, info)
    except _MisfitError as misfit:
        path = printable_name(key) + "".join(f"[{index}]" for index in misfit.indices)
        raise RequestError(f"the value for input {quoted(key)} of {where} doesn't fit: {path} {misfit}") from None
    return nested, shape


def element_count(shape: tuple[int, ...]) -> int:
    """How many elements, or lists around none, a shape has at its widest; counting ends above ``MOST_ELEMENTS``."""
    count = widest = 1
    for size in shape:
        # A dimension of size 0 makes the product 0, but the lists around it are as many as the sizes before it say.
        count *= size
        widest = max(widest, count)
        if widest > MOST_ELEMENTS:
            break
    return widest


def base64_object(value: bytes) -> dict[str, str]:
    """Bytes as the REST API takes them: an object with the one key ``b64``."""
    return {"b64": base64.b64encode(value).decode("ascii")}


def _size(dim: int | None, unknown: int) -> int:
    # A size below -1 stands in corrupt or hostile files only; nothing else can be made of it.
    return unknown if dim is None or dim < 0 else dim


def _zero(dtype: DType) -> Any:
    if dtype.number in _INTEGER_RANGES:
        return 0
    return {constants.DT_BOOL: False, constants.DT_STRING: ""}.get(dtype.number, 0.0)


def _check_size(key: str, where: str, shape: tuple[int, ...]) -> None:
    if len(shape) > MOST_RANK:
        raise RequestError(
            f"input {quoted(key)} of {where} has {len(shape)} dimensions; TensorFlow's tensors have at most {MOST_RANK}"
        )
    if element_count(shape) > MOST_ELEMENTS:
        raise RequestError(
            f"input {quoted(key)} of {where} has more than {MOST_ELEMENTS} elements, the most for which a request body "
            "is made; send such a tensor by gRPC"
        )


def _check_shape(shape: tuple[int, ...], info: TensorInfo) -> None:
    dims = info.shape.dims
    if dims is None:
        return
    if len(shape) != len(dims):
        raise _MisfitError(f"has {_dimensions(len(shape))}, but {info} is declared, which has {_dimensions(len(dims))}")
    for axis, (size, dim) in enumerate(zip(shape, dims, strict=True)):
        if dim is not None and dim >= 0 and size != dim:
            misfit = _MisfitError(f"has {size} element{'' if size == 1 else 's'}, but {info} is declared: give {dim}")
            misfit.indices = [0] * axis
            raise misfit


def _dimensions(rank: int) -> str:
    return "no dimension" if rank == 0 else "1 dimension" if rank == 1 else f"{rank} dimensions"


def _converted(value: Any, leaf: Callable[[Any], Any], depth: int) -> Tensor:
    """Converts every element of nested lists, all of which must have one shape."""
    if hasattr(value, "__array__") and not isinstance(value, str | bytes | float):
        value = _array_to_lists(value)
    if not isinstance(value, list | tuple):
        return leaf(value), ()
    if depth == MOST_RANK:
        raise _MisfitError(f"is nested deeper than the {MOST_RANK} dimensions that a tensor can have")
    nested: list[Any] = []
    shape: tuple[int, ...] = ()
    for index, item in enumerate(value):
        try:
            element, element_shape = _converted(item, leaf, depth + 1)
            if index == 0:
                shape = element_shape
            elif element_shape != shape:
                raise _MisfitError(
                    f"has the shape {list(element_shape)}, but the elements before it have {list(shape)}"
                )
        except _MisfitError as misfit:
            misfit.indices.insert(0, index)
            raise
        nested.append(element)
    return nested, (len(nested), *shape)


def _array_to_lists(value: Any) -> Any:
    """An array, or a scalar of numpy, as Python lists and scalars; float32 by its shortest digits."""
    import numpy as np

    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise _MisfitError(f"is a {type(value).__name__} that numpy can't turn into an array") from None
    if array.size > MOST_ELEMENTS:
        raise _MisfitError(f"has {array.size} elements; request bodies are made up to {MOST_ELEMENTS}")
    if array.dtype.kind not in "biufSUO":
        raise _MisfitError(f"is an array of {array.dtype}, which has no JSON form; convert it with astype first")
    if (array.dtype.kind, array.dtype.itemsize) != ("f", 4) or array.size == 0:  # of any byte order
        return array.tolist()
    numbers = _shortest_float32(array)
    for size in reversed(array.shape[1:]):
        numbers = [numbers[start : start + size] for start in range(0, len(numbers), size)]
    return numbers if array.shape else numbers[0]


def _shortest_float32(array: Any) -> list[Any]:
    """The elements as the shortest floats that are the same float32: 0.1, not 0.10000000149011612."""
    import numpy as np
    import orjson

    flat = np.ascontiguousarray(array.reshape(-1), dtype=np.float32)
    finite = np.isfinite(flat)
    # orjson writes NaN and infinities as null, so they are put back by hand.
    text = orjson.dumps(np.where(finite, flat, np.float32(0)), option=orjson.OPT_SERIALIZE_NUMPY)
    numbers: list[Any] = orjson.loads(text)
    for index in np.flatnonzero(~finite).tolist():
        numbers[index] = float(flat[index])
    return numbers


def _leaf_of(dtype: DType) -> Callable[[Any], Any]:
    """The conversion of one element."""
    if dtype.number in _INTEGER_RANGES:
        lowest, highest = _INTEGER_RANGES[dtype.number]

        def integer(value: Any) -> int:
            if not isinstance(value, int) or isinstance(value, bool):
                raise _misfit(value, dtype, "a whole number such as 1")
            if not lowest <= value <= highest:
                raise _misfit(value, dtype, f"a whole number from {lowest} to {highest}")
            return value

        return integer
    if dtype.number == constants.DT_BOOL:
        return lambda value: _expect(value, bool, dtype, "True or False")
    if dtype.number == constants.DT_STRING:
        return _string
    return _float32 if dtype.number == _FLOAT32 else _float64


def _expect(value: Any, kind: type, dtype: DType, wanted: str) -> Any:
    if not isinstance(value, kind):
        raise _misfit(value, dtype, wanted)
    return value


def _float32(value: Any) -> float:
    number = _float64(value, DType(_FLOAT32))
    if not -_LARGEST_FLOAT32 <= number <= _LARGEST_FLOAT32 and math.isfinite(number):
        try:
            struct.pack("<f", number)  # what rounds down to the largest is still fine
        except OverflowError:
            raise _misfit(value, DType(_FLOAT32), f"a number up to {_LARGEST_FLOAT32:.8g}, or infinity") from None
    return number


def _float64(value: Any, dtype: DType | None = None) -> float:
    if isinstance(value, float):
        return float(value)
    dtype = dtype or DType(_FLOAT64)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _misfit(value, dtype, "a number")
    try:
        return float(value)
    except OverflowError:
        raise _misfit(value, dtype, "a number up to 1.8e308") from None


def _string(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64_object(bytes(value))
    if not isinstance(value, str):
        raise _misfit(value, DType(constants.DT_STRING), "a text, or bytes")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise _misfit(value, DType(constants.DT_STRING), "a text that UTF-8 can encode; give bytes instead") from None
    return str(value)


def _misfit(value: Any, dtype: DType, wanted: str) -> _MisfitError:
    if isinstance(value, int) and abs(value) >= 10**40:  # repr() of a long int is slow, then refused
        shown = f"a whole number of {value.bit_length()} bits"
    elif isinstance(value, str | bytes | bool | int | float) or value is None:
        shown = printable_name(repr(value[:100] if isinstance(value, str | bytes) else value), 60)
    else:
        shown = f"a {type(value).__name__}"
    return _MisfitError(f"is {shown}, but {dtype} takes {wanted}")
