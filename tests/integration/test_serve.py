"""``explorer serve`` as people run it: a process that answers, switches versions, refuses broken ones and ends."""

from __future__ import annotations

import http.client
import json
import math
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from gzip import compress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

import explorer
from explorer.errors import RunError, SourceError
from explorer.runtime.events import Event
from explorer.runtime.remote import compare, remote_rest, same_answer
from explorer.runtime.remote_grpc import remote_grpc
from explorer.runtime.rest_api import RestAnswer
from explorer.runtime.server import Server, serve

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"
WAIT_S = 90.0
HALF_PLUS_TWO = b'{"instances": [1.0, 2.0, 5.0]}'
ANSWER = {"predictions": [2.5, 3.0, 4.5]}


class Process:
    """A running ``python -m explorer serve`` and what it printed."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "explorer", "serve", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.threads = [
            threading.Thread(target=self._read, args=each, daemon=True)
            for each in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line.rstrip("\n"))

    @property
    def url(self) -> str:
        """Its first line, once it is there."""
        until(lambda: bool(self.lines) or self.process.poll() is not None)
        assert self.lines, f"it ended with {self.process.returncode}: {self.errors}"
        return self.lines[0]

    @property
    def port(self) -> int:
        """The port in it."""
        return int(self.url.split("/")[2].rpartition(":")[2])

    def children(self) -> set[int]:
        """The ids of the processes that it started."""
        return children_of(self.process.pid)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for thread in self.threads:
            thread.join(10)
        return status


def children_of(process_id: int) -> set[int]:
    """The ids of the processes that a process started, in any thread."""
    found: set[int] = set()
    for listing in Path(f"/proc/{process_id}/task").glob("*/children"):
        found |= {int(child) for child in listing.read_text().split()}
    return found


def until(true: Callable[[], bool], wait_s: float = WAIT_S) -> None:
    """Waits for what another thread or process does."""
    deadline_s = time.monotonic() + wait_s
    while not true():
        assert time.monotonic() < deadline_s, "it didn't happen"
        time.sleep(0.02)


def ask(
    port: int, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, str | None]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, target, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read(), response.getheader("Content-Type")
    finally:
        connection.close()


def predict(port: int, body: bytes = HALF_PLUS_TWO, which: str = "") -> Any:
    """The JSON of what predict answers."""
    return json.loads(ask(port, "POST", f"/v1/models/m{which}:predict", body)[1])


def states(port: int) -> dict[int, tuple[str, str]]:
    """Version → state and error message."""
    told = json.loads(ask(port, "GET", "/v1/models/m")[1])["model_version_status"]
    return {int(one["version"]): (one["state"], one["status"]["error_message"]) for one in told}


def add(source: Path, base: Path, version: int) -> Path:
    """A new version folder, put in place at once."""
    staged = base / f"staged-{version}"
    shutil.copytree(source, staged)
    staged.rename(base / str(version))
    return base / str(version)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@pytest.fixture
def source(sample_models: Path) -> Path:
    """A version folder that answers x / 2 + 2."""
    return sample_models / "half_plus_two" / "00000123"


@pytest.fixture
def base(tmp_path: Path, source: Path) -> Path:
    """A base path with version 1 of it."""
    made = tmp_path / "base"
    made.mkdir()
    add(source, made, 1)
    return made


@pytest.fixture
def server(base: Path) -> Iterator[tuple[Server, list[Event]]]:
    """It served in this process, looked at ten times a second, and its events."""
    events: list[Event] = []
    with serve(base, consent=True, name="m", port=0, grpc_port=0, poll_s=0.1, observer=events.append) as running:
        yield running, events


@pytest.fixture(scope="module")
def zoo() -> Iterator[Server]:
    """The model of the recorded exchanges, as it was served for them."""
    with serve(CONFORMANCE / "models" / "zoo", consent=True, name="m", port=0, poll_s=60) as running:
        yield running


RECORDED = [json.loads(line) for line in (CONFORMANCE / "rest" / "http.jsonl").read_text().splitlines()]


def test_recorded_http_exchanges(zoo: Server) -> None:
    """Status, type and answer of each recorded request are the same over a socket; one connection serves them all."""
    wrong = []
    connection = http.client.HTTPConnection("127.0.0.1", zoo.port, timeout=60)
    for line in RECORDED:
        body = None if line["body"] is None else line["body"].encode()
        connection.putrequest(line["method"], line["path"], skip_accept_encoding=True)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        found = (response.status, response.read().decode(), response.getheader("Content-Type"))
        expected = (line["status"], line["answer"], line["content_type"])
        if not same_exchange(found, expected):
            wrong.append((line["method"], line["path"], found, expected))
    connection.close()
    assert not wrong


def same_exchange(found: tuple[int, str, str | None], expected: tuple[int, str, str | None]) -> bool:
    """Whether two answers say the same; JSON may have its keys in any order."""
    if (found[0], found[2]) != (expected[0], expected[2]):
        return False
    try:
        return bool(json.loads(found[1]) == json.loads(expected[1]))
    except ValueError:
        return found[1] == expected[1]


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods(zoo: Server, method: str) -> None:
    """Every method is answered, not only those that ask for something, and the connection goes on."""
    status, _, _ = ask(zoo.port, method, "/v1/models/m")
    assert status in (400, 501)
    assert ask(zoo.port, "GET", "/v1/models/m")[0] == 200


def test_bodies_packed_and_large(zoo: Server) -> None:
    """A body packed with gzip is unpacked, one in chunks is joined, one of 150 MB is read."""
    body = b'{"signature_name": "f32div3", "instances": [3.0]}'
    target = "/v1/models/m:predict"
    plain = ask(zoo.port, "POST", target, body)
    assert plain[0] == 200
    assert ask(zoo.port, "POST", target, compress(body), {"Content-Encoding": "gzip"}) == plain
    chunked = {"Transfer-Encoding": "chunked"}
    connection = http.client.HTTPConnection("127.0.0.1", zoo.port, timeout=60)
    connection.request("POST", target, iter([body[:7], body[7:]]), chunked, encode_chunked=True)
    assert connection.getresponse().read() == plain[1]
    connection.close()
    assert ask(zoo.port, "POST", target, body + b" " * 150_000_000) == plain


def test_the_server_stays_responsive(zoo: Server) -> None:
    """Many clients with a connection each are answered side by side, and each gets its own answer."""

    def client(number: int) -> list[Any]:
        connection = http.client.HTTPConnection("127.0.0.1", zoo.port, timeout=60)
        answers = []
        for step in range(20):
            value = float(3 * (100 * number + step))
            body = json.dumps({"signature_name": "f32div3", "instances": [value]}).encode()
            connection.request("POST", "/v1/models/m:predict", body)
            answers.append((value / 3, json.loads(connection.getresponse().read())["predictions"][0]))
        connection.close()
        return answers

    with ThreadPoolExecutor(12) as pool:
        for answers in pool.map(client, range(12)):
            assert all(math.isclose(wanted, found, rel_tol=1e-6) for wanted, found in answers)


def test_the_command(base: Path) -> None:
    """The first line is the URL, the second the address of gRPC; both answer; SIGTERM ends all with 0."""
    process = Process(
        str(base), "--name", "m", "--port", "0", "--grpc-port", "0", "--label", "stable=1", "--poll", "0.2"
    )
    try:
        assert process.url == f"http://127.0.0.1:{process.port}/v1/models/m"
        assert predict(process.port) == ANSWER
        assert predict(process.port, which="/labels/stable") == ANSWER
        until(lambda: len(process.lines) > 1)
        with grpc.insecure_channel(process.lines[1]) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            response = stub.Predict(predict_request(x=[4.0]), timeout=60)
        (output,) = response.outputs.values()
        assert list(output.float_val) == [4.0] and response.model_spec.version.value == 1
        children = process.children()
        assert children
    finally:
        status = process.end()
    assert status == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    (note,) = process.errors
    assert note.startswith("explorer: ") and "production belongs to TensorFlow Serving" in note
    handover = subprocess.run([sys.executable, *shlex.split(note)[-8:]], capture_output=True, text=True, timeout=60)
    assert handover.returncode == 0 and "docker run" in handover.stdout, handover.stderr
    assert any("POST /v1/models/m:predict 200" in line and line.endswith(" ms") for line in process.lines)
    assert "serving version 1" in process.lines[2:]


def test_ctrl_c_while_it_loads(base: Path) -> None:
    """It can be stopped before it is ready, too, and leaves no process behind."""
    process = Process(str(base), "--name", "m", "--port", "0")
    try:
        until(lambda: bool(process.children()) or process.process.poll() is not None)
        children = process.children()
        assert children
    finally:
        status = process.end(signal.SIGINT)
    assert status == 0 and not process.errors
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), 10)


def test_a_killed_server_takes_its_children_along(base: Path) -> None:
    """Nothing goes on running a model when its server is killed."""
    process = Process(str(base), "--name", "m", "--port", "0")
    assert process.url
    children = process.children()
    assert children
    assert process.end(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), 10)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda base: str(base) + "-gone", "there is nothing at"),
        (lambda base: str(base / "1"), "is itself a SavedModel"),
        (lambda base: str(empty(base, "nothing")), "is an empty folder"),
        (lambda base: str(empty(base, "nothing/2").parent), "version 2 of"),
    ],
)
def test_what_cannot_be_served(base: Path, make: Callable[[Path], str], words: str) -> None:
    """No base path, or no version that loads: one sentence, status 2."""
    done = subprocess.run(
        [sys.executable, "-m", "explorer", "serve", make(base), "--port", "0"],
        capture_output=True, text=True, timeout=WAIT_S,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("explorer: ") and words in line


def empty(base: Path, name: str) -> Path:
    """A new empty folder beside a base path."""
    folder = base.parent / name
    folder.mkdir(parents=True)
    return folder


def test_arguments_that_are_wrong(base: Path) -> None:
    """No consent, a port that is taken, a label for what isn't served: a sentence each, and nothing stays behind."""
    before = children_of(os.getpid())
    with pytest.raises(RunError, match="consent=True"):
        serve(base)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=f"port {port} of '127.0.0.1' can't be had"):
            serve(base, consent=True, port=port)
        with pytest.raises(RunError, match=f"port {port} of '127.0.0.1' can't be had for gRPC"):
            serve(base, consent=True, port=0, grpc_port=port)
    with pytest.raises(explorer.errors.RequestError, match="version 7 of model base, which is not currently available"):
        serve(base, consent=True, port=0, labels={"stable": 7})
    with pytest.raises(RunError, match="has no version 9; available: 1"):
        serve(base, consent=True, port=0, versions=[9])
    with pytest.raises(SourceError):
        serve(base / "nothing", consent=True, port=0)
    until(lambda: children_of(os.getpid()) <= before, 10)


