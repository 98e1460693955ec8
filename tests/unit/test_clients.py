"""Client code is whole, sends exactly the request that was asked for, and no name of a model can act in it."""

from __future__ import annotations

import ast
import json
import math
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import explorer
from explorer.errors import NotFoundError, RequestError
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.schema import message_class
from explorer.serving.clients import LANGUAGES, client_code, client_files, request_files
from explorer.serving.clients.request import LONGEST_BODY
from explorer.serving.literals import (
    fill,
    go_literal,
    java_literal,
    java_text_block,
    javascript_literal,
    python_literal,
    raw_json,
    shell_literal,
    text_proto_literal,
    yaml_literal,
)
from explorer.serving.messages import read_predict_request
from explorer.serving.requests import requests

REST_LANGUAGES = [name for name, language in LANGUAGES.items() if language.protocol == "rest"]

HOSTILE = (
    "quotes ' \" `",
    "line\nend\r and tab\t",
    "NUL \0 and DEL \x7f",
    "*/ // # <!-- </script> ]]>",
    "${1+1} $(id) %s {{x}} «url» \\ \\n \\u0022 \\",
    "grün 日本 😀 \u2028",
    "__proto__",
    "END",
    '"""',
)

any_text = st.text() | st.sampled_from(HOSTILE)


def a_model(
    inputs: Mapping[str, tuple[str, list[int | None] | None]],
    signature_key: str = "serving_default",
    method: str = "predict",
    outputs: Mapping[str, tuple[str, list[int | None] | None]] | None = None,
    **more: Any,
) -> SavedModel:
    """A model with one signature."""

    def tensors(declared: Mapping[str, tuple[str, list[int | None] | None]]) -> dict[str, Any]:
        return {key: {"dtype": dtype, "shape": shape, "tensor_name": "x:0"} for key, (dtype, shape) in declared.items()}

    signature = {
        "method_name": f"tensorflow/serving/{method}",
        "inputs": tensors(inputs),
        "outputs": tensors(outputs or {"y": ("DT_FLOAT", [None])}),
    }
    meta_graph = {"tags": ["serve"], "signatures": {signature_key: signature}}
    return SavedModel.from_dict({"meta_graphs": [meta_graph], **more})


FLOATS = a_model({"x": ("DT_FLOAT", [None])})
CLASSIFY = a_model({"inputs": ("DT_STRING", [None])}, "by class", "classify", {"scores": ("DT_FLOAT", [None, 2])})


@pytest.fixture
def hostile_model() -> SavedModel:
    """A model whose every name is one that some language stumbles over."""
    return a_model({name: ("DT_STRING", [None]) for name in HOSTILE}, "".join(HOSTILE))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_client_is_a_whole_file(language: str) -> None:
    """Each is ASCII, ends with one line end, has no blanks at line ends nor a template's marks, and says how to run."""
    code = client_code(FLOATS, language=language, model_name="m", version=3)
    assert code.isascii()
    assert code.endswith("\n") and not code.endswith("\n\n")
    assert "«" not in code and not re.search(r"[ \t]\n", code)
    assert "\n\n\n\n" not in code
    assert LANGUAGES[language].command[-1] in code
    assert max(map(len, code.split("\n"))) <= 120


@pytest.mark.parametrize("language", REST_LANGUAGES)
def test_the_url_names_model_and_version(language: str) -> None:
    """The URL has the model's name percent-encoded and, only when one is asked for, the version."""
    code = client_code(FLOATS, language=language, model_name="a b/ü:{}", host="https://example.org:8501/tf/")
    assert "https://example.org:8501/tf/v1/models/a%20b%2F%C3%BC%3A%7B%7D:predict" in code
    assert "/versions/" not in code
    assert "/v1/models/m/versions/7:predict" in client_code(FLOATS, language=language, model_name="m", version=7)


def test_the_model_name_is_that_of_the_base_path(sample_models: Path) -> None:
    """Where nobody names the model, it has the name of the folder with the versions."""
    model = explorer.open_saved_model(sample_models / "half_plus_two")
    assert "/v1/models/half_plus_two:predict" in client_code(model)
    assert '"half_plus_two"' in client_code(model, language="python_grpc")


