"""Reads what a TensorFlow 2 signature computes out of both places where it stands, and writes it into both.

``signature_def`` is what TensorFlow Serving, the C++ loader, ``saved_model_cli`` and ``tf.compat.v1`` read; the object
graph is what ``tf.saved_model.load`` reads. An edit starts only where they agree, and leaves them in agreement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from typing import Any

from explorer.editing import object_graph as children
from explorer.editing import wrapper
from explorer.editing.plan import (
    Arg,
    Call,
    Capture,
    Input,
    Output,
    Plan,
    Result,
    Source,
    graph_plan,
    shape_of,
    unwrapped,
)
from explorer.errors import EditError, UnsupportedEditError, quoted
from explorer.savedmodel.captures import Captures, find_captures
from explorer.savedmodel.function_ops import written_function
from explorer.savedmodel.graph import Graph, GraphTensor, read_graph, split_tensor_name
from explorer.savedmodel.inner_tensors import CALL_OPS, called_function
from explorer.savedmodel.model import DType, MetaGraph, Signature, TensorInfo
from explorer.savedmodel.object_graph import (
    new_message,
    node_message,
    read_function,
    read_object_graph,
    read_outline,
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


@dataclass
class Functions:
    """A meta graph of TensorFlow 2 with all that an edit of its functions looks up.

    Attributes:
        meta_graph: The meta graph.
        pending: The functions that the edit makes, by name.
    """

    meta_graph: MetaGraph
    pending: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def graph(self) -> Graph:
        """The graph."""
        return read_graph(self.meta_graph)

    @cached_property
    def object_graph(self) -> Any:
        """The object graph."""
        return read_object_graph(self.meta_graph)

    @cached_property
    def captures(self) -> Captures:
        """What brings which object."""
        return find_captures(self.meta_graph, self.graph)

    def find(self, name: str) -> Any:
        """A function by its name, one that the edit made or one of the library."""
        return self._find(name)

    def find_outline(self, name: str) -> Any:
        """The same function without its large attributes: to look at, not to clone."""
        return self._find_outline(name)

    @cached_property
    def _find(self) -> Any:
        return wrapper.finder(self.graph, self.pending, read_function)

    @cached_property
    def _find_outline(self) -> Any:
        return wrapper.finder(self.graph, self.pending, read_outline)

    def unused_function(self, name: str) -> str:
        """A name that no function has."""
        number, made = 0, name
        while self.graph.function(made) is not None or made in self.pending:
            number += 1
            made = f"{name}_{number}"
        return made


def read_plan(functions: Functions, signature: Signature, *, keys_only: bool = False) -> Plan:
    """What a signature computes, with the graph's tensors for its inputs and outputs.

    Args:
        functions: The meta graph.
        signature: The signature.
        keys_only: Whether the edit leaves everything but keys alone. Then it is enough that both truths have the same
            keys, where the graph computes the answers in a way that isn't known here.

    Raises:
        EditError: ``signature_def`` and the object graph say different things.
        UnsupportedEditError: One of them says it in a way that isn't known here.
    """
    in_objects = object_plan(functions, signature.key)
    try:
        in_graph = signature_def_plan(functions, signature)
    except UnsupportedEditError:
        if not keys_only or any(info.encoding != "name" for info in _infos(signature)):
            raise
        in_graph = _with_tensors(in_objects, signature)
    if set(in_objects.inputs) != set(in_graph.inputs) or not in_objects.computes_like(in_graph):
        raise EditError(
            f"a server and tf.saved_model.load see two different signatures {quoted(signature.key)} in this model; "
            "repair that first, so that the edit reaches both"
        )
    return _with_tensors(replace(in_objects, calls=in_graph.calls), signature)


def _with_tensors(plan: Plan, signature: Signature) -> Plan:
    """A plan with the graph's tensors for those inputs and outputs that ``signature_def`` has, and for no others."""
    inputs = {
        key: replace(plan.inputs[key], tensor_name=_tensor_name(info.tensor_name))
        for key, info in signature.inputs.items()
        if key in plan.inputs
    }
    outputs = {
        key: replace(plan.outputs[key], tensor_name=_tensor_name(info.tensor_name))
        for key, info in signature.outputs.items()
        if key in plan.outputs
    }
    return replace(plan, inputs=inputs, outputs=outputs)


def _infos(signature: Signature) -> list[TensorInfo]:
    return [*signature.inputs.values(), *signature.outputs.values()]


def agree(functions: Functions, signature: Signature) -> bool:
    """Whether a signature computes the same for a server as for ``tf.saved_model.load``."""
    try:
        read_plan(functions, signature)
    except UnsupportedEditError:
        return True  # it can't be told; the checks compare the keys
    except EditError:
        return False
    return True


