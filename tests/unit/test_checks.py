"""Each rule finds its fault, says it in one sentence with the real names, and is silent about what is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.checking.checks import check, check_folder, check_signature, new_errors
from explorer.checking.findings import Finding
from explorer.checking.method_rules import method_faults
from explorer.editing import edits
from explorer.errors import ExplorerError
from explorer.savedmodel import constants
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.object_graph import parsed
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import read_document, reread
from explorer.savedmodel.wire import encode_field as field

INT32, STRING, INT64 = 3, 7, 9
CLASSIFY, REGRESS = constants.CLASSIFY_METHOD_NAME, constants.REGRESS_METHOD_NAME


def codes(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    """Severity and rule of each finding."""
    return [(finding.severity, finding.code) for finding in findings]


def apply(model: SavedModel, finding: Finding) -> SavedModel:
    """The model after the edit that a finding offers."""
    assert finding.edit is not None
    entry = dict(finding.edit)
    function = getattr(edits, entry.pop("edit"))
    mended: SavedModel = function(model, **entry)
    return mended


@pytest.fixture
def linear(model_bytes: Any) -> Any:
    """``y = square(x + w)`` with a loss over ``y`` and a label; no signature yet."""
    return (
        model_bytes()
        .usual_ops()
        .placeholder("x")
        .placeholder("label")
        .compute("w", op="Const")
        .compute("add", "x", "w")
        .compute("y", "add", op="Square")
        .compute("loss", "y", "label")
    )


def test_right_model_has_no_findings(linear: Any) -> None:
    """Of a model that everybody can load and call nothing is said."""
    assert check(linear.signature({"x": "x:0"}, {"y": "y:0"}).model()) == ()


def test_article_slip_is_explained_and_mended(linear: Any) -> None:
    """An output that is the label placeholder: no request can be answered, and the tensor that was meant is offered."""
    model = linear.signature({"x": "x:0"}, {"y": "label:0"}).model()
    (finding,) = check(model)
    assert (finding.severity, finding.code) == ("error", "unfed_placeholder")
    assert "'label:0'" in finding.message and "no request can be answered" in finding.message
    assert "'y:0'" in finding.fix
    assert finding.edit == {
        "edit": "set_output_tensor",
        "tags": ["serve"],
        "signature_key": "serving_default",
        "output_key": "y",
        "tensor_name": "y:0",
    }
    assert (finding.field, finding.key) == ("output", "y")
    assert check(apply(model, finding)) == ()


def test_meant_tensor_is_the_one_that_meets_the_label(linear: Any) -> None:
    """Of several last tensors of the right type, that which a loss combines with the label is the one offered."""
    model = linear.compute("other", "x", op="Square").signature({"x": "x:0"}, {"y": "label:0"}).model()
    (finding,) = check(model)
    assert finding.edit is not None and finding.edit["tensor_name"] == "y:0"


def test_no_tensor_is_offered_where_two_may_be_meant(linear: Any) -> None:
    """Where it can't be told which tensor was meant, both are named and neither is offered."""
    builder = linear.compute("y2", "x", op="Square").compute("loss2", "y2", "label")
    (finding,) = check(builder.signature({"x": "x:0"}, {"y": "label:0"}).model())
    assert finding.edit is None
    assert "'y2:0'" in finding.fix and "'y:0'" in finding.fix


def test_output_that_needs_an_unfed_placeholder(linear: Any) -> None:
    """The output and the placeholder are named, through data and through control inputs."""
    builder = linear.compute("late", "x", "^label").signature({"x": "x:0"}, {"l": "loss:0", "y": "y:0", "z": "late:0"})
    findings = check(builder.model())
    assert codes(findings) == [("error", "unfed_placeholder")] * 2
    assert [finding.key for finding in findings] == ["l", "z"]
    assert all("'label'" in finding.message for finding in findings)


def test_placeholder_with_default_need_not_be_fed(model_bytes: Any) -> None:
    """A placeholder that has a value of its own is no fault, but what its value is computed from may be."""
    builder = model_bytes().usual_ops().placeholder("x").placeholder("d", op="PlaceholderWithDefault")
    builder.compute("y", "x", "d").signature({"x": "x:0"}, {"y": "y:0"})
    assert check(builder.model()) == ()


