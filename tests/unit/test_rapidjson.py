"""The JSON dialect of TensorFlow Serving: values, sentences and offsets of RapidJSON 1.1.0."""

from __future__ import annotations

import contextlib
import json
import math
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import RequestError
from explorer.serving.json_base64 import decode_base64
from explorer.serving.json_double import double_text
from explorer.serving.rapidjson import ABSENT, JsonObject, parse_json, pretty

NUMBERS = Path(__file__).resolve().parent.parent / "conformance" / "rest" / "numbers.jsonl"


def plain(value: Any) -> Any:
    """A value with objects as lists of pairs, which can be compared."""
    if isinstance(value, JsonObject):
        return [(key, plain(item)) for key, item in value.members]
    return [plain(item) for item in value] if isinstance(value, list) else value


def refusal(body: bytes) -> str:
    """The sentence by which a body is refused."""
    with pytest.raises(RequestError) as caught:
        parse_json(body)
    assert caught.value.status == 400
    return str(caught.value).removeprefix("JSON Parse error: ")


def test_every_recorded_number_is_read_to_the_bit() -> None:
    """What the server read is what we read: of a double its bits, of a float32 those after one rounding."""
    import numpy as np

    lines = [json.loads(line) for line in NUMBERS.read_text().splitlines()]
    lines = [line for line in lines if "parse" in line]
    assert len(lines) > 3000
    for line in lines:
        number = float(parse_json(line["text"].encode()))  # type: ignore[arg-type]
        with np.errstate(over="ignore"):
            bits = np.array(number).astype(">f4" if line["parse"] == "DT_FLOAT" else ">f8").tobytes().hex()
        assert bits == line["bits"], line


@pytest.mark.parametrize(
    ("token", "value"),
    [
        (b"0", 0), (b"-0", 0), (b"12", 12), (b"-12", -12), (b"18446744073709551615", 18446744073709551615),
        (b"-9223372036854775808", -9223372036854775808), (b"18446744073709551616", 18446744073709551616.0),
        (b"-9223372036854775809", -9223372036854775808.0), (b"1.0", 1.0), (b"1e2", 100.0), (b"1E+2", 100.0),
        (b"123456789012345678901234567890", 1.2345678901234566e29), (b"1e-400", 0.0), (b"1e-99999999999999999999", 0.0),
        (b"0.1", 0.1), (b"1e308", 1e308), (b"17976931348623157e300", math.inf),
        (b"9.116997097142622", 9.116997097142622),
        (b"0.0000000001e318", 1e308), (b"Infinity", math.inf), (b"-Inf", -math.inf), (b"Infinity.5", 0.5),
        (b"-NaN.8599841579978325", -0.8599841579978325), (b"NaNe-07", 0.0), (b"NaInfinity", math.inf),
        (b"0.000000000000000000000000000000000000000123", 123 / 1e42), (b"4.9e-324", 4.9e-324),
    ],
)  # fmt: skip
def test_numbers_are_read_as_by_the_server(token: bytes, value: float) -> None:
    """The kind (an integer or a double) and the value of odd numbers are those of RapidJSON."""
    read = parse_json(token)
    assert read == value
    assert type(read) is type(value)


def test_minus_zero_keeps_its_sign_only_with_a_point() -> None:
    """``-0`` is an integer, ``-0.0`` a double, and the sign of NaN is lost."""
    assert math.copysign(1, float(parse_json(b"-0"))) == 1  # type: ignore[arg-type]
    assert math.copysign(1, float(parse_json(b"-0.0"))) == -1  # type: ignore[arg-type]
    assert math.copysign(1, float(parse_json(b"-NaN"))) == 1  # type: ignore[arg-type]


