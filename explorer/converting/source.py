"""What lies at a path: a graph, a checkpoint, a file of Keras, a SavedModel or something else, and what it lacks.

Nothing is executed, TensorFlow isn't imported, and of large files only those parts are read that say what they are.
"""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path

from explorer.converting.checkpoint_files import files_of, list_folder, prefix_of
from explorer.converting.checkpoint_source import describe_checkpoint
from explorer.converting.file_source import describe_file
from explorer.converting.folder_source import describe_folder
from explorer.converting.kinds import Need, Source
from explorer.errors import PathNotFoundError, SourceError, listed, quoted

__all__ = ["Need", "Source", "find_source"]


def find_source(path: str | os.PathLike[str]) -> Source:
    """Says what a path is that somebody wants to convert.

    Args:
        path: A graph (``.pb``, ``.pbtxt``), a checkpoint (its prefix ``model.ckpt-1000``, one of its files, or the
            folder that it lies in), a file of Keras, a SavedModel, or anything else; ``~`` is expanded.

    Returns:
        What it is, what belongs to it and what is missing. Where it can't be converted, ``problem`` says why.

    Raises:
        PathNotFoundError: There is nothing at the path, and no checkpoint of that name.
        SourceError: It can't be read.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise PathNotFoundError(f"the path {quoted(text)} contains a NUL character", text)
    if "://" in text:
        raise SourceError(f"{quoted(text)} is a remote path; copy the files to this machine first", text)
    place = Path(os.path.abspath(os.path.expanduser(text)))
    mode = _mode(place)
    if mode is None:
        if files_of(place).all if place.parent.is_dir() else ():
            return describe_checkpoint(place)
        raise PathNotFoundError(f"there is nothing at {quoted(str(place))}{_near(place)}", place)
    if stat.S_ISDIR(mode):
        return describe_folder(place)
    return describe_file(place)


def _mode(path: Path) -> int | None:
    """The mode of what lies at a path; None where nothing does."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise PathNotFoundError(f"{quoted(str(path))} is a link to something that isn't there", path) from None
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"{quoted(str(path))} cannot be opened: {reason}", path) from None


def _near(path: Path) -> str:
    """What a person may have meant, or what there is."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    if folder != path.parent:
        return f"; there isn't even a folder {quoted(str(path.parent))}"
    names = list_folder(folder)
    prefixes = {prefix.name for name in names if (prefix := prefix_of(folder / name)) is not None}
    close = difflib.get_close_matches(path.name, [*names[:5000], *sorted(prefixes)[:5000]], n=3, cutoff=0.6)
    if close:
        return f"; did you mean {listed(close)}?"
    return f"; the folder holds {listed(names, 5)}" if names else "; the folder is empty"