def test_the_object(base: Path) -> None:
    """It says in one short line what it serves, ends twice without complaint, and its port is free afterwards."""
    port = free_port()
    running = serve(base, consent=True, port=port)
    assert repr(running) == f"Server('base', http://127.0.0.1:{port}/v1/models/base, versions served: 1)"
    assert running.versions == (1,) and running.grpc_address is None and running.is_running
    running.stop()
    running.stop()
    assert repr(running) == "Server('base', stopped)" and not running.is_running
    with pytest.raises(ConnectionRefusedError):
        ask(port, "GET", "/v1/models/base")
    serve(base, consent=True, port=port).stop()


def test_it_runs_beside_another_loop(base: Path) -> None:
    """Inside a running asyncio loop, as in Jupyter, it starts and answers without blocking that loop."""
    import asyncio

    async def cell() -> Any:
        with serve(base, consent=True, name="m", port=0) as running:
            return await asyncio.to_thread(predict, running.port)

    assert asyncio.run(cell()) == ANSWER


def test_python_ends_with_a_server_running(base: Path) -> None:
    """A script that never stops its server ends by itself, and its children with it."""
    code = (
        "import sys, pathlib\nfrom explorer.runtime.server import serve\n"
        "serve(sys.argv[1], consent=True, port=0, grpc_port=0)\n"
        "print(*[path.read_text() for path in pathlib.Path('/proc/self/task').glob('*/children')])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(base)], capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0 and done.stderr == ""
    children = done.stdout.split()
    assert children and not any(Path(f"/proc/{child}").exists() for child in children)


def test_an_export_under_a_polling_server(server: tuple[Server, list[Event]], base: Path) -> None:
    """While an edited version is exported, none of 1,000 requests fails, and the answers become the new version's."""
    running, events = server
    processes = len(children_of(os.getpid()))
    edited = explorer.add_output(explorer.open_saved_model(base), "serving_default", "again", "y:0")
    wanted, begun, exported = 1000, threading.Event(), threading.Event()
    lock, asked = threading.Lock(), 0
    answers: list[tuple[int, Any]] = []

    def client() -> None:
        nonlocal asked
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        while True:
            with lock:
                if asked == wanted:
                    break
                asked += 1
            if len(answers) > wanted - 100:  # the last ones come after the switch
                exported.wait(WAIT_S)
            connection.request("POST", "/v1/models/m:predict", HALF_PLUS_TWO)
            response = connection.getresponse()
            answers.append((response.status, json.loads(response.read())["predictions"][0]))
            if len(answers) == 100:
                begun.set()
            time.sleep(0.01)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(WAIT_S)
    explorer.export(edited, base)
    until(lambda: running.versions == (2,))
    exported.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(answers) == wanted
    assert {status for status, _ in answers} == {200}
    assert answers[0][1] == 2.5 and answers[-1][1] == {"y": 2.5, "again": 2.5}
    assert {json.dumps(answer) for _, answer in answers} == {"2.5", '{"y": 2.5, "again": 2.5}'}
    until(lambda: ("ended", 1) in kinds(events))
    assert [kind for kind in kinds(events) if kind[0] != "request"] == [
        ("loading", 1), ("serving", 1), ("loading", 2), ("serving", 2), ("switched", 2), ("ended", 1),
    ]  # fmt: skip
    assert kinds(events).count(("request", None)) == wanted
    assert states(running.port) == {1: ("END", ""), 2: ("AVAILABLE", "")}
    assert len(children_of(os.getpid())) == processes


def kinds(events: list[Event]) -> list[tuple[str, int | None]]:
    """The kinds of events and their versions."""
    return [(event.kind, event.version) for event in events]


def refused(events: list[Event], version: int) -> str:
    """Waits until a version is refused; the reason."""
    until(lambda: ("refused", version) in kinds(events))
    return next(str(event) for event in events if event.kind == "refused" and event.version == version)


def test_a_broken_version_leaves_the_old_one(server: tuple[Server, list[Event]], base: Path, source: Path) -> None:
    """Three ways of being broken: each shows END with TensorFlow's sentence, the old one serves; a repair is seen."""
    running, events = server
    (base / "2").mkdir()
    assert "Could not find SavedModel" in refused(events, 2)
    staged = base / "staged"
    shutil.copytree(source, staged)
    (staged / "saved_model.pb").write_bytes(b"not a model")
    staged.rename(base / "3")
    refused(events, 3)
    shutil.copytree(source, staged)
    next((staged / "variables").glob("*.data-*")).unlink()
    staged.rename(base / "4")
    refused(events, 4)
    assert predict(running.port) == ANSWER and running.versions == (1,)
    told = states(running.port)
    assert {number: state for number, (state, _) in told.items()} == {1: "AVAILABLE", 2: "END", 3: "END", 4: "END"}
    assert all(told[number][1] for number in (2, 3, 4))
    assert predict(running.port, which="/versions/4") == {"error": "Servable not found for request: Specific(m, 4)"}
    shutil.rmtree(base / "4")
    shutil.copytree(source, base / "5")
    until(lambda: running.versions == (5,))
    assert predict(running.port) == ANSWER


def test_deleting_the_newest_falls_back(server: tuple[Server, list[Event]], base: Path, sample_models: Path) -> None:
    """The next largest is loaded again and answers; the child of the deleted one ends."""
    running, events = server
    add(sample_models / "half_plus_two" / "00000124", base, 7)
    until(lambda: running.versions == (7,))
    assert predict(running.port) == {"predictions": [3.0, 3.5, 5.0]}
    shutil.rmtree(base / "7")
    until(lambda: running.versions == (1,))
    assert predict(running.port) == ANSWER
    until(lambda: ("ended", 7) in kinds(events))
    assert states(running.port) == {1: ("AVAILABLE", ""), 7: ("END", "")}


def test_chosen_versions(base: Path, sample_models: Path) -> None:
    """A fixed choice is served side by side, each in a child of its own, with labels that can be moved."""
    add(sample_models / "half_plus_two" / "00000124", base, 2)
    add(sample_models / "half_plus_two" / "00000124", base, 3)
    with serve(base, consent=True, name="m", port=0, versions=[1, 2], labels={"stable": 1}) as running:
        assert running.versions == (2, 1)
        other = {"predictions": [3.0, 3.5, 5.0]}
        assert predict(running.port) == predict(running.port, which="/versions/2") == other
        assert predict(running.port, which="/versions/1") == predict(running.port, which="/labels/stable") == ANSWER
        running.set_label("stable", 2)
        assert predict(running.port, which="/labels/stable") == other
        assert predict(running.port, which="/versions/3") == {"error": "Servable not found for request: Specific(m, 3)"}


def predict_log(signature_name: str = "", more: str = "") -> str:
    """A warm-up request of a number."""
    return (
        f'predict_log {{ request {{ model_spec {{ signature_name: "{signature_name}" }} inputs {{ key: "x" value {{ '
        f"dtype: DT_FLOAT tensor_shape {{ dim {{ size: 1 }} }} float_val: 1 }} }} {more} }} }}"
    )


def examples_log(kind: str, signature_name: str, examples: int = 1) -> str:
    """A warm-up request of tf.Examples."""
    example = 'examples { features { feature { key: "x" value { float_list { value: 3 } } } } }'
    given = f"input {{ example_list {{ {example * examples} }} }}"
    spec = f'model_spec {{ signature_name: "{signature_name}" }}'
    if kind == "multi_inference":
        spec = f'model_spec {{ name: "m" signature_name: "{signature_name}" }}'
        spec = f'tasks {{ {spec} method_name: "tensorflow/serving/regress" }}'
    return f"{kind}_log {{ request {{ {spec} {given} }} }}"


def write_warmup(folder: Path, *logs: str) -> None:
    """The file of warm-up requests, written by TensorFlow's own writer."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(text_format.Parse(log, prediction_log_pb2.PredictionLog()).SerializeToString())


def test_warm_up_requests_that_run(base: Path) -> None:
    """Requests of every kind are replayed before the version is served, and it serves."""
    write_warmup(
        base / "1",
        predict_log(),
        predict_log("serving_default", 'output_filter: "y"'),
        examples_log("classify", "classify_x", 3),
        examples_log("regress", "regress_x"),
        examples_log("multi_inference", "regress_x"),
        "",
    )
    with serve(base, consent=True, name="m", port=0) as running:
        assert predict(running.port) == ANSWER


@pytest.mark.parametrize(
    ("log", "code", "sentence"),
    [
        (predict_log("gone"), "FAILED_PRECONDITION", 'Serving signature key "gone" not found.'),
        (
            predict_log("", 'output_filter: "z"'),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
        ),
        (examples_log("regress", "gone"), "INVALID_ARGUMENT", "No signature was found with the name: gone"),
        (examples_log("classify", "classify_x", 0), "INVALID_ARGUMENT", "Input is empty."),
        (
            examples_log("multi_inference", "gone"),
            "INVALID_ARGUMENT",
            "Requested signature not found in model graph: gone",
        ),
        (
            'multi_inference_log { request { tasks { model_spec { signature_name: "regress_x" } } } }',
            "INVALID_ARGUMENT",
            "Found ModelSpec with an empty model name.",
        ),
        ("session_run_log { }", "UNIMPLEMENTED", "Unsupported log_type for warmup: 5"),
    ],
)
def test_a_warm_up_request_that_fails(base: Path, source: Path, log: str, code: str, sentence: str) -> None:
    """The version isn't served, at the start and under a running server; its state has code and sentence."""
    events: list[Event] = []
    with serve(base, consent=True, name="m", port=0, poll_s=0.1, observer=events.append) as running:
        staged = base / "staged"
        shutil.copytree(source, staged)
        write_warmup(staged, predict_log(), log)
        staged.rename(base / "2")
        assert sentence in refused(events, 2)
        assert predict(running.port) == ANSWER
        told = json.loads(ask(running.port, "GET", "/v1/models/m/versions/2")[1])["model_version_status"]
        status = {"error_code": code, "error_message": sentence}
        assert told == [{"version": "2", "state": "END", "status": status}]


def test_a_warm_up_request_that_fails_at_the_start(base: Path) -> None:
    """Then nothing is served at all, as TensorFlow Serving doesn't start either; the reason is told."""
    write_warmup(base / "1", predict_log("gone"))
    with pytest.raises(RunError) as raised:
        serve(base, consent=True, name="m", port=0)
    assert str(raised.value) == f"version 1 of '{base}' can't be served: Serving signature key \"gone\" not found."


def test_a_damaged_file_of_warm_up_requests(base: Path) -> None:
    """It fails the version, as the server says DATA_LOSS."""
    write_warmup(base / "1", predict_log())
    path = base / "1" / "assets.extra" / "tf_serving_warmup_requests"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match="verify your warmup data is in TFRecord format"):
        serve(base, consent=True, port=0)


