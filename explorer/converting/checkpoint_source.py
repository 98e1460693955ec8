"""What a checkpoint is: of which format, with or without its graph, with which variables, and what of it is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from explorer.converting import kinds
from explorer.converting.checkpoint_files import CheckpointFiles, files_of
from explorer.converting.checkpoint_objects import root_names
from explorer.converting.graph_look import MetaGraphLook, look_at_meta_graph
from explorer.converting.graph_source import SIGNATURE_NEED, describe_meta_graph, meta_graph_facts
from explorer.converting.kinds import Need, Source
from explorer.converting.other_files import describe_other
from explorer.converting.sizes import counted, printable_size
from explorer.converting.table_head import OldTensor, first_value, is_table, old_tensors, old_variables
from explorer.errors import ExplorerError, FormatError, PathNotFoundError, listed, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.checkpoint_index import CheckpointIndex, Variable, read_index
from explorer.savedmodel.identify import identify
from explorer.savedmodel.overlay import Document, FileSource
from explorer.savedmodel.records import is_lfs_pointer, read_whole
from explorer.savedmodel.variables import LARGEST_INDEX_BYTES

_OBJECT_VALUE: Final = "/.ATTRIBUTES/"
_HEAD: Final = 200
_LARGEST_POINTER: Final = 1024
_MOST_OLD_FILES: Final = 1000

_GRAPH_SENTENCE: Final = (
    "a checkpoint without a .meta file has values and no computation: give the graph that it belongs to, a .pb, .pbtxt "
    "or .meta file"
)
_OBJECTS_SENTENCE: Final = (
    "a checkpoint of TensorFlow 2 has values and no computation: give a SavedModel with the same variables as its "
    "architecture, or the model object itself"
)


def describe_checkpoint(prefix: Path) -> Source:
    """What the files under a prefix are.

    Args:
        prefix: The prefix of a checkpoint of either format, such as ``model.ckpt-1000``.

    Raises:
        PathNotFoundError: There is no such checkpoint.
        SourceError: A file can't be read.
    """
    files = files_of(prefix)
    if files.index is not None:
        return _with_index(files, files.index)
    if files.old_files and any(is_old_checkpoint(file) for file in files.old_files[:_MOST_OLD_FILES]):
        return _old(files)
    if files.data:
        problem = f"{quoted(prefix.name + '.index')} is missing, which says where in the data each variable lies"
        return _broken(files, "is a checkpoint without its index", problem)
    if files.meta is not None:
        if identify(str(files.meta))[0] not in ("meta_graph", "unknown"):
            return describe_other(files.meta)
        wanted = (f"{prefix.name}.index", f"{prefix.name}.data-00000-of-00001")
        return describe_meta_graph(files.meta, " and ".join(quoted(name) for name in wanted))
    raise PathNotFoundError(f"there is no checkpoint {quoted(str(prefix))}", prefix)


def is_old_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint, or a part of one, in the format of before TensorFlow 0.12.

    Raises:
        SourceError: It can't be read.
    """
    try:
        return _old_list(path) is not None
    except FormatError:
        return False


def _with_index(files: CheckpointFiles, index_file: Path) -> Source:
    """A checkpoint of today's format."""
    title = "seems to be a checkpoint"
    start = FileSource(str(index_file))
    if is_lfs_pointer(start.read_at(0, min(_HEAD, start.size))) or not is_table(start):
        kind, sentence = identify(str(index_file))
        if kind in ("unknown", "checkpoint_table"):
            sentence = "doesn't end as the index of a checkpoint does: it is cut off, damaged or something else"
        return _broken(files, title, f"{quoted(index_file.name)} {sentence}")
    try:
        data = read_whole(str(index_file), LARGEST_INDEX_BYTES, "the index of a checkpoint") or b""
        index = read_index(data)
    except FormatError as error:
        return _broken(files, title, f"{quoted(index_file.name)} is no readable index of a checkpoint: {error}")
    facts = [("Variables", _variables_fact(index.variables)), ("Data files", str(index.num_shards))]
    if index.big_endian:
        facts.append(("Byte order", "big-endian"))
    owner = _owner(files.prefix)
    if owner is not None:
        facts.append(("Belongs to", f"the SavedModel {quoted(str(owner))}, which can be opened as it is"))
    found = replace(_broken(files, title, _data_problem(files, index)), variables=index.variables, facts=tuple(facts))
    is_of_objects = index.bookkeeping_entries or any(_OBJECT_VALUE in one.name for one in index.variables)
    if is_of_objects and files.meta is None:
        return _of_objects(found, files, index, data)
    return _joined(found, files, (kinds.TF1_CHECKPOINT, kinds.TF1_CHECKPOINT_NO_GRAPH), "a checkpoint")


def _of_objects(found: Source, files: CheckpointFiles, index: CheckpointIndex, data: bytes) -> Source:
    """A checkpoint of TensorFlow 2; names what hangs at the root of its object graph."""
    facts = found.facts
    try:
        roots = root_names(data, files.data, index.num_shards)
    except ExplorerError as error:
        facts = (*facts, ("Objects", f"cannot be read: {error}"))
    else:
        if roots:
            facts = (*facts, ("Objects at its root", listed(roots)))
    title = f"is a checkpoint of TensorFlow 2 objects with {counted(len(index.variables), 'variable')}"
    needs = (Need(kinds.ARCHITECTURE, _OBJECTS_SENTENCE), Need(kinds.MODEL, _OBJECTS_SENTENCE))
    return replace(found, kind=kinds.TF2_CHECKPOINT, title=title, facts=facts, needs=needs)