def rest_body(language: str, code: str, tmp_path: Path) -> str:
    """The body that a client in a language sends, as that language reads its literal."""
    if language == "curl":
        (tmp_path / "bin").mkdir(exist_ok=True)
        stand_in = tmp_path / "bin" / "curl"
        stand_in.write_text("#!/bin/sh\ncat\n")
        stand_in.chmod(0o755)
        environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
        done = subprocess.run(["sh", "-c", code], capture_output=True, env=environment, check=True)
        return done.stdout.decode()
    if language == "python_requests":
        sent: dict[str, Any] = {}
        run_with(code, tmp_path, {"requests": requests_stand_in(sent)})
        return json.dumps(sent["json"]) if "json" in sent else str(sent["data"])
    if language == "java":
        (block,) = re.findall(r'String body = """\n(.*?)\n( *)""";', code, re.DOTALL)
        lines = [line.removeprefix(block[1]) for line in block[0].split("\n")]
        return java_text("\n".join(lines))
    (raw,) = re.findall(r"(?:String\.raw|const body = )`([^`]*)`", code)
    assert "${" not in raw
    return str(raw)


def requests_stand_in(sent: dict[str, Any]) -> ModuleType:
    """A module in the place of ``requests`` that notes what is posted."""

    class Response:
        ok = True
        text = "{}"

    def post(url: str, **arguments: Any) -> Response:
        sent.update(arguments, url=url)
        return Response()

    module = ModuleType("requests")
    module.post = post  # type: ignore[attr-defined]
    return module