def predict_request(signature_name: str = "", output_filter: tuple[str, ...] = (), **inputs: list[float]) -> Any:
    """A PredictRequest of float32 vectors."""
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    request.model_spec.name, request.model_spec.signature_name = "m", signature_name
    for key, values in inputs.items():
        proto = request.inputs[key]
        proto.dtype = types_pb2.DT_FLOAT
        proto.tensor_shape.dim.add(size=len(values))
        proto.float_val.extend(values)
    return request


def test_defaults_by_grpc(sample_models: Path) -> None:
    """An input with a default may be left out by gRPC, not by REST; one that has none must be there."""
    with (
        serve(sample_models / "defaults", consent=True, name="m", port=0, grpc_port=0) as running,
        grpc.insecure_channel(running.grpc_address) as channel,
    ):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        x = [-5.0, 0.25, 5.0]
        assert list(stub.Predict(predict_request(x=x), timeout=60).outputs["clipped"].float_val) == [-1, 0.25, 1]
        both = stub.Predict(predict_request(x=x, limits=[0.0, 2.0]), timeout=60)
        assert list(both.outputs["clipped"].float_val) == [0, 0.25, 2]
        with pytest.raises(grpc.RpcError) as raised:
            stub.Predict(predict_request(limits=[0.0, 2.0]), timeout=60)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert raised.value.details().startswith("Signature input alias: x(feed name: serving_default_x:0) not found")
        refused = predict(running.port, b'{"inputs": {"x": [1.0]}}')
        assert refused == {"error": "Missing named input: limits in 'inputs' object."}


