"""Classify and regress bodies as TensorFlow Serving reads them: JSON → ``tf.Example`` records, or the server's error.

``FillClassifyRegressRequestFromJson`` in ``json_tensor.cc`` of https://github.com/tensorflow/serving, and
``InputToSerializedExampleTensor`` in ``servables/tensorflow/util.cc``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from explorer.savedmodel import constants
from explorer.savedmodel.tensors import Tensor
from explorer.savedmodel.wire import encode_field, encode_varint
from explorer.serving.json_requests import c_string, format_error, json_object, signature_name
from explorer.serving.json_tensor import base64_bytes, is_base64_object
from explorer.serving.json_values import Absent, JsonObject, JsonValue, bytes_of, invalid, text_of, type_word
from explorer.serving.rapidjson import parse_json

_CONTEXT: Final = b"context"
_EXAMPLES: Final = b"examples"
_MOST_INT64: Final = (1 << 63) - 1
_ALL_BITS: Final = (1 << 64) - 1

# Fields of example.proto and feature.proto in tensorflow/core/example.
_FEATURES_OF_EXAMPLE = 1
_FEATURE = 1
_KEY, _VALUE = 1, 2
_LIST_FIELDS: Final = {"bytes": 1, "float": 2, "int64": 3}
_LIST_VALUE = 1


@dataclass(frozen=True, slots=True)
class ParsedExamples:
    """A classify or regress request.

    Attributes:
        signature_name: The signature that it asks for; empty where it doesn't say.
        examples: Each example as a serialized ``tf.Example``, without the context.
        context: What all of them share, as a serialized ``tf.Example``; None where there is none.
    """

    signature_name: str
    examples: tuple[bytes, ...] = field(repr=False)
    context: bytes | None = field(default=None, repr=False)

    @property
    def tensor(self) -> Tensor:
        """What the server feeds: ``string[n]``, the context's bytes before those of each example."""
        context = self.context or b""
        texts = tuple(context + example for example in self.examples) if context else self.examples
        return Tensor(constants.DT_STRING, (len(texts),), texts=texts)


def parse_examples(body: bytes | str, method: Literal["classify", "regress"] = "classify") -> ParsedExamples:
    """Reads a classify or regress body as TensorFlow Serving's REST API does.

    Args:
        body: The JSON, as it is sent.
        method: Which of the two it is sent to; the server reads both alike, and speaks of classify in both.

    Raises:
        RequestError: The server refuses it; ``str()`` of the error is its sentence, ``.status`` the HTTP status.
        ValueError: ``method`` is neither of the two.
    """
    if method not in ("classify", "regress"):
        raise ValueError(f"method must be 'classify' or 'regress', not {method!r}")
    data = bytes_of(body) if isinstance(body, str) else bytes(body)
    document = json_object(data, parse_json(data))
    name = signature_name(document)
    context = document.find(_CONTEXT)
    shared = None if isinstance(context, Absent) else _example(context)
    examples = document.find(_EXAMPLES)
    if isinstance(examples, Absent):
        raise format_error(document, "When method is classify, key 'examples' is expected and was not found")
    if not isinstance(examples, list):
        raise format_error(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise format_error(document, "'examples' value is an empty array")
    return ParsedExamples(name, tuple(_example(example) for example in examples), shared)


def _example(value: JsonValue) -> bytes:
    """A ``tf.Example``, serialized with its features in the order of their names; of one name, the last counts.

    It is written by hand: protobuf for Python takes no name that isn't UTF-8, and the server does.
    """
    if not isinstance(value, JsonObject):
        raise invalid(f"Example must be JSON object but got JSON {type_word(value)}")
    features = {}
    for name, content in value.members:
        key = c_string(name)
        features[key] = _feature(content if isinstance(content, list) else [content], key)
    if not features:
        return b""
    entries = b"".join(
        encode_field(_FEATURE, encode_field(_KEY, key) + encode_field(_VALUE, features[key]))
        for key in sorted(features)
    )
    return encode_field(_FEATURES_OF_EXAMPLE, entries)


def _feature(values: Sequence[JsonValue], name: bytes) -> bytes:
    """A ``tf.train.Feature``, of the kind of its first value; without values it has no kind."""
    kind = ""
    kept: list[int | float | bytes] = []
    for value in values:
        own = _kind(value, name)
        if kind and own != kind:
            raise invalid(f"Unexpected element type in feature: {text_of(name)} expecting type: {kind}")
        kind = own
        if isinstance(value, JsonObject):
            kept.append(base64_bytes(value))
        elif isinstance(value, int | float | bytes):
            if kind == "int64" and value > _MOST_INT64:  # type: ignore[operator]
                raise invalid(f"Feature: {text_of(name)} has uint64_t element. Only int64_t is supported.")
            kept.append(value)
    return encode_field(_LIST_FIELDS[kind], _list(kind, kept)) if kind else b""


def _kind(value: JsonValue, name: bytes) -> str:
    if isinstance(value, bytes) or is_base64_object(value):
        return "bytes"
    if isinstance(value, int):  # a bool is one
        return "int64"
    if isinstance(value, float):
        return "float"
    raise invalid(f"Feature: {text_of(name)} has element with unexpected JSON type: {type_word(value)}")


def _list(kind: str, values: Sequence[int | float | bytes]) -> bytes:
    if kind == "bytes":
        return b"".join(encode_field(_LIST_VALUE, value) for value in values if isinstance(value, bytes))
    if kind == "int64":
        packed = b"".join(encode_varint(int(value) & _ALL_BITS) for value in values)
    else:
        import numpy as np

        with np.errstate(over="ignore"):
            packed = np.array(values, dtype="f8").astype("<f4").tobytes()
    return encode_field(_LIST_VALUE, packed)
