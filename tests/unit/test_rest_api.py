"""The REST API over a library of fakes, and ``explorer.rest`` without a run: the order of checks, errors, consent."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import explorer
from explorer.cli.rest import rest as rest_command
from explorer.errors import (
    FormatError,
    NotFoundError,
    PathNotFoundError,
    RequestError,
    RunError,
    UnknownVersionError,
    UsageError,
)
from explorer.runtime.rest import Rest, rest
from explorer.runtime.rest_api import RestAnswer, answer
from explorer.runtime.rest_verbs import body_bytes
from explorer.savedmodel.model import DType, MetaGraph, Shape, Signature, TensorInfo
from explorer.savedmodel.tensors import Tensor
from explorer.serving.answers import VersionState

ZOO = Path(__file__).resolve().parents[1] / "conformance" / "models" / "zoo"


def info(name: str, dtype: int) -> TensorInfo:
    """A tensor of any shape."""
    return TensorInfo(DType(dtype), Shape(None), name)


def signature(key: str, inputs: Mapping[str, TensorInfo], outputs: Mapping[str, TensorInfo]) -> Signature:
    """A signature for predict."""
    return Signature(key, inputs, outputs, "tensorflow/serving/predict")


META_GRAPH = MetaGraph(
    ("serve",),
    {
        found.key: found
        for found in (
            signature("serving_default", {"x": info("x:0", 1)}, {"y": info("y:0", 1)}),
            signature("two", {"a": info("a:0", 1), "b": info("b:0", 1)}, {"s": info("s:0", 1), "t": info("t:0", 1)}),
            signature("nothing", {}, {"y": info("y:0", 1)}),
            signature("examples", {"inputs": info("e:0", 7)}, {"scores": info("p:0", 1)}),
            signature("numbers", {"inputs": info("e:0", 7)}, {"outputs": info("r:0", 1)}),
        )
    },
)


class Fake:
    """A version whose runs a test makes up."""

    version = 3
    meta_graph = META_GRAPH

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, Tensor], tuple[str, ...]]] = []
        self.outcome: Callable[[Mapping[str, Tensor], Sequence[str]], list[Tensor]] = lambda feeds, fetches: [
            next(iter(feeds.values())) for _ in fetches
        ]

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        """Notes what is asked, and does what the test said."""
        self.asked.append((dict(feeds), tuple(fetches)))
        return self.outcome(feeds, fetches)


class Library:
    """One model ``m`` with one version."""

    def __init__(self, served: Fake) -> None:
        self.served = served

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Fake:
        """The version, or the server's 404."""
        if (name, label) != ("m", None) or version not in (None, 3):
            raise RequestError(f"Servable not found for request: {name}", "NOT_FOUND")
        return self.served

    def states(self, name: str, version: int | None = None) -> list[VersionState]:
        """The state of the version."""
        return [VersionState(3)]


@pytest.fixture
def fake() -> Fake:
    """The version that is served."""
    return Fake()


@pytest.fixture
def ask(fake: Fake) -> Callable[..., RestAnswer]:
    """Asks the library of fakes."""

    def ask(verb: str, body: str | bytes, **named: Any) -> RestAnswer:
        data = body.encode() if isinstance(body, str) else body
        return answer(Library(fake), "POST", f"/v1/models/{named.pop('name', 'm')}:{verb}", data, **named)

    return ask


def floats(*numbers: float, shape: tuple[int, ...] | None = None) -> Tensor:
    """A float32 tensor."""
    import numpy as np

    return Tensor.from_array(np.array(numbers, np.float32).reshape(shape or len(numbers)), 1)


def error_of(found: RestAnswer) -> str:
    """The sentence of an error."""
    return str(found.json()["error"])


def test_predict_runs_what_the_body_says(fake: Fake, ask: Callable[..., RestAnswer]) -> None:
    """Inputs are fed and outputs fetched by their tensors' names; rows and columns come back as they were sent."""
    assert ask("predict", '{"instances": [1.0, 2.5]} and more').json() == {"predictions": [1.0, 2.5]}
    assert fake.asked == [({"x:0": floats(1, 2.5)}, ("y:0",))]
    fake.outcome = lambda feeds, fetches: [floats(1, 2), floats(3, 4)]
    body = '{"signature_name": "two", "inputs": {"b": [2.0], "a": [1.0], "c": 0}}'
    assert ask("predict", body).json() == {"outputs": {"s": [1.0, 2.0], "t": [3.0, 4.0]}}
    assert fake.asked[1][0] == {"a:0": floats(1), "b:0": floats(2)}
    assert ask("predict", body.replace("inputs", "instances")).status == 400


