"""Steps before and behind signatures: what is added to the file, what stays, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import explorer
from explorer import SavedModel
from explorer.editing.preprocessing import add_wrapped_signature
from explorer.editing.steps import Step, StepTensor, Table, step_from_bytes, step_from_data, step_to_bytes, step_to_data
from explorer.editing.two_truths import Functions, agree, read_plan
from explorer.errors import EditError, ExplorerError, FormatError, NotFoundError, UnsupportedEditError
from explorer.savedmodel.assets import read_assets
from explorer.savedmodel.graph import Graph, read_graph, split_tensor_name
from explorer.savedmodel.model import Shape
from explorer.savedmodel.object_graph import new_message, node_message, parsed, read_function, read_object_graph
from explorer.savedmodel.op_defs import OP
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import read_document
from explorer.savedmodel.records import iter_fields
from explorer.savedmodel.wire import LENGTH

STEPS = Path(__file__).parents[1] / "fixtures_steps"
FLOAT, STRING = 1, 7
Open = Callable[[str], SavedModel]


def step(name: str) -> Step:
    """A step that TensorFlow traced (``tests/fixtures_steps/make_steps.py``)."""
    return step_from_bytes((STEPS / f"{name}.json").read_bytes())


def rekeyed(given_step: Step, key: str) -> Step:
    """The step with another key for its input."""
    return replace(given_step, inputs=(replace(given_step.inputs[0], key=key),))


@pytest.fixture
def sample(sample_models: Path) -> Open:
    """Opens a sample model by name."""
    return lambda name: explorer.open_saved_model(sample_models / name)


def bytes_of(model: SavedModel) -> bytes:
    """The model's file with its edits."""
    assert model.document is not None
    return model.document.to_bytes()


def message_of(model: SavedModel) -> Any:
    """The first MetaGraphDef of a model."""
    return parsed("tensorflow.SavedModel", bytes_of(model), "the model").meta_graphs[0]


def graph_of(model: SavedModel) -> Graph:
    """The graph of a model of one meta graph."""
    return read_graph(model.meta_graph())


# The file of a step


@pytest.mark.parametrize("name", sorted(path.stem for path in STEPS.glob("*.json")))
def test_a_step_reads_back_equal(name: str) -> None:
    """A step is the same after it was written, as a file and as data in JSON."""
    one = step(name)
    assert step_from_bytes(step_to_bytes(one)) == one
    assert step_from_data(json.loads(json.dumps(step_to_data(one)))) == one


STEP_KEYS = st.sampled_from(["function", "library", "inputs", "outputs", "ops", "tables"])
ANY_JSON = st.recursive(
    st.none() | st.text() | st.integers() | st.booleans(),
    lambda part: st.lists(part) | st.dictionaries(STEP_KEYS, part),
)


@given(ANY_JSON)
def test_what_is_no_step_is_refused(data: Any) -> None:
    """Any other JSON is our own error, or a step that holds nothing but texts and numbers."""
    for read, given_data in ((step_from_data, data), (step_from_bytes, json.dumps(data).encode())):
        try:
            found = read(given_data)
        except FormatError as error:
            assert "step" in str(error)
        else:
            assert step_from_bytes(step_to_bytes(found)) == found


# TensorFlow 2


def test_both_truths_say_what_the_new_signature_computes(sample: Open) -> None:
    """A server and tf.saved_model.load see the step and then what the old signature calls; all else keeps its bytes."""
    model = sample("keras3")
    wrapped = add_wrapped_signature(model, "serve", "new", before=step("row"), feeds={"row": "size"})
    meta_graph = wrapped.meta_graph()
    new, old = meta_graph.signature("new"), meta_graph.signature("serve")
    assert agree(Functions(meta_graph), new)
    plan, before = read_plan(Functions(meta_graph), new), read_plan(Functions(model.meta_graph()), old)
    assert [call.function for call in plan.calls] == [step("row").function, *(call.function for call in before.calls)]
    assert set(new.inputs) == {"line", "colour"} and set(new.outputs) == set(old.outputs)
    assert str(new.input("line")).endswith("[?]") and new.method == "predict"
    was, is_now = message_of(model), message_of(wrapped)
    assert is_now.signature_def["serve"] == was.signature_def["serve"]
    assert list(is_now.graph_def.node)[: len(was.graph_def.node)] == list(was.graph_def.node)
    functions = list(was.graph_def.library.function)
    assert list(is_now.graph_def.library.function)[: len(functions)] == functions
    objects = [node for node in was.object_graph_def.nodes if node.user_object.identifier != "signature_map"]
    assert [node for node in is_now.object_graph_def.nodes if node in objects] == objects
    assert len(is_now.object_graph_def.nodes) == len(was.object_graph_def.nodes) + 1


