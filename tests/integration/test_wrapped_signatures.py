"""Signatures with a step before or behind them: for every consumer they are the step and the old signature, exactly."""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import consumers
import numpy as np
import pytest

import explorer
from explorer.editing.preprocessing import add_wrapped_signature
from explorer.savedmodel.model import SavedModel, Shape

sys.path.append(str(Path(__file__).parents[1] / "fixtures_steps"))

SERVERS = ("C++ loader", "tf.compat.v1", "tf.saved_model.load")
EVERYBODY = tuple(consumers.CONSUMERS)
LABELS = ["cat", "dog", "fish", "bird"] * 20
Inputs = Mapping[str, np.ndarray]


@pytest.fixture(scope="module")
def steps() -> Any:
    """What traces small steps."""
    import make_steps

    return make_steps


def dims(shape: Shape) -> list[int | None] | None:
    """A shape as TensorFlow takes it."""
    return None if shape.dims is None else list(shape.dims)


def as_text(value: np.ndarray) -> np.ndarray:
    """Numbers as the texts that stand for them."""
    texts = [repr(item).encode() for item in value.ravel().tolist()]
    return np.array(texts, dtype=object).reshape(value.shape)


def equal(first: Inputs, second: Inputs) -> bool:
    """Whether two answers are the same to the bit."""
    return first.keys() == second.keys() and all(
        first[key].dtype == second[key].dtype
        and first[key].shape == second[key].shape
        and first[key].tolist() == second[key].tolist()
        for key in first
    )


def numpy_type(info: Any) -> Any:
    """The numpy dtype of an input."""
    import tensorflow as tf

    return tf.dtypes.as_dtype(info.dtype.base.number).as_numpy_dtype


def request_of(model: SavedModel, signature_key: str, expected: Any) -> dict[str, np.ndarray]:
    """The inputs of the first request that ``expected.json`` has for a signature."""
    assert model.path is not None
    name = model.path.parent.name
    cases = [case for case in expected[name][model.path.name] if case["signature_key"] == signature_key]
    found = {}
    for key, info in model.meta_graph(["serve"]).signature(signature_key).inputs.items():
        value = cases[0]["inputs"][key]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = [base64.b64decode(one["b64"]) for one in value]
        found[key] = np.array(value, numpy_type(info))
    return found


def new_errors(before: SavedModel, after: SavedModel) -> list[str]:
    """What the checks find wrong that they didn't before."""
    known = {finding.message for finding in explorer.check(before)}
    found = [finding for finding in explorer.check(after) if finding.severity == "error"]
    return [finding.message for finding in found if finding.message not in known]


def expect_equal(
    old: Path, new: Path, calls: Iterable[tuple[str, Inputs, str, Inputs]], judges: Iterable[str] = SERVERS
) -> None:
    """Each call (old signature and inputs, new signature and inputs) has to give both the same bits."""
    listed = list(calls)
    for name in judges:
        plain, wrapped = (consumers.CONSUMERS[name](folder, ["serve"]) for folder in (old, new))
        for signature_key, inputs, new_key, new_inputs in listed:
            wanted = plain.run(signature_key, inputs)
            assert equal(wrapped.run(new_key, new_inputs), wanted), (name, new_key)
        plain.close()
        wrapped.close()


@dataclass(frozen=True)
class Case:
    """A signature with an input of numbers, and who compares."""

    name: str
    signature_key: str
    input_key: str
    judges: tuple[str, ...] = SERVERS


