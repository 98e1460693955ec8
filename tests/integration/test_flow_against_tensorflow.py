"""A flow has exactly the ops that TensorFlow's own walk through graph and functions reaches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel as SavedModelProto

from explorer.diagnosing.flow import FlowOp, flow_of, ops_of
from explorer.savedmodel.opening import open_saved_model

MODELS = (
    "as_printed", "captures", "control_flow", "debug_and_unknown", "defaults", "estimator_like", "half_plus_two",
    "image_bytes", "keras2", "keras3", "keras3_saved", "linear", "module", "no_variables", "partitioned", "ragged",
    "several_meta_graphs", "shapes_and_types", "stateful", "tf1_ref_variables", "tf1_sparse", "tf1_tables",
    "tf_example", "training_trace",
)  # fmt: skip


def reached(graph_def: GraphDef, wanted: list[str]) -> list[NodeDef]:
    """What TensorFlow's own walk reaches from some nodes."""
    return list(tf.compat.v1.graph_util.extract_sub_graph(graph_def, wanted).node) if wanted else []


def of_signature(graph_def: GraphDef, fed: list[str], fetched: list[str]) -> list[NodeDef]:
    """The nodes that a session runs for some outputs: nothing runs before a tensor that is fed."""
    cut = GraphDef()
    cut.CopyFrom(graph_def)
    names = {tensor.partition(":")[0] for tensor in fed}
    for node in cut.node:
        if node.name in names:
            assert sum(tensor.partition(":")[0] == node.name for tensor in fed) == 1
            del node.input[:]  # each fed node of the sample models has one output
    return reached(cut, sorted({tensor.partition(":")[0] for tensor in fetched}))


def of_function(function: FunctionDef) -> list[NodeDef]:
    """The nodes that a function runs for its results and before it returns."""
    body = GraphDef()
    arguments = {arg.name for arg in function.signature.input_arg}
    for name in arguments:
        body.node.add(name=name, op="_Arg")
    for node in function.node_def:
        made = body.node.add()
        made.CopyFrom(node)
        del made.input[:]
        # In a function an edge is node:result:index, where a graph has node:index.
        made.input.extend(
            ("^" if edge[:1] == "^" else "") + edge.removeprefix("^").partition(":")[0] for edge in node.input
        )
    ends = [edge.partition(":")[0] for edge in (*function.ret.values(), *function.control_ret.values())]
    return [node for node in reached(body, sorted(set(ends))) if node.name not in arguments]


def functions_in(node: NodeDef, library: dict[str, FunctionDef]) -> Iterator[str]:
    """The functions that a node names, as its op or in an attribute."""
    if node.op in library:
        yield node.op
    for value in node.attr.values():
        for function in (value.func, *value.list.func):
            if function.name in library:
                yield function.name


def judged(graph_def: GraphDef, fed: list[str], fetched: list[str]) -> set[FlowOp]:
    """All that TensorFlow's walk reaches from a signature, through every function."""
    library = {function.signature.name: function for function in graph_def.library.function}
    found = set()
    seen: set[str] = set()
    pending = [("", of_signature(graph_def, fed, fetched))]
    for name, nodes in pending:
        for node in nodes:
            found.add(FlowOp(name, node.name, node.op))
            for function in functions_in(node, library):
                if function not in seen:
                    seen.add(function)
                    pending.append((function, of_function(library[function])))
    return found


def signatures(folder: Path) -> Iterator[tuple[int, str, GraphDef, list[str], list[str]]]:
    """The signatures of a SavedModel as TensorFlow's messages say them, with what is fed and fetched."""
    model = SavedModelProto.FromString((folder / "saved_model.pb").read_bytes())
    for index, meta_graph in enumerate(model.meta_graphs):
        for key, signature in meta_graph.signature_def.items():
            if not key.startswith("__"):
                ends = [
                    list(itertools.chain(*map(names, side.values()))) for side in (signature.inputs, signature.outputs)
                ]
                yield index, key, meta_graph.graph_def, *ends