def test_fed_interior_tensor_cuts_the_placeholder_off(linear: Any) -> None:
    """An input may be any tensor; what computes it is then not needed."""
    assert check(linear.signature({"a": "add:0"}, {"y": "y:0"}).model()) == ()


@pytest.mark.parametrize(
    ("tensor_name", "code", "offered"),
    [
        ("nothing/like/it:0", "missing_tensor", None),
        ("ad:0", "missing_tensor", "add:0"),
        ("y:3", "missing_output", "y:0"),
        ("y", "bare_op_name", "y:0"),
        ("", "missing_tensor", None),
        ("^y", "missing_tensor", None),
    ],
)
def test_output_that_is_no_tensor(linear: Any, tensor_name: str, code: str, offered: str | None) -> None:
    """A name that is no tensor is an error, and a tensor of a like name is offered."""
    model = linear.signature({"x": "x:0"}, {"y": tensor_name, "other": "y:0"}).model()
    (finding,) = check(model)
    assert (finding.severity, finding.code, finding.key) == ("error", code, "y")
    assert (finding.edit or {}).get("tensor_name") == offered
    if offered:
        assert check(apply(model, finding)) == ()


def test_offered_tensor_has_the_declared_type(linear: Any) -> None:
    """A tensor of a like name is not offered where it hasn't the declared dtype or shape."""
    info = linear.info("ad:0", INT32)
    assert check(linear.signature({"x": "x:0"}, {"y": info, "z": "y:0"}).model())[0].edit is None


def test_input_that_is_no_tensor(linear: Any) -> None:
    """An input is examined like an output."""
    findings = check(linear.signature({"x": "x", "z": "gone:0"}, {"y": "y:0"}).model())
    assert codes(findings) == [("error", "bare_op_name"), ("error", "missing_tensor")]
    assert findings[0].edit is not None and findings[0].edit["edit"] == "set_input_tensor"


def test_reserved_signatures_name_ops(model_bytes: Any) -> None:
    """The init op is named without an index and without a dtype, which is right; it must exist."""
    builder = model_bytes().usual_ops().placeholder("x").compute("y", "x").node("init", "NoOp")
    builder.signature({"x": "x:0"}, {"y": "y:0"})
    op = builder.info("init", 0, builder.shape(...))
    builder.signature({}, {constants.INIT_OP_SIGNATURE_KEY: op}, constants.INIT_OP_SIGNATURE_KEY, "")
    assert check(builder.model()) == ()
    gone = builder.info("gone", 0, builder.shape(...))
    builder.signature({}, {constants.TRAIN_OP_SIGNATURE_KEY: gone}, constants.TRAIN_OP_SIGNATURE_KEY, "")
    (finding,) = check(builder.model())
    assert finding.code == "missing_tensor" and finding.edit is None


def test_init_op_may_need_the_paths_of_assets(model_bytes: Any) -> None:
    """Loaders feed the placeholders of assets when they run the init op; no other."""
    builder = model_bytes().usual_ops().placeholder("x").compute("y", "x").placeholder("path", STRING)
    builder.node("init", "NoOp", ("^path",)).signature({"x": "x:0"}, {"y": "y:0"})
    op = builder.info("init", 0)
    builder.signature({}, {constants.INIT_OP_SIGNATURE_KEY: op}, constants.INIT_OP_SIGNATURE_KEY, "")
    assert codes(check(builder.model())) == [("error", "unfed_placeholder")]
    builder.extra = field(6, field(1, field(1, "path:0")) + field(2, "vocabulary.txt"))
    assert check(builder.model()) == ()


def test_tensor_fed_twice(linear: Any) -> None:
    """Two input keys for one tensor are an error that names both."""
    (finding,) = check(linear.signature({"x": "x:0", "again": "x:0"}, {"y": "y:0"}).model())
    assert finding.code == "tensor_fed_twice" and "'x', 'again'" in finding.message


