"""Will clients of one version of a model break on another: per signature, and per protocol in which they call it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from explorer.checking.key_rules import check_keys
from explorer.checking.scope import Scope
from explorer.diagnosing.loading import Loaded, has_live_object_graph, loaded_signatures
from explorer.diagnosing.protocols import Endpoint, find_changes, find_obstacle
from explorer.diagnosing.tensor_changes import LEVELS, PROTOCOLS, Level, Protocol, Reason
from explorer.errors import FormatError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, frozen, printable_tags

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PROTOCOLS", "Level", "Protocol", "ProtocolVerdict", "Verdict", "compatibility"]

_SERVED_TAGS = frozenset({"serve"})


@dataclass(frozen=True, slots=True)
class ProtocolVerdict:
    """What a new version is for the clients who call one signature by one protocol.

    Attributes:
        verdict: ``same``: they can't tell the versions apart by their interface. ``compatible``: every request that
            worked still works, and answers are read as before. ``breaking``: some request fails, or some answer reads
            otherwise.
        reasons: What changed for them and what follows, the worst first; each a sentence without a full stop.
    """

    verdict: Level
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a new version is for the clients of the old one.

    Attributes:
        verdict: The worst that it is for any of them: ``same``, ``compatible`` or ``breaking``.
        signatures: Signature key → protocol (``rest_row``, ``rest_column``, ``grpc``, ``tf.saved_model``) → what it is
            there. The keys of the old version come first, then those that only the new one has.
    """

    verdict: Level
    signatures: Mapping[str, Mapping[str, ProtocolVerdict]]

    def to_dict(self) -> dict[str, Any]:
        """As plain data, as ``python -m explorer diff --json`` prints it."""
        return {
            "verdict": self.verdict,
            "signatures": {
                key: {
                    protocol: {"verdict": found.verdict, "reasons": list(found.reasons)}
                    for protocol, found in protocols.items()
                }
                for key, protocols in self.signatures.items()
            },
        }

    def to_frame(self) -> pd.DataFrame:
        """The verdicts as a table, one reason a row."""
        import explorer  # the top of the package knows how it looks; the verdict itself does not

        return explorer.to_frame(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))  # what IPython shows in a terminal

    def _repr_html_(self) -> str:
        import explorer  # the top of the package knows how it looks; the verdict itself does not

        return explorer.to_html(self)

    def __str__(self) -> str:
        import explorer  # the top of the package knows how it looks; the verdict itself does not

        return explorer.to_text(self)


@dataclass(frozen=True, slots=True)
class _View:
    """What the clients of one protocol find in a model.

    Attributes:
        endpoints: Signature key → signature.
        obstacle: Why none of them can be called, empty where they can.
        changes: What else changed between the old version and this one.
    """

    endpoints: Mapping[str, Endpoint]
    obstacle: str = ""
    changes: tuple[Reason, ...] = ()


def compatibility(before: SavedModel, after: SavedModel, tags: Iterable[str] | None = None) -> Verdict:
    """Compares two versions of a model, or a draft with its source, as their clients see them.

    What is compared is the interface: keys, dtypes, shapes, methods, default values. Other weights or another graph
    behind the same signatures are the same interface; where a model without an object graph answers from another
    tensor, a reason says so.

    Args:
        before: The version that clients know.
        after: The version that they shall meet.
        tags: The tags of the meta graph that they use. None takes what TensorFlow Serving takes, exactly ``serve``,
            and for ``tf.saved_model`` the only one where there is one.

    Returns:
        The verdict. A corrupt object graph counts as one that can't be loaded.

    Raises:
        NotFoundError: ``before`` has no such meta graph, or ``tags`` must say which.
    """
    chosen = before.meta_graph(tags)
    wanted = _SERVED_TAGS if tags is None else chosen.tags
    found = _with_tags(after, chosen.tags) or (after.meta_graphs[0] if len(after.meta_graphs) == 1 else None)
    loading = (_loading_view(before, chosen), _loading_view(after, found, before, chosen))
    views = {
        protocol: loading
        if protocol == "tf.saved_model"
        else (_serving_view(protocol, before, wanted, chosen), _serving_view(protocol, after, wanted, found))
        for protocol in PROTOCOLS
    }
    keys = dict.fromkeys(key for side in (0, 1) for protocol in PROTOCOLS for key in views[protocol][side].endpoints)
    signatures = {
        key: frozen({protocol: _judged(protocol, key, *views[protocol]) for protocol in PROTOCOLS}) for key in keys
    }
    verdicts = [judged.verdict for protocols in signatures.values() for judged in protocols.values()]
    return Verdict(_worst(verdicts), frozen(signatures))


def _judged(protocol: Protocol, key: str, before: _View, after: _View) -> ProtocolVerdict:
    reasons = sorted(
        dict.fromkeys(_reasons(protocol, key, before, after)), key=lambda found: -LEVELS.index(found.verdict)
    )
    return ProtocolVerdict(_worst(found.verdict for found in reasons), tuple(found.text for found in reasons))


