"""One warm-up record: where its requests stand in the bytes, and how their keys are changed in place.

A record is a ``PredictionLog`` of TensorFlow Serving. Only the bytes of a key are exchanged, and the lengths around
them; tensors, fields that aren't known here and the order of all of them stay as they were written. For the messages
see :mod:`explorer.savedmodel.warmup`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from explorer.errors import FormatError
from explorer.savedmodel import wire
from explorer.savedmodel.constants import DT_INVALID
from explorer.savedmodel.overlay import Change, Document, apply_changes, insertion_at_end, removal, replacement
from explorer.savedmodel.reader import fields_of
from explorer.savedmodel.warmup import KINDS, Kind, WarmupRecord, requests_of
from explorer.savedmodel.wire import LENGTH, VARINT, Field

_REQUEST = 1  # of all logs
_TASKS = 1  # of a MultiInferenceRequest
_MODEL_SPEC = 1  # of all requests
_SIGNATURE_NAME = 3  # of a ModelSpec
_INPUTS, _OUTPUT_FILTER = 2, 3  # of a PredictRequest
_KEY, _VALUE = 1, 2  # of a map's entry
_DTYPE, _TENSOR_SHAPE = 1, 2  # of a TensorProto
_DIM, _UNKNOWN_RANK = 2, 3  # of a TensorShapeProto


@dataclass(frozen=True, slots=True)
class NewKeys:
    """What a request shall name from now on.

    Attributes:
        signature_key: Another signature, or None to leave the name as it is.
        input_key: Input key → the new one; None takes the input out of the request.
        output_key: The same for the outputs that are asked for.
    """

    signature_key: str | None
    input_key: Callable[[str], str | None]
    output_key: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class FilledInput:
    """An input that a request fills: its key, the number of its tensor's dtype, and its sizes, None if unknown."""

    key: str
    dtype_number: int
    dims: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class _Request:
    """Where a request stands; protobuf merges a message that comes in several parts. A record may hold none."""

    kind: Kind
    log: Field | None
    parts: tuple[Field, ...]

    @property
    def names_keys(self) -> bool:
        """Whether requests of this kind name inputs and outputs."""
        return self.kind in ("predict", "predict_streamed")


def with_new_keys(index: int, record: bytes, new_keys: Callable[[WarmupRecord], NewKeys | None]) -> bytes | None:
    """Writes other keys into the requests of a record.

    Args:
        index: The number of the record in its file.
        record: The ``PredictionLog``.
        new_keys: Request → what it shall name; None where it can't stay.

    Returns:
        The record, which is the same bytes where nothing changes; None where one of its requests can't stay.

    Raises:
        FormatError: It is no ``PredictionLog``.
    """
    document = Document.of_bytes(record)
    changes: list[Change] = []
    for request, place in zip(requests_of(index, record), _located(document), strict=True):
        wanted = new_keys(request)
        if wanted is None:
            return None
        if wanted.signature_key is not None and wanted.signature_key != request.signature_name:
            changes += _set_signature_name(document, place, wanted.signature_key)
        if place.names_keys:
            changes += _set_keys(document, place, wanted)
    return apply_changes(document, changes).to_bytes() if changes else record


def filled_inputs(record: bytes) -> tuple[tuple[FilledInput, ...], ...]:
    """The inputs that each request of a record fills, without their values; none for kinds that don't name inputs.

    Raises:
        FormatError: It is no ``PredictionLog``.
    """
    document = Document.of_bytes(record)
    return tuple(
        tuple(_filled(document, entry) for part in place.parts for entry in fields_of(document, part, _INPUTS))
        if place.names_keys
        else ()
        for place in _located(document)
    )


def _located(document: Document) -> Iterator[_Request]:
    """The places of the requests that ``requests_of`` reads, in its order."""
    kind: Kind = "empty"
    logs: list[Field] = []
    for log in fields_of(document, None, *KINDS):
        # A oneof: a log of another kind takes the place of those before it.
        logs = [*logs, log] if KINDS[log.number] == kind else [log]
        kind = KINDS[log.number]
    if not logs:
        yield _Request(kind, None, ())
        return
    requests = [request for log in logs for request in fields_of(document, log, _REQUEST)]
    if kind == "predict_streamed":
        yield from (_Request(kind, logs[-1], (request,)) for request in requests)
    elif kind == "multi_inference":
        tasks = [task for request in requests for task in fields_of(document, request, _TASKS)]
        yield from (_Request(kind, logs[-1], (task,)) for task in tasks)
    else:
        yield _Request(kind, logs[-1], tuple(requests))


def _set_signature_name(document: Document, request: _Request, key: str) -> list[Change]:
    specs = [spec for part in request.parts for spec in fields_of(document, part, _MODEL_SPEC)]
    names = [name for spec in specs for name in fields_of(document, spec, _SIGNATURE_NAME)]
    new = wire.encode_field(_SIGNATURE_NAME, key)
    if names:
        return [*map(removal, names[:-1]), replacement(names[-1], new)]
    if specs:
        return [insertion_at_end(specs[-1], new)]
    new = wire.encode_field(_MODEL_SPEC, new)
    if request.parts:
        first = request.parts[0]
        return [Change(first, first.value_start, first.value_start, new)]
    return [] if request.log is None else [insertion_at_end(request.log, wire.encode_field(_REQUEST, new))]


def _set_keys(document: Document, request: _Request, wanted: NewKeys) -> Iterator[Change]:
    for part in request.parts:
        for entry in fields_of(document, part, _INPUTS):
            keys = fields_of(document, entry, _KEY)
            old = wire.text(document, keys[-1]) if keys else ""
            new = wanted.input_key(old)
            if new is None:
                yield removal(entry)
            elif new != old:
                yield from map(removal, keys[:-1])
                encoded = wire.encode_field(_KEY, new)
                start, end = (keys[-1].start, keys[-1].end) if keys else (entry.value_start, entry.value_start)
                yield Change(entry, start, end, encoded)
        for name in fields_of(document, part, _OUTPUT_FILTER):
            old = wire.text(document, name)
            new = wanted.output_key(old)
            if new is None:
                yield removal(name)
            elif new != old:
                yield replacement(name, wire.encode_field(_OUTPUT_FILTER, new))


def _filled(document: Document, entry: Field) -> FilledInput:
    keys = fields_of(document, entry, _KEY)
    key = wire.text(document, keys[-1]) if keys else ""
    try:
        return FilledInput(key, *_dtype_and_dims(document, fields_of(document, entry, _VALUE)))
    except FormatError:  # no tensor, which is for Serving to say
        return FilledInput(key, DT_INVALID, None)


def _dtype_and_dims(document: Document, tensors: list[Field]) -> tuple[int, tuple[int, ...] | None]:
    dtype_number = DT_INVALID
    dims: list[int] = []
    has_rank = True
    for tensor in tensors:
        for part in wire.scan(document, tensor):
            if part.number == _DTYPE and part.wire_type == VARINT:
                dtype_number = wire.number(document, part)
            elif part.number == _TENSOR_SHAPE and part.wire_type == LENGTH:
                for inner in wire.scan(document, part):
                    if inner.number == _DIM and inner.wire_type == LENGTH:
                        dims.append(_size(document, inner))
                    elif inner.number == _UNKNOWN_RANK and inner.wire_type == VARINT:
                        has_rank = not wire.number(document, inner)
    return dtype_number, tuple(dims) if has_rank else None


def _size(document: Document, dim: Field) -> int:
    sizes = [part for part in wire.scan(document, dim) if (part.number, part.wire_type) == (1, VARINT)]
    return wire.signed(wire.number(document, sizes[-1])) if sizes else 0
