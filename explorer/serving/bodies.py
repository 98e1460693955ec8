"""Request bodies for TensorFlow Serving's REST API, made from a signature and example values.

The row format is ``{"instances": [{key: value}, …]}``, one object an example; the column format is
``{"inputs": {key: values}}``, one tensor an input. What the server takes is in ``json_tensor.cc`` and
``http_rest_api_handler.cc`` of https://github.com/tensorflow/serving.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal
from urllib.parse import quote

from explorer.errors import NotFoundError, RequestError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, printable_tags
from explorer.serving.values import (
    MOST_ELEMENTS,
    Tensor,
    base64_object,
    check_sendable,
    element_count,
    read_value,
    zeros,
)

BodyFormat = Literal["row", "column", "examples"]
"""``examples`` is the form of ``:classify`` and ``:regress``; the other two are for ``:predict``."""

FORMATS = ("row", "column")
"""The formats that one can ask for."""

_EXAMPLE_METHODS = (constants.CLASSIFY_METHOD_NAME, constants.REGRESS_METHOD_NAME)
_EXAMPLES_INPUT_KEY = "inputs"


def request_body(
    model: SavedModel,
    signature_key: str | None = None,
    *,
    tags: Iterable[str] | None = None,
    format: str | None = None,  # noqa: A002 - the name that the public function has
    values: Mapping[str, Any] | None = None,
    indent: int | None = None,
) -> str:
    """Makes the body of a REST request to a signature, the same every time.

    Args:
        model: The model.
        signature_key: Which signature; None takes ``serving_default``, or the only one that can be called.
        tags: Which meta graph; None where there is only one, or one tagged ``serve``.
        format: ``"row"`` or ``"column"``; None takes what fits, see :func:`body_format`.
        values: Input key → scalar, nested lists, numpy array or bytes. Inputs that are left out get zeros, False or
            empty texts, with 1 for unknown dimensions (and the batch size of the given ones for the first).
        indent: Blanks per level for a body on several lines; None makes one line.

    Returns:
        JSON in ASCII; NaN and infinities are the bare tokens ``NaN``, ``Infinity``, as TensorFlow Serving reads them.

    Raises:
        NotFoundError: There is no such meta graph, signature or input.
        RequestError: No REST request fits the signature, or a value doesn't fit its input.
    """
    signature = chosen_signature(model.meta_graph(tags), signature_key)
    return json_text(make_body(signature, format, values), indent)


def body_format(signature: Signature, values: Mapping[str, Any] | None = None) -> tuple[BodyFormat, str]:
    """Which format fits a signature when nobody asks for one, and why, in a sentence.

    Raises:
        NotFoundError: ``values`` names an input that isn't there.
        RequestError: None fits.
    """
    check_callable(signature)
    if not values and _takes_examples(signature):
        return "examples", f"the method is {signature.method}, and its REST verb takes a list of tf.Examples."
    obstacle = _row_obstacle(signature, _tensors(signature, values))
    if obstacle:
        return "column", f"the row format is impossible: {obstacle}."
    return "row", "every input has a first dimension, the batch, and all agree on its size."


def make_body(
    signature: Signature,
    format: str | None = None,  # noqa: A002 - as in request_body
    values: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body as data; arguments and errors as for :func:`request_body`."""
    if format is not None and format not in FORMATS:
        raise RequestError(f"there is no format {quoted(str(format))}; it is 'row' or 'column'")
    check_callable(signature)
    body: dict[str, Any] = {}
    if signature.key != constants.DEFAULT_SIGNATURE_KEY:
        body["signature_name"] = signature.key
    if format is None and not values and _takes_examples(signature):
        body["examples"] = [{}]
        return body
    tensors = _tensors(signature, values)
    obstacle = _row_obstacle(signature, tensors)
    if format == "row" and obstacle:
        raise RequestError(f"{_where(signature)} can't be called in row format: {obstacle}; use the column format")
    if format == "column" or obstacle:
        body["inputs"] = _named({key: nested for key, (nested, _) in tensors.items()})
        return body
    batch = next(iter(tensors.values()))[1][0]
    body["instances"] = [_named({key: nested[row] for key, (nested, _) in tensors.items()}) for row in range(batch)]
    return body


def chosen_signature(meta_graph: MetaGraph, signature_key: str | None) -> Signature:
    """The signature with a key; for None ``serving_default``, or the only one that can be called.

    Raises:
        NotFoundError: There is none, or None doesn't say which.
    """
    if signature_key is not None:
        return meta_graph.signature(signature_key)
    callable_signatures = meta_graph.callable_signatures
    if constants.DEFAULT_SIGNATURE_KEY in callable_signatures:
        return callable_signatures[constants.DEFAULT_SIGNATURE_KEY]
    if len(callable_signatures) == 1:
        return next(iter(callable_signatures.values()))
    place = f"the meta graph {printable_tags(meta_graph.tags)}"
    raise NotFoundError("signature", constants.DEFAULT_SIGNATURE_KEY, callable_signatures, place)


