"""What can be done to one input beyond its key and its tensor: a fixed value, a shape, a default, or its removal."""

from __future__ import annotations

from typing import Any

import ipywidgets

from explorer.errors import ExplorerError, printable_name
from explorer.render.markup import element
from explorer.savedmodel.default_values import printable_default
from explorer.savedmodel.model import DType, Shape, TensorInfo
from explorer.state.telling import sentence
from explorer.state.typed import parse_shape, parse_value
from explorer.widgets.form import Entry, Form
from explorer.widgets.panel import Panel, assign, set_hidden

_CHOICES = (
    ("Fix to a value…", "bind_input"),
    ("Restrict shape…", "set_input_shape"),
    ("Default value…", "set_default"),
    ("Remove…", "remove_input"),
)
_APPLY = {
    "bind_input": "Fix this input",
    "set_input_shape": "Restrict this shape",
    "set_default": "Set this default",
    "remove_input": "Remove this input",
}
_ABOUT = {
    "bind_input": "Requests no longer send it, and the signature answers as if this value were sent each time.",
    "set_input_shape": "The model itself then refuses values of any other shape. A ? stands for any size.",
    "set_default": (
        "TensorFlow Serving takes this value where a request leaves the input out. Clients in Python, which call the "
        "loaded model, don't see it."
    ),
    "remove_input": "Requests need not send it any more. That is possible where no output depends on it.",
}
_MOST_ELEMENTS = 8  # of an example


class InputForm(Form):
    """Asks what shall become of an input, and for the value or shape that it takes."""

    def __init__(self, panel: Panel) -> None:
        """Makes the form, closed."""
        self.panel = panel
        self.choice = ipywidgets.ToggleButtons(
            options=_CHOICES, layout=panel._layout, style=ipywidgets.ToggleButtonsStyle(button_width="auto")
        )
        self.about = panel.html()
        self.value = self.field("Value")
        self.shape = self.field("Shape", placeholder="?, 224, 224, 3")
        self.remove_default = panel.button("Remove the default", self._remove_default)
        super().__init__(panel, self.choice, self.about, self.value, self.shape, self.remove_default)
        self._signature_key, self._key = "", ""
        self._info: TensorInfo | None = None
        self._default: bytes | None = None
        self.choice.observe(panel.heard(lambda _: self._turn()), "value")
        self.value.observe(panel.heard(lambda _: self.check()), "value")
        self.shape.observe(panel.heard(lambda _: self.check()), "value")

    def start(self, signature_key: str, input_key: str, info: TensorInfo, default: bytes | None) -> None:
        """Opens it for an input.

        Args:
            signature_key: The signature.
            input_key: The input.
            info: What it is now.
            default: Its default value, None for none.
        """
        self._signature_key, self._key, self._info, self._default = signature_key, input_key, info, default
        name = printable_name(input_key)
        assign(self.value, label=f"Value of input {name}", placeholder=example(info.dtype, info.shape))
        assign(self.shape, label=f"Shape of input {name}")
        assign(self.choice, value="bind_input")
        self.value.fill("", focused=True)
        self.shape.fill("" if info.shape.dims is None else str(info.shape)[1:-1])
        self.begin(_APPLY["bind_input"], f"More for input {name}: ", element("code", str(info)))
        self._turn()

    def entry(self) -> Entry | None:
        """The recipe entry, None as long as what it takes isn't there.

        Raises:
            EditError: What was typed is no value, or no shape.
        """
        edit = str(self.choice.value)
        entry: dict[str, Any] = {"edit": edit, "signature_key": self._signature_key, "input_key": self._key}
        if edit in ("bind_input", "set_default"):
            return {**entry, "value": parse_value(self.value.value)} if self.value.value.strip() else None
        if edit == "set_input_shape":
            return {**entry, "shape": parse_shape(self.shape.value)} if self.shape.value.strip() else None
        return entry

    def check(self) -> None:
        """Says beside the field what is wrong with what was typed."""
        if not self.is_open:
            return
        self.say("")
        assign(self.value, problem="", hint=self._hint())
        assign(self.shape, problem="")
        entry: Entry | None = None
        try:
            entry = self.entry()
        except ExplorerError as error:
            self.fail(sentence(error))
        if entry is not None and not self._is_as_it_was(entry) and (problem := self.state.problem_with(entry)):
            self.fail(problem)

    def apply(self) -> None:
        """Makes the edit, or says what is missing or wrong."""
        try:
            if self.entry() is None:
                self.fail("Give a shape first." if self.choice.value == "set_input_shape" else "Give a value first.")
            else:
                super().apply()
        except ExplorerError as error:
            self.fail(sentence(error))

    def fail(self, sentence: str) -> None:
        """Says it beside the field that it is about."""
        edit = self.choice.value
        if edit == "remove_input":
            self.say(sentence)
        else:
            assign(self.shape if edit == "set_input_shape" else self.value, problem=sentence)

    def _turn(self) -> None:
        """Shows what the chosen edit takes."""
        edit = str(self.choice.value)
        assign(self.apply_button, description=_APPLY[edit])
        assign(self.about, value=str(element("p", _ABOUT[edit], class_="smx-note")))
        set_hidden(self.value, edit not in ("bind_input", "set_default"))
        set_hidden(self.shape, edit != "set_input_shape")
        set_hidden(self.remove_default, edit != "set_default" or self._default is None)
        self.check()

    def _hint(self) -> str:
        if self._info is None:
            return ""
        now = ""
        if self.choice.value == "set_default" and self._default is not None:
            now = f"; the default is {printable_default(self._default)} now"
        return f"{self._info}, as JSON: numbers, true or false, text in quotation marks, lists in brackets{now}"

    def _is_as_it_was(self, entry: Entry) -> bool:
        """Whether nothing was typed yet: the shape that the form began with."""
        return entry["edit"] == "set_input_shape" and self.shape.value == self.shape.text

    def _remove_default(self) -> None:
        entry = {"edit": "remove_default", "signature_key": self._signature_key, "input_key": self._key}
        self.make(self.state.edit, entry)


def example(dtype: DType, shape: Shape) -> str:
    """A value of a dtype and shape as JSON, empty where it would be long."""
    sizes = [1 if size is None else size for size in shape.dims or ()]
    count = 1
    for size in sizes:
        count *= size
    if not 0 < count <= _MOST_ELEMENTS or len(sizes) > _MOST_ELEMENTS:
        return ""
    name = str(dtype.base)
    text = '"text"' if name == "string" else "true" if name == "bool" else "0.5" if "float" in name else "1"
    for size in reversed(sizes):
        text = f"[{', '.join([text] * size)}]"
    return text
