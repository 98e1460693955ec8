"""What flows from the inputs of a signature to its outputs: reached, grouped, unfolded and searched. No TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.diagnosing.flow import MOST_BOXES, Flow, FlowOp, View, flow_of, ops_of
from explorer.diagnosing.flow_bodies import Body, function_body
from explorer.diagnosing.flow_groups import Groups
from explorer.diagnosing.flow_labels import function_title
from explorer.errors import FormatError, NotFoundError
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.wire import encode_field as field

FLOAT, RESOURCE = 1, 20
Build = Callable[..., Any]


def function_bytes(
    name: str,
    arguments: dict[str, int],
    nodes: list[tuple[str, str, tuple[str, ...], bytes]],
    results: dict[str, str],
    control: dict[str, str] | None = None,
) -> bytes:
    """A FunctionDef, as a field of a library; nodes are name, op, edges and attributes."""
    signature = field(1, name)
    signature += b"".join(field(2, field(1, arg) + field(3, number)) for arg, number in arguments.items())
    signature += b"".join(field(3, field(1, result) + field(3, FLOAT)) for result in results)
    made = field(1, signature)
    for node, op, edges, attrs in nodes:
        made += field(3, field(1, node) + field(2, op) + b"".join(field(3, edge) for edge in edges) + attrs)
    made += b"".join(field(4, field(1, result) + field(2, edge)) for result, edge in results.items())
    made += b"".join(field(6, field(1, key) + field(2, node)) for key, node in (control or {}).items())
    return field(1, made)


def calls(build: Build, name: str) -> bytes:
    """The attributes of a call of a function with one result."""
    outputs: bytes = build.attr("Tout", field(1, field(6, FLOAT)))
    return bytes(build.attr("f", field(10, field(1, name)))) + outputs


def boxes(view: View, kind: str = "") -> list[str]:
    """The titles of the boxes of a view, all or those of a kind."""
    return [box.title for box in view.boxes if kind in ("", box.kind)]


def links(view: View) -> set[tuple[str, str]]:
    """The links of a view that carry values, by titles."""
    titles = {box.path: box.title for box in view.boxes}
    return {(titles[link.source], titles[link.target]) for link in view.links if not link.is_order}


def everything(flow: Flow) -> tuple[View, frozenset[tuple[str, ...]]]:
    """A flow with all of its groups unfolded, and their paths."""
    unfolded: frozenset[tuple[str, ...]] = frozenset()
    while True:
        view = flow.view(unfolded, most=100_000)
        more = unfolded | {box.path for box in view.boxes if box.can_unfold}
        if more == unfolded:
            return view, unfolded
        unfolded = more


@pytest.fixture
def called(model_bytes: Build) -> SavedModel:
    """A call of a function that adds a variable and calls another one."""
    build = model_bytes().usual_ops()
    build.op("StatefulPartitionedCall", build.out(list_attr="Tout")).op("ReadVariableOp", build.out(type_attr="dtype"))
    build.placeholder("x")
    variable = build.type_attr("dtype", FLOAT) + build.attr("shape", field(7, build.shape(3, 4)))
    build.node("layer/kernel", "VarHandleOp", (), variable)
    build.node("call", "StatefulPartitionedCall", ("x", "layer/kernel"), calls(build, "__inference_outer_7"))
    float_type = build.type_attr("T", FLOAT)
    build.library = function_bytes(
        "__inference_outer_7",
        {"a": FLOAT, "v": RESOURCE},
        [
            ("read", "ReadVariableOp", ("v",), build.type_attr("dtype", FLOAT)),
            ("sum", "Add", ("a", "read:value:0"), float_type),
            ("inner", "StatefulPartitionedCall", ("sum:out:0",), calls(build, "square")),
            ("side", "Square", ("a",), float_type),
            ("unused", "Square", ("sum:out:0",), float_type),
        ],
        {"r": "inner:output:0"},
        {"side": "side"},
    )
    build.library += function_bytes("square", {"b": FLOAT}, [("sq", "Square", ("b",), float_type)], {"s": "sq:out:0"})
    build.signature({"in": "x:0"}, {"out": "call:0"})
    return build.model()


def test_ends_are_the_keys_of_the_signature(model_bytes: Build) -> None:
    """Inputs and outputs are called by their keys, and one that no output needs is shown as not used."""
    build = model_bytes().usual_ops().placeholder("x").placeholder("label").compute("y", "x", "x").compute("loss", "y")
    view = flow_of(build.signature({"a": "x:0", "b": "label:0"}, {"c": "y:0"}).model(), "serving_default").view()
    assert boxes(view, "input") == ["a", "b"] and boxes(view, "output") == ["c"]
    assert links(view) == {("a", "y"), ("y", "c")}
    unused = next(box for box in view.boxes if box.title == "b")
    assert unused.facts == ("float32[?]", "not used") and unused.name == "label:0"
    assert "loss" not in boxes(view)


def test_nothing_is_reached_before_a_fed_tensor(model_bytes: Build) -> None:
    """What computes a fed tensor isn't run; another output of the same op, and a control edge to it, reach it."""
    build = model_bytes().usual_ops().op("Split", model_bytes.out(FLOAT), model_bytes.out(FLOAT))
    build.placeholder("x").node("parts", "Split", ("x",)).compute("left", "parts").compute("right", "parts:1")
    build.node("after", "NoOp", ("^parts",)).compute("both", "left", "^after")
    build.signature({"i": "parts:0"}, {"o": "left:0"}, key="cut")
    build.signature({"i": "parts:0"}, {"o": "left:0", "p": "right:0"}, key="other output")
    build.signature({"i": "parts:0"}, {"o": "both:0"}, key="control")
    model = build.model()

    def names(key: str) -> set[str]:
        return {op.node for op in ops_of(flow_of(model, key))}

    assert names("cut") == {"parts", "left"}
    assert names("other output") == {"parts", "left", "right", "x"}
    assert names("control") == {"parts", "left", "both", "after", "x"}


