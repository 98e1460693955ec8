"""What follows from the state as text to copy: the request to the chosen signature, and the edits as code."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import ExplorerError, RecipeError, RequestError
from explorer.render.code import command_line, python_script, recipe_json
from explorer.savedmodel.model import SavedModel
from explorer.serving.bodies import body_format
from explorer.serving.snippets import saved_model_cli_command
from explorer.state.options import OptionsState
from explorer.state.protocols import protocol_preview
from explorer.state.requests import RequestsState
from explorer.state.shown import ShownState
from explorer.state.telling import sentence

RECIPE_FILE = "recipe.json"
"""The name that the command line gives the recipe."""

_WHOLE = 1 << 40  # characters


@dataclass(frozen=True, slots=True)
class RequestPreview:
    """A request to the chosen signature.

    Attributes:
        body: The body on several lines; empty where none can be made.
        curl: The command that sends it.
        format: ``row``, ``column`` or ``examples``; empty where none can be made.
        fitting: The format that fits when nobody asks for one.
        reason: Why that one.
        problem: Why no body can be made, in a sentence.
    """

    body: str = ""
    curl: str = ""
    format: str = ""
    fitting: str = ""
    reason: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CodePreview:
    """The session as code.

    Attributes:
        python: A script that opens, edits and exports.
        recipe: The edits as a recipe file.
        command: The command line that shows what is chosen, or that applies the recipe and exports.
        saved_model_cli: TensorFlow's own command that shows the same, as it is on disk.
        on_disk: Whether the chosen signature is on disk as it is shown.
    """

    python: str = ""
    recipe: str = ""
    command: str = ""
    saved_model_cli: str = ""
    on_disk: bool = True


def request_preview(state: RequestsState) -> RequestPreview:
    """The request of the REST API to the chosen signature, in the wanted format."""
    signature = state.signature
    if signature is None:
        return RequestPreview(problem="No signature is chosen.")
    fitting = reason = ""
    try:
        fitting, reason = body_format(signature)
        wanted = state.body_format if fitting != "examples" else None
        protocol = f"rest_{wanted or fitting}" if fitting != "examples" else signature.method
        shown = protocol_preview(state, protocol, most_chars=_WHOLE)
        if shown.problem:
            raise RequestError(shown.problem)
        curl = protocol_preview(state, "curl", most_chars=_WHOLE, of=protocol)
    except ExplorerError as error:
        return RequestPreview(
            format=state.body_format or fitting, fitting=fitting, reason=reason, problem=sentence(error)
        )
    return RequestPreview(shown.text, curl.text, wanted or fitting, fitting, sentence(reason))


def code_preview(state: OptionsState) -> CodePreview:
    """The session so far as Python, recipe and command line."""
    model = state.model
    if model is None or model.path is None:
        return CodePreview()
    path = Path(os.path.abspath(os.path.expanduser(state.path or str(model.path))))
    is_base = path == model.base_path
    shown = state.path if is_base or path == model.path else str(model.path)
    edits, options = list(state.edits), state.options.chosen()
    exports = bool(edits or options)
    version = state.version if is_base else None
    export_base = state.export_base.strip() or str(model.base_path or f"{model.path}-versions")
    # The command line takes a version by its folder; relative to where the notebook runs if the path was given so.
    folder = str(model.path) if os.path.isabs(os.path.expanduser(state.path)) else os.path.relpath(model.path)
    key = state.signature_key
    command = f"python -m explorer show {shlex.quote(folder)}"
    command += "" if key is None else " " + shlex.quote(f"--signature={key}")
    cli, on_disk = _saved_model_cli(state)
    return CodePreview(
        _text(lambda: python_script(shown, version, edits, export_base if exports else None, options)),
        _text(lambda: recipe_json(edits)),
        command_line(folder, RECIPE_FILE, export_base, options) if exports else command,
        cli,
        on_disk,
    )


def _saved_model_cli(state: ShownState) -> tuple[str, bool]:
    """The command for what lies on disk: for the chosen signature where it is there, else for all."""
    source: SavedModel = state.source
    meta_graph, signature = state.meta_graph, state.signature
    if meta_graph is None:
        return "", True
    there = next((graph for graph in source.meta_graphs if graph.tags == meta_graph.tags), None)
    if there is None:
        return _text(lambda: saved_model_cli_command(source, source.meta_graphs[0].tags)), False
    same = signature is not None and there.signatures.get(signature.key) == signature
    key = signature.key if signature is not None and signature.key in there.signatures else None
    return _text(lambda: saved_model_cli_command(source, there.tags, key)), same


def _text(make: Callable[[], str]) -> str:
    try:
        return make().rstrip("\n")
    except (ExplorerError, RecipeError) as error:
        return f"# {error}"
