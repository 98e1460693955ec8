"""Whether the configuration of a Keras model names only what Keras itself brings: judged from the JSON, nothing is run.

A configuration is a program of a kind: Keras looks the classes and functions that it names up and calls them, and some
of them run bytecode that the file holds, load other files, or were imported from any module
(https://github.com/keras-team/keras/security/advisories). So every name is compared with a list of those that only
build layers, ``keras_classes.json``, which ``make_keras_classes`` writes; what isn't on it is refused, whatever
``safe_mode`` would make of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from explorer.errors import listed, printable_name, quoted

DEEPEST: Final = 200
"""How deep lists and objects may lie in one another; models in models in models have some 40."""

_KERAS_MODULE: Final = re.compile(r"(?:keras|tf_keras)(?:\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_INITIALIZER_MODULE: Final = re.compile(
    r"tensorflow\.python\.(?:keras\.initializers|ops)\.init(?:_ops|ializers)(?:_v[12])?\Z"
)
_OPERATION_MODULE: Final = re.compile(r"keras\.(?:src\.)?ops(?:\.[A-Za-z_][A-Za-z0-9_]*)*\Z")
_TYPE_SPEC_MODULE: Final = re.compile(r"tensorflow\.python\.(?:framework|ops\.ragged)\.[a-z_]+\Z")
_TYPE_SPECS: Final = frozenset(
    {"TensorSpec", "RaggedTensorSpec", "SparseTensorSpec", "IndexedSlicesSpec", "TensorShape"}
)

_VALUES: Final = frozenset(
    {
        "__tensor__",
        "__numpy__",
        "__bytes__",
        "__ellipsis__",
        "__slice__",
        "__tuple__",
        "__keras_tensor__",
        "TensorShape",
    }
)
"""What stands in a ``class_name`` for a plain value."""

_CODE: Final = {
    "Lambda": "a Lambda layer, whose Python code is stored in the file and would be run",
    "__lambda__": "a Python lambda, whose code is stored in the file and would be run",
    "TFSMLayer": "a TFSMLayer, which would load and run a SavedModel from another place",
    "TorchModuleWrapper": "a TorchModuleWrapper, which would unpickle a PyTorch module",
    "JaxLayer": "a JaxLayer, which calls a function that the file can't hold",
    "FlaxLayer": "a FlaxLayer, which calls a module that the file can't hold",
    "ResidualWrapper": "a ResidualWrapper, a function of which may be Python code in the file",
    "DropoutWrapper": "a DropoutWrapper, a function of which may be Python code in the file",
    "DeviceWrapper": "a DeviceWrapper, which places a cell on a device of the machine that made the file",
    "InstanceMethod": "an InstanceMethod layer, which calls a method that the file names",
    "InstanceProperty": "an InstanceProperty layer, which reads an attribute that the file names",
    "ClassMethod": "a ClassMethod layer, which calls a method that the file names",
    "TensorFlowOpLayer": "a TensorFlowOpLayer, which would run any op that the file names",
}
"""Classes that are refused whatever custom objects are given, and what they are."""

_SYMBOL_LAYERS: Final = ("TFOpLambda", "SlicingOpLambda")
_VOCABULARIES: Final = frozenset({"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"})
_KERAS_1: Final = {"Merge", "MaxoutDense", "Highway", "AtrousConvolution1D", "AtrousConvolution2D", "Deconvolution2D"}
_INSTEAD: Final = (
    "write that step as a layer class of your own, give the class by custom_objects, and save the model again; or "
    "build the model in Python and convert the model in memory"
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something in a configuration that stands in the way.

    Attributes:
        kind: ``code`` for what is refused in any case, ``custom`` for a class or function that must be given,
            ``operation`` for a function of Keras 3 that it can't find again from this file.
        name: The class or function.
        sentence: What is wrong, and what to do.
    """

    kind: str
    name: str
    sentence: str


def check_config(config: Any, custom: Collection[str] = ()) -> str:
    """Looks at every class and every function that a configuration names.

    Args:
        config: The configuration of a model, as ``json.loads`` gives it.
        custom: The names of the classes and functions that the caller brings.

    Returns:
        Why it is refused: one sentence. An empty text where Keras may build the model.
    """
    troubles = list(troubles_of(config, custom))
    for trouble in troubles:
        if trouble.kind in ("code", "operation"):
            return trouble.sentence
    names = list(dict.fromkeys(trouble.name for trouble in troubles))
    if len(names) < 2:
        return troubles[0].sentence if troubles else ""
    return (
        f"the classes or functions {listed(names)} aren't Keras' own: give them by custom_objects, name → module:Name "
        "or file.py:Name"
    )


