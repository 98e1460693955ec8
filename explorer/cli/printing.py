"""What commands do with text: tags and labels from arguments, and text on a terminal that may lack a character."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from explorer.errors import UsageError, quoted


def tag_list(text: str) -> list[str]:
    """The tags of ``--tags a,b``."""
    return [tag for tag in text.split(",") if tag]


def version_labels(texts: Iterable[str]) -> dict[str, int]:
    """The version labels of ``--label NAME=VERSION``.

    Raises:
        UsageError: One is written otherwise.
    """
    labels = {}
    for text in texts:
        label, equals, version = text.rpartition("=")
        if not (label and equals and version.strip().lstrip("+-").isdecimal()):
            raise UsageError(f"--label takes NAME=VERSION, such as stable=1, not {quoted(text)}")
        labels[label] = int(version)
    return labels


def print_text(text: str) -> None:
    """Prints text whose arrows and dots the terminal may not have."""
    try:
        print(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        print(text.encode(encoding, "backslashreplace").decode(encoding))
