"""Which edge of the graph brings the variable, table, asset or constant that a function captures.

A function of the object graph names what it captures by the number of an object; a call in the graph takes it by an
edge. How the two are matched is nowhere written down, so it is worked out from the calls that TensorFlow made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from explorer.savedmodel.graph import Graph, split_tensor_name
from explorer.savedmodel.inner_tensors import CALL_OPS, called_function
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.object_graph import node_message, object_paths, read_function, read_object_graph
from explorer.savedmodel.reader import SAVER_DEF, fields_of
from explorer.savedmodel.wire import LENGTH, scan, text

_RESTORE_OP_NAME: Final = 3  # saver.proto, SaverDef.restore_op_name
_VARIABLE_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"


class Captures(NamedTuple):
    """What is known of a meta graph's captures.

    Attributes:
        edges: The number of an object → the edge that brings it.
        objects: An edge → the number of the object that it brings.
    """

    edges: Mapping[int, str]
    objects: Mapping[str, int]


def find_captures(meta_graph: MetaGraph, graph: Graph) -> Captures:
    """Matches the objects of a meta graph with the edges of its graph.

    In this order, the first answer counting: the calls of functions that the object graph knows; the constants, which
    name their node; variables whose name is the name of one node; and what the restore function assigns from the
    checkpoint key of a variable.
    """
    object_graph = read_object_graph(meta_graph)
    edges: dict[int, str] = {}
    objects: dict[str, int] = {}
    if object_graph is not None:
        for node_id, edge in _matches(meta_graph, graph, object_graph):
            edges.setdefault(node_id, edge)
            objects.setdefault(edge, node_id)
    return Captures(edges, objects)


def restored_handles(meta_graph: MetaGraph, graph: Graph) -> dict[str, str]:
    """Which node holds what the loader restores: checkpoint key → the edge of the variable's handle.

    None are found where the saver isn't a function, as in models of TensorFlow 1.
    """
    saver = _restore_call(meta_graph, graph)
    if saver is None:
        return {}
    edges = [edge for edge in saver.input if edge[:1] != "^"]
    function = read_function(graph, called_function(saver, graph.function) or "")
    nodes = {node.name: node for node in function.node_def}
    arguments = {arg.name: index for index, arg in enumerate(function.signature.input_arg)}
    keys: dict[str, list[str]] = {}
    for node in function.node_def:
        if node.op == "RestoreV2" and len(node.input) > 1:
            names = nodes.get(node.input[1].partition(":")[0])
            if names is not None and names.op == "Const":
                keys[node.name] = [value.decode("utf-8", "replace") for value in names.attr["value"].tensor.string_val]
    found: dict[str, str] = {}
    for node in function.node_def:
        if node.op == "AssignVariableOp" and node.input[0] in arguments:
            origin = _restored(node.input[1], nodes)
            if origin is not None and origin[0] in keys and origin[1] < len(keys[origin[0]]):
                found[keys[origin[0]][origin[1]]] = edges[arguments[node.input[0]]]
    return found


def checkpoint_keys(object_graph: Any) -> dict[str, int]:
    """Checkpoint key of a variable → the number of its object.

    The saver names a variable by a shortest path from the root; where an object has several paths, the checkpoint may
    hold it under any of them, so all names that a parent gives it are tried.
    """
    found: dict[str, int] = {}
    for node_id, path in object_paths(object_graph):
        for child in object_graph.nodes[node_id].children:
            if child.node_id < len(object_graph.nodes):
                kind = object_graph.nodes[child.node_id].WhichOneof("kind")
                if kind == "variable":
                    key = "/".join(_escaped(name) for name in (*path, child.local_name)) + _VARIABLE_VALUE
                    found.setdefault(key, child.node_id)
    return found


def _matches(meta_graph: MetaGraph, graph: Graph, object_graph: Any) -> Iterator[tuple[int, str]]:
    for node in graph.nodes.values():
        if node.op in CALL_OPS or graph.function(node.op) is not None:
            name = called_function(node_message(node), graph.function)
            if name in object_graph.concrete_functions:
                bound = object_graph.concrete_functions[name].bound_inputs
                edges = [edge for edge in node.inputs if edge[:1] != "^"]
                if 0 < len(bound) <= len(edges):
                    yield from zip(bound, edges[-len(bound) :], strict=True)
    names: dict[str, list[int]] = {}
    for node_id, saved in enumerate(object_graph.nodes):
        kind = saved.WhichOneof("kind")
        if kind == "constant" and saved.constant.operation in graph.nodes:
            yield node_id, saved.constant.operation
        elif kind == "variable":
            names.setdefault(saved.variable.name, []).append(node_id)
    for name, holders in names.items():
        if len(holders) == 1 and name in graph.nodes and graph.nodes[name].op == "VarHandleOp":
            yield holders[0], name
    handles = restored_handles(meta_graph, graph)
    for key, node_id in checkpoint_keys(object_graph).items():
        if key in handles:
            yield node_id, handles[key]


def _restore_call(meta_graph: MetaGraph, graph: Graph) -> Any:
    """The NodeDef of the call that restores the variables; None where no function does it."""
    document = meta_graph.document
    assert document is not None
    name = ""
    for saver in fields_of(document, meta_graph.field, SAVER_DEF):
        for part in scan(document, saver):
            if part.number == _RESTORE_OP_NAME and part.wire_type == LENGTH:
                name = text(document, part, "the name of the restore op")
    node = graph.nodes.get(split_tensor_name(name)[0])
    message = None if node is None else node_message(node)
    return None if message is None or called_function(message, graph.function) is None else message


def _restored(edge: str, nodes: Mapping[str, Any]) -> tuple[str, int] | None:
    """The RestoreV2 node and the place in it that a value comes from, through nodes that pass it on."""
    for _ in range(10):
        name, _, rest = edge.partition(":")
        node = nodes.get(name)
        if node is None:
            return None
        if node.op == "RestoreV2":
            index = rest.rpartition(":")[2]
            return name, int(index) if index.isdecimal() else 0
        if node.op != "Identity" or not node.input:
            return None
        edge = node.input[0]
    return None


def _escaped(name: str) -> str:
    """A name as it stands in a checkpoint key (``tensorflow/python/checkpoint/trackable_view``)."""
    return name.replace(".", "..").replace("/", ".S")


class Unrestored(NamedTuple):
    """A variable that a call takes and that no loader of a server fills.

    Attributes:
        call: The node that takes it.
        position: At which of its inputs.
        edge: The variable's handle.
        restored: The handle of the same variable that is filled; None where there is none.
    """

    call: str
    position: int
    edge: str
    restored: str | None


def unrestored_captures(meta_graph: MetaGraph, graph: Graph) -> list[Unrestored]:
    """The variables that functions take from handles into which nothing is restored.

    Keras 3 models that were saved with ``tf.saved_model.save`` have them: each variable stands in the graph twice, the
    functions take one handle and the loader fills the other. ``tf.saved_model.load`` matches objects, not handles, so
    it doesn't notice.
    """
    objects = read_object_graph(meta_graph)
    handles = restored_handles(meta_graph, graph) if objects is not None else {}
    if not handles:
        return []
    filled = set(handles.values()) | _initialised(graph)
    restored: dict[int, str] = {}
    for key, node_id in checkpoint_keys(objects).items():
        if key in handles:
            restored.setdefault(node_id, handles[key])
    found = []
    for node in graph.nodes.values():
        if node.op not in CALL_OPS and graph.function(node.op) is None:
            continue
        name = called_function(node_message(node), graph.function)
        bound = objects.concrete_functions[name].bound_inputs if name in objects.concrete_functions else ()
        edges = [edge for edge in node.inputs if edge[:1] != "^"]
        first = len(edges) - len(bound)
        for place, node_id in enumerate(bound):
            edge = edges[first + place] if first >= 0 else ""
            source = graph.nodes.get(edge)
            if source is not None and source.op == "VarHandleOp" and edge not in filled:
                found.append(Unrestored(node.name, first + place, edge, restored.get(node_id)))
    return found


def _initialised(graph: Graph) -> set[str]:
    """The handles of variables that nodes of the graph itself assign, such as the paths of assets."""
    return {node.inputs[0] for node in graph.nodes.values() if node.op.startswith("AssignVariable") and node.inputs}
