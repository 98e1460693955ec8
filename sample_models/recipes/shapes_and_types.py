"""Graphs of TensorFlow 1 with what a signature can hold beside float matrices, and one saved as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from recipes.answers import Answer, make_answer

v1 = tf.compat.v1
save = tf.compat.v1.saved_model


def shapes_and_types(export_dir: Path) -> list[Answer]:
    """Strings, an unknown rank, a scalar, several dtypes and a sparse tensor, a signature for each."""
    with tf.Graph().as_default(), v1.Session() as session:
        signatures = {
            "serving_default": _strings(),
            "any_rank": _any_rank(),
            "scalar": _scalar(),
            "dtypes": _dtypes(),
            "sparse": _sparse(),
        }
        builder = save.Builder(str(export_dir))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()

    x = np.array([[[1, -2], [0.5, 4]]], np.float32)
    counts = np.array([[1, -2], [2**53 + 1, 4]], np.int64)
    sparse = {"indices": [[0, 1], [1, 0], [1, 3]], "values": [2.0, -1.0, 0.5], "dense_shape": [2, 4]}
    return [
        make_answer({"text": ["grün", "Blue"]}, {"upper": ["GRÜN", "BLUE"], "length": [5, 4]}),
        make_answer({"x": x}, {"doubled": 2 * x}, "any_rank"),
        make_answer({"x": 3.0}, {"doubled": 6.0}, "any_rank"),
        make_answer({"n": -7}, {"squared": 49}, "scalar"),
        make_answer(
            {"counts": counts, "keep": [True, False], "ratios": [[0.1, 1e300]], "pixels": [0, 1, 255]},
            {
                "total": [-1, 2**53 + 5],
                "drop": [False, True],
                "ratios": [[0.05, 5e299]],
                "inverted": [255, 254, 0],
            },
            "dtypes",
        ),
        make_answer({"features": sparse}, {"sums": [2.0, -0.5]}, "sparse"),
    ]


def _strings() -> Any:
    text = v1.placeholder(tf.string, [None], name="text")
    upper = tf.strings.upper(text, encoding="utf-8", name="upper")
    length = tf.strings.length(text, name="length")
    return save.predict_signature_def({"text": text}, {"upper": upper, "length": length})


def _any_rank() -> Any:
    x = v1.placeholder(tf.float32, None, name="x")
    return save.predict_signature_def({"x": x}, {"doubled": tf.multiply(x, 2.0, name="doubled")})


def _scalar() -> Any:
    n = v1.placeholder(tf.int64, [], name="n")
    return save.predict_signature_def({"n": n}, {"squared": tf.square(n, name="squared")})


def _dtypes() -> Any:
    counts = v1.placeholder(tf.int64, [None, 2], name="counts")
    keep = v1.placeholder(tf.bool, [None], name="keep")
    ratios = v1.placeholder(tf.float64, [1, 2], name="ratios")
    pixels = v1.placeholder(tf.uint8, [3], name="pixels")
    return save.predict_signature_def(
        {"counts": counts, "keep": keep, "ratios": ratios, "pixels": pixels},
        {
            "total": tf.reduce_sum(counts, axis=1, name="total"),
            "drop": tf.logical_not(keep, name="drop"),
            "ratios": tf.multiply(ratios, tf.constant(0.5, tf.float64), name="halves"),
            "inverted": tf.bitwise.invert(pixels, name="inverted"),
        },
    )


def _sparse() -> Any:
    features = v1.sparse_placeholder(tf.float32, [None, 4], name="features")
    sums = tf.sparse.reduce_sum(features, axis=1)
    sums = tf.identity(tf.ensure_shape(sums, [None]), name="sums")
    return save.predict_signature_def({"features": features}, {"sums": sums})


def text_format(export_dir: Path) -> list[Answer]:
    """``y = 0.25·x + 1`` with saved_model.pbtxt in place of saved_model.pb."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        slope = v1.get_variable("slope", initializer=np.float32(0.25), use_resource=True)
        y = tf.add(slope * x, 1.0, name="y")
        session.run(v1.global_variables_initializer())
        builder = save.Builder(str(export_dir))
        signature = save.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save(as_text=True)

    values = np.array([0, 4, -2], np.float32)
    return [make_answer({"x": values}, {"y": 0.25 * values + 1})]
