"""Whether a checkpoint holds what the saver of its graph asks for.

A loader runs ``SaverDef.restore_op_name``. One key that the checkpoint lacks, or holds as another dtype or shape, and
nothing of the model is loaded (``RestoreTensorsV2`` of ``tensorflow/core/kernels/save_restore_tensor.cc``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from explorer.converting.constant_texts import constant_texts
from explorer.errors import ConversionError, FormatError, listed, quoted
from explorer.savedmodel.checkpoint_index import Variable
from explorer.savedmodel.edges import split_tensor_name
from explorer.savedmodel.graph import Graph, Node, input_node
from explorer.savedmodel.model import DType, MetaGraph, Shape
from explorer.savedmodel.object_graph import parsed
from explorer.savedmodel.reader import SAVER_DEF, fields_of
from explorer.savedmodel.wire import payload

RESTORE: Final = "RestoreV2"
"""The op that reads today's format."""

_OLD_RESTORES: Final = frozenset({"Restore", "RestoreSlice"})
_MOST_KEYS: Final = 2_000_000  # many nodes may share one constant of keys, which may repeat its last text
_CONVERSIONS: Final = frozenset({"Cast", "Reshape"})


@dataclass(frozen=True, slots=True)
class Saver:
    """The saver of a graph, which a loader can run.

    Attributes:
        restores: The nodes that read the checkpoint.
        converts: Whether some of what they read gets another dtype or shape before it is assigned.
    """

    restores: tuple[Node, ...]
    converts: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a saver asks of a checkpoint.

    Attributes:
        key: The key.
        dtype: The dtype that it must have; number 0 where the graph doesn't say.
        part: The whole shape, then what of it; empty for all. It is written ``10 4 0,5:0,4``.
    """

    key: str
    dtype: DType
    part: str


def usable_saver(meta_graph: MetaGraph, graph: Graph) -> tuple[Saver | None, str]:
    """The saver of a meta graph, or the rest of a sentence that says why loaders can't use it.

    Args:
        meta_graph: The meta graph.
        graph: Its graph.

    Raises:
        FormatError: It is corrupt.
    """
    document = meta_graph.document
    assert document is not None
    fields = fields_of(document, meta_graph.field, SAVER_DEF)
    if not fields:
        return None, "has no saver"
    saver = parsed("tensorflow.SaverDef", b"".join(payload(document, field) for field in fields), "the saver")
    restore = split_tensor_name(saver.restore_op_name)[0]
    for name in (restore, split_tensor_name(saver.filename_tensor_name)[0]):
        if name not in graph.nodes:
            return None, f"has a saver whose op {quoted(name)} isn't in the graph"
    found = [graph.nodes[name] for name in _leads_to(graph, restore)]
    if any(node.op in _OLD_RESTORES for node in found):
        return None, "has a saver that reads the old format alone"
    restores = tuple(node for node in found if node.op == RESTORE)
    if not restores:
        return None, "has a saver that reads nothing"
    names = {node.name for node in restores}
    taking = [node for node in found if node.inputs and input_node(node.inputs[0]) in names]
    return Saver(restores, any(node.op in _CONVERSIONS for node in taking)), ""


def wanted_of(graph: Graph, saver: Saver) -> Iterator[Wanted]:
    """What a saver asks for; nothing of a node whose keys are computed.

    Raises:
        FormatError: A constant is corrupt.
    """
    total = 0
    for node in saver.restores:
        keys, parts = (
            constant_texts(graph, node.inputs[place]) if place < len(node.inputs) else None for place in (1, 2)
        )
        dtypes = node.attrs["dtypes"].type_numbers() if "dtypes" in node.attrs else None
        total += len(keys or ())
        if total > _MOST_KEYS:
            raise FormatError(f"the saver restores more than {_MOST_KEYS} variables")
        for number, key in enumerate(keys or ()):
            dtype = dtypes[number] if dtypes is not None and number < len(dtypes) else 0
            yield Wanted(key, DType(dtype), parts[number] if parts is not None and number < len(parts) else "")


def expect_stored(wanted: Iterable[Wanted], stored: Mapping[str, Variable], meta: str, checkpoint: str) -> None:
    """Refuses a checkpoint that isn't the one of the graph.

    Args:
        wanted: What the saver asks for.
        stored: Key → what the checkpoint holds.
        meta: The file with the graph, as it stands in a sentence.
        checkpoint: The checkpoint, as it stands in a sentence.

    Raises:
        ConversionError: Something isn't stored, or differs; the first is named.
    """
    every = list(wanted)
    missing = [one for one in every if one.key not in stored]
    if missing:
        first = missing[0]
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ConversionError(
            f"{meta} is not the graph of {checkpoint}: it restores {quoted(first.key)}{_dtype(first)}{more}, which the "
            f"checkpoint doesn't hold; it holds {listed(_nearest(first.key, stored), 3)}: give the graph that belongs "
            "to it",
            ("graph",),
        )
    for one in every:
        entry = stored[one.key]
        has = f"{DType(entry.dtype_number)}{Shape(entry.shape)}"
        if one.dtype.number not in (0, entry.dtype_number):
            raise _differs(meta, checkpoint, one.key, str(one.dtype), has)
        whole = _whole_shape(one.part)
        if whole is not None and entry.shape is not None and whole != entry.shape:
            raise _differs(meta, checkpoint, one.key, f"a part of {one.dtype}{Shape(whole)}", has)


def _differs(meta: str, checkpoint: str, key: str, wanted: str, has: str) -> ConversionError:
    return ConversionError(
        f"{meta} is not the graph of {checkpoint}: it restores {quoted(key)} as {wanted}, and the checkpoint holds it "
        f"as {has}: give the graph that belongs to it",
        ("graph",),
    )


def _dtype(wanted: Wanted) -> str:
    return f" ({wanted.dtype})" if wanted.dtype.number else ""


def _whole_shape(part: str) -> tuple[int, ...] | None:
    """The whole shape that stands before what is taken of it (``checkpoint::ParseShapeAndSlice``)."""
    sizes = part.split()[:-1]
    try:
        return tuple(int(size) for size in sizes) if part.strip() else None
    except ValueError:
        return None


def _leads_to(graph: Graph, name: str) -> list[str]:
    """A node and all that it depends on."""
    found: dict[str, Any] = {name: None}
    pending = [name]
    while pending:
        for edge in graph.nodes[pending.pop()].inputs:
            source = input_node(edge)
            if source in graph.nodes and source not in found:
                found[source] = None
                pending.append(source)
    return list(found)


def _nearest(name: str, stored: Mapping[str, Variable]) -> list[str]:
    """The keys that look like a name first."""
    import difflib  # only a slip pays for it

    close = difflib.get_close_matches(name, list(stored)[:5000], n=3)
    return list(dict.fromkeys([*close, *stored]))
