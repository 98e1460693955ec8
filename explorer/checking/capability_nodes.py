"""The nodes that a search for capabilities has to look at, found in one pass over the bytes of a graph.

Of every node of the graph and of every function of the library the op is read, and nothing else; a node whose op only
computes costs no more. Nodes and functions of one name, which an ordinary reader merges, are all looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from explorer.checking.capability_attributes import attribute_entry, fields_of_kind, functions_of, short_text
from explorer.checking.capability_ops import carries_functions, way_into
from explorer.errors import FormatError
from explorer.savedmodel import nodes, wire
from explorer.savedmodel.constants import DT_STRING
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.overlay import BytesSource, Document
from explorer.savedmodel.reader import GRAPH_DEF, fields_of, map_entry
from explorer.savedmodel.wire import LENGTH, Field, read_varint

Way = Literal["call", "branch", "loop", "dataset", "map"]

# FunctionDefLibrary
_FUNCTION, _GRADIENT, _REGISTERED_GRADIENT = 1, 2, 3
# FunctionDef; OpDef.name and OpDef.input_arg; OpDef.ArgDef.name
_SIGNATURE, _NODE_DEF, _FUNCTION_ATTR = 1, 3, 5
_NAME, _INPUT_ARG = 1, 2
# GradientDef
_GRADIENT_OF, _GRADIENT_FUNCTION = 1, 2
# AttrValue; TensorProto
_TEXT, _TENSOR = 2, 8
_TENSOR_TYPE, _TENSOR_TEXT = 1, 8

_OP_TAG: Final = nodes.OP << 3 | LENGTH
_WINDOW: Final = 1 << 17
_MOST_TEXTS: Final = 16
_MOST_SPOTS: Final = 300_000
_MOST_FUNCTIONS: Final = 300_000
_IMPLEMENTS: Final = "api_implements"


class Call(NamedTuple):
    """A function that a node names.

    Attributes:
        function: Its name.
        way: How the node runs it.
    """

    function: str
    way: Way


class Spot:
    """A node that has to be looked at.

    Attributes:
        name: Its name.
        op: Its op.
        inputs: What it takes, as the file says it.
        calls: The functions that its attributes name.
        function: The function that it stands in; empty for the graph.
    """

    __slots__ = ("_document", "_place", "calls", "function", "inputs", "name", "op")

    def __init__(self, document: Document, place: Field, function: str = "") -> None:
        self._document = document
        self._place = place
        self.function = function
        self.name = self.op = ""
        inputs: list[str] = []
        attributes: list[Field] = []
        source, node = self._source()
        for part in wire.scan(source, node, _WINDOW):
            if part.wire_type != LENGTH:
                continue
            if part.number == nodes.ATTR:
                attributes.append(part)
            elif part.number == nodes.NAME:
                self.name = wire.text(source, part, "the name of a node")
            elif part.number == nodes.OP:
                self.op = wire.text(source, part, "the op of a node")
            elif part.number == nodes.INPUT:
                inputs.append(wire.text(source, part, "the input of a node"))
        self.inputs = tuple(inputs)
        if carries_functions(self.op):
            way = way_into(self.op)
            names = [name for part in attributes for name in functions_of(source, part)]
            self.calls: tuple[Call, ...] = tuple(Call(name, way) for name in names)
        else:
            self.calls = ()

    def _source(self) -> tuple[wire.Readable, Field]:
        """Its bytes; of a large node, such as a constant, the whole document, of which only parts are read."""
        node = self._place
        size = node.end - node.value_start
        if size > _WINDOW:
            return self._document, node
        source = BytesSource(self._document.read_at(node.value_start, size))
        return source, Field(node.number, LENGTH, 0, 0, size)

    def _attribute(self, attr: str) -> tuple[wire.Readable, Field | None]:
        source, node = self._source()
        found = None
        for part in fields_of_kind(source, node, nodes.ATTR):
            name, value = attribute_entry(source, part)
            if name == attr:
                found = value
        return source, found

    def has(self, attr: str) -> bool:
        """Whether it has an attribute."""
        return self._attribute(attr)[1] is not None

    def text(self, attr: str) -> str | None:
        """The text of an attribute; None where it hasn't it, or it is none, as one that a caller fills in."""
        source, value = self._attribute(attr)
        found = None
        for part in () if value is None else wire.scan(source, value):
            found = short_text(source, part) if part.number == _TEXT else None
        return found

    def texts(self) -> tuple[str, ...] | None:
        """The texts of a constant; None where it is no constant, or one of something else, or a large one."""
        if self.op != "Const":
            return None
        source, value = self._attribute("value")
        found: list[str] = []
        for tensor in () if value is None else fields_of_kind(source, value, _TENSOR):
            for part in wire.scan(source, tensor):
                if part.number == _TENSOR_TYPE and wire.number(source, part) != DT_STRING:
                    return None
                if part.number == _TENSOR_TEXT:
                    text = short_text(source, part)
                    if text is None or len(found) >= _MOST_TEXTS:
                        return None
                    found.append(text)
        return tuple(found)


