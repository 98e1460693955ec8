"""The child that turns a Keras file into a SavedModel; see :mod:`explorer.runtime.convert_keras`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from explorer.errors import ConversionError, ExplorerError
from explorer.runtime.child import NO_TENSORFLOW

if TYPE_CHECKING:
    from explorer.runtime.keras_export import Keys
    from explorer.runtime.keras_loading import Loaded

PLAN: Final = "plan.json"
RESULT: Final = "result.json"
PHASE: Final = "phase.txt"
MODEL: Final = "saved_model"


def main(arguments: Sequence[str]) -> int:
    """What the child does; what to do stands in the working directory, and what came of it will."""
    try:
        import tensorflow  # noqa: F401 - without it there is nothing to convert with
    except ImportError:
        return NO_TENSORFLOW
    plan = json.loads(Path(PLAN).read_text(encoding="utf-8"))
    limit_memory(int(plan["memory_bytes"]))
    try:
        found = _convert(plan, Path.cwd())
    except ConversionError as error:
        found = {"error": str(error), "needs": list(error.needs)}
    except ExplorerError as error:
        found = {"error": str(error), "needs": []}
    except MemoryError:
        found = {"error": "there isn't enough memory for the model: raise the limit", "needs": []}
    except RecursionError:
        found = {"error": "the model is nested more deeply than Python can follow", "needs": []}
    Path(RESULT).write_text(json.dumps(found), encoding="utf-8")
    return 0


def limit_memory(memory_bytes: int) -> None:
    """Bounds what this process may allocate, where the system has limits; 0 for as much as there is."""
    try:
        import resource
    except ImportError:  # Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    if memory_bytes:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _convert(plan: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    from explorer.runtime.keras_export import Endpoint, export_keras_model
    from explorer.runtime.keras_loading import load_keras_file
    from explorer.runtime.keras_names import settle_endpoints

    architecture = plan["architecture"]
    loaded = load_keras_file(
        Path(plan["path"]),
        folder,
        architecture=None if architecture is None else Path(architecture),
        custom=plan["custom"],
        paths=plan["paths"],
        tell=_tell,
    )
    endpoints = [
        Endpoint(each["key"], named_inputs(loaded, each["inputs"]), each["outputs"]) for each in plan["endpoints"]
    ]
    _tell("writing the SavedModel")
    export_keras_model(loaded.keras, loaded.model, folder / MODEL, endpoints)
    _tell("naming the signatures")
    made = settle_endpoints(folder / MODEL, endpoints)
    return {"framework": loaded.framework, "notes": list(loaded.notes), "signatures": made}


def named_inputs(loaded: Loaded, keys: Keys) -> Keys:
    """The keys of inputs, where a name that isn't in the model is that of its only input."""
    inputs = getattr(loaded.model, "inputs", None) or ()
    if not loaded.input_name or len(inputs) != 1:
        return keys
    if keys is None:
        return [loaded.input_name]
    return list(keys) if isinstance(keys, Mapping) and [*keys.values()] == [loaded.input_name] else keys


def _tell(words: str) -> None:
    Path(PHASE).write_text(words, encoding="utf-8")
