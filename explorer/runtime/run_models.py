"""What the child process does: loads models with TensorFlow's loaders and runs them, as a plan says.

The plan is ``plan.json`` in the working directory, a list of tasks, each one model in one loader; what comes of it is
``events.jsonl``, a line as soon as something is known, so that a crash takes nothing with it that was known before it.
Tensors lie in files beside them. Nothing is read from standard input or told on standard output: that is the models'.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from explorer.runtime.child import NO_TENSORFLOW, printable_words
from explorer.savedmodel import constants
from explorer.savedmodel.tensors import Tensor

PLAN_FILE = "plan.json"
EVENTS_FILE = "events.jsonl"

SOURCE = "source"
"""The loader of what is no SavedModel; its task has options that say what it is."""

Parts = list[Tensor]
"""The tensors that one output consists of."""

Runner = Callable[[Mapping[str, Any]], Mapping[str, Parts]]
"""Runs one entry of a task's ``runs``: output key → its tensors."""


def main(arguments: Sequence[str]) -> int:
    """Does the tasks of the plan.

    Args:
        arguments: The position of the first task to do: those before it were done by a child that crashed.
    """
    if importlib.util.find_spec("tensorflow") is None:
        return NO_TENSORFLOW
    plan = json.loads(Path(PLAN_FILE).read_text())
    with Path(EVENTS_FILE).open("a", encoding="utf-8") as events:

        def tell(**event: Any) -> None:
            events.write("\n" + json.dumps(event) + "\n")  # the first ends a line that a crash broke off
            events.flush()
            os.fsync(events.fileno())

        for position, task in list(enumerate(plan["tasks"]))[int(arguments[0]) :]:
            _do(position, task, bool(plan["remapper"]), tell)
    return 0


def _do(position: int, task: Mapping[str, Any], remapper: bool, tell: Callable[..., None]) -> None:
    tell(task=position, event="begin")
    try:
        with _opened(task, remapper) as run:
            tell(task=position, event="loaded")
            for number, entry in enumerate(task["runs"]):
                tell(task=position, event="run", run=number)
                tell(task=position, event="answer", run=number, **_answer(f"{position}-{number}", entry, run))
    except Exception as error:  # a loader may raise anything
        tell(task=position, event="refused", error=words(error))
    tell(task=position, event="end")


def _opened(task: Mapping[str, Any], remapper: bool) -> AbstractContextManager[Runner]:
    if task["loader"] == SOURCE:
        from explorer.runtime.source_loaders import open_source

        return open_source(Path(task["folder"]), task["options"], remapper)
    return _LOADERS[task["loader"]](Path(task["folder"]), task["tags"], remapper)


def _answer(name: str, entry: Mapping[str, Any], run: Runner) -> dict[str, Any]:
    try:
        outputs = run(entry)
        files: dict[str, list[str]] = {}
        for key, parts in outputs.items():
            for part in parts:
                files.setdefault(key, []).append(f"{name}-{sum(map(len, files.values()))}.tensor")
                part.write(Path(files[key][-1]))
    except Exception as error:  # so may a model that is run
        return {"error": words(error)}
    return {"outputs": files}


def words(error: Exception) -> str:
    """An exception of TensorFlow's in one line, without the frames that it puts before what it has to say."""
    frames = ("Graph execution error", "Detected at node", "Node: ", "File ", "<stack traces unavailable>")
    told = [line for line in str(error).splitlines() if line.strip() and not line.strip().startswith(frames)]
    return printable_words(told[0]) if told else type(error).__name__


@contextmanager
def _cpp(folder: Path, tags: Sequence[str], remapper: bool) -> Iterator[Runner]:
    """The C++ loader."""
    from explorer.runtime import c_api

    with c_api.Session(folder, tags, b"" if remapper else c_api.REMAPPER_OFF) as session:

        def run(entry: Mapping[str, Any]) -> dict[str, Parts]:
            feeds = {feed["tensor"]: Tensor.read(Path(feed["file"])) for feed in entry["feeds"]}
            return by_key(entry, session.run(feeds, fetched(entry)))

        yield run


