"""What a SavedModel is made of before it lies in a folder of its own, and how it gets one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from explorer.errors import ExportError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.overlay import Document

Content = Path | bytes | Callable[[BinaryIO], None]
"""A file that is there already, the bytes of one, or what writes one."""

ORIGIN = "origin"
"""What the source of a converted model stands under among the things derived from its bytes."""

_FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a SavedModel is made of.

    Attributes:
        document: The bytes of its ``saved_model.pb``.
        origin: What it was made of: a file, the prefix of a checkpoint, or a folder.
        files: Name in the model, with ``/`` → content; a file that is there already is neither read nor copied.
        notes: What a person should know, one sentence each.
    """

    document: Document
    origin: Path
    files: Mapping[str, Content] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def lay_out(parts: Parts, folder: Path) -> None:
    """Writes a SavedModel into an empty folder; files that are there already are linked to.

    Args:
        parts: What it is made of.
        folder: The folder.

    Raises:
        ExportError: A file can't be written.
    """
    try:
        for name, content in parts.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                target.symlink_to(content.absolute())
                continue
            with open(target, "xb") as file:
                if isinstance(content, bytes):
                    file.write(content)
                else:
                    content(file)
        with open(folder / constants.SAVED_MODEL_PB, "xb") as file:
            parts.document.write_to(file)
    except OSError as error:
        place = quoted(str(error.filename or folder))
        raise ExportError(f"the converted model can't be laid out: {place}: {error.strerror or error}") from None


def open_parts(parts: Parts) -> SavedModel:
    """Opens what would be a SavedModel as one, in a temporary folder that lives as long as the model and its edits.

    Export it with ``follow_outside_links=True``, because the files of the source are only linked to.

    Args:
        parts: What it is made of.

    Raises:
        ExportError: The folder can't be written.
        FormatError: What it is made of is no SavedModel.
    """
    with new_folder() as holder:
        lay_out(parts, Path(holder.name))
        return open_held(holder, parts.origin)


@contextlib.contextmanager
def new_folder() -> Iterator[tempfile.TemporaryDirectory[str]]:
    """A temporary folder that is removed if something goes wrong, and otherwise is for :func:`open_held` to keep."""
    holder = tempfile.TemporaryDirectory(prefix="savedmodel-explorer-", ignore_cleanup_errors=True)
    try:
        yield holder
    except BaseException:
        holder.cleanup()
        raise


def open_held(holder: tempfile.TemporaryDirectory[str], origin: Path) -> SavedModel:
    """Opens the SavedModel in a temporary folder, which then lives as long as the model and what is made of it.

    Args:
        holder: The folder.
        origin: What the model was made of.
    """
    model = open_saved_model(os.path.realpath(holder.name))
    assert model.source is not None  # it was opened from a file
    derived = model.source.pieces[0].source.derived
    derived[_FOLDER] = holder  # removed when nobody holds the bytes any more
    derived[ORIGIN] = origin
    return model


def origin_of(model: SavedModel) -> Path | None:
    """What a model was converted from; None for one that was a SavedModel all along."""
    if model.source is None:
        return None
    found = model.source.pieces[0].source.derived.get(ORIGIN)
    return found if isinstance(found, Path) else None
