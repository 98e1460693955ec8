"""Landlock: a Linux process gives up writing to files, for good and for all that it starts.

The kernel's interface is described in https://docs.kernel.org/userspace-api/landlock.html; the numbers are those of
``linux/landlock.h``. Reading and executing stay as they are: TensorFlow is spread over the whole file system.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from pathlib import Path

# The same on every architecture that has had them from the start.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_WRITE_FILE, _TRUNCATE, _IOCTL_DEV = 1 << 1, 1 << 14, 1 << 15
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_REFER = 1 << 13
_WRITES = {1: _WRITE_FILE | _REMOVE_AND_MAKE, 2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEV}
"""Version of Landlock → the rights to change something that it brought."""

_TCP_SINCE, _BIND_AND_CONNECT_TCP = 4, 0b11
_SCOPES_SINCE, _ABSTRACT_SOCKETS_AND_SIGNALS = 6, 0b11
_TRUNCATE_SINCE = 3


def close_writes(folder: Path) -> tuple[str, bool]:
    """Takes every right to write, create, remove and truncate from this process, but below one folder.

    Where the kernel is new enough, TCP, sockets without a place in the file system and signals to processes outside
    go too. Call it while there is one thread: other threads would keep their rights.

    Args:
        folder: What may still be written below.

    Returns:
        ``"off"``, or why files can still be written; and whether TCP is closed.
    """
    if not sys.platform.startswith("linux"):
        return "files can be written: closing them is possible on Linux only", False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        return f"files can be written: this system has no Landlock ({os.strerror(ctypes.get_errno())})", False
    writes = sum(rights for since, rights in _WRITES.items() if since <= version)
    handled = struct.pack("=Q", writes)
    if version >= _TCP_SINCE:
        handled += struct.pack("=Q", _BIND_AND_CONNECT_TCP)
    if version >= _SCOPES_SINCE:
        handled += struct.pack("=Q", _ABSTRACT_SOCKETS_AND_SIGNALS)
    rules = libc.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), 0)
    if rules < 0:
        return f"files can be written: Landlock refused ({os.strerror(ctypes.get_errno())})", False
    try:
        _allow(libc, rules, folder, writes)
        with contextlib.suppress(OSError):  # not everybody has one, and libraries write to it
            _allow(libc, rules, Path(os.devnull), writes & (_WRITE_FILE | _TRUNCATE | _IOCTL_DEV))
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if libc.syscall(_RESTRICT_SELF, rules, 0) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except OSError as error:
        return f"files can be written: Landlock refused ({error.strerror})", False
    finally:
        os.close(rules)
    if version < _TRUNCATE_SINCE:
        return f"files can be cut short: this system's Landlock is of version {version}", False
    return "off", version >= _TCP_SINCE


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, parent)
        if libc.syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, rule, 0) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(parent)
