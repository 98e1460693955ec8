"""A step before or behind a signature of TensorFlow 1: a node that calls it, and a way to its place in the graph.

Where it can, the placeholder of an input becomes a ``PlaceholderWithDefault`` that takes the result of the step: name,
dtype and shape stay, so whoever feeds it gets what he got before, to the bit. A placeholder has one default, so for a
second step over the same input, and for an input that feeds something else, the nodes between that input and the
outputs are cloned; see :mod:`explorer.editing.cloned_nodes`. No weight is read and no session is run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from explorer.editing.cloned_nodes import clone_nodes
from explorer.editing.old_graphs import meant_shape
from explorer.editing.placeholders import given_default
from explorer.editing.plan import Call, shape_of
from explorer.editing.signature_def import added_entry, signature_value
from explorer.editing.step_functions import add_step
from explorer.editing.steps import Step, StepTensor
from explorer.editing.two_truths import Functions
from explorer.editing.wrapped_in_plan import set_shapes
from explorer.editing.wrapper import fill_call, set_shape
from explorer.editing.wrapping import Wrapping
from explorer.editing.writing import appended, unused_node
from explorer.errors import EditError, listed, quoted
from explorer.savedmodel.graph import PLACEHOLDER_OPS, Graph, split_tensor_name
from explorer.savedmodel.object_graph import new_message, node_message, parsed
from explorer.savedmodel.overlay import Change
from explorer.savedmodel.wire import payload

_DEFAULT_OP = "PlaceholderWithDefault"


def wrapped_in_graph(
    functions: Functions, wrapping: Wrapping, key: str, method_name: str, tables: Sequence[str]
) -> list[Change]:
    """The changes that add a wrapped signature to a meta graph without an object graph.

    Args:
        functions: The meta graph.
        wrapping: What the new signature is.
        key: Its key.
        method_name: Its method name.
        tables: The edges that bring the tables of the steps, those of the first step first.

    Raises:
        EditError: The old signature needs what no input feeds.
        UnsupportedEditError: What would have to be cloned can be there only once.
    """
    meta_graph, graph = functions.meta_graph, functions.graph
    _expect_fed(graph, wrapping)
    made = _Nodes(functions, key, list(tables))
    signature = _old_signature(functions, wrapping)
    changes: list[Change] = []
    moved: Callable[[str], str] = str
    if wrapping.before is not None:
        call = made.call("before", wrapping.before, made.placeholders(wrapping.before, signature))
        results = {one.key: _edge(call, place) for place, one in enumerate(wrapping.before.outputs)}
        fed = {
            _tensor_name(wrapping.signature.inputs[name].tensor_name or ""): results[result]
            for name, result in wrapping.feeds.items()
        }
        if _can_be_given(graph, wrapping):
            for tensor, edge in fed.items():
                changes += _with_default(functions, split_tensor_name(tensor)[0], edge)
        else:
            stays = [_tensor_name(name) for info in wrapping.stays.values() for name in info.tensor_names]
            wanted = [_tensor_name(name) for name in _fetched(wrapping)]
            clones = clone_nodes(functions, fed, stays, wanted, f"{key}_graph", made.taken)
            made.nodes += clones.nodes
            moved = clones.tensor
    if wrapping.after is not None:
        taken = [wrapping.signature.outputs[wrapping.takes[one.key]] for one in wrapping.after.inputs]
        edges = [moved(_tensor_name(info.tensor_name or "")).removesuffix(":0") for info in taken]
        call = made.call("after", wrapping.after, edges)
    for name in [name for name in signature.outputs if name not in wrapping.kept]:
        del signature.outputs[name]
    for info in signature.outputs.values():
        _move(info, moved)
    if wrapping.after is not None:
        for place, one in enumerate(wrapping.after.outputs):
            _describe(signature.outputs[one.key], f"{call}:{place}", one)
    signature.method_name = method_name
    ops = (_DEFAULT_OP,) if changes else ()
    changes += appended(functions, made.nodes, list(functions.pending.values()), ops)
    return [*changes, added_entry(meta_graph, key, signature.SerializeToString(deterministic=True))]


class _Nodes:
    """The nodes of an edit, as they are added."""

    def __init__(self, functions: Functions, key: str, tables: list[str]) -> None:
        self.nodes: list[Any] = []
        self.taken: set[str] = set()
        self._functions, self._key, self._tables = functions, key, tables

    def placeholders(self, step: Step, signature: Any) -> list[str]:
        """Adds what requests feed, and says so in the signature; gives the edges in the order of the arguments."""
        edges = []
        for one in step.inputs:
            node = self._node(one.key, "Placeholder")
            node.attr["dtype"].type = one.type_number
            set_shape(node.attr["shape"].shape, one.shape)
            set_shapes(node, [one.shape])
            _describe(signature.inputs[one.key], f"{node.name}:0", one)
            edges.append(node.name)
        return edges

    def call(self, wanted: str, step: Step, edges: Sequence[str]) -> str:
        """Adds a call of a step and gives its name."""
        function = add_step(self._functions, step)
        node = self._node(wanted, "")
        fill_call(node, Call(function, ()), self._functions.find(function))
        tables, self._tables = self._tables[: len(step.tables)], self._tables[len(step.tables) :]
        node.input.extend([*edges, *tables])
        set_shapes(node, [one.shape for one in step.outputs])
        name: str = node.name
        return name

    def _node(self, wanted: str, op: str) -> Any:
        name = unused_node(self._functions, f"{self._key}_{wanted}", self.taken)
        node = new_message("NodeDef")
        node.name, node.op = name, op
        self.nodes.append(node)
        return node


def _old_signature(functions: Functions, wrapping: Wrapping) -> Any:
    """The SignatureDef that is wrapped, without the inputs that the step feeds."""
    meta_graph = functions.meta_graph
    assert meta_graph.document is not None
    data = payload(meta_graph.document, signature_value(meta_graph, wrapping.signature.key))
    signature = parsed("tensorflow.SignatureDef", data, f"signature {quoted(wrapping.signature.key)}")
    for name in wrapping.feeds:
        del signature.inputs[name]
        if name in signature.defaults:
            del signature.defaults[name]
    return signature


def _fetched(wrapping: Wrapping) -> list[str]:
    """The tensors of the old signature that the new one needs."""
    keys = [*wrapping.kept, *wrapping.takes.values()]
    return [name for key in keys for name in wrapping.signature.outputs[key].tensor_names]


def _expect_fed(graph: Graph, wrapping: Wrapping) -> None:
    """Refuses an old signature that can't be called itself."""
    fed = [_tensor_name(name) for info in wrapping.signature.inputs.values() for name in info.tensor_names]
    unfed = graph.needs(_fetched(wrapping), fed).unfed
    if unfed:
        raise EditError(
            f"signature {quoted(wrapping.signature.key)} needs {listed(unfed)}, which none of its inputs feeds; add "
            f"{'an input' if len(unfed) == 1 else 'inputs'} for that first"
        )