def _old(files: CheckpointFiles) -> Source:
    """A checkpoint of the old format."""
    problem = ""
    lists: list[tuple[OldTensor, ...]] = []
    variables: tuple[Variable, ...] = ()
    try:
        for file in files.old_files[:_MOST_OLD_FILES]:
            found = _old_list(file)
            if found is None:
                raise FormatError(
                    f"{quoted(file.name)} is no part of a checkpoint; it is cut off, damaged or something else"
                )
            lists.append(found)
        variables = old_variables(lists)
    except FormatError as error:
        problem = f"it is damaged: {error}"
    if files.missing_old:
        problem = f"a part of it is missing: {listed(files.missing_old, 3)}"
    facts = [("Format", "of before TensorFlow 0.12 (V1)"), ("Variables", _variables_fact(variables))]
    if len(files.old_files) > 1:
        facts.append(("Data files", str(len(files.old_files))))
    source = replace(_broken(files, "", problem), variables=variables, facts=tuple(facts))
    return _joined(source, files, (kinds.V1_CHECKPOINT, kinds.V1_CHECKPOINT_NO_GRAPH), "an old checkpoint (V1 format)")


def _joined(found: Source, files: CheckpointFiles, both: tuple[str, str], what: str) -> Source:
    """A checkpoint of named variables, with its graph where there is a readable one."""
    count = counted(len(found.variables), "variable")
    if files.meta is None:
        hint = _graph_beside(files.prefix)
        need = Need(kinds.GRAPH, _GRAPH_SENTENCE + hint)
        return replace(found, kind=both[1], title=f"is {what} with {count} and without its graph", needs=(need,))
    look, damage = _look_at(files.meta)
    if damage:
        need = Need(
            kinds.GRAPH, f"{quoted(files.meta.name)} {damage}; copy it again, or give the graph in another file"
        )
        title = f"is {what} with {count}, whose graph cannot be read"
        return replace(found, kind=both[1], title=title, needs=(need,), graph_file=None)
    needs = () if look.signatures else (SIGNATURE_NEED,)
    title = f"is {what} with {count} and its graph ({look.graph.size})"
    facts = (*found.facts, *meta_graph_facts(look))
    return replace(found, kind=both[0], title=title, facts=facts, needs=needs, graph_file=files.meta)


def _look_at(meta: Path) -> tuple[MetaGraphLook, str]:
    """A first look at a ``.meta``, and the rest of a sentence where it isn't one."""
    kind, sentence = identify(str(meta))
    look = look_at_meta_graph(Document.of(FileSource(str(meta))))
    if kind not in ("meta_graph", "unknown"):
        return look, sentence
    if look.damage:
        return look, f"is cut off or damaged ({look.damage})"
    return look, "" if look.graph.nodes else "has no graph in it"


def _broken(files: CheckpointFiles, title: str, problem: str) -> Source:
    return Source(files.prefix, kinds.TF1_CHECKPOINT_NO_GRAPH, title, files.all, problem=problem)


def _data_problem(files: CheckpointFiles, index: CheckpointIndex) -> str:
    """What is wrong with the data files; empty where nothing is."""
    there = {file.name: file for file in files.data}
    missing = []
    for shard, needed in sorted(index.reach.items()):
        name = f"{files.prefix.name}.data-{shard:05d}-of-{index.num_shards:05d}"
        if name not in there:
            missing.append(name)
            continue
        source = FileSource(str(there[name]))
        if source.size <= _LARGEST_POINTER and is_lfs_pointer(source.read_at(0, min(_HEAD, source.size))):
            return f"{quoted(name)} is a Git LFS pointer, not the file itself; fetch it with git lfs pull"
        if source.size < needed:
            return (
                f"{quoted(name)} is cut off: it has {source.size} bytes, and its variables need {needed}; copy it again"
            )
    if not missing:
        return ""
    which = "the values are missing" if len(missing) == len(index.reach) else "a part of the values is missing"
    return f"{which}: put {listed(missing, 3)} beside the index"


def _old_list(path: Path) -> tuple[OldTensor, ...] | None:
    source = FileSource(str(path))
    value = first_value(source) if is_table(source) else None
    return None if value is None else old_tensors(value)


def _variables_fact(variables: Iterable[Variable]) -> str:
    every = tuple(variables)
    return f"{len(every)} ({printable_size(sum(one.size_bytes for one in every))})"


def _owner(prefix: Path) -> Path | None:
    """The SavedModel that a checkpoint is a part of."""
    folder = prefix.parent
    if folder.name != constants.VARIABLES_FOLDER:
        return None
    return folder.parent if any((folder.parent / name).is_file() for name in constants.MODEL_FILE_NAMES) else None


def _graph_beside(prefix: Path) -> str:
    """A hint at the file in which TensorFlow's training loops write their graph."""
    name = next((name for name in ("graph.pbtxt", "graph.pb") if (prefix.parent / name).is_file()), None)
    return "" if name is None else f" ({quoted(name)} beside it may be the one)"
