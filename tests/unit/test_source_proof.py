"""What the proof of a conversion asks a source, what it makes of the answers, and how it looks; without TensorFlow."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import explorer
from explorer.converting import kinds
from explorer.converting.kinds import Need, Source
from explorer.diagnosing.proof import Loading, OutputProof, Proof, SignatureProof
from explorer.errors import ConversionError, EditError, NotFoundError, RunError
from explorer.render.proofs import loaders_table, proof_html, proof_sentence, proof_text
from explorer.runtime import tasks
from explorer.runtime.child import Ended
from explorer.runtime.compare import compare
from explorer.runtime.restored_objects import _counted_anew
from explorer.runtime.source_keras import _placed
from explorer.runtime.source_loaders import _slices
from explorer.runtime.source_proof import prove_conversion
from explorer.runtime.source_tasks import whole_name
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.tensors import Tensor

FLOAT = 1

Model = Callable[[Mapping[str, Any], dict[str, Tensor]], dict[str, Tensor]]
"""A task and the feeds of a run, by key → its outputs."""


@dataclass
class FakeChild:
    """Does the plan in this process, with a function in place of source and SavedModel."""

    model: Model
    refused: dict[str, str] = field(default_factory=dict)  # loader → why
    crashes: str = ""  # the loader that brings the process down
    plan: dict[str, Any] = field(default_factory=dict)
    started: int = 0

    def __call__(self, module: str, arguments: list[str], folder: Path, **_: Any) -> Ended:
        """Takes the place of ``run_child``."""
        self.started += 1
        self.plan = json.loads((folder / "plan.json").read_text())
        with (folder / "events.jsonl").open("a") as events:

            def tell(**event: Any) -> None:
                print(json.dumps(event), file=events)

            for position in range(int(arguments[0]), len(self.plan["tasks"])):
                task = self.plan["tasks"][position]
                tell(task=position, event="begin")
                if task["loader"] == self.crashes:
                    return Ended(-11, "", "off")
                if task["loader"] in self.refused:
                    tell(task=position, event="refused", error=self.refused[task["loader"]])
                else:
                    tell(task=position, event="loaded")
                    for number, run in enumerate(task["runs"]):
                        tell(task=position, event="run", run=number)
                        tell(task=position, event="answer", run=number, **self.answer(position, number, run, folder))
                tell(task=position, event="end")
        return Ended(0, "", "off")

    def answer(self, position: int, number: int, run: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """The answer to one run."""
        feeds = {feed["key"]: Tensor.read(folder / feed["file"]) for feed in run["feeds"]}
        try:
            outputs = self.model(self.plan["tasks"][position], feeds)
        except ValueError as error:
            return {"error": str(error)}
        files = {}
        for count, (key, value) in enumerate(outputs.items()):
            files[key] = [f"{position}-{number}-{count}.tensor"]
            value.write(folder / files[key][0])
        return {"outputs": files}


def doubling(task: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
    """Answers with twice what it is fed."""
    (value,) = feeds.values()
    return {"output": Tensor.from_array(2 * value.to_array(), FLOAT)}


def off_by(amount: float) -> Model:
    """The same, but the SavedModel is off by a number."""

    def model(task: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        (value,) = feeds.values()
        shift = np.float32(0 if task["loader"] == "source" else amount)
        return {"output": Tensor.from_array(2 * value.to_array() + shift, FLOAT)}

    return model


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeChild]:
    """Puts a fake in the place of the child process."""

    def put(model: Model = doubling, **options: Any) -> FakeChild:
        child = FakeChild(model, **options)
        monkeypatch.setattr(tasks, "run_child", child)
        return child

    return put


@pytest.fixture
def linear(sample_models: Path) -> Path:
    """A model of TensorFlow 1 with one signature, ``prediction``: ``input`` → ``output``."""
    return sample_models / "linear"


def frozen(path: str = "/models/frozen.pb") -> Source:
    """A frozen graph, as the identifier tells it."""
    return Source(Path(path), kinds.FROZEN_GRAPH, "is a frozen graph (GraphDef) with 7 nodes", graph_file=Path(path))


def checkpoint(kind: str, **options: Any) -> Source:
    """A checkpoint, as the identifier tells it."""
    return Source(Path("/models/model.ckpt"), kind, "is a checkpoint", **options)


def test_nothing_runs_without_consent(linear: Path, fake: Callable[..., FakeChild]) -> None:
    """Without consent the sentence says what would run, and no child is started."""
    child = fake()
    with pytest.raises(RunError, match=r"runs what is in the source and in the SavedModel.*consent=True"):
        prove_conversion(frozen(), linear, consent=False)
    assert child.started == 0


def test_the_source_is_asked_by_the_names_of_its_own_tensors(linear: Path, fake: Callable[..., FakeChild]) -> None:
    """What isn't said is read from the signature; the source comes first and is asked twice."""
    child = fake()
    proof = prove_conversion(frozen(), linear, consent=True)
    source, *loaders = child.plan["tasks"]
    assert (source["loader"], source["folder"], source["options"]["source"]) == ("source", "/models/frozen.pb", "graph")
    assert [task["loader"] for task in loaders] == ["cpp", "v1", "v2"]
    assert all(source["runs"] == task["runs"] * 2 for task in loaders)
    info = explorer.open_saved_model(linear).meta_graph().signature("prediction").inputs["input"]
    assert {feed["tensor"] for run in source["runs"] for feed in run["feeds"]} == {info.tensor_name}
    assert proof.holds and proof.largest_difference == 0 and len(proof.compared) == 3
    assert (proof.before, proof.source) == ("/models/frozen.pb", "is a frozen graph (GraphDef) with 7 nodes")
    assert json.loads(json.dumps(proof.to_dict()))["source"] == proof.source


