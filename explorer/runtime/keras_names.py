"""Gives the signatures of a freshly written SavedModel the keys that were asked for, and leaves out all others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from explorer.editing.edits import remove_signature, rename_input, rename_signature, repair_captures
from explorer.errors import ConversionError, EditError
from explorer.runtime.keras_export import Endpoint, endpoint_name
from explorer.savedmodel import constants
from explorer.savedmodel.captures import unrestored_captures
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.opening import open_saved_model

_CHANGED = re.compile(r"[^A-Za-z0-9_]")


def settle_endpoints(folder: Path, endpoints: Sequence[Endpoint]) -> dict[str, dict[str, list[str]]]:
    """Gives the endpoints that :func:`explorer.runtime.keras_export.export_keras_model` wrote their keys.

    Returns:
        Signature key → ``inputs`` and ``outputs``, the keys of each.

    Raises:
        ConversionError: See :func:`settle`.
    """
    wanted = {endpoint_name(number): endpoint.key for number, endpoint in enumerate(endpoints)}
    keys = {endpoint.key: list(endpoint.inputs or ()) for endpoint in endpoints}
    signatures = settle(folder, wanted, keys).meta_graph().callable_signatures
    return {key: {"inputs": list(found.inputs), "outputs": list(found.outputs)} for key, found in signatures.items()}


def settle(folder: Path, wanted: Mapping[str, str], inputs: Mapping[str, Sequence[str]] | None = None) -> SavedModel:
    """Renames the signatures of a SavedModel in place, and makes sure that a server can run it.

    Args:
        folder: The SavedModel; nobody else has seen it yet.
        wanted: Key in the file → the key that it shall have; signatures that aren't named are left out.
        inputs: Wanted signature key → the keys of its inputs, where TensorFlow may have changed characters of them.

    Returns:
        The model as it lies there now.

    Raises:
        ConversionError: It has variables that no server would restore.
    """
    model = open_saved_model(folder)
    for key in tuple(model.meta_graph().callable_signatures):
        if key not in wanted:
            model = remove_signature(model, key)
    for key, new in wanted.items():
        if key != new:
            model = rename_signature(model, key, new)
    for signature_key, keys in (inputs or {}).items():
        present = model.meta_graph().signature(signature_key).inputs
        for key in keys:
            if key not in present and (changed := _CHANGED.sub("_", key)) in present:
                model = rename_input(model, signature_key, changed, key)
    meta_graph = model.meta_graph()
    if unrestored_captures(meta_graph, read_graph(meta_graph)):
        try:
            model = repair_captures(model)
        except EditError as error:
            raise ConversionError(f"no server could run what was written: {error}") from None
    if not model.edits:
        return model
    _write(model, folder)
    return open_saved_model(folder)


def _write(model: SavedModel, folder: Path) -> None:
    """Puts the edited ``saved_model.pb`` in the place of the old one, and a fingerprint of it where there was one."""
    new = folder / f"{constants.SAVED_MODEL_PB}.new"
    assert model.document is not None  # it was opened from a file
    with open(new, "xb") as file:
        model.document.write_to(file)
    new.replace(folder / constants.SAVED_MODEL_PB)
    fingerprint = folder / constants.FINGERPRINT
    if fingerprint.exists():
        from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

        fingerprint.unlink()
        fingerprint.write_bytes(fingerprinting.CreateFingerprintDef(str(folder)))
