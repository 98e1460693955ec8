"""A table that filters, sorts, selects and acts, of any length."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import traitlets

from explorer.errors import LONGEST_NAME, printable_name
from explorer.widgets.assets import read_asset
from explorer.widgets.view import View

_SENTENCE = 4000  # characters

Cell = str | int | tuple[str, int | str] | None
"""A text (made printable here), a number, or a text with what it is sorted by."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        label: Its header.
        kind: ``name``, ``text``, ``code``, ``number``, ``wrap`` (a sentence that may take several lines) or ``path`` (a
            name that may be broken anywhere).
        header: Whether its cells name their rows.
        usual: What its cells say as a rule. Where all of them do, a narrow page leaves the column out.
    """

    label: str
    kind: Literal["name", "text", "code", "number", "wrap", "path"] = "text"
    header: bool = False
    usual: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row.

    Attributes:
        id: What it is called in messages; never a name from a model.
        cells: Its cells.
        actions: Its buttons: action, text, accessible name.
        note: A line below it: ``error``, ``warning`` or ``note``, and a sentence; None for none.
    """

    id: str
    cells: tuple[Cell, ...]
    actions: tuple[tuple[str, str, str], ...] = ()
    note: tuple[str, str] | None = None

    def to_dict(self, columns: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """As the page gets it, in these columns."""
        note = None if self.note is None else {"level": self.note[0], "text": printable_name(self.note[1], _SENTENCE)}
        return {
            "id": self.id,
            "cells": [_shown(cell, one["kind"]) for cell, one in zip(self.cells, columns, strict=True)],
            "actions": [
                {"action": action, "label": label, "name": printable_name(name)} for action, label, name in self.actions
            ],
            "note": note,
        }


class Table(View):
    """Rows that were given in full; the page shows those in sight.

    Attributes:
        label: Its accessible name.
        selected: The id of the selected row; empty for none.
        selectable: Whether a row can be selected, by a click, the arrow keys or Enter.
        empty: What is said where there are no rows.
    """

    _esm = read_asset("table.js")

    label = traitlets.Unicode().tag(sync=True)
    columns: traitlets.List[Any] = traitlets.List().tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List().tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)
    selectable = traitlets.Bool(False).tag(sync=True)
    empty = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        label: str,
        columns: Iterable[Column],
        *,
        on_action: Callable[[str, str], object] | None = None,
        **traits: Any,
    ) -> None:
        """Makes an empty table.

        Args:
            label: Its accessible name.
            columns: Its columns.
            on_action: Called with the action and the row's id when a row's button is clicked.
            **traits: Others of the attributes.
        """
        shown = [asdict(one) for one in columns]
        super().__init__(label=label, columns=shown, **traits)
        self._on_action = on_action
        self.on_msg(self._heard)

    def show(self, rows: Iterable[Row], selected: str = "") -> None:
        """Shows these rows and selects one; the same again changes nothing."""
        shown = [row.to_dict(self.columns) for row in rows]
        if shown != self.rows:
            self.rows = shown
        if selected != self.selected:
            self.selected = selected

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        if content.get("kind") == "action" and self._on_action is not None:
            self._on_action(str(content.get("action", "")), str(content.get("id", "")))


def _shown(cell: Cell, kind: str) -> object:
    longest = _SENTENCE if kind == "wrap" else LONGEST_NAME
    if isinstance(cell, tuple):
        return [printable_name(cell[0], longest), cell[1]]
    return printable_name(cell, longest) if isinstance(cell, str) else cell
