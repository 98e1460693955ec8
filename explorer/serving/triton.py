"""Triton's ``config.pbtxt``: one for each signature, because a model of Triton has one entry point.

The fields are those of ``model_config.proto`` in https://github.com/triton-inference-server/common, and how the backend
reads them is in ``tensorflow.cc`` of https://github.com/triton-inference-server/tensorflow_backend.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from explorer.errors import RequestError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, TensorInfo, printable_tags
from explorer.serving.bodies import chosen_signature
from explorer.serving.literals import text_proto_literal
from explorer.serving.snippets import served_name

DEFAULT_BATCH_SIZE: Final = 32

_NO_FOLDER = re.compile(r"[^A-Za-z0-9._-]+")
_DATA_TYPES = {
    1: "TYPE_FP32", 2: "TYPE_FP64", 3: "TYPE_INT32", 4: "TYPE_UINT8", 5: "TYPE_INT16", 6: "TYPE_INT8", 7: "TYPE_STRING",
    9: "TYPE_INT64", 10: "TYPE_BOOL", 14: "TYPE_BF16", 17: "TYPE_UINT16", 19: "TYPE_FP16", 22: "TYPE_UINT32",
    23: "TYPE_UINT64",
}  # fmt: skip


def triton_config(
    model: SavedModel,
    signature_key: str | None = None,
    *,
    tags: Iterable[str] | None = None,
    model_name: str | None = None,
    max_batch_size: int = DEFAULT_BATCH_SIZE,
) -> str:
    """Writes the ``config.pbtxt`` by which Triton serves one signature.

    Args:
        model: The model.
        signature_key: Which signature; None takes ``serving_default``, or the only one that can be called.
        tags: Which meta graph; None where there is only one, or one tagged ``serve``.
        model_name: Triton's name for it; None makes one, see :func:`triton_name`.
        max_batch_size: The most examples that Triton puts into one call, where all inputs and outputs have a batch:
            an unknown first dimension. Elsewhere, or where 0 is given, Triton sends what it gets.

    Returns:
        Protobuf's text format, in ASCII, with comments.

    Raises:
        NotFoundError: There is no such meta graph or signature.
        RequestError: Triton can't call the signature.
    """
    meta_graph = model.meta_graph(tags)
    signature = chosen_signature(meta_graph, signature_key)
    _check(meta_graph, signature)
    if not 0 <= max_batch_size < 1 << 31:
        raise RequestError(f"{max_batch_size} is no batch size; give 0 or more")
    name = model_name or triton_name(served_name(model), signature.key)
    if _NO_FOLDER.search(name) or not name.strip("."):
        raise RequestError(f"{quoted(name)} can't be a folder of Triton's model repository; take letters and digits")
    batches = max_batch_size > 0 and _has_batch(signature)
    lines = [
        f"# {name}/config.pbtxt in the model repository; the SavedModel's files lie in {name}/1/model.savedmodel/",
        f"name: {text_proto_literal(name)}",
        'platform: "tensorflow_savedmodel"',
        *_batch_lines(signature, max_batch_size if batches else 0),
    ]
    for kind, infos in (("input", signature.inputs), ("output", signature.outputs)):
        for key, info in infos.items():
            lines += _tensor_lines(kind, key, info, batches)
    (tag,) = meta_graph.tags
    lines += _parameter("TF_GRAPH_TAG", tag) + _parameter("TF_SIGNATURE_DEF", signature.key)
    return "\n".join(lines) + "\n"


def triton_files(
    model: SavedModel,
    *,
    tags: Iterable[str] | None = None,
    model_name: str | None = None,
    max_batch_size: int = DEFAULT_BATCH_SIZE,
) -> dict[str, str]:
    """The ``config.pbtxt`` of every signature that Triton can call: path below the model repository → content.

    Raises:
        NotFoundError: There is no such meta graph.
    """
    files: dict[str, str] = {}
    for key in model.meta_graph(tags).callable_signatures:
        stem = triton_name(model_name or served_name(model), key)
        name, count = stem, 1
        while f"{name}/config.pbtxt" in files:  # two keys may differ in characters only that no folder should have
            count += 1
            name = f"{stem}.{count}"
        try:
            text = triton_config(model, key, tags=tags, model_name=name, max_batch_size=max_batch_size)
        except RequestError:
            continue
        files[f"{name}/config.pbtxt"] = text
    return files


def triton_name(model_name: str, signature_key: str) -> str:
    """A name for a signature as a model of Triton: the model's own for ``serving_default``, else with the key."""
    is_default = signature_key == constants.DEFAULT_SIGNATURE_KEY
    name = _NO_FOLDER.sub("_", model_name if is_default else f"{model_name}.{signature_key}")
    return name if name.strip(".") else "model"


