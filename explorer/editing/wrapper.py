"""A plan → the wrapper function that both truths of a TensorFlow 2 signature go through, and the call of it.

What is written follows what ``tf.saved_model.save`` writes (``signature_serialization.py`` and
``function_serialization.py`` in ``tensorflow/python/saved_model``): a FunctionDef whose arguments are the inputs in the
order of their sorted keys and then what is captured; its entry in ``concrete_functions``; a ``bare_concrete_function``
object that the signature map leads to; and, where the graph's own tensors no longer do, a call node that servers fetch
from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from explorer.editing.plan import Arg, Call, Capture, Constant, Input, Plan, Result, Source, shape_of
from explorer.savedmodel.graph import Graph
from explorer.savedmodel.inner_tensors import CALL_OPS
from explorer.savedmodel.model import Shape
from explorer.savedmodel.object_graph import new_message, parsed

_CONSTRUCTION_CONTEXT: Final = b"kEagerRuntime"
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_]+")
_CALL_TYPES = ("Tin", "Tout", "f", "config", "config_proto", "executor_type")


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A generated function.

    Attributes:
        function: Its FunctionDef.
        captures: What it captures, in the order of its last arguments.
        keys: The keys of its inputs, in the order of its first arguments.
        results: The keys of its outputs, in the order of its results.
        ops: The ops that it is made of.
    """

    function: Any
    captures: tuple[Capture, ...]
    keys: tuple[str, ...]
    results: tuple[str, ...]
    ops: frozenset[str]


def make_wrapper(plan: Plan, name: str, find: Callable[[str], Any]) -> Wrapper:
    """Writes the function that makes a plan's calls.

    Args:
        plan: The plan, in which nothing is unfed.
        name: The name of the function.
        find: Gives the FunctionDef of a called function by its name.

    Returns:
        The function; the same plan gives the same bytes.
    """
    keys, results, captures = tuple(sorted(plan.inputs)), tuple(sorted(plan.outputs)), tuple(plan.captures())
    function = new_message("FunctionDef")
    signature = function.signature
    signature.name = name
    taken: set[str] = set()
    args: dict[Source, str] = {}
    shapes: list[Shape] = []
    for position, key in enumerate(keys):
        info = plan.inputs[key]
        arg = signature.input_arg.add(name=argument_name(key, taken), type=info.type_number)
        args[Arg(key)] = arg.name
        details = function.arg_attr[position].attr
        details["_user_specified_name"].s = key.encode("utf-8")
        _set_shapes(details["_output_shapes"], [info.shape])
        shapes.append(info.shape)
    parameters = _parameters(plan, find)
    for position, capture in enumerate(captures, len(keys)):
        source = parameters[capture]
        arg = signature.input_arg.add()
        arg.CopyFrom(source.arg)
        arg.name = unused("unknown", taken, first=position - len(keys))
        args[capture] = arg.name
        function.arg_attr[position].attr["_output_shapes"].CopyFrom(source.shapes)
        shapes.append(Shape(()) if source.shape is None else source.shape)
    body = _Body(function, args, taken)
    for key in keys:
        if plan.inputs[key].is_ensured:
            body.ensure(key, plan.inputs[key])
    for call in plan.calls:
        body.call(call, find(call.function))
    for key in results:
        output = plan.outputs[key]
        body.answer(output.source, output.type_number, output.shape)
    body.finish()
    attr = function.attr
    attr["_construction_context"].s = _CONSTRUCTION_CONTEXT
    _set_shapes(attr["_input_shapes"], shapes)
    return Wrapper(function, captures, keys, results, frozenset(node.op for node in function.node_def))


