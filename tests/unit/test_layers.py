"""The floors of ARCHITECTURE.md hold, and importing a room costs no more than it must."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "explorer"

COSTLY = ("IPython", "anywidget", "google.protobuf", "ipywidgets", "matplotlib", "numpy", "orjson", "pandas")
"""What a room imports inside the functions that need it."""

MAY_BE_COSTLY = {"widgets", "runtime"}
"""Rooms that are panels, or that stand before a heavier library anyway."""


def rooms() -> list[str]:
    """The names of the rooms: packages and modules right below ``explorer``."""
    packages = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    modules = [path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")]
    return sorted(packages + modules)


def modules_of(room: str) -> list[str]:
    """The import names of a room and, but for ``runtime``, of every module in it."""
    folder = PACKAGE / room
    if not folder.is_dir() or room == "runtime":
        return [f"explorer.{room}"]
    files = sorted(path for path in folder.rglob("*.py") if path.stem != "__main__")
    return [".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__") for path in files]


def loaded_after(statements: str, names: tuple[str, ...]) -> list[str]:
    """Which of some modules are loaded after some statements in a fresh process."""
    code = f"{statements}\nimport json, sys\nprint(json.dumps([n for n in {names!r} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    return loaded


def test_contracts_of_the_floors_are_kept() -> None:
    """Every import-linter contract in setup.cfg is kept by the code as it is."""
    pytest.importorskip("importlinter", reason="import-linter is not installed: pip install '.[test]'")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=120)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert " 0 broken" in done.stdout


def test_package_import_loads_nothing_heavy() -> None:
    """``import explorer`` loads neither TensorFlow nor any library that only some of its functions need."""
    assert loaded_after("import explorer", (*COSTLY, "tensorflow", "keras", "traitlets")) == []


@pytest.mark.parametrize("room", rooms())
def test_room_import_loads_no_more_than_it_must(room: str) -> None:
    """A room, imported alone with all its modules, loads no TensorFlow, and below the panels no costly library."""
    unwanted = ("tensorflow", "keras") if room in MAY_BE_COSTLY else ("tensorflow", "keras", *COSTLY)
    statements = "\n".join(f"import {module}" for module in modules_of(room))
    assert loaded_after(statements, unwanted) == []


def test_guard_sees_a_costly_import() -> None:
    """The guard above is able to fail: a process that imports numpy is seen to have it."""
    assert loaded_after("import numpy", COSTLY) == ["numpy"]
