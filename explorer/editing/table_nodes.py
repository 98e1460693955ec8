"""The nodes of a lookup table from line number to line, as they stand in a graph or in a function's body."""

from __future__ import annotations

from typing import Any, Final

from explorer.editing.wrapper import set_shape
from explorer.savedmodel.constants import DT_INT64, DT_STRING
from explorer.savedmodel.model import Shape

_LINE_NUMBER: Final = -1  # what the op takes for the key: tensorflow/core/kernels/lookup_util.h
_WHOLE_LINE: Final = -2


def make_table(node: Any, shared_name: str) -> None:
    """Makes a NodeDef a table from int64 to string that has to be filled."""
    node.op = "HashTableV2"
    node.attr["key_dtype"].type = DT_INT64
    node.attr["value_dtype"].type = DT_STRING
    node.attr["shared_name"].s = shared_name.encode()
    set_shape(node.attr["_output_shapes"].list.shape.add(), Shape(()))


def make_filling(node: Any, table: str, path: str) -> None:
    """Makes a NodeDef what fills a table with the lines of a file.

    Args:
        node: The NodeDef.
        table: The edge that brings the table.
        path: The edge that brings the path of the file.
    """
    node.op = "InitializeTableFromTextFileV2"
    node.input.extend([table, path])
    node.attr["key_index"].i = _LINE_NUMBER
    node.attr["value_index"].i = _WHOLE_LINE
    node.attr["delimiter"].s = b"\t"
    node.attr["vocab_size"].i = -1
    node.attr["_output_shapes"].list.SetInParent()


def make_constant(node: Any, type_number: int, value: bytes | int) -> None:
    """Makes a NodeDef a scalar text or a scalar int32."""
    node.op = "Const"
    node.attr["dtype"].type = type_number
    tensor = node.attr["value"].tensor
    tensor.dtype = type_number
    tensor.tensor_shape.SetInParent()
    if isinstance(value, bytes):
        tensor.string_val.append(value)
    else:
        tensor.int_val.append(value)
    set_shape(node.attr["_output_shapes"].list.shape.add(), Shape(()))
