"""Writes the graphs and checkpoints in this folder, as programs of TensorFlow 1 wrote them. Run it with TensorFlow 2.

Each graph is a ``.meta`` (MetaGraphDef) or a frozen GraphDef, compressed because op definitions repeat;
``expected.json`` says for each what somebody who knows the program would choose.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

v1 = tf.compat.v1
HERE = Path(__file__).parent


def variable(name: str, shape: list[int]) -> Any:
    """A variable of TensorFlow 1."""
    return v1.get_variable(name, shape, tf.float32, initializer=v1.truncated_normal_initializer(seed=1))


def dense(x: Any, units: int, name: str) -> Any:
    """A layer without an activation."""
    with v1.variable_scope(name):
        return v1.nn.bias_add(v1.matmul(x, variable("kernel", [int(x.shape[-1]), units])), variable("bias", [units]))


def saver_and_summaries() -> None:
    """What the end of a training program makes."""
    v1.summary.merge_all()
    v1.global_variables_initializer()
    v1.train.Saver()


def lenet() -> dict[str, Any]:
    """Digits: dropout by keep_prob, softmax, loss from logits, accuracy, Adam with a fed learning rate."""
    x = v1.placeholder(tf.float32, [None, 784], "x")
    labels = v1.placeholder(tf.float32, [None, 10], "y_")
    keep_prob = v1.placeholder(tf.float32, [], "keep_prob")
    rate = v1.placeholder(tf.float32, [], "learning_rate")
    image = v1.reshape(x, [-1, 28, 28, 1])
    net = v1.nn.relu(v1.nn.conv2d(image, variable("conv1/w", [5, 5, 1, 4]), [1, 2, 2, 1], "SAME"))
    net = v1.nn.max_pool(net, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
    net = v1.reshape(net, [-1, 7 * 7 * 4])
    net = v1.nn.dropout(v1.nn.relu(dense(net, 16, "fc1")), keep_prob)
    logits = dense(net, 10, "fc2")
    probabilities = v1.nn.softmax(logits, name="probabilities")
    prediction = v1.argmax(probabilities, 1, name="prediction")
    loss = v1.reduce_mean(v1.nn.softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits), name="loss")
    correct = v1.equal(prediction, v1.argmax(labels, 1))
    accuracy = v1.reduce_mean(v1.cast(correct, tf.float32), name="accuracy")
    v1.summary.scalar("loss", loss)
    v1.summary.scalar("accuracy", accuracy)
    step = v1.train.get_or_create_global_step()
    v1.train.AdamOptimizer(rate).minimize(loss, step)
    saver_and_summaries()
    return {
        "inputs": ["x:0"], "outputs": ["probabilities:0", "prediction:0"],
        "constants": {"keep_prob:0": 1.0, "learning_rate:0": 0.0},
    }  # fmt: skip


def logits_only() -> dict[str, Any]:
    """Nothing follows the logits but the loss; batch norm by is_training; a fed dropout rate under an odd name."""
    image = v1.placeholder(tf.float32, [None, 8, 8, 3], "images")
    labels = v1.placeholder(tf.int64, [None], "labels")
    is_training = v1.placeholder(tf.bool, [], "is_training")
    p = v1.placeholder(tf.float32, [], "p")
    net = v1.nn.conv2d(image, variable("w", [3, 3, 3, 4]), [1, 1, 1, 1], "SAME")
    mean, spread = v1.nn.moments(net, [0, 1, 2])
    with v1.variable_scope("bn"):
        moving = [v1.get_variable(name, [4], trainable=False) for name in ("mean", "variance")]
    mean, spread = v1.cond(is_training, lambda: (mean, spread), lambda: tuple(v1.identity(one) for one in moving))
    net = v1.nn.relu(v1.nn.batch_normalization(net, mean, spread, None, None, 1e-3))
    net = v1.nn.dropout(v1.reshape(net, [-1, 8 * 8 * 4]), rate=p)
    logits = dense(net, 5, "logits")
    loss = v1.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    total = v1.add(v1.reduce_mean(loss), 1e-4 * v1.nn.l2_loss(v1.trainable_variables()[0]), name="total_loss")
    v1.train.MomentumOptimizer(0.1, 0.9).minimize(total)
    saver_and_summaries()
    return {
        "inputs": ["images:0"], "outputs": ["logits/BiasAdd:0"],
        "constants": {"is_training:0": False, "p:0": 0.0},
    }  # fmt: skip


def lstm() -> dict[str, Any]:
    """A sequence through an LSTM in a while loop of nodes; a handwritten cross-entropy."""
    x = v1.placeholder(tf.float32, [None, 6, 3], "sequence")
    y = v1.placeholder(tf.float32, [None, 4], "target")
    keep = v1.placeholder_with_default(tf.constant(1.0), [], "dropout_keep_prob")
    kernel, bias = variable("lstm/kernel", [3 + 5, 20]), variable("lstm/bias", [20])
    steps = v1.TensorArray(tf.float32, 6, name="steps").unstack(v1.transpose(x, [1, 0, 2]))
    zeros = v1.zeros([v1.shape(x)[0], 5])

    def body(time: Any, c: Any, h: Any) -> tuple[Any, Any, Any]:
        gates = v1.nn.bias_add(v1.matmul(v1.concat([steps.read(time), h], 1), kernel), bias)
        i, j, f, o = v1.split(gates, 4, 1)
        c = c * v1.sigmoid(f + 1.0) + v1.sigmoid(i) * v1.tanh(j)
        return time + 1, c, v1.tanh(c) * v1.sigmoid(o)

    _, _, h = v1.while_loop(lambda time, *_: time < 6, body, (v1.constant(0), zeros, zeros), name="rnn")
    output = v1.nn.softmax(dense(v1.nn.dropout(h, keep_prob=keep), 4, "dense"))
    loss = v1.reduce_mean(-v1.reduce_sum(y * v1.log(v1.clip_by_value(output, 1e-10, 1.0)), 1))
    v1.train.GradientDescentOptimizer(0.5).minimize(loss)
    saver_and_summaries()
    return {"inputs": ["sequence:0"], "outputs": ["Softmax:0"], "constants": {"dropout_keep_prob:0": 1.0}}


def regression() -> dict[str, Any]:
    """Prices: a squared error, no activation at the end, names that say nothing."""
    x = v1.placeholder(tf.float32, [None, 13])
    y = v1.placeholder(tf.float32, [None, 1])
    hidden = v1.nn.relu(v1.add(v1.matmul(x, variable("w1", [13, 8])), variable("b1", [8])))
    prediction = v1.add(v1.matmul(hidden, variable("w2", [8, 1])), variable("b2", [1]))
    cost = v1.reduce_mean(v1.square(prediction - y))
    v1.train.AdamOptimizer(0.01).minimize(cost)
    saver_and_summaries()
    return {"inputs": ["Placeholder:0"], "outputs": [prediction.name], "constants": {}}


def autoencoder() -> dict[str, Any]:
    """No labels: what goes in is compared with what comes out."""
    x = v1.placeholder(tf.float32, [None, 20], "x")
    code = v1.nn.relu(dense(x, 4, "encoder"))
    decoded = v1.nn.sigmoid(dense(code, 20, "decoder"), name="decoded")
    loss = v1.reduce_mean(v1.pow(x - decoded, 2))
    v1.train.RMSPropOptimizer(0.01).minimize(loss)
    saver_and_summaries()
    return {"inputs": ["x:0"], "outputs": ["decoded:0"], "constants": {}}


def text_pair() -> dict[str, Any]:
    """As BERT's classifier: integer inputs, and the answer stands in a scope called loss."""
    ids = v1.placeholder(tf.int32, [None, 16], "input_ids")
    mask = v1.placeholder(tf.int32, [None, 16], "input_mask")
    labels = v1.placeholder(tf.int32, [None], "label_ids")
    is_training = v1.placeholder_with_default(False, [], "is_training")
    embedded = v1.nn.embedding_lookup(variable("bert/embeddings", [50, 8]), ids)
    pooled = v1.reduce_mean(embedded * v1.expand_dims(v1.cast(mask, tf.float32), -1), 1)
    pooled = v1.cond(is_training, lambda: v1.nn.dropout(pooled, rate=0.1), lambda: pooled)
    with v1.variable_scope("loss"):
        logits = v1.nn.bias_add(v1.matmul(pooled, variable("output_weights", [8, 2])), variable("output_bias", [2]))
        v1.nn.softmax(logits, axis=-1)
        log_probs = v1.nn.log_softmax(logits, axis=-1)
        one_hot = v1.one_hot(labels, 2)
        loss = v1.reduce_mean(-v1.reduce_sum(one_hot * log_probs, axis=-1))
    v1.train.AdamOptimizer(2e-5).minimize(loss)
    saver_and_summaries()
    return {
        "inputs": ["input_ids:0", "input_mask:0"], "outputs": ["loss/Softmax:0"],
        "constants": {"is_training:0": False},
    }  # fmt: skip


