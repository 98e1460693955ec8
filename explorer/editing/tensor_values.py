"""Values in Python → TensorProtos: what a signature is bound to, and what an input is when a request leaves it out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from explorer.errors import EditError, printable_name, quoted
from explorer.savedmodel.model import DType, Shape
from explorer.savedmodel.object_graph import new_message

_LARGEST_BYTES = 64 << 20


def encoded_tensor(value: object, dtype: DType, shape: Shape, what: str) -> bytes:
    """A serialized TensorProto with a value.

    Args:
        value: A number, text, bytes, nested lists of them, a numpy array, or ``{"b64": …}`` for bytes.
        dtype: The dtype that it must have.
        shape: The shape that it must fit.
        what: What the value is for, as it stands in a sentence.

    Raises:
        EditError: It doesn't fit.
    """
    import numpy as np

    if str(dtype.base) == "string":
        array = np.array(_bytes_of(value, what), dtype=object)
    else:
        array = _numbers(value, dtype.base, what)
    if not Shape(array.shape).is_compatible_with(shape):
        raise EditError(
            f"{what} must have the shape {printable_name(str(shape))}, and the value has {Shape(array.shape)}"
        )
    proto = new_message("TensorProto")
    proto.dtype = dtype.base.number
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if not array.shape:
        proto.tensor_shape.SetInParent()
    if str(dtype.base) == "string":
        proto.string_val.extend(array.reshape(-1).tolist())
    else:
        proto.tensor_content = array.tobytes()
    data: bytes = proto.SerializeToString(deterministic=True)
    if len(data) > _LARGEST_BYTES:
        raise EditError(f"{what} would have {len(data)} bytes; at most {_LARGEST_BYTES} fit into a model file well")
    return data


def json_value(value: object) -> Any:
    """A value as a recipe holds it: numbers, text, lists, and ``{"b64": …}`` for bytes that are no text."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    return json_value(value.tolist()) if hasattr(value, "tolist") else value


def _numbers(value: object, dtype: DType, what: str) -> Any:
    import numpy as np

    kinds = {"bool": "b", "float16": "f", "bfloat16": "f", "float32": "f", "float64": "f"}
    name = str(dtype)
    wanted = kinds.get(name, "i" if name.lstrip("u").startswith("int") else "")
    if not wanted:
        raise EditError(f"{what} is {name}, and a value of that dtype can't be written down")
    try:
        array = np.asarray(value)
    except ValueError:
        raise EditError(f"{what} must be rectangular: lists of equal length") from None
    kind = "i" if array.dtype.kind == "u" else array.dtype.kind
    if array.size and kind != wanted and not (wanted == "f" and kind == "i"):
        raise EditError(f"{what} must be {name}, and the value is {_described(value, array)}")
    if name == "bfloat16":
        return _bfloat16(array)
    made = array.astype(name)
    if wanted == "i" and array.size and not np.array_equal(made.astype(object), array.astype(object)):
        raise EditError(f"{what} must be {name}, and the value has numbers that this doesn't hold")
    return np.asarray(made.astype(made.dtype.newbyteorder("<")), order="C")


def _bfloat16(array: Any) -> Any:
    """The upper halves of float32 numbers, rounded to even as TensorFlow does."""
    import numpy as np

    bits = np.asarray(array.astype("<f4"), order="C").view("<u4")
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(array.astype("f4")), 0x7FC0, rounded).astype("<u2")


def _bytes_of(value: object, what: str) -> Any:
    """Nested lists of bytes."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError:
            raise EditError(f"{what} has text that UTF-8 can't hold: {quoted(value)}") from None
    if isinstance(value, Mapping) and set(value) == {"b64"}:
        try:
            return base64.b64decode(str(value["b64"]), validate=True)
        except binascii.Error:
            raise EditError(f"{what} has a b64 value that is no base64") from None
    if hasattr(value, "tolist"):
        return _bytes_of(value.tolist(), what)  # of a scalar, it gives the bytes themselves
    if isinstance(value, list | tuple):
        items = [_bytes_of(item, what) for item in value]
        if len({len(item) if isinstance(item, list) else -1 for item in items}) > 1:
            raise EditError(f"{what} must be rectangular: lists of equal length")
        return items
    raise EditError(f"{what} is a string, and the value is {type(value).__name__}; give text or bytes")


def _described(value: object, array: Any) -> str:
    return type(value).__name__ if array.dtype.kind == "O" or not hasattr(value, "dtype") else str(array.dtype)
