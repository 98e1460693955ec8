"""variables.index read from bytes that are made here, one byte after the other."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import ExplorerError, FormatError
from explorer.savedmodel import table, wire
from explorer.savedmodel.records import iter_fields, masked_crc32c
from explorer.savedmodel.table import read_table, unpack_snappy
from explorer.savedmodel.variables import Variable, VariableSlice, read_variables, stored_twice


def varint(value: int) -> bytes:
    """A number as protobuf and LevelDB write it."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    """A varint field."""
    return varint(field << 3) + varint(value)


def message(field: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def shape(*sizes: int) -> bytes:
    """A TensorShapeProto."""
    return b"".join(message(2, number(1, size)) for size in sizes)


def entry(  # one argument per field of BundleEntryProto
    dtype: int = 1, sizes: tuple[int, ...] = (), shard: int = 0, offset: int = 0, size: int = 4, crc: int = 0
) -> bytes:
    """A BundleEntryProto."""
    fields = number(1, dtype) + message(2, shape(*sizes)) + number(3, shard) + number(4, offset) + number(5, size)
    return fields + varint(6 << 3 | 5) + struct.pack("<I", crc)


def block(pairs: list[tuple[bytes, bytes]], restart_every: int = 16) -> bytes:
    """A block with prefix compression, as LevelDB's builder writes it."""
    out, restarts, previous = b"", [], b""
    for count, (key, value) in enumerate(pairs):
        shared = 0
        if count % restart_every == 0:
            restarts.append(len(out))
        else:
            shared = len(os.path.commonprefix([key, previous]))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        previous = key
    return out + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def with_trailer(content: bytes, kind: int = 0) -> bytes:
    """A block with its compression type and checksum."""
    stored = content + bytes([kind])
    return stored + struct.pack("<I", masked_crc32c(stored))


def literal(content: bytes) -> bytes:
    """Snappy of a content without any repetition used."""
    return varint(len(content)) + bytes([61 << 2]) + struct.pack("<H", len(content) - 1) + content


def make_table(pairs: list[tuple[bytes, bytes]], per_block: int = 5, snappy: bool = False) -> bytes:
    """A whole table."""
    out, places = b"", []
    for start in range(0, len(pairs), per_block):
        content = block(pairs[start : start + per_block])
        stored = literal(content) if snappy else content
        places.append((pairs[min(start + per_block, len(pairs)) - 1][0], varint(len(out)) + varint(len(stored))))
        out += with_trailer(stored, 1 if snappy else 0)
    return finished(out, places)


def finished(blocks: bytes, places: list[tuple[bytes, bytes]]) -> bytes:
    """Data blocks, the index of them, and the footer."""
    index = block(places, restart_every=1)
    handle = varint(len(blocks)) + varint(len(index))
    footer = (handle + handle).ljust(40, b"\0") + struct.pack("<Q", table.MAGIC)
    return blocks + with_trailer(index) + footer


HEADER = (b"", number(1, 1) + message(3, number(1, 1)))


def make_folder(path: Path, index: bytes | None, **files: bytes) -> Path:
    """A SavedModel's folder with variables/; keywords are files in it."""
    (path / "variables").mkdir(parents=True, exist_ok=True)
    if index is not None:
        (path / "variables" / "variables.index").write_bytes(index)
    for name, content in files.items():
        (path / "variables" / name).write_bytes(content)
    return path


DATA = "variables.data-00000-of-00001"


def test_reads_names_dtypes_shapes_and_places(tmp_path: Path) -> None:
    """Every field of an entry arrives, the object graph is counted and not listed, and all is there."""
    pairs = [HEADER, (b"_CHECKPOINTABLE_OBJECT_GRAPH", entry(7, (), 0, 28, 12))]
    pairs += [(b"a/b", entry(1, (2, 3), 0, 0, 24, 0xDEADBEEF)), (b"a/c", entry(9, (), 0, 24, 4)), (b"a/d", entry())]
    found = read_variables(make_folder(tmp_path, make_table(pairs), **{DATA: bytes(40)}))
    assert found.entries[0] == Variable("a/b", 1, (2, 3), 24, 0, 0, 0xDEADBEEF)
    assert [(one.name, one.shape) for one in found.entries] == [("a/b", (2, 3)), ("a/c", ()), ("a/d", ())]
    assert (found.bookkeeping_entries, found.num_shards, found.big_endian) == (1, 1, False)
    assert (found.status, found.note, found.missing) == ("ok", "", ())
    assert [(file.name, file.size_bytes, file.needed_bytes) for file in found.data_files] == [(DATA, 40, 40)]
    assert found.size_bytes == 32


