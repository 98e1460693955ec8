"""The comparison for clients and the proof of an export as code to copy: Python, and the command where there is one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from explorer.render.code import python_text
from explorer.serving.bodies import rest_path
from explorer.serving.literals import shell_literal
from explorer.serving.snippets import DEFAULT_HOST, served_name
from explorer.state.answering import AnsweringState
from explorer.state.clients import ClientsState
from explorer.state.proving import ProvingState
from explorer.state.shown import ShownState

BODY_FILE = "request.json"
"""The file that a body lies in which is too long for a line."""

_LONGEST_BODY = 2000
_SERVE = frozenset({"serve"})


@dataclass(frozen=True, slots=True)
class Lines:
    """A call as code.

    Attributes:
        python: In Python; ``model`` is the draft, as the script of the session makes it.
        command: As a command line; empty where a draft is meant, which lies in no folder.
        curl: As a command that asks a server; empty where none is asked.
        note: What to do before it works, in a sentence; empty where nothing is.
    """

    python: str = ""
    command: str = ""
    curl: str = ""
    note: str = ""


def comparison_lines(state: ClientsState) -> Lines:
    """What the comparison for clients is as code; empty where nothing is compared."""
    found = state.comparison
    if found is None or found.before is None or found.before.path is None:
        return Lines()
    before = _folder(state, found.before.path)
    tags = "" if found.tags is None else f", tags={_tag_set(found.tags)}"
    lines = (
        f"known = explorer.open_saved_model({python_text(before)})",
        f"print(explorer.compatibility(known, model{tags}))",
    )
    if found.after.edits or found.after.path is None:
        return Lines("\n".join(lines))
    asked = "" if found.tags is None else " " + shlex.quote(f"--tags={','.join(sorted(found.tags))}")
    after = _folder(state, found.after.path)
    return Lines("\n".join(lines), f"python -m explorer diff {_quoted(before)} {_quoted(after)}{asked}")


def proof_lines(state: ProvingState) -> Lines:
    """What the proof of the last export is as code; empty where nothing was exported."""
    exported, published = state.exported, state.published
    if exported is None or exported.path is None or published is None:
        return Lines()
    before, after = _folder(state, exported.path), _folder(state, published.path)
    return Lines(
        f"print(explorer.prove(model, {python_text(after)}, consent=True))",
        f"python -m explorer prove {_quoted(before)} {_quoted(after)} --allow-running",
    )


def answer_lines(state: AnsweringState) -> Lines:
    """What asks as was asked last, as code: the model here, or a server; empty where nothing is open."""
    model, meta_graph, body = state.model, state.meta_graph, state.body
    if model is None or meta_graph is None or model.path is None or not body:
        return Lines()
    is_long = len(body) > _LONGEST_BODY
    notes = [f"The body is long: save it as {BODY_FILE} first."] if is_long else []
    python = command = curl = ""
    who = state.answered_by if state.answer is None else state.answer.where
    given = f'open({python_text(BODY_FILE)}, "rb").read()' if is_long else _json_literal(body)
    if who != "server":
        is_draft = bool(model.edits)
        folder = state.export_base.strip() if is_draft else _folder(state, model.path)
        tags = "" if meta_graph.tags == _SERVE else f", tags={_tag_set(meta_graph.tags)}"
        python = (
            f"with explorer.rest({python_text(folder)}, consent=True{tags}) as server:\n"
            f"    print(server.{state.verb}({given}).text)"
        )
        if not tags:
            asks = f"python -m explorer rest {_quoted(folder)} {state.verb}"
            command = f"{asks} < {BODY_FILE}" if is_long else f"printf %s {shell_literal(body)} | {asks}"
        if is_draft:
            notes.append("Export the draft first; this asks the newest version there.")
    if who != "here":
        name = state.server_name or served_name(model)
        host = state.server_url.partition("/v1/models")[0] or DEFAULT_HOST
        if who == "server":
            server = f"explorer.remote_rest({python_text(host)}, {python_text(name)})"
            python = f"server = {server}\nprint(server.{state.verb}({given}).text)"
        url = shlex.quote(host.rstrip("/") + rest_path(name, None, state.verb))
        curl = f"curl -d @{BODY_FILE} {url}" if is_long else f"curl -d {shell_literal(body)} {url}"
    return Lines(python, command, curl, " ".join(notes))


def _json_literal(body: str) -> str:
    """JSON as a Python literal: between single quotes, where its own double quotes can stay as they are."""
    is_plain = body.isascii() and body.isprintable() and "'" not in body and "\\" not in body
    return f"'{body}'" if is_plain else python_text(body)


def _folder(state: ShownState, path: Path) -> str:
    """A folder as the person named things: from where the notebook runs, or from the root."""
    return str(path) if os.path.isabs(os.path.expanduser(state.path)) else os.path.relpath(path)


def _tag_set(tags: Iterable[str]) -> str:
    texts = ", ".join(map(python_text, sorted(tags)))
    return f"{{{texts}}}" if texts else "set()"


def _quoted(folder: str) -> str:
    return shlex.quote(f"./{folder}" if folder.startswith("-") else folder)
