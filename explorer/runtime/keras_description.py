"""What the configuration of a Keras model says about it: layers, inputs and outputs. Plain data, nothing is built."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

SEQUENTIAL: Final = "Sequential"
INPUT_LAYER: Final = "InputLayer"

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_ARGUMENTS_OF_KERAS_1: Final = ("W_regularizer", "W_constraint", "border_mode", "inner_init", "nb_filter")
_DIFFERENT_IN_KERAS_3: Final = ("hard_sigmoid", "HardSigmoid")


@dataclass(frozen=True, slots=True)
class Described:
    """A model as its configuration describes it.

    Attributes:
        class_name: Its class: ``Functional``, ``Sequential`` or the name of somebody's own.
        name: Its name; may be empty.
        layers: Name and class of each layer, in order.
        inputs: Key, dtype and shape of each input; a shape is None where it isn't known.
        outputs: A key for each output: the one that it has in a dict, else the name of the layer that it comes from.
    """

    class_name: str
    name: str = ""
    layers: tuple[tuple[str, str], ...] = ()
    inputs: tuple[tuple[str, str, tuple[int | None, ...] | None], ...] = ()
    outputs: tuple[str, ...] = ()


def describe(config: Mapping[str, Any]) -> Described:
    """Reads what a configuration says, as far as it is well formed."""
    class_name = _text(config.get("class_name"))
    inner = config.get("config")
    inner_config: Any = inner if isinstance(inner, dict) else {}
    entries = inner_config.get("layers") if isinstance(inner, dict) else inner
    layers = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    name = _text(inner_config.get("name"))
    pairs = tuple((_name(entry), _text(entry.get("class_name"))) for entry in layers)
    if class_name == SEQUENTIAL:
        inputs, outputs = _of_sequence(config, inner_config, layers), [pairs[-1][0]] if pairs else []
    else:
        inputs = _of_graph(inner_config, layers)
        outputs = [key for key, _ in _ends(inner_config.get("output_layers"))]
    return Described(class_name, name, pairs, tuple(inputs), unique_keys(outputs))


def unique_keys(names: Iterable[str]) -> tuple[str, ...]:
    """Keys for some names, no two alike, each of characters that every client can send."""
    keys: list[str] = []
    for name in names:
        key = _UNFIT.sub("_", name).lstrip("_.-") or "output"
        number, free = 1, key
        while free in keys:
            free = f"{key}_{number}"
            number += 1
        keys.append(free)
    return tuple(keys)


def keras_1_argument(config: Any) -> str:
    """An argument of a layer that Keras 1 had and no later Keras takes; empty where there is none."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if found := next((name for name in _ARGUMENTS_OF_KERAS_1 if name in value), ""):
                return found
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return ""


def needs_keras_2(config: Any) -> str:
    """A word in a configuration of Keras 2 that Keras 3 takes without complaint and computes otherwise.

    ``hard_sigmoid`` was max(0, min(1, 0.2 x + 0.5)) and is relu6(x + 3) / 6 in Keras 3
    (https://github.com/keras-team/keras/blob/master/keras/src/activations/activations.py).

    Returns:
        The word, or an empty text.
    """
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, str) and value in _DIFFERENT_IN_KERAS_3:
            return value
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return ""


def _of_graph(config: Mapping[str, Any], layers: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    by_name = {_name(entry): entry for entry in layers}
    places = _ends(config.get("input_layers"))
    for key, name in zip(unique_keys(key for key, _ in places), (name for _, name in places), strict=True):
        yield key, *_input(name, by_name.get(name, {}))[1:]


def _of_sequence(config: Mapping[str, Any], inner: Mapping[str, Any], layers: list[Any]) -> Iterator[Any]:
    if not layers:
        return
    name, dtype, shape = _input(_name(layers[0]), layers[0])
    if layers[0].get("class_name") != INPUT_LAYER:  # Keras 2 makes one and calls it so
        name = f"{name}_input"
    build = config.get("build_config")
    for place in (inner.get("build_input_shape"), build.get("input_shape") if isinstance(build, dict) else None):
        shape = shape if shape is not None else _shape(place)
    yield name, dtype, shape


def _input(name: str, entry: Mapping[str, Any]) -> tuple[str, str, tuple[int | None, ...] | None]:
    inner = entry.get("config")
    config: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
    shape = _shape(config.get("batch_shape"))
    dtype: Any = config.get("dtype")
    if isinstance(dtype, dict):
        policy = dtype.get("config")
        dtype = policy.get("name") if isinstance(policy, dict) else ""
    return name, _text(dtype), shape if shape is not None else _shape(config.get("batch_input_shape"))


def _shape(value: Any) -> tuple[int | None, ...] | None:
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        value = value.get("items")
    if not isinstance(value, list) or not all(isinstance(size, int | None) for size in value):
        return None
    return tuple(value)


def _ends(value: Any) -> list[tuple[str, str]]:
    """The places that ``input_layers`` or ``output_layers`` name, ``[name, node, tensor]``, bare, in lists or dicts.

    Returns:
        For each the key that it has in a dict, else the layer's name; and the layer's name.
    """
    found: list[tuple[str, str]] = []
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        key, place = pending.pop()
        if isinstance(place, dict):
            if place.get("class_name") == "__tuple__":
                pending.append((key, place.get("items")))
            else:
                pending += [(str(name), each) for name, each in reversed(place.items())]
        elif isinstance(place, list):
            if place and isinstance(place[0], str):
                found.append((key or place[0], place[0]))
            else:
                pending += [("", each) for each in reversed(place)]
    return found


def _name(entry: Mapping[str, Any]) -> str:
    inner = entry.get("config")
    return _text(entry.get("name")) or (_text(inner.get("name")) if isinstance(inner, dict) else "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
