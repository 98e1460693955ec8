"""``key=tensor`` as a person writes it, on the command line and in a field."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from explorer.errors import ConversionError, quoted


def parse_pairs(words: str | Iterable[str], what: str = "a pair", *, bare: bool = True) -> dict[str, str]:
    """Reads pairs ``key=value``.

    Args:
        words: The pairs, or one text with blanks between them; what has blanks itself stands in quotation marks.
        what: What they are, for the sentence.
        bare: Whether a tensor name alone is allowed too; its last part becomes the key.

    Raises:
        ConversionError: One is written otherwise, or a key stands twice.
    """
    pairs: dict[str, str] = {}
    for text in _words(words):
        key, equals, value = text.partition("=")
        if not equals and bare:
            key, value = key.rpartition("/")[2].partition(":")[0], text
        if not (key and value):
            raise ConversionError(f"{what} is written KEY=VALUE, such as x=input:0, not {quoted(text)}")
        if key in pairs:
            raise ConversionError(f"the key {quoted(key)} stands twice")
        pairs[key] = value
    return pairs


def _words(words: str | Iterable[str]) -> Iterable[str]:
    if not isinstance(words, str):
        return words
    try:
        return shlex.split(words)
    except ValueError:
        raise ConversionError(f"a quotation mark is left open in {quoted(words)}") from None


def parse_values(words: str | Iterable[str]) -> dict[str, Any]:
    """Reads pairs whose values are JSON (``1.0``, ``false``, ``[1, 2]``); what is no JSON is a text.

    Raises:
        ConversionError: One is no pair.
    """
    pairs = parse_pairs(words, "a constant", bare=False)
    return {key: _value(text) for key, text in pairs.items()}


def printed_pairs(pairs: Mapping[str, Any]) -> str:
    """The text that :func:`parse_pairs`, or for other values than text :func:`parse_values`, reads back."""
    return shlex.join(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in pairs.items())


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"True": True, "False": False}.get(text, text)
