"""A SavedModel's folder to a new numbered version: staged out of sight, checked, and shown by one rename.

TensorFlow Serving loads whatever has a number for a name, complete or not, once a second, and a model whose variables
are not there yet can even go live. So nothing under a numbered name is ever incomplete here: not while it is written,
not when the disk is full, not when the process is killed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from explorer.errors import ExplorerError, ExportError, quoted
from explorer.exporting.copying import Report, Rewrite, copy_file, link_file, write_file
from explorer.exporting.numbering import next_version, refuse_taken, taken_versions
from explorer.exporting.source_tree import SourceTree, changed, scan_source
from explorer.exporting.staging import rename_new, staging, sweep, sync_folder, sync_tree
from explorer.savedmodel.constants import MODEL_FILE_NAMES

__all__ = ["Published", "WrittenFile", "next_version", "publish"]

Progress = Callable[[int, int], None]

_WRITABLE_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")
_MOST_TRIES = 1000
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """What became of one file.

    Attributes:
        name: Its place in the model, with ``/``.
        size_bytes: Its size.
        how: ``written`` anew, ``copied`` from the source byte for byte, ``linked`` to the source's own file, or
            ``left out`` of the new version.
        reason: Why it was left out or written anew, or which link led to a copied file; else ``""``.
    """

    name: str
    size_bytes: int
    how: Literal["written", "copied", "linked", "left out"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """A version that is there now.

    Attributes:
        path: Its folder.
        version: Its number.
        base_path: The folder that holds it, absolute.
        files: What became of every file, by name.
        notes: What a person should know, one sentence each.
    """

    path: Path
    version: int
    base_path: Path
    files: tuple[WrittenFile, ...]
    notes: tuple[str, ...]


@dataclass
class _Counter:
    """Adds up the bytes that are done and tells them on."""

    progress: Progress | None
    total: int
    done: int = 0

    def add(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            # How long the model's file becomes is not known before it is written.
            self.progress(min(self.done, self.total), self.total)


@dataclass
class _Build:
    """What goes into the new version, and what has become of it so far."""

    tree: SourceTree
    write_model: Callable[[BinaryIO], None]
    model_file_name: str
    link: bool
    leave_out: Mapping[str, str]
    replace: Mapping[str, bytes]
    rewrite: Iterable[Rewrite]
    counter: _Counter
    rows: dict[str, WrittenFile] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def publish(
    source_dir: str | os.PathLike[str],
    base_path: str | os.PathLike[str],
    write_model: Callable[[BinaryIO], None],
    model_file_name: str,
    *,
    version: int | None = None,
    link: bool = False,
    follow_outside_links: bool = False,
    leave_out: Mapping[str, str] | None = None,
    replace: Mapping[str, bytes] | None = None,
    rewrite: Iterable[Rewrite] = (),
    verify: Callable[[Path], None] | None = None,
    before_publish: Callable[[Path], None] | None = None,
    progress: Progress | None = None,
) -> Published:
    """Publishes a copy of a model's folder, with a new model file, as a version that nobody has seen half done.

    What happens, in this order: leftovers of killed exports are swept; everything of the source but its model files is
    copied into a hidden folder under the base path; ``replace`` is written, then the model file; ``before_publish``;
    everything is flushed to the disk; ``verify``; one rename that cannot overwrite; the base path is flushed. Whatever
    goes wrong before the rename leaves the base path as it was, and after it nothing is reported as failed any more.

    Args:
        source_dir: The folder of the model; it is only read. It may be a link itself.
        base_path: The folder for the versions; it is made if missing, and may not lie inside ``source_dir``.
        write_model: Gets the open new model file and writes all of it.
        model_file_name: ``saved_model.pb`` or ``saved_model.pbtxt``: the file that was read. Others of the source that
            would be a second truth beside it are left out.
        version: The number to give; None takes the next one, and the one after it should somebody else be quicker.
        link: Whether to give the source's files a second name (a hardlink) where that is possible, instead of copying
            them. Both versions then change together if somebody writes into such a file.
        follow_outside_links: Whether to copy what links out of the model's folder lead to, which is refused otherwise.
        leave_out: Name, with ``/`` → why that file or folder isn't taken over.
        replace: Name, with ``/`` → bytes that take its place, or are added.
        rewrite: Each looks at the source and says which of its files get other content; these are never linked.
        verify: Gets the complete hidden folder and raises to refuse it.
        before_publish: Gets the hidden folder when all files are written, and may add some.
        progress: Is told (bytes done, bytes in total), the total being estimated from the source; raising cancels.

    Returns:
        What was published.

    Raises:
        ExportError: Nothing was published; the sentence says why.
    """
    base = _absolute(base_path)
    leave_out = dict(leave_out or {})
    replace = dict(replace or {})
    _check_names(model_file_name, leave_out, replace)
    if version is not None:
        refuse_taken(base, version)
    else:
        next_version(base)  # so that a base path of no use is refused before anything is written
    with _sentences(f"the source {quoted(os.fspath(source_dir))} cannot be read"):
        root = _source_root(source_dir)
        _refuse_inside(base, root)
        pass_over = frozenset([*MODEL_FILE_NAMES, *leave_out, *replace])
        tree = scan_source(root, pass_over, follow_outside_links)
    counter = _Counter(progress, _expected_bytes(tree, model_file_name, replace))
    build = _Build(tree, write_model, model_file_name, link, leave_out, replace, tuple(rewrite), counter)
    with (
        _sentences(f"the export to {quoted(str(base))} failed", base, counter),
        _folders(base),
    ):
        swept = sweep(base)
        with staging(base) as staged:
            _fill(build, staged)
            if scan_source(root, pass_over, follow_outside_links) != tree:
                raise changed(os.fspath(source_dir))
            if before_publish is not None:
                before_publish(staged)
            durable = sync_tree(staged)
            _add_new_files(build, staged)
            if verify is not None:
                _verify(verify, staged)
            if progress is not None:
                progress(counter.total, counter.total)
            number, note = _show(staged, base, version)
    if note:
        build.notes.append(note)
    if swept:
        exports = "an earlier export that was" if swept == 1 else f"{swept} earlier exports that were"
        build.notes.append(f"removed what {exports} interrupted had left")
    if not (_is_synced(base) and durable):
        build.notes.append("durability unconfirmed: the file system did not say that the new version is on the disk")
    rows = tuple(build.rows[name] for name in sorted(build.rows))
    return Published(base / str(number), number, base, rows, tuple(build.notes))


def _absolute(base_path: str | os.PathLike[str]) -> Path:
    text = os.fspath(base_path)
    if not text or "\0" in text:
        raise ExportError(f"{quoted(text)} is no base path; give the folder that shall hold the version folders")
    if _URL.match(text):
        raise ExportError(
            f"{quoted(text)} is a remote path, where no rename makes a version appear whole; export to a folder of "
            "this machine and copy the version from there under a name that is no number"
        )
    return Path(os.path.abspath(os.path.expanduser(text)))


def _check_names(model_file_name: str, leave_out: Mapping[str, str], replace: Mapping[str, bytes]) -> None:
    if model_file_name not in _WRITABLE_MODEL_FILES:
        raise ExportError(
            f"a model cannot be written as {quoted(model_file_name)}; it is saved_model.pb or saved_model.pbtxt"
        )
    for name in replace:
        parts = name.split("/")
        if "\0" in name or "\\" in name or any(part in ("", ".", "..") for part in parts):
            raise ExportError(f"{quoted(name)} is no name of a file inside a model; write it like 'assets.extra/file'")
        if name in MODEL_FILE_NAMES or name in leave_out:
            raise ExportError(f"{quoted(name)} cannot be replaced, because it is written or left out already")


def _source_root(source_dir: str | os.PathLike[str]) -> str:
    try:
        root = os.path.realpath(os.path.expanduser(os.fspath(source_dir)), strict=True)
    except ValueError:  # a NUL character
        raise ExportError(
            f"the source {quoted(os.fspath(source_dir))} is no path; give the folder of the model"
        ) from None
    if not os.path.isdir(root):
        raise ExportError(f"the source {quoted(os.fspath(source_dir))} is not a folder; give the folder of the model")
    return root


def _refuse_inside(base: Path, root: str) -> None:
    """Compared by identity, because links, mounts and letter case give one folder many paths."""
    source = os.stat(root)
    real = Path(os.path.realpath(base))
    for folder in (real, *real.parents):
        with contextlib.suppress(OSError):  # what can't be looked at holds no folder that could be written to
            if os.path.samestat(os.stat(folder), source):
                raise ExportError(
                    f"the base path {quoted(str(base))} lies inside the model's own folder {quoted(root)}, so the "
                    "export would become a part of its source; give a base path outside of it"
                )


def _expected_bytes(tree: SourceTree, model_file_name: str, replace: Mapping[str, bytes]) -> int:
    model = sum(entry.size_bytes for entry in tree.passed_over if entry.name == model_file_name)
    return model + sum(file.size_bytes for file in tree.files) + sum(map(len, replace.values()))


@contextlib.contextmanager
def _folders(base: Path) -> Iterator[None]:
    """Makes the base path and its parents where they are missing, and removes them again should the export fail."""
    missing = [folder for folder in (base, *base.parents) if not folder.exists()]
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):  # another export was quicker
                folder.mkdir()
                made.append(folder)
        if not base.is_dir():
            raise ExportError(f"the base path {quoted(str(base))} is not a folder; give one for the version folders")
        yield
    except BaseException:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()  # stays if it isn't empty: somebody else uses it by now
        raise
    for folder in made:
        _is_synced(folder.parent)


def _fill(build: _Build, staged: Path) -> None:
    """Writes all files of the new version, the model's file last."""
    tree, counter, rows = build.tree, build.counter, build.rows
    is_folder = {entry.name: entry.is_folder for entry in tree.passed_over}
    for name in build.replace:
        if is_folder.get(name) or name in tree.folders:
            raise ExportError(f"{quoted(name)} of the source is a folder and cannot be replaced by a file")
    for entry in tree.passed_over:
        reason = build.leave_out.get(entry.name, f"a second truth beside {build.model_file_name}")
        rows[entry.name] = WrittenFile(entry.name, entry.size_bytes, "left out", reason)
    for folder in tree.folders:
        (staged / folder).mkdir()
    refused: list[OSError] = []
    anew = {}
    for rewrite in build.rewrite:
        rewritten = rewrite(tree, counter.add)
        anew.update({name: (write, rewritten.reason) for name, write in rewritten.files.items()})
        build.notes += rewritten.notes
    for file in tree.files:
        target = str(staged / file.name)
        if file.name in anew:
            write, reason = anew[file.name]
            if write is None:
                rows[file.name] = WrittenFile(file.name, file.size_bytes, "left out", reason)
            else:
                _write(build, staged, file.name, write, file.mode, reason)
            continue
        reason = f"a link to {quoted(file.link)}" if file.link else ""
        error = link_file(file, target, counter.add) if build.link and not refused else None
        linked = build.link and not refused and error is None
        if error is not None:
            refused.append(error)
        if not linked:
            copy_file(file, target, counter.add)
        rows[file.name] = WrittenFile(file.name, file.size_bytes, "linked" if linked else "copied", reason)
    if refused:
        build.notes.append(f"files were copied, because they could not be linked ({refused[0].strerror})")
    for name, content in build.replace.items():
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        _write(build, staged, name, functools.partial(_write_all, content), _mode(tree, name))
    _write(build, staged, build.model_file_name, build.write_model, _mode(tree, build.model_file_name))


