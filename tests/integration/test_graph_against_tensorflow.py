"""Dtypes, shapes, functions and dependencies read without TensorFlow are those that TensorFlow itself finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from explorer.checking.checks import check
from explorer.savedmodel.graph import Graph, read_graph
from explorer.savedmodel.model import Shape
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import read_document

v1 = tf.compat.v1

REPOSITORY = Path(__file__).resolve().parents[2]


def sample_folders() -> list[Path]:
    """Every sample model that TensorFlow can read."""
    models = REPOSITORY / "sample_models"
    found = [*models.glob("*/*/saved_model.pb"), *models.glob("*/*/saved_model.pbtxt")]
    return sorted(path.parent for path in found if "broken" not in path.parts)


def graphs_of(folder: Path) -> Iterator[tuple[Graph, Any]]:
    """Our graph and TensorFlow's MetaGraphDef, for each meta graph of a folder."""
    from tensorflow.python.saved_model import loader_impl

    proto = loader_impl.parse_saved_model(str(folder))
    for meta_graph, expected in zip(open_saved_model(folder).meta_graphs, proto.meta_graphs, strict=True):
        yield read_graph(meta_graph), expected


def as_shape(shape: tf.TensorShape) -> Shape:
    """A TensorShape as ours."""
    return Shape(None if shape.rank is None else tuple(shape.as_list()))


def compare(folder: Path) -> int:
    """Compares every node, tensor and function of a folder; returns how many tensors there were."""
    compared = 0
    for ours, expected in graphs_of(folder):
        graph_def = expected.graph_def
        assert list(ours.nodes) == [node.name for node in graph_def.node]
        for node in graph_def.node:
            mine = ours.nodes[node.name]
            assert (mine.op, mine.inputs, mine.device) == (node.op, tuple(node.input), node.device)
            assert set(mine.attrs) == set(node.attr)
            for name, value in node.attr.items():
                parsed = type(value).FromString(mine.attrs[name].to_bytes())
                assert parsed == value
        functions = {function.signature.name: function.signature for function in graph_def.library.function}
        assert set(ours.functions) == set(functions)
        assert ours.function_count == len(functions)
        for name, signature in functions.items():
            info = ours.functions[name]
            assert [(arg.name, arg.type) for arg in signature.input_arg] == [(n, d.number) for n, d in info.args]
            assert [(arg.name, arg.type) for arg in signature.output_arg] == [(n, d.number) for n, d in info.results]
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
        tensors = {tensor.name: tensor for tensor in ours.tensors()}
        expected_tensors = {tensor.name: tensor for op in graph.get_operations() for tensor in op.outputs}
        assert set(tensors) == set(expected_tensors)
        for name, tensor in expected_tensors.items():
            assert tensors[name].dtype.number == tensor.dtype.as_datatype_enum, name
            assert tensors[name].shape.is_compatible_with(as_shape(tensor.shape)), name
            assert ours.tensor(name) == tensors[name]
        for op in graph.get_operations():
            assert ours.tensor(f"{op.name}:{len(op.outputs)}") is None
            assert ours.output_count(op.name) == len(op.outputs)
        compared += len(tensors)
    return compared


@pytest.mark.parametrize("folder", sample_folders(), ids=lambda path: "/".join(path.parts[-2:]))
def test_sample_model_has_the_tensors_that_tensorflow_finds(folder: Path) -> None:
    """Nodes, attributes, functions, dtypes and shapes of a sample model equal those after ``import_graph_def``.

    Of the model with an op that TensorFlow doesn't know everything up to the import.
    """
    if folder.parent.name == "custom_op":
        with pytest.raises((ValueError, tf.errors.OpError), match="ExampleCustomOp"):
            compare(folder)
    else:
        assert compare(folder) > 0


def _reference_variables(x: tf.Tensor) -> tf.Tensor:
    w = v1.Variable(tf.ones([2]), name="w", use_resource=False)
    return tf.identity(v1.assign_add(w, tf.reduce_sum(x, 0)), name="y")