@pytest.mark.parametrize("snappy", [False, True])
@pytest.mark.parametrize("per_block", [1, 7, 1000])
def test_every_block_layout_gives_the_same_variables(tmp_path: Path, per_block: int, snappy: bool) -> None:
    """Prefix compression, many blocks and snappy are undone: the names come out whole and in order."""
    names = [f"layer_{number:03d}/kernel" for number in range(300)]
    pairs = [HEADER, *((name.encode(), entry(offset=4 * at)) for at, name in enumerate(names))]
    folder = make_folder(tmp_path, make_table(pairs, per_block, snappy), **{DATA: bytes(1200)})
    found = read_variables(folder)
    assert [one.name for one in found.entries] == names
    assert found.entries[299].offset == 1196


def test_header_and_odd_entries(tmp_path: Path) -> None:
    """Big-endian, unknown rank, an undecodable name, fields of the future and of unexpected type are all read."""
    header = (b"", number(1, 1) + number(2, 1))
    odd = number(1, 1) + message(2, number(3, 1)) + number(5, 0) + message(99, b"new") + message(4, b"offset?")
    found = read_variables(make_folder(tmp_path, make_table([header, (b"\xff\xfe", odd)]), **{DATA: b""}))
    assert found.big_endian
    assert found.entries == (Variable("\\xff\\xfe", 1, None, 0, 0, 0, 0),)


def slice_key(name: bytes, *encoded: bytes) -> bytes:
    """The OrderedCode key of a slice; the numbers are given encoded."""
    escaped = b"".join({0: b"\0\xff", 255: b"\xff\0"}.get(byte, bytes([byte])) for byte in name)
    return b"\0" + escaped + b"\0\1" + b"\1" + bytes([len(encoded) // 2]) + b"".join(encoded)


def test_partitioned_variables_are_put_together(tmp_path: Path) -> None:
    """Slices are found by their keys, in whatever width OrderedCode wrote their numbers, and by odd names too."""
    name = b"em\xff\xffbed\0\xff\0"
    extents = [[(0, 64), (0, None)], [(64, 8192), (0, None)], [(8256, 1 << 20), (0, None)]]
    encoded = [
        (b"\x80", b"\xc0\x40", b"\x80", b"\x7f"),
        (b"\xc0\x40", b"\xe0\x20\x00", b"\x80", b"\x7f"),
        (b"\xe0\x20\x40", b"\xf0\x10\x00\x00", b"\x80", b"\x7f"),
    ]
    parts = b""
    pairs = []
    for at, (extent, key) in enumerate(zip(extents, encoded, strict=True)):
        one = b""
        for start, length in extent:
            one += message(1, number(1, start) + (b"" if length is None else number(2, length)))
        parts += message(7, one)
        pairs.append((slice_key(name, *key), entry(1, (), 1, 100 * at, 100, at)))
    whole = number(1, 1) + message(2, shape(1 << 21, 8)) + parts
    header = (b"", number(1, 2))
    index = make_table([header, *sorted(pairs), (name, whole)])
    found = read_variables(make_folder(tmp_path, index, **{"variables.data-00001-of-00002": bytes(300)}))
    assert found.status == "ok"
    (variable,) = found.entries
    assert (variable.size_bytes, variable.shard, variable.offset, variable.checksum) == (300, None, None, None)
    assert variable.slices == tuple(
        VariableSlice((start, 0), (length, None), 100, 1, 100 * at, at)
        for at, ((start, length), _) in enumerate(extents)
    )


def test_announced_slice_without_an_entry_is_damage(tmp_path: Path) -> None:
    """A partitioned variable with a part that is not stored is refused by name."""
    whole = number(1, 1) + message(2, shape(4)) + message(7, message(1, number(2, 2)))
    with pytest.raises(FormatError, match="slice of the variable 'w'"):
        read_variables(make_folder(tmp_path, make_table([HEADER, (b"w", whole)])))


def two_shards() -> bytes:
    """An index of two variables in two data files."""
    return make_table([(b"", number(1, 2)), (b"a", entry(shard=0)), (b"b", entry(shard=1, offset=8))])


@pytest.mark.parametrize(
    ("files", "status", "word"),
    [
        ({}, "index_only", "variables.data-00000-of-00002"),
        ({"variables.data-00000-of-00002": bytes(4)}, "shard_missing", "variables.data-00001-of-00002"),
        (
            {"variables.data-00000-of-00002": bytes(4), "variables.data-00001-of-00002": bytes(11)},
            "shard_short",
            "11 bytes, and the variables in it need 12",
        ),
        (
            {
                "variables.data-00000-of-00002": bytes(4),
                "variables.data-00001-of-00002": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            },
            "lfs_pointer",
            "git lfs pull",
        ),
        ({"variables.data-00000-of-00002": bytes(4), "variables.data-00001-of-00002": bytes(12)}, "ok", ""),
    ],
)
def test_what_is_missing_of_the_data_is_named(tmp_path: Path, files: dict[str, bytes], status: str, word: str) -> None:
    """The variables are listed whatever data files are there, and the note says which one is not, or is not whole."""
    found = read_variables(make_folder(tmp_path, two_shards(), **files))
    assert found.status == status
    assert word in found.note
    assert [one.name for one in found.entries] == ["a", "b"]
    assert len(found.missing) + len(found.data_files) == 2


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ({"variables": b"x"}, "v1_format"),
        ({"variables-00000-of-00001": b"x"}, "v1_format"),
        ({DATA: b"x"}, "missing"),
        ({}, "none"),
    ],
)
def test_folders_without_an_index_are_told_apart(tmp_path: Path, files: dict[str, bytes], status: str) -> None:
    """The old checkpoint format, data without an index and an empty folder each have a status and a sentence."""
    found = read_variables(make_folder(tmp_path, None, **files))
    assert (found.status, found.entries) == (status, ())
    assert found.note


