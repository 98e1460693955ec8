"""A step before or behind a signature of TensorFlow 2: one more call in the plan that both its truths are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from explorer.editing.plan import Arg, Call, Capture, Input, Output, Plan, Result, Source, expect_no_unfed
from explorer.editing.signature_def import added_entry, encoded_signature
from explorer.editing.step_functions import add_step
from explorer.editing.steps import Step
from explorer.editing.two_truths import Functions, read_plan
from explorer.editing.wrapper import set_shape
from explorer.editing.wrapping import Wrapping
from explorer.editing.writing import write_plan
from explorer.savedmodel.model import Shape
from explorer.savedmodel.object_graph import new_message
from explorer.savedmodel.overlay import Change
from explorer.savedmodel.reader import DEFAULTS, KEY, VALUE
from explorer.savedmodel.wire import encode_field


def wrapped_in_plan(
    functions: Functions, wrapping: Wrapping, key: str, method_name: str, tables: Sequence[str]
) -> list[Change]:
    """The changes that add a wrapped signature to a meta graph with an object graph.

    Args:
        functions: The meta graph.
        wrapping: What the new signature is.
        key: Its key.
        method_name: Its method name.
        tables: The edges that bring the tables of the steps, those of the first step first.

    Raises:
        EditError: The two truths of the old signature differ, or something stays unfed.
        UnsupportedEditError: What the old signature computes can't be told.
    """
    plan = wrapped_plan(functions, wrapping, tables)
    expect_no_unfed(plan, key)
    written = write_plan(functions, key, plan)
    defaults = b"".join(
        encode_field(DEFAULTS, encode_field(KEY, name) + encode_field(VALUE, value))
        for name, value in wrapping.signature.defaults.items()
        if name in wrapping.stays
    )
    signature = encoded_signature(written.inputs, written.outputs, method_name) + defaults
    return [*written.changes, added_entry(functions.meta_graph, key, signature)]


def wrapped_plan(functions: Functions, wrapping: Wrapping, tables: Sequence[str]) -> Plan:
    """What the new signature computes; the functions of the steps come to the pending ones."""
    plan = read_plan(functions, wrapping.signature)
    calls: list[Call] = []
    inputs = {name: replace(info, tensor_name="") for name, info in plan.inputs.items() if name in wrapping.stays}
    fed: dict[str, Source] = {}
    waiting = list(tables)
    before = wrapping.before
    if before is not None:
        inputs = {one.key: Input(one.type_number, one.shape) for one in before.inputs} | inputs
        args: list[Source] = [Arg(one.key) for one in before.inputs]
        calls.append(_call(functions, before, args, waiting))
        results = {one.key: Result(0, index) for index, one in enumerate(before.outputs)}
        for name, result in wrapping.feeds.items():
            fed[name] = results[result]
            if plan.inputs[name].is_ensured:
                check = _ensuring(functions, plan.inputs[name])
                calls.append(Call(check, (fed[name],)))
                fed[name] = Result(len(calls) - 1, 0)
    first = len(calls)

    def moved(source: Source) -> Source:
        if isinstance(source, Arg):
            return fed.get(source.key, source)
        return Result(source.call + first, source.index) if isinstance(source, Result) else source

    old = plan.with_sources(moved)
    calls += old.calls
    outputs = {name: replace(old.outputs[name], tensor_name="") for name in wrapping.kept}
    after = wrapping.after
    if after is not None:
        args = [old.outputs[wrapping.takes[one.key]].source for one in after.inputs]
        calls.append(_call(functions, after, args, waiting))
        outputs |= {
            one.key: Output(Result(len(calls) - 1, index), one.type_number, one.shape)
            for index, one in enumerate(after.outputs)
        }
    return Plan(inputs, outputs, tuple(calls))


def _call(functions: Functions, step: Step, args: list[Source], tables: list[str]) -> Call:
    """A call of a step, which takes its tables from the front of a list."""
    name = add_step(functions, step)
    edges, tables[:] = tables[: len(step.tables)], tables[len(step.tables) :]
    node = new_message("NodeDef")
    set_shapes(node, [one.shape for one in step.outputs])
    return Call(name, (*args, *(Capture(edge) for edge in edges)), node)


def set_shapes(node: Any, shapes: Sequence[Shape]) -> None:
    """Notes the shapes of the results of a NodeDef."""
    noted = node.attr["_output_shapes"].list
    noted.ClearField("shape")
    noted.SetInParent()
    for shape in shapes:
        set_shape(noted.shape.add(), shape)


def _ensuring(functions: Functions, info: Input) -> str:
    """Makes a function that refuses a value of another shape, as the old signature does, and gives its name."""
    function = new_message("FunctionDef")
    signature = function.signature
    signature.name = functions.unused_function("explorer_ensure_shape")
    signature.input_arg.add(name="value", type=info.type_number)
    signature.output_arg.add(name="ensured", type=info.type_number)
    set_shape(function.arg_attr[0].attr["_output_shapes"].list.shape.add(), Shape(None))
    node = function.node_def.add(name="EnsureShape", op="EnsureShape")
    node.input.append("value")
    node.attr["T"].type = info.type_number
    set_shape(node.attr["shape"].shape, info.shape)
    set_shapes(node, [info.shape])
    function.ret["ensured"] = "EnsureShape:output:0"
    functions.pending[signature.name] = function
    name: str = signature.name
    return name
