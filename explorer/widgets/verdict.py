"""Will clients break? The draft beside what clients know, per signature and protocol, and as code."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from explorer.diagnosing.compatibility import Level, ProtocolVerdict, Verdict
from explorer.render.html import page
from explorer.render.markup import Markup, element, join
from explorer.render.verdicts import PROTOCOL_NAMES, VERDICT_SENTENCES, verdict_html, verdict_text
from explorer.savedmodel.model import printable_tags
from explorer.state.clients import Comparison
from explorer.state.lines import comparison_lines
from explorer.state.telling import sentence
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.panel import Panel, assign, set_hidden, set_options
from explorer.widgets.table import Column, Row, Table

_MOST_ROWS = 150  # of more the table would leave out the reasons
_SOURCE = -1  # no version's number; a dropdown shows nothing for None
_NO_EDITS = "No edits yet: clients see no difference."
_WORST_FIRST: tuple[Level, ...] = ("breaking", "compatible", "same")
_SIGNS = {"breaking": "✖ breaking", "compatible": "● compatible", "same": "○ same"}
_WORDS = {"breaking": "✖ Breaking.", "compatible": "● Compatible.", "same": "○ The same."}


class ClientsPanel(Panel):
    """What the draft is for the clients of the source, or of another version."""

    place = "clients"
    title = "Will clients break?"

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.known = self.dropdown("compare with", self._choose)
        self.summary = self.html()
        columns = (Column("signature", "name", header=True), Column("called by"), Column("verdict"))
        self.table = Table("What clients will see", columns, layout=self._layout)
        self.code = CodeView(label="The comparison as code", layout=self._layout)
        return self.known, self.summary, self.table, self.code

    def render(self) -> None:
        """Shows the state."""
        state = self.state
        set_hidden(self, state.model is None)
        others = state.other_versions()
        source = "the source" if state.version is None else f"the source, version {state.version}"
        options = [(source, _SOURCE), *((f"version {number}", number) for number in others)]
        set_options(self.known, options, _SOURCE if state.compared_with is None else state.compared_with)
        set_hidden(self.known, not others)
        found: Comparison | None = state.comparison
        verdict = None if found is None else found.verdict
        rows = [] if verdict is None else _rows(verdict)
        assign(self.summary, value=str(element("div", self._summary(found, len(rows)), role="status")))
        self.table.show(rows[:_MOST_ROWS])
        lines = comparison_lines(state)
        draft = "Here model is the draft, as the script under Code makes it."
        codes = (Code("Python", lines.python, draft), Code("Command", lines.command))
        self.code.show(*(code for code in codes if code.text))
        set_hidden(self.table, not rows)
        set_hidden(self.code, verdict is None or not lines.python)

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        found: Comparison | None = self.state.comparison
        if found is not None and found.verdict is not None:
            return verdict_html(found.verdict), verdict_text(found.verdict)
        text = _NO_EDITS if found is None else found.problem
        return page(element("p", text)), text

    def _choose(self, version: int | None) -> None:
        self.ask(self.state.compare_with, None if version == _SOURCE else version)

    def _summary(self, found: Comparison | None, num_rows: int) -> Markup:
        comparing = element("span", " Comparing …", class_="smx-muted") if self.state.comparing else None
        if found is None:
            return element("p", comparing or _NO_EDITS, class_="smx-note")
        if found.verdict is None:
            return element("p", element("strong", "▲ "), found.problem, comparing, class_="smx-error")
        level = found.verdict.verdict
        word = element("strong", _WORDS[level], class_="smx-bad" if level == "breaking" else "smx-good")
        lines = [element("p", word, f" {VERDICT_SENTENCES[level]}", comparing)]
        if remark := _what_is_compared(found):
            lines.append(element("p", remark, class_="smx-note"))
        if num_rows > _MOST_ROWS:
            more = f"{num_rows - _MOST_ROWS} more rows are left out here; the line of Python shows them all."
            lines.append(element("p", more, class_="smx-note"))
        return join(lines)


def _what_is_compared(found: Comparison) -> str:
    """What stands beside what, where that isn't plainly the draft beside the source."""
    if found.version is None and found.tags is None:
        return ""
    known = "the source" if found.version is None else f"version {found.version}"
    after = "the draft" if found.after.edits else "what is open"
    tags = "" if found.tags is None else f", for clients of the meta graph {printable_tags(found.tags)}"
    return sentence(f"{after} against {known}{tags}.")


def _rows(verdict: Verdict) -> list[Row]:
    """A row for each signature and for what its protocols have in common, the breaking ones first."""
    judged: list[tuple[Level, Row]] = []
    for key, protocols in verdict.signatures.items():
        groups: dict[ProtocolVerdict, list[str]] = {}
        for protocol, found in protocols.items():
            groups.setdefault(found, []).append(PROTOCOL_NAMES.get(protocol, protocol))
        for found, names in groups.items():
            called_by = "all" if len(names) == len(protocols) else ", ".join(_in_short(names))
            reasons = " ".join(f"{sentence(reason)}." for reason in found.reasons)
            note = ("error" if found.verdict == "breaking" else "note", reasons) if reasons else None
            judged.append((found.verdict, Row(str(len(judged)), (key, called_by, _SIGNS[found.verdict]), (), note)))
    return [row for _, row in sorted(judged, key=lambda one: _WORST_FIRST.index(one[0]))]


def _in_short(names: Sequence[str]) -> list[str]:
    """Names of protocols, both kinds of REST as one word."""
    both = [PROTOCOL_NAMES["rest_row"], PROTOCOL_NAMES["rest_column"]]
    return ["REST", *(name for name in names if name not in both)] if set(both) <= set(names) else list(names)
