"""Writes the pictures in this folder: every kind that TensorFlow decodes, and some that it doesn't. Needs Pillow.

The pixels are a fixed pattern, a gradient with a bright corner, so that a picture that is turned, mirrored or whose
colours are swapped differs from the right one. The files were made once and are committed: encoders differ between
versions, and the tests compare what is decoded.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
_ORIENTATION = 0x0112
"""The EXIF tag that says how a camera was held (https://exiftool.org/TagNames/EXIF.html)."""


def pattern(height: int, width: int, shift: int = 0) -> np.ndarray:
    """Pixels [height, width, 3] of uint8."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = rows * 255 // max(1, height - 1)
    green = columns * 255 // max(1, width - 1)
    blue = (rows * 7 + columns * 13 + shift) % 256
    pixels = np.stack([red, green, blue], axis=-1).astype(np.uint8)
    pixels[: height // 4 + 1, : width // 4 + 1] = (250, 10, 90)
    return pixels


def alpha(height: int, width: int) -> np.ndarray:
    """How opaque each pixel is, [height, width] of uint8."""
    return (np.mgrid[0:height, 0:width][1] * 255 // max(1, width - 1)).astype(np.uint8)


def main() -> None:
    """Writes all of them."""
    colour = Image.fromarray(pattern(14, 20))
    grey = colour.convert("L")
    see_through = colour.copy()
    see_through.putalpha(Image.fromarray(alpha(14, 20)))

    colour.save(HERE / "colour.jpg", quality=92)
    grey.save(HERE / "grey.jpg", quality=92)
    colour.save(HERE / "progressive.jpg", progressive=True)
    colour.convert("CMYK").save(HERE / "cmyk.jpg")
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    colour.save(HERE / "turned.jpg", exif=exif)
    Image.fromarray(pattern(31, 9, 40)).save(HERE / "tall.jpg")

    colour.save(HERE / "colour.png")
    grey.save(HERE / "grey.png")
    see_through.save(HERE / "alpha.png")
    see_through.convert("LA").save(HERE / "grey_alpha.png")
    colour.convert("P", palette=Image.Palette.ADAPTIVE, colors=16).save(HERE / "palette.png")
    Image.fromarray((pattern(14, 20)[:, :, 0].astype(np.uint16) * 257) ^ 0x55).save(HERE / "deep.png")
    Image.fromarray(pattern(1, 1)).save(HERE / "one_pixel.png")
    Image.fromarray(pattern(6, 40, 90)).save(HERE / "wide.png")

    second = Image.fromarray(pattern(14, 20, 128)[::-1])
    colour.save(HERE / "moving.gif", save_all=True, append_images=[second], duration=100)
    colour.save(HERE / "colour.bmp")
    grey.save(HERE / "grey.bmp")
    see_through.save(HERE / "alpha.bmp")
    colour.save(HERE / "colour.webp", lossless=True)

    whole = io.BytesIO()
    colour.save(whole, "JPEG")
    (HERE / "half.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 3])
    (HERE / "half.png").write_bytes((HERE / "colour.png").read_bytes()[:60])
    (HERE / "cat.txt").write_bytes(b"a cat, in words\n")
    (HERE / "page.jpg").write_bytes(b"\n<!DOCTYPE html><title>Not found</title>\n")


if __name__ == "__main__":
    main()
