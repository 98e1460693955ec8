"""Calls as a person would write them: Python in one line or in several, and the words of a command."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

_LONGEST_LINE = 100


def python_call(function: str, arguments: Sequence[str]) -> str:
    """A call, on one line where it isn't long.

    Args:
        function: What is called.
        arguments: The arguments, as source.
    """
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= _LONGEST_LINE:
        return line
    return f"{function}(\n    " + ",\n    ".join(arguments) + ",\n)"


def command(words: Iterable[str]) -> str:
    """A command of this package, its words quoted for a shell."""
    return f"python -m explorer {shlex.join(words)}"


def as_path(text: str) -> str:
    """A path that no command takes for an option."""
    return f"./{text}" if text.startswith("-") else text