def test_one_step_is_in_the_library_once(sample: Open) -> None:
    """A second signature over the same step brings one new function: its own."""
    for name, key, fed in (("keras3", "serve", "size"), ("linear", "prediction", "input")):
        first = add_wrapped_signature(sample(name), key, "new", before=step("row"), feeds={"row": fed})
        second = add_wrapped_signature(first, key, "again", before=step("row"), feeds={"row": fed})
        added = graph_of(second).functions.keys() - graph_of(first).functions.keys()
        assert len(added) == (1 if name == "keras3" else 0)
        assert {name for name in added if name.startswith("explorer_")} == set()


def other_of(one: Step) -> Step:
    """A step with the names of another one, whose functions do something else."""
    library = []
    for data in one.library:
        function = parsed("tensorflow.FunctionDef", data, "a function")
        function.attr["other"].b = True
        library.append(function.SerializeToString(deterministic=True))
    return replace(one, library=tuple(library))


@pytest.mark.parametrize(("name", "key", "fed"), [("keras3", "serve", "size"), ("linear", "prediction", "input")])
def test_another_function_of_that_name_is_left_alone(name: str, key: str, fed: str, sample: Open) -> None:
    """The step's own get a number, those that are named in attributes too, and call each other as before."""
    one, other = step("row"), other_of(step("row"))
    first = add_wrapped_signature(sample(name), key, "new", before=one, feeds={"row": fed})
    second = add_wrapped_signature(first, key, "other", before=other, feeds={"row": fed})
    graph = graph_of(second)
    names = [function for function in graph.functions if function.startswith("explorer_row")]
    assert len(names) == 2 * len(one.library)
    assert graph_of(first).functions.items() <= graph.functions.items()
    pending, seen = [f"{one.function}_1"], set[str]()
    while pending:
        function = read_function(graph, pending.pop())
        assert function.attr["other"].b
        seen.add(function.signature.name)
        for node in function.node_def:
            for value in node.attr.values():
                called = [value.func.name] if value.HasField("func") else [one.name for one in value.list.func]
                pending += called
    assert seen == {f"{function}_1" for function in names if not function.endswith("_1")}
    third = add_wrapped_signature(second, key, "third", before=other, feeds={"row": fed})
    assert {name for name in graph_of(third).functions if name.startswith("explorer_row")} == set(names)


def test_the_ops_of_a_step_are_defined(sample: Open) -> None:
    """Each op that comes in has its definition in the file, once, so that every dtype is known without TensorFlow."""
    for name, key, fed in (("keras3", "serve", "size"), ("linear", "prediction", "input")):
        model = add_wrapped_signature(sample(name), key, "new", before=step("row"), feeds={"row": fed})
        defined = [op.name for op in message_of(model).meta_info_def.stripped_op_list.op]
        assert len(defined) == len(set(defined))
        graph = graph_of(model)
        used = {node.op for node in graph.nodes.values()}
        for function in graph.functions:
            used |= {node.op for node in read_function(graph, function).node_def if function.startswith("explorer_")}
        assert used - graph.functions.keys() <= set(defined)
        stored = [bytes(part) for tag, _, part in iter_fields(step("row").ops) if tag == OP << 3 | LENGTH]
        assert any(one in message_of(model).meta_info_def.stripped_op_list.SerializeToString() for one in stored)


