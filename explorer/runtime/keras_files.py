"""What a file of Keras is, before anything of it runs: which Keras wrote it, layers, inputs, outputs and weights."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from explorer.errors import ConversionError, FormatError, RunCancelledError, RunError, quoted
from explorer.runtime.child import NO_TENSORFLOW, Ended, child_folder, run_child
from explorer.runtime.keras_files_child import RESULT
from explorer.savedmodel.records import read_whole

TIMEOUT_S: Final = 60.0

NEEDS_H5PY: Final = (
    "files of Keras are read with h5py, which isn't installed here; run pip install 'savedmodel-explorer[tensorflow]'"
)

_MOST_BYTES: Final = 1 << 27


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a model: its name and its class; of a file of weights, the class isn't known and empty."""

    name: str
    class_name: str


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a model, as its configuration describes it.

    Attributes:
        key: The name of its layer.
        dtype: Its dtype, as Keras calls it; may be empty.
        shape: Its shape with the batch; None where it isn't known.
    """

    key: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class Weight:
    """An array in the file: its path there, its dtype as numpy calls it, and its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KerasFile:
    """What a file of Keras is.

    Attributes:
        path: The file.
        format: ``hdf5``, ``keras_zip`` (a ``.keras`` file), or ``json`` (what ``model.to_json()`` gives).
        era: Which Keras wrote it: ``keras 1``, ``keras 2``, ``keras 3`` or ``tf_keras``.
        keras_version: The version that it names; may be empty.
        backend: The backend that it names; may be empty.
        is_whole: Whether it holds a model with its weights; else weights, or as JSON an architecture alone.
        class_name: ``Functional``, ``Sequential``, or a class of somebody's own; empty for weights.
        name: The name of the model; may be empty.
        layers: The layers, those in nested models left out.
        inputs: The inputs.
        outputs: A key for each output: the name of the layer that it comes from.
        variables: The weights.
        custom: The classes and functions that aren't Keras' own and must be given as custom objects.
        refusal: Why it can't be converted as it is, in one sentence; empty where nothing stands in the way.
    """

    path: Path
    format: str
    era: str
    keras_version: str
    backend: str
    is_whole: bool
    class_name: str
    name: str
    layers: tuple[Layer, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    variables: tuple[Weight, ...]
    custom: tuple[str, ...]
    refusal: str

    @property
    def title(self) -> str:
        """The rest of a sentence that begins with the path: ``is a whole model (Functional) of Keras 2.4.0``."""
        which = "Keras" if not self.era.startswith("tf_keras") else "tf_keras"
        version = self.keras_version or self.era.rpartition(" ")[2].removeprefix("tf_keras")
        of = f"{which} {version}".strip()
        if self.format == "json":
            return f"is the architecture of a model ({self.class_name}) of {of}"
        return f"is a whole model ({self.class_name}) of {of}" if self.is_whole else f"is a file of weights of {of}"


def look_inside(
    path: str | os.PathLike[str],
    custom: Collection[str] = (),
    *,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
) -> KerasFile:
    """Looks into a ``.h5``, ``.hdf5``, ``.weights.h5`` or ``.keras`` file; nothing of it is run.

    Args:
        path: The file.
        custom: The names of the classes and functions that will be given as custom objects.
        timeout_s: How long it may take, in seconds.
        cancel: Ends it when it is set.

    Raises:
        ConversionError: It can't be looked into in that time, or isn't a file of Keras.
        RunError: h5py isn't installed.
        RunCancelledError: ``cancel`` was set.
    """
    place = Path(path).expanduser().absolute()
    if not place.is_file():  # a pipe would never end
        raise ConversionError(f"{quoted(str(path))} is no file")
    with child_folder() as folder:
        ended = _look(place, custom, folder, timeout_s, cancel)
        if ended.status == NO_TENSORFLOW:
            raise RunError(NEEDS_H5PY)
        if ended.status != 0:
            raise ConversionError(
                f"{quoted(str(path))} can't be read: the child process that looked into it {ended.cause}"
            )
        data = read_whole(str(folder / RESULT), _MOST_BYTES, "what was found in a file of Keras")
    try:
        found = json.loads(data or b"")
        if "error" not in found:
            return keras_file(place, found)
        why = str(found["error"])
    except (ValueError, KeyError, TypeError):
        raise FormatError("what the child process told can't be understood") from None
    raise ConversionError(f"{quoted(str(path))} can't be converted: {why}")


def _look(path: Path, custom: Collection[str], folder: Path, timeout_s: float, cancel: threading.Event | None) -> Ended:
    try:
        return run_child(
            "explorer.runtime.keras_files_child", [str(path), *custom], folder, timeout_s=timeout_s, cancel=cancel
        )
    except RunCancelledError:
        raise
    except RunError as error:  # in a damaged file, HDF5 may go round in circles
        raise ConversionError(f"{quoted(str(path))} can't be looked into, it is probably damaged: {error}") from None


def keras_file(path: Path, found: Mapping[str, Any]) -> KerasFile:
    """What a child found in a file.

    Raises:
        KeyError, TypeError, ValueError: That isn't what a child writes.
    """
    return KerasFile(
        path,
        **{name: str(found[name]) for name in ("format", "era", "keras_version", "backend", "class_name", "name")},
        is_whole=bool(found["is_whole"]),
        layers=tuple(Layer(str(name), str(kind)) for name, kind in found["layers"]),
        inputs=tuple(Input(str(key), str(dtype), _shape(shape)) for key, dtype, shape in found["inputs"]),
        outputs=tuple(str(key) for key in found["outputs"]),
        variables=tuple(
            Weight(str(name), str(dtype), tuple(int(size) for size in shape))
            for name, dtype, shape in found["variables"]
        ),
        custom=tuple(str(name) for name in found["custom"]),
        refusal=str(found["refusal"]),
    )


def _shape(shape: Any) -> tuple[int | None, ...] | None:
    return None if shape is None else tuple(None if size is None else int(size) for size in shape)
