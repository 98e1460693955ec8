"""What the first bytes of a picture's file say, and what a file is that TensorFlow decodes no picture from.

Four formats are decoded by every version of TensorFlow that a server may run: JPEG, PNG, GIF and BMP. Nothing is
decoded here; a file may still be damaged behind a right beginning.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from explorer.errors import quoted

FORMATS = ("JPEG", "PNG", "GIF", "BMP")

TURNED = "its EXIF data say that it is to be turned or mirrored; TensorFlow gives the pixels as they lie in the file"
FIRST_FRAME = "of a GIF the first frame is taken"

_SHOWN = 12
_JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF_ORIENTATION = 0x0112
_PNG_DEPTH_16 = 16
_PNG_WITH_ALPHA = (4, 6)

# What begins so → what it is, and what to do about it.
_OTHERS = (
    (b"\xff\x0a", "a JPEG XL picture, which only new versions of TensorFlow decode"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture, which only new versions of TensorFlow decode"),
    (b"II*\x00", "a TIFF picture, which TensorFlow doesn't decode"),
    (b"MM\x00*", "a TIFF picture, which TensorFlow doesn't decode"),
    (b"8BPS", "a Photoshop picture, which TensorFlow doesn't decode"),
    (b"\x00\x00\x01\x00", "an icon, which TensorFlow doesn't decode"),
    (b"%PDF", "a PDF document, no picture"),
    (b"PK\x03\x04", "a zip file, no picture"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer in place of the file; fetch it with git lfs pull"),
    (b"data:", "a data URL, text in place of a picture; send the bytes that it stands for, or wrap with base64"),
    (b"/9j/", "base64 text of a JPEG; send the bytes that it stands for, or wrap with base64"),
    (b"iVBORw0KGgo", "base64 text of a PNG; send the bytes that it stands for, or wrap with base64"),
    (b"R0lGOD", "base64 text of a GIF; send the bytes that it stands for, or wrap with base64"),
)
_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"avif": "AVIF", b"avis": "AVIF"}


@dataclass(frozen=True, slots=True)
class ImageHead:
    """What a picture's file says of itself.

    Attributes:
        format: One of :data:`FORMATS`.
        height: Its rows.
        width: Its columns.
        notes: What becomes of it in TensorFlow, where that may surprise.
    """

    format: str
    height: int
    width: int
    notes: tuple[str, ...] = ()


def read_head(data: bytes) -> ImageHead | None:
    """What a picture's file says; None where it is no JPEG, PNG, GIF or BMP, or ends before it says how large it is."""
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(data)
        if data.startswith((b"GIF87a", b"GIF89a")):
            width, height = struct.unpack_from("<HH", data, 6)
            return ImageHead("GIF", height, width, (FIRST_FRAME,))
        if data.startswith(b"BM"):
            return _bmp(data)
    except struct.error:
        return None
    return None


def what_else(data: bytes) -> str:
    """What a file is that :func:`read_head` can't read, the rest of a sentence: ``is a PDF document, no picture``."""
    if not data:
        return "is empty"
    for start, words in _OTHERS:
        if data.startswith(start):
            return f"is {words}"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "is a WebP picture, which only new versions of TensorFlow decode"
    if data[4:8] == b"ftyp" and data[8:12] in _BRANDS:
        return f"is a picture in the format {_BRANDS[data[8:12]]}, which TensorFlow doesn't decode"
    if data.lstrip()[:1] == b"<":
        return "begins like a page of HTML or XML, no picture: was an error page saved in its place?"
    known = {b"\xff\xd8": "JPEG", b"\x89PNG": "PNG", b"GIF8": "GIF", b"BM": "BMP"}
    for start, name in known.items():
        if data.startswith(start):
            return f"begins like a {name}, which ends before it says how large it is, or is damaged"
    shown = quoted(data[:_SHOWN].decode("ascii", "backslashreplace"))
    return f"begins with {shown}, which is no JPEG, PNG, GIF or BMP"


def _png(data: bytes) -> ImageHead:
    width, height, depth, kind = struct.unpack_from(">IIBB", data, 16)
    notes = []
    if depth == _PNG_DEPTH_16:
        notes.append("its 16 bits a channel become 8")
    if kind in _PNG_WITH_ALPHA:
        notes.append("it says how opaque each pixel is, which a model of grey or colours doesn't get to see")
    return ImageHead("PNG", height, width, tuple(notes))


def _bmp(data: bytes) -> ImageHead:
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    notes: tuple[str, ...] = ()
    if bits == 8 and not _is_grey(data, header_bytes):
        notes = ("its palette isn't read by TensorFlow: the model gets numbers of colours as if they were grey",)
    return ImageHead("BMP", abs(height), abs(width), notes)


def _is_grey(data: bytes, header_bytes: int) -> bool:
    """Whether the palette of a BMP is that of grey: pixel value n has the colour n, n, n."""
    start = 14 + header_bytes
    return all(data[start + 4 * n : start + 4 * n + 3] in (bytes([n] * 3), b"") for n in range(256))


def _jpeg(data: bytes) -> ImageHead | None:
    notes: list[str] = []
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in _JPEG_STANDALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _JPEG_FRAMES:
            height, width, channels = struct.unpack_from(">HHB", data, at + 5)
            if channels == 4:
                notes.append("its colours are those of print (CMYK); TensorFlow turns them into red, green and blue")
            return ImageHead("JPEG", height, width, tuple(notes))
        if marker == 0xE1 and _orientation(data[at + 4 : at + 2 + length]) not in (0, 1):
            notes.append(TURNED)
        at += 2 + length
    return None


def _orientation(segment: bytes) -> int:
    """How a camera was held, from an EXIF segment; 0 where it doesn't say.

    The segment is ``Exif``, two zeros and the beginning of a TIFF file (https://exiftool.org/TagNames/EXIF.html).
    """
    if segment[:6] != b"Exif\x00\x00" or segment[6:8] not in (b"II", b"MM"):
        return 0
    tiff = segment[6:]
    order = "<" if tiff[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, at)
        for entry in range(min(entries, 200)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + 12 * entry)
            if tag == _EXIF_ORIENTATION and kind == 3:
                return int(value)
    except struct.error:
        pass
    return 0
