"""A button whose click brings along what was typed before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import traitlets

from explorer.widgets.assets import read_asset
from explorer.widgets.view import TextView, View


class Button(View):
    """A button.

    JupyterLab may have the messages of two widgets heard by two threads of the kernel (subshells), so a click alone
    could overtake the text that was typed before it. Each click therefore says what stands in the fields around it.

    Attributes:
        description: What it says.
        tooltip: What it says when one points at it.
        disabled: Whether it can't be pressed.
        kind: ``"primary"`` for the one that a person most likely wants, or an empty text.
    """

    _esm = read_asset("button.js")

    description = traitlets.Unicode().tag(sync=True)
    tooltip = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)
    kind = traitlets.Unicode().tag(sync=True)

    def __init__(self, description: str, on_click: Callable[[], object], **traits: Any) -> None:
        """Makes a button.

        Args:
            description: What it says.
            on_click: Called for each click.
            **traits: Others of the attributes.
        """
        super().__init__(description=description, **traits)
        self._on_click = on_click
        self.on_msg(self._heard)

    def click(self) -> None:
        """Does what a click does."""
        self._on_click()

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if content.get("kind") != "click" or self.disabled:
            return
        typed = content.get("typed")
        for field_id, text in typed.items() if isinstance(typed, dict) else ():
            field = TextView.with_id(str(field_id))
            if field is not None:
                field.take(str(text))
        self.click()
