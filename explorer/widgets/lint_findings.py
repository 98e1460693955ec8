"""What the linter says about a body, below it: where, what, why, what to do, and the corrected body at a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from explorer.errors import printable_name
from explorer.render.markup import Markup, element, join
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.table import Column, Row, Table

if TYPE_CHECKING:
    from explorer.serving.lint import LintResult

_SIGNS = {"error": "✖ error", "warning": "▲ warning", "note": "● note"}
_LONGEST = 1000
_MOST_CHANGES = 5


class LintFindings:
    """The findings; their widgets are those of the panel that they stand in, and come with the first finding."""

    def __init__(self, panel: Panel) -> None:
        """Makes a place for findings.

        Args:
            panel: Where they stand.
        """
        self._panel = panel
        self.summary = panel.html()
        self.box = panel.row(kind="lint")
        self.table: Table | None = None
        self.use: ipywidgets.Widget | None = None
        self.changes: ipywidgets.HTML | None = None
        self.widgets: tuple[ipywidgets.Widget, ...] = (self.summary, self.box)

    def show(self, found: LintResult | None, *, is_there: bool) -> None:
        """Shows findings.

        Args:
            found: What the linter said; None while it is still at work, or where it wasn't asked.
            is_there: Whether it was asked.
        """
        set_hidden(self.summary, not is_there)
        if not is_there:
            set_hidden(self.box, True)
            return
        assign(self.summary, value=str(element("p", _summary(found), role="status")))
        is_wrong = found is not None and bool(found.findings or found.changes)
        set_hidden(self.box, not is_wrong)
        if found is not None and is_wrong:
            self._show_all(found)

    def _show_all(self, found: LintResult) -> None:
        if self.table is None or self.use is None or self.changes is None:
            panel = self._panel
            columns = (Column("", header=True), Column("where", "path"), Column("what, why, and what to do", "wrap"))
            self.table = Table("What is wrong with the body", columns, layout=panel._layout)
            self.use = panel.button("Use the corrected body", lambda: panel.ask(panel.state.correct_body))
            self.changes = panel.html()
            self.box.children = (self.table, panel.row(self.use, self.changes, kind="toolbar"))
        rows = []
        for place, one in enumerate(found.findings):
            where = f"{one.path or 'the body'} (line {one.line})"
            rows.append(Row(str(place), (_SIGNS[one.severity], where, _capital(one.message))))
        self.table.show(rows)
        can_correct = found.corrected is not None and bool(found.changes)
        set_hidden(self.use, not can_correct)
        shown = found.changes[:_MOST_CHANGES] if can_correct else (found.reason,) if found.reason else ()
        lines = [printable_name(one, _LONGEST) for one in shown]
        if can_correct and len(found.changes) > _MOST_CHANGES:
            lines.append(f"… and {len(found.changes) - _MOST_CHANGES} more changes")
        if can_correct and found.more_bodies:
            count = len(found.more_bodies)
            rest = f"{count} more requests hold" if count > 1 else "one more request holds"
            lines.append(f"it is a part; {rest} the other rows")
        assign(self.changes, value=str(element("p", join(lines, element("br")), class_="smx-note")))


def _summary(found: LintResult | None) -> Markup:
    if found is None:
        return element("span", "Looking at the body …", class_="smx-muted")
    if found.status is not None:
        told = printable_name(found.server_sentence, _LONGEST)
        return join([element("strong", f"✖ A server refuses it with {found.status}: ", class_="smx-bad"), told])
    if any(one.severity == "error" for one in found.findings):
        return element("strong", "✖ The server takes it, and the model can't.", class_="smx-bad")
    if not found.ok:
        return element("strong", "▲ The server takes it, but it may not be what was meant.", class_="smx-warning")
    return element("span", "● Nothing is wrong with this body.", class_="smx-good")


def findings_text(found: LintResult) -> list[str]:
    """The same as lines of text."""
    lines = [printable_name(str(one), _LONGEST) for one in found.findings]
    if found.status is not None:
        lines.append(f"A server refuses it with {found.status}: {printable_name(found.server_sentence, _LONGEST)}")
    return lines or ["Nothing is wrong with this body."]


def _capital(text: str) -> str:
    return text if text[:1] in "'\"" else text[:1].upper() + text[1:]
