"""The property test of edit sequences in bulk: some minutes would be too long among the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from edit_sequences import all_samples, try_sequences

SAMPLES = Path(__file__).resolve().parents[2] / "sample_models"
NAMES = all_samples(SAMPLES)
IN_ALL = 2000
EACH = -(-IN_ALL // len(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_exports_of_many_random_edits_are_whole(name: str) -> None:
    """They read back equal, carry every other byte and unknown field, and replay to the same bytes; undo gives all."""
    assert try_sequences(SAMPLES / name, EACH) == EACH
