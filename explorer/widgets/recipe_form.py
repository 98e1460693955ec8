"""Asks for a recipe, to apply its edits to the draft."""

from __future__ import annotations

from explorer.widgets.form import Entry, Form
from explorer.widgets.panel import Panel, assign


class RecipeForm(Form):
    """A field that a recipe is pasted or loaded into."""

    def __init__(self, panel: Panel) -> None:
        """Makes the form, closed."""
        self.panel = panel
        placeholder = '{"recipe": 1, "edits": [{"edit": "rename_output", …}]}'
        self.text = self.field("Recipe", placeholder=placeholder, lines=8, loads=".json")
        super().__init__(panel, self.text)
        self.text.observe(panel.heard(lambda _: self.check()), "value")

    def start(self) -> None:
        """Opens it, empty."""
        self.text.fill("", focused=True)
        self.begin("Apply this recipe", "The edits of a recipe, all of them or none, one after the other")

    def entry(self) -> Entry | None:
        """None: a recipe is no single edit."""
        return None

    def show(self) -> None:
        """Follows the state: it is about the whole draft, so only another form closes it."""
        if self.is_open and self.state.form != self.panel.place:
            self.dismiss()

    def check(self) -> None:
        """What was wrong with another text is so no longer."""
        assign(self.text, problem="")

    def apply(self) -> None:
        """Applies the recipe, or says why not."""
        self.make(self.state.apply_recipe, self.text.value)

    def fail(self, sentence: str) -> None:
        """Says it below the field."""
        assign(self.text, problem=sentence)
