"""Edits of a whole graph that ``SavedModelBuilder`` offers when a model is saved, and that are made here afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from explorer.editing.editable import Tags, document_of, editable, edited, field_of
from explorer.errors import EditError
from explorer.savedmodel import wire
from explorer.savedmodel.graph import Graph, read_graph
from explorer.savedmodel.model import MetaGraph, SavedModel
from explorer.savedmodel.object_graph import parsed
from explorer.savedmodel.op_defs import OpDef
from explorer.savedmodel.overlay import Change, insertion_at_end, removal, replacement
from explorer.savedmodel.reader import GRAPH_DEF, META_INFO_DEF, fields_of
from explorer.savedmodel.wire import LENGTH, Field

# GraphDef, FunctionDefLibrary, FunctionDef; NodeDef; MetaInfoDef
_NODE, _LIBRARY, _FUNCTION, _NODE_DEF = 1, 2, 1, 3
_OP, _DEVICE, _ATTR = 2, 4, 5
_STRIPPED_DEFAULT_ATTRS = 7
_SCAN_WINDOW = 1 << 17


def clear_devices(model: SavedModel, *, tags: Tags = None) -> SavedModel:
    """Forgets on which device each node was placed, so that a machine without that device can load the model.

    ``SavedModelBuilder(clear_devices=True)`` does it to the nodes of the graph; here those of functions are done too.
    """
    meta_graph = editable(model, tags)
    document = document_of(meta_graph)
    changes = [removal(field) for node in _nodes(meta_graph) for field in fields_of(document, node, _DEVICE)]
    if not changes:
        raise EditError("no node of this graph is placed on a device")
    return edited(model, meta_graph, changes, "clear_devices")


def strip_default_attrs(model: SavedModel, *, tags: Tags = None) -> SavedModel:
    """Takes out every attribute that has its op's default value, so that an older TensorFlow can load the model.

    A loader that doesn't know an attribute refuses the node; one that finds it missing takes the default. The defaults
    are those that the model itself carries (``MetaInfoDef.stripped_op_list``), as in
    ``strip_graph_default_valued_attrs`` of ``tensorflow/python/framework/meta_graph.py``.
    """
    meta_graph = editable(model, tags)
    document, graph = document_of(meta_graph), read_graph(meta_graph)
    changes: list[Change] = []
    for node in _nodes(meta_graph):
        op = _op_def(meta_graph, graph, node)
        if op is not None and op.defaults:
            for entry in fields_of(document, node, _ATTR):
                name, value = _attribute(document.read_at(entry.value_start, entry.end - entry.value_start))
                default = op.defaults.get(name)
                if default is not None and not name.startswith("_") and _same(value, default.to_bytes()):
                    changes.append(removal(entry))
    if not changes:
        raise EditError("no attribute in this graph has the default value of its op")
    flag = wire.encode_field(_STRIPPED_DEFAULT_ATTRS, 1)
    infos = fields_of(document, field_of(meta_graph), META_INFO_DEF)
    present = [part for info in infos for part in wire.scan(document, info) if part.number == _STRIPPED_DEFAULT_ATTRS]
    if present:
        changes += [*(removal(part) for part in present[:-1]), replacement(present[-1], flag)]
    elif infos:
        changes.append(insertion_at_end(infos[-1], flag))
    return edited(model, meta_graph, changes, "strip_default_attrs")


def _nodes(meta_graph: MetaGraph) -> Iterator[Field]:
    """Where every NodeDef stands, those of functions included."""
    document = document_of(meta_graph)
    for graph in fields_of(document, meta_graph.field, GRAPH_DEF):
        for field in wire.scan(document, graph, _SCAN_WINDOW):
            if field.wire_type != LENGTH:
                continue
            if field.number == _NODE:
                yield field
            elif field.number == _LIBRARY:
                for function in wire.scan(document, field, _SCAN_WINDOW):
                    if function.number == _FUNCTION and function.wire_type == LENGTH:
                        for node in wire.scan(document, function, _SCAN_WINDOW):
                            if node.number == _NODE_DEF and node.wire_type == LENGTH:
                                yield node


def _op_def(meta_graph: MetaGraph, graph: Graph, node: Field) -> OpDef | None:
    document = document_of(meta_graph)
    names = [wire.text(document, field, "the op of a node") for field in fields_of(document, node, _OP)]
    return graph.op_def(names[-1]) if names else None


def _attribute(entry: bytes) -> tuple[str, bytes]:
    """The name and the serialized AttrValue of an entry of ``NodeDef.attr``."""
    message = parsed("tensorflow.NodeDef", wire.encode_field(_ATTR, entry), "an attribute of a node")
    ((name, value),) = message.attr.items()
    data: bytes = value.SerializeToString(deterministic=True)
    return name, data


def _same(value: bytes, default: bytes) -> bool:
    """Whether two serialized AttrValues are the same message."""
    if value == default:
        return True
    canonical: bytes = parsed("tensorflow.AttrValue", default, "a default").SerializeToString(deterministic=True)
    return value == canonical
