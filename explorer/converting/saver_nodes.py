"""The nodes that restore a graph's variables from ``variables/`` and save them there, and the SaverDef that names them.

They are those of ``tf.compat.v1.train.Saver`` (``tensorflow/python/training/saver.py``): a loader feeds the file name
and runs the restore op (``RunRestore`` of ``tensorflow/cc/saved_model/loader.cc``), which runs one assignment for each
variable.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from explorer.converting.graph_variables import HANDLE_OP, GraphVariable, Place
from explorer.savedmodel import wire
from explorer.savedmodel.constants import DT_STRING
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.nodes import NODE
from explorer.savedmodel.object_graph import new_message
from explorer.savedmodel.overlay import Change, insertion_at_end, removal
from explorer.savedmodel.reader import GRAPH_DEF, SAVER_DEF, fields_of

_VERSION_2 = 2  # SaverDef.CheckpointFormatVersion
_KEEP_HOURS = 10000.0


@dataclass(frozen=True, slots=True)
class Restored:
    """A variable, and the place in the checkpoint that its value comes from."""

    variable: GraphVariable
    place: Place


def saver_changes(meta_graph: MetaGraph, node_names: Collection[str], restored: Iterable[Restored]) -> list[Change]:
    """The changes that give a meta graph a saver in place of the one that it has.

    The nodes of an earlier saver stay: nothing runs them any more.

    Args:
        meta_graph: One that was read from bytes and has a graph.
        node_names: The names of its nodes.
        restored: What is restored, at least one variable; in this order.
    """
    document = meta_graph.document
    assert document is not None
    nodes, saver = make_saver(node_names, restored)
    graph = fields_of(document, meta_graph.field, GRAPH_DEF)[-1]
    assert meta_graph.field is not None
    written = b"".join(wire.encode_field(NODE, node.SerializeToString(deterministic=True)) for node in nodes)
    return [
        insertion_at_end(graph, written),
        *[removal(field) for field in fields_of(document, meta_graph.field, SAVER_DEF)],
        insertion_at_end(meta_graph.field, wire.encode_field(SAVER_DEF, saver.SerializeToString(deterministic=True))),
    ]


def make_saver(node_names: Collection[str], restored: Iterable[Restored]) -> tuple[list[Any], Any]:
    """The nodes of a saver, and its SaverDef.

    Args:
        node_names: The names that are taken.
        restored: What it restores and saves.
    """
    scope = unused_scope(node_names)
    every = tuple(restored)
    types = [one.variable.dtype.number for one in every]
    keys = [one.place.key for one in every]
    slices = [slice_text(one) for one in every]
    prefix = f"{scope}/Const"
    nodes = [
        _texts(f"{scope}/filename/input", ["model"], is_scalar=True),
        _with_default(f"{scope}/filename", f"{scope}/filename/input"),
        _with_default(prefix, f"{scope}/filename"),
    ]
    for kind in ("SaveV2", "RestoreV2"):
        nodes += [
            _texts(f"{scope}/{kind}/tensor_names", keys),
            _texts(f"{scope}/{kind}/shape_and_slices", slices),
        ]
    common = ["tensor_names", "shape_and_slices"]
    reads: list[str] = []
    for number, one in enumerate(every):
        if one.variable.op == HANDLE_OP:
            read = _node(f"{scope}/Read_{number}/ReadVariableOp", "ReadVariableOp", one.variable.node)
            read.attr["dtype"].type = types[number]
            nodes.append(read)
            reads.append(read.name)
        else:
            reads.append(one.variable.node)
    save = _node(f"{scope}/SaveV2", "SaveV2", prefix, *[f"{scope}/SaveV2/{name}" for name in common], *reads)
    save.attr["dtypes"].list.type.extend(types)
    saved = _node(f"{scope}/control_dependency", "Identity", prefix, f"^{save.name}")
    saved.attr["T"].type = DT_STRING
    restore = _node(f"{scope}/RestoreV2", "RestoreV2", prefix, *[f"{scope}/RestoreV2/{name}" for name in common])
    restore.attr["dtypes"].list.type.extend(types)
    nodes += [save, saved, restore]
    assigned = [_assign(f"{scope}/Assign_{number}", restore.name, number, one) for number, one in enumerate(every)]
    restore_all = _node(f"{scope}/restore_all", "NoOp", *[f"^{node.name}" for node in assigned])
    nodes += [*assigned, restore_all]
    saver = new_message("SaverDef")
    saver.filename_tensor_name = f"{prefix}:0"
    saver.save_tensor_name = f"{saved.name}:0"
    saver.restore_op_name = restore_all.name
    saver.max_to_keep = 5
    saver.keep_checkpoint_every_n_hours = _KEEP_HOURS
    saver.version = _VERSION_2
    return nodes, saver


def unused_scope(node_names: Collection[str]) -> str:
    """A scope for a saver in which no node lies: ``save``, ``save_1`` …"""
    taken = {name.partition("/")[0] for name in node_names}
    number, scope = 0, "save"
    while scope in taken:
        number += 1
        scope = f"save_{number}"
    return scope


def slice_text(restored: Restored) -> str:
    """What of a stored tensor a variable is, as the ops of saving write it; empty for all of it."""
    whole, dims = restored.place.whole, restored.variable.shape.dims
    if whole is None or dims is None:
        return ""
    parts = [f"{start},{size}" for start, size in zip(restored.place.starts, dims, strict=True)]
    return f"{' '.join(str(size) for size in whole)} {':'.join(parts)}"


def _assign(name: str, restore: str, number: int, restored: Restored) -> Any:
    value = f"{restore}:{number}" if number else restore
    variable = restored.variable
    if variable.op == HANDLE_OP:
        node = _node(name, "AssignVariableOp", variable.node, value)
        node.attr["dtype"].type = variable.dtype.number
        return node
    node = _node(name, "Assign", variable.node, value)
    node.attr["T"].type = variable.dtype.number
    node.attr["use_locking"].b = True
    node.attr["validate_shape"].b = variable.shape.dims is not None
    node.attr["_class"].list.s.append(f"loc:@{variable.node}".encode())  # a reference is assigned where it lies
    return node


def _with_default(name: str, default: str) -> Any:
    node = _node(name, "PlaceholderWithDefault", default)
    node.attr["dtype"].type = DT_STRING
    node.attr["shape"].shape.SetInParent()
    return node


def _texts(name: str, texts: list[str], is_scalar: bool = False) -> Any:
    node = _node(name, "Const")
    node.attr["dtype"].type = DT_STRING
    tensor = node.attr["value"].tensor
    tensor.dtype = DT_STRING
    tensor.tensor_shape.SetInParent()
    if not is_scalar:
        tensor.tensor_shape.dim.add().size = len(texts)
    tensor.string_val.extend(text.encode() for text in texts)
    return node


def _node(name: str, op: str, *inputs: str) -> Any:
    node = new_message("NodeDef")
    node.name, node.op = name, op
    node.input.extend(inputs)
    return node
