"""What the child process does for a file of Keras as the source of a conversion: loads it with Keras and calls it.

The model itself is called, or a part of it where a signature answers with inner layers, and nothing that the conversion
wrote takes part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from explorer.errors import RunError, listed
from explorer.runtime.keras_description import unique_keys
from explorer.runtime.keras_loading import load_keras_file
from explorer.runtime.run_models import Parts, Runner, as_answer, as_fed
from explorer.savedmodel.tensors import Tensor

Values = Mapping[str, Any]
"""Tensors by key."""

Names = Sequence[Sequence[str]]
"""For each input or output of a model, in order, what it may be called."""

_NUMBERED = re.compile(r"input_[0-9]+\Z")


@contextmanager
def open_keras(path: Path, options: Mapping[str, Any], remapper: bool) -> Iterator[Runner]:
    """Loads a file of Keras, once it has been looked through.

    Args:
        path: The file.
        options: ``signatures``, what the inputs and outputs of each signature are in the model; the rest says how to
            load it.
        remapper: Whether grappler may fuse ops.
    """
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"remapping": remapper})
    architecture = options["architecture"]
    loaded = load_keras_file(
        path,
        Path.cwd(),
        architecture=None if architecture is None else Path(architecture),
        custom=options["custom_objects"],
        paths=options["paths"],
    )
    yield keras_runner(loaded.model, loaded.keras, options["signatures"])


def keras_runner(model: Any, keras: Any, signatures: Mapping[str, Mapping[str, Any]]) -> Runner:
    """What runs a model of Keras.

    Args:
        model: The model.
        keras: The module that it is of, ``keras`` or ``tf_keras``.
        signatures: Signature key → ``inputs`` and ``outputs``, what they are called in the model, by their keys, where
            somebody said it; and ``layer``, what a signature with one output answers with, None for the model itself.
    """
    import tensorflow as tf

    calls: dict[str, Callable[[Values], Values]] = {}

    def run(entry: Mapping[str, Any]) -> dict[str, Parts]:
        key = entry["signature_key"]
        wanted = [fetch["key"] for fetch in entry["fetches"]]
        values = {}
        for feed in entry["feeds"]:
            value = Tensor.read(Path(feed["file"]))
            values[feed["key"]] = tf.constant(as_fed(value), dtype=tf.dtypes.as_dtype(value.dtype))
        if key not in calls:
            calls[key] = _call(model, keras, signatures[key], list(values), wanted)
        answers = calls[key](values)
        return {
            name: [as_answer(part.numpy()) for part in tf.nest.flatten(answers[name], expand_composites=True)]
            for name in wanted
        }

    return run


def _call(
    model: Any, keras: Any, said: Mapping[str, Any], fed: Sequence[str], wanted: Sequence[str]
) -> Callable[[Values], Values]:
    """What gives the outputs of a signature for its inputs."""
    named = {key: said["outputs"].get(key, key) for key in wanted}
    if said["layer"] is not None and len(wanted) == 1:
        named = dict.fromkeys(wanted, said["layer"])
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        return lambda values: _found(model(_as_one(values), training=False), [], named)
    inputs, outputs = _input_names(model), _output_names(model)
    places = _placed({key: said["inputs"].get(key, key) for key in fed}, inputs)
    if len(places) < len(fed):
        there = listed(one[0] for one in inputs)
        raise RunError(f"the source takes the inputs {there}, and the signature {listed(fed)}")
    inner = {key: tensor for key, name in named.items() if (tensor := _inner(model, name, outputs)) is not None}
    if inner or len(places) < len(inputs):
        return _part(model, keras, places, inner, _placed(_without(named, inner), outputs))

    def call(values: Values) -> Values:
        import tensorflow as tf

        ordered = [values[key] for key in sorted(places, key=places.__getitem__)]
        return _found(model(tf.nest.pack_sequence_as(_structure(model), ordered), training=False), outputs, named)

    return call


def _part(
    model: Any, keras: Any, places: Mapping[str, int], inner: Values, own: Mapping[str, int]
) -> Callable[[Values], Values]:
    """Calls the part of a model that leads from some inputs to some outputs and layers."""
    fed = sorted(places, key=places.__getitem__)
    tensors = {**inner, **{key: model.outputs[place] for key, place in own.items()}}
    part = keras.Model([model.inputs[places[key]] for key in fed], list(tensors.values()))

    def call(values: Values) -> Values:
        import tensorflow as tf

        ordered = [values[key] for key in fed]
        answers = tf.nest.flatten(part(ordered if len(ordered) > 1 else ordered[0], training=False))
        return dict(zip(tensors, answers, strict=True))

    return call


def _as_one(values: Values) -> Any:
    """Inputs as a class of somebody's own takes them: one alone, several as a list or by their keys."""
    if len(values) == 1:
        return next(iter(values.values()))
    if all(_NUMBERED.match(key) for key in values):
        return [values[key] for key in sorted(values, key=_natural)]
    return dict(values)