def check_callable(signature: Signature) -> None:
    """Checks that a REST request can reach a signature at all.

    Raises:
        RequestError: It can't.
    """
    where = _where(signature)
    if signature.is_reserved:
        raise RequestError(f"{where} is reserved: loaders run it by themselves, and no client calls it")
    if not signature.inputs:
        raise RequestError(f"{where} has no inputs, and TensorFlow Serving refuses to call such a signature")
    if not signature.key:
        raise RequestError(
            "the signature with the empty key can't be called over REST, where an empty signature_name means "
            f"{quoted(constants.DEFAULT_SIGNATURE_KEY)}; rename it"
        )
    for key, info in signature.inputs.items():
        check_sendable(key, info, where)


def rest_path(model_name: str, version: int | None = None, method: str = "predict") -> str:
    """The path of a request's URL.

    Args:
        model_name: The name under which the server has the model.
        version: A version number; None lets the server take its newest.
        method: ``predict``, ``classify``, ``regress`` or a method name such as ``tensorflow/serving/predict``; any
            other is called by ``predict``, because TensorFlow Serving doesn't compare method names.
    """
    verb = method.removeprefix("tensorflow/serving/")
    if verb not in ("classify", "regress"):
        verb = "predict"
    place = "" if version is None else f"/versions/{version}"
    return f"/v1/models/{quote(model_name, safe='')}{place}:{verb}"


def json_text(body: Mapping[str, Any], indent: int | None = None) -> str:
    """A body as JSON in ASCII; with ``indent`` on several lines, but lists of numbers on one."""
    import json

    text = json.dumps(body) if indent is None else _indented(body, indent, 0)
    return text.replace("\x7f", "\\u007f")  # the one control character that json leaves as it is


def _indented(value: Any, indent: int, level: int) -> str:
    import json

    items = list(value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ())
    if not any(isinstance(item, dict | list) for item in items):
        return json.dumps(value)
    start, end = "\n" + " " * (indent * (level + 1)), "\n" + " " * (indent * level)
    texts = [_indented(item, indent, level + 1) for item in items]
    if isinstance(value, Mapping):
        pairs = [f"{json.dumps(key)}: {text}" for key, text in zip(value, texts, strict=True)]
        return "{" + start + f",{start}".join(pairs) + end + "}"
    return "[" + start + f",{start}".join(texts) + end + "]"


def _tensors(signature: Signature, values: Mapping[str, Any] | None) -> dict[str, Tensor]:
    """Every input's tensor: as given, or zeros."""
    where = _where(signature)
    if values is not None and not isinstance(values, Mapping):
        raise RequestError("the values must be a mapping from input key to value")
    given: dict[str, Tensor] = {}
    for key, value in (values or {}).items():
        info = signature.input(key)
        given[key] = read_value(key, value, info, where)
    batches = {shape[0] for _, shape in given.values() if shape}
    batch = batches.pop() if len(batches) == 1 else 1
    tensors = {
        key: given[key] if key in given else zeros(key, info, where, batch) for key, info in signature.inputs.items()
    }
    if sum(element_count(shape) for _, shape in tensors.values()) > MOST_ELEMENTS:
        raise RequestError(
            f"the inputs of {where} have more than {MOST_ELEMENTS} elements together, the most for which a request "
            "body is made; send them by gRPC"
        )
    return tensors


def _row_obstacle(signature: Signature, tensors: Mapping[str, Tensor]) -> str:
    """Why the row format is impossible, or an empty text."""
    batches: dict[int, str] = {}
    for key, (_, shape) in tensors.items():
        if not shape:
            return f"input {quoted(key)} is a scalar, and the row format always adds a first dimension"
        if "\0" in key:
            return f"the server cuts the input key {quoted(key)} at its NUL character"
        if shape[0] == 0:
            return f"input {quoted(key)} has a batch of 0, and 'instances' may not be empty"
        batches.setdefault(shape[0], key)
    if len(batches) > 1:
        (one, first), (other, second), *_ = batches.items()
        return f"input {quoted(first)} has a batch of {one} and input {quoted(second)} one of {other}"
    return ""


def _named(values: dict[str, Any]) -> dict[str, Any]:
    """An object of inputs that the server can't take for bytes in base64.

    ``{"b64": "text"}`` would be decoded, even where ``b64`` is an input's key; ``{"b64": {"b64": "dGV4dA=="}}`` is
    the same text as a named input.
    """
    text = values.get("b64")
    if len(values) == 1 and isinstance(text, str):
        return {"b64": base64_object(text.encode("utf-8"))}
    return values


def _takes_examples(signature: Signature) -> bool:
    """Whether ``:classify`` or ``:regress`` accepts the signature's inputs: one, ``inputs``, of strings."""
    return (
        signature.method_name in _EXAMPLE_METHODS
        and list(signature.inputs) == [_EXAMPLES_INPUT_KEY]
        and signature.inputs[_EXAMPLES_INPUT_KEY].dtype.number == constants.DT_STRING
    )


def _where(signature: Signature) -> str:
    return f"signature {quoted(signature.key)}"
