"""The session as code: Python, recipe, command line, and TensorFlow's own command for what is shown."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from explorer.render.html import code_html
from explorer.state.previews import RECIPE_FILE, code_preview
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.panel import Panel, set_hidden


class CodePanel(Panel):
    """Every click as a line that does the same."""

    place = "code"
    title = "Code"

    def build(self) -> Sequence[ipywidgets.Widget]:
        """Makes its widgets."""
        self.view = CodeView(label="The same as code", layout=self._layout)
        return (self.view,)

    def render(self) -> None:
        """Shows the state."""
        set_hidden(self, self.state.model is None)
        code = code_preview(self.state)
        pending = bool(self.state.edits)
        self.view.show(
            Code("Python", code.python),
            Code(
                "Recipe",
                code.recipe,
                f"Save it as {RECIPE_FILE} to use it with the command." if pending else "No edits yet.",
            ),
            Code("Command", code.command, f"{RECIPE_FILE} is what the tab Recipe shows." if pending else ""),
            Code(
                "saved_model_cli",
                code.saved_model_cli,
                "" if code.on_disk else "It shows what is on disk, without the pending edits.",
            ),
        )

    def fallback(self) -> tuple[str, str]:
        """The same as HTML and text."""
        python = code_preview(self.state).python
        return code_html(python), python
