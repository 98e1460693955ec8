"""The features of a model's tf.Examples are recovered from its graph, and records are made and read by them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import explorer
from explorer.errors import FormatError, NotFoundError, RequestError
from explorer.savedmodel.feature_spec import Feature, feature_spec, feature_specs
from explorer.savedmodel.model import DType, SavedModel, Shape
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.tf_example import example_bytes, read_example

ROOT = Path(__file__).parents[2]
FLOAT, INT64, STRING = DType(1), DType(9), DType(7)


def sample(name: str) -> SavedModel:
    """A model that lies in the repository."""
    return explorer.open_saved_model(ROOT / name)


def test_features_behind_a_function_call() -> None:
    """The parser stands in the function that the signature calls; defaults and demands are those it was built with."""
    model = sample("sample_models/tf_example")
    spec = feature_spec(model, model.meta_graph().signature("serving_default"))
    assert dict(spec) == {
        "age": Feature("age", "fixed", FLOAT, Shape(()), None, True),
        "clicks": Feature("clicks", "fixed", INT64, Shape(()), (0,), False),
        "country": Feature("country", "fixed", STRING, Shape(()), (b"",), False),
    }
    assert str(spec["age"]) == "fixed float32[], required"


def test_features_of_a_graph_of_tensorflow_1() -> None:
    """The parser stands in the graph itself, and three signatures feed it."""
    model = sample("sample_models/estimator_like")
    for key in ("classification", "regression", "predict"):
        spec = feature_spec(model, model.meta_graph().signature(key))
        assert {name: (feature.kind, feature.required) for name, feature in spec.items()} == {
            "length": ("fixed", True),
            "width": ("fixed", True),
        }


def test_features_with_a_shape_and_a_default() -> None:
    """A default of several values and a declared size are read; a signature that parses nothing has no features."""
    model = sample("tests/conformance/models/cls/1")
    spec = feature_spec(model, model.meta_graph().signature("both"))
    assert dict(spec) == {"x": Feature("x", "fixed", FLOAT, Shape((1,)), (0.5,), False)}
    assert not feature_spec(model, model.meta_graph().signature("classes_only"))
    images = sample("sample_models/image_bytes")
    assert not feature_specs(images, images.meta_graph().signature("serving_default"))


def test_an_input_by_its_key() -> None:
    """The spec of one input can be asked for; an input that isn't there is named with those that are."""
    model = sample("sample_models/tf_example")
    signature = model.meta_graph().signature("serving_default")
    assert list(feature_spec(model, signature, "examples")) == ["age", "clicks", "country"]
    with pytest.raises(NotFoundError, match="'examples'"):
        feature_spec(model, signature, "inputs")


def a_graph(nodes: list[dict[str, Any]], folder: Path, functions: Sequence[Any] = ()) -> SavedModel:
    """A model on disk whose signature feeds the placeholder ``records``."""
    proto: Any = message_class("tensorflow.SavedModel")()
    graph = proto.meta_graphs.add()
    proto.saved_model_schema_version = 1
    graph.meta_info_def.tags.append("serve")
    graph.graph_def.node.add(name="records", op="Placeholder")
    for node in nodes:
        add_node(graph.graph_def.node, **node)
    for function in functions:
        graph.graph_def.library.function.append(function)
    signature = graph.signature_def["serving_default"]
    info = signature.inputs["records"]
    info.name, info.dtype = "records:0", 7
    info.tensor_shape.dim.add(size=-1)
    (folder / "saved_model.pb").write_bytes(proto.SerializeToString())
    return explorer.open_saved_model(folder)


def add_node(nodes: Any, name: str, op: str, inputs: Sequence[str] = (), **attrs: Any) -> None:
    """Adds a node; an attribute is given as keyword arguments of its AttrValue."""
    node = nodes.add(name=name, op=op, input=list(inputs))
    for key, value in attrs.items():
        node.attr[key].CopyFrom(message_class("tensorflow.AttrValue")(**value))


def texts(*values: str) -> dict[str, Any]:
    """A value attribute that is a vector of texts."""
    tensor = {"dtype": 7, "tensor_shape": {"dim": [{"size": len(values)}]}, "string_val": [v.encode() for v in values]}
    return {"tensor": tensor}


def types(*numbers: int) -> dict[str, Any]:
    """An attribute that is a list of dtypes."""
    return {"list": {"type": list(numbers)}}


def shapes(*dims: list[int]) -> dict[str, Any]:
    """An attribute that is a list of shapes."""
    return {"list": {"shape": [{"dim": [{"size": size} for size in shape]} for shape in dims]}}


