"""Pixels as a PNG file, written without Pillow or TensorFlow (https://www.w3.org/TR/png-3/)."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
"""Number of channels → the format's number for grey, colour, and colour with opacity."""


def png_of(pixels: np.ndarray[Any, Any]) -> bytes:
    """A PNG file.

    Args:
        pixels: uint8[height, width, channels] with 1, 3 (red first) or 4 channels.
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    lines = b"".join(b"\x00" + line.tobytes() for line in pixels)  # 0: a line as it is, no filter
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, 6)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
