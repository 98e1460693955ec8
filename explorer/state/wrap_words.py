"""What a step before a signature would do, in words, and what was chosen for it and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from explorer.errors import ExplorerError
from explorer.savedmodel.constants import DT_STRING
from explorer.savedmodel.model import Signature
from explorer.state.wrap_choices import PICTURES

if TYPE_CHECKING:
    from explorer.runtime.image_options import ImageOptions

_OF_ALL_KINDS = ("labels", "output_key", "new_signature_key")

Words = tuple[str, tuple[tuple[str, str], ...]]
"""What is done, in a sentence, and what was chosen with the reason for each."""


def options_given(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was chosen for the step itself, without what is for the signature."""
    return {name: value for name, value in given.items() if name not in _OF_ALL_KINDS}


def image_options(
    kind: str, signature: Signature, input_key: str | None, given: Mapping[str, Any]
) -> ImageOptions | None:
    """How pictures would be brought into shape; None where none are taken, or a choice doesn't fit."""
    from explorer.runtime.with_pictures import image_options_of

    if kind not in PICTURES:
        return None
    try:
        return image_options_of(signature, input_key, base64=kind == "base64", **options_given(given))
    except ExplorerError:
        return None  # whoever checks the choices says why


def step_words(kind: str, signature: Signature, input_key: str | None, given: Mapping[str, Any]) -> Words:
    """What the step would do; empty where it can't be made, or does no more than decoding.

    Args:
        kind: What the new signature takes.
        signature: The signature.
        input_key: The input that is fed; None where only one can be meant, or all are.
        given: What was chosen.
    """
    if kind in PICTURES:
        from explorer.runtime.image_options import formula

        pictures = image_options(kind, signature, input_key, given)
        return ("", ()) if pictures is None else (f"each picture is {formula(pictures)}", pictures.reasons)
    only = None if input_key is None else (input_key,)
    try:
        if kind == "example":
            from explorer.runtime.example_options import example_options_for, example_words

            examples = example_options_for(signature, only=only, **options_given(given))
            return example_words(examples), examples.reasons
        from explorer.runtime.table_options import table_options_for, table_words

        rows = table_options_for(kind, signature, only=only, **options_given(given))
        return table_words(rows), rows.reasons
    except ExplorerError:
        return "", ()


def likely_kind(signature: Signature | None) -> str:
    """What clients most likely have for the inputs of a signature."""
    from explorer.runtime.image_options import takes_pictures

    infos = () if signature is None else tuple(signature.inputs.values())
    if not infos or any(map(takes_pictures, infos)):
        return "image"
    return "base64" if len(infos) == 1 and infos[0].dtype.base.number == DT_STRING else "example"
