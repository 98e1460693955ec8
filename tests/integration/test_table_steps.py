"""Lines of CSV and JSON objects as rows: equal to what Python reads, or refused; and put before models, to the bit."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import consumers
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import op_def_pb2

import explorer
from explorer.editing.preprocessing import add_wrapped_signature
from explorer.runtime.row_inputs import RowInput
from explorer.runtime.row_values import FLOATS, RANGES
from explorer.runtime.steps.json_texts import DEEPEST
from explorer.runtime.steps.trace import trace_all
from explorer.runtime.steps.trace_child import make, traced
from explorer.runtime.table_options import TableOptions, table_options_for

FLOAT, DOUBLE, INT32, UINT8, INT8, STRING, INT64, BOOL, BFLOAT16, HALF = 1, 2, 3, 4, 6, 7, 9, 10, 14, 19

ODD_NAME = 'na"m:e,\u00e9{'
INPUTS = (
    RowInput("age", "age", FLOAT),
    RowInput("count", "count", INT32, (), (7,)),
    RowInput("big", "big", INT64, (), (-5,)),
    RowInput("small", "small", INT8, (2,), (1, -2)),
    RowInput("name", ODD_NAME, STRING, (), ('{"Zürich", \\ [\U0001f600]}',)),
    RowInput("grid", "grid", FLOAT, (2, 3), (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)),
    RowInput("flag", "flag", BOOL, (), (True,)),
    RowInput("double", "double", DOUBLE, (1,), (0.1,)),
    RowInput("half", "half", HALF, (), (0.25,)),
    RowInput("factor", "factor", FLOAT, (2,), (3.0, 4.0), is_constant=True),
)
VARIABLE = (
    RowInput("ids", "ids", INT64, (None,), padding=-1),
    RowInput("words", "words", STRING, (None,), ("a", "[,]")),
    RowInput("pairs", "pairs", FLOAT, (None, 2), ()),
)
ALL = (*INPUTS, *VARIABLE)

Answer = Mapping[str, np.ndarray]


class Refused(Exception):
    """What Python makes of a text isn't a row."""


def function_of(options: TableOptions) -> Callable[[list[Any]], Answer]:
    """The step as a function of a list of texts."""
    made = make(options.kind, json.loads(json.dumps(options.to_dict())))
    function = tf.function(made.function, input_signature=list(made.inputs.values()), autograph=False)

    def run(texts: list[Any]) -> Answer:
        results = function(tf.constant(texts, tf.string, shape=[len(texts)]))
        return {key: result.numpy() for key, result in zip(made.outputs, results, strict=True)}

    return run


@pytest.fixture(scope="module")
def read_json() -> Callable[[list[Any]], Answer]:
    """Reads objects with every kind of input."""
    return function_of(TableOptions("json", ALL))


@pytest.fixture(scope="module")
def read_csv() -> Callable[[list[Any]], Answer]:
    """Reads lines with every kind of input, in an order of their own, with a column that nothing takes."""
    columns = ("name", "age", None, "grid", "count", "big", "small", "flag", "double", "half")
    return function_of(TableOptions("csv", INPUTS, columns))


def scalar_of(one: RowInput, value: Any) -> Any:
    """A value that Python read as an element of an input.

    Raises:
        Refused: It doesn't fit.
    """
    if one.is_text:
        fits = isinstance(value, str)
    elif one.type_number == BOOL:
        fits = isinstance(value, bool)
    elif one.type_number in FLOATS:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = isinstance(value, int) and not isinstance(value, bool)
        fits = fits and RANGES[one.type_number][0] <= value <= RANGES[one.type_number][1]
    if not fits:
        raise Refused
    try:
        return value.encode() if isinstance(value, str) else float(value) if one.type_number in FLOATS else value
    except (UnicodeEncodeError, OverflowError):
        raise Refused from None


def flat_of(one: RowInput, value: Any, shape: tuple[int | None, ...]) -> list[Any]:
    """The elements of a nested value."""
    if not shape:
        return [scalar_of(one, value)]
    if not isinstance(value, list) or (shape[0] is not None and len(value) != shape[0]):
        raise Refused
    return [item for part in value for item in flat_of(one, part, shape[1:])]


