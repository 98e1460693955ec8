"""Values as ``TensorProto`` messages and back, as TensorFlow reads and writes them.

The rules are ``Tensor::FromProto`` and ``Tensor::AsProtoField`` in ``core/framework/tensor.cc`` of
https://github.com/tensorflow/tensorflow: too few values are filled up with the last one (none at all with zeros), too
many are cut off, and numbers are cut to the width of their dtype.
"""

from __future__ import annotations

import math
from typing import Any, Final

from explorer.errors import FormatError, RequestError
from explorer.savedmodel import constants, wire
from explorer.savedmodel.records import read_varint
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.tensors import MOST_BYTES, Tensor

MOST_DIMS: Final = 254
"""The largest rank of a tensor, ``TensorShape::MaxDimensions()``."""

_MOST_INT64 = (1 << 63) - 1
_POINTER_BYTES = 8

# dtype → (field with its values, numpy's type of an element in memory)
_FIELDS: Final[dict[int, tuple[str, str]]] = {
    1: ("float_val", "f4"), 2: ("double_val", "f8"), 3: ("int_val", "i4"), 4: ("int_val", "u1"), 5: ("int_val", "i2"),
    6: ("int_val", "i1"), 8: ("scomplex_val", "f4"), 9: ("int64_val", "i8"), 10: ("bool_val", "?"),
    11: ("int_val", "i1"), 12: ("int_val", "u1"), 13: ("int_val", "i4"), 14: ("half_val", "u2"), 15: ("int_val", "i2"),
    16: ("int_val", "u2"), 17: ("int_val", "u2"), 18: ("dcomplex_val", "f8"), 19: ("half_val", "u2"),
    22: ("uint32_val", "u4"), 23: ("uint64_val", "u8"), 24: ("float8_val", "u1"), 25: ("float8_val", "u1"),
    26: ("float8_val", "u1"), 27: ("float8_val", "u1"), 28: ("float8_val", "u1"), 29: ("int_val", "i1"),
    30: ("int_val", "u1"), 31: ("int_val", "i1"), 32: ("int_val", "u1"),
}  # fmt: skip
_COMPLEX = frozenset({8, 18})
_HANDLES = frozenset({constants.DT_RESOURCE, constants.DT_VARIANT})
_FLOAT4 = 33
_TENSOR_DTYPES: Final = frozenset({*_FIELDS, *_HANDLES, constants.DT_STRING, _FLOAT4})
# Numbers of fixed width are packed as they lie in memory: field → its number.
_AS_IN_MEMORY = {"float_val": 5, "double_val": 6, "scomplex_val": 9, "dcomplex_val": 12}


def parsing_error(key: str) -> RequestError:
    """What the server says of an input whose value TensorFlow can't make a tensor of."""
    return RequestError(f"tensor parsing error: {key}", "INVALID_ARGUMENT")


def is_tensor_dtype(dtype: int) -> bool:
    """Whether TensorFlow makes a tensor of a dtype, if only an empty one; of references and unknown ones it doesn't.

    Args:
        dtype: Its number in ``types.proto``.
    """
    return dtype in _TENSOR_DTYPES


def read_tensor(proto: Any, key: str = "") -> Tensor:
    """The value of a TensorProto.

    Args:
        proto: The message, or its bytes.
        key: The input key that it is for, for the sentence.

    Raises:
        RequestError: TensorFlow makes no tensor of it: an impossible shape, a dtype without values (or one of handles,
            which live in a process), or contents that don't fit.
    """
    from google.protobuf.message import DecodeError

    if isinstance(proto, bytes | bytearray | memoryview):
        data, proto = bytes(proto), message_class("tensorflow.TensorProto")()
        try:
            proto.ParseFromString(data)
        except DecodeError:
            raise parsing_error(key) from None
    shape = _shape(proto.tensor_shape, key)
    dtype, count = int(proto.dtype), math.prod(shape)
    has_values = dtype in _FIELDS or dtype == constants.DT_STRING
    if not is_tensor_dtype(dtype) or (count and not has_values):
        raise parsing_error(key)
    if not count:
        return Tensor(dtype, shape)
    if dtype == constants.DT_STRING:
        return Tensor(dtype, shape, texts=_texts(proto, count, key))
    return Tensor(dtype, shape, _numbers(proto, dtype, count, key))


