"""Example values fit their signature for every dtype; given values become tensors whatever form they come in."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

import explorer
from explorer.errors import NotFoundError, RequestError
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature
from explorer.savedmodel.tensor_info import DType, Shape, TensorInfo
from explorer.savedmodel.tensors import Tensor
from explorer.savedmodel.tf_example import read_example
from explorer.serving.arrays import array_text, nested_of, row_texts
from explorer.serving.example_values import example_values
from explorer.serving.given_values import given_values, read_given
from explorer.serving.images import image_value

ROOT = Path(__file__).parents[2]
DTYPES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 22, 23]


def info(dtype: int, shape: tuple[int | None, ...] | None) -> TensorInfo:
    """A declared input."""
    return TensorInfo(DType(dtype), Shape(shape), "x:0")


def signature(**inputs: tuple[int, tuple[int | None, ...] | None]) -> Signature:
    """A signature with some inputs."""
    return Signature("serving_default", {key: info(*declared) for key, declared in inputs.items()}, {})


def example_model() -> tuple[MetaGraph, Signature]:
    """A model whose one input is parsed: age (float, required), clicks (int64), country (string)."""
    meta_graph = explorer.open_saved_model(ROOT / "sample_models/tf_example").meta_graph()
    return meta_graph, meta_graph.signature("serving_default")


def values_of(tensor: Tensor) -> Any:
    """A tensor's values as lists."""
    return tensor.to_array().tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["zeros", "ones", "random"])
def test_every_dtype_has_example_values(dtype: int, kind: str) -> None:
    """Values of each kind are in their range and fill the declared shape; the seed decides on the random ones."""
    declared = signature(x=(dtype, (None, 2)))
    made = example_values(declared, kind, batch=3)["x"]
    assert (made.dtype, made.shape) == (dtype, (3, 2))
    assert made == example_values(declared, kind, batch=3)["x"]
    values = made.to_array().reshape(-1).tolist()
    if kind != "random":
        assert set(values) == ({b"1" if kind == "ones" else b""} if dtype == 7 else {1 if kind == "ones" else 0})
    elif dtype == 7:
        assert all(value.isascii() and 2 < len(value) < 6 for value in values)
    else:
        assert all(0 <= np.real(value) <= 9 for value in values)
        assert len({str(example_values(declared, kind, batch=3, seed=seed)["x"].data) for seed in range(8)}) > 1


def test_example_values_follow_the_declared_shape() -> None:
    """Unknown dimensions are 1 but for the batch; a scalar has none; of unknown rank is a vector."""
    made = example_values(signature(a=(1, ()), b=(1, (2, None)), c=(1, None), d=(1, (-5, 3))), batch=4)
    assert {key: tensor.shape for key, tensor in made.items()} == {"a": (), "b": (2, 1), "c": (4,), "d": (4, 3)}


def test_example_values_for_records() -> None:
    """An input that is parsed gets records with every feature in its kind of list."""
    meta_graph, declared = example_model()
    zeros = example_values(declared, meta_graph=meta_graph)["examples"]
    assert read_example(zeros.texts[0]) == {"age": [0.0], "clicks": [0], "country": [b""]}
    random = example_values(declared, "random", batch=2, meta_graph=meta_graph)["examples"]
    assert random.shape == (2,) and random.texts[0] != random.texts[1]


@pytest.mark.parametrize(
    ("declared", "arguments", "sentence"),
    [
        (signature(x=(20, ())), {}, "'x' .* dtype resource"),
        (signature(x=(99, ())), {}, "'x' .*DT_99"),
        (signature(x=(1, (2**40, 2**40))), {}, "'x' .* larger than example values"),
        (signature(x=(7, (2**30,))), {}, "'x' .* larger"),
        (signature(x=(1, ())), {"kind": "nines"}, "'nines'.*'zeros', 'ones' or 'random'"),
        (signature(x=(1, ())), {"batch": -1}, "-1"),
    ],
)
def test_example_values_that_cannot_be(declared: Signature, arguments: dict[str, Any], sentence: str) -> None:
    """A handle, a dtype of the future, a shape without end and a wrong word are each refused in one sentence."""
    with pytest.raises(RequestError, match=sentence) as raised:
        example_values(declared, **arguments)
    assert "\n" not in str(raised.value)


