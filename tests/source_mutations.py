"""Damage for files that somebody wants to convert, and a watch over what the program does with them.

The kinds of damage, each drawn from a seeded generator: of bytes; of the parts of a protobuf message, whose lengths are
then right again; of the entries of a checkpoint's table and of framed records, whose checksums are then right again; of
the words of a text; of the values of JSON. All but the first get past the first check that fails, where the interesting
faults are.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from explorer.errors import ExplorerError
from explorer.savedmodel.table import read_table
from explorer.savedmodel.table_writer import write_table
from explorer.savedmodel.warmup import framed_record, iter_framed
from explorer.savedmodel.wire import encode_header, encode_varint

NUMBERS = (0, 1, 2, 3, 5, 7, 9, 14, 20, 23, 101, 127, 128, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 40), (1 << 63) - 1,
           1 << 63, (1 << 64) - 1)  # fmt: skip
TEXTS = (b"", b"/", b"..", b"../canary", b"/etc/passwd", b"\0", b"a\nb", b"\xff\xfe", b"\xed\xa0\x80", b"^", b"^x",
         b":", b"x:-1", b"x:99999999999999999999", "\u202ename".encode(), b"n" * 3000, b"save/restore_all", b"Const",
         b"PartitionedCall", b"VarHandleOp", b"VariableV2", b"RestoreV2", b"Placeholder", b"While",
         b"NextIteration")  # fmt: skip

LARGEST = 1 << 20
"""So many bytes a damaged file may have; repeating what repeats grows fast."""

_NEVER = {
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.connect",
    "socket.bind", "socket.getaddrinfo", "pickle.find_class", "webbrowser.open", "ctypes.dlopen", "urllib.Request",
}  # fmt: skip
_FRAMEWORKS = {"tensorflow", "keras", "tf_keras", "h5py", "torch", "jax", "onnx"}
_CPU_SECONDS = 20.0
"""What no small file may take; a thousandth of it is usual."""


class TooLong(BaseException):
    """One small file took longer than any may; not an Exception, so that nothing catches it on the way."""


class Watch:
    """Notes what a program opens, imports and starts, as CPython's audit events tell it."""

    def __init__(self, *allowed: Path, lists_folders: bool = False) -> None:
        places = [
            *allowed,
            Path(sys.prefix),
            Path(sys.base_prefix),
            Path(os.__file__).parent,
            Path(__file__).parent.parent / "explorer",
        ]
        self._allowed = tuple(os.path.realpath(place) + os.sep for place in places)
        self._temporary = os.path.join(os.path.realpath(tempfile.gettempdir()), "savedmodel-explorer-")
        self._lists_folders = lists_folders
        self.faults: list[str] = []

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """What an audit hook is told."""
        if event in _NEVER:
            self.faults.append(f"{event} {arguments!r}")
        elif event == "import" and str(arguments[0]).partition(".")[0] in _FRAMEWORKS:
            self.faults.append(f"import of {arguments[0]}")
        elif event != "open" and event != "import" and (self._lists_folders or str(arguments[0]) in sys.path):
            return  # the import of a module looks there
        elif event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | bytes | os.PathLike):
            place = os.path.realpath(os.fsdecode(arguments[0]))
            if not f"{place}{os.sep}".startswith(self._allowed) and not place.startswith(self._temporary):
                self.faults.append(f"{event} of {place!r}")


_watching: list[Watch] = []
_is_hooked: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event[:4] in _FIRST_LETTERS:
        watch = _watching.pop()  # what the watch itself does isn't watched
        try:
            watch.hear(event, arguments)
        finally:
            _watching.append(watch)


_FIRST_LETTERS = {event[:4] for event in (*_NEVER, "open", "os.listdir", "os.scandir", "import")}


