"""A frozen graph file as a SavedModel: the same graph, with the tag by which servers find it.

The GraphDef stays where it lies in its file: what stands before and behind it is new, and no byte of it is changed but
for one node that may be added. Of a text form the parsed message takes its place.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from explorer.converting.completing import complete
from explorer.converting.graph_source import is_cut_graph, is_saved_model
from explorer.converting.parts import Parts
from explorer.converting.served import SERVE, saved_model_of
from explorer.errors import ConversionError, FormatError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.identify import identify
from explorer.savedmodel.overlay import Document, FileSource
from explorer.savedmodel.reader import GRAPH_DEF, META_INFO_DEF, TAGS, read_document
from explorer.savedmodel.records import read_whole
from explorer.savedmodel.text_format import LARGEST_TEXT, parse_graph_text

_LARGEST_MESSAGE: Final = (1 << 31) - 1
"""In bytes: protobuf reads no longer message."""

# graph.proto, GraphDef
_GRAPH_FIELDS: Final = frozenset({(1, wire.LENGTH), (2, wire.LENGTH), (3, wire.VARINT), (4, wire.LENGTH)})


def parts_of_graph(path: Path) -> Parts:
    """Turns a GraphDef into a SavedModel without signatures and without variables.

    Args:
        path: The file, in binary or text form, which its content tells. Of a graph with variables the values are
            missing then: see :func:`explorer.converting.with_graph.parts_with_graph`.

    Returns:
        What the SavedModel is made of. Tables are filled when it is loaded, from assets where their files lie beside
        the graph.

    Raises:
        ConversionError: The file is something else, or damaged.
        SourceError: It can't be read.
    """
    graph = _graph_def(path)
    # MetaInfoDef says nothing of the version of TensorFlow: a GraphDef knows only that of its own format.
    info = wire.encode_field(META_INFO_DEF, wire.encode_field(TAGS, SERVE))
    try:
        meta_graph = Document.joined([info, wire.encode_header(GRAPH_DEF, graph.size), graph])
        document = saved_model_of(meta_graph).document
        if not read_graph(read_document(document).meta_graphs[0]).nodes:
            raise ConversionError(f"{quoted(str(path))} holds a graph without nodes, which computes nothing")
        completed = complete(document, path.parent)
    except FormatError as error:
        raise ConversionError(f"{quoted(str(path))} is a damaged graph: {error}; copy it again") from None
    if completed.document.size > _LARGEST_MESSAGE:
        raise ConversionError(
            f"{quoted(str(path))} makes a SavedModel of {completed.document.size} bytes, and no loader reads one of "
            "more than 2 GiB: keep its weights in a checkpoint"
        )
    return Parts(completed.document, path, completed.files, completed.notes)


def _graph_def(path: Path) -> Document:
    """The serialized GraphDef in a file."""
    kind, sentence = identify(str(path))
    if kind == "frozen_graph_text":
        text = read_whole(str(path), LARGEST_TEXT, "a graph in text form")
        try:
            return Document.of_bytes(parse_graph_text(text or b"", path))
        except FormatError as error:
            raise ConversionError(str(error)) from None
    document = Document.of(FileSource(str(path)))
    if kind == "frozen_graph" or (kind == "unknown" and _is_graph(document)):
        return document
    if is_saved_model(path):
        raise ConversionError(f"{quoted(str(path))} is a SavedModel already: open the folder that it lies in")
    if kind in ("meta_graph", "meta_graph_text"):
        raise ConversionError(
            f"{quoted(str(path))} is a MetaGraphDef (the .meta of a checkpoint), not a GraphDef: convert the "
            f"checkpoint that lies beside it, {quoted(path.name.removesuffix('.meta'))}",
            ("checkpoint",),
        )
    if kind == "unknown" and is_cut_graph(path):
        raise ConversionError(f"{quoted(str(path))} is a graph (GraphDef) that is cut off or damaged; copy it again")
    raise ConversionError(f"{quoted(str(path))} {sentence}")


def _is_graph(document: Document) -> bool:
    """Whether the bytes are a GraphDef whose fields stand in another order than usual."""
    try:
        fields = {(field.number, field.wire_type) for field in wire.scan(document)}
    except FormatError:
        return False
    return (1, wire.LENGTH) in fields and fields <= _GRAPH_FIELDS
