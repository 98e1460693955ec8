"""Writes a model of Keras as a SavedModel that every server can run, with exactly the signatures that are asked for.

``tf.saved_model.save`` of a Keras 3 model is not that: its functions take variables that no server restores
(:func:`explorer.savedmodel.captures.unrestored_captures`). ``ExportArchive``, of Keras 3 and of tf_keras, tracks them.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from explorer.errors import ConversionError, listed, quoted
from explorer.runtime.keras_description import unique_keys

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*\Z")
_ENDPOINT: Final = "endpoint_"
_OWN_CALLS: Final = ("Functional.call", "Sequential.call")

Keys = Mapping[str, str] | Sequence[str] | None
"""Key → name in the model; or keys for all, in the order of the model; None for the names in the model."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A signature that is asked for.

    Attributes:
        key: Its key.
        inputs: The keys of its inputs.
        outputs: The keys of its outputs; a name in the model is that of an output or of any layer.
    """

    key: str
    inputs: Keys = None
    outputs: Keys = None


@dataclass(frozen=True, slots=True)
class Traced:
    """What a signature was made of: a function of tensors that gives a dict, and what it takes."""

    function: Callable[..., Any]
    specs: tuple[Any, ...]


def export_keras_model(keras: Any, model: Any, folder: Path, endpoints: Sequence[Endpoint]) -> None:
    """Writes a SavedModel.

    Args:
        keras: The module ``keras`` or ``tf_keras``.
        model: A model of that.
        folder: Where it goes; it isn't there yet.
        endpoints: The signatures, at least one. Until :func:`explorer.runtime.keras_names.settle` names them, they are
            called ``endpoint_0`` and so on, and ``serving_default`` is a copy of the first: names that are attributes
            of the model too would be taken for these by Keras' TFSMLayer.

    Raises:
        ConversionError: There is no such input, output or layer, a key can't be one, or the model can't be traced.
    """
    if not getattr(model, "built", True):
        raise ConversionError(
            "the model isn't built: the shape of its input isn't known; give it an Input layer, or call it once on data"
        )
    archive = keras.export.ExportArchive()
    with contextlib.redirect_stdout(io.StringIO()):
        archive.track(model)
        for number, endpoint in enumerate(endpoints):
            traced = trace(keras, model, endpoint)
            try:
                archive.add_endpoint(f"{_ENDPOINT}{number}", traced.function, input_signature=list(traced.specs))
            except ConversionError:
                raise
            except Exception as error:  # whatever the layers raise when they are called
                raise ConversionError(
                    f"the model can't be traced for the signature {quoted(endpoint.key)}: {type(error).__name__}: "
                    f"{' '.join(str(error).split())[:300]}"
                ) from None
        archive.write_out(str(folder))


def endpoint_name(number: int) -> str:
    """How an endpoint is called before it has its key."""
    return f"{_ENDPOINT}{number}"


def trace(keras: Any, model: Any, endpoint: Endpoint) -> Traced:
    """The function behind a signature.

    Raises:
        ConversionError: See :func:`export_keras_model`.
    """
    if is_graph(model):
        return _of_graph(keras, model, endpoint)
    return _of_call(model, endpoint)


def is_graph(model: Any) -> bool:
    """Whether a model is a graph of layers, of which each can be asked for its output."""
    call = inspect.unwrap(getattr(type(model), "call", len))
    return getattr(call, "__qualname__", "") in _OWN_CALLS and bool(getattr(model, "inputs", None))


def _of_graph(keras: Any, model: Any, endpoint: Endpoint) -> Traced:
    import tensorflow as tf

    inputs = _by_name(model.inputs, _structure(model, "inputs"))
    outputs = _by_name(model.outputs, _structure(model, "outputs"))
    chosen = _chosen_outputs(model, outputs, endpoint)
    needed = _reached(chosen.values(), model.inputs)
    fed = {name: tensor for name, tensor in inputs.items() if id(tensor) in needed} or inputs
    keys = _input_keys(fed, inputs, endpoint)
    inner = keras.Model(inputs=list(fed.values()), outputs=list(chosen.values()))
    specs = tuple(_spec(tensor, keys[name]) for name, tensor in fed.items())

    def answer(*tensors: Any) -> dict[str, Any]:
        results = tf.nest.flatten(inner(list(tensors) if len(tensors) > 1 else tensors[0], training=False))
        return dict(zip(chosen, map(_dense, results), strict=True))

    return Traced(answer, specs)


def _structure(model: Any, what: str) -> Any:
    """How a graph of layers takes its inputs or gives its outputs: a tensor, a list or a dict of them."""
    for name in (f"_{what}_struct", f"_nested_{what}"):  # Keras 3; tf_keras
        found = getattr(model, name, None)
        if found is not None:
            return found
    return None


def _by_name(tensors: Iterable[Any], structure: Any) -> dict[str, Any]:
    """Name → tensor: the keys of a dict, where the model has one, else the names of the layers."""
    every = list(tensors)
    names = {id(tensor): str(key) for key, tensor in structure.items()} if isinstance(structure, Mapping) else {}
    given = [names.get(id(tensor)) or _layer(tensor).name for tensor in every]
    return dict(zip(unique_keys(given), every, strict=True))


def _layer(tensor: Any) -> Any:
    return tensor._keras_history[0]


def _chosen_outputs(model: Any, outputs: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    wanted = _keys(outputs, endpoint.outputs, "outputs", endpoint.key)
    chosen = {key: outputs[name] if name in outputs else _inner(model, name, outputs) for key, name in wanted.items()}
    if not chosen:
        raise ConversionError(f"the signature {quoted(endpoint.key)} has no output")
    for key in chosen:
        _check_key(key, "output")
    return chosen


def _inner(model: Any, name: str, outputs: Mapping[str, Any]) -> Any:
    """The output of a layer by its name; ``name:1`` for the second of several."""
    calls: dict[str, list[Any]] = {}
    for layer, node in _nodes(model.outputs, ()):
        calls.setdefault(layer.name, []).append(node)
    before, _, number = name.rpartition(":")
    called = name if name in calls else before if before in calls and number.isdecimal() else ""
    if not called:
        raise ConversionError(
            f"the model has no output and no layer {quoted(name)}; outputs: {listed(outputs)}; layers: "
            f"{listed((layer.name for layer in model.layers), 20)}"
        )
    if len(calls[called]) > 1:
        raise ConversionError(
            f"the layer {quoted(called)} is used several times, so it can't be told which of its outputs is meant"
        )
    (node,) = calls[called]
    every = _flat(node.outputs)
    place = int(number) if called != name else 0
    if place >= len(every) or (len(every) > 1 and called == name):
        raise ConversionError(
            f"the layer {quoted(called)} has {len(every)} outputs: name one of them, from {quoted(f'{called}:0')} to "
            f"{quoted(f'{called}:{len(every) - 1}')}"
        )
    return every[place]


def _flat(structure: Any) -> list[Any]:
    import tensorflow as tf

    return list(tf.nest.flatten(structure))


def _nodes(outputs: Iterable[Any], inputs: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """The calls of layers that some outputs come from: layer and node, back to the inputs of the graph.

    A layer alone wouldn't say: a model that is used as a layer has outputs of its own besides, in a graph of its own.
    """
    pending, seen = list(outputs), set()
    while pending:
        tensor = pending.pop()
        history = getattr(tensor, "_keras_history", None)
        if history is None or any(tensor is each for each in inputs):
            continue
        node = history[0]._inbound_nodes[history[1]]
        if id(node) not in seen:
            seen.add(id(node))
            yield history[0], node
            pending += _taken(node)


def _taken(node: Any) -> list[Any]:
    """The tensors that a call takes, in Keras 3 and in tf_keras."""
    return _flat(node.input_tensors if hasattr(node, "input_tensors") else node.keras_inputs)


def _reached(outputs: Iterable[Any], inputs: Sequence[Any]) -> set[int]:
    """Which inputs some outputs depend on, by the ids of their tensors."""
    every = list(outputs)
    reached = {id(tensor) for tensor in every}
    for _, node in _nodes(every, inputs):
        reached.update(map(id, _taken(node)))
    return reached & {id(tensor) for tensor in inputs}


def _input_keys(fed: Mapping[str, Any], every: Mapping[str, Any], endpoint: Endpoint) -> dict[str, str]:
    """Name of each input → its key."""
    given = endpoint.inputs
    if isinstance(given, Mapping):
        layers = {_layer(tensor).name: name for name, tensor in every.items() if hasattr(tensor, "_keras_history")}
        given = {key: name if name in every else layers.get(name, name) for key, name in given.items()}
        _known(given.values(), every, "input")
        by_name = {name: key for key, name in given.items()}
        keys = {name: by_name.get(name, _fit(name)) for name in fed}
    else:
        keys = {name: key for key, name in _keys(every, given, "inputs", endpoint.key).items() if name in fed}
        if given is None:
            keys = {name: _fit(name) for name in fed}
    for key in keys.values():
        _check_key(key, "input")
    if len(set(keys.values())) < len(keys):
        raise ConversionError(
            f"two inputs of the signature {quoted(endpoint.key)} would have one key: {listed(keys.values())}"
        )
    return keys


def _keys(names: Iterable[str], given: Keys, what: str, signature_key: str) -> dict[str, str]:
    """Key → name in the model."""
    every = list(names)
    if given is None:
        return {name: name for name in every}
    if isinstance(given, Mapping):
        return {str(key): str(name) for key, name in given.items()}
    keys = list(given)
    if len(set(keys)) < len(keys):
        raise ConversionError(f"two {what} of the signature {quoted(signature_key)} would have one key: {listed(keys)}")
    if len(keys) != len(every):
        raise ConversionError(
            f"{len(keys)} keys are given for the {what} of the signature {quoted(signature_key)}, and there are "
            f"{len(every)}: {listed(every)}"
        )
    return dict(zip(keys, every, strict=True))


def _known(names: Iterable[str], every: Iterable[str], what: str) -> None:
    if missing := [name for name in names if name not in set(every)]:
        raise ConversionError(f"the model has no {what} {listed(missing)}; it has {listed(every)}")


def _fit(name: str) -> str:
    """A name that the loaders take as the key of an input; each becomes a parameter of a Python function."""
    name = name if name[:1].isalpha() else f"input_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name == "self" else name


def _check_key(key: str, what: str) -> None:
    if not _KEY.match(key) or (what == "input" and (keyword.iskeyword(key) or key == "self")):
        raise ConversionError(
            f"{quoted(key)} can't be the key of an {what}: take letters, digits, '_', '-' and '.', a letter first, and "
            "no word that Python keeps for itself"
        )


def _spec(tensor: Any, key: str) -> Any:
    import tensorflow as tf

    if getattr(tensor, "sparse", False) or getattr(tensor, "ragged", False) or isinstance(
        getattr(tensor, "type_spec", None), tf.RaggedTensorSpec | tf.SparseTensorSpec
    ):  # fmt: skip
        raise ConversionError(
            f"the input {quoted(key)} is sparse or ragged, which no request can hold: build it with a dense Input"
        )
    return tf.TensorSpec(tensor.shape, tensor.dtype, name=key)


def _dense(value: Any) -> Any:
    import tensorflow as tf

    if not isinstance(value, tf.Tensor):
        raise ConversionError("an output of the model is sparse or ragged, which no answer can hold")
    return value


def _of_call(model: Any, endpoint: Endpoint) -> Traced:
    """A model whose ``call`` is somebody's own: its inputs are what it was built for, its outputs what it gives."""
    import tensorflow as tf

    structure, names, leaves = _built_for(model)
    by_name = dict(zip(names, leaves, strict=True))
    keys = _input_keys(by_name, by_name, endpoint)
    specs = tuple(tf.TensorSpec(shape, dtype, name=keys[name]) for name, (shape, dtype) in by_name.items())

    def answer(*tensors: Any) -> dict[str, Any]:
        given = tf.nest.pack_sequence_as(structure, list(tensors))
        return _answers(model(given, training=False), endpoint, _dense)

    return Traced(answer, specs)