def test_an_input_that_stays_keeps_its_default(sample: Open) -> None:
    """What a server takes where a request leaves an input out it takes in the new signature, too."""
    model = explorer.set_default(sample("keras3"), "serve", "colour", [[1.0, 2.0]])
    model = explorer.set_default(model, "serve", "size", [[1.0, 2.0, 3.0]])
    wrapped = add_wrapped_signature(model, "serve", "new", before=step("row"), feeds={"row": "size"})
    assert set(wrapped.meta_graph().signature("new").defaults) == {"colour"}
    graph = explorer.set_default(sample("tf1_ref_variables"), "serving_default", "features/scale", 2.0)
    wrapped = add_wrapped_signature(
        graph, "serving_default", "new", before=step("number_any"), feeds={"number": "features/x"}
    )
    signature = wrapped.meta_graph().signature("new")
    assert dict(signature.defaults) == dict(graph.meta_graph().signature("serving_default").defaults)


def test_a_restricted_input_is_still_restricted(sample: Open) -> None:
    """A signature that refuses other shapes when it runs refuses them from a step as well."""
    model = explorer.set_input_shape(sample("keras3"), "serve", "size", [2, 3])
    loose = replace(step("row"), outputs=(StepTensor("row", FLOAT, Shape((None, 3))),))
    wrapped = add_wrapped_signature(model, "serve", "new", before=loose, feeds={"row": "size"})
    meta_graph = wrapped.meta_graph()
    assert agree(Functions(meta_graph), meta_graph.signature("new"))
    calls = read_plan(Functions(meta_graph), meta_graph.signature("new")).calls
    (check,) = [call for call in calls if call.function.startswith("explorer_ensure_shape")]
    body = read_function(graph_of(wrapped), check.function)
    assert [node.op for node in body.node_def] == ["EnsureShape"]
    assert [dim.size for dim in body.node_def[0].attr["shape"].shape.dim] == [2, 3]


# TensorFlow 1: a graph that is run in Python


class Unfed(Exception):
    """A placeholder was run that nobody feeds."""


def session_run(graph: Graph, tensor_names: list[str], fed: Mapping[str, float]) -> list[float]:
    """Runs a graph of a few ops as a session does; the only function is the step ``double``."""
    values: dict[str, list[float]] = {}

    def answered(edge: str) -> bool:
        node = graph.nodes[edge.removeprefix("^")]
        return edge[:1] == "^" and f"{node.name}:0" in fed and node.op == "Placeholder"

    def take(edge: str) -> float:
        name, index = split_tensor_name(edge)
        if f"{name}:{index or 0}" in fed:
            return fed[f"{name}:{index or 0}"]
        return run(name)[index or 0]

    def run(name: str) -> list[float]:
        if name in values:
            return values[name]
        node = graph.nodes[name]
        if node.op == "Placeholder":
            raise Unfed(name)
        for edge in node.inputs:
            if edge[:1] == "^" and not answered(edge):
                run(edge[1:])
        taken = [take(edge) for edge in node.inputs if edge[:1] != "^"]
        if node.op == "PartitionedCall":
            assert node_message(node).attr["f"].func.name == step("double").function
            found = [taken[0] * 2]
        elif node.op == "Two":
            found = [taken[0] + 1, taken[0] - taken[1]]
        elif node.op == "Const":
            found = [float(node_message(node).attr["number"].i)]
        else:
            found = [taken[0]]
            assert node.op in ("Identity", "PlaceholderWithDefault")
        values[name] = found
        return found

    return [take(name) for name in tensor_names]


def called(model: SavedModel, signature_key: str, values: Mapping[str, float]) -> dict[str, float] | None:
    """What a signature answers; None where it can't be called."""
    signature = model.meta_graph().signature(signature_key)
    fed = {signature.input(key).tensor_name or "": value for key, value in values.items()}
    assert set(values) == set(signature.inputs)
    names = [info.tensor_name or "" for info in signature.outputs.values()]
    try:
        return dict(zip(signature.outputs, session_run(graph_of(model), names, fed), strict=True))
    except Unfed:
        return None


