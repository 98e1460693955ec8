"""A checkpoint and the graph that it belongs to, put together: today's format without a ``.meta``, and the old format.

The graph gets a saver of today's form, which every loader can run. A checkpoint of today's format is linked to as it
is; the values of an old one are written anew, because loaders look for ``variables.index``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from explorer.converting.bundle import DATA, INDEX, bundle_content
from explorer.converting.checkpoint_files import files_of
from explorer.converting.completing import complete
from explorer.converting.graph_variables import graph_variables
from explorer.converting.initializers import initialize_on_load
from explorer.converting.kinds import Source
from explorer.converting.matching import Matched, match_variables
from explorer.converting.old_saver import saved_places
from explorer.converting.parts import Content, Parts
from explorer.converting.saver_nodes import saver_changes
from explorer.converting.served import saved_model_of
from explorer.converting.v1_checkpoint import bundle_tensor, read_v1
from explorer.errors import ConversionError, quoted
from explorer.savedmodel.checkpoint_index import Variable, read_index
from explorer.savedmodel.constants import VARIABLES_FOLDER
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.identify import identify
from explorer.savedmodel.overlay import Document, FileSource, apply_changes
from explorer.savedmodel.reader import (
    GRAPH_DEF,
    fields_of,
    read_document,
)
from explorer.savedmodel.records import read_whole
from explorer.savedmodel.variables import LARGEST_INDEX_BYTES

_TAG: Final = "serve"


def parts_with_graph(source: Source, graph: Path) -> Parts:
    """Puts a checkpoint of named variables and a graph together.

    Args:
        source: The checkpoint, in today's format.
        graph: A GraphDef in binary or text form, or a ``.meta`` file.

    Returns:
        What the SavedModel is made of; it has no signatures but those of a ``.meta``.

    Raises:
        ConversionError: The graph is not the one of the checkpoint, or is something else.
        FormatError: A file is damaged.
        SourceError: A file can't be read.
    """
    _expect_good(source)
    files = files_of(source.path)
    data = (
        None if files.index is None else read_whole(str(files.index), LARGEST_INDEX_BYTES, "the index of a checkpoint")
    )
    if data is None:
        raise ConversionError(f"{quoted(str(source.path))} is no checkpoint in today's format: it has no index")
    index = read_index(data)
    parts = graph_parts(graph)
    matched, document = _joined(parts, {one.name: one for one in index.variables}, source.path)
    ending = f"-of-{index.num_shards:05d}"
    contents: dict[str, Content] = {INDEX: data}
    for file in files.data:
        if file.name.endswith(ending):
            contents[f"{VARIABLES_FOLDER}/variables{file.name[len(source.path.name) :]}"] = file
    return _finished(parts, source, document, contents, matched)


def parts_of_v1_checkpoint(source: Source, graph: Path | None = None) -> Parts:
    """Puts a checkpoint of the old format and its graph together.

    Args:
        source: The checkpoint.
        graph: A GraphDef in binary or text form, or a ``.meta`` file; None takes the ``.meta`` beside the checkpoint.

    Returns:
        What the SavedModel is made of, its values in today's format.

    Raises:
        ConversionError: There is no graph, it is not the one of the checkpoint, or it is something else.
        FormatError: A file is damaged.
        SourceError: A file can't be read.
    """
    _expect_good(source)
    place = source.graph_file if graph is None else graph
    if place is None:
        raise ConversionError(
            f"{quoted(str(source.path))} has values and no computation: give the graph that it belongs to", ("graph",)
        )
    tensors = read_v1(files_of(source.path).old_files)
    stored = {
        name: Variable(name, tensor.dtype_number, tensor.shape, 0, None, None, None) for name, tensor in tensors.items()
    }
    parts = graph_parts(place)
    matched, document = _joined(parts, stored, source.path)
    wanted = sorted({one.place.key for one in matched.restored})
    index, write_data = bundle_content(bundle_tensor(tensors[name]) for name in wanted)
    return _finished(parts, source, document, {INDEX: index, DATA: write_data}, matched)


def graph_parts(path: Path) -> Parts:
    """A graph file as a SavedModel without variables.

    Args:
        path: A GraphDef in binary or text form, or a ``.meta`` file, told by its content.

    Raises:
        ConversionError: It is something else.
        FormatError: It is damaged.
        SourceError: It can't be read.
    """
    from explorer.converting.graph_file import parts_of_graph

    kind, sentence = identify(str(path))
    if kind == "meta_graph":
        return Parts(saved_model_of(Document.of(FileSource(str(path)))).document, path)
    if kind == "meta_graph_text":
        raise ConversionError(
            f"{quoted(str(path))} {sentence}; have TensorFlow write it in binary form (export_meta_graph)", ("graph",)
        )
    return parts_of_graph(path)


def _joined(parts: Parts, stored: Mapping[str, Variable], prefix: Path) -> tuple[Matched, Document]:
    """The graph with a saver that restores what the checkpoint holds."""
    meta_graph = read_document(parts.document).meta_graphs[0]
    if not fields_of(parts.document, meta_graph.field, GRAPH_DEF):
        raise ConversionError(f"{quoted(str(parts.origin))} holds no graph", ("graph",))
    graph = read_graph(meta_graph)
    local = initialize_on_load(parts.document).variables
    every = graph_variables(meta_graph, graph, saved_places(meta_graph, graph))
    variables = [one for one in every if one.node not in local]
    matched = match_variables(graph, variables, stored, quoted(prefix.name))
    return matched, apply_changes(parts.document, saver_changes(meta_graph, graph.nodes, matched.restored))


def _finished(
    parts: Parts, source: Source, document: Document, contents: Mapping[str, Content], matched: Matched
) -> Parts:
    restored = {one.variable.node for one in matched.restored}
    completed = complete(document, source.path.parent, restored)
    return Parts(
        completed.document,
        source.path,
        {**parts.files, **contents, **completed.files},
        (*parts.notes, *matched.notes, *completed.notes),
    )


def _expect_good(source: Source) -> None:
    if source.problem:
        raise ConversionError(f"{quoted(str(source.path))} {source.title}: {source.problem}")
