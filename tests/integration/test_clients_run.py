"""Every client runs as it is, against ``explorer serve``, and all languages get the same answer.

For each sample model that can be served, every callable signature is asked by curl, Python (requests, gRPC with and
without TensorFlow) and JavaScript; by Go and Java, which take a second and more to compile, only the model's default
signature. The values are those of ``sample_models/expected.json`` where it has some, and zeros elsewhere. Models that
answer with an error do so in every language, with the same sentence.
"""

from __future__ import annotations

import base64
import http.server
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import explorer
from explorer.errors import RequestError
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature
from explorer.serving.clients import LANGUAGES, client_files
from explorer.serving.messages import read_predict_request
from explorer.serving.requests import Requests, requests
from explorer.serving.schemas import request_schema, response_schema

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE_MODELS = REPOSITORY / "sample_models"
EXPECTED: dict[str, dict[str, list[dict[str, Any]]]] = json.loads((SAMPLE_MODELS / "expected.json").read_text("utf-8"))

NOT_LOADED = {"custom_op": "ExampleCustomOp", "tf1_tables": "fed more than once"}
"""Models that TensorFlow's C++ loader refuses, and so any server: an unknown op, an asset that is listed twice."""

SERVED = sorted(set(EXPECTED) - set(NOT_LOADED))

FAILING = {"as_printed", "keras3_saved"}
"""Models that a server loads and that can't answer: see the README of the sample models."""

UNEQUAL_OUTPUTS = {"stateful": {"calls", "kept"}}
"""What differs from call to call: a counter, and what a random op keeps."""

SLOW_LANGUAGES = ("go", "java")
TOOLS = {"curl": ["sh", "curl"], "javascript": ["node"], "go": ["go"], "java": ["java"]}

# What is tested is that a second import isn't there, so that the script runs as in an interpreter of its own.
_WITHOUT_TENSORFLOW = """
import runpy, sys
try:
    runpy.run_path(sys.argv[1], run_name="__main__")
finally:
    loaded = {"tensorflow", "tensorflow_serving"} & set(sys.modules)
    if loaded:
        raise SystemExit(f"imported {loaded}")
"""

# TensorFlow takes seconds to import, so one process runs all scripts that need it: paths in, results out.
_MANY_SCRIPTS = """
import contextlib, io, json, os, runpy, sys
import tensorflow, tensorflow_serving.apis.prediction_service_pb2_grpc
for line in sys.stdin:
    folder, name = json.loads(line)
    os.chdir(folder)
    out, err, status = io.StringIO(), "", 0
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_path(name, run_name="__main__")
    except SystemExit as ended:
        err, status = str(ended.code), 1
    print(json.dumps([status, out.getvalue(), err]), flush=True)
"""


@dataclass(frozen=True)
class Done:
    """How a client ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Server:
    """A server: base of REST URLs, and the address of gRPC."""

    host: str
    address: str


@pytest.fixture(scope="module")
def tensorflow_scripts() -> Iterator[Any]:
    """Runs Python clients that need TensorFlow, all in one process."""
    with subprocess.Popen(
        [sys.executable, "-c", _MANY_SCRIPTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def run(folder: Path, name: str) -> Done:
            process.stdin.write(json.dumps([str(folder), name]) + "\n")
            process.stdin.flush()
            return Done(*json.loads(process.stdout.readline()))

        yield run
        process.stdin.close()


@contextmanager
def served(base_path: Path, name: str) -> Iterator[Server]:
    """``explorer serve`` in a process of its own, until the block ends."""
    command = [
        sys.executable,
        "-m",
        "explorer",
        "serve",
        str(base_path),
        "--name",
        name,
        "--port",
        "0",
        "--grpc-port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        try:
            url, address = process.stdout.readline().strip(), process.stdout.readline().strip()
            assert "/v1/models/" in url, "the server did not start"
            yield Server(url.partition("/v1/")[0], address.rpartition(" ")[2].removeprefix("grpc://"))
        finally:
            process.terminate()


def have_tools(language: str) -> bool:
    """Whether what runs a language is installed; where all must run, it is a failure that it isn't."""
    missing = [tool for tool in TOOLS.get(language, []) if shutil.which(tool) is None]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"{missing} must be installed to run the clients in {language}")
    return not missing