def test_output_filter_by_grpc(server: tuple[Server, list[Event]], base: Path) -> None:
    """A filter chooses outputs; an unknown or repeated key is refused."""
    running, _ = server
    explorer.export(explorer.add_output(explorer.open_saved_model(base), "serving_default", "again", "y:0"), base)
    until(lambda: running.versions == (2,))
    with grpc.insecure_channel(running.grpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for asked, answered in ((), {"y", "again"}), (("again",), {"again"}), (("again", "y"), {"y", "again"}):
            assert set(stub.Predict(predict_request("", asked, x=[1.0]), timeout=60).outputs) == answered
        for asked, sentence in (
            (("y", "y"), "duplicate output tensor alias: y"),
            (("z",), "output tensor alias not found in signature: z Outputs expected to be in the set {again,y}."),
        ):
            with pytest.raises(grpc.RpcError) as raised:
                stub.Predict(predict_request("", asked, x=[1.0]), timeout=60)
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert raised.value.details() == sentence


def test_large_messages_by_grpc() -> None:
    """Messages beyond gRPC's own limit of 4 MB go in and out."""
    base = CONFORMANCE / "models" / "zoo"
    with (
        serve(base, consent=True, name="m", port=0, grpc_port=0) as running,
        remote_grpc(str(running.grpc_address), "m") as asked,
    ):
        answer = asked.predict_values({"x": np.arange(4_000_000)}, signature_name="id_float32")
    assert answer.status == 200 and answer.body.count(b",") == 3_999_999


def test_the_same_by_rest_and_by_grpc() -> None:
    """Recorded bodies are answered the same by REST, by gRPC and as they were recorded."""
    base = CONFORMANCE / "models" / "zoo"
    lines = [json.loads(line) for line in (CONFORMANCE / "rest" / "exchanges.jsonl").read_text().splitlines()]
    answered = [one for one in lines if one["model"] == "zoo" and one["verb"] == "predict" and one["status"] == 200]
    with (
        serve(base, consent=True, name="m", port=0, grpc_port=0) as running,
        remote_grpc(str(running.grpc_address), "m") as by_grpc,
    ):
        by_rest = remote_rest(running.url, "m")
        for line in answered[:60]:
            both = compare(by_rest, by_grpc, line["body"])
            assert both.equal, (line["body"], both)
            if "answer" in line:
                assert same_answer(both.one, RestAnswer(200, line["answer"].encode())), (line["body"], both)
