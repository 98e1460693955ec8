"""One set of values as a request of every protocol: REST in rows and columns, classify, regress, gRPC, Open Inference.

Nothing is written before somebody looks at it. Where a protocol can't carry the values, or the server would answer
with an error whatever they are, the request says why in place of its text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from explorer.checking.method_rules import method_faults
from explorer.errors import FormatError, NotFoundError, RequestError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature
from explorer.savedmodel.tensors import Tensor
from explorer.serving import grpc_text, open_inference
from explorer.serving.arrays import nested_of
from explorer.serving.bodies import (
    EXAMPLES_INPUT,
    answer_obstacle,
    check_body_size,
    check_callable,
    chosen_signature,
    json_text,
    rest_path,
    row_obstacle,
)
from explorer.serving.body import Body
from explorer.serving.context import merged, with_context
from explorer.serving.example_values import json_features
from explorer.serving.given_values import read_given
from explorer.serving.messages import ModelSpec, predict_request
from explorer.serving.shortened import MOST_CHARS, shortened
from explorer.serving.snippets import served_name
from explorer.serving.values import Values, is_rest_dtype

PROTOCOLS = ("rest_row", "rest_column", "classify", "regress", "grpc_text", "grpc", "kserve")
"""The protocols of :class:`Requests`, by the names of its attributes."""

PREDICT_METHOD = "/tensorflow.serving.PredictionService/Predict"
"""The path of the gRPC method (``tensorflow_serving/apis/prediction_service.proto``)."""

_JSON = "application/json"
_FLOAT64 = 2
_DOUBLES_NOTE = (
    "the server reads about one in ten float64 numbers of 16 or 17 digits one unit off in the last place; gRPC carries "
    "every bit"
)


@dataclass(frozen=True)
class Request:
    """A request of one protocol, written when it is asked for.

    Attributes:
        protocol: One of ``PROTOCOLS``.
        target: The path of the URL, or the gRPC method.
        content_type: What the body is.
        note: What to know about it, in a sentence; may be empty.
        problem: Why there is none, in a sentence; empty where there is one.
    """

    protocol: str
    target: str
    content_type: str
    note: str = ""
    problem: str = ""
    make: Callable[[], str | bytes] = field(default=str, repr=False, compare=False)
    outline_of: Callable[[], Any] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def content(self) -> str | bytes:
        """The whole request, text or bytes; empty where there is a problem.

        Raises:
            RequestError: It can't be written after all.
        """
        return "" if self.problem else self.make()

    @property
    def text(self) -> str:
        """The whole request as text; empty where it is bytes, or there is a problem."""
        return self.content if isinstance(self.content, str) else ""

    @property
    def data(self) -> bytes:
        """The bytes that go over the line."""
        return self.content.encode("utf-8") if isinstance(self.content, str) else self.content

    def outline(self) -> Any:
        """What a shortened view is made of, see :func:`~explorer.serving.shortened.shortened`."""
        return "" if self.problem else self.content if self.outline_of is None else self.outline_of()

    def shortened(self, most_chars: int = MOST_CHARS) -> str:
        """The request in few characters; of a large one nothing is written but what is shown."""
        return shortened(self, most_chars)

    def save(self, path: str | Path) -> Path:
        """Writes the whole request into a new file.

        Raises:
            RequestError: There is none, the file is there already, or can't be written.
        """
        if self.problem:
            raise RequestError(f"there is no {self.protocol} request to save: {self.problem}")
        place = Path(path).expanduser()
        try:
            with place.open("xb") as file:
                file.write(self.data)
        except FileExistsError:
            raise RequestError(f"{quoted(str(place))} is there already; choose another name") from None
        except OSError as error:
            raise RequestError(f"{quoted(str(place))} can't be written: {error.strerror or error}") from None
        return place

    def __str__(self) -> str:
        return self.problem or self.shortened()


@dataclass(frozen=True)
class Requests:
    """The requests to one signature with one set of values.

    Attributes:
        signature: The signature.
        model_name: The server's name for the model.
        version: The version that is asked for, None for the server's choice.
        tensors: Input key → value.
        specs: Input key → the features that the graph parses from it.
        context: Features that all examples share, as a serialized tf.Example; None where there are none.
        notes: What was done to the given values, a sentence each.
        problem: Why no request of any protocol can be made, in a sentence; may be empty.
    """

    signature: Signature
    model_name: str
    version: int | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    specs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    context: bytes | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    problem: str = ""

    def __iter__(self) -> Iterator[Request]:
        return iter([self[protocol] for protocol in PROTOCOLS])

    def __getitem__(self, protocol: str) -> Request:
        if protocol not in PROTOCOLS:
            raise NotFoundError("protocol", protocol, PROTOCOLS)
        request: Request = getattr(self, protocol)
        return request

    @cached_property
    def fitting(self) -> tuple[str, str]:
        """The protocol that fits when nobody asks for one, and why, in a sentence."""
        verb = self.signature.method
        if verb in ("classify", "regress") and not self[verb].problem:
            return verb, f"the method is {verb}, and its REST verb takes a list of tf.Examples."
        if not self.rest_row.problem:
            return "rest_row", "every input has a first dimension, the batch, and all agree on its size."
        if not self.rest_column.problem:
            return "rest_column", f"the row format is impossible: {self.rest_row.problem}."
        return "grpc", f"REST is impossible: {self.rest_column.problem}."

    @cached_property
    def rest_row(self) -> Request:
        """``{"instances": [{key: value}, …]}`` for ``:predict``."""
        return self._rest("row")

    @cached_property
    def rest_column(self) -> Request:
        """``{"inputs": {key: values}}`` for ``:predict``."""
        return self._rest("column")

    @cached_property
    def classify(self) -> Request:
        """``{"examples": [{feature: value}, …]}`` for ``:classify``."""
        return self._examples("classify", constants.CLASSIFY_METHOD_NAME)

    @cached_property
    def regress(self) -> Request:
        """``{"examples": [{feature: value}, …]}`` for ``:regress``."""
        return self._examples("regress", constants.REGRESS_METHOD_NAME)

    @cached_property
    def grpc_text(self) -> Request:
        """The PredictRequest in protobuf's text format, as ``grpcurl -format text`` takes it."""
        return Request(
            "grpc_text",
            PREDICT_METHOD,
            "text/plain",
            "",
            self.problem,
            lambda: grpc_text.predict_text(self._spec, self._fed),
            lambda: grpc_text.predict_outline(self._spec, self._fed),
        )

    @cached_property
    def grpc(self) -> Request:
        """The serialized PredictRequest, without the five bytes that gRPC puts before a message."""
        return Request(
            "grpc",
            PREDICT_METHOD,
            "application/grpc",
            "",
            self.problem,
            lambda: predict_request(self._spec, self._fed),
        )

    @cached_property
    def kserve(self) -> Request:
        """The JSON of KServe's V2 protocol, the Open Inference Protocol."""
        problem = self.problem or open_inference.obstacle(self.signature, self._fed)
        return Request(
            "kserve",
            open_inference.infer_path(self.model_name, self.version),
            _JSON,
            open_inference.note(self.signature, self._fed),
            problem,
            lambda: open_inference.infer_text(self._fed),
            lambda: open_inference.infer_outline(self._fed),
        )

    @cached_property
    def _fed(self) -> Mapping[str, Tensor]:
        """What predict feeds: records with the context before them, as the server puts it there for classify."""
        if self.context is None:
            return self.tensors
        return {
            key: merged(tensor, self.context) if key in self.specs else tensor for key, tensor in self.tensors.items()
        }

    @cached_property
    def _values(self) -> dict[str, Values]:
        return {
            key: (nested_of(value, as_bytes=key in self.specs or key.endswith(constants.BYTES_SUFFIX)), value.shape)
            for key, value in self._fed.items()
        }

    @property
    def _spec(self) -> ModelSpec:
        key = self.signature.key
        return ModelSpec(self.model_name, self.version, None, "" if key == constants.DEFAULT_SIGNATURE_KEY else key)

    def _rest(self, form: Any) -> Request:
        problem = self.problem or self._rest_problem
        if not problem and form == "row":
            problem = row_obstacle(self.signature, self._values) or answer_obstacle(self.signature)
        doubles = any(tensor.dtype == _FLOAT64 for tensor in self._fed.values())
        return Request(
            f"rest_{form}",
            rest_path(self.model_name, self.version),
            _JSON,
            _DOUBLES_NOTE if doubles else "",
            problem,
            lambda: Body(self.signature.key, form, self._values).text(),
            lambda: Body(self.signature.key, form, self._values).outline(),
        )

    @cached_property
    def _rest_problem(self) -> str:
        """Why REST can't carry the values, or the answer; may be empty."""
        where = f"signature {quoted(self.signature.key)}"
        try:
            check_callable(self.signature)
            check_body_size(where, self._values)
        except RequestError as error:
            return str(error)
        for key, info in self.signature.outputs.items():
            if info.encoding == "name" and not is_rest_dtype(info.dtype):
                return (
                    f"output {quoted(key)} of {where} has the dtype {info.dtype}, which no answer of the REST API can "
                    "hold; send the request by gRPC"
                )
        return ""

    def _examples(self, verb: str, method_name: str) -> Request:
        faults = method_faults(self.signature, method_name)
        problem = self.problem
        features: list[dict[str, Any]] = []
        if faults:
            problem = f"signature {quoted(self.signature.key)} can't answer {verb} requests: {faults[0].message}"
        elif not problem:
            try:
                features = [json_features(record) for record in self.tensors[EXAMPLES_INPUT].texts]
                problem = "" if features else "a list of examples may not be empty, and the batch is 0"
            except FormatError:
                problem = f"a value for input {quoted(EXAMPLES_INPUT)} is no serialized tf.Example"
        members: dict[str, Any] = {} if self.context is None else {"context": json_features(self.context)}
        body = Body(self.signature.key, "examples", {}, {**members, "examples": features})
        note = "" if EXAMPLES_INPUT in self.specs else "the features that the model asks for aren't known"
        return Request(
            verb,
            rest_path(self.model_name, self.version, verb),
            _JSON,
            "" if problem else note,
            problem,
            lambda: json_text(body.data()),
            body.outline,
        )


