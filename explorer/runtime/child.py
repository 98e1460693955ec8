"""The fenced child process: how any process that runs TensorFlow is started, bounded and ended.

What the fence does: a session of its own, so that the whole group can be killed; no standard input; an environment
without the caller's secrets; a temporary folder as home and working directory; limits on CPU time, on memory, on the
size of files, on open files, each where the caller sets one, and no core dumps; no GPU; on Linux no network and no
file that could be written but below that folder, where the kernel lets a process give these up. What it doesn't: it
hides no file that the caller can read. It lowers the risk of running a model; it makes a hostile one no safer than any
other program.

``python -m explorer.runtime.child MODULE ARGUMENTS…`` is the child: it fences itself in before anything else is
imported, then calls ``main`` of that module.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import re
import signal
import site
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from explorer.errors import RunCancelledError, RunError, printable_name
from explorer.runtime.landlock import close_writes

NO_TENSORFLOW = 3
"""The exit status by which a child says that TensorFlow isn't installed."""

NEEDS_TENSORFLOW = (
    "running a model takes TensorFlow, which isn't installed here; run pip install 'savedmodel-explorer[tensorflow]'"
)
"""What the caller is told then."""

FILE_BYTES = 4 << 30
"""No file that a child writes may be larger."""

_OPEN_FILES = 4096
_POLL_S = 0.05
_MOST_WORDS = 4096
_LONGEST_WORDS = 300
_FENCE_FILE = "fence.json"
_ERRORS_FILE = "stderr.txt"
_CPU_VARIABLE = "SAVEDMODEL_EXPLORER_CPU_S"
_MEMORY_VARIABLE = "SAVEDMODEL_EXPLORER_MEMORY_BYTES"
_TELLING = ("Check failed", "what():", "F0000 ", "Fatal Python error")
"""What stands in the line that says why a process aborted; a stack trace comes after it."""

_LOG_PREFIX = re.compile(r"[IWEF][0-9]{4} [0-9:.]+ +[0-9]+ (?=\S+:[0-9]+\] )")
"""When and in which thread a line of TensorFlow's log was written."""

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
        is_told: Whether its words are those of a process that aborts.
    """

    status: int
    words: str
    network: str
    is_told: bool = False

    @property
    def cause(self) -> str:
        """Why it ended before its time: ``crashed (SIGSEGV)`` or ``ended with status 1: …``."""
        if self.status < 0:
            try:
                name = signal.Signals(-self.status).name
            except ValueError:
                name = f"signal {-self.status}"
            return f"crashed ({name}){f': {self.words}' if self.is_told else ''}"
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
    child = start_child(module, arguments, folder, cpu_s=int(timeout_s * (os.cpu_count() or 1)) + 1)
    deadline_s = time.monotonic() + timeout_s
    try:
        while not has_ended(child):
            if cancel is not None and cancel.is_set():
                raise RunCancelledError("the run was cancelled; its child process is gone")
            if time.monotonic() >= deadline_s:
                raise RunError(f"the child process took more than {timeout_s:.0f} seconds and was ended")
            if watch is not None:
                watch()
            time.sleep(_POLL_S)
    finally:
        kill_child(child)
    return how_it_ended(child, folder)


def start_child(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    *,
    cpu_s: int | None = None,
    memory_bytes: int | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts a child, which is the caller's to end with :func:`kill_child`.

    On Linux it is killed too when the thread that started it ends; see :func:`start_lasting_child`.

    Args:
        module: As for :func:`run_child`.
        arguments: As for :func:`run_child`.
        folder: As for :func:`run_child`.
        cpu_s: How much time of processors it may use, in seconds; None for as much as it likes.
        memory_bytes: How much memory it may allocate; None for as much as there is.
        keep_open: File descriptors that it gets.

    Raises:
        RunError: It couldn't be started.
    """
    command = [sys.executable, "-P", "-m", "explorer.runtime.child", module, *arguments]
    with (folder / _ERRORS_FILE).open("ab") as errors:
        try:
            return subprocess.Popen(
                command, cwd=folder, env=_environment(folder, cpu_s, memory_bytes), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, pass_fds=keep_open,
            )  # fmt: skip
        except OSError as error:
            raise RunError(f"the child process couldn't be started: {error.strerror}") from None


