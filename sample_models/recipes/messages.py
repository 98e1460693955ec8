"""SavedModels written byte by byte, so that they can hold what TensorFlow would never write.

Field numbers are those of TensorFlow's protos: saved_model.proto, meta_graph.proto, graph.proto, node_def.proto,
op_def.proto and function.proto (https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

DT_FLOAT = 1
DT_STRING = 7
PREDICT = "tensorflow/serving/predict"

Value = int | str | bytes


def field(number: int, value: Value) -> bytes:
    """One field of a message: a number as varint, text and bytes with their length before them."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode("utf-8") if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def fields(number: int, values: Iterable[Value]) -> bytes:
    """A repeated field."""
    return b"".join(field(number, value) for value in values)


def entry(number: int, key: str, value: bytes) -> bytes:
    """One entry of a map from text to messages."""
    return field(number, field(1, key) + field(2, value))


def _varint(value: int) -> bytes:
    value %= 1 << 64  # negative numbers stand as two's complement in 64 bits
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def shape(dimensions: Sequence[int]) -> bytes:
    """A TensorShapeProto; -1 is an unknown dimension."""
    return fields(2, [field(1, size) for size in dimensions])


def tensor_info(tensor_name: str, dimensions: Sequence[int] = (-1,), dtype: int = DT_FLOAT) -> bytes:
    """A TensorInfo with the encoding ``name``."""
    return field(1, tensor_name) + field(2, dtype) + field(3, shape(dimensions))


def signature(inputs: Mapping[str, str], outputs: Mapping[str, str], method_name: str = PREDICT) -> bytes:
    """A SignatureDef over float32[?] tensors, given as ``{key: tensor name}``."""
    ins = b"".join(entry(1, key, tensor_info(name)) for key, name in inputs.items())
    outs = b"".join(entry(2, key, tensor_info(name)) for key, name in outputs.items())
    return ins + outs + field(3, method_name)


def placeholder(name: str, attributes: bytes = b"") -> bytes:
    """A NodeDef: float32[?] that is fed from outside."""
    known = _attribute("dtype", field(6, DT_FLOAT)) + _attribute("shape", field(7, shape([-1])))
    return field(1, name) + field(2, "Placeholder") + known + _output_shapes() + attributes


def identity(name: str, source: str) -> bytes:
    """A NodeDef: passes the float32[?] tensor ``source`` on."""
    head = field(1, name) + field(2, "Identity") + field(3, source)
    return head + _attribute("T", field(6, DT_FLOAT)) + _output_shapes()


def text_attribute(name: str, value: str) -> bytes:
    """An attribute of a NodeDef that holds text."""
    return _attribute(name, field(2, value))


def _attribute(name: str, value: bytes) -> bytes:
    return entry(5, name, value)


def _output_shapes() -> bytes:
    return _attribute("_output_shapes", field(1, field(7, shape([-1]))))


def function(name: str, argument: str, result: str, node_name: str) -> bytes:
    """A FunctionDef of one float32 argument that gives it back through one Identity node."""
    op = field(1, name) + _argument(2, argument, dtype=DT_FLOAT) + _argument(3, result, dtype=DT_FLOAT)
    node = identity(node_name, argument)
    returned = field(4, field(1, result) + field(2, f"{node_name}:output:0"))
    return field(1, op) + field(3, node) + returned


def graph(nodes: Iterable[bytes], functions: Iterable[bytes] = ()) -> bytes:
    """A GraphDef."""
    library = fields(1, functions)
    return fields(1, nodes) + (field(2, library) if library else b"") + field(4, field(1, 1987))


def meta_graph(tags: Iterable[str], signatures: Iterable[tuple[str, bytes]], graph_def: bytes) -> bytes:
    """A MetaGraphDef; the same signature key may come twice, as no writer of TensorFlow's would let it."""
    op_list = fields(1, _OP_DEFS)
    info = field(2, op_list) + fields(4, tags) + field(5, "2.21.0")
    return field(1, info) + field(2, graph_def) + b"".join(entry(5, key, body) for key, body in signatures)


def saved_model(*meta_graphs: bytes) -> bytes:
    """The bytes of a saved_model.pb."""
    return field(1, 1) + fields(2, meta_graphs)


def _argument(number: int, name: str, *, dtype: int = 0, type_attribute: str = "") -> bytes:
    return field(number, field(1, name) + (field(3, dtype) if dtype else field(4, type_attribute)))


def _op_attribute(name: str, kind: str, default: bytes = b"") -> bytes:
    return field(4, field(1, name) + field(2, kind) + (field(3, default) if default else b""))


_UNKNOWN_RANK = field(7, field(3, 1))

_OP_DEFS = (
    field(1, "Identity")
    + _argument(2, "input", type_attribute="T")
    + _argument(3, "output", type_attribute="T")
    + _op_attribute("T", "type"),
    field(1, "Placeholder")
    + _argument(3, "output", type_attribute="dtype")
    + _op_attribute("dtype", "type")
    + _op_attribute("shape", "shape", _UNKNOWN_RANK),
)
"""The OpDefs that a SavedModel carries along for the two ops that these graphs use."""
