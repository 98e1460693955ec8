"""The scripts and the style sheet that lie beside the panels."""

from __future__ import annotations

from importlib.resources import files


def read_asset(name: str) -> str:
    """The text of a file beside this module.

    Views get the text and not the path: of a path, anywidget keeps every widget alive that ever used it.
    """
    return files("explorer.widgets").joinpath(name).read_text(encoding="utf-8")
