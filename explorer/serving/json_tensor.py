"""Tensors from JSON values, as ``GetDenseTensorShape``, ``FillTensorProto`` and ``AddValueToTensor`` make them.

The shape is that of the first list, of its first list and so on; then each list must have the length of its level. See
``json_tensor.cc`` of https://github.com/tensorflow/serving.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from explorer.errors import RequestError
from explorer.savedmodel import constants
from explorer.savedmodel.tensors import Tensor
from explorer.serving.json_base64 import decode_base64
from explorer.serving.json_text import pretty
from explorer.serving.json_values import JsonObject, JsonValue, invalid, text_of, type_word
from explorer.serving.number_block import DT_DOUBLE, INTEGERS, NumberBlock

if TYPE_CHECKING:
    import numpy as np

_FLOATS: Final = {constants.DT_FLOAT: "f4", DT_DOUBLE: "f8"}
_B64: Final = b"b64"


class DeclinedError(Exception):
    """A block of numbers doesn't fit where it stands; the exact parser has to say why."""


def is_base64_object(value: JsonValue) -> bool:
    """Whether a value is ``{"b64": "…"}`` with nothing beside it."""
    return (
        isinstance(value, JsonObject)
        and len(value.members) == 1
        and value.members[0][0] == _B64
        and isinstance(value.members[0][1], bytes)
    )


def base64_bytes(value: JsonObject) -> bytes:
    """What a base64 object stands for.

    Raises:
        RequestError: It isn't base64.
    """
    text = value.members[0][1]
    decoded = decode_base64(text) if isinstance(text, bytes) else None
    if decoded is None:
        raise invalid("Unable to base64 decode")
    return decoded


def json_to_tensor(value: JsonValue, dtype: int) -> Tensor:
    """A value as a tensor.

    Args:
        value: A number, a string, a base64 object, true or false, or lists of one of them.
        dtype: The dtype's number in ``types.proto``.

    Raises:
        RequestError: The server refuses it.
        DeclinedError: There is a block in it that doesn't fit.
    """
    tensor = regular_tensor(value, dtype)
    if tensor is not None:
        return tensor
    _refuse(value, dtype)
    raise AssertionError("a value is neither taken nor refused")


def regular_tensor(value: JsonValue, dtype: int) -> Tensor | None:
    """As :func:`json_to_tensor`, but None where the server refuses."""
    level: list[JsonValue] = [value]
    shape: list[int] = []
    while level and isinstance(level[0], list):
        size = len(level[0])
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:  # type: ignore[arg-type]
            return None
        shape.append(size)
        level = level[0] if len(level) == 1 else list(chain.from_iterable(level))  # type: ignore[arg-type]
    if level and isinstance(level[0], NumberBlock):
        return _tensor_of_blocks(level, shape, dtype)
    if dtype == constants.DT_STRING:
        texts = _texts(level)
        return None if texts is None else Tensor(dtype, tuple(shape), texts=texts)
    values = _array(level, dtype)
    return None if values is None else Tensor(dtype, tuple(shape), values.tobytes())


def type_name(dtype: int) -> str:
    """The name of a dtype as ``DataTypeString`` in TensorFlow's ``core/framework/types.cc`` has it."""
    if dtype > constants.REF_OFFSET:
        return f"{_base_type_name(dtype - constants.REF_OFFSET)}_ref"
    return _base_type_name(dtype)


def _base_type_name(dtype: int) -> str:
    if dtype == constants.DT_INVALID:
        return "INVALID"
    return constants.DTYPE_NAMES.get(dtype, f"unknown dtype enum ({dtype})")


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape in the server's sentences."""
    return f"[{','.join(map(str, shape))}]"


def _tensor_of_blocks(level: list[JsonValue], shape: list[int], dtype: int) -> Tensor | None:
    arrays = []
    first = level[0]
    for block in level:
        if not isinstance(block, NumberBlock) or not isinstance(first, NumberBlock) or block.shape != first.shape:
            return None
        array = block.to_array(dtype)
        if array is None:
            return None
        arrays.append(array)
        shape_inside = block.shape
    return Tensor(dtype, (*shape, *shape_inside), b"".join(array.tobytes() for array in arrays))


