"""Damaged and hostile files of Keras: looked into in a child process, they run nothing and read nothing outside."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import source_mutations as mutations

from explorer.errors import ConversionError, RunError
from explorer.runtime.convert import open_source
from explorer.runtime.keras_files import look_inside

h5py = pytest.importorskip("h5py")

TESTS = Path(__file__).resolve().parent.parent
CHECKPOINTS = TESTS.parent / "sample_models" / "checkpoints"
FIXTURES = TESTS / "fixtures_keras"
ROUNDS = int(os.environ.get("MUTATION_ROUNDS", "1"))

CHILD = """
import json, sys
from pathlib import Path
import h5py, h5py._hl.attrs, numpy
import source_mutations
from explorer.runtime.keras_files_child import answer, limit_memory
limit_memory(4 << 30)
files, work, first = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
names = sorted(files.iterdir())[first:]
answer(Path(sys.argv[4]), work)
for name in names:
    print(json.dumps(["begin", name.name]), flush=True)
    try:
        with source_mutations.watched(files, work) as watch, source_mutations.bounded():
            found = answer(name, work)
        said = [str(found.get("error", "")), str(found.get("refusal", ""))]
    except BaseException as error:
        said = [f"FAULT {type(error).__name__}: {error}", ""]
    print(json.dumps(["end", said]), flush=True)
"""


def looked_at(files: Path, work: Path, good: Path) -> tuple[dict[str, list[str]], list[str]]:
    """What a child says of each file (fault, refusal), and the files that ended one; then another child goes on."""
    every = sorted(path.name for path in files.iterdir())
    said: dict[str, list[str]] = {}
    crashes: list[str] = []
    while len(said) + len(crashes) < len(every):
        ended = subprocess.run(
            [sys.executable, "-c", CHILD, str(files), str(work), str(len(said) + len(crashes)), str(good)],
            cwd=work,
            env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"},
            capture_output=True,
            check=False,
            timeout=600,
        )
        begun = ""
        for line in ended.stdout.decode().splitlines():
            what, text = json.loads(line)
            if what == "begin":
                begun = text
            else:
                said[begun] = text
                begun = ""
        if begun:
            crashes.append(begun)
        elif ended.returncode:
            raise AssertionError(ended.stderr.decode()[-2000:])
    return said, crashes


def damaged_archive(data: bytes, random: Random) -> bytes:
    """A ``.keras`` file with one member damaged, renamed, lost or doubled."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(content, "w") as new:
        names = old.namelist()
        victim = random.choice(names)
        for name in names:
            inner = old.read(name)
            if name == victim:
                kind = random.randrange(6)
                if kind == 0:
                    continue
                if kind == 1:
                    name = random.choice(("../x", "/etc/x", "assets/../../x", "config.json", "assets/a", "a\\b", "x"))
                elif name.endswith(".json"):
                    inner = mutations.damaged_json(inner, random)
                else:
                    inner = mutations.damaged_bytes(inner, random)
            if name not in new.namelist():
                new.writestr(name, inner, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    return content.getvalue()


def damaged_hdf5(data: bytes, random: Random) -> bytes:
    """An HDF5 file whose configuration is damaged, and which HDF5 finds whole."""
    content = io.BytesIO(data)
    with h5py.File(content, "r+") as file:
        config = file.attrs["model_config"]
        text = config if isinstance(config, bytes) else config.encode()
        del file.attrs["model_config"]
        changed = mutations.damaged_json(text, random).replace(b"\0", b"")
        file.attrs["model_config"] = h5py.Empty("S1") if random.random() < 0.03 else changed
    return content.getvalue()


SEEDS: dict[str, tuple[Path, int, tuple[Callable[[bytes, Random], bytes], ...]]] = {
    "whole.h5": (CHECKPOINTS / "iris.h5", 700, (mutations.damaged_bytes, damaged_hdf5)),
    "old.h5": (FIXTURES / "keras_2_2_4_functional.h5", 500, (mutations.damaged_bytes, damaged_hdf5)),
    "older.h5": (FIXTURES / "keras_1_2_2_sequential.h5", 300, (mutations.damaged_bytes,)),
    "weights.h5": (CHECKPOINTS / "iris.weights.h5", 400, (mutations.damaged_bytes,)),
    "whole.keras": (CHECKPOINTS / "iris.keras", 700, (mutations.damaged_bytes, damaged_archive, damaged_archive)),
}


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_of_keras(name: str, tmp_path: Path) -> None:
    """Each is looked into or refused in one sentence; nothing of it is run, and no other file is opened."""
    seed, rounds, damages = SEEDS[name]
    good = seed.read_bytes()
    files, work = tmp_path / "files", tmp_path / "work"
    files.mkdir()
    work.mkdir()
    for number in range(ROUNDS * rounds):
        random = Random(f"{name} {number}")
        (files / f"{number:06}-{name}").write_bytes(random.choice(damages)(good, random))
    said, crashes = looked_at(files, work, seed)
    assert len(said) + len(crashes) == ROUNDS * rounds
    for file, sentences in said.items():
        assert not sentences[0].startswith("FAULT"), (file, sentences)
        for sentence in filter(None, sentences):
            mutations.assert_sentence(sentence)
    assert 0 < sum(1 for fault, _ in said.values() if fault) < len(said)
    assert len(crashes) <= len(said) // 20, crashes  # HDF5 is parsed in C: what brings it down ends only the child
    for file in crashes[:3]:
        with pytest.raises((ConversionError, RunError)) as refused:
            look_inside(files / file)
        mutations.assert_sentence(str(refused.value))


def with_links(content: Any, canary: Path) -> None:
    """A group in which an array lies in another file."""
    content["layers/stolen"] = h5py.ExternalLink(str(canary), "/secret")


def with_external_group(content: Any, canary: Path) -> None:
    """The same, where a layer's whole group lies there."""
    content["layers/dense"] = h5py.ExternalLink(str(canary), "/")


def with_soft_link(content: Any, canary: Path) -> None:
    """A symbolic link inside the file."""
    content["layers/again"] = h5py.SoftLink("/")


def with_external_data(content: Any, canary: Path) -> None:
    """An array whose bytes are those of another file."""
    content.create_dataset("layers/stolen", (8,), "u1", external=[(str(canary), 0, 8)])


def with_virtual_data(content: Any, canary: Path) -> None:
    """An array that is put together from those of another file."""
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(canary), "secret", (4,))
    content.create_virtual_dataset("layers/stolen", layout)