class _Body:
    """The nodes of a function, as they are added."""

    def __init__(self, function: Any, args: Mapping[Source, str], taken: Collection[str]) -> None:
        self._function = function
        self._edges: dict[Source, str] = dict(args)
        self._taken = {name.lower() for name in taken}
        self._stateful: list[str] = []
        self._calls = 0

    def ensure(self, key: str, info: Input) -> None:
        """Lets the function refuse a value of another shape."""
        node = self._node("EnsureShape", "EnsureShape", self._edges[Arg(key)])
        node.attr["T"].type = info.type_number
        set_shape(node.attr["shape"].shape, info.shape)
        _set_shapes(node.attr["_output_shapes"], [info.shape])
        self._edges[Arg(key)] = f"{node.name}:output:0"

    def call(self, call: Call, function: Any) -> None:
        """Adds a call."""
        node = self._function.node_def.add()
        fill_call(node, call, function)
        node.name = self._name(node.op if node.op in CALL_OPS else "Call")
        node.input.extend(self._edge(arg) for arg in call.args)
        if function.signature.is_stateful or function.signature.control_output:
            self._stateful.append(node.name)
        for index, result in enumerate(function.signature.output_arg):
            place = f"output:{index}" if node.op in CALL_OPS else f"{result.name}:0"
            self._edges[Result(self._calls, index)] = f"{node.name}:{place}"
        self._calls += 1

    def answer(self, source: Source, type_number: int, shape: Shape) -> None:
        """Adds a result."""
        node = self._node("Identity", "Identity", self._edge(source))
        if self._stateful:
            node.input.append("^NoOp")
        node.attr["T"].type = type_number
        _set_shapes(node.attr["_output_shapes"], [shape])
        result = self._function.signature.output_arg.add(name=node.name.lower(), type=type_number)
        self._function.ret[result.name] = f"{node.name}:output:0"

    def finish(self) -> None:
        """Lets everything with a side effect run, whatever is fetched."""
        if not self._stateful:
            return
        guard = self._function.node_def.add(name="NoOp", op="NoOp")
        guard.input.extend(f"^{name}" for name in self._stateful)
        _set_shapes(guard.attr["_output_shapes"], [])
        self._function.signature.is_stateful = True
        self._function.signature.control_output.extend(self._stateful)
        for name in self._stateful:
            self._function.control_ret[name] = name

    def _edge(self, source: Source) -> str:
        if source not in self._edges:
            assert isinstance(source, Constant), source
            tensor = parsed("tensorflow.TensorProto", source.value, "a value")
            node = self._node("Const", "Const")
            node.attr["dtype"].type = tensor.dtype
            node.attr["value"].tensor.CopyFrom(tensor)
            node.attr["_output_shapes"].list.shape.add().CopyFrom(tensor.tensor_shape)
            self._edges[source] = f"{node.name}:output:0"
        return self._edges[source]

    def _node(self, op: str, name: str, *inputs: str) -> Any:
        node = self._function.node_def.add(name=self._name(name), op=op)
        node.input.extend(inputs)
        return node

    def _name(self, wanted: str) -> str:
        return unused(wanted, self._taken, key=str.lower)


@dataclass(frozen=True, slots=True)
class _Parameter:
    arg: Any
    shapes: Any
    shape: Shape | None


def _parameters(plan: Plan, find: Callable[[str], Any]) -> dict[Capture, _Parameter]:
    """How the first function that takes a capture declares it."""
    found: dict[Capture, _Parameter] = {}
    for call in plan.calls:
        function = find(call.function)
        for position, arg in enumerate(call.args):
            if not isinstance(arg, Capture) or arg in found:
                continue
            shapes = function.arg_attr[position].attr.get("_output_shapes") if position in function.arg_attr else None
            if shapes is None:
                shapes = new_message("AttrValue")
                _set_shapes(shapes, [Shape(())])
            first = shape_of(shapes.list.shape[0]) if len(shapes.list.shape) else None
            found[arg] = _Parameter(function.signature.input_arg[position], shapes, first)
    return found


def fill_call(node: Any, call: Call, function: Any) -> None:
    """Makes a NodeDef without a name and inputs a call of a function, with the attributes of the call that it follows.

    Args:
        node: An empty NodeDef.
        call: The call.
        function: The FunctionDef that it calls.
    """
    signature = function.signature
    if call.node is not None:
        node.CopyFrom(call.node)
        node.ClearField("input")
        node.ClearField("name")
    if not node.op or node.op in CALL_OPS:
        stateful = signature.is_stateful or len(signature.control_output) > 0
        node.op = "StatefulPartitionedCall" if stateful else "PartitionedCall"
        attr = node.attr
        attr["Tin"].list.ClearField("type")
        attr["Tin"].list.type.extend(arg.type for arg in signature.input_arg)
        attr["Tout"].list.ClearField("type")
        attr["Tout"].list.type.extend(arg.type for arg in signature.output_arg)
        attr["f"].func.name = call.function
        if "_collective_manager_ids" not in attr:
            attr["_collective_manager_ids"].list.SetInParent()
        if "_read_only_resource_inputs" not in attr:
            attr["_read_only_resource_inputs"].list.SetInParent()
    else:
        node.op = call.function
    shapes = node.attr["_output_shapes"].list
    del shapes.shape[len(signature.output_arg) :]
    for _ in range(len(signature.output_arg) - len(shapes.shape)):
        set_shape(shapes.shape.add(), Shape(None))


def call_node(plan: Plan, wrapper: Wrapper, name: str, edges: Mapping[str, str]) -> Any:
    """The NodeDef of the graph that calls a wrapper.

    Args:
        plan: What the wrapper was made of.
        wrapper: The wrapper.
        name: The name of the node.
        edges: Input key → the edge that is fed.
    """
    node = new_message("NodeDef")
    template = next((call.node for call in plan.calls if call.node is not None and call.node.op in CALL_OPS), None)
    fill_call(node, Call(wrapper.function.signature.name, (), template), wrapper.function)
    node.name = name
    node.input.extend([*(edges[key] for key in wrapper.keys), *(capture.edge for capture in wrapper.captures)])
    _set_shapes(node.attr["_output_shapes"], [plan.outputs[key].shape for key in wrapper.results])
    reads = node.attr["_read_only_resource_inputs"].list
    reads.ClearField("i")
    reads.i.extend(
        place for place, capture in enumerate(wrapper.captures, len(wrapper.keys)) if _only_read(plan, capture)
    )
    return node


