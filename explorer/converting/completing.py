"""What a graph from outside lacks to be a whole SavedModel: what runs on loading, its files, definitions of its ops."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from explorer.converting.initializers import initialize_on_load
from explorer.converting.known_ops import explain_ops
from explorer.converting.table_files import add_table_files
from explorer.savedmodel.overlay import Document


@dataclass(frozen=True, slots=True)
class Completed:
    """A whole SavedModel.

    Attributes:
        document: Its bytes.
        initialized: The variables that get a value when it is loaded, beside those that are restored.
        files: Name in the model → the file.
        notes: What a person should know, one sentence each.
    """

    document: Document
    initialized: frozenset[str]
    files: Mapping[str, Path]
    notes: tuple[str, ...]


def complete(document: Document, folder: Path, restored: Collection[str] = ()) -> Completed:
    """Adds to a SavedModel of one meta graph what loaders and readers need; nothing that is there is changed.

    Args:
        document: Its bytes.
        folder: The folder of the source, in which files for tables are looked for.
        restored: The variables that get their value from a checkpoint.

    Raises:
        FormatError: It is corrupt.
    """
    initialized = initialize_on_load(document, restored)
    tables = add_table_files(initialized.document, folder)
    explained = explain_ops(tables.document)
    notes = (*initialized.notes, *tables.notes, *explained.notes)
    return Completed(explained.document, initialized.variables, tables.files, notes)
