"""JSON Schemas, the OpenAPI document and the .http file say what the server takes and answers, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import explorer
from explorer.errors import RequestError
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature
from explorer.serving.http_file import http_file
from explorer.serving.openapi import openapi_document
from explorer.serving.requests import requests
from explorer.serving.schemas import request_schema, response_schema

REPOSITORY = Path(__file__).resolve().parents[2]
CONFORMANCE = REPOSITORY / "tests" / "conformance"
SAMPLES = sorted(
    path.parent for path in (REPOSITORY / "sample_models").glob("*/*/saved_model.pb*") if path.parts[-3] != "broken"
)

Declared = Mapping[str, tuple[str, list[int | None] | None]]


def a_signature(
    inputs: Declared, outputs: Declared | None = None, key: str = "serving_default", method: str = "predict"
) -> Signature:
    """A signature of declared tensors."""

    def tensors(declared: Declared) -> dict[str, Any]:
        return {
            name: {"dtype": dtype, "shape": shape, "tensor_name": "x:0"} for name, (dtype, shape) in declared.items()
        }

    data = {
        "method_name": f"tensorflow/serving/{method}",
        "inputs": tensors(inputs),
        "outputs": tensors(outputs or {"y": ("DT_FLOAT", [None])}),
    }
    return Signature.from_dict(data, key)


def a_model(*signatures: Signature) -> SavedModel:
    """A model with some signatures."""
    return SavedModel((MetaGraph(("serve",), {signature.key: signature for signature in signatures}),))


def is_valid(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a value fits a schema, which must be one itself."""
    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema)
    return bool(validator(schema).is_valid(value))


def every_callable(models: list[Path]) -> Iterator[tuple[str, SavedModel, MetaGraph, str]]:
    """Each callable signature of some models, with a name for messages."""
    for folder in models:
        model = explorer.open_saved_model(folder)
        for meta_graph in model.meta_graphs:
            for key in meta_graph.callable_signatures:
                yield f"{folder.parent.name} {sorted(meta_graph.tags)} {key}", model, meta_graph, key


def test_every_body_that_we_make_fits_its_schema() -> None:
    """Row, column and examples with zeros, ones and random values, of each sample model, fit; and some are there."""
    count = 0
    for name, model, meta_graph, key in every_callable(SAMPLES):
        for kind, batch in (("zeros", None), ("ones", 3), ("random", 2)):
            made = requests(model, key, tags=meta_graph.tags, kind=kind, batch=batch)
            for request in (made.rest_row, made.rest_column, made.classify, made.regress):
                if not request.problem:
                    verb = request.target.rpartition(":")[2]
                    schema = request_schema(made.signature, verb, meta_graph=meta_graph)
                    assert is_valid(schema, json.loads(request.text)), (name, request.protocol)
                    count += 1
    assert count > 150


