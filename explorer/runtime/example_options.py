"""How serialized ``tf.Example`` records become the inputs of a signature: what a person chooses, checked.

A record holds lists of float32, int64 and bytes and nothing else, see ``tensorflow/core/example/feature.proto``; other
dtypes are cast from these. Nothing here needs TensorFlow; the traced step is ``explorer.runtime.steps.example``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from explorer.checking.method_rules import EXAMPLES_INPUT
from explorer.errors import EditError, NotFoundError, listed, quoted
from explorer.runtime.row_inputs import RowInput, rows_for, rows_from_dict
from explorer.runtime.row_values import DOUBLE, FLOATS
from explorer.savedmodel import constants
from explorer.savedmodel.model import Signature

DEFAULT_KEY = "examples"
"""The key of the new input, for predict."""

METHODS = ("predict", "classify", "regress")
"""What the new signature can be called by."""


@dataclass(frozen=True, slots=True)
class ExampleOptions:
    """What is parsed out of records.

    Attributes:
        inputs: What a record has for each input.
        batch: How many records the model takes at a time; None for any number.
        key: The key of the new input.
        reasons: What was chosen, and why; for people.

    Raises:
        EditError: There is nothing to parse, or an input can't be parsed.
    """

    inputs: tuple[RowInput, ...]
    batch: int | None = None
    key: str = DEFAULT_KEY
    reasons: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not self.features:
            raise EditError("there is no input that a tf.Example could feed")
        for one in self.inputs:
            # The values of a feature are a flat list: of one open size, the first, its length tells how large it is.
            if one.is_variable and None in one.shape[1:]:
                raise EditError(
                    f"input {quoted(one.key)} has {one.printable} for one row, and a tf.Example holds a flat list, "
                    "whose length tells only the first size; give the shape of one row for it"
                )

    @property
    def features(self) -> tuple[RowInput, ...]:
        """The inputs that are parsed; the others are constant."""
        return tuple(one for one in self.inputs if not one.is_constant)

    def to_dict(self) -> dict[str, Any]:
        """As plain data; the reasons are left out."""
        data = dataclasses.asdict(self)
        del data["reasons"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExampleOptions:
        """The inverse of :meth:`to_dict`.

        Raises:
            EditError: The data hasn't that form.
        """
        if unknown := sorted(set(data) - {"inputs", "batch", "key"}):
            raise EditError(f"there is no option {listed(unknown)} of tf.Examples")
        return cls(rows_from_dict(data.get("inputs")), data.get("batch"), str(data.get("key") or DEFAULT_KEY))


def example_options_for(
    signature: Signature,
    features: Mapping[str, Any] | None = None,
    *,
    only: Collection[str] | None = None,
    method: str = "predict",
    key: str = "",
) -> ExampleOptions:
    """The options for the inputs of a signature.

    Args:
        signature: The signature.
        features: Input key → the name of its feature, or a mapping with any of ``name``, ``default`` (a value for one
            row, where the feature is missing), ``shape`` (of one row, None for a length that differs) and ``padding``.
        only: The inputs that are fed; None for all that can be. The others stay inputs of the new signature.
        method: ``predict``, ``classify`` or ``regress``; the latter two send nothing but tf.Examples, so these must
            feed every input.
        key: The key of the new input; empty for the usual one.

    Raises:
        NotFoundError: The signature hasn't such an input, or there is no such method.
        EditError: An input can't be fed, and the sentence says why.
    """
    if method not in METHODS:
        raise NotFoundError("method", method, METHODS)
    is_supervised = method != "predict"
    if is_supervised and key not in ("", EXAMPLES_INPUT):
        raise EditError(f"{method} fills an input named {quoted(EXAMPLES_INPUT)}, so it can't be {quoted(key)}")
    rows = rows_for(signature, features, only=only, feeds_all=is_supervised)
    reasons = [*rows.reasons]
    for one in rows.inputs:
        if not one.is_constant and one.type_number != parsed_type(one):
            reasons.append((one.key, _cast_words(one)))
        if one.default is not None and one.is_variable:
            raise EditError(
                f"input {quoted(one.key)} takes rows of different lengths: a missing feature is an empty row, so it "
                "can't have a default"
            )
    chosen = EXAMPLES_INPUT if is_supervised else key or DEFAULT_KEY
    if is_supervised:
        reasons.append((chosen, f"{method} fills an input of this name"))
    return ExampleOptions(rows.inputs, rows.batch, chosen, tuple(reasons))


def parsed_type(one: RowInput) -> int:
    """The dtype that a record holds for an input: float32, int64 or string."""
    if one.is_text:
        return constants.DT_STRING
    return constants.DT_FLOAT if one.type_number in FLOATS else constants.DT_INT64


def example_words(options: ExampleOptions) -> str:
    """What is done with a record, in one sentence."""
    parts = [_feature_words(one) for one in options.features]
    parts += [f"input {quoted(one.key)} always {_shown(one.default)}" for one in options.inputs if one.is_constant]
    return f"serialized tf.Examples are parsed: {'; '.join(parts)}"


def _feature_words(one: RowInput) -> str:
    from explorer.savedmodel.model import DType

    held = DType(parsed_type(one))
    shape = f"[{', '.join('?' if dim is None else str(dim) for dim in one.shape)}]"
    name = quoted(one.name) if one.name == one.key else f"{quoted(one.name)} for input {quoted(one.key)}"
    cast = "" if held.number == one.type_number else f", cast to {one.dtype}"
    if one.is_variable:
        return f"{name} {held}{shape}, filled up with {one.filling!r}{cast}"
    return f"{name} {held}{shape}{', required' if one.default is None else f', else {_shown(one.default)}'}{cast}"


def _shown(values: tuple[Any, ...] | None) -> str:
    values = values or ()
    if len(set(values)) == 1:
        return repr(values[0])
    return f"[{', '.join(repr(value) for value in values[:4])}{', …' if len(values) > 4 else ''}]"


def _cast_words(one: RowInput) -> str:
    if one.type_number == DOUBLE:
        return "a tf.Example holds float32, so of its float64 the model gets what float32 can hold"
    if one.type_number in FLOATS:
        return f"a tf.Example holds float32, which is cast to {one.dtype}"
    if one.type_number == constants.DT_BOOL:
        return "a tf.Example holds int64: 1 and 0 stand for true and false, anything else is refused"
    return f"a tf.Example holds int64; a value that {one.dtype} can't hold is refused"
