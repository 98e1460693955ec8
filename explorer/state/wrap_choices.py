"""What can be chosen for a signature that takes pictures, base64 text, tf.Examples, CSV or JSON; also as code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explorer.converting.pairs import parse_pairs, parse_values
from explorer.errors import EditError, quoted
from explorer.render.code import python_text, python_value
from explorer.savedmodel.constants import DEFAULT_SIGNATURE_KEY
from explorer.state.lines import Lines
from explorer.state.python_calls import as_path, command, python_call

KINDS: Mapping[str, str] = {
    "image": "an image file",
    "base64": "base64 text",
    "example": "a tf.Example",
    "csv": "a line of CSV",
    "json": "a JSON text",
}
"""What the new signature takes, and how that is called."""

PICTURES = ("image", "base64")
OWN_NUMBERS = "own"
"""The scale whose numbers a person gives."""

_ROWS = ("example", "csv", "json")
_FEATURES = ("names", "defaults")


@dataclass(frozen=True, slots=True)
class Option:
    """Something to choose; an empty text leaves it to the model's input.

    Attributes:
        kinds: The kinds of input that it is for.
        flag: What the command calls it.
        python: What Python calls it.
    """

    kinds: tuple[str, ...]
    flag: str
    python: str


OPTIONS: Mapping[str, Option] = {
    "size": Option(PICTURES, "--resize", "size"),
    "fit": Option(PICTURES, "--fit", "fit"),
    "interpolation": Option(PICTURES, "--interpolation", "interpolation"),
    "scale": Option(PICTURES, "--scale", "scale"),
    "mean": Option(PICTURES, "--mean", "mean"),
    "std": Option(PICTURES, "--std", "std"),
    "channels": Option(PICTURES, "--channels", "channels"),
    "colours": Option(PICTURES, "--colours", "colours"),
    "names": Option(_ROWS, "--names", "features"),
    "defaults": Option(_ROWS, "--defaults", "features"),
    "columns": Option(("csv",), "--columns", "columns"),
    "delimiter": Option(("csv",), "--delimiter", "delimiter"),
    "method": Option(("example",), "--method", "method"),
    "labels": Option(tuple(KINDS), "--labels", "labels"),
    "output_key": Option(tuple(KINDS), "--output", "output_key"),
    "new_signature_key": Option(tuple(KINDS), "--new-signature", "new_signature_key"),
    "new_input_key": Option(tuple(KINDS), "--new-input", "key"),
}
"""Name in the state → what it is, in the order in which it stands in code."""


@dataclass(frozen=True, slots=True)
class Where:
    """What is wrapped, and where it goes.

    Attributes:
        path: The model's path; empty for the draft, which lies in no folder.
        base: The base path to export to.
        signature_key: The signature.
        input_key: The input that is fed; empty where only one can be meant, or all are.
        tags: The tags of the meta graph; None where there is only one.
    """

    path: str
    base: str
    signature_key: str
    input_key: str = ""
    tags: tuple[str, ...] | None = None


def chosen_for(kind: str, texts: Mapping[str, str]) -> dict[str, str]:
    """What was chosen and is for a kind of input: name → text."""
    own = texts.get("scale") == OWN_NUMBERS
    found = {}
    for name, option in OPTIONS.items():
        text = texts.get(name, "") if name == "delimiter" else texts.get(name, "").strip()
        if not text or kind not in option.kinds or (name in ("mean", "std") and not own) or text == OWN_NUMBERS:
            continue
        found[name] = text
    return found


def arguments_of(kind: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """What was chosen, as arguments of :func:`explorer.runtime.wrap.wrap_version`.

    Raises:
        ExplorerError: A text can't be read.
    """
    given: dict[str, Any] = {}
    features: dict[str, dict[str, Any]] = {}
    for name, text in chosen_for(kind, texts).items():
        if name in _FEATURES:
            pairs = parse_pairs(text, "a name", bare=False) if name == "names" else parse_values(text)
            for key, value in pairs.items():
                features.setdefault(key, {})["name" if name == "names" else "default"] = value
        elif name in ("mean", "std"):
            given[name] = _numbers(name, text)
        elif name == "columns":
            given[name] = [one.strip() or None for one in text.split(",")]
        else:
            given[OPTIONS[name].python] = text
    return {**given, **({"features": features} if features else {})}


def wrap_lines(kind: str, texts: Mapping[str, str], where: Where) -> Lines:
    """The new signature as code: Python and a command.

    Raises:
        ExplorerError: A text can't be read.
    """
    arguments = [python_text(where.path) if where.path else "model", python_text(where.base)]
    is_row = kind in _ROWS
    if where.signature_key != DEFAULT_SIGNATURE_KEY or (where.input_key and not is_row):
        arguments.append(python_text(where.signature_key))
    if where.input_key:
        arguments.append(f"only=[{python_text(where.input_key)}]" if is_row else python_text(where.input_key))
    arguments += [f"{name}={python_value(value)}" for name, value in arguments_of(kind, texts).items()]
    words = ["wrap", kind, as_path(where.path), "--export", as_path(where.base), "--signature", where.signature_key]
    if where.input_key:
        words += ["--input", where.input_key]
    for name, text in chosen_for(kind, texts).items():
        words += [OPTIONS[name].flag, *(_split(text) if name in _FEATURES else [text])]
    if where.tags is not None:
        arguments.append(f"tags={python_value(list(where.tags))}")
        words += ["--tags", ",".join(where.tags)]
    return Lines(python_call(f"explorer.wrap_{kind}", arguments), command(words) if where.path else "")


def _split(text: str) -> list[str]:
    import shlex

    return shlex.split(text)


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise EditError(
            f"{name} is a number, or one for each colour, such as 0.5,0.4,0.3, not {quoted(text)}"
        ) from None
