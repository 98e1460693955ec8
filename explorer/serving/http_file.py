"""A ``.http`` file: requests that Visual Studio Code (REST Client) and JetBrains' editors send at a click.

The format is https://github.com/JetBrains/http-request-in-editor-spec; both editors put variables in for ``{{name}}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from explorer.errors import RequestError, printable_name
from explorer.savedmodel.model import SavedModel
from explorer.serving.bodies import json_text, rest_path
from explorer.serving.requests import Request, Requests, requests
from explorer.serving.snippets import DEFAULT_HOST, served_name

_LONGEST_BODY = 10_000


def http_file(
    model: SavedModel,
    *,
    tags: Iterable[str] | None = None,
    host: str = DEFAULT_HOST,
    model_name: str | None = None,
    version: int | None = None,
) -> str:
    """Writes the status, the metadata and a request to every signature, with zeros as values.

    Args:
        model: The model.
        tags: Which meta graph; None where there is only one, or one tagged ``serve``.
        host: Scheme, host and port of the server.
        model_name: The server's name for the model; None takes the name of the base path.
        version: Which version is asked; None lets the server take its newest.

    Returns:
        The file's text, in ASCII. A signature that REST can't call is there as a comment that says why.

    Raises:
        NotFoundError: There is no such meta graph.
    """
    meta_graph = model.meta_graph(tags)
    name = model_name or served_name(model)
    start = host.rstrip("/") + rest_path(name, version).removesuffix(":predict")
    blocks = [
        f"### Which versions are loaded\nGET {start}\n",
        f"### The signatures, as the server knows them\nGET {start}/metadata\n",
    ]
    for key in meta_graph.callable_signatures:
        made = requests(model, key, tags=meta_graph.tags, model_name=name, version=version)
        blocks.append(_block(made, host.rstrip("/")))
    return "\n".join(blocks)


def _block(made: Requests, host: str) -> str:
    title = printable_name(made.signature.key).encode("ascii", "backslashreplace").decode("ascii")
    try:
        request = _request(made)
    except RequestError as error:
        reason = printable_name(str(error), 1000).encode("ascii", "backslashreplace").decode("ascii")
        return f"### Signature {title}\n# {reason}\n"
    lines = [f"### Signature {title}", f"POST {host}{request.target}", "Content-Type: application/json", ""]
    # "{{" in a text would be taken for a variable. As JSON's own escape it means the same, and stands in texts only:
    # between braces of objects there always is a key.
    body = json_text(json.loads(request.text), indent=2).replace("{{", "{\\u007b")
    return "\n".join([*lines, body, ""])


def _request(made: Requests) -> Request:
    protocol = made.fitting[0]
    request = made[protocol if protocol != "grpc" else "rest_column"]
    if request.problem:
        raise RequestError(request.problem)
    if len(request.text) > _LONGEST_BODY:
        raise RequestError(f"a body of {len(request.text)} characters is too long for this file")
    return request
