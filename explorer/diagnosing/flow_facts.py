"""What the file says about one node of a flow: the tensors that it gives, how large what it holds is, what it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from explorer.diagnosing.flow_bodies import ENDS, LEAVES, OUTPUT, RESULT, TABLE, VARIABLE, Body, Source, function_body
from explorer.diagnosing.flow_calls import called_functions, is_call, node_of
from explorer.errors import FormatError
from explorer.savedmodel.assets import read_assets
from explorer.savedmodel.constants import REF_OFFSET
from explorer.savedmodel.default_values import printable_default
from explorer.savedmodel.graph import Graph, split_tensor_name
from explorer.savedmodel.inner_tensors import called_function, node_results
from explorer.savedmodel.model import DType, MetaGraph, Shape
from explorer.savedmodel.object_graph import node_message

_BITS: Final = {
    1: 32, 2: 64, 3: 32, 4: 8, 5: 16, 6: 8, 8: 64, 9: 64, 10: 8, 11: 8, 12: 8, 13: 32, 14: 16, 15: 16, 16: 16, 17: 16,
    18: 128, 19: 16, 22: 32, 23: 64, 24: 8, 25: 8, 26: 8, 27: 8, 28: 8, 29: 4, 30: 4, 31: 2, 32: 2, 33: 4,
}  # fmt: skip
"""How many bits one element has, by the number of its dtype; texts and handles have no fixed size."""

_FILLED_FROM_KEYS = frozenset(
    {"InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2", "LookupTableInsertV2"}
)
_FILLED_FROM_FILE = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
_SMALL = 1 << 16  # bytes; a larger constant is described without being read
_MOST_OUTPUTS = 1000
_MOST_CALLS_DEEP = 20


@dataclass(frozen=True, slots=True)
class Given:
    """A tensor that a node gives, or takes in for the model.

    Attributes:
        dtype: Its dtype; number 0 where the file doesn't say.
        shape: Its shape; of unknown rank where the file doesn't say.
    """

    dtype: DType
    shape: Shape

    def __str__(self) -> str:
        if not self.dtype.number:
            return "" if self.shape.dims is None else str(self.shape)
        # An unknown rank says nothing, and most functions of TensorFlow 2 are full of them.
        return str(self.dtype) if self.shape.dims is None else f"{self.dtype}{self.shape}"

    @property
    def size_bytes(self) -> int | None:
        """How many bytes its values have; None where that isn't known."""
        bits = _BITS.get(self.dtype.base.number)
        if bits is None or self.shape.dims is None:
            return None
        count = 1
        for dim in self.shape.dims:
            if dim is None or dim < 0:
                return None
            count *= dim
        return (count * bits + 7) // 8


@dataclass(frozen=True, slots=True)
class Held:
    """What a variable, a constant or a table holds.

    Attributes:
        text: Its dtype and shape, or those of keys and values.
        size_bytes: How large it is; None where the graph doesn't say.
        note: The value of a short constant, the entries or the file of a table; else empty.
    """

    text: str
    size_bytes: int | None = None
    note: str = ""


def outputs_of(graph: Graph, body: Body, number: int) -> tuple[Given, ...]:
    """The tensors that a node gives, in order; for an argument what it brings, for a result what it is given."""
    kind = body.kinds[number]
    if number in body.fed_tensors:
        tensor = graph.tensor(_with_index(body.fed_tensors[number]))
        return () if tensor is None else (Given(tensor.dtype, tensor.shape),)
    if kind in ENDS:
        return _argument(body, number)
    if body.definition is None:
        name = body.names[number]
        count = min(graph.output_count(name) or 0, _MOST_OUTPUTS)
        tensors = (graph.tensor(f"{name}:{index}") for index in range(count))
        return tuple(Given(tensor.dtype, tensor.shape) for tensor in tensors if tensor is not None)
    message = body.messages[number]
    shapes = _shapes(message.attr)
    dtypes = [dtype for _, found in node_results(graph, message, lambda _: None) for dtype in found][:_MOST_OUTPUTS]
    return tuple(Given(dtype, _at(shapes, index)) for index, dtype in enumerate(dtypes))


def output_index(graph: Graph, body: Body, source: Source) -> int:
    """Which of a node's outputs an edge takes, counted through all of them."""
    number, port = source
    if not port:
        return 0
    result, _, place = port.rpartition(":")
    index = int(place) if place.isascii() and place.isdecimal() and len(place) < 9 else 0
    if not result or number < 0 or body.definition is None:
        return index
    before = 0
    for name, dtypes in node_results(graph, body.messages[number], lambda _: None):
        if name == result:
            return before + index
        before += len(dtypes)
    return index


def held_by(meta_graph: MetaGraph, graph: Graph, body: Body, number: int) -> Held | None:
    """What a leaf holds; None for what is no leaf."""
    kind = body.kinds[number]
    if kind not in LEAVES:
        return None
    message = node_of(graph, body, number) if _node_size(graph, body, number) < _SMALL else None
    if kind == TABLE:
        return _table(meta_graph, graph, body.names[number], message)
    if kind == VARIABLE:
        given = Given(DType(0), Shape(None)) if message is None else _declared(message)
        return Held(str(given), given.size_bytes)
    found = outputs_of(graph, body, number)
    given = found[0] if found else Given(DType(0), Shape(None))
    value = ""
    if message is not None and "value" in message.attr:
        tensor = message.attr["value"].tensor
        if given.shape.dims is None:
            given = Given(DType(tensor.dtype), _shape(tensor.tensor_shape))
        text = printable_default(tensor.SerializeToString())
        value = text if text != "unreadable" and "[" not in text[1:] else ""
    return Held(str(given), given.size_bytes, f"= {value}" if value else "")


