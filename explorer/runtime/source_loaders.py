"""What the child process does for the source of a conversion: brings a graph and its values together and runs it.

Nothing here knows how the SavedModel was made: TensorFlow imports the graph and restores the checkpoint itself.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from explorer.errors import RunError, quoted
from explorer.runtime.run_models import Parts, Runner, as_answer, as_fed, by_key, fetched, signatures_runner
from explorer.savedmodel.tensors import Tensor

_PART = re.compile(r"(.+)/part_([0-9]+)\Z", re.DOTALL)

_VARIABLES = frozenset({"Variable", "VariableV2", "VarHandleOp"})
_PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2"})
_TABLE_OPS = frozenset(
    {"InitializeTable", "InitializeTableV2", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}
    | {"LookupTableImport", "LookupTableImportV2"}
)


def open_source(path: Path, options: Mapping[str, Any], remapper: bool) -> AbstractContextManager[Runner]:
    """Loads a source.

    Args:
        path: The graph, the architecture or the file of Keras.
        options: ``source`` says which of them; the rest is what :mod:`explorer.runtime.source_tasks` put there.
        remapper: Whether grappler may fuse ops.

    Returns:
        What gives the function that runs it.
    """
    if options["source"] == "keras":
        from explorer.runtime.source_keras import open_keras

        return open_keras(path, options, remapper)
    return _SOURCES[options["source"]](path, options, remapper)


@contextmanager
def _graph(path: Path, options: Mapping[str, Any], remapper: bool) -> Iterator[Runner]:
    """A GraphDef; its variables, if it has any, get the values of a checkpoint by their names."""
    with _session(remapper) as session:
        import tensorflow as tf

        tf.import_graph_def(_graph_def(path, options["is_meta"]), name="")
        if "prefix" in options:
            _assign_values(session, options["prefix"])
        _start_tables(session)
        yield _runner(session, options["constants"])


@contextmanager
def _meta(path: Path, options: Mapping[str, Any], remapper: bool) -> Iterator[Runner]:
    """A MetaGraphDef, restored by the saver that it describes."""
    with _session(remapper) as session:
        import tensorflow as tf

        saver = tf.compat.v1.train.import_meta_graph(str(path), clear_devices=True)
        with contextlib.suppress(tf.errors.OpError):  # an output that needs one says so itself
            session.run(tf.compat.v1.local_variables_initializer())
        if saver is not None:
            saver.restore(session, options["prefix"])
        _start_tables(session)
        yield _runner(session, options["constants"])


@contextmanager
def _architecture(path: Path, options: Mapping[str, Any], remapper: bool) -> Iterator[Runner]:
    """A SavedModel of TensorFlow 2 whose variables get the values of a checkpoint of objects."""
    import tensorflow as tf

    from explorer.runtime.restored_objects import restore_objects

    tf.config.optimizer.set_experimental_options({"remapping": remapper})
    loaded = tf.saved_model.load(str(path))
    restore_objects(loaded, options["prefix"])
    yield signatures_runner(loaded)


@contextmanager
def _session(remapper: bool) -> Iterator[Any]:
    import tensorflow as tf

    config = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    if not remapper:
        config.graph_options.rewrite_options.remapping = config.graph_options.rewrite_options.OFF
    with tf.Graph().as_default(), tf.compat.v1.Session(config=config) as session:
        yield session


def _graph_def(path: Path, is_meta: bool) -> Any:
    """The GraphDef in a file, binary or text, its nodes placed nowhere."""
    import tensorflow as tf
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError

    message = tf.compat.v1.MetaGraphDef() if is_meta else tf.compat.v1.GraphDef()
    data = path.read_bytes()
    try:
        message.ParseFromString(data)
    except DecodeError:
        message.Clear()
        text_format.Parse(data.decode("utf-8"), message)
    graph_def = message.graph_def if is_meta else message
    for node in graph_def.node:  # devices of another machine; a value doesn't depend on them
        node.ClearField("device")
    return graph_def


def _assign_values(session: Any, prefix: str) -> None:
    """Gives every variable of the graph the value that a checkpoint holds under its name, one after the other.

    A variable without a value there stays as it is: an output that needs it says so.
    """
    import tensorflow as tf

    reader = tf.compat.v1.train.NewCheckpointReader(prefix)
    shapes = reader.get_variable_to_shape_map()
    variables = [op for op in session.graph.get_operations() if op.type in _VARIABLES]
    slices = _slices(variables, shapes)
    for op in variables:
        key = next((name for name in _names(op) if name in shapes), None)
        if key is not None:
            value = reader.get_tensor(key)
        elif op.name in slices:
            key, place = slices[op.name]
            value = reader.get_tensor(key)[place]
        else:
            continue
        fed = tf.compat.v1.placeholder(op.get_attr("dtype"))
        if op.type == "VarHandleOp":
            assigned = tf.raw_ops.AssignVariableOp(resource=op.outputs[0], value=fed)
        else:
            assigned = tf.compat.v1.assign(op.outputs[0], fed, validate_shape=False).op
        session.run(assigned, {fed: value})


def _names(variable: Any) -> list[str]:
    """What a variable may be called in a checkpoint."""
    return [variable.name, *([variable.get_attr("shared_name").decode()] if variable.type == "VarHandleOp" else [])]


def _slices(variables: Iterable[Any], shapes: Mapping[str, list[int]]) -> dict[str, tuple[str, tuple[slice, ...]]]:
    """Where in which value of a checkpoint the parts of partitioned variables lie, ``w/part_0`` and so on of ``w``."""
    parts: dict[str, list[tuple[int, str, list[int]]]] = {}
    for op in variables:
        found = _PART.fullmatch(op.name)
        if found is not None and found[1] in shapes:
            shape = [dim.size for dim in op.get_attr("shape").dim]
            parts.setdefault(found[1], []).append((int(found[2]), op.name, shape))
    places: dict[str, tuple[str, tuple[slice, ...]]] = {}
    for key, every in parts.items():
        whole = shapes[key]
        sizes = [shape for _, _, shape in sorted(every)]
        for axis in range(len(whole)):
            rest = whole[:axis] + whole[axis + 1 :]
            if (
                all(size[:axis] + size[axis + 1 :] == rest and len(size) == len(whole) for size in sizes)
                and sum(size[axis] for size in sizes) == whole[axis]
            ):
                break
        else:
            continue
        start = 0
        for (_, name, _), size in zip(sorted(every), sizes, strict=True):
            places[name] = key, (*[slice(None)] * axis, slice(start, start + size[axis]))
            start += size[axis]
    return places


def _start_tables(session: Any) -> None:
    """Fills the lookup tables of a graph; where a table can't be, an output that needs it says so itself."""
    import tensorflow as tf

    for op in session.graph.get_operations():
        if op.type in _TABLE_OPS:
            with contextlib.suppress(tf.errors.OpError):
                session.run(op)


