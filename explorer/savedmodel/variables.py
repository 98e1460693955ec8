"""What ``variables/`` holds: names, dtypes, shapes, sizes and places of the variables, without their values.

Only ``variables.index`` is read, a few kilobytes (see ``checkpoint_index``), and the sizes of the data files are looked
up.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from explorer.errors import FormatError, SourceError, listed, quoted
from explorer.savedmodel.checkpoint_index import CheckpointIndex, Variable, VariableSlice, read_index
from explorer.savedmodel.constants import VARIABLES_FOLDER
from explorer.savedmodel.records import LFS_POINTER_START, is_lfs_pointer, read_whole

__all__ = ["DataFile", "StoredTwice", "Variable", "VariableSlice", "Variables", "read_variables", "stored_twice"]

LARGEST_INDEX_BYTES: Final = 64 << 20
"""A larger index is refused; this one would hold some 600,000 variables."""

Status = Literal["ok", "index_only", "missing", "v1_format", "lfs_pointer", "shard_missing", "shard_short", "none"]

_V1_FILE = re.compile(r"variables(-\d{5}-of-\d{5})?")
_MOST_FILES_LOOKED_AT = 10_000


@dataclass(frozen=True)
class DataFile:
    """One data file of the checkpoint that is there: its name and its size on disk, and how far entries reach."""

    name: str
    size_bytes: int
    needed_bytes: int


@dataclass(frozen=True)
class Variables:
    """What ``variables/`` holds, and whether it is all there.

    Attributes:
        entries: The variables, in the order of the index (that of the names' bytes).
        bookkeeping_entries: How many entries hold TF2's object graph instead of a variable: 0 or 1.
        num_shards: How many data files the checkpoint was written in.
        big_endian: Whether the values were written on a big-endian machine.
        data_files: The data files that entries point into and that are there.
        missing: The names of those that are not.
        status: ``"ok"``; ``"index_only"`` no data file is there; ``"shard_missing"`` some are not; ``"shard_short"``
            one is cut off; ``"lfs_pointer"`` a Git LFS pointer stands in the place of a file; ``"v1_format"`` the
            checkpoint format of before 2017; ``"missing"`` there are files and no index; ``"none"`` there is no
            ``variables/`` or nothing in it, which is right for a model without variables.
        note: One sentence about a status other than ``"ok"``; else empty.
    """

    entries: tuple[Variable, ...] = ()
    bookkeeping_entries: int = 0
    num_shards: int = 0
    big_endian: bool = False
    data_files: tuple[DataFile, ...] = ()
    missing: tuple[str, ...] = ()
    status: Status = "ok"
    note: str = ""

    @property
    def size_bytes(self) -> int:
        """The stored size of all variables."""
        return sum(entry.size_bytes for entry in self.entries)


@dataclass(frozen=True)
class StoredTwice:
    """Variables whose stored bytes seem to be the same.

    Attributes:
        names: Two or more names, in the order of the index.
        size_bytes: The size of one of them.
    """

    names: tuple[str, ...]
    size_bytes: int

    @property
    def surplus_bytes(self) -> int:
        """The bytes that one copy would save."""
        return self.size_bytes * (len(self.names) - 1)


def read_variables(folder: str | os.PathLike[str]) -> Variables:
    """Reads what the checkpoint of a SavedModel holds.

    Args:
        folder: The folder of the SavedModel, the one that holds ``variables/``.

    Returns:
        The variables, and in ``status`` and ``note`` what is missing.

    Raises:
        FormatError: ``variables.index`` is damaged, or larger than ``LARGEST_INDEX_BYTES``.
        SourceError: A file cannot be read.
    """
    place = os.path.join(os.fspath(folder), VARIABLES_FOLDER)
    path = os.path.join(place, "variables.index")
    index = read_whole(path, LARGEST_INDEX_BYTES, "the index of a checkpoint")
    if index is None:
        return _without_index(place)
    if is_lfs_pointer(index):
        return Variables(status="lfs_pointer", note=_lfs_note("variables.index"))
    try:
        checkpoint = read_index(index)
    except FormatError as error:
        raise FormatError(f"{quoted(path)} is no readable index of a checkpoint: {error}") from None
    return _with_data_files(checkpoint, place)


def stored_twice(entries: Iterable[Variable]) -> tuple[StoredTwice, ...]:
    """Finds variables that are stored more than once, as the export of Keras 3 does.

    They are told by equal checksum, size, dtype and shape; the values are not compared. Different variables that hold
    the same numbers, such as biases that are all zero, are found as well.

    Args:
        entries: Variables of one checkpoint.

    Returns:
        The groups, that with the most surplus bytes first.
    """
    groups: defaultdict[object, list[Variable]] = defaultdict(list)
    for entry in entries:
        if entry.size_bytes and not entry.slices:
            groups[entry.checksum, entry.size_bytes, entry.dtype_number, entry.shape].append(entry)
    twice = [
        StoredTwice(tuple(entry.name for entry in group), group[0].size_bytes)
        for group in groups.values()
        if len(group) > 1
    ]
    return tuple(sorted(twice, key=lambda group: -group.surplus_bytes))


def _without_index(place: str) -> Variables:
    """Names what lies in ``variables/`` when ``variables.index`` does not."""
    try:
        with os.scandir(place) as found:
            names = sorted(entry.name for entry in itertools.islice(found, _MOST_FILES_LOOKED_AT))
    except (FileNotFoundError, NotADirectoryError):
        return Variables(status="none", note="there is no variables/ folder")
    except OSError as error:
        raise SourceError(f"{quoted(place)} cannot be read: {error.strerror}", place) from None
    if not names:
        return Variables(status="none", note="variables/ is empty")
    old = [name for name in names if _V1_FILE.fullmatch(name)]
    if old:
        note = (
            f"variables/ holds a checkpoint in the V1 format of before 2017 ({listed(old, 2)}), whose contents "
            "are not listed; TensorFlow 1 and tf.compat.v1 read it"
        )
        return Variables(status="v1_format", note=note)
    note = f"variables/ holds {listed(names, 3)} and lacks variables.index, without which no value can be found"
    return Variables(status="missing", note=note)


def _with_data_files(checkpoint: CheckpointIndex, place: str) -> Variables:
    """Compares what the entries need with the data files on disk."""
    present, missing, pointers, short = [], [], [], []
    for shard, needed in sorted(checkpoint.reach.items()):
        name = f"variables.data-{shard:05d}-of-{checkpoint.num_shards:05d}"
        size_bytes, pointer = _data_file(os.path.join(place, name))
        if size_bytes is None:
            missing.append(name)
            continue
        present.append(DataFile(name, size_bytes, needed))
        if pointer:
            pointers.append(name)
        elif size_bytes < needed:
            short.append(present[-1])
    status: Status = "ok"
    note = ""
    if missing and not present:
        status = "index_only"
        note = f"the values are not here: variables/ has the index and lacks {listed(missing, 3)}"
    elif missing:
        status, note = "shard_missing", f"a part of the values is not here: variables/ lacks {listed(missing, 3)}"
    elif pointers:
        status, note = "lfs_pointer", _lfs_note(pointers[0])
    elif short:
        status = "shard_short"
        note = (
            f"{quoted(short[0].name)} is cut off: it has {short[0].size_bytes} bytes, "
            f"and the variables in it need {short[0].needed_bytes}; copy it again"
        )
    return Variables(
        entries=checkpoint.variables,
        bookkeeping_entries=checkpoint.bookkeeping_entries,
        num_shards=checkpoint.num_shards,
        big_endian=checkpoint.big_endian,
        data_files=tuple(present),
        missing=tuple(missing),
        status=status,
        note=note,
    )


def _data_file(path: str) -> tuple[int | None, bool]:
    """The size of a data file, None where there is none, and whether it is a Git LFS pointer."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            return None, False
        if found.st_size > 1024:  # the specification's limit for a pointer
            return found.st_size, False
        with open(path, "rb") as file:
            return found.st_size, is_lfs_pointer(file.read(len(LFS_POINTER_START)))
    except (FileNotFoundError, NotADirectoryError):
        return None, False
    except OSError as error:
        raise SourceError(f"{quoted(path)} cannot be read: {error.strerror}", path) from None


def _lfs_note(name: str) -> str:
    return f"{quoted(name)} is a Git LFS pointer, not the file itself; fetch it with git lfs pull"