def _reasons(protocol: Protocol, key: str, before: _View, after: _View) -> Iterator[Reason]:
    old, new = before.endpoints.get(key), after.endpoints.get(key)
    is_obstacle = after.obstacle or ("" if new is None else new.obstacle)
    if old is None:
        if new is not None:
            beware = f", but no such request can call it: {is_obstacle}" if is_obstacle else ""
            yield Reason("compatible", f"signature {quoted(key)} is new{beware}")
        return
    was_obstacle = before.obstacle or old.obstacle
    if was_obstacle:
        if new is not None and not is_obstacle:
            yield Reason("compatible", f"no such request worked before, and now they do: {was_obstacle}")
        elif old != new or before.obstacle != after.obstacle:
            yield Reason("same", f"no such request worked before: {was_obstacle}")
        return
    if after.obstacle:
        yield Reason("breaking", after.obstacle)
        return
    if new is None:
        yield Reason("breaking", _gone(protocol, old, before, after))
        return
    yield from after.changes
    if new.obstacle:
        yield Reason("breaking", f"no such request works any more: {new.obstacle}")
    yield from find_changes(protocol, old, new)


def _gone(protocol: Protocol, old: Endpoint, before: _View, after: _View) -> str:
    key = old.signature.key
    renamed = [
        other
        for other, endpoint in after.endpoints.items()
        if other not in before.endpoints and replace(endpoint.signature, key=key) == old.signature
    ]
    change = (
        f"signature {quoted(key)} is gone"
        if not renamed
        else f"signature {quoted(key)} renamed to {quoted(renamed[0])}"
    )
    if protocol == "tf.saved_model":
        return f"{change}: signatures[{quoted(key)}] raises KeyError"
    and_unnamed = " and requests that name none" if key == constants.DEFAULT_SIGNATURE_KEY else ""
    return f"{change}: requests that name it{and_unnamed} fail"


def _serving_view(protocol: Protocol, model: SavedModel, wanted: frozenset[str], known: MetaGraph | None) -> _View:
    """What a server finds that loads the meta graph with exactly the wanted tags; ``known`` is shown where it can't."""
    served = _with_tags(model, wanted)
    meta_graph = served or known
    signatures = {} if meta_graph is None else meta_graph.callable_signatures
    endpoints = {key: _endpoint(protocol, meta_graph, Loaded(signature)) for key, signature in signatures.items()}
    return _View(endpoints, "" if served else f"{_no_tags(model, wanted)}, so the server can't load the model")


def _loading_view(
    model: SavedModel, meta_graph: MetaGraph | None, old_model: SavedModel | None = None, old: MetaGraph | None = None
) -> _View:
    """What ``tf.saved_model.load`` finds; the old version is given for the new one, to say what changed."""
    if meta_graph is None:
        wanted: frozenset[str] = frozenset() if old is None else old.tags
        return _View({}, f"{_no_tags(model, wanted)}, so tf.saved_model.load can't choose one")
    try:
        loaded = loaded_signatures(model, meta_graph)
        refusal = _refusal(meta_graph, [found.signature for found in loaded.values()])
    except FormatError as error:
        loaded = {key: Loaded(signature) for key, signature in meta_graph.callable_signatures.items()}
        refusal = f"tf.saved_model.load can't load the model: {error}"
    endpoints = {key: _endpoint("tf.saved_model", meta_graph, found) for key, found in loaded.items()}
    changes = () if old_model is None or old is None else tuple(_loading_changes(old_model, old, model, meta_graph))
    return _View(endpoints, refusal, changes)


def _loading_changes(old_model: SavedModel, old: MetaGraph, new_model: SavedModel, new: MetaGraph) -> Iterator[Reason]:
    """What changed for all who load the model, whichever signature they call."""
    if old.tags != new.tags:
        tags = f"{printable_tags(new.tags)} instead of {printable_tags(old.tags)}"
        yield Reason("breaking", f"the tags are {tags}: loading with the old ones fails, without any works")
    if len(old_model.meta_graphs) == 1 < len(new_model.meta_graphs):
        yield Reason("breaking", f"there are {len(new_model.meta_graphs)} meta graphs: loading without tags fails")
    known = {meta_graph.tags for meta_graph in new_model.meta_graphs} | {old.tags}
    for others in dict.fromkeys(meta_graph.tags for meta_graph in old_model.meta_graphs):
        if others not in known:
            yield Reason("compatible", f"the meta graph {printable_tags(others)} is gone: loading with its tags fails")
    if has_live_object_graph(old_model, old) and not has_live_object_graph(new_model, new):
        yield Reason("compatible", "the loaded model has signatures only, and no other attributes any more")


def _refusal(meta_graph: MetaGraph, signatures: Iterable[Signature]) -> str:
    """Why ``tf.saved_model.load`` refuses the whole model for a key that can't name an argument of Python."""
    for signature in signatures:
        for found in check_keys(Scope(meta_graph, signature, None)):
            if found.field == "input" and found.code in ("python_keyword", "empty_key"):
                return found.message
    return ""


def _endpoint(protocol: Protocol, meta_graph: MetaGraph | None, found: Loaded) -> Endpoint:
    names_tensors = meta_graph is not None and not meta_graph.has_object_graph
    return Endpoint(found.signature, find_obstacle(protocol, found.signature), found.knows_outputs, names_tensors)


def _with_tags(model: SavedModel, tags: frozenset[str]) -> MetaGraph | None:
    """The first meta graph with exactly these tags, as loaders choose it."""
    return next((meta_graph for meta_graph in model.meta_graphs if meta_graph.tags == tags), None)


def _no_tags(model: SavedModel, wanted: frozenset[str]) -> str:
    there = " and ".join(printable_tags(meta_graph.tags) for meta_graph in model.meta_graphs) or "none"
    return f"no meta graph has exactly the tags {printable_tags(wanted)}; there is {there}"


def _worst(verdicts: Iterable[Level]) -> Level:
    return max(verdicts, key=LEVELS.index, default="same")