def test_output_that_is_an_input(linear: Any) -> None:
    """An output that is fed is an error."""
    (finding,) = check(linear.signature({"x": "x:0"}, {"y": "y:0", "echo": "x:0"}).model())
    assert (finding.code, finding.key) == ("output_is_input", "echo")


def test_an_input_that_is_the_result_of_a_loop(linear: Any) -> None:
    """A session takes loops and branches apart, so their results can't be fed; what takes such a result can."""
    linear.compute("loop", "x", op="StatelessWhile").compute("after", "loop").compute("z", "after")
    (finding,) = check(linear.signature({"x": "loop:0"}, {"z": "z:0"}).model())
    assert (finding.severity, finding.code, finding.key) == ("error", "fed_branch", "x")
    linear.signatures = []
    assert check(linear.signature({"x": "after:0"}, {"z": "z:0"}).model()) == ()


def test_counts_of_inputs_and_outputs(linear: Any) -> None:
    """No outputs are an error, no inputs a note."""
    builder = linear.signature({"x": "x:0"}, {}).signature({}, {"w": "w:0"}, "constant")
    assert codes(check(builder.model())) == [("error", "no_outputs"), ("note", "no_inputs")]


def test_input_that_nothing_needs(linear: Any) -> None:
    """An input without effect is a warning."""
    (finding,) = check(linear.signature({"x": "x:0", "label": "label:0"}, {"y": "y:0"}).model())
    assert (finding.severity, finding.code, finding.key) == ("warning", "unused_input", "label")


def test_declared_dtype_against_the_graph(linear: Any) -> None:
    """A wrong dtype is an error on both sides, a missing one a note, a reference is no other dtype."""
    builder = linear.signature({"x": linear.info("x:0", INT32)}, {"y": linear.info("y:0", INT64)})
    findings = check(builder.model())
    assert codes(findings) == [("error", "dtype_mismatch")] * 2
    assert "int32" in findings[0].message and "float32" in findings[0].message
    mended = apply(builder.model(), findings[0])
    assert codes(check(mended)) == [("error", "dtype_mismatch")]
    linear.signatures = []
    unspecified = linear.signature({"x": linear.info("x:0", 0)}, {"y": linear.info("y:0", 101)}).model()
    assert codes(check(unspecified)) == [("note", "unspecified_dtype")]


@pytest.mark.parametrize("number", [99, 1234, -5])
def test_dtype_number_that_does_not_exist(linear: Any, number: int) -> None:
    """A dtype that TensorFlow doesn't know is an error, and the graph's own is offered."""
    model = linear.signature({"x": "x:0"}, {"y": linear.info("y:0", number)}).model()
    (finding,) = check(model)
    assert finding.code == "bad_dtype" and str(number) in finding.message
    assert check(apply(model, finding)) == ()


def test_declared_shape_against_the_graph(linear: Any) -> None:
    """A shape that the graph contradicts is an error for an input, a warning for an output; a narrower one is fine."""
    shape = linear.shape
    narrower = linear.info("add:0", 1, shape(5))
    builder = linear.signature(
        {"x": linear.info("x:0", 1, shape(None, 3))}, {"y": linear.info("y:0", 1, shape()), "z": narrower}
    )
    findings = check(builder.model())
    assert codes(findings) == [("error", "shape_mismatch"), ("warning", "shape_mismatch")]
    assert "[?, 3]" in findings[0].message
    assert codes(check(apply(builder.model(), findings[0]))) == [("warning", "shape_mismatch")]


def test_dimension_below_minus_one(linear: Any) -> None:
    """A size of -7 is an error."""
    (finding,) = check(
        linear.signature({"x": linear.info("x:0", 1, linear.shape(-7))}, {"y": "y:0"}).model(), ["serve"]
    )[:1]
    assert finding.code == "bad_dimension" and "-7" in finding.message


def test_handles_are_no_values(linear: Any) -> None:
    """A resource can neither be declared nor fetched."""
    builder = linear.node("handle", "VarHandleOp").signature(
        {"x": "x:0"}, {"y": "y:0", "a": linear.info("handle:0", 20, linear.shape()), "b": "handle:0"}
    )
    findings = check(builder.model())
    assert codes(findings) == [("error", "resource_tensor")] * 2


