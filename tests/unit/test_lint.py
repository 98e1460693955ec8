"""The linter for request bodies: every fault is found at its element, and what it corrects is a body that works."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lint_cases import B64, CASES, PNG, LintCase, model_folder
from lint_cases import open_model as open_case_model

from explorer import SavedModel
from explorer.cli import main
from explorer.errors import NotFoundError, UsageError
from explorer.serving.lint import LARGEST_BODY, lint
from explorer.serving.lint.reading import MOST_VALUES, read_body
from explorer.serving.lint.texts import decode_base64
from explorer.serving.lint.tree import json_text, walk
from explorer.serving.lint.verdict import server_error

RECORDED = Path(__file__).resolve().parents[1] / "conformance" / "rest" / "exchanges.jsonl"
STRING = 7


@cache
def open_model(name: str) -> SavedModel:
    """A model, opened once."""
    return open_case_model(name)


def findings(body: str | bytes, name: str = "half_plus_two", **named: Any) -> list[tuple[str, str, str]]:
    """Severity, code and path of what is found."""
    found = lint(body, open_model(name), **named)
    return [(finding.severity, finding.code, finding.path) for finding in found.findings]


def codes(body: str | bytes, name: str = "half_plus_two", **named: Any) -> list[str]:
    """The codes of what is found."""
    return [code for _, code, _ in findings(body, name, **named)]


def corrected(body: str | bytes, name: str = "half_plus_two", **named: Any) -> Any:
    """The corrected body as data."""
    text = lint(body, open_model(name), **named).corrected
    return None if text is None else json.loads(text)


def in_signature(key: str, data: str) -> str:
    """A body for a signature of the zoo."""
    return f'{{"signature_name": "{key}", {data}}}'


def test_there_are_as_many_cases_as_promised() -> None:
    """At least forty bodies, each with a story of its own."""
    assert len(CASES) >= 40
    assert len({case.story for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.story)
def test_body_is_explained_and_corrected(case: LintCase) -> None:
    """The fault is found at its element, and the server's parser takes the corrected body."""
    model = open_model(case.model)
    found = lint(case.body, model, verb=case.verb, signature_key=case.signature)
    assert (case.code, case.path) in [(finding.code, finding.path) for finding in found.findings]
    assert not found.ok
    assert found.corrected is not None, found.reason
    assert found.changes
    assert found.corrected != case.body
    for body in (found.corrected, *found.more_bodies):
        assert server_error(body.encode(), model.meta_graph(), case.verb) is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.story)
def test_corrected_body_has_nothing_left_to_find(case: LintCase) -> None:
    """What was corrected is right: the linter has no more to say about it than a note."""
    found = lint(case.body, open_model(case.model), verb=case.verb, signature_key=case.signature)
    assert found.corrected is not None
    again = lint(found.corrected, open_model(case.model), verb=case.verb, signature_key=case.signature)
    assert again.ok, again.findings
    assert (again.corrected, again.changes) == (found.corrected, ())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.story)
def test_verdict_is_the_servers_own(case: LintCase) -> None:
    """Status and sentence are those of the parser; where the graph is what refuses, there are none yet."""
    found = lint(case.body, open_model(case.model), verb=case.verb, signature_key=case.signature)
    error = server_error(case.body.encode(), open_model(case.model).meta_graph(), case.verb)
    if error is None:
        assert (found.status, found.server_sentence) == (None, "")
    else:
        assert case.status == found.status == error.status
        assert found.server_sentence == str(error)


