"""Asks for a tag set: TensorFlow's five tags with what each is for, and any other text."""

from __future__ import annotations

import ipywidgets

from explorer.errors import printable_name
from explorer.savedmodel.constants import TAG_CONSTANTS
from explorer.savedmodel.model import printable_tags
from explorer.widgets.form import Entry, Form
from explorer.widgets.panel import Panel, assign

_EMPTY = (
    "Without any tag the meta graph can be loaded only by asking for the empty tag set; TensorFlow Serving and "
    "saved_model_cli can't ask for that."
)


class TagsForm(Form):
    """Sets the tags of the chosen meta graph, or copies it under other tags."""

    def __init__(self, panel: Panel) -> None:
        """Makes the form, closed."""
        self.panel = panel
        self.boxes = {
            tag: ipywidgets.Checkbox(
                description=f"{tag} – {about.partition(': ')[2]}",
                indent=False,
                layout=panel._layout,
                style=panel._check_style,
            )
            for tag, about in TAG_CONSTANTS.items()
        }
        self.other = self.field("Other tags", placeholder="separated by commas")
        super().__init__(panel, *self.boxes.values(), self.other)
        self._edit = "set_tags"
        for box in self.boxes.values():
            box.observe(panel.heard(lambda _: self.check()), "value")
        self.other.observe(panel.heard(lambda _: self.check()), "value")

    def start(self, *, copying: bool) -> None:
        """Opens it with the tags of the chosen meta graph."""
        meta_graph = self.state.meta_graph
        if meta_graph is None:
            return
        self._edit = "copy_meta_graph" if copying else "set_tags"
        tags = printable_tags(meta_graph.tags)
        heading = f"A copy of the meta graph {tags} with these tags" if copying else f"Tags of the meta graph {tags}"
        for tag, box in self.boxes.items():
            assign(box, value=tag in meta_graph.tags)
        others = [tag for tag in meta_graph.tag_list if tag not in TAG_CONSTANTS]
        self.other.fill(", ".join(tag for tag in others if printable_name(tag) == tag and "," not in tag))
        self.begin("Add the copy" if copying else "Set tags", heading)
        self.check()

    def entry(self) -> Entry:
        """The recipe entry."""
        tags = [tag for tag, box in self.boxes.items() if box.value]
        tags += [tag for text in self.other.value.split(",") if (tag := text.strip())]
        return {"edit": self._edit, "new_tags": tags}

    def check(self) -> None:
        """Says what is wrong with the tags, and what an empty tag set means."""
        if self.is_open:
            entry = self.entry()
            problem = self.state.refusal(entry)
            self.say("" if self._edit == "set_tags" and problem.endswith("already") else problem)
            assign(self.other, hint="" if entry["new_tags"] else _EMPTY)
