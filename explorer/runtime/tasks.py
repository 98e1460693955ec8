"""What models are to be run on, and what came of it: the caller's side of ``run_models``.

A child does one task after the other. Where a model brings it down, that is what came of this task, and another child
does the rest.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from explorer.errors import FormatError, RunError, quoted
from explorer.runtime.child import NEEDS_TENSORFLOW, NO_TENSORFLOW, Ended, printable_words, run_child
from explorer.runtime.generated import Parts
from explorer.runtime.run_models import EVENTS_FILE, PLAN_FILE
from explorer.savedmodel.model import TensorInfo
from explorer.savedmodel.tensors import Tensor

Loader = Literal["cpp", "v1", "v2"]

Progress = Callable[[int, int], None]
"""Is told how much is done, and of how much."""

_MOST_EVENT_BYTES = 1 << 26
_FILE_NAME = re.compile(r"[0-9]+-[0-9]+-[0-9]+\.tensor\Z")


@dataclass(frozen=True, slots=True)
class Feed:
    """One tensor that a run feeds.

    Attributes:
        key: The input key.
        role: What it is in the input's encoding, ``""`` for a plain tensor.
        tensor_name: The tensor in the graph.
        file: The name of the file with its value.
    """

    key: str
    role: str
    tensor_name: str
    file: str


@dataclass(frozen=True, slots=True)
class Run:
    """One call of a signature.

    Attributes:
        signature_key: Its key.
        feeds: What it is fed.
        fetches: Output key → the tensors that make it up.
    """

    signature_key: str
    feeds: tuple[Feed, ...]
    fetches: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Task:
    """One model in one loader.

    Attributes:
        loader: Which loader: the C++ one, ``tf.compat.v1`` or ``tf.saved_model.load``; ``source`` for what is no
            SavedModel yet.
        path: The folder with ``saved_model.pb``, or the source.
        tags: The tag set.
        runs: What is run, in order.
        options: Of a source, what :func:`explorer.runtime.source_loaders.open_source` has to know; plain data.
    """

    loader: Loader | Literal["source"]
    path: Path
    tags: frozenset[str]
    runs: tuple[Run, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a run.

    Attributes:
        error: Why there is none, or an empty text.
        files: Output key → the names of the files with its tensors.
    """

    error: str
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """What came of a task.

    Attributes:
        error: Why the loader refused the model, or an empty text.
        answers: What came of each run; none where the model didn't load.
    """

    error: str = ""
    answers: tuple[Answer, ...] = ()


def feed(folder: Path, name: str, key: str, info: TensorInfo, parts: Parts) -> tuple[Feed, ...]:
    """Writes the value of an input into files, unless they are there, and says how it is fed.

    Args:
        folder: The child's folder.
        name: What the names of the files begin with.
        key: The input key.
        info: What the model declares: which tensors take the value.
        parts: The value.
    """
    feeds = []
    for role, value in parts.items():
        tensor_name = (info.components or {}).get(role) if role else info.tensor_name
        if tensor_name is None:
            raise RunError(f"input {quoted(key)} has no tensor for the {role or 'value'} of its encoding")
        file = f"{name}{role}.tensor"
        if not (folder / file).exists():
            value.write(folder / file)
        feeds.append(Feed(key, role, tensor_name, file))
    return tuple(feeds)


def fetches(outputs: Mapping[str, TensorInfo]) -> dict[str, tuple[str, ...]]:
    """What is fetched for all outputs of a signature, as servers do."""
    return {key: info.tensor_names for key, info in outputs.items()}


def read_answer(folder: Path, answer: Answer, key: str) -> tuple[Tensor, ...]:
    """The tensors of an output.

    Raises:
        FormatError: What the child wrote can't be read.
    """
    return tuple(Tensor.read(folder / name) for name in answer.files[key])