def test_no_folder_and_a_pointer(tmp_path: Path) -> None:
    """No variables/ is right for a model without variables; a Git LFS pointer is named for what it is."""
    assert read_variables(tmp_path).status == "none"
    found = read_variables(make_folder(tmp_path, b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n"))
    assert found.status == "lfs_pointer"


def test_large_and_odd_files_are_refused_unread(tmp_path: Path) -> None:
    """A huge index and a named pipe, which would block for ever, get a sentence."""
    path = make_folder(tmp_path, b"") / "variables" / "variables.index"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(FormatError, match="is not read"):
        read_variables(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FormatError, match="no regular file"):
        read_variables(tmp_path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:40], "at least 48 bytes"),
        (lambda data: data[:-1], "doesn't end as a table does"),
        (lambda data: data[100:], "cut off or damaged|checksum"),
        (lambda data: data[:10] + bytes([data[10] ^ 1]) + data[11:], "checksum"),
    ],
)
def test_damage_has_a_sentence(tmp_path: Path, damage: object, words: str) -> None:
    """A table that is cut off, cut open or changed by one bit is refused with what is wrong and where."""
    good = make_table([HEADER, *((f"variable_{at}".encode(), entry(offset=4 * at)) for at in range(20))])
    with pytest.raises(FormatError, match=words) as failure:
        read_variables(make_folder(tmp_path, damage(good)))  # type: ignore[operator]
    assert "variables.index" in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    "pairs",
    [
        [(b"a", entry())],
        [HEADER, (b"b", entry()), (b"a", entry())],
        [HEADER, (b"a", entry(shard=1))],
        [HEADER, (b"a", entry(offset=-1))],
        [HEADER, (b"a", entry(size=-4))],
        [HEADER, (b"\0broken", entry())],
        [HEADER, (slice_key(b"a", b"\xff", b"\x80"), entry())],
    ],
)
def test_contradictions_inside_are_damage(tmp_path: Path, pairs: list[tuple[bytes, bytes]]) -> None:
    """No header, keys out of order, places that cannot be and damaged slice keys are refused."""
    with pytest.raises(FormatError):
        read_variables(make_folder(tmp_path, make_table(pairs)))


def test_one_block_named_often_is_refused() -> None:
    """An index that names one block again and again would keep a reader busy for ever; blocks must not overlap."""
    content = with_trailer(block([HEADER]))
    handle = varint(0) + varint(len(content) - 5)
    data = finished(content, [(str(at).encode(), handle) for at in range(1000)])
    with pytest.raises(FormatError, match="overlap"):
        list(read_table(data))


