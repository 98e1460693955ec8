"""Copies of tensors: found by their bytes, taken out of an export, every key still leading to the same value."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import explorer
from explorer.errors import ExportError, FormatError, SourceError
from explorer.exporting import deduplicate
from explorer.exporting.export import export_version
from explorer.savedmodel import duplicates
from explorer.savedmodel.checkpoint_index import OBJECT_GRAPH_KEY
from explorer.savedmodel.duplicates import Place, find_duplicates, kept_ranges, moved_index, plan_duplicates
from explorer.savedmodel.overlay import BytesSource
from explorer.savedmodel.records import masked_crc32c
from explorer.savedmodel.table import read_table
from explorer.savedmodel.table_writer import write_table
from explorer.savedmodel.variables import read_variables
from explorer.savedmodel.wire import FIXED32, encode_field, encode_varint

Copy = Callable[[str], Path]
Entries = dict[str, tuple[int, tuple[int, int, int]]]
"""Name → dtype, and shard, offset and size."""


def entry(dtype: int, place: tuple[int, int, int], checksum: int, extra: bytes = b"") -> bytes:
    """A BundleEntryProto as TensorFlow writes it, zeros left out."""
    shard, offset, size = place
    numbers = ((3, shard), (4, offset), (5, size))
    shape = encode_field(2, encode_field(2, encode_field(1, size)))
    return (
        encode_field(1, dtype)
        + shape
        + b"".join(encode_field(number, value) for number, value in numbers if value)
        + encode_varint(6 << 3 | FIXED32)
        + checksum.to_bytes(4, "little")
        + extra
    )


def checkpoint(entries: Entries, shards: list[bytes], checksum: int | None = None) -> bytes:
    """An index over data files; with ``checksum`` every entry claims that one."""
    pairs = {b"": encode_field(1, len(shards)) + encode_field(3, encode_field(1, 1))}
    for name, (dtype, place) in entries.items():
        shard, offset, size = place
        crc = masked_crc32c(shards[shard][offset : offset + size]) if checksum is None else checksum
        pairs[name.encode()] = entry(dtype, place, crc, extra=b"\x7a\x01x")  # a field of the future
    return write_table(sorted(pairs.items()))


def cut(shards: list[bytes], plan: duplicates.DuplicatePlan) -> list[bytes]:
    """The data files without what the plan takes out."""
    return [
        b"".join(data[start:end] for start, end in kept_ranges(plan, number, len(data)))
        for number, data in enumerate(shards)
    ]


def values(index: bytes, shards: list[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
    """Key → what the entry says besides its place, and the bytes that it leads to."""
    found = {}
    for key, value in read_table(index):
        if key:
            (shard, offset, size), _, fields = duplicates._entry(value)
            rest = b"".join(value[one.start : one.end] for one in fields if one.number not in (3, 4))
            assert offset + size <= len(shards[shard]), "an entry reaches past its data file"
            found[key] = rest, shards[shard][offset : offset + size]
    return found


def plan_for(index: bytes, shards: list[bytes]) -> duplicates.DuplicatePlan:
    """The plan for data files in memory."""
    return plan_duplicates(index, lambda shard: BytesSource(shards[shard]), lambda _: None)


@st.composite
def checkpoints(draw: st.DrawFn) -> tuple[Entries, list[bytes]]:
    """Data files of few different contents, some with gaps, entries anywhere, also partly over one another."""
    shards = [bytearray() for _ in range(draw(st.integers(1, 3)))]
    entries: Entries = {}
    for number in range(draw(st.integers(0, 12))):
        content = draw(st.sampled_from([b"aaaa", b"aaab", b"aaaaaaaa", b"bb", b"", b"c" * 50]))
        shard = draw(st.integers(0, len(shards) - 1))
        shards[shard] += b"." * draw(st.sampled_from([0, 0, 0, 3]))
        place = (shard, len(shards[shard]), len(content))
        shards[shard] += content
        for copy in range(draw(st.sampled_from([1, 1, 1, 2]))):
            entries[f"{draw(st.integers(0, 99))}/{number}/{copy}"] = (draw(st.sampled_from([1, 1, 1, 3, 7])), place)
    if draw(st.booleans()):
        shard = draw(st.integers(0, len(shards) - 1))
        start = draw(st.integers(0, len(shards[shard])))
        entries["tangled"] = (1, (shard, start, draw(st.integers(0, len(shards[shard]) - start))))
    if draw(st.booleans()):
        entries[OBJECT_GRAPH_KEY] = (7, (0, len(shards[0]), 4))
        shards[0] += b"aaaa"
    return entries, [bytes(shard) for shard in shards]


@settings(max_examples=400, deadline=None)
@given(drawn=checkpoints())
def test_every_key_leads_to_the_same_bytes(drawn: tuple[Entries, list[bytes]]) -> None:
    """Whatever lies where: no key, no field and no value is lost, and exactly the promised bytes go."""
    entries, shards = drawn
    index = checkpoint(entries, shards)
    plan = plan_for(index, shards)
    new_index, new_shards = moved_index(index, plan), cut(shards, plan)
    assert values(new_index, new_shards) == values(index, shards)
    assert sum(map(len, shards)) - sum(map(len, new_shards)) == plan.surplus_bytes
    assert plan_for(new_index, new_shards).moves == {}, "a second search finds nothing more"
    if not plan.moves:
        assert new_shards == shards and list(read_table(new_index)) == list(read_table(index))


@settings(max_examples=200, deadline=None)
@given(drawn=checkpoints())
def test_equal_checksums_are_not_believed(drawn: tuple[Entries, list[bytes]]) -> None:
    """With one and the same checksum on every entry, only equal bytes are put together."""
    entries, shards = drawn
    index = checkpoint(entries, shards, checksum=7)
    plan = plan_for(index, shards)
    assert values(moved_index(index, plan), cut(shards, plan)) == values(index, shards)


def test_a_real_collision_is_told_apart() -> None:
    """Two different tensors whose CRC-32C is really the same, 20 bytes each, both stay."""
    first = bytearray(b"weights of one layer")
    # A checksum is linear: the polynomial itself, bits reversed, added anywhere doesn't change it.
    second = bytearray(first)
    for bit in range(33):
        if (0x82F63B78 << 1 | 1) >> bit & 1:
            second[4 + bit // 8] ^= 1 << bit % 8
    assert first != second and masked_crc32c(bytes(first)) == masked_crc32c(bytes(second))
    shards = [bytes(first + second + first)]
    index = checkpoint({"a": (1, (0, 0, 20)), "b": (1, (0, 20, 20)), "c": (1, (0, 40, 20))}, shards)
    plan = plan_for(index, shards)
    assert plan.moves == {Place(0, 40, 20): Place(0, 0, 20)} and plan.names == ("c",)


def test_what_is_left_alone() -> None:
    """Texts, another dtype, empty tensors and places that two keys share already save nothing."""
    shards = [b"abcd" * 6]
    places = [(0, 4 * number, 4) for number in range(6)]
    entries: Entries = {"t1": (7, places[0]), "t2": (7, places[1]), "f": (1, places[2]), "i": (3, places[3])}
    entries |= {"s1": (9, places[4]), "s2": (9, places[4]), "e1": (1, (0, 8, 0)), "e2": (1, (0, 12, 0))}
    assert plan_for(checkpoint(entries, shards), shards).moves == {}


def test_copies_of_one_place_in_two_dtypes() -> None:
    """A place that bears entries of two dtypes belongs to two groups; nothing may lead to a place that goes."""
    shards = [b"abcdabcdabcd"]
    entries: Entries = {"f0": (1, (0, 0, 4)), "f1": (1, (0, 4, 4)), "i1": (3, (0, 4, 4)), "i2": (3, (0, 8, 4))}
    index = checkpoint(entries, shards)
    plan = plan_for(index, shards)
    assert set(plan.moves.values()) == {Place(0, 0, 4)} and len(plan.moves) == 2
    assert values(moved_index(index, plan), cut(shards, plan)) == values(index, shards)


def test_tensors_are_compared_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No read is longer than a piece, and the difference in the last byte is seen."""
    monkeypatch.setattr(duplicates, "CHUNK_BYTES", 16)
    shards = [b"x" * 100 + b"x" * 100 + b"x" * 99 + b"y"]
    longest = []

    class Watched(BytesSource):
        def read_at(self, offset: int, length: int) -> bytes:
            longest.append(length)
            return super().read_at(offset, length)

    told: list[int] = []
    index = checkpoint({name: (1, (0, at, 100)) for name, at in (("a", 0), ("b", 100), ("c", 200))}, shards, 7)
    plan = plan_duplicates(index, lambda _: Watched(shards[0]), told.append)
    assert plan.names == ("b",) and max(longest) == 16
    assert sum(told) >= 100


