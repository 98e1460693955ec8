"""Would a server load this model and answer? In one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from explorer.checking.findings import Finding
from explorer.render.overview import serving_status
from explorer.savedmodel import constants
from explorer.savedmodel.model import SavedModel
from explorer.state.telling import message_and_fix

_SERVE = frozenset({"serve"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a server would make of a model.

    Attributes:
        level: ``good``, ``warning`` (it works with a condition) or ``bad``.
        word: The verdict in a word or two.
        sentence: What a server calls, or why it can't.
    """

    level: Literal["good", "warning", "bad"]
    word: str
    sentence: str


def verdict(model: SavedModel, findings: Iterable[Finding]) -> Verdict:
    """What a server would make of a model, by what its tags and signatures say and what checks found.

    Args:
        model: The model.
        findings: What checks found; without any, the verdict goes by tags and signatures alone.
    """
    can_be_called, sentence = serving_status(model)
    if not can_be_called:
        return Verdict("bad", "Not servable.", sentence)
    served = model.meta_graph(_SERVE)
    errors = [found for found in findings if found.severity == "error" and (found.tags or _SERVE) == _SERVE]
    if errors:
        more = f" And {len(errors) - 1} more below." if len(errors) > 1 else ""
        faulty = {found.signature_key for found in errors}
        word = "Not servable." if None in faulty or faulty >= set(served.callable_signatures) else "Servable in part."
        return Verdict("bad", word, message_and_fix(errors[0]) + more)
    if constants.DEFAULT_SIGNATURE_KEY not in served.callable_signatures:
        return Verdict("warning", "Servable.", sentence)
    return Verdict("good", "Servable.", sentence)
