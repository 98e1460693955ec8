"""Warm-up records that follow the edits: rewritten to the new keys, or dropped where what they name is gone.

TensorFlow Serving doesn't serve a version one of whose records names what the version doesn't have. So the file is
never taken over by an edited model without each record being looked at.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from explorer.errors import ExplorerError, ExportError, quoted
from explorer.exporting.copying import Report, Rewrite, Rewritten, read_file
from explorer.exporting.lineage import Lineage, served_lineage, served_meta_graph
from explorer.exporting.source_tree import SourceTree, changed
from explorer.exporting.warmup_record import FilledInput, NewKeys, filled_inputs, with_new_keys
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, SavedModel, Shape, Signature
from explorer.savedmodel.records import read_whole
from explorer.savedmodel.warmup import (
    CHECKSUM_BYTES,
    FRAME_HEAD_BYTES,
    LARGEST_WARMUP_BYTES,
    FramedRecord,
    WarmupRecord,
    contradictions,
    framed_record,
    read_records,
    read_warmup,
    requests_of,
)

Warmup = Literal["refuse", "drop", "rewrite"]

_MOST_NOTES = 5  # sentences about single records

_Signatures = Mapping[str, Signature]
_METHODS = {"classify": constants.CLASSIFY_METHOD_NAME, "regress": constants.REGRESS_METHOD_NAME}


@dataclass(frozen=True)
class WarmupRewriting:
    """What becomes of a file of warm-up records.

    Attributes:
        data: The new file; None where no record is left.
        rewritten: The numbers of the records that name other keys now.
        dropped: The numbers of the records that are left out → why, each one sentence.
        stale: What the edits did to records that fitted before, one sentence each; with any, the source's file can't
            be taken over as it is.
    """

    data: bytes | None
    rewritten: tuple[int, ...]
    dropped: Mapping[int, str]
    stale: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person is told, one sentence each."""
        said = []
        if self.rewritten:
            said.append(f"warm-up: {_records(len(self.rewritten))} rewritten to the new keys")
        said += [f"warm-up: left out, because {why}" for why in list(self.dropped.values())[:_MOST_NOTES]]
        if len(self.dropped) > _MOST_NOTES:
            said.append(f"warm-up: {_records(len(self.dropped) - _MOST_NOTES)} more left out")
        if self.data is None:
            said.append(f"warm-up: no record is left, so {constants.WARMUP_FILE} was left out")
        return tuple(said)


@dataclass(frozen=True)
class SettledWarmup:
    """What an export does with the warm-up file.

    Attributes:
        leave_out: Why it is left out; empty where it isn't.
        rewrite: What rewrites it, or None.
        notes: What a person should know.
    """

    leave_out: str = ""
    rewrite: Rewrite | None = None
    notes: tuple[str, ...] = ()


def settle_warmup(choice: Warmup, original: SavedModel, edited: SavedModel) -> SettledWarmup:
    """Decides what becomes of the warm-up records of a model that is exported.

    Args:
        choice: What the person wants where they don't fit.
        original: The model as it was opened.
        edited: The model to export; its folder holds the records.

    Raises:
        ExportError: The edits made records stale and the choice is to refuse; or they can't be read or rewritten.
    """
    assert edited.path is not None
    path = os.path.join(edited.path, *constants.WARMUP_FILE.split("/"))
    try:
        data = read_whole(path, LARGEST_WARMUP_BYTES, "a file of warm-up requests")
        if data is None:
            return SettledWarmup()
        rewriting = rewrite_records(data, path, original, edited)
    except ExplorerError as error:
        if choice == "drop":
            return SettledWarmup("its records can't be read")
        if choice == "rewrite":
            raise ExportError(
                f"the warm-up records can't be rewritten: {error}; choose 'drop' to leave them out"
            ) from error
        return SettledWarmup(notes=(f"the warm-up records were taken over as they are: {error}",))
    if rewriting.data == data:
        return SettledWarmup()
    if choice == "drop":
        return SettledWarmup("its records name what the model doesn't have")
    if choice == "rewrite":
        return SettledWarmup(rewrite=functools.partial(_rewrite, rewriting, data))
    if rewriting.stale:
        raise ExportError(
            f"{rewriting.stale[0]}; choose 'drop' to leave the warm-up records out, or 'rewrite' to let them follow "
            "the edits"
        )
    why = next(iter(rewriting.dropped.values()))
    return SettledWarmup(notes=(f"the warm-up records were taken over although they never fitted: {why}",))


