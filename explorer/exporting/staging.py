"""A hidden place under the base path to build a version in, and the one step that makes it visible.

The place is ``BASE/.tmp-export-<random>/`` with a file ``lock`` and the folder ``model``. TensorFlow Serving passes
over such a name. Whoever builds there holds a lock on the file for as long as its process lives, however it ends; so
leftovers are told from work by the lock alone (process numbers mean nothing across containers).
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from explorer.errors import ExportError, quoted

STAGING_PREFIX = ".tmp-export-"

_LOCK = "lock"
_MODEL = "model"
_SWEPT = ".swept"
_MOST_TRIES = 100
_LOCK_FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_NO_RENAMEAT2 = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF})


@contextlib.contextmanager
def staging(base_path: Path) -> Iterator[Path]:
    """Makes a hidden empty folder under a base path, and removes what is left there at the end.

    Args:
        base_path: An existing folder.

    Yields:
        The folder to build the model in; to publish it, rename it.

    Raises:
        OSError: The base path can't be written to.
    """
    place, lock = _new_place(base_path)
    try:
        model = place / _MODEL
        model.mkdir()
        yield model
    finally:
        # Failures are left to the next sweep: whether the export went well is decided by now.
        shutil.rmtree(place / _MODEL, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(lock)
        with contextlib.suppress(OSError):
            os.unlink(place / _LOCK)
        with contextlib.suppress(OSError):
            os.rmdir(place)


def _new_place(base_path: Path) -> tuple[Path, int]:
    """Makes a new staging place and returns it with the descriptor that holds its lock."""
    for _ in range(_MOST_TRIES):
        place = base_path / f"{STAGING_PREFIX}{secrets.token_hex(8)}"
        os.mkdir(place)
        try:
            lock = os.open(place / _LOCK, _LOCK_FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:  # a sweeper took the empty folder for a leftover
            continue
        except BaseException:
            with contextlib.suppress(OSError):
                os.rmdir(place)
            raise
        # A sweeper may have been quicker with the lock, too: then the place is about to go.
        if take_lock(lock) is not False and _is_at(lock, place / _LOCK):
            return place, lock
        os.close(lock)
    raise ExportError(f"no staging folder could be kept in {quoted(str(base_path))}; something else removes them")


def take_lock(descriptor: int) -> bool | None:
    """Takes the lock of an open file without waiting.

    Returns:
        True if it is ours now, False if somebody else holds it, None where the system has no such locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        return None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def sweep(base_path: Path) -> int:
    """Removes what exports that were killed have left under a base path.

    Only places whose lock can be taken go, so an export that is under way is never touched; where the system has no
    locks, nothing goes. What can't be removed stays without an error.

    Args:
        base_path: An existing folder.

    Returns:
        How many places were removed.
    """
    try:
        names = [name for name in os.listdir(base_path) if name.startswith(STAGING_PREFIX)]
    except OSError:
        return 0
    return sum(_sweep_place(base_path / name) for name in sorted(names))


def _sweep_place(place: Path) -> bool:
    try:
        if not stat.S_ISDIR(os.lstat(place).st_mode):
            return False
        with contextlib.suppress(OSError):
            os.rmdir(place)  # killed before it had a lock, or after the lock was removed
            return True
        lock = os.open(place / _LOCK, _LOCK_FLAGS)
    except OSError:
        return False
    try:
        if take_lock(lock) is not True or not _is_at(lock, place / _LOCK):
            return False
        # Renamed first: should the lock have lied, its owner can't publish a folder that is half gone.
        swept = place if place.name.endswith(_SWEPT) else place.with_name(place.name + _SWEPT)
        os.rename(place, swept)
        shutil.rmtree(swept / _MODEL, ignore_errors=True)
        os.unlink(swept / _LOCK)
        os.rmdir(swept)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def sync_tree(folder: Path) -> bool:
    """Brings every file and folder below a folder, and itself, to the disk.

    Returns:
        False where the file system can't do that for folders, so that one doesn't know.

    Raises:
        ExportError: There is something that is neither a regular file nor a folder.
        OSError: The disk reported an error.
    """
    confirmed = True
    for path, _, names in os.walk(folder, topdown=False, onerror=_raise):
        for name in names:
            file = os.path.join(path, name)
            if not stat.S_ISREG(os.lstat(file).st_mode):
                raise ExportError(f"{quoted(os.path.relpath(file, folder))} of the new version is no regular file")
            # Windows flushes only what is open for writing.
            _sync(file, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        confirmed = sync_folder(path) and confirmed
    return confirmed


def sync_folder(folder: str | os.PathLike[str]) -> bool:
    """Brings the entries of a folder to the disk; False where the file system can't.

    Raises:
        OSError: The disk reported an error.
    """
    if os.name == "nt":
        return False
    try:
        _sync(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError as error:
        if error.errno in _NO_FOLDER_SYNC:
            return False
        raise
    return True


def _sync(path: str | os.PathLike[str], flags: int) -> None:
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = os.fspath(path)
        raise
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error


def rename_new(source: Path, target: Path) -> None:
    """Renames a folder in one step, onto nothing.

    A plain ``rename`` replaces an empty folder without a word, so the system call that refuses to is taken where there
    is one.

    Args:
        source: The folder.
        target: Its new name, on the same file system.

    Raises:
        FileExistsError: There is something at the new name.
        OSError: It failed for another reason.
    """
    before = os.lstat(source)
    try:
        try:
            _renameat2(source, target)
        except OSError as error:
            if error.errno not in _NO_RENAMEAT2:
                raise
            _rename_checked(source, target)
    except OSError as error:
        # A file server that answers twice reports an error for a rename that it has done.
        if not os.path.lexists(source) and _is_same(before, target):
            return
        if error.errno in _TAKEN or (os.name == "nt" and os.path.lexists(target)):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        raise


def _is_same(status: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(status, os.lstat(path))
    except OSError:
        return False


def _renameat2(source: Path, target: Path) -> None:
    """``renameat2(2)`` with ``RENAME_NOREPLACE``; ENOSYS where the C library doesn't have it."""
    import ctypes

    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # another C library; Windows
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(source), None, str(target)) from None
    if function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(_RENAME_NOREPLACE)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(source), None, str(target))


def _rename_checked(source: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(source, target)
