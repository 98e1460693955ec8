"""Inputs made up for a signature from what it declares, the same for the same seed, to run two versions on.

Where a declaration leaves a choice, or says too little (a text may be a sentence or an encoded image), there is more
than one set of inputs: a model that refuses one of them may take the next.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer.errors import RunError, quoted
from explorer.runtime.examples import encoded_example, encoded_image, example_features, mentioned_ops
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, MetaGraph, Shape, TensorInfo
from explorer.savedmodel.tensors import NUMPY_NAMES, Tensor

if TYPE_CHECKING:
    import numpy as np

MOST_ELEMENTS = 20_000_000
"""Inputs with more elements than this are not made up."""

_IMAGE_RANK = 4
_SIDE, _FEW = 32, 4
"""What an unknown dimension becomes: a side of an image, which may not be too small to be halved often; any other."""

_BFLOAT16, _UINT8 = 14, 4
_SPLIT_DTYPES = (constants.DT_INT32, constants.DT_INT64)
_FLOATS, _COMPLEX, _BOOL = (1, 2, 19), (8, 18), 10
_IMAGE_OPS = ("DecodeImage", "DecodeJpeg", "DecodePng")  # each of them takes a PNG
_EXAMPLE_OPS = ("ParseExample", "ParseSingleExample")
_BASE64_OP = "DecodeBase64"

Text = Callable[["np.random.Generator"], bytes]
"""Makes up one text."""

Parts = Mapping[str, Tensor]
"""The tensors of one input by their role in its encoding; a plain tensor has the role ``""``."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How the open questions of a declaration are answered.

    Attributes:
        batch: What the first dimension becomes where it is unknown.
        small: Whether other unknown dimensions become 1.
        text: What a text is: ``plain text``, ``tf.Example``, ``image`` or ``image in base64``.
        ragged: Whether inputs that look like row splits are row splits of one row.
    """

    batch: int = 2
    small: bool = False
    text: str = "plain text"
    ragged: bool = False


def text_kinds(meta_graph: MetaGraph) -> dict[str, Text]:
    """What the texts that a meta graph takes may be, likeliest first, by its name."""
    kinds: dict[str, Text] = {}
    takes_texts = any(
        info.dtype.base.number == constants.DT_STRING
        for signature in meta_graph.callable_signatures.values()
        for info in signature.inputs.values()
    )
    ops = mentioned_ops(meta_graph, (*_EXAMPLE_OPS, *_IMAGE_OPS, _BASE64_OP)) if takes_texts else frozenset()
    if ops.intersection(_EXAMPLE_OPS):
        features = example_features(meta_graph)
        kinds["tf.Example"] = lambda random: encoded_example(features, random)
    if ops.intersection(_IMAGE_OPS):
        kinds["image"] = encoded_image
        if _BASE64_OP in ops:
            kinds["image in base64"] = lambda random: base64.urlsafe_b64encode(encoded_image(random)).rstrip(b"=")
    kinds["plain text"] = lambda random: b"text %d" % random.integers(0, 100)
    return kinds


def choices(inputs: Mapping[str, TensorInfo], kinds: Iterable[str], batches: Sequence[int]) -> tuple[Choice, ...]:
    """The sets of inputs to try, none of them twice.

    Args:
        inputs: Input key → what is declared.
        kinds: What a text may be.
        batches: What an unknown first dimension becomes.
    """
    every = list(inputs.values())
    texts = list(kinds) if any(info.dtype.base.number == constants.DT_STRING for info in every) else ["plain text"]
    open_batch = any(not info.shape.dims or info.shape.dims[0] is None for info in every if info.shape.dims != ())
    open_others = any(info.shape.dims and None in info.shape.dims[1:] for info in every)
    return tuple(
        Choice(batch, small, text, ragged)
        for text in texts
        for ragged in ((True, False) if row_splits(inputs, Choice()) else (False,))
        for small in ((False, True) if open_others else (False,))
        for batch in (batches if open_batch else batches[:1])
    )


def row_splits(inputs: Mapping[str, TensorInfo], choice: Choice) -> dict[str, Parts]:
    """Values for the inputs that look like the row splits of a ragged tensor, which signatures take in pieces.

    Of a ragged argument ``r`` TensorFlow makes the inputs ``r`` (its values), ``r_1`` (the splits of its innermost
    rows), ``r_2`` (those of the rows around them) and so on.
    """
    found: dict[str, Parts] = {}
    for key, info in inputs.items():
        stem, _, number = key.rpartition("_")
        is_numbered = stem in inputs and number.isdecimal()
        if info.dtype.base.number not in _SPLIT_DTYPES or info.shape.rank != 1 or not (is_numbered or "splits" in key):
            continue
        splits = [0, 1 if is_numbered and number != "1" else choice.batch]
        name = NUMPY_NAMES[info.dtype.base.number]
        found[key] = {"": Tensor.from_array(_array(splits, name), info.dtype.base.number)}
    return found


def merged(one: TensorInfo, other: TensorInfo) -> TensorInfo:
    """What fits two declarations of one input: each dimension that either of them knows.

    Raises:
        RunError: No value can fit both.
    """
    if one.dtype.base != other.dtype.base or one.encoding != other.encoding:
        raise RunError(f"it takes {other} where it took {one} before")
    if not one.shape.is_compatible_with(other.shape):
        raise RunError(f"it takes the shape {other.shape} where it took {one.shape} before")
    if one.shape.dims is None or other.shape.dims is None:
        shape = one.shape if other.shape.dims is None else other.shape
    else:
        pairs = zip(one.shape.dims, other.shape.dims, strict=True)
        shape = Shape(tuple(mine if theirs is None else theirs for mine, theirs in pairs))
    return TensorInfo(other.dtype.base, shape, other.tensor_name, other.encoding, other.components)


def generated(key: str, info: TensorInfo, choice: Choice, kinds: Mapping[str, Text], seed: int) -> Parts:
    """Makes up a value for an input.

    Args:
        key: Its key; inputs of different keys get different values.
        info: What it declares.
        choice: How open questions are answered.
        kinds: How texts are made.
        seed: The same seed gives the same value.

    Returns:
        Floats from -1 to 1, small whole numbers of at least 0, truth values, texts; or the parts of a sparse tensor.

    Raises:
        RunError: Nothing can be made up for its encoding or dtype, or it would be too large.
    """
    import numpy as np

    random = np.random.default_rng([seed, zlib.crc32(key.encode("utf-8", "surrogatepass"))])
    shape = _shape(info, choice)
    if math.prod(shape) > MOST_ELEMENTS:
        raise RunError(f"input {quoted(key)} would have {math.prod(shape)} elements, too many to make up")
    if info.encoding == "coo_sparse":
        return _sparse(key, info, shape, kinds[choice.text], random)
    if info.encoding != "name":
        raise RunError(f"no values can be made up for input {quoted(key)}, which is encoded as {info.encoding}")
    return {"": _values(key, info.dtype.base.number, shape, kinds[choice.text], random)}


def _shape(info: TensorInfo, choice: Choice) -> tuple[int, ...]:
    dims = info.shape.dims
    if dims is None:
        return (choice.batch,)
    other = 1 if choice.small else _SIDE if len(dims) >= _IMAGE_RANK else _FEW
    return tuple(
        dim if dim is not None else choice.batch if position == 0 else other for position, dim in enumerate(dims)
    )


def _values(key: str, dtype: int, shape: tuple[int, ...], text: Text, random: np.random.Generator) -> Tensor:
    count = math.prod(shape)
    if dtype == constants.DT_STRING:
        return Tensor(dtype, shape, texts=tuple(text(random) for _ in range(count)))
    if dtype == _BFLOAT16:
        halves = random.uniform(-1, 1, count).astype("<f4").view("<u4") >> 16
        return Tensor(dtype, shape, halves.astype("<u2").tobytes())
    name = NUMPY_NAMES.get(dtype)
    if name is None:
        raise RunError(f"no values can be made up for input {quoted(key)}: nobody feeds the dtype {DType(dtype)}")
    numbers: Any
    if dtype in _FLOATS:
        numbers = random.uniform(-1, 1, shape)
    elif dtype in _COMPLEX:
        numbers = random.uniform(-1, 1, shape) + 1j * random.uniform(-1, 1, shape)
    elif dtype == _BOOL:
        numbers = random.integers(0, 2, shape)
    elif dtype == _UINT8:  # most often the pixels of an image
        numbers = random.integers(0, 256, shape)
    else:  # as a scalar most often a count or an axis, else a position in some table, which may be short
        numbers = random.integers(0, 3, shape) if shape else 1
    return Tensor.from_array(_array(numbers, name), dtype)


def _array(numbers: Any, name: str) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.asarray(numbers).astype(name)


def _sparse(key: str, info: TensorInfo, shape: tuple[int, ...], text: Text, random: np.random.Generator) -> Parts:
    """A sparse tensor with one value in each row, and at most four rows."""
    import numpy as np

    rows = min(shape[0], 4) if shape else 0
    indices = np.array([[row, *(random.integers(0, size) for size in shape[1:])] for row in range(rows)], "<i8")
    return {
        "indices": Tensor.from_array(indices.reshape(rows, len(shape)), constants.DT_INT64),
        "values": _values(key, info.dtype.base.number, (rows,), text, random),
        "dense_shape": Tensor.from_array(np.array(shape, "<i8"), constants.DT_INT64),
    }


def bound_value(key: str, info: TensorInfo, value: Any) -> Parts:
    """The value that an input was bound to, as the old model is fed it.

    Args:
        key: The input key.
        info: What the old model declares.
        value: Nested lists of numbers, truth values or texts; a text may be ``{"b64": …}``.

    Raises:
        RunError: It is no value of that dtype.
    """
    dtype = info.dtype.base.number
    try:
        if dtype == constants.DT_STRING:
            return {"": Tensor.from_array(_decoded(value), dtype)}
        name = NUMPY_NAMES.get(dtype)
        if name is None:
            raise ValueError(f"of the dtype {info.dtype}")
        return {"": Tensor.from_array(_array(value, name), dtype)}
    except (TypeError, ValueError, OverflowError) as error:
        raise RunError(f"the value that input {quoted(key)} is bound to can't be fed: {error}") from None


def _decoded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return base64.b64decode(str(value["b64"])) if set(value) == {"b64"} else str(value)
    return [_decoded(item) for item in value] if isinstance(value, list | tuple) else value
