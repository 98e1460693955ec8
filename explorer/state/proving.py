"""A proof on request: what was exported and its source, run on the same inputs in a child process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from explorer.errors import RunCancelledError, RunError
from explorer.exporting.publish import Published
from explorer.state.shown import ShownState
from explorer.state.telling import Held, intent

if TYPE_CHECKING:
    from explorer.diagnosing.proof import Proof


class ProvingState(ShownState):
    """The part of the state that proves an export.

    Attributes:
        exported: The draft as it was when ``published`` was written; its edits say which key was which.
        proven: What came of running both; None until somebody asked for it.
    """

    exported = Held(None)
    proven = Held(None)

    _stop: threading.Event

    @intent
    def prove(self, *, consent: bool) -> None:
        """Runs the source and the version that was written last on the same inputs, and compares what they answer.

        It goes on in the executor: ``busy`` is ``"proving"`` and ``progress`` counts loads and runs until ``proven``
        is there, or ``error`` says why not. ``cancel`` stops it.

        Args:
            consent: True says that the code in both models may be run, in a child process.
        """
        exported, published = self.exported, self.published
        if exported is None or published is None:
            raise RunError("there is nothing to prove yet: export a version first")
        if self.busy:
            raise RunError("an export or a proof is under way; wait for it or stop it first")
        self._stop = stop = threading.Event()
        self.busy, self.progress, self.proven = "proving", (0, 0), None

        def told(done: int, total: int) -> None:
            self._deliver(lambda: setattr(self, "progress", (done, total)) if self._stop is stop else None)

        def work() -> Proof | None:
            from explorer.runtime.proof import prove

            try:
                return prove(exported, published.path, consent=consent, cancel=stop, progress=told)
            except RunCancelledError:
                return None

        self.run(work, lambda found: self._proved(published, found), self._proof_failed)

    def _proved(self, published: Published, found: Proof | None) -> None:
        self.busy = ""
        if self.published is not published:  # another model was opened meanwhile
            return
        self.proven = found
        if found is None:
            self.notice = "The proof was stopped, and nothing runs any more."

    def _proof_failed(self) -> None:
        self.busy = ""

    def _forget_proof(self) -> None:
        """Stops a proof that is under way, and forgets what it is about."""
        if self.busy == "proving":
            self._stop.set()
        self.exported = self.proven = None
