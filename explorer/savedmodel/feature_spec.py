"""The features that a model parses out of ``tf.Example`` records, recovered from its graph without TensorFlow.

What a ``ParseExample`` node asks for stands in its attributes and in the constants that it takes: see
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/ops/parsing_ops.cc and
``tensorflow/core/util/example_proto_helper.h``, which holds the rules of defaults.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from explorer.savedmodel import constants
from explorer.savedmodel.example_parsers import Parser, parsers_of
from explorer.savedmodel.graph import has_graph, read_graph
from explorer.savedmodel.model import DType, MetaGraph, SavedModel, Shape, Signature, frozen

FeatureKind = Literal["fixed", "varlen", "ragged"]
"""As in ``tf.io``: ``FixedLenFeature`` (and ``FixedLenSequenceFeature``), ``VarLenFeature``, ``RaggedFeature``."""

FeatureValue = float | int | bytes

_MOST_ELEMENTS = 1_000_000
_LISTS = {
    constants.DT_FLOAT: ("float_val", "<f4"),
    constants.DT_INT64: ("int64_val", "<i8"),
    constants.DT_STRING: ("string_val", ""),
}


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that a model asks for.

    Attributes:
        name: Its name in the record.
        kind: ``"fixed"``, ``"varlen"`` or ``"ragged"``.
        dtype: ``float32``, ``int64`` or ``string``; a record knows no others.
        shape: Of one record: declared for ``"fixed"`` (its first dimension unknown where a sequence is padded), ``[?]``
            for the others.
        default: The values that stand in for a missing feature, flat; None where there are none, or not readable.
        required: Whether a record without it is refused.
    """

    name: str
    kind: FeatureKind
    dtype: DType
    shape: Shape
    default: tuple[FeatureValue, ...] | None = None
    required: bool = False

    @property
    def size(self) -> int | None:
        """How many values a record must have for it; None where any number is fine."""
        if self.shape.dims is None or any(dim is None or dim < 0 for dim in self.shape.dims):
            return None
        return math.prod(dim or 0 for dim in self.shape.dims)

    def __str__(self) -> str:
        need = "" if self.kind != "fixed" else ", required" if self.required else ", optional"
        return f"{self.kind} {self.dtype}{self.shape}{need}"


def feature_spec(
    model: SavedModel | MetaGraph, signature: Signature, input_key: str | None = None
) -> Mapping[str, Feature]:
    """The features of the records that a signature parses.

    Args:
        model: The model, or one of its meta graphs; of a model the first meta graph with this signature is read.
        signature: The signature.
        input_key: Which input; None takes the first that is parsed.

    Returns:
        Feature name → feature, in the order of the file; empty where no input is parsed, or the model has no graph.

    Raises:
        FormatError: The graph is corrupt.
        NotFoundError: There is no such input.
    """
    specs = feature_specs(model, signature)
    if input_key is not None:
        signature.input(input_key)
        return specs.get(input_key, frozen({}))
    return next(iter(specs.values()), frozen({}))


def feature_specs(model: SavedModel | MetaGraph, signature: Signature) -> Mapping[str, Mapping[str, Feature]]:
    """Input key → its features, for every input of a signature that is parsed; see :func:`feature_spec`."""
    meta_graph = model if isinstance(model, MetaGraph) else _home(model, signature)
    texts = {
        key: info.tensor_name
        for key, info in signature.inputs.items()
        if info.dtype.base.number == constants.DT_STRING and info.tensor_name is not None
    }
    if not texts or meta_graph is None or not has_graph(meta_graph):
        return frozen({})
    graph = read_graph(meta_graph)
    found: dict[str, Mapping[str, Feature]] = {}
    for key, tensor_name in texts.items():
        # An edit appends nodes and functions, and what was derived before goes with the longer graph.
        kept = ("feature spec", tensor_name, graph.node_count, graph.function_count)
        spec = graph.derived.get(kept)
        if not isinstance(spec, Mapping):
            spec = _merged(feature for parser in parsers_of(graph, tensor_name) for feature in _features(parser))
            graph.derived[kept] = spec
        if spec:
            found[key] = spec
    return frozen(found)


