"""More graphs of TensorFlow 1: lookup tables, reference variables, loops over sparse input, a checkpoint in shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from recipes.answers import Answer, make_answer

v1 = tf.compat.v1
save = tf.compat.v1.saved_model

VOCABULARY = Path("original/colours.txt")
COLOURS = ["[unknown]", "red", "green", "blue"]
VECTORS = np.array([[0, 0], [1, -0.5], [0.25, 2], [-1.5, 4]], np.float32)


def tf1_tables(export_dir: Path) -> list[Answer]:
    """Two lookup tables over one vocabulary, one for each direction, and a resource variable with a row per word."""
    VOCABULARY.parent.mkdir()
    VOCABULARY.write_bytes("".join(f"{colour}\n" for colour in COLOURS).encode())
    with tf.Graph().as_default(), v1.Session() as session:
        vocabulary = tf.constant(str(VOCABULARY), name="vocabulary_file")
        words = v1.placeholder(tf.string, [None], name="words")
        ids = tf.identity(_table(vocabulary, to_ids=True).lookup(words), name="ids")
        vectors = v1.get_variable("vectors", initializer=VECTORS, use_resource=True)
        found = tf.gather(vectors, ids, name="found")
        numbers = v1.placeholder(tf.int64, [None], name="numbers")
        names = tf.identity(_table(vocabulary, to_ids=False).lookup(numbers), name="names")
        session.run(v1.global_variables_initializer())
        builder = save.Builder(str(export_dir))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": save.predict_signature_def({"words": words}, {"ids": ids, "vectors/rows": found}),
                "name of number": save.predict_signature_def({"numbers": numbers}, {"names": names}),
            },
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(name="init_all_tables"),
        )
        builder.save()

    expected = np.array([3, 0, 1], np.int64)
    return [
        make_answer({"words": ["blue", "grün", "red"]}, {"ids": expected, "vectors/rows": VECTORS[expected]}),
        make_answer({"numbers": [2, 9]}, {"names": ["green", "none"]}, "name of number"),
    ]


def _table(vocabulary: tf.Tensor, *, to_ids: bool) -> tf.lookup.StaticHashTable:
    """A table over the vocabulary: a word's number, or the word of a number."""
    line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    initializer = tf.lookup.TextFileInitializer(
        vocabulary,
        key_dtype=tf.string if to_ids else tf.int64,
        key_index=line if to_ids else number,
        value_dtype=tf.int64 if to_ids else tf.string,
        value_index=number if to_ids else line,
    )
    name = "ids_of_words" if to_ids else "words_of_ids"
    return tf.lookup.StaticHashTable(initializer, default_value=0 if to_ids else "none", name=name)


REF_WEIGHTS = np.array([[0.5, -1], [2, 0.25]], np.float32)
REF_BIAS = np.array([1, -0.75], np.float32)


def tf1_ref_variables(export_dir: Path) -> list[Answer]:
    """Reference variables (VariableV2), and input and output keys with a slash, a dot and a letter beyond ASCII."""
    with tf.Graph().as_default(), v1.Session() as session:
        with v1.name_scope("features"):
            x = v1.placeholder(tf.float32, [None, 2], name="x")
            scale = v1.placeholder(tf.float32, [], name="scale")
        with v1.variable_scope("layer", use_resource=False):
            weights = v1.get_variable("weights", initializer=REF_WEIGHTS)
            bias = v1.get_variable("bias", initializer=REF_BIAS)
        hidden = tf.add(tf.matmul(x, weights), bias, name="layer/sum")
        scores = tf.multiply(hidden, scale, name="scores")
        session.run(v1.global_variables_initializer())
        builder = save.Builder(str(export_dir))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": save.predict_signature_def(
                    {"features/x": x, "features/scale": scale}, {"scores/größe": scores}
                ),
                "layer.sum": save.predict_signature_def({"features/x": x}, {"layer.sum": hidden}),
            },
        )
        builder.save()

    x_in = np.array([[1, 2], [-4, 0.5], [0, 0]], np.float32)
    sums = x_in @ REF_WEIGHTS + REF_BIAS
    return [
        make_answer({"features/x": x_in, "features/scale": -2.0}, {"scores/größe": -2 * sums}),
        make_answer({"features/x": x_in}, {"layer.sum": sums}, "layer.sum"),
    ]


SPARSE_WEIGHTS = np.array([[1.0], [-0.5], [2.0], [0.25]], np.float32)


