"""The outputs of a graph: where its answering part ends, ranked by where they stand, by op and by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from explorer.converting.flow import Flow
from explorer.converting.graph_look import VARIABLE_OPS
from explorer.converting.node_types import MOST_OUTPUTS, NO_OUTPUTS, output_dtypes, output_shape
from explorer.converting.node_words import LOSS, OUTPUT, last_part, says, scope_says
from explorer.converting.origins import PIPELINE, QUEUE, Origin
from explorer.converting.training_part import TrainingPart
from explorer.savedmodel.constants import DT_BOOL
from explorer.savedmodel.graph import HANDLES
from explorer.savedmodel.model import DType, Shape

_NEVER: Final = frozenset(
    {"Const", "Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "IteratorGetNext", "IteratorV2", "Switch"}
    | {"RefSwitch", "Enter", "RefEnter", "NextIteration", "LoopCond", "Variable", "VariableV2", "VarHandleOp"}
    | {"ReadVariableOp", "VarIsInitializedOp", "IsVariableInitialized", "StringFormat", "Fill", "ZerosLike", "OnesLike"}
    | {"RestoreV2", "ShardedFilename", "RandomUniform", "RandomStandardNormal", "TruncatedNormal", "StackPushV2"}
    | {"StackPopV2", "StackV2", "InvertPermutation", "Range", "FIFOQueueV2", "PaddingFIFOQueueV2", *NO_OUTPUTS}
)
_CHECKS: Final = frozenset({"Assert", "Print", "PrintV2", "CheckNumerics", "NoOp"})
_SUMMARIES: Final = ("Summary", "SummaryV2")
_CHOOSING: Final = frozenset({"ArgMax", "ArgMin", "TopK", "TopKV2", "Max", "Greater", "GreaterEqual"})
_PROBABLE: Final = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})
_CALLS: Final = frozenset({"PartitionedCall", "StatefulPartitionedCall"})

_OPS: Final[dict[str, tuple[float, str]]] = {
    "Softmax": (0.3, "a softmax: its values are probabilities"),
    "Sigmoid": (0.3, "a sigmoid: its values lie between 0 and 1"),
    "LogSoftmax": (0.2, "a log-softmax: its values are logarithms of probabilities"),
    "ArgMax": (0.1, "an argmax: the number of the best class"),
    "TopK": (0.1, "the largest values and where they stand"),
    "TopKV2": (0.1, "the largest values and where they stand"),
    "CombinedNonMaxSuppression": (0.2, "boxes that were found, doubles removed"),
    "Identity": (0.1, ""),
    "Tanh": (0.05, ""),
    "BiasAdd": (0.05, ""),
    **dict.fromkeys(_CALLS, (0.1, "")),
    "Exit": (-0.2, ""),
}
_PASSED: Final = frozenset({"Reshape", "Identity", "Squeeze", "Cast", "ExpandDims", "Transpose"})
_FOLLOWING: Final = _CHOOSING | _PASSED
_FIRST_ONLY: Final = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "Unique", "LRN", "Moments"})
"""Ops whose further outputs are by-products."""
_ACCUMULATORS: Final = frozenset({"Const", "EmptyTensorList", "TensorListReserve", "StackV2", "Stack"})
"""Ops in the scope of gradients that a loop of the answering part fills for them, and that hold no gradient yet."""
_STEPS: Final = 3
_END: Final = "nothing takes it: it is where the graph ends"
_BEFORE_CHOICE: Final = "only the choice of a class comes behind it"
_NAMED: Final = "its name says so"
_PLAIN: Final = 0.5
_WEIGHT_BYTES: Final = 256  # a constant of this size holds weights rather than an axis or a shape
_MOST_ENDS: Final = 1000
_MOST_RANKED: Final = 200
_MOST_TENSORS: Final = 2000
_HIGHEST: Final = 1.25


@dataclass(frozen=True, slots=True)
class Ranked:
    """A tensor that could be an output.

    Attributes:
        number: The number of its node.
        index: Which output of the node it is.
        dtype: Its dtype.
        shape: Its shape.
        score: How likely it is, from 0 to 1.
        reasons: Why, in short sentences.
        mark: The bits of what it needs.
    """

    number: int
    index: int
    dtype: DType
    shape: Shape
    score: float
    reasons: tuple[str, ...]
    mark: int


def rank_outputs(flow: Flow, part: TrainingPart, fed: Mapping[Origin, int], labels: set[int]) -> list[Ranked]:
    """The tensors with which the answering part of a graph ends, best first.

    Args:
        flow: The graph.
        part: What of it belongs to training.
        fed: What could be fed, with a bit for each.
        labels: The bits of those that are labels.

    Returns:
        The outputs; none where the graph has no answer that needs something fed and no labels.
    """
    marks, weights, training = _marks(flow, part, fed)
    wrong = training | sum(labels)
    needed = sum(set(fed.values())) & ~sum(labels)
    loops, of_shapes, branches = flow.loops, flow.of_shapes, flow.branches

    def is_answering(number: int) -> bool:
        return (
            bool(marks[number] & needed)
            and not marks[number] & wrong
            and not part.by_kind[number]
            and not of_shapes[number]
            and number not in part.before_losses
        )

    answering = [is_answering(number) for number in range(len(flow))]
    ends = {
        number: reason
        for number in range(len(flow))
        if answering[number] and not loops[number] and _may_be_output(flow, number)
        for reason in [_where(flow, part, answering, number)]
        if reason
    }
    if not ends:
        return []
    _add_probabilities(flow, answering, ends)
    _add_named(flow, answering, ends)
    is_pruned = not part.has_loss and not any(node.op in VARIABLE_OPS for node in flow.nodes)
    deepest = max(flow.depths[number] for number in ends)
    uses_weights = any(marks[number] & weights for number in ends)
    scored: list[tuple[float, int, tuple[str, ...]]] = []
    for number, reason in ends.items():
        score, why = _scored(flow, number, reason)
        score += 0.1 * flow.depths[number] / deepest
        if uses_weights and not marks[number] & weights:
            score -= 0.25
            why.append("none of the weights plays a part in it")
        elif is_pruned and not branches[number] and reason == _END and score >= _PLAIN:
            # A frozen graph is cut down to what its outputs need, so all its ends are outputs.
            score = 1.0 + 0.05 * score
        if branches[number]:
            score -= 0.2
            why.append("it lies in a branch, in which it may have no value")
        scored.append((-score, number, tuple(why)))
    scored.sort(key=lambda one: one[:2])
    found: list[Ranked] = []
    for negative, number, reasons in scored[:_MOST_RANKED]:
        if len(found) >= _MOST_TENSORS:
            break
        found.extend(_tensors(flow, number, -negative, reasons, marks[number]))
    found.sort(key=lambda one: (-one.score, one.number, one.index))
    return found


def _marks(flow: Flow, part: TrainingPart, fed: Mapping[Origin, int]) -> tuple[list[int], int, int]:
    """What every node needs, as bits; and the bits that stand for weights and for gradients."""
    highest = max(fed.values(), default=1)
    weights, training = highest << 1, highest << 2
    marks = [0] * len(flow)
    several: dict[int, dict[int, int]] = {}
    for origin, bit in fed.items():
        if origin.kind in (PIPELINE, QUEUE):
            several.setdefault(origin.number, {})[origin.index] = bit
        else:
            marks[origin.number] |= bit
    for taker in {taker for number in several for taker in flow.consumers[number]}:
        for source, index in flow.all_taken(taker):  # of several outputs, a node needs only those that it takes
            if source in several:
                marks[taker] |= several[source].get(index, 0)
    for number, node in enumerate(flow.nodes):
        if node.op in VARIABLE_OPS or (node.op == "Const" and node.size_bytes >= _WEIGHT_BYTES):
            marks[number] |= weights
        is_gradient = "gradients" in node.name and node.op not in _ACCUMULATORS
        if part.by_kind[number] and (is_gradient or "Apply" in node.op):
            marks[number] |= training
    return flow.spread(marks), weights, training


def _may_be_output(flow: Flow, number: int) -> bool:
    op = flow.op(number)
    return op not in _NEVER and not op.startswith(("TensorArray", "Stack", "Queue", "Iterator", "Lookup", "Assign"))


def _where(flow: Flow, part: TrainingPart, answering: list[bool], number: int) -> str:
    """Why a node is where the answering part ends; empty where it isn't."""
    takers = flow.consumers[number]
    if not takers:
        return _END
    if any(answering[taker] and flow.op(taker) not in _CHECKS for taker in takers):
        return "the loss compares it with the labels" if number in part.compared else ""
    if number in part.compared:
        return "the loss compares it with the labels"
    if any(flow.op(taker) in _CHECKS for taker in takers):
        return ""  # it is only looked at: a condition that must hold
    if all(flow.op(taker).endswith(_SUMMARIES) for taker in takers):
        return "only a summary takes it: it is where the graph ends"
    if all(flow.of_shapes[taker] for taker in takers):
        return "only its shape is taken: it is where the graph ends"
    return "only training and measuring take it further"


