"""What the integration tests share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import judges as tensorflow_judges
import pytest


@pytest.fixture(autouse=True)
def no_seed_is_left_behind() -> Iterator[None]:
    """A seed that a test sets is TensorFlow's own for the whole process: random ops of later tests would repeat."""
    yield
    if (tensorflow := sys.modules.get("tensorflow")) is not None and hasattr(tensorflow, "random"):
        tensorflow.random.set_seed(None)


@pytest.fixture(scope="session")
def expected_answers(sample_models: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Model → version → requests with the answers that its script computed."""
    return json.loads((sample_models / "expected.json").read_text())


@pytest.fixture(scope="session")
def judges() -> ModuleType:
    """TensorFlow's own loaders."""
    return tensorflow_judges