NOT_CORRECTED = [
    ("half_plus_two", '{"instances": ["cat"]}', "string_for_number", "is no number"),
    ("half_plus_two", "", "empty_body", "nothing to correct"),
    ("half_plus_two", "@body.json", "curl_file", "file itself"),
    ("half_plus_two", '{"instances": [1.0, ..., 9.0]}', "ellipsis", "values were left out"),
    ("half_plus_two", '{"instances": [1.0], "inputs": [2.0]}', "both_keys", "whether 'instances' or 'inputs'"),
    ("half_plus_two", '{"instances": [1.0], "signature_name": "x y z"}', "wrong_signature", "can't be told"),
    ("half_plus_two", "{}", "missing_data", "no data"),
    ("half_plus_two", '{"instances": ["1.0', "missing_quote", "isn't closed"),
    ("half_plus_two", '{"instances": [1e999]}', "number_too_big", "too big"),
    ("half_plus_two", '{"instances":}', "missing_value", "no value"),
    ("half_plus_two", '{"instances": ["\\ud800"]}', "lone_surrogate", "other half"),
    ("half_plus_two", '{"instances": [[1.0, [2.0]]]}', "ragged", "padded"),
    ("half_plus_two", '{"instances": [{"y": 1.0, "z": 2.0}]}', "missing_input", "value of 'x'"),
    ("half_plus_two", b"\x1f\x8b\x08\x00\x00", "gzip", "before it was compressed"),
    ("zoo", in_signature("two_in", '"instances": [{"a": 1.0}]'), "missing_input", "value of 'b'"),
    ("zoo", in_signature("two_in", '"instances": [[1.0, 2]]'), "plain_rows", "which input"),
    ("zoo", in_signature("two_in", '"inputs": [[1.0], [2]]'), "plain_columns", "which input"),
    ("zoo", in_signature("id_float16", '"instances": [1.0]'), "dtype_not_in_rest", "by gRPC"),
    ("zoo", in_signature("id_uint16", '"inputs": {"x": [1]}'), "dtype_not_in_rest", "by gRPC"),
    ("zoo", in_signature("id_int32", '"instances": [1.5]'), "float_for_int", "no whole number"),
    ("zoo", in_signature("id_int32", '"instances": [3000000000]'), "out_of_range", "doesn't fit int32"),
    ("zoo", in_signature("id_int8", '"instances": [200]'), "wraps", "doesn't fit int8"),
    ("zoo", in_signature("id_int32", '"instances": [null]'), "null", "nobody can know"),
    ("zoo", in_signature("id_bool", '"instances": [2]'), "number_for_bool", "neither true nor false"),
    ("zoo", in_signature("id_string", '"instances": [{"b64": "a-b"}, {"b64": "a*b"}]'), "base64", "damaged"),
    ("zoo", in_signature("id_string", '"instances": [{"x": {"first": 1}}]'), "object_for_string", "which text"),
    ("zoo", in_signature("__saved_model_init_op", '"instances": [1.0]'), "no_inputs", "can't be called"),
    ("zoo", in_signature("none3", '"instances": [[1.0, 2.0]]'), "wrong_size", "other sizes"),
    ("zoo", in_signature("id_float32", '"instances": [1e39]'), "out_of_range", "doesn't fit float32"),
    ("edited", in_signature("no_inputs", '"instances": [1.0]'), "no_inputs", "can't be called"),
    ("edited", in_signature("lie_dtype", '"instances": [1]'), "false_signature", "contradicts the graph"),
    ("edited", in_signature("bad_tensor", '"instances": [1.0]'), "false_signature", "contradicts the graph"),
    ("edited", in_signature("no_outputs", '"instances": [1.0]'), "no_outputs", "has no outputs"),
    ("zoo", in_signature("const_float16", '"instances": [1.0]'), "output_not_in_rest", "by gRPC"),
    ("image_bytes", '{"instances": ["cat.png"]}', "not_image_bytes", "bytes of the image"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "code", "reason"), NOT_CORRECTED)
def test_what_nobody_can_know_is_not_made_up(name: str, body: str | bytes, code: str, reason: str) -> None:
    """The fault is named, there is no corrected body, and a sentence says why."""
    found = lint(body, open_model(name))
    assert code in [finding.code for finding in found.findings]
    assert not found.ok
    assert found.corrected is None
    assert reason in found.reason
    assert found.changes == ()


EXAMPLES_NOT_CORRECTED = [
    ("classify", '{"signature_name": "classify_x", "examples": []}', "no_rows"),
    ("classify", '{"signature_name": "classify_x", "examples": [{"x": ["a", 1.0]}]}', "string_for_number"),
    ("classify", '{"signature_name": "serving_default", "examples": [{"x": 1.0}]}', "wrong_verb"),
    ("regress", '{"signature_name": "regress_x", "examples": [{"x": [1.0, 2.0]}]}', "wrong_size"),
    ("regress", '{"signature_name": "regress_x", "examples": [{"x": 1.0}], "context": 3}', "context_no_object"),
    ("regress", '{"signature_name": "regress_x"}', "missing_top_level"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "body", "code"), EXAMPLES_NOT_CORRECTED)
def test_records_that_nobody_can_correct(verb: str, body: str, code: str) -> None:
    """The same for the bodies of classify and regress."""
    found = lint(body, open_model("half_plus_two"), verb=verb)
    assert code in [finding.code for finding in found.findings]
    assert found.corrected is None
    assert found.reason


