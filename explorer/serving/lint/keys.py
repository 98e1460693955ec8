"""Which input was meant by a key that the signature doesn't have."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from explorer.errors import listed
from explorer.savedmodel.model import MetaGraph, Signature


class Meant(NamedTuple):
    """A key and the input that it stands for.

    Attributes:
        key: The input's key.
        why: How one can tell, as a part of a sentence.
    """

    key: str
    why: str


def meant_inputs(given: Sequence[str], signature: Signature) -> dict[str, Meant]:
    """Finds the inputs that unknown keys stand for.

    Args:
        given: All keys of a request.
        signature: The signature.

    Returns:
        Unknown key → the input, of which each is taken once; keys that may mean anything are left out.
    """
    free = [key for key in signature.inputs if key not in given]
    found: dict[str, Meant] = {}

    def take(key: str, wanted: str, why: str) -> None:
        found[key] = Meant(wanted, why)
        free.remove(wanted)

    unknown = [key for key in given if key not in signature.inputs]
    for key in unknown:
        node = key.removesuffix(":0")
        for wanted in free:
            name = (signature.inputs[wanted].tensor_name or "").removesuffix(":0")
            if node in (name, f"{signature.key}_{wanted}", f"serving_default_{wanted}"):
                take(key, wanted, "which is its tensor in the graph; a request names the key of the signature")
                break
    for key in unknown:
        same = [wanted for wanted in free if _plain(wanted) == _plain(key)]
        if key not in found and same:
            take(key, same[0], "which differs in its letters")
    for key in unknown:
        close = difflib.get_close_matches(key, free, n=1, cutoff=0.6)
        if key not in found and close:
            take(key, close[0], "which is like it")
    left = [key for key in unknown if key not in found]
    if len(left) == 1 and len(free) == 1:
        take(left[0], free[0], "the only input that is left")
    return found


def signatures_with(meta_graph: MetaGraph, keys: Sequence[str], but: str = "") -> list[str]:
    """The signatures that have exactly these inputs."""
    wanted = set(keys)
    return [
        key
        for key, signature in meta_graph.callable_signatures.items()
        if key != but and wanted and set(signature.inputs) == wanted
    ]


def available_inputs(signature: Signature) -> str:
    """The inputs of a signature, for a sentence."""
    return f"available: {listed(signature.inputs)}"


def _plain(key: str) -> str:
    return "".join(letter for letter in key.lower() if letter.isalnum())