def object_plan(functions: Functions, signature_key: str) -> Plan:
    """What the object graph says that a signature computes."""
    objects = functions.object_graph
    child = children.signature_child(functions.meta_graph, signature_key)
    bare = objects.nodes[child.node_id].bare_concrete_function
    name = bare.concrete_function_name
    if name not in objects.concrete_functions or functions.graph.function(name) is None:
        raise UnsupportedEditError(
            f"the object graph leads signature {quoted(signature_key)} to no function that the file has"
        )
    saved, function = objects.concrete_functions[name], read_outline(functions.graph, name)
    keyword = _dict_of(saved.canonicalized_input_signature.tuple_value, 1)
    answer = saved.output_signature.dict_value.fields if saved.output_signature.HasField("dict_value") else None
    free = len(function.signature.input_arg) - len(saved.bound_inputs)
    if keyword is None or answer is None or free != len(keyword) or len(answer) != len(function.signature.output_arg):
        raise UnsupportedEditError(
            f"the function behind signature {quoted(signature_key)} takes or gives more than tensors by key, and such "
            "a signature can only be edited as a whole"
        )
    inputs = {key: Input(*_spec_of(keyword[key])) for key in sorted(keyword)}
    outputs = {key: Output(Result(0, index), *_spec_of(answer[key])) for index, key in enumerate(sorted(answer))}
    args: list[Source] = [Arg(key) for key in sorted(keyword)]
    args += [Capture(edge_of(functions, node_id)) for node_id in saved.bound_inputs]
    return unwrapped(Plan(inputs, outputs, (Call(name, tuple(args), call_template(functions, name)),)), functions.graph)


def signature_def_plan(functions: Functions, signature: Signature) -> Plan:
    """What ``signature_def`` and the graph say that a signature computes."""
    for info in _infos(signature):
        if info.encoding != "name":
            raise UnsupportedEditError(
                f"signature {quoted(signature.key)} has a {info.encoding} tensor, which functions know only in parts"
            )
    inputs = {
        key: Input(info.dtype.number, info.shape, tensor_name=_tensor_name(info.tensor_name))
        for key, info in signature.inputs.items()
    }
    outputs = {
        key: Output(Arg(""), info.dtype.number, info.shape, _tensor_name(info.tensor_name))
        for key, info in signature.outputs.items()
    }
    plan = graph_plan(functions.graph, inputs, outputs, functions.captures.objects)
    return unwrapped(plan, functions.graph)


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
            names = [node.op, *(value.func.name for value in node.attr.values() if value.HasField("func"))]
            pending += [functions.pending[name] for name in names if name in functions.pending]
    return dict(reversed(found.items()))


def appended(functions: Functions, nodes: list[Any], made: list[Any]) -> list[Change]:
    """The changes that put nodes and functions behind a graph, and definitions of ops that it has not used before.

    A message that is given in two parts is one message, so nothing that stands there is moved.
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
    ops = {node.op for node in nodes} | {node.op for function in made for node in function.node_def}
    return [*_op_list_changes(functions, ops), insertion_at_end(graph, written)]


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
    stored = resources.files("explorer.editing").joinpath("op_list.pb").read_bytes()
    added = b""
    for tag, _, part in iter_fields(stored):
        if tag == OP << 3 | LENGTH and any(
            inner == 1 << 3 | LENGTH and bytes(name).decode() in missing for inner, _, name in iter_fields(part)
        ):
            added += encode_field(OP, bytes(part))
    if not added:
        return []
    document, meta_graph = _document(functions), functions.meta_graph
    infos = fields_of(document, meta_graph.field, META_INFO_DEF)
    lists = [found for info in infos for found in fields_of(document, info, STRIPPED_OP_LIST)]
    if lists:
        return [insertion_at_end(lists[-1], added)]
    new = encode_field(STRIPPED_OP_LIST, added)
    return [insertion_at_end(infos[-1], new)] if infos else []


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


def call_template(functions: Functions, name: str) -> Any:
    """The node of the graph that calls a function, for its attributes; None where none does."""
    for node in functions.graph.nodes.values():
        if node.op in CALL_OPS:
            message = node_message(node)
            if called_function(message, functions.graph.function) == name:
                return message
    return None


def edge_of(functions: Functions, node_id: int) -> str:
    """The edge of the graph that brings what an object holds.

    Raises:
        UnsupportedEditError: There is none.
    """
    edge = functions.captures.edges.get(node_id)
    if edge is None:
        raise UnsupportedEditError(
            f"nothing in the graph brings object {node_id} of the object graph, which a function captures"
        )
    return edge


def _dict_of(message: Any, index: int) -> Any:
    """The dict at a place of a tuple whose first part is empty; None where it is something else."""
    values = message.values
    if len(values) != 2 or len(values[0].tuple_value.values) or not values[index].HasField("dict_value"):
        return None
    return values[index].dict_value.fields


def _spec_of(value: Any) -> tuple[int, Any]:
    """The dtype and the shape of a TensorSpec or a BoundedTensorSpec."""
    kind = value.WhichOneof("kind")
    if kind not in ("tensor_spec_value", "bounded_tensor_spec_value"):
        raise UnsupportedEditError(f"a signature with a value of the kind {kind} can only be edited as a whole")
    spec = getattr(value, kind)
    return spec.dtype, shape_of(spec.shape)


def _tensor_name(name: str | None) -> str:
    """A tensor name with its index."""
    text = name or ""
    return text if split_tensor_name(text)[1] is not None else f"{text}:0"


def _plain(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", key)


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def _document(functions: Functions) -> Document:
    assert functions.meta_graph.document is not None
    return functions.meta_graph.document