def queue() -> dict[str, Any]:
    """Everything comes from an iterator over files; there is no placeholder at all."""
    data = v1.data.Dataset.from_tensor_slices((v1.zeros([8, 12]), v1.zeros([8], tf.int64))).batch(4)
    features, labels = v1.data.make_one_shot_iterator(data).get_next()
    logits = dense(v1.nn.relu(dense(features, 6, "hidden")), 3, "logits")
    v1.nn.softmax(logits, name="softmax")
    loss = v1.losses.sparse_softmax_cross_entropy(labels, logits)
    v1.train.AdagradOptimizer(0.1).minimize(loss)
    saver_and_summaries()
    return {"inputs": ["IteratorGetNext:0"], "outputs": ["softmax:0"], "constants": {}}


def examples() -> dict[str, Any]:
    """An Estimator's graph for serving: serialized examples in, probabilities and classes out."""
    serialized = v1.placeholder(tf.string, [None], "input_example_tensor")
    features = v1.parse_example(serialized, {"age": tf.io.FixedLenFeature([1], tf.float32)})
    logits = dense(features["age"], 3, "head/logits")
    v1.nn.softmax(logits, name="head/predictions/probabilities")
    v1.train.Saver()
    return {"inputs": ["input_example_tensor:0"], "outputs": ["head/predictions/probabilities:0"], "constants": {}}