def model_of(
    nodes: list[tuple[str, str, list[str]]],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    change: Callable[[Any], None] | None = None,
) -> SavedModel:
    """A model of TensorFlow 1 without weights, with the signature ``serving_default``.

    Args:
        nodes: Name, op and inputs of each node.
        inputs: Input key → tensor name.
        outputs: Output key → tensor name.
        change: Changes the MetaGraphDef before it is written.
    """
    message = new_message("SavedModel")
    meta_graph = message.meta_graphs.add()
    meta_graph.meta_info_def.tags.append("serve")
    meta_graph.graph_def.versions.producer = 24
    for number, (name, op, edges) in enumerate(nodes):
        node = meta_graph.graph_def.node.add(name=name, op=op, input=edges)
        if op == "Placeholder":
            node.attr["dtype"].type = FLOAT
            node.attr["shape"].shape.unknown_rank = True
        if op == "Const":
            node.attr["number"].i = number
    signature = meta_graph.signature_def["serving_default"]
    for infos, tensors in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for key, name in tensors.items():
            infos[key].name, infos[key].dtype = name, FLOAT
            infos[key].tensor_shape.unknown_rank = True
    if change is not None:
        change(meta_graph)
    return read_document(Document.of_bytes(message.SerializeToString()))


@st.composite
def a_graph(draw: st.DrawFn) -> SavedModel:
    """A random graph without loops: several outputs, edges that only order, inputs in the midst of it."""
    nodes: list[tuple[str, str, list[str]]] = [("a", "Placeholder", []), ("b", "Placeholder", [])]
    tensors = ["a", "b"]
    for number in range(draw(st.integers(1, 9))):
        op = draw(st.sampled_from(["Identity", "Two", "Two", "Const"]))
        edges = [draw(st.sampled_from(tensors)) for _ in range({"Identity": 1, "Two": 2, "Const": 0}[op])]
        edges += [f"^{draw(st.sampled_from(nodes))[0]}" for _ in range(draw(st.sampled_from([0, 0, 1])))]
        nodes.append((f"n{number}", op, edges))
        tensors += [f"n{number}", f"n{number}:1"] if op == "Two" else [f"n{number}"]
    names = [name if ":" in name else f"{name}:0" for name in tensors]
    others = st.lists(st.sampled_from(names[1:]), unique=True, max_size=2)
    inputs = {f"in{place}": name for place, name in enumerate(["a:0", *draw(others)])}
    outputs = draw(st.lists(st.sampled_from(names), unique=True, min_size=1, max_size=3))
    return model_of(nodes, inputs, {f"out{place}": name for place, name in enumerate(outputs)})


@settings(max_examples=300)
@given(a_graph(), st.data())
def test_the_new_signature_is_the_step_and_the_old_one(model: SavedModel, data: st.DataObject) -> None:
    """Whatever the graph: every wrapped signature answers what the old one answers on doubled values, which stays.

    A signature that can't be called itself is refused; no other is.
    """
    values = {key: float(place + 3) for place, key in enumerate(model.meta_graph().signature("serving_default").inputs)}
    known: dict[str, tuple[dict[str, float], dict[str, float] | None]] = {
        "serving_default": (values, called(model, "serving_default", values))
    }
    for number in range(data.draw(st.integers(1, 4))):
        key = data.draw(st.sampled_from(sorted(known)))
        inputs, answer = known[key]
        fed = data.draw(st.sampled_from(sorted(inputs)))
        new_key = f"new{number}"
        try:
            before = rekeyed(step("double"), f"half{number}")
            model = add_wrapped_signature(model, key, new_key, before=before, feeds={"doubled": fed})
        except EditError as error:
            assert answer is None and "which none of its inputs feeds" in str(error)
            return
        halves = {name: value for name, value in inputs.items() if name != fed} | {f"half{number}": inputs[fed] / 2}
        known[new_key] = halves, answer
        for known_key, (given_values, wanted) in known.items():
            assert called(model, known_key, given_values) == wanted
    nodes = [node.name for node in message_of(model).graph_def.node]
    assert len(nodes) == len(set(nodes))


PLAIN = [("x", "Placeholder", []), ("c", "Const", []), ("y", "Two", ["x", "c"]), ("z", "Identity", ["y:1"])]


def test_a_placeholder_gets_a_default_in_its_place() -> None:
    """The first step over an input changes one node, which keeps its name and dtype, and copies none."""
    model = model_of(PLAIN, {"x": "x:0"}, {"z": "z:0"})
    wrapped = add_wrapped_signature(model, "serving_default", "new", before=step("double"), feeds={"doubled": "x"})
    nodes = message_of(wrapped).graph_def.node
    assert [node.name for node in nodes] == ["x", "c", "y", "z", "new_scores", "new_before"]
    assert (nodes[0].op, list(nodes[0].input), nodes[0].attr["dtype"].type) == (
        "PlaceholderWithDefault", ["new_before"], FLOAT,
    )  # fmt: skip
    assert list(nodes)[1:4] == list(message_of(model).graph_def.node)[1:4]
    assert message_of(wrapped).signature_def["serving_default"] == message_of(model).signature_def["serving_default"]