def test_sparse_tensors_are_examined_by_their_parts(linear: Any) -> None:
    """Each part of a sparse input must exist and have its dtype; its dense shape is not compared with the parts'."""
    linear.placeholder("i", INT64, linear.shape(None, 2)).placeholder("s", INT64).compute("z", "y", "i", "s")

    def sparse(values: str, indices: str, dense_shape: str) -> bytes:
        parts = field(1, values) + field(2, indices) + field(3, dense_shape)
        return field(4, parts) + field(2, 1) + field(3, linear.shape(None, 9))

    good = linear.signature({"x": sparse("x:0", "i:0", "s:0")}, {"z": "z:0"}).model()
    assert check(good) == ()
    linear.signatures = []
    bad = linear.signature({"x": sparse("x:0", "label:0", "gone:0")}, {"y": "y:0"}).model()
    assert codes(check(bad)) == [("error", "missing_tensor")]
    linear.signatures = []
    wrong = linear.signature({"x": sparse("x:0", "label:0", "s:0")}, {"y": "y:0"}).model()
    (finding,) = check(wrong)
    assert finding.code == "dtype_mismatch" and "the indices of" in finding.message


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("x", []),
        ("1a.b-c", []),
        ("in", [("error", "python_keyword")]),
        ("None", [("error", "python_keyword")]),
        ("self", [("error", "self_key")]),
        ("", [("error", "empty_key")]),
        ("a/b", [("warning", "key_not_resavable")]),
        ("_x", [("warning", "key_not_resavable")]),
        ("größe", [("warning", "key_not_resavable")]),
    ],
)
def test_input_keys(linear: Any, key: str, expected: list[tuple[str, str]]) -> None:
    """Input keys that break a consumer are errors, those that only saving again refuses are warnings."""
    model = linear.signature({key: "x:0"}, {"y": "y:0"}).model()
    findings = check(model)
    assert codes(findings) == expected
    if expected and expected[0][0] == "error":
        assert check(apply(model, findings[0])) == ()


def test_keys_of_signatures_and_outputs(linear: Any) -> None:
    """Any text will do as the key of a signature or output; what is hard to type or to see is pointed out."""
    builder = linear.signature({"x": "x:0"}, {"a/b:0": "y:0", "c d": "y:0", "": "y:0"})
    builder.signature({"x": "x:0"}, {"y": "y:0"}, "").signature({"x": "x:0"}, {"y": "y:0"}, "a\u200bb")
    findings = check(builder.model())
    assert codes(findings) == [
        ("warning", "empty_key"), ("warning", "empty_key"), ("warning", "odd_key"), ("note", "odd_key")
    ]  # fmt: skip
    assert "\\u200b" in findings[2].message


def test_defaults_belong_to_inputs(linear: Any) -> None:
    """A default for what is no input is an error."""
    model = linear.signature({"x": "x:0"}, {"y": "y:0"}, defaults=("x", "gone")).model()
    (finding,) = check(model)
    assert (finding.code, finding.key) == ("default_without_input", "gone")


def test_tags(linear: Any, model_bytes: Any) -> None:
    """Letters in place of a tag, no tag, other tags than serve and equal tag sets are each named and mended."""
    linear.signature({"x": "x:0"}, {"y": "y:0"})
    linear.tags = ("s", "e", "r", "v", "e")
    (finding,) = check(linear.model())
    assert (finding.severity, finding.code) == ("error", "spelled_tags")
    assert check(apply(linear.model(), finding)) == ()
    linear.tags = ()
    (finding,) = check(linear.model())
    assert (finding.severity, finding.code) == ("warning", "no_tags")
    assert check(apply(linear.model(), finding)) == ()
    linear.tags = ("serve", "gpu")
    (finding,) = check(linear.model())
    assert (finding.severity, finding.code) == ("warning", "no_serve_tags") and "gpu,serve" in finding.message
    assert check(apply(linear.model(), finding)) == ()
    linear.tags = ("serve",)
    other = model_bytes(("serve",)).signature({}, {"y": "gone:0"})
    findings = check(linear.model(other))
    assert codes(findings)[0] == ("error", "duplicate_tags")
    assert all(found.edit is None for found in findings), "an edit by tags would reach the first of the two"
    other.tags = ("train",)
    assert codes(check(linear.model(other), ["serve"])) == []
    assert ("error", "missing_tensor") in codes(check(linear.model(other)))


