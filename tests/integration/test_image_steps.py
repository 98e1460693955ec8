"""Steps for pictures, traced and run by TensorFlow, against what plain TensorFlow and numpy make of the same files."""

from __future__ import annotations

import base64
import dataclasses
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.editing.steps import Step, step_from_bytes, step_to_bytes
from explorer.errors import ExplorerError, NotFoundError, RequestError, RunCancelledError, RunError
from explorer.runtime.image_heads import TURNED
from explorer.runtime.image_options import ImageOptions, formula
from explorer.runtime.preview_image import as_the_model_sees, check_images, views_of
from explorer.runtime.steps.text_encoding import base64_options
from explorer.runtime.steps.trace import trace
from explorer.runtime.steps.trace_child import make, traced
from explorer.savedmodel.model import Shape

tf = pytest.importorskip("tensorflow")

PICTURES = Path(__file__).resolve().parents[1] / "fixtures_images"
MIXED = ("colour.jpg", "grey.png", "grey.jpg", "colour.png", "tall.jpg")
RGB_FILES = (*MIXED, "progressive.jpg", "cmyk.jpg", "alpha.png", "grey_alpha.png", "palette.png", "deep.png",
             "one_pixel.png", "wide.png", "moving.gif", "colour.bmp", "turned.jpg")  # fmt: skip

HALF, BFLOAT16, DOUBLE, INT32, UINT8, INT8, INT64 = 19, 14, 2, 3, 4, 6, 9


def picture(name: str) -> bytes:
    """The file of a picture."""
    return (PICTURES / name).read_bytes()


def step_of(options: ImageOptions) -> Step:
    """The step, through the bytes in which a child hands it over."""
    return step_from_bytes(step_to_bytes(traced(make("image", options.to_dict()))))


def graph_of(step: Step) -> Any:
    """A graph of the step alone: a placeholder and a call of the function."""
    graph_def = tf.compat.v1.GraphDef()
    graph_def.versions.producer = tf.version.GRAPH_DEF_VERSION
    for one in step.library:
        graph_def.library.function.add().ParseFromString(one)
    call = graph_def.node.add(name="call", op="PartitionedCall")
    call.attr["f"].func.name = step.function
    for tensor in step.inputs:
        node = graph_def.node.add(name=tensor.key, op="Placeholder")
        node.attr["dtype"].type = tensor.type_number
        call.attr["Tin"].list.type.append(tensor.type_number)
        call.input.append(tensor.key)
    call.attr["Tout"].list.type.extend(tensor.type_number for tensor in step.outputs)
    return graph_def


def run(step: Step, value: Any) -> np.ndarray:
    """Runs a step in a session, as a server does."""
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        tf.import_graph_def(graph_of(step), name="")
        fed = np.array(value, dtype=object)
        return np.asarray(session.run("call:0", {f"{step.inputs[0].key}:0": fed}))


def plain(name: str, channels: int = 3) -> Any:
    """Pixels as ``tf.io.decode_image`` gives them."""
    return tf.io.decode_image(picture(name), channels=channels, expand_animations=False)


def resized(pixels: Any, options: ImageOptions) -> np.ndarray:
    """What the public functions for resizing make of it, float32[height, width, channels]."""
    size, how = (options.height, options.width), {"method": options.interpolation, "antialias": options.antialias}
    if options.fit == "pad":
        return np.asarray(tf.cast(tf.image.resize_with_pad(pixels, *size, **how), tf.float32))
    if options.fit == "crop":
        height, width = pixels.shape[:2]
        rows = max(1, min(height, int(float(width * size[0]) / size[1])))
        columns = max(1, min(width, int(float(height * size[1]) / size[0])))
        top, left = int((height - rows) / 2), int((width - columns) / 2)
        pixels = pixels[top : top + rows, left : left + columns]
    return np.asarray(tf.cast(tf.image.resize(pixels, size, **how), tf.float32))


SCALED = {
    "0..255": lambda x: x,
    "0..1": lambda x: x / np.float32(255),
    "-1..1": lambda x: x / np.float32(127.5) - np.float32(1),
    "imagenet": lambda x: (x / 255 - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225]),
    "caffe": lambda x: x[..., ::-1] - np.float32([103.939, 116.779, 123.68]),
}