def detection() -> dict[str, Any]:
    """Frozen, with the names of the Object Detection API, a loop over the images, and no shapes."""
    image = v1.placeholder(tf.uint8, [None, None, None, 3], "image_tensor")
    pixels = v1.cast(image, tf.float32, name="Preprocessor/Cast")
    scaled = v1.map_fn(lambda one: v1.image.resize_images(one, [16, 16]), pixels, name="Preprocessor/map")
    net = v1.nn.conv2d(scaled, tf.ones([3, 3, 3, 4]), [1, 4, 4, 1], "SAME", name="FeatureExtractor/Conv2D")
    flat = v1.reshape(net, [-1, 16, 4])
    scores = v1.reduce_max(v1.sigmoid(flat), 2, name="Postprocessor/scores")
    v1.identity(flat, name="detection_boxes")
    v1.identity(scores, name="detection_scores")
    v1.identity(v1.cast(v1.argmax(flat, 2) + 1, tf.float32), name="detection_classes")
    v1.identity(v1.reduce_sum(v1.cast(scores > 0.5, tf.float32), 1), name="num_detections")
    names = ["detection_boxes:0", "detection_scores:0", "detection_classes:0", "num_detections:0"]
    return {"inputs": ["image_tensor:0"], "outputs": names, "constants": {}}


def inception() -> dict[str, Any]:
    """Frozen, as the first Inception that was published: encoded bytes are fed to a constant, and to nothing else."""
    contents = v1.constant(b"", name="DecodeJpeg/contents")
    image = v1.image.decode_jpeg(contents, channels=3, name="DecodeJpeg")
    net = v1.image.resize_bilinear(v1.expand_dims(v1.cast(image, tf.float32), 0), [8, 8])
    pooled = v1.reduce_mean(v1.nn.conv2d(net, tf.ones([3, 3, 3, 40]), [1, 1, 1, 1], "SAME"), [1, 2], name="pool_3")
    v1.nn.softmax(v1.matmul(pooled, tf.ones([40, 10]), name="softmax/logits"), name="softmax")
    return {"inputs": ["DecodeJpeg/contents:0"], "outputs": ["softmax:0"], "constants": {}}


