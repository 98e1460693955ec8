"""``python -m explorer``: the command line, which parses arguments, calls the functions and prints.

Exit status 0, or 2 with exactly one line on standard error; ``diff`` tells its verdict by 0, 1 and 3. Each command
imports only what it needs, so that ``show`` costs a few imports and a few kilobytes of reading whatever the size of
the model.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from explorer.errors import ExplorerError, UsageError


class _Parser(argparse.ArgumentParser):
    """Raises for wrong arguments instead of printing the usage and leaving."""

    def __init__(self, **named: Any) -> None:
        # Asked for the width of the terminal, argparse imports shutil, and with it every archive format, on each start.
        super().__init__(formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100), **named)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: Without the program's name; None takes those of the process.

    Returns:
        The exit status: 0, that of a command which has its own, or 2 where one line on standard error says what is
        wrong.
    """
    try:
        options = _parser().parse_args(arguments)
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


def _command(name: str) -> Callable[[argparse.Namespace], int | None]:
    """The function of a command, whose module is imported only when it is called."""

    def run(options: argparse.Namespace) -> int | None:
        status: int | None = getattr(import_module(f"explorer.cli.{name}"), name)(options)
        return status

    return run


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="explorer", description="See, change and re-export TensorFlow SavedModels, without TensorFlow."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    show = commands.add_parser("show", help="list meta graphs, tags and signatures")
    show.add_argument("path", metavar="PATH", help="a base path, a version folder or a saved_model.pb")
    show.add_argument("--version", type=int, metavar="N", help="the version of a base path (default: the largest)")
    show.add_argument("--tags", metavar="a,b", help="only the meta graph with exactly these tags")
    show.add_argument("--signature", metavar="KEY", help="only this signature")
    show.add_argument("--json", action="store_true", help="as JSON")
    show.add_argument("--counts", action="store_true", help="count nodes, functions and variables too")
    show.set_defaults(run=_command("show"))

    edit = commands.add_parser("edit", help="apply a recipe and export the result as a new version")
    edit.add_argument("path", metavar="PATH", help="a base path, a version folder or a saved_model.pb")
    edit.add_argument("--recipe", required=True, metavar="FILE", help="the recipe as JSON; - for standard input")
    edit.add_argument("--export", required=True, metavar="BASE", help="the base path that gets the new version")
    edit.add_argument("--version", type=int, metavar="N", help="the number of the new version (default: the next)")
    edit.add_argument("--from-version", type=int, metavar="N", help="the version to edit (default: the largest)")
    edit.add_argument("--dry-run", action="store_true", help="show the differences and write nothing")
    edit.add_argument("--link", action="store_true", help="hardlink the variables instead of copying them")
    edit.add_argument("--follow-links", action="store_true", help="copy what links out of the model's folder lead to")
    edit.add_argument("--fingerprint", choices=("drop", "recompute"), default="drop", help="of the edited model")
    edit.add_argument(
        "--remove-duplicates", action="store_true", help="write variables that stand twice in the checkpoint only once"
    )
    edit.add_argument(
        "--allow-running", action="store_true", help="allow running the model where a recipe widens a shape"
    )
    edit.add_argument(
        "--prove",
        action="store_true",
        help="run source and result on the same inputs; status 3 if they differ",
    )
    edit.add_argument(
        "--warmup", choices=("refuse", "drop", "rewrite"), default="refuse", help="records that no longer fit"
    )
    edit.set_defaults(run=_command("edit"))

    diff = commands.add_parser(
        "diff",
        help="compare two versions: will clients break?",
        epilog="exit status: 0 the same for every client, 1 compatible, 3 breaking, 2 an error",
    )
    diff.add_argument("path", metavar="A", help="what clients know: a base path, a version folder or a saved_model.pb")
    diff.add_argument("other", metavar="B", nargs="?", help="what they shall meet (default: the next version of A)")
    diff.add_argument("--from-version", type=int, metavar="N", help="the version of A")
    diff.add_argument("--to-version", type=int, metavar="N", help="the version of B, or of A where there is no B")
    diff.add_argument("--tags", metavar="a,b", help="the meta graph with exactly these tags")
    diff.add_argument("--json", action="store_true", help="the verdict as JSON")
    diff.set_defaults(run=_command("diff"))

    prove = commands.add_parser(
        "prove",
        help="run two versions on the same inputs and compare the answers",
        epilog="exit status: 0 the same answers, 3 others, 2 an error",
    )
    prove.add_argument("path", metavar="OLD", help="a base path, a version folder or a saved_model.pb")
    prove.add_argument("other", metavar="NEW", help="what was made of it")
    prove.add_argument("--allow-running", action="store_true", help="allow running both models, in a child process")
    prove.add_argument("--tags", metavar="a,b", help="the meta graph with exactly these tags")
    prove.add_argument("--json", action="store_true", help="as JSON")
    prove.set_defaults(run=_command("prove"))

    request = commands.add_parser("request", help="print an example request body")
    request.add_argument("path", metavar="PATH", help="a base path, a version folder or a saved_model.pb")
    request.add_argument("--version", type=int, metavar="N", help="the version of a base path (default: the largest)")
    request.add_argument("--tags", metavar="a,b", help="the meta graph with exactly these tags")
    request.add_argument("--signature", metavar="KEY", help="the signature (default: serving_default)")
    request.add_argument("--format", choices=("row", "column"), help="(default: the one that works)")
    request.set_defaults(run=_command("request"))
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        import explorer

        print(explorer.__version__)
        parser.exit()
