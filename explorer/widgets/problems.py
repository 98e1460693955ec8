"""What the checks say about the draft, each with its reason and its fix, and a button where an edit mends it."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from explorer.render.html import findings_html
from explorer.render.markup import element
from explorer.render.tables import finding_place
from explorer.render.text import to_text
from explorer.state.telling import message_and_fix
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.table import Column, Row, Table

_SIGNS = {"error": "✖ error", "warning": "▲ warning", "note": "● note"}


class Problems(Panel):
    """A table of findings, the worst first."""

    place = "problems"
    title = "Problems"

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        columns = (Column("severity"), Column("where", "name"), Column("what is wrong, and what to do", "wrap"))
        self.table = Table("Problems", columns, on_action=self.heard(self._mend), layout=self._layout)
        self.summary = self.html()
        self.mend_all = self.button(
            "Mend all", lambda: self.ask(self.state.repair), tooltip="Make every edit that takes nothing away"
        )
        return self.row(self.summary, self.mend_all), self.table

    def render(self) -> None:
        """Shows the state."""
        state = self.state
        set_hidden(self, state.model is None)
        self.table.show(
            Row(
                str(place),
                (_SIGNS[found.severity], finding_place(found), message_and_fix(found)),
                (("mend", "Mend", f"Mend {found.code} in {finding_place(found)}"),) if found.edit is not None else (),
            )
            for place, found in enumerate(state.findings)
        )
        count = 0 if state.checking else len(state.repairs())
        assign(self.mend_all, description=f"Mend all {count}")
        set_hidden(self.mend_all, count < 2)
        assign(self.summary, value=str(element("p", self._summary(), class_="smx-note")))

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        if self.state.model is None:
            return "", ""
        return findings_html(self.state.findings), to_text(
            self.state.findings
        ) if self.state.findings else "No findings."

    def _summary(self) -> str:
        if self.state.checking:
            return "Checking …"
        if not self.state.findings:
            return "None found: tensors, dtypes, shapes, keys, method names and tags fit together."
        if self.state.refusals:
            count = len(self.state.refusals)
            what = "1 error comes" if count == 1 else f"{count} errors come"
            return f"{what} from the edits; an export is refused as long as that is so."
        if self.state.new_errors:
            return "The warm-up records no longer fit; the export settles that as its options say."
        if any(found.severity == "error" for found in self.state.findings):
            return "The file had its errors before; an export is refused only for errors that edits bring in."
        return "Nothing here stops an export."

    def _mend(self, _action: str, row: str) -> None:
        if row.isdecimal() and int(row) < len(self.state.findings):
            self.ask(self.state.mend, self.state.findings[int(row)])