def _add_probabilities(flow: Flow, answering: list[bool], ends: dict[int, str]) -> None:
    """Adds what only the choice of a class comes behind: a softmax before an argmax."""
    followed: dict[int, bool] = {}
    for end in list(ends):
        source = end
        chosen = False
        for _ in range(_STEPS):
            if flow.op(source) not in _FOLLOWING or not flow.sources[source]:
                break
            chosen = chosen or flow.op(source) not in _PASSED
            source = flow.sources[source][0]
            if source < 0 or source in ends or not answering[source] or flow.loops[source]:
                break
            if source not in followed:
                takers = flow.consumers[source]
                followed[source] = all(not answering[one] or flow.op(one) in _FOLLOWING for one in takers)
            if not followed[source]:
                break
            if flow.op(source) in _PROBABLE:
                if chosen:
                    ends[source] = _BEFORE_CHOICE
                break


def _add_named(flow: Flow, answering: list[bool], ends: dict[int, str]) -> None:
    """Adds what a program gave the name of an output, though the graph goes on behind it: embeddings, logits."""
    for number, node in enumerate(flow.nodes):
        if number in ends or not answering[number] or flow.loops[number] or not _may_be_output(flow, number):
            continue
        own = last_part(node.name)
        if own.lower() not in (node.op.lower(), "embedding_lookup") and says(own, OUTPUT) and len(ends) < _MOST_ENDS:
            ends[number] = _NAMED


