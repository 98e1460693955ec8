"""What an export takes over from the source: every regular file and folder, with links resolved and checked.

A model from a stranger may hold links that lead to somebody's private files; an export that followed them would carry
those files away. So a link counts only where it stays inside the model's folder, unless its content is asked for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field

from explorer.errors import ExportError, quoted

MOST_ENTRIES = 100_000
"""More files and folders than this are no model, but a folder that was meant to be another one."""

_WALKS_BY_DESCRIPTOR = hasattr(os, "O_PATH") and os.open in os.supports_dir_fd
_FOLDER_FLAGS = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file of the source.

    Attributes:
        name: Its place in the model, with ``/``.
        real_path: Where its content is, without links.
        size_bytes: Its size.
        modified_ns: When it was written last, in nanoseconds.
        mode: Its permission bits.
        link: The text of the link that led to it, or ``""``.
    """

    name: str
    real_path: str
    size_bytes: int
    modified_ns: int
    mode: int = field(compare=False)
    link: str = ""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Something in the source that the export doesn't copy, because it is replaced or left out.

    Attributes:
        name: Its place in the model, with ``/``.
        is_folder: Whether it is a folder.
        size_bytes: Its size where it is a regular file, else 0.
        modified_ns: When it was written last, in nanoseconds.
        mode: Its permission bits.
    """

    name: str
    is_folder: bool
    size_bytes: int
    modified_ns: int
    mode: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class SourceTree:
    """What a source folder held when it was looked at; equal to another as long as nothing was changed.

    Attributes:
        root: The folder, without links.
        folders: The names of all folders below it, parents first.
        files: The files to copy.
        passed_over: What stays behind.
    """

    root: str
    folders: tuple[str, ...]
    files: tuple[SourceFile, ...]
    passed_over: tuple[PassedOver, ...]


def open_exactly(path: str, flags: int) -> int:
    """Opens a path none of whose parts may be a link, and never waits for a FIFO.

    Where the system has ``O_PATH`` (Linux) each folder is opened inside the one before, so that nothing that is
    swapped for a link meanwhile is followed; elsewhere only the last part is looked at.

    Args:
        path: An absolute path, as ``os.path.realpath`` gives it.
        flags: Flags for ``os.open``, to which those against links and waiting are added.

    Returns:
        A file descriptor.

    Raises:
        OSError: It isn't there, isn't allowed, or is a link by now.
    """
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    if not _WALKS_BY_DESCRIPTOR:
        return os.open(path, flags)
    folder_flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    *folders, last = [part for part in path.split("/") if part] or ["."]
    parent = os.open("/", folder_flags)
    try:
        for folder in folders:
            below = os.open(folder, folder_flags, dir_fd=parent)
            os.close(parent)
            parent = below
        return os.open(last, flags, dir_fd=parent)
    finally:
        os.close(parent)


def open_source_file(file: SourceFile) -> int:
    """Opens a file of the source for reading.

    Raises:
        ExportError: It was changed, removed or swapped for something else since the source was looked at.
        OSError: It can't be read.
    """
    try:
        descriptor = open_exactly(file.real_path, os.O_RDONLY | _FILE_FLAGS)
    except OSError as error:
        if os.path.lexists(file.real_path) and os.path.realpath(file.real_path) == file.real_path:
            raise
        raise changed(file.name) from error
    try:
        refuse_changed(file, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def refuse_changed(file: SourceFile, descriptor: int) -> None:
    """Raises an ExportError where an open file isn't what it was when the source was looked at."""
    now = os.fstat(descriptor)
    # Inode numbers are left aside: some network file systems make them up anew whenever they are asked.
    if not stat.S_ISREG(now.st_mode) or (now.st_size, now.st_mtime_ns) != (file.size_bytes, file.modified_ns):
        raise changed(file.name)


def changed(name: str) -> ExportError:
    """The error for a source that is written to while it is copied."""
    return ExportError(
        f"{quoted(name)} of the source was changed while it was copied, so nothing was published; export again when "
        "nobody writes to it"
    )


