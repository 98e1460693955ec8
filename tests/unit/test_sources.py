"""What lies at a path that somebody wants to convert: told by content, running nothing, in bounded work."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.converting import graph_look, kinds, zip_look
from explorer.converting.checkpoint_files import files_of, latest_prefix, prefix_of, prefixes_in
from explorer.converting.graph_look import look_at_graph, look_at_text_graph
from explorer.converting.kinds import Source
from explorer.converting.source import find_source
from explorer.errors import ExplorerError, FormatError, PathNotFoundError, SourceError
from explorer.savedmodel.overlay import Document, FileSource
from explorer.savedmodel.table import read_table
from explorer.savedmodel.table_writer import write_table
from explorer.savedmodel.wire import encode_field as field
from explorer.savedmodel.wire import encode_header

FIXTURES = Path(__file__).parent.parent / "fixtures_sources"
SAMPLES = Path(__file__).parent.parent.parent / "sample_models"
NAMES = ("halves", "steps", "weights")
SHAPES = ((5,), (), (2, 3))


def unpacked(name: str) -> bytes:
    """A fixture that lies in the folder compressed."""
    return gzip.decompress((FIXTURES / name).read_bytes())


def node(name: str, op: str, *inputs: str) -> bytes:
    """A field of a GraphDef: one node without attributes."""
    return field(1, field(1, name) + field(2, op) + b"".join(field(3, one) for one in inputs))


GRAPH = node("x", "Placeholder") + node("y", "Neg", "x")
VARIABLE_GRAPH = node("w", "VariableV2") + GRAPH
META = field(1, field(5, "2.1.0")) + field(2, VARIABLE_GRAPH) + field(3, field(7, 2))
SAVED_MODEL = field(1, 1) + field(2, field(1, field(4, "serve")) + field(2, GRAPH))
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 99\n"
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(100)


def keras_zip(version: str | None = "3.5.0", config: object = None, *, weights: bool = True) -> bytes:
    """A ``.keras`` file as far as it is looked at."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        if version is not None:
            archive.writestr("metadata.json", json.dumps({"keras_version": version, "date_saved": "2026-01-01"}))
        whole = {"module": "keras", "class_name": "Sequential", "config": {"name": "digits", "layers": []}}
        archive.writestr("config.json", json.dumps(whole if config is None else config))
        if weights:
            archive.writestr("model.weights.h5", HDF5)
    return content.getvalue()


