"""The inputs of a predict body: what stands under ``instances`` or ``inputs``, as tensors.

``FillTensorMapFromInstancesList``, ``FillTensorMapFromInputsMap`` and ``AddInstanceItem`` in ``json_tensor.cc`` of
https://github.com/tensorflow/serving.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from explorer.errors import RequestError
from explorer.savedmodel.tensors import Tensor
from explorer.serving.json_requests import c_string, format_error
from explorer.serving.json_tensor import DeclinedError, is_base64_object, json_to_tensor, regular_tensor, shape_text
from explorer.serving.json_text import pretty
from explorer.serving.json_values import Absent, JsonObject, JsonValue, invalid, text_of
from explorer.serving.number_block import NumberBlock

Format = Literal["row", "columnar"]

_INSTANCES: Final = b"instances"
_INPUTS: Final = b"inputs"


def read_inputs(document: JsonObject, dtypes: Mapping[bytes, int]) -> tuple[Format, dict[bytes, Tensor]]:
    """Reads the inputs of a body.

    Args:
        document: The body.
        dtypes: Input key → the dtype's number in ``types.proto``; at least one.

    Returns:
        The format, and input key → value.

    Raises:
        RequestError: The server refuses them.
        DeclinedError: A block of numbers stands where it doesn't fit.
    """
    instances, inputs = document.find(_INSTANCES), document.find(_INPUTS)
    if not isinstance(instances, Absent):
        if not isinstance(inputs, Absent):
            raise format_error(
                document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
            )
        if isinstance(instances, NumberBlock):
            return "row", _plain_rows(instances, None, dtypes)
        if not isinstance(instances, list):
            raise format_error(document, "Expecting 'instances' to be an list/array")
        if not instances:
            raise format_error(document, "No values in 'instances' array")
        return "row", _rows(instances, dtypes)
    if isinstance(inputs, Absent):
        raise invalid("Missing 'inputs' or 'instances' key")
    return "columnar", _columns(inputs, dtypes)


def _columns(inputs: JsonValue, dtypes: Mapping[bytes, int]) -> dict[bytes, Tensor]:
    if not isinstance(inputs, JsonObject) or is_base64_object(inputs):
        if len(dtypes) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {key: json_to_tensor(inputs, dtype) for key, dtype in dtypes.items()}
    tensors = {}
    for key, dtype in dtypes.items():
        value = inputs.find(c_string(key))
        if isinstance(value, Absent):
            raise invalid(f"Missing named input: {text_of(key)} in 'inputs' object.")
        tensors[key] = json_to_tensor(value, dtype)
    return tensors


def _rows(instances: list[JsonValue], dtypes: Mapping[bytes, int]) -> dict[bytes, Tensor]:
    if not _is_named(instances[0]):
        return _plain_rows(instances, instances, dtypes)
    # Usually each element has each key once, and the values of one key make a regular array.
    columns = _columns_of(instances, dtypes)
    tensors = {key: regular_tensor(values, dtypes[key]) for key, values in columns.items()} if columns else {}
    found = {key: tensor for key, tensor in tensors.items() if tensor is not None}
    if len(found) == len(dtypes):
        return found
    batch = _Batch(dtypes)
    expected = sorted(dtypes)
    for index, element in enumerate(instances):
        if not _is_named(element) or not isinstance(element, JsonObject):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        for name, value in element.members:
            key = c_string(name)
            batch.add(key, value, f"Failed to process element: {index} key: {text_of(key)} of 'instances' list.")
        if sorted({c_string(name) for name, _ in element.members}) != expected:
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: {text_of(pretty(element))} "
                f"keys must be equal to: {text_of(b','.join(expected))}"
            )
    return batch.tensors(len(instances))


def _plain_rows(
    whole: JsonValue, instances: list[JsonValue] | None, dtypes: Mapping[bytes, int]
) -> dict[bytes, Tensor]:
    """Rows that aren't named: ``whole`` is all of them, ``instances`` each, or None for a block."""
    first = instances[0] if instances else None
    if len(dtypes) > 1 and not isinstance(first, JsonObject):
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    key, dtype = next(iter(dtypes.items()))  # of several, a base64 object goes to one or another
    tensor = regular_tensor(whole, dtype)
    if tensor is not None:
        return {key: tensor}
    if instances is None:
        raise DeclinedError
    batch = _Batch({key: dtype})
    for index, element in enumerate(instances):
        if _is_named(element):
            raise invalid(f"Expecting value/list but got object at item {index} of input list")
        batch.add(key, element, f"Failed to process element: {index} of 'instances' list.")
    return batch.tensors(len(instances))


def _is_named(element: JsonValue) -> bool:
    """Whether an element of ``instances`` counts as an object with a value for each input."""
    return isinstance(element, JsonObject) and not is_base64_object(element)


def _columns_of(instances: list[JsonValue], dtypes: Mapping[bytes, int]) -> dict[bytes, list[JsonValue]] | None:
    """Input key → its value in each element; None where an element hasn't each key once."""
    columns: dict[bytes, list[JsonValue]] = {key: [] for key in dtypes}
    count = len(dtypes)
    for element in instances:
        if not isinstance(element, JsonObject) or len(element.members) != count or is_base64_object(element):
            return None
        for name, value in element.members:
            column = columns.get(name)
            if column is None:
                return None
            column.append(value)
    return columns if all(len(column) == len(instances) for column in columns.values()) else None


class _Batch:
    """Elements of ``instances`` that are joined, one after the other: ``AddInstanceItem``."""

    def __init__(self, dtypes: Mapping[bytes, int]) -> None:
        self._dtypes = dtypes
        self._items: dict[bytes, list[Tensor]] = {}

    def add(self, key: bytes, value: JsonValue, where: str) -> None:
        """Adds a value of one element.

        Raises:
            RequestError: It isn't as the first one; ``where`` stands in front of the sentence.
        """
        try:
            self._add(key, value)
        except RequestError as error:
            raise invalid(f"{where} Error: {error.code}: {error}") from None

    def tensors(self, count: int) -> dict[bytes, Tensor]:
        """All of them as one tensor for each input.

        Args:
            count: How many elements there are. With a key that an element has twice there are more values, and those
                that are too many are dropped, as TensorFlow drops them.
        """
        return {key: _joined(self._dtypes[key], items, count) for key, items in self._items.items()}

    def _add(self, key: bytes, value: JsonValue) -> None:
        if key not in self._dtypes:
            raise invalid(f"JSON object: does not have named input: {text_of(key)}")
        tensor = json_to_tensor(value, self._dtypes[key])
        items = self._items.setdefault(key, [])
        if items:
            first = items[0]
            size, expected = math.prod(tensor.shape), math.prod(first.shape)
            if size != expected:
                raise invalid(f"Expecting tensor size: {expected} but got: {size}")
            if tensor.shape != first.shape:
                raise invalid(f"Expecting shape {shape_text(first.shape)} but got: {shape_text(tensor.shape)}")
        items.append(tensor)


def _joined(dtype: int, items: Iterable[Tensor], count: int) -> Tensor:
    kept = list(items)[:count]
    return Tensor(
        dtype,
        (count, *kept[0].shape),
        b"".join(item.data for item in kept),
        tuple(text for item in kept for text in item.texts),
    )
