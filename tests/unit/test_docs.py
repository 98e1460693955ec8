"""What the README says works when pasted."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.cli.arguments import command_parser
from explorer.editing.recipe import EDITS


@pytest.fixture
def readme(repository: Path) -> str:
    """The README's text."""
    return (repository / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(sample_models: Path, tmp_path: Path) -> Path:
    """A folder with the sample models in it, as a checkout has them."""
    shutil.copytree(sample_models, tmp_path / "sample_models")
    return tmp_path


def test_the_python_of_the_readme_runs(readme: str, workplace: Path) -> None:
    """Every Python block, one after the other as one program, and it prints what the comments say."""
    script = workplace / "readme.py"
    script.write_text("\n".join(blocks(readme, "python")), encoding="utf-8")
    done = subprocess.run([sys.executable, script], cwd=workplace, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert '{"instances": [{"features": [0.0, 0.0, 0.0]}]}\nbreaking\n' in done.stdout
    printed = done.stdout.splitlines()
    assert str(workplace / "models" / "linear" / "1") in printed
    assert 'instances[0].X {"instances": [{"x": 1.0}]}' in printed
    assert "package main" in printed


def test_the_commands_of_the_readme_run(readme: str, workplace: Path) -> None:
    """Every `python -m explorer` line of the README, with the recipe that the README shows."""
    (recipe,) = blocks(readme, "json")
    (workplace / "recipe.json").write_text(recipe, encoding="utf-8")
    assert len(json.loads(recipe)["edits"]) == 2
    lines = [line for block in blocks(readme, "sh") for line in block.splitlines() if line.startswith("python -m")]
    assert len(lines) >= 4
    for line in lines:
        command = [sys.executable, *shlex.split(line)[1:]]
        done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, ""), line
    assert (workplace / "models" / "linear" / "1" / "saved_model.pb").exists()


def test_the_readme_names_every_edit_and_every_command(readme: str) -> None:
    """An edit, a command or an option of `edit` that is added is in the README."""
    for name in set(EDITS) - {"repair_two_truths", "repair_captures"}:
        assert f"`{name}`" in readme, name
    commands = next(action for action in command_parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name in commands.choices:
        assert f"| `{name} " in readme, name
    for option in ("--dry-run", "--remove-duplicates", "--warmup", "--prove", "--allow-running"):
        assert f"`{option}`" in readme and option in commands.choices["edit"].format_help(), option


def test_the_notebook_cell_of_the_readme_runs(readme: str, workplace: Path) -> None:
    """The cell that shows the Explorer makes a widget of the sample model."""
    (cell,) = blocks(readme, "python notebook")
    script = workplace / "cell.py"
    script.write_text(cell.rstrip() + ".state.model.version\nprint('made')\n", encoding="utf-8")
    done = subprocess.run([sys.executable, script], cwd=workplace, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "made\n"), done.stderr


def test_links_of_the_documents_lead_somewhere(repository: Path) -> None:
    """Every relative link and picture of the documents exists."""
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "sample_models/README.md"):
        path = repository / name
        for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{name}: {target}"


def test_every_sample_model_stands_in_the_tables(repository: Path, readme: str) -> None:
    """A model that is added is described: the good ones in both tables, the broken ones in their own."""
    samples = repository / "sample_models"
    table = (samples / "README.md").read_text(encoding="utf-8")
    good = [folder.name for folder in samples.iterdir() if folder.is_dir() and list(folder.glob("*/saved_model.pb*"))]
    broken = [folder.name for folder in (samples / "broken").iterdir() if folder.is_dir()]
    for name in set(good) - {"broken"}:
        assert f"| `{name}` |" in table and f"| `{name}` |" in readme, name
    for name in broken:
        assert f"| `{name}` |" in table, name
