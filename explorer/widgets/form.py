"""A small form that makes one edit: it says what is wrong while one types, and closes when the edit is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets

from explorer.errors import printable_name
from explorer.render.markup import Child, element
from explorer.savedmodel.graph import GraphTensor
from explorer.savedmodel.model import DType
from explorer.state import ExplorerState
from explorer.widgets.field import Field
from explorer.widgets.panel import Panel, assign, error_markup, is_hidden, set_hidden, warning_markup
from explorer.widgets.picker import ANY_DTYPE, Found, Picker

Entry = dict[str, Any]

_OFFERED_DTYPES = (1, 2, 3, 9, 7, 10, 4, 6, 5, 17, 22, 23, 19, 14, 8, 18, 20, 21)
DTYPES = [[ANY_DTYPE, "any dtype"], *([str(number), str(DType(number))] for number in _OFFERED_DTYPES)]
"""What a picker can filter by: number of the dtype as text, and its name."""


class Form(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """One edit in the making, in a panel.

    Attributes:
        panel: The panel that it stands in.
        wants_inside: Whether its picker offers only tensors inside functions, where there are any.
    """

    wants_inside = False

    def __init__(self, panel: Panel, *fields: ipywidgets.Widget) -> None:
        """Makes a form, closed.

        Args:
            panel: The panel that it stands in.
            *fields: What is filled in.
        """
        super().__init__(layout=panel._layout)
        self.panel = panel
        self._about: tuple[int, str | None] = (0, None)
        self._heading = panel.html()
        self._problem = panel.html()
        self.apply_button = panel.button("Apply", self.apply, kind="primary")
        self.cancel_button = panel.button("Cancel", self.dismiss, tooltip="Close without a change")
        buttons = panel.row(self.apply_button, self.cancel_button, kind="toolbar")
        self.add_class("smx-form")
        set_hidden(self, True)
        self.children = (self._heading, *fields, self._problem, buttons)

    @property
    def state(self) -> ExplorerState:
        """The state of the panel."""
        return self.panel.state

    @property
    def is_open(self) -> bool:
        """Whether it is seen."""
        return not is_hidden(self)

    def entry(self) -> Entry | None:
        """The recipe entry that it makes, None as long as it isn't filled in."""
        raise NotImplementedError

    def check(self) -> None:
        """Says what is wrong with what is filled in."""
        raise NotImplementedError

    def show(self) -> None:
        """Follows the state: a form about a signature that is no longer chosen closes, and so does one in the way."""
        chosen = (self.state.meta_graph_index, self.state.signature_key)
        if self.is_open and (self._about != chosen or self.state.form != self.panel.place):
            self.dismiss()

    def begin(self, apply_text: str, *heading: Child) -> None:
        """Opens the form, whatever it was about before.

        What its fields begin with is put into them before: who types at once would type into the text to come.

        Args:
            apply_text: What the button that makes the edit says.
            *heading: What the form is about.
        """
        self._about = (self.state.meta_graph_index, self.state.signature_key)
        assign(self._heading, value=str(element("p", heading, class_="smx-form-heading")))
        assign(self.apply_button, description=apply_text)
        self.say("")
        set_hidden(self, False)
        self.state.form = self.panel.place

    def say(self, problem: str, *, warning: bool = False) -> None:
        """Shows what is wrong with the form as a whole; a warning is what the edit can be made with all the same."""
        assign(self._problem, value=warning_markup(problem) if warning else error_markup(problem))
        set_hidden(self._problem, not problem)

    def apply(self) -> None:
        """Makes the edit and closes; where it can't be made, says why and stays."""
        entry = self.entry()
        if entry is None:
            self.check()
        else:
            self.make(self.state.edit, entry)

    def make(self, intent: Callable[..., bool], *arguments: Any) -> None:
        """Asks the state for the change and closes; where it is refused, says why and stays."""
        with self.state.asked_by(f"{self.panel.place}-form"):
            done = intent(*arguments)
        if done:
            self.dismiss()
        elif self.is_open:
            self.fail(self.state.error)

    def fail(self, sentence: str) -> None:
        """Shows why the edit was not made; a form with one field says it beside the field."""
        self.say(sentence)

    def dismiss(self) -> None:
        """Closes it without an edit."""
        set_hidden(self, True)

    def picker(self, label: str, on_submit: Callable[[], object] | None = None) -> Picker:
        """A picker over the tensors that an edit can name; Enter applies the form unless told otherwise."""
        return Picker(
            label,
            self._search,
            on_submit=on_submit or self.apply,
            on_escape=self.dismiss,
            dtypes=DTYPES,
            layout=self.panel._layout,
        )

    def field(self, label: str, **traits: Any) -> Field:
        """A text field."""
        return Field(
            label,
            on_submit=self.panel.heard(self.apply),
            on_escape=self.panel.heard(self.dismiss),
            layout=self.panel._layout,
            **traits,
        )

    def _search(self, text: str, dtype: DType | None, found: Found) -> None:
        tensors, inside = self.state.tensors, self.wants_inside

        def work() -> Sequence[GraphTensor]:
            return () if tensors is None else tensors.search(text, dtype, inside=inside)

        with self.state.asked_by(f"{self.panel.place}-form"):
            self.state.run(work, found, lambda: found(()))


