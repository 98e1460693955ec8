"""What the outputs of a signature make impossible, whatever the body says."""

from __future__ import annotations

from typing import Final

from explorer.errors import quoted
from explorer.savedmodel.model import Signature, TensorInfo
from explorer.serving.lint.draft import Draft
from explorer.serving.lint.leaves import in_rest
from explorer.serving.lint.readers import false_tensors
from explorer.serving.lint.tree import is_row_object, new_array, new_object

_FLOAT: Final = "DT_FLOAT"


def check_outputs(draft: Draft) -> None:
    """Tells what of the outputs no request can get over, and gets over what columns allow."""
    signature = draft.signature
    assert signature is not None
    place = draft.root.get("signature_name") or draft.root
    for sentence in false_tensors(draft.meta_graph, signature):
        draft.find(
            "error",
            "false_signature",
            place,
            f"{sentence}; no request to the signature {quoted(signature.key)} can work, so repair the signature",
            stop=f"the signature {quoted(signature.key)} contradicts the graph",
        )
    if draft.verb != "predict":
        fault = _records_fault(signature, draft.verb)
        if fault:
            draft.find(
                "error",
                "wrong_outputs",
                place,
                f"{fault}, so that no body makes {quoted(signature.key)} answer :{draft.verb}; call :predict",
                stop=f"no body makes {quoted(signature.key)} answer :{draft.verb}",
            )
        return
    if not signature.outputs:
        said = f"the signature {quoted(signature.key)} has no outputs"
        draft.find("error", "no_outputs", place, f"{said}, and the server can fetch nothing", stop=said)
    for key, info in signature.outputs.items():
        if not in_rest(info.dtype):
            draft.find(
                "warning",
                "output_not_in_rest",
                place,
                f"the output {quoted(key)} of the signature {quoted(signature.key)} has the dtype {info.dtype}, which "
                "the server's REST API can't write: the model runs, and then the answer is an error; call it by gRPC",
                stop=f"no REST answer can hold {quoted(key)}; call it by gRPC",
            )
    _check_rows(draft, signature)


def _check_rows(draft: Draft, signature: Signature) -> None:
    """Rows are answered with rows, which a scalar output doesn't have."""
    rows = draft.root.get("instances")
    if rows is None or rows.kind != "array" or not rows.items:
        return
    reason = ""
    for key, info in signature.outputs.items():
        size = _first_size(info)
        if info.shape.rank == 0:
            reason = f"the output {quoted(key)} is a scalar, which has no rows"
        elif size is not None and size != len(rows.items) and len(signature.outputs) > 1:
            reason = f"the output {quoted(key)} always has {size} row{'s' if size != 1 else ''}"
    columns = {
        key: [value for row in rows.items if (value := row.get(key) if is_row_object(row) else row) is not None]
        for key in signature.inputs
    }
    if not reason or any(len(values) != len(rows.items) for values in columns.values()):
        return
    draft.find(
        "warning",
        "rows_in_answer",
        rows,
        f"{reason}, and the answer to 'instances' has a row of every output for each row; ask with 'inputs' (columns)",
        change="'instances' became 'inputs'",
    )
    every = {key: new_array(values, rows) for key, values in columns.items()}
    value = next(iter(every.values())) if len(every) == 1 else new_object(every.items(), rows)
    draft.root.members = [
        ("inputs", value) if name == "instances" else (name, other) for name, other in draft.root.members
    ]


def _first_size(info: TensorInfo) -> int | None:
    return info.shape.dims[0] if info.shape.dims else None


def _records_fault(signature: Signature, verb: str) -> str:
    """What ``classifier.cc`` and ``regressor.cc`` refuse of a signature's outputs once they are computed."""
    if verb == "regress":
        outputs = signature.outputs["outputs"]
        dims = outputs.shape.dims
        if outputs.dtype.name != _FLOAT:
            return f"the output 'outputs' is {outputs.dtype}, and :regress answers float32"
        if dims is not None and not (len(dims) == 1 or (len(dims) == 2 and dims[1] in (None, 1))):
            return f"the output 'outputs' has the shape {outputs.shape}, and :regress wants [?] or [?, 1]"
        return ""
    sizes = []
    for key, dtype in (("classes", "DT_STRING"), ("scores", _FLOAT)):
        info = signature.outputs.get(key)
        if info is None:
            continue
        if info.dtype.name != dtype:
            wanted = "strings" if key == "classes" else "float32"
            return f"the output {quoted(key)} is {info.dtype}, and :classify wants {wanted}"
        if info.shape.dims is not None and len(info.shape.dims) != 2:
            return f"the output {quoted(key)} has the shape {info.shape}, and :classify wants [examples, labels]"
        if info.shape.dims is not None and info.shape.dims[1] is not None:
            sizes.append(info.shape.dims[1])
    if len(set(sizes)) > 1:
        return f"the outputs 'classes' and 'scores' differ in size ({sizes[0]} and {sizes[1]})"
    return ""
