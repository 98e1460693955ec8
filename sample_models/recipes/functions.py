"""Modules of TensorFlow 2 that differ in what their functions are made of: loops, captures, defaults, state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from recipes.answers import Answer, make_answer

ROWS = tf.TensorSpec([None, 3], tf.float32, name="x")
NUMBERS = tf.TensorSpec([None], tf.float32, name="x")


class Arithmetic(tf.Module):
    """Functions of their arguments alone."""

    @tf.function(input_signature=[NUMBERS, tf.TensorSpec([], tf.float32, name="factor")])
    def scale(self, x: tf.Tensor, factor: tf.Tensor) -> dict[str, tf.Tensor]:
        """``x`` times ``factor``, and the square of that."""
        scaled = x * factor
        return {"scaled": scaled, "scaled/squared": tf.square(scaled)}

    @tf.function(input_signature=[NUMBERS])
    def negate(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """``-x``."""
        return {"negative": -x}


def no_variables(export_dir: Path) -> list[Answer]:
    """A tf.Module without any variable; its checkpoint holds the object graph and nothing else."""
    model = Arithmetic(name="arithmetic")
    tf.saved_model.save(model, str(export_dir), signatures={"serving_default": model.scale, "negate": model.negate})

    x = np.array([1, -2.5, 0], np.float32)
    return [
        make_answer({"x": x, "factor": 0.5}, {"scaled": x / 2, "scaled/squared": np.square(x / 2)}),
        make_answer({"x": x}, {"negative": -x}, "negate"),
    ]


KERNEL = np.array([[1, -0.5, 0.25, 2], [0.5, 1, -1, 0], [-2, 0.5, 1, 0.25]], np.float32)
BIAS = np.array([0.5, 0, -0.25, 1], np.float32)
LIMIT = 10.0


class Loops(tf.Module):
    """A dense layer two calls deep, and a While, an If and a map over its results."""

    def __init__(self) -> None:
        super().__init__(name="loops")
        self.kernel = tf.Variable(KERNEL, name="kernel")
        self.bias = tf.Variable(BIAS, name="bias")

    @tf.function(input_signature=[ROWS])
    def dense(self, x: tf.Tensor) -> tf.Tensor:
        """The layer: float32[n, 4]."""
        return tf.nn.relu(tf.matmul(x, self.kernel, name="product") + self.bias, name="activated")

    @tf.function(input_signature=[ROWS])
    def encode(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Half of what the layer says, and one more."""
        return {"code": tf.add(self.dense(x) * 0.5, 1.0, name="code")}

    @tf.function(input_signature=[ROWS, tf.TensorSpec([], tf.int32, name="steps")])
    def walk(self, x: tf.Tensor, steps: tf.Tensor) -> dict[str, tf.Tensor]:
        """Adds the layer's result to the code ``steps`` times, then turns the sign or takes one off."""
        code = self.encode(x)["code"]
        _, walked = tf.while_loop(
            lambda step, _: step < steps,
            lambda step, so_far: (step + 1, so_far + self.dense(x)),
            [tf.constant(0), code],
        )
        place = tf.cond(tf.reduce_sum(walked) > LIMIT, lambda: walked - 1.0, lambda: -walked)
        largest = tf.map_fn(lambda row: tf.reduce_max(row) * 2.0, place)
        return {"place": place, "largest value": largest}


def control_flow(export_dir: Path) -> list[Answer]:
    """Loops, branches and maps over functions that call functions."""
    model = Loops()
    tf.saved_model.save(model, str(export_dir), signatures={"serving_default": model.walk, "encode": model.encode})

    x = np.array([[1, 0, 0.5], [-1, 2, 0.25]], np.float32)
    layer = np.maximum(x @ KERNEL + BIAS, 0)
    code = layer / 2 + 1
    answers = [make_answer({"x": x}, {"code": code}, "encode")]
    for rows, steps in ((2, 3), (1, 0)):  # the sum of the first is above the limit, that of the second is not
        walked = (code + steps * layer)[:rows]
        place = walked - 1 if walked.sum() > LIMIT else -walked
        outputs = {"place": place, "largest value": 2 * place.max(axis=1)}
        answers.append(make_answer({"x": x[:rows], "steps": steps}, outputs))
    return answers


WORDS = Path("original/words.txt")
LARGE = np.arange(-128, 128, dtype=np.float32).reshape(16, 16) / 64
"""More than 128 elements: a smaller constant would be copied into the function in place of being captured."""


