"""Checkpoints that TensorFlow writes here, converted without it: every loader computes what the source computed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import explorer
from explorer.converting.kinds import TF1_CHECKPOINT_NO_GRAPH, TF2_CHECKPOINT, V1_CHECKPOINT, V1_CHECKPOINT_NO_GRAPH
from explorer.converting.parts import Parts, open_parts
from explorer.converting.same_architecture import parts_with_architecture
from explorer.converting.source import find_source
from explorer.converting.with_graph import parts_of_v1_checkpoint, parts_with_graph
from explorer.errors import ConversionError, EditError
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.variables import read_variables

X = np.arange(8, dtype=np.float32).reshape(2, 4) / 7


@pytest.fixture(scope="module", params=["ref", "resource"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[np.ndarray]]:
    """A graph that was trained for one step, saved in both formats and written as a graph file; its answer to ``X``."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    folder = tmp_path_factory.mktemp(request.param)
    for name in ("v1", "v1_parts", "v2"):
        (folder / name).mkdir()
    config = tf1.ConfigProto(device_count={"CPU": 2})
    with tf.Graph().as_default() as graph, tf1.Session(config=config) as session:
        tf1.set_random_seed(3)
        with tf1.variable_scope("net", use_resource=request.param == "resource"):
            normal = tf1.random_normal_initializer()
            x = tf1.placeholder(tf.float32, [None, 4], name="x")
            w = tf1.get_variable("w", [4, 3], initializer=normal)
            with tf.device("/cpu:1"):
                b = tf1.get_variable("b", [3], initializer=normal)
            parts = tf1.fixed_size_partitioner(3)
            emb = tf1.get_variable("emb", [10, 3], initializer=normal, partitioner=parts)
            words = tf1.get_variable("words", initializer=tf.constant([b"no", b"yes", b"x" * 300]))
        rows = tf.cast(tf.reduce_sum(x, 1) * 3, tf.int32) % 10
        y = tf.nn.softmax(tf.matmul(x, w) + b + tf.nn.embedding_lookup(emb, rows), name="y")
        tf.gather(words, tf.argmax(y, 1), name="word")
        step = tf1.train.get_or_create_global_step()
        train = tf1.train.AdamOptimizer().minimize(tf.reduce_sum(y[:, 0]), step, name="train")
        session.run(tf1.global_variables_initializer())
        session.run(train, {"net/x:0": X})
        saver = tf1.train.Saver
        saver().save(session, str(folder / "v2" / "m.ckpt"))
        saver(write_version=tf1.train.SaverDef.V1).save(session, str(folder / "v1" / "m.ckpt"))
        sharded = saver(write_version=tf1.train.SaverDef.V1, sharded=True)
        sharded.save(session, str(folder / "v1_parts" / "m.ckpt"))
        tf1.train.write_graph(graph.as_graph_def(), str(folder), "graph.pb", as_text=False)
        tf1.train.write_graph(graph.as_graph_def(), str(folder), "graph.pbtxt")
        return folder, session.run(["y:0", "word:0"], {"net/x:0": X})


def exported(parts: Parts, base_path: Path) -> Path:
    """A version with a signature of ``net/x``, ``y`` and ``word``."""
    model = explorer.add_signature(
        open_parts(parts), "serving_default", {"x": "net/x:0"}, {"y": "y:0", "word": "word:0"}
    )
    with contextlib.suppress(EditError):  # a graph of which no node is placed on a device
        model = explorer.clear_devices(model)
    explorer.export(model, base_path, follow_outside_links=True)
    return base_path / "1"


def judge(judges: ModuleType, folder: Path, answers: list[np.ndarray]) -> None:
    """Every loader gives the answers to the bit."""
    for run in (judges.run_v1, judges.run_v2):
        found = run(folder, ["serve"], "serving_default", {"x": X})
        assert np.array_equal(found["y"], answers[0]) and np.array_equal(found["word"], answers[1]), run.__name__
    assert judges.cpp_load(folder, ["serve"]) == ""