@dataclass(slots=True)
class Body:
    """A function, or the graph.

    Attributes:
        name: The function's name; empty for the graph.
        arguments: The names of its arguments.
        spots: The nodes in it that have to be looked at.
        places: Where the function stands in the document; several where the file has several of that name.
        implements: What it is one implementation of: TensorFlow may run another one in its place.
        holds_variables: Whether it makes handles of variables by their names.
    """

    name: str = ""
    arguments: tuple[str, ...] = ()
    spots: list[Spot] = field(default_factory=list)
    places: list[Field] = field(default_factory=list)
    implements: str = ""
    holds_variables: bool = False


@dataclass(frozen=True, slots=True)
class Bodies:
    """What one pass over a graph finds.

    Attributes:
        document: The bytes.
        graph: The graph itself.
        functions: The functions of its library by name.
        gradients: Pairs of a function and the function that computes its gradient.
    """

    document: Document
    graph: Body
    functions: Mapping[str, Body]
    gradients: tuple[tuple[str, str], ...]


def read_bodies(meta_graph: MetaGraph, wanted: Callable[[str], bool]) -> Bodies:
    """Finds the nodes of a meta graph that have to be looked at.

    Args:
        meta_graph: One that was read from a file.
        wanted: Tells of an op whether its nodes are wanted; asked once for each op.

    Raises:
        FormatError: The graph is corrupt, or the meta graph was made from data.
    """
    document = meta_graph.document
    if document is None or meta_graph.field is None:
        raise FormatError("a meta graph that was made from data has no graph; open a SavedModel to look into one")
    known: dict[bytes, bool] = {}

    def is_wanted(op: bytes) -> bool:
        found = known.get(op)
        if found is None:
            try:
                found = known[op] = wanted(op.decode())
            except UnicodeDecodeError:
                raise FormatError("the op of a node is not UTF-8 text") from None
        return found

    count = function_count = 0

    def counted(found: Field) -> Field:
        nonlocal count
        count += 1
        if count > _MOST_SPOTS:
            raise FormatError(
                f"the graph has more than {_MOST_SPOTS} nodes that call functions or reach out of it, which is no "
                "model that anybody made: it is not looked through"
            )
        return found

    graph = Body()
    functions: dict[str, Body] = {}
    gradients: list[tuple[str, str]] = []
    for graph_def in fields_of(document, meta_graph.field, GRAPH_DEF):
        for found in _interesting(document, graph_def, nodes.NODE, is_wanted):
            if found.number == nodes.NODE:
                graph.spots.append(Spot(document, counted(found)))
            elif found.number == nodes.LIBRARY and found.wire_type == LENGTH:
                for part in wire.scan(document, found, _WINDOW):
                    if part.wire_type != LENGTH:
                        continue
                    if part.number == _FUNCTION:
                        function_count += 1
                        if function_count > _MOST_FUNCTIONS:
                            raise FormatError(
                                f"the graph has more than {_MOST_FUNCTIONS} functions: it is not looked through"
                            )
                        _read_function(document, part, is_wanted, counted, functions)
                    elif part.number in (_GRADIENT, _REGISTERED_GRADIENT):
                        gradients.append(_read_gradient(document, part))
    return Bodies(document, graph, functions, tuple(gradients))


def node_places(bodies: Bodies, function: str) -> dict[str, Field]:
    """Where every node of a function stands in the document, by name."""
    found: dict[str, Field] = {}
    for place in bodies.functions[function].places:
        for node in _interesting(bodies.document, place, _NODE_DEF, lambda op: True):
            if node.number == _NODE_DEF:
                names = [wire.text(bodies.document, part) for part in fields_of_kind(bodies.document, node, nodes.NAME)]
                found[names[-1] if names else ""] = node
    return found


