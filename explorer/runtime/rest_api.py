"""TensorFlow Serving's REST API, without a socket: a request in, the server's answer out.

The order of the checks is that of ``http_rest_api_handler.cc`` of https://github.com/tensorflow/serving: the URL, the
whole of a classify or regress body or the beginning of a predict body, the model, the signature, the inputs, the run.
Where the process that runs the model fails, there is no answer of the server to give: it would be gone. Then the answer
is our own, and says so.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from explorer.errors import FormatError, RequestError, RunError, printable_name
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.tensors import Tensor
from explorer.serving import answers, calls
from explorer.serving.examples import parse_examples
from explorer.serving.parse import begin_predict
from explorer.serving.urls import JSON_TYPE, Route, RouteError, route

OWN_STATUS: Final = 503
OWN_PREFIX: Final = "savedmodel-explorer: "
"""What the sentence of an answer begins with that a server wouldn't give."""

MOST_UNPACKED_BYTES: Final = 100 << 20
"""A packed body that unpacks to more is refused by the server (``kMaxUncompressedBytes`` in its ``gzip_zlib.h``)."""

_LONGEST_SHOWN = 60
_WHOLE_GZIP = 31  # zlib: the largest window, and a gzip header


class Served(Protocol):
    """A version of a model that is served."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def meta_graph(self) -> MetaGraph:
        """The meta graph that is served."""

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        """Runs the graph: tensor name → value, the tensors to give back.

        Raises:
            RequestError: TensorFlow refuses.
            RunError: The process that runs the model failed.
        """


class Library(Protocol):
    """The models that are served."""

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Served:
        """What answers for a model: for one of its versions, for a label, or for the newest.

        Raises:
            RequestError: There is none, with the server's sentence.
        """

    def states(self, name: str, version: int | None = None) -> Iterable[answers.VersionState]:
        """How the versions of a model fare, or one of them.

        Raises:
            RequestError: There is none, with the server's sentence.
        """


@dataclass(frozen=True, slots=True, repr=False)
class RestAnswer:
    """What comes back for a request.

    Attributes:
        status: The HTTP status.
        body: The bytes of the answer, which need be neither UTF-8 nor JSON.
        content_type: Its type; empty where the server names none.
        latency_s: How long it took, in seconds.
        is_own: Whether it isn't an answer of TensorFlow Serving, but says why there is none: the model crashed, say.
    """

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    latency_s: float = field(default=0.0, compare=False)
    is_own: bool = False

    @property
    def text(self) -> str:
        """The body as text; bytes that aren't UTF-8 show as ``�``."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body's value; ``NaN`` and ``Infinity``, which servers write, become floats.

        Bytes of texts that aren't UTF-8 are as ``surrogateescape`` leaves them.

        Raises:
            FormatError: It isn't JSON.
        """
        try:
            return json.loads(self.body.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            raise FormatError(f"this answer of status {self.status} isn't JSON; its bytes are in .body") from None

    def __repr__(self) -> str:
        shown = " ".join(self.body[: 4 * _LONGEST_SHOWN].decode("utf-8", "replace").split())
        shown = shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "…"
        return f"RestAnswer({self.status}, {printable_name(shown)!r}, {self.latency_s * 1000:.1f} ms)"


def answer(
    library: Library,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    own_answers: bool = True,
) -> RestAnswer:
    """Answers one request as TensorFlow Serving does.

    Args:
        library: The models that are served.
        method: ``GET``, ``POST`` …
        target: The path as a client sends it, with its query and still percent-encoded.
        body: The body as it was sent.
        headers: Those of the request, names in any case; ``Content-Encoding`` and ``Origin`` are looked at.
        own_answers: Whether an answer is made, too, where the process that runs the model fails.

    Raises:
        RunError: It failed, and ``own_answers`` is false.
    """
    started_s = time.perf_counter()
    headers = headers or {}
    content_type, is_own = JSON_TYPE, False
    try:
        asked = route(method, target, headers)
        status, answered = 200, _answered(library, asked, _unpacked(body, headers))
        if asked.verb == "preflight":
            content_type = ""
    except RequestError as error:
        status, answered = error.status or 500, answers.error_answer(error)
        if isinstance(error, RouteError):
            content_type = error.content_type
            answered = answered if error.answer is None else error.answer
    except RunError as error:
        if not own_answers:
            raise
        status, is_own = OWN_STATUS, True
        answered = answers.error_answer(RequestError(f"{OWN_PREFIX}{error}", "UNAVAILABLE"))
    return RestAnswer(status, answered, content_type, time.perf_counter() - started_s, is_own)


def _answered(library: Library, asked: Route, body: bytes) -> bytes:
    match asked.verb:
        case "predict":
            return _predicted(library, asked, body)
        case "classify" | "regress":
            return _examined(library, asked, body)
        case "metadata":
            found = library.find(asked.name, asked.version, asked.label)
            return answers.metadata_answer(asked.name, found.version, found.meta_graph)
        case "status":  # looks at no label (get_model_status_impl.cc)
            return answers.status_answer(library.states(asked.name, asked.version))
        case "preflight":
            return b""


def _predicted(library: Library, asked: Route, body: bytes) -> bytes:
    begun = begin_predict(body)
    served = library.find(asked.name, asked.version, asked.label)
    signature = calls.rest_signature(served.meta_graph, begun.signature_name)
    parsed = begun.inputs(signature)
    inputs = {key: value.tensor for key, value in parsed.inputs.items()}
    call = calls.predict_call(served.meta_graph, begun.signature_name, inputs)
    outputs = served.run(call.feeds, call.fetches)
    return answers.predict_answer(dict(zip(call.output_keys, outputs, strict=True)), parsed.format)


def _examined(library: Library, asked: Route, body: bytes) -> bytes:
    """Classifies or regresses examples."""
    is_classify = asked.verb == "classify"
    parsed = parse_examples(body, "classify" if is_classify else "regress")
    served = library.find(asked.name, asked.version, asked.label)
    make = calls.classify_call if is_classify else calls.regress_call
    call = make(served.meta_graph, parsed.signature_name, parsed.tensor)
    outputs = served.run(call.feeds, call.fetches)
    count = len(parsed.tensor.texts)
    if is_classify:
        return answers.classify_answer(calls.classifications(call, outputs, count))
    return answers.regress_answer(calls.regressions(call, outputs, count))


def _unpacked(body: bytes, headers: Mapping[str, str]) -> bytes:
    """The body without its compression; what can't be unpacked is read as an empty body.

    That is anything but one member of a gzip file, with its trailer and nothing behind it: ``UncompressGzipBody`` in
    ``evhttp_request.cc`` and ``UncompressAtMostOrAll`` in ``gzip_zlib.cc``, both below ``util/net_http``.
    """
    encodings = [value for key, value in headers.items() if key.lower() == "content-encoding"]
    if not encodings or "gzip" not in encodings[0]:
        return body
    member = zlib.decompressobj(_WHOLE_GZIP)
    try:
        unpacked = member.decompress(body, MOST_UNPACKED_BYTES)
        if not member.eof:  # the trailer of one that has just so many bytes may still be unread
            unpacked += member.decompress(member.unconsumed_tail, 1)
    except zlib.error:
        return b""
    is_whole = member.eof and not member.unused_data and len(unpacked) <= MOST_UNPACKED_BYTES
    return unpacked if is_whole else b""
