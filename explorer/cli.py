"""``python -m explorer``: the command line, which parses arguments, calls the functions and prints.

Exit status 0, or 2 with exactly one line on standard error. Each command imports only what it needs, so that ``show``
costs a few imports and a few kilobytes of reading whatever the size of the model.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from explorer.errors import ExplorerError, ExportError, RecipeError, UsageError, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from explorer.savedmodel.model import MetaGraph, SavedModel

_LARGEST_RECIPE = 16 << 20


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
        The exit status: 0, or 2 where one line on standard error says what is wrong.
    """
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
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
    return 0


def _failed(sentence: str) -> int:
    from explorer.errors import printable_name

    line = printable_name(" ".join(sentence.split("\n")), longest=4000)
    try:
        print(f"explorer: {line}", file=sys.stderr)
    except UnicodeEncodeError:
        print(f"explorer: {line.encode('ascii', 'backslashreplace').decode()}", file=sys.stderr)
    return 2


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
    show.set_defaults(run=_show)

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
        "--warmup", choices=("refuse", "drop", "rewrite"), default="refuse", help="records that no longer fit"
    )
    edit.set_defaults(run=_edit)

    request = commands.add_parser("request", help="print an example request body")
    request.add_argument("path", metavar="PATH", help="a base path, a version folder or a saved_model.pb")
    request.add_argument("--version", type=int, metavar="N", help="the version of a base path (default: the largest)")
    request.add_argument("--tags", metavar="a,b", help="the meta graph with exactly these tags")
    request.add_argument("--signature", metavar="KEY", help="the signature (default: serving_default)")
    request.add_argument("--format", choices=("row", "column"), help="(default: the one that works)")
    request.set_defaults(run=_request)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        import explorer

        print(explorer.__version__)
        parser.exit()


def _show(options: argparse.Namespace) -> None:
    from explorer.savedmodel.opening import open_saved_model

    model = open_saved_model(options.path, options.version)
    shown = _restricted(model, options)
    if options.json:
        import json

        print(json.dumps(_with_counts(model, shown) if options.counts else shown.to_dict(), indent=2))
        return
    from explorer.render.text import to_text

    if shown is model:
        _print(to_text(model))
    else:  # what a server finds in the model can't be told from a part of it
        _print("\n\n".join(to_text(meta_graph) for meta_graph in shown.meta_graphs))
    if options.counts:
        from explorer.render.tables import meta_graphs_table
        from explorer.savedmodel.kind import counts

        every = counts(model)
        counted = {
            index: every[_position(model, meta_graph)].to_dict() for index, meta_graph in enumerate(shown.meta_graphs)
        }
        _print("\n" + to_text(meta_graphs_table(shown, counted)))


def _with_counts(model: SavedModel, shown: SavedModel) -> dict[str, Any]:
    from explorer.savedmodel.kind import counts, describe_kind

    data = shown.to_dict()
    every = counts(model)
    data["kind"] = describe_kind(model)
    for meta_graph, entry in zip(shown.meta_graphs, data["meta_graphs"], strict=True):
        entry["counts"] = every[_position(model, meta_graph)].to_dict()
    return data


def _position(model: SavedModel, meta_graph: MetaGraph) -> int:
    """Where a meta graph stands in the file; a selection of signatures doesn't move it."""
    return next(index for index, other in enumerate(model.meta_graphs) if other.field == meta_graph.field)


def _restricted(model: SavedModel, options: argparse.Namespace) -> SavedModel:
    """The model with only what ``--tags`` and ``--signature`` ask for.

    Raises:
        NotFoundError: The model hasn't got it.
    """
    if options.tags is None and options.signature is None:
        return model
    from dataclasses import replace

    from explorer.savedmodel.model import frozen

    meta_graphs = model.meta_graphs if options.tags is None else (model.meta_graph(_tags(options.tags)),)
    if options.signature is not None:
        holders = [graph for graph in meta_graphs if options.signature in graph.signatures]
        if not holders:
            meta_graphs[0].signature(options.signature)
        meta_graphs = tuple(
            replace(graph, signatures=frozen({options.signature: graph.signatures[options.signature]}))
            for graph in holders
        )
    return replace(model, meta_graphs=tuple(meta_graphs))


def _tags(text: str) -> list[str]:
    return [tag for tag in text.split(",") if tag]


def _edit(options: argparse.Namespace) -> None:
    from explorer.editing.diff import diff
    from explorer.editing.recipe import apply_recipe
    from explorer.savedmodel.opening import open_saved_model

    model = open_saved_model(options.path, options.from_version)
    edited = apply_recipe(model, _read_recipe(options.recipe))
    if options.dry_run:
        from explorer.checking.checks import check, new_errors
        from explorer.render.text import changes_text

        _print(changes_text(diff(model, edited)))
        if faults := new_errors(check(model), check(edited)):
            raise ExportError(f"an export would be refused: {faults[0].message}")
        return
    from explorer.exporting.export import export_version

    before_publish: Callable[[Path], None] | None = None
    if options.fingerprint == "recompute":
        from explorer.runtime.fingerprint import write_fingerprint

        before_publish = write_fingerprint
    published = export_version(
        edited,
        options.export,
        version=options.version,
        link=options.link,
        warmup=options.warmup,
        follow_outside_links=options.follow_links,
        before_publish=before_publish,
    )
    for note in published.notes:
        _print(f"note: {note}")
    print(published.path)


def _read_recipe(path: str) -> object:
    """The recipe in a file as data.

    Raises:
        RecipeError: The file can't be read, or is no JSON.
    """
    import json

    try:
        if path == "-":
            text = sys.stdin.buffer.read(_LARGEST_RECIPE + 1)
        else:
            with open(path, "rb") as file:
                text = file.read(_LARGEST_RECIPE + 1)
    except OSError as error:
        raise RecipeError(f"the recipe {quoted(path)} can't be read: {error.strerror or error}") from None
    if len(text) > _LARGEST_RECIPE:
        raise RecipeError(f"the recipe {quoted(path)} has more than {_LARGEST_RECIPE} bytes")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RecipeError(
            f"the recipe {quoted(path)} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise RecipeError(f"the recipe {quoted(path)} is no JSON: {error}") from None


def _request(options: argparse.Namespace) -> None:
    from explorer.savedmodel.opening import open_saved_model
    from explorer.serving.bodies import request_body

    model = open_saved_model(options.path, options.version)
    tags = None if options.tags is None else _tags(options.tags)
    print(request_body(model, options.signature, tags=tags, format=options.format))


def _print(text: str) -> None:
    """Prints text whose arrows and dots the terminal may not have."""
    try:
        print(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        print(text.encode(encoding, "backslashreplace").decode(encoding))