def parser_nodes(end: str = "", source: str = "records") -> list[dict[str, Any]]:
    """A ParseExampleV2 with one feature of each kind, and the constants that it takes."""
    names = {"sparse": texts("words"), "dense": texts("rows", "weights"), "ragged": texts("days")}
    constants = [{"name": name, "op": "Const", "value": value} for name, value in names.items()]
    empty = {"tensor": {"dtype": 1, "tensor_shape": {"dim": [{"size": 0}]}}}
    content = {
        "tensor": {
            "dtype": 1,
            "tensor_shape": {"dim": [{"size": 2}]},
            "tensor_content": np.array([1, 2], "<f4").tobytes(),
        }
    }
    inputs = [source, "names", "sparse", "dense", "ragged", "none", "reshaped"]
    return [
        *constants,
        {"name": "names", "op": "Const", "value": texts()},
        {"name": "none", "op": "Const", "value": empty},
        {"name": "two", "op": "Const", "value": content},
        {"name": "reshaped", "op": "Reshape", "inputs": [f"two{end}", f"names{end}"]},
        {
            "name": "parse",
            "op": "ParseExampleV2",
            "inputs": [inputs[0], *(f"{name}{end}" for name in inputs[1:])],
            "Tdense": types(1, 1),
            "dense_shapes": shapes([-1, 3], [2]),
            "sparse_types": types(7),
            "ragged_value_types": types(9),
        },
    ]


KINDS = {
    "rows": Feature("rows", "fixed", FLOAT, Shape((None, 3)), None, False),
    "weights": Feature("weights", "fixed", FLOAT, Shape((2,)), (1.0, 2.0), False),
    "words": Feature("words", "varlen", STRING, Shape((None,))),
    "days": Feature("days", "ragged", INT64, Shape((None,))),
}


def test_every_kind_of_feature(tmp_path: Path) -> None:
    """Sequences are padded and so never missing; variable and ragged features have neither size nor default."""
    model = a_graph(parser_nodes(), tmp_path)
    assert dict(feature_spec(model, model.meta_graph().signature("serving_default"))) == KINDS


def test_features_through_carriers_calls_and_loops(tmp_path: Path) -> None:
    """Reshaped, handed to a loop's body and from there to a call, whose keys come in as an argument: still found."""
    function: Any = message_class("tensorflow.FunctionDef")()
    function.signature.name = "inner"
    function.signature.input_arg.add(name="keys", type=7)
    function.signature.input_arg.add(name="text", type=7)
    nodes = parser_nodes(":output:0", "flat:output:0")
    for node in nodes:
        if node["name"] == "parse":
            node["inputs"][2] = "keys"
        if node["name"] != "sparse":
            add_node(function.node_def, **node)
    add_node(function.node_def, "flat", "Squeeze", ["text"])
    body: Any = message_class("tensorflow.FunctionDef")()
    body.signature.name = "body"
    body.signature.input_arg.add(name="count", type=3)
    body.signature.input_arg.add(name="text", type=7)
    add_node(body.node_def, "sparse", "Const", value=texts("words"))
    add_node(body.node_def, "call", "PartitionedCall", ["sparse:output:0", "text"], f={"func": {"name": "inner"}})
    model = a_graph(
        [
            {"name": "flat", "op": "Reshape", "inputs": ["records:0", "shape"]},
            {"name": "zero", "op": "Const"},
            {"name": "loop", "op": "StatelessWhile", "inputs": ["zero", "flat"], "body": {"func": {"name": "body"}}},
        ],
        tmp_path,
        [function, body],
    )
    assert dict(feature_spec(model, model.meta_graph().signature("serving_default"))) == KINDS


def test_texts_that_are_decoded_first_are_no_records(tmp_path: Path) -> None:
    """What passes an op that changes texts is not what is fed."""
    nodes = [{"name": "decoded", "op": "DecodeBase64", "inputs": ["records"]}, *parser_nodes(source="decoded")]
    model = a_graph(nodes, tmp_path)
    assert not feature_spec(model, model.meta_graph().signature("serving_default"))


def test_older_parsers(tmp_path: Path) -> None:
    """ParseExample has its keys one by one, ParseSingleExample in attributes; the harder demand on a feature wins."""
    nodes: list[dict[str, Any]] = [
        {"name": "key", "op": "Const", "value": {"tensor": {"dtype": 7, "string_val": [b"a"]}}},
        {"name": "default", "op": "Const", "value": {"tensor": {"dtype": 9, "int64_val": [7]}}},
        {"name": "none", "op": "Const", "value": {"tensor": {"dtype": 9, "tensor_shape": {"dim": [{"size": 0}]}}}},
        {
            "name": "many",
            "op": "ParseExample",
            "inputs": ["records", "names", "sparse", "key", "default"],
            "Tdense": types(9),
            "dense_shapes": shapes([]),
            "sparse_types": types(1),
        },
        {"name": "sparse", "op": "Const", "value": {"tensor": {"dtype": 7, "string_val": [b"s"]}}},
        {
            "name": "one",
            "op": "ParseSingleExample",
            "inputs": ["records", "none"],
            "dense_keys": {"list": {"s": [b"a"]}},
            "sparse_keys": {"list": {"s": [b"t"]}},
            "Tdense": types(9),
            "dense_shapes": shapes([]),
            "sparse_types": types(7),
        },
    ]
    model = a_graph(nodes, tmp_path)
    spec = feature_spec(model, model.meta_graph().signature("serving_default"))
    assert {name: (feature.kind, str(feature.dtype), feature.required) for name, feature in spec.items()} == {
        "a": ("fixed", "int64", True),
        "s": ("varlen", "float32", False),
        "t": ("varlen", "string", False),
    }


