"""One meta graph as a SavedModel, with the tag that servers ask for."""

from __future__ import annotations

from typing import Final, NamedTuple

from explorer.savedmodel import wire
from explorer.savedmodel.overlay import Document, apply_changes, insertion_at_end, removal
from explorer.savedmodel.reader import META_GRAPHS, META_INFO_DEF, SCHEMA_VERSION, TAGS, fields_of, read_document

SERVE: Final = "serve"
"""The tag of a graph that answers requests."""


class Served(NamedTuple):
    """A SavedModel of one meta graph.

    Attributes:
        document: Its bytes.
        tags: The tags that the meta graph had.
    """

    document: Document
    tags: frozenset[str]


def saved_model_of(meta_graph: Document) -> Served:
    """The SavedModel of one meta graph, which keeps all its bytes but other tags.

    Args:
        meta_graph: A serialized MetaGraphDef.

    Raises:
        FormatError: It is corrupt.
    """
    header = wire.encode_field(SCHEMA_VERSION, 1) + wire.encode_header(META_GRAPHS, meta_graph.size)
    document = Document.joined([header, meta_graph])
    (found,) = read_document(document).meta_graphs
    if found.tag_list == (SERVE,):
        return Served(document, found.tags)
    assert found.field is not None
    infos = fields_of(document, found.field, META_INFO_DEF)
    changes = [removal(tag) for info in infos for tag in fields_of(document, info, TAGS)]
    tag = wire.encode_field(TAGS, SERVE)
    if infos:
        changes.append(insertion_at_end(infos[-1], tag))
    else:
        changes.append(insertion_at_end(found.field, wire.encode_field(META_INFO_DEF, tag)))
    return Served(apply_changes(document, changes), found.tags)