def _write_all(content: bytes, stream: BinaryIO) -> None:
    stream.write(content)


def _mode(tree: SourceTree, name: str) -> int | None:
    """The permission bits of the file that another one takes the place of."""
    return next((entry.mode for entry in tree.passed_over if entry.name == name and entry.mode), None)


def _write(
    build: _Build, staged: Path, name: str, write: Callable[[BinaryIO], None], mode: int | None, reason: str = ""
) -> None:
    report: Report = build.counter.add
    write_file(str(staged / name), write, mode, report)
    build.rows[name] = WrittenFile(name, (staged / name).stat().st_size, "written", reason)


def _add_new_files(build: _Build, staged: Path) -> None:
    """Takes note of what ``before_publish`` has added."""
    for path in staged.rglob("*"):
        name = path.relative_to(staged).as_posix()
        row = build.rows.get(name)
        if path.is_file() and (row is None or row.how == "left out"):
            build.rows[name] = WrittenFile(name, path.stat().st_size, "written")


def _verify(verify: Callable[[Path], None], staged: Path) -> None:
    try:
        verify(staged)
    except ExportError:
        raise
    except ExplorerError as error:
        raise ExportError(f"the new version does not read back, so nothing was published: {error}") from error


def _show(staged: Path, base: Path, version: int | None) -> tuple[int, str]:
    """Renames the finished folder to its number; returns that and a note for the user, or ``""``."""
    for _ in range(_MOST_TRIES):
        number = next_version(base) if version is None else version
        if version is not None:  # once more, for the other spellings that a rename doesn't see
            refuse_taken(base, version)
        largest = max(taken_versions(base), default=-1)
        try:
            rename_new(staged, base / str(number))
        except FileExistsError:
            continue
        if largest > number:
            return number, f"TensorFlow Serving would not pick version {number}, because {largest} is larger"
        return number, ""
    raise ExportError(f"no version number could be had in {quoted(str(base))}; others take each one first")


def _is_synced(folder: Path) -> bool:
    try:
        return sync_folder(folder)
    except OSError:
        return False


@contextlib.contextmanager
def _sentences(what: str, base: Path | None = None, counter: _Counter | None = None) -> Iterator[None]:
    """Turns what the system reports into one sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, ExplorerError):
            raise
        place = f" at {quoted(os.fsdecode(error.filename))}" if isinstance(error.filename, str | bytes) else ""
        detail = f"{error.strerror or error}{place}"
        if base is not None and error.errno in (errno.ENOSPC, errno.EDQUOT):
            needed = f"; it needs about {counter.total:,} bytes" if counter is not None else ""
            detail = f"no space is left there{needed}: free some or give another base path"
        elif base is not None and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            detail += "; give a base path where you may write, and a source that you may read"
        nothing = "" if base is None else ", and nothing was published"
        raise ExportError(f"{what}{nothing}: {detail}") from error