def rewrite_records(data: bytes, path: str, original: SavedModel, edited: SavedModel) -> WarmupRewriting:
    """Lets warm-up records follow the edits of a model.

    A record that names what was renamed gets the new key, one that names what is gone is dropped, and all others are
    the same bytes as before. Records of session runs are left alone: they name tensors.

    Args:
        data: The whole file.
        path: What it is called in the sentences.
        original: The model as it was opened.
        edited: The model after its edits.

    Raises:
        FormatError: The file is damaged.
    """
    before, after = served_meta_graph(original).callable_signatures, served_meta_graph(edited).callable_signatures
    follow = _Follower(served_lineage(original, edited), after)
    kept: list[bytes] = []
    rewritten: list[int] = []
    dropped: dict[int, str] = {}
    stale: list[str] = []
    for index, record in enumerate(read_records(data, path)):
        old = bytes(record.data)
        new, why = _followed(index, record, old, before, after, follow)
        if new == old:
            kept.append(data[record.offset : record.offset + FRAME_HEAD_BYTES + len(old) + CHECKSUM_BYTES])
            continue
        if new is None:
            dropped[index] = why
        else:
            kept.append(framed_record(new))
            rewritten.append(index)
        if _fits(record.requests, before):
            faults = _faults(record.requests, old, after)
            stale.append(
                f"TensorFlow Serving would refuse to serve the model: {faults[0]}"
                if faults
                else f"record {index} of the warm-up requests names keys that mean something else after the edits"
            )
    return WarmupRewriting(None if dropped and not kept else b"".join(kept), tuple(rewritten), dropped, tuple(stale))


def _followed(
    index: int, record: FramedRecord, old: bytes, before: _Signatures, after: _Signatures, follow: _Follower
) -> tuple[bytes | None, str]:
    """The record after the edits, or None and why it can't stay."""
    if not _fits(record.requests, before):
        # What its keys were meant to be can't be known; it stays only where it is right as it is.
        wrong = _faults(record.requests, old, after)
        return (None, wrong[0]) if wrong else (old, "")
    new = with_new_keys(index, old, follow.new_keys)
    if new is None:
        gone = next(one for one in record.requests if follow.new_keys(one) is None)
        return None, (
            f"record {index} of the warm-up requests ({gone.kind}) calls the signature {quoted(gone.signature_key)}, "
            "which was removed"
        )
    requests = requests_of(index, new)
    faults = contradictions(requests, _keys(after), _defaults(after))
    # Dtypes, shapes and methods count only where they were right: Serving itself is less strict about them.
    if not faults and not _value_faults(record.requests, old, before):
        faults = _value_faults(requests, new, after)
    return (None, faults[0]) if faults else (new, "")


class _Follower:
    """Says what a request names after the edits.

    Args:
        lineage: What became of the signatures of the source.
        signatures: Those of the edited model.
    """

    def __init__(self, lineage: Lineage, signatures: _Signatures) -> None:
        self._lineage = lineage
        self._signatures = signatures

    def new_keys(self, request: WarmupRecord) -> NewKeys | None:
        """The keys for a request that fitted the source; None where its signature is gone."""
        if request.kind in ("session_run", "empty"):
            return NewKeys(None, _same, _same)
        found = self._lineage.signatures.get(request.signature_key)
        if found is None:
            # A key that was removed and added again names the new signature, as it does for every client.
            is_added = request.signature_key in self._signatures.keys() - self._lineage.keys
            return NewKeys(None, _same, _same) if is_added else None
        signature = self._signatures.get(found.key)
        if signature is None:
            return None
        return NewKeys(
            None if found.key == request.signature_key else found.key,
            functools.partial(_new_key, found.inputs, signature.inputs),
            functools.partial(_new_key, found.outputs, signature.outputs),
        )


def _same(key: str) -> str:
    return key


