"""Every edit of a SavedModel, each a pure function: a model and what to change → another model.

The given model stays as it is, and so does its file: the result holds the file's bytes with the change laid over
them, read again. Where a meta graph has an object graph, an edit is made in both places or refused, so that no file is
ever written in which a server and ``tf.saved_model.load`` see two different models.

Every function takes ``tags``: the tag set of the meta graph to edit, which may be left out where the model has one meta
graph, or one with exactly the tag ``serve``. Every function raises :class:`~explorer.errors.NotFoundError` for a name
that isn't there and :class:`~explorer.errors.EditError` for an edit that cannot be applied. What can be applied but
harms some consumer is applied, and shown by :func:`explorer.check`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from explorer.editing import object_graph
from explorer.editing.signature_def import (
    drop_earlier,
    encoded_signature,
    encoded_tensor_info,
    entries_with_key,
    retarget_entry,
    set_key,
    signature_entries,
    signature_value,
)
from explorer.errors import EditError, NotFoundError, UnsupportedEditError, listed, quoted
from explorer.savedmodel import constants, wire
from explorer.savedmodel.graph import GraphTensor, read_graph
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, printable_tags
from explorer.savedmodel.overlay import (
    Change,
    Document,
    apply_changes,
    insertion_after,
    insertion_at_end,
    removal,
    replacement,
)
from explorer.savedmodel.reader import (
    DEFAULTS,
    INPUTS,
    META_GRAPHS,
    META_INFO_DEF,
    METHOD_NAME,
    OUTPUTS,
    SIGNATURE_DEF,
    TAGS,
    fields_of,
    reread,
)

Tags = Iterable[str] | None
"""A tag set, one tag, or None where there is only one meta graph to mean."""


def rename_signature(model: SavedModel, signature_key: str, new_key: str, *, tags: Tags = None) -> SavedModel:
    """Gives a signature another key, under which clients then call it."""
    meta_graph = _editable(model, tags)
    _expect_signature(meta_graph, signature_key)
    _expect_new_signature_key(meta_graph, new_key)
    entries = signature_entries(meta_graph, signature_key)
    changes = [*drop_earlier(entries), *set_key(meta_graph, entries[-1], new_key)]
    changes += object_graph.rename_child(meta_graph, signature_key, new_key)
    return _edited(model, meta_graph, changes, "rename_signature", signature_key=signature_key, new_key=new_key)


def copy_signature(model: SavedModel, signature_key: str, new_key: str, *, tags: Tags = None) -> SavedModel:
    """Gives a signature a second key: both call the same tensors."""
    meta_graph = _editable(model, tags)
    _expect_signature(meta_graph, signature_key)
    _expect_new_signature_key(meta_graph, new_key)
    document = _document(meta_graph)
    entry = signature_entries(meta_graph, signature_key)[-1]
    others = b"".join(
        document.read_at(part.start, part.end - part.start) for part in wire.scan(document, entry) if part.number != 1
    )
    copied = wire.encode_field(SIGNATURE_DEF, wire.encode_field(1, new_key) + others)
    changes = [insertion_after(entry, copied), *object_graph.copy_child(meta_graph, signature_key, new_key)]
    return _edited(model, meta_graph, changes, "copy_signature", signature_key=signature_key, new_key=new_key)


def remove_signature(model: SavedModel, signature_key: str, *, tags: Tags = None) -> SavedModel:
    """Takes a signature away; the graph behind it stays."""
    meta_graph = _editable(model, tags)
    _expect_signature(meta_graph, signature_key)
    changes = [removal(entry) for entry in signature_entries(meta_graph, signature_key)]
    changes += object_graph.remove_child(meta_graph, signature_key)
    return _edited(model, meta_graph, changes, "remove_signature", signature_key=signature_key)


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
        inputs: Input key → tensor name (``x:0``).
        outputs: Output key → tensor name.
        method_name: One of ``constants.METHOD_NAMES``.
        tags: The meta graph.
    """
    meta_graph = _editable(model, tags)
    _expect_new_signature_key(meta_graph, signature_key)
    _expect_one_truth(meta_graph, "add_signature")
    for key in (*inputs, *outputs):
        _expect_text(key, "a key")
    signature = encoded_signature(
        {key: _tensor(meta_graph, name) for key, name in inputs.items()},
        {key: _tensor(meta_graph, name) for key, name in outputs.items()},
        method_name,
    )
    entry = wire.encode_field(SIGNATURE_DEF, wire.encode_field(1, signature_key) + wire.encode_field(2, signature))
    last = fields_of(_document(meta_graph), meta_graph.field, SIGNATURE_DEF)
    change = insertion_after(last[-1], entry) if last else insertion_at_end(_field(meta_graph), entry)
    return _edited(
        model, meta_graph, [change], "add_signature",
        signature_key=signature_key, inputs=dict(inputs), outputs=dict(outputs), method_name=method_name,
    )  # fmt: skip