def test_bfloat16_rounds_to_the_nearest() -> None:
    """Ties go to the even neighbour, NaN stays NaN, as TensorFlow casts."""
    numbers = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, np.nan, -np.inf, 3.3e38], np.float32)
    made = given_values(signature(x=(14, (None,))), {"x": numbers})["x"].to_array()
    np.testing.assert_array_equal(made[:3], [1.0, 1.0, 1 + 2**-6])
    assert np.isnan(made[3]) and made[4] == -np.inf and abs(made[5] / 3.3e38 - 1) < 0.01


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.arange(6, dtype=">f4").reshape(2, 3),
        np.arange(12, dtype=np.float64).reshape(2, 6)[:, ::2] / 2,
        np.arange(6, dtype=np.float16).reshape(2, 3),
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.arange(6).reshape(2, 3).astype(object),
        [[0, 1, 2], (3, 4.0, np.float32(5))],
        [np.arange(3), np.arange(3, 6)],
    ],
)
def test_arrays_of_every_layout(array: Any) -> None:
    """Order, byte order, strides and dtype of an array don't matter, its values do."""
    made = given_values(signature(x=(1, (None, 3))), {"x": array})["x"]
    assert (made.dtype, made.shape) == (1, (2, 3))
    assert values_of(made) == [[0, 1, 2], [3, 4, 5]]


def test_arrays_without_dimensions() -> None:
    """A 0-d array and numpy's scalars are scalars; complex and integer ones too."""
    for dtype, value in ((1, np.array(2.5)), (9, np.int64(-3)), (8, np.complex64(1 + 2j)), (10, np.bool_(True))):
        made = given_values(signature(x=(dtype, ())), {"x": value})["x"]
        assert made.shape == () and values_of(made) == value.item()


@pytest.mark.parametrize(
    ("dtype", "value", "sentence"),
    [
        (6, np.array([1, 200]), r"x\[1\] is 200, but int8 takes a whole number from -128 to 127"),
        (23, np.array([3, -1]), r"x\[1\] is -1, but uint64"),
        (9, np.array([2**63], np.uint64), r"x\[0\] is 9223372036854775808, but int64"),
        (17, np.array([70000]), r"x\[0\] is 70000, but uint16"),
        (19, np.array([1.0, 70000.0]), r"x\[1\] is 70000.0, but float16 takes a number up to 65504"),
        (19, [1e6], r"x\[0\] is 1000000.0, but float16"),
        (1, np.array([0, 1e39]), r"x\[1\] is 1e\+39, but float32"),
        (1, np.array([True]), r"x\[0\] is True, but float32 takes a number"),
        (10, np.array([1]), r"x\[0\] is 1, but bool takes True or False"),
        (3, np.array([1.0]), r"x\[0\] is 1.0, but int32 takes a whole number"),
        (1, np.array(["a"]), r"x\[0\] is 'a', but float32"),
        (7, np.array([1.0]), r"x\[0\] is 1.0, but string"),
        (8, [1e40], r"x\[0\] is 1e\+40, but complex64"),
        (8, np.array([0, 1e40j]), r"x\[1\] is .*, but complex64 takes numbers up to"),
        (14, [3.4e38], r"x\[0\] is 3.4e\+38, but bfloat16 takes a number up to 3.3895314e\+38"),
        (14, np.array([0, -3.4e38], np.float32), r"x\[1\] is -3.3.*e\+38, but bfloat16"),
        (8, np.array(["a"]), r"x\[0\] is 'a', but complex64 takes a number"),
    ],
)
def test_arrays_that_would_be_changed(dtype: int, value: Any, sentence: str) -> None:
    """What another dtype can't hold is refused at the element, in an array as in a list."""
    with pytest.raises(RequestError, match=sentence):
        given_values(signature(x=(dtype, (None,))), {"x": value})


