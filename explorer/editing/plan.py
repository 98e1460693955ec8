"""What a signature of a TensorFlow 2 model computes: which functions are called with what, and what is answered.

Such a signature stands twice in the file: ``signature_def`` names placeholders and outputs of a call node in the
graph, the object graph names a function with what it captures. Both are a thin wrapper around a function that does the
work. A :class:`Plan` is what both must say once the wrapping is taken off, so it is what an edit changes, and
:mod:`explorer.editing.wrapper` writes both anew from it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from explorer.errors import EditError, UnsupportedEditError, listed, quoted
from explorer.savedmodel.graph import Graph, split_tensor_name
from explorer.savedmodel.inner_tensors import CALL_OPS, called_function
from explorer.savedmodel.model import Shape
from explorer.savedmodel.object_graph import node_message, read_function, read_outline

_PASSING_OPS = frozenset({"Identity", "NoOp", "Const", "EnsureShape"})
_HARMLESS_ATTRS = frozenset({"_construction_context", "_input_shapes"})


@dataclass(frozen=True, slots=True)
class Arg:
    """What a request gives for an input."""

    key: str


@dataclass(frozen=True, slots=True)
class Capture:
    """A variable, table, asset or constant of the model, by the edge of the graph that brings it."""

    edge: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that the signature fixes: a serialized TensorProto."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """A result of one of the calls."""

    call: int
    index: int


@dataclass(frozen=True, slots=True)
class Unfed:
    """A placeholder that no input feeds; an edit may leave none behind."""

    name: str


Source = Arg | Capture | Constant | Result | Unfed


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function.

    Attributes:
        function: The name of the function.
        args: Where each of its arguments comes from, captured ones included.
        node: The NodeDef that made the call, whose attributes are kept; None for a new one.
        path: The call nodes that lead there from the graph, outermost first.
    """

    function: str
    args: tuple[Source, ...]
    node: Any = field(default=None, compare=False)
    path: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a signature.

    Attributes:
        type_number: The number of its dtype.
        shape: Its shape.
        is_ensured: Whether the model refuses a value of another shape when it runs.
        tensor_name: The graph tensor that a request feeds; empty where one is still to be made.
    """

    type_number: int
    shape: Shape
    is_ensured: bool = False
    tensor_name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Output:
    """An output of a signature.

    Attributes:
        source: What it answers.
        type_number: The number of its dtype.
        shape: Its shape.
        tensor_name: The graph tensor that a request fetches; empty where one is still to be made.
    """

    source: Source
    type_number: int
    shape: Shape
    tensor_name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a signature computes.

    Attributes:
        inputs: Input key → input.
        outputs: Output key → output.
        calls: The calls, each before those that take its results.
    """

    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output]
    calls: tuple[Call, ...]

    def with_calls(self, calls: Iterable[Call]) -> Plan:
        """The same with other calls; the graph has no tensors for their results yet."""
        outputs = {key: replace(output, tensor_name="") for key, output in self.outputs.items()}
        return replace(self, calls=tuple(calls), outputs=outputs)

    def with_sources(self, change: Callable[[Source], Source]) -> Plan:
        """The same with each argument and answer replaced by another."""
        calls = tuple(replace(call, args=tuple(change(arg) for arg in call.args)) for call in self.calls)
        outputs = {key: replace(output, source=change(output.source)) for key, output in self.outputs.items()}
        return replace(self, calls=calls, outputs=outputs)

    def with_input_renamed(self, key: str, new_key: str) -> Plan:
        """The same with another key for an input; the graph's tensors stay what they were."""
        inputs = {new_key if each == key else each: info for each, info in self.inputs.items()}
        renamed = self.with_sources(lambda source: Arg(new_key) if source == Arg(key) else source)
        return replace(renamed, inputs=inputs)

    def without_input(self, key: str) -> Plan:
        """The same without an input that nothing takes any more."""
        return replace(self, inputs={each: info for each, info in self.inputs.items() if each != key})

    def captures(self) -> list[Capture]:
        """What the calls capture, each once, in the order of use."""
        return list(dict.fromkeys(arg for call in self.calls for arg in call.args if isinstance(arg, Capture)))

    def used_keys(self) -> set[str]:
        """The inputs that something takes."""
        sources = [arg for call in self.calls for arg in call.args]
        sources += [output.source for output in self.outputs.values()]
        return {source.key for source in sources if isinstance(source, Arg)}

    def unfed(self) -> list[str]:
        """The placeholders that a call needs and no input feeds."""
        return sorted({arg.name for call in self.calls for arg in call.args if isinstance(arg, Unfed)})

    def computes_like(self, other: Plan) -> bool:
        """Whether both make the same calls for the same answers."""
        return self.calls == other.calls and {key: output.source for key, output in self.outputs.items()} == {
            key: output.source for key, output in other.outputs.items()
        }


