"""What became of the keys of a model: which signature, input and output of the source is which one after the edits.

It is told by the list of edits and not by comparing the two models: after ``a`` and ``b`` were swapped both are still
there, and mean each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from explorer.savedmodel.model import MetaGraph, SavedModel


@dataclass(slots=True)
class SignatureLineage:
    """What became of one signature of the source.

    Attributes:
        key: Its key after the edits.
        inputs: Input key of the source → its key after the edits; one that was taken away is missing.
        outputs: The same for its outputs.
    """

    key: str
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True, slots=True)
class Lineage:
    """What became of the signatures of a meta graph.

    Attributes:
        signatures: Signature key of the source → what became of it; one that was removed is missing. Of a removed
            signature that was copied before, it is the copy, which calls the same tensors.
        keys: All keys after the edits whose signatures come from the source; the others were added.
    """

    signatures: Mapping[str, SignatureLineage]
    keys: frozenset[str]


def served_lineage(original: SavedModel, edited: SavedModel) -> Lineage:
    """Follows the signatures of the meta graph that is served through the edits.

    Args:
        original: The model as it was opened.
        edited: The model after ``edited.edits``.
    """
    graphs = [
        _Graph(
            meta_graph.tags,
            {
                key: _Signature(key, False, {name: name for name in one.inputs}, {name: name for name in one.outputs})
                for key, one in meta_graph.callable_signatures.items()
            },
        )
        for meta_graph in original.meta_graphs
    ]
    for edit in edited.edits:
        _follow(graphs, edit)
    signatures = graphs[_served_index([graph.tags for graph in graphs])].signatures
    lineage: dict[str, SignatureLineage] = {}
    # The signature itself comes before its copies.
    for key, found in sorted(signatures.items(), key=lambda item: item[1].is_copy):
        if found.origin not in lineage:
            lineage[found.origin] = SignatureLineage(key, _inverse(found.inputs), _inverse(found.outputs))
    return Lineage(lineage, frozenset(signatures))


def served_meta_graph(model: SavedModel) -> MetaGraph:
    """The meta graph that TensorFlow Serving asks for, or the first where there is none with just the tag ``serve``."""
    return model.meta_graphs[_served_index([meta_graph.tags for meta_graph in model.meta_graphs])]


def _served_index(tag_sets: list[frozenset[str]]) -> int:
    return next((index for index, tags in enumerate(tag_sets) if tags == {"serve"}), 0)


@dataclass(slots=True)
class _Signature:
    """A signature at some point of the edits: its key at first, and its keys by now → those at first."""

    origin: str
    is_copy: bool
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(slots=True, eq=False)
class _Graph:
    """A meta graph at some point of the edits."""

    tags: frozenset[str]
    signatures: dict[str, _Signature] = field(default_factory=dict)


def _inverse(origins: Mapping[str, str]) -> dict[str, str]:
    return {origin: key for key, origin in origins.items()}


def _follow(graphs: list[_Graph], edit: Mapping[str, Any]) -> None:
    """Takes one edit into account; one that isn't known here leaves all keys as they are."""
    graph = _meant(graphs, edit.get("tags"))
    if graph is None:
        return
    name = edit.get("edit")
    if name == "set_tags":
        graph.tags = frozenset(edit["new_tags"])
    elif name == "remove_meta_graph":
        graphs.remove(graph)
    elif name == "copy_meta_graph":
        copies = {key: _copied(one, one.is_copy) for key, one in graph.signatures.items()}
        graphs.append(_Graph(frozenset(edit["new_tags"]), copies))
    elif "signature_key" in edit:
        _follow_signature(graph.signatures, str(edit["signature_key"]), edit)


def _meant(graphs: list[_Graph], tags: Any) -> _Graph | None:
    """The meta graph that an edit is about, by the rule of ``SavedModel.meta_graph``."""
    if tags is None and len(graphs) == 1:
        return graphs[0]
    wanted = frozenset({"serve"} if tags is None else tags)
    return next((graph for graph in graphs if graph.tags == wanted), None)


def _follow_signature(signatures: dict[str, _Signature], key: str, edit: Mapping[str, Any]) -> None:
    found = signatures.get(key)
    if found is None:  # it was added by an edit
        return
    match edit.get("edit"):
        case "rename_signature":
            signatures[edit["new_key"]] = signatures.pop(key)
        case "copy_signature":
            signatures[edit["new_key"]] = _copied(found, True)
        case "remove_signature":
            del signatures[key]
        case "rename_input":
            _rename(found.inputs, edit["input_key"], edit["new_key"])
        case "bind_input" | "remove_input":
            found.inputs.pop(edit["input_key"], None)
        case "rename_output":
            _rename(found.outputs, edit["output_key"], edit["new_key"])
        case "remove_output":
            found.outputs.pop(edit["output_key"], None)


def _rename(origins: dict[str, str], key: str, new_key: str) -> None:
    if key in origins:  # else it was added by an edit
        origins[new_key] = origins.pop(key)


def _copied(one: _Signature, is_copy: bool) -> _Signature:
    return _Signature(one.origin, is_copy, dict(one.inputs), dict(one.outputs))
