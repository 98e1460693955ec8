"""What the integration tests share."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import judges as tensorflow_judges
import pytest


@pytest.fixture(scope="session")
def expected_answers(sample_models: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Model → version → requests with the answers that its script computed."""
    return json.loads((sample_models / "expected.json").read_text())


@pytest.fixture(scope="session")
def judges() -> ModuleType:
    """TensorFlow's own loaders."""
    return tensorflow_judges
