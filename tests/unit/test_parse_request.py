"""Predict bodies are read as by TensorFlow Serving, quickly or exactly, and never fail otherwise than it does."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.errors import RequestError
from explorer.savedmodel.model import DType, Shape, Signature, TensorInfo
from explorer.savedmodel.tensors import Tensor
from explorer.serving import number_block, parse
from explorer.serving.examples import parse_examples
from explorer.serving.json_number import numbers
from explorer.serving.parse import ParsedRequest, begin_predict, parse_request
from explorer.serving.rapidjson import parse_json
from explorer.serving.tensor_protos import read_tensor

RECORDED = Path(__file__).resolve().parent.parent / "conformance" / "rest"
DTYPES = {number: DType(number).name for number in range(1, 33)}
FLOAT = {"x": {"dtype": "DT_FLOAT"}}
TWO = {"a": {"dtype": "DT_INT32"}, "b": {"dtype": "DT_STRING"}}


def lines(name: str) -> list[dict[str, Any]]:
    """The recorded lines of a file."""
    return [json.loads(line) for line in (RECORDED / name).read_text("utf-8").splitlines()]


def body_of(line: dict[str, Any]) -> bytes:
    """The body of a recorded line."""
    body = line["body"]
    return base64.b64decode(body["b64"]) if isinstance(body, dict) else str(body or "").encode("utf-8", "surrogatepass")


def refusal(body: bytes | str, signature: Any) -> tuple[int | None, str]:
    """The status and the sentence by which a body is refused."""
    with pytest.raises(RequestError) as caught:
        parse_request(body, signature)
    return caught.value.status, str(caught.value)


def test_every_recorded_body_is_read_as_the_server_read_it() -> None:
    """Format, name, dtype, shape and values are equal, or the status and the sentence."""
    recorded = lines("parse.jsonl")
    assert len(recorded) == 504
    for line in recorded:
        if "error" in line:
            assert refusal(body_of(line), line["signature"]) == (line["status"], line["error"]), line
            continue
        request = parse_request(body_of(line), line["signature"])
        assert (request.format, request.signature_name) == (line["format"], line["signature_name"])
        assert set(request.inputs) == set(line["inputs"])
        for key, expected in line["inputs"].items():
            found = request.inputs[key]
            assert (found.dtype.name, list(found.shape)) == (expected["dtype"], expected["shape"])
            if expected["tensor_ok"]:
                assert found.tensor == read_tensor(base64.b64decode(expected["proto_b64"]))
                found.check_tensor()
            else:
                with pytest.raises(RequestError, match=f"^tensor parsing error: {key}$"):
                    found.check_tensor()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ('{"instances": [1, [2]]}', "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
         "Expecting shape [] but got: [1]"),
        ('{"inputs": [[1], 2]}', "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ('{"inputs": [1, [2]]}', "Encountered list at unexpected level: 1 expected < 1"),
        ('{"inputs": [[1, 2], [3]]}', "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ('{"inputs": [[], [1]]}', "Encountered list at unexpected size: 1 at level: 1 expected size: 0"),
        ('{"inputs": {"y": 1}}', "Missing named input: x in 'inputs' object."),
        ('{"inputs": 1, "instances": 2}', 'JSON Value: {\n    "inputs": 1,\n    "instances": 2\n} Not formatted '
         "correctly expecting only one of 'inputs' or 'instances' keys to exist "),
        ('{"instances": 2}', "JSON Value: {\n    \"instances\": 2\n} Expecting 'instances' to be an list/array"),
        ('{"instances": []}', "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"instances": [{"x": 1}, 2]}', "Expecting object but got list at item 1 of input list"),
        ('{"instances": [2, {"x": 1}]}', "Expecting value/list but got object at item 1 of input list"),
        ('{"instances": [{"x": 1}, {"x": [2, 3]}]}', "Failed to process element: 1 key: x of 'instances' list. Error: "
         "INVALID_ARGUMENT: Expecting tensor size: 1 but got: 2"),
        ('{"instances": [{"x": 1, "y\\u0000z": 2}]}', "Failed to process element: 0 key: y of 'instances' list. Error: "
         "INVALID_ARGUMENT: JSON object: does not have named input: y"),
        ('{"instances": [{}]}', "Failed to process element: 0 of 'instances' list. JSON object: {} keys must be "
         "equal to: x"),
        ('{"signature_name": 1, "inputs": 1}', 'JSON Value: {\n    "signature_name": 1,\n    "inputs": 1\n} not '
         "formatted correctly. 'signature_name' key must be a string value."),
    ],
)  # fmt: skip
def test_what_the_server_refuses(body: str, sentence: str) -> None:
    """The sentence is the server's, and the status 400."""
    assert refusal(body, FLOAT) == (400, sentence)


