"""A model that is kept warm in a fenced child process: loaded once, then run as often as one likes.

A crash, an abort, a hang and a lack of memory end the child, not the caller: each is one sentence, and the next run
starts another child. :mod:`explorer.runtime.child` says what the fence holds off and what not.
"""

from __future__ import annotations

import math
import os
import shutil
import socket
import struct
import tempfile
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from explorer.errors import ExplorerError, FormatError, RequestError, RunError, quoted
from explorer.runtime import frames
from explorer.runtime.c_api import CODES
from explorer.runtime.child import (
    NEEDS_TENSORFLOW,
    NO_TENSORFLOW,
    Ended,
    fence_of,
    forget_words,
    has_ended,
    how_it_ended,
    kill_child,
    printable_words,
    start_lasting_child,
    wait_for_end,
)
from explorer.savedmodel import constants
from explorer.savedmodel.folder import list_files
from explorer.savedmodel.tensors import Tensor

_MODULE = "explorer.runtime.engine_child"

_OWN_BYTES = 512 << 20
_STACK_BYTES_PER_PROCESSOR = 64 << 20
_COPIES_OF_THE_MODEL = 3
"""Of its graph and its weights, while it is loaded and optimized."""

_ENDING_S = 5.0
"""How long a child that hung up may take to end by itself, and so to say why."""

_SMALLEST_TIMEOUT_S = 0.001  # for a socket, 0 is none
_MOST_NAMES = 1000
_NO_MEMORY = ("bad_alloc", "MemoryError", "no memory", "Resource temporarily unavailable")
"""What is in the last words of a child that didn't get memory, or a thread."""

_OUT_OF_MEMORY = "OOM when allocating"
"""How TensorFlow begins to say that its allocator didn't get memory."""

