"""Edits of a signature as a whole: its key, whether it is there, its method name."""

from __future__ import annotations

from explorer.editing import object_graph
from explorer.editing.editable import (
    Tags,
    document_of,
    editable,
    edited,
    expect_new_signature_key,
    expect_signature,
    expect_text,
)
from explorer.editing.signature_def import drop_earlier, set_key, signature_entries, signature_value
from explorer.errors import EditError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.overlay import insertion_after, insertion_at_end, removal, replacement
from explorer.savedmodel.reader import METHOD_NAME, SIGNATURE_DEF, fields_of


def rename_signature(model: SavedModel, signature_key: str, new_key: str, *, tags: Tags = None) -> SavedModel:
    """Gives a signature another key, under which clients then call it."""
    meta_graph = editable(model, tags)
    expect_signature(meta_graph, signature_key)
    expect_new_signature_key(meta_graph, new_key)
    entries = signature_entries(meta_graph, signature_key)
    changes = [*drop_earlier(entries), *set_key(meta_graph, entries[-1], new_key)]
    changes += object_graph.rename_child(meta_graph, signature_key, new_key)
    return edited(model, meta_graph, changes, "rename_signature", signature_key=signature_key, new_key=new_key)


def copy_signature(model: SavedModel, signature_key: str, new_key: str, *, tags: Tags = None) -> SavedModel:
    """Gives a signature a second key: both call the same tensors."""
    meta_graph = editable(model, tags)
    expect_signature(meta_graph, signature_key)
    expect_new_signature_key(meta_graph, new_key)
    document = document_of(meta_graph)
    entry = signature_entries(meta_graph, signature_key)[-1]
    others = b"".join(
        document.read_at(part.start, part.end - part.start) for part in wire.scan(document, entry) if part.number != 1
    )
    copied = wire.encode_field(SIGNATURE_DEF, wire.encode_field(1, new_key) + others)
    changes = [insertion_after(entry, copied), *object_graph.copy_child(meta_graph, signature_key, new_key)]
    return edited(model, meta_graph, changes, "copy_signature", signature_key=signature_key, new_key=new_key)


def remove_signature(model: SavedModel, signature_key: str, *, tags: Tags = None) -> SavedModel:
    """Takes a signature away; the graph behind it stays."""
    meta_graph = editable(model, tags)
    expect_signature(meta_graph, signature_key)
    changes = [removal(entry) for entry in signature_entries(meta_graph, signature_key)]
    changes += object_graph.remove_child(meta_graph, signature_key)
    return edited(model, meta_graph, changes, "remove_signature", signature_key=signature_key)


def set_method_name(model: SavedModel, signature_key: str, method_name: str, *, tags: Tags = None) -> SavedModel:
    """Says what a server does with a signature: predict, classify or regress.

    The object graph doesn't hold it, so this is one edit on every kind of model.
    """
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    expect_text(method_name, "a method name")
    if signature.method_name == method_name:
        raise EditError(f"the method name of signature {quoted(signature_key)} is {quoted(method_name)} already")
    document = document_of(meta_graph)
    value = signature_value(meta_graph, signature_key)
    present = fields_of(document, value, METHOD_NAME)
    new = wire.encode_field(METHOD_NAME, method_name)
    if present:
        changes = [*(removal(field) for field in present[:-1]), replacement(present[-1], new)]
    else:
        changes = [insertion_at_end(value, new)]
    return edited(model, meta_graph, changes, "set_method_name", signature_key=signature_key, method_name=method_name)
