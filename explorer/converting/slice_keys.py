"""The key under which a checkpoint holds a slice of a tensor, in both of its formats.

Written by ``EncodeTensorNameSlice`` of ``tensorflow/core/util/saved_tensor_slice_util.cc`` in ``OrderedCode``
(``tensorflow/core/lib/strings/ordered_code.cc``), in which keys sort as what they stand for does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

Extent = tuple[int, int | None]
"""Where a slice begins in one dimension and how far it reaches; None is all of it."""

_ESCAPED = re.compile(rb"[\x00\xff]")
_END: Final = b"\0\1"
_BITS_PER_BYTE: Final = 7  # the eighth says that the number has one more byte


def slice_key(name: bytes, extents: Iterable[Extent]) -> bytes:
    """The key of a slice.

    Args:
        name: The name of the whole tensor.
        extents: Start and length in each dimension.
    """
    every = tuple(extents)
    escaped = _ESCAPED.sub(lambda found: b"\0\xff" if found[0] == b"\0" else b"\xff\0", name)
    numbers = b"".join(
        _signed_number(start) + _signed_number(-1 if length is None else length) for start, length in every
    )
    return _number(0) + escaped + _END + _number(len(every)) + numbers


def _number(value: int) -> bytes:
    """A number that isn't negative: how many bytes it has, and these."""
    width = (value.bit_length() + 7) // 8
    return bytes([width]) + value.to_bytes(width, "big")


def _signed_number(value: int) -> bytes:
    """A number in two's complement whose first bits, the sign turned over, say how many bytes it has."""
    magnitude = ~value if value < 0 else value
    width = magnitude.bit_length() // _BITS_PER_BYTE + 1
    bits = 8 * width
    head = ((1 << width) - 1) << bits - width
    return (value & (1 << bits) - 1 ^ head).to_bytes(width, "big")