@contextlib.contextmanager
def small_heap() -> Iterator[None]:
    """Spares the garbage collector what is there already: looking at that each time would take most of the time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def watched(*allowed: Path, lists_folders: bool = False) -> Iterator[Watch]:
    """Watches what happens inside; only files below the given folders may be opened, and those of the program.

    Args:
        allowed: Folders.
        lists_folders: Whether the names in other folders may be listed.
    """
    if not _is_hooked:
        sys.addaudithook(_hook)  # it can't be taken away again
        _is_hooked.append(True)
    watch = Watch(*allowed, lists_folders=lists_folders)
    gc.collect()  # an earlier test's model may be in a cycle, and its temporary folder is removed with it:
    gc.disable()  # not while somebody watches
    _watching.append(watch)
    try:
        yield watch
    finally:
        _watching.clear()
        gc.enable()
    assert not watch.faults, watch.faults[:5]


@contextlib.contextmanager
def bounded(seconds: float = _CPU_SECONDS) -> Iterator[None]:
    """Ends what takes more processor time than any small file may."""

    def stop(number: int, frame: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def sentence_of(action: Callable[[], object]) -> str:
    """What an action on a bad file says: the text of our error, or an empty one where it works.

    Any other exception is let through, and so fails the test.
    """
    try:
        action()
    except ExplorerError as error:
        said = str(error)
        assert_sentence(said)
        return said
    return ""


def assert_sentence(said: str) -> None:
    """Checks that a text is for people: one line, not empty, of bounded length, with nothing invisible in it."""
    assert said and said.isprintable() and len(said) < 6000, repr(said[:500])
    assert not re.search(r"Traceback|<\w+ object at 0x|[A-Za-z]+Error\b", said), said


def damaged_bytes(data: bytes, random: Random) -> bytes:
    """The same with bytes changed, lost, repeated, moved or put in."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 5, 20))):
        here = random.randrange(len(changed) + 1)
        there = min(len(changed), here + random.choice((1, 1, 2, 4, 8, 30, 300)))
        kind = random.randrange(8)
        if kind == 0:
            changed[here : here + 1] = bytes([random.randrange(256)])
        elif kind == 1 and here < len(changed):
            changed[here] ^= 1 << random.randrange(8)
        elif kind == 2:
            del changed[here:there]
        elif kind == 3:
            changed[here:here] = changed[here:there]
        elif kind == 4:
            changed[here:here] = encode_varint(random.choice(NUMBERS))
        elif kind == 5:
            changed[here:there] = random.choice((b"\xff", b"\0", b"\x80")) * (there - here)
        elif kind == 6:
            start = random.randrange(len(changed) + 1)
            changed[here:there] = changed[start : start + there - here]
        elif random.random() < 0.3:
            del changed[here:]
    return bytes(changed)


Parts = list[tuple[int, int, Any]]
"""The fields of a message: number, wire type, and a number, bytes, or the fields of a message in it."""


def message_parts(data: bytes, depth: int = 0) -> Parts | None:
    """Takes a message apart, as deep as its bytes look like messages; None where they don't."""
    parts: Parts = []
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        if position < 0 or tag >> 3 == 0 or tag >> 3 > 1000:
            return None
        if tag & 7 == 0:
            value, position = _varint(data, position)
            if position < 0:
                return None
            parts.append((tag >> 3, 0, value))
            continue
        if tag & 7 in (1, 5):
            length = 8 if tag & 7 == 1 else 4
        elif tag & 7 == 2:
            length, position = _varint(data, position)
        else:
            return None
        if position < 0 or position + length > len(data):
            return None
        content = data[position : position + length]
        position += length
        inner = message_parts(content, depth + 1) if tag & 7 == 2 and content and depth < 20 else None
        parts.append((tag >> 3, tag & 7, content if inner is None else inner))
    return parts


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        value |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return value, position
        shift += 7
    return 0, -1


