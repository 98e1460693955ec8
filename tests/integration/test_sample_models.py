"""The sample models answer as expected.json says, and build.py builds exactly what is committed."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SAMPLE_MODELS = Path(__file__).resolve().parents[2] / "sample_models"
EXPECTED: dict[str, dict[str, list[dict[str, Any]]]] = json.loads((SAMPLE_MODELS / "expected.json").read_text("utf-8"))
VERSIONS = [(model, version) for model, versions in EXPECTED.items() for version in versions]
RUNNABLE_BROKEN_ONES = (
    "duplicate_signature_key",
    "hostile_names",
    "no_default_signature",
    "tags_in_letters",
    "warmup_names_gone_signature",
)


def _load(name: str, file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def answers() -> ModuleType:
    """The module that asks a model what expected.json holds."""
    return _load("sample_model_answers", SAMPLE_MODELS / "recipes" / "answers.py")


@pytest.mark.parametrize(("model", "version"), VERSIONS)
def test_answers_are_the_expected_ones(answers: ModuleType, model: str, version: str) -> None:
    """Loaded as TensorFlow Serving loads it, each model gives the answers that were worked out without it."""
    assert answers.wrong_answers(SAMPLE_MODELS / model / version, EXPECTED[model][version]) == []


def test_every_committed_version_has_answers() -> None:
    """No model is left out of expected.json; only those that can answer nothing have an empty list."""
    committed = {file.parent for file in SAMPLE_MODELS.glob("*/*/saved_model.pb*")} - set(
        (SAMPLE_MODELS / "broken").iterdir()
    )
    assert {(folder.parent.name, folder.name) for folder in committed} == set(VERSIONS)
    assert [model for model, version in VERSIONS if not EXPECTED[model][version]] == ["as_printed", "custom_op"]


def test_only_keras3_saved_is_asked_by_its_objects(answers: ModuleType) -> None:
    """Every other model answers as TensorFlow Serving would ask it, and this one does not: it misses its variables."""
    import tensorflow as tf

    asked_otherwise = {
        model for model, version in VERSIONS for answer in EXPECTED[model][version] if answer.get("loaded")
    }
    assert asked_otherwise == {"keras3_saved"}
    for answer in copy.deepcopy(EXPECTED["keras3_saved"]["1"]):
        del answer["loaded"]
        with pytest.raises(tf.errors.FailedPreconditionError, match="Could not find variable"):
            answers.wrong_answers(SAMPLE_MODELS / "keras3_saved" / "1", [answer])


def test_no_loader_opens_the_custom_op() -> None:
    """The model with an op that nobody has registered is refused by both loaders, which name the op."""
    import tensorflow as tf

    folder = str(SAMPLE_MODELS / "custom_op" / "1")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session, pytest.raises(Exception, match="ExampleCustomOp"):
        tf.compat.v1.saved_model.load(session, ["serve"], folder)
    with pytest.raises(Exception, match="ExampleCustomOp"):
        tf.saved_model.load(folder)


def test_a_wrong_answer_is_noticed(answers: ModuleType) -> None:
    """A number that differs in the fourth digit is reported, with the signature that it belongs to."""
    answer = copy.deepcopy(EXPECTED["linear"]["1"][0])
    answer["outputs"]["output"][1][0] += 0.001
    (problem,) = answers.wrong_answers(SAMPLE_MODELS / "linear" / "1", [answer])
    assert problem.startswith("prediction of linear/1: output is ")


@pytest.mark.parametrize("name", RUNNABLE_BROKEN_ONES)
def test_broken_models_with_a_whole_graph_run(name: str) -> None:
    """These models are wrong in their names only: TensorFlow loads them, and each signature gives back its input."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    folder = SAMPLE_MODELS / "broken" / name
    message = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tags = list(message.meta_graphs[0].meta_info_def.tags)
        meta_graph = tf.compat.v1.saved_model.load(session, tags, str(folder))
        assert meta_graph.signature_def
        for signature in meta_graph.signature_def.values():
            (fed,), (fetched,) = signature.inputs.values(), signature.outputs.values()
            assert session.run(fetched.name, {fed.name: [1.0, 2.0]}).tolist() == [1.0, 2.0]


def test_build_builds_what_is_committed() -> None:
    """``build.py --check`` finds nothing to complain about and prints one line for each model."""
    command = [sys.executable, str(SAMPLE_MODELS / "build.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert sorted(names) == sorted([*EXPECTED, "broken"])


def test_every_broken_model_has_a_verdict() -> None:
    """broken/expected.json names exactly the folders that are there."""
    broken = SAMPLE_MODELS / "broken"
    expected = json.loads((broken / "expected.json").read_text("utf-8"))
    assert set(expected) == {folder.name for folder in broken.iterdir() if folder.is_dir()}
    assert {entry["verdict"] for entry in expected.values()} == {"refused", "warning", "shown"}


def test_the_sample_models_are_small() -> None:
    """No file is larger than 200 KB and all together are below 2 MB, so that a clone stays quick."""
    sizes = [file.stat().st_size for file in SAMPLE_MODELS.rglob("*") if file.is_file()]
    assert max(sizes) < 200_000
    assert sum(sizes) < 2_000_000
