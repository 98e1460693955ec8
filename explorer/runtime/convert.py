"""``explorer.convert``: a checkpoint, a frozen graph or a Keras file to a SavedModel with the signature one wants.

Graphs and checkpoints of TensorFlow 1 are converted without TensorFlow, by putting together what is there. Keras files
hold no graph, so Keras has to build one: that is running a program, takes the caller's consent and happens in a child
process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from explorer.converting import kinds
from explorer.converting.choices import choose
from explorer.converting.devices import device_notes
from explorer.converting.parts import Parts, new_folder, open_held, open_parts
from explorer.converting.source import Source, find_source
from explorer.editing.edits import add_signature, bind_input, clear_devices, remove_signature
from explorer.errors import ConversionError, quoted
from explorer.exporting.export import export_version
from explorer.exporting.publish import Published
from explorer.savedmodel import constants as names
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.opening import open_saved_model

__all__ = ["Prepared", "convert", "convert_version", "open_source"]

Progress = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and of how much; what it raises ends the conversion."""

TIMEOUT_S = 900.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person says about a source beside its path; None and empty for what the source itself says.

    Attributes:
        inputs: Input key → tensor name; of a Keras file, → the name of an input.
        outputs: Output key → tensor name; of a Keras file, → the name of an output or of any layer.
        constants: Placeholder → the value that it gets for good.
        signature_key: The key of the signature.
        endpoints: Of a Keras file, more signatures: signature key → the layer that it answers with.
        graph: A GraphDef for a checkpoint that has none beside it.
        architecture: What has the same variables as a checkpoint or a file of weights: a SavedModel, a whole Keras
            file, or the JSON of ``model.to_json()``.
        custom_objects: Class name in a Keras file → where it is defined, ``module:Name`` or ``file.py:Name``.
    """

    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None
    constants: Mapping[str, Any] | None = None
    signature_key: str = names.DEFAULT_SIGNATURE_KEY
    endpoints: Mapping[str, str] | None = None
    graph: str | os.PathLike[str] | None = None
    architecture: str | os.PathLike[str] | None = None
    custom_objects: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A source as a SavedModel that is still to be exported.

    Attributes:
        model: The model, in a temporary folder that lives as long as it does; edit it as any other.
        source: What it was made of.
        reasons: For each tensor that nobody named, why it was taken.
        notes: What a person should know, one sentence each.
    """

    model: SavedModel
    source: Source
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def convert(
    source: Any,
    base_path: str | os.PathLike[str],
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    constants: Mapping[str, Any] | None = None,
    signature_key: str = names.DEFAULT_SIGNATURE_KEY,
    endpoints: Mapping[str, str] | None = None,
    graph: str | os.PathLike[str] | None = None,
    architecture: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, object] | None = None,
    version: int | None = None,
    consent: bool = False,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
    progress: Progress | None = None,
) -> Path:
    """Turns a source into a new version of a SavedModel; see :func:`convert_version` for the arguments.

    Returns:
        The folder of the version.
    """
    published, _ = convert_version(
        source,
        base_path,
        inputs=inputs,
        outputs=outputs,
        constants=constants,
        signature_key=signature_key,
        endpoints=endpoints,
        graph=graph,
        architecture=architecture,
        checkpoint=checkpoint,
        custom_objects=custom_objects,
        version=version,
        consent=consent,
        timeout_s=timeout_s,
        cancel=cancel,
        progress=progress,
    )
    return published.path


