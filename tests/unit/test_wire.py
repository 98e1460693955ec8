"""Protobuf's wire format: what is found, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import ExplorerError, FormatError
from explorer.savedmodel import wire
from explorer.savedmodel.overlay import Document


class CountingDocument(Document):
    """A document that tells how much of it was read."""

    __slots__ = ("bytes_read", "reads")

    def read_at(self, offset: int, length: int) -> bytes:
        """Counts, then reads."""
        data = super().read_at(offset, length)
        self.reads = getattr(self, "reads", 0) + 1
        self.bytes_read = getattr(self, "bytes_read", 0) + len(data)
        return data


def fields_of(data: bytes) -> list[tuple[int, int, bytes]]:
    """Number, wire type and payload of every field."""
    return [
        (field.number, field.wire_type, data[field.value_start : field.end])
        for field in wire.scan(Document.of_bytes(data))
    ]


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_a_varint_reads_back(value: int) -> None:
    """Every 64-bit number is read as it was written, and its end is found."""
    data = wire.encode_varint(value) + b"rest"
    assert wire.read_varint(data, 0) == (value, len(data) - 4)


def test_negative_numbers_are_two_complement() -> None:
    """-1 stands for an unknown dimension; it is written in ten bytes and read back as -1."""
    assert len(wire.encode_varint(-1)) == 10
    assert wire.signed(wire.read_varint(wire.encode_varint(-1), 0)[0]) == -1


def test_every_wire_type_is_stepped_over() -> None:
    """Varints, fixed numbers, payloads and groups are found one after the other."""
    group = wire.encode_varint(6 << 3 | 3) + wire.encode_field(1, 7) + wire.encode_field(2, b"abc") + b"\x34"
    data = (
        wire.encode_field(1, 300)
        + wire.encode_field(2, "text")
        + wire.encode_varint(3 << 3 | 5) + b"1234"
        + wire.encode_varint(4 << 3 | 1) + b"12345678"
        + group
        + wire.encode_field(7, b"")
    )  # fmt: skip
    found = fields_of(data)
    assert [(number, wire_type) for number, wire_type, _ in found] == [(1, 0), (2, 2), (3, 5), (4, 1), (6, 3), (7, 2)]
    assert found[1][2] == b"text"


def test_a_large_payload_is_not_read() -> None:
    """What a scan reads doesn't grow with the payloads that it steps over."""
    document = CountingDocument.of_bytes(wire.encode_field(1, b"x" * 5_000_000) + wire.encode_field(2, 1))
    assert [field.number for field in wire.scan(document)] == [1, 2]
    assert document.bytes_read < 10_000


@pytest.mark.parametrize(
    ("data", "about"),
    [
        (b"\x0a\x05abc", "claims 5 bytes where 3 are left"),
        (b"\x08", "ends in the middle"),
        (b"\x08" + b"\xff" * 11, "longer than ten bytes"),
        (b"\x0f\x00", "impossible wire type"),
        (b"\x02\x00", "impossible number"),
        (b"\x0b\x08\x01", "ends in the middle|IndexError|group"),
        (b"\x0c", "impossible wire type"),
    ],
)
def test_what_is_no_protobuf_is_refused(data: bytes, about: str) -> None:
    """Each way to be malformed ends in a FormatError that says how."""
    with pytest.raises(FormatError, match=about):
        list(wire.scan(Document.of_bytes(data)))


@given(st.binary(max_size=200))
def test_any_bytes_end_in_fields_or_in_our_error(data: bytes) -> None:
    """No input makes the scan raise anything but our own error, or leave the document."""
    try:
        for field in wire.scan(Document.of_bytes(data)):
            assert 0 <= field.start < field.value_start <= field.end <= len(data)
    except ExplorerError:
        pass