def test_keras_3_writes_everything_twice(copy_model: Copy, tmp_path: Path) -> None:
    """The export has the same keys in half the bytes, says so, and leaves the source as it was."""
    source = copy_model("keras3/1")
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    assert find_duplicates(source).surplus_bytes == 136
    model = explorer.open_saved_model(source)
    told: list[tuple[int, int]] = []
    published = export_version(
        model, tmp_path / "base", remove_duplicates=True, progress=lambda done, total: told.append((done, total))
    )
    said = "variables: 4 of 8 tensors stood twice; 136 bytes less"
    assert said in published.notes
    anew = {file.name: file.reason for file in published.files if file.how == "written"}
    assert anew == {
        "variables/variables.index": said,
        "variables/variables.data-00000-of-00001": said,
        "saved_model.pb": "",
    }
    data = "variables/variables.data-00000-of-00001"
    assert (published.path / data).stat().st_size == (source / data).stat().st_size - 136
    first, second = read_variables(source), read_variables(published.path)
    told_of = [
        [(one.name, one.dtype_number, one.shape, one.size_bytes, one.checksum) for one in found.entries]
        for found in (first, second)
    ]
    assert told_of[0] == told_of[1] and second.status == "ok"
    for old, new in zip(first.entries, second.entries, strict=True):
        assert old.offset is not None and new.offset is not None
        assert (source / data).read_bytes()[old.offset : old.offset + old.size_bytes] == (
            published.path / data
        ).read_bytes()[new.offset : new.offset + new.size_bytes]
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before
    assert told == sorted(told) and told[-1][0] == told[-1][1]
    assert find_duplicates(published.path).moves == {}


