"""Which variable of a checkpoint is which of a SavedModel: told by the objects that they belong to, or by their names.

Both were written from objects of one architecture, held by different roots: ``tf.train.Checkpoint(model=m)`` has the
model below its root, a SavedModel has it as its root. So both are walked from a pair of objects along children of the
same name. The export of Keras 3 keeps no objects but a list of variables; then what the program called them counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from explorer.converting.bundle import BundleTensor
from explorer.converting.object_trees import VALUE, Attribute, ObjectTree
from explorer.errors import quoted

_MOST_STEPS: Final = 5_000_000
"""How many pairs of objects are looked at before the search is given up."""

_MOST_SCOPES: Final = 50
_NUMBERED = re.compile(r"(.*?)(?:_(\d{1,9}))?", re.DOTALL)


@dataclass(frozen=True)
class Side:
    """A checkpoint: what it holds, and the objects that it was written from, where that is known."""

    tensors: Mapping[bytes, BundleTensor]
    tree: ObjectTree | None

    @cached_property
    def parts(self) -> Mapping[bytes, Mapping[bytes, BundleTensor]]:
        """What is stored in several tensors, as a table: its key → the ends of their keys (``-keys``) → tensor."""
        found: dict[bytes, dict[bytes, BundleTensor]] = {}
        for key, tensor in self.tensors.items():
            whole, dash, end = key.rpartition(b"-")
            if dash and b"/" not in end:
                found.setdefault(whole, {})[end] = tensor
        return found

    def variables(self) -> Iterator[tuple[int, Attribute, BundleTensor]]:
        """The variables with the numbers of their objects."""
        for number, attributes in enumerate(() if self.tree is None else self.tree.attributes):
            for one in attributes:
                tensor = self.tensors.get(one.key)
                if one.name == VALUE and tensor is not None:
                    yield number, one, tensor


@dataclass(frozen=True, slots=True)
class Match:
    """Keys of one checkpoint → keys of the other, and how they were told.

    Attributes:
        keys: Key in the SavedModel → key in the checkpoint; only what has the same dtype and shape.
        place: The path of the object in the checkpoint that the model is, where they were told by objects; else None.
        how: By what they were told, as it stands in a sentence.
    """

    keys: Mapping[bytes, bytes]
    place: str | None
    how: str


def matches(model: Side, checkpoint: Side) -> Iterator[Match]:
    """Ways to match two checkpoints, the surest first.

    Args:
        model: The checkpoint of a SavedModel.
        checkpoint: Another one.
    """
    if model.tree is not None and checkpoint.tree is not None:
        yield from _by_objects(model, checkpoint, model.tree, checkpoint.tree)
    yield Match(_by_names(model, checkpoint, numbers=True), None, "by the names of the variables")
    yield Match(
        _by_names(model, checkpoint, numbers=False),
        None,
        "by the names of the variables, the numbers in which Keras counts its layers aside",
    )


def same_kind(one: BundleTensor, other: BundleTensor) -> bool:
    """Whether one can take the place of the other."""
    return one.dtype_number == other.dtype_number and one.shape == other.shape


def _by_objects(model: Side, checkpoint: Side, ours: ObjectTree, theirs: ObjectTree) -> Iterator[Match]:
    """Walks from pairs of objects of which one is a root.

    Other pairs aren't tried: the moments of an optimizer have the shapes of the variables, in the same order.
    """
    budget = [_MOST_STEPS]
    our_paths, their_paths = ours.paths(), theirs.paths()
    pairs = [(0, number) for number in their_paths] + [(number, 0) for number in our_paths if number]
    for our_number, their_number in pairs:
        if budget[0] <= 0:
            return
        if not ours.children[our_number].keys() & theirs.children[their_number].keys():
            continue
        keys: dict[bytes, bytes] = {}
        for mine, other in _walk(ours, theirs, our_number, their_number, budget):
            budget[0] -= len(theirs.attributes[other])
            if budget[0] <= 0:
                return
            stored = {one.name: one.key for one in theirs.attributes[other]}
            for one in ours.attributes[mine]:
                if one.name in stored:
                    keys.update(_same(model, checkpoint, one.key, stored[one.name]))
        if keys:
            yield Match(
                keys, their_paths[their_number], f"by the objects of {quoted(their_paths[their_number] or '/')}"
            )


def _same(model: Side, checkpoint: Side, ours: bytes, theirs: bytes) -> dict[bytes, bytes]:
    """The keys of something that both hold; none where one of its tensors doesn't fit.

    A variable is one tensor under its key. A table is several, each under the key with a word behind it, and may have
    another length.
    """
    mine, other = model.tensors.get(ours), checkpoint.tensors.get(theirs)
    if mine is not None and other is not None:
        return {ours: theirs} if same_kind(mine, other) else {}
    our_parts, their_parts = model.parts.get(ours, {}), checkpoint.parts.get(theirs, {})
    if our_parts.keys() != their_parts.keys():
        return {}
    if any(our_parts[end].dtype_number != their_parts[end].dtype_number for end in our_parts):
        return {}
    return {our_parts[end].name: their_parts[end].name for end in our_parts}


def _walk(
    ours: ObjectTree, theirs: ObjectTree, our_number: int, their_number: int, budget: list[int]
) -> Iterator[tuple[int, int]]:
    """Pairs of objects that the same names lead to, each object of ours once."""
    partner = {our_number: their_number}
    for mine in (pending := [our_number]):
        yield mine, partner[mine]
        others = theirs.children[partner[mine]]
        for name, child in ours.children[mine].items():
            budget[0] -= 1
            if name in others and child not in partner:
                partner[child] = others[name]
                pending.append(child)


def _by_names(model: Side, checkpoint: Side, numbers: bool) -> dict[bytes, bytes]:
    """Matches variables by what the program called them, where that tells them apart."""
    ours, theirs = _named(model), _named(checkpoint)
    if not numbers:
        our_names, their_names = _ranked(ours), _ranked(theirs)
        ours = {our_names[name]: found for name, found in ours.items() if name in our_names}
        theirs = {their_names[name]: found for name, found in theirs.items() if name in their_names}
    keys: dict[bytes, bytes] = {}
    for name, mine in ours.items():
        others = theirs.get(name)
        # The export of Keras 3 holds each variable twice under one name, which is one variable.
        if others is None or not _are_one(mine) or not _are_one(others) or not same_kind(mine[0], others[0]):
            continue
        keys.update({one.name: others[0].name for one in mine})
    return keys


def _are_one(tensors: list[BundleTensor]) -> bool:
    return all(one.same_values(tensors[0]) for one in tensors[1:])


def _named(side: Side) -> dict[str, list[BundleTensor]]:
    """The variables by name; those of a model of TensorFlow 1 are named by their keys."""
    found: dict[str, list[BundleTensor]] = {}
    if side.tree is None:
        return {key.decode("utf-8", "backslashreplace"): [tensor] for key, tensor in side.tensors.items()}
    for _, attribute, tensor in side.variables():
        if attribute.full_name:
            found.setdefault(attribute.full_name, []).append(tensor)
    return found


def _ranked(names: Mapping[str, object]) -> dict[str, str]:
    """Names with the numbers of Keras's layers replaced by their rank: ``dense_7/kernel`` → ``dense#1 of 2/kernel``.

    Keras counts layers of one kind as long as a program runs, so one architecture may have ``dense`` and ``dense_1``
    here, ``dense_6`` and ``dense_7`` there. How many there are is a part of the name: where it differs, nothing fits.
    """
    groups: dict[tuple[str, ...], dict[str, set[int]]] = {}
    shallow = [name for name in names if name.count("/") <= _MOST_SCOPES]
    for name in shallow:
        *scopes, _ = name.split("/")
        for depth, part in enumerate(scopes):
            base, number = _split(part)
            groups.setdefault(tuple(scopes[:depth]), {}).setdefault(base, set()).add(number)
    ranks = {
        (scope, base): {number: rank for rank, number in enumerate(sorted(numbers))}
        for scope, bases in groups.items()
        for base, numbers in bases.items()
    }
    found: dict[str, str] = {}
    for name in shallow:
        *scopes, last = name.split("/")
        ranked = []
        for depth, part in enumerate(scopes):
            base, number = _split(part)
            every = ranks[tuple(scopes[:depth]), base]
            ranked.append(f"{base}#{every[number]} of {len(every)}")
        found[name] = "/".join([*ranked, last])
    return found


def _split(part: str) -> tuple[str, int]:
    """A part of a name and the number behind it; -1 where there is none, which comes before 0."""
    found = _NUMBERED.fullmatch(part)
    assert found is not None  # the pattern matches every text
    return found[1], -1 if found[2] is None else int(found[2])
