"""The CRC-32C checksum of large data, which every tensor of a checkpoint carries.

:func:`explorer.savedmodel.records.masked_crc32c` looks at one byte after the other, which is right for records of some
kilobytes. Here many parts of the data are worked on side by side, and their remainders are joined as polynomials are:
what follows a part shifts its remainder by a power of two, and a shift is a linear map on 32 bits
(https://en.wikipedia.org/wiki/Cyclic_redundancy_check).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli's, bits reversed (RFC 3720, appendix B.4)
_ALL: Final = 0xFFFFFFFF
_LANE_BYTES: Final = 64
_MOST_LANES: Final = 4096


def extend_crc32c(data: bytes | memoryview, checksum: int = 0) -> int:
    """The checksum of some bytes, or of more bytes behind those that ``checksum`` is of.

    Args:
        data: The bytes that follow.
        checksum: The checksum of what stands before, not masked; 0 for nothing.
    """
    import numpy as np

    register = checksum ^ _ALL
    values = np.frombuffer(data, np.uint8)
    position = 0
    while (lanes := min((len(values) - position) // _LANE_BYTES, _MOST_LANES)) > 1:
        lanes = 1 << lanes.bit_length() - 1
        end = position + lanes * _LANE_BYTES
        words = values[position:end].view("<u4").reshape(lanes, _LANE_BYTES // 4)
        register = _lanes(words, register)
        position = end
    table = _small_table()
    for byte in values[position:].tobytes():
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ _ALL


def masked(checksum: int) -> int:
    """A checksum as files store it: rotated and shifted, see :func:`explorer.savedmodel.records.masked_crc32c`."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & _ALL


class _Shift(NamedTuple):
    """What a number of zero bytes makes of a remainder: its lower and its upper half, looked up and added."""

    lower: NDArray[np.uint32]
    upper: NDArray[np.uint32]

    def apply(self, remainders: NDArray[np.uint32]) -> NDArray[np.uint32]:
        shifted: NDArray[np.uint32] = self.lower[remainders & 0xFFFF] ^ self.upper[remainders >> 16]
        return shifted


def _lanes(words: NDArray[np.uint32], register: int) -> int:
    """The register after lanes of words, of which there is a power of two; the register goes into the first lane."""
    import numpy as np

    columns = np.ascontiguousarray(words.T).astype(np.uint32, copy=False)
    remainders = np.zeros(columns.shape[1], np.uint32)
    remainders[0] = register
    word = _shift(4)
    for column in columns:
        remainders = word.apply(remainders ^ column)
    width = _LANE_BYTES
    while len(remainders) > 1:
        remainders = _shift(width).apply(remainders[::2]) ^ remainders[1::2]
        width *= 2
    return int(remainders[0])


@cache
def _shift(width: int) -> _Shift:
    """The map of ``width`` zero bytes, a power of two."""
    import numpy as np

    if width == 1:
        table = _small_table()
        basis = np.array([table[bit & 0xFF] ^ bit >> 8 for bit in (1 << place for place in range(32))], np.uint32)
    else:
        half = _shift(width // 2)
        basis = half.apply(half.apply(np.uint32(1) << np.arange(32, dtype=np.uint32)))
    return _Shift(_sums(basis[:16]), _sums(basis[16:]))


def _sums(basis: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """For each set of the basis, given as the bits of a number, the sum of its vectors."""
    import numpy as np

    sums = np.zeros(1, np.uint32)
    for vector in basis:
        sums = np.concatenate([sums, sums ^ vector])
    return sums


@cache
def _small_table() -> tuple[int, ...]:
    """What eight shifts make of each byte."""
    table = []
    for byte in range(256):
        remainder = byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (_POLYNOMIAL if remainder & 1 else 0)
        table.append(remainder)
    return tuple(table)
