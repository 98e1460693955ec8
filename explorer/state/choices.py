"""Choices that are made when a model is shown: what is open first, where an export goes, how it is proved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from explorer.editing.diff import diff
from explorer.errors import ExplorerError, ExportError, quoted
from explorer.exporting.publish import Published
from explorer.savedmodel.concrete_functions import ConcreteFunction, read_concrete_functions
from explorer.savedmodel.folder import Version, list_versions
from explorer.savedmodel.model import MetaGraph, SavedModel
from explorer.savedmodel.opening import open_saved_model

_ADDS_A_SIGNATURE = frozenset({"add_signature", "add_signature_from_function"})


def edits_in_words(count: int) -> str:
    """A number of edits as it stands in a sentence."""
    return "1 edit" if count == 1 else f"{count} edits"


def versions(model: SavedModel) -> tuple[Version, ...]:
    """The versions beside a model; none where the disk doesn't tell."""
    if model.base_path is None or model.document is None:
        return ()
    try:
        return list_versions(model.base_path)
    except (ExplorerError, OSError):
        return ()


def default_export_base(model: SavedModel) -> str:
    """The model's own base path; for a model in no version folder, a folder beside it."""
    if model.base_path is not None:
        return str(model.base_path)
    return "" if model.path is None else f"{model.path}-versions"


def first_meta_graph(model: SavedModel) -> int:
    """The meta graph that a server would load, else one with the tag ``serve``, else the first."""
    tags = [meta_graph.tags for meta_graph in model.meta_graphs]
    exact = (index for index, tag_set in enumerate(tags) if tag_set == {"serve"})
    return next(exact, next((index for index, tag_set in enumerate(tags) if "serve" in tag_set), 0))


def offered_functions(meta_graph: MetaGraph) -> tuple[ConcreteFunction, ...]:
    """The functions that a new signature can call, those with the shortest paths first.

    What is only behind a signature isn't among them.

    Raises:
        FormatError: The object graph is corrupt.
    """
    return tuple(function for function in read_concrete_functions(meta_graph).values() if function.paths)


def proof(model: SavedModel, published: Published) -> str:
    """Opens what was written, by its path as anybody would, and compares it with the draft.

    Raises:
        ExportError: They differ.
    """
    written = open_saved_model(published.path)
    if written.meta_graphs != model.meta_graphs or diff(model, written):
        raise ExportError(
            f"version {published.version} was written to {quoted(str(published.path))}, but reads back otherwise than "
            "the draft: don't use it, and report this"
        )
    signatures = sum(len(meta_graph.callable_signatures) for meta_graph in written.meta_graphs)
    return (
        f"Opened again from disk and compared: {signatures} signature{'' if signatures == 1 else 's'}, "
        f"{sum(file.how != 'left out' for file in published.files)} files, every field equal to the draft."
    )


def selection_after(
    entry: Mapping[str, Any], before: SavedModel, after: SavedModel, index: int, key: str | None
) -> tuple[int, str | None]:
    """Which meta graph and signature are chosen after an edit: what was renamed, copied or added.

    Args:
        entry: The recipe entry.
        before: The model that it was applied to.
        after: What came of it.
        index: The meta graph that was chosen before.
        key: The signature that was chosen before.
    """
    edit = entry["edit"]
    edited = before.meta_graph_index(entry.get("tags"))
    if edit == "copy_meta_graph":
        return len(after.meta_graphs) - 1, key
    if edit == "remove_meta_graph":
        return max(0, index - (edited < index or index == len(after.meta_graphs))), key
    if edited != index:
        return index, key
    if edit == "copy_signature" or (edit == "rename_signature" and entry["signature_key"] == key):
        return index, entry["new_key"]
    return index, entry["signature_key"] if edit in _ADDS_A_SIGNATURE else key


def signature_after(entries: Iterable[Mapping[str, Any]], key: str | None) -> str | None:
    """The key under which the chosen signature is found after several edits."""
    for entry in entries:
        if entry["edit"] == "rename_signature" and entry["signature_key"] == key:
            key = entry["new_key"]
    return key