def unwrapped(plan: Plan, graph: Graph) -> Plan:
    """The plan with each call of a pure wrapper replaced by the calls that the wrapper makes.

    A wrapper is pure when its body only passes on, fixes or checks values. One layer is taken off, which is the one
    that TensorFlow puts around every signature; what edits generate replaces that layer.
    """
    inputs = dict(plan.inputs)
    calls: list[Call] = []
    results: dict[tuple[int, int], Source] = {}

    def mapped(source: Source) -> Source:
        return results.get((source.call, source.index), source) if isinstance(source, Result) else source

    for position, call in enumerate(plan.calls):
        args = tuple(mapped(arg) for arg in call.args)
        body = read_outline(graph, call.function)
        inner = _inner_calls(body, graph)
        first = len(calls)
        if inner is None:
            calls.append(replace(call, args=args))  # the function itself does the work
            for index in range(len(body.signature.output_arg)):
                results[position, index] = Result(first, index)
            continue

        def outer(source: Source | _Parameter, args: tuple[Source, ...] = args, first: int = first) -> Source:
            if isinstance(source, _Parameter):
                return args[source.index]
            return Result(source.call + first, source.index) if isinstance(source, Result) else source

        calls += [
            Call(name, tuple(outer(arg) for arg in made), node, (*call.path, node.name))
            for node, name, made in inner.calls
        ]
        for index, source in enumerate(inner.results):
            results[position, index] = outer(source)
        for index, shape in inner.ensured.items():
            source = args[index]
            if isinstance(source, Arg) and source.key in inputs:
                inputs[source.key] = replace(inputs[source.key], shape=shape, is_ensured=True)
    outputs = {key: replace(output, source=mapped(output.source)) for key, output in plan.outputs.items()}
    return Plan(inputs, outputs, tuple(calls))


@dataclass(frozen=True, slots=True)
class _Parameter:
    """An argument of the function whose body is looked at."""

    index: int


class _Inner(NamedTuple):
    calls: list[tuple[Any, str, tuple[Any, ...]]]
    results: list[Any]
    ensured: dict[int, Shape]


def _inner_calls(function: Any, graph: Graph) -> _Inner | None:
    """What a pure wrapper calls; None for a function that does something itself."""
    if any(name not in _HARMLESS_ATTRS for name in function.attr):
        return None
    nodes = {node.name: node for node in function.node_def}
    made = [node for node in function.node_def if node.op not in _PASSING_OPS]
    if not made or any(called_function(node, graph.function) is None for node in made):
        return None
    places = {node.name: place for place, node in enumerate(made)}
    parameters = {arg.name: index for index, arg in enumerate(function.signature.input_arg)}
    ensured: dict[int, Shape] = {}

    def source_of(edge: str) -> Any:
        name, _, rest = edge.partition(":")
        if not rest and name in parameters:
            return _Parameter(parameters[name])
        node = nodes.get(name)
        if node is None:
            return None
        if node.name in places:
            index = result_index(node, rest, graph)
            return None if index is None else Result(places[node.name], index)
        if node.op == "Const":
            if "value" not in node.attr:  # too large for the outline
                whole = read_function(graph, function.signature.name)
                node = next(one for one in whole.node_def if one.name == name)
            return Constant(node.attr["value"].tensor.SerializeToString(deterministic=True))
        if node.op not in ("Identity", "EnsureShape"):
            return None
        inner = source_of(node.input[0])
        if node.op == "EnsureShape":
            if not isinstance(inner, _Parameter):
                return None
            ensured[inner.index] = shape_of(node.attr["shape"].shape)
        return inner

    calls: list[tuple[Any, str, tuple[Any, ...]]] = []
    for place, node in enumerate(made):
        args = tuple(source_of(edge) for edge in node.input if edge[:1] != "^")
        if any(arg is None or isinstance(arg, Result) and arg.call >= place for arg in args):
            return None
        calls.append((node, called_function(node, graph.function) or "", args))
    results = [source_of(function.ret[arg.name]) for arg in function.signature.output_arg]
    return None if any(result is None for result in results) else _Inner(calls, results, ensured)