def zipped(*names: str) -> bytes:
    """A zip archive of empty files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("frozen.pb", GRAPH, kinds.FROZEN_GRAPH, "a frozen graph (GraphDef) with 2 nodes"),
        ("graph_of_another_name.bin", GRAPH, kinds.FROZEN_GRAPH, "a frozen graph"),
        ("saved_model.pb", GRAPH, kinds.FROZEN_GRAPH, "a frozen graph"),
        ("train.pb", VARIABLE_GRAPH, kinds.VARIABLE_GRAPH, "with 3 nodes, 1 of them variables"),
        (
            "text.pbtxt",
            b'node {\n name: "x"\n op: "Placeholder"\n}\n',
            kinds.FROZEN_GRAPH_TEXT,
            "in text form with 1 node",
        ),
        ("graph.pbtxt", b'# made by hand\nnode { name: "w" op: "VariableV2" }', kinds.VARIABLE_GRAPH, "in text form"),
        ("model.keras", keras_zip(), kinds.KERAS_FILE, "a .keras file of Keras 3"),
        ("model.keras", keras_zip("2.15.0"), kinds.KERAS_FILE_TF_KERAS, "Keras 2 (tf_keras)"),
        ("old.keras", HDF5, kinds.HDF5, "an HDF5 file"),
        ("model.h5", HDF5, kinds.HDF5, "an HDF5 file"),
        ("shifted.h5", bytes(512) + HDF5, kinds.HDF5, "an HDF5 file"),
        ("model.weights.h5", HDF5, kinds.HDF5, "by its name a file of Keras weights"),
    ],
)
def test_a_file_is_told_by_its_content(tmp_path: Path, name: str, content: bytes, kind: str, words: str) -> None:
    """What can be converted is recognised whatever its name is, except that weights are told from models by name."""
    (tmp_path / name).write_bytes(content)
    found = find_source(tmp_path / name)
    assert (found.kind, found.problem) == (kind, "") and words in found.title
    assert found.can_be_converted and found.files == (tmp_path / name,)
    assert found.runs_code == (kind in (kinds.KERAS_FILE, kinds.KERAS_FILE_TF_KERAS, kinds.HDF5))


@pytest.mark.parametrize(
    ("name", "content", "kind", "words"),
    [
        ("model.tflite", b"\x1c\0\0\0TFL3" + bytes(50), "tflite", "no way back"),
        ("model.onnx", field(1, 7) + field(2, "pytorch") + field(7, b""), "onnx", "ONNX"),
        ("model.zip", zipped("net/saved_model.pb", "net/variables/"), "zip", "1 SavedModel in it ('net')"),
        ("model.zip", zipped("readme.txt"), "zip", "'readme.txt'"),
        ("model.pt", zipped("archive/data.pkl", "archive/version"), "zip", "PyTorch"),
        ("weights.npz", zipped("w.npy", "b.npy"), "zip", "numpy"),
        ("broken.zip", zipped("a")[:40], "zip", "damaged"),
        ("empty.keras", keras_zip(weights=False), kinds.KERAS_FILE, "'model.weights.h5' is missing"),
        ("pointer.pb", POINTER, "lfs_pointer", "git lfs pull"),
        ("page.pb", b"<!DOCTYPE html><html>404", "html", "a web page"),
        ("error.pb", b'{"error": "not found"}', "json", "JSON"),
        ("model.json", b'{"class_name": "Sequential", "config": {}}', "keras_json", "as its architecture"),
        ("model.json", b'{"format": "graph-model", "modelTopology": {}}', "tfjs", "TensorFlow.js"),
        ("model.pkl", b"\x80\x04\x95" + bytes(20), "pickle", "never opened"),
        ("model.pth", b"\x80\x02}q\0.", "pickle", "never opened"),
        ("a.npy", b"\x93NUMPY\x01\0" + bytes(20), "npy", "numpy"),
        ("model.safetensors", (30).to_bytes(8, "little") + b'{"w":{"dtype":"F32"}}', "safetensors", "safetensors"),
        ("model.gguf", b"GGUF" + bytes(20), "gguf", "GGUF"),
        ("labels.pbtxt", b'item { id: 1 name: "cat" }', "label_map", "label map"),
        ("events.out.tfevents.1", bytes(12) + b"\x1a\x0dbrain.Event:2", "event_file", "TensorBoard"),
        ("nothing.pb", b"", "empty_file", "empty file"),
        ("noise.pb", b"\xff\xfe\xfd what is this", "unknown", "a graph (.pb, .pbtxt), a checkpoint"),
        ("other.pb", SAVED_MODEL, kinds.SAVED_MODEL, "call it 'saved_model.pb'"),
        ("cut.pb", GRAPH[:-3], kinds.FROZEN_GRAPH, "cut off or damaged"),
    ],
)
def test_what_cannot_be_converted_is_named(tmp_path: Path, name: str, content: bytes, kind: str, words: str) -> None:
    """Anything else is said to be what it is, with a reason or with what to do."""
    (tmp_path / name).write_bytes(content)
    found = find_source(tmp_path / name)
    assert found.kind == kind and found.problem and not found.can_be_converted
    assert words in f"{found.title}; {found.problem}"


def test_a_graph_says_what_it_needs(tmp_path: Path) -> None:
    """A frozen graph needs a signature, one with variables the checkpoint that has their values."""
    (tmp_path / "frozen.pb").write_bytes(GRAPH + field(2, field(1, b"") + field(1, b"")))
    found = find_source(tmp_path / "frozen.pb")
    assert [need.what for need in found.needs] == [kinds.SIGNATURE] and found.graph_file == tmp_path / "frozen.pb"
    assert ("Placeholders", "'x'") in found.facts and ("Functions", "2") in found.facts
    (tmp_path / "frozen.pb").write_bytes(VARIABLE_GRAPH)
    assert [need.what for need in find_source(tmp_path / "frozen.pb").needs] == [kinds.CHECKPOINT]


NEW, OLD = FIXTURES / "new", FIXTURES / "old"


@pytest.mark.parametrize(
    ("path", "kind", "files"),
    [
        (NEW / "model.ckpt-10", kinds.TF1_CHECKPOINT, 3),
        (NEW / "model.ckpt-10.index", kinds.TF1_CHECKPOINT, 3),
        (NEW / "model.ckpt-10.meta", kinds.TF1_CHECKPOINT, 3),
        (NEW / "model.ckpt-10.data-00000-of-00001", kinds.TF1_CHECKPOINT, 3),
        (NEW / "checkpoint", kinds.TF1_CHECKPOINT, 3),
        (NEW, kinds.TF1_CHECKPOINT, 3),
        (NEW / "model.ckpt-9", kinds.TF1_CHECKPOINT_NO_GRAPH, 2),
        (FIXTURES / "new_sharded", kinds.TF1_CHECKPOINT_NO_GRAPH, 3),
        (OLD / "model.ckpt", kinds.V1_CHECKPOINT_NO_GRAPH, 1),
        (OLD, kinds.V1_CHECKPOINT_NO_GRAPH, 1),
        (FIXTURES / "old_sharded", kinds.V1_CHECKPOINT_NO_GRAPH, 2),
        (FIXTURES / "old_sharded" / "model.ckpt", kinds.V1_CHECKPOINT_NO_GRAPH, 2),
        (FIXTURES / "old_sharded" / "model.ckpt-00001-of-00002", kinds.V1_CHECKPOINT_NO_GRAPH, 2),
    ],
)
def test_a_checkpoint_is_found_from_any_side(path: Path, kind: str, files: int) -> None:
    """By its prefix, by any of its files, by its folder or the list in it, in either format, one file or several."""
    found = find_source(path)
    assert (found.kind, len(found.files), found.problem) == (kind, files, "")
    assert tuple(one.name for one in found.variables) == NAMES
    assert tuple(one.shape for one in found.variables) == SHAPES
    assert sum(one.size_bytes for one in found.variables) == 52
    assert found.path.name.startswith("model.ckpt") and found.path.parent == (path if path.is_dir() else path.parent)
    whats = [need.what for need in found.needs]
    assert whats == ([kinds.SIGNATURE] if kind == kinds.TF1_CHECKPOINT else [kinds.GRAPH])
    assert (found.graph_file is not None) == (kind == kinds.TF1_CHECKPOINT)


def test_an_old_checkpoint_has_its_graph_beside_it(tmp_path: Path) -> None:
    """``model.ckpt`` and ``model.ckpt.meta`` belong together, whichever one points at."""
    shutil.copy(OLD / "model.ckpt", tmp_path)
    (tmp_path / "model.ckpt.meta").write_bytes(META)
    for name in ("model.ckpt", "model.ckpt.meta"):
        found = find_source(tmp_path / name)
        assert (found.kind, found.problem) == (kinds.V1_CHECKPOINT, "")
        assert found.graph_file == tmp_path / "model.ckpt.meta" and found.path == tmp_path / "model.ckpt"


def test_a_checkpoint_of_objects_says_which() -> None:
    """Of a checkpoint of TensorFlow 2 the names at its root are told, and that it needs a model."""
    found = find_source(FIXTURES / "objects")
    assert (found.kind, found.problem) == (kinds.TF2_CHECKPOINT, "")
    assert ("Objects at its root", "'model', 'step', 'save_counter'") in found.facts
    assert {need.what for need in found.needs} == {kinds.ARCHITECTURE, kinds.MODEL}
    assert "model/part/bias/.ATTRIBUTES/VARIABLE_VALUE" in [one.name for one in found.variables]


def test_the_variables_of_a_saved_model_name_it() -> None:
    """Who points at ``variables/variables`` is told which SavedModel that belongs to."""
    found = find_source(SAMPLES / "module" / "1" / "variables" / "variables.index")
    assert dict(found.facts)["Belongs to"].startswith("the SavedModel ")


def copied(folder: Path, source: Path) -> Path:
    """A copy of a fixture's folder that a test may spoil."""
    shutil.copytree(source, folder)
    return folder


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("model.ckpt.data-00001-of-00002", "put 'model.ckpt.data-00001-of-00002' beside the index"),
        ("model.ckpt.index", "'model.ckpt.index' is missing"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, missing: str, words: str) -> None:
    """A lost data file or index is named; the variables are still listed where the index is there."""
    folder = copied(tmp_path / "run", FIXTURES / "new_sharded")
    (folder / missing).unlink()
    found = find_source(folder / "model.ckpt")
    assert words in found.problem and bool(found.variables) == (missing != "model.ckpt.index")


