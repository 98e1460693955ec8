"""``fingerprint.pb`` of an edited model, computed by TensorFlow in a child process.

TensorFlow's hashes are canonical ones of its own, so nobody else can compute them. The graph is parsed for it, never
executed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from explorer.errors import ExportError, RunError
from explorer.runtime.child import NO_TENSORFLOW, child_folder, run_child
from explorer.savedmodel import constants
from explorer.savedmodel.records import read_whole

TIMEOUT_S = 300.0
"""How long the child may take; importing TensorFlow is nearly all of it."""

_MOST_BYTES = 1 << 20


def write_fingerprint(folder: Path, timeout_s: float = TIMEOUT_S) -> None:
    """Writes ``fingerprint.pb`` for the model in a folder: what ``export`` takes as ``before_publish``.

    Args:
        folder: The folder with the finished ``saved_model.pb``.
        timeout_s: How long TensorFlow may take, in seconds.

    Raises:
        ExportError: TensorFlow isn't installed, refuses the model, or takes too long.
    """
    with child_folder() as home:
        try:
            ended = run_child("explorer.runtime.fingerprint", [os.path.abspath(folder)], home, timeout_s=timeout_s)
        except RunError as error:
            raise ExportError(f"no fingerprint was computed: {error}; export without one instead") from None
        if ended.status == NO_TENSORFLOW:
            raise ExportError(
                "a fingerprint can only be computed by TensorFlow, which isn't installed here; leave the fingerprint "
                "out, which no loader minds, or run pip install 'savedmodel-explorer[tensorflow]'"
            )
        if ended.status != 0:
            raise ExportError(f"TensorFlow can't compute a fingerprint of this model: it {ended.cause}")
        # The child may write into its own folder only.
        data = read_whole(str(home / constants.FINGERPRINT), _MOST_BYTES, "a fingerprint")
    if data is None:
        raise ExportError("TensorFlow computed no fingerprint of this model; export without one instead")
    descriptor = os.open(folder / constants.FINGERPRINT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def main(arguments: Sequence[str]) -> int:
    """What the child does.

    Args:
        arguments: The folder with the finished ``saved_model.pb``; ``fingerprint.pb`` comes into the working directory.
    """
    try:
        from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting
    except ImportError:
        return NO_TENSORFLOW
    (folder,) = arguments
    Path(constants.FINGERPRINT).write_bytes(fingerprinting.CreateFingerprintDef(folder))
    return 0
