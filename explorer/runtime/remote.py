"""The same questions, put to a TensorFlow Serving that runs somewhere: by REST or by gRPC, with the same answers.

REST goes over Python's own ``http.client``: no proxy of the environment, no redirect is followed, so that what was
asked is what is asked. A gRPC answer is printed as REST would have, so that both can be laid side by side.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from explorer.errors import RunError, printable_name, quoted
from explorer.runtime.http_server import MOST_BODY_BYTES
from explorer.runtime.rest_api import RestAnswer
from explorer.runtime.rest_verbs import Body, RestVerbs, body_bytes
from explorer.serving.urls import JSON_TYPE

TIMEOUT_S: Final = 30.0
"""How long an answer may take, as TensorFlow Serving's own REST API bounds it where nobody says otherwise."""


class Ask(Protocol):
    """Asks for one verb."""

    def __call__(self, body: Body, *, version: int | None = None, label: str | None = None) -> RestAnswer:
        """Answers a body."""


class Asked(Protocol):
    """Whoever answers: a model here, or a server somewhere."""

    @property
    def predict(self) -> Ask:
        """Predicts."""

    @property
    def classify(self) -> Ask:
        """Classifies examples."""

    @property
    def regress(self) -> Ask:
        """Regresses examples."""


class RemoteRest(RestVerbs):
    """A model of a running TensorFlow Serving, asked by REST; :func:`remote_rest` makes one. Threads may share it.

    Attributes:
        url: Where the server is, such as ``http://127.0.0.1:8501``.
        name: The model's name there.
    """

    def __init__(self, url: str, name: str, timeout_s: float, context: ssl.SSLContext | None) -> None:
        self.url = url
        self.name = name
        self._parts = urllib.parse.urlsplit(url)
        self._timeout_s = timeout_s
        self._context = context

    def request(
        self, method: str, target: str, body: Body = b"", headers: Mapping[str, str] | None = None
    ) -> RestAnswer:
        """Sends any request.

        Args:
            method: ``GET``, ``POST`` …
            target: The path as it goes on the wire, still percent-encoded, behind the path of :attr:`url`.
            body: As for :meth:`predict`.
            headers: Headers to send besides.

        Raises:
            RunError: The server can't be reached, is silent, or doesn't speak HTTP.
            RequestError: JSON can't be made of the body.
        """
        data = body_bytes(body)
        sent = {**({"Content-Type": JSON_TYPE} if data else {}), **(headers or {})}
        started_s = time.perf_counter()
        connection = self._connection()
        try:
            connection.request(method, self._parts.path + target, body=data or None, headers=sent)
            response = connection.getresponse()
            answer = response.read(MOST_BODY_BYTES + 1)
            if response.length and len(answer) <= MOST_BODY_BYTES:  # more was announced than came
                raise http.client.IncompleteRead(answer, response.length)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RunError(f"{quoted(self.url)} {_reason(error, self._timeout_s)}") from None
        finally:
            connection.close()
        if len(answer) > MOST_BODY_BYTES:
            raise RunError(f"{quoted(self.url)} answers with more than {MOST_BODY_BYTES} bytes, which isn't read")
        content_type = (response.getheader("Content-Type") or "").partition(";")[0].strip()
        return RestAnswer(response.status, answer, content_type, time.perf_counter() - started_s)

    def __repr__(self) -> str:
        return f"RemoteRest({self.url!r}, {self.name!r})"

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)


