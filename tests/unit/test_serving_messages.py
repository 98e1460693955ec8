"""The messages of PredictionService are made and read as TensorFlow Serving does."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import RequestError
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.schema import descriptor_pool, message_class
from explorer.savedmodel.tensors import Tensor
from explorer.savedmodel.tf_example import example_bytes
from explorer.serving import messages
from explorer.serving.calls import predict_call
from explorer.serving.messages import ModelSpec
from explorer.serving.tensor_protos import read_tensor, tensor_message

_CONFORMANCE = Path(__file__).parents[1] / "conformance"
_RECORDED = [json.loads(line) for line in (_CONFORMANCE / "grpc.jsonl").read_text("utf-8").splitlines()]
_SPEC = ModelSpec("m", 1, None, "s")


def _parsed(text: str, name: str) -> Any:
    from google.protobuf import text_format

    return text_format.Parse(text, message_class(name)(), descriptor_pool=descriptor_pool())


def _proto(text: str) -> bytes:
    data: bytes = _parsed(text, "tensorflow.TensorProto").SerializeToString()
    return data


def _meta_graph(model: str) -> MetaGraph:
    return open_saved_model(_CONFORMANCE / "models" / model).meta_graph({"serve"})


def test_recorded_predictions() -> None:
    """What needs no run is refused with code and sentence; an answer made of recorded values is the recorded one."""
    graphs = {model: _meta_graph(model) for model in ("zoo", "edited")}
    refused = answered = 0
    response = message_class("tensorflow.serving.PredictResponse")
    for line in _RECORDED:
        data = _parsed(line["request"], "tensorflow.serving.PredictRequest").SerializeToString()
        request = messages.read_predict_request(data)
        assert request.spec.name == "m"
        try:
            call = predict_call(
                graphs[line["model"]], request.spec.signature_name, request.inputs, request.output_filter
            )
        except RequestError as error:
            assert (error.code, str(error)) == (line["code"], line["error"])
            refused += 1
            continue
        if line["code"] != "OK":
            assert line["error"].startswith("Expects arg")  # the session's
            continue
        recorded = base64.b64decode(line["response_b64"])
        spec, outputs = messages.read_predict_response(recorded)
        assert spec == ModelSpec("m", 1, None, request.spec.signature_name)
        assert sorted(outputs) == sorted(call.output_keys)
        made = response.FromString(messages.predict_response(spec, outputs))
        assert made == response.FromString(recorded)
        answered += 1
    assert refused > 20
    assert answered > 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dtype: DT_FLOAT tensor_shape {dim {size: 3}} float_val: 1 float_val: 2", [1, 2, 2]),
        ("dtype: DT_FLOAT tensor_shape {dim {size: 1}} float_val: 1 float_val: 2", [1]),
        ("dtype: DT_DOUBLE tensor_shape {dim {size: 2}}", [0, 0]),
        ("dtype: DT_FLOAT float_val: 4", 4),
        ("dtype: DT_INT8 tensor_shape {dim {size: 2}} int_val: 200 int_val: -129", [-56, 127]),
        ("dtype: DT_UINT16 tensor_shape {dim {size: 1}} int_val: -1", [65535]),
        ("dtype: DT_BOOL tensor_shape {dim {size: 2}} bool_val: true", [True, True]),
        ("dtype: DT_HALF tensor_shape {dim {size: 2}} half_val: 15360", [1, 1]),
        ("dtype: DT_BFLOAT16 tensor_shape {dim {size: 1}} half_val: 16256", [1]),
        ("dtype: DT_COMPLEX64 tensor_shape {dim {size: 2}} scomplex_val: [1, 2, 3]", [1 + 2j, 1 + 2j]),
        ("dtype: DT_COMPLEX128 tensor_shape {dim {size: 1}} dcomplex_val: [1, 2]", [1 + 2j]),
        ("dtype: DT_UINT64 tensor_shape {dim {size: 1}} uint64_val: 18446744073709551615", [2**64 - 1]),
        ('dtype: DT_INT32 tensor_shape {dim {size: 1}} tensor_content: "\\001\\000\\000\\000" int_val: 9', [1]),
        ('dtype: DT_STRING tensor_shape {dim {size: 3}} string_val: "a" string_val: "b"', [b"a", b"b", b"b"]),
        ("dtype: DT_STRING tensor_shape {dim {size: 1}}", [b""]),
        ('dtype: DT_STRING tensor_shape {dim {size: 2}} tensor_content: "\\001\\002abb"', [b"a", b"bb"]),
        ("dtype: DT_FLOAT tensor_shape {dim {size: 0}} float_val: 4", []),
        ("dtype: DT_FLOAT tensor_shape {dim {size: 1} unknown_rank: true} float_val: 4", [4]),
    ],
)
def test_values_of_protos(text: str, expected: Any) -> None:
    """Too few values are filled up, too many cut off, numbers cut to their width, whichever field they are in."""
    assert read_tensor(_proto(text)).to_array().tolist() == expected


@pytest.mark.parametrize(
    "text",
    [
        "tensor_shape {dim {size: 1}}",
        "dtype: DT_FLOAT_REF float_val: 1",
        "dtype: DT_RESOURCE",
        "dtype: DT_FLOAT tensor_shape {dim {size: -1}}",
        "dtype: DT_FLOAT tensor_shape {dim {size: 1099511627776} dim {size: 1099511627776} dim {size: 0}}",
        "dtype: DT_FLOAT tensor_shape {dim {size: 1099511627776}} float_val: 1",
        "dtype: DT_STRING tensor_shape {dim {size: 1099511627776}} string_val: 'a'",
        "dtype: DT_STRING tensor_shape {dim {size: 1099511627776}} tensor_content: 'a'",
        "dtype: DT_FLOAT tensor_content: 'abc'",
        "dtype: DT_STRING tensor_content: '\\002a'",
        "dtype: DT_STRING tensor_content: '\\200'",
        "dtype: DT_FLOAT tensor_shape {" + "dim {size: 1}" * 255 + "}",
    ],
)
def test_protos_that_are_no_tensors(text: str) -> None:
    """They are refused with the server's sentence, and none of them costs memory."""
    with pytest.raises(RequestError) as caught:
        read_tensor(_proto(text), "x")
    assert (caught.value.code, str(caught.value)) == ("INVALID_ARGUMENT", "tensor parsing error: x")