def result_index(node: Any, rest: str, graph: Graph) -> int | None:
    """The position among a call's results that ``output:1`` or, of a function's own op, ``name:0`` stands for."""
    name, _, number = rest.rpartition(":")
    if not number.isdecimal():
        return None
    if node.op in CALL_OPS:
        return int(number) if name in ("output", "") else None
    function = graph.function(node.op)
    names = [] if function is None else [arg.name for arg in function.signature.outputs]
    return names.index(name) if name in names else None


def graph_plan(
    graph: Graph, inputs: Mapping[str, Input], outputs: Mapping[str, Output], captured: Collection[str]
) -> Plan:
    """What the graph computes for some tensors that calls of functions give.

    Args:
        graph: The graph.
        inputs: What is fed: input key → input with its tensor.
        outputs: What is fetched: output key → output with its tensor; the sources are worked out here.
        captured: The edges that bring what objects of the model hold: variables, tables, assets, constants.

    Returns:
        The plan, as the graph has it, wrappers and all.

    Raises:
        UnsupportedEditError: An output is computed by nodes of the graph itself.
    """
    fed = {info.tensor_name: key for key, info in inputs.items()}
    calls: list[Call] = []
    places: dict[str, int] = {}

    def source_of(edge: str, depth: int = 0) -> Source:
        name, index = split_tensor_name(edge) if ":" in edge else (edge, 0)
        tensor_name = f"{name}:{index or 0}"
        if tensor_name in fed:
            return Arg(fed[tensor_name])
        node = graph.nodes.get(name)
        if edge in captured:
            return Capture(edge)
        if node is None or depth > _DEEPEST:
            raise UnsupportedEditError(f"there is no tensor {quoted(tensor_name)} in the graph")
        if node.op in CALL_OPS or graph.function(node.op) is not None:
            if name not in places:
                message = node_message(node)
                function = called_function(message, graph.function)
                if function is None:
                    raise UnsupportedEditError(f"the node {quoted(name)} calls a function that the graph hasn't got")
                data_edges = [part for part in node.inputs if part[:1] != "^"]
                args = tuple(source_of(part, depth + 1) for part in data_edges)
                places[name] = len(calls)
                calls.append(Call(function, args, message, (name,)))
            return Result(places[name], index or 0)
        if node.op == "Identity":
            return source_of(node.inputs[0], depth + 1)
        if node.op in ("Placeholder", "PlaceholderV2"):
            return Unfed(name)
        if node.op == "PlaceholderWithDefault":
            return source_of(node.inputs[0], depth + 1)
        if node.op == "Const":
            return Constant(node_message(node).attr["value"].tensor.SerializeToString(deterministic=True))
        raise UnsupportedEditError(
            f"{quoted(tensor_name)} is computed by the node {quoted(name)} ({node.op}) of the graph itself, not by a "
            "function, and tf.saved_model.load knows only functions"
        )

    found = {key: replace(output, source=source_of(output.tensor_name)) for key, output in outputs.items()}
    for key, output in found.items():
        if isinstance(output.source, Capture):
            raise UnsupportedEditError(
                f"output {quoted(key)} is {quoted(output.source.edge)}, which no function computes, and "
                "tf.saved_model.load knows only functions"
            )
    return Plan(dict(inputs), found, tuple(calls))


_DEEPEST = 200


def shape_of(message: Any) -> Shape:
    """A shape from a TensorShapeProto."""
    if message.unknown_rank:
        return Shape(None)
    return Shape(tuple(None if dim.size == -1 else dim.size for dim in message.dim))


def expect_no_unfed(plan: Plan, signature_key: str) -> None:
    """Refuses a plan whose answers need what no input gives.

    Raises:
        EditError: A placeholder would stay without a value.
    """
    if unfed := plan.unfed():
        one = len(unfed) == 1
        raise EditError(
            f"signature {quoted(signature_key)} needs the {'placeholder' if one else 'placeholders'} {listed(unfed)}, "
            f"which no input feeds; add {'an input' if one else 'inputs'} for {'it' if one else 'them'}"
        )
