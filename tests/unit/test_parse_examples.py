"""Classify and regress bodies become tf.Example records as TensorFlow Serving makes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import RequestError
from explorer.savedmodel import constants
from explorer.savedmodel.schema import message_class
from explorer.serving.examples import parse_examples


def features(record: bytes) -> dict[str, Any]:
    """A record as plain data: kind and values of each feature."""
    example: Any = message_class("tensorflow.Example")()
    example.ParseFromString(record)
    assert len(example.SerializeToString()) == len(record)  # the order of a map is its own
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = (kind, list(getattr(feature, kind).value)) if kind else (None, [])
    return found


def of(features_json: str) -> dict[str, Any]:
    """The features of the only example of a body."""
    (record,) = parse_examples(f'{{"examples": [{features_json}]}}', "classify").examples
    return features(record)


def refusal(body: bytes | str, method: Any = "classify") -> str:
    """The sentence by which a body is refused."""
    with pytest.raises(RequestError) as caught:
        parse_examples(body, method)
    assert caught.value.status == 400
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("1", "int64_list", [1]), ("[1, -2]", "int64_list", [1, -2]), ("true", "int64_list", [1]),
        ("[false, 3]", "int64_list", [0, 3]), ("9223372036854775807", "int64_list", [2**63 - 1]),
        ("-9223372036854775808", "int64_list", [-(2**63)]), ("1.5", "float_list", [1.5]),
        ("[1.0, 1e39]", "float_list", [1.0, float("inf")]), ("9223372036854775808e0", "float_list", [2.0**63]),
        ('"a"', "bytes_list", [b"a"]), ('["a", {"b64": "//4="}]', "bytes_list", [b"a", b"\xff\xfe"]), ("[]", None, []),
        ("NaN.0", "float_list", [0.0]),
    ],
)  # fmt: skip
def test_the_first_element_fixes_the_kind(text: str, kind: str | None, values: list[object]) -> None:
    """An integer or a boolean makes int64, a decimal float, a string or base64 bytes; an empty list no kind."""
    assert of(f'{{"x": {text}}}') == {"x": (kind, values)}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1, 1.5]", "Unexpected element type in feature: x expecting type: int64"),
        ("[1.0, 2]", "Unexpected element type in feature: x expecting type: float"),
        ('["a", 1]', "Unexpected element type in feature: x expecting type: bytes"),
        ("null", "Feature: x has element with unexpected JSON type: Null"),
        ("[[1]]", "Feature: x has element with unexpected JSON type: Array"),
        ('{"b": 1}', "Feature: x has element with unexpected JSON type: Object"),
        ("[1, null]", "Feature: x has element with unexpected JSON type: Null"),
        ("9223372036854775808", "Feature: x has uint64_t element. Only int64_t is supported."),
        ('{"b64": "*"}', "Unable to base64 decode"),
    ],
)
def test_features_that_are_refused(text: str, sentence: str) -> None:
    """The sentence is the server's."""
    assert refusal(f'{{"examples": [{{"x": {text}}}]}}') == sentence


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_both_methods_say_classify(method: Any) -> None:
    """The server's sentences are the same for both."""
    quoted = "JSON Value: {\n    \"a\": 1\n} When method is classify, key 'examples' is expected and was not found"
    assert refusal('{"a": 1}', method) == quoted
    assert refusal('{"examples": {}}', method) == (
        "JSON Value: {\n    \"examples\": {}\n} Expecting 'examples' value to be an list/array"
    )
    assert (
        refusal('{"examples": []}', method)
        == "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"
    )
    assert refusal('{"examples": [[1]]}', method) == "Example must be JSON object but got JSON Array"
    assert refusal('{"examples": [NaN]}', method) == "Example must be JSON object but got JSON Number"


def test_the_context_is_checked_first_and_put_before_each_example() -> None:
    """Its bytes stand before those of each example, so the example's own feature wins."""
    assert refusal('{"context": 3}') == "Example must be JSON object but got JSON Number"
    parsed = parse_examples(
        '{"examples": [{"x": 1}, {}], "context": {"c": "s", "x": 2}, "signature_name": "n"}', "regress"
    )
    assert parsed.signature_name == "n"
    assert parsed.context is not None
    assert features(parsed.context) == {"c": ("bytes_list", [b"s"]), "x": ("int64_list", [2])}
    assert parsed.examples[1] == b""
    tensor = parsed.tensor
    assert (tensor.dtype, tensor.shape) == (constants.DT_STRING, (2,))
    assert tensor.texts == (parsed.context + parsed.examples[0], parsed.context)
    merged: Any = message_class("tensorflow.Example")()
    merged.ParseFromString(tensor.texts[0])
    assert list(merged.features.feature["x"].int64_list.value) == [1]
    assert parse_examples('{"examples": [{}]}').context is None


def test_names_are_c_strings_and_the_last_of_one_name_counts() -> None:
    """A name ends at a zero byte; a repeated feature is replaced."""
    assert of('{"x\\u0000y": 1, "x": 2}') == {"x": ("int64_list", [2])}
    assert of('{"b": 1, "a": 2}') == {"a": ("int64_list", [2]), "b": ("int64_list", [1])}


def test_a_name_that_is_no_utf8_is_kept() -> None:
    """Bytes pass from the body into the record."""
    (record,) = parse_examples(b'{"examples": [{"\xff": 1}]}').examples
    assert b"\x0a\x01\xff" in record


def test_the_name_of_the_signature_is_a_string() -> None:
    """As for predict; it is checked before the examples are."""
    assert refusal('{"signature_name": 3}').endswith("'signature_name' key must be a string value.")
    assert refusal("[]") == "JSON Value: [] Is not object"
    with pytest.raises(ValueError, match="'classify' or 'regress'"):
        parse_examples("{}", "predict")  # type: ignore[arg-type]


VALUES = st.one_of(
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=4),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=4),
    st.lists(st.text(max_size=5), max_size=4),
)


@given(st.lists(st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), VALUES)))
def test_records_are_what_protobuf_writes(examples: list[dict[str, Any]]) -> None:
    """The records equal those that protobuf serializes from the same features."""
    if not examples:
        return
    parsed = parse_examples(json.dumps({"examples": examples}), "classify")
    for record, expected in zip(parsed.examples, examples, strict=True):
        found = features(record)
        assert set(found) == set(expected)
        for name, (_, values) in found.items():
            assert values == [item.encode() if isinstance(item, str) else item for item in expected[name]]
