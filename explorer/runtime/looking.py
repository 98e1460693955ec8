"""What can be said about a source before it is converted: what it is, what it lacks, and a signature to begin with."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from explorer.converting import kinds
from explorer.converting.kinds import Need
from explorer.converting.pairs import printed_pairs
from explorer.converting.source import Source, find_source
from explorer.errors import ExplorerError
from explorer.savedmodel.model import SavedModel, Shape

if TYPE_CHECKING:
    from explorer.converting.candidates import Candidates


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found out about a source without running anything of it.

    Attributes:
        source: What it is.
        candidates: Which tensors could be inputs and outputs; None where it has no graph to look at.
        layers: Of a Keras file, the layers that it could answer with: name and class.
        inputs: What is proposed for the inputs, ``key=tensor``, separated by blanks; so are the next two.
        outputs: What is proposed for the outputs.
        constants: What is proposed for the constants.
        refusal: Why it can't be converted as it is, or what is missing; empty where nothing stands in the way.
        model: What the candidates are tensors of, without a signature; None where there are no candidates.
    """

    source: Source
    candidates: Candidates | None = None
    layers: tuple[tuple[str, str], ...] = ()
    inputs: str = ""
    outputs: str = ""
    constants: str = ""
    refusal: str = ""
    model: SavedModel | None = field(default=None, compare=False, repr=False)


def look(
    path: str | os.PathLike[str],
    graph: str | os.PathLike[str] | None = None,
    architecture: str | os.PathLike[str] | None = None,
    custom: Collection[str] = (),
) -> Looked:
    """Looks at a source; nothing of it is run, and of an HDF5 file the list of contents is read in a child process.

    Args:
        path: The source.
        graph: The GraphDef of a checkpoint without one.
        architecture: What has the same variables as a checkpoint.
        custom: Of a Keras file, the names of the classes and functions that will be given as custom objects.

    Raises:
        PathNotFoundError: There is nothing at the path.
    """
    found = find_source(path)
    if not found.can_be_converted:
        return Looked(found, refusal=found.problem or (found.needs[0].sentence if found.needs else ""))
    if found.runs_code:
        return _look_at_keras(found, custom)
    if found.kind == kinds.SAVED_MODEL:
        return Looked(found)
    from explorer.converting.candidates import rank_candidates
    from explorer.converting.choices import choose
    from explorer.converting.parts import open_parts
    from explorer.runtime.convert import parts_of

    try:
        model = open_parts(parts_of(found, graph, architecture))
        meta_graph = model.meta_graph()
        if meta_graph.callable_signatures:
            return Looked(found)
        ranked = rank_candidates(meta_graph)
    except ExplorerError as error:
        return Looked(found, refusal=str(error))
    try:
        choice = choose(meta_graph)
    except ExplorerError as error:
        return Looked(found, ranked, refusal=str(error), model=model)
    return Looked(
        found,
        ranked,
        inputs=printed_pairs(choice.inputs),
        outputs=printed_pairs(choice.outputs),
        constants=printed_pairs(choice.constants),
        model=model,
    )


def _look_at_keras(found: Source, custom: Collection[str]) -> Looked:
    """What a file of Keras has, as its configuration says it; Keras isn't run."""
    from explorer.runtime.keras_files import look_inside

    inside = look_inside(found.path, custom)
    facts = (
        *found.facts,
        ("Written by", " ".join((inside.era.split()[0].replace("keras", "Keras"), inside.keras_version)).strip()),
        ("Inputs", ", ".join(f"{one.key} {one.dtype}{_dims(one.shape)}" for one in inside.inputs)),
        ("Outputs", ", ".join(inside.outputs)),
        ("Layers", str(len(inside.layers)) if inside.layers else ""),
        ("Weights", str(len(inside.variables)) if inside.variables else ""),
    )
    source = replace(
        found,
        title=inside.title,
        facts=tuple((label, value) for label, value in facts if value),
        needs=() if inside.is_whole else found.needs or (Need(kinds.ARCHITECTURE, inside.refusal),),
        problem=inside.refusal if inside.is_whole else "",
    )
    outputs = printed_pairs({name: name for name in inside.outputs})
    inputs = printed_pairs({one.key: one.key for one in inside.inputs})
    layers = tuple((layer.name, layer.class_name) for layer in inside.layers)
    return Looked(source, layers=layers, inputs=inputs, outputs=outputs, refusal=inside.refusal)


def _dims(shape: tuple[int | None, ...] | None) -> str:
    return "" if shape is None else str(Shape(shape))
