"""How far two answers are from each other: the same bits, or the largest difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from explorer.errors import RunError
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, Shape
from explorer.savedmodel.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Difference:
    """How two values of one output compare.

    Attributes:
        equal_bits: Whether dtype, shape and every byte are the same.
        largest: The largest difference of two elements, None where there is no number for it.
        relative: The same as a part of the range of the first value (its largest minus its smallest element), or of
            its largest element, as was asked for.
        note: Why there is no number, or an empty text.
    """

    equal_bits: bool
    largest: float | None
    relative: float | None
    note: str = ""

    def worse_than(self, other: Difference) -> bool:
        """Whether it is further from the same bits than another."""
        return self._distance() > other._distance()

    def _distance(self) -> tuple[bool, float, float]:
        if self.relative is None or self.largest is None:
            return True, math.inf, math.inf
        return not self.equal_bits, self.relative, self.largest


SAME = Difference(True, 0.0, 0.0)


def compare(before: Tensor, after: Tensor, by_size: bool = False) -> Difference:
    """Compares two values.

    A NaN is equal to a NaN, whatever its bits; both must be infinite in the same place with the same sign.

    Args:
        before: What the old model answers.
        after: What the new one answers.
        by_size: Whether a difference is a part of the largest element where that is more than the range. Two programs
            round to so many digits of a number, however near to each other the numbers are.
    """
    if before == after:
        return SAME
    if before.dtype != after.dtype:
        return Difference(False, None, None, f"{DType(before.dtype)} before, {DType(after.dtype)} now")
    if before.shape != after.shape:
        return Difference(False, None, None, f"shape {Shape(before.shape)} before, {Shape(after.shape)} now")
    if before.dtype == constants.DT_STRING:
        count = sum(one != other for one, other in zip(before.texts, after.texts, strict=True))
        return Difference(False, None, None, f"{count} of {len(before.texts)} texts differ")
    try:
        return _numbers(before.to_array(), after.to_array(), by_size)
    except RunError as error:
        return Difference(False, None, None, f"the bytes differ; {error}")


def _numbers(one: Any, other: Any, by_size: bool) -> Difference:
    import numpy as np

    kind = "c16" if one.dtype.kind == "c" else "f8"  # wide enough, but for whole numbers beyond 2**53
    first, second = one.astype(kind), other.astype(kind)
    differing = (one != other) & ~(np.isnan(first) & np.isnan(second))
    count = int(np.sum(~np.isfinite(first[differing]) | ~np.isfinite(second[differing])))
    if count:
        return Difference(False, None, None, f"{count} of {one.size} elements are infinite or NaN on one side only")
    largest = float(np.max(np.abs(first[differing] - second[differing]), initial=0))
    if largest == 0 and bool(np.any(differing)):
        largest = 1.0  # they differ, and only float64 can't tell them apart
    finite = np.abs(first[np.isfinite(first)]) if kind == "c16" else first[np.isfinite(first)]
    spread = float(np.max(finite) - np.min(finite)) if finite.size else 0.0
    size = float(np.max(np.abs(finite))) if finite.size else 0.0
    spread = (max(spread, size) if by_size else spread or size) or 1.0
    return Difference(False, largest, largest / spread)


def worst(differences: Sequence[Difference]) -> Difference:
    """The one furthest from the same bits; :data:`SAME` for none."""
    found = SAME
    for difference in differences:
        if difference.worse_than(found):
            found = difference
    return found