_Names = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model may take.

    Attributes:
        load_timeout_s: How long loading it may take, the start of the child included, in seconds.
        run_timeout_s: How long a run may take, in seconds.
        memory_bytes: How much memory it may allocate above what TensorFlow and its own files take; on Linux only. An
            answer may not be larger either.
    """

    load_timeout_s: float = 300.0
    run_timeout_s: float = 60.0
    memory_bytes: int = 4 << 30


class Engine:
    """Runs one meta graph of one SavedModel; close it, or use it in a ``with`` statement.

    The model is loaded by the first run, or by :meth:`load`, and again after a crash. Threads may share an engine:
    they wait for each other.

    Args:
        folder: The folder with ``saved_model.pb``.
        tags: The tag set of the meta graph.
        limits: What the model may take.
    """

    def __init__(self, folder: Path, tags: Iterable[str], *, limits: Limits | None = None) -> None:
        self.folder = Path(folder).absolute()
        self.tags = tuple(sorted(tags))
        self.limits = limits or Limits()
        self._child: _Child | None = None
        self._finalizer: weakref.finalize[Any, Engine] | None = None
        self._fence: Mapping[str, str] = {}
        self._names: dict[_Names, bytes] = {}
        self._refusal: tuple[str, str] | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def fence(self) -> Mapping[str, str]:
        """What the child gave up, ``network``, ``files`` and ``memory``: ``"off"``, the limit, or why it is open.

        Empty as long as no model was loaded.
        """
        return self._fence

    @property
    def process_id(self) -> int | None:
        """The child's process id; None where there is no child at the moment."""
        child = self._child
        return None if child is None else child.process_id

    def load(self) -> None:
        """Loads the model, if it isn't loaded.

        Raises:
            RequestError: TensorFlow's loader refuses it; code and sentence are TensorFlow's.
            RunError: TensorFlow isn't installed, loading crashed or took too long, or the engine is closed.
        """
        with self._lock:
            self._warm()

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        """Runs the graph.

        Args:
            feeds: Tensor name → value.
            fetches: Tensor names.

        Returns:
            The values of the fetches, in their order; those of resources and variants without elements.

        Raises:
            RequestError: TensorFlow refuses; code and sentence are TensorFlow's.
            RunError: The model crashed, took too long or too much memory, or can't be loaded for such a reason.
        """
        for name, value in feeds.items():
            _check_value(name, value)
        with self._lock:
            child = self._warm()
            asked = frames.request(self._packed((tuple(feeds), tuple(fetches))), feeds.values())
            answer = self._ask(child, "answer", asked, len(fetches), self.limits.run_timeout_s)
        if isinstance(answer, list):
            return answer
        code, sentence = _code_name(answer[0]), answer[1]
        if code == "RESOURCE_EXHAUSTED" and sentence.startswith(_OUT_OF_MEMORY):  # a server has no limit of ours
            limit = self.limits.memory_bytes
            raise RunError(f"the model needed more memory than its limit of {limit} bytes: {printable_words(sentence)}")
        raise RequestError(sentence, code)

    def close(self) -> None:
        """Ends the child; a closed engine runs nothing any more. A second time does nothing."""
        self._is_closed = True
        child = self._child
        if child is not None:  # without the lock: a run that takes long is ended by it
            child.end()
        with self._lock:
            self._drop()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _warm(self) -> _Child:
        """The child, with the model loaded."""
        if self._is_closed:
            raise RunError("the engine is closed; make another to run the model")
        if self._refusal is not None:
            raise RequestError(*self._refusal)
        if self._child is not None:
            if self._child.is_there():
                return self._child
            self._drop()
        child = self._child = _Child(self.folder, self.tags, self.limits)
        self._finalizer = weakref.finalize(self, child.end)
        answer = self._ask(child, "load", [], 0, self.limits.load_timeout_s)
        self._fence = child.fence
        if isinstance(answer, tuple):
            self._drop()
            self._refusal = (answer[1], _code_name(answer[0]))
            raise RequestError(*self._refusal)
        return child

    def _ask(
        self, child: _Child, what: str, pieces: Sequence[bytes], count: int, timeout_s: float
    ) -> list[Tensor] | tuple[int, str]:
        """Asks the child; whatever goes wrong with that ends it, for nobody knows what it would say next."""
        try:
            return child.ask(pieces, count, self.limits.memory_bytes, timeout_s)
        except BaseException as error:
            end = child.end(_ENDING_S if isinstance(error, EOFError | ConnectionError) else 0.0)
            self._drop()
            sentence = self._failure(error, end, what, timeout_s)
            if sentence is None:
                raise
            raise RunError(sentence) from None

    def _failure(self, error: BaseException, end: Ended, what: str, timeout_s: float) -> str | None:
        """What is said of a failure; None of one that isn't the child's."""
        again = "the next request starts it again"
        if self._is_closed:
            return "the engine was closed before the model had answered"
        if end.status == NO_TENSORFLOW:
            return NEEDS_TENSORFLOW
        if isinstance(error, TimeoutError | BlockingIOError):
            return f"the model took more than {timeout_s:g} seconds to {what}, so its process was ended; {again}"
        if isinstance(error, EOFError | OSError):
            if any(sign in end.words for sign in _NO_MEMORY):
                again = f"it may have needed more memory than its limit of {self.limits.memory_bytes} bytes; {again}"
            return f"when it was to {what}, the model's process {end.cause}; {again}"
        if isinstance(error, FormatError):
            return f"what the model's process sent can't be understood, so it was ended: {error}; {again}"
        if isinstance(error, MemoryError):
            return f"there is no memory for what the model was to {what}, so its process was ended; {again}"
        return None

    def _drop(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._child = self._finalizer = None

    def _packed(self, asked: _Names) -> bytes:
        names = self._names.get(asked)
        if names is None:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            names = self._names[asked] = frames.pack_names(*asked)
        return names


class _Child:
    """A started child and the socket to it."""

    def __init__(self, folder: Path, tags: Sequence[str], limits: Limits) -> None:
        if os.name == "nt":
            raise RunError("TensorFlow for Windows comes without the C++ loader; run the model on Linux or in WSL")
        self._owner = os.getpid()
        self._home = Path(tempfile.mkdtemp(prefix="savedmodel-explorer-")).resolve()
        self._end: Ended | None = None
        self._lock = threading.Lock()
        self._timeout_s = -1.0
        self._channel, other = socket.socketpair()
        arguments = [str(other.fileno()), str(folder), *tags]
        try:
            self._process = start_lasting_child(
                _MODULE, arguments, self._home, memory_bytes=_memory_bytes(folder, limits), keep_open=[other.fileno()]
            )
        except BaseException:
            self._channel.close()
            shutil.rmtree(self._home, ignore_errors=True)
            raise
        finally:
            other.close()

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def fence(self) -> Mapping[str, str]:
        return fence_of(self._home)

    def is_there(self) -> bool:
        """Whether it can be asked: it lives, and this process didn't get it by a fork."""
        return os.getpid() == self._owner and self._end is None and not has_ended(self._process)

    def ask(
        self, pieces: Sequence[bytes], count: int, most_bytes: int, timeout_s: float
    ) -> list[Tensor] | tuple[int, str]:
        """Sends a request, if there is one, and receives the answer."""
        deadline_s = time.monotonic() + timeout_s
        self._set_timeout(timeout_s)
        frames.send(self._channel, pieces)
        answer = frames.receive_answer(self._channel, count, most_bytes, deadline_s)
        forget_words(self._home)
        return answer

    def end(self, patience_s: float = 0.0) -> Ended:
        """Ends it and all that it started; a second time only tells again how it ended.

        Args:
            patience_s: How long to wait for it to end by itself.
        """
        if os.getpid() != self._owner:
            return Ended(0, "", "")
        with self._lock:
            if self._end is None:
                if patience_s:
                    wait_for_end(self._process, patience_s)
                kill_child(self._process)
                self._end = how_it_ended(self._process, self._home)
                self._channel.close()
                shutil.rmtree(self._home, ignore_errors=True)
            return self._end

    def _set_timeout(self, timeout_s: float) -> None:
        """Lets the kernel watch the clock: Python's own timeouts cost two more calls for each one."""
        if timeout_s == self._timeout_s:
            return
        seconds = max(timeout_s, _SMALLEST_TIMEOUT_S)
        timeval = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._channel.setsockopt(socket.SOL_SOCKET, option, timeval)
        self._timeout_s = timeout_s


def _memory_bytes(folder: Path, limits: Limits) -> int:
    """How much memory the child may allocate: what TensorFlow takes for itself grows with the number of processors."""
    try:
        model_bytes = sum(file.size_bytes for file in list_files(folder))
    except ExplorerError:  # the loader says what is wrong with the folder
        model_bytes = 0
    own_bytes = _OWN_BYTES + _STACK_BYTES_PER_PROCESSOR * (os.cpu_count() or 1)
    return limits.memory_bytes + own_bytes + _COPIES_OF_THE_MODEL * model_bytes


def _check_value(name: str, value: Tensor) -> None:
    """Refuses what no tensor can be made of, as ``Tensor::FromProto`` does before a server runs anything.

    Raises:
        RequestError: There is no such tensor.
        RunError: The elements aren't those of the shape: a slip of the caller.
    """
    count = math.prod(value.shape)
    size = constants.DTYPE_SIZES.get(value.dtype)
    is_text = value.dtype == constants.DT_STRING
    # Of resources and the like only empty tensors can be made, of DT_INVALID and unknown dtypes none.
    is_known = value.dtype != 0 and value.dtype in constants.DTYPE_NAMES
    if len(value.shape) > frames.HIGHEST_RANK or not is_known or (count and size is None and not is_text):
        raise RequestError(f"tensor parsing error: {name}", "INVALID_ARGUMENT")
    fits = len(value.texts) == count if is_text else len(value.data) == count * (size or 0)
    if not fits:
        raise RunError(f"the value for {quoted(name)} hasn't the elements that its shape says")


def _code_name(number: int) -> str:
    return CODES[number] if 0 < number < len(CODES) else "UNKNOWN"
