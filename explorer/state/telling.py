"""How a state tells of changes: those of an intent at once, what goes wrong as a sentence, slow work elsewhere."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import traitlets

from explorer.checking.findings import Finding
from explorer.errors import ExplorerError, printable_name

_P = ParamSpec("_P")
_Result = TypeVar("_Result")
_State = TypeVar("_State", bound="TellingState")
_LONGEST_SENTENCE = 4000

Deliver = Callable[[Callable[[], None]], object]
"""Calls a function, there or later."""


class Held(traitlets.Any):
    """A trait that tells of every other object, also of one that compares equal: two equal drafts differ in edits."""

    def set(self, obj: traitlets.HasTraits, value: Any) -> None:
        """Sets the trait and tells of it unless it is the very same object."""
        assert self.name is not None
        old = obj._trait_values.get(self.name, self.default_value)
        obj._trait_values[self.name] = value
        if old is not value:
            obj._notify_trait(self.name, old, value)


class InlineExecutor(Executor):
    """Runs work at once, where it is submitted: for tests and for scripts."""

    def submit(self, fn: Callable[_P, _Result], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_Result]:
        """Runs the work and returns it done."""
        future: Future[_Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def intent(method: Callable[Concatenate[_State, _P], None]) -> Callable[Concatenate[_State, _P], bool]:
    """Makes a method an intent: all its changes are told at once, and what goes wrong becomes ``error``.

    The method then answers whether it went well.
    """

    @functools.wraps(method)
    def call(state: _State, /, *args: _P.args, **kwargs: _P.kwargs) -> bool:
        with state._together():
            state.error, state.error_place, state.notice = "", "", ""
            with state._sentences(state._place):
                method(state, *args, **kwargs)
            return not state.error

    return call


class TellingState(traitlets.HasTraits):
    """A state with intents.

    Attributes:
        error: What went wrong with the last intent, in a sentence; empty when nothing did.
        error_place: The panel whose intent it was; empty for one from Python.
        notice: What the last intent did, where it is worth a sentence.
        progress: Bytes done and bytes in all of what is at work.
        revision: Counts up whenever anything but ``progress`` has changed, once an intent.
        lock: Held while the state changes and tells of it. A kernel calls from several threads at once: JupyterLab
            sends the messages of widgets to a subshell, beside the thread that runs cells, and results of slow work
            come from threads of their own.
    """

    error = traitlets.Unicode()
    error_place = traitlets.Unicode()
    notice = traitlets.Unicode()
    progress = traitlets.Tuple((0, 0))
    revision = traitlets.Int(0)

    def __init__(self, executor: Executor | None = None, deliver: Deliver | None = None) -> None:
        """Makes a state.

        Args:
            executor: Runs slow work; None runs it at once.
            deliver: Hands results over; None does it where the work was done.
        """
        super().__init__()
        self._executor = executor or InlineExecutor()
        self._deliver: Deliver = deliver or (lambda call: call())
        self.lock = threading.RLock()
        self._depth = 0
        self._place = ""

    @contextmanager
    def asked_by(self, place: str) -> Iterator[None]:
        """Says which panel the intents inside come from, so that it is there that an error is shown."""
        with self.lock:
            before, self._place = self._place, place
            try:
                yield
            finally:
                self._place = before

    def run(
        self,
        work: Callable[[], _Result],
        then: Callable[[_Result], None],
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """Runs slow work in the executor and hands its result to a function that may change the state.

        Args:
            work: What to do; it must not touch the state.
            then: Gets the result. An :class:`ExplorerError` of the work goes to ``error`` instead.
            failed: Is called then.
        """
        place = self._place

        def received(future: Future[_Result]) -> None:
            with self._together():
                if future.exception() is not None:
                    failed()
                with self._sentences(place):
                    then(future.result())

        future = self._executor.submit(work)
        if future.done():  # as with an executor without threads: part of the intent that is under way
            received(future)
        else:
            future.add_done_callback(lambda done: self._deliver(lambda: received(done)))

    @contextmanager
    def _sentences(self, place: str) -> Iterator[None]:
        """Turns what goes wrong into ``error``."""
        try:
            yield
        except ExplorerError as error:
            self.error, self.error_place = sentence(error), place
        except OSError as error:
            reason = f"{error.filename or 'the model'}: {error.strerror or error}"
            self.error, self.error_place = sentence(reason), place
        except Exception as error:  # a slip of ours: said here, and raised for the log and the tests
            self.error = sentence(f"this failed for a reason that should not be: {type(error).__name__}: {error}")
            self.error_place = place
            raise

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Tells of all changes inside at once, when the outermost one ends."""
        with self.lock:
            if self._depth:
                yield
                return
            self._depth = 1
            try:
                with self.hold_trait_notifications():
                    try:
                        yield
                    finally:
                        self.revision += 1
            finally:
                self._depth = 0

    @traitlets.observe(traitlets.All)
    def _count_revision(self, change: Any) -> None:
        # A trait that somebody assigned without an intent: `explorer.state.body_format = "column"`.
        if change.name not in ("revision", "progress") and not getattr(self, "_depth", 1):
            with self.lock:
                self.revision += 1


def sentence(reason: object) -> str:
    """A reason as one sentence that can stand on its own."""
    text = printable_name(str(reason), _LONGEST_SENTENCE)
    is_name = text[:1] in "'\"" or "_" in text.partition(" ")[0]
    return text if is_name else text[:1].upper() + text[1:]


def message_and_fix(finding: Finding) -> str:
    """What a check found and what to do about it, as two sentences on one line."""
    message = sentence(finding.message).rstrip(".") + "."
    return f"{message} {sentence(finding.fix).rstrip('.')}." if finding.fix else message
