"""Which tensors of a graph are what one would ask for and feed: ranked, each with its reasons.

A graph of TensorFlow 1 doesn't say what goes in and what comes out. A person tells it from where the graph begins and
ends, from what only training needs, from ops such as a softmax, and from names; so does this.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import Final

from explorer.converting.constants_candidates import ConstantCandidate
from explorer.converting.flow import Flow
from explorer.converting.node_types import graph_version
from explorer.converting.node_words import INPUT, LABEL, last_part, plain_key, says, unique_keys
from explorer.converting.origins import BYTES, PIPELINE, PLACEHOLDER, QUEUE, WITH_DEFAULT, Origin, find_origins
from explorer.converting.output_candidates import Ranked, rank_outputs
from explorer.converting.training_part import TrainingPart
from explorer.savedmodel.edges import split_tensor_name
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import DType, MetaGraph, Shape

__all__ = ["Candidate", "Candidates", "ConstantCandidate", "rank_candidates"]

MOST_CANDIDATES: Final = 100
"""So many inputs and outputs are given at most, the best."""

_BASE: Final = {PLACEHOLDER: 0.5, WITH_DEFAULT: 0.45, BYTES: 0.4, PIPELINE: 0.3, QUEUE: 0.25}
_WHAT: Final = {
    PLACEHOLDER: "a placeholder: it has no value unless one is fed",
    WITH_DEFAULT: "a placeholder with a default value",
    BYTES: "a constant with encoded bytes that is there to be fed",
    PIPELINE: "it comes from a data pipeline, in whose place values can be fed",
    QUEUE: "it comes from a queue, in whose place values can be fed",
}
_TOP_OUTPUTS: Final = 10
_MOST_BITS: Final = 500


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tensor that could be an input or an output.

    Attributes:
        tensor_name: The tensor: ``softmax:0``.
        key: A key for it in a signature, unique among the inputs or among the outputs.
        dtype: Its dtype, number 0 where the file doesn't say.
        shape: Its shape, of unknown rank where the file doesn't say.
        score: How likely it is, from 0 to 1.
        reasons: Why, in short sentences, the weightiest first.
    """

    tensor_name: str
    key: str
    dtype: DType
    shape: Shape
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What could be fed and what could be asked for, best first.

    Attributes:
        inputs: Tensors that could be inputs; labels and the like stand last.
        outputs: Tensors that could be outputs.
        constants: Placeholders that only steer training, with their values for answering.
    """

    inputs: tuple[Candidate, ...] = ()
    outputs: tuple[Candidate, ...] = ()
    constants: tuple[ConstantCandidate, ...] = ()


def rank_candidates(meta_graph: MetaGraph) -> Candidates:
    """Ranks what could be the inputs and outputs of a graph.

    Args:
        meta_graph: A meta graph that was read from a file; signatures that it has are not looked at.

    Returns:
        The candidates; none where the graph is empty.

    Raises:
        FormatError: The graph is corrupt.
    """
    flow = Flow(read_graph(meta_graph))
    part = TrainingPart(flow)
    origins = find_origins(flow, cache(partial(graph_version, meta_graph)))
    fed = [origin for origin in origins if origin.constant is None]
    certain = {origin for origin in fed if (origin.number, origin.index) in part.direct_labels}
    likely = certain | {
        origin for origin in fed if part.looks_like_label(origin.number) or part.meets_only_losses(origin.number)
    }
    outputs: list[Ranked] = []
    labels = likely
    for labels in (likely, certain, set()):  # what all answers need is no label, whatever its name
        outputs = rank_outputs(flow, part, _bits(fed), {_bits(fed)[origin] for origin in labels})
        if outputs:
            break
    return Candidates(_inputs(flow, fed, labels, outputs), _outputs(flow, outputs), _constants(flow, origins))


def _bits(origins: list[Origin]) -> dict[Origin, int]:
    """A bit for each tensor that can be fed; in a graph with very many the last ones share one."""
    return {origin: 1 << min(position, _MOST_BITS) for position, origin in enumerate(origins)}


def _inputs(flow: Flow, fed: list[Origin], labels: set[Origin], outputs: list[Ranked]) -> tuple[Candidate, ...]:
    bits = _bits(fed)
    top = outputs[:_TOP_OUTPUTS]
    total = sum(one.score for one in top) or 1.0
    ranked = []
    for position, origin in enumerate(fed):
        reached = [one for one in top if one.mark & bits[origin]]
        score = _BASE[origin.kind] + 0.3 * sum(one.score for one in reached) / total
        reasons = [_WHAT[origin.kind]]
        if reached:
            reasons.append("the best ranked output needs it" if reached[0] is top[0] else "an output needs it")
        elif top:
            score -= 0.3
            reasons.append("no output needs it")
        name = split_tensor_name(origin.name)[0]
        if says(name, INPUT) and not says(name, LABEL):
            score += 0.15
            reasons.append("its name says so")
        if origin.shape.rank is None or origin.shape.rank > 0:
            score += 0.05
        if origin in labels:
            score *= 0.2
            reasons = [reasons[0], "labels: only the loss and what is measured need it"]
        ranked.append((-round(max(score, 0.0), 6), position, reasons, origin))
    ranked.sort(key=lambda one: one[:2])
    del ranked[MOST_CANDIDATES:]
    keys = unique_keys(_key(flow, origin) for *_, origin in ranked)
    return tuple(
        Candidate(origin.name, key, origin.dtype.base, origin.shape, min(-negative, 1.0), tuple(reasons))
        for (negative, _, reasons, origin), key in zip(ranked, keys, strict=True)
    )


def _outputs(flow: Flow, outputs: list[Ranked]) -> tuple[Candidate, ...]:
    best = outputs[:MOST_CANDIDATES]
    keys = unique_keys(plain_key(flow.nodes[one.number].name, one.index, flow.op(one.number)) for one in best)
    return tuple(
        Candidate(f"{flow.nodes[one.number].name}:{one.index}", key, one.dtype.base, one.shape, one.score, one.reasons)
        for one, key in zip(best, keys, strict=True)
    )


def _constants(flow: Flow, origins: list[Origin]) -> tuple[ConstantCandidate, ...]:
    found = [origin for origin in origins if origin.constant is not None]
    keys = unique_keys(_key(flow, origin) for origin in found)
    return tuple(
        ConstantCandidate(origin.name, key, origin.dtype.base, origin.shape, *origin.constant)
        for origin, key in zip(found, keys, strict=True)
        if origin.constant is not None
    )


def _key(flow: Flow, origin: Origin) -> str:
    """The node's own name; bytes in a constant are mostly called by what takes them: ``DecodeJpeg/contents``."""
    name, index = split_tensor_name(origin.name)
    if origin.kind == BYTES and last_part(name) == "contents":
        return "image_bytes"
    return plain_key(name, index or 0, flow.op(origin.number))