def test_bytes_that_are_no_utf8_stand_in_the_sentence() -> None:
    """A sentence carries any bytes, as surrogateescape leaves them."""
    _, sentence = refusal(b'{"inputs":"\xff\xfe"}', FLOAT)
    assert b'"\xff\xfe"' in sentence.encode("utf-8", "surrogateescape")


def test_a_signature_without_inputs_cannot_be_called() -> None:
    """The sentence names the signature, or DEFAULT."""
    assert refusal('{"inputs": 1}', {})[1] == "Failed to get input map for signature: DEFAULT"
    assert refusal('{"signature_name": "s"}', {})[1] == "Failed to get input map for signature: s"


def test_several_inputs() -> None:
    """Named values in both formats; plain ones are refused, one base64 object goes somewhere."""
    row = parse_request('{"instances": [{"a": 1, "b": "x"}, {"b": {"b64": "aGk="}, "a": 2}]}', TWO)
    assert row.format == "row"
    assert row.inputs["a"].tensor == Tensor.from_array(np.array([1, 2], "i4"), 3)
    assert row.inputs["b"].values == (b"x", b"hi")
    column = parse_request('{"inputs": {"a": [[1]], "b": "x", "c": 3}}', TWO)
    assert column.format == "columnar"
    assert column.inputs["a"].shape == (1, 1)
    assert column.inputs["b"].shape == ()
    assert "instances is a plain list" in refusal('{"instances": [1]}', TWO)[1]
    assert "inputs is a plain value/list" in refusal('{"inputs": [1]}', TWO)[1]
    assert len(parse_request('{"instances": [{"b64": "aGk="}]}', {"b": TWO["b"], "a": TWO["a"]}).inputs) == 1


def test_a_key_twice_in_an_element_shifts_the_values() -> None:
    """Both values are taken, the last one of all is dropped; at top level the first counts."""
    request = parse_request('{"instances": [{"x": 3, "x": 6}, {"x": 9}]}', FLOAT)
    assert request.inputs["x"].values == (3.0, 6.0)
    assert request.inputs["x"].shape == (2,)
    assert parse_request('{"inputs": 1, "inputs": 2}', FLOAT).inputs["x"].values == (1.0,)


@pytest.mark.parametrize(
    ("dtype", "text", "values"),
    [
        ("DT_INT8", "[200, -129]", (-56, 127)), ("DT_UINT8", "[300, -1]", (44, 255)), ("DT_INT16", "40000", (-25536,)),
        ("DT_INT64", "[9223372036854775807, -9223372036854775808]", (2**63 - 1, -(2**63))),
        ("DT_UINT64", "18446744073709551615", (2**64 - 1,)), ("DT_UINT32", "4294967295", (2**32 - 1,)),
        ("DT_BOOL", "[true, false]", (True, False)), ("DT_FLOAT", "[1e39, -1e39]", (np.inf, -np.inf)),
        ("DT_DOUBLE", "1e39", (1e39,)), ("DT_STRING", '["a", {"b64": "//4"}]', (b"a", b"\xff\xfe")),
        ("DT_HALF", "[]", ()),
        ("DT_FLOAT", "16777217", (16777216.0,)),
    ],
)  # fmt: skip
def test_values_are_those_of_the_tensor(dtype: str, text: str, values: tuple[object, ...]) -> None:
    """Small integers are cut to their width, and floats rounded to it."""
    found = parse_request(f'{{"inputs": {text}}}', {"x": {"dtype": dtype}}).inputs["x"]
    assert found.values == values
    assert found.to_numpy().shape == found.shape
    assert found.to_numpy().ravel().tolist() == list(values)


