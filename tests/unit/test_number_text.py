"""Numbers are printed as TensorFlow Serving prints them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.serving import number_text

_RECORDED = Path(__file__).parents[1] / "conformance" / "rest" / "numbers.jsonl"
_KINDS = {
    "float32": (">f", number_text.float32_text, number_text.float32_texts),
    "float64": (">d", number_text.float64_text, number_text.float64_texts),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_every_recorded_number_is_printed_alike(kind: str) -> None:
    """One by one and many at once give the recorded text for each number."""
    form, one, many = _KINDS[kind]
    lines = [json.loads(line) for line in _RECORDED.read_text("utf-8").splitlines()]
    lines = [line for line in lines if line.get("print") == kind]
    assert len(lines) > 1000
    values = [struct.unpack(form, bytes.fromhex(line["bits"]))[0] for line in lines]
    expected = [line["text"] for line in lines]
    assert [one(value) for value in values] == expected
    assert many(np.array(values, form[1]).tobytes()) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (100000.0, "100000.0"), (9000000.0, "9e+06"),
        (1234567.0, "1234567.0"), (1 / 3, "0.33333333333333331"), (1e-5, "1e-05"), (1e17, "1e+17"),
        (5e-324, "4.94066e-324"), (123456789012345678.0, "1.2345678901234568e+17"),
        (float("nan"), "NaN"), (float("inf"), "Infinity"), (float("-inf"), "-Infinity"),
    ],
)  # fmt: skip
def test_edges_of_float64(value: float, text: str) -> None:
    """Six digits where they suffice, else 17; a point or an exponent always; bare tokens for what JSON lacks."""
    assert number_text.float64_text(value) == text
    assert number_text.float64_texts(struct.pack("<100d", *[value] * 100)) == [text] * 100


def test_float32_takes_nine_digits() -> None:
    """A third has nine digits as a float32, and a float32 just above a whole number isn't cut to it."""
    third, above = np.array([1 / 3, 123456.7], "f4").tolist()
    assert number_text.float32_text(third) == "0.333333343"
    assert number_text.float32_text(above) == "123456.703"
    assert number_text.float32_text(float(np.finfo("f4").max)) == "3.40282347e+38"


@pytest.mark.parametrize("kind", _KINDS)
def test_many_at_once_are_printed_as_one_by_one(kind: str) -> None:
    """Any bits, round decimals of every size, and the neighbours of powers of ten give the same in both ways."""
    form, one, many = _KINDS[kind]
    dtype = np.dtype(form[1])
    random = np.random.default_rng(4)
    decimals = [np.round(random.normal(size=2000) * 10.0**power, 5) for power in range(-8, 9)]
    powers = np.array([lead * 10.0**power for power in range(-37, 38) for lead in (1, 9.999995, 9.9999949, 1.23456)])
    powers = powers.astype(dtype)
    around = [np.nextafter(powers, dtype.type(limit)) for limit in (np.inf, -np.inf)]
    bits = np.frombuffer(random.bytes(20000 * dtype.itemsize), dtype)
    values = np.concatenate([array.astype(dtype) for array in (*decimals, powers, -powers, *around)])
    assert many(values.tobytes()) == [one(value) for value in values.tolist()]
    assert many(bits.tobytes()) == [one(value) for value in bits.tolist()]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_float64_reads_back_to_the_same(value: float) -> None:
    """Nothing is lost, and the text is never that of an integer."""
    text = number_text.float64_text(value)
    assert float(text) == value
    assert "." in text or "e" in text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_printed_float32_reads_back_to_the_same(value: float) -> None:
    """Nothing is lost, and the text is never that of an integer."""
    text = number_text.float32_text(value)
    assert np.float32(float(text)) == np.float32(value)
    assert "." in text or "e" in text