def run_client(language: str, files: Mapping[str, bytes], folder: Path, run: Any = None) -> Done:
    """Writes the files of a client into a new folder and runs it by the command that people are told, or ``run``."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if run is not None:
        done: Done = run(folder, LANGUAGES[language].file_name)
        return done
    command = list(LANGUAGES[language].command)
    if command[0] == "python":
        command[0] = sys.executable
    if language == "python_grpc_small":
        command[1:1] = ["-c", _WITHOUT_TENSORFLOW]
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off", "no_proxy": "*"}
    ended = subprocess.run(command, capture_output=True, cwd=folder, env=environment, timeout=120, check=False)
    return Done(ended.returncode, ended.stdout.decode("utf-8"), ended.stderr.decode("utf-8"))


def values_of(model_name: str, version: str, tags: frozenset[str], key: str) -> dict[str, Any] | None:
    """The values of the first request in expected.json that a server takes, None where there is none."""
    for entry in EXPECTED[model_name][version]:
        is_sparse = any(isinstance(value, dict) and "indices" in value for value in entry["inputs"].values())
        if entry["signature_key"] == key and frozenset(entry["tags"]) == tags and not is_sparse:
            return {name: as_values(value) for name, value in entry["inputs"].items()}
    return None


def as_values(value: Any) -> Any:
    """Values of JSON as Python has them: bytes for base64."""
    if isinstance(value, list):
        return [as_values(item) for item in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def posted(url: str, body: str) -> tuple[int, Any]:
    """Status and answer of a request that is sent here, without any client."""
    request = urllib.request.Request(url, body.encode("ascii"), {"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def outputs_of(signature: Signature, answer: Mapping[str, Any]) -> Any:
    """An answer of any protocol in one form: output key → nested lists with numbers of the output's dtype."""
    if set(answer) == {"results"}:
        return _rounded(answer["results"], constants.DT_FLOAT)
    keys = list(signature.outputs)
    if "predictions" in answer and "predictions" not in keys:
        rows = answer["predictions"]
        answer = {keys[0]: rows} if len(keys) == 1 else {key: [row[key] for row in rows] for key in keys}
    elif "outputs" in answer and len(answer) == 1 and not (keys == ["outputs"] and isinstance(answer["outputs"], dict)):
        answer = {keys[0]: answer["outputs"]} if len(keys) == 1 else answer["outputs"]
    return {key: _rounded(answer[key], signature.outputs[key].dtype.number) for key in keys}


def _rounded(value: Any, dtype: int) -> Any:
    if isinstance(value, list):
        return [_rounded(item, dtype) for item in value]
    if isinstance(value, float) and dtype == constants.DT_FLOAT:
        value = float(np.float32(value))
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return value.encode() if isinstance(value, str) else value


def signatures_of(name: str) -> list[tuple[SavedModel, MetaGraph, str]]:
    """The callable signatures of what a server loads: the newest version, the tag serve."""
    model = explorer.open_saved_model(SAMPLE_MODELS / name)
    meta_graph = model.meta_graph(["serve"])
    return [(model, meta_graph, key) for key in meta_graph.callable_signatures]


def default_key(meta_graph: MetaGraph) -> str:
    """The signature that the slow languages ask."""
    return meta_graph.default_signature_key or next(iter(meta_graph.callable_signatures))


