"""Example values for the inputs of a signature: zeros, ones or random ones, of every dtype, records included."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from explorer.errors import RequestError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import MetaGraph, Signature, TensorInfo
from explorer.savedmodel.tensors import MOST_BYTES, Tensor
from explorer.serving.arrays import COMPLEX, FLOATS, INTEGER_RANGES, elements
from explorer.serving.values import MOST_RANK, base64_object, check_feedable, filled_shape

if TYPE_CHECKING:
    import numpy as np

    from explorer.savedmodel.feature_spec import Feature

Kind = Literal["zeros", "ones", "random"]
KINDS = ("zeros", "ones", "random")
"""What example values can be."""

_WORDS = (b"apple", b"bird", b"cloud", b"door", b"east", b"fish", b"green", b"hill", b"iron", b"jam")
_SMALL = 10  # random whole numbers are smaller
_MOST_FEATURE_VALUES = 1_000_000
_MOST_TEXTS = 5_000_000


def example_values(
    signature: Signature,
    kind: str = "zeros",
    *,
    batch: int = 1,
    seed: int = 0,
    meta_graph: MetaGraph | None = None,
) -> dict[str, Tensor]:
    """Makes a value for every input of a signature.

    Args:
        signature: The signature.
        kind: ``"zeros"`` (False, empty texts), ``"ones"`` (True, the text ``1``) or ``"random"``: floats in [0, 1),
            whole numbers below 10, short words.
        batch: The size of a first dimension that isn't declared; every other unknown dimension is 1, and an unknown
            rank one dimension.
        seed: The same seed gives the same random values.
        meta_graph: Where the signature stands: an input that its graph parses gets serialized tf.Examples.

    Returns:
        Input key → tensor.

    Raises:
        RequestError: There is no such kind, or no request can hold an input.
    """
    if batch < 0:
        raise RequestError(f"a batch has no or more examples, and {batch} were asked for")
    where = f"signature {quoted(signature.key)}"
    specs = _specs(meta_graph, signature)
    random = random_of(kind, seed)
    return {
        key: _example_value(key, info, where, kind, batch, random, specs.get(key))
        for key, info in signature.inputs.items()
    }


def example_record(
    spec: Mapping[str, Feature], kind: str = "zeros", random: np.random.Generator | None = None
) -> bytes:
    """A serialized tf.Example with a value for each feature.

    Args:
        spec: Feature name → feature.
        kind: As for :func:`example_values`.
        random: What random values come from.

    Raises:
        RequestError: A feature has more values than a request should have.
    """
    from explorer.savedmodel.tf_example import example_bytes

    return example_bytes({name: example_feature(feature, kind, random) for name, feature in spec.items()}, spec)


def example_feature(feature: Feature, kind: str = "zeros", random: np.random.Generator | None = None) -> list[Any]:
    """The values of one feature, flat: as many as it must have, one where any number is fine."""
    dims = feature.shape.dims or ()
    count = math.prod(1 if dim is None or dim < 0 else dim for dim in dims)
    if count > _MOST_FEATURE_VALUES:
        raise RequestError(
            f"feature {quoted(feature.name)} has {count} values; examples are made up to {_MOST_FEATURE_VALUES}"
        )
    number = feature.dtype.number
    if number == constants.DT_STRING:
        return list(_texts(kind, count, random))
    if kind == "random" and random is not None:
        values = random.random(count, "float32") if number == constants.DT_FLOAT else random.integers(0, _SMALL, count)
        return list(values.tolist())
    value = 1 if kind == "ones" else 0
    return [float(value) if number == constants.DT_FLOAT else value] * count


def json_features(record: bytes) -> dict[str, Any]:
    """The features of a serialized tf.Example as ``:classify`` and ``:regress`` take them.

    The first element's JSON type decides on the kind of list in ``json_tensor.cc``, so a float always has its point;
    texts that aren't UTF-8 stand in base64.

    Raises:
        FormatError: The bytes are no tf.Example.
    """
    from explorer.savedmodel.tf_example import read_example

    found: dict[str, Any] = {}
    for name, values in read_example(record).items():
        shown = [_json_text(value) if isinstance(value, bytes) else value for value in values]
        found[name] = shown[0] if len(shown) == 1 else shown
    return found


def _json_text(value: bytes) -> Any:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return base64_object(value)


def _specs(meta_graph: MetaGraph | None, signature: Signature) -> Mapping[str, Mapping[str, Feature]]:
    if meta_graph is None:
        return {}
    from explorer.savedmodel.feature_spec import feature_specs

    return feature_specs(meta_graph, signature)


def random_of(kind: str, seed: int) -> np.random.Generator | None:
    """What random values come from; None for the other kinds.

    Raises:
        RequestError: There is no such kind.
    """
    if kind not in KINDS:
        raise RequestError(f"there are no example values {quoted(str(kind))}; they are 'zeros', 'ones' or 'random'")
    if kind != "random":
        return None
    import numpy as np

    return np.random.default_rng(seed)


def _example_value(
    key: str,
    info: TensorInfo,
    where: str,
    kind: str,
    batch: int,
    random: np.random.Generator | None,
    spec: Mapping[str, Feature] | None,
) -> Tensor:
    check_feedable(key, info, where)
    dtype, shape = info.dtype.base.number, filled_shape(info, batch)
    count = math.prod(shape)
    is_text = dtype == constants.DT_STRING
    most = _MOST_TEXTS if is_text else MOST_BYTES // constants.DTYPE_SIZES[dtype]
    if count > most or len(shape) > MOST_RANK:
        raise RequestError(
            f"input {quoted(key)} of {where} is declared {info}, larger than example values are made "
            f"(up to {most} elements and {MOST_RANK} dimensions)"
        )
    if is_text and spec:
        return Tensor(dtype, shape, texts=tuple(example_record(spec, kind, random) for _ in range(count)))
    if is_text:
        return Tensor(dtype, shape, texts=_texts(kind, count, random))
    return Tensor(dtype, shape, elements(_numbers(dtype, kind, count, random), dtype).tobytes())


def _texts(kind: str, count: int, random: np.random.Generator | None) -> tuple[bytes, ...]:
    if random is not None:
        return tuple(_WORDS[place] for place in random.integers(0, len(_WORDS), count).tolist())
    return (b"1" if kind == "ones" else b"",) * count


def _numbers(dtype: int, kind: str, count: int, random: np.random.Generator | None) -> Any:
    import numpy as np

    if random is None:
        return np.full(count, 1 if kind == "ones" else 0, np.int8)
    if dtype in FLOATS or dtype in COMPLEX:
        # float32 for all: rounding what is below 1 to fewer digits may give 1, which does no harm.
        parts = random.random((2, count) if dtype in COMPLEX else (1, count), "float32")
        return parts[0] if dtype in FLOATS else parts[0] + 1j * parts[1]
    return random.integers(0, 2 if dtype not in INTEGER_RANGES else _SMALL, count)
