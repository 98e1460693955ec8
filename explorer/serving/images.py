"""An image on its way into an input: as the bytes of its file, or as pixels, whichever the signature wants.

Pillow decodes it; matplotlib, which we require, brings Pillow along.
"""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from explorer.errors import RequestError
from explorer.savedmodel import constants
from explorer.savedmodel.model import TensorInfo
from explorer.savedmodel.tensors import Tensor
from explorer.serving.arrays import FLOATS, INTEGER_RANGES, elements
from explorer.serving.values import filled_shape

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    Array = np.ndarray[Any, Any]

SCALES = ("0..1", "-1..1", "0..255")
"""What the pixels 0 to 255 can become."""

MOST_PIXELS = 50_000_000
"""An image with more pixels is not decoded: a file of a few kilobytes can claim any number of them."""

_MOST_FILE_BYTES = 100_000_000
_MOST_ELEMENTS = 50_000_000
_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
# Formats that Pillow decodes by itself; others start programs (EPS starts Ghostscript).
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_INT8 = 6


class _Layout(NamedTuple):
    """Where an input's dimensions have the batch, the rows, the columns and the channels; None where they have not."""

    batch: int | None
    height: int
    width: int
    channels: int | None


def image_value(data: bytes, info: TensorInfo, *, scale: str | None = None) -> tuple[Tensor, str]:
    """Turns an image file into the value of an input.

    Args:
        data: The bytes of the file.
        info: The input. A string gets the bytes. Numbers of the shape [batch, height, width, channels], [batch,
            channels, height, width] or [batch, height, width], the batch left out or not, get pixels in the size that
            is declared, turned to grey, RGB or RGBA by the number of channels.
        scale: ``"0..1"``, ``"-1..1"`` or ``"0..255"``; None takes ``"0..1"`` for floats and ``"0..255"`` for integers.

    Returns:
        The tensor, and a sentence that says what was done.

    Raises:
        RequestError: The input takes no image, or the bytes are none that is decoded here.
    """
    if info.dtype.base.number == constants.DT_STRING:
        shape = filled_shape(info)
        count = math.prod(shape)
        if count * max(1, len(data)) > 4 * _MOST_FILE_BYTES:
            raise RequestError(f"the input is declared {info}, too many texts to fill each with the file")
        return Tensor(constants.DT_STRING, shape, texts=(data,) * count), (
            f"the {len(data)} bytes of the file as they are, because the input takes texts"
        )
    layout = _layout(info)
    dtype = info.dtype.base.number
    if layout is None or not (dtype in FLOATS or dtype in INTEGER_RANGES):
        raise RequestError(
            f"an image doesn't fit an input declared {info}: texts take the bytes of the file, and numbers of a shape "
            "such as [?, height, width, 3] its pixels"
        )
    scale = _chosen_scale(scale, info)
    dims = info.shape.dims or ()
    wanted = 3 if layout.channels is None else dims[layout.channels]
    channels = 1 if layout.channels is None else 3 if wanted is None or wanted < 0 else wanted
    image, steps = _decoded(data, channels)
    size = _size(dims[layout.width], image.width), _size(dims[layout.height], image.height)
    copies = 1 if layout.batch is None else _size(dims[layout.batch], 1)
    if size[0] * size[1] * channels * copies > _MOST_ELEMENTS or 0 in size:
        raise RequestError(f"the input is declared {info}, which is no size that an image is brought to here")
    if size != image.size:
        steps.append(f"resized from {image.width}×{image.height} to {size[0]}×{size[1]} (bilinear)")
        image = image.resize(size, resample=2)  # PIL.Image.Resampling.BILINEAR, as tf.image.resize does by default
    pixels, step = _scaled(image, dtype, scale)
    steps.append(step)
    tensor, order = _arranged(pixels, dtype, layout, copies)
    return tensor, "; ".join([*steps, order])


def takes_pixels(info: TensorInfo) -> bool:
    """Whether an input is of numbers in the shape of images."""
    dtype = info.dtype.base.number
    return (dtype in FLOATS or dtype in INTEGER_RANGES) and _layout(info) is not None


def _layout(info: TensorInfo) -> _Layout | None:
    dims = info.shape.dims
    if dims is None or len(dims) not in (2, 3, 4):
        return None
    if len(dims) == 2:
        # [?, 784] is a batch of flat features; only two declared sizes are a picture.
        return _Layout(None, 0, 1, None) if all(dim is not None and dim > 1 for dim in dims) else None
    if len(dims) == 4:
        return (
            _Layout(0, 2, 3, 1)
            if dims[1] in _CHANNELS and dims[3] not in _CHANNELS
            else (_Layout(0, 1, 2, 3) if dims[3] in _CHANNELS or dims[3] is None else None)
        )
    if dims[2] in _CHANNELS:
        return _Layout(None, 0, 1, 2)
    if dims[0] in _CHANNELS and dims[0] != 1:
        return _Layout(None, 1, 2, 0)
    if dims == (None, None, None):
        return _Layout(None, 0, 1, 2)
    return _Layout(0, 1, 2, None)


