"""A model as TensorFlow 1's Estimator exported it, without the Estimator, which TensorFlow no longer has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from recipes import warmup
from recipes.answers import Answer, make_answer

v1 = tf.compat.v1
save = tf.compat.v1.saved_model

CLASSES = ["setosa", "virginica"]
VOCABULARY = Path("original/classes.txt")
WEIGHTS = np.array([[1.0, -0.5], [0.5, 1.0]], np.float32)
BIAS = np.array([0.0, 0.25], np.float32)
FEATURES = ("length", "width")


def estimator_like(export_dir: Path) -> list[Answer]:
    """Classify, regress and predict over serialized tf.Example, collections, an asset and files in assets.extra/."""
    VOCABULARY.parent.mkdir()
    VOCABULARY.write_bytes("".join(f"{name}\n" for name in CLASSES).encode())
    with tf.Graph().as_default(), v1.Session() as session:
        signatures = _build_graph()
        session.run(v1.global_variables_initializer())
        builder = save.Builder(str(export_dir))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signatures,
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=tf.group(v1.tables_initializer(), name="init_tables"),
        )
        builder.save()

    values = np.array([[4, 0.5], [-1, 2], [0, 0]], np.float32)
    examples = [_example(row) for row in values]
    _write_extra_assets(export_dir / "assets.extra", examples[0])
    logits = values @ WEIGHTS + BIAS
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    best = np.argmax(logits, axis=1)
    classification = {"classes": [CLASSES] * len(values), "scores": scores}
    predictions = {
        "logits": logits,
        "probabilities": scores,
        "class_ids": best[:, None],
        "head/top class": [[CLASSES[i]] for i in best],
    }
    return [
        make_answer({"inputs": examples}, classification),
        make_answer({"inputs": examples}, classification, "classification"),
        make_answer({"inputs": examples}, {"outputs": logits[:, :1]}, "regression"),
        make_answer({"examples": examples}, predictions, "predict"),
    ]


def _build_graph() -> dict[str, Any]:
    """Builds the graph with its collections and returns its signatures."""
    v1.train.get_or_create_global_step()
    examples = v1.placeholder(tf.string, [None], name="input_example_tensor")
    parsed = v1.parse_example(
        examples, {name: v1.FixedLenFeature([], tf.float32) for name in FEATURES}, name="ParseExample"
    )
    with v1.variable_scope("linear/linear_model", use_resource=True):
        weights = v1.get_variable("weights", initializer=WEIGHTS)
        bias = v1.get_variable("bias_weights", initializer=BIAS)
    columns = tf.stack([parsed[name] for name in FEATURES], axis=1, name="linear/columns")
    logits = tf.nn.bias_add(tf.matmul(columns, weights), bias, name="linear/logits")
    probabilities = tf.nn.softmax(logits, name="head/probabilities")
    class_ids = tf.expand_dims(tf.argmax(logits, axis=1), 1, name="head/class_ids")
    names = tf.lookup.StaticHashTable(
        tf.lookup.TextFileInitializer(
            tf.constant(str(VOCABULARY), name="class_names"),
            key_dtype=tf.int64,
            key_index=tf.lookup.TextFileIndex.LINE_NUMBER,
            value_dtype=tf.string,
            value_index=tf.lookup.TextFileIndex.WHOLE_LINE,
        ),
        default_value="unknown",
        name="head/names",
    )
    top = tf.identity(names.lookup(class_ids), name="head/top")
    every = tf.tile(tf.constant([CLASSES]), [tf.shape(logits)[0], 1], name="head/all_classes")
    first = tf.identity(logits[:, :1], name="head/first_logit")

    # A collection of each kind that a MetaGraphDef has: numbers, text, and names of tensors.
    v1.add_to_collections(["example_steps"], 1_000)
    v1.add_to_collections(["example_rates"], 0.125)
    v1.add_to_collections(["example_authors"], "a team")
    v1.add_to_collections(["example_tensors"], probabilities)

    classification = save.classification_signature_def(examples, every, probabilities)
    return {
        "serving_default": classification,
        "classification": classification,
        "regression": save.regression_signature_def(examples, first),
        "predict": save.predict_signature_def(
            {"examples": examples},
            {
                "logits": logits,
                "probabilities": probabilities,
                "class_ids": class_ids,
                "head/top class": top,
            },
        ),
    }


def _write_extra_assets(folder: Path, example: bytes) -> None:
    """Writes warm-up requests to three signatures, and a file that TensorFlow Serving knows nothing of."""
    folder.mkdir()
    (folder / "tf_serving_warmup_requests").write_bytes(
        warmup.classify_record("estimator_like", "classification", [example])
        + warmup.regress_record("estimator_like", "regression", [example])
        + warmup.predict_strings_record("estimator_like", "predict", "examples", [example])
    )
    (folder / "owner.txt").write_bytes(b"kept by hand\n")


def _example(row: np.ndarray) -> bytes:
    features = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[float(value)]))
        for name, value in zip(FEATURES, row, strict=True)
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))
