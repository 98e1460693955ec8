"""Edits that the matrix has no place for, judged by TensorFlow's own loaders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import consumers
import numpy as np
import pytest

import explorer
from explorer import ExplorerError

Copy = Callable[[str], Path]


def equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    """Whether two answers are the same to the bit."""
    return set(first) == set(second) and all(
        first[key].dtype == second[key].dtype
        and first[key].shape == second[key].shape
        and first[key].tolist() == second[key].tolist()
        for key in first
    )


@pytest.mark.parametrize(
    ("name", "signature_key", "input_key"),
    [("linear", "prediction", "input"), ("module", "serving_default", "words"), ("keras3", "serve", "size")],
)
@pytest.mark.parametrize("key", ["0/a b:c", "größe", "_x", "1abc", "a.b-c"])
def test_odd_keys_reach_everybody_who_can_take_them(
    name: str, signature_key: str, input_key: str, key: str,
    sample_models: Path, tmp_path: Path, judges: ModuleType, expected_answers: Any,
) -> None:  # fmt: skip
    """Input keys that only saving again would refuse: v1, v2 and the C++ loader take them, and answer the same bits."""
    model = explorer.open_saved_model(sample_models / name)
    case = next(case for case in expected_answers[name]["1"] if case["signature_key"] == signature_key)
    original = judges.run_v1(model.path, ["serve"], signature_key, case["inputs"])
    folder = explorer.export(explorer.rename_input(model, signature_key, input_key, key), tmp_path / "base")
    fed = {key if old == input_key else old: value for old, value in case["inputs"].items()}
    assert equal(judges.run_v1(folder, ["serve"], signature_key, fed), original)
    assert equal(judges.run_v2(folder, ["serve"], signature_key, fed), original)
    assert judges.cpp_load(folder, ["serve"]) == ""


def test_a_model_that_nobody_could_run_is_mended(sample_models: Path, tmp_path: Path, expected_answers: Any) -> None:
    """Its output was a placeholder; pointed at the result, every consumer runs it, and answers as the model meant."""
    model = explorer.open_saved_model(sample_models / "as_printed")
    folder = explorer.export(explorer.set_output_tensor(model, "prediction", "output", "add:0"), tmp_path / "base")
    linear = consumers.V1(sample_models / "linear" / "1", ["serve"])
    (case,) = expected_answers["linear"]["1"]
    x = {"input": np.array(case["inputs"]["input"], np.float32)}
    wanted = linear.run("prediction", x)["output"]
    ran = []
    for name, consumer in consumers.CONSUMERS.items():
        if name != "load and save again":  # which loses reference variables of every model
            assert consumer(folder, ["serve"]).run("prediction", x)["output"].tobytes() == wanted.tobytes()
            ran.append(name)
    assert len(ran) == 5


FUNCTIONS: list[tuple[str, str, str, dict[str, Any]]] = [  # of "call", the trace with training=False
    ("module", "half", "half", {"x": np.array([1.0, -3.0], np.float32)}),
    ("control_flow", "dense", "dense", {"x": np.array([[1.0, 0.0, 0.5]], np.float32)}),
    ("training_trace", "__inference_call_86", "call", {"x": np.array([[1.0, 2.0, 3.0]], np.float32)}),
    ("defaults", "clip", "clip", {"x": np.array([-3.0, 2.0], np.float32), "limits": np.array([0.0, 1.0], np.float32)}),
]


@pytest.mark.parametrize(("name", "function", "method", "inputs"), FUNCTIONS, ids=[case[0] for case in FUNCTIONS])
def test_a_function_that_no_signature_uses_becomes_one(
    name: str, function: str, method: str, inputs: dict[str, np.ndarray], sample_models: Path, tmp_path: Path
) -> None:
    """Every consumer runs it, with the same bits as the method that tf.saved_model.load gives back."""
    import tensorflow as tf

    model = explorer.open_saved_model(sample_models / name)
    keys = {f"{key}_of_request": key for key in inputs}
    edited = explorer.add_signature_from_function(model, "from.function", function, keys)
    folder = explorer.export(edited, tmp_path / "base")
    loaded = tf.saved_model.load(str(sample_models / name / "1"))
    python_arguments = {"training": False} if method == "call" else {}
    answer = getattr(loaded, method)(*(tf.constant(value) for value in inputs.values()), **python_arguments)
    (wanted,) = (value.numpy().tobytes() for value in tf.nest.flatten(answer))
    fed = {key: inputs[old] for key, old in keys.items()}
    for consumer in consumers.CONSUMERS.values():
        (value,) = consumer(folder, ["serve"]).run("from.function", fed).values()
        assert value.tobytes() == wanted


def test_two_truths_are_brought_into_agreement(sample_models: Path, copy_model: Copy, tmp_path: Path) -> None:
    """What other tools did to signature_def alone is what all consumers see after the repair."""
    folder = copy_model("keras3/1")
    message = consumers.proto_of(folder)
    signatures = message.meta_graphs[0].signature_def
    outputs = signatures["serve"].outputs
    outputs["scores"].CopyFrom(outputs["output_0"])
    del outputs["output_0"]
    signatures["renamed"].CopyFrom(signatures["serving_default"])
    del signatures["serving_default"]
    (folder / "saved_model.pb").write_bytes(message.SerializeToString(deterministic=True))
    before = consumers.V2(folder, ["serve"])
    assert set(before.signatures()) == {"serve", "serving_default"}
    model = explorer.open_saved_model(folder)
    with pytest.raises(ExplorerError, match="two different signatures|two models"):
        explorer.rename_input(model, "serve", "size", "petals")
    repaired = explorer.export(explorer.repair_two_truths(model), tmp_path / "base")
    random = np.random.default_rng(2021)
    x = {"size": random.normal(size=(3, 3)), "colour": random.normal(size=(3, 2))}
    x = {key: value.astype(np.float32) for key, value in x.items()}
    wanted = consumers.V1(sample_models / "keras3" / "1", ["serve"]).run("serve", x)["output_0"]
    for consumer in consumers.CONSUMERS.values():
        loaded = consumer(repaired, ["serve"])
        assert {key: set(specs[1]) for key, specs in loaded.signatures().items()} == {
            "serve": {"scores"},
            "renamed": {"output_0"},
        }
        assert loaded.run("serve", x)["scores"].tobytes() == wanted.tobytes()
        assert loaded.run("renamed", x)["output_0"].tobytes() == wanted.tobytes()


def test_inputs_and_outputs_can_be_pointed_at_interior_tensors(
    sample_models: Path, tmp_path: Path, judges: ModuleType
) -> None:
    """The product can be the answer, and then be fed itself."""
    model = explorer.open_saved_model(sample_models / "linear")
    inner = explorer.set_output_tensor(model, "prediction", "output", "MatMul:0")
    inner = explorer.add_signature(inner, "tail", {"product": "MatMul:0"}, {"sum": "add:0"})
    inner = explorer.copy_signature(inner, "prediction", "retargeted")
    inner = explorer.set_output_tensor(inner, "retargeted", "output", "add:0")
    inner = explorer.set_input_tensor(inner, "retargeted", "input", "MatMul:0")
    folder = explorer.export(inner, tmp_path / "base")
    x = {"input": [[1.0, 2.0, 3.0]]}
    product = judges.run_v1(folder, ["serve"], "prediction", x)["output"]
    whole = judges.run_v1(model.path, ["serve"], "prediction", x)["output"]
    for key, fed, out in (("tail", "product", "sum"), ("retargeted", "input", "output")):
        for run in (judges.run_v1, judges.run_v2):
            assert run(folder, ["serve"], key, {fed: product})[out].tolist() == whole.tolist()


def test_tags_and_meta_graphs(sample_models: Path, tmp_path: Path, judges: ModuleType) -> None:
    """Meta graphs are retagged, copied and removed, and each loader finds exactly what the tags ask for."""
    model = explorer.open_saved_model(sample_models / "several_meta_graphs")
    model = explorer.remove_meta_graph(model, tags={"train"})
    model = explorer.set_tags(model, ["serve", "tpu"], tags={"serve", "gpu"})
    model = explorer.copy_meta_graph(model, ["eval"], tags={"serve"})
    model = explorer.rename_output(model, "serving_default", "scores", "evaluated", tags={"eval"})
    folder = explorer.export(model, tmp_path / "base")
    x = {"features": [[1.0, 2.0]]}
    assert set(judges.run_v1(folder, ["serve"], "serving_default", x)) == {"scores"}
    assert set(judges.run_v1(folder, ["serve", "tpu"], "serving_default", x)) == {"best", "scores"}
    assert set(judges.run_v2(folder, ["eval"], "serving_default", x)) == {"evaluated"}
    with pytest.raises(RuntimeError, match="train"):
        judges.run_v1(folder, ["train"], "train", x)
    for tags in (["serve"], ["serve", "tpu"], ["eval"]):
        assert judges.cpp_load(folder, tags) == ""
    assert "Could not find meta graph" in judges.cpp_load(folder, ["train"])


def test_tags_and_method_names_of_tf2_models(sample_models: Path, tmp_path: Path, judges: ModuleType) -> None:
    """Neither stands in the object graph; both are read by every loader."""
    model = explorer.open_saved_model(sample_models / "keras3")
    model = explorer.set_method_name(model, "serve", "tensorflow/serving/regress")
    model = explorer.set_tags(model, ["serve", "gpu"])
    folder = explorer.export(model, tmp_path / "base")
    assert "serve" in judges.v2_signatures(folder, ["serve", "gpu"])
    shown = judges.saved_model_cli("show", "--dir", str(folder), "--all")
    assert "tag-set: 'gpu, serve'" in shown or "tag-set: 'serve, gpu'" in shown
    assert "Method name is: tensorflow/serving/regress" in shown


def test_a_text_model_stays_text(
    sample_models: Path, tmp_path: Path, judges: ModuleType, expected_answers: Any
) -> None:
    """A saved_model.pbtxt is edited, written as text again, and TensorFlow computes the same with it."""
    model = explorer.open_saved_model(sample_models / "text_format")
    folder = explorer.export(explorer.rename_output(model, "serving_default", "y", "result"), tmp_path / "base")
    assert sorted(path.name for path in folder.iterdir()) == ["saved_model.pbtxt", "variables"]
    (case,) = expected_answers["text_format"]["1"]
    original = judges.run_v1(model.path, ["serve"], "serving_default", case["inputs"])
    assert equal(judges.run_v1(folder, ["serve"], "serving_default", case["inputs"]), {"result": original["y"]})


def test_a_fingerprint_is_left_out_kept_or_recomputed(sample_models: Path, tmp_path: Path) -> None:
    """An edit makes it stale, so it goes; without an edit it stays; TensorFlow computes it anew on request."""
    from tensorflow.python.saved_model import fingerprinting

    from explorer.runtime.fingerprint import write_fingerprint

    model = explorer.open_saved_model(sample_models / "keras3")
    assert model.path is not None
    edited = explorer.rename_signature(model, "serve", "other")
    assert not (explorer.export(edited, tmp_path / "b") / "fingerprint.pb").exists()
    assert (explorer.export(model, tmp_path / "b") / "fingerprint.pb").read_bytes() == (
        model.path / "fingerprint.pb"
    ).read_bytes()
    fresh = explorer.export(edited, tmp_path / "b", before_publish=write_fingerprint)
    before = fingerprinting.read_fingerprint(str(model.path))
    after = fingerprinting.read_fingerprint(str(fresh))
    assert after.signature_def_hash != before.signature_def_hash
    assert after.graph_def_program_hash == before.graph_def_program_hash
