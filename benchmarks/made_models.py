"""Large SavedModels, written byte by byte without TensorFlow and without holding them in memory."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

NODES = 50_000
WEIGHTS = 16
WEIGHT_BYTES = 64 * 2**20
PIECE_BYTES = 2**20

DT_FLOAT = 1
PRODUCER, MIN_CONSUMER = 1882, 12
"""Versions of the graph format as TensorFlow 2.16 writes them."""


# The wire format: https://protobuf.dev/programming-guides/encoding/


def varint(number: int) -> bytes:
    """A number that is not negative as a varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    """A field that holds a varint."""
    return varint(number << 3) + varint(value)


def field_head(number: int, size_bytes: int) -> bytes:
    """What stands before the bytes of a length-delimited field."""
    return varint(number << 3 | 2) + varint(size_bytes)


def field(number: int, *parts: bytes | str) -> bytes:
    """A length-delimited field that holds some parts one after the other."""
    body = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return field_head(number, len(body)) + body


def entry(number: int, key: str, value: bytes) -> bytes:
    """An entry of a map field."""
    return field(number, field(1, key), field(2, value))


def node_def(name: str, op: str, inputs: Iterable[str] = (), **attributes: bytes) -> bytes:
    """A NodeDef; attributes are serialized AttrValues."""
    arguments = (field(3, name) for name in inputs)
    values = (entry(5, key, value) for key, value in sorted(attributes.items()))
    return b"".join([field(1, name), field(2, op), *arguments, *values])


def node(name: str, op: str, inputs: Iterable[str] = (), **attributes: bytes) -> bytes:
    """A field GraphDef.node with a NodeDef."""
    return field(1, node_def(name, op, inputs, **attributes))


FLOAT_TYPE = number_field(6, DT_FLOAT)
VECTOR_SHAPE = field(2, number_field(1, 2**64 - 1))  # one dimension of size -1
PLACEHOLDER = node("x", "Placeholder", dtype=FLOAT_TYPE, shape=field(7, VECTOR_SHAPE))
GRAPH_END = field(4, number_field(1, PRODUCER), number_field(3, MIN_CONSUMER))


def meta_graph_end(output: str) -> bytes:
    """The fields of a MetaGraphDef besides its graph: tags, version, and a signature from ``x`` to an output."""

    def tensor(name: str) -> bytes:
        return field(1, name) + number_field(2, DT_FLOAT) + field(3, VECTOR_SHAPE)

    signature = entry(1, "x", tensor("x:0")) + entry(2, "y", tensor(output)) + field(3, "tensorflow/serving/predict")
    return field(1, field(4, "serve"), field(5, "2.16.1")) + entry(5, "serving_default", signature)


def write_model(folder: Path, pieces: Callable[[], Iterator[bytes]], output: str) -> None:
    """Writes a SavedModel with one meta graph.

    Args:
        folder: Where; nothing is done if it has been written before.
        pieces: Gives the fields of the GraphDef in pieces. Called twice: the format wants lengths before contents.
        output: Tensor name of the signature's output.
    """
    if folder.exists():
        return
    graph_bytes = sum(map(len, pieces()))
    end = meta_graph_end(output)
    head = field_head(2, graph_bytes)
    staged = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    with (staged / "saved_model.pb").open("wb") as file:
        file.write(number_field(1, 1) + field_head(2, len(head) + graph_bytes + len(end)) + head)
        for piece in pieces():
            file.write(piece)
        file.write(end)
    staged.rename(folder)


def chain_of_nodes() -> Iterator[bytes]:
    """A graph of 50,000 nodes, each of which adds the input to the one before."""
    yield PLACEHOLDER
    before = "x"
    for number in range(1, NODES - 1):
        name = f"block_{number // 100}/layer_{number}/add"
        yield node(name, "AddV2", (before, "x"), T=FLOAT_TYPE)
        before = name
    yield node("y", "Identity", (before,), T=FLOAT_TYPE) + GRAPH_END


def gigabyte_of_weights() -> Iterator[bytes]:
    """A graph with a gigabyte of constants, as freezing the variables of a model makes them."""
    yield PLACEHOLDER
    yield from constants(1)
    yield node("y", "Identity", ("x",), T=FLOAT_TYPE) + GRAPH_END


def constants(node_number: int) -> Iterator[bytes]:
    """16 nodes, each a constant of 64 MiB, in pieces of which nearly all are one and the same object.

    Args:
        node_number: The number of the field that holds a node: 1 in a GraphDef, 3 in a FunctionDef.
    """
    noise = random.Random(0).randbytes(PIECE_BYTES)
    shape = field(2, field(2, number_field(1, WEIGHT_BYTES // 4)))
    key = field(1, "value")
    for number in range(WEIGHTS):
        tensor_bytes = len(number_field(1, DT_FLOAT) + shape + field_head(4, WEIGHT_BYTES)) + WEIGHT_BYTES
        value_head = field_head(8, tensor_bytes)
        value_bytes = len(value_head) + tensor_bytes
        entry_bytes = len(key + field_head(2, value_bytes)) + value_bytes
        head = node_def(f"weights_{number}", "Const", dtype=FLOAT_TYPE)
        node_bytes = len(head + field_head(5, entry_bytes)) + entry_bytes
        yield field_head(node_number, node_bytes) + head + field_head(5, entry_bytes) + key
        yield field_head(2, value_bytes) + value_head + number_field(1, DT_FLOAT) + shape + field_head(4, WEIGHT_BYTES)
        for _ in range(WEIGHT_BYTES // PIECE_BYTES):
            yield noise
