"""The functions of a step in the library of a model, under names that nothing else there has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from explorer.editing.steps import Step
from explorer.editing.two_truths import Functions
from explorer.errors import FormatError, quoted
from explorer.savedmodel.constants import DT_RESOURCE
from explorer.savedmodel.object_graph import parsed
from explorer.savedmodel.op_defs import OP
from explorer.savedmodel.records import iter_fields, utf8_text
from explorer.savedmodel.wire import LENGTH

_OP_NAME: Final = 1 << 3 | LENGTH  # op_def.proto, OpDef.name


def add_step(functions: Functions, step: Step) -> str:
    """Puts a step among the functions that an edit makes.

    What the library holds already is not put there twice, so a model that gets one step before two of its signatures
    holds it once. Where the library has another function of a name, the step's is called otherwise, and whatever calls
    it with it.

    Args:
        functions: The meta graph; the functions and the definitions of their ops come to its pending ones.
        step: The step.

    Returns:
        The name under which the step is called.

    Raises:
        FormatError: The step is not what it should be: a function is missing, or calls itself.
    """
    own = {function.signature.name: function for function in _parsed_library(step)}
    if step.function not in own:
        raise FormatError(f"the step has no function {quoted(step.function)}")
    names: dict[str, str] = {}
    for name in _callees_first(own, step.function):
        function = own[name]
        _rename_called(function, names)
        names[name] = _placed(functions, function)
    _expect_arguments(step, own[step.function].signature)
    functions.definitions.update(_definitions(step))
    return names[step.function]


def _expect_arguments(step: Step, signature: Any) -> None:
    """Refuses a step whose function takes or gives something else than the step says."""
    wanted = [one.type_number for one in step.inputs] + [DT_RESOURCE] * len(step.tables)
    given = [one.type_number for one in step.outputs]
    if [arg.type for arg in signature.input_arg] != wanted or [arg.type for arg in signature.output_arg] != given:
        raise FormatError(f"the function {quoted(step.function)} of the step hasn't the arguments and results it names")


def _parsed_library(step: Step) -> Iterator[Any]:
    for data in step.library:
        yield parsed("tensorflow.FunctionDef", data, "a function of the step")


def _placed(functions: Functions, function: Any) -> str:
    """Adds a function under its name, or a name with a number where another function has that one."""
    wanted: str = function.signature.name
    number = 0
    while True:
        name: str = f"{wanted}_{number}" if number else wanted
        function.signature.name = name
        if name not in functions.pending and functions.graph.function(name) is None:
            functions.pending[name] = function
            return name
        if _same(functions.find(name), function):
            return name
        number += 1


def _same(function: Any, other: Any) -> bool:
    """Whether two functions are equal to the byte, which tells NaN from NaN as well."""
    return bool(function.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True))


def _callees_first(functions: Mapping[str, Any], top: str) -> list[str]:
    """A function and those that it leads to, each behind the ones that it calls."""
    done: dict[str, None] = {}
    above: set[str] = set()
    waiting = [(top, False)]
    while waiting:
        name, is_left = waiting.pop()
        if is_left:
            above.discard(name)
            done[name] = None
        elif name in above:
            raise FormatError(f"the function {quoted(name)} of the step calls itself")
        elif name not in done:
            above.add(name)
            waiting.append((name, True))
            called = {node.op for node in functions[name].node_def}
            called |= {reference.name for reference in _references(functions[name])}
            waiting += [(other, False) for other in sorted(called & functions.keys(), reverse=True)]
    return list(done)


def _rename_called(function: Any, names: Mapping[str, str]) -> None:
    for node in function.node_def:
        node.op = names.get(node.op, node.op)
    for reference in _references(function):
        reference.name = names.get(reference.name, reference.name)


def _references(function: Any) -> Iterator[Any]:
    """Every mention of a function in the attributes of another one's nodes (``NameAttrList``)."""
    pending = [value for node in function.node_def for value in node.attr.values()]
    while pending:
        value = pending.pop()
        found = [value.func] if value.HasField("func") else list(value.list.func)
        for reference in found:
            yield reference
            pending += reference.attr.values()


def _definitions(step: Step) -> dict[str, bytes]:
    """The ops of a step with their definitions."""
    found: dict[str, bytes] = {}
    for tag, _, part in iter_fields(step.ops):
        if tag != OP << 3 | LENGTH:
            continue
        names = [utf8_text(value, "the name of an op") for inner, _, value in iter_fields(part) if inner == _OP_NAME]
        if not names:
            raise FormatError("the step defines an op without a name")
        found[names[-1]] = bytes(part)
    return found
