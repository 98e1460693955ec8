"""Who reads a SavedModel: each of TensorFlow's loaders and tools, to run the same signatures and compare the answers.

TensorFlow is imported when the first of them loads a folder.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

Answers = Mapping[str, np.ndarray]

Specs = tuple[
    dict[str, tuple[str, tuple[int | None, ...] | None]], dict[str, tuple[str, tuple[int | None, ...] | None]]
]
"""Inputs and outputs: key → dtype and shape."""


class Loaded:
    """A folder in one consumer, loaded once, that runs its signatures.

    Inputs and outputs are given by the names that ``tf.saved_model.load`` has for them: those of a sparse tensor
    ``x`` are ``x_indices``, ``x_values`` and ``x_dense_shape``.
    """

    def __init__(self, folder: Path, tags: list[str]) -> None:
        self.folder, self.tags = folder, tags

    def run(self, signature_key: str, inputs: Answers, remapper: bool = True) -> Answers:
        """Runs a signature; without grappler's remapper, which fuses ops, where that is asked for."""
        raise NotImplementedError

    def signatures(self) -> dict[str, Specs]:
        """Signature key → its inputs and outputs, as this consumer sees them."""
        raise NotImplementedError

    def close(self) -> None:
        """Lets go of what it holds."""


SPARSE_PARTS = {
    "indices": "indices_tensor_name",
    "values": "values_tensor_name",
    "dense_shape": "dense_shape_tensor_name",
}


