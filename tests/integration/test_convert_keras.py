"""Keras files as SavedModels: what Keras computes is what every loader computes from what was written."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import consumers
import numpy as np
import pytest

from explorer.checking.checks import check
from explorer.errors import ConversionError, ExportError, RunCancelledError, RunError
from explorer.runtime.convert_keras import convert_keras
from explorer.runtime.convert_keras_child import named_inputs
from explorer.runtime.convert_memory import convert_model
from explorer.runtime.keras_export import Endpoint, export_keras_model
from explorer.runtime.keras_files import look_inside
from explorer.runtime.keras_loading import load_keras_file
from explorer.runtime.keras_names import settle_endpoints
from explorer.savedmodel.opening import open_saved_model

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures_keras"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text())

BOTH = pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras", "tf_keras"])

CUSTOM = """
    import os
    import keras

    class Scaled(keras.layers.Layer):
        def __init__(self, factor=2.0, **more):
            super().__init__(**more)
            self.factor = factor

        def build(self, shape):
            self.offset = self.add_weight(shape=(shape[-1],), name="offset", initializer="ones")

        def call(self, values):
            return values * self.factor + self.offset

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    @keras.saving.register_keras_serializable("pkg")
    class Whole(keras.Model):
        def __init__(self, **more):
            super().__init__(**more)
            self.dense = keras.layers.Dense(2, name="inner")

        def call(self, values):
            return {"sum": self.dense(values), "same": values}
"""


def converted(path: Path, folder: Path, *endpoints: Endpoint, **options: Any) -> Any:
    """Converts a file in this process, by the steps of the child, and gives what was loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    loaded = load_keras_file(path, folder, **options)
    wanted = [
        Endpoint(each.key, named_inputs(loaded, each.inputs), each.outputs)
        for each in endpoints or (Endpoint("serving_default"),)
    ]
    export_keras_model(loaded.keras, loaded.model, folder / "model", wanted)
    settle_endpoints(folder / "model", wanted)
    return loaded


def answers(folder: Path, inputs: dict[str, Any], signature_key: str = "serving_default") -> dict[str, np.ndarray]:
    """What all loaders answer, which must be the same; and that the model has no fault that is known."""
    findings = [finding for finding in check(open_saved_model(folder)) if finding.severity == "error"]
    assert not findings, findings
    first: dict[str, np.ndarray] | None = None
    for kind in (consumers.V1, consumers.V2, consumers.Cpp):
        loaded = kind(folder, ["serve"])
        found = dict(loaded.run(signature_key, inputs))
        loaded.close()
        if first is None:
            first = found
        assert set(found) == set(first)
        for key, value in found.items():
            np.testing.assert_allclose(value, first[key], rtol=0, atol=1e-6, err_msg=f"{kind.__name__} {key}")
    assert first is not None
    return first


def two_by_two(framework: Any) -> Any:
    """Two inputs, two outputs, batch normalization with statistics of its own, dropout, a nested model."""
    image = framework.Input((6, 6, 2), name="image")
    numbers = framework.Input((3,), name="numbers")
    x = framework.layers.Conv2D(3, 3, activation="relu", name="conv")(image)
    normal = framework.layers.BatchNormalization(name="normal")
    x = framework.layers.GlobalAveragePooling2D(name="pool")(normal(x))
    x = framework.layers.Concatenate(name="join")([x, numbers])
    x = framework.layers.Dropout(0.5, name="drop")(x)
    inner = framework.Sequential([framework.Input((6,)), framework.layers.Dense(4, activation="tanh")], name="nested")
    x = inner(x)
    model = framework.Model(
        [image, numbers],
        [framework.layers.Dense(2, activation="softmax", name="classes")(x), framework.layers.Dense(1, name="size")(x)],
    )
    normal.set_weights([np.linspace(0.5, 2, 3) + number for number in range(4)])
    return model


def values(*shape: int) -> np.ndarray:
    """Some numbers."""
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