def run_with(code: str, folder: Path, modules: Mapping[str, ModuleType]) -> dict[str, Any]:
    """Runs a Python client with modules of ours in the place of others."""
    script = folder / "client.py"
    script.write_text(code, "ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        return runpy.run_path(str(script))


@pytest.mark.parametrize("language", REST_LANGUAGES)
def test_hostile_names_and_values_arrive_unchanged(language: str, hostile_model: SavedModel, tmp_path: Path) -> None:
    """Whatever stands in keys and values, the body that is sent is the one that ``requests`` makes."""
    values = {name: [name] for name in HOSTILE}
    code = client_code(hostile_model, language=language, values=values, model_name="m")
    made = requests(hostile_model, values=values)
    sent = rest_body(language, code, tmp_path)
    wanted = made.rest_column if made.rest_row.problem else made.rest_row
    assert json.loads(sent) == json.loads(wanted.text)
    assert set(HOSTILE) == set(json.loads(sent)["inputs"])
    assert language != "javascript" or "</script" not in code
    comments = [line for line in code.split("\n") if line.lstrip().startswith(("#", "//"))]
    assert not any(character in "".join(comments) for character in ("\0", "grün", "id)"))


@pytest.mark.parametrize("language", REST_LANGUAGES)
def test_numbers_keep_their_text(language: str, tmp_path: Path) -> None:
    """1.0 stays a float, integers above 2^53 stay exact, minus zero keeps its sign, and NaN is the bare word."""
    model = a_model({"f": ("DT_FLOAT", [None]), "i": ("DT_INT64", [None])})
    values = {"f": [1.0, -0.0, math.nan, math.inf], "i": [2**53 + 1, -(2**63), 0, 1]}
    sent = rest_body(language, client_code(model, language=language, values=values), tmp_path)
    assert "1.0" in sent and "-0.0" in sent and "NaN" in sent and "Infinity" in sent
    assert str(2**53 + 1) in sent


class GrpcStandIn:
    """A module in the place of ``grpc`` whose channel notes the bytes of a request and answers with others."""

    def __init__(self, answer: bytes) -> None:
        self.sent = b""
        self.method = ""
        self.address = ""
        module = ModuleType("grpc")
        module.RpcError = RuntimeError  # type: ignore[attr-defined]
        module.insecure_channel = self._channel  # type: ignore[attr-defined]
        self.module = module
        self._answer = answer

    def _channel(self, address: str, options: object = None) -> GrpcStandIn:
        self.address = address
        return self

    def __enter__(self) -> GrpcStandIn:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def unary_unary(self, method: str, request_serializer: Any, response_deserializer: Any) -> Any:
        """A callable that sends."""
        self.method = method

        def call(request: Any, timeout: float) -> Any:
            self.sent = request_serializer(request)
            return response_deserializer(self._answer)

        return call


def predict_answer(**outputs: Any) -> bytes:
    """A serialized PredictResponse: name → TensorProto's fields."""
    response = message_class("tensorflow.serving.PredictResponse")()
    for name, fields in outputs.items():
        dims = [{"size": size} for size in fields.pop("shape", [])]
        proto = message_class("tensorflow.TensorProto")(tensor_shape={"dim": dims}, **fields)
        response.outputs[name].CopyFrom(proto)  # type: ignore[attr-defined]
    return response.SerializeToString()


@pytest.mark.parametrize("is_long", [False, True])
def test_the_small_client_sends_every_dtype(is_long: bool, tmp_path: Path) -> None:
    """Its own few descriptors write a PredictRequest that Serving's own read back as the same tensors."""
    dtypes = ("FLOAT", "DOUBLE", "INT32", "UINT8", "INT16", "INT8", "INT64", "BOOL", "UINT32", "UINT64", "STRING")
    model = a_model({dtype.lower(): (f"DT_{dtype}", None) for dtype in dtypes}, "each dtype")
    count = 2000 if is_long else 2
    values: dict[str, Any] = {"float": [[0.1, math.inf]], "bool": True, "uint64": [2**64 - 1], "int8": [-128, 127]}
    values |= {"string": [["grün", b"\xff\0"]] * count, "double": [[[1e300]]], "int64": [-(2**63)]}
    code = client_code(model, language="python_grpc_small", values=values, model_name="m", version=9)
    files = request_files(model, language="python_grpc_small", values=values)
    assert set(files) == ({"request.json"} if is_long else set())
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    grpc = GrpcStandIn(b"")
    run_with(code, tmp_path, {"grpc": grpc.module})
    made = requests(model, values=values, model_name="m", version=9)
    sent, wanted = read_predict_request(grpc.sent), read_predict_request(made.grpc.data)
    assert (sent.spec.name, sent.spec.version, sent.spec.signature_name) == ("m", 9, "each dtype")
    assert dict(sent.inputs) == dict(wanted.inputs)
    assert (grpc.method, grpc.address) == ("/tensorflow.serving.PredictionService/Predict", "localhost:8500")


def test_the_small_client_sends_hostile_names(hostile_model: SavedModel, tmp_path: Path) -> None:
    """Names and texts arrive as the same bytes."""
    values = {name: [name] for name in HOSTILE}
    grpc = GrpcStandIn(b"")
    code = client_code(hostile_model, language="python_grpc_small", values=values, model_name="".join(HOSTILE))
    run_with(code, tmp_path, {"grpc": grpc.module})
    sent = read_predict_request(grpc.sent)
    assert sent.spec.name == sent.spec.signature_name == "".join(HOSTILE)
    assert {key: tensor.texts for key, tensor in sent.inputs.items()} == {key: (key.encode(),) for key in HOSTILE}


def test_the_small_client_reads_every_form_of_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Values in fields and in ``tensor_content``, a last value that stands for the rest, texts, and no elements."""
    answer = predict_answer(
        fields={"dtype": 9, "shape": [2, 1], "int64_val": [-1, 2**40]},
        content={"dtype": 1, "shape": [1, 2], "tensor_content": np.float32([0.5, -2]).tobytes()},
        repeated={"dtype": 4, "shape": [3], "int_val": [7]},
        texts={"dtype": 7, "shape": [2], "string_val": ["grün".encode(), b"\xff"]},
        scalar={"dtype": 10, "bool_val": [True]},
        nothing={"dtype": 2, "shape": [2, 0]},
    )
    grpc = GrpcStandIn(answer)
    run_with(client_code(FLOATS, language="python_grpc_small"), tmp_path, {"grpc": grpc.module})
    assert json.loads(capsys.readouterr().out) == {
        "fields": [[-1], [2**40]],
        "content": [[0.5, -2.0]],
        "repeated": [7, 7, 7],
        "texts": ["grün", {"b64": "/w=="}],
        "scalar": True,
        "nothing": [[], []],
    }


@pytest.mark.parametrize(("verb", "call"), [("classify", "Classification"), ("regress", "Regression")])
def test_the_small_client_sends_examples(
    verb: str, call: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Features become lists of bytes, floats and integers, a context is sent once, and results print as REST's."""
    from explorer.savedmodel.tf_example import example_bytes

    output = {"classify": {"scores": ("DT_FLOAT", [None, 1])}, "regress": {"outputs": ("DT_FLOAT", [None])}}
    model = a_model({"inputs": ("DT_STRING", [None])}, "s", verb, output[verb])  # type: ignore[arg-type]
    features: dict[str, list[Any]] = {HOSTILE[0]: [1.5, -2.0], "i": [3], "t": [b"\xff", b"a"], "none": []}
    record = example_bytes(features)
    response = message_class(f"tensorflow.serving.{call}Response")()
    if verb == "classify":
        response.result.classifications.add().classes.add(label="a", score=0.5)  # type: ignore[attr-defined]
    else:
        response.result.regressions.add(value=0.5)  # type: ignore[attr-defined]
    grpc = GrpcStandIn(response.SerializeToString())
    code = client_code(model, language="python_grpc_small", values={"inputs": [record, b""]}, model_name="m")
    run_with(code, tmp_path, {"grpc": grpc.module})
    sent: Any = message_class(f"tensorflow.serving.{call}Request").FromString(grpc.sent)
    first, second = sent.input.example_list.examples
    wanted: Any = message_class("tensorflow.Example").FromString(record)
    for name, values in features.items():
        if values:
            assert first.features.feature[name] == wanted.features.feature[name]
    assert not second.features.feature
    assert grpc.method == f"/tensorflow.serving.PredictionService/{verb.capitalize()}"
    results = {"classify": [[["a", 0.5]]], "regress": [0.5]}[verb]
    assert json.loads(capsys.readouterr().out) == {"results": results}


def test_a_context_is_sent_once(tmp_path: Path, sample_models: Path) -> None:
    """What all examples share goes into ``example_list_with_context``, in the code and beside it."""
    model = explorer.open_saved_model(sample_models / "half_plus_two")
    for batch in (2, 5000):
        made = requests(model, "classify_x", context={"x": 2.0}, batch=batch)
        files = client_files(made, "python_grpc_small")
        assert set(files) == {"client.py", "request.json"} if batch > 2 else {"client.py"}
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        grpc = GrpcStandIn(b"")
        run_with(files["client.py"].decode(), tmp_path, {"grpc": grpc.module})
        sent: Any = message_class("tensorflow.serving.ClassificationRequest").FromString(grpc.sent)
        listed = sent.input.example_list_with_context
        assert len(listed.examples) == batch
        assert list(listed.context.features.feature["x"].float_list.value) == [2.0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_body_lies_beside_the_code(language: str) -> None:
    """The code stays short, names the file in a comment's reach, and the file holds the body."""
    values = {"x": np.arange(50_000, dtype=np.float32)}
    code = client_code(FLOATS, language=language, values=values)
    files = request_files(FLOATS, language=language, values=values)
    assert len(code) < LONGEST_BODY and "request.json" in code and "beside this" in code
    made = requests(FLOATS, values=values)
    body = made.rest_row if LANGUAGES[language].protocol == "rest" else made.rest_column
    assert json.loads(files["request.json"]) == json.loads(body.text)
    assert request_files(FLOATS, language=language) == {}


@pytest.mark.parametrize("language", REST_LANGUAGES)
def test_examples_go_to_their_verb(language: str, tmp_path: Path) -> None:
    """A classify signature is asked by ``:classify`` with examples, and by ``:predict`` with tensors where wanted."""
    code = client_code(CLASSIFY, language=language, model_name="m")
    assert "/v1/models/m:classify" in code
    assert json.loads(rest_body(language, code, tmp_path)) == {"signature_name": "by class", "examples": [{}]}
    code = client_code(CLASSIFY, language=language, model_name="m", verb="predict")
    assert "/v1/models/m:predict" in code
    sent = json.loads(rest_body(language, code, tmp_path))
    assert sent == {"signature_name": "by class", "instances": [{"inputs": ""}]}
    assert "signature_name: which" in code and "signature_name: which" not in client_code(FLOATS, language=language)


@pytest.mark.parametrize("language", REST_LANGUAGES)
def test_the_format_can_be_chosen(language: str, tmp_path: Path) -> None:
    """Row is what fits; column is sent where it is asked for."""
    for form, wanted in (("row", {"instances": [{"x": 0.0}]}), ("column", {"inputs": {"x": [0.0]}})):
        sent = rest_body(language, client_code(FLOATS, language=language, format=form), tmp_path)
        assert json.loads(sent) == wanted


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"verb": "guess"}, "there is no verb 'guess'; it is 'predict', 'classify' or 'regress'"),
        ({"verb": "classify"}, "can't answer classify requests"),
        ({"format": "rows"}, "there is no format 'rows'; it is 'row' or 'column'"),
        ({"host": "localhost:8501"}, "'localhost:8501' is no address of a server"),
        ({"host": "http://a b"}, "is no address of a server"),
        ({"host": "http://a\nb"}, "is no address of a server"),
        ({"language": "python_grpc", "host": "http://localhost:8500"}, "one such as 'localhost:8500' was expected"),
        ({"version": -1}, "-1 is no version"),
        ({"version": 1 << 63}, "is no version"),
        ({"model_name": "\udc80"}, "isn't Unicode text"),
    ],
)
def test_slips_are_told_in_a_sentence(arguments: dict[str, Any], told: str) -> None:
    """Each wrong argument is refused with a sentence that says what was expected."""
    with pytest.raises(RequestError) as caught:
        client_code(FLOATS, **arguments)
    assert told in str(caught.value)


