"""Writes the checkpoints in this folder; TensorFlow must be installed: ``python tests/fixtures_checkpoints/make.py``.

TensorFlow still writes the format of before 0.12, by the op ``SaveSlices``. The same tensors are written in today's
format beside it, so that tests without TensorFlow can compare the two.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HERE = Path(__file__).resolve().parent
TEXTS = [b"", b"plain", bytes(range(256)), "Grüße".encode(), b"x" * 300]


def tensors() -> dict[str, Any]:
    """A tensor of each dtype that the old format can hold, among them a scalar and an empty one."""
    import tensorflow as tf

    random = np.random.default_rng(7)
    found = {
        f"plain/{dtype.name}": tf.cast(random.integers(0, 100, 5), dtype)
        for dtype in (tf.float64, tf.uint8, tf.uint16, tf.half)
    }
    for dtype in (tf.int8, tf.int16, tf.int32, tf.int64):
        found[f"plain/{dtype.name}"] = tf.constant([0, 1, -1, 127, -128, dtype.max, dtype.min], dtype)
    found["plain/float32"] = tf.constant(random.standard_normal((3, 4)), tf.float32)
    found["plain/odd_float32"] = tf.constant([np.nan, np.inf, -np.inf, -0.0, 1e-45], tf.float32)
    found["plain/complex64"] = tf.constant([1 + 2j, -3j], tf.complex64)
    found["plain/complex128"] = tf.constant([[1e300 + 2j], [-3j]], tf.complex128)
    found["plain/bool"] = tf.constant([True, False, True])
    found["plain/string"] = tf.constant(TEXTS)
    for dtype, plain in ((tf.qint8, tf.int8), (tf.quint8, tf.uint8), (tf.qint32, tf.int32)):
        found[f"plain/{dtype.name}"] = tf.bitcast(tf.constant([1, 2, 100], plain), dtype)
    found["scalar"] = tf.constant(2.5)
    found["empty"] = tf.zeros([0, 3])
    found["a\\odd name/\u00fc"] = tf.constant([1.0])
    return found


def save_v1(path: Path, named: dict[str, tuple[str, Any]]) -> None:
    """Writes one file of the old format: name → slice and value."""
    import tensorflow as tf

    names = [name.partition("@")[0] for name in named]
    slices, values = zip(*named.values(), strict=True)
    tf.raw_ops.SaveSlices(filename=str(path), tensor_names=names, shapes_and_slices=list(slices), data=list(values))


def save_v2(path: Path, named: dict[str, tuple[str, Any]]) -> None:
    """Writes the same in today's format."""
    import tensorflow as tf

    names = [name.partition("@")[0] for name in named]
    slices, values = zip(*named.values(), strict=True)
    tf.raw_ops.SaveV2(prefix=str(path), tensor_names=names, shape_and_slices=list(slices), tensors=list(values))


def main() -> None:
    """Writes every file."""
    import tensorflow as tf

    whole = {name: ("", value) for name, value in tensors().items()}
    save_v1(HERE / "dtypes_v1.ckpt", whole)
    save_v2(HERE / "dtypes_v2.ckpt", whole)
    rows = tf.reshape(tf.range(28, dtype=tf.float32), [7, 4])
    texts = tf.constant([b"a", b"bb", b"ccc", b""])
    parts = {
        "emb@0": ("7 4 0,3:-", rows[:3]),
        "emb@1": ("7 4 3,2:0,4", rows[3:5]),
        "words@0": ("4 0,1", texts[:1]),
        "whole@0": ("", tf.constant([1, 2], tf.int64)),
    }
    more = {"emb@2": ("7 4 5,2:-", rows[5:]), "words@1": ("4 1,3", texts[1:])}
    save_v1(HERE / "parts_v1.ckpt-00000-of-00002", parts)
    save_v1(HERE / "parts_v1.ckpt-00001-of-00002", more)
    save_v2(HERE / "parts_v2.ckpt", {**parts, **more})


if __name__ == "__main__":
    main()
