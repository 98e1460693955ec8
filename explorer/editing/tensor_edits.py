"""Edits of the inputs and outputs of a signature: their keys, and which tensors they stand for.

Where a meta graph has no object graph, a signature is its entry in ``signature_def`` and nothing else. Where it has
one, the signature is a function too, which each of these edits generates anew: see :mod:`explorer.editing.two_truths`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from explorer.editing import inner_edits
from explorer.editing.editable import (
    Tags,
    document_of,
    editable,
    edited,
    expect_new_signature_key,
    expect_signature,
    expect_text,
    find_tensor,
)
from explorer.editing.inner_edits import rewritten
from explorer.editing.plan import Plan
from explorer.editing.signature_def import (
    drop_earlier,
    encoded_tensor_info,
    entries_with_key,
    new_entry,
    retargeted,
    set_key,
    signature_value,
    without_input,
)
from explorer.editing.two_truths import Functions, read_plan
from explorer.editing.writing import write_plan
from explorer.errors import EditError, quoted
from explorer.savedmodel import constants, wire
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature
from explorer.savedmodel.overlay import Change, insertion_after, insertion_at_end, removal
from explorer.savedmodel.reader import DEFAULTS, INPUTS, OUTPUTS, fields_of


def rename_input(
    model: SavedModel, signature_key: str, input_key: str, new_key: str, *, tags: Tags = None
) -> SavedModel:
    """Gives an input another key, and its default value with it."""
    return _rename(model, tags, "rename_input", signature_key, input_key, new_key)


def rename_output(
    model: SavedModel, signature_key: str, output_key: str, new_key: str, *, tags: Tags = None
) -> SavedModel:
    """Gives an output another key, under which clients find it in the answer."""
    return _rename(model, tags, "rename_output", signature_key, output_key, new_key)


def remove_input(model: SavedModel, signature_key: str, input_key: str, *, tags: Tags = None) -> SavedModel:
    """Takes an input out of a signature that no output depends on, so that requests need not send it.

    Raises:
        EditError: An output depends on it; :func:`~explorer.editing.value_edits.bind_input` fixes its value instead.
    """
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    info = signature.input(input_key)
    if meta_graph.has_object_graph:
        functions = Functions(meta_graph)
        plan = read_plan(functions, signature)
        needed = input_key in plan.used_keys()
        changes = (
            [] if needed else rewritten(functions, signature_key, plan.with_calls(plan.calls).without_input(input_key))
        )
    else:
        fetched = [name for output in signature.outputs.values() for name in output.tensor_names]
        fed = [name for other in signature.inputs.values() for name in other.tensor_names]
        needed = not read_graph(meta_graph).needs(fetched, fed).met.isdisjoint(info.tensor_names)
        changes = without_input(meta_graph, signature_key, input_key)
    if needed:
        raise EditError(
            f"input {quoted(input_key)} of signature {quoted(signature_key)} can't go, because an output depends on "
            "it; bind_input fixes it to a value instead"
        )
    return edited(model, meta_graph, changes, "remove_input", signature_key=signature_key, input_key=input_key)


def remove_output(model: SavedModel, signature_key: str, output_key: str, *, tags: Tags = None) -> SavedModel:
    """Takes an output out of a signature; what it stood for stays in the graph."""
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    signature.output(output_key)
    value = signature_value(meta_graph, signature_key)
    changes = [removal(entry) for entry in entries_with_key(document_of(meta_graph), value, OUTPUTS, output_key)]
    if meta_graph.has_object_graph:
        functions = Functions(meta_graph)
        plan = read_plan(functions, signature, keys_only=True)
        left = {key: output for key, output in plan.outputs.items() if key != output_key}
        changes += write_plan(functions, signature_key, replace(plan, outputs=left)).changes
    return edited(model, meta_graph, changes, "remove_output", signature_key=signature_key, output_key=output_key)


def add_output(
    model: SavedModel, signature_key: str, output_key: str, tensor_name: str, *, tags: Tags = None
) -> SavedModel:
    """Lets a signature answer with one more tensor; dtype and shape are the graph's own.

    Args:
        model: The model.
        signature_key: The signature.
        output_key: The key of the new output.
        tensor_name: A tensor of the graph (``add:0``), or one inside the functions that the signature calls: its whole
            name as seen from the graph (``StatefulPartitionedCall/dense/Relu:0``) or the end of it (``dense/Relu:0``).
        tags: The meta graph.
    """
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    expect_text(output_key, "an output key")
    if output_key in signature.outputs:
        raise EditError(f"signature {quoted(signature_key)} has an output {quoted(output_key)} already")
    if meta_graph.has_object_graph:
        changes = inner_edits.set_output(meta_graph, signature, output_key, tensor_name)
    else:
        info = encoded_tensor_info(find_tensor(meta_graph, tensor_name))
        entry = wire.encode_field(OUTPUTS, wire.encode_field(1, output_key) + wire.encode_field(2, info))
        value = signature_value(meta_graph, signature_key)
        present = fields_of(document_of(meta_graph), value, OUTPUTS)
        changes = [insertion_after(present[-1], entry) if present else insertion_at_end(value, entry)]
    return edited(
        model, meta_graph, changes, "add_output",
        signature_key=signature_key, output_key=output_key, tensor_name=tensor_name,
    )  # fmt: skip


def set_output_tensor(
    model: SavedModel, signature_key: str, output_key: str, tensor_name: str, *, tags: Tags = None
) -> SavedModel:
    """Points an output at another tensor, which is then the answer; dtype and shape become that tensor's own.

    Args:
        model: The model.
        signature_key: The signature.
        output_key: The output.
        tensor_name: The tensor, named as for :func:`add_output`.
        tags: The meta graph.
    """
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    signature.output(output_key)
    if meta_graph.has_object_graph:
        changes = inner_edits.set_output(meta_graph, signature, output_key, tensor_name)
    else:
        changes = _retargeted(meta_graph, signature, "output", output_key, tensor_name)
    return edited(
        model, meta_graph, changes, "set_output_tensor",
        signature_key=signature_key, output_key=output_key, tensor_name=tensor_name,
    )  # fmt: skip


def set_input_tensor(
    model: SavedModel, signature_key: str, input_key: str, tensor_name: str, *, tags: Tags = None
) -> SavedModel:
    """Points an input at another tensor, which a request then feeds; dtype and shape become that tensor's own.

    Inside functions this is a cut: what only led to the tensor no longer runs. A default value of the input goes too.

    Args:
        model: The model.
        signature_key: The signature.
        input_key: The input.
        tensor_name: The tensor, named as for :func:`add_output`.
        tags: The meta graph.
    """
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    signature.input(input_key)
    if meta_graph.has_object_graph:
        changes = inner_edits.set_input(meta_graph, signature, input_key, tensor_name)
    else:
        changes = _retargeted(meta_graph, signature, "input", input_key, tensor_name)
    # A default value was one for what the input was.
    value = signature_value(meta_graph, signature_key)
    changes += [removal(entry) for entry in entries_with_key(document_of(meta_graph), value, DEFAULTS, input_key)]
    return edited(
        model, meta_graph, changes, "set_input_tensor",
        signature_key=signature_key, input_key=input_key, tensor_name=tensor_name,
    )  # fmt: skip


def add_signature(
    model: SavedModel,
    signature_key: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    method_name: str = constants.PREDICT_METHOD_NAME,
    *,
    tags: Tags = None,
) -> SavedModel:
    """Adds a signature over tensors of the graph; dtypes and shapes are the graph's own.

    Args:
        model: The model.
        signature_key: The key of the new signature.
        inputs: Input key → tensor name (``x:0``), named as for :func:`add_output`.
        outputs: Output key → tensor name.
        method_name: One of ``constants.METHOD_NAMES``.
        tags: The meta graph.
    """
    meta_graph = editable(model, tags)
    expect_new_signature_key(meta_graph, signature_key)
    for key in (*inputs, *outputs, *inputs.values(), *outputs.values(), method_name):
        expect_text(key, "a key, a tensor name or a method name")
    if meta_graph.has_object_graph:
        changes = inner_edits.new_signature(meta_graph, signature_key, inputs, outputs, method_name)
    else:
        fed = {key: find_tensor(meta_graph, name) for key, name in inputs.items()}
        fetched = {key: find_tensor(meta_graph, name) for key, name in outputs.items()}
        changes = [new_entry(meta_graph, signature_key, fed, fetched, method_name)]
    return edited(
        model, meta_graph, changes, "add_signature",
        signature_key=signature_key, inputs=dict(inputs), outputs=dict(outputs), method_name=method_name,
    )  # fmt: skip


def _rename(model: SavedModel, tags: Tags, edit: str, signature_key: str, key: str, new_key: str) -> SavedModel:
    is_input = edit == "rename_input"
    what = "input" if is_input else "output"
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    present = signature.inputs if is_input else signature.outputs
    (signature.input if is_input else signature.output)(key)
    expect_text(new_key, f"an {what} key")
    if new_key in present:
        raise EditError(f"signature {quoted(signature_key)} has an {what} {quoted(new_key)} already")
    document = document_of(meta_graph)
    value = signature_value(meta_graph, signature_key)
    changes = []
    for number in (INPUTS, DEFAULTS) if is_input else (OUTPUTS,):
        entries = entries_with_key(document, value, number, key)
        if entries:
            changes += [*drop_earlier(entries), *set_key(meta_graph, entries[-1], new_key)]
    if meta_graph.has_object_graph:
        functions = Functions(meta_graph)
        plan = read_plan(functions, signature, keys_only=True)
        renamed = plan.with_input_renamed(key, new_key) if is_input else _with_output_renamed(plan, key, new_key)
        changes += write_plan(functions, signature_key, renamed).changes
    return edited(
        model, meta_graph, changes, edit, **{"signature_key": signature_key, f"{what}_key": key, "new_key": new_key}
    )


def _with_output_renamed(plan: Plan, key: str, new_key: str) -> Plan:
    return replace(plan, outputs={new_key if each == key else each: info for each, info in plan.outputs.items()})


def _retargeted(meta_graph: MetaGraph, signature: Signature, what: str, key: str, tensor_name: str) -> list[Change]:
    """The changes that point an input or output of a signature at another tensor of the graph."""
    info = (signature.inputs if what == "input" else signature.outputs)[key]
    tensor = find_tensor(meta_graph, tensor_name)
    if info.tensor_name == tensor_name and (info.dtype, info.shape) == (tensor.dtype, tensor.shape):
        raise EditError(f"{what} {quoted(key)} of signature {quoted(signature.key)} is that tensor already")
    return retargeted(meta_graph, signature.key, INPUTS if what == "input" else OUTPUTS, key, tensor)
