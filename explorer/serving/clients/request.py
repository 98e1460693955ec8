"""What the client of every language sends: one request, decided on once, before any code is written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from explorer.errors import RequestError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, Signature
from explorer.savedmodel.tensors import Tensor
from explorer.serving.arrays import COMPLEX, lists_of, nested_of
from explorer.serving.bodies import FORMATS, json_text
from explorer.serving.body import Body
from explorer.serving.messages import read_predict_request
from explorer.serving.requests import Request, Requests
from explorer.serving.snippets import DEFAULT_HOST

Protocol = Literal["rest", "grpc"]
VERBS: Final = ("predict", "classify", "regress")
"""What a server can be asked to do with a signature."""

DEFAULT_ADDRESS: Final = "localhost:8500"
"""Where TensorFlow Serving's gRPC API listens when nothing else is said."""

REQUEST_FILE: Final = "request.json"
"""The file from which a client reads a body that is too long to stand in its code."""

LONGEST_BODY: Final = 10_000
"""A body of more characters lies in a file beside the code. Java can't have a text of more than 65,535 bytes."""

_MOST_ELEMENTS = LONGEST_BODY // 3
_MOST_VERSION = (1 << 63) - 1
_REST_HOST = re.compile(r"https?://[!$%&'()*+,\-./0-9:;=@A-Z\[\]_a-z~]+")
_GRPC_HOST = re.compile(r"[-.:0-9A-Z\[\]_a-z/%]+")
_NOTES: Final = {
    "rest_row": ["instances: a list of examples, each with a value for every input, without the batch dimension."],
    "rest_column": ["inputs: one whole tensor for every input, with its batch dimension where it has one."],
    "examples": [
        "examples: one object for each tf.Example, feature name and value.",
        "1.0 is a float feature and 1 an integer one: the server doesn't convert between them.",
    ],
}


@dataclass(frozen=True, slots=True)
class FedTensor:
    """A value as a gRPC client writes it.

    Attributes:
        dtype: Its dtype.
        shape: Its dimensions.
        flat: Its elements in row-major order: numbers, True and False, or bytes.
        nested: The same as nested lists.
    """

    dtype: DType
    shape: tuple[int, ...]
    flat: list[Any]
    nested: Any


@dataclass(frozen=True, slots=True, eq=False)
class ClientRequest:
    """A request to a server, of one protocol and verb.

    Attributes:
        signature: The signature that is called.
        verb: ``"predict"``, ``"classify"`` or ``"regress"``.
        form: ``"rest_row"``, ``"rest_column"``, ``"examples"`` or ``"grpc"``.
        model_name: The server's name for the model.
        version: The version that is asked for; None for the server's newest.
        host: ``http://…`` without a slash at its end for REST, ``host:port`` for gRPC.
        target: The path of the URL, or the gRPC method.
        text: The JSON of REST, on one line and in ASCII. For gRPC's predict, what a file with its values holds.
        tensors: Input key → value, for gRPC's predict.
        is_long: Whether ``text`` lies in a file beside the code.
    """

    signature: Signature
    verb: str
    form: str
    model_name: str
    version: int | None
    host: str
    target: str
    text: str
    tensors: Mapping[str, Tensor]
    is_long: bool

    @property
    def url(self) -> str:
        """The URL of the REST request, in ASCII."""
        return self.host + self.target

    @property
    def data(self) -> dict[str, Any]:
        """The JSON as data."""
        import json

        data: dict[str, Any] = json.loads(self.text)
        return data

    @property
    def json(self) -> str:
        """The JSON on several lines."""
        return json_text(self.data, indent=2)

    @property
    def fed(self) -> dict[str, FedTensor]:
        """Input key → value, as gRPC's predict writes it."""
        return {key: _fed(tensor) for key, tensor in self.tensors.items()}

    @property
    def notes(self) -> list[str]:
        """What a learner would ask about the body of REST, a line each; no name of the model stands in them."""
        lines = list(_NOTES.get(self.form, ()))
        if self.signature.key != constants.DEFAULT_SIGNATURE_KEY:
            lines.insert(0, "signature_name: which of the model's signatures runs; without it, serving_default does.")
        if not self.is_long and '{"b64": "' in self.text:
            lines.append('{"b64": "..."} holds bytes, in base64 with the alphabet that has + and /.')
        return lines