def _can_be_given(graph: Graph, wrapping: Wrapping) -> bool:
    """Whether each input that the step feeds has a placeholder to itself, one that can be given a default."""
    names = [_tensor_name(name) for info in wrapping.signature.inputs.values() for name in info.tensor_names]
    fed = [_tensor_name(wrapping.signature.inputs[key].tensor_name or "") for key in wrapping.feeds]
    return all(names.count(name) == 1 and _may_have_default(graph, name) for name in fed)


def _may_have_default(graph: Graph, tensor_name: str) -> bool:
    """Whether a tensor is that of a placeholder without a value, for which nothing only waits.

    Who feeds a placeholder also answers for what only waits for it, but not so with a ``PlaceholderWithDefault``: that
    would run its default as well
    (https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/graph/subgraph.cc, ``FeedInputs``).
    """
    name, index = split_tensor_name(tensor_name)
    node = graph.nodes.get(name)
    if node is None or node.op not in PLACEHOLDER_OPS or index != 0:
        return False
    return not any(f"^{name}" in graph.nodes[consumer].inputs for consumer in graph.consumers().get(name, ()))


def _with_default(functions: Functions, name: str, edge: str) -> list[Change]:
    meta_graph, graph = functions.meta_graph, functions.graph
    message = node_message(graph.nodes[name])
    if message.op == "Placeholder" and "shape" in message.attr:
        shape = message.attr["shape"].shape
        set_shape(shape, meant_shape(meta_graph, shape_of(shape)))
    return given_default(meta_graph, graph, message, edge)


def _move(info: Any, moved: Callable[[str], str]) -> None:
    """Lets a TensorInfo stand for other tensors, however many it is made of."""
    kind = info.WhichOneof("encoding")
    if kind == "name":
        info.name = moved(_tensor_name(info.name))
    elif kind == "coo_sparse":
        for part in ("values_tensor_name", "indices_tensor_name", "dense_shape_tensor_name"):
            setattr(info.coo_sparse, part, moved(_tensor_name(getattr(info.coo_sparse, part))))
    elif kind == "composite_tensor":
        for part in info.composite_tensor.components:
            _move(part, moved)


def _describe(info: Any, name: str, tensor: StepTensor) -> None:
    info.name, info.dtype = name, tensor.type_number
    set_shape(info.tensor_shape, tensor.shape)


def _edge(node: str, index: int) -> str:
    return node if index == 0 else f"{node}:{index}"


def _tensor_name(name: str) -> str:
    return name if split_tensor_name(name)[1] is not None else f"{name}:0"