@pytest.mark.parametrize("scale", sorted(SCALED))
def test_each_preset_gives_what_plain_tensorflow_gives(scale: str) -> None:
    """Decoded, resized and scaled by hand, the same pictures differ by at most 1e-6 of the range of the values."""
    options = ImageOptions(9, 11, scale=scale, colours="bgr" if scale == "caffe" else "rgb")
    answer = run(step_of(options), [picture(name) for name in RGB_FILES])
    for found, name in zip(answer, RGB_FILES, strict=True):
        expected = SCALED[scale](resized(plain(name), options))
        bound = 1e-6 * (255 if scale in ("caffe", "0..255") else 1)
        assert np.abs(found - expected).max() <= bound, name


@pytest.mark.parametrize("scale", ["imagenet", "caffe", "-1..1"])
def test_presets_are_those_of_keras(scale: str) -> None:
    """``preprocess_input`` of Keras in the modes of these names gives the same."""
    keras = pytest.importorskip("keras")
    mode = {"imagenet": "torch", "caffe": "caffe", "-1..1": "tf"}[scale]
    options = ImageOptions(9, 11, scale=scale, colours="bgr" if scale == "caffe" else "rgb")
    pixels = resized(plain("colour.jpg"), options)
    expected = keras.src.applications.imagenet_utils.preprocess_input(
        pixels.copy(), mode=mode, data_format="channels_last"
    )
    found = run(step_of(options), [picture("colour.jpg")])[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5 if scale == "caffe" else 1e-6)


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("is_base64", [False, True])
def test_batches_of_mixed_pictures(count: int, is_base64: bool) -> None:
    """None, one and five pictures of different sizes and formats, as bytes and as base64, give a batch of that size."""
    options = ImageOptions(8, 6, base64=is_base64)
    files = [picture(name) for name in MIXED[:count]]
    step = step_of(options)
    answer = run(step, [base64.b64encode(data) for data in files] if is_base64 else files)
    assert answer.shape == (count, 8, 6, 3)
    assert answer.dtype == np.float32
    for found, name in zip(answer, MIXED, strict=False):
        np.testing.assert_allclose(found, resized(plain(name), options) / np.float32(255), rtol=0, atol=1e-6)
    assert step.inputs[0].key == ("image_base64" if is_base64 else "image_bytes")
    assert step.inputs[0].shape == Shape((None,))
    assert step.outputs[0].shape == Shape((None, 8, 6, 3))


@pytest.mark.parametrize("method", ["bilinear", "nearest", "bicubic", "area", "lanczos3", "mitchellcubic"])
@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_every_way_to_fit_gives_what_tensorflows_own_gives(method: str, fit: str) -> None:
    """Stretched, cropped and padded by ``tf.image`` and the rule of Keras' smart_resize, wide and tall and tiny."""
    options = ImageOptions(10, 7, scale="0..255", interpolation=method, fit=fit, antialias=method == "lanczos3")
    names = ("colour.png", "tall.jpg", "wide.png", "one_pixel.png")
    answer = run(step_of(options), [picture(name) for name in names])
    for found, name in zip(answer, names, strict=True):
        np.testing.assert_allclose(found, resized(plain(name), options), rtol=0, atol=3e-5, err_msg=name)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_extreme_proportions_keep_at_least_a_pixel(fit: str) -> None:
    """A line of pixels is brought to a square without an error."""
    line = tf.io.encode_png(np.full((1, 300, 3), 200, np.uint8)).numpy()
    answer = run(step_of(ImageOptions(5, 5, scale="0..255", fit=fit)), [line])
    assert answer.max() == 200
    assert answer.shape == (1, 5, 5, 3)


def test_grey_pictures() -> None:
    """JPEG and PNG as TensorFlow decodes them to grey; GIF and BMP, where it doesn't, by its weights of colours."""
    options = ImageOptions(14, 20, scale="0..255", colours="grey")
    by_op = ("colour.jpg", "grey.jpg", "colour.png", "grey.png", "alpha.png", "palette.png", "deep.png")
    by_hand = ("moving.gif", "colour.bmp", "alpha.bmp", "grey.bmp")
    answer = run(step_of(options), [picture(name) for name in (*by_op, *by_hand)])
    for found, name in zip(answer, by_op, strict=False):
        np.testing.assert_array_equal(found, plain(name, 1), err_msg=name)
    for found, name in zip(answer[len(by_op) :], by_hand, strict=True):
        native = plain(name, 0)
        expected = native if native.shape[-1] == 1 else tf.image.rgb_to_grayscale(native[:, :, :3])
        np.testing.assert_array_equal(found, expected, err_msg=name)