def scan_source(root: str, pass_over: Collection[str], follow_outside_links: bool) -> SourceTree:
    """Looks at everything below a source folder.

    Args:
        root: The folder, as ``os.path.realpath`` gives it.
        pass_over: Names that aren't copied, with ``/``; what they are, or lead to, doesn't matter.
        follow_outside_links: Whether links may leave the folder; their content is taken then.

    Returns:
        Its folders and files in the order of their names.

    Raises:
        ExportError: There is a link that leaves the folder, leads nowhere or in a circle; or something that is neither
            a regular file nor a folder; or more than 100,000 entries.
        OSError: A folder can't be listed.
    """
    folders: list[str] = []
    files: list[SourceFile] = []
    passed_over: list[PassedOver] = []
    count = 0
    pending: list[tuple[str, str, tuple[tuple[int, int], ...]]] = [("", root, ())]
    while pending:
        prefix, folder, above = pending.pop()
        identity, children = _children(folder)
        if identity in above:
            raise ExportError(f"{quoted(prefix)} of the source is a link to a folder that it lies in itself; remove it")
        for child, status in children:
            name = f"{prefix}/{child}" if prefix else child
            count += 1
            if count > MOST_ENTRIES:
                raise ExportError(
                    f"{quoted(root)} holds more than {MOST_ENTRIES:,} files and folders; give the folder of one model"
                )
            real_path = os.path.join(folder, child)
            if name in pass_over:
                passed_over.append(_passed_over(name, real_path, status))
                continue
            link = ""
            if stat.S_ISLNK(status.st_mode):
                link, real_path = _resolved(name, real_path, root, follow_outside_links)
                status = os.lstat(real_path)
            if stat.S_ISDIR(status.st_mode):
                folders.append(name)
                pending.append((name, real_path, (*above, identity)))
            elif stat.S_ISREG(status.st_mode):
                mode = stat.S_IMODE(status.st_mode) & 0o777
                files.append(SourceFile(name, real_path, status.st_size, status.st_mtime_ns, mode, link))
            else:
                raise ExportError(
                    f"{quoted(name)} of the source is {_kind(status.st_mode)}, and only regular files and folders can "
                    "be exported; remove it"
                )
    return SourceTree(
        root,
        tuple(sorted(folders)),
        tuple(sorted(files, key=lambda file: file.name)),
        tuple(sorted(passed_over, key=lambda entry: entry.name)),
    )


def _children(folder: str) -> tuple[tuple[int, int], list[tuple[str, os.stat_result]]]:
    """A folder's device and inode, and its entries, links not followed."""
    if not _WALKS_BY_DESCRIPTOR:
        status = os.stat(folder)
        names = sorted(os.listdir(folder))
        return (status.st_dev, status.st_ino), [(name, os.lstat(os.path.join(folder, name))) for name in names]
    descriptor = open_exactly(folder, os.O_RDONLY | _FOLDER_FLAGS)
    try:
        status = os.fstat(descriptor)
        names = sorted(os.listdir(descriptor))
        children = [(name, os.stat(name, dir_fd=descriptor, follow_symlinks=False)) for name in names]
    finally:
        os.close(descriptor)
    return (status.st_dev, status.st_ino), children


def _passed_over(name: str, path: str, status: os.stat_result) -> PassedOver:
    if stat.S_ISLNK(status.st_mode):
        try:
            status = os.stat(path)
        except OSError:  # a link that leads nowhere, and that nobody wants
            return PassedOver(name, False, 0, status.st_mtime_ns, 0)
    is_file = stat.S_ISREG(status.st_mode)
    return PassedOver(
        name,
        stat.S_ISDIR(status.st_mode),
        status.st_size if is_file else 0,
        status.st_mtime_ns if is_file else 0,
        stat.S_IMODE(status.st_mode) & 0o777,
    )


def _resolved(name: str, path: str, root: str, follow_outside_links: bool) -> tuple[str, str]:
    """The text of a link, and the path without links that it leads to."""
    link = os.readlink(path)
    try:
        target = os.path.realpath(path, strict=True)
    except OSError as error:
        raise ExportError(
            f"{quoted(name)} of the source is a link to {quoted(link)}, which cannot be followed "
            f"({error.strerror or error}); put the file there or remove the link"
        ) from error
    if not follow_outside_links and target != root and not target.startswith(root.rstrip(os.sep) + os.sep):
        raise ExportError(
            f"{quoted(name)} of the source is a link to {quoted(link)}, which leaves the model's folder (the Hugging "
            "Face cache is made of such links); to export a copy of what such links lead to, ask for it with "
            "follow_outside_links"
        )
    return link, target


def _kind(mode: int) -> str:
    for is_kind, words in (
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISCHR, "a character device"),
    ):
        if is_kind(mode):
            return words
    return "of an unknown kind"
