"""What is this folder: a SavedModel, a base path with versions, or something else with a name?

Version numbers are read as TensorFlow Serving reads them: ``absl::SimpleAtoi`` on every child of the base path
(``file_system_storage_path_source.cc``), so ``007`` is version 7, ``-5`` is a version too, and ``v1`` is none.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from explorer.errors import (
    NotASavedModelError,
    PathNotFoundError,
    SourceError,
    UnknownVersionError,
    listed,
    quoted,
)
from explorer.savedmodel import constants

_LARGEST_VERSION = 2**63 - 1
_MOST_ENTRIES = 100_000


class Version(NamedTuple):
    """A version folder under a base path.

    Attributes:
        number: The number that TensorFlow Serving reads from the name.
        name: The folder's name: ``7``, ``007``.
        path: Where it is.
        is_model: Whether it holds a file that makes it a SavedModel.
    """

    number: int
    name: str
    path: Path
    is_model: bool


class ModelFolder(NamedTuple):
    """A folder with a SavedModel in it.

    Attributes:
        path: The folder, absolute; links in it are kept as they were given.
        version: Its number if its name is one, else None.
        file_name: Which file of it to read: ``saved_model.pb``, or ``.pbtxt`` where there is no ``.pb``.
    """

    path: Path
    version: int | None
    file_name: str

    @property
    def file_path(self) -> Path:
        """The file to read."""
        return self.path / self.file_name


def parse_version(name: str) -> int | None:
    """The number that TensorFlow Serving reads from a folder's name, or None where it isn't one.

    ``absl::SimpleAtoi`` takes blanks around the number, a sign and leading zeros, and nothing beyond 64 bits.
    """
    digits = name.strip(" \t\n\v\f\r")
    unsigned = digits[1:] if digits[:1] in ("+", "-") else digits
    if not (unsigned.isascii() and unsigned.isdigit()):
        return None
    significant = unsigned.lstrip("0") or "0"
    if len(significant) > 19:  # int() of a long text is slow, and refused beyond 4300 digits
        return None
    number = -int(significant) if digits[0] == "-" else int(significant)
    return number if -_LARGEST_VERSION - 1 <= number <= _LARGEST_VERSION else None


def list_versions(base_path: str | os.PathLike[str]) -> tuple[Version, ...]:
    """The version folders under a base path, smallest number first.

    Raises:
        SourceError: The folder can't be listed.
    """
    base = Path(base_path)
    found = []
    for entry in _entries(base):
        number = parse_version(entry.name)
        if number is not None and entry.is_dir():
            path = base / entry.name
            found.append(Version(number, entry.name, path, _model_file(path) is not None))
    return tuple(sorted(found, key=lambda version: (version.number, version.name)))


def find_model(path: str | os.PathLike[str], version: int | None = None) -> ModelFolder:
    """Finds the SavedModel that a path means.

    Args:
        path: A base path, a version folder, another folder with a SavedModel, or the file ``saved_model.pb`` itself;
            ``~`` is expanded.
        version: The version to take where the path is a base path; None takes the largest that is a model.

    Returns:
        The folder to read.

    Raises:
        PathNotFoundError: There is nothing at the path.
        UnknownVersionError: There is no such version.
        NotASavedModelError: There is something else; the sentence says what.
        SourceError: It can't be read.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise PathNotFoundError(f"the path {quoted(text)} contains a NUL character", text)
    if "://" in text:
        raise NotASavedModelError(f"{quoted(text)} is a remote path; copy the model to this machine first", text, "url")
    folder = Path(os.path.abspath(os.path.expanduser(text)))
    mode = _mode(folder)
    if not stat.S_ISDIR(mode):
        if folder.name in constants.MODEL_FILE_NAMES and stat.S_ISREG(mode):
            folder = folder.parent
        else:
            from explorer.savedmodel.identify import identify  # a good path doesn't pay for it

            kind, sentence = identify(str(folder))
            raise NotASavedModelError(f"{quoted(text)} {sentence}", text, kind)
    if (file_name := _model_file(folder)) is not None:
        number = parse_version(folder.name)
        if version is not None and version != number:
            raise UnknownVersionError(
                f"{quoted(text)} is itself a SavedModel, so version {version} can't be chosen in it; "
                "give its base path or leave the version out",
                text,
                () if number is None else (number,),
            )
        return _checked(folder, number, file_name)
    versions = list_versions(folder)
    models = [candidate for candidate in versions if candidate.is_model]
    if version is not None:
        chosen = next((candidate for candidate in versions if candidate.number == version), None)
        if chosen is None:
            numbers = [candidate.number for candidate in versions]
            known = ", ".join(map(str, numbers)) or "none"
            raise UnknownVersionError(f"{quoted(text)} has no version {version}; available: {known}", text, numbers)
        return find_model(chosen.path)
    if models:
        best = models[-1]
        return _checked(best.path, best.number, _model_file(best.path) or constants.SAVED_MODEL_PB)
    kind, sentence = _describe_folder(folder)
    raise NotASavedModelError(f"{quoted(text)} {sentence}", text, kind)


