"""Who takes from whom in a graph, by number: the form in which 50,000 nodes are walked in some ten milliseconds."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from explorer.savedmodel.nodes import Node

PLACEHOLDER_OPS: Final = frozenset({"Placeholder", "PlaceholderV2"})
"""Ops that have no value unless one is fed; ``PlaceholderWithDefault`` is not among them."""

_LONGEST_INDEX: Final = 9
_MOST_KEPT: Final = 1000
_MOST_SETTLED: Final = 16

# What a walk notes about a node.
_SEEN: Final = 1
_FED: Final = 2  # some tensor of it is fed, so its edges must be looked at by name
_CUT: Final = 4  # it is a fed placeholder, beyond which nothing runs, by whatever edge one comes
_MET: Final = 8
_SEEN_ONLY: Final = bytes(mark & _SEEN for mark in range(256))


class Needs(NamedTuple):
    """What some tensors need from outside.

    Attributes:
        unfed: The placeholders that nobody feeds, sorted.
        met: The fed tensors that are used.
    """

    unfed: tuple[str, ...]
    met: frozenset[str]


def split_tensor_name(tensor_name: str) -> tuple[str, int | None]:
    """A tensor name as node and index; the index is None for a bare op name, and for what is no index."""
    node, colon, index = tensor_name.rpartition(":")
    if colon and index.isascii() and index.isdecimal() and len(index) <= _LONGEST_INDEX:
        return node, int(index)
    return tensor_name, None


def input_node(edge: str) -> str:
    """The node that an entry of ``Node.inputs`` refers to."""
    if edge[:1] == "^":
        return edge[1:]
    return split_tensor_name(edge)[0] if ":" in edge else edge


class Edges:
    """The inputs of every node, as numbers of nodes.

    Args:
        nodes: The nodes, or those that came to others.
        before: The edges of those others.
    """

    def __init__(self, nodes: Mapping[str, Node], before: Edges | None = None) -> None:
        self._fresh = nodes
        self._before = before
        self._numbers: dict[str, int] = {}
        self._nodes: list[Node] = []
        self._sources: list[tuple[int, ...]] = []
        self._waiting: set[int] = set()
        self._indexed: set[str] = set()  # nodes of which some edge names an output by its index
        self._settled: dict[frozenset[str], bytes] = {}
        self._kept: dict[tuple[frozenset[str], frozenset[str]], Needs] = {}
        self._building = threading.Lock()

    def needs(self, tensor_names: Iterable[str], fed: Iterable[str]) -> Needs:
        """What some tensors need; see :meth:`explorer.savedmodel.graph.Graph.needs`."""
        with self._building:
            self._build()
        wanted = frozenset(tensor_names)
        fed_tensors = frozenset(name if split_tensor_name(name)[1] is not None else f"{name}:0" for name in fed)
        key = (wanted, fed_tensors)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[key] = self._walk(wanted, fed_tensors)
        return found

    def _walk(self, wanted: frozenset[str], fed: frozenset[str]) -> Needs:
        numbers, nodes, sources, waiting = self._numbers, self._nodes, self._sources, self._waiting
        seen = bytearray(len(nodes))
        there: set[str] = set()
        for tensor in fed:
            name, index = split_tensor_name(tensor)
            number = numbers.get(name)
            if number is not None:
                there.add(tensor)
                is_cut = index == 0 and nodes[number].op in PLACEHOLDER_OPS and name not in self._indexed
                seen[number] |= _CUT | _FED if is_cut else _FED
        # An earlier walk with the same feeds that met no unfed placeholder vouches for every node that it came by.
        settled = self._settled.get(fed, bytes(len(nodes)))
        met: set[str] = set()
        unfed: list[str] = []
        pending: list[int] = []

        def enter(edge: str) -> None:
            name = input_node(edge)
            number = numbers.get(name)
            if number is None:
                return
            if seen[number] & _FED:
                if edge[:1] == "^":
                    if nodes[number].op in PLACEHOLDER_OPS:  # a fed placeholder answers for control inputs too
                        met.add(f"{name}:0")
                        return
                elif (tensor := f"{name}:{split_tensor_name(edge)[1] or 0}") in fed:
                    met.add(tensor)
                    return
            if not seen[number] & _SEEN:
                seen[number] |= _SEEN
                pending.append(number)

        for name in wanted:
            enter(name)
        while pending:
            number = pending.pop()
            if settled[number] and met >= there:
                continue
            for source in sources[number]:
                state = seen[source]
                if not state:
                    seen[source] = _SEEN
                    pending.append(source)
                elif state & _CUT:
                    if not state & _MET:
                        seen[source] |= _MET
                        met.add(f"{nodes[source].name}:0")
                elif state & _FED:
                    for edge in nodes[number].inputs:
                        if numbers.get(input_node(edge)) == source:
                            enter(edge)
            if number in waiting:
                unfed.append(nodes[number].name)
        if not unfed:
            if len(self._settled) >= _MOST_SETTLED:
                self._settled.clear()
            both = int.from_bytes(settled, "little") | int.from_bytes(seen.translate(_SEEN_ONLY), "little")
            self._settled[fed] = both.to_bytes(len(nodes), "little")
        return Needs(tuple(sorted(unfed)), frozenset(met))

    def _build(self) -> None:
        fresh, before = self._fresh, self._before
        if not fresh and before is None:
            return
        if before is not None:
            with before._building:
                before._build()
            self._numbers = dict(before._numbers)
            self._nodes = list(before._nodes)
            self._sources = list(before._sources)
            self._waiting = set(before._waiting)
            self._indexed = set(before._indexed)
            if not any(name in self._numbers for name in fresh):  # then what was known stays true
                self._kept = {
                    key: needs
                    for key, needs in before._kept.items()
                    if not any(input_node(name) in fresh for names in key for name in names)
                }
                self._settled = {
                    fed: marks + bytes(len(fresh))
                    for fed, marks in before._settled.items()
                    if not any(input_node(name) in fresh for name in fed)
                }
        numbers = self._numbers
        for node in fresh.values():
            number = numbers.setdefault(node.name, len(self._nodes))
            if number == len(self._nodes):
                self._nodes.append(node)
                self._sources.append(())
            else:
                self._nodes[number] = node
            if node.op in PLACEHOLDER_OPS:
                self._waiting.add(number)
            else:
                self._waiting.discard(number)
        for node in fresh.values():
            found = [
                numbers.get(edge if ":" not in edge and edge[:1] != "^" else input_node(edge)) for edge in node.inputs
            ]
            self._sources[numbers[node.name]] = tuple([number for number in found if number is not None])
            self._indexed.update([input_node(edge) for edge in node.inputs if ":" in edge])
        self._fresh, self._before = {}, None
