"""Request bodies for TensorFlow Serving's REST API, made from a signature and example values.

The row format is ``{"instances": [{key: value}, …]}``, one object an example; the column format is
``{"inputs": {key: values}}``, one tensor an input. What the server takes is in ``json_tensor.cc`` and
``http_rest_api_handler.cc`` of https://github.com/tensorflow/serving.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from explorer.errors import NotFoundError, RequestError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, frozen, printable_tags
from explorer.savedmodel.tensors import Tensor
from explorer.serving.arrays import nested_of
from explorer.serving.body import Body, BodyFormat, json_text
from explorer.serving.values import (
    MOST_BODY_BYTES,
    MOST_ELEMENTS,
    Values,
    check_sendable,
    element_count,
    read_value,
    text_bytes,
    zeros,
)

__all__ = [
    "EXAMPLES_INPUT",
    "FORMATS",
    "Body",
    "BodyFormat",
    "answer_obstacle",
    "body_format",
    "body_of",
    "body_text",
    "check_body_size",
    "check_callable",
    "chosen_signature",
    "common_batch",
    "format_of",
    "json_text",
    "make_body",
    "request_body",
    "rest_path",
    "row_obstacle",
    "takes_examples",
]

FORMATS = ("row", "column")
"""The formats that one can ask for."""

_EXAMPLE_METHODS = (constants.CLASSIFY_METHOD_NAME, constants.REGRESS_METHOD_NAME)
EXAMPLES_INPUT = "inputs"
"""The one input key of signatures that ``:classify`` and ``:regress`` call."""


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
        values: Input key → scalar, nested lists, numpy array or bytes; or a DataFrame or a path, see
            :func:`~explorer.serving.given_values.given_values`. Inputs that are left out get zeros, False or empty
            texts (a tf.Example of such where the model parses one), with 1 for unknown dimensions (and the batch size
            of the given ones for the first).
        indent: Blanks per level for a body on several lines; None makes one line.

    Returns:
        JSON in ASCII; NaN and infinities are the bare tokens ``NaN``, ``Infinity``, as TensorFlow Serving reads them.

    Raises:
        NotFoundError: There is no such meta graph, signature or input.
        RequestError: No REST request fits the signature, or a value doesn't fit its input.
    """
    meta_graph = model.meta_graph(tags)
    return body_text(chosen_signature(meta_graph, signature_key), format, values, meta_graph, indent)


def body_format(signature: Signature, values: Mapping[str, Any] | None = None) -> tuple[BodyFormat, str]:
    """Which format fits a signature when nobody asks for one, and why, in a sentence.

    Raises:
        NotFoundError: ``values`` names an input that isn't there.
        RequestError: None fits.
    """
    check_callable(signature)
    if _nothing(values) and takes_examples(signature):
        return "examples", f"the method is {signature.method}, and its REST verb takes a list of tf.Examples."
    return format_of(signature, _tensors(signature, values, None))


def format_of(signature: Signature, values: Mapping[str, Values]) -> tuple[BodyFormat, str]:
    """Which of row and column fits a signature and its values, and why, in a sentence."""
    obstacle = row_obstacle(signature, values) or answer_obstacle(signature)
    if obstacle:
        return "column", f"the row format is impossible: {obstacle}."
    return "row", "every input has a first dimension, the batch, and all agree on its size."


def make_body(
    signature: Signature,
    format: str | None = None,  # noqa: A002 - as in request_body
    values: Mapping[str, Any] | None = None,
    meta_graph: MetaGraph | None = None,
) -> dict[str, Any]:
    """The body as data; arguments and errors as for :func:`body_of`."""
    return body_of(signature, format, values, meta_graph).data()


def body_text(
    signature: Signature,
    format: str | None = None,  # noqa: A002 - as in request_body
    values: Mapping[str, Any] | None = None,
    meta_graph: MetaGraph | None = None,
    indent: int | None = None,
) -> str:
    """The body as JSON; arguments and errors as for :func:`body_of` and :func:`request_body`."""
    return body_of(signature, format, values, meta_graph).text(indent)


def body_of(
    signature: Signature,
    format: str | None = None,  # noqa: A002 - as in request_body
    values: Mapping[str, Any] | None = None,
    meta_graph: MetaGraph | None = None,
) -> Body:
    """The body, before it is written.

    Args:
        signature: The signature.
        format: As for :func:`request_body`, like ``values`` and the errors.
        values: Input key → value.
        meta_graph: Where the signature stands: what its graph parses as tf.Examples is filled with such; None leaves
            those texts empty.
    """
    if format is not None and format not in FORMATS:
        raise RequestError(f"there is no format {quoted(str(format))}; it is 'row' or 'column'")
    check_callable(signature)
    if format is None and _nothing(values) and takes_examples(signature):
        return Body(signature.key, "examples", {}, {"examples": [_zero_features(signature, meta_graph)]})
    tensors = _tensors(signature, values, meta_graph)
    obstacle = row_obstacle(signature, tensors)
    if format == "row" and obstacle:
        raise RequestError(f"{_where(signature)} can't be called in row format: {obstacle}; use the column format")
    if format is None and not obstacle:
        obstacle = answer_obstacle(signature)
    return Body(signature.key, "column" if format == "column" or obstacle else "row", tensors)


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


