"""Models of TensorFlow 2 that were altered after they had been saved: an unknown op, files beside the usual ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from recipes.answers import Answer, make_answer
from recipes.warmup import predict_record

STANDS_IN = "Softsign"
"""The op of the graph that becomes the custom one; it is used nowhere else."""

CUSTOM_OP = "ExampleCustomOp"


class Scale(tf.Module):
    """A weight, and two functions of it."""

    def __init__(self) -> None:
        super().__init__(name="scale")
        self.weight = tf.Variable(np.float32(0.5), name="weight")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def scale(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """``x`` times the weight."""
        return {"scaled": x * self.weight}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def squash(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """``x`` times the weight, through the op that is renamed afterwards."""
        scaled = self.scale(x)["scaled"]
        return {"scaled": scaled, "squashed": tf.nn.softsign(scaled, name="squashed")}


def custom_op(export_dir: Path) -> list[Answer]:
    """An op that no TensorFlow has registered, in a function. Nothing loads this, so there is no answer."""
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.saved_model import fingerprinting_utils

    model = Scale()
    tf.saved_model.save(model, str(export_dir), signatures={"serving_default": model.squash, "scale": model.scale})
    pb_file = export_dir / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(pb_file.read_bytes())
    for meta_graph in message.meta_graphs:
        for node in _nodes(meta_graph.graph_def):
            if node.op == STANDS_IN:
                node.op = CUSTOM_OP
        for op_def in meta_graph.meta_info_def.stripped_op_list.op:
            if op_def.name == STANDS_IN:
                op_def.name = CUSTOM_OP
        meta_graph.meta_info_def.stripped_op_list.op.sort(key=lambda op_def: op_def.name)
    pb_file.write_bytes(message.SerializeToString(deterministic=True))
    fingerprinting_utils.write_fingerprint(str(export_dir))
    return []


def _nodes(graph_def: Any) -> Iterator[Any]:
    """Every node of a GraphDef, those of its functions included."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def debug_and_unknown(export_dir: Path) -> list[Answer]:
    """Debug information, warm-up requests, a file and a folder that TensorFlow does not know."""
    model = Scale()
    tf.saved_model.save(model, str(export_dir), signatures={"serving_default": model.scale, "scale": model.scale})
    requests = predict_record("debug_and_unknown", "scale", "x", [1.0, 2.0])
    requests += predict_record("debug_and_unknown", "", "x", [4.0])  # no name: serving_default
    for path, data in {
        "debug/saved_model_debug_info.pb": _debug_info(),
        "assets.extra/tf_serving_warmup_requests": requests,
        "notes.json": b'{"owner": "a team", "approved": true}\n',
        "reports/2021/evaluation.csv": b"slice,accuracy\nall,0.75\n",
    }.items():
        file = export_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    x = np.array([1, -3, 0.25], np.float32)
    return [make_answer({"x": x}, {"scaled": x / 2}), make_answer({"x": x}, {"scaled": x / 2}, "scale")]


def _debug_info() -> bytes:
    """A GraphDebugInfo of one node; TensorFlow's own would name the files of the machine that saved the model."""
    from tensorflow.core.framework import graph_debug_info_pb2

    info = graph_debug_info_pb2.GraphDebugInfo(files=["model.py"])
    line = info.traces["mul@__inference_scale"].file_line_cols.add()
    line.file_index, line.line, line.func, line.code = 0, 12, "scale", "return x * self.weight"
    return bytes(info.SerializeToString(deterministic=True))