def test_tensors_that_were_said_are_asked_of_the_source_alone(linear: Path, fake: Callable[..., FakeChild]) -> None:
    """A bare node name stands for its first tensor; keys that aren't there are refused with those that are."""
    child = fake()
    said = {"signature_key": "prediction", "inputs": {"input": "scope/x"}, "outputs": {"output": "y:1"}}
    prove_conversion(frozen(), linear, consent=True, loaders=("v1",), **said)
    source, loader = child.plan["tasks"]
    assert source["runs"][0]["feeds"][0]["tensor"] == "scope/x:0"
    assert source["runs"][0]["fetches"] == [{"key": "output", "tensors": ["y:1"]}]
    assert loader["runs"][0]["fetches"] != source["runs"][0]["fetches"]
    with pytest.raises(RunError, match="'prediction' of the SavedModel has no input 'x'; it has 'input'"):
        prove_conversion(frozen(), linear, consent=True, signature_key="prediction", inputs={"x": "x"})
    with pytest.raises(NotFoundError, match="serving_default"):
        prove_conversion(frozen(), linear, consent=True, outputs={"output": "y:1"})


def test_constants_are_read_from_the_savedmodel(linear: Path, tmp_path: Path, fake: Callable[..., FakeChild]) -> None:
    """A placeholder that has a value for good has it in the source, too, unless another one is said."""
    model = explorer.open_saved_model(linear)
    model = explorer.copy_signature(model, "prediction", "fixed")
    tensor = model.meta_graph().signature("fixed").inputs["input"].tensor_name
    assert tensor is not None
    node = tensor.partition(":")[0]
    width = model.meta_graph().signature("fixed").inputs["input"].shape.dims[-1] or 1
    version = explorer.export(explorer.bind_input(model, "fixed", "input", [[0.5] * width]), tmp_path / "base")

    def told(**said: Any) -> dict[str, Any]:
        child = fake()
        prove_conversion(frozen(), version, consent=True, loaders=("v1",), **said)
        constants = child.plan["tasks"][0]["options"]["constants"]
        (constant,) = [one for one in constants if one["tensor"] == tensor]
        value = message_class("tensorflow.TensorProto").FromString(base64.b64decode(constant["value"]))
        return {
            "tensor": constant["tensor"],
            "values": np.frombuffer(value.tensor_content, "<f4").tolist() or list(value.float_val),
        }

    assert set(told()["values"]) == {0.5}
    for name in (tensor, node, node.rpartition("/")[2]):
        assert set(told(constants={name: [[0.25] * width]})["values"]) == {0.25}
    with pytest.raises(RunError, match=rf"'rate' names no placeholder of the graph; placeholders: .*'{node}'"):
        told(constants={"rate": 0.0})
    with pytest.raises(EditError, match="the constant"):
        told(constants={node: "half"})


