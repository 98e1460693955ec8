"""The nodes of a GraphDef, found in one pass over its bytes; attributes are left where they stand.

The pass is written out in one loop on purpose: it meets every field of every node, half a million in a graph of 50,000
nodes, and a call for each would triple its time. Large nodes (constants) are stepped over, not read. Field numbers are
those of ``graph.proto`` and ``node_def.proto`` in ``tensorflow/core/framework``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from explorer.errors import FormatError
from explorer.savedmodel import records, wire
from explorer.savedmodel.attributes import Attribute
from explorer.savedmodel.overlay import BytesSource, Document
from explorer.savedmodel.reader import map_entry
from explorer.savedmodel.wire import LENGTH, Field, read_varint

# GraphDef
NODE, LIBRARY = 1, 2
# NodeDef
NAME, OP, INPUT, DEVICE, ATTR = 1, 2, 3, 4, 5

_NODE_TAG: Final = NODE << 3 | LENGTH
_NAME_TAG: Final = NAME << 3 | LENGTH
_OP_TAG: Final = OP << 3 | LENGTH
_INPUT_TAG: Final = INPUT << 3 | LENGTH
_DEVICE_TAG: Final = DEVICE << 3 | LENGTH
_ATTR_TAG: Final = ATTR << 3 | LENGTH
_ENTRY_KEY: Final = 1 << 3 | LENGTH
_ENTRY_VALUE: Final = 2 << 3 | LENGTH

_WINDOW: Final = 1 << 17
"""What one read fetches; a node that is larger is read field by field."""


class Node:
    """An operation of the graph.

    Attributes:
        name: Its name, by which tensors and other nodes refer to it.
        op: The operation: ``MatMul``, or the name of a function of the model.
        inputs: What it takes, as the file says it: ``x`` and ``x:1`` for tensors, ``^x`` for a node that runs before.
        device: Where it was placed; mostly empty.
    """

    __slots__ = ("_document", "_end", "_start", "device", "inputs", "name", "op")

    def __init__(
        self, name: str, op: str, inputs: tuple[str, ...], device: str, document: Document, start: int, end: int
    ) -> None:
        self.name = name
        self.op = op
        self.inputs = inputs
        self.device = device
        self._document = document
        self._start = start
        self._end = end

    @property
    def size_bytes(self) -> int:
        """How many bytes the serialized NodeDef has."""
        return self._end - self._start

    @property
    def position(self) -> int:
        """Where its NodeDef begins, in bytes of the graph."""
        return self._start

    def to_bytes(self) -> bytes:
        """The serialized NodeDef; that of a large constant is as large."""
        return self._document.read_at(self._start, self.size_bytes)

    @property
    def attrs(self) -> Mapping[str, Attribute]:
        """The attributes by name; of a large node, such as a constant, only their places are read.

        Raises:
            FormatError: The node's bytes are corrupt.
        """
        if self.size_bytes > _WINDOW:
            return self._attrs_in_place()
        data = self._document.read_at(self._start, self.size_bytes)
        source = BytesSource(data)
        found: dict[str, Attribute] = {}
        for tag, start, end in _fields(data, 0, len(data)):
            if tag != _ATTR_TAG:
                continue
            name, value_start, value_end = "", end, end
            for inner, inner_start, inner_end in _fields(data, start, end):
                if inner == _ENTRY_KEY:
                    name = records.utf8_text(data[inner_start:inner_end], "the name of an attribute")
                elif inner == _ENTRY_VALUE:
                    value_start, value_end = inner_start, inner_end
            found[name] = Attribute(source, value_start, value_end)
        return found

    def _attrs_in_place(self) -> dict[str, Attribute]:
        node = Field(NODE, LENGTH, self._start, self._start, self._end)
        found: dict[str, Attribute] = {}
        for field in wire.scan(self._document, node):
            if field.number == ATTR and field.wire_type == LENGTH:
                name, _, value = map_entry(self._document, field)
                start, end = (field.end, field.end) if value is None else (value.value_start, value.end)
                found[name] = Attribute(self._document, start, end)
        return found

    def __repr__(self) -> str:
        return f"Node({self.name!r}, {self.op!r}, {self.inputs!r})"


class GraphFields(NamedTuple):
    """What one pass over a GraphDef finds.

    Attributes:
        nodes: The nodes by name; of two with one name the last.
        node_count: How many nodes the file has.
        libraries: Where function libraries stand; one, in every file that TensorFlow wrote.
    """

    nodes: dict[str, Node]
    node_count: int
    libraries: list[Field]


def read_nodes(document: Document, start: int = 0) -> GraphFields:
    """Finds the nodes of a GraphDef.

    Args:
        document: The bytes of the GraphDef, and nothing else.
        start: Where to begin, in bytes: what stands before was read earlier.

    Returns:
        The nodes, and where the functions stand.

    Raises:
        FormatError: The bytes are no GraphDef, or a corrupt one.
    """
    nodes: dict[str, Node] = {}
    ops: dict[bytes, str] = {}
    libraries: list[Field] = []
    count = base = 0
    position = start
    size = document.size
    buffer = b""
    try:
        while position < size:
            at = position - base
            if at + 20 > len(buffer) and base + len(buffer) < size:
                base, buffer, at = position, document.read_at(position, min(_WINDOW, size - position)), 0
            if buffer[at] != _NODE_TAG:
                field = next(wire.scan(document, Field(0, LENGTH, position, position, size)))
                if field.number == LIBRARY and field.wire_type == LENGTH:
                    libraries.append(field)
                elif field.number == NODE:
                    raise FormatError("a node of the graph is a number where a message was expected", position)
                position = field.end
                continue
            length, at = read_varint(buffer, at + 1)
            start = base + at
            position = start + length
            if position > size:
                raise FormatError("a node of the graph is longer than the graph", start)
            count += 1
            if length > _WINDOW:
                node = _read_large_node(document, start, position)
                nodes[node.name] = node
                continue
            if at + length > len(buffer):
                base, buffer, at = start, document.read_at(start, min(_WINDOW, size - start)), 0
            end = at + length
            name = op = device = ""
            inputs: list[str] = []
            while at < end:
                tag = buffer[at]
                if tag & 7 == LENGTH and tag < 0x80:
                    size_of_part = buffer[at + 1]
                    at += 2
                    if size_of_part >= 0x80:
                        size_of_part, at = read_varint(buffer, at - 1)
                    stop = at + size_of_part
                    if tag == _ATTR_TAG:
                        pass
                    elif tag == _INPUT_TAG:
                        inputs.append(buffer[at:stop].decode())
                    elif tag == _NAME_TAG:
                        name = buffer[at:stop].decode()
                    elif tag == _OP_TAG:
                        raw = buffer[at:stop]
                        known = ops.get(raw)
                        op = known if known is not None else ops.setdefault(raw, raw.decode())
                    elif tag == _DEVICE_TAG:
                        device = buffer[at:stop].decode()
                    at = stop
                else:
                    whole = Field(0, LENGTH, base + at, base + at, position)
                    at = next(wire.scan(document, whole)).end - base
            if at != end:
                raise FormatError("a field of a node is longer than the node", start)
            nodes[name] = Node(name, op, tuple(inputs), device, document, start, position)
    except IndexError:
        raise FormatError("the graph ends in the middle of a node", position) from None
    except UnicodeDecodeError:
        raise FormatError("a name in the graph is not UTF-8 text", position) from None
    return GraphFields(nodes, count, libraries)


def _read_large_node(document: Document, start: int, end: int) -> Node:
    name = op = device = ""
    inputs: list[str] = []
    for field in wire.scan(document, Field(NODE, LENGTH, start, start, end)):
        if field.wire_type != LENGTH or field.number == ATTR:
            continue
        if field.number == NAME:
            name = wire.text(document, field, "the name of a node")
        elif field.number == OP:
            op = wire.text(document, field, "the op of a node")
        elif field.number == INPUT:
            inputs.append(wire.text(document, field, "the input of a node"))
        elif field.number == DEVICE:
            device = wire.text(document, field, "the device of a node")
    return Node(name, op, tuple(inputs), device, document, start, end)


def _fields(data: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """The length-delimited fields of a part of ``data``: tag, first byte and end of each payload."""
    found = []
    try:
        while at < end:
            start = at
            tag, at = read_varint(data, at)
            if tag & 7 == LENGTH:
                length, at = read_varint(data, at)
                found.append((tag, at, at + length))
                at += length
            else:
                at = next(wire.scan(BytesSource(data), Field(0, LENGTH, start, start, end))).end
    except IndexError:
        raise FormatError("a node of the graph ends in the middle of a field") from None
    if at != end:
        raise FormatError("a field of a node is longer than the node")
    return found