def rounded(one: RowInput, values: np.ndarray) -> np.ndarray:
    """Values as the dtype of an input has them, from float64; what is subnormal in float32 is 0 in TensorFlow."""
    dtype = tf.dtypes.as_dtype(one.type_number).as_numpy_dtype
    if one.is_text:
        return values
    with np.errstate(over="ignore"):
        # Eigen makes float16 of float64 by way of float32.
        made = (values.astype(np.float32) if one.type_number == HALF else values).astype(dtype)
    if one.type_number in FLOATS and (np.isinf(made) & np.isfinite(values.astype(np.float64))).any():
        raise Refused
    if one.type_number == FLOAT:
        made = np.where(np.abs(made) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), made), made)
    return made


def rows_to_arrays(inputs: tuple[RowInput, ...], rows: Sequence[Mapping[str, Any]]) -> Answer:
    """Rows that Python read, name → value, as the inputs; None for a value that is missing."""
    found = {}
    for one in inputs:
        dtype = object if one.is_text else np.float64 if one.type_number in FLOATS else None
        if one.is_constant:
            found[one.key] = rounded(one, np.array(one.default, dtype).reshape([dim or 0 for dim in one.shape]))
            continue
        flat = []
        for row in rows:
            value = row.get(one.name)
            if value is None and one.default is None:
                raise Refused
            default = [item.encode() if isinstance(item, str) else item for item in one.default or ()]
            flat.append(default if value is None else flat_of(one, value, one.shape))
        inner = math.prod(dim for dim in one.shape if dim is not None)
        width = max((len(row) for row in flat), default=0) if one.is_variable else inner
        filling = one.filling.encode() if isinstance(one.filling, str) else one.filling
        padded = [[*row, *[filling] * (width - len(row))] for row in flat]
        sizes = [width // inner if dim is None else dim for dim in one.shape]
        found[one.key] = rounded(one, np.array(padded, dtype).reshape([len(rows), *sizes]))
    return found


def number_of(text: str) -> Any:
    """A number with a fraction or an exponent; no number for what float64 doesn't hold."""
    value = float(text)
    return object() if math.isinf(value) else value


def objects_of(texts: list[str]) -> list[Any]:
    """JSON objects as Python reads them."""
    try:
        rows = [json.loads(text, parse_float=number_of) for text in texts]
        for text in texts:
            text.encode()
    except (ValueError, RecursionError):
        raise Refused from None
    if not all(isinstance(row, dict) for row in rows):
        raise Refused
    return rows


def expect_same(found: Answer, wanted: Answer) -> None:
    """The same keys, dtypes, shapes and bits; any NaN is as good as another."""
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key].shape == value.shape, key
        if value.dtype == object:
            assert found[key].tolist() == value.tolist(), key
            continue
        if value.size:
            assert found[key].dtype == value.dtype, key
        first, second = found[key].astype(np.float64), value.astype(np.float64)
        assert np.array_equal(first, second, equal_nan=True), key
        assert np.array_equal(np.signbit(first), np.signbit(second)) or np.isnan(second).any(), key
        if value.dtype.kind in "iub":
            assert np.array_equal(found[key], value), key


def expect_as_python(run: Callable[[list[Any]], Answer], texts: list[str]) -> bool:
    """Compares with Python; says whether Python reads rows there."""
    try:
        wanted = rows_to_arrays(ALL, objects_of(texts))
    except Refused:
        with pytest.raises(tf.errors.InvalidArgumentError):
            run(texts)
        return False
    expect_same(run(texts), wanted)
    return True


