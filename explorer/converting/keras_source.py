"""What a file of Keras is, as far as it can be told without running anything and without HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from explorer.converting import kinds
from explorer.converting.kinds import Need, Source
from explorer.converting.sizes import counted, printable_size
from explorer.converting.zip_look import ZipLook, look_into_zip
from explorer.errors import FormatError, listed, printable_name
from explorer.savedmodel.overlay import FileSource

_WEIGHTS_ENDING: Final = ".weights.h5"
_WEIGHTS_SENTENCE: Final = (
    "a file of weights has no model in it: give its architecture, a whole Keras file of the same model or the JSON of "
    "model.to_json()"
)


def describe_hdf5(path: Path) -> Source:
    """What an HDF5 file is by its name: a whole model, or weights. What is in it is looked up in a child process.

    Args:
        path: A file that begins as an HDF5 file does.

    Raises:
        SourceError: It can't be read.
    """
    facts = (("Size", printable_size(FileSource(str(path)).size)),)
    if not path.name.lower().endswith(_WEIGHTS_ENDING):
        return Source(path, kinds.HDF5, "is an HDF5 file, as Keras writes .h5", (path,), facts, runs_code=True)
    needs = (Need(kinds.ARCHITECTURE, _WEIGHTS_SENTENCE),)
    return Source(path, kinds.HDF5, "is by its name a file of Keras weights", (path,), facts, needs, runs_code=True)


def describe_zip(path: Path) -> Source:
    """What a zip archive is: a ``.keras`` file, or something that can't be converted as it is.

    Args:
        path: A file that begins as a zip archive does.

    Raises:
        SourceError: It can't be read.
    """
    source = FileSource(str(path))
    size = ("Size", printable_size(source.size))
    try:
        look = look_into_zip(source)
    except FormatError as error:
        return Source(path, "zip", "is a zip archive that cannot be read", (path,), (size,), problem=str(error))
    if look.is_keras:
        return _keras(path, size, look)
    facts = (size, ("Members", str(len(look.names))))
    title, problem = "is a zip archive", f"no .keras file and no SavedModel is in it, but {listed(look.names, 3)}"
    if look.saved_models:
        many = counted(len(look.saved_models), "SavedModel")
        title = f"is a zip archive with {many} in it ({listed(look.saved_models, 3)})"
        problem = "unpack it and open the folder"
    elif any(name.endswith("data.pkl") for name in look.names):
        title, problem = (
            "is a model of PyTorch",
            "TensorFlow can't load it: export it to ONNX or TensorFlow from PyTorch",
        )
    elif look.names and all(name.endswith(".npy") for name in look.names):
        title, problem = "is an .npz file of numpy", "it holds arrays and no model"
    elif not look.names:
        problem = "it is empty"
    return Source(path, "zip", title, (path,), facts, problem=problem)


def _keras(path: Path, size: tuple[str, str], look: ZipLook) -> Source:
    kind = kinds.KERAS_FILE_TF_KERAS if look.is_old_keras else kinds.KERAS_FILE
    era = "Keras 2 (tf_keras)" if look.is_old_keras else "Keras 3"
    rows = (
        ("Keras version", look.keras_version),
        ("Class", ".".join(name for name in (look.module, look.class_name) if name)),
        ("Name", look.model_name),
    )
    facts = (size, *((label, printable_name(value)) for label, value in rows if value))
    problem = ""
    if not {"model.weights.h5", "model.weights.json"} & set(look.names):
        problem = "its member 'model.weights.h5' is missing: it has an architecture and no weights"
    return Source(path, kind, f"is a .keras file of {era}", (path,), facts, runs_code=True, problem=problem)
