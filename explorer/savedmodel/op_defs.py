"""What an op's outputs are: its OpDef from ``stripped_op_list``, or the signature of a function of the model.

A SavedModel carries the definition of every op that its graph uses, so dtypes need no TensorFlow. Field numbers are
those of ``op_def.proto``, ``function.proto`` and ``attr_value.proto`` in ``tensorflow/core/framework``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from explorer.savedmodel import records, wire
from explorer.savedmodel.attributes import MOST_ITEMS, Attribute
from explorer.savedmodel.constants import REF_OFFSET
from explorer.savedmodel.model import DType
from explorer.savedmodel.overlay import BytesSource
from explorer.savedmodel.wire import LENGTH, VARINT

# OpList
OP: Final = 1
# OpDef
_OP_NAME: Final = 1 << 3 | LENGTH
_INPUT_ARG: Final = 2 << 3 | LENGTH
_OUTPUT_ARG: Final = 3 << 3 | LENGTH
_ATTR: Final = 4 << 3 | LENGTH
_IS_STATEFUL: Final = 17 << 3 | VARINT
# OpDef.ArgDef
_ARG_NAME: Final = 1 << 3 | LENGTH
_ARG_TYPE: Final = 3 << 3 | VARINT
_ARG_TYPE_ATTR: Final = 4 << 3 | LENGTH
_ARG_NUMBER_ATTR: Final = 5 << 3 | LENGTH
_ARG_TYPE_LIST_ATTR: Final = 6 << 3 | LENGTH
_ARG_IS_REF: Final = 16 << 3 | VARINT
# OpDef.AttrDef
_ATTR_NAME: Final = 1 << 3 | LENGTH
_ATTR_DEFAULT: Final = 3 << 3 | LENGTH

UNKNOWN: Final = DType(0)
"""The dtype of a tensor about which the file says nothing."""


@dataclass(frozen=True, slots=True)
class Arg:
    """An argument of an op: one tensor, or as many as an attribute of the node says.

    Attributes:
        name: Its name in the definition.
        type_number: The number of its dtype, 0 where an attribute gives it.
        type_attr: The attribute that holds the dtype.
        number_attr: The attribute that holds how many tensors there are, all of one dtype.
        type_list_attr: The attribute that holds the dtypes of several tensors.
        is_ref: Whether the tensors are references to variables of TensorFlow 1.
    """

    name: str = ""
    type_number: int = 0
    type_attr: str = ""
    number_attr: str = ""
    type_list_attr: str = ""
    is_ref: bool = False


@dataclass(frozen=True, slots=True)
class OpDef:
    """The definition of an op, as far as dtypes need it.

    Attributes:
        name: The op.
        inputs: Its arguments.
        outputs: Its results.
        defaults: Attribute name → the value that a node without that attribute has.
        is_stateful: Whether it does more than compute, or gives another value each time.
    """

    name: str
    inputs: tuple[Arg, ...] = ()
    outputs: tuple[Arg, ...] = ()
    defaults: Mapping[str, Attribute] = field(default_factory=dict)
    is_stateful: bool = False


def read_op_def(data: bytes | memoryview) -> OpDef:
    """Reads a serialized OpDef.

    Raises:
        FormatError: The bytes are no OpDef.
    """
    name = ""
    is_stateful = False
    inputs: list[Arg] = []
    outputs: list[Arg] = []
    defaults: dict[str, Attribute] = {}
    for tag, number, part in records.iter_fields(data):
        if tag == _IS_STATEFUL:
            is_stateful = bool(number)
        elif tag == _OP_NAME:
            name = records.utf8_text(part, "the name of an op")
        elif tag == _INPUT_ARG:
            inputs.append(_read_arg(part))
        elif tag == _OUTPUT_ARG:
            outputs.append(_read_arg(part))
        elif tag == _ATTR:
            key, default = "", None
            for inner, _, value in records.iter_fields(part):
                if inner == _ATTR_NAME:
                    key = records.utf8_text(value, "the name of an attribute")
                elif inner == _ATTR_DEFAULT:
                    default = Attribute(BytesSource(bytes(value)), 0, len(value))
            if default is not None:
                defaults[key] = default
    return OpDef(name, tuple(inputs), tuple(outputs), defaults, is_stateful)


def output_types(op: OpDef, attribute: Callable[[str], Attribute | None]) -> tuple[DType, ...] | None:
    """The dtypes of the outputs of a node.

    Args:
        op: The definition of the node's op.
        attribute: Gives an attribute of the node by its name, None where the node hasn't it.

    Returns:
        One dtype for each output, ``UNKNOWN`` where the file doesn't say; None where not even their number is known.
    """
    args = output_args(op, attribute)
    return None if args is None else tuple(dtype for _, dtypes in args for dtype in dtypes)


def output_args(
    op: OpDef, attribute: Callable[[str], Attribute | None]
) -> tuple[tuple[str, tuple[DType, ...]], ...] | None:
    """The outputs of a node by the names that function bodies call them by; see :func:`output_types`.

    Returns:
        The name of each result of the op, with the dtypes of the tensors that it stands for.
    """
    found: list[tuple[str, tuple[DType, ...]]] = []

    def look_up(name: str) -> Attribute | None:
        return attribute(name) or op.defaults.get(name)

    for arg in op.outputs:
        if arg.type_list_attr:
            value = look_up(arg.type_list_attr)
            numbers = None if value is None else value.type_numbers()
            if numbers is None:
                return None
        else:
            number = arg.type_number
            if arg.type_attr:
                value = look_up(arg.type_attr)
                number = (None if value is None else value.type_number()) or 0
            count = 1
            if arg.number_attr:
                value = look_up(arg.number_attr)
                count = -1 if value is None else value.number() or 0
                if not 0 <= count <= MOST_ITEMS:
                    return None
            numbers = (number,) * count
        dtypes = tuple(DType(number + REF_OFFSET if arg.is_ref and number else number) for number in numbers)
        found.append((arg.name, dtypes))
    return tuple(found)


def _read_arg(data: memoryview) -> Arg:
    name = type_attr = number_attr = type_list_attr = ""
    type_number = 0
    is_ref = False
    for tag, number, part in records.iter_fields(data):
        if tag == _ARG_NAME:
            name = records.utf8_text(part, "the name of an argument")
        elif tag == _ARG_TYPE:
            type_number = wire.signed(number)
        elif tag == _ARG_TYPE_ATTR:
            type_attr = records.utf8_text(part, "the name of an attribute")
        elif tag == _ARG_NUMBER_ATTR:
            number_attr = records.utf8_text(part, "the name of an attribute")
        elif tag == _ARG_TYPE_LIST_ATTR:
            type_list_attr = records.utf8_text(part, "the name of an attribute")
        elif tag == _ARG_IS_REF:
            is_ref = bool(number)
    return Arg(name, type_number, type_attr, number_attr, type_list_attr, is_ref)
