"""Models of TensorFlow 1: a graph with its training ops, saved by SavedModelBuilder from a session."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import tensorflow as tf

from recipes.answers import Answer, make_answer

v1 = tf.compat.v1

TRUE_WEIGHTS = np.array([[0.5], [-1.5], [2.0]], np.float32)
TRUE_BIAS = np.float32(0.75)
STEPS = 8


def linear(export_dir: Path) -> list[Answer]:
    """``y = x·w + b``, trained by gradient descent and exported under the signature key ``prediction``."""
    _train_and_save(export_dir, output_name="add:0")
    x = np.array([[0, 0, 0], [1, 1, 1], [2, -4, 0.5]], np.float32)
    learnt = 1 - 0.5**STEPS
    y = learnt * (x @ TRUE_WEIGHTS + TRUE_BIAS)
    return [make_answer({"input": x}, {"output": y}, "prediction")]


def as_printed(export_dir: Path) -> list[Answer]:
    """The same with one letter too many: the label placeholder ``y_`` is exported in place of ``y``.

    No request can be answered, so there is no answer.
    """
    _train_and_save(export_dir, output_name="Placeholder_1:0")
    return []


def _train_and_save(export_dir: Path, output_name: str) -> None:
    # All eight corners of a cube are an orthogonal design: each step of size 1/4 halves the error of every weight,
    # and each number on the way is a dyadic fraction that float32 holds exactly.
    corners = np.array(list(itertools.product([-1, 1], repeat=3)), np.float32)
    labels = corners @ TRUE_WEIGHTS + TRUE_BIAS
    graph = tf.Graph()
    with graph.as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3])
        y_ = v1.placeholder(tf.float32, [None, 1])
        # Reference variables, as every model of that time has them.
        w = v1.Variable(tf.zeros([3, 1]), name="w", use_resource=False)
        b = v1.Variable(tf.zeros([1]), name="b", use_resource=False)
        y = tf.matmul(x, w) + b
        loss = tf.reduce_mean(tf.square(y - y_))
        train = v1.train.GradientDescentOptimizer(0.25).minimize(loss)
        session.run(v1.global_variables_initializer())
        for _ in range(STEPS):
            session.run(train, {x: corners, y_: labels})
        output = graph.get_tensor_by_name(output_name)
        signature = v1.saved_model.predict_signature_def({"input": x}, {"output": output})
        builder = v1.saved_model.Builder(str(export_dir))
        builder.add_meta_graph_and_variables(session, ["serve"], {"prediction": signature})
        builder.save()


def several_meta_graphs(export_dir: Path) -> list[Answer]:
    """Three graphs over one set of weights, chosen by their tags: train; serve; serve and gpu."""
    builder = v1.saved_model.Builder(str(export_dir))
    with tf.Graph().as_default(), v1.Session() as session:
        features, scores = _scores()
        labels = v1.placeholder(tf.float32, [None, 2], name="labels")
        loss = tf.reduce_mean(tf.square(scores - labels), name="loss")
        v1.train.GradientDescentOptimizer(0.25).minimize(loss, name="train")
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.signature_def_utils.build_signature_def(
            {"features": _info(features), "labels": _info(labels)},
            {"loss": _info(loss)},
            "tensorflow/supervised/training",
        )
        builder.add_meta_graph_and_variables(session, ["train"], {"train": signature})
    for tags in (["serve"], ["serve", "gpu"]):
        with tf.Graph().as_default():
            features, scores = _scores()
            outputs = {"scores": scores}
            if "gpu" in tags:
                outputs["best"] = tf.argmax(scores, axis=1, name="best")
            signature = v1.saved_model.predict_signature_def({"features": features}, outputs)
            builder.add_meta_graph(tags, {"serving_default": signature})
    builder.save()

    features_in = np.array([[1, 2], [-2, 4]], np.float32)
    scores_out = features_in @ SCORE_WEIGHTS
    loss_out = np.float32(np.mean(np.square(scores_out - 1)))
    return [
        make_answer({"features": features_in, "labels": np.ones((2, 2))}, {"loss": loss_out}, "train", ["train"]),
        make_answer({"features": features_in}, {"scores": scores_out}),
        make_answer(
            {"features": features_in},
            {"scores": scores_out, "best": np.argmax(scores_out, axis=1)},
            tags=["serve", "gpu"],
        ),
    ]


SCORE_WEIGHTS = np.array([[0.5, -1.0], [0.25, 1.0]], np.float32)


def _scores() -> tuple[tf.Tensor, tf.Tensor]:
    features = v1.placeholder(tf.float32, [None, 2], name="features")
    weights = v1.get_variable("weights", initializer=SCORE_WEIGHTS, use_resource=True)
    return features, tf.matmul(features, weights, name="scores")


def _info(tensor: tf.Tensor) -> object:
    return v1.saved_model.build_tensor_info(tensor)
