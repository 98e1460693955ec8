"""A traced function that stands before or behind a signature, and how it is kept: in a file, or in a recipe."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from explorer.errors import FormatError
from explorer.savedmodel.model import Shape

_NO_STEP = "a step can't be read: it hasn't the form of one"


@dataclass(frozen=True, slots=True)
class StepTensor:
    """One argument or result of a step.

    Attributes:
        key: The signature key.
        type_number: Its dtype, by its number in ``types.proto``.
        shape: Its shape.
    """

    key: str
    type_number: int
    shape: Shape


@dataclass(frozen=True, slots=True)
class Table:
    """A lookup table, line number (int64) to line (string), read from an asset when the model is loaded.

    Attributes:
        asset: The name of the file below ``assets/``.
        content: What the file holds, one string a line; None where it lies among the assets already.
    """

    asset: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A traced, stateless function without captures.

    Attributes:
        function: Its name.
        library: Serialized FunctionDefs: itself and all that it calls.
        inputs: In the order of its arguments.
        outputs: In the order of its results.
        ops: A serialized OpList with the definition of every op used.
        tables: Its last arguments are the handles of these.
    """

    function: str
    library: tuple[bytes, ...]
    inputs: tuple[StepTensor, ...]
    outputs: tuple[StepTensor, ...]
    ops: bytes
    tables: tuple[Table, ...] = ()


def step_to_data(step: Step) -> dict[str, Any]:
    """A step as plain data for JSON, what is binary in base64."""
    return {
        "function": step.function,
        "library": [base64.b64encode(one).decode() for one in step.library],
        "inputs": [_tensor_to_data(one) for one in step.inputs],
        "outputs": [_tensor_to_data(one) for one in step.outputs],
        "ops": base64.b64encode(step.ops).decode(),
        "tables": [_table_to_data(table) for table in step.tables],
    }


def step_from_data(data: Any) -> Step:
    """The inverse of :func:`step_to_data`.

    Raises:
        FormatError: The data hasn't that form.
    """
    try:
        return Step(
            function=str(data["function"]),
            library=tuple(base64.b64decode(one, validate=True) for one in data["library"]),
            inputs=tuple(_tensor_from_data(one) for one in data["inputs"]),
            outputs=tuple(_tensor_from_data(one) for one in data["outputs"]),
            ops=base64.b64decode(data["ops"], validate=True),
            tables=tuple(
                Table(str(asset), None if content is None else base64.b64decode(content, validate=True))
                for asset, content in data["tables"]
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise FormatError(_NO_STEP) from None


def step_to_bytes(step: Step) -> bytes:
    """A step as the bytes of a file."""
    return json.dumps(step_to_data(step)).encode()


def step_from_bytes(data: bytes) -> Step:
    """The inverse of :func:`step_to_bytes`.

    Raises:
        FormatError: The data hasn't that form.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise FormatError(_NO_STEP) from None
    return step_from_data(found)


def _table_to_data(table: Table) -> list[str | None]:
    return [table.asset, None if table.content is None else base64.b64encode(table.content).decode()]


def _tensor_to_data(tensor: StepTensor) -> list[Any]:
    dims = tensor.shape.dims
    return [tensor.key, tensor.type_number, None if dims is None else list(dims)]


def _tensor_from_data(data: Any) -> StepTensor:
    key, type_number, dims = data
    sizes = None if dims is None else tuple(None if dim is None else int(dim) for dim in dims)
    return StepTensor(str(key), int(type_number), Shape(sizes))
