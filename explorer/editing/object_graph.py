"""The second truth of a TensorFlow 2 model: signature names in the object graph, kept in agreement.

``tf.saved_model.load(...).signatures`` doesn't read ``signature_def``: it takes the children of the object graph's
``signature_map`` node (``tensorflow/python/saved_model/load.py``). Field numbers are those of
``tensorflow/core/protobuf/saved_object_graph.proto`` and ``trackable_object_graph.proto``. Nodes are never renumbered:
checkpoints and ``keras_metadata.pb`` refer to them by position.
"""

from __future__ import annotations

from explorer.errors import EditError, listed, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.object_names import (
    CHILDREN,
    LOCAL_NAME,
    Child,
    read_children,
    signature_children,
    signature_map,
)
from explorer.savedmodel.overlay import Change, Document, insertion_after, insertion_at_end, removal, replacement
from explorer.savedmodel.wire import encode_field

_NODE_ID = 1  # trackable_object_graph.proto, ObjectReference.node_id
_NO_MAP = (
    "can't be edited: the model's object graph has no signature map, so tf.saved_model.load would not see the edit "
    "that a server sees"
)


def rename_child(meta_graph: MetaGraph, signature_key: str, new_key: str) -> list[Change]:
    """The changes that give a signature another name in the object graph; none where there is no object graph."""
    if not meta_graph.has_object_graph:
        return []
    document = _document(meta_graph)
    child = signature_child(meta_graph, signature_key)
    return [replacement(child.field, _named(document, child, new_key))]


def remove_child(meta_graph: MetaGraph, signature_key: str) -> list[Change]:
    """The changes that take a signature out of the object graph; its node stays, unreferenced, where it is."""
    return [removal(signature_child(meta_graph, signature_key).field)] if meta_graph.has_object_graph else []


def copy_child(meta_graph: MetaGraph, signature_key: str, new_key: str) -> list[Change]:
    """The changes that give a signature a second name in the object graph: the same node under both."""
    if not meta_graph.has_object_graph:
        return []
    child = signature_child(meta_graph, signature_key)
    return [insertion_after(child.field, _named(_document(meta_graph), child, new_key))]


def lead_child(meta_graph: MetaGraph, signature_key: str, node_id: int) -> list[Change]:
    """The changes that let a signature's name, present or new, lead to a node of the object graph."""
    document = _document(meta_graph)
    map_node = signature_map(meta_graph)
    if map_node is None:
        raise EditError(f"signature {quoted(signature_key)} {_NO_MAP}")
    reference = encode_field(_NODE_ID, node_id) + encode_field(LOCAL_NAME, signature_key)
    present = [child for child in read_children(document, map_node) if child.name == signature_key]
    if not present:
        return [insertion_at_end(map_node, encode_field(CHILDREN, reference))]
    return [
        *(removal(child.field) for child in present[:-1]),
        replacement(present[-1].field, encode_field(CHILDREN, reference)),
    ]


def signature_child(meta_graph: MetaGraph, signature_key: str) -> Child:
    """The entry of a signature in the object graph's signature map.

    Raises:
        EditError: There is none.
    """
    children = signature_children(meta_graph)
    if children is None:
        raise EditError(f"signature {quoted(signature_key)} {_NO_MAP}")
    for child in children:
        if child.name == signature_key:
            return child
    raise EditError(
        f"signature {quoted(signature_key)} stands in signature_def but not in the object graph, which has "
        f"{listed(child.name for child in children)}: a server and tf.saved_model.load already see two models here, "
        "and an edit of one would hide that"
    )


def _named(document: Document, child: Child, name: str) -> bytes:
    """The child's reference with another name, everything else in it kept."""
    kept = b"".join(
        document.read_at(part.start, part.end - part.start)
        for part in wire.scan(document, child.field)
        if part.number != LOCAL_NAME
    )
    return wire.encode_field(child.field.number, kept + wire.encode_field(LOCAL_NAME, name))


def _document(meta_graph: MetaGraph) -> Document:
    if meta_graph.document is None:
        raise EditError("a meta graph that was made from data has no object graph to edit")
    return meta_graph.document