NUMBERS = st.one_of(
    st.floats(width=32), st.floats(), st.integers(-(1 << 70), 1 << 70), st.integers(-300, 300),
    st.sampled_from([1e39, -1e39, 65504, 65520, 1e-45, 0.1, 16777217, 2147483648, -129, 3.4028235677973366e38]),
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=8), st.text('\\"/{}[],: \n\tu0041é\U0001f600\x00\x1f\x7f', max_size=8))
WILD = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.sampled_from(["age", "count"]), inner),
    max_leaves=8,
)
FITTING = {
    "age": st.floats(width=32) | st.integers(-1000, 1000),
    "count": st.integers(-(1 << 31), (1 << 31) - 1),
    "big": st.integers(-(1 << 63), (1 << 63) - 1),
    "small": st.lists(st.integers(-128, 127), min_size=2, max_size=2),
    ODD_NAME: TEXTS,
    "grid": st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=2, max_size=2),
    "flag": st.booleans(),
    "double": st.lists(st.floats(), min_size=1, max_size=1),
    "half": st.floats(width=16),
    "ids": st.lists(st.integers(-5, 5), max_size=4),
    "words": st.lists(TEXTS, max_size=3),
    "pairs": st.lists(st.lists(st.floats(width=32), min_size=2, max_size=2), max_size=2),
    "factor": st.integers(),
}
QUIET = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@st.composite
def written(draw: st.DrawFn, fitting: bool) -> str:
    """An object in JSON, in some notation of Python's, with members in any order, other keys and keys twice."""
    members = []
    names = [*draw(st.lists(st.sampled_from(sorted(FITTING)), unique=True)), "age", "ids"]
    wild = [] if fitting else draw(st.lists(st.sampled_from(names), max_size=2))
    if fitting:
        # A key twice: what comes first doesn't count.
        members += [(name, draw(WILD)) for name in draw(st.lists(st.sampled_from(names), max_size=1))]
    others = TEXTS.filter(lambda name: name not in FITTING)
    pairs = [(name, draw(WILD if name in wild else FITTING[name])) for name in dict.fromkeys(names)]
    pairs += [(draw(others), draw(WILD)) for _ in range(draw(st.integers(0, 2)))]
    members += draw(st.permutations(pairs))
    space = st.text(" \t\r\n", max_size=2)
    style: dict[str, Any] = {
        "ensure_ascii": draw(st.booleans()), "indent": draw(st.sampled_from([None, 1, "\t"])),
    }  # fmt: skip
    parts = [
        f"{draw(space)}{json.dumps(key, **style)}{draw(space)}:{draw(space)}{json.dumps(value, **style)}{draw(space)}"
        for key, value in members
    ]
    return f"{draw(space)}{{{','.join(parts)}{draw(space)}}}{draw(space)}"


@QUIET
@given(st.lists(written(True), max_size=5))
@example([])
def test_json_is_what_python_reads(read_json: Callable[[list[Any]], Answer], texts: list[str]) -> None:
    """Objects that fit, in any notation, in batches of 0 to 5, give Python's values to the bit."""
    try:
        objects_of(texts)
    except Refused:
        assume(False)
    expect_as_python(read_json, texts)


@QUIET
@given(st.lists(written(False), min_size=1, max_size=2))
def test_json_that_may_not_fit(read_json: Callable[[list[Any]], Answer], texts: list[str]) -> None:
    """Whatever the values are: Python's, or refused where these don't fit."""
    expect_as_python(read_json, texts)