def _answers(results: Any, endpoint: Endpoint, made: Callable[[Any], Any]) -> dict[str, Any]:
    """The results of a call by the keys that are wanted."""
    if isinstance(results, Mapping):
        every = {str(key): value for key, value in results.items()}
    elif isinstance(results, list | tuple):
        every = {f"output_{number}": value for number, value in enumerate(results)}
    else:
        every = {"output": results}
    chosen = _keys(every, endpoint.outputs, "outputs", endpoint.key)
    if missing := [name for name in chosen.values() if name not in every]:
        raise ConversionError(
            f"the model has no output {listed(missing)}; it has {listed(every)}, and of a class of your own the layers "
            "inside can't be asked"
        )
    for key in chosen:
        _check_key(key, "output")
    return {key: made(every[name]) for key, name in chosen.items()}


def _built_for(model: Any) -> tuple[Any, list[str], list[tuple[Any, Any]]]:
    """What a model of somebody's own class takes: a structure of placeholders, a name for each, shape and dtype."""
    if getattr(model, "inputs", None):
        tensors = list(model.inputs)
        struct = _structure(model, "inputs")
        names = list(_by_name(tensors, struct))
        structure: Any = tensors if len(tensors) > 1 else tensors[0]
        if isinstance(struct, Mapping):
            structure = dict(struct)
            names = sorted(structure)
            tensors = [structure[name] for name in names]
        return structure, names, [(tensor.shape, tensor.dtype) for tensor in tensors]
    shape = _build_shape(model)
    dtype = getattr(model, "compute_dtype", None) or "float32"
    if isinstance(shape, Mapping):
        return dict.fromkeys(shape, 0), sorted(shape), [(_batch(shape[name]), dtype) for name in sorted(shape)]
    if isinstance(shape, list | tuple) and shape and all(isinstance(each, list | tuple) for each in shape):
        return (
            [0] * len(shape),
            [f"input_{number}" for number in range(len(shape))],
            [(_batch(each), dtype) for each in shape],
        )
    return 0, ["input"], [(_batch(shape), dtype)]


def _build_shape(model: Any) -> Any:
    shapes = getattr(model, "_build_shapes_dict", None)
    if shapes:
        if len(shapes) == 1:
            return next(iter(shapes.values()))
        raise ConversionError(
            f"the model takes several arguments ({listed(shapes)}): one that is a dict or a list can be served"
        )
    found = None
    with contextlib.suppress(Exception):  # not every class has it
        found = (model.get_build_config() or {}).get("input_shape")
    if found is None:
        raise ConversionError(
            "the shape of the model's input isn't known: call the model once on data before it is saved or handed over"
        )
    return found


def _batch(shape: Any) -> list[int | None]:
    """A shape whose batch may be of any size: what a model was built with says only what it was called with first."""
    return [None, *list(shape)[1:]]
