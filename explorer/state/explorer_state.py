"""One observable state behind all panels: what is open, chosen and drafted; intents are methods, with undo and redo.

    >>> state = ExplorerState("sample_models/half_plus_two")
    >>> state.edit({"edit": "rename_signature", "signature_key": "serving_default", "new_key": "predict"})
    True
    >>> state.undo()
    True

Panels show what stands here and call the intents; they keep nothing of their own. An intent that fails says why in
``error`` and answers False, so that a click never ends in silence and never in a traceback.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from explorer.checking.checks import check, new_errors
from explorer.checking.findings import Finding
from explorer.editing.recipe import apply_edit, apply_recipe
from explorer.editing.repair import repair
from explorer.errors import EditError, ExportError, NotFoundError
from explorer.exporting.export import Warmup, export_version
from explorer.exporting.publish import Published
from explorer.render.overview import overview
from explorer.savedmodel.kind import counts
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.opening import open_saved_model
from explorer.state import choices
from explorer.state.clients import ClientsState
from explorer.state.keeping import KeepingState
from explorer.state.proving import ProvingState
from explorer.state.telling import Deliver, intent
from explorer.state.typed import parse_recipe

_PROGRESS_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class _Moment:
    """What undo goes back to."""

    model: SavedModel
    meta_graph_index: int
    signature_key: str | None


@dataclass
class _Draft:
    """The edits on one folder, kept while another is looked at."""

    source: SavedModel
    now: _Moment
    past: list[_Moment] = field(default_factory=list)
    future: list[_Moment] = field(default_factory=list)


class ExplorerState(ClientsState, ProvingState, KeepingState):
    """The state with its intents and its undo; what it shows is :class:`~explorer.state.shown.ShownState`."""

    def __init__(
        self,
        path: str | os.PathLike[str] | SavedModel | None = None,
        *,
        version: int | None = None,
        executor: Executor | None = None,
        deliver: Deliver | None = None,
    ) -> None:
        """Makes a state and opens a model.

        Args:
            path: What to open, see :meth:`open`; None opens nothing yet.
            version: Which version of a base path.
            executor: Runs slow work; None runs it at once.
            deliver: Hands the results of slow work over; None does it where the work was done.
        """
        super().__init__(executor, deliver)
        self._past: list[_Moment] = []
        self._future: list[_Moment] = []
        self._put_aside: dict[Path, _Draft] = {}
        self._findings_before: tuple[Finding, ...] = ()
        self._stop = threading.Event()
        if path is not None:
            self.open(path, version)

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to redo."""
        return bool(self._future)

    @intent
    def open(self, path: str | os.PathLike[str] | SavedModel, version: int | None = None) -> None:
        """Opens a path (a base path, a version folder, a SavedModel's folder) or shows a model made in Python.

        Edits on the folder that was open are kept for when it is opened again.
        """
        if isinstance(path, SavedModel):
            self._show_model(path, str(path.base_path or path.path or ""))
            return
        text = os.fspath(path).strip()
        if not text:
            raise EditError("give the path of a SavedModel: its folder, or the folder of its versions")
        self._show_model(open_saved_model(text, version), text)

    @intent
    def choose_version(self, version: int) -> None:
        """Opens another version under the same base path."""
        base_path = self._opened().base_path
        if base_path is None:
            raise NotFoundError("version", str(version), ())
        self._show_model(open_saved_model(base_path, version), self.path)

    @intent
    def choose_meta_graph(self, which: int | Iterable[str]) -> None:
        """Chooses a meta graph by its place or by its tags."""
        model = self._opened()
        index = which if isinstance(which, int) else model.meta_graph_index(which)
        if not 0 <= index < len(model.meta_graphs):
            raise NotFoundError("meta graph", str(index), map(str, range(len(model.meta_graphs))))
        same = self.signature_key in model.meta_graphs[index].callable_signatures
        self._choose(index, self.signature_key if same else None)

    @intent
    def choose_signature(self, signature_key: str) -> None:
        """Chooses a signature of the chosen meta graph."""
        self._opened()
        assert self.meta_graph is not None
        self.signature_key = self.meta_graph.signature(signature_key).key

    @intent
    def choose_format(self, body_format: str | None) -> None:
        """Chooses the format of the request body: ``"row"``, ``"column"``, or None for the one that fits."""
        self.body_format = body_format
        if self.protocol in ("", "rest_row", "rest_column"):
            self.protocol = f"rest_{body_format}" if body_format else ""

    @intent
    def edit(self, entry: Mapping[str, Any]) -> None:
        """Applies a recipe entry to the draft; its tags may be left out, the chosen meta graph is meant then."""
        self._edit(entry)

    @intent
    def mend(self, finding: Finding) -> None:
        """Applies the edit that a finding offers."""
        if finding.edit is None:
            raise EditError("no edit is known that mends this")
        self._edit(finding.edit)

    @intent
    def repair(self) -> None:
        """Mends everything that the checks find and that can be mended without a choice; one undo takes it back."""
        model = self._opened()
        self._take(repair(model), "there is nothing that can be mended without a choice")

    @intent
    def apply_recipe(self, text: str) -> None:
        """Applies a recipe, given as JSON, to the draft; all of its edits or none. One undo takes it back."""
        model = self._opened()
        self._take(apply_recipe(model, parse_recipe(text)), "the recipe has no edits")

    @intent
    def undo(self) -> None:
        """Takes the last edit back."""
        if not self._past:
            raise EditError("there is nothing to undo")
        self._future.append(self._moment())
        self._return_to(self._past.pop())

    @intent
    def redo(self) -> None:
        """Makes the edit again that was undone last."""
        if not self._future:
            raise EditError("there is nothing to redo")
        self._past.append(self._moment())
        self._return_to(self._future.pop())

    @intent
    def reset(self) -> None:
        """Goes back to the source; undo brings the edits back."""
        if not self._opened().edits:
            raise EditError("there are no edits to take back")
        self._remember()
        self._set_draft(self.source)
        self._choose(self.meta_graph_index, self.signature_key)

    @intent
    def choose_export_base(self, base_path: str) -> None:
        """Says where to export to."""
        self.export_base = base_path

    @intent
    def export(
        self,
        *,
        version: int | None = None,
        link: bool = False,
        warmup: Warmup = "refuse",
        follow_outside_links: bool = False,
        remove_duplicates: bool = False,
    ) -> None:
        """Writes the draft as a new version under ``export_base``; arguments as for ``explorer.export``.

        It goes on in the executor: ``busy`` and ``progress`` say how far it is, ``published`` and ``proof`` that it is
        done, ``error`` that nothing was written.
        """
        model, base_path = self._opened(), self._base_path()
        if self.busy:
            raise ExportError("an export or a proof is under way; wait for it or stop it first")
        self._forget_proof()
        self._stop = threading.Event()
        self.busy, self.progress, self.published, self.proof = "exporting", (0, 0), None, ""
        told = functools.partial(self._told, self._stop, [0.0])

        def write() -> tuple[Published, str]:
            published = export_version(
                model, base_path, version=version, link=link, warmup=warmup,
                follow_outside_links=follow_outside_links, remove_duplicates=remove_duplicates, progress=told,
            )  # fmt: skip
            return published, choices.proof(model, published)

        self.run(write, lambda written: self._exported(model, *written), self._export_failed)

    @intent
    def cancel(self) -> None:
        """Stops the export or the proof that is under way, else the request; nothing of it is left."""
        if not self.busy:
            if self.running:
                self._stop_run()
                self.notice = "Stopped, and the model's process has ended."
                return
            raise ExportError("nothing is under way that could be stopped")
        self._stop.set()
        self.notice = "Stopping …"

    def _show_model(self, model: SavedModel, path: str) -> None:
        self._keep_draft()
        self._forget_comparison()
        self._forget_options()
        self._forget_proof()
        self._forget_values()
        is_other = model.base_path is None or self.source is None or model.base_path != self.source.base_path
        self._forget_answers(all_of_them=is_other)
        draft = self._put_aside.pop(model.path, None) if model.path is not None else None
        is_same = draft is not None and _same_bytes(model, draft.source)
        self.path, self.source, self.version = path, model, model.version
        self.versions = choices.versions(model)
        self.overview = overview(model)
        self.export_base = choices.default_export_base(model)
        self.published, self.proof, self.body_format, self.counts = None, "", None, ()
        self._past, self._future, self._findings_before = [], [], ()
        if draft is not None and is_same:
            self.source, self._past, self._future = draft.source, draft.past, draft.future
            self._return_to(draft.now)
            self.notice = (
                f"{choices.edits_in_words(len(draft.now.model.edits))} on this folder, made before, back again."
            )
        else:
            self._set_draft(model)
            self._choose(choices.first_meta_graph(model), None)
            if draft is not None:
                self.notice = (
                    f"The file has changed on disk, so {choices.edits_in_words(len(draft.now.model.edits))} are gone."
                )

    def _keep_draft(self) -> None:
        if self.model is not None and self.model.path is not None and self.model.edits:
            self._put_aside[self.model.path] = _Draft(self.source, self._moment(), self._past, self._future)

    def _edit(self, entry: Mapping[str, Any]) -> None:
        model = self._opened()
        entry = self.addressed(entry)
        edited = apply_edit(model, entry)
        index, key = choices.selection_after(entry, model, edited, self.meta_graph_index, self.signature_key)
        self._remember()
        self._set_draft(edited)
        self._follow(entry)
        self._choose(index, key)

    def _take(self, edited: SavedModel, if_nothing: str) -> None:
        """Makes several edits one step."""
        model = self._opened()
        entries = edited.edits[len(model.edits) :]
        if not entries:
            raise EditError(if_nothing)
        key = choices.signature_after(entries, self.signature_key)
        self._remember()
        self._set_draft(edited)
        self._choose(self.meta_graph_index, key)

    def _set_draft(self, model: SavedModel) -> None:
        same_graphs = self.model is not None and len(self.model.meta_graphs) == len(model.meta_graphs)
        self.model = model
        self.checking = True
        before = self._findings_before if self._findings_before or model is not self.source else None
        source = self.source

        def work() -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
            found = tuple(check(model))
            earlier = found if model is source else tuple(before or check(source))
            return earlier, found

        self.run(work, lambda found: self._checked(model, *found), lambda: self._check_failed(model))
        if not self.counts or not same_graphs:
            self.run(lambda: tuple(counts(model)), lambda counted: self._counted(model, counted))

    def _checked(self, model: SavedModel, before: tuple[Finding, ...], found: tuple[Finding, ...]) -> None:
        if model is self.model:  # else it is about a draft that is gone
            self._findings_before, self.findings, self.checking = before, found, False
            self.new_errors = tuple(new_errors(before, found))

    def _check_failed(self, model: SavedModel) -> None:
        if model is self.model:
            self.findings, self.new_errors, self.checking = (), (), False

    def _counted(self, model: SavedModel, counted: tuple[Any, ...]) -> None:
        if self.model is not None and len(self.model.meta_graphs) == len(counted) and model.path == self.model.path:
            self.counts = counted

    def _choose(self, index: int, key: str | None) -> None:
        """Chooses a meta graph and a signature, or what is nearest to them in the draft."""
        model = self._opened()
        self.meta_graph_index = min(max(index, 0), len(model.meta_graphs) - 1)
        meta_graph = model.meta_graphs[self.meta_graph_index]
        if key is None or key not in meta_graph.signatures:
            key = meta_graph.default_signature_key or next(
                iter((*meta_graph.callable_signatures, *meta_graph.signatures)), None
            )
        self.signature_key = key
        self._compare()
        self._look_at_warmup()

    def _moment(self) -> _Moment:
        return _Moment(self._opened(), self.meta_graph_index, self.signature_key)

    def _remember(self) -> None:
        self._past.append(self._moment())
        self._future.clear()

    def _return_to(self, moment: _Moment) -> None:
        self._set_draft(moment.model)
        self._choose(moment.meta_graph_index, moment.signature_key)

    def _told(self, stop: threading.Event, last_s: list[float], done: int, total: int) -> None:
        """Hears of an export's progress, in the thread that writes."""
        if stop.is_set():
            raise ExportError("the export was stopped; nothing was written")
        now_s = time.monotonic()
        if now_s - last_s[0] >= _PROGRESS_EVERY_S:
            last_s[0] = now_s
            self._deliver(lambda: setattr(self, "progress", (done, total)))

    def _exported(self, exported: SavedModel, published: Published, proof: str) -> None:
        self.busy, self.published, self.proof, self.exported = "", published, proof, exported
        self.options = replace(self.options, version=None)  # the next export can't have the same number
        self.versions = choices.versions(self._opened())
        self.notice = f"Version {published.version} is written."

    def _export_failed(self) -> None:
        self.busy = ""


def _same_bytes(one: SavedModel, other: SavedModel) -> bool:
    """Whether two models were read from files with the same content."""
    return one.source is not None and other.source is not None and one.source.equals(other.source)
