"""Client code that runs as it is: one request to a signature, in every language that people call models from.

Each module writes one language from the same :class:`~explorer.serving.clients.request.ClientRequest`. Everything that
comes from a model goes through the language's literals in :mod:`explorer.serving.literals`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from explorer.errors import NotFoundError
from explorer.savedmodel.model import SavedModel, frozen
from explorer.serving.clients import curl, go, java, javascript, python_grpc, python_grpc_small, python_requests
from explorer.serving.clients.request import REQUEST_FILE, ClientRequest, Protocol, client_request
from explorer.serving.requests import Requests, requests

__all__ = ["LANGUAGES", "Language", "client_code", "client_files", "request_files"]


@dataclass(frozen=True, slots=True)
class Language:
    """A way to write a client.

    Attributes:
        title: Its name for people.
        protocol: ``"rest"`` or ``"grpc"``.
        file_name: What the code should be saved as.
        command: What runs that file.
        highlight: The language as syntax highlighters call it.
        code: Writes the code of a request.
    """

    title: str
    protocol: Protocol
    file_name: str
    command: tuple[str, ...]
    highlight: str
    code: Callable[[ClientRequest], str]


LANGUAGES: Mapping[str, Language] = frozen(
    {
        "curl": Language("curl", "rest", "client.sh", ("sh", "client.sh"), "bash", curl.code),
        "python_requests": Language(
            "Python, requests", "rest", "client.py", ("python", "client.py"), "python", python_requests.code
        ),
        "python_grpc": Language(
            "Python, gRPC with TensorFlow", "grpc", "client.py", ("python", "client.py"), "python", python_grpc.code
        ),
        "python_grpc_small": Language(
            "Python, gRPC without TensorFlow",
            "grpc",
            "client.py",
            ("python", "client.py"),
            "python",
            python_grpc_small.code,
        ),
        "javascript": Language(
            "JavaScript, fetch", "rest", "client.mjs", ("node", "client.mjs"), "javascript", javascript.code
        ),
        "go": Language("Go", "rest", "client.go", ("go", "run", "client.go"), "go", go.code),
        "java": Language("Java", "rest", "Client.java", ("java", "Client.java"), "java", java.code),
    }
)
"""Name → language, in the order in which they are offered."""


def client_code(
    model: SavedModel,
    signature_key: str | None = None,
    language: str = "curl",
    *,
    tags: Iterable[str] | None = None,
    format: str | None = None,  # noqa: A002 - as in request_body
    values: Any = None,
    host: str | None = None,
    model_name: str | None = None,
    version: int | None = None,
    verb: str | None = None,
) -> str:
    """Writes a client that sends one request and prints the answer as JSON; on failure it says why and fails.

    A body that would be too long for code is read from a file beside it, see :func:`request_files`.

    Args:
        model: The model.
        signature_key: As for :func:`~explorer.serving.requests.requests`, like ``tags``, ``values``, ``model_name`` and
            ``version``.
        language: One of :data:`LANGUAGES`.
        tags: Which meta graph.
        format: ``"row"`` or ``"column"``; None takes what fits. gRPC has one form only.
        values: Input key → value, or another form of them; inputs that are left out get zeros.
        host: The server: ``http://…`` for REST (None: port 8501 here), ``host:port`` for gRPC (None: port 8500 here).
        model_name: The server's name for the model.
        version: Which version is asked; None lets the server take its newest.
        verb: ``"predict"``, ``"classify"`` or ``"regress"``; None takes what the signature is for.

    Returns:
        The whole file, in ASCII.

    Raises:
        NotFoundError: There is no such meta graph, signature, input or language.
        RequestError: No request fits, or there is no such host, name, version or verb.
    """
    _language(language)
    made = requests(model, signature_key, tags=tags, values=values, model_name=model_name, version=version)
    files = client_files(made, language, format=format, host=host, verb=verb)
    return files[LANGUAGES[language].file_name].decode("ascii")


def request_files(
    model: SavedModel,
    signature_key: str | None = None,
    language: str = "curl",
    *,
    tags: Iterable[str] | None = None,
    format: str | None = None,  # noqa: A002 - as in request_body
    values: Any = None,
    verb: str | None = None,
) -> dict[str, bytes]:
    """What must lie beside the code of :func:`client_code` with the same arguments.

    Returns:
        File name → content: ``request.json`` where the body is too long for code, else nothing.

    Raises:
        NotFoundError: As for :func:`client_code`, like RequestError.
    """
    _language(language)
    files = client_files(requests(model, signature_key, tags=tags, values=values), language, format=format, verb=verb)
    return {name: content for name, content in files.items() if name == REQUEST_FILE}


def client_files(
    requests: Requests,
    language: str = "curl",
    *,
    format: str | None = None,  # noqa: A002 - as in request_body
    host: str | None = None,
    verb: str | None = None,
) -> dict[str, bytes]:
    """The files of a client for requests that are made already; arguments and errors as for :func:`client_code`.

    Returns:
        File name → content: the code, and ``request.json`` where the body is too long for it.
    """
    chosen = _language(language)
    request = client_request(requests, chosen.protocol, format=format, verb=verb, host=host)
    files = {chosen.file_name: chosen.code(request).encode("ascii")}
    if request.is_long:
        files[REQUEST_FILE] = request.text.encode("ascii")
    return files


def _language(name: str) -> Language:
    if name not in LANGUAGES:
        raise NotFoundError("language of client code", str(name), LANGUAGES)
    return LANGUAGES[name]
