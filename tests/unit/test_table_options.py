"""Which lines of CSV and which JSON texts feed the inputs of a signature, chosen and checked without TensorFlow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from explorer.errors import EditError, ExplorerError, NotFoundError
from explorer.runtime.row_inputs import RowInput
from explorer.runtime.table_options import MOST_COLUMNS, TableOptions, table_options_for, table_words
from explorer.savedmodel.model import DType, Shape, Signature, TensorInfo, frozen

FLOAT, DOUBLE, INT32, STRING, BOOL, COMPLEX = 1, 2, 3, 7, 10, 8


def signature(**inputs: tuple[int, tuple[int | None, ...] | None]) -> Signature:
    """A signature with these inputs: key → dtype and shape."""
    infos = {key: TensorInfo(DType(number), Shape(dims), f"{key}:0") for key, (number, dims) in inputs.items()}
    return Signature("serving_default", frozen(infos), frozen({}))


HOUSE = signature(size=(FLOAT, (None, 3)), town=(STRING, (None,)), rooms=(INT32, (None, 2, 2)))


def test_columns_follow_the_signature() -> None:
    """Without an order each input takes its columns where it stands in the signature."""
    options = table_options_for("csv", HOUSE)
    assert (options.columns, options.width, options.key) == (("size", "town", "rooms"), 8, "csv")
    assert options.delimiter == "," and options.batch is None
    words = table_words(options)
    assert "8 fields" in words and "'size' float32[3], required" in words


def test_columns_in_another_order() -> None:
    """Keys or their names, with columns between that nothing takes; what isn't named stays an input."""
    features = {"town": {"name": "place", "default": "Bern"}}
    options = table_options_for("csv", HOUSE, [None, "place", "size", None], features=features, delimiter=";")
    assert options.columns == (None, "town", "size", None) and options.width == 6
    assert [one.key for one in options.fields] == ["size", "town"]
    assert dict(options.to_dict())["delimiter"] == ";"
    assert "'place' for input 'town' string[], else 'Bern'" in table_words(options)
    assert table_words(options).count("nothing takes") == 2


def test_json_takes_names_and_lengths_that_differ() -> None:
    """A JSON object has names; the first size of a row may differ."""
    ids = signature(ids=(INT32, (None, None)), mask=(BOOL, (None, None, 2)))
    options = table_options_for("json", ids, features={"ids": {"name": "tokens", "padding": -1}}, key="rows")
    assert (options.key, options.columns) == ("rows", ())
    assert [one.printable for one in options.fields] == ["int32[?]", "bool[?, 2]"]
    assert "'tokens' for input 'ids' int32[?], filled up with -1" in table_words(options)
    assert dict(options.reasons)["mask"]


