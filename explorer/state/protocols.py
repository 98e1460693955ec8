"""The request in one protocol, as it is looked at, copied and saved."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType

from explorer.errors import ExplorerError, RequestError
from explorer.render.tables import printable_size
from explorer.savedmodel.model import Signature
from explorer.serving.bodies import body_format, body_of, rest_path
from explorer.serving.body import json_text
from explorer.serving.literals import shell_literal
from explorer.serving.shortened import shortened
from explorer.serving.snippets import DEFAULT_HOST, served_name
from explorer.state.requests import RequestsState
from explorer.state.telling import sentence

LABELS = MappingProxyType(
    {
        "rest_row": "REST row",
        "rest_column": "REST column",
        "classify": "REST classify",
        "regress": "REST regress",
        "curl": "curl",
        "grpc_text": "gRPC text",
        "grpc": "gRPC bytes",
        "kserve": "KServe V2",
    }
)
"""Protocol → its name for people."""

FILES = MappingProxyType(
    {
        "curl": "request.sh",
        "grpc_text": "predict_request.textproto",
        "grpc": "predict_request.pb",
        "kserve": "infer_request.json",
    }
)
"""Protocol → the file that it is saved as; those of REST are ``request.json``."""

REST_FILE = "request.json"

_MOST_CHARS = 4000
_MOST_WRITTEN_BYTES = 8 << 20
"""Values with more bytes are written when somebody copies or saves them, not before."""

_WHATEVER_SIZE = float("inf")
_LONGEST_ARGUMENT = 100_000  # Linux refuses a single argument of 128 KiB and more


@dataclass(frozen=True, slots=True)
class ProtocolPreview:
    """A request in one protocol.

    Attributes:
        text: What is looked at.
        is_cut: Whether it is less than the whole.
        whole: Gives the whole, as text or as the bytes of a file.
        copied: Gives what is copied, where that isn't the whole: bytes in base64.
        note: What to know about it, in sentences.
        problem: Why there is none, in a sentence; empty where there is one.
        size_bytes: How long it is on the line; None where it is too long to be written only for that.
    """

    text: str = ""
    is_cut: bool = False
    whole: Callable[[], str | bytes] = field(default=str, compare=False)
    copied: Callable[[], str] | None = field(default=None, compare=False)
    note: str = ""
    problem: str = ""
    size_bytes: int | None = None


def protocol_preview(
    state: RequestsState, protocol: str, *, most_chars: int = _MOST_CHARS, of: str = ""
) -> ProtocolPreview:
    """The request to the chosen signature in one protocol.

    Args:
        state: The state.
        protocol: One of ``SHOWN_PROTOCOLS``.
        most_chars: The longest text that is looked at whole.
        of: For ``curl``, which REST request it sends; empty for the one that is meant.
    """
    if state.signature is None or state.meta_graph is None:
        return ProtocolPreview(problem="No signature is chosen.")
    try:
        if protocol == "curl":
            return _curl(state, of or state.rest_protocol, most_chars)
        text = _plain_body(state, state.signature, protocol)
        if text is not None:
            return _of_text(state, text, protocol, most_chars)
        return _of_request(state, protocol, most_chars)
    except ExplorerError as error:
        return ProtocolPreview(problem=_ended(sentence(error)))


def rest_body(state: RequestsState) -> str:
    """The whole body of the REST request that is meant, on one line.

    Raises:
        RequestError: REST can't carry it.
    """
    protocol = state.rest_protocol
    text = _rest_text(state, protocol, _WHATEVER_SIZE)
    assert text is not None
    return text


def address(state: RequestsState, protocol: str) -> str:
    """Where a request is sent: method and URL, or the gRPC method."""
    signature, model = state.signature, state.model
    if signature is None or model is None:
        return ""
    if protocol in ("grpc", "grpc_text"):
        return "tensorflow.serving.PredictionService/Predict"
    name = served_name(model)
    if protocol == "kserve":
        from explorer.serving.open_inference import infer_path

        return f"POST {infer_path(name)}"
    return f"POST {rest_path(name, None, protocol if protocol in ('classify', 'regress') else 'predict')}"


def _plain_body(state: RequestsState, signature: Signature, protocol: str) -> str | None:
    """The REST body of zeros, which takes no numpy; None where something else is asked for."""
    if not state.is_untouched or state.meta_graph is None or not protocol:
        return None
    fitting = body_format(signature)[0]
    if fitting == "examples":
        is_it = protocol == signature.method
        return body_of(signature, None, None, state.meta_graph).text() if is_it else None
    if protocol not in ("rest_row", "rest_column"):
        return None
    return body_of(signature, protocol.removeprefix("rest_"), None, state.meta_graph).text()


def _of_text(state: RequestsState, text: str, protocol: str, most_chars: int) -> ProtocolPreview:
    is_cut = len(text) > most_chars
    shown = shortened(text, most_chars) if is_cut else json_text(json.loads(text), indent=2)
    note = ""
    signature = state.signature
    if signature is not None and protocol in ("rest_row", "rest_column"):
        fitting, reason = body_format(signature)
        if protocol == f"rest_{fitting}":
            note = sentence(reason)
        elif protocol == "rest_column":
            note = f"Row would be the usual one: {reason}"
    return ProtocolPreview(shown, is_cut, lambda: text, None, note, "", len(text))


def _of_request(state: RequestsState, protocol: str, most_chars: int) -> ProtocolPreview:
    made = state.requests
    assert made is not None
    request = made[protocol]
    if request.problem:
        return ProtocolPreview(problem=_ended(sentence(request.problem)))
    note = _ended(sentence(request.note))
    if _size(state) > _MOST_WRITTEN_BYTES:
        return ProtocolPreview(request.shortened(most_chars), True, lambda: request.content, _base64(request), note)
    content = request.content
    if isinstance(content, bytes):
        text = base64.b64encode(content).decode("ascii")
        is_cut = len(text) > most_chars
        shown = f"{text[: most_chars // 2]}… {len(text) - most_chars} more characters …" if is_cut else text
        note = f"In base64 here, as bytes in the file. {note}".strip()
        return ProtocolPreview(shown, is_cut, lambda: content, lambda: text, note, "", len(content))
    if request.content_type.startswith("application/json"):
        preview = _of_text(state, content, protocol, most_chars)
        if preview.is_cut:
            text = request.shortened(most_chars)
            return ProtocolPreview(text, True, lambda: content, None, note or preview.note, "", len(content))
        return ProtocolPreview(preview.text, False, lambda: content, None, note or preview.note, "", len(request.data))
    is_cut = len(content) > most_chars
    shown = request.shortened(most_chars) if is_cut else content.rstrip("\n")
    return ProtocolPreview(shown, is_cut, lambda: content, None, note, "", len(made.grpc.data))


def _base64(request: object) -> Callable[[], str] | None:
    """What is copied of a request that is bytes."""
    if getattr(request, "protocol", "") != "grpc":
        return None
    return lambda: base64.b64encode(getattr(request, "data", b"")).decode("ascii")


def _rest_text(state: RequestsState, protocol: str, most_bytes: float) -> str | None:
    """The whole body of a REST request; None where it has more bytes than one wants to write.

    Raises:
        RequestError: There is no such request.
    """
    signature = state.signature
    if signature is None:
        raise RequestError("no signature is chosen")
    if not protocol:
        raise RequestError("REST can't carry a request to this signature; send it by gRPC")
    text = _plain_body(state, signature, protocol)
    if text is not None:
        return text
    made = state.requests
    assert made is not None
    if made[protocol].problem:
        raise RequestError(made[protocol].problem)
    return made[protocol].text if _size(state) <= most_bytes else None


def _size(state: RequestsState) -> int:
    """The bytes of all values."""
    return sum(len(tensor.data) + sum(map(len, tensor.texts)) for tensor in state.values.values())


def _curl(state: RequestsState, protocol: str, most_chars: int) -> ProtocolPreview:
    text = _rest_text(state, protocol, _MOST_WRITTEN_BYTES)
    url = shlex.quote(DEFAULT_HOST + address(state, protocol).removeprefix("POST "))
    if text is None or len(text) > _LONGEST_ARGUMENT:
        note = f"The body is too long for a command: save it as {REST_FILE} under {LABELS[protocol]}."
        command = f"curl -d @{REST_FILE} {url}"
        return ProtocolPreview(command, False, lambda: command, None, note)
    command = f"curl -d {shell_literal(text)} {url}"
    if len(command) <= most_chars:
        return ProtocolPreview(command, False, lambda: command, None, "", "", len(text))
    left_out = printable_size(len(text) - most_chars // 2)
    shown = f"curl -d '{text[: most_chars // 2]}… {left_out} more …' {url}"
    return ProtocolPreview(shown, True, lambda: command, None, "", "", len(text))


def _ended(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