@QUIET
@given(st.data())
def test_json_that_is_broken(read_json: Callable[[list[Any]], Answer], data: st.DataObject) -> None:
    """A text with some characters changed is refused, or means what Python says it does."""
    text = data.draw(written(True))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 3))
        new = data.draw(st.text('{}[]:,"\\ 0123456789eE+-.truefalsnNI\n\x0e\x1e\x1f\x00', max_size=2))
        text = text[:at] + new + text[at + gone :]
    expect_as_python(read_json, [text])


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "null", "3", "[]", "{", "}", "{}}", "{}{}", "{},", "\ufeff{}", "{'age': 1}", "{age: 1}", "{\"age\": 1",
        '{"age" 1}', '{"age": 1,}', '{,"age": 1}', '{"age": 1 "ids": []}', '{"age": 1 2, "ids": []}',
        '{"age": 01, "ids": []}', '{"age": +1, "ids": []}', '{"age": .5, "ids": []}', '{"age": 5., "ids": []}',
        '{"age": 0x10, "ids": []}', '{"age": 1_0, "ids": []}', '{"age": 1e, "ids": []}', '{"age": --1, "ids": []}',
        '{"age": nan, "ids": []}', '{"age": inf, "ids": []}', '{"age": 1e400, "ids": []}', '{"age": 1e39, "ids": []}',
        '{"age": "1", "ids": []}', '{"age": [1], "ids": []}', '{"age": true, "ids": []}', '{"age": {}, "ids": []}',
        '{"age": null, "ids": []}', '{"age": 1}', '{"age": 1, "ids": [1.0]}', '{"age": 1, "ids": [1e2]}',
        '{"age": 1, "ids": 1}', '{"age": 1, "ids": [[1]]}', '{"age": 1, "ids": [null]}', '{"age": 1, "ids": [1,]}',
        '{"age": 1, "ids": [9223372036854775808]}', '{"age": 1, "ids": [], "count": 2147483648}',
        '{"age": 1, "ids": [], "small": [1, -129]}', '{"age": 1, "ids": [], "flag": 1}',
        '{"age": 1, "ids": [], "grid": [[1, 2], [3, 4], [5, 6]]}', '{"age": 1, "ids": [], "grid": [1, 2, 3, 4, 5, 6]}',
        '{"age": 1, "ids": [], "grid": [[1, 2, 3, 4, 5, 6]]}', '{"age": 1, "ids": [], "pairs": [[1, 2], [3]]}',
        '{"age": 1, "ids": [], "half": 65520}', '{"age": 1, "ids": [], "words": ["\\ud800"]}',
        '{"age": 1, "ids": [], "words": ["\\udc00\\ud800"]}', '{"age": 1, "ids": [], "words": ["\\ud83dx\\ude00"]}',
        '{"age": 1, "ids": [], "x": 01}', '{"age": 1, "ids": [], "x": 1true}', '{"age": 1, "ids": [], "x": [1-2]}',
        '{"age": 1, "ids": [], "words": ["\\x41"]}',
        '{"age": 1, "ids": [], "words": ["\\u00g1"]}', '{"age": 1, "ids": [], "words": ["a\nb"]}',
        '{"age": 1, "ids": [], "words": ["a" "b"]}', '{"age": 1, "ids": [], "other": [1, 2}', '{"age": 1, "ids": []} x',
        '{"age": 1, "ids": [], "other": {"a"}}', '{"age": 1, "ids": [], "other": tru}', '{"age": 1, "ids": [], 3: 4}',
    ],
)  # fmt: skip
def test_json_that_is_refused(read_json: Callable[[list[Any]], Answer], text: str) -> None:
    """Neither Python nor the step takes these, each beside a row that both take; the sentence is one of ours."""
    good = '{"age": 1, "ids": []}'
    rows_to_arrays(ALL, objects_of([good]))
    with pytest.raises(Refused):
        rows_to_arrays(ALL, objects_of([good, text]))
    ours = "not an object in JSON|a value of key '|a text has no value for key '|9223372036854775808"
    with pytest.raises(tf.errors.InvalidArgumentError, match=ours):
        read_json([good, text])


