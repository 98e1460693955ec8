"""What a file is that isn't the ``saved_model.pb`` it should be: an LFS pointer, an HTML page, a frozen graph …

Told from the first bytes and, for protobuf, from the fields at the top; nothing is parsed in full.
"""

from __future__ import annotations

import itertools
import re

from explorer.errors import ExplorerError, FormatError
from explorer.savedmodel import wire
from explorer.savedmodel.overlay import Document, FileSource
from explorer.savedmodel.records import is_lfs_pointer

_HEAD = 2560
_MOST_FIELDS = 50
_LARGEST_SAFETENSORS_HEADER = 100_000_000  # the format's own limit

_MAGIC = (
    (0, b"\x89HDF\r\n\x1a\n", "hdf5", "is an HDF5 file, as Keras writes .h5; it is no SavedModel but can become one"),
    (0, b"PK\x03\x04", "zip", "is a zip archive (a .keras file is one too); unpack it first if a SavedModel is in it"),
    (0, b"\x1f\x8b", "gzip", "is a gzip archive; unpack it first (tar -xzf) and open the folder"),
    (257, b"ustar", "tar", "is a tar archive; unpack it first (tar -xf) and open the folder"),
    (0, b"BZh", "bzip2", "is a bzip2 archive; unpack it first and open the folder"),
    (0, b"\xfd7zXZ\0", "xz", "is an xz archive; unpack it first and open the folder"),
    (4, b"TFL3", "tflite", "is a TensorFlow Lite model, made from a SavedModel; there is no way back to one"),
    (0, b"\x80\x02", "pickle", "is a Python pickle, as PyTorch writes it; pickles are never opened here"),
    (0, b"\x80\x03", "pickle", "is a Python pickle; pickles are never opened here, because opening one runs code"),
    (0, b"\x80\x04", "pickle", "is a Python pickle; pickles are never opened here, because opening one runs code"),
    (0, b"\x80\x05", "pickle", "is a Python pickle; pickles are never opened here, because opening one runs code"),
    (0, b"\x93NUMPY", "npy", "is an array of numpy; it holds numbers and no model"),
    (0, b"GGUF", "gguf", "is a GGUF file, weights for llama.cpp, which TensorFlow can't load"),
    *((offset, b"\x89HDF\r\n\x1a\n", "hdf5", "is an HDF5 file; it is no SavedModel but can become one")
      for offset in (512, 1024, 2048)),  # https://docs.hdfgroup.org: the superblock may begin at any power of two
)  # fmt: skip

_TEXTS = (
    ("frozen_graph_text", "is a GraphDef in text form: a graph without tags and signatures; convert it to a "
     "SavedModel first", ("node", "library", "versions")),
    ("meta_graph_text", "is a MetaGraphDef in text form (the .meta of a checkpoint), not a SavedModel",
     ("meta_info_def", "graph_def", "saver_def", "collection_def", "signature_def", "asset_file_def")),
    ("saved_model_text", "is the text form of a SavedModel under another name; call it saved_model.pbtxt, in a folder "
     "with the variables/ and assets/ that belong to it", ("saved_model_schema_version", "meta_graphs")),
    ("checkpoint_state", "is the list of latest checkpoints that stands beside them, not a model",
     ("model_checkpoint_path", "all_model_checkpoint_paths")),
    ("label_map", "is a label map of the Object Detection API, the names of classes and not a model", ("item",)),
    ("pipeline_config", "is a pipeline configuration of the Object Detection API, not a model",
     ("train_config", "eval_config", "train_input_reader", "model")),
)  # fmt: skip
"""Kind, rest of the sentence, and the fields with which such a text begins."""

_FIRST_WORD = re.compile(rb"(?:\s++|#[^\n]*+\n)*+([A-Za-z_]\w{0,40})\s*+[:{<]")
_TABLE_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"


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
        return _identify_json(head)
    if (found := _FIRST_WORD.match(head)) is not None and b"\0" not in head:
        word = found[1].decode("ascii")
        for kind, sentence, words in _TEXTS:
            if word in words:
                return kind, sentence
    if b"brain.Event:" in head[:64]:
        return "event_file", "is an event file of TensorBoard: curves of a training, not a model"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < _LARGEST_SAFETENSORS_HEADER:
        return "safetensors", "is a safetensors file: weights without a computation"
    if source.size >= len(_TABLE_END) and source.read_at(source.size - 8, 8) == _TABLE_END:
        return "checkpoint_table", "is a file of a checkpoint: variables and their values without a graph"
    return _identify_protobuf(Document.of(source))


def _identify_json(head: bytes) -> tuple[str, str]:
    if b'"modelTopology"' in head or b'"graph-model"' in head or b'"layers-model"' in head:
        return "tfjs", "is a TensorFlow.js model; convert the model that it was made from"
    if b'"class_name"' in head and b'"config"' in head:
        return "keras_json", (
            "is the architecture of a Keras model as JSON, without its weights; convert the file with the weights and "
            "give this one as its architecture"
        )
    return "json", "is a JSON text, probably the error answer of a failed download; download the model again"


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
