"""The state of a conversion: what a source is, which of its tensors were chosen, and what became of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

import traitlets

from explorer.converting.pairs import parse_pairs, printed_pairs
from explorer.errors import ConversionError, ExplorerError, ExportError, RunCancelledError, RunError, quoted
from explorer.exporting.publish import Published, next_version
from explorer.runtime.looking import Looked, look
from explorer.savedmodel.constants import DEFAULT_SIGNATURE_KEY
from explorer.state.choosing import ROLES, ChoosingState
from explorer.state.conversion_lines import Said
from explorer.state.lines import Lines
from explorer.state.telling import Deliver, Held, intent, sentence

if TYPE_CHECKING:
    from explorer.diagnosing.proof import Proof
    from explorer.runtime.convert import Prepared

TEXTS = ("signature_key", "endpoints", "graph", "architecture", "custom_objects", "export_base")
"""What a person types besides the path and the tensors."""

_PROGRESS_EVERY_S = 0.1
_PAIRS = {"endpoints": "an endpoint", "custom_objects": "a class"}


class ConvertState(ChoosingState):
    """What the panel of a conversion shows, and its intents.

    Attributes:
        path: The source as it was given.
        signature_key: The key of the signature.
        endpoints: Further signatures of a Keras file, ``signature=layer``, separated by blanks.
        graph: The GraphDef for a checkpoint without one.
        architecture: What has the same variables.
        custom_objects: ``Name=module:Name``, separated by blanks.
        export_base: The base path to export to.
        busy: ``looking``, ``converting`` or ``proving``; empty when nothing is at work.
        doing: What exactly, in a word or two.
        prepared: What was converted last.
        published: What was written last.
        proven: What came of comparing the two; None until somebody asked for it.
    """

    path = traitlets.Unicode()
    signature_key = traitlets.Unicode(DEFAULT_SIGNATURE_KEY)
    endpoints = traitlets.Unicode()
    graph = traitlets.Unicode()
    architecture = traitlets.Unicode()
    custom_objects = traitlets.Unicode()
    export_base = traitlets.Unicode()
    busy = traitlets.Unicode()
    doing = traitlets.Unicode()
    prepared = Held(None)
    published = traitlets.Any(None)
    proven = Held(None)

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        custom_objects: Mapping[str, object] | None = None,
        *,
        executor: Executor | None = None,
        deliver: Deliver | None = None,
    ) -> None:
        """Makes a state and looks at a source.

        Args:
            path: The source; None looks at nothing yet.
            custom_objects: Class name in a Keras file → where it is defined, or the class itself.
            executor: Runs slow work; None runs it at once.
            deliver: Hands the results of slow work over; None does it where the work was done.
        """
        super().__init__(executor, deliver)
        self._stop = threading.Event()
        self._last_look, self._proposed_base = 0, ""
        self._converted: Said | None = None
        if path is not None or custom_objects:
            self.begin(path, custom_objects or {})

    @property
    def needs_consent(self) -> bool:
        """Whether converting runs Keras."""
        return self.looked is not None and self.looked.source.runs_code

    @property
    def missing(self) -> str:
        """Why it can't be converted as it stands here, in a sentence; empty where it can."""
        looked: Looked | None = self.looked
        if looked is None or not looked.source.can_be_converted:
            return "There is nothing to convert yet; give the path of a source."
        has_architecture = looked.source.runs_code and bool(self.architecture.strip())
        if looked.refusal and looked.model is None and not has_architecture:
            return sentence(looked.refusal)
        wrong = [self.problem(name) for name in TEXTS]
        wrong += [self.constant_problem(text) for text in self.typed.values()]
        return next(filter(None, (*wrong, self.gap)), "")

    @intent
    def begin(self, path: str | os.PathLike[str] | None, custom_objects: Mapping[str, object]) -> None:
        """Takes over what was given in Python.

        Args:
            path: The source; None looks at nothing yet.
            custom_objects: Class name in a Keras file → where it is defined, or the class itself.
        """
        self.path = "" if path is None else os.fspath(path).strip()
        if custom_objects:
            from explorer.runtime.custom_objects import named

            self.custom_objects = printed_pairs(named(custom_objects))
        if path is not None:
            self.look(path)

    @intent
    def look(self, path: str | os.PathLike[str]) -> None:
        """Finds out what a path is. Of an HDF5 file the list of its layers is read in a child process."""
        text = os.fspath(path).strip()
        if not text:
            raise ConversionError("give the path of a graph, a checkpoint or a Keras file")
        self._idle()
        self.path, self.looked, self.prepared, self.published, self.proven = text, None, None, None, None
        self.graph = self.architecture = self.endpoints = ""
        self._look()

    @intent
    def enter(self, name: str, text: str) -> None:
        """Takes over what was typed into one of the fields, see :data:`TEXTS`."""
        assert name in TEXTS, name
        if getattr(self, name) == text:
            return
        setattr(self, name, text)
        is_looked_at = name == "custom_objects" or (name in ("graph", "architecture") and not self.problem(name))
        if is_looked_at and self.looked is not None and self.busy in ("", "looking"):
            self._look(anew=name != "custom_objects")

    @intent
    def convert(self, *, consent: bool = False) -> None:
        """Converts the source and exports it as a new version; it goes on in the executor.

        Args:
            consent: True says that Keras may build the model of a Keras file, in a child process.
        """
        if self.missing:
            raise ConversionError(self.missing)
        said, base = self._said(), self._base_path()
        stop = self._begin("converting")
        self.published, self.proven, self._converted = None, None, said
        path, told = self.path, self._teller(stop)

        def work() -> tuple[Prepared, Published] | None:
            from explorer.runtime.convert import export_prepared, open_source

            try:
                prepared = open_source(path, **said.arguments(), consent=consent, cancel=stop, progress=told)
                return prepared, export_prepared(prepared, base, progress=told)
            except RunCancelledError:
                return None

        self.run(work, self._written, self._ended)

    @intent
    def prove(self, *, consent: bool) -> None:
        """Runs the source and what was written on the same inputs, and compares the answers.

        Args:
            consent: True says that both may be run, in child processes.
        """
        published, said = self.published, self._converted
        if published is None or said is None:
            raise RunError("there is nothing to prove yet: convert a source first")
        stop = self._begin("proving")
        self.proven = None
        path, told = self.path, self._teller(stop)

        def work() -> Proof | None:
            from explorer.runtime.source_proof import prove_conversion

            try:
                return prove_conversion(
                    path, published.path, consent=consent, cancel=stop, **said.arguments(),
                    progress=lambda done, total: told("running", done, total),
                )  # fmt: skip
            except RunCancelledError:
                return None

        self.run(work, self._proved, self._ended)

    @intent
    def cancel(self) -> None:
        """Stops what is under way; nothing of it is left."""
        if not self.busy:
            raise ExportError("nothing is under way that could be stopped")
        self._stop.set()
        self.notice = "Stopping …"

    def problem(self, name: str) -> str:
        """What is wrong with what was typed into a field, in a sentence; empty where nothing is."""
        text = getattr(self, name).strip()
        try:
            if name in _PAIRS:
                parse_pairs(text, _PAIRS[name], bare=False)
        except ExplorerError as error:
            return sentence(error)
        if name in ("graph", "architecture") and text and not os.path.exists(os.path.expanduser(text)):
            return f"There is nothing at {quoted(text)}."
        return ""

    def export_target(self) -> tuple[int | None, str]:
        """The version that would be written, or None and why there can't be one."""
        try:
            return next_version(self._base_path()), ""
        except ExplorerError as error:
            return None, sentence(error)
        except OSError as error:
            return None, sentence(f"{error.filename or 'the base path'}: {error.strerror or error}")

    def lines(self) -> Lines:
        """The conversion as code: Python and a command; none where it lacks something."""
        if self.missing:
            return Lines()
        return self._said().lines(self.path, self.export_base.strip() or "models/converted", self.needs_consent)

    def proof_line(self) -> str:
        """The proof as a line of Python; empty before something was converted."""
        if self.published is None or self._converted is None:
            return ""
        return self._converted.proof_line(self.path, str(self.published.path))

    def _said(self) -> Said:
        """What the conversion is told. A graph is told all, so that the line of code says it; Keras knows its own."""
        is_graph = self.looked is not None and self.looked.model is not None
        inputs, outputs = (getattr(self, role) if is_graph or role in self._touched else {} for role in ROLES)
        return Said(
            dict(inputs), dict(outputs), dict(self.constants), self.signature_key.strip() or DEFAULT_SIGNATURE_KEY,
            parse_pairs(self.endpoints, bare=False), self.graph.strip(), self.architecture.strip(),
            parse_pairs(self.custom_objects, bare=False),
        )  # fmt: skip

    def _base_path(self) -> str:
        text: str = self.export_base.strip()
        if not text:
            raise ExportError("give the base path to export to: the folder that holds the numbered versions")
        return os.path.expanduser(text)

    def _idle(self) -> None:
        if self.busy:
            raise RunError("something is under way; wait for it or stop it first")

    def _begin(self, busy: str) -> threading.Event:
        self._idle()
        self._stop = threading.Event()
        self.busy, self.doing, self.progress = busy, "", (0, 0)
        return self._stop

    def _look(self, *, anew: bool = True) -> None:
        """Looks in the executor; what another look has overtaken is dropped."""
        self._last_look += 1
        number, self.busy, self.doing = self._last_look, "looking", ""
        path, graph, architecture = self.path, self.graph.strip() or None, self.architecture.strip() or None
        custom = () if self.problem("custom_objects") else tuple(parse_pairs(self.custom_objects, bare=False))

        def ended() -> None:
            if number == self._last_look:
                self._ended()

        def seen(looked: Looked) -> None:
            if number == self._last_look:
                self._seen(looked, anew)

        self.run(lambda: look(path, graph, architecture, custom), seen, ended)

    def _seen(self, looked: Looked, anew: bool) -> None:
        self.busy = ""
        self._offer(looked, anew)
        if self.export_base == self._proposed_base:
            path = Path(os.path.expanduser(self.path))
            name = path.name.partition(".")[0] or "model"
            self.export_base = self._proposed_base = str(path.parent / f"{name}-versions")

    def _written(self, made: tuple[Prepared, Published] | None) -> None:
        self._ended()
        if made is None:
            self.notice = "The conversion was stopped; nothing was written."
            return
        self.prepared, self.published = made
        self.notice = f"Version {self.published.version} is written."

    def _proved(self, proven: Proof | None) -> None:
        self._ended()
        self.proven = proven
        if proven is None:
            self.notice = "The proof was stopped, and nothing runs any more."

    def _ended(self) -> None:
        self.busy = self.doing = ""

    def _teller(self, stop: threading.Event) -> Callable[[str, int, int], None]:
        """Hears of progress, in the thread that works; raises where the work is no longer wanted."""
        last_s = [0.0]

        def told(doing: str, done: int, total: int) -> None:
            if stop.is_set():
                raise RunCancelledError("stopped; nothing was written")
            now_s = time.monotonic()
            if now_s - last_s[0] >= _PROGRESS_EVERY_S:
                last_s[0] = now_s
                self._deliver(lambda: self._show_progress(doing, done, total))

        return told

    def _show_progress(self, doing: str, done: int, total: int) -> None:
        with self.lock:
            if self.busy:
                self.doing = doing
                self.progress = (done, total)