def remote_rest(
    url: str, name: str, *, timeout_s: float = TIMEOUT_S, context: ssl.SSLContext | None = None
) -> RemoteRest:
    """A running TensorFlow Serving by REST, with the methods of :func:`explorer.rest`; nothing is sent yet.

    Args:
        url: Where it is: ``http://host:8501``; a model's URL is taken too.
        name: The model's name there.
        timeout_s: How long the server may be silent, in seconds.
        context: For ``https``: whom to trust; None trusts whom the system trusts.

    Raises:
        RunError: The URL isn't one of a server.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise RunError(f"{quoted(url)} is no URL; write one like http://127.0.0.1:8501") from None
    if parts.scheme not in ("http", "https"):
        raise RunError(f"{quoted(url)} is no http or https URL; write one like http://127.0.0.1:8501")
    if not host or parts.username is not None or parts.query or parts.fragment:
        raise RunError(f"{quoted(url)} is no server's URL; write host and port only, like http://127.0.0.1:8501")
    check_timeout(timeout_s)
    before, _, _ = url.partition("/v1/models")
    return RemoteRest(before.rstrip("/"), name, timeout_s, context)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers to one body.

    Attributes:
        one: The first.
        other: The second.
        equal: Whether the statuses are the same, and the answers as JSON: whatever the order of keys, NaN like NaN.
    """

    one: RestAnswer
    other: RestAnswer
    equal: bool


def compare(
    one: Asked,
    other: Asked,
    body: Body,
    *,
    verb: Literal["predict", "classify", "regress"] = "predict",
    version: int | None = None,
    label: str | None = None,
) -> Comparison:
    """Puts one body to two: a model here and a server, REST and gRPC, the server before and the one after.

    Args:
        one: What :func:`remote_rest`, :func:`~explorer.runtime.remote_grpc.remote_grpc` or :func:`explorer.rest` gives.
        other: Another one.
        body: The body.
        verb: What is asked for.
        version: Which version both are asked for, None for the one that each serves by default.
        label: A label instead of a version.

    Raises:
        RunError: One of them can't be reached.
        RequestError: JSON can't be made of the body.
    """
    first, second = (_asked(each, verb)(body, version=version, label=label) for each in (one, other))
    return Comparison(first, second, same_answer(first, second))


def _asked(asked: Asked, verb: str) -> Ask:
    asks: dict[str, Ask] = {"predict": asked.predict, "classify": asked.classify, "regress": asked.regress}
    return asks[verb]


def same_answer(one: RestAnswer, other: RestAnswer) -> bool:
    """Whether two answers have the same status and say the same, see :class:`Comparison`."""
    if one.status != other.status:
        return False
    return one.body == other.body or _same(_loaded(one.body), _loaded(other.body))


def _loaded(body: bytes) -> Any:
    text = body.decode("utf-8", "surrogateescape")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _same(one: Any, other: Any) -> bool:
    """Deep equality in which NaN is like NaN, and a number like itself however it is written."""
    pending = [(one, other)]
    while pending:
        left, right = pending.pop()
        if isinstance(left, dict) and isinstance(right, dict):
            if left.keys() != right.keys():
                return False
            pending += [(left[key], right[key]) for key in left]
        elif isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right):
                return False
            pending += zip(left, right, strict=True)
        elif not _same_value(left, right):
            return False
    return True


def _same_value(one: Any, other: Any) -> bool:
    if isinstance(one, bool) is not isinstance(other, bool):  # Python's True is 1
        return False
    return bool(one == other or (one != one and other != other))


def check_timeout(timeout_s: float) -> None:
    """That there is any time for an answer.

    Raises:
        RunError: There is none.
    """
    if not timeout_s > 0:
        raise RunError(f"the time for an answer must be more than 0 seconds, not {timeout_s}")


def _reason(error: Exception, timeout_s: float) -> str:
    """How it goes on after the server's URL."""
    if isinstance(error, ConnectionRefusedError):
        return "can't be reached: the connection was refused; is a server running there?"
    if isinstance(error, TimeoutError):
        return f"was silent for more than {timeout_s:g} seconds"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"isn't trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"doesn't speak TLS as it should: {error.reason or error}"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    words = printable_name(" ".join(str(said).split()))
    if isinstance(error, OSError):
        return f"can't be reached: {words}"
    return f"doesn't answer as a server of HTTP does: {words}"
