"""The nodes that parse what is fed to a tensor as ``tf.Example`` records: where its text flows, through functions too.

Only ops that leave a text as it is are followed (reshaping, slicing, calls, loops, branches), so that a tensor which is
decoded in any other way before it is parsed counts as no record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from explorer.savedmodel.edges import input_node, split_tensor_name
from explorer.savedmodel.graph import Graph
from explorer.savedmodel.object_graph import node_message, read_outline

PARSERS: Final = frozenset({"ParseExample", "ParseExampleV2", "ParseSingleExample"})
"""The ops that parse ``tf.Example`` (https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/ops/parsing_ops.cc)."""

_CARRIERS: Final = frozenset({
    "BroadcastTo", "Concat", "ConcatV2", "EnsureShape", "Enter", "Exit", "ExpandDims", "Gather", "GatherV2", "Identity",
    "IdentityN", "LoopCond", "Merge", "NextIteration", "Pack", "PlaceholderWithDefault", "PreventGradient", "Reshape",
    "Slice", "Snapshot", "Split", "SplitV", "Squeeze", "StopGradient", "StridedSlice", "Switch", "TensorArrayReadV3",
    "TensorArrayScatterV3", "TensorListFromTensor", "TensorListGetItem", "TensorListStack", "Tile", "Unpack",
})  # fmt: skip
# Op → the attributes that name the functions it calls, and its first input that is an argument of theirs.
_CALLS: Final = {
    "BatchFunction": (("f",), 0),
    "Case": (("branches",), 1),
    "If": (("then_branch", "else_branch"), 1),
    "MapDefun": (("f",), 0),
    "PartitionedCall": (("f",), 0),
    "StatefulPartitionedCall": (("f",), 0),
    "StatelessCase": (("branches",), 1),
    "StatelessIf": (("then_branch", "else_branch"), 1),
    "StatelessWhile": (("body",), 0),
    "While": (("body",), 0),
}
_SAME_VALUE: Final = frozenset({"Identity", "Reshape", "Snapshot", "StopGradient"})
_DEEPEST: Final = 50
_MOST_SCOPES: Final = 1000
_LONGEST_CHAIN: Final = 100


@dataclass(frozen=True, slots=True)
class Parser:
    """A node that parses records.

    Attributes:
        node: Its NodeDef.
        scope: Where it stands: how constants that it takes are found.
    """

    node: Any
    scope: _Scope

    def constant(self, edge: str) -> Any | None:
        """The ``TensorProto`` of the constant that an input comes from; None where it is computed, or large."""
        scope, name = self.scope, _edge_node(edge)
        for _ in range(_LONGEST_CHAIN):
            if name in scope.arguments:
                outer = scope.arguments[name]
                if scope.parent is None or outer is None:
                    return None
                scope, name = scope.parent, _edge_node(outer)
                continue
            node = scope.message(name)
            if node is None:
                return None
            if node.op == "Const":
                return node.attr["value"].tensor if "value" in node.attr else None
            if node.op not in _SAME_VALUE or not node.input:
                return None
            name = _edge_node(node.input[0])
        return None


@dataclass(slots=True, eq=False)
class _Scope:
    """The graph, or one call of a function: what its nodes are, and who takes from whom.

    Attributes:
        nodes: Name → anything with ``op``.
        consumers: Name of a node or argument → the nodes that take something from it.
        arguments: Name of an argument → the edge outside that it is fed from, None where that is unknown.
        results: Name of a node or argument → the results that come from it.
        parent: The scope of the call; None for the graph.
        call: The name of the call node in it.
        depth: How many calls deep.
    """

    nodes: Mapping[str, Any]
    consumers: Mapping[str, Iterable[str]]
    arguments: Mapping[str, str | None] = field(default_factory=dict)
    results: Mapping[str, Iterable[int]] = field(default_factory=dict)
    parent: _Scope | None = None
    call: str = ""
    depth: int = 0

    def message(self, name: str) -> Any | None:
        """The NodeDef of a node; to be read only."""
        node = self.nodes.get(name)
        return node_message(node) if node is not None and self.parent is None else node

    def inputs(self, name: str) -> list[str]:
        """The data inputs of a node."""
        node = self.nodes[name]
        edges = node.inputs if self.parent is None else node.input
        return [edge for edge in edges if not edge.startswith("^")]


def parsers_of(graph: Graph, tensor_name: str, ops: Collection[str] = PARSERS) -> list[Parser]:
    """The nodes that parse the value of a tensor as records, in the order in which they are found.

    Args:
        graph: The graph.
        tensor_name: A tensor that is fed, such as ``examples:0``.
        ops: The ops that are looked for; others than the parsers where one asks who else reads a text.

    Raises:
        FormatError: A function that is called is corrupt.
    """
    if not _has_any(graph, ops):
        return []
    found: list[Parser] = []
    calls = _Calls(graph)
    name, index = split_tensor_name(tensor_name)
    top = _Scope(graph.nodes, graph.consumers())
    pending: list[tuple[_Scope, str, int | None]] = [(top, name, index or 0)]
    seen: set[tuple[int, str, int | None]] = set()
    while pending:
        scope, source, index = pending.pop()
        if (id(scope), source, index) in seen:
            continue
        seen.add((id(scope), source, index))
        if scope.parent is not None:
            # A loop's or branch's results are its node's outputs in the same order, like those of a call.
            pending += [(scope.parent, scope.call, result) for result in scope.results.get(source, ())]
        for consumer in dict.fromkeys(scope.consumers.get(source, ())):
            for position, edge in enumerate(scope.inputs(consumer)):
                if not _takes(edge, source, index):
                    continue
                op = scope.nodes[consumer].op
                if op in ops:
                    if position == 0:
                        found.append(Parser(scope.message(consumer), scope))
                elif op in _CARRIERS:
                    pending.append((scope, consumer, None))
                elif scope.depth < _DEEPEST and (op in _CALLS or graph.function(op) is not None):
                    for function, first in _called(scope.message(consumer)):
                        body = calls.enter(function, scope, consumer, first)
                        names = [] if body is None else list(body.arguments)
                        if body is not None and 0 <= position - first < len(names):
                            pending.append((body, names[position - first], None))
    return found


class _Calls:
    """The scopes of the calls that were come by; each function is taken apart once."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._functions: dict[str, Any] = {}
        self._scopes: dict[tuple[int, str, str], _Scope] = {}

    def enter(self, function: str, scope: _Scope, call: str, first: int) -> _Scope | None:
        """The scope of a call; None where there is no such function, or there are too many calls."""
        key = (id(scope), call, function)
        if key not in self._scopes:
            if len(self._scopes) >= _MOST_SCOPES or self._graph.function(function) is None:
                return None
            if function not in self._functions:
                self._functions[function] = read_outline(self._graph, function)
            self._scopes[key] = _function_scope(self._functions[function], scope, call, first)
        return self._scopes[key]


