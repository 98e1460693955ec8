"""Requests of KServe's V2 protocol, the Open Inference Protocol, in JSON.

Its rules: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from explorer.errors import quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, Signature
from explorer.savedmodel.tensors import Tensor
from explorer.serving.arrays import BFLOAT16, FLOAT16, FLOATS, array_text, nested_of
from explorer.serving.values import MOST_BODY_BYTES

DATATYPES = {
    10: "BOOL", 4: "UINT8", 17: "UINT16", 22: "UINT32", 23: "UINT64", 6: "INT8", 5: "INT16", 3: "INT32", 9: "INT64",
    FLOAT16: "FP16", 1: "FP32", 2: "FP64", constants.DT_STRING: "BYTES",
}  # fmt: skip
"""Number of a dtype in ``types.proto`` → the datatype of the protocol."""


def infer_path(model_name: str, version: int | None = None) -> str:
    """The path of an inference request's URL."""
    place = "" if version is None else f"/versions/{version}"
    return f"/v2/models/{quote(model_name, safe='')}{place}/infer"


def obstacle(signature: Signature, inputs: Mapping[str, Tensor]) -> str:
    """Why the protocol's JSON can't carry some values, in a sentence; may be empty."""
    if not inputs:
        return f"signature {quoted(signature.key)} has no inputs, and an Open Inference request needs one"
    size_bytes = 0
    for key, tensor in inputs.items():
        if tensor.dtype == BFLOAT16:
            return f"input {quoted(key)} is bfloat16, and Open Inference has no JSON for it; send it by gRPC"
        if tensor.dtype not in DATATYPES:
            return f"input {quoted(key)} is {DType(tensor.dtype)}, a dtype that Open Inference doesn't have"
        if any(not _is_utf8(text) for text in tensor.texts):
            return (
                f"input {quoted(key)} has bytes that aren't UTF-8 text, which the JSON of Open Inference can't hold; "
                "send them in its binary form, or by gRPC"
            )
        if tensor.dtype in FLOATS and not _is_finite(tensor):
            return f"input {quoted(key)} has NaN or an infinity, for which JSON has no numbers; send it by gRPC"
        size_bytes += len(tensor.data) * 3
    if size_bytes > MOST_BODY_BYTES:
        return f"the request would have some {size_bytes >> 20} MiB; send it by gRPC"
    return ""


def note(signature: Signature, inputs: Mapping[str, Tensor]) -> str:
    """What to know before sending one, in a sentence or two."""
    notes = ["TensorFlow Serving itself doesn't speak Open Inference; Triton and others that load a SavedModel do."]
    if signature.key != constants.DEFAULT_SIGNATURE_KEY:
        notes.append(
            f"A request can't name a signature: the server must be set up for {quoted(signature.key)} "
            "(Triton: parameter TF_SIGNATURE_DEF in config.pbtxt)."
        )
    if any(tensor.dtype == FLOAT16 for tensor in inputs.values()):
        notes.append("Triton takes FP16 in binary form only.")
    return " ".join(notes)


def infer_text(inputs: Mapping[str, Tensor]) -> str:
    """An inference request as JSON in ASCII, values flat in row-major order."""
    tensors = []
    for start, values in _parts(inputs):
        data = array_text(values) if hasattr(values, "dtype") else json.dumps(values)
        tensors.append(f'{json.dumps(start)[:-1]}, "data": {data}}}')
    return f'{{"inputs": [{", ".join(tensors)}]}}'.replace("\x7f", "\\u007f")


def infer_outline(inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """The same as dicts and lists, with arrays as they are."""
    return {"inputs": [{**start, "data": values} for start, values in _parts(inputs)]}


def _parts(inputs: Mapping[str, Tensor]) -> Iterator[tuple[dict[str, Any], Any]]:
    for key, tensor in inputs.items():
        flat = Tensor(tensor.dtype, (math.prod(tensor.shape),), tensor.data, tensor.texts)
        yield {"name": key, "shape": list(tensor.shape), "datatype": DATATYPES[tensor.dtype]}, nested_of(flat)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_finite(tensor: Tensor) -> bool:
    import numpy as np

    return bool(np.isfinite(Tensor(tensor.dtype, (math.prod(tensor.shape),), tensor.data).to_array()).all())
