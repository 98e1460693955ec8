"""What was answered so far: choosing a row brings its body and its answer back, and good bodies can be kept."""

from __future__ import annotations

import ipywidgets

from explorer.render.markup import element
from explorer.state.answers import Answered
from explorer.state.keeping import can_be_kept
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.table import Column, Row, Table

_CONSENT = (
    "Each of them is run once more in a child process before the version is published; a record that fails publishes "
    "nothing."
)
_KEEP = "Keep makes a body a warm-up record of a new version."
_LONGEST_LINE = 80
_LOOKED_AT = 400


class AnswerHistory:
    """The history; its widgets come with the first answer."""

    def __init__(self, panel: Panel) -> None:
        """Makes a place for the history.

        Args:
            panel: Where it stands.
        """
        self._panel = panel
        self.box = panel.row(kind="history")
        self.table: Table | None = None
        self.widgets: tuple[ipywidgets.Widget, ...] = (self.box,)

    def show(self) -> None:
        """Shows the state."""
        state = self._panel.state
        set_hidden(self.box, not state.answers)
        if not state.answers:
            return
        if self.table is None:
            self._make()
        assert self.table is not None
        shown = "" if state.answer is None else str(state.answer.number)
        self.table.show([self._row(one) for one in state.answers], shown)
        count = len(state.kept)
        is_offered = count > 0
        can_keep = any(map(can_be_kept, state.answers))
        number, problem = state.export_target()
        bodies = "1 body is kept as a warm-up record" if count == 1 else f"{count} bodies are kept as warm-up records"
        consent = f"{bodies}. {_CONSENT}" if count else _KEEP
        assign(self.consent, value=str(element("p", consent, class_="smx-note")))
        where = "a new version" if number is None else f"version {number}"
        assign(self.write, description=f"Write {where} with these records", disabled=bool(state.busy or problem))
        done = element("p", "● ", state.kept_written, class_="smx-good-box", role="status")
        assign(self.written, value=str(done))
        set_hidden(self.consent, not can_keep)
        set_hidden(self.write, not is_offered)
        set_hidden(self.written, not state.kept_written)

    def _make(self) -> None:
        panel, state = self._panel, self._panel.state
        columns = (
            Column("time", header=True),
            Column("signature", "name"),
            Column("verb", usual="predict"),
            Column("by", usual="here"),
            Column("status", "number"),
            Column("ms", "number"),
            Column("answer", "code"),
        )
        self.table = Table(
            "Answers so far", columns, on_action=panel.heard(self._act), selectable=True, layout=panel._layout
        )
        self.table.observe(panel.heard(self._choose), "selected")
        self.consent = panel.html()
        self.write = panel.button("Write", lambda: panel.ask(state.write_warmup, consent=True))
        self.written = panel.html()
        self.box.children = (
            panel.html(element("h4", "Answers so far")), self.table, self.consent, self.write, self.written,
        )  # fmt: skip

    def _row(self, one: Answered) -> Row:
        time = one.time.strftime("%H:%M:%S")
        kept = one.number in self._panel.state.kept
        actions: tuple[tuple[str, str, str], ...] = ()
        if can_be_kept(one):
            label = "Kept ✓" if kept else "Keep"
            name = f"Don't keep the body of {time} as a warm-up record" if kept else (
                f"Keep the body of {time} as a warm-up record"
            )  # fmt: skip
            actions = (("drop" if kept else "keep", label, name),)
        latency_ms = one.answer.latency_s * 1000
        line = " ".join(one.answer.body[:_LOOKED_AT].decode("utf-8", "replace").split())
        first = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
        status = "none" if one.answer.is_own else one.answer.status
        cells = (
            time, one.signature_key, one.verb, one.where, status, (f"{latency_ms:.1f}", int(latency_ms * 1000)), first
        )  # fmt: skip
        return Row(str(one.number), cells, actions)

    def _choose(self, _change: object) -> None:
        number = self.table.selected if self.table is not None else ""
        if number.isdecimal():
            self._panel.ask(self._panel.state.choose_answer, int(number))

    def _act(self, action: str, row: str) -> None:
        if row.isdecimal():
            self._panel.ask(self._panel.state.keep, int(row), action == "keep")