@pytest.mark.parametrize(
    ("verb", "key"), [("regress", "reg22"), ("regress", "reg_f64"), ("classify", "scores_1d"), ("classify", "mismatch")]
)
def test_signatures_whose_answer_no_verb_can_write(verb: str, key: str) -> None:
    """The keys fit, and dtype or shape of an output don't: no body helps, and the server's answer would be an error."""
    found = lint(f'{{"signature_name": "{key}", "examples": [{{"x": 1.0}}]}}', open_model("cls"), verb=verb)
    assert [finding.code for finding in found.findings] == ["wrong_outputs"]
    assert found.corrected is None


def test_good_bodies_are_left_alone() -> None:
    """Nothing is found in what the server takes as it was meant, and the corrected body is the body itself."""
    for name, body in (
        ("half_plus_two", '{"instances": [1.0, 2, NaN, -Infinity]}'),
        ("half_plus_two", '{ "inputs" : {"x" : [1e2]} }\n'),
        ("zoo", in_signature("two_in", '"instances": [{"a": 1.5, "b": 2}]')),
        ("zoo", in_signature("id_string", '"instances": ["naïve", {"b64": "aGk="}]')),
        ("zoo", in_signature("scalar_in", '"inputs": 3.5')),
        ("image_bytes", f'{{"instances": [{{"b64": "{B64}"}}]}}'),
    ):
        found = lint(body, open_model(name))
        assert (found.findings, found.corrected, found.changes, found.ok) == ((), body, (), True)


def test_one_fault_of_many_elements_is_one_finding() -> None:
    """A thousand numbers in quotation marks are one finding that counts them, with the first places."""
    body = json.dumps({"instances": [str(number) for number in range(1000)]})
    found = lint(body, open_model("half_plus_two"))
    (finding,) = found.findings
    assert (finding.code, finding.count, finding.path) == ("string_for_number", 1000, "instances[0]")
    assert finding.paths[:3] == ("instances[0]", "instances[1]", "instances[2]")
    assert len(finding.paths) == 20
    assert "999 more" in finding.message
    assert json.loads(found.corrected or "")["instances"][999] == 999


def test_place_of_a_fault_is_told_in_bytes_lines_and_columns() -> None:
    """A slip in the third line, behind a letter of two bytes, is where an editor shows it."""
    body = '{\n "é": 1,\n "é": 2, "instances": [1.0,]}'
    finding = next(one for one in lint(body, open_model("half_plus_two")).findings if one.code == "trailing_comma")
    assert body.encode()[finding.offset : finding.offset + 2] == b",]"
    assert (finding.line, finding.column) == (3, body.splitlines()[2].index(",]") + 1)


def test_correction_keeps_the_style_of_the_body() -> None:
    """A body on several lines stays one, one on one line too, and numbers keep their digits."""
    body = '{\n  "instance": [\n    1.50,\n    2e0\n  ]\n}'
    assert lint(body, open_model("half_plus_two")).corrected == '{\n  "instances": [1.50, 2e0]\n}'
    assert lint('{"instance":[1.50]}', open_model("half_plus_two")).corrected == '{"instances": [1.50]}'


def test_rows_of_several_lengths_go_into_several_bodies() -> None:
    """Nothing is padded and nothing is lost: each size is a request of its own."""
    body = in_signature("id_float32", '"instances": [[1], [2, 3], [4], [5, 6], []]')
    found = lint(body, open_model("zoo"))
    assert found.corrected is not None
    sent = [json.loads(one) for one in (found.corrected, *found.more_bodies)]
    assert [one["instances"] for one in sent] == [[[1], [4]], [[2, 3], [5, 6]], [[]]]
    assert {one["signature_name"] for one in sent} == {"id_float32"}


def test_signature_that_is_meant_is_named_where_the_body_does_not() -> None:
    """The server falls back to serving_default only; who has another in mind must say so."""
    body = '{"instances": [1.5]}'
    assert findings(body, "zoo", signature_key="f64div3") == [("warning", "missing_signature_name", "")]
    assert corrected(body, "zoo", signature_key="f64div3") == {"signature_name": "f64div3", "instances": [1.5]}
    with pytest.raises(NotFoundError, match="did you mean 'f64div3'"):
        lint(body, open_model("zoo"), signature_key="f64div4")