def _many_outputs(x: tf.Tensor) -> tf.Tensor:
    a, b = tf.split(x, 2, axis=1)
    values, indices = tf.nn.top_k(tf.concat([a, b], 1), 2)
    unique = tf.unique_with_counts(tf.reshape(indices, [-1]))
    return tf.identity(values * tf.cast(unique.count[0], tf.float32), name="y")


def _loops_and_branches(x: tf.Tensor) -> tf.Tensor:
    v1.disable_control_flow_v2()
    try:
        i, total = tf.while_loop(lambda i, t: i < 3, lambda i, t: (i + 1, t + x), [tf.constant(0), x])
        return tf.cond(i > 2, lambda: total, lambda: -total, name="y")
    finally:
        v1.enable_control_flow_v2()


def _functions(x: tf.Tensor) -> tf.Tensor:
    @tf.function
    def double(value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return value * 2, tf.shape(value)

    doubled, shape = double(x)
    return tf.while_loop(lambda v: tf.reduce_sum(v) < 10, lambda v: v + 1, [doubled], name="loop")[0] + tf.cast(
        shape[0], tf.float32
    )


def _function_named_op(x: tf.Tensor) -> tf.Tensor:
    from tensorflow.python.framework import function

    @function.Defun(tf.float32, func_name="halve")
    def halve(value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return value / 2, tf.size(value)

    half, size = halve(x)
    half.set_shape(x.shape)
    return half * tf.cast(size, tf.float32)


@pytest.mark.parametrize(
    "build", [_reference_variables, _many_outputs, _loops_and_branches, _functions, _function_named_op]
)
def test_graph_of_tensorflow_1_has_the_tensors_that_tensorflow_finds(
    tmp_path: Path, build: Callable[[tf.Tensor], tf.Tensor]
) -> None:
    """References, ops with several outputs, loops of both kinds, and functions called as ops get the right dtypes."""
    folder = tmp_path / "model"
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        y = build(x)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"x": x}, {"y": y})
    assert compare(folder) >= 5


def test_dependencies_are_those_that_tensorflow_extracts(sample_models: Path) -> None:
    """The placeholders that an output needs are those in TensorFlow's own extraction of a subgraph."""
    from tensorflow.python.framework import graph_util

    compared = 0
    for folder in sample_folders():
        for ours, expected in graphs_of(folder):
            for signature in expected.signature_def.values():
                names = [info.name.split(":")[0] for info in signature.outputs.values() if info.name]
                if not names:
                    continue
                kept = graph_util.extract_sub_graph(expected.graph_def, names)
                waiting = sorted(node.name for node in kept.node if node.op == "Placeholder")
                assert list(ours.needs(names, []).unfed) == waiting
                compared += bool(waiting)
    assert compared > 10


def test_feeding_cuts_as_a_session_does() -> None:
    """A fed tensor replaces what computes it, other outputs of its node and its control edges don't."""
    from tensorflow.core.protobuf import saved_model_pb2

    with tf.Graph().as_default() as graph, v1.Session() as session:
        label = v1.placeholder(tf.float32, [2], name="label")
        parts = tf.split(label, 2, name="parts")
        tf.add(parts[0], 1.0, name="first")
        tf.add(parts[1], 1.0, name="second")
        with tf.control_dependencies([parts[0]]):
            tf.constant(1.0, name="after")
        with tf.control_dependencies([label]):
            tf.constant(2.0, name="after_label")
        proto = saved_model_pb2.SavedModel()
        proto.meta_graphs.add().graph_def.CopyFrom(graph.as_graph_def())
        ours = read_graph(read_document(Document.of_bytes(proto.SerializeToString())).meta_graphs[0])

        cases = {
            ("first:0", "parts:0"): True,
            ("second:0", "parts:0"): False,
            ("after:0", "parts:0"): False,
            ("after_label:0", "label:0"): True,
            ("parts:0", "parts:0"): True,
        }
        for (fetched, fed), answered in cases.items():
            needs = ours.needs([fetched], [fed])
            assert ("label" not in needs.unfed) == answered, (fetched, fed)
            assert (fed in needs.met) == answered or fetched == "second:0", (fetched, fed)
            value = [1.0, 2.0] if fed == "label:0" else [1.0]
            try:
                session.run(fetched, {fed: value})
                assert answered, (fetched, fed)
            except tf.errors.InvalidArgumentError as error:
                assert not answered, (fetched, fed, error)