def test_missing_parts_of_an_old_checkpoint_are_named(tmp_path: Path) -> None:
    """One of two numbered files is not a whole checkpoint."""
    folder = copied(tmp_path / "run", FIXTURES / "old_sharded")
    (folder / "model.ckpt-00000-of-00002").unlink()
    assert "'model.ckpt-00000-of-00002'" in find_source(folder / "model.ckpt").problem


def test_all_values_missing(tmp_path: Path) -> None:
    """An index alone, a .meta alone and a pointer in the place of the data are told apart."""
    folder = copied(tmp_path / "run", NEW)
    data = folder / "model.ckpt-10.data-00000-of-00001"
    data.write_bytes(POINTER)
    assert "Git LFS pointer" in find_source(folder / "model.ckpt-10").problem
    data.write_bytes(bytes(51))
    assert "has 51 bytes, and its variables need 52" in find_source(folder / "model.ckpt-10").problem
    data.unlink()
    assert find_source(folder / "model.ckpt-10").problem.startswith("the values are missing")
    (folder / "model.ckpt-10.index").unlink()
    alone = find_source(folder / "model.ckpt-10.meta")
    assert alone.kind == kinds.META_GRAPH and "'model.ckpt-10.index'" in alone.problem
    assert find_source(folder / "model.ckpt-10").kind == kinds.META_GRAPH


