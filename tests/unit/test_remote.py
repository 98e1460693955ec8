"""Asking a server somewhere: the requests that are sent, the answers, and one sentence for whatever goes wrong."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from explorer.errors import RequestError, RunError
from explorer.runtime.remote import compare, remote_rest, same_answer
from explorer.runtime.rest_api import RestAnswer
from explorer.savedmodel.tensors import Tensor
from explorer.serving import messages


class Recorder(BaseHTTPRequestHandler):
    """Keeps what it is asked, and answers with what the test wants."""

    seen: list[tuple[str, str, bytes, str | None]]
    reply: tuple[int, bytes, str]
    delay_s: float

    def do_GET(self) -> None:
        self._reply()

    def do_POST(self) -> None:
        self._reply()

    def _reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, body, self.headers.get("Content-Type")))
        time.sleep(self.delay_s)
        status, answer, content_type = self.reply
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


@pytest.fixture
def recorder() -> Iterator[type[Recorder]]:
    """A server of HTTP; ``.url`` of the class is where it is."""

    class Own(Recorder):
        seen: list[tuple[str, str, bytes, str | None]] = []
        reply = (200, b'{"predictions": [1.0]}', "application/json")
        delay_s = 0.0

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    Own.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield Own
    server.shutdown()
    server.server_close()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


def sentence(act: Callable[[], object], kind: type[Exception] = RunError) -> str:
    """The one line that an action raises."""
    with pytest.raises(kind) as raised:
        act()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_is_sent(recorder: Any) -> None:
    """Each verb goes to the URL of the server's API, with the body's bytes as they are."""
    asked = remote_rest(recorder.url, "my model")
    body = b'{"inputs": "\xff"} garbage'
    assert asked.predict(body).body == b'{"predictions": [1.0]}'
    asked.classify("{}")
    asked.regress("\udcff")
    asked.predict({"instances": [1.5]})
    asked.metadata()
    asked.status()
    assert recorder.seen == [
        ("POST", "/v1/models/my%20model:predict", body, "application/json"),
        ("POST", "/v1/models/my%20model:classify", b"{}", "application/json"),
        ("POST", "/v1/models/my%20model:regress", b"\xff", "application/json"),
        ("POST", "/v1/models/my%20model:predict", b'{"instances": [1.5]}', "application/json"),
        ("GET", "/v1/models/my%20model/metadata", b"", None),
        ("GET", "/v1/models/my%20model", b"", None),
    ]


@pytest.mark.parametrize(
    ("named", "target"),
    [
        ({"version": 3}, "/v1/models/a%2Fb/versions/3:predict"),
        ({"label": "stable:1"}, "/v1/models/a%2Fb/labels/stable%3A1:predict"),
    ],
)
def test_versions_and_labels(recorder: Any, named: dict[str, Any], target: str) -> None:
    """A version or a label stands in the URL; a path before the API and the model's own URL are understood."""
    for url in (recorder.url, recorder.url + "/", recorder.url + "/v1/models/x"):
        remote_rest(url, "a/b").predict(b"{}", **named)
    remote_rest(recorder.url + "/prefix/", "a/b").predict(b"{}", **named)
    assert [path for _, path, _, _ in recorder.seen] == [target] * 3 + ["/prefix" + target]


def test_answers_are_handed_back(recorder: Any) -> None:
    """Errors of the server are answers too, to the byte; how long it took is told."""
    recorder.reply = (404, b'{"error": "\xfe"}', "application/json; charset=utf-8")
    recorder.delay_s = 0.05
    answer = remote_rest(recorder.url, "m").predict(b"{}")
    assert (answer.status, answer.body, answer.content_type) == (404, b'{"error": "\xfe"}', "application/json")
    assert answer.latency_s >= 0.05


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1:1", "file:///etc/passwd", "127.0.0.1:8501", "", "http://", "http://a:b:c", "http://h:99999",
        "http://user:secret@host", "http://host?x=1", "http://[::1", "http://host#x",
    ],
)  # fmt: skip
def test_urls_that_are_none_of_a_server(url: str) -> None:
    """Anything but http and https with host and port is refused before anything is sent."""
    assert "write" in sentence(lambda: remote_rest(url, "m"))


def test_refused_connections() -> None:
    """A server that isn't there is one sentence with its URL."""
    url = f"http://127.0.0.1:{free_port()}"
    assert sentence(lambda: remote_rest(url, "m").predict(b"{}")) == (
        f"'{url}' can't be reached: the connection was refused; is a server running there?"
    )


def test_servers_that_are_slow(recorder: Any) -> None:
    """After the time-out there is a sentence with the time."""
    recorder.delay_s = 2.0
    said = sentence(lambda: remote_rest(recorder.url, "m", timeout_s=0.2).predict(b"{}"))
    assert said == f"'{recorder.url}' was silent for more than 0.2 seconds"


