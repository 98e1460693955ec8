"""``show``: meta graphs, tags and signatures as text or JSON."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from explorer.cli.printing import print_text, tag_list

if TYPE_CHECKING:
    from explorer.savedmodel.model import MetaGraph, SavedModel


def show(options: argparse.Namespace) -> None:
    """Prints what a SavedModel holds."""
    from explorer.savedmodel.opening import open_saved_model

    model = open_saved_model(options.path, options.version)
    shown = _restricted(model, options)
    if options.json:
        import json

        print(json.dumps(_with_counts(model, shown) if options.counts else shown.to_dict(), indent=2))
        return
    from explorer.render.text import to_text

    if shown is model:
        print_text(to_text(model))
    else:  # what a server finds in the model can't be told from a part of it
        print_text("\n\n".join(to_text(meta_graph) for meta_graph in shown.meta_graphs))
    if options.counts:
        from explorer.render.tables import meta_graphs_table
        from explorer.savedmodel.kind import counts

        every = counts(model)
        counted = {
            index: every[_position(model, meta_graph)].to_dict() for index, meta_graph in enumerate(shown.meta_graphs)
        }
        print_text("\n" + to_text(meta_graphs_table(shown, counted)))


def _with_counts(model: SavedModel, shown: SavedModel) -> dict[str, Any]:
    from explorer.savedmodel.kind import counts, describe_kind

    data = shown.to_dict()
    every = counts(model)
    data["kind"] = describe_kind(model)
    for meta_graph, entry in zip(shown.meta_graphs, data["meta_graphs"], strict=True):
        entry["counts"] = every[_position(model, meta_graph)].to_dict()
    return data


def _position(model: SavedModel, meta_graph: MetaGraph) -> int:
    """Where a meta graph stands in the file; a selection of signatures doesn't move it."""
    return next(index for index, other in enumerate(model.meta_graphs) if other.field == meta_graph.field)


def _restricted(model: SavedModel, options: argparse.Namespace) -> SavedModel:
    """The model with only what ``--tags`` and ``--signature`` ask for.

    Raises:
        NotFoundError: The model hasn't got it.
    """
    if options.tags is None and options.signature is None:
        return model
    from dataclasses import replace

    from explorer.savedmodel.model import frozen

    meta_graphs = model.meta_graphs if options.tags is None else (model.meta_graph(tag_list(options.tags)),)
    if options.signature is not None:
        holders = [graph for graph in meta_graphs if options.signature in graph.signatures]
        if not holders:
            meta_graphs[0].signature(options.signature)
        meta_graphs = tuple(
            replace(graph, signatures=frozen({options.signature: graph.signatures[options.signature]}))
            for graph in holders
        )
    return replace(model, meta_graphs=tuple(meta_graphs))
