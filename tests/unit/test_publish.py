"""Publishing: a version appears whole or not at all, and takes nothing along that it shouldn't."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import ExplorerError, ExportError, FormatError
from explorer.exporting import copying, source_tree, staging
from explorer.exporting.publish import Published, next_version, publish

PROJECT = Path(__file__).resolve().parents[2]
NEW_MODEL = b"the new model"
FILES = {
    "saved_model.pb": b"the old model",
    "fingerprint.pb": b"stale",
    "keras_metadata.pb": b"keras",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 500,
    "assets/vocabulary with blanks \u00e4.txt": b"a\nb\n",
    "assets.extra/tf_serving_warmup_requests": b"warm",
    "debug/deep/er/note": b"",
    "1/odd": b"a numbered folder inside a model is a folder like any other",
}


def write_new_model(stream: BinaryIO) -> None:
    """Writes what stands for an edited model."""
    stream.write(NEW_MODEL)


def content(folder: Path) -> dict[str, bytes | None]:
    """Every file's bytes, and None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.is_file() or path.is_dir()
    }


def hidden(base: Path) -> list[str]:
    """The names of staging places."""
    return [name for name in os.listdir(base) if name.startswith(".tmp-export-")]


@pytest.fixture(autouse=True)
def quick_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fsync does to a disk is nothing that a test could see, and it takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder that looks like a model's, with some of everything."""
    folder = tmp_path / "source"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "assets" / "empty").mkdir()
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base path that isn't there yet."""
    return tmp_path / "base"


def export(source: Path, base: Path, **options: Any) -> Published:
    """Publishes with the new model unless another ``write_model`` is given."""
    return publish(source, base, options.pop("write_model", write_new_model), "saved_model.pb", **options)


@contextlib.contextmanager
def refused(source: Path, base: Path, match: str) -> Iterator[None]:
    """What runs inside must raise an ExportError of one line and leave source and base path as they were."""
    before = content(source), content(base) if base.exists() else None
    with pytest.raises(ExportError, match=match) as caught:
        yield
    assert "\n" not in str(caught.value)
    assert (content(source), content(base) if base.exists() else None) == before