def test_json_bytes_that_are_no_utf_8(read_json: Callable[[list[Any]], Answer]) -> None:
    """Refused, wherever they stand; also surrogates and more than Unicode has."""
    for wrong in (b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
        for text in (
            b'{"age": 1, "ids": [], "x": "%s"}',
            b'{"age": 1, "ids": [], "%s": 1}',
            b'{"age": 1, "ids": []}%s',
        ):
            with pytest.raises(tf.errors.InvalidArgumentError, match="not an object in JSON"):
                read_json([text % wrong])


def test_json_of_great_depth(read_json: Callable[[list[Any]], Answer]) -> None:
    """Up to the stated depth it is read; beyond, even where nothing takes it, refused and not by a crash."""
    for depth, is_read in ((DEEPEST - 1, True), (DEEPEST, False), (100_000, False)):
        for opening, closing in (("[", "]"), ('{"age":', "}")):
            text = f'{{"age": 2, "ids": [1], "x": {opening * depth}{"" if opening == "[" else "3"}{closing * depth}}}'
            if is_read:
                assert expect_as_python(read_json, [text])
            else:
                with pytest.raises(tf.errors.InvalidArgumentError, match="deeper than 32"):
                    read_json([text])


@pytest.mark.parametrize("escapes", [str.upper, str.lower])
def test_every_escape(read_json: Callable[[list[Any]], Answer], escapes: Callable[[str], str]) -> None:
    """Each character below U+3000, some beyond, and keys, written as escapes in either case."""

    def escaped(text: str) -> str:
        units = text.encode("utf-16-be").hex()
        return "".join("\\u" + escapes(units[at : at + 4]) for at in range(0, len(units), 4))

    characters = "".join(map(chr, range(0x3000))) + "\ud7ff\ue000\ufdd0\uffff\U00010000\U0001f600\U0010ffff"
    short = r'"\\u0041\\\"\/\b\f\n\r\t"'
    text = f'{{"{escaped("age")}": 2, "ids": [], "words": ["{escaped(characters)}", {short}]}}'
    assert expect_as_python(read_json, [text])
    assert read_json([text])["words"][0, 0] == characters.encode()


def test_a_step_has_no_state() -> None:
    """No op of either step has state, and each takes one argument."""
    for options in (TableOptions("json", ALL), TableOptions("csv", INPUTS[:2], ("age", "count"))):
        step = traced(make(options.kind, options.to_dict()))
        ops = op_def_pb2.OpList.FromString(step.ops)
        assert [op.name for op in ops.op if op.is_stateful] == []
        assert [one.key for one in step.inputs] == [options.kind]


CSV_NAMES = ["name", "age", None, *["grid"] * 6, "count", "big", *["small"] * 2, "flag", "double", "half"]
CSV_FITTING = {
    "name": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    "age": st.floats(width=32), None: st.text("ab,\" \n", max_size=4), "grid": st.floats(width=32),
    "count": FITTING["count"], "big": FITTING["big"], "small": st.integers(-128, 127), "flag": st.booleans(),
    "double": st.floats(), "half": st.floats(width=16),
}  # fmt: skip


@QUIET
@given(st.data())
def test_csv_is_what_python_wrote(read_csv: Callable[[list[Any]], Answer], data: st.DataObject) -> None:
    """Lines that Python's csv writes, with empty fields where there is a default, in batches of 0 to 5."""
    lines, rows = [], []
    for _ in range(data.draw(st.integers(0, 5))):
        values = [data.draw(CSV_FITTING[name]) for name in CSV_NAMES]
        empty = [name not in ("age", None) and data.draw(st.booleans()) for name in CSV_NAMES]
        written_line = io.StringIO()
        always = data.draw(st.booleans())
        end = data.draw(st.sampled_from(["", "\n", "\r\n"]))
        fields = ["" if gone else value for gone, value in zip(empty, values, strict=True)]
        csv.writer(written_line, quoting=csv.QUOTE_ALL if always else csv.QUOTE_MINIMAL).writerow(fields)
        lines.append(written_line.getvalue().removesuffix("\r\n") + end)
        row: dict[str, Any] = {}
        for one in INPUTS:
            if one.is_constant:
                continue
            places = [at for at, name in enumerate(CSV_NAMES) if name == one.key]
            taken = [
                values[at] if not empty[at] else (one.default or ())[number] for number, at in enumerate(places)
            ]  # fmt: skip
            row[one.name] = (
                np.array(taken, object).reshape([dim or 0 for dim in one.shape]).tolist() if one.shape else taken[0]
            )
        rows.append(row)
    expect_same(read_csv(lines), rows_to_arrays(INPUTS, rows))


GOOD = ["Bern", "1.5", "", *["1"] * 6, "2", "3", "4", "5", "true", "6", "7"]


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [
        ("age", " 2e-1\t", 0.2), ("age", "+.5", 0.5), ("age", "5.", 5.0), ("age", "-Infinity", -math.inf),
        ("age", "INF", math.inf), ("count", " +007 ", 7), ("count", "", 7), ("flag", "FALSE", False),
        ("flag", "0", False),
        ("flag", "1", True), ("flag", "True", True), ("name", "a b", b"a b"), ("name", "\xe9", "\xe9".encode()),
    ],
)  # fmt: skip
def test_csv_notations(read_csv: Callable[[list[Any]], Answer], place: str, field: str, value: Any) -> None:
    """What other programs write for numbers and booleans."""
    fields = [field if name == place else good for name, good in zip(CSV_NAMES, GOOD, strict=True)]
    assert read_csv([",".join(fields)])[place][0] == (np.float32(value) if place == "age" else value)


