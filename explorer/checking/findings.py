"""What a check reports: one fault, where it is, why it matters and what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
"""``error``: some consumer fails or is misled. ``warning``: it works, but not for everybody. ``note``: good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a model.

    Attributes:
        severity: How bad it is.
        code: The rule in one word, stable across releases: ``"unfed_placeholder"``.
        message: What is wrong and what happens because of it, in a sentence.
        fix: What to do about it, in a sentence; empty where nothing can be done here.
        tags: The meta graph that it is in, None where it is about the whole model or folder.
        signature_key: The signature that it is in, None where it is about no one signature.
        field: The part of the signature: ``"key"``, ``"method_name"``, ``"input"``, ``"output"``, or None.
        key: The input or output key, where ``field`` is one of these.
        subject: What the fault is about in the graph, free of keys that an edit may rename: by ``(code, subject)``
            one recognises the same fault before and after an edit.
        edit: A recipe entry that mends it, None where there is none.
    """

    severity: Severity
    code: str
    message: str
    fix: str = ""
    tags: frozenset[str] | None = None
    signature_key: str | None = None
    field: Literal["key", "method_name", "input", "output"] | None = None
    key: str | None = None
    subject: str = ""
    edit: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "fix": self.fix,
            "tags": None if self.tags is None else sorted(self.tags),
            "signature_key": self.signature_key,
            "field": self.field,
            "key": self.key,
            "edit": None if self.edit is None else dict(self.edit),
        }