def test_largest_numbers_that_still_fit() -> None:
    """A double that rounds to the largest float32 or float16 is that one; infinities and NaN pass."""
    made = given_values(signature(x=(19, (None,))), {"x": np.array([65519.0, np.inf, np.nan])})["x"].to_array()
    assert made[0] == 65504 and np.isinf(made[1]) and np.isnan(made[2])


def test_inputs_that_nothing_is_given_for() -> None:
    """They follow the batch of the given ones, and a note says so; an unknown input is named with those there are."""
    declared = signature(x=(1, (None, 2)), n=(9, (None,)))
    made = read_given(declared, {"x": [[1, 2], [3, 4], [5, 6]]}, kind="ones")
    assert values_of(made.tensors["n"]) == [1, 1, 1] and made.given == {"x"}
    assert list(made.tensors) == ["x", "n"]
    assert "'n'" in made.notes[0]
    with pytest.raises(NotFoundError, match="available: 'x', 'n'"):
        given_values(declared, {"y": 1})
    with pytest.raises(RequestError, match="input key is text"):
        given_values(declared, {3: 1})
    with pytest.raises(RequestError, match=r"it is float32\[2\], but float32\[\?, 2\]"):
        given_values(declared, {"x": Tensor(1, (2,), bytes(8))})


def test_table_of_inputs() -> None:
    """A column an input, a row an example; the columns may stand in any order."""
    frame = pd.DataFrame({"word": ["a", "b"], "n": [1, 2], "x": [0.5, 1.5], "v": [[1, 2], np.array([3, 4])]})
    declared = signature(x=(1, (None,)), n=(9, (None,)), word=(7, (None,)), v=(3, (None, 2)))
    made = given_values(declared, frame)
    assert {key: values_of(tensor) for key, tensor in made.items()} == {
        "x": [0.5, 1.5], "n": [1, 2], "word": [b"a", b"b"], "v": [[1, 2], [3, 4]],
    }  # fmt: skip


def test_table_as_a_matrix() -> None:
    """The numeric columns of a table make the one input that has so many columns."""
    frame = pd.DataFrame({"name": ["p", "q"], "a": [1, 2], "b": [0.5, 0.25]})
    assert values_of(given_values(signature(x=(1, (None, 2))), frame)["x"]) == [[1, 0.5], [2, 0.25]]
    assert values_of(given_values(signature(x=(1, (None,))), frame[["a"]])["x"]) == [1, 2]


def test_table_of_features() -> None:
    """The columns of a table are the features of the one input that is parsed."""
    meta_graph, declared = example_model()
    frame = pd.DataFrame({"age": [30, 40], "country": ["NZ", "PE"]})
    made = given_values(declared, frame, meta_graph=meta_graph)["examples"]
    assert [read_example(text) for text in made.texts] == [
        {"age": [30.0], "country": [b"NZ"]}, {"age": [40.0], "country": [b"PE"]},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (pd.DataFrame({"x": [1.0], "y": [2]}), "missing are 'n', unknown are 'y'"),
        (pd.DataFrame({"x": [1.0]}), "missing are 'n'"),
        (pd.DataFrame({"x": [], "n": []}), "no rows"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "two columns of one name"),
        (pd.DataFrame({"x": [1.0], "n": [None]}), r"n\[0\] is"),
        (pd.DataFrame({"x": [1.0], "n": [1.5]}), r"n\[0\] is 1.5"),
    ],
)
def test_tables_that_do_not_fit(frame: pd.DataFrame, sentence: str) -> None:
    """Columns that aren't the inputs are named, cells that don't fit too."""
    with pytest.raises(RequestError, match=sentence):
        given_values(signature(x=(1, (None,)), n=(9, (None,))), frame)


def test_matrix_of_the_wrong_width() -> None:
    """The sentence says how many columns there are and what is declared."""
    with pytest.raises(RequestError, match=r"3 columns of numbers \('a', 'b', 'c'\).*float32\[\?, 2\]"):
        given_values(signature(x=(1, (None, 2))), pd.DataFrame([[1, 2, 3]], columns=list("abc")))