def test_missing_nodes_end_the_flow(model_bytes: Build) -> None:
    """An output, an input of a node and a function that aren't there make no error: the flow is what there is."""
    build = model_bytes().usual_ops().placeholder("x").compute("y", "x", "gone")
    build.node("call", "StatefulPartitionedCall", ("y",), calls(build, "nowhere"))
    flow = flow_of(build.signature({"x": "x:0"}, {"y": "call:0", "z": "lost:0"}).model(), "serving_default")
    view, _ = everything(flow)
    assert boxes(view, "output") == ["y", "z"] and links(view) == {("x", "y"), ("y", "call"), ("call", "y")}
    assert ops_of(flow) == {
        FlowOp("", "x", "Placeholder"),
        FlowOp("", "y", "Add"),
        FlowOp("", "call", "StatefulPartitionedCall"),
    }


def test_unknown_signature_says_what_there_is(model_bytes: Build) -> None:
    """A key that the model hasn't is refused with those that it has."""
    model = model_bytes().usual_ops().placeholder("x").signature({"x": "x:0"}, {"y": "x:0"}).model()
    with pytest.raises(NotFoundError, match="'serving_default'"):
        flow_of(model, "predict")


def test_input_that_is_an_output_too(model_bytes: Build) -> None:
    """What goes straight through is one link between the two ends."""
    model = model_bytes().usual_ops().placeholder("x").signature({"x": "x:0"}, {"y": "x:0"}).model()
    assert links(flow_of(model, "serving_default").view()) == {("x", "y")}


def test_scopes_are_groups_and_helpers_are_not(model_bytes: Build) -> None:
    """Two ops in a scope are a group, in scopes in scopes; a single one, and what a node has below its name, is not."""
    build = model_bytes().usual_ops().placeholder("x")
    build.compute("net/one/a", "x").compute("net/one/b", "net/one/a").compute("net/two/a", "net/one/b")
    build.node("net/two/c/y", "Const", (), build.type_attr("dtype", FLOAT) + build.shapes_attr(build.shape(5)))
    build.compute("net/two/c", "net/two/a", "net/two/c/y").compute("alone/d", "net/two/c")
    flow = flow_of(build.signature({"x": "x:0"}, {"y": "alone/d:0"}).model(), "serving_default")
    view = flow.view()
    assert boxes(view) == ["x", "net", "d", "y"] and links(view) == {("x", "net"), ("net", "d"), ("d", "y")}
    net = view.boxes[1]
    assert net.op_count == 5 and net.facts == ("5 ops",) and net.size_bytes == 20 and net.can_unfold
    view = flow.view({net.path})
    assert boxes(view) == ["x", "net", "one", "two", "d", "y"]
    assert links(view) == {("x", "one"), ("one", "two"), ("two", "d"), ("d", "y")}
    view, _ = everything(flow)
    constant = next(box for box in view.boxes if box.kind == "constant")
    assert constant.parent[-1] == "s:net/two" and constant.size_bytes == 20


