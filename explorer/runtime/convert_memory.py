"""Turns a model that is in memory into a SavedModel: the caller's own Keras model or ``tf.Module``, in this process.

It is the caller's own object, whose code has run already, so no child process is needed.
"""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from explorer.errors import ConversionError, listed, quoted
from explorer.runtime.convert_keras import KerasConversion, Keys, planned_endpoints
from explorer.runtime.keras_export import Endpoint, export_keras_model
from explorer.runtime.keras_files import look_inside
from explorer.runtime.keras_names import settle, settle_endpoints
from explorer.runtime.restored_model import restore_checkpoint
from explorer.savedmodel import constants

_KERAS: Final = ("keras", "tf_keras")
_CALLS: Final = ("__call__", "serve", "call", "predict")


def convert_model(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    input_keys: Keys = None,
    output_keys: Keys = None,
    endpoints: Mapping[str, str | Sequence[str] | None] | None = None,
) -> KerasConversion:
    """Turns a model in memory into a SavedModel that every server can run.

    Args:
        model: A model of Keras 3 or tf_keras, or a ``tf.Module`` with a ``tf.function``.
        folder: Where the SavedModel goes; a folder that is empty or isn't there yet.
        checkpoint: What is restored into the model first, which it changes: the prefix of a checkpoint of
            ``tf.train.Checkpoint``, or a file of Keras weights.
        signature_key: The key of the signature.
        input_keys: As for :func:`explorer.runtime.convert_keras.convert_keras`; not for a ``tf.Module``, whose
            function has names of its own.
        output_keys: As there. Of a ``tf.Module``: output key → the name in the dict that the function gives, or keys
            in order.
        endpoints: As there. Of a ``tf.Module``: signature key → the name of a function.

    Raises:
        ConversionError: It is no such model, the checkpoint doesn't fit, or there is no such input, output or function.
        ExportError: The folder can't be written.
    """
    target = Path(folder)
    keras = _keras_of(model)
    if target.exists() and any(target.iterdir()):
        raise ConversionError(f"the folder {quoted(str(target))} isn't empty")
    if checkpoint is not None:
        _restore(keras, model, os.fspath(checkpoint))
    planned = planned_endpoints(signature_key, input_keys, output_keys, endpoints)
    wanted = [Endpoint(each["key"], each["inputs"], each["outputs"]) for each in planned]
    if keras is not None:
        export_keras_model(keras, model, target, wanted)
        made = settle_endpoints(target, wanted)
        framework = f"{'Keras' if keras.__name__ == 'keras' else keras.__name__} {keras.__version__}"
    else:
        made, framework = _export_module(model, target, signature_key, output_keys, endpoints or {})
    signatures = {key: (tuple(each["inputs"]), tuple(each["outputs"])) for key, each in made.items()}
    return KerasConversion(target, framework, signatures)


def _keras_of(model: Any) -> Any:
    """The Keras that a model is of, None for a ``tf.Module``.

    Raises:
        ConversionError: It is neither.
    """
    roots = [(cls.__module__.partition(".")[0], cls.__name__) for cls in type(model).__mro__]
    for name in _KERAS:
        if (name, "Layer") in roots:
            return importlib.import_module(name)
    if any(root == "tensorflow" and name in ("Module", "AutoTrackable") for root, name in roots):
        return None
    raise ConversionError(
        f"a {quoted(type(model).__name__)} can't be converted: give the path of a source, a model of Keras, or a "
        "tf.Module with a tf.function"
    )


def _restore(keras: Any, model: Any, checkpoint: str) -> None:
    path = os.path.expanduser(checkpoint)
    if not os.path.isfile(path):
        restore_checkpoint(model, path)
        return
    if keras is None:
        raise ConversionError(
            f"{quoted(checkpoint)} is a file: into a tf.Module the prefix of a checkpoint is restored"
        )
    found = look_inside(path)
    if not getattr(model, "built", False):
        raise ConversionError("the model isn't built, so it has no weights to fill: call it once on data before")
    try:
        model.load_weights(path)
    except Exception as error:  # Keras raises what its layers raise
        raise ConversionError(
            f"the weights in {quoted(checkpoint)}, which {found.title}, don't fit the model: "
            f"{' '.join(str(error).split())[:300]}"
        ) from None