@contextlib.contextmanager
def talker(data: bytes) -> Iterator[str]:
    """A server that says something to everybody and hangs up; gives host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connection.recv(65536)
                    connection.sendall(data)
                    connection.close()

        threading.Thread(target=talk, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-x\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", b"\x00" * 100]
)
def test_what_speaks_no_http(data: bytes) -> None:
    """Whatever else listens there, or breaks off, is one sentence."""
    with talker(data) as address:
        said = sentence(lambda: remote_rest(f"http://{address}", "m").predict(b"{}"))
    assert address in said


def test_tls() -> None:
    """A server that doesn't speak TLS is told so."""
    with talker(b"HTTP/1.1 200 OK\r\n\r\n") as address:
        assert "TLS" in sentence(lambda: remote_rest(f"https://{address}", "m", timeout_s=5).predict(b"{}"))


def test_unknown_hosts() -> None:
    """A name that no machine has is one sentence."""
    assert "can't be reached" in sentence(lambda: remote_rest("http://no-such-host.invalid", "m").status())


def test_no_time_for_an_answer() -> None:
    """A time-out that lets nothing be answered is refused."""
    assert "more than 0" in sentence(lambda: remote_rest("http://h", "m", timeout_s=0))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ('{"outputs": [1.0, NaN]}', '{ "outputs" : [1, NaN] }', True),
        ('{"a": 1, "b": -Infinity}', '{"b": -Infinity, "a": 1}', True),
        ('{"a": NaN}', '{"a": 1}', False),
        ("[1.0]", "[1.0000001]", False),
        ("[true]", "[1]", False),
        ("[[1], []]", "[[1]]", False),
        ('{"a": 1}', '{"a": 1, "b": 1}', False),
        ("not JSON", "not JSON", True),
        ("not JSON", "no JSON", False),
        ("[" * 100_000, "[" * 100_000, True),
        ("[" * 100_000, "[" * 99_999, False),
    ],
)
def test_equality(one: str, other: str, equal: bool) -> None:
    """Answers are compared as JSON in which NaN is like NaN; the order of keys doesn't matter."""
    first, second = RestAnswer(200, one.encode()), RestAnswer(200, other.encode())
    assert same_answer(first, second) is equal
    assert same_answer(second, first) is equal
    assert not same_answer(first, RestAnswer(400, one.encode()))


def test_comparing(recorder: Any) -> None:
    """One body goes to both, and both answers come back beside the verdict."""
    asked = remote_rest(recorder.url, "m")
    both = compare(asked, remote_rest(recorder.url, "other"), b"{}", verb="classify")
    assert both.equal and both.one.body == both.other.body
    assert [path for _, path, _, _ in recorder.seen] == ["/v1/models/m:classify", "/v1/models/other:classify"]


SIGNATURE = {
    "inputs": {"x": {"dtype": 1, "tensor_shape": {"dim": [{"size": -1}]}}, "s": {"dtype": 7}},
    "outputs": {"y": {"dtype": 1}, "t": {"dtype": 7}},
}


class GrpcFake:
    """Answers predict with its own inputs, doubled where they are numbers, and keeps what was asked."""

    def __init__(self) -> None:
        self.seen: list[messages.PredictRequest] = []
        self.refusal: RequestError | None = None
        self.delay_s = 0.0

    def answer(self, method: str, request: bytes) -> bytes:
        """What the server calls."""
        time.sleep(self.delay_s)
        if self.refusal is not None:
            raise self.refusal
        if method.endswith("GetModelMetadata"):
            return metadata()
        asked = messages.read_predict_request(request)
        self.seen.append(asked)
        outputs = {"y": Tensor.from_array(asked.inputs["x"].to_array() * 2, 1), "t": asked.inputs["s"]}
        return messages.predict_response(asked.spec, outputs)


def metadata() -> bytes:
    """A GetModelMetadataResponse with one signature."""
    from explorer.savedmodel.schema import message_class

    signature_map: Any = message_class("tensorflow.serving.SignatureDefMap")()
    for kind, infos in SIGNATURE.items():
        for key, info in infos.items():
            getattr(signature_map.signature_def["serving_default"], kind)[key].CopyFrom(
                message_class("tensorflow.TensorInfo")(**info)
            )
    response: Any = message_class("tensorflow.serving.GetModelMetadataResponse")()
    packed = response.metadata["signature_def"]
    packed.type_url = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    packed.value = signature_map.SerializeToString()
    return bytes(response.SerializeToString())


