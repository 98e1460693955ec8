"""Requests and the answers expected to them, as expected.json holds them, and how a model is asked.

An answer is ``{"tags", "signature_key", "inputs", "outputs"}``. Values are nested lists by input or output key; bytes
are ``{"b64": "<base64>"}`` as in TensorFlow Serving's JSON, and a sparse tensor is
``{"indices", "values", "dense_shape"}``. A model whose graph alone cannot answer has ``"loaded": "by objects"`` in
its answers.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Answer = dict[str, Any]

BY_OBJECTS = "by objects"
"""The value of ``loaded`` for a model that only its objects bring back: ``tf.saved_model.load`` and nothing else."""

RELATIVE_TOLERANCE = 1e-5
"""Between TensorFlow versions and processors; where all is dyadic the answers are exact."""


def make_answer(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    signature_key: str = "serving_default",
    tags: Sequence[str] = ("serve",),
    *,
    loaded: str = "",
) -> Answer:
    """Builds one answer; numpy arrays and bytes are turned into what JSON can hold."""
    return {
        **({"loaded": loaded} if loaded else {}),
        "tags": list(tags),
        "signature_key": signature_key,
        "inputs": {key: _to_json(value) for key, value in inputs.items()},
        "outputs": {key: _to_json(value) for key, value in outputs.items()},
    }


def wrong_answers(export_dir: Path, answers: Iterable[Answer]) -> list[str]:
    """Asks a model everything and returns one sentence for each answer that is not the expected one.

    The model is loaded the way TensorFlow Serving loads it (graph, signatures, initialisers), not by its objects,
    unless the answer says otherwise.
    """
    import numpy as np
    import tensorflow as tf

    problems: list[str] = []
    for answer in answers:
        where = f"{answer['signature_key']} of {export_dir.parent.name}/{export_dir.name}"
        ask = _ask_objects if answer.get("loaded") == BY_OBJECTS else _ask_graph
        got = ask(export_dir, answer)
        if got is None:
            problems.append(f"{where}: there is no such signature")
        elif set(got) != set(answer["outputs"]):
            problems.append(f"{where}: outputs {sorted(got)}, not {sorted(answer['outputs'])}")
        else:
            for key, expected in answer["outputs"].items():
                value, dtype = got[key]
                if not _same(value, expected, tf.as_dtype(dtype)):
                    problems.append(f"{where}: {key} is {np.asarray(value).tolist()}, not {expected}")
    return problems


def _ask_graph(export_dir: Path, answer: Answer) -> dict[str, tuple[Any, Any]] | None:
    """Value and dtype of every output, from a session over the graph; None where there is no such signature."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, answer["tags"], str(export_dir))
        if answer["signature_key"] not in meta_graph.signature_def:
            return None
        signature = meta_graph.signature_def[answer["signature_key"]]
        feeds: dict[str, Any] = {}
        for key, value in answer["inputs"].items():
            feeds.update(_feeds(signature.inputs[key], value))
        values = session.run({key: info.name for key, info in signature.outputs.items()}, feeds)
        return {key: (values[key], info.dtype) for key, info in signature.outputs.items()}


def _ask_objects(export_dir: Path, answer: Answer) -> dict[str, tuple[Any, Any]] | None:
    """Value and dtype of every output, from the functions of the loaded objects; None without such a signature."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(export_dir), tags=answer["tags"])
    function = loaded.signatures.get(answer["signature_key"])
    if function is None:
        return None
    specs = function.structured_input_signature[1]
    inputs = {key: tf.constant(_array(value, specs[key].dtype)) for key, value in answer["inputs"].items()}
    return {key: (value.numpy(), value.dtype) for key, value in function(**inputs).items()}


def _feeds(tensor_info: Any, value: Any) -> dict[str, Any]:
    import tensorflow as tf

    if tensor_info.WhichOneof("encoding") == "coo_sparse":
        sparse = tensor_info.coo_sparse
        return {
            sparse.indices_tensor_name: value["indices"],
            sparse.values_tensor_name: _array(value["values"], tf.as_dtype(tensor_info.dtype)),
            sparse.dense_shape_tensor_name: value["dense_shape"],
        }
    return {tensor_info.name: _array(value, tf.as_dtype(tensor_info.dtype))}


def _array(value: Any, dtype: Any) -> Any:
    import numpy as np

    return np.array(_from_json(value), dtype=object if dtype.name == "string" else dtype.as_numpy_dtype)


def _same(got: Any, expected: Any, dtype: Any) -> bool:
    import numpy as np

    want = _array(expected, dtype)
    if np.shape(got) != want.shape:
        return False
    if dtype.is_floating:
        return bool(np.allclose(got, want, rtol=RELATIVE_TOLERANCE, atol=0.0))
    return bool(np.array_equal(np.asarray(got, want.dtype), want))


def _to_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _from_json(value: Any) -> Any:
    """Turns JSON values into what a session is fed with: text becomes UTF-8 bytes."""
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, Mapping):
        return base64.b64decode(value["b64"])
    return [_from_json(item) for item in value] if isinstance(value, list) else value
