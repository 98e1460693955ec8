"""Turns a Keras file into a SavedModel: Keras builds the model, in a child process with limits.

Before that, the file is looked into without Keras (:mod:`explorer.runtime.keras_files`), and refused where its
configuration names anything but layers of Keras and what the caller brings.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from explorer.errors import ConversionError, ExportError, FormatError, RunError, listed, printable_name, quoted
from explorer.runtime.child import NEEDS_TENSORFLOW, NO_TENSORFLOW, child_folder, run_child
from explorer.runtime.convert_keras_child import MODEL, PHASE, PLAN, RESULT
from explorer.runtime.custom_objects import search_paths
from explorer.runtime.keras_files import KerasFile, look_inside
from explorer.savedmodel import constants
from explorer.savedmodel.records import read_whole

Progress = Callable[[str, int, int], None]
"""Is told what is being done, how many steps are done, and of how many; what it raises ends the conversion."""

Keys = Mapping[str, str] | Sequence[str] | None

NO_CONSENT: Final = (
    "converting a file of Keras runs Keras, which builds the model that the file describes, in a child process with "
    "limits; pass consent=True to allow that"
)

TIMEOUT_S: Final = 600.0
MEMORY_BYTES: Final = 16 << 30

_PHASES: Final = (
    "looking into the file", "starting TensorFlow", "importing Keras", "building the model", "loading the weights",
    "writing the SavedModel", "naming the signatures", "taking the result over",
)  # fmt: skip
_MOST_BYTES: Final = 1 << 24
_MOST_PHASE: Final = 200


@dataclass(frozen=True, slots=True)
class KerasConversion:
    """What a Keras file or model was turned into.

    Attributes:
        path: The folder with the SavedModel.
        framework: What built the model: ``Keras 3.15.1`` or ``tf_keras 2.21.0``.
        signatures: Signature key → the keys of its inputs, and those of its outputs.
        notes: What a person should know, one sentence each.
        source: What was found in the file; None for a model in memory.
    """

    path: Path
    framework: str
    signatures: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    notes: tuple[str, ...] = ()
    source: KerasFile | None = None


def convert_keras(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    consent: bool,
    architecture: str | os.PathLike[str] | None = None,
    custom_objects: Mapping[str, str] | None = None,
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    input_keys: Keys = None,
    output_keys: Keys = None,
    endpoints: Mapping[str, str | Sequence[str] | None] | None = None,
    timeout_s: float = TIMEOUT_S,
    memory_bytes: int = MEMORY_BYTES,
    cancel: threading.Event | None = None,
    progress: Progress | None = None,
) -> KerasConversion:
    """Turns a ``.keras``, ``.h5`` or ``.weights.h5`` file into a SavedModel that every server can run.

    Args:
        path: The file.
        folder: An empty folder, or one that is to be made; it holds the SavedModel afterwards.
        consent: True says that Keras may build the model, in a child process.
        architecture: Where the file has weights only: the JSON of ``model.to_json()``, or a whole file of Keras of the
            same architecture.
        custom_objects: Name in the file → where it is defined, as :func:`explorer.runtime.custom_objects.named` gives.
        signature_key: The key of the signature with the model's inputs and outputs.
        input_keys: Input key → the name of an input; or keys for all, in order. None takes the names of the inputs.
        output_keys: Output key → the name of an output or of a layer; or keys for all outputs, in order. None takes
            the names of the layers that the outputs come from.
        endpoints: More signatures: key → the name of an output or of a layer, or several; None for the outputs.
        timeout_s: How long all of it may take, in seconds.
        memory_bytes: How much memory the child may allocate; 0 for as much as there is.
        cancel: Ends it when it is set; nothing is written then.
        progress: Is told how far it is.

    Raises:
        ConversionError: The file is refused or can't be loaded, or something is missing, which ``needs`` names.
        ExportError: The folder isn't empty, or can't be written.
        FormatError: What the child left can't be read.
        RunError: There is no consent, TensorFlow isn't installed, or it took too long.
        RunCancelledError: ``cancel`` was set.
    """
    places, target = dict(custom_objects or {}), Path(folder)
    tell = progress or (lambda phase, done, total: None)
    tell(_PHASES[0], 0, len(_PHASES))
    source = look_inside(path, tuple(places), cancel=cancel)
    if source.refusal and architecture is None:
        raise ConversionError(
            f"{quoted(str(path))} {source.title}: {source.refusal}", () if source.is_whole else ("architecture",)
        )
    if architecture is not None:
        _check_architecture(architecture, places, cancel)
    if not consent:
        raise RunError(NO_CONSENT)
    plan = {
        "path": str(source.path),
        "architecture": None if architecture is None else os.path.abspath(os.path.expanduser(architecture)),
        "custom": places,
        "paths": search_paths() if places else [],
        "memory_bytes": memory_bytes,
        "endpoints": planned_endpoints(signature_key, input_keys, output_keys, endpoints),
    }
    with child_folder() as home:
        (home / PLAN).write_text(json.dumps(plan), encoding="utf-8")
        found = _run(home, source, timeout_s, cancel, tell)
        tell(_PHASES[-1], len(_PHASES) - 1, len(_PHASES))
        _take_over(home / MODEL, target)
    signatures = {
        str(key): (tuple(each["inputs"]), tuple(each["outputs"])) for key, each in found["signatures"].items()
    }
    tell("done", len(_PHASES), len(_PHASES))
    notes = tuple(map(printable_name, (f"the model was built by {found['framework']}", *found["notes"])))
    return KerasConversion(target, str(found["framework"]), signatures, notes, source)


def planned_endpoints(
    signature_key: str,
    input_keys: Keys,
    output_keys: Keys,
    endpoints: Mapping[str, str | Sequence[str] | None] | None,
) -> list[dict[str, Any]]:
    """The signatures that are asked for, as plain data; that of the model is the first.

    Raises:
        ConversionError: A signature is asked for twice, or has no key.
    """
    more = dict(endpoints or {})
    if more.get(signature_key, "") is None:  # it says what is so anyway
        del more[signature_key]
    if signature_key in more:
        raise ConversionError(
            f"the signature {quoted(signature_key)} is asked for twice: as that of the model, and as one that answers "
            "with a layer; give the model's signature another key"
        )
    if not signature_key or "" in more:
        raise ConversionError("a signature has an empty key")
    wanted = [{"key": signature_key, "inputs": _plain(input_keys), "outputs": _plain(output_keys)}]
    for key, names in more.items():
        every = [names] if isinstance(names, str) else names
        outputs = None if every is None else {_as_key(name): name for name in every}
        wanted.append({"key": key, "inputs": _plain(input_keys), "outputs": outputs})
    return wanted


def _plain(keys: Keys) -> dict[str, str] | list[str] | None:
    if keys is None or not keys:
        return None
    return dict(keys) if isinstance(keys, Mapping) else list(keys)


def _as_key(name: str) -> str:
    from explorer.runtime.keras_description import unique_keys

    return unique_keys([name])[0]


def _check_architecture(
    path: str | os.PathLike[str], places: Mapping[str, str], cancel: threading.Event | None
) -> None:
    if Path(path).is_dir():
        raise ConversionError(
            f"{quoted(str(path))} is a folder: the weights of a file of Keras take its architecture, the JSON of "
            "model.to_json() or a whole file of Keras",
            ("architecture",),
        )
    found = look_inside(path, tuple(places), cancel=cancel)
    if found.refusal:
        raise ConversionError(f"the architecture {quoted(str(path))} {found.title}: {found.refusal}", ("architecture",))


def _run(
    home: Path, source: KerasFile, timeout_s: float, cancel: threading.Event | None, tell: Progress
) -> Mapping[str, Any]:
    """Lets the child do it; gives what it says."""
    told = ""

    def watch() -> None:
        nonlocal told
        try:
            with open(home / PHASE, "rb") as file:
                phase = file.read(_MOST_PHASE).decode("utf-8", "replace")
        except OSError:
            phase = _PHASES[1]
        if phase != told and phase in _PHASES:
            told = phase
            tell(phase, _PHASES.index(phase), len(_PHASES))

    ended = run_child("explorer.runtime.convert_keras_child", [], home, timeout_s=timeout_s, cancel=cancel, watch=watch)
    if ended.status == NO_TENSORFLOW:
        raise RunError(NEEDS_TENSORFLOW)
    if ended.status != 0:
        raise ConversionError(
            f"{quoted(str(source.path))} {source.title}, and the child process that built it {ended.cause}"
        )
    data = read_whole(str(home / RESULT), _MOST_BYTES, "what came of a conversion")
    try:
        found = json.loads(data or b"")
        if "error" not in found:
            return {"framework": found["framework"], "notes": found["notes"], "signatures": dict(found["signatures"])}
        why, needs = str(found["error"]), [str(need) for need in found["needs"]]
    except (ValueError, KeyError, TypeError):
        raise FormatError("what the child process told can't be understood") from None
    raise ConversionError(printable_name(why, 4000), needs)


def _take_over(made: Path, folder: Path) -> None:
    """Moves a SavedModel out of the child's folder: regular files only, for the child could have left others."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if present := sorted(entry.name for entry in os.scandir(folder)):
            raise ExportError(f"the folder {quoted(str(folder))} isn't empty: it holds {listed(present, 3)}")
        for root, folders, files in os.walk(made, followlinks=False):
            place = folder / Path(root).relative_to(made)
            for name in folders:
                (place / name).mkdir()
            for name in files:
                if not stat.S_ISREG(os.lstat(os.path.join(root, name)).st_mode):
                    raise ExportError(f"the child process left {quoted(name)}, which is no regular file")
                shutil.move(os.path.join(root, name), place / name)
    except OSError as error:
        where = quoted(str(error.filename or folder))
        raise ExportError(f"the converted model can't be written: {where}: {error.strerror or error}") from None
    if not (folder / constants.SAVED_MODEL_PB).is_file():
        raise ConversionError("the child process wrote no SavedModel")