@pytest.mark.parametrize("spoil", ["cut", "pointer", "html", "empty"])
def test_a_damaged_graph_leaves_the_checkpoint(tmp_path: Path, spoil: str) -> None:
    """A .meta that can't be read is named, and the checkpoint is one without a graph."""
    folder = copied(tmp_path / "run", NEW)
    meta = folder / "model.ckpt-10.meta"
    content = {"cut": meta.read_bytes()[:5000], "pointer": POINTER, "html": b"<html></html>", "empty": b""}[spoil]
    meta.write_bytes(content)
    found = find_source(folder / "model.ckpt-10")
    assert (found.kind, found.problem, found.graph_file) == (kinds.TF1_CHECKPOINT_NO_GRAPH, "", None)
    assert "'model.ckpt-10.meta'" in found.needs[0].sentence


def test_an_index_that_is_none(tmp_path: Path) -> None:
    """What is only called an index says so in one sentence."""
    folder = copied(tmp_path / "run", NEW)
    index = folder / "model.ckpt-10.index"
    content = index.read_bytes()
    for spoiled, words in (
        (content[:-4], "cut off"),
        (POINTER, "Git LFS pointer"),
        (b"x" * 60 + content[60:], "no readable index"),
    ):
        index.write_bytes(spoiled)
        assert words in find_source(index).problem


@pytest.mark.parametrize(
    "name",
    [
        "../secret/model.ckpt-10", "/home/someone/run/model.ckpt-10", "..\\\\secret\\\\model.ckpt-10",
        "C:\\\\run\\\\model.ckpt-10", "link/model.ckpt-10", "sub/../../secret/model.ckpt-10", "../run/./model.ckpt-10",
    ],
)  # fmt: skip
def test_the_list_of_checkpoints_never_leads_outside(tmp_path: Path, name: str) -> None:
    """A path in it that leaves the folder, by dots, from the root or by a link, only names a file beside it."""
    secret, folder = copied(tmp_path / "secret", NEW), copied(tmp_path / "run", NEW)
    (folder / "link").symlink_to(secret)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n')
    opened: list[str] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and listening:
            opened.append(str(arguments[0]))

    listening = True
    sys.addaudithook(note)
    found = find_source(folder)
    listening = False
    assert found.path == folder / "model.ckpt-10" and found.kind == kinds.TF1_CHECKPOINT
    assert not [path for path in opened if "secret" in path] and opened


def test_the_list_of_checkpoints_is_read_as_text(tmp_path: Path) -> None:
    """Escapes, other quotes and subfolders are understood; what names nothing gives nothing."""
    state = tmp_path / "checkpoint"
    for text, name in (
        ('model_checkpoint_path: "a\\"b\\303\\251\\x41"', 'a"béA'),
        ("all_model_checkpoint_paths: 'x'\nmodel_checkpoint_path: 'sub/y'", "sub/y"),
        ('model_checkpoint_path: ".."', None),
        ('model_checkpoint_path: ""', None),
        ("", None),
        ('model_checkpoint_path: "never closed', None),
        ('# model_checkpoint_path: "x"', None),
    ):
        state.write_text(text)
        assert latest_prefix(tmp_path) == (None if name is None else tmp_path / name)
    state.write_bytes(b'model_checkpoint_path: "\\377"')
    with pytest.raises(FormatError, match="not UTF-8"):
        latest_prefix(tmp_path)