def _only_read(plan: Plan, capture: Capture) -> bool:
    """Whether every call that takes a capture says that it only reads it."""
    for call in plan.calls:
        for place, arg in enumerate(call.args):
            if arg == capture:
                attr = call.node.attr if call.node is not None else {}
                if "_read_only_resource_inputs" not in attr or place not in attr["_read_only_resource_inputs"].list.i:
                    return False
    return True


def concrete_function(plan: Plan, wrapper: Wrapper, objects: Mapping[str, int]) -> Any:
    """The SavedConcreteFunction of a wrapper: what it captures, and its inputs and outputs by key.

    Args:
        plan: What the wrapper was made of.
        wrapper: The wrapper.
        objects: The edge of a capture → the number of its object.
    """
    saved = new_message("SavedConcreteFunction")
    saved.bound_inputs.extend(objects[capture.edge] for capture in wrapper.captures)
    positional, keyword = (saved.canonicalized_input_signature.tuple_value.values.add() for _ in range(2))
    positional.tuple_value.SetInParent()
    keyword.dict_value.SetInParent()
    saved.output_signature.dict_value.SetInParent()
    fields = keyword.dict_value.fields
    for key in wrapper.keys:
        _set_spec(fields[key], key, plan.inputs[key].type_number, plan.inputs[key].shape)
    fields = saved.output_signature.dict_value.fields
    for key in wrapper.results:
        _set_spec(fields[key], key, plan.outputs[key].type_number, plan.outputs[key].shape)
    return saved


def signature_object(wrapper: Wrapper, objects: Mapping[str, int], object_graph: Any) -> Any:
    """The SavedObject that a signature's name leads to."""
    saved = new_message("SavedObject")
    bare = saved.bare_concrete_function
    bare.concrete_function_name = wrapper.function.signature.name
    bare.argument_keywords.extend(wrapper.keys)
    bare.allowed_positional_arguments = 1 if len(wrapper.keys) == 1 else 0
    spec = bare.function_spec
    set_arg_spec(spec, wrapper.keys)
    spec.input_signature.none_value.SetInParent()
    for position, capture in enumerate(wrapper.captures):
        node_id = objects[capture.edge]
        if object_graph.nodes[node_id].WhichOneof("kind") in ("constant", "asset", "captured_tensor"):
            for references in (saved.children, saved.dependencies):
                references.add(node_id=node_id, local_name=f"capture_{position}")
    return saved


def set_arg_spec(spec: Any, keys: Iterable[str]) -> None:
    """Writes into a FunctionSpec that a function takes arguments by keyword and no others."""
    named = spec.fullargspec.named_tuple_value
    named.name = "FullArgSpec"
    for part in ("args", "varargs", "varkw", "defaults", "kwonlyargs", "kwonlydefaults", "annotations"):
        pair = named.values.add(key=part)
        if part in ("args", "kwonlyargs"):
            pair.value.list_value.SetInParent()
        elif part == "annotations":
            pair.value.dict_value.SetInParent()
        else:
            pair.value.none_value.SetInParent()
        if part == "kwonlyargs":
            for key in keys:
                pair.value.list_value.values.add().string_value = key


def argument_name(key: str, taken: set[str]) -> str:
    """A name for an argument of a function: small letters, digits and underscores, as ``op_def.proto`` asks for."""
    name = _NOT_IN_A_NAME.sub("_", key).strip("_").lower() or "arg"
    return unused(name if name[0].isalpha() else f"arg_{name}", taken)


def unused(name: str, taken: set[str], key: Callable[[str], str] = str, first: int = 0) -> str:
    """A name that isn't taken, which it then is: ``name``, ``name_1``, ``name_2`` …

    Args:
        name: What it begins with.
        taken: The names that there are.
        key: What of a name must be unlike the others.
        first: The number to begin with, where those before it are known to be taken.
    """
    number, made = first, f"{name}_{first}" if first else name
    while key(made) in taken:
        number += 1
        made = f"{name}_{number}"
    taken.add(key(made))
    return made


def set_shape(message: Any, shape: Shape) -> None:
    """Writes a shape into a TensorShapeProto."""
    message.Clear()
    message.SetInParent()
    if shape.dims is None:
        message.unknown_rank = True
        return
    for dim in shape.dims:
        message.dim.add(size=-1 if dim is None else dim)


def _set_shapes(attr: Any, shapes: Iterable[Shape]) -> None:
    attr.list.ClearField("shape")
    attr.list.SetInParent()
    for shape in shapes:
        set_shape(attr.list.shape.add(), shape)


def _set_spec(value: Any, key: str, type_number: int, shape: Shape) -> None:
    spec = value.tensor_spec_value
    spec.name = key
    spec.dtype = type_number
    set_shape(spec.shape, shape)


def finder(graph: Graph, pending: Mapping[str, Any], read: Callable[[Graph, str], Any]) -> Callable[[str], Any]:
    """Finds functions among those that an edit made and those of the library, of which each is read once."""
    known: dict[str, Any] = {}

    def find(name: str) -> Any:
        if name in pending:
            return pending[name]
        if name not in known:
            known[name] = read(graph, name)
        return known[name]

    return find
