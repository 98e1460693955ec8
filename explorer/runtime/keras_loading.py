"""Loads a Keras file, for a child process: the Keras that wrote it, or the one that can still read it.

Everything is looked at anew before Keras gets it (:mod:`explorer.runtime.keras_look`): the file may have changed since
the caller looked. ``safe_mode`` stays on all the same.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from explorer.errors import ConversionError, FormatError, quoted
from explorer.runtime.custom_objects import import_objects
from explorer.runtime.keras_config import custom_aliases
from explorer.runtime.keras_look import Look, keras_2_word, look, made_input, printable_variables

KERAS_3: Final = "keras"
KERAS_2: Final = "tf_keras"

NEEDS_KERAS_2: Final = (
    "it takes tf_keras, which is Keras 2 and isn't installed here; run pip install 'savedmodel-explorer[keras2]'"
)

_LONGEST: Final = 300
_SEED_TYPES: Final = ("uint32", "int64")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that Keras built.

    Attributes:
        model: The model.
        keras: The module that it is of: ``keras`` or ``tf_keras``.
        framework: Its name and version.
        notes: What a person should know, one sentence each.
        input_name: The name of its only input, where the file has no layer for it; else empty.
    """

    model: Any
    keras: Any
    framework: str
    notes: tuple[str, ...] = ()
    input_name: str = ""


def load_keras_file(
    path: Path,
    folder: Path,
    *,
    architecture: Path | None = None,
    custom: Mapping[str, str] | None = None,
    paths: Sequence[str] = (),
    tell: Tell = lambda words: None,
) -> Loaded:
    """Builds the model of a file and gives it its weights; for a child process.

    Args:
        path: The file.
        folder: A folder of the child's.
        architecture: What the model is built from, where the file has weights only: the JSON of ``model.to_json()``,
            or a whole file of the same architecture. Of a whole file, only the weights are then taken.
        custom: Custom objects, as :func:`explorer.runtime.custom_objects.named` gives them.
        paths: Where modules are looked for besides.
        tell: Is told what is being done.

    Raises:
        ConversionError: The file is refused, something is missing, or no Keras that is installed loads it.
        FormatError: It is damaged.
    """
    places = custom or {}
    weights = _looked(path, folder, tuple(places))
    built = weights if architecture is None else _looked(architecture, folder, tuple(places))
    if built.refusal or built.config is None:
        which = path if architecture is None else architecture
        needs = ("architecture",) if architecture is None and not built.is_whole else ()
        raise ConversionError(f"{quoted(str(which))} can't be converted: {_refusal(built, architecture)}", needs)
    if architecture is None and weights.format == "json":
        raise ConversionError(
            f"{quoted(str(path))} is an architecture without weights: give the file of weights as the source"
        )
    tell("importing Keras")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    notes: list[str] = []
    errors: list[str] = []
    for keras in _frameworks(built, errors):
        objects = import_objects(places, paths)
        aliases = {alias: objects[name] for alias, name in custom_aliases(built.config, tuple(places)).items()}
        try:
            tell("building the model")
            model = _build(keras, path if architecture is None else architecture, built, folder, aliases)
            if architecture is not None:
                tell("loading the weights")
                _load_weights(model, path, weights, folder)
            _check_inputs(keras, model, built)
        except ConversionError:
            raise
        except Exception as error:  # Keras raises what its layers raise
            errors.append(f"{_name(keras)} can't load it: {_words(error)}")
            continue
        if errors:
            notes.append(f"{errors[0]}; {_name(keras)} was taken instead")
        return Loaded(model, keras, _name(keras), tuple(notes), made_input(built))
    raise ConversionError(f"{quoted(str(path))} {_title(built)} can't be loaded: {'; '.join(errors)}")


def _looked(path: Path, folder: Path, custom: Sequence[str]) -> Look:
    try:
        return look(path, folder, custom)
    except FormatError as error:
        raise ConversionError(f"{quoted(str(path))} can't be converted: {error}") from None


def _refusal(built: Look, architecture: Path | None) -> str:
    if built.refusal and (architecture is None or built.config is not None):
        return built.refusal
    return "it was given as the architecture, but holds weights and no model"


