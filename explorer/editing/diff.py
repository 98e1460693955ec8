"""What changed between two models, in words: the signatures and tags, not the bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeVar

from explorer.errors import printable_name
from explorer.savedmodel.default_values import printable_default
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, TensorInfo, printable_tags

_Key = TypeVar("_Key", int, str)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: ``added``, ``removed`` or ``changed``.
        where: The thing that differs: ``serve / serving_default / input x``.
        field: What of it: ``key``, ``tags``, ``dtype``, ``shape``, ``tensor_name``, ``method_name`` …
        before: The value in the first model, None where it is added.
        after: The value in the second model, None where it is removed.
    """

    kind: Literal["added", "removed", "changed"]
    where: str
    field: str
    before: str | None
    after: str | None


def diff(before: SavedModel, after: SavedModel) -> tuple[Change, ...]:
    """Compares the signatures and tags of two models, and of a draft and its source the rest, too.

    A signature that only has another key is one ``changed`` row, not a removed and an added one; so is an input, an
    output and a meta graph.

    Args:
        before: The first model.
        after: The second.

    Returns:
        The differences, meta graph by meta graph; none where both say the same.
    """
    changes: list[Change] = []
    first = dict(enumerate(before.meta_graphs))
    second = dict(enumerate(after.meta_graphs))
    pairs = _paired(first, second, lambda one, other: one.tags == other.tags)
    pairs += _paired(first, second, lambda one, other: one.signatures == other.signatures)
    if len(first) == len(second) == 1:
        pairs.append((first.popitem()[1], second.popitem()[1]))
    for meta_graph in first.values():
        changes.append(Change("removed", "SavedModel", "meta graph", printable_tags(meta_graph.tags), None))
    for one, other in pairs:
        changes += _meta_graph_changes(one, other)
    for meta_graph in second.values():
        changes.append(Change("added", "SavedModel", "meta graph", None, printable_tags(meta_graph.tags)))
    return tuple(changes) or _other_bytes(before, after)


def _other_bytes(before: SavedModel, after: SavedModel) -> tuple[Change, ...]:
    """What is to be said of a draft whose signatures and tags are its source's, where its bytes are not.

    Devices, default attributes and what is repaired in the object graph or between the nodes are no part of a
    signature. Of two files that have nothing to do with each other the bytes are not read.
    """
    if before.document is None or after.document is None:
        return ()
    known = {id(piece.source) for piece in before.document.pieces}
    related = any(id(piece.source) in known for piece in after.document.pieces)
    if not related or before.document.equals(after.document):
        return ()
    sizes = [f"{document.size} bytes" for document in (before.document, after.document)]
    done = [str(entry["edit"]) for entry in after.edits[len(before.edits) :]]
    where = f"graph and object graph ({', '.join(dict.fromkeys(done))})" if done else "graph and object graph"
    return (Change("changed", where, "content", *sizes),)


def _paired(
    first: dict[_Key, _Value], second: dict[_Key, _Value], alike: Callable[[_Value, _Value], bool]
) -> list[tuple[_Value, _Value]]:
    """Takes pairs that are alike out of both, in the order of the first."""
    pairs = []
    for key in list(first):
        for other in list(second):
            if alike(first[key], second[other]):
                pairs.append((first.pop(key), second.pop(other)))
                break
    return pairs


def _meta_graph_changes(before: MetaGraph, after: MetaGraph) -> list[Change]:
    where = printable_tags(after.tags)
    changes = []
    if before.tags != after.tags:
        changes.append(Change("changed", "meta graph", "tags", printable_tags(before.tags), where))
    elif sorted(before.tag_list) != sorted(after.tag_list):
        changes.append(Change("changed", "meta graph", "tags", ",".join(before.tag_list), ",".join(after.tag_list)))
    first, second = dict(before.signatures), dict(after.signatures)
    pairs = _paired(first, second, lambda one, other: one.key == other.key)
    pairs += _paired(first, second, lambda one, other: one == replace(other, key=one.key))
    pairs += _paired(first, second, call_the_same)
    for signature in first.values():
        changes.append(Change("removed", where, "signature", printable_name(signature.key), None))
    for one, other in pairs:
        changes += _signature_changes(where, one, other)
    for signature in second.values():
        changes.append(Change("added", where, "signature", None, printable_name(signature.key)))
    return changes