@BOTH
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_graph_of_layers(framework: Any, ending: str, tmp_path: Path) -> None:
    """Inputs by their names, outputs by those of their layers, in two signatures; and the same numbers."""
    model = two_by_two(framework)
    model.save(tmp_path / f"m{ending}")
    features = Endpoint("features", None, {"pooled": "pool"})
    loaded = converted(tmp_path / f"m{ending}", tmp_path / "out", Endpoint("serving_default"), features)
    assert loaded.keras is framework
    image, numbers = values(2, 6, 6, 2), values(2, 3)
    expected = model.predict([image, numbers], verbose=0)
    found = answers(tmp_path / "out/model", {"image": image, "numbers": numbers})
    for key, value in zip(("classes", "size"), expected, strict=True):
        np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-6)
    pooled = framework.Model(model.inputs, model.get_layer("pool").output).predict([image, numbers], verbose=0)
    # The layer hangs on one input only, so its signature has only that.
    found = answers(tmp_path / "out/model", {"image": image}, "features")
    np.testing.assert_allclose(found["pooled"], pooled, rtol=0, atol=1e-6)
    assert set(open_saved_model(tmp_path / "out/model").meta_graph().callable_signatures) == {
        "serving_default",
        "features",
    }


@BOTH
def test_other_names(framework: Any, tmp_path: Path) -> None:
    """Keys and the signature's name as they are asked for; a signature that nobody asked for isn't there."""
    two_by_two(framework).save(tmp_path / "m.keras")
    endpoint = Endpoint("answer", {"pixels": "image", "the.rest": "numbers"}, ["a", "b"])
    converted(tmp_path / "m.keras", tmp_path / "out", endpoint)
    signatures = open_saved_model(tmp_path / "out/model").meta_graph().callable_signatures
    assert {key: (set(each.inputs), set(each.outputs)) for key, each in signatures.items()} == {
        "answer": ({"pixels", "the.rest"}, {"a", "b"})
    }
    found = answers(tmp_path / "out/model", {"pixels": values(1, 6, 6, 2), "the.rest": values(1, 3)}, "answer")
    assert set(found) == {"a", "b"}


@BOTH
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_sequences(framework: Any, ending: str, tmp_path: Path) -> None:
    """Whole numbers as input, a recurrent layer and a bidirectional one."""
    model = framework.Sequential(
        [
            framework.Input((None,), dtype="int32", name="words"),
            framework.layers.Embedding(9, 4),
            framework.layers.Bidirectional(framework.layers.LSTM(3, return_sequences=True)),
            framework.layers.GRU(2, name="state"),
        ]
    )
    model.save(tmp_path / f"m{ending}")
    converted(tmp_path / f"m{ending}", tmp_path / "out")
    words = np.array([[1, 2, 3], [8, 0, 5]], np.int32)
    found = answers(tmp_path / "out/model", {"words": words})
    np.testing.assert_allclose(found["state"], model.predict(words, verbose=0), rtol=0, atol=1e-6)


@BOTH
def test_texts_and_dicts(framework: Any, tmp_path: Path) -> None:
    """Lookup layers on texts, with their tables; inputs and outputs that are dicts have the keys of the dicts."""
    word, text = framework.Input((1,), dtype="string", name="w"), framework.Input((1,), dtype="string", name="t")
    lookup = framework.layers.StringLookup(vocabulary=["red", "green"], name="lookup")
    vector = framework.layers.TextVectorization(output_sequence_length=3, name="vector")
    vector.adapt(np.array(["a b c", "a b", "a"]))
    model = framework.Model({"word": word, "text": text}, {"number": lookup(word), "numbers": vector(text)})
    model.save(tmp_path / "m.keras")
    found_inside = look_inside(tmp_path / "m.keras")
    assert ({each.key for each in found_inside.inputs}, {*found_inside.outputs}) == (
        {"word", "text"},
        {"number", "numbers"},
    )
    by_layer = Endpoint("serving_default", {"word": "word", "text": "t"})  # a layer's name says the input as well
    converted(tmp_path / "m.keras", tmp_path / "out", by_layer)
    words, texts = np.array([["green"], ["blue"]], object), np.array([["b a z"], ["c"]], object)
    found = answers(tmp_path / "out/model", {"word": words, "text": texts})
    assert found["number"].tolist() == [[2], [0]]
    expected = model({"word": tf.constant(words), "text": tf.constant(texts)})["numbers"]
    assert found["numbers"].tolist() == expected.numpy().tolist()


