"""What the outputs of a signature depend on that nobody feeds, and which tensor was meant where an output is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from explorer.savedmodel.graph import PLACEHOLDER_OPS, Graph, GraphTensor, input_node, split_tensor_name
from explorer.savedmodel.model import DType, Shape, TensorInfo

_MOST_NAMES_COMPARED = 500
_MOST_CANDIDATES_TYPED = 5000  # the last in the file, which is written in the order of computation


def unfed_placeholders(graph: Graph, tensor_names: Iterable[str], fed: Collection[str]) -> list[str]:
    """The placeholders without a value that some tensors need, sorted.

    Args:
        graph: The graph.
        tensor_names: What is fetched.
        fed: The tensors that are fed.
    """
    return list(graph.needs(tensor_names, fed).unfed)


def meant_tensors(graph: Graph, fed: Collection[str], placeholder: str, declared: TensorInfo) -> list[str]:
    """The tensors that an output may have meant that is a placeholder by mistake.

    What was meant is computed from the signature's inputs and from nothing that the signature doesn't feed, and it is
    the last such tensor with the declared dtype and shape: what follows it is a loss or the like, which takes the
    placeholder in. Of several, those come first that depend on most inputs, whose shape is the declared one, and that
    something else combines with the placeholder.

    Args:
        graph: The graph.
        fed: The signature's input tensors.
        placeholder: The node that the output names.
        declared: What the signature says about the output.

    Returns:
        The best tensors, one where it can be told which was meant.
    """
    foreign = _downstream(
        graph, [name for name, node in graph.nodes.items() if node.op in PLACEHOLDER_OPS and f"{name}:0" not in fed]
    )
    depends_on: dict[str, int] = {}
    for name in {split_tensor_name(tensor_name)[0] for tensor_name in fed}:
        for node in _downstream(graph, [name]) - {name}:
            depends_on[node] = depends_on.get(node, 0) + 1
    fed_nodes = {split_tensor_name(tensor_name)[0] for tensor_name in fed}
    own = depends_on.keys() - foreign - fed_nodes
    fitting = {
        name: tensor
        for name in [name for name in graph.nodes if name in own][-_MOST_CANDIDATES_TYPED:]
        if (tensor := _fitting(graph, name, declared.dtype, declared.shape)) is not None
    }
    followed: set[str] = set()
    pending = [edge for name in fitting for edge in graph.nodes[name].inputs]
    while pending:
        name = input_node(pending.pop())
        if name in own and name not in followed:
            followed.add(name)
            pending.extend(graph.nodes[name].inputs)
    consumers = graph.consumers()
    beside = set(consumers.get(placeholder, ()))
    ranked: dict[tuple[bool, ...], list[str]] = {}
    for name in fitting.keys() - followed:
        rank = (
            depends_on[name] == len(fed_nodes),
            fitting[name].shape == declared.shape,
            not beside.isdisjoint(consumers.get(name, ())),
            any(consumer in foreign for consumer in consumers.get(name, ())),
        )
        ranked.setdefault(rank, []).append(fitting[name].name)
    return sorted(ranked[max(ranked)]) if ranked else []


def similar_tensor(graph: Graph, tensor_name: str, declared: TensorInfo) -> str | None:
    """The tensor whose name is most like one that doesn't exist, if it fits the declared dtype and shape."""
    node_name, index = split_tensor_name(tensor_name)
    if node_name in graph.nodes:
        close = [node_name]
    else:
        last = node_name.rsplit("/", 1)[-1].lower()
        alike = [name for name in graph.nodes if abs(len(name) - len(node_name)) <= 2 and name[:1] == node_name[:1]]
        same_end = [name for name in graph.nodes if last and last in name.lower()]
        pool = dict.fromkeys([*alike[:_MOST_NAMES_COMPARED], *same_end[:_MOST_NAMES_COMPARED]])
        close = difflib.get_close_matches(node_name, pool, n=3, cutoff=0.7)
    for name in close:
        for candidate in (f"{name}:{index or 0}", f"{name}:0"):
            tensor = graph.tensor(candidate)
            if tensor is not None and candidate != tensor_name and _fits(tensor, declared.dtype, declared.shape):
                return candidate
    return None


def _downstream(graph: Graph, names: Iterable[str]) -> set[str]:
    """The nodes that run after some nodes because they depend on them, these included."""
    consumers = graph.consumers()
    reached = set(names)
    pending = list(reached)
    while pending:
        for consumer in consumers.get(pending.pop(), ()):
            if consumer not in reached:
                reached.add(consumer)
                pending.append(consumer)
    return reached


def _fitting(graph: Graph, name: str, dtype: DType, shape: Shape) -> GraphTensor | None:
    """The first output of a node that has a dtype and can have a shape."""
    for index in range(graph.output_count(name) or 0):
        tensor = graph.tensor(f"{name}:{index}")
        if tensor is not None and _fits(tensor, dtype, shape):
            return tensor
    return None


def _fits(tensor: GraphTensor, dtype: DType, shape: Shape) -> bool:
    same = not tensor.dtype.number or not dtype.number or tensor.dtype.base == dtype.base
    return same and tensor.shape.is_compatible_with(shape)
