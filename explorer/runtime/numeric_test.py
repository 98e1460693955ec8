"""The test that ``set_input_shape`` asks for where a shape shall allow more than the graph was made for."""

from __future__ import annotations

import tempfile
import threading

from explorer.editing.shape_edits import NumericTest
from explorer.errors import RunError
from explorer.exporting.export import export
from explorer.runtime.batch_test import batch_test
from explorer.savedmodel.model import SavedModel


def numeric_test(*, consent: bool, cancel: threading.Event | None = None) -> NumericTest:
    """Makes a test of widened shapes that runs the model in a child process.

    The model is exported into a temporary folder, and its answers to single examples are compared with those to
    batches of them; see :func:`explorer.runtime.batch_test.batch_test`.

    Args:
        consent: True says that the model may be run.
        cancel: Ends a test when it is set.

    Returns:
        What ``set_input_shape(…, numeric_test=…)`` and ``apply_recipe(…, numeric_test=…)`` take.

    Raises:
        RunError: There is no consent.
    """
    if not consent:
        raise RunError("a numeric test runs the code in the model, in a child process; pass consent=True to allow that")

    def test(model: SavedModel, signature_key: str, input_key: str) -> str:
        with tempfile.TemporaryDirectory(prefix="savedmodel-explorer-") as folder:
            path = export(model, folder, warmup="drop")
            return batch_test(path, signature_key, [input_key], consent=True, cancel=cancel)

    return test
