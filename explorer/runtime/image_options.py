"""How an encoded picture becomes what a model's input wants: what a person chooses, checked, and what the input says.

Nothing here needs TensorFlow: :func:`image_options_for` fills the choices from a signature, each with its reason, and
:func:`formula` says in words what the traced step (``explorer.runtime.steps.image``) does.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from explorer.errors import EditError, NotFoundError, listed, quoted
from explorer.runtime.image_layouts import Layout, layout_of
from explorer.runtime.image_scales import OWN, SCALES, WHOLE, Scale, arithmetic, numbers_of, scale_name, scale_of
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, Shape, Signature, TensorInfo

INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")
"""How a picture is resized: the methods of ``tf.image.resize``."""

FITS: Mapping[str, str] = {
    "stretch": "stretched to {size}",
    "crop": "cut to the middle part that has the shape of {size}, and resized to it",
    "pad": "resized to fit into {size}, its sides kept in proportion, in the middle of black (0)",
}
"""What is done where a picture hasn't the proportions of the input → how it is said."""

COLOURS: Mapping[str, int] = {"grey": 1, "rgb": 3, "bgr": 3, "rgba": 4}
"""Which colours a model gets, in which order → how many that are."""

CHANNELS = ("last", "first", "none")
"""Where the colours stand among the dimensions of one picture; ``none`` for a grey one without a dimension for them."""

FLOATS = (1, 2, 14, 19)
INTEGERS = (3, 4, 5, 6, 9, 17)
"""Numbers in ``types.proto`` of the dtypes that a picture can become."""

OUTPUT_KEY = "image"
"""The key of what the step gives."""