def test_missing_default_signature(linear: Any) -> None:
    """Without serving_default there is a warning, with an edit where one signature is the only candidate."""
    linear.signature({"x": "x:0"}, {"y": "y:0"}, "prediction")
    (finding,) = check(linear.model())
    assert (finding.severity, finding.code) == ("warning", "no_serving_default")
    mended = apply(linear.model(), finding)
    assert set(mended.meta_graphs[0].signatures) == {"prediction", "serving_default"} and check(mended) == ()
    linear.signature({"x": "x:0"}, {"y": "y:0"}, "another")
    assert check(linear.model())[0].edit is None
    linear.signatures = []
    assert codes(check(linear.model())) == [("warning", "no_signatures")]


def test_repeated_signature_key(linear: Any) -> None:
    """A key that stands twice in the file is a warning."""
    linear.signature({"x": "x:0"}, {"y": "add:0"}).signature({"x": "x:0"}, {"y": "y:0"})
    assert codes(check(linear.model())) == [("warning", "repeated_signature_key")]


def test_object_graph_is_the_second_truth(linear: Any) -> None:
    """Signature names and input keys must be the same in both places, and unlike the root's attributes."""
    linear.signature({"x": "x:0"}, {"y": "y:0"})
    linear.object_graph(("layer",), {"serving_default": ("x",)})
    assert check(linear.model()) == ()
    linear.extra = b""
    linear.object_graph(("serving_default",), {"serving_default": None})
    assert codes(check(linear.model())) == [("warning", "shadowed_signature")]
    linear.extra = b""
    linear.object_graph((), {"serving_default": ("features",)})
    (finding,) = check(linear.model())
    assert finding.code == "two_truths" and "'features'" in finding.message
    linear.extra = b""
    linear.object_graph((), {"old_name": ("x",)})
    (finding,) = check(linear.model())
    assert finding.code == "two_truths" and "'old_name'" in finding.message and "'serving_default'" in finding.message


def test_an_output_key_that_only_servers_know_is_found(sample_models: Path) -> None:
    """Regression: a rename of an output in signature_def alone, the commonest slip, was not seen by the checks."""
    whole = open_saved_model(sample_models / "keras3")
    assert whole.document is not None
    message: Any = parsed("tensorflow.SavedModel", whole.document.to_bytes(), "the model")
    outputs = message.meta_graphs[0].signature_def["serving_default"].outputs
    outputs["scores"].CopyFrom(outputs["output_0"])
    del outputs["output_0"]
    torn = reread(whole, Document.of_bytes(message.SerializeToString(deterministic=True)))
    (finding,) = (found for found in check(torn) if found.severity == "error")
    assert (finding.code, finding.signature_key, finding.field) == ("two_truths", "serving_default", "output")
    assert "'scores'" in finding.message and "'output_0'" in finding.message


def test_no_edit_is_offered_that_an_object_graph_forbids(linear: Any) -> None:
    """On a TensorFlow 2 model a wrong tensor is reported, and no edit that would be refused is offered."""
    linear.signature({"x": "x:0"}, {"y": "label:0"}).object_graph((), {"serving_default": ("x",)})
    (finding,) = check(linear.model())
    assert finding.code == "unfed_placeholder" and finding.edit is None


def test_broken_object_graph_is_a_finding(linear: Any) -> None:
    """An object graph that refers to nodes it doesn't have is reported, not raised."""
    linear.signature({"x": "x:0"}, {"y": "y:0"})
    linear.extra = field(7, field(1, field(1, field(1, 77) + field(2, "signatures"))))
    assert codes(check(linear.model())) == [("error", "unreadable_object_graph")]


