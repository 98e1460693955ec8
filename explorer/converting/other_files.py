"""What a file is that can't be converted, as a title and the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from explorer.converting.kinds import Source
from explorer.savedmodel.identify import identify

EXPECTED: Final = (
    "a graph (.pb, .pbtxt), a checkpoint (.index, .meta, its prefix or its folder), a Keras file (.h5, .keras) or a "
    "SavedModel was expected"
)


def describe_other(path: Path) -> Source:
    """What a file is that is neither a graph nor a checkpoint nor a file of Keras.

    Args:
        path: The file.
    """
    kind, sentence = identify(str(path))
    if kind == "unknown":
        return Source(path, kind, "is no file that is known here", (path,), problem=EXPECTED)
    return refused(path, kind, sentence)


def refused(path: Path, kind: str, sentence: str) -> Source:
    """A source that can't be converted.

    Args:
        path: Where it is.
        kind: What it is, in a word.
        sentence: The rest of a sentence that begins with the path. What follows its first semicolon or colon is
            taken for the reason and for what to do.
    """
    places = [place for mark in ("; ", ": ") if (place := sentence.find(mark)) > 0]
    title = sentence[: min(places)] if places else sentence
    problem = sentence[min(places) + 2 :] if places else "point at what should be converted"
    return Source(path, kind, title, (path,), problem=problem)
