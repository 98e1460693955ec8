"""A checkpoint of TensorFlow 2 put into a SavedModel of the same architecture: its graph stays, its values change."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from explorer.converting.bundle import DATA, INDEX, BundleTensor, bundle_content, read_bundle
from explorer.converting.checkpoint_files import files_of
from explorer.converting.kinds import Source
from explorer.converting.object_matching import Match, Side, matches
from explorer.converting.object_trees import VALUE, read_object_tree
from explorer.converting.parts import Content, Parts
from explorer.converting.sizes import counted
from explorer.errors import ConversionError, FormatError, listed, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.captures import restored_handles
from explorer.savedmodel.checkpoint_index import OBJECT_GRAPH_KEY
from explorer.savedmodel.graph import Graph, has_graph, input_node, read_graph
from explorer.savedmodel.model import DType, SavedModel, Shape
from explorer.savedmodel.overlay import FileSource
from explorer.savedmodel.records import read_whole
from explorer.savedmodel.variables import LARGEST_INDEX_BYTES, read_variables

_OBJECT_GRAPH: Final = OBJECT_GRAPH_KEY.encode()
_REPLACED: Final = (*constants.MODEL_FILE_NAMES, constants.FINGERPRINT)
_MOST_FILES: Final = 100_000
_USUAL: Final = "model"
"""What nearly every program calls its model in ``tf.train.Checkpoint(model=…)``."""


def parts_with_architecture(source: Source, architecture: SavedModel, below: str | None = None) -> Parts:
    """Puts the values of a checkpoint into a SavedModel with the same variables.

    Args:
        source: A checkpoint that ``tf.train.Checkpoint`` or ``save_weights`` wrote.
        architecture: The SavedModel; its graph, its signatures and its files stay as they are.
        below: The path of the object in the checkpoint that the model is, such as ``ema/model``; None finds it.

    Returns:
        What the new SavedModel is made of.

    Raises:
        ConversionError: A variable that a signature needs is not in the checkpoint with its dtype and shape.
        FormatError: A file is damaged.
        SourceError: A file can't be read.
    """
    if source.problem:
        raise ConversionError(f"{quoted(str(source.path))} {source.title}: {source.problem}")
    folder, document = architecture.path, architecture.document
    if folder is None or document is None or architecture.lossy:
        raise ConversionError(f"the SavedModel can't be written anew: {architecture.lossy or 'it has no file'}")
    model = _side_of_model(folder)
    checkpoint = _side(source.path)
    needed = _needed_keys(architecture, model)
    best = _best_match(source, model, checkpoint, needed, below)
    missing = [key for key in needed if key not in best.keys]
    if missing:
        raise _does_not_fit(source, model, checkpoint, missing[0])
    chosen = [
        replace(checkpoint.tensors[best.keys[key]], name=key) if key in best.keys else tensor
        for key, tensor in model.tensors.items()
    ]
    index, write_data = bundle_content(chosen)
    contents: dict[str, Content] = dict(_other_files(folder))
    contents.update({INDEX: index, DATA: write_data})
    return Parts(document, source.path, contents, tuple(_notes(model, checkpoint, best)))


def _side_of_model(folder: Path) -> Side:
    found = read_variables(folder)
    if found.status != "ok":
        raise ConversionError(
            f"the SavedModel {quoted(str(folder))} can't be the architecture of a checkpoint: "
            f"{found.note or 'it has no variables'}",
            ("architecture",),
        )
    return _side(folder / constants.VARIABLES_FOLDER / "variables")


def _side(prefix: Path) -> Side:
    """What a checkpoint holds."""
    files = files_of(prefix)
    index = None if files.index is None else read_whole(str(files.index), LARGEST_INDEX_BYTES, "the index")
    if index is None:
        raise ConversionError(f"{quoted(str(prefix))} is no checkpoint in today's format: it has no index")

    def open_shard(shard: int, num_shards: int) -> FileSource:
        return FileSource(f"{prefix}.data-{shard:05d}-of-{num_shards:05d}")

    try:
        tensors = read_bundle(index, open_shard)
        return Side(tensors, read_object_tree(tensors))
    except FormatError as error:
        raise FormatError(f"{quoted(str(prefix))} can't be read: {error}") from None


def _needed_keys(architecture: SavedModel, model: Side) -> list[bytes]:
    """The variables that signatures read; all, where the graph doesn't show which."""
    every = [attribute.key for _, attribute, _ in model.variables()]
    if model.tree is None:
        every = [key for key in model.tensors if key != _OBJECT_GRAPH]
    read: set[bytes] = set()
    for meta_graph in architecture.meta_graphs:
        if not has_graph(meta_graph):
            return every
        graph = read_graph(meta_graph)
        outputs = [
            name
            for signature in meta_graph.callable_signatures.values()
            for info in signature.outputs.values()
            for name in info.tensor_names
        ]
        nodes = _before(graph, outputs)
        handles = restored_handles(meta_graph, graph)
        read.update(key.encode() for key, edge in handles.items() if input_node(edge) in nodes)
    return [key for key in every if key in read] or every