def test_an_unknown_language_is_told_with_those_that_there_are() -> None:
    """The error lists the languages."""
    with pytest.raises(NotFoundError) as caught:
        client_code(FLOATS, language="jav")
    assert caught.value.available == tuple(LANGUAGES) and "did you mean 'java'?" in str(caught.value)


@pytest.mark.parametrize("language", LANGUAGES)
def test_signatures_that_nobody_can_call_are_refused(language: str) -> None:
    """No code is written for a signature with the empty key, with a sparse input or, by REST, without any."""
    sparse = {"dtype": "DT_FLOAT", "shape": [None, 4], "tensor_name": None, "encoding": "coo_sparse"}
    sparse["components"] = {"values": "v:0", "indices": "i:0", "dense_shape": "s:0"}
    data = FLOATS.to_dict()
    data["meta_graphs"][0]["signatures"]["serving_default"]["inputs"]["x"] = sparse
    cases = [(SavedModel.from_dict(data), None), (a_model({"x": ("DT_FLOAT", [None])}, ""), "")]
    if language in REST_LANGUAGES:
        cases.append((a_model({}), None))
    for model, key in cases:
        with pytest.raises(RequestError):
            client_code(model, key, language)


def test_a_dtype_that_only_grpc_carries() -> None:
    """REST clients refuse half with the way out; TensorFlow's gRPC client writes it, the small one points there."""
    model = a_model({"x": ("DT_HALF", [None])})
    assert "dtype=tf.float16" in client_code(model, language="python_grpc", values={"x": [0.5]})
    with pytest.raises(RequestError, match="take python_grpc"):
        client_code(model, language="python_grpc_small")
    for language in REST_LANGUAGES:
        with pytest.raises(RequestError, match="gRPC"):
            client_code(model, language=language)


