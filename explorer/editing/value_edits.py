"""Edits that give an input a value: fixed for good, or for requests that leave it out."""

from __future__ import annotations

from typing import Any

from explorer.editing.editable import Tags, document_of, editable, edited, expect_signature
from explorer.editing.inner_edits import rewritten
from explorer.editing.placeholders import given_default, placeholder_message
from explorer.editing.plan import Arg, Constant
from explorer.editing.signature_def import entries_with_key, signature_value, without_input
from explorer.editing.tensor_values import encoded_tensor, json_value
from explorer.editing.two_truths import Functions, read_plan
from explorer.editing.writing import appended, unused_node
from explorer.errors import EditError, NotFoundError, UnsupportedEditError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature
from explorer.savedmodel.object_graph import new_message, parsed
from explorer.savedmodel.overlay import Change, insertion_at_end, removal
from explorer.savedmodel.reader import DEFAULTS, KEY, VALUE


def bind_input(
    model: SavedModel, signature_key: str, input_key: str, value: object, *, tags: Tags = None
) -> SavedModel:
    """Fixes an input of a signature to a value: the signature no longer has it, and answers as if it were sent.

    Args:
        model: The model.
        signature_key: The signature.
        input_key: The input.
        value: A number, text, bytes, nested lists of them or a numpy array, of the input's dtype and shape.
        tags: The meta graph.

    Raises:
        EditError: The value doesn't fit, or the graph fixes the placeholder to another one already.
    """
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    info = signature.input(input_key)
    what = f"the value of input {quoted(input_key)}"
    if info.encoding != "name":
        raise UnsupportedEditError(
            f"input {quoted(input_key)} is a {info.encoding} tensor; only a plain one can be bound"
        )
    tensor = encoded_tensor(value, info.dtype, info.shape, what)
    if meta_graph.has_object_graph:
        functions = Functions(meta_graph)
        plan = read_plan(functions, signature)
        bound = plan.with_sources(lambda source: Constant(tensor) if source == Arg(input_key) else source)
        bound = bound.with_calls(bound.calls).without_input(input_key)
        changes = rewritten(functions, signature_key, bound)
    else:
        changes = _bound_in_graph(meta_graph, signature, input_key, tensor)
    return edited(
        model, meta_graph, changes, "bind_input",
        signature_key=signature_key, input_key=input_key, value=json_value(value),
    )  # fmt: skip


def set_default(
    model: SavedModel, signature_key: str, input_key: str, value: object, *, tags: Tags = None
) -> SavedModel:
    """Gives an input the value that TensorFlow Serving takes where a request leaves it out.

    It stands in ``SignatureDef.defaults``, which ``tf.saved_model.load`` and ``saved_model_cli`` don't look at.

    Args:
        model: The model.
        signature_key: The signature.
        input_key: The input.
        value: A value of the input's dtype and shape, as for :func:`bind_input`.
        tags: The meta graph.
    """
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    info = signature.input(input_key)
    if info.encoding != "name":
        raise UnsupportedEditError(
            f"input {quoted(input_key)} is a {info.encoding} tensor; only a plain one can have a default value"
        )
    tensor = encoded_tensor(value, info.dtype, info.shape, f"the default of input {quoted(input_key)}")
    if signature.defaults.get(input_key) == tensor:
        raise EditError(
            f"the default of input {quoted(input_key)} of signature {quoted(signature_key)} is that already"
        )
    document, parent = document_of(meta_graph), signature_value(meta_graph, signature_key)
    entry = wire.encode_field(DEFAULTS, wire.encode_field(KEY, input_key) + wire.encode_field(VALUE, tensor))
    changes = [removal(field) for field in entries_with_key(document, parent, DEFAULTS, input_key)]
    changes.append(insertion_at_end(parent, entry))
    return edited(
        model, meta_graph, changes, "set_default",
        signature_key=signature_key, input_key=input_key, value=json_value(value),
    )  # fmt: skip


def remove_default(model: SavedModel, signature_key: str, input_key: str, *, tags: Tags = None) -> SavedModel:
    """Takes the default value of an input away: every request must send it then."""
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    signature.input(input_key)
    if input_key not in signature.defaults:
        raise NotFoundError(
            "default value of input", input_key, signature.defaults, f"signature {quoted(signature_key)}"
        )
    document, parent = document_of(meta_graph), signature_value(meta_graph, signature_key)
    changes = [removal(field) for field in entries_with_key(document, parent, DEFAULTS, input_key)]
    return edited(model, meta_graph, changes, "remove_default", signature_key=signature_key, input_key=input_key)


def _bound_in_graph(meta_graph: MetaGraph, signature: Signature, input_key: str, tensor: bytes) -> list[Change]:
    graph = read_graph(meta_graph)
    info = signature.inputs[input_key]
    message = placeholder_message(graph, info.tensor_name, f"input {quoted(input_key)}")
    changes = without_input(meta_graph, signature.key, input_key)
    if message.op == "PlaceholderWithDefault" and _constant(graph, message.input[0]) == tensor:
        return changes  # another signature fixed it to the same value
    functions = Functions(meta_graph)
    node = new_message("NodeDef")
    node.name, node.op = unused_node(functions, f"{message.name}/bound", set()), "Const"
    value = parsed("tensorflow.TensorProto", tensor, "a value")
    node.attr["dtype"].type = value.dtype
    node.attr["value"].tensor.CopyFrom(value)
    node.attr["_output_shapes"].list.shape.add().CopyFrom(value.tensor_shape)
    return [*given_default(meta_graph, graph, message, node.name), *appended(functions, [node], []), *changes]


def _constant(graph: Any, edge: str) -> bytes | None:
    node = graph.nodes.get(edge)
    if node is None or node.op != "Const":
        return None
    message = parsed("tensorflow.NodeDef", node.to_bytes(), "a constant")
    data: bytes = message.attr["value"].tensor.SerializeToString(deterministic=True)
    return data
