"""Which URLs TensorFlow Serving answers, and what it says of the others.

The rules are the two regular expressions and ``ParseModelInfo`` of ``http_rest_api_util.cc``, the dispatch of
``http_rest_api_handler.cc`` and ``http_server.cc`` (https://github.com/tensorflow/serving), and before all of them what
libevent lets through (``http.c`` of https://github.com/libevent/libevent).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from explorer.errors import RequestError

JSON_TYPE: Final = "application/json"
HTML_TYPE: Final = "text/html"

Verb = Literal["predict", "classify", "regress", "metadata", "status", "preflight"]

_MOST_INT64 = (1 << 63) - 1
_INT64_DIGITS = 20  # one more than the largest has: of a longer number they are too large as well
_METHODS = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"})
_CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 501: "UNIMPLEMENTED"}
_CALLS: Final[dict[str, Verb]] = {"predict": "predict", "classify": "classify", "regress": "regress"}
_REASONS = {400: "Bad Request", 404: "Not Found", 501: "Not Implemented"}

_MODEL = r"/v1/models/([^/:]+)"
_WHICH = r"(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?"
_CALL = re.compile(rf"{_MODEL}{_WHICH}:(classify|regress|predict)", re.IGNORECASE | re.ASCII)
_LOOK = re.compile(rf"/v1/models(?:/([^/:]+))?{_WHICH}(?:/(metadata))?", re.IGNORECASE | re.ASCII)
_OURS = re.compile(r"/v1/.*", re.IGNORECASE | re.ASCII)
# RFC 3986, 3.3 to 3.5: what a path, a query and a fragment may hold.
_PART = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})"
_LEGAL = re.compile(rf"{_PART}*(?:\?(?:{_PART}|\?)*)?(?:#(?:{_PART}|\?)*)?")
_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]*:)?//[^/?#]*")


@dataclass(frozen=True, slots=True)
class Route:
    """What a URL asks for.

    Attributes:
        verb: What is to be done; ``preflight`` is a browser's question that is answered by 200 and an empty body.
        name: The model's name, decoded; bytes that aren't UTF-8 stand in it as ``surrogateescape`` leaves them.
        version: The version that is wanted, None for the default one.
        label: The version label that is wanted.
    """

    verb: Verb
    name: str = ""
    version: int | None = None
    label: str | None = None


class RouteError(RequestError):
    """A URL or method that is refused before any model is looked up.

    Attributes:
        answer: The body of the answer where it isn't the usual JSON of an error: empty, or libevent's page. None else.
        content_type: Of the answer; empty where it has none.
        status: The HTTP status.
    """

    def __init__(self, message: str, code: str, answer: bytes | None = None, content_type: str = JSON_TYPE) -> None:
        super().__init__(message, code)
        self.answer = answer
        self.content_type = content_type


def route(method: str, target: str, headers: Mapping[str, str] | None = None) -> Route:
    """Reads the first line of a request.

    Args:
        method: ``GET``, ``POST`` …, in this case.
        target: The path as the client sent it, with its query and still percent-encoded.
        headers: Those of the request; names in any case.

    Raises:
        RouteError: The server refuses it; ``answer`` and ``content_type`` say with what.
    """
    target = _AUTHORITY.sub("", target, count=1) if _AUTHORITY.match(target) else target
    if method not in _METHODS:
        raise _page(501)
    if not _LEGAL.fullmatch(target):
        raise _page(400)
    if not _OURS.fullmatch(target):
        raise _page(404)
    if method == "OPTIONS":
        return _preflight(headers or {})
    found = _route(method, target)
    if found is None:
        raise RouteError(f"Malformed request: {method} {target}", "INVALID_ARGUMENT")
    return found


def _route(method: str, target: str) -> Route | None:
    """The route, None where nothing matches."""
    pattern = {"POST": _CALL, "GET": _LOOK}.get(method)
    match = None if pattern is None else pattern.fullmatch(target)
    if match is None:
        return None
    name, version, label, last = match.groups()
    number = None if version is None else int(version.lstrip("0")[:_INT64_DIGITS] or "0")
    if number is not None and number > _MOST_INT64:
        # The server leaves here without writing the sentence.
        raise RouteError(f"Failed to convert version: {version} to numeric.", "INVALID_ARGUMENT", b"")
    # The patterns take a last word in any case, the handler only in this one.
    verb = _CALLS.get(last) if method == "POST" else "metadata" if last == "metadata" else "status"
    if verb is None:
        return None
    if name is None:
        raise RouteError("Missing model name in request.", "INVALID_ARGUMENT")
    return Route(verb, _decoded(name), number, None if label is None else _decoded(label))


def _preflight(headers: Mapping[str, str]) -> Route:
    origins = [value for key, value in headers.items() if key.lower() == "origin"]
    if origins and re.search("https?://", origins[0]):
        return Route("preflight")
    raise RouteError("Origin header is missing in CORS preflight", "FAILED_PRECONDITION", b"", "")


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def _page(status: int) -> RouteError:
    """What libevent sends by itself."""
    reason = _REASONS[status]
    page = resources.files(__package__ or "explorer.serving").joinpath("libevent_page.html").read_text("ascii")
    page = page.replace("STATUS", str(status)).replace("REASON", reason)
    return RouteError(reason, _CODES[status], page.encode(), HTML_TYPE)
