"""Edits that reach into the functions of a TensorFlow 2 model: an inner tensor as an output, or as an input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from explorer.editing import clones
from explorer.editing.editable import expect_text
from explorer.editing.plan import Arg, Call, Input, Output, Plan, Result, Source, expect_no_unfed, graph_plan, unwrapped
from explorer.editing.signature_def import new_entry, tensor_changes
from explorer.editing.two_truths import Functions, read_plan
from explorer.editing.writing import write_plan
from explorer.errors import EditError, ExplorerError, NotFoundError, UnsupportedEditError, listed, quoted
from explorer.savedmodel.graph import GraphTensor
from explorer.savedmodel.inner_tensors import CALL_OPS, InnerTensor, find_inner, inner_tensors
from explorer.savedmodel.model import MetaGraph, Signature
from explorer.savedmodel.overlay import Change

_MOST_CLOSE = 5000
_RARELY_MEANT = frozenset({"", "Const", "ReadVariableOp", "Identity"})
_TEMPORARY = "\0"  # no key of anybody's: protobuf's text has no NUL in any model that was ever written


def inner_tensors_of(meta_graph: MetaGraph, signature: Signature) -> tuple[InnerTensor, ...]:
    """The tensors that an edit of a signature can reach inside the functions that it calls.

    Args:
        meta_graph: One with an object graph.
        signature: A signature of it.

    Returns:
        The tensors in the order of the file, handles left out, which no request and no answer can hold.

    Raises:
        EditError: ``signature_def`` and the object graph say different things about the signature.
        UnsupportedEditError: The signature isn't computed by functions in a way that is known here.
    """
    functions = Functions(meta_graph)
    plan = read_plan(functions, signature)
    return tuple(
        tensor
        for call in plan.calls
        for tensor in _tensors_of(functions, call)
        if tensor.dtype.base.number not in clones.HANDLES
    )


def set_output(meta_graph: MetaGraph, signature: Signature, output_key: str, tensor_name: str) -> list[Change]:
    """The changes that let an output, present or new, be another tensor."""
    functions = Functions(meta_graph)
    before = read_plan(functions, signature)
    plan, output = _answering(functions, before, tensor_name)
    known = before.outputs.get(output_key)
    if known is not None and known.source == output.source:
        raise EditError(f"output {quoted(output_key)} of signature {quoted(signature.key)} is that tensor already")
    if known is not None:
        output = replace(output, tensor_name="")
    plan = replace(plan, outputs={**plan.outputs, output_key: output})
    expect_no_unfed(plan, signature.key)
    return rewritten(functions, signature.key, plan.with_calls(plan.calls))


def set_input(meta_graph: MetaGraph, signature: Signature, input_key: str, tensor_name: str) -> list[Change]:
    """The changes that let an input be a tensor inside the signature's functions."""
    functions = Functions(meta_graph)
    plan = _fed_at(functions, read_plan(functions, signature), _TEMPORARY, tensor_name)
    if input_key in plan.used_keys():
        raise EditError(
            f"input {quoted(input_key)} of signature {quoted(signature.key)} can't become {quoted(tensor_name)}: other "
            "parts of the answer still need what the input is now"
        )
    if _TEMPORARY not in plan.used_keys():
        raise EditError(f"no output of signature {quoted(signature.key)} depends on {quoted(tensor_name)}")
    plan = plan.without_input(input_key).with_input_renamed(_TEMPORARY, input_key)
    return rewritten(functions, signature.key, plan)


