"""The messages of TensorFlow Serving's PredictionService, made and read, without tensorflow-serving-api.

The protos are those of ``tensorflow_serving/apis`` in https://github.com/tensorflow/serving; what a server checks of a
request before it looks a model up is in ``predict_impl.cc``, ``classification_service.cc``, ``regression_service.cc``
and ``get_model_metadata_impl.cc`` there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from explorer.errors import RequestError
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.tensors import Tensor
from explorer.serving.signature_defs import signature_def_map
from explorer.serving.tensor_protos import read_tensor, tensor_message

SIGNATURE_DEF_FIELD: Final = "signature_def"
"""The only ``metadata_field`` that a server knows."""

_SERVING = "tensorflow.serving."
_REQUESTS = {"classify": "ClassificationRequest", "regress": "RegressionRequest"}
_RESPONSES = {"classify": "ClassificationResponse", "regress": "RegressionResponse"}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model and signature a request is for, or an answer is from.

    Attributes:
        name: The name that the model is served under.
        version: The version, None for the default one.
        label: The version label, None where the version isn't chosen by one.
        signature_name: Empty for ``serving_default``.
    """

    name: str
    version: int | None = None
    label: str | None = None
    signature_name: str = ""


class TensorInputs(Mapping[str, Tensor]):
    """The inputs of a request; a value is made when it is looked up, as the server does.

    Looking one up raises RequestError where TensorFlow makes no tensor of it.
    """

    def __init__(self, protos: Mapping[str, Any]) -> None:
        self._protos = protos

    def __getitem__(self, key: str) -> Tensor:
        if key not in self._protos:  # a message's map would add the key
            raise KeyError(key)
        return read_tensor(self._protos[key], key)

    def __contains__(self, key: object) -> bool:
        return key in self._protos

    def __iter__(self) -> Iterator[str]:
        return iter(self._protos)

    def __len__(self) -> int:
        return len(self._protos)


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A PredictRequest.

    Attributes:
        spec: Which model and signature.
        inputs: Input key → value, see :class:`TensorInputs`.
        output_filter: The output keys that are wanted; empty for all.
    """

    spec: ModelSpec
    inputs: Mapping[str, Tensor]
    output_filter: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExamplesRequest:
    """A ClassificationRequest or RegressionRequest.

    Attributes:
        spec: Which model and signature.
        examples: Serialized ``tf.Example``, ``string[n]``, each with the context before it.
    """

    spec: ModelSpec
    examples: Tensor


def predict_request(spec: ModelSpec, inputs: Mapping[str, Tensor], output_filter: Sequence[str] = ()) -> bytes:
    """A serialized PredictRequest, the same for the same arguments.

    Raises:
        RequestError: A value can't be sent, or a name isn't Unicode text.
    """
    request = _new("PredictRequest")
    _fill_spec(request.model_spec, spec)
    with _sendable_names():
        for key, tensor in inputs.items():
            tensor_message(tensor, request.inputs[key])
        request.output_filter.extend(output_filter)
    return _serialized(request)


def examples_request(
    verb: Literal["classify", "regress"], spec: ModelSpec, examples: Sequence[bytes], context: bytes | None = None
) -> bytes:
    """A serialized ClassificationRequest or RegressionRequest.

    Args:
        verb: Which of the two.
        spec: Which model and signature.
        examples: Serialized ``tf.Example``.
        context: A serialized ``tf.Example`` that holds for all of them.

    Raises:
        RequestError: One of them is no ``tf.Example``.
    """
    from google.protobuf.message import DecodeError

    request = _new(_REQUESTS[verb])
    _fill_spec(request.model_spec, spec)
    try:
        if context is None:
            wanted = request.input.example_list
        else:
            wanted = request.input.example_list_with_context
            wanted.context.ParseFromString(context)
        wanted.SetInParent()
        for example in examples:
            wanted.examples.add().ParseFromString(example)
    except DecodeError:
        raise RequestError("an example is no serialized tf.Example; give the bytes of one") from None
    return _serialized(request)


def metadata_request(spec: ModelSpec) -> bytes:
    """A serialized GetModelMetadataRequest for the signatures of a model."""
    request = _new("GetModelMetadataRequest")
    _fill_spec(request.model_spec, spec)
    request.metadata_field.append(SIGNATURE_DEF_FIELD)
    return _serialized(request)


def read_predict_request(data: bytes) -> PredictRequest:
    """Reads a PredictRequest.

    Raises:
        RequestError: The bytes are none, or it names no model.
    """
    request = _parsed("PredictRequest", data)
    return PredictRequest(_checked_spec(request), TensorInputs(request.inputs), tuple(request.output_filter))


def read_examples_request(verb: Literal["classify", "regress"], data: bytes) -> ExamplesRequest:
    """Reads a ClassificationRequest or RegressionRequest.

    Raises:
        RequestError: The bytes are none, or it names no model.
    """
    request = _parsed(_REQUESTS[verb], data)
    spec = _checked_spec(request)
    kind = request.input.WhichOneof("kind")
    examples: tuple[bytes, ...] = ()
    if kind is not None:
        chosen = getattr(request.input, kind)
        context = chosen.context.SerializeToString() if kind == "example_list_with_context" else b""
        examples = tuple([context + example.SerializeToString() for example in chosen.examples])
    return ExamplesRequest(spec, Tensor(constants.DT_STRING, (len(examples),), texts=examples))


def read_metadata_request(data: bytes) -> ModelSpec:
    """Reads a GetModelMetadataRequest; it can only be for the signatures.

    Raises:
        RequestError: The bytes are none, it names no model, or asks for something else.
    """
    request = _parsed("GetModelMetadataRequest", data)
    _check_has_spec(request)
    if not request.metadata_field:
        raise _invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURE_DEF_FIELD:
            # The server means to put the name in place of the two characters, and doesn't.
            raise _invalid(f"Metadata field %s is not supported{field}")
    return _checked_spec(request)


def predict_response(spec: ModelSpec, outputs: Mapping[str, Tensor]) -> bytes:
    """A serialized PredictResponse.

    Args:
        spec: The model and version that answered, and the signature that was called.
        outputs: Output key → value.

    Raises:
        RequestError: A value can't be sent.
    """
    response = _new("PredictResponse")
    _fill_spec(response.model_spec, spec, is_answer=True)
    with _sendable_names():
        for key, tensor in outputs.items():
            tensor_message(tensor, response.outputs[key])
    return _serialized(response)


def classify_response(spec: ModelSpec, classifications: Sequence[Sequence[tuple[bytes, float]]]) -> bytes:
    """A serialized ClassificationResponse.

    Args:
        spec: The model and version that answered, and the signature that was called.
        classifications: For each example, its labels with their scores.

    Raises:
        RequestError: A label isn't UTF-8, which the field for it demands.
    """
    response = _new("ClassificationResponse")
    _fill_spec(response.model_spec, spec, is_answer=True)
    response.result.SetInParent()
    try:
        for classes in classifications:
            made = response.result.classifications.add()
            for label, score in classes:
                made.classes.add(label=label.decode(), score=score)
    except UnicodeDecodeError:
        raise RequestError(
            "a label of the classification is not UTF-8, which gRPC answers must be", "INTERNAL"
        ) from None
    return _serialized(response)


def regress_response(spec: ModelSpec, regressions: Sequence[float]) -> bytes:
    """A serialized RegressionResponse; ``regressions`` are float32, one an example."""
    response = _new("RegressionResponse")
    _fill_spec(response.model_spec, spec, is_answer=True)
    response.result.SetInParent()
    for value in regressions:
        response.result.regressions.add(value=value)
    return _serialized(response)


def metadata_response(spec: ModelSpec, meta_graph: MetaGraph) -> bytes:
    """A serialized GetModelMetadataResponse with the signatures of a meta graph.

    Raises:
        FormatError: A signature is no valid message.
    """
    response = _new("GetModelMetadataResponse")
    response.model_spec.name = spec.name
    if spec.version is not None:
        response.model_spec.version.value = spec.version
    packed = response.metadata[SIGNATURE_DEF_FIELD]
    packed.type_url = f"type.googleapis.com/{_SERVING}SignatureDefMap"
    packed.value = signature_def_map(meta_graph).SerializeToString(deterministic=True)
    return _serialized(response)


def read_predict_response(data: bytes) -> tuple[ModelSpec, dict[str, Tensor]]:
    """The model that answered, and output key → value in the order of the keys.

    Raises:
        RequestError: The bytes are no PredictResponse.
    """
    response = _parsed("PredictResponse", data)
    outputs = {key: read_tensor(response.outputs[key], key) for key in sorted(response.outputs)}
    return _read_spec(response.model_spec), outputs


def read_classify_response(data: bytes) -> tuple[ModelSpec, list[list[tuple[bytes, float]]]]:
    """The model that answered, and for each example its labels with their scores.

    Raises:
        RequestError: The bytes are no ClassificationResponse.
    """
    response = _parsed("ClassificationResponse", data)
    found = [
        [(item.label.encode(), item.score) for item in classification.classes]
        for classification in response.result.classifications
    ]
    return _read_spec(response.model_spec), found


def read_regress_response(data: bytes) -> tuple[ModelSpec, list[float]]:
    """The model that answered, and a number for each example.

    Raises:
        RequestError: The bytes are no RegressionResponse.
    """
    response = _parsed("RegressionResponse", data)
    return _read_spec(response.model_spec), [item.value for item in response.result.regressions]


def read_metadata_response(data: bytes) -> tuple[ModelSpec, dict[str, bytes]]:
    """The model that answered, and signature key → serialized SignatureDef.

    Raises:
        RequestError: The bytes are no GetModelMetadataResponse, or it has no signatures.
    """
    response = _parsed("GetModelMetadataResponse", data)
    if SIGNATURE_DEF_FIELD not in response.metadata:
        raise RequestError("the server's answer has no signatures in its metadata")
    packed = _parsed("SignatureDefMap", response.metadata[SIGNATURE_DEF_FIELD].value)
    signatures = {key: packed.signature_def[key].SerializeToString(deterministic=True) for key in packed.signature_def}
    return _read_spec(response.model_spec), signatures


def _new(name: str) -> Any:
    return message_class(_SERVING + name)()


def _parsed(name: str, data: bytes) -> Any:
    from google.protobuf.message import DecodeError

    message = _new(name)
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise RequestError(f"the bytes are no {_SERVING}{name} message", "INTERNAL") from None
    return message


def _serialized(message: Any) -> bytes:
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def _fill_spec(message: Any, spec: ModelSpec, is_answer: bool = False) -> None:
    """An answer names the signature that was called, never the label by which its version was found."""
    with _sendable_names():
        message.name = spec.name
        message.signature_name = spec.signature_name or (constants.DEFAULT_SIGNATURE_KEY if is_answer else "")
        if spec.version is not None:
            message.version.value = spec.version
        elif spec.label is not None and not is_answer:
            message.version_label = spec.label


@contextmanager
def _sendable_names() -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError:
        raise RequestError("a name of a model, signature or tensor is not Unicode text, so it can't be sent") from None


def _read_spec(message: Any) -> ModelSpec:
    chosen = message.WhichOneof("version_choice")
    return ModelSpec(
        name=message.name,
        version=message.version.value if chosen == "version" else None,
        label=message.version_label if chosen == "version_label" else None,
        signature_name=message.signature_name,
    )


def _check_has_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise _invalid("Missing ModelSpec")


def _checked_spec(request: Any) -> ModelSpec:
    _check_has_spec(request)
    if not request.model_spec.name:
        raise _invalid("ModelSpec has no name specified.")
    return _read_spec(request.model_spec)


def _invalid(message: str) -> RequestError:
    return RequestError(message, "INVALID_ARGUMENT")
