"""What every edit does before and after: find what is to change, refuse what can't be, read the result again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from explorer.editing.old_graphs import meant_shape
from explorer.errors import EditError, NotFoundError, listed, quoted
from explorer.savedmodel import constants, wire
from explorer.savedmodel.graph import GraphTensor, read_graph
from explorer.savedmodel.loops import is_in_graph_loop
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, printable_tags
from explorer.savedmodel.overlay import Change, Document, apply_changes
from explorer.savedmodel.reader import reread

Tags = Iterable[str] | None
"""A tag set, one tag, or None where there is only one meta graph to mean."""


def editable(model: SavedModel, tags: Tags) -> MetaGraph:
    """The meta graph to edit.

    Raises:
        EditError: The model has no file behind it.
        NotFoundError: No meta graph has the tags.
    """
    if model.document is None:
        raise EditError("this model was made from data and has no file behind it; open a SavedModel to edit it")
    return model.meta_graph(tags)


def document_of(meta_graph: MetaGraph) -> Document:
    """The bytes of a meta graph that :func:`editable` gave."""
    assert meta_graph.document is not None  # editable made sure
    return meta_graph.document


def field_of(meta_graph: MetaGraph) -> wire.Field:
    """The place of a meta graph that :func:`editable` gave."""
    assert meta_graph.field is not None  # editable made sure
    return meta_graph.field


def edited(
    model: SavedModel, meta_graph: MetaGraph, changes: Iterable[Change], edit: str, **arguments: Any
) -> SavedModel:
    """The model with some changes, read again, and with the recipe entry that says how it came to be."""
    document = apply_changes(document_of(meta_graph), changes)
    return reread(model, document).with_edit(recipe_entry(model, meta_graph, edit, arguments))


def recipe_entry(model: SavedModel, meta_graph: MetaGraph, edit: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe entry of an edit; it names the meta graph only where there is more than one."""
    tags = {"tags": sorted(meta_graph.tags)} if len(model.meta_graphs) > 1 else {}
    return {"edit": edit, **tags, **arguments}


def expect_signature(meta_graph: MetaGraph, signature_key: str) -> Signature:
    """The signature to edit.

    Raises:
        EditError: It is reserved for loaders.
        NotFoundError: There is none.
    """
    if signature_key in constants.RESERVED_SIGNATURE_KEYS:
        raise EditError(
            f"{quoted(signature_key)} is reserved: loaders use it to initialise the model, and no edit touches it"
        )
    if signature_key not in meta_graph.callable_signatures:
        where = f"the meta graph {printable_tags(meta_graph.tags)}"
        raise NotFoundError("signature", signature_key, meta_graph.callable_signatures, where)
    return meta_graph.signatures[signature_key]


def expect_new_signature_key(meta_graph: MetaGraph, key: str) -> None:
    """Refuses the key of a signature that is reserved or taken."""
    expect_text(key, "a signature key")
    if key in constants.RESERVED_SIGNATURE_KEYS:
        raise EditError(f"{quoted(key)} is reserved for loaders; choose another signature key")
    if key in meta_graph.signatures:
        raise EditError(
            f"there is a signature {quoted(key)} already; the meta graph {printable_tags(meta_graph.tags)} has "
            f"{listed(meta_graph.callable_signatures)}"
        )


def expect_text(text: object, what: str) -> None:
    """Refuses what is no text, or text that a file can't hold; ``what`` names it in the sentence."""
    if not isinstance(text, str):
        raise EditError(f"{what} must be text, not {type(text).__name__}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise EditError(f"{what} must be text that UTF-8 can hold; {quoted(text)} is not") from None


def find_tensor(meta_graph: MetaGraph, tensor_name: str) -> GraphTensor:
    """The tensor of the graph that a name means.

    Raises:
        EditError: The name is that of an op, the tensor is inside a loop, or nobody says what dtype it has.
        NotFoundError: There is none.
    """
    expect_text(tensor_name, "a tensor name")
    graph = read_graph(meta_graph)
    tensor = graph.tensor(tensor_name)
    if tensor is None:
        if graph.tensor(f"{tensor_name}:0") is not None:
            raise EditError(f"{quoted(tensor_name)} names an op; its first tensor is {quoted(tensor_name + ':0')}")
        close = [found.name for found in graph.search(tensor_name.partition(":")[0], limit=10)]
        raise NotFoundError("tensor", tensor_name, close, f"the graph {printable_tags(meta_graph.tags)}")
    expect_one_value(tensor_name, is_in_graph_loop(graph, tensor.node))
    if tensor.dtype.number == 0:
        raise EditError(
            f"the dtype of {quoted(tensor_name)} can't be told, because nothing here defines the op "
            f"{quoted(tensor.op)} that makes it; a signature has to say it, so take another tensor"
        )
    if tensor.op == "Placeholder":
        return replace(tensor, shape=meant_shape(meta_graph, tensor.shape))
    return tensor


def expect_one_value(tensor_name: str, in_loop: bool) -> None:
    """Refuses a tensor inside a loop that is written with nodes, as TensorFlow 1 does."""
    if in_loop:
        raise EditError(
            f"{quoted(tensor_name)} is inside a loop and has a value for each turn, so no request can feed it and no "
            "answer can hold it; take a tensor before or after the loop"
        )


def tag_list(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags of a new tag set.

    Raises:
        EditError: One stands twice, or isn't text.
    """
    wanted = (tags,) if isinstance(tags, str) else tuple(tags)
    for tag in wanted:
        expect_text(tag, "a tag")
    if len(set(wanted)) != len(wanted):
        raise EditError(f"a tag stands twice in {listed(wanted)}; tags are a set")
    return wanted