def set_method_name(model: SavedModel, signature_key: str, method_name: str, *, tags: Tags = None) -> SavedModel:
    """Says what a server does with a signature: predict, classify or regress.

    The object graph doesn't hold it, so this is one edit on every kind of model.
    """
    meta_graph = _editable(model, tags)
    signature = _expect_signature(meta_graph, signature_key)
    _expect_text(method_name, "a method name")
    if signature.method_name == method_name:
        raise EditError(f"the method name of signature {quoted(signature_key)} is {quoted(method_name)} already")
    document = _document(meta_graph)
    value = signature_value(meta_graph, signature_key)
    present = fields_of(document, value, METHOD_NAME)
    new = wire.encode_field(METHOD_NAME, method_name)
    if present:
        changes = [*(removal(field) for field in present[:-1]), replacement(present[-1], new)]
    else:
        changes = [insertion_at_end(value, new)]
    return _edited(model, meta_graph, changes, "set_method_name", signature_key=signature_key, method_name=method_name)


def rename_input(
    model: SavedModel, signature_key: str, input_key: str, new_key: str, *, tags: Tags = None
) -> SavedModel:
    """Gives an input another key, and its default value with it."""
    return _rename_tensor(model, tags, "rename_input", signature_key, input_key, new_key)


def rename_output(
    model: SavedModel, signature_key: str, output_key: str, new_key: str, *, tags: Tags = None
) -> SavedModel:
    """Gives an output another key, under which clients find it in the answer."""
    return _rename_tensor(model, tags, "rename_output", signature_key, output_key, new_key)


def remove_output(model: SavedModel, signature_key: str, output_key: str, *, tags: Tags = None) -> SavedModel:
    """Takes an output out of a signature; the tensor stays in the graph."""
    meta_graph = _editable(model, tags)
    _expect_signature(meta_graph, signature_key).output(output_key)
    _expect_one_truth(meta_graph, "remove_output")
    value = signature_value(meta_graph, signature_key)
    changes = [removal(entry) for entry in entries_with_key(_document(meta_graph), value, OUTPUTS, output_key)]
    return _edited(model, meta_graph, changes, "remove_output", signature_key=signature_key, output_key=output_key)


def add_output(
    model: SavedModel, signature_key: str, output_key: str, tensor_name: str, *, tags: Tags = None
) -> SavedModel:
    """Lets a signature answer with one more tensor of the graph; dtype and shape are the graph's own."""
    meta_graph = _editable(model, tags)
    signature = _expect_signature(meta_graph, signature_key)
    _expect_text(output_key, "an output key")
    if output_key in signature.outputs:
        raise EditError(f"signature {quoted(signature_key)} has an output {quoted(output_key)} already")
    _expect_one_truth(meta_graph, "add_output")
    info = encoded_tensor_info(_tensor(meta_graph, tensor_name))
    entry = wire.encode_field(OUTPUTS, wire.encode_field(1, output_key) + wire.encode_field(2, info))
    value = signature_value(meta_graph, signature_key)
    present = fields_of(_document(meta_graph), value, OUTPUTS)
    change = insertion_after(present[-1], entry) if present else insertion_at_end(value, entry)
    return _edited(
        model, meta_graph, [change], "add_output",
        signature_key=signature_key, output_key=output_key, tensor_name=tensor_name,
    )  # fmt: skip


def set_input_tensor(
    model: SavedModel, signature_key: str, input_key: str, tensor_name: str, *, tags: Tags = None
) -> SavedModel:
    """Points an input at another tensor, which a request then feeds; dtype and shape become that tensor's own."""
    return _set_tensor(model, tags, "set_input_tensor", signature_key, input_key, tensor_name)


def set_output_tensor(
    model: SavedModel, signature_key: str, output_key: str, tensor_name: str, *, tags: Tags = None
) -> SavedModel:
    """Points an output at another tensor, which is then the answer; dtype and shape become that tensor's own."""
    return _set_tensor(model, tags, "set_output_tensor", signature_key, output_key, tensor_name)


