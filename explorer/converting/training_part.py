"""Which nodes of a graph only training needs: gradients, updates, losses, metrics, summaries, savers.

A graph of TensorFlow 1 holds training and answering in one. What tells them apart is what depends on what: gradients
have a scope of their own, losses are where labels meet answers, and labels are what nothing else needs.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

from explorer.converting.flow import Flow
from explorer.converting.node_words import LABEL, LOSS, MAYBE_LABEL, OUTPUT, says, scope_says, words

LOSS_OPS: Final = frozenset(
    {"SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits", "L2Loss", "CTCLoss", "CTCLossV2"}
    | {"NcclAllReduce", "InTopK", "InTopKV2"}
)
"""Ops that only training and measuring use."""

_LABELS_AT: Final = {
    "SoftmaxCrossEntropyWithLogits": (1,), "SparseSoftmaxCrossEntropyWithLogits": (1,), "InTopK": (1,),
    "InTopKV2": (1,), "CTCLoss": (1, 2), "CTCLossV2": (1, 2),
}  # fmt: skip
"""Op → which of its inputs are labels, by ``tensorflow/core/ops/nn_ops.cc`` and ``ctc_ops.cc``."""

_PASSED_ON: Final = frozenset(
    {"Cast", "Reshape", "Squeeze", "ExpandDims", "OneHot", "Identity", "StopGradient", "ToInt32", "ToInt64", "Pack"}
    | {"Transpose", "PreventGradient", "StridedSlice"}
)
_SWALLOWED: Final = frozenset(
    {"Mean", "Sum", "Add", "AddV2", "AddN", "Mul", "RealDiv", "Div", "DivNoNan", "Neg", "Square", "SquaredDifference"}
    | {
        "Abs",
        "Pow",
        "Log",
        "Log1p",
        "Exp",
        "Sub",
        "Sqrt",
        "Maximum",
        "Minimum",
        "Cast",
        "Select",
        "SelectV2",
        "Reshape",
    }
    | {"Identity", *LOSS_OPS}
)
_STOPS: Final = frozenset({"Sub", "SquaredDifference", *LOSS_OPS})
_MEANS: Final = frozenset({"Mean", "Sum", "Neg"})
_REDUCED: Final = frozenset(
    {"Mean", "Sum", "Add", "AddV2", "AddN", "Mul", "Neg", "L2Loss", "RealDiv", "Sqrt", "Identity"}
)
_OPTIMIZERS: Final = ("Apply", "ResourceApply", "SparseApply", "ResourceSparseApply")
_SUMMARIES: Final = ("Summary", "SummaryV2")
_UPDATES: Final = ("Assign", "AssignAdd", "AssignSub", "ScatterUpdate", "ScatterAdd", "ScatterSub")
_GRADIENTS = re.compile(r"(?:.*/)?gradients(?:_\d+)?/(?:.*/)?")
_GRADIENT_OF = re.compile(r"(?:^|.*?/)gradients(?:_\d+)?/(.+)_grad/")
_SAVER = re.compile(r"(?:.*/)?save(?:_\d+)?/[^/]*")
_LOGISTIC = re.compile(r"(?:.*/)?logistic_loss(?:_\d+)?(?:/.*)?")
"""What ``tf.nn.sigmoid_cross_entropy_with_logits`` is made of; there is no op of its own for it."""
_REPORTS = re.compile(r"(?:.*/)?(?:report_uninitialized|init_ops|ready_op|update_\w+_op)")


class TrainingPart:
    """What of a graph belongs to training.

    Args:
        flow: The graph.
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    @cached_property
    def is_trained(self) -> bool:
        """Whether there is a training in the graph at all."""
        return bool(self.gradient_of) or any(node.op.startswith(_OPTIMIZERS) for node in self._flow.nodes)

    @cached_property
    def gradient_of(self) -> frozenset[str]:
        """The names of the nodes that have a gradient: all of them lead to the loss."""
        found = (_GRADIENT_OF.match(node.name) for node in self._flow.nodes if "gradients" in node.name)
        return frozenset(match[1] for match in found if match is not None)

    @cached_property
    def by_kind(self) -> list[bool]:
        """For each node, whether its op or its name alone puts it into training."""
        return [self._is_by_kind(node.op, node.name) for node in self._flow.nodes]

    def _is_by_kind(self, op: str, name: str) -> bool:
        if op in LOSS_OPS or op.startswith(_OPTIMIZERS) or op in _UPDATES or op.endswith(_SUMMARIES):
            return True
        if "gradients" in name and _GRADIENTS.match(name):
            return True
        if "save" in name and _SAVER.fullmatch(name):
            return True
        if "logistic_loss" in name and _LOGISTIC.fullmatch(name):
            return True
        return _REPORTS.match(name) is not None

    @cached_property
    def direct_labels(self) -> frozenset[tuple[int, int]]:
        """The tensors (node and index) that go into a loss as labels, nothing but casts and reshapes between."""
        flow = self._flow
        pending = [
            flow.taken(number, place) for number, node in enumerate(flow.nodes) for place in _LABELS_AT.get(node.op, ())
        ]
        found: set[tuple[int, int]] = set()
        while pending:
            tensor = pending.pop()
            if tensor is None or tensor in found:
                continue
            found.add(tensor)
            if flow.op(tensor[0]) in _PASSED_ON:
                pending.append(flow.taken(tensor[0], 0))
        return frozenset(found)

    @cached_property
    def losses(self) -> frozenset[int]:
        """The ends of losses and of metrics: what gradients begin at, and numbers whose names say so."""
        by_kind, flow = self.by_kind, self._flow
        found = set()
        for number, node in enumerate(flow.nodes):
            if node.op not in _SWALLOWED or by_kind[number] or not flow.sources[number]:
                continue
            takers = [taker for taker in flow.consumers[number] if not flow.op(taker).endswith(_SUMMARIES)]
            if self._has_gradient[number] and not any(self._has_gradient[taker] for taker in takers):
                found.add(number)  # gradients flow back from it, and nothing of what takes it has one
            elif node.op in _REDUCED and all(by_kind[taker] for taker in takers):
                is_named = says(node.name, LOSS) or (scope_says(node.name, LOSS) and not says(node.name, OUTPUT))
                if is_named:
                    found.add(number)
        return frozenset(found)

    @cached_property
    def _has_gradient(self) -> list[bool]:
        """For each node, whether gradients flow through it; those of a copy leave no trace by name."""
        flow = self._flow
        found = [node.name in self.gradient_of or node.op in LOSS_OPS for node in flow.nodes]
        for number in reversed(flow.order):
            if not found[number] and flow.op(number) == "Identity":
                found[number] = any(found[taker] for taker in flow.consumers[number])
        return found

    @cached_property
    def before_losses(self) -> frozenset[int]:
        """What only leads to losses: squares, logarithms and means between an answer and its loss."""
        flow, by_kind = self._flow, self.by_kind
        found = set(self.losses)
        pending = list(self.losses)
        waiting: dict[int, int] = {}  # how many of the takers that count are not known to lead to a loss
        leading: set[int] = set()
        while pending:
            number = pending.pop()
            counts = not by_kind[number] and not flow.of_shapes[number]
            for source in dict.fromkeys(flow.before(number)):
                if source not in waiting:
                    takers = flow.consumers[source]
                    waiting[source] = sum(1 for taker in takers if not by_kind[taker] and not flow.of_shapes[taker])
                waiting[source] -= counts
                if self._leads_on(number, source):
                    leading.add(source)
                if source in leading and waiting[source] == 0 and source not in found:
                    found.add(source)
                    pending.append(source)
        return frozenset(found)

    def _leads_on(self, number: int, source: int) -> bool:
        """Whether what a loss takes is itself a part of the loss, and not the answer yet."""
        op = self._flow.op(source)
        if not self._is_difference(number):
            return op in _SWALLOWED
        # tf.nn.softmax_cross_entropy_with_logits reshapes what it is given, in a scope of its own
        return op in _PASSED_ON and scope_says(self._flow.nodes[source].name, LOSS)

    @cached_property
    def _in_losses(self) -> frozenset[int]:
        """What stands between answers and the losses that gradients begin at, labels or not."""
        flow = self._flow
        pending = [number for number in self.losses if self._has_gradient[number]]
        found = set(pending)
        while pending:
            number = pending.pop()
            if self._is_difference(number):
                continue
            for source in flow.before(number):
                if source not in found and self._has_gradient[source] and flow.op(source) in _SWALLOWED:
                    found.add(source)
                    pending.append(source)
        return frozenset(found)

    def _is_difference(self, number: int) -> bool:
        """Whether a node compares an answer with labels; a difference of means is a loss of several parts."""
        flow = self._flow
        if flow.op(number) not in _STOPS:
            return False
        return flow.op(number) in LOSS_OPS or not all(flow.op(source) in _MEANS for source in flow.before(number))

    def meets_only_losses(self, number: int) -> bool:
        """Whether a placeholder comes in where a loss is computed and nowhere before: labels, whatever they are called.

        Args:
            number: Its node.
        """
        if not self._in_losses:
            return False
        flow, seen, pending, meets = self._flow, {number}, [number], False
        while pending:
            for taker in flow.consumers[pending.pop()]:
                if taker in seen or self.by_kind[taker] and taker not in self._in_losses:
                    continue
                seen.add(taker)
                if not self._has_gradient[taker]:
                    pending.append(taker)
                elif taker in self._in_losses:
                    meets = True
                else:
                    return False
        return meets

    @cached_property
    def compared(self) -> frozenset[int]:
        """The nodes that a cross-entropy compares with labels: logits."""
        found = set()
        for number, node in enumerate(self._flow.nodes):
            if node.op in _LABELS_AT and (tensor := self._flow.taken(number, 0)) is not None:
                source = tensor[0]
                for _ in range(len(_PASSED_ON)):
                    if not self._leads_on(number, source) or not self._flow.sources[source]:
                        break
                    source = max(self._flow.sources[source][0], 0)
                found.add(source)
        return frozenset(found | {number for number, _ in self._logistic[0]})

    @cached_property
    def _logistic(self) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        """The logits and the labels that sigmoid cross-entropies take: of the two, labels are only multiplied."""
        flow = self._flow
        multiplied: set[tuple[int, int]] = set()
        logits: set[tuple[int, int]] = set()
        for number, node in enumerate(flow.nodes):
            if "logistic_loss" not in node.name or not _LOGISTIC.fullmatch(node.name):
                continue
            for source, index in flow.all_taken(number):
                if _LOGISTIC.fullmatch(flow.nodes[source].name) is None:
                    (multiplied if node.op == "Mul" else logits).add((source, index))
        return logits, multiplied - logits

    def looks_like_label(self, number: int) -> bool:
        """Whether a placeholder is called as labels are, in a graph that is trained or measured."""
        name = self._flow.nodes[number].name
        if name.endswith("y_") or says(name, LABEL):
            return True
        if self.has_loss and scope_says(name, LABEL):  # the parts of a sparse placeholder: labels/indices
            return True
        return self.has_loss and (says(name, MAYBE_LABEL) or words(name)[-2:] == ("y", "true"))

    @cached_property
    def has_loss(self) -> bool:
        """Whether something in the graph is a loss or a metric."""
        return self.is_trained or bool(self.losses) or any(node.op in LOSS_OPS for node in self._flow.nodes)
