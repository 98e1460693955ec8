"""What is parsed out of records, what becomes of an output, and which labels there are: chosen, checked, told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import EditError, ExplorerError, NotFoundError, SourceError
from explorer.runtime.answer_options import AnswerOptions, answer_options_for, answer_words, read_labels
from explorer.runtime.example_options import ExampleOptions, example_options_for, example_words
from explorer.runtime.made_by import made_by
from explorer.savedmodel.model import DType, Shape, Signature, TensorInfo

FLOAT, DOUBLE, INT32, UINT8, STRING, INT64, BOOL, HALF, COMPLEX = 1, 2, 3, 4, 7, 9, 10, 19, 8
NUMBERS = (FLOAT, DOUBLE, INT32, UINT8, STRING, INT64, BOOL, HALF, COMPLEX)


def signature(
    inputs: dict[str, tuple[int, tuple[int | None, ...] | None]],
    outputs: dict[str, tuple[int, tuple[int | None, ...] | None]] | None = None,
) -> Signature:
    """A signature of plain tensors."""

    def infos(sides: dict[str, tuple[int, tuple[int | None, ...] | None]]) -> dict[str, TensorInfo]:
        return {key: TensorInfo(DType(number), Shape(dims), f"{key}:0") for key, (number, dims) in sides.items()}

    return Signature("serving_default", infos(inputs), infos(outputs or {"y": (FLOAT, (None, 3))}))


def test_each_input_becomes_a_feature() -> None:
    """Name, dtype as a record holds it, shape of one row; and the new input is called examples."""
    options = example_options_for(signature({"x": (FLOAT, (None, 3)), "n": (INT32, (None,)), "t": (STRING, (None, 1))}))
    assert options.key == "examples" and options.batch is None
    assert [(one.key, one.name, one.shape) for one in options.inputs] == [
        ("x", "x", (3,)), ("n", "n", ()), ("t", "t", (1,)),
    ]  # fmt: skip
    words = example_words(options)
    assert "'x' float32[3], required" in words and "'n' int64[], required, cast to int32" in words


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_classify_and_regress_fill_an_input_of_their_own_name(method: str) -> None:
    """Every input must be fed, because they send nothing but tf.Examples."""
    plain = signature({"x": (FLOAT, (None, 3)), "factor": (FLOAT, ())})
    assert example_options_for(signature({"x": (FLOAT, (None, 3))}), method=method).key == "inputs"
    with pytest.raises(EditError, match="'factor' is declared float32.*give a default for it"):
        example_options_for(plain, method=method)
    with pytest.raises(EditError, match="can't be 'mine'"):
        example_options_for(signature({"x": (FLOAT, (None, 3))}), method=method, key="mine")
    fed = example_options_for(plain, {"factor": {"default": 2}}, method=method)
    assert [one.is_constant for one in fed.inputs] == [False, True]


def test_what_cant_be_fed_stays_an_input() -> None:
    """For predict: an input without a batch, and one of several tensors, each with the reason."""
    options = example_options_for(signature({"x": (FLOAT, (None,)), "factor": (FLOAT, ()), "c": (COMPLEX, (None,))}))
    assert [one.key for one in options.inputs] == ["x"]
    assert {key for key, _ in options.reasons} == {"factor", "c"}


@pytest.mark.parametrize(
    ("inputs", "features", "sentence"),
    [
        ({"x": (FLOAT, None)}, None, "how many values has one row"),
        ({"x": (FLOAT, (None, None, None))}, None, "tells only the first size"),
        ({"x": (FLOAT, (None, 2))}, {"y": "z"}, "no input 'y'"),
        ({"x": (FLOAT, (None, 2))}, {"x": {"nmae": "z"}}, "nothing can be said about 'nmae'"),
        ({"x": (FLOAT, (None, 2))}, {"x": {"default": [1, 2, 3]}}, "has 3 values, and one row has 2"),
        ({"x": (FLOAT, (None, 2))}, {"x": {"default": "a"}}, "must be float32, not str"),
        ({"x": (UINT8, (None,))}, {"x": {"default": 256}}, "goes from 0 to 255"),
        ({"x": (FLOAT, (None, 2))}, {"x": {"shape": [3]}}, "can't have the shape"),
        ({"x": (FLOAT, (None,)), "z": (FLOAT, (None,))}, {"x": "z"}, "would both be called 'z'"),
        ({"x": (FLOAT, (None, None))}, {"x": {"default": [1.0]}}, "can't have a default"),
        ({"x": (FLOAT, (2, 2)), "z": (FLOAT, (3, 2))}, None, "don't take equally many rows"),
        ({"x": (COMPLEX, (None,))}, None, "a row holds texts, integers, floats and booleans"),
        ({"x": (FLOAT, (None, 0))}, None, "1 to 10000000 values"),
    ],
)
def test_a_choice_that_doesnt_fit_is_one_sentence(inputs: Any, features: Any, sentence: str) -> None:
    """It says what is wrong, and where."""
    with pytest.raises(ExplorerError, match=sentence) as caught:
        example_options_for(signature(inputs), features)
    assert "\n" not in str(caught.value)


def test_an_unknown_rank_can_be_told() -> None:
    """The shape of one row is given by the person."""
    options = example_options_for(signature({"x": (FLOAT, None)}), {"x": {"shape": [4]}})
    assert options.inputs[0].shape == (4,)


SHAPES = st.none() | st.lists(st.none() | st.integers(0, 4), max_size=4).map(tuple)


@given(st.dictionaries(st.text(max_size=3), st.tuples(st.sampled_from(NUMBERS), SHAPES), max_size=3))
def test_options_survive_json(inputs: Any) -> None:
    """Whatever a signature declares, its options are refused in one line or come back equal from JSON."""
    try:
        options = example_options_for(signature(inputs))
    except ExplorerError as error:
        assert "\n" not in str(error)
        return
    assert ExampleOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options
    assert "\n" not in example_words(options)


def test_the_output_that_fits_best_is_taken() -> None:
    """By its name among those of the right dtype and shape; the reason says of which."""
    outputs = {"logits": (FLOAT, (None, 3)), "probabilities": (FLOAT, (None, 3)), "best": (INT64, (None,))}
    options = answer_options_for(signature({"x": (FLOAT, (None,))}, outputs), "classify")
    assert options.output_key == "probabilities" and "name fits best" in options.reasons[0][1]
    two = {"a": (FLOAT, (None, 3)), "b": (FLOAT, (None, 2))}
    labelled = answer_options_for(signature({"x": (FLOAT, (None,))}, two), "classify", labels=["p", "q"])
    assert labelled.output_key == "b"
    assert "2 labels" in answer_words(labelled)


@pytest.mark.parametrize(
    ("dims", "number", "method", "labels", "sentence"),
    [
        ((None,), FLOAT, "classify", None, "no output that classify could answer with"),
        ((None, 3), INT32, "classify", None, "no output that classify could answer with"),
        ((None, 3), FLOAT, "regress", None, "no output that regress could answer with"),
        ((None, 3), FLOAT, "classify", ["a", "b"], "has 3 scores a row, and there are 2 labels"),
        ((None, 1), FLOAT, "regress", ["a"], "labels name classes"),
        ((None, 3), FLOAT, "guess", None, "no method 'guess'"),
        ((None, 1), FLOAT, "classify", ["a\nb"], "has a line break"),
        ((None, 1), FLOAT, "classify", [" "], "is blank"),
        ((None, 1), FLOAT, "classify", [], "has no labels"),
    ],
)
def test_an_answer_that_doesnt_fit_is_one_sentence(
    dims: Any, number: int, method: str, labels: list[str] | None, sentence: str
) -> None:
    """Before anything is traced."""
    with pytest.raises(ExplorerError, match=sentence):
        answer_options_for(signature({"x": (FLOAT, (None,))}, {"y": (number, dims)}), method, labels=labels)


def test_a_named_output_must_fit() -> None:
    """The sentence says what is declared; a wrong name lists the right ones."""
    one = signature({"x": (FLOAT, (None,))}, {"y": (FLOAT, (None,))})
    with pytest.raises(EditError, match=r"'y' is declared float32\[\?\]; classify answers scores"):
        answer_options_for(one, "classify", "y")
    with pytest.raises(NotFoundError, match="available: 'y'"):
        answer_options_for(one, "regress", "z")


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        (b"cat\ndog\n", ("cat", "dog")), (b"cat\r\ndog", ("cat", "dog")), (b"\xef\xbb\xbfcat\n", ("cat",)),
        ("größe\n".encode(), ("größe",)), (b"a b\n", ("a b",)), (b"a\na\n", ("a", "a")),
    ],
)  # fmt: skip
def test_labels_are_the_lines_of_a_text(tmp_path: Path, data: bytes, labels: tuple[str, ...]) -> None:
    """UTF-8 with or without a byte order mark, line breaks of any system, labels that stand twice."""
    file = tmp_path / "labels.txt"
    file.write_bytes(data)
    assert read_labels(file) == labels
    options = AnswerOptions("classify", "y", labels=labels)
    assert options.asset_bytes.decode().splitlines() == list(labels)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"a\n\nb\n", "label 2 is blank"), (b"a\n\xff\n", "no text in UTF-8 .line 2."), (b"", "has no labels"),
     (b"a\0\n", "null character")],
)  # fmt: skip
def test_a_file_of_other_things_is_refused(tmp_path: Path, data: bytes, sentence: str) -> None:
    """The sentence names the file and the line; an empty line would move all labels below it."""
    file = tmp_path / "labels.txt"
    file.write_bytes(data)
    with pytest.raises(EditError, match=sentence) as caught:
        read_labels(file)
    assert "labels.txt" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """And a folder is no file."""
    with pytest.raises(SourceError, match="no file .*nope.txt' with labels"):
        read_labels(tmp_path / "nope.txt")
    with pytest.raises(ExplorerError, match="no regular file"):
        read_labels(tmp_path)


def test_other_labels_have_another_file_name() -> None:
    """So two signatures of one model can have labels of their own, and equal ones share a file."""
    names = {AnswerOptions("classify", "y", labels=labels).asset for labels in (("a",), ("b",), ("a",))}
    assert len(names) == 2 and all(name.startswith("labels_") for name in names)
    assert AnswerOptions("classify", "y").asset == ""


def test_a_call_is_kept_as_plain_data(tmp_path: Path) -> None:
    """Paths become texts, arrays lists, None is left out; what has no plain form makes no call."""
    np = pytest.importorskip("numpy")
    call = made_by("with_image", size=(2, 3), labels=tmp_path / "l", mean=np.array([0.5]), scale=None)
    assert call == {
        "function": "with_image", "arguments": {"size": [2, 3], "labels": str(tmp_path / "l"), "mean": [0.5]},
    }  # fmt: skip
    assert json.loads(json.dumps(call)) == call
    assert made_by("with_image", cancel=object()) is None
