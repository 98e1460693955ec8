"""What is done with a picture before a model gets it: options, presets, shapes, and what files say of themselves."""

from __future__ import annotations

import io
import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.editing.steps import Step, StepTensor, Table, step_from_bytes, step_to_bytes
from explorer.errors import EditError, ExplorerError, NotFoundError, RunError
from explorer.runtime.child import Ended
from explorer.runtime.image_heads import TURNED, read_head, what_else
from explorer.runtime.image_options import ImageOptions, formula, image_options_for, parsed_size, takes_pictures
from explorer.runtime.image_scales import SCALES, arithmetic
from explorer.runtime.png import png_of
from explorer.runtime.preview_child import ANSWERS_FILE, PLAN_FILE
from explorer.runtime.preview_image import _to_look_at, check_images, views_of
from explorer.runtime.steps.canonical import canonical_functions
from explorer.runtime.steps.text_encoding import base64_options_for
from explorer.savedmodel.model import DType, Shape, Signature, TensorInfo, frozen
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.tensors import Tensor

PICTURES = Path(__file__).resolve().parents[1] / "fixtures_images"

FLOAT, DOUBLE, INT32, UINT8, INT8, STRING, BOOL, HALF = 1, 2, 3, 4, 6, 7, 10, 19


def signature(*dims: int | None, number: int = FLOAT, **others: TensorInfo) -> Signature:
    """A signature whose input ``x`` has these dimensions."""
    info = TensorInfo(DType(number), Shape(tuple(dims)), "x:0")
    return Signature("serving_default", frozen({"x": info, **others}), frozen({}))


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        ((None, 224, 192, 3), (True, None, "last", 224, 192, "rgb")),
        ((1, 32, 40, 3), (True, 1, "last", 32, 40, "rgb")),
        ((None, 3, 224, 192), (True, None, "first", 224, 192, "rgb")),
        ((None, 28, 28, 1), (True, None, "last", 28, 28, "grey")),
        ((None, 1, 28, 30), (True, None, "first", 28, 30, "grey")),
        ((None, 3, 5, 3), (True, None, "last", 3, 5, "rgb")),
        ((None, 16, 16, 4), (True, None, "last", 16, 16, "rgba")),
        ((None, 28, 30), (True, None, "none", 28, 30, "grey")),
        ((64, 48, 3), (False, None, "last", 64, 48, "rgb")),
        ((3, 64, 48), (False, None, "first", 64, 48, "rgb")),
        ((64, 48, 1), (False, None, "last", 64, 48, "grey")),
        ((None, 8, 8, None), (True, None, "last", 8, 8, "rgb")),
    ],
)
def test_the_shape_of_an_input_says_how_it_takes_pictures(dims: tuple[int | None, ...], expected: Any) -> None:
    """Batch, place of the channels, size and colours follow from the declared shape, and the step gives that shape."""
    options = image_options_for(signature(*dims))
    found = (
        options.is_batched, options.batch, options.channels, options.height, options.width, options.colours,
    )  # fmt: skip
    assert found == expected
    assert Shape(dims).is_compatible_with(options.shape)
    assert {what for what, _ in options.reasons} >= {"layout", "size", "scale", "colours"}


@pytest.mark.parametrize("dims", [(None, None, None, 3), (None, None, 224, 3), (None, None, None), (None, None, 3)])
def test_an_unknown_size_has_to_be_given(dims: tuple[int | None, ...]) -> None:
    """Where the input doesn't declare height and width, a sentence says how to give them; given, they are taken."""
    with pytest.raises(EditError, match="--resize 224x224"):
        image_options_for(signature(*dims))
    options = image_options_for(signature(*dims), size="96x224")
    assert (options.height, options.width) == (96, 224)
    assert image_options_for(signature(*dims), size=(96, 224)) == options


