"""What the graph can reach, as findings: one for each kind, which says the worst of it in a sentence.

This rule is not among those of :func:`explorer.checking.checks.check`: it reads every node of every function, which the
first look at a model, and each edit, should not have to wait for. Who wants to know asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from explorer.checking.capabilities import Capability, Kind, dangers, find_capabilities
from explorer.checking.findings import Finding, Severity
from explorer.errors import ExplorerError, listed, quoted
from explorer.savedmodel.model import MetaGraph, SavedModel, printable_tags

_WARNED: Final[frozenset[Kind]] = frozenset({"read_file", "write_file", "network", "python", "native_code", "unknown"})
_ORDER: Final = {"warning": 0, "note": 1}
_WHEN: Final = {"load": 0, "call": 1, "never": 2}

_DOES: Final[dict[Kind, str]] = {
    "read_file": "reads files of the machine that the model runs on",
    "write_file": "writes files on the machine that the model runs on",
    "network": "talks to other machines",
    "python": "calls a Python function of the process that it runs in",
    "device": "needs special hardware, or acts on the whole process",
    "native_code": "runs compiled code that nobody can look into here",
    "unknown": "is not one of TensorFlow's, so it can't be told what it does",
}

_FIXES: Final[dict[Kind, str]] = {
    "read_file": "load and run it only where it may read what it likes, or have it saved with the file as an asset",
    "write_file": "load and run it only where it may write what it likes, or have it saved without that op",
    "network": "load and run it only where it has no network, or have it saved without that op",
    "python": "have it saved without py_function: no server has the Python function that it asks for",
    "device": "",
    "native_code": "run it only if you trust where it comes from, or have it saved as ops of TensorFlow",
    "unknown": "ask who made the model for the library that defines the op, and load that only if you trust it",
}


def check_capabilities(model: SavedModel, tags: Iterable[str] | None = None) -> tuple[Finding, ...]:
    """Examines what a model can reach besides its tensors.

    Args:
        model: The model, edited or not. Of one that was made from data there is nothing to examine.
        tags: Only the meta graph with this tag set; None for all.

    Returns:
        One finding for each meta graph and kind: warnings first. A meta graph that can't be read is a finding, too.

    Raises:
        NotFoundError: No meta graph has the ``tags``.
    """
    wanted = model.meta_graphs if tags is None else (model.meta_graph(tags),)
    findings = [found for meta_graph in wanted if meta_graph.document is not None for found in _check(meta_graph)]
    return tuple(sorted(findings, key=lambda found: _ORDER.get(found.severity, -1)))


def _check(meta_graph: MetaGraph) -> Iterator[Finding]:
    try:
        found = dangers(find_capabilities(meta_graph))
    except ExplorerError as error:
        yield Finding(
            "error",
            "unscanned",
            f"it can't be told what the meta graph {printable_tags(meta_graph.tags)} reaches: {error}",
            tags=meta_graph.tags,
            subject="graph",
        )
        return
    kinds: dict[Kind, list[Capability]] = {}
    for capability in found:
        kinds.setdefault(capability.kind, []).append(capability)
    for kind, capabilities in kinds.items():
        worst = min(capabilities, key=lambda one: (_ORDER[_severity(one)], _WHEN[one.when]))
        others = sorted({one.op for one in capabilities} - {worst.op})
        besides = f"; {listed(others, 3)} {'do' if len(others) > 1 else 'does'} the like" if others else ""
        severity = _severity(worst)
        yield Finding(
            severity,
            f"reaches_{kind}",
            _sentence(worst) + besides,
            _FIXES[kind] if severity == "warning" else "",
            meta_graph.tags,
            signature_key=worst.signatures[0] if len(worst.signatures) == 1 else None,
            subject=",".join([worst.op, *others]),
        )


def _severity(capability: Capability) -> Severity:
    harmless = capability.when == "never" or _writes_to_a_stream(capability)
    return "warning" if capability.kind in _WARNED and not harmless else "note"


def _writes_to_a_stream(capability: Capability) -> bool:
    """Whether it only prints: ``tf.print`` writes to a file where it is told one."""
    return capability.op == "PrintV2" and (
        capability.target in ("stdout", "stderr") or capability.target.startswith("log(")
    )


def _sentence(capability: Capability) -> str:
    place = f"in the function {quoted(capability.function)}" if capability.function else "in the graph"
    does = _DOES[capability.kind]
    if _writes_to_a_stream(capability):
        does = f"prints to {quoted(capability.target)}, which is a log that others may read"
    elif capability.target and capability.kind in ("read_file", "write_file"):
        verb = "reads" if capability.kind == "read_file" else "writes"
        does = f"{verb} {quoted(capability.target)}, which is no file of the model"
    return f"the op {quoted(capability.op)} (node {quoted(capability.node)} {place}) {does}{_time(capability)}"


def _time(capability: Capability) -> str:
    if capability.when == "load":
        by = f", by {capability.started_by[0]}" if capability.started_by else ""
        return f"; it runs when the model is loaded{by}"
    if capability.when == "never":
        return "; nothing that loaders offer runs it"
    if capability.signatures:
        return f"; it runs when {listed(capability.signatures, 3)} is called"
    if capability.methods:
        return f"; it runs when the method {listed(capability.methods, 3)} is called"
    return "; it runs when the variables are saved again"
