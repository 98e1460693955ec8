"""Placeholders that only steer training, with the value that each has when a trained model answers.

``keep_prob`` and its kin are told by what the graph does with them: dropout compares a random number with the rate, or
adds the part that is kept to one, in all versions of ``tf.nn.dropout``
(https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/python/ops/nn_ops.py). Others are told by their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from explorer.converting.flow import Flow
from explorer.converting.node_words import last_part, words
from explorer.savedmodel.constants import DT_BOOL, DT_INT32, DT_INT64
from explorer.savedmodel.model import DType, Shape

_FLOATS: Final = frozenset({1, 2, 14, 19})
_INTEGERS: Final = frozenset({DT_INT32, DT_INT64})
_STEPS: Final = frozenset(
    {"Identity", "Cast", "Switch", "Merge", "Reshape", "Enter", "Select", "Squeeze", "ExpandDims"}
)
_COMPARED: Final = frozenset({"GreaterEqual", "Greater", "Less", "LessEqual"})
_RANDOM_STEPS: Final = frozenset({"Mul", "Add", "AddV2", "Cast", "Identity", "Switch", "Reshape", "Enter"})
_MOST_STEPS: Final = 1000

_TRAINING: Final = frozenset({"training", "train", "phase", "istraining", "istrain", "learning"})
_ANSWERING: Final = frozenset({"test", "testing", "inference", "infer", "deterministic", "eval", "predicting"})
_STEP_WORDS: Final = (
    {"learning", "rate"},
    {"lr"},
    {"weight", "decay"},
    {"momentum"},
    {"clip", "norm"},
    {"max", "grad"},
)


@dataclass(frozen=True, slots=True)
class ConstantCandidate:
    """A placeholder that gets one value for good when the model answers.

    Attributes:
        tensor_name: Its tensor.
        key: A short name for it, unique among the constants.
        dtype: Its dtype.
        shape: Its shape.
        value: The value for answering, as the dtype wants it; None where a person must say it.
        reason: Why, in one sentence.
    """

    tensor_name: str
    key: str
    dtype: DType
    shape: Shape
    value: bool | int | float | None
    reason: str


def constant_value(flow: Flow, number: int, dtype: DType, shape: Shape) -> tuple[bool | int | float, str] | None:
    """The value that a placeholder has when the model answers, and why.

    Args:
        flow: The graph.
        number: The number of the placeholder.
        dtype: Its dtype.
        shape: Its shape.

    Returns:
        Value and reason; None for a placeholder that belongs to the request.
    """
    if shape.rank not in (None, 0, 1) or (shape.dims and shape.dims[0] not in (1, None)):
        return None
    name = flow.nodes[number].name
    said = words(last_part(name))
    if dtype.number in _FLOATS:
        return _float_value(flow, number, said)
    if dtype.number == DT_BOOL or dtype.number in _INTEGERS:
        return _switch_value(said, dtype)
    return None


def _switch_value(said: tuple[str, ...], dtype: DType) -> tuple[bool | int, str] | None:
    every = frozenset(said)
    if dtype.number in _INTEGERS and every >= {"batch", "size"}:
        return 1, "it is how many examples come at once: one, unless the model is to take batches of another fixed size"
    is_bool = dtype.number == DT_BOOL
    if not is_bool and not every & {"training", "phase", "istraining", "mode", "is"}:
        return None
    if every & _TRAINING or (said and said[-1] == "mode" and is_bool and "train" in every):
        return (False if is_bool else 0), "it says whether the model is being trained, and a model that answers is not"
    if every & _ANSWERING:
        return (True if is_bool else 1), "it says whether the model is used or tested, and a model that answers is"
    return None


def _float_value(flow: Flow, number: int, said: tuple[str, ...]) -> tuple[float, str] | None:
    kept = _is_kept_part(flow, number)
    every = frozenset(said)
    if kept is None:
        if every & {"keep", "kp"} and (
            every & {"prob", "probability", "dropout", "rate", "kp", "p"} or said == ("keep",)
        ):
            kept = True
        elif every & {"dropout", "drop", "droprate"} and every & {"rate", "prob", "probability", "dropout", "droprate"}:
            kept = False
    if kept is True:
        return 1.0, "it is the part that dropout keeps, and a model that answers keeps everything"
    if kept is False:
        return 0.0, "it is the part that dropout drops, and a model that answers drops nothing"
    if any(wanted <= every for wanted in _STEP_WORDS):
        return 0.0, "only a step of training uses it"
    return None


def _is_kept_part(flow: Flow, number: int) -> bool | None:
    """Whether dropout keeps (True) or drops (False) the part that a placeholder says; None where none uses it."""
    pending: list[tuple[int, bool]] = [(number, False)]  # whether it was taken from one: 1 - keep_prob is the rate
    seen = set(pending)
    looked_at = 0
    while pending and looked_at < _MOST_STEPS:
        current, turned = pending.pop()
        for taker in flow.consumers[current][:_MOST_STEPS]:
            looked_at += 1
            op = flow.op(taker)
            sources = flow.sources[taker]
            if (
                op in _COMPARED
                and len(sources) == 2
                and any(_is_random(flow, one) for one in sources if one != current)
            ):
                return turned
            if (
                op in ("Add", "AddV2")
                and len(sources) == 2
                and any(_is_random(flow, one) for one in sources if one != current)
            ):
                return not turned
            following = None
            if op in _STEPS:
                following = taker, turned
            elif op == "Sub" and len(sources) == 2 and sources[1] == current and _is_constant(flow, sources[0]):
                following = taker, not turned
            if following is not None and following not in seen:
                seen.add(following)
                pending.append(following)
    return None


def _is_constant(flow: Flow, number: int) -> bool:
    for _ in range(10):
        if number < 0:
            return False
        if flow.op(number) == "Const":
            return True
        if flow.op(number) not in _STEPS or not flow.sources[number]:
            return False
        number = flow.sources[number][0]
    return False


def _is_random(flow: Flow, number: int) -> bool:
    """Whether a value is a random number between two bounds."""
    pending, seen = [number], set[int]()
    while pending and len(seen) < 20:
        current = pending.pop()
        if current < 0 or current in seen:
            continue
        seen.add(current)
        op = flow.op(current)
        if op in ("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"):
            return True
        if op in _RANDOM_STEPS:
            pending.extend(flow.sources[current][:2])  # these ops take one value or two
    return False