def test_what_is_held_for_one_is_put_together(model_bytes: Build) -> None:
    """Three variables and constants of one op are one box, with their number and size; of two ops they are not."""
    build = model_bytes().usual_ops().placeholder("x")
    constant = build.type_attr("dtype", FLOAT) + build.shapes_attr(build.shape(2))
    for name in ("a", "b", "c"):
        build.node(name, "Const", (), constant)
    build.compute("y", "x", "a", "b", "c")
    flow = flow_of(build.signature({"x": "x:0"}, {"y": "y:0"}).model(), "serving_default")
    held = flow.view().boxes[1]
    assert (held.title, held.kind, held.size_bytes, held.op_count) == ("3 constants", "constants", 24, 3)
    assert boxes(flow.view({held.path}), "constant") == ["a", "b", "c"]


def test_calls_are_seen_through(called: SavedModel) -> None:
    """In an unfolded call what comes in goes on to what takes it, and its variable stands beside its reader."""
    flow = flow_of(called, "serving_default")
    assert links(flow.view()) == {("in", "call"), ("kernel", "call"), ("call", "out")}
    view, unfolded = everything(flow)
    assert len(unfolded) == 2
    assert links(view) == {
        ("in", "sum"), ("in", "side"), ("kernel", "call"), ("kernel", "read"), ("read", "sum"), ("sum", "sq"),
        ("sq", "out"),
    }  # fmt: skip
    assert not boxes(view, "argument") and not boxes(view, "result")
    inner = next(box for box in view.boxes if box.kind == "variable" and box.parent)
    assert (inner.title, inner.facts, inner.size_bytes) == ("kernel", ("float32[3, 4]",), 48)
    link = next(link for link in view.links if link.target[-1] == "n:read")
    assert link.tensors == ("v resource",)


def test_function_runs_what_its_results_and_its_end_need(called: SavedModel) -> None:
    """A node that must run before a function returns is reached, one that nobody asks for is not."""
    ops = ops_of(flow_of(called, "serving_default"))
    outer = "__inference_outer_7"
    assert {op.node for op in ops if op.function == outer} == {"read", "sum", "inner", "side"}
    assert FlowOp("square", "sq", "Square") in ops and FlowOp("", "x", "Placeholder") in ops


def test_functions_are_read_when_they_are_unfolded(called: SavedModel, model_bytes: Build) -> None:
    """The flow of a model with a corrupt function is drawn; only who looks into the function is told."""
    flow = flow_of(called, "serving_default")
    flow.view()
    assert not any(isinstance(kept, Body) for kept in flow.graph.derived.values())
    build = model_bytes().usual_ops().op("StatefulPartitionedCall", model_bytes.out(list_attr="Tout"))
    build.library = field(1, field(1, field(1, "bad")) + field(3, b"\x0a\x05ab"))
    build.placeholder("x").node("call", "StatefulPartitionedCall", ("x",), calls(build, "bad"))
    flow = flow_of(build.signature({"x": "x:0"}, {"y": "call:0"}).model(), "serving_default")
    view = flow.view()
    assert boxes(view) == ["x", "call", "y"]
    with pytest.raises(FormatError, match="'bad' is corrupt"):
        flow.view({view.boxes[1].path})


def test_functions_that_call_themselves_end(model_bytes: Build) -> None:
    """Of two functions that call each other each is unfolded once on a way, and all walks end."""
    build = model_bytes().usual_ops().op("StatefulPartitionedCall", model_bytes.out(list_attr="Tout"))
    for one, other in (("ping", "pong"), ("pong", "ping")):
        node = (f"to_{other}", "StatefulPartitionedCall", ("a",), calls(build, other))
        build.library += function_bytes(one, {"a": FLOAT}, [node], {"r": f"to_{other}:output:0"})
    build.placeholder("x").node("call", "StatefulPartitionedCall", ("x",), calls(build, "ping"))
    flow = flow_of(build.signature({"x": "x:0"}, {"y": "call:0"}).model(), "serving_default")
    view, unfolded = everything(flow)
    assert len(unfolded) == 2 and len(ops_of(flow)) == 4
    last = next(box for box in view.boxes if box.title == "to_ping")
    assert not last.can_unfold and "calls itself" in last.facts
    assert [found.name for found in flow.search("to_")] == ["to_pong", "to_ping"]
    assert flow.first_unfolded() <= unfolded


def test_argument_handed_back_goes_straight_on(model_bytes: Build) -> None:
    """A function that only returns what it is given is no dead end, nor an endless one."""
    build = model_bytes().usual_ops().op("StatefulPartitionedCall", model_bytes.out(list_attr="Tout"))
    build.library = function_bytes("same", {"a": FLOAT}, [], {"r": "a"})
    build.placeholder("x").node("call", "StatefulPartitionedCall", ("x",), calls(build, "same")).compute("y", "call")
    flow = flow_of(build.signature({"x": "x:0"}, {"y": "y:0"}).model(), "serving_default")
    assert ("x", "y") in links(everything(flow)[0])