def as_array(value: Any) -> np.ndarray:
    """What TensorFlow gives; a text that is a scalar comes as plain ``bytes``."""
    return np.array(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


def dtype_name(number: int) -> str:
    """TensorFlow's name of a dtype by its number in ``types.proto``."""
    import tensorflow as tf

    name: str = tf.dtypes.as_dtype(number).base_dtype.name
    return name


def flat_tensors(infos: Any) -> dict[str, tuple[str, Any]]:
    """The TensorInfos of a SignatureDef by the names of ``tf.saved_model.load``: name → tensor name and TensorInfo."""
    found: dict[str, tuple[str, Any]] = {}
    for key, info in infos.items():
        if info.WhichOneof("encoding") == "coo_sparse":
            for part, attribute in SPARSE_PARTS.items():
                found[f"{key}_{part}"] = getattr(info.coo_sparse, attribute), info
        else:
            found[key] = info.name, info
    return found


def specs_of_signature_def(signature: Any) -> Specs:
    """What a SignatureDef says of its inputs and outputs, those of sparse tensors left out."""
    import tensorflow as tf

    def spec(info: Any) -> tuple[str, tuple[int | None, ...] | None]:
        shape = tf.TensorShape(info.tensor_shape)
        dtype: str = tf.dtypes.as_dtype(info.dtype).base_dtype.name
        return dtype, None if shape.rank is None else tuple(shape.as_list())

    def specs(infos: Any) -> dict[str, tuple[str, tuple[int | None, ...] | None]]:
        return {key: spec(info) for key, info in infos.items() if info.WhichOneof("encoding") != "coo_sparse"}

    return specs(signature.inputs), specs(signature.outputs)


class _Body(NamedTuple):
    """A function's body that was put into a graph."""

    arguments: Mapping[str, Any]
    operations: Mapping[str, Any]
    names: Mapping[str, str]
    calls: Mapping[str, Any]

    def tensor(self, edge: str) -> Any:
        """The tensor of the graph that an edge of the function is."""
        if edge in self.arguments:
            return self.arguments[edge]
        name, _, index = self.names[edge].rpartition(":")
        return self.operations[name].outputs[int(index)]


def _called(call: Any) -> str:
    """The function that a NodeDef calls."""
    name: str = call.attr["f"].func.name if "PartitionedCall" in call.op else call.op
    return name


class V1(Loaded):
    """``tf.compat.v1.saved_model.load`` into a session, one with the remapper and one without."""

    def __init__(self, folder: Path, tags: list[str]) -> None:
        super().__init__(folder, tags)
        self._sessions: dict[bool, Any] = {}
        self._bodies: dict[tuple[str, ...], _Body] = {}
        self._session(False)

    def _session(self, remapper: bool) -> Any:
        import tensorflow as tf

        if remapper not in self._sessions:
            config = tf.compat.v1.ConfigProto()
            if not remapper:
                config.graph_options.rewrite_options.remapping = config.graph_options.rewrite_options.OFF
            session = tf.compat.v1.Session(graph=tf.Graph(), config=config)
            with session.graph.as_default():
                self.meta_graph = tf.compat.v1.saved_model.load(session, self.tags, str(self.folder))
            self._sessions[remapper] = session
        return self._sessions[remapper]

    def run(self, signature_key: str, inputs: Answers, remapper: bool = True) -> Answers:
        """Fetches the outputs of the signature."""
        outputs = flat_tensors(self.meta_graph.signature_def[signature_key].outputs)
        fetches = {key: name for key, (name, _) in outputs.items()}
        answers = self._session(remapper).run(fetches, self._fed(signature_key, inputs))
        return {key: as_array(value) for key, value in answers.items()}

    def assign(self, handles: Mapping[str, str]) -> None:
        """Gives variables that the saver leaves out their value in the checkpoint: node of the handle → its key."""
        import tensorflow as tf

        session = self._session(False)
        with session.graph.as_default():
            for node, key in handles.items():
                value = tf.train.load_variable(str(self.folder / "variables" / "variables"), key)
                handle = session.graph.get_tensor_by_name(f"{node}:0")
                session.run(tf.raw_ops.AssignVariableOp(resource=handle, value=value))

    def _fed(self, signature_key: str, inputs: Answers) -> dict[str, Any]:
        fed = flat_tensors(self.meta_graph.signature_def[signature_key].inputs)
        assert set(inputs) == set(fed), (sorted(inputs), sorted(fed))
        return {fed[key][0]: value for key, value in inputs.items()}

    def signatures(self) -> dict[str, Specs]:
        """Those of ``signature_def``, the initialisation of the model left out."""
        every = self.meta_graph.signature_def
        return {key: specs_of_signature_def(every[key]) for key in every if not key.startswith("__saved_model_")}

    def inner_value(self, signature_key: str, inputs: Answers, path: tuple[str, ...], tensor: str) -> np.ndarray:
        """The value of a tensor inside functions, worked out without the code that is judged.

        The bodies of the functions on the path are put into the graph one after the other, each over the inputs of its
        call, and the tensor is fetched from the last.

        Args:
            signature_key: The signature whose inputs are fed.
            inputs: Its inputs.
            path: The call nodes that lead there, beginning with one of the graph; none for a tensor of the graph.
            tensor: What the tensor is called in its function (``dense/Relu:activations:0``), or in the graph.
        """
        import tensorflow as tf

        session = self._session(False)
        with session.graph.as_default():
            fetched = self._inner_tensor(session.graph, path, tensor) if path else tensor
            if isinstance(fetched, tf.Tensor) and fetched.dtype == tf.resource:
                raise AssertionError(f"{tensor} is a handle")
            return as_array(session.run(fetched, self._fed(signature_key, inputs)))

    def _inner_tensor(self, graph: Any, path: Sequence[str], tensor: str) -> Any:
        library = {function.signature.name: function for function in graph.as_graph_def().library.function}
        operation = graph.get_operation_by_name(path[0])
        call, values = operation.node_def, list(operation.inputs)
        for depth in range(1, len(path) + 1):
            body = self._body(library[_called(call)], tuple(path[:depth]), values)
            if depth == len(path):
                return body.tensor(tensor)
            call = body.calls[path[depth]]
            values = [body.tensor(edge) for edge in call.input if edge[:1] != "^"]
        raise AssertionError(path)

    def _body(self, function: Any, path: tuple[str, ...], values: Sequence[Any]) -> _Body:
        import tensorflow as tf
        from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def

        if path not in self._bodies:
            arguments = [arg.name for arg in function.signature.input_arg]
            body, names = function_def_to_graph_def(function)
            nodes = [node.name for node in body.node if node.name not in arguments]
            operations = tf.import_graph_def(
                body,
                input_map={f"{name}:0": value for name, value in zip(arguments, values, strict=True)},
                return_elements=nodes,
                name=f"judged_{len(self._bodies)}",
            )
            self._bodies[path] = _Body(
                dict(zip(arguments, values, strict=True)),
                dict(zip(nodes, operations, strict=True)),
                names,
                {node.name: node for node in function.node_def},
            )
        return self._bodies[path]

    def close(self) -> None:
        """Closes the sessions."""
        for session in self._sessions.values():
            session.close()


class Cpp(Loaded):
    """The C++ loader, which TensorFlow Serving uses."""

    def __init__(self, folder: Path, tags: list[str]) -> None:
        super().__init__(folder, tags)
        self._sessions: dict[bool, Any] = {}
        self._session(False)
        self._signatures = {
            key: signature
            for meta_graph in proto_of(folder).meta_graphs
            if set(meta_graph.meta_info_def.tags) == set(tags)
            for key, signature in meta_graph.signature_def.items()
        }

    def _session(self, remapper: bool) -> Any:
        from explorer.runtime import c_api

        if remapper not in self._sessions:
            config = b"" if remapper else c_api.REMAPPER_OFF
            self._sessions[remapper] = c_api.Session(self.folder, self.tags, config)
        return self._sessions[remapper]

    def run(self, signature_key: str, inputs: Answers, remapper: bool = True) -> Answers:
        """Fetches the outputs of the signature."""
        import tensorflow as tf

        from explorer.savedmodel.tensors import Tensor

        signature = self._signatures[signature_key]
        fed, fetched = flat_tensors(signature.inputs), flat_tensors(signature.outputs)
        assert set(inputs) == set(fed), (sorted(inputs), sorted(fed))
        feeds = {
            fed[key][0]: Tensor.from_array(value, int(tf.dtypes.as_dtype(value.dtype).as_datatype_enum))
            for key, value in inputs.items()
        }
        names = list(fetched)
        answers = self._session(remapper).run(feeds, [fetched[name][0] for name in names])
        return {name: answer.to_array() for name, answer in zip(names, answers, strict=True)}

    def signatures(self) -> dict[str, Specs]:
        """Those of ``signature_def``, which the C++ loader hands out as they are."""
        return {
            key: specs_of_signature_def(signature)
            for key, signature in self._signatures.items()
            if not key.startswith("__saved_model_")
        }

    def close(self) -> None:
        """Closes the sessions."""
        for session in self._sessions.values():
            session.close()


class V2(Loaded):
    """``tf.saved_model.load``, whose signatures are called by keyword."""

    def __init__(self, folder: Path, tags: list[str]) -> None:
        import tensorflow as tf

        super().__init__(folder, tags)
        self.loaded = tf.saved_model.load(str(folder), tags=tags)

    def run(self, signature_key: str, inputs: Answers, remapper: bool = True) -> Answers:
        """Calls the signature."""
        import tensorflow as tf

        with remapping(remapper):
            function = self.loaded.signatures[signature_key]
            answers = self.call(function, signature_key, {key: tf.constant(value) for key, value in inputs.items()})
            return {key: as_array(value.numpy()) for key, value in answers.items()}

    def call(self, function: Any, signature_key: str, inputs: dict[str, Any]) -> Any:
        """Calls a signature's function as users do."""
        return function(**inputs)

    def signatures(self) -> dict[str, Specs]:
        """What the functions say of themselves: the structured inputs and outputs."""

        def spec(value: Any) -> tuple[str, tuple[int | None, ...] | None]:
            return value.dtype.name, None if value.shape.rank is None else tuple(value.shape.as_list())

        found = {}
        for key, function in self.loaded.signatures.items():
            positional, named = function.structured_input_signature
            assert positional == (), (key, positional)
            found[key] = (
                {name: spec(value) for name, value in named.items()},
                {name: spec(value) for name, value in function.structured_outputs.items()},
            )
        return found


def saved_again(input_key: str) -> str:
    """What TensorFlow makes of an input key of a TensorFlow 1 model when it saves it again."""
    return input_key.replace("/", "_")


class Resaved(V2):
    """The same after ``tf.saved_model.save`` has written what was loaded."""

    def __init__(self, folder: Path, tags: list[str]) -> None:
        import tensorflow as tf

        self._again = tempfile.TemporaryDirectory()
        loaded = tf.saved_model.load(str(folder), tags=tags)
        tf.saved_model.save(loaded, self._again.name, signatures=dict(loaded.signatures))
        super().__init__(Path(self._again.name), ["serve"])

    def call(self, function: Any, signature_key: str, inputs: dict[str, Any]) -> Any:
        """Calls a signature by the names that TensorFlow has given to its inputs."""
        return function(**{saved_again(name): value for name, value in inputs.items()})

    def close(self) -> None:
        """Deletes what was saved again."""
        self._again.cleanup()


class Tfsm(V2):
    """Keras' TFSMLayer; what it loads for every endpoint is loaded once."""

    def __init__(self, folder: Path, tags: list[str]) -> None:
        import tensorflow as tf

        Loaded.__init__(self, folder, tags)
        self.loaded = tf.saved_model.load(str(folder))  # the layer knows no tags
        self._layers: dict[str, Any] = {}

    def call(self, function: Any, signature_key: str, inputs: dict[str, Any]) -> Any:
        """Calls the layer where it takes the inputs of the signature, else the function that it has found."""
        import keras
        import tensorflow as tf

        if signature_key not in self._layers:
            with mock.patch.object(tf.saved_model, "load", lambda path: self.loaded):
                self._layers[signature_key] = keras.layers.TFSMLayer(str(self.folder), call_endpoint=signature_key)
        layer = self._layers[signature_key]
        if hasattr(self.loaded, signature_key):
            return function(**inputs)  # the layer takes what the model has under that name, which is no signature
        if len(inputs) == 1:
            return layer.call(*inputs.values())
        return layer.call_endpoint_fn(**inputs)


class Cli(Loaded):
    """``saved_model_cli run`` and ``show``, called in this process."""

    def __init__(self, folder: Path, tags: list[str]) -> None:
        from tensorflow.python.tools import saved_model_cli

        super().__init__(folder, tags)
        self._cli = saved_model_cli
        self.shown = self._printed(lambda: saved_model_cli._show_all(str(folder)))

    def _printed(self, ask: Callable[[], object]) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            ask()
        return printed.getvalue()

    def run(self, signature_key: str, inputs: Answers, remapper: bool = True) -> Answers:
        """Runs the signature and catches what would be written into files."""
        assert remapper, "saved_model_cli takes no options of a session"
        written: Answers = {}
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.object(
                self._cli.np, "save", lambda path, value: written.__setitem__(str(path), as_array(value))
            ),
        ):
            self._printed(
                lambda: self._cli.run_saved_model_with_feed_dict(
                    str(self.folder), ",".join(self.tags), signature_key, inputs, folder, True
                )
            )
            return {path.removeprefix(f"{folder}/").removesuffix(".npy"): value for path, value in written.items()}

    def signatures(self) -> dict[str, Specs]:
        """What ``show --all`` prints."""
        found: dict[str, Specs] = {}
        for tags, text in re.findall(
            r"MetaGraphDef with tag-set: '(.*?)' contains.*?\n(.*?)(?=\nMetaGraphDef|\nConcrete Functions|\Z)",
            self.shown,
            re.S,
        ):
            if {tag.strip() for tag in tags.split(",")} == set(self.tags):
                for key, body in re.findall(
                    r"^signature_def\['(.*?)'\]:\n(.*?)(?=^signature_def|\Z)", text, re.S | re.M
                ):
                    if not key.startswith("__saved_model_"):
                        found[key] = self._shown(body, "inputs"), self._shown(body, "outputs")
        return found

    def _shown(self, body: str, what: str) -> dict[str, tuple[str, tuple[int | None, ...] | None]]:
        import tensorflow as tf
        from tensorflow.core.framework import types_pb2

        found = {}
        pattern = rf"^ *{what}\['(.*?)'\] tensor_info:\n *dtype: (\w+)\n *shape: (.*)\n *name: (.*)$"
        for key, dtype, shape, name in re.findall(pattern, body, re.M):
            if name:  # a sparse tensor has none
                dims = (
                    None
                    if shape == "unknown_rank"
                    else tuple(None if size == "-1" else int(size) for size in re.findall(r"-?\d+", shape))
                )
                found[key] = tf.dtypes.as_dtype(types_pb2.DataType.Value(dtype)).base_dtype.name, dims
        return found


CONSUMERS: dict[str, Callable[[Path, list[str]], Loaded]] = {
    "saved_model_cli": Cli,
    "C++ loader": Cpp,
    "tf.compat.v1": V1,
    "tf.saved_model.load": V2,
    "TFSMLayer": Tfsm,
    "load and save again": Resaved,
}
"""Who reads a SavedModel, each by its name."""


@contextlib.contextmanager
def remapping(on: bool) -> Iterator[None]:
    """Switches grappler's remapper for functions that are called eagerly."""
    import tensorflow as tf

    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"remapping": on})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": before.get("remapping", True)})


def proto_of(folder: Path) -> Any:
    """The SavedModel as TensorFlow parses it."""
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel()
    if (folder / "saved_model.pb").exists():
        message.ParseFromString((folder / "saved_model.pb").read_bytes())
    else:
        text_format.Parse((folder / "saved_model.pbtxt").read_text(), message)
    return message
