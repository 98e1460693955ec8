"""What is a SavedModel already, or was written in an odd order: converted all the same, and equal."""

from __future__ import annotations

import shutil
from pathlib import Path

import judges
import numpy as np
import pytest

import explorer


@pytest.mark.parametrize("name", ["keras2", "linear", "tf_example"])
def test_a_saved_model_becomes_a_version(name: str, sample_models: Path, tmp_path: Path) -> None:
    """A folder that Keras 3's ``load_model`` refuses is a SavedModel: it becomes the next version, byte for byte."""
    source = tmp_path / "as_it_came"
    shutil.copytree(next(path for path in sorted((sample_models / name).iterdir()) if path.is_dir()), source)
    version = explorer.convert(source, tmp_path / "models")
    assert version == tmp_path / "models" / "1"
    assert judges.tree(version) == judges.tree(source)
    assert judges.cpp_load(version, ["serve"]) == ""
    assert explorer.prove(source, version, consent=True).holds


def test_inputs_of_a_tf_keras_model_in_another_order(tmp_path: Path) -> None:
    """Its dict of inputs isn't in the order of the alphabet, which the file's config lists them in.

    They were once compared one after the other, and the file was refused although each name was there.
    """
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    layers = tf_keras.layers
    inputs = {"b": tf_keras.Input((3,), name="b"), "a": tf_keras.Input((2,), name="a")}
    joined = layers.Concatenate()([inputs["b"], inputs["a"]])
    model = tf_keras.Model(
        inputs, {"z": layers.Dense(2, name="z")(joined), "y": layers.Dense(1, name="y")(inputs["a"])}
    )
    fed = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones((2, 2), np.float32)}
    expected = model.predict(fed, verbose=0)
    for ending in ("keras", "h5"):
        model.save(tmp_path / f"model.{ending}")
        version = explorer.convert(tmp_path / f"model.{ending}", tmp_path / ending, consent=True)
        assert judges.cpp_load(version, ["serve"]) == ""
        for run in (judges.run_v1, judges.run_v2):
            answer = run(version, ["serve"], "serving_default", fed)
            for key, value in expected.items():
                np.testing.assert_allclose(answer[key], value, atol=1e-6)
