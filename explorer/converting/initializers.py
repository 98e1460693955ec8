"""What has to run when a model is loaded: tables are filled, and variables that no checkpoint holds get their values.

A saver restores neither. Loaders run the op that the collection ``saved_model_main_op`` and the signature
``__saved_model_init_op`` name (``GetInitOp`` of ``tensorflow/cc/saved_model/loader_util.cc``), after they have restored
the variables; ``tensorflow/python/saved_model/builder_impl.py`` writes both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from explorer.errors import listed
from explorer.savedmodel import wire
from explorer.savedmodel.constants import INIT_OP_SIGNATURE_KEY
from explorer.savedmodel.edges import split_tensor_name
from explorer.savedmodel.graph import Graph, Node, input_node, read_graph
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.nodes import NODE
from explorer.savedmodel.object_graph import new_message, parsed
from explorer.savedmodel.overlay import Change, Document, apply_changes, insertion_at_end
from explorer.savedmodel.reader import COLLECTION_DEF, GRAPH_DEF, SIGNATURE_DEF, fields_of, map_entry, read_document
from explorer.savedmodel.wire import payload

TABLE_FILE_OPS: Final = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
"""Ops that fill a table from the lines of a file."""

_TABLE_OPS: Final = TABLE_FILE_OPS | {"InitializeTable", "InitializeTableV2"}
_IMPORT_OPS: Final = frozenset({"LookupTableImport", "LookupTableImportV2"})
_FIXED_TABLES: Final = frozenset({"HashTable", "HashTableV2"})
_PIPELINE_OPS: Final = frozenset({"MakeIterator", "DatasetToSingleElement"})
_MAIN_OP: Final = "saved_model_main_op"
_MAIN_OPS: Final = frozenset({_MAIN_OP, "legacy_init_op"})
_TABLES: Final = "table_initializer"
_LOCAL_VARIABLES: Final = "local_variables"
_NODE_NAME: Final = "initialize_on_load"


@dataclass(frozen=True, slots=True)
class Initialized:
    """A SavedModel that initializes itself when it is loaded.

    Attributes:
        document: Its bytes.
        variables: The variables that its initializers give a value.
        notes: What a person should know.
    """

    document: Document
    variables: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def initialize_on_load(document: Document, restored: Collection[str] = ()) -> Initialized:
    """Groups what fills tables and local variables, and lets loaders run it; a model that has such an op keeps it.

    Args:
        document: The bytes of a SavedModel with one meta graph.
        restored: The variables that get their value from the checkpoint.

    Raises:
        FormatError: The graph or a collection is corrupt.
    """
    (meta_graph,) = read_document(document).meta_graphs
    graph = read_graph(meta_graph)
    collections = _collections(document, meta_graph)
    if INIT_OP_SIGNATURE_KEY in meta_graph.signatures or not _MAIN_OPS.isdisjoint(collections):
        return Initialized(document)
    local = {
        variable: initializer
        for variable, initializer in _local_variables(collections.get(_LOCAL_VARIABLES)).items()
        if variable in graph.nodes and variable not in restored
    }
    wanted = dict.fromkeys([*_table_initializers(graph, collections.get(_TABLES)), *local.values()])
    there = [name for name in wanted if name in graph.nodes]
    feeding = [name for name in there if graph.nodes[name].op in _PIPELINE_OPS]
    others = [name for name in there if graph.nodes[name].op not in _PIPELINE_OPS]
    waiting = [name for name in others if graph.needs([name], ()).unfed]
    held = set(waiting)
    run = [name for name in others if name not in held]
    notes = tuple(_notes(feeding, waiting))
    if not run:
        return Initialized(document, notes=notes)
    started = set(run)
    variables = frozenset(variable for variable, initializer in local.items() if initializer in started)
    return Initialized(apply_changes(document, _main_op(meta_graph, graph, run)), variables, notes)


def _notes(feeding: list[str], waiting: list[str]) -> Iterable[str]:
    if feeding:
        yield f"the input pipeline of the training ({listed(feeding, 3)}) isn't started: requests bring the data"
    if waiting:
        yield f"{listed(waiting, 3)} can't run when the model is loaded, because a placeholder has no value then"


def _table_initializers(graph: Graph, collection: Any) -> list[str]:
    """The ops that fill tables: those that a collection names, and those that can be told by what they are."""
    named = [] if collection is None else [_op_name(name) for name in collection.node_list.value]
    return [*named, *[node.name for node in graph.nodes.values() if _fills_table(graph, node)]]


def _fills_table(graph: Graph, node: Node) -> bool:
    if node.op in _TABLE_OPS:
        return True
    if node.op not in _IMPORT_OPS:
        return False
    # The saver fills tables that grow by the same op, from what it restores; constants fill the others.
    table, *values = [graph.nodes.get(input_node(edge)) for edge in node.inputs[:3]] or [None]
    return (
        table is not None
        and table.op in _FIXED_TABLES
        and all(value is not None and not value.op.startswith("Restore") for value in values)
    )


def _local_variables(collection: Any) -> dict[str, str]:
    """Node of a local variable → the op that gives it its first value."""
    found: dict[str, str] = {}
    for data in () if collection is None else collection.bytes_list.value:
        variable = parsed("tensorflow.VariableDef", data, "a local variable")
        found[_op_name(variable.variable_name)] = _op_name(variable.initializer_name)
    return found


def _collections(document: Document, meta_graph: MetaGraph) -> dict[str, Any]:
    """The collections that matter here, by name."""
    wanted = {*_MAIN_OPS, _TABLES, _LOCAL_VARIABLES}
    found: dict[str, Any] = {}
    for entry in fields_of(document, meta_graph.field, COLLECTION_DEF):
        name, _, value = map_entry(document, entry)
        if name in wanted:
            data = b"" if value is None else payload(document, value)
            found[name] = parsed("tensorflow.CollectionDef", data, f"the collection {name}")
    return found


def _main_op(meta_graph: MetaGraph, graph: Graph, run: list[str]) -> list[Change]:
    number, name = 0, _NODE_NAME
    while name in graph.nodes:
        number += 1
        name = f"{_NODE_NAME}_{number}"
    node = new_message("NodeDef")
    node.name, node.op = name, "NoOp"
    node.input.extend(f"^{one}" for one in run)
    collection = new_message("CollectionDef")
    collection.node_list.value.append(name)
    signature = new_message("SignatureDef")
    output = signature.outputs[INIT_OP_SIGNATURE_KEY]
    output.name = name
    output.tensor_shape.unknown_rank = True
    assert meta_graph.document is not None
    assert meta_graph.field is not None
    return [
        insertion_at_end(
            fields_of(meta_graph.document, meta_graph.field, GRAPH_DEF)[-1],
            wire.encode_field(NODE, node.SerializeToString(deterministic=True)),
        ),
        insertion_at_end(meta_graph.field, _map_entry(COLLECTION_DEF, _MAIN_OP, collection)),
        insertion_at_end(meta_graph.field, _map_entry(SIGNATURE_DEF, INIT_OP_SIGNATURE_KEY, signature)),
    ]


def _map_entry(field: int, key: str, value: Any) -> bytes:
    data = wire.encode_field(1, key) + wire.encode_field(2, value.SerializeToString(deterministic=True))
    return wire.encode_field(field, data)


def _op_name(name: str) -> str:
    """The op of a name that may be that of a tensor."""
    return split_tensor_name(name.removeprefix("^"))[0]
