"""The writer of checkpoints: what it writes, our reader finds, with checksums and slices as TensorFlow has them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.converting.bundle import (
    BundleSlice,
    BundleTensor,
    Content,
    bundle_content,
    bytes_content,
    range_content,
    read_bundle,
)
from explorer.converting.crc32c import extend_crc32c, masked
from explorer.converting.slice_keys import slice_key
from explorer.errors import FormatError
from explorer.savedmodel.checkpoint_index import read_index
from explorer.savedmodel.overlay import BytesSource
from explorer.savedmodel.records import masked_crc32c
from explorer.savedmodel.table import read_table
from explorer.savedmodel.table_writer import write_table


def written(tensors: list[BundleTensor]) -> tuple[bytes, bytes]:
    """Index and data file."""
    index, write_data = bundle_content(tensors)
    data = io.BytesIO()
    write_data(data)
    return index, data.getvalue()


def read_back(index: bytes, data: bytes) -> dict[bytes, tuple[int, tuple[int, ...], list[bytes]]]:
    """Key → dtype, shape and the bytes of all that is stored."""
    found = read_bundle(index, lambda shard, num_shards: BytesSource(data))
    return {
        key: (one.dtype_number, one.shape, [b"".join(part.pieces()) for part in one.contents])
        for key, one in found.items()
    }


@pytest.mark.parametrize("size", [0, 1, 63, 127, 128, 129, 5000, 262_144, 262_145, 600_001])
def test_the_checksum_is_that_of_one_byte_after_the_other(size: int) -> None:
    """Work on many parts at once gives what the plain loop gives, for every length and from any place on."""
    data = bytes((number * number + number // 7) % 251 for number in range(size))
    assert masked(extend_crc32c(data)) == masked_crc32c(data)
    assert extend_crc32c(data[size // 3 :], extend_crc32c(data[: size // 3])) == extend_crc32c(data)


@settings(max_examples=200, deadline=None)
@given(
    name=st.text(st.characters(codec="utf-8"), max_size=12),
    extents=st.lists(
        st.tuples(st.integers(0, 2**62), st.one_of(st.none(), st.integers(0, 2**62))), min_size=1, max_size=4
    ),
)
def test_the_key_of_a_slice_is_found_again(name: str, extents: list[tuple[int, int | None]]) -> None:
    """The reader of indexes takes a slice's key apart into what it was made of, numbers of every width among them."""
    sizes = tuple(0 if length is None else length for _, length in extents)
    tensor = BundleTensor(b"n" + name.encode(), 4, sizes, slices=(BundleSlice(tuple(extents), bytes_content(b"12")),))
    (variable,) = read_index(written([tensor])[0]).variables
    (part,) = variable.slices
    assert variable.name == "n" + name
    assert tuple(zip(part.starts, part.lengths, strict=True)) == tuple(extents)


def test_names_with_bytes_that_end_names_are_escaped() -> None:
    """The bytes 00 and ff, which end and escape, don't end a name."""
    key = slice_key(b"\0\xff", ((0, None),))
    assert key == b"\0" + b"\0\xff\xff\0" + b"\0\1" + b"\1\1" + b"\x80\x7f"


def test_a_checkpoint_is_read_back() -> None:
    """Scalars, empty tensors, slices and texts come back under their keys, sorted, in one data file."""
    source = BytesSource(b"....abcdefgh")
    tensors = [
        BundleTensor(b"z", 1, (2,), range_content(source, 4, 8, None, True)),
        BundleTensor(b"a/scalar", 3, (), bytes_content(b"\1\0\0\0")),
        BundleTensor(b"empty", 1, (0, 3), bytes_content(b"")),
        BundleTensor(
            b"cut",
            4,
            (5,),
            slices=(BundleSlice(((3, 2),), bytes_content(b"de")), BundleSlice(((0, 3),), bytes_content(b"abc"))),
        ),
    ]
    index, data = written(tensors)
    assert read_back(index, data) == {
        b"a/scalar": (3, (), [b"\1\0\0\0"]),
        b"cut": (4, (5,), [b"de", b"abc"]),
        b"empty": (1, (0, 3), [b""]),
        b"z": (1, (2,), [b"abcdefgh"]),
    }
    listed = read_index(index)
    assert [one.name for one in listed.variables] == ["a/scalar", "cut", "empty", "z"]
    assert listed.num_shards == 1 and listed.reach == {0: len(data)}
    assert listed.variables[3].checksum == masked_crc32c(b"abcdefgh")
    assert written(list(reversed(tensors))) == (index, data), "the order in which tensors are given shows"