@pytest.mark.parametrize(("amount", "holds"), [(0.0, True), (1e-7, True), (0.1, False)])
def test_a_difference_is_measured(amount: float, holds: bool, linear: Path, fake: Callable[..., FakeChild]) -> None:
    """A SavedModel that is off breaks the proof, but for what two programs round otherwise."""
    fake(off_by(amount))
    proof = prove_conversion(frozen(), linear, consent=True, loaders=("cpp",))
    assert proof.holds is holds
    assert ("some of its answers differ from the source's" in proof_sentence(proof)) is not holds


def test_rounding_is_measured_by_the_size_of_the_numbers() -> None:
    """Answers that lie near to each other have a small range, and are rounded by their size all the same."""
    one, other = (Tensor.from_array(np.array(values, "f4"), FLOAT) for values in ([100.0, 100.01], [100.0, 100.02]))
    by_range, by_size = compare(one, other), compare(one, other, by_size=True)
    assert by_range.largest == by_size.largest
    assert by_range.relative == pytest.approx(1.0, rel=0.01) and by_size.relative == pytest.approx(1e-4, rel=0.01)


def test_a_source_that_is_refused_is_told(linear: Path, fake: Callable[..., FakeChild]) -> None:
    """The SavedModel is loaded all the same; without an answer to compare, nothing is claimed."""
    fake(refused={"source": "Op type not registered 'Odd<b>Op'"})
    proof = prove_conversion(frozen(), linear, consent=True)
    assert not proof.holds and not proof.compared and not any(loading.after for loading in proof.loaders)
    assert {loading.before for loading in proof.loaders} == {
        "the source doesn't load: Op type not registered 'Odd<b>Op'"
    }
    assert "no answer could be compared, because the source doesn't load" in proof_sentence(proof)
    assert [row[1] for row in loaders_table(proof).rows] == ["doesn't run"] * 3
    assert "&lt;b&gt;" in proof_html(proof) and "<b>" not in proof_html(proof)


def test_a_source_that_crashes_is_told(linear: Path, fake: Callable[..., FakeChild]) -> None:
    """Another child goes on with the SavedModel."""
    child = fake(crashes="source")
    proof = prove_conversion(frozen(), linear, consent=True)
    assert child.started == 2 and not proof.holds
    assert all("crashed (SIGSEGV)" in loading.before and not loading.after for loading in proof.loaders)


def test_a_savedmodel_that_is_refused_breaks_the_proof(linear: Path, fake: Callable[..., FakeChild]) -> None:
    """Also where the source can't be run either: a converted model has to load."""
    fake(refused={"v2": "no such op"})
    proof = prove_conversion(frozen(), linear, consent=True)
    assert not proof.holds and proof_sentence(proof) == "The SavedModel is refused by tf.saved_model.load."
    fake(refused={"v2": "no such op", "source": "no such op"})
    assert not prove_conversion(frozen(), linear, consent=True).holds


def test_refused_inputs_are_told_in_words_that_fit(linear: Path, fake: Callable[..., FakeChild]) -> None:
    """What only the SavedModel refuses breaks the proof, what both refuse compares nothing."""

    def refusing(*loaders: str) -> Model:
        def model(task: Mapping[str, Any], feeds: dict[str, Tensor]) -> dict[str, Tensor]:
            if task["loader"] in loaders:
                raise ValueError("too small")
            return doubling(task, feeds)

        return model

    for loaders, state, note in (
        (("cpp",), "failed", "the SavedModel refuses inputs that the source takes: too small"),
        (("source",), "left out", "the SavedModel answers, the source does not: too small"),
        (("cpp", "source"), "left out", "neither the source nor the SavedModel answers to the inputs"),
    ):
        fake(refusing(*loaders))
        proof = prove_conversion(frozen(), linear, consent=True, loaders=("cpp",))
        (signature,) = proof.signatures
        assert signature.state == state and note in signature.note and not proof.holds


