"""An answer: its status, how long it took, its JSON, beside it that of a server, and the code that asks the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets

from explorer.errors import ExplorerError, printable_name
from explorer.render.markup import Markup, element, join
from explorer.render.tables import printable_size
from explorer.serving.shortened import shortened
from explorer.state.answers import Answered
from explorer.state.lines import BODY_FILE, answer_lines
from explorer.state.telling import sentence
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.panel import Panel, assign, set_hidden

if TYPE_CHECKING:
    from explorer.runtime.rest_api import RestAnswer

_MOST_CHARS = 6000
_LONGEST = 2000
_OWN_PREFIX = "savedmodel-explorer: "
_GOOD = 200


class AnswerResult:
    """The answer that is shown; its widgets come with the first one."""

    def __init__(self, panel: Panel) -> None:
        """Makes a place for an answer.

        Args:
            panel: Where it stands.
        """
        self._panel = panel
        self.box = panel.row(kind="result")
        self.status: ipywidgets.HTML | None = None
        self.widgets: tuple[ipywidgets.Widget, ...] = (self.box,)

    def show(self) -> None:
        """Shows the state."""
        state = self._panel.state
        answered = state.answer
        set_hidden(self.box, answered is None)
        if answered is None:
            return
        if self.status is None:
            self._make()
        assign(self.status, value=str(element("div", _status(answered), role="status")))
        is_both = answered.other is not None
        self.view.show(_code("Answer here" if is_both else "Answer", answered.answer))
        set_hidden(self.other, not is_both)
        if answered.other is not None:
            self.other.show(_code("Answer of the server", answered.other))
        lines = answer_lines(state)
        file = BODY_FILE if BODY_FILE in lines.python + lines.command + lines.curl else ""
        self.lines.show(
            *(
                Code(label, text, lines.note)
                for label, text in (("Python", lines.python), ("Command", lines.command), ("curl", lines.curl))
                if text
            ),
            *([Code("Body", shortened(state.body), "", "", True, lambda: state.body, None, file)] if file else []),
        )
        set_hidden(self.lines, not self.lines.codes)

    def _make(self) -> None:
        panel = self._panel
        self.status = panel.html()
        self.view = CodeView(label="The answer", layout=panel._layout)
        self.other = CodeView(label="The server's answer", layout=panel._layout)
        self.lines = CodeView(label="The same as code", layout=panel._layout)
        answers = panel.row(self.view, self.other, kind="answers")
        self.box.children = (self.status, answers, self.lines)


def result_text(answered: Answered) -> list[str]:
    """An answer as lines of text, for where widgets can't be."""
    lines = [_line(answered.answer), shortened(answered.answer.text)]
    if answered.other is not None:
        lines += [_equality(answered), f"The server: {_line(answered.other)}", shortened(answered.other.text)]
    return lines


def _status(answered: Answered) -> list[Markup]:
    place = "the server" if answered.where == "server" else "here"
    if answered.other is None:
        return [element("p", _told(answered.answer), element("span", f" · {place}", class_="smx-muted"))]
    verdict = element(
        "strong",
        "● " if answered.is_equal else "▲ ",
        _equality(answered),
        class_="smx-good" if answered.is_equal else "smx-warning",
    )
    return [
        element("p", verdict),
        element("p", "here: ", _told(answered.answer)),
        element("p", "the server: ", _told(answered.other)),
    ]


def _equality(answered: Answered) -> str:
    return "Both say the same." if answered.is_equal else "The answers differ."


def _told(answer: RestAnswer) -> Markup:
    if answer.is_own:
        return join([element("strong", "✖ No answer: ", class_="smx-bad"), _own_sentence(answer)])
    good = answer.status == _GOOD
    sign = element("strong", f"{'●' if good else '✖'} {answer.status}", class_="smx-good" if good else "smx-bad")
    return join([sign, _measures(answer)])


def _line(answer: RestAnswer) -> str:
    if answer.is_own:
        return f"No answer: {_own_sentence(answer)}"
    return f"Status {answer.status}{_measures(answer)}"


def _measures(answer: RestAnswer) -> str:
    return f" in {answer.latency_s * 1000:.1f} ms · {printable_size(len(answer.body))}"


def _own_sentence(answer: RestAnswer) -> str:
    """Why there is no answer of a server, from the answer that says so."""
    try:
        told = answer.json()["error"]
    except (ExplorerError, KeyError, TypeError):
        told = answer.text
    return sentence(printable_name(str(told).removeprefix(_OWN_PREFIX), _LONGEST))


def _code(label: str, answer: RestAnswer) -> Code:
    text, body = answer.text, answer.body
    is_cut = len(text) > _MOST_CHARS
    shown = shortened(text, _MOST_CHARS) if is_cut else text
    note = "Shortened here; copied and saved whole." if is_cut else ""
    return Code(label, shown, note, "", is_cut, lambda: body, None, "answer.json")
