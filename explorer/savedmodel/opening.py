"""A path → the frozen model: the folder found, its file told from what else it could be, its signatures read."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

from explorer.errors import FormatError, NotASavedModelError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.folder import ModelFolder, find_model
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.overlay import BytesSource, Document, FileSource
from explorer.savedmodel.reader import read_document

TEXT: Final = "text"
"""What the text stands under among the things derived from its binary form."""


def open_saved_model(path: str | os.PathLike[str], version: int | None = None) -> SavedModel:
    """Opens a SavedModel: its tags and signatures, without its graph and without a weight.

    Nothing is executed and TensorFlow isn't imported. The file stays open as long as the model lives, so a model
    that is replaced on disk by a rename is still read as it was.

    Args:
        path: A base path, a version folder, another folder with a SavedModel, or its ``saved_model.pb``; ``~`` is
            expanded, linked folders are followed.
        version: Which version of a base path; None takes the largest, as TensorFlow Serving does.

    Returns:
        The frozen model.

    Raises:
        SourceError: There is no SavedModel; the sentence says what there is.
        FormatError: The file is corrupt.
    """
    return read_folder(find_model(path, version))


def text_of(document: Document) -> Document | None:
    """The text that the binary form of a ``saved_model.pbtxt`` was made of, where nothing of it was changed since."""
    if len(document.pieces) != 1 or document.pieces[0].length != document.pieces[0].source.size:
        return None
    text = document.pieces[0].source.derived.get(TEXT)
    return text if isinstance(text, Document) else None


def read_folder(folder: ModelFolder) -> SavedModel:
    """Reads the SavedModel of a folder that :func:`~explorer.savedmodel.folder.find_model` found."""
    path = str(folder.file_path)
    source = FileSource(path)
    if folder.file_name == constants.SAVED_MODEL_PBTXT:
        return _read_text(folder, source)
    try:
        return read_document(Document.of(source), path=folder.path, version=folder.version, file_name=folder.file_name)
    except (FormatError, NotASavedModelError) as error:
        from explorer.savedmodel.identify import identify  # a good model doesn't pay for it

        kind, sentence = identify(path)
        if kind == "unknown" or (kind == "frozen_graph" and isinstance(error, NotASavedModelError)):
            raise type(error)(f"{quoted(path)}: {error}") from None
        raise NotASavedModelError(f"{quoted(path)} {sentence}", path, kind) from None


def _read_text(folder: ModelFolder, source: FileSource) -> SavedModel:
    """Reads ``saved_model.pbtxt`` by way of its binary form; edits are made on that and printed as text again."""
    from explorer.savedmodel.text_format import LARGEST_TEXT, parse_text

    path = str(folder.file_path)
    if source.size > LARGEST_TEXT:
        raise FormatError(
            f"{quoted(path)} has {source.size} bytes; text of more than {LARGEST_TEXT} bytes is not read: "
            "convert it to saved_model.pb with TensorFlow"
        )
    text = parse_text(source.read_at(0, source.size), path)
    binary = BytesSource(text.binary)
    binary.derived[TEXT] = Document.of(source)
    model = read_document(Document.of(binary), path=folder.path, version=folder.version, file_name=folder.file_name)
    if not text.unknown_fields:
        return model
    return replace(
        model, lossy="its saved_model.pbtxt has fields that are not known here and that a new file would lose"
    )
