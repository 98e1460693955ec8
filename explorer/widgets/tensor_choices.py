"""The inputs and outputs of a signature in the making: a check box and a key for each, best first."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets

from explorer.errors import printable_name, quoted
from explorer.render.markup import element, name_element
from explorer.state.converting import ConvertState
from explorer.state.offers import FixedOffer, Offer
from explorer.widgets.field import Field
from explorer.widgets.panel import Panel, assign, set_hidden

_FIRST_ROWS, _MORE_ROWS = 5, 20


class TensorChoices:
    """What can be chosen for the inputs or for the outputs; hidden while nothing can."""

    def __init__(self, panel: Panel, state: ConvertState, role: str) -> None:
        """Makes them without rows.

        Args:
            panel: Where they stand.
            state: What they show.
            role: ``inputs`` or ``outputs``.
        """
        self._panel, self._state, self._role = panel, state, role
        self._looked: object = None
        self._most = _FIRST_ROWS
        self.rows: list[TensorRow] = []
        self._heading = panel.html(element("h4", role.capitalize()))
        self._table = panel.row(_header(panel, "tensor", "key", "what speaks for it"), kind="choices")
        self.more = panel.button("Show more", self._show_more)
        self.widgets: tuple[ipywidgets.Widget, ...] = (self._heading, self._table, self.more)

    def show(self) -> None:
        """Shows the state."""
        if self._looked is not self._state.looked:
            self._looked, self._most = self._state.looked, _FIRST_ROWS
        offered = self._state.offers(self._role)
        shown = [one for place, one in enumerate(offered) if place < self._most or one.is_chosen]
        while len(self.rows) < len(shown):
            self.rows.append(TensorRow(self._panel, self._state, self._role))
        for row, one in zip(self.rows, shown, strict=False):
            row.show(one)
        wanted = (self._table.children[0], *(row.box for row in self.rows[: len(shown)]))
        if self._table.children != wanted:
            self._table.children = wanted
        left = len(offered) - len(shown)
        assign(
            self.more, description=f"Show {left} more" if left <= _MORE_ROWS else f"Show {_MORE_ROWS} of {left} more"
        )
        for widget in self.widgets:
            set_hidden(widget, not shown or (widget is self.more and not left))

    def close(self) -> None:
        """Closes the rows that aren't in sight; the panel closes the others."""
        self._table.children = (self._table.children[0], *(row.box for row in self.rows))

    def _show_more(self) -> None:
        self._most += _MORE_ROWS
        self.show()


class TensorRow:
    """A tensor: whether it is taken, its key, and what speaks for it."""

    def __init__(self, panel: Panel, state: ConvertState, role: str) -> None:
        """Makes the widgets of a row.

        Args:
            panel: Where it stands.
            state: What it is about.
            role: ``inputs`` or ``outputs``.
        """
        self._panel, self._state, self._role = panel, state, role
        self._one: Offer | None = None
        self.check = ipywidgets.Checkbox(indent=False, layout=panel._layout, style=panel._check_style)
        self.check.observe(panel.heard(lambda change: self._choose(change.new)), "value")
        self.key = Field("", layout=panel._layout)
        self.key.observe(panel.heard(lambda change: self._name(change.new)), "value")
        self.why = panel.html()
        self.box = panel.row(self.check, self.key, self.why, kind="choice")

    def show(self, one: Offer) -> None:
        """Shows what can be chosen."""
        is_other = self._one is None or (self._one.name, self._one.is_chosen) != (one.name, one.is_chosen)
        self._one = one
        # The inputs of a Keras model are what it is built with: all of them are fed.
        needed = self._role == "inputs" and self._state.needs_consent
        assign(self.check, description=printable_name(one.name), value=one.is_chosen, disabled=needed)
        assign(self.key, label=f"Key of {printable_name(one.name)}")
        set_hidden(self.key, not one.is_chosen)
        if is_other:
            assign(self.key, problem="")
        if self.key.value != one.key and not self.key.problem:
            self.key.fill(one.key)
        assign(self.why, value=_words(one.what, one.why))

    def _choose(self, wanted: bool) -> None:
        if self._one is not None:
            self._panel.ask(self._state.choose_tensor, self._role, self._one.name, wanted)

    def _name(self, key: str) -> None:
        one = self._one
        if one is None:
            return
        problem = self._state.key_problem(self._role, one.name, key)
        assign(self.key, problem=f"{problem} It stays {quoted(one.key)}." if problem else "")
        if not problem and key != one.key:
            self._panel.ask(self._state.name_tensor, self._role, one.name, key)


class FixedChoices:
    """The placeholders that get a value for good; hidden while there are none."""

    def __init__(self, panel: Panel, state: ConvertState) -> None:
        """Makes them without rows.

        Args:
            panel: Where they stand.
            state: What they show.
        """
        self._panel, self._state = panel, state
        self.rows: list[FixedRow] = []
        self._heading = panel.html(element("h4", "Values for good"))
        self._table = panel.row(_header(panel, "placeholder", "value", "why clients don't send it"), kind="choices")
        self.widgets: tuple[ipywidgets.Widget, ...] = (self._heading, self._table)

    def show(self) -> None:
        """Shows the state."""
        offered = self._state.fixed_offers()
        while len(self.rows) < len(offered):
            self.rows.append(FixedRow(self._panel, self._state))
        for row, one in zip(self.rows, offered, strict=False):
            row.show(one)
        wanted = (self._table.children[0], *(row.box for row in self.rows[: len(offered)]))
        if self._table.children != wanted:
            self._table.children = wanted
        for widget in self.widgets:
            set_hidden(widget, not offered)

    def close(self) -> None:
        """Closes the rows that aren't in sight; the panel closes the others."""
        self._table.children = (self._table.children[0], *(row.box for row in self.rows))


class FixedRow:
    """A placeholder and its value."""

    def __init__(self, panel: Panel, state: ConvertState) -> None:
        """Makes the widgets of a row.

        Args:
            panel: Where it stands.
            state: What it is about.
        """
        self._state = state
        self._one: FixedOffer | None = None
        self.name, self.why = panel.html(), panel.html()
        self.value = Field("", layout=panel._layout)
        fix: Callable[[str], object] = lambda text: self._one and panel.ask(state.fix, self._one.name, text)  # noqa: E731
        self.value.observe(panel.heard(lambda change: fix(change.new)), "value")
        self.box = panel.row(self.name, self.value, self.why, kind="choice")

    def show(self, one: FixedOffer) -> None:
        """Shows a placeholder."""
        self._one = one
        text = self._state.typed.get(one.name, "")
        assign(self.name, value=str(element("p", name_element(one.name))))
        proposed = "" if one.proposed is None else str(one.proposed).lower()
        assign(
            self.value,
            label=f"Value of {printable_name(one.name)}",
            placeholder=proposed,
            problem=self._state.constant_problem(text),
        )
        if self.value.value != text:
            self.value.fill(text)
        assign(self.why, value=_words(one.what, one.why))


def _header(panel: Panel, *labels: str) -> ipywidgets.Box:
    row = panel.row(*(panel.html(element("p", label, class_="smx-label")) for label in labels), kind="choice")
    row.add_class("smx-choice-header")
    return row


def _words(what: str, why: str) -> str:
    shown = element("span", what, class_="smx-mono") if what else None
    return str(element("p", shown, " · " if what and why else None, why, class_="smx-note"))