def test_a_second_step_gets_a_copy_of_what_depends_on_the_input() -> None:
    """Constants are shared; copies are named after their nodes and keep their attributes."""
    model = model_of(PLAIN, {"x": "x:0"}, {"z": "z:0", "c": "c:0"})
    for key in ("new", "again"):
        model = add_wrapped_signature(model, "serving_default", key, before=step("double"), feeds={"doubled": "x"})
    graph = graph_of(model)
    copies = {name: node.inputs for name, node in graph.nodes.items() if name.startswith("again_graph/")}
    assert copies == {"again_graph/y": ("again_before", "c"), "again_graph/z": ("again_graph/y:1",)}
    outputs = {key: info.tensor_name for key, info in model.meta_graph().signature("again").outputs.items()}
    assert outputs == {"z": "again_graph/z:0", "c": "c:0"}


def test_what_waits_for_the_placeholder_keeps_it_as_it_is() -> None:
    """Whoever feeds a placeholder answers for what waits for it; a PlaceholderWithDefault would run its default."""
    model = model_of([*PLAIN, ("w", "Const", ["^x"])], {"x": "x:0"}, {"z": "z:0"})
    wrapped = add_wrapped_signature(model, "serving_default", "new", before=step("double"), feeds={"doubled": "x"})
    assert graph_of(wrapped).nodes["x"].op == "Placeholder"
    assert "new_graph/z" in graph_of(wrapped).nodes and "new_graph/w" not in graph_of(wrapped).nodes


LOOP = [
    ("x", "Placeholder", []),
    ("n", "Const", []),
    ("array", "TensorArrayV3", ["n"]),
    ("enter_at", "Enter", ["n"]),
    ("enter_x", "Enter", ["x"]),
    ("enter_array", "Enter", ["array"]),
    ("at", "Merge", ["enter_at", "next_at"]),
    ("value", "Merge", ["enter_x", "next_value"]),
    ("less", "Less", ["at", "at"]),
    ("cond", "LoopCond", ["less"]),
    ("switch_at", "Switch", ["at", "cond"]),
    ("switch_value", "Switch", ["value", "cond"]),
    ("one", "Const", ["^switch_at"]),
    ("plus", "Add", ["switch_at:1", "one"]),
    ("next_at", "NextIteration", ["plus"]),
    ("inner_enter", "Enter", ["switch_value:1"]),
    ("inner_merge", "Merge", ["inner_enter", "inner_next"]),
    ("inner_next", "NextIteration", ["inner_merge"]),
    ("inner_exit", "Exit", ["inner_merge"]),
    ("write", "TensorArrayWriteV3", ["enter_array", "switch_at:1", "inner_exit"]),
    ("next_value", "NextIteration", ["inner_exit", "^write"]),
    ("exit_at", "Exit", ["switch_at"]),
    ("exit_value", "Exit", ["switch_value"]),
    ("after", "Identity", ["exit_at"]),
    ("rows", "TensorArrayGatherV3", ["array", "after", "exit_value"]),
]


def with_frames(meta_graph: Any) -> None:
    """Says which node enters which loop."""
    for node in meta_graph.graph_def.node:
        if node.op == "Enter":
            node.attr["frame_name"].s = b"inner" if node.name.startswith("inner") else b"outer"
        if node.name == "plus":
            node.attr["_class"].list.s.extend([b"loc:@one", b"loc:@n"])


