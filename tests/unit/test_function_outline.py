"""Tests of how little is read of large functions: their outlines, and what is kept of those that an edit wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import explorer
from explorer.savedmodel.function_library import LARGE_FUNCTION
from explorer.savedmodel.function_ops import ops_behind
from explorer.savedmodel.graph import Graph, read_graph
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.object_graph import new_message, read_function, read_outline
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import read_document
from explorer.savedmodel.schema import message_class

SAMPLE = Path(__file__).parents[2] / "sample_models" / "no_variables" / "1"
FUNCTION = "__inference_scale_10"
WEIGHTS = bytes(LARGE_FUNCTION)


def with_nodes(nodes: list[Any]) -> SavedModel:
    """The sample with more nodes in a function."""
    message = message_class("tensorflow.SavedModel").FromString((SAMPLE / "saved_model.pb").read_bytes())
    (function,) = [one for one in message.meta_graphs[0].graph_def.library.function if one.signature.name == FUNCTION]
    function.node_def.extend(nodes)
    return read_document(Document.of_bytes(message.SerializeToString()))


def constant(name: str, content: bytes) -> Any:
    """A node that holds some bytes."""
    node = new_message("NodeDef")
    node.name, node.op = name, "Const"
    node.attr["dtype"].type = 4
    node.attr["value"].tensor.dtype = 4
    node.attr["value"].tensor.tensor_content = content
    return node


def many_nodes() -> list[Any]:
    """More than a mebibyte of nodes, all of them small."""
    made = new_message("NodeDef")
    made.op = "Square"
    made.input.append("mul:z:0")
    made.attr["T"].type = 1
    nodes = []
    for number in range(LARGE_FUNCTION // 30):
        node = new_message("NodeDef")
        node.CopyFrom(made)
        node.name = f"square_{number}"
        nodes.append(node)
    return nodes


def graph_of(model: SavedModel) -> Graph:
    """The graph of a model with one meta graph."""
    return read_graph(model.meta_graphs[0])


def test_outline_is_the_function_without_its_weights() -> None:
    """Of a large function only the large attributes are left out; small constants and all else are there."""
    graph = graph_of(with_nodes([constant("weights", WEIGHTS), constant("small", b"1234")]))
    outline, whole = read_outline(graph, FUNCTION), read_function(graph, FUNCTION)
    assert outline.ByteSize() < 10_000
    (weights,) = [node for node in outline.node_def if node.name == "weights"]
    assert sorted(weights.attr) == ["dtype"]
    weights.attr["value"].tensor.dtype = 4
    weights.attr["value"].tensor.tensor_content = WEIGHTS
    assert outline == whole


@pytest.mark.parametrize("name", [FUNCTION, "__inference_signature_wrapper_scale_19"])
def test_outline_of_a_small_function_is_all_of_it(name: str) -> None:
    """A function that costs little to read is read whole."""
    graph = graph_of(open_saved_model(SAMPLE))
    assert read_outline(graph, name) == read_function(graph, name)


def test_signatures_of_large_functions_are_found() -> None:
    """A function is known by its arguments and results however much its body holds."""
    small, large = graph_of(open_saved_model(SAMPLE)), graph_of(with_nodes([constant("weights", WEIGHTS)]))
    assert large.functions == small.functions


def test_renaming_a_key_keeps_the_weights_in_a_function() -> None:
    """An edit that looks at outlines writes none: the function is in the edited model with every byte."""
    model = with_nodes([constant("weights", WEIGHTS)])
    edited = explorer.rename_output(model, "serving_default", "scaled", "scores")
    assert edited.meta_graphs[0].signatures["serving_default"].outputs.keys() == {"scores", "scaled/squared"}
    assert read_function(graph_of(edited), FUNCTION) == read_function(graph_of(model), FUNCTION)


def test_what_is_kept_of_a_large_clone_is_what_its_bytes_say() -> None:
    """After an edit that clones a large function the checks know of it what they find when the file is opened."""
    model = with_nodes(many_nodes())
    edited = explorer.set_output_tensor(model, "serving_default", "scaled", "square_7:0")
    assert edited.document is not None
    opened = read_document(Document.of_bytes(edited.document.to_bytes()))
    clones = [name for name in graph_of(edited).functions if name not in graph_of(model).functions]
    assert any(graph_of(edited).function(name).source is not None for name in clones)
    assert graph_of(edited).functions == graph_of(opened).functions
    calls = [name for name, node in graph_of(edited).nodes.items() if "PartitionedCall" in node.op]
    assert ops_behind(graph_of(edited), calls) == ops_behind(graph_of(opened), calls)
    assert explorer.check(edited) == explorer.check(opened)
