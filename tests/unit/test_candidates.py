"""Ranked inputs and outputs of graphs without signatures: training graphs, frozen graphs, hostile ones."""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from explorer.converting.candidates import Candidate, Candidates, rank_candidates
from explorer.converting.node_words import is_saver_file, plain_key, unique_keys, words
from explorer.errors import ExplorerError
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import read_document
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.wire import encode_field, encode_header

FIXTURES = Path(__file__).parent.parent / "fixtures_sources"
REPOSITORY = Path(__file__).parent.parent.parent
EXPECTED: dict[str, Any] = json.loads((FIXTURES / "expected.json").read_text())
FLOAT, INT32, UINT8, STRING, INT64, BOOL = 1, 3, 4, 7, 9, 10


def meta_graph_of(graph_def: bytes) -> MetaGraph:
    """A meta graph with a GraphDef and nothing else, as a frozen graph becomes one."""
    return meta_graph_from(encode_header(2, len(graph_def)) + graph_def)


def meta_graph_from(meta_graph_def: bytes) -> MetaGraph:
    """A meta graph as a ``.meta`` file has it."""
    whole = encode_field(1, 1) + encode_header(2, len(meta_graph_def)) + meta_graph_def
    return read_document(Document.of_bytes(whole)).meta_graphs[0]


def fixture(name: str) -> MetaGraph:
    """A graph that TensorFlow wrote."""
    path = next(FIXTURES.glob(f"{name}.*.gz"))
    content = gzip.decompress(path.read_bytes())
    return meta_graph_of(content) if ".pb" in path.name else meta_graph_from(content)


class Nodes:
    """A GraphDef put together node by node, without definitions of ops and without shapes, as frozen graphs are."""

    def __init__(self) -> None:
        self.graph: Any = message_class("tensorflow.GraphDef")()

    def add(self, name: str, op: str, *inputs: str, **types: int) -> str:
        """Adds a node; keyword arguments are attributes that are dtypes."""
        node = self.graph.node.add(name=name, op=op, input=inputs)
        for key, number in types.items():
            node.attr[key].type = number
        return name

    def placeholder(self, name: str, dtype: int = FLOAT, shape: tuple[int, ...] | None = (-1, 4), **more: Any) -> str:
        """Adds a placeholder; the shape None is one that isn't given."""
        self.add(name, more.pop("op", "Placeholder"), *more.pop("inputs", ()), dtype=dtype)
        if shape is not None:
            attr = self.graph.node[-1].attr["shape"].shape
            attr.SetInParent()
            for size in shape:
                attr.dim.add(size=size)
        return name

    def weights(self, name: str) -> str:
        """Adds a constant that is large enough to be weights."""
        self.add(name, "Const", dtype=FLOAT)
        self.graph.node[-1].attr["value"].tensor.tensor_content = bytes(400)
        return name

    def layer(self, name: str, source: str) -> str:
        """Adds a layer without an activation."""
        self.add(f"{name}/MatMul", "MatMul", source, self.weights(f"{name}/w"), T=FLOAT)
        return self.add(f"{name}/BiasAdd", "BiasAdd", f"{name}/MatMul", self.weights(f"{name}/b"), T=FLOAT)

    def rank(self) -> Candidates:
        """The candidates."""
        return rank_candidates(meta_graph_of(self.graph.SerializeToString()))


def names(candidates: tuple[Candidate, ...]) -> list[str]:
    """The tensors, best first."""
    return [one.tensor_name for one in candidates]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_a_reader_of_the_program_would_choose(name: str) -> None:
    """For graphs as TensorFlow wrote them, what the program is for is ranked first, and training is set aside."""
    expected = EXPECTED[name]
    found = rank_candidates(fixture(name))
    assert set(names(found.inputs)[: len(expected["inputs"])]) == set(expected["inputs"])
    assert set(names(found.outputs)[: len(expected["outputs"])]) == set(expected["outputs"])
    assert {one.tensor_name: one.value for one in found.constants} == expected["constants"]
    for one in (*found.inputs, *found.outputs):
        assert 0 <= one.score <= 1 and one.reasons and all("\n" not in reason for reason in one.reasons)
    for ranked in (found.inputs, found.outputs):
        assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
        assert len({one.key for one in ranked}) == len(ranked)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_nothing_of_training_is_near_the_top(name: str) -> None:
    """Losses, gradients, savers and optimizers are never offered as outputs, nor savers as inputs."""
    found = rank_candidates(fixture(name))
    for one in found.outputs:
        assert not one.tensor_name.startswith(("gradients", "save", "Adam", "Momentum")), one
        assert one.tensor_name not in {"loss:0", "accuracy:0", "total_loss:0", "Mean:0"}
    assert not [one for one in found.inputs if one.tensor_name.startswith("save")]


