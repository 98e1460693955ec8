"""What the linter says: findings, and the body as far as it is corrected."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from explorer.savedmodel.model import MetaGraph, Signature
from explorer.serving.lint.tree import Node

Severity = Literal["error", "warning", "note"]

MOST_PATHS: Final = 20
"""Of one fault that many elements have, the places of this many are told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a body.

    Attributes:
        severity: ``error``: the server refuses the body, or the model's own ops do; ``warning``: it may be answered,
            but not as was meant; ``note``: good to know.
        code: A short name of the fault, such as ``wrong_key``.
        path: Where it is in the body, as ``instances[2].x[0]``; empty for the body as a whole.
        offset: The byte of the body where that begins.
        line: Its line, from 1.
        column: Its character in the line, from 1.
        message: What is wrong, the rule behind it, and what to do.
        count: How many elements have this fault.
        paths: Where they are, the first of them.
    """

    severity: Severity
    code: str
    path: str
    offset: int
    line: int
    column: int
    message: str
    count: int = 1
    paths: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "severity": self.severity,
            "code": self.code,
            "path": self.path,
            "offset": self.offset,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "count": self.count,
            "paths": list(self.paths),
        }

    def __str__(self) -> str:
        place = self.path or "the body"
        return f"{self.severity}: {place} (line {self.line}, column {self.column}): {self.message} [{self.code}]"


@dataclass(frozen=True, slots=True)
class LintResult:
    """What is to be said about a body.

    Attributes:
        findings: What is wrong, errors first.
        verb: ``predict``, ``classify`` or ``regress``.
        signature_key: The signature that the body was held against; None where it can't be told.
        status: The HTTP status by which the server refuses the body without running the model; None where it takes it,
            so that the answer is the model's.
        server_sentence: The server's ``error`` to the letter, empty where there is none.
        corrected: The corrected body, which is the body itself where there is nothing to correct; None where nobody
            can know what was meant.
        reason: Why there is no corrected body, or an empty text.
        changes: What the correction did, a line each.
        more_bodies: Bodies to be sent beside the corrected one, where one request can't hold all of it.
    """

    findings: tuple[Finding, ...]
    verb: str
    signature_key: str | None
    status: int | None
    server_sentence: str
    corrected: str | None
    reason: str = ""
    changes: tuple[str, ...] = ()
    more_bodies: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is neither an error nor a warning."""
        return all(finding.severity == "note" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "ok": self.ok,
            "verb": self.verb,
            "signature_key": self.signature_key,
            "status": self.status,
            # What isn't UTF-8 in the body may stand in the sentence, and JSON can't hold it.
            "server_sentence": self.server_sentence.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
            "findings": [finding.to_dict() for finding in self.findings],
            "corrected": self.corrected,
            "reason": self.reason,
            "changes": list(self.changes),
            "more_bodies": list(self.more_bodies),
        }


@dataclass
class _Fault:
    """A finding in the making, with all elements that have it."""

    severity: Severity
    code: str
    path: str
    start: int
    message: str
    change: str
    count: int = 1
    paths: list[str] = field(default_factory=list)


class Draft:
    """A body while it is looked at and corrected.

    Attributes:
        root: The body, changed in place as faults are found.
        verb: ``predict``, ``classify`` or ``regress``.
        meta_graph: The meta graph that it is for.
        wanted_key: The signature that the caller has in mind, None if any.
        signature: The signature that the body is for; None until that is known.
        faults: What was found, by code and group.
        obstacles: Why there can be no corrected body: errors that nobody can correct.
        doubts: The same for warnings, which matter where nothing else is corrected.
        more: Bodies to be sent beside this one.
    """

    def __init__(self, root: Node, verb: str, meta_graph: MetaGraph, wanted_key: str | None) -> None:
        self.root = root
        self.verb = verb
        self.meta_graph = meta_graph
        self.wanted_key = wanted_key
        self.signature: Signature | None = None
        self.faults: dict[Hashable, _Fault] = {}
        self.obstacles: list[str] = []
        self.doubts: list[str] = []
        self.more: list[Node] = []

    def find(
        self,
        severity: Severity,
        code: str,
        node: Node,
        message: str,
        *,
        change: str = "",
        stop: str = "",
        group: Hashable = None,
        start: int | None = None,
    ) -> None:
        """Takes note of a fault.

        Args:
            severity: See :class:`Finding`.
            code: See :class:`Finding`.
            node: The element.
            message: The sentence; that of the first element stands for all of a group.
            change: What was corrected, for the list of changes.
            stop: Why it can't be corrected.
            group: Faults of one code and group are one finding; None makes each its own.
            start: The byte where it is, should that not be where the node begins.
        """
        if stop:
            kept = self.obstacles if severity == "error" else self.doubts
            if severity != "note" and stop not in kept:
                kept.append(stop)
        key: Hashable = object() if group is None else (code, group)
        known = self.faults.get(key)
        if known is None:
            place = node.path
            known = self.faults[key] = _Fault(
                severity, code, place, node.start if start is None else start, message, change, 0
            )
        known.count += 1
        if len(known.paths) < MOST_PATHS:
            known.paths.append(node.path)

    def changes(self) -> tuple[str, ...]:
        """What the correction did, a line for each fault."""
        return tuple(
            f"{fault.path or 'the body'}: {fault.change}{_and_more(fault.count)}"
            for fault in self.faults.values()
            if fault.change
        )

    def findings(self, body: bytes) -> tuple[Finding, ...]:
        """What was found, errors first, then by place."""
        order: Mapping[str, int] = {"error": 0, "warning": 1, "note": 2}
        faults = sorted(self.faults.values(), key=lambda fault: (order[fault.severity], fault.start))
        found = []
        for fault in faults:
            before = body[: fault.start]
            line_start = before.rfind(b"\n") + 1
            found.append(
                Finding(
                    fault.severity,
                    fault.code,
                    fault.path,
                    fault.start,
                    before.count(b"\n") + 1,
                    len(before[line_start:].decode("utf-8", "replace")) + 1,
                    fault.message + (f" ({fault.count - 1} more like it)" if fault.count > 1 else ""),
                    fault.count,
                    tuple(fault.paths),
                )
            )
        return tuple(found)


def _and_more(count: int) -> str:
    return f" (and {count - 1} more like it)" if count > 1 else ""