def _node_size(graph: Graph, body: Body, number: int) -> int:
    if body.definition is not None:
        return 0
    node = graph.nodes.get(body.names[number])
    return 0 if node is None else node.size_bytes


def _declared(message: Any) -> Given:
    """What the attributes of a variable's node say that it holds."""
    number = message.attr["dtype"].type if "dtype" in message.attr else 0
    shape = _shape(message.attr["shape"].shape) if "shape" in message.attr else Shape(None)
    return Given(DType(number - REF_OFFSET if DType(number).is_ref else number), shape)


def _table(meta_graph: MetaGraph, graph: Graph, name: str, message: Any) -> Held:
    text = ""
    if message is not None:
        types = [DType(message.attr[one].type) for one in ("key_dtype", "value_dtype") if one in message.attr]
        text = " to ".join(map(str, types))
    for op, keys in _fillings(graph, name):
        source = graph.nodes.get(split_tensor_name(keys)[0])
        if source is None:
            continue
        if op in _FILLED_FROM_FILE:
            assets = {split_tensor_name(asset.tensor_name)[0]: asset.filename for asset in read_assets(meta_graph)}
            asset = assets.get(_assigned(graph, source.name))
            if asset is not None:
                return Held(text, None, f"from {asset}")
        elif (tensor := graph.tensor(f"{source.name}:0")) is not None and tensor.shape.dims is not None:
            dims = tensor.shape.dims
            if len(dims) == 1 and dims[0] is not None:
                return Held(text, None, "1 entry" if dims[0] == 1 else f"{dims[0]} entries")
    return Held(text)


def _assigned(graph: Graph, name: str) -> str:
    """The node whose value one has: in TensorFlow 2 the path of an asset goes through a variable."""
    node = graph.nodes[name]
    if node.op != "ReadVariableOp" or not node.inputs:
        return name
    for consumer in graph.consumers().get(split_tensor_name(node.inputs[0])[0], ()):
        taker = graph.nodes[consumer]
        if taker.op == "AssignVariableOp" and len(taker.inputs) > 1:
            return split_tensor_name(taker.inputs[1])[0]
    return name


def _fillings(graph: Graph, table: str) -> Iterator[tuple[str, str]]:
    """What fills a table: the op, and the node of the graph that gives it the keys or the name of the file."""
    for name in graph.consumers().get(table, ()):
        node = graph.nodes[name]
        edges = [edge for edge in node.inputs if edge[:1] != "^"]
        if node.op in _FILLED_FROM_KEYS | _FILLED_FROM_FILE and len(edges) > 1:
            yield node.op, edges[1]
            continue
        called = _called_by(graph, name)
        if called is None:
            continue
        place = next((place for place, edge in enumerate(edges) if split_tensor_name(edge)[0] == table), None)
        if place is not None:
            for op, position in _inner_fillings(graph, called, place, _MOST_CALLS_DEEP):
                if position < len(edges):
                    yield op, edges[position]


def _inner_fillings(graph: Graph, function: str, place: int, depth: int) -> Iterator[tuple[str, int]]:
    """Inside a function that is given a table: the op that fills it, and which argument names keys or file."""
    try:
        body = function_body(graph, function)
    except FormatError:
        return
    positions = {number: position for position, number in enumerate(body.arguments)}
    table = body.arguments[place] if place < len(body.arguments) else -1
    if table < 0 or depth == 0:
        return
    for number in body.consumers[table]:
        sources = [source for source, _ in body.inputs[number]]
        if body.ops[number] in _FILLED_FROM_KEYS | _FILLED_FROM_FILE and len(sources) > 1:
            if sources[1] in positions:
                yield body.ops[number], positions[sources[1]]
            continue
        called = called_functions(graph, body, number)
        if is_call(body.ops[number], called):
            for op, position in _inner_fillings(graph, called[0].function, sources.index(table), depth - 1):
                if position < len(sources) and sources[position] in positions:
                    yield op, positions[sources[position]]


def _called_by(graph: Graph, name: str) -> str | None:
    """The function that a node of the graph calls and is nothing else."""
    node = graph.nodes[name]
    if not graph.function_count or node.op in ("Const", "Identity", "NoOp"):
        return None
    return called_function(node_message(node), graph.function)


def _argument(body: Body, number: int) -> tuple[Given, ...]:
    if body.definition is None:
        return ()
    signature = body.definition.signature
    if body.kinds[number] in (RESULT, OUTPUT):
        place = body.results.index(number)
        return (Given(DType(signature.output_arg[place].type), Shape(None)),)
    place = body.arguments.index(number)
    attrs = body.definition.arg_attr[place].attr if place in body.definition.arg_attr else {}
    return (Given(DType(signature.input_arg[place].type), _at(_shapes(attrs), 0)),)


def _with_index(tensor_name: str) -> str:
    return tensor_name if split_tensor_name(tensor_name)[1] is not None else f"{tensor_name}:0"


def _shapes(attrs: Any) -> list[Any]:
    return list(attrs["_output_shapes"].list.shape) if "_output_shapes" in attrs else []


def _at(shapes: list[Any], index: int) -> Shape:
    return Shape(None) if index >= len(shapes) else _shape(shapes[index])


def _shape(shape: Any) -> Shape:
    if shape.unknown_rank:
        return Shape(None)
    return Shape(tuple(None if dim.size == -1 else dim.size for dim in shape.dim))
