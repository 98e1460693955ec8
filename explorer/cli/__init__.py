"""``python -m explorer``: the command line, which parses arguments, calls the functions and prints.

Exit status 0, or 2 with exactly one line on standard error; ``diff``, ``prove``, ``rest`` and ``lint`` tell their
verdict by other numbers too. Each command imports only what it needs, so that ``show`` costs a few imports and a few
kilobytes of reading whatever the size of the model.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from explorer.cli.arguments import command_parser
from explorer.errors import ExplorerError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Without the program's name; None takes those of the process.

    Returns:
        The exit status: 0, that of a command which has its own, or 2 where one line on standard error says what is
        wrong.
    """
    try:
        options = command_parser().parse_args(arguments)
        status: int | None = options.run(options)
        sys.stdout.flush()
    except ExplorerError as error:
        return _failed(str(error))
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return _failed("stopped; nothing was written")
    except OSError as error:
        return _failed(f"{error.filename or 'the output'}: {error.strerror or error}")
    return status or 0


def _failed(sentence: str) -> int:
    from explorer.errors import printable_name

    line = printable_name(" ".join(sentence.split("\n")), longest=4000)
    try:
        print(f"explorer: {line}", file=sys.stderr)
    except UnicodeEncodeError:
        print(f"explorer: {line.encode('ascii', 'backslashreplace').decode()}", file=sys.stderr)
    return 2
