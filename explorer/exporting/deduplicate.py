"""Takes the second copies of equal tensors out of the variables of a new version; the source keeps them."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import BinaryIO

from explorer.errors import ExplorerError, ExportError
from explorer.exporting.copying import Report, Rewritten, read_file
from explorer.exporting.source_tree import SourceFile, SourceTree, changed, open_source_file, refuse_changed
from explorer.savedmodel.constants import VARIABLES_FOLDER, VARIABLES_INDEX
from explorer.savedmodel.duplicates import (
    CHUNK_BYTES,
    DuplicatePlan,
    data_file_name,
    expect_whole,
    kept_ranges,
    moved_index,
    plan_duplicates,
)
from explorer.savedmodel.variables import read_variables

NOTHING_TWICE = "variables: no tensor stands twice, so they were taken over as they are"
"""What is noted where the variables hold no copies."""

_MOST_OPEN = 32


def remove_duplicates(tree: SourceTree, report: Report) -> Rewritten:
    """Plans ``variables/`` without second copies: two keys of equal tensors share one place.

    Tensors that seem equal are compared byte by byte first. All keys, the order of the tensors and the names of the
    files stay; a data file may become empty. Where nothing stands twice, no file is written anew.

    Args:
        tree: The source.
        report: Is told how many bytes of copies were compared; what it raises cancels the export.

    Returns:
        The files of ``variables/`` that change, and how much is saved.

    Raises:
        ExportError: The variables are not all there, or can't be read, or were changed meanwhile.
        OSError: Reading failed.
    """
    files = {file.name: file for file in tree.files}
    try:
        num_shards = expect_whole(tree.root)
        if num_shards == 0:
            return Rewritten({}, notes=(NOTHING_TWICE,))
        index = read_file(_known(files, VARIABLES_INDEX))
        with contextlib.closing(_Shards(files, num_shards)) as shards:
            plan = plan_duplicates(index, shards.open, report)
        if not plan.moves:
            return Rewritten({}, notes=(NOTHING_TWICE,))
        new_index = moved_index(index, plan)
    except ExportError:
        raise
    except ExplorerError as error:
        raise ExportError(f"duplicates can't be removed, so nothing was published: {error}") from error
    said = savings(plan)
    rewritten = {
        file.name: functools.partial(_write_ranges, file, tuple(kept_ranges(plan, shard, file.size_bytes)))
        for shard in plan.cuts
        for file in [_known(files, _data_file(shard, num_shards))]
    }
    return Rewritten({**rewritten, VARIABLES_INDEX: functools.partial(_write_all, new_index)}, said, (said,))


def savings(plan: DuplicatePlan) -> str:
    """How much a plan saves, as a person is told: ``variables: 3 of 6 tensors stood twice; 1.2 MB less``."""
    return (
        f"variables: {len(plan.names)} of {plan.num_tensors} tensors stood twice; {_printable(plan.surplus_bytes)} less"
    )


def verify_variables(source: Path, staged: Path) -> None:
    """Compares the variables of a staged version with those of its source: all but the places must be the same.

    Raises:
        ExportError: A key is missing or says something else, or a value isn't where its key says.
    """
    before, after = read_variables(source), read_variables(staged)
    told = [
        [
            (one.name, one.dtype_number, one.shape, one.size_bytes, one.checksum, len(one.slices))
            for one in found.entries
        ]
        for found in (before, after)
    ]
    if told[0] != told[1] or before.status != after.status or before.num_shards != after.num_shards:
        raise ExportError(
            "the variables that were written don't read back like those of the source, so nothing was published; "
            "export without removing duplicates"
        )


def _known(files: dict[str, SourceFile], name: str) -> SourceFile:
    if name not in files:  # it was there a moment ago
        raise changed(name)
    return files[name]


def _data_file(shard: int, num_shards: int) -> str:
    return f"{VARIABLES_FOLDER}/{data_file_name(shard, num_shards)}"


def _write_ranges(file: SourceFile, ranges: tuple[tuple[int, int], ...], stream: BinaryIO) -> None:
    """Copies ranges of a file of the source, a piece at a time."""
    with contextlib.closing(_SourceBytes(file)) as source:
        for start, end in ranges:
            for at in range(start, end, CHUNK_BYTES):
                stream.write(source.read_at(at, min(CHUNK_BYTES, end - at)))


def _write_all(content: bytes, stream: BinaryIO) -> None:
    stream.write(content)


class _SourceBytes:
    """An open file of the source, read by position."""

    def __init__(self, file: SourceFile) -> None:
        self.size = file.size_bytes
        self._file = file
        self._stream = os.fdopen(open_source_file(file), "rb", buffering=0)

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes of a range, all of them.

        Raises:
            ExportError: The file became shorter.
        """
        self._stream.seek(offset)
        data = self._stream.read(length)
        while len(data) < length:
            more = self._stream.read(length - len(data))
            if not more:
                raise changed(self._file.name)
            data += more
        return data

    def close(self) -> None:
        """Closes the file; it must still be what it was when the source was looked at."""
        try:
            refuse_changed(self._file, self._stream.fileno())
        finally:
            self._stream.close()


class _Shards:
    """The data files of the source, of which only some are open at once."""

    def __init__(self, files: dict[str, SourceFile], num_shards: int) -> None:
        self._files = files
        self._num_shards = num_shards
        self._opened: dict[int, _SourceBytes] = {}

    def open(self, shard: int) -> _SourceBytes:
        """The content of a data file."""
        if shard not in self._opened:
            while len(self._opened) >= _MOST_OPEN:
                self._opened.pop(next(iter(self._opened))).close()
            self._opened[shard] = _SourceBytes(_known(self._files, _data_file(shard, self._num_shards)))
        return self._opened[shard]

    def close(self) -> None:
        """Closes every file.

        Raises:
            ExportError: One was changed while it was open.
        """
        with contextlib.ExitStack() as closing:
            for opened in self._opened.values():
                closing.callback(opened.close)
            self._opened = {}


def _printable(size_bytes: int) -> str:
    """A size in thousands, as disks and file managers count."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    size, units = size_bytes / 1000, ["GB", "MB", "KB"]
    while size >= 999.95 and len(units) > 1:
        size /= 1000
        units.pop()
    return f"{size:.1f} {units[-1]}"
