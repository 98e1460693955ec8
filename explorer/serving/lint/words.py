"""Numbers and bare words as people write them: what Python, numpy, JavaScript and C print in place of JSON's words."""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from explorer.errors import printable_name
from explorer.serving.lint.tree import Kind

NUMBER: Final = re.compile(rb"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
TOKEN: Final = re.compile(rb"[A-Za-z0-9_.+$%\-\x80-\xff]+")

SERVER_WORDS: Final = frozenset({"NaN", "-NaN", "Inf", "-Inf", "Infinity", "-Infinity"})
"""What the server reads as a number besides JSON's numbers (``kParseNanAndInfFlag`` of RapidJSON)."""

_WITH_DIGITS: Final = re.compile(r"(-?)(NaN|Inf(?:inity)?)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
"""What the server takes besides, because its parser looks for a fraction behind such a word too."""

_JSON_WORDS: Final[dict[str, Kind]] = {"true": "bool", "false": "bool", "null": "null"}
_OTHER_WORDS: Final = {"true": "true", "false": "false", "none": "null", "null": "null", "nil": "null",
                       "undefined": "null", "na": "NaN", "<na>": "NaN"}  # fmt: skip
_NOT_FINITE: Final = re.compile(r"([+-]?)(?:(nan)|inf(?:inity)?)", re.IGNORECASE)
_LOOSE_NUMBER: Final = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<hex>0[xX][0-9a-fA-F]+)|(?P<whole>[0-9_]*)(?:(?P<dot>\.)(?P<part>[0-9_]*))?"
    r"(?P<exp>[eE][+-]?[0-9]+)?[fFlLdDjn]?)"
)


class Word(NamedTuple):
    """What a number or a bare word stands for.

    Attributes:
        kind: What it is; None where it is nothing that JSON has a value for.
        raw: How the server wants it written.
        code: The name of the slip, empty where there is none.
        message: The sentence about it.
        stop: Why nobody can correct it.
    """

    kind: Kind | None
    raw: str
    code: str = ""
    message: str = ""
    stop: str = ""


def number_kind(raw: str) -> Kind:
    """Whether a number is a whole one, as the server tells them: by a point or an exponent."""
    return "real" if any(letter in raw for letter in ".eEnN") else "integer"


def read_word(token: str) -> Word:
    """Says what a token outside of quotation marks stands for.

    Args:
        token: Letters, digits and ``_.+-$%`` in a row.
    """
    if token in _JSON_WORDS:
        return Word(_JSON_WORDS[token], token)
    if token in SERVER_WORDS:
        return Word("real", token)
    if NUMBER.fullmatch(token.encode("utf-8", "surrogateescape")):
        return _number(token)
    quirk = _WITH_DIGITS.fullmatch(token)
    if quirk is not None:
        return Word("real", quirk[1] + quirk[2])
    if token.strip(".") == "" or token.endswith(("...", "…")):
        return Word(
            None,
            "",
            "ellipsis",
            f"{printable_name(token, 40)} stands where values were left out when they were printed; send all of them",
            "values were left out, and nobody can know them",
        )
    last = token.rsplit(".", 1)[-1] if token[:1].isalpha() else token
    if last.lower() in _OTHER_WORDS:
        raw = _OTHER_WORDS[last.lower()]
        kind: Kind = "real" if raw == "NaN" else _JSON_WORDS[raw]
        return _spelt(kind, raw, token)
    special = _NOT_FINITE.fullmatch(last)
    if special is not None:
        negative = special[1] == "-"
        raw = "NaN" if special[2] else "-Infinity" if negative else "Infinity"
        return _spelt("real", raw, token)
    return _loose_number(token) or Word(None, "")


def _number(raw: str) -> Word:
    kind = number_kind(raw)
    if (len(raw) > 300 or kind == "real") and math.isinf(float(raw)):
        return Word(
            kind,
            raw,
            "number_too_big",
            f"{printable_name(raw, 40)} is larger than a float64 can be, and the server's JSON parser refuses it; "
            "write Infinity if that is meant",
            f"{printable_name(raw, 40)} is too big for any number",
        )
    return Word(kind, raw)


def _spelt(kind: Kind, raw: str, token: str) -> Word:
    said = printable_name(token, 40)
    return Word(kind, raw, "spelling", f"{said} is not how the server's JSON parser spells it; write {raw}")


def _loose_number(token: str) -> Word | None:
    found = _LOOSE_NUMBER.fullmatch(token)
    if len(token) > 300 or found is None or not any(letter.isdigit() for letter in token):
        return None
    if not (found["hex"] or found["whole"] or found["part"]):
        return None
    if found["hex"]:
        raw = found["sign"].strip("+") + str(int(found["hex"], 16))
    else:
        whole = (found["whole"] or "").replace("_", "").lstrip("0") or "0"
        part = (found["part"] or "").replace("_", "")
        raw = found["sign"].strip("+") + whole + (f".{part or '0'}" if found["dot"] else "") + (found["exp"] or "")
    if not NUMBER.fullmatch(raw.encode()) or len(raw) > 400:
        return None
    if _number(raw).stop:
        return _number(raw)
    said = printable_name(token, 40)
    return Word(number_kind(raw), raw, "number_spelling", f"JSON doesn't write a number as {said}; write {raw}")
