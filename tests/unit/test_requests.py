"""One set of values makes the requests of every protocol, large ones fast, and each impossible one says why."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

import explorer
from explorer.errors import NotFoundError, RequestError
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.tf_example import read_example
from explorer.serving.bodies import body_format
from explorer.serving.messages import read_predict_request
from explorer.serving.requests import PROTOCOLS, Requests, requests
from explorer.serving.shortened import shortened

ROOT = Path(__file__).parents[2]
Declared = tuple[str, list[int | None] | None]
ONE: dict[str, Declared] = {"x": ("DT_FLOAT", [None, 2])}
IMAGES: dict[str, Declared] = {"x": ("DT_FLOAT", [None, 224, 224, 3])}


def a_model(
    inputs: Mapping[str, Declared], outputs: Mapping[str, Declared] | None = None, key: str = "serving_default"
) -> SavedModel:
    """A model with one signature and no graph."""

    def tensors(declared: Mapping[str, Declared]) -> dict[str, Any]:
        return {k: {"dtype": dtype, "shape": shape, "tensor_name": "t:0"} for k, (dtype, shape) in declared.items()}

    signature = {"inputs": tensors(inputs), "outputs": tensors(outputs or {"y": ("DT_FLOAT", [None])})}
    return SavedModel.from_dict({"meta_graphs": [{"tags": ["serve"], "signatures": {key: signature}}]})


def sample(name: str) -> SavedModel:
    """A model that lies in the repository."""
    return explorer.open_saved_model(ROOT / name)


def message(request: Any) -> Any:
    """The PredictRequest that a request's text means."""
    return text_format.Parse(request.text, message_class("tensorflow.serving.PredictRequest")())


def test_one_set_of_values_in_every_protocol() -> None:
    """Rows, columns, gRPC as text and as bytes, and Open Inference say the same."""
    made = requests(a_model(ONE), values={"x": [[1, 2], [3, 0.1]]}, model_name="m", version=3)
    assert made.rest_row.text == '{"instances": [{"x": [1.0, 2.0]}, {"x": [3.0, 0.1]}]}'
    assert made.rest_column.text == '{"inputs": {"x": [[1.0, 2.0], [3.0, 0.1]]}}'
    assert made.rest_row.target == made.rest_column.target == "/v1/models/m/versions/3:predict"
    assert json.loads(made.kserve.text) == {
        "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 0.1]}]
    }
    assert made.kserve.target == "/v2/models/m/versions/3/infer"
    sent = read_predict_request(made.grpc.data)
    assert (sent.spec.name, sent.spec.version, sent.spec.signature_name) == ("m", 3, "")
    assert sent.inputs["x"].to_array().tolist() == np.array([[1, 2], [3, 0.1]], np.float32).tolist()
    assert message(made.grpc_text).SerializeToString(deterministic=True) == made.grpc.data
    assert [request.protocol for request in made] == list(PROTOCOLS)
    assert made["grpc"] is made.grpc and made.fitting[0] == "rest_row"
    with pytest.raises(NotFoundError, match="no protocol 'rest'"):
        made["rest"]


def test_signature_other_than_the_default() -> None:
    """Every protocol names it; Open Inference has no place for it and says so."""
    made = requests(a_model(ONE, key="k"))
    assert made.rest_row.text.startswith('{"signature_name": "k", "instances"')
    assert message(made.grpc_text).model_spec.signature_name == "k"
    assert "can't name a signature" in made.kserve.note
    assert "can't name a signature" not in requests(a_model(ONE)).kserve.note