def test_an_input_of_unknown_rank_is_taken_for_a_batch_of_pictures() -> None:
    """Without any shape a size must be given, and the reasons say what was guessed."""
    info = TensorInfo(DType(FLOAT), Shape(None), "x:0")
    unknown = Signature("s", frozen({"x": info}), frozen({}))
    with pytest.raises(EditError, match="to which size"):
        image_options_for(unknown)
    options = image_options_for(unknown, size="8x9")
    assert options.shape == Shape((None, 8, 9, 3))
    assert "guess" in dict(options.reasons)["layout"]


@pytest.mark.parametrize(
    ("dims", "number", "words"),
    [
        ((None, 784), FLOAT, "no shape of pictures"),
        ((None,), FLOAT, "no shape of pictures"),
        ((), FLOAT, "no shape of pictures"),
        ((None, 2, 8, 8, 3), FLOAT, "no shape of pictures"),
        ((None, 8, 8, 6), FLOAT, "6 of them"),
        ((None, 0, 8, 3), FLOAT, "no picture"),
        ((None,), STRING, "base64"),
        ((None, 8, 8, 3), BOOL, "floats or integers"),
    ],
)
def test_an_input_that_takes_no_pictures_is_refused(dims: tuple[int | None, ...], number: int, words: str) -> None:
    """The sentence names the input and what it is declared."""
    with pytest.raises(EditError, match=re.escape(words)) as caught:
        image_options_for(signature(*dims, number=number), "x")
    assert "'x'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not takes_pictures(signature(*dims, number=number).inputs["x"])


def test_the_input_is_found_where_only_one_can_be_meant() -> None:
    """Of several inputs the one that takes pictures gets them; of two, one has to be named."""
    rate = TensorInfo(DType(FLOAT), Shape(()), "rate:0")
    assert image_options_for(signature(None, 8, 9, 3, rate=rate)).width == 9
    other = TensorInfo(DType(FLOAT), Shape((None, 4, 5, 3)), "y:0")
    with pytest.raises(EditError, match="'other'"):
        image_options_for(signature(None, 8, 9, 3, other=other))
    assert image_options_for(signature(None, 8, 9, 3, other=other), "other").width == 5
    with pytest.raises(NotFoundError, match="'z'"):
        image_options_for(signature(None, 8, 9, 3), "z")


@pytest.mark.parametrize(
    ("number", "scale"), [(FLOAT, "0..1"), (HALF, "0..1"), (UINT8, "0..255"), (INT32, "0..255"), (INT8, "-128..127")]
)
def test_the_dtype_suggests_a_scale(number: int, scale: str) -> None:
    """Integers get pixel values as they are; that floats go from 0 to 1 is called a guess."""
    options = image_options_for(signature(None, 8, 8, 3, number=number))
    assert options.scale == scale
    assert ("guess" in dict(options.reasons)["scale"]) == (scale == "0..1")


@pytest.mark.parametrize(
    "given_options",
    [
        {"scale": "0..2"}, {"interpolation": "cubic"}, {"fit": "fill"}, {"colours": "gbr"}, {"channels": "middle"},
        {"scale": "caffe", "mean": 1.0}, {"mean": [1.0, 2.0]}, {"std": 0.0}, {"divide": 0.0}, {"mean": "x"},
        {"mean": float("nan")}, {"std": float("inf")}, {"divide": True}, {"colours": "grey"}, {"size": "8"},
        {"size": "9x8"}, {"size": (8,)}, {"size": (8.0, 8.0)},
    ],
)  # fmt: skip
def test_a_choice_that_is_none_is_refused_in_a_sentence(given_options: dict[str, Any]) -> None:
    """Every wrong choice ends in one sentence of ours."""
    with pytest.raises(ExplorerError) as caught:
        image_options_for(signature(None, 8, 8, 3), **given_options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("dims", "number", "given_options"),
    [
        ((None, 8, 8, 3), UINT8, {"scale": "0..1"}),
        ((None, 8, 8, 3), UINT8, {"scale": "-128..127"}),
        ((None, 8, 8, 3), INT8, {"scale": "0..255"}),
        ((None, 8, 8, 1), FLOAT, {"scale": "imagenet"}),
        ((None, 8, 8, 4), FLOAT, {"scale": "caffe"}),
        ((None, 8, 8), FLOAT, {"colours": "rgb"}),
    ],
)
def test_choices_that_contradict_the_input_are_refused(
    dims: tuple[int | None, ...], number: int, given_options: dict[str, Any]
) -> None:
    """Fractions for integers, and numbers of three colours for grey, are refused."""
    with pytest.raises(EditError):
        image_options_for(signature(*dims, number=number), **given_options)