def _read_function(
    document: Document,
    place: Field,
    is_wanted: Callable[[bytes], bool],
    counted: Callable[[Field], Field],
    functions: dict[str, Body],
) -> None:
    places: list[Field] = []
    name = implements = ""
    arguments: list[str] = []
    holds_variables = False

    def wanted_here(op: bytes) -> bool:
        nonlocal holds_variables
        if op in (b"VarHandleOp", b"_VarHandlesOp"):
            holds_variables = True
        return is_wanted(op)

    for found in _interesting(document, place, _NODE_DEF, wanted_here):
        if found.wire_type != LENGTH:
            continue
        if found.number == _NODE_DEF:
            places.append(counted(found))
        elif found.number == _SIGNATURE:
            for part in wire.scan(document, found):
                if part.number == _NAME and part.wire_type == LENGTH:
                    name = wire.text(document, part, "the name of a function")
                elif part.number == _INPUT_ARG and part.wire_type == LENGTH:
                    names = [wire.text(document, inner) for inner in fields_of_kind(document, part, _NAME)]
                    arguments.append(names[-1] if names else "")
        elif found.number == _FUNCTION_ATTR:
            key, _, value = map_entry(document, found)
            if key == _IMPLEMENTS and value is not None:
                texts = [short_text(document, part) for part in fields_of_kind(document, value, _TEXT)]
                implements = (texts[-1] if texts else None) or ""
    body = functions.setdefault(name, Body(name))
    body.arguments = tuple(arguments)
    body.places.append(place)
    body.implements = implements or body.implements
    body.holds_variables = body.holds_variables or holds_variables
    body.spots += [Spot(document, found, name) for found in places]


def _read_gradient(document: Document, gradient: Field) -> tuple[str, str]:
    of = function = ""
    for part in wire.scan(document, gradient):
        if gradient.number == _REGISTERED_GRADIENT and part.number == _GRADIENT_OF:
            function = wire.text(document, part)  # RegisteredGradient.gradient_func, of an op
        elif gradient.number == _GRADIENT and part.number == _GRADIENT_OF:
            of = wire.text(document, part)
        elif gradient.number == _GRADIENT and part.number == _GRADIENT_FUNCTION:
            function = wire.text(document, part)
    return of, function


def _interesting(
    document: Document, parent: Field, node_number: int, is_wanted: Callable[[bytes], bool]
) -> Iterator[Field]:
    """The fields of a message that holds nodes, those nodes left out that nobody wants.

    It is one loop on purpose, like that of :mod:`explorer.savedmodel.nodes`: it meets every field of every node.
    """
    node_tag = node_number << 3 | LENGTH
    position, stop = parent.value_start, parent.end
    base, buffer = position, b""
    known: dict[bytes, bool] = {}
    try:
        while position < stop:
            at = position - base
            if at + 20 > len(buffer) and base + len(buffer) < stop:
                base, buffer, at = position, document.read_at(position, min(_WINDOW, stop - position)), 0
            if buffer[at] != node_tag:
                found = next(wire.scan(document, Field(0, LENGTH, position, position, stop, parent)))
                if found.number == node_number and found.wire_type != LENGTH:
                    raise FormatError("a node of the graph is a number where a message was expected", position)
                # A number may be written longer than it need be, which no writer does that has nothing to hide.
                if found.number != node_number or is_wanted(_op_in_place(document, found)):
                    yield found
                position = found.end
                continue
            start = position
            length, at = read_varint(buffer, at + 1)
            value_start = base + at
            position = value_start + length
            if position > stop:
                raise FormatError("a node is longer than what holds it", start)
            if length > _WINDOW:
                op = _op_in_place(document, Field(node_number, LENGTH, start, value_start, position))
            else:
                if at + length > len(buffer):
                    base, buffer, at = value_start, document.read_at(value_start, min(_WINDOW, stop - value_start)), 0
                end = at + length
                op = b""
                while at < end:
                    tag = buffer[at]
                    if tag & 7 == LENGTH and tag < 0x80:
                        size = buffer[at + 1]
                        at += 2
                        if size >= 0x80:
                            size, at = read_varint(buffer, at - 1)
                        if tag == _OP_TAG:
                            op = buffer[at : at + size]
                        at += size
                    else:
                        part = next(wire.scan(document, Field(0, LENGTH, base + at, base + at, position)))
                        if part.number == nodes.OP and part.wire_type == LENGTH:
                            op = wire.payload(document, part)
                        at = part.end - base
                if at != end:
                    raise FormatError("a field of a node is longer than the node", start)
            wanted = known.get(op)
            if wanted is None:
                wanted = known[op] = is_wanted(op)
            if wanted:
                yield Field(node_number, LENGTH, start, value_start, position)
    except IndexError:
        raise FormatError("the graph ends in the middle of a node", position) from None


def _op_in_place(document: Document, node: Field) -> bytes:
    op = b""
    for part in wire.scan(document, node):
        if part.number == nodes.OP and part.wire_type == LENGTH:
            op = wire.payload(document, part)
    return op
