"""``explorer.wrap_image`` and its sisters: one more signature, which takes what clients really have.

A step from an encoded picture, base64 text, a tf.Example, a line of CSV or a JSON text to the inputs of a signature is
traced by TensorFlow, in a child process; what runs there is ours, and nothing of the model. Putting the step before the
signature is an edit of the file: weights, the old signatures and everything else stay as they are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explorer.editing.preprocessing import add_wrapped_signature
from explorer.errors import EditError, NotFoundError, quoted
from explorer.exporting.export import export_version
from explorer.exporting.publish import Progress, Published
from explorer.runtime.image_options import ImageOptions, formula, image_options_for, picture_input, takes_pictures
from explorer.runtime.steps.text_encoding import base64_options_for
from explorer.runtime.steps.trace import TIMEOUT_S, trace
from explorer.savedmodel import constants
from explorer.savedmodel.model import SavedModel, Signature
from explorer.savedmodel.opening import open_saved_model

Tags = Iterable[str] | None


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A model with one more signature.

    Attributes:
        model: The model, still to be exported.
        signature_key: The new signature.
        plain_key: The one that it leads to.
        words: What is done with an input before the model gets it, in a sentence.
        reasons: What was chosen, and why.
        image: How pictures are brought into shape, where they are.
    """

    model: SavedModel
    signature_key: str
    plain_key: str
    words: str
    reasons: tuple[tuple[str, str], ...] = ()
    image: ImageOptions | None = field(default=None, compare=False)


def with_image(
    model: SavedModel,
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    input_key: str | None = None,
    *,
    new_signature_key: str | None = None,
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
        tags: The meta graph.
        timeout_s: How long TensorFlow may take to trace the step, in seconds.
        cancel: Ends it when it is set.
        **options: What :func:`~explorer.runtime.image_options.image_options_for` takes.

    Raises:
        EditError: The input takes no pictures, or the options don't fit it.
        RunError: TensorFlow isn't installed, or failed.
    """
    signature = model.meta_graph(tags).signature(signature_key)
    fed = picture_input(signature) if input_key is None else input_key
    chosen = image_options_for(signature, fed, **options)
    new_key = new_signature_key or f"{signature_key}_{'base64' if chosen.base64 else 'image'}"
    step = trace("image", chosen.to_dict(), timeout_s=timeout_s, cancel=cancel)
    wrapped = add_wrapped_signature(
        model, signature_key, new_key, before=step, feeds={step.outputs[0].key: fed}, tags=tags
    )
    return Wrapped(wrapped, new_key, signature_key, formula(chosen), chosen.reasons, chosen)


def with_base64(
    model: SavedModel,
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    input_key: str | None = None,
    *,
    new_signature_key: str | None = None,
    tags: Tags = None,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
    **options: Any,
) -> Wrapped:
    """Adds a signature that takes base64 text, for clients that can't send ``{"b64": …}``; arguments as above.

    Where the input takes texts already, they are decoded to bytes and no more; where it takes pixels, what they are
    the encoded picture of is decoded too.
    """
    signature = model.meta_graph(tags).signature(signature_key)
    fed = _input_of_texts(signature, input_key)
    if fed is None:
        return with_image(
            model, signature_key, input_key, new_signature_key=new_signature_key, tags=tags, timeout_s=timeout_s,
            cancel=cancel, base64=True, **options,
        )  # fmt: skip
    key = options.pop("key", "")
    if given := [name for name, value in options.items() if value is not None]:
        raise EditError(
            f"input {quoted(fed)} takes texts already, so nothing is resized or scaled; leave out {', '.join(given)}"
        )
    fed, plain = base64_options_for(signature, fed, key=key)
    new_key = new_signature_key or f"{signature_key}_base64"
    step = trace("base64", plain, timeout_s=timeout_s, cancel=cancel)
    wrapped = add_wrapped_signature(
        model, signature_key, new_key, before=step, feeds={step.outputs[0].key: fed}, tags=tags
    )
    return Wrapped(wrapped, new_key, signature_key, "base64 text, of either alphabet, is decoded to bytes")


def _input_of_texts(signature: Signature, input_key: str | None) -> str | None:
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
    known = {name: value for name, value in given.items() if name != "new_signature_key"}
    return image_options_for(signature, input_key or picture_input(signature), base64=base64, **known)


def check_choices(kind: str, signature: Signature, input_key: str | None = None, **given: Any) -> None:
    """Sees whether a signature can be wrapped like that, before TensorFlow is asked.

    Raises:
        EditError: It can't.
    """
    if kind not in WRAPS:
        raise NotFoundError("kind of input", kind, WRAPS)
    if kind == "image" or (kind == "base64" and _input_of_texts(signature, input_key) is None):
        image_options_of(signature, input_key, base64=kind == "base64", **given)


def wrap_version(
    kind: str,
    model: SavedModel | str | os.PathLike[str],
    base_path: str | os.PathLike[str],
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    input_key: str | None = None,
    *,
    version: int | None = None,
    link: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> tuple[Wrapped, Published]:
    """Adds a signature and exports the model as a new version.

    Args:
        kind: ``image``, ``base64``, ``example``, ``csv`` or ``json``.
        model: The model, edited or not, or its path.
        base_path: The folder that holds the versions; it is made if missing.
        signature_key: The signature that is wrapped.
        input_key: The input that is fed; None where only one can be meant.
        version: The number to give; None takes the next one.
        link: Whether to hardlink the variables instead of copying them.
        progress: Is told the bytes done and the bytes in all; what it raises cancels the export.
        **options: What the function of the kind takes.

    Raises:
        EditError: The signature can't be wrapped like that.
        ExportError: Nothing was published.
        RunError: TensorFlow isn't installed, or failed.
    """
    if kind not in WRAPS:
        raise NotFoundError("kind of input", kind, WRAPS)
    opened = model if isinstance(model, SavedModel) else open_saved_model(model)
    wrapped = WRAPS[kind](opened, signature_key, input_key, **options)
    published = export_version(wrapped.model, base_path, version=version, link=link, progress=progress)
    return wrapped, published


def wrap_image(
    path: SavedModel | str | os.PathLike[str],
    base_path: str | os.PathLike[str],
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    input_key: str | None = None,
    **options: Any,
) -> Path:
    """Exports a new version with a signature that takes encoded images.

    Args:
        path: The model, or its path.
        base_path: The folder that holds the versions.
        signature_key: The signature whose input takes pixels.
        input_key: That input; None where only one can be meant.
        **options: ``new_signature_key``, ``version``, and what
            :func:`~explorer.runtime.image_options.image_options_for` takes: ``size``, ``scale``, ``fit`` …

    Returns:
        The folder of the version.

    Raises:
        EditError: The input takes no pictures, or an option doesn't fit it.
        ExportError: Nothing was published.
        RunError: TensorFlow isn't installed, or failed.
    """
    return wrap_version("image", path, base_path, signature_key, input_key, **options)[1].path


def wrap_base64(
    path: SavedModel | str | os.PathLike[str],
    base_path: str | os.PathLike[str],
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    input_key: str | None = None,
    **options: Any,
) -> Path:
    """Exports a new version with a signature that takes base64 text; arguments as for :func:`wrap_image`."""
    return wrap_version("base64", path, base_path, signature_key, input_key, **options)[1].path


WRAPS: Mapping[str, Callable[..., Wrapped]] = {"image": with_image, "base64": with_base64}
"""Kind of input → what adds a signature for it."""
