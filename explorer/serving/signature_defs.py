"""The SignatureDef messages of a meta graph, for answers that hold them whole.

Where the model was read from a file, they are read from it again: :class:`Signature` doesn't keep what no client needs,
such as the type of a composite tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.errors import FormatError, quoted
from explorer.savedmodel.model import MetaGraph, Signature, TensorInfo
from explorer.savedmodel.reader import SIGNATURE_DEF, fields_of, map_entry
from explorer.savedmodel.schema import descriptor_pool, message_class

_DEBUG_MARKER = "goo.gle/debugstr \n"


def signature_def_map(meta_graph: MetaGraph) -> Any:
    """All signatures of a meta graph, reserved ones included, as a ``tensorflow.serving.SignatureDefMap``.

    Raises:
        FormatError: One of them is no valid message.
    """
    made: Any = message_class("tensorflow.serving.SignatureDefMap")()
    stored = _stored(meta_graph)
    for key, signature in meta_graph.signatures.items():
        made.signature_def[key].CopyFrom(_message(signature, stored))
    return made


def signature_def_text(meta_graph: MetaGraph, signature: Signature) -> str:
    """A signature as the server dumps it into a sentence.

    What comes first is a marker that protobuf varies from process to process, so that nobody relies on the rest
    (https://protobuf.dev/news/2022-10-20/).

    Raises:
        FormatError: It is no valid message.
    """
    from google.protobuf import text_format

    message = _message(signature, _stored(meta_graph))
    return _DEBUG_MARKER + str(text_format.MessageToString(message, descriptor_pool=descriptor_pool()))


def _stored(meta_graph: MetaGraph) -> Mapping[str, bytes]:
    """Signature key → its message in the file."""
    document = meta_graph.document
    if document is None:
        return {}
    stored = {}
    for entry in fields_of(document, meta_graph.field, SIGNATURE_DEF):
        key, _, value = map_entry(document, entry)
        stored[key] = b"" if value is None else document.read_at(value.value_start, value.end - value.value_start)
    return stored


def _message(signature: Signature, stored: Mapping[str, bytes]) -> Any:
    from google.protobuf.message import DecodeError

    message: Any = message_class("tensorflow.SignatureDef")()
    try:
        if signature.key in stored:
            message.ParseFromString(stored[signature.key])
            return message
        message.method_name = signature.method_name
        for kind in ("inputs", "outputs"):
            for key, info in getattr(signature, kind).items():
                _fill(getattr(message, kind)[key], info)
        for key, default in signature.defaults.items():
            message.defaults[key].ParseFromString(default)
    except (DecodeError, UnicodeEncodeError):
        raise FormatError(f"the signature {quoted(signature.key)} is no valid SignatureDef message") from None
    return message


def _fill(message: Any, info: TensorInfo) -> None:
    message.dtype = info.dtype.number
    if info.shape.dims is None:
        message.tensor_shape.unknown_rank = True
    else:
        message.tensor_shape.SetInParent()
        for size in info.shape.dims:
            message.tensor_shape.dim.add(size=-1 if size is None else size)
    components = info.components or {}
    if info.encoding == "coo_sparse":
        message.coo_sparse.SetInParent()
        for role, name in components.items():
            setattr(message.coo_sparse, f"{role}_tensor_name", name)
    elif info.encoding == "composite_tensor":
        message.composite_tensor.SetInParent()
        for name in components.values():
            message.composite_tensor.components.add(name=name)
    else:
        message.name = info.tensor_name or ""
