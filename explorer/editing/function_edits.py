"""A new signature over a function that the model has anyway: what ``model.predict`` is to ``signatures``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from explorer.editing.clones import HANDLES
from explorer.editing.editable import Tags, editable, edited, expect_new_signature_key, expect_text
from explorer.editing.plan import Arg, Call, Capture, Input, Output, Plan, Result, Source
from explorer.editing.signature_def import new_entry
from explorer.editing.two_truths import Functions, call_template, edge_of
from explorer.editing.writing import write_plan
from explorer.errors import EditError, NotFoundError, UnsupportedEditError, listed, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.concrete_functions import ConcreteFunction, FunctionTensor, read_concrete_functions
from explorer.savedmodel.model import MetaGraph, SavedModel


def add_signature_from_function(
    model: SavedModel,
    signature_key: str,
    function_name: str,
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    method_name: str = constants.PREDICT_METHOD_NAME,
    *,
    tags: Tags = None,
) -> SavedModel:
    """Adds a signature that calls a function of the model, such as a method that was traced but not exported.

    Args:
        model: The model, with an object graph.
        signature_key: The key of the new signature.
        function_name: The method below the root (``predict``, ``layer.call``) where it has one trace, or the name of
            the concrete function (``__inference_predict_42``).
        inputs: Input key → name of an argument; None takes every argument under its own name.
        outputs: Output key → name of a result; None takes every result under its own name.
        method_name: One of ``constants.METHOD_NAMES``.
        tags: The meta graph.

    Raises:
        NotFoundError: There is no such function, argument or result.
        EditError: An argument would stay without a value.
    """
    meta_graph = editable(model, tags)
    expect_new_signature_key(meta_graph, signature_key)
    expect_text(method_name, "a method name")
    if not meta_graph.has_object_graph:
        raise UnsupportedEditError(
            "this model has no object graph, so it offers no functions; add_signature makes one over tensors"
        )
    function = find_function(meta_graph, function_name)
    by_key = _chosen(inputs, function.arguments, "argument", function)
    left = [tensor.name for tensor in function.arguments if tensor not in by_key.values()]
    if left:
        raise EditError(f"{quoted(function_name)} needs {listed(left)} too; give each argument an input")
    results = _chosen(outputs, function.results, "result", function)
    if not results:
        raise EditError(f"{quoted(function_name)} returns no tensors, and a signature needs an output")
    for tensor in (*by_key.values(), *results.values()):
        if tensor.dtype.base.number in HANDLES:
            raise EditError(
                f"{quoted(tensor.name)} of {quoted(function_name)} is a handle ({tensor.dtype}), which no request holds"
            )
    functions = Functions(meta_graph)
    keys = {tensor.arg: key for key, tensor in by_key.items()}
    args: list[Source] = [Arg(keys[tensor.arg]) for tensor in function.arguments]
    bound = functions.object_graph.concrete_functions[function.name].bound_inputs
    args += [Capture(edge_of(functions, node_id)) for node_id in bound]
    places = {tensor.arg: place for place, tensor in enumerate(function.results)}
    plan = Plan(
        {key: Input(tensor.dtype.number, tensor.shape) for key, tensor in by_key.items()},
        {
            key: Output(Result(0, places[tensor.arg]), tensor.dtype.number, tensor.shape)
            for key, tensor in results.items()
        },
        (Call(function.name, tuple(args), call_template(functions, function.name)),),
    )
    written = write_plan(functions, signature_key, plan)
    entry = new_entry(meta_graph, signature_key, written.inputs, written.outputs, method_name)
    return edited(
        model, meta_graph, [*written.changes, entry], "add_signature_from_function",
        signature_key=signature_key, function_name=function_name,
        inputs={key: tensor.name for key, tensor in by_key.items()},
        outputs={key: tensor.name for key, tensor in results.items()}, method_name=method_name,
    )  # fmt: skip


def find_function(meta_graph: MetaGraph, function_name: str) -> ConcreteFunction:
    """The function that a name means: that of a concrete function, or of a method with one trace.

    Raises:
        EditError: The method has several traces.
        NotFoundError: There is none.
    """
    expect_text(function_name, "the name of a function")
    offered = read_concrete_functions(meta_graph)
    if function_name in offered:
        return offered[function_name]
    traces = [function for function in offered.values() if function_name in function.paths]
    if len(traces) == 1:
        return traces[0]
    if traces:
        told = ", ".join(
            f"{quoted(function.name)}"
            + (f" ({', '.join(function.python_arguments)})" if function.python_arguments else "")
            for function in traces
        )
        raise EditError(f"{quoted(function_name)} was traced several times; name one of its traces: {told}")
    names = [path for function in offered.values() for path in function.paths]
    raise NotFoundError("function", function_name, dict.fromkeys([*names, *offered]), "the object graph")


def _chosen(
    wanted: Mapping[str, str] | None, tensors: Sequence[FunctionTensor], what: str, function: ConcreteFunction
) -> dict[str, FunctionTensor]:
    """Key → the argument or result that it stands for."""
    if wanted is None:
        return {tensor.name: tensor for tensor in tensors}
    known = {tensor.arg: tensor for tensor in tensors} | {tensor.name: tensor for tensor in tensors}
    found: dict[str, FunctionTensor] = {}
    for key, name in wanted.items():
        expect_text(key, "a key")
        expect_text(name, f"the name of {'an' if what == 'argument' else 'a'} {what}")
        if name not in known:
            raise NotFoundError(
                what, name, [tensor.name for tensor in tensors], f"the function {quoted(function.name)}"
            )
        if what == "argument" and known[name] in found.values():
            raise EditError(f"two inputs are to be the argument {quoted(name)}; a request gives it once")
        found[key] = known[name]
    return found
