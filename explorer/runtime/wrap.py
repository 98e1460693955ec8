"""``explorer.wrap_image`` and its sisters: one more signature, which takes what clients really have, in a new version.

What is done is in :mod:`explorer.runtime.with_pictures` and :mod:`explorer.runtime.with_rows`; here it is exported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from explorer.errors import NotFoundError
from explorer.exporting.export import export_version
from explorer.exporting.publish import Progress, Published
from explorer.runtime.example_options import example_options_for
from explorer.runtime.table_options import KINDS as TABLES
from explorer.runtime.table_options import table_options_for
from explorer.runtime.with_pictures import image_options_of, input_of_texts, with_base64, with_image
from explorer.runtime.with_rows import with_csv, with_example, with_json
from explorer.runtime.wrapped import Wanted, Wrapped, answer_of, expect_predict
from explorer.savedmodel import constants
from explorer.savedmodel.model import SavedModel, Signature
from explorer.savedmodel.opening import open_saved_model

__all__ = [
    "WRAPS",
    "Wrapped",
    "check_choices",
    "image_options_of",
    "with_base64",
    "with_csv",
    "with_example",
    "with_image",
    "with_json",
    "wrap_base64",
    "wrap_csv",
    "wrap_example",
    "wrap_image",
    "wrap_json",
    "wrap_version",
]

_WANTED = ("method", "output_key", "labels")
_ELSEWHERE = frozenset({"new_signature_key", "tags", "timeout_s", "cancel"})


def check_choices(kind: str, signature: Signature, input_key: str | None = None, **given: Any) -> None:
    """Sees whether a signature can be wrapped like that, before TensorFlow is asked.

    Args:
        kind: A key of :data:`WRAPS`.
        signature: The signature.
        input_key: The input that is fed; None where only one can be meant.
        **given: What the function of the kind takes.

    Raises:
        EditError: It can't.
    """
    if kind not in WRAPS:
        raise NotFoundError("kind of input", kind, WRAPS)
    wanted = Wanted(**{name: given[name] for name in _WANTED if given.get(name) is not None})
    options = {name: value for name, value in given.items() if name not in _ELSEWHERE and name not in _WANTED}
    answer_of(signature, wanted)
    if kind == "example":
        example_options_for(signature, method=wanted.method, **_of_rows(input_key, options))
        return
    expect_predict(wanted)
    if kind in TABLES:
        table_options_for(kind, signature, **_of_rows(input_key, options))
    if kind == "image" or (kind == "base64" and input_of_texts(signature, input_key) is None):
        image_options_of(signature, input_key, base64=kind == "base64", **options)


def _of_rows(input_key: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a step that feeds several inputs, of which one may be meant alone."""
    return {**options, **({} if input_key is None else {"only": (input_key,)})}


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
    given = dict(options) if kind in _OF_ONE_INPUT else _of_rows(input_key, options)
    arguments = (signature_key, input_key) if kind in _OF_ONE_INPUT else (signature_key,)
    wrapped = WRAPS[kind](opened, *arguments, **given)
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


def wrap_example(
    path: SavedModel | str | os.PathLike[str],
    base_path: str | os.PathLike[str],
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    features: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Exports a new version with a signature that takes serialized tf.Examples.

    Args:
        path: The model, or its path.
        base_path: The folder that holds the versions.
        signature_key: The signature.
        features: Input key → what it is called in a record, or a mapping with any of ``name``, ``default``, ``shape``
            and ``padding``; what isn't named has the name of its input.
        **options: ``version``, and what :func:`~explorer.runtime.with_rows.with_example` takes: ``method``, ``labels``,
            ``output_key``, ``only``, ``key``, ``new_signature_key`` …

    Returns:
        The folder of the version.

    Raises:
        EditError: The inputs can't be fed from records, or no output fits the method.
        ExportError: Nothing was published.
        RunError: TensorFlow isn't installed, or failed.
    """
    return wrap_version("example", path, base_path, signature_key, features=features, **options)[1].path


def wrap_csv(
    path: SavedModel | str | os.PathLike[str],
    base_path: str | os.PathLike[str],
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    columns: Sequence[str | None] | None = None,
    **options: Any,
) -> Path:
    """Exports a new version with a signature that takes lines of CSV.

    Args:
        path: The model, or its path.
        base_path: The folder that holds the versions.
        signature_key: The signature.
        columns: The order of the columns, by input keys; None for the inputs in the order of the signature.
        **options: ``version``, and what :func:`~explorer.runtime.with_rows.with_csv` takes.

    Returns:
        The folder of the version.

    Raises:
        EditError: The inputs can't be fed from such lines.
        ExportError: Nothing was published.
        RunError: TensorFlow isn't installed, or failed.
    """
    return wrap_version("csv", path, base_path, signature_key, columns=columns, **options)[1].path


def wrap_json(
    path: SavedModel | str | os.PathLike[str],
    base_path: str | os.PathLike[str],
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    features: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Exports a new version with a signature that takes the texts of JSON objects; arguments as for tf.Examples."""
    return wrap_version("json", path, base_path, signature_key, features=features, **options)[1].path


WRAPS: Mapping[str, Callable[..., Wrapped]] = {
    "image": with_image,
    "base64": with_base64,
    "example": with_example,
    "csv": with_csv,
    "json": with_json,
}
"""Kind of input → what adds a signature for it."""

_OF_ONE_INPUT = frozenset({"image", "base64"})