def test_what_is_lacking_is_an_error(linear: Path, fake: Callable[..., FakeChild]) -> None:
    """What must be given besides is asked for by name, before any child starts; what can't be run at all is told."""
    child = fake()
    architecture = Need(kinds.ARCHITECTURE, "give a SavedModel with the same variables")
    graph = Need(kinds.GRAPH, "give the graph")
    for source, needs in (
        (checkpoint(kinds.TF2_CHECKPOINT, needs=(architecture,)), ("architecture",)),
        (checkpoint(kinds.TF1_CHECKPOINT_NO_GRAPH, needs=(graph,)), ("graph",)),
        (Source(Path("/m/w.weights.h5"), kinds.HDF5, "is weights", needs=(architecture,)), ("architecture",)),
    ):
        with pytest.raises(ConversionError, match="give ") as lacking:
            prove_conversion(source, linear, consent=True)
        assert lacking.value.needs == needs
    assert child.started == 0
    broken = checkpoint(kinds.TF1_CHECKPOINT, problem="a part of the values is missing")
    proof = prove_conversion(broken, linear, consent=True)
    assert not proof.holds and "a part of the values is missing" in proof.loaders[0].before
    assert [task["loader"] for task in child.plan["tasks"]] == ["cpp", "v1", "v2"]


def test_what_a_child_is_told_of_checkpoints(linear: Path, tmp_path: Path, fake: Callable[..., FakeChild]) -> None:
    """With its own graph it is restored by its saver, else by names; old checkpoints in parts are a pattern."""
    child = fake()

    def told(source: Source, **said: Any) -> dict[str, Any]:
        prove_conversion(source, linear, consent=True, loaders=("v1",), **said)
        task: dict[str, Any] = child.plan["tasks"][0]
        return {"folder": task["folder"], **task["options"]}

    own = told(checkpoint(kinds.TF1_CHECKPOINT, graph_file=Path("/models/model.ckpt.meta")))
    assert (own["source"], own["folder"]) == ("meta", "/models/model.ckpt.meta")
    assert own["prefix"] == "/models/model.ckpt"
    prefix = tmp_path / "old.ckpt"
    for part in range(2):
        (tmp_path / f"old.ckpt-{part:05d}-of-00002").write_bytes(b"")
    old = replace(checkpoint(kinds.V1_CHECKPOINT, graph_file=Path("/m/old.ckpt.meta")), path=prefix)
    assert told(old)["prefix"] == f"{prefix}-?????-of-00002"
    objects = told(checkpoint(kinds.TF2_CHECKPOINT), architecture="some/model")
    assert (objects["source"], objects["folder"]) == ("architecture", str(Path("some/model").absolute()))


def test_what_a_child_is_told_of_files_of_keras(linear: Path, fake: Callable[..., FakeChild]) -> None:
    """Inputs are the model's for all signatures, outputs for the one that is meant, layers for the others."""
    child = fake()
    file = Source(Path("/models/net.keras"), kinds.KERAS_FILE, "is a .keras file", runs_code=True)
    prove_conversion(
        file, linear, consent=True, loaders=("v1",), custom_objects={"My": "own.layers:My"}, signature_key="prediction",
        inputs={"input": "pixels"}, outputs={"output": "kind"}, endpoints={"other": "dense_1"},
    )  # fmt: skip
    options = child.plan["tasks"][0]["options"]
    assert options["custom_objects"] == {"My": "own.layers:My"} and options["paths"]
    assert options["signatures"] == {
        "prediction": {"inputs": {"input": "pixels"}, "outputs": {"output": "kind"}, "layer": None}
    }
    prove_conversion(file, linear, consent=True, loaders=("v1",), endpoints={"prediction": ["dense 1", "out"]})
    told = child.plan["tasks"][0]["options"]
    assert told["signatures"]["prediction"] == {
        "inputs": {}, "outputs": {"dense_1": "dense 1", "out": "out"}, "layer": None,
    }  # fmt: skip
    assert told["paths"] == []


def conversion(**changes: Any) -> Proof:
    """The proof of a conversion that holds."""
    output = OutputProof("y", "y", 0.0, True, "", 0.0)
    signature = SignatureProof("serving_default", "serving_default", "tf.compat.v1", "compared", (output,))
    proof = Proof(
        "/m/<i>x</i>.pb", "/out/1", (Loading("tf.compat.v1", "", ""),), (signature,), 1e-5, "off", "is a graph"
    )
    return replace(proof, **changes)