def real_models() -> list[Path]:
    """Every SavedModel that the project has, but the broken ones."""
    found = [*REPOSITORY.glob("sample_models/*/*"), *REPOSITORY.glob("tests/conformance/models/*/*")]
    return [path for path in found if any(path.glob("saved_model.pb*")) and "broken" not in path.parts]


def test_signatures_of_real_models_are_found_again() -> None:
    """The signatures that programs gave to their models are what is ranked first, in nearly all of them."""
    best = every = inputs = 0
    for path in real_models():
        for meta_graph in open_saved_model(path).meta_graphs:
            signatures = list(meta_graph.callable_signatures.values())
            if not signatures:
                continue
            asked = {name for one in signatures for info in one.outputs.values() for name in info.tensor_names}
            fed = {name for one in signatures for info in one.inputs.values() for name in info.tensor_names}
            found = rank_candidates(meta_graph)
            every += 1
            best += bool(found.outputs) and found.outputs[0].tensor_name in asked
            inputs += set(names(found.inputs)[: len(fed)]) == fed
    assert every >= 25
    assert best >= 0.9 * every and inputs >= 0.85 * every, (best, inputs, every)


def test_the_reasons_are_told() -> None:
    """Each candidate says in plain words why it is one."""
    found = rank_candidates(fixture("lenet"))
    probabilities, prediction = found.outputs[:2]
    assert probabilities.key == "probabilities" and str(probabilities.dtype) == "float32"
    assert "a softmax: its values are probabilities" in probabilities.reasons
    assert "its name says so" in probabilities.reasons
    assert str(prediction.dtype) == "int64" and "an argmax: the number of the best class" in prediction.reasons
    (image, labels) = found.inputs
    assert image.key == "x" and "a placeholder: it has no value unless one is fed" in image.reasons
    assert labels.tensor_name == "y_:0" and labels.reasons[1].startswith("labels") and labels.score < image.score / 4
    keep = next(one for one in found.constants if one.key == "keep_prob")
    assert keep.value == 1.0 and keep.reason.startswith("it is the part that dropout keeps")
    logits = rank_candidates(fixture("logits_only")).outputs[0]
    assert logits.key == "logits" and "the loss compares it with the labels" in logits.reasons


def test_the_ends_of_a_frozen_graph_are_equal() -> None:
    """A frozen graph is cut down to its outputs, so boxes, scores, classes and numbers are one answer."""
    found = rank_candidates(fixture("detection")).outputs
    assert len(found) >= 4 and found[3].score >= 0.95 * found[0].score
    nodes = Nodes()
    nodes.placeholder("input_data")
    body = nodes.layer("body", "input_data")
    nodes.add("confidence", "Sigmoid", nodes.layer("head1", body), T=FLOAT)
    nodes.add("feature_fusion/concat_3", "ConcatV2", nodes.layer("head2", body), T=FLOAT)
    both = nodes.rank().outputs
    assert set(names(both)) == {"confidence:0", "feature_fusion/concat_3:0"} and both[1].score >= 0.95 * both[0].score


def test_dtypes_without_definitions_of_ops() -> None:
    """A frozen graph has no definitions; the usual rules give the dtypes, and what is unknown stays so."""
    nodes = Nodes()
    nodes.placeholder("image", UINT8, (1, -1, -1, 3))
    pixels = nodes.add("pixels", "Cast", "image", SrcT=UINT8, DstT=FLOAT)
    score = nodes.layer("scores", pixels)
    nodes.add("best", "TopKV2", score, T=FLOAT)
    nodes.add("class", "ArgMax", score, T=FLOAT)
    nodes.add("class32", "ArgMax", score, T=FLOAT, output_type=INT32)
    nodes.add("sure", "Greater", score, T=FLOAT)
    nodes.add("text", "AsString", score, T=FLOAT)
    nodes.add("odd", "MyCustomOp", score)
    found = nodes.rank()
    dtypes = {one.tensor_name: one.dtype.number for one in found.outputs}
    assert dtypes == {
        "best:0": FLOAT, "best:1": INT32, "class:0": INT64, "class32:0": INT32, "sure:0": BOOL, "text:0": STRING,
        "odd:0": 0,
    }  # fmt: skip
    assert str(found.inputs[0].dtype) == "uint8" and str(found.inputs[0].shape) == "[1, ?, ?, 3]"
    assert all(one.shape.dims is None for one in found.outputs)


