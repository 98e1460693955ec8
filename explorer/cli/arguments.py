"""The arguments of every command."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

from explorer.errors import UsageError

_MODEL = "a base path, a version folder or a saved_model.pb"
_LARGEST = "the version of a base path (default: the largest)"
_TAGS = "the meta graph with exactly these tags"
_SIGNATURE = "the signature (default: serving_default)"


class _Parser(argparse.ArgumentParser):
    """Raises for wrong arguments instead of printing the usage and leaving."""

    def __init__(self, **named: Any) -> None:
        # Asked for the width of the terminal, argparse imports shutil, and with it every archive format, on each start.
        super().__init__(formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100), **named)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def command_parser() -> argparse.ArgumentParser:
    """The parser of all commands; what it parses has the chosen command's function as ``run``."""
    parser = _Parser(
        prog="explorer", description="See, change and re-export TensorFlow SavedModels, without TensorFlow."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for add in (
        *(_show, _scan, _edit, _diff, _prove),
        *(_convert, _wrap),
        *(_request, _client, _handover, _lint, _rest, _serve, _warmup),
    ):
        add(commands)
    return parser


def _show(commands: Any) -> None:
    command = commands.add_parser("show", help="list meta graphs, tags and signatures")
    command.add_argument("path", metavar="PATH", help=_MODEL)
    command.add_argument("--version", type=int, metavar="N", help=_LARGEST)
    command.add_argument("--tags", metavar="a,b", help="only the meta graph with exactly these tags")
    command.add_argument("--signature", metavar="KEY", help="only this signature")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument("--counts", action="store_true", help="count nodes, functions and variables too")
    command.set_defaults(run=_command("show"))


def _scan(commands: Any) -> None:
    command = commands.add_parser(
        "scan",
        help="say what a model can reach besides its tensors: files, the network, Python, devices, unknown ops",
        epilog="exit status: 0 nothing was found, 1 something was, 2 the model could not be scanned",
    )
    command.add_argument("path", metavar="PATH", help=_MODEL)
    command.add_argument("--version", type=int, metavar="N", help=_LARGEST)
    command.add_argument("--tags", metavar="a,b", help="only the meta graph with exactly these tags")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(run=_command("scan"))


def _edit(commands: Any) -> None:
    command = commands.add_parser("edit", help="apply a recipe and export the result as a new version")
    command.add_argument("path", metavar="PATH", help=_MODEL)
    command.add_argument("--recipe", required=True, metavar="FILE", help="the recipe as JSON; - for standard input")
    command.add_argument("--export", required=True, metavar="BASE", help="the base path that gets the new version")
    command.add_argument("--version", type=int, metavar="N", help="the number of the new version (default: the next)")
    command.add_argument("--from-version", type=int, metavar="N", help="the version to edit (default: the largest)")
    command.add_argument("--dry-run", action="store_true", help="show the differences and write nothing")
    command.add_argument("--link", action="store_true", help="hardlink the variables instead of copying them")
    command.add_argument("--follow-links", action="store_true", help="copy what links out of the folder lead to")
    command.add_argument("--fingerprint", choices=("drop", "recompute"), default="drop", help="of the edited model")
    command.add_argument(
        "--remove-duplicates", action="store_true", help="write variables that stand twice in the checkpoint only once"
    )
    command.add_argument(
        "--allow-running", action="store_true", help="allow running the model where a recipe widens a shape"
    )
    command.add_argument(
        "--prove",
        action="store_true",
        help="run source and result on the same inputs; status 3 if they differ",
    )
    command.add_argument(
        "--warmup", choices=("refuse", "drop", "rewrite"), default="refuse", help="records that no longer fit"
    )
    command.set_defaults(run=_command("edit"))


def _diff(commands: Any) -> None:
    command = commands.add_parser(
        "diff",
        help="compare two versions: will clients break?",
        epilog="exit status: 0 the same for every client, 1 compatible, 3 breaking, 2 an error",
    )
    command.add_argument("path", metavar="A", help=f"what clients know: {_MODEL}")
    command.add_argument("other", metavar="B", nargs="?", help="what they shall meet (default: the next version of A)")
    command.add_argument("--from-version", type=int, metavar="N", help="the version of A")
    command.add_argument("--to-version", type=int, metavar="N", help="the version of B, or of A where there is no B")
    command.add_argument("--tags", metavar="a,b", help=_TAGS)
    command.add_argument("--json", action="store_true", help="the verdict as JSON")
    command.set_defaults(run=_command("diff"))


def _prove(commands: Any) -> None:
    command = commands.add_parser(
        "prove",
        help="run two versions on the same inputs and compare the answers",
        epilog="exit status: 0 the same answers, 3 others, 2 an error",
    )
    command.add_argument("path", metavar="OLD", help=_MODEL)
    command.add_argument("other", metavar="NEW", help="what was made of it")
    command.add_argument("--allow-running", action="store_true", help="allow running both models, in a child process")
    command.add_argument("--tags", metavar="a,b", help=_TAGS)
    command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(run=_command("prove"))


def _request(commands: Any) -> None:
    command = commands.add_parser("request", help="print an example request body")
    command.add_argument("path", metavar="PATH", help=_MODEL)
    _request_arguments(command)
    command.add_argument(
        "--protocol",
        choices=("rest", "classify", "regress", "grpc", "grpc-bytes", "kserve"),
        default="rest",
        help="grpc: a PredictRequest as text; kserve: Open Inference, V2 (default: rest)",
    )
    command.add_argument(
        "--example", choices=("zeros", "ones", "random"), default="zeros", help="what stands where no value is given"
    )
    command.add_argument("--batch", type=int, metavar="N", help="the size of an unknown first dimension (default: 1)")
    command.set_defaults(run=_command("request"))


def _client(commands: Any) -> None:
    command = commands.add_parser("client", help="print a program that sends a request, or a description of the API")
    command.add_argument("path", metavar="PATH", help=_MODEL)
    command.add_argument("--language", required=True, metavar="NAME", help="curl, go, openapi …; ? lists all")
    _request_arguments(command)
    command.add_argument("--host", metavar="URL", help="scheme, host and port of the server")
    command.add_argument("--name", metavar="NAME", help="the server's name for the model (default: the base path's)")
    command.set_defaults(run=_command("client"))


def _handover(commands: Any) -> None:
    command = commands.add_parser("handover", help="print what a server needs in order to serve the model")
    command.add_argument("path", metavar="PATH", help=_MODEL)
    command.add_argument("--to", required=True, choices=("docker", "models.config", "kserve", "triton"))
    command.add_argument("--name", metavar="NAME", help="the server's name for the model (default: the base path's)")
    command.add_argument("--tags", metavar="a,b", help=_TAGS)
    command.add_argument("--signature", metavar="KEY", help=_SIGNATURE)
    command.add_argument("--label", action="append", default=[], metavar="NAME=VERSION", help="a version's label")
    command.set_defaults(run=_command("handover"))


def _lint(commands: Any) -> None:
    command = commands.add_parser(
        "lint",
        help="say what is wrong with a request body, which is read from standard input, and correct it",
        epilog="exit status: 0 nothing is wrong, 1 something is, 2 an error",
    )
    command.add_argument("path", metavar="PATH", help=_MODEL)
    command.add_argument("--verb", choices=("predict", "classify", "regress"), default="predict")
    command.add_argument("--version", type=int, metavar="N", help=_LARGEST)
    command.add_argument("--tags", metavar="a,b", help=_TAGS)
    command.add_argument("--signature", metavar="KEY", help="the signature that was meant")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument("--fix", action="store_true", help="print the corrected body only")
    command.set_defaults(run=_command("lint"))


def _rest(commands: Any) -> None:
    command = commands.add_parser(
        "rest",
        help="answer a request as TensorFlow Serving does; this runs the model, in a child process",
        epilog="exit status: 0 for the status 200 (with --jsonl: every line was answered), 1 for others, 2 an error",
    )
    command.add_argument("path", metavar="PATH", help=_MODEL)
    command.add_argument(
        "verb",
        metavar="VERB",
        nargs="?",
        choices=("predict", "classify", "regress", "metadata", "status"),
        help="predict, classify or regress, with the body on standard input; metadata or status",
    )
    command.add_argument("--name", metavar="NAME", help="the model's name (default: the base path's)")
    command.add_argument("--jsonl", action="store_true", help='answer lines {"verb", "body"} from standard input')
    command.add_argument("--version", type=int, metavar="N", help=_LARGEST)
    command.add_argument("--timeout", type=float, metavar="S", help="seconds that a run may take")
    command.set_defaults(run=_command("rest"))


def _serve(commands: Any) -> None:
    command = commands.add_parser("serve", help="serve a base path on this machine as TensorFlow Serving would")
    command.add_argument("path", metavar="BASE", help="the folder that holds the numbered versions")
    command.add_argument("--name", metavar="NAME", help="the model's name (default: the base path's)")
    command.add_argument("--port", type=int, default=8501, metavar="N", help="of HTTP (default: 8501; 0: a free one)")
    command.add_argument("--grpc-port", type=int, metavar="N", help="of gRPC (default: no gRPC; 0: a free one)")
    command.add_argument("--label", action="append", default=[], metavar="NAME=VERSION", help="a version's label")
    command.add_argument("--poll", type=float, default=1.0, metavar="S", help="seconds between looks at the base path")
    command.set_defaults(run=_command("serve"))


def _warmup(commands: Any) -> None:
    command = commands.add_parser(
        "warmup", help="export a new version that is warmed up by request bodies, one a line on standard input"
    )
    command.add_argument("path", metavar="PATH", help=_MODEL)
    command.add_argument("--export", required=True, metavar="BASE", help="the base path that gets the new version")
    command.add_argument("--verb", choices=("predict", "classify", "regress"), default="predict")
    command.add_argument("--replace", action="store_true", help="leave out the records that are there")
    command.set_defaults(run=_command("warmup"))


def _convert(commands: Any) -> None:
    command = commands.add_parser(
        "convert",
        help="turn a frozen graph, a checkpoint or a Keras file into a new version of a SavedModel",
        epilog="Without --export it says what the source is, and what it could be asked for.",
    )
    command.add_argument("source", metavar="SOURCE", help="a file, a folder, or the prefix of a checkpoint")
    command.add_argument("--export", metavar="BASE", help="the base path that gets the new version")
    pairs = {"nargs": "+", "action": "extend", "default": []}
    command.add_argument("--inputs", metavar="KEY=TENSOR", help="the inputs (default: what the outputs need)", **pairs)
    command.add_argument("--outputs", metavar="KEY=TENSOR", help="the outputs (default: the best candidate)", **pairs)
    command.add_argument("--constants", metavar="KEY=VALUE", help="placeholders that get a value for good", **pairs)
    command.add_argument("--signature", metavar="KEY", default="serving_default", help="the signature's key")
    command.add_argument(
        "--endpoints",
        metavar="KEY=LAYER",
        help="of a Keras file: further signatures and what they answer with",
        **pairs,
    )
    command.add_argument("--graph", metavar="FILE", help="the GraphDef of a checkpoint that has no .meta")
    command.add_argument(
        "--architecture", metavar="PATH", help="what has the same variables as a checkpoint or a file of weights"
    )
    command.add_argument(
        "--custom-objects",
        metavar="NAME=MODULE:NAME",
        help="where classes that are not Keras' own are defined",
        **pairs,
    )
    command.add_argument("--version", type=int, metavar="N", help="the number of the new version (default: the next)")
    command.add_argument("--timeout", type=float, metavar="S", help="seconds that Keras may take")
    command.add_argument(
        "--prove", action="store_true", help="run source and result on the same inputs; status 3 if they differ"
    )
    command.set_defaults(run=_command("convert"))


def _wrap(commands: Any) -> None:
    command = commands.add_parser(
        "wrap", help="add a signature that takes images, base64 text, tf.Examples, CSV or JSON"
    )
    # By itself argparse takes the scale -1..1 for an option, because it looks like no negative number to it.
    command._negative_number_matcher = re.compile(r"-[0-9]")
    command.add_argument(
        "kind",
        metavar="KIND",
        choices=("image", "base64", "example", "csv", "json"),
        help="image, base64, example, csv or json",
    )
    command.add_argument("path", metavar="PATH", help=_MODEL)
    command.add_argument("--export", required=True, metavar="BASE", help="the base path that gets the new version")
    command.add_argument("--signature", metavar="KEY", help=_SIGNATURE)
    command.add_argument("--input", metavar="KEY", help="the input that it feeds (default: the only one)")
    command.add_argument("--new-signature", metavar="KEY", help="the key of the new signature")
    command.add_argument("--new-input", metavar="KEY", help="the key of its input")
    command.add_argument("--version", type=int, metavar="N", help="the number of the new version (default: the next)")
    command.add_argument("--tags", metavar="a,b", help=_TAGS)
    command.add_argument("--resize", metavar="HxW", help="height and width in pixels (default: the model's own)")
    command.add_argument("--fit", choices=("stretch", "crop", "pad"), help="what becomes of another aspect ratio")
    command.add_argument("--interpolation", metavar="NAME", help="how pixels are resized (default: bilinear)")
    command.add_argument("--scale", metavar="NAME", help="0..255, 0..1, -1..1, imagenet or caffe")
    command.add_argument("--mean", metavar="a,b,c", help="what is taken off each channel, in place of --scale")
    command.add_argument("--std", metavar="a,b,c", help="what each channel is divided by after that")
    command.add_argument("--channels", choices=("first", "last"), help="where the model has its colours")
    command.add_argument("--colours", metavar="NAME", help="rgb, bgr, rgba or grey (default: as the model's input)")
    command.add_argument("--names", nargs="+", metavar="KEY=NAME", help="what inputs are called in a row")
    command.add_argument("--defaults", nargs="+", metavar="KEY=VALUE", help="what stands in for what a row lacks")
    command.add_argument("--columns", metavar="a,b,c", help="the order of the columns of CSV (default: the inputs')")
    command.add_argument("--delimiter", metavar="C", help="what stands between the columns of CSV (default: a comma)")
    command.add_argument("--labels", metavar="FILE", help="the names of the classes, one a line; kept in the model")
    command.add_argument("--output", metavar="KEY", help="the output with the scores (default: the likeliest)")
    command.add_argument(
        "--method",
        choices=("predict", "classify", "regress"),
        default="predict",
        help="which requests it answers; classify and regress take tf.Examples",
    )
    command.set_defaults(run=_command("wrap"))


def _request_arguments(command: argparse.ArgumentParser) -> None:
    """What says which request is meant."""
    command.add_argument("--version", type=int, metavar="N", help=_LARGEST)
    command.add_argument("--tags", metavar="a,b", help=_TAGS)
    command.add_argument("--signature", metavar="KEY", help=_SIGNATURE)
    command.add_argument("--format", choices=("row", "column"), help="(default: the one that works)")
    command.add_argument("--values", metavar="FILE", help="JSON, CSV, .npy or .npz with a value for each input")


def _command(name: str) -> Callable[[argparse.Namespace], int | None]:
    """The function of a command, whose module is imported only when it is called."""

    def run(options: argparse.Namespace) -> int | None:
        status: int | None = getattr(import_module(f"explorer.cli.{name}"), name)(options)
        return status

    return run


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        import explorer

        print(explorer.__version__)
        parser.exit()
