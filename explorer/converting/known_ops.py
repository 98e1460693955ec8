"""Gives a meta graph the definitions of those of its ops that it says nothing about.

``MetaInfoDef.stripped_op_list`` (``tensorflow/core/protobuf/meta_graph.proto``) is what a reader without TensorFlow
knows dtypes from, and what an older TensorFlow knows from which attributes it may forget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from explorer.converting.inner_nodes import every_node
from explorer.errors import listed
from explorer.savedmodel import wire
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.op_defs import OP
from explorer.savedmodel.op_table import op_table
from explorer.savedmodel.overlay import Document, apply_changes, insertion_at_end
from explorer.savedmodel.reader import META_INFO_DEF, STRIPPED_OP_LIST, fields_of, read_document

_MOST_NAMES: Final = 5


@dataclass(frozen=True, slots=True)
class Explained:
    """A SavedModel whose op list has every op that is known.

    Attributes:
        document: Its bytes.
        foreign: The ops that neither the file nor TensorFlow defines, sorted.
    """

    document: Document
    foreign: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the foreign ops."""
        if not self.foreign:
            return ()
        one = len(self.foreign) == 1
        return (
            f"the graph uses the {'op' if one else 'ops'} {listed(self.foreign, _MOST_NAMES)}, which "
            f"{'is' if one else 'are'} not TensorFlow's own: only a server with the library that defines "
            f"{'it' if one else 'them'} can run what depends on {'it' if one else 'them'}",
        )


def explain_ops(document: Document) -> Explained:
    """Adds the definitions of ops to the op list of a SavedModel with one meta graph.

    Args:
        document: The bytes of a SavedModel; definitions that it has stay as they are.

    Raises:
        FormatError: The graph is corrupt.
    """
    (meta_graph,) = read_document(document).meta_graphs
    graph = read_graph(meta_graph)
    missing = sorted({node.op for node in every_node(graph) if graph.op_def(node.op) is None})
    if not missing:
        return Explained(document, ())
    table = op_table()
    added = b"".join(wire.encode_field(OP, table[op]) for op in missing if op in table)
    foreign = tuple(op for op in missing if op not in table)
    if not added:
        return Explained(document, foreign)
    assert meta_graph.field is not None
    infos = fields_of(document, meta_graph.field, META_INFO_DEF)
    lists = [found for info in infos for found in fields_of(document, info, STRIPPED_OP_LIST)]
    if lists:
        change = insertion_at_end(lists[-1], added)
    elif infos:
        change = insertion_at_end(infos[-1], wire.encode_field(STRIPPED_OP_LIST, added))
    else:
        info = wire.encode_field(META_INFO_DEF, wire.encode_field(STRIPPED_OP_LIST, added))
        change = insertion_at_end(meta_graph.field, info)
    return Explained(apply_changes(document, [change]), foreign)