def test_the_proof_names_source_and_result() -> None:
    """Text and HTML say what was compared with what, in words for a conversion, and HTML is escaped."""
    proof = conversion()
    sentence = "Every loader takes the SavedModel; 1 answer compared, all the same to the last bit."
    assert proof.holds and proof_sentence(proof) == sentence
    sides = "'/m/<i>x</i>.pb' is a graph; '/out/1' is the SavedModel made of it."
    assert proof_text(proof).startswith(f"{sentence}\n\n{sides}\n\n")
    assert "<i>" not in proof_html(proof) and "is the SavedModel made of it." in proof_html(proof)
    assert loaders_table(proof).columns[1] == "source" and loaders_table(proof).rows[0][:3] == (
        "tf.compat.v1", "runs", "loads it",
    )  # fmt: skip


def test_a_proof_of_nothing_does_not_hold() -> None:
    """Where nothing could be compared, or every answer varies, the sentence says so."""
    nothing = conversion(signatures=())
    assert not nothing.holds and "no output could be compared" in proof_sentence(nothing)
    varying = OutputProof("y", "y", 0.3, False, "", 0.3, varies=True)
    signature = SignatureProof("s", "s", "tf.compat.v1", "compared", (varying,))
    assert "the source answers differently each time" in proof_sentence(conversion(signatures=(signature,)))


def test_names_of_tensors() -> None:
    """A bare node name stands for its first tensor."""
    assert [whole_name(name) for name in ("x", "x:1", "a/b")] == ["x:0", "x:1", "a/b:0"]


def test_inputs_and_outputs_of_a_model_of_keras_are_found_by_name() -> None:
    """By any of their names; the rest in natural order if the numbers agree; else they stay open."""
    names = [["a", "first"], ["b"], ["c"]]
    assert _placed({"x": "c", "y": "first", "z": "b"}, names) == {"x": 2, "y": 0, "z": 1}
    every = {f"output_{number}": f"output_{number}" for number in (10, 9, 8)}
    assert _placed(every, names) == {"output_8": 0, "output_9": 1, "output_10": 2}
    assert _placed({"x": "c", "other": "no"}, names) == {"x": 2}


def test_layers_are_counted_anew() -> None:
    """Numbers that Keras counts on from model to model fall away; their order and how many there are stay."""
    ours = _counted_anew({f"{name}/kernel": [name] for name in ("dense_7", "dense_10", "conv", "dense_9/cell_1")})
    theirs = _counted_anew({f"{name}/kernel": [name] for name in ("dense", "dense_2", "conv_4", "dense_1/cell")})
    assert ours.keys() == theirs.keys()
    pairs = {ours[key][0]: theirs[key][0] for key in ours}
    assert pairs == {"dense_7": "dense", "dense_10": "dense_2", "conv": "conv_4", "dense_9/cell_1": "dense_1/cell"}
    assert not _counted_anew({"dense/kernel": []}).keys() & ours.keys()


@dataclass
class Dim:
    """A dimension as an op's attribute holds it."""

    size: int


@dataclass
class Variable:
    """An op with a name and a shape."""

    name: str
    shape: tuple[int, ...]

    def get_attr(self, name: str) -> Any:
        """The shape."""
        assert name == "shape"
        return type("Shape", (), {"dim": [Dim(size) for size in self.shape]})


def test_parts_of_a_variable_lie_one_after_the_other() -> None:
    """In the order of their numbers, along the axis along which their sizes add up; what doesn't fit is left alone."""
    variables = [Variable(f"w/part_{number}", (2, 1 + (number == 10))) for number in (10, 0, 9)]
    places = _slices([*variables, Variable("v/part_0", (3,)), Variable("u/part_0", (3,))], {"w": [2, 4], "v": [4]})
    assert {name: (key, place[-1]) for name, (key, place) in places.items()} == {
        "w/part_0": ("w", slice(0, 1)), "w/part_9": ("w", slice(1, 2)), "w/part_10": ("w", slice(2, 4)),
    }  # fmt: skip
    assert all(place[0] == slice(None) for _, place in places.values())
