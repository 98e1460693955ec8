"""A linter for request bodies: what is wrong, at which element, why the server says so, and the corrected body.

A tolerant reader takes the body as it was meant (:mod:`.reading`), rules compare it with the signature and correct it
on the way (:mod:`.top_level`, :mod:`.signatures`, :mod:`.inputs`, :mod:`.predict`, :mod:`.features`), and the server's
own parser has the last word on both the body and the correction (:mod:`.verdict`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from explorer.errors import RequestError, UsageError, quoted
from explorer.savedmodel.model import MetaGraph, SavedModel
from explorer.serving.lint.draft import Draft, Finding, LintResult
from explorer.serving.lint.features import check_examples
from explorer.serving.lint.outputs import check_outputs
from explorer.serving.lint.predict import check_predict
from explorer.serving.lint.reading import Reading
from explorer.serving.lint.records import settle_records
from explorer.serving.lint.signatures import settle_signature
from explorer.serving.lint.structure import BOM
from explorer.serving.lint.top_level import settle_list_or_columns, settle_top_level
from explorer.serving.lint.tree import Node, json_text
from explorer.serving.lint.unwrapping import open_body, unwrap_root
from explorer.serving.lint.v2 import convert_v2
from explorer.serving.lint.verdict import one_line, server_error

__all__ = ["LARGEST_BODY", "VERBS", "Finding", "LintResult", "lint"]

VERBS: Final = ("predict", "classify", "regress")

LARGEST_BODY: Final = 16 << 20
"""A body with more bytes is held against the server's parser only, not looked at element by element."""


def lint(
    body: str | bytes,
    model: SavedModel | MetaGraph,
    *,
    verb: str = "predict",
    signature_key: str | None = None,
    tags: Iterable[str] | None = None,
) -> LintResult:
    """Says what is wrong with a request body, and corrects it where one can know what was meant.

    Args:
        body: The body as it is sent; any bytes.
        model: The model that it is sent to, or one of its meta graphs.
        verb: ``predict``, ``classify`` or ``regress``: the end of the URL.
        signature_key: The signature that is meant, where the body may not say so; None takes what the body says.
        tags: Which meta graph of a model; None as in :meth:`SavedModel.meta_graph`.

    Returns:
        Findings, what the server says, and the corrected body.

    Raises:
        NotFoundError: There is no such meta graph, or no signature ``signature_key``.
        UsageError: There is no such verb.
    """
    if verb not in VERBS:
        raise UsageError(f"there is no verb {quoted(str(verb))}; it is 'predict', 'classify' or 'regress'")
    meta_graph = model if isinstance(model, MetaGraph) else model.meta_graph(tags)
    if signature_key is not None:
        meta_graph.signature(signature_key)
    data = _encoded(body) if isinstance(body, str) else bytes(body)
    error = server_error(data, meta_graph, verb)
    draft = _read(data, meta_graph, verb, signature_key)
    if draft is None:
        return _too_large(data, meta_graph, verb, signature_key, error)
    return _result(data, draft, error)


def _encoded(body: str) -> bytes:
    try:
        return body.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return body.encode("utf-8", "surrogatepass")


def _read(data: bytes, meta_graph: MetaGraph, verb: str, signature_key: str | None) -> Draft | None:
    """The body with all that was found and corrected; None where it is too large for that."""
    if len(data) > LARGEST_BODY:
        return None
    reading, slips = open_body(data)
    if not reading.is_whole:
        return None
    root = reading.root
    draft = Draft(root or Node("null"), verb, meta_graph, signature_key)
    for slip in (*slips, *reading.slips):
        draft.find(
            "error", slip.code, slip.node, slip.message,
            change=slip.change, stop=slip.stop, group=slip.code, start=slip.start,
        )  # fmt: skip
    if root is None:
        if not draft.obstacles:
            draft.obstacles.append("there is no JSON value in the body")
        return draft
    _tell_around(draft, data, reading, bool(slips))
    unwrap_root(draft)
    convert_v2(draft)
    settle_top_level(draft)
    settle_signature(draft)
    settle_records(draft)
    if draft.signature is None:
        return draft
    if draft.verb == "predict":
        settle_list_or_columns(draft)
        check_predict(draft)
    elif draft.root.get("examples") is not None:
        check_examples(draft)
    check_outputs(draft)
    return draft


