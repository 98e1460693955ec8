"""Answers are written byte for byte as TensorFlow Serving writes them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.errors import RequestError
from explorer.savedmodel.model import DType, MetaGraph, Shape, Signature, TensorInfo
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.tensors import NUMPY_NAMES, Tensor
from explorer.serving import answers

_CONFORMANCE = Path(__file__).parents[1] / "conformance"
_SIGNATURE = re.compile(r'"signature_name"\s*:\s*"([^"]*)"')


def _lines(name: str) -> Iterator[dict[str, Any]]:
    for line in (_CONFORMANCE / name).read_text("utf-8").splitlines():
        yield json.loads(line)


def _raw(line: dict[str, Any]) -> bytes:
    return line["answer"].encode() if "answer" in line else base64.b64decode(line["answer_b64"])


def _meta_graph(model: str) -> MetaGraph:
    return open_saved_model(_CONFORMANCE / "models" / model).meta_graph({"serve"})


def _tensor(value: Any, dtype: int) -> Tensor:
    """A value of an answer; texts have one character a byte."""
    if dtype != 7:
        return Tensor.from_array(np.array(value, NUMPY_NAMES[dtype]), dtype)
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    flat = [value]
    for _ in shape:
        flat = [item for items in flat for item in items]
    texts = [base64.b64decode(item["b64"]) if isinstance(item, dict) else item.encode("latin-1") for item in flat]
    return Tensor(7, tuple(shape), texts=tuple(texts))


def test_every_recorded_prediction_is_written_alike() -> None:
    """The values of each recorded answer, written again, give its bytes: layout, numbers, texts and base64."""
    graphs = {model: _meta_graph(model) for model in ("zoo", "edited")}
    compared = 0
    for line in _lines("rest/exchanges.jsonl"):
        if line["verb"] != "predict" or line["status"] != 200:
            continue
        named = _SIGNATURE.search(line["body"])
        declared = graphs[line["model"]].signatures[(named and named[1]) or "serving_default"].outputs
        answer = json.loads(_raw(line).decode("latin-1"))
        format_ = "row" if "predictions" in answer else "columnar"
        (value,) = answer.values()
        if len(declared) == 1:
            values = dict.fromkeys(declared, value)
        elif format_ == "row":
            values = {key: [item[key] for item in value] for key in value[0]}
        else:
            values = value
        outputs = {key: _tensor(value, declared[key].dtype.number) for key, value in values.items()}
        assert answers.predict_answer(outputs, format_) == _raw(line), line["body"]
        compared += 1
    assert compared > 400


def test_every_recorded_classification_and_regression_is_written_alike() -> None:
    """The values of each recorded answer, written again, give its bytes."""
    compared = 0
    for line in _lines("rest/exchanges.jsonl"):
        if line["status"] != 200 or line["verb"] not in ("classify", "regress"):
            continue
        results = json.loads(_raw(line))["results"]
        if line["verb"] == "classify":
            pairs = [[(label.encode(), score) for label, score in classes] for classes in results]
            assert answers.classify_answer(pairs) == _raw(line)
        else:
            assert answers.regress_answer(results) == _raw(line)
        compared += 1
    assert compared > 30


def test_every_recorded_error_is_written_alike() -> None:
    """The sentence of each recorded error, written again, gives its bytes, also where they aren't UTF-8."""
    compared = 0
    for line in _lines("rest/exchanges.jsonl"):
        if line["status"] == 200:
            continue
        sentence = json.loads(_raw(line).decode("latin-1"))["error"].encode("latin-1")
        error = RequestError(sentence.decode("utf-8", "surrogateescape"), "INVALID_ARGUMENT")
        assert answers.error_answer(error) == _raw(line)
        compared += 1
    assert compared > 400


def test_metadata_is_that_of_the_server() -> None:
    """Every field of every signature, and the layout but for the order of keys."""
    (line,) = _lines("rest/metadata.jsonl")
    made = answers.metadata_answer("zoo", 1, _meta_graph("zoo")).decode()
    assert json.loads(made) == json.loads(line["answer"])
    made_lines = [part.rstrip(",") for part in made.splitlines()]
    assert sorted(made_lines) == sorted(part.rstrip(",") for part in line["answer"].splitlines())


