"""Where values come into a graph: placeholders, and in training graphs iterators, queues and bytes in a constant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from explorer.converting.constants_candidates import constant_value
from explorer.converting.flow import Flow
from explorer.converting.node_types import output_dtypes, output_shape
from explorer.converting.node_words import INPUT, is_saver_file, says
from explorer.savedmodel.constants import DT_STRING
from explorer.savedmodel.graph import HANDLES
from explorer.savedmodel.model import DType, Shape

PLACEHOLDER, WITH_DEFAULT, PIPELINE, QUEUE, BYTES = "placeholder", "with_default", "pipeline", "queue", "bytes"

_KINDS: Final = {
    "Placeholder": PLACEHOLDER,
    "PlaceholderV2": PLACEHOLDER,
    "PlaceholderWithDefault": WITH_DEFAULT,
    **dict.fromkeys(("IteratorGetNext", "IteratorGetNextSync", "MultiDeviceIteratorGetNextFromShard"), PIPELINE),
    **dict.fromkeys(("InfeedDequeue", "InfeedDequeueTuple", "Unstage"), PIPELINE),
    **dict.fromkeys(("QueueDequeue", "QueueDequeueV2", "QueueDequeueMany", "QueueDequeueManyV2"), QUEUE),
    **dict.fromkeys(("QueueDequeueUpTo", "QueueDequeueUpToV2", "ReaderRead", "ReaderReadV2"), QUEUE),
}
_DECODERS: Final = frozenset(
    {"DecodeJpeg", "DecodePng", "DecodeGif", "DecodeBmp", "DecodeImage", "DecodeWav", "DecodeRaw", "ParseExample"}
    | {"ParseExampleV2", "ParseSingleExample", "DecodeCSV"}
)
_SAVING: Final = frozenset({"SaveV2", "RestoreV2", "Save", "SaveSlices", "Restore", "RestoreSlice", "ShardedFilename"})
_MOST_ORIGINS: Final = 100_000
_MOST_COPIES: Final = 5
_NO_SCALARS: Final = 21


@dataclass(frozen=True, slots=True)
class Origin:
    """A tensor that could be fed.

    Attributes:
        number: The number of its node.
        index: Which output of the node it is.
        kind: ``placeholder``, ``with_default``, ``pipeline``, ``queue`` or ``bytes``.
        dtype: Its dtype.
        shape: Its shape.
        name: The tensor to feed: this one, or a copy of it that a program named as its input.
        constant: The value that it has when the model answers, and why; None for what belongs to a request.
    """

    number: int
    index: int
    kind: str
    dtype: DType
    shape: Shape
    constant: tuple[bool | int | float, str] | None
    name: str


def find_origins(flow: Flow, producer: Callable[[], int]) -> list[Origin]:
    """The tensors of a graph that could be fed, in file order; those of a saver are left out.

    Of a graph with more than any program feeds, the first ones.

    Args:
        flow: The graph.
        producer: Gives the version of graphs by which it was made.
    """
    found: list[Origin] = []
    for number, node in enumerate(flow.nodes):
        if len(found) >= _MOST_ORIGINS:
            break
        kind = _KINDS.get(node.op)
        if kind is None:
            if node.op == "Const" and any(
                flow.op(taker) in _DECODERS and flow.sources[taker][0] == number for taker in flow.consumers[number]
            ):
                found.extend(_bytes(flow, number))
            continue
        if is_saver_file(node.name) or _is_for_saving(flow, number):
            continue
        for index, dtype in enumerate(output_dtypes(flow.graph, node)):
            if dtype.base.number in HANDLES:
                continue
            shape = _shape(flow, number, index, producer)
            constant = None
            if kind in (PLACEHOLDER, WITH_DEFAULT):
                constant = constant_value(flow, number, dtype, shape)
            fed = _named_input(flow, number, index) if kind in (PIPELINE, QUEUE) else number
            found.append(
                Origin(
                    number,
                    index,
                    kind,
                    dtype,
                    shape,
                    constant,
                    f"{node.name}:{index}" if fed == number else f"{flow.nodes[fed].name}:0",
                )
            )
    return found


def _shape(flow: Flow, number: int, index: int, producer: Callable[[], int]) -> Shape:
    """The shape of a tensor that could be fed.

    Up to version 21 of graphs, a placeholder with the shape of a scalar had no known shape
    (https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/ops/array_ops.cc, ``Placeholder``).
    """
    node = flow.nodes[number]
    shape = output_shape(flow.graph, f"{node.name}:{index}")
    attrs = node.attrs if shape.rank in (None, 0) else {}
    if node.op == "PlaceholderWithDefault" and shape.rank is None and "shape" in attrs:
        return attrs["shape"].shape() or shape
    if node.op == "Placeholder" and shape.rank == 0 and "_output_shapes" not in attrs and producer() <= _NO_SCALARS:
        return Shape(None)
    return shape


def _named_input(flow: Flow, number: int, index: int) -> int:
    """The copy of what a pipeline gives that a program named as its input; the pipeline's own node where none is."""
    found = current = number
    for _ in range(_MOST_COPIES):
        place = index if current == number else 0
        copies = [
            taker
            for taker in flow.consumers[current]
            if flow.op(taker) == "Identity" and flow.taken(taker, 0) == (current, place)
        ]
        if len(copies) != 1:
            break
        current = copies[0]
        if says(flow.nodes[current].name, INPUT):
            found = current
    return found


def _bytes(flow: Flow, number: int) -> Iterator[Origin]:
    node = flow.nodes[number]
    dtype = output_dtypes(flow.graph, node)[0]
    if dtype.number == DT_STRING:
        tensor_name = f"{node.name}:0"
        yield Origin(number, 0, BYTES, dtype, output_shape(flow.graph, tensor_name), None, tensor_name)


def _is_for_saving(flow: Flow, number: int) -> bool:
    takers = flow.consumers[number]
    return bool(takers) and all(flow.op(taker) in _SAVING for taker in takers)