def _tell_around(draft: Draft, data: bytes, reading: Reading, is_decoded: bool) -> None:
    """What stands before and behind the value, which the server passes over."""
    if is_decoded:
        return
    if data.startswith(BOM):
        draft.find("note", "bom", draft.root, "a byte order mark stands before the body; the server passes over it, "
                   "other JSON parsers don't", change="the byte order mark was removed", start=0)  # fmt: skip
    rest = data[reading.end :].strip(b" \t\r\n")
    if rest:
        what = "a second document" if rest[:1] in b"{[" else "text"
        draft.find(
            "warning",
            "trailing_text",
            draft.root,
            f"{what} stands behind the body's value, and the server passes over it; one request is one object",
            change="what stood behind the value was removed",
            start=len(data) - len(data[reading.end :].lstrip(b" \t\r\n")),
        )


def _too_large(
    data: bytes, meta_graph: MetaGraph, verb: str, signature_key: str | None, error: RequestError | None
) -> LintResult:
    draft = Draft(Node("null"), verb, meta_graph, signature_key)
    draft.find(
        "note",
        "too_large",
        draft.root,
        "the body is too large to be looked at element by element; a few rows of it show the same faults",
    )
    _tell_refusal(draft, error)
    text = _decoded(data) if error is None else None
    reason = "" if text is not None else "the body is too large to be corrected, or isn't UTF-8"
    return LintResult(
        draft.findings(data),
        verb,
        signature_key,
        None if error is None else error.status,
        "" if error is None else str(error),
        text,
        reason,
    )


def _tell_refusal(draft: Draft, error: RequestError | None, *, is_corrected: bool = False) -> None:
    """Where the server refuses what no rule calls an error, what was corrected is the error, or it says itself why."""
    if error is None or any(fault.severity == "error" for fault in draft.faults.values()):
        return
    corrected = [fault for fault in draft.faults.values() if fault.change] if is_corrected else []
    for fault in corrected:
        fault.severity = "error"
    if not corrected:
        message = f"the server refuses it: {one_line(str(error))}"
        draft.find("error", "refused", draft.root, message, stop="no rule says what was meant")


def _result(data: bytes, draft: Draft, error: RequestError | None) -> LintResult:
    corrected, reason = _corrected(data, draft)
    _tell_refusal(draft, error, is_corrected=corrected is not None)
    key = None if draft.signature is None else draft.signature.key
    more = tuple(_written(data, body) for body in draft.more) if corrected is not None else ()
    if any(_accepted(body, draft)[0] is None for body in more):
        corrected, reason, more = None, "the rows don't go together, and parts of them don't work either", ()
    return LintResult(
        draft.findings(data),
        draft.verb,
        key,
        None if error is None else error.status,
        "" if error is None else str(error),
        corrected,
        reason,
        draft.changes() if corrected is not None else (),
        more,
    )


def _corrected(data: bytes, draft: Draft) -> tuple[str | None, str]:
    """The corrected body, or why there is none."""
    if draft.obstacles:
        return None, draft.obstacles[0]
    if not draft.changes():
        text = _decoded(data)
        if draft.doubts:
            return None, draft.doubts[0]
        if text is not None:
            return _accepted(text, draft)
    try:
        text = _written(data, draft.root)
        text.encode("utf-8")
    except UnicodeEncodeError:
        return None, "it holds text that is no UTF-8"
    return _accepted(text, draft)


def _accepted(text: str, draft: Draft) -> tuple[str | None, str]:
    """The last word is the server's: whatever the rules did, nothing leaves here that it refuses."""
    refused = server_error(text.encode("utf-8"), draft.meta_graph, draft.verb)
    if refused is not None:
        return None, f"the server would refuse the corrected body too: {one_line(str(refused))}"
    return text, ""


def _written(data: bytes, root: Node) -> str:
    """A body in the style of the one that it corrects: on one line, or on several."""
    return json_text(root, 2 if b"\n" in data.strip() else None)


def _decoded(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
