"""Models of TensorFlow 2: objects with functions, saved with their object graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from recipes.answers import Answer, make_answer

SEED = 2021


def keras3(export_dir: Path) -> list[Answer]:
    """A functional Keras model of two named inputs, written by ``model.export``."""
    import keras

    size = keras.Input([3], name="size", dtype="float32")
    colour = keras.Input([2], name="colour", dtype="float32")
    joined = keras.layers.Concatenate(name="join")([size, colour])
    hidden = keras.layers.Dense(4, activation="relu", name="hidden")(joined)
    score = keras.layers.Dense(2, name="score")(hidden)
    model = keras.Model([size, colour], score, name="petals")
    random = np.random.default_rng(SEED)
    weights = [random.integers(-8, 9, weight.shape).astype(np.float32) / 8 for weight in model.get_weights()]
    model.set_weights(weights)
    _list_variables_in_order()
    model.export(str(export_dir), format="tf_saved_model", verbose=False)

    sizes = np.array([[1, 2, 3], [0.5, -1, 0]], np.float32)
    colours = np.array([[0, 1], [2, -0.25]], np.float32)
    kernel_1, bias_1, kernel_2, bias_2 = weights
    scores = np.maximum(np.hstack([sizes, colours]) @ kernel_1 + bias_1, 0) @ kernel_2 + bias_2
    inputs = {"size": sizes, "colour": colours}
    return [make_answer(inputs, {"output_0": scores}), make_answer(inputs, {"output_0": scores}, "serve")]


def _list_variables_in_order() -> None:
    """Makes Keras write the variables by name: it lists them by their address in memory, which differs each time."""
    from keras.src.export import saved_model_export_archive as archive

    unordered = archive._list_variables_used_by_fns

    def ordered(functions: list[Any]) -> tuple[list[Any], list[Any]]:
        trainable, other = unordered(functions)
        return sorted(trainable, key=lambda variable: variable.name), sorted(other, key=lambda variable: variable.name)

    archive._list_variables_used_by_fns = ordered


WORDS = Path("original/words.txt")


class Words(tf.Module):
    """A vocabulary with a weight for each word, and some sums."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__(name="words")
        self.weights = tf.Variable(weights, name="weights")
        self.calls = tf.Variable(0, dtype=tf.int64, trainable=False, name="calls")
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(WORDS),
                key_dtype=tf.string,
                key_index=tf.lookup.TextFileIndex.WHOLE_LINE,
                value_dtype=tf.int64,
                value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            default_value=0,
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def look_up(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        """The number of each word (0 for one that is not known) and its weight."""
        ids = self.table.lookup(words)
        return {"ids": ids, "weights": tf.gather(self.weights, ids)}

    @tf.function(
        input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x"), tf.TensorSpec([], tf.int64, name="times")]
    )
    def repeat(self, x: tf.Tensor, times: tf.Tensor) -> dict[str, tf.Tensor]:
        """``x`` added to itself, ``times`` times."""
        return {"repeated": x * tf.cast(times, tf.float32)}

    # A default that is a tensor becomes SignatureDef.defaults; one that is a Python number does not.
    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.float32, name="x"), tf.TensorSpec([], tf.float32, name="amount")]
    )
    def shift(self, x: tf.Tensor, amount: tf.Tensor = tf.constant(1.5)) -> dict[str, tf.Tensor]:  # noqa: B008
        """``x`` moved by ``amount``."""
        return {"shifted": x + amount}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def half(self, x: tf.Tensor) -> tf.Tensor:
        """Half of ``x``: a function that no signature shows."""
        return x * 0.5


def module(export_dir: Path) -> list[Answer]:
    """A tf.Module with three signatures, a default, and a lookup table that reads an asset."""
    WORDS.parent.mkdir()
    WORDS.write_bytes(b"[unknown]\nred\ngreen\nblue\n")
    weights = np.array([0.0, 0.5, -1.25, 2.0], np.float32)
    words = Words(weights)
    signatures = {"serving_default": words.look_up, "repeat": words.repeat, "shift": words.shift}
    tf.saved_model.save(words, str(export_dir), signatures=signatures)

    ids = np.array([2, 0, 3], np.int64)
    x = np.array([1, -2.5], np.float32)
    return [
        make_answer({"words": ["green", "grün", "blue"]}, {"ids": ids, "weights": weights[ids]}),
        make_answer({"x": [[1.0, 0.5]], "times": 3}, {"repeated": [[3.0, 1.5]]}, "repeat"),
        make_answer({"x": x, "amount": 4.0}, {"shifted": x + 4}, "shift"),
        make_answer({"x": x}, {"shifted": x + 1.5}, "shift"),
    ]
