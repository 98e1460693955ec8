"""Graphs read without TensorFlow: nodes, dtypes, shapes, searches and dependencies, also of graphs that are broken."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.errors import ExplorerError, FormatError
from explorer.savedmodel import nodes as nodes_module
from explorer.savedmodel.graph import Graph, has_graph, input_node, read_graph, split_tensor_name
from explorer.savedmodel.model import DType, SavedModel, Shape
from explorer.savedmodel.overlay import Document, apply_changes, insertion_at_end, replacement
from explorer.savedmodel.reader import GRAPH_DEF, META_INFO_DEF, fields_of, read_document
from explorer.savedmodel.wire import encode_field as field

FLOAT, INT32, STRING, INT64 = DType(1), DType(3), DType(7), DType(9)


def graph_of(builder: Any) -> Graph:
    """The graph of what a builder built."""
    return read_graph(builder.model().meta_graphs[0])


def test_nodes_are_those_of_the_file(model_bytes: Any) -> None:
    """Name, op, inputs and device of every node come out as written, in file order, wherever the fields stand."""
    builder = model_bytes().node("a", "Const").node("b/c", "Add", ("a", "a:1", "^a"))
    builder.nodes.append(field(1, field(5, field(1, "T")) + field(4, "/cpu:0") + field(2, "Late") + field(1, "z")))
    graph = graph_of(builder)
    assert list(graph.nodes) == ["a", "b/c", "z"]
    assert graph.nodes["b/c"].inputs == ("a", "a:1", "^a")
    assert (graph.nodes["z"].op, graph.nodes["z"].device) == ("Late", "/cpu:0")
    assert graph.node_count == 3


def test_node_larger_than_a_window_is_stepped_over(model_bytes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant of many megabytes costs a few reads, and its attributes are still found."""
    huge = model_bytes.attr("value", field(8, field(4, bytes(3_000_000)))) + model_bytes.type_attr("dtype", 1)
    builder = model_bytes().usual_ops().node("big", "Const", (), huge).compute("after", "big")
    read = 0
    original = Document.read_at

    def counting(document: Document, offset: int, length: int) -> bytes:
        nonlocal read
        data = original(document, offset, length)
        read += len(data)
        return data

    monkeypatch.setattr(Document, "read_at", counting)
    graph = graph_of(builder)
    assert graph.nodes["after"].inputs == ("big",)
    tensor = graph.tensor("big:0")
    assert tensor is not None and tensor.dtype == FLOAT
    assert read < 1_000_000
    assert graph.nodes["big"].attrs["value"].size_bytes > 3_000_000


