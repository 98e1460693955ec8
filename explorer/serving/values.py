"""Values of one input, checked against its dtype and shape: nested lists of what JSON can hold, or a numpy array.

Which JSON value fits which dtype is what ``tensorflow_serving/util/json_tensor.cc`` accepts; where the server takes a
value and quietly turns it into another (200 as ``int8`` becomes -56, 1e39 as ``float32`` becomes infinity) this
module refuses it. Dtypes that only gRPC takes are held to the same.
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
from explorer.serving.arrays import (
    BFLOAT16,
    BFLOAT16_OVERFLOW,
    COMPLEX,
    COMPLEX64,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    FLOATS,
    INTEGER_RANGES,
    as_array,
    first_misfit,
    json_array,
    lists_of,
)

MOST_ELEMENTS = 5_000_000
"""A body with more elements in lists than this is not made: as Python objects they would take hundreds of MB."""

MOST_BODY_BYTES = 1 << 29
"""A body of arrays that would be larger than this is not made."""

MOST_RANK = 254
"""The most dimensions that a tensor of TensorFlow can have (``TensorShape::MaxDimensions``)."""

_REST_DTYPES = frozenset({1, 2, 3, 4, 5, 6, 9, 22, 23, constants.DT_BOOL, constants.DT_STRING})
_DTYPES = FLOATS | COMPLEX | INTEGER_RANGES.keys() | {constants.DT_BOOL, constants.DT_STRING}
_LARGEST_FLOAT32 = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
# What is refused rounds to infinity: half a unit above the largest number.
_LARGEST = {FLOAT32: (_LARGEST_FLOAT32, "<f"), BFLOAT16: (_LARGEST_FLOAT32, "<f"), FLOAT16: (65504.0, "<e")}

Values = tuple[Any, tuple[int, ...]]
"""Nested lists of numbers, True and False, texts and bytes, or an array of numbers; and the shape that they have."""


class _MisfitError(Exception):
    """A value that doesn't fit, and the indices that lead to it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.indices: list[int] = []


def check_feedable(key: str, info: TensorInfo, where: str) -> None:
    """Checks that a request of some protocol can hold an input.

    Args:
        key: The input key.
        info: What is declared.
        where: The signature as it stands in a sentence.

    Raises:
        RequestError: None can.
    """
    if info.encoding != "name":
        raise RequestError(
            f"input {quoted(key)} of {where} is encoded as {info.encoding}, several tensors in one; "
            "requests hold plain tensors only"
        )
    if info.dtype.base.number not in _DTYPES:
        raise RequestError(
            f"input {quoted(key)} of {where} has the dtype {info.dtype} ({info.dtype.name}), of which no values can be "
            "given here"
        )


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
    if not is_rest_dtype(info.dtype):
        raise RequestError(
            f"input {quoted(key)} of {where} has the dtype {info.dtype} ({info.dtype.name}), which TensorFlow "
            "Serving's REST API doesn't take; send it by gRPC, whose messages hold every dtype"
        )


def is_rest_dtype(dtype: DType) -> bool:
    """Whether the REST API has a JSON form for a dtype, in requests and in answers alike."""
    return dtype.number in _REST_DTYPES


def zeros(key: str, info: TensorInfo, where: str, batch: int = 1) -> Values:
    """Zeros, False or empty texts in the declared shape; bytes, which stand in base64, for a key that says so.

    Args:
        key: The input key.
        info: What is declared; the dtype must be sendable.
        where: The signature as it stands in a sentence.
        batch: The size of the first dimension where it isn't declared; every other unknown dimension is 1, and an
            unknown rank one dimension.

    Raises:
        RequestError: That would be too many elements.
    """
    shape = filled_shape(info, batch)
    _check_size(key, where, shape)
    nested = _zero(info.dtype)
    if nested == "" and key.endswith(constants.BYTES_SUFFIX):
        nested = b""
    for size in reversed(shape):
        nested = [nested] * size
    return nested, shape


def filled_shape(info: TensorInfo, batch: int = 1) -> tuple[int, ...]:
    """A shape that fits a declared one: ``batch`` for an unknown first dimension, 1 for every other unknown one."""
    dims = (None,) if info.shape.dims is None else info.shape.dims
    return tuple(_size(dim, batch if axis == 0 else 1) for axis, dim in enumerate(dims))