def _export_module(
    model: Any, folder: Path, signature_key: str, output_keys: Keys, endpoints: Mapping[str, Any]
) -> tuple[dict[str, dict[str, list[str]]], str]:
    """Writes a ``tf.Module`` with the functions that are asked for as signatures."""
    import tensorflow as tf

    functions = _functions(model)
    asked = {key: name for key, name in endpoints.items() if name is not None}
    if missing := [name for name in asked.values() if name not in functions]:
        raise ConversionError(f"the module has no tf.function {listed(map(str, missing))}; it has {listed(functions)}")
    main: str | None = next((name for name in _CALLS if name in functions), None)
    if main is None:
        if len(functions) != 1:
            raise ConversionError(
                f"the module has {len(functions)} functions of tf.function, and none is called __call__: name them by "
                f"endpoints=, signature key → function; it has {listed(functions)}"
            )
        (main,) = functions
    names = {signature_key: main, **asked}
    signatures = {}
    for key, name in names.items():
        keys = output_keys if key == signature_key else None
        signatures[key] = _answering(model, name, functions[name], keys)
    try:
        tf.saved_model.save(model, str(folder), signatures=signatures)
    except (ValueError, TypeError, AssertionError) as error:
        raise ConversionError(f"TensorFlow can't save the module: {' '.join(str(error).split())[:300]}") from None
    settled = settle(folder, {key: key for key in names}).meta_graph().callable_signatures
    made = {key: {"inputs": list(each.inputs), "outputs": list(each.outputs)} for key, each in settled.items()}
    return made, f"TensorFlow {tf.__version__}"


def _functions(model: Any) -> dict[str, Any]:
    """The functions of a module that TensorFlow can trace: their names and they themselves."""
    import tensorflow as tf

    names = [name for name, _ in inspect.getmembers_static(model) if not name.startswith("_") or name == "__call__"]
    found = {name: getattr(model, name, None) for name in names}
    return {
        name: value for name, value in found.items() if isinstance(value, tf.types.experimental.PolymorphicFunction)
    }


def _answering(model: Any, name: str, function: Any, keys: Keys) -> Any:
    """A concrete function that answers with a dict of the wanted keys."""
    import tensorflow as tf

    concrete = _concrete(name, function)
    results = concrete.structured_outputs
    if isinstance(results, Mapping) and not keys:
        return concrete
    inside = list(results) if isinstance(results, Mapping) else _numbered(results)
    chosen = dict(keys) if isinstance(keys, Mapping) else dict(zip(keys or inside, inside, strict=False))
    if keys and (len(chosen) != len(keys) or any(place not in inside for place in chosen.values())):
        raise ConversionError(
            f"the function {quoted(name)} gives the outputs {listed(inside)}, and {listed(chosen)} were asked for"
        )
    specs = concrete.structured_input_signature
    wrapped = tf.function(lambda *args, **kwargs: _renamed(function(*args, **kwargs), chosen))
    return wrapped.get_concrete_function(*specs[0], **specs[1])


def _renamed(results: Any, chosen: Mapping[str, str]) -> dict[str, Any]:
    if isinstance(results, Mapping):
        every = dict(results)
    else:
        values = list(results) if isinstance(results, list | tuple) else [results]
        every = dict(zip(_numbered(results), values, strict=True))
    return {key: every[place] for key, place in chosen.items()}


def _numbered(results: Any) -> list[str]:
    count: Iterable[Any] = results if isinstance(results, list | tuple) else [results]
    return [f"output_{number}" for number, _ in enumerate(count)]


def _concrete(name: str, function: Any) -> Any:
    """The one trace of a function."""
    if getattr(function, "input_signature", None) is not None:
        return function.get_concrete_function()
    traces = function._list_all_concrete_functions()
    if len(traces) != 1:
        raise ConversionError(
            f"the function {quoted(name)} was traced {len(traces)} times: give it an input_signature, so that there is "
            "one form of it"
        )
    return traces[0]
