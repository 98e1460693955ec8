"""The dtypes of a node's outputs where the file has no definition of its op, as frozen graphs have none.

The rules are those of TensorFlow's op registrations (``tensorflow/core/ops``): most ops give what their attribute
``T`` says; those that don't are listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from explorer.savedmodel import wire
from explorer.savedmodel.attributes import Attribute
from explorer.savedmodel.constants import DT_BOOL, DT_FLOAT, DT_INT32, DT_INT64, DT_STRING
from explorer.savedmodel.graph import Graph, Node
from explorer.savedmodel.model import DType, MetaGraph, Shape
from explorer.savedmodel.reader import GRAPH_DEF, fields_of

MOST_OUTPUTS: Final = 1000
"""So many outputs of one node are looked at."""

_UINT8: Final = 4
# GraphDef.versions; VersionDef.producer
_VERSIONS, _PRODUCER = 4, 1
_FIXED: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(
        ("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "LogicalAnd", "LogicalOr", "LogicalNot",
         "IsFinite", "IsInf", "IsNan", "All", "Any", "InTopK", "InTopKV2"), (DT_BOOL,)
    ),
    **dict.fromkeys(("NonMaxSuppression", "NonMaxSuppressionV2", "NonMaxSuppressionV3", "Rank"), (DT_INT32,)),
    **dict.fromkeys(("DecodeJpeg", "DecodeGif", "DecodeBmp", "DecodeAndCropJpeg"), (_UINT8,)),
    **dict.fromkeys(("ResizeBilinear", "ResizeBicubic", "CropAndResize"), (DT_FLOAT,)),
    **dict.fromkeys(
        ("AsString", "StringJoin", "ReduceJoin", "EncodeBase64", "DecodeBase64", "EncodeJpeg", "EncodePng",
         "RegexReplace", "StaticRegexReplace", "StringLower", "Substr", "ReadFile"), (DT_STRING,)
    ),
    "NonMaxSuppressionV4": (DT_INT32, DT_INT32),
    "CombinedNonMaxSuppression": (DT_FLOAT, DT_FLOAT, DT_FLOAT, DT_INT32),
    "Where": (DT_INT64,),
}  # fmt: skip
_BY_ATTRIBUTE: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "Cast": (("DstT", 0),),
    "Bitcast": (("type", 0),),
    "ArgMax": (("output_type", DT_INT64),),
    "ArgMin": (("output_type", DT_INT64),),
    "Shape": (("out_type", DT_INT32),),
    "Size": (("out_type", DT_INT32),),
    "OneHot": (("T", 0),),
    "TopK": (("T", 0), ("", DT_INT32)),
    "TopKV2": (("T", 0), ("index_type", DT_INT32)),
    "Unique": (("T", 0), ("out_idx", DT_INT32)),
    "NonMaxSuppressionV5": (("", DT_INT32), ("T", DT_FLOAT), ("", DT_INT32)),
    "DecodePng": (("dtype", _UINT8),),
    "DecodeImage": (("dtype", _UINT8),),
    "DecodeRaw": (("out_type", 0),),
    "StringToNumber": (("out_type", DT_FLOAT),),
    "LookupTableFindV2": (("Tout", 0),),
    "LookupTableFind": (("Tout", 0),),
    "GatherV2": (("Tparams", 0),),
    "Gather": (("Tparams", 0),),
    "GatherNd": (("Tparams", 0),),
    "ResourceGather": (("dtype", 0),),
    "QuantizeV2": (("T", 0), ("", DT_FLOAT), ("", DT_FLOAT)),
    "Requantize": (("out_type", 0), ("", DT_FLOAT), ("", DT_FLOAT)),
    "Dequantize": (("dtype", DT_FLOAT),),
}  # fmt: skip
"""Op → for each output, the attribute that says its dtype, and the dtype where the node hasn't that attribute."""

_LISTS: Final = ("Tout", "output_types", "component_types")
_SINGLE: Final = ("dtype", "T", "Tout", "out_type", "output_type", "DstT")

NO_OUTPUTS: Final = frozenset(
    {"NoOp", "Assert", "SaveV2", "Save", "SaveSlices", "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"}
    | {"InitializeTableV2", "InitializeTable", "InitializeTableFromTextFileV2", "InitializeTableFromTextFile"}
    | {"LookupTableInsertV2", "LookupTableImportV2", "PrintV2", "QueueEnqueueV2", "QueueEnqueueManyV2", "QueueCloseV2"}
    | {
        "MakeIterator",
        "WriteFile",
        "MergeV2Checkpoints",
        "DestroyResourceOp",
        "Abort",
        "ControlTrigger",
        "WriteSummary",
    }
)
"""Ops that give nothing; those that apply gradients to resources (``ResourceApply…``) don't either."""


def output_dtypes(graph: Graph, node: Node, least: int = 1, most: int = MOST_OUTPUTS) -> tuple[DType, ...]:
    """The dtypes of a node's outputs.

    Args:
        graph: Its graph.
        node: The node.
        least: How many outputs others take from it, for an op that nobody knows.
        most: How many of its outputs are looked at, the first ones; a few bytes of a file can claim any number.

    Returns:
        One dtype for each output, number 0 where it can't be told.
    """
    count = graph.output_count(node.name)
    if count is not None:
        found = [graph.tensor(f"{node.name}:{index}") for index in range(min(count, most))]
        return tuple(DType(0) if tensor is None else tensor.dtype for tensor in found)
    if node.op in NO_OUTPUTS or node.op.startswith("ResourceApply"):
        return ()
    numbers = _numbers(node, node.attrs)
    return tuple(DType(number) for number in (*numbers, *(0,) * (min(least, most) - len(numbers)))[:most])


def output_shape(graph: Graph, tensor_name: str) -> Shape:
    """The shape of a tensor, of unknown rank where the file doesn't say."""
    tensor = graph.tensor(tensor_name)
    return Shape(None) if tensor is None else tensor.shape


def graph_version(meta_graph: MetaGraph) -> int:
    """The version of graphs by which a graph was made (``versions.producer``); 0 where the file doesn't say."""
    document = meta_graph.document
    if document is None or meta_graph.field is None:
        return 0
    found = 0
    for graph in fields_of(document, meta_graph.field, GRAPH_DEF):
        for versions in fields_of(document, graph, _VERSIONS):
            for field in wire.scan(document, versions):
                if field.number == _PRODUCER and field.wire_type == wire.VARINT:
                    found = wire.signed(wire.number(document, field))
    return found


def _numbers(node: Node, attrs: Mapping[str, Attribute]) -> tuple[int, ...]:
    if node.op in _FIXED:
        return _FIXED[node.op]
    if node.op in _BY_ATTRIBUTE:
        return tuple(_number(attrs, name) or default for name, default in _BY_ATTRIBUTE[node.op])
    for name in _LISTS:
        several = attrs[name].type_numbers() if name in attrs else None
        if several:
            return several
    if node.op in ("Split", "SplitV", "Unpack"):
        count = (attrs[name].number() or 0 for name in ("num_split", "num") if name in attrs)
        return (_number(attrs, "T"),) * min(next(count, 1), MOST_OUTPUTS)
    return (next((number for name in _SINGLE if (number := _number(attrs, name))), 0),)


def _number(attrs: Mapping[str, Attribute], name: str) -> int:
    return (attrs[name].type_number() or 0) if name in attrs else 0