def _check(meta_graph: MetaGraph, signature: Signature) -> None:
    """Checks that Triton can call a signature."""
    where = f"signature {quoted(signature.key)}"
    if signature.is_reserved or not signature.key:
        raise RequestError(f"{where} can't be called")
    if len(meta_graph.tags) != 1 or not next(iter(meta_graph.tags)):
        raise RequestError(
            f"Triton loads a graph by a single tag, and the tags here are {printable_tags(meta_graph.tags)}; copy the "
            "meta graph under one tag with copy_meta_graph"
        )
    for what, infos in (("input", signature.inputs), ("output", signature.outputs)):
        if not infos:
            raise RequestError(f"{where} has no {what}s, and Triton calls none without")
        for key, info in infos.items():
            if info.encoding != "name" or info.dtype.number not in _DATA_TYPES:
                raise RequestError(f"{what} {quoted(key)} of {where} is {_described(info)}, which Triton doesn't know")


def _described(info: TensorInfo) -> str:
    return str(info) if info.encoding == "name" else f"encoded as {info.encoding}"


def _has_batch(signature: Signature) -> bool:
    """Whether every input and output has a first dimension that isn't fixed.

    The backend compares shapes exactly and takes no unknown rank for one with a batch.
    """
    return all(
        info.shape.dims and (info.shape.dims[0] is None or info.shape.dims[0] < 0)
        for info in (*signature.inputs.values(), *signature.outputs.values())
    )


def _batch_lines(signature: Signature, max_batch_size: int) -> list[str]:
    if max_batch_size:
        note = (
            "# Every input and output has a first dimension of any size, which is taken for the batch: Triton adds it\n"
            "# to the dims below and puts several requests into one call. Where it means something else, the size is 0."
        )
    elif _has_batch(signature):
        note = "# 0: Triton sends every request as it comes; the first of the dims below is the batch."
    else:
        note = (
            "# 0: not every input and output has a batch of any size as its first dimension, so dims are whole shapes."
        )
    return [note, f"max_batch_size: {max_batch_size}"]


def _tensor_lines(kind: str, key: str, info: TensorInfo, batches: bool) -> list[str]:
    lines = [f"{kind} {{", f"  name: {text_proto_literal(key)}", f"  data_type: {_DATA_TYPES[info.dtype.number]}"]
    if info.shape.dims is None:
        lines.append("  # The model declares no rank: write the number of dimensions here that you send.")
        dims: list[int] = [-1]
    else:
        sizes = info.shape.dims[1:] if batches else info.shape.dims
        dims = [-1 if size is None or size < 0 else size for size in sizes]
    if dims:
        lines.append(f"  dims: {dims}")
    else:
        # Triton knows no tensor without dimensions: clients send one element, which is reshaped for the model.
        lines += ["  dims: [1]", "  reshape { shape: [] }"]
    return [*lines, "}"]


def _parameter(key: str, value: str) -> list[str]:
    text = text_proto_literal(value)
    return ["parameters {", f"  key: {text_proto_literal(key)}", f"  value {{ string_value: {text} }}", "}"]