def do_tasks(
    tasks: Sequence[Task],
    folder: Path,
    *,
    timeout_s: float,
    remapper: bool = True,
    cancel: threading.Event | None = None,
    progress: Progress | None = None,
) -> tuple[tuple[Outcome, ...], str]:
    """Does some tasks in a child process, or in several where one crashes.

    Args:
        tasks: What is to be done.
        folder: The child's folder, with the files of all feeds; afterwards with those of the answers.
        timeout_s: How long all of it may take, in seconds.
        remapper: Whether grappler may fuse ops, as it does by default.
        cancel: Ends the child when it is set.
        progress: Is told how many loads and runs are done, and of how many; what it raises ends the child.

    Returns:
        What came of each task, and ``"off"`` or why the child's network wasn't cut off.

    Raises:
        RunError: TensorFlow isn't installed, it took too long, or the child can't be started or understood.
        RunCancelledError: ``cancel`` was set.
    """
    (folder / PLAN_FILE).write_text(json.dumps(_plan(tasks, remapper)), encoding="utf-8")
    outcomes = [Outcome() for _ in tasks]
    answers = [[Answer("it was not run: the process crashed before") for _ in task.runs] for task in tasks]
    total = sum(1 + len(task.runs) for task in tasks)
    deadline_s = time.monotonic() + timeout_s
    told = -1

    def watch() -> None:
        nonlocal told
        done = sum(event.get("event") in ("loaded", "refused", "answer") for event in _events(folder))
        if progress is not None and done != told:
            told = done
            progress(min(done, total), total)

    first = 0
    while first < len(tasks):
        ended = run_child(
            "explorer.runtime.run_models", [str(first)], folder,
            timeout_s=max(0.0, deadline_s - time.monotonic()), cancel=cancel, watch=watch if progress else None,
        )  # fmt: skip
        if ended.status == NO_TENSORFLOW:
            raise RunError(NEEDS_TENSORFLOW)
        first = _take_in(folder, first, ended, outcomes, answers)
    for outcome, found in zip(outcomes, answers, strict=True):
        outcome.answers = () if outcome.error else tuple(found)
    watch()
    return tuple(outcomes), ended.network if tasks else ""


def _plan(tasks: Sequence[Task], remapper: bool) -> dict[str, Any]:
    return {
        "remapper": remapper,
        "tasks": [
            {
                "loader": task.loader,
                "folder": str(task.path),
                "tags": sorted(task.tags),
                "options": task.options,
                "runs": [
                    {
                        "signature_key": run.signature_key,
                        "feeds": [
                            {"key": feed.key, "role": feed.role, "tensor": feed.tensor_name, "file": feed.file}
                            for feed in run.feeds
                        ],
                        "fetches": [{"key": key, "tensors": list(names)} for key, names in run.fetches.items()],
                    }
                    for run in task.runs
                ],
            }
            for task in tasks
        ],
    }


def _events(folder: Path) -> Iterator[Mapping[str, Any]]:
    """What the child has told so far."""
    try:
        with (folder / EVENTS_FILE).open("rb") as file:
            lines = file.read(_MOST_EVENT_BYTES).splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line) if line else None
        except ValueError:  # still being written, or broken off by a crash
            continue
        if isinstance(event, dict):
            yield event


def _take_in(folder: Path, first: int, ended: Ended, outcomes: list[Outcome], answers: list[list[Answer]]) -> int:
    """Takes in what a child told; gives the first task that is still to do."""
    at, running, loaded, over = None, None, False, first
    for event in _events(folder):
        position, kind = event.get("task"), event.get("event")
        if not isinstance(position, int) or not first <= position < len(outcomes):
            continue
        if kind == "begin":
            at, running, loaded = position, None, False
        elif kind == "loaded":
            loaded = True
        elif kind == "refused":
            outcomes[position].error = printable_words(str(event.get("error"))) or "it gave no reason"
        elif kind in ("run", "answer"):
            run = event.get("run")
            if not isinstance(run, int) or not 0 <= run < len(answers[position]):
                raise RunError("what the child process told can't be understood: it names a run that wasn't asked for")
            running = run if kind == "run" else None
            if kind == "answer":
                answers[position][run] = _answer(event)
        elif kind == "end":
            at, over = None, position + 1
    if ended.status == 0 and over == len(outcomes):
        return over
    if at is None:
        raise RunError(f"the child process {ended.cause}")
    if not loaded:
        outcomes[at].error = f"the process {ended.cause}"
    elif running is not None:
        answers[at][running] = Answer(f"the process {ended.cause}")
    return at + 1


def _answer(event: Mapping[str, Any]) -> Answer:
    error, outputs = event.get("error"), event.get("outputs")
    if error is not None:
        return Answer(printable_words(str(error)) or "it gave no reason")
    if not isinstance(outputs, dict) or not all(_are_file_names(names) for names in outputs.values()):
        raise FormatError("what the child process told can't be understood: an answer names no files")
    return Answer("", {key: tuple(names) for key, names in outputs.items()})


def _are_file_names(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) and _FILE_NAME.match(name) for name in names)
