"""What people type, as data: a value, a shape, a recipe."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from explorer.errors import EditError, RecipeError, quoted
from explorer.savedmodel.model import Shape

_ANY = frozenset({"?", "none", "null", "-1"})
_LARGEST_RECIPE = 16 << 20  # characters
_MOST_DIGITS = 18


def parse_value(text: str) -> Any:
    """A value that was typed as JSON: a number, true or false, text in quotation marks, or nested lists of them.

    Raises:
        EditError: It is none.
    """
    if not text.strip():
        raise EditError('give a value: a number, text as in "blue", or a list as in [1, 2]')
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        at = f" at character {error.colno}" if "\n" not in text else f" in line {error.lineno}, at {error.colno}"
        raise EditError(
            f"this is no value: {error.msg[:1].lower()}{error.msg[1:]}{at}; write numbers as 1.5, text as "
            '"blue", lists as [1, 2], and true or false'
        ) from None
    except (RecursionError, ValueError) as error:
        raise EditError(f"this is no value: {error}") from None
    if value is None:
        raise EditError("null is no value; write a number, text or a list")
    return value


def parse_shape(text: str) -> list[int | None] | None:
    """A shape that was typed: ``?, 224, 224, 3``, in brackets or not; ``[]`` is that of a single value.

    Raises:
        EditError: It is none.
    """
    inner = text.strip()
    if inner == str(Shape(None)):
        return None
    bracketed = inner[:1] in ("[", "(") and inner[-1:] in ("]", ")")
    inner = inner[1:-1].strip() if bracketed else inner
    if not inner and not bracketed:
        raise EditError("give a shape: its sizes with ? for any, such as ?, 224, 224, 3, or [] for a single value")
    sizes: list[int | None] = []
    parts = [part.strip() for part in inner.split(",")] if inner else []
    if len(parts) > 1 and not parts[-1]:  # as Python ends a tuple of one
        parts.pop()
    for part in parts:
        if part.lower() in _ANY:
            sizes.append(None)
        elif part.isascii() and part.isdigit() and len(part) <= _MOST_DIGITS:
            sizes.append(int(part))
        else:
            raise EditError(f"{quoted(part)} is no size; write whole numbers and ? for any, such as ?, 224, 224, 3")
    return sizes


def parse_recipe(text: str) -> Any:
    """A recipe that was pasted, as data.

    Raises:
        RecipeError: It is no JSON.
    """
    if not text.strip():
        raise RecipeError('paste a recipe: {"recipe": 1, "edits": […]}, as it stands under Code')
    if len(text) > _LARGEST_RECIPE:
        raise RecipeError(f"the recipe has {len(text)} characters; at most {_LARGEST_RECIPE} are read")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RecipeError(
            f"the recipe is no JSON: {error.msg[:1].lower()}{error.msg[1:]} in line {error.lineno}, "
            f"column {error.colno}"
        ) from None
    except (RecursionError, ValueError) as error:
        raise RecipeError(f"the recipe is no JSON: {error}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not among the numbers of JSON, and a recipe couldn't hold it")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large a number")
    return number