CASES: dict[str, Callable[[Path], Parts]] = {
    "v2_pb": lambda folder: parts_with_graph(find_source(folder / "v2" / "m.ckpt"), folder / "graph.pb"),
    "v2_pbtxt": lambda folder: parts_with_graph(find_source(folder / "v2" / "m.ckpt"), folder / "graph.pbtxt"),
    "v2_meta": lambda folder: parts_with_graph(find_source(folder / "v2" / "m.ckpt"), folder / "v1" / "m.ckpt.meta"),
    "v1_meta": lambda folder: parts_of_v1_checkpoint(find_source(folder / "v1" / "m.ckpt")),
    "v1_pb": lambda folder: parts_of_v1_checkpoint(find_source(folder / "v1" / "m.ckpt"), folder / "graph.pb"),
    "v1_parts": lambda folder: parts_of_v1_checkpoint(find_source(folder / "v1_parts" / "m.ckpt")),
}


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_and_its_graph(
    trained: tuple[Path, list[np.ndarray]], tmp_path: Path, judges: ModuleType, case: str
) -> None:
    """Both formats, whole and in parts, with a graph of each kind: the answers are those of the training session."""
    import tensorflow as tf

    folder, answers = trained
    version = exported(CASES[case](folder), tmp_path / "model")
    judge(judges, version, answers)
    source = tf.train.load_checkpoint(str(folder / "v2" / "m.ckpt"))
    written = tf.train.load_checkpoint(str(version / "variables" / "variables"))
    assert written.get_variable_to_shape_map() == source.get_variable_to_shape_map()
    for name in source.get_variable_to_shape_map():
        assert np.array_equal(written.get_tensor(name), source.get_tensor(name)), name
    assert read_variables(version).status == "ok"


def test_the_training_goes_on_from_a_converted_model(trained: tuple[Path, list[np.ndarray]], tmp_path: Path) -> None:
    """Slots of the optimizer are restored too, and the saver that was added saves what it restores."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    version = exported(CASES["v1_pb"](trained[0]), tmp_path / "model")
    with tf.Graph().as_default(), tf1.Session() as session:
        meta_graph = tf1.saved_model.load(session, ["serve"], str(version))
        session.run("train", {"net/x:0": X})
        saver = meta_graph.saver_def
        saved = session.run(saver.save_tensor_name, {saver.filename_tensor_name: str(tmp_path / "next.ckpt")})
    again = tf.train.load_checkpoint(saved.decode())
    assert again.get_tensor("global_step") == 2
    assert again.get_variable_to_shape_map()["net/emb"] == [10, 3]


def test_the_graphs_of_old_days(tmp_path: Path, judges: ModuleType) -> None:
    """A ``.meta`` whose saver reads the old format alone, under another name, restores from today's format."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    prefix = tmp_path / "old.ckpt"
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None, 4], name="net/x")
        w = tf1.get_variable("w", [4, 3], use_resource=False)
        y = tf.matmul(x, w, name="y")
        tf.as_string(y[:, 0], name="word")
        name = tf.constant("model", name="save/Const")
        raw = tf.raw_ops
        value = raw.RestoreSlice(file_pattern=name, tensor_name="average/w", shape_and_slice="", dt=tf.float32)
        assign = tf1.assign(w, tf.reshape(value, [4, 3]), name="save/Assign").op
        restore = tf.group(assign, name="save/restore_all")
        session.run(tf1.global_variables_initializer())
        save = raw.SaveSlices(filename=name, tensor_names=["average/w"], shapes_and_slices=[""], data=[w])
        session.run(save, {name: str(prefix)})
        answers = session.run(["y:0", "word:0"], {x: X})
        saver = tf1.train.SaverDef(
            filename_tensor_name="save/Const:0",
            restore_op_name=restore.name,
            save_tensor_name="save/Const:0",
            version=1,
        )
        tf1.train.export_meta_graph(f"{prefix}.meta", saver_def=saver)
    source = find_source(prefix)
    assert source.kind == V1_CHECKPOINT
    judge(judges, exported(parts_of_v1_checkpoint(source), tmp_path / "model"), answers)


