"""Exports that are killed with SIGKILL while they write: no half version, no harm to what was there."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
KILLS = 100
MEGABYTE = 2**20
SHARDS = 8
SHARD_BYTES = 8 * MEGABYTE
MODEL_PIECES = 32

CHILD = f"""
import os, sys
from explorer.exporting.publish import publish

said = set()

def say(word):
    if word not in said:
        said.add(word)
        os.write(1, word + b"\\n")

def write_model(stream):
    for number in range({MODEL_PIECES}):
        stream.write(bytes([number]) * {MEGABYTE})
    stream.flush()
    say(b"last")

source, base = sys.argv[1:]
publish(source, base, write_model, "saved_model.pb", progress=lambda done, total: say(b"first"))
say(b"published")
"""
"""Says ``first`` after its first write, ``last`` after its last one, and ``published`` at the end."""


def content(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass(frozen=True)
class Model:
    """A base path whose version 1 is the source, and what its files must be."""

    base: Path
    before: dict[str, bytes]

    @property
    def after(self) -> dict[str, bytes]:
        """What a whole new version holds."""
        return self.before | {"saved_model.pb": b"".join(bytes([n]) * MEGABYTE for n in range(MODEL_PIECES))}

    def names(self) -> tuple[list[str], list[str]]:
        """What the base path shows, and the staging places that it hides."""
        names = sorted(os.listdir(self.base))
        hidden = [name for name in names if name.startswith(".tmp-export-")]
        return [name for name in names if name not in hidden], hidden

    def remove(self, name: str) -> None:
        """Removes a version again."""
        for path in sorted((self.base / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (self.base / name).rmdir()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of 64 MiB of variables, the same bytes every time."""
    base = tmp_path_factory.mktemp("killed") / "models"
    source = base / "1"
    (source / "variables").mkdir(parents=True)
    (source / "assets").mkdir()
    rng = random.Random(1)
    for number in range(SHARDS):
        name = f"variables.data-{number:05}-of-{SHARDS:05}"
        (source / "variables" / name).write_bytes(rng.randbytes(SHARD_BYTES))
    (source / "variables/variables.index").write_bytes(b"index")
    (source / "assets/vocabulary.txt").write_bytes(b"a\nb\n")
    (source / "saved_model.pb").write_bytes(b"the old model")
    return Model(base, content(source))


class Export:
    """An export in a process of its own."""

    def __init__(self, model: Model) -> None:
        command = [sys.executable, "-c", CHILD, str(model.base / "1"), str(model.base)]
        self.process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE)
        self.said = b""

    def wait_for(self, word: bytes) -> float:
        """Waits until the export says a word (or ends), and returns the time."""
        assert self.process.stdout is not None
        while word not in self.said:
            piece = os.read(self.process.stdout.fileno(), 100)
            assert piece, f"the export ended before it said {word!r}"
            self.said += piece
        return time.monotonic()

    def kill(self) -> bytes:
        """Kills it on the spot and returns all that it had said."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.said += self.process.stdout.read()
        self.process.stdout.close()
        return self.said


def measured_span(model: Model, start: bytes, end: bytes) -> float:
    """The seconds between two words of an export, the median of three whole ones, which are checked and removed."""
    spans = []
    for _ in range(3):
        export = Export(model)
        begun = export.wait_for(start)
        spans.append(export.wait_for(end) - begun)
        export.wait_for(b"published")
        export.kill()
        assert model.names() == (["1", "2"], [])
        assert content(model.base / "2") == model.after
        model.remove("2")
    return statistics.median(spans)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_between_the_first_and_the_last_write(model: Model) -> None:
    """A hundred kills at random moments while files are written: nothing new is visible, the source is as it was.

    A kill counts only if it fell between the two writes; then exactly one staging place is left, the one of the kill
    before having been swept by this run. The export after the last kill leaves a whole version and nothing else.
    """
    span = measured_span(model, b"first", b"last")
    rng = random.Random(2)
    counted = 0
    for _ in range(5 * KILLS):
        export = Export(model)
        export.wait_for(b"first")
        time.sleep(rng.uniform(0, span))
        if b"last" in export.kill():  # too late: it says nothing about the writes
            if model.names()[0] == ["1", "2"]:
                model.remove("2")
            continue
        shown, hidden = model.names()
        assert shown == ["1"]
        assert len(hidden) == 1
        assert content(model.base / "1") == model.before
        counted += 1
        if counted == KILLS:
            break
    assert counted == KILLS, f"only {counted} kills fell between the first and the last write ({span:.3f} s)"
    Export(model).wait_for(b"published")
    assert model.names() == (["1", "2"], [])
    assert content(model.base / "2") == model.after
    model.remove("2")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_between_the_last_write_and_the_end(model: Model) -> None:
    """Kills while the export flushes, renames and tidies up: the new version is whole or it isn't there."""
    span = measured_span(model, b"last", b"published")
    rng = random.Random(3)
    for _ in range(20):
        export = Export(model)
        export.wait_for(b"last")
        time.sleep(rng.uniform(0, 1.2 * span))
        export.kill()
        shown, hidden = model.names()
        assert shown in (["1"], ["1", "2"])
        assert len(hidden) <= 1
        assert content(model.base / "1") == model.before
        if shown == ["1", "2"]:
            assert content(model.base / "2") == model.after
            model.remove("2")
    Export(model).wait_for(b"published")
    assert model.names() == (["1", "2"], [])
    model.remove("2")