@pytest.mark.parametrize("name", SERVED)
def test_all_clients_get_the_same_answer(name: str, tmp_path: Path, tensorflow_scripts: Any) -> None:
    """Whatever language asks, the answer is that of a bare request; errors come as errors, with the server's text."""
    asked = refused = 0
    missing: set[str] = set()
    with served(SAMPLE_MODELS / name, name) as server:
        for model, meta_graph, key in signatures_of(name):
            assert model.path is not None
            values = values_of(name, model.path.name, meta_graph.tags, key)
            made = requests(model, key, tags=meta_graph.tags, values=values, model_name=name)
            if made.fitting[0] == "grpc":  # a sparse input: no protocol of this server carries it
                for language in LANGUAGES:
                    with pytest.raises(RequestError):
                        client_files(made, language)
                refused += 1
                continue
            request = made[made.fitting[0]]
            status, wanted = posted(server.host + request.target, request.text)
            assert (status == 200) == (name not in FAILING), (key, wanted)
            check_schemas(made, meta_graph, request.target.rpartition(":")[2], json.loads(request.text), wanted)
            for language, form in LANGUAGES.items():
                if language in SLOW_LANGUAGES and key != default_key(meta_graph):
                    continue
                if not have_tools(language):
                    missing.add(language)
                    continue
                host = server.host if form.protocol == "rest" else server.address
                files = client_files(made, language, host=host)
                folder = tmp_path / f"{asked}-{language}"
                done = run_client(language, files, folder, tensorflow_scripts if language == "python_grpc" else None)
                check_answer(name, made, language, done, status, wanted)
            asked += 1
    assert asked > 0 and asked + refused == len(signatures_of(name))
    if missing:
        pytest.skip(f"all others agree, but what runs these is not installed: {sorted(missing)}")