CASES = (
    Case("linear", "prediction", "input", tuple(name for name in EVERYBODY if name != "load and save again")),
    Case("half_plus_two", "serving_default", "x", EVERYBODY),
    Case("no_variables", "serving_default", "x"),
    Case("partitioned", "serving_default", "ids"),
    Case("tf1_ref_variables", "serving_default", "features/x"),
    Case("keras2", "serving_default", "size", EVERYBODY),
    Case("keras3", "serve", "colour", EVERYBODY),
    Case("module", "repeat", "times"),
    Case("captures", "multiply", "rows"),
    Case("control_flow", "serving_default", "x"),
    Case("training_trace", "serving_default", "x"),
    Case("defaults", "serving_default", "limits"),
    Case("shapes_and_types", "any_rank", "x"),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_texts_for_numbers(
    case: Case, steps: Any, sample_models: Path, tmp_path: Path, expected_answers: Any
) -> None:  # fmt: skip
    """Texts give the bits that numbers give: before the input, a second time before it, and before a copy of that."""
    model = explorer.open_saved_model(sample_models / case.name)
    info = model.meta_graph().signature(case.signature_key).input(case.input_key)
    step = steps.number_step(dims(info.shape), numpy_type(info))
    wrapped = model
    for key in ("texts", "more"):
        wrapped = add_wrapped_signature(wrapped, case.signature_key, key, before=step, feeds={"number": case.input_key})
    wrapped = explorer.rename_input(explorer.copy_signature(wrapped, "more", "copied"), "copied", "text", "words")
    assert new_errors(model, wrapped) == []
    folder = explorer.export(explorer.rename_signature(wrapped, "texts", "renamed"), tmp_path / "base")
    inputs = request_of(model, case.signature_key, expected_answers)
    texts = {key: value for key, value in inputs.items() if key != case.input_key}
    words = as_text(inputs[case.input_key])
    assert model.path is not None
    expect_equal(
        model.path,
        folder,
        [
            (case.signature_key, inputs, case.signature_key, inputs),
            (case.signature_key, inputs, "renamed", texts | {"text": words}),
            (case.signature_key, inputs, "more", texts | {"text": words}),
            (case.signature_key, inputs, "copied", texts | {"words": words}),
        ],
        case.judges,
    )


def test_keras_two_stays_itself(steps: Any, sample_models: Path, tmp_path: Path) -> None:
    """tf_keras loads a wrapped model as the model that it was, a table under its root included."""
    import tf_keras

    shutil.copytree(sample_models / "keras2" / "1", tmp_path / "model")
    (tmp_path / "model" / "assets" / "labels.txt").parent.mkdir(exist_ok=True)
    (tmp_path / "model" / "assets" / "labels.txt").write_text("\n".join(LABELS))
    model = explorer.open_saved_model(tmp_path / "model")
    signature = model.meta_graph().signature("serving_default")
    number = steps.number_step(dims(signature.input("size").shape))
    scores = next(iter(signature.outputs))
    wrapped = add_wrapped_signature(
        model, "serving_default", "new", before=number, feeds={"number": "size"},
        after=steps.name_step(None), takes={"scores": scores},
    )  # fmt: skip
    folder = explorer.export(wrapped, tmp_path / "base")
    x = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]], np.float32)
    before, after = (tf_keras.models.load_model(path) for path in (sample_models / "keras2" / "1", folder))
    assert type(after) is type(before)
    assert after.predict(x, verbose=0).tobytes() == before.predict(x, verbose=0).tobytes()


def test_functions_in_functions_at_every_batch_size(steps: Any, sample_models: Path, tmp_path: Path) -> None:
    """A step that maps a function with branches over the batch: batches of 0, 1 and 5, in both kinds of model."""
    step = steps.row_step(3)
    for name, signature_key, input_key in (("linear", "prediction", "input"), ("keras2", "serving_default", "size")):
        model = explorer.open_saved_model(sample_models / name)
        wrapped = add_wrapped_signature(model, signature_key, "new", before=step, feeds={"row": input_key})
        wrapped = add_wrapped_signature(wrapped, signature_key, "again", before=step, feeds={"row": input_key})
        folder = explorer.export(wrapped, tmp_path / name)
        assert model.path is not None
        calls = []
        for size in (0, 1, 5):
            rows = np.random.default_rng(size).integers(-9, 9, (size, 3)).astype(np.float32)
            lines = np.array([" ".join(map(str, row)).encode() for row in rows.tolist()], dtype=object)
            calls += [(signature_key, {input_key: rows}, key, {"line": lines}) for key in ("new", "again")]
        expect_equal(model.path, folder, calls)