def new_signature(
    meta_graph: MetaGraph, signature_key: str, inputs: Mapping[str, str], outputs: Mapping[str, str], method_name: str
) -> list[Change]:
    """The changes that add a signature over tensors of the graph and of its functions."""
    functions = Functions(meta_graph)
    if not outputs:
        raise EditError(f"signature {quoted(signature_key)} needs an output")
    fed = {key: tensor for key, name in inputs.items() if (tensor := functions.graph.tensor(name)) is not None}
    cuts = {key: name for key, name in inputs.items() if key not in fed}
    given = {key: Input(tensor.dtype.number, tensor.shape, tensor_name=tensor.name) for key, tensor in fed.items()}
    refusal: ExplorerError | None = None
    for call in _starts(functions, [*outputs.values(), *cuts.values()]):
        try:
            plan = _plan_over(functions, call, given, outputs, cuts)
            expect_no_unfed(plan, signature_key)
        except ExplorerError as error:
            refusal = error if refusal is None or isinstance(refusal, NotFoundError) else refusal
            continue
        written = write_plan(functions, signature_key, plan)
        entry = new_entry(meta_graph, signature_key, written.inputs, written.outputs, method_name)
        return [*written.changes, entry]
    raise refusal or EditError("the graph calls no function that could answer")


def rewritten(functions: Functions, signature_key: str, plan: Plan) -> list[Change]:
    """The changes that let a present signature compute a plan, in both of its places."""
    written = write_plan(functions, signature_key, plan)
    return [*written.changes, *tensor_changes(functions.meta_graph, signature_key, written.inputs, written.outputs)]


def _starts(functions: Functions, names: list[str]) -> list[str]:
    """The call nodes of the graph that a new signature may go through: those that its tensors name, or any."""
    calls = [
        node.name
        for node in functions.graph.nodes.values()
        if node.op in CALL_OPS or functions.graph.function(node.op) is not None
    ]
    named = [call for call in calls if any(name.startswith((f"{call}/", f"{call}:")) for name in names)]
    # The longest name is meant: "StatefulPartitionedCall_1/x:0" begins with no other.
    return sorted(named, key=len, reverse=True) or calls


def _plan_over(
    functions: Functions, call: str, given: Mapping[str, Input], outputs: Mapping[str, str], cuts: Mapping[str, str]
) -> Plan:
    graph = functions.graph
    count = graph.output_count(call) or 0
    results = {f"{call}:{index}": graph.tensor(f"{call}:{index}") for index in range(count)}
    whole = {
        name: Output(Arg(""), tensor.dtype.number, tensor.shape, name)
        for name, tensor in results.items()
        if tensor is not None
    }
    for name in outputs.values():
        tensor = graph.tensor(name)
        if tensor is not None:
            whole[name] = Output(Arg(""), tensor.dtype.number, tensor.shape, name)
    plan = unwrapped(graph_plan(graph, given, whole, functions.captures.objects), graph)
    found = {}
    for key, name in outputs.items():
        if name in plan.outputs:
            found[key] = plan.outputs[name].source
        else:
            plan, output = _answering(functions, plan, name)
            found[key] = output.source
            whole[name] = output
    made = {key: replace(whole[outputs[key]], source=source) for key, source in found.items()}
    plan = _only_needed(replace(plan, outputs=made))
    for key, name in cuts.items():
        plan = _fed_at(functions, plan, key, name)
    return _only_needed(plan)


def _only_needed(plan: Plan) -> Plan:
    """The plan without calls whose results nothing takes."""
    needed: set[int] = set()
    pending = [output.source for output in plan.outputs.values()]
    while pending:
        source = pending.pop()
        if isinstance(source, Result) and source.call not in needed:
            needed.add(source.call)
            pending += plan.calls[source.call].args
    if len(needed) == len(plan.calls):
        return plan
    places = {old: new for new, old in enumerate(sorted(needed))}

    def moved(source: Source) -> Source:
        return Result(places[source.call], source.index) if isinstance(source, Result) else source

    kept = replace(plan, calls=tuple(plan.calls[old] for old in sorted(needed)))
    return kept.with_sources(moved)


def _answering(functions: Functions, plan: Plan, tensor_name: str) -> tuple[Plan, Output]:
    """A plan that can give a tensor, and the tensor as an output of it."""
    expect_text(tensor_name, "a tensor name")
    tensor = functions.graph.tensor(tensor_name)
    if tensor is not None:
        return _answering_from_graph(functions, plan, tensor)
    call, inner = _find(functions, plan, tensor_name)
    plan, source = clones.exposed(functions, plan, call, inner)
    return plan, Output(source, inner.dtype.number, inner.shape)


