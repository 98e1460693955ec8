"""Every error of ours, and how a name that comes from a model is written in a sentence.

The tree::

    ExplorerError
    ├── SourceError                what lies at a path cannot be opened as a SavedModel
    │   ├── PathNotFoundError      (FileNotFoundError)
    │   ├── NotASavedModelError    (ValueError)   .kind says what it is instead
    │   └── UnknownVersionError    (LookupError)  .available
    ├── FormatError                (ValueError)   the bytes of a file contradict its format, .offset
    ├── NotFoundError              (LookupError)  no such tag set, signature, key, tensor …, .available
    ├── EditError                  (ValueError)   an edit cannot be applied to this model
    │   └── UnsupportedEditError   (NotImplementedError) a kind of model that this edit doesn't reach yet
    ├── RecipeError                (ValueError)   a recipe is not well formed
    ├── ConversionError            (ValueError)   what lies at a path can't be turned into a SavedModel, .needs
    ├── ExportError                nothing was written
    ├── RequestError               (ValueError)   a request can't be made, or a server refuses it, .code, .status
    ├── RunError                   a model can't be run in the child process
    │   └── RunCancelledError      because the caller didn't want to wait any longer
    └── UsageError                 (ValueError)   wrong arguments on the command line

Each message is one sentence or two on one line: what is wrong, where, what was expected or is available, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_NAME = 200
"""Names longer than this many characters are shown with an ellipsis in their middle."""

HTTP_STATUSES = {
    "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400,
    "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}  # fmt: skip
"""Name in ``absl::StatusCode`` → HTTP status, as ``http_rest_api_util.cc`` of TensorFlow Serving pairs them."""

_INVISIBLE = frozenset(
    [*range(0x00, 0x20), *range(0x7F, 0xA0), 0xAD, 0x061C, 0x180E, *range(0x200B, 0x2010), *range(0x2028, 0x202F)]
    + [*range(0x2060, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080), *range(0xD800, 0xE000)]
)


def printable_name(name: str, longest: int = LONGEST_NAME) -> str:
    r"""Writes a name from a model so that it can be neither misread nor act on a terminal.

    Control, bidirectional, zero-width and lone surrogate characters become visible ``\uXXXX``; a name longer than
    ``longest`` characters keeps both ends around ``…`` and tells its length.

    Args:
        name: Text from a file that nobody vouches for.
        longest: The longest text that is shown whole, in characters.

    Returns:
        One line of text without invisible characters.
    """
    note = ""
    if len(name) > longest:
        note = f" ({len(name)} characters)"
        name = name[: longest * 2 // 3] + "…" + name[-(longest // 4) :]
    if not name.isascii() or not name.isprintable():
        name = "".join(_visible(character) for character in name)
    return name + note


def _visible(character: str) -> str:
    code = ord(character)
    if code not in _INVISIBLE:
        return character
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def quoted(name: str) -> str:
    """A name from a model in quotation marks, for use inside a sentence."""
    return f"'{printable_name(name)}'"


def listed(names: Iterable[str], most: int = 10) -> str:
    """Some names as they stand in a sentence: ``'a', 'b' and 3 more``, or ``none``."""
    every = list(names)
    if not every:
        return "none"
    shown = ", ".join(quoted(name) for name in every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"


class ExplorerError(Exception):
    """The root of all errors that are raised on purpose; ``str()`` of it is one line."""

    def __str__(self) -> str:
        return " ".join(super().__str__().split("\n"))


class SourceError(ExplorerError):
    """What lies at a path cannot be opened as a SavedModel.

    Attributes:
        path: The path as text.
    """

    def __init__(self, message: str, path: object = "") -> None:
        super().__init__(message)
        self.path = str(path)


class PathNotFoundError(SourceError, FileNotFoundError):
    """There is nothing at the path."""


class NotASavedModelError(SourceError, ValueError):
    """There is something at the path, and it is no SavedModel that can be read.

    Attributes:
        path: The path as text.
        kind: What it is: a word such as ``"lfs_pointer"``, ``"frozen_graph"``, ``"empty_folder"``.
    """

    def __init__(self, message: str, path: object = "", kind: str = "unknown") -> None:
        super().__init__(message, path)
        self.kind = kind


class UnknownVersionError(SourceError, LookupError):
    """A base path has no such version.

    Attributes:
        path: The base path as text.
        available: The version numbers that there are.
    """

    def __init__(self, message: str, path: object = "", available: Iterable[int] = ()) -> None:
        super().__init__(message, path)
        self.available = tuple(available)


class FormatError(ExplorerError, ValueError):
    """The bytes of a file contradict the format that the file should have.

    Attributes:
        offset: Where in the file, in bytes, or None where that is unknown.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message if offset is None else f"{message} (at byte {offset})")
        self.offset = offset


class NotFoundError(ExplorerError, LookupError):
    """A name that the model doesn't have.

    Attributes:
        what: The kind of thing that was looked up: ``"signature"``, ``"input"``, ``"tensor"`` …
        name: The name that was asked for.
        available: The names that there are.
    """

    def __init__(self, what: str, name: str, available: Iterable[str], where: str = "") -> None:
        self.what = what
        self.name = name
        self.available = tuple(available)
        import difflib  # only a slip pays for it

        close = difflib.get_close_matches(name, self.available[:5000], n=1)
        hint = f"; did you mean {quoted(close[0])}?" if close else ""
        place = f" in {where}" if where else ""
        super().__init__(f"there is no {what} {quoted(name)}{place}; available: {listed(self.available)}{hint}")


class EditError(ExplorerError, ValueError):
    """An edit cannot be applied to this model; the model is as it was."""


class UnsupportedEditError(EditError, NotImplementedError):
    """An edit that is right in itself and that this kind of model doesn't allow yet."""


class RecipeError(ExplorerError, ValueError):
    """A recipe is not well formed."""


class ConversionError(ExplorerError, ValueError):
    """A file can't be turned into a SavedModel: it is something else, or something is missing beside it.

    Attributes:
        needs: What would have to be given besides: ``"graph"``, ``"architecture"``, ``"model"``, ``"signature"`` …
    """

    def __init__(self, message: str, needs: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.needs = tuple(needs)


class ExportError(ExplorerError):
    """Nothing was published; earlier versions and the source are as they were."""


class RequestError(ExplorerError, ValueError):
    """A request can't be made for this signature from these values, or TensorFlow Serving refuses it.

    Attributes:
        code: The name of the status by which the server refuses it, such as ``"INVALID_ARGUMENT"``; empty where no
            request could be made. Then ``str()`` of the error is the server's sentence to the letter, which may have
            several lines; bytes of the request that aren't UTF-8 stand in it as ``surrogateescape`` leaves them.
        status: The HTTP status that belongs to the code; None where there is no code.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.status = HTTP_STATUSES[code] if code else None

    def __str__(self) -> str:
        return str(self.args[0]) if self.code else super().__str__()


class RunError(ExplorerError):
    """A model can't be run in the child process, may not be, or brought it down."""


class RunCancelledError(RunError):
    """The caller cancelled a run; its child process is gone."""


class UsageError(ExplorerError, ValueError):
    """The command line was called with arguments that it doesn't take."""
