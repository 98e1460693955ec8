"""Builds the sample checkpoints: what training programs leave behind, of each kind one, all of the same small model.

    python sample_models/build_checkpoints.py    builds all into sample_models/checkpoints/

The model tells three species of iris by four measurements. In the files of TensorFlow 1 it is a training program, with
labels, a loss, an optimizer and dropout; in those of Keras a model of two layers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1", TF_ENABLE_ONEDNN_OPTS="0")

import keras
import numpy as np
import tensorflow as tf

HERE = Path(__file__).resolve().parent / "checkpoints"
STEP = 100
HIDDEN = 8


def main() -> None:
    """Builds them in a temporary folder and puts them in their place."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        build_tf1(made)
        build_keras(made)
        for path in made.iterdir():
            shutil.move(path, HERE / path.name)


def build_tf1(folder: Path) -> None:
    """A training program of TensorFlow 1: its checkpoint, its graph as text, and the graph frozen."""
    v1 = tf.compat.v1
    rng = np.random.default_rng(1)
    with tf.Graph().as_default(), v1.Session() as session:
        measurements = v1.placeholder(tf.float32, [None, 4], name="measurements")
        label = v1.placeholder(tf.int64, [None], name="label")
        keep_prob = v1.placeholder(tf.float32, [], name="keep_prob")
        hidden = _dense(rng, "hidden", measurements, 4, HIDDEN)
        dropped = tf.nn.dropout(tf.nn.relu(hidden), rate=1 - keep_prob)
        logits = _dense(rng, "logits", dropped, HIDDEN, 3)
        tf.nn.softmax(logits, name="probabilities")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=logits)
        step = v1.train.get_or_create_global_step()
        v1.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(losses, name="loss"), step, name="train")
        session.run(v1.global_variables_initializer())
        session.run(step.assign(STEP))
        v1.train.Saver().save(session, str(folder / "iris.ckpt"), global_step=STEP)
        v1.train.write_graph(session.graph_def, str(folder), "iris_graph.pbtxt")
        frozen = v1.graph_util.convert_variables_to_constants(session, session.graph_def, ["probabilities"])
        frozen = v1.graph_util.remove_training_nodes(frozen, protected_nodes=["probabilities"])
        (folder / "iris_frozen.pb").write_bytes(frozen.SerializeToString(deterministic=True))
    (folder / "checkpoint").unlink()


def build_keras(folder: Path) -> None:
    """A model of Keras 3: whole in both formats, its weights alone, and as a checkpoint of TensorFlow 2."""
    keras.utils.set_random_seed(1)
    measurements = keras.Input((4,), name="measurements")
    hidden = keras.layers.Dense(HIDDEN, activation="relu", name="hidden")(measurements)
    species = keras.layers.Dense(3, activation="softmax", name="species")(hidden)
    model = keras.Model(measurements, species, name="iris")
    model.save(folder / "iris.keras")
    model.save(folder / "iris.h5")
    model.save_weights(folder / "iris.weights.h5")
    tf.train.Checkpoint(model=model).write(str(folder / "iris_tf2"))


def _dense(rng: np.random.Generator, name: str, value: tf.Tensor, before: int, after: int) -> tf.Tensor:
    with tf.compat.v1.variable_scope(name):
        weights = rng.normal(0, 0.5, (before, after)).astype(np.float32)
        kernel = tf.compat.v1.get_variable("kernel", initializer=weights, use_resource=True)
        bias = tf.compat.v1.get_variable("bias", initializer=np.zeros(after, np.float32), use_resource=True)
    return tf.nn.bias_add(tf.matmul(value, kernel), bias, name=f"{name}_out")


if __name__ == "__main__":
    main()