def test_verb_must_be_one() -> None:
    """A verb that isn't one is the caller's slip."""
    with pytest.raises(UsageError, match="'predict', 'classify' or 'regress'"):
        lint("{}", open_model("zoo"), verb="guess")


def test_text_that_is_not_utf8_becomes_base64() -> None:
    """The server passes such bytes on; the corrected body says the same in a way that every client can send."""
    body = b'{"signature_name": "id_string", "instances": ["\xff\xfe"]}'
    assert findings(body, "zoo") == [("note", "not_utf8", "instances[0]")]
    assert corrected(body, "zoo") == {"signature_name": "id_string", "instances": [{"b64": "//4="}]}


def test_other_encodings() -> None:
    """UTF-16 is refused by the server and read here; a byte order mark of UTF-8 is no fault."""
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        assert codes('{"instances": [1.0]}'.encode(encoding)) == ["utf16"]
        assert corrected('{"instances": [1.0]}'.encode(encoding)) == {"instances": [1.0]}
    assert findings(b'\xef\xbb\xbf{"instances": [1.0]}') == [("note", "bom", "")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"instances": [1.0]} trailing', "trailing_text"),
        ('{"instances": [1.0]}\n{"instances": [2.0]}', "trailing_text"),
        ('{"instances": [1.0], "instances": [2.0]}', "duplicate_key"),
        ('{"inputs": {"x": [1.0], "y": [2.0]}}', "extra_input"),
        ('{"instances": [1.0], "output_filter": ["y"]}', "ignored_key"),
        ('{\\"instances\\": [1.0]}', "escaped_quotes"),
        ('{instances: [1.0]}', "unquoted_key"),
        ('{"instances": [1.0;2.0]}', "separator"),
        ('{"instances" = [1.0]}', "missing_colon"),
        ('{"instances": [1.0 2.0]}', "missing_comma"),
        ('{"instances": [1.0,, 2.0]}', "extra_comma"),
        ('{"instances": [+1, .5, 5., 01, 1_000, 0x10]}', "number_spelling"),
        ('data = {"instances": [1.0]}', "not_json"),
        ('{"instances": [[1.0], [2.0]]}', "extra_dimension"),
        ('%7B%22instances%22%3A%5B1.0%5D%7D', "form_encoded"),
        ('{“instances”: [1.0]}', "quotes"),
        ("{'instances': [{'x': np.float32(1.0)}]}", "spelling"),
        ('{"instances: [1.0]}', "missing_quote"),
        ('{"instances": [{"x: 1.0}, {"x": 2.0}]}', "missing_quote"),
        ('{"instances": [{"x": "1.0}]}', "missing_quote"),
        ('{"instances": [[]]}', "extra_dimension"),
    ],
)  # fmt: skip
def test_slips_that_the_table_of_stories_leaves_out(body: str, code: str) -> None:
    """Each is found and corrected."""
    found = lint(body, open_model("half_plus_two"))
    assert code in [finding.code for finding in found.findings]
    assert found.corrected is not None, found.reason


def test_default_signature_of_a_model_with_one_signature_only() -> None:
    """Without serving_default the only signature is named, not guessed by the server."""
    model = SavedModel.from_dict({
        "meta_graphs": [{"tags": ["serve"], "signatures": {"score": {
            "inputs": {"x": {"dtype": "DT_FLOAT", "shape": [None], "tensor_name": "x:0"}},
            "outputs": {"y": {"dtype": "DT_FLOAT", "shape": [None], "tensor_name": "y:0"}}}}}]
    })  # fmt: skip
    found = lint('{"instances": [1.0]}', model)
    assert [finding.code for finding in found.findings] == ["missing_signature_name"]
    assert json.loads(found.corrected or "") == {"signature_name": "score", "instances": [1.0]}