@pytest.mark.parametrize(
    ("inputs", "outputs", "values", "problems", "fitting"),
    [
        ({"x": ("DT_HALF", [None])}, None, None, {"rest_row": "float16.*gRPC", "rest_column": "float16"}, "grpc"),
        ({"x": ("DT_UINT16", [None])}, None, None, {"rest_row": "uint16", "rest_column": "uint16"}, "grpc"),
        (
            {"x": ("DT_BFLOAT16", [None])},
            None,
            None,
            {"rest_row": "bfloat16", "rest_column": "bfloat16", "kserve": "bfloat16"},
            "grpc",
        ),
        (
            {"x": ("DT_COMPLEX64", [None])},
            None,
            None,
            {"rest_row": "complex64", "rest_column": "complex64", "kserve": "complex64"},
            "grpc",
        ),
        ({"x": ("DT_FLOAT", [])}, None, None, {"rest_row": "'x' is a scalar"}, "rest_column"),
        (
            {"x": ("DT_FLOAT", [None]), "z": ("DT_FLOAT", [None])},
            None,
            {"x": [1, 2], "z": [1]},
            {"rest_row": "batch of 2 and input 'z' one of 1"},
            "rest_column",
        ),
        ({"x": ("DT_FLOAT", [None])}, None, {"x": []}, {"rest_row": "batch of 0"}, "rest_column"),
        (
            {"x": ("DT_FLOAT", [None])},
            {"y": ("DT_FLOAT", [])},
            None,
            {"rest_row": "output 'y' is a scalar"},
            "rest_column",
        ),
        (
            {"x": ("DT_FLOAT", [None])},
            {"y": ("DT_FLOAT", [2]), "z": ("DT_FLOAT", [3])},
            None,
            {"rest_row": "output 'y' has a batch of 2 and output 'z' one of 3"},
            "rest_column",
        ),
        (
            {"x": ("DT_FLOAT", [None])},
            {"y": ("DT_HALF", [None])},
            None,
            {"rest_row": "output 'y'.*float16", "rest_column": "output 'y'"},
            "grpc",
        ),
        ({"x": ("DT_FLOAT", [None])}, None, {"x": [float("nan")]}, {"kserve": "NaN"}, "rest_row"),
        ({"x": ("DT_STRING", [None])}, None, {"x": [b"\xff"]}, {"kserve": "UTF-8"}, "rest_row"),
        ({}, None, None, {"rest_row": "no inputs", "rest_column": "no inputs", "kserve": "no inputs"}, "grpc"),
        (
            {"x": ("DT_RESOURCE", [])},
            None,
            None,
            dict.fromkeys(("rest_row", "rest_column", "grpc", "grpc_text", "kserve"), "resource"),
            "grpc",
        ),
    ],
)
def test_requests_that_cannot_be(
    inputs: Any, outputs: Any, values: Any, problems: dict[str, str], fitting: str
) -> None:
    """Each impossible request has a sentence in place of its text, and all others have a text."""
    made = requests(a_model(inputs, outputs), values=values)
    for request in made:
        expected = problems.get(request.protocol, "can't answer" if request.protocol in ("classify", "regress") else "")
        if expected:
            assert re.search(expected, request.problem), request
            assert request.content == "" and "\n" not in request.problem and str(request) == request.problem
        else:
            assert not request.problem and request.data, request
    assert made.fitting[0] == fitting


def test_every_dtype_over_grpc() -> None:
    """Each of the zoo's inputs is sent by gRPC with random values; REST is refused exactly where its dtype is."""
    model = sample("tests/conformance/models/zoo/1")
    for key, signature in model.meta_graph().callable_signatures.items():
        if not signature.inputs:
            continue
        made = requests(model, key, kind="random", batch=2)
        assert message(made.grpc_text) == message_class("tensorflow.serving.PredictRequest").FromString(made.grpc.data)
        sent = read_predict_request(made.grpc.data)
        assert {name: sent.inputs[name].dtype for name in sent.inputs} == {
            name: info.dtype.number for name, info in signature.inputs.items()
        }


def test_float64_numbers_get_a_note() -> None:
    """The server doesn't read every double to the bit, which nobody would guess."""
    assert "one unit off" in requests(a_model({"x": ("DT_DOUBLE", [None])})).rest_row.note
    assert not requests(a_model(ONE)).rest_row.note


def test_texts_and_bytes() -> None:
    """Texts stand as texts, other bytes in base64; in records all stand in base64."""
    made = requests(a_model({"s": ("DT_STRING", [None])}), values={"s": ["é", b"\xff", "\x7f"]})
    assert made.rest_column.text == '{"inputs": {"s": ["\\u00e9", {"b64": "/w=="}, "\\u007f"]}}'


def test_classify_by_the_feature_spec() -> None:
    """Examples have every feature, floats with their point; predict sends the same as records in base64."""
    made = requests(
        sample("sample_models/estimator_like"), "classification", values={"inputs": [{"length": 1, "width": 2.5}]}
    )
    assert made.fitting[0] == "classify"
    assert json.loads(made.classify.text) == {
        "signature_name": "classification",
        "examples": [{"length": 1.0, "width": 2.5}],
    }
    assert '"length": 1.0' in made.classify.text and made.classify.target.endswith(":classify")
    (row,) = json.loads(made.rest_row.text)["instances"]
    assert read_example(base64.b64decode(row["inputs"]["b64"])) == {"length": [1.0], "width": [2.5]}
    assert "'outputs'" in made.regress.problem and made.regress.text == ""
    regression = requests(sample("sample_models/estimator_like"), "regression", kind="random", batch=2)
    assert len(json.loads(regression.regress.text)["examples"]) == 2


