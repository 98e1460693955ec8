"""Where the parts of a SignatureDef stand in the file, and how new ones are written.

Maps are repeated entries on the wire, and of two with one key the last counts
(https://protobuf.dev/programming-guides/encoding/#maps); field numbers are those of ``meta_graph.proto``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from explorer.errors import EditError, FormatError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.graph import GraphTensor
from explorer.savedmodel.model import MetaGraph, Shape
from explorer.savedmodel.overlay import Change, Document, insertion_after, insertion_at_end, removal, replacement
from explorer.savedmodel.reader import (
    COMPOSITE_TENSOR,
    COO_SPARSE,
    DEFAULTS,
    DTYPE,
    INPUTS,
    KEY,
    METHOD_NAME,
    OUTPUTS,
    SIGNATURE_DEF,
    TENSOR_NAME,
    TENSOR_SHAPE,
    VALUE,
    fields_of,
    map_entry,
)
from explorer.savedmodel.wire import Field


def entries_with_key(document: Document, parent: Field | None, number: int, key: str) -> list[Field]:
    """The entries of a map that have a key, in file order; the last one counts."""
    return [entry for entry in fields_of(document, parent, number) if map_entry(document, entry)[0] == key]


def signature_entries(meta_graph: MetaGraph, signature_key: str) -> list[Field]:
    """The entries of ``signature_def`` with a key; there is at least one."""
    return entries_with_key(_document(meta_graph), meta_graph.field, SIGNATURE_DEF, signature_key)


def signature_value(meta_graph: MetaGraph, signature_key: str) -> Field:
    """The SignatureDef message of a signature.

    Raises:
        EditError: The signature is an entry without a message, which only a broken writer makes.
    """
    entry = signature_entries(meta_graph, signature_key)[-1]
    _, _, value = map_entry(_document(meta_graph), entry)
    if value is None:
        raise EditError(f"signature {quoted(signature_key)} is empty in the file; remove it and add it again")
    return value


def drop_earlier(entries: Sequence[Field]) -> list[Change]:
    """The changes that remove all but the last of several entries with one key."""
    return [removal(entry) for entry in entries[:-1]]


def set_key(meta_graph: MetaGraph, entry: Field, key: str) -> list[Change]:
    """The changes that give a map's entry another key."""
    present = [field for field in wire.scan(_document(meta_graph), entry) if field.number == KEY]
    new = wire.encode_field(KEY, key)
    if not present:
        return [Change(entry, entry.value_start, entry.value_start, new)]
    return [*(removal(field) for field in present[:-1]), replacement(present[-1], new)]


def retarget_entry(document: Document, entry: Field, tensor: GraphTensor) -> list[Change]:
    """The changes that make a map's TensorInfo stand for another tensor; fields not known here are kept."""
    _, _, value = map_entry(document, entry)
    if value is None:
        return [insertion_at_end(entry, wire.encode_field(VALUE, encoded_tensor_info(tensor)))]
    known = (TENSOR_NAME, DTYPE, TENSOR_SHAPE, COO_SPARSE, COMPOSITE_TENSOR)
    kept = b"".join(
        document.read_at(part.start, part.end - part.start)
        for part in wire.scan(document, value)
        if part.number not in known
    )
    return [replacement(value, wire.encode_field(VALUE, encoded_tensor_info(tensor) + kept))]


def encoded_tensor_info(tensor: GraphTensor) -> bytes:
    """A TensorInfo for a tensor of the graph, with the graph's dtype and shape."""
    return (
        wire.encode_field(TENSOR_NAME, tensor.name)
        + wire.encode_field(DTYPE, tensor.dtype.number)
        + wire.encode_field(TENSOR_SHAPE, encoded_shape(tensor.shape))
    )


def encoded_shape(shape: Shape) -> bytes:
    """A TensorShapeProto."""
    if shape.dims is None:
        return wire.encode_field(3, 1)
    # An empty Dim would mean 0, which is what TensorFlow writes for 0 too; so sizes of 0 are left out like there.
    return b"".join(
        wire.encode_field(2, b"" if dim == 0 else wire.encode_field(1, -1 if dim is None else dim))
        for dim in shape.dims
    )


