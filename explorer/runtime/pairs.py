"""Which signature, input and output of a new version was which of the old one.

Either the edits are known, and every rename is followed through; or two models are all there is, and equal keys, then
equal tensors, then a dtype and shape that only one of each has say who belongs together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from explorer.editing.diff import call_the_same
from explorer.errors import quoted
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, TensorInfo

Entries = Iterable[Mapping[str, Any]]
"""Entries of a recipe, oldest first."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A signature before and after.

    Attributes:
        before_key: Its key in the old model, None for a signature that is new.
        after_key: Its key in the new model, None for one that was removed.
        inputs: Input key in the new model → in the old one.
        outputs: Output key in the new model → in the old one.
        bound: Input key in the old model → the value that the new model has built in.
        moved: Why the two can't be compared at all, or an empty text.
        notes: Output key in the new model → why it is not compared, though it has a partner.
    """

    before_key: str | None
    after_key: str | None
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    bound: Mapping[str, Any] = field(default_factory=dict)
    moved: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Followed:
    """What edits made of a meta graph.

    Attributes:
        tags: Its tags afterwards, None where it was removed.
        pairs: Its signatures.
    """

    tags: frozenset[str] | None
    pairs: tuple[Pair, ...]


def pairs_from_edits(before: SavedModel, edits: Entries, tags: Iterable[str] | None = None) -> Followed:
    """Follows a meta graph's signatures through edits.

    Args:
        before: The model as it was before the edits.
        edits: The entries of a recipe; those that change no key are passed over.
        tags: The tag set of the meta graph before the edits; None as in ``SavedModel.meta_graph``.

    Returns:
        The meta graph's tags and pairs after the edits.
    """
    meta_graph = before.meta_graph(tags)
    now: frozenset[str] | None = meta_graph.tags
    others = [other.tags for other in before.meta_graphs if other is not meta_graph]
    pairs = [
        Pair(key, key, {name: name for name in signature.inputs}, {name: name for name in signature.outputs})
        for key, signature in meta_graph.callable_signatures.items()
    ]
    for entry in edits:
        named = entry.get("tags")
        if named is not None:
            meant: frozenset[str] | None = frozenset({named} if isinstance(named, str) else named)
        else:
            meant = frozenset({"serve"}) if others else now
        edit = entry["edit"]
        if edit == "copy_meta_graph":
            others.append(frozenset(entry["new_tags"]))
        elif meant != now:
            others = _other_tags(others, entry, meant)
        elif edit == "set_tags":
            now = frozenset(entry["new_tags"])
        elif edit == "remove_meta_graph":
            now = None
        else:
            pairs = _after(pairs, entry)
    return Followed(now, tuple(pairs))


def _other_tags(
    others: list[frozenset[str]], entry: Mapping[str, Any], meant: frozenset[str] | None
) -> list[frozenset[str]]:
    if entry["edit"] == "set_tags":
        return [frozenset(entry["new_tags"]) if other == meant else other for other in others]
    return [other for other in others if other != meant] if entry["edit"] == "remove_meta_graph" else others


def _after(pairs: list[Pair], entry: Mapping[str, Any]) -> list[Pair]:
    """The pairs after one more edit."""
    edit, key = entry["edit"], entry.get("signature_key")
    if edit in ("add_signature", "add_signature_from_function"):
        return [*pairs, Pair(None, str(key), moved="it is new")]
    change = _CHANGES.get(edit)
    changed: list[Pair] = []
    for pair in pairs:
        if pair.after_key != key or key is None or change is None:
            changed.append(pair)
        else:
            changed += change(pair, entry)
    return changed


def _rename_signature(pair: Pair, entry: Mapping[str, Any]) -> list[Pair]:
    return [replace(pair, after_key=entry["new_key"])]


def _copy_signature(pair: Pair, entry: Mapping[str, Any]) -> list[Pair]:
    return [pair, replace(pair, after_key=entry["new_key"])]


def _remove_signature(pair: Pair, entry: Mapping[str, Any]) -> list[Pair]:
    return [replace(pair, after_key=None, moved="it was removed")] if pair.before_key is not None else []


def _rename_input(pair: Pair, entry: Mapping[str, Any]) -> list[Pair]:
    return [replace(pair, inputs=_renamed(pair.inputs, entry["input_key"], entry["new_key"]))]


def _rename_output(pair: Pair, entry: Mapping[str, Any]) -> list[Pair]:
    old, new = entry["output_key"], entry["new_key"]
    return [replace(pair, outputs=_renamed(pair.outputs, old, new), notes=_renamed(pair.notes, old, new))]


def _remove_output(pair: Pair, entry: Mapping[str, Any]) -> list[Pair]:
    key = entry["output_key"]
    return [replace(pair, outputs=_without(pair.outputs, key), notes=_without(pair.notes, key))]


def _set_output_tensor(pair: Pair, entry: Mapping[str, Any]) -> list[Pair]:
    return [replace(pair, notes={**pair.notes, entry["output_key"]: "it is another tensor than before"})]


def _set_input_tensor(pair: Pair, entry: Mapping[str, Any]) -> list[Pair]:
    return [replace(pair, moved=f"its input {quoted(entry['input_key'])} is another tensor than before")]


def _remove_input(pair: Pair, entry: Mapping[str, Any]) -> list[Pair]:
    return [replace(pair, inputs=_without(pair.inputs, entry["input_key"]))]


def _bind_input(pair: Pair, entry: Mapping[str, Any]) -> list[Pair]:
    key = entry["input_key"]
    if key not in pair.inputs:
        return [pair]
    bound = {**pair.bound, pair.inputs[key]: entry["value"]}
    return [replace(pair, inputs=_without(pair.inputs, key), bound=bound)]


_CHANGES: Mapping[str, Callable[[Pair, Mapping[str, Any]], list[Pair]]] = {
    "bind_input": _bind_input,
    "copy_signature": _copy_signature,
    "remove_input": _remove_input,
    "remove_output": _remove_output,
    "remove_signature": _remove_signature,
    "rename_input": _rename_input,
    "rename_output": _rename_output,
    "rename_signature": _rename_signature,
    "set_input_tensor": _set_input_tensor,
    "set_output_tensor": _set_output_tensor,
}
"""Edit → what it makes of the pair whose signature it names."""


def _renamed(names: Mapping[str, str], old: str, new: str) -> dict[str, str]:
    return {new if key == old else key: value for key, value in names.items()}


def _without(names: Mapping[str, str], key: str) -> dict[str, str]:
    return {other: value for other, value in names.items() if other != key}


def pairs_by_likeness(before: MetaGraph, after: MetaGraph, named: Mapping[str, str] | None = None) -> tuple[Pair, ...]:
    """Pairs the signatures of two meta graphs whose edits aren't known.

    Args:
        before: The old one.
        after: The new one.
        named: Signature key in the new meta graph → in the old one, where the caller knows.
    """
    old, new = dict(before.callable_signatures), dict(after.callable_signatures)
    found: list[tuple[Signature, Signature]] = [
        (before.signature(old_key), after.signature(new_key)) for new_key, old_key in (named or {}).items()
    ]
    for one, other in found:
        new.pop(other.key)
        old.pop(one.key, None)
    for alike in (_have_one_key, call_the_same):
        for key, signature in list(new.items()):
            match = next((one for one in old.values() if alike(one, signature)), None)
            if match is not None:
                found.append((old.pop(match.key), new.pop(key)))
    return (
        *(
            Pair(one.key, other.key, _paired(one.inputs, other.inputs), _paired(one.outputs, other.outputs))
            for one, other in found
        ),
        *(Pair(key, None, moved="it was removed") for key in old),
        *(Pair(None, key, moved="it is new") for key in new),
    )


def _have_one_key(one: Signature, other: Signature) -> bool:
    return one.key == other.key


def _paired(before: Mapping[str, TensorInfo], after: Mapping[str, TensorInfo]) -> dict[str, str]:
    """Key in the second → key in the first."""
    pairs = {key: key for key in after if key in before}
    for alike in (_same_tensor, _same_form):
        for key, info in after.items():
            if key in pairs:
                continue
            fitting = [other for other in before if other not in pairs.values() and alike(before[other], info)]
            rivals = [rival for rival in after if rival not in pairs and alike(after[rival], info)]
            if len(fitting) == len(rivals) == 1:
                pairs[key] = fitting[0]
    return pairs


def _same_tensor(one: TensorInfo, other: TensorInfo) -> bool:
    return one.tensor_names == other.tensor_names


def _same_form(one: TensorInfo, other: TensorInfo) -> bool:
    return (one.dtype, one.encoding) == (other.dtype, other.encoding) and one.shape.is_compatible_with(other.shape)
