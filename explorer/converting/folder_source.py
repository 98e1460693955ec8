"""What a folder means: a SavedModel, the latest checkpoint in it, or the one file in it that can be converted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from explorer.converting import kinds
from explorer.converting.checkpoint_files import files_of, latest_prefix, list_folder, prefix_of, prefixes_in
from explorer.converting.checkpoint_source import describe_checkpoint, is_old_checkpoint
from explorer.converting.file_source import describe_file, describe_saved_model
from explorer.converting.kinds import Source
from explorer.converting.other_files import refused
from explorer.errors import NotASavedModelError, listed, printable_name, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.folder import find_model, list_versions
from explorer.savedmodel.identify import identify

_MOST_FILES: Final = 500
_ENDINGS: Final = (".pb", ".pbtxt", ".pbtext", ".keras", ".h5", ".hdf5")
_GRAPHS: Final = frozenset({"frozen_graph", "frozen_graph_text"})
_UNPACKED_KERAS: Final = frozenset({"config.json", "metadata.json", "model.weights.h5"})
_OWN_FILES: Final = frozenset({constants.FINGERPRINT, constants.KERAS_METADATA, *constants.MODEL_FILE_NAMES})

_NO_HINT: Final = frozenset({"no_model", "keras", "hdf5", "checkpoint", "tflite", "onnx", "graph_file"})
"""Kinds of folders about which :func:`find_model` knows nothing that helps here."""


def describe_folder(folder: Path) -> Source:
    """What a folder is.

    Args:
        folder: A folder.

    Returns:
        The one thing in it that can be converted; several, or none, are told as a problem.

    Raises:
        SourceError: It can't be read.
    """
    names = list_folder(folder)
    found = _choices(folder, names)
    if len(found) == 1:
        return found[0]
    if not found:
        return _nothing(folder, names)
    places = [one.path.relative_to(folder) if one.path.is_relative_to(folder) else one.path for one in found]
    shown = [str(place) if str(place) != "." else str(folder) for place in places]
    facts = tuple((printable_name(name), one.title) for name, one in zip(shown, found, strict=True))
    problem = f"choose one of them: {listed(shown)}"
    title = "is a folder with several things that can be converted"
    files = tuple(file for one in found for file in one.files)
    return Source(folder, kinds.SEVERAL, title, files, facts, problem=problem)


def _choices(folder: Path, names: list[str]) -> list[Source]:
    """Everything in a folder that could be meant, the SavedModel first."""
    found: list[Source] = []
    if any(name in names for name in constants.MODEL_FILE_NAMES) or any(one.is_model for one in list_versions(folder)):
        found.append(_model_of(folder))
    else:
        found.extend(_saved_models_below(folder, names))
    checkpoints = _checkpoints(folder, names)
    found.extend(checkpoints)
    found.extend(_files(folder, names, has_checkpoints=bool(checkpoints)))
    return found


def _model_of(folder: Path) -> Source:
    """The SavedModel of a folder; where something else lies under the name of its file, that."""
    name = next((name for name in constants.MODEL_FILE_NAMES if (folder / name).is_file()), None)
    return describe_saved_model(folder) if name is None else describe_file(folder / name)


def _saved_models_below(folder: Path, names: list[str]) -> Iterator[Source]:
    for name in names[:_MOST_FILES]:
        below = folder / name
        if below.is_dir() and any((below / file).is_file() for file in constants.MODEL_FILE_NAMES):
            yield _model_of(below)


def _checkpoints(folder: Path, names: list[str]) -> list[Source]:
    """The checkpoint that the state file names, else every one that is there."""
    prefixes = prefixes_in(folder, names)
    latest = latest_prefix(folder)
    if latest is not None:
        latest = prefix_of(latest) or latest  # the old format names model.ckpt-?????-of-00002
        if files_of(latest).all:
            source = describe_checkpoint(latest)
            others = [one.name for one in prefixes if one != latest]
            rows = [("Chosen", f"the latest, which {quoted('checkpoint')} names")]
            if others:
                rows.append(("Other checkpoints beside it", listed(others, 5)))
            return [replace(source, facts=(*source.facts, *rows))]
    return [describe_checkpoint(prefix) for prefix in (*prefixes[:_MOST_FILES], *_old_prefixes(folder, names))]


def _old_prefixes(folder: Path, names: list[str]) -> list[Path]:
    """The prefixes of checkpoints of the old format, told by content: their files have no ending of their own."""
    found: dict[Path, None] = {}
    for name in names[:_MOST_FILES]:
        path = folder / name
        if name.endswith((".index", ".meta", *_ENDINGS)) or ".data-" in name or not path.is_file():
            continue
        if is_old_checkpoint(path):
            found[prefix_of(path) or path] = None
    return list(found)


def _files(folder: Path, names: list[str], has_checkpoints: bool) -> Iterator[Source]:
    """Graphs and files of Keras. Beside checkpoints, a graph with variables is the one that was trained."""
    likely = [name for name in names if name.lower().endswith(_ENDINGS) and name not in _OWN_FILES]
    if set(names) >= _UNPACKED_KERAS:
        likely.remove("model.weights.h5")
    for name in likely[:_MOST_FILES]:
        path = folder / name
        if not path.is_file():
            continue
        source = describe_file(path)
        if source.kind == kinds.VARIABLE_GRAPH and has_checkpoints:
            continue
        if source.kind in kinds.CONVERTIBLE:
            yield source


def _nothing(folder: Path, names: list[str]) -> Source:
    if set(names) >= _UNPACKED_KERAS:
        return refused(
            folder,
            kinds.NOTHING,
            "is an unpacked .keras file; zip the three files in it (metadata.json, config.json, model.weights.h5) and "
            "give the archive the ending .keras",
        )
    lonely = sorted({prefix for name in names if (prefix := prefix_of(folder / name)) is not None})
    if lonely:
        return describe_checkpoint(lonely[0])
    for name in names[:_MOST_FILES]:
        if (folder / name).is_file():
            kind, sentence = identify(str(folder / name))
            if kind in ("tflite", "onnx", "lfs_pointer", "tfjs", "safetensors"):
                return refused(folder, kinds.NOTHING, f"holds nothing that can be converted; {quoted(name)} {sentence}")
    try:
        find_model(folder)
    except NotASavedModelError as error:
        if error.kind in _NO_HINT:
            problem = f"it holds {listed(names, 5)}"
            return Source(
                folder, kinds.NOTHING, "is a folder with nothing in it that can be converted", problem=problem
            )
        sentence = str(error).removeprefix(f"{quoted(str(folder))} ")
        return replace(refused(folder, error.kind, sentence), files=())
    return Source(folder, kinds.NOTHING, "holds nothing that can be converted", problem="point at a file in it")
