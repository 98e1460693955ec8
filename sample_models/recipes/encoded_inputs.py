"""Models that take bytes: encoded images, and serialized tf.Example."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from recipes.answers import Answer, make_answer

CLASS_NAMES = ["dark", "red", "bright"]
CLASS_WEIGHTS = np.array([[-1, 2, 1], [-1, -1, 1], [-1, -1, 1]], np.float32)
CLASS_BIASES = np.array([1, 0, -0.5], np.float32)
SIDE = 4
"""Images are resized to this many pixels in height and width."""


class Colours(tf.Module):
    """Names the colour of an image: decoding, resizing and scaling are part of the graph."""

    def __init__(self) -> None:
        super().__init__(name="colours")
        self.weights = tf.Variable(CLASS_WEIGHTS, name="weights")
        self.biases = tf.Variable(CLASS_BIASES, name="biases")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def classify(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """The score of each class, and the name of the best, for encoded JPEG and PNG images of any size."""
        pixels = tf.map_fn(_decode, image_bytes, fn_output_signature=tf.TensorSpec([SIDE, SIDE, 3], tf.float32))
        scores = tf.matmul(tf.reduce_mean(pixels, axis=[1, 2]), self.weights) + self.biases
        return {"scores": scores, "class_name": tf.gather(tf.constant(CLASS_NAMES), tf.argmax(scores, axis=1))}


def _decode(encoded: tf.Tensor) -> tf.Tensor:
    """One encoded image as float32[4, 4, 3] between 0 and 1."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return tf.image.resize(image, [SIDE, SIDE]) / 255.0


def image_bytes(export_dir: Path) -> list[Answer]:
    """A classifier whose input is the bytes of image files."""
    model = Colours()
    tf.saved_model.save(model, str(export_dir), signatures=model.classify)

    colours = np.array([[255, 0, 0], [0, 0, 0], [51, 255, 204]], np.uint8)
    sizes = [(2, 3), (1, 1), (8, 5)]
    images = [_png(*size, bytes(colour)) for size, colour in zip(sizes, colours, strict=True)]
    scores = (colours / 255) @ CLASS_WEIGHTS + CLASS_BIASES
    names = [CLASS_NAMES[best] for best in np.argmax(scores, axis=1)]
    return [make_answer({"image_bytes": images}, {"scores": scores, "class_name": names})]


def _png(height: int, width: int, colour: bytes) -> bytes:
    """A PNG image of one colour; stored, not compressed, because compressed bytes differ between zlib versions."""
    rows = (b"\0" + colour * width) * height
    stored = b"\x78\x01\x01" + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF) + rows
    stored += struct.pack(">I", zlib.adler32(rows))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + _png_chunk(b"IDAT", stored) + _png_chunk(b"IEND", b"")


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


FEATURES = {
    "age": tf.io.FixedLenFeature([], tf.float32),
    "clicks": tf.io.FixedLenFeature([], tf.int64, default_value=0),
    "country": tf.io.FixedLenFeature([], tf.string, default_value=""),
}


class Visitors(tf.Module):
    """Scores visitors that are described by serialized tf.Example."""

    def __init__(self) -> None:
        super().__init__(name="visitors")
        self.weights = tf.Variable([0.5, -0.25], name="weights")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def score(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """A score from age and clicks, and the country in capitals."""
        features = tf.io.parse_example(examples, FEATURES)
        numbers = tf.stack([features["age"], tf.cast(features["clicks"], tf.float32)], axis=1)
        return {
            "score": tf.linalg.matvec(numbers, self.weights),
            "country": tf.strings.upper(features["country"]),
        }


def tf_example(export_dir: Path) -> list[Answer]:
    """A model whose input is serialized tf.Example with a float, an int64 and a string feature."""
    model = Visitors()
    tf.saved_model.save(model, str(export_dir), signatures=model.score)

    examples = [_example(32.0, clicks=8, country=b"ch"), _example(1.5)]
    return [make_answer({"examples": examples}, {"score": [14.0, 0.75], "country": ["CH", ""]})]


def _example(age: float, clicks: int | None = None, country: bytes | None = None) -> bytes:
    features = {"age": tf.train.Feature(float_list=tf.train.FloatList(value=[age]))}
    if clicks is not None:
        features["clicks"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[clicks]))
    if country is not None:
        features["country"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[country]))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(example.SerializeToString(deterministic=True))