def _has_any(graph: Graph, ops: Collection[str]) -> bool:
    """Whether a graph has a node of some ops; says so without taking any function apart."""
    if any(node.op in ops for node in graph.nodes.values()):
        return True
    functions = (graph.function(name) for name in graph.functions)
    outlines = (function.outline() for function in functions if function is not None)
    return any(op.encode() in outline for outline in outlines for op in ops)


def _called(node: Any) -> Iterator[tuple[str, int]]:
    """The functions that a node calls, each with the node's first input that is an argument of it."""
    if node.op not in _CALLS:
        yield node.op, 0  # TensorFlow 1 makes a function's name an op
        return
    attributes, first = _CALLS[node.op]
    for attribute in attributes:
        value = node.attr[attribute]
        for function in (value.func, *value.list.func):
            if function.name:
                yield function.name, first


def _function_scope(body: Any, parent: _Scope, call: str, first: int) -> _Scope:
    consumers: dict[str, list[str]] = {}
    for node in body.node_def:
        for edge in node.input:
            consumers.setdefault(_edge_node(edge), []).append(node.name)
    results: dict[str, list[int]] = {}
    for position, result in enumerate(body.signature.output_arg):
        results.setdefault(_edge_node(body.ret[result.name]), []).append(position)
    fed = parent.inputs(call)[first:]
    arguments = {
        argument.name: fed[position] if position < len(fed) else None
        for position, argument in enumerate(body.signature.input_arg)
    }
    nodes = {node.name: node for node in body.node_def}
    return _Scope(nodes, consumers, arguments, results, parent, call, parent.depth + 1)


def _edge_node(edge: str) -> str:
    """The node or argument that an edge refers to: ``x``, ``x:1`` in the graph, ``x:output:1`` in a function."""
    return input_node(edge).partition(":")[0]


def _takes(edge: str, source: str, index: int | None) -> bool:
    """Whether an edge takes an output of a node; None stands for any."""
    name, _, rest = edge.partition(":")
    if name != source or index is None:
        return name == source
    output, colon, number = rest.rpartition(":")
    if colon and output != "output":
        return True  # a result by its own name; which one that is only the function's signature knows
    return (int(number) if number.isascii() and number.isdecimal() else 0) == index
