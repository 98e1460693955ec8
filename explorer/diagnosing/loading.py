"""The signatures that ``tf.saved_model.load`` finds: in the object graph where there is one, else in signature_def.

That choice is ``load_partial`` in
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/python/saved_model/load.py: it reads the object graph of
a model with exactly one meta graph, and rebuilds the signatures from ``signature_def`` otherwise. The names of
arguments and results stand with each concrete function of the object graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from explorer.errors import FormatError
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, MetaGraph, SavedModel, Shape, Signature, TensorInfo, frozen
from explorer.savedmodel.object_graph import SIGNATURES, read_object_graph

UNKNOWN: Final = TensorInfo(DType(constants.DT_INVALID), Shape(None), None)
"""A tensor of which only the key is known."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A signature as a loaded model offers it.

    Attributes:
        signature: The signature; inputs of which only the key is known are :data:`UNKNOWN`.
        knows_outputs: Whether its outputs are known at all.
    """

    signature: Signature
    knows_outputs: bool = True


def has_live_object_graph(model: SavedModel, meta_graph: MetaGraph) -> bool:
    """Whether ``tf.saved_model.load`` takes the signatures of a meta graph from its object graph."""
    return len(model.meta_graphs) == 1 and meta_graph.has_object_graph


def loaded_signatures(model: SavedModel, meta_graph: MetaGraph) -> Mapping[str, Loaded]:
    """Finds the signatures that ``tf.saved_model.load(...).signatures`` has.

    Args:
        model: The model.
        meta_graph: The one of its meta graphs that is loaded.

    Returns:
        Signature key → signature, in the order of the file.

    Raises:
        FormatError: The object graph is corrupt.
    """
    written = meta_graph.callable_signatures
    objects = read_object_graph(meta_graph) if has_live_object_graph(model, meta_graph) else None
    if objects is None or not objects.nodes:
        return frozen({key: Loaded(signature) for key, signature in written.items()})
    places = [_node(objects, child.node_id) for child in objects.nodes[0].children if child.local_name == SIGNATURES]
    # The same dict in both places has two orders, and clients see neither: it is listed as signature_def lists it.
    nodes = {child.local_name: _node(objects, child.node_id) for place in places[:1] for child in place.children}
    ordered = [key for key in written if key in nodes] + sorted(key for key in nodes if key not in written)
    return frozen({key: _loaded(objects, nodes[key], key, written.get(key)) for key in ordered})


def _loaded(objects: Any, node: Any, key: str, written: Signature | None) -> Loaded:
    keywords = sorted(node.bare_concrete_function.argument_keywords)
    function = objects.concrete_functions.get(node.bare_concrete_function.concrete_function_name)
    inputs = outputs = None
    if function is not None:
        arguments = function.canonicalized_input_signature.tuple_value.values
        inputs = _specs(arguments[1]) if len(arguments) == 2 else None
        outputs = _specs(function.output_signature)
    if inputs is None or (keywords and len(keywords) != len(inputs)):
        known = {} if written is None else written.inputs
        inputs = {word: known.get(word, UNKNOWN) for word in keywords} if keywords else dict(known)
    elif keywords:  # values are matched to keywords in sorted order
        inputs = dict(zip(keywords, (inputs[word] for word in sorted(inputs)), strict=True))
    if written is None:
        return Loaded(Signature(key, frozen(inputs), frozen(outputs or {})), outputs is not None)
    inputs = _with_tensor_names(inputs, written.inputs)
    outputs = dict(written.outputs) if outputs is None else _with_tensor_names(outputs, written.outputs)
    return Loaded(replace(written, inputs=frozen(inputs), outputs=frozen(outputs)))


def _with_tensor_names(loaded: Mapping[str, TensorInfo], written: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """The tensors as signature_def has them where both say the same: only there they have names."""
    return {
        key: written[key]
        if key in written and (written[key].dtype, written[key].shape) == (info.dtype, info.shape)
        else info
        for key, info in loaded.items()
    }


def _specs(value: Any) -> dict[str, TensorInfo] | None:
    """The tensors in a StructuredValue that is a dict of TensorSpecs, None where it is something else.

    See https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/struct.proto.
    """
    if value.WhichOneof("kind") != "dict_value":
        return None
    infos = {}
    for key, field in value.dict_value.fields.items():
        kind = field.WhichOneof("kind")
        if kind not in ("tensor_spec_value", "bounded_tensor_spec_value"):
            return None
        spec = getattr(field, kind)
        infos[key] = TensorInfo(DType(spec.dtype), _shape(spec.shape), None)
    return dict(sorted(infos.items()))


def _shape(shape: Any) -> Shape:
    if shape.unknown_rank:
        return Shape(None)
    return Shape(tuple(None if dim.size < 0 else dim.size for dim in shape.dim))


def _node(objects: Any, node_id: int) -> Any:
    if not 0 <= node_id < len(objects.nodes):
        raise FormatError(f"the object graph refers to node {node_id}, but has only {len(objects.nodes)}")
    return objects.nodes[node_id]
