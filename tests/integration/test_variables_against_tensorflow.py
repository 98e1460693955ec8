"""What read_variables says of checkpoints, judged by TensorFlow's own reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from explorer.savedmodel.checkpoint_index import OBJECT_GRAPH_KEY
from explorer.savedmodel.records import masked_crc32c
from explorer.savedmodel.variables import Variables, read_variables, stored_twice


def save_v1(folder: Path, build: Callable[[], object]) -> Path:
    """A checkpoint of the variables that ``build`` makes in a TF1 graph."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        build()
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "variables" / "variables"), write_meta_graph=False)
    return folder


def save_v2(folder: Path, **values: Any) -> Path:
    """A SavedModel of a module with these variables."""
    module = tf.Module()
    for name, value in values.items():
        setattr(module, name, tf.Variable(value))
    tf.saved_model.save(module, str(folder))
    return folder


def assert_same_as_tensorflow(folder: Path) -> Variables:
    """Names, shapes, dtypes and the very bytes are those that TensorFlow reads."""
    prefix = str(folder / "variables" / "variables")
    found = read_variables(folder)
    reader = tf.train.load_checkpoint(prefix)
    listed = {name: tuple(shape) for name, shape in tf.train.list_variables(prefix) if name != OBJECT_GRAPH_KEY}
    assert {one.name: one.shape for one in found.entries} == listed
    dtypes = reader.get_variable_to_dtype_map()
    for one in found.entries:
        assert one.dtype_number == dtypes[one.name].as_datatype_enum
        pieces = one.slices or (one,)
        stored = []
        for piece in pieces:
            assert piece.shard is not None
            name = f"variables.data-{piece.shard:05d}-of-{found.num_shards:05d}"
            with (folder / "variables" / name).open("rb") as file:
                file.seek(piece.offset or 0)
                stored.append(file.read(piece.size_bytes))
        assert sum(map(len, stored)) == one.size_bytes
        if dtypes[one.name] == tf.string:
            continue
        assert [masked_crc32c(part) for part in stored] == [piece.checksum for piece in pieces]
        value = reader.get_tensor(one.name)
        if one.slices:
            for piece, part in zip(one.slices, stored, strict=True):
                cut = tuple(
                    slice(start, None if length is None else start + length)
                    for start, length in zip(piece.starts, piece.lengths, strict=True)
                )
                assert np.ascontiguousarray(value[cut]).tobytes() == part
        else:
            assert np.ascontiguousarray(value).tobytes() == stored[0]
    assert found.status == "ok"
    return found


def test_dtypes_of_all_sizes(tmp_path: Path) -> None:
    """Strings, bfloat16, bool, complex and 8 to 64 bit numbers, scalars and empty tensors are told right."""
    values = {
        "string": tf.constant([["a", "bc"], ["", "ü"]]),
        "brain": tf.constant([1.5, 2.5], tf.bfloat16),
        "half": tf.constant([1.5], tf.float16),
        "truth": tf.constant([True, False]),
        "complex": tf.constant([1 + 2j]),
        "byte": tf.constant(7, tf.uint8),
        "long": tf.constant([[[1]]], tf.int64),
        "empty": tf.zeros([0, 3]),
    }
    found = assert_same_as_tensorflow(save_v2(tmp_path, **values))
    assert found.bookkeeping_entries == 1
    assert len(found.entries) == len(values)


def test_partitioned_variables(tmp_path: Path) -> None:
    """Variables in slices are one variable each, its slices in their places, whatever the size and the name."""

    def build() -> None:
        for rows, name in ((7, "small"), (300, "deep/er/name"), (40_000, "large")):
            tf.compat.v1.get_variable(
                name,
                [rows, 3],
                partitioner=tf.compat.v1.fixed_size_partitioner(3),
                initializer=tf.compat.v1.random_uniform_initializer(),
                use_resource=False,
            )
        tf.compat.v1.get_variable("columns", [2, 9], partitioner=tf.compat.v1.fixed_size_partitioner(2, axis=1))
        tf.compat.v1.get_variable("whole", [4])

    found = assert_same_as_tensorflow(save_v1(tmp_path, build))
    assert {one.name: len(one.slices) for one in found.entries if one.slices} == {
        "small": 3,
        "deep/er/name": 3,
        "large": 3,
        "columns": 2,
    }


def test_many_entries(tmp_path: Path) -> None:
    """Thousands of variables, which fill many blocks of the table, are all listed."""
    names = [f"block_{number % 7}/layer_{number}/kernel" for number in range(3000)]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "variables" / "variables"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant([float(number)]) for number in range(len(names))],
    )
    found = assert_same_as_tensorflow(tmp_path)
    assert [one.name for one in found.entries] == sorted(names)


def test_several_shards(tmp_path: Path) -> None:
    """A checkpoint that was merged from several files keeps its shards, and a lost one is named."""
    prefixes = []
    for number in range(3):
        prefixes.append(str(tmp_path / f"part{number}"))
        tf.raw_ops.SaveV2(
            prefix=prefixes[-1],
            tensor_names=[f"w{number}"],
            shape_and_slices=[""],
            tensors=[tf.fill([number + 1], 2.0)],
        )
    target = tmp_path / "variables" / "variables"
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(target))
    found = assert_same_as_tensorflow(tmp_path)
    assert [(one.name, one.shard) for one in found.entries] == [("w0", 0), ("w1", 1), ("w2", 2)]
    (tmp_path / "variables" / "variables.data-00001-of-00003").unlink()
    found = read_variables(tmp_path)
    assert (found.status, found.missing) == ("shard_missing", ("variables.data-00001-of-00003",))


def test_old_format_is_named(tmp_path: Path) -> None:
    """A checkpoint of the V1 format, written by TensorFlow itself, is called by its name."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("w", initializer=1.0)
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(write_version=tf.compat.v1.train.SaverDef.V1)
        (tmp_path / "variables").mkdir()
        saver.save(session, str(tmp_path / "variables" / "variables"), write_meta_graph=False)
    assert read_variables(tmp_path).status == "v1_format"


def test_keras_stores_twice(tmp_path: Path) -> None:
    """The duplicates of a Keras 3 export are found, and no other bytes."""
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((5,)), keras.layers.Dense(7), keras.layers.Dense(3)])
    model.export(str(tmp_path), verbose=False)
    found = assert_same_as_tensorflow(tmp_path)
    twice = stored_twice(found.entries)
    kernels = {group.size_bytes: group for group in twice}
    assert {5 * 7 * 4, 7 * 3 * 4} <= set(kernels)
    assert all(len(group.names) == 2 for group in twice)