_NUMBERS = {
    1: "f4", 2: "f8", 3: "i4", 4: "u1", 5: "i2", 6: "i1", 8: "c8", 9: "i8", 10: "?", 11: "i1", 12: "u1", 13: "i4",
    14: "u2", 15: "i2", 16: "u2", 17: "u2", 18: "c16", 19: "u2", 22: "u4", 23: "u8", 24: "u1", 28: "u1", 29: "i1",
}  # fmt: skip


@pytest.mark.parametrize("dtype", _NUMBERS)
def test_every_dtype_survives_a_message(dtype: int) -> None:
    """A value made into a message and read again is the same, bit for bit, in its own field."""
    array = np.arange(6).reshape(2, 3).astype(_NUMBERS[dtype]) + np.array(dtype != 10).astype(_NUMBERS[dtype])
    tensor = Tensor.from_array(array.astype(_NUMBERS[dtype]), dtype)
    message = tensor_message(tensor)
    assert not message.tensor_content
    assert read_tensor(message) == tensor
    assert read_tensor(message.SerializeToString()) == tensor
    empty = Tensor(dtype, (0, 2))
    assert read_tensor(tensor_message(empty)) == empty


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    """No bytes raise anything but RequestError."""
    for read in (
        read_tensor,
        messages.read_predict_request,
        messages.read_metadata_request,
        lambda data: messages.read_examples_request("classify", data),
    ):
        with contextlib.suppress(RequestError):
            read(data)


def test_a_bad_input_is_found_only_when_it_is_looked_up() -> None:
    """An unknown signature is told before a value that is none, as the server does."""
    request = _parsed(
        'model_spec {name: "m" signature_name: "nope"} inputs {key: "x" value {}}', "tensorflow.serving.PredictRequest"
    )
    read = messages.read_predict_request(request.SerializeToString())
    zoo = _meta_graph("zoo")
    with pytest.raises(RequestError, match='^Serving signature key "nope" not found.$'):
        predict_call(zoo, read.spec.signature_name, read.inputs)
    with pytest.raises(RequestError, match="^tensor parsing error: x$"):
        predict_call(zoo, "id_int32", read.inputs)
    assert "q" not in read.inputs
    with pytest.raises(KeyError):
        read.inputs["q"]
    assert list(read.inputs) == ["x"]


