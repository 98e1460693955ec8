"""``saved_model.pbtxt``: a SavedModel in protobuf's text format, to binary and back.

The format is https://protobuf.dev/reference/protobuf/textformat-spec/. A text names its fields, so unlike a binary
file it cannot carry a field that the schema doesn't know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from explorer.errors import ExportError, FormatError, NotASavedModelError, printable_name, quoted
from explorer.savedmodel.records import is_lfs_pointer
from explorer.savedmodel.schema import descriptor_pool, message_class

if TYPE_CHECKING:
    from google.protobuf.message import Message

LARGEST_TEXT: Final = 256 << 20
"""In bytes. A longer text is refused: protobuf reads a few megabytes of text in a second."""

_FIRST_NAME = re.compile(rb"(?:\s++|#[^\n]*+\n?+)*+([A-Za-z_]\w*+)?")
_OTHER_FILES: Final = {
    "frozen_graph": ("a GraphDef, a graph without signatures", ("node", "library", "versions")),
    "meta_graph": (
        "a single MetaGraphDef, as a .meta file holds it",
        ("meta_info_def", "graph_def", "saver_def", "collection_def", "signature_def", "asset_file_def"),
    ),
    "label_map": ("a label map of the Object Detection API", ("item",)),
    "pipeline_config": ("a pipeline configuration of the Object Detection API", ("model", "train_config")),
    "checkpoint_state": ("a checkpoint file, the list of latest checkpoints", ("model_checkpoint_path",)),
    "server_config": ("a configuration of TensorFlow Serving", ("model_config_list", "platform_configs")),
}
_TYPE_URL_PREFIX = re.compile(r"[A-Za-z0-9_.-]+")
_PLACE = re.compile(r"^\d+:\d+ : ")


@dataclass(frozen=True)
class TextModel:
    """A SavedModel that was read from text.

    Attributes:
        binary: The serialized ``tensorflow.SavedModel``, the same bytes for the same text.
        unknown_fields: Whether the text has fields that the schema doesn't know. They are not in ``binary``; such a
            model can be shown, and writing it would lose them.
    """

    binary: bytes
    unknown_fields: bool


def parse_text(text: bytes, path: object) -> TextModel:
    """Reads the content of a ``saved_model.pbtxt``.

    Args:
        text: The whole file.
        path: Where it was read from, for the sentences.

    Returns:
        The model in binary form.

    Raises:
        NotASavedModelError: It holds something else; ``kind`` is ``"empty_file"``, ``"lfs_pointer"``,
            ``"binary_pbtxt"``, or what else was recognised, such as ``"frozen_graph"`` or ``"label_map"``.
        FormatError: It is not UTF-8, not well formed, nested too deeply, or longer than ``LARGEST_TEXT``.
    """
    if len(text) > LARGEST_TEXT:
        raise FormatError(
            f"{quoted(str(path))} has {len(text)} bytes, and a text of more than {LARGEST_TEXT} bytes is not "
            "read; have TensorFlow write the model as saved_model.pb"
        )
    _refuse_other_files(text, path)
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        _refuse_binary(text, path)
        raise FormatError(f"{quoted(str(path))} is not UTF-8 text", error.start) from None
    model, unknown_fields = _parsed(decoded, text, path)
    if unknown_fields and not model.ListFields():
        raise NotASavedModelError(
            f"{quoted(str(path))} holds a message that is not a SavedModel: it has no meta_graphs", path
        )
    if "[" in decoded:
        _order_packed_messages(model)
    return TextModel(_serialized(model, path), unknown_fields)


def parse_graph_text(text: bytes, path: object) -> bytes:
    """Reads a GraphDef in text form.

    Args:
        text: The whole file.
        path: Where it was read from, for the sentences.

    Returns:
        The serialized ``tensorflow.GraphDef``, the same bytes for the same text.

    Raises:
        FormatError: It is not UTF-8, no GraphDef, nested too deeply, longer than ``LARGEST_TEXT``, or has fields that
            the schema doesn't know, which would be lost.
    """
    if len(text) > LARGEST_TEXT:
        raise FormatError(
            f"{quoted(str(path))} has {len(text)} bytes, and a text of more than {LARGEST_TEXT} bytes is not read; "
            "have TensorFlow write the graph in binary form"
        )
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{quoted(str(path))} is not UTF-8 text", error.start) from None
    graph, unknown_fields = _parsed(decoded, text, path, "GraphDef")
    if unknown_fields:
        raise FormatError(
            f"{quoted(str(path))} has fields that this version doesn't know, which a conversion would lose; "
            "have TensorFlow write the graph in binary form"
        )
    return _serialized(graph, path, "GraphDef")


def print_text(binary: bytes | memoryview) -> bytes:
    """Writes a SavedModel as text, in ASCII and in the layout of TensorFlow's own ``saved_model.pbtxt``.

    Args:
        binary: A serialized ``tensorflow.SavedModel``.

    Returns:
        Text from which ``parse_text`` makes an equal message.

    Raises:
        FormatError: The bytes are no SavedModel, or the text would be longer than ``LARGEST_TEXT``.
        ExportError: The model has fields that the schema doesn't know, which a text cannot carry.
    """
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError

    if len(binary) > LARGEST_TEXT:
        raise FormatError(
            f"the model has {len(binary)} bytes, and one of more than {LARGEST_TEXT} bytes is not written as text"
        )
    model = message_class("tensorflow.SavedModel")()
    try:
        model.ParseFromString(bytes(binary))
    except DecodeError:
        raise FormatError("the bytes are no serialized SavedModel") from None
    if _drops_unknown(model) or any(_loses_content(value) for value in _any_values(model)):
        raise ExportError(
            "the model has fields that this version doesn't know, and text cannot carry them; "
            "write it as saved_model.pb instead"
        )
    try:
        text = text_format.MessageToString(model, descriptor_pool=descriptor_pool(), as_utf8=False)
    except RecursionError:
        raise FormatError("the model is nested too deeply to be written as text") from None
    return text.encode("ascii")


def _refuse_other_files(text: bytes, path: object) -> None:
    """Names what can be told from the first word of the file."""
    if is_lfs_pointer(text):
        raise NotASavedModelError(
            f"{quoted(str(path))} is a Git LFS pointer, not the file itself; fetch it with git lfs pull",
            path,
            "lfs_pointer",
        )
    found = _FIRST_NAME.match(text)
    if found is not None and found.end() == len(text) and found[1] is None:
        raise NotASavedModelError(f"{quoted(str(path))} is empty", path, "empty_file")
    start = text[:200].lstrip()[:1]
    if start in (b"<", b"{"):
        kind, words = ("html", "a web page or XML") if start == b"<" else ("json", "JSON")
        raise NotASavedModelError(f"{quoted(str(path))} is not a SavedModel: it seems to be {words}", path, kind)
    first = found[1].decode("ascii", "replace") if found is not None and found[1] else ""
    for kind, (words, names) in _OTHER_FILES.items():
        if first in names:
            raise NotASavedModelError(
                f"{quoted(str(path))} is not a SavedModel: it begins with {quoted(first)} as {words} does", path, kind
            )


def _refuse_binary(text: bytes, path: object) -> None:
    """Tells a SavedModel in binary form, which TensorFlow doesn't read under this name either."""
    from google.protobuf.message import DecodeError

    model: Any = message_class("tensorflow.SavedModel")()
    try:
        model.ParseFromString(text)
    except DecodeError:
        return
    if model.meta_graphs:
        raise NotASavedModelError(
            f"{quoted(str(path))} is a SavedModel in binary form under the name of a text; rename it to saved_model.pb",
            path,
            "binary_pbtxt",
        )


