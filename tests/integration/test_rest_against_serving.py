"""``explorer.rest`` with the real engine: answers as TensorFlow Serving recorded them, and models that misbehave."""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.errors import RequestError, RunError
from explorer.runtime.engine import Engine, Limits
from explorer.runtime.rest import Rest, rest
from explorer.runtime.rest_api import OWN_PREFIX, OWN_STATUS, RestAnswer
from explorer.savedmodel.model import Signature
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.tensors import Tensor

MARKER = re.compile(r"goo\.gle/debug\w* *")
"""What protobuf prints before a message so that nobody compares its text."""


@pytest.fixture(scope="module")
def conformance() -> Path:
    """The recorded exchanges."""
    return Path(__file__).resolve().parents[1] / "conformance"


@pytest.fixture(scope="module")
def servers(conformance: Path) -> Iterator[Mapping[str, Rest]]:
    """Model → what answers for it."""
    found = {path.name: rest(path, consent=True) for path in sorted((conformance / "models").iterdir())}
    yield found
    for server in found.values():
        server.close()


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a .jsonl file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def parsed(body: bytes) -> Any:
    """JSON with NaN and raw bytes; an error's sentence without what is arbitrary in it."""
    try:
        value = json.loads(body.decode("utf-8", "surrogateescape"))
    except ValueError:
        return body
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        return MARKER.sub("", value["error"])
    return value


def recorded(line: Mapping[str, Any]) -> bytes:
    """The recorded answer."""
    return base64.b64decode(line["answer_b64"]) if "answer_b64" in line else line["answer"].encode()


def same(one: Any, other: Any) -> bool:
    """Equal, NaN being equal to itself and 0.0 not to -0.0 nor 1 to 1.0."""
    return repr(ordered(one)) == repr(ordered(other))