def call_the_same(one: Signature, other: Signature) -> bool:
    """Whether two signatures of different keys feed or fetch the same tensors, so that one is the other renamed."""

    def tensors(infos: Mapping[str, TensorInfo]) -> list[str]:
        return sorted(name for info in infos.values() for name in info.tensor_names)

    inputs, outputs = tensors(one.inputs), tensors(one.outputs)
    return bool(inputs) and inputs == tensors(other.inputs) or bool(outputs) and outputs == tensors(other.outputs)


def _signature_changes(where: str, before: Signature, after: Signature) -> list[Change]:
    where = f"{where} / {printable_name(after.key)}"
    changes = []
    if before.key != after.key:
        changes.append(Change("changed", where, "key", printable_name(before.key), printable_name(after.key)))
    if before.method_name != after.method_name:
        names = printable_name(before.method_name), printable_name(after.method_name)
        changes.append(Change("changed", where, "method_name", *names))
    changes += _tensor_changes(f"{where} / input", before.inputs, after.inputs, before.defaults, after.defaults)
    changes += _tensor_changes(f"{where} / output", before.outputs, after.outputs)
    # Defaults of inputs that there aren't; those of inputs stand beside them.
    stray = [{key: value for key, value in one.defaults.items() if key not in one.inputs} for one in (before, after)]
    for key in dict.fromkeys((*stray[0], *stray[1])):
        changes += _default_changes(f"{where} / input {printable_name(key)}", stray[0].get(key), stray[1].get(key))
    return changes


def _tensor_changes(
    where: str,
    before: Mapping[str, TensorInfo],
    after: Mapping[str, TensorInfo],
    defaults: Mapping[str, bytes] = MappingProxyType({}),
    new_defaults: Mapping[str, bytes] = MappingProxyType({}),
) -> list[Change]:
    changes = []
    first = {key: (key, info) for key, info in before.items()}
    second = {key: (key, info) for key, info in after.items()}
    pairs = _paired(first, second, lambda one, other: one[0] == other[0])
    pairs += _paired(first, second, lambda one, other: one[1] == other[1])
    pairs += _paired(*_only_of_their_kind(first, second), lambda one, other: _kind(one[1]) == _kind(other[1]))
    paired = {id(one) for pair in pairs for one in pair}
    first = {key: one for key, one in first.items() if id(one) not in paired}
    second = {key: one for key, one in second.items() if id(one) not in paired}
    for key, info in first.values():
        changes.append(Change("removed", f"{where} {printable_name(key)}", "tensor", _described(info), None))
    for (old_key, old), (key, info) in pairs:
        place = f"{where} {printable_name(key)}"
        if old_key != key:
            changes.append(Change("changed", place, "key", printable_name(old_key), printable_name(key)))
        for field, one, other in (
            ("dtype", str(old.dtype), str(info.dtype)),
            ("shape", str(old.shape), str(info.shape)),
            ("tensor_name", ", ".join(old.tensor_names), ", ".join(info.tensor_names)),
            ("encoding", old.encoding, info.encoding),
        ):
            if one != other:
                changes.append(Change("changed", place, field, printable_name(one), printable_name(other)))
        changes += _default_changes(place, defaults.get(old_key), new_defaults.get(key))
    for key, info in second.values():
        changes.append(Change("added", f"{where} {printable_name(key)}", "tensor", None, _described(info)))
        changes += _default_changes(f"{where} {printable_name(key)}", None, new_defaults.get(key))
    return changes


_Named = tuple[str, TensorInfo]


def _only_of_their_kind(
    first: Mapping[str, _Named], second: Mapping[str, _Named]
) -> tuple[dict[str, _Named], dict[str, _Named]]:
    """Those whose dtype and shape no other has: an edit may move a tensor and rename its key."""

    def alone(tensors: Mapping[str, _Named]) -> dict[str, _Named]:
        kinds = [_kind(info) for _, info in tensors.values()]
        return {key: one for key, one in tensors.items() if kinds.count(_kind(one[1])) == 1}

    return alone(first), alone(second)


def _kind(info: TensorInfo) -> tuple[object, ...]:
    return info.dtype, info.shape, info.encoding


def _default_changes(place: str, before: bytes | None, after: bytes | None) -> list[Change]:
    if before == after:
        return []
    kind: Literal["added", "removed", "changed"] = "changed"
    if before is None or after is None:
        kind = "added" if before is None else "removed"
    values = [None if value is None else printable_default(value) for value in (before, after)]
    return [Change(kind, place, "default", values[0], values[1])]


def _described(info: TensorInfo) -> str:
    return f"{info} at {printable_name(', '.join(info.tensor_names))}"