@pytest.mark.parametrize(
    ("height", "width", "batch"), [(0, 8, None), (8, 40_000, None), (8_000, 8_000, None), (8, 8, 0)]
)
def test_sizes_that_no_memory_holds_are_refused(height: int, width: int, batch: int | None) -> None:
    """A shape from a hostile model asks for no more than a bound."""
    with pytest.raises(EditError):
        ImageOptions(height, width, batch=batch)


def test_a_preset_has_other_names() -> None:
    """The modes of Keras' preprocess_input and none are presets, too."""
    for alias, name in (("tf", "-1..1"), ("torch", "imagenet"), ("none", "0..255")):
        assert image_options_for(signature(None, 8, 8, 3), scale=alias).scale == name


def test_numbers_follow_the_order_of_the_colours() -> None:
    """Caffe goes with blue first; a model that gets red first gets the same numbers in that order."""
    blue_first = image_options_for(signature(None, 8, 8, 3), scale="caffe")
    assert blue_first.colours == "bgr"
    assert blue_first.numbers.mean == (103.939, 116.779, 123.68)
    red_first = image_options_for(signature(None, 8, 8, 3), scale="caffe", colours="rgb")
    assert red_first.numbers.mean == (123.68, 116.779, 103.939)
    assert image_options_for(signature(None, 8, 8, 3), scale="imagenet", colours="bgr").numbers.std[0] == 0.225


def test_own_numbers_make_a_scale_of_its_own() -> None:
    """mean, std and divide together are the formula, and integers may get them."""
    options = image_options_for(signature(None, 8, 8, 3), mean=[1, 2, 3], std=4, divide=2)
    assert options.scale == "own"
    assert "(x / 2 - [1, 2, 3]) / 4" in formula(options)
    assert image_options_for(signature(None, 8, 8, 3, number=INT32), mean=128).scale == "own"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("0..255", "x"),
        ("0..1", "x / 255"),
        ("-1..1", "x / 127.5 - 1"),
        ("-128..127", "x - 128"),
        ("imagenet", "(x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]"),
    ],
)
def test_the_formula_is_written_as_people_write_it(name: str, text: str) -> None:
    """What stands in the docs and the panel is the arithmetic that the step does."""
    assert arithmetic(SCALES[name]) == text


def test_the_formula_says_every_step() -> None:
    """Decoding, fitting, arithmetic, rounding and the shape stand in one sentence."""
    options = image_options_for(signature(1, 8, 9, 3, number=UINT8), fit="pad", interpolation="bicubic", base64=True)
    text = formula(options)
    for words in ("base64", "RGB", "8×9", "bicubic", "black", "rounded", "uint8[1, 8, 9, 3]"):
        assert words in text
    assert "exactly 1 picture" in dict(options.reasons)["batch"]


def test_options_survive_the_way_to_the_child() -> None:
    """Plain data and back are the same options; unknown names are refused."""
    options = image_options_for(signature(2, 3, 8, 9), scale="imagenet", base64=True, key="photo", fit="crop")
    assert ImageOptions.from_dict(options.to_dict()) == options
    assert options.input_key == "photo"
    assert ImageOptions(8, 8).input_key == "image_bytes"
    with pytest.raises(EditError, match="'colour'"):
        ImageOptions.from_dict({**options.to_dict(), "colour": "rgb"})


