"""What a child process has to know in order to run the source of a conversion."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from explorer.converting import kinds
from explorer.converting.checkpoint_files import files_of
from explorer.converting.source import Source, find_source
from explorer.editing.tensor_values import encoded_tensor
from explorer.errors import ConversionError, RunError, listed, quoted
from explorer.runtime.custom_objects import named, search_paths
from explorer.runtime.keras_description import unique_keys
from explorer.runtime.tasks import Run, Task
from explorer.savedmodel.edges import PLACEHOLDER_OPS, split_tensor_name
from explorer.savedmodel.graph import Graph, read_graph
from explorer.savedmodel.model import DType, MetaGraph, Shape
from explorer.savedmodel.object_graph import node_message

_OLD: Final = (kinds.V1_CHECKPOINT, kinds.V1_CHECKPOINT_NO_GRAPH)
_WITH_META: Final = (kinds.TF1_CHECKPOINT, kinds.V1_CHECKPOINT, kinds.META_GRAPH)
_NAMED_VARIABLES: Final = (kinds.TF1_CHECKPOINT, kinds.TF1_CHECKPOINT_NO_GRAPH, *_OLD)

GRAPH_KINDS: Final = frozenset({kinds.FROZEN_GRAPH, kinds.FROZEN_GRAPH_TEXT, *_NAMED_VARIABLES})
"""Kinds of sources that have a graph, of which tensors are fed and fetched by name."""

KERAS_KINDS: Final = frozenset({kinds.KERAS_FILE, kinds.KERAS_FILE_TF_KERAS, kinds.HDF5})

_WITH_DEFAULT: Final = "PlaceholderWithDefault"


@dataclass(frozen=True, slots=True)
class Said:
    """What was said besides the source when it was converted.

    The arguments of :func:`explorer.runtime.source_proof.prove_conversion`, where empty is for what wasn't said.
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    constants: Mapping[str, Any]
    signature_key: str
    endpoints: Mapping[str, str | Sequence[str] | None]
    graph: Path | None
    architecture: Path | None
    custom_objects: Mapping[str, object]


def source_task(found: Source, said: Said, converted: MetaGraph, runs: Iterable[Run]) -> Task:
    """How a source is run.

    Args:
        found: The source.
        said: What was said when it was converted.
        converted: What it was converted to.
        runs: What it is asked; it is asked twice, to see whether it agrees with itself.

    Raises:
        ConversionError: It can't be run; something else must be given where ``needs`` isn't empty.
        RunError: What was said doesn't fit.
    """
    if found.problem:
        raise ConversionError(found.problem)
    once = tuple(runs)
    options = _options(found, said, converted)
    return Task("source", Path(options.pop("path", found.path)), frozenset(), once * 2, options)


def whole_name(tensor_name: str) -> str:
    """A tensor name; a bare node name stands for its first tensor."""
    return tensor_name if split_tensor_name(tensor_name)[1] is not None else f"{tensor_name}:0"


def _options(found: Source, said: Said, converted: MetaGraph) -> dict[str, Any]:
    if found.kind in (kinds.FROZEN_GRAPH, kinds.FROZEN_GRAPH_TEXT):
        return {"source": "graph", "is_meta": False, "constants": constants_of(converted, said.constants)}
    if found.kind in _NAMED_VARIABLES:
        return _checkpoint(found, said, converted)
    if found.kind == kinds.TF2_CHECKPOINT:
        return _architecture(found, said)
    if found.kind in KERAS_KINDS:
        return _keras(found, said, converted)
    raise ConversionError(f"it {found.title}, which can't be run", [need.what for need in found.needs])


def _checkpoint(found: Source, said: Said, converted: MetaGraph) -> dict[str, Any]:
    """A checkpoint of named variables with a graph; the graph lies at the path of the task."""
    options: dict[str, Any] = {"prefix": _prefix(found), "constants": constants_of(converted, said.constants)}
    if said.graph is None and found.kind in _WITH_META and found.graph_file is not None:
        return {**options, "path": found.graph_file, "source": "meta"}
    if said.graph is None:
        raise _lacks(found, kinds.GRAPH)
    graph = find_source(said.graph)
    if graph.graph_file is None:
        raise ConversionError(f"{quoted(str(said.graph))} {graph.title}, and no graph", [kinds.GRAPH])
    return {**options, "path": graph.graph_file, "source": "graph", "is_meta": graph.kind in _WITH_META}