@pytest.mark.parametrize("dtype", DTYPES.values())
def test_an_empty_value_takes_any_dtype(dtype: str) -> None:
    """No value is looked at, so no dtype is refused."""
    found = parse_request('{"inputs": [[], []]}', {"x": {"dtype": dtype}}).inputs["x"]
    assert (found.dtype.name, found.shape, found.values) == (dtype, (2, 0), ())
    assert found.to_numpy().shape == (2, 0)


def test_a_signature_may_be_given_in_three_ways() -> None:
    """As a Signature, as a mapping to TensorInfo, as a mapping to the name of a dtype."""
    info = TensorInfo(DType(1), Shape((None, 2)), "x:0")
    for signature in (Signature("s", {"x": info}, {}), {"x": info}, {"x": {"dtype": "DT_FLOAT", "shape": [2]}}):
        assert parse_request(b'{"inputs": [1, 2]}', signature).inputs["x"].dtype == DType(1)


def test_the_body_is_read_in_two_steps() -> None:
    """The server looks the model up between the two: the first needs no signature."""
    begun = begin_predict('{"signature_name": "s", "inputs": 1} and more')
    assert begun.signature_name == "s"
    assert begun.inputs(FLOAT).signature_name == "s"
    assert refusal("[1]", FLOAT)[1] == "JSON Value: [1] Is not object"


def test_a_deep_value_has_no_array() -> None:
    """A rank that numpy doesn't hold is one sentence; the flat values are there."""
    found = parse_request(b'{"inputs":' + b"[" * 300 + b"1" + b"]" * 300 + b"}", FLOAT).inputs["x"]
    assert found.values == (1.0,)
    with pytest.raises(RequestError, match="has 300 dimensions"):
        found.to_numpy()


@pytest.mark.parametrize("text", ["[" * 100_000 + "1" + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000])
@pytest.mark.parametrize("key", ["instances", "inputs", "examples"])
def test_deep_nesting_is_read_or_refused(text: str, key: str) -> None:
    """100,000 levels raise nothing but RequestError."""
    read_or_refused(f'{{"{key}": [{text}]}}'.encode(), {"x": {"dtype": "DT_STRING"}})


def read_or_refused(body: bytes, signature: Any) -> None:
    """Reads a body in every way; anything but RequestError comes through."""
    for read in (lambda: parse_request(body, signature), lambda: parse_examples(body, "regress")):
        try:
            read()
        except RequestError as error:
            assert error.status in (400, 501)
            assert str(error)


def mutations(count: int, seed: int) -> Iterator[bytes]:
    """Recorded bodies with bytes cut out, put in, doubled and exchanged."""
    chance = random.Random(seed)
    bodies = [body_of(line) for name in ("parse.jsonl", "exchanges.jsonl") for line in lines(name)]
    tokens = [b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"\\u", b"NaN", b"-", b"1e309", b"e", b".", b"null",
              b"true", b"\0", b"\xff", b'"b64"', b'"x"', b'{"b64":"aGk"}', b"99999999999999999999", b"[]"]  # fmt: skip
    for _ in range(count):
        body = bytearray(chance.choice(bodies))
        for _ in range(chance.randint(1, 4)):
            start = chance.randint(0, len(body))
            end = min(len(body), start + chance.choice([0, 0, 1, 1, 5, 40]))
            body[start:end] = chance.choice([b"", chance.choice(tokens), bytes(body[:end][-20:])])
        yield bytes(body)


def test_mutated_bodies_are_read_or_refused() -> None:
    """Whatever becomes of a body, nothing but RequestError comes out, for a signature of each dtype."""
    for index, body in enumerate(mutations(20_000, seed=4)):
        read_or_refused(body, {"x": {"dtype": DTYPES[index % 32 + 1]}})
        if index % 5 == 0:
            read_or_refused(body, TWO)