@given(st.text(max_size=20))
def test_any_text_for_a_size_is_a_size_or_a_sentence(text: str) -> None:
    """No text brings the parser down."""
    try:
        height, width = parsed_size(text)
    except EditError as error:
        assert "\n" not in str(error)
    else:
        assert height >= 0
        assert width >= 0


@pytest.mark.parametrize(
    ("name", "kind", "size", "note"),
    [
        ("colour.jpg", "JPEG", (14, 20), ""), ("progressive.jpg", "JPEG", (14, 20), ""),
        ("cmyk.jpg", "JPEG", (14, 20), "CMYK"), ("turned.jpg", "JPEG", (14, 20), TURNED),
        ("tall.jpg", "JPEG", (31, 9), ""), ("alpha.png", "PNG", (14, 20), "opaque"),
        ("deep.png", "PNG", (14, 20), "16 bits"), ("wide.png", "PNG", (6, 40), ""),
        ("moving.gif", "GIF", (14, 20), "first frame"), ("colour.bmp", "BMP", (14, 20), ""),
        ("grey.bmp", "BMP", (14, 20), ""), ("alpha.bmp", "BMP", (14, 20), ""),
    ],
)  # fmt: skip
def test_the_head_of_a_file_says_what_it_is(name: str, kind: str, size: tuple[int, int], note: str) -> None:
    """Format, size and what may surprise are known before anything is decoded."""
    head = read_head((PICTURES / name).read_bytes())
    assert head is not None
    assert (head.format, (head.height, head.width)) == (kind, size)
    assert (note in " ".join(head.notes)) if note else not head.notes


def test_a_palette_of_colours_in_a_bmp_is_told() -> None:
    """TensorFlow takes the numbers of colours for grey, so the picture comes out wrong."""
    data = bytearray((PICTURES / "grey.bmp").read_bytes())
    data[14 + 40 + 5] = 200
    head = read_head(bytes(data))
    assert head is not None
    assert "palette" in head.notes[0]


def test_bytes_that_are_no_text_are_shown_as_escapes() -> None:
    """A file that began with a no-break space was described with that space as it is, which nobody sees."""
    assert what_else(b"\xa0\x01abc") == r"begins with '\xa0\u0001abc', which is no JPEG, PNG, GIF or BMP"


