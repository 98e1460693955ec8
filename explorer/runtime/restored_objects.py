"""What the child process does to put the values of a checkpoint of TensorFlow 2 into a loaded SavedModel.

TensorFlow itself matches the objects of the two by their attributes. Exported models have other attributes than the
model that was saved (a plain list of variables); there the names that the variables have in both say who belongs
together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from explorer.errors import RunError, quoted

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_MOST_ROOTS = 30


def restore_objects(loaded: Any, prefix: str) -> None:
    """Gives every variable that the signatures of a model use the value of a checkpoint.

    Args:
        loaded: What ``tf.saved_model.load`` gave.
        prefix: The prefix of the checkpoint.

    Raises:
        RunError: It isn't clear which value belongs to which variable.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    reader = tf.train.load_checkpoint(prefix)
    if not reader.has_tensor(_OBJECT_GRAPH):
        raise RunError("the checkpoint has no object graph, so it is none of TensorFlow 2")
    objects = trackable_object_graph_pb2.TrackableObjectGraph.FromString(reader.get_tensor(_OBJECT_GRAPH))
    for path in _roots(objects):
        if _matches(loaded, prefix, path):
            return
    _restore_by_name(loaded, reader, objects)


def _roots(objects: Any) -> Iterator[tuple[str, ...]]:
    """Where in the checkpoint the model may hang: at the root, or one or two attributes below it."""
    yield ()
    found = [(child.local_name, child.node_id) for child in objects.nodes[0].children][:_MOST_ROOTS]
    for name, _ in found:
        yield (name,)
    for name, node in found:
        for child in objects.nodes[node].children[:_MOST_ROOTS]:
            yield name, child.local_name


def _matches(loaded: Any, prefix: str, path: tuple[str, ...]) -> bool:
    """Whether TensorFlow restores every object of the model with a value; if so, it has done it."""
    import tensorflow as tf

    root = loaded
    try:
        for name in reversed(path):
            root = tf.train.Checkpoint(**{name: root})
        status = tf.train.Checkpoint(root=root).read(prefix) if root is loaded else root.read(prefix)
        status.expect_partial()
        status.assert_existing_objects_matched()
    except (AssertionError, ValueError, TypeError, tf.errors.OpError):  # other objects, or other shapes
        return False
    return True


def _restore_by_name(loaded: Any, reader: Any, objects: Any) -> None:
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    keys: dict[str, list[str]] = {}
    for node in objects.nodes:
        for attribute in node.attributes:
            if attribute.full_name and attribute.checkpoint_key in shapes:
                keys.setdefault(attribute.full_name, []).append(attribute.checkpoint_key)
    variables = _variables(loaded)
    if not variables.keys() <= keys.keys():
        variables, keys = _counted_anew(variables), _counted_anew(keys)
    for name, every in variables.items():
        fitting = [
            key
            for key in keys.get(name, [])
            if all(shapes[key] == one.shape.as_list() and dtypes[key] == one.dtype for one in every)
        ]
        if len(fitting) != 1:
            what = "no value" if not fitting else "several values"
            own = every[0].name.removesuffix(":0")
            raise RunError(f"the checkpoint has {what} for the variable {quoted(own)} of the architecture")
        value = reader.get_tensor(fitting[0])
        for variable in every:
            variable.assign(value)


def _counted_anew(by_name: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The same by names in which the layers of a kind are numbered from 0: Keras numbers all that a program makes.

    ``dense_7/kernel`` and ``dense_9/kernel`` become ``dense 0 of 2/kernel`` and ``dense 1 of 2/kernel``; with as many
    as there are in the name, models with more or fewer of them don't fit.
    """
    numbers: dict[tuple[str, str], set[int]] = {}
    for name in by_name:
        for scope, base, number in _parts(name):
            numbers.setdefault((scope, base), set()).add(number)
    found: dict[str, list[Any]] = {}
    for name, every in by_name.items():
        parts = []
        for scope, base, number in _parts(name):
            alike = sorted(numbers[scope, base])
            parts.append(f"{base} {alike.index(number)} of {len(alike)}")
        found.setdefault("/".join([*parts, name.rpartition("/")[2]]), []).extend(every)
    return found


def _parts(name: str) -> Iterator[tuple[str, str, int]]:
    """The scopes of a variable's name: the scope around each, its name without its number, and the number."""
    *scopes, _ = name.split("/")
    for depth, part in enumerate(scopes):
        base, _, number = part.rpartition("_")
        is_numbered = bool(base) and number.isdecimal()
        yield "/".join(scopes[:depth]), base if is_numbered else part, int(number) if is_numbered else -1


def _variables(loaded: Any) -> Mapping[str, list[Any]]:
    """The variables that the signatures use, by the name that they had when the model was saved.

    An exported model may hold one variable twice.
    """
    found: dict[str, list[Any]] = {}
    for function in loaded.signatures.values():
        for variable in function.variables:
            every = found.setdefault(variable.name.removesuffix(":0"), [])
            if not any(variable is other for other in every):
                every.append(variable)
    return found
