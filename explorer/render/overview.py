"""What stands above a model's tables: its name, versions, kind and size, and what a server would make of it."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.errors import ExplorerError, listed, printable_name
from explorer.render.tables import printable_size
from explorer.savedmodel import constants
from explorer.savedmodel.model import SavedModel

_SERVE = frozenset({"serve"})
_MOST_VERSIONS = 8


@dataclass(frozen=True, slots=True)
class Overview:
    """A model's header.

    Attributes:
        name: The base path's name, or the folder's.
        version: The version in words, ``124 of 123, 124``; empty where the folder isn't a version.
        kind: What made it: ``TF1``, ``TF2``, ``Keras 3`` …
        size_bytes: Size of all its files, None where it was read from no folder.
    """

    name: str
    version: str
    kind: str
    size_bytes: int | None

    @property
    def facts(self) -> str:
        """Kind and size: ``TF1 · 12.3 KB``."""
        return self.kind if self.size_bytes is None else f"{self.kind} · {printable_size(self.size_bytes)}"


def overview(model: SavedModel) -> Overview:
    """The header of a model; what the disk no longer tells is left out."""
    from explorer.savedmodel.kind import describe_kind

    folder = model.base_path or model.path
    name = printable_name(folder.name) if folder is not None and folder.name else "SavedModel"
    try:
        kind = describe_kind(model)
    except (ExplorerError, OSError):
        kind = "TF2"
    return Overview(name, _version_text(model), kind, _size(model))


def serving_status(model: SavedModel) -> tuple[bool, str]:
    """Whether a server finds something to call in a model, and what, in a sentence.

    It goes by tags and signatures alone: TensorFlow Serving loads the meta graph whose tag set is exactly ``serve``.
    """
    served = next((meta_graph for meta_graph in model.meta_graphs if meta_graph.tags == _SERVE), None)
    if served is None:
        return False, "A server finds no meta graph here: it asks for the one with exactly the tag serve."
    keys = served.callable_signatures
    if constants.DEFAULT_SIGNATURE_KEY in keys:
        return True, f"A server calls: {constants.DEFAULT_SIGNATURE_KEY}"
    if keys:
        return True, f"A server finds no serving_default: requests must name a signature: {listed(keys, 5)}."
    return False, "A server finds no signature here that it could call."


def _version_text(model: SavedModel) -> str:
    if model.version is None:
        return ""
    numbers = _version_numbers(model)
    if len(numbers) <= 1:
        return str(model.version)
    if len(numbers) > _MOST_VERSIONS:
        return f"{model.version} of {len(numbers)} ({numbers[0]} to {numbers[-1]})"
    return f"{model.version} of {', '.join(map(str, numbers))}"


def _version_numbers(model: SavedModel) -> list[int]:
    # A model that wasn't read from a file may name any folder of this machine; it is none of its business.
    if model.document is None or model.base_path is None:
        return []
    from explorer.savedmodel.folder import list_versions

    try:
        return sorted({version.number for version in list_versions(model.base_path)})
    except (ExplorerError, OSError):
        return []


def _size(model: SavedModel) -> int | None:
    if model.document is None or model.path is None:
        return None
    from explorer.savedmodel.folder import list_files

    try:
        return sum(file.size_bytes for file in list_files(model.path))
    except (ExplorerError, OSError):
        return None