def test_one_step_feeds_two_inputs_and_another_is_behind_it(steps: Any, tmp_path: Path) -> None:
    """One text becomes two inputs, the third one stays; what is answered is twice what was, and no more."""
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name=name) for name in "abc"])
        def look(self, a: Any, b: Any, c: Any) -> Any:
            return {"sum": a + b * c, "rest": tf.abs(c)}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "two"), signatures={"serving_default": module.look})
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        a, b, c = (v1.placeholder(tf.float32, [None], name=name) for name in "abc")
        builder = v1.saved_model.Builder(str(tmp_path / "one"))
        signature = v1.saved_model.predict_signature_def(
            {"a": a, "b": b, "c": c}, {"sum": a + b * c, "rest": tf.abs(c)}
        )
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    for name in ("one", "two"):
        model = explorer.open_saved_model(tmp_path / name)
        wrapped = model
        for key in ("new", "again"):
            wrapped = add_wrapped_signature(
                wrapped, "serving_default", key, before=steps.pair_step(), feeds={"first": "a", "second": "b"},
                after=steps.double_step([None]), takes={"scores": "sum"}, outputs=["rest"],
            )  # fmt: skip
        assert new_errors(model, wrapped) == []
        folder = explorer.export(wrapped, tmp_path / "base")
        lines = np.array([b"1.5,2", b"3,-4.25"], dtype=object)
        for judge in SERVERS:
            consumer = consumers.CONSUMERS[judge](folder, ["serve"])
            for key in ("new", "again"):
                answer = consumer.run(key, {"line": lines, "c": np.array([10, 100], np.float32)})
                assert {key: value.tolist() for key, value in answer.items()} == {
                    "doubled": [43.0, -844.0], "rest": [10.0, 100.0],
                }  # fmt: skip


NAMED = {
    "keras3": ("serve", EVERYBODY),
    "captures": ("multiply", EVERYBODY),
    "tf1_ref_variables": ("serving_default", SERVERS),
    "partitioned": ("serving_default", EVERYBODY),  # has no init op
    "estimator_like": ("predict", SERVERS),
    "half_plus_two": ("serving_default", EVERYBODY),
    "tf1_tables": ("serving_default", ("tf.compat.v1", "tf.saved_model.load")),  # the C++ loader refuses it as it is
}


