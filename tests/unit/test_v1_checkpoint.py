"""Checkpoints of the old format, read without TensorFlow: every value is the one of the same checkpoint in today's."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.converting.bundle import BundleTensor, bundle_content, read_bundle
from explorer.converting.source import find_source
from explorer.converting.stored_values import values_content
from explorer.converting.v1_checkpoint import bundle_tensor, read_v1
from explorer.errors import ExplorerError, FormatError
from explorer.savedmodel.overlay import Document, FileSource
from explorer.savedmodel.records import masked_crc32c, read_varint
from explorer.savedmodel.table import FOOTER_BYTES
from explorer.savedmodel.table_writer import write_table
from explorer.savedmodel.wire import encode_field, encode_varint


@pytest.fixture
def checkpoints(repository: Path) -> Path:
    """The folder with one checkpoint in both formats."""
    return repository / "tests" / "fixtures_checkpoints"


def in_todays_format(folder: Path, name: str) -> dict[bytes, BundleTensor]:
    """What TensorFlow wrote in today's format."""
    data = FileSource(str(folder / f"{name}_v2.ckpt.data-00000-of-00001"))
    return dict(read_bundle((folder / f"{name}_v2.ckpt.index").read_bytes(), lambda shard, num_shards: data))


def stored(tensor: BundleTensor) -> tuple[int, tuple[int, ...], list[bytes]]:
    """Dtype, shape and the bytes of all that is stored."""
    return tensor.dtype_number, tensor.shape, sorted(b"".join(part.pieces()) for part in tensor.contents)


@pytest.mark.parametrize("name", ["dtypes", "parts"])
def test_every_value_is_that_of_todays_format(checkpoints: Path, name: str) -> None:
    """Whatever the dtype, whole or in slices, in one file or in two: the bytes are TensorFlow's to the bit."""
    found = read_v1(sorted(checkpoints.glob(f"{name}_v1.ckpt*")))
    expected = in_todays_format(checkpoints, name)
    assert {key.encode() for key in found} == set(expected)
    for key, tensor in found.items():
        assert stored(bundle_tensor(tensor)) == stored(expected[key.encode()]), key


def test_checksums_are_those_of_todays_format(checkpoints: Path) -> None:
    """The index that is written says the checksums that TensorFlow's own says, of texts too."""
    found = read_v1([checkpoints / "dtypes_v1.ckpt"])
    index, _ = bundle_content(bundle_tensor(tensor) for tensor in found.values())
    shard = FileSource(str(checkpoints / "dtypes_v2.ckpt.data-00000-of-00001"))
    written = read_bundle(index, lambda number, num_shards: shard)
    expected = in_todays_format(checkpoints, "dtypes")
    assert {key: [part.checksum for part in one.contents] for key, one in written.items()} == {
        key: [part.checksum for part in one.contents] for key, one in expected.items()
    }


def test_the_list_agrees_with_what_a_source_shows(checkpoints: Path) -> None:
    """Names, dtypes and whole shapes are those that are told before anything is converted."""
    for name, prefix in (("dtypes", "dtypes_v1.ckpt"), ("parts", "parts_v1.ckpt")):
        found = read_v1(sorted(checkpoints.glob(f"{name}_v1.ckpt*")))
        shown = find_source(checkpoints / prefix).variables
        assert [(one.name, one.dtype_number, one.shape) for one in shown] == [
            (one.name, one.dtype_number, one.shape) for one in found.values()
        ]


def test_a_missing_part_is_named(checkpoints: Path) -> None:
    """Without its second file a partitioned tensor isn't whole, and isn't written with holes."""
    with pytest.raises(FormatError, match="of 'emb', 20 values are stored and its shape has 28"):
        read_v1([checkpoints / "parts_v1.ckpt-00000-of-00002"])