def _answering_from_graph(functions: Functions, plan: Plan, tensor: GraphTensor) -> tuple[Plan, Output]:
    wanted = {"": Output(Arg(""), tensor.dtype.number, tensor.shape, tensor.name)}
    other = unwrapped(graph_plan(functions.graph, plan.inputs, wanted, functions.captures.objects), functions.graph)
    calls = list(plan.calls)
    places: dict[int, int] = {}

    def moved(source: Source) -> Source:
        return Result(places[source.call], source.index) if isinstance(source, Result) else source

    for place, call in enumerate(other.calls):
        call = replace(call, args=tuple(moved(arg) for arg in call.args))
        if call in calls:
            places[place] = calls.index(call)
        else:
            places[place] = len(calls)
            calls.append(call)
    output = replace(other.outputs[""], source=moved(other.outputs[""].source), tensor_name="")
    return replace(plan, calls=tuple(calls)), output


def _fed_at(functions: Functions, plan: Plan, key: str, tensor_name: str) -> Plan:
    """The plan with an input that takes the place of an inner tensor."""
    expect_text(tensor_name, "a tensor name")
    if functions.graph.tensor(tensor_name) is not None:
        raise UnsupportedEditError(
            f"{quoted(tensor_name)} is a tensor of the graph itself, and an input inside the signature's functions was "
            "expected, such as 'dense/Relu:0'"
        )
    call, inner = _find(functions, plan, tensor_name)
    plan = replace(plan, inputs={**plan.inputs, key: Input(inner.dtype.number, inner.shape)})
    return _only_needed(clones.cut(functions, plan, call, inner, key))


def _find(functions: Functions, plan: Plan, tensor_name: str) -> tuple[int, InnerTensor]:
    """The call and the inner tensor that a name means.

    Raises:
        EditError: It may mean several.
        NotFoundError: It means none.
    """
    tensors = [(place, tensor) for place, call in enumerate(plan.calls) for tensor in _tensors_of(functions, call)]
    every = [tensor for _, tensor in tensors if tensor.dtype.base.number not in clones.HANDLES]
    found: list[tuple[int, InnerTensor]] = []
    for name in _names_meant(functions, tensor_name):
        for place in range(len(plan.calls)):
            found += [(place, tensor) for tensor in find_inner((t for at, t in tensors if at == place), name)]
        if found:
            break
    if len(found) > 1:
        names = [tensor.name for _, tensor in found]
        raise EditError(f"{quoted(tensor_name)} may be one of {listed(names)}; give more of its name")
    if not found:
        # What layers compute is what people look for; constants and weights are listed after it.
        every.sort(key=lambda tensor: tensor.op in _RARELY_MEANT)
        raise NotFoundError(
            "tensor", tensor_name, [tensor.name for tensor in every[:_MOST_CLOSE]],
            "the functions that the signature calls (those inside loops, branches and mapped functions have no name "
            "from outside)",
        )  # fmt: skip
    return found[0]


def _names_meant(functions: Functions, tensor_name: str) -> list[str]:
    """A name, and what is left of it without the calls that lead from the graph to the work.

    An edit puts another call in the place of the signature's own, so a whole name from before the edit begins with a
    call that no longer leads there; what follows it is the same.
    """
    names = [tensor_name]
    parts = tensor_name.split("/")
    node = functions.graph.nodes.get(parts[0])
    if node is not None and (node.op in CALL_OPS or functions.graph.function(node.op) is not None):
        names += ["/".join(parts[start:]) for start in (1, 2) if parts[start:]]
    return names


def _tensors_of(functions: Functions, call: Call) -> Iterator[InnerTensor]:
    """Every tensor inside the function that a call leads to, and inside those that it calls."""

    def find(name: str) -> Any:
        known = functions.graph.function(name) is not None or name in functions.pending
        return functions.find_outline(name) if known else None

    return inner_tensors(functions.graph, [(call.path, call.function)], find)
