"""What a file is that somebody wants to convert: its content says so, its name only to which checkpoint it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from explorer.converting import kinds
from explorer.converting.checkpoint_files import STATE_FILE, files_of, latest_prefix, prefix_of
from explorer.converting.checkpoint_source import describe_checkpoint, is_old_checkpoint
from explorer.converting.graph_source import (
    describe_graph,
    describe_meta_graph,
    describe_text_graph,
    is_cut_graph,
    is_saved_model,
    other_name,
)
from explorer.converting.keras_source import describe_hdf5, describe_zip
from explorer.converting.kinds import Source
from explorer.converting.other_files import describe_other, refused
from explorer.errors import FormatError, NotASavedModelError, listed, printable_name, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.folder import find_model
from explorer.savedmodel.identify import identify
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.overlay import FileSource

_DESCRIBED: Final[dict[str, Callable[[Path], Source]]] = {
    "frozen_graph": describe_graph,
    "frozen_graph_text": describe_text_graph,
    "hdf5": describe_hdf5,
    "zip": describe_zip,
}

_NO_MODELS: Final = frozenset(
    {"frozen_graph", "frozen_graph_text", "hdf5", "zip", "lfs_pointer", "empty_file", "html", "json"}
)
"""Kinds of files that lie under the name ``saved_model.pb`` now and then."""


def describe_saved_model(folder: Path) -> Source:
    """A SavedModel as a source.

    Args:
        folder: Its folder or base path.

    Raises:
        SourceError: It can't be read.
    """
    title = "is a SavedModel already"
    try:
        file = find_model(folder)
        model = open_saved_model(folder)
    except NotASavedModelError as error:
        return _refusal(folder, error)
    except FormatError as error:
        return Source(folder, kinds.SAVED_MODEL, title, (file.file_path,), problem=str(error))
    keys = [key for graph in model.meta_graphs for key in graph.callable_signatures]
    facts = [("Folder", printable_name(str(file.path), 400)), ("Signatures", listed(dict.fromkeys(keys)))]
    if file.version is not None:
        facts.insert(1, ("Version", str(file.version)))
    return Source(folder, kinds.SAVED_MODEL, title, (file.file_path,), tuple(facts))


def _refusal(folder: Path, error: NotASavedModelError) -> Source:
    """What a folder is whose SavedModel can't be opened."""
    message = str(error)
    for place in (folder, error.path):
        message = message.removeprefix(quoted(str(place)))
    if message.startswith(" "):
        return refused(folder, error.kind, message.strip())
    return Source(folder, error.kind, "holds no readable SavedModel", problem=message.lstrip(": "))


def describe_file(path: Path) -> Source:
    """What a file is; one of the files of a checkpoint stands for the checkpoint.

    Args:
        path: A file that is there, absolute.

    Raises:
        SourceError: It can't be read.
    """
    FileSource(str(path))  # a pipe, a device and what can't be opened are refused here
    kind, sentence = identify(str(path))
    if path.name in constants.MODEL_FILE_NAMES and kind not in _NO_MODELS:
        return describe_saved_model(path.parent)
    prefix = prefix_of(path)
    if prefix is not None and _belongs_to_checkpoint(path, prefix, kind):
        return describe_checkpoint(prefix)
    if path.name == STATE_FILE and kind == "checkpoint_state":
        return _latest(path)
    if is_old_checkpoint(path):
        return describe_checkpoint(path)
    if kind == "checkpoint_table":
        return refused(path, kind, f"{sentence}; call it by its checkpoint's name with the ending .index")
    if (describe := _DESCRIBED.get(kind)) is not None:
        return describe(path)
    if kind == "meta_graph":
        return describe_meta_graph(
            path, f"the checkpoint that it belongs to, {quoted(path.stem + '.index')} and its data,"
        )
    if kind == "unknown" and files_of(path).index is not None:
        return describe_checkpoint(path)
    if kind == "unknown" and is_saved_model(path):
        return other_name(path)
    if kind == "unknown" and is_cut_graph(path):
        return describe_graph(path)
    return describe_other(path)


def _belongs_to_checkpoint(path: Path, prefix: Path, kind: str) -> bool:
    """Whether a file whose name is that of a checkpoint's file is one: by its content, or by what stands beside it."""
    if path.name.endswith(".index"):
        return kind in ("checkpoint_table", "unknown", "lfs_pointer", "empty_file")
    files = files_of(prefix)
    if files.index is not None or kind == "meta_graph":
        return True
    if path.name.endswith(".meta"):
        return any(is_old_checkpoint(file) for file in files.old_files[:1])
    return path in files.data or is_old_checkpoint(path)


def _latest(path: Path) -> Source:
    prefix = latest_prefix(path.parent)
    if prefix is None:
        return refused(path, "checkpoint_state", "is a list of latest checkpoints; it names none")
    prefix = prefix_of(prefix) or prefix
    if not files_of(prefix).all:
        return refused(
            path,
            "checkpoint_state",
            f"is a list of latest checkpoints; the latest is {quoted(prefix.name)}, which isn't in this folder",
        )
    return describe_checkpoint(prefix)