def read_value(key: str, value: object, info: TensorInfo, where: str) -> Values:
    """Checks dtype and shape of a value that somebody gave.

    Args:
        key: The input key.
        value: A scalar, nested lists or tuples, a numpy array or what can become one; bytes stand for a string
            that need not be UTF-8.
        info: What is declared.
        where: The signature as it stands in a sentence.

    Returns:
        Nested lists, or the array where it is one of numbers.

    Raises:
        RequestError: It doesn't fit; the sentence names the element.
    """
    dtype = info.dtype.base
    try:
        leaf = _leaf_of(dtype)
        checked = _checked_array(value, dtype, leaf) if _is_array(value) else None
        nested, shape = checked or _converted(value, leaf, 0)
        if not hasattr(nested, "dtype"):
            _check_size(key, where, shape)
        _check_shape(shape, info)
    except _MisfitError as misfit:
        path = printable_name(key) + "".join(f"[{index}]" for index in misfit.indices)
        raise RequestError(f"the value for input {quoted(key)} of {where} doesn't fit: {path} {misfit}") from None
    return nested, shape


def text_bytes(values: Values) -> int:
    """About how many bytes an array takes as JSON; 0 for lists, whose elements are counted instead."""
    nested, shape = values
    return 0 if not hasattr(nested, "dtype") else math.prod(shape) * (2 * nested.dtype.itemsize + 4)


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
    if dtype.number in INTEGER_RANGES:
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


def _converted(value: Any, leaf: Callable[[Any], Any], depth: int) -> Values:
    """Converts every element of nested lists, all of which must have one shape."""
    if _is_array(value):
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


def _is_array(value: object) -> bool:
    return hasattr(value, "__array__") and not isinstance(value, str | bytes | float)


def _checked_array(value: object, dtype: DType, leaf: Callable[[Any], Any]) -> Values | None:
    """An array of numbers that stays one; None where the elements are looked at one by one.

    Raises:
        _MisfitError: An element doesn't fit.
    """
    array = _read_array(value)
    if array.dtype.kind not in "biufc" or not array.size or dtype.number == constants.DT_STRING:
        return None
    if array.dtype.kind == "c" and dtype.number not in COMPLEX:
        raise _no_json(array)
    if (index := first_misfit(array, dtype.number)) is not None:
        try:
            leaf(array[index].item())
        except _MisfitError as misfit:
            misfit.indices = list(index)
            raise
    return json_array(array, dtype.number).reshape(array.shape), array.shape


def _read_array(value: object) -> Any:
    try:
        return as_array(value)
    except (TypeError, ValueError):
        raise _MisfitError(f"is a {type(value).__name__} that numpy can't turn into an array") from None


def _no_json(array: Any) -> _MisfitError:
    return _MisfitError(f"is an array of {array.dtype}, which has no JSON form; convert it with astype first")


def _array_to_lists(value: Any) -> Any:
    """An array, or a scalar of numpy, as Python lists and scalars; float32 by its shortest digits."""
    array = _read_array(value)
    if array.size > MOST_ELEMENTS:
        raise _MisfitError(f"has {array.size} elements; request bodies are made up to {MOST_ELEMENTS}")
    if array.dtype.kind not in "biufcSUO":
        raise _no_json(array)
    return lists_of(array)


def _leaf_of(dtype: DType) -> Callable[[Any], Any]:
    """The conversion of one element."""
    if dtype.number in INTEGER_RANGES:
        lowest, highest = INTEGER_RANGES[dtype.number]

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
    if dtype.number in COMPLEX:
        return lambda value: _complex(value, dtype)
    if dtype.number in _LARGEST:
        return lambda value: _narrow_float(value, dtype)
    return _float64


def _expect(value: Any, kind: type, dtype: DType, wanted: str) -> Any:
    if not isinstance(value, kind):
        raise _misfit(value, dtype, wanted)
    return value


def _complex(value: Any, dtype: DType) -> complex:
    number = value if isinstance(value, complex) else complex(_float64(value, dtype))
    if dtype.number == COMPLEX64:
        for part in (number.real, number.imag):
            try:
                struct.pack("<f", part)
            except OverflowError:
                raise _misfit(value, dtype, f"numbers up to {_LARGEST_FLOAT32:.8g}, or infinity") from None
    return number


def _narrow_float(value: Any, dtype: DType) -> float:
    number = _float64(value, dtype)
    largest, form = _LARGEST[dtype.number]
    if dtype.number == BFLOAT16 and BFLOAT16_OVERFLOW <= abs(number) < math.inf:
        raise _misfit(value, dtype, "a number up to 3.3895314e+38, or infinity")
    if not -largest <= number <= largest and math.isfinite(number):
        try:
            struct.pack(form, number)  # what rounds down to the largest is still fine
        except OverflowError:
            raise _misfit(value, dtype, f"a number up to {largest:.8g}, or infinity") from None
    return number


def _float64(value: Any, dtype: DType | None = None) -> float:
    if isinstance(value, float):
        return float(value)
    dtype = dtype or DType(FLOAT64)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _misfit(value, dtype, "a number")
    try:
        return float(value)
    except OverflowError:
        raise _misfit(value, dtype, "a number up to 1.8e308") from None


def _string(value: Any) -> Any:
    if isinstance(value, bytes):
        return bytes(value)
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
