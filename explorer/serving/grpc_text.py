"""The PredictRequest in protobuf's text format (https://protobuf.dev/reference/protobuf/textformat-spec/)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from explorer.savedmodel import constants
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.tensors import Tensor
from explorer.serving.messages import ModelSpec, predict_request
from explorer.serving.tensor_protos import tensor_message

_MOST_NUMBERS = 1000
"""More numbers than this stand as the bytes of ``tensor_content``, on one line and not on thousands."""

_SHOWN = 4


def predict_text(spec: ModelSpec, inputs: Mapping[str, Tensor]) -> str:
    """A PredictRequest as text, the same for the same arguments.

    Raises:
        RequestError: A value can't be sent.
    """
    request: Any = message_class("tensorflow.serving.PredictRequest").FromString(predict_request(spec, {}))
    for key, tensor in inputs.items():
        into = request.inputs[key]
        if math.prod(tensor.shape) > _MOST_NUMBERS and tensor.dtype != constants.DT_STRING:
            tensor_message(Tensor(tensor.dtype, (0,)), into)
            del into.tensor_shape.dim[:]
            for size in tensor.shape:
                into.tensor_shape.dim.add(size=size)
            into.tensor_content = tensor.data
        else:
            tensor_message(tensor, into)
    return _text(request)


def predict_outline(spec: ModelSpec, inputs: Mapping[str, Tensor]) -> str:
    """The same with the first values of each input, and how many more there are; text that no parser takes."""
    if all(math.prod(tensor.shape) <= _MOST_NUMBERS for tensor in inputs.values()) and not any(
        len(text) > _MOST_NUMBERS for tensor in inputs.values() for text in tensor.texts
    ):
        return predict_text(spec, inputs)
    parts = [_text(message_class("tensorflow.serving.PredictRequest").FromString(predict_request(spec, {})))]
    for key, tensor in inputs.items():
        count = math.prod(tensor.shape)
        shown = min(count, _SHOWN)
        width = len(tensor.data) // count if count else 0
        first = replace(
            tensor, shape=(shown,), data=tensor.data[: shown * width], texts=tuple(map(_start, tensor.texts[:shown]))
        )
        message = tensor_message(first)
        del message.tensor_shape.dim[:]
        for size in tensor.shape:
            message.tensor_shape.dim.add(size=size)
        lines = "".join(f"    {line}\n" for line in _text(message).splitlines())
        more = f"    … {count - shown} more …\n" if count > shown else ""
        name = _text(message_class("tensorflow.serving.ModelSpec")(name=key)).removeprefix("name: ").rstrip("\n")
        parts.append(f"inputs {{\n  key: {name}\n  value {{\n{lines}{more}  }}\n}}\n")
    return "(shortened for reading: … stands for what is left out)\n" + "".join(parts)


def _start(text: bytes) -> bytes:
    return text if len(text) <= _MOST_NUMBERS else text[:60] + f" … {len(text) - 60} more bytes …".encode()


def _text(message: Any) -> str:
    from google.protobuf import text_format

    text: str = text_format.MessageToString(message)
    return text
