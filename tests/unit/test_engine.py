"""The engine without TensorFlow: what travels to the child and back, what the fence closes, how failures are told."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import FormatError, RequestError, RunError
from explorer.runtime import engine as engine_module
from explorer.runtime import frames
from explorer.runtime.c_api import CODES
from explorer.runtime.child import run_child
from explorer.runtime.engine import Engine, Limits
from explorer.savedmodel.tensors import Tensor

FLOATS = Tensor(1, (2,), struct.pack("<2f", 1, 2))
TEXTS = Tensor(7, (2, 1), texts=(b"a\0b", b"x" * 70_000))
EMPTY = Tensor(3, (0, 5))
SCALAR = Tensor(9, (), b"12345678")
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what the fence closes, it closes on Linux")

ECHO = """
from explorer.runtime import frames

def asked(channel):
    names, kinds = frames.receive_request(channel)
    return frames.unpack_names(names), kinds, [frames.receive(channel, size) for _, _, size in kinds]

def tell(channel, kinds, elements):
    head = b"".join(frames.pack_kind(*kind) for kind in kinds)
    frames.send(channel, [frames.answer_head(0, len(head)), head, *elements])

def refuse(channel, code, sentence):
    frames.send(channel, [frames.answer_head(code, len(sentence)), sentence])
"""

ANSWERS_ONCE = """
tell(channel, [], [])
_, kinds, elements = asked(channel)
tell(channel, kinds, elements)
asked(channel)
"""


@pytest.fixture
def channels() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a channel."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program in the place of the child: the body of its ``main``, which has ``channel`` and ``starts``."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(engine_module, "_MODULE", "engine_program")

    def make(body: str) -> None:
        text = f"""
import json, os, resource, signal, socket, sys, time
{ECHO}
def main(arguments):
    channel = socket.socket(fileno=int(arguments[0]))
    folder, tags = arguments[1], arguments[2:]
{textwrap.indent(textwrap.dedent(body), "    ")}
    return 0
"""
        (tmp_path / "engine_program.py").write_text(text)

    return make


def engine(tmp_path: Path, **limits: float) -> Engine:
    """An engine for a folder that no fake child looks at."""
    return Engine(tmp_path, ["serve"], limits=Limits(**{"load_timeout_s": 30.0, "run_timeout_s": 30.0, **limits}))  # type: ignore[arg-type]


def in_background(call: Callable[[], object]) -> threading.Thread:
    """Calls something beside the test."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def test_requests_and_answers_carry_every_value(channels: tuple[socket.socket, socket.socket]) -> None:
    """Numbers, texts with NULs, empty tensors and scalars arrive as they were sent, in both directions."""
    one, other = channels
    values = [FLOATS, TEXTS, EMPTY, SCALAR]
    names = ["x:0", "имя:1", "raw\udcff:0", ""]
    pieces = frames.request(frames.pack_names(names, ["y:0"]), values)
    sending = in_background(lambda: frames.send(one, pieces))
    received = frames.receive_request(other)
    assert received is not None
    assert frames.unpack_names(received[0]) == ([b"x:0", "имя:1".encode(), b"raw\xff:0", b""], [b"y:0"])
    elements = [frames.receive(other, size) for _, _, size in received[1]]
    sending.join()
    head = b"".join(frames.pack_kind(*kind) for kind in received[1])
    sending = in_background(lambda: frames.send(other, [frames.answer_head(0, len(head)), head, *elements]))
    assert frames.receive_answer(one, 4, 1 << 20, time.monotonic() + 30) == values
    sending.join()
    one.close()
    assert frames.receive_request(other) is None


def test_a_refusal_keeps_its_bytes(channels: tuple[socket.socket, socket.socket]) -> None:
    """A sentence of TensorFlow's may hold bytes that aren't UTF-8, and several lines."""
    frames.send(channels[0], [frames.answer_head(3, 6), b"a\n\xff\xc3\xa9b"])
    assert frames.receive_answer(channels[1], 1, 100, time.monotonic() + 30) == (3, "a\n\udcfféb")


def test_the_codes_are_those_of_absl() -> None:
    """The numbers of TF_Code name what ``absl::StatusCode`` names."""
    assert [CODES[number] for number in (0, 1, 3, 5, 8, 9, 11, 12, 13, 16)] == [
        "OK", "CANCELLED", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "OUT_OF_RANGE",
        "UNIMPLEMENTED", "INTERNAL", "UNAUTHENTICATED",
    ]  # fmt: skip


def _answer(*kinds: bytes, code: int = 0, size: int | None = None, elements: bytes = b"") -> bytes:
    head = b"".join(kinds)
    return struct.pack("<II", code, len(head) if size is None else size) + head + elements