@pytest.mark.parametrize(("producer", "rank"), [(21, None), (22, 0)])
def test_old_placeholders_without_a_shape(producer: int, rank: int | None) -> None:
    """Up to version 21 of graphs, the shape of a scalar was written where none was known."""
    nodes = Nodes()
    nodes.placeholder("x", FLOAT, ())
    nodes.layer("y", "x")
    nodes.graph.versions.producer = producer
    assert nodes.rank().inputs[0].shape.rank == rank


def dropout(nodes: Nodes, placeholder: str, version: str) -> None:
    """Adds a dropout as one of TensorFlow's versions wrote it, steered by a placeholder."""
    nodes.placeholder("x")
    nodes.placeholder(placeholder, FLOAT, ())
    one = nodes.add("one", "Const", dtype=FLOAT)
    random_value = nodes.add("d/random_uniform/RandomUniform", "RandomUniform", dtype=FLOAT)
    chance = nodes.add("d/random_uniform", "Add", random_value, one, T=FLOAT)
    layer = nodes.layer("body", "x")
    match version:
        case "1.0 keep":  # floor(keep_prob + random), x / keep_prob
            mask = nodes.add("d/Floor", "Floor", nodes.add("d/add", "Add", placeholder, chance, T=FLOAT), T=FLOAT)
        case "1.14 rate":  # random >= rate
            mask = nodes.add("d/GreaterEqual", "GreaterEqual", chance, placeholder, T=FLOAT)
        case "1.14 keep":  # rate = 1 - keep_prob; random >= rate
            rate = nodes.add("sub", "Sub", one, placeholder, T=FLOAT)
            mask = nodes.add("d/GreaterEqual", "GreaterEqual", chance, rate, T=FLOAT)
        case _:  # keep = 1 - rate; floor(keep + random)
            keep = nodes.add("sub", "Sub", one, placeholder, T=FLOAT)
            mask = nodes.add("d/Floor", "Floor", nodes.add("d/add", "AddV2", chance, keep, T=FLOAT), T=FLOAT)
    nodes.add("y", "Softmax", nodes.add("d/mul", "Mul", layer, mask, T=FLOAT), T=FLOAT)


@pytest.mark.parametrize(
    ("version", "value"), [("1.0 keep", 1.0), ("1.14 rate", 0.0), ("1.14 keep", 1.0), ("1.13 rate", 0.0)]
)
@pytest.mark.parametrize("name", ["p", "dropout", "rate", "keep_prob", "Placeholder_7"])
def test_dropout_is_told_by_what_the_graph_does(version: str, value: float, name: str) -> None:
    """Whether a number is the part that is kept or dropped, the graph says, however misleading the name."""
    nodes = Nodes()
    dropout(nodes, name, version)
    found = nodes.rank()
    assert [(one.tensor_name, one.value) for one in found.constants] == [(f"{name}:0", value)]
    assert names(found.inputs) == ["x:0"]


@pytest.mark.parametrize(
    ("name", "dtype", "value"),
    [
        ("is_training", BOOL, False), ("training", BOOL, False), ("phase_train", BOOL, False),
        ("isTraining", BOOL, False), ("bn/train_mode", BOOL, False), ("keras_learning_phase", BOOL, False),
        ("is_training", INT32, 0), ("is_test", BOOL, True), ("inference", BOOL, True), ("keep_prob", FLOAT, 1.0),
        ("dropout_keep_prob", FLOAT, 1.0), ("keepProb", FLOAT, 1.0), ("dropout_rate", FLOAT, 0.0),
        ("drop_prob", FLOAT, 0.0), ("learning_rate", FLOAT, 0.0), ("lr", FLOAT, 0.0), ("batch_size", INT32, 1),
        ("threshold", FLOAT, None), ("temperature", FLOAT, None), ("use_gpu", BOOL, None),
        ("num_classes", INT32, None), ("x", FLOAT, None), ("train_ids", INT32, None), ("keep", INT64, None),
    ],
)  # fmt: skip
def test_placeholders_of_training_by_name(name: str, dtype: int, value: object) -> None:
    """The usual names of what steers training give the value for answering; others are left to the person."""
    nodes = Nodes()
    nodes.placeholder("image")
    nodes.placeholder(name, dtype, ())
    nodes.add("y", "Mul", nodes.layer("body", "image"), name, T=FLOAT)
    found = nodes.rank()
    values = [one.value for one in found.constants]
    assert values == ([] if value is None else [value]) and [type(one) for one in values] == [type(value)] * len(values)
    assert (f"{name}:0" in names(found.inputs)) == (value is None)


