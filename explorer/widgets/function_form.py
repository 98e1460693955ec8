"""Asks for a new signature that calls a function of the model, such as a method that was traced but not exported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from explorer.checking.findings import Finding
from explorer.errors import printable_name
from explorer.savedmodel.concrete_functions import ConcreteFunction, FunctionTensor
from explorer.state.choices import offered_functions
from explorer.state.telling import sentence
from explorer.widgets.field import Field
from explorer.widgets.form import Entry, Form
from explorer.widgets.panel import Panel, assign, set_hidden
from explorer.widgets.table import Column, Row, Table

_READING = "Reading the functions …"
_NONE = "The model offers no function besides those behind its signatures."


class FunctionForm(Form):
    """Lists the functions of the model; the keys of the chosen one begin as the names of its arguments and results."""

    def __init__(self, panel: Panel) -> None:
        """Makes the form, closed."""
        self.panel = panel
        columns = (
            Column("function", "name", header=True),
            Column("traced with", "code", usual=""),
            Column("arguments → results", "code"),
        )
        self.table = Table("Functions of the model", columns, selectable=True, layout=panel._layout)
        self.signature_key = self.field("Key of the new signature")
        self.key_fields = panel.row(kind="fields")
        self.details = panel.row(self.signature_key, self.key_fields, kind="function-keys")
        super().__init__(panel, self.table, self.details)
        self._fields: list[Field] = []
        self._functions: Sequence[ConcreteFunction] = ()
        self._function: ConcreteFunction | None = None
        self._filling = False  # while keys are put into their fields, one after the other
        self.table.observe(panel.heard(self._select), "selected")
        self.signature_key.observe(panel.heard(lambda _: self.check()), "value")

    def start(self) -> None:
        """Opens it, and reads the functions."""
        meta_graph = self.state.meta_graph
        if meta_graph is None:
            return
        self._functions, self._function = (), None
        assign(self.table, empty=_READING)
        self.table.show(())
        self.begin("Add this signature", "A new signature that calls a function of the model")
        self._show_keys()
        with self.state.asked_by(f"{self.panel.place}-form"):
            self.state.run(lambda: offered_functions(meta_graph), self._offer, lambda: self._offer(()))

    def entry(self) -> Entry | None:
        """The recipe entry, None as long as no function is chosen or it has no key."""
        function = self._function
        if function is None or not self.signature_key.value:
            return None
        inputs, outputs = self._chosen()
        return {
            "edit": "add_signature_from_function",
            "signature_key": self.signature_key.value,
            "function_name": function.name,
            "inputs": dict(inputs),
            "outputs": dict(outputs),
        }

    def check(self) -> None:
        """Says what is wrong with the signature, and what one should know about the function."""
        if not self.is_open or self._filling:
            return
        entry, slip = self.entry(), self._slip()
        assign(self.signature_key, problem="")
        if entry is None or slip:
            self.say(slip)
            return
        trial = self.state.trial(entry)
        if trial.refusal:
            self.say(trial.refusal)
        else:
            self.say(_in_sentences(trial.findings), warning=True)

    def apply(self) -> None:
        """Makes the edit, or says what is missing."""
        if self._function is None:
            self.say("Choose a function first.")
        elif not self.signature_key.value:
            assign(self.signature_key, problem="The new signature still needs a key.")
        elif slip := self._slip():
            self.say(slip)
        else:
            super().apply()

    def _offer(self, functions: Sequence[ConcreteFunction]) -> None:
        if not self.is_open:
            return
        self._functions = functions
        rows = [
            Row(str(place), (function.paths[0], ", ".join(function.python_arguments), _in_one_line(function)))
            for place, function in enumerate(functions)
        ]
        for_serving = [place for place, one in enumerate(functions) if "training=True" not in one.python_arguments]
        first = next(iter(for_serving or range(len(functions))), None)
        assign(self.table, empty=_NONE)
        self._function = None if first is None else functions[first]
        self.table.show(rows, "" if first is None else str(first))
        self._take(self._function)

    def _select(self, _change: object) -> None:
        place = self.table.selected
        if self.is_open and place.isdecimal() and int(place) < len(self._functions):
            function = self._functions[int(place)]
            if function is not self._function:
                self._take(function)

    def _take(self, function: ConcreteFunction | None) -> None:
        self._function, self._filling = function, True
        if function is not None:
            self.signature_key.fill(self._unused_key(function.paths[0].rpartition(".")[2]))
        self._show_keys()
        self._filling = False
        self.check()

    def _show_keys(self) -> None:
        """One field for each argument and result of the chosen function."""
        function = self._function
        set_hidden(self.details, function is None)
        assign(self.apply_button, disabled=function is None)
        tensors = () if function is None else self._tensors(function)
        while len(self._fields) < len(tensors):
            made = self.field("Key")
            made.observe(self.panel.heard(lambda _: self.check()), "value")
            self._fields.append(made)
        if len(self.key_fields.children) != len(self._fields):
            self.key_fields.children = tuple(self._fields)
        for place, field in enumerate(self._fields):
            set_hidden(field, place >= len(tensors))
            if place < len(tensors):
                what, tensor = tensors[place]
                left_out = "; empty leaves it out" if what == "result" else ""
                assign(
                    field,
                    label=f"Key of {what} {printable_name(tensor.name)}",
                    hint=f"{tensor.dtype}{tensor.shape}{left_out}",
                )
                field.fill(tensor.name if printable_name(tensor.name) == tensor.name else "")

    def _tensors(self, function: ConcreteFunction) -> list[tuple[str, FunctionTensor]]:
        return [
            *(("argument", tensor) for tensor in function.arguments),
            *(("result", tensor) for tensor in function.results),
        ]

    def _chosen(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """The keys with the arguments, and those with the results, that they stand for."""
        inputs: list[tuple[str, str]] = []
        outputs: list[tuple[str, str]] = []
        if self._function is not None:
            for field, (what, tensor) in zip(self._fields, self._tensors(self._function), strict=False):
                if field.value:
                    (inputs if what == "argument" else outputs).append((field.value, tensor.name))
        return inputs, outputs

    def _slip(self) -> str:
        """What is wrong with the keys before one asks the model."""
        for what, pairs in zip(("input", "output"), self._chosen(), strict=True):
            keys = [key for key, _ in pairs]
            if twice := next((key for key in keys if keys.count(key) > 1), None):
                return f"Two {what}s have the key {printable_name(twice)}; give each its own."
        if self._function is not None and not self._chosen()[1] and self._function.results:
            return "Give at least one result a key; a signature needs an output."
        return ""

    def _unused_key(self, wanted: str) -> str:
        """A key for the signature that none has yet."""
        taken = () if self.state.meta_graph is None else self.state.meta_graph.signatures
        wanted = wanted if printable_name(wanted) == wanted else "signature"
        number, key = 1, wanted
        while key in taken:
            number += 1
            key = f"{wanted}_{number}"
        return key


def _in_sentences(findings: Iterable[Finding]) -> str:
    """What was found, and then what to do about it, each said once."""
    found = list(findings)
    said = [one.message for one in found] + [one.fix for one in found if one.fix]
    return " ".join(f"{sentence(one).rstrip('.')}." for one in dict.fromkeys(said))


def _in_one_line(function: ConcreteFunction) -> str:
    return f"{_listed(function.arguments)} → {_listed(function.results)}"


def _listed(tensors: Iterable[FunctionTensor]) -> str:
    return ", ".join(f"{tensor.name} {tensor.dtype}{tensor.shape}" for tensor in tensors) or "nothing"