@BOTH
def test_weights_with_an_architecture(framework: Any, tmp_path: Path) -> None:
    """Files of weights, old and new, need an architecture: as JSON or as a whole file; and nothing else will do."""
    model, other = two_by_two(framework), framework.Sequential([framework.Input((2,)), framework.layers.Dense(1)])
    model.save_weights(tmp_path / "new.weights.h5")
    model.save(tmp_path / "whole.h5")
    if framework is tf_keras:
        model.save_weights(tmp_path / "old.h5")
    else:
        shutil.copy(tmp_path / "whole.h5", tmp_path / "old.h5")  # its weights are taken, not its model
    (tmp_path / "architecture.json").write_text(model.to_json())
    (tmp_path / "other.json").write_text(other.to_json())
    two_by_two(framework).save(tmp_path / "same.keras")
    image, numbers = values(2, 6, 6, 2), values(2, 3)
    expected = model.predict([image, numbers], verbose=0)[0]
    for number, (file, architecture) in enumerate(
        (
            ("new.weights.h5", "architecture.json"),
            ("new.weights.h5", "same.keras"),
            ("old.h5", "architecture.json"),
            ("old.h5", "same.keras"),
        )
    ):
        folder = tmp_path / f"out{number}"
        converted(tmp_path / file, folder, architecture=tmp_path / architecture)
        found = answers(folder / "model", {"image": image, "numbers": numbers})
        np.testing.assert_allclose(found["classes"], expected, rtol=0, atol=1e-6)
    for file in ("new.weights.h5", "old.h5"):
        with pytest.raises(ConversionError, match="don't fit the architecture|another architecture"):
            converted(tmp_path / file, tmp_path / "bad", architecture=tmp_path / "other.json")
    with pytest.raises(ConversionError, match="holds weights and no model.*kernel|holds weights and no model.*vars/0"):
        converted(tmp_path / "new.weights.h5", tmp_path / "bad")
    with pytest.raises(ConversionError, match="given as the architecture"):
        converted(tmp_path / "old.h5", tmp_path / "bad", architecture=tmp_path / "new.weights.h5")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_files_of_old_keras(name: str, tmp_path: Path) -> None:
    """Files as Keras wrote them before TensorFlow 2 answer what numpy computes by the formulas of that time."""
    converted(FIXTURES / name, tmp_path)
    inputs = {
        key: np.array(value, np.float32 if "input" not in key or "dense" in key else None)
        for key, value in EXPECTED[name]["inputs"].items()
    }
    found = answers(
        tmp_path / "model",
        {key: value.astype(np.float32) if "lstm" in name else value for key, value in inputs.items()},
    )
    for key, value in EXPECTED[name]["outputs"].items():
        np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-6)


def test_file_of_keras_1(tmp_path: Path) -> None:
    """Layers of Keras 1 are refused with a sentence; with an architecture of today their weights are taken."""
    with pytest.raises(ConversionError, match=r"arguments of Keras 1 \('W_regularizer'\)"):
        converted(FIXTURES / "keras_1_2_2_sequential.h5", tmp_path)
    model = tf_keras.Sequential([tf_keras.Input((4,), name="x"), tf_keras.layers.Dense(2, name="y")])
    (tmp_path / "a.json").write_text(model.to_json())
    converted(FIXTURES / "keras_1_2_2_sequential.h5", tmp_path, architecture=tmp_path / "a.json")
    assert answers(tmp_path / "model", {"x": np.zeros((1, 4), np.float32)})["y"].shape == (1, 2)


def test_custom_classes(tmp_path: Path) -> None:
    """A layer and a model of somebody's own, from a file, in a child process; without them, a sentence names them."""
    file = tmp_path / "my_own_layers.py"
    file.write_text(textwrap.dedent(CUSTOM))
    sys.path.insert(0, str(tmp_path))
    try:
        from my_own_layers import Scaled, Whole  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(tmp_path))
    whole = Whole()
    data = values(2, 3)
    expected = whole(data)["sum"].numpy()
    whole.save(tmp_path / "whole.keras")
    model = keras.Sequential([keras.Input((3,), name="x"), Scaled(3.0, name="scaled")])
    model.save(tmp_path / "layer.keras")
    model.save(tmp_path / "layer.h5")
    with pytest.raises(ConversionError, match="layer 'scaled' is of the class 'Scaled'"):
        convert_keras(tmp_path / "layer.h5", tmp_path / "no", consent=True)
    for number, name in enumerate(("layer.keras", "layer.h5")):
        made = convert_keras(
            tmp_path / name, tmp_path / f"out{number}", consent=True, custom_objects={"Scaled": f"{file}:Scaled"}
        )
        np.testing.assert_array_equal(answers(made.path, {"x": data})["scaled"], data * 3 + 1)
    made = convert_keras(
        tmp_path / "whole.keras", tmp_path / "out", consent=True, custom_objects={"Whole": f"{file}:Whole"},
        input_keys=["x"], output_keys={"answer": "sum"},
    )  # fmt: skip
    np.testing.assert_allclose(answers(made.path, {"x": data})["answer"], expected, rtol=0, atol=1e-6)


