"""What is installed is whole: the wheel holds every data file, and works in an environment that has nothing else."""

from __future__ import annotations

import email
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest

LONGEST_S = 900


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end and takes its output as text."""
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=cwd, timeout=LONGEST_S, check=False
    )


def succeed(*command: str | Path, cwd: Path | None = None) -> str:
    """Runs a command that has to leave with status 0, and gives what it printed."""
    done = run(*command, cwd=cwd)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pip(environment: Path, *arguments: str | Path) -> None:
    """Installs into an environment, with uv where it is there."""
    python = environment / "bin" / "python"
    if importlib.util.find_spec("uv"):
        succeed(sys.executable, "-m", "uv", "pip", "install", "--python", python, *arguments)
    else:
        succeed(python, "-m", "pip", "install", *arguments)


@pytest.fixture(scope="module")
def source(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, so that building leaves nothing in the checkout."""
    copied = tmp_path_factory.mktemp("source") / "checkout"
    shutil.copytree(repository / "explorer", copied / "explorer", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, copied)
    return copied


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    if importlib.util.find_spec("uv"):
        succeed(sys.executable, "-m", "uv", "build", "--wheel", "--out-dir", folder, source)
    else:
        succeed(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """The METADATA file of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it requires, and nothing else."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    succeed(sys.executable, "-m", "venv", environment)
    pip(environment, wheel)
    return environment


def test_wheel_holds_every_file_of_the_package(source: Path, wheel: Path) -> None:
    """Each file below explorer/, scripts, styles and schemas included, is in the wheel with the same bytes."""
    expected = {
        path.relative_to(source).as_posix(): path for path in (source / "explorer").rglob("*") if path.is_file()
    }
    assert any(not name.endswith(".py") for name in expected)
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.startswith("savedmodel_explorer-")}
        assert packed == set(expected)
        assert [name for name, path in expected.items() if archive.read(name) != path.read_bytes()] == []


def test_metadata_says_what_an_index_shows(metadata: Message) -> None:
    """Name, licence, range of Python, extras and the readable description stand in the metadata."""
    assert metadata["Name"] == "savedmodel-explorer"
    assert re.fullmatch(r"\d+\.\d+\.\d+", metadata["Version"])
    assert "Apache-2.0" in (metadata["License-Expression"] or metadata["License"])
    assert metadata["Requires-Python"] == ">=3.11"
    assert {"tensorflow", "lab", "test", "docs"} <= set(metadata.get_all("Provides-Extra", []))
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert len(str(metadata.get_payload())) > 200


def test_requirements_have_lower_bounds_and_leave_tensorflow_out(metadata: Message) -> None:
    """Each ordinary requirement has a lower bound, and TensorFlow comes only with extras that say so."""
    requirements = metadata.get_all("Requires-Dist", [])
    ordinary = [text for text in requirements if "extra ==" not in text]
    assert {re.split(r"[^\w-]", text)[0] for text in ordinary} == {
        *("anywidget", "ipywidgets", "matplotlib", "numpy", "orjson", "pandas", "protobuf", "traitlets")
    }
    assert [text for text in ordinary if ">=" not in text] == []
    extras = {re.split(r"[^\w-]", text)[0]: text for text in requirements if text.startswith("tensorflow")}
    assert set(extras) == {"tensorflow", "tensorflow-serving-api"}
    assert re.search(r"extra == .tensorflow.$", extras["tensorflow"])
    assert re.search(r"extra == .serving-api.$", extras["tensorflow-serving-api"])


def test_installed_wheel_works_without_tensorflow(installed: Path, sample_models: Path, tmp_path: Path) -> None:
    """In an empty environment both commands run from any folder, and TensorFlow has not come along."""
    python, script = installed / "bin" / "python", installed / "bin" / "savedmodel-explorer"
    version = succeed(python, "-m", "explorer", "--version", cwd=tmp_path)
    assert re.search(r"\d+\.\d+\.\d+", version)
    assert succeed(script, "--version", cwd=tmp_path) == version

    model = sample_models / "half_plus_two"
    assert "serving_default" in succeed(script, "show", model, cwd=tmp_path)
    shown = json.loads(succeed(python, "-m", "explorer", "show", model, "--json", cwd=tmp_path))
    assert shown["version"] == 124
    assert "serving_default" in shown["meta_graphs"][0]["signatures"]

    assert run(python, "-c", "import tensorflow", cwd=tmp_path).returncode == 1
    assert "ok" in succeed(python, "-c", "from explorer import Explorer; print('ok')", cwd=tmp_path)


def test_error_of_the_installed_command_is_one_line(installed: Path, tmp_path: Path) -> None:
    """A path that isn't there leaves with status 2 and exactly one line on stderr."""
    done = run(installed / "bin" / "savedmodel-explorer", "show", tmp_path / "nothing", cwd=tmp_path)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr


def test_editable_install_does_not_slow_the_start_of_python(source: Path, tmp_path: Path) -> None:
    """An editable install is a path in a .pth file and no import hook, which every start of Python would pay for."""
    environment = tmp_path / "venv"
    succeed(sys.executable, "-m", "venv", environment)
    pip(environment, "--no-deps", "--editable", source)
    (packages,) = environment.glob("lib/python*/site-packages")
    assert [path.name for path in packages.glob("__editable___*_finder.py")] == []
    lines = [path.read_text(encoding="utf-8") for path in packages.glob("*savedmodel_explorer*.pth")]
    assert [text.strip() for text in lines] == [str(source)]
