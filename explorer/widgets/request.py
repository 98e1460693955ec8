"""The request to the chosen signature: its values as a form, and what they are in every protocol."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from explorer.render.html import code_html
from explorer.render.markup import element
from explorer.state.protocols import FILES, LABELS, REST_FILE, ProtocolPreview, address, protocol_preview
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.value_form import ValueForm

_NOTHING = "No signature is chosen."


class RequestPanel(Panel):
    """What a client sends; it changes with every value, and as the signature is edited."""

    place = "request"
    title = "Request"
    terms = ("row and column",)

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.form = ValueForm(self)
        self.notes = self.html()
        self.view = CodeView(label="The request", on_choose=self.heard(self._choose), layout=self._layout)
        return *self.form.widgets, self.notes, self.view

    def render(self) -> None:
        """Shows the state."""
        state = self.state
        set_hidden(self, state.signature is None)
        if state.signature is None:
            return
        self.form.show()
        problem = "" if state.is_untouched or state.requests is None else state.requests.problem
        sign = element("strong", "▲ ")
        assign(self.notes, value=str(element("p", sign, problem, class_="smx-error", role="status")))
        set_hidden(self.notes, not problem)
        offered, chosen = state.offered_protocols(), state.shown_protocol
        codes = [
            self._code(one, protocol_preview(state, one)) if one == chosen else Code(LABELS[one]) for one in offered
        ]
        self.view.show(*codes, chosen=offered.index(chosen))

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        state = self.state
        if state.signature is None:
            return code_html(_NOTHING), _NOTHING
        previews = [protocol_preview(state, one) for one in dict.fromkeys((state.shown_protocol, "curl"))]
        text = "\n\n".join(dict.fromkeys(preview.text or preview.problem for preview in previews))
        return code_html(text), text

    def close(self) -> None:
        """Lets go of the state, as every panel does, and of the rows that aren't in sight."""
        if not self._closed:
            self.form.close()
        super().close()

    def _choose(self, place: int) -> None:
        self.ask(self.state.choose_protocol, self.state.offered_protocols()[place])

    def _code(self, protocol: str, shown: ProtocolPreview) -> Code:
        size = "" if shown.size_bytes is None else f"{shown.size_bytes:,} bytes"
        if protocol == "curl":
            size = size and f"{size} of body"
            place = ""
        else:
            place = address(self.state, protocol)
        whole = "" if not shown.is_cut else "Shortened here; copied and saved whole."
        note = " · ".join(filter(None, (place, size, whole, shown.note)))
        return Code(
            LABELS[protocol], shown.text, note, shown.problem, shown.is_cut, shown.whole, shown.copied,
            FILES.get(protocol, REST_FILE),
        )  # fmt: skip
