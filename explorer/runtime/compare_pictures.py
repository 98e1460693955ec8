"""Whether a signature that takes pictures answers as the plain one does on the same pixels."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.errors import RequestError, RunError, quoted
from explorer.runtime.engine import Engine
from explorer.runtime.preview_image import ModelView, views_of
from explorer.runtime.rest import NO_CONSENT
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.tensors import Tensor

if TYPE_CHECKING:
    from explorer.runtime.wrap import Wrapped


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far the answers of the two signatures are from each other.

    Attributes:
        largest_difference: The largest absolute difference of any value of any output.
        output_key: The output that it is in.
        pictures: How many pictures were asked about.
    """

    largest_difference: float
    output_key: str
    pictures: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        what = "one picture" if self.pictures == 1 else f"{self.pictures} pictures"
        if not self.largest_difference:
            return f"on {what} the new signature answers exactly as the plain one does on the same pixels"
        return (
            f"on {what} the answers of the new signature differ from those of the plain one on the same pixels by "
            f"{self.largest_difference:.2g} at most, in the output {quoted(self.output_key)}"
        )


def compare_pictures(
    path: Path,
    wrapped: Wrapped,
    pictures: Sequence[tuple[str, bytes]],
    *,
    consent: bool,
    tags: Iterable[str] | None = None,
) -> Comparison:
    """Asks the new signature about pictures, and the plain one about their pixels as the step makes them.

    Args:
        path: The version that was written.
        wrapped: What it was made of.
        pictures: The name and the file of each.
        consent: True says that the model may be run, in a child process.
        tags: The meta graph.

    Raises:
        RunError: There is no consent, or the model can't be run.
        RequestError: A picture can't be decoded, or the model refuses it.
    """
    if not consent:
        raise RunError(NO_CONSENT)
    options = wrapped.image
    if options is None:
        raise RunError(f"signature {quoted(wrapped.signature_key)} takes no pictures, so there is nothing to compare")
    views = views_of(options, pictures)
    for view in views:
        if isinstance(view, str):
            raise RequestError(view)
    meta_graph = open_saved_model(path).meta_graph(tags)
    texts = [base64.b64encode(data) if options.base64 else data for _, data in pictures]
    with Engine(path, meta_graph.tags) as engine:
        if not options.is_batched or options.batch is not None:
            texts, views = texts[:1] * (options.batch or 1), views[:1] * (options.batch or 1)
        return _compared(engine, meta_graph, wrapped, texts, [view for view in views if isinstance(view, ModelView)])


def _compared(
    engine: Engine, meta_graph: MetaGraph, wrapped: Wrapped, texts: list[bytes], views: list[ModelView]
) -> Comparison:
    import numpy as np

    options = wrapped.image
    assert options is not None  # whoever calls made sure
    new, plain = meta_graph.signature(wrapped.signature_key), meta_graph.signature(wrapped.plain_key)
    (new_key,) = [key for key in new.inputs if key not in plain.inputs] or list(new.inputs)[:1]
    (old_key,) = [key for key in plain.inputs if key not in new.inputs] or list(plain.inputs)[:1]
    rest = [key for key in plain.inputs if key != old_key]
    if rest:
        raise RunError(
            f"the signature has other inputs too ({', '.join(map(quoted, rest))}), which a picture doesn't give"
        )
    pixels = np.stack([view.pixels for view in views]) if options.is_batched else views[0].pixels
    shape = (len(texts),) if options.is_batched else ()
    keys = [key for key in plain.outputs if key in new.outputs]
    asked = engine.run(
        {
            _name(new.inputs[new_key].tensor_name): Tensor(
                constants.DT_STRING, shape, texts=tuple(texts[: len(texts) if shape else 1])
            )
        },
        [_name(new.outputs[key].tensor_name) for key in keys],
    )
    told = engine.run(
        {_name(plain.inputs[old_key].tensor_name): Tensor.from_array(pixels, options.type_number)},
        [_name(plain.outputs[key].tensor_name) for key in keys],
    )
    worst, where = 0.0, keys[0] if keys else ""
    for key, one, other in zip(keys, asked, told, strict=True):
        if one.dtype == constants.DT_STRING:
            found = 0.0 if one.texts == other.texts else float("inf")
        else:
            first, second = one.to_array().astype(np.float64), other.to_array().astype(np.float64)
            found = float("inf") if first.shape != second.shape else float(np.max(np.abs(first - second), initial=0.0))
        if found > worst:
            worst, where = found, key
    return Comparison(worst, where, len(texts))


def _name(tensor_name: str | None) -> str:
    if tensor_name is None:
        raise RunError("the signature has a tensor that consists of several, which can't be compared here")
    return tensor_name
