"""What the saver in a graph reads from a checkpoint: which key into which variable.

``SaverDef.restore_op_name`` (``tensorflow/core/protobuf/saver.proto``) runs nodes that assign what an op of restoring
gives: ``RestoreV2``, or in older graphs ``RestoreSlice`` and ``Restore``, which read the old format only.
"""

from __future__ import annotations

from typing import Final

from explorer.converting.graph_variables import HANDLE_OP, REF_OPS, Place
from explorer.savedmodel.edges import split_tensor_name
from explorer.savedmodel.graph import Graph, Node, input_node
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.object_graph import parsed
from explorer.savedmodel.reader import SAVER_DEF, fields_of
from explorer.savedmodel.wire import payload

_ASSIGN_OPS: Final = frozenset({"Assign", "AssignVariableOp"})
_PASSED_ON: Final = frozenset({"Identity", "Reshape", "Cast"})
_MOST_STEPS: Final = 10
_MOST_NODES: Final = 1_000_000
_LARGEST_CONSTANT: Final = 32 << 20


def saved_places(meta_graph: MetaGraph, graph: Graph) -> dict[str, Place]:
    """Where the saver of a meta graph reads each variable.

    Args:
        meta_graph: The meta graph.
        graph: Its graph.

    Returns:
        Node of a variable → place; nothing for a variable that the saver leaves out, nor where there is no saver.

    Raises:
        FormatError: The saver is corrupt.
    """
    document = meta_graph.document
    assert document is not None
    data = b"".join(payload(document, field) for field in fields_of(document, meta_graph.field, SAVER_DEF))
    restore = parsed("tensorflow.SaverDef", data, "the saver").restore_op_name.partition(":")[0]
    found: dict[str, Place] = {}
    texts = _Texts(graph)
    pending, seen = [restore], {restore}
    while pending and len(seen) < _MOST_NODES:
        node = graph.nodes.get(pending.pop())
        if node is None:
            continue
        if node.op in _ASSIGN_OPS:
            place = _origin(graph, node, texts)
            variable = graph.nodes.get(_source(node, 0))
            if place is not None and variable is not None and (variable.op in REF_OPS or variable.op == HANDLE_OP):
                found.setdefault(variable.name, place)
            continue
        for edge in node.inputs:
            name = input_node(edge)
            if name not in seen:
                seen.add(name)
                pending.append(name)
    return found


def _origin(graph: Graph, assign: Node, texts: _Texts) -> Place | None:
    """What an assignment takes from the checkpoint."""
    node, place = assign, 1
    for _ in range(_MOST_STEPS):
        if place >= len(node.inputs):
            return None
        name, index = split_tensor_name(node.inputs[place])
        source = graph.nodes.get(name)
        if source is None:
            return None
        if source.op in ("RestoreV2", "RestoreSlice", "Restore"):
            keys = texts.taken_by(source, 1)
            slices = texts.taken_by(source, 2) if source.op != "Restore" else []
            at = index or 0
            return _place(keys[at], slices[at] if at < len(slices) else "") if at < len(keys) else None
        if source.op not in _PASSED_ON:
            return None
        node, place = source, 0
    return None


def _place(key: str, part: str) -> Place | None:
    """A key with what stands beside it: the whole shape, and start and length in each dimension.

    The form is that of ``checkpoint::ParseShapeAndSlice``: ``10 4 0,5:0,4``, where ``-`` is all of a dimension.
    """
    if not part.strip():
        return Place(key)
    *sizes, extents = part.split()
    try:
        starts = tuple(0 if one == "-" else int(one.partition(",")[0]) for one in extents.split(":"))
        whole = tuple(int(size) for size in sizes)
    except ValueError:
        return None
    return Place(key, whole, starts) if len(starts) == len(whole) else None


class _Texts:
    """The texts of constants, each read once: all variables of a graph mostly come from one op of restoring."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[str, list[str]] = {}

    def taken_by(self, node: Node, place: int) -> list[str]:
        """The texts that a node takes at a place; none where that is no constant."""
        name = _source(node, place)
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> list[str]:
        constant = self._graph.nodes.get(name)
        if constant is None or constant.op != "Const" or constant.size_bytes > _LARGEST_CONSTANT:
            return []
        value = constant.attrs.get("value")
        if value is None:
            return []
        tensor = parsed("tensorflow.AttrValue", value.to_bytes(), "the keys of the saver").tensor
        return [text.decode("utf-8", "replace") for text in tensor.string_val]


def _source(node: Node, place: int) -> str:
    return split_tensor_name(node.inputs[place])[0] if place < len(node.inputs) else ""
