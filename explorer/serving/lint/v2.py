"""Bodies of the Open Inference Protocol (KServe V2), which TensorFlow Serving doesn't speak.

See https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md.
"""

from __future__ import annotations

import math

from explorer.serving.lint.draft import Draft
from explorer.serving.lint.tree import Node, new_array, new_object


def convert_v2(draft: Draft) -> None:
    """Turns a V2 body into columns."""
    root = draft.root
    inputs = root.get("inputs") if root.kind == "object" else None
    if draft.verb != "predict" or inputs is None or inputs.kind != "array" or not inputs.items:
        return
    columns: list[tuple[str, Node]] = []
    for tensor in inputs.items:
        name, data, shape = tensor.get("name"), tensor.get("data"), tensor.get("shape")
        if name is None or data is None or name.kind != "string" or tensor.get("datatype") is None:
            return
        columns.append((name.text, _shaped(data, shape)))
    draft.find(
        "error",
        "v2_body",
        inputs,
        "this is a body of the Open Inference Protocol (KServe V2: name, shape, datatype, data), and TensorFlow "
        "Serving speaks V1 only; send one tensor an input under its key",
        change="the tensors became columns under 'inputs'",
    )
    kept = [(key, value) for key, value in root.members if key == "signature_name"]
    root.members = [*kept, ("inputs", new_object(columns, inputs))]


def _shaped(data: Node, shape: Node | None) -> Node:
    """Flat data in the shape that stands beside them."""
    if data.kind != "array" or shape is None or shape.kind != "array":
        return data
    if any(size.kind != "integer" or len(size.raw) > 9 for size in shape.items):
        return data
    sizes = [int(size.raw) for size in shape.items]
    nested = any(item.kind == "array" for item in data.items)
    if nested or not sizes or min(sizes) < 1 or math.prod(sizes) != len(data.items):
        return data
    level = data.items
    for size in reversed(sizes[1:]):
        level = [new_array(level[start : start + size], data) for start in range(0, len(level), size)]
    return new_array(level, data)