@pytest.mark.parametrize(
    ("place", "field", "words"),
    [
        ("age", "", "a field of column 'age' is empty"), ("age", "  ", "empty"), ("age", "x", "is not a number"),
        ("age", "0x10", "not a number"), ("age", "1 2", "not a number"), ("age", "true", "not a number"),
        ("age", "1e39", "float32"), ("age", "1e400", "float64"), ("half", "65520", "half|float16"),
        ("count", "1.0", "whole number"), ("count", "2147483648", "int32"), ("small", "128", "int8"),
        ("big", "9223372036854775808", "9223372036854775808"), ("flag", "2", "neither true nor false"),
        ("flag", "yes", "neither true nor false"), ("name", 'a"b', "quotes"), ("name", '"a', "quote"),
        ("name", "a,b", "Expect 16 fields"), ("name", "a\nb", "line break"), ("name", "\na", "line break"),
        ("name", "\r", "line break"),
    ],
)  # fmt: skip
def test_csv_that_is_refused(read_csv: Callable[[list[Any]], Answer], place: str, field: str, words: str) -> None:
    """A field that its input can't hold fails, and never wraps around or shifts the columns."""
    fields = [field if name == place else good for name, good in zip(CSV_NAMES, GOOD, strict=True)]
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        read_csv([",".join(GOOD), ",".join(fields)])


def test_lines_with_too_few_fields(read_csv: Callable[[list[Any]], Answer]) -> None:
    """Also an empty line is refused."""
    for line in (",".join(GOOD[:-1]), ""):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Expect 16 fields"):
            read_csv([line])


def test_another_delimiter_and_a_fixed_batch() -> None:
    """A tab; and a batch that the model fixes."""
    inputs = (RowInput("x", "x", FLOAT, (2,)), RowInput("t", "t", STRING))
    run = function_of(TableOptions("csv", inputs, ("t", "x"), "\t", batch=2))
    found = run(["a,b\t1\t2", '"c\td"\t3\t4'])
    assert found["x"].tolist() == [[1, 2], [3, 4]] and found["t"].tolist() == [b"a,b", b"c\td"]


@dataclass(frozen=True)
class Case:
    """A signature, and the inputs that rows feed."""

    name: str
    signature_key: str
    inputs: Mapping[str, Any]
    only: tuple[str, ...] | None = None
    judges: tuple[str, ...] = ("C++ loader", "tf.compat.v1", "tf.saved_model.load")


CASES = (
    Case("keras3", "serve", {
        "size": [[1.0, 2.0, 3.0], [0.5, -1.0, 0.0], [0.1, 1e-3, 7.0], [3.3, 2.2, 1.1], [0.0, 0.0, -0.0]],
        "colour": [[0.0, 1.0], [2.0, -0.25], [0.1, 0.2], [0.3, 0.7], [1.0, 1.0]],
    }),
    Case("half_plus_two", "serving_default", {"x": [0.0, 1.0, -3.0, 8.1, 0.3]}),
    Case("tf1_ref_variables", "serving_default", {
        "features/x": [[1.0, 2.0], [-4.0, 0.5], [0.0, 0.1], [0.7, 0.9], [5.0, 6.0]], "features/scale": -2.0,
    }, ("features/x",)),
    # Of two files for one node, as in this one, the C++ loader loads neither the plain nor the wrapped model.
    Case("tf1_tables", "serving_default", {"words": ["blue", "grün", "red", "a,\"b\"", "x{y}"]},
         judges=("tf.compat.v1", "tf.saved_model.load")),
    Case("captures", "serving_default", {"words": ["east", "up", "north", "a,\"b\"", "x{y}"]}),
)  # fmt: skip


def texts_of(kind: str, options: TableOptions, inputs: Mapping[str, Any], count: int) -> list[bytes]:
    """The first rows of some inputs, written by Python."""
    rows = [{one.name: inputs[one.key][at] for one in options.fields} for at in range(count)]
    if kind == "json":
        return [json.dumps(row, ensure_ascii=bool(at % 2)).encode() for at, row in enumerate(rows)]
    lines = []
    for row in rows:
        line = io.StringIO()
        csv.writer(line).writerow([item for value in row.values() for item in np.ravel(value).tolist()])
        lines.append(line.getvalue().encode())
    return lines