def test_function_named_by_an_op(model_bytes: Build) -> None:
    """TensorFlow 1 makes a function's name an op: that is a call too."""
    build = model_bytes().usual_ops()
    build.library = function_bytes("Twice", {"a": FLOAT}, [("d", "Add", ("a", "a"), b"")], {"r": "d:out:0"})
    build.placeholder("x").node("go", "Twice", ("x",))
    flow = flow_of(build.signature({"x": "x:0"}, {"y": "go:0"}).model(), "serving_default")
    assert FlowOp("Twice", "d", "Add") in ops_of(flow)
    assert links(everything(flow)[0]) == {("x", "d"), ("d", "y")}


def test_loop_branch_and_table_of_real_models(sample_models: Path) -> None:
    """Loops and branches have their bodies inside, each with its arguments; a table tells the file that it is from."""
    flow = flow_of(open_saved_model(sample_models / "control_flow"), "serving_default")
    view, _ = everything(flow)
    assert {"loop", "branch", "call", "function", "scope"} <= {box.kind for box in view.boxes}
    assert {"condition", "body", "then", "else"} <= set(boxes(view, "function"))
    assert boxes(view, "argument") and boxes(view, "result")
    table = next(
        box
        for box in everything(flow_of(open_saved_model(sample_models / "module"), "serving_default"))[0].boxes
        if box.kind == "table" and box.parent
    )
    assert table.facts == ("string to int64", "from words.txt")


def test_every_sample_model_can_be_looked_at(sample_models: Path) -> None:
    """Each signature of each model unfolds to the end, and begins with what fits on a page."""
    count = 0
    for folder in sorted(sample_models.iterdir()):
        if not folder.is_dir() or folder.name in ("broken", "checkpoints", "recipes"):
            continue
        for meta_graph in open_saved_model(folder).meta_graphs:
            for key in meta_graph.callable_signatures:
                flow = flow_of(meta_graph, key)
                assert 2 <= len(flow.view(flow.first_unfolded()).boxes) <= 60
                view, _ = everything(flow)
                assert {name for box in view.boxes if box.kind in ("input", "output") for name in [box.title]}
                count += 1
    assert count > 40


def test_first_look_shows_small_flows_whole(sample_models: Path) -> None:
    """Of a small model all is seen at once; of a larger one the calls around everything are unfolded."""
    flow = flow_of(open_saved_model(sample_models / "linear"), "prediction")
    view = flow.view(flow.first_unfolded())
    assert not [
        box for box in view.boxes if box.can_unfold and not box.unfolded and box.kind not in ("held", "constants")
    ]
    flow = flow_of(open_saved_model(sample_models / "control_flow"), "serving_default")
    assert len([box for box in flow.view(flow.first_unfolded()).boxes if box.unfolded]) == 2


def wide(build: Build, count: int) -> Flow:
    """A flow of many ops without scopes, in a chain."""
    build = build().usual_ops().placeholder("x")
    for number in range(count):
        build.compute(f"op{number}", f"op{number - 1}" if number else "x", op="Square")
    return flow_of(build.signature({"x": "x:0"}, {"y": f"op{count - 1}:0"}).model(), "serving_default")


def test_long_groups_are_cut_into_parts(model_bytes: Build) -> None:
    """Of 1,050 ops in a row there are parts of about as many each, in order, with the ends outside."""
    flow = wide(model_bytes, 1050)
    view = flow.view()
    assert boxes(view)[0] == "x" and boxes(view)[-1] == "y" and len(boxes(view, "part")) == 11
    assert view.boxes[1].title == "op0 … op95" and sum(box.op_count for box in view.boxes) == 1050
    assert len(links(view)) == 12
    assert len(boxes(everything(flow)[0], "op")) == 1050


def test_what_does_not_fit_is_counted(model_bytes: Build) -> None:
    """A view never has more boxes than it may, and tells how many are missing; links still reach what is left out."""
    flow = wide(model_bytes, 1050)
    _, unfolded = everything(flow)
    view = flow.view(unfolded)
    assert len(view.boxes) <= MOST_BOXES and view.left_out > 0
    small = flow.view((), most=5)
    assert len(small.boxes) == 5 and small.boxes[-1].kind == "more" and small.boxes[-1].title == "and 9 more"
    assert small.left_out == 9 and any(link.target == small.boxes[-1].path for link in small.links)