@given(st.integers(0, 10**15 - 1), st.integers(0, 22), st.booleans())
def test_short_numbers_are_rounded_rightly(digits: int, places: int, minus: bool) -> None:
    """Up to 15 digits there is one exact step, so Python and RapidJSON agree."""
    text = f"{'-' * minus}{digits // 10**places}.{digits % 10**places:0{places}d}" if places else f"{digits}.0"
    assert struct.pack("d", parse_json(text.encode())) == struct.pack("d", float(text))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The document is empty"), (b"  ", "The document is empty. at offset: 2"),
        (b"]", "The document is empty. at offset: 0"), (b"\xef\xbb\xbf", "The document is empty. at offset: 3"),
        (b"\0{}", "The document is empty. at offset: 0"), (b"x", "Invalid value. at offset: 0"),
        (b"[1,]", "Invalid value. at offset: 3"), (b"[", "Invalid value. at offset: 1"),
        (b"[1", "Missing a comma or ']' after an array element. at offset: 2"),
        (b"[1 2]", "Missing a comma or ']' after an array element. at offset: 3"),
        (b"[01]", "Missing a comma or ']' after an array element. at offset: 2"),
        (b"{", "Missing a name for object member. at offset: 1"),
        (b"{'a':1}", "Missing a name for object member. at offset: 1"),
        (b'{"a":1,}', "Missing a name for object member. at offset: 7"),
        (b'{"a" 1}', "Missing a colon after a name of object member. at offset: 5"),
        (b'{"a":}', "Invalid value. at offset: 5"),
        (b'{"a":1 "b":2}', "Missing a comma or '}' after an object member. at offset: 7"),
        (b"[nul]", "Invalid value. at offset: 4"), (b"[nan]", "Invalid value. at offset: 2"),
        (b"[inf]", "Invalid value. at offset: 1"), (b"[-]", "Invalid value. at offset: 2"),
        (b"[-x]", "Invalid value. at offset: 2"), (b"[+1]", "Invalid value. at offset: 1"),
        (b"[.5]", "Invalid value. at offset: 1"), (b"[Nan]", "Invalid value. at offset: 3"),
        (b"[Infin]", "Invalid value. at offset: 6"), (b"[Infi", "Invalid value. at offset: 5"),
        (b"[5.]", "Miss fraction part in number. at offset: 3"),
        (b"[5.e1]", "Miss fraction part in number. at offset: 3"),
        (b"[5e]", "Miss exponent in number. at offset: 3"), (b"[5e+]", "Miss exponent in number. at offset: 4"),
        (b"[1e309]", "Number too big to be stored in double. at offset: 1"),
        (b"[0e400]", "Number too big to be stored in double. at offset: 1"),
        (b"[1," + b"9" * 400 + b"]", "Number too big to be stored in double. at offset: 3"),
        (b"[" + b"1," * 20 + b"1e309,2]", "Number too big to be stored in double. at offset: 41"),
        (b'["a', "Missing a closing quotation mark in string. at offset: 3"),
        (b'["a\0b"]', "Missing a closing quotation mark in string. at offset: 3"),
        (b'["a\nb"]', "Invalid escape character in string. at offset: 3"),
        (b'["a\\x"]', "Invalid escape character in string. at offset: 3"),
        (b'["\\u12"]', "Incorrect hex digit after \\u escape in string. at offset: 2"),
        (b'["\\ud83d"]', "The surrogate pair in string is invalid. at offset: 2"),
        (b'["\\ud83d\\u0041"]', "The surrogate pair in string is invalid. at offset: 2"),
        (b'["\\ud83d\\uzzzz"]', "Incorrect hex digit after \\u escape in string. at offset: 2"),
        (b"\xff\xfe[\x001\x00]\x00", "Invalid value. at offset: 0"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_with_the_offset(body: bytes, sentence: str) -> None:
    """The sentence and the offset are RapidJSON's."""
    assert refusal(body) == sentence


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"\xef\xbb\xbf[1]", [1]), (b"\xbb[1]", [1]), (b"[1] junk", [1]), (b'{"a":1}{"b":2}', [(b"a", 1)]),
        (b' [ true , false , null ] ', [True, False, None]), (b'{"a":1,"a":{}}', [(b"a", 1), (b"a", [])]),
        (b'["\\u0041\\n\\/\\"\\\\\\b\\f\\r\\t"]', [b'A\n/"\\\b\f\r\t']), (b'["\\ude00"]', [b"\xed\xb8\x80"]),
        (b'["\\ud83d\\ude00"]', ["😀".encode()]), (b'["\xff\xfe"]', [b"\xff\xfe"]), (b'["\x7f"]', [b"\x7f"]),
        (b'{"a\\u0000b":"\\u0000"}', [(b"a\0b", b"\0")]), (b"[[],[[]]]", [[], [[]]]),
    ],
)  # fmt: skip
def test_the_dialect(body: bytes, value: object) -> None:
    """What follows the first value is ignored, repeated keys are kept, and bytes that aren't UTF-8 pass."""
    assert plain(parse_json(body)) == value


def test_the_first_member_of_a_name_is_found() -> None:
    """A look-up takes the first, and tells null from nothing."""
    found = parse_json(b'{"a":null,"a":1}')
    assert isinstance(found, JsonObject)
    assert found.find(b"a") is None
    assert found.find(b"b") is ABSENT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=40,
)


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_valid_json_is_read_as_by_python(value: object, indent: int | None, ascii_only: bool) -> None:
    """Without doubles, RapidJSON and Python agree on valid JSON."""

    def as_bytes(item: Any) -> Any:
        if isinstance(item, dict):
            return [(key.encode(errors="surrogatepass"), as_bytes(inner)) for key, inner in item.items()]
        if isinstance(item, list):
            return [as_bytes(inner) for inner in item]
        return item.encode(errors="surrogatepass") if isinstance(item, str) else item

    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert plain(parse_json(text.encode(errors="surrogatepass"))) == as_bytes(value)


