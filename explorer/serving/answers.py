"""What TensorFlow Serving answers, byte for byte: JSON of tensors, classes, regressions, errors and states.

Layouts are those of RapidJSON's ``PrettyWriter`` and of protobuf's JSON printer, as ``json_tensor.cc`` and
``http_rest_api_util.cc`` of https://github.com/tensorflow/serving use them. Answers are bytes: a text tensor's elements
go out as they are, so an answer need not be UTF-8. While one is put together it is a ``str`` with one character a byte.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from explorer.errors import RequestError
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.tensors import Tensor
from explorer.serving.number_text import float32_text, float32_texts, float64_texts
from explorer.serving.signature_defs import signature_def_map

_INDENT = "    "
_ESCAPED = re.compile(r'[\x00-\x1f"\\]')
_ESCAPES = {
    **{chr(code): f"\\u{code:04X}" for code in range(0x20)},
    "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\",
}  # fmt: skip

_INTEGERS = {3: "i", 4: "B", 5: "h", 6: "b", 9: "q", 22: "I", 23: "Q"}


@dataclass(frozen=True, slots=True)
class VersionState:
    """How a version of a model fares in a server.

    Attributes:
        version: Its number.
        state: ``START``, ``LOADING``, ``AVAILABLE``, ``UNLOADING`` or ``END``.
        error_code: The name of a status, ``OK`` where nothing is wrong.
        error_message: Why it can't be served; empty where it can.
    """

    version: int
    state: str = "AVAILABLE"
    error_code: str = "OK"
    error_message: str = ""


def predict_answer(outputs: Mapping[str, Tensor], format: Literal["row", "columnar"]) -> bytes:  # noqa: A002
    """The answer of ``:predict``.

    Args:
        outputs: Output key → its value; the key of a single one isn't in the answer.
        format: The format of the request; ``row`` makes one element of each position of the first dimension.

    Raises:
        RequestError: In the row format an output is a scalar, or the first dimensions differ; or an output has a
            dtype that the server doesn't write.
    """
    if not outputs:
        raise RequestError("Cannot convert empty tensor map to JSON", "INVALID_ARGUMENT")
    text = _row(outputs) if format == "row" else _columnar(outputs)
    return text.encode("latin-1")


def classify_answer(classifications: Sequence[Sequence[tuple[bytes, float]]]) -> bytes:
    """The answer of ``:classify``.

    Args:
        classifications: For each example, its labels with their float32 scores.

    Raises:
        RequestError: There is no example.
    """
    if not classifications:
        raise RequestError("Cannot convert empty ClassificationResults to JSON", "INVALID_ARGUMENT")
    rows = [
        "[" + ", ".join(f"[{_text(label)}, {float32_text(score)}]" for label, score in classes) + "]"
        for classes in classifications
    ]
    return ('{\n    "results": [' + ", ".join(rows) + "\n    ]\n}").encode("latin-1")


def regress_answer(regressions: Sequence[float]) -> bytes:
    """The answer of ``:regress``.

    Args:
        regressions: For each example, a float32.

    Raises:
        RequestError: There is no example.
    """
    if not regressions:
        raise RequestError("Cannot convert empty RegressionResults to JSON", "INVALID_ARGUMENT")
    return ('{\n    "results": [' + ", ".join(map(float32_text, regressions)) + "]\n}").encode("latin-1")


def error_answer(error: RequestError) -> bytes:
    """The answer to a request that the server refuses; its status is ``error.status``."""
    return f'{{\n    "error": {_text(str(error).encode("utf-8", "surrogateescape"))}\n}}'.encode("latin-1")


def metadata_answer(name: str, version: int, meta_graph: MetaGraph) -> bytes:
    """The answer to GET ``…/metadata``: every signature as protobuf's JSON, with all default fields.

    Args:
        name: The name that the model is served under.
        version: Its version.
        meta_graph: The meta graph that is served.

    Raises:
        FormatError: A signature is no valid message.
    """
    spec = _json({"name": name, "version": str(version), "signature_name": ""})
    printed = _printed(signature_def_map(meta_graph))
    # A message's map has no order of its own; the file's is the nicer one.
    signatures = {key: printed["signature_def"][key] for key in meta_graph.signatures}
    text = _json({"signature_def": signatures})
    return f'{{\n"model_spec":{spec},\n"metadata": {{"signature_def": {text}}}\n}}\n'.encode("utf-8", "surrogateescape")


def status_answer(states: Iterable[VersionState]) -> bytes:
    """The answer to GET of a model: how its versions fare, the newest first."""
    listed = [
        {
            "version": str(state.version),
            "state": state.state,
            "status": {"error_code": state.error_code, "error_message": state.error_message},
        }
        for state in sorted(states, key=lambda state: -state.version)
    ]
    return _json({"model_version_status": listed}).encode("utf-8", "surrogateescape")


def _row(outputs: Mapping[str, Tensor]) -> str:
    batch = _batch_size(outputs)
    if len(outputs) == 1:
        ((key, tensor),) = outputs.items()
        items = ", ".join(_on_one_line(_texts(key, tensor, 1 + len(tensor.shape)), tensor.shape[1:], batch))
    else:
        columns = [
            [
                f"{_key(key)}: {value}"
                for value in _on_one_line(_texts(key, tensor, 2 + len(tensor.shape)), tensor.shape[1:], batch)
            ]
            for key, tensor in outputs.items()
        ]
        objects = [_object(members, 2) for members in zip(*columns, strict=True)]
        items = ",".join(f"\n{_INDENT * 2}{item}" for item in objects)
    return '{\n    "predictions": [' + items + ("\n    ]\n}" if batch else "]\n}")


def _batch_size(outputs: Mapping[str, Tensor]) -> int:
    batch = -1
    for key, tensor in outputs.items():
        if not tensor.shape:
            raise RequestError(f"Tensor name: {key} has no shape information ", "INVALID_ARGUMENT")
        if batch not in (-1, tensor.shape[0]):
            raise RequestError(
                f"Tensor name: {key} has inconsistent batch size: {tensor.shape[0]} expecting: {batch}",
                "INVALID_ARGUMENT",
            )
        batch = tensor.shape[0]
    return batch


def _columnar(outputs: Mapping[str, Tensor]) -> str:
    if len(outputs) == 1:
        ((key, tensor),) = outputs.items()
        value = _on_many_lines(_texts(key, tensor, 1 + len(tensor.shape)), tensor.shape, 1)
    else:
        members = [
            f"{_key(key)}: " + _on_many_lines(_texts(key, tensor, 2 + len(tensor.shape)), tensor.shape, 2)
            for key, tensor in outputs.items()
        ]
        value = _object(members, 1)
    return f'{{\n    "outputs": {value}\n}}'


def _on_one_line(texts: list[str], dims: Sequence[int], batch: int) -> list[str]:
    """The elements of each position of the first dimension as nested lists of these dimensions, without a break."""
    for position in range(len(dims) - 1, -1, -1):
        size = dims[position]
        count = batch * math.prod(dims[:position])
        texts = ["[" + ", ".join(texts[start * size : (start + 1) * size]) + "]" for start in range(count)]
    return texts


def _on_many_lines(texts: list[str], shape: Sequence[int], level: int) -> str:
    """Nested lists with one element a line, inside ``level`` lists and objects."""
    for position in range(len(shape) - 1, -1, -1):
        size = shape[position]
        count = math.prod(shape[:position])
        if not size:
            texts = ["[]"] * count
            continue
        outer = "\n" + _INDENT * (level + position)
        inner = outer + _INDENT
        between = "," + inner
        texts = [
            "[" + inner + between.join(texts[start * size : (start + 1) * size]) + outer + "]" for start in range(count)
        ]
    return texts[0]


def _object(members: Iterable[str], level: int) -> str:
    """Members as an object inside ``level`` lists and objects."""
    outer = "\n" + _INDENT * level
    inner = outer + _INDENT
    return "{" + inner + ("," + inner).join(members) + outer + "}"


def _texts(key: str, tensor: Tensor, level: int) -> list[str]:
    """Each element of an output as JSON; ``level`` is in how many lists and objects an element stands."""
    if tensor.dtype == constants.DT_STRING:
        if key.endswith(constants.BYTES_SUFFIX):
            return [_object([f'"b64": "{base64.b64encode(item).decode()}"'], level) for item in tensor.texts]
        return [_text(item) for item in tensor.texts]
    write = _WRITERS.get(tensor.dtype)
    if write is not None:
        return write(tensor.data)
    if math.prod(tensor.shape):
        name = constants.DTYPE_NAMES.get(tensor.dtype, f"unknown dtype enum ({tensor.dtype})")
        raise RequestError(f"Failed to write JSON value for tensor type: {name}", "INVALID_ARGUMENT")
    return []


def _integer_writer(code: str) -> Callable[[bytes], list[str]]:
    return lambda data: [str(number) for number in memoryview(data).cast(code).tolist()]  # type: ignore[call-overload]


_WRITERS: Final[dict[int, Callable[[bytes], list[str]]]] = {
    constants.DT_FLOAT: float32_texts,
    2: float64_texts,
    constants.DT_BOOL: lambda data: ["true" if byte else "false" for byte in data],
    **{dtype: _integer_writer(code) for dtype, code in _INTEGERS.items()},
}


def _key(key: str) -> str:
    # The server hands a key over as a C string.
    return _text(key.partition("\0")[0].encode("utf-8", "surrogateescape"))


def _text(text: bytes) -> str:
    """A JSON string of bytes as they are, one character a byte."""
    raw = text.decode("latin-1")
    if _ESCAPED.search(raw) is not None:
        raw = _ESCAPED.sub(lambda found: _ESCAPES[found[0]], raw)
    return f'"{raw}"'


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _printed(message: Any) -> dict[str, Any]:
    """A message as protobuf's JSON, with original names and default fields."""
    from google.protobuf import json_format

    from explorer.savedmodel.schema import descriptor_pool

    options: dict[str, Any] = {"preserving_proto_field_name": True, "descriptor_pool": descriptor_pool()}
    try:
        return dict(json_format.MessageToDict(message, always_print_fields_with_no_presence=True, **options))
    except TypeError:  # before protobuf 5.26 it had another name
        options["including_default_value_fields"] = True
        return dict(json_format.MessageToDict(message, **options))
