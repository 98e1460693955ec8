"""Which version numbers a base path has, and which one is next."""

from __future__ import annotations

import os

from explorer.errors import ExportError, quoted
from explorer.savedmodel.folder import parse_version

LARGEST_VERSION = 2**63 - 1
"""TensorFlow Serving reads version numbers into an int64."""


def taken_versions(base_path: str | os.PathLike[str]) -> dict[int, str]:
    """The version numbers that a base path has, whatever bears them.

    TensorFlow Serving looks at names alone: a file, a link or an empty folder called ``7`` is version 7 to it, and
    ``007`` is too, so each of them takes the number
    (https://github.com/tensorflow/serving/blob/master/tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc).

    Args:
        base_path: The folder of the versions; one that isn't there has none.

    Returns:
        Number → the name that bears it; the shortest where there are several.

    Raises:
        ExportError: The base path can't be listed.
    """
    try:
        names = os.listdir(base_path)
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        raise ExportError(
            f"the base path {quoted(os.fspath(base_path))} is not a folder; give the folder that holds, or shall hold, "
            "the version folders"
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise ExportError(f"the base path {quoted(os.fspath(base_path))} cannot be listed: {reason}") from error
    numbers: dict[int, str] = {}
    for name in sorted(names, key=lambda name: (len(name), name)):
        number = parse_version(name)
        if number is not None:
            numbers.setdefault(number, name)
    return numbers


def next_version(base_path: str | os.PathLike[str]) -> int:
    """The version number for a new export: one more than the largest that there is, and at least 1.

    Args:
        base_path: The folder of the versions; it need not exist.

    Returns:
        The number.

    Raises:
        ExportError: The base path can't be listed, or its largest number is the largest that TensorFlow Serving reads.
    """
    largest = max(taken_versions(base_path), default=0)
    if largest >= LARGEST_VERSION:
        raise ExportError(
            f"the base path {quoted(os.fspath(base_path))} already has version {largest}, the largest that TensorFlow "
            "Serving reads; give another base path, or a smaller version"
        )
    return max(1, largest + 1)


def refuse_taken(base_path: str | os.PathLike[str], version: int) -> None:
    """Raises an ExportError where a version number can't be given, because it is taken or out of range."""
    if not 0 <= version <= LARGEST_VERSION:
        raise ExportError(
            f"version {version} cannot be published; a version is a whole number from 0 to {LARGEST_VERSION}"
        )
    taken = taken_versions(base_path)
    if version in taken:
        name = taken[version]
        spelt = "" if name == str(version) else f" as {quoted(name)}"
        raise ExportError(
            f"the base path {quoted(os.fspath(base_path))} already has version {version}{spelt}, and none is ever "
            f"overwritten; the next one is {max(1, max(taken) + 1)}"
        )
