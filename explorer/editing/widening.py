"""An input that takes more than the graph was made for: the shapes that the file remembers are forgotten.

What stays is what the graph computes. Where it has the old size built in, as a constant or a folded shape, its answers
are wrong, so a widened model is a candidate until a numeric test has run it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from explorer.editing.inner_edits import rewritten
from explorer.editing.placeholders import placeholder_message, replaced_node
from explorer.editing.plan import Plan
from explorer.editing.signature_def import retargeted
from explorer.editing.two_truths import Functions, read_plan
from explorer.editing.wrapper import set_shape
from explorer.errors import quoted
from explorer.savedmodel.graph import Graph, GraphTensor, read_graph
from explorer.savedmodel.model import MetaGraph, Shape, Signature, TensorInfo
from explorer.savedmodel.object_graph import node_message
from explorer.savedmodel.overlay import Change
from explorer.savedmodel.reader import INPUTS, OUTPUTS

_SHAPES = "_output_shapes"


def widened(meta_graph: MetaGraph, signature: Signature, input_key: str, shape: Shape) -> list[Change]:
    """The changes that let an input take a wider shape, and forget what was inferred from the old one."""
    before = signature.inputs[input_key].shape
    if meta_graph.has_object_graph:
        return _widened_functions(meta_graph, signature, input_key, before, shape)
    graph = read_graph(meta_graph)
    message = placeholder_message(graph, signature.inputs[input_key].tensor_name, f"input {quoted(input_key)}")
    set_shape(message.attr["shape"].shape, shape)
    _forget(message.attr, _SHAPES)
    changes = [replaced_node(meta_graph, graph, message)]
    for name in _behind(graph, message.name):
        node = node_message(graph.nodes[name])
        if _SHAPES in node.attr:
            _forget(node.attr, _SHAPES)
            changes.append(replaced_node(meta_graph, graph, node))
    fed = replace(_tensor(signature.inputs[input_key]), shape=shape)
    changes += retargeted(meta_graph, signature.key, INPUTS, input_key, fed)
    for key, info in signature.outputs.items():
        freed = _freed(info.shape, before, shape)
        if freed != info.shape and info.encoding == "name":
            changes += retargeted(meta_graph, signature.key, OUTPUTS, key, replace(_tensor(info), shape=freed))
    return changes


def _widened_functions(
    meta_graph: MetaGraph, signature: Signature, input_key: str, before: Shape, shape: Shape
) -> list[Change]:
    functions = Functions(meta_graph)
    plan = read_plan(functions, signature)
    made: dict[str, str] = {}
    calls = [replace(call, function=_forgetful(functions, call.function, made)) for call in plan.calls]
    info = replace(plan.inputs[input_key], shape=shape, is_ensured=True, tensor_name="")
    outputs = {key: replace(output, shape=_freed(output.shape, before, shape)) for key, output in plan.outputs.items()}
    for call in calls:
        if call.node is not None:
            _forget(call.node.attr, _SHAPES)
    wider = Plan({**plan.inputs, input_key: info}, outputs, tuple(calls))
    return rewritten(functions, signature.key, wider.with_calls(wider.calls))


def _forgetful(functions: Functions, name: str, made: dict[str, str]) -> str:
    """A copy of a function, and of all that it calls, without the shapes that were inferred when it was traced."""
    if name in made:
        return made[name]
    original = functions.find(name)
    function = type(original)()
    function.CopyFrom(original)
    made[name] = function.signature.name = functions.unused_function(f"{name.partition('_edited')[0]}_edited")
    functions.pending[made[name]] = function
    _forget(function.attr, "_input_shapes")
    for details in function.arg_attr.values():
        _forget(details.attr, _SHAPES)
    for node in function.node_def:
        _forget(node.attr, _SHAPES)
        for value in _functions_of(functions, node):
            value.name = _forgetful(functions, value.name, made)
        if functions.graph.function(node.op) is not None:
            node.op = _forgetful(functions, node.op, made)
    return made[name]


def _functions_of(functions: Functions, node: Any) -> list[Any]:
    """The functions that the attributes of a node name: what it calls, or the bodies of a loop or a branch."""
    found = [value.func for value in node.attr.values() if value.HasField("func")]
    found += [func for value in node.attr.values() if value.HasField("list") for func in value.list.func]
    return [func for func in found if functions.graph.function(func.name) is not None]


def _forget(attrs: Any, name: str) -> None:
    if name in attrs:
        del attrs[name]


def _behind(graph: Graph, name: str) -> list[str]:
    """The nodes that depend on a node."""
    consumers = graph.consumers()
    found: dict[str, None] = {}
    pending = [name]
    while pending:
        for consumer in consumers.get(pending.pop(), ()):
            if consumer not in found:
                found[consumer] = None
                pending.append(consumer)
    return list(found)


def _freed(shape: Shape, before: Shape, after: Shape) -> Shape:
    """The shape of an output whose first size may have come from the first size of the input."""
    if not shape.dims or not before.dims or not after.dims:
        return shape
    same = after.dims[0] is None and before.dims[0] is not None and shape.dims[0] == before.dims[0]
    return Shape((None, *shape.dims[1:])) if same else shape


def _tensor(info: TensorInfo) -> GraphTensor:
    return GraphTensor(info.tensor_name or "", info.dtype, info.shape, "", "")