def test_the_grpc_client_with_tensorflow_is_valid_python(hostile_model: SavedModel) -> None:
    """It compiles, whatever the names are, and asks for the exact dtypes."""
    values = {name: [name.encode() + b"\xff"] for name in HOSTILE}
    code = client_code(hostile_model, language="python_grpc", values=values, model_name="".join(HOSTILE))
    constants = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    assert {*HOSTILE, *(name.encode() + b"\xff" for name in HOSTILE), "".join(HOSTILE)} <= constants
    assert code.count("dtype=tf.string") == len(HOSTILE)


@given(any_text)
def test_literals_mean_the_text(text: str) -> None:
    """Read by a reader of its language, a literal is the text; none has a line end or a character beyond ASCII."""
    yaml = pytest.importorskip("yaml")
    literals = [f(text) for f in (python_literal, javascript_literal, go_literal, java_literal, yaml_literal)]
    assert all(literal.isascii() and literal.isprintable() for literal in literals)
    python, javascript, go, java, yaml_text = literals
    assert ast.literal_eval(python) == text
    assert json.loads(javascript) == text and "<" not in javascript
    assert go_bytes(go) == text.encode("utf-8")
    assert java_text(java[1:-1]) == text
    assert yaml.safe_load(yaml_text) == text
    if "\0" not in text:
        assert shlex.split(shell_literal(text)) == [text]


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(HOSTILE))
def test_text_of_protos_means_the_text(text: str) -> None:
    """Protobuf's own parser reads the literal back."""
    from google.protobuf import text_format

    message: Any = message_class("tensorflow.serving.ModelSpec")()
    text_format.Parse(f"name: {text_proto_literal(text)}", message)
    assert message.name == text


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | any_text, lambda x: st.lists(x)))
def test_json_survives_raw_literals(value: Any) -> None:
    """In the raw strings of Go and JavaScript, and in Java's text blocks, JSON stays the same JSON."""
    text = json.dumps(value)
    raw = raw_json(text)
    assert json.loads(raw) == value
    assert not set("`$<") & set(raw)
    block = java_text_block(text, 4).split("\n")
    assert block[0] == block[-1].strip() == '"""'
    assert java_text("\n".join(line[4:] for line in block[1:-1])) == text
    assert '"""' not in "".join(block[1:-1])