def slim() -> dict[str, Any]:
    """Frozen, as TF-Slim's models: input, and Predictions/Reshape_1 behind the softmax."""
    image = v1.placeholder(tf.float32, [None, 8, 8, 3], "input")
    net = v1.nn.relu(v1.nn.conv2d(image, tf.ones([3, 3, 3, 4]), [1, 2, 2, 1], "SAME", name="MobilenetV1/Conv2d_0"))
    logits = v1.nn.conv2d(v1.nn.avg_pool(net, 4, 1, "VALID"), tf.ones([1, 1, 4, 7]), 1, "SAME")
    logits = v1.squeeze(logits, [1, 2], name="MobilenetV1/Logits/SpatialSqueeze")
    flat = v1.reshape(logits, [-1, 7], name="MobilenetV1/Predictions/Reshape")
    probabilities = v1.nn.softmax(flat, name="MobilenetV1/Predictions/Softmax")
    v1.reshape(probabilities, v1.shape(logits), name="MobilenetV1/Predictions/Reshape_1")
    output = "MobilenetV1/Predictions/Reshape_1:0"
    return {"inputs": ["input:0"], "outputs": [output], "constants": {}}


META: tuple[Callable[[], dict[str, Any]], ...] = (
    lenet, logits_only, lstm, regression, autoencoder, text_pair, queue, examples,
)  # fmt: skip
FROZEN: tuple[Callable[[], dict[str, Any]], ...] = (detection, inception, slim)


def checkpoints() -> None:
    """Checkpoints of every format, as small as they can be."""
    config = v1.ConfigProto(device_count={"CPU": 2})
    with v1.Graph().as_default(), v1.Session(config=config) as session:
        with v1.device("/cpu:0"):
            v1.get_variable("weights", initializer=tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        with v1.device("/cpu:1"):
            v1.get_variable("steps", initializer=tf.constant(7, tf.int64))
            v1.get_variable("halves", initializer=tf.range(5.0), partitioner=v1.fixed_size_partitioner(2))
        session.run(v1.global_variables_initializer())
        kinds = (("old", 1, False), ("old_sharded", 1, True), ("new", 2, False), ("new_sharded", 2, True))
        for name, version, sharded in kinds:
            folder = HERE / name
            folder.mkdir(exist_ok=True)
            saver = v1.train.Saver(write_version=version, sharded=sharded)
            for step in (9, 10) if name == "new" else (None,):
                saver.save(session, str(folder / "model.ckpt"), step, write_meta_graph=name == "new" and step == 10)
            state = folder / "checkpoint"
            state.write_text(state.read_text().replace(str(folder), "/home/trainer/run"))


def object_checkpoint() -> None:
    """A checkpoint of TensorFlow 2."""
    model = tf.Module()
    model.kernel = tf.Variable([1.0, 2.0])
    model.part = tf.Module()
    model.part.bias = tf.Variable(3)
    (HERE / "objects").mkdir(exist_ok=True)
    tf.train.Checkpoint(model=model, step=tf.Variable(5)).save(str(HERE / "objects" / "ckpt"))


def write(name: str, data: bytes) -> None:
    """Writes a compressed file, the same bytes for the same content."""
    (HERE / name).write_bytes(gzip.compress(data, 9, mtime=0))


def main() -> None:
    """Writes everything."""
    object_checkpoint()
    v1.disable_v2_behavior()
    v1.disable_control_flow_v2()
    v1.disable_resource_variables()
    expected = {}
    for build in (*META, *FROZEN):
        with v1.Graph().as_default() as graph:
            v1.set_random_seed(1)
            expected[build.__name__] = build()
            if build in META:
                meta = v1.train.export_meta_graph(graph=graph, clear_devices=True)
                write(f"{build.__name__}.meta.gz", meta.SerializeToString(deterministic=True))
            else:
                definition = graph.as_graph_def()
                for node in definition.node:
                    node.attr.pop("_output_shapes", None)
                write(f"{build.__name__}.pb.gz", definition.SerializeToString(deterministic=True))
    checkpoints()
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