@contextmanager
def _v1(folder: Path, tags: Sequence[str], remapper: bool) -> Iterator[Runner]:
    """``tf.compat.v1.saved_model.load``."""
    import tensorflow as tf

    config = tf.compat.v1.ConfigProto()
    if not remapper:
        config.graph_options.rewrite_options.remapping = config.graph_options.rewrite_options.OFF
    with tf.Graph().as_default(), tf.compat.v1.Session(config=config) as session:
        tf.compat.v1.saved_model.load(session, list(tags), str(folder))

        def run(entry: Mapping[str, Any]) -> dict[str, Parts]:
            feeds = {feed["tensor"]: as_fed(Tensor.read(Path(feed["file"]))) for feed in entry["feeds"]}
            return by_key(entry, [as_answer(value) for value in session.run(fetched(entry), feeds)])

        yield run


@contextmanager
def _v2(folder: Path, tags: Sequence[str], remapper: bool) -> Iterator[Runner]:
    """``tf.saved_model.load``, and the signatures that it offers, called by keyword."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"remapping": remapper})
    yield signatures_runner(tf.saved_model.load(str(folder), tags=list(tags)))


def signatures_runner(loaded: Any) -> Runner:
    """What runs the signatures of a model that ``tf.saved_model.load`` gave."""
    import tensorflow as tf

    def run(entry: Mapping[str, Any]) -> dict[str, Parts]:
        key = entry["signature_key"]
        if key not in loaded.signatures:
            raise RuntimeError(f"tf.saved_model.load offers no signature '{key}'")
        arguments = {}
        for feed in entry["feeds"]:
            value = Tensor.read(Path(feed["file"]))
            name = f"{feed['key']}_{feed['role']}" if feed["role"] else feed["key"]
            arguments[name] = tf.constant(as_fed(value), dtype=tf.dtypes.as_dtype(value.dtype))
        answers = loaded.signatures[key](**arguments)
        wanted = [fetch["key"] for fetch in entry["fetches"]]
        if missing := [name for name in wanted if name not in answers]:
            raise RuntimeError(f"the answer of tf.saved_model.load lacks the output '{missing[0]}'")
        return {
            name: [as_answer(part.numpy()) for part in tf.nest.flatten(answers[name], expand_composites=True)]
            for name in wanted
        }

    return run


_LOADERS: Mapping[str, Callable[[Path, Sequence[str], bool], AbstractContextManager[Runner]]] = {
    "cpp": _cpp,
    "v1": _v1,
    "v2": _v2,
}


def fetched(entry: Mapping[str, Any]) -> list[str]:
    """The names of all tensors that a run fetches."""
    return [tensor for fetch in entry["fetches"] for tensor in fetch["tensors"]]


def by_key(entry: Mapping[str, Any], values: Sequence[Tensor]) -> dict[str, Parts]:
    """What a run fetched, by output key."""
    rest = iter(values)
    return {fetch["key"]: [next(rest) for _ in fetch["tensors"]] for fetch in entry["fetches"]}


def as_fed(value: Tensor) -> Any:
    """A value as TensorFlow takes it; numpy's names for dtypes of its own, such as ``bfloat16``, it knows itself."""
    if value.dtype == constants.DT_STRING:
        return value.to_array()
    import numpy as np
    import tensorflow as tf

    return np.frombuffer(value.data, tf.dtypes.as_dtype(value.dtype).as_numpy_dtype).reshape(value.shape)


def as_answer(value: Any) -> Tensor:
    """What TensorFlow answers; a text that is a scalar comes as plain ``bytes``."""
    import numpy as np
    import tensorflow as tf

    if isinstance(value, bytes | str):
        return Tensor.from_array(value, constants.DT_STRING)
    array = np.asarray(value)
    return Tensor.from_array(array, int(tf.dtypes.as_dtype(array.dtype).as_datatype_enum))
