"""The state of a signature in the making that takes pictures, base64 text, tf.Examples, CSV lines or JSON."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import traitlets

from explorer.errors import EditError, ExplorerError, ExportError, RunCancelledError, RunError, quoted
from explorer.exporting.publish import Published, next_version
from explorer.savedmodel.model import Signature
from explorer.state.example_rows import base64_texts, example_of
from explorer.state.explorer_state import ExplorerState
from explorer.state.lines import Lines
from explorer.state.telling import Held, TellingState, intent, sentence
from explorer.state.wrap_choices import KINDS, OPTIONS, PICTURES, Where, arguments_of, wrap_lines
from explorer.state.wrap_words import Words, image_options, likely_kind, options_given, step_words

if TYPE_CHECKING:
    from explorer.runtime.compare_pictures import Comparison
    from explorer.runtime.image_options import ImageOptions
    from explorer.runtime.preview_image import ModelView
    from explorer.runtime.wrapped import Wrapped

_PROGRESS_EVERY_S = 0.1
_NO_SIGNATURE = "no signature is chosen; open a SavedModel first"


class WrapState(TellingState):
    """What the panel of a wrapped signature shows, and its intents; an empty text leaves a choice to the model's input.

    Attributes:
        kind: What the new signature takes, see :data:`~explorer.state.wrap_choices.KINDS`.
        input_key: The input that is fed.
        size: ``224x224``.
        fit: ``stretch``, ``crop`` or ``pad``.
        scale: The name of a preset, or ``own`` for ``mean`` and ``std``.
        mean: A number, or one a colour, separated by commas; so is the next.
        std: What is divided by.
        channels: ``first`` or ``last``.
        colours: ``rgb``, ``bgr``, ``rgba`` or ``grey``.
        names: ``input=name``, what inputs are called in a row; separated by blanks, so are the next.
        defaults: ``input=value``, what stands in for what a row lacks.
        columns: The order of the inputs in a line of CSV.
        delimiter: What stands between them.
        method: ``predict``, ``classify`` or ``regress``.
        labels: A file with the names of the classes.
        output_key: The output that they are the names for.
        new_signature_key: The key of the new signature.
        new_input_key: The key of its input.
        export_base: The base path to export to; empty for that of the model.
        picture: Name and bytes of the picture to look at.
        view: That picture as the model sees it.
        view_problem: Why the model can't see it, in a sentence.
        is_looking: Whether that is being worked out.
        busy: ``wrapping`` or ``comparing``; empty when nothing is at work.
        wrapped: What was made last; None as soon as another signature is chosen.
        published: What was written then.
        made_lines: What made it, as code.
        comparison: How far the new signature's answers are from the plain one's.
    """

    kind = traitlets.Enum(tuple(KINDS), "image")
    input_key = traitlets.Unicode()
    size = traitlets.Unicode()
    fit = traitlets.Unicode()
    interpolation = traitlets.Unicode()
    scale = traitlets.Unicode()
    mean = traitlets.Unicode()
    std = traitlets.Unicode()
    channels = traitlets.Unicode()
    colours = traitlets.Unicode()
    names = traitlets.Unicode()
    defaults = traitlets.Unicode()
    columns = traitlets.Unicode()
    delimiter = traitlets.Unicode()
    method = traitlets.Unicode()
    labels = traitlets.Unicode()
    output_key = traitlets.Unicode()
    new_signature_key = traitlets.Unicode()
    new_input_key = traitlets.Unicode()
    export_base = traitlets.Unicode()
    picture = Held(None)
    view = Held(None)
    view_problem = traitlets.Unicode()
    is_looking = traitlets.Bool(False)
    busy = traitlets.Unicode()
    wrapped = Held(None)
    published = traitlets.Any(None)
    made_lines = Held(Lines())
    comparison = Held(None)

    def __init__(self, explorer: ExplorerState) -> None:
        """Makes a state.

        Args:
            explorer: What is open and chosen; the new version is opened in it.
        """
        super().__init__(explorer._executor, explorer._deliver)
        self.explorer = explorer
        self.lock = explorer.lock  # each of the two calls the other, so with two locks they could wait for each other
        self._stop, self._stop_looking = threading.Event(), threading.Event()
        self._about: object = None

    @property
    def path(self) -> str:
        """The path of the model."""
        return str(self.explorer.path)

    @property
    def signature(self) -> Signature | None:
        """The signature that is chosen in the Explorer."""
        return self.explorer.signature

    @property
    def usual_key(self) -> str:
        """The key that the new signature gets where nobody gives one."""
        kind = self.method if self.method and self.kind in OPTIONS["method"].kinds else self.kind
        return f"{self.explorer.signature_key}_{kind}"

    def kinds(self) -> tuple[str, ...]:
        """The kinds of input that can be made."""
        from explorer.runtime.wrap import WRAPS

        return tuple(kind for kind in KINDS if kind in WRAPS)

    def image_options(self) -> ImageOptions | None:
        """How pictures are brought into shape, or would be; None where that isn't known, or none are taken."""
        if self.wrapped is not None:
            made: Wrapped = self.wrapped
            return made.image
        if self.signature is None:
            return None
        try:
            return image_options(self.kind, self.signature, self.input_key or None, self._given())
        except ExplorerError:
            return None  # `problem` says it

    def words(self) -> Words:
        """What would be done with an input, and what was chosen and why; of what was made, what is done."""
        if self.wrapped is not None:
            return self.wrapped.words, self.wrapped.reasons
        if self.signature is None or self.problem():
            return "", ()
        return step_words(self.kind, self.signature, self.input_key or None, self._given())

    def problem(self) -> str:
        """Why the chosen signature can't be wrapped like that, in a sentence; empty where it can."""
        from explorer.runtime.wrap import check_choices

        signature, meta_graph = self.signature, self.explorer.meta_graph
        if signature is None or meta_graph is None:
            return f"{sentence(_NO_SIGNATURE)}."
        try:
            check_choices(self.kind, signature, self.input_key or None, **self._given())
        except ExplorerError as error:
            return sentence(error)
        key = self.new_signature_key.strip() or self.usual_key
        if key in meta_graph.signatures:
            return f"There is a signature {quoted(key)} already; give the new one another key."
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
        """The new signature as code; the one that was made last, as long as that is in sight."""
        if self.wrapped is not None:
            made: Lines = self.made_lines
            return made
        if self.signature is None or self.problem():
            return Lines()
        base = self.export_base.strip() or self.explorer.export_base.strip() or "models/wrapped"
        where = Where(self._path_in_code(), base, self.signature.key, self.input_key, self._tags())
        return wrap_lines(self.kind, self._texts(), where)

    @intent
    def choose(self, name: str, value: str) -> None:
        """Takes over a choice, see the attributes."""
        if getattr(self, name) == value:
            return
        setattr(self, name, value)
        if name in ("kind", "input_key") or (name in OPTIONS and OPTIONS[name].kinds == PICTURES):
            self._look()

    @intent
    def take_picture(self, name: str, data: bytes) -> None:
        """Takes a picture to look at, and to compare with."""
        self.picture, self.comparison = (name, data), None
        self._look()

    def follow(self) -> None:
        """Forgets what was about another signature than the one that is chosen now."""
        with self._together():
            signature = self.signature
            model = self.explorer.model
            key = None if signature is None else signature.key
            about = (model and model.path, self.explorer.meta_graph_index, key)
            if about != self._about:
                self._about = about
                self._begin_anew(signature)

    @intent
    def again(self) -> None:
        """Goes back to the choices, for the signature that is chosen now."""
        self._begin_anew(self.signature)

    @intent
    def wrap(self) -> None:
        """Adds the signature and exports the model as a new version, which is opened then; in the executor."""
        model, signature, base = self.explorer.model, self.signature, self._base_path()
        if model is None or signature is None:
            raise EditError(_NO_SIGNATURE)
        if problem := self.problem():
            raise EditError(problem)
        self._idle()
        self._stop = stop = threading.Event()
        lines = self.lines()
        self.busy, self.published, self.comparison, self.progress = "wrapping", None, None, (0, 0)
        kind, given, input_key, tags = self.kind, self._given(), self.input_key or None, self._tags()
        told = self._teller(stop)
        rows = example_of(kind, signature, input_key, options_given(given))

        def work() -> tuple[Wrapped, Published] | None:
            from explorer.runtime.wrap import wrap_version

            try:
                return wrap_version(
                    kind, model, base, signature.key, input_key, tags=tags, cancel=stop, progress=told, **given
                )
            except RunCancelledError:
                return None

        self.run(work, lambda made: self._done(made, lines, rows), self._ended)

    @intent
    def compare(self, *, consent: bool) -> None:
        """Asks the new signature about the picture, and the plain one about the same pixels.

        Args:
            consent: True says that the model may be run, in a child process.
        """
        wrapped, published, picture = self.wrapped, self.published, self.picture
        if wrapped is None or published is None or wrapped.image is None or picture is None:
            raise RunError("there is nothing to compare yet: drop a picture and export first")
        self._idle()
        self.busy, self.comparison = "comparing", None
        tags = self._tags()

        def work() -> Comparison:
            from explorer.runtime.compare_pictures import compare_pictures

            return compare_pictures(published.path, wrapped, [picture], consent=consent, tags=tags)

        self.run(work, self._compared, self._ended)

    @intent
    def cancel(self) -> None:
        """Stops the export that is under way; nothing of it is left."""
        if self.busy != "wrapping":
            raise ExportError("nothing is under way that could be stopped")
        self._stop.set()
        self.notice = "Stopping …"

    def _texts(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in OPTIONS}

    def _given(self) -> dict[str, Any]:
        """What was chosen for this kind, as arguments.

        Raises:
            ExplorerError: A text can't be read.
        """
        return arguments_of(self.kind, self._texts())

    def _tags(self) -> tuple[str, ...] | None:
        model, meta_graph = self.explorer.model, self.explorer.meta_graph
        several = model is not None and meta_graph is not None and len(model.meta_graphs) > 1
        return tuple(sorted(meta_graph.tags)) if several and meta_graph is not None else None

    def _path_in_code(self) -> str:
        """What a person would write for the model; empty for the draft, which lies in no folder."""
        explorer = self.explorer
        model = explorer.model
        if model is None or model.edits or model.path is None:
            return ""
        newest = max((one.number for one in explorer.versions), default=None)
        return self.path if explorer.version in (None, newest) else str(model.path)

    def _base_path(self) -> str:
        text: str = self.export_base.strip() or self.explorer.export_base.strip()
        if not text:
            raise ExportError("give the base path to export to: the folder that holds the numbered versions")
        return os.path.expanduser(text)

    def _begin_anew(self, signature: Signature | None) -> None:
        self._stop_looking.set()
        for name in ("input_key", "output_key", "new_signature_key", "new_input_key", "names", "defaults", "columns"):
            setattr(self, name, "")
        self.kind = likely_kind(signature)
        self.export_base, self.view, self.view_problem, self.is_looking = "", None, "", False
        if self.busy != "wrapping":
            self.wrapped, self.published, self.made_lines, self.comparison = None, None, Lines(), None
            self._look()

    def _idle(self) -> None:
        if self.busy:
            raise RunError("something is under way; wait for it or stop it first")

    def _look(self) -> None:
        """Shows the picture as the model sees it, as soon as that is worked out."""
        self._stop_looking.set()
        self._stop_looking = stop = threading.Event()
        self.view, self.view_problem, self.is_looking = None, "", False
        options = self.image_options()
        if self.picture is None or options is None:
            return
        self.is_looking = True
        picture = self.picture

        def work() -> ModelView | str | None:
            from explorer.runtime.preview_image import views_of

            try:
                return None if stop.is_set() else views_of(options, [picture], cancel=stop)[0]
            except RunCancelledError:
                return None

        def failed() -> None:
            if stop is self._stop_looking:
                self.is_looking = False

        self.run(work, lambda found: self._seen(stop, found), failed)

    def _seen(self, stop: threading.Event, found: ModelView | str | None) -> None:
        if stop is not self._stop_looking:  # another picture, or another choice, came meanwhile
            return
        self.is_looking = False
        if isinstance(found, str):
            self.view_problem = sentence(found)
        else:
            self.view = found

    def _done(self, made: tuple[Wrapped, Published] | None, lines: Lines, rows: tuple[str, str]) -> None:
        if made is None:
            self._ended()
            self.notice = "Stopped; nothing was written."
            return
        wrapped, published = made
        tags, given = self._tags(), None if self.view_problem else self.picture
        self.explorer.open(published.path)
        if tags is not None:
            self.explorer.choose_meta_graph(tags)
        self.explorer.choose_signature(wrapped.signature_key)
        self._give_example(wrapped, given, rows)
        self._ended()
        self.wrapped, self.published, self.made_lines = wrapped, published, lines
        self._look()
        self.notice = f"Version {published.version} is written, with the signature {wrapped.signature_key}."

    def _give_example(self, wrapped: Wrapped, given: tuple[str, bytes] | None, rows: tuple[str, str]) -> None:
        """Lets the request to the new signature be about the picture that was given, or about a row."""
        image = wrapped.image
        if image is not None and given is not None:
            if image.base64:
                rows = image.input_key, base64_texts(given[1], image)
            else:
                self.explorer.take_file(image.input_key, *given)
        if all(rows):
            self.explorer.set_value(*rows)

    def _compared(self, found: Comparison) -> None:
        self.busy, self.comparison = "", found

    def _ended(self) -> None:
        self.busy = ""

    def _teller(self, stop: threading.Event) -> Callable[[int, int], None]:
        """Hears of progress, in the thread that writes; raises where the work is no longer wanted."""
        last_s = [0.0]

        def told(done: int, total: int) -> None:
            if stop.is_set():
                raise RunCancelledError("stopped; nothing was written")
            now_s = time.monotonic()
            if now_s - last_s[0] >= _PROGRESS_EVERY_S:
                last_s[0] = now_s
                self._deliver(lambda: setattr(self, "progress", (done, total)))

        return told