def test_every_changed_byte_is_noticed(checkpoints: Path, tmp_path: Path) -> None:
    """Behind a wrong byte there is a sentence with the file's name: no value is taken from a damaged file."""
    data = (checkpoints / "parts_v1.ckpt-00001-of-00002").read_bytes()
    start, position = read_varint(data, len(data) - FOOTER_BYTES)
    length, _ = read_varint(data, position)
    unused = range(start, start + length + 5)  # the block about blocks, in which nothing ever stands
    for at in (place for place in range(len(data) - FOOTER_BYTES) if place not in unused):
        damaged = tmp_path / "damaged"
        damaged.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        with pytest.raises(FormatError, match=r"'damaged' is no readable part|values are stored"):
            read_v1([checkpoints / "parts_v1.ckpt-00000-of-00002", damaged])


def test_a_file_that_is_cut_off_is_refused(checkpoints: Path, tmp_path: Path) -> None:
    """At whatever length a file ends, the sentence says that it isn't whole."""
    data = (checkpoints / "parts_v1.ckpt-00001-of-00002").read_bytes()
    cut = tmp_path / "cut"
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        with pytest.raises(FormatError):
            read_v1([cut])


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_hostile_tables_end_in_sentences(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Behind good checksums anything may stand: it is read, or refused by one of our own errors."""
    path = tmp_path_factory.mktemp("hostile") / "v1"
    listed = slice_meta(b"w", [data.draw(st.integers(-2, 2**62)) for _ in range(data.draw(st.integers(0, 3)))])
    listed += data.draw(st.sampled_from([b"", b"\x0a", b"\x08\x01", encode_field(1, b"\xff\xff")]))
    value = data.draw(st.one_of(st.binary(max_size=30), st.just(values(b"w", b"\0\0\x80\x3f"))))
    path.write_bytes(write_table([(b"", encode_field(1, listed)), (b"\0w\0\1\0", value)]))
    try:
        for tensor in read_v1([path]).values():
            for part in bundle_tensor(tensor).contents:
                assert len(b"".join(part.pieces())) == part.size_bytes
    except ExplorerError as error:
        assert len(str(error)) < 600 and "\n" not in str(error)


def slice_meta(name: bytes, sizes: list[int], dtype: int = 1) -> bytes:
    """A field of a SavedTensorSliceMeta that lists a tensor."""
    shape = b"".join(encode_field(2, encode_field(1, size)) for size in sizes)
    return encode_field(1, encode_field(1, name) + encode_field(2, shape) + encode_field(3, dtype))


def values(name: bytes, packed: bytes, extents: bytes = b"", field: int = 5) -> bytes:
    """A SavedTensorSlices with the values of a slice."""
    tensor = encode_field(field, packed)
    return encode_field(2, encode_field(1, name) + encode_field(2, extents) + encode_field(3, tensor))


@pytest.mark.parametrize(
    ("listed", "value", "sentence"),
    [
        (slice_meta(b"w", [2]), values(b"w", bytes(8)), "slice of 'w' doesn't fit its shape"),
        (slice_meta(b"w", []), values(b"v", bytes(4)), "has values of 'v', which it doesn't list"),
        (slice_meta(b"w", []), b"", "lists the tensor 'w', and its values are not there"),
        (slice_meta(b"w", [-1]), values(b"w", bytes(4)), "doesn't say the shape of 'w'"),
    ],
)
def test_lists_that_lie_are_refused(tmp_path: Path, listed: bytes, value: bytes, sentence: str) -> None:
    """What is listed and what is stored must be the same."""
    path = tmp_path / "v1"
    path.write_bytes(write_table([(b"", encode_field(1, listed)), (b"\0w\0\1\0", value)]))
    with pytest.raises(FormatError, match=sentence):
        read_v1([path])


def test_a_wrong_number_of_values_is_refused(tmp_path: Path) -> None:
    """A tensor of one value that stores two, or half a number, isn't written."""
    path = tmp_path / "v1"
    for dtype, packed, field in ((1, bytes(8), 5), (3, b"\1\2", 7), (3, b"\x81", 7), (3, b"\xff" * 20, 7)):
        table = [(b"", encode_field(1, slice_meta(b"w", [], dtype))), (b"\0w\0\1\0", values(b"w", packed, field=field))]
        path.write_bytes(write_table(table))
        with pytest.raises(FormatError, match="'w'"):
            bundle_content(bundle_tensor(tensor) for tensor in read_v1([path]).values())


@settings(max_examples=200, deadline=None)
@given(numbers=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60), width=st.sampled_from([1, 3, 7]))
def test_numbers_of_variable_length_are_decoded(numbers: list[int], width: int) -> None:
    """However the pieces cut them, packed or one by one, numbers come out as int64."""
    packed = encode_field(10, b"".join(encode_varint(number) for number in numbers))
    single = b"".join(encode_field(10, number) for number in numbers)
    expected = struct.pack(f"<{len(numbers)}q", *numbers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("explorer.converting.stored_values.PIECE_BYTES", width)
        for data in (packed, single, packed + single):
            count = len(numbers) * (2 if data == packed + single else 1)
            content = values_content(Document.of_bytes(data), None, 9, count, "w")
            assert b"".join(content.pieces()) == expected * (count // len(numbers))


def test_other_forms_of_values_are_read(tmp_path: Path) -> None:
    """Values as plain bytes (``tensor_content``) and numbers that aren't packed are a TensorProto's as well."""
    plain = values_content(Document.of_bytes(encode_field(4, bytes(range(8)))), None, 1, 2, "w")
    assert b"".join(plain.pieces()) == bytes(range(8))
    single = values_content(Document.of_bytes(b"\x2dabcd\x2defgh"), None, 1, 2, "w")
    assert b"".join(single.pieces()) == b"abcdefgh"
    assert masked_crc32c(b"abcdefgh") != 0
    with pytest.raises(FormatError, match="which an old checkpoint can't hold"):
        values_content(Document.of_bytes(b""), None, 21, 0, "w")


def test_a_snappy_block_is_read(checkpoints: Path, tmp_path: Path) -> None:
    """A table whose blocks are compressed, as other writers of the format do, gives the same."""
    pairs = [
        (b"", encode_field(1, slice_meta(b"w", []))),
        (b"\0w\0\1\0", values(b"w", b"\0\0\x80\x3f")),
    ]
    content = b"".join(
        encode_varint(0) + encode_varint(len(key)) + encode_varint(len(value)) + key + value for key, value in pairs
    )
    content += struct.pack("<2I", 0, 1)
    packed = encode_varint(len(content)) + bytes([61 << 2]) + struct.pack("<H", len(content) - 1) + content
    blocks = [(packed, 1)]
    directory = encode_varint(0) + encode_varint(1) + encode_varint(2) + b"\1" + bytes([0, len(packed)])
    blocks += [(struct.pack("<2I", 0, 1), 0), (directory + struct.pack("<2I", 0, 1), 0)]
    table, places = b"", []
    for block, kind in blocks:
        places.append(encode_varint(len(table)) + encode_varint(len(block)))
        table += block + bytes([kind]) + struct.pack("<I", masked_crc32c(block + bytes([kind])))
    path = tmp_path / "v1"
    path.write_bytes(table + (places[1] + places[2]).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57))
    (tensor,) = read_v1([path]).values()
    assert stored(bundle_tensor(tensor)) == (1, (), [b"\0\0\x80\x3f"])


def test_a_part_given_twice_counts_once(checkpoints: Path, tmp_path: Path) -> None:
    """The same file under two numbers says nothing new."""
    again = tmp_path / "again"
    shutil.copy(checkpoints / "dtypes_v1.ckpt", again)
    once = read_v1([checkpoints / "dtypes_v1.ckpt"])
    twice = read_v1([checkpoints / "dtypes_v1.ckpt", again])
    assert {name: len(tensor.slices) for name, tensor in twice.items()} == dict.fromkeys(once, 1)
