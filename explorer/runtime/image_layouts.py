"""Which dimensions of an input are the batch, the rows, the columns and the channels of pictures."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.errors import EditError, NotFoundError
from explorer.savedmodel.model import Shape

_COUNTS = (1, 3, 4)
_PLACES = ("last", "first", "none")
_EXPECTED = "a picture becomes [batch, height, width, channels] with 1, 3 or 4 channels, or the like"


@dataclass(frozen=True, slots=True)
class Layout:
    """How an input takes pictures.

    Attributes:
        is_batched: Whether it has a dimension for several pictures.
        batch: How many pictures that are, None for any number.
        channels: Where the channels stand: ``"last"``, ``"first"``, or ``"none"`` for grey without such a dimension.
        height: The rows of a picture, None where they aren't declared.
        width: Its columns, None where they aren't declared.
        count: How many channels it has, None where that isn't declared.
        reason: Why it is read so.
    """

    is_batched: bool
    batch: int | None
    channels: str
    height: int | None
    width: int | None
    count: int | None
    reason: str


def layout_of(shape: Shape, channels: str | None, where: str) -> Layout:
    """Reads a shape as that of pictures.

    Four dimensions are a batch of pictures. Three are a batch of grey ones or a single one: the place of a number of
    channels that pictures have decides, and the place of a batch whose size is open.

    Args:
        shape: What the input declares.
        channels: Where the channels stand, if a person says so; None for what the shape says.
        where: What a sentence about the input begins with.

    Raises:
        EditError: No picture has that shape.
        NotFoundError: ``channels`` is none of the three places.
    """
    if channels is not None and channels not in _PLACES:
        raise NotFoundError("place for channels", channels, _PLACES)
    if shape.dims is None:
        return _unknown(channels)
    dims = tuple(None if dim is None or dim < 0 else dim for dim in shape.dims)
    if len(dims) == 4 and channels != "none":
        return _of_four(dims, channels, where)
    if len(dims) == 3:
        return _of_three(dims, channels, where)
    raise EditError(f"{where}, which is no shape of pictures; {_EXPECTED}")


def _unknown(channels: str | None) -> Layout:
    place = channels or "last"
    reason = "a guess: the input declares no shape, and most models take a batch of pictures, channels "
    return Layout(True, None, place, None, None, 1 if place == "none" else None, reason + place)


def _of_four(dims: tuple[int | None, ...], channels: str | None, where: str) -> Layout:
    fits_last, fits_first = dims[3] in _COUNTS, dims[1] in _COUNTS
    place = channels or ("last" if fits_last or not fits_first else "first")
    reason = "it was given" if channels else f"of four dimensions the {_PLACE_WORDS[place]} is that of the channels"
    order = (0, 1, 2, 3) if place == "last" else (0, 2, 3, 1)
    batch, height, width, count = (dims[position] for position in order)
    return _checked(Layout(True, batch, place, height, width, count, reason), where)


def _of_three(dims: tuple[int | None, ...], channels: str | None, where: str) -> Layout:
    place = channels or _place_of_three(dims)
    if place == "none":
        reason = "three dimensions without one for channels: a batch of grey pictures"
        return _checked(Layout(True, dims[0], place, dims[1], dims[2], 1, reason), where)
    reason = f"three dimensions, the {_PLACE_WORDS[place]} of them that of the channels: one picture without a batch"
    height, width, count = dims if place == "last" else (dims[1], dims[2], dims[0])
    return _checked(Layout(False, None, place, height, width, count, reason), where)


def _place_of_three(dims: tuple[int | None, ...]) -> str:
    if dims[2] in (3, 4) or (dims[2] == 1 and (dims[0] is not None or dims[1] is None)):
        return "last"
    if dims[0] in (3, 4) and None not in dims[1:]:
        return "first"
    return "last" if dims == (None, None, None) else "none"


_PLACE_WORDS = {"last": "last", "first": "first after the batch"}


def _checked(layout: Layout, where: str) -> Layout:
    if layout.count is not None and layout.count not in _COUNTS:
        raise EditError(
            f"{where}: with the channels {layout.channels} it has {layout.count} of them, and pictures have 1 (grey), "
            "3 (colours) or 4 (with opacity)"
        )
    if 0 in (layout.batch, layout.height, layout.width):
        raise EditError(f"{where}, which has room for no picture; {_EXPECTED}")
    return layout