def test_tensors_of_one_checkpoint_go_into_another(repository: Path) -> None:
    """What was read from a checkpoint of TensorFlow's can be written again: same entries, same values."""
    folder = repository / "tests" / "fixtures_checkpoints"
    for name in ("dtypes_v2", "parts_v2"):
        index = (folder / f"{name}.ckpt.index").read_bytes()
        data = (folder / f"{name}.ckpt.data-00000-of-00001").read_bytes()
        found = read_bundle(index, lambda shard, num_shards, data=data: BytesSource(data))
        copied = written(list(found.values()))
        assert read_back(*copied) == read_back(index, data)
        assert [
            (one.name, one.dtype_number, one.shape, one.checksum, [part.checksum for part in one.slices])
            for one in read_index(copied[0]).variables
        ] == [
            (one.name, one.dtype_number, one.shape, one.checksum, [part.checksum for part in one.slices])
            for one in read_index(index).variables
        ]


def test_large_tensors_are_written_in_pieces() -> None:
    """Not more than a mebibyte of a tensor is asked for at once."""
    asked: list[int] = []

    class Large(BytesSource):
        def read_at(self, offset: int, length: int) -> bytes:
            asked.append(length)
            return super().read_at(offset, length)

    data = bytes(3 << 20)
    tensor = BundleTensor(b"w", 4, (len(data),), range_content(Large(data), 0, len(data), None, True))
    assert written([tensor])[1] == data
    assert len(asked) == 6 and max(asked) == 1 << 20


def test_damage_is_refused() -> None:
    """A checksum that doesn't fit, a content of another length and a name twice each have their sentence."""
    wrong = BundleTensor(b"w", 4, (2,), range_content(BytesSource(b"ab"), 0, 2, 123, True))
    with pytest.raises(FormatError, match="checksum of 'w' is wrong"):
        written([wrong])
    short = BundleTensor(b"w", 4, (3,), Content(3, lambda: iter((b"ab",))))
    with pytest.raises(FormatError, match="'w' has 2 bytes where 3 were expected"):
        written([short])
    with pytest.raises(FormatError, match="two tensors with the name 'w'"):
        written([wrong, wrong])


def test_an_index_that_lies_is_refused() -> None:
    """Places outside the data, slices of another rank, big-endian values and unknown shapes aren't taken over."""
    good = BundleTensor(b"w", 4, (2,), bytes_content(b"ab"))
    index, data = written([good])
    with pytest.raises(FormatError, match="cut off"):
        read_back(index, data[:-1])
    pairs = dict(read_table(index))
    with pytest.raises(FormatError, match="big-endian"):
        read_back(write_table([(b"", pairs[b""] + b"\x10\x01"), (b"w", pairs[b"w"])]), data)
    with pytest.raises(FormatError, match="impossible place"):
        read_back(write_table([(b"", pairs[b""]), (b"w", pairs[b"w"] + b"\x18\x05")]), data)
    with pytest.raises(FormatError, match="no whole shape"):
        read_back(write_table([(b"", pairs[b""]), (b"w", pairs[b"w"] + b"\x12\x02\x18\x01")]), data)
    with pytest.raises(FormatError, match="another rank"):
        read_back(write_table([(b"", pairs[b""]), (b"w", pairs[b"w"] + b"\x3a\x00")]), data)
    with pytest.raises(FormatError, match="announced in the index and not stored"):
        read_back(write_table([(b"", pairs[b""]), (b"w", pairs[b"w"] + b"\x3a\x02\x0a\x00")]), data)
