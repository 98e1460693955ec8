"""The nodes that a signature or a function needs, by number: what one level of a flow is made of.

A signature is followed back from its outputs to what it feeds, as a session does; a function from its results and from
what it must run before it returns: ``ret`` and ``control_ret`` in ``tensorflow/core/framework/function.proto``.
Everything here is linear in the number of edges, because graphs of 50,000 nodes are common.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple

from explorer.savedmodel.constants import DT_RESOURCE, DT_VARIANT
from explorer.savedmodel.graph import PLACEHOLDER_OPS, Graph, split_tensor_name
from explorer.savedmodel.model import Signature
from explorer.savedmodel.object_graph import read_outline

INPUT, OUTPUT, ARGUMENT, RESULT = "input", "output", "argument", "result"
OP, CONSTANT, VARIABLE, TABLE, PLACEHOLDER = "op", "constant", "variable", "table", "placeholder"

ENDS: Final = frozenset({INPUT, OUTPUT, ARGUMENT, RESULT})
"""What stands at the ends of a flow and is no op of its own."""

LEAVES: Final = frozenset({CONSTANT, VARIABLE, TABLE})
"""What a flow takes from the model instead of from a request."""

_CONSTANTS = frozenset({"Const", "HostConst"})
_VARIABLES = frozenset({"VarHandleOp", "Variable", "VariableV2"})
_TABLES = frozenset(
    {"HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2", "MutableHashTableOfTensors"}
    | {"MutableHashTableOfTensorsV2", "MutableDenseHashTable", "MutableDenseHashTableV2", "AnonymousHashTable"}
    | {"AnonymousMutableHashTable", "AnonymousMutableHashTableOfTensors", "AnonymousMutableDenseHashTable"}
)
_WAYS_BACK = frozenset({"NextIteration", "RefNextIteration"})
_HANDLES = frozenset({DT_RESOURCE, DT_VARIANT})
_KEPT = "body of the flow"

Source = tuple[int, str]
"""Where a value comes from: the number of a node, and which of its outputs, as the edge says it."""


class Called(NamedTuple):
    """A function that a node names: the attribute that names it (empty for a call), and its name."""

    role: str
    function: str


@dataclass(frozen=True)
class Body:
    """What is reached in one graph or function, each node by its number.

    Attributes:
        function: The function; empty for the graph itself.
        names: The names: of a node, of an input or output key, of an argument or a result.
        ops: The ops; empty for what is none.
        kinds: What each is: one of ``ENDS`` and ``LEAVES``, ``op`` or ``placeholder``.
        inputs: Where each takes values from, in order; a number of -1 where there is no such node.
        controls: Which others must have run before.
        devices: Where each was placed.
        arguments: The number of each argument of the function; -1 for one that nothing needs.
        results: The number of each result, or output.
        reached_fed: The nodes of fed tensors that the outputs need.
        infos: For an input or output of a signature its dtype and shape as declared.
    """

    function: str
    names: Sequence[str]
    ops: Sequence[str]
    kinds: Sequence[str]
    inputs: Sequence[tuple[Source, ...]]
    controls: Sequence[tuple[int, ...]]
    devices: Sequence[str]
    arguments: tuple[int, ...] = ()
    results: tuple[int, ...] = ()
    reached_fed: frozenset[str] = frozenset()
    infos: dict[int, str] = field(default_factory=dict)
    fed_tensors: dict[int, str] = field(default_factory=dict)
    messages: dict[int, Any] = field(default_factory=dict, repr=False)
    definition: Any = field(default=None, repr=False)
    known_calls: dict[int, tuple[Called, ...]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def consumers(self) -> Sequence[tuple[int, ...]]:
        """For each node, those that take a value from it."""
        found: list[dict[int, None]] = [{} for _ in self.names]
        for number, sources in enumerate(self.inputs):
            for source, _ in sources:
                if source >= 0:
                    found[source][number] = None
        return [tuple(one) for one in found]

    @cached_property
    def handles(self) -> frozenset[int]:
        """The arguments that are handles of variables, tables or datasets."""
        if self.definition is None:
            return frozenset()
        args = self.definition.signature.input_arg
        return frozenset(
            number for number, arg in zip(self.arguments, args, strict=True) if number >= 0 and arg.type in _HANDLES
        )

    @cached_property
    def is_leaf(self) -> Sequence[bool]:
        """For each node, whether it belongs beside what takes it, wherever its name puts it."""
        return [
            kind in LEAVES or (number in self.handles and bool(self.consumers[number]))
            for number, kind in enumerate(self.kinds)
        ]

    @cached_property
    def order(self) -> Sequence[int]:
        """For each node its place when all come after what they take; a loop is cut at its way back.

        What only holds something stands right before the first that takes it.
        """
        waiting = [0] * len(self)
        after: list[list[int]] = [[] for _ in self.names]
        for number, sources in enumerate(self.inputs):
            before = {source for source, _ in sources if source >= 0} | set(self.controls[number])
            for source in before:
                if self.ops[source] not in _WAYS_BACK and source != number:
                    after[source].append(number)
                    waiting[number] += 1
        # A list that is used up from its end keeps chains together, so that parts of a long body are of one piece.
        ready = [number for number in range(len(self) - 1, -1, -1) if waiting[number] == 0]
        place = [-1] * len(self)
        count = 0
        while ready:
            number = ready.pop()
            place[number] = count
            count += 1
            for consumer in reversed(after[number]):
                waiting[consumer] -= 1
                if waiting[consumer] == 0:
                    ready.append(consumer)
        for number in range(len(self)):  # what lies in a circle that no loop explains stands at the end
            if place[number] < 0:
                place[number] = count
                count += 1
        for number, leaf in enumerate(self.is_leaf):
            if leaf and self.consumers[number]:
                place[number] = min(place[consumer] for consumer in self.consumers[number])
        return place


def signature_body(graph: Graph, signature: Signature) -> Body:
    """What the outputs of a signature need, back to its inputs.

    Args:
        graph: The graph.
        signature: The signature.

    Returns:
        Its inputs (used or not), the nodes in the order of the file, and its outputs.
    """
    keys: dict[str, list[str]] = {}
    infos: dict[str, str] = {}
    for key, info in signature.inputs.items():
        for role, tensor in _tensors(info.tensor_names, info.components):
            keys.setdefault(tensor, []).append(f"{key} ({role})" if role else key)
            infos[tensor] = "" if role else str(info)
    wanted = [
        (f"{key} ({role})" if role else key, tensor, "" if role else str(info))
        for key, info in signature.outputs.items()
        for role, tensor in _tensors(info.tensor_names, info.components)
    ]
    nodes = graph.nodes
    needed: set[str] = set()
    fed_nodes: set[str] = set()
    fed_names = {split_tensor_name(tensor)[0] for tensor in keys}
    pending: list[str] = []

    def enter(edge: str) -> None:
        if edge[:1] == "^":
            name, index = edge[1:], None
        else:
            name, index = split_tensor_name(edge) if ":" in edge else (edge, 0)
        if name not in nodes:
            return
        if name in fed_names:
            if index is None:
                if nodes[name].op in PLACEHOLDER_OPS:  # a fed placeholder answers for control inputs too
                    fed_nodes.add(name)
                    return
            elif f"{name}:{index or 0}" in keys:
                fed_nodes.add(name)
                return
        if name not in needed:
            needed.add(name)
            pending.append(name)

    for _, tensor, _ in wanted:
        enter(tensor)
    while pending:
        for edge in nodes[pending.pop()].inputs:
            enter(edge)

    made = _Maker()
    fed: dict[str, int] = {}
    for tensor, names in keys.items():
        name = split_tensor_name(tensor)[0]
        fed[tensor] = made.add(", ".join(names), nodes[name].op if name in nodes else "", INPUT)
        made.infos[fed[tensor]] = infos[tensor]
        made.fed_tensors[fed[tensor]] = tensor
    numbers = {}
    for name in nodes if len(needed) * 3 > len(nodes) else sorted(needed, key=lambda one: nodes[one].position):
        if name in needed:
            op = nodes[name].op
            numbers[name] = made.add(name, op, _kind(op, nodes[name].inputs), nodes[name].device)

    def source(edge: str) -> Source:
        name, index = split_tensor_name(edge) if ":" in edge else (edge, 0)
        tensor = f"{name}:{index or 0}"
        if tensor in fed:
            return fed[tensor], ""
        return numbers.get(name, -1), str(index or 0)

    for name, number in numbers.items():
        edges = nodes[name].inputs
        made.inputs[number] = tuple([source(edge) for edge in edges if edge[:1] != "^"])
        controls = [edge[1:] for edge in edges if edge[:1] == "^"]
        if controls:
            found = [numbers.get(one, fed.get(f"{one}:0", -1)) for one in controls]
            made.controls[number] = tuple([one for one in found if one >= 0])
    results = []
    for key, tensor, text in wanted:
        number = made.add(key, "", OUTPUT)
        made.inputs[number] = (source(tensor),)
        made.infos[number] = text
        made.fed_tensors[number] = tensor
        results.append(number)
    return made.body("", results=tuple(results), reached_fed=frozenset(fed_nodes))


def function_body(graph: Graph, name: str) -> Body:
    """What a function of the library runs.

    Args:
        graph: The graph.
        name: The function.

    Returns:
        Its arguments that something needs, its nodes in the order of the file, and its results; kept with the graph.

    Raises:
        FormatError: There is no such function, or it is corrupt.
    """
    known = graph.derived.get((_KEPT, name))
    if isinstance(known, Body):
        return known
    definition = read_outline(graph, name)
    messages = {node.name: node for node in definition.node_def}
    edges = {name: tuple(node.input) for name, node in messages.items()}
    args = [arg.name for arg in definition.signature.input_arg]
    places = {arg: place for place, arg in enumerate(args)}
    ret, control_ret = dict(definition.ret), dict(definition.control_ret)
    needed: set[str] = set()
    taken: set[str] = set()
    pending: list[str] = []

    def enter(edge: str) -> None:
        one = edge.removeprefix("^").partition(":")[0]
        if one in messages:
            if one not in needed:
                needed.add(one)
                pending.append(one)
        elif one in places:
            taken.add(one)

    for edge in (*ret.values(), *control_ret.values()):
        enter(edge)
    while pending:
        for edge in edges[pending.pop()]:
            enter(edge)
    made = _Maker()
    numbers: dict[str, int] = {}
    arguments = []
    for arg in args:
        arguments.append(made.add(arg, "", ARGUMENT) if arg in taken else -1)
    for one, message in messages.items():
        if one in needed:
            op = message.op
            numbers[one] = number = made.add(one, op, _kind(op, edges[one]), message.device)
            made.messages[number] = message

    def source(edge: str) -> Source:
        one, _, port = edge.partition(":")
        number = numbers.get(one)
        if number is None:
            return (arguments[places[one]], "") if one in places else (-1, "")
        return number, port

    for one, number in numbers.items():
        made.inputs[number] = tuple([source(edge) for edge in edges[one] if edge[:1] != "^"])
        controls = [source(edge[1:])[0] for edge in edges[one] if edge[:1] == "^"]
        if controls:
            made.controls[number] = tuple([before for before in controls if before >= 0])
    results = []
    for result in definition.signature.output_arg:
        number = made.add(result.name, "", RESULT)
        made.inputs[number] = (source(ret[result.name]),) if result.name in ret else ()
        results.append(number)
    body = made.body(name, tuple(arguments), tuple(results), definition=definition)
    graph.derived[_KEPT, name] = body
    return body


def _tensors(names: Iterable[str], components: Any) -> list[tuple[str, str]]:
    return list(components.items()) if components is not None else [("", name) for name in names]


def _kind(op: str, edges: Sequence[str]) -> str:
    if op in _CONSTANTS:
        return CONSTANT
    if op in PLACEHOLDER_OPS:
        return PLACEHOLDER
    if op in _VARIABLES:
        return VARIABLE
    return TABLE if op in _TABLES and all(edge[:1] == "^" for edge in edges) else OP


class _Maker:
    """Collects a body."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.ops: list[str] = []
        self.kinds: list[str] = []
        self.inputs: list[tuple[Source, ...]] = []
        self.controls: list[tuple[int, ...]] = []
        self.devices: list[str] = []
        self.infos: dict[int, str] = {}
        self.fed_tensors: dict[int, str] = {}
        self.messages: dict[int, Any] = {}

    def add(self, name: str, op: str, kind: str, device: str = "") -> int:
        self.names.append(name)
        self.ops.append(op)
        self.kinds.append(kind)
        self.inputs.append(())
        self.controls.append(())
        self.devices.append(device)
        return len(self.names) - 1

    def body(
        self,
        function: str,
        arguments: tuple[int, ...] = (),
        results: tuple[int, ...] = (),
        reached_fed: frozenset[str] = frozenset(),
        definition: Any = None,
    ) -> Body:
        return Body(
            function, self.names, self.ops, self.kinds, self.inputs, self.controls, self.devices, arguments, results,
            reached_fed, self.infos, self.fed_tensors, self.messages, definition,
        )  # fmt: skip
