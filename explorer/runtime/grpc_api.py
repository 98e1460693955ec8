"""TensorFlow Serving's gRPC methods, without gRPC: the bytes of a request in, the bytes of the answer out.

The order of the checks and the sentences are those of ``predict_impl.cc``, ``classification_service.cc``,
``regression_service.cc``, ``get_model_metadata_impl.cc`` (``tensorflow_serving/servables/tensorflow``) and
``get_model_status_impl.cc`` (``tensorflow_serving/model_servers``) of https://github.com/tensorflow/serving.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from explorer.errors import RequestError
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.tensors import Tensor
from explorer.serving import calls, messages

if TYPE_CHECKING:
    from explorer.runtime.rest_api import Library, Served

Method = Callable[["Library", bytes], bytes]


class Runnable(Protocol):
    """A model that can be run."""

    @property
    def meta_graph(self) -> MetaGraph:
        """Its meta graph."""

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        """Runs the graph: tensor name → value, the tensors to give back."""


def answer(library: Library, method: str, request: bytes) -> bytes:
    """Answers one request.

    Args:
        library: The models that are served.
        method: The full name of a method, one of :data:`METHODS`.
        request: The serialized request message.

    Returns:
        The serialized response message.

    Raises:
        RequestError: The server refuses it, with its code and its sentence.
        RunError: The child process that runs the model ended.
    """
    act = METHODS.get(method)
    if act is None:
        raise RequestError("", "UNIMPLEMENTED")  # so a gRPC server says it, without a word
    return act(library, request)


def predict(model: Runnable, request: messages.PredictRequest) -> dict[str, Tensor]:
    """Runs a predict request: output key → value.

    Raises:
        RequestError: The server refuses it.
    """
    call = calls.predict_call(
        model.meta_graph, request.spec.signature_name, request.inputs, list(request.output_filter)
    )
    return dict(zip(call.output_keys, model.run(call.feeds, call.fetches), strict=True))


def classify(model: Runnable, request: messages.ExamplesRequest) -> list[list[tuple[bytes, float]]]:
    """Runs a classify request: for each example its labels and their scores.

    Raises:
        RequestError: The server refuses it.
    """
    call = calls.classify_call(model.meta_graph, request.spec.signature_name, request.examples)
    return calls.classifications(call, model.run(call.feeds, call.fetches), len(request.examples.texts))


def regress(model: Runnable, request: messages.ExamplesRequest) -> list[float]:
    """Runs a regress request: a number for each example.

    Raises:
        RequestError: The server refuses it.
    """
    call = calls.regress_call(model.meta_graph, request.spec.signature_name, request.examples)
    return calls.regressions(call, model.run(call.feeds, call.fetches), len(request.examples.texts))


def _predict(library: Library, data: bytes) -> bytes:
    request = messages.read_predict_request(data)
    served, spec = _find(library, request.spec)
    return messages.predict_response(spec, predict(served, request))


def _classify(library: Library, data: bytes) -> bytes:
    request = messages.read_examples_request("classify", data)
    served, spec = _find(library, request.spec)
    return messages.classify_response(spec, classify(served, request))


def _regress(library: Library, data: bytes) -> bytes:
    request = messages.read_examples_request("regress", data)
    served, spec = _find(library, request.spec)
    return messages.regress_response(spec, regress(served, request))


def _metadata(library: Library, data: bytes) -> bytes:
    served, spec = _find(library, messages.read_metadata_request(data))
    return messages.metadata_response(spec, served.meta_graph)


def _status(library: Library, data: bytes) -> bytes:
    """The states of a model's versions; a label in the request is passed over, as the server does."""
    request = _parsed("GetModelStatusRequest", data)
    if not request.HasField("model_spec"):
        raise RequestError("Missing ModelSpec", "INVALID_ARGUMENT")
    spec = request.model_spec
    version = spec.version.value if spec.HasField("version") else None
    response: Any = message_class("tensorflow.serving.GetModelStatusResponse")()
    for state in library.states(spec.name, version):
        told = response.model_version_status.add(version=state.version)
        told.state = _number(told, "state", state.state)
        told.status.error_code = _number(told.status, "error_code", state.error_code)
        told.status.error_message = state.error_message.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    serialized: bytes = response.SerializeToString()
    return serialized


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "/tensorflow.serving.PredictionService/Predict": _predict,
        "/tensorflow.serving.PredictionService/Classify": _classify,
        "/tensorflow.serving.PredictionService/Regress": _regress,
        "/tensorflow.serving.PredictionService/GetModelMetadata": _metadata,
        "/tensorflow.serving.ModelService/GetModelStatus": _status,
    }
)
"""Full name of a gRPC method → what answers it."""


def _find(library: Library, spec: messages.ModelSpec) -> tuple[Served, messages.ModelSpec]:
    """What is asked for, and how the answer names it."""
    served = library.find(spec.name, spec.version, spec.label)
    return served, messages.ModelSpec(spec.name, served.version, None, spec.signature_name)


def _parsed(name: str, data: bytes) -> Any:
    from google.protobuf.message import DecodeError

    message: Any = message_class(f"tensorflow.serving.{name}")()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise RequestError(f"the bytes are no tensorflow.serving.{name} message", "INTERNAL") from None
    return message


def _number(message: Any, field: str, name: str) -> int:
    """The number of an enum's value."""
    return int(message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_name[name].number)