def _title(built: Look) -> str:
    return f"(of {' '.join(filter(None, ('Keras', built.keras_version or built.era.removeprefix('keras '))))})"


def _frameworks(built: Look, errors: list[str]) -> Iterator[Any]:
    """The modules to try, best first; says why one is left out."""
    if built.era == "keras 3":
        wanted = [KERAS_3]
    elif built.era == "tf_keras" or built.format == "keras_zip":
        wanted = [KERAS_2]
    elif built.config is not None and isinstance(built.config.get("config"), list):
        wanted = [KERAS_2]
        errors.append("Keras 3 doesn't read a model that is a bare list of layers, as Keras wrote it before 2.2.3")
    elif word := keras_2_word(built):
        wanted = [KERAS_2]
        errors.append(f"Keras 3 computes {word} otherwise than Keras 2, so only Keras 2 may load it")
    else:
        wanted = [KERAS_3, KERAS_2]
    for name in wanted:
        try:
            yield importlib.import_module(name)
        except ImportError as error:
            errors.append(NEEDS_KERAS_2 if name == KERAS_2 else f"Keras isn't installed: {_words(error)}")


def _name(keras: Any) -> str:
    return f"{'Keras' if keras.__name__ == KERAS_3 else keras.__name__} {keras.__version__}"


def _words(error: Exception) -> str:
    """The first line that says something of what Keras says, which may be as long as the configuration."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    return quoted(f"{type(error).__name__}: {text}")


def _build(keras: Any, path: Path, built: Look, folder: Path, objects: Mapping[str, Any]) -> Any:
    if built.format == "json":
        return keras.models.model_from_json(path.read_text(encoding="utf-8"), custom_objects=dict(objects))
    ending = ".keras" if built.format == "keras_zip" else ".h5"
    # Keras tells formats by the names of files, which may be anything.
    place = _lent(path, folder / f"source{ending}")
    return keras.models.load_model(str(place), custom_objects=dict(objects), compile=False, safe_mode=True)


def _check_inputs(keras: Any, model: Any, built: Look) -> None:
    """Makes sure that inputs have the shapes of the file.

    Keras 3 takes the ``batch_input_shape`` of a first layer of Keras 2 for a shape without the batch, and adds one.

    Their order isn't compared: where they are the values of a dict, Keras sorts them.

    Raises:
        ValueError: They haven't.
    """
    said = [shape for _, _, shape in built.inputs]
    found = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    if len(said) == len(found) and None not in said and sorted(map(str, said)) != sorted(map(str, found)):
        raise ValueError(f"it gives the inputs the shapes {found}, where the file says {said}")


def _load_weights(model: Any, path: Path, found: Look, folder: Path) -> None:
    if not model.built:
        raise ConversionError(
            "the architecture doesn't say the shape of its input, so it has no weights to fill: build the model with "
            "an Input layer, or call it once, before to_json()"
        )
    is_old = found.format == "hdf5" and (found.is_old_layout or found.is_whole)
    ending = ".keras" if found.format == "keras_zip" else ".h5" if is_old else ".weights.h5"
    place = _lent(path, folder / f"values{ending}")
    try:
        model.load_weights(str(place))
    except Exception as error:  # Keras raises what its layers raise
        raise ConversionError(
            f"the weights of {quoted(str(path))} don't fit the architecture: {_words(error)}; the file holds "
            f"{printable_variables(found.variables)}"
        ) from None
    # The newer layout is read layer by layer as the model asks for it, and nobody minds what is left over.
    held = sum(not (dtype in _SEED_TYPES and "seed" in name) for name, dtype, _ in found.variables)
    if not is_old and held > len(model.weights):
        raise ConversionError(
            f"the file {quoted(str(path))} holds {held} weights, of which the architecture has places for "
            f"{len(model.weights)}: it is another architecture; the file holds {printable_variables(found.variables)}"
        )


def _lent(path: Path, place: Path) -> Path:
    """The file under another name, in the child's folder."""
    place.unlink(missing_ok=True)
    try:
        place.symlink_to(path.absolute())
    except OSError:  # Windows permits it to few
        shutil.copyfile(path, place)
    return place