def test_a_batch_of_training_flags_is_an_input() -> None:
    """What has a shape is data, whatever it is called."""
    nodes = Nodes()
    nodes.placeholder("keep_prob", FLOAT, (-1, 4))
    nodes.layer("y", "keep_prob")
    assert names(nodes.rank().inputs) == ["keep_prob:0"] and not nodes.rank().constants


def test_labels_that_an_answer_needs_are_no_labels() -> None:
    """A generator that takes labels needs them: a name alone doesn't make a placeholder useless."""
    nodes = Nodes()
    nodes.placeholder("noise")
    nodes.placeholder("labels")
    nodes.layer("generated", nodes.add("concat", "ConcatV2", "noise", "labels", T=FLOAT))
    found = nodes.rank()
    assert set(names(found.inputs)) == {"noise:0", "labels:0"} and found.outputs[0].tensor_name == "generated/BiasAdd:0"
    assert found.inputs[1].score > 0.5


def test_an_input_behind_a_queue_is_the_one_that_was_named() -> None:
    """Where a program called a copy of what a queue gives its input, that is what one feeds."""
    nodes = Nodes()
    nodes.add("queue", "FIFOQueueV2")
    nodes.add("batch", "QueueDequeueManyV2", "queue")
    nodes.graph.node[-1].attr["component_types"].list.type.extend([FLOAT, INT64])
    copy = nodes.add("input", "Identity", nodes.add("image_batch", "Identity", "batch", T=FLOAT), T=FLOAT)
    nodes.add("labels", "Identity", "batch:1", T=INT64)
    logits = nodes.layer("logits", copy)
    nodes.add("xent", "SparseSoftmaxCrossEntropyWithLogits", logits, "labels", T=FLOAT, Tlabels=INT64)
    found = nodes.rank()
    assert found.inputs[0].tensor_name == "input:0" and found.inputs[0].key == "input"
    assert found.inputs[1].tensor_name == "batch:1" and found.inputs[1].score < 0.2
    assert found.outputs[0].tensor_name == "logits/BiasAdd:0"


def test_what_lies_in_a_loop_or_a_branch() -> None:
    """What has a value for each turn of a loop can't be asked for, and what lies in a branch is ranked lower."""
    nodes = Nodes()
    nodes.placeholder("x")
    nodes.placeholder("flag", BOOL, ())
    body = nodes.layer("body", "x")
    nodes.add("loop/Enter", "Enter", body, T=FLOAT)
    nodes.add("loop/Merge", "Merge", "loop/Enter", "loop/Next", T=FLOAT)
    nodes.add("loop/LoopCond", "LoopCond", nodes.add("loop/Less", "Less", "loop/Merge", "loop/Merge", T=FLOAT))
    nodes.add("loop/Switch", "Switch", "loop/Merge", "loop/LoopCond", T=FLOAT)
    inner = nodes.add("loop/scores", "Sigmoid", "loop/Switch:1", T=FLOAT)
    nodes.add("loop/forgotten", "Softmax", inner, T=FLOAT)
    nodes.add("loop/Next", "NextIteration", inner, T=FLOAT)
    nodes.add("loop/Exit", "Exit", "loop/Switch", T=FLOAT)
    nodes.add("cond/Switch", "Switch", "loop/Exit", "flag", T=FLOAT)
    nodes.add("cond/scores", "Softmax", "cond/Switch:1", T=FLOAT)
    nodes.add("cond/Merge", "Merge", "cond/scores", "cond/Switch", T=FLOAT)
    nodes.add("cond/Softmax_probe", "Softmax", "cond/Switch", T=FLOAT)
    nodes.add("result", "Identity", "cond/Merge", T=FLOAT)
    found = nodes.rank()
    assert found.outputs[0].tensor_name == "result:0"
    assert not [name for name in names(found.outputs) if name.startswith("loop/")]
    probe = next(one for one in found.outputs if one.tensor_name == "cond/Softmax_probe:0")
    assert any("branch" in reason for reason in probe.reasons)