def test_classify_and_regress_run_examples(fake: Fake, ask: Callable[..., RestAnswer]) -> None:
    """Examples are fed serialized, one text each, and results are counted against them."""
    fake.outcome = lambda feeds, fetches: [floats(0.25, 0.75, shape=(2, 1))]
    body = '{"signature_name": "examples", "examples": [{"x": 1.0}, {"x": 2.0}]}'
    assert ask("classify", body).json() == {"results": [[["", 0.25]], [["", 0.75]]]}
    assert [len(value.texts) for value in fake.asked[0][0].values()] == [2]
    assert ask("regress", body.replace("examples", "numbers", 1)).json() == {"results": [0.25, 0.75]}
    assert "No regression outputs found in SignatureDef" in error_of(ask("regress", body))


def test_checks_come_in_the_order_of_the_server(fake: Fake, ask: Callable[..., RestAnswer]) -> None:
    """For predict the model is looked up after the JSON and signature_name, for examples after the whole body."""
    cases = [
        ("predict", "{", "other", 400, "JSON Parse error"),
        ("predict", '{"signature_name": 1}', "other", 400, "'signature_name' key must be a string value"),
        ("predict", '{"signature_name": "gone"}', "other", 404, "Servable not found"),
        ("predict", '{"signature_name": "gone"}', "m", 400, 'Serving signature name: "gone" not found'),
        ("predict", '{"signature_name": "nothing"}', "m", 400, "Failed to get input map for signature: nothing"),
        ("predict", "{}", "m", 400, "Missing 'inputs' or 'instances' key"),
        ("classify", '{"examples": []}', "other", 400, "'examples' value is an empty array"),
        ("classify", '{"examples": [{"x": 1}]}', "other", 404, "Servable not found"),
        ("regress", '{"signature_name": "gone", "examples": [{}]}', "m", 400, "No signature was found with the name"),
    ]
    for verb, body, name, status, sentence in cases:
        found = ask(verb, body, name=name)
        assert (found.status, found.is_own) == (status, False), (body, found)
        assert sentence in error_of(found)
    assert fake.asked == []


