"""The code of a client for the request, in the language that one chooses, and the files that hand a model over."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from explorer.render.html import code_html, page
from explorer.render.markup import element
from explorer.state.client_codes import CLIENTS, client_codes
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.panel import Panel, set_hidden, set_options

_NOTHING = ""
_OPTIONS = (("choose …", _NOTHING), *((label, name) for name, label in CLIENTS.items()))
_LONGEST_SHOWN = 20_000  # characters
_CHOOSE = "Choose a language: the program that sends this request appears here."


class ClientPanel(Panel):
    """A program that sends the request, ready to run; it follows the values and the edits."""

    place = "client"
    title = "Client code"

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets; the code comes when something is chosen."""
        self.choice = self.dropdown("as", lambda choice: self.ask(self.state.choose_client, choice))
        self.hint = self.html(element("p", _CHOOSE, class_="smx-note"))
        self.view = CodeView(label="Client code", layout=self._layout)
        return self.row(self.choice, self.hint, kind="toolbar"), self.view

    def render(self) -> None:
        """Shows the state."""
        state = self.state
        set_hidden(self, state.signature is None)
        set_options(self.choice, _OPTIONS, state.client)
        is_chosen = bool(state.client) and state.signature is not None
        set_hidden(self.view, not is_chosen)
        set_hidden(self.hint, bool(state.client))
        if not is_chosen:
            return
        code = client_codes(state, state.client)
        if code.problem:
            self.view.show(Code(CLIENTS[state.client], problem=code.problem))
        else:
            self.view.show(*(self._code(name, text, code.note) for name, text in code.files.items()))

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        if not self.state.client:
            return page(element("p", _CHOOSE)), _CHOOSE
        code = client_codes(self.state, self.state.client)
        text = code.problem or "\n\n".join(code.files.values())
        return code_html(text), text

    def _code(self, name: str, text: str, note: str) -> Code:
        if len(text) <= _LONGEST_SHOWN:
            return Code(name, text.rstrip("\n"), note, "", False, lambda: text, None, name.rpartition("/")[2])
        shown = f"{text[: _LONGEST_SHOWN // 4]}\n… {len(text) - _LONGEST_SHOWN // 4} more characters …"
        whole = f"Shortened here; copied and saved whole. {note}".strip()
        return Code(name, shown, whole, "", True, lambda: text, None, name.rpartition("/")[2])