def _tensors(signature: Signature, values: Mapping[str, Any] | None, meta_graph: MetaGraph | None) -> dict[str, Values]:
    """Every input's values: as given, or zeros."""
    where = _where(signature)
    given = _given(signature, values, meta_graph)
    batch = common_batch(given)
    tensors: dict[str, Values] = {}
    for key, info in signature.inputs.items():
        tensors[key] = given[key] if key in given else zeros(key, info, where, batch)
        if key not in given and info.dtype.number == constants.DT_STRING:
            tensors[key] = _zero_examples(signature, key, tensors[key], meta_graph)
    check_body_size(where, tensors)
    return tensors


def _nothing(values: Any) -> bool:
    return values is None or (isinstance(values, Mapping) and not values)


def _given(signature: Signature, values: Any, meta_graph: MetaGraph | None) -> dict[str, Values]:
    if values is None:
        return {}
    from explorer.serving.given_values import named_values  # a body of zeros doesn't pay for it

    given: dict[str, Values] = {}
    for key, value in named_values(signature, values, _specs(signature, meta_graph)).items():
        if isinstance(value, Tensor):
            given[key] = nested_of(value), value.shape
        else:
            given[key] = read_value(key, value, signature.input(key), _where(signature))
    return given


def common_batch(values: Mapping[str, Values]) -> int:
    """The batch size that inputs left out should have: that of the given ones, 1 where they don't agree."""
    batches = {shape[0] for _, shape in values.values() if shape}
    return batches.pop() if len(batches) == 1 else 1


def check_body_size(where: str, values: Mapping[str, Values]) -> None:
    """Refuses values of which a body would be too large to be of use.

    Raises:
        RequestError: They are.
    """
    lists = [shape for nested, shape in values.values() if not hasattr(nested, "dtype")]
    if sum(element_count(shape) for shape in lists) > MOST_ELEMENTS:
        raise RequestError(
            f"the inputs of {where} have more than {MOST_ELEMENTS} elements together, the most for which a request "
            "body is made; send them by gRPC"
        )
    size_bytes = sum(text_bytes(value) for value in values.values())
    if size_bytes > MOST_BODY_BYTES:
        raise RequestError(
            f"the inputs of {where} would take some {size_bytes >> 20} MiB as JSON, and request bodies are made up to "
            f"{MOST_BODY_BYTES >> 20} MiB; send them by gRPC"
        )


def _zero_examples(signature: Signature, key: str, values: Values, meta_graph: MetaGraph | None) -> Values:
    """Records without anything in their features for an input that is parsed; what it was for any other."""
    spec = _specs(signature, meta_graph).get(key)
    if not spec:
        return values
    from explorer.serving.example_values import example_record

    record = example_record(spec)
    nested, shape = values
    filled: Any = record
    for size in reversed(shape):
        filled = [filled] * size
    return filled, shape


def _zero_features(signature: Signature, meta_graph: MetaGraph | None) -> dict[str, Any]:
    """The features of the example that stands in a body of classify or regress; none where they aren't known."""
    spec = _specs(signature, meta_graph).get(EXAMPLES_INPUT)
    if not spec:
        return {}
    from explorer.serving.example_values import example_record, json_features

    features: dict[str, Any] = json_features(example_record(spec))
    return features


def _specs(signature: Signature, meta_graph: MetaGraph | None) -> Mapping[str, Any]:
    from explorer.savedmodel.feature_spec import feature_specs

    return frozen({}) if meta_graph is None else feature_specs(meta_graph, signature)


def answer_obstacle(signature: Signature) -> str:
    """Why the answer to the row format would be an error, or an empty text.

    A declared shape may lie, so this decides on the format and doesn't refuse rows to who asks for them.
    """
    batches: dict[int, str] = {}
    for key, info in signature.outputs.items():
        if info.shape.dims == ():
            return f"output {quoted(key)} is a scalar, and an answer in rows needs a batch in every output"
        if info.shape.dims and info.shape.dims[0] is not None and info.shape.dims[0] >= 0:
            batches.setdefault(info.shape.dims[0], key)
    if len(batches) > 1:
        (one, first), (other, second), *_ = batches.items()
        return f"output {quoted(first)} has a batch of {one} and output {quoted(second)} one of {other}"
    return ""


def row_obstacle(signature: Signature, tensors: Mapping[str, Values]) -> str:
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


def takes_examples(signature: Signature) -> bool:
    """Whether ``:classify`` or ``:regress`` accepts the signature's inputs: one, ``inputs``, of strings."""
    return (
        signature.method_name in _EXAMPLE_METHODS
        and list(signature.inputs) == [EXAMPLES_INPUT]
        and signature.inputs[EXAMPLES_INPUT].dtype.number == constants.DT_STRING
    )


def _where(signature: Signature) -> str:
    return f"signature {quoted(signature.key)}"