def requests(
    model: SavedModel,
    signature_key: str | None = None,
    *,
    tags: Iterable[str] | None = None,
    values: Any = None,
    kind: str = "zeros",
    batch: int | None = None,
    seed: int = 0,
    context: Mapping[str, Any] | None = None,
    scale: str | None = None,
    model_name: str | None = None,
    version: int | None = None,
) -> Requests:
    """Makes the requests of every protocol from one set of values.

    Args:
        model: The model.
        signature_key: Which signature; None takes ``serving_default``, or the only one that can be called.
        tags: Which meta graph; None where there is only one, or one tagged ``serve``.
        values: Input key → value, a DataFrame, a file …: see :func:`~explorer.serving.given_values.read_given`.
        kind: What the inputs get that nothing is given for: ``"zeros"``, ``"ones"`` or ``"random"``.
        batch: How many examples those have; None takes the batch of the given ones, or 1.
        seed: The same seed gives the same random values.
        context: Feature name → value that all tf.Examples share; ``context`` of classify and regress.
        scale: What the pixels of an image become, see :func:`~explorer.serving.images.image_value`.
        model_name: The server's name for the model; None takes the name of the base path.
        version: The version to ask for; None lets the server choose.

    Raises:
        NotFoundError: There is no such meta graph, signature, input or feature.
        RequestError: A given value doesn't fit, or the signature is reserved.
    """
    meta_graph = model.meta_graph(tags)
    signature = chosen_signature(meta_graph, signature_key)
    if signature.is_reserved:
        raise RequestError(
            f"signature {quoted(signature.key)} is reserved: loaders run it by themselves, and no client calls it"
        )
    name = model_name or served_name(model)
    try:
        given = read_given(signature, values, kind=kind, batch=batch, seed=seed, meta_graph=meta_graph, scale=scale)
    except RequestError as error:
        if values is not None or kind not in ("zeros", "ones", "random") or (batch or 0) < 0:
            raise
        return Requests(signature, name, version, problem=str(error))
    specs = _specs(meta_graph, signature)
    tensors, shared = given.tensors, None
    if context is not None:
        tensors, shared = with_context(signature, given, specs, context, kind, seed)
    return Requests(signature, name, version, tensors, specs, shared, given.notes)


def _specs(meta_graph: MetaGraph, signature: Signature) -> Mapping[str, Mapping[str, Any]]:
    from explorer.savedmodel.feature_spec import feature_specs

    return feature_specs(meta_graph, signature)