@given(st.dictionaries(any_text, st.lists(st.floats() | st.integers() | st.binary() | any_text | st.booleans())))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_python_data_is_written_as_it_is(tmp_path: Path, value: dict[str, Any]) -> None:
    """Python reads the literal of nested data back as the same data, NaN and infinity included."""
    script = tmp_path / "literal.py"
    script.write_text(f"import math\nvalue = {python_literal(value)}\n", "ascii")
    assert repr(runpy.run_path(str(script))["value"]) == repr(value)


def test_values_are_never_taken_for_places() -> None:
    """A value with the mark of a place stays as it is, an empty line goes, and lines are indented alike."""
    assert fill("a «x»\n  «lines»\n«gone»\nb\n", x="«lines»", lines="1\n2", gone="") == "a «lines»\n  1\n  2\nb\n"


def go_bytes(literal: str) -> bytes:
    """The bytes of an interpreted string of Go."""
    return re.sub(
        rb"\\(?:x([0-9a-f]{2})|(.))",
        lambda match: bytes([int(match[1], 16)]) if match[1] else _SHORT[match[2].decode()].encode(),
        literal[1:-1].encode("ascii"),
    )


def java_text(inside: str) -> str:
    """What Java makes of the inside of a literal: Unicode escapes first, then those of strings."""
    found = re.sub(r"(\\\\)|\\u([0-9a-f]{4})", lambda match: match[1] or chr(int(match[2], 16)), inside)
    found = re.sub(
        r"\\(?:([0-7]{3})|(.))", lambda match: chr(int(match[1], 8)) if match[1] else _SHORT[match[2]], found
    )
    return found.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")


_SHORT = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