def test_metadata_of_encodings_and_defaults() -> None:
    """Sparse and composite tensors and whole default values are printed, also for a model without a file."""
    sparse = TensorInfo(
        DType(1), Shape((None, 3)), None, "coo_sparse", {"values": "v:0", "indices": "i:0", "dense_shape": "s:0"}
    )
    ragged = TensorInfo(DType(1), Shape(None), None, "composite_tensor", {"0": "r:0", "1": "r:1"})
    default = b"\x08\x03\x12\x00\x3a\x01\x07"  # int32 scalar 7
    signature = Signature("s", {"a": sparse, "b": ragged}, {}, "m", {"b": default})
    made = json.loads(answers.metadata_answer("n", 3, MetaGraph(("serve",), {"s": signature})))
    assert made["model_spec"] == {"name": "n", "version": "3", "signature_name": ""}
    printed = made["metadata"]["signature_def"]["signature_def"]["s"]
    assert printed["inputs"]["a"] == {
        "coo_sparse": {
            "values_tensor_name": "v:0", "indices_tensor_name": "i:0", "dense_shape_tensor_name": "s:0",
        },
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "3", "name": ""}], "unknown_rank": False,
        },
    }  # fmt: skip
    components = printed["inputs"]["b"]["composite_tensor"]["components"]
    assert [component["name"] for component in components] == ["r:0", "r:1"]
    assert printed["inputs"]["b"]["tensor_shape"] == {"dim": [], "unknown_rank": True}
    assert printed["defaults"]["b"]["int_val"] == [7]
    assert printed["defaults"]["b"]["version_number"] == 0
    assert printed["defaults"]["b"]["tensor_content"] == ""


def test_status_is_that_of_the_server() -> None:
    """One version gives the recorded bytes; several stand newest first."""
    recorded = {line["answer"] for line in _lines("rest/http.jsonl") if "model_version_status" in line["answer"]}
    assert answers.status_answer([answers.VersionState(1)]).decode() in recorded
    states = [answers.VersionState(2), answers.VersionState(10, "END", "UNKNOWN", 'no "x"')]
    made = json.loads(answers.status_answer(states))["model_version_status"]
    assert [state["version"] for state in made] == ["10", "2"]
    assert made[0]["status"] == {"error_code": "UNKNOWN", "error_message": 'no "x"'}


def _floats(value: Any) -> Tensor:
    return Tensor.from_array(np.array(value, "f4"), 1)


@pytest.mark.parametrize(
    ("format_", "value", "text"),
    [
        ("row", [], '{\n    "predictions": []\n}'),
        ("row", [[], []], '{\n    "predictions": [[], []\n    ]\n}'),
        ("row", np.zeros((2, 0, 3)), '{\n    "predictions": [[], []\n    ]\n}'),
        ("row", np.zeros((1, 2, 0)), '{\n    "predictions": [[[], []]\n    ]\n}'),
        ("columnar", 3.0, '{\n    "outputs": 3.0\n}'),
        ("columnar", [], '{\n    "outputs": []\n}'),
        ("columnar", np.zeros((2, 0)), '{\n    "outputs": [\n        [],\n        []\n    ]\n}'),
        (
            "columnar",
            [[1, 2]],
            '{\n    "outputs": [\n        [\n            1.0,\n            2.0\n        ]\n    ]\n}',
        ),
    ],
)
def test_layout_of_one_output(format_: Any, value: Any, text: str) -> None:
    """Rows stand on one line, columns one value a line, and empty lists closed at once."""
    assert answers.predict_answer({"y": _floats(value)}, format_).decode() == text