@pytest.mark.parametrize("name", NOT_LOADED)
def test_the_others_are_not_loaded(name: str) -> None:
    """What is left out above is left out because no server starts with it."""
    command = [sys.executable, "-m", "explorer", "serve", str(SAMPLE_MODELS / name), "--name", name, "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=120, check=False)
    assert done.returncode != 0 and NOT_LOADED[name] in done.stderr


def check_schemas(made: Requests, meta_graph: MetaGraph, verb: str, body: Any, answer: Any) -> None:
    """Checks that a body and the server's answer fit the JSON Schemas of the signature."""
    validator = jsonschema.Draft202012Validator
    validator(request_schema(made.signature, verb, meta_graph=meta_graph)).validate(body)
    validator(response_schema(made.signature, verb)).validate(answer)


def check_answer(name: str, made: Requests, language: str, done: Done, status: int, wanted: Any) -> None:
    """Checks how one client ended against the answer to a bare request."""
    told = (made.signature.key, language, done)
    if status != 200:
        assert done.status != 0, told
        # gRPC tells the code too; JSON escapes what the sentence holds. Which of several missing variables TensorFlow
        # names differs from run to run.
        sentence = "Could not find variable " if name == "keras3_saved" else wanted["error"]
        assert sentence in wanted["error"], told
        assert sentence in done.err + done.out or json.dumps(sentence)[1:-1] in done.err + done.out, told
        return
    assert done.status == 0 and not done.err, told
    answer, bare = outputs_of(made.signature, json.loads(done.out)), outputs_of(made.signature, wanted)
    if name in UNEQUAL_OUTPUTS:
        assert set(answer) == set(bare), told
        answer, bare = (
            {key: value for key, value in one.items() if key not in UNEQUAL_OUTPUTS[name]} for one in (answer, bare)
        )
    assert answer == bare, told


def hostile_model() -> SavedModel:
    """A model whose names and texts some language stumbles over."""
    tensors = {name: {"dtype": "DT_STRING", "shape": [None], "tensor_name": "x:0"} for name in HOSTILE}
    signature = Signature.from_dict({"inputs": tensors, "outputs": tensors}, "".join(HOSTILE))
    return SavedModel((MetaGraph(("serve",), {signature.key: signature}),))


HOSTILE = (
    "quotes ' \" ` '''",
    "line\nend\r and tab\t",
    "NUL \0 and DEL \x7f",
    "*/ // # <!-- </script> ]]>",
    "${1+1} $(id) %s {{x}} \\ \\n \\u0022 \\",
    "grün 日本 😀 \u2028",
    "__proto__",
    "END",
    '"""',
)


@contextmanager
def noting_server() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A server that notes path and body of each request and answers with an empty object; NaN where asked for it."""
    noted: list[tuple[str, bytes]] = []

    class Answering(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            noted.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            status, answer = (
                (400, b'{"error": "no \xc3\xbc"}') if "broken" in self.path else (200, b'{"\xc3\xbc": [NaN]}')
            )
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", noted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("language", [name for name, one in LANGUAGES.items() if one.protocol == "rest"])
@pytest.mark.parametrize("count", [1, 700], ids=["short", "long"])
def test_rest_clients_send_every_name_unchanged(language: str, count: int, tmp_path: Path) -> None:
    """Through the real compiler or interpreter, hostile names and texts arrive, in the code and in a file beside it."""
    if not have_tools(language):
        pytest.skip(f"what runs {language} is not installed")
    made = requests(hostile_model(), values={name: [name] * count for name in HOSTILE}, model_name="a b/ü", version=3)
    with noting_server() as (host, noted):
        files = client_files(made, language, host=host)
        done = run_client(language, files, tmp_path / "client")
    assert len(files) == (1 if count == 1 else 2)
    assert (done.status, done.err) == (0, ""), done
    assert done.out.strip() == '{"ü": [NaN]}'
    ((path, body),) = noted
    assert path == "/v1/models/a%20b%2F%C3%BC/versions/3:predict"
    assert json.loads(body) == json.loads(made[made.fitting[0]].text)


@pytest.mark.parametrize("language", [name for name, one in LANGUAGES.items() if one.protocol == "rest"])
def test_rest_clients_fail_with_the_servers_text(language: str, tmp_path: Path) -> None:
    """On an error the exit status isn't 0 and the server's text is told."""
    if not have_tools(language):
        pytest.skip(f"what runs {language} is not installed")
    made = requests(hostile_model(), model_name="broken")
    with noting_server() as (host, _):
        done = run_client(language, client_files(made, language, host=host), tmp_path / "client")
    assert done.status != 0 and '{"error": "no ü"}' in done.out + done.err


@pytest.mark.parametrize("language", ["python_grpc", "python_grpc_small"])
@pytest.mark.parametrize("count", [1, 700], ids=["short", "long"])
def test_grpc_clients_send_every_name_unchanged(
    language: str, count: int, tmp_path: Path, tensorflow_scripts: Any
) -> None:
    """Hostile names and texts arrive by gRPC; the short scripts run in a process of their own."""
    import grpc

    texts = {name: [name, name.encode() + b"\xff"] * count for name in HOSTILE}
    made = requests(hostile_model(), values=texts, model_name="".join(HOSTILE), version=3)
    noted: list[bytes] = []

    class Answering(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            """Takes any method."""
            noted.append(details.method.encode())

            def answer(request: bytes, context: Any) -> bytes:
                noted.append(request)
                return b""

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Answering()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        files = client_files(made, language, host=f"127.0.0.1:{port}")
        run = tensorflow_scripts if language == "python_grpc" and count > 1 else None
        done = run_client(language, files, tmp_path / "client", run)
    finally:
        server.stop(0).wait()
    assert len(files) == (1 if count == 1 else 2)
    assert done.status == 0 and json.loads(done.out) == {}, done
    method, data = noted
    sent, wanted = read_predict_request(data), read_predict_request(made.grpc.data)
    assert method == b"/tensorflow.serving.PredictionService/Predict"
    assert sent.spec == wanted.spec.__class__("".join(HOSTILE), 3, None, "".join(HOSTILE))
    assert dict(sent.inputs) == dict(wanted.inputs)


def test_nobody_at_the_address(tmp_path: Path) -> None:
    """A client without a server fails, with words about the connection on standard error."""
    made = requests(hostile_model(), model_name="m")
    for language in ("curl", "python_requests", "python_grpc_small", "javascript"):
        if have_tools(language):
            host = "127.0.0.1:1" if LANGUAGES[language].protocol == "grpc" else "http://127.0.0.1:1"
            done = run_client(language, client_files(made, language, host=host), tmp_path / language)
            assert done.status != 0 and done.err, language
