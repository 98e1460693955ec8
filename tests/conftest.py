"""What all tests share: quiet TensorFlow, sample models, and widget callbacks that may not fail in silence."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# No test is timed: a slow machine is no fault of what is tested.
settings.register_profile("untimed", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("untimed")

# Before anything imports TensorFlow, here or in a child process that a test starts.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "agg")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _callbacks_raise(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets an exception in a widget's callback fail the test.

    ipywidgets logs such exceptions and goes on (https://github.com/jupyter-widgets/ipywidgets/issues/2949), so that a
    broken button passes its test. A test file about widgets imports them at its top; the tests of the core, which must
    not load ipywidgets, find nothing to patch here.
    """
    module = sys.modules.get("ipywidgets.widgets.widget")
    if module is not None:

        def call_all(dispatcher: Any, *args: Any, **kwargs: Any) -> Any:
            result = None
            for callback in list(dispatcher.callbacks):
                answer = callback(*args, **kwargs)
                result = answer if answer is not None else result
            return result

        monkeypatch.setattr(module.CallbackDispatcher, "__call__", call_all)
    yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds setup.cfg."""
    return REPOSITORY


@pytest.fixture(scope="session")
def sample_models() -> Path:
    """The folder of the committed sample models; not to be written into, see ``copy_model``."""
    folder = REPOSITORY / "sample_models"
    assert folder.is_dir(), f"{folder} is missing: the checkout is not whole"
    return folder


@pytest.fixture
def copy_model(sample_models: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copies a sample model, by its path below sample_models/, to where the test may write; gives the copy's path."""

    def copy(name: str) -> Path:
        copied = tmp_path / "models" / name
        shutil.copytree(sample_models / name, copied, symlinks=True)
        return copied

    return copy
