"""Base64 text to bytes, for clients that can't send ``{"b64": …}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.errors import EditError, listed, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import Shape, Signature, TensorInfo

DEFAULT_KEY = "base64"
OUTPUT_KEY = "bytes"


def make_base64(options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], tuple[str, ...]]:
    """A step from base64 texts to the bytes that they stand for.

    Args:
        options: ``shape``, that of the texts, a list with None for open sizes (default ``[None]``), and ``key``,
            that of the input (default ``"base64"``).
    """
    import tensorflow as tf

    shape = options.get("shape", [None])

    def explorer_base64_to_bytes(texts: Any) -> Any:
        return decoded(texts)

    return (
        explorer_base64_to_bytes,
        {str(options.get("key") or DEFAULT_KEY): tf.TensorSpec(shape, tf.string)},
        (OUTPUT_KEY,),
    )


def decoded(texts: Any) -> Any:
    """The bytes that base64 texts stand for: either alphabet, padded or not, with line breaks, as a data URL or plain.

    ``tf.io.decode_base64`` takes the web-safe alphabet alone, and padding only where it is complete
    (https://www.tensorflow.org/api_docs/python/tf/io/decode_base64); other characters stay what it refuses.
    """
    import tensorflow as tf

    plain = tf.strings.regex_replace(texts, r"^\s*(?i:data):[^,]*;\s*(?i:base64)\s*,", "", replace_global=False)
    plain = tf.strings.regex_replace(plain, r"\s+", "")
    plain = tf.strings.regex_replace(plain, r"=+$", "", replace_global=False)
    plain = tf.strings.regex_replace(tf.strings.regex_replace(plain, r"\+", "-"), "/", "_")
    return tf.io.decode_base64(plain)


def base64_options_for(
    signature: Signature, input_key: str | None = None, *, key: str = ""
) -> tuple[str, dict[str, Any]]:
    """The options of :func:`make_base64` for an input of a signature.

    Args:
        signature: The signature.
        input_key: The input of texts or bytes; None where there is only one such.
        key: The key of the new input; empty for the usual one.

    Returns:
        The key of the input, and the options.

    Raises:
        NotFoundError: The signature hasn't that input.
        EditError: It takes no texts, or it has to be said which of several.
    """
    if input_key is None:
        fitting = [name for name, info in signature.inputs.items() if _takes_texts(info)]
        if len(fitting) != 1:
            raise EditError(
                f"signature {quoted(signature.key)} has {len(fitting) or 'no'} inputs of texts ({listed(fitting)}); "
                f"base64 becomes bytes, so an input of the dtype string is wanted; inputs: {listed(signature.inputs)}"
            )
        input_key = fitting[0]
    info = signature.input(input_key)
    if not _takes_texts(info):
        raise EditError(
            f"input {quoted(input_key)} is declared {info.dtype}{info.shape}: base64 becomes bytes, which only an "
            "input of the dtype string takes; where it takes pictures, wrap it with an image step that reads base64"
        )
    return input_key, base64_options(info.shape, key)


def _takes_texts(info: TensorInfo) -> bool:
    return info.dtype.base.number == constants.DT_STRING and info.tensor_name is not None


def base64_options(shape: Shape, key: str = "") -> dict[str, Any]:
    """The options of :func:`make_base64` for an input of texts.

    Args:
        shape: What the model's input declares.
        key: The key of the new input.
    """
    return {"shape": None if shape.dims is None else list(shape.dims), "key": key or DEFAULT_KEY}
