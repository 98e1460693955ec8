"""What was asked and what came back, and what the linter is asked about a body."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from explorer.errors import ExplorerError
from explorer.savedmodel.model import MetaGraph

if TYPE_CHECKING:
    from explorer.runtime.rest_api import RestAnswer
    from explorer.serving.lint import LintResult


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """A request that was answered.

    Attributes:
        number: Counts up.
        time: When, on the clock of this machine.
        meta_graph_index: The meta graph that was chosen.
        signature_key: The signature that was chosen; the body may name another.
        verb: ``predict``, ``classify`` or ``regress``.
        body: The body.
        is_example: Whether it was made from the values, not typed.
        where: Who answered: ``here``, ``server`` or ``both``.
        answer: The answer; of both the one from here.
        other: Of both, the server's.
        is_equal: Of both, whether they say the same.
    """

    number: int
    time: datetime
    meta_graph_index: int
    signature_key: str
    verb: str
    body: str = field(repr=False)
    is_example: bool
    where: str
    answer: RestAnswer
    other: RestAnswer | None = None
    is_equal: bool | None = None

    @property
    def size_bytes(self) -> int:
        """What it takes to keep it."""
        other = 0 if self.other is None else len(self.other.body)
        return len(self.body) + len(self.answer.body) + other


@dataclass(frozen=True, slots=True, eq=False)
class Started:
    """A request that is under way; attributes as those of :class:`Answered`."""

    meta_graph_index: int
    signature_key: str
    verb: str
    body: str
    is_example: bool
    where: str


@dataclass(frozen=True, slots=True, eq=False)
class BodyQuestion:
    """What the linter is asked.

    Attributes:
        body: The body.
        meta_graph: The meta graph that it is for.
        verb: ``predict``, ``classify`` or ``regress``.
        signature_key: The signature that is meant where the body may not say so.
    """

    body: str
    meta_graph: MetaGraph
    verb: str
    signature_key: str

    def is_same(self, other: BodyQuestion) -> bool:
        """Whether the answer to the other is the answer to this."""
        return (
            self.meta_graph is other.meta_graph
            and (self.verb, self.signature_key) == (other.verb, other.signature_key)
            and self.body == other.body
        )


def lint_body(question: BodyQuestion) -> LintResult | None:
    """What is to be said about a body; None where nothing can be."""
    from explorer.serving.lint import lint

    try:
        return lint(
            question.body, question.meta_graph, verb=question.verb, signature_key=question.signature_key
        )  # fmt: skip
    except ExplorerError:  # the signature is gone, or the graph corrupt, as the checks say
        return None
