"""Every notebook runs from top to bottom, as a student runs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    """An empty folder would let the test below pass for nothing."""
    assert [notebook.name for notebook in NOTEBOOKS] == [
        "01-what-is-in-a-savedmodel.ipynb",
        "04-change-a-signature.ipynb",
        "05-what-to-send.ipynb",
        "06-from-checkpoint-to-savedmodel.ipynb",
        "07-images-and-examples.ipynb",
        "09-two-versions-will-clients-break.ipynb",
        "debugging-a-failing-request.ipynb",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    """What a run printed stays out of the repository, and so do the paths of whoever ran it."""
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, sample_models: Path, tmp_path: Path) -> None:
    """No cell fails, and no cell writes into the checkout: it runs on copies."""
    shutil.copytree(sample_models, tmp_path / "sample_models")
    (tmp_path / "notebooks").mkdir()
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path / "notebooks")}},
    )
    client.execute()
    assert sum(bool(cell.get("outputs")) for cell in notebook.cells) > 5
