"""The example request to the chosen signature: its body in row or column format, and the command that sends it."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from explorer.render.html import code_html
from explorer.render.markup import element
from explorer.state.previews import request_preview
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.panel import Panel, assign, set_hidden


class RequestPanel(Panel):
    """What a client sends; it changes as the signature is edited."""

    place = "request"
    title = "Request"
    terms = ("row and column",)

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.format = ipywidgets.ToggleButtons(
            options=[("row", "row"), ("column", "column")],
            value=None,
            layout=self._layout,
            style={"button_width": "auto"},
        )
        self.format.observe(self.heard(self._choose), "value")
        self.reason = self.html()
        self.view = CodeView(label="The request", layout=self._layout)
        return self.row(self.format, self.reason, kind="toolbar"), self.view

    def render(self) -> None:
        """Shows the state."""
        set_hidden(self, self.state.signature is None)
        request = request_preview(self.state)
        assign(self.format, disabled=request.fitting not in ("row", "column"))
        assign(self.format, value=request.format if request.format in ("row", "column") else None)
        remark = request.problem or (
            request.reason
            if request.format == request.fitting
            else f"{request.fitting.capitalize()} would be the usual one: {request.reason}"
        )
        sign = element("strong", "▲ ") if request.problem else None
        assign(
            self.reason, value=str(element("p", sign, remark, class_="smx-error" if request.problem else "smx-note"))
        )
        self.view.show(Code("Body", request.body), Code("curl", request.curl))

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        request = request_preview(self.state)
        text = "\n\n".join(filter(None, (request.body, request.curl, request.problem)))
        return code_html(text), text

    def _choose(self, change: object) -> None:
        if self.format.value is not None:
            self.ask(self.state.choose_format, self.format.value)
