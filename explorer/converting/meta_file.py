"""A checkpoint with its ``.meta`` as a SavedModel: the ``.meta`` is a meta graph already, the checkpoint its variables.

Its bytes stay as they are but for the tag, what fills tables and local variables when it is loaded, and definitions of
ops where it has none. The files of the checkpoint are linked to under the names that loaders look for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from explorer.converting.checkpoint_files import CheckpointFiles, files_of
from explorer.converting.completing import complete
from explorer.converting.graph_variables import graph_variables
from explorer.converting.initializers import initialize_on_load
from explorer.converting.kinds import Source
from explorer.converting.matching import match_variables
from explorer.converting.needed_variables import needed_variables
from explorer.converting.old_saver import saved_places
from explorer.converting.parts import Content, Parts
from explorer.converting.saver_check import expect_stored, usable_saver, wanted_of
from explorer.converting.saver_nodes import saver_changes
from explorer.converting.served import SERVE, Served, saved_model_of
from explorer.converting.sizes import counted
from explorer.errors import ConversionError, FormatError, listed, quoted
from explorer.savedmodel.checkpoint_index import CheckpointIndex, Variable, read_index
from explorer.savedmodel.constants import VARIABLES_FOLDER, VARIABLES_INDEX
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.identify import identify
from explorer.savedmodel.overlay import Document, FileSource, apply_changes
from explorer.savedmodel.reader import read_document
from explorer.savedmodel.records import read_whole
from explorer.savedmodel.variables import LARGEST_INDEX_BYTES

_BINARY: Final = frozenset({"meta_graph", "unknown"})


def parts_of_checkpoint(source: Source) -> Parts:
    """Puts a checkpoint and its ``.meta`` together.

    Args:
        source: A checkpoint of today's format whose ``graph_file`` is its ``.meta``.

    Returns:
        What the SavedModel is made of; it has the signatures of the ``.meta``, which are mostly none.

    Raises:
        ConversionError: A file is missing or something else, or the ``.meta`` isn't that of the checkpoint.
        FormatError: A file is damaged.
        SourceError: A file can't be read.
    """
    where = quoted(str(source.path))
    if source.problem:
        raise ConversionError(f"{where} {source.title}: {source.problem}")
    meta = source.graph_file
    if meta is None:
        raise ConversionError(f"{where} has no .meta file beside it: give the graph that it belongs to", ("graph",))
    files = files_of(source.path)
    index, contents = _variables(files)
    stored = {one.name: one for one in index.variables}
    served = _meta_graph(meta)
    try:
        restored = _with_saver(served.document, stored, meta, quoted(source.path.name))
        completed = complete(restored.document, source.path.parent, restored.variables)
        valueless = _without_value(completed.document, restored.variables | completed.initialized)
    except FormatError as error:
        raise _damaged(meta, error) from None
    retagged: tuple[str, ...] = ()
    if served.tags - {SERVE}:
        retagged = (f"its tags {listed(sorted(served.tags))} gave way to {quoted(SERVE)}, which servers ask for",)
    notes = (*retagged, *restored.notes, *valueless, *completed.notes)
    return Parts(completed.document, source.path, {**contents, **completed.files}, notes)


def _variables(files: CheckpointFiles) -> tuple[CheckpointIndex, dict[str, Content]]:
    """The index of a checkpoint, and its files under the names that a SavedModel gives them."""
    name = files.prefix.name
    data = None
    if files.index is not None:
        data = read_whole(str(files.index), LARGEST_INDEX_BYTES, "the index of a checkpoint")
    if files.index is None or data is None:
        raise ConversionError(f"{quoted(name + '.index')} is missing, which says where in the data each variable lies")
    try:
        index = read_index(data)
    except FormatError as error:
        raise ConversionError(f"{quoted(files.index.name)} is no readable index of a checkpoint: {error}") from None
    whole = f"-of-{index.num_shards:05d}"
    there = {file.name: file for file in files.data if file.name.endswith(whole)}
    missing = [shard for shard in sorted(index.reach) if f"{name}.data-{shard:05d}{whole}" not in there]
    if missing:
        names = listed([f"{name}.data-{shard:05d}{whole}" for shard in missing], 3)
        raise ConversionError(f"a part of the values of {quoted(name)} is missing: put {names} beside the index")
    contents: dict[str, Content] = {VARIABLES_INDEX: files.index}
    contents.update({f"{VARIABLES_FOLDER}/variables{file[len(name) :]}": path for file, path in there.items()})
    return index, contents


def _meta_graph(meta: Path) -> Served:
    """A ``.meta`` as a SavedModel."""
    kind, sentence = identify(str(meta))
    if kind not in _BINARY:
        if kind == "meta_graph_text":
            sentence += "; have TensorFlow write it in binary form (export_meta_graph)"
        raise ConversionError(f"{quoted(str(meta))} {sentence}", ("graph",))
    try:
        served = saved_model_of(Document.of(FileSource(str(meta))))
        if not read_graph(read_document(served.document).meta_graphs[0]).nodes:
            raise ConversionError(f"{quoted(str(meta))} has no graph in it: give the graph in another file", ("graph",))
    except FormatError as error:
        raise _damaged(meta, error) from None
    return served


@dataclass(frozen=True, slots=True)
class _Restored:
    """A SavedModel with a saver that loaders can run.

    Attributes:
        document: Its bytes.
        variables: The variables that the saver restores, as far as that can be told.
        notes: What a person should know.
    """

    document: Document
    variables: frozenset[str]
    notes: tuple[str, ...] = ()


def _with_saver(document: Document, stored: Mapping[str, Variable], meta: Path, checkpoint: str) -> _Restored:
    """Sees to it that the graph's saver restores from the checkpoint, and gives it one where it has none."""
    (meta_graph,) = read_document(document).meta_graphs
    graph = read_graph(meta_graph)
    places = saved_places(meta_graph, graph)
    variables = graph_variables(meta_graph, graph, places)
    saver, lack = usable_saver(meta_graph, graph)
    if saver is None:
        local = initialize_on_load(document).variables
        asked = [one for one in variables if one.node not in local]
        matched = match_variables(graph, asked, stored, checkpoint)
        changed = apply_changes(document, saver_changes(meta_graph, graph.nodes, matched.restored))
        names = frozenset(one.variable.node for one in matched.restored)
        note = f"{quoted(meta.name)} {lack}, so one was added that restores {counted(len(names), 'variable')} by name"
        return _Restored(changed, names, (note, *matched.notes))
    expect_stored(wanted_of(graph, saver), stored, quoted(meta.name), checkpoint)
    saved = [replace(one, places=(places[one.node],)) for one in variables if one.node in places]
    if saved and not saver.converts:
        match_variables(graph, saved, stored, checkpoint)  # refuses a variable of another shape
    return _Restored(document, frozenset(places))


def _without_value(document: Document, known: frozenset[str]) -> tuple[str, ...]:
    """Names the variables that an answer may need and that nothing gives a value."""
    (meta_graph,) = read_document(document).meta_graphs
    graph = read_graph(meta_graph)
    others = [one.node for one in graph_variables(meta_graph, graph, {}) if one.node not in known]
    needed = needed_variables(graph, others) if known else []
    if not needed:
        return ()
    return (f"the checkpoint has no value for {listed(needed, 3)}, so an output that reads one of them fails",)


def _damaged(meta: Path, error: FormatError) -> ConversionError:
    return ConversionError(
        f"{quoted(str(meta))} is damaged: {error}; copy it again, or give the graph in another file", ("graph",)
    )