class Captures(tf.Module):
    """Functions that use a constant, a table over an asset, and a variable from outside."""

    def __init__(self) -> None:
        super().__init__(name="captures")
        self.constant = tf.constant(LARGE)
        self.gain = tf.Variable(np.float32(0.5), name="gain")
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(WORDS),
                key_dtype=tf.string,
                key_index=tf.lookup.TextFileIndex.WHOLE_LINE,
                value_dtype=tf.int64,
                value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
            ),
            default_value=15,
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def look_up(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        """The row of the constant for each word (the last for one that is not known), times the gain."""
        ids = self.table.lookup(words)
        return {"ids": ids, "rows.scaled": tf.gather(self.constant, ids) * self.gain}

    @tf.function(input_signature=[tf.TensorSpec([None, 16], tf.float32, name="rows")])
    def multiply(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """``rows`` times the constant."""
        return {"products": tf.matmul(rows, self.constant)}


def captures(export_dir: Path) -> list[Answer]:
    """Functions with every kind of capture: a constant, a table with its asset, a variable."""
    WORDS.parent.mkdir()
    WORDS.write_bytes(b"north\nsouth\neast\n")
    model = Captures()
    tf.saved_model.save(
        model, str(export_dir), signatures={"serving_default": model.look_up, "multiply": model.multiply}
    )

    ids = np.array([2, 15, 0], np.int64)
    rows = np.eye(2, 16, k=3, dtype=np.float32) * 2
    return [
        make_answer({"words": ["east", "up", "north"]}, {"ids": ids, "rows.scaled": LARGE[ids] / 2}),
        make_answer({"rows": rows}, {"products": rows @ LARGE}, "multiply"),
    ]


class Defaults(tf.Module):
    """Arguments that may be left out."""

    # A default that is a tensor becomes SignatureDef.defaults; one that is a Python number does not.
    @tf.function(input_signature=[NUMBERS, tf.TensorSpec([2], tf.float32, name="limits")])
    def clip(self, x: tf.Tensor, limits: tf.Tensor = tf.constant([-1.0, 1.0])) -> dict[str, tf.Tensor]:  # noqa: B008
        """``x`` within two limits."""
        return {"clipped": tf.clip_by_value(x, limits[0], limits[1])}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="words"), tf.TensorSpec([], tf.string, name="ending")]
    )
    def join(self, words: tf.Tensor, ending: tf.Tensor = tf.constant("!")) -> dict[str, tf.Tensor]:  # noqa: B008
        """Each word with the ending."""
        return {"joined words": tf.strings.join([words, ending])}


def defaults(export_dir: Path) -> list[Answer]:
    """Two signatures with a default for one of their two inputs, a vector and a text."""
    model = Defaults(name="defaults")
    tf.saved_model.save(model, str(export_dir), signatures={"serving_default": model.clip, "join": model.join})

    # A session takes no notice of defaults: the answers give them as TensorFlow Serving would fill them in.
    x = np.array([-3, 0.5, 2], np.float32)
    return [
        make_answer({"x": x, "limits": [-1.0, 1.0]}, {"clipped": np.clip(x, -1, 1)}),
        make_answer({"x": x, "limits": [0.0, 0.25]}, {"clipped": np.clip(x, 0, 0.25)}),
        make_answer({"words": ["yes", ""], "ending": "!"}, {"joined words": ["yes!", "!"]}, "join"),
    ]


MEAN = np.array([0.5, -1, 2], np.float32)
SLOPES = np.array([2, 0.5, -1], np.float32)