def base64_model(model_bytes: Callable[..., Any]) -> SavedModel:
    """A model whose graph decodes its input with DecodeBase64, behind an Identity."""
    built = model_bytes().usual_ops().op("DecodeBase64", model_bytes.out(STRING))
    built.placeholder("image", STRING).compute("same", "image", op="Identity", number=STRING)
    built.compute("decoded", "same", op="DecodeBase64", number=STRING)
    text = built.info("image:0", STRING)
    model: SavedModel = built.signature({"image": text}, {"y": built.info("decoded:0", STRING)}).model()
    return model


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (base64.b64encode(b"\xfb\xff\xfe" * 9).decode(), "alphabet"),
        ({"b64": base64.b64encode(b"\xfb\xff\xfe" * 9).decode()}, "decoded_twice"),
        ({"b64": base64.b64encode(base64.b64encode(b"\xfb\xff\xfe" * 9)).decode()}, "alphabet"),
        (f"b'{base64.b64encode(bytes([251, 255, 254] * 9)).decode()}'", "bytes_literal"),
    ],
)
def test_graph_that_decodes_base64_itself(value: object, code: str, model_bytes: Callable[..., Any]) -> None:
    """Such an input wants web-safe base64 as a plain string: decoded once, by the graph (serving#1141)."""
    found = lint(json.dumps({"instances": [value]}), base64_model(model_bytes))
    assert [finding.code for finding in found.findings] == [code]
    wanted = base64.urlsafe_b64encode(b"\xfb\xff\xfe" * 9).decode()
    assert json.loads(found.corrected or "") == {"instances": [wanted]}
    assert lint(found.corrected or "", base64_model(model_bytes)).ok


def test_base64_is_decoded_as_the_server_decodes_it() -> None:
    """Padding may be missing or be points, white space is passed over; the web-safe alphabet is refused."""
    assert decode_base64("aGk=") == decode_base64("aGk") == decode_base64("a Gk.") == b"hi"
    assert decode_base64("aGk==") is None
    assert decode_base64("a-k=") is None
    assert decode_base64("aGkxx") is None
    assert decode_base64("") == b""


def recorded() -> list[dict[str, Any]]:
    """The recorded exchanges."""
    return [json.loads(line) for line in RECORDED.read_text().splitlines()]


def test_recorded_bodies_are_judged_as_the_server_judged_them() -> None:
    """What the server refused has an error, and what it answered has none; whatever is corrected is taken."""
    checked = 0
    for line in recorded():
        model = open_model(line["model"])
        found = lint(line["body"], model, verb=line["verb"])
        errors = [finding for finding in found.findings if finding.severity == "error"]
        if line["status"] == 200:
            assert (errors, found.status) == ([], None), line["body"]
        elif found.status is not None:
            assert errors, line["body"]
            assert found.status == line["status"]
        for body in () if found.corrected is None else (found.corrected, *found.more_bodies):
            assert server_error(body.encode(), model.meta_graph(), line["verb"]) is None, line["body"]
            checked += 1
    assert checked > 300


