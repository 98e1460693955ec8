"""The tensors inside the functions that a graph calls, named as TensorFlow names them when it inlines the calls.

``StatefulPartitionedCall/dense/Relu:0`` is output 0 of the node ``dense/Relu`` in the function that the graph's node
``StatefulPartitionedCall`` calls. Calls within calls make longer paths. What loops, branches and mapped functions
compute inside has no name of this kind, because it has not one value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from explorer.savedmodel.attributes import Attribute
from explorer.savedmodel.graph import Graph, GraphTensor
from explorer.savedmodel.model import DType, Shape
from explorer.savedmodel.op_defs import output_args
from explorer.savedmodel.overlay import BytesSource

CALL_OPS: Final = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
"""The ops that call one function and are nothing else. TensorFlow 1 also makes a function's name an op."""

_DEEPEST = 50
_MOST_TENSORS = 1_000_000


@dataclass(frozen=True, slots=True)
class InnerTensor:
    """A tensor in the body of a function.

    Attributes:
        path: The names of the call nodes that lead to the function, outermost first.
        node: The name of the node, or of the function's argument.
        index: Which of the node's outputs, counted through all of them.
        edge: What the function's other nodes call it: ``node:output:0``, or the name of an argument.
        dtype: Its dtype.
        shape: Its shape; of unknown rank where the file doesn't say.
        op: The op of the node; empty for an argument.
        function: The function that it stands in.
    """

    path: tuple[str, ...]
    node: str
    index: int
    edge: str
    dtype: DType
    shape: Shape
    op: str
    function: str

    @property
    def name(self) -> str:
        """Its name as seen from the graph."""
        return "/".join((*self.path, f"{self.node}:{self.index}"))

    def to_graph_tensor(self) -> GraphTensor:
        """The same as one of the graph's own tensors would be shown."""
        return GraphTensor(self.name, self.dtype, self.shape, self.op, self.node)


def called_function(node: Any, knows: Callable[[str], object]) -> str | None:
    """The function that a node calls and does nothing else; None where it is another op.

    Args:
        node: A NodeDef message.
        knows: Gives something for the name of a function that there is, None for others.
    """
    name: str = node.attr["f"].func.name if node.op in CALL_OPS else node.op
    return name if knows(name) is not None else None


def inner_tensors(
    graph: Graph, calls: Iterable[tuple[tuple[str, ...], str]], find: Callable[[str], Any]
) -> Iterator[InnerTensor]:
    """Every tensor inside some called functions, and inside those that they call.

    Args:
        graph: The graph, for the definitions of its ops.
        calls: Paths of call nodes, each with the function that the last one calls.
        find: Gives the FunctionDef of a function by its name, None where there is none.

    Yields:
        The tensors, outer functions first, in the order of the file.
    """
    pending = list(calls)
    count = 0
    for path, name in pending:
        function = find(name)
        if function is None or len(path) > _DEEPEST:
            continue
        for tensor in body_tensors(graph, function, path, find):
            yield tensor
            count += 1
            if count > _MOST_TENSORS:
                return
        for node in function.node_def:
            if (called := called_function(node, find)) is not None:
                pending.append(((*path, node.name), called))


def body_tensors(
    graph: Graph, function: Any, path: tuple[str, ...], find: Callable[[str], Any]
) -> Iterator[InnerTensor]:
    """The tensors of one function, those of ops that the file doesn't define left out."""
    name = function.signature.name
    for position, arg in enumerate(function.signature.input_arg):
        shapes = _shapes(function.arg_attr[position].attr) if position in function.arg_attr else []
        yield InnerTensor(path, arg.name, 0, arg.name, DType(arg.type), _at(shapes, 0), "", name)
    for node in function.node_def:
        index, shapes = 0, _shapes(node.attr)
        for result, dtypes in node_results(graph, node, find):
            for place, dtype in enumerate(dtypes):
                yield InnerTensor(
                    path, node.name, index, f"{node.name}:{result}:{place}", dtype, _at(shapes, index), node.op, name
                )
                index += 1


def node_results(graph: Graph, node: Any, find: Callable[[str], Any]) -> tuple[tuple[str, tuple[DType, ...]], ...]:
    """The outputs of a node of a function by name, with their dtypes; none where its op isn't defined in the file."""
    op = graph.op_def(node.op)
    if op is None:
        function = find(node.op)
        if function is None:
            return ()
        return tuple((arg.name, (DType(arg.type),)) for arg in function.signature.output_arg)

    def attribute(name: str) -> Attribute | None:
        if name not in node.attr:
            return None
        data = node.attr[name].SerializeToString()
        return Attribute(BytesSource(data), 0, len(data))

    return output_args(op, attribute) or ()


def find_inner(tensors: Iterable[InnerTensor], name: str) -> list[InnerTensor]:
    """The tensors that a name may mean.

    Args:
        tensors: The tensors to look among.
        name: The whole name, or its end from a ``/`` on; with an index (``dense/Relu:0``), with the name of a result
            and an index as function bodies have it (``dense/Relu:activations:0``), or with neither, for output 0.

    Returns:
        One where it is clear, several where it isn't, none where there is no such tensor.
    """
    whole: list[InnerTensor] = []
    ends: list[InnerTensor] = []
    for tensor in tensors:
        for wanted, known in (
            (name, tensor.name),
            (name, f"{'/'.join((*tensor.path, tensor.edge))}"),
            (f"{name}:0", tensor.name),
        ):
            if wanted == known:
                whole.append(tensor)
            elif known.endswith(f"/{wanted}"):
                ends.append(tensor)
            else:
                continue
            break
    if whole:
        return whole[:1]
    # A name that is a node's own beats one that is the end of a longer name.
    own = [tensor for tensor in ends if name.partition(":")[0] == tensor.node]
    return own or ends


def _shapes(attrs: Mapping[str, Any]) -> list[Any]:
    value = attrs.get("_output_shapes")
    return [] if value is None else list(value.list.shape)


def _at(shapes: list[Any], index: int) -> Shape:
    if index >= len(shapes) or shapes[index].unknown_rank:
        return Shape(None)
    return Shape(tuple(None if dim.size == -1 else dim.size for dim in shapes[index].dim))
