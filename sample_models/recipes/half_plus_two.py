"""``y = a·x + b`` with predict, classify and regress signatures, as TensorFlow Serving's own example model has them.

The graph reads serialized tf.Example too, and holds what a larger model of TensorFlow 1 has: an asset, a lookup table
that the main op fills from it, and a tensor (``label``) that no signature shows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from recipes.answers import Answer, make_answer

v1 = tf.compat.v1

ASSET = Path("original/foo.txt")
"""Where the asset lies when the model is saved: this path stays in the graph, as it does in real models."""


def half_plus_two(export_dir: Path) -> list[Answer]:
    """``y = 0.5·x + 2``."""
    return _save(export_dir, a=0.5, b=2.0)


def half_plus_two_and_a_half(export_dir: Path) -> list[Answer]:
    """``y = 0.5·x + 2.5``."""
    return _save(export_dir, a=0.5, b=2.5)


def _save(export_dir: Path, a: float, b: float) -> list[Answer]:
    ASSET.parent.mkdir()
    ASSET.write_bytes(b"small\nlarge\n")
    with tf.Graph().as_default(), v1.Session() as session:
        examples = v1.placeholder(tf.string, [None], name="tf_example")
        parsed = v1.parse_example(examples, {"x": v1.FixedLenFeature([], tf.float32)}, name="parse")
        x = tf.identity(parsed["x"], name="x")
        slope = v1.get_variable("a", initializer=np.float32(a), use_resource=True)
        offset = v1.get_variable("b", initializer=np.float32(b), use_resource=True)
        y = tf.add(slope * x, offset, name="y")
        scores = tf.expand_dims(y, 1, name="scores")
        labels = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                tf.constant(str(ASSET), name="vocabulary_file"),
                key_dtype=tf.int64,
                key_index=tf.lookup.TextFileIndex.LINE_NUMBER,
                value_dtype=tf.string,
                value_index=tf.lookup.TextFileIndex.WHOLE_LINE,
            ),
            default_value="unknown",
            name="labels",
        )
        tf.identity(labels.lookup(tf.cast(y > 2.0, tf.int64)), name="label")
        main_op = v1.tables_initializer(name="init_all_tables")
        session.run(v1.global_variables_initializer())
        save = v1.saved_model
        builder = save.Builder(str(export_dir))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": save.predict_signature_def({"x": x}, {"y": y}),
                "classify_x": save.classification_signature_def(examples, None, scores),
                "regress_x": save.regression_signature_def(examples, y),
            },
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=main_op,
        )
        builder.save()

    values = np.array([0, 1, -3, 8], np.float32)
    answers = a * values + b
    serialized = [_example(float(value)) for value in values]
    return [
        make_answer({"x": values}, {"y": answers}),
        make_answer({"inputs": serialized}, {"scores": answers[:, None]}, "classify_x"),
        make_answer({"inputs": serialized}, {"outputs": answers}, "regress_x"),
    ]


def _example(x: float) -> bytes:
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[x]))
    example = tf.train.Example(features=tf.train.Features(feature={"x": feature}))
    return bytes(example.SerializeToString(deterministic=True))
