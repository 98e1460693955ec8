"""``saved_model.pb`` → :class:`SavedModel`: tags and signatures, found by a bounded scan.

The graph itself, which is nearly all of a file, is stepped over. Field numbers are those of ``saved_model.proto``,
``meta_graph.proto`` and ``tensor_shape.proto`` in ``tensorflow/core``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from explorer.errors import FormatError, NotASavedModelError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.model import DType, MetaGraph, SavedModel, Shape, Signature, TensorInfo, frozen
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.wire import LENGTH, Field

if TYPE_CHECKING:
    from pathlib import Path

# saved_model.proto, SavedModel
SCHEMA_VERSION, META_GRAPHS = 1, 2
# meta_graph.proto, MetaGraphDef
META_INFO_DEF, GRAPH_DEF, SAVER_DEF, COLLECTION_DEF, SIGNATURE_DEF, ASSET_FILE_DEF, OBJECT_GRAPH_DEF = range(1, 8)
# meta_graph.proto, MetaGraphDef.MetaInfoDef
STRIPPED_OP_LIST, TAGS, TENSORFLOW_VERSION = 2, 4, 5
# meta_graph.proto, SignatureDef
INPUTS, OUTPUTS, METHOD_NAME, DEFAULTS = 1, 2, 3, 4
# meta_graph.proto, TensorInfo
TENSOR_NAME, DTYPE, TENSOR_SHAPE, COO_SPARSE, COMPOSITE_TENSOR = 1, 2, 3, 4, 5
# every map<K, V> on the wire
KEY, VALUE = 1, 2

MOST_META_GRAPHS = 1_000
MOST_SIGNATURES = 100_000
MOST_TENSORS = 100_000
MOST_DIMS = 1_000
"""More than these in one file is no model that anybody made; a reader that went on could be held for hours."""

_COO_ROLES = {1: "values", 2: "indices", 3: "dense_shape"}


def read_document(
    document: Document,
    *,
    path: Path | None = None,
    version: int | None = None,
    file_name: str = "saved_model.pb",
    source: Document | None = None,
) -> SavedModel:
    """Reads the tags and signatures out of the bytes of a ``saved_model.pb``.

    Args:
        document: The bytes.
        path: The folder that they belong to.
        version: The version that the folder is.
        file_name: The name of the file in the folder.
        source: The bytes as they were before any edit; ``document`` where left out.

    Returns:
        The model.

    Raises:
        FormatError: The bytes are no SavedModel, or a corrupt one.
        NotASavedModelError: They hold no meta graph.
    """
    meta_graphs: list[Field] = []
    schema_version = 0
    for field in wire.scan(document):
        if field.number == META_GRAPHS and field.wire_type == LENGTH:
            meta_graphs.append(field)
        elif field.number == SCHEMA_VERSION and field.wire_type == wire.VARINT:
            schema_version = wire.signed(wire.number(document, field))
        elif field.number in (SCHEMA_VERSION, META_GRAPHS):
            raise FormatError("this is not a SavedModel: a field has the wrong type", field.start)
        if len(meta_graphs) > MOST_META_GRAPHS:
            raise FormatError(f"the file claims more than {MOST_META_GRAPHS} meta graphs: it is corrupt")
    if not meta_graphs:
        raise NotASavedModelError("the file holds no meta graph, so it is no usable SavedModel", path or "", "no_graph")
    return SavedModel(
        meta_graphs=tuple(read_meta_graph(document, field) for field in meta_graphs),
        path=path,
        version=version,
        file_name=file_name,
        schema_version=schema_version,
        document=document,
        source=document if source is None else source,
    )


def reread(model: SavedModel, document: Document) -> SavedModel:
    """The model that changed bytes are: what every edit ends with.

    Args:
        model: What was edited.
        document: Its bytes with the edit.

    Returns:
        The model read from ``document``; folder, source, list of edits and added files are those of ``model``.
    """
    fresh = read_document(
        document, path=model.path, version=model.version, file_name=model.file_name, source=model.source
    )
    return replace(fresh, edits=model.edits, lossy=model.lossy, added_files=model.added_files)


def fields_of(document: Document, parent: Field | None, *numbers: int) -> list[Field]:
    """The length-delimited fields of a message that have one of the numbers, in file order."""
    return [field for field in wire.scan(document, parent) if field.number in numbers and field.wire_type == LENGTH]


def map_entry(document: Document, entry: Field) -> tuple[str, Field | None, Field | None]:
    """The key of an entry of a ``map<string, …>``, the field that holds the key, and the one that holds the value."""
    key = value = None
    for field in wire.scan(document, entry):
        if field.number == KEY:
            key = field
        elif field.number == VALUE:
            value = field
    return ("" if key is None else wire.text(document, key, "the key of a map"), key, value)


def read_meta_graph(document: Document, field: Field) -> MetaGraph:
    """Reads one MetaGraphDef without its graph."""
    tags: list[str] = []
    version = ""
    signatures: dict[str, Signature] = {}
    repeated: list[str] = []
    has_object_graph = False
    known = False
    count = 0
    for part in wire.scan(document, field):
        known = known or META_INFO_DEF <= part.number <= OBJECT_GRAPH_DEF
        if part.number in (META_INFO_DEF, GRAPH_DEF, SIGNATURE_DEF, OBJECT_GRAPH_DEF) and part.wire_type != LENGTH:
            raise FormatError("this is not a SavedModel: a field of a meta graph has the wrong type", part.start)
        if part.number == META_INFO_DEF:
            for info in wire.scan(document, part):
                if info.number == TAGS:
                    tags.append(wire.text(document, info, "a tag"))
                elif info.number == TENSORFLOW_VERSION:
                    version = wire.text(document, info, "the TensorFlow version")
                if len(tags) > MOST_TENSORS:
                    raise FormatError(f"a meta graph has more than {MOST_TENSORS} tags: the file is corrupt")
        elif part.number == SIGNATURE_DEF:
            signature = read_signature(document, part)
            if signature.key in signatures:
                repeated.append(signature.key)
                del signatures[signature.key]
            signatures[signature.key] = signature
            count += 1
            if count > MOST_SIGNATURES:
                raise FormatError(f"a meta graph has more than {MOST_SIGNATURES} signatures: the file is corrupt")
        elif part.number == OBJECT_GRAPH_DEF:
            has_object_graph = True
    if not known and field.end > field.value_start:
        raise FormatError("this is not a SavedModel: it has nothing that a meta graph has", field.start)
    return MetaGraph(
        tag_list=tuple(tags),
        signatures=frozen(signatures),
        tensorflow_version=version,
        has_object_graph=has_object_graph,
        repeated_keys=tuple(dict.fromkeys(repeated)),
        document=document,
        field=field,
    )


def read_signature(document: Document, entry: Field) -> Signature:
    """Reads one entry of ``signature_def``."""
    key, _, value = map_entry(document, entry)
    inputs: dict[str, TensorInfo] = {}
    outputs: dict[str, TensorInfo] = {}
    defaults: dict[str, bytes] = {}
    method_name = ""
    parts: Iterable[Field] = () if value is None else wire.scan(document, value)
    count = 0
    for part in parts:
        if part.number == METHOD_NAME:
            method_name = wire.text(document, part, f"the method name of signature {quoted(key)}")
        elif part.number in (INPUTS, OUTPUTS, DEFAULTS):
            if part.wire_type != LENGTH:
                raise FormatError(f"signature {quoted(key)} has a field of the wrong type", part.start)
            name, _, info = map_entry(document, part)
            if part.number == DEFAULTS:
                defaults.pop(name, None)
                defaults[name] = b"" if info is None else wire.payload(document, info)
            else:
                tensors = inputs if part.number == INPUTS else outputs
                tensors.pop(name, None)
                tensors[name] = read_tensor_info(document, info)
            count += 1
            if count > MOST_TENSORS:
                raise FormatError(f"signature {quoted(key)} has more than {MOST_TENSORS} tensors: the file is corrupt")
    return Signature(key, frozen(inputs), frozen(outputs), method_name, frozen(defaults))


def read_tensor_info(document: Document, value: Field | None) -> TensorInfo:
    """Reads one TensorInfo; None is an entry without a value, which protobuf reads as an empty message."""
    dtype = 0
    shape: Shape | None = None
    name: str | None = ""
    encoding, components = "name", None
    for part in () if value is None else wire.scan(document, value):
        if part.number == DTYPE:
            dtype = wire.signed(wire.number(document, part))
        elif part.number == TENSOR_SHAPE:
            shape = merge_shapes(shape, read_shape(document, part))
        elif part.number == TENSOR_NAME:  # the three encodings are one `oneof`: the last one counts
            name, encoding, components = wire.text(document, part, "a tensor name"), "name", None
        elif part.number == COO_SPARSE:
            known = dict(components or {}) if encoding == "coo_sparse" else {}
            known.update(_coo_components(document, part))
            name, encoding = None, "coo_sparse"
            components = {role: known.get(role, "") for role in _COO_ROLES.values()}
        elif part.number == COMPOSITE_TENSOR:
            earlier = list((components or {}).values()) if encoding == "composite_tensor" else []
            tensors = [
                ", ".join(read_tensor_info(document, component).tensor_names)
                for component in fields_of(document, part, 2)
            ]
            name, encoding = None, "composite_tensor"
            components = {str(index): tensor for index, tensor in enumerate(earlier + tensors)}
    return TensorInfo(
        dtype=DType(dtype),
        shape=Shape(()) if shape is None else shape,
        tensor_name=name,
        encoding=encoding,
        components=None if components is None else frozen(components),
    )


def read_shape(document: Document, value: Field) -> Shape:
    """Reads a TensorShapeProto; sizes of -1 become None, and ``unknown_rank`` wins over any dimensions."""
    dims: list[int | None] = []
    unknown_rank = False
    for part in wire.scan(document, value):
        if part.number == 3:
            unknown_rank = bool(wire.number(document, part))
        elif part.number == 2 and part.wire_type == LENGTH:
            size = 0
            for field in wire.scan(document, part):
                if field.number == 1:
                    size = wire.signed(wire.number(document, field))
            dims.append(None if size == -1 else size)
            if len(dims) > MOST_DIMS:
                raise FormatError(f"a shape has more than {MOST_DIMS} dimensions: the file is corrupt", part.start)
    return Shape(None if unknown_rank else tuple(dims))


def merge_shapes(first: Shape | None, second: Shape) -> Shape:
    """What a parser makes of a shape that a message holds twice: the dimensions one after the other."""
    if first is None or first.dims is None or second.dims is None:
        return second if first is None else Shape(None)
    return Shape(first.dims + second.dims)


def _coo_components(document: Document, field: Field) -> dict[str, str]:
    return {
        _COO_ROLES[part.number]: wire.text(document, part, "a tensor name")
        for part in wire.scan(document, field)
        if part.number in _COO_ROLES
    }