class KeyForm(Form):
    """Asks for a key."""

    def __init__(self, panel: Panel) -> None:
        """Makes the form, closed."""
        self.key = Field(
            "New key", on_submit=panel.heard(self.apply), on_escape=panel.heard(self.dismiss), layout=panel._layout
        )
        super().__init__(panel, self.key)
        self._make: Callable[[str], Mapping[str, Any]] = lambda key: {}
        self._before = ""
        self.key.observe(panel.heard(lambda _: self.check()), "value")

    def start(
        self, apply_text: str, heading: str, label: str, before: str, make: Callable[[str], Mapping[str, Any]]
    ) -> None:
        """Opens it.

        Args:
            apply_text: What the button says.
            heading: What the form is about.
            label: What the field is called.
            before: The key that there is.
            make: A new key → the recipe entry.
        """
        self._make, self._before = make, before
        assign(self.key, label=label)
        # A name that can't be shown as it is can't be typed over either.
        self.key.fill(before if printable_name(before) == before else "", focused=True)
        self.begin(apply_text, heading)
        self.check()

    def entry(self) -> Entry | None:
        """The recipe entry, None while the key is the old one."""
        return None if self.key.value == self._before else dict(self._make(self.key.value))

    def check(self) -> None:
        """Says what is wrong with the key; while it is the old one, whether another could be given at all."""
        if self.is_open:
            self.say("")
            entry = self.entry() or self._make(_unused_key(self._before))
            assign(self.key, problem=self.state.problem_with(entry))

    def fail(self, sentence: str) -> None:
        """Says it beside the field."""
        assign(self.key, problem=sentence)


class TensorForm(Form):
    """Asks for a tensor, and for a key too where something is added."""

    def __init__(self, panel: Panel) -> None:
        """Makes the form, closed."""
        self.key = Field(
            "Key of the new output",
            on_submit=panel.heard(self.apply),
            on_escape=panel.heard(self.dismiss),
            layout=panel._layout,
        )
        self.panel = panel
        self.tensor = self.picker("Tensor")
        super().__init__(panel, self.key, self.tensor)
        self._make: Callable[[str, str], Mapping[str, Any]] = lambda key, tensor_name: {}
        self._before = ""
        self.tensor.observe(panel.heard(lambda _: self.check()), "value")
        self.key.observe(panel.heard(lambda _: self.check()), "value")

    def start(
        self,
        apply_text: str,
        heading: str,
        label: str,
        before: str,
        make: Callable[[str, str], Mapping[str, Any]],
        *,
        with_key: bool = False,
        fed: bool = False,
    ) -> None:
        """Opens it.

        Args:
            apply_text: What the button says.
            heading: What the form is about.
            label: What the picker is called.
            before: The tensor that there is; empty for none.
            make: A key and the name of a tensor → the recipe entry.
            with_key: Whether to ask for a key.
            fed: Whether the tensor is fed, which in a model of TensorFlow 2 only one inside a function can be.
        """
        self._make, self._before, self.wants_inside = make, before, fed
        set_hidden(self.key, not with_key)
        assign(self.tensor, label=label)
        self.key.fill("", focused=with_key)
        self.tensor.fill(before, focused=not with_key)
        self.begin(apply_text, heading)
        self.check()

    def entry(self) -> Entry | None:
        """The recipe entry, None while no other tensor is chosen."""
        tensor = self.tensor.value
        return None if tensor in ("", self._before) else dict(self._make(self.key.value, tensor))

    def check(self) -> None:
        """Says what is wrong with the tensor, and what dtype and shape it has."""
        if not self.is_open:
            return
        self.say("")
        entry, tensor, typed = self.entry(), self._any_tensor(), self.tensor.value
        problem, about = "", self._described(typed) if typed else ""
        if entry is not None and about:
            problem = self.state.problem_with(entry)
        elif not is_hidden(self.key) and tensor:  # whether an output could be added at all, and under this key
            problem = self.state.problem_with(self._make(self.key.value or "…", tensor))
        # A part of a name is no fault: the list below the field shows what it may become.
        unfinished = "" if about or not typed else "No tensor of exactly this name; choose one of the list."
        assign(self.tensor, problem=problem, hint=about or unfinished)

    def fail(self, sentence: str) -> None:
        """Says it beside the picker."""
        assign(self.tensor, problem=sentence)

    def _any_tensor(self) -> str:
        signature = self.state.signature
        infos = () if signature is None else signature.outputs.values()
        return next((name for info in infos for name in info.tensor_names), "")

    def _described(self, tensor_name: str) -> str:
        found = self.state.find_tensor(tensor_name)
        if found is None:
            return ""
        return f"{found}, {f'from a node of type {printable_name(found.op)}' if found.op else 'an argument'}"


def _unused_key(key: str) -> str:
    return f"{key[:100]}_2_of_no_signature"
