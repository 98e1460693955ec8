"""The object graph of a TensorFlow 2 model as messages: what an edit of its functions looks things up in.

It is ``MetaGraphDef.object_graph_def``, a ``SavedObjectGraph``
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/saved_object_graph.proto). What only
lists names reads :mod:`explorer.savedmodel.object_names` instead, which needs no protobuf.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from explorer.errors import FormatError, quoted
from explorer.savedmodel.function_library import Function
from explorer.savedmodel.graph import Graph, Node
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.reader import OBJECT_GRAPH_DEF, fields_of
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.wire import payload

SIGNATURES: Final = "signatures"
"""The child of the root that holds the signatures."""


def read_object_graph(meta_graph: MetaGraph) -> Any:
    """The ``SavedObjectGraph`` of a meta graph, to look at and not to change.

    Args:
        meta_graph: One that was read from a file.

    Returns:
        The message, shared by all who ask while the file is open; None where there is no object graph.

    Raises:
        FormatError: It is corrupt.
    """
    document = meta_graph.document
    if document is None or not meta_graph.has_object_graph:
        return None
    fields = fields_of(document, meta_graph.field, OBJECT_GRAPH_DEF)
    pieces = tuple(piece for field in fields for piece in document.slice(field.value_start, field.end))
    kept = document.pieces[0].source.derived
    if (found := kept.get(("object graph", pieces))) is None:
        data = b"".join(payload(document, field) for field in fields)
        found = parsed("tensorflow.SavedObjectGraph", data, "the object graph")
        for known in [key for key in kept if isinstance(key, tuple) and key[0] == "object graph"]:
            del kept[known]  # an edit is looked at once; the one before it is not asked about again
        kept["object graph", pieces] = found
    return found


def read_function(graph: Graph, name: str) -> Any:
    """The ``FunctionDef`` of a function of the library; a message of the caller's own.

    Raises:
        FormatError: There is no such function, or it is corrupt.
    """
    return parsed("tensorflow.FunctionDef", _function(graph, name).to_bytes(), f"the function {quoted(name)}")


def read_outline(graph: Graph, name: str) -> Any:
    """The ``FunctionDef`` of a function without its large attributes, as the weights that constants hold.

    It says which nodes there are and how they hang together, and costs next to nothing where a function has a gigabyte
    of weights. It must not be written anywhere.

    Raises:
        FormatError: There is no such function, or it is corrupt.
    """
    return parsed("tensorflow.FunctionDef", _function(graph, name).outline(), f"the function {quoted(name)}")


def _function(graph: Graph, name: str) -> Function:
    function = graph.function(name)
    if function is None:
        raise FormatError(f"the graph's library has no function {quoted(name)}, though the model refers to it")
    return function


def node_message(node: Node) -> Any:
    """The ``NodeDef`` of a node of the graph; a message of the caller's own.

    Raises:
        FormatError: It is corrupt.
    """
    return parsed("tensorflow.NodeDef", node.to_bytes(), f"the node {quoted(node.name)}")


def new_message(name: str) -> Any:
    """An empty message of TensorFlow's, such as ``"NodeDef"``."""
    return message_class(f"tensorflow.{name}")()


def parsed(message: str, data: bytes, what: str) -> Any:
    """A message from its bytes.

    Raises:
        FormatError: They are no such message; ``what`` names it in the sentence.
    """
    from google.protobuf.message import DecodeError

    try:
        return message_class(message).FromString(data)
    except DecodeError:
        raise FormatError(f"{what} is corrupt") from None


def object_paths(object_graph: Any) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Every node that the root leads to, with the shortest path of names to it, nearest first."""
    seen = {0}
    pending: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    for node_id, path in pending:
        yield node_id, path
        if node_id >= len(object_graph.nodes):
            raise FormatError(f"the object graph refers to node {node_id}, but has only {len(object_graph.nodes)}")
        for child in object_graph.nodes[node_id].children:
            if child.node_id not in seen:
                seen.add(child.node_id)
                pending.append((child.node_id, (*path, child.local_name)))
