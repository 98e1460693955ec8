"""Edits of a meta graph as a whole: its tags, and whether it is there."""

from __future__ import annotations

from collections.abc import Iterable

from explorer.editing.editable import Tags, document_of, editable, edited, field_of, tag_list
from explorer.errors import EditError, UnsupportedEditError
from explorer.savedmodel import wire
from explorer.savedmodel.model import SavedModel, printable_tags
from explorer.savedmodel.overlay import (
    Change,
    Document,
    apply_changes,
    insertion_after,
    insertion_at_end,
    removal,
    replacement,
)
from explorer.savedmodel.reader import META_GRAPHS, META_INFO_DEF, TAGS, fields_of


def set_tags(model: SavedModel, new_tags: Iterable[str], *, tags: Tags = None) -> SavedModel:
    """Gives a meta graph another tag set, by which loaders then choose it.

    Args:
        model: The model.
        new_tags: The tags; none at all is allowed, though few loaders can ask for that.
        tags: The meta graph as it is tagged now.
    """
    meta_graph = editable(model, tags)
    wanted = tag_list(new_tags)
    if frozenset(wanted) == meta_graph.tags and len(wanted) == len(meta_graph.tag_list):
        raise EditError(f"the meta graph has the tags {printable_tags(wanted)} already")
    changes = _tag_changes(document_of(meta_graph), field_of(meta_graph), wanted)
    return edited(model, meta_graph, changes, "set_tags", new_tags=list(wanted))


def remove_meta_graph(model: SavedModel, *, tags: Tags = None) -> SavedModel:
    """Takes a meta graph away; the variables, which all meta graphs share, stay."""
    meta_graph = editable(model, tags)
    if len(model.meta_graphs) == 1:
        raise EditError("the last meta graph can't be removed: a SavedModel without one can be loaded by nobody")
    return edited(model, meta_graph, [removal(field_of(meta_graph))], "remove_meta_graph")


def copy_meta_graph(model: SavedModel, new_tags: Iterable[str], *, tags: Tags = None) -> SavedModel:
    """Adds a copy of a meta graph under another tag set: the same graph over the same variables.

    Args:
        model: The model.
        new_tags: The tag set of the copy, which no meta graph may have yet.
        tags: The meta graph to copy.
    """
    meta_graph = editable(model, tags)
    if any(other.has_object_graph for other in model.meta_graphs):
        raise UnsupportedEditError(
            "the meta graph can't be copied: this model has an object graph, and tf.saved_model.load reads object "
            "graphs only where there is a single meta graph; the copy would break it for every TensorFlow 2 user"
        )
    wanted = tag_list(new_tags)
    if any(other.tags == frozenset(wanted) for other in model.meta_graphs):
        raise EditError(
            f"there is a meta graph with the tags {printable_tags(wanted)} already; loaders see only the first"
        )
    field, document = field_of(meta_graph), document_of(meta_graph)
    copied = Document(document.slice(field.start, field.end))
    copied = apply_changes(copied, _tag_changes(copied, fields_of(copied, None, META_GRAPHS)[0], wanted))
    last = fields_of(document, None, META_GRAPHS)[-1]
    return edited(model, meta_graph, [insertion_after(last, copied)], "copy_meta_graph", new_tags=list(wanted))


def _tag_changes(document: Document, meta_graph: wire.Field, tags: Iterable[str]) -> list[Change]:
    """The changes that give the MetaGraphDef in a field these tags and no others."""
    new = b"".join(wire.encode_field(TAGS, tag) for tag in tags)
    infos = fields_of(document, meta_graph, META_INFO_DEF)
    present = [field for info in infos for field in fields_of(document, info, TAGS)]
    if present:
        return [replacement(present[0], new), *(removal(field) for field in present[1:])]
    return [
        insertion_at_end(infos[-1], new)
        if infos
        else insertion_at_end(meta_graph, wire.encode_field(META_INFO_DEF, new))
    ]