def test_unfolding_makes_room(model_bytes: Build) -> None:
    """Where all that is unfolded wouldn't fit, others are folded, and what was asked for is seen."""
    flow = wide(model_bytes, 1050)
    unfolded: frozenset[tuple[str, ...]] = frozenset()
    for box in flow.view().boxes:
        if box.can_unfold:
            unfolded = flow.unfold(unfolded, box.path)
            view = flow.view(unfolded)
            assert view.left_out == 0 and any(one.parent == box.path for one in view.boxes)
    assert 0 < len(unfolded) < 11


def test_search_finds_names_and_ops_in_functions(called: SavedModel) -> None:
    """A hit has the path that leads to its box, best first: the name itself, then the op."""
    flow = flow_of(called, "serving_default")
    assert [found.name for found in flow.search("SQUARE")] == ["sq", "side"]
    assert [found.name for found in flow.search("sq")][0] == "sq"
    found = flow.search("sq")[0]
    assert (found.op, found.function) == ("Square", "square")
    unfolded = flow.unfold((), found.path[:-1])
    assert found.path in {box.path for box in flow.view(unfolded).boxes}
    assert flow.search("") == [] and flow.search("x", 0) == [] and flow.search("no such thing") == []


def test_paths_that_lead_nowhere_are_folded(called: SavedModel) -> None:
    """A path that was there before an edit, or never, changes nothing."""
    flow = flow_of(called, "serving_default")
    assert flow.view({("n:gone",), ("s:x", "n:y"), ("i:x:0",)}) == flow.view()


def test_same_flow_gives_same_view(called: SavedModel) -> None:
    """Two flows of one signature are seen alike, in the same order."""
    first, second = (everything(flow_of(called, "serving_default"))[0] for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("name", "title"),
    [("__inference_encode_35", "encode"), ("__inference__wrapped_model_301", "_wrapped_model"), ("plain", "plain"),
     ("__inference_7", "__inference_7"), ("__inference_a_b_", "__inference_a_b_")],
)  # fmt: skip
def test_function_has_the_name_that_a_person_gave_it(name: str, title: str) -> None:
    """What TensorFlow puts around a function's name is left out where that is all."""
    assert function_title(name) == title


PARTS = st.sampled_from(["a", "b", "layer", "", "x" * 50, "é\u202e", "a b"])
NAMES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@st.composite
def flows(draw: Callable[[Any], Any]) -> tuple[list[str], list[list[int]]]:
    """Names of nodes, and for each the numbers of earlier or (as in loops) later ones that it takes."""
    names = draw(st.lists(NAMES.filter(bool), min_size=1, max_size=25, unique=True))
    edges = [draw(st.lists(st.integers(0, len(names) - 1), max_size=3)) for _ in names]
    return names, edges


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it gives a class
@given(graph=flows(), data=st.data())
def test_each_op_is_in_one_box_and_each_edge_in_one_link(
    model_bytes: Build, graph: tuple[list[str], list[list[int]]], data: Any
) -> None:
    """Whatever is unfolded: each node is seen in exactly one place, and links say what the edges say, no more."""
    names, edges = graph
    build = model_bytes().usual_ops()
    for number, (name, sources) in enumerate(zip(names, edges, strict=True)):
        op = "Const" if not sources and number % 2 else "Add"
        build.node(f"{name}.{number}", op, tuple(f"{names[one]}.{one}" for one in sources))
    last = len(names) - 1
    flow = flow_of(build.signature({}, {"y": f"{names[last]}.{last}:0"}).model(), "serving_default")
    unfolded: set[tuple[str, ...]] = set()
    for _ in range(6):
        groups = [box.path for box in flow.view(unfolded).boxes if box.can_unfold]
        unfolded |= {path for path in groups if data.draw(st.booleans())}
    view = flow.view(unfolded)
    body = flow.body
    groups = Groups(body)
    place = {}
    for number in range(len(body)):
        way = tuple(item.step for item in groups.path_to(number))
        ends = [box.path for box in view.boxes if not box.unfolded and box.path == way[: len(box.path)]]
        assert len(ends) == 1
        place[number] = ends[0]
    expected = {
        (place[source], place[number])
        for number, sources in enumerate(body.inputs)
        for source, _ in sources
        if place[source] != place[number]
    }
    assert {(link.source, link.target) for link in view.links if not link.is_order} == expected
    assert sum(box.op_count for box in view.boxes if not box.unfolded) == len(body) - 1


def test_function_body_is_read_once(called: SavedModel) -> None:
    """Who looks into a function again gets what is known of it."""
    flow = flow_of(called, "serving_default")
    assert function_body(flow.graph, "square") is function_body(flow.graph, "square")
