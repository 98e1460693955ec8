"""What the graph of a model can reach besides its tensors: files, the network, Python, devices, compiled code.

A model is a program. Here it is read, never run: every node of the graph and of every function in the library, whether
something refers to it or not, is held against a reviewed table of ops (:mod:`explorer.checking.capability_ops`). An op
that the table doesn't know is reported as unknown, never taken for harmless.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from explorer.checking.capability_files import Files
from explorer.checking.capability_nodes import Bodies, Spot, Way, read_bodies
from explorer.checking.capability_ops import Kind, carries_functions, kinds_of
from explorer.checking.capability_reach import Reached, find_reached
from explorer.checking.capability_roots import Root, read_roots
from explorer.errors import FormatError
from explorer.savedmodel.assets import read_assets
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import MetaGraph, SavedModel

__all__ = ["Capability", "Kind", "When", "dangers", "find_capabilities", "scan"]

When = Literal["load", "call", "never"]


@dataclass(frozen=True, slots=True)
class Capability:
    """Something that a node can reach besides the tensors that it is given.

    Attributes:
        op: The op of the node.
        kind: What it reaches: ``"read_file"``, ``"write_file"``, ``"network"``, ``"python"``, ``"device"``,
            ``"native_code"``, or ``"unknown"`` for an op that is not TensorFlow's.
        where: ``"graph"``, or the name of the function that the node stands in.
        when: ``"load"`` where loading the model is enough to run it, ``"call"`` where a signature or a method does,
            ``"never"`` where nothing that a loader offers leads to it.
        node: The name of the node.
        function: The function that it stands in, empty for the graph.
        reached: How one comes to that function: ``"call"``, ``"branch"``, ``"loop"``, ``"dataset"``, ``"map"`` or
            ``"not reached"``; empty for a node of the graph.
        started_by: What makes it run on load, as words in a sentence: ``"the init op"``.
        signatures: The keys of the signatures that make it run.
        methods: The paths of the traced functions in the object graph that make it run.
        tags: The meta graph that it is in.
        target: The file that it names by a constant or an attribute; empty where it is computed or fed.
        own: Whether it only reads or writes the model's own checkpoint or assets, as every model does.
    """

    op: str
    kind: Kind
    where: str
    when: When
    node: str
    function: str = ""
    reached: Way | Literal["", "not reached"] = ""
    started_by: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    target: str = ""
    own: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "op": self.op,
            "kind": self.kind,
            "where": self.where,
            "when": self.when,
            "node": self.node,
            "function": self.function or None,
            "reached": self.reached or None,
            "started_by": list(self.started_by),
            "signatures": list(self.signatures),
            "methods": list(self.methods),
            "tags": sorted(self.tags),
            "target": self.target or None,
            "own": self.own,
        }


def find_capabilities(model: SavedModel | MetaGraph) -> tuple[Capability, ...]:
    """Finds what a model can reach, without running it and without TensorFlow.

    Args:
        model: A model, of which every meta graph is looked through, or one meta graph.

    Returns:
        One entry for each node and kind, in the order of the file; what is the model's own affair is marked as such.

    Raises:
        FormatError: A graph is corrupt or was made from data, so that it can't be told what it reaches.
    """
    if isinstance(model, SavedModel):
        return tuple(found for meta_graph in model.meta_graphs for found in find_capabilities(meta_graph))
    bodies = read_bodies(model, _is_wanted)
    spots = [
        spot
        for body in (bodies.graph, *bodies.functions.values())
        for spot in body.spots
        if (kinds := kinds_of(spot.op)) and not (kinds == ("unknown",) and spot.op in bodies.functions)
    ]
    return _placed(model, bodies, spots) if spots else ()


def scan(
    source: SavedModel | MetaGraph | str | os.PathLike[str], version: int | None = None, *, own: bool = False
) -> tuple[Capability, ...]:
    """Finds what a model can reach besides its tensors, without running it and without TensorFlow.

    Args:
        source: A model, a meta graph, or a path as :func:`explorer.open_saved_model` takes it.
        version: Which version of a base path.
        own: Whether to tell what is the model's own affair, too: its checkpoint and its assets.

    Returns:
        One entry for each node and kind, in the order of the file; none where nothing was found and all was read.

    Raises:
        SourceError: There is no SavedModel at the path.
        FormatError: A part of it can't be read, so that it can't be told what it reaches.
    """
    if not isinstance(source, SavedModel | MetaGraph):
        from explorer.savedmodel.opening import open_saved_model

        source = open_saved_model(source, version)
    if isinstance(source, SavedModel) and source.lossy:
        raise FormatError(f"it can't be told all that the model reaches: {source.lossy}")
    found = find_capabilities(source)
    return found if own else dangers(found)


def dangers(capabilities: Iterable[Capability]) -> tuple[Capability, ...]:
    """Those that are not the model's own affair."""
    return tuple(found for found in capabilities if not found.own)


def _is_wanted(op: str) -> bool:
    return bool(kinds_of(op)) or carries_functions(op)


def _placed(meta_graph: MetaGraph, bodies: Bodies, spots: Sequence[Spot]) -> tuple[Capability, ...]:
    graph = read_graph(meta_graph)
    roots = read_roots(meta_graph)
    files = Files(graph, bodies, roots, read_assets(meta_graph))
    reached = find_reached(
        graph,
        bodies,
        roots.roots,
        {spot.name for spot in spots if not spot.function},
        {spot.function for spot in spots if spot.function},
    )
    words = _Words(meta_graph, roots.roots, reached)
    return tuple(
        words.capability(spot, kind, files) for spot in spots if not files.is_none(spot) for kind in kinds_of(spot.op)
    )


class _Words:
    """Says of a node what makes it run; nodes of one function share the answer."""

    def __init__(self, meta_graph: MetaGraph, roots: Sequence[Root], reached: Reached) -> None:
        self._tags = meta_graph.tags
        self._roots = roots
        self._reached = reached
        self._known: dict[tuple[int, ...], tuple[When, dict[str, tuple[str, ...]], list[Root]]] = {}

    def capability(self, spot: Spot, kind: Kind, files: Files) -> Capability:
        if spot.function:
            numbers = self._reached.functions.get(spot.function, [])
        else:
            numbers = self._reached.nodes.get(spot.name, [])
        when, names, roots = self._told(tuple(numbers))
        way: Way | Literal["", "not reached"] = ""
        if spot.function:
            way = self._reached.ways.get(spot.function, "not reached")
        return Capability(
            spot.op,
            kind,
            spot.function or "graph",
            when,
            spot.name,
            spot.function,
            way,
            tags=self._tags,
            target=files.named(spot) or "" if kind in ("read_file", "write_file") else "",
            own=files.is_own(spot, roots),
            **names,
        )

    def _told(self, numbers: tuple[int, ...]) -> tuple[When, dict[str, tuple[str, ...]], list[Root]]:
        found = self._known.get(numbers)
        if found is None:
            roots = [self._roots[number] for number in numbers]
            when: When = "load" if any(root.on_load for root in roots) else "call" if roots else "never"
            names = {
                "started_by": _names(root for root in roots if root.starter in ("init", "restore", "save")),
                "signatures": _names(root for root in roots if root.starter == "signature"),
                "methods": _names(root for root in roots if root.starter == "method"),
            }
            found = self._known[numbers] = (when, names, roots)
        return found


def _names(roots: Iterable[Root]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(root.name for root in roots))