@given(st.sampled_from(sorted(path.name for path in PICTURES.iterdir() if path.suffix != ".py")), st.data())
def test_damaged_heads_bring_nothing_down(name: str, data: Any) -> None:
    """A file that is cut off and changed anywhere gives a head, or words about it."""
    damaged = bytearray((PICTURES / name).read_bytes()[: data.draw(st.integers(0, 400))])
    for _ in range(data.draw(st.integers(0, 4)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    if read_head(bytes(damaged)) is None:
        words = what_else(bytes(damaged))
        assert words.isprintable()
        assert words.startswith(("is ", "begins "))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"II*\x00....", "TIFF"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "WebP"),
        (b"\x00\x00\x00\x20ftypheic", "HEIC"),
        (b"\n<!DOCTYPE html>", "HTML"),
        (b"/9j/4AAQ", "base64"),
        (b"data:image/png;base64,iVBO", "data URL"),
        (b"\x89PNG\r\n", "PNG, which ends"),
        (b"a cat\x1b[31m in words", "a cat\\u001b"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, words: str) -> None:
    """The sentence says what the file is instead."""
    assert words in what_else(data)


def test_undecodable_pictures_are_named_before_anything_is_sent() -> None:
    """By their beginnings alone, without TensorFlow, the wrong ones of a batch are named with their place."""
    names = ["colour.jpg", "cat.txt", "grey.png", "page.jpg"]
    found = check_images([(name, (PICTURES / name).read_bytes()) for name in names], decode=False)
    assert found == [
        "image 2 of 4 ('cat.txt') can't be decoded: it begins with 'a cat, in wo', which is no JPEG, PNG, GIF or BMP",
        "image 4 of 4 ('page.jpg') can't be decoded: it begins like a page of HTML or XML, no picture: was an error "
        "page saved in its place?",
    ]


def test_a_picture_that_claims_to_be_huge_is_not_decoded() -> None:
    """The size stands in the head; decoding would ask for gigabytes."""
    data = bytearray((PICTURES / "colour.png").read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    (sentence,) = check_images([("bomb.png", bytes(data))], decode=False)
    assert "60000×60000 pixels" in sentence


def test_a_picture_that_brings_the_child_down_is_named_and_the_others_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Decoders of hostile bytes may crash; the next child leaves that picture out."""
    seen: list[list[int]] = []

    def crash_at_the_second(module: str, arguments: Any, folder: Path, **_: Any) -> Ended:
        images = json.loads((folder / PLAN_FILE).read_text())["images"]
        seen.append(images)
        with (folder / ANSWERS_FILE).open("a") as answers:
            answers.write('{"begun": true}\n')
            for number in images:
                if number == 1:
                    return Ended(-11, "", "off")
                Tensor(UINT8, (1, 1, 3), b"abc").write(folder / f"{number}.tensor")
                answers.write(json.dumps({"image": number, "error": None}) + "\n")
        return Ended(0, "", "off")

    monkeypatch.setattr("explorer.runtime.preview_image.run_child", crash_at_the_second)
    image = (PICTURES / "one_pixel.png").read_bytes()
    first, second, third = views_of(
        ImageOptions(1, 1, UINT8, scale="0..255"), [("a", image), ("b", image), ("c", image)]
    )
    assert seen == [[0, 1, 2], [2]]
    assert not isinstance(first, str)
    assert not isinstance(third, str)
    assert first.pixels.tolist() == [[[97, 98, 99]]]
    assert second == (
        "image 2 of 3 ('b') can't be decoded: it brings TensorFlow down: the child process crashed (SIGSEGV)"
    )


@pytest.mark.parametrize(
    ("lines", "tensor"),
    [
        ('{"begun": true}\n{"image": 7, "error": null}', None),
        ('{"begun": true}\n{"image": 0, "error": null}', None),
        ('{"begun": true}\n{"image": 0, "error": null}', Tensor(UINT8, (1, 2, 3), b"abcdef")),
        ('{"begun": true}\n', None),
    ],
)
def test_what_a_child_tells_is_not_believed(monkeypatch: pytest.MonkeyPatch, lines: str, tensor: Tensor | None) -> None:
    """Pictures that weren't given, missing files and other shapes end in a sentence of ours."""

    def lie(module: str, arguments: Any, folder: Path, **_: Any) -> Ended:
        (folder / ANSWERS_FILE).write_text(lines)
        if tensor is not None:
            tensor.write(folder / "0.tensor")
        return Ended(0, "", "off")

    monkeypatch.setattr("explorer.runtime.preview_image.run_child", lie)
    with pytest.raises(RunError):
        views_of(ImageOptions(1, 1, UINT8, scale="0..255"), [("a", (PICTURES / "one_pixel.png").read_bytes())])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_png_to_look_at_holds_the_pixels(channels: int) -> None:
    """Another decoder reads the same pixels back."""
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(6 * 5 * channels, dtype=np.uint8).reshape(6, 5, channels)
    read = np.asarray(image.open(io.BytesIO(png_of(pixels)))).reshape(pixels.shape)
    np.testing.assert_array_equal(read, pixels)


@pytest.mark.parametrize("scale", sorted(SCALES))
def test_what_the_model_sees_is_brought_back_to_look_at(scale: str) -> None:
    """Scaling, the order of colours and the layout are undone for the picture that is shown."""
    pixels = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3) * 4
    options = image_options_for(signature(None, 3, 4, 5), scale=scale)
    numbers = options.numbers
    ordered = pixels[:, :, ::-1] if options.colours == "bgr" else pixels
    fed = (ordered / numbers.divide - np.array(numbers.mean)) / np.array(numbers.std)
    np.testing.assert_array_equal(_to_look_at(np.moveaxis(fed, 2, 0).astype(np.float32), options), pixels)


def test_base64_goes_to_the_input_of_texts() -> None:
    """The only input of the dtype string is taken, with its shape; others are refused in a sentence."""
    texts = TensorInfo(DType(STRING), Shape((None, 2)), "t:0")
    both = signature(None, 8, 8, 3, texts=texts)
    assert base64_options_for(both, key="photo") == ("texts", {"shape": [None, 2], "key": "photo"})
    assert base64_options_for(both, "texts")[1]["key"] == "base64"
    with pytest.raises(EditError, match="image step"):
        base64_options_for(both, "x")
    with pytest.raises(EditError, match="no inputs of texts"):
        base64_options_for(signature(None, 8))
    with pytest.raises(EditError, match="2 inputs of texts"):
        base64_options_for(signature(None, 8, texts=texts, more=texts))
    with pytest.raises(NotFoundError):
        base64_options_for(both, "z")


def test_a_step_survives_its_file() -> None:
    """Bytes and back are the same step; other bytes are refused in a sentence."""
    step = Step(
        "f", (b"\x00\xff", b""), (StepTensor("a", 7, Shape((None,))),), (StepTensor("b", 1, Shape(None)),), b"x"
    )
    with_table = Step("f", (), (), (), b"", (Table("labels.txt"),))
    assert step_from_bytes(step_to_bytes(step)) == step
    assert step_from_bytes(step_to_bytes(with_table)) == with_table
    for wrong in (b"", b"{}", b"[]", b'{"function": 1}', b"\xff"):
        with pytest.raises(ExplorerError):
            step_from_bytes(wrong)


def traced_functions(first: int) -> dict[str, Any]:
    """A function that calls two bodies, as TensorFlow would number them from ``first`` on."""
    function_def = message_class("tensorflow.FunctionDef")
    top, body, other = (function_def() for _ in range(3))
    names = f"__inference_step_{first + 2}", f"map_while_body_{first}", f"map_while_body_{first + 1}"
    for one, name in zip((top, body, other), names, strict=True):
        one.signature.name = name
    for called in (body, other):
        node = top.node_def.add(name=f"loop{len(top.node_def)}", op="StatelessWhile")
        node.attr["body"].func.name = called.signature.name
        called.signature.input_arg.add(name=f"{called.signature.name}___redundant_placeholder0", type=1)
        called.node_def.add(name="i", op="Identity").input.append(f"{called.signature.name}___redundant_placeholder0")
    other.node_def[0].attr["T"].type = 3
    return dict(zip(names, (top, body, other), strict=True))


def test_the_names_of_traced_functions_dont_depend_on_when_they_were_traced() -> None:
    """TensorFlow's numbers go, also inside names of arguments; different bodies keep different names."""
    traces = []
    for first in (7, 98):
        functions = traced_functions(first)
        name, renamed = canonical_functions(functions, f"__inference_step_{first + 2}")
        traces.append([one.SerializeToString(deterministic=True) for one in renamed])
        assert renamed[0].signature.name == name
        assert re.fullmatch(r"step_[0-9a-f]{12}", name)
        assert len({one.signature.name for one in renamed}) == 3
        called = {node.attr["body"].func.name for node in renamed[0].node_def}
        assert called == {one.signature.name for one in renamed[1:]}
        for one in renamed[1:]:
            assert one.node_def[0].input[0] == one.signature.input_arg[0].name
    assert traces[0] == traces[1]


def test_functions_that_call_each_other_are_refused() -> None:
    """A circle has no order in which names could be given."""
    functions = traced_functions(1)
    node = functions["map_while_body_1"].node_def.add(name="again", op="PartitionedCall")
    node.attr["f"].func.name = "__inference_step_3"
    with pytest.raises(ValueError, match="calls itself"):
        canonical_functions(functions, "__inference_step_3")