def test_method_names(linear: Any) -> None:
    """A method outside of the three is a warning, one for training a note."""
    linear.signature({"x": "x:0"}, {"y": "y:0"}, method_name="predict")
    linear.signature({"x": "x:0"}, {"y": "y:0"}, "train", "tensorflow/supervised/training")
    findings = check(linear.model())
    assert codes(findings) == [("warning", "unknown_method"), ("note", "supervised_method")]
    assert codes(check(apply(linear.model(), findings[0]))) == [("note", "supervised_method")]


def examples_signature(builder: Any, outputs: dict[str, tuple[int, tuple[Any, ...]]], method_name: str) -> SavedModel:
    """A model that takes tf.Examples, with outputs of given dtypes and shapes."""
    builder.placeholder("examples", STRING)
    infos = {}
    for key, (number, dims) in outputs.items():
        shape = builder.shape(*dims)
        builder.compute(f"node_{key}", "examples", op="Cast", number=number, shape=shape)
        infos[key] = builder.info(f"node_{key}:0", number, shape)
    builder.signature({"inputs": builder.info("examples:0", STRING)}, infos, method_name=method_name)
    model: SavedModel = builder.model()
    return model


@pytest.mark.parametrize(
    ("method_name", "outputs", "expected"),
    [
        (CLASSIFY, {"classes": (7, (None, 2)), "scores": (1, (None, 2))}, []),
        (CLASSIFY, {"scores": (1, (None, None))}, []),
        (CLASSIFY, {"scores": (1, (...,))}, []),
        (CLASSIFY, {"scores": (1, (None, 1)), "other": (1, (None,))}, []),
        (CLASSIFY, {"outputs": (1, (None, 2))}, ["method_outputs"]),
        (CLASSIFY, {"classes": (7, (None, 2)), "scores": (1, (None, 2)), "x": (1, ())}, ["method_outputs"]),
        (CLASSIFY, {"scores": (2, (None, 1))}, ["method_dtype"]),
        (CLASSIFY, {"classes": (1, (None, 1))}, ["method_dtype"]),
        (CLASSIFY, {"scores": (1, (None,))}, ["method_shape"]),
        (CLASSIFY, {"classes": (7, (None, 2)), "scores": (1, (None, 1))}, ["method_shape"]),
        (REGRESS, {"outputs": (1, (None,))}, []),
        (REGRESS, {"outputs": (1, (None, 1))}, []),
        (REGRESS, {"outputs": (1, (None, 2))}, ["method_shape"]),
        (REGRESS, {"outputs": (1, ())}, ["method_shape"]),
        (REGRESS, {"outputs": (2, (None,))}, ["method_dtype"]),
        (REGRESS, {"y": (1, (None,))}, ["method_outputs"]),
        (REGRESS, {"outputs": (1, (None,)), "more": (1, (None,))}, ["method_outputs"]),
    ],
)
def test_method_demands_on_outputs(model_bytes: Any, method_name: str, outputs: Any, expected: list[str]) -> None:
    """Classify and regress demand certain outputs, as TensorFlow Serving holds it; predict demands nothing."""
    model = examples_signature(model_bytes().usual_ops(), outputs, method_name)
    findings = check(model)
    assert [finding.code for finding in findings] == expected
    assert all(finding.severity == "warning" for finding in findings), "predict requests still work"
    signature = model.meta_graphs[0].signatures["serving_default"]
    assert [fault.code for fault in method_faults(signature, method_name)] == expected
    assert method_faults(signature, constants.PREDICT_METHOD_NAME) == ()
    if expected:
        assert check(apply(model, findings[0])) == ()


@pytest.mark.parametrize("method_name", [CLASSIFY, REGRESS])
def test_method_demands_on_inputs(linear: Any, method_name: str) -> None:
    """Classify and regress fill one string input named inputs."""
    outputs = {"scores" if method_name == CLASSIFY else "outputs": "y:0"}
    linear.signature({"x": "x:0"}, outputs, method_name=method_name)
    assert "method_inputs" in [finding.code for finding in check(linear.model())]
    linear.signatures = []
    linear.signature({"inputs": "x:0"}, outputs, method_name=method_name)
    assert "method_dtype" in [finding.code for finding in check(linear.model())]