@pytest.mark.parametrize("name", NAMED)
def test_names_from_a_file(
    name: str, steps: Any, sample_models: Path, tmp_path: Path, expected_answers: Any
) -> None:  # fmt: skip
    """A table that is read from an asset answers the line of the largest score, for everybody, after more edits too."""
    signature_key, judges = NAMED[name]
    version = max(path.name for path in (sample_models / name).iterdir() if path.name.isdigit())
    source = tmp_path / name / version
    shutil.copytree(sample_models / name / version, source)
    (source / "assets").mkdir(exist_ok=True)
    (source / "assets" / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    model = explorer.open_saved_model(source)
    signature = model.meta_graph().signature(signature_key)
    scores = next(key for key, info in signature.outputs.items() if info.dtype.base.number == 1)
    step = steps.name_step(dims(signature.output(scores).shape))
    wrapped = add_wrapped_signature(model, signature_key, "first", after=step, takes={"scores": scores})
    wrapped = add_wrapped_signature(wrapped, signature_key, "named", after=step, takes={"scores": scores}, outputs=())
    wrapped = explorer.rename_output(explorer.rename_signature(wrapped, "first", "renamed"), "renamed", "name", "label")
    assert new_errors(model, wrapped) == []
    folder = explorer.export(wrapped, tmp_path / "base")
    inputs = request_of(model, signature_key, expected_answers)
    for judge in judges:
        consumer = consumers.CONSUMERS[judge](folder, ["serve"])
        plain = consumer.run(signature_key, inputs)
        wanted = np.array(LABELS)[np.atleast_1d(np.argmax(plain[scores], -1))]
        named = consumer.run("named", inputs)
        assert [text.decode() for text in named["name"].ravel()] == wanted.ravel().tolist(), judge
        renamed = dict(consumer.run("renamed", inputs))
        assert renamed.pop("label").tolist() == named["name"].tolist()
        assert equal(renamed, plain)
        consumer.close()


def make_hard_graph(folder: Path, waits: bool) -> None:
    """A graph of TensorFlow 1 with loops of nodes in loops, arrays that they fill, checks, and names of places.

    Args:
        folder: Where to.
        waits: Whether something only waits for the input.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        weight = v1.get_variable("weight", initializer=np.float32(3.0), use_resource=False)
        with tf.control_dependencies([v1.Assert(tf.reduce_all(x < 1e6), [x])]):
            checked = tf.identity(x, name="checked")
        with tf.control_dependencies([x] if waits else []):
            constant = tf.constant(2.0, name="after_x")
        array = tf.TensorArray(tf.float32, size=4, name="fixed")

        def inner(place: Any, total: Any) -> Any:
            return place + 1, total + tf.cast(place, tf.float32) * weight

        def turn(place: Any, filled: Any, total: Any) -> Any:
            _, more = v1.while_loop(lambda at, _: at < place, inner, (tf.constant(0), total))
            return place + 1, filled.write(place, more), more

        places, filled, total = v1.while_loop(lambda at, *_: at < 4, turn, (tf.constant(0), array, checked * constant))
        mapped = v1.map_fn(lambda value: value * value + weight, x)
        with v1.colocate_with(mapped):
            beside = tf.add(mapped, 1.0, name="beside")
        interior = tf.multiply(beside, 0.5, name="interior")
        scaled = tf.add(interior, x, name="scaled")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        outputs = {
            "stacked": filled.stack(), "total": total, "scaled": scaled, "x": tf.identity(x), "places": places,
            "weight": weight.value(),
        }  # fmt: skip
        predict = v1.saved_model.predict_signature_def
        signatures = {
            "serving_default": predict({"x": x}, outputs),
            "interior": predict({"x": x, "half": interior}, {"scaled": scaled}),
        }
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


@pytest.mark.parametrize("waits", [False, True])
def test_loops_of_nodes_are_cloned_whole(waits: bool, steps: Any, tmp_path: Path) -> None:
    """The second step over one input goes through a copy: loops, arrays and checks are copied, the variable isn't.

    The first one does, too, where a node waits for the placeholder without taking its value.
    """
    import tensorflow as tf

    tf.compat.v1.disable_control_flow_v2()
    try:
        make_hard_graph(tmp_path / "model", waits)
    finally:
        tf.compat.v1.enable_control_flow_v2()
    model = explorer.open_saved_model(tmp_path / "model")
    step = steps.number_step([None])
    wrapped = model
    for key in ("new", "again", "more"):
        wrapped = add_wrapped_signature(wrapped, "serving_default", key, before=step, feeds={"number": "x"})
    for key, fed in (("half_text", "half"), ("x_text", "x")):
        wrapped = add_wrapped_signature(wrapped, "interior", key, before=step, feeds={"number": fed})
    chained = steps.number_step([None], key="again")
    wrapped = add_wrapped_signature(wrapped, "new", "last", before=text_of_text(chained), feeds={"number": "text"})
    assert new_errors(model, wrapped) == []
    folder = explorer.export(wrapped, tmp_path / "base")
    nodes = consumers.proto_of(folder).meta_graphs[0].graph_def.node
    assert sum(node.op == "VariableV2" for node in nodes) == 1
    assert next(node.op for node in nodes if node.name == "x") == ("Placeholder" if waits else "PlaceholderWithDefault")
    assert any(node.name.startswith("new_graph/") for node in nodes) is waits
    assert "loc:@" in str([node.attr["_class"] for node in nodes if node.name.startswith("again_graph/")])
    x, half = np.array([1.5, -2.0, 0.25], np.float32), np.array([3.0, 4.0, 5.0], np.float32)
    whole = ("serving_default", {"x": x})
    part = ("interior", {"x": x, "half": half})
    assert model.path is not None
    expect_equal(
        model.path,
        folder,
        [
            (*whole, *whole),
            (*part, *part),
            *((*whole, key, {"text": as_text(x)}) for key in ("new", "again", "more")),
            (*part, "half_text", {"x": x, "text": as_text(half)}),
            (*part, "x_text", {"text": as_text(x), "half": half}),
            (*whole, "last", {"again": as_text(x)}),
        ],
    )


def text_of_text(step: Any) -> Any:
    """A step from text to the same text, with the keys of another one."""
    import make_steps
    import tensorflow as tf

    from explorer.runtime.steps.trace_child import Made, traced

    def explorer_same(texts: Any) -> Any:
        return tf.strings.strip(texts)

    assert make_steps.STEPS
    return traced(Made(explorer_same, {step.inputs[0].key: tf.TensorSpec([None], tf.string)}, ("number",)))


def test_a_step_before_a_step(steps: Any, sample_models: Path, tmp_path: Path) -> None:
    """A wrapped signature of TensorFlow 2 is wrapped again, and every one of the three answers the same."""
    model = explorer.open_saved_model(sample_models / "half_plus_two")
    two = explorer.open_saved_model(sample_models / "defaults")
    assert model.path is not None and two.path is not None
    for number, (each, fed) in enumerate(((model, "x"), (two, "x"))):
        first = add_wrapped_signature(
            each, "serving_default", "text", before=steps.number_step([None]), feeds={"number": fed}
        )
        outer = text_of_text(steps.number_step([None], key="outer"))
        second = add_wrapped_signature(first, "text", "outer", before=outer, feeds={"number": "text"})
        folder = explorer.export(second, tmp_path / str(number))
        x = np.array([1.0, -2.0, 0.5], np.float32)
        rest = {} if number == 0 else {"limits": np.array([-1.0, 1.0], np.float32)}
        plain = ("serving_default", {"x": x, **rest})
        assert each.path is not None
        expect_equal(
            each.path,
            folder,
            [
                (*plain, *plain),
                (*plain, "text", {"text": as_text(x), **rest}),
                (*plain, "outer", {"outer": as_text(x), **rest}),
            ],
        )


def test_a_stateful_signature_counts_once(steps: Any, sample_models: Path, tmp_path: Path) -> None:
    """What a signature changes in the model it changes once a call, whether it is called plain or wrapped."""
    model = explorer.open_saved_model(sample_models / "stateful")
    signature = model.meta_graph().signature("count")
    step = steps.number_step([], numpy_type(signature.input("more")))
    folder = explorer.export(
        add_wrapped_signature(model, "count", "text", before=step, feeds={"number": "more"}), tmp_path / "base"
    )
    more = np.array(5, numpy_type(signature.input("more")))
    for judge in SERVERS:
        assert model.path is not None
        plain, wrapped = (consumers.CONSUMERS[judge](path, ["serve"]) for path in (model.path, folder))
        wanted = [plain.run("count", {"more": more}) for _ in range(3)]
        found = [wrapped.run("count", {"more": more}), wrapped.run("text", {"text": np.array(b"5", dtype=object)})]
        found.append(wrapped.run("count", {"more": more}))
        assert all(equal(first, second) for first, second in zip(found, wanted, strict=True)), judge


def test_cli_shows_and_runs(steps: Any, sample_models: Path, tmp_path: Path, judges: Any) -> None:
    """The real saved_model_cli, as a process, runs a wrapped signature of each kind of model."""
    for name, signature_key, input_key in (("linear", "prediction", "input"), ("keras2", "serving_default", "size")):
        model = explorer.open_saved_model(sample_models / name)
        step = steps.row_step(3)
        folder = explorer.export(
            add_wrapped_signature(model, signature_key, "lines", before=step, feeds={"row": input_key}), tmp_path / name
        )
        printed = judges.saved_model_cli(
            "run", "--dir", str(folder), "--tag_set", "serve", "--signature_def", "lines",
            "--input_exprs", "line=[b'1 2 3']",
        )  # fmt: skip
        assert "Result for output key" in printed