def _texts(leaves: list[JsonValue]) -> tuple[bytes, ...] | None:
    kinds = set(map(type, leaves))
    if kinds <= {bytes}:
        return tuple(leaves)  # type: ignore[arg-type]
    if not kinds <= {bytes, JsonObject}:
        return None
    texts = []
    for leaf in leaves:
        text = leaf
        if isinstance(leaf, JsonObject):
            encoded = leaf.members[0][1] if is_base64_object(leaf) else None
            text = decode_base64(encoded) if isinstance(encoded, bytes) else None
        if not isinstance(text, bytes):
            return None
        texts.append(text)
    return tuple(texts)


def _array(leaves: list[JsonValue], dtype: int) -> np.ndarray[Any, Any] | None:
    """The leaves as the server holds them; an empty tensor takes any dtype."""
    import numpy as np

    kinds = set(map(type, leaves))
    if not kinds:
        return np.empty(0, "u1")
    if dtype in _FLOATS and kinds <= {int, float}:
        doubles = np.array(leaves, dtype="f8")
        if dtype == DT_DOUBLE:
            return doubles
        with np.errstate(over="ignore"):
            return doubles.astype("f4")
    if dtype in INTEGERS and kinds == {int}:
        smallest, largest, element = INTEGERS[dtype]
        if min(leaves) < smallest or max(leaves) > largest:  # type: ignore[type-var, operator]
            return None
        return np.array(leaves, dtype="u8" if largest >> 63 else "i8").astype(element)
    if dtype == constants.DT_BOOL and kinds == {bool}:
        return np.array(leaves, dtype="?")
    return None


def _refuse(value: JsonValue, dtype: int) -> None:
    """Walks a value as the server does, and raises its error."""
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    rank = len(shape)
    open_lists: list[Iterator[JsonValue]] = [iter((value,))]
    while open_lists:
        level = len(open_lists) - 1
        for item in open_lists[-1]:
            if isinstance(item, NumberBlock):
                raise DeclinedError
            if isinstance(item, list):
                if level >= rank:
                    raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
                if len(item) != shape[level]:
                    raise invalid(
                        f"Encountered list at unexpected size: {len(item)} at level: {level} "
                        f"expected size: {shape[level]}"
                    )
                open_lists.append(iter(item))
                break
            if level != rank:
                raise invalid(
                    f"JSON Value: {text_of(pretty(item))} found at incorrect level: {level + 1} in the JSON DOM. "
                    f"Expected at level: {rank}"
                )
            _refuse_leaf(item, dtype)
        else:
            open_lists.pop()


def _refuse_leaf(leaf: JsonValue, dtype: int) -> None:
    """Raises the error that there is with a value at its place; most have none."""
    if isinstance(leaf, JsonObject):
        if dtype != constants.DT_STRING:
            raise _type_error(leaf, dtype)
        if not is_base64_object(leaf):
            raise invalid(f"JSON Value: {text_of(pretty(leaf))} not formatted correctly for base64 data")
        base64_bytes(leaf)
        return
    kind = type(leaf)
    if dtype in _FLOATS:
        fits = kind is int or kind is float
    elif dtype in INTEGERS:
        smallest, largest, _ = INTEGERS[dtype]
        fits = kind is int and smallest <= leaf <= largest  # type: ignore[operator]
    elif dtype == constants.DT_BOOL:
        fits = kind is bool
    elif dtype == constants.DT_STRING:
        fits = kind is bytes
    else:
        raise RequestError(
            f"Conversion of JSON Value: {text_of(pretty(leaf))} to type: {type_name(dtype)}", "UNIMPLEMENTED"
        )
    if not fits:
        raise _type_error(leaf, dtype)


def _type_error(leaf: JsonValue, dtype: int) -> RequestError:
    return invalid(
        f"JSON Value: {text_of(pretty(leaf))} Type: {type_word(leaf)} is not of expected type: {type_name(dtype)}"
    )
