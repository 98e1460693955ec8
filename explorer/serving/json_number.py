"""Numbers of JSON as RapidJSON 1.1.0 reads them, to the bit.

It doesn't round correctly: it gathers digits in an integer of 64 bits and, from there on, in a double, and scales once
by a power of ten. See ``ParseNumber`` in ``reader.h`` and ``StrtodNormalPrecision`` in ``internal/strtod.h`` of
https://github.com/Tencent/rapidjson (v1.1.0).
"""

from __future__ import annotations

import re
from typing import Final

from explorer.serving.json_values import parse_error

NUMBER: Final = rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"
"""A number as JSON has it, as a regular expression."""

_PARTS: Final = re.compile(rb"(-?)(0|[1-9][0-9]*+)(?:\.([0-9]++))?(?:[eE]([+-]?)([0-9]++))?")
_NOT_FINITE: Final = re.compile(rb"-?+([NI])")
_DIGITS: Final = re.compile(rb"[0-9]*+")

_POWERS: Final = tuple(float(f"1e{exponent}") for exponent in range(309))
_MOST_EXPONENT = 308
_MOST_UINT64 = (1 << 64) - 1
_MOST_NEGATIVE = 1 << 63
_MOST_WHOLE = (1 << 53) - 1
"""Digits are gathered in an integer until it is larger than this."""

_MOST_GATHERED = _MOST_WHOLE * 10 + 9

_SIGNIFICANT_DIGITS = 17
_TOO_BIG_TO_SCALE = 1.7976931348623157e307
_LARGEST_EXPONENT_DIGITS = 9
_SHORT_INTEGER = 18
_USUAL_TOKEN = 64

_BAD_VALUE = "Invalid value."
_TOO_BIG = "Number too big to be stored in double."


class NumberTooBigError(ValueError):
    """A number that a double doesn't hold; where it stands is for the caller to say."""


def number(token: bytes) -> int | float:
    """The value of a whole token, which may have white space around it.

    Args:
        token: What :data:`NUMBER` matches.

    Raises:
        NumberTooBigError: A double doesn't hold it.
    """
    if len(token) <= _USUAL_TOKEN and b"e" not in token and b"E" not in token:
        whole, _, fraction = token.partition(b".")
        digits = int(token) if not fraction else int(whole + fraction)
        if not fraction:
            if -_MOST_NEGATIVE <= digits <= _MOST_UINT64:
                return digits
        elif digits and -_MOST_GATHERED <= digits <= _MOST_GATHERED:
            # Every digit is gathered in the integer.
            places = len(fraction if fraction[-1] > 0x20 else fraction.rstrip())
            return float(digits) / _POWERS[places]
    parts = _PARTS.match(token.strip())
    assert parts is not None
    minus, whole, fraction, exponent_sign, exponent = parts.groups()
    return _value(bool(minus), whole, fraction or b"", exponent_sign or b"", exponent or b"")


def numbers(tokens: list[bytes]) -> list[int | float]:
    """The values of many tokens, see :func:`number`."""
    try:
        if max(map(len, tokens), default=0) <= _SHORT_INTEGER:
            return list(map(int, tokens))
    except ValueError:
        pass
    return list(map(number, tokens))


def read_number(body: bytes, start: int) -> tuple[int | float, int]:
    """Reads what must be a number.

    Args:
        body: A body that ends with a zero byte.
        start: Where the token begins.

    Returns:
        The value, and where the token ends.

    Raises:
        RequestError: It is none.
    """
    minus = body[start] == 0x2D
    position = start + minus
    begun: float | None = None
    if 0x30 <= body[position] <= 0x39:
        end = position + 1 if body[position] == 0x30 else _end_of_digits(body, position)
        whole = body[position:end]
    elif _NOT_FINITE.match(body, start):
        begun, end = _not_finite(body, position, minus)
        whole = b"0"  # what a fraction or an exponent behind it starts from
    else:
        raise parse_error(_BAD_VALUE, position)
    fraction = exponent_sign = exponent = b""
    if body[end] == 0x2E:
        begin, end = end + 1, _end_of_digits(body, end + 1)
        fraction = body[begin:end]
        if not fraction:
            raise parse_error("Miss fraction part in number.", begin)
    if body[end] in b"eE":
        begin = end + 2 if body[end + 1] in b"+-" else end + 1
        exponent_sign, end = body[end + 1 : begin], _end_of_digits(body, begin)
        exponent = body[begin:end]
        if not exponent:
            raise parse_error("Miss exponent in number.", begin)
    if begun is not None and not fraction and not exponent:
        return begun, end
    try:
        return _value(minus, whole, fraction, exponent_sign, exponent), end
    except NumberTooBigError:
        raise parse_error(_TOO_BIG, start) from None