@pytest.mark.parametrize("name", ["linear/1", "shapes_and_types/1", "several_meta_graphs/1"])
def test_without_copies_every_file_is_taken_over(copy_model: Copy, tmp_path: Path, name: str) -> None:
    """Nothing stands twice: the files are the same bytes, copied and not written anew."""
    source = copy_model(name)
    published = export_version(explorer.open_saved_model(source), tmp_path / "base", remove_duplicates=True)
    assert deduplicate.NOTHING_TWICE in published.notes
    files = {file.name: file.how for file in published.files}
    assert all(how == "copied" for file, how in files.items() if file.startswith("variables/"))
    for path in source.rglob("*"):
        if path.is_file():
            assert (published.path / path.relative_to(source)).read_bytes() == path.read_bytes()


def test_links_never_reach_the_source(copy_model: Copy, tmp_path: Path) -> None:
    """With hardlinks the rewritten files are files of their own, and the rest is linked."""
    source = copy_model("keras3/1")
    (source / "notes.txt").write_text("linked")
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    published = export_version(explorer.open_saved_model(source), tmp_path / "base", link=True, remove_duplicates=True)
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before
    hows = {file.name: file.how for file in published.files}
    assert hows["notes.txt"] == "linked"
    for name in ("variables/variables.index", "variables/variables.data-00000-of-00001"):
        assert hows[name] == "written" and not os.path.samefile(source / name, published.path / name)


def sharded(folder: Path, entries: Entries, shards: list[bytes]) -> Path:
    """Gives a model's folder other variables."""
    for old in (folder / "variables").iterdir():
        old.unlink()
    (folder / "variables" / "variables.index").write_bytes(checkpoint(entries, shards))
    for number, data in enumerate(shards):
        (folder / "variables" / f"variables.data-{number:05d}-of-{len(shards):05d}").write_bytes(data)
    return folder


def test_shards_keep_their_names(copy_model: Copy, tmp_path: Path) -> None:
    """Copies in another data file go too; that one may become empty and stays, the untouched one is copied."""
    shards = [b"abcd" + b"wxyz", b"abcd", b"1234"]
    places: Entries = {"a": (1, (0, 0, 4)), "w": (1, (0, 4, 4)), "b": (1, (1, 0, 4)), "c": (1, (2, 0, 4))}
    source = sharded(copy_model("keras3/1"), places, shards)
    published = export_version(explorer.open_saved_model(source), tmp_path / "base", remove_duplicates=True)
    written = published.path / "variables"
    assert [(written / f"variables.data-{number:05d}-of-00003").read_bytes() for number in range(3)] == [
        b"abcdwxyz", b"", b"1234",
    ]  # fmt: skip
    hows = {file.name[-14:]: file.how for file in published.files if "data-" in file.name}
    assert hows == {"00000-of-00003": "copied", "00001-of-00003": "written", "00002-of-00003": "copied"}
    assert {one.name: (one.shard, one.offset) for one in read_variables(published.path).entries} == {
        "a": (0, 0), "b": (0, 0), "c": (2, 0), "w": (0, 4),
    }  # fmt: skip


