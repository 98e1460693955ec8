"""Reads what a TensorFlow 2 signature computes out of both places where it stands.

``signature_def`` is what TensorFlow Serving, the C++ loader, ``saved_model_cli`` and ``tf.compat.v1`` read; the object
graph is what ``tf.saved_model.load`` reads. An edit starts only where they agree, and leaves them in agreement.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
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
from explorer.savedmodel.graph import Graph, read_graph, split_tensor_name
from explorer.savedmodel.inner_tensors import CALL_OPS, called_function
from explorer.savedmodel.model import MetaGraph, Signature, TensorInfo
from explorer.savedmodel.object_graph import (
    node_message,
    read_function,
    read_object_graph,
    read_outline,
)


@dataclass
class Functions:
    """A meta graph of TensorFlow 2 with all that an edit of its functions looks up.

    Attributes:
        meta_graph: The meta graph.
        pending: The functions that the edit makes, by name.
        definitions: Ops that the pending functions are made of → their definitions, for a file that lacks them.
    """

    meta_graph: MetaGraph
    pending: dict[str, Any] = field(default_factory=dict)
    definitions: dict[str, bytes] = field(default_factory=dict)

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