def test_what_is_missing_is_named(trained: tuple[Path, list[np.ndarray]], tmp_path: Path) -> None:
    """Without a graph there is no model, and the graph of something else is told from the right one."""
    import tensorflow as tf

    folder, _ = trained
    for kind in ("v1", "v2"):
        (folder / kind / "m.ckpt.meta").replace(folder / kind / "meta")
    try:
        source, new = find_source(folder / "v1" / "m.ckpt"), find_source(folder / "v2" / "m.ckpt")
    finally:
        for kind in ("v1", "v2"):
            (folder / kind / "meta").replace(folder / kind / "m.ckpt.meta")
    assert (source.kind, new.kind) == (V1_CHECKPOINT_NO_GRAPH, TF1_CHECKPOINT_NO_GRAPH)
    with pytest.raises(ConversionError, match="give the graph") as told:
        parts_of_v1_checkpoint(source)
    assert told.value.needs == ("graph",)
    with tf.Graph().as_default() as graph:
        tf.compat.v1.get_variable("other", [2])
        tf.io.write_graph(graph.as_graph_def(), str(tmp_path), "other.pb", as_text=False)
    for found, make in ((new, parts_with_graph), (source, parts_of_v1_checkpoint)):
        with pytest.raises(ConversionError, match=r"none of the graph's variables \('other'\) is in 'm.ckpt'"):
            make(found, tmp_path / "other.pb")


def keras_model(package: Any) -> Any:
    """A model of two layers and a running mean, built by Keras 3 or tf_keras."""
    inputs = package.Input((4,), name="x")
    hidden = package.layers.BatchNormalization()(package.layers.Dense(3, activation="relu")(inputs))
    model = package.Model(inputs, package.layers.Dense(2)(hidden))
    model.compile("adam", "mse")
    model.fit(X, np.random.default_rng(5).random((2, 2)), verbose=0)
    return model


def answers_of(judges: ModuleType, folder: Path) -> list[np.ndarray]:
    """What each loader answers to ``X``."""
    (key,) = open_saved_model(folder).meta_graph().signature("serving_default").inputs
    assert judges.cpp_load(folder, ["serve"]) == ""
    return [
        next(iter(run(folder, ["serve"], "serving_default", {key: X}).values()))
        for run in (judges.run_v1, judges.run_v2)
    ]


def with_architecture(checkpoint: str, folder: Path, base_path: Path) -> tuple[Path, Parts]:
    """A version with the values of a checkpoint and the graph of a SavedModel."""
    source = find_source(checkpoint)
    assert source.kind == TF2_CHECKPOINT
    parts = parts_with_architecture(source, open_saved_model(folder))
    explorer.export(open_parts(parts), base_path, follow_outside_links=True)
    return base_path / "1", parts


@pytest.mark.parametrize("kind", ["keras", "tf_keras"])
def test_a_keras_checkpoint_and_an_export_of_the_same_architecture(
    tmp_path: Path, judges: ModuleType, kind: str
) -> None:
    """``Checkpoint(model=…)`` and ``save_weights`` fill a SavedModel that was exported from another training."""
    package = pytest.importorskip(kind)
    import tensorflow as tf

    model, other = keras_model(package), keras_model(package)
    if kind == "keras":
        other.export(str(tmp_path / "other"), verbose=False)
    else:
        other.save(str(tmp_path / "other"), save_format="tf")
    checkpoints = [
        tf.train.Checkpoint(model=model).write(str(tmp_path / "model.ckpt")),
        tf.train.Checkpoint(net=model, step=tf.Variable(3)).save(str(tmp_path / "net.ckpt")),
    ]
    if kind == "tf_keras":
        model.save_weights(str(tmp_path / "weights"))
        checkpoints.append(str(tmp_path / "weights"))
    call = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec([None, 4])])
    expected = call(tf.constant(X)).numpy()
    for number, checkpoint in enumerate(checkpoints):
        version, _ = with_architecture(checkpoint, tmp_path / "other", tmp_path / f"made_{number}")
        for answer in answers_of(judges, version):
            assert np.array_equal(answer, expected)
        assert (version / "saved_model.pb").read_bytes() == (tmp_path / "other" / "saved_model.pb").read_bytes()