def test_features_in_common() -> None:
    """Context stands beside the examples, not in them; predict has it in every record."""
    model = sample("sample_models/estimator_like")
    made = requests(model, context={"length": 2}, batch=2)
    assert json.loads(made.classify.text) == {"context": {"length": 2.0}, "examples": [{"width": 0.0}] * 2}
    rows = json.loads(made.rest_row.text)["instances"]
    assert [read_example(base64.b64decode(row["inputs"]["b64"])) for row in rows] == [
        {"length": [2.0], "width": [0.0]}
    ] * 2
    given_too = requests(model, context={"length": 2}, values={"inputs": [{"length": 1, "width": 1}]})
    (row,) = json.loads(given_too.rest_row.text)["instances"]
    assert read_example(base64.b64decode(row["inputs"]["b64"]))["length"] == [1.0]
    with pytest.raises(NotFoundError, match="no feature 'height'"):
        requests(model, context={"height": 2})
    with pytest.raises(RequestError, match=r"parses no tf\.Examples"):
        requests(a_model(ONE), context={"height": 2})


def test_request_body_fills_records() -> None:
    """The body of zeros can be sent: records have the features that the model requires."""
    assert (
        explorer.request_body(sample("sample_models/estimator_like")) == '{"examples": [{"length": 0.0, "width": 0.0}]}'
    )
    (row,) = json.loads(explorer.request_body(sample("sample_models/tf_example")))["instances"]
    assert read_example(base64.b64decode(row["examples"]["b64"])) == {"age": [0.0], "clicks": [0], "country": [b""]}


def test_scalar_output_decides_on_columns() -> None:
    """An answer in rows would be an error, so columns are chosen; rows are there for who asks."""
    model = a_model({"x": ("DT_FLOAT", [None])}, {"y": ("DT_FLOAT", [])})
    chosen, why = body_format(model.meta_graph().signature("serving_default"))
    assert chosen == "column" and "output 'y' is a scalar" in why
    assert explorer.request_body(model) == '{"inputs": {"x": [0.0]}}'
    assert explorer.request_body(model, format="row") == '{"instances": [{"x": 0.0}]}'


def test_values_in_other_forms_reach_the_body(tmp_path: Path) -> None:
    """request_body takes tables and files as well."""
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")
    assert explorer.request_body(a_model(ONE), values=tmp_path / "a.csv") == (  # type: ignore[arg-type]
        '{"instances": [{"x": [1.0, 2.0]}, {"x": [3.0, 4.0]}]}'
    )


def test_reserved_signature_and_wrong_values() -> None:
    """What isn't for clients, and values that don't fit, are errors at once."""
    with pytest.raises(RequestError, match="reserved"):
        requests(sample("sample_models/tf_example"), "__saved_model_init_op")
    with pytest.raises(RequestError, match=r"x\[0\]\[1\] is 'a'"):
        requests(a_model(ONE), values={"x": [[1, "a"]]})
    with pytest.raises(RequestError, match="'nines'"):
        requests(a_model(ONE), kind="nines")


def test_rows_of_several_inputs() -> None:
    """Arrays, lists and texts are put into rows together, whatever their rank."""
    model = a_model({"a": ("DT_FLOAT", [None]), "b": ("DT_INT64", [None, 1, 2]), "s": ("DT_STRING", [None])}, key="k")
    values = {"a": np.array([0.5, np.nan], np.float32), "b": np.arange(4).reshape(2, 1, 2), "s": ["x", b"\xff"]}
    assert explorer.request_body(model, values=values) == (
        '{"signature_name": "k", "instances": [{"a": 0.5, "b": [[0, 1]], "s": "x"}, '
        '{"a": NaN, "b": [[2, 3]], "s": {"b64": "/w=="}}]}'
    )
    data = json.loads(explorer.request_body(model, values=values, indent=2))
    assert data["instances"][1]["b"] == [[2, 3]] and data["instances"][1]["s"] == {"b64": "/w=="}