def test_keys_are_the_nodes_own_names() -> None:
    """A key is the last part of a name, or the scope's where the last part only repeats the op; keys are unique."""
    assert plain_key("a/probabilities", 0, "Softmax") == "probabilities"
    assert plain_key("logits/BiasAdd_1", 0, "BiasAdd") == "logits"
    assert plain_key("dense_2/Softmax", 0, "Softmax") == "Softmax"
    assert plain_key("Predictions/Softmax", 0, "Softmax") == "Predictions"
    assert plain_key("a/1x-y.z", 2, "Add") == "tensor_1x_y_z_2"
    assert plain_key("a/日本", 0, "Add") == "tensor"
    assert unique_keys(["a", "a_1", "a", "a", "b"]) == ["a", "a_1", "a_2", "a_3", "b"]
    assert words("dropout_keepProb_1") == ("dropout", "keep", "prob") and words("cross_entropy") == ("crossentropy",)
    assert is_saver_file("a/save_1/Const") and not is_saver_file("saved/Const")


def test_an_empty_graph_and_one_without_inputs() -> None:
    """Where there is nothing to rank there are no candidates."""
    assert Nodes().rank() == Candidates()
    nodes = Nodes()
    nodes.add("y", "Neg", nodes.weights("w"), T=FLOAT)
    assert nodes.rank() == Candidates()


def test_broken_graphs_are_ranked_or_refused() -> None:
    """Circles, nodes that take themselves, inputs that aren't there: an answer, never an endless walk."""
    nodes = Nodes()
    nodes.placeholder("x")
    for name, sources in (("a", ("b", "x")), ("b", ("a",)), ("c", ("c", "x")), ("d", ("gone:3", "x", "^x", "^"))):
        nodes.add(name, "Add", *sources, T=FLOAT)
    assert names(nodes.rank().inputs) == ["x:0"]


@pytest.mark.parametrize("name", ["lenet", "detection", "lstm", "inception"])
def test_mutated_graphs_are_ranked_or_refused(name: str) -> None:
    """Whatever happens to a graph's bytes: candidates, or one sentence."""
    path = next(FIXTURES.glob(f"{name}.*.gz"))
    content = gzip.decompress(path.read_bytes())
    make = meta_graph_of if ".pb" in path.name else meta_graph_from
    chance = random.Random(name)
    for _ in range(200):
        data = bytearray(content)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.choice((0, 1, 10, 18, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        try:
            found = rank_candidates(make(bytes(data)))
        except ExplorerError as error:
            assert "\n" not in str(error)
        else:
            assert all(0 <= one.score <= 1 for one in (*found.inputs, *found.outputs))


def shaped(shape: str, count: int) -> MetaGraph:
    """A graph of some size, made so that something that looks at all pairs would do so here."""
    nodes = Nodes()
    nodes.placeholder("x")
    if shape == "chain":
        last = "x"
        for number in range(count):
            last = nodes.add(f"l{number}/scores", "Sigmoid", last, T=FLOAT)
    elif shape == "hub":
        nodes.add("loss", "AddN", *(nodes.placeholder(f"p{number}") for number in range(count)), T=FLOAT)
        nodes.add("y", "Softmax", "loss", T=FLOAT)
    elif shape == "keeps":
        for number in range(count):
            nodes.placeholder(f"s{number}/keep_prob", FLOAT, ())
        nodes.layer("y", "x")
    elif shape == "logistic":
        nodes.add("logistic_loss", "AddN", *(nodes.add(f"a{number}", "Neg", "x") for number in range(count)), T=FLOAT)
    else:
        ends = [nodes.add(f"e{number}", "ArgMax", "x", T=FLOAT) for number in range(count)]
        nodes.add("loss", "MergeSummary", *ends)
    return meta_graph_of(nodes.graph.SerializeToString())


def lines_run(meta_graph: MetaGraph) -> int:
    """How many lines of Python ranking the candidates takes."""
    count = 0

    def trace(frame: object, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        found = rank_candidates(meta_graph)
    finally:
        sys.settrace(before)
    assert len(found.outputs) <= 100 and len(found.inputs) <= 100
    return count


@pytest.mark.parametrize("shape", ["chain", "hub", "keeps", "ends", "logistic"])
def test_work_grows_with_the_graph_only(shape: str) -> None:
    """Four times the nodes take some four times the work, also in graphs that are made to be slow."""
    small, large = (lines_run(shaped(shape, count)) for count in (600, 2400))
    assert large < 6 * small
