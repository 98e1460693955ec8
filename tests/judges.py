"""Judges: what TensorFlow's own loaders make of a folder. TensorFlow is imported when the first of them is asked."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Answers = dict[str, np.ndarray]


def as_array(value: Any, dtype: Any) -> np.ndarray:
    """A value of ``expected.json`` as what TensorFlow is fed."""
    if dtype.name == "string":
        return np.array([item if isinstance(item, bytes) else str(item).encode() for item in value], dtype=object)
    return np.array(value, dtype=dtype.as_numpy_dtype)


def run_v1(folder: Path, tags: list[str], signature_key: str, inputs: Mapping[str, Any]) -> Answers:
    """Loads with ``tf.compat.v1.saved_model.load`` and runs a signature of ``signature_def``."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, tags, str(folder))
        signature = meta_graph.signature_def[signature_key]
        assert set(inputs) == set(signature.inputs), (set(inputs), set(signature.inputs))
        feed = {
            signature.inputs[key].name: as_array(value, tf.dtypes.as_dtype(signature.inputs[key].dtype))
            for key, value in inputs.items()
        }
        fetches = {key: info.name for key, info in signature.outputs.items()}
        return {key: np.asarray(value) for key, value in session.run(fetches, feed).items()}


def run_v2(folder: Path, tags: list[str], signature_key: str, inputs: Mapping[str, Any]) -> Answers:
    """Loads with ``tf.saved_model.load`` and calls ``signatures[…]`` by keyword, as users do."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder), tags=tags)
    function = loaded.signatures[signature_key]
    specs = function.structured_input_signature[1]
    answers = function(**{key: tf.constant(as_array(value, specs[key].dtype)) for key, value in inputs.items()})
    return {key: value.numpy() for key, value in answers.items()}


def v2_signatures(folder: Path, tags: list[str]) -> dict[str, tuple[set[str], set[str]]]:
    """Signature key → input keys and output keys, as ``tf.saved_model.load`` gives them."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder), tags=tags)
    return {
        key: (set(function.structured_input_signature[1]), set(function.structured_outputs))
        for key, function in loaded.signatures.items()
    }


def cpp_load(folder: Path, tags: list[str]) -> str:
    """Loads with the C++ loader, which TensorFlow Serving uses, through the C API in the wheel.

    Returns:
        An empty text, or the loader's own words.
    """
    import tensorflow as tf

    library = ctypes.CDLL(str(next(Path(tf.__file__).parent.glob("libtensorflow_cc.so.2"))))
    for name in ("TF_NewStatus", "TF_NewSessionOptions", "TF_NewGraph", "TF_LoadSessionFromSavedModel"):
        getattr(library, name).restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    status = ctypes.c_void_p(library.TF_NewStatus())
    options = ctypes.c_void_p(library.TF_NewSessionOptions())
    graph = ctypes.c_void_p(library.TF_NewGraph())
    names = (ctypes.c_char_p * len(tags))(*(tag.encode() for tag in tags))
    session = library.TF_LoadSessionFromSavedModel(
        options, None, str(folder).encode(), names, len(tags), graph, None, status
    )
    words = "" if library.TF_GetCode(status) == 0 else library.TF_Message(status).decode()
    if session:
        library.TF_CloseSession(ctypes.c_void_p(session), status)
        library.TF_DeleteSession(ctypes.c_void_p(session), status)
    library.TF_DeleteGraph(graph)
    library.TF_DeleteSessionOptions(options)
    library.TF_DeleteStatus(status)
    return words


def saved_model_cli(*arguments: str) -> str:
    """What the real ``saved_model_cli`` prints, as a process of its own."""
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder with a hash of its bytes, and every folder."""
    return {
        str(path.relative_to(folder)): "" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
    }