def client_request(
    requests: Requests,
    protocol: Protocol,
    *,
    format: str | None = None,  # noqa: A002 - as in request_body
    verb: str | None = None,
    host: str | None = None,
) -> ClientRequest:
    """Chooses the request that a client sends.

    Args:
        requests: The requests of every protocol.
        protocol: ``"rest"`` or ``"grpc"``.
        format: ``"row"`` or ``"column"``, for REST; None takes what fits.
        verb: ``"predict"``, ``"classify"`` or ``"regress"``; None takes what the signature is for.
        host: The server; None takes TensorFlow Serving's port on this machine.

    Raises:
        RequestError: None fits, or an argument is none of those.
    """
    if verb is not None and verb not in VERBS:
        raise RequestError(f"there is no verb {quoted(str(verb))}; it is 'predict', 'classify' or 'regress'")
    if format is not None and format not in FORMATS:
        raise RequestError(f"there is no format {quoted(str(format))}; it is 'row' or 'column'")
    _check_spec(requests)
    fitting = requests.fitting[0]
    if verb is None:
        verb = fitting if fitting in VERBS and format is None else "predict"
    if verb != "predict":
        if format is not None:
            raise RequestError(f"{verb} has no row or column format; leave the format out")
        form, request, tensors = "examples", requests[verb], {}
    elif protocol == "grpc":
        form, request = "grpc", requests.grpc
    else:
        row = format == "row" if format else not requests.rest_row.problem
        form = "rest_row" if row else "rest_column"
        request = requests[form]
    if request.problem:
        raise RequestError(request.problem)
    tensors = dict(read_predict_request(request.data).inputs) if form == "grpc" else {}
    text, is_long = _text(requests.signature, request, tensors or requests.tensors)
    return ClientRequest(
        requests.signature,
        verb,
        form,
        requests.model_name,
        requests.version,
        _host(host, protocol),
        request.target,
        text,
        tensors,
        is_long,
    )


def _text(signature: Signature, request: Request, tensors: Mapping[str, Tensor]) -> tuple[str, bool]:
    """The JSON, and whether it is too long for code; written on several lines only where it is short anyway."""
    is_long = sum(math.prod(tensor.shape) for tensor in tensors.values()) > _MOST_ELEMENTS
    if request.protocol == "grpc":
        if any(tensor.dtype in COMPLEX for tensor in tensors.values()):
            if is_long:
                raise RequestError(
                    f"the inputs of signature {quoted(signature.key)} have more than {_MOST_ELEMENTS} elements, too "
                    "many to stand in code, and complex numbers have no form in a file of JSON; give fewer"
                )
            return "", False
        values = {key: (nested_of(tensor), tensor.shape) for key, tensor in tensors.items()}
        text = Body(signature.key, "column", values).text()
    else:
        text = request.text
    return text, is_long or len(text) > LONGEST_BODY


def _fed(tensor: Tensor) -> FedTensor:
    dtype, shape = DType(tensor.dtype), tensor.shape
    if tensor.dtype == constants.DT_STRING:
        flat: list[Any] = list(tensor.texts)
    else:
        flat = lists_of(nested_of(Tensor(tensor.dtype, (math.prod(shape),), tensor.data)))
    return FedTensor(dtype, shape, flat, _nested(flat, shape))


def _nested(flat: list[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return flat[0]
    step = math.prod(shape[1:])
    return [_nested(flat[row * step : (row + 1) * step], shape[1:]) for row in range(shape[0])]


def _check_spec(requests: Requests) -> None:
    """Checks that the name, the version and the signature can be asked for."""
    name, version = requests.model_name, requests.version
    for text, what in ((name, "model name"), (requests.signature.key, "signature key")):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise RequestError(f"the {what} {quoted(text)} isn't Unicode text, and no request can name it") from None
    if not requests.signature.key:
        raise RequestError(
            "the signature with the empty key can't be called, because an empty signature_name means "
            f"{quoted(constants.DEFAULT_SIGNATURE_KEY)}; rename it"
        )
    if version is not None and not 0 <= version <= _MOST_VERSION:
        raise RequestError(f"{version} is no version that a request can name; give a number from 0 to 2^63-1")


def _host(host: str | None, protocol: Protocol) -> str:
    if host is None:
        return DEFAULT_HOST if protocol == "rest" else DEFAULT_ADDRESS
    if protocol == "rest" and _REST_HOST.fullmatch(host):
        return host.rstrip("/")
    if protocol == "grpc" and "://" not in host and _GRPC_HOST.fullmatch(host):
        return host
    wanted = DEFAULT_HOST if protocol == "rest" else DEFAULT_ADDRESS
    raise RequestError(f"{quoted(host)} is no address of a server; one such as {quoted(wanted)} was expected")
