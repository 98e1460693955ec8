"""What a Keras file is, found out in a child process: HDF5 is parsed in C, and a file can be made to bring that down.

Nothing of the file is run and Keras isn't imported: the configuration is read as JSON and compared with lists.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from explorer.errors import FormatError, listed, quoted
from explorer.runtime.keras_archive import parse_object, read_archive
from explorer.runtime.keras_config import check_config, custom_names
from explorer.runtime.keras_description import SEQUENTIAL, describe, keras_1_argument, needs_keras_2
from explorer.runtime.keras_hdf5 import Array, Contents, read_contents

_HDF5_SIGN = b"\x89HDF\r\n\x1a\n"
_OLD_GROUPS = ("_layer_checkpoint_dependencies",)
_TRAINING = ("optimizer", "metrics", "loss_tracker", "compile_metrics", "optimizer_weights")
_FIRST = 8


@dataclass(slots=True)
class Look:
    """What was found; see :class:`explorer.runtime.keras_files.KerasFile` for what the parts mean."""

    format: str
    era: str = ""
    keras_version: str = ""
    backend: str = ""
    is_whole: bool = False
    class_name: str = ""
    name: str = ""
    layers: tuple[tuple[str, str], ...] = ()
    inputs: tuple[tuple[str, str, tuple[int | None, ...] | None], ...] = ()
    outputs: tuple[str, ...] = ()
    variables: tuple[tuple[str, str, tuple[int, ...]], ...] = ()
    custom: tuple[str, ...] = ()
    refusal: str = ""
    config: dict[str, Any] | None = None
    is_old_layout: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain data; the configuration stays here."""
        found = asdict(self)
        del found["config"]
        return found


def look(path: Path, folder: Path, custom: Collection[str] = ()) -> Look:
    """Looks into a file; for a child process.

    Args:
        path: The file.
        folder: A folder of the child's, for what has to be unpacked.
        custom: The names of the classes and functions that the caller brings.

    Raises:
        FormatError: It is damaged, leads somewhere else, or isn't a file of Keras.
    """
    with open(path, "rb") as file:
        start = file.read(_FIRST)
    if start.startswith(b"PK"):
        return _of_archive(path, folder, custom)
    if start.lstrip()[:1] == b"{":
        return _of_json(path, custom)
    # HDF5 may begin after a block of 512, 1024, 2048 … bytes, which Keras never writes.
    if start != _HDF5_SIGN:
        raise FormatError("it is neither an HDF5 file nor a .keras file, by its first bytes")
    return _of_hdf5(path, custom)


def _of_archive(path: Path, folder: Path, custom: Collection[str]) -> Look:
    weights = folder / "looked.weights.h5"
    try:
        archive = read_archive(path, weights)
        contents = read_contents(weights)
    finally:
        weights.unlink(missing_ok=True)
    version = archive.metadata.get("keras_version")
    found = Look("keras_zip", keras_version=version if isinstance(version, str) else "", backend="")
    found.is_whole = True
    found.variables = _variables(contents.arrays)
    _configure(found, archive.config, custom)
    return found


def _of_json(path: Path, custom: Collection[str]) -> Look:
    """The text that ``model.to_json()`` gives: an architecture without weights."""
    with open(path, "rb") as file:
        data = file.read((64 << 20) + 1)
    if len(data) > 64 << 20:
        raise FormatError(f"the JSON has more than {64 << 20} bytes")
    config = parse_object(data, "text")
    if not isinstance(config.get("class_name"), str) or "config" not in config:
        raise FormatError("it is JSON, but not what model.to_json() gives: it has no 'class_name' and 'config'")
    version, backend = config.pop("keras_version", ""), config.pop("backend", "")
    found = Look("json", keras_version=version if isinstance(version, str) else "")
    found.backend = backend if isinstance(backend, str) else ""
    _configure(found, config, custom)
    return found