def test_a_list_that_names_what_is_not_there(tmp_path: Path) -> None:
    """The latest checkpoint was removed: pointed at, the list says so; in a folder, the others are offered."""
    folder = copied(tmp_path / "run", NEW)
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-11"\n')
    assert "'model.ckpt-11', which isn't in this folder" in find_source(folder / "checkpoint").problem
    found = find_source(folder)
    assert found.kind == kinds.SEVERAL and "'model.ckpt-9', 'model.ckpt-10'" in found.problem


def test_a_folder_with_several_things_asks(tmp_path: Path) -> None:
    """What the Object Detection API publishes: a frozen graph, a checkpoint and a SavedModel in one folder."""
    shutil.copytree(SAMPLES / "linear" / "1", tmp_path / "saved_model")
    (tmp_path / "frozen_inference_graph.pb").write_bytes(GRAPH)
    for path in (OLD / "model.ckpt", FIXTURES / "new_sharded"):
        shutil.copytree(path, tmp_path, dirs_exist_ok=True) if path.is_dir() else shutil.copy(path, tmp_path / "x.ckpt")
    (tmp_path / "pipeline.config").write_text("model { ssd {} }")
    found = find_source(tmp_path)
    assert found.kind == kinds.SEVERAL and not found.can_be_converted
    assert [name for name, _ in found.facts] == ["saved_model", "model.ckpt", "frozen_inference_graph.pb"]
    assert "'frozen_inference_graph.pb'" in found.problem
    (tmp_path / "checkpoint").unlink()
    assert [name for name, _ in find_source(tmp_path).facts] == [
        "saved_model", "model.ckpt", "x.ckpt", "frozen_inference_graph.pb",
    ]  # fmt: skip


def test_a_folder_with_one_thing_is_that(tmp_path: Path) -> None:
    """The only graph or Keras file of a folder is meant; a training graph beside checkpoints is not."""
    (tmp_path / "notes.txt").write_text("trained in March")
    assert find_source(tmp_path).kind == kinds.NOTHING
    (tmp_path / "model.h5").write_bytes(HDF5)
    assert find_source(tmp_path).path == tmp_path / "model.h5"
    folder = copied(tmp_path / "run", NEW)
    (folder / "graph.pbtxt").write_text('node { name: "w" op: "VariableV2" }')
    assert find_source(folder).kind == kinds.TF1_CHECKPOINT
    (folder / "model.ckpt-10.meta").unlink()
    assert "'graph.pbtxt' beside it" in find_source(folder).needs[0].sentence


