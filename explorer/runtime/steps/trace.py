"""A step before or after a model, traced by TensorFlow in a child process.

What is traced are functions of ours, so that no model runs for it and nobody has to be asked. What comes back is the
function as TensorFlow wrote it down; putting it into a model is the editor's part.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from explorer.editing.steps import Step, step_from_bytes
from explorer.errors import FormatError, NotFoundError, RunError
from explorer.runtime.child import NO_TENSORFLOW, child_folder, printable_words, run_child
from explorer.savedmodel.records import read_whole

TIMEOUT_S = 180.0
"""How long the child may take, in seconds; importing TensorFlow is nearly all of it."""

KINDS: Mapping[str, str] = {
    "image": "explorer.runtime.steps.image",
    "base64": "explorer.runtime.steps.text_encoding",
    "example": "explorer.runtime.steps.example",
    "records": "explorer.runtime.steps.example",
    "csv": "explorer.runtime.steps.tables",
    "json": "explorer.runtime.steps.tables",
    "classify": "explorer.runtime.steps.answers",
    "regress": "explorer.runtime.steps.answers",
}
"""Kind of step → the module with its ``make_<kind>``."""

OPTIONS_FILE = "options.json"
STEP_FILE = "step_{number}.bin"
REFUSAL_FILE = "refusal.txt"

_MOST_BYTES = 1 << 26


def trace(
    kind: str, options: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S, cancel: threading.Event | None = None
) -> Step:
    """Traces a step.

    Args:
        kind: One of :data:`KINDS`.
        options: What ``make_<kind>`` takes, as plain data.
        timeout_s: How long it may take, in seconds.
        cancel: Ends it when it is set.

    Raises:
        NotFoundError: There is no such kind.
        RunError: TensorFlow isn't installed, can't make such a step, or takes too long.
        RunCancelledError: ``cancel`` was set.
    """
    return trace_all([(kind, options)], timeout_s=timeout_s, cancel=cancel)[0]


def trace_all(
    wanted: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
) -> tuple[Step, ...]:
    """Traces several steps in one child, which imports TensorFlow once.

    Args:
        wanted: The kind and the options of each, as for :func:`trace`, which also says what is raised.
        timeout_s: How long all of them may take, in seconds.
        cancel: Ends it when it is set.
    """
    for kind, _ in wanted:
        if kind not in KINDS:
            raise NotFoundError("kind of step", kind, KINDS)
    named = " and ".join(kind for kind, _ in wanted)
    with child_folder() as folder:
        data = json.dumps([[kind, dict(options)] for kind, options in wanted])
        (folder / OPTIONS_FILE).write_text(data, encoding="utf-8")
        ended = run_child("explorer.runtime.steps.trace_child", [], folder, timeout_s=timeout_s, cancel=cancel)
        if ended.status == NO_TENSORFLOW:
            raise RunError(
                "a step before or after a model is traced by TensorFlow, which isn't installed here; run pip install "
                "'savedmodel-explorer[tensorflow]'"
            )
        if refusal := _read(folder / REFUSAL_FILE):
            raise RunError(f"no {named} step was made: {printable_words(refusal.decode('utf-8', 'replace'))}")
        made = [_read(folder / STEP_FILE.format(number=number)) for number in range(len(wanted))]
    if ended.status != 0:
        raise RunError(f"no {named} step was made: the child process {ended.cause}")
    try:
        return tuple(step_from_bytes(one or b"") for one in made)
    except FormatError as error:
        raise RunError(f"no {named} step was made: {error}") from None


def _read(path: Path) -> bytes | None:
    return read_whole(str(path), _MOST_BYTES, "a step")