def _parsed(decoded: str, text: bytes, path: object, what: str = "SavedModel") -> tuple[Message, bool]:
    """A message of TensorFlow's, and whether fields had to be skipped for it."""
    from google.protobuf import text_format

    pool = descriptor_pool()
    failure: Exception | None = None
    for unknown_fields in (False, True):
        model = message_class(f"tensorflow.{what}")()
        try:
            text_format.Parse(decoded, model, allow_unknown_field=unknown_fields, descriptor_pool=pool)
        except RecursionError:
            raise FormatError(f"{quoted(str(path))} is nested too deeply for a {what}") from None
        except (text_format.ParseError, ValueError, TypeError, OverflowError) as error:
            failure = error
        else:
            return model, unknown_fields
    if what == "SavedModel":
        _refuse_binary(text, path)
    raise FormatError(f"{quoted(str(path))} is no text form of a {what}: {_reason(failure)}") from None


def _reason(failure: Exception | None) -> str:
    """What protobuf says about a text, the place first and in words."""
    message = printable_name(_PLACE.sub("", str(failure))).rstrip(".")
    line = getattr(failure, "GetLine", lambda: None)()
    column = getattr(failure, "GetColumn", lambda: None)()
    return message if line is None else f"line {line}, column {column}: {message}"


def _serialized(model: Message, path: object, what: str = "SavedModel") -> bytes:
    from google.protobuf.message import DecodeError, EncodeError

    too_deep = f"{quoted(str(path))} is nested too deeply for a {what}"
    try:
        binary: bytes = model.SerializeToString(deterministic=True)
        type(model)().ParseFromString(binary)
    except (EncodeError, DecodeError, RecursionError, ValueError):
        # Protobuf's own limit is a hundred levels; no consumer could read such a model.
        raise FormatError(too_deep) from None
    return binary


def _any_values(model: Any) -> Iterator[Any]:
    """Every ``google.protobuf.Any`` of a SavedModel; a test compares these places with the schema."""
    for meta_graph in model.meta_graphs:
        if meta_graph.meta_info_def.HasField("any_info"):
            yield meta_graph.meta_info_def.any_info
        for collection in meta_graph.collection_def.values():
            if collection.WhichOneof("kind") == "any_list":
                yield from collection.any_list.value
        for node in meta_graph.object_graph_def.nodes:
            if node.HasField("serialized_user_proto"):
                yield node.serialized_user_proto


def _order_packed_messages(model: Message) -> None:
    """Packed messages with maps are written in any order by the text parser; this makes it one order."""
    for value in _any_values(model):
        packed = _packed(value)
        if packed is not None:
            ordered = packed.SerializeToString(deterministic=True)
            if len(ordered) == len(value.value):
                value.value = ordered


def _packed(value: Any) -> Message | None:
    """The message inside an ``Any``; None if the schema doesn't know it or the bytes are something else."""
    from google.protobuf.message import DecodeError

    try:
        packed = message_class(value.TypeName())()
        packed.ParseFromString(value.value)
    except (KeyError, DecodeError):
        return None
    return packed


def _loses_content(value: Any) -> bool:
    """Whether a text would lose a part of an ``Any``; one of an unknown type is written as bytes, which is fine."""
    try:
        message_class(value.TypeName())
    except KeyError:
        return False
    prefix, slash, _ = value.type_url.rpartition("/")
    if not slash:
        return False
    packed = _packed(value)
    return packed is None or _TYPE_URL_PREFIX.fullmatch(prefix) is None or _drops_unknown(packed)


def _drops_unknown(message: Message) -> bool:
    """Removes the fields that the schema doesn't know, and tells whether there were any."""
    size = message.ByteSize()
    message.DiscardUnknownFields()
    return message.ByteSize() != size