def custom_names(config: Any) -> tuple[str, ...]:
    """The classes and functions that somebody must bring, because they aren't Keras' own."""
    return tuple(dict.fromkeys(trouble.name for trouble in troubles_of(config) if trouble.kind == "custom"))


def custom_aliases(config: Any, custom: Collection[str]) -> dict[str, str]:
    """Under which names Keras looks for what somebody brings: ``package>Name`` as well as ``Name``.

    Args:
        config: The configuration of a model.
        custom: The names under which classes and functions were given.

    Returns:
        Name in the configuration → the one of ``custom`` that is meant.
    """
    found = {name: name for name in custom}
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            name, registered = value.get("class_name"), value.get("registered_name")
            if isinstance(name, str) and isinstance(registered, str | None):
                key = _key_of(name, registered, custom)
                found.update({each: key for each in (name, registered) if key and each})
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return found


def _key_of(name: str, registered: str | None, custom: Collection[str]) -> str:
    """The given name that is meant by a class in the configuration; empty for none."""
    return next((key for key in (registered, name, name.rpartition(">")[2]) if key and key in custom), "")


def troubles_of(config: Any, custom: Collection[str] = ()) -> Iterator[Trouble]:
    """What stands in the way, place by place; see :func:`check_config`."""
    if isinstance(config, dict):  # compiling isn't asked for, and what it needs would be
        config = {key: value for key, value in config.items() if key not in ("compile_config", "training_config")}
    pending: list[tuple[Any, str, int]] = [(config, "", 0)]
    while pending:
        value, layer, depth = pending.pop()
        if depth > DEEPEST:
            yield Trouble("code", "", f"the configuration of the model is nested more than {DEEPEST} levels deep")
            return
        if isinstance(value, dict):
            if "class_name" in value:
                layer = _layer_name(value) or layer
                yield from _judged(value, layer, custom)
            yield from _identifiers(value, layer, custom)
            pending += [(item, layer, depth + 1) for item in reversed(value.values())]
        elif isinstance(value, list):
            pending += [(item, layer, depth + 1) for item in reversed(value)]


def _layer_name(entry: Mapping[str, Any]) -> str:
    inner = entry.get("config")
    for place in (entry, inner):
        if isinstance(place, dict) and isinstance(place.get("name"), str):
            return str(place["name"])
    return ""


def _judged(entry: Mapping[str, Any], layer: str, custom: Collection[str]) -> Iterator[Trouble]:
    """What is wrong with the class that one object of the configuration names."""
    name, module, registered = entry["class_name"], entry.get("module"), entry.get("registered_name")
    if not isinstance(name, str) or not isinstance(module, str | None) or not isinstance(registered, str | None):
        yield Trouble("code", "", f"{_where(layer)} has a class that is no text: the configuration is damaged")
    elif name in _VALUES:
        return
    elif name.rpartition(">")[2] in _CODE:
        what = _CODE[name.rpartition(">")[2]]
        yield Trouble("code", name, f"{_where(layer)} is {what} to load the model: {_INSTEAD}")
    elif name == "function":
        yield from _function(entry, module, registered, layer, custom)
    elif name in ("__typespec__", "TypeSpec", "CompositeTensor"):
        yield from _type_spec(entry, name, module, layer)
    elif _key_of(name, registered, custom):
        if module is not None and not _KERAS_MODULE.match(module) and registered is None and "registered_name" in entry:
            # Keras would then look for it in the module that the file names, and import that.
            yield Trouble("code", name, f"{_where(layer)} has no registered name: the configuration is damaged")
    elif name in _SYMBOL_LAYERS:
        yield from _symbol(entry, name, layer)
    else:
        yield from _class(entry, name, module, registered, layer)


def _class(
    entry: Mapping[str, Any], name: str, module: str | None, registered: str | None, layer: str
) -> Iterator[Trouble]:
    known = _known()
    if module is not None and not _KERAS_MODULE.match(module) and not _INITIALIZER_MODULE.match(module):
        yield _custom(name, f"of the module {quoted(module)}", layer)
    elif name in known["classes"] or (module and name in known["operations"] and _OPERATION_MODULE.match(module)):
        if registered not in (None, name) and not _is_own(registered or ""):
            yield _custom(registered or name, f"registered as {quoted(registered or name)}", layer)
        inner = entry.get("config")
        if name in _VOCABULARIES and isinstance(inner, dict) and isinstance(inner.get("vocabulary"), str):
            yield Trouble(
                "code", name,
                f"{_where(layer)} would read its vocabulary from the file {quoted(inner['vocabulary'])} when the model "
                "is loaded: set the vocabulary as a list and save the model again",
            )  # fmt: skip
    elif name in known["operations"] and module is None:
        yield Trouble(
            "operation", name,
            f"{_where(layer)} is the operation {quoted(name)} of keras.ops, of which an .h5 file doesn't say enough to "
            "load it: save the model as a .keras file",
        )  # fmt: skip
    elif name in _KERAS_1:
        yield Trouble(
            "custom", name,
            f"{_where(layer)} is of the class {quoted(name)}, which Keras 1 had and no later Keras has: load the model "
            "with the Keras that wrote it, rebuild it with today's layers, or give a class of that name by "
            "custom_objects",
        )  # fmt: skip
    else:
        yield _custom(name, "", layer)