def test_a_loop_is_copied_whole() -> None:
    """Its counter depends on no input and is copied all the same, with the array that it fills; what comes in isn't."""
    model = model_of(LOOP, {"x": "x:0"}, {"rows": "rows:0"}, with_frames)
    for key in ("new", "again"):
        model = add_wrapped_signature(model, "serving_default", key, before=step("double"), feeds={"doubled": "x"})
    nodes = {node.name: node for node in message_of(model).graph_def.node}
    copied = {name.removeprefix("again_graph/") for name in nodes if name.startswith("again_graph/")}
    assert copied == {name for name, _, _ in LOOP} - {"x", "n"}
    frames = {name: nodes[f"again_graph/{name}"].attr["frame_name"].s for name in ("enter_at", "inner_enter")}
    assert frames == {"enter_at": b"again_graph/outer", "inner_enter": b"again_graph/inner"}
    assert list(nodes["again_graph/enter_x"].input) == ["again_before"]
    assert list(nodes["again_graph/one"].input) == ["^again_graph/switch_at"]
    assert list(nodes["again_graph/plus"].attr["_class"].list.s) == [b"loc:@again_graph/one", b"loc:@n"]
    assert nodes["enter_at"].attr["frame_name"].s == b"outer"


def test_what_others_share_is_not_copied() -> None:
    """A variable that runs after the input can be there only once; the sentence says which node it is."""
    nodes = [*PLAIN, ("v", "VariableV2", ["^y"]), ("sum", "Two", ["z", "v"])]

    def share(meta_graph: Any) -> None:
        meta_graph.graph_def.node[4].attr["shared_name"].s = b""

    model = model_of(nodes, {"x": "x:0"}, {"sum": "sum:0"}, share)
    first = add_wrapped_signature(model, "serving_default", "new", before=step("double"), feeds={"doubled": "x"})
    with pytest.raises(UnsupportedEditError, match=r"the node 'v' \(VariableV2\) runs after the input"):
        add_wrapped_signature(first, "serving_default", "again", before=step("double"), feeds={"doubled": "x"})


def test_a_placeholder_of_an_old_graph_has_any_shape() -> None:
    """Before version 22 a placeholder without a shape was written like a scalar, and takes whatever a step gives."""

    def scalar(meta_graph: Any) -> None:
        meta_graph.graph_def.node[0].attr["shape"].shape.Clear()
        meta_graph.graph_def.node[0].attr["shape"].shape.SetInParent()
        meta_graph.signature_def["serving_default"].inputs["x"].tensor_shape.Clear()

    def old(meta_graph: Any) -> None:
        scalar(meta_graph)
        meta_graph.graph_def.versions.producer = 21

    model = model_of(PLAIN, {"x": "x:0"}, {"z": "z:0"}, old)
    wrapped = add_wrapped_signature(model, "serving_default", "new", before=step("row"), feeds={"row": "x"})
    assert message_of(wrapped).graph_def.node[0].attr["shape"].shape.unknown_rank
    with pytest.raises(EditError, match=r"input 'x' has the shape \[\], but the step gives \[\?, 3\]"):
        add_wrapped_signature(
            model_of(PLAIN, {"x": "x:0"}, {"z": "z:0"}, scalar),
            "serving_default", "new", before=step("row"), feeds={"row": "x"},
        )  # fmt: skip


# Tables


def named(model: SavedModel, key: str = "serving_default", new_key: str = "named") -> SavedModel:
    """The model with a signature that looks up a name in ``labels.txt``."""
    output = next(iter(model.meta_graph().signature(key).outputs))
    return add_wrapped_signature(model, key, new_key, after=step("name_any"), takes={"scores": output})


def init_nodes(model: SavedModel) -> dict[str, tuple[str, ...]]:
    """What each place that a loader may look at names, with what that node waits for."""
    meta_graph = message_of(model)
    found = {}
    for name in ("saved_model_main_op", "legacy_init_op"):
        if name in meta_graph.collection_def:
            (node,) = meta_graph.collection_def[name].node_list.value
            found[name] = node
    if "__saved_model_init_op" in meta_graph.signature_def:
        name = meta_graph.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name
        found["signature"] = name.partition(":")[0]
    return {place: graph_of(model).nodes[name].inputs for place, name in found.items()}


def with_init(*places: str) -> Callable[[Any], None]:
    """Puts an init op of its own into each of some places."""

    def change(meta_graph: Any) -> None:
        for place in places:
            meta_graph.graph_def.node.add(name=f"init_{place}", op="NoOp")
            if place == "signature":
                signature = meta_graph.signature_def["__saved_model_init_op"]
                signature.outputs["__saved_model_init_op"].name = f"init_{place}"
            else:
                meta_graph.collection_def[place].node_list.value.append(f"init_{place}")

    return change