def convert_version(
    source: Any,
    base_path: str | os.PathLike[str],
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    constants: Mapping[str, Any] | None = None,
    signature_key: str = names.DEFAULT_SIGNATURE_KEY,
    endpoints: Mapping[str, str] | None = None,
    graph: str | os.PathLike[str] | None = None,
    architecture: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, object] | None = None,
    version: int | None = None,
    consent: bool = False,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
    progress: Progress | None = None,
) -> tuple[Published, Prepared]:
    """Turns a source into a new version of a SavedModel, all of it or nothing.

    Args:
        source: A frozen graph, a checkpoint (its prefix, one of its files, or its folder), a Keras file, or a model
            that Keras or ``tf.Module`` made and that is in memory.
        base_path: The folder that holds the versions; it is made if missing.
        inputs: Input key → tensor name (``x:0``; ``x`` will do). None takes the placeholders that the outputs need.
            Of a Keras file: input key → the name of an input.
        outputs: Output key → tensor name. None takes what looks most like the answer. Of a Keras file: output key →
            the name of an output or of any layer.
        constants: Placeholder (``keep_prob``) → the value that it gets for good. Placeholders that only training
            changes have one already.
        signature_key: The key of the signature.
        endpoints: Of a Keras file, further signatures: key → the layer that each answers with.
        graph: A GraphDef, for a checkpoint that has none beside it.
        architecture: For a checkpoint of TensorFlow 2, a SavedModel of the same architecture; for a Keras file with
            nothing but weights, a whole Keras file or the JSON of ``model.to_json()``.
        checkpoint: For a model in memory, the checkpoint or the file of weights that is restored into it first.
        custom_objects: For Keras files, class name → where it is defined: ``module:Name`` or ``file.py:Name``, or the
            class itself where its module can be imported.
        version: The number to give; None takes the next one.
        consent: True says that Keras may build the model of a Keras file, in a child process.
        timeout_s: How long that may take, in seconds.
        cancel: Ends it when it is set; nothing is written then.
        progress: Is told how far it is.

    Returns:
        What was written, and what it was made of.

    Raises:
        ConversionError: The source can't be converted, or something is missing beside it.
        EditError: The signature doesn't fit the graph.
        ExportError: Nothing was published.
        RunError: Keras is needed, and there is no consent, or it failed.
        RunCancelledError: ``cancel`` was set.
    """
    prepared = open_source(
        source,
        inputs=inputs,
        outputs=outputs,
        constants=constants,
        signature_key=signature_key,
        endpoints=endpoints,
        graph=graph,
        architecture=architecture,
        checkpoint=checkpoint,
        custom_objects=custom_objects,
        consent=consent,
        timeout_s=timeout_s,
        cancel=cancel,
        progress=progress,
    )
    return export_prepared(prepared, base_path, version=version, progress=progress), prepared


def export_prepared(
    prepared: Prepared,
    base_path: str | os.PathLike[str],
    *,
    version: int | None = None,
    progress: Progress | None = None,
) -> Published:
    """Exports what :func:`open_source` gave; the files of the source are copied.

    Raises:
        ExportError: Nothing was published.
    """

    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress("writing", done, total)

    published = export_version(prepared.model, base_path, version=version, follow_outside_links=True, progress=tell)
    return replace(published, notes=(*prepared.notes, *published.notes))


def open_source(
    source: Any,
    *,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    constants: Mapping[str, Any] | None = None,
    signature_key: str = names.DEFAULT_SIGNATURE_KEY,
    endpoints: Mapping[str, str] | None = None,
    graph: str | os.PathLike[str] | None = None,
    architecture: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, object] | None = None,
    consent: bool = False,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """Turns a source into a SavedModel that is still to be exported; see :func:`convert_version` for the arguments.

    What it gives is edited like any other model, and exported with :func:`export_prepared`.
    """
    wanted = Wanted(inputs, outputs, constants or {}, signature_key, endpoints, graph, architecture, custom_objects)
    if not isinstance(source, str | os.PathLike):
        return _from_memory(source, wanted, checkpoint)
    found = find_source(source)
    if checkpoint is not None:
        raise ConversionError(
            "checkpoint= is for a model in memory; a checkpoint in a file is the source itself, and what has the same "
            "variables goes to architecture= or graph="
        )
    if found.problem:
        raise ConversionError(f"{quoted(str(found.path))} {found.title}: {found.problem}")
    if found.runs_code:
        return _from_keras(found, wanted, consent, timeout_s, cancel, progress)
    if found.kind == kinds.SAVED_MODEL:
        return _signed(Prepared(open_saved_model(found.path), found), wanted)
    parts = parts_of(found, wanted.graph, wanted.architecture)
    model, notes = open_parts(parts), parts.notes
    if found.kind != kinds.TF2_CHECKPOINT and (placed := device_notes(model.meta_graph())):
        model = clear_devices(model)
        notes += tuple(f"{note}; the new model places none" for note in placed)
    return _signed(Prepared(model, found, notes=notes), wanted)