def _end_of_digits(body: bytes, start: int) -> int:
    found = _DIGITS.match(body, start)
    return found.end() if found else start


def _not_finite(body: bytes, position: int, minus: bool) -> tuple[float, int]:
    """``NaN``, ``Inf`` or ``Infinity``; what fits of one stays taken when the other is tried, so ``NaInf`` is one."""
    taken = _taken(body, position, b"NaN")
    if taken == 3:  # all of it; a sign is lost
        return float("nan"), position + taken
    position += taken
    taken = _taken(body, position, b"Inf")
    position += taken
    if taken < 3:
        raise parse_error(_BAD_VALUE, position)
    if body[position] == 0x69:
        taken = _taken(body, position, b"inity")
        position += taken
        if taken < 5:
            raise parse_error(_BAD_VALUE, position)
    return float("-inf") if minus else float("inf"), position


def _taken(body: bytes, position: int, word: bytes) -> int:
    """How many bytes of a word stand at a place."""
    count = 0
    while count < len(word) and body[position + count] == word[count]:
        count += 1
    return count


def _value(minus: bool, whole: bytes, fraction: bytes, exponent_sign: bytes, exponent: bytes) -> int | float:
    most = _MOST_NEGATIVE if minus else _MOST_UINT64
    kept = whole[:20]
    while int(kept) > most:  # at most twice
        kept = kept[:-1]
    is_whole = len(kept) == len(whole)
    if is_whole and not fraction and not exponent:
        return -int(whole) if minus else int(whole)
    digits = len(kept) - 1 if kept != b"0" else 0
    scale = 0
    if not is_whole:
        value = float(int(kept))
        for digit in whole[len(kept) :]:
            if value >= _TOO_BIG_TO_SCALE:
                raise NumberTooBigError
            value = value * 10 + (digit - 0x30)
        # The fraction is passed over: there are 17 digits already.
    else:
        value, scale = _with_fraction(int(kept), fraction, digits)
    scale += _exponent(exponent_sign == b"-", exponent, scale)
    value = _scaled(value, scale)
    return -value if minus else value


def _with_fraction(whole: int, fraction: bytes, digits: int) -> tuple[float, int]:
    """The digits as one number, and its power of ten; ``digits`` of them count as significant already."""
    if not fraction:
        return float(whole), 0
    significant = fraction if whole else fraction.lstrip(b"0")
    taken = len(fraction) - len(significant)
    digits_before = len(str(whole)) if whole else 0
    # In an integer until 2**53 is passed, which 16 or 17 digits do.
    gathered = whole
    if whole <= _MOST_WHOLE:
        count = max(0, 16 - digits_before)
        gathered = int(str(whole).encode() + significant[:count])
        if gathered <= _MOST_WHOLE and len(significant) > count:
            count += 1
            gathered = int(str(whole).encode() + significant[:count])
        count = min(count, len(significant))
        taken += count
        digits += count
        significant = significant[count:]
    value = float(gathered)
    for digit in significant[: max(0, _SIGNIFICANT_DIGITS - digits)]:
        value = value * 10.0 + (digit - 0x30)
        taken += 1
    return value, -taken


def _exponent(minus: bool, exponent: bytes, scale: int) -> int:
    """An exponent as a number; ``scale`` is the power of ten that the fraction gave."""
    if not exponent:
        return 0
    digits = exponent.lstrip(b"0")
    if minus:
        return -int(digits[:_LARGEST_EXPONENT_DIGITS] or b"0")  # more digits make it 0 no less
    most = _MOST_EXPONENT - scale
    if len(exponent) > 1 and (len(digits) > len(str(most)) or int(digits or b"0") > most):
        raise NumberTooBigError
    return int(digits or b"0")


def _scaled(value: float, exponent: int) -> float:
    if exponent >= -_MOST_EXPONENT:
        return value * _POWERS[exponent] if exponent >= 0 else value / _POWERS[-exponent]
    value /= _POWERS[_MOST_EXPONENT]
    rest = exponent + _MOST_EXPONENT
    return value / _POWERS[-rest] if rest >= -_MOST_EXPONENT else 0.0