def message_bytes(parts: Parts) -> bytes:
    """Puts a message together again."""
    made = bytearray()
    for number, wire_type, value in parts:
        if wire_type == 2:
            content = message_bytes(value) if isinstance(value, list) else value
            made += encode_header(number, len(content)) + content
        else:
            made += encode_varint(number << 3 | wire_type)
            made += encode_varint(value) if wire_type == 0 else value
    return bytes(made)


def damaged_message(data: bytes, random: Random) -> bytes:
    """The same message with some of its fields changed, lost, repeated, swapped or put elsewhere; lengths are right."""
    known = _known_parts(data)
    if not known:
        return damaged_bytes(data, random)
    parts: Parts = _copied(known)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        places = list(_places(parts))
        if not places:
            break
        home, position = random.choice(places)
        _damage_field(home, position, random, places)
    damaged = message_bytes(parts)
    return damaged if len(damaged) < LARGEST else damaged_bytes(data, random)


_known_parts = functools.lru_cache(maxsize=32)(message_parts)


def _places(parts: Parts) -> Iterator[tuple[Parts, int]]:
    for position, (_, _, value) in enumerate(parts):
        yield parts, position
        if isinstance(value, list):
            yield from _places(value)


def _damage_field(home: Parts, position: int, random: Random, places: list[tuple[Parts, int]]) -> None:
    number, wire_type, value = home[position]
    kind = random.randrange(9)
    other_home, other_position = random.choice(places)
    other = other_home[other_position] if other_position < len(other_home) else home[position]
    if kind == 0:
        del home[position]
    elif kind == 1:
        home[position:position] = [home[position]] * random.choice((1, 1, 3, 40))
    elif kind == 2:
        home[position] = (random.choice((number + 1, max(1, number - 1), 1, 999)), wire_type, value)
    elif kind == 3:
        home[position] = (number, 0, random.choice(NUMBERS))
    elif kind == 4:
        home[position] = (number, 2, random.choice(TEXTS))
    elif kind == 5:  # names are put in the place of names: cycles, doubles, edges to the wrong node
        home[position] = (number, other[1], _copied(other[2]))
    elif wire_type == 0:
        home[position] = (number, 0, random.choice((*NUMBERS, max(0, value - 1), value + 1)))
    elif isinstance(value, bytes):
        home[position] = (
            number,
            wire_type,
            damaged_bytes(value, random) if wire_type == 2 else random.randbytes(len(value)),
        )
    elif kind == 6 and wire_type == 2 and isinstance(value, list):
        value[:] = value[: random.randrange(len(value) + 1)]
    elif kind == 7 and isinstance(value, list):
        random.shuffle(value)
    else:
        home[position] = (number, 2, [(number, 2, _copied(value))])


def _copied(value: Any) -> Any:
    return (
        [(number, wire_type, _copied(inner)) for number, wire_type, inner in value]
        if isinstance(value, list)
        else value
    )


def damaged_table(data: bytes, random: Random) -> bytes:
    """A checkpoint's table with some entries changed, and every checksum right."""
    entries = dict(read_table(data))
    for _ in range(random.choice((1, 1, 2, 4))):
        key = random.choice(list(entries))
        kind = random.randrange(7)
        if kind == 0:
            del entries[key]
        elif kind == 1:
            entries[random.choice((*TEXTS, damaged_bytes(key, random)))] = entries[key]
        elif kind == 2:
            entries[key] = entries[random.choice(list(entries))]
        elif kind == 3:
            entries[key] = damaged_bytes(entries[key], random)
        else:
            entries[key] = damaged_message(entries[key], random)
        if not entries:
            break
    return write_table(sorted(entries.items()))


def damaged_records(data: bytes, random: Random) -> bytes:
    """A TFRecord file with some records changed, lost, repeated or swapped, and every checksum right."""
    records = [bytes(record) for _, record in iter_framed(data, "")]
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(len(records))
        kind = random.randrange(8)
        if kind == 0:
            records.insert(place, random.choice(records))
        elif kind == 1 and len(records) > 1:
            del records[place]
        elif kind == 2:
            records[place] = damaged_bytes(records[place], random)
        else:
            records[place] = damaged_message(records[place], random)
    return b"".join(map(framed_record, records))


