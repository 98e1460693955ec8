"""What the graph does with the text of an input: whether it decodes images, base64 or records of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from explorer.errors import FormatError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.example_parsers import PARSERS, parsers_of
from explorer.savedmodel.graph import has_graph, read_graph, split_tensor_name
from explorer.savedmodel.model import MetaGraph, Signature, TensorInfo

IMAGE_DECODERS: Final = frozenset(
    {"DecodeAndCropJpeg", "DecodeBmp", "DecodeGif", "DecodeImage", "DecodeJpeg", "DecodePng", "DecodeWebP"}
)
"""https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/ops/image_ops.cc."""

BASE64_DECODER: Final = "DecodeBase64"
"""It takes the web-safe alphabet: https://www.tensorflow.org/api_docs/python/tf/io/decode_base64."""


@dataclass(frozen=True, slots=True)
class TextReaders:
    """The ops that read a text first.

    Attributes:
        image: The op that decodes an image of it, empty where none does.
        base64: Whether the graph itself decodes base64.
        records: Whether it is parsed as ``tf.Example``.
    """

    image: str = ""
    base64: bool = False
    records: bool = False


def text_readers(meta_graph: MetaGraph, info: TensorInfo) -> TextReaders:
    """The ops that read the text of an input; none where there is no graph, or it is corrupt."""
    if info.dtype.base.number != constants.DT_STRING or not info.tensor_name or not has_graph(meta_graph):
        return TextReaders()
    try:
        found = parsers_of(
            read_graph(meta_graph), info.tensor_name, frozenset({*IMAGE_DECODERS, *PARSERS, BASE64_DECODER})
        )
    except FormatError:
        return TextReaders()
    ops = {reader.node.op for reader in found}
    return TextReaders(min(ops & IMAGE_DECODERS, default=""), BASE64_DECODER in ops, bool(ops & PARSERS))


def false_tensors(meta_graph: MetaGraph, signature: Signature) -> list[str]:
    """What a signature says about its tensors that isn't so, a sentence each; no request to it can work.

    A tensor that isn't in the graph, or has another dtype, is told at each call only
    (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/common_runtime/direct_session.cc).
    """
    if not has_graph(meta_graph):
        return []
    try:
        graph = read_graph(meta_graph)
        found = []
        for what, tensors in (("input", signature.inputs), ("output", signature.outputs)):
            for key, info in tensors.items():
                if not info.tensor_name or split_tensor_name(info.tensor_name)[1] is None:
                    continue
                tensor = graph.tensor(info.tensor_name)
                if tensor is None:
                    found.append(
                        f"the {what} {quoted(key)} is {quoted(info.tensor_name)}, which the graph doesn't have"
                    )
                elif tensor.dtype.number and info.dtype.number and tensor.dtype.base != info.dtype.base:
                    found.append(f"the {what} {quoted(key)} is declared {info.dtype}, and {tensor.dtype} in the graph")
    except FormatError:
        return []
    return found
