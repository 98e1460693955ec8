"""The files of a checkpoint: found from its prefix, from any one of them, or from the folder that they lie in.

A checkpoint is a prefix, not a file: ``model.ckpt-1000`` stands for ``model.ckpt-1000.index``, ``.data-00000-of-00001``
and mostly ``.meta``. In the old format the prefix is a file itself, or the beginning of ``…-00000-of-00002``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from explorer.errors import FormatError, SourceError, quoted
from explorer.savedmodel.records import read_whole

STATE_FILE: Final = "checkpoint"
"""The file beside checkpoints that names the latest: ``tensorflow/python/training/checkpoint_state.proto`` as text."""

_LARGEST_STATE_BYTES: Final = 4 << 20
_MOST_ENTRIES: Final = 100_000
_DATA = re.compile(r"\.data-(\d{5})-of-(\d{5})")
_OLD_SHARD = re.compile(r"-(\d{5}|\?{5})-of-(\d{5})")
_ENDINGS = re.compile(r"(.+?)(?:\.index|\.meta|\.data-\d{5}-of-\d{5})", re.DOTALL)
_LATEST = re.compile(rb"^\s*model_checkpoint_path\s*:\s*(\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')", re.MULTILINE)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9A-Fa-f]{1,2}|.)", re.DOTALL)
_LETTERS: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """The files under one prefix.

    Attributes:
        prefix: The prefix, without a look at whether there is a file of that name.
        index: The ``.index``; None where there is none.
        data: The data files that are there, sorted.
        meta: The ``.meta``; None where there is none.
        old_files: The files that would be a checkpoint of the old format: the prefix itself, or its numbered parts.
        missing_old: The names of numbered parts that are not there.
    """

    prefix: Path
    index: Path | None = None
    data: tuple[Path, ...] = ()
    meta: Path | None = None
    old_files: tuple[Path, ...] = ()
    missing_old: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file that is there, the index first."""
        every = (self.index, *self.data, *self.old_files, self.meta)
        return tuple(file for file in every if file is not None)


def prefix_of(path: Path) -> Path | None:
    """The prefix of the checkpoint that a file belongs to by its name; None where its name is not such a one."""
    found = _ENDINGS.fullmatch(path.name)
    if found is not None:
        return path.with_name(found[1])
    old = _OLD_SHARD.search(path.name)
    if old is not None and old.end() == len(path.name) and old.start() > 0:
        return path.with_name(path.name[: old.start()])
    return None


def files_of(prefix: Path) -> CheckpointFiles:
    """Looks which files of a checkpoint are there.

    Args:
        prefix: Its prefix.

    Raises:
        SourceError: The folder can't be listed.
    """
    name = prefix.name
    data: dict[str, Path] = {}
    parts: dict[int, dict[int, Path]] = {}
    whole = index = meta = None
    for entry in list_folder(prefix.parent):
        if not entry.startswith(name):
            continue
        rest, path = entry[len(name) :], prefix.parent / entry
        if not _is_file(path):
            continue
        if not rest:
            whole = path
        elif rest == ".index":
            index = path
        elif rest == ".meta":
            meta = path
        elif _DATA.fullmatch(rest):
            data[entry] = path
        elif (old := _OLD_SHARD.fullmatch(rest)) is not None and "?" not in rest:
            parts.setdefault(int(old[2]), {})[int(old[1])] = path
    old_files: tuple[Path, ...] = () if whole is None else (whole,)
    missing: tuple[str, ...] = ()
    if parts and whole is None:
        count, there = max(parts.items(), key=lambda item: len(item[1]))
        old_files = tuple(there[number] for number in sorted(there))
        most = min(count, _MOST_ENTRIES)
        missing = tuple(f"{name}-{number:05}-of-{count:05}" for number in range(most) if number not in there)
    return CheckpointFiles(prefix, index, tuple(data[key] for key in sorted(data)), meta, old_files, missing)


def prefixes_in(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    """The prefixes of the checkpoints of today's format among the files of a folder, sorted with numbers as numbers.

    Args:
        folder: The folder.
        names: The names of its files.
    """
    found = {name.removesuffix(".index") for name in names if name.endswith(".index") and name != ".index"}
    return tuple(folder / name for name in sorted(found, key=_by_number))


def latest_prefix(folder: Path) -> Path | None:
    """The checkpoint that the file ``checkpoint`` in a folder names as the latest.

    TensorFlow writes the path of the machine that trained, so a path that isn't inside the folder is taken for the
    name of a file in it: nothing outside the folder is ever looked at.

    Args:
        folder: The folder.

    Returns:
        The prefix, inside the folder; None where there is no such file or it names none.

    Raises:
        FormatError: The file is too large, or the name in it is not UTF-8.
        SourceError: It can't be read.
    """
    text = read_whole(str(folder / STATE_FILE), _LARGEST_STATE_BYTES, "the list of latest checkpoints")
    found = None if text is None else _LATEST.search(text)
    if found is None:
        return None
    try:
        name = _ESCAPE.sub(_unescaped, found[1][1:-1]).decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"the name in {quoted(str(folder / STATE_FILE))} is not UTF-8 text") from None
    parts = [part for part in re.split(r"[/\\]" if _is_foreign(name) else "/", name) if part not in ("", ".")]
    if not parts or "\0" in name or parts[-1] == "..":
        return None
    inside = folder.joinpath(*parts)
    is_relative = not name.startswith(("/", "\\")) and ".." not in parts and not _is_foreign(name)
    return inside if is_relative and _stays_in(folder, inside.parent) else folder / parts[-1]


def list_folder(folder: Path) -> list[str]:
    """The names in a folder, sorted; of a folder with too many entries the first that the system gives.

    Raises:
        SourceError: It can't be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False))
    except OSError as error:
        raise SourceError(f"{quoted(str(folder))} cannot be listed: {error.strerror or error}", folder) from None


def _is_foreign(name: str) -> bool:
    """Whether a name is a path of Windows."""
    return "\\" in name and "/" not in name or re.match(r"[A-Za-z]:", name) is not None


def _stays_in(folder: Path, below: Path) -> bool:
    """Whether a folder, its links followed, lies in another one."""
    root, real = os.path.realpath(folder), os.path.realpath(below)
    return real == root or real.startswith(root.rstrip(os.sep) + os.sep)


def _unescaped(found: re.Match[bytes]) -> bytes:
    escaped = found[1]
    if escaped[:1].isdigit():
        return bytes([int(escaped, 8) & 0xFF])
    if escaped[:1] == b"x" and len(escaped) > 1:
        return bytes([int(escaped[1:], 16)])
    return _LETTERS.get(escaped, escaped)


def _by_number(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key by which ``model.ckpt-9`` comes before ``model.ckpt-10``."""
    pieces = re.findall(r"\d{1,18}|\D+|\d", name)
    return tuple((0, int(piece), piece) if piece.isascii() and piece.isdigit() else (1, 0, piece) for piece in pieces)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
