"""A new version of a model whose warm-up file holds requests that one tried, each of them run before it is published.

A version whose warm-up fails is not served, so the file is never written unseen: the staged version is loaded in the
child process, all its records are replayed as TensorFlow Serving does it, and only then is it published.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from explorer.errors import ExplorerError, ExportError, RequestError, RunError
from explorer.exporting.export import Warmup, export_version
from explorer.exporting.lineage import served_meta_graph
from explorer.exporting.publish import Progress, Published, WrittenFile
from explorer.runtime.engine import Limits
from explorer.runtime.model_version import ModelVersion
from explorer.savedmodel.constants import WARMUP_FILE
from explorer.savedmodel.model import MetaGraph, SavedModel
from explorer.savedmodel.records import read_whole
from explorer.savedmodel.warmup import LARGEST_WARMUP_BYTES, MOST_RECORDS, framed_record, read_records
from explorer.serving.warmup_records import warmup_record

Body = bytes | str | Mapping[str, Any]
"""A request body: as it is sent, or a value of which JSON is made."""

NO_CONSENT = (
    "warm-up records are verified by running the model's graph with them, in a child process with limits; pass "
    "consent=True to allow that"
)


def write_warmup(
    model: SavedModel,
    base_path: str | os.PathLike[str],
    bodies: Iterable[Body | tuple[str, Body]],
    *,
    verb: str = "predict",
    consent: bool = False,
    keep: bool = True,
    version: int | None = None,
    link: bool = False,
    warmup: Warmup = "rewrite",
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Published:
    """Exports a model as a new version that warms up with requests, or writes nothing.

    Args:
        model: The model, edited or not.
        base_path: The folder that holds the versions; it is made if missing.
        bodies: Request bodies, or pairs of a verb and a body.
        verb: What bodies without a verb of their own are sent to: ``predict``, ``classify`` or ``regress``.
        consent: True says that the model may be run: every record is, in a child process.
        keep: Whether the records that the model has stay before the new ones.
        version: The number to give; None takes the next one.
        link: Whether to hardlink the other files instead of copying them.
        warmup: What becomes of kept records that the model's edits made stale, see :func:`explorer.export`.
        limits: What the model may take while it is run.
        progress: Is told the bytes done and the bytes in all; what it raises cancels the export.

    Returns:
        What was written.

    Raises:
        RunError: There is no consent.
        RequestError: A body makes no record; the sentence says which and why.
        ExportError: Nothing was published: the records are too many, a record fails, or the export does.
    """
    if not consent:
        raise RunError(NO_CONSENT)
    meta_graph = served_meta_graph(model)
    records = _records(bodies, verb, meta_graph)
    if not records:
        raise RequestError("there is no body to make a warm-up record of; give at least one")
    if not keep:
        warmup = "drop"
    written: list[WrittenFile] = []

    def add_records(staged: Path) -> None:
        written.append(_write_records(staged, records, keep))
        _replay(staged, meta_graph, limits or Limits())

    published = export_version(
        model,
        base_path,
        version=version,
        link=link,
        warmup=warmup,
        before_publish=add_records,
        progress=progress,
    )
    files = {file.name: file for file in published.files} | {file.name: file for file in written}
    return replace(published, files=tuple(files[name] for name in sorted(files)))


def _records(bodies: Iterable[Body | tuple[str, Body]], verb: str, meta_graph: MetaGraph) -> list[bytes]:
    """The records of some bodies."""
    records = []
    for number, entry in enumerate(bodies):
        own_verb, body = entry if isinstance(entry, tuple) else (verb, entry)
        try:
            records.append(warmup_record(_body_text(body), meta_graph, verb=own_verb))
        except RequestError as error:
            sentence = " ".join(str(error).encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())
            raise RequestError(
                f"body {number} makes no warm-up record, because TensorFlow Serving refuses it: {sentence}"
            ) from None
    return records


def _body_text(body: Body) -> str | bytes:
    if isinstance(body, str | bytes):
        return body
    try:
        return json.dumps(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"JSON can't be made of it: {error}") from None


def _write_records(staged: Path, records: Sequence[bytes], keep: bool) -> WrittenFile:
    """Writes the file anew: the staged one may be a hardlink to the source's, which nobody may write into."""
    path = staged / WARMUP_FILE
    before = b""
    count = 0
    if keep:
        try:
            before = read_whole(str(path), LARGEST_WARMUP_BYTES, "a file of warm-up requests") or b""
            count = len(read_records(before, WARMUP_FILE))
        except ExplorerError as error:
            raise ExportError(
                f"the model's own warm-up records can't be kept, so nothing was published: {error}; pass keep=False to "
                "leave them out"
            ) from None
    if count + len(records) > MOST_RECORDS:
        raise ExportError(
            f"{count} kept and {len(records)} new warm-up records are too many, so nothing was published: TensorFlow "
            f"Serving refuses a model with more than {MOST_RECORDS}; leave some out"
        )
    data = before + b"".join(map(framed_record, records))
    if len(data) > LARGEST_WARMUP_BYTES:
        raise ExportError(
            f"the warm-up records would have {len(data)} bytes, so nothing was published; keep them below "
            f"{LARGEST_WARMUP_BYTES}, which every start of a server reads"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    path.write_bytes(data)
    kept = f"{count} kept, " if count else ""
    return WrittenFile(WARMUP_FILE, len(data), "written", f"warm-up records: {kept}{len(records)} new")


def _replay(staged: Path, meta_graph: MetaGraph, limits: Limits) -> None:
    """Loads the staged version and runs every record, as TensorFlow Serving does before it serves a version.

    Raises:
        ExportError: The model doesn't load, or a record fails.
    """
    version = ModelVersion(staged, meta_graph.tags, limits)
    try:
        version.load()
    except ExplorerError as error:
        sentence = " ".join(str(error).encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())
        raise ExportError(
            f"the model doesn't warm up with these records, so nothing was published: {sentence}"
        ) from None
    finally:
        version.close()