def test_a_model_without_a_dimension_for_channels() -> None:
    """Grey pictures for an input of [batch, height, width]."""
    options = ImageOptions(14, 20, colours="grey", channels="none")
    step = step_of(options)
    assert step.outputs[0].shape == Shape((None, 14, 20))
    expected = np.float32(plain("grey.png", 1)[:, :, 0]) / np.float32(255)
    np.testing.assert_allclose(run(step, [picture("grey.png")])[0], expected, rtol=0, atol=1e-6)


def test_pictures_with_opacity() -> None:
    """What has none is opaque; every format comes out with four channels, though TensorFlow decodes only PNG so."""
    options = ImageOptions(14, 20, scale="0..255", colours="rgba")
    names = (
        "alpha.png",
        "colour.png",
        "grey_alpha.png",
        "alpha.bmp",
        "colour.jpg",
        "moving.gif",
        "colour.bmp",
        "grey.jpg",
    )
    answer = run(step_of(options), [picture(name) for name in names])
    for found, name in zip(answer, names, strict=True):
        if name.endswith((".png", "alpha.bmp")):
            np.testing.assert_array_equal(found, plain(name, 4), err_msg=name)
        else:
            np.testing.assert_array_equal(found[:, :, :3], plain(name, 3), err_msg=name)
            assert (found[:, :, 3] == 255).all()


def test_a_grey_bmp_for_a_model_of_colours() -> None:
    """Older versions of TensorFlow refuse it; the step repeats its only channel."""
    found = run(step_of(ImageOptions(14, 20, scale="0..255")), [picture("grey.bmp"), picture("alpha.bmp")])
    np.testing.assert_array_equal(found[0], np.repeat(plain("grey.bmp", 0), 3, axis=-1))
    np.testing.assert_array_equal(found[1], plain("alpha.bmp", 0)[:, :, :3])


