"""A real JupyterLab server that knows nothing of its user's settings, for browser tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTS_WITHIN_S = 120
"""A busy machine with two cores has needed 21 s."""

ARGUMENTS = (
    "--no-browser",
    "--ServerApp.port_retries=0",
    "--ServerApp.ip=127.0.0.1",
    "--IdentityProvider.token=",
    "--ServerApp.password=",
    "--ServerApp.disable_check_xsrf=True",
    "--ServerApp.allow_root=True",
    "--ServerApp.terminals_enabled=False",
    "--LabApp.extension_manager=readonly",
    "--LabApp.news_url=None",
    "--LabApp.expose_app_in_browser=True",  # the tests wait on the application object, see conftest.py
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)

SETTINGS: dict[str, dict[str, Any]] = {
    # The question about news covers a corner of the page; news_url alone doesn't stop it.
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    # Cells that are scrolled out of view stay in the page, so that a test may look at them.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}


@dataclass(frozen=True)
class LabServer:
    """A server that runs.

    Attributes:
        url: Its address without a slash at the end.
        root: The folder it shows: copies of ``notebooks/`` and ``sample_models/``, and the tests' own notebooks.
        settings: The folder of JupyterLab's user settings.
    """

    url: str
    root: Path
    settings: Path

    def write_settings(self, plugin: str, values: dict[str, Any]) -> None:
        """Sets the user settings of one plug-in, for pages that are opened from now on."""
        write_settings(self.settings, plugin, values)

    def stop_kernels(self) -> None:
        """Ends every session, so that the next test has the machine to itself."""
        for session in json.loads(self._request("GET", "/api/sessions")):
            self._request("DELETE", f"/api/sessions/{session['id']}")

    def _request(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            body: bytes = answer.read()
            return body


def write_settings(folder: Path, plugin: str, values: dict[str, Any]) -> None:
    """Writes the settings file of a plug-in such as ``@jupyterlab/apputils-extension/themes``."""
    path = folder / f"{plugin}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


def prepare_root(root: Path, repository: Path) -> None:
    """Fills the served folder with copies, because JupyterLab saves into the notebooks it shows."""
    root.mkdir()
    for name in ("notebooks", "sample_models"):
        if (repository / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(repository / name, root / name, symlinks=True, ignore=ignored)


def start_lab(home: Path, repository: Path) -> tuple[LabServer, subprocess.Popen[bytes]]:
    """Starts JupyterLab below an empty folder and waits until it answers.

    Args:
        home: An empty folder for all that the server reads and writes; its log is ``home / "server.log"``.
        repository: The checkout.

    Returns:
        The server and its process, which leads a process group of its own.

    Raises:
        RuntimeError: The server ended or didn't answer in time; the message holds the end of its log.
    """
    prepare_root(home / "root", repository)
    for plugin, values in SETTINGS.items():
        write_settings(home / "settings", plugin, values)
    port = _free_port()
    command = [sys.executable, "-m", "jupyterlab", f"--port={port}", *ARGUMENTS]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=home / "root", env=_environment(home), stdout=log, stderr=log, start_new_session=True
        )
    server = LabServer(f"http://127.0.0.1:{port}", home / "root", home / "settings")
    try:
        _wait_until_it_answers(server, process, home / "server.log")
    except BaseException:
        stop_lab(process)
        raise
    return server, process


def stop_lab(process: subprocess.Popen[bytes]) -> None:
    """Ends the server, which ends its kernels; by force when it doesn't within 20 s."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, kind)
            process.wait(timeout=20)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "MPLCONFIGDIR": "matplotlib",
    }
    isolated = {name: str(home / folder) for name, folder in folders.items()}
    # A kernel draws for the notebook, whatever the tests themselves draw for.
    kept.pop("MPLBACKEND", None)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    return kept | isolated | quiet | {"JUPYTER_PLATFORM_DIRS": "1", "PYTHONNOUSERSITE": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(server: LabServer, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{server.url}/api", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    end = log.read_text(encoding="utf-8", errors="replace")[-3000:]
    raise RuntimeError(f"JupyterLab did not answer at {server.url} within {STARTS_WITHIN_S} s; its log ends:\n{end}")