def _found(answer: Any, names: Names, named: Mapping[str, str]) -> dict[str, Any]:
    """The outputs that are wanted among the tensors of an answer."""
    import tensorflow as tf

    tensors = tf.nest.flatten(answer)
    own: Names = names if len(names) == len(tensors) else [[f"output_{place}"] for place in range(len(tensors))]
    every = _joined(own, sorted(answer) if isinstance(answer, Mapping) else [])
    places = _placed(named, every)
    if missing := [name for key, name in named.items() if key not in places]:
        there = listed(one[0] for one in every)
        raise RunError(f"the source has no output and no layer {listed(missing)}; its outputs are {there}")
    return {key: tensors[place] for key, place in places.items()}


def _inner(model: Any, name: str, outputs: Names) -> Any:
    """The output of a layer, ``name:1`` for the second of several; None for a name that is no inner layer's."""
    if _exact(name, outputs) is not None:
        return None
    layers = {layer.name: layer for layer in model.layers}
    before, _, number = name.rpartition(":")
    if name in layers:
        return layers[name].output
    if before in layers and number.isdecimal():
        import tensorflow as tf

        return tf.nest.flatten(layers[before].output)[int(number)]
    return None


def _without(named: Mapping[str, str], others: Mapping[str, Any]) -> dict[str, str]:
    return {key: name for key, name in named.items() if key not in others}


def _input_names(model: Any) -> Names:
    import tensorflow as tf

    structure = _structure(model)
    own = getattr(model, "input_names", None) or [tensor.name for tensor in tf.nest.flatten(structure)]
    return _joined([[name] for name in own], sorted(structure) if isinstance(structure, Mapping) else [])


def _structure(model: Any) -> Any:
    """The inputs of a model as it takes them: one, a list or a dictionary."""
    try:
        return model.input
    except (AttributeError, ValueError):  # of Keras 3, a Sequential model that was loaded has none
        return list(model.inputs) if len(model.inputs) > 1 else model.inputs[0]


def _output_names(model: Any) -> Names:
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    return _joined([[name] for name in names], [])


def _joined(names: Names, keys: Sequence[str]) -> Names:
    """The names with the keys of a dictionary besides, if it is one, and both as keys that every client can send."""
    every = [[*key, *own] for key, own in zip([[key] for key in keys] or [[]] * len(names), names, strict=True)]
    first = unique_keys(own[0] for own in every)
    return [[*own, key] for own, key in zip(every, first, strict=True)]


def _exact(name: str, names: Names) -> int | None:
    return next((place for place, every in enumerate(names) if name in every), None)


def _placed(named: Mapping[str, str], names: Names) -> dict[str, int]:
    """Which input or output of a model each key stands for: by its name; the rest in order, if the numbers agree."""
    places = {key: place for key, name in named.items() if (place := _exact(name, names)) is not None}
    open_keys = sorted((key for key in named if key not in places), key=_natural)
    left = [place for place in range(len(names)) if place not in places.values()]
    if len(open_keys) == len(left):
        places.update(zip(open_keys, left, strict=True))
    return places


def _natural(key: str) -> list[tuple[int, str]]:
    """Sorts ``output_10`` after ``output_9``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", key)]
