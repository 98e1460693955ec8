"""Bodies that were answered, kept: written as the warm-up records of a new version."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import traitlets

from explorer.errors import ExportError, RequestError, RunError
from explorer.exporting.publish import Published
from explorer.state import choices
from explorer.state.answering import AnsweringState
from explorer.state.answers import Answered
from explorer.state.options import OptionsState
from explorer.state.telling import intent

if TYPE_CHECKING:
    from explorer.savedmodel.model import SavedModel

_GOOD = 200


class KeepingState(AnsweringState, OptionsState):
    """The part of the state that keeps bodies as warm-up records.

    Attributes:
        kept: The numbers of the answers whose bodies shall become records.
        kept_written: What was written of them, in a sentence; empty before.
    """

    kept = traitlets.Tuple()
    kept_written = traitlets.Unicode()

    _stop: threading.Event
    _told: Callable[..., None]
    _exported: Callable[..., None]

    @intent
    def keep(self, number: int, wanted: bool = True) -> None:
        """Chooses whether a body of the history becomes a warm-up record; it must have been answered with 200."""
        found = next((one for one in self.answers if one.number == number), None)
        if found is None or not can_be_kept(found):
            raise RequestError("only a body that was answered with the status 200 can be kept as a warm-up record")
        others = tuple(one for one in self.kept if one != number)
        self.kept = (*others, number) if wanted else others
        self.kept_written = ""

    @intent
    def write_warmup(self, *, consent: bool) -> None:
        """Writes the draft as a new version under ``export_base`` that warms up with the bodies that are kept.

        It goes on in the executor as an export does: ``busy``, ``progress``, then ``published`` and ``kept_written``,
        or ``error``.

        Args:
            consent: True says that the model may be run: every record is, before the version is published.
        """
        model, base_path = self._opened(), self._base_path()
        bodies = [(one.verb, one.body) for one in reversed(self.answers) if one.number in self.kept]
        if not bodies:
            raise RequestError("no body is kept: choose some of the history that were answered with 200")
        if not consent:
            from explorer.runtime.write_warmup import NO_CONSENT

            raise RunError(NO_CONSENT)
        if self.busy:
            raise ExportError("an export or a proof is under way; wait for it or stop it first")
        self._stop = threading.Event()
        self.busy, self.progress, self.published, self.proof = "exporting", (0, 0), None, ""
        self.kept_written = ""
        told = functools.partial(self._told, self._stop, [0.0])
        link = self.options.link

        def write() -> tuple[Published, str]:
            from explorer.runtime.write_warmup import write_warmup

            published = write_warmup(model, base_path, bodies, consent=consent, link=link, progress=told)
            return published, choices.proof(model, published)

        self.run(write, lambda written: self._kept(model, len(bodies), *written), self._keeping_failed)

    def _kept(self, model: SavedModel, count: int, published: Published, proof: str) -> None:
        self._exported(model, published, proof)
        records = "1 record" if count == 1 else f"{count} records"
        self.kept_written = (
            f"Version {published.version} is written with {records}, each of them run before it was published."
        )
        self.kept = ()

    def _keeping_failed(self) -> None:
        self.busy = ""

    def _forget_answers(self, *, all_of_them: bool) -> None:
        super()._forget_answers(all_of_them=all_of_them)
        if all_of_them:
            self.kept = ()
        self.kept_written = ""


def can_be_kept(answered: Answered) -> bool:
    """Whether an answer is one whose body can become a warm-up record."""
    return answered.answer.status == _GOOD and answered.where != "server"
