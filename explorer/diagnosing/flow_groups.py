"""How the nodes of a body are put into groups: by name scopes, by what holds something for one consumer, by length.

Groups are made when somebody looks into them. Each node is in one of them on each level, so a level costs what it has.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from explorer.diagnosing.flow_bodies import ENDS, LEAVES, Body

MOST_CHILDREN: Final = 100
"""A group with more is cut into parts of this many."""

_FEWEST_OPS: Final = 2
_FEWEST_OPS_OF_HELPERS: Final = 5  # beside a node of the same name, whose helpers they mostly are
_FEWEST_LEAVES: Final = 3

NODE, SCOPE, PART, HELD = "node", "scope", "part", "held"


@dataclass(frozen=True, slots=True)
class Item:
    """A node, or a group of nodes.

    Attributes:
        step: What it is called on a path; no two of one group are called the same.
        kind: ``node``; ``scope``; ``part``, a run of a group that is too long; ``held``, what a model holds for
            one node.
        members: The numbers of its nodes.
        scope: The name scope, for what lies in one.
        inner: What is in it, where that is known from the beginning.
    """

    step: str
    kind: str
    members: tuple[int, ...]
    scope: str = ""
    inner: tuple[Item, ...] | None = None

    @property
    def number(self) -> int:
        """The number of a node."""
        return self.members[0]


@dataclass
class Groups:
    """The groups of a body.

    Attributes:
        body: The body.
    """

    body: Body
    _known: dict[tuple[str, str], tuple[Item, ...]] = field(default_factory=dict)

    @cached_property
    def root(self) -> Item:
        """All nodes of the body."""
        return Item("", SCOPE, tuple(range(len(self.body))))

    def children(self, item: Item) -> tuple[Item, ...]:
        """What is in a group, in the order in which it is computed."""
        if item.inner is not None:
            return item.inner
        if item.kind == NODE:
            return ()
        known = self._known.get((item.step, item.scope))
        if known is None:
            known = self._known[item.step, item.scope] = self._split(item)
        return known

    def path_to(self, number: int) -> list[Item]:
        """The groups around a node, outermost first, and the node itself."""
        found: list[Item] = []
        items: Sequence[Item] = self.children(self.root)
        while True:
            item = next((one for one in items if number in one.members), None)
            if item is None:
                return found
            found.append(item)
            if item.kind == NODE:
                return found
            items = self.children(item)

    @cached_property
    def scopes(self) -> Sequence[str]:
        """For each node the name scope in which it is shown."""
        body = self.body
        # What a model holds is shown beside what takes it: a variable of a function has no scope of its own there.
        found = ["" if body.kinds[number] in ENDS else _scope(name) for number, name in enumerate(body.names)]
        for number, leaf in enumerate(body.is_leaf):
            consumers = body.consumers[number] if leaf else ()
            if consumers:
                found[number] = _common([found[consumer] for consumer in consumers])
        return found

    def _split(self, item: Item) -> tuple[Item, ...]:
        body, scopes = self.body, self.scopes
        depth = len(item.scope) + 1 if item.scope else 0
        direct: list[int] = []
        below: dict[str, list[int]] = {}
        for number in item.members:
            scope = scopes[number]
            if scope == item.scope:
                direct.append(number)
            else:
                below.setdefault(scope[:depth] + scope[depth:].partition("/")[0], []).append(number)
        names = {body.names[number] for number in direct}
        groups = []
        for scope, members in below.items():
            counted = [number for number in members if not body.is_leaf[number]]
            if len(counted) < (_FEWEST_OPS_OF_HELPERS if scope in names else _FEWEST_OPS):
                direct += members
                continue
            # A scope in which there is nothing but another one is shown as one: ``model/encoder``.
            deepest = _common([scopes[number] for number in members])
            if deepest == item.scope:  # names such as ``//x``, which TensorFlow doesn't make
                direct += members
                continue
            groups.append(Item(f"s:{deepest}", SCOPE, tuple(members), deepest))
        if (
            item is self.root
            and len(groups) == 1
            and all(body.kinds[number] in ENDS or body.is_leaf[number] for number in direct)
        ):
            # Everything is in one scope, as in the bodies of loops: then it says nothing.
            inner = self.children(groups[0])
            if all(one.kind != PART for one in inner):
                items = [*inner, *(_node(body, number) for number in direct)]
                return _parts(sorted(items, key=self._place), item.scope, self._ends)
        items = [*groups, *self._with_held([_node(body, number) for number in direct], groups)]
        items.sort(key=self._place)
        return _parts(items, item.scope, self._ends)

    @cached_property
    def _ends(self) -> frozenset[int]:
        return frozenset(number for number, kind in enumerate(self.body.kinds) if kind in ENDS)

    def _place(self, item: Item) -> tuple[int, bool, str]:
        """Where an item stands among others: where the first of its ops is computed, what is held for it before it."""
        order, is_leaf = self.body.order, self.body.is_leaf
        ops = [order[number] for number in item.members if not is_leaf[number]]
        return min(ops or [order[item.number]]), bool(ops), item.step

    def _with_held(self, nodes: list[Item], groups: list[Item]) -> list[Item]:
        """The nodes, of which those that several hold for one and the same are put together."""
        body = self.body
        place = {number: group.step for group in groups for number in group.members}
        place |= {node.number: node.step for node in nodes}
        held: dict[str, list[Item]] = {}
        for node in nodes:
            if body.is_leaf[node.number]:
                takers = {place.get(consumer, "") for consumer in body.consumers[node.number]}
                if len(takers) == 1:
                    held.setdefault(takers.pop(), []).append(node)
        bundled: set[int] = set()
        bundles = []
        for taker, leaves in held.items():
            if len(leaves) >= _FEWEST_LEAVES:
                leaves.sort(key=lambda one: (body.kinds[one.number], body.names[one.number]))
                members = tuple(leaf.number for leaf in leaves)
                bundled.update(members)
                bundles.append(Item(f"h:{taker}", HELD, members, inner=_parts(leaves, "")))
        return [*(node for node in nodes if node.number not in bundled), *bundles]


def _node(body: Body, number: int) -> Item:
    kind = body.kinds[number]
    sign = kind[0] if kind in ENDS else "n"
    name = body.fed_tensors.get(number, body.names[number]) if kind == "input" else body.names[number]
    return Item(f"{sign}:{name}", NODE, (number,))


def _parts(items: Sequence[Item], scope: str, ends: Collection[int] = ()) -> tuple[Item, ...]:
    """The items; of too many, runs of them, and runs of those. The ends of the flow stay outside."""
    outside = [item for item in items if item.kind == NODE and item.number in ends]
    if len(outside) > MOST_CHILDREN // 2:
        outside = []
    kept = {item.step for item in outside}
    current = [item for item in items if item.step not in kept]
    level = 0
    while len(current) > MOST_CHILDREN:
        count = -(-len(current) // MOST_CHILDREN)
        size = -(-len(current) // count)
        runs = [current[start : start + size] for start in range(0, len(current), size)]
        current = [
            Item(
                f"p:{level}.{place}", PART, tuple(number for one in run for number in one.members), scope, tuple(run),
            )
            for place, run in enumerate(runs)
        ]  # fmt: skip
        level += 1
    if not level:
        return tuple(items)
    first = [item for item in outside if item.step[0] in "ia"]
    return (*first, *current, *(item for item in outside if item not in first))


def _scope(name: str) -> str:
    return name.rpartition("/")[0]


def _common(scopes: Sequence[str]) -> str:
    """The innermost scope that all are in."""
    parts = [scope.split("/") for scope in dict.fromkeys(scopes)]
    shared = []
    for one, other in zip(min(parts), max(parts), strict=False):
        if one != other:
            break
        shared.append(one)
    return "/".join(shared)


__all__ = ["HELD", "LEAVES", "NODE", "PART", "SCOPE", "Groups", "Item"]