def test_recorded_exchanges_fit_the_schemas() -> None:
    """Where a body fits its schema, what the real server answered to it fits the answer's, errors included."""
    models = {name: explorer.open_saved_model(CONFORMANCE / "models" / name / "1") for name in ("zoo", "cls")}
    checked = answers = 0
    with (CONFORMANCE / "rest" / "exchanges.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            exchange = json.loads(line)
            if exchange["model"] not in models or "answer" not in exchange:
                continue
            try:
                body = json.loads(exchange["body"])
                answer = json.loads(exchange["answer"])
            except ValueError:
                continue
            if not isinstance(body, dict):
                continue
            key = body.get("signature_name") or "serving_default"
            signatures = models[exchange["model"]].meta_graphs[0].callable_signatures
            try:
                asked = request_schema(signatures[key], exchange["verb"])
            except (KeyError, TypeError, RequestError):
                continue
            # Shapes that aren't the declared ones come back in others too.
            if not is_valid(asked, body):
                continue
            schema = response_schema(signatures[key], exchange["verb"])
            checked += 1
            answers += exchange["status"] == 200
            assert is_valid(schema, answer), (exchange["verb"], exchange["body"], answer)
    assert checked > 200 and answers > 100


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"instances": [{"x": [1.0, 2.0]}]}, True),
        ({"instances": [[1.0, 2.0], {"x": [3, 4]}]}, True),
        ({"inputs": {"x": [[1.0, 2.0]]}}, True),
        ({"inputs": [[1.0, 2.0]]}, True),
        ({"inputs": []}, True),
        ({"inputs": [[1.0, 2.0]], "signature_name": "serving_default"}, True),
        ({"inputs": [[1.0, 2.0]], "signature_name": ""}, True),
        ({"inputs": [[1.0, 2.0]], "signature_name": "other"}, False),
        ({"inputs": [[1.0, 2.0]], "signature_name": None}, False),
        ({"inputs": [[1.0, 2.0]], "instances": [[1.0, 2.0]]}, False),
        ({}, False),
        ([], False),
        ({"instances": []}, False),
        ({"instances": [{"x": [1.0, 2.0], "z": 1}]}, False),
        ({"inputs": {"x": [[1.0, 2.0]], "z": 1}}, True),
        ({"inputs": {"z": [[1.0, 2.0]]}}, False),
        ({"instances": [[1.0]]}, False),
        ({"instances": [[1.0, "2"]]}, False),
        ({"instances": [[1.0, None]]}, False),
        ({"instances": [[1.0, True]]}, False),
        ({"instances": 1.0}, False),
    ],
)
def test_one_input_of_numbers(body: Any, fits: bool) -> None:
    """The schema takes what the server takes of float32[?, 2], and refuses what it, or the graph, refuses."""
    assert is_valid(request_schema(a_signature({"x": ("DT_FLOAT", [None, 2])})), body) is fits


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        ("DT_INT8", [-128, 127], [-129, 128, 1.5, "1", True, None]),
        ("DT_UINT8", [0, 255], [-1, 256]),
        ("DT_INT64", [-(2**63), 2**63 - 1], [2**63]),
        ("DT_UINT64", [2**64 - 1], [-1, 2**64]),
        ("DT_BOOL", [True, False], [0, 1, "true"]),
        ("DT_STRING", ["", "a", {"b64": "YQ=="}], [1, {"b64": 1}, {"b64": "YQ==", "x": 1}, {"b": ""}, [], None]),
        ("DT_DOUBLE", [1, -1.5e300], ["1", True, {}]),
    ],
)
def test_values_of_every_dtype(dtype: str, good: list[Any], bad: list[Any]) -> None:
    """Each dtype takes its own JSON values in its range, and no others."""
    schema = request_schema(a_signature({"x": (dtype, [None])}))
    for value in good:
        assert is_valid(schema, {"instances": [{"x": value}]}) and is_valid(schema, {"inputs": {"x": [value]}}), value
    for value in bad:
        assert not is_valid(schema, {"instances": [{"x": value}]}), value
        assert not is_valid(schema, {"inputs": {"x": [value]}}), value


def test_shapes_decide_on_the_formats() -> None:
    """A scalar input leaves no rows; a fixed batch sets their number; an unknown rank takes any nesting."""
    scalar = request_schema(a_signature({"x": ("DT_FLOAT", []), "z": ("DT_FLOAT", [None])}))
    assert is_valid(scalar, {"inputs": {"x": 1.0, "z": [1.0]}}) and "instances" not in scalar["properties"]
    fixed = request_schema(a_signature({"x": ("DT_FLOAT", [2])}))
    assert [is_valid(fixed, {"instances": [1.0] * count}) for count in (1, 2, 3)] == [False, True, False]
    unknown = request_schema(a_signature({"x": ("DT_FLOAT", None)}))
    for value in (1.0, [1.0], [[[1.0]]]):
        assert is_valid(unknown, {"inputs": {"x": value}})
    assert not is_valid(unknown, {"inputs": {"x": [["a"]]}})


def test_answers_are_named_where_there_are_several() -> None:
    """One output stands without its name; a text is base64 exactly where its key ends in _bytes."""
    inputs: Declared = {"x": ("DT_FLOAT", [None])}
    one = response_schema(a_signature(inputs))
    assert is_valid(one, {"predictions": [1.0]}) and is_valid(one, {"outputs": [1.0]}) and is_valid(one, {"error": "e"})
    assert not is_valid(one, {"predictions": [{"y": 1.0}]}) and not is_valid(one, {"results": [1.0]})
    outputs: Declared = {"t": ("DT_STRING", [None]), "t_bytes": ("DT_STRING", [None]), "f_bytes": ("DT_FLOAT", [None])}
    several = response_schema(a_signature(inputs, outputs))
    assert is_valid(several, {"predictions": [{"t": "a", "t_bytes": {"b64": ""}, "f_bytes": 1.0}]})
    assert not is_valid(several, {"predictions": [{"t": {"b64": ""}, "t_bytes": {"b64": ""}, "f_bytes": 1.0}]})
    assert not is_valid(several, {"outputs": {"t": ["a"], "t_bytes": ["a"], "f_bytes": [1.0]}})
    scalar = response_schema(a_signature(inputs, {"y": ("DT_FLOAT", [])}))
    assert is_valid(scalar, {"outputs": 1.0}) and not is_valid(scalar, {"predictions": [1.0]})