def ordered(value: Any) -> Any:
    """The value with the keys of objects in order."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list) else value


def difference(line: Mapping[str, Any], answer: RestAnswer) -> tuple[Any, ...] | None:
    """What is wrong with an answer, None where it is the recorded one."""
    wanted = parsed(recorded(line))
    found = parsed(answer.body)
    if answer.status == line["status"] and same(wanted, found):
        return None
    return line, answer.status, found


def test_every_recorded_exchange_is_answered_the_same(conformance: Path, servers: Mapping[str, Rest]) -> None:
    """Status and JSON of all recorded requests are those of the server, errors included."""
    lines = lines_of(conformance / "rest" / "exchanges.jsonl")
    assert len(lines) == 1000
    wrong = [difference(line, getattr(servers[line["model"]], line["verb"])(line["body"])) for line in lines]
    assert [entry for entry in wrong if entry is not None] == []


def test_every_recorded_url_is_answered_the_same(conformance: Path) -> None:
    """Paths, methods, names, versions and labels: status, type and body are those of the server."""
    lines = lines_of(conformance / "rest" / "http.jsonl")
    assert len(lines) == 150
    with rest(conformance / "models" / "zoo", name="m", consent=True) as server:
        for line in lines:
            answer = server.request(line["method"], line["path"], line["body"] or "")
            assert difference(line, answer) is None
            assert answer.content_type == line["content_type"]


def test_the_recorded_metadata_is_answered_the_same(conformance: Path, servers: Mapping[str, Rest]) -> None:
    """Every signature, with every default field."""
    (line,) = lines_of(conformance / "rest" / "metadata.jsonl")
    assert difference(line, servers[line["model"]].metadata()) is None


def test_a_hundred_lines_on_the_command_line(conformance: Path) -> None:
    """A process of its own answers line by line, in order, with the server's status and JSON, and ends with 0."""
    lines = [line for line in lines_of(conformance / "rest" / "exchanges.jsonl") if line["model"] == "zoo"][:100]
    sent = [json.dumps({"verb": line["verb"], "body": line["body"]}) for line in lines]
    sent.append(json.dumps({"verb": "metadata", "body": ""}))
    zoo = str(conformance / "models" / "zoo")
    command = [sys.executable, "-m", "explorer", "rest", zoo, "--name", "zoo", "--jsonl"]
    done = subprocess.run(command, input="\n".join(sent), capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    (metadata,) = lines_of(conformance / "rest" / "metadata.jsonl")
    for line, answer in zip([*lines, metadata], told, strict=True):
        assert difference(line, RestAnswer(answer["status"], recorded(answer))) is None


def test_a_compressed_body_is_unpacked(servers: Mapping[str, Rest]) -> None:
    """``Content-Encoding: gzip`` is honoured, and what isn't gzip is read as an empty body."""
    body, headers = b'{"signature_name": "f32div3", "instances": [3.0]}', {"content-encoding": "gzip"}
    target = "/v1/models/zoo:predict"
    assert servers["zoo"].request("POST", target, gzip.compress(body), headers).json() == {"predictions": [1.0]}
    assert "The document is empty" in servers["zoo"].request("POST", target, body, headers).text


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """A port that waits for callers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory, listener: socket.socket) -> Path:
    """A model that aborts, hangs, eats memory, writes a file, calls a port, or behaves."""
    import tensorflow as tf

    base = tmp_path_factory.mktemp("evil")
    port = listener.getsockname()[1]
    signature = [tf.TensorSpec([None], tf.float32, name="x")]

    class Evil(tf.Module):
        @tf.function(input_signature=signature)
        def good(self, x: Any) -> dict[str, Any]:
            return {"y": x * 2}

        @tf.function(input_signature=signature)
        def abort(self, x: Any) -> dict[str, Any]:
            with tf.control_dependencies([tf.raw_ops.Abort(error_msg="on purpose")]):
                return {"y": tf.identity(x)}

        @tf.function(input_signature=signature)
        def hang(self, x: Any) -> dict[str, Any]:
            return {"y": tf.while_loop(lambda i: i >= 0, lambda i: (tf.abs(i),), (x[0],))[0]}

        @tf.function(input_signature=signature)
        def eat(self, x: Any) -> dict[str, Any]:
            return {"y": tf.reduce_sum(tf.random.uniform([tf.cast(x[0], tf.int32), 1024, 1024]))}

        @tf.function(input_signature=signature)
        def write(self, x: Any) -> dict[str, Any]:
            with tf.control_dependencies([tf.raw_ops.WriteFile(filename=str(base / "written"), contents="x")]):
                return {"y": tf.identity(x)}

        @tf.function(input_signature=signature)
        def call(self, x: Any) -> dict[str, Any]:
            data = tf.data.Dataset.range(3)._variant_tensor
            number = tf.raw_ops.RegisterDataset(
                dataset=data, address=f"127.0.0.1:{port}", protocol="grpc", external_state_policy=0
            )
            return {"y": tf.cast(number, tf.float32)}

    model = Evil()
    signatures = {name: getattr(model, name) for name in ("good", "abort", "hang", "eat", "write", "call")}
    tf.saved_model.save(model, str(base / "7"), signatures=signatures)
    return base


def run(engine: Engine, signature: Signature, number: float) -> float:
    """The output of a signature for one number."""
    value = Tensor.from_array(np.array([number], np.float32), 1)
    (answer,) = engine.run({str(signature.inputs["x"].tensor_name): value}, [str(signature.outputs["y"].tensor_name)])
    return float(answer.to_array().ravel()[0])


def test_whatever_a_model_does_is_one_sentence(evil: Path, listener: socket.socket) -> None:
    """Abort, hang, memory, file and network: each is told, nothing is written or called, and the next run is fine."""
    signatures = open_saved_model(evil).meta_graph().signatures
    with Engine(evil / "7", ["serve"], limits=Limits(run_timeout_s=20, memory_bytes=1 << 30)) as engine:
        assert run(engine, signatures["good"], 2) == 4
        process_id = engine.process_id
        assert run(engine, signatures["eat"], 1) > 0
        with pytest.raises(RunError, match=r"more memory than its limit of 1073741824 bytes: OOM when allocating"):
            run(engine, signatures["eat"], 4000)
        if engine.fence["files"] == "off":
            with pytest.raises(RequestError, match="Permission denied") as refusal:
                run(engine, signatures["write"], 1)
            assert refusal.value.code == "PERMISSION_DENIED"
            assert not (evil / "written").exists()
        assert run(engine, signatures["good"], 2) == 4 and engine.process_id == process_id
        with pytest.raises(RunError, match=r"crashed \(SIGABRT\): .*on purpose") as failure:
            run(engine, signatures["abort"], 1)
        assert "\n" not in str(failure.value)
        assert run(engine, signatures["good"], 2) == 4 and engine.process_id != process_id
    with Engine(evil / "7", ["serve"], limits=Limits(run_timeout_s=3)) as engine:
        engine.load()
        for name in ("hang", "call"):
            with pytest.raises(RunError, match="took more than 3 seconds to answer"):
                run(engine, signatures[name], 1)
            assert run(engine, signatures["good"], 2) == 4
        if engine.fence["network"] == "off":
            with pytest.raises(BlockingIOError):
                listener.accept()


def test_a_crash_is_an_answer_of_our_own(evil: Path) -> None:
    """Over REST a crash is told with a status and a sentence that says whose it is; the next request is answered."""
    with rest(evil, consent=True, name="evil") as server:
        answer = server.predict({"signature_name": "abort", "instances": [1.0]})
        assert (answer.status, answer.is_own) == (OWN_STATUS, True)
        assert answer.json()["error"].startswith(f"{OWN_PREFIX}when it was to answer, the model's process crashed")
        good = server.predict({"signature_name": "good", "instances": [1.0]})
        assert (good.status, good.is_own, good.json()) == (200, False, {"predictions": [2.0]})


def test_tensorflows_sentences_come_to_the_letter(conformance: Path) -> None:
    """Tensors that the graph lacks, none to fetch, a wrong dtype, one fed and fetched: code and text of the session."""
    fed = Tensor.from_array(np.array([1, 2], np.float32), 1)
    x, y = "f32div3_x:0", "PartitionedCall_19:0"
    lost = "Tensor nope:0, specified in either feed_devices or fetch_devices was not found in the Graph"
    cases: list[tuple[dict[str, Tensor], list[str], str, str]] = [
        ({x: fed}, ["nope:0"], "INVALID_ARGUMENT", lost),
        ({"nope:0": fed}, [y], "INVALID_ARGUMENT", lost),
        ({x: fed}, [], "INVALID_ARGUMENT", "Must specify at least one target to fetch or execute."),
        ({x: fed}, [x], "INVALID_ARGUMENT", f"{x} is both fed and fetched."),
        ({x: Tensor(3, (1,), bytes(4))}, [y], "INVALID_ARGUMENT", "Expects arg[0] to be float but int32 is provided"),
        ({x: fed}, ["b\udcff"], "INVALID_ARGUMENT", lost.replace("nope", "b\udcff")),
        ({}, [y], "INVALID_ARGUMENT", f"You must feed a value for placeholder tensor '{x[:-2]}'"),
    ]
    with Engine(conformance / "models" / "edited" / "1", ["serve"]) as engine:
        for feeds, fetches, code, sentence in cases:
            with pytest.raises(RequestError) as refusal:
                engine.run(feeds, fetches)
            assert (refusal.value.code, str(refusal.value)[: len(sentence)]) == (code, sentence)
        one, other = engine.run({x: fed}, [y, y])
        assert one == other and one.to_array().tolist() == [np.float32(1 / 3), np.float32(2 / 3)]
        texts = Tensor(7, (2, 2), texts=(b"a\0", b"", b"\xff" * 100, b"x" * 100_000))
        assert engine.run({"id_string_x:0": texts}, ["PartitionedCall_32:0"]) == [texts]
        deep = Tensor(1, (1,) * 254, bytes(4))
        assert engine.run({x: deep}, [y])[0].shape == deep.shape
    with Engine(conformance / "models" / "edited" / "1", ["nobody"]) as engine:
        with pytest.raises(RequestError, match="matching supplied tags: { nobody }") as refusal:
            engine.load()
        assert refusal.value.code == "NOT_FOUND"


def test_texts_that_a_model_keeps_outlive_their_request(tmp_path: Path) -> None:
    """A text that was fed into a variable is read by a later run as it was, and not from freed memory."""
    import tensorflow as tf

    class Keeper(tf.Module):
        def __init__(self) -> None:
            self.kept = tf.Variable(tf.constant([""]), shape=[None], trainable=False)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
        def keep(self, x: Any) -> dict[str, Any]:
            return {"y": tf.identity(self.kept.assign(x))}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
        def tell(self, x: Any) -> dict[str, Any]:
            return {"y": self.kept.read_value()}

    model = Keeper()
    tf.saved_model.save(model, str(tmp_path / "1"), signatures={"keep": model.keep, "tell": model.tell})
    with rest(tmp_path, consent=True, name="k") as server:
        long = "remember me " * 100
        assert server.predict({"signature_name": "keep", "inputs": [long]}).status == 200
        for number in range(50):
            server.predict({"signature_name": "tell", "inputs": [f"{number}" * 1200]})
        assert server.predict({"signature_name": "tell", "inputs": ["x"]}).json() == {"outputs": [long]}