def start_lasting_child(
    module: str, arguments: Sequence[str], folder: Path, *, memory_bytes: int | None, keep_open: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Starts a child that outlives the calling thread, but not this process.

    The kernel kills a child when the *thread* that started it ends (prctl(2), ``PR_SET_PDEATHSIG``), and threads that
    answer requests come and go; so a thread that does nothing else starts it.

    Raises:
        RunError: It couldn't be started.
    """
    starter = _starter(os.getpid())  # a fork takes no threads along
    return starter.submit(
        start_child, module, arguments, folder, memory_bytes=memory_bytes, keep_open=keep_open
    ).result()


@cache
def _starter(process_id: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix=f"children-of-{process_id}")


def _environment(folder: Path, cpu_s: int | None, memory_bytes: int | None) -> dict[str, str]:
    package = Path(__file__).resolve().parents[2]
    paths = [str(package), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    own = str(folder)
    limits = {_CPU_VARIABLE: cpu_s, _MEMORY_VARIABLE: memory_bytes}
    return {
        **{name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
        **dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "KERAS_HOME", "MPLCONFIGDIR"), own),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUSERBASE": site.getuserbase(),  # TensorFlow may be installed there, below the home that it doesn't get
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        **{name: str(limit) for name, limit in limits.items() if limit is not None},
    }


def has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether it has ended; where that can be told without it, its id stays taken until the group is killed."""
    if not hasattr(os, "waitid"):
        return child.poll() is not None
    try:
        return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # somebody else in this process waits for every child
        return True


def wait_for_end(child: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Waits until a child has ended by itself, or for so long; it is still to be killed, with what it started."""
    deadline_s = time.monotonic() + timeout_s
    while not has_ended(child) and time.monotonic() < deadline_s:
        time.sleep(_POLL_S / 5)


def kill_child(child: subprocess.Popen[bytes]) -> None:
    """Ends a child and all that it started, and waits for its end."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: not permitted once all are zombies
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def how_it_ended(child: subprocess.Popen[bytes], folder: Path) -> Ended:
    """How a child that has been waited for ended."""
    lines = _last_lines(folder)
    telling = [line for line in lines if any(sign in line for sign in _TELLING)]
    words = printable_words(_LOG_PREFIX.sub("", (telling or lines)[-1])) if lines else ""
    return Ended(child.returncode, words, fence_of(folder)["network"], bool(telling))


def _last_lines(folder: Path) -> list[str]:
    try:
        with (folder / _ERRORS_FILE).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _MOST_WORDS))
            text = file.read(_MOST_WORDS).decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()]


def forget_words(folder: Path, longest: int = 1 << 20) -> None:
    """Empties what a child wrote on standard error, where that is long: a child that lasts may write for ever."""
    with contextlib.suppress(OSError):
        path = folder / _ERRORS_FILE
        if path.stat().st_size > longest:
            os.truncate(path, 0)


def fence_of(folder: Path) -> Mapping[str, str]:
    """What a child gave up: ``network``, ``files`` and ``memory`` → ``"off"``, the limit, or why it is open."""
    try:
        told = json.loads((folder / _FENCE_FILE).read_text())
        return {name: printable_words(str(told[name])) for name in ("network", "files", "memory")}
    except (OSError, ValueError, KeyError, TypeError):
        return {
            "network": "it isn't known whether the child's network was cut off",
            "files": "it isn't known whether the child may write files",
            "memory": "it isn't known whether the child's memory is bounded",
        }


def printable_words(text: str) -> str:
    """What TensorFlow says, as it stands in a sentence of ours: its first line that says something, not too long."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return printable_name(line, _LONGEST_WORDS)


def fence(folder: Path) -> dict[str, str]:
    """Fences this process in; what a child does first, while it has a single thread.

    Args:
        folder: The only folder that it can write in afterwards.

    Returns:
        What :func:`fence_of` gives.
    """
    memory = _limit()
    if not sys.platform.startswith("linux"):
        network = "the child's network is not cut off: that is possible on Linux only"
        return {"network": network, "files": close_writes(folder)[0], "memory": memory}
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # whoever started it may be killed before it can kill this
    network = _cut_network(libc)
    files, tcp_is_off = close_writes(folder)  # after that, whose files under /proc have to be written
    if network != "off" and tcp_is_off:
        network += "; TCP is closed to it all the same"
    return {"network": network, "files": files, "memory": memory}


def _limit() -> str:
    """Sets the limits; gives that of memory, or why there is none."""
    try:
        import resource
    except ImportError:  # Windows
        return "the child's memory is not bounded: this system has no limits"
    memory_bytes = int(os.environ.get(_MEMORY_VARIABLE, "0"))
    for kind, wanted in (
        (resource.RLIMIT_CPU, int(os.environ.get(_CPU_VARIABLE, "0"))),
        # Not the address space: TensorFlow reserves many times what it uses.
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        hard = resource.getrlimit(kind)[1]
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            if wanted:
                resource.setrlimit(kind, (limit, limit))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not memory_bytes:
        return "the child's memory is not bounded: no limit was asked for"
    if not sys.platform.startswith("linux"):  # elsewhere the limit doesn't hold for what malloc maps
        return "the child's memory is not bounded: that is possible on Linux only"
    return f"{memory_bytes} bytes"


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
    Path(_FENCE_FILE).write_text(json.dumps(fence(Path.cwd())))
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
