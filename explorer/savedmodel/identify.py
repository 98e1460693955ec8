"""What a file is that isn't the ``saved_model.pb`` it should be: an LFS pointer, an HTML page, a frozen graph …

Told from the first bytes and, for protobuf, from the fields at the top; nothing is parsed in full.
"""

from __future__ import annotations

import itertools

from explorer.errors import ExplorerError, FormatError
from explorer.savedmodel import wire
from explorer.savedmodel.overlay import Document, FileSource
from explorer.savedmodel.records import is_lfs_pointer

_HEAD = 1024
_MOST_FIELDS = 50

_MAGIC = (
    (0, b"\x89HDF\r\n\x1a\n", "hdf5", "is an HDF5 file, as Keras writes .h5; it is no SavedModel but can become one"),
    (0, b"PK\x03\x04", "zip", "is a zip archive (a .keras file is one too); unpack it first if a SavedModel is in it"),
    (0, b"\x1f\x8b", "gzip", "is a gzip archive; unpack it first (tar -xzf) and open the folder"),
    (257, b"ustar", "tar", "is a tar archive; unpack it first (tar -xf) and open the folder"),
    (0, b"BZh", "bzip2", "is a bzip2 archive; unpack it first and open the folder"),
    (0, b"\xfd7zXZ\0", "xz", "is an xz archive; unpack it first and open the folder"),
    (4, b"TFL3", "tflite", "is a TensorFlow Lite model, made from a SavedModel; there is no way back to one"),
    (0, b"\x80\x02", "pickle", "is a Python pickle, as PyTorch writes it; pickles are never opened here"),
)  # fmt: skip


def identify(path: str) -> tuple[str, str]:
    """Says what a file is.

    Args:
        path: A file that can't be read as a SavedModel.

    Returns:
        A kind in one word, and the rest of a sentence that begins with the file's name.
    """
    try:
        source = FileSource(path)
        head = source.read_at(0, min(_HEAD, source.size))
    except ExplorerError as error:
        return "unreadable", f"cannot be read: {error}"
    if not head:
        return "empty_file", "is an empty file; copy or download the model again"
    if is_lfs_pointer(head):
        size = next((line[5:] for line in head.decode("ascii", "replace").splitlines() if line[:5] == "size "), "?")
        return "lfs_pointer", (
            f"is a Git LFS pointer, not the file itself ({size} bytes, stored elsewhere); "
            "run 'git lfs pull' in the repository it came from"
        )
    for offset, magic, kind, sentence in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind, sentence
    start = head.lstrip()[:200].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "html", "is a web page, probably the error page of a failed download; download the model again"
    if start.startswith((b"{", b"[")) and b"\0" not in head:
        return "json", "is a JSON text, probably the error answer of a failed download; download the model again"
    return _identify_protobuf(Document.of(source))


def _identify_protobuf(document: Document) -> tuple[str, str]:
    try:
        fields = list(itertools.islice(wire.scan(document), _MOST_FIELDS))
    except FormatError as error:
        return "unknown", f"is no protobuf message, so no SavedModel either: {error}"
    kinds = {(field.number, field.wire_type) for field in fields}
    first = fields[0]
    if first.number == 1 and first.wire_type == wire.LENGTH and _is_node(document, first):
        return "frozen_graph", (
            "is a GraphDef (a frozen graph): a graph without tags and signatures; convert it to a SavedModel first"
        )
    if (7, wire.LENGTH) in kinds and (1, wire.VARINT) in kinds and first.number == 1:
        return "onnx", "looks like an ONNX model, which TensorFlow can't load"
    if kinds <= {(1, wire.LENGTH), (2, wire.LENGTH), (3, wire.LENGTH), (4, wire.LENGTH), (5, wire.LENGTH)} and (
        first.number in (1, 2) and _is_meta_info(document, first)
    ):
        return "meta_graph", "looks like a MetaGraphDef (the .meta file of a checkpoint), not a SavedModel"
    return "unknown", "is a protobuf message, but not a SavedModel"


def _is_node(document: Document, field: wire.Field) -> bool:
    """Whether a field looks like a NodeDef: a name and an op in text."""
    try:
        parts = {part.number: part for part in itertools.islice(wire.scan(document, field), 10)}
        return 1 in parts and 2 in parts and wire.text(document, parts[2]).isidentifier()
    except FormatError:
        return False


def _is_meta_info(document: Document, field: wire.Field) -> bool:
    """Whether a field looks like a MetaInfoDef: its stripped op list has op definitions."""
    try:
        return any(part.number in (2, 5) for part in itertools.islice(wire.scan(document, field), 10))
    except FormatError:
        return False