def _chosen_scale(scale: str | None, info: TensorInfo) -> str:
    is_float = info.dtype.base.number in FLOATS
    if scale is None:
        return "0..1" if is_float else "0..255"
    if scale not in SCALES:
        raise RequestError(f"there is no scale {str(scale)[:40]!r}; it is '0..1', '-1..1' or '0..255'")
    if not is_float and scale != "0..255":
        raise RequestError(f"the scale {scale!r} has fractions, and the input is declared {info}; use '0..255'")
    return scale


def _decoded(data: bytes, channels: int) -> tuple[Image, list[str]]:
    """The image with the wanted number of channels, and what was done for it."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise RequestError("turning an image into pixels needs Pillow: pip install pillow") from None
    if len(data) > _MOST_FILE_BYTES:
        raise RequestError(f"the image file has {len(data)} bytes; at most {_MOST_FILE_BYTES} are decoded")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are looked at below, and of what a file has beside pixels
            image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
            _check_pixels(image)
            steps = [f"decoded {image.format} of {image.width}×{image.height}"]
            image.draft("RGB" if channels > 1 else "L", None)
            upright = ImageOps.exif_transpose(image)
            if upright.size != image.size:
                steps.append("turned as its EXIF data say")
            image = upright
            if image.mode.startswith(("I", "F")):
                image, step = _eight_bits(image)
                steps.append(step)
            if image.mode != _CHANNELS[channels]:
                steps.append(f"{image.mode} turned into {_CHANNELS[channels]}")
                image = image.convert(_CHANNELS[channels])
            image.load()
    except RequestError:
        raise
    except Image.DecompressionBombError:
        raise RequestError(f"the image has more than {MOST_PIXELS} pixels, the most that are decoded here") from None
    except Exception as error:  # decoders raise what they like for a broken file: SyntaxError, struct.error, KeyError …
        names = ", ".join(_FORMATS)
        raise RequestError(
            f"the bytes are no image that can be decoded ({type(error).__name__}); the formats are {names}"
        ) from None
    return image, steps


def _check_pixels(image: Image) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise RequestError(
            f"the image has {image.width}×{image.height} pixels; at most {MOST_PIXELS} are decoded: make it smaller"
        )


def _eight_bits(image: Image) -> tuple[Image, str]:
    """Grey of 16 or 32 bits as 8; Pillow's own conversion would cut off everything above 255."""
    import numpy as np
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16") or (values.size and 255 < values.max() <= 65535):
        return Image.fromarray((values / 257).round().astype(np.uint8)), "16 bits of grey brought to 8"
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)), "grey cut to 0…255"


def _scaled(image: Image, dtype: int, scale: str) -> tuple[Array, str]:
    import numpy as np

    pixels: Array = np.asarray(image)
    if scale == "0..1":
        return pixels.astype(np.float32) / np.float32(255), "pixels divided by 255: 0 to 1"
    if scale == "-1..1":
        return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1), "pixels / 127.5 - 1: -1 to 1"
    if dtype == _INT8 or INTEGER_RANGES.get(dtype, (0, 255))[1] < 255:
        return pixels.astype(np.int16) - 128, "pixels less 128: -128 to 127"
    return pixels, "pixels from 0 to 255"


def _arranged(pixels: Array, dtype: int, layout: _Layout, copies: int) -> tuple[Tensor, str]:
    """Pixels in the order of the declared dimensions."""
    import numpy as np

    has_channels = pixels.ndim == 3
    names = ["height", "width"]
    if layout.channels is not None:
        pixels = pixels if has_channels else pixels[:, :, np.newaxis]
        is_first = layout.channels < layout.height
        pixels = np.moveaxis(pixels, 2, 0) if is_first else pixels
        names = ["channels", *names] if is_first else [*names, "channels"]
    if layout.batch is not None:
        pixels = np.repeat(pixels[np.newaxis], copies, axis=0)
        names = ["batch", *names]
    tensor = Tensor(dtype, pixels.shape, elements(pixels, dtype).tobytes())
    return tensor, f"laid out as [{', '.join(names)}] = {list(pixels.shape)}"


def _size(dim: int | None, unknown: int) -> int:
    return unknown if dim is None or dim < 0 else dim
