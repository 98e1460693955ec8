"""The requests with which TensorFlow Serving warms a model up, and whether they fit its signatures.

``assets.extra/tf_serving_warmup_requests`` is a TFRecord file of ``tensorflow.serving.PredictionLog`` messages
(https://www.tensorflow.org/tfx/serving/saved_model_warmup). A version whose records name what it doesn't have is not
served. The messages are described in ``prediction_log.proto``, ``predict.proto``, ``classification.proto``,
``regression.proto``, ``inference.proto``, ``session_service.proto`` and ``model.proto`` of
https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis; only names are read from them, no tensors.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from explorer.errors import FormatError, listed, quoted
from explorer.savedmodel.constants import DEFAULT_SIGNATURE_KEY, WARMUP_FILE
from explorer.savedmodel.records import is_lfs_pointer, iter_fields, masked_crc32c, read_whole, utf8_text
from explorer.savedmodel.wire import LENGTH

LARGEST_WARMUP_BYTES: Final = 256 << 20
"""A larger file is refused; its checksums alone would take a minute."""

MOST_RECORDS: Final = 1000
"""TensorFlow Serving refuses a version with more (``kMaxNumRecords`` in its ``saved_model_warmup_util.h``)."""

Kind = Literal["predict", "predict_streamed", "classify", "regress", "multi_inference", "session_run", "empty"]

KINDS: Final[dict[int, Kind]] = {
    2: "classify",
    3: "regress",
    4: "multi_inference",
    5: "session_run",
    6: "predict",
    7: "predict_streamed",
}
"""Field number in ``PredictionLog`` → what was logged."""

_FIRST = 1 << 3 | LENGTH
_SECOND = 2 << 3 | LENGTH
_THIRD = 3 << 3 | LENGTH
FRAME_HEAD_BYTES, CHECKSUM_BYTES = 12, 4  # what stands before a record in the file, and behind it
_EXAMPLES_INPUT = "inputs"  # the one input key that requests with tf.Examples know
_EXAMPLES_OUTPUTS: Final = {"classify": ("classes", "scores"), "regress": ("outputs",), "multi_inference": ()}


@dataclass(frozen=True)
class WarmupRecord:
    """One request of the warm-up file; a record of several requests (multi-inference, streamed) gives several.

    Attributes:
        index: The number of the record in the file, from 0.
        kind: Which of Serving's methods it calls; ``"empty"`` calls none.
        signature_name: The signature as the request names it; empty means ``serving_default``.
        input_keys: The inputs that it fills, sorted; None where requests of this kind don't name inputs.
        output_filter: The outputs that it asks for; empty means all.
        model_name: The model that it names, which Serving doesn't compare.
    """

    index: int
    kind: Kind
    signature_name: str = ""
    input_keys: tuple[str, ...] | None = None
    output_filter: tuple[str, ...] = ()
    model_name: str = ""

    @property
    def signature_key(self) -> str:
        """The key of the signature that the request reaches."""
        return self.signature_name or DEFAULT_SIGNATURE_KEY


@dataclass(frozen=True)
class FramedRecord:
    """A record of the file.

    Attributes:
        offset: Where its frame begins in the file.
        data: The ``PredictionLog``.
        requests: The requests in it.
    """

    offset: int
    data: memoryview
    requests: tuple[WarmupRecord, ...]


def read_warmup(folder: str | os.PathLike[str]) -> tuple[WarmupRecord, ...]:
    """Reads the warm-up requests of a SavedModel.

    Args:
        folder: The folder of the SavedModel, the one that holds ``assets.extra/``.

    Returns:
        The requests in file order; none where there is no such file.

    Raises:
        FormatError: The file is damaged, no TFRecord file, has more than ``MOST_RECORDS`` records or more than
            ``LARGEST_WARMUP_BYTES`` bytes; TensorFlow Serving would not serve the version.
        SourceError: The file cannot be read.
    """
    path = os.path.join(os.fspath(folder), *WARMUP_FILE.split("/"))
    data = read_whole(path, LARGEST_WARMUP_BYTES, "a file of warm-up requests")
    return () if data is None else tuple(request for record in read_records(data, path) for request in record.requests)


def read_records(data: bytes, path: str) -> tuple[FramedRecord, ...]:
    """Takes a file of warm-up requests apart.

    Args:
        data: The whole file.
        path: What it is called in the sentences.

    Returns:
        The records in file order.

    Raises:
        FormatError: As of :func:`read_warmup`.
    """
    records: list[FramedRecord] = []
    for index, (offset, record) in enumerate(iter_framed(data, path)):
        if index == MOST_RECORDS:
            raise FormatError(
                f"{quoted(path)} has more than {MOST_RECORDS} records, and TensorFlow Serving refuses so many", offset
            )
        try:
            records.append(FramedRecord(offset, record, requests_of(index, record)))
        except FormatError as error:
            raise FormatError(f"record {index} of {quoted(path)} is no PredictionLog: {error}") from None
    return tuple(records)


def framed_record(record: bytes) -> bytes:
    """A record as it stands in a TFRecord file: its length and itself, each with its checksum.

    See https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
    """
    length = struct.pack("<Q", len(record))
    head = length + struct.pack("<I", masked_crc32c(length))
    return head + record + struct.pack("<I", masked_crc32c(record))


def contradictions(
    records: Collection[WarmupRecord],
    signatures: Mapping[str, tuple[Collection[str], Collection[str]]],
    defaults: Mapping[str, Collection[str]] | None = None,
) -> tuple[str, ...]:
    """Says which warm-up requests name what a model doesn't have.

    Args:
        records: What ``read_warmup`` read.
        signatures: Signature key → its input keys and its output keys.
        defaults: Signature key → those of its input keys that have a default value and may be left out.

    Returns:
        A sentence for each contradiction, in the order of the records; none if all requests fit. Session runs are
        passed over: they name tensors of the graph, and TensorFlow Serving doesn't warm up with them.
    """
    return tuple(
        f"record {record.index} of the warm-up requests ({record.kind}) {fault}"
        for record in records
        if record.kind not in ("session_run", "empty")
        for fault in _faults(record, signatures, defaults or {})
    )


def _faults(
    record: WarmupRecord,
    signatures: Mapping[str, tuple[Collection[str], Collection[str]]],
    defaults: Mapping[str, Collection[str]],
) -> Iterator[str]:
    key = record.signature_key
    named = quoted(key) + ("" if record.signature_name else " (it names none)")
    if key not in signatures:
        yield f"calls the signature {named}, which the model doesn't have; available: {listed(sorted(signatures))}"
        return
    inputs, outputs = signatures[key]
    if record.kind in _EXAMPLES_OUTPUTS:
        if _EXAMPLES_INPUT not in inputs:
            yield (
                f"needs the input {quoted(_EXAMPLES_INPUT)} of the signature {named}, which doesn't have it; "
                f"available: {listed(sorted(inputs))}"
            )
        wanted = _EXAMPLES_OUTPUTS[record.kind]
        if wanted and not any(name in outputs for name in wanted):
            yield (
                f"needs the output {' or '.join(map(quoted, wanted))} of the signature {named}, which doesn't have "
                f"it; available: {listed(sorted(outputs))}"
            )
    given = record.input_keys
    if given is not None:
        surplus = [name for name in given if name not in inputs]
        lacking = sorted(set(inputs) - set(given) - set(defaults.get(key, ())))
        if surplus:
            yield (
                f"fills {listed(surplus)}, which {_is(surplus)} no input of the signature {named}; "
                f"available: {listed(sorted(inputs))}"
            )
        if lacking:
            yield f"leaves out {listed(lacking)}, which the signature {named} needs; it fills: {listed(given)}"
    unknown = [name for name in record.output_filter if name not in outputs]
    if unknown:
        yield (
            f"asks for {listed(unknown)}, which {_is(unknown)} no output of the signature {named}; "
            f"available: {listed(sorted(outputs))}"
        )


def _is(names: Collection[str]) -> str:
    return "is" if len(names) == 1 else "are"


def iter_framed(whole: bytes, path: str) -> Iterator[tuple[int, memoryview]]:
    """The records of a TFRecord file with their offsets, whatever is in them; damage is met when it is come to.

    A record is its length, the length's checksum, the bytes, their checksum, see
    https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.

    Args:
        whole: The whole file.
        path: What it is called in the sentences.

    Raises:
        FormatError: The file is damaged, or no TFRecord file.
    """
    if is_lfs_pointer(whole):
        raise FormatError(f"{quoted(path)} is a Git LFS pointer, not the file itself; fetch it with git lfs pull")
    if whole.startswith(b"\x1f\x8b"):
        raise FormatError(f"{quoted(path)} is compressed with gzip, and TensorFlow Serving reads it only uncompressed")
    data = memoryview(whole)
    position = 0
    while position < len(data):
        head = data[position : position + FRAME_HEAD_BYTES]
        if len(head) < FRAME_HEAD_BYTES:
            raise FormatError(f"{quoted(path)} is cut off inside the head of a record", position)
        if masked_crc32c(head[:8]) != int.from_bytes(head[8:], "little"):
            raise FormatError(f"{quoted(path)} is no intact TFRecord file: a length has a wrong checksum", position)
        start = position + FRAME_HEAD_BYTES
        end = start + int.from_bytes(head[:8], "little")
        if end + CHECKSUM_BYTES > len(data):
            raise FormatError(f"{quoted(path)} is cut off inside a record", position)
        if masked_crc32c(data[start:end]) != int.from_bytes(data[end : end + CHECKSUM_BYTES], "little"):
            raise FormatError(f"{quoted(path)} is damaged: a record has a wrong checksum", position)
        yield position, data[start:end]
        position = end + CHECKSUM_BYTES


def requests_of(index: int, record: bytes | memoryview) -> tuple[WarmupRecord, ...]:
    """The requests of one ``PredictionLog``.

    Raises:
        FormatError: It is none.
    """
    kind: Kind = "empty"
    logs: list[memoryview] = []
    for tag, _, payload in iter_fields(record):
        found = KINDS.get(tag >> 3) if tag & 7 == LENGTH else None
        if found is not None:
            # The logs are a oneof: the last kind wins, and a log that comes twice is merged, one after the other.
            logs = [*logs, payload] if found == kind else [payload]
            kind = found
    requests = [payload for log in logs for tag, _, payload in iter_fields(log) if tag == _FIRST]
    if kind == "predict_streamed":
        return tuple(_request(index, kind, bytes(request)) for request in requests)
    merged = b"".join(requests)
    if kind == "multi_inference":
        tasks = [payload for tag, _, payload in iter_fields(merged) if tag == _FIRST]
        return tuple(_request(index, kind, bytes(task)) for task in tasks)
    return (_request(index, kind, merged),)


def _request(index: int, kind: Kind, request: bytes) -> WarmupRecord:
    """One request; all kinds hold their ``ModelSpec`` in field 1, and predict's inputs are a map in field 2."""
    predicts = kind in ("predict", "predict_streamed")
    spec = b""
    inputs: set[str] = set()
    output_filter: list[str] = []
    for tag, _, payload in iter_fields(request):
        if tag == _FIRST:
            spec += bytes(payload)
        elif tag == _SECOND and predicts:
            inputs.add(_text(payload, _FIRST, "an input key"))
        elif tag == _THIRD and predicts:
            output_filter.append(utf8_text(payload, "an output key"))
    return WarmupRecord(
        index,
        kind,
        signature_name=_text(spec, _THIRD, "the signature name"),
        input_keys=tuple(sorted(inputs)) if predicts else None,
        output_filter=tuple(output_filter),
        model_name=_text(spec, _FIRST, "the model name"),
    )


def _text(message: bytes | memoryview, wanted: int, what: str) -> str:
    """The string field with this tag; the last one counts."""
    text = ""
    for tag, _, payload in iter_fields(message):
        if tag == wanted:
            text = utf8_text(payload, what)
    return text
