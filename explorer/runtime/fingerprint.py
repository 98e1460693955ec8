"""``fingerprint.pb`` of an edited model, computed by TensorFlow in a child process.

TensorFlow's hashes are canonical ones of its own, so nobody else can compute them. The graph is parsed for it, never
executed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from explorer.errors import ExportError
from explorer.savedmodel import constants

TIMEOUT_S = 300.0
"""How long the child may take; importing TensorFlow is nearly all of it."""

_NO_TENSORFLOW = 3


def write_fingerprint(folder: Path, timeout_s: float = TIMEOUT_S) -> None:
    """Writes ``fingerprint.pb`` for the model in a folder: what ``export`` takes as ``before_publish``.

    Args:
        folder: The folder with the finished ``saved_model.pb``.
        timeout_s: How long TensorFlow may take, in seconds.

    Raises:
        ExportError: TensorFlow isn't installed, refuses the model, or takes too long.
    """
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-m", "explorer.runtime.fingerprint", os.fspath(folder)]
    try:
        done = subprocess.run(command, env=quiet, capture_output=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise ExportError(
            f"TensorFlow took more than {timeout_s:.0f} seconds over the fingerprint; export without one instead"
        ) from None
    if done.returncode == _NO_TENSORFLOW:
        raise ExportError(
            "a fingerprint can only be computed by TensorFlow, which isn't installed here; leave the fingerprint out, "
            "which no loader minds, or run pip install 'savedmodel-explorer[tensorflow]'"
        )
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it gave no reason"]
        raise ExportError(f"TensorFlow can't compute a fingerprint of this model: {words[-1]}")


def main(folder: str) -> int:
    """What the child does."""
    try:
        from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting
    except ImportError:
        return _NO_TENSORFLOW
    data = fingerprinting.CreateFingerprintDef(folder)
    descriptor = os.open(os.path.join(folder, constants.FINGERPRINT), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