@pytest.mark.parametrize(
    "sent",
    [
        _answer(size=(1 << 32) - 1),
        _answer(frames.pack_kind(1, (2,), 8), frames.pack_kind(1, (2,), 8), elements=bytes(16)),
        _answer(),
        _answer(frames.pack_kind(1, (2,), 8)[:-1]),
        _answer(frames.pack_kind(1, (3,), 8), elements=bytes(8)),
        _answer(frames.pack_kind(1, (1 << 40,), 1 << 42)),
        _answer(frames.pack_kind(1, (-1, -2), 8), elements=bytes(8)),
        _answer(frames.pack_kind(1, (1,) * 255, 4), elements=bytes(4)),
        _answer(struct.pack("<IIQ", 1, 1 << 31, 0)),
        _answer(frames.pack_kind(4242, (2,), 8), elements=bytes(8)),
        _answer(frames.pack_kind(20, (), 8), elements=bytes(8)),
        _answer(frames.pack_kind(7, (2,), 17), elements=struct.pack("<2Q", 1, 1 << 63) + b"a"),
        _answer(frames.pack_kind(7, (9,), 16), elements=bytes(16)),
        _answer(frames.pack_kind(7, (1 << 61,), 16), elements=bytes(16)),
    ],
    ids=["long", "more", "none", "cut", "shape", "huge", "negative", "rank", "rank that isn't sent", "dtype",
         "resource", "text sizes", "fewer texts", "countless texts"],
)  # fmt: skip
def test_nothing_that_a_child_sends_is_believed(sent: bytes, channels: tuple[socket.socket, socket.socket]) -> None:
    """What doesn't fit what was asked for is a FormatError, before any memory is taken for it."""
    channels[0].sendall(sent)
    channels[0].close()
    with pytest.raises(FormatError):
        frames.receive_answer(channels[1], 1, 1 << 20, time.monotonic() + 30)


@given(st.binary(max_size=200), st.integers(0, 3))
def test_random_answers_are_errors_of_three_kinds(sent: bytes, count: int) -> None:
    """Whatever bytes come, the caller gets tensors, a refusal or one of three exceptions."""
    one, other = socket.socketpair()
    with one, other:
        one.sendall(sent)
        one.close()
        try:
            answer = frames.receive_answer(other, count, 1 << 20, time.monotonic() + 30)
        except (FormatError, EOFError):
            return
    assert isinstance(answer, tuple) or len(answer) == count