def _of_hdf5(path: Path, custom: Collection[str]) -> Look:
    contents = read_contents(path)
    texts = contents.texts
    found = Look("hdf5", keras_version=texts.get("keras_version", ""), backend=texts.get("backend", ""))
    found.variables = _variables(contents.arrays)
    if "model_config" in texts:
        found.is_whole = True
        config = parse_object(texts["model_config"], "attribute 'model_config'")
        if "model_weights" not in contents.groups:
            raise FormatError("it has an architecture and no group 'model_weights'")
        _configure(found, config, custom)
        return found
    found.is_old_layout = bool(contents.layer_names)
    found.layers = tuple((name, "") for name in contents.layer_names)
    found.era = _era_of_weights(contents, found.keras_version)
    if not found.era:
        raise FormatError(
            "it is an HDF5 file without anything of Keras in it, neither a model nor weights; it holds "
            + listed([array.name for array in contents.arrays] or sorted(contents.groups))
        )
    found.refusal = (
        "it holds weights and no model: give architecture=, the JSON of model.to_json(), or a whole .keras or .h5 file "
        f"of the same architecture; the weights are {printable_variables(found.variables)}"
    )
    return found


def _era_of_weights(contents: Contents, version: str) -> str:
    if contents.layer_names:
        return era_of_version(version) or "keras 1"
    if not any("vars" in array.name.split("/") for array in contents.arrays):
        return ""
    if any(group.split("/")[0] in _OLD_GROUPS for group in contents.groups):
        return "keras 2"
    return "keras 3" if contents.named else "tf_keras"


def era_of_version(version: str) -> str:
    """Which Keras a version number is of; tf_keras goes on with the numbers of Keras 2 from 2.16 on."""
    parts = version.split("-")[0].split(".")
    try:
        major, minor = int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    except ValueError:
        return ""
    if major == 2:
        return "tf_keras" if minor >= 16 else "keras 2"
    return f"keras {major}" if major in (1, 3) else ""


def _configure(found: Look, config: dict[str, Any], custom: Collection[str]) -> None:
    described = describe(config)
    found.config = config
    found.era = era_of_version(found.keras_version) or _era_of_config(config)
    found.class_name, found.name = described.class_name, described.name
    found.layers, found.inputs, found.outputs = described.layers, described.inputs, described.outputs
    found.custom = custom_names(config)
    found.refusal = check_config(config, custom)
    if not found.refusal and found.backend == "theano" and any("Conv" in kind for _, kind in found.layers):
        found.refusal = (
            "it was written by Keras on Theano, which stores the kernels of convolutions flipped, and no later Keras "
            "turns them: load it with the Keras that wrote it, and save it on TensorFlow"
        )
    elif not found.refusal and found.era == "keras 1" and (argument := keras_1_argument(config)):
        found.refusal = (
            f"its layers have arguments of Keras 1 ({quoted(argument)}), which no later Keras takes: build the same "
            "model with today's layers and give its model.to_json() as architecture="
        )


def _era_of_config(config: Any) -> str:
    """By how the shape of an input is called, which Keras 3 renamed."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "batch_input_shape" in value:
                return "keras 2"
            if "batch_shape" in value:
                return "keras 3"
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return "keras 3"


def _variables(arrays: list[Array]) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    """The weights of the model, those of the optimizer left out."""
    return tuple(
        (array.name, array.dtype, array.shape) for array in arrays if array.name.split("/")[0] not in _TRAINING
    )


def printable_variables(variables: tuple[tuple[str, str, tuple[int, ...]], ...], most: int = 10) -> str:
    """Names, dtypes and shapes of variables, as they stand in a sentence."""
    shown = ", ".join(
        f"{quoted(name)} {dtype}[{', '.join(map(str, shape))}]" for name, dtype, shape in variables[:most]
    )
    rest = len(variables) - most
    return (shown or "none") + (f" and {rest} more" if rest > 0 else "")


def keras_2_word(found: Look) -> str:
    """What in a model of Keras 1 or 2 has another meaning in Keras 3; empty where nothing has."""
    return needs_keras_2(found.config) if found.era != "keras 3" else ""


def made_input(found: Look) -> str:
    """How the input of a Sequential model that has no layer for it is called: Keras 3 has no name for it of its own."""
    names = [name for name, _, _ in found.inputs]
    is_made = found.class_name == SEQUENTIAL and bool(names) and names[0] not in dict(found.layers)
    return names[0] if is_made else ""
