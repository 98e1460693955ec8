"""What a path means: a version, a base path, or something else that is named for what it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import ExplorerError, NotASavedModelError, PathNotFoundError, UnknownVersionError
from explorer.savedmodel import wire
from explorer.savedmodel.folder import find_model, list_files, list_versions, parse_version
from explorer.savedmodel.opening import open_saved_model

MODEL = wire.encode_field(1, 1) + wire.encode_field(
    2, wire.encode_field(1, wire.encode_field(4, "serve") + wire.encode_field(5, "2.21.0"))
)
"""The smallest file that is a SavedModel: one meta graph, tagged serve."""


def model_at(folder: Path) -> Path:
    """A folder with that model."""
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(MODEL)
    return folder


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("0", 0), ("7", 7), ("007", 7), ("+8", 8), ("-5", -5), (" 9 ", 9), ("00000124", 124),
        ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)), ("9223372036854775808", None),
        ("v9", None), ("9.tmp", None), ("12_old", None), ("temp-99", None), ("0x1", None), ("", None), ("+", None),
        ("1 2", None), ("١", None), ("1" * 10_000, None), ("--1", None), ("1e3", None),
    ],
)  # fmt: skip
def test_version_names_are_read_as_tensorflow_serving_reads_them(name: str, number: int | None) -> None:
    """absl::SimpleAtoi: blanks around, a sign, leading zeros, 64 bits, and nothing else."""
    assert parse_version(name) == number


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 5))
def test_every_64_bit_number_is_a_version(number: int, zeros: int) -> None:
    """However many zeros stand in front."""
    text = f"{'-' if number < 0 else ''}{'0' * zeros}{abs(number)}"
    assert parse_version(text) == number


def test_a_base_path_means_its_largest_version(tmp_path: Path) -> None:
    """9 is smaller than 10, and what isn't a number is no version."""
    for name in ("9", "10", "latest", "11.tmp"):
        model_at(tmp_path / "base" / name)
    found = find_model(tmp_path / "base")
    assert (found.version, found.path) == (10, tmp_path / "base" / "10")
    assert [version.number for version in list_versions(tmp_path / "base")] == [9, 10]
    assert find_model(tmp_path / "base", 9).path == tmp_path / "base" / "9"


def test_a_version_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    """The sentence says which numbers there are; the error carries them."""
    model_at(tmp_path / "base" / "1")
    with pytest.raises(UnknownVersionError, match="no version 2; available: 1") as caught:
        find_model(tmp_path / "base", 2)
    assert caught.value.available == (1,)
    with pytest.raises(UnknownVersionError, match="is itself a SavedModel"):
        find_model(tmp_path / "base" / "1", 2)


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    """Kubernetes mounts a model as a link to a folder of links, and Hugging Face's cache as a folder of links."""
    model_at(tmp_path / "..data_2" / "1")
    (tmp_path / "..data").symlink_to("..data_2")
    (tmp_path / "model").symlink_to("..data")
    blob = tmp_path / "blob"
    blob.write_bytes(MODEL)
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "saved_model.pb").symlink_to(blob)
    assert open_saved_model(tmp_path / "model").version == 1
    assert open_saved_model(tmp_path / "model").path == tmp_path / "model" / "1"
    assert open_saved_model(tmp_path / "snapshot").version is None


