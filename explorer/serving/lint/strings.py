"""Strings as people write them: quotes of any kind, escapes that JSON doesn't have, characters that it forbids."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

QUOTES: Final[dict[bytes, tuple[bytes, ...]]] = {
    b'"': (b'"',),
    b"'": (b"'",),
    b"`": (b"`",),
    "“".encode(): ("”".encode(), "“".encode()),
    "”".encode(): ("”".encode(),),
    "‘".encode(): ("’".encode(), "‘".encode()),
    "’".encode(): ("’".encode(),),
}
"""An opening quotation mark → what may close it."""

_PLAIN: Final = re.compile(rb'"([^"\\\x00-\x1f]*)"')
_ESCAPES: Final = {
    0x22: b'"', 0x5C: b"\\", 0x2F: b"/", 0x62: b"\b", 0x66: b"\f", 0x6E: b"\n", 0x72: b"\r", 0x74: b"\t",
}  # fmt: skip
_BEFORE_BRACKETS: Final = re.compile(rb"([\w+/=.\-]*)\s*[\]}][\]}\s]*")
"""A string without blanks before the end of the body and its closing brackets."""

_HEX: Final = re.compile(rb"[0-9a-fA-F]+")

Tell = Callable[[str, int, str, str, str], None]
"""Takes note of a slip: its code, the byte where it is, a sentence, what was corrected, why it can't be."""


class String(NamedTuple):
    """A string that was read.

    Attributes:
        value: Its bytes.
        end: The byte behind it.
    """

    value: bytes
    end: int


def opening_quote(body: bytes, at: int) -> bytes:
    """The quotation mark that stands at a place, empty if none does."""
    if body[at] in b"\"'`":
        return body[at : at + 1]
    found = body[at : at + 3]
    return found if found in QUOTES else b""


def read_string(body: bytes, at: int, tell: Tell, *, of_bytes: bool = False) -> String:
    r"""Reads a string.

    Args:
        body: The whole body.
        at: Where its quotation mark stands.
        tell: Is told what JSON doesn't allow.
        of_bytes: Whether ``\xff`` is a byte, as in a literal of Python's bytes, not a character.

    Returns:
        The string; one that isn't closed reaches to the end of the body.
    """
    plain = _PLAIN.match(body, at)
    if plain is not None:
        return String(plain[1], plain.end())
    quote = opening_quote(body, at)
    if quote != b'"':
        tell(
            "quotes",
            at,
            f"a string stands in {_QUOTE_WORDS.get(quote, 'typographic quotation marks')}; JSON knows only the "
            "quotation mark \", so write it with that",
            "quotation marks became \"",
            "",
        )  # fmt: skip
    closing = QUOTES[quote]
    stop = re.compile(rb"[\\\x00-\x1f]|" + b"|".join(re.escape(mark) for mark in closing))
    parts: list[bytes] = []
    position = at + len(quote)
    while True:
        found = stop.search(body, position)
        if found is None:
            whole = _BEFORE_BRACKETS.fullmatch(body, at + len(quote))
            tell(
                "missing_quote",
                at,
                "a string has no closing quotation mark, so that everything behind it became a part of it; close it",
                "the string was closed before the brackets" if whole else "",
                "" if whole else "a string isn't closed, and nobody can know where it should end",
            )
            if whole is not None:
                return String(whole[1], whole.end(1))
            return String(b"".join([*parts, body[position:]]), len(body))
        parts.append(body[position : found.start()])
        position = found.end()
        mark = found[0]
        if mark in closing:
            return String(b"".join(parts), position)
        if mark != b"\\":
            tell(
                "control_character",
                found.start(),
                f"a string holds the control character U+{mark[0]:04X} as it is; JSON wants it escaped, as "
                f"{_escaped(mark)}",
                f"U+{mark[0]:04X} became {_escaped(mark)}",
                "",
            )
            parts.append(mark)
            continue
        piece, position = _escape(body, position, tell, of_bytes)
        parts.append(piece)


def _escape(body: bytes, at: int, tell: Tell, of_bytes: bool) -> tuple[bytes, int]:
    """What an escape stands for, and the byte behind it; ``at`` is behind the backslash."""
    if at >= len(body):
        return b"\\", at
    letter = body[at]
    if letter in _ESCAPES:
        return _ESCAPES[letter], at + 1
    if letter == 0x75:  # u
        return _unicode_escape(body, at, tell)
    width = {0x78: 2, 0x55: 8}.get(letter, 0)  # x and U, as Python has them
    digits = body[at + 1 : at + 1 + width]
    code = int(digits, 16) if width and len(digits) == width and _HEX.fullmatch(digits) else None
    if letter == 0x27:  # '
        piece, end = b"'", at + 1
    elif code is not None and code < 0x110000 and not 0xD800 <= code < 0xE000:
        piece = bytes([code]) if of_bytes and width == 2 else chr(code).encode()
        end = at + 1 + width
    else:
        piece, end = b"\\", at
    written = body[at - 1 : max(end, at + 1)].decode("utf-8", "replace")
    tell(
        "bad_escape",
        at - 1,
        f"the escape {written} is none of JSON's (\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX); "
        + ("write the character itself" if piece != b"\\" else "write a backslash as \\\\"),
        f"{written} became what it stands for" if piece != b"\\" else "a backslash was doubled",
        "",
    )
    return piece, end


def _unicode_escape(body: bytes, at: int, tell: Tell) -> tuple[bytes, int]:
    code = _four_digits(body, at + 1)
    if code is None:
        tell(
            "bad_escape",
            at - 1,
            "\\u must be followed by four hexadecimal digits; write a backslash as \\\\",
            "a backslash was doubled",
            "",
        )
        return b"\\", at
    end = at + 5
    if 0xD800 <= code < 0xDC00:
        second = _four_digits(body, end + 2) if body[end : end + 2] == b"\\u" else None
        if second is None or not 0xDC00 <= second < 0xE000:
            tell(
                "lone_surrogate",
                at - 1,
                f"\\u{code:04x} is the first half of a character, and its second half is missing, so that the server "
                "reads no further; write the whole character, or send bytes as {\"b64\": …}",
                "",
                "half a character stands in a string, and nobody can know the other half",
            )  # fmt: skip
            return b"\xef\xbf\xbd", end
        code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00)
        end += 6
    # The second half of a pair that stands alone is accepted by the server, and becomes three bytes.
    return chr(code).encode("utf-8", "surrogatepass"), end


def _four_digits(body: bytes, at: int) -> int | None:
    digits = body[at : at + 4]
    return int(digits, 16) if len(digits) == 4 and _HEX.fullmatch(digits) else None


def _escaped(mark: bytes) -> str:
    return {b"\n": "\\n", b"\r": "\\r", b"\t": "\\t"}.get(mark, f"\\u{mark[0]:04x}")


_QUOTE_WORDS: Final = {b"'": "single quotation marks", b"`": "backticks"}
