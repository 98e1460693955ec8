"""Command lines that do with other tools what is shown here: curl sends, ``saved_model_cli`` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Any

from explorer.savedmodel.model import SavedModel
from explorer.serving.bodies import body_of, chosen_signature, rest_path
from explorer.serving.literals import shell_literal

DEFAULT_HOST = "http://localhost:8501"
"""Where TensorFlow Serving's REST API listens when nothing else is said."""

MODEL_FOLDER = "MODEL_FOLDER"
"""What stands in a command where the model was read from no folder."""

# Linux refuses a single argument of 128 KiB and more (MAX_ARG_STRLEN).
_LONGEST_ARGUMENT = 100_000


def curl_command(
    model: SavedModel,
    signature_key: str | None = None,
    *,
    tags: Iterable[str] | None = None,
    format: str | None = None,  # noqa: A002 - as in request_body
    values: Mapping[str, Any] | None = None,
    host: str = DEFAULT_HOST,
    model_name: str | None = None,
) -> str:
    """Makes the curl command that sends the request body to a server, safe to paste into a POSIX shell.

    Args:
        model: The model.
        signature_key: As for :func:`~explorer.serving.bodies.request_body`, like ``tags``, ``format``, ``values``.
        tags: Which meta graph.
        format: ``"row"``, ``"column"`` or None.
        values: Input key → value.
        host: Scheme, host and port of the server.
        model_name: The server's name for the model; None takes the name of the base path.

    Returns:
        One line.

    Raises:
        NotFoundError: There is no such meta graph, signature or input.
        RequestError: No REST request fits.
    """
    meta_graph = model.meta_graph(tags)
    signature = chosen_signature(meta_graph, signature_key)
    body = body_of(signature, format, values, meta_graph)
    method = signature.method if body.format == "examples" else "predict"
    url = quote(host.rstrip("/") + rest_path(model_name or served_name(model), None, method))
    text = shell_literal(body.text())
    if len(text) > _LONGEST_ARGUMENT:
        return f"printf %s {text} | curl -d @- {url}"  # printf is built into the shell, so its arguments have no limit
    return f"curl -d {text} {url}"


def served_name(model: SavedModel) -> str:
    """The name that a server most likely has for a model: that of its base path."""
    folder = model.base_path or model.path
    return (folder.name if folder is not None else "") or "model"


def saved_model_cli_command(model: SavedModel, tags: Iterable[str] | None, signature_key: str | None = None) -> str:
    """Makes the ``saved_model_cli`` command that shows the same signature.

    Args:
        model: The model.
        tags: The meta graph; None where there is only one, or one tagged ``serve``.
        signature_key: The signature; None lists the keys.

    Returns:
        One line for a POSIX shell. A tag set that ``saved_model_cli`` can't name (empty, or a tag with a comma or
        with blanks around it) gets ``--all``, which shows every signature.

    Raises:
        NotFoundError: There is no such meta graph or signature.
    """
    meta_graph = model.meta_graph(tags)
    start = f"saved_model_cli show {_option('--dir', str(model.path or MODEL_FOLDER))}"
    if not meta_graph.tags or any("," in tag or tag != tag.strip() or not tag for tag in meta_graph.tags):
        return f"{start} --all"
    command = f"{start} {_option('--tag_set', ','.join(sorted(meta_graph.tags)))}"
    if signature_key is None:
        return command
    return f"{command} {_option('--signature_def', meta_graph.signature(signature_key).key)}"


def _option(name: str, value: str) -> str:
    """An option with its value; one that begins with a dash would be taken for the next option."""
    return quote(f"{name}={value}") if value.startswith("-") else f"{name} {quote(value)}"
