"""A model → the next version under a base path: what is written, what is checked first, and what is left out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from explorer.checking.checks import check, new_errors
from explorer.errors import ExplorerError, ExportError, quoted
from explorer.exporting import deduplicate
from explorer.exporting.copying import Rewrite
from explorer.exporting.publish import Progress, Published, publish
from explorer.exporting.warmup import Warmup, settle_warmup, verify_warmup
from explorer.savedmodel import constants
from explorer.savedmodel.folder import ModelFolder
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.opening import read_folder, text_of
from explorer.savedmodel.overlay import Document, FileSource
from explorer.savedmodel.reader import read_document

__all__ = ["LARGEST_MODEL_FILE", "STALE_WARMUP", "Warmup", "export", "export_version"]

LARGEST_MODEL_FILE = 2**31 - 1
"""Protobuf's own limit: nobody can parse a longer ``saved_model.pb``."""

STALE_WARMUP = "stale_warmup"
"""The check's code for warm-up records that don't fit; an export looks at each record instead."""


def export(
    model: SavedModel,
    base_path: str | os.PathLike[str],
    *,
    version: int | None = None,
    link: bool = False,
    warmup: Warmup = "refuse",
    follow_outside_links: bool = False,
    remove_duplicates: bool = False,
    before_publish: Callable[[Path], None] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Writes a model as a new version and returns its folder; see :func:`export_version` for the arguments."""
    return export_version(
        model,
        base_path,
        version=version,
        link=link,
        warmup=warmup,
        follow_outside_links=follow_outside_links,
        remove_duplicates=remove_duplicates,
        before_publish=before_publish,
        progress=progress,
    ).path


def export_version(
    model: SavedModel,
    base_path: str | os.PathLike[str],
    *,
    version: int | None = None,
    link: bool = False,
    warmup: Warmup = "refuse",
    follow_outside_links: bool = False,
    remove_duplicates: bool = False,
    before_publish: Callable[[Path], None] | None = None,
    progress: Progress | None = None,
) -> Published:
    """Writes a model as a new version under a base path: all of it or nothing, and never over anything.

    ``variables/`` and every other file are taken over byte for byte unless asked otherwise; ``saved_model.pb`` is the
    source's with the edits laid over it, and ``fingerprint.pb``, which an edit makes stale and which no loader checks,
    is left out. Before the version becomes visible it is read back and compared with the model.

    Args:
        model: What to write. It must come from a file.
        base_path: The folder that holds the versions; it is made if missing.
        version: The number to give; None takes the next one.
        link: Whether to hardlink the other files instead of copying them.
        warmup: What to do where warm-up records name what the edits renamed or took away, so that TensorFlow Serving
            would refuse the version: ``"refuse"`` to export, ``"drop"`` all the records, or ``"rewrite"`` them to the
            new keys, those that can't fit any more being dropped one by one.
        follow_outside_links: Whether to copy what links lead to that leave the model's folder.
        remove_duplicates: Whether variables whose bytes are the same share one copy of them in the new version, as
            the export of Keras 3 writes each variable twice. All checkpoint keys stay.
        before_publish: Gets the staged folder when all else is written, and may add to it.
        progress: Is told the bytes done and the bytes in all; what it raises cancels the export.

    Returns:
        What was written.

    Raises:
        ExportError: Nothing was published; the sentence says why.
    """
    if model.document is None or model.source is None or model.path is None:
        raise ExportError("this model was made from data and has no file behind it; open a SavedModel to export it")
    if model.lossy:
        raise ExportError(f"{quoted(str(model.path))} can be shown but not exported: {model.lossy}")
    if model.document.size > LARGEST_MODEL_FILE:
        raise ExportError(
            f"the model file would have {model.document.size} bytes; protobuf reads at most {LARGEST_MODEL_FILE}"
        )
    original = _original(model)
    after = check(model)
    before = check(original) if any(fault.severity == "error" for fault in after) else ()  # new errors are looked for
    harmful = [fault for fault in new_errors(before, after) if fault.code != STALE_WARMUP]
    if harmful:
        more = f" (and {len(harmful) - 1} more)" if len(harmful) > 1 else ""
        raise ExportError(f"the edits would break the model, so nothing was written: {harmful[0].message}{more}")
    leave_out = {}
    if not model.document.equals(model.source):
        leave_out[constants.FINGERPRINT] = "the edits made it stale; no loader checks it"
    settled = settle_warmup(warmup, original, model)
    if settled.leave_out:
        leave_out[constants.WARMUP_FILE] = settled.leave_out
    rewrite: list[Rewrite] = [] if settled.rewrite is None else [settled.rewrite]
    if remove_duplicates:
        rewrite.append(deduplicate.remove_duplicates)

    def verify(staged: Path) -> None:
        _verify(model, staged)
        if settled.rewrite is not None:
            verify_warmup(staged, model)
        if remove_duplicates:
            deduplicate.verify_variables(source, staged)

    source = model.path
    published = publish(
        source,
        base_path,
        _writer(model.document, model.file_name),
        model.file_name,
        version=version,
        link=link,
        follow_outside_links=follow_outside_links,
        leave_out=leave_out,
        replace=_added_files(model),
        rewrite=rewrite,
        verify=verify,
        before_publish=before_publish,
        progress=progress,
    )
    return replace(published, notes=(*published.notes, *settled.notes))


def _added_files(model: SavedModel) -> dict[str, bytes]:
    """The files that the edits add, without those that the source has just so.

    Raises:
        ExportError: The source has another file of that name.
    """
    assert model.path is not None
    added = {}
    for name, content in model.added_files.items():
        place = model.path / name
        if not os.path.lexists(place):
            added[name] = content
        elif not place.is_file() or place.read_bytes() != content:
            raise ExportError(f"the edits add {quoted(name)}, and the model has another file of that name")
    return added


def _original(model: SavedModel) -> SavedModel:
    """The model as it was opened."""
    assert model.source is not None
    return read_document(model.source, path=model.path, version=model.version, file_name=model.file_name)


def _writer(document: Document, file_name: str) -> Callable[[BinaryIO], None]:
    def write(file: BinaryIO) -> None:
        _refuse_changed(document)
        if (text := text_of(document)) is not None:  # nothing was edited, so the text is the source's own
            _refuse_changed(text)
            text.write_to(file)
        elif file_name == constants.SAVED_MODEL_PBTXT:
            from explorer.savedmodel.text_format import print_text

            file.write(print_text(document.to_bytes()))
        else:
            document.write_to(file)
        _refuse_changed(document)

    return write


def _refuse_changed(document: Document) -> None:
    for source in {id(piece.source): piece.source for piece in document.pieces}.values():
        if isinstance(source, FileSource):
            source.check_unchanged()


def _verify(model: SavedModel, staged: Path) -> None:
    """Reads the staged version with our own reader and compares it with the model in memory.

    Raises:
        ExportError: It doesn't read back equal.
    """
    assert model.document is not None
    try:
        written = read_folder(ModelFolder(staged, None, model.file_name))
    except ExplorerError as error:
        raise ExportError(f"what was written can't be read back, so it was not published: {error}") from None
    assert written.document is not None
    # Text is printed from the message, not from its bytes, so there the bytes may be another spelling of the same.
    same_bytes = model.file_name == constants.SAVED_MODEL_PBTXT or written.document.equals(model.document)
    if not same_bytes or written.meta_graphs != model.meta_graphs:
        raise ExportError("what was written doesn't read back equal to the model, so it was not published; try again")