def test_a_run_goes_to_the_child_and_back(program: Callable[[str], None], tmp_path: Path) -> None:
    """The child gets folder, tags, names and values; its tensors and its refusals come back; it starts once."""
    program("""
        tell(channel, [], [])
        (feeds, fetches), kinds, elements = asked(channel)
        told = json.dumps([folder, tags, [n.decode() for n in feeds], [n.decode() for n in fetches]]).encode()
        tell(channel, [*kinds, (7, (), 8 + len(told))], [*elements, *frames.pack_texts([told])])
        asked(channel)
        refuse(channel, 11, b"no\\n\\xff")
        asked(channel)
        refuse(channel, 99, b"unheard of")
        asked(channel)
        refuse(channel, 8, b"OOM when allocating tensor with shape[9] by allocator cpu\\n\\t [[node]]\\nHint: none")
        asked(channel)
        tell(channel, [(8, (1,), 8)], [b"complex!"])
        print("whatever a model prints", flush=True)
        asked(channel)
    """)
    with engine(tmp_path) as runner:
        assert runner.process_id is None and runner.fence == {}
        values = {"b:0": TEXTS, "a:0": FLOATS}
        *echoed, told = runner.run(values, ["y:0", "y:0", "z"])
        process_id = runner.process_id
        assert echoed == [TEXTS, FLOATS]
        assert json.loads(told.texts[0]) == [str(tmp_path), ["serve"], ["b:0", "a:0"], ["y:0", "y:0", "z"]]
        with pytest.raises(RequestError) as refusal:
            runner.run({}, [])
        assert (refusal.value.code, str(refusal.value)) == ("OUT_OF_RANGE", "no\n\udcff")
        with pytest.raises(RequestError) as refusal:
            runner.run({}, [])
        assert refusal.value.code == "UNKNOWN"
        with pytest.raises(RunError, match=r"limit of 4294967296 bytes: OOM when allocating tensor .* cpu$"):
            runner.run({}, [])
        assert runner.run({}, ["y"]) == [Tensor(8, (1,), b"complex!")]
        assert runner.process_id == process_id
        assert set(runner.fence) == {"network", "files", "memory"}
    with pytest.raises(RunError, match="the engine is closed"):
        runner.run({}, ["y"])
    runner.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id or 0, 0)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("os.kill(os.getpid(), 6)", r"when it was to answer, the model's process crashed \(SIGABRT\); the next"),
        (
            "print('F0000 00:00:1.5     7 x.cc:1] Check failed: a == b\\n@ 0x1 main', file=sys.stderr, flush=True)\n"
            "os.abort()",
            r"\(SIGABRT\): x.cc:1\] Check failed: a == b; the next",
        ),
        ("sys.exit('why: \\x1b[31m')", r"ended with status 1: why: \\u001b\[31m"),
        ("raise MemoryError", "may have needed more memory than its limit"),
        ("channel.close(); time.sleep(300)", "crashed|ended"),
        ("time.sleep(300)", "took more than 2 seconds to answer"),
        ("channel.sendall(b'nonsense' * 10); time.sleep(300)", "can't be understood"),
        ("tell(channel, [], []); time.sleep(300)", "can't be understood"),
    ],
)
def test_a_failing_child_is_one_sentence_and_another_takes_its_place(
    body: str, sentence: str, program: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash, an abort, a hang or nonsense is a RunError of one line; the next run has a new child."""
    monkeypatch.setattr(engine_module, "_ENDING_S", 0.5)
    program(f"tell(channel, [], [])\nasked(channel)\n{body}")
    with engine(tmp_path, run_timeout_s=2.0) as runner:
        runner.load()
        process_id = runner.process_id
        with pytest.raises(RunError, match=sentence) as failure:
            runner.run({"x": FLOATS}, ["y"])
        assert "\n" not in str(failure.value) and "\x1b" not in str(failure.value)
        assert runner.process_id is None
        with pytest.raises(ProcessLookupError):
            os.kill(process_id or 0, 0)
        program(ANSWERS_ONCE)
        assert runner.run({"x": FLOATS}, ["y"]) == [FLOATS]
        assert runner.process_id not in (None, process_id)


def test_a_child_that_died_in_between_is_replaced(program: Callable[[str], None], tmp_path: Path) -> None:
    """A warm child that somebody kills costs the next request a load, not an error."""
    program(
        "tell(channel, [], [])\n_, kinds, elements = asked(channel)\ntell(channel, kinds, elements)\nasked(channel)"
    )
    with engine(tmp_path) as runner:
        runner.load()
        before = runner.process_id or 0
        os.kill(before, signal.SIGKILL)
        time.sleep(0.2)
        assert runner.run({"x": FLOATS}, ["y"]) == [FLOATS] and runner.process_id != before


def test_loading_is_refused_hangs_or_lacks_tensorflow(program: Callable[[str], None], tmp_path: Path) -> None:
    """The loader's refusal is a RequestError and isn't tried again; a hang and a missing TensorFlow are RunErrors."""
    program("open('started', 'a').close()\nrefuse(channel, 5, b'Could not find meta graph')")
    with engine(tmp_path) as runner:
        for call in (runner.load, runner.load, lambda: runner.run({}, ["y"])):
            with pytest.raises(RequestError, match="Could not find meta graph") as refusal:
                call()
            assert refusal.value.code == "NOT_FOUND"
            program("tell(channel, [], [])")
    program("time.sleep(300)")
    with engine(tmp_path, load_timeout_s=1.5) as runner, pytest.raises(RunError, match="more than 1.5 seconds to load"):
        runner.load()
    program("return 3")
    with engine(tmp_path) as runner, pytest.raises(RunError, match="takes TensorFlow, which isn't installed"):
        runner.load()


def test_closing_ends_a_run(program: Callable[[str], None], tmp_path: Path) -> None:
    """Another thread may close an engine that hangs in a run; the run then raises, and nothing is left."""
    program("tell(channel, [], [])\nasked(channel)\ntime.sleep(300)")
    runner = engine(tmp_path)
    runner.load()
    process_id = runner.process_id or 0
    threading.Timer(0.3, runner.close).start()
    with pytest.raises(RunError, match="closed before the model had answered"):
        runner.run({"x": FLOATS}, ["y"])
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


def test_a_forgotten_engine_takes_its_child_along(program: Callable[[str], None], tmp_path: Path) -> None:
    """Without a close, the child ends when the object goes, and its folder too."""
    program("tell(channel, [], [])\nasked(channel)")
    runner = engine(tmp_path)
    runner.load()
    process_id = runner.process_id or 0
    home = Path(os.readlink(f"/proc/{process_id}/cwd")) if sys.platform.startswith("linux") else None
    del runner
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
    assert home is None or not home.exists()


def test_a_child_outlives_the_thread_that_needed_it(program: Callable[[str], None], tmp_path: Path) -> None:
    """The kernel kills a child with the thread that started it; a request's thread isn't that one."""
    program(
        "tell(channel, [], [])\n_, kinds, elements = asked(channel)\ntell(channel, kinds, elements)\nasked(channel)"
    )
    with engine(tmp_path) as runner:
        in_background(runner.load).join()
        process_id = runner.process_id
        time.sleep(0.3)
        assert runner.run({"x": FLOATS}, ["y"]) == [FLOATS] and runner.process_id == process_id


def test_threads_wait_for_each_other(program: Callable[[str], None], tmp_path: Path) -> None:
    """Eight threads at once get each its own answer."""
    program("""
        tell(channel, [], [])
        while True:
            _, kinds, elements = asked(channel)
            tell(channel, kinds, elements)
    """)
    wrong = []
    with engine(tmp_path) as runner:

        def ask(number: int) -> None:
            for turn in range(50):
                value = Tensor(9, (), struct.pack("<q", number * 1000 + turn))
                if runner.run({"x": value}, ["y"]) != [value]:
                    wrong.append((number, turn))

        threads = [in_background(lambda number=number: ask(number)) for number in range(8)]  # type: ignore[misc]
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("value", "error", "sentence"),
    [
        (Tensor(1, (1,) * 255, bytes(4)), RequestError, "tensor parsing error: x:0"),
        (Tensor(7, (1,) * 255, texts=(b"",)), RequestError, "tensor parsing error: x:0"),
        (Tensor(99, (1,), bytes(4)), RequestError, "tensor parsing error: x:0"),
        (Tensor(0, (0,)), RequestError, "tensor parsing error: x:0"),
        (Tensor(1, (3,), bytes(8)), RunError, "'x:0' hasn't the elements"),
        (Tensor(7, (3,), texts=(b"",)), RunError, "'x:0' hasn't the elements"),
    ],
)
def test_impossible_values_start_no_child(value: Tensor, error: type[Exception], sentence: str, tmp_path: Path) -> None:
    """What TensorFlow can make no tensor of is refused as a server refuses it, before anything runs."""
    with engine(tmp_path) as runner:
        with pytest.raises(error, match=sentence):
            runner.run({"x:0": value}, ["y:0"])
        assert runner.process_id is None


@LINUX
def test_a_child_writes_nowhere_but_in_its_folder(
    program: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the fence says so, writing, truncating, creating, linking, renaming and removing elsewhere are refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "old").write_text("kept")
    program("""
        def tries(*calls):
            for call in calls:
                try:
                    call()
                except OSError:
                    continue
                yield 1
        outside = os.environ["HOME"] and folder
        old, new = outside + "/old", outside + "/new"
        done = list(tries(
            lambda: open(new, "w"), lambda: open(old, "a"), lambda: os.truncate(old, 0), lambda: os.remove(old),
            lambda: os.mkdir(new), lambda: os.symlink(old, new), lambda: os.rename(old, new), lambda: os.mkfifo(new),
            lambda: os.link(old, "mine"), lambda: os.rename(old, "mine"),
        ))
        with open("own.txt", "w") as file, open(os.devnull, "w") as nowhere:
            file.write(open(old).read())
            nowhere.write("x")
        os.rename("own.txt", "own2.txt")
        told = json.dumps([len(done), open("own2.txt").read()]).encode()
        tell(channel, [], [])
        asked(channel)
        tell(channel, [(7, (), 8 + len(told))], frames.pack_texts([told]))
        asked(channel)
    """)
    with engine(outside) as runner:
        (told,) = runner.run({}, ["y"])
        if runner.fence["files"] != "off":
            pytest.skip(runner.fence["files"])
    assert json.loads(told.texts[0]) == [0, "kept"]
    assert [path.name for path in outside.iterdir()] == ["old"] and (outside / "old").read_text() == "kept"


@LINUX
def test_a_child_is_bounded_in_memory(program: Callable[[str], None], tmp_path: Path) -> None:
    """What it allocates beyond its limit is refused, and the sentence names the limit."""
    program("tell(channel, [], [])\nasked(channel)\nkept = bytearray(8 << 30)\nkept[::4096] = b'x' * (2 << 20)")
    with engine(tmp_path, memory_bytes=1 << 26) as runner:
        with pytest.raises(RunError, match="more memory than its limit of 67108864 bytes"):
            runner.run({}, ["y"])
        assert runner.fence["memory"].endswith(" bytes")


@LINUX
def test_the_fence_holds_for_every_child(program: Callable[[str], None], tmp_path: Path) -> None:
    """A proof's children can't write elsewhere either."""
    (tmp_path / "home").mkdir()
    (tmp_path / "probe.py").write_text(
        "def main(arguments):\n"
        "    try:\n        open(arguments[0], 'w')\n"
        "    except PermissionError:\n        return 0\n"
        "    return 9\n"
    )
    program("")
    ended = run_child("probe", [str(tmp_path / "new")], tmp_path / "home", timeout_s=60)
    told = json.loads((tmp_path / "home" / "fence.json").read_text())
    assert (told["files"] == "off") == (ended.status == 0)