def _prefix(found: Source) -> str:
    """The prefix as TensorFlow takes it: that of an old checkpoint in several parts is a pattern."""
    parts = files_of(found.path).old_files if found.kind in _OLD else ()
    if len(parts) < 2 and found.path.is_file() or not parts:
        return str(found.path)
    return f"{found.path}-?????-of-{len(parts):05d}"


def _architecture(found: Source, said: Said) -> dict[str, Any]:
    if said.architecture is None:
        raise _lacks(found, kinds.ARCHITECTURE)
    return {"source": "architecture", "path": said.architecture, "prefix": str(found.path)}


def _keras(found: Source, said: Said, converted: MetaGraph) -> dict[str, Any]:
    if said.architecture is None and any(need.what == kinds.ARCHITECTURE for need in found.needs):
        raise _lacks(found, kinds.ARCHITECTURE)
    places = named(said.custom_objects)
    return {
        "source": "keras",
        "architecture": None if said.architecture is None else str(said.architecture),
        "custom_objects": places,
        "paths": search_paths() if places else [],
        "signatures": {key: _places(key, said) for key in converted.callable_signatures},
    }


def _places(signature_key: str, said: Said) -> dict[str, Any]:
    """What the inputs and outputs of a signature are in the model, where somebody said it."""
    answers = said.endpoints.get(signature_key)
    layers = [] if answers is None else [answers] if isinstance(answers, str) else list(answers)
    return {
        "inputs": dict(said.inputs),
        "outputs": dict(said.outputs)
        if signature_key == said.signature_key
        else dict(zip(unique_keys(layers), layers, strict=True)),
        "layer": layers[0] if len(layers) == 1 else None,
    }


def _lacks(found: Source, what: str) -> ConversionError:
    sentence = next((need.sentence for need in found.needs if need.what == what), f"{what}= must be given")
    return ConversionError(f"{quoted(str(found.path))} {found.title}: {sentence}", [what])


def constants_of(converted: MetaGraph, given: Mapping[str, Any]) -> list[dict[str, str]]:
    """The values that placeholders of a graph got for good when it was converted.

    Args:
        converted: The meta graph of the SavedModel, in which they are the defaults of placeholders.
        given: Placeholder → value, where somebody said it.

    Returns:
        For each the name of the tensor, and a serialized ``TensorProto`` in base64.

    Raises:
        RunError: There is no such placeholder.
        EditError: A value doesn't fit it.
    """
    graph = read_graph(converted)
    found: dict[str, bytes] = {}
    for node in graph.nodes.values():
        if node.op == _WITH_DEFAULT and node.inputs:
            default = graph.nodes.get(split_tensor_name(node.inputs[0])[0])
            if default is not None and default.op == "Const":
                value = node_message(default).attr["value"].tensor
                found[f"{node.name}:0"] = value.SerializeToString(deterministic=True)
    for name, value in given.items():
        placeholder = _placeholder(graph, name)
        dtype = DType(node_message(graph.nodes[placeholder]).attr["dtype"].type)
        found[f"{placeholder}:0"] = encoded_tensor(value, dtype, Shape(None), f"the constant {quoted(name)}")
    return [{"tensor": name, "value": base64.b64encode(value).decode("ascii")} for name, value in found.items()]


def _placeholder(graph: Graph, name: str) -> str:
    """The placeholder that a constant is for, named by its tensor, by itself, or by the last part of its name."""
    every = [node.name for node in graph.nodes.values() if node.op in PLACEHOLDER_OPS or node.op == _WITH_DEFAULT]
    node = split_tensor_name(name)[0]
    fitting = [node] if node in every else [one for one in every if one.rpartition("/")[2] == node]
    if len(fitting) != 1:
        raise RunError(f"the constant {quoted(name)} names no placeholder of the graph; placeholders: {listed(every)}")
    return fitting[0]
