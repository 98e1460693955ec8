"""Signatures that take encoded pictures, on real models: they answer as the plain ones do on the same pixels."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import explorer
from explorer.cli import main
from explorer.runtime.compare_pictures import compare_pictures
from explorer.runtime.wrap import wrap_version

PICTURES = Path(__file__).parents[1] / "fixtures_images"
MIXED = ("colour.jpg", "colour.png", "grey.png", "tall.jpg", "grey.jpg")
"""JPEG and PNG, colour and grey, of several sizes."""


def picture(name: str) -> tuple[str, bytes]:
    """The name and the bytes of a picture."""
    return name, (PICTURES / name).read_bytes()


def make_keras3(folder: Path) -> None:
    """An export of Keras 3."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8, 8, 3), name="pixels"), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2, name="animal")]
    )
    model.export(str(folder), verbose=False)


def make_keras2(folder: Path) -> None:
    """A model that Keras 2 saved; grey."""
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    layers = tf_keras.layers
    model = tf_keras.Sequential([layers.Input((7, 7, 1), name="pixels"), layers.Flatten(), layers.Dense(2)])
    model.save(str(folder), save_format="tf")


def make_module(folder: Path) -> None:
    """A tf.Module that takes integers, channels first."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(np.random.default_rng(1).normal(0, 1, (108, 4)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec([None, 3, 6, 6], tf.uint8, name="pixels")])
        def look(self, pixels: Any) -> Any:
            return {"scores": tf.matmul(tf.reshape(tf.cast(pixels, tf.float32) / 255.0, [-1, 108]), self.weights)}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.look})


def make_tf1(folder: Path) -> None:
    """A graph of TensorFlow 1 with reference variables and a loop."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        pixels = v1.placeholder(tf.float32, [None, 5, 5, 3], name="pixels")
        weights = np.random.default_rng(1).normal(0, 1, (75, 3)).astype(np.float32)
        kernel = v1.get_variable("kernel", initializer=weights, use_resource=False)
        flat = tf.reshape(pixels, [-1, 75])
        v1.disable_control_flow_v2()
        _, scores = v1.while_loop(
            lambda turn, _: turn < 3, lambda turn, sum_: (turn + 1, sum_ + tf.matmul(flat, kernel)),
            (tf.constant(0), tf.zeros_like(flat[:, :3])),
        )  # fmt: skip
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def({"pixels": pixels}, {"scores": scores})
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()


MAKERS: dict[str, Callable[[Path], None]] = {
    "keras3": make_keras3, "keras2": make_keras2, "module": make_module, "tf1": make_tf1,
}  # fmt: skip


@pytest.fixture(scope="module", params=list(MAKERS))
def wrapped_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    """A model with a second version that takes pictures, and a third one that takes base64 text too."""
    base = tmp_path_factory.mktemp(str(request.param))
    MAKERS[str(request.param)](base / "1")
    first, _ = wrap_version("image", base, base)
    second, _ = wrap_version("base64", base, base, fit="pad")
    return base, first, second


def test_mixed_pictures_answer_as_their_pixels_do(wrapped_model: tuple[Path, Any, Any]) -> None:
    """Five pictures of other sizes, formats and colours in one batch: at most 1e-6 from the plain signature."""
    base, first, second = wrapped_model
    for version, wrapped in (("2", first), ("3", first), ("3", second)):
        found = compare_pictures(base / version, wrapped, [picture(name) for name in MIXED], consent=True)
        assert found.largest_difference <= 1e-6, found.sentence