@pytest.mark.parametrize(
    ("places", "run"),
    [
        ((), {"saved_model_main_op"}),
        (("saved_model_main_op",), {"saved_model_main_op"}),
        (("legacy_init_op",), {"legacy_init_op"}),
        (("legacy_init_op", "saved_model_main_op"), {"saved_model_main_op"}),
        (("signature",), {"signature"}),
        (("signature", "saved_model_main_op"), {"signature", "saved_model_main_op"}),
    ],
)
def test_the_table_is_filled_by_what_a_loader_runs(places: tuple[str, ...], run: set[str]) -> None:
    """Wherever a loader finds its init op it fills the table; where there is none, one is made."""
    model = named(model_of(PLAIN, {"x": "x:0"}, {"z": "z:0"}, with_init(*places)))
    filling = "named/initialize"
    assert {place for place, inputs in init_nodes(model).items() if f"^{filling}" in inputs} == run
    graph = graph_of(model)
    assert graph.nodes[filling].inputs == ("named/table", "named/asset")
    assert [tuple(asset) for asset in read_assets(model.meta_graph())] == [("labels.txt", "named/asset:0")]
    assert graph.nodes["named_after"].inputs == ("z", "named/table")
    again = named(model, new_key="again")
    assert {place for place, inputs in init_nodes(again).items() if "^again/initialize" in inputs} == run
    assert len(read_assets(again.meta_graph())) == 2


def test_assets_in_a_collection_stay_assets() -> None:
    """A list of assets hides the collection that TensorFlow 1 wrote, so what stands there comes to the list."""

    def collect(meta_graph: Any) -> None:
        asset = new_message("AssetFileDef")
        asset.filename, asset.tensor_info.name = "words.txt", "c:0"
        value = meta_graph.collection_def["saved_model_assets"].any_list.value.add()
        value.type_url, value.value = "type.googleapis.com/tensorflow.AssetFileDef", asset.SerializeToString()

    model = named(model_of(PLAIN, {"x": "x:0"}, {"z": "z:0"}, collect))
    assert [asset.filename for asset in read_assets(model.meta_graph())] == ["words.txt", "labels.txt"]


def test_a_table_stands_in_the_object_graph_too(sample: Open) -> None:
    """tf.saved_model.load makes it, fills it from the asset, and finds it under the root."""
    model = named(sample("keras3"), "serve")
    objects = read_object_graph(model.meta_graph())
    (reference,) = [child for child in objects.nodes[0].children if child.local_name == "explorer_table"]
    table = objects.nodes[reference.node_id]
    assert table.WhichOneof("kind") == "resource"
    children = {child.local_name: objects.nodes[child.node_id] for child in table.children}
    assert message_of(model).asset_file_def[children["_asset"].asset.asset_file_def_index].filename == "labels.txt"
    functions = {name: child.function.concrete_functions[0] for name, child in children.items() if name != "_asset"}
    assert set(functions) == {"_create_resource", "_initialize", "_destroy_resource"}
    assert all(name in objects.concrete_functions for name in functions.values())
    meta_graph = model.meta_graph()
    assert agree(Functions(meta_graph), meta_graph.signature("named"))
    assert {"^named/initialize"} & set(init_nodes(model)["saved_model_main_op"])
    twice = named(model, "serve", "again")
    root = read_object_graph(twice.meta_graph()).nodes[0]
    assert [child.local_name for child in root.children][-2:] == ["explorer_table", "explorer_table_1"]


# What is refused, and the recipe

