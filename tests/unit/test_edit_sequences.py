"""Random sequences of edits on every sample model: what is exported, what is carried through, what undo gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from edit_sequences import all_samples, draw_entry, try_sequences
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import explorer
from explorer.state.explorer_state import ExplorerState

SAMPLES = Path(__file__).resolve().parents[2] / "sample_models"
EACH = 10
"""Sequences for each sample; tests/integration tries 2,000 in all."""


@pytest.mark.parametrize("name", all_samples(SAMPLES))
def test_exports_of_random_edits_are_whole(name: str) -> None:
    """They read back equal, carry every other byte and unknown field, and replay to the same bytes; undo gives all."""
    assert try_sequences(SAMPLES / name, EACH) == EACH


@settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), name=st.sampled_from(["half_plus_two", "module", "several_meta_graphs"]))
def test_undo_of_everything_gives_the_bytes_of_the_source(data: Any, name: str) -> None:
    """However many edits a person makes, undoing them one by one ends where the file began."""
    state = ExplorerState(SAMPLES / name)
    for _ in range(data.draw(st.integers(1, 5))):
        state.edit(draw_entry(data.draw, state.model))  # what can't be done, it tells and leaves alone
    assume(state.can_undo)
    while state.can_undo:
        state.undo()
    source = explorer.open_saved_model(SAMPLES / name)
    assert source.document is not None
    assert state.model.document.to_bytes() == source.document.to_bytes()
    assert state.model.meta_graphs == source.meta_graphs and state.model.edits == ()