def parts_of(
    found: Source, graph: str | os.PathLike[str] | None = None, architecture: str | os.PathLike[str] | None = None
) -> Parts:
    """What the SavedModel of a graph or a checkpoint is made of; nothing is run.

    Raises:
        ConversionError: It needs something besides that wasn't given.
    """
    kind = found.kind
    graph_path = None if graph is None else Path(graph).expanduser()
    if kind in (kinds.FROZEN_GRAPH, kinds.FROZEN_GRAPH_TEXT):
        from explorer.converting.graph_file import parts_of_graph

        return parts_of_graph(found.path)
    if kind == kinds.TF1_CHECKPOINT and graph_path is None:
        from explorer.converting.meta_file import parts_of_checkpoint

        return parts_of_checkpoint(found)
    if kind in (kinds.V1_CHECKPOINT, kinds.V1_CHECKPOINT_NO_GRAPH):
        if kind == kinds.V1_CHECKPOINT_NO_GRAPH and graph_path is None:
            raise _needs(found, "graph")
        from explorer.converting.with_graph import parts_of_v1_checkpoint

        return parts_of_v1_checkpoint(found, graph_path)
    if kind in (kinds.TF1_CHECKPOINT, kinds.TF1_CHECKPOINT_NO_GRAPH):
        if graph_path is None:
            raise _needs(found, "graph")
        from explorer.converting.with_graph import parts_with_graph

        return parts_with_graph(found, graph_path)
    if kind == kinds.TF2_CHECKPOINT:
        if architecture is None:
            raise _needs(found, "architecture")
        from explorer.converting.same_architecture import parts_with_architecture

        return parts_with_architecture(found, open_saved_model(architecture))
    raise _needs(found, "graph")


def _needs(found: Source, what: str) -> ConversionError:
    """The error for something that has to be given besides."""
    sentence = next((need.sentence for need in found.needs if need.what == what), "")
    if not sentence and found.needs:
        sentence = found.needs[0].sentence
    return ConversionError(
        f"{quoted(str(found.path))} {found.title}: {sentence or 'it holds no graph to convert'}",
        [need.what for need in found.needs] or [what],
    )


def _signed(prepared: Prepared, wanted: Wanted) -> Prepared:
    """Gives the graph of a source its signature."""
    model = prepared.model
    present = model.meta_graph().callable_signatures
    if present and not (wanted.inputs or wanted.outputs or wanted.constants):
        return prepared
    if wanted.signature_key in present:
        model = remove_signature(model, wanted.signature_key)
    choice = choose(model.meta_graph(), wanted.inputs, wanted.outputs, wanted.constants)
    fixed = {f"constant_{position}": tensor for position, tensor in enumerate(choice.constants)}
    model = add_signature(model, wanted.signature_key, {**choice.inputs, **fixed}, choice.outputs)
    for key, tensor in fixed.items():
        model = bind_input(model, wanted.signature_key, key, choice.constants[tensor])
    return replace(prepared, model=model, reasons=choice.reasons)


def _from_keras(
    found: Source,
    wanted: Wanted,
    consent: bool,
    timeout_s: float,
    cancel: threading.Event | None,
    progress: Progress | None,
) -> Prepared:
    from explorer.runtime.convert_keras import convert_keras
    from explorer.runtime.custom_objects import named

    if wanted.constants:
        raise ConversionError("constants are for graphs with placeholders; a Keras model has none for training")
    with new_folder() as holder:
        made = convert_keras(
            found.path,
            Path(holder.name),
            consent=consent,
            architecture=None if wanted.architecture is None else Path(wanted.architecture).expanduser(),
            custom_objects=named(wanted.custom_objects or {}),
            signature_key=wanted.signature_key,
            input_keys=wanted.inputs,
            output_keys=wanted.outputs,
            endpoints=wanted.endpoints,
            timeout_s=timeout_s,
            cancel=cancel,
            progress=progress,
        )
        return Prepared(open_held(holder, found.path), found, notes=made.notes)


def _from_memory(source: Any, wanted: Wanted, checkpoint: str | os.PathLike[str] | None) -> Prepared:
    """A model that the caller has made, in whose own process it is written."""
    from explorer.runtime.convert_memory import convert_model

    if wanted.constants or wanted.graph or wanted.architecture or wanted.custom_objects:
        raise ConversionError("a model in memory needs no graph, architecture, constants or custom objects")
    name = str(getattr(source, "name", "") or type(source).__name__)
    with new_folder() as holder:
        made = convert_model(
            source,
            Path(holder.name),
            checkpoint=checkpoint,
            signature_key=wanted.signature_key,
            input_keys=wanted.inputs,
            output_keys=wanted.outputs,
            endpoints=wanted.endpoints,
        )
        found = Source(Path(name), kinds.MODEL, f"is a model of {made.framework}, in memory")
        return Prepared(open_held(holder, Path(name)), found, notes=made.notes)
