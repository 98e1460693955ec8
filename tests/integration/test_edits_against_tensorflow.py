"""Every edit, exported and judged by TensorFlow's own loaders: all of them see one model, with the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import explorer
from explorer import SavedModel

Edit = Callable[[SavedModel], SavedModel]


def equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    """Whether two answers are the same to the bit."""
    return set(first) == set(second) and all(
        first[key].dtype == second[key].dtype
        and first[key].shape == second[key].shape
        and first[key].tolist() == second[key].tolist()
        for key in first
    )


TF2_CASES = [
    ("keras3", "serving_default"),
    ("keras3", "serve"),
    ("module", "serving_default"),
    ("module", "repeat"),
    ("module", "shift"),
    ("tf_example", "serving_default"),
    ("image_bytes", "serving_default"),
]


@pytest.mark.parametrize(("name", "key"), TF2_CASES)
def test_signature_edits_of_tf2_models_reach_both_truths(
    name: str, key: str, sample_models: Path, tmp_path: Path, judges: ModuleType, expected_answers: Any
) -> None:
    """Rename, copy and remove: signature_def and tf.saved_model.load agree, and the outputs are the same bits."""
    model = explorer.open_saved_model(sample_models / name)
    assert model.path is not None
    others = set(model.meta_graph().callable_signatures) - {key}
    renamed = explorer.export(explorer.rename_signature(model, key, "renamed/ключ"), tmp_path / "renamed")
    copied = explorer.export(explorer.copy_signature(model, key, "copy"), tmp_path / "copied")
    before = judges.v2_signatures(model.path, ["serve"])
    for folder, keys in ((renamed, {"renamed/ключ": key}), (copied, {key: key, "copy": key})):
        after = judges.v2_signatures(folder, ["serve"])
        assert after == {
            **{other: before[other] for other in others},
            **{new: before[old] for new, old in keys.items()},
        }
        shown = explorer.open_saved_model(folder).meta_graph().callable_signatures
        assert set(shown) == set(after)
        assert judges.cpp_load(folder, ["serve"]) == ""
        if (case := answer_case(expected_answers[name]["1"], key)) is not None:
            original = judges.run_v1(model.path, ["serve"], key, case["inputs"])
            for new in keys:
                assert equal(judges.run_v1(folder, ["serve"], new, case["inputs"]), original)
                assert equal(judges.run_v2(folder, ["serve"], new, case["inputs"]), original)
    removed = explorer.export(explorer.remove_signature(model, key), tmp_path / "removed")
    assert judges.v2_signatures(removed, ["serve"]) == {other: before[other] for other in others}
    assert set(explorer.open_saved_model(removed).meta_graph().callable_signatures) == others
    assert judges.cpp_load(removed, ["serve"]) == ""


def answer_case(cases: list[dict[str, Any]], key: str) -> dict[str, Any] | None:
    """The recorded request of a signature whose inputs can be written down in JSON."""
    for case in cases:
        if case["signature_key"] == key and not any("b64" in str(value) for value in case["inputs"].values()):
            return case
    return None


def test_the_answers_above_are_really_compared(expected_answers: Any) -> None:
    """Most of the cases have a recorded request: without one, no number is compared."""
    assert sum(answer_case(expected_answers[name]["1"], key) is not None for name, key in TF2_CASES) >= 4


TF1_EDITS: list[tuple[str, Edit, str, dict[str, str], dict[str, str]]] = [
    ("rename", lambda m: explorer.rename_signature(m, "prediction", "serving_default"), "serving_default", {}, {}),
    ("copy", lambda m: explorer.copy_signature(m, "prediction", "again"), "again", {}, {}),
    ("input", lambda m: explorer.rename_input(m, "prediction", "input", "features"), "prediction",
     {"features": "input"}, {}),
    ("odd input", lambda m: explorer.rename_input(m, "prediction", "input", "0/a b:c"), "prediction",
     {"0/a b:c": "input"}, {}),
    ("output", lambda m: explorer.rename_output(m, "prediction", "output", "scores"), "prediction",
     {}, {"scores": "output"}),
    ("add", lambda m: explorer.add_signature(m, "new", {"a": "Placeholder:0"}, {"b": "add:0"}), "new",
     {"a": "input"}, {"b": "output"}),
    ("add and remove output",
     lambda m: explorer.remove_output(
         explorer.add_output(m, "prediction", "product", "MatMul:0"), "prediction", "product"),
     "prediction", {}, {}),
    ("method", lambda m: explorer.set_method_name(m, "prediction", "tensorflow/serving/regress"), "prediction", {}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "key", "inputs", "outputs"), [case[1:] for case in TF1_EDITS], ids=[case[0] for case in TF1_EDITS]
)
def test_edits_of_tf1_models_keep_the_numbers(
    edit: Edit, key: str, inputs: dict[str, str], outputs: dict[str, str],
    sample_models: Path, tmp_path: Path, judges: ModuleType, expected_answers: Any,
) -> None:  # fmt: skip
    """Each edit of signature_def: v1, v2 and the C++ loader take it, and the answers are the same bits."""
    model = explorer.open_saved_model(sample_models / "linear")
    (case,) = expected_answers["linear"]["1"]
    original = judges.run_v1(model.path, ["serve"], "prediction", case["inputs"])
    assert np.allclose(original["output"], case["outputs"]["output"])
    folder = explorer.export(edit(model), tmp_path / "base")
    fed = {new: case["inputs"][old] for new, old in (inputs or {"input": "input"}).items()}
    wanted = {new: original[old] for new, old in (outputs or {"output": "output"}).items()}
    assert equal(judges.run_v1(folder, ["serve"], key, fed), wanted)
    assert equal(judges.run_v2(folder, ["serve"], key, fed), wanted)
    assert judges.cpp_load(folder, ["serve"]) == ""


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
