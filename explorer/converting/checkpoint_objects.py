"""The names at the root of a TensorFlow 2 checkpoint's object graph: what the program called the things it saved.

The graph is a ``TrackableObjectGraph``
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/trackable_object_graph.proto), stored as
the one string of the entry ``_CHECKPOINTABLE_OBJECT_GRAPH``. It lists every object; only the first node, the root, is
read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from explorer.errors import FormatError, printable_name
from explorer.savedmodel import wire
from explorer.savedmodel.checkpoint_index import OBJECT_GRAPH_KEY
from explorer.savedmodel.overlay import Document, FileSource, Piece
from explorer.savedmodel.records import iter_fields, read_varint
from explorer.savedmodel.table import read_table
from explorer.savedmodel.wire import LENGTH, VARINT, signed

_MOST_NAMES: Final = 1000
_HEAD: Final = 10
_CHECKSUM_BYTES: Final = 4
# BundleEntryProto: shard_id, offset, size
_PLACES: Final = (3 << 3 | VARINT, 4 << 3 | VARINT, 5 << 3 | VARINT)
# TrackableObjectGraph.nodes; TrackableObject.children; ObjectReference.local_name
_NODES, _CHILDREN, _LOCAL_NAME = 1, 1, 2


def root_names(index: bytes, data_files: Iterable[Path], num_shards: int) -> tuple[str, ...]:
    """The names of the root's children, in the order of the file.

    Args:
        index: The content of the checkpoint's ``.index``.
        data_files: Its data files.
        num_shards: How many the index speaks of.

    Returns:
        The names; none where there is no object graph or its data file is not there.

    Raises:
        FormatError: The object graph is corrupt.
        SourceError: A file can't be read.
    """
    place = _place(index)
    if place is None:
        return ()
    shard, offset, size = place
    ending = f".data-{shard:05d}-of-{num_shards:05d}"
    file = next((file for file in data_files if file.name.endswith(ending)), None)
    if file is None:
        return ()
    source = FileSource(str(file))
    head = source.read_at(offset, min(_HEAD, size))
    length, width = read_varint(head, 0)
    start = offset + width + _CHECKSUM_BYTES
    if offset + size > source.size or start + length != offset + size:
        raise FormatError("the object graph of the checkpoint is not where the index says")
    document = Document([Piece(source, start, length)])
    root = next((field for field in wire.scan(document) if field.number == _NODES and field.wire_type == LENGTH), None)
    if root is None:
        return ()
    children = (field for field in wire.scan(document, root) if field.number == _CHILDREN and field.wire_type == LENGTH)
    names = (_local_name(document, child) for child in itertools.islice(children, _MOST_NAMES))
    return tuple(name for name in names if name)


def _local_name(document: Document, child: wire.Field) -> str:
    found = ""
    for field in wire.scan(document, child, window=128):
        if field.number == _LOCAL_NAME and field.wire_type == LENGTH:
            found = wire.text(document, field, "the name of an object")
    return printable_name(found)


def _place(index: bytes) -> tuple[int, int, int] | None:
    """Data file, offset and size of the object graph."""
    wanted = OBJECT_GRAPH_KEY.encode()
    for key, value in read_table(index):
        if key == wanted:
            numbers = dict.fromkeys(_PLACES, 0)
            for tag, number, _ in iter_fields(value):
                if tag in numbers:
                    numbers[tag] = signed(number)
            shard, offset, size = numbers.values()
            return (shard, offset, size) if min(shard, offset, size) >= 0 else None
        if key > wanted:
            break
    return None