MOST_SIDE = 1 << 15
_MOST_VALUES = 50_000_000
_DT_INT8 = 6
_UNSIGNED = (4, 17)
_SIZE = re.compile(r"\s*([0-9]{1,6})\s*[x×X]\s*([0-9]{1,6})\s*\Z")


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """What is done with pictures before a model gets them.

    Attributes:
        height: The rows of a picture as the model gets it.
        width: Its columns.
        type_number: The dtype of the model's input, by its number in ``types.proto``.
        is_batched: Whether the input takes several pictures; otherwise it takes one, without a dimension for several.
        batch: How many pictures it takes at a time; None for any number.
        channels: ``"last"``, ``"first"`` or ``"none"``, see :data:`CHANNELS`.
        colours: ``"grey"``, ``"rgb"``, ``"bgr"`` or ``"rgba"``.
        interpolation: One of :data:`INTERPOLATIONS`.
        fit: ``"stretch"``, ``"crop"`` or ``"pad"``, see :data:`FITS`.
        antialias: Whether a picture that is made smaller is smoothed first.
        scale: A name in :data:`explorer.runtime.image_scales.SCALES`, or ``"own"``.
        divide: Of the scale ``"own"``: what pixel values are divided by.
        mean: Of the scale ``"own"``: what is taken off then; one number, or one a colour as the model gets them.
        std: Of the scale ``"own"``: what the difference is divided by.
        base64: Whether pictures come as base64 text.
        key: The key of the new input; empty for the usual one, see :attr:`input_key`.
        reasons: What was chosen, and why; for people.

    Raises:
        EditError: A choice is none, or two of them contradict each other.
    """

    height: int
    width: int
    type_number: int = constants.DT_FLOAT
    is_batched: bool = True
    batch: int | None = None
    channels: str = "last"
    colours: str = "rgb"
    interpolation: str = "bilinear"
    fit: str = "stretch"
    antialias: bool = False
    scale: str = "0..1"
    divide: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    base64: bool = False
    key: str = ""
    reasons: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for what, name, known in (
            ("interpolation", self.interpolation, INTERPOLATIONS),
            ("fit", self.fit, FITS),
            ("order of colours", self.colours, COLOURS),
            ("place for channels", self.channels, CHANNELS),
            ("scale", self.scale, (*SCALES, OWN)),
        ):
            if name not in known:
                raise NotFoundError(what, str(name), known)
        _check_sizes(self)
        dtype = DType(self.type_number)
        if self.type_number not in FLOATS + INTEGERS:
            raise EditError(f"a picture can't become {dtype}; an input of floats or integers takes one")
        if self.type_number in INTEGERS and self.scale not in WHOLE:
            raise EditError(
                f"the scale {self.scale!r} has fractions, and the input is declared {dtype}; use '0..255', or give "
                "numbers of your own"
            )
        if self.type_number == _DT_INT8 and self.scale == "0..255":
            raise EditError("the input is declared int8, which ends at 127; use the scale '-128..127'")
        if self.type_number in _UNSIGNED and self.scale == "-128..127":
            raise EditError(f"the input is declared {dtype}, which has no negative numbers; use the scale '0..255'")
        if self.channels == "none" and self.count != 1:
            raise EditError(f"a model whose input has no dimension for channels gets grey, not {self.colours}")
        _ = self.numbers  # refuses what doesn't fit

    @property
    def count(self) -> int:
        """How many channels a picture has as the model gets it."""
        return COLOURS[self.colours]

    @property
    def numbers(self) -> Scale:
        """The numbers of the scale, in the order in which the model gets the colours."""
        return scale_of(self.scale, self.colours, self.count, Scale(self.divide, self.mean, self.std))

    @property
    def picture_shape(self) -> tuple[int, ...]:
        """The shape of one picture as the model gets it."""
        if self.channels == "none":
            return (self.height, self.width)
        sides = self.height, self.width
        return (self.count, *sides) if self.channels == "first" else (*sides, self.count)

    @property
    def shape(self) -> Shape:
        """The shape of what the model gets."""
        return Shape((self.batch, *self.picture_shape) if self.is_batched else self.picture_shape)

    @property
    def input_key(self) -> str:
        """The key of the new input.

        The usual ``image_bytes`` ends in ``_bytes``, by which clients know binary texts.
        """
        return self.key or ("image_base64" if self.base64 else "image_bytes")

    def to_dict(self) -> dict[str, Any]:
        """As plain data; the reasons are left out."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "reasons"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ImageOptions:
        """The inverse of :meth:`to_dict`.

        Raises:
            EditError: The data hasn't that form.
        """
        known = {one.name for one in dataclasses.fields(cls)} - {"reasons"}
        if unknown := sorted(set(data) - known):
            raise EditError(f"there is no image option {listed(unknown)}; there are {', '.join(sorted(known))}")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        try:
            return cls(**values)
        except TypeError as error:
            raise EditError(f"these are no image options: {error}") from None


def image_options_for(
    signature: Signature,
    input_key: str | None = None,
    *,
    size: str | Sequence[int] | None = None,
    interpolation: str = "bilinear",
    fit: str = "stretch",
    antialias: bool = False,
    scale: str | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    divide: float | None = None,
    channels: str | None = None,
    colours: str | None = None,
    base64: bool = False,
    key: str = "",
) -> ImageOptions:
    """The options for an input of a signature: what it declares, and what is given besides.

    Args:
        signature: The signature.
        input_key: The input that gets the pictures; None where only one of them can.
        size: ``(height, width)`` or ``"224x224"`` (height first), where the input doesn't declare it.
        interpolation: One of :data:`INTERPOLATIONS`.
        fit: One of :data:`FITS`.
        antialias: Whether a picture that is made smaller is smoothed first.
        scale: A preset or an alias of one; None for the one that is likeliest by the dtype, or for own numbers.
        mean: Own number or numbers that are taken off, in the order of the colours as the model gets them.
        std: Own number or numbers that are divided by then.
        divide: What is divided by before; 1 where only ``mean`` or ``std`` is given.
        channels: Where the channels stand; None for what the shape says.
        colours: Which colours, in which order; None for what the number of channels and the scale say.
        base64: Whether pictures come as base64 text.
        key: The key of the new input; empty for the usual one.

    Raises:
        NotFoundError: The signature hasn't that input, or there is no such preset, interpolation …
        EditError: The input takes no pictures, its size isn't known, or the choices contradict it.
    """
    input_key = picture_input(signature) if input_key is None else input_key
    info = signature.input(input_key)
    where = f"input {quoted(input_key)} is declared {info.dtype}{info.shape}"
    _check_dtype(info, where)
    layout = layout_of(info.shape, channels, where)
    reasons = [("layout", layout.reason)]
    height, width, reason = _size(layout, size, where)
    reasons.append(("size", reason))
    scale, own, reason = _scale(info, scale, mean, std, divide)
    reasons.append(("scale", reason))
    colours, reason = _colours(layout, colours, scale, where)
    reasons.append(("colours", reason))
    if layout.batch is not None:
        pictures = "1 picture" if layout.batch == 1 else f"{layout.batch} pictures"
        reasons.append(("batch", f"the input takes exactly {pictures} at a time, so the new one does too"))
    elif not layout.is_batched:
        reasons.append(("batch", "the input takes one picture without a dimension for several: so does the new one"))
    return ImageOptions(
        height, width, info.dtype.base.number, layout.is_batched, layout.batch, layout.channels, colours, interpolation,
        fit, antialias, scale, own.divide, own.mean, own.std, base64, key, tuple(reasons),
    )  # fmt: skip


def takes_pictures(info: TensorInfo) -> bool:
    """Whether an input can be fed with pictures: numbers in a shape that pictures have."""
    try:
        _check_dtype(info, "it")
        layout_of(info.shape, None, "it")
    except EditError:
        return False
    return True


def formula(options: ImageOptions) -> str:
    """What is done with one picture, in one sentence; ``x`` is a pixel value from 0 to 255."""
    size = f"{options.height}×{options.width} (height × width)"
    smoothed = ", smoothed before it is made smaller" if options.antialias else ""
    dtype = DType(options.type_number)
    parts = [
        *(["base64 text to bytes"] if options.base64 else []),
        f"decoded to {options.colours.upper() if options.count > 1 else options.colours}, 8 bits a channel",
        f"{FITS[options.fit].format(size=size)} ({options.interpolation}{smoothed})",
    ]
    text = arithmetic(options.numbers)
    order = ", ".join(options.colours) if options.count > 1 and len(options.numbers.mean) > 1 else ""
    parts.append("values kept as they are" if text == "x" else f"{text} for each value{f' ({order})' if order else ''}")
    if options.type_number in INTEGERS:
        parts.append(f"rounded and cut to what {dtype} holds for pixels")
    parts.append(f"given to the model as {dtype}{options.shape}")
    return ", then ".join(parts)


def picture_input(signature: Signature) -> str:
    """The key of the only input that can be fed with pictures, or of the only input at all.

    Raises:
        EditError: There are several, or none among several inputs.
    """
    fitting = [key for key, info in signature.inputs.items() if takes_pictures(info)]
    if len(fitting) == 1:
        return fitting[0]
    declared = ", ".join(f"{quoted(key)} {info.dtype}{info.shape}" for key, info in signature.inputs.items()) or "none"
    if len(signature.inputs) == 1:
        return next(iter(signature.inputs))  # what it lacks is said about it
    raise EditError(
        f"signature {quoted(signature.key)} has {len(fitting) or 'no'} inputs that can take pictures ({declared}); say "
        "which one gets them"
    )


def _check_dtype(info: TensorInfo, where: str) -> None:
    number = info.dtype.base.number
    if info.tensor_name is None:
        raise EditError(f"{where} and consists of several tensors ({info.encoding}); a picture becomes a single one")
    if number == constants.DT_STRING:
        raise EditError(
            f"{where}: it takes texts, perhaps encoded pictures already; wrap it with base64 where clients can send "
            "text only"
        )
    if number not in FLOATS + INTEGERS:
        raise EditError(f"{where}; a picture becomes floats or integers")


def _size(layout: Layout, given: str | Sequence[int] | None, where: str) -> tuple[int, int, str]:
    declared = layout.height, layout.width
    wanted = None if given is None else parsed_size(given)
    if wanted is None:
        if layout.height is None or layout.width is None:
            raise EditError(
                f"{where}: it doesn't say to which size pictures are to be brought; give the size that the model was "
                "trained with, height first, such as 224x224 (--resize 224x224 on the command line)"
            )
        return layout.height, layout.width, "the input declares it"
    if any(mine is not None and mine != other for mine, other in zip(declared, wanted, strict=True)):
        raise EditError(f"{where}, so pictures can't be brought to {wanted[0]}x{wanted[1]}")
    return *wanted, "it was given; the input declares it too" if None not in declared else "it was given"


def parsed_size(given: str | Sequence[int]) -> tuple[int, int]:
    """Height and width from ``"224x224"`` or two numbers.

    Raises:
        EditError: It is neither.
    """
    if isinstance(given, str):
        found = _SIZE.match(given)
        if found is None:
            raise EditError(f"{quoted(given)} is no size; height x width was expected, such as 224x224")
        return int(found[1]), int(found[2])
    sides: tuple[Any, ...] = tuple(given)
    if len(sides) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        raise EditError("a size is two whole numbers: height and width")
    return sides[0], sides[1]


def _scale(
    info: TensorInfo,
    given: str | None,
    mean: float | Sequence[float] | None,
    std: float | Sequence[float] | None,
    divide: float | None,
) -> tuple[str, Scale, str]:
    if not all(one is None for one in (mean, std, divide)):
        if given is not None and scale_name(given) != OWN:
            raise EditError(f"give either the scale {quoted(given)} or mean, std and divide of your own, not both")
        own = Scale(
            numbers_of(1.0 if divide is None else divide, "divide")[0],
            numbers_of(0.0 if mean is None else mean, "mean"),
            numbers_of(1.0 if std is None else std, "std"),
        )
        return OWN, own, "numbers were given"
    if given is not None:
        name = scale_name(given)
        return name, Scale(), "it was given" if name == OWN else SCALES[name].words
    number = info.dtype.base.number
    if number == _DT_INT8:
        return "-128..127", Scale(), "the input is declared int8: pixel values less 128"
    if number in INTEGERS:
        return "0..255", Scale(), f"the input is declared {info.dtype}: pixel values as they are"
    return "0..1", Scale(), "a guess, usual for floats: the model doesn't say what it was trained with"


def _colours(layout: Layout, given: str | None, scale: str, where: str) -> tuple[str, str]:
    if given is not None:
        if given not in COLOURS:
            raise NotFoundError("order of colours", given, COLOURS)
        if layout.count is not None and COLOURS[given] != layout.count:
            raise EditError(f"{where}: it has {layout.count} channels, and {given} has {COLOURS[given]}")
        return given, "it was given"
    if scale == "caffe" and layout.count in (None, 3):
        return "bgr", "the scale 'caffe' goes with blue first"
    if layout.count is None:
        return "rgb", "a guess: the input doesn't declare how many channels it has"
    name = {1: "grey", 3: "rgb", 4: "rgba"}[layout.count]
    return name, "the input has 1 channel" if layout.count == 1 else f"the input has {layout.count} channels"


def _check_sizes(options: ImageOptions) -> None:
    sides: tuple[Any, ...] = options.height, options.width
    if not all(isinstance(side, int) and 1 <= side <= MOST_SIDE for side in sides):
        raise EditError(
            f"a picture can't be brought to {options.height}x{options.width}: a side has 1 to {MOST_SIDE} pixels"
        )
    batch: Any = options.batch
    if batch is not None and (not isinstance(batch, int) or batch < 1 or not options.is_batched):
        raise EditError("a model takes a batch of at least 1 picture, or pictures without a batch")
    if options.height * options.width * options.count * (batch or 1) > _MOST_VALUES:
        raise EditError(
            f"pictures of {options.height}x{options.width}{f' in batches of {batch}' if batch else ''} are more than "
            f"{_MOST_VALUES} values, the most that are made here"
        )
