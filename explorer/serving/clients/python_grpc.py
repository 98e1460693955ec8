"""Python over gRPC with TensorFlow and ``tensorflow-serving-api``."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from explorer.serving.clients.request import REQUEST_FILE, ClientRequest
from explorer.serving.literals import fill, python_literal

_PREDICT = """
# Run: python client.py (needs: pip install tensorflow tensorflow-serving-api)
«imports»

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

request = predict_pb2.PredictRequest()
«model_spec»
# One tensor for every input, with its batch dimension where it has one.
«inputs»

«no_limit»
with grpc.insecure_channel(«address», options=no_limit) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    try:
        response = stub.Predict(request, timeout=60)
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")


def readable(value):
    # JSON has no bytes: text where they are UTF-8, base64 where not. It has no complex numbers either.
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode("ascii")}


outputs = {key: tf.make_ndarray(tensor).tolist() for key, tensor in response.outputs.items()}
print(json.dumps(outputs, default=readable))
"""

_EXAMPLES = """
# Run: python client.py (needs: pip install tensorflow tensorflow-serving-api)
«imports»

import grpc
from tensorflow_serving.apis import «module», prediction_service_pb2_grpc

«examples»


«add_features»


request = «module».«message»()
«model_spec»
«filled»

«no_limit»
with grpc.insecure_channel(«address», options=no_limit) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    try:
        response = stub.«call»(request, timeout=60)
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")

«results»
print(json.dumps({"results": results}))
"""

# gRPC's own limit is 4 MB for an answer; TensorFlow Serving has none for a request.
NO_LIMIT: Final = 'no_limit = [("grpc.max_receive_message_length", -1)]  # else an answer above 4 MB is refused'

LOADED_BODY: Final = f"""with open("{REQUEST_FILE}", "rb") as file:  # the values lie beside this script
    body = json.load(file)"""

DECODED: Final = """

def decoded(value):
    # JSON has no bytes: they stand in the file as {"b64": "..."}, or as text.
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return value.encode() if isinstance(value, str) else value

"""

ADD_FEATURES: Final = """def add_features(example, features):
    for name, values in features.items():
        feature = example.features.feature[name]
        # A feature is a list of bytes, of floats or of integers; the server doesn't convert between them.
        if values and isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif values and isinstance(values[0], float):
            feature.float_list.value.extend(values)
        elif values:
            feature.int64_list.value.extend(values)"""

_FILLED = """for features in examples:
    add_features(request.input.example_list.examples.add(), features)"""

_FILLED_WITH_CONTEXT = """listed = request.input.example_list_with_context
add_features(listed.context, context)
for features in examples:
    add_features(listed.examples.add(), features)"""

_KINDS = {
    "classify": ("classification_pb2", "ClassificationRequest", "Classify"),
    "regress": ("regression_pb2", "RegressionRequest", "Regress"),
}

RESULTS: Final = {
    "classify": """results = [
    [[one.label, one.score] for one in classifications.classes]
    for classifications in response.result.classifications
]""",
    "regress": "results = [regression.value for regression in response.result.regressions]",
}
"""Verb → the lines that make of an answer what the REST API has in ``results``."""


def code(request: ClientRequest) -> str:
    """The script."""
    if request.verb != "predict":
        return _examples_code(request)
    inputs = _inputs_from_file(request) if request.is_long else _inputs(request)
    return fill(
        _PREDICT,
        imports=imports_of("base64", "json", "sys", text=inputs),
        model_spec=model_spec(request),
        inputs=inputs,
        no_limit=NO_LIMIT,
        address=python_literal(request.host),
    )


def model_spec(request: ClientRequest) -> str:
    """The lines that say which model and signature is asked for."""
    lines = [f"request.model_spec.name = {python_literal(request.model_name)}"]
    if request.version is not None:
        lines.append(f"request.model_spec.version.value = {request.version}")
    # Also where it is the default: an empty name means the same, but it is here that one looks for how to change it.
    lines.append("# Which of the model's signatures runs.")
    lines.append(f"request.model_spec.signature_name = {python_literal(request.signature.key)}")
    return "\n".join(lines)


def examples_source(request: ClientRequest) -> str:
    """The lines that define ``examples``, and ``context`` where there is one: feature name → list of values."""
    lines = ["# One dict for each tf.Example: 1.0 is a float feature, 1 an integer one."]
    data = request.data
    if request.is_long:
        lines.insert(0, f"{LOADED_BODY}\n{DECODED}")
        listed = "{name: decoded(v if isinstance(v, list) else [v]) for name, v in features.items()}"
        lines.append(f'examples = [{listed} for features in body["examples"]]')
    else:
        lines.append(f"examples = {python_literal([_features(features) for features in data['examples']])}")
    if "context" in data:
        lines.append("# What all of them share.")
        lines.append(f"context = {python_literal(_features(data['context']))}")
    return "\n".join(lines)


def filled_examples(request: ClientRequest) -> str:
    """The lines that put ``examples``, and ``context``, into the request."""
    return _FILLED_WITH_CONTEXT if "context" in request.data else _FILLED


def imports_of(*names: str, text: str) -> str:
    """The lines that import modules of the standard library; ``math`` too where literals in the text need it."""
    needed = {*names, *(["math"] if "math." in text else [])}
    return "\n".join(f"import {name}" for name in sorted(needed))


def _examples_code(request: ClientRequest) -> str:
    module, message, call = _KINDS[request.verb]
    examples = examples_source(request)
    needed = ("base64", "json", "sys") if request.is_long else ("json", "sys")
    return fill(
        _EXAMPLES,
        imports=imports_of(*needed, text=examples),
        module=module,
        message=message,
        call=call,
        examples=examples,
        add_features=ADD_FEATURES,
        filled=filled_examples(request),
        model_spec=model_spec(request),
        no_limit=NO_LIMIT,
        address=python_literal(request.host),
        results=RESULTS[request.verb],
    )


def _inputs(request: ClientRequest) -> str:
    lines = []
    for key, tensor in request.fed.items():
        # An empty list doesn't tell all its dimensions.
        shape = f", shape={list(tensor.shape)}" if 0 in tensor.shape else ""
        made = f"tf.make_tensor_proto({python_literal(tensor.nested)}, dtype=tf.{tensor.dtype}{shape})"
        lines.append(f"request.inputs[{python_literal(key)}].CopyFrom({made})")
    return "\n".join(lines)


def _inputs_from_file(request: ClientRequest) -> str:
    lines = [LOADED_BODY, DECODED]
    for key, info in request.signature.inputs.items():
        name = python_literal(key)
        value = f'body["inputs"][{name}]'
        lines.append(
            f"request.inputs[{name}].CopyFrom(tf.make_tensor_proto(decoded({value}), dtype=tf.{info.dtype.base}))"
        )
    return "\n".join(lines)


def _features(features: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Features with lists of bytes, floats or integers, as JSON's types say."""
    return {
        name: [_feature_value(value) for value in (values if isinstance(values, list) else [values])]
        for name, values in features.items()
    }


def _feature_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return base64.b64decode(value["b64"])
    return value.encode("utf-8") if isinstance(value, str) else int(value) if isinstance(value, bool) else value
