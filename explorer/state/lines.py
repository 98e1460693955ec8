"""The comparison for clients and the proof of an export as code to copy: Python, and the command where there is one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from explorer.render.code import python_text
from explorer.state.clients import ClientsState
from explorer.state.proving import ProvingState
from explorer.state.shown import ShownState


@dataclass(frozen=True, slots=True)
class Lines:
    """A call as code.

    Attributes:
        python: In Python; ``model`` is the draft, as the script of the session makes it.
        command: As a command line; empty where a draft is meant, which lies in no folder.
    """

    python: str = ""
    command: str = ""


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


def _folder(state: ShownState, path: Path) -> str:
    """A folder as the person named things: from where the notebook runs, or from the root."""
    return str(path) if os.path.isabs(os.path.expanduser(state.path)) else os.path.relpath(path)


def _tag_set(tags: Iterable[str]) -> str:
    texts = ", ".join(map(python_text, sorted(tags)))
    return f"{{{texts}}}" if texts else "set()"


def _quoted(folder: str) -> str:
    return shlex.quote(f"./{folder}" if folder.startswith("-") else folder)
