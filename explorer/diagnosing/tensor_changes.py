"""What a change of one input or output does to the clients of a protocol: its dtype, its shape, its encoding.

A declared dtype and shape is taken as the contract, although TensorFlow Serving compares no shape by itself: the ops
of the graph do. How REST reads and writes each dtype is ``tensorflow_serving/util/json_tensor.cc`` of
https://github.com/tensorflow/serving.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, get_args

from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, Shape, TensorInfo

Protocol = Literal["rest_row", "rest_column", "grpc", "tf.saved_model"]
Level = Literal["same", "compatible", "breaking"]

PROTOCOLS: Final[tuple[Protocol, ...]] = get_args(Protocol)
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
"""From the best to the worst."""

REST: Final = frozenset({"rest_row", "rest_column"})

_WHOLE = frozenset({3, 4, 5, 6, 9, 22, 23})
"""The dtypes of whole numbers that the REST API knows; ``uint16`` isn't one of them."""
_WRAPPING = frozenset({4, 5, 6})
"""Dtypes into which the REST API squeezes any whole number of 32 bits: 200 as ``int8`` becomes -56."""
_DECIMAL = {1: 24, 2: 53}
"""The dtypes of decimals that the REST API knows, with the bits of their significand."""


class Reason(NamedTuple):
    """One thing that changed for the clients of a protocol.

    Attributes:
        verdict: What it does to them.
        text: What changed and what follows, in a sentence without a full stop.
    """

    verdict: Level
    text: str


def input_changes(protocol: Protocol, name: str, old: TensorInfo, new: TensorInfo) -> Iterator[Reason]:
    """Says what a change of an input's declaration does to requests.

    Args:
        protocol: How the requests come.
        name: The input as it stands in a sentence.
        old: What was declared.
        new: What is declared now.

    Yields:
        Nothing where requests can't tell the difference.
    """
    yield from _encoding_change(protocol, name, old, new)
    if old.dtype.base != new.dtype.base:
        change = f"{name} takes {new.dtype} instead of {old.dtype}"
        if constants.DT_INVALID in (old.dtype.number, new.dtype.number):
            yield Reason("compatible", f"{change}: one of them says nothing, so nothing can be told")
        elif protocol in REST and has_json_form(new.dtype):
            level, consequence = _rest_input(old.dtype.base.number, new.dtype.base.number)
            yield Reason(level, f"{change}: {consequence}")
        elif protocol not in REST:
            yield Reason("breaking", f"{change}: {_carries(protocol)}, and the graph refuses the old one")
    if _dims(old.shape) != _dims(new.shape):
        level, consequence = _input_shape(old.shape, new.shape)
        yield Reason(level, f"{name} takes the shape {new.shape} instead of {old.shape}: {consequence}")


def output_changes(protocol: Protocol, name: str, old: TensorInfo, new: TensorInfo) -> Iterator[Reason]:
    """Says what a change of an output's declaration does to whoever reads the answers; arguments as for inputs."""
    yield from _encoding_change(protocol, name, old, new)
    if old.dtype.base != new.dtype.base:
        change = f"{name} is {new.dtype} instead of {old.dtype}"
        if constants.DT_INVALID in (old.dtype.number, new.dtype.number):
            yield Reason("compatible", f"{change}: one of them says nothing, so nothing can be told")
        elif protocol in REST and has_json_form(new.dtype):
            level, consequence = _rest_output(old.dtype.base.number, new.dtype.base.number)
            yield Reason(level, f"{change}: {consequence}")
        elif protocol not in REST:
            yield Reason("breaking", f"{change}: {_carries(protocol)}, and clients read another one")
    if _dims(old.shape) != _dims(new.shape):
        level, consequence = _output_shape(old.shape, new.shape)
        yield Reason(level, f"{name} has the shape {new.shape} instead of {old.shape}: {consequence}")


def has_json_form(dtype: DType) -> bool:
    """Whether the REST API reads and writes a dtype; one that isn't declared may be any.

    Where it doesn't, that is an obstacle of the whole signature.
    """
    number = dtype.base.number
    return number in _WHOLE or number in _DECIMAL or number in (0, constants.DT_BOOL, constants.DT_STRING)


def is_text(info: TensorInfo) -> bool:
    """Whether a tensor holds strings."""
    return info.dtype.base.number == constants.DT_STRING


def _carries(protocol: Protocol) -> str:
    return "the messages carry the dtype" if protocol == "grpc" else "a tensor has its dtype"


