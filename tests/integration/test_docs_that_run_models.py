"""What the README says about answers: its Python, and its commands as a shell runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest


@pytest.fixture
def workplace(sample_models: Path, tmp_path: Path) -> Path:
    """A folder with the sample models in it, as a checkout has them."""
    shutil.copytree(sample_models, tmp_path / "sample_models")
    return tmp_path


def block(language: str) -> str:
    """The only fenced block of the README with these words after its fence."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language} runs a model\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_answer_of_the_readme_comes(workplace: Path) -> None:
    """The Python block prints what its comment says."""
    script = workplace / "readme.py"
    script.write_text(block("python"), encoding="utf-8")
    done = subprocess.run([sys.executable, script], cwd=workplace, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "200 {'predictions': [3.0, 5.0]}\n"), done.stderr


def test_the_commands_of_the_readme_answer(workplace: Path) -> None:
    """Lint finds the slip and says the body that works, rest answers, and serve answers over HTTP until it is told."""
    lint, rest, serve = block("sh").splitlines()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    found = subprocess.run(
        ["sh", "-c", lint], cwd=workplace, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (found.returncode, found.stdout.splitlines()[-1]) == (1, '{"instances": [{"x": 1}]}')
    answered = subprocess.run(
        ["sh", "-c", rest], cwd=workplace, env=environment, capture_output=True, text=True, timeout=300
    )
    assert (answered.returncode, json.loads(answered.stdout)) == (0, {"predictions": [3.0]})
    assert serve.endswith("--port 8501"), "a free port takes its place"
    command = [sys.executable, *serve.replace("8501", "0").split()[1:]]
    with subprocess.Popen(command, cwd=workplace, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            with urllib.request.urlopen(f"{url}:predict", b'{"instances": [1.0]}', timeout=120) as response:
                assert json.load(response) == {"predictions": [3.0]}
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
