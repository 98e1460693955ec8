"""Graphs as people train them with TensorFlow 1: what they would ask for ranks first, and labels are no inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from explorer.converting.candidates import rank_candidates
from explorer.converting.meta_file import parts_of_checkpoint
from explorer.converting.parts import open_parts
from explorer.converting.source import find_source

v1 = tf.compat.v1


def dense(x: Any, units: int, name: str, activation: Any = None) -> Any:
    """A layer."""
    with v1.variable_scope(name):
        kernel, bias = v1.get_variable("kernel", [x.shape[-1], units]), v1.get_variable("bias", [units])
        y = tf.matmul(x, kernel) + bias
    return y if activation is None else activation(y)


def trained(loss: Any) -> None:
    """Gradients, an optimizer with slots, and a summary."""
    v1.summary.scalar("loss_value", loss)
    v1.train.AdamOptimizer().minimize(loss, global_step=v1.train.get_or_create_global_step())


def features() -> Any:
    """A placeholder."""
    return v1.placeholder(tf.float32, [None, 4], name="x")


def cross_entropy_by_hand() -> tuple[set[str], set[str]]:
    """The tutorial of MNIST: labels without a name, logarithm and sum written out."""
    x, y_ = v1.placeholder(tf.float32, [None, 8]), v1.placeholder(tf.float32, [None, 3])
    y = tf.nn.softmax(tf.matmul(x, v1.Variable(tf.zeros([8, 3]))) + v1.Variable(tf.zeros([3])))
    trained(-tf.reduce_sum(y_ * tf.math.log(y)))
    tf.reduce_mean(tf.cast(tf.equal(tf.argmax(y, 1), tf.argmax(y_, 1)), tf.float32))
    return {y.name}, {x.name}


def two_answers() -> tuple[set[str], set[str]]:
    """A loss of two parts, each with unnamed labels: the difference of two means is no comparison with labels."""
    x = features()
    hidden = dense(x, 8, "hidden", tf.nn.relu)
    kind, is_new = tf.nn.softmax(dense(hidden, 3, "a")), tf.nn.sigmoid(dense(hidden, 1, "b"))
    kinds, news = v1.placeholder(tf.float32, [None, 3]), v1.placeholder(tf.float32, [None, 1])
    trained(-tf.reduce_mean(kinds * tf.math.log(kind)) - tf.reduce_mean(news * tf.math.log(is_new)))
    return {kind.name, is_new.name}, {x.name}


def line() -> tuple[set[str], set[str]]:
    """Linear regression of scalars, without a matrix."""
    x, y = v1.placeholder(tf.float32), v1.placeholder(tf.float32)
    answer = tf.add(tf.multiply(x, v1.Variable(0.3)), v1.Variable(0.1))
    trained(tf.reduce_sum(tf.pow(answer - y, 2)) / 34)
    return {answer.name}, {x.name}


def autoencoder() -> tuple[set[str], set[str]]:
    """What goes in is what should come out: it is an input, though the loss takes it too."""
    x = features()
    answer = dense(dense(x, 2, "encoder", tf.nn.sigmoid), 4, "decoder", tf.nn.sigmoid)
    trained(tf.reduce_mean(tf.pow(x - answer, 2)))
    return {answer.name}, {x.name}


def total_loss() -> tuple[set[str], set[str]]:
    """``tf.losses``, a penalty on weights, and a metric with variables of its own."""
    x, target = features(), v1.placeholder(tf.float32, [None, 1], name="target")
    answer = dense(dense(x, 6, "hidden", tf.nn.relu), 1, "answer")
    v1.losses.mean_squared_error(target, answer)
    v1.add_to_collection(v1.GraphKeys.REGULARIZATION_LOSSES, 0.01 * tf.nn.l2_loss(v1.trainable_variables()[0]))
    trained(v1.losses.get_total_loss())
    v1.metrics.mean_absolute_error(target, answer)
    return {answer.name}, {x.name}


def weighted() -> tuple[set[str], set[str]]:
    """Labels, weights of the rows and the learning rate are fed, all without names."""
    x, y = features(), v1.placeholder(tf.int32, [None])
    weights, rate = v1.placeholder(tf.float32, [None]), v1.placeholder(tf.float32, [])
    answer = dense(x, 3, "answer")
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=answer) * weights)
    v1.train.AdamOptimizer(rate).minimize(loss)
    return {answer.name}, {x.name}


def two_inputs() -> tuple[set[str], set[str]]:
    """A product of two towers, as recommenders have it."""
    user, item = v1.placeholder(tf.float32, [None, 4], name="user"), v1.placeholder(tf.float32, [None, 3], name="item")
    rating = v1.placeholder(tf.float32, [None])
    answer = tf.reduce_sum(dense(user, 5, "u") * dense(item, 5, "i"), 1)
    trained(tf.reduce_mean(tf.square(answer - rating)))
    return {answer.name}, {user.name, item.name}


def clipped() -> tuple[set[str], set[str]]:
    """Probabilities and gradients are clipped."""
    x, y = features(), v1.placeholder(tf.float32, [None, 2])
    answer = tf.nn.softmax(dense(x, 2, "answer"))
    loss = tf.reduce_mean(-tf.reduce_sum(y * tf.math.log(tf.clip_by_value(answer, 1e-10, 1.0)), axis=[1]))
    optimizer = v1.train.AdamOptimizer()
    optimizer.apply_gradients([(tf.clip_by_norm(g, 1.0), v) for g, v in optimizer.compute_gradients(loss)])
    return {answer.name}, {x.name}


def recurrent() -> tuple[set[str], set[str]]:
    """A loop whose gradient makes it keep what it went through, in stacks or lists that the gradient's scope makes."""
    x = v1.placeholder(tf.float32, [None, 5, 4], name="x")
    kernel = v1.get_variable("kernel", [12, 8])

    def turn(step: Any, state: Any) -> Any:
        return step + 1, tf.tanh(tf.matmul(tf.concat([x[:, step], state], 1), kernel))

    start = (tf.constant(0), tf.zeros([tf.shape(x)[0], 8]))
    shapes = (tf.TensorShape([]), tf.TensorShape([None, 8]))
    _, state = v1.while_loop(lambda step, _: step < 5, turn, start, shape_invariants=shapes)
    keep = v1.placeholder_with_default(1.0, [], name="keep_prob")
    logits = dense(tf.nn.dropout(state, rate=1 - keep), 3, "answer")
    answer = tf.nn.softmax(logits, name="probabilities")
    y = v1.placeholder(tf.int64, [None])
    trained(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)))
    return {answer.name}, {x.name}


