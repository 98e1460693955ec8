"""What the values 0 to 255 of a picture's pixels become before a model sees them: the usual presets, and own numbers.

Every one of them is ``(x / divide - mean) / std``. The numbers of ``caffe``, ``-1..1`` (``tf``) and ``imagenet``
(``torch``) are those of Keras' ``imagenet_utils.preprocess_input``
(https://github.com/keras-team/keras/blob/master/keras/src/applications/imagenet_utils.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.errors import EditError, NotFoundError


@dataclass(frozen=True, slots=True)
class Scale:
    """``(x / divide - mean) / std``.

    Attributes:
        divide: What pixel values are divided by.
        mean: What is taken off then: one number, or one a colour, in the order red, green, blue for a preset.
        std: What the difference is divided by: one number, or one a colour.
        words: What comes of it.
    """

    divide: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    words: str = ""


OWN = "own"
"""The name of a scale with numbers of one's own."""

SCALES: Mapping[str, Scale] = {
    "0..255": Scale(words="pixel values as they are, 0 to 255"),
    "0..1": Scale(255.0, words="values from 0 to 1"),
    "-1..1": Scale(127.5, (1.0,), words="values from -1 to 1, as MobileNet, Inception and Xception want them"),
    "imagenet": Scale(
        255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225),
        "mean and spread of ImageNet's colours taken off, as models of PyTorch and DenseNet want it",
    ),
    "caffe": Scale(
        1.0, (123.68, 116.779, 103.939),
        words="the mean colour of ImageNet taken off, blue first, as VGG and ResNet of Keras want it",
    ),
    "-128..127": Scale(1.0, (128.0,), words="values from -128 to 127, as models of 8-bit integers want them"),
}  # fmt: skip
"""Name → preset."""

ALIASES: Mapping[str, str] = {"none": "0..255", "tf": "-1..1", "torch": "imagenet"}
"""Other names of presets: none, and the modes of Keras' ``preprocess_input``."""

WHOLE = ("0..255", "-128..127", OWN)
"""The scales that an input of integers can get: the others have fractions."""

_OF_COLOURS = ("caffe", "imagenet")
_BGR = "bgr"


def scale_name(name: str) -> str:
    """The name of a preset, an alias resolved.

    Raises:
        NotFoundError: There is no such preset.
    """
    found = ALIASES.get(name, name)
    if found not in SCALES and found != OWN:
        raise NotFoundError("scale", str(name), [*SCALES, *ALIASES])
    return found


def scale_of(name: str, colours: str, count: int, own: Scale) -> Scale:
    """The numbers of a scale, in the order in which the model gets the colours.

    Args:
        name: The name of a preset, or ``"own"``.
        colours: ``"grey"``, ``"rgb"``, ``"bgr"`` or ``"rgba"``.
        count: How many colours these are.
        own: The numbers of ``"own"``, in the order of the colours as the model gets them.

    Raises:
        EditError: The scale doesn't fit the colours, or a number isn't one to divide by.
    """
    scale = own if name == OWN else SCALES[name]
    if name in _OF_COLOURS and count != 3:
        raise EditError(
            f"the scale {name!r} has a number for red, green and blue each, and the model gets {colours}; use another "
            "scale, or give mean and std of your own"
        )
    if name != OWN:
        in_order = colours == _BGR
        return Scale(scale.divide, _ordered(scale.mean, in_order), _ordered(scale.std, in_order), scale.words)
    _check_numbers("mean", scale.mean, count, colours)
    _check_numbers("std", scale.std, count, colours)
    if scale.divide == 0 or 0 in scale.std or not _is_finite(scale.divide):
        raise EditError("divide and std are what pixel values are divided by, so they can't be 0 or endless")
    return scale


def _ordered(numbers: tuple[float, ...], is_reversed: bool) -> tuple[float, ...]:
    return tuple(reversed(numbers)) if is_reversed else numbers


def _check_numbers(what: str, numbers: Sequence[float], count: int, colours: str) -> None:
    if len(numbers) not in (1, count):
        raise EditError(
            f"{what} has {len(numbers)} numbers; it takes 1, or {count}, one for each colour ({colours}) that the "
            "model gets"
        )
    if not all(_is_finite(number) for number in numbers):
        raise EditError(f"{what} must consist of finite numbers")


def _is_finite(number: float) -> bool:
    return abs(number) < float("inf")


def numbers_of(given: object, what: str) -> tuple[float, ...]:
    """What a person gives for ``mean`` or ``std``: a number or several.

    Raises:
        EditError: It is something else.
    """
    several: Sequence[Any] = given if isinstance(given, list | tuple) else [given]
    if not several or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in several):
        raise EditError(f"{what} is a number, or a list with a number for each colour")
    return tuple(float(one) for one in several)


def arithmetic(scale: Scale) -> str:
    """The formula of a scale, ``x`` being a pixel value from 0 to 255: ``x / 127.5 - 1``."""
    text = "x" if scale.divide == 1 else f"x / {_number(scale.divide)}"
    if any(scale.mean):
        text += f" - {_numbers(scale.mean)}"
    if set(scale.std) != {1.0}:
        text = f"({text}) / {_numbers(scale.std)}" if any(scale.mean) else f"{text} / {_numbers(scale.std)}"
    return text


def _numbers(numbers: Sequence[float]) -> str:
    distinct = numbers[:1] if len(set(numbers)) == 1 else numbers
    return _number(distinct[0]) if len(distinct) == 1 else f"[{', '.join(map(_number, distinct))}]"


def _number(number: float) -> str:
    return f"{number:.9g}"
