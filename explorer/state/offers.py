"""What a person can choose for a signature in the making: tensors of a graph, outputs and layers of a Keras model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from explorer.converting.candidates import Candidate
from explorer.converting.pairs import parse_pairs
from explorer.render.sources import tensor_type
from explorer.runtime.looking import Looked

_BY_HAND = "you named it"
_INPUT_LAYER = "InputLayer"


@dataclass(frozen=True, slots=True)
class Offer:
    """Something to choose.

    Attributes:
        name: The tensor; of a Keras model, the input, output or layer.
        key: Its key in the signature; the one that it would get, where it isn't chosen.
        what: Its type.
        why: What speaks for it.
        is_chosen: Whether it is in the signature.
    """

    name: str
    key: str
    what: str = ""
    why: str = ""
    is_chosen: bool = False


@dataclass(frozen=True, slots=True)
class FixedOffer:
    """A placeholder that gets a value for good.

    Attributes:
        name: Its tensor.
        what: Its type.
        why: Why it gets one.
        proposed: The value that it gets where nobody says another; None where somebody has to.
    """

    name: str
    what: str
    why: str
    proposed: bool | int | float | str | None


def offers(looked: Looked, role: str, chosen: Mapping[str, str]) -> tuple[Offer, ...]:
    """What can be chosen, best first, and at last what a person named.

    Args:
        looked: What was found out about the source.
        role: ``inputs`` or ``outputs``.
        chosen: Key → name, what is chosen.
    """
    known = _of_graph(looked, role) if looked.candidates is not None else _of_keras(looked, role)
    keys = {name: key for key, name in chosen.items()}
    shown = [
        Offer(one.name, keys.get(one.name, one.key), one.what, one.why, one.name in keys) for one in known.values()
    ]
    return (*shown, *(Offer(name, key, "", _BY_HAND, True) for name, key in keys.items() if name not in known))


def fixed_offers(looked: Looked) -> tuple[FixedOffer, ...]:
    """The placeholders that only training changes."""
    if looked.candidates is None:
        return ()
    return tuple(
        FixedOffer(one.tensor_name, tensor_type(one.dtype, one.shape), one.reason, one.value)
        for one in looked.candidates.constants
    )


def unused_key(key: str, taken: Mapping[str, str]) -> str:
    """A key that isn't taken, as near to this one as can be."""
    made, number = key, 0
    while made in taken:
        number += 1
        made = f"{key}_{number}"
    return made


def _of_graph(looked: Looked, role: str) -> dict[str, Offer]:
    assert looked.candidates is not None  # whoever calls made sure
    ranked: tuple[Candidate, ...] = getattr(looked.candidates, role)
    return {
        one.tensor_name: Offer(one.tensor_name, one.key, tensor_type(one.dtype, one.shape), "; ".join(one.reasons))
        for one in ranked
    }


def _of_keras(looked: Looked, role: str) -> dict[str, Offer]:
    if not looked.outputs:  # weights without a model: what they are put into says what it answers
        return {}
    named = parse_pairs(getattr(looked, role))
    why = f"the model's own {role.removesuffix('s')}"
    classes = dict(looked.layers)
    found = {name: Offer(name, key, classes.get(name, ""), why) for key, name in named.items()}
    if role == "outputs":
        for name, class_name in looked.layers:
            if class_name != _INPUT_LAYER and name not in found:
                found[name] = Offer(name, name, class_name, "a layer in between")
    return found