class Trained(tf.Module):
    """A model as it is after training: the step that trained it is still among its functions."""

    def __init__(self) -> None:
        super().__init__(name="trained")
        self.slopes = tf.Variable(SLOPES, name="slopes")
        self.mean = tf.Variable(MEAN, trainable=False, name="mean")
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="steps")

    @tf.function(input_signature=[ROWS])
    def predict(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """The score of each row, and the row that it was computed from."""
        centred = self.call(x, training=False)
        return {"score": tf.linalg.matvec(centred, self.slopes), "centred row": centred}

    @tf.function(input_signature=[ROWS, tf.TensorSpec([None], tf.float32, name="wanted")])
    def train_step(self, x: tf.Tensor, wanted: tf.Tensor) -> dict[str, tf.Tensor]:
        """Changes the weights: whoever served this would serve another model after each request."""
        centred = self.call(x, training=True)
        error = tf.linalg.matvec(centred, self.slopes) - wanted
        self.slopes.assign_add(-0.125 * tf.linalg.matvec(centred, error, transpose_a=True))
        return {"loss": tf.reduce_mean(tf.square(error)), "steps": self.steps.assign_add(1)}

    @tf.function
    def call(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        """``x`` less the mean; in training the mean moves. One trace for each value of ``training``."""
        if training:
            self.mean.assign_add(0.125 * (tf.reduce_mean(x, axis=0) - self.mean))
        return x - self.mean

    @tf.function(input_signature=[tf.TensorSpec([1, 3], tf.float32, name="x")])
    def predict_one(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Of exactly one row; ``tf.shape`` of a known shape is a constant, and so is all that comes of it."""
        batch = tf.shape(x)[0]
        scores = tf.linalg.matvec(self.call(x, training=False), self.slopes)
        return {"batch": batch, "mean score": tf.reduce_sum(scores) / tf.cast(batch, tf.float32)}


def training_trace(export_dir: Path) -> list[Answer]:
    """Functions that should not be served as they are: a training step, and one with a baked batch size."""
    model = Trained()
    tf.saved_model.save(
        model, str(export_dir), signatures={"serving_default": model.predict, "predict_one": model.predict_one}
    )

    x = np.array([[1, 2, 3], [0.5, -1, 2]], np.float32)
    scores = (x - MEAN) @ SLOPES
    return [
        make_answer({"x": x}, {"score": scores, "centred row": x - MEAN}),
        make_answer({"x": x[:1]}, {"batch": 1, "mean score": scores[0]}, "predict_one"),
    ]


class Stateful(tf.Module):
    """Functions whose results are not those of their arguments alone."""

    def __init__(self) -> None:
        super().__init__(name="stateful")
        self.calls = tf.Variable(0, dtype=tf.int64, trainable=False, name="calls")

    @tf.function(input_signature=[NUMBERS])
    def drop(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """``x`` after a dropout that keeps everything; counts its calls."""
        # A random number from 0 to below 1, and 1 more, rounds down to 1 whatever it is.
        keep = tf.floor(tf.random.uniform(tf.shape(x)) + 1.0)
        return {"kept": x * keep, "calls": self.calls.assign_add(1)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64, name="more")])
    def count(self, more: tf.Tensor) -> dict[str, tf.Tensor]:
        """Counts several calls at once."""
        return {"calls": self.calls.assign_add(more)}


def stateful(export_dir: Path) -> list[Answer]:
    """Signatures with a random op and a counter."""
    model = Stateful()
    tf.saved_model.save(model, str(export_dir), signatures={"serving_default": model.drop, "count": model.count})

    x = np.array([0.5, -4], np.float32)
    return [  # each is asked of the model as it is just after it was loaded
        make_answer({"x": x}, {"kept": x, "calls": 1}),
        make_answer({"more": 5}, {"calls": 5}, "count"),
    ]


ROW_WEIGHTS = np.array([0, 0.5, -1.25, 2], np.float32)


class Ragged(tf.Module):
    """Functions over rows of different lengths."""

    def __init__(self) -> None:
        super().__init__(name="ragged")
        self.weights = tf.Variable(ROW_WEIGHTS, name="weights")

    @tf.function(
        input_signature=[
            tf.RaggedTensorSpec([None, None], tf.int64),  # takes no name: the argument's own is the key
            tf.TensorSpec([], tf.float32, name="bias"),
        ]
    )
    def add_up(self, ids: tf.RaggedTensor, bias: tf.Tensor) -> dict[str, tf.Tensor]:
        """The sum of the weights of each row, and its length."""
        weights = tf.ragged.map_flat_values(lambda flat: tf.gather(self.weights, flat), ids)
        return {"sums": tf.reduce_sum(weights, axis=1) + bias, "lengths": ids.row_lengths()}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64, name="values"),
            tf.TensorSpec([None], tf.int64, name="row_splits"),
        ]
    )
    def largest(self, values: tf.Tensor, row_splits: tf.Tensor) -> dict[str, tf.Tensor]:
        """The largest value of each row, of a ragged tensor that is put together inside."""
        return {"row largest": tf.reduce_max(tf.RaggedTensor.from_row_splits(values, row_splits), axis=1)}


def ragged(export_dir: Path) -> list[Answer]:
    """A function of a ragged tensor; in its signature the values (ids) and row splits (ids_1) are two inputs."""
    model = Ragged()
    tf.saved_model.save(model, str(export_dir), signatures={"serving_default": model.add_up, "largest": model.largest})

    rows = [[1, 3], [], [2, 2, 1]]
    values = [value for row in rows for value in row]
    splits = np.cumsum([0, *(len(row) for row in rows)])
    sums = np.array([ROW_WEIGHTS[row].sum() for row in rows], np.float32)
    lowest = int(np.iinfo(np.int64).min)  # the largest of no values
    return [
        make_answer({"ids": values, "ids_1": splits, "bias": 4.0}, {"sums": sums + 4, "lengths": [2, 0, 3]}),
        make_answer({"values": values, "row_splits": splits}, {"row largest": [3, lowest, 2]}, "largest"),
    ]