def _before(graph: Graph, tensor_names: Iterable[str]) -> set[str]:
    """The nodes that some tensors depend on."""
    found = {input_node(name) for name in tensor_names}
    pending = list(found)
    while pending:
        node = graph.nodes.get(pending.pop())
        for edge in () if node is None else node.inputs:
            name = input_node(edge)
            if name not in found:
                found.add(name)
                pending.append(name)
    return found


def _best_match(source: Source, model: Side, checkpoint: Side, needed: list[bytes], below: str | None) -> Match:
    """The way to match that has all that is needed, or the one that has most of it.

    Raises:
        ConversionError: The checkpoint has it several times, with other values, and nobody said which.
    """
    most = Match({}, None, "")
    full: list[Match] = []
    for match in matches(model, checkpoint):
        if below is not None and match.place != below:
            continue
        if match.place is None and full:
            break  # names are for what objects don't tell
        if all(key in match.keys for key in needed):
            full.append(match)
        elif len(match.keys) > len(most.keys):
            most = match
        if match.place is None and full:
            break
    if not full:
        return most
    preferred = [match for match in full if match.place == _USUAL] or full
    best = max(preferred, key=lambda match: len(match.keys))
    places = [best.place or "", *(match.place or "" for match in full if _differ(checkpoint, match, best, needed))]
    if len(places) > 1 and best.place != _USUAL:
        raise ConversionError(
            f"{quoted(str(source.path))} has what the SavedModel needs several times with different values, in its "
            f"objects {listed(places, 5)}: write a checkpoint of one of them, or call it {quoted(_USUAL)}",
            ("architecture",),
        )
    return best


def _differ(checkpoint: Side, one: Match, other: Match, needed: list[bytes]) -> bool:
    """Whether two ways to match give a variable different values."""
    return any(not checkpoint.tensors[one.keys[key]].same_values(checkpoint.tensors[other.keys[key]]) for key in needed)


def _does_not_fit(source: Source, model: Side, checkpoint: Side, key: bytes) -> ConversionError:
    wanted = model.tensors[key]
    name = next((one.full_name for _, one, _ in model.variables() if one.key == key), "")
    called = f" ({quoted(name)})" if name else ""
    like = [tensor for tensor in checkpoint.tensors.values() if tensor.name.endswith(b"/" + key) or tensor.name == key]
    like += [tensor for _, one, tensor in checkpoint.variables() if name and one.full_name == name]
    there = [f"{quoted(_text(one.name))} as {_shape(one)}" for one in like[:1]]
    holds = there[0] if there else listed((_text(key) for key in checkpoint.tensors if key != _OBJECT_GRAPH), 5)
    return ConversionError(
        f"{quoted(str(source.path))} has nothing that fits the variable {quoted(_text(key))}{called} of the "
        f"SavedModel, {_shape(wanted)}; it holds {holds}: give a SavedModel of the same architecture",
        ("architecture",),
    )


def _notes(model: Side, checkpoint: Side, best: Match) -> Iterator[str]:
    yield f"{counted(len(best.keys), 'value')} of the SavedModel came from the checkpoint, matched {best.how}"
    kept = [_text(key) for key in model.tensors if key not in best.keys and key != _OBJECT_GRAPH]
    if kept:
        yield f"the checkpoint has nothing for {listed(kept, 3)} of the SavedModel, which stay as they were"
    taken = set(best.keys.values())
    unused = [_text(key) for key in checkpoint.tensors if key not in taken and key != _OBJECT_GRAPH]
    if unused:
        yield f"the SavedModel has no place for {listed(unused, 3)} of the checkpoint"


def _other_files(folder: Path) -> Mapping[str, Path]:
    """The files of a SavedModel that stay: all but its graph and its variables.

    Raises:
        ConversionError: A link leads out of the folder: what lies there would become a part of the new model.
    """
    root = os.path.realpath(folder)
    found: dict[str, Path] = {}
    for place, folders, names in os.walk(root):
        below = os.path.relpath(place, root)
        for name in sorted([*names, *(one for one in folders if os.path.islink(os.path.join(place, one)))]):
            inner = name if below == "." else f"{below}/{name}".replace(os.sep, "/")
            if inner in _REPLACED or inner.startswith(f"{constants.VARIABLES_FOLDER}/variables."):
                continue
            path = os.path.join(place, name)
            real = os.path.realpath(path)
            if not real.startswith(root.rstrip(os.sep) + os.sep):
                raise ConversionError(
                    f"{quoted(inner)} of the SavedModel {quoted(str(folder))} is a link that leads out of it; "
                    "put a copy of the file in its place"
                )
            found[inner] = Path(real)
            if len(found) > _MOST_FILES:
                raise ConversionError(f"the SavedModel {quoted(str(folder))} has more than {_MOST_FILES} files")
    return found


def _shape(tensor: BundleTensor) -> str:
    return f"{DType(tensor.dtype_number)}{Shape(tensor.shape)}"


def _text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace").removesuffix(f"/.ATTRIBUTES/{VALUE}")