def _is_own(registered: str) -> bool:
    """Whether Keras 2 registers a class of its own under such a name (``Custom>Adam``)."""
    package, _, name = registered.rpartition(">")
    return package in ("", "Custom", "keras", "Keras") and name in _known()["classes"]


def _function(
    entry: Mapping[str, Any], module: str | None, registered: str | None, layer: str, custom: Collection[str]
) -> Iterator[Trouble]:
    name = entry.get("config")
    if not isinstance(name, str):
        yield Trouble("code", "", f"{_where(layer)} names a function that is no text: the configuration is damaged")
    elif name not in custom and registered not in custom and not _is_keras_function(name, module):
        place = f" of the module {quoted(module)}" if module not in (None, "builtins") else ""
        yield Trouble(
            "custom", name,
            f"{_where(layer)} calls the function {quoted(name)}{place}, which isn't one of those that Keras has for "
            f"models: give it by custom_objects, {quoted(name)} → module:name or file.py:name",
        )  # fmt: skip


def _type_spec(entry: Mapping[str, Any], name: str, module: str | None, layer: str) -> Iterator[Trouble]:
    spec = entry.get("spec_name") if name == "__typespec__" else entry.get("type_spec")
    short = spec.rpartition(".")[2] if isinstance(spec, str) else ""
    in_tensorflow = module is None or bool(_TYPE_SPEC_MODULE.match(module))
    if name == "CompositeTensor" or short not in _TYPE_SPECS or not in_tensorflow:
        yield Trouble(
            "code", name, f"{_where(layer)} has an input of the type {quoted(short or name)}, which no server takes"
        )


def _symbol(entry: Mapping[str, Any], name: str, layer: str) -> Iterator[Trouble]:
    inner = entry.get("config")
    symbol = inner.get("function") if isinstance(inner, dict) else None
    if not isinstance(symbol, str) or symbol not in _known()["symbols"]:
        which = f"tf.{printable_name(symbol)}" if isinstance(symbol, str) else "nothing"
        yield Trouble(
            "code", name,
            f"{_where(layer)} calls {which} by its name, which isn't one of TensorFlow's functions that only compute: "
            f"{_INSTEAD}",
        )  # fmt: skip


def _identifiers(entry: Mapping[str, Any], layer: str, custom: Collection[str]) -> Iterator[Trouble]:
    """Activations that an object of the configuration names by a word alone."""
    for key in ("activation", "recurrent_activation"):
        word = entry.get(key)
        if isinstance(word, str) and word and not (_is_activation(word) or {word, word.rpartition(">")[2]} & {*custom}):
            yield Trouble(
                "custom", word,
                f"{_where(layer)} has the activation {quoted(word)}, which isn't one of Keras' own: give the "
                f"function by custom_objects, {quoted(word)} → module:name or file.py:name",
            )  # fmt: skip


def _is_activation(word: str) -> bool:
    return word in _known()["functions"] or word in _known()["classes"]


def _is_keras_function(name: str, module: str | None) -> bool:
    return (module in (None, "builtins") or bool(_KERAS_MODULE.match(module or ""))) and name in _known()["functions"]


def _custom(name: str, place: str, layer: str) -> Trouble:
    which = f"the class {quoted(name)}{f' {place}' if place else ''}"
    return Trouble(
        "custom", name,
        f"{_where(layer)} is of {which}, which isn't Keras' own: give it by custom_objects, {quoted(name)} → "
        "module:Name or file.py:Name",
    )  # fmt: skip


def _where(layer: str) -> str:
    return f"layer {quoted(layer)}" if layer else "the model"


@cache
def _known() -> Mapping[str, frozenset[str]]:
    """The names that may stand in a configuration: classes, operations, functions, symbols of TensorFlow."""
    found = json.loads(Path(__file__).with_name("keras_classes.json").read_text(encoding="utf-8"))
    return {kind: frozenset(found[kind]) for kind in ("classes", "operations", "functions", "symbols")}
