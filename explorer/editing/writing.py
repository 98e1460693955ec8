"""Writes what a TensorFlow 2 signature computes into both places where it stands; what is there already stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from explorer.editing import object_graph as children
from explorer.editing import wrapper
from explorer.editing.plan import (
    Input,
    Output,
    Plan,
)
from explorer.editing.two_truths import Functions
from explorer.savedmodel.function_ops import written_function
from explorer.savedmodel.graph import GraphTensor, split_tensor_name
from explorer.savedmodel.model import DType
from explorer.savedmodel.object_graph import (
    new_message,
)
from explorer.savedmodel.op_defs import OP
from explorer.savedmodel.overlay import Change, Document, insertion_at_end
from explorer.savedmodel.reader import (
    GRAPH_DEF,
    META_INFO_DEF,
    OBJECT_GRAPH_DEF,
    STRIPPED_OP_LIST,
    fields_of,
)
from explorer.savedmodel.records import iter_fields
from explorer.savedmodel.wire import LENGTH, encode_field, encode_header

# graph.proto, GraphDef; function.proto, FunctionDefLibrary; saved_object_graph.proto, SavedObjectGraph
_NODE, _LIBRARY, _FUNCTION, _OBJECTS, _CONCRETE_FUNCTIONS = 1, 2, 1, 1, 2
_NOT_IN_A_NODE_NAME = re.compile(r"[^A-Za-z0-9_./-]+")


@dataclass(frozen=True, slots=True)
class Written:
    """A plan as it is written.

    Attributes:
        changes: The changes of graph and object graph.
        inputs: Input key → the graph tensor that a request feeds.
        outputs: Output key → the graph tensor that a request fetches.
    """

    changes: list[Change]
    inputs: Mapping[str, GraphTensor]
    outputs: Mapping[str, GraphTensor]


def write_plan(functions: Functions, signature_key: str, plan: Plan) -> Written:
    """The changes that let the object graph, and the graph where its tensors no longer do, compute a plan.

    Args:
        functions: The meta graph, with the functions that the plan's calls need among the pending ones.
        signature_key: The signature, present or new.
        plan: What it shall compute.
    """
    name = functions.unused_function(f"__inference_signature_wrapper_{_plain(signature_key)}_edited")
    made = wrapper.make_wrapper(plan, name, functions.find_outline)
    objects = functions.captures.objects
    nodes: list[Any] = []
    taken: set[str] = set()
    inputs, edges = {}, {}
    for key, info in plan.inputs.items():
        tensor_name = info.tensor_name
        if not tensor_name:
            node = _placeholder(functions, f"{signature_key}_{key}", info, taken)
            nodes.append(node)
            tensor_name = f"{node.name}:0"
        inputs[key] = _tensor(tensor_name, info)
        edges[key] = tensor_name.removesuffix(":0")
    outputs = {}
    call = None
    if any(not output.tensor_name for output in plan.outputs.values()):
        call = wrapper.call_node(plan, made, unused_node(functions, f"{signature_key}_call", taken), edges)
        nodes.append(call)
    for index, key in enumerate(made.results):
        output = plan.outputs[key]
        tensor_name = output.tensor_name if call is None else f"{call.name}:{index}"
        outputs[key] = _tensor(tensor_name, output)
    needed = _needed(functions, made)
    changes = [
        *appended(functions, nodes, list(needed.values())),
        *_object_changes(functions, signature_key, plan, made, objects),
    ]
    return Written(changes, inputs, {key: outputs[key] for key in plan.outputs})


def _needed(functions: Functions, made: wrapper.Wrapper) -> dict[str, Any]:
    """The wrapper and those pending functions that it leads to, innermost first."""
    found: dict[str, Any] = {}
    pending = [made.function]
    while pending:
        function = pending.pop()
        found.pop(function.signature.name, None)
        found[function.signature.name] = function
        for node in function.node_def:
            names = [node.op]
            for value in node.attr.values():
                names += [value.func.name] if value.HasField("func") else [called.name for called in value.list.func]
            pending += [functions.pending[name] for name in names if name in functions.pending]
    return dict(reversed(found.items()))


def appended(functions: Functions, nodes: list[Any], made: list[Any], ops: Iterable[str] = ()) -> list[Change]:
    """The changes that put nodes and functions behind a graph, and definitions of ops that it has not used before.

    A message that is given in two parts is one message, so nothing that stands there is moved.

    Args:
        functions: The meta graph.
        nodes: The new NodeDefs.
        made: The new FunctionDefs.
        ops: Ops that the edit brings in besides those of the nodes and functions.
    """
    written = Document.of_bytes(b"".join(encode_field(_NODE, _bytes(node)) for node in nodes))
    if made:
        known = {function.signature.name for function in made}

        def knows(name: str) -> object:
            return name if name in known else functions.graph.function(name)

        documents = [written_function(function, knows) for function in made]
        library = Document.joined(
            part for function in documents for part in (encode_header(_FUNCTION, function.size), function)
        )
        written = Document.joined([written, encode_header(_LIBRARY, library.size), library])
    graph = fields_of(_document(functions), functions.meta_graph.field, GRAPH_DEF)[-1]
    used = {*ops, *(node.op for node in nodes), *(node.op for function in made for node in function.node_def)}
    return [*_op_list_changes(functions, used), insertion_at_end(graph, written)]


def _object_changes(
    functions: Functions, signature_key: str, plan: Plan, made: wrapper.Wrapper, objects: Mapping[str, int]
) -> list[Change]:
    saved = wrapper.signature_object(made, objects, functions.object_graph)
    concrete = wrapper.concrete_function(plan, made, objects)
    entry = encode_field(1, made.function.signature.name) + encode_field(2, _bytes(concrete))
    data = encode_field(_OBJECTS, _bytes(saved)) + encode_field(_CONCRETE_FUNCTIONS, entry)
    graph = fields_of(_document(functions), functions.meta_graph.field, OBJECT_GRAPH_DEF)[-1]
    node_id = len(functions.object_graph.nodes)
    return [
        *children.lead_child(functions.meta_graph, signature_key, node_id),
        insertion_at_end(graph, data),
    ]


def _op_list_changes(functions: Functions, ops: set[str]) -> list[Change]:
    """Definitions of ops that the model has not used before."""
    missing = {op for op in ops if functions.graph.op_def(op) is None and op not in functions.pending}
    if not missing:
        return []
    known = {**stored_ops(), **functions.definitions}
    added = b"".join(encode_field(OP, known[name]) for name in sorted(missing & known.keys()))
    if not added:
        return []
    document, meta_graph = _document(functions), functions.meta_graph
    infos = fields_of(document, meta_graph.field, META_INFO_DEF)
    lists = [found for info in infos for found in fields_of(document, info, STRIPPED_OP_LIST)]
    if lists:
        return [insertion_at_end(lists[-1], added)]
    new = encode_field(STRIPPED_OP_LIST, added)
    return [insertion_at_end(infos[-1], new)] if infos else []


@cache
def stored_ops() -> Mapping[str, bytes]:
    """Op → its definition, for those that generated functions are made of (``tools/make_op_list.py``)."""
    stored = resources.files("explorer.editing").joinpath("op_list.pb").read_bytes()
    found = {}
    for tag, _, part in iter_fields(stored):
        if tag == OP << 3 | LENGTH:
            name = next(bytes(value).decode() for inner, _, value in iter_fields(part) if inner == 1 << 3 | LENGTH)
            found[name] = bytes(part)
    return found


def _placeholder(functions: Functions, wanted: str, info: Input, taken: set[str]) -> Any:
    node = new_message("NodeDef")
    node.name, node.op = unused_node(functions, wanted, taken), "Placeholder"
    node.attr["dtype"].type = info.type_number
    wrapper.set_shape(node.attr["shape"].shape, info.shape)
    wrapper.set_shape(node.attr["_output_shapes"].list.shape.add(), info.shape)
    return node


def unused_node(functions: Functions, wanted: str, taken: set[str]) -> str:
    """A name that no node has, nor one of the ``taken``, to which it is added."""
    base = _NOT_IN_A_NODE_NAME.sub("_", wanted).lstrip("_./-") or "signature"
    number, made = 0, base
    while made in functions.graph.nodes or made in taken:
        number += 1
        made = f"{base}_{number}"
    taken.add(made)
    return made


def _tensor(tensor_name: str, info: Input | Output) -> GraphTensor:
    return GraphTensor(tensor_name, DType(info.type_number), info.shape, "", split_tensor_name(tensor_name)[0])


def _plain(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", key)


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def _document(functions: Functions) -> Document:
    assert functions.meta_graph.document is not None
    return functions.meta_graph.document