@given(st.binary(max_size=60) | st.text('[]{},:"\\u0aN1.eE-+ftnIi ', max_size=30).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Nothing but RequestError comes out."""
    try:
        parse_json(body)
    except RequestError as error:
        assert str(error).startswith("JSON Parse error: ")


@pytest.mark.parametrize(("opening", "count"), [(b"[", 500_000), (b'{"a":', 100_000), (b'[{"a":', 50_000)])
def test_nesting_is_unlimited(opening: bytes, count: int) -> None:
    """Half a million levels are read, quoted and freed; unclosed ones are an error at the end."""
    closing = bytes({0x5B: 0x5D, 0x7B: 0x7D}[code] for code in reversed(opening) if code in b"[{")
    value = parse_json(opening * count + b"1" + closing * count)
    assert 256 <= len(pretty(value)) < 500
    del value
    assert refusal(opening * count) == f"Invalid value. at offset: {count * len(opening)}"


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b"\\n" * 500_000, b"[" + b"1," * 1_000_000, b"1" * 1_000_000, b"0." + b"0" * 1_000_000,
        b"1e" + b"9" * 1_000_000,
        b'["' + b"a" * 1_000_000, b"[" + b"[1,2]," * 200_000, b"[" + b"[1,2,3,4,5,6,7,8,9,true]," * 50_000,
        b" " * 1_000_000,
        b"[" + b'"a",' * 200_000, b"0." + b"1" * 1_000_000 + b"]",
    ],
)  # fmt: skip
def test_large_bodies_cost_no_more_than_their_size(body: bytes) -> None:
    """A million bytes take seconds at most: nothing is scanned again and again."""
    begun = time.perf_counter()
    with contextlib.suppress(RequestError):
        parse_json(body)
    assert time.perf_counter() - begun < 20


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"1", "1"), (b"-0.0", "-0.0"), (b"1e-7", "1e-7"), (b"3.0", "3.0"), (b"1e20", "100000000000000000000.0"),
        (b"1e21", "1e21"), (b"1.5e-10", "1.5e-10"), (b"0.00001", "0.00001"),
        (b"9.116997097142622", "9.116997097142623"),
        (b"-9223372036854775809", "-9223372036854776000.0"), (b"null", "null"), (b"[true,false]", "[true, false]"),
        (b"[]", "[]"), (b"{}", "{}"), (b'{"a":[{}]}', '{\n    "a": [{}]\n}'), (b"NaN", ""), (b"[1,NaN,2]", "[1, "),
        (b'{"a":Inf}', '{\n    "a": '), (b'"\\u0001\\n/\\"\xc3\xa9"', '"\\u0001\\n/\\"é"'), (b'"\\u001f"', '"\\u001F"'),
        (b'{"a":[{"b":1}, 2],"c":"d"}', '{\n    "a": [{\n            "b": 1\n        }, 2],\n    "c": "d"\n}'),
    ],
)  # fmt: skip
def test_json_is_quoted_as_by_the_server(body: bytes, text: str) -> None:
    """Four spaces, arrays on one line, doubles by Grisu2; a number that isn't finite ends the text."""
    assert pretty(parse_json(body)).decode() == text


def test_a_quotation_is_cut_once_it_has_256_bytes() -> None:
    """The token that reaches 256 bytes is whole, and nothing follows; a long string isn't cut."""
    assert pretty(list(range(1000))) == b"[" + b", ".join(b"%d" % number for number in range(67))
    assert pretty([b"x" * 300, 1]) == b'["' + b"x" * 300 + b'"'
    assert len(pretty(b"x" * 100_000)) == 100_002
    assert pretty(JsonObject([(b"k" * 300, 1)])).endswith(b'k"')


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_written_double_reads_back(value: float) -> None:
    """Grisu2 may choose another last digit than Python, never one that reads back to another number."""
    text = double_text(value)
    assert struct.pack("d", float(text)) == struct.pack("d", value)
    assert len(text.lstrip("-").replace(".", "").rstrip("0")) <= 40


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (b"", b""), (b"aGk=", b"hi"), (b"aGk", b"hi"), (b"aGk.", b"hi"), (b"aGl=", b"hi"),
        (b" aG\nk= \t\v\f\r", b"hi"),
        (b"aGk==", None), (b"aGk=x", None), (b"=", None), (b"a", None), (b"a===", None), (b"aG-_", None),
        (b"aG*k", None),
        (b"aGk\0", None), (b"//4=", b"\xff\xfe"), (b"YQ==", b"a"), (b"YQ=", None), (b"YQ. =", b"a"),
        (b"aGk\xc2\xa0", None),
    ],
)  # fmt: skip
def test_base64_is_taken_as_by_the_server(text: bytes, data: bytes | None) -> None:
    """Padding may be missing but not wrong, dots and white space pass, the web-safe alphabet doesn't."""
    assert decode_base64(text) == data
