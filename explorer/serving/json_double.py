"""Doubles as RapidJSON 1.1.0 writes them: the Grisu2 algorithm, whose last digit isn't always the nearest.

See ``internal/dtoa.h`` and ``internal/diyfp.h`` of https://github.com/Tencent/rapidjson (v1.1.0), and Florian Loitsch,
"Printing floating-point numbers quickly and accurately with integers" (2010), whose names are used here.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Final

_HIDDEN_BIT: Final = 1 << 52
_DENORMAL_EXPONENT: Final = -1074
_LOW_64: Final = (1 << 64) - 1
_FIRST_POWER, _POWER_STEP = -348, 8
_LONGEST_POINT: Final = 21
_SMALLEST_POINT: Final = -6
_TENS: Final = tuple(10**exponent for exponent in range(10))


def double_text(value: float) -> str:
    """A finite double as text."""
    if value == 0:
        return "-0.0" if struct.pack("<d", value)[-1] else "0.0"
    digits, exponent = _shortest(abs(value))
    return ("-" if value < 0 else "") + _written(digits, exponent)


def _written(digits: str, exponent: int) -> str:
    """Digits times a power of ten, as a decimal where that is short."""
    point = len(digits) + exponent
    if exponent >= 0 and point <= _LONGEST_POINT:
        return f"{digits}{'0' * exponent}.0"
    if 0 < point <= _LONGEST_POINT:
        return f"{digits[:point]}.{digits[point:]}"
    if _SMALLEST_POINT < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1}"


def _shortest(value: float) -> tuple[str, int]:
    """The digits of a positive double, and the power of ten of the last one."""
    bits = int.from_bytes(struct.pack(">d", value))
    significand, biased = bits & (_HIDDEN_BIT - 1), bits >> 52
    exponent = _DENORMAL_EXPONENT
    if biased:
        significand, exponent = significand | _HIDDEN_BIT, biased - 1075
    # The boundaries half-way to the neighbours; the lower one is nearer where the exponent changes.
    plus, plus_exponent = _normalized(significand * 2 + 1, exponent - 1)
    if significand == _HIDDEN_BIT:
        minus = (significand * 4 - 1) << (exponent - 2 - plus_exponent)
    else:
        minus = (significand * 2 - 1) << (exponent - 1 - plus_exponent)
    power, power_exponent, decimal = _cached_power(plus_exponent)
    upper = _product(plus, power) - 1
    lower = _product(minus, power) + 1
    middle = _product(_normalized(significand, exponent)[0], power)
    return _digits(middle, upper, upper - lower, -(plus_exponent + power_exponent + 64), decimal)


def _normalized(significand: int, exponent: int) -> tuple[int, int]:
    shift = 64 - significand.bit_length()
    return significand << shift, exponent - shift


def _product(one: int, other: int) -> int:
    """The upper 64 bits of a product, rounded."""
    return (one * other + (1 << 63)) >> 64


def _cached_power(exponent: int) -> tuple[int, int, int]:
    """A power of ten that brings a binary exponent near to zero: its significand and exponent, and its decimal one."""
    estimate = (-61 - exponent) * 0.30102999566398114 + 347
    index = int(estimate)
    index = ((index + (estimate > index)) >> 3) + 1
    decimal = _FIRST_POWER + index * _POWER_STEP
    return *_power(decimal), -decimal


@cache
def _power(decimal: int) -> tuple[int, int]:
    """A power of ten as 64 bits and an exponent, rounded to the nearest."""
    if decimal >= 0:
        whole = 10**decimal
        shift = whole.bit_length() - 64
        significand = (whole + (1 << shift >> 1)) >> shift if shift > 0 else whole << -shift
        return significand, shift
    divisor = 10**-decimal
    shift = divisor.bit_length() + 63
    significand = ((1 << shift + 1) // divisor + 1) >> 1
    if significand >> 64 or not significand >> 63:
        shift += 1 if not significand >> 63 else -1
        significand = ((1 << shift + 1) // divisor + 1) >> 1
    return significand, -shift


def _digits(middle: int, upper: int, delta: int, fraction_bits: int, decimal: int) -> tuple[str, int]:
    one = 1 << fraction_bits
    distance = upper - middle
    whole, rest = upper >> fraction_bits, upper & (one - 1)
    digits: list[int] = []
    for left in range(len(str(whole)) - 1, -1, -1):
        digit, whole = divmod(whole, _TENS[left])
        if digit or digits:
            digits.append(digit)
        remainder = (whole << fraction_bits) + rest
        if remainder <= delta:
            _round(digits, delta, remainder, _TENS[left] << fraction_bits, distance)
            return _joined(digits), decimal + left
    left = 0
    while True:
        rest *= 10
        delta *= 10
        digit, rest = rest >> fraction_bits, rest & (one - 1)
        if digit or digits:
            digits.append(digit)
        left += 1
        if rest < delta:
            # From the ninth digit on its table has ended, and the last digit stays as it is.
            scaled = distance * _TENS[left] & _LOW_64 if left < 9 else 0
            _round(digits, delta, rest, one, scaled)
            return _joined(digits), decimal - left


def _round(digits: list[int], delta: int, rest: int, unit: int, distance: int) -> None:
    """Lowers the last digit while that brings the digits nearer to the number."""
    while (
        rest < distance
        and delta - rest >= unit
        and (rest + unit < distance or distance - rest > rest + unit - distance)
    ):
        digits[-1] -= 1
        rest += unit


def _joined(digits: list[int]) -> str:
    return "".join(map(str, digits))