class TestWhatIsWritten:
    @pytest.mark.parametrize("by_descriptor", [True, False])
    def test_everything_but_the_model_is_copied_byte_for_byte(
        self, source: Path, base: Path, by_descriptor: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The new version is the source with another model file; the source stays; nothing hidden remains."""
        if not by_descriptor:
            monkeypatch.setattr(source_tree, "_WALKS_BY_DESCRIPTOR", False)
        before = content(source)
        published = export(source, base)
        assert published.path == base / "1"
        assert published.version == 1
        assert published.base_path == base
        assert published.notes == ()
        assert content(published.path) == before | {"saved_model.pb": NEW_MODEL}
        assert content(source) == before
        assert os.listdir(base) == ["1"]

    def test_the_files_are_accounted_for(self, source: Path, base: Path) -> None:
        """Each file is listed with its size and what became of it."""
        published = export(
            source, base, leave_out={"fingerprint.pb": "it would be stale"}, replace={"assets.extra/new": b"123"}
        )
        rows = {file.name: (file.size_bytes, file.how, file.reason) for file in published.files}
        assert rows["saved_model.pb"] == (len(NEW_MODEL), "written", "")
        assert rows["fingerprint.pb"] == (5, "left out", "it would be stale")
        assert rows["assets.extra/new"] == (3, "written", "")
        assert rows["variables/variables.data-00000-of-00001"] == (128_000, "copied", "")
        assert set(rows) == set(FILES) | {"assets.extra/new"}
        assert not (published.path / "fingerprint.pb").exists()

    def test_the_second_model_file_is_left_out(self, source: Path, base: Path) -> None:
        """Beside the file that was read and edited no other one stays, because it would tell the old truth."""
        (source / "saved_model.pbtxt").write_bytes(b"text")
        (source / "saved_model.cpb").write_bytes(b"chunks")
        published = export(source, base)
        rows = {file.name: file for file in published.files}
        for name in ("saved_model.pbtxt", "saved_model.cpb"):
            assert rows[name].how == "left out"
            assert "saved_model.pb" in rows[name].reason
            assert not (published.path / name).exists()

    def test_a_pbtxt_stays_a_pbtxt(self, source: Path, base: Path) -> None:
        """A model that was read from text is written as text, alone."""
        (source / "saved_model.pb").rename(source / "saved_model.pbtxt")
        published = publish(source, base, write_new_model, "saved_model.pbtxt")
        assert (published.path / "saved_model.pbtxt").read_bytes() == NEW_MODEL
        assert not (published.path / "saved_model.pb").exists()

    def test_left_out_folders_and_replaced_files(self, source: Path, base: Path) -> None:
        """A folder can be left out whole; a replaced file has the new bytes; what isn't there needs no leaving out."""
        name = "assets.extra/tf_serving_warmup_requests"
        published = export(source, base, leave_out={"debug": "big", "nowhere": "?"}, replace={name: b"new"})
        assert not (published.path / "debug").exists()
        assert (published.path / name).read_bytes() == b"new"
        assert [file.name for file in published.files if file.how == "left out"] == ["debug"]

    def test_modes_and_times_are_kept(self, source: Path, base: Path) -> None:
        """Permission bits and times of copied files are those of the source; bits that lend rights are not."""
        index = source / "variables/variables.index"
        index.chmod(0o4640)
        (source / "saved_model.pb").chmod(0o604)
        os.utime(index, ns=(10**18, 10**18 + 1000))
        path = export(source, base).path
        copied = (path / "variables/variables.index").stat()
        assert stat.S_IMODE(copied.st_mode) == 0o640
        assert copied.st_mtime_ns == 10**18 + 1000
        assert stat.S_IMODE((path / "saved_model.pb").stat().st_mode) == 0o604

    def test_the_model_is_written_last(self, source: Path, base: Path) -> None:
        """While the model's file is written, every other file is complete already, and no number is to be seen."""
        seen: list[dict[str, bytes | None]] = []

        def write(stream: BinaryIO) -> None:
            assert next_version(base) == 1
            seen.append(content(base / hidden(base)[0] / "model"))
            stream.write(NEW_MODEL)

        export(source, base, write_model=write)
        assert seen[0] == content(source) | {"saved_model.pb": b""}

    @pytest.mark.parametrize("failure", [errno.EXDEV, errno.ENOSYS, None])
    def test_copies_without_help_of_the_kernel(
        self, source: Path, base: Path, failure: int | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where copy_file_range fails, or says 0 before the end, the bytes are read and written."""

        def copy_file_range(*_: object) -> int:
            if failure is None:
                return 0
            raise OSError(failure, "no")

        monkeypatch.setattr(os, "copy_file_range", copy_file_range, raising=False)
        assert content(export(source, base).path) == content(source) | {"saved_model.pb": NEW_MODEL}

    def test_links_on_request(self, source: Path, base: Path) -> None:
        """With link=True the source's own files get a second name, all but the model's."""
        published = export(source, base, link=True)
        index = published.path / "variables/variables.index"
        assert index.samefile(source / "variables/variables.index")
        assert not (published.path / "saved_model.pb").samefile(source / "saved_model.pb")
        assert {file.how for file in published.files if file.name != "saved_model.pb"} == {"linked"}

    def test_links_that_cannot_be_made_become_copies(
        self, source: Path, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On another file system link=True copies and says so in one note."""

        def link(*_: object, **__: object) -> None:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr(copying, "_link", link)
        published = export(source, base, link=True)
        assert {file.how for file in published.files} == {"written", "copied"}
        assert len(published.notes) == 1
        assert "could not be linked" in published.notes[0]


class TestNumbers:
    @pytest.mark.parametrize(
        ("names", "number"),
        [
            ([], 1),
            (["1", "2"], 3),
            (["00000123", "00000124"], 125),
            (["007"], 8),
            (["+8", " 9 ", "\t10\n"], 11),
            (["-5"], 1),
            (["0"], 1),
            (["3.tmp", "v9", "12_old", "0x10", "1 2", "+-4", "\u0665", "9223372036854775808"], 1),
            (["9223372036854775806"], 2**63 - 1),
        ],
    )
    def test_next_version(self, tmp_path: Path, names: list[str], number: int) -> None:
        """One more than the largest name that TensorFlow Serving reads as a number, and at least 1."""
        for name in names:
            (tmp_path / name).mkdir()
        assert next_version(tmp_path) == number

    def test_files_and_links_take_numbers(self, tmp_path: Path) -> None:
        """A file or a dangling link with a number for a name is a version to TensorFlow Serving."""
        (tmp_path / "4").write_text("")
        (tmp_path / "6").symlink_to(tmp_path / "nowhere")
        assert next_version(tmp_path) == 7

    def test_no_base_path(self, tmp_path: Path) -> None:
        """A base path that isn't there starts at 1; one that is a file is refused."""
        assert next_version(tmp_path / "none") == 1
        (tmp_path / "file").write_text("")
        with pytest.raises(ExportError, match="not a folder"):
            next_version(tmp_path / "file")

    def test_the_largest_number_has_no_next(self, source: Path, base: Path) -> None:
        """After 2**63 - 1 there is no number that TensorFlow Serving could read."""
        (base / "9223372036854775807").mkdir(parents=True)
        with refused(source, base, "largest that TensorFlow Serving reads"):
            export(source, base)

    @settings(max_examples=150, deadline=None)
    @given(st.sets(st.text(" \t\n+-0123456789aé.", min_size=1, max_size=21).filter(lambda n: n not in (".", ".."))))
    def test_next_version_reads_names_as_absl_does(self, names: set[str]) -> None:
        """The next number agrees with a letter by letter account of absl::SimpleAtoi, whatever the names."""
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                os.mkdir(os.path.join(folder, name))
            numbers = [number for name in names if (number := simple_atoi(name)) is not None]
            largest = max(numbers, default=0)
            if largest == 2**63 - 1:
                with pytest.raises(ExportError):
                    next_version(folder)
            else:
                assert next_version(folder) == max(1, largest + 1)

    def test_an_explicit_number(self, source: Path, base: Path) -> None:
        """A number of one's choice is taken; below the largest a note says that it would not be served."""
        assert export(source, base, version=7).notes == ()
        (note,) = export(source, base, version=3).notes
        assert note == "TensorFlow Serving would not pick version 3, because 7 is larger"
        assert sorted(os.listdir(base)) == ["3", "7"]
        assert export(source, base, version=0).path == base / "0"

    @pytest.mark.parametrize("name", ["7", "007", "+7", " 7"])
    def test_a_taken_number_is_refused_in_every_spelling(self, source: Path, base: Path, name: str) -> None:
        """Version 7 can't be published beside anything that TensorFlow Serving reads as 7, be it an empty folder."""
        (base / name).mkdir(parents=True)
        with refused(source, base, "already has version 7"):
            export(source, base, version=7, write_model=lambda stream: pytest.fail("too late"))

    @pytest.mark.parametrize("version", [-1, 2**63])
    def test_numbers_out_of_range(self, source: Path, base: Path, version: int) -> None:
        """Negative and too large numbers are refused before anything is written."""
        with refused(source, base, "whole number from 0"):
            export(source, base, version=version)

    @pytest.mark.parametrize("plain", [False, True])
    def test_a_lost_race(self, source: Path, base: Path, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever comes second takes the next number, or is refused if he wanted that one; nothing is overwritten."""
        if plain:
            monkeypatch.setattr(staging, "_renameat2", no_renameat2)
        real = staging.rename_new

        def late(source: Path, target: Path) -> None:
            with contextlib.suppress(FileExistsError):
                target.mkdir()
                (target / "other").write_text("other")
                monkeypatch.setattr("explorer.exporting.publish.rename_new", real)
            real(source, target)

        monkeypatch.setattr("explorer.exporting.publish.rename_new", late)
        assert export(source, base).version == 2
        monkeypatch.setattr("explorer.exporting.publish.rename_new", late)
        with pytest.raises(ExportError, match="already has version 5"):
            export(source, base, version=5)
        assert content(base / "1") == content(base / "5") == {"other": b"other"}
        assert hidden(base) == []

    @pytest.mark.parametrize("plain", [False, True])
    @pytest.mark.parametrize("kind", ["empty folder", "full folder", "file", "link"])
    def test_a_rename_never_replaces(
        self, tmp_path: Path, kind: str, plain: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """rename_new refuses whatever is at the target, an empty folder too, which a plain rename would replace."""
        if plain:
            monkeypatch.setattr(staging, "_renameat2", no_renameat2)
        (tmp_path / "new").mkdir()
        target = tmp_path / "1"
        if kind.endswith("folder"):
            target.mkdir()
        if kind == "full folder":
            (target / "file").write_text("")
        if kind == "file":
            target.write_text("")
        if kind == "link":
            target.symlink_to("nowhere")
        with pytest.raises(FileExistsError):
            staging.rename_new(tmp_path / "new", target)
        assert (tmp_path / "new").is_dir()

    def test_a_rename_that_was_done_is_no_failure(
        self, source: Path, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A network file system may report an error for a rename that it has done; the version is published."""

        def lost_answer(source: Path, target: Path) -> None:
            os.rename(source, target)
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")

        monkeypatch.setattr(staging, "_renameat2", lost_answer)
        assert export(source, base).path.is_dir()


def no_renameat2(*_: object) -> None:
    """Stands in for a system without the call."""
    raise OSError(errno.ENOSYS, "Function not implemented")


def simple_atoi(name: str) -> int | None:
    """absl::SimpleAtoi<int64>, written as its C++ is: blanks off both ends, one sign, digits, a range check."""
    start, end = 0, len(name)
    while start < end and name[start] in " \t\n\v\f\r":
        start += 1
    while start < end and name[end - 1] in " \t\n\v\f\r":
        end -= 1
    negative = start < end and name[start] == "-"
    if start < end and name[start] in "+-":
        start += 1
    if start >= end:
        return None
    value = 0
    for letter in name[start:end]:
        if letter not in "0123456789":
            return None
        value = value * 10 + ord(letter) - ord("0")
    value = -value if negative else value
    return value if -(2**63) <= value < 2**63 else None


class TestLinksAndOddFiles:
    def test_a_linked_source_and_links_inside_it(self, source: Path, base: Path, tmp_path: Path) -> None:
        """The source may be a link; links inside it that stay inside are copied as what they lead to."""
        (source / "assets/same.txt").symlink_to("../keras_metadata.pb")
        (source / "again").symlink_to("debug")
        (tmp_path / "linked").symlink_to(source)
        published = export(tmp_path / "linked", base)
        assert not any(path.is_symlink() for path in published.path.rglob("*"))
        assert (published.path / "assets/same.txt").read_bytes() == b"keras"
        assert (published.path / "again/deep/er/note").is_file()
        row = next(file for file in published.files if file.name == "assets/same.txt")
        assert (row.how, row.reason) == ("copied", "a link to '../keras_metadata.pb'")

    def test_the_layout_of_the_hugging_face_cache(self, tmp_path: Path, base: Path) -> None:
        """Links into blobs/ leave the folder: refused with the way out, and copied as content on request."""
        (tmp_path / "blobs").mkdir()
        (tmp_path / "blobs/0a").write_bytes(b"weights")
        source = tmp_path / "snapshots/rev"
        (source / "variables").mkdir(parents=True)
        (source / "variables/data").symlink_to("../../../blobs/0a")
        (source / "saved_model.pb").symlink_to("../../blobs/0a")
        with refused(source, base, r"'variables/data' .* '\.\./\.\./\.\./blobs/0a'.* follow_outside_links"):
            export(source, base)
        path = export(source, base, follow_outside_links=True).path
        assert (path / "variables/data").read_bytes() == b"weights"
        assert not (path / "variables/data").is_symlink()

    def test_a_folder_of_similar_name_is_outside(self, source: Path, base: Path, tmp_path: Path) -> None:
        """``source-2`` is not inside ``source`` although its path begins so."""
        (tmp_path / "source-2").mkdir()
        (tmp_path / "source-2/secret").write_text("secret")
        (source / "assets/secret").symlink_to("../../source-2/secret")
        with refused(source, base, "leaves the model's folder"):
            export(source, base)

    def test_links_in_folders_that_links_led_to(self, source: Path, base: Path, tmp_path: Path) -> None:
        """A way out through two links is a way out."""
        (tmp_path / "secret").write_text("secret")
        (source / "debug/out").symlink_to("../..")
        (source / "assets/in").symlink_to("../debug/out/secret")
        with refused(source, base, "leaves the model's folder"):
            export(source, base)

    @pytest.mark.parametrize(("target", "match"), [("nowhere", "cannot be followed"), ("circle", "cannot be followed")])
    def test_links_to_nothing(self, source: Path, base: Path, target: str, match: str) -> None:
        """A dangling link and one that leads to itself are named."""
        (source / "circle").symlink_to(target)
        with refused(source, base, match):
            export(source, base)

    def test_a_folder_inside_itself(self, source: Path, base: Path) -> None:
        """A link to a folder above would go on for ever."""
        (source / "debug/up").symlink_to("..")
        with refused(source, base, "a folder that it lies in itself"):
            export(source, base)

    def test_too_many_entries(self, source: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder that is no model, or links that multiply it, end in a sentence, not in a full disk."""
        monkeypatch.setattr(source_tree, "MOST_ENTRIES", 12)
        with refused(source, base, "more than 12 files and folders"):
            export(source, base)

    def test_fifos_and_sockets(self, source: Path, base: Path) -> None:
        """What isn't a regular file is refused at once, not waited for; left out, it doesn't matter."""
        os.mkfifo(source / "assets/pipe")
        with refused(source, base, "'assets/pipe' of the source is a FIFO"):
            export(source, base)
        with contextlib.chdir(source), socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
        with refused(source, base, "'socket' of the source is a socket"):
            export(source, base, leave_out={"assets/pipe": "no file"})
        assert export(source, base, leave_out={"assets/pipe": "no file", "socket": "no file"}).version == 1

    @pytest.mark.parametrize("inside", ["", "versions", "assets/deep/er", "link"])
    def test_a_base_path_inside_the_source(self, source: Path, inside: str) -> None:
        """An export can't become a part of its own source, by links neither."""
        if inside == "link":
            (source.parent / "elsewhere").symlink_to(source / "assets")
            base = source.parent / "elsewhere" / "base"
        else:
            base = source / inside
        with refused(source, base, "lies inside the model's own folder"):
            export(source, base)

    def test_a_source_inside_the_base_path(self, source: Path, tmp_path: Path) -> None:
        """The usual case: the next version beside the one that was read."""
        (tmp_path / "models").mkdir()
        source = source.rename(tmp_path / "models/00000123")
        assert export(source, tmp_path / "models").path == tmp_path / "models/124"

    @pytest.mark.parametrize("name", ["../out", "/out", "a//b", "a/./b", "", "a\\b", "a\0b", "saved_model.pb"])
    def test_names_to_replace_stay_inside(self, source: Path, base: Path, name: str) -> None:
        """A name to replace can't lead out of the model, nor be the model's file."""
        with refused(source, base, "no name of a file inside|cannot be replaced"):
            export(source, base, replace={name: b""})

    def test_a_folder_is_not_replaced_by_a_file(self, source: Path, base: Path) -> None:
        """Bytes can't take the place of a folder."""
        with refused(source, base, "is a folder"):
            export(source, base, replace={"assets": b""})


class TestChangingSources:
    @pytest.mark.parametrize("name", ["variables/variables.index", "assets/vocabulary with blanks \u00e4.txt"])
    def test_a_file_that_is_written_to(self, source: Path, base: Path, name: str) -> None:
        """A file that changes while others, or the model, are written is noticed, copied already or not."""

        def write(stream: BinaryIO) -> None:
            (source / name).write_bytes(b"other")
            stream.write(NEW_MODEL)

        with pytest.raises(ExportError, match="was changed while it was copied"):
            export(source, base, write_model=write)
        assert not base.exists()

    def test_a_file_that_changes_while_it_is_read(
        self, source: Path, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that grows between the first and the last byte is refused."""
        name = "variables/variables.data-00000-of-00001"
        real = copying._copy_content

        def slow(reader: int, writer: int, size_bytes: int, report: Callable[[int], None]) -> int:
            if size_bytes > 10**5:
                with open(source / name, "ab") as stream:
                    stream.write(b"more")
            return real(reader, writer, size_bytes, report)

        monkeypatch.setattr(copying, "_copy_content", slow)
        with pytest.raises(ExportError, match="variables.data-00000-of-00001' of the source was changed"):
            export(source, base)
        assert not base.exists()

    def test_a_file_that_gets_shorter_while_it_is_read(
        self, source: Path, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Room for a large file is claimed before it is copied; zeros in the place of lost bytes are refused."""
        file = source / "variables/variables.data-00000-of-00001"
        file.write_bytes(b"\1" * (2 * copying._PIECE_BYTES))
        real = copying._reserve

        def cut(writer: int, size_bytes: int) -> None:
            real(writer, size_bytes)
            if size_bytes == 2 * copying._PIECE_BYTES:
                os.truncate(file, copying._PIECE_BYTES)

        monkeypatch.setattr(copying, "_reserve", cut)
        with pytest.raises(ExportError, match="variables.data-00000-of-00001' of the source was changed"):
            export(source, base)
        assert not base.exists()

    @pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no system call claims room for a file here")
    @pytest.mark.parametrize(("failure", "refuses"), [(errno.ENOSPC, True), (errno.EOPNOTSUPP, False)])
    def test_room_that_cannot_be_claimed(
        self, source: Path, base: Path, failure: int, refuses: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A full disk shows before a byte is copied; a file system that can't claim room is copied to all the same."""
        (source / "variables/variables.data-00000-of-00001").write_bytes(b"\1" * (2 * copying._PIECE_BYTES))

        def posix_fallocate(*_: object) -> None:
            raise OSError(failure, os.strerror(failure))

        monkeypatch.setattr(os, "posix_fallocate", posix_fallocate)
        if refuses:
            with pytest.raises(ExportError, match="no space is left"):
                export(source, base)
            assert not base.exists()
        else:
            assert content(export(source, base).path) == content(source) | {"saved_model.pb": NEW_MODEL}

    def test_a_file_that_is_swapped_for_a_link(self, source: Path, base: Path, tmp_path: Path) -> None:
        """A file, or a folder above it, that becomes a link to a secret after it was looked at is not followed."""
        (tmp_path / "secret").mkdir()
        (tmp_path / "secret/variables.index").write_bytes(b"INDEX")
        os.utime(tmp_path / "secret/variables.index", ns=(7, 7))
        os.utime(source / "variables/variables.index", ns=(7, 7))

        def swap(done: int, total: int) -> None:
            if not (source / "variables").is_symlink():
                (source / "variables").rename(tmp_path / "away")
                (source / "variables").symlink_to(tmp_path / "secret")

        with pytest.raises(ExportError, match="was changed"):
            export(source, base, progress=swap)
        assert not base.exists()

    @pytest.mark.parametrize("part", ["folder", "file"])
    @pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="only Linux opens a path part by part")
    def test_no_part_of_a_path_may_be_a_link(self, source: Path, part: str) -> None:
        """open_exactly opens the file itself, and refuses a link in its place or in that of a folder above it."""
        file = os.path.realpath(source / "variables/variables.index")
        os.close(source_tree.open_exactly(file, os.O_RDONLY))
        linked = source / "variables" if part == "folder" else source / "variables/variables.index"
        linked.rename(source / "away")
        linked.symlink_to(source / "away")
        with pytest.raises(OSError):
            source_tree.open_exactly(file, os.O_RDONLY)

    @pytest.mark.parametrize("link", [False, True])
    def test_a_file_that_isnt_what_was_looked_at(self, source: Path, tmp_path: Path, link: bool) -> None:
        """A file whose size or time differs from those seen before is neither copied nor linked."""
        tree = source_tree.scan_source(os.path.realpath(source), (), False)
        file = next(file for file in tree.files if file.name == "keras_metadata.pb")
        os.utime(file.real_path, ns=(1, 1))
        with pytest.raises(ExportError, match="'keras_metadata.pb' of the source was changed"):
            (copying.link_file if link else copying.copy_file)(file, str(tmp_path / "copy"), lambda count: None)
        assert not (tmp_path / "copy").exists()

    def test_a_source_that_goes_away(self, source: Path, base: Path) -> None:
        """A source that is removed under way ends in a sentence."""

        def remove(stream: BinaryIO) -> None:
            source.rename(source.with_name("gone"))

        with pytest.raises(ExportError, match="nothing was published"):
            export(source, base, write_model=remove)
        assert not base.exists()


class TestChecksAndHooks:
    def test_order(self, source: Path, base: Path) -> None:
        """before_publish may add files, verify sees them, and all are on the list; nothing is visible until then."""
        order: list[str] = []

        def before_publish(staged: Path) -> None:
            order.append("before_publish")
            assert next_version(base) == 1
            (staged / "fingerprint.pb").write_bytes(b"fresh!")

        def verify(staged: Path) -> None:
            order.append("verify")
            assert (staged / "fingerprint.pb").read_bytes() == b"fresh!"
            assert next_version(base) == 1

        published = export(
            source, base, before_publish=before_publish, verify=verify, leave_out={"fingerprint.pb": "stale"}
        )
        assert order == ["before_publish", "verify"]
        row = next(file for file in published.files if file.name == "fingerprint.pb")
        assert (row.size_bytes, row.how, row.reason) == (6, "written", "")

    def test_verify_refuses(self, source: Path, base: Path) -> None:
        """What verify raises becomes an ExportError, and nothing stays behind, not even a new base path."""

        def verify(staged: Path) -> None:
            raise FormatError("field 2 is cut off", 17)

        with refused(source, base, "does not read back.*cut off"):
            export(source, base / "new" / "deep", verify=verify)
        assert not base.exists()

    @pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="which file a descriptor means is asked of /proc")
    def test_everything_is_flushed_before_the_rename(
        self, source: Path, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every file and folder is fsynced before the version is visible, and the base path afterwards."""
        seen = []

        def fsync(descriptor: int) -> None:
            seen.append((os.readlink(f"/proc/self/fd/{descriptor}"), (base / "1").exists()))

        monkeypatch.setattr(os, "fsync", fsync)
        path = export(source, base, before_publish=lambda staged: (staged / "late").touch()).path
        before = {Path(name.partition("/model")[2].lstrip("/")).as_posix() for name, visible in seen if not visible}
        assert before == {*content(path), "."}
        assert (str(base), True) in seen

    def test_progress(self, source: Path, base: Path) -> None:
        """Progress never goes back, never beyond the total, and ends at it."""
        seen: list[tuple[int, int]] = []
        export(source, base, progress=lambda done, total: seen.append((done, total)))
        (total,) = {total for _, total in seen}
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1] == (total, total)
        assert total == sum(len(data) for name, data in FILES.items())

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("stop"), ExplorerError("no")])
    @pytest.mark.parametrize("where", ["progress", "write_model", "before_publish", "verify"])
    def test_cancelling(self, source: Path, base: Path, where: str, error: BaseException) -> None:
        """Whatever is raised in a callback comes out, and no trace stays."""

        def stop(*_: object) -> None:
            raise error

        before = content(source)
        with pytest.raises((type(error), ExportError)):
            export(source, base, **{where: stop})
        assert not base.exists()
        assert content(source) == before


class TestFailures:
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES, errno.EROFS])
    def test_every_system_call_may_fail(
        self, source: Path, base: Path, code: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Wherever an error strikes, there is one sentence and nothing else, or the whole version and a note."""
        base.mkdir()
        outcomes = set()
        for strike in range(1000):
            faults = Faults(strike, code)
            with monkeypatch.context() as patch:
                faults.install(patch)
                try:
                    published = export(source, base)
                except ExportError as error:
                    outcomes.add("refused")
                    assert "\n" not in str(error)
                    assert os.listdir(base) == []
                    continue
            assert content(published.path) == content(source) | {"saved_model.pb": NEW_MODEL}
            # What the tidying up couldn't remove is found by the next export.
            assert staging.sweep(base) == (faults.struck in ("unlink", "rmdir"))
            assert os.listdir(base) == ["1"]
            published.path.rename(source.parent / f"done{strike}")
            if not faults.struck:
                break
            outcomes.add("published")
            if faults.struck == "fsync":
                assert "durability unconfirmed" in published.notes[0]
        else:
            pytest.fail("the faults never ended")
        assert strike > 50
        assert outcomes == {"refused", "published"}

    def test_a_full_disk_is_said_plainly(self, source: Path, base: Path) -> None:
        """The sentence for a full disk says where and how much is needed."""

        def write(stream: BinaryIO) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with refused(source, base, r"nothing was published: no space is left there; it needs about 128,\d\d\d bytes"):
            export(source, base, write_model=write)

    @pytest.mark.parametrize("base", ["gs://bucket/models", "s3:/bucket", "", "a\0b"])
    def test_no_base_path(self, source: Path, base: str) -> None:
        """Remote places and no places are named as such."""
        with pytest.raises(ExportError, match="remote path|is no base path"):
            publish(source, base, write_new_model, "saved_model.pb")

    def test_a_base_path_that_is_no_folder(self, source: Path, tmp_path: Path) -> None:
        """A file, a path below a file, and a link to nothing can't be base paths."""
        (tmp_path / "file").write_text("")
        (tmp_path / "dangling").symlink_to("nowhere")
        for name in ("file", "file/below", "dangling"):
            with pytest.raises(ExportError, match="not a folder"):
                export(source, tmp_path / name)

    @pytest.mark.parametrize("name", ["missing", "file", "nul\0"])
    def test_no_source(self, base: Path, tmp_path: Path, name: str) -> None:
        """A source that is missing or no folder ends in a sentence."""
        (tmp_path / "file").write_text("")
        with pytest.raises(ExportError, match="the source"):
            export(tmp_path / name, base)

    def test_an_unknown_model_file(self, source: Path, base: Path) -> None:
        """Only the two forms that TensorFlow reads are written."""
        with pytest.raises(ExportError, match="saved_model.pbtxt"):
            publish(source, base, write_new_model, "saved_model.cpb")


class Faults:
    """Makes the n-th system call that writes fail."""

    def __init__(self, strike: int, code: int) -> None:
        self.left = strike
        self.code = code
        self.struck = ""

    def install(self, patch: pytest.MonkeyPatch) -> None:
        for name in ("open", "mkdir", "fsync", "copy_file_range", "utime", "chmod", "unlink", "rmdir"):
            patch.setattr(os, name, self.wrap(name, getattr(os, name)))
        patch.setattr(copying._ReportingFile, "write", self.wrap("write", copying._ReportingFile.write))
        patch.setattr(staging, "_renameat2", self.wrap("renameat2", staging._renameat2))

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if not self.struck:
                self.left -= 1
                if self.left < 0:
                    self.struck = name
                    raise OSError(self.code, os.strerror(self.code))
            return real(*arguments, **options)

        return call


class TestSeveralAtOnce:
    def test_threads_and_a_watcher(self, source: Path, base: Path) -> None:
        """Eight exporters at once share no number, leave no gap, and whoever looks sees only whole versions."""
        base.mkdir()
        whole = content(source).keys()
        halves: list[str] = []
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                for name in os.listdir(base):
                    if name.isdigit() and content(base / name).keys() != whole:
                        halves.append(name)

        watcher = threading.Thread(target=watch)
        watcher.start()
        with ThreadPoolExecutor(8) as pool:
            numbers = list(pool.map(lambda _: export(source, base).version, range(40)))
        over.set()
        watcher.join()
        assert sorted(numbers) == list(range(1, 41))
        assert sorted(map(int, os.listdir(base))) == list(range(1, 41))
        assert halves == []

    def test_processes(self, source: Path, base: Path) -> None:
        """Four processes at once, which start with a base path that isn't there."""
        script = (
            "import sys; from explorer.exporting.publish import publish\n"
            "for _ in range(10): publish(sys.argv[1], sys.argv[2], lambda s: s.write(b'new'), 'saved_model.pb')"
        )
        command = [sys.executable, "-c", script, str(source), str(base)]
        children = [subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
        errors = [child.communicate(timeout=120)[1] for child in children]
        assert errors == [""] * 4
        assert sorted(map(int, os.listdir(base))) == list(range(1, 41))


class TestSweeping:
    def leftover(self, base: Path, name: str) -> Path:
        place = base / f".tmp-export-{name}"
        (place / "model/variables").mkdir(parents=True)
        (place / "model/variables/data").write_bytes(b"half")
        (place / "lock").touch()
        return place

    def test_leftovers_go(self, source: Path, base: Path) -> None:
        """What killed exports left goes with the next one, whatever point they had reached."""
        self.leftover(base, "a")
        self.leftover(base, "b.swept")
        (base / ".tmp-export-empty").mkdir()
        published = export(source, base)
        assert os.listdir(base) == ["1"]
        assert published.notes == ("removed what 3 earlier exports that were interrupted had left",)

    def test_what_may_be_in_use_or_is_not_ours_stays(self, source: Path, base: Path, tmp_path: Path) -> None:
        """A place whose lock is held, folders without a lock, files and links of that name stay."""
        place = self.leftover(base, "busy")
        (base / ".tmp-export-foreign").mkdir()
        (base / ".tmp-export-foreign/mine").write_text("mine")
        (base / ".tmp-export-file").write_text("")
        self.leftover(tmp_path, "elsewhere")
        (base / ".tmp-export-link").symlink_to(tmp_path / ".tmp-export-elsewhere")
        lock = os.open(place / "lock", os.O_RDWR)
        assert staging.take_lock(lock)
        before = content(base)
        published = export(source, base)
        assert published.notes == ()
        assert {name: data for name, data in content(base).items() if not name.startswith("1")} == before
        assert (tmp_path / ".tmp-export-elsewhere/model/variables/data").exists()
        os.close(lock)
        assert staging.sweep(base) == 1

    def test_an_export_under_way_is_not_swept(self, source: Path, base: Path) -> None:
        """A second export that begins and ends while a first one writes does it no harm."""

        def write(stream: BinaryIO) -> None:
            assert export(source, base).version == 1
            stream.write(NEW_MODEL)

        assert export(source, base, write_model=write).version == 2
        assert sorted(os.listdir(base)) == ["1", "2"]

    def test_a_place_that_was_swept_too_early_is_not_published(
        self, source: Path, base: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Should locks lie, an export that is swept while it runs fails, and doesn't publish what is left of it."""

        def verify(staged: Path) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(staging, "take_lock", lambda descriptor: True)
                patch.setattr(staging.shutil, "rmtree", lambda *_, **__: None)  # a sweeper that has not come far yet
                staging.sweep(base)

        with pytest.raises(ExportError, match="nothing was published"):
            export(source, base, verify=verify)
        assert next_version(base) == 1

    def test_without_locks(self, source: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the system has no flock (Windows) exports work, and nothing is swept because nothing is known."""
        monkeypatch.setitem(sys.modules, "fcntl", None)
        place = self.leftover(base, "a")
        assert export(source, base).version == 1
        assert place.exists()
