"""The table writer: what it writes, our own reader reads back, and it is laid out as LevelDB's format says."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import FormatError
from explorer.savedmodel import table, table_writer
from explorer.savedmodel.records import masked_crc32c
from explorer.savedmodel.table import read_table
from explorer.savedmodel.table_writer import BLOCK_BYTES, write_table

KEYS = st.one_of(st.binary(max_size=12), st.binary(max_size=3).map(lambda end: b"a/long/common/prefix/" + end))
TABLES = st.dictionaries(KEYS, st.binary(max_size=40), max_size=80)


@settings(max_examples=300, deadline=None)
@given(pairs=TABLES, block_bytes=st.sampled_from([1, 40, 300, BLOCK_BYTES]))
def test_what_is_written_is_read_back(pairs: dict[bytes, bytes], block_bytes: int) -> None:
    """Any keys and values come back, with one pair a block as well as with all in one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_writer, "BLOCK_BYTES", block_bytes)
        written = write_table(sorted(pairs.items()))
    assert list(read_table(written)) == sorted(pairs.items())


def test_large_values_and_many_keys_are_read_back() -> None:
    """Blocks stay of the size that readers are used to, except where a single value is larger."""
    pairs = [(f"layer/{number:06d}/kernel".encode(), bytes([number % 251]) * 50) for number in range(20_000)]
    pairs.append((b"z", bytes(3 * BLOCK_BYTES)))
    written = write_table(pairs)
    assert list(read_table(written)) == pairs
    sizes = block_sizes(written)
    assert len(sizes) > 10 and all(BLOCK_BYTES <= size < BLOCK_BYTES + 200 for size in sizes[:-1])
    assert len(written) < sum(len(key) + len(value) for key, value in pairs), "prefixes are not shared"


def block_sizes(written: bytes) -> list[int]:
    """The sizes of the data blocks, by the directory at the end."""
    footer = written[-48:]
    position = 0
    numbers = []
    for _ in range(4):
        number, position = table.read_varint(footer, position)
        numbers.append(number)
    directory = written[numbers[2] : numbers[2] + numbers[3]]
    return [table.read_varint(place, table.read_varint(place, 0)[1])[0] for _, place in table._entries(directory)]


def test_the_layout_is_the_formats_own() -> None:
    """The bytes of a small table, put together by hand from the format's description."""
    block = b"\x00\x00\x01h" + b"\x00\x02\x01abx" + b"\x02\x01\x01cy" + struct.pack("<II", 0, 1)
    first = block + b"\0"
    empty = struct.pack("<II", 0, 1) + b"\0"
    handle = bytes([0, len(block)])
    directory = b"\x00\x03\x02abc" + handle + struct.pack("<II", 0, 1) + b"\0"
    blocks = b"".join(part + struct.pack("<I", masked_crc32c(part)) for part in (first, empty, directory))
    places = bytes([len(first) + 4, 8, len(first) + 4 + len(empty) + 4, len(directory) - 1])
    assert write_table([(b"", b"h"), (b"ab", b"x"), (b"abc", b"y")]) == (
        blocks + places.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    )


@pytest.mark.parametrize("keys", [[b"b", b"a"], [b"a", b"a"], [b"", b""]])
def test_keys_out_of_order_are_refused(keys: list[bytes]) -> None:
    """A table whose keys aren't increasing could not be searched."""
    with pytest.raises(FormatError, match="increasing"):
        write_table([(key, b"") for key in keys])


def test_an_empty_table_is_one() -> None:
    """No pairs make a table without blocks."""
    assert list(read_table(write_table([]))) == []