def _checked(folder: Path, version: int | None, file_name: str) -> ModelFolder:
    if file_name == constants.SAVED_MODEL_CPB:
        raise NotASavedModelError(
            f"{quoted(str(folder))} holds only saved_model.cpb, the chunked form for models over 2 GB, which is not "
            "read here; TensorFlow's open-source build can't read it either: export the model again as saved_model.pb",
            folder,
            "chunked",
        )
    return ModelFolder(folder, version, file_name)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise PathNotFoundError(f"{quoted(str(path))} is a link to something that isn't there", path) from None
        parent = path.parent
        hint = ""
        if parent.is_dir():
            import difflib

            close = difflib.get_close_matches(path.name, [entry.name for entry in _entries(parent)], n=1, cutoff=0.6)
            hint = f"; did you mean {quoted(close[0])}?" if close else ""
        raise PathNotFoundError(f"there is nothing at {quoted(str(path))}{hint}", path) from None
    except (OSError, ValueError) as error:  # ELOOP, EACCES, ENAMETOOLONG
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{quoted(str(path))} cannot be opened: {reason}", path) from None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False)]
    except OSError as error:
        raise SourceError(f"{quoted(str(folder))} cannot be listed: {error.strerror or error}", folder) from None


def _model_file(folder: Path) -> str | None:
    """The file that TensorFlow's loader would read: the first of the three names that is there."""
    return next((name for name in constants.MODEL_FILE_NAMES if os.path.lexists(folder / name)), None)


def _describe_folder(folder: Path) -> tuple[str, str]:
    """What a folder without a SavedModel is, as a kind and the end of a sentence."""
    names = sorted(entry.name for entry in _entries(folder))
    lower = [name.lower() for name in names]
    if not names:
        return "empty_folder", "is an empty folder; a SavedModel has a file saved_model.pb in it"
    if constants.VARIABLES_FOLDER in names:
        return "half_copied", (
            "has a variables folder but no saved_model.pb: it looks half copied; copy the whole folder again"
        )
    numbered = [name for name in names if parse_version(name) is not None]
    if numbered:
        return "empty_versions", (
            f"has version folders ({listed(numbered, 3)}), but none of them holds a saved_model.pb; "
            "copy the whole model again"
        )
    below = [name for name in names if (folder / name).is_dir() and _model_file(folder / name)]
    if below:
        return "models_below", (
            f"is no SavedModel, but {listed(below, 3)} in it {'is' if len(below) == 1 else 'are'}: open that; "
            "TensorFlow Serving wants a whole number as the folder's name"
        )
    bases = [
        name for name in names if (folder / name).is_dir() and any(v.is_model for v in list_versions(folder / name))
    ]
    if bases:
        return "bases_below", f"is no base path, but {listed(bases, 3)} in it {'is' if len(bases) == 1 else 'are'}"
    for ending, kind, what in (
        (".keras", "keras", "a Keras file"),
        (".h5", "hdf5", "an HDF5 file of Keras"),
        (".meta", "checkpoint", "a checkpoint of TensorFlow 1"),
        (".index", "checkpoint", "a checkpoint"),
        (".tflite", "tflite", "a TensorFlow Lite model"),
        (".onnx", "onnx", "an ONNX model"),
        (".pb", "graph_file", "a .pb file of another name"),
    ):
        hit = next((name for name, small in zip(names, lower, strict=True) if small.endswith(ending)), None)
        if hit is not None:
            return (
                kind,
                f"holds {what} ({quoted(hit)}), but no SavedModel; a SavedModel has a file saved_model.pb in it",
            )
    return "no_model", f"is a folder without a saved_model.pb; it holds {listed(names, 5)}"


class FileSize(NamedTuple):
    """A file of a model's folder.

    Attributes:
        name: Its path inside the folder, with ``/``.
        size_bytes: Its size.
    """

    name: str
    size_bytes: int


def list_files(folder: str | os.PathLike[str]) -> tuple[FileSize, ...]:
    """Every file of a model's folder with its size; links are followed to files, not into folders.

    Raises:
        SourceError: The folder can't be listed.
    """
    root = Path(folder)
    return tuple(sorted(_walk(root, ""), key=lambda file: file.name))


def _walk(root: Path, prefix: str) -> Iterator[FileSize]:
    pending = [prefix]
    count = 0
    while pending:
        prefix = pending.pop()
        for entry in _entries(root / prefix if prefix else root):
            name = f"{prefix}{entry.name}"
            count += 1
            if count > _MOST_ENTRIES:
                return
            try:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name + "/")
                elif entry.is_file():
                    yield FileSize(name, entry.stat().st_size)
            except OSError:
                continue  # a file that vanished between listing and asking is not there
