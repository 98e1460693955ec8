"""A tensor as it travels between this process and its child: a dtype, a shape and bytes, and a file of them.

Neither numpy's own files (which need pickle for texts and don't know ``bfloat16``) nor pickle: a line of JSON, then the
elements as TensorFlow holds them in memory.
"""

from __future__ import annotations

import json
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import FormatError, RunError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, Shape

if TYPE_CHECKING:
    import numpy as np

MOST_BYTES = 1 << 30
"""A file with more bytes than this is not read: what a model answers is not ours to bound."""

_LONGEST_HEADER = 1 << 26
_BFLOAT16 = 14

NUMPY_NAMES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 8: "<c8", 9: "<i8", 10: "?", 11: "i1", 12: "u1",
    13: "<i4", 15: "<i2", 16: "<u2", 17: "<u2", 18: "<c16", 19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
"""Number in ``types.proto`` → numpy's name of a dtype with the same bytes; of quantized numbers, their integers."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value.

    Attributes:
        dtype: The number of its dtype in ``types.proto``.
        shape: Its dimensions.
        data: Its elements, in row-major order and of this machine's byte order; empty for texts.
        texts: The elements of a tensor of texts.
    """

    dtype: int
    shape: tuple[int, ...]
    data: bytes = b""
    texts: tuple[bytes, ...] = ()

    @classmethod
    def from_array(cls, array: Any, dtype: int) -> Tensor:
        """A value that numpy holds.

        Args:
            array: An array, or what numpy makes one of; texts as ``bytes`` or ``str``.
            dtype: The number of its dtype in ``types.proto``.
        """
        import numpy as np

        if dtype == constants.DT_STRING:
            values = np.asarray(array, dtype=object)
            texts = tuple(item if isinstance(item, bytes) else str(item).encode() for item in values.ravel().tolist())
            return cls(dtype, values.shape, texts=texts)
        values = np.asarray(array)
        return cls(dtype, values.shape, np.ascontiguousarray(values).tobytes())

    def to_array(self) -> np.ndarray[Any, Any]:
        """The value as numpy holds it: texts as ``bytes``, ``bfloat16`` as the ``float32`` of the same value.

        Raises:
            RunError: numpy has no dtype for it.
        """
        import numpy as np

        if self.dtype == constants.DT_STRING:
            flat = np.empty(len(self.texts), dtype=object)
            flat[:] = self.texts
            return flat.reshape(self.shape)
        if self.dtype == _BFLOAT16:
            halves = np.frombuffer(self.data, dtype="<u2").astype("<u4") << 16
            return halves.view("<f4").reshape(self.shape)
        name = NUMPY_NAMES.get(self.dtype)
        if name is None:
            raise RunError(f"numbers of the dtype {DType(self.dtype)} can't be compared here")
        return np.frombuffer(self.data, dtype=name).reshape(self.shape)

    def write(self, path: Path) -> None:
        """Writes it into a new file."""
        header = {"dtype": self.dtype, "shape": list(self.shape), "lengths": [len(text) for text in self.texts]}
        with path.open("xb") as file:
            file.write(json.dumps(header).encode() + b"\n")
            file.write(b"".join(self.texts) if self.dtype == constants.DT_STRING else self.data)

    @classmethod
    def read(cls, path: Path) -> Tensor:
        """Reads a file that :meth:`write` wrote.

        Raises:
            FormatError: It isn't one: a child that ran a model may have written anything.
        """
        try:
            # A link or a pipe in the place of the file would have us read what isn't the child's, or wait for ever.
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(descriptor, "rb") as file:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
                    raise FormatError(f"{quoted(path.name)} is no file of at most {MOST_BYTES} bytes")
                header = json.loads(file.readline(_LONGEST_HEADER))
                dtype, shape, lengths = header["dtype"], tuple(header["shape"]), header["lengths"]
                if not all(isinstance(number, int) and number >= 0 for number in (dtype, *shape, *lengths)):
                    raise FormatError(f"the header of {quoted(path.name)} is corrupt")
                data = file.read()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise FormatError(f"an answer of the child process can't be read: {error}") from None
        if dtype != constants.DT_STRING:
            size = constants.DTYPE_SIZES.get(dtype)
            if size is not None and len(data) != size * math.prod(shape):
                raise FormatError(f"{quoted(path.name)} doesn't hold a tensor of the shape {Shape(shape)}")
            return cls(dtype, shape, data)
        if len(lengths) != math.prod(shape) or sum(lengths) != len(data):
            raise FormatError(f"{quoted(path.name)} doesn't hold {math.prod(shape)} texts")
        texts, start = [], 0
        for length in lengths:
            texts.append(data[start : start + length])
            start += length
        return cls(dtype, shape, texts=tuple(texts))
