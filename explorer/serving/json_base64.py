"""Base64 as TensorFlow Serving takes it: ``absl::Base64Unescape`` of https://github.com/abseil/abseil-cpp."""

from __future__ import annotations

import binascii
import re
from typing import Final

_WHITE_SPACE: Final = b" \t\n\v\f\r"
_FORM: Final = re.compile(rb"([A-Za-z0-9+/]*+)([=.]*+)")


def decode_base64(text: bytes) -> bytes | None:
    """The bytes that a text stands for.

    White space counts for nothing anywhere, padding (``=`` or ``.``) may be left out but not be of a wrong length,
    and the bits that are left over need not be zero. The web-safe alphabet (``-_``) isn't taken.

    Returns:
        None where it isn't base64.
    """
    form = _FORM.fullmatch(text.translate(None, _WHITE_SPACE))
    if form is None:
        return None
    digits, padding = form.groups()
    rest = len(digits) % 4
    if rest == 1 or (padding and len(padding) != -rest % 4):
        return None
    return binascii.a2b_base64(digits + b"=" * (-rest % 4))
