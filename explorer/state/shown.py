"""What the panels show: the traits of the state, and what follows from them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import traitlets

from explorer.checking.checks import check_signature
from explorer.checking.findings import Finding
from explorer.editing.diff import Change, diff
from explorer.editing.recipe import apply_edit
from explorer.editing.repair import mendable
from explorer.errors import EditError, ExplorerError, ExportError
from explorer.exporting.publish import next_version
from explorer.savedmodel.graph import GraphTensor, has_graph, read_graph
from explorer.savedmodel.model import DType, MetaGraph, SavedModel, Signature, printable_tags
from explorer.state.telling import Held, TellingState, message_and_fix, sentence
from explorer.state.tensors import Tensors


@dataclass(frozen=True, slots=True)
class Trial:
    """What would come of an edit of a signature.

    Attributes:
        refusal: Why it cannot be applied, in a sentence; empty where it can.
        findings: What the checks would then say about the signature that they don't say already, notes left out.
    """

    refusal: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def problem(self) -> str:
        """What is wrong with it, in a sentence; empty where nothing is."""
        return self.refusal or (message_and_fix(self.findings[0]) if self.findings else "")


class ShownState(TellingState):
    """What the panels show, and what follows from it.

    Attributes:
        path: The path that was opened, as it was given.
        versions: The versions under the base path, smallest number first.
        version: The version that is open, None where the folder isn't a version.
        source: The model as it was opened, None before one is.
        model: The draft: the source with the edits so far.
        overview: Name, kind and size of the source.
        meta_graph_index: The chosen meta graph, by its place in the draft.
        signature_key: The chosen signature's key.
        findings: What the checks say about the draft.
        new_errors: The errors among them that the source did not have, for which an export is refused.
        checking: Whether the checks are still at work.
        counts: Nodes, functions, variables and assets of each meta graph; empty until they are counted.
        body_format: The wanted format of the request body: ``"row"``, ``"column"``, or None for the fitting one.
        export_base: The base path to export to.
        published: The last export from here.
        proof: How the last export was seen to be right, in a sentence.
        form: The panel whose form was opened last; forms of the others close.
        busy: What is at work, in a word; empty when nothing is.
    """

    path = traitlets.Unicode()
    versions = traitlets.Tuple()
    version = traitlets.Int(None, allow_none=True)
    source = Held(None)
    model = Held(None)
    overview = traitlets.Any(None)
    meta_graph_index = traitlets.Int(0)
    signature_key = traitlets.Unicode(None, allow_none=True)
    findings = traitlets.Tuple()
    new_errors = traitlets.Tuple()
    checking = traitlets.Bool(False)
    counts = traitlets.Tuple()
    body_format = traitlets.Enum(("row", "column", None), None)
    export_base = traitlets.Unicode()
    published = traitlets.Any(None)
    proof = traitlets.Unicode()
    busy = traitlets.Unicode()
    form = traitlets.Unicode()

    _tensors: Tensors | None = None

    @property
    def meta_graph(self) -> MetaGraph | None:
        """The chosen meta graph of the draft."""
        if self.model is None or not 0 <= self.meta_graph_index < len(self.model.meta_graphs):
            return None
        meta_graph: MetaGraph = self.model.meta_graphs[self.meta_graph_index]
        return meta_graph

    @property
    def signature(self) -> Signature | None:
        """The chosen signature of the draft."""
        meta_graph = self.meta_graph
        key = self.signature_key
        return None if meta_graph is None or key is None else meta_graph.signatures.get(key)

    @property
    def edits(self) -> tuple[Mapping[str, Any], ...]:
        """The pending edits as recipe entries, oldest first."""
        return () if self.model is None else tuple(self.model.edits)

    def changes(self) -> tuple[Change, ...]:
        """What the draft changes in the source."""
        return () if self.model is None else diff(self.source, self.model)

    def addressed(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """A recipe entry with the tags of the chosen meta graph where the model has several.

        Raises:
            EditError: Nothing is open, or the chosen meta graph can't be told from another by its tags.
        """
        model, meta_graph = self._opened(), self.meta_graph
        if "tags" in entry or len(model.meta_graphs) < 2 or meta_graph is None:
            return dict(entry)
        if model.meta_graph_index(meta_graph.tags) != self.meta_graph_index:
            raise EditError(
                f"two meta graphs have the tags {printable_tags(meta_graph.tags)}; loaders and edits reach only the "
                "first of them: give that one other tags before you edit this one"
            )
        return {"edit": entry["edit"], "tags": sorted(meta_graph.tags), **entry}

    def refusal(self, entry: Mapping[str, Any]) -> str:
        """Why an edit cannot be applied to the draft, in a sentence; empty where it can. Nothing is changed."""
        try:
            apply_edit(self._opened(), self.addressed(entry))
        except ExplorerError as error:
            return sentence(error)
        return ""

    def trial(self, entry: Mapping[str, Any]) -> Trial:
        """What would come of an edit of a signature. Nothing is changed."""
        try:
            entry = self.addressed(entry)
            edited = apply_edit(self._opened(), entry)
            meta_graph = edited.meta_graph(entry.get("tags"))
            key = entry.get("new_key") if entry["edit"].endswith("_signature") else None
            signature = meta_graph.signatures.get(str(key or entry.get("signature_key")))
            if signature is None:
                return Trial()
            graph = read_graph(meta_graph) if has_graph(meta_graph) else None
            about = (entry.get("signature_key"), None)
            known = {(found.code, found.subject) for found in self.findings if found.signature_key in about}
            found = [
                one
                for one in check_signature(meta_graph, signature, graph)
                if one.severity != "note" and (one.code, one.subject) not in known
            ]
        except ExplorerError as error:
            return Trial(sentence(error))
        return Trial(findings=tuple(found))

    def problem_with(self, entry: Mapping[str, Any]) -> str:
        """What is wrong with an edit of a signature, in a sentence; empty where nothing is. Nothing is changed.

        Either it cannot be applied to the draft, or the checks would find fault with the signature after it.
        """
        return self.trial(entry).problem

    def repairs(self) -> tuple[Finding, ...]:
        """What is wrong with the draft and can be mended without a choice, each edit that mends something once."""
        found: list[Finding] = []
        for one in mendable(self.findings):
            if all(one.edit != other.edit for other in found):
                found.append(one)
        return tuple(found)

    @property
    def tensors(self) -> Tensors | None:
        """What an edit of the chosen signature can name, worked out once while the draft is the same."""
        meta_graph, signature, known = self.meta_graph, self.signature, self._tensors
        if meta_graph is None:
            return None
        if known is None or known.meta_graph is not meta_graph or known.signature is not signature:
            self._tensors = known = Tensors(meta_graph, signature)
        return known

    def find_tensor(self, tensor_name: str) -> GraphTensor | None:
        """The tensor that a name means to an edit, None where there is none or the graph is corrupt."""
        try:
            return self.tensors.find(tensor_name) if self.tensors is not None else None
        except ExplorerError:
            return None

    def search_tensors(self, text: str, dtype: DType | None = None, *, inside: bool = False) -> list[GraphTensor]:
        """Finds tensors that an edit of the chosen signature can name, by a part of their name; 50 at most, best first.

        Args:
            text: The part.
            dtype: Only tensors of this dtype.
            inside: Whether only those inside functions are wanted, where there are any.

        Raises:
            FormatError: The graph is corrupt.
        """
        return [] if self.tensors is None else self.tensors.search(text, dtype, inside=inside)

    def export_target(self) -> tuple[int | None, str]:
        """The version that an export would get, or None and why there can't be one."""
        try:
            return next_version(self._base_path()), ""
        except ExplorerError as error:
            return None, sentence(error)
        except OSError as error:
            return None, sentence(f"{error.filename or 'the base path'}: {error.strerror or error}")

    def _opened(self) -> SavedModel:
        if self.model is None:
            raise EditError("no SavedModel is open; give a path first")
        model: SavedModel = self.model
        return model

    def _base_path(self) -> Path:
        text = self.export_base.strip()
        if not text:
            raise ExportError("give the base path to export to: the folder that holds the numbered versions")
        return Path(os.path.expanduser(text))