def _home(model: SavedModel, signature: Signature) -> MetaGraph | None:
    """The meta graph that a signature belongs to."""
    for meta_graph in model.meta_graphs:
        if meta_graph.signatures.get(signature.key) == signature:
            return meta_graph
    return None


def _merged(features: Iterator[Feature]) -> Mapping[str, Feature]:
    """One feature a name: where several nodes parse one, the demand that is hardest to meet."""
    found: dict[str, Feature] = {}
    for feature in features:
        known = found.get(feature.name)
        if known is None or (feature.required and not known.required):
            found[feature.name] = feature
    return frozen(found)


def _features(parser: Parser) -> Iterator[Feature]:
    """The features of one parsing node."""
    attr, inputs = parser.node.attr, [edge for edge in parser.node.input if not edge.startswith("^")]
    dense_types, sparse_types = list(attr["Tdense"].list.type), list(attr["sparse_types"].list.type)
    ragged: list[str] = []
    if parser.node.op == "ParseSingleExample":
        dense = [_name(key) for key in attr["dense_keys"].list.s]
        sparse = [_name(key) for key in attr["sparse_keys"].list.s]
        defaults = inputs[1:]
    elif parser.node.op == "ParseExample":
        middle = 2 + len(sparse_types)
        end = middle + len(dense_types)
        sparse = [name for edge in inputs[2:middle] for name in _names(parser, edge)]
        dense = [name for edge in inputs[middle:end] for name in _names(parser, edge)]
        defaults = inputs[end:]
    else:
        sparse, dense, ragged = ([*_names(parser, edge)] for edge in (*inputs[2:5], *[""] * 3)[:3])
        defaults = inputs[5:]
    shapes = [_shape(shape) for shape in attr["dense_shapes"].list.shape]
    for position, (name, number, shape) in enumerate(zip(dense, dense_types, shapes, strict=False)):
        proto = parser.constant(defaults[position]) if position < len(defaults) else None
        default = None if proto is None else _values(proto)
        # An empty default says that there is none; one that can't be read is one, and a sequence is padded with it.
        is_sequence = bool(shape.dims) and shape.dims is not None and shape.dims[0] is None
        required = not is_sequence and proto is not None and default == ()
        yield Feature(name, "fixed", DType(number), shape, default or None, required)
    for name, number in zip(sparse, sparse_types, strict=False):
        yield Feature(name, "varlen", DType(number), Shape((None,)))
    for name, number in zip(ragged, attr["ragged_value_types"].list.type, strict=False):
        yield Feature(name, "ragged", DType(number), Shape((None,)))


def _names(parser: Parser, edge: str) -> Iterator[str]:
    proto = parser.constant(edge) if edge else None
    for name in (_values(proto) or ()) if proto is not None else ():
        if isinstance(name, bytes):
            yield _name(name)


def _name(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def _shape(proto: Any) -> Shape:
    if proto.unknown_rank:
        return Shape(None)
    return Shape(tuple(None if dim.size < 0 else dim.size for dim in proto.dim))


def _values(proto: Any) -> tuple[FeatureValue, ...] | None:
    """The elements of a TensorProto of one of the three dtypes, None where they can't be read."""
    if proto.dtype not in _LISTS or proto.tensor_shape.unknown_rank:
        return None
    count = math.prod(dim.size for dim in proto.tensor_shape.dim)
    if not 0 <= count <= _MOST_ELEMENTS:
        return None
    name, form = _LISTS[proto.dtype]
    values: list[FeatureValue] = list(getattr(proto, name))
    if not values and proto.tensor_content and form:
        import numpy as np

        if len(proto.tensor_content) != count * np.dtype(form).itemsize:
            return None
        values = np.frombuffer(proto.tensor_content, form).tolist()
    if not values:
        values = [b"" if proto.dtype == constants.DT_STRING else 0]
    # A proto with fewer values than elements repeats the last one.
    return tuple((values + [values[-1]] * (count - len(values)))[:count])
