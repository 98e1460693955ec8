"""The shape that an input takes, so that the model itself refuses any other.

``TensorInfo.tensor_shape`` alone is a remark: servers don't compare requests with it. What restricts is an
``EnsureShape`` node that the value passes through, in the wrapper function of a TensorFlow 2 signature, and between a
new placeholder and the old one in a graph of TensorFlow 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from explorer.editing import widening
from explorer.editing.editable import Tags, editable, edited, expect_signature
from explorer.editing.inner_edits import rewritten
from explorer.editing.placeholders import given_default, placeholder_message
from explorer.editing.plan import shape_of
from explorer.editing.signature_def import retargeted
from explorer.editing.two_truths import Functions, read_plan
from explorer.editing.wrapper import set_shape
from explorer.editing.writing import appended, unused_node
from explorer.errors import EditError, UnsupportedEditError, quoted
from explorer.savedmodel.graph import GraphTensor, read_graph
from explorer.savedmodel.model import DType, MetaGraph, SavedModel, Shape, Signature
from explorer.savedmodel.object_graph import new_message, parsed
from explorer.savedmodel.overlay import Change
from explorer.savedmodel.reader import INPUTS

NumericTest = Callable[[SavedModel, str, str], str]
"""Runs a model, a signature key and the key of an input whose shape was widened; an empty text, or what went wrong."""


def set_input_shape(
    model: SavedModel,
    signature_key: str,
    input_key: str,
    shape: Sequence[int | None] | None,
    *,
    tags: Tags = None,
    numeric_test: NumericTest | None = None,
) -> SavedModel:
    """Restricts the shape of an input: the model refuses a value of any other.

    Args:
        model: The model.
        signature_key: The signature.
        input_key: The input.
        shape: The sizes, None for one that may be any.
        tags: The meta graph.
        numeric_test: What tries a shape that allows more than the graph was made for. A graph may have the old size
            built in, and then answers wrongly without an error, which only a run shows; without a test such a shape is
            refused.

    Raises:
        EditError: It doesn't fit what the input is, or allows more and isn't proven.
    """
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    info = signature.input(input_key)
    wanted = _shape(shape)
    where = f"input {quoted(input_key)} of signature {quoted(signature_key)}"
    if info.encoding != "name":
        raise UnsupportedEditError(f"{where} is a {info.encoding} tensor, whose parts have the shapes")
    if wanted == info.shape:
        raise EditError(f"{where} has the shape {wanted} already")
    arguments: dict[str, Any] = {"signature_key": signature_key, "input_key": input_key}
    arguments["shape"] = None if wanted.dims is None else list(wanted.dims)
    if (default := _shape_of_default(signature, input_key)) is not None and not default.is_compatible_with(wanted):
        raise EditError(
            f"{where} has a default value of the shape {default}, which {wanted} would refuse; remove_default takes it "
            "away, set_default gives another"
        )
    if _narrows(info.shape, wanted):
        changes = _restricted(meta_graph, signature, input_key, wanted)
        return edited(model, meta_graph, changes, "set_input_shape", **arguments)
    if info.shape.dims is None or wanted.dims is None or len(info.shape.dims) != len(wanted.dims):
        raise EditError(f"{where} has the shape {info.shape}; a shape {wanted} of another rank needs another graph")
    if not _narrows(wanted, info.shape):
        raise EditError(f"{where} has the shape {info.shape}, and the graph was made for that; {wanted} contradicts it")
    if numeric_test is None:
        raise EditError(
            f"{where} takes {info.shape}, and {wanted} would allow more: the graph may have the old size built in and "
            "answer wrongly without an error, so this needs a numeric test, which runs the model"
        )
    changes = widening.widened(meta_graph, signature, input_key, wanted)
    candidate = edited(model, meta_graph, changes, "set_input_shape", **arguments)
    if reason := numeric_test(candidate, signature_key, input_key):
        raise EditError(f"{where} can't take {wanted}: {reason}")
    return candidate


def _shape_of_default(signature: Signature, input_key: str) -> Shape | None:
    data = signature.defaults.get(input_key)
    return None if data is None else shape_of(parsed("tensorflow.TensorProto", data, "a default value").tensor_shape)


def _shape(shape: object) -> Shape:
    if shape is None or isinstance(shape, Shape):
        return Shape(None) if shape is None else shape
    if not isinstance(shape, list | tuple) or not all(
        size is None or isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape
    ):
        raise EditError("a shape is a list of sizes, each a whole number or None for any, such as [None, 224, 224, 3]")
    return Shape(tuple(shape))


def _narrows(shape: Shape, wanted: Shape) -> bool:
    """Whether every value of the wanted shape has the other one too."""
    if shape.dims is None:
        return True
    if wanted.dims is None or len(wanted.dims) != len(shape.dims):
        return False
    return all(old is None or old == new for old, new in zip(shape.dims, wanted.dims, strict=True))


def _restricted(meta_graph: MetaGraph, signature: Signature, input_key: str, shape: Shape) -> list[Change]:
    functions = Functions(meta_graph)
    if meta_graph.has_object_graph:
        plan = read_plan(functions, signature)
        info = replace(plan.inputs[input_key], shape=shape, is_ensured=True, tensor_name="")
        plan = replace(plan, inputs={**plan.inputs, input_key: info})
        return rewritten(functions, signature.key, plan.with_calls(plan.calls))
    graph = read_graph(meta_graph)
    message = placeholder_message(graph, signature.inputs[input_key].tensor_name, f"input {quoted(input_key)}")
    type_number = message.attr["dtype"].type
    taken: set[str] = set()
    feed, check = new_message("NodeDef"), new_message("NodeDef")
    feed.name, feed.op = unused_node(functions, f"{message.name}/restricted", taken), "Placeholder"
    feed.attr["dtype"].type = type_number
    set_shape(feed.attr["shape"].shape, shape)
    check.name, check.op = unused_node(functions, f"{message.name}/ensured", taken), "EnsureShape"
    check.input.append(feed.name)
    check.attr["T"].type = type_number
    set_shape(check.attr["shape"].shape, shape)
    for node in (feed, check):
        set_shape(node.attr["_output_shapes"].list.shape.add(), shape)
    fed = GraphTensor(f"{feed.name}:0", DType(type_number), shape, feed.op, feed.name)
    return [
        *given_default(meta_graph, graph, message, check.name),
        *appended(functions, [feed, check], []),
        *retargeted(meta_graph, signature.key, INPUTS, input_key, fed),
    ]
