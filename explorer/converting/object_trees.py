"""The objects that a checkpoint of TensorFlow 2 was written from: who is whose child, and where their values lie.

They stand in a ``TrackableObjectGraph``
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/trackable_object_graph.proto), which is
the one string of the entry ``_CHECKPOINTABLE_OBJECT_GRAPH``; a SavedModel's own checkpoint has one too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from explorer.converting.bundle import BundleTensor
from explorer.errors import FormatError
from explorer.savedmodel.checkpoint_index import OBJECT_GRAPH_KEY
from explorer.savedmodel.constants import DT_STRING
from explorer.savedmodel.object_graph import parsed
from explorer.savedmodel.records import read_varint

VALUE: Final = "VARIABLE_VALUE"
"""The attribute of an object that is a variable; tables and others have attributes of their own."""

_LARGEST: Final = 32 << 20  # in bytes; ten thousand variables with their optimizer come to a few mebibytes
_CHECKSUM_BYTES: Final = 4
_LONGEST_PATH: Final = 2000
_LONGEST_PATHS: Final = 128 << 20  # all of them together, in characters


@dataclass(frozen=True, slots=True)
class Attribute:
    """Something of an object that is stored.

    Attributes:
        name: What of the object it is: ``VALUE`` for a variable.
        full_name: What the program called the variable; may be empty.
        key: Where it lies in the checkpoint.
    """

    name: str
    full_name: str
    key: bytes


@dataclass(frozen=True, slots=True)
class ObjectTree:
    """The objects by number, the root being 0; an object may be the child of several, and of itself.

    Attributes:
        children: For each object, name → number of its children.
        attributes: For each object, what of it is stored.
    """

    children: tuple[Mapping[str, int], ...]
    attributes: tuple[tuple[Attribute, ...], ...]

    def paths(self) -> dict[int, str]:
        """The objects that the root leads to, nearest first, each with the shortest path to it; "" is the root.

        What lies at a path longer than that of any program's object is left out: a small file can hold a chain of
        objects whose paths together would fill the memory.
        """
        found = {0: ""}
        total = 0
        for number in (pending := [0]):
            for name, child in self.children[number].items():
                if child in found or len(found[number]) + len(name) >= _LONGEST_PATH or total > _LONGEST_PATHS:
                    continue
                found[child] = f"{found[number]}/{name}" if found[number] else name
                total += len(found[child])
                pending.append(child)
        return found


def read_object_tree(tensors: Mapping[bytes, BundleTensor]) -> ObjectTree | None:
    """The objects of a checkpoint.

    Args:
        tensors: What it holds.

    Returns:
        The objects; None where the checkpoint is one of named variables.

    Raises:
        FormatError: They are corrupt.
        SourceError: The data file can't be read.
    """
    stored = tensors.get(OBJECT_GRAPH_KEY.encode())
    if stored is None or stored.content is None:
        return None
    if stored.dtype_number != DT_STRING or stored.shape or not 5 <= stored.content.size_bytes <= _LARGEST:
        raise FormatError("the object graph of the checkpoint is corrupt")
    data = b"".join(stored.content.pieces())
    length, width = read_varint(data, 0)
    if width + _CHECKSUM_BYTES + length != len(data):
        raise FormatError("the object graph of the checkpoint is corrupt")
    graph = parsed("tensorflow.TrackableObjectGraph", data[width + _CHECKSUM_BYTES :], "the object graph")
    count = len(graph.nodes)
    if not count or any(not 0 <= child.node_id < count for node in graph.nodes for child in node.children):
        raise FormatError("the object graph of the checkpoint refers to objects that it doesn't have")
    return ObjectTree(
        tuple({child.local_name: child.node_id for child in node.children} for node in graph.nodes),
        tuple(
            tuple(Attribute(one.name, one.full_name, one.checkpoint_key.encode()) for one in node.attributes)
            for node in graph.nodes
        ),
    )