def test_new_errors_are_those_of_the_edit(linear: Any) -> None:
    """Faults that were there before are recognised, also after a rename; new ones and only errors are told."""
    model = linear.signature({"x": "x:0"}, {"y": "loss:0", "z": "y:0"}).model()
    before = check(model)
    assert codes(before) == [("error", "unfed_placeholder")]
    renamed = edits.rename_output(edits.rename_signature(model, "serving_default", "s"), "s", "y", "answer")
    after = check(edits.set_method_name(renamed, "s", "odd"))
    assert len(after) == 3
    assert new_errors(before, after) == ()
    worse = check(edits.set_output_tensor(renamed, "s", "z", "label:0"))
    assert [finding.key for finding in new_errors(before, worse)] == ["z"]
    assert new_errors((), before) == before


def test_model_from_data_is_checked_without_a_graph(linear: Any) -> None:
    """What needs no graph is examined in a model that was made by ``from_dict``."""
    model = linear.signature({"in": "gone:0"}, {"y": "y:0"}).model()
    copied = SavedModel.from_dict(model.to_dict())
    assert codes(check(copied)) == [("error", "python_keyword")]
    assert check_folder(copied) == ()
    assert check(SavedModel.from_dict({"meta_graphs": []})) == ()


def test_draft_is_checked_without_being_in_the_model(linear: Any) -> None:
    """One signature can be examined by itself, against a graph that was read before."""
    from explorer.savedmodel.graph import read_graph

    meta_graph = linear.signature({"x": "x:0"}, {"y": "label:0"}).model().meta_graphs[0]
    signature = meta_graph.signatures["serving_default"]
    assert codes(check_signature(meta_graph, signature, read_graph(meta_graph))) == [("error", "unfed_placeholder")]
    assert check_signature(meta_graph, signature, None) == ()


def test_findings_are_one_line_and_plain_data(linear: Any) -> None:
    """Whatever names a model has, a finding is one line of visible text and turns into JSON."""
    linear.signature({"a\nb\u202e": "gone\n:0"}, {"\x1b[31m": "label:0"}, key="<script>\n", method_name="m\n")
    findings = check(linear.model())
    assert len(findings) > 4
    for finding in findings:
        assert "\n" not in finding.message + finding.fix and "\x1b" not in finding.message + finding.fix
        assert not finding.message.endswith(".")
        json.dumps(finding.to_dict())


def test_graph_that_cannot_be_read_is_a_finding(linear: Any) -> None:
    """A corrupt graph or op list is reported once, and the rest is still checked."""
    linear.signature({"in": "x:0"}, {"y": "y:0"})
    linear.nodes.append(field(1, field(1, b"\xff")))
    assert codes(check(linear.model())) == [("error", "unreadable_graph"), ("error", "python_keyword")]
    linear.nodes.pop()
    linear.ops.append(field(1, b"\x0a\x7f"))
    assert "unreadable_graph" in [finding.code for finding in check(linear.model())]