def _new_key(lineage: Mapping[str, str], present: Mapping[str, object], key: str) -> str | None:
    """The key after the edits; None where it was taken away and nothing new bears it."""
    if key in lineage:
        return lineage[key]
    return key if key in present and key not in lineage.values() else None


def _fits(requests: tuple[WarmupRecord, ...], signatures: _Signatures) -> bool:
    return not contradictions(requests, _keys(signatures), _defaults(signatures))


def _faults(requests: tuple[WarmupRecord, ...], record: bytes, signatures: _Signatures) -> tuple[str, ...]:
    """What of a record a model contradicts, keys first."""
    wrong = contradictions(requests, _keys(signatures), _defaults(signatures))
    return wrong or _value_faults(requests, record, signatures)


def _value_faults(requests: tuple[WarmupRecord, ...], record: bytes, signatures: _Signatures) -> tuple[str, ...]:
    """What of a record a model contradicts where all keys are there: dtypes, shapes and methods."""
    return tuple(
        f"record {request.index} of the warm-up requests ({request.kind}) {fault}"
        for request, inputs in zip(requests, filled_inputs(record), strict=True)
        if (signature := signatures.get(request.signature_key)) is not None
        for fault in (_method_fault(request, signature), *(_input_fault(given, signature) for given in inputs))
        if fault
    )


def _method_fault(request: WarmupRecord, signature: Signature) -> str:
    method = _METHODS.get(request.kind)
    if method is None or signature.method_name == method:
        return ""
    return f"calls the signature {quoted(signature.key)}, whose method is {quoted(signature.method_name)} now"


def _input_fault(given: FilledInput, signature: Signature) -> str:
    info = signature.inputs.get(given.key)
    if info is None or info.tensor_name is None:  # a sparse or composite tensor, which no request fills
        return ""
    where = f"{quoted(given.key)} of the signature {quoted(signature.key)}"
    is_known = constants.DT_INVALID not in (info.dtype.number, given.dtype_number)
    if is_known and info.dtype.base.number != given.dtype_number:
        return f"fills {where} with {DType(given.dtype_number)}, and it takes {info.dtype}"
    if given.dims is None or info.shape.dims is None:
        return ""
    sizes = zip(given.dims, info.shape.dims, strict=False)
    if len(given.dims) != len(info.shape.dims) or any(size != dim for size, dim in sizes if dim is not None):
        return f"fills {where} with the shape {Shape(given.dims)}, and it takes {info.shape}"
    return ""


def _keys(signatures: _Signatures) -> dict[str, tuple[Mapping[str, object], Mapping[str, object]]]:
    return {key: (signature.inputs, signature.outputs) for key, signature in signatures.items()}


def _defaults(signatures: _Signatures) -> dict[str, Mapping[str, bytes]]:
    return {key: signature.defaults for key, signature in signatures.items()}


def verify_warmup(staged: Path, model: SavedModel) -> None:
    """Reads the records of a staged version and compares them with its signatures.

    Raises:
        ExportError: A record names what the model doesn't have.
    """
    signatures = served_meta_graph(model).callable_signatures
    wrong = contradictions(read_warmup(staged), _keys(signatures), _defaults(signatures))
    if wrong:
        raise ExportError(
            f"the warm-up records don't fit the model after they were rewritten, so nothing was published: {wrong[0]}; "
            "choose 'drop' to leave them out"
        )


def _rewrite(rewriting: WarmupRewriting, data: bytes, tree: SourceTree, report: Report) -> Rewritten:
    """What becomes of the file, which must still be the one that the rewriting was made of."""
    found = next((file for file in tree.files if file.name == constants.WARMUP_FILE), None)
    if found is None or found.size_bytes != len(data) or read_file(found) != data:
        raise changed(constants.WARMUP_FILE)
    if rewriting.data is None:
        return Rewritten({found.name: None}, "none of its records fits the model any more", rewriting.notes)
    reason = f"{_records(len(rewriting.rewritten))} rewritten, {len(rewriting.dropped)} left out"
    return Rewritten({found.name: functools.partial(_write_all, rewriting.data)}, reason, rewriting.notes)


def _write_all(content: bytes, stream: BinaryIO) -> None:
    stream.write(content)


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count} records"
