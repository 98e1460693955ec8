"""``wrap``: a new version with one more signature, which takes what clients really have."""

from __future__ import annotations

import argparse
from typing import Any

from explorer.cli.printing import print_text, tag_list
from explorer.errors import UsageError, quoted

_OPTIONS = {
    "resize": "size",
    "fit": "fit",
    "interpolation": "method",
    "scale": "scale",
    "mean": "mean",
    "std": "std",
    "channels": "channels",
    "colours": "colours",
}
"""Option of the command → what it is called in Python."""


def wrap(options: argparse.Namespace) -> None:
    """Exports the version; the last line that is printed is its folder."""
    from explorer.runtime.wrap import wrap_version
    from explorer.savedmodel.constants import DEFAULT_SIGNATURE_KEY

    given = _given(options)
    if options.new_signature:
        given["new_signature_key"] = options.new_signature
    if options.new_input:
        given["key"] = options.new_input
    if options.tags:
        given["tags"] = tag_list(options.tags)
    wrapped, published = wrap_version(
        options.kind,
        options.path,
        options.export,
        options.signature or DEFAULT_SIGNATURE_KEY,
        options.input,
        version=options.version,
        **given,
    )
    print_text(f"signature {wrapped.signature_key}: {wrapped.words}")
    for what, why in wrapped.reasons:
        print_text(f"  {what}: {why}")
    for note in published.notes:
        print_text(f"note: {note}")
    print(published.path)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """What was said about the step, as arguments."""
    given: dict[str, Any] = {}
    for option, name in _OPTIONS.items():
        value = getattr(options, option)
        if value is not None:
            given[name] = _numbers(option, value) if option in ("mean", "std") else value
    return given


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--{option} takes a number, or one for each colour, such as 0.5,0.4,0.3, not {quoted(text)}"
        ) from None
