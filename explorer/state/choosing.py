"""What a signature in the making takes and answers: what a person chose, and the rest worked out from it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import traitlets

from explorer.converting.choices import Choice, choose
from explorer.converting.pairs import parse_pairs
from explorer.errors import ConversionError, ExplorerError, quoted
from explorer.runtime.looking import Looked
from explorer.savedmodel.model import frozen
from explorer.state.offers import FixedOffer, Offer, fixed_offers, offers, unused_key
from explorer.state.telling import Held, TellingState, intent, sentence

ROLES = ("inputs", "outputs")

_NO_OUTPUT = "Choose at least one output."


class ChoosingState(TellingState):
    """The part of a conversion's state that says what the signature is.

    Attributes:
        looked: What it is; None before somebody looked.
        inputs: Input key → tensor: what a person chose, else what the outputs need. Of a Keras file, → its input.
        outputs: Output key → tensor: what a person chose, else the best. Of a Keras file, → its output or layer.
        constants: Placeholder → the value that it gets for good.
        typed: Placeholder → such a value as it was typed; those that nobody typed are left out.
        gap: What the signature lacks, in a sentence; empty where nothing is missing.
    """

    looked = Held(None)
    inputs = Held(frozen({}))
    outputs = Held(frozen({}))
    constants = Held(frozen({}))
    typed = Held(frozen({}))
    gap = traitlets.Unicode()

    _touched: frozenset[str] = frozenset()  # the roles that a person has chosen for
    _last_choice = 0

    @intent
    def choose_tensor(self, role: str, name: str, wanted: bool) -> None:
        """Takes a tensor among the inputs or outputs, or leaves it out."""
        chosen = {key: one for key, one in getattr(self, role).items() if one != name}
        if wanted:
            found = next((one.key for one in self.offers(role) if one.name == name), name)
            chosen[unused_key(found, chosen)] = name
        self._choose(role, chosen)

    @intent
    def add_tensors(self, role: str, text: str) -> None:
        """Takes tensors that a person names, ``key=tensor``."""
        found = parse_pairs(text, f"an {role.removesuffix('s')}")
        chosen = {key: one for key, one in getattr(self, role).items() if one not in found.values()}
        if twice := next((key for key in found if key in chosen), None):
            raise ConversionError(f"the key {quoted(twice)} is taken by {quoted(chosen[twice])}; give another one")
        self._choose(role, {**chosen, **found})

    @intent
    def name_tensor(self, role: str, name: str, key: str) -> None:
        """Gives a chosen tensor another key."""
        if problem := self.key_problem(role, name, key):
            raise ConversionError(problem)
        self._choose(role, {key if one == name else old: one for old, one in getattr(self, role).items()})

    @intent
    def fix(self, name: str, text: str) -> None:
        """Gives a placeholder a value for good, as JSON; an empty text gives it the proposed one back."""
        typed = {one: value for one, value in self.typed.items() if one != name}
        self.typed = frozen({**typed, name: text} if text.strip() else typed)
        self._complete()

    @intent
    def add_constant(self, text: str) -> None:
        """Gives a placeholder that a person names a value for good, ``placeholder=value`` with a value as JSON."""
        name, _, value = (part.strip() for part in text.partition("="))
        if not (name and value):
            raise ConversionError(
                f"a value for good is written PLACEHOLDER=VALUE, such as keep_prob=1.0, not {quoted(text)}"
            )
        if problem := self.constant_problem(value):
            raise ConversionError(problem)
        self.typed = frozen({**self.typed, name if ":" in name else f"{name}:0": value})
        self._complete()

    def offers(self, role: str) -> tuple[Offer, ...]:
        """What can be chosen for the inputs or outputs, best first."""
        return () if self.looked is None else offers(self.looked, role, getattr(self, role))

    def fixed_offers(self) -> tuple[FixedOffer, ...]:
        """The placeholders that get a value for good: those that only training changes, and those that were named."""
        if self.looked is None:
            return ()
        found = fixed_offers(self.looked)
        known = {one.name for one in found}
        return (*found, *(FixedOffer(name, "", "you named it", None) for name in self.typed if name not in known))

    def key_problem(self, role: str, name: str, key: str) -> str:
        """Why a chosen tensor can't have a key, in a sentence; empty where it can."""
        other = getattr(self, role).get(key)
        if not key.strip():
            return f"Give {quoted(name)} a key: clients call it by that."
        return "" if other in (None, name) else f"This key is taken by {quoted(other)}."

    def constant_problem(self, text: str) -> str:
        """Why a text is no value, in a sentence; empty where it is one, or where there is none."""
        try:
            json.loads(text or "0")
        except (ValueError, RecursionError):
            return f"{quoted(text)} is no number, true, false or list; write it as JSON, such as 1.0."
        return ""

    def _offer(self, looked: Looked, anew: bool) -> None:
        """Shows what was found out about a source.

        Args:
            looked: What was found out.
            anew: Whether what was chosen before is forgotten.
        """
        self.looked = looked
        if anew:
            self._touched, self.typed, self.constants = frozenset(), frozen({}), frozen({})
        for role in set(ROLES) - self._touched:
            setattr(self, role, frozen(parse_pairs(getattr(looked, role))))
        self._complete()

    def _choose(self, role: str, chosen: Mapping[str, str]) -> None:
        assert role in ROLES, role
        self._touched |= {role}
        setattr(self, role, frozen(dict(chosen)))
        self._complete()

    def _complete(self) -> None:
        """Works out what nobody chose: the inputs that the outputs need, and the values of what training changes."""
        self._last_choice += 1
        number, looked = self._last_choice, self.looked
        if "outputs" in self._touched and not self.outputs:
            self.gap = _NO_OUTPUT
            return
        if looked is None or looked.model is None:
            self.gap = ""
            return
        model = looked.model
        inputs, outputs = (getattr(self, role) if role in self._touched else {} for role in ROLES)
        constants = {name: json.loads(text) for name, text in self.typed.items() if not self.constant_problem(text)}

        def work() -> Choice | str:
            try:
                return choose(model.meta_graph(), inputs, outputs, constants)
            except ExplorerError as error:
                return str(error)

        def found(choice: Choice | str) -> None:
            if number == self._last_choice:  # else something else was chosen meanwhile
                self._completed(choice)

        self.run(work, found)

    def _completed(self, choice: Choice | str) -> None:
        if isinstance(choice, str):
            self.gap = sentence(choice)
            return
        self.gap, self.constants = "", frozen(choice.constants)
        self.outputs = frozen(choice.outputs)  # what was chosen, with whole names for those of nodes
        if "inputs" not in self._touched:
            self.inputs = frozen(choice.inputs)
            return
        self.inputs = frozen({key: choice.inputs[key] for key in self.inputs})
        if needed := sorted(set(choice.inputs.values()) - set(self.inputs.values())):
            self.gap = f"The outputs need {quoted(needed[0])}: take it among the inputs, or give it a value for good."
