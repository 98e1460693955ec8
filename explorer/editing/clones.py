"""Clones of functions with one more result, or with an inner tensor as an argument.

A function that a signature calls may be called by others too, so it is never changed: every function on the path from
the signature to the tensor is copied, and only the copies differ. What runs in the copies is otherwise the same,
control edges included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from explorer.editing.editable import expect_one_value
from explorer.editing.plan import Arg, Call, Plan, Result, Source
from explorer.editing.two_truths import Functions
from explorer.editing.wrapper import argument_name, fill_call, set_shape, unused
from explorer.errors import EditError, quoted
from explorer.savedmodel.graph import PLACEHOLDER_OPS
from explorer.savedmodel.inner_tensors import CALL_OPS, InnerTensor, called_function
from explorer.savedmodel.loops import is_in_function_loop

_READS: Final = frozenset({"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VarHandleOp", "VarIsInitializedOp"})
_LOOK_UPS: Final = frozenset({"LookupTableFindV2", "LookupTableSizeV2", "LookupTableExportV2", "HashTableV2"})
_RESOURCE = 20
HANDLES: Final = frozenset({_RESOURCE, 21})
"""The dtypes of handles, DT_RESOURCE and DT_VARIANT, which no request and no answer can hold."""


def exposed(functions: Functions, plan: Plan, call: int, tensor: InnerTensor) -> tuple[Plan, Result]:
    """Lets a call of a plan give an inner tensor as a result.

    Args:
        functions: The meta graph; the clones come to its pending functions.
        plan: The plan.
        call: Which of its calls leads to the tensor.
        tensor: The tensor; its path begins with the call's own.

    Returns:
        The plan with the call of a clone, and the result. The same plan where the function gives the tensor already.

    Raises:
        EditError: The tensor is a handle, which can't be answered.
    """
    _expect_value(functions, tensor)
    _expect_fed(functions, tensor)
    before = plan.calls[call]
    name, index = _expose(functions, before.function, list(tensor.path[len(before.path) :]), tensor)
    if name != before.function:
        plan = _with_call(functions, plan, call, name, before.args)
    return plan, Result(call, index)


def cut(functions: Functions, plan: Plan, call: int, tensor: InnerTensor, key: str) -> Plan:
    """Lets a call of a plan take an inner tensor as an argument, and what only that tensor needed go.

    Args:
        functions: The meta graph; the clones come to its pending functions.
        plan: The plan, which has an input ``key``.
        call: Which of its calls leads to the tensor.
        tensor: The tensor; its path begins with the call's own.
        key: The input that takes its place.

    Returns:
        The plan, in whose call the argument is the input.
    """
    _expect_value(functions, tensor)
    before = plan.calls[call]
    made = _cut(functions, before.function, list(tensor.path[len(before.path) :]), tensor)
    args = tuple(Arg(key) if place is None else before.args[place] for place in made.args)
    return _with_call(functions, plan, call, made.name, args)


def has_side_effects(functions: Functions, function: Any, depth: int = 0) -> bool:
    """Whether a function does more than compute: changes a variable, prints, asserts, reads a file …"""
    for node in function.node_def:
        if node.op in _READS or node.op in _LOOK_UPS:
            continue
        called = _called(functions, node)
        if called is not None:
            if depth > 50 or has_side_effects(functions, functions.find(called), depth + 1):
                return True
        elif _is_stateful(functions, node):
            return True
    return False


def _with_call(functions: Functions, plan: Plan, place: int, name: str, args: tuple[Source, ...]) -> Plan:
    template = plan.calls[place].node
    if template is not None and template.op in CALL_OPS:
        template = _copy(template)
        template.attr["_read_only_resource_inputs"].list.ClearField("i")  # counted in other arguments than these
    calls = [*plan.calls[:place], Call(name, args, template, plan.calls[place].path), *plan.calls[place + 1 :]]
    return plan.with_calls(calls)


def _expose(functions: Functions, name: str, path: list[str], tensor: InnerTensor) -> tuple[str, int]:
    """A function that gives the tensor, and as which of its results; the function itself where it does already."""
    function = functions.find(name)
    edge = tensor.edge
    clone = None
    if path:
        node = next(node for node in function.node_def if node.name == path[0])
        called = called_function(node, functions.find) or ""
        inner, index = _expose(functions, called, path[1:], tensor)
        if inner != called:
            clone = _clone(functions, function)
            node = next(node for node in clone.node_def if node.name == path[0])
            _retarget(functions, node, inner)
        edge = f"{node.name}:output:{index}"
        if node.op not in CALL_OPS:
            edge = f"{node.name}:{functions.find(inner).signature.output_arg[index].name}:0"
    else:
        for index, result in enumerate(function.signature.output_arg):
            if _passed_on(function, function.ret[result.name]) == edge:
                return name, index
    if clone is None:
        for index, result in enumerate(function.signature.output_arg):
            if function.ret[result.name] == edge:
                return name, index
        clone = _clone(functions, function)
    return clone.signature.name, _add_result(clone, edge, tensor)


def _passed_on(function: Any, edge: str) -> str:
    """The edge that an Identity at the end of a function passes on."""
    name, _, rest = edge.partition(":")
    node = next((node for node in function.node_def if node.name == name), None)
    return str(node.input[0]) if node is not None and node.op == "Identity" and rest else edge


def _add_result(function: Any, edge: str, tensor: InnerTensor) -> int:
    taken = {node.name.lower() for node in function.node_def} | {arg.name for arg in function.signature.input_arg}
    results = {arg.name for arg in function.signature.output_arg}
    node = function.node_def.add(name=unused("Identity", taken, key=str.lower), op="Identity")
    node.input.append(edge)
    if any(other.name == "NoOp" and other.op == "NoOp" for other in function.node_def):
        node.input.append("^NoOp")
    node.attr["T"].type = tensor.dtype.number
    set_shape(node.attr["_output_shapes"].list.shape.add(), tensor.shape)
    result = function.signature.output_arg.add(name=unused("exposed", results), type=tensor.dtype.number)
    function.ret[result.name] = f"{node.name}:output:0"
    return len(function.signature.output_arg) - 1


@dataclass(frozen=True, slots=True)
class _Cut:
    """A function that takes what an inner tensor was.

    Attributes:
        name: Its name.
        args: Its arguments by their place in the function that it was made of; None for the new one.
    """

    name: str
    args: tuple[int | None, ...]


def _cut(functions: Functions, name: str, path: list[str], tensor: InnerTensor) -> _Cut:
    original = functions.find(name)
    clone = _clone(functions, original)
    names = {arg.name for arg in clone.signature.input_arg}
    taken = {*names, *(node.name.lower() for node in clone.node_def)}
    place = len(clone.signature.input_arg)
    arg = clone.signature.input_arg.add(name=argument_name(tensor.node, taken), type=tensor.dtype.number)
    set_shape(clone.arg_attr[place].attr["_output_shapes"].list.shape.add(), tensor.shape)
    if path:
        node = next(node for node in clone.node_def if node.name == path[0])
        inner = _cut(functions, called_function(node, functions.find) or "", path[1:], tensor)
        data = [edge for edge in node.input if edge[:1] != "^"]
        control = [edge for edge in node.input if edge[:1] == "^"]
        node.ClearField("input")
        node.input.extend(arg.name if index is None else data[index] for index in inner.args)
        node.input.extend(control)
        _retarget(functions, node, inner.name)
    else:
        for node in clone.node_def:
            for position, edge in enumerate(node.input):
                if edge == tensor.edge:
                    node.input[position] = arg.name
        for result in clone.ret:
            if clone.ret[result] == tensor.edge:
                clone.ret[result] = arg.name
    return _Cut(clone.signature.name, _pruned(functions, clone, place))


def _pruned(functions: Functions, function: Any, new: int) -> tuple[int | None, ...]:
    """Takes out of a function what nothing needs any more; returns its arguments by their old places."""
    nodes = {node.name: node for node in function.node_def}
    live = _reached(nodes, function.ret.values())
    # A side effect stays unless it needs what went: it hangs on arguments that nothing else needs.
    arguments = {arg.name for arg in function.signature.input_arg}
    needed = {edge for name in live for edge in nodes[name].input if edge in arguments}
    needed |= {edge for edge in function.ret.values() if edge in arguments}
    needed.add(function.signature.input_arg[new].name)
    for name in list(function.control_ret.values()):
        node = nodes.get(name)
        if node is None or name in live or not _acts(functions, node):
            continue
        behind = _reached(nodes, [f"{name}:0"])
        taken = {edge for inner in behind for edge in nodes[inner].input if edge in arguments}
        if all(edge in needed or _type_of(function, edge) == _RESOURCE for edge in taken):
            live |= behind
    for name in list(live):
        live |= {
            part[1:]
            for part in nodes[name].input
            if part[:1] == "^" and part[1:] in nodes and nodes[part[1:]].op == "NoOp"
        }
    kept = [node for node in function.node_def if node.name in live]
    for node in kept:
        edges = [edge for edge in node.input if edge[:1] != "^" or edge[1:] in live or edge[1:] in arguments]
        node.ClearField("input")
        node.input.extend(edges)
    used = {edge for node in kept for edge in (part.removeprefix("^") for part in node.input)}
    used |= set(function.ret.values())
    places = [place for place, arg in enumerate(function.signature.input_arg) if arg.name in used or place == new]
    _keep_arguments(function, places)
    names = {node.name for node in kept}
    copied = [_copy(node) for node in kept]
    function.ClearField("node_def")
    function.node_def.extend(copied)
    for name in [name for name, target in function.control_ret.items() if target not in names]:
        del function.control_ret[name]
        function.signature.control_output.remove(name)
    return tuple(None if place == new else place for place in places)


def _reached(nodes: dict[str, Any], edges: Iterable[str]) -> set[str]:
    """The nodes that some tensors depend on by data."""
    found: set[str] = set()
    pending = list(edges)
    while pending:
        name = pending.pop().partition(":")[0]
        if name in nodes and name not in found:
            found.add(name)
            pending += [edge for edge in nodes[name].input if edge[:1] != "^"]
    return found


def _acts(functions: Functions, node: Any) -> bool:
    """Whether a node has a side effect that shall stay, though nothing takes its results."""
    if node.op in _READS or node.op in _LOOK_UPS:
        return False
    called = _called(functions, node)
    return has_side_effects(functions, functions.find(called)) if called is not None else True


def _called(functions: Functions, node: Any) -> str | None:
    """The function that a node calls and does nothing else, one of the library or one that the edit made."""
    return called_function(node, lambda name: functions.pending.get(name) or functions.graph.function(name))


def _is_stateful(functions: Functions, node: Any) -> bool:
    op = functions.graph.op_def(node.op)
    return op is None or op.is_stateful


def _type_of(function: Any, argument: str) -> int:
    return next(int(arg.type) for arg in function.signature.input_arg if arg.name == argument)


def _keep_arguments(function: Any, places: list[int]) -> None:
    """Leaves a function with some of its arguments."""
    args = [_copy(function.signature.input_arg[place]) for place in places]
    details = [_copy(function.arg_attr[place]) if place in function.arg_attr else None for place in places]
    ids = [function.resource_arg_unique_id.get(place) for place in places]
    function.signature.ClearField("input_arg")
    function.signature.input_arg.extend(args)
    function.ClearField("arg_attr")
    function.ClearField("resource_arg_unique_id")
    for place, detail in enumerate(details):
        if detail is not None:
            function.arg_attr[place].CopyFrom(detail)
        if ids[place] is not None:
            function.resource_arg_unique_id[place] = ids[place]
    if "_input_shapes" in function.attr:
        del function.attr["_input_shapes"]  # it counts the arguments that were


def _retarget(functions: Functions, node: Any, name: str) -> None:
    """Lets a call node call another function."""
    inputs, own = list(node.input), node.name
    template = _copy(node)
    function = functions.find(name)
    if node.op in CALL_OPS:
        template.attr["_read_only_resource_inputs"].list.ClearField("i")
    fill_call(node, Call(name, (), template), function)
    node.name = own
    node.input.extend(inputs)


def _clone(functions: Functions, function: Any) -> Any:
    name = function.signature.name
    clone = _copy(function)
    clone.signature.name = functions.unused_function(f"{name.partition('_edited')[0]}_edited")
    functions.pending[clone.signature.name] = clone
    return clone


def _expect_value(functions: Functions, tensor: InnerTensor) -> None:
    expect_one_value(tensor.name, is_in_function_loop(functions.find(tensor.function), tensor.node))
    if tensor.dtype.base.number in HANDLES:
        raise EditError(
            f"{quoted(tensor.name)} is a {tensor.dtype}: a handle inside the model, which no request can hold"
        )


def _expect_fed(functions: Functions, tensor: InnerTensor) -> None:
    """Refuses a tensor that hangs on a placeholder inside its function, as functions made of old graphs may have.

    Nothing ever feeds such a placeholder; what the function answers doesn't need it.
    """
    function = functions.find(tensor.function)
    nodes = {node.name: node for node in function.node_def}
    for name in sorted(_reached(nodes, [tensor.edge])):
        if nodes[name].op in PLACEHOLDER_OPS:
            raise EditError(
                f"{quoted(tensor.name)} depends on the placeholder {quoted(name)} inside the function "
                f"{quoted(tensor.function)}, which nothing feeds"
            )


def _copy(message: Any) -> Any:
    made = type(message)()
    made.CopyFrom(message)
    return made