def test_the_path_is_absolute_and_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` and relative paths mean what they mean in a shell; the file itself can be given too."""
    model_at(tmp_path / "m" / "3")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path in ("~/m", "m", "m/3", "./m/3/", "m/3/saved_model.pb"):
        model = open_saved_model(path)
        assert (model.path, model.version) == (tmp_path / "m" / "3", 3)


def files_at(folder: Path, *names: str) -> Path:
    """A folder with some files in it."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_other_folders_are_named_for_what_they_are(tmp_path: Path) -> None:
    """Each sentence says what is there instead, and what to do."""
    (tmp_path / "empty").mkdir()
    model_at(tmp_path / "below" / "v1")
    model_at(tmp_path / "two" / "model" / "1")
    cases = {
        tmp_path / "empty": ("empty_folder", "is an empty folder"),
        files_at(tmp_path / "half", "variables/variables.index"): ("half_copied", "half copied"),
        files_at(tmp_path / "versions", "1/readme"): ("empty_versions", "none of them holds a saved_model.pb"),
        tmp_path / "below": ("models_below", "'v1' in it is: open that"),
        tmp_path / "two": ("bases_below", "'model' in it is"),
        files_at(tmp_path / "keras", "model.h5"): ("hdf5", "an HDF5 file"),
        files_at(tmp_path / "checkpoint", "ckpt-1.index"): ("checkpoint", "a checkpoint"),
        files_at(tmp_path / "other", "notes.txt"): ("no_model", "it holds 'notes.txt'"),
        files_at(tmp_path / "chunked", "saved_model.cpb"): ("chunked", "chunked form"),
    }
    for path, (kind, about) in cases.items():
        with pytest.raises(NotASavedModelError, match=about) as caught:
            open_saved_model(path)
        assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("content", "kind", "about"),
    [
        (b"", "empty_file", "empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 4711\n", "lfs_pointer", "4711 bytes"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "hdf5", "HDF5"),
        (b"PK\x03\x04" + b"\0" * 50, "zip", "zip archive"),
        (b"\x1f\x8b" + b"\0" * 50, "gzip", "gzip archive"),
        (b"\x1c\0\0\0TFL3" + b"\0" * 50, "tflite", "TensorFlow Lite"),
        (b"\n<!DOCTYPE html><html>", "html", "web page"),
        (b'{"error": "not found"}', "json", "JSON"),
        (
            wire.encode_field(1, wire.encode_field(1, "x") + wire.encode_field(2, "Placeholder")),
            "frozen_graph",
            "GraphDef",
        ),
        (wire.encode_field(1, 7) + wire.encode_field(2, "pytorch") + wire.encode_field(7, b"\x0a\0"), "onnx", "ONNX"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, kind: str, about: str) -> None:
    """A file called saved_model.pb that is something else is told by its content."""
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(NotASavedModelError, match=about) as caught:
        open_saved_model(tmp_path)
    assert caught.value.kind == kind


def test_archives_get_a_sentence(tmp_path: Path) -> None:
    """A model that is still packed is named as such, not called missing."""
    (tmp_path / "model.zip").write_bytes(b"PK\x03\x04" + b"\0" * 50)
    (tmp_path / "model.tar.gz").write_bytes(b"\x1f\x8b" + b"\0" * 50)
    for name in ("model.zip", "model.tar.gz"):
        with pytest.raises(NotASavedModelError, match=r"archive.*unpack it first"):
            open_saved_model(tmp_path / name)


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    """A typo is met with the closest name; a broken link, a loop and a NUL each with a sentence."""
    model_at(tmp_path / "half_plus_two" / "1")
    with pytest.raises(PathNotFoundError, match="did you mean 'half_plus_two'"):
        open_saved_model(tmp_path / "half_plus_tow")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    with pytest.raises(PathNotFoundError, match="a link to something that isn't there"):
        open_saved_model(tmp_path / "broken")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "loop", "a\0b", "gs://bucket/model", "x" * 5000):
        with pytest.raises(ExplorerError) as caught:
            open_saved_model(path)
        assert "\n" not in str(caught.value)


def test_unreadable_things_end_in_a_sentence(tmp_path: Path) -> None:
    """A pipe or a folder called saved_model.pb is refused, and nothing waits for the pipe."""
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "saved_model.pb")
    (tmp_path / "folder" / "saved_model.pb").mkdir(parents=True)
    for name in ("pipe", "folder"):
        with pytest.raises(ExplorerError, match="no regular file"):
            open_saved_model(tmp_path / name)


def test_files_are_listed_with_their_sizes(tmp_path: Path) -> None:
    """Every file of the folder, by its path inside it."""
    model_at(tmp_path / "m")
    files_at(tmp_path / "m", "variables/variables.index", "assets/vocab.txt")
    assert [(file.name, file.size_bytes) for file in list_files(tmp_path / "m")] == [
        ("assets/vocab.txt", 1),
        ("saved_model.pb", len(MODEL)),
        ("variables/variables.index", 1),
    ]