def _passes_on(flow: Flow, number: int) -> str:
    """The op whose values a node only reshapes or copies; its own op where it does more."""
    for _ in range(_STEPS):
        if flow.op(number) not in _PASSED or not flow.sources[number] or flow.sources[number][0] < 0:
            break
        number = flow.sources[number][0]
    return flow.op(number)


def _scored(flow: Flow, number: int, reason: str) -> tuple[float, list[str]]:
    node = flow.nodes[number]
    bonus, why = max(_OPS.get(node.op, (0.0, "")), _OPS.get(_passes_on(flow, number), (0.0, "")))
    score = {_BEFORE_CHOICE: 0.45, _NAMED: 0.2}.get(reason, _PLAIN) + bonus
    reasons = [reason, *([why] if why else [])]
    is_named = last_part(node.name).lower() != node.op.lower()
    if is_named and says(node.name, OUTPUT):
        score += 0.2
        reasons.extend([] if reason == _NAMED else [_NAMED])
    elif scope_says(node.name, OUTPUT):
        score += 0.1
        reasons.append("the name of its scope says so")
    elif says(node.name, LOSS) or (scope_says(node.name, LOSS) and node.op not in _PROBABLE):
        score -= 0.3
        reasons.append("its name is that of a loss or of something measured")
    return score, reasons


def _tensors(flow: Flow, number: int, score: float, reasons: tuple[str, ...], mark: int) -> list[Ranked]:
    """The outputs of a node."""
    node = flow.nodes[number]
    found = []
    most = 1 if node.op in _FIRST_ONLY else MOST_OUTPUTS
    for index, dtype in enumerate(output_dtypes(flow.graph, node, flow.taken_counts.get(number, 1), most)):
        if dtype.base.number in HANDLES:
            continue
        shape = output_shape(flow.graph, f"{node.name}:{index}")
        own = score - (0.15 if shape.dims == () else 0.0) - (0.1 if dtype.number == DT_BOOL else 0.0)
        found.append(Ranked(number, index, dtype, shape, _bounded(own), reasons, mark))
    return found


def _bounded(score: float) -> float:
    return round(min(max(score / _HIGHEST, 0.0), 1.0), 6)
