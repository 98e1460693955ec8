"""Keras models that are not written by Keras 3's ``export``: a graph that misses its variables, and Keras 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from recipes.answers import BY_OBJECTS, Answer, make_answer

SEED = 2016


def keras3_saved(export_dir: Path) -> list[Answer]:
    """A Keras 3 model written by ``tf.saved_model.save``, which saves other variables than the signatures use."""
    import keras

    size = keras.Input([3], name="size", dtype="float32")
    hidden = keras.layers.Dense(4, activation="relu", name="hidden")(size)
    model = keras.Model(size, keras.layers.Dense(2, name="score")(hidden), name="petals")
    weights = _dyadic_weights(model.get_weights())
    model.set_weights(weights)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="size")])
    def score(size: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": model(size)}

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="size")])
    def rank(size: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"best": tf.argmax(model(size), axis=1)}

    tf.saved_model.save(model, str(export_dir), signatures={"serving_default": score, "rank": rank})

    sizes = np.array([[1, 2, 3], [0.5, -1, 0]], np.float32)
    kernel_1, bias_1, kernel_2, bias_2 = weights
    scores = np.maximum(sizes @ kernel_1 + bias_1, 0) @ kernel_2 + bias_2
    return [
        make_answer({"size": sizes}, {"scores": scores}, loaded=BY_OBJECTS),
        make_answer({"size": sizes}, {"best": np.argmax(scores, axis=1)}, "rank", loaded=BY_OBJECTS),
    ]


def keras2(export_dir: Path) -> list[Answer]:
    """A model of Keras 2 (tf_keras), compiled and fitted: keras_metadata.pb, optimizer slots, training traces."""
    import tf_keras

    tf_keras.utils.set_random_seed(SEED)
    size = tf_keras.Input([3], name="size", dtype="float32")
    hidden = tf_keras.layers.Dense(4, activation="relu", name="hidden")(size)
    normal = tf_keras.layers.BatchNormalization(epsilon=0.25, name="normal")(hidden)
    kept = tf_keras.layers.Dropout(0.5, seed=1, name="kept")(normal)
    model = tf_keras.Model(size, tf_keras.layers.Dense(2, name="score")(kept), name="petals")
    optimizer = tf_keras.optimizers.legacy.Adam(0.125)  # the kind that keeps its state in slots
    model.compile(optimizer, loss="mse")
    sizes = np.array([[1, 2, 3], [0.5, -1, 0]], np.float32)
    model.fit(sizes, np.ones((2, 2), np.float32), epochs=1, verbose=0, shuffle=False)

    # A training step's results depend on the processor; what replaces them does not.
    weights = _dyadic_weights(model.get_weights())
    gamma, beta, mean, variance = range(2, 6)
    weights[variance] = np.array([0.75, 3.75, 0, 15.75], np.float32)  # with epsilon, squares: 1, 2, 1/2 and 4
    model.set_weights(weights)
    step, *slots = optimizer.get_weights()
    optimizer.set_weights([step, *map(np.abs, _dyadic_weights(slots))])  # Adam takes roots of half of them
    model.reset_metrics()  # the loss is saved too
    model.save(str(export_dir), save_format="tf")

    layer = np.maximum(sizes @ weights[0] + weights[1], 0)
    normalized = (layer - weights[mean]) / np.sqrt(weights[variance] + 0.25) * weights[gamma] + weights[beta]
    return [make_answer({"size": sizes}, {"score": normalized @ weights[6] + weights[7]})]


def _dyadic_weights(like: list[Any]) -> list[np.ndarray]:
    """Eighths between -1 and 1, in the shapes of other weights."""
    random = np.random.default_rng(SEED)
    return [random.integers(-8, 9, weight.shape).astype(np.float32) / 8 for weight in like]
