"""What every command does with text: tags from an argument, and text on a terminal that may lack a character."""

from __future__ import annotations

import sys


def tag_list(text: str) -> list[str]:
    """The tags of ``--tags a,b``."""
    return [tag for tag in text.split(",") if tag]


def print_text(text: str) -> None:
    """Prints text whose arrows and dots the terminal may not have."""
    try:
        print(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        print(text.encode(encoding, "backslashreplace").decode(encoding))
