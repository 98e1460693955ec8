"""One file of the source to one new file, by the cheapest way that the file system has."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from explorer.exporting.source_tree import SourceFile, SourceTree, changed, open_source_file, refuse_changed

Report = Callable[[int], None]
"""Is told after each piece how many bytes it had."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Files of the source that go into the new version with other content, or not at all.

    Attributes:
        files: Name in the model, with ``/`` → what writes all of the new content; None leaves the file out.
        reason: Why, in a few words.
        notes: What a person should know, one sentence each.
    """

    files: Mapping[str, Callable[[BinaryIO], None] | None]
    reason: str = ""
    notes: tuple[str, ...] = ()


Rewrite = Callable[[SourceTree, Report], Rewritten]
"""Looks at the source and says what becomes of some of its files; what it reads counts as progress."""

_FICLONE = 0x40049409
"""``FICLONE`` of ``linux/fs.h``: share the blocks of another file until one of the two is written to."""

_KERNEL_PIECE_BYTES = 16 * 2**20
_PIECE_BYTES = 2**18  # fits into a processor's second cache, which a mebibyte doesn't
_NO_KERNEL_COPY = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.ETXTBSY}
)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP})
_NEW_FILE_FLAGS = (
    os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)


def copy_file(file: SourceFile, target: str, report: Report) -> None:
    """Copies a file of the source with its permission bits and its time.

    Args:
        file: The file, as it was when the source was looked at.
        target: Where the copy goes; nothing may be there.
        report: Is told how many bytes were copied, piece by piece.

    Raises:
        ExportError: The file was changed meanwhile.
        OSError: Reading or writing failed; its ``filename`` says which file.
    """
    reader = open_source_file(file)
    try:
        writer = os.open(target, os.O_WRONLY | _NEW_FILE_FLAGS, 0o600)
        try:
            copied = _copy_content(reader, writer, file.size_bytes, report)
            keep_mode(target, file.mode)
            with contextlib.suppress(OSError):
                os.utime(target, ns=(file.modified_ns, file.modified_ns))
        finally:
            os.close(writer)
        refuse_changed(file, reader)
        if copied != file.size_bytes:
            raise changed(file.name)
    except OSError as error:
        error.filename = error.filename or file.name
        raise
    finally:
        os.close(reader)


def link_file(file: SourceFile, target: str, report: Report) -> OSError | None:
    """Gives a file of the source a second name.

    Args:
        file: The file, as it was when the source was looked at.
        target: The new name; nothing may be there.
        report: Is told the file's size.

    Returns:
        None, or why this file system or the owner of the file allows no second name.

    Raises:
        ExportError: The file was changed meanwhile.
        OSError: It failed for another reason.
    """
    reader = open_source_file(file)
    try:
        _link(file.real_path, target)
        if not os.path.samestat(os.fstat(reader), os.lstat(target)):
            raise changed(file.name)
    except OSError as error:
        if error.errno in _NO_LINK:
            return error
        raise
    finally:
        os.close(reader)
    report(file.size_bytes)
    return None


def read_file(file: SourceFile) -> bytes:
    """The content of a small file of the source.

    Raises:
        ExportError: The file was changed meanwhile.
        OSError: It can't be read.
    """
    with os.fdopen(open_source_file(file), "rb") as reader:
        content = reader.read(file.size_bytes + 1)
        refuse_changed(file, reader.fileno())
    if len(content) != file.size_bytes:
        raise changed(file.name)
    return content


def _link(source: str, target: str) -> None:
    if os.link in os.supports_follow_symlinks:
        os.link(source, target, follow_symlinks=False)
    else:  # Windows, which knows no other way
        os.link(source, target)


def write_file(target: str, write: Callable[[BinaryIO], None], mode: int | None, report: Report) -> None:
    """Writes a new file.

    Args:
        target: Where it goes; nothing may be there.
        write: Gets the open file and writes all of its content.
        mode: Its permission bits; None leaves them to the umask.
        report: Is told how many bytes were written, piece by piece.

    Raises:
        OSError: Writing failed; its ``filename`` says which file.
    """
    try:
        raw = _ReportingFile(os.open(target, os.O_RDWR | _NEW_FILE_FLAGS, 0o666), report)
        with io.BufferedWriter(raw, _PIECE_BYTES) as stream:
            write(cast(BinaryIO, stream))
        if mode is not None:
            keep_mode(target, mode)
    except OSError as error:
        error.filename = error.filename or target
        raise


class _ReportingFile(io.FileIO):
    """A file that tells how much is written to it."""

    def __init__(self, descriptor: int, report: Report) -> None:
        super().__init__(descriptor, "w")
        self._report = report

    def write(self, data: Any, /) -> int:
        """Writes bytes and reports how many."""
        count = super().write(data) or 0
        self._report(count)
        return count


def keep_mode(target: str, mode: int) -> None:
    """Gives a file permission bits where the file system has any."""
    with contextlib.suppress(OSError):
        os.chmod(target, mode)


def _copy_content(reader: int, writer: int, size_bytes: int, report: Report) -> int:
    """Copies all that there is to read, and returns how many bytes that was."""
    if _clone(reader, writer):
        report(size_bytes)
        return os.fstat(writer).st_size
    _reserve(writer, size_bytes)
    copied = 0
    by_kernel = hasattr(os, "copy_file_range")
    while copied <= size_bytes:  # a file that grows while it is read would never end
        if by_kernel:
            try:
                count = os.copy_file_range(reader, writer, _KERNEL_PIECE_BYTES)
            except OSError as error:
                if error.errno not in _NO_KERNEL_COPY:
                    raise
                count = 0
            if count == 0:  # the end, or a file system that cannot do it: read() tells which
                by_kernel = False
                continue
        else:
            piece = os.read(reader, _PIECE_BYTES)
            if not piece:
                break
            count = len(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(writer, rest) :]
        copied += count
        report(count)
    return copied


def _reserve(writer: int, size_bytes: int) -> None:
    """Claims the room for a file at once: a full disk shows before the copying, which then costs a quarter less.

    A source that turns out shorter leaves zeros at the end; whoever copies compares the sizes and refuses it.

    Raises:
        OSError: There is no room.
    """
    if size_bytes < _PIECE_BYTES or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(writer, 0, size_bytes)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise


def _clone(reader: int, writer: int) -> bool:
    """Shares the blocks of one file with an empty one, where the file system can (btrfs, XFS, ZFS)."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    if not hasattr(os, "O_PATH"):  # the number below means something else outside Linux
        return False
    try:
        fcntl.ioctl(writer, _FICLONE, reader)
    except OSError:
        return False
    return True
