"""gRPC answers, message for message as TensorFlow Serving gave them, asked with TensorFlow Serving's own client."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from explorer.runtime.server import Server, serve

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"
RECORDED = [json.loads(line) for line in (CONFORMANCE / "grpc.jsonl").read_text().splitlines()]
MODELS = ("zoo", "edited", "cls")
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Server]]:
    """Each model of the recorded exchanges, served under the name ``m``."""
    running: dict[str, Server] = {}
    try:
        for model in MODELS:
            base = CONFORMANCE / "models" / model
            running[model] = serve(base, consent=True, name="m", port=0, grpc_port=0, poll_s=60)
        yield running
    finally:
        for server in running.values():
            server.stop()


@pytest.fixture(scope="module")
def channels(servers: dict[str, Server]) -> Iterator[dict[str, grpc.Channel]]:
    """A channel to each of them."""
    opened = {model: grpc.insecure_channel(server.grpc_address) for model, server in servers.items()}
    yield opened
    for channel in opened.values():
        channel.close()


def answer(call: Callable[..., Any], request: Any) -> tuple[str, Any]:
    """Code and either the response or the sentence."""
    try:
        return "OK", call(request, timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return error.code().name, error.details()


@pytest.mark.parametrize("line", RECORDED, ids=range(len(RECORDED)))
def test_recorded_exchanges(line: dict[str, Any], channels: dict[str, grpc.Channel]) -> None:
    """Code and sentence, or the whole response message, are those that were recorded."""
    request = text_format.Parse(line["request"], predict_pb2.PredictRequest())
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channels[line["model"]])
    code, found = answer(stub.Predict, request)
    assert code == line["code"], found
    if code == "OK":
        expected = predict_pb2.PredictResponse.FromString(base64.b64decode(line["response_b64"]))
        assert text_format.MessageToString(found) == text_format.MessageToString(expected)
        assert found == expected
    else:
        assert found == line["error"]


def test_metadata(channels: dict[str, grpc.Channel]) -> None:
    """The signatures come packed as a SignatureDefMap, the same that the file holds."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channels["zoo"])
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "m"
    code, found = answer(stub.GetModelMetadata, request)
    assert code == "OK" and found.model_spec.name == "m" and found.model_spec.version.value == 1
    packed = get_model_metadata_pb2.SignatureDefMap()
    assert found.metadata["signature_def"].Unpack(packed)
    assert packed.signature_def["id_float32"].inputs["x"].name == "id_float32_x:0"
    recorded = json.loads((CONFORMANCE / "rest" / "metadata.jsonl").read_text())
    whole = recorded.get("answer", recorded)
    whole = json.loads(whole) if isinstance(whole, str) else whole
    assert set(packed.signature_def) == set(whole["metadata"]["signature_def"]["signature_def"])


def test_metadata_that_is_refused(channels: dict[str, grpc.Channel]) -> None:
    """What doesn't name a model or the one known field is refused with the server's sentences."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channels["zoo"])
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    assert answer(stub.GetModelMetadata, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    request.model_spec.name = "m"
    code, sentence = answer(stub.GetModelMetadata, request)
    assert (code, sentence) == ("INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field")
    request.metadata_field.append("x")
    assert answer(stub.GetModelMetadata, request)[0] == "INVALID_ARGUMENT"


def test_models_that_are_not_there(channels: dict[str, grpc.Channel]) -> None:
    """A request without a model, for another one, another version or an unknown label has the server's sentence."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channels["zoo"])
    for spec, code, sentence in (
        ("", "INVALID_ARGUMENT", "Missing ModelSpec"),
        ("model_spec {}", "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ('model_spec { name: "x" }', "NOT_FOUND", "Servable not found for request: Latest(x)"),
        (
            'model_spec { name: "m" version { value: 7 } }',
            "NOT_FOUND",
            "Servable not found for request: Specific(m, 7)",
        ),
        ('model_spec { name: "m" version_label: "l" }', "INVALID_ARGUMENT", "Unrecognized servable version label: l"),
    ):
        request = text_format.Parse(spec, predict_pb2.PredictRequest())
        assert answer(stub.Predict, request) == (code, sentence)


def test_status(channels: dict[str, grpc.Channel], servers: dict[str, Server]) -> None:
    """The states that REST tells, by gRPC."""
    stub = model_service_pb2_grpc.ModelServiceStub(channels["zoo"])
    request = get_model_status_pb2.GetModelStatusRequest()
    assert answer(stub.GetModelStatus, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    request.model_spec.name = "m"
    code, found = answer(stub.GetModelStatus, request)
    (state,) = found.model_version_status
    assert code == "OK" and state.version == 1
    assert state.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE and state.status.error_code == 0
    request.model_spec.version.value = 3
    assert answer(stub.GetModelStatus, request) == ("NOT_FOUND", "Could not find version 3 of model m")


def test_unknown_methods(channels: dict[str, grpc.Channel]) -> None:
    """A method that isn't there is UNIMPLEMENTED."""
    code, _ = answer(channels["zoo"].unary_unary("/tensorflow.serving.PredictionService/MultiInference"), b"")
    assert code == "UNIMPLEMENTED"


def recorded_rest(verb: str) -> list[dict[str, Any]]:
    """Recorded REST exchanges of the model with classify and regress signatures that were answered."""
    lines = (CONFORMANCE / "rest" / "exchanges.jsonl").read_text().splitlines()
    exchanges = [json.loads(line) for line in lines]
    return [one for one in exchanges if one["model"] == "cls" and one["verb"] == verb and one["status"] == 200]


def widened(printed: float) -> float:
    """A float32 that was printed, as the Python float of its value."""
    return float(np.float32(printed))


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_examples_as_rest_has_them(verb: str, channels: dict[str, grpc.Channel]) -> None:
    """Classify and regress by gRPC give the numbers and labels that were recorded for the same examples by REST."""
    from explorer.serving.examples import parse_examples

    stub = prediction_service_pb2_grpc.PredictionServiceStub(channels["cls"])
    kind = {"classify": classification_pb2.ClassificationRequest, "regress": regression_pb2.RegressionRequest}[verb]
    exchanges = recorded_rest(verb)
    assert exchanges
    for exchange in exchanges[:20]:
        parsed = parse_examples(exchange["body"].encode("utf-8", "surrogateescape"), verb)
        request = kind()
        request.model_spec.name = "m"
        request.model_spec.signature_name = parsed.signature_name
        chosen = request.input.example_list
        if parsed.context is not None:
            chosen = request.input.example_list_with_context
            chosen.context.ParseFromString(parsed.context)
        for example in parsed.examples:
            chosen.examples.add().ParseFromString(example)
        code, found = answer(getattr(stub, verb.title()), request)
        assert code == "OK", found
        expected = json.loads(exchange["answer"])["results"]
        if verb == "classify":
            results = [[[one.label, one.score] for one in each.classes] for each in found.result.classifications]
            expected = [[[label, widened(score)] for label, score in each] for each in expected]
        else:
            results = [each.value for each in found.result.regressions]
            expected = [widened(value) for value in expected]
        assert repr(results) == repr(expected)
        assert found.model_spec.version.value == 1


def test_empty_input(channels: dict[str, grpc.Channel]) -> None:
    """A request without examples is refused after the signature was looked up."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channels["cls"])
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "m"
    request.model_spec.signature_name = "nope"
    assert answer(stub.Classify, request) == ("INVALID_ARGUMENT", "No signature was found with the name: nope")