def test_an_unpacked_keras_file_is_named(tmp_path: Path) -> None:
    """Model hubs hold .keras files unpacked; nothing loads them so."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metadata.json").write_text("{}")
    (tmp_path / "model.weights.h5").write_bytes(HDF5)
    found = find_source(tmp_path)
    assert found.kind == kinds.NOTHING and "unpacked .keras file" in found.title and "zip" in found.problem


@pytest.mark.parametrize("path", ["linear", "linear/1", "linear/1/saved_model.pb", "text_format/1/saved_model.pbtxt"])
def test_a_saved_model_is_one_already(path: str) -> None:
    """By its base path, its folder or its file."""
    found = find_source(SAMPLES / path)
    assert (found.kind, found.problem, found.needs) == (kinds.SAVED_MODEL, "", ())


def test_nothing_there(tmp_path: Path) -> None:
    """A slip is answered with what is near: a file, or the prefix of a checkpoint."""
    folder = copied(tmp_path / "run", NEW)
    with pytest.raises(PathNotFoundError, match=r"did you mean .*'model\.ckpt-10'"):
        find_source(folder / "model.ckpt-1")
    with pytest.raises(PathNotFoundError, match="isn't even a folder"):
        find_source(tmp_path / "gone" / "model.ckpt")
    with pytest.raises(PathNotFoundError, match="NUL"):
        find_source("a\0b")
    with pytest.raises(SourceError, match="remote path"):
        find_source("gs://bucket/model.ckpt")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    with pytest.raises(PathNotFoundError, match="a link to something"):
        find_source(tmp_path / "dangling")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="a pipe"):
        find_source(tmp_path / "pipe")


def test_the_files_under_a_prefix(tmp_path: Path) -> None:
    """Files of longer names belong to other checkpoints, and numbers are sorted as numbers."""
    for name in (
        "m-1.index",
        "m-1.data-00000-of-00001",
        "m-10.index",
        "m-2.index",
        "m-1.data-00000-of-00001.tmp",
        "m-1x",
    ):
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in files_of(tmp_path / "m-1").all] == ["m-1.index", "m-1.data-00000-of-00001"]
    names = [path.name for path in prefixes_in(tmp_path, os.listdir(tmp_path))]
    assert names == ["m-1", "m-2", "m-10"]
    assert prefix_of(Path("a/m.index.index")) == Path("a/m.index") and prefix_of(Path("a/m.data")) is None


def test_the_version_of_keras_is_told_without_metadata(tmp_path: Path) -> None:
    """Where the version is missing or odd, the word for an input's shape tells which Keras wrote the file."""
    layer = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3]}}
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}
    path = tmp_path / "m.keras"
    path.write_bytes(keras_zip(None, config))
    assert find_source(path).kind == kinds.KERAS_FILE_TF_KERAS
    path.write_bytes(keras_zip("x.y", {"config": {"batch_shape": [None, 3]}, "class_name": 7}))
    assert find_source(path).kind == kinds.KERAS_FILE


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration larger than any is refused after so many bytes, and a directory of any length is not read."""
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", b" " * (zip_look.LARGEST_JSON + 1))
        archive.writestr("model.weights.h5", b"")
    assert "more than" in find_source(path).problem
    path.write_bytes(zipped(*(f"{number:060}" for number in range(60_000))))
    assert "directory of the zip archive" in find_source(path).problem
    deep = keras_zip("3.0.0").replace(b'"layers": []', b'"layers": []')
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "[" * 200_000)
        archive.writestr("model.weights.h5", b"")
    assert deep and "no readable JSON" in find_source(path).problem


def test_large_graphs_are_stepped_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a constant of many megabytes a few bytes are read, and a graph without end is not counted to its end."""

    class Counted:
        """A graph with a large constant that is never made."""

        size = 10 + len(encode_header(5, 1 << 30)) + (1 << 30)

        def __init__(self) -> None:
            start = field(1, "w") + field(2, "Const") + encode_header(5, 1 << 30)
            self.data = encode_header(1, len(start) + (1 << 30)) + start
            self.size = len(self.data) + (1 << 30)
            self.read = 0

        def read_at(self, offset: int, length: int) -> bytes:
            length = max(min(length, self.size - offset), 0)
            self.read += length
            return self.data[offset : offset + length].ljust(length, b"\0")

    counted = Counted()
    look = look_at_graph(counted)
    assert (look.nodes, look.damage) == (1, "") and counted.read < 1 << 18
    monkeypatch.setattr(graph_look, "MOST_NODES", 100)
    many = look_at_graph(Document.of_bytes(GRAPH * 100))
    assert (many.nodes, many.size, many.is_whole) == (100, "more than 100 nodes", False)
    assert not look_at_text_graph(Document.of_bytes(b"node {}\n" * 101)).is_whole


def test_text_is_counted_across_pieces() -> None:
    """Nodes of a long text are counted once each, wherever the text is cut for reading."""
    for pad in range(0, 40):
        text = b" " * pad + b'node {\n  name: "op: \\"Variable\\""\n  op: "VariableV2"\n}\n' * 3000
        look = look_at_text_graph(Document.of_bytes(text))
        assert (look.nodes, look.variables) == (3000, 3000)


def test_old_checkpoints_are_read_by_position(tmp_path: Path) -> None:
    """Of a checkpoint that keeps its weights in the table only the list of its tensors is read."""
    pairs = list(read_table((OLD / "model.ckpt").read_bytes()))
    pairs.insert(1, (b"\0a", bytes(8 << 20)))
    path = tmp_path / "model.ckpt"
    path.write_bytes(write_table(pairs))
    read = 0
    original = FileSource.read_at

    def count(source: FileSource, offset: int, length: int) -> bytes:
        nonlocal read
        data = original(source, offset, length)
        read += len(data)
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileSource, "read_at", count)
        found = find_source(path)
    assert tuple(one.name for one in found.variables) == NAMES and read < 1 << 16