def test_what_a_run_refuses_is_the_answer(fake: Fake, ask: Callable[..., RestAnswer]) -> None:
    """TensorFlow's code gives the status; its sentence comes to the letter, bytes that aren't UTF-8 included."""

    def refuse(feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        raise RequestError('no\n\t"\udcff', "UNIMPLEMENTED")

    fake.outcome = refuse
    found = ask("predict", '{"inputs": 1}')
    assert (found.status, found.content_type) == (501, "application/json")
    assert found.body == b'{\n    "error": "no\\n\\t\\"\xff"\n}'
    assert found.json() == {"error": 'no\n\t"\udcff'} and "�" in found.text


def test_a_failing_process_is_told_as_our_own(fake: Fake, ask: Callable[..., RestAnswer]) -> None:
    """A RunError becomes an answer that says whose it is, or is raised where the caller wants that."""

    def crash(feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        raise RunError("it crashed")

    fake.outcome = crash
    found = ask("predict", '{"inputs": 1}')
    assert (found.status, found.is_own, error_of(found)) == (503, True, "savedmodel-explorer: it crashed")
    with pytest.raises(RunError, match="it crashed"):
        ask("predict", '{"inputs": 1}', own_answers=False)


def test_urls_decide_before_bodies(fake: Fake) -> None:
    """Other paths, methods and versions: the server's pages and sentences, with their types."""
    library = Library(fake)
    page = answer(library, "GET", "/v2/models/m")
    assert (page.status, page.content_type) == (404, "text/html") and b"<TITLE>404" in page.body
    assert answer(library, "GET", "/v1/models/m/versions/9223372036854775808").body == b""
    assert "Malformed request: PUT" in answer(library, "PUT", "/v1/models/m", b"{").text
    asked = answer(library, "OPTIONS", "/v1/models/m:predict", headers={"origin": "http://here"})
    assert (asked.status, asked.body) == (200, b"")
    assert answer(library, "GET", "/v1/models/m").json()["model_version_status"][0]["version"] == "3"
    with pytest.raises(FormatError, match="isn't JSON"):
        page.json()


def test_packed_bodies_are_unpacked(
    fake: Fake, ask: Callable[..., RestAnswer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One member of gzip is unpacked; what is cut, false, followed by anything or too large is an empty body.

    The server's ``UncompressAtMostOrAll`` (``gzip_zlib.cc``) fails where more than a trailer follows the first member,
    and ``UncompressGzipAndAllocate`` where more than 100 MB would come out.
    """
    headers = {"Content-Encoding": "gzip"}
    body = b'{"inputs": 1}'
    packed = gzip.compress(body)
    assert ask("predict", packed, headers=headers).json() == {"outputs": 1.0}
    several = gzip.compress(b'{"inputs":') + gzip.compress(b" 1}")
    for wrong in (packed[:-3], packed + b"\0", several, body, b""):
        assert error_of(ask("predict", wrong, headers=headers)) == "JSON Parse error: The document is empty"
    monkeypatch.setattr("explorer.runtime.rest_api.MOST_UNPACKED_BYTES", len(body))
    assert ask("predict", packed, headers=headers).status == 200
    monkeypatch.setattr("explorer.runtime.rest_api.MOST_UNPACKED_BYTES", len(body) - 1)
    assert error_of(ask("predict", packed, headers=headers)) == "JSON Parse error: The document is empty"
    assert ask("predict", b'{"inputs": 1}', headers={"Content-Encoding": "br"}).status == 200


def test_without_consent_nothing_runs_and_the_rest_answers() -> None:
    """Metadata, status and refusals need no run; the first run raises one sentence that says what it is for."""
    with rest(ZOO) as server:
        assert server.status().json()["model_version_status"][0]["state"] == "AVAILABLE"
        assert server.metadata().json()["model_spec"]["name"] == "zoo"
        assert server.predict("{").status == 400
        assert "not found in signature def" in error_of(server.predict({"signature_name": "gone"}))
        with pytest.raises(
            RunError, match=r"executes the model's graph, in a child process with limits; pass consent="
        ):
            server.predict({"signature_name": "f32div3", "instances": [1.0]})
        assert repr(server) == "Rest('zoo', versions served: 1, may not be run)"


def test_versions_labels_and_names(copy_model: Callable[[str], Path]) -> None:
    """The newest version is asked, others by number or label; a name is encoded in the URL."""
    base = copy_model("half_plus_two")
    with rest(base, labels={"stable/1": 123}, name="a model/ü") as server:
        assert server.versions == (124, 123)
        versions = [
            found.json()["model_spec"]["version"]
            for found in (server.metadata(), server.metadata(version=123), server.metadata(label="stable/1"))
        ]
        assert versions == ["124", "123", "123"]
        assert server.metadata().json()["model_spec"]["name"] == "a model/ü"
        assert "Specific(a model/ü, 7)" in error_of(server.metadata(version=7))
        assert error_of(server.metadata(label="gone")) == "Unrecognized servable version label: gone"
        listed = [state["version"] for state in server.status().json()["model_version_status"]]
        assert listed == ["124", "123"] and len(server.status(version=123).json()["model_version_status"]) == 1
    assert rest(base, version=123).versions == rest(base / "00000123").versions == (123,)
    assert rest(explorer.open_saved_model(base, 123)).name == "half_plus_two"
    (base / "00000123").rename(base.parent / "alone")
    assert (rest(base.parent / "alone").versions, rest(base.parent / "alone").name) == ((1,), "alone")


def test_what_cannot_be_served_is_said_at_once(copy_model: Callable[[str], Path], tmp_path: Path) -> None:
    """A missing path, version, tag set or label, and a draft, are errors of one sentence."""
    base = copy_model("half_plus_two")
    with pytest.raises(PathNotFoundError):
        rest(tmp_path / "nowhere")
    with pytest.raises(UnknownVersionError):
        rest(base, version=9)
    with pytest.raises(NotFoundError, match="gpu"):
        rest(base, tags=["serve", "gpu"])
    with pytest.raises(RunError, match="label 'best' names version 9, which isn't there; available: '123', '124'"):
        rest(base, labels={"best": 9})
    draft = explorer.set_tags(explorer.open_saved_model(base), ["serve", "new"])
    with pytest.raises(RunError, match="export it"):
        rest(draft, tags=["serve", "new"])


def test_bodies_are_bytes_texts_or_values() -> None:
    """Bytes go as they are, text as UTF-8 with the bytes that stand in it, values as JSON with NaN."""
    assert body_bytes(b"\xff") == b"\xff"
    assert body_bytes("é\udcff") == b"\xc3\xa9\xff"
    assert body_bytes("\ud800") == b"\xed\xa0\x80"
    assert body_bytes({"instances": [float("nan")]}) == b'{"instances": [NaN]}'
    with pytest.raises(RequestError, match=r"JSON can't be made of the body: .*\.tolist\(\)"):
        body_bytes({"instances": object()})  # type: ignore[dict-item]


def test_an_answer_shows_itself_shortly() -> None:
    """The repr has status, the beginning of the body without control characters, and the time."""
    shown = repr(RestAnswer(200, b'{\n    "predictions": [\x1b' + b"1, " * 1000, latency_s=0.0123))
    assert len(shown) < 140 and "\x1b" not in shown and "\n" not in shown
    assert shown.startswith('RestAnswer(200, \'{ "predictions"') and shown.endswith("12.3 ms)")
    assert RestAnswer(200, b'{"a": [NaN, -Infinity]}').json()["a"][1] == float("-inf")


class _Streams:
    """Standard input and output of bytes."""

    def __init__(self, data: bytes = b"") -> None:
        self.buffer = io.BytesIO(data)


def command(monkeypatch: pytest.MonkeyPatch, data: bytes, **options: Any) -> tuple[int | Exception, bytes]:
    """Runs the command on some input: its status or what it raises, and what it wrote."""
    given = {"path": ZOO, "verb": None, "name": None, "jsonl": False, "version": None, "timeout": None}
    output = _Streams()
    monkeypatch.setattr("sys.stdin", _Streams(data))
    monkeypatch.setattr("sys.stdout", output)
    outcome: int | Exception
    try:
        outcome = rest_command(argparse.Namespace(**{**given, **options}))
    except UsageError as error:
        outcome = error
    return outcome, output.buffer.getvalue()


def test_the_command_prints_the_exact_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer's bytes on standard output, its status on standard error and as 0 or 1."""
    status, out = command(monkeypatch, b"", verb="metadata", name="n")
    assert status == 0 and out == rest(ZOO, name="n").metadata().body
    status, out = command(monkeypatch, b"{", verb="predict")
    assert (status, out) == (1, rest(ZOO).predict("{").body)
    assert capsys.readouterr().err == "HTTP 200\nHTTP 400\n"


def test_the_command_answers_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for every line, in order; empty lines are passed over."""
    data = b'{"verb": "predict", "body": "{"}\n\n{"verb": "metadata"}\n{"verb": "classify", "body": "\\u0000"}'
    status, out = command(monkeypatch, data, jsonl=True, name="n")
    told = [json.loads(line) for line in out.splitlines()]
    assert status == 0 and [line["status"] for line in told] == [400, 200, 400]
    assert told[0]["answer"].encode() == rest(ZOO).predict("{").body


def test_a_line_may_hold_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that isn't UTF-8 comes as base64 and is answered as the bytes that it stands for."""
    status, out = command(monkeypatch, b'{"verb": "predict", "body": {"b64": "/////w=="}}', jsonl=True)
    (told,) = (json.loads(line) for line in out.splitlines())
    assert status == 0 and told["answer"].encode() == rest(ZOO).predict(b"\xff\xff\xff\xff").body


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b'{"verb": "predict", "body": {"b64": "7"}}', r"the body of line 2 isn't base64"),
        (b'{"verb": "predict", "body": {"b64": 7}}', r"the body of line 2 isn't base64"),
        (b"nonsense", r"line 2 isn't JSON"),
        (b"[" * 100_000, r"line 2 isn't JSON"),
        (b"\xff", r"line 2 isn't JSON"),
        (b"[1]", r"line 2 isn't an object"),
        (b'{"verb": "status"}', r"line 2 asks for the verb 'status'; available: predict, classify, regress, metadata"),
        (b'{"body": "{}"}', r"line 2 asks for the verb none"),
        (b'{"verb": "predict", "body": {}}', r"line 2 has no body: it must be a text"),
        (b'{"verb": "predict"}', r"line 2 has no body: it must be a text"),
    ],
)
def test_a_line_that_is_no_request_ends_the_command(
    line: bytes, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence says which line and what is wrong; the lines before it are answered."""
    error, out = command(monkeypatch, b'{"verb": "metadata", "body": ""}\n' + line, jsonl=True)
    assert isinstance(error, UsageError) and re.match(sentence, str(error))
    assert len(out.splitlines()) == 1


def test_the_command_wants_a_verb_or_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither and both are refused before anything is opened."""
    for options in ({}, {"verb": "predict", "jsonl": True}):
        error, out = command(monkeypatch, b"", **options)
        assert isinstance(error, UsageError) and out == b""


def test_rest_is_what_rest_gives() -> None:
    """The object can be closed twice, and answers what needs no run after that."""
    server = rest(ZOO, consent=True)
    assert isinstance(server, Rest)
    server.close()
    server.close()
    assert server.status().status == 200
    found = server.predict({"signature_name": "f32div3", "instances": [1.0]})
    assert found.is_own and "it is closed" in error_of(found)