def with_circle(content: Any, canary: Path) -> None:
    """A group that holds itself."""
    content["layers/inner"] = content["layers"]


def with_depth(content: Any, canary: Path) -> None:
    """Groups in groups in groups."""
    content.create_group("layers/" + "/".join("d" * 300))


def with_huge_array(content: Any, canary: Path) -> None:
    """An array of a tebibyte of which nothing is stored."""
    content.create_dataset("layers/vast", (1 << 40,), "u1", chunks=(1 << 20,), compression="gzip")


def with_many_holes(content: Any, canary: Path) -> None:
    """Many arrays that are each just small enough."""
    for number in range(2000):
        content.create_dataset(f"layers/{number}", (60 << 20,), "u1", chunks=(1 << 20,))


def with_objects(content: Any, canary: Path) -> None:
    """An array of references to other objects."""
    content.create_dataset("layers/pointers", (1,), h5py.ref_dtype)


HOSTILE = (with_links, with_external_group, with_soft_link, with_external_data, with_virtual_data, with_circle,
           with_depth, with_huge_array, with_many_holes, with_objects)  # fmt: skip


@pytest.mark.parametrize("kind", ["h5", "weights.h5", "keras"])
def test_hdf5_that_leads_elsewhere(kind: str, tmp_path: Path) -> None:
    """Links to other files, data of other files and arrays without end are refused; the other file isn't opened."""
    files, work, canary = tmp_path / "files", tmp_path / "work", tmp_path / "canary.h5"
    files.mkdir()
    work.mkdir()
    with h5py.File(canary, "w") as secret:
        secret["secret"] = [1.0, 2.0, 3.0, 4.0]
    for change in HOSTILE:
        content = io.BytesIO((CHECKPOINTS / ("iris.h5" if kind == "h5" else "iris.weights.h5")).read_bytes())
        with h5py.File(content, "r+") as file:
            root = file["model_weights"] if kind == "h5" else file
            if "layers/dense" in root:
                del root["layers/dense"]
            root.require_group("layers")
            change(root, canary)
        data = content.getvalue()
        if kind == "keras":
            packed = io.BytesIO()
            with zipfile.ZipFile(CHECKPOINTS / "iris.keras") as old, zipfile.ZipFile(packed, "w") as new:
                for name in old.namelist():
                    new.writestr(name, data if name.endswith(".h5") else old.read(name))
            data = packed.getvalue()
        (files / f"{change.__name__}.{kind}").write_bytes(data)
    canary.unlink()
    os.mkfifo(canary)  # HDF5 opens files in C, unseen by Python; whoever opens this one waits without end
    said, crashes = looked_at(files, work, CHECKPOINTS / f"iris.{kind}")
    assert not crashes
    for file, (fault, _) in said.items():
        mutations.assert_sentence(fault)
        assert "FAULT" not in fault, (file, fault)
    assert len(said) == len(HOSTILE)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"class_name": "Lambda", "config": {"name": "evil", "function": ["4wEAAAA=", None, None]}}, "Lambda layer"),
        (
            {
                "class_name": "TimeDistributed",
                "config": {"layer": {"class_name": "Lambda", "config": {"name": "evil"}}},
            },
            "Lambda layer",
        ),
        (
            {"class_name": "Dense", "config": {"activation": {"class_name": "__lambda__", "config": {}}}},
            "Python lambda",
        ),
        ({"module": "os", "class_name": "system", "config": {"command": "touch marker"}}, "module 'os'"),
        ({"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/tmp/x"}}, "TFSMLayer"),
        (
            {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"},
            "the function 'exec'",
        ),
        ({"class_name": "Dense", "config": {"kernel": {"module": "subprocess", "class_name": "run"}}}, "subprocess"),
        ({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}, "'/etc/passwd'"),
    ],
)
@pytest.mark.parametrize("kind", ["h5", "keras"])
def test_files_that_hold_a_program(entry: dict[str, Any], words: str, kind: str, tmp_path: Path) -> None:
    """What a file would have Keras run is named in one sentence, with consent given, and Keras isn't started."""
    path = tmp_path / f"m.{kind}"
    content = io.BytesIO((CHECKPOINTS / f"iris.{kind}").read_bytes())
    if kind == "h5":
        with h5py.File(content, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            config["config"]["layers"].append(entry)
            file.attrs["model_config"] = json.dumps(config)
        path.write_bytes(content.getvalue())
    else:
        with zipfile.ZipFile(content) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                data = old.read(name)
                if name == "config.json":
                    config = json.loads(data)
                    config["config"]["layers"].append(entry)
                    data = json.dumps(config).encode()
                new.writestr(name, data)
    with pytest.raises(ConversionError) as refused:
        open_source(path, consent=True)
    assert words in str(refused.value)
    mutations.assert_sentence(str(refused.value))
    assert os.listdir(tmp_path) == [path.name]
