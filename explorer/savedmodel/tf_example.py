"""``tf.Example`` records: features → bytes and back, without TensorFlow.

The message is ``tensorflow/core/example/feature.proto``: a feature has a list of floats, of int64 or of bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from explorer.errors import FormatError, NotFoundError, RequestError, printable_name, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.feature_spec import Feature, FeatureValue
from explorer.savedmodel.schema import message_class

_KINDS = {constants.DT_FLOAT: "float_list", constants.DT_INT64: "int64_list", constants.DT_STRING: "bytes_list"}
_LARGEST_FLOAT32 = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
_DEEPEST = 254


def example_bytes(features: Mapping[str, Any], spec: Mapping[str, Feature] | None = None) -> bytes:
    """Makes a record, the same bytes for the same features.

    Args:
        features: Feature name → a value, (nested) lists or a numpy array; texts become UTF-8, True and False 1 and 0.
        spec: What the model asks for; then each feature gets the kind of list that is asked for, and is checked.
            Without it a number with a point makes a list of floats, a whole one of int64.

    Returns:
        The serialized ``tf.Example``.

    Raises:
        NotFoundError: The model doesn't ask for such a feature.
        RequestError: A value doesn't fit, or a feature that the model requires is missing.
    """
    if not isinstance(features, Mapping):
        raise RequestError("the features of a tf.Example must be a mapping from feature name to value")
    example: Any = message_class("tensorflow.Example")()
    example.features.SetInParent()
    for name, value in features.items():
        if not isinstance(name, str):
            raise RequestError(f"a feature's name must be text, not {type(name).__name__}")
        if spec is not None and name not in spec:
            raise NotFoundError("feature", name, spec, "the model's feature spec")
        asked = None if spec is None else spec[name]
        values = list(_flat(value, name))
        number = _number_of(values) if asked is None else asked.dtype.number
        if asked is not None:
            _check_count(asked, len(values))
        try:
            entry = example.features.feature[name]
        except (UnicodeEncodeError, ValueError):
            raise RequestError(f"the feature name {quoted(name)} is not text that UTF-8 can encode") from None
        kind = _KINDS.get(number)
        if kind is None:
            raise RequestError(f"feature {quoted(name)} is asked for as {asked}, and a tf.Example holds no such values")
        getattr(entry, kind).value.extend(_converted(values, number, name))
        if not values and asked is not None:
            getattr(entry, kind).SetInParent()
    for name, feature in (spec or {}).items():
        if feature.required and name not in features:
            raise RequestError(
                f"feature {quoted(name)} is missing: the model requires {feature.dtype}{feature.shape} and has no "
                "default"
            )
    data: bytes = example.SerializeToString(deterministic=True)
    return data


def read_example(data: bytes) -> dict[str, list[FeatureValue]]:
    """Reads a record.

    Args:
        data: A serialized ``tf.Example``.

    Returns:
        Feature name → its values, sorted by name; floats are the shortest that are the same float32 (0.1, not
        0.10000000149011612), and a feature without values has an empty list.

    Raises:
        FormatError: The bytes are no ``tf.Example``.
    """
    from google.protobuf.message import DecodeError

    try:
        example: Any = message_class("tensorflow.Example").FromString(data)
    except DecodeError:
        raise FormatError("the bytes are no tf.Example") from None
    found: dict[str, list[FeatureValue]] = {}
    for name in sorted(example.features.feature):
        feature = example.features.feature[name]
        kind = feature.WhichOneof("kind")
        values: list[FeatureValue] = [] if kind is None else list(getattr(feature, kind).value)
        found[name] = _shortest(values) if kind == "float_list" else values
    return found


def _shortest(values: list[FeatureValue]) -> list[FeatureValue]:
    import numpy as np

    return [float(str(number)) for number in np.asarray(values, np.float32)]


def _flat(value: Any, name: str) -> Iterable[Any]:
    """The elements of a value, row by row."""
    if hasattr(value, "__array__") and not isinstance(value, str | bytes | float):
        import numpy as np

        value = np.asarray(value).tolist()
    if not isinstance(value, list | tuple):
        return [value]
    level: list[Any] = list(value)
    for _ in range(_DEEPEST):
        if not any(isinstance(item, list | tuple) or hasattr(item, "tolist") for item in level):
            return level
        lists = [item.tolist() if hasattr(item, "tolist") else item for item in level]
        level = [inner for item in lists for inner in (item if isinstance(item, list | tuple) else [item])]
    raise RequestError(f"the value for feature {quoted(name)} is nested deeper than {_DEEPEST} lists")


def _number_of(values: list[Any]) -> int:
    if any(isinstance(value, str | bytes) for value in values):
        return constants.DT_STRING
    return constants.DT_FLOAT if any(isinstance(value, float) for value in values) else constants.DT_INT64


def _check_count(feature: Feature, count: int) -> None:
    wanted = feature.size
    if feature.kind != "fixed":
        return
    if wanted is not None and count != wanted and not (count == 0 and not feature.required):
        raise RequestError(
            f"feature {quoted(feature.name)} has {count} value{'' if count == 1 else 's'}, but the model parses "
            f"{feature.dtype}{feature.shape}: give {wanted}"
        )
    if wanted is None and feature.shape.dims is not None:
        step = math.prod(dim or 0 for dim in feature.shape.dims[1:])
        if step > 0 and count % step:
            raise RequestError(
                f"feature {quoted(feature.name)} has {count} values, but the model parses "
                f"{feature.dtype}{feature.shape}: give a multiple of {step}"
            )


def _converted(values: list[Any], number: int, name: str) -> list[FeatureValue]:
    return [_element(value, number, f"{printable_name(name)}[{index}]") for index, value in enumerate(values)]


def _element(value: Any, number: int, where: str) -> FeatureValue:
    shown = printable_name(repr(value)[:100], 60) if isinstance(value, str | bytes | float | bool) else None
    if shown is None:
        is_short = isinstance(value, int) and abs(value) < 10**40
        shown = str(value) if is_short else f"a {type(value).__name__}"
    if number == constants.DT_STRING:
        if isinstance(value, bytes):
            return value
        try:
            if isinstance(value, str):
                return value.encode("utf-8")
        except UnicodeEncodeError:
            pass
        raise RequestError(f"feature {where} is {shown}, but a list of strings takes texts and bytes")
    if number == constants.DT_INT64:
        if isinstance(value, int) and -(2**63) <= value < 2**63:
            return int(value)
        raise RequestError(f"feature {where} is {shown}, but a list of int64 takes whole numbers of 64 bits")
    if isinstance(value, float | int) and not isinstance(value, bool):
        if not math.isfinite(value) or abs(value) <= _LARGEST_FLOAT32:
            return float(value)
        try:
            struct.pack("<f", value)  # what rounds down to the largest is still fine
            return float(value)
        except (OverflowError, struct.error):
            pass
    raise RequestError(f"feature {where} is {shown}, but a list of floats takes float32 numbers")