def make_module(sizes: tuple[int, ...] = (2, 2)) -> Any:
    """A module with two variables of one name, in a list, and a table that grows."""
    import tensorflow as tf

    class Module(tf.Module):  # type: ignore[misc]  # tf.Module has no types
        def __init__(self) -> None:
            super().__init__()
            self.ws = [tf.Variable(tf.random.normal(shape), name="w") for shape in ([4, 2], sizes)]
            self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, -1)

        @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
        def answer(self, x: Any) -> Any:
            return {"y": x @ self.ws[0] @ self.ws[1] + self.table.lookup(tf.constant([7], tf.int64))}

    return Module()


def save_module(module: Any, folder: Path) -> Path:
    """Saves a module with its default signature."""
    import tensorflow as tf

    tf.saved_model.save(module, str(folder), {"serving_default": module.answer})
    return folder


def test_a_module_below_other_roots(tmp_path: Path, judges: ModuleType) -> None:
    """The module may be the checkpoint's root or lie below it; a table that grew has the checkpoint's content."""
    import tensorflow as tf

    module, other = make_module(), make_module()
    module.table.insert(tf.constant([7, 8], tf.int64), [0.5, 0.25])
    other.table.insert(tf.constant([7], tf.int64), [0.125])
    expected = module.answer(tf.constant(X))["y"].numpy()
    folder = save_module(other, tmp_path / "other")
    saved = {
        "root": tf.train.Checkpoint(module).write(str(tmp_path / "root")),
        "below": tf.train.Checkpoint(trainer=tf.train.Checkpoint(model=module)).write(str(tmp_path / "below")),
        "two": tf.train.Checkpoint(model=module, ema=other).write(str(tmp_path / "two")),
    }
    for name, checkpoint in saved.items():
        version, _ = with_architecture(checkpoint, folder, tmp_path / f"made_{name}")
        for answer in answers_of(judges, version):
            assert np.array_equal(answer, expected), name


def test_a_choice_is_not_guessed(tmp_path: Path) -> None:
    """Where a checkpoint holds the model twice with other values, one is asked for by its path."""
    import tensorflow as tf

    module, other = make_module(), make_module()
    folder = save_module(other, tmp_path / "other")
    source = find_source(tf.train.Checkpoint(net=module, ema=other).write(str(tmp_path / "two")))
    with pytest.raises(ConversionError, match="several times with different values, in its objects 'ema', 'net'"):
        parts_with_architecture(source, open_saved_model(folder))
    model = open_parts(parts_with_architecture(source, open_saved_model(folder), below="net"))
    assert model.path is not None
    written = tf.train.load_checkpoint(str(model.path / "variables" / "variables"))
    assert np.array_equal(written.get_tensor("ws/0/.ATTRIBUTES/VARIABLE_VALUE"), module.ws[0].numpy())


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    """The sentence names the first variable that doesn't fit, and what is there instead."""
    import tensorflow as tf

    folder = save_module(make_module((2, 3)), tmp_path / "other")
    source = find_source(tf.train.Checkpoint(model=make_module()).write(str(tmp_path / "model")))
    with pytest.raises(
        ConversionError,
        match=r"'ws/1' \('w'\) of the SavedModel, float32\[2, 3\]; it holds 'model/ws/1' as float32\[2, 2\]",
    ) as told:
        parts_with_architecture(source, open_saved_model(folder))
    assert told.value.needs == ("architecture",)


def test_a_link_out_of_the_architecture_is_not_followed(tmp_path: Path) -> None:
    """What lies outside the SavedModel doesn't become a part of the new one."""
    import tensorflow as tf

    module = make_module()
    folder = save_module(module, tmp_path / "other")
    (tmp_path / "secret").write_text("secret")
    (folder / "assets" / "link").symlink_to(tmp_path / "secret")
    source = find_source(tf.train.Checkpoint(model=module).write(str(tmp_path / "model")))
    with pytest.raises(ConversionError, match="'assets/link' of the SavedModel .* is a link that leads out of it"):
        parts_with_architecture(source, open_saved_model(folder))
