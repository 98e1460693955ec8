"""What is wrong with a model: every rule, run over every signature of every meta graph.

Nothing here prints, and nothing raises for what a model did wrong: a rule that can't be tried because a part of the
file can't be read becomes a finding itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from explorer.checking.findings import Finding
from explorer.checking.folder_rules import check_folder
from explorer.checking.function_rules import check_captures, check_training
from explorer.checking.key_rules import check_keys
from explorer.checking.method_rules import check_method
from explorer.checking.model_rules import check_nodes, check_object_names, check_signature_keys, check_tag_sets
from explorer.checking.scope import Scope
from explorer.checking.signature_rules import check_feeds
from explorer.checking.tensor_rules import check_tensors
from explorer.errors import ExplorerError, quoted
from explorer.savedmodel.graph import Graph, has_graph, read_graph
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, printable_tags

__all__ = ["check", "check_folder", "check_signature", "new_errors"]

_RULES: tuple[Callable[[Scope], Iterator[Finding]], ...] = (
    check_keys,
    check_method,
    check_tensors,
    check_feeds,
    check_training,
)
_ORDER = {"error": 0, "warning": 1, "note": 2}


def check(model: SavedModel, tags: Iterable[str] | None = None) -> tuple[Finding, ...]:
    """Examines a model: its signatures against its graph, its tags, and the files beside ``saved_model.pb``.

    Args:
        model: The model, edited or not. Of one that was made from data only what needs no graph is examined.
        tags: Only findings about the meta graph with this tag set; None for all.

    Returns:
        What is wrong: errors first, then warnings, then notes, each in the order of the file.

    Raises:
        NotFoundError: No meta graph has the ``tags``.
    """
    wanted = None if tags is None else model.meta_graph(tags)
    findings = list(check_tag_sets(model))
    seen: set[frozenset[str]] = set()
    for meta_graph in model.meta_graphs:
        editable = meta_graph.tags not in seen
        seen.add(meta_graph.tags)
        if wanted is None or meta_graph is wanted:
            findings += _check_meta_graph(model, meta_graph, editable)
    if wanted is not None:
        findings = [found for found in findings if found.tags is None or found.tags == wanted.tags]
    findings += check_folder(model)
    return tuple(sorted(findings, key=lambda found: _ORDER[found.severity]))


def check_signature(
    meta_graph: MetaGraph, signature: Signature, graph: Graph | None, *, editable: bool = True
) -> tuple[Finding, ...]:
    """Examines one signature, for example one that is being drafted.

    Args:
        meta_graph: The meta graph that it is or shall be in.
        signature: The signature.
        graph: The graph of the meta graph; None leaves out what needs it.
        editable: Whether to offer edits that mend what is found.

    Returns:
        What is wrong, in the order of the rules.
    """
    scope = Scope(meta_graph, signature, graph, editable)
    findings: list[Finding] = []
    try:
        for rule in _RULES:
            findings += rule(scope)
    except ExplorerError as error:
        findings.append(
            scope.finding(
                "error",
                "unreadable_graph",
                f"signature {quoted(signature.key)} can't be examined, because the graph can't be read: {error}",
                subject="graph",
            )
        )
    return tuple(findings)


def new_errors(before: tuple[Finding, ...], after: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The errors that an edit brought in: those of ``after`` that ``before`` has nothing like."""
    known = {(found.code, found.subject) for found in before if found.severity == "error"}
    return tuple(found for found in after if found.severity == "error" and (found.code, found.subject) not in known)


def _check_meta_graph(model: SavedModel, meta_graph: MetaGraph, editable: bool) -> Iterator[Finding]:
    graph: Graph | None = None
    if has_graph(meta_graph):
        try:
            graph = read_graph(meta_graph)
        except ExplorerError as error:
            yield Finding(
                "error",
                "unreadable_graph",
                f"the graph of the meta graph {printable_tags(meta_graph.tags)} can't be read: {error}",
                tags=meta_graph.tags,
                subject="graph",
            )
    if graph is not None:
        yield from check_nodes(meta_graph, graph)
        yield from check_captures(meta_graph, graph)
    yield from check_signature_keys(model, meta_graph)
    yield from check_object_names(meta_graph)
    for signature in meta_graph.signatures.values():
        yield from check_signature(meta_graph, signature, graph, editable=editable)