RENAMED = rekeyed(step("row"), "colour")
REFUSALS: list[tuple[str, str, dict[str, Any], type[ExplorerError], str]] = [
    ("keras3", "serve", {}, EditError, "neither a step before it nor one behind it"),
    ("keras3", "nope", {"before": step("row")}, NotFoundError, "no signature 'nope'"),
    ("keras3", "serve", {"before": step("row")}, EditError, "which input gets what the step gives"),
    ("keras3", "serve", {"before": step("row"), "feeds": {"r": "size"}}, NotFoundError, "no result of the step 'r'"),
    ("keras3", "serve", {"before": step("row"), "feeds": {"row": "x"}}, NotFoundError, "no input 'x'"),
    ("keras3", "serve", {"before": RENAMED, "feeds": {"row": "size"}}, EditError, "two inputs 'colour'"),
    (
        "keras3", "serve", {"before": step("row"), "feeds": {"row": "colour"}}, EditError,
        r"input 'colour' has the shape \[\?, 2\], but the step gives \[\?, 3\]",
    ),
    (
        "module", "serving_default", {"before": step("number"), "feeds": {"number": "words"}}, EditError,
        "input 'words' is string, but the step gives float32",
    ),
    (
        "half_plus_two", "serving_default",
        {"before": step("pair"), "feeds": {"first": "x", "second": "x"}}, EditError, "input 'x' would get two values",
    ),
    ("keras3", "serve", {"after": step("double")}, EditError, "which output the step behind the signature gets"),
    ("keras3", "serve", {"after": step("double"), "takes": {"x": "y"}}, NotFoundError, "no argument of the step 'x'"),
    ("keras3", "serve", {"after": step("double"), "takes": {"scores": "y"}}, NotFoundError, "no output 'y'"),
    (
        "keras3", "serve", {"after": step("double"), "takes": {"scores": "output_0"}, "outputs": ["y"]},
        NotFoundError, "no output 'y'",
    ),
    (
        "keras3", "serve", {"before": step("row"), "feeds": {"row": "size"}, "outputs": ()},
        EditError, "no output",
    ),
    (
        "tf1_sparse", "serving_default", {"before": step("number_any"), "feeds": {"number": "features"}}, EditError,
        "input 'features' is a coo_sparse tensor",
    ),
    (
        "keras3", "serve",
        {
            "after": replace(step("name_any"), tables=(Table("../labels.txt"),)), "takes": {"scores": "output_0"},
        },
        EditError, "no name of a file below assets/",
    ),
    (
        "keras3", "serve", {"before": replace(step("row"), function="nope"), "feeds": {"row": "size"}},
        FormatError, "the step has no function 'nope'",
    ),
    (
        "keras3", "serve", {"before": replace(step("row"), inputs=()), "feeds": {"row": "size"}},
        FormatError, "hasn't the arguments and results",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "key", "arguments", "error", "words"), REFUSALS)
def test_refusals(
    name: str, key: str, arguments: dict[str, Any], error: type[ExplorerError], words: str, sample: Open
) -> None:  # fmt: skip
    """What doesn't fit is refused in one sentence that says what and where."""
    with pytest.raises(error, match=words) as caught:
        add_wrapped_signature(sample(name), key, "new", **arguments)
    assert "\n" not in str(caught.value)


def test_a_function_that_calls_itself_is_refused(sample: Open) -> None:
    """No step of ours does; the walk over its functions ends all the same."""
    one = step("double")
    function = parsed("tensorflow.FunctionDef", one.library[0], "a function")
    node = function.node_def.add(name="again", op="PartitionedCall")
    node.attr["f"].func.name = one.function
    turning = replace(one, library=(function.SerializeToString(),))
    with pytest.raises(FormatError, match="calls itself"):
        add_wrapped_signature(
            sample("half_plus_two"), "serving_default", "new", before=turning, feeds={"doubled": "x"}
        )  # fmt: skip


@pytest.mark.parametrize("name", ["keras3", "half_plus_two"])
def test_the_recipe_holds_the_steps(name: str, sample: Open) -> None:
    """What was recorded, read from JSON, makes the same file again, byte for byte."""
    model = sample(name)
    key, fed, out = ("serve", "size", "output_0") if name == "keras3" else ("serving_default", "x", "y")
    before = step("row") if name == "keras3" else step("number")
    wrapped = add_wrapped_signature(
        model, key, "new", before=before, feeds={before.outputs[0].key: fed}, after=step("name_any"),
        takes={"scores": out}, outputs=[out], method_name="tensorflow/serving/classify",
    )  # fmt: skip
    (entry,) = json.loads(json.dumps(explorer.recipe(wrapped)))["edits"]
    assert entry.pop("edit") == "add_wrapped_signature"
    assert bytes_of(add_wrapped_signature(model, **entry)) == bytes_of(wrapped)
    assert wrapped.meta_graph().signature("new").method == "classify"