_WORDS = re.compile(rb"\\.|[A-Za-z_0-9.+-]+|[^A-Za-z_0-9]", re.DOTALL)
_TEXT_WORDS = (b"{", b"}", b"[", b"]", b"<", b">", b":", b",", b";", b'"', b"'", b"\\", b"\n", b"#", b"\xef\xbb\xbf",
               b"\xff", b"\0", b"1e999", b"-1", b"nan", b"0x1F", b"99999999999999999999", b"true", b"null",
               b'"\\400"', b"'\\xff'", b"[a.b/c]: {}", b"{" * 150, b"[" * 3000, b"a{" * 200, b"x:1 " * 50,
               b'"\\u0000"', b'"\\ud800"', b"meta_graphs", b"DT_FLOAT", b'"b64"')  # fmt: skip


def damaged_text(data: bytes, random: Random) -> bytes:
    """A text with some of its words changed, lost, repeated or put elsewhere."""
    words = list(_known_words(data))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        here = random.randrange(len(words))
        there = min(len(words), here + random.choice((1, 1, 2, 5, 30)))
        kind = random.randrange(6)
        if kind == 0:
            del words[here:there]
        elif kind == 1:
            words[here:here] = words[here:there] * random.choice((1, 1, 3))
        elif kind == 2:
            words[here] = random.choice(words)
        elif kind == 3:
            words[here:here] = [random.choice(_TEXT_WORDS)]
        elif kind == 4:
            words[here] = random.choice(_TEXT_WORDS)
        else:
            start = random.randrange(len(words))
            words[here:there] = words[start : start + random.randrange(40)]
        if not words:
            break
    return b"".join(words)


_known_words = functools.lru_cache(maxsize=32)(_WORDS.findall)


def damaged_json(data: bytes, random: Random) -> bytes:
    """JSON with some values in the place of others, or with bytes changed."""
    if random.random() < 0.3:
        return damaged_bytes(data, random)
    tree = json.loads(data)
    homes: list[Any] = []
    pending: list[Any] = [tree]
    while pending:
        value = pending.pop()
        if isinstance(value, dict | list) and value:
            homes.append(value)
            pending += value.values() if isinstance(value, dict) else value
    for _ in range(random.choice((1, 1, 2, 5))):
        home, other = random.choice(homes), random.choice(homes)
        if not home or not other:
            continue
        place = random.choice(list(home)) if isinstance(home, dict) else random.randrange(len(home))
        inner = json.loads(json.dumps(random.choice(list(other.values()) if isinstance(other, dict) else other)))
        kind = random.randrange(7)
        if kind == 0 and isinstance(home, dict):
            home[random.choice(_KEYS)] = inner
        elif kind == 1:
            home[place] = inner
        elif kind == 2:
            del home[place]
        elif kind == 3 and isinstance(home, dict):
            key = random.choice(list(other)) if isinstance(other, dict) else "x"
            home[key] = home.pop(place)
        else:
            home[place] = random.choice(_JSON_VALUES)
    return json.dumps(tree).encode()


_KEYS = ("module", "class_name", "config", "registered_name", "name", "layers", "b64", "x", "y", "edit", "tags", "",
         "signature_key", "new_key", "context", "inputs", "instances", "examples", "\ud800", "a\0b")  # fmt: skip
_JSON_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 1 << 70, 1e308, float("nan"), float("-inf"), "", "Lambda", "os.system", "\0", "\ud800", [],
    {}, [[]], [None], [[1, 2], [3]], {"class_name": "Lambda", "config": {}}, {"class_name": 7}, {"b64": "YQ="},
    {"b64": 1}, "x" * 5000, "\u202ename", "serve", "x:0", "y:0", "^x", "x:99999999999999999999", ["serve", "serve"],
)  # fmt: skip
