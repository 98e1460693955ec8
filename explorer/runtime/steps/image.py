"""Encoded pictures to what a model's input wants: decoded, resized, scaled, laid out.

What it does is said in words by :func:`explorer.runtime.image_options.formula`. Resizing is ``tf.image.resize``;
fitting by ``pad`` is what ``tf.image.resize_with_pad`` does, by ``crop`` what Keras' ``smart_resize`` does, without
their assertions, which would make the step stateful.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.runtime.image_options import COLOURS, INTEGERS, OUTPUT_KEY, ImageOptions
from explorer.runtime.image_scales import OWN
from explorer.runtime.steps.text_encoding import decoded as decoded_base64

_OPAQUE = 255


def make_image(options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], tuple[str, ...]]:
    """A step from encoded pictures to the input of a model.

    Args:
        options: :meth:`ImageOptions.to_dict`.

    Raises:
        ExplorerError: These are no image options.
    """
    import tensorflow as tf

    chosen = ImageOptions.from_dict(options)
    dtype = tf.dtypes.as_dtype(chosen.type_number)
    batch = tf.TensorShape([chosen.batch] if chosen.is_batched else [])

    def one(data: Any) -> Any:
        return tf.ensure_shape(
            _laid_out(_scaled(_fitted(decoded(data, chosen.colours), chosen), chosen), chosen), picture
        )

    def pictures(data: Any) -> Any:
        data = decoded_base64(data) if chosen.base64 else data
        if not chosen.is_batched:
            return one(data)
        return tf.map_fn(one, data, fn_output_signature=tf.TensorSpec(picture, dtype))

    picture = chosen.picture_shape
    source = "base64" if chosen.base64 else "bytes"
    pictures.__name__ = f"explorer_image_{source}_to_{dtype.name}_{'x'.join(map(str, picture))}"
    return pictures, {chosen.input_key: tf.TensorSpec(batch, tf.string)}, (OUTPUT_KEY,)


def decoded(data: Any, colours: str) -> Any:
    """Decodes a picture.

    ``DecodeImage`` turns most files into the wanted number of channels by itself, but no GIF into grey, no JPEG into
    four channels, and a BMP only where TensorFlow is new; these are decoded as they are and turned here.

    Args:
        data: The bytes of its file, a scalar.
        colours: A key of :data:`explorer.runtime.image_options.COLOURS`.

    Returns:
        Pixels: uint8[?, ?, channels], red first.
    """
    import tensorflow as tf

    count = COLOURS[colours]

    def by_op() -> Any:
        return _decode(data, count)

    def by_hand() -> Any:
        return _turned(_decode(data, 0), count)

    begins = {
        1: (b"BM", b"GI"),
        3: (b"BM",),
        4: (b"BM", b"GI", b"\xff\xd8"),
    }[count]
    head = tf.strings.substr(data, 0, 2)
    pixels = tf.cond(tf.reduce_any(tf.equal(head, tf.constant(begins))), by_hand, by_op)
    pixels.set_shape([None, None, count])
    return tf.reverse(pixels, [-1]) if colours == "bgr" else pixels


def _decode(data: Any, channels: int) -> Any:
    import tensorflow as tf

    return tf.raw_ops.DecodeImage(contents=data, channels=channels, dtype=tf.uint8, expand_animations=False)


def _turned(pixels: Any, count: int) -> Any:
    """Pixels with 1, 3 or 4 channels as pixels with the wanted number."""
    import tensorflow as tf

    pixels.set_shape([None, None, None])
    sides = tf.shape(pixels)[:2]
    colour = tf.broadcast_to(pixels[:, :, :3], tf.concat([sides, [3]], 0))
    colour.set_shape([None, None, 3])
    if count == 3:
        return colour
    if count == 1:
        return tf.image.rgb_to_grayscale(colour)
    opaque = tf.fill(tf.concat([sides, [1]], 0), tf.constant(_OPAQUE, tf.uint8))
    return tf.concat([colour, tf.concat([pixels[:, :, 3:], opaque], -1)[:, :, :1]], -1)


def _fitted(pixels: Any, options: ImageOptions) -> Any:
    """Brings pixels to the wanted size; gives float32[height, width, channels]."""
    import tensorflow as tf

    size = options.height, options.width
    if options.fit == "crop":
        pixels = _cropped(pixels, size)
    if options.fit == "pad":
        return _padded(pixels, options, size)
    return tf.cast(_resized(pixels, options, size), tf.float32)


def _resized(pixels: Any, options: ImageOptions, size: Any) -> Any:
    import tensorflow as tf

    return tf.image.resize(pixels, size, method=options.interpolation, antialias=options.antialias)


def _cropped(pixels: Any, size: tuple[int, int]) -> Any:
    """The middle part of a picture that has the proportions of a size."""
    import tensorflow as tf

    sides = tf.cast(tf.shape(pixels)[:2], tf.int64)
    height, width = sides[0], sides[1]
    rows = tf.maximum(tf.minimum(height, width * size[0] // size[1]), 1)
    columns = tf.maximum(tf.minimum(width, height * size[1] // size[0]), 1)
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top : top + rows, left : left + columns]


def _padded(pixels: Any, options: ImageOptions, size: tuple[int, int]) -> Any:
    """A picture that fits into a size, in the middle of black."""
    import tensorflow as tf

    sides = tf.cast(tf.shape(pixels)[:2], tf.float32)
    wanted = tf.constant(size, tf.float32)
    exact = sides / tf.reduce_max(sides / wanted)
    inner = tf.clip_by_value(tf.cast(tf.floor(exact), tf.int32), 1, tf.constant(size))
    before = tf.clip_by_value(tf.cast(tf.floor((wanted - exact) / 2), tf.int32), 0, tf.constant(size) - inner)
    resized = tf.cast(_resized(pixels, options, inner), tf.float32)
    after = tf.constant(size) - inner - before
    around = tf.concat([tf.stack([before, after], axis=1), [[0, 0]]], 0)
    return tf.pad(resized, around)


def _scaled(pixels: Any, options: ImageOptions) -> Any:
    """Turns values from 0 to 255 into what the model wants; of float32, and at last of the input's dtype."""
    import tensorflow as tf

    scale = options.numbers
    if options.type_number in INTEGERS and options.scale != OWN:  # methods such as bicubic go a little beyond it
        pixels = tf.clip_by_value(pixels, 0, _OPAQUE)
    if scale.divide != 1:
        pixels = pixels / tf.constant(scale.divide, tf.float32)
    if any(scale.mean):
        pixels = pixels - tf.constant(scale.mean if len(scale.mean) > 1 else scale.mean[0], tf.float32)
    if set(scale.std) != {1.0}:
        pixels = pixels / tf.constant(scale.std if len(scale.std) > 1 else scale.std[0], tf.float32)
    dtype = tf.dtypes.as_dtype(options.type_number)
    if options.type_number not in INTEGERS:
        return tf.cast(pixels, dtype)
    return tf.saturate_cast(tf.round(pixels), dtype)


def _laid_out(pixels: Any, options: ImageOptions) -> Any:
    import tensorflow as tf

    if options.channels == "none":
        return tf.squeeze(pixels, -1)
    return tf.transpose(pixels, [2, 0, 1]) if options.channels == "first" else pixels
