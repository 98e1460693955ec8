"""Proof that a converted model answers as its source does: both are run on the same inputs, and the answers compared.

A graph or a checkpoint is run in a session of TensorFlow, a file of Keras with Keras, each in a child process; so it
takes the caller's consent, as :func:`explorer.runtime.proof.prove` does, and says its result in the same form.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from explorer.converting import kinds
from explorer.converting.source import Source, find_source
from explorer.diagnosing.proof import TOLERANCE, Loading, Proof, SignatureProof
from explorer.errors import ConversionError, RunError, listed, quoted
from explorer.runtime.cases import Case, make_cases
from explorer.runtime.child import child_folder
from explorer.runtime.pairs import Pair
from explorer.runtime.proof import LOADERS, TIMEOUT_S, Sides, exported, left_out, prove, signature_proofs
from explorer.runtime.source_tasks import GRAPH_KINDS, Said, source_task, whole_name
from explorer.runtime.tasks import Loader, Outcome, Progress, Task, do_tasks
from explorer.savedmodel import constants as names
from explorer.savedmodel.model import MetaGraph, SavedModel, TensorInfo

NO_CONSENT = (
    "a proof runs what is in the source and in the SavedModel, in a child process with limits; pass consent=True to "
    "allow that"
)

SIDES = Sides("the source", "the SavedModel", "neither the source nor the SavedModel", by_size=True)


def prove_conversion(
    source: Source | str | os.PathLike[str],
    after: str | os.PathLike[str],
    *,
    consent: bool,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    constants: Mapping[str, Any] | None = None,
    signature_key: str = names.DEFAULT_SIGNATURE_KEY,
    endpoints: Mapping[str, str | Sequence[str] | None] | None = None,
    graph: str | os.PathLike[str] | None = None,
    architecture: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, object] | None = None,
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
    """Runs a source and the SavedModel that it was converted to on the same made-up inputs, and compares the answers.

    What isn't said is read from the SavedModel: its signatures name the tensors of the source's graph, and the values
    that placeholders got for good stand in its graph.

    Args:
        source: What was converted: a graph, a checkpoint, a file of Keras.
        after: The version that was written.
        consent: True says that source and SavedModel may be run: what they contain is then executed, in a child
            process.
        inputs: Input key of the signature → tensor name in the source's graph; of a Keras file, → name of an input.
        outputs: Output key → tensor name; of a Keras file, → name of an output or of a layer.
        constants: Placeholder → the value that it has for good.
        signature_key: The signature that ``inputs`` and ``outputs`` are about; all signatures are compared.
        endpoints: Of a Keras file, signature key → the layer that it answers with, or several; None for the model.
        graph: The graph of a checkpoint that has none beside it.
        architecture: What a checkpoint of TensorFlow 2 or a file of weights was put into.
        custom_objects: Of a Keras file, class name → where it is defined, as for the conversion.
        tags: The tag set of the meta graph in the SavedModel; None as in ``SavedModel.meta_graph``.
        batches: What an unknown first dimension becomes.
        loaders: Which loaders run the SavedModel: ``cpp``, ``v1``, ``v2``.
        tolerance: How far an output may move, as a part of its range, or of its largest element where that is more:
            Keras and a server round differently, each to so many digits of a number.
        remapper: False keeps grappler from fusing ops.
        seed: The same seed gives the same inputs.
        timeout_s: How long all of it may take, in seconds.
        cancel: Ends it when it is set.
        progress: Is told how many loads and runs are done, and of how many; what it raises ends it.

    Returns:
        Who loads the SavedModel, and how far each output is from the source's. Where the source can't be run here, it
        says why.

    Raises:
        ConversionError: Something that the source needs wasn't given.
        RunError: There is no consent, TensorFlow isn't installed, or it took too long.
        RunCancelledError: ``cancel`` was set.
        FormatError: What the child left can't be read.
        SourceError: There is nothing at a path.
        NotFoundError: There is no such meta graph or signature.
    """
    if not consent:
        raise RunError(NO_CONSENT)
    said = Said(
        inputs or {}, outputs or {}, constants or {}, signature_key, endpoints or {}, _path(graph),
        _path(architecture), custom_objects or {},
    )  # fmt: skip
    found = source if isinstance(source, Source) else find_source(source)
    new = exported(after)
    if found.kind == kinds.SAVED_MODEL and not found.problem:
        return prove(
            found.path, new, consent=True, tags=tags, batches=batches, loaders=loaders, tolerance=tolerance,
            remapper=remapper, seed=seed, timeout_s=timeout_s, cancel=cancel, progress=progress,
        )  # fmt: skip
    answered = new.meta_graph(tags)
    asked = _asked(found, answered, said)
    with child_folder() as folder:
        cases = make_cases(folder, _pairs(answered), asked, answered, batches, seed)
        tasks = [_loading(loader, new, answered, cases) for loader in loaders]
        refused: list[Outcome] = []
        try:
            tasks.insert(0, source_task(found, said, answered, [run for case in cases for run in case.before]))
        except ConversionError as error:
            if error.needs:
                raise
            refused.append(Outcome(f"{quoted(found.path.name)} can't be run: {error}"))
        outcomes, network = do_tasks(
            tasks, folder, timeout_s=timeout_s, remapper=remapper, cancel=cancel, progress=progress
        )
        loadings, proofs = _compared(folder, cases, loaders, (*refused, *outcomes))
    return Proof(str(found.path), str(new.path), loadings, proofs, tolerance, network, found.title)


def _path(path: str | os.PathLike[str] | None) -> Path | None:
    return None if path is None else Path(path).expanduser().absolute()


def _asked(found: Source, answered: MetaGraph, said: Said) -> MetaGraph:
    """The signatures as the source is asked them: of a graph, with the tensors of its own that somebody named.

    Raises:
        NotFoundError: The SavedModel has no such signature.
        RunError: The signature has no such input or output.
    """
    if not (said.inputs or said.outputs):
        return answered
    signature = answered.signature(said.signature_key)
    for what, given, there in (
        ("input", said.inputs, signature.inputs),
        ("output", said.outputs, signature.outputs),
    ):
        if missing := [key for key in given if key not in there]:
            raise RunError(
                f"signature {quoted(signature.key)} of the SavedModel has no {what} {listed(missing)}; it has "
                f"{listed(there)}"
            )
    if found.kind not in GRAPH_KINDS:
        return answered
    changed = replace(
        signature, inputs=_named(signature.inputs, said.inputs), outputs=_named(signature.outputs, said.outputs)
    )
    return replace(answered, signatures={**answered.signatures, signature.key: changed})


def _named(infos: Mapping[str, TensorInfo], given: Mapping[str, str]) -> dict[str, TensorInfo]:
    return {
        key: replace(info, tensor_name=whole_name(given[key])) if key in given and info.encoding == "name" else info
        for key, info in infos.items()
    }


def _pairs(answered: MetaGraph) -> tuple[Pair, ...]:
    """Every signature with itself: what the source is asked has the same keys."""
    return tuple(
        Pair(key, key, {name: name for name in signature.inputs}, {name: name for name in signature.outputs})
        for key, signature in answered.callable_signatures.items()
    )


def _loading(loader: Loader, new: SavedModel, answered: MetaGraph, cases: Iterable[Case]) -> Task:
    assert new.path is not None  # it was opened from one
    return Task(loader, new.path.absolute(), answered.tags, tuple(run for case in cases for run in case.after))


def _compared(
    folder: Path, cases: Sequence[Case], loaders: Sequence[Loader], outcomes: Sequence[Outcome]
) -> tuple[tuple[Loading, ...], tuple[SignatureProof, ...]]:
    """What the answers of the source, which come first, and those of each loader say."""
    source, *others = outcomes
    why = f"the source doesn't load: {source.error}" if source.error else ""
    proofs = [left_out(case, "", case.pair.moved) for case in cases if case.pair.moved]
    loadings = []
    for loader, outcome in zip(loaders, others, strict=True):
        loadings.append(Loading(LOADERS[loader], why, outcome.error))
        if not why and not outcome.error:
            proofs += signature_proofs(folder, LOADERS[loader], cases, source, outcome, SIDES)
    return tuple(loadings), tuple(proofs)