def test_a_number_of_shards_from_a_stranger(copy_model: Copy, tmp_path: Path) -> None:
    """An index that claims two thousand million data files costs no more than the ones that are there."""
    source = copy_model("keras3/1")
    many = 2_000_000_000
    data = b"abcdabcd"
    pairs = dict(read_table(checkpoint({"a": (1, (0, 0, 4)), "b": (1, (0, 4, 4))}, [data])))
    pairs[b""] = encode_field(1, many)
    for old in (source / "variables").iterdir():
        old.unlink()
    (source / "variables" / "variables.index").write_bytes(write_table(sorted(pairs.items())))
    (source / "variables" / f"variables.data-00000-of-{many}").write_bytes(data)
    published = export_version(explorer.open_saved_model(source), tmp_path / "base", remove_duplicates=True)
    assert (published.path / "variables" / f"variables.data-00000-of-{many}").read_bytes() == b"abcd"


def damaged(folder: Path, how: str) -> None:
    """Makes variables that are not all there."""
    data = folder / "variables" / "variables.data-00000-of-00001"
    index = folder / "variables" / "variables.index"
    if how == "pointer":
        data.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    elif how == "missing":
        data.unlink()
    elif how == "short":
        data.write_bytes(data.read_bytes()[:100])
    elif how == "v1":
        index.unlink()
        data.rename(folder / "variables" / "variables")
    elif how == "no index":
        index.unlink()
    else:
        index.write_bytes(b"x" + index.read_bytes()[1:])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("pointer", "git lfs pull"),
        ("missing", "the values are not here"),
        ("short", "cut off"),
        ("v1", "V1 format"),
        ("no index", "lacks variables.index"),
        ("flipped", "checksum"),
    ],
)
def test_variables_that_are_not_all_there_are_refused(copy_model: Copy, tmp_path: Path, how: str, words: str) -> None:
    """One sentence says why, and nothing is written."""
    source = copy_model("keras3/1")
    damaged(source, how)
    with pytest.raises((SourceError, FormatError), match=words):
        find_duplicates(source)
    with pytest.raises(ExportError, match=words) as caught:
        explorer.export(explorer.open_saved_model(source), tmp_path / "base", remove_duplicates=True)
    assert "\n" not in str(caught.value) and "nothing was published" in str(caught.value)
    assert not (tmp_path / "base").exists()


class Stopped(Exception):
    """What a person who cancels raises."""


@pytest.mark.parametrize("after", range(8))
def test_cancelling_leaves_nothing(copy_model: Copy, tmp_path: Path, after: int) -> None:
    """At every report, those of the comparison too, progress may raise, and base path and source are as before."""
    source = copy_model("keras3/1")
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    reports: list[int] = []

    def stop(done: int, _: int) -> None:
        reports.append(done)
        if len(reports) > after:
            raise Stopped

    with pytest.raises(Stopped):
        explorer.export(explorer.open_saved_model(source), tmp_path / "base", remove_duplicates=True, progress=stop)
    assert not (tmp_path / "base").exists()
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_a_data_file_that_changes_meanwhile_is_not_published(copy_model: Copy, tmp_path: Path) -> None:
    """Whoever writes into the variables during the export makes it fail."""
    source = copy_model("keras3/1")
    data = source / "variables" / "variables.data-00000-of-00001"
    model = explorer.open_saved_model(source)
    changed: list[int] = []

    def change(done: int, _: int) -> None:
        if not changed:
            changed.append(done)
            content = bytearray(data.read_bytes())
            content[0] ^= 1
            data.write_bytes(content)
            os.utime(data, ns=(0, 0))

    with pytest.raises(ExportError, match="changed while it was copied"):
        explorer.export(model, tmp_path / "base", remove_duplicates=True, progress=change)
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 KB"), (1_234_567, "1.2 MB"), (5 * 10**12, "5000.0 GB")],
)
def test_sizes_are_readable(size: int, text: str) -> None:
    """Thousands, as disks and file managers count."""
    assert deduplicate._printable(size) == text