def set_tags(model: SavedModel, new_tags: Iterable[str], *, tags: Tags = None) -> SavedModel:
    """Gives a meta graph another tag set, by which loaders then choose it.

    Args:
        model: The model.
        new_tags: The tags; none at all is allowed, though few loaders can ask for that.
        tags: The meta graph as it is tagged now.
    """
    meta_graph = _editable(model, tags)
    wanted = _tag_list(new_tags)
    if frozenset(wanted) == meta_graph.tags and len(wanted) == len(meta_graph.tag_list):
        raise EditError(f"the meta graph has the tags {printable_tags(wanted)} already")
    changes = _tag_changes(_document(meta_graph), _field(meta_graph), wanted)
    return _edited(model, meta_graph, changes, "set_tags", new_tags=list(wanted))


def remove_meta_graph(model: SavedModel, *, tags: Tags = None) -> SavedModel:
    """Takes a meta graph away; the variables, which all meta graphs share, stay."""
    meta_graph = _editable(model, tags)
    if len(model.meta_graphs) == 1:
        raise EditError("the last meta graph can't be removed: a SavedModel without one can be loaded by nobody")
    return _edited(model, meta_graph, [removal(_field(meta_graph))], "remove_meta_graph")


def copy_meta_graph(model: SavedModel, new_tags: Iterable[str], *, tags: Tags = None) -> SavedModel:
    """Adds a copy of a meta graph under another tag set: the same graph over the same variables.

    Args:
        model: The model.
        new_tags: The tag set of the copy, which no meta graph may have yet.
        tags: The meta graph to copy.
    """
    meta_graph = _editable(model, tags)
    if any(other.has_object_graph for other in model.meta_graphs):
        raise UnsupportedEditError(
            "the meta graph can't be copied: this model has an object graph, and tf.saved_model.load reads object "
            "graphs only where there is a single meta graph; the copy would break it for every TensorFlow 2 user"
        )
    wanted = _tag_list(new_tags)
    if any(other.tags == frozenset(wanted) for other in model.meta_graphs):
        raise EditError(
            f"there is a meta graph with the tags {printable_tags(wanted)} already; loaders see only the first"
        )
    field, document = _field(meta_graph), _document(meta_graph)
    copied = Document(document.slice(field.start, field.end))
    copied = apply_changes(copied, _tag_changes(copied, fields_of(copied, None, META_GRAPHS)[0], wanted))
    last = fields_of(document, None, META_GRAPHS)[-1]
    return _edited(model, meta_graph, [insertion_after(last, copied)], "copy_meta_graph", new_tags=list(wanted))


def _tag_changes(document: Document, meta_graph: wire.Field, tags: Iterable[str]) -> list[Change]:
    """The changes that give the MetaGraphDef in a field these tags and no others."""
    new = b"".join(wire.encode_field(TAGS, tag) for tag in tags)
    infos = fields_of(document, meta_graph, META_INFO_DEF)
    present = [field for info in infos for field in fields_of(document, info, TAGS)]
    if present:
        return [replacement(present[0], new), *(removal(field) for field in present[1:])]
    return [
        insertion_at_end(infos[-1], new)
        if infos
        else insertion_at_end(meta_graph, wire.encode_field(META_INFO_DEF, new))
    ]


def _rename_tensor(model: SavedModel, tags: Tags, edit: str, signature_key: str, key: str, new_key: str) -> SavedModel:
    is_input = edit == "rename_input"
    what = "input" if is_input else "output"
    meta_graph = _editable(model, tags)
    signature = _expect_signature(meta_graph, signature_key)
    present = signature.inputs if is_input else signature.outputs
    (signature.input if is_input else signature.output)(key)
    _expect_text(new_key, f"an {what} key")
    if new_key in present:
        raise EditError(f"signature {quoted(signature_key)} has an {what} {quoted(new_key)} already")
    _expect_one_truth(meta_graph, edit)
    document = _document(meta_graph)
    value = signature_value(meta_graph, signature_key)
    changes = []
    for number in (INPUTS, DEFAULTS) if is_input else (OUTPUTS,):
        entries = entries_with_key(document, value, number, key)
        if entries:
            changes += [*drop_earlier(entries), *set_key(meta_graph, entries[-1], new_key)]
    return _edited(
        model, meta_graph, changes, edit, **{"signature_key": signature_key, f"{what}_key": key, "new_key": new_key}
    )


