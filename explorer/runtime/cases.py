"""What is run of a pair of signatures: the same made-up inputs, under the keys and tensors of each of two models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from explorer.errors import RunError, listed, quoted
from explorer.runtime.generated import Text, bound_value, choices, generated, merged, row_splits, text_kinds
from explorer.runtime.pairs import Pair
from explorer.runtime.tasks import Feed, Run, feed, fetches
from explorer.savedmodel.model import MetaGraph, Signature


@dataclass(frozen=True, slots=True)
class Case:
    """A pair of signatures and how it is run.

    Attributes:
        pair: The pair; ``moved`` says why it isn't run.
        before: Its runs in the old model, one for each set of inputs.
        after: Its runs in the new model, on the same inputs in the same order.
    """

    pair: Pair
    before: tuple[Run, ...] = ()
    after: tuple[Run, ...] = ()


def make_cases(
    folder: Path, pairs: Iterable[Pair], before: MetaGraph, after: MetaGraph, batches: Sequence[int], seed: int
) -> tuple[Case, ...]:
    """Makes up inputs for every pair and writes them into the child's folder.

    Args:
        folder: The child's folder.
        pairs: Which signature was which.
        before: The old meta graph.
        after: The new one.
        batches: What an unknown first dimension becomes.
        seed: The same seed gives the same inputs.

    Raises:
        RunError: The pairs name what the models don't have.
    """
    kinds = text_kinds(before)
    cases = []
    for number, pair in enumerate(pairs):
        _check(pair, before, after)
        if pair.moved or pair.before_key is None or pair.after_key is None:
            cases.append(Case(pair))
            continue
        old, new = before.signature(pair.before_key), after.signature(pair.after_key)
        try:
            cases.append(_case(folder, f"in{number}", pair, old, new, kinds, batches, seed))
        except RunError as error:
            cases.append(Case(replace(pair, moved=str(error))))
    return tuple(cases)


def _check(pair: Pair, before: MetaGraph, after: MetaGraph) -> None:
    """Refuses pairs that don't belong to the models, such as those of other edits."""
    for key, graph, which, inputs, outputs in (
        (pair.before_key, before, "old", {*pair.inputs.values(), *pair.bound}, set(pair.outputs.values())),
        (pair.after_key, after, "new", set(pair.inputs), set(pair.outputs)),
    ):
        if key is None:
            continue
        signature = graph.callable_signatures.get(key)
        if signature is None:
            missing = [key]
        elif pair.moved:
            missing = []
        else:
            missing = sorted((inputs - set(signature.inputs)) | (outputs - set(signature.outputs)))
        if missing:
            raise RunError(
                f"these edits don't lead from the one model to the other: in signature {quoted(key)} of the {which} "
                f"model there is no {listed(missing)}"
            )


def _case(
    folder: Path,
    name: str,
    pair: Pair,
    old: Signature,
    new: Signature,
    kinds: Mapping[str, Text],
    batches: Sequence[int],
    seed: int,
) -> Case:
    if unknown := [key for key in new.inputs if key not in pair.inputs]:
        raise RunError(f"it has inputs that it didn't have: {listed(unknown)}")
    fed = {*pair.inputs.values(), *pair.bound}
    if gone := [key for key in old.inputs if key not in fed]:
        raise RunError(f"it doesn't have the inputs any more that the old one needs: {listed(gone)}")
    infos = {key: merged(old.inputs[old_key], new.inputs[key]) for key, old_key in pair.inputs.items()}
    before_infos = {pair.inputs[key]: info for key, info in infos.items()}  # by their old keys, which say more
    runs: list[tuple[Run, Run]] = []
    for number, choice in enumerate(choices(before_infos, kinds, batches)):
        before: list[Feed] = []
        after: list[Feed] = []
        splits = row_splits(before_infos, choice) if choice.ragged else {}
        for position, (key, info) in enumerate(infos.items()):
            old_key = pair.inputs[key]
            parts = splits.get(old_key) or generated(old_key, info, choice, kinds, seed)
            file = f"{name}-{number}-{position}"
            before += feed(folder, file, old_key, old.inputs[old_key], parts)
            after += feed(folder, file, key, new.inputs[key], parts)
        for position, (key, value) in enumerate(pair.bound.items()):
            info = old.inputs[key]
            before += feed(folder, f"{name}-bound{position}", key, info, bound_value(key, info, value))
        runs.append((_run(old, before), _run(new, after)))
    return Case(pair, tuple(run for run, _ in runs), tuple(run for _, run in runs))


def _run(signature: Signature, feeds: Iterable[Feed]) -> Run:
    return Run(signature.key, tuple(feeds), fetches(signature.outputs))
