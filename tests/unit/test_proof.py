"""What a proof makes of answers, how it follows edits, what it feeds, and how its child process is fenced in."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import explorer
from explorer.errors import FormatError, RunCancelledError, RunError
from explorer.render.proofs import proof_frame, proof_html, proof_sentence, proof_text
from explorer.runtime import tasks
from explorer.runtime.batch_test import batch_test, stacked
from explorer.runtime.child import NO_TENSORFLOW, Ended, run_child
from explorer.runtime.compare import SAME, compare
from explorer.runtime.examples import encoded_example, encoded_image, example_features
from explorer.runtime.generated import Choice, bound_value, choices, generated, merged, row_splits, text_kinds
from explorer.runtime.pairs import pairs_by_likeness, pairs_from_edits
from explorer.runtime.proof import LOADERS, Proof, prove
from explorer.savedmodel.model import DType, SavedModel, Shape, TensorInfo
from explorer.savedmodel.records import iter_fields
from explorer.savedmodel.tensors import Tensor

FLOAT, INT32, STRING, INT64, BFLOAT16 = 1, 3, 7, 9, 14

Model = Callable[[Mapping[str, Any], dict[str, Tensor]], dict[str, Tensor]]
"""A run of a plan and its feeds by key → its outputs."""


class FakeChild:
    """Does the plan in this process, with a function in place of every model; what a test sets makes it misbehave."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.started = 0
        self.refused: dict[tuple[str, int], str] = {}  # loader, 0 for the old and 1 for the new model → why
        self.crashes_at: tuple[int, int | None] | None = None  # task, and run or None for while it loads

    def __call__(self, module: str, arguments: list[str], folder: Path, **_: Any) -> Ended:
        """Takes the place of ``run_child``."""
        self.started += 1
        plan = json.loads((folder / "plan.json").read_text())
        with (folder / "events.jsonl").open("a") as events:
            for position in range(int(arguments[0]), len(plan["tasks"])):
                if not self.do(
                    position, plan["tasks"][position], folder, lambda **event: print(json.dumps(event), file=events)
                ):
                    return Ended(-11, "", "off")
        return Ended(0, "", "off")

    def do(self, position: int, task: Mapping[str, Any], folder: Path, tell: Callable[..., None]) -> bool:
        """Does one task; False where it crashes."""
        tell(task=position, event="begin")
        if self.crashes_at == (position, None):
            return False
        if reason := self.refused.get((task["loader"], position % 2)):
            tell(task=position, event="refused", error=reason)
        else:
            tell(task=position, event="loaded")
            for number, entry in enumerate(task["runs"]):
                tell(task=position, event="run", run=number)
                if self.crashes_at == (position, number):
                    return False
                tell(task=position, event="answer", run=number, **self.answer(position, number, entry, folder))
        tell(task=position, event="end")
        return True

    def answer(self, position: int, number: int, entry: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """The answer to one run."""
        feeds = {feed["key"]: Tensor.read(folder / feed["file"]) for feed in entry["feeds"]}
        try:
            outputs = self.model({**entry, "new": position % 2 == 1}, feeds)
        except ValueError as error:
            return {"error": str(error)}
        files = {}
        for count, (key, value) in enumerate(outputs.items()):
            files[key] = [f"{position}-{number}-{count}.tensor"]
            value.write(folder / files[key][0])
        return {"outputs": files}


def doubling(run: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
    """Answers with twice the sum of whatever it is fed, in every output."""
    total = sum((feed.to_array().astype("f4").sum() for feed in feeds.values()), np.float32(0))
    return {fetch["key"]: Tensor.from_array(np.array([2 * total], "f4"), FLOAT) for fetch in run["fetches"]}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[Model], FakeChild]:
    """Puts a fake in the place of the child process."""

    def put(model: Model) -> FakeChild:
        child = FakeChild(model)
        monkeypatch.setattr(tasks, "run_child", child)
        return child

    return put


@pytest.fixture
def linear(sample_models: Path) -> SavedModel:
    """A model of TensorFlow 1 with one signature, ``prediction``: ``input`` → ``output``."""
    return explorer.open_saved_model(sample_models / "linear")


def exported(model: SavedModel, tmp_path: Path) -> Path:
    """The folder that a model is exported into."""
    return explorer.export(model, tmp_path / "base")


def test_nothing_runs_without_consent(linear: SavedModel, fake: Callable[[Model], FakeChild]) -> None:
    """Without consent the sentence says what it is for, and no child is started."""
    child = fake(doubling)
    with pytest.raises(RunError, match=r"runs the code in both models, in a child process.*consent=True"):
        prove(linear, linear, consent=False)
    with pytest.raises(RunError, match=r"consent=True"):
        batch_test(linear, "prediction", consent=False)
    assert child.started == 0


def test_a_draft_must_be_exported_first(linear: SavedModel) -> None:
    """The new model has to lie in a folder; the sentence says what to do."""
    draft = explorer.rename_output(linear, "prediction", "output", "scores")
    for new in (draft, SavedModel.from_dict(linear.to_dict() | {"path": None})):
        with pytest.raises(RunError, match="export it first"):
            prove(linear, new, consent=True)
    with pytest.raises(RunError, match="export it first"):
        batch_test(draft, "prediction", consent=True)


def test_renames_are_followed_and_equal_answers_hold(
    linear: SavedModel, tmp_path: Path, fake: Callable[[Model], FakeChild]
) -> None:
    """Signature, input and output have new names; each is compared with what it was, and the difference is 0."""
    draft = explorer.rename_signature(linear, "prediction", "first")
    draft = explorer.rename_input(draft, "first", "input", "x")
    draft = explorer.rename_output(draft, "first", "output", "scores")
    draft = explorer.copy_signature(draft, "first", "second")
    child = fake(doubling)
    steps: list[tuple[int, int]] = []
    proof = prove(draft, exported(draft, tmp_path), consent=True, progress=lambda *step: steps.append(step))
    assert [(loading.loader, loading.before, loading.after) for loading in proof.loaders] == [
        (name, "", "") for name in LOADERS.values()
    ]
    assert [(s.before_key, s.after_key, s.state) for s in proof.signatures] == [
        ("prediction", key, "compared") for _ in LOADERS for key in ("first", "second")
    ]
    for output in proof.compared:
        assert (output.before_key, output.after_key, output.largest_difference) == ("output", "scores", 0.0)
        assert output.equal_bits
    assert proof.holds and proof.largest_difference == 0 and child.started == 1
    assert steps[-1][0] == steps[-1][1] > 0
    assert json.loads(json.dumps(proof.to_dict(), allow_nan=False))["holds"] is True


def test_a_difference_is_measured(linear: SavedModel, fake: Callable[[Model], FakeChild]) -> None:
    """A new model that is off by one says so, and holds only where that is tolerated."""

    def off_by_one(run: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        base = np.array([0, 10], "f4") + np.float32(run["new"])
        return {"output": Tensor.from_array(base, FLOAT)}

    fake(off_by_one)
    proof = prove(linear, linear, consent=True, loaders=("cpp",))
    (output,) = proof.compared
    assert (output.largest_difference, output.relative_difference, output.equal_bits) == (1.0, 0.1, False)
    assert not proof.holds and proof.largest_difference == 1.0
    assert "differ" in proof_sentence(proof)
    assert prove(linear, linear, consent=True, loaders=("cpp",), tolerance=0.2).holds


def test_answers_that_vary_by_themselves_are_told_apart(linear: SavedModel, fake: Callable[[Model], FakeChild]) -> None:
    """Where the old model doesn't agree with itself, a difference says nothing against the new one."""
    numbers = iter(range(10_000))
    fake(lambda run, feeds: {"output": Tensor.from_array(np.array([next(numbers)], "f4"), FLOAT)})
    proof = prove(linear, linear, consent=True, loaders=("cpp",))
    (output,) = proof.compared
    assert output.varies and "differently each time" in output.note
    assert proof.holds and proof.largest_difference is None


def test_a_state_that_both_models_keep_is_no_difference(linear: SavedModel, fake: Callable[[Model], FakeChild]) -> None:
    """A counter gives other answers each time, but the same ones in both models, because both run in one order."""
    counts = {False: 0, True: 0}

    def counting(run: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        counts[run["new"]] += 1
        return {"output": Tensor.from_array(np.array([counts[run["new"]]], "f4"), FLOAT)}

    fake(counting)
    (output,) = prove(linear, linear, consent=True, loaders=("cpp",)).compared
    assert output.equal_bits and not output.varies


def test_a_loader_that_refuses_only_the_new_model_breaks_the_proof(
    linear: SavedModel, fake: Callable[[Model], FakeChild]
) -> None:
    """What the loader says is kept; a loader that refused the old model, too, is no reason."""
    child = fake(doubling)
    child.refused = {("cpp", 0): "no", ("cpp", 1): "no", ("v2", 1): "signatures\x1b[31m differ\nand more"}
    proof = prove(linear, linear, consent=True)
    assert [loading.holds for loading in proof.loaders] == [True, True, False]
    assert proof.loaders[2].after == "signatures\\u001b[31m differ"
    assert not proof.holds
    assert {signature.loader for signature in proof.signatures} == {"tf.compat.v1"}
    assert "refused by tf.saved_model.load" in proof_sentence(proof)


def test_refused_inputs(linear: SavedModel, fake: Callable[[Model], FakeChild]) -> None:
    """Inputs that both refuse compare nothing; inputs that only the new model refuses break the proof."""

    def refusing(both: bool) -> Model:
        def model(run: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
            if both or run["new"]:
                raise ValueError("a vocabulary is missing")
            return doubling(run, feeds)

        return model

    fake(refusing(both=True))
    proof = prove(linear, linear, consent=True, loaders=("v1",))
    (signature,) = proof.signatures
    assert (signature.state, proof.holds, proof.compared) == ("left out", True, ())
    assert "neither model answers" in signature.note and "a vocabulary is missing" in signature.note
    fake(refusing(both=False))
    proof = prove(linear, linear, consent=True, loaders=("v1",))
    assert proof.signatures[0].state == "failed" and not proof.holds


@pytest.mark.parametrize(("run", "loads"), [(None, False), (0, True)])
def test_a_crash_is_told_and_the_rest_is_still_done(
    run: int | None, loads: bool, linear: SavedModel, fake: Callable[[Model], FakeChild]
) -> None:
    """Where the new model brings the second loader down, another child goes on with the third."""
    child = fake(doubling)
    child.crashes_at = (3, run)
    proof = prove(linear, linear, consent=True)
    assert child.started == 2
    assert [loading.holds for loading in proof.loaders] == [True, loads, True]
    assert not proof.holds
    told = proof.loaders[1].after or next(s.note for s in proof.signatures if s.state == "failed")
    assert "crashed (SIGSEGV)" in told
    assert {s.loader for s in proof.signatures if s.state == "compared"} == {LOADERS["cpp"], LOADERS["v2"]}


def test_a_child_that_tells_nonsense_is_an_error(linear: SavedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files outside its folder are not read, and what can't be understood is one sentence."""

    def child(nonsense: str) -> Callable[..., Ended]:
        def run(module: str, arguments: list[str], folder: Path, **_: Any) -> Ended:
            lines = ['{"task": 0, "event": "begin"}', '{"task": 0, "event": "loaded"}', nonsense]
            (folder / "events.jsonl").write_text("\n".join(lines))
            return Ended(0, "", "off")

        return run

    for nonsense in (
        '{"task": 0, "event": "answer", "run": 0, "outputs": {"output": ["../../etc/passwd"]}}',
        '{"task": 0, "event": "answer", "run": 99, "outputs": {}}',
        '{"task": 0, "event": "answer", "run": 0, "outputs": 7}',
    ):
        monkeypatch.setattr(tasks, "run_child", child(nonsense))
        with pytest.raises((RunError, FormatError), match="can't be understood"):
            prove(linear, linear, consent=True)


def test_without_tensorflow_there_is_one_sentence(linear: SavedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install."""
    monkeypatch.setattr(tasks, "run_child", lambda *_, **__: Ended(NO_TENSORFLOW, "", "off"))
    with pytest.raises(RunError, match=r"TensorFlow, which isn't installed here.*pip install 'savedmodel-explorer"):
        prove(linear, linear, consent=True)


def test_edits_are_followed_in_order(sample_models: Path) -> None:
    """Every kind of entry does to keys what the edit does; those that change no key are passed over."""
    model = explorer.open_saved_model(sample_models / "module")
    followed = pairs_from_edits(
        model,
        [
            {"edit": "rename_signature", "signature_key": "repeat", "new_key": "again"},
            {"edit": "bind_input", "signature_key": "again", "input_key": "times", "value": 2},
            {"edit": "rename_input", "signature_key": "again", "input_key": "x", "new_key": "values"},
            {"edit": "set_input_shape", "signature_key": "again", "input_key": "values", "shape": [1, 2]},
            {"edit": "copy_signature", "signature_key": "serving_default", "new_key": "copy"},
            {"edit": "rename_output", "signature_key": "copy", "output_key": "ids", "new_key": "numbers"},
            {"edit": "remove_output", "signature_key": "copy", "output_key": "weights"},
            {"edit": "set_output_tensor", "signature_key": "copy", "output_key": "numbers", "tensor_name": "z:0"},
            {"edit": "remove_signature", "signature_key": "shift"},
            {"edit": "add_signature_from_function", "signature_key": "new", "function_name": "f"},
            {"edit": "clear_devices"},
            {"edit": "set_tags", "new_tags": ["serve", "gpu"]},
        ],
    )
    assert followed.tags == {"serve", "gpu"}
    by_key = {pair.after_key or f"({pair.before_key})": pair for pair in followed.pairs}
    assert set(by_key) == {"again", "serving_default", "copy", "(shift)", "new"}
    assert (by_key["again"].before_key, by_key["again"].inputs) == ("repeat", {"values": "x"})
    assert by_key["again"].bound == {"times": 2}
    assert (by_key["copy"].before_key, by_key["copy"].outputs) == ("serving_default", {"numbers": "ids"})
    assert "another tensor" in by_key["copy"].notes["numbers"]
    assert by_key["serving_default"].outputs == {"ids": "ids", "weights": "weights"}
    assert by_key["(shift)"].moved and by_key["new"].moved


def test_edits_of_other_meta_graphs_are_left_alone(sample_models: Path) -> None:
    """An entry counts where its tags are those of the meta graph at that time."""
    model = explorer.open_saved_model(sample_models / "several_meta_graphs")
    key = "serving_default"
    edits = [
        {"edit": "set_tags", "tags": ["serve", "gpu"], "new_tags": ["tpu"]},
        {"edit": "rename_output", "tags": ["tpu"], "signature_key": key, "output_key": "best", "new_key": "b"},
        {"edit": "rename_output", "signature_key": key, "output_key": "scores", "new_key": "s"},
    ]
    (served,) = pairs_from_edits(model, edits, {"serve"}).pairs
    other = pairs_from_edits(model, edits, {"serve", "gpu"})
    assert served.outputs == {"s": "scores"}
    assert other.tags == {"tpu"} and other.pairs[0].outputs == {"b": "best", "scores": "scores"}


def test_models_without_known_edits_are_paired_by_likeness(sample_models: Path) -> None:
    """Equal keys first, then equal tensors; a key that stands alone is new or gone."""
    model = explorer.open_saved_model(sample_models / "half_plus_two")
    draft = explorer.rename_signature(model, "serving_default", "other")
    draft = explorer.rename_output(explorer.rename_input(draft, "other", "x", "number"), "other", "y", "half")
    draft = explorer.remove_signature(draft, "classify_x")
    pairs = {pair.before_key: pair for pair in pairs_by_likeness(model.meta_graph(), draft.meta_graph())}
    assert pairs["serving_default"].after_key == "other"
    assert (pairs["serving_default"].inputs, pairs["serving_default"].outputs) == ({"number": "x"}, {"half": "y"})
    assert pairs["classify_x"].after_key is None and pairs["regress_x"].after_key == "regress_x"


def test_a_bound_input_is_fed_to_the_old_model_only(
    sample_models: Path, tmp_path: Path, fake: Callable[[Model], FakeChild]
) -> None:
    """The value that the new model has built in is what the old one gets."""
    model = explorer.open_saved_model(sample_models / "module")
    seen: list[tuple[bool, str, dict[str, Tensor]]] = []

    def model_of_both(run: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append((run["new"], run["signature_key"], feeds))
        return {fetch["key"]: Tensor.from_array(np.zeros(1, "f4"), FLOAT) for fetch in run["fetches"]}

    fake(model_of_both)
    edits = [{"edit": "bind_input", "signature_key": "shift", "input_key": "amount", "value": 2.5}]
    data = model.to_dict()
    del data["meta_graphs"][0]["signatures"]["shift"]["inputs"]["amount"]
    proof = prove(model, SavedModel.from_dict(data), consent=True, edits=edits, loaders=("cpp",))
    shifts = [(new, feeds) for new, key, feeds in seen if key == "shift"]
    assert {new for new, _ in shifts} == {False, True}
    for new, feeds in shifts:
        assert set(feeds) == ({"x"} if new else {"x", "amount"})
        assert new or feeds["amount"].to_array() == np.float32(2.5)
    assert proof.holds


def test_edits_of_another_model_are_refused(linear: SavedModel) -> None:
    """Pairs that name what isn't there are an error that names it, not a proof of nothing."""
    edits = [{"edit": "rename_output", "signature_key": "prediction", "output_key": "output", "new_key": "scores"}]
    with pytest.raises(RunError, match="don't lead from the one model to the other.*'prediction'.*'scores'"):
        prove(linear, linear, consent=True, edits=edits)


def tensor_info(dtype: int, *dims: int | None) -> TensorInfo:
    """A declaration."""
    return TensorInfo(DType(dtype), Shape(dims), "x:0")


KINDS = {"plain text": lambda random: b"text %d" % random.integers(0, 100)}


@given(
    st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 17, 18, 19, 22, 23]),
    st.none() | st.lists(st.none() | st.integers(0, 5), max_size=4).map(tuple),
    st.integers(1, 4),
    st.booleans(),
)
def test_made_up_values_fit_what_is_declared(
    dtype: int, dims: tuple[int | None, ...] | None, batch: int, small: bool
) -> None:
    """Dtype and shape are the declared ones, floats lie in [-1, 1], whole numbers are small; the seed decides."""
    info = TensorInfo(DType(dtype), Shape(dims), "x:0")
    value = generated("x", info, Choice(batch, small), KINDS, 7)[""]
    assert value.dtype == dtype and Shape(dims).is_compatible_with(Shape(value.shape))
    assert not dims or dims[0] is not None or value.shape[0] == batch
    assert value == generated("x", info, Choice(batch, small), KINDS, 7)[""]
    if dtype != STRING and value.data:
        numbers = value.to_array()
        limit = 255 if dtype == 4 else 2 if numbers.dtype.kind in "iub" else 1.5
        assert numbers.shape == value.shape and np.abs(numbers).max() <= limit
        assert numbers.dtype.kind not in "iu" or numbers.min() >= 0


def test_inputs_differ_by_key_and_seed() -> None:
    """Two inputs of one declaration get different values, and so do two seeds."""
    info = tensor_info(FLOAT, None, 8)
    values = [generated(key, info, Choice(), KINDS, seed)[""] for key in ("a", "b") for seed in (0, 1)]
    assert len(set(values)) == 4


def test_sparse_inputs_are_valid(sample_models: Path) -> None:
    """Indices lie inside the dense shape, in order, and each has a value."""
    model = explorer.open_saved_model(sample_models / "shapes_and_types")
    info = model.meta_graph().signature("sparse").input("features")
    parts = {role: value.to_array() for role, value in generated("features", info, Choice(3), KINDS, 0).items()}
    assert parts["dense_shape"].tolist() == [3, 4]
    assert len(parts["indices"]) == len(parts["values"]) == 3
    assert (parts["indices"] >= 0).all() and (parts["indices"] < [3, 4]).all()
    assert parts["indices"].tolist() == sorted(parts["indices"].tolist())


def test_ragged_arguments_get_row_splits() -> None:
    """What looks like row splits is tried as such: innermost over the values, the others over one row."""
    inputs = {"r": tensor_info(FLOAT, None), "r_1": tensor_info(INT64, None), "r_2": tensor_info(INT32, None)}
    splits = row_splits(inputs, Choice(3))
    assert {key: parts[""].to_array().tolist() for key, parts in splits.items()} == {"r_1": [0, 3], "r_2": [0, 1]}
    assert row_splits({"a": tensor_info(INT64, None), "b_1": tensor_info(INT64, None)}, Choice()) == {}
    assert [choice.ragged for choice in choices(inputs, KINDS, (1,))] == [True, False]


def test_choices_are_made_only_where_something_is_open() -> None:
    """A closed declaration is run once; an open batch once a size; other open dimensions twice as often."""
    assert len(choices({"x": tensor_info(FLOAT, 2, 3)}, KINDS, (1, 3))) == 1
    assert len(choices({"x": tensor_info(FLOAT)}, KINDS, (1, 3))) == 1
    assert [choice.batch for choice in choices({"x": tensor_info(FLOAT, None, 3)}, KINDS, (1, 3))] == [1, 3]
    assert len(choices({"x": tensor_info(FLOAT, None, None)}, KINDS, (1, 3))) == 4
    assert [c.text for c in choices({"x": tensor_info(STRING, 1)}, {"image": KINDS["plain text"], **KINDS}, (1,))] == [
        "image",
        "plain text",
    ]


def test_two_declarations_are_merged_or_contradict() -> None:
    """What either knows is kept; another dtype or an impossible shape is told."""
    assert merged(tensor_info(FLOAT, None, 3), tensor_info(FLOAT, 1, None)).shape.dims == (1, 3)
    with pytest.raises(RunError, match="int32"):
        merged(tensor_info(FLOAT, 1), tensor_info(INT32, 1))
    with pytest.raises(RunError, match=r"\[2\].*\[1\]"):
        merged(tensor_info(FLOAT, 1), tensor_info(FLOAT, 2))


def test_values_too_large_or_of_no_dtype_are_refused() -> None:
    """Neither memory nor an exception of numpy's is spent on them."""
    with pytest.raises(RunError, match="too many"):
        generated("x", tensor_info(FLOAT, 1 << 20, 1 << 20), Choice(), KINDS, 0)
    with pytest.raises(RunError, match="resource"):
        generated("x", tensor_info(20, 1), Choice(), KINDS, 0)
    with pytest.raises(RunError, match="bound"):
        bound_value("x", tensor_info(FLOAT, 1), ["no number"])


def test_bound_texts_may_be_bytes() -> None:
    """A text is UTF-8, or base64 as in request bodies."""
    assert bound_value("x", tensor_info(STRING, 2), ["é", {"b64": "/w=="}])[""].texts == ("é".encode(), b"\xff")


def test_records_have_the_features_that_the_model_parses(sample_models: Path) -> None:
    """The features are found in the functions of the graph, and a record has an entry for each."""
    meta_graph = explorer.open_saved_model(sample_models / "tf_example").meta_graph()
    features = {feature.name: (feature.dtype, feature.size) for feature in example_features(meta_graph)}
    assert features == {"age": (FLOAT, 1), "clicks": (INT64, 1), "country": (STRING, 1)}
    assert list(text_kinds(meta_graph)) == ["tf.Example", "plain text"]
    record = encoded_example(example_features(meta_graph), np.random.default_rng(0))
    ((_, _, entries),) = iter_fields(record)
    keys = {
        bytes(next(part for tag, _, part in iter_fields(entry) if tag == 10)) for _, _, entry in iter_fields(entries)
    }
    assert keys == {b"age", b"clicks", b"country"}


def test_images_are_tried_where_images_are_decoded(sample_models: Path) -> None:
    """The op stands in a function that only a function calls; the image is a PNG of its size."""
    kinds = text_kinds(explorer.open_saved_model(sample_models / "image_bytes").meta_graph())
    assert list(kinds) == ["image", "plain text"]
    assert list(text_kinds(explorer.open_saved_model(sample_models / "linear").meta_graph())) == ["plain text"]
    image = encoded_image(np.random.default_rng(0))
    assert image[:8] == b"\x89PNG\r\n\x1a\n" and image[16:24] == bytes([0, 0, 0, 16] * 2)


@given(
    arrays.arrays(arrays.floating_dtypes(sizes=(32, 64), endianness="<"), arrays.array_shapes(max_dims=3, max_side=4))
)
def test_a_value_is_the_same_as_itself_and_survives_a_file(tmp_path_factory: Any, array: np.ndarray) -> None:
    """NaN and infinities included, every bit comes back, and a value has no difference to itself."""
    value = Tensor.from_array(array, 1 if array.dtype.itemsize == 4 else 2)
    path = tmp_path_factory.mktemp("values") / "value.tensor"
    value.write(path)
    assert Tensor.read(path) == value
    assert compare(value, Tensor.read(path)) == SAME


def test_texts_survive_a_file(tmp_path: Path) -> None:
    """Texts of any bytes and length come back in their shape."""
    value = Tensor(STRING, (2, 2), texts=(b"", b"\n\0\xff", b"x" * 1000, "ключ".encode()))
    value.write(tmp_path / "texts")
    assert Tensor.read(tmp_path / "texts") == value
    assert value.to_array().tolist() == [[b"", b"\n\0\xff"], [b"x" * 1000, "ключ".encode()]]


@pytest.mark.parametrize(
    "data",
    [b"", b"{}\n", b"[" * 100_000, b'{"dtype": 1, "shape": [2], "lengths": []}\n1234',
     b'{"dtype": 7, "shape": [2], "lengths": [1]}\nx', b'{"dtype": 7, "shape": [1], "lengths": [-1]}\nx',
     b'{"dtype": 1, "shape": ["a"], "lengths": []}\n'],
)  # fmt: skip
def test_a_broken_file_is_one_error(data: bytes, tmp_path: Path) -> None:
    """Whatever a child wrote, reading it is a FormatError and nothing else."""
    (tmp_path / "broken").write_bytes(data)
    with pytest.raises(FormatError):
        Tensor.read(tmp_path / "broken")


def test_links_and_pipes_are_not_read(tmp_path: Path) -> None:
    """A child can't have this process read a file of its choice, or wait for ever."""
    Tensor.from_array(np.zeros(1, "f4"), FLOAT).write(tmp_path / "value")
    (tmp_path / "link").symlink_to(tmp_path / "value")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "missing"):
        with pytest.raises(FormatError):
            Tensor.read(tmp_path / name)


def test_differences() -> None:
    """Bits, the largest difference, NaN and infinity, texts, dtypes, shapes, bfloat16 and large whole numbers."""

    def floats(*numbers: float) -> Tensor:
        return Tensor.from_array(np.array(numbers, "f4"), FLOAT)

    found = compare(floats(0, 4), floats(1, 4))
    assert (found.largest, found.relative, found.equal_bits) == (1, 0.25, False)
    assert compare(floats(0.0), floats(-0.0)).largest == 0
    assert not compare(floats(0.0), floats(-0.0)).equal_bits
    nan = float("nan")
    assert compare(floats(nan, 1), floats(nan, 1)) == SAME
    other_nan = Tensor(FLOAT, (2,), np.array([0x7FC00001, 0x3F800000], "<u4").tobytes())
    assert compare(floats(nan, 1), other_nan).largest == 0
    for pair in ((floats(nan), floats(1)), (floats(1), floats(float("inf")))):
        assert compare(*pair).largest is None and "1 of 1" in compare(*pair).note
    texts = Tensor(STRING, (2,), texts=(b"a", b"b")), Tensor(STRING, (2,), texts=(b"a", b"c"))
    assert compare(*texts).note == "1 of 2 texts differ"
    assert "int32" in compare(floats(1), Tensor.from_array(np.array([1], "i4"), INT32)).note
    assert "[1]" in compare(floats(1), floats(1, 2)).note
    halves = Tensor(BFLOAT16, (1,), b"\x80\x3f"), Tensor(BFLOAT16, (1,), b"\x00\x40")
    assert compare(*halves).largest == 1
    large = [Tensor.from_array(np.array([number], "i8"), INT64) for number in (2**62, 2**62 + 1)]
    assert compare(*large).largest == 1
    assert compare(Tensor(25, (1,), b"a"), Tensor(25, (1,), b"b")).largest is None


def batch_model(run: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
    """Answers each row with its sum."""
    (value,) = (feed.to_array() for feed in feeds.values())
    return {"output": Tensor.from_array(value.sum(axis=1, keepdims=True, dtype="f8").astype("f4"), FLOAT)}


def test_batches_are_compared_with_their_examples(linear: SavedModel, fake: Callable[[Model], FakeChild]) -> None:
    """A model that treats rows alike passes; one with a baked batch, a refusal or a scalar doesn't, with the reason."""
    fake(batch_model)
    assert batch_test(linear, "prediction", consent=True) == ""

    def first_row_only(run: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        value = batch_model(run, feeds)["output"].to_array()
        return {"output": Tensor.from_array(np.repeat(value[:1], len(value), 0), FLOAT)}

    def one_row(run: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"output": Tensor.from_array(batch_model(run, feeds)["output"].to_array()[:1], FLOAT)}

    def scalar(run: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"output": Tensor.from_array(np.float32(1), FLOAT)}

    def refusing(run: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        if len(feeds["input"].to_array()) > 1:
            raise ValueError("Incompatible shapes")
        return batch_model(run, feeds)

    for model, reason in (
        (first_row_only, "not the same for 2 examples"),
        (one_row, r"shape \[1, 1\] for 2 examples"),
        (scalar, "no batch dimension"),
        (refusing, "2 examples at once are refused: Incompatible shapes"),
    ):
        fake(model)
        assert re.search(reason, batch_test(linear, "prediction", consent=True))


def test_examples_are_stacked_in_order() -> None:
    """Rows come one after the other, of numbers and of texts."""
    numbers = [Tensor.from_array(np.array([[n, n]], "i4"), INT32) for n in range(3)]
    assert stacked(numbers).to_array().tolist() == [[0, 0], [1, 1], [2, 2]]
    assert stacked([Tensor(STRING, (1,), texts=(t,)) for t in (b"a", b"b")]).texts == (b"a", b"b")


def test_a_proof_is_shown(linear: SavedModel, tmp_path: Path, fake: Callable[[Model], FakeChild]) -> None:
    """Text, HTML and table name the loaders, the renamed keys and the difference; hostile keys stay harmless."""
    draft = explorer.rename_output(linear, "prediction", "output", "<img src=x>\x1b[31m")
    fake(doubling)
    proof = prove(draft, exported(draft, tmp_path), consent=True)
    text, page, frame = proof_text(proof), proof_html(proof), proof_frame(proof)
    for loader in LOADERS.values():
        assert loader in text and loader in page
    assert "3 answers compared, all the same to the last bit" in text
    assert "output → <img src=x>\\u001b[31m" in text and "\x1b" not in text + page
    assert "<img" not in page and "&lt;img" in page
    assert frame["largest_difference"].tolist() == [0.0] * 3 and frame["after_output"][0] == "<img src=x>\x1b[31m"
    empty = proof_frame(Proof("a", "b", (), ()))
    assert list(empty.columns) == list(frame.columns) and empty.empty
    assert "no output could be compared" in proof_sentence(Proof("a", "b", (), ()))


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a module that a child can run out of the body of its ``main``."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(body: str) -> str:
        lines = textwrap.indent(textwrap.dedent(body), "    ")
        (tmp_path / "child_program.py").write_text(
            f"import json, os, resource, socket, subprocess, sys, time\n\ndef main(arguments):\n{lines}\n    return 0\n"
        )
        return "child_program"

    return make


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a child."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_a_child_gets_no_secrets_and_limits(
    program: Callable[[str], str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environment lacks the caller's tokens, its home is its folder, no core is dumped, standard input is empty."""
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    name = program("""
        limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if "RLIMIT_" in name}
        told = {"variables": dict(os.environ), "limits": limits, "input": sys.stdin.read(), "where": os.getcwd(),
                "session": os.getsid(0), "pid": os.getpid(), "arguments": arguments}
        print("a model's own words")
        with open("told.json", "w") as file:
            json.dump(told, file)
    """)
    ended = run_child(name, ["a", "b"], home, timeout_s=60)
    told = json.loads((home / "told.json").read_text())
    assert (ended.status, ended.words, told["arguments"], told["input"]) == (0, "", ["a", "b"], "")
    assert "hush" not in told["variables"].values()
    assert {told["variables"][key] for key in ("HOME", "TMPDIR")} == {told["where"]} == {str(home)}
    assert told["limits"]["RLIMIT_CORE"] == [0, 0]
    assert 0 < told["limits"]["RLIMIT_CPU"][1] <= 60 * (os.cpu_count() or 1) + 1
    assert told["limits"]["RLIMIT_FSIZE"][1] > 0
    assert told["session"] == told["pid"] != os.getsid(0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are Linux's")
def test_the_network_is_off_or_the_caller_is_told(program: Callable[[str], str], home: Path) -> None:
    """Where the fence says that the network is off, not even this machine can be reached."""
    name = program("""
        with socket.socket() as caller:
            caller.settimeout(5)
            sys.exit(0 if caller.connect_ex(("127.0.0.1", int(arguments[0]))) else 9)
    """)
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = run_child(name, [str(server.getsockname()[1])], home, timeout_s=60)
    assert (ended.network == "off") == (ended.status == 0)
    assert ended.network == "off" or "not cut off" in ended.network


LINGERING = """
    lingering = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    with open("pid.tmp", "w") as file:
        file.write(str(lingering.pid))
    os.rename("pid.tmp", "pid")
"""


def is_alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", ["timeout", "cancel", "end"])
def test_a_child_and_all_it_started_are_gone(how: str, program: Callable[[str], str], home: Path) -> None:
    """After a timeout, after a cancel and after an ordinary end, no process is left."""
    name = program(LINGERING + ("" if how == "end" else "    time.sleep(300)\n"))
    cancel = threading.Event()

    def watch() -> None:
        if how == "cancel" and (home / "pid").exists():
            cancel.set()

    start_s = time.monotonic()
    if how == "end":
        assert run_child(name, [], home, timeout_s=60).status == 0
    elif how == "cancel":
        with pytest.raises(RunCancelledError):
            run_child(name, [], home, timeout_s=60, cancel=cancel, watch=watch)
    else:
        with pytest.raises(RunError, match="took more than 3 seconds"):
            run_child(name, [], home, timeout_s=3)
    assert time.monotonic() - start_s < 30
    pid = int((home / "pid").read_text())
    deadline_s = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert not is_alive(pid)


def test_what_watching_raises_ends_the_child(program: Callable[[str], str], home: Path) -> None:
    """An exception in the caller's progress reaches the caller, and nothing goes on behind it."""

    def watch() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_child(program("time.sleep(300)"), [], home, timeout_s=60, watch=watch)


def test_how_a_child_ended_is_told(program: Callable[[str], str], home: Path) -> None:
    """A crash has the signal's name; an exception its last line, made printable."""
    ended = run_child(program("os.kill(os.getpid(), 11)"), [], home, timeout_s=60)
    assert ended.cause == "crashed (SIGSEGV)"
    ended = run_child(program("raise ValueError('no \\x1b[31m good')"), [], home, timeout_s=60)
    assert ended.cause == "ended with status 1: ValueError: no \\u001b[31m good"
