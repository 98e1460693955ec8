"""The child that looks into a Keras file; see :mod:`explorer.runtime.keras_files`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from explorer.errors import ExplorerError
from explorer.runtime.child import NO_TENSORFLOW
from explorer.runtime.convert_keras_child import limit_memory
from explorer.runtime.keras_look import look

MEMORY_BYTES = 4 << 30
RESULT = "keras_file.json"


def main(arguments: Sequence[str]) -> int:
    """What the child does.

    Args:
        arguments: The path of the file, then the names of custom classes and functions.
    """
    try:
        import h5py  # noqa: F401 - it comes with TensorFlow
    except ImportError:
        return NO_TENSORFLOW
    limit_memory(MEMORY_BYTES)
    path, *custom = arguments
    Path(RESULT).write_text(json.dumps(answer(Path(path), Path.cwd(), custom)), encoding="utf-8")
    return 0


def answer(path: Path, folder: Path, custom: Sequence[str] = ()) -> dict[str, object]:
    """What was found in a file, or in one sentence why it can't be looked into, as plain data."""
    try:
        return look(path, folder, custom).to_json()
    except ExplorerError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": f"it can't be read: {error.strerror or error}"}
    except RecursionError:
        return {"error": "it is nested more deeply than any model"}
    except MemoryError:
        return {"error": "there isn't enough memory to look into it"}
    except UnicodeDecodeError:
        return {"error": "it has a text that isn't UTF-8"}