@pytest.fixture(scope="module")
def wrapped(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Each model with a signature ``by_csv`` and one ``by_json``; name → its folder and the options of both."""
    models = {case.name: explorer.open_saved_model(sample_models / case.name) for case in CASES}
    options = {
        (case.name, kind): table_options_for(
            kind, models[case.name].meta_graph().signature(case.signature_key), only=case.only
        )
        for case in CASES
        for kind in ("csv", "json")
    }
    steps = trace_all([(one.kind, one.to_dict()) for one in options.values()])
    found = {}
    for (name, kind), step in zip(options, steps, strict=True):
        key = next(case.signature_key for case in CASES if case.name == name)
        feeds = {one.key: one.key for one in options[name, kind].inputs}
        models[name] = add_wrapped_signature(models[name], key, f"by_{kind}", before=step, feeds=feeds)
    for name, model in models.items():
        folder = explorer.export(model, tmp_path_factory.mktemp(name))
        found[name] = (model.path, folder, {kind: options[name, kind] for kind in ("csv", "json")})
    return found


@pytest.mark.parametrize(
    ("case", "judge"),
    [pytest.param(case, judge, id=f"{case.name}-{judge}") for case in CASES for judge in case.judges],
)
def test_rows_answer_as_the_plain_inputs(case: Case, judge: str, wrapped: Mapping[str, Any]) -> None:
    """Batches of 0, 1 and 5 rows: the bits of the plain signature, for each loader."""
    first, folder, options = wrapped[case.name]
    plain, after = (consumers.CONSUMERS[judge](path, ["serve"]) for path in (first, folder))
    infos = explorer.open_saved_model(first).meta_graph(["serve"]).signature(case.signature_key).inputs
    arrays = {
        key: np.array(value, object if infos[key].dtype.base.number == STRING else np.float32)
        for key, value in case.inputs.items()
    }
    if any(value.dtype == object for value in arrays.values()):
        arrays = {key: np.array([item.encode() for item in value], object) for key, value in arrays.items()}
    for kind, chosen in options.items():
        fed = [one.key for one in chosen.fields]
        for count in (0, 1, 5):
            inputs = {key: value[:count] if key in fed else value for key, value in arrays.items()}
            texts = np.array(texts_of(kind, chosen, case.inputs, count), object)
            others = {key: value for key, value in inputs.items() if key not in fed}
            wanted = plain.run(case.signature_key, inputs)
            found = after.run(f"by_{kind}", {kind: texts, **others})
            assert found.keys() == wanted.keys()
            for key, value in wanted.items():
                assert found[key].dtype == value.dtype and found[key].shape == value.shape
                assert found[key].tolist() == value.tolist(), (kind, count, key)
    plain.close()
    after.close()


def test_the_checks_find_nothing_new(wrapped: Mapping[str, Any]) -> None:
    """A wrapped model has no finding that the plain one hasn't."""
    for first, folder, _ in wrapped.values():
        before = {one.code for one in explorer.check(explorer.open_saved_model(first))}
        assert {one.code for one in explorer.check(explorer.open_saved_model(folder))} <= before


def test_a_refusal_of_the_loaded_model(wrapped: Mapping[str, Any]) -> None:
    """The words of the step reach who sends the request; no answer is made up."""
    _, folder, _ = wrapped["half_plus_two"]
    for judge in ("tf.compat.v1", "tf.saved_model.load"):
        loaded = consumers.CONSUMERS[judge](folder, ["serve"])
        for kind, text, words in (
            ("json", b'{"x": 1', "not an object in JSON"), ("json", b"{}", "no value for key 'x'"),
            ("json", b'{"x": 1e39}', "float32"), ("csv", b"a", "column 'x' is not a number"), ("csv", b"", "Expect 1"),
        ):  # fmt: skip
            with pytest.raises(tf.errors.InvalidArgumentError, match=words):
                loaded.run(f"by_{kind}", {kind: np.array([text], object)})
        loaded.close()
