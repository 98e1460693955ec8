"""The names in the object graph of a TensorFlow 2 model that signatures can clash or disagree with.

``tf.saved_model.load`` makes the root's children attributes and takes the signatures from the children of the
``signature_map`` node. Field numbers are those of ``tensorflow/core/protobuf/saved_object_graph.proto`` and
``trackable_object_graph.proto``; of each node only these few fields are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from explorer.errors import FormatError
from explorer.savedmodel import wire
from explorer.savedmodel.model import MetaGraph, frozen
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import OBJECT_GRAPH_DEF, fields_of, map_entry
from explorer.savedmodel.wire import LENGTH, VARINT, Field

# SavedObjectGraph.nodes, SavedObject.children, SavedObject.bare_concrete_function
_NODES, CHILDREN, _CONCRETE_FUNCTION = 1, 1, 8
# SavedObjectGraph.concrete_functions, SavedBareConcreteFunction.concrete_function_name
_CONCRETE_FUNCTIONS, _FUNCTION_NAME = 2, 1
# SavedConcreteFunction.output_signature, StructuredValue.dict_value, DictValue.fields (struct.proto)
_OUTPUT_SIGNATURE, _DICT_VALUE, _FIELDS = 4, 53, 1
# ObjectReference
_NODE_ID, LOCAL_NAME = 1, 2
# SavedBareConcreteFunction.argument_keywords
_ARGUMENT_KEYWORDS = 2

_SIGNATURES: Final = "signatures"
_SCAN_WINDOW: Final = 1 << 16


class Child(NamedTuple):
    """A named reference from one node of the object graph to another.

    Attributes:
        name: The name under which the child hangs.
        node_id: The position of the child among the nodes.
        field: The ``ObjectReference`` in the document.
    """

    name: str
    node_id: int
    field: Field


@dataclass(frozen=True, slots=True)
class ObjectNames:
    """Names in an object graph.

    Attributes:
        root: What the loaded object's attributes are called.
        signatures: Signature key → the keys of its inputs, None where the file doesn't list them; None in place of
            the mapping where the object graph has no signature map.
        outputs: Signature key → the keys of its outputs, for those whose file lists them.
    """

    root: frozenset[str]
    signatures: Mapping[str, frozenset[str] | None] | None
    outputs: Mapping[str, frozenset[str]] = field(default_factory=dict)


def read_object_names(meta_graph: MetaGraph) -> ObjectNames | None:
    """Reads the names in the object graph of a meta graph.

    Args:
        meta_graph: One that was read from a file.

    Returns:
        The names, or None where there is no object graph, or an empty one.

    Raises:
        FormatError: The object graph is corrupt.
    """
    nodes = object_nodes(meta_graph)
    if not nodes or meta_graph.document is None:
        return None
    root = frozenset(child.name for child in read_children(meta_graph.document, nodes[0]))
    signatures = signature_children(meta_graph)
    if signatures is None:
        return ObjectNames(root, None)
    keywords = {child.name: _keywords(meta_graph.document, _node(nodes, child.node_id)) for child in signatures}
    functions = {
        child.name: wire.text(meta_graph.document, name, "the name of a function")
        for child in signatures
        for function in fields_of(meta_graph.document, _node(nodes, child.node_id), _CONCRETE_FUNCTION)
        for name in fields_of(meta_graph.document, function, _FUNCTION_NAME)
    }
    answers = _output_keys(meta_graph, set(functions.values()))
    outputs = {key: answers[name] for key, name in functions.items() if name in answers}
    return ObjectNames(root, frozen(keywords), frozen(outputs))


def _output_keys(meta_graph: MetaGraph, functions: set[str]) -> dict[str, frozenset[str]]:
    """Function → the keys of what it returns, for those that return a mapping."""
    document = meta_graph.document
    assert document is not None
    found: dict[str, frozenset[str]] = {}
    for graph in fields_of(document, meta_graph.field, OBJECT_GRAPH_DEF):
        for entry in wire.scan(document, graph, _SCAN_WINDOW):
            if entry.number != _CONCRETE_FUNCTIONS or entry.wire_type != LENGTH:
                continue
            name, _, value = map_entry(document, entry)
            if name in functions and value is not None:
                for output in fields_of(document, value, _OUTPUT_SIGNATURE):
                    for mapping in fields_of(document, output, _DICT_VALUE):
                        keys = [map_entry(document, pair)[0] for pair in fields_of(document, mapping, _FIELDS)]
                        found[name] = frozenset(keys)
    return found


def object_nodes(meta_graph: MetaGraph) -> list[Field]:
    """The nodes of the object graph by position; none where there is no object graph.

    Raises:
        FormatError: The object graph is corrupt.
    """
    document = meta_graph.document
    if document is None or not meta_graph.has_object_graph:
        return []
    return [
        node
        for graph in fields_of(document, meta_graph.field, OBJECT_GRAPH_DEF)
        for node in wire.scan(document, graph, _SCAN_WINDOW)
        if node.number == _NODES and node.wire_type == LENGTH
    ]


def signature_children(meta_graph: MetaGraph) -> tuple[Child, ...] | None:
    """The names that ``tf.saved_model.load`` gives the signatures.

    Args:
        meta_graph: One that was read from a file.

    Returns:
        The children of the signature map, or None where the object graph has no signature map.

    Raises:
        FormatError: The object graph is corrupt.
    """
    node = signature_map(meta_graph)
    return None if node is None or meta_graph.document is None else read_children(meta_graph.document, node)


def signature_map(meta_graph: MetaGraph) -> Field | None:
    """The node whose children are the signatures, or None where the object graph has none."""
    nodes = object_nodes(meta_graph)
    if not nodes or meta_graph.document is None:
        return None
    for child in read_children(meta_graph.document, nodes[0]):
        if child.name == _SIGNATURES:
            return _node(nodes, child.node_id)
    return None


def read_children(document: Document, node: Field) -> tuple[Child, ...]:
    """The children of a node, in file order."""
    children = []
    for reference in fields_of(document, node, CHILDREN):
        name, node_id = "", 0
        for part in wire.scan(document, reference):
            if part.number == _NODE_ID and part.wire_type == VARINT:
                node_id = wire.number(document, part)
            elif part.number == LOCAL_NAME:
                name = wire.text(document, part, "a name in the object graph")
        children.append(Child(name, node_id, reference))
    return tuple(children)


def _node(nodes: list[Field], node_id: int) -> Field:
    if node_id >= len(nodes):
        raise FormatError(f"the object graph refers to node {node_id}, but has only {len(nodes)}")
    return nodes[node_id]


def _keywords(document: Document, node: Field) -> frozenset[str] | None:
    functions = fields_of(document, node, _CONCRETE_FUNCTION)
    if not functions:
        return None
    return frozenset(
        wire.text(document, keyword, "the name of an argument")
        for function in functions
        for keyword in fields_of(document, function, _ARGUMENT_KEYWORDS)
    )