def test_an_input_without_a_batch_is_constant() -> None:
    """It gets its default whatever the rows hold, and no column."""
    model = signature(x=(FLOAT, (None,)), factor=(FLOAT, ()))
    options = table_options_for("csv", model, features={"factor": {"default": 2.0}})
    assert (options.columns, options.width) == (("x",), 1)
    assert "input 'factor' always 2.0" in table_words(options)
    assert table_options_for("csv", model, ["x"], features={"factor": {"default": 2.0}}) == options
    assert [one.key for one in table_options_for("json", model).inputs] == ["x"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_options_survive_json(kind: str) -> None:
    """What the child process reads is what was chosen."""
    features = {"rooms": {"default": 1}, "town": {"default": 'Zürich, "a"'}}
    options = table_options_for(kind, HOUSE, features=features)
    assert TableOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"kind": "xml"}, "xml"),
        ({"columns": ["sise"]}, "sise"),
        ({"columns": "size"}, "list of the keys"),
        ({"columns": [3]}, "list of the keys"),
        ({"columns": ["size", "town", "size"]}, "more than once"),
        ({"columns": [None]}, "no input"),
        ({"columns": ["size"], "only": ["size", "town"]}, "lack 'town'"),
        ({"columns": ["size", "town"], "only": ["size"]}, "'town'"),
        ({"delimiter": ""}, "delimiter"),
        ({"delimiter": ";;"}, "delimiter"),
        ({"delimiter": '"'}, "delimiter"),
        ({"delimiter": "\n"}, "delimiter"),
        ({"delimiter": "é"}, "delimiter"),
        ({"kind": "json", "columns": ["size"]}, "neither columns nor a delimiter"),
        ({"kind": "json", "delimiter": ";"}, "neither columns nor a delimiter"),
        ({"only": ["colour"]}, "colour"),
        ({"features": {"rooms": {"default": [1, 2]}}}, "2 values"),
        ({"features": {"rooms": {"default": 1 << 31}}}, "2147483648"),
        ({"features": {"size": "town"}}, "both be called"),
    ],
)
def test_what_cant_be_read_is_refused(arguments: dict[str, Any], named: str) -> None:
    """One sentence that names what is wrong."""
    arguments = {"kind": "csv", **arguments}
    with pytest.raises(ExplorerError, match=named) as caught:
        table_options_for(arguments.pop("kind"), HOUSE, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "inputs", "named"),
    [
        ("csv", {"ids": (INT32, (None, None))}, "as many fields as every other"),
        ("csv", {"x": (FLOAT, (None, MOST_COLUMNS + 1))}, "10001 fields"),
        ("json", {"x": (FLOAT, (None, 2, None))}, "only the first size may differ"),
        ("json", {"x": (FLOAT, (None, *[1] * 17))}, "17 dimensions"),
        ("csv", {"x": (COMPLEX, (None,))}, "complex64"),
        ("json", {"x": (FLOAT, None)}, "how many values"),
        ("csv", {"x": (FLOAT, ())}, "dimension for a batch"),
    ],
)
def test_inputs_that_rows_cant_feed(kind: str, inputs: dict[str, Any], named: str) -> None:
    """Refused before anything is traced, with the input and what to do."""
    with pytest.raises(EditError, match=named):
        table_options_for(kind, signature(**inputs))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": None}, {"inputs": []}, {"inputs": 3}, {"columns": "x"}, {"columns": ["y"]}, {"columns": [["x"]]},
        {"batch": 0}, {"batch": True}, {"delimiter": 3.5}, {"colour": 1},
    ],
)  # fmt: skip
def test_broken_data_is_refused(change: dict[str, Any]) -> None:
    """Data of another form gives our error."""
    good = table_options_for("csv", signature(x=(FLOAT, (None,)))).to_dict()
    assert TableOptions.from_dict(good).width == 1
    with pytest.raises(ExplorerError):
        TableOptions.from_dict({**good, **change})


def test_a_fixed_batch_is_kept() -> None:
    """A model of two rows takes two lines."""
    options = table_options_for("csv", signature(x=(FLOAT, (2, 3))))
    assert (options.batch, options.width) == (2, 3)


def test_what_is_refused_where_it_runs_is_said() -> None:
    """Empty texts in CSV, what a dtype can't hold, how booleans are written."""
    model = signature(name=(STRING, (None,)), flag=(BOOL, (None,)), count=(INT32, (None,)), x=(DOUBLE, (None,)))
    csv, texts = (dict(table_options_for(kind, model).reasons) for kind in ("csv", "json"))
    assert "empty" in csv["name"] and "name" not in texts
    assert "1 and 0" in csv["flag"] and "1 and 0" not in texts["flag"]
    assert "int32" in csv["count"] and "x" not in csv and "x" not in texts


def test_options_need_an_input_that_rows_feed() -> None:
    """Constants alone are no table."""
    with pytest.raises(EditError, match="no input"):
        TableOptions("json", (RowInput("f", "f", FLOAT, (), (1.0,), is_constant=True),))
    with pytest.raises(NotFoundError):
        TableOptions("xml", (RowInput("f", "f", FLOAT),))
