"""What the draft is for clients: compared anew after every change, with the source or with another version."""

from __future__ import annotations

from dataclasses import dataclass

import traitlets

from explorer.diagnosing.compatibility import Verdict, compatibility
from explorer.errors import ExplorerError, UnknownVersionError
from explorer.savedmodel.model import MetaGraph, SavedModel
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.reader import read_document
from explorer.state.shown import ShownState
from explorer.state.telling import Held, intent, sentence

_SERVE = frozenset({"serve"})


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A draft beside what clients know.

    Attributes:
        version: The version that was wanted; None for the source.
        before: What clients know; None where it can't be read.
        after: The draft.
        tags: The tags that were asked for; None for those that TensorFlow Serving takes.
        verdict: What the draft is for clients; None where it can't be told.
        problem: Why it can't be told, in a sentence.
    """

    version: int | None
    before: SavedModel | None
    after: SavedModel
    tags: frozenset[str] | None = None
    verdict: Verdict | None = None
    problem: str = ""


class ClientsState(ShownState):
    """The part of the state that says whether clients break.

    Attributes:
        compared_with: The version that clients know, by its number; None for the source.
        comparison: The draft beside it, None where there is nothing to compare: the draft is the source.
        comparing: Whether the comparison is still at work; until then the last one stands.
    """

    compared_with = traitlets.Int(None, allow_none=True)
    comparison = Held(None)
    comparing = traitlets.Bool(False)

    _question: tuple[SavedModel, int | None, MetaGraph] | None = None

    @intent
    def compare_with(self, version: int | None) -> None:
        """Chooses what the draft is compared with: another version under the base path, or None for the source."""
        self._opened()
        others = self.other_versions()
        if version is not None and version not in others:
            known = ", ".join(map(str, others)) or "none"
            raise UnknownVersionError(
                f"there is no other version {version} to compare with; available: {known}", self.path, others
            )
        self.compared_with, self._question = version, None
        self._compare()

    def other_versions(self) -> tuple[int, ...]:
        """The versions that the draft can be compared with, newest first; the one that is open isn't among them."""
        return tuple(
            version.number for version in reversed(self.versions) if version.is_model and version.number != self.version
        )

    def _compare(self) -> None:
        """Compares the draft, in the executor; to be called whenever it or the chosen meta graph has changed."""
        model, meta_graph, version = self.model, self.meta_graph, self.compared_with
        if model is None or meta_graph is None or (version is None and not self.edits):
            self._question, self.comparison, self.comparing = None, None, False
            return
        question = (model, version, meta_graph)
        if self._question is not None and all(
            one is other for one, other in zip(self._question, question, strict=True)
        ):
            return
        self._question, self.comparing = question, True
        last, source, index = self.comparison, self.source, self.meta_graph_index
        known = last.before if last is not None and last.version == version and last.problem == "" else None

        def work() -> Comparison:
            try:
                before = _known_to_clients(source, version) if known is None else known
                tags = _tags(before, model, index)
                return Comparison(version, before, model, tags, compatibility(before, model, tags))
            except ExplorerError as error:
                return Comparison(version, None, model, problem=sentence(error))

        def done(found: Comparison | None) -> None:
            if self._question is question:  # else it is about a draft that is gone
                self.comparison, self.comparing = found, False

        self.run(work, done, lambda: done(None))

    def _forget_comparison(self) -> None:
        """Compares with the source again: another one is shown now."""
        self.compared_with, self._question, self.comparison, self.comparing = None, None, None, False


def as_opened(model: SavedModel) -> SavedModel:
    """A model as its file has it, without the edits that somebody gave it before it was shown."""
    if not model.edits or model.source is None:
        return model
    return read_document(model.source, path=model.path, version=model.version, file_name=model.file_name)


def _known_to_clients(source: SavedModel, version: int | None) -> SavedModel:
    if version is None or source.base_path is None:
        return as_opened(source)
    return open_saved_model(source.base_path, version)


def _tags(before: SavedModel, after: SavedModel, index: int) -> frozenset[str] | None:
    """The tags by which clients ask: where there are several meta graphs, those that the chosen one had before."""
    if len(before.meta_graphs) < 2:
        return None
    known = [meta_graph.tags for meta_graph in before.meta_graphs]
    chosen = after.meta_graphs[index].tags
    if chosen in known:
        return chosen
    if len(known) == len(after.meta_graphs):
        return known[index]
    return None if _SERVE in known else known[0]
