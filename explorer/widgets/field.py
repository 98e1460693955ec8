"""A labelled text field that says beside it what is wrong with its text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import traitlets

from explorer.widgets.assets import read_asset
from explorer.widgets.view import TextView


class Field(TextView):
    """A text field; its ``value`` is set with :meth:`fill`.

    Attributes:
        lines: How many lines are in sight; with more than one, Enter begins another and Ctrl+Enter hands over.
        loads: The kind of file that can be loaded into it, as ``.json``; empty for none. The page reads the file.
    """

    _esm = read_asset("field.js")

    lines = traitlets.Int(1).tag(sync=True)
    loads = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        label: str,
        *,
        on_submit: Callable[[], object] | None = None,
        on_escape: Callable[[], object] | None = None,
        **traits: Any,
    ) -> None:
        """Makes a field.

        Args:
            label: Its accessible name.
            on_submit: Called for Enter.
            on_escape: Called for Escape.
            **traits: Others of the attributes.
        """
        super().__init__(label=label, **traits)
        self._on_submit, self._on_escape = on_submit, on_escape
        self.on_msg(self._heard)

    def fill(self, text: str, *, focused: bool = False) -> None:
        """Puts a text into the field, and the cursor if wanted."""
        self.value = self.text = text
        self.focused = focused
        self.turn += 1

    def take(self, text: str) -> None:
        """Takes over what was typed."""
        if text != self.value:
            self.value = text

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        kind = content.get("kind")
        if kind in ("typed", "submit"):
            text = str(content.get("text", ""))
            if content.get("turn", self.turn) == self.turn:
                self.value = text
            else:  # typed before the page heard of the last fill, which it has put over it by now
                self.fill(text)
        if kind == "submit" and self._on_submit is not None:
            self._on_submit()
        if kind == "escape" and self._on_escape is not None:
            self._on_escape()
