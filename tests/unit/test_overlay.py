"""A document with changes laid over it reads, nests and writes as if it had been rebuilt."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import FormatError, PathNotFoundError, SourceError
from explorer.savedmodel import wire
from explorer.savedmodel.overlay import (
    Change,
    Document,
    FileSource,
    apply_changes,
    insertion_after,
    insertion_at_end,
    removal,
    replacement,
)

Tree = list["bytes | Tree"]
"""A message as a test sees it: payloads and nested messages, all in fields numbered 1 (payload) and 2 (message)."""

TREES = st.recursive(
    st.lists(st.binary(max_size=150), max_size=4),
    lambda inner: st.lists(inner | st.binary(max_size=3), max_size=4),
    max_leaves=12,
)


def encoded(tree: Tree) -> bytes:
    """The message on the wire."""
    return b"".join(
        wire.encode_field(1, item) if isinstance(item, bytes) else wire.encode_field(2, encoded(item)) for item in tree
    )


def all_fields(document: Document, tree: Tree, parent: wire.Field | None = None) -> list[tuple[wire.Field, Tree, int]]:
    """Every field with the list that it stands in and its position there."""
    found = []
    for position, field in enumerate(wire.scan(document, parent)):
        found.append((field, tree, position))
        item = tree[position]
        if not isinstance(item, bytes):
            found += all_fields(document, item, field)
    return found


@given(TREES, st.data())
def test_changes_equal_a_rebuilt_message(tree: Tree, data: st.DataObject) -> None:
    """Replacing, removing and inserting anywhere gives the bytes of the message built with that change."""
    document = Document.of_bytes(encoded(tree))
    for _ in range(data.draw(st.integers(1, 3))):
        fields = all_fields(document, tree)
        if not fields:
            return
        field, siblings, position = data.draw(st.sampled_from(fields))
        new = data.draw(st.binary(max_size=300))
        item = siblings[position]
        match data.draw(st.sampled_from(["replace", "remove", "after", "inside"])):
            case "replace":
                change = replacement(field, wire.encode_field(1, new))
                siblings[position] = new
            case "remove":
                change = removal(field)
                del siblings[position]
            case "inside" if not isinstance(item, bytes):
                change = insertion_at_end(field, wire.encode_field(1, new))
                item.append(new)
            case _:
                change = insertion_after(field, wire.encode_field(1, new))
                siblings.insert(position + 1, new)
        document = apply_changes(document, [change])
        assert document.to_bytes() == encoded(tree)


@given(TREES, st.data())
def test_many_changes_at_once_equal_a_rebuilt_message(tree: Tree, data: st.DataObject) -> None:
    """Removing any set of fields in one go corrects every length around them."""
    document = Document.of_bytes(encoded(tree))
    fields = [found for found in all_fields(document, tree) if isinstance(found[1][found[2]], bytes)]
    if not fields:
        return
    chosen = data.draw(st.lists(st.sampled_from(range(len(fields))), unique=True))
    changed = apply_changes(document, [removal(fields[index][0]) for index in chosen])
    for index in sorted(chosen, key=lambda index: -fields[index][2]):
        _, siblings, position = fields[index]
        del siblings[position]
    assert changed.to_bytes() == encoded(tree)


def test_insertions_at_one_place_nest_rightly() -> None:
    """What goes to the end of an inner message stands before what goes behind that message, in whatever order."""
    document = Document.of_bytes(encoded([[b"a"]]))
    (outer,) = wire.scan(document)
    behind = insertion_after(outer, wire.encode_field(1, b"behind"))
    inside = insertion_at_end(outer, wire.encode_field(1, b"inside"))
    for changes in ([behind, inside], [inside, behind]):
        assert apply_changes(document, changes).to_bytes() == encoded([[b"a", b"inside"], b"behind"])


def test_changes_that_overlap_are_refused() -> None:
    """Two changes of the same bytes have no defined result."""
    document = Document.of_bytes(encoded([b"abc"]))
    with pytest.raises(FormatError, match="same bytes"):
        apply_changes(document, [Change(None, 0, 3, b""), Change(None, 1, 4, b"")])


@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(0, 130), st.integers(0, 130))
def test_a_document_of_pieces_reads_like_its_bytes(first: bytes, second: bytes, offset: int, length: int) -> None:
    """Reads across the seams of pieces, and beyond the end, give what a slice gives."""
    whole = first + second
    document = Document([*Document.of_bytes(first).pieces, *Document.of_bytes(second).pieces])
    if offset <= len(whole):
        assert document.read_at(offset, length) == whole[offset : offset + length]
    file = io.BytesIO()
    document.write_to(file)
    assert file.getvalue() == whole


def test_a_file_that_shrinks_ends_in_a_sentence(tmp_path: Path) -> None:
    """A file truncated while it is open gives an error, where a memory map would end the process."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10_000)
    source = FileSource(str(path))
    os.truncate(path, 10)
    with pytest.raises(SourceError, match="became shorter"):
        source.read_at(5_000, 100)
    with pytest.raises(SourceError, match="changed by someone else"):
        source.check_unchanged()


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """A pipe is refused at once, not waited for; so is a folder; a missing file is a FileNotFoundError too."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="a pipe"):
        FileSource(str(tmp_path / "pipe"))
    with pytest.raises(SourceError, match="a folder"):
        FileSource(str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        FileSource(str(tmp_path / "nothing"))
    assert isinstance(caught.value, PathNotFoundError)
    assert "there is no file" in str(caught.value)