@pytest.fixture
def grpc_fake() -> Iterator[tuple[GrpcFake, str]]:
    """A server of gRPC and its address."""
    from explorer.runtime.grpc_server import GrpcServer

    fake = GrpcFake()
    server = GrpcServer(fake.answer, "127.0.0.1", 0, 4)
    server.start()
    yield fake, server.address
    server.stop(0)


def test_bodies_by_grpc(grpc_fake: tuple[GrpcFake, str]) -> None:
    """A REST body becomes a PredictRequest, and its response the answer that REST would give."""
    from explorer.runtime.remote_grpc import remote_grpc

    fake, address = grpc_fake
    with remote_grpc(address, "m") as asked:
        row = asked.predict(b'{"instances": [{"x": 1, "s": "a"}, {"x": 2.5, "s": {"b64": "Yg=="}}]}', version=4)
        assert row.status == 200, row.body
        assert json.loads(row.body) == {"predictions": [{"y": 2.0, "t": "a"}, {"y": 5.0, "t": "b"}]}
        column = asked.predict({"inputs": {"x": [1, 2], "s": ["a", "b"]}}, label="stable")
        assert json.loads(column.body) == {"outputs": {"y": [2.0, 4.0], "t": ["a", "b"]}}
        values = asked.predict_values({"x": [1, 2], "s": ["a", "b"]}, output_filter=["y", "t"])
        assert json.loads(values.body) == {"outputs": {"y": [2.0, 4.0], "t": ["a", "b"]}}
    assert [(one.spec.name, one.spec.version, one.spec.label, one.output_filter) for one in fake.seen] == [
        ("m", 4, None, ()), ("m", None, "stable", ()), ("m", None, None, ("y", "t")),
    ]  # fmt: skip


def test_refusals_by_grpc(grpc_fake: tuple[GrpcFake, str]) -> None:
    """What the server refuses, and what can't be read as a body for it, is answered as REST answers an error."""
    from explorer.runtime.remote_grpc import remote_grpc

    fake, address = grpc_fake
    with remote_grpc(address, "m") as asked:
        unread = asked.predict(b'{"instances": [{"x": "text", "s": "a"}]}')
        assert unread.status == 400 and b"is not of expected type: float" in unread.body
        unknown = asked.predict(b'{"signature_name": "nope", "inputs": 1}')
        assert (unknown.status, json.loads(unknown.body)) == (
            400, {"error": 'Serving signature key "nope" not found.'}
        )  # fmt: skip
        values = {"x": ["text"], "s": ["a"]}
        assert "input 'x'" in sentence(lambda: asked.predict_values(values), RequestError)
        assert "available: 's', 'x'" in sentence(lambda: asked.predict_values({"q": 1}), RequestError)
        fake.refusal = RequestError("Servable not found for request: Latest(m)", "NOT_FOUND")
        gone = asked.predict(b'{"inputs": 1}')
        assert (gone.status, json.loads(gone.body)) == (404, {"error": "Servable not found for request: Latest(m)"})


def test_long_and_odd_sentences_by_grpc(grpc_fake: tuple[GrpcFake, str]) -> None:
    """An error text is cut as the server cuts it, and bytes that aren't UTF-8 don't break the answer."""
    from explorer.runtime.remote_grpc import remote_grpc

    fake, address = grpc_fake
    with remote_grpc(address, "m") as asked:
        fake.refusal = RequestError("x" * 20_000, "INVALID_ARGUMENT")
        assert json.loads(asked.predict(b'{"inputs": 1}').body) == {"error": "x" * 1024 + "...TRUNCATED"}
        fake.refusal = RequestError("a\udcffb\nc", "INTERNAL")
        answer = asked.predict(b'{"inputs": 1}')
        assert answer.status == 500 and json.loads(answer.body) == {"error": "a\ufffdb\nc"}


def test_grpc_servers_that_are_not_there(grpc_fake: tuple[GrpcFake, str]) -> None:
    """No server, one that is slow and an address that is none are one sentence each."""
    from explorer.runtime.remote_grpc import remote_grpc

    for address in ("localhost", "http://localhost:8500", ":8500", ""):
        assert "write host and port" in sentence(lambda address=address: remote_grpc(address, "m"))
    address = f"127.0.0.1:{free_port()}"
    with remote_grpc(address, "m") as asked:
        assert sentence(lambda: asked.predict(b'{"inputs": 1}')).startswith(f"'{address}' can't be reached by gRPC")
    fake, address = grpc_fake
    fake.delay_s = 1.0
    with remote_grpc(address, "m", timeout_s=0.2) as asked:
        said = sentence(lambda: asked.predict(b'{"inputs": 1}'))
    assert said == f"'{address}' took more than 0.2 seconds to answer"