@pytest.mark.parametrize("window", [64, 100, 1000])
def test_result_does_not_depend_on_the_window(model_bytes: Any, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    """Where nodes are cut by the borders of reads, the same nodes and dtypes are found."""
    builder = model_bytes().usual_ops().placeholder("x")
    for index in range(30):
        builder.compute(f"n{index}" + "y" * (index * 7), "x")
    expected = graph_of(builder)
    monkeypatch.setattr(nodes_module, "_WINDOW", window)
    graph = graph_of(builder)
    assert repr(dict(graph.nodes)) == repr(dict(expected.nodes))
    assert list(graph.tensors()) == list(expected.tensors())


def test_dtypes_follow_the_op_definitions(model_bytes: Any) -> None:
    """Fixed types, attributes, lists, repetitions, references and defaults each give the dtype that they say."""
    out = model_bytes.out
    builder = (
        model_bytes()
        .op("Fixed", out(9))
        .op("ByAttr", out(type_attr="T"))
        .op("ByDefault", out(type_attr="T"), defaults=field(4, field(1, "T") + field(3, field(6, 7))))
        .op("Several", out(type_attr="T", number_attr="N"), out(3))
        .op("List", out(list_attr="Tout"))
        .op("Variable", out(type_attr="T", ref=True))
        .op("Nothing")
        .node("fixed", "Fixed")
        .node("by_attr", "ByAttr", (), model_bytes.type_attr("T", 3))
        .node("by_default", "ByDefault")
        .node("several", "Several", (), model_bytes.type_attr("T", 1) + model_bytes.attr("N", field(3, 2)))
        .node("packed", "List", (), model_bytes.attr("Tout", field(1, field(6, b"\x01\x09"))))
        .node("unpacked", "List", (), model_bytes.attr("Tout", field(1, field(6, 1) + field(6, 7))))
        .node("empty", "List", (), model_bytes.attr("Tout", field(1, b"")))
        .node("variable", "Variable", (), model_bytes.type_attr("T", 1))
        .node("nothing", "Nothing")
    )
    graph = graph_of(builder)
    found = {tensor.name: tensor.dtype.number for tensor in graph.tensors()}
    assert found == {
        "fixed:0": 9,
        "by_attr:0": 3,
        "by_default:0": 7,
        "several:0": 1,
        "several:1": 1,
        "several:2": 3,
        "packed:0": 1,
        "packed:1": 9,
        "unpacked:0": 1,
        "unpacked:1": 7,
        "variable:0": 101,
    }
    assert graph.output_count("nothing") == graph.output_count("empty") == 0
    assert graph.output_count("several") == 3
    assert graph.output_count("nowhere") is None


@pytest.mark.parametrize("count", [-1, 1 << 40])
def test_absurd_number_of_outputs_is_unknown(model_bytes: Any, count: int) -> None:
    """An attribute that claims a negative or an enormous number of outputs takes no memory and rejects nothing."""
    builder = model_bytes().op("Several", model_bytes.out(1, number_attr="N"))
    graph = graph_of(builder.node("n", "Several", (), model_bytes.attr("N", field(3, count))))
    assert graph.output_count("n") is None
    assert graph.tensor("n:5") is not None


def test_shape_comes_from_output_shapes_else_from_the_placeholder(model_bytes: Any) -> None:
    """``_output_shapes`` is used, else a placeholder's own shape, else the rank is unknown."""
    shape, shape_attr = model_bytes.shape, model_bytes.attr("shape", field(7, model_bytes.shape(2)))
    builder = (
        model_bytes()
        .usual_ops()
        .node("both", "Placeholder", (), shape_attr + model_bytes().shapes_attr(shape(None, 3)))
        .node("own", "Placeholder", (), shape_attr)
        .node("scalar", "Placeholder", (), model_bytes().shapes_attr(shape()))
        .node("unknown", "Placeholder", (), model_bytes().shapes_attr(shape(...)))
        .node("add", "Add")
        .node("add2", "Add", (), shape_attr)
    )
    graph = graph_of(builder)
    shapes = {tensor.node: tensor.shape.dims for tensor in graph.tensors()}
    assert shapes == {"both": (None, 3), "own": (2,), "scalar": (), "unknown": None, "add": None, "add2": None}


def test_tensor_that_cannot_be_is_none(model_bytes: Any) -> None:
    """No such node, too large an index, a bare op name and nonsense give None."""
    graph = graph_of(model_bytes().usual_ops().placeholder("x"))
    assert graph.tensor("x:0") is not None
    for name in ("x:1", "y:0", "x", "^x", "x:", "x:-1", "x:0:0", ":0", "", "x:" + "9" * 5000, "x:٠"):
        assert graph.tensor(name) is None, name


def test_unknown_op_is_not_rejected(model_bytes: Any) -> None:
    """Of an op without definition any index is believed, with unknown dtype, and the mentioned ones are listed."""
    builder = model_bytes().usual_ops().node("c", "MyOp").compute("y", "c:2").node("lonely", "MyOp")
    graph = graph_of(builder.node("shaped", "MyOp", (), model_bytes().shapes_attr(b"", b"")))
    tensor = graph.tensor("c:7")
    assert tensor is not None and tensor.dtype == DType(0) and tensor.shape == Shape(None)
    names = [tensor.name for tensor in graph.tensors()]
    assert names == ["c:0", "c:1", "c:2", "y:0", "shaped:0", "shaped:1"]


def test_functions_are_listed_and_give_dtypes(model_bytes: Any) -> None:
    """The library's functions have arguments and results, and a node that calls one as its op has their dtypes."""
    arg, result = field(1, "a") + field(3, 1), field(1, "r") + field(3, 9)
    builder = model_bytes().node("call", "twice")
    builder.library = field(1, field(1, field(1, "twice") + field(2, arg) + field(3, result) + field(3, result)))
    graph = graph_of(builder)
    assert graph.function_count == 1
    assert graph.functions["twice"].args == (("a", FLOAT),)
    assert graph.functions["twice"].results == (("r", INT64), ("r", INT64))
    assert [tensor.dtype for tensor in graph.tensors()] == [INT64, INT64]


def test_graph_in_two_parts_is_one_graph(model_bytes: Any) -> None:
    """A ``graph_def`` that the file holds twice is merged, as every protobuf parser does."""
    builder = model_bytes().usual_ops().placeholder("x")
    builder.extra = field(2, model_bytes().compute("y", "x").graph_def())
    graph = graph_of(builder)
    assert list(graph.nodes) == ["x", "y"]


def test_search_ranks_and_filters(model_bytes: Any) -> None:
    """The name itself comes first, then the op, then beginnings, parts and the rest; dtype and shape filter."""
    builder = model_bytes().usual_ops()
    for name in ("dense/badder", "dense/added", "adding", "add", "x/y/add"):
        builder.compute(name, op="Square")
    builder.compute("zz", op="Add", number=3).compute("Addition", op="Square", shape=model_bytes.shape(2, 2))
    graph = graph_of(builder)
    names = [tensor.node for tensor in graph.search("ADD")]
    assert names == ["add", "zz", "adding", "Addition", "x/y/add", "dense/added", "dense/badder"]
    assert [tensor.node for tensor in graph.search("add", limit=2)] == ["add", "zz"]
    assert [tensor.node for tensor in graph.search("add", dtype=INT32)] == ["zz"]
    assert [tensor.node for tensor in graph.search("add", shape=Shape((None, 2)))] == ["Addition"]
    assert [tensor.name for tensor in graph.search("adding:0")] == ["adding:0"]
    assert graph.search("adding:1") == []
    assert len(graph.search("")) == 7
    assert graph.search("add", limit=0) == []


def test_needs_stop_at_fed_tensors(model_bytes: Any) -> None:
    """Data and control inputs are followed, a fed tensor cuts its own edge only, and which were met is told."""
    builder = (
        model_bytes()
        .usual_ops()
        .placeholder("x")
        .placeholder("label")
        .placeholder("behind")
        .node("split", "MyOp", ("x", "^behind"))
        .compute("first", "split")
        .compute("second", "split:1")
        .compute("loss", "first", "label")
        .node("train", "NoOp", ("^loss", "^label"))
    )
    graph = graph_of(builder)
    assert graph.needs(["first:0"], []) == (("behind", "x"), frozenset())
    assert graph.needs(["first:0"], ["split:0"]) == ((), {"split:0"})
    assert graph.needs(["second:0"], ["split:0"]) == (("behind", "x"), frozenset())
    assert graph.needs(["train"], {"label:0", "x:0", "second:0"}) == (("behind",), {"label:0", "x:0"})
    assert graph.needs(["nowhere:0"], []) == ((), frozenset())
    assert graph.consumers()["label"] == ("loss", "train")
    assert "train" not in graph.consumers()


def test_fed_node_with_a_colon_in_its_name_is_recognised(model_bytes: Any) -> None:
    """An input that names a node with a colon means its first tensor, which a feed replaces."""
    graph = graph_of(model_bytes().usual_ops().placeholder("a:b").compute("y", "a:b"))
    assert graph.needs(["y:0"], ["a:b:0"]) == ((), {"a:b:0"})


def test_cycles_duplicates_and_depth_do_not_hang(model_bytes: Any) -> None:
    """Nodes in a circle, two nodes with one name, and a chain of 100,000 nodes are walked without recursion."""
    builder = model_bytes().usual_ops().placeholder("p").compute("a", "b").compute("b", "a", "b", "p")
    builder.compute("a", "c").compute("n0", "p")
    for index in range(1, 100_000):
        builder.node(f"n{index}", "Add", (f"n{index - 1}",))
    graph = graph_of(builder)
    assert graph.needs(["b:0"], []).unfed == ("p",)
    assert graph.node_count == len(graph.nodes) + 1
    assert graph.needs(["n99999:0"], ["p:0"]) == ((), {"p:0"})


def needs_by_names(graph: Graph, tensor_names: list[str], fed: set[str]) -> tuple[list[str], set[str]]:
    """The same as ``Graph.needs``, written down as the rule says it: by names, one edge after the other."""
    fed_nodes = {split_tensor_name(name)[0] for name in fed}
    placeholders = {name for name, node in graph.nodes.items() if node.op == "Placeholder"}
    reached: set[str] = set()
    met: set[str] = set()
    pending = list(tensor_names)
    while pending:
        edge = pending.pop()
        name = input_node(edge)
        if edge.startswith("^"):
            if name in fed_nodes & placeholders:
                met.add(f"{name}:0")
                continue
        elif (tensor := f"{name}:{split_tensor_name(edge)[1] or 0}") in fed:
            met.add(tensor)
            continue
        if name in graph.nodes and name not in reached:
            reached.add(name)
            pending.extend(graph.nodes[name].inputs)
    return sorted(reached & placeholders), met


NODES = [f"n{index}" for index in range(8)]
EDGES = st.sampled_from([*NODES, *(f"{name}:1" for name in NODES), *(f"^{name}" for name in NODES), "gone"])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_needs_are_what_the_rule_says_also_after_an_edit(model_bytes: Any, data: st.DataObject) -> None:
    """On any graph, whatever is fed and fetched, and also when nodes were appended to a graph that was asked before."""

    def build(count: int) -> Any:
        builder = model_bytes().usual_ops()
        for name, (op, inputs) in list(nodes.items())[:count]:
            builder.node(name, op, inputs)
        return builder

    nodes = {
        name: (data.draw(st.sampled_from(["Placeholder", "Add"])), tuple(data.draw(st.lists(EDGES, max_size=3))))
        for name in NODES
    }
    feeds = st.sets(st.sampled_from([*NODES, *(f"{name}:{i}" for name in NODES for i in (0, 1))]), max_size=3)
    fetches = st.lists(st.sampled_from([f"{name}:0" for name in NODES]), min_size=1, max_size=3)
    # Several questions with the same feeds, because an answer may rest on the ones before.
    asked = [(data.draw(fetches), fed) for fed in (data.draw(feeds), data.draw(feeds)) for _ in range(4)]
    fresh = graph_of(build(len(nodes)))
    for wanted, fed in asked:
        exact = {name if ":" in name else f"{name}:0" for name in fed}
        unfed, met = fresh.needs(wanted, fed)
        assert (list(unfed), set(met)) == needs_by_names(fresh, wanted, exact)
    part = data.draw(st.integers(1, len(NODES) - 1))
    names = set(list(nodes)[:part])
    if any(input_node(edge) not in names for name in names for edge in nodes[name][1] if edge != "gone"):
        return  # an edit never appends what an older node already refers to
    model = build(part).model()
    meta_graph = model.meta_graphs[0]
    first = read_graph(meta_graph)
    for wanted, fed in asked:
        first.needs(wanted, fed)
    assert model.document is not None
    graph_def = fields_of(model.document, meta_graph.field, GRAPH_DEF)[0]
    added = b"".join(build(len(nodes)).nodes[-(len(nodes) - part) :])
    longer = read_graph(
        read_document(apply_changes(model.document, [insertion_at_end(graph_def, added)])).meta_graphs[0]
    )
    assert longer is not first and list(longer.nodes) == list(fresh.nodes)
    assert longer.node_count == fresh.node_count
    for wanted, fed in asked:
        assert longer.needs(wanted, fed) == fresh.needs(wanted, fed)
    assert [str(tensor) for tensor in longer.tensors()] == [str(tensor) for tensor in fresh.tensors()]


def test_models_before_and_after_an_edit_share_the_graph(model_bytes: Any) -> None:
    """Two models over the same bytes of a graph share one ``Graph``; another graph or op list is another one."""
    model: SavedModel = model_bytes().usual_ops().placeholder("x").signature({"x": "x:0"}, {}).model()
    document, meta_graph = model.document, model.meta_graphs[0]
    assert document is not None and meta_graph.field is not None
    info = fields_of(document, meta_graph.field, META_INFO_DEF)[0]
    retagged = read_document(apply_changes(document, [insertion_at_end(info, field(4, "gpu"))]))
    assert retagged.meta_graphs[0].tags == {"serve", "gpu"}
    assert read_graph(retagged.meta_graphs[0]) is read_graph(meta_graph)
    graph_def = fields_of(document, meta_graph.field, GRAPH_DEF)[0]
    regraphed = read_document(apply_changes(document, [replacement(graph_def, field(2, b""))]))
    assert read_graph(regraphed.meta_graphs[0]) is not read_graph(meta_graph)
    assert len(read_graph(regraphed.meta_graphs[0]).nodes) == 0


def test_a_graph_goes_with_the_last_model_over_its_file(model_bytes: Any) -> None:
    """What is kept is kept with the file: closing every model over it frees the graph, and with it the file."""
    model = model_bytes().placeholder("x").model()
    kept = weakref.ref(read_graph(model.meta_graphs[0]))
    assert kept() is read_graph(model.meta_graphs[0])
    del model
    gc.collect()
    assert kept() is None


def test_model_from_data_has_no_graph() -> None:
    """A model that was made by ``from_dict`` says so."""
    model = SavedModel.from_dict({"meta_graphs": [{"tags": ["serve"], "signatures": {}}]})
    assert not has_graph(model.meta_graphs[0])
    with pytest.raises(FormatError, match="made from data"):
        read_graph(model.meta_graphs[0])


@pytest.mark.parametrize(
    "graph_def",
    [
        field(1, field(1, b"\xff\xfe")),
        field(1, 5),
        b"\x0a\x7f",
        b"\x0a",
        field(1, b"\x0a\x7fabc"),
        field(1, field(1, "a") + b"\x2a\x05\x0a"),
        field(1, b"\x0f"),
        b"\xff" * 12,
    ],
)
def test_corrupt_graph_is_a_format_error(model_bytes: Any, graph_def: bytes) -> None:
    """Bytes that are no graph raise one error of ours."""
    builder = model_bytes()
    builder.nodes = [graph_def]
    with pytest.raises(FormatError):
        list(graph_of(builder).tensors())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_graph_gives_a_graph_or_an_error_of_ours(model_bytes: Any, data: st.DataObject) -> None:
    """Whatever bytes of a model are changed, reading its graph either works or raises an error of ours."""
    builder = model_bytes().usual_ops().placeholder("x").compute("y", "x", "^x").node("f", "twice", ("y:1",))
    builder.library = field(1, field(1, field(1, "twice") + field(3, field(1, "r") + field(3, 9))))
    raw = bytearray(builder.signature({"x": "x:0"}, {"y": "y:0"}).to_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        graph = read_graph(read_document(Document.of_bytes(bytes(raw))).meta_graphs[0])
        list(graph.tensors())
        graph.search("x", dtype=FLOAT, shape=Shape((1,)))
        graph.needs(["y:0"], ["x:0"])
        graph.consumers()
        assert graph.function_count >= 0
    except ExplorerError:
        pass


@given(node=st.text(min_size=1), index=st.integers(0, 10**8))
def test_tensor_names_are_split_at_the_last_colon(node: str, index: int) -> None:
    """A node's name and an index come back from the name of the tensor; an input refers to the node."""
    assert split_tensor_name(f"{node}:{index}") == (node, index)
    assert input_node(f"x{node}:{index}") == f"x{node}"
    assert input_node(f"^{node}") == node


def test_fifty_thousand_nodes_are_read_traced_and_searched(model_bytes: Any) -> None:
    """A large graph is read whole; a slip to quadratic time or to recursion would never come to the end."""
    builder = model_bytes().usual_ops().placeholder("x")
    for index in range(50_000):
        builder.compute(f"layer_{index}/add", "x", f"layer_{index - 1}/add" if index else "x")
    meta_graph = builder.model().meta_graphs[0]
    graph = read_graph(meta_graph)
    assert graph.needs(["layer_49999/add:0"], ["x:0"]) == ((), {"x:0"})
    assert len(graph.search("layer_4999")) == 11
