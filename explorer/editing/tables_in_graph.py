"""Lookup tables that a step takes, put into a model: read from an asset when the model is loaded.

A loader puts the path of each asset into a tensor of the graph and then runs the model's init op, which is found in one
of three places (``GetInitOp`` and ``GetAssetFileDefs`` in
https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/cc/saved_model/loader_util.cc). A table is filled by
what is run there already, or by a new init op where there is none. ``tf.saved_model.load`` looks at none of this in a
model of TensorFlow 2: see :mod:`explorer.editing.tables_in_objects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from explorer.editing.editable import document_of, field_of
from explorer.editing.placeholders import replaced_node
from explorer.editing.plan import Call
from explorer.editing.signature_def import added_entry
from explorer.editing.steps import Table
from explorer.editing.table_nodes import make_constant, make_filling, make_table
from explorer.editing.tables_in_objects import TableObjects, object_changes, table_objects
from explorer.editing.two_truths import Functions
from explorer.editing.wrapper import fill_call
from explorer.editing.writing import appended, unused_node
from explorer.errors import UnsupportedEditError, quoted
from explorer.savedmodel.assets import AssetFile, read_assets
from explorer.savedmodel.constants import DT_STRING, INIT_OP_SIGNATURE_KEY
from explorer.savedmodel.graph import split_tensor_name
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.object_graph import new_message, node_message, parsed
from explorer.savedmodel.overlay import Change, insertion_at_end
from explorer.savedmodel.reader import ASSET_FILE_DEF, COLLECTION_DEF, KEY, TENSOR_NAME, VALUE, fields_of, map_entry
from explorer.savedmodel.wire import encode_field, payload

_MAIN_OP: Final = "saved_model_main_op"
_LEGACY_INIT_OP: Final = "legacy_init_op"
_TENSOR_INFO, _FILENAME = 1, 2  # meta_graph.proto, AssetFileDef


class AddedTables(NamedTuple):
    """Tables as they are written.

    Attributes:
        changes: The changes of the model.
        edges: The edge of the graph that brings the handle of each.
    """

    changes: list[Change]
    edges: tuple[str, ...]


class _Nodes(NamedTuple):
    """The nodes of one table."""

    asset: Any
    table: Any
    filling: Any


def add_tables(meta_graph: MetaGraph, tables: Sequence[Table], scope: str) -> AddedTables:
    """Puts lookup tables into a meta graph, and into its object graph where it has one.

    Args:
        meta_graph: The meta graph.
        tables: The tables.
        scope: What the names of their nodes shall begin with.

    Raises:
        UnsupportedEditError: What is run when the model is loaded can't be told.
    """
    functions = Functions(meta_graph)
    taken: set[str] = set()
    known = read_assets(meta_graph)
    made = [_make_nodes(functions, table, scope, taken) for table in tables]
    objects: list[TableObjects] = []
    if meta_graph.has_object_graph:
        first = len(functions.object_graph.nodes)
        for place, nodes in enumerate(made):
            found = table_objects(functions, first, len(known) + place, nodes.table.name)
            first += len(found.nodes)
            objects.append(found)
            fill_call(nodes.filling, Call(found.filling.signature.name, ()), found.filling)
            nodes.filling.input.extend([nodes.asset.name, nodes.table.name])
    else:
        for nodes in made:
            make_filling(nodes.filling, nodes.table.name, nodes.asset.name)
    assets = [AssetFile(table.asset, f"{nodes.asset.name}:0") for table, nodes in zip(tables, made, strict=True)]
    added = [node for nodes in made for node in nodes]
    changes = _asset_changes(meta_graph, known, assets)
    changes += _run_at_load(functions, added, [nodes.filling.name for nodes in made], scope, taken)
    changes += appended(functions, added, list(functions.pending.values()))
    if objects:
        changes += object_changes(meta_graph, objects)
    return AddedTables(changes, tuple(nodes.table.name for nodes in made))


def _make_nodes(functions: Functions, table: Table, scope: str, taken: set[str]) -> _Nodes:
    nodes = _Nodes(*(new_message("NodeDef") for _ in _Nodes._fields))
    for node, name in zip(nodes, ("asset", "table", "initialize"), strict=True):
        node.name = unused_node(functions, f"{scope}/{name}", taken)
    make_constant(nodes.asset, DT_STRING, table.asset.encode())
    make_table(nodes.table, nodes.table.name)
    return nodes


def _asset_changes(meta_graph: MetaGraph, known: Sequence[AssetFile], added: Sequence[AssetFile]) -> list[Change]:
    """The changes that list more assets.

    Where TensorFlow 1 listed them in a collection, a list beside it would hide that from every loader, so the old ones
    come to the new list as well.
    """
    is_listed = bool(fields_of(document_of(meta_graph), meta_graph.field, ASSET_FILE_DEF))
    every = added if is_listed else [*known, *added]
    entries = b"".join(
        encode_field(
            ASSET_FILE_DEF,
            encode_field(_TENSOR_INFO, encode_field(TENSOR_NAME, asset.tensor_name))
            + encode_field(_FILENAME, asset.filename),
        )
        for asset in every
    )
    return [insertion_at_end(field_of(meta_graph), entries)]


def _run_at_load(
    functions: Functions, nodes: list[Any], fillings: Sequence[str], scope: str, taken: set[str]
) -> list[Change]:
    """The changes that let every loader run some nodes; a new init op comes to ``nodes``."""
    meta_graph, graph = functions.meta_graph, functions.graph
    order = [f"^{name}" for name in fillings]
    present = _init_nodes(meta_graph)
    changes = []
    for name in present:
        if name not in graph.nodes:
            raise UnsupportedEditError(f"the model's init op {quoted(name)} is no node of the graph")
        message = node_message(graph.nodes[name])
        message.input.extend(order)
        changes.append(replaced_node(meta_graph, graph, message))
    if present:
        return changes
    node = new_message("NodeDef")
    node.name, node.op = unused_node(functions, f"{scope}/init", taken), "NoOp"
    node.input.extend(order)
    nodes.append(node)
    collection = new_message("CollectionDef")
    collection.node_list.value.append(node.name)
    entry = encode_field(KEY, _MAIN_OP) + encode_field(VALUE, collection.SerializeToString())
    changes.append(insertion_at_end(field_of(meta_graph), encode_field(COLLECTION_DEF, entry)))
    if meta_graph.has_object_graph:  # as TensorFlow 2 writes it; one that finds only signatures there runs it too
        signature = new_message("SignatureDef")
        info = signature.outputs[INIT_OP_SIGNATURE_KEY]
        info.name = node.name
        info.tensor_shape.unknown_rank = True
        changes.append(added_entry(meta_graph, INIT_OP_SIGNATURE_KEY, signature.SerializeToString()))
    return changes


def _init_nodes(meta_graph: MetaGraph) -> list[str]:
    """The nodes that some loader runs when it loads the model; one, in nearly every model that has any.

    A loader takes the signature where there is one, else the one collection, else the other. One that knows no such
    signature, from before TensorFlow 2, begins with the collections.
    """
    found: dict[str, None] = {}
    signature = meta_graph.signatures.get(INIT_OP_SIGNATURE_KEY)
    info = None if signature is None else signature.outputs.get(INIT_OP_SIGNATURE_KEY)
    if info is not None and info.tensor_name:
        found[split_tensor_name(info.tensor_name)[0]] = None
    collections = _node_lists(meta_graph)
    names = collections.get(_MAIN_OP, collections.get(_LEGACY_INIT_OP))
    if names is not None:
        if len(names) != 1:
            raise UnsupportedEditError(
                f"the model names {len(names)} init ops, and loaders run one that has no equal beside it"
            )
        found[split_tensor_name(names[0])[0]] = None
    return list(found)


def _node_lists(meta_graph: MetaGraph) -> dict[str, list[str]]:
    document = document_of(meta_graph)
    found: dict[str, list[str]] = {}
    for entry in fields_of(document, meta_graph.field, COLLECTION_DEF):
        name, _, value = map_entry(document, entry)
        if name in (_MAIN_OP, _LEGACY_INIT_OP):
            data = b"" if value is None else payload(document, value)
            message = parsed("tensorflow.CollectionDef", data, f"the collection {quoted(name)}")
            found[name] = list(message.node_list.value)
    return found