def encoded_signature(inputs: Mapping[str, GraphTensor], outputs: Mapping[str, GraphTensor], method_name: str) -> bytes:
    """A SignatureDef over tensors of the graph."""
    entries = b"".join(
        wire.encode_field(number, wire.encode_field(KEY, key) + wire.encode_field(VALUE, encoded_tensor_info(tensor)))
        for number, tensors in ((INPUTS, inputs), (OUTPUTS, outputs))
        for key, tensor in tensors.items()
    )
    return entries + wire.encode_field(METHOD_NAME, method_name)


def retargeted(meta_graph: MetaGraph, signature_key: str, number: int, key: str, tensor: GraphTensor) -> list[Change]:
    """The changes that point one input (``INPUTS``) or output (``OUTPUTS``) of a signature at a tensor."""
    document = _document(meta_graph)
    entries = entries_with_key(document, signature_value(meta_graph, signature_key), number, key)
    return [*drop_earlier(entries), *retarget_entry(document, entries[-1], tensor)]


def without_input(meta_graph: MetaGraph, signature_key: str, input_key: str) -> list[Change]:
    """The changes that take an input and its default value out of a signature."""
    document, parent = _document(meta_graph), signature_value(meta_graph, signature_key)
    return [
        removal(entry)
        for number in (INPUTS, DEFAULTS)
        for entry in entries_with_key(document, parent, number, input_key)
    ]


def new_entry(
    meta_graph: MetaGraph,
    signature_key: str,
    inputs: Mapping[str, GraphTensor],
    outputs: Mapping[str, GraphTensor],
    method_name: str,
) -> Change:
    """The change that adds a signature to ``signature_def``."""
    return added_entry(meta_graph, signature_key, encoded_signature(inputs, outputs, method_name))


def added_entry(meta_graph: MetaGraph, signature_key: str, signature: bytes) -> Change:
    """The change that adds a serialized SignatureDef to ``signature_def``."""
    entry = wire.encode_field(
        SIGNATURE_DEF, wire.encode_field(KEY, signature_key) + wire.encode_field(VALUE, signature)
    )
    last = fields_of(_document(meta_graph), meta_graph.field, SIGNATURE_DEF)
    if last:
        return insertion_after(last[-1], entry)
    assert meta_graph.field is not None
    return insertion_at_end(meta_graph.field, entry)


def tensor_changes(
    meta_graph: MetaGraph,
    signature_key: str,
    inputs: Mapping[str, GraphTensor],
    outputs: Mapping[str, GraphTensor],
) -> list[Change]:
    """The changes that give a signature exactly these inputs and outputs; what stays as it is keeps its bytes."""
    document, value = _document(meta_graph), signature_value(meta_graph, signature_key)
    signature = meta_graph.signatures[signature_key]
    changes: list[Change] = []
    for number, wanted, present in (
        (INPUTS, inputs, signature.inputs),
        (OUTPUTS, outputs, signature.outputs),
        (DEFAULTS, inputs, None),
    ):
        entries = fields_of(document, value, number)
        last: dict[str, Field] = {map_entry(document, entry)[0]: entry for entry in entries}
        for entry in entries:
            key = map_entry(document, entry)[0]
            if key not in wanted or entry is not last[key]:
                changes.append(removal(entry))
            elif present is not None:
                info, tensor = present[key], wanted[key]
                if (info.tensor_name, info.dtype, info.shape) != (tensor.name, tensor.dtype, tensor.shape):
                    changes += retarget_entry(document, entry, tensor)
        if present is not None:
            new = b"".join(
                wire.encode_field(
                    number, wire.encode_field(KEY, key) + wire.encode_field(VALUE, encoded_tensor_info(tensor))
                )
                for key, tensor in wanted.items()
                if key not in last
            )
            if new:
                changes.append(insertion_after(entries[-1], new) if entries else insertion_at_end(value, new))
    return changes


def _document(meta_graph: MetaGraph) -> Document:
    if meta_graph.document is None:
        raise FormatError("a meta graph that was made from data has no bytes")
    return meta_graph.document