def test_files_of_values(tmp_path: Path) -> None:
    """Arrays, tables and JSON files are read by their endings, at the top and as the value of one input."""
    declared = signature(x=(1, (None, 2)))
    array = np.array([[1, 2], [3, 4]], np.float64)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "a.json").write_text("[[1, 2], [3, 4]]")
    (tmp_path / "row.JSON").write_text('{"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}')
    (tmp_path / "plain.json").write_text('{"instances": [[1, 2], [3, 4]]}')
    (tmp_path / "column.json").write_text('{"signature_name": "s", "inputs": {"x": [[1, 2], [3, 4]]}}')
    (tmp_path / "named.json").write_text('{"x": [[1, 2], [3, 4]]}')
    for name in ("a.npy", "a.npz", "a.csv", "a.json", "row.JSON", "plain.json", "column.json", "named.json"):
        assert values_of(given_values(declared, tmp_path / name)["x"]) == [[1, 2], [3, 4]], name
        assert values_of(given_values(declared, str(tmp_path / name))["x"]) == [[1, 2], [3, 4]], name
    assert values_of(given_values(declared, {"x": tmp_path / "a.npy"})["x"]) == [[1, 2], [3, 4]]
    assert values_of(given_values(declared, array)["x"]) == [[1, 2], [3, 4]]


