"""Proof that a new version answers as the old one did: both are run on the same inputs, and the answers compared.

Running a model is running a program, so it needs the caller's consent and happens in a child process
(:mod:`explorer.runtime.child` says what its fence holds off and what not).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer.diagnosing.proof import TOLERANCE, Loading, OutputProof, Proof, SignatureProof
from explorer.errors import NotFoundError, RunError
from explorer.runtime.cases import Case, make_cases
from explorer.runtime.child import child_folder
from explorer.runtime.compare import SAME, Difference, compare, worst
from explorer.runtime.pairs import Entries, Pair, pairs_by_likeness, pairs_from_edits
from explorer.runtime.tasks import Answer, Loader, Outcome, Progress, Task, do_tasks, read_answer
from explorer.savedmodel.model import MetaGraph, SavedModel
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.tensors import Tensor

LOADERS: Mapping[Loader, str] = {
    "cpp": "C++ loader (TensorFlow Serving)",
    "v1": "tf.compat.v1",
    "v2": "tf.saved_model.load",
}
"""Loader → its name as people read it."""

TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Sides:
    """What the two that are compared are called in a sentence.

    Attributes:
        before: The one that was there first.
        after: The one that was made of it.
        neither: None of the two.
        by_size: Whether differences are measured by the size of the numbers, as between two programs that round.
    """

    before: str
    after: str
    neither: str
    by_size: bool = False


MODELS = Sides("the old model", "the new model", "neither model")


def prove(
    before: SavedModel | str | os.PathLike[str],
    after: SavedModel | str | os.PathLike[str],
    *,
    consent: bool,
    edits: Entries | None = None,
    pairs: Mapping[str, str] | None = None,
    tags: Iterable[str] | None = None,
    batches: Sequence[int] = (1, 3),
    loaders: Sequence[Loader] = ("cpp", "v1", "v2"),
    tolerance: float = TOLERANCE,
    remapper: bool = True,
    seed: int = 0,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
    progress: Progress | None = None,
) -> Proof:
    """Runs an old and a new model on the same made-up inputs, with each loader, and compares what they answer.

    Args:
        before: The old model, or its path. Of a draft, the folder that it was read from is the old model, and its
            edits are what led to the new one.
        after: The new model as it lies in a folder, or its path.
        consent: True says that the models may be run: what they contain is then executed, in a child process.
        edits: The recipe entries that led from the old to the new; without them (and without a draft) signatures and
            keys are paired by their keys, tensors and dtypes.
        pairs: Signature key in the new model → in the old one, where the caller knows better than that.
        tags: The tag set of the meta graph in the old model; None as in ``SavedModel.meta_graph``.
        batches: What an unknown first dimension becomes.
        loaders: Which loaders: ``cpp``, ``v1``, ``v2``.
        tolerance: How far an output may move, as a part of its range.
        remapper: False keeps grappler from fusing ops, which makes answers comparable to the bit where an edit lets a
            tensor be seen that would have been fused away.
        seed: The same seed gives the same inputs.
        timeout_s: How long all of it may take, in seconds; importing TensorFlow is most of it.
        cancel: Ends it when it is set.
        progress: Is told how many loads and runs are done, and of how many; what it raises ends it.

    Returns:
        Who loads the models, and the largest difference of each output.

    Raises:
        RunError: There is no consent, the new model isn't exported yet, TensorFlow isn't installed, or it took too
            long.
        RunCancelledError: ``cancel`` was set.
        FormatError: What the child left can't be read: the model wrote into its files.
        SourceError: There is no model at a path.
        NotFoundError: There is no such meta graph or signature.
    """
    if not consent:
        raise RunError(
            "a proof runs the code in both models, in a child process with limits; pass consent=True to allow that"
        )
    if edits is None and isinstance(before, SavedModel):
        edits = before.edits or None
    old, new = _source(before), exported(after)
    old_graph, new_graph, followed = _paired(old, new, edits, pairs, tags)
    with child_folder() as folder:
        cases = make_cases(folder, followed, old_graph, new_graph, batches, seed)
        tasks = [task for loader in loaders for task in _tasks(loader, cases, old, new, old_graph, new_graph)]
        outcomes, network = do_tasks(
            tasks, folder, timeout_s=timeout_s, remapper=remapper, cancel=cancel, progress=progress
        )
        loadings, proofs = [], [left_out(case, "", case.pair.moved) for case in cases if case.pair.moved]
        for loader, one, other in zip(loaders, outcomes[::2], outcomes[1::2], strict=True):
            loadings.append(Loading(LOADERS[loader], one.error, other.error))
            if not one.error and not other.error:
                proofs += signature_proofs(folder, LOADERS[loader], cases, one, other)
    return Proof(str(old.path), str(new.path), tuple(loadings), tuple(proofs), tolerance, network)


def _source(model: SavedModel | str | os.PathLike[str]) -> SavedModel:
    """The old model as it lies in its folder, whatever edits are pending."""
    if not isinstance(model, SavedModel):
        return open_saved_model(model)
    if model.path is None:
        raise RunError("the old model was made from data and has no folder, so nobody can run it; give its path")
    return open_saved_model(model.path) if model.edits else model


def exported(model: SavedModel | str | os.PathLike[str]) -> SavedModel:
    """A new model as it lies in a folder.

    Raises:
        RunError: It lies in none yet.
        SourceError: There is no model at the path.
    """
    if not isinstance(model, SavedModel):
        return open_saved_model(model)
    if model.path is None or model.edits:
        raise RunError("the new model isn't in a folder yet, so nobody can run it: export it first, and give that path")
    return model


def _paired(
    old: SavedModel,
    new: SavedModel,
    edits: Entries | None,
    pairs: Mapping[str, str] | None,
    tags: Iterable[str] | None,
) -> tuple[MetaGraph, MetaGraph, tuple[Pair, ...]]:
    """The meta graphs that are compared, and which signature was which."""
    before = old.meta_graph(tags)
    if edits is not None and pairs is None:
        followed = pairs_from_edits(old, edits, before.tags)
        if followed.tags is None:
            raise RunError("the meta graph was removed, so there is nothing to compare; name another by its tags")
        return before, new.meta_graph(followed.tags), followed.pairs
    try:
        after = new.meta_graph(before.tags)
    except NotFoundError:
        if len(new.meta_graphs) > 1:
            raise
        after = new.meta_graphs[0]  # under other tags
    return before, after, pairs_by_likeness(before, after, pairs)


def _tasks(
    loader: Loader, cases: Iterable[Case], old: SavedModel, new: SavedModel, before: MetaGraph, after: MetaGraph
) -> tuple[Task, Task]:
    """Both models in one loader; the old one is run a second time, to see whether it agrees with itself.

    The second time comes after all the first ones, so that a model with a state meets them in the state in which the
    new model does.
    """
    first = tuple(run for case in cases for run in case.before)
    second = tuple(run for case in cases for run in case.after)
    return Task(loader, _folder(old), before.tags, first * 2), Task(loader, _folder(new), after.tags, second)


def _folder(model: SavedModel) -> Path:
    assert model.path is not None  # it was opened from one
    return model.path.absolute()


def signature_proofs(
    folder: Path, loader: str, cases: Iterable[Case], before: Outcome, after: Outcome, sides: Sides = MODELS
) -> Iterator[SignatureProof]:
    """What the answers of two models to all cases say.

    Args:
        folder: The child's folder.
        loader: The name of the loader.
        cases: What was run.
        before: What came of the old model, whose runs were all done twice.
        after: What came of the new one.
        sides: What the two are called.

    Raises:
        FormatError: An answer can't be read.
    """
    start, half = 0, len(before.answers) // 2
    for case in cases:
        stop = start + len(case.before)
        if not case.pair.moved:
            first, again = before.answers[start:stop], before.answers[half + start : half + stop]
            yield _signature_proof(folder, loader, case, first, again, after.answers[start:stop], sides)
        start = stop


def _signature_proof(
    folder: Path,
    loader: str,
    case: Case,
    before: Sequence[Answer],
    again: Sequence[Answer],
    after: Sequence[Answer],
    sides: Sides,
) -> SignatureProof:
    """What the answers to one pair of signatures say."""
    both = list(zip(before, again, after, strict=True))
    answered = [(one, twice, other) for one, twice, other in both if not one.error and not other.error]
    for one, _, other in both:
        if other.error and not one.error:
            note = f"{sides.after} refuses inputs that {sides.before} takes: {other.error}"
            return SignatureProof(case.pair.before_key, case.pair.after_key, loader, "failed", (), note)
    if not answered:
        reason = before[0].error if before else "there are none"
        if any(not other.error for other in after):
            return left_out(case, loader, f"{sides.after} answers, {sides.before} does not: {reason}")
        return left_out(case, loader, f"{sides.neither} answers to the inputs that were made up for it: {reason}")
    compared = []
    for after_key, before_key in case.pair.outputs.items():
        if after_key in case.pair.notes:
            note = case.pair.notes[after_key]
            compared.append(OutputProof(before_key, after_key, None, False, note, compared=False))
            continue
        difference, varies = SAME, False
        for one, twice, other in answered:
            value = read_answer(folder, one, before_key)
            found = _difference(value, read_answer(folder, other, after_key), sides.by_size)
            if not found.equal_bits and not twice.error:
                varies |= not _difference(value, read_answer(folder, twice, before_key), sides.by_size).equal_bits
            difference = worst((difference, found))
        note = difference.note
        if varies:
            note = f"{sides.before} answers differently each time it is asked" + (f"; {note}" if note else "")
        largest, relative = difference.largest, difference.relative
        compared.append(
            OutputProof(before_key, after_key, largest, difference.equal_bits, note, relative, varies=varies)
        )
    outputs = (*compared, *_unpaired(case))
    return SignatureProof(case.pair.before_key, case.pair.after_key, loader, "compared", outputs)


def _difference(one: Sequence[Tensor], other: Sequence[Tensor], by_size: bool) -> Difference:
    if len(one) != len(other):
        return Difference(False, None, None, f"{len(one)} tensors before, {len(other)} now")
    return worst([compare(before, after, by_size) for before, after in zip(one, other, strict=True)])


def _unpaired(case: Case) -> tuple[OutputProof, ...]:
    """The outputs that only one of the two has."""
    if not case.before or not case.after:
        return ()
    partners = set(case.pair.outputs.values())
    gone = [key for key in case.before[0].fetches if key not in partners]
    fresh = [key for key in case.after[0].fetches if key not in case.pair.outputs]
    return (
        *(OutputProof(key, None, None, False, "it was removed", compared=False) for key in gone),
        *(OutputProof(None, key, None, False, "it is new", compared=False) for key in fresh),
    )


def left_out(case: Case, loader: str, note: str) -> SignatureProof:
    """A pair of signatures that was not compared, and why."""
    return SignatureProof(case.pair.before_key, case.pair.after_key, loader, "left out", (), note)