def json_values() -> st.SearchStrategy[Any]:
    """Values that JSON has."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    return st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@settings(max_examples=300, deadline=None)
@given(json_values(), st.booleans(), st.sampled_from([None, 2]))
def test_json_is_read_without_a_slip(value: Any, ascii_only: bool, indent: int | None) -> None:
    """The tolerant reader reads JSON as JSON, and writes what reads back equal."""
    try:
        body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return
    reading = read_body(body)
    assert reading.root is not None
    if any(slip.code not in ("lone_surrogate", "number_too_big") for slip in reading.slips):
        pytest.fail(f"{body!r}: {reading.slips}")
    if not reading.slips:
        assert json.loads(json_text(reading.root)) == value
        assert json.loads(json_text(reading.root, 2)) == value


PIECES = [
    b'"', b"'", b"{", b"}", b"[", b"]", b"(", b")", b",", b":", b"=", b"#", b"//", b"/*", b"\\", b"\\u", b"\\ud800",
    b"\n",
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"NaN", b"nan", b"None", b"True", b"null", b"array(", b"b'", b"1e999", b"0x",
    b"-",
    b"...", b'"b64"', b'"x"', b'"instances"', b'"inputs"', b'"examples"', b'"signature_name"', b"1.0", b"1", b"true",
    b'{"b64": "', "“".encode(), b"9" * 400, b'"inputs": {"x": ', b"[[", b"]]", b"{}", b"[]",
]  # fmt: skip


def mutated(body: bytes, chance: random.Random) -> bytes:
    """A body with some pieces put in, taken out or repeated."""
    for _ in range(chance.randint(1, 4)):
        at, end = sorted((chance.randint(0, len(body)), chance.randint(0, len(body))))
        body = chance.choice(
            [
                body[:at] + chance.choice(PIECES) + body[at:],
                body[:at] + body[min(end, at + 6) :],
                body[:at] + body[at:end] + body[at:],
                body[:at],
            ]
        )
    return body


def test_no_body_whatever_makes_the_linter_fail() -> None:
    """Mutated bodies of all verbs: never an exception, a refused body has an error, a correction is a right body."""
    chance = random.Random(20)
    seeds = [(case.model, case.verb, case.body.encode()) for case in CASES]
    seeds += [(line["model"], line["verb"], line["body"].encode()) for line in recorded()[::10]]
    corrections = 0
    for number in range(1000):
        name, verb, body = seeds[number % len(seeds)]
        body = mutated(body, chance)
        model = open_model(name)
        found = lint(body, model, verb=verb)
        error = server_error(body, model.meta_graph(), verb)
        assert found.status == (None if error is None else error.status)
        if error is not None:
            assert any(finding.severity == "error" for finding in found.findings), body
        json.dumps(found.to_dict()).encode()
        assert (found.corrected is None) == bool(found.reason)
        for text in () if found.corrected is None else (found.corrected, *found.more_bodies):
            corrections += 1
            assert server_error(text.encode(), model.meta_graph(), verb) is None, (body, text)
    assert corrections > 100


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60))
def test_arbitrary_bytes_are_a_body_too(body: bytes | str) -> None:
    """Bytes and texts without any sense are told so."""
    assert not lint(body, open_model("half_plus_two")).ok


@pytest.mark.parametrize("piece", [b"[", b'{"a":', b"(", b'[{"b64":', b'"\\"', b"array(", b"[1,", b"closed"])
def test_deep_nesting_is_no_trouble(piece: bytes) -> None:
    """A hundred thousand levels, closed or not, are read and judged."""
    closed = b'{"instances": ' + b"[" * 100_000 + b"1.0" + b"]" * 100_000 + b"}"
    assert not lint(closed if piece == b"closed" else piece * 100_000, open_model("half_plus_two")).ok


def test_large_bodies_are_judged_by_the_parser_alone() -> None:
    """Beyond the limits there is the server's verdict and a note; nothing is made up."""
    numbers = "1," * MOST_VALUES
    for body in (f'{{"instances": [{numbers}1]}}', '{"instances": [1.0' + " " * LARGEST_BODY + "]}"):
        found = lint(body, open_model("half_plus_two"))
        assert [finding.code for finding in found.findings] == ["too_large"]
        assert (found.status, found.corrected) == (None, body)


def test_values_are_walked_in_the_order_of_the_body() -> None:
    """What rules look at comes in the order in which a person reads it."""
    root = read_body(b'{"a": [1, {"b": 2}], "c": 3}').root
    assert root is not None
    assert [node.raw for node in walk(root) if node.raw] == ["1", "2", "3"]


def run_lint(body: bytes, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs the command with a body on standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))
    return main(["lint", str(model_folder("half_plus_two")), *arguments])


def test_command_prints_findings_and_the_corrected_body(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line each with its place, what the server says, and the body that works; status 1."""
    assert run_lint(b'{"instance": [1.0]}', [], monkeypatch) == 1
    printed = capsys.readouterr().out
    assert "error: instance (line 1, column 14)" in printed
    assert "the server answers 400: Missing" in printed
    assert printed.endswith('\n{"instances": [1.0]}\n')
    assert run_lint(b'{"instances": [1.0]}', [], monkeypatch) == 0
    assert "nothing is wrong" in capsys.readouterr().out


def test_command_can_print_nothing_but_the_corrected_body(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With --fix standard output is what one sends; the findings go to standard error."""
    assert run_lint(b"{'instances': [1.0]}", ["--fix"], monkeypatch) == 1
    printed = capsysbinary.readouterr()
    assert printed.out == b'{"instances": [1.0]}\n'
    assert b"quotes" in printed.err
    assert run_lint(b'{"instances": ["cat"]}', ["--fix"], monkeypatch) == 1
    printed = capsysbinary.readouterr()
    assert printed.out == b""
    assert b"no corrected body" in printed.err


def test_command_speaks_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json a script reads the same."""
    arguments = ["--json", "--verb", "regress", "--signature", "regress_x"]
    assert run_lint(b'{"signature_name": "regress_x", "examples": [{"x": 1}]}', arguments, monkeypatch) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["findings"][0]["code"] == "int_for_float"
    assert json.loads(told["corrected"])["examples"] == [{"x": 1.0}]
    assert run_lint(b"{}", ["--signature", "nope"], monkeypatch) == 2
    assert "nope" in capsys.readouterr().err


def test_pictures_of_the_cases_are_pictures() -> None:
    """The cases rest on a real PNG."""
    assert PNG.startswith(b"\x89PNG")