def _runner(session: Any, constants: Iterable[Mapping[str, str]]) -> Runner:
    """What runs a session; constants are fed to those placeholders of the source that have no value of their own."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    fixed = {}
    for constant in constants:
        node = _operation(session, constant["tensor"].partition(":")[0])
        if node is not None and node.type in _PLACEHOLDERS:
            message = tensor_pb2.TensorProto.FromString(base64.b64decode(constant["value"]))
            fixed[constant["tensor"]] = tf.make_ndarray(message)

    def run(entry: Mapping[str, Any]) -> dict[str, Parts]:
        feeds = {feed["tensor"]: as_fed(Tensor.read(Path(feed["file"]))) for feed in entry["feeds"]}
        for name in (*feeds, *fetched(entry)):
            _expect_tensor(session, name)
        return by_key(entry, [as_answer(value) for value in session.run(fetched(entry), {**fixed, **feeds})])

    return run


def _operation(session: Any, name: str) -> Any:
    try:
        return session.graph.get_operation_by_name(name)
    except (KeyError, ValueError):
        return None


def _expect_tensor(session: Any, name: str) -> None:
    try:
        session.graph.get_tensor_by_name(name)
    except (KeyError, ValueError):
        raise RunError(f"the source's graph has no tensor {quoted(name)}") from None


_SOURCES: Mapping[str, Callable[[Path, Mapping[str, Any], bool], AbstractContextManager[Runner]]] = {
    "graph": _graph,
    "meta": _meta,
    "architecture": _architecture,
}