def test_whole_way(tmp_path: Path) -> None:
    """Through the child: progress to the end, notes, the keys that were made, nothing but the SavedModel left."""
    model = two_by_two(tf_keras)
    model.save(tmp_path / "m.h5")
    told: list[tuple[str, int, int]] = []
    made = convert_keras(
        tmp_path / "m.h5", tmp_path / "out", consent=True, endpoints={"features": "nested"},
        progress=lambda *event: told.append(event),
    )  # fmt: skip
    assert made.signatures == {
        "serving_default": (("image", "numbers"), ("classes", "size")),
        "features": (("image", "numbers"), ("nested",)),
    }
    assert made.framework == f"tf_keras {tf_keras.__version__}"
    assert [event[1] for event in told] == sorted(event[1] for event in told)
    assert told[-1] == ("done", 8, 8)
    assert {path.name for path in made.path.iterdir()} <= {"saved_model.pb", "variables", "assets", "fingerprint.pb"}
    with pytest.raises(ExportError, match="isn't empty"):
        convert_keras(tmp_path / "m.h5", tmp_path / "out", consent=True)


def test_what_isnt_done(tmp_path: Path) -> None:
    """No consent, no time, a wish to stop: an error, and nothing is written."""
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "m.keras")
    out = tmp_path / "out"
    with pytest.raises(RunError, match="consent=True"):
        convert_keras(tmp_path / "m.keras", out, consent=False)
    with pytest.raises(RunError, match="more than 1 seconds"):
        convert_keras(tmp_path / "m.keras", out, consent=True, timeout_s=1)
    stop = threading.Event()
    timer = threading.Timer(2, stop.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(RunCancelledError):
        convert_keras(tmp_path / "m.keras", out, consent=True, cancel=stop)
    assert time.monotonic() - started < 60
    with pytest.raises(ConversionError, match="no layer 'nope'"):
        convert_keras(tmp_path / "m.keras", out, consent=True, endpoints={"x": "nope"})
    with pytest.raises(ConversionError, match="asked for twice"):
        convert_keras(tmp_path / "m.keras", out, consent=True, endpoints={"serving_default": "dense"})
    assert not out.exists()


@BOTH
def test_keys_that_cant_be(framework: Any, tmp_path: Path) -> None:
    """Keys that a loader or a client stumbles over, names that aren't there, layers that can't be asked: sentences."""
    shared = framework.layers.Dense(2, name="shared")
    a, b = framework.Input((2,), name="a"), framework.Input((2,), name="b")
    pair = framework.layers.LSTM(2, return_state=True, return_sequences=True, name="pair")
    x = pair(framework.layers.Reshape((1, 2))(shared(a)))[0]
    model = framework.Model([a, b], [framework.layers.Flatten(name="flat")(x), shared(b)])

    def tried(words: str, inputs: Any = None, outputs: Any = None) -> None:
        with pytest.raises(ConversionError, match=words):
            export_keras_model(framework, model, tmp_path / "x", [Endpoint("s", inputs, outputs)])

    tried("can't be the key of an input", {"class": "a"})
    tried("can't be the key of an input", {"a b": "a"})
    tried("can't be the key of an output", None, {"a/b": "flat"})
    tried("no input 'c'; it has 'a', 'b'", {"x": "c"})
    tried("would have one key", ["x", "x"])
    tried("1 keys are given for the inputs", ["x"])
    tried("no output and no layer 'nope'; outputs: 'flat', 'shared'", None, {"y": "nope"})
    tried("used several times", None, {"y": "shared:0"})
    tried("has 3 outputs: name one of them, from 'pair:0' to 'pair:2'", None, {"y": "pair"})
    export_keras_model(framework, model, tmp_path / "x", [Endpoint("s", None, {"y": "pair:1"})])


@BOTH
def test_models_in_memory(framework: Any, tmp_path: Path) -> None:
    """A model of the caller's own, with a checkpoint of another process restored into it first."""

    def fresh() -> Any:
        return framework.Sequential([framework.Input((3,), name="x"), framework.layers.Dense(2, name="y")])

    model = fresh()
    expected = model.predict(values(2, 3), verbose=0)
    prefix = tf.train.Checkpoint(net=model, step=tf.Variable(3)).write(str(tmp_path / "checkpoint/named"))
    root = tf.train.Checkpoint(root=model).write(str(tmp_path / "checkpoint/root"))
    model.save_weights(tmp_path / "w.weights.h5")
    for number, checkpoint in enumerate((prefix, root, tmp_path / "w.weights.h5")):
        made = convert_model(fresh(), tmp_path / f"out{number}", checkpoint=checkpoint)
        assert made.signatures == {"serving_default": (("x",), ("y",))}
        np.testing.assert_allclose(answers(made.path, {"x": values(2, 3)})["y"], expected, rtol=0, atol=1e-6)
    other = framework.Sequential([framework.Input((3,)), framework.layers.Dense(5)])
    before = [value.copy() for value in other.get_weights()]
    for checkpoint in (prefix, root, tmp_path / "w.weights.h5"):
        with pytest.raises(ConversionError, match="fit the model"):
            convert_model(other, tmp_path / "bad", checkpoint=checkpoint)
    assert all(np.array_equal(*pair) for pair in zip(before, other.get_weights(), strict=True))
    with pytest.raises(ConversionError, match="no checkpoint at"):
        convert_model(other, tmp_path / "bad", checkpoint=tmp_path / "nothing")
    with pytest.raises(ConversionError, match="isn't built"):
        convert_model(framework.Sequential([framework.layers.Dense(1)]), tmp_path / "bad")


def test_modules_in_memory(tmp_path: Path) -> None:
    """A tf.Module with functions: ``__call__`` is the signature, others are asked for, outputs get names."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x: Any) -> Any:
            return x * self.factor

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def both(self, x: Any) -> Any:
            return {"double": x * self.factor, "same": x}

    module, data = Module(), np.array([1, 2], np.float32)
    made = convert_model(module, tmp_path / "out", output_keys=["doubled"], endpoints={"both": "both"})
    assert answers(made.path, {"x": data})["doubled"].tolist() == [2, 4]
    assert answers(made.path, {"x": data}, "both")["double"].tolist() == [2, 4]
    with pytest.raises(ConversionError, match="no tf.function 'nope'; it has '__call__', 'both'"):
        convert_model(module, tmp_path / "bad", endpoints={"n": "nope"})
    for thing in (3, "x", object()):
        with pytest.raises(ConversionError, match="can't be converted"):
            convert_model(thing, tmp_path / "bad")


def test_keras_3_inside_a_module(tmp_path: Path) -> None:
    """tf.saved_model.save of a Keras 3 model writes what no server runs; what comes out here is run by all."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def __call__(self, x: Any) -> Any:
            return {"y": self.model(x)}

    module = Module()
    made = convert_model(module, tmp_path / "out")
    expected = module.model.predict(values(2, 3), verbose=0)
    np.testing.assert_allclose(answers(made.path, {"x": values(2, 3)})["y"], expected, rtol=0, atol=1e-6)


def test_hostile_files_are_refused_before_keras_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Lambda in either format is refused by the caller's side already: the child that has Keras isn't started."""
    marker, place = tmp_path / "marker", str(tmp_path / "marker")
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Lambda(lambda x: x if os.makedirs(place, exist_ok=True) else x, name="evil")]
    )
    shutil.rmtree(marker, ignore_errors=True)
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    outer = tf_keras.Sequential([tf_keras.Input((2,)), tf_keras.Sequential([tf_keras.layers.Lambda(lambda x: x + 1)])])
    outer.save(tmp_path / "k2.keras")
    outer.save(tmp_path / "k2.h5")
    shutil.rmtree(marker, ignore_errors=True)
    import explorer.runtime.convert_keras as module

    monkeypatch.setattr(module, "run_child", lambda *arguments, **options: pytest.fail("Keras was started"))
    for name in ("m.keras", "m.h5", "k2.keras", "k2.h5"):
        with pytest.raises(ConversionError, match="is a Lambda layer"):
            convert_keras(tmp_path / name, tmp_path / "out", consent=True, custom_objects={"Lambda": "os:system"})
        with pytest.raises(ConversionError, match="is a Lambda layer"):
            load_keras_file(tmp_path / name, tmp_path)
    assert not marker.exists()
    assert not (tmp_path / "out").exists()