def branches() -> tuple[set[str], set[str]]:
    """Statistics of the batch while it is trained, kept ones otherwise."""
    x, is_training = features(), v1.placeholder(tf.bool, [], name="is_training")
    hidden = dense(x, 8, "hidden", tf.nn.relu)
    kept = v1.get_variable("kept", [8], trainable=False)
    batch, _ = tf.nn.moments(hidden, [0])
    v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, v1.assign(kept, kept * 0.9 + batch * 0.1))
    mean = v1.cond(is_training, lambda: tf.identity(batch), lambda: tf.identity(kept))
    answer = dense(hidden - mean, 3, "answer")
    y = v1.placeholder(tf.float32, [None, 3])
    trained(tf.reduce_mean(v1.squared_difference(y, answer)))
    return {answer.name}, {x.name}


GRAPHS: list[Callable[[], tuple[set[str], set[str]]]] = [
    cross_entropy_by_hand, two_answers, line, autoencoder, total_loss, weighted, two_inputs, clipped, recurrent,
    branches,
]  # fmt: skip


@pytest.mark.parametrize("control_flow", ["v1", "v2"])
@pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)
def test_what_one_wants_ranks_first(
    make: Callable[[], tuple[set[str], set[str]]], control_flow: str, tmp_path: Path
) -> None:
    """The answers come first among the outputs, what they need first among the inputs; labels are far behind."""
    (v1.enable_control_flow_v2 if control_flow == "v2" else v1.disable_control_flow_v2)()
    try:
        with tf.Graph().as_default(), v1.Session() as session:
            answers, inputs = make()
            session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
            v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    finally:
        v1.enable_control_flow_v2()
    model = open_parts(parts_of_checkpoint(find_source(tmp_path / "model.ckpt")))
    found = rank_candidates(model.meta_graph())
    assert {one.tensor_name for one in found.outputs[: len(answers)]} == answers, found.outputs
    assert {one.tensor_name for one in found.inputs[: len(inputs)]} == inputs, found.inputs
    assert all(one.score < found.inputs[0].score / 2 for one in found.inputs[len(inputs) :])
