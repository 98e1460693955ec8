"""How many of something, and how large, as it stands in a sentence."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """A number with its noun: ``1 variable``, ``2 variables``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def printable_size(size_bytes: int) -> str:
    """A size in bytes in the largest unit that leaves a number above one."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