def test_files_for_texts(tmp_path: Path) -> None:
    """A text or image file goes in as its bytes, one text in as many dimensions as are declared."""
    (tmp_path / "a.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "b64.json").write_text('{"inputs": [{"b64": "/w=="}, "x"]}')
    assert given_values(signature(x=(7, (None,))), tmp_path / "a.txt")["x"] == Tensor(7, (1,), texts=(b"caf\xe9\n",))
    assert given_values(signature(x=(7, ())), tmp_path / "a.txt")["x"].shape == ()
    assert given_values(signature(x=(7, (None, 1))), b"\xff")["x"] == Tensor(7, (1, 1), texts=(b"\xff",))
    assert given_values(signature(x=(7, (None,))), tmp_path / "b64.json")["x"].texts == (b"\xff", b"x")
    two = given_values(signature(x=(7, (None,))), {"x": [tmp_path / "a.txt", b"2"]})["x"]
    assert two.texts == (b"caf\xe9\n", b"2")


def test_records_from_a_file(tmp_path: Path) -> None:
    """A classify body, or an object of features, fills the input that is parsed."""
    meta_graph, declared = example_model()
    (tmp_path / "one.json").write_text('{"age": 1.5}')
    (tmp_path / "two.json").write_text('{"examples": [{"age": 1.5}, {"age": 2, "country": "PE"}]}')
    one = given_values(declared, tmp_path / "one.json", meta_graph=meta_graph)["examples"]
    two = given_values(declared, tmp_path / "two.json", meta_graph=meta_graph)["examples"]
    assert read_example(one.texts[0]) == {"age": [1.5]}
    assert [read_example(text)["age"] for text in two.texts] == [[1.5], [2.0]]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("gone.npy", None, "there is no file"),
        ("a.npy", b"no array", "can't be read as .npy"),
        ("a.npz", b"PK\x03\x04 cut", "can't be read as .npz"),
        ("a.json", b'{"x": ', "can't be read as .json"),
        ("deep.json", b"[" * 100_000, "can't be read as .json"),
        ("a.csv", b"", "can't be read as .csv"),
        ("a.txt", b"hello", r"an image doesn't fit an input declared float32\[\?, 2, 2, 2, 2\]"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    """A missing, broken or unfitting file is one sentence, never a traceback."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=sentence):
        given_values(signature(x=(1, (None, 2, 2, 2, 2))), tmp_path / name)


def test_pickles_stay_shut(tmp_path: Path) -> None:
    """An .npy of Python objects would run code when it is loaded, and is refused."""
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(RequestError, match="allow_pickle"):
        given_values(signature(x=(1, (None,))), tmp_path / "a.npy")


def test_values_of_no_known_form() -> None:
    """A list alone doesn't say which input it is for, an array alone does only where there is one."""
    with pytest.raises(RequestError, match="mapping from input key to value"):
        given_values(signature(x=(1, (None,))), [1])
    with pytest.raises(RequestError, match="has the inputs 'x', 'y'"):
        given_values(signature(x=(1, (None,)), y=(1, (None,))), np.zeros(1))


def png(width: int, height: int, mode: str = "RGB", colour: Any = (255, 0, 51)) -> bytes:
    """A picture of one colour."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new(mode, (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_image_as_bytes() -> None:
    """A string input gets the file as it is."""
    tensor, note = image_value(png(4, 2), info(7, (None,)))
    assert tensor == Tensor(7, (1,), texts=(png(4, 2),)) and "as they are" in note


@pytest.mark.parametrize(
    ("declared", "scale", "shape", "corner"),
    [
        (info(1, (None, None, None, 3)), None, (1, 2, 4, 3), [1, 0, 0.2]),
        (info(1, (None, 8, 6, 3)), None, (1, 8, 6, 3), [1, 0, 0.2]),
        (info(1, (None, 3, 8, 6)), None, (1, 3, 8, 6), None),
        (info(1, (8, 6, 3)), "-1..1", (8, 6, 3), [1, -1, -0.6]),
        (info(1, (3, 8, 6)), "0..255", (3, 8, 6), None),
        (info(4, (None, 8, 6, 3)), None, (1, 8, 6, 3), [255, 0, 51]),
        (info(4, (None, None, None, None)), None, (1, 2, 4, 3), [255, 0, 51]),
        (info(6, (None, 2, 4, 3)), None, (1, 2, 4, 3), [127, -128, -77]),
        (info(19, (None, 2, 4, 3)), "0..255", (1, 2, 4, 3), [255, 0, 51]),
        (info(4, (2, 2, 4, 4)), None, (2, 2, 4, 4), [255, 0, 51, 255]),
        (info(4, (None, 28, 28)), None, (1, 28, 28), 82),
        (info(4, (28, 28)), None, (28, 28), 82),
        (info(4, (None, 28, 28, 1)), None, (1, 28, 28, 1), [82]),
    ],
)
def test_image_as_pixels(declared: TensorInfo, scale: str | None, shape: tuple[int, ...], corner: Any) -> None:
    """Pixels come in the declared size, order, channels and range, and the note says what was done."""
    tensor, note = image_value(png(4, 2), declared, scale=scale)
    assert tensor.shape == shape and tensor.dtype == declared.dtype.number
    array = tensor.to_array().astype(np.float64)
    if corner is None:  # channels first
        corner, array = ([1, 0, 0.2] if scale is None else [255, 0, 51]), np.moveaxis(array, -3, -1)
    corner_index = (0, 0) if array.ndim - (np.ndim(corner) or 0) == 2 else (0, 0, 0)
    np.testing.assert_allclose(array[corner_index], corner, atol=1e-3)
    assert "decoded PNG of 4×2" in note and str(list(shape)) in note


def test_grey_of_16_bits_keeps_its_range() -> None:
    """The brightest grey of 16 bits is the brightest of 8, and half is half."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.array([[65535, 32768]], np.uint16)).save(buffer, "PNG")
    tensor, note = image_value(buffer.getvalue(), info(4, (None, 1, 2, 1)))
    assert tensor.data == bytes([255, 128]) and "16 bits" in note


def test_images_among_given_values(tmp_path: Path) -> None:
    """Bytes, paths and lists of them become pixels of an input of images; the note names the input."""
    (tmp_path / "a.png").write_bytes(png(4, 2))
    declared = signature(image=(4, (None, 2, 4, 3)))
    for values in (png(4, 2), tmp_path / "a.png", {"image": png(4, 2)}, {"image": tmp_path / "a.png"}):
        made = read_given(declared, values)
        assert made.tensors["image"].data == bytes([255, 0, 51]) * 8 and "'image'" in made.notes[0]
    batch = given_values(declared, {"image": [tmp_path / "a.png", png(9, 9, colour=(0, 0, 0))]})["image"]
    assert batch.shape == (2, 2, 4, 3) and batch.data == bytes([255, 0, 51]) * 8 + bytes(24)
    with pytest.raises(RequestError, match="different sizes"):
        given_values(signature(image=(4, (None, None, None, 3))), {"image": [png(4, 2), png(2, 4)]})


def huge_png(side: int) -> bytes:
    """The header of a picture with a side of any size, and no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, data, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(
    ("data", "declared", "scale", "sentence"),
    [
        (huge_png(10_000), info(1, (None, 8, 8, 3)), None, "pixels; at most 50000000"),
        (huge_png(100_000), info(1, (None, 8, 8, 3)), None, "more than 50000000 pixels"),
        (huge_png(8), info(1, (None, 8, 8, 3)), None, "no image that can be decoded"),
        (b"", info(1, (None, 8, 8, 3)), None, "no image that can be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", info(1, (None, 8, 8, 3)), None, "the formats are BMP"),
        (png(1, 1), info(1, (None, 2**20, 2**20, 3)), None, "no size that an image is brought to"),
        (png(1, 1), info(1, (None, 784)), None, "doesn't fit an input declared"),
        (png(1, 1), info(1, None), None, "doesn't fit an input declared"),
        (png(1, 1), info(8, (None, 1, 1, 3)), None, "doesn't fit an input declared"),
        (png(1, 1), info(1, (None, 1, 1, 3)), "0..2", "'0..1', '-1..1' or '0..255'"),
        (png(1, 1), info(4, (None, 1, 1, 3)), "0..1", "has fractions"),
    ],
)
def test_images_that_cannot_be(data: bytes, declared: TensorInfo, scale: str | None, sentence: str) -> None:
    """A picture of any size, a broken one, and an input that takes none are refused in one sentence, at once."""
    with pytest.raises(RequestError, match=sentence) as raised:
        image_value(data, declared, scale=scale)
    assert "\n" not in str(raised.value)


arrays = numpy_strategies.arrays(
    st.sampled_from(["<f4", "<f8", "i1", "<i8", "<u8", "?"]),
    numpy_strategies.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4),
)


@settings(max_examples=200)
@given(arrays)
def test_arrays_as_text(array: Any) -> None:
    """An array's text, whole and by rows, means what its values mean, NaN and infinities included."""
    back = np.array(json.loads(array_text(array)), array.dtype).reshape(array.shape)
    np.testing.assert_array_equal(back, array)
    if len(array):
        rows, opened, closed = row_texts(array)
        assert len(rows) == len(array)
        for row, text in zip(array, rows, strict=True):
            np.testing.assert_array_equal(
                np.array(json.loads(opened + text + closed), array.dtype).reshape(row.shape), row
            )


def test_large_arrays_as_text() -> None:
    """Arrays that are written in pieces mean the same; NaN falls into any of them."""
    array = np.random.default_rng(0).random((3, 40, 50), np.float32)
    array[1, 39, 49], array[2, 0, 0] = np.nan, -np.inf
    np.testing.assert_array_equal(np.array(json.loads(array_text(array)), np.float32), array)
    rows, opened, closed = row_texts(array)
    np.testing.assert_array_equal(np.array([json.loads(opened + row + closed) for row in rows], np.float32), array)


def test_tensor_of_more_dimensions_than_numpy_knows() -> None:
    """A tensor of rank 254 comes as nested lists."""
    nested = nested_of(Tensor(1, (1,) * 254, struct.pack("<f", 0.1)))
    for _ in range(254):
        (nested,) = nested
    assert nested == 0.1


def test_model_made_from_data_has_no_features() -> None:
    """Without a graph a string input is filled with texts."""
    model = SavedModel.from_dict(
        {"meta_graphs": [{"tags": [], "signatures": {"s": signature(x=(7, (None,))).to_dict()}}]}
    )
    meta_graph = model.meta_graph()
    assert example_values(meta_graph.signature("s"), meta_graph=meta_graph)["x"].texts == (b"",)