def test_prefix_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that repeat a long prefix by reference unpack to far more than the file has; that is bounded."""
    monkeypatch.setattr(table, "MOST_UNPACKED_BYTES", 1 << 20)
    prefix = b"k" * 10_000
    pairs = [HEADER, *((prefix + f"{at:06d}".encode(), b"") for at in range(1000))]
    with pytest.raises(FormatError, match="unpacks to more than"):
        list(read_table(make_table(pairs, per_block=1001)))


def test_snappy_copies() -> None:
    """Literals and copies of all three widths are undone, a copy that overlaps itself repeats."""
    assert unpack_snappy(bytes([10, 1 << 2]) + b"ab" + bytes([4 << 2 | 1, 2])) == b"ababababab"
    assert unpack_snappy(bytes([6, 2 << 2]) + b"abc" + bytes([2 << 2 | 2, 3, 0])) == b"abcabc"
    assert unpack_snappy(bytes([4, 2 << 2]) + b"abc" + bytes([3, 3, 0, 0, 0])) == b"abca"
    long = bytes(range(256)) * 300
    packed = varint(len(long)) + bytes([62 << 2]) + (len(long) - 1).to_bytes(3, "little") + long
    assert unpack_snappy(packed) == long
    far = b"x" * 300 + b"y"
    packed = varint(305) + bytes([61 << 2]) + struct.pack("<H", 300) + far + bytes([1 << 5 | 1, 301 - 256])
    assert unpack_snappy(packed) == far + b"xxxx"


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\x05\x00a",
        b"\x01\x04a",
        b"\x04\x01\x01",
        b"\x04\x00a\x01\x02",
        b"\x04\x00a\x01",
        b"\x02\xf4\x05",
        b"\x01\x00a\x00b",
        b"\xff\xff\xff\xff\x0f\x00a",
    ],
)
def test_broken_snappy_is_refused(packed: bytes) -> None:
    """Wrong lengths, copies from before the beginning, ends inside an element and announced gigabytes are refused."""
    with pytest.raises(FormatError):
        unpack_snappy(packed)


def test_checksum_is_the_castagnoli_one() -> None:
    """The checksum is right for the check value of the CRC catalogue and for RFC 3720's 32 zero bytes."""
    for data, crc in ((b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA)):
        assert masked_crc32c(data) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_stored_twice() -> None:
    """Equal checksum, size, dtype and shape make a group; empty and partitioned variables make none."""
    entries = [Variable(f"v{at}", 1, (3,), 12, 0, 12 * at, 7) for at in range(3)]
    entries += [Variable("other", 1, (3,), 12, 0, 90, 8), Variable("int", 3, (3,), 12, 0, 90, 7)]
    entries += [Variable(name, 1, (0,), 0, 0, 90, 7) for name in "ab"]
    entries += [Variable(name, 9, (8,), 64, 0, 90, 7) for name in "cd"]
    big, small = stored_twice(entries)
    assert (big.names, big.surplus_bytes) == (("c", "d"), 64)
    assert (small.names, small.size_bytes, small.surplus_bytes) == (("v0", "v1", "v2"), 12, 24)


def test_fields_of_all_wire_types() -> None:
    """Groups are skipped, fixed numbers and negative varints are read, and one message is walked in order."""
    group = b"\x0b" + number(2, 1) + message(3, b"xy") + b"\x13\x14" + b"\x1d" + bytes(4) + b"\x0c"
    data = number(1, -1) + group + b"\x25\x01\0\0\0" + b"\x29" + bytes(7) + b"\x80" + message(6, b"hi")
    assert [(tag, value, bytes(payload)) for tag, value, payload in iter_fields(data)] == [
        (8, (1 << 64) - 1, b""),
        (0x25, 1, b""),
        (0x29, 0x80 << 56, b""),
        (0x32, 0, b"hi"),
    ]
    assert wire.signed((1 << 64) - 1) == -1


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x0a\x05a",
        b"\x0b",
        b"\x0c",
        b"\x0b\x14",
        b"\x0f\x00",
        b"\x00\x00",
        b"\x0d\0\0\0",
        b"\x08" + b"\xff" * 11,
    ]
    + [b"\x0b" * 200, b"\xf8\xff\xff\xff\xff\x0f\x00"],
)
def test_broken_fields_are_refused(data: bytes) -> None:
    """Whatever is no protobuf is a FormatError, and groups within groups end somewhere."""
    with pytest.raises(FormatError):
        list(iter_fields(data))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_indexes_raise_only_our_errors(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any change of any byte is read or refused with one of our errors; checksums are corrected so that it bites."""
    name = data.draw(st.binary(max_size=5))
    slices = message(7, message(1, number(2, 2)))
    pairs = [HEADER, (slice_key(name + b"s", b"\x80", b"\x82"), entry()), (name + b"t", entry(sizes=(3, 4)))]
    pairs.append((b"zzzzzz", entry() + slices))
    content = bytearray(block(sorted(dict(pairs).items())))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    stored = with_trailer(bytes(content), data.draw(st.sampled_from([0, 0, 0, 1])))
    index = finished(stored, [(b"z", varint(0) + varint(len(content)))])
    folder = tmp_path_factory.mktemp("mutated")
    try:
        read_variables(make_folder(folder, index))
    except ExplorerError as error:
        assert "\n" not in str(error)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    """Tables, snappy and fields made of anything raise nothing but FormatError."""
    for read in (lambda: list(read_table(data)), lambda: unpack_snappy(data), lambda: list(iter_fields(data))):
        with contextlib.suppress(FormatError):
            read()