def test_layout_of_several_outputs() -> None:
    """Objects are indented, their lists in a row aren't, and base64 objects are where they stand."""
    outputs = {"y": _floats([[1, 2]]), "i_bytes": Tensor(7, (1, 1), texts=(b"hi",))}
    row = answers.predict_answer(outputs, "row").decode()
    assert row == (
        '{\n    "predictions": [\n        {\n            "y": [1.0, 2.0],\n            "i_bytes": [{\n'
        '                    "b64": "aGk="\n                }]\n        }\n    ]\n}'
    )
    column = answers.predict_answer(outputs, "columnar").decode()
    assert column == (
        '{\n    "outputs": {\n        "y": [\n            [\n                1.0,\n                2.0\n            ]\n'
        '        ],\n        "i_bytes": [\n            [\n                {\n                    "b64": "aGk="\n'
        "                }\n            ]\n        ]\n    }\n}"
    )


def test_texts_go_out_as_they_are() -> None:
    """No byte is changed but quotation marks, backslashes and control characters; only texts are ever base64."""
    texts = (b'a"\\/\x00\x1f\x7f\n', b"\xff\xfe", "é".encode())
    made = answers.predict_answer({"y": Tensor(7, (3,), texts=texts)}, "row")
    assert made == b'{\n    "predictions": ["a\\"\\\\/\\u0000\\u001F\x7f\\n", "\xff\xfe", "\xc3\xa9"\n    ]\n}'
    assert b"b64" not in answers.predict_answer({"y_bytes": _floats([1])}, "row")


@pytest.mark.parametrize(
    ("number", "array", "text"),
    [
        (3, np.array([-1], "i4"), "-1"), (4, np.array([200], "u1"), "200"), (5, np.array([-3], "i2"), "-3"),
        (6, np.array([-3], "i1"), "-3"), (9, np.array([-(2**63)], "i8"), "-9223372036854775808"),
        (10, np.array([True]), "true"), (22, np.array([2**32 - 1], "u4"), "4294967295"),
        (23, np.array([2**64 - 1], "u8"), "18446744073709551615"), (2, np.array([0.1]), "0.1"),
    ],
)  # fmt: skip
def test_every_dtype_that_is_written(number: int, array: Any, text: str) -> None:
    """Integers have no point, booleans are words."""
    made = answers.predict_answer({"y": Tensor.from_array(array, number)}, "row").decode()
    assert made == f'{{\n    "predictions": [{text}\n    ]\n}}'


@pytest.mark.parametrize(("number", "name"), [(19, "half"), (17, "uint16"), (14, "bfloat16"), (8, "complex64")])
def test_dtypes_that_are_not_written(number: int, name: str) -> None:
    """They are refused by name, but for an empty tensor, whose elements nobody looks at."""
    for format_ in ("row", "columnar"):
        with pytest.raises(RequestError, match=f"^Failed to write JSON value for tensor type: {name}$") as caught:
            answers.predict_answer({"y": Tensor(number, (1,), bytes(8))}, format_)
        assert caught.value.status == 400
    assert answers.predict_answer({"y": Tensor(number, (0,))}, "columnar") == b'{\n    "outputs": []\n}'


def test_rows_need_one_batch_size() -> None:
    """A scalar and different first dimensions are refused with the server's sentences, in columns they are fine."""
    with pytest.raises(RequestError) as scalar:
        answers.predict_answer({"y": _floats(1)}, "row")
    assert str(scalar.value) == "Tensor name: y has no shape information "
    outputs = {"y": _floats([1]), "z": _floats([1, 2])}
    with pytest.raises(RequestError) as uneven:
        answers.predict_answer(outputs, "row")
    assert str(uneven.value) == "Tensor name: z has inconsistent batch size: 2 expecting: 1"
    assert json.loads(answers.predict_answer(outputs, "columnar")) == {"outputs": {"y": [1.0], "z": [1.0, 2.0]}}


def test_nothing_to_answer() -> None:
    """No output and no result are refused as the server refuses them."""
    for made in (
        lambda: answers.predict_answer({}, "row"),
        lambda: answers.classify_answer([]),
        lambda: answers.regress_answer([]),
    ):
        with pytest.raises(RequestError, match="^Cannot convert empty .* to JSON$"):
            made()