def test_duplicate_nodes_are_a_finding(linear: Any) -> None:
    """Two nodes of one name are an error of the graph."""
    linear.compute("y", "add").signature({"x": "x:0"}, {"y": "y:0"})
    assert codes(check(linear.model())) == [("error", "duplicate_nodes")]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_check_never_raises(model_bytes: Any, data: st.DataObject) -> None:
    """Whatever bytes of a model are changed, it can't be opened or it can be checked; nothing else is raised."""
    builder = (
        model_bytes().usual_ops().placeholder("x").placeholder("label").compute("y", "x").compute("l", "y", "label")
    )
    builder.signature({"x": "x:0"}, {"y": "y:0", "l": "label:0"}).signature({"inputs": "x:0"}, {}, "c", CLASSIFY)
    builder.object_graph(("a",), {"serving_default": ("x",), "c": None})
    raw = bytearray(builder.to_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        model = read_document(Document.of_bytes(bytes(raw)))
    except ExplorerError:
        return
    for finding in check(model):
        assert finding.message


def test_sample_model_as_printed_is_mended(copy_model: Callable[[str], Path]) -> None:
    """The article's own slip: the checks say that no request can be answered and offer ``add:0``."""
    model = open_saved_model(copy_model("as_printed"))
    finding = check(model)[0]
    assert finding.code == "unfed_placeholder" and "no request can be answered" in finding.message
    assert finding.edit is not None and finding.edit["tensor_name"] == "add:0"
    assert [found.severity for found in check(apply(model, finding))] == ["warning"]


def test_sample_models_that_are_right_have_no_errors(sample_models: Path) -> None:
    """Of every sample model but the broken ones and the slip no error is claimed."""
    checked = 0
    for path in sorted(sample_models.glob("*/*/saved_model.pb*")):
        if path.parts[-3] in ("broken", "as_printed", "keras3_saved"):
            continue
        model = open_saved_model(path.parent)
        errors = [found for found in check(model) if found.severity == "error"]
        assert errors == [], path
        checked += 1
    assert checked >= 10


def test_broken_sample_models_get_the_warning_that_they_are_for(sample_models: Path) -> None:
    """What ``broken/expected.json`` wants to be warned of is said by a finding."""
    expected = json.loads((sample_models / "broken" / "expected.json").read_text(encoding="utf-8"))
    checked = 0
    for name, wanted in expected.items():
        verdict, about = (wanted["verdict"], wanted["about"]) if isinstance(wanted, dict) else wanted
        if verdict == "refused":
            continue
        model = open_saved_model(sample_models / "broken" / name)
        messages = [found.message.lower() for found in check(model)]
        assert verdict != "warning" or any(about in message for message in messages), (name, messages)
        checked += 1
    assert checked >= 8


def test_folder_lacks_what_the_graph_needs(copy_model: Callable[[str], Path]) -> None:
    """Weights and assets that are gone, and a second model file, are each named."""
    folder = copy_model("half_plus_two") / "00000123"
    model = open_saved_model(folder)
    assert check_folder(model) == ()
    (asset,) = (folder / "assets").iterdir()
    asset.unlink()
    assert codes(check_folder(model)) == [("error", "missing_assets")]
    assert asset.name in check_folder(model)[0].message
    (folder / "variables" / "variables.index").unlink()
    (folder / "saved_model.pbtxt").write_text("")
    assert codes(check_folder(model)) == [
        ("warning", "several_model_files"), ("error", "missing_variables"), ("error", "missing_assets")
    ]  # fmt: skip
    assert check(model) == (check_folder(model)[1], check_folder(model)[2], check_folder(model)[0]), "errors first"


def test_model_without_variables_needs_no_weights(model_bytes: Any, tmp_path: Path) -> None:
    """Where the graph has no variables, a missing variables folder is right; where it has one, it is an error."""
    builder = model_bytes().usual_ops().placeholder("x").compute("y", "x").signature({"x": "x:0"}, {"y": "y:0"})
    (tmp_path / "saved_model.pb").write_bytes(builder.to_bytes())
    assert check_folder(open_saved_model(tmp_path)) == ()
    (tmp_path / "saved_model.pb").write_bytes(builder.node("v", "VarHandleOp").to_bytes())
    (finding,) = check_folder(open_saved_model(tmp_path))
    assert finding.code == "missing_variables" and "'v'" in finding.message


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd"])
def test_asset_outside_of_the_folder(model_bytes: Any, tmp_path: Path, name: str) -> None:
    """An asset that leads out of the model's folder is an error."""
    builder = model_bytes().usual_ops().placeholder("x").compute("y", "x").signature({"x": "x:0"}, {"y": "y:0"})
    builder.extra = field(6, field(1, field(1, "path:0")) + field(2, name))
    (tmp_path / "saved_model.pb").write_bytes(builder.to_bytes())
    (finding,) = check_folder(open_saved_model(tmp_path))
    assert finding.code == "asset_outside" and name in finding.message