def _set_tensor(model: SavedModel, tags: Tags, edit: str, signature_key: str, key: str, tensor_name: str) -> SavedModel:
    is_input = edit == "set_input_tensor"
    what = "input" if is_input else "output"
    meta_graph = _editable(model, tags)
    signature = _expect_signature(meta_graph, signature_key)
    info = (signature.input if is_input else signature.output)(key)
    _expect_one_truth(meta_graph, edit)
    tensor = _tensor(meta_graph, tensor_name)
    if info.tensor_name == tensor_name and (info.dtype, info.shape) == (tensor.dtype, tensor.shape):
        raise EditError(f"{what} {quoted(key)} of signature {quoted(signature_key)} is that tensor already")
    document = _document(meta_graph)
    entries = entries_with_key(
        document, signature_value(meta_graph, signature_key), INPUTS if is_input else OUTPUTS, key
    )
    changes = [*drop_earlier(entries), *retarget_entry(document, entries[-1], tensor)]
    return _edited(
        model, meta_graph, changes, edit,
        **{"signature_key": signature_key, f"{what}_key": key, "tensor_name": tensor_name},
    )  # fmt: skip


def _editable(model: SavedModel, tags: Tags) -> MetaGraph:
    if model.document is None:
        raise EditError("this model was made from data and has no file behind it; open a SavedModel to edit it")
    return model.meta_graph(tags)


def _document(meta_graph: MetaGraph) -> Document:
    assert meta_graph.document is not None  # _editable made sure
    return meta_graph.document


def _field(meta_graph: MetaGraph) -> wire.Field:
    assert meta_graph.field is not None  # _editable made sure
    return meta_graph.field


def _edited(model: SavedModel, meta_graph: MetaGraph, changes: list[Change], edit: str, **arguments: Any) -> SavedModel:
    document = apply_changes(_document(meta_graph), changes)
    return reread(model, document).with_edit(_entry(model, meta_graph, edit, arguments))


def _entry(model: SavedModel, meta_graph: MetaGraph, edit: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe entry of an edit; it names the meta graph only where there is more than one."""
    tags = {"tags": sorted(meta_graph.tags)} if len(model.meta_graphs) > 1 else {}
    return {"edit": edit, **tags, **arguments}


def _expect_signature(meta_graph: MetaGraph, signature_key: str) -> Signature:
    if signature_key in constants.RESERVED_SIGNATURE_KEYS:
        raise EditError(
            f"{quoted(signature_key)} is reserved: loaders use it to initialise the model, and no edit touches it"
        )
    if signature_key not in meta_graph.callable_signatures:
        where = f"the meta graph {printable_tags(meta_graph.tags)}"
        raise NotFoundError("signature", signature_key, meta_graph.callable_signatures, where)
    return meta_graph.signatures[signature_key]


def _expect_new_signature_key(meta_graph: MetaGraph, key: str) -> None:
    _expect_text(key, "a signature key")
    if key in constants.RESERVED_SIGNATURE_KEYS:
        raise EditError(f"{quoted(key)} is reserved for loaders; choose another signature key")
    if key in meta_graph.signatures:
        raise EditError(
            f"there is a signature {quoted(key)} already; the meta graph {printable_tags(meta_graph.tags)} has "
            f"{listed(meta_graph.callable_signatures)}"
        )


def _expect_text(text: object, what: str) -> None:
    if not isinstance(text, str):
        raise EditError(f"{what} must be text, not {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise EditError(f"{what} must be text that UTF-8 can hold; {quoted(text)} is not") from None


def _expect_one_truth(meta_graph: MetaGraph, edit: str) -> None:
    """Refuses an edit that would reach ``signature_def`` alone."""
    if meta_graph.has_object_graph:
        raise UnsupportedEditError(
            f"this edit ({edit}) is not possible yet on a model with an object graph (TensorFlow 2): the signature "
            "stands in the graph's functions too, and needs a generated one; what can be edited is the signature as a "
            "whole (rename, copy, remove), its method name, and the tags"
        )


def _tensor(meta_graph: MetaGraph, tensor_name: str) -> GraphTensor:
    _expect_text(tensor_name, "a tensor name")
    graph = read_graph(meta_graph)
    tensor = graph.tensor(tensor_name)
    if tensor is None:
        if graph.tensor(f"{tensor_name}:0") is not None:
            raise EditError(f"{quoted(tensor_name)} names an op; its first tensor is {quoted(tensor_name + ':0')}")
        close = [found.name for found in graph.search(tensor_name.partition(":")[0], limit=10)]
        raise NotFoundError("tensor", tensor_name, close, f"the graph {printable_tags(meta_graph.tags)}")
    return tensor


def _tag_list(tags: Iterable[str]) -> tuple[str, ...]:
    wanted = (tags,) if isinstance(tags, str) else tuple(tags)
    for tag in wanted:
        _expect_text(tag, "a tag")
    if len(set(wanted)) != len(wanted):
        raise EditError(f"a tag stands twice in {listed(wanted)}; tags are a set")
    return wanted