def test_a_graph_that_goes_round_ends(tmp_path: Path) -> None:
    """A function that calls itself, and nodes in a ring, are walked to an end."""
    function: Any = message_class("tensorflow.FunctionDef")()
    function.signature.name = "again"
    function.signature.input_arg.add(name="text", type=7)
    add_node(function.node_def, "more", "again", ["text"])
    add_node(function.node_def, "parse", "ParseExampleV2", ["text"])
    ring = [
        {"name": "a", "op": "Identity", "inputs": ["records", "b"]},
        {"name": "b", "op": "Identity", "inputs": ["a"]},
        {"name": "call", "op": "again", "inputs": ["b"]},
    ]
    model = a_graph(ring, tmp_path, [function])
    assert not feature_spec(model, model.meta_graph().signature("serving_default"))


SPEC = {
    "age": Feature("age", "fixed", FLOAT, Shape(()), None, True),
    "size": Feature("size", "fixed", INT64, Shape((2,)), (1, 2)),
    "rows": Feature("rows", "fixed", FLOAT, Shape((None, 2))),
    "words": Feature("words", "varlen", STRING, Shape((None,))),
}


def test_records_by_the_spec() -> None:
    """A whole number is a float where floats are asked for, arrays and nested lists lie flat, texts are UTF-8."""
    record = example_bytes(
        {"words": ["é", b"\xff"], "age": 3, "size": np.array([4, 5]), "rows": [[1, 2], [3, 4]]}, SPEC
    )
    assert read_example(record) == {
        "age": [3.0], "rows": [1.0, 2.0, 3.0, 4.0], "size": [4, 5], "words": ["é".encode(), b"\xff"],
    }  # fmt: skip
    assert isinstance(read_example(record)["age"][0], float)
    assert record == example_bytes({"rows": [1, 2, 3, 4], "size": [4, 5], "age": 3.0, "words": ["é", b"\xff"]}, SPEC)


@pytest.mark.parametrize(
    ("features", "error", "sentence"),
    [
        ({}, RequestError, "'age' is missing: the model requires float32"),
        ({"agee": 1}, NotFoundError, "no feature 'agee'.*did you mean 'age'"),
        ({"age": "old"}, RequestError, r"age\[0\] is 'old', but a list of floats"),
        ({"age": True}, RequestError, r"age\[0\] is True"),
        ({"age": 1e39}, RequestError, r"age\[0\] is 1e\+39"),
        ({"age": [1.0, 2.0]}, RequestError, "'age' has 2 values.*give 1"),
        ({"age": 1, "size": [1.5, 2]}, RequestError, r"size\[0\] is 1.5, but a list of int64"),
        ({"age": 1, "size": [2**63, 2]}, RequestError, r"size\[0\] is 9223372036854775808"),
        ({"age": 1, "size": 10**5000}, RequestError, "'size' has 1 value, "),
        ({"age": 1, "rows": [1, 2, 3]}, RequestError, "'rows' has 3 values.*multiple of 2"),
        ({"age": 1, "words": [3]}, RequestError, r"words\[0\] is 3, but a list of strings"),
        ({"age": 1, "words": ["\ud800"]}, RequestError, "words"),
        ([], RequestError, "mapping from feature name"),
    ],
)
def test_features_that_do_not_fit(features: Any, error: type[Exception], sentence: str) -> None:
    """What the model's parser would refuse is refused here, in one sentence that names the feature."""
    with pytest.raises(error, match=sentence) as raised:
        example_bytes(features, SPEC)
    assert "\n" not in str(raised.value)


def test_records_without_a_spec() -> None:
    """The values say which kind of list they make, as in the REST API."""
    record = example_bytes({"i": [1, True], "f": [1, 0.1], "s": "x", "nothing": []})
    assert read_example(record) == {"f": [1.0, 0.1], "i": [1, 1], "nothing": [], "s": [b"x"]}


values = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.lists(st.floats(width=32, allow_nan=False), min_size=1),
    st.lists(st.binary(), min_size=1),
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values))
def test_records_come_back(features: dict[str, list[Any]]) -> None:
    """What is written is read, floats to the bit."""
    back = read_example(example_bytes(features))
    assert set(back) == set(features)
    for name, given_values in features.items():
        if isinstance(given_values[0], float):
            np.testing.assert_array_equal(np.array(back[name], np.float32), np.array(given_values, np.float32))
        else:
            assert back[name] == given_values


def test_bytes_that_are_no_record() -> None:
    """Bytes of something else are refused."""
    with pytest.raises(FormatError, match=r"no tf\.Example"):
        read_example(b"\xff\xff\xff")
