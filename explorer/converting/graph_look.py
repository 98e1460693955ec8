"""A first look at a graph file: how many nodes, which placeholders, are there variables? Nothing is kept in memory.

Field numbers are those of ``graph.proto``, ``node_def.proto`` and ``meta_graph.proto`` in ``tensorflow/core``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from explorer.errors import FormatError
from explorer.savedmodel import wire
from explorer.savedmodel.nodes import LIBRARY, NODE
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import (
    COLLECTION_DEF,
    GRAPH_DEF,
    META_INFO_DEF,
    SAVER_DEF,
    SIGNATURE_DEF,
    TAGS,
    TENSORFLOW_VERSION,
)
from explorer.savedmodel.wire import LENGTH, VARINT, Field, Readable

MOST_NODES: Final = 300_000
"""So many nodes are looked at; of a larger graph it is only said that it has more."""

MOST_TEXT: Final = 64 << 20
"""So many bytes of a text are looked at."""

VARIABLE_OPS: Final = frozenset({"Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable"})
"""Ops whose values a checkpoint holds."""

_MOST_NAMES: Final = 20
_MOST_FIELDS: Final = 10_000
_CACHED: Final = 1 << 16
_MOST_NAME_BYTES: Final = 1 << 16
_NAME, _OP = 1, 2
_FUNCTION: Final = 1
_SAVER_VERSION: Final = 7
_TEXT_OP = re.compile(rb"(?<![\w\"\\])(?:(op)\s*:\s*(?:\"([^\"\\\n]*)\"|'([^'\\\n]*)')|(node)\s*:?\s*[{<])")
_SAVERS = re.compile(r"(?:.*/)?save(?:r?_\d+)?/(?:filename|Const)|saver_filename")
_OVERLAP: Final = 512


@dataclass(frozen=True, slots=True)
class GraphLook:
    """What a first look at a graph shows.

    Attributes:
        nodes: How many nodes were met.
        functions: How many functions its library has.
        variables: How many of the nodes are variables.
        placeholders: The names of the first placeholders.
        is_whole: Whether the look went to the end: not so for more than ``MOST_NODES`` nodes.
        damage: What is wrong with the bytes behind that; empty where nothing is.
    """

    nodes: int = 0
    functions: int = 0
    variables: int = 0
    placeholders: tuple[str, ...] = ()
    is_whole: bool = True
    damage: str = ""

    @property
    def size(self) -> str:
        """The number of nodes as it stands in a sentence."""
        if self.nodes == 1:
            return "1 node"
        return f"{self.nodes} nodes" if self.is_whole else f"more than {self.nodes} nodes"


@dataclass(frozen=True, slots=True)
class MetaGraphLook:
    """What a first look at a MetaGraphDef shows.

    Attributes:
        graph: Its graph.
        tensorflow_version: The version that wrote it; may be empty.
        tags: Its tags; those of a ``.meta`` file are mostly none.
        signatures: How many signatures it has.
        collections: How many collections it has.
        saver_version: 1 or 2 for the format of the checkpoint that its saver reads; None where it has no saver.
        damage: What is wrong with the bytes; empty where nothing is.
    """

    graph: GraphLook
    tensorflow_version: str = ""
    tags: tuple[str, ...] = ()
    signatures: int = 0
    collections: int = 0
    saver_version: int | None = None
    damage: str = ""


def look_at_graph(document: Readable, parent: Field | None = None) -> GraphLook:
    """Walks a GraphDef, large attributes stepped over.

    Args:
        document: Where it is.
        parent: The field that it is the payload of; None for the whole document.

    Returns:
        What was met; where the bytes are damaged, what was met before.
    """
    nearby = _Nearby(document)
    nodes = functions = variables = 0
    placeholders: list[str] = []
    is_whole, damage = True, ""
    try:
        for count, field in enumerate(wire.scan(nearby, parent)):
            if count == MOST_NODES:
                is_whole = False
                break
            if field.number == NODE and field.wire_type == LENGTH:
                nodes += 1
                name, op = name_and_op(nearby, field)
                variables += op in VARIABLE_OPS
                if op.startswith("Placeholder") and len(placeholders) < _MOST_NAMES and not _SAVERS.fullmatch(name):
                    placeholders.append(name)
            elif field.number == LIBRARY and field.wire_type == LENGTH:
                functions += _count(nearby, field, _FUNCTION, MOST_NODES - functions)
    except FormatError as error:
        damage = str(error)
    return GraphLook(nodes, functions, variables, tuple(placeholders), is_whole, damage)


def look_at_text_graph(document: Document) -> GraphLook:
    """Counts the nodes of a GraphDef in text form without parsing it.

    Args:
        document: The text.

    Returns:
        Numbers as exact as a search for ``node {`` and ``op: "…"`` can be; no functions and no placeholders.
    """
    nodes = variables = 0
    for found in _matches(document):
        if found[4]:
            nodes += 1
        elif (found[2] or found[3] or b"").decode("utf-8", "replace") in VARIABLE_OPS:
            variables += 1
        if nodes > MOST_NODES:
            break
    return GraphLook(min(nodes, MOST_NODES), 0, variables, (), nodes <= MOST_NODES and document.size <= MOST_TEXT)


def look_at_meta_graph(document: Readable, parent: Field | None = None) -> MetaGraphLook:
    """Walks a MetaGraphDef: its graph, and what says how it is to be restored.

    Args:
        document: Where it is.
        parent: The field that it is the payload of; None for the whole document.
    """
    graph = GraphLook()
    version, damage = "", ""
    tags: list[str] = []
    signatures = collections = 0
    saver_version: int | None = None
    try:
        for count, field in enumerate(wire.scan(document, parent)):
            if count > _MOST_FIELDS:
                raise FormatError(f"a MetaGraphDef with more than {_MOST_FIELDS} fields is not read", field.start)
            if field.wire_type != LENGTH:
                continue
            if field.number == GRAPH_DEF and not graph.nodes:
                graph = look_at_graph(document, field)
            elif field.number == META_INFO_DEF:
                for info in _first(wire.scan(document, field)):
                    if info.number == TENSORFLOW_VERSION and info.wire_type == LENGTH:
                        version = _text(document, info)
                    elif info.number == TAGS and info.wire_type == LENGTH:
                        tags.append(_text(document, info))
            elif field.number == SAVER_DEF:
                numbers = [part for part in _first(wire.scan(document, field)) if part.number == _SAVER_VERSION]
                saver_version = 0
                if numbers and numbers[-1].wire_type == VARINT:
                    saver_version = wire.signed(wire.number(document, numbers[-1]))
            signatures += field.number == SIGNATURE_DEF
            collections += field.number == COLLECTION_DEF
    except FormatError as error:
        damage = str(error)
    if saver_version == 0:  # SaverDef.LEGACY, which reads the old format
        saver_version = 1
    return MetaGraphLook(graph, version, tuple(tags), signatures, collections, saver_version, damage or graph.damage)


class _Nearby:
    """A document of which the bytes around the last question are kept, for thousands of small questions in a row."""

    def __init__(self, document: Readable) -> None:
        self._document = document
        self.size = document.size
        self._start = 0
        self._data = b""

    def read_at(self, offset: int, length: int) -> bytes:
        at = offset - self._start
        if at < 0 or at + length > len(self._data):
            if length >= _CACHED:
                return self._document.read_at(offset, length)
            self._start, at = offset, 0
            self._data = self._document.read_at(offset, min(_CACHED, self.size - offset))
        return self._data[at : at + length]


def name_and_op(document: Readable, node: Field) -> tuple[str, str]:
    """The name and the op of a node, the rest of it left alone.

    Raises:
        FormatError: The bytes are no node.
    """
    name = op = ""
    for part in wire.scan(document, node, window=128):
        if part.wire_type == LENGTH and part.number == _NAME:
            name = _text(document, part)
        elif part.wire_type == LENGTH and part.number == _OP:
            op = _text(document, part)
        elif name and op:  # both stand first in every file that TensorFlow wrote
            break
    return name, op


def _text(document: Readable, field: Field) -> str:
    if field.end - field.value_start > _MOST_NAME_BYTES:
        raise FormatError(f"a name has more than {_MOST_NAME_BYTES} bytes", field.start)
    return wire.text(document, field)


def _first(fields: Iterator[Field]) -> Iterator[Field]:
    return (field for field, _ in zip(fields, range(_MOST_FIELDS), strict=False))


def _count(document: Readable, parent: Field, number: int, most: int) -> int:
    count = 0
    for field in wire.scan(document, parent, window=128):
        count += field.number == number
        if count >= most:
            break
    return count


def _matches(document: Document) -> Iterator[re.Match[bytes]]:
    """Where the text of a graph begins a node or names an op; pieces overlap, so that nothing is cut in two."""
    position, before = 0, b""
    size = min(document.size, MOST_TEXT)
    while position < size:
        fresh = document.read_at(position, min(_CACHED, size - position))
        position += len(fresh)
        data = before + fresh
        is_last = position >= size
        end = 0
        for found in _TEXT_OP.finditer(data):
            if not is_last and found.end() > len(data) - _OVERLAP // 2:
                break
            end = found.end()
            yield found
        before = data[max(end, len(data) - _OVERLAP) :]
