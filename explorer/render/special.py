"""How verdicts and proofs look, which have more than a table to say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class SpecialView(NamedTuple):
    """The forms of a thing that is not one table.

    Attributes:
        text: Makes text.
        html: Makes a piece of HTML.
        frame: Makes a DataFrame.
    """

    text: Callable[[Any], str]
    html: Callable[[Any], str]
    frame: Callable[[Any], pd.DataFrame]


def special_view(thing: object) -> SpecialView | None:
    """How a verdict or a proof is shown; None for everything else."""
    from explorer.diagnosing.compatibility import Verdict
    from explorer.diagnosing.proof import Proof

    if isinstance(thing, Verdict):
        from explorer.render.verdicts import verdict_frame, verdict_html, verdict_text

        return SpecialView(verdict_text, verdict_html, verdict_frame)
    if isinstance(thing, Proof):
        from explorer.render.proofs import proof_frame, proof_html, proof_text

        return SpecialView(proof_text, proof_html, proof_frame)
    return None