def test_channels_first() -> None:
    """The same values, channels before rows."""
    options = ImageOptions(9, 11, scale="imagenet")
    first = run(step_of(dataclasses.replace(options, channels="first")), [picture("colour.jpg")])
    last = run(step_of(options), [picture("colour.jpg")])
    assert first.shape == (1, 3, 9, 11)
    np.testing.assert_allclose(first, np.moveaxis(last, 3, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("number", [UINT8, INT32, INT64, INT8])
def test_integers_are_rounded_and_cut(method: str, number: int) -> None:
    """Bicubic resizing goes beyond 0 to 255; that is cut off, not wrapped around."""
    options = ImageOptions(30, 33, number, interpolation=method, scale="-128..127" if number == INT8 else "0..255")
    names = ("colour.png", "colour.jpg")
    answer = run(step_of(options), [picture(name) for name in names])
    assert answer.dtype == tf.dtypes.as_dtype(number).as_numpy_dtype
    for found, name in zip(answer, names, strict=True):
        floats = resized(plain(name), options)
        expected = np.rint(np.clip(floats, 0, 255)) - (128 if number == INT8 else 0)
        near_half = np.abs(floats - np.floor(floats) - 0.5) < 1e-4
        np.testing.assert_array_equal(found[~near_half], expected[~near_half].astype(found.dtype))
        assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("number", [HALF, BFLOAT16, DOUBLE])
def test_other_floats(number: int) -> None:
    """Computed in float32 and rounded once, at the end."""
    options = ImageOptions(9, 11, number, scale="-1..1")
    answer = run(step_of(options), [picture("colour.jpg")])
    dtype = tf.dtypes.as_dtype(number).as_numpy_dtype
    assert answer.dtype == dtype
    expected = SCALED["-1..1"](resized(plain("colour.jpg"), options))
    np.testing.assert_allclose(
        answer[0].astype(np.float64), expected, rtol=0, atol={HALF: 1e-3, BFLOAT16: 8e-3, DOUBLE: 1e-6}[number]
    )


def test_own_numbers() -> None:
    """(x / divide - mean) / std, each number for a colour as the model gets it."""
    options = ImageOptions(14, 20, scale="own", divide=2.0, mean=(1.0, 2.0, 3.0), std=(4.0,), colours="bgr")
    found = run(step_of(options), [picture("colour.png")])[0]
    expected = (np.float32(plain("colour.png"))[..., ::-1] / 2 - [1, 2, 3]) / 4
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_batch_of_a_fixed_size_and_a_model_without_a_batch() -> None:
    """The step takes exactly as many pictures as the model does: one, or one without a dimension for several."""
    fixed = step_of(ImageOptions(9, 11, batch=2))
    assert (fixed.inputs[0].shape, fixed.outputs[0].shape) == (Shape((2,)), Shape((2, 9, 11, 3)))
    assert run(fixed, [picture("colour.jpg"), picture("wide.png")]).shape == (2, 9, 11, 3)
    single = step_of(ImageOptions(9, 11, is_batched=False))
    assert (single.inputs[0].shape, single.outputs[0].shape) == (Shape(()), Shape((9, 11, 3)))
    np.testing.assert_allclose(
        run(single, picture("colour.jpg")), run(fixed, [picture("colour.jpg")] * 2)[0], rtol=0, atol=1e-6
    )


def test_one_undecodable_picture_fails_the_batch() -> None:
    """What the warning says is so: nobody in the batch gets an answer."""
    step = step_of(ImageOptions(9, 11))
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(step, [picture("colour.jpg"), picture("cat.txt")])
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(step, [b""])


def base64_step() -> Step:
    """The step from base64 texts to bytes."""
    return step_from_bytes(step_to_bytes(traced(make("base64", base64_options(Shape((None,)), "text")))))


def test_base64_in_every_form() -> None:
    """Either alphabet, padded or not, with line breaks or spaces, as a data URL: the same bytes, for all lengths."""
    step = base64_step()
    values = [bytes(range(256))[:length] * 3 for length in (0, 1, 2, 3, 4, 85, 256)] + [b"\xfb\xff\xfe" * 7]
    forms: list[Any] = [
        base64.b64encode,
        base64.urlsafe_b64encode,
        lambda value: base64.b64encode(value).rstrip(b"="),
        lambda value: base64.urlsafe_b64encode(value).rstrip(b"="),
        base64.encodebytes,
        lambda value: b" \r\n" + base64.b64encode(value) + b"\t",
        lambda value: b"data:image/png;base64," + base64.b64encode(value),
        lambda value: b"\nDATA:text/plain;charset=utf-8;BASE64, " + base64.encodebytes(value),
    ]
    for form in forms:
        assert run(step, [form(value) for value in values]).tolist() == values
    assert run(step, []).shape == (0,)
    assert (step.inputs[0].key, step.outputs[0].key) == ("text", "bytes")


@pytest.mark.parametrize("text", [b"YW=I", b"a", b"YWJ*", b"data:text/plain,YWJj", "größe".encode()])
def test_what_is_no_base64_is_refused(text: bytes) -> None:
    """Rather an error than other bytes than were meant."""
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(base64_step(), [text])


def test_base64_keeps_the_shape_of_the_models_input() -> None:
    """A model that takes one text, or texts of any shape, gets the same shape."""
    for shape in (Shape(()), Shape((2, None)), Shape(None)):
        step = traced(make("base64", base64_options(shape)))
        assert step.outputs[0].shape == shape
        assert step.inputs[0].shape == shape
    assert run(traced(make("base64", base64_options(Shape(())))), b"YWJj") == b"abc"


def test_a_step_is_stateless_and_brings_all_that_it_uses() -> None:
    """No function is stateful, each that is called is there, and so is the definition of each op."""
    from tensorflow.core.framework import function_pb2, op_def_pb2

    for kind, options in (
        ("image", ImageOptions(9, 11, fit="pad", colours="rgba", base64=True).to_dict()),
        ("base64", base64_options(Shape((None,)))),
    ):
        step = traced(make(kind, options))
        functions = [function_pb2.FunctionDef.FromString(one) for one in step.library]
        names = {one.signature.name for one in functions}
        assert functions[0].signature.name == step.function
        assert not any(one.signature.is_stateful for one in functions)
        ops = {one.name: one for one in op_def_pb2.OpList.FromString(step.ops).op}
        for function in functions:
            for node in function.node_def:
                assert not ops[node.op].is_stateful
                assert {attr.func.name for attr in node.attr.values() if attr.HasField("func")} <= names
                assert "_output_shapes" in node.attr or not ops[node.op].output_arg


def test_a_step_is_the_same_whenever_and_wherever_it_is_traced() -> None:
    """Twice here, after other functions were traced, and once in a child process: equal to the byte."""
    options = ImageOptions(9, 11, colours="grey", base64=True, fit="crop")
    first = traced(make("image", options.to_dict()))
    assert step_to_bytes(traced(make("image", options.to_dict()))) == step_to_bytes(first)
    assert step_to_bytes(trace("image", options.to_dict())) == step_to_bytes(first)
    other = traced(make("image", dataclasses.replace(options, scale="-1..1").to_dict()))
    assert other.function != first.function
    assert first.function.startswith("explorer_image_base64_to_float32_9x11x1_")


def test_what_cant_be_traced_is_said_in_a_sentence() -> None:
    """Unknown kinds, options that are none, no time, and a caller who gives up."""
    with pytest.raises(NotFoundError, match="'image'"):
        trace("picture", {})
    with pytest.raises(RunError, match="no image option"):
        trace("image", {"heigth": 3})
    with pytest.raises(RunError, match="seconds"):
        trace("image", ImageOptions(9, 11).to_dict(), timeout_s=0.01)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(RunCancelledError):
        trace("image", ImageOptions(9, 11).to_dict(), cancel=cancel)


def test_a_picture_as_the_model_sees_it() -> None:
    """The pixels are those that the step gives; the PNG shows them brought back to 0 to 255, red first."""
    options = ImageOptions(9, 11, scale="caffe", colours="bgr", channels="first", base64=True, batch=2)
    view = as_the_model_sees(options, picture("turned.jpg"), name="turned.jpg")
    expected = run(step_of(options), [base64.b64encode(picture("turned.jpg"))] * 2)[0]
    np.testing.assert_allclose(view.pixels, expected, rtol=0, atol=3e-5)
    assert (view.format, view.size, view.notes) == ("JPEG", (14, 20), (TURNED,))
    shown = tf.io.decode_png(view.png).numpy()
    plain_pixels = resized(plain("turned.jpg"), options)
    assert np.abs(shown - plain_pixels).max() <= 0.5 + 1e-3
    assert "base64" in formula(options)


def test_pictures_that_cant_be_decoded_are_named() -> None:
    """One child looks at all of them; the good ones have a view, the others a sentence with their place and name.

    TensorFlow turns no JPEG with the colours of print into grey, though it decodes it to colours.
    """
    names = ("colour.jpg", "half.jpg", "cat.txt", "half.png", "grey.png", "colour.webp", "cmyk.jpg")
    images = [(name, picture(name)) for name in names]
    views = views_of(ImageOptions(9, 11, BFLOAT16, colours="grey"), images)
    sentences = [view for view in views if isinstance(view, str)]
    assert [isinstance(view, str) for view in views] == [False, True, True, True, False, True, True]
    assert sentences[0] == (
        "image 2 of 7 ('half.jpg') can't be decoded: it begins as a JPEG, and TensorFlow says: jpeg::Uncompress "
        "failed. Invalid JPEG data or crop window."
    )
    assert sentences[1].startswith("image 3 of 7 ('cat.txt') can't be decoded: it begins with 'a cat")
    assert sentences[2].endswith("begins as a PNG, and TensorFlow says: Invalid PNG data, size 60")
    assert "WebP" in sentences[3]
    assert sentences[4].startswith("image 7 of 7 ('cmyk.jpg')")
    assert check_images(images) == sentences[:-1]


def test_errors_are_ours() -> None:
    """What the preview raises is a sentence of ours, whatever the bytes are."""
    for data in (b"", b"BM", b"\xff\xd8\xff", b"GIF89a\xff\xff\xff\xff"):
        with pytest.raises(RequestError) as caught:
            as_the_model_sees(ImageOptions(9, 11), data, timeout_s=60)
        assert isinstance(caught.value, ExplorerError)
        assert str(caught.value).startswith("the image can't be decoded: it ")
