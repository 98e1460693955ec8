"""The forms of the signatures panel that ask for more than a key: the method name, and a whole new signature."""

from __future__ import annotations

import ipywidgets

from explorer.editing.editable import expect_new_signature_key
from explorer.errors import ExplorerError, printable_name
from explorer.savedmodel.constants import METHOD_NAMES, PREDICT_METHOD_NAME
from explorer.state.telling import sentence
from explorer.widgets.form import Entry, Form
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.table import Column, Row, Table

_OTHER = "other"
_METHODS = [(name.rpartition("/")[2], name) for name in METHOD_NAMES]


class MethodForm(Form):
    """Asks for a method name: one of TensorFlow's three, or any text."""

    def __init__(self, panel: Panel) -> None:
        """Makes the form, closed."""
        self.panel = panel
        self.choice = ipywidgets.Dropdown(
            description="Method name",
            options=[*_METHODS, ("another text", _OTHER)],
            layout=panel._layout,
            style=panel._label_style,
        )
        self.other = self.field("Other method name")
        super().__init__(panel, self.choice, self.other)
        self._signature_key = ""
        self.choice.observe(panel.heard(lambda _: self.check()), "value")
        self.other.observe(panel.heard(lambda _: self.check()), "value")

    def start(self, signature_key: str, method_name: str) -> None:
        """Opens it for a signature that has a method name."""
        self._signature_key = signature_key
        is_known = method_name in METHOD_NAMES
        self.other.fill("" if is_known or printable_name(method_name) != method_name else method_name)
        assign(self.choice, value=method_name if is_known else _OTHER)
        self.begin("Set method name", f"What a server does with signature {printable_name(signature_key)}")
        self.check()

    def entry(self) -> Entry:
        """The recipe entry."""
        name = self.other.value if self.choice.value == _OTHER else self.choice.value
        return {"edit": "set_method_name", "signature_key": self._signature_key, "method_name": name}

    def check(self) -> None:
        """Says what is wrong with the method name: what the checks would say about the signature with it."""
        if self.is_open:
            set_hidden(self.other, self.choice.value != _OTHER)
            problem = self.state.problem_with(self.entry())
            self.say("" if problem.endswith("already") else problem)


class SignatureForm(Form):
    """Asks for a new signature: its key, its method name, and tensors for its inputs and outputs."""

    def __init__(self, panel: Panel) -> None:
        """Makes the form, closed."""
        self.panel = panel
        self.signature_key = self.field("Key of the new signature")
        self.method = ipywidgets.Dropdown(
            description="Method of the new signature", options=_METHODS, layout=panel._layout, style=panel._label_style
        )
        self.tensor = self.picker("Tensor to add", on_submit=self._add_output)
        self.key = self.field("Key of this tensor")
        self.add_input_button = panel.button("Use as input", self._add_input)
        self.add_output_button = panel.button("Use as output", self._add_output)
        columns = (Column("", "text"), Column("key", "name", header=True), Column("tensor", "path"))
        self.chosen = Table(
            "Tensors of the new signature", columns, on_action=panel.heard(self._take_out), layout=panel._layout,
            empty="Choose at least one input and one output.",
        )  # fmt: skip
        super().__init__(
            panel,
            panel.row(self.signature_key, self.method, kind="fields"),
            panel.row(self.tensor, self.key, kind="fields"),
            panel.row(self.add_input_button, self.add_output_button, kind="toolbar"),
            self.chosen,
        )
        self._inputs: dict[str, str] = {}
        self._outputs: dict[str, str] = {}
        self.signature_key.observe(panel.heard(lambda _: self.check()), "value")
        self.method.observe(panel.heard(lambda _: self.check()), "value")
        self.tensor.observe(panel.heard(self._suggest_key), "value")

    def start(self) -> None:
        """Opens it, empty."""
        self._inputs, self._outputs = {}, {}
        self.signature_key.fill("", focused=True)
        self.tensor.fill("")
        self.key.fill("")
        assign(self.method, value=PREDICT_METHOD_NAME)
        signature, meta_graph = self.state.signature, self.state.meta_graph
        inside = signature is not None and meta_graph is not None and meta_graph.has_object_graph
        of = f", also inside the functions of {printable_name(signature.key)}" if inside and signature else ""
        self.begin("Add this signature", f"A new signature over tensors of the graph{of}; dtypes and shapes are theirs")
        self.check()

    def entry(self) -> Entry | None:
        """The recipe entry, None as long as it has no key, no input or no output."""
        if not (self.signature_key.value and self._inputs and self._outputs):
            return None
        return {
            "edit": "add_signature",
            "signature_key": self.signature_key.value,
            "inputs": dict(self._inputs),
            "outputs": dict(self._outputs),
            "method_name": self.method.value,
        }

    def check(self) -> None:
        """Says what is wrong with the key, and shows what is chosen."""
        if not self.is_open:
            return
        entry, taken = self.entry(), self._problem_with_key()
        assign(self.signature_key, problem=taken)
        self.say("" if taken or entry is None else self.state.problem_with(entry))
        self.chosen.show(
            Row(f"{side}/{place}", (side, key, name), (("take_out", "Take out", f"Take out {side} {key}"),))
            for side, tensors in (("input", self._inputs), ("output", self._outputs))
            for place, (key, name) in enumerate(tensors.items())
        )

    def apply(self) -> None:
        """Makes the edit, or says what is missing."""
        if self.entry() is None:
            missing = "a key" if not self.signature_key.value else "an input" if not self._inputs else "an output"
            self.say(f"The new signature still needs {missing}.")
        else:
            super().apply()

    def _problem_with_key(self) -> str:
        """Why a new signature can't have this key."""
        meta_graph = self.state.meta_graph
        if meta_graph is None or not self.signature_key.value:
            return ""
        try:
            expect_new_signature_key(meta_graph, self.signature_key.value)
        except ExplorerError as error:
            return sentence(error)
        return ""

    def _problem_with_tensor(self, name: str) -> str:
        """Why a name can't stand for a tensor of a new signature."""
        if self.state.find_tensor(name) is not None:
            return ""
        if not name:
            return "Choose a tensor first."
        if self.state.find_tensor(f"{name}:0") is not None:
            return f"{printable_name(name)} is an op; its first tensor is {printable_name(name)}:0."
        return (
            f"There is no tensor {printable_name(name)}, or more than one whose name ends so; choose one of the list."
        )

    def _suggest_key(self, _change: object) -> None:
        if not self.key.value or self.key.value == self.key.text:
            node = self.tensor.value.partition(":")[0].rpartition("/")[2]
            self.key.fill(node if printable_name(node) == node else "")

    def _add_input(self) -> None:
        self._add(self._inputs, "input")

    def _add_output(self) -> None:
        self._add(self._outputs, "output")

    def _add(self, tensors: dict[str, str], side: str) -> None:
        key, name = self.key.value, self.tensor.value
        problem = self._problem_with_tensor(name)
        if not key and not problem:
            problem = f"Give the {side} a key."
        elif key in tensors:
            problem = f"There is an {side} with the key {printable_name(key)} already."
        if not problem:
            tensors[key] = name
            self.tensor.fill("")
            self.key.fill("")
        assign(self.tensor, problem=problem)
        if not problem:
            self.check()

    def _take_out(self, _action: str, row: str) -> None:
        side, _, place = row.partition("/")
        tensors = self._inputs if side == "input" else self._outputs
        if place.isdecimal() and int(place) < len(tensors):
            del tensors[list(tensors)[int(place)]]
        self.check()
