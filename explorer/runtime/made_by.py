"""The call that made a step, as plain data: what stands in a recipe beside the step, and in the line of Python."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any


def made_by(function: str, **arguments: Any) -> dict[str, object] | None:
    """A call as plain data; arguments that are None are left out.

    Args:
        function: Its name in the package.
        **arguments: What it was called with.

    Returns:
        None where an argument has no plain form.
    """
    try:
        plain = {name: _plain(value) for name, value in arguments.items() if value is not None}
    except TypeError:
        return None
    return {"function": function, "arguments": plain}


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # arrays and scalars of numpy's
        value = value.tolist()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(type(value).__name__)