@given(st.binary(max_size=80), st.sampled_from(sorted(DTYPES)))
def test_any_bytes_are_read_or_refused(body: bytes, dtype: int) -> None:
    """Bytes of no form at all, alone and in the place of a value."""
    read_or_refused(body, {"x": {"dtype": DTYPES[dtype]}})
    read_or_refused(b'{"inputs":' + body + b"}", {"x": {"dtype": DTYPES[dtype]}})


# The two ways to read large arrays


LITERALS = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(1 << 64), 1 << 65).map(str),
    st.integers(-200, 300).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["-0", "-0.0", "0e400", "0.0e-400", "1e309", "true", "null", "NaN", '"1"', "1 2", "", "1]", "01"]),
)  # fmt: skip
PLAIN_LITERALS = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e9, 1e9).map(repr),
    st.integers(-200, 300).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,10})(\.[0-9]{1,25})?", fullmatch=True),
)


@st.composite
def arrays(draw: st.DrawFn, literals: st.SearchStrategy[str], shape: tuple[int, ...] | None = None) -> str:
    """The text of an array: mostly regular, sometimes with a slip."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4)) if shape is None else list(shape)
    separator = draw(st.sampled_from([",", ", ", " ,", ",\n"])) if draw(st.integers(0, 3)) == 0 else ", "

    def text(level: int) -> str:
        if level == len(sizes):
            return draw(literals)
        return "[" + separator.join(text(level + 1) for _ in range(sizes[level])) + "]"

    whole = text(0)
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(whole)))
        whole = (
            whole[:at]
            + draw(st.sampled_from(["", " ", "[", "]", ",", "1", "], [", "-"]))
            + whole[at + draw(st.integers(0, 1)) :]
        )
    return whole


@st.composite
def large_bodies(draw: st.DrawFn, literals: st.SearchStrategy[str]) -> str:
    """A body with arrays of numbers in the places where they may stand."""
    shape = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    one = arrays(literals, shape)
    form = draw(st.sampled_from(["rows", "named", "plain", "map", "twice"]))
    if form == "rows":
        text = f'{{"instances": {draw(one)}}}'
    elif form == "named":
        text = '{"instances": [' + ", ".join(f'{{"x": {draw(one)}}}' for _ in range(draw(st.integers(1, 3)))) + "]}"
    elif form == "plain":
        text = f'{{"inputs": {draw(one)}, "signature_name": "s"}}'
    elif form == "map":
        text = f'{{"inputs": {{"y": {draw(one)}, "x": {draw(one)}}}}}'
    else:
        text = f'{{"instances": {draw(one)}, "signature_name": {draw(one)}}}'
    return text + draw(st.sampled_from(["", "]", " x"]))


def outcome(body: bytes, dtype: str) -> object:
    """What a body becomes: its tensors, or the refusal."""
    try:
        request: ParsedRequest = parse_request(body, {"x": {"dtype": dtype}})
    except RequestError as error:
        return error.code, str(error)
    return request.format, request.signature_name, {key: value.tensor for key, value in request.inputs.items()}


NUMBER_DTYPES = [
    "DT_FLOAT",
    "DT_DOUBLE",
    "DT_INT32",
    "DT_UINT8",
    "DT_INT64",
    "DT_UINT64",
    "DT_UINT32",
    "DT_BOOL",
    "DT_HALF",
]


@pytest.fixture
def no_body_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array may be read as a block, and in pieces."""
    monkeypatch.setattr(number_block, "_FEWEST_BYTES", 1)
    monkeypatch.setattr(number_block, "_PIECE_BYTES", 16)
    monkeypatch.setattr(parse, "_LARGE_BODY", 1)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_blocks_change_nothing(no_body_is_small: None, data: st.DataObject) -> None:
    """With arrays read in one go and with every number by itself, a body becomes the same, bit for bit."""
    literals = data.draw(st.sampled_from([LITERALS, PLAIN_LITERALS, PLAIN_LITERALS]))
    body = data.draw(large_bodies(literals)).encode()
    dtype = data.draw(st.sampled_from(NUMBER_DTYPES))
    quick = outcome(body, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parse, "_LARGE_BODY", 1 << 30)
        assert quick == outcome(body, dtype)