def test_a_predict_request_survives() -> None:
    """What is made is what is read, by version or by label, and twice the same bytes."""
    inputs = {"b": Tensor(7, (1,), texts=(b"\xff",)), "a": Tensor.from_array(np.array([1.5], "f4"), 1)}
    for spec in (_SPEC, ModelSpec("m", None, "stable"), ModelSpec("m")):
        data = messages.predict_request(spec, inputs, ["y"])
        assert data == messages.predict_request(spec, dict(reversed(inputs.items())), ["y"])
        read = messages.read_predict_request(data)
        assert (read.spec, dict(read.inputs), read.output_filter) == (spec, inputs, ("y",))


def test_examples_survive() -> None:
    """The context stands before each example, as the server feeds it."""
    example, context = example_bytes({"x": [1.5]}), example_bytes({"c": [1]})
    for verb in ("classify", "regress"):
        plain = messages.read_examples_request(verb, messages.examples_request(verb, _SPEC, [example, b""]))
        assert (plain.spec, plain.examples) == (_SPEC, Tensor(7, (2,), texts=(example, b"")))
        both = messages.read_examples_request(verb, messages.examples_request(verb, _SPEC, [example], context))
        assert both.examples.texts == (context + example,)
        none = messages.read_examples_request(verb, messages.examples_request(verb, _SPEC, []))
        assert none.examples == Tensor(7, (0,))
    with pytest.raises(RequestError, match=r"no serialized tf\.Example"):
        messages.examples_request("classify", _SPEC, [b"\xff"])


def test_answers_survive() -> None:
    """Classifications, regressions and signatures come back as they were sent, from the version that answered."""
    unnamed = ModelSpec("m", 3, "stable")
    answered = ModelSpec("m", 3, None, "serving_default")
    pairs = [[(b"a", 0.5), ("é".encode(), 0.0)], []]
    assert messages.read_classify_response(messages.classify_response(unnamed, pairs)) == (answered, pairs)
    assert messages.read_regress_response(messages.regress_response(unnamed, [0.5, 1.0])) == (answered, [0.5, 1.0])
    with pytest.raises(RequestError, match="not UTF-8"):
        messages.classify_response(unnamed, [[(b"\xff", 0.0)]])
    graph = _meta_graph("edited")
    spec, signatures = messages.read_metadata_response(messages.metadata_response(unnamed, graph))
    assert spec == ModelSpec("m", 3)
    assert set(signatures) == set(graph.signatures)
    labelled = ModelSpec("m", None, "stable")
    assert messages.read_metadata_request(messages.metadata_request(labelled)) == labelled
    stored: Any = message_class("tensorflow.SignatureDef").FromString(signatures["dflt"])
    assert set(stored.defaults) == set(graph.signatures["dflt"].defaults) != set()


def test_requests_that_name_nothing() -> None:
    """The server's sentences for a request without a model, and for metadata that it hasn't."""
    for read in (
        messages.read_predict_request,
        messages.read_metadata_request,
        lambda data: messages.read_examples_request("regress", data),
    ):
        with pytest.raises(RequestError, match="^Missing ModelSpec$"):
            read(b"")
    with pytest.raises(RequestError, match="^ModelSpec has no name specified.$"):
        messages.read_predict_request(messages.predict_request(ModelSpec(""), {}))
    request = _parsed('model_spec {name: "m"}', "tensorflow.serving.GetModelMetadataRequest")
    with pytest.raises(RequestError, match="must specify at least one metadata_field$"):
        messages.read_metadata_request(request.SerializeToString())
    request.metadata_field.append("x")
    with pytest.raises(RequestError, match="^Metadata field %s is not supportedx$"):
        messages.read_metadata_request(request.SerializeToString())
    with pytest.raises(RequestError) as caught:
        messages.read_predict_request(b"\xff")
    assert caught.value.code == "INTERNAL"
