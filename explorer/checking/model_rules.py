"""What must hold of a meta graph and between meta graphs: tags, signature keys, the object graph's second truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from explorer.checking.findings import Finding
from explorer.errors import ExplorerError, listed, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.graph import Graph
from explorer.savedmodel.model import MetaGraph, SavedModel, printable_tags
from explorer.savedmodel.object_names import read_object_names

_SERVE = frozenset({"serve"})
_KERAS_ENDPOINT = "serve"
"""The name under which ``model.export`` of Keras 3 writes a signature and an attribute that do the same."""

_SET_BY_THE_LOADER = frozenset({"signatures", "tensorflow_version", "tensorflow_git_version", "graph_debug_info"})
"""Attributes that ``tensorflow/python/saved_model/load.py`` gives every model that it loads."""


def check_tag_sets(model: SavedModel) -> Iterator[Finding]:
    """Examines what the meta graphs are chosen by."""
    seen: set[frozenset[str]] = set()
    spelled = False
    for meta_graph in model.meta_graphs:
        tags = meta_graph.tags
        word = "".join(meta_graph.tag_list)
        if tags in seen:
            yield Finding(
                "error",
                "duplicate_tags",
                f"two meta graphs have the tags {printable_tags(tags)}: loaders take the first, nobody gets the other",
                "give one of them other tags, or remove it",
                tags,
                subject=word,
            )
            continue
        seen.add(tags)
        if not tags:
            yield Finding(
                "warning",
                "no_tags",
                "a meta graph has no tags: saved_model_cli can't choose it, and TensorFlow Serving asks for serve",
                "set the tag serve",
                tags,
                edit=_set_tags(model, meta_graph, "serve"),
            )
        elif len(meta_graph.tag_list) > 1 and word in constants.TAG_CONSTANTS and set(map(len, tags)) == {1}:
            spelled = True
            yield Finding(
                "error",
                "spelled_tags",
                f"the tags are the letters {', '.join(meta_graph.tag_list)}: tags={word!r} was written where "
                f"tags=[{word!r}] was meant, and no loader that asks for {word} finds the graph",
                f"set the tag {word}",
                tags,
                subject=word,
                edit=_set_tags(model, meta_graph, word),
            )
    if seen and _SERVE not in seen and not spelled and frozenset() not in seen:
        only = model.meta_graphs[0] if len(model.meta_graphs) == 1 else None
        yield Finding(
            "warning",
            "no_serve_tags",
            "no meta graph has exactly the tag serve: TensorFlow Serving, which asks for that, can't load the model "
            f"as it is; there is {', '.join(printable_tags(tags) for tags in sorted(seen, key=sorted))}",
            "set the tag serve on the graph that answers requests",
            None if only is None else only.tags,
            edit=None if only is None else _set_tags(model, only, "serve"),
        )


def check_signature_keys(model: SavedModel, meta_graph: MetaGraph) -> Iterator[Finding]:
    """Examines which signatures a meta graph has."""
    tags, where = meta_graph.tags, f"the meta graph {printable_tags(meta_graph.tags)}"
    for key in meta_graph.repeated_keys:
        yield Finding(
            "warning",
            "repeated_signature_key",
            f"signature {quoted(key)} stands in the file more than once: loaders take the last one",
            "copy and rename it, so that one is left",
            tags,
            key,
            "key",
            subject=key,
        )
    keys = meta_graph.callable_signatures
    for_serving = len(model.meta_graphs) == 1 or tags == _SERVE
    if not for_serving or constants.DEFAULT_SIGNATURE_KEY in keys:
        return
    if not keys:
        yield Finding(
            "warning", "no_signatures", f"{where} has no signature that a client can call", "add a signature", tags
        )  # fmt: skip
        return
    edit: dict[str, Any] | None = None
    fix = f"copy one of {listed(keys, 5)} to {constants.DEFAULT_SIGNATURE_KEY}, or rename it"
    if len(keys) == 1:
        (only,) = keys
        fix = f"copy {quoted(only)} to {constants.DEFAULT_SIGNATURE_KEY}, or rename it where no client uses the old key"
        edit = {
            "edit": "copy_signature", "tags": sorted(tags), "signature_key": only,
            "new_key": constants.DEFAULT_SIGNATURE_KEY,
        }  # fmt: skip
    yield Finding(
        "warning",
        "no_serving_default",
        f"{where} has no signature {constants.DEFAULT_SIGNATURE_KEY}: a request that names no signature fails",
        fix,
        tags,
        edit=edit,
    )


def check_object_names(meta_graph: MetaGraph) -> Iterator[Finding]:
    """Examines whether servers and ``tf.saved_model.load`` see the same signatures."""
    tags = meta_graph.tags
    try:
        names = read_object_names(meta_graph)
    except ExplorerError as error:
        yield Finding("error", "unreadable_object_graph", f"the object graph can't be read: {error}", tags=tags)
        return
    if names is None:
        return
    keys = set(meta_graph.callable_signatures)
    known = names.signatures or {}
    for key in sorted(keys & (names.root | _SET_BY_THE_LOADER)):
        yield Finding(
            "note" if key == _KERAS_ENDPOINT else "warning",
            "shadowed_signature",
            f"signature {quoted(key)} has the name of an attribute of the loaded model: Keras' TFSMLayer takes the "
            "attribute in its place",
            "rename the signature if Keras shall load it",
            tags,
            key,
            "key",
            subject=key,
        )
    if keys != set(known):
        parts = [
            f"{listed(sorted(only), 5)} only {place}"
            for only, place in ((keys - set(known), "in signature_def"), (set(known) - keys, "in the object graph"))
            if only
        ]
        yield Finding(
            "error",
            "two_truths",
            f"a server and tf.saved_model.load see different signatures: {', '.join(parts)}",
            "let the object graph say what a server sees",
            tags,
            subject="signatures",
            edit=_repair("repair_two_truths", meta_graph),
        )
    for key in sorted(keys & set(known)):
        signature, keywords = meta_graph.signatures[key], known[key]
        plain = all(info.encoding == "name" for info in signature.inputs.values())
        if keywords is not None and plain and keywords != set(signature.inputs):
            yield Finding(
                "error",
                "two_truths",
                f"signature {quoted(key)} takes {listed(sorted(signature.inputs), 5)} from a server's clients, but "
                f"{listed(sorted(keywords), 5)} after tf.saved_model.load",
                "let the object graph say what a server sees",
                tags,
                key,
                "input",
                subject=",".join(sorted(signature.inputs)),
                edit=_repair("repair_two_truths", meta_graph),
            )
        answers = names.outputs.get(key)
        plain = all(info.encoding == "name" for info in signature.outputs.values())
        if answers is not None and plain and answers != set(signature.outputs):
            yield Finding(
                "error",
                "two_truths",
                f"signature {quoted(key)} answers {listed(sorted(signature.outputs), 5)} to a server's clients, but "
                f"{listed(sorted(answers), 5)} after tf.saved_model.load",
                "let the object graph say what a server sees",
                tags,
                key,
                "output",
                subject=",".join(sorted(signature.outputs)),
                edit=_repair("repair_two_truths", meta_graph),
            )


def check_nodes(meta_graph: MetaGraph, graph: Graph) -> Iterator[Finding]:
    """Examines the graph by itself."""
    surplus = graph.node_count - len(graph.nodes)
    if surplus:
        yield Finding(
            "error",
            "duplicate_nodes",
            f"{surplus} of the graph's {graph.node_count} nodes have a name that another has too: nothing can load it",
            tags=meta_graph.tags,
            subject="nodes",
        )


def _repair(edit: str, meta_graph: MetaGraph) -> dict[str, Any]:
    return {"edit": edit, "tags": sorted(meta_graph.tags)}


def _set_tags(model: SavedModel, meta_graph: MetaGraph, tag: str) -> dict[str, Any] | None:
    if any(other.tags == {tag} for other in model.meta_graphs):
        return None
    return {"edit": "set_tags", "tags": sorted(meta_graph.tags), "new_tags": [tag]}