@pytest.mark.parametrize("form", ["rows", "named", "columns"])
@pytest.mark.parametrize("dump", [lambda value: json.dumps(value).encode(), orjson.dumps])
def test_a_large_array_is_read_as_a_block(form: str, dump: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual bodies of images take the quick way, and come out as they went in."""
    array = np.random.default_rng(1).random((4, 30, 20, 3), dtype=np.float32)
    listed = array.tolist()
    body = {
        "rows": {"instances": listed}, "named": {"instances": [{"x": item} for item in listed]},
        "columns": {"inputs": {"x": listed}, "signature_name": "s"},
    }[form]  # fmt: skip

    def never(*arguments: object) -> None:
        raise AssertionError("a number was read by itself")

    monkeypatch.setattr("explorer.serving.rapidjson.numbers", never)
    found = parse_request(dump(body), FLOAT).inputs["x"].to_numpy()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, array)


def test_a_long_body_is_not_searched_for_each_array() -> None:
    """Many arrays with no brace or no quotation mark behind them cost no more than their bytes."""
    for body in (b'{"a":[' * 60_000, b"[{}," * 100_000, b'{"inputs":' + b"[1,[2]," * 100_000):
        begun = time.perf_counter()
        read_or_refused(body, FLOAT)
        assert time.perf_counter() - begun < 20


def test_doubles_of_a_large_array_are_the_servers() -> None:
    """Numbers of 17 digits come out as RapidJSON reads them, which isn't always the nearest double."""
    texts = [repr(number) for number in np.random.default_rng(2).random(3000).tolist()]
    body = f'{{"inputs": [{", ".join(texts)}]}}'.encode()
    found = parse_request(body, {"x": {"dtype": "DT_DOUBLE"}}).inputs["x"].to_numpy()
    np.testing.assert_array_equal(found, np.array(numbers([text.encode() for text in texts])))
    assert (found != np.array(texts, dtype="f8")).any()


@given(st.lists(PLAIN_LITERALS, min_size=1, max_size=30))
def test_a_doubtful_number_is_read_by_itself(texts: list[str]) -> None:
    """Where a float32 hangs on the last bits of a double, the exact number decides."""
    half_way = ["1.00000005960464477539", "16777217.0000000001", "0.50000002980232239"]
    every = texts + half_way
    block, end = number_block.BlockReader().read(
        b"[" + b", ".join(text.encode() for text in every) + b" " * 2000 + b"]\0", 0
    )
    if block is None:
        return
    floats = block.to_array(1)
    with np.errstate(over="ignore"):
        expected = np.array([float(parse_json(text.encode())) for text in every]).astype("f4")  # type: ignore[arg-type]
    assert floats is not None
    assert floats.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (0, "INVALID"), (11, "qint8"), (17, "uint16"), (28, "float8_e5m2fnuz"), (30, "uint4"),
        (101, "float_ref"), (119, "half_ref"), (99, "unknown dtype enum (99)"), (100, "unknown dtype enum (100)"),
        (199, "unknown dtype enum (99)_ref"), (200, "unknown dtype enum (100)_ref"),
    ],
)  # fmt: skip
def test_names_of_dtypes_that_are_not_read(dtype: int, name: str) -> None:
    """They are those of ``DataTypeString`` (``types.cc``): above 100 is a reference, its base known or not."""
    signature = {"x": {"dtype": DType(dtype)}}
    assert refusal('{"inputs": 1}', signature) == (501, f"Conversion of JSON Value: 1 to type: {name}")
    found = parse_request('{"inputs": []}', signature).inputs["x"]  # nobody looks at the dtype of no value
    assert found.shape == (0,)
    if dtype in (11, 17, 28, 30):
        found.check_tensor()
    else:
        with pytest.raises(RequestError, match="^tensor parsing error: x$"):
            found.check_tensor()
