"""A small picture of an image that somebody gave, to be seen beside the input it is for."""

from __future__ import annotations

import base64
import io
import warnings

_SIDE = 64  # CSS pixels; twice as many are made, for screens that show them
_MOST_BYTES = 100_000_000
_MOST_PIXELS = 50_000_000
# Formats that Pillow decodes by itself; others start programs (EPS starts Ghostscript).
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def thumbnail(data: bytes) -> str:
    """A picture of an image file as a ``data:`` URI of a PNG; empty where the bytes are no image, or Pillow is missing.

    Args:
        data: The bytes of the file, which nobody vouches for.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        return ""
    if len(data) > _MOST_BYTES:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
            if image.width * image.height > _MOST_PIXELS:
                return ""
            image.draft("RGB", (2 * _SIDE, 2 * _SIDE))
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I;16"):
                image = image.point(lambda value: value / 257).convert("L")
            image = image.convert("RGBA" if "A" in image.mode or "transparency" in image.info else "RGB")
            image.thumbnail((2 * _SIDE, 2 * _SIDE))
            small = io.BytesIO()
            image.save(small, "PNG")
    except Exception:  # decoders raise what they like for a broken file; whoever decodes it for the input says so
        return ""
    return "data:image/png;base64," + base64.b64encode(small.getvalue()).decode("ascii")