def _encoding_change(protocol: Protocol, name: str, old: TensorInfo, new: TensorInfo) -> Iterator[Reason]:
    # Servers take and give plain tensors only, whatever else is declared: that is an obstacle of the whole signature.
    if protocol != "tf.saved_model":
        return
    if old.encoding != new.encoding:
        yield Reason("breaking", f"{name} is encoded as {new.encoding} instead of {old.encoding}")
    elif set(old.components or ()) != set(new.components or ()):
        yield Reason("breaking", f"{name} consists of other tensors than before")


def _rest_input(one: int, other: int) -> tuple[Level, str]:
    if one in _WHOLE and other in _WHOLE:
        (lowest, highest), (least, most) = _range(one), _range(other)
        if least <= lowest and highest <= most:
            return "compatible", "it holds every number that was taken before"
        fate = "silently become other numbers" if other in _WRAPPING else "are refused"
        return "breaking", f"numbers outside {least} to {most} {fate}"
    if one in _WHOLE and other in _DECIMAL:
        bits, (lowest, highest) = _DECIMAL[other], _range(one)
        rounded = f", but beyond 2^{bits} rounded" if max(-lowest, highest) > 2**bits else ""
        return "compatible", f"whole numbers are taken too{rounded}"
    if one in _DECIMAL and other in _DECIMAL:
        finer = _DECIMAL[other] > _DECIMAL[one]
        return "compatible", "the same numbers are taken" + ("" if finer else ", but rounded to fewer digits")
    if one in _DECIMAL and other in _WHOLE:
        return "breaking", "numbers with a decimal point are refused"
    return "breaking", "the JSON values of the one are refused for the other"


def _rest_output(one: int, other: int) -> tuple[Level, str]:
    if one in _WHOLE and other in _WHOLE:
        return "compatible", "JSON shows whole numbers either way, but they may be larger or smaller"
    if one in _DECIMAL and other in _DECIMAL:
        return "compatible", "JSON shows decimals either way, with more or fewer digits"
    if one in _DECIMAL and other in _WHOLE:
        return "compatible", "numbers come without a decimal point, which whoever reads decimals takes too"
    if one in _WHOLE and other in _DECIMAL:
        return "breaking", "numbers come with a decimal point, which whoever reads whole numbers refuses"
    return "breaking", "JSON shows values of another type"


def _range(number: int) -> tuple[int, int]:
    bits = 8 * constants.DTYPE_SIZES[number]
    if constants.DTYPE_NAMES[number].startswith("u"):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _input_shape(old: Shape, new: Shape) -> tuple[Level, str]:
    one, other = _dims(old), _dims(new)
    if _accepts(other, one):
        return "compatible", "every shape that was taken before is taken still"
    if one is None or other is None:
        return "breaking", "tensors of another rank are refused"
    if len(one) != len(other):
        return "breaking", "another rank, so every request is nested too deep or not deep enough"
    if one[0] is None and other[0] is not None and _accepts(other[1:], one[1:]):
        return "breaking", f"only a batch of {other[0]} is taken"
    if not _overlap(one, other):
        return "breaking", "what was taken before is refused"
    return "breaking", "fewer sizes are taken than before"


def _output_shape(old: Shape, new: Shape) -> tuple[Level, str]:
    one, other = _dims(old), _dims(new)
    if not _overlap(one, other):
        return "breaking", f"answers are {'of another size' if old.rank == new.rank else 'nested otherwise'}"
    if _accepts(one, other):
        return "compatible", "one of the shapes that clients had to expect"
    return "compatible", "answers may be of sizes that weren't declared before"


_Dims = tuple[int | None, ...] | None


def _dims(shape: Shape) -> _Dims:
    """The dimensions; sizes below 0 stand in corrupt files only, and mean nothing."""
    if shape.dims is None:
        return None
    return tuple(None if dim is None or dim < 0 else dim for dim in shape.dims)


def _accepts(wide: _Dims, narrow: _Dims) -> bool:
    """Whether every tensor of the one shape has the other too."""
    if wide is None or narrow is None:
        return wide is None
    return len(wide) == len(narrow) and all(dim is None or dim == size for dim, size in zip(wide, narrow, strict=True))


def _overlap(one: _Dims, other: _Dims) -> bool:
    """Whether some tensor has both shapes."""
    return Shape(one).is_compatible_with(Shape(other))
