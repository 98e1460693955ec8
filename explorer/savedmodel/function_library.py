"""The functions of a graph's library: their signatures, and where their bodies stand.

Field numbers are those of ``function.proto`` in ``tensorflow/core/framework``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from explorer.savedmodel import records
from explorer.savedmodel.op_defs import OpDef, read_op_def
from explorer.savedmodel.overlay import Document, Source, apply_changes, removal
from explorer.savedmodel.wire import LENGTH, Field, payload, scan

# FunctionDefLibrary
FUNCTION: Final = 1
# FunctionDef
_SIGNATURE: Final = 1
_NODE_DEF: Final = 3
# NodeDef
_ATTR: Final = 5

_SCAN_WINDOW: Final = 1 << 17
LARGE_FUNCTION: Final = 1 << 20
"""From this many bytes on it is worth while to read no more of a function than is needed."""

_LARGE_ATTRIBUTE: Final = 1 << 16
_KEPT_SIGNATURE: Final = "signature of the function"


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

    def outline(self) -> bytes:
        """The serialized FunctionDef, of a large one without the attributes of 64 KiB and more: the weights in it."""
        body = Document(self.document.slice(self.field.value_start, self.field.end))
        if body.size < LARGE_FUNCTION:
            return body.to_bytes()
        large = [
            removal(attribute)
            for node in scan(body, window=_SCAN_WINDOW)
            if node.number == _NODE_DEF and node.end - node.start > _LARGE_ATTRIBUTE
            for attribute in scan(body, node)
            if attribute.number == _ATTR and attribute.end - attribute.value_start >= _LARGE_ATTRIBUTE
        ]
        return apply_changes(body, large).to_bytes()

    @property
    def source(self) -> Source | None:
        """The source that is this function and nothing else, as a large one that an edit wrote has; else None."""
        return _own_source(self.document, self.field)


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
            source = _own_source(document, field)
            signature = None if source is None else source.derived.get(_KEPT_SIGNATURE)
            if not isinstance(signature, OpDef):
                signature = read_op_def(b"".join(_signature_parts(document, field)))
            found[signature.name] = Function(signature, document, field)
    return found


def keep_signature(source: Source, signature: bytes) -> None:
    """Notes the signature of a function with the bytes that are that function, so that nobody looks for it."""
    source.derived[_KEPT_SIGNATURE] = read_op_def(signature)


def _own_source(document: Document, function: Field) -> Source | None:
    if function.end - function.value_start < LARGE_FUNCTION:
        return None
    pieces = list(document.slice(function.value_start, function.end))
    source = pieces[0].source
    return source if len(pieces) == 1 and pieces[0].length == source.size else None


def _signature_parts(document: Document, function: Field) -> list[bytes]:
    if function.end - function.start < LARGE_FUNCTION:
        fields = records.iter_fields(payload(document, function))
        return [bytes(part) for tag, _, part in fields if tag == _SIGNATURE << 3 | LENGTH]
    return [
        payload(document, part)
        for part in scan(document, function, _SCAN_WINDOW)
        if part.number == _SIGNATURE and part.wire_type == LENGTH
    ]