def test_examples_say_which_features_there_are(sample_models: Path) -> None:
    """The features that the graph parses stand in the schema with their dtypes; others are allowed."""
    model = explorer.open_saved_model(sample_models / "half_plus_two")
    meta_graph = model.meta_graph()
    signature = meta_graph.signature("classify_x")
    schema = request_schema(signature, meta_graph=meta_graph)
    start = {"signature_name": "classify_x"}
    for example, fits in (({"x": 1.0}, True), ({"x": [1.0]}, True), ({"x": "a"}, False), ({"x": 1.0, "z": "a"}, True)):
        assert is_valid(schema, {**start, "examples": [example]}) is fits, example
    assert is_valid(schema, {**start, "examples": [{}], "context": {"x": 1.0}})
    assert not is_valid(schema, {**start, "examples": []}) and not is_valid(schema, {"examples": [{"x": 1.0}]})
    answer = response_schema(signature)
    assert is_valid(answer, {"results": [[["a", 0.5], ["b", 1]]]}) and not is_valid(answer, {"results": [["a", 0.5]]})
    assert is_valid(response_schema(meta_graph.signature("regress_x")), {"results": [0.5]})


@pytest.mark.parametrize(
    ("signature", "verb", "told"),
    [
        (a_signature({"x": ("DT_HALF", [None])}), None, "by gRPC"),
        (a_signature({"x": ("DT_FLOAT", [None])}, {"y": ("DT_HALF", [None])}), None, "output 'y' of signature"),
        (a_signature({"x": ("DT_FLOAT", [None])}), "classify", "can't answer classify requests"),
        (a_signature({"x": ("DT_FLOAT", [None])}), "ask", "there is no verb 'ask'"),
        (a_signature({}), None, "has no inputs"),
    ],
)
def test_what_rest_cannot_call_has_no_schema(signature: Signature, verb: str | None, told: str) -> None:
    """The sentence says why, for requests and answers alike."""
    for make in (request_schema, response_schema):
        with pytest.raises(RequestError) as caught:
            make(signature, verb)
        assert told in str(caught.value)


HOSTILE = (
    "$ref",
    "required",
    "const",
    "enum",
    "properties",
    "a/b",
    "#/$defs/x",
    "{{x}}",
    "\0\n\"'",
    "日本",
    "{id}",
    "__proto__",
)


def test_names_of_keywords_are_names() -> None:
    """Input and output keys that JSON Schema has a meaning for, or OpenAPI, are plain names."""
    tensors: Declared = {name: ("DT_FLOAT", [None]) for name in HOSTILE}
    for key in HOSTILE:
        signature = a_signature(tensors, tensors, key)
        body = {"signature_name": key, "inputs": {name: [1.0] for name in HOSTILE}}
        assert is_valid(request_schema(signature), body)
        assert is_valid(response_schema(signature), {"outputs": {name: [1.0] for name in HOSTILE}})
        body["inputs"] = {name: ["1"] for name in HOSTILE}
        assert not is_valid(request_schema(signature), body)