def _refused(folder: Path, inputs: dict[str, Any], outputs: dict[str, Any]) -> tuple[bool, set[str]]:
    """Whether ``tf.saved_model.load`` refuses a model with one signature, and the errors that the checks find in it."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        label = v1.placeholder(tf.float32, [None], name="label")
        tf.subtract(tf.add(x, 1.0, name="y"), label, name="loss")
        signature = v1.saved_model.signature_def_utils.build_signature_def(
            {key: _info(tensor) for key, tensor in inputs.items()},
            {key: _info(tensor) for key, tensor in outputs.items()},
            "tensorflow/serving/predict",
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    errors = {finding.code for finding in check(open_saved_model(folder)) if finding.severity == "error"}
    try:
        tf.saved_model.load(str(folder))
    except Exception:
        return True, errors
    return False, errors


def _info(tensor: str | tuple[str, int]) -> Any:
    name, size = tensor if isinstance(tensor, tuple) else (tensor, -1)
    info = tf.compat.v1.saved_model.build_tensor_info(v1.get_default_graph().get_tensor_by_name("x:0"))
    info.name = name
    info.tensor_shape.dim[0].size = size
    return info


@pytest.mark.parametrize(
    ("inputs", "outputs", "error"),
    [
        ({"x": "x:0"}, {"y": "y:0"}, None),
        ({"a b": "x:0"}, {"a/b": "y:0"}, None),
        ({"in": "x:0"}, {"y": "y:0"}, "python_keyword"),
        ({"": "x:0"}, {"y": "y:0"}, "empty_key"),
        ({"x": "x:0"}, {"y": "gone:0"}, "missing_tensor"),
        ({"x": "gone:0"}, {"y": "y:0"}, "missing_tensor"),
        ({"x": "x:0"}, {"y": "y:4"}, "missing_output"),
        ({"x": "x"}, {"y": "y:0"}, "bare_op_name"),
        ({"x": "x:0"}, {"y": "loss:0"}, "unfed_placeholder"),
        ({"x": "x:0"}, {"y": "label:0"}, "unfed_placeholder"),
        ({"x": "x:0", "x2": "x:0"}, {"y": "y:0"}, "tensor_fed_twice"),
        ({"x": "x:0"}, {"y": ("y:0", -5)}, "bad_dimension"),
    ],
)
def test_model_that_checks_call_refused_is_refused(
    tmp_path: Path, inputs: dict[str, Any], outputs: dict[str, Any], error: str | None
) -> None:
    """Where a finding says that ``tf.saved_model.load`` refuses the whole model, it does; and not without one."""
    refused, errors = _refused(tmp_path / "model", inputs, outputs)
    assert refused == (error is not None)
    assert (error in errors) if error else not errors


def test_output_that_is_an_input_is_refused_by_the_runtime_of_servers() -> None:
    """TensorFlow's own session, which TensorFlow Serving runs, doesn't fetch what is fed."""
    import numpy as np
    from tensorflow.python.client import pywrap_tf_session

    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        output = x._as_tf_output()
        with pytest.raises(tf.errors.InvalidArgumentError, match="both fed and fetched"):
            pywrap_tf_session.TF_SessionRun_wrapper(
                session._session, None, {output: np.ones(1, np.float32)}, [output], [], None
            )