def names(info: object) -> list[str]:
    """The tensors of a TensorInfo."""
    if info.WhichOneof("encoding") == "coo_sparse":
        sparse = info.coo_sparse
        return [sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    if info.WhichOneof("encoding") == "composite_tensor":
        return [component.name for component in info.composite_tensor.components]
    return [info.name]


def compare(folder: Path) -> tuple[int, int]:
    """Compares every signature of a model; how many there were, and the ops of the largest."""
    model = open_saved_model(folder)
    count = largest = 0
    for index, key, graph_def, fed, fetched in signatures(model.path):
        ours = ops_of(flow_of(model.meta_graphs[index], key))
        theirs = judged(graph_def, fed, fetched)
        assert ours == theirs, (key, sorted(ours ^ theirs)[:10])
        count, largest = count + 1, max(largest, len(ours))
    return count, largest


@pytest.mark.parametrize("name", MODELS)
def test_flow_has_the_ops_that_tensorflow_reaches(sample_models: Path, name: str) -> None:
    """For each signature of each sample model the set of ops, function by function, is TensorFlow's."""
    count, largest = compare(sample_models / name)
    assert count > 0 and largest > 0


def test_view_shows_each_of_these_ops(sample_models: Path) -> None:
    """With everything unfolded there is a box for each op, in the function that it runs in, and for no other."""
    for name, key in (
        ("control_flow", "serving_default"),
        ("captures", "serving_default"),
        ("tf1_sparse", "serving_default"),
    ):
        meta_graph = open_saved_model(sample_models / name).meta_graphs[0]
        key = key if key in meta_graph.signatures else next(iter(meta_graph.callable_signatures))
        flow = flow_of(meta_graph, key)
        unfolded: frozenset[tuple[str, ...]] = frozenset()
        while True:
            boxes = flow.view(unfolded, most=10_000).boxes
            more = unfolded | {box.path for box in boxes if box.can_unfold}
            if more == unfolded:
                break
            unfolded = more
        nodes = {(box.function, box.name, box.op) for box in boxes if box.op and box.kind not in ("input", "output")}
        shown = {FlowOp(*node) for node in nodes if node[1]}
        expected = {
            op
            for op in ops_of(flow)
            if op not in {FlowOp("", fed, flow.graph.nodes[fed].op) for fed in flow.body.reached_fed}
        }
        assert shown == expected, (name, sorted(shown ^ expected)[:10])


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a lookup table, a dataset map, While in While, Case, and a function that is called twice."""
    folder = tmp_path_factory.mktemp("deep") / "1"

    class Model(tf.Module):
        def __init__(self) -> None:
            keys = tf.lookup.KeyValueTensorInitializer(["a", "b", "c"], tf.constant([1, 2, 3], tf.int64))
            self.table = tf.lookup.StaticHashTable(keys, -1)
            self.weight = tf.Variable(2.0)
            self.calls = tf.Variable(0)

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
        def scaled(self, x: tf.Tensor) -> tf.Tensor:
            return x * self.weight

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int32)])
        def serve(self, words: tf.Tensor, which: tf.Tensor) -> dict[str, tf.Tensor]:
            self.calls.assign_add(1)
            ids = tf.cast(self.table.lookup(words), tf.float32)
            data = tf.data.Dataset.from_tensor_slices(ids).map(lambda x: self.scaled(x) + 1.0)
            total = data.reduce(0.0, lambda state, x: state + x)
            steps = tf.constant(0)
            while steps < which:
                inner = tf.constant(0)
                while inner < 3:
                    total = self.scaled(total) / 2.0
                    inner += 1
                steps += 1
            unused = tf.random.uniform([]) * 3.0  # runs for nobody
            del unused
            chosen = tf.switch_case(which, [lambda: total, lambda: -total, lambda: self.scaled(total)])
            mapped = tf.map_fn(lambda x: x * x, ids)
            return {"total": total, "chosen": chosen, "mapped": mapped}

    model = Model()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})
    return folder


def test_flow_through_table_dataset_loops_and_branches(deep: Path) -> None:
    """Bodies of datasets, of loops in loops and of cases are reached as TensorFlow reaches them."""
    assert compare(deep)[1] > 60
    ops = {op.op for op in ops_of(flow_of(open_saved_model(deep), "serving_default"))}
    assert {"LookupTableFindV2", "MapDataset", "ReduceDataset", "AssignAddVariableOp"} <= ops
    assert ops & {"While", "StatelessWhile"} and ops & {"Case", "StatelessCase"}


def test_flow_through_frames_of_tensorflow_1(tmp_path: Path) -> None:
    """A loop in frames and a condition by switches, a control edge to a fed placeholder, a fed tensor of an op."""
    folder = tmp_path / "frames"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.disable_control_flow_v2()
        x = tf.compat.v1.placeholder(tf.float32, [None], "x")
        middle = tf.identity(x * 2.0, "middle")
        with tf.control_dependencies([x]):
            looped = tf.while_loop(lambda i, _: i < 3, lambda i, v: (i + 1, v + middle), (0, middle))[1]
        chosen = tf.cond(tf.reduce_sum(looped) > 0.0, lambda: looped + 1.0, lambda: looped - 1.0)
        of_x = tf.compat.v1.saved_model.signature_def_utils.predict_signature_def({"x": x}, {"y": chosen})
        of_middle = tf.compat.v1.saved_model.signature_def_utils.predict_signature_def(
            {"x": x, "m": middle}, {"y": chosen}
        )
        builder = tf.compat.v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map={"serving_default": of_x, "from_the_middle": of_middle}
        )
        builder.save()
    tf.compat.v1.enable_control_flow_v2()
    model = open_saved_model(folder)
    assert {"Enter", "NextIteration", "Switch"} <= {op.op for op in ops_of(flow_of(model, "serving_default"))}
    assert compare(folder)[0] == 2
    whole, part = (len(ops_of(flow_of(model, key))) for key in ("serving_default", "from_the_middle"))
    assert part < whole