def tf1_sparse(export_dir: Path) -> list[Answer]:
    """A sparse input (coo_sparse), a While over functions, and a loop in frames, whose nodes form a cycle."""
    with tf.Graph().as_default(), v1.Session() as session:
        features = v1.sparse_placeholder(tf.float32, [None, 4], name="features")
        weights = v1.get_variable("weights", initializer=SPARSE_WEIGHTS, use_resource=True)
        sums = tf.squeeze(tf.sparse.sparse_dense_matmul(features, weights), axis=1, name="sums")
        times = v1.placeholder(tf.int32, [], name="times")
        v1.enable_control_flow_v2()
        doubled = tf.identity(_repeat(times, lambda value: value * 2, sums), name="doubled")
        v1.disable_control_flow_v2()
        x = v1.placeholder(tf.float32, [None], name="x")
        count = v1.placeholder(tf.int32, [], name="count")
        halved = tf.identity(_repeat(count, lambda value: value / 2, x), name="halved")
        session.run(v1.global_variables_initializer())
        builder = save.Builder(str(export_dir))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": save.predict_signature_def(
                    {"features": features, "times": times}, {"doubled": doubled, "sums": sums}
                ),
                "halve": save.predict_signature_def({"x": x, "count": count}, {"halved": halved}),
            },
        )
        builder.save()

    sparse = {"indices": [[0, 1], [1, 0], [1, 3]], "values": [2.0, -1.0, 0.5], "dense_shape": [3, 4]}
    totals = np.array([-1, -0.875, 0], np.float32)
    return [
        make_answer({"features": sparse, "times": 3}, {"doubled": 8 * totals, "sums": totals}),
        make_answer({"features": sparse, "times": 0}, {"doubled": totals, "sums": totals}),
        make_answer({"x": [4.0, -1.0], "count": 2}, {"halved": [1.0, -0.25]}, "halve"),
    ]


def _repeat(times: tf.Tensor, step: Any, value: tf.Tensor) -> tf.Tensor:
    """Applies ``step`` to a tensor as often as the scalar ``times`` says."""
    return tf.while_loop(
        lambda done, _: done < times,
        lambda done, so_far: (done + 1, step(so_far)),
        [tf.constant(0), value],
        shape_invariants=[tf.TensorShape([]), tf.TensorShape([None])],
    )[1]


PARTITIONED_ROWS = np.arange(-10, 10, dtype=np.float32).reshape(5, 4) / 8
OFFSET = np.array([0.5, 0, -2, 1], np.float32)


def partitioned(export_dir: Path) -> list[Answer]:
    """A variable in two partitions, on two devices as far as the graph says, and a checkpoint in two data files."""
    with tf.Graph().as_default(), v1.Session() as session:
        ids = v1.placeholder(tf.int64, [None], name="ids")
        # A sharded saver writes one data file for each device name; "no device" is one, so any machine can run this.
        with v1.device(lambda op: "/device:CPU:0" if "part_1" in op.name else ""):
            table = v1.get_variable(
                "table",
                shape=PARTITIONED_ROWS.shape,
                initializer=lambda shape, dtype, partition_info: _partition(shape, partition_info),
                partitioner=v1.fixed_size_partitioner(2),
                use_resource=True,
            )
            offset = v1.get_variable("offset", initializer=OFFSET, use_resource=True)
        rows = tf.nn.embedding_lookup(tf.convert_to_tensor(table), ids, name="rows")
        moved = tf.add(rows, offset, name="moved")
        session.run(v1.global_variables_initializer())
        builder = save.Builder(str(export_dir))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": save.predict_signature_def({"ids": ids}, {"moved": moved}),
                "rows": save.predict_signature_def({"ids": ids}, {"rows": rows}),
            },
            saver=v1.train.Saver(sharded=True),
        )
        builder.save()

    wanted = np.array([4, 0, 2], np.int64)
    return [
        make_answer({"ids": wanted}, {"moved": PARTITIONED_ROWS[wanted] + OFFSET}),
        make_answer({"ids": wanted}, {"rows": PARTITIONED_ROWS[wanted]}, "rows"),
    ]


def _partition(shape: Any, partition_info: Any) -> tf.Tensor:
    """The rows of one partition."""
    first = partition_info.var_offset[0]
    return tf.constant(PARTITIONED_ROWS[first : first + shape[0]])