def test_nothing_of_tensorflow_is_imported() -> None:
    """To say what a path is takes neither TensorFlow nor numpy."""
    paths = [str(NEW), str(OLD), str(FIXTURES / "objects"), str(SAMPLES / "linear")]
    code = (
        "import sys; from explorer.converting.source import find_source\n"
        f"for path in {paths!r}: assert not find_source(path).problem\n"
        "assert not {'tensorflow', 'keras', 'h5py', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def checked(path: Path) -> Source | None:
    """What a path is, or None where it is refused; anything but our own errors fails the test."""
    try:
        found = find_source(path)
    except ExplorerError as error:
        assert "\n" not in str(error)
        return None
    for sentence in (
        found.title,
        found.problem,
        *(need.sentence for need in found.needs),
        *itertools.chain(*found.facts),
    ):
        assert "\n" not in sentence
    return found


def mutations(content: bytes, chance: random.Random, count: int) -> Iterator[bytes]:
    """A file with bytes flipped, cut off, doubled, or taken out."""
    for _ in range(count):
        data = bytearray(content)
        at = chance.randrange(len(data))
        match chance.randrange(5):
            case 0:
                del data[at:]
            case 1:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                data[at : at + chance.randrange(1, 9)] = chance.randbytes(chance.randrange(9))
            case 3:
                data[at:at] = data[at : at + chance.randrange(1, 40)]
            case _:
                for _ in range(4):
                    data[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        yield bytes(data)


@pytest.mark.parametrize(
    "name",
    ["new/model.ckpt-10.index", "new/model.ckpt-10.meta", "new/checkpoint", "old/model.ckpt", "objects/ckpt-1.index",
     "objects/ckpt-1.data-00000-of-00001", "old_sharded/model.ckpt-00001-of-00002"],
)  # fmt: skip
def test_mutated_checkpoints_are_refused_or_read(tmp_path: Path, name: str) -> None:
    """Whatever happens to a file of a checkpoint: one sentence, or something readable."""
    folder = copied(tmp_path / "run", (FIXTURES / name).parent)
    path = folder / Path(name).name
    chance = random.Random(name)
    content = path.read_bytes()
    for spoiled in mutations(content, chance, 250):
        path.write_bytes(spoiled)
        checked(path)
        checked(folder)


@pytest.mark.parametrize("name", ["lenet.meta.gz", "slim.pb.gz", "detection.pb.gz", "model.keras", "graph.pbtxt"])
def test_mutated_files_are_refused_or_read(tmp_path: Path, name: str) -> None:
    """The same for graphs and Keras files."""
    path = tmp_path / name.removesuffix(".gz")
    if name.endswith(".gz"):
        content = unpacked(name)
    else:
        content = keras_zip() if name == "model.keras" else b'node {\n  name: "x"\n  op: "Placeholder"\n}\n' * 20
    for spoiled in mutations(content, random.Random(name), 250):
        path.write_bytes(spoiled)
        checked(path)


@pytest.mark.parametrize("name", ["new/model.ckpt-10.index", "old/model.ckpt", "objects/ckpt-1.index"])
def test_mutations_behind_right_checksums(tmp_path: Path, name: str) -> None:
    """Tables whose checksums are right and whose messages are not: what an attacker would make."""
    folder = copied(tmp_path / "run", (FIXTURES / name).parent)
    path = folder / Path(name).name
    pairs = list(read_table(path.read_bytes()))
    chance = random.Random(name)
    for _ in range(400):
        spoiled = list(pairs)
        at = chance.randrange(len(spoiled))
        key, value = spoiled[at]
        if value:
            spoiled[at] = key, next(mutations(value, chance, 1))
        path.write_bytes(write_table(spoiled))
        checked(path)


FILE_NAMES = ("model.pb", "x.pbtxt", "checkpoint", "m.index", "m.meta", "m.ckpt", "m.data-00000-of-00001", "k.keras")
BEGINNINGS = (
    GRAPH,
    VARIABLE_GRAPH,
    META,
    SAVED_MODEL,
    POINTER,
    HDF5,
    b"node {",
    b"PK\x03\x04",
    b"PK\x05\x06" + bytes(18),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(FILE_NAMES),
    content=st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(BEGINNINGS)).map(b"".join)),
)
def test_any_bytes_under_any_name(tmp_path: Path, name: str, content: bytes) -> None:
    """No content and no name brings anything but a description or one of our errors."""
    (tmp_path / name).write_bytes(content)
    checked(tmp_path / name)
    (tmp_path / name).unlink()