def test_every_loader_takes_batches_of_0_1_and_5(wrapped_model: tuple[Path, Any, Any]) -> None:
    """``tf.saved_model.load`` and ``tf.compat.v1`` give as many rows as there are pictures, and the same ones."""
    base, first, _ = wrapped_model
    signature = explorer.open_saved_model(base / "3").meta_graph().signature(first.signature_key)
    (input_key,), (output_key, *_) = signature.inputs, signature.outputs
    batches = [[picture(name)[1] for name in MIXED[:count]] for count in (0, 1, 5)]
    loaded = tf.saved_model.load(str(base / "3"))
    asked = loaded.signatures[first.signature_key]
    eager = [asked(**{input_key: tf.constant(batch, tf.string, [len(batch)])})[output_key].numpy() for batch in batches]
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.load(session, ["serve"], str(base / "3"))
        for batch, other in zip(batches, eager, strict=True):
            fed = {signature.inputs[input_key].tensor_name: np.array(batch, object)}
            answer = session.run(signature.outputs[output_key].tensor_name, fed)
            assert len(answer) == len(batch)
            np.testing.assert_array_equal(answer, other)


def test_the_old_signature_and_the_weights_stay(wrapped_model: tuple[Path, Any, Any]) -> None:
    """The plain signature is the same to the bit in every loader, and ``variables/`` to the byte."""
    base, first, _ = wrapped_model
    proof = explorer.prove(base / "1", base / "3", consent=True)
    assert proof.holds
    plain = [one for one in proof.signatures if one.after_key == first.plain_key]
    assert plain and all(output.largest_difference == 0 for one in plain for output in one.outputs)
    digests = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (base / version / "variables").iterdir()}
        for version in "123"
    ]
    assert digests[0] == digests[1] == digests[2]


def test_the_request_panel_has_the_right_body(wrapped_model: tuple[Path, Any, Any]) -> None:
    """The body of the new signature has bytes in base64, that of the other one text; a server takes both."""
    base, first, second = wrapped_model
    model = explorer.open_saved_model(base)
    assert '{"b64": "' in explorer.request_body(model, first.signature_key)
    _, data = picture("colour.png")
    encoded = base64.b64encode(data).decode()
    texts = [encoded, base64.urlsafe_b64encode(data).decode().rstrip("=")]
    with explorer.rest(base, consent=True) as server:
        by_bytes = server.predict(
            json.dumps({"signature_name": first.signature_key, "instances": [{"b64": encoded}] * 2})
        )
        by_text = server.predict(json.dumps({"signature_name": second.signature_key, "instances": texts}))
        broken = server.predict(json.dumps({"signature_name": second.signature_key, "instances": ["bm8gcGljdHVyZQ"]}))
    assert (by_bytes.status, by_text.status, broken.status) == (200, 200, 400)
    assert len(by_bytes.json()["predictions"]) == len(by_text.json()["predictions"]) == 2
    first_row, second_row = by_text.json()["predictions"]
    assert first_row == second_row


def test_the_checks_find_nothing_new(wrapped_model: tuple[Path, Any, Any]) -> None:
    """The wrapped versions have no errors or warnings that the first one hasn't."""
    base, _, _ = wrapped_model
    before = {one.code for one in explorer.check(explorer.open_saved_model(base / "1"))}
    for version in "23":
        assert {one.code for one in explorer.check(explorer.open_saved_model(base / version))} <= before


def test_a_picture_that_cant_be_decoded_is_named_before_anything_runs(wrapped_model: tuple[Path, Any, Any]) -> None:
    """The sentence says which picture of the batch it is."""
    base, first, _ = wrapped_model
    with pytest.raises(explorer.RequestError, match=r"image 2 of 2 \('cat.txt'\)"):
        compare_pictures(base / "2", first, [picture("colour.png"), picture("cat.txt")], consent=True)


def test_the_command_prints_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The options of the command reach the step, and the last line is the folder."""
    make_keras3(tmp_path / "b" / "1")
    arguments = ["--signature", "serving_default", "--scale", "-1..1", "--new-signature", "seen", "--resize", "8x8"]
    status = main(["wrap", "image", str(tmp_path / "b"), "--export", str(tmp_path / "b"), *arguments])
    printed = capsys.readouterr()
    assert (status, printed.err) == (0, "")
    assert printed.out.splitlines()[-1] == str(tmp_path / "b" / "2")
    assert "x / 127.5 - 1" in printed.out
    assert "seen" in explorer.open_saved_model(tmp_path / "b").meta_graph().signatures
