"""The fenced child process: how any process that runs TensorFlow is started, bounded and ended.

What the fence does: a session of its own, so that the whole group can be killed; no standard input; an environment
without the caller's secrets; a temporary folder as home and working directory; limits on CPU time, on the size of
files, on open files, and no core dumps; no GPU; on Linux no network, where the kernel lets a process give it up. What
it doesn't: it bounds no memory and hides no file that the caller can read or write. It lowers the risk of running a
model; it makes a hostile one no safer than any other program.

``python -m explorer.runtime.child MODULE ARGUMENTS…`` is the child: it fences itself in before anything else is
imported, then calls ``main`` of that module.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import site
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import RunCancelledError, RunError, printable_name

NO_TENSORFLOW = 3
"""The exit status by which a child says that TensorFlow isn't installed."""

FILE_BYTES = 4 << 30
"""No file that a child writes may be larger."""

_OPEN_FILES = 4096
_POLL_S = 0.05
_MOST_WORDS = 4096
_LONGEST_WORDS = 300
_FENCE_FILE = "fence.json"
_ERRORS_FILE = "stderr.txt"
_CPU_VARIABLE = "SAVEDMODEL_EXPLORER_CPU_S"

_KEPT_VARIABLES = (
    "PATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT",
    "OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS",
)  # fmt: skip
"""What Python and TensorFlow need in order to start; everything else, tokens among it, stays here."""

# sched.h and sys/prctl.h of Linux
_CLONE_NEWUSER, _CLONE_NEWNET, _PR_SET_PDEATHSIG = 0x10000000, 0x40000000, 1


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended.

    Attributes:
        status: Its exit status; below zero the signal that ended it.
        words: The last thing that it wrote on standard error, one printable line.
        network: ``"off"``, or why it couldn't be cut off.
    """

    status: int
    words: str
    network: str

    @property
    def cause(self) -> str:
        """Why it ended before its time: ``crashed (SIGSEGV)`` or ``ended with status 1: …``."""
        if self.status < 0:
            try:
                name = signal.Signals(-self.status).name
            except ValueError:
                name = f"signal {-self.status}"
            return f"crashed ({name})"
        return f"ended with status {self.status}{f': {self.words}' if self.words else ''}"


def run_child(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    timeout_s: float,
    cancel: threading.Event | None = None,
    watch: Callable[[], None] | None = None,
) -> Ended:
    """Starts a child and waits for its end; whatever happens, it and all that it started are gone afterwards.

    Args:
        module: The import name of a module with a function ``main`` that takes the arguments and gives an exit status.
        arguments: Its arguments.
        folder: An empty folder of the caller's, the child's home and working directory.
        timeout_s: How long it may take, in seconds of the clock.
        cancel: Ends the child when it is set.
        watch: Is called about twenty times a second, in this thread; what it raises ends the child.

    Raises:
        RunError: It took longer than that, or couldn't be started.
        RunCancelledError: ``cancel`` was set.
    """
    command = [sys.executable, "-P", "-m", "explorer.runtime.child", module, *arguments]
    cpu_s = int(timeout_s * (os.cpu_count() or 1)) + 1
    with (folder / _ERRORS_FILE).open("ab") as errors:
        try:
            child = subprocess.Popen(
                command, cwd=folder, env=_environment(folder, cpu_s), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        except OSError as error:
            raise RunError(f"the child process couldn't be started: {error.strerror}") from None
    deadline_s = time.monotonic() + timeout_s
    try:
        while not _has_ended(child):
            if cancel is not None and cancel.is_set():
                raise RunCancelledError("the run was cancelled; its child process is gone")
            if time.monotonic() >= deadline_s:
                raise RunError(f"the child process took more than {timeout_s:.0f} seconds and was ended")
            if watch is not None:
                watch()
            time.sleep(_POLL_S)
    finally:
        _kill_group(child)
    return Ended(child.returncode, _last_words(folder), _network_of(folder))


def _environment(folder: Path, cpu_s: int) -> dict[str, str]:
    package = Path(__file__).resolve().parents[2]
    paths = [str(package), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    own = str(folder)
    return {
        **{name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
        **dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "KERAS_HOME", "MPLCONFIGDIR"), own),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUSERBASE": site.getuserbase(),  # TensorFlow may be installed there, below the home that it doesn't get
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        _CPU_VARIABLE: str(cpu_s),
    }


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended; where that can be told without it, its id stays taken until the group is killed."""
    if not hasattr(os, "waitid"):
        return child.poll() is not None
    try:
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # somebody else in this process waits for every child
        return True


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: not permitted once all are zombies
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def _last_words(folder: Path) -> str:
    try:
        with (folder / _ERRORS_FILE).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _MOST_WORDS))
            text = file.read(_MOST_WORDS).decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line for line in text.splitlines() if line.strip()]
    return printable_words(lines[-1]) if lines else ""


def _network_of(folder: Path) -> str:
    try:
        return printable_words(str(json.loads((folder / _FENCE_FILE).read_text())["network"]))
    except (OSError, ValueError, KeyError, TypeError):
        return "it isn't known whether the child's network was cut off"


def printable_words(text: str) -> str:
    """What TensorFlow says, as it stands in a sentence of ours: its first line that says something, not too long."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return printable_name(line, _LONGEST_WORDS)


def fence() -> str:
    """Fences this process in; what a child does first, while it has a single thread.

    Returns:
        ``"off"`` where it has no network any more, else why it has.
    """
    _limit()
    if not sys.platform.startswith("linux"):
        return "the child's network is not cut off: that is possible on Linux only"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # whoever started it may be killed before it can kill this
    return _cut_network(libc)


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    cpu_s = int(os.environ.get(_CPU_VARIABLE, "3600"))
    for kind, wanted in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (limit, limit))


def _cut_network(libc: ctypes.CDLL) -> str:
    """Moves this process into a network of its own that nothing is connected to."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWNET) == 0:  # permitted to root
        return "off"
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        return f"the child's network is not cut off: the system doesn't permit it ({reason})"
    # Without them this user is nobody in the new namespace, and libraries that look the home folder up stumble.
    for name, line in (("uid_map", f"{user} {user} 1"), ("setgroups", "deny"), ("gid_map", f"{group} {group} 1")):
        with contextlib.suppress(OSError):
            Path("/proc/self", name).write_text(line)
    return "off"


def main(arguments: Sequence[str]) -> int:
    """What a child does."""
    Path(_FENCE_FILE).write_text(json.dumps({"network": fence()}))
    module, *rest = arguments
    status = importlib.import_module(module).main(rest)
    return int(status)


@contextlib.contextmanager
def child_folder() -> Iterator[Path]:
    """A new temporary folder for a child, removed afterwards with all that it holds."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="savedmodel-explorer-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
