"""A model of a running TensorFlow Serving asked by gRPC, with REST bodies and answers, so that both compare.

grpcio is imported only when a server is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from explorer.errors import RequestError, RunError, listed, printable_name, quoted
from explorer.runtime.http_server import NEEDS_EXTRA
from explorer.runtime.remote import TIMEOUT_S, check_timeout
from explorer.runtime.rest_api import RestAnswer
from explorer.runtime.rest_verbs import Body, body_bytes
from explorer.savedmodel.constants import DEFAULT_SIGNATURE_KEY, DT_INVALID, DT_STRING, DTYPE_NAMES
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.tensors import Tensor
from explorer.serving import messages
from explorer.serving.answers import classify_answer, error_answer, predict_answer, regress_answer
from explorer.serving.arrays import as_array, elements, first_misfit
from explorer.serving.examples import parse_examples
from explorer.serving.messages import ModelSpec
from explorer.serving.parse import begin_predict
from explorer.serving.urls import JSON_TYPE

if TYPE_CHECKING:
    import grpc

_PREDICTION = "/tensorflow.serving.PredictionService/"


class RemoteGrpc:
    """A model of a running TensorFlow Serving, asked by gRPC; :func:`remote_grpc` makes one. Close it after use.

    Attributes:
        address: Host and port of the server.
        name: The model's name there.
    """

    def __init__(self, address: str, name: str, timeout_s: float, channel: grpc.Channel) -> None:
        self.address = address
        self.name = name
        self._timeout_s = timeout_s
        self._channel = channel

    def predict(self, body: Body, *, version: int | None = None, label: str | None = None) -> RestAnswer:
        """Sends the tensors of a REST body as a PredictRequest.

        The signature, by which a body is read, is the one that the server tells of.

        Args:
            body: A REST body: bytes or text as they are sent, or a value of which JSON is made.
            version: The version to ask; None for the one that is served by default.
            label: A label instead of a version.

        Returns:
            The answer as REST would have given it, errors included; of those the sentence is that of gRPC.

        Raises:
            RunError: The server can't be reached or took too long.
            RequestError: JSON can't be made of the body.
        """
        data, spec = body_bytes(body), ModelSpec(self.name, version, label)

        def ask() -> bytes:
            begun = begin_predict(data)
            signature = replace(spec, signature_name=begun.signature_name)
            request = begun.inputs(self._inputs(signature))
            inputs = {key: value.tensor for key, value in request.inputs.items()}
            return predict_answer(self._outputs(signature, inputs), request.format)

        return _answer(ask)

    def predict_values(
        self,
        values: Mapping[str, Any],
        *,
        signature_name: str = "",
        output_filter: Sequence[str] = (),
        version: int | None = None,
        label: str | None = None,
    ) -> RestAnswer:
        """Sends values as a PredictRequest; inputs with a default may be left out, and any dtype may be sent.

        Args:
            values: Input key → value, as numpy takes it, for the dtype of the signature.
            signature_name: The signature; empty for ``serving_default``.
            output_filter: The output keys that are wanted; empty for all.
            version: The version to ask; None for the one that is served by default.
            label: A label instead of a version.

        Returns:
            The answer as REST would give it for a columnar body.

        Raises:
            RunError: The server can't be reached or took too long.
            RequestError: A value isn't one of the input's dtype.
        """
        spec = ModelSpec(self.name, version, label, signature_name)

        def ask() -> bytes:
            inputs = _tensors(values, self._inputs(spec))
            return predict_answer(self._outputs(spec, inputs, output_filter), "columnar")

        return _answer(ask)

    def classify(self, body: Body, *, version: int | None = None, label: str | None = None) -> RestAnswer:
        """Sends the examples of a REST body as a ClassificationRequest; arguments as for :meth:`predict`."""
        data, spec = body_bytes(body), ModelSpec(self.name, version, label)

        def ask() -> bytes:
            return classify_answer(messages.read_classify_response(self._examined("classify", data, spec))[1])

        return _answer(ask)

    def regress(self, body: Body, *, version: int | None = None, label: str | None = None) -> RestAnswer:
        """Sends the examples of a REST body as a RegressionRequest; arguments as for :meth:`predict`."""
        data, spec = body_bytes(body), ModelSpec(self.name, version, label)

        def ask() -> bytes:
            return regress_answer(messages.read_regress_response(self._examined("regress", data, spec))[1])

        return _answer(ask)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"RemoteGrpc({self.address!r}, {self.name!r})"

    def _inputs(self, spec: ModelSpec) -> dict[str, dict[str, Any]]:
        """The inputs of a signature as the server tells of them: key → ``dtype`` and, where it is known, ``shape``."""
        data = self._call("GetModelMetadata", messages.metadata_request(replace(spec, signature_name="")))
        key = spec.signature_name or DEFAULT_SIGNATURE_KEY
        stored = messages.read_metadata_response(data)[1].get(key)
        if stored is None:
            raise RequestError(f'Serving signature key "{key}" not found.', "FAILED_PRECONDITION")  # as it would say
        signature: Any = message_class("tensorflow.SignatureDef")()
        signature.ParseFromString(stored)
        return {key: _described(signature.inputs[key]) for key in sorted(signature.inputs)}

    def _outputs(
        self, spec: ModelSpec, inputs: Mapping[str, Tensor], output_filter: Sequence[str] = ()
    ) -> dict[str, Tensor]:
        data = self._call("Predict", messages.predict_request(spec, inputs, output_filter))
        return messages.read_predict_response(data)[1]

    def _examined(self, verb: Literal["classify", "regress"], body: bytes, spec: ModelSpec) -> bytes:
        asked = parse_examples(body, verb)
        signature = replace(spec, signature_name=asked.signature_name)
        return self._call(verb.title(), messages.examples_request(verb, signature, asked.examples, asked.context))

    def _call(self, method: str, request: bytes) -> bytes:
        import grpc

        ask = self._channel.unary_unary(_PREDICTION + method)
        try:
            answer: bytes = ask(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            code, details = error.code().name, error.details() or ""
            if code == "UNAVAILABLE":
                reason = printable_name(" ".join(details.split()))
                raise RunError(f"{quoted(self.address)} can't be reached by gRPC: {reason}") from None
            if code == "DEADLINE_EXCEEDED":
                raise RunError(f"{quoted(self.address)} took more than {self._timeout_s:g} seconds to answer") from None
            raise RequestError(details, code) from None
        return answer


def remote_grpc(
    address: str, name: str, *, timeout_s: float = TIMEOUT_S, credentials: grpc.ChannelCredentials | None = None
) -> RemoteGrpc:
    """A running TensorFlow Serving by gRPC, which takes the same bodies; nothing is sent yet.

    Args:
        address: Host and port, such as ``127.0.0.1:8500``.
        name: The model's name there.
        timeout_s: How long an answer may take, in seconds.
        credentials: For a server with TLS; None speaks without.

    Raises:
        RunError: The address has no port, or grpcio isn't installed.
    """
    try:
        import grpc
    except ImportError:
        raise RunError(NEEDS_EXTRA.format(what="asking by gRPC", library="grpcio")) from None
    host, colon, port = address.rpartition(":")
    if "/" in address or not (host and colon and port.isdecimal()):
        raise RunError(f"{quoted(address)} is no address for gRPC; write host and port, like 127.0.0.1:8500")
    check_timeout(timeout_s)
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_http_proxy", 0),
    ]
    if credentials is None:
        channel = grpc.insecure_channel(address, options)
    else:
        channel = grpc.secure_channel(address, credentials, options)
    return RemoteGrpc(address, name, timeout_s, channel)


def _answer(ask: Callable[[], bytes]) -> RestAnswer:
    started_s = time.perf_counter()
    try:
        status, body = 200, ask()
    except RequestError as error:
        if error.status is None:
            raise
        status, body = error.status, error_answer(error)
    return RestAnswer(status, body, JSON_TYPE, time.perf_counter() - started_s)


def _described(info: Any) -> dict[str, Any]:
    names = info.DESCRIPTOR.fields_by_name["dtype"].enum_type.values_by_number
    described: dict[str, Any] = {"dtype": names[info.dtype].name if info.dtype in names else "DT_INVALID"}
    if not info.tensor_shape.unknown_rank:
        described["shape"] = [dim.size for dim in info.tensor_shape.dim]
    return described


def _tensors(values: Mapping[str, Any], inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Tensor]:
    """Values as tensors of the signature's dtypes."""
    numbers = {f"DT_{name.upper()}": number for number, name in DTYPE_NAMES.items()}
    tensors = {}
    for key, value in values.items():
        if key not in inputs:
            raise RequestError(f"the signature has no input {quoted(key)}; available: {listed(inputs)}")
        dtype = numbers.get(inputs[key]["dtype"], DT_INVALID)
        try:
            if dtype == DT_STRING:
                tensors[key] = Tensor.from_array(value, dtype)
                continue
            array = as_array(value)
            if array.size and first_misfit(array, dtype) is not None:
                raise ValueError("not every element fits")
            tensors[key] = Tensor(dtype, array.shape, elements(array, dtype).tobytes())
        except (ValueError, TypeError, OverflowError, KeyError) as error:
            words = printable_name(" ".join(str(error).split()))
            raise RequestError(
                f"no tensor of the dtype {inputs[key]['dtype']} can be made for the input {quoted(key)}: {words}"
            ) from None
    return tensors
