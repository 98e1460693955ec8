"""Edits that mend what the checks find, where no person has to choose anything."""

from __future__ import annotations

from explorer.editing import object_graph as children
from explorer.editing.editable import Tags, document_of, editable, edited
from explorer.editing.placeholders import replaced_node
from explorer.editing.two_truths import Functions, agree, signature_def_plan
from explorer.editing.writing import write_plan
from explorer.errors import EditError, listed
from explorer.savedmodel.captures import Unrestored, unrestored_captures
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import MetaGraph, SavedModel
from explorer.savedmodel.object_graph import node_message
from explorer.savedmodel.object_names import signature_children
from explorer.savedmodel.overlay import Change, apply_changes
from explorer.savedmodel.reader import reread


def repair_two_truths(model: SavedModel, *, tags: Tags = None) -> SavedModel:
    """Lets the object graph say what ``signature_def`` says.

    A tool that edits ``signature_def`` alone leaves a model in which servers see the edit and ``tf.saved_model.load``
    doesn't. What servers see is kept.

    Raises:
        EditError: Both agree already, or what servers see isn't computed by functions.
    """
    meta_graph = editable(model, tags)
    known = signature_children(meta_graph)
    if known is None:
        raise EditError("the object graph has no signatures to bring into agreement with signature_def")
    names = {child.name for child in known}
    result, count = model, 0
    for signature in meta_graph.callable_signatures.values():
        current = editable(result, meta_graph.tags)
        functions = Functions(current)
        if signature.key in names and agree(functions, signature):
            continue
        changes = write_plan(functions, signature.key, signature_def_plan(functions, signature)).changes
        result, count = _changed(result, current, changes), count + 1
    for name in sorted(names - set(meta_graph.callable_signatures)):
        current = editable(result, meta_graph.tags)
        result, count = _changed(result, current, children.remove_child(current, name)), count + 1
    if not count:
        raise EditError("signature_def and the object graph agree already")
    return edited(result, editable(result, meta_graph.tags), (), "repair_two_truths")


def repair_captures(model: SavedModel, *, tags: Tags = None) -> SavedModel:
    """Lets the functions in the graph take the variables that a server restores.

    Keras 3 models that were saved with ``tf.saved_model.save`` load in Python, and fail in every server with "Could not
    find variable": see :func:`explorer.savedmodel.captures.unrestored_captures`.

    Raises:
        EditError: There is nothing to mend, or a variable isn't restored at all.
    """
    meta_graph = editable(model, tags)
    graph = read_graph(meta_graph)
    found = unrestored_captures(meta_graph, graph)
    if not found:
        raise EditError("every variable that the functions take is restored already")
    if lost := sorted({capture.edge for capture in found if capture.restored is None}):
        raise EditError(f"the checkpoint holds no value for the variables {listed(lost, 5)}; save the model anew")
    by_call: dict[str, list[Unrestored]] = {}
    for capture in found:
        by_call.setdefault(capture.call, []).append(capture)
    changes = []
    for name, captures in by_call.items():
        message = node_message(graph.nodes[name])
        places = [place for place, edge in enumerate(message.input) if edge[:1] != "^"]
        for capture in captures:
            message.input[places[capture.position]] = capture.restored
        changes.append(replaced_node(meta_graph, graph, message))
    return edited(model, meta_graph, changes, "repair_captures")


def _changed(model: SavedModel, meta_graph: MetaGraph, changes: list[Change]) -> SavedModel:
    """The model with one step of several; only their end is an edit."""
    return reread(model, apply_changes(document_of(meta_graph), changes))
