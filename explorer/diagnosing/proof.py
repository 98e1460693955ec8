"""What came of running an old and a new model on the same inputs: who loads them, and how far their answers differ.

Making one is :func:`explorer.runtime.proof.prove`; here is only what it says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 1e-5
"""How far an output may move, as a part of its range: where a further consumer prevents it, grappler fuses less."""


@dataclass(frozen=True, slots=True)
class Loading:
    """Whether a loader takes the two models.

    Attributes:
        loader: Its name, one of ``LOADERS``.
        before: An empty text, or why it refuses the old model.
        after: The same of the new model.
    """

    loader: str
    before: str
    after: str

    @property
    def holds(self) -> bool:
        """Whether it takes the new model wherever it takes the old one."""
        return not self.after or bool(self.before)


@dataclass(frozen=True, slots=True)
class OutputProof:
    """An output before and after.

    Attributes:
        before_key: Its key in the old model, None where it is new.
        after_key: Its key in the new model, None where it was removed.
        largest_difference: Of all elements on all inputs; None where there is no number for it.
        relative_difference: The same as a part of the output's range; of a conversion, of its largest element where
            that is more.
        equal_bits: Whether all answers were the same bytes.
        compared: Whether it was to be compared: it is in both models and meant to be the same.
        note: What else is to be said.
        varies: Whether the old model alone answers differently each time.
    """

    before_key: str | None
    after_key: str | None
    largest_difference: float | None
    equal_bits: bool
    note: str = ""
    relative_difference: float | None = None
    compared: bool = True
    varies: bool = False

    def holds(self, tolerance: float) -> bool:
        """Whether it is the same to within a part of its range, or nothing can be said against it."""
        if not self.compared or self.equal_bits or self.varies:
            return True
        return self.relative_difference is not None and self.relative_difference <= tolerance


@dataclass(frozen=True, slots=True)
class SignatureProof:
    """A signature before and after, in one loader.

    Attributes:
        before_key: Its key in the old model, None where it is new.
        after_key: Its key in the new model, None where it was removed.
        loader: The loader's name; empty where the signature was run in none.
        state: ``compared``; ``left out`` where there was nothing to compare; ``failed`` where only the old one answers.
        outputs: Its outputs.
        note: Why it was left out or failed.
    """

    before_key: str | None
    after_key: str | None
    loader: str
    state: Literal["compared", "left out", "failed"]
    outputs: tuple[OutputProof, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of running an old and a new model on the same inputs.

    Attributes:
        before: The folder of the old model.
        after: The folder of the new one.
        loaders: Who loads them.
        signatures: Each pair of signatures in each loader that loads both.
        tolerance: How far an output may move, as a part of its range.
        network: ``"off"``, or why the child's network wasn't cut off.
        source: Of a conversion, what the source is, as the rest of a sentence that begins with its path: ``is a frozen
            graph``. ``before`` is its path then, and ``Loading.before`` why it can't be run here. Empty where the old
            one is a SavedModel, too.
    """

    before: str
    after: str
    loaders: tuple[Loading, ...]
    signatures: tuple[SignatureProof, ...]
    tolerance: float = TOLERANCE
    network: str = ""
    source: str = ""

    @property
    def holds(self) -> bool:
        """Whether the new model loads wherever the old one does, and answers the same to within the tolerance.

        Of a conversion, whether every loader takes the new model and at least one answer is known to be the source's:
        nobody has seen a converted model answer before.
        """
        return (
            all(not loading.after if self.source else loading.holds for loading in self.loaders)
            and (bool(self.compared) or not self.source)
            and all(signature.state != "failed" for signature in self.signatures)
            and all(output.holds(self.tolerance) for output in self.compared)
        )

    @property
    def compared(self) -> tuple[OutputProof, ...]:
        """Every output that was compared, once for each loader."""
        return tuple(output for signature in self.signatures for output in signature.outputs if output.compared)

    @property
    def largest_difference(self) -> float | None:
        """The largest of all; 0 is expected. None where nothing was compared, or a difference is no number."""
        found = [output.largest_difference for output in self.compared if not output.varies]
        known = [difference for difference in found if difference is not None]
        return max(known) if found and len(known) == len(found) else None

    def to_dict(self) -> dict[str, Any]:
        """As plain data that JSON can hold."""
        return {"holds": self.holds, "largest_difference": self.largest_difference, **asdict(self)}

    def to_frame(self) -> pd.DataFrame:
        """The outputs as a table, one a row for each loader."""
        import explorer  # the top of the package knows how it looks; the proof itself does not

        return explorer.to_frame(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))  # what IPython shows in a terminal

    def _repr_html_(self) -> str:
        import explorer  # the top of the package knows how it looks; the proof itself does not

        return explorer.to_html(self)

    def __str__(self) -> str:
        import explorer  # the top of the package knows how it looks; the proof itself does not

        return explorer.to_text(self)
