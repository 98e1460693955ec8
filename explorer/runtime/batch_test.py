"""Whether a signature whose batch dimension was widened answers rightly for more than one example.

Where a graph was built for a batch of one, that size may be baked into it: the loaders then take more examples without
a word and answer wrongly, and nothing in the file tells. So it is tried: what a signature answers to examples one by
one must be what it answers to all of them at once.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from explorer.diagnosing.proof import TOLERANCE
from explorer.errors import RunError, listed, quoted
from explorer.runtime.child import child_folder
from explorer.runtime.compare import compare
from explorer.runtime.generated import Choice, Parts, Text, choices, generated, text_kinds
from explorer.runtime.proof import LOADERS, TIMEOUT_S
from explorer.runtime.tasks import Answer, Feed, Loader, Run, Task, do_tasks, feed, fetches, read_answer
from explorer.savedmodel.model import SavedModel, Shape, Signature
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.tensors import Tensor


def batch_test(
    model: SavedModel | str | os.PathLike[str],
    signature_key: str,
    input_keys: Iterable[str] | None = None,
    *,
    consent: bool,
    batch_sizes: Sequence[int] = (2, 3),
    tags: Iterable[str] | None = None,
    loaders: Sequence[Loader] = ("cpp", "v1"),
    tolerance: float = TOLERANCE,
    seed: int = 0,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
) -> str:
    """Compares what a signature answers to single examples with what it answers to a batch of them.

    Args:
        model: The model with the widened batch as it lies in a folder, or its path.
        signature_key: The signature.
        input_keys: The inputs whose first dimension is the batch; None for all whose first dimension is unknown.
        consent: True says that the model may be run, in a child process.
        batch_sizes: How many examples are asked for at once.
        tags: The meta graph.
        loaders: Which loaders.
        tolerance: How far answers may be apart, as a part of an output's range: matrices of another size are
            multiplied by other code.
        seed: The same seed gives the same examples.
        timeout_s: How long all of it may take, in seconds.
        cancel: Ends it when it is set.

    Returns:
        An empty text where every output of every batch is what the single answers are; else a sentence that says what
        differs, or why it can't be told.

    Raises:
        RunError: There is no consent, the model isn't exported, TensorFlow isn't installed, or it took too long.
        RunCancelledError: ``cancel`` was set.
        FormatError: What the child left can't be read: the model wrote into its files.
        NotFoundError: There is no such meta graph, signature or input.
    """
    if not consent:
        raise RunError(
            "testing a batch runs the code in the model, in a child process; pass consent=True to allow that"
        )
    opened = model if isinstance(model, SavedModel) else open_saved_model(model)
    if opened.path is None or opened.edits:
        raise RunError("the model isn't in a folder yet, so nobody can run it: export it first, and give that path")
    meta_graph = opened.meta_graph(tags)
    signature = meta_graph.signature(signature_key)
    batched = _batched(signature, input_keys)
    if not batched:
        return f"no input of signature {quoted(signature_key)} has a batch dimension, so there is nothing to test"
    kinds = text_kinds(meta_graph)
    options = choices(signature.inputs, kinds, (1,))
    with child_folder() as folder:
        try:
            runs = tuple(
                run
                for number, choice in enumerate(options)
                for run in _runs(folder, f"in{number}", signature, batched, choice, kinds, batch_sizes, seed)
            )
        except RunError as error:
            return str(error)
        tasks = [Task(loader, opened.path.absolute(), meta_graph.tags, runs) for loader in loaders]
        outcomes, _ = do_tasks(tasks, folder, timeout_s=timeout_s, cancel=cancel)
        for loader, outcome in zip(loaders, outcomes, strict=True):
            if outcome.error:
                return f"{LOADERS[loader]} refuses the model: {outcome.error}"
            if reason := _judged(folder, outcome.answers, len(options), batch_sizes, tolerance):
                return f"{LOADERS[loader]}: {reason}"
    return ""


def _batched(signature: Signature, input_keys: Iterable[str] | None) -> frozenset[str]:
    if input_keys is not None:
        return frozenset(key for key in input_keys if signature.input(key).shape.rank != 0)
    return frozenset(key for key, info in signature.inputs.items() if info.shape.dims and info.shape.dims[0] is None)


def _runs(
    folder: Path,
    name: str,
    signature: Signature,
    batched: frozenset[str],
    choice: Choice,
    kinds: Mapping[str, Text],
    batch_sizes: Sequence[int],
    seed: int,
) -> list[Run]:
    """The runs of one set of inputs: each example alone, then the batches."""
    most = max(batch_sizes)
    if plain := [key for key in batched if signature.inputs[key].encoding != "name"]:
        raise RunError(f"a batch of inputs that are several tensors each can't be tested: {listed(sorted(plain))}")
    examples: list[dict[str, Parts]] = []
    for number in range(most):
        examples.append(
            {
                key: generated(key, info, choice, kinds, seed + number if key in batched else seed)
                for key, info in signature.inputs.items()
            }
        )
    groups = [(number,) for number in range(most)] + [tuple(range(size)) for size in batch_sizes]
    runs = []
    for position, group in enumerate(groups):
        feeds: list[Feed] = []
        for place, (key, info) in enumerate(signature.inputs.items()):
            parts: Parts = examples[group[0]][key]
            if key in batched:
                parts = {"": stacked([examples[number][key][""] for number in group])}
            feeds += feed(folder, f"{name}-{position}-{place}", key, info, parts)
        runs.append(Run(signature.key, tuple(feeds), fetches(signature.outputs)))
    return runs


def stacked(values: Sequence[Tensor]) -> Tensor:
    """Tensors of one dtype behind each other along their first dimension."""
    first = values[0]
    shape = (sum(value.shape[0] for value in values), *first.shape[1:])
    data, texts = b"".join(value.data for value in values), tuple(text for value in values for text in value.texts)
    return Tensor(first.dtype, shape, data, texts)


def _judged(folder: Path, answers: Sequence[Answer], options: int, batch_sizes: Sequence[int], tolerance: float) -> str:
    """What speaks against a batch, in the answers of one loader."""
    most, each = max(batch_sizes), len(answers) // options
    refusals = []
    for start in range(0, len(answers), each):
        singles, batches = answers[start : start + most], answers[start + most : start + each]
        if refused := next((single.error for single in singles if single.error), ""):
            refusals.append(refused)  # another set of inputs may be taken
            continue
        for size, batch in zip(batch_sizes, batches, strict=True):
            if batch.error:
                return f"{size} examples at once are refused: {batch.error}"
            if reason := _differs(folder, singles[:size], batch, size, tolerance):
                return reason
    if len(refusals) == options:
        return f"the examples that were made up for it are not taken, not even one by one: {refusals[0]}"
    return ""


def _differs(folder: Path, singles: Sequence[Answer], batch: Answer, size: int, tolerance: float) -> str:
    for key in batch.files:
        if len(batch.files[key]) != 1:
            return f"output {quoted(key)} is several tensors in one, which can't be compared example by example"
        (whole,) = read_answer(folder, batch, key)
        parts = [read_answer(folder, single, key)[0] for single in singles]
        if not whole.shape or not math.prod(parts[0].shape[:1]):
            return f"output {quoted(key)} has no batch dimension, so it can't be told whether {size} examples are right"
        if len({part.shape[1:] for part in parts}) > 1:
            return f"output {quoted(key)} has another shape for each example, so a batch of them can't be compared"
        joined = stacked(parts)
        if joined.shape != whole.shape:
            expected, shape = Shape(joined.shape), Shape(whole.shape)
            return f"output {quoted(key)} has the shape {shape} for {size} examples, where {expected} was expected"
        found = compare(joined, whole)
        if not found.equal_bits and (found.relative is None or found.relative > tolerance):
            by = found.note or f"the largest difference is {found.largest:g}"
            return f"output {quoted(key)} is not the same for {size} examples at once as for each alone: {by}"
    return ""