def tensor_message(tensor: Tensor, into: Any = None) -> Any:
    """The TensorProto of a value, with its elements in the field of its dtype, as the server answers.

    Args:
        tensor: The value.
        into: An empty TensorProto to fill; None makes one.

    Raises:
        RequestError: Its dtype has no values that can be sent.
    """
    message: Any = message_class("tensorflow.TensorProto")() if into is None else into
    message.dtype = tensor.dtype
    message.tensor_shape.SetInParent()
    for size in tensor.shape:
        message.tensor_shape.dim.add(size=size)
    if tensor.dtype == constants.DT_STRING:
        message.string_val.extend(tensor.texts)
        return message
    if tensor.dtype not in _FIELDS:
        if tensor.data:
            known = constants.DTYPE_NAMES.get(tensor.dtype, str(tensor.dtype))
            raise RequestError(f"a tensor of the dtype {known} can't be sent", "UNIMPLEMENTED")
        return message
    field, element = _FIELDS[tensor.dtype]
    if not tensor.data:
        return message
    if field in _AS_IN_MEMORY:
        message.MergeFromString(wire.encode_field(_AS_IN_MEMORY[field], tensor.data))
    elif field == "float8_val":
        message.float8_val = tensor.data
    else:
        import numpy as np

        getattr(message, field).extend(np.frombuffer(tensor.data, dtype=element).tolist())
    return message


def _shape(proto: Any, key: str) -> tuple[int, ...]:
    sizes = [dim.size for dim in proto.dim]
    count = 1
    for size in sizes:
        count = -1 if size < 0 else count * size
        if not 0 <= count <= _MOST_INT64:
            raise parsing_error(key)
    if len(sizes) > MOST_DIMS:
        raise parsing_error(key)
    return tuple(sizes)


def _numbers(proto: Any, dtype: int, count: int, key: str) -> bytes:
    import numpy as np

    field, element = _FIELDS[dtype]
    parts = 2 if dtype in _COMPLEX else 1
    width = np.dtype(element).itemsize * parts
    content: bytes = proto.tensor_content
    if content:
        if len(content) != width * count:
            raise parsing_error(key)
        return content
    values = getattr(proto, field)
    if field == "float8_val":
        sent = np.frombuffer(values, dtype=element)
    elif element[0] in "f?" or field.startswith("u"):
        sent = np.array(values, dtype=element)
    else:
        sent = np.array(values, dtype="i8").astype(element)
    sent = sent[: len(sent) // parts * parts]
    lacking = count * parts - len(sent)
    if lacking <= 0:
        return sent[: count * parts].tobytes()
    if width * count > MOST_BYTES:
        # A few bytes may ask for any amount of memory; the server finds that it has not as much, and says the same.
        raise parsing_error(key)
    last = sent[-parts:] if len(sent) else np.zeros(parts, element)
    return sent.tobytes() + last.tobytes() * (lacking // parts)


def _texts(proto: Any, count: int, key: str) -> tuple[bytes, ...]:
    if proto.tensor_content:
        return _packed_texts(proto.tensor_content, count, key)
    sent = tuple(proto.string_val)
    if len(sent) >= count:
        return sent[:count]
    if _POINTER_BYTES * count > MOST_BYTES:
        raise parsing_error(key)
    return sent + (sent[-1] if sent else b"",) * (count - len(sent))


def _packed_texts(content: bytes, count: int, key: str) -> tuple[bytes, ...]:
    """All lengths, then all texts: ``DecodeStringList`` in ``tsl/platform/tstring`` and its neighbours."""
    lengths, position = [], 0
    if count > len(content):
        raise parsing_error(key)
    try:
        for _ in range(count):
            length, position = read_varint(content, position)
            lengths.append(length)
    except FormatError:
        raise parsing_error(key) from None
    if position + sum(lengths) != len(content):
        raise parsing_error(key)
    texts = []
    for length in lengths:
        texts.append(content[position : position + length])
        position += length
    return tuple(texts)
