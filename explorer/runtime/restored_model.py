"""Restores a checkpoint of TensorFlow 2 into a model in memory, and makes sure that all of the model was in it."""

from __future__ import annotations

from typing import Any

from explorer.errors import ConversionError, listed, quoted

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


def restore_checkpoint(model: Any, prefix: str) -> str:
    """Restores a checkpoint into a model; the model keeps its values where it doesn't fit.

    Programs name the model in a checkpoint as they like (``Checkpoint(model=…)``, ``Checkpoint(net=…)``), or save the
    model itself; every name at the root of the checkpoint is tried.

    Args:
        model: A model of Keras or a ``tf.Module``.
        prefix: The prefix of the checkpoint, or the folder with the newest one.

    Returns:
        The name that the model has in the checkpoint; empty where it is the root.

    Raises:
        ConversionError: There is no checkpoint, or no place in it where all variables of the model are.
    """
    import tensorflow as tf

    place = tf.train.latest_checkpoint(prefix) or prefix
    try:
        keys = [name for name, _ in tf.train.list_variables(place)]
    except (tf.errors.OpError, ValueError) as error:
        raise ConversionError(
            f"there is no checkpoint at {quoted(prefix)}: {' '.join(str(error).split())[:200]}"
        ) from None
    variables = list(model.variables)
    before = [tf.identity(tf.convert_to_tensor(variable)) for variable in variables]
    if not before:
        raise ConversionError("the model has no variables yet: call it once on data, so that it makes them")
    # A Keras model may be found at the root by chance, each of its layers by another name; so that comes last.
    name: str
    for name in (*dict.fromkeys(key.partition("/")[0] for key in keys if key.endswith(_SUFFIX)), ""):
        checkpoint = tf.train.Checkpoint(**{name: model}) if name.isidentifier() else tf.train.Checkpoint(root=model)
        try:
            checkpoint.read(place).assert_existing_objects_matched().expect_partial()
        except (AssertionError, ValueError, tf.errors.OpError):
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)
            continue
        return name
    held = [key.removesuffix(_SUFFIX) for key in keys if key.endswith(_SUFFIX)]
    raise ConversionError(
        f"the checkpoint {quoted(prefix)} doesn't fit the model: it lacks some of its {len(variables)} variables; "
        f"it holds {listed(held)}"
    )
