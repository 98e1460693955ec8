"""The functions of a graph's library: their signatures, and where their bodies stand.

Field numbers are those of ``function.proto`` in ``tensorflow/core/framework``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from explorer.savedmodel import records
from explorer.savedmodel.op_defs import OpDef, read_op_def
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.wire import LENGTH, Field, payload, scan

# FunctionDefLibrary
FUNCTION: Final = 1
# FunctionDef
_SIGNATURE: Final = 1 << 3 | LENGTH

_SCAN_WINDOW: Final = 1 << 17


class Function(NamedTuple):
    """A FunctionDef.

    Attributes:
        signature: Its name, arguments and results.
        document: Where its bytes are.
        field: Its place there.
    """

    signature: OpDef
    document: Document
    field: Field

    def to_bytes(self) -> bytes:
        """The serialized FunctionDef."""
        return payload(self.document, self.field)


def read_functions(document: Document, libraries: Iterable[Field]) -> dict[str, Function]:
    """Reads the signatures of the functions in some ``FunctionDefLibrary`` messages, by name.

    Raises:
        FormatError: A library is corrupt.
    """
    found: dict[str, Function] = {}
    for library in libraries:
        for field in scan(document, library, _SCAN_WINDOW):
            if field.number != FUNCTION or field.wire_type != LENGTH:
                continue
            function = payload(document, field)
            parts = [bytes(part) for tag, _, part in records.iter_fields(function) if tag == _SIGNATURE]
            signature = read_op_def(b"".join(parts))
            found[signature.name] = Function(signature, document, field)
    return found