def all_references(value: Any) -> Iterator[str]:
    """Every reference in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from all_references(item)
    elif isinstance(value, list):
        for item in value:
            yield from all_references(item)


def schema_in(document: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """A schema of a document, with the components that it refers to."""
    return {**part, "components": document["components"]}


def check_document(document: Mapping[str, Any]) -> None:
    """Checks the structure that OpenAPI 3.1 demands, as far as we use it."""
    assert document["openapi"] == "3.1.0"
    assert set(document) == {"openapi", "jsonSchemaDialect", "info", "servers", "paths", "components"}
    assert {"title", "version"} <= set(document["info"]) and isinstance(document["info"]["version"], str)
    names = document["components"]["schemas"]
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in names)
    assert {reference.removeprefix("#/components/schemas/") for reference in all_references(document)} <= set(names)
    for schema in names.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    operations = []
    for path, item in document["paths"].items():
        assert path.startswith("/")
        declared = {parameter["name"] for parameter in item.get("parameters", [])}
        assert set(re.findall(r"\{(.*?)\}", path)) == declared
        for method in set(item) - {"parameters"}:
            assert method in ("get", "post")
            operations.append(item[method]["operationId"])
            assert "200" in item[method]["responses"]
            assert all("description" in response for response in item[method]["responses"].values())
    assert len(set(operations)) == len(operations)


@pytest.mark.parametrize("folder", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_openapi_documents_are_sound(folder: Path) -> None:
    """For each sample model: every reference leads somewhere, every example fits, every signature has its place."""
    model = explorer.open_saved_model(folder)
    for meta_graph in model.meta_graphs:
        document = openapi_document(model, tags=meta_graph.tags)
        check_document(json.loads(json.dumps(document)))
        start = f"/v1/models/{folder.parent.name}"
        assert {start, f"{start}/metadata", f"{start}:predict", f"{start}/versions/{{version}}:predict"} <= set(
            document["paths"]
        )
        seen = set()
        for path, item in document["paths"].items():
            if "post" not in item:
                continue
            content = item["post"]["requestBody"]["content"]["application/json"]
            for example in content["examples"].values():
                assert is_valid(schema_in(document, content["schema"]), example["value"]), path
                seen.add(example["value"].get("signature_name", "serving_default"))
        told = document["info"]["description"]
        assert all(key in seen or f"'{key}'" in told for key in meta_graph.callable_signatures)


def test_openapi_of_hostile_names() -> None:
    """Names stay names: components get plain ones, paths are encoded, and no two signatures share a component."""
    tensors: Declared = {name: ("DT_STRING", [None]) for name in HOSTILE}
    model = a_model(*(a_signature(tensors, tensors, key) for key in HOSTILE))
    document = openapi_document(model, model_name="a {b}/日", version=3, host="http://h:1/")
    check_document(document)
    start = "/v1/models/a%20%7Bb%7D%2F%E6%97%A5/versions/3"
    assert set(document["paths"]) == {start, f"{start}/metadata", f"{start}:predict"}
    assert document["servers"] == [{"url": "http://h:1"}]
    requested = [name for name in document["components"]["schemas"] if name.endswith(".request")]
    assert len(requested) == len(HOSTILE)


def test_openapi_of_verbs(sample_models: Path) -> None:
    """Classify and regress have paths of their own where a signature is for them, and only there."""
    document = openapi_document(explorer.open_saved_model(sample_models / "half_plus_two"))
    assert {path.rpartition(":")[2] for path in document["paths"] if ":" in path} == {"predict", "classify", "regress"}
    document = openapi_document(explorer.open_saved_model(sample_models / "linear"))
    assert {path.rpartition(":")[2] for path in document["paths"] if ":" in path} == {"predict"}
    with pytest.raises(RequestError, match="no signature of the model can be called over REST"):
        openapi_document(a_model(a_signature({"x": ("DT_HALF", [None])})))


def blocks_of(text: str) -> list[tuple[str, list[str], str]]:
    """The requests of a .http file: request line, headers and body, as editors take them apart."""
    found = []
    for block in re.split(r"^###.*\n", text, flags=re.MULTILINE)[1:]:
        lines = [line for line in block.split("\n") if not line.startswith("#")]
        end = lines.index("") if "" in lines else len(lines)
        if lines[:end]:
            found.append((lines[0], lines[1:end], "\n".join(lines[end:]).strip()))
    return found


def test_http_file_of_each_sample_model() -> None:
    """Every block is one request whose body is the one that ``requests`` makes; what REST can't call says why."""
    for folder in SAMPLES:
        model = explorer.open_saved_model(folder)
        for meta_graph in model.meta_graphs:
            text = http_file(model, tags=meta_graph.tags, model_name="m", version=2, host="http://h:1")
            status, metadata, *posts = blocks_of(text)
            assert status[0] == "GET http://h:1/v1/models/m/versions/2" and metadata[0] == f"{status[0]}/metadata"
            for (line, headers, body), key in zip(
                posts,
                [key for key in meta_graph.callable_signatures if f"### Signature {key}\nPOST" in text],
                strict=True,
            ):
                made = requests(model, key, tags=meta_graph.tags, model_name="m", version=2)
                request = made[made.fitting[0]]
                assert line == f"POST http://h:1{request.target}" and headers == ["Content-Type: application/json"]
                assert json.loads(body) == json.loads(request.text)
            assert text.isascii()
    assert "# input 'features' of signature 'sparse' is encoded as coo_sparse" in http_file(
        explorer.open_saved_model(REPOSITORY / "sample_models" / "shapes_and_types")
    )


def test_http_file_of_hostile_names() -> None:
    """No name starts a block of its own, becomes a comment's end or is taken for a variable."""
    names = (*HOSTILE, "\n###\nGET http://evil/", "{{$guid}}", "{{{{")
    tensors: Declared = {name: ("DT_STRING", [None]) for name in names}
    model = a_model(*(a_signature(tensors, tensors, key) for key in names))
    text = http_file(model, model_name="{{m}}")
    assert len(blocks_of(text)) == 2 + len(names)
    lines = [line for line in text.split("\n") if not line.startswith("#")]
    assert "{{" not in "\n".join(lines)
    bodies = [json.loads(body) for _, _, body in blocks_of(text)[2:]]
    assert [body["signature_name"] for body in bodies] == list(names)
    assert all(
        line.startswith(("GET http://localhost:8501/", "POST http://localhost:8501/")) for line, _, _ in blocks_of(text)
    )
