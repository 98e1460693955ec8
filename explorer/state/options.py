"""How an export is done: what was chosen, and what there is to know before one chooses."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import traitlets

from explorer.checking.findings import Finding
from explorer.errors import ExplorerError, ExportError, printable_name
from explorer.exporting.export import STALE_WARMUP, Warmup
from explorer.exporting.warmup import rewrite_records
from explorer.render.tables import printable_size
from explorer.savedmodel import constants
from explorer.savedmodel.duplicates import find_duplicates
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.records import read_whole
from explorer.savedmodel.warmup import LARGEST_WARMUP_BYTES, WarmupRecord, read_records
from explorer.state.clients import as_opened
from explorer.state.shown import ShownState
from explorer.state.telling import Held, intent, sentence

_LONGEST = 500  # characters of a reason


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The choices for an export, as the arguments of ``explorer.export``.

    Attributes:
        version: The number to give; None for the next one.
        link: Whether to hardlink the other files.
        warmup: What becomes of warm-up records that no longer fit.
        follow_outside_links: Whether to copy what links out of the folder lead to.
        remove_duplicates: Whether to write variables that stand twice only once.
    """

    version: int | None = None
    link: bool = False
    warmup: Warmup = "refuse"
    follow_outside_links: bool = False
    remove_duplicates: bool = False

    def chosen(self) -> dict[str, Any]:
        """Those that aren't as they would be without a choice."""
        return {field.name: value for field in fields(self) if (value := asdict(self)[field.name]) != field.default}


@dataclass(frozen=True, slots=True)
class Savings:
    """What removing duplicates would save.

    Attributes:
        reason: How much, or why nothing; to stand behind a colon.
        possible: Whether there is something to save.
    """

    reason: str
    possible: bool


@dataclass(frozen=True, slots=True)
class WarmupFit:
    """A request of the warm-up file beside the draft.

    Attributes:
        record: What it names.
        fits: Whether it fits the draft as it is.
        remark: Why it doesn't fit, and what rewriting does; empty for one that fits.
    """

    record: WarmupRecord
    fits: bool
    remark: str = ""


@dataclass(frozen=True, slots=True)
class WarmupView:
    """The warm-up file beside the draft.

    Attributes:
        fits: Its requests, in the order of the file; none where there is no file.
        problem: Why it can't be read, in a sentence.
    """

    fits: tuple[WarmupFit, ...] = ()
    problem: str = ""


class OptionsState(ShownState):
    """The part of the state that is about how to export.

    Attributes:
        options: What was chosen.
        savings: What removing duplicates would save; None until that was looked for.
        warmup: The warm-up records beside the draft; None until they were looked at.
    """

    options = traitlets.Any(ExportOptions())
    savings = Held(None)
    warmup = Held(None)

    _looks: bool = False
    _warmup_of: SavedModel | None = None

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The errors for which an export is refused, as its options are now."""
        settled = self.options.warmup != "refuse"
        return tuple(found for found in self.new_errors if not (settled and found.code == STALE_WARMUP))

    @intent
    def choose_options(self, /, **changes: Any) -> None:
        """Chooses how to export; arguments as of :class:`ExportOptions`."""
        unknown = changes.keys() - {field.name for field in fields(ExportOptions)}
        if unknown:
            raise ExportError(f"there is no option {', '.join(sorted(unknown))} for an export")
        self.options = replace(self.options, **changes)

    @intent
    def look_into_options(self) -> None:
        """Finds out, in the executor, what there is to know before one chooses: it reads variables and warm-up file."""
        self._opened()
        source: SavedModel = self.source
        if not self._looks:
            self._looks = True
            self.run(lambda: _savings(source), lambda found: self._saves(source, found))
        self._look_at_warmup()

    def _saves(self, source: SavedModel, found: Savings) -> None:
        if source is self.source:  # else it is about another model
            self.savings = found

    def _look_at_warmup(self) -> None:
        """Compares the warm-up records with the draft once somebody wants to know."""
        model, source = self.model, self.source
        if not self._looks or model is None or model is self._warmup_of:
            return
        self._warmup_of = model

        def done(found: WarmupView) -> None:
            if self._warmup_of is model:  # else it is about a draft that is gone
                self.warmup = found

        self.run(lambda: _warmup_view(source, model), done)

    def _forget_options(self) -> None:
        """Begins anew: another model is shown now."""
        self.options, self.savings, self.warmup = ExportOptions(), None, None
        self._looks, self._warmup_of = False, None


def _savings(model: SavedModel) -> Savings:
    if model.path is None:
        return Savings("the model lies in no folder", False)
    try:
        plan = find_duplicates(model.path)
    except ExplorerError as error:
        return Savings(printable_name(str(error), _LONGEST), False)
    except OSError as error:
        return Savings(printable_name(f"{error.filename or 'variables'}: {error.strerror or error}", _LONGEST), False)
    if not plan.names:
        return Savings("no variable stands twice", False)
    copies = "is a second copy" if len(plan.names) == 1 else "are second copies"
    saved = printable_size(plan.surplus_bytes)
    return Savings(f"{len(plan.names)} of {plan.num_tensors} {copies}, {saved} less", True)


def _warmup_view(source: SavedModel, model: SavedModel) -> WarmupView:
    if model.path is None:
        return WarmupView()
    path = os.path.join(model.path, *constants.WARMUP_FILE.split("/"))
    try:
        data = read_whole(path, LARGEST_WARMUP_BYTES, "a file of warm-up requests")
        if data is None:
            return WarmupView()
        found = rewrite_records(data, path, as_opened(source), model)
        requests = [request for record in read_records(data, path) for request in record.requests]
    except ExplorerError as error:
        return WarmupView(problem=sentence(error))
    rewritten = set(found.rewritten)
    return WarmupView(
        tuple(
            WarmupFit(one, False, f"{sentence(found.dropped[one.index])}. Rewriting leaves it out.")
            if one.index in found.dropped
            else WarmupFit(one, False, "Rewriting gives it the new keys.")
            if one.index in rewritten
            else WarmupFit(one, True)
            for one in requests
        )
    )
