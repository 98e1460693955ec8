"""What kind of model it is, and the counts that take a walk through the graph.

Both come after the first table: they read more of the file than the signatures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explorer.errors import ExplorerError
from explorer.savedmodel import constants, wire
from explorer.savedmodel.assets import read_assets
from explorer.savedmodel.model import MetaGraph, SavedModel
from explorer.savedmodel.reader import GRAPH_DEF, OBJECT_GRAPH_DEF, fields_of
from explorer.savedmodel.wire import LENGTH

# graph.proto: GraphDef; function.proto: FunctionDefLibrary
_NODE, _LIBRARY, _FUNCTION = 1, 2, 1
# saved_object_graph.proto: SavedObject.user_object, SavedUserObject.identifier
_USER_OBJECT, _IDENTIFIER = 4, 1
_SCAN_WINDOW = 1 << 16
_KERAS_2_IDENTIFIERS = ("_tf_keras_network", "_tf_keras_sequential", "_tf_keras_model", "_tf_keras_layer")


@dataclass(frozen=True, slots=True)
class Counts:
    """How large a meta graph is.

    Attributes:
        nodes: Nodes of the graph, without those inside functions.
        functions: Functions of the graph's library.
        variables: Variables of the checkpoint; None where it can't be told.
        variable_bytes: Their stored size; None where it can't be told.
        assets: Files that the graph reads from ``assets/``.
    """

    nodes: int
    functions: int
    variables: int | None
    variable_bytes: int | None
    assets: int

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "nodes": self.nodes,
            "functions": self.functions,
            "variables": self.variables,
            "variable_bytes": self.variable_bytes,
            "assets": self.assets,
        }


def counts(model: SavedModel) -> tuple[Counts, ...]:
    """Counts nodes, functions, variables and assets of every meta graph; variables are shared by all of them."""
    from explorer.savedmodel.variables import read_variables  # not needed to describe the kind

    variables: int | None = None
    variable_bytes: int | None = None
    if model.path is not None and model.document is not None:
        try:
            found = read_variables(model.path)
            if found.status != "v1_format":
                variables, variable_bytes = len(found.entries), found.size_bytes
        except ExplorerError:
            pass  # a damaged index is a finding of the checks; here it only means that nothing can be counted
    return tuple(_counts(meta_graph, variables, variable_bytes) for meta_graph in model.meta_graphs)


def _counts(meta_graph: MetaGraph, variables: int | None, variable_bytes: int | None) -> Counts:
    if meta_graph.document is None:
        return Counts(0, 0, None, None, 0)
    document = meta_graph.document
    nodes = functions = 0
    for graph in fields_of(document, meta_graph.field, GRAPH_DEF):
        for field in wire.scan(document, graph, _SCAN_WINDOW):
            if field.number == _NODE:
                nodes += 1
            elif field.number == _LIBRARY and field.wire_type == LENGTH:
                functions += len(
                    [part for part in wire.scan(document, field, _SCAN_WINDOW) if part.number == _FUNCTION]
                )
    return Counts(nodes, functions, variables, variable_bytes, len(read_assets(meta_graph)))


def describe_kind(model: SavedModel) -> str:
    """What made the model, in a word or two: ``TF1``, ``TF2``, ``Keras 2``, ``Keras 3``."""
    meta_graph = next((graph for graph in model.meta_graphs if graph.has_object_graph), None)
    if meta_graph is None:
        return "TF1"
    if model.path is not None and (model.path / constants.KERAS_METADATA).exists():
        return "Keras 2"
    try:
        identifier, names = _root_object(meta_graph)
    except ExplorerError:
        return "TF2"
    if identifier in _KERAS_2_IDENTIFIERS or "keras_api" in names:
        return "Keras 2"
    # keras.export.ExportArchive hangs these beside the endpoints.
    if {"_all_variables", "trainable_variables", "non_trainable_variables"} <= names:
        return "Keras 3"
    return "TF2"


def _root_object(meta_graph: MetaGraph) -> tuple[str, set[str]]:
    """The identifier of the object graph's root, and the names of its children."""
    document = meta_graph.document
    if document is None:
        return "", set()
    for graph in fields_of(document, meta_graph.field, OBJECT_GRAPH_DEF):
        for node in wire.scan(document, graph):
            if node.number != 1:
                continue
            identifier, names = "", set()
            for part in wire.scan(document, node):
                if part.number == 1:  # SavedObject.children: ObjectReference.local_name
                    names |= {wire.text(document, name) for name in fields_of(document, part, 2)}
                elif part.number == _USER_OBJECT and part.wire_type == LENGTH:
                    identifier = "".join(wire.text(document, name) for name in fields_of(document, part, _IDENTIFIER))
            return identifier, names
    return "", set()
