"""A signature that takes encoded pictures, or base64 text, in place of an input."""

from __future__ import annotations

import threading
from typing import Any

from explorer.errors import EditError, quoted
from explorer.runtime.image_options import ImageOptions, formula, image_options_for, picture_input, takes_pictures
from explorer.runtime.made_by import made_by
from explorer.runtime.steps.text_encoding import base64_options_for
from explorer.runtime.steps.trace import TIMEOUT_S
from explorer.runtime.wrapped import Labels, Tags, Wanted, Wrapped, add_signature, expect_predict
from explorer.savedmodel import constants
from explorer.savedmodel.model import SavedModel, Signature

_BASE64_WORDS = "base64 text, of either alphabet, is decoded to bytes"


def with_image(
    model: SavedModel,
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    input_key: str | None = None,
    *,
    new_signature_key: str | None = None,
    labels: Labels = None,
    output_key: str | None = None,
    method: str = "predict",
    tags: Tags = None,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
    **options: Any,
) -> Wrapped:
    """Adds a signature that takes encoded pictures in place of an input.

    Args:
        model: The model, edited or not.
        signature_key: The signature whose input takes pixels.
        input_key: That input; None where only one can be meant.
        new_signature_key: The key of the new signature; None for ``<signature>_image``.
        labels: The names of the classes, a list or a text file with one a line: the new signature answers ``classes``
            and ``scores`` as well.
        output_key: The output with the scores; None for the one that fits best.
        method: ``"predict"``; the other methods send tf.Examples, and no pictures.
        tags: The meta graph.
        timeout_s: How long TensorFlow may take to trace the step, in seconds.
        cancel: Ends it when it is set.
        **options: What :func:`~explorer.runtime.image_options.image_options_for` takes.

    Raises:
        EditError: The input takes no pictures, or the options don't fit it.
        RunError: TensorFlow isn't installed, or failed.
    """
    wanted = Wanted(new_signature_key, method, output_key, labels, tags, timeout_s, cancel)
    signature = model.meta_graph(tags).signature(signature_key)
    expect_predict(wanted)
    chosen = image_options_of(signature, input_key, **options)
    name = "with_base64" if chosen.base64 else "with_image"
    call = {key: value for key, value in options.items() if key != "base64"}
    return add_signature(
        model, signature_key, ("image", chosen.to_dict()), wanted, feeds=input_key or picture_input(signature),
        usual_key=f"{signature_key}_{'base64' if chosen.base64 else 'image'}",
        words=formula(chosen), reasons=chosen.reasons, image=chosen,
        made_by=made_by(name, input_key=input_key, labels=labels, output_key=output_key, **call),
    )  # fmt: skip


def with_base64(
    model: SavedModel,
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    input_key: str | None = None,
    *,
    new_signature_key: str | None = None,
    labels: Labels = None,
    output_key: str | None = None,
    method: str = "predict",
    tags: Tags = None,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
    **options: Any,
) -> Wrapped:
    """Adds a signature that takes base64 text, for clients that can't send ``{"b64": …}``; arguments as above.

    Where the input takes texts already, they are decoded to bytes and no more; where it takes pixels, what they are
    the encoded picture of is decoded too.
    """
    wanted = Wanted(new_signature_key, method, output_key, labels, tags, timeout_s, cancel)
    signature = model.meta_graph(tags).signature(signature_key)
    fed = input_of_texts(signature, input_key)
    if fed is None:
        return with_image(
            model, signature_key, input_key, new_signature_key=new_signature_key, labels=labels, output_key=output_key,
            method=method, tags=tags, timeout_s=timeout_s, cancel=cancel, base64=True, **options,
        )  # fmt: skip
    expect_predict(wanted)
    key = options.pop("key", "")
    if given := [name for name, value in options.items() if value is not None]:
        raise EditError(
            f"input {quoted(fed)} takes texts already, so nothing is resized or scaled; leave out {', '.join(given)}"
        )
    fed, plain = base64_options_for(signature, fed, key=key)
    return add_signature(
        model, signature_key, ("base64", plain), wanted, feeds=fed,
        usual_key=f"{signature_key}_base64", words=_BASE64_WORDS,
        made_by=made_by(
            "with_base64", input_key=input_key, labels=labels, output_key=output_key, **({"key": key} if key else {})
        ),
    )  # fmt: skip


def input_of_texts(signature: Signature, input_key: str | None) -> str | None:
    """The input that takes texts already; None where the input that is meant takes pixels."""
    texts = [key for key, info in signature.inputs.items() if info.dtype.base.number == constants.DT_STRING]
    if input_key is not None:
        signature.input(input_key)
        return input_key if input_key in texts else None
    has_pictures = any(takes_pictures(info) for info in signature.inputs.values())
    return texts[0] if len(texts) == 1 and not has_pictures else None


def image_options_of(
    signature: Signature, input_key: str | None = None, *, base64: bool = False, **given: Any
) -> ImageOptions:
    """How pictures would be brought into shape for a signature.

    Raises:
        EditError: It takes no pictures, or a choice doesn't fit it.
    """
    return image_options_for(signature, input_key or picture_input(signature), base64=base64, **given)