def test_batch_of_images_is_written() -> None:
    """A body of 4.8 million numbers reads back the same; benchmarks/requests.py says how fast it is made."""
    array = np.random.default_rng(0).random((32, 224, 224, 3), np.float32)
    model = a_model(IMAGES)
    body = explorer.request_body(model, values={"x": array})
    rows = body.split('{"x": ')[1:]
    assert len(rows) == 32
    back = np.array(json.loads(rows[31].rstrip("}], ") + "]]]"), np.float32)
    np.testing.assert_array_equal(back, array[31])


def test_bodies_beyond_all_use() -> None:
    """An array whose JSON would have more than half a gigabyte is refused for REST, with its size; gRPC takes it."""
    array = np.broadcast_to(np.float32(0), (300, 224, 224, 3))
    with pytest.raises(RequestError, match="516 MiB as JSON.*up to 512 MiB; send them by gRPC"):
        explorer.request_body(a_model(IMAGES), values={"x": array})


def test_shortened_view_is_made_from_the_values() -> None:
    """Of a large body the ends and a count are shown, in a form that nobody can send; the whole isn't written."""
    array = np.random.default_rng(0).random((32, 224, 224, 3), np.float32)
    made = requests(a_model(IMAGES), values={"x": array})
    for request in (made.rest_row, made.rest_column, made.kserve, made.grpc_text):
        text = request.shortened()
        assert len(text) <= 2000 and "more …" in text and text.startswith("(shortened"), request.protocol
        assert "content" not in vars(request), "the whole was written"
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    assert "… 29 more …" in made.rest_row.shortened() and "… 4816892 more …" in made.grpc_text.shortened()
    with pytest.raises(text_format.ParseError):
        text_format.Parse(made.grpc_text.shortened(), message_class("tensorflow.serving.PredictRequest")())
    assert made.grpc.shortened().startswith("(shortened for reading: 19267633 bytes)")


def test_shortened_view_of_short_requests() -> None:
    """What is short enough is shown whole."""
    made = requests(a_model(ONE))
    for request in made:
        if not request.problem and request.protocol != "grpc":
            assert request.shortened() == request.text
    assert shortened(made.classify) == ""


@given(st.integers(200, 3000), st.integers(0, 3000), st.integers(0, 40))
def test_shortened_views_keep_their_length(most_chars: int, length: int, keys: int) -> None:
    """Whatever is long (lists, texts, objects), no more is shown than is wanted, but for the line that says so."""
    value = {"x" * index: [index] * length for index in range(keys)} | {"text": "é" * length, "bytes": ["a" * 300] * 20}
    text = json.dumps(value)
    shown = shortened(text, most_chars)
    assert len(shown) <= most_chars + 100
    if len(text) <= most_chars:
        assert shown == text
    else:
        with pytest.raises(json.JSONDecodeError):
            json.loads(shown)


def test_shortened_texts_that_are_no_json() -> None:
    """They are cut in the middle; a nesting without end doesn't matter."""
    assert shortened("[" * 500_000).startswith("(shortened for reading: 500000 characters in all)")
    assert len(shortened("ab " * 10_000_000)) < 2100
    assert shortened(b"\x00\xff") == "00 ff"


def test_saving_a_request(tmp_path: Path) -> None:
    """The whole goes into a new file; one that is there stays as it was."""
    made = requests(a_model(ONE))
    assert made.rest_row.save(tmp_path / "body.json").read_text() == made.rest_row.text
    assert made.grpc.save(str(tmp_path / "body.bin")).read_bytes() == made.grpc.data
    with pytest.raises(RequestError, match="is there already"):
        made.rest_row.save(tmp_path / "body.json")
    with pytest.raises(RequestError, match="can't be written"):
        made.rest_row.save(tmp_path / "gone" / "body.json")
    with pytest.raises(RequestError, match="no classify request to save"):
        made.classify.save(tmp_path / "other.json")


def test_requests_of_every_sample_model() -> None:
    """Every signature of every sample can be asked for its requests, and each has a text or a sentence."""
    folders = [path.parent for path in (ROOT / "sample_models").rglob("saved_model.pb*") if "broken" not in path.parts]
    count = 0
    for folder in sorted(folders):
        model = explorer.open_saved_model(folder)
        for meta_graph in model.meta_graphs:
            for key in meta_graph.callable_signatures:
                made: Requests = requests(model, key, tags=meta_graph.tags, kind="random")
                assert all(bool(request.problem) != bool(request.data) for request in made), (folder, key)
                count += 1
    assert count > 30
