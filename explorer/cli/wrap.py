"""``wrap``: a new version with one more signature, which takes what clients really have."""

from __future__ import annotations

import argparse
from typing import Any

from explorer.cli.printing import print_text, tag_list
from explorer.errors import UsageError, quoted

_PICTURES = {
    "resize": "size",
    "fit": "fit",
    "interpolation": "interpolation",
    "scale": "scale",
    "mean": "mean",
    "std": "std",
    "channels": "channels",
    "colours": "colours",
}
_ROWS = {"names": "features", "defaults": "features"}

_OPTIONS = {
    "image": _PICTURES,
    "base64": _PICTURES,
    "example": _ROWS,
    "csv": {**_ROWS, "columns": "columns", "delimiter": "delimiter"},
    "json": _ROWS,
}
"""Kind of input → option of the command → what it is called in Python."""

_COMMON = {"new_signature": "new_signature_key", "new_input": "key", "output": "output_key", "labels": "labels"}


def wrap(options: argparse.Namespace) -> None:
    """Exports the version; the last line that is printed is its folder."""
    from explorer.runtime.wrap import check_choices, wrap_version
    from explorer.savedmodel.constants import DEFAULT_SIGNATURE_KEY
    from explorer.savedmodel.opening import open_saved_model

    given = _given(options)
    tags = tag_list(options.tags) if options.tags else None
    model = open_saved_model(options.path)
    key = options.signature or DEFAULT_SIGNATURE_KEY
    # What doesn't fit is refused in milliseconds, before TensorFlow is asked.
    check_choices(options.kind, model.meta_graph(tags).signature(key), options.input, **given)
    wrapped, published = wrap_version(
        options.kind, model, options.export, key, options.input, version=options.version, tags=tags, **given
    )
    print_text(f"signature {wrapped.signature_key}: {wrapped.words}")
    for what, why in wrapped.reasons:
        print_text(f"  {what}: {why}")
    for note in published.notes:
        print_text(f"note: {note}")
    print(published.path)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """What was said about the step, as arguments."""
    from explorer.converting.pairs import parse_pairs, parse_values

    given: dict[str, Any] = {name: getattr(options, option) for option, name in _COMMON.items()}
    if options.method != "predict":
        given["method"] = options.method
    fitting = _OPTIONS[options.kind]
    for option in sorted({option for kind in _OPTIONS.values() for option in kind}):
        value = getattr(options, option)
        if value is None:
            continue
        if option not in fitting:
            raise UsageError(f"--{option} says nothing about {options.kind}; it is for {_kinds_of(option)}")
        if option in ("mean", "std"):
            value = _numbers(option, value)
        if option not in _ROWS:
            given[fitting[option]] = value.split(",") if option == "columns" else value
    settings: dict[str, dict[str, Any]] = {}
    for key, name in parse_pairs(options.names or (), "a name", bare=False).items():
        settings.setdefault(key, {})["name"] = name
    for key, default in parse_values(options.defaults or ()).items():
        settings.setdefault(key, {})["default"] = default
    given["features"] = settings or None
    return {name: value for name, value in given.items() if value is not None}


def _kinds_of(option: str) -> str:
    *kinds, last = (kind for kind, known in _OPTIONS.items() if option in known)
    return f"{', '.join(kinds)} and {last}" if kinds else last


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"--{option} takes a number, or one for each colour, such as 0.5,0.4,0.3, not {quoted(text)}"
        ) from None
