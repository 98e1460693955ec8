"""Which tensors of a graph become the inputs and outputs of its signature: what a person said, the rest worked out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explorer.converting.candidates import Candidate, Candidates, rank_candidates
from explorer.errors import EditError, listed, quoted
from explorer.savedmodel.edges import split_tensor_name
from explorer.savedmodel.graph import Graph, read_graph
from explorer.savedmodel.model import MetaGraph

Named = Mapping[str, str] | None
"""Key → tensor name; None where nobody said any."""

_NEARLY = 0.95
"""Outputs whose score is at least this part of the best one's belong to one answer, as boxes and scores do."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A signature for a graph that has none.

    Attributes:
        inputs: Input key → tensor name.
        outputs: Output key → tensor name.
        constants: Placeholder's tensor name → the value that it gets for good.
        reasons: For each tensor that nobody named, why it was taken: one sentence each.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    constants: Mapping[str, Any]
    reasons: tuple[str, ...]


def choose(
    meta_graph: MetaGraph, inputs: Named = None, outputs: Named = None, constants: Mapping[str, Any] | None = None
) -> Choice:
    """Completes what a person said about a graph to a signature.

    Outputs that nobody named are the best ranked; inputs that nobody named are the placeholders that the outputs
    need; of these, those that only training changes get the value for answering.

    Args:
        meta_graph: The meta graph.
        inputs: Input key → tensor name (``x:0``; a bare node name stands for its first tensor).
        outputs: Output key → tensor name.
        constants: Key, node name or tensor name of a placeholder → value.

    Raises:
        EditError: There is no output to take, a constant is no placeholder, or an input that nobody named has to be
            chosen by a person.
    """
    graph = read_graph(meta_graph)
    ranked = rank_candidates(meta_graph)
    reasons: list[str] = []
    fetched = _whole(graph, outputs) if outputs else _best_outputs(ranked, reasons)
    fixed = _constants(graph, ranked, constants or {})
    fed = _whole(graph, inputs) if inputs else {}
    unfed = graph.needs(fetched.values(), (*fed.values(), *fixed)).unfed
    known = {candidate.tensor_name: candidate for candidate in ranked.inputs}
    training = {candidate.tensor_name: candidate for candidate in ranked.constants}
    open_ones = []
    for node in unfed:
        name = f"{node}:0"
        if name in training and training[name].value is not None:
            fixed[name] = training[name].value
            reasons.append(f"{quoted(name)} is fixed to {fixed[name]}: {training[name].reason}")
        elif inputs:
            open_ones.append(name)
        else:
            key = _unused(known[name].key if name in known else split_tensor_name(name)[0], fed)
            fed[key] = name
            why = "; ".join(known[name].reasons) if name in known else "an output needs it"
            reasons.append(f"input {quoted(key)} is {quoted(name)}: {why}")
    if not (fed or fixed or open_ones) and ranked.inputs:  # a constant, a queue or a pipeline in whose place one feeds
        best = ranked.inputs[0]
        fed[best.key] = best.tensor_name
        reasons.append(f"input {quoted(best.key)} is {quoted(best.tensor_name)}: {'; '.join(best.reasons)}")
    if open_ones:
        them = "it" if len(open_ones) == 1 else "them"
        raise EditError(
            f"the outputs need {listed(open_ones)} besides the inputs that were given; name {them} as inputs too, or "
            "give a constant value"
        )
    return Choice(fed, fetched, fixed, tuple(reasons))


def _best_outputs(ranked: Candidates, reasons: list[str]) -> dict[str, str]:
    if not ranked.outputs:
        raise EditError("no tensor of this graph looks like an answer; name the outputs as key=tensor")
    told = [one for one in ranked.outputs if one.dtype.number] or list(ranked.outputs)  # a signature says the dtype
    best = [one for one in told if one.score >= _NEARLY * told[0].score]
    found: dict[str, str] = {}
    for candidate in best:
        key = _unused(candidate.key, found)
        found[key] = candidate.tensor_name
        reasons.append(f"output {quoted(key)} is {quoted(candidate.tensor_name)}: {_why(candidate)}")
    return found


def _why(candidate: Candidate) -> str:
    return "; ".join(candidate.reasons) or "it is ranked first"


def _whole(graph: Graph, named: Mapping[str, str]) -> dict[str, str]:
    """The same with tensor names for bare node names; what isn't there is for the edit to refuse."""
    return {key: _tensor_name(graph, name) for key, name in named.items()}


def _tensor_name(graph: Graph, name: str) -> str:
    whole = f"{name}:0"
    return whole if split_tensor_name(name)[1] is None and graph.tensor(whole) is not None else name


def _constants(graph: Graph, ranked: Candidates, given: Mapping[str, Any]) -> dict[str, Any]:
    by_key = {candidate.key: candidate.tensor_name for candidate in ranked.inputs}
    by_key |= {candidate.key: candidate.tensor_name for candidate in ranked.constants}
    fixed: dict[str, Any] = {}
    for name, value in given.items():
        tensor = _tensor_name(graph, name)
        if graph.tensor(tensor) is None:
            tensor = by_key.get(name, tensor)
        node = graph.nodes.get(split_tensor_name(tensor)[0])
        if node is None or not node.op.startswith("Placeholder"):
            there = sorted(one.name for one in graph.nodes.values() if one.op.startswith("Placeholder"))
            raise EditError(
                f"the constant {quoted(name)} names no placeholder of the graph; placeholders: {listed(there)}"
            )
        fixed[tensor] = value
    return fixed


def _unused(key: str, taken: Mapping[str, str]) -> str:
    made, number = key, 0
    while made in taken:
        number += 1
        made = f"{key}_{number}"
    return made
