"""Frozen graphs and checkpoints with a ``.meta``, written by TensorFlow here: every loader computes what they computed.

The answers expected are those of a session over the source itself: over its GraphDef, or over what
``import_meta_graph`` and ``restore`` make of it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import consumers
import numpy as np
import pytest

import explorer
from explorer.converting.graph_file import parts_of_graph
from explorer.converting.kinds import TF1_CHECKPOINT
from explorer.converting.meta_file import parts_of_checkpoint
from explorer.converting.parts import Parts, open_parts
from explorer.converting.source import find_source
from explorer.errors import ConversionError, EditError
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.op_table import op_table
from explorer.savedmodel.variables import read_variables

X = np.linspace(-2, 2, 20, dtype=np.float32).reshape(5, 4)
WORDS = np.array([b"b", b"c", b"nobody", b"a"], dtype=object)
LINES = ("a", "b", "c")


@dataclass(frozen=True)
class Case:
    """A source, and what a session over it answers.

    Attributes:
        path: The file, or the prefix of the checkpoint.
        inputs: Input key → tensor name.
        outputs: Output key → tensor name.
        feeds: Input key → value.
        constants: Input key → the value that it gets for good.
        expected: Output key → answer.
    """

    path: Path
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    feeds: Mapping[str, Any]
    constants: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> Parts:
        """What is made of the source."""
        if self.path.suffix in (".pb", ".pbtxt"):
            return parts_of_graph(self.path)
        source = find_source(self.path)
        assert source.kind == TF1_CHECKPOINT, source
        return parts_of_checkpoint(source)


def two_devices() -> Any:
    """The settings of a session with two devices, on which savers write two data files."""
    import tensorflow as tf

    return tf.compat.v1.ConfigProto(device_count={"CPU": 2})


@contextlib.contextmanager
def loops_of_nodes(wanted: bool) -> Iterator[None]:
    """Lets loops be written as TensorFlow 1 did, with nodes that enter and leave them."""
    import tensorflow as tf

    if wanted:
        tf.compat.v1.disable_control_flow_v2()
    try:
        yield
    finally:
        tf.compat.v1.enable_control_flow_v2()


def network(kind: str) -> dict[str, Any]:
    """Adds a trained network to the default graph: two layers, dropout, a recurrence and a local variable."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    tf1.set_random_seed(7)
    normal = tf1.random_normal_initializer()
    x = tf1.placeholder(tf.float32, [None, 4], name="x")
    keep = tf1.placeholder(tf.float32, [], name="keep_prob")
    with tf1.variable_scope("net", use_resource=kind == "resource"):
        parts = tf1.fixed_size_partitioner(2) if kind == "partitioned" else None
        w = tf1.get_variable("w", [4, 6], initializer=normal, partitioner=parts)
        with tf.device("/cpu:1"):
            b = tf1.get_variable("b", [6], initializer=normal)
        u = tf1.get_variable("u", [6, 6], initializer=normal)
        calls = tf1.get_variable(
            "calls", initializer=np.float32(0.5), trainable=False, collections=[tf1.GraphKeys.LOCAL_VARIABLES]
        )
    hidden = tf.nn.dropout(tf.tanh(tf.matmul(x, tf.convert_to_tensor(w)) + b), rate=1 - keep)
    _, state = tf1.while_loop(
        lambda turn, _: turn < 3, lambda turn, state: (turn + 1, tf.sigmoid(tf.matmul(state, u) + hidden)), (0, hidden)
    )
    y = tf.nn.softmax(state * calls, name="y")
    tf1.train.AdamOptimizer().minimize(tf.reduce_sum(y[:, 0]), tf1.train.get_or_create_global_step(), name="train")
    return {
        "inputs": {"x": "x:0", "keep_prob": "keep_prob:0"},
        "outputs": {"y": "y:0"},
        "feeds": {"x": X},
        "constants": {"keep_prob": np.float32(1)},
    }


def tables(vocabulary: Path) -> dict[str, Any]:
    """Adds tables to the default graph: one from constants, one from a file; and a variable, so that there is one."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    words = tf1.placeholder(tf.string, [None], name="words")
    lookup = tf.lookup
    known = lookup.StaticHashTable(
        lookup.KeyValueTensorInitializer(tf.constant(LINES), tf.constant([10, 20, 30], tf.int64)), -1
    )
    lines = lookup.TextFileInitializer(
        str(vocabulary), tf.string, lookup.TextFileIndex.WHOLE_LINE, tf.int64, lookup.TextFileIndex.LINE_NUMBER
    )
    numbered = lookup.StaticVocabularyTable(lines, 2)
    weights = tf1.get_variable("weights", initializer=tf.range(5, dtype=tf.float32) / 7, use_resource=False)
    tf.identity(known.lookup(words), name="known")
    tf.gather(weights, numbered.lookup(words), name="weight")
    return {
        "inputs": {"words": "words:0"},
        "outputs": {"known": "known:0", "weight": "weight:0"},
        "feeds": {"words": WORDS},
    }


def write_checkpoints(folder: Path) -> Iterator[tuple[str, Case]]:
    """Trains and saves each kind of variable, whole and in parts, and what needs tables."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    (folder / "training_machine").mkdir()
    vocabulary = folder / "training_machine" / "vocabulary.txt"
    vocabulary.write_text("".join(f"{line}\n" for line in LINES))
    makers: dict[str, tuple[Callable[[], dict[str, Any]], bool]] = {
        "ref": (lambda: network("ref"), False),
        "resource": (lambda: network("resource"), False),
        "partitioned": (lambda: network("partitioned"), True),
        "tables": (lambda: tables(vocabulary), False),
    }
    for name, (make, sharded) in makers.items():
        (folder / name).mkdir()
        prefix = folder / name / "m.ckpt-7"
        with tf.Graph().as_default(), tf1.Session(config=two_devices()) as session:
            with loops_of_nodes(name == "ref"):
                case = make()
            session.run([tf1.global_variables_initializer(), tf1.local_variables_initializer()])
            session.run(tf1.tables_initializer())
            if name != "tables":
                session.run("train", fed(case))
            tf1.train.Saver(sharded=sharded).save(session, str(prefix))
            if name == "ref":
                freeze(session, folder, case)
        with tf.Graph().as_default(), tf1.Session(config=two_devices()) as session:
            saver = tf1.train.import_meta_graph(f"{prefix}.meta")
            saver.restore(session, str(prefix))
            session.run([tf1.local_variables_initializer(), tf1.tables_initializer()])
            expected = session.run(dict(case["outputs"]), fed(case))
        yield name, Case(prefix, expected=expected, **case)


def fed(case: dict[str, Any]) -> dict[str, Any]:
    """Tensor name → value: what a session is fed with."""
    return {case["inputs"][key]: value for key, value in {**case["feeds"], **case.get("constants", {})}.items()}


def freeze(session: Any, folder: Path, case: dict[str, Any]) -> None:
    """Freezes the graph of a session, and writes it in both forms under names that say nothing."""
    import tensorflow as tf

    graph_def = tf.compat.v1.graph_util.convert_variables_to_constants(session, session.graph_def, ["y"])
    tf.io.write_graph(graph_def, str(folder), "frozen.pb", as_text=False)
    tf.io.write_graph(graph_def, str(folder), "frozen_text.pb", as_text=True)


def write_frozen(folder: Path) -> Iterator[tuple[str, Case]]:
    """The frozen graph in both forms, one with functions in its library, one with a table."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    tf1 = tf.compat.v1
    trained = {
        "inputs": {"x": "x:0", "keep_prob": "keep_prob:0"},
        "outputs": {"y": "y:0"},
        "feeds": {"x": X},
        "constants": {"keep_prob": np.float32(1)},
    }
    yield "frozen", from_graph_file(folder / "frozen.pb", trained)
    yield "frozen_text", from_graph_file(folder / "frozen_text.pb", trained, folder / "frozen.pb")

    weights = tf.Variable(tf.random.normal([4, 4], seed=3))

    @tf.function(input_signature=[tf.TensorSpec([None, 4], name="x")])
    def answer(x: Any) -> Any:
        for _ in tf.range(3):
            x = tf.tanh(x @ weights)
        return tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x)

    frozen = convert_variables_to_constants_v2(answer.get_concrete_function(), lower_control_flow=False)
    assert frozen.graph.as_graph_def().library.function
    tf.io.write_graph(frozen.graph, str(folder), "functions.pb", as_text=False)
    (output,) = (tensor.name for tensor in frozen.outputs)
    functions = {"inputs": {"x": "x:0"}, "outputs": {"y": output}, "feeds": {"x": X}}
    yield "functions", from_graph_file(folder / "functions.pb", functions)

    with tf.Graph().as_default(), tf1.Session() as session:
        case = tables(folder / "training_machine" / "vocabulary.txt")
        session.run(tf1.global_variables_initializer())
        initializers = [op.name for op in tf1.get_collection(tf1.GraphKeys.TABLE_INITIALIZERS)]
        graph_def = tf1.graph_util.convert_variables_to_constants(
            session, session.graph_def, ["known", "weight", *initializers]
        )
    tf.io.write_graph(graph_def, str(folder), "tables.pb", as_text=False)
    yield "frozen_tables", from_graph_file(folder / "tables.pb", case, initializers=initializers)


def from_graph_file(path: Path, case: dict[str, Any], source: Path | None = None, initializers: Any = ()) -> Case:
    """A case with the answers of a session on the GraphDef in a binary file."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    graph_def = tf1.GraphDef.FromString((source or path).read_bytes())
    with tf.Graph().as_default(), tf1.Session(config=two_devices()) as session:
        tf.import_graph_def(graph_def, name="")
        session.run(list(initializers))
        expected = session.run(dict(case["outputs"]), fed(case))
    return Case(path, expected=expected, **case)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Every source by name."""
    folder = tmp_path_factory.mktemp("sources")
    found = {**dict(write_checkpoints(folder)), **dict(write_frozen(folder))}
    assert set(found) == set(NAMES)
    for name, op in (("ref", "Enter"), ("frozen", "Enter"), ("resource", "While")):  # both forms of loops are here
        nodes = read_graph(open_parts(found[name].parts).meta_graph()).nodes.values()
        assert op in {node.op for node in nodes}, name
    return found


NAMES = ("ref", "resource", "partitioned", "tables", "frozen", "frozen_text", "functions", "frozen_tables")
MOVED = {"tables", "frozen_tables"}
"""Sources that read a file: it lies beside a copy of them, and nowhere else."""


@pytest.fixture
def case(cases: dict[str, Case], request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """One source; where it reads a file, the path in it leads nowhere, as on every other machine."""
    found = cases[request.param]
    if request.param not in MOVED:
        yield found
        return
    machine = next(
        parent / "training_machine" for parent in found.path.parents if (parent / "training_machine").is_dir()
    )
    for file in found.path.parent.glob(f"{found.path.name}*"):
        shutil.copy(file, tmp_path)
    shutil.copy(machine / "vocabulary.txt", tmp_path)
    machine.rename(machine.with_name("gone"))
    try:
        yield Case(tmp_path / found.path.name, found.inputs, found.outputs, found.feeds, {}, found.expected)
    finally:
        machine.with_name("gone").rename(machine)


def signed(case: Case) -> explorer.SavedModel:
    """The SavedModel that a source becomes, with its signature."""
    model = open_parts(case.parts)
    with contextlib.suppress(EditError):  # a graph of which no node is placed on a device
        model = explorer.clear_devices(model)
    model = explorer.add_signature(model, "serving_default", case.inputs, case.outputs)
    for key, value in case.constants.items():
        model = explorer.bind_input(model, "serving_default", key, float(value))
    return model


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_every_loader_answers_as_the_source_does(case: Case, tmp_path: Path) -> None:
    """Exported without TensorFlow, each source answers to the bit in each loader, and the checks find no fault."""
    model = signed(case)
    explorer.export(model, tmp_path / "model", follow_outside_links=True)
    version = tmp_path / "model" / "1"
    findings = explorer.check(explorer.open_saved_model(version))
    assert [finding.message for finding in findings if finding.severity == "error"] == []
    assert read_variables(version).status == ("ok" if (version / "variables").exists() else "none")
    for consumer in (consumers.V1, consumers.V2, consumers.Cpp, consumers.Cli):
        with contextlib.closing(consumer(version, ["serve"])) as loaded:
            found = loaded.run("serving_default", case.feeds)
        assert set(found) == set(case.expected)
        for key, value in case.expected.items():
            assert np.array_equal(found[key], value), (consumer.__name__, key)


def answers(folder: Path, case: Case) -> list[Mapping[str, Any]]:
    """What ``tf.compat.v1`` and the C++ loader answer."""
    found = []
    for consumer in (consumers.V1, consumers.Cpp):
        with contextlib.closing(consumer(folder, ["serve"])) as loaded:
            found.append(loaded.run("serving_default", case.feeds))
    return found


@pytest.mark.parametrize("name", ["ref", "resource", "partitioned"])
def test_a_meta_file_without_a_saver(cases: dict[str, Case], tmp_path: Path, name: str) -> None:
    """It gets one that restores the same values from the same files."""
    import tensorflow as tf

    case = cases[name]
    for file in case.path.parent.glob("m.ckpt-7*"):
        shutil.copy(file, tmp_path)
    meta = tmp_path / "m.ckpt-7.meta"
    message = tf.compat.v1.MetaGraphDef.FromString(meta.read_bytes())
    message.ClearField("saver_def")
    meta.write_bytes(message.SerializeToString())
    without = Case(tmp_path / "m.ckpt-7", case.inputs, case.outputs, case.feeds, case.constants)
    assert "one was added" in without.parts.notes[0]
    explorer.export(signed(without), tmp_path / "model", follow_outside_links=True)
    for found in answers(tmp_path / "model" / "1", case):
        assert np.array_equal(found["y"], case.expected["y"])


def test_the_training_goes_on(cases: dict[str, Case], tmp_path: Path) -> None:
    """The slots of the optimizer are restored too, and the step that is run next is the second one."""
    import tensorflow as tf

    case = cases["resource"]
    explorer.export(signed(case), tmp_path / "model", follow_outside_links=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path / "model" / "1"))
        session.run("train", {"x:0": X})
        assert session.run("global_step/Read/ReadVariableOp:0") == 2


def test_signatures_of_a_meta_file_are_called(cases: dict[str, Case], tmp_path: Path) -> None:
    """A signature that the ``.meta`` has already is there after the conversion, and answers."""
    import tensorflow as tf

    case = cases["tables"]
    for file in case.path.parent.glob("m.ckpt-7*"):
        shutil.copy(file, tmp_path)
    meta = tmp_path / "m.ckpt-7.meta"
    message = tf.compat.v1.MetaGraphDef.FromString(meta.read_bytes())
    signature = message.signature_def["serving_default"]
    for infos, tensors in ((signature.inputs, case.inputs), (signature.outputs, case.outputs)):
        for key, name in tensors.items():
            infos[key].name = name
            infos[key].dtype = {"words": 7, "known": 9, "weight": 1}[key]
            infos[key].tensor_shape.dim.add().size = -1
    signature.method_name = "tensorflow/serving/predict"
    meta.write_bytes(message.SerializeToString())
    model = open_parts(parts_of_checkpoint(find_source(tmp_path / "m.ckpt-7")))
    explorer.export(explorer.clear_devices(model), tmp_path / "model", follow_outside_links=True)
    for found in answers(tmp_path / "model" / "1", case):
        assert all(np.array_equal(found[key], value) for key, value in case.expected.items())


def test_the_graph_of_another_training(cases: dict[str, Case], tmp_path: Path) -> None:
    """The ``.meta`` of other variables is told before anything is written, with what it wants."""
    for file in cases["ref"].path.parent.glob("m.ckpt-7.*"):
        shutil.copy(file, tmp_path)
    shutil.copy(cases["tables"].path.with_name("m.ckpt-7.meta"), tmp_path)
    with pytest.raises(ConversionError, match=r"'m.ckpt-7.meta' is not the graph of 'm.ckpt-7': it restores 'weights'"):
        parts_of_checkpoint(find_source(tmp_path / "m.ckpt-7"))


@pytest.mark.parametrize("name", NAMES)
def test_dtypes_are_those_of_tensorflow(cases: dict[str, Case], name: str) -> None:
    """Every tensor of each graph has the dtype that TensorFlow gives it, though a frozen graph says none."""
    import tensorflow as tf

    data = cases[name].parts.document.to_bytes()
    (meta_graph,) = as_tensorflow_parses(data).meta_graphs
    graph = read_graph(open_parts(cases[name].parts).meta_graph())
    with tf.Graph().as_default() as imported:
        tf.import_graph_def(meta_graph.graph_def, name="")
    operations = imported.get_operations()
    assert {operation.name for operation in operations} == set(graph.nodes)
    for operation in operations:
        assert graph.output_count(operation.name) == len(operation.outputs), operation.name
        for output in operation.outputs:
            tensor = graph.tensor(output.name)
            assert tensor is not None and tensor.dtype.number == output.dtype.as_datatype_enum, output.name


def as_tensorflow_parses(data: bytes) -> Any:
    """A SavedModel as TensorFlow parses it."""
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel.FromString(data)


def test_our_table_of_ops_is_that_of_tensorflow() -> None:
    """An op in the table takes and gives what TensorFlow's own does; ``tools/make_op_table.py`` makes it anew."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    known = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    table = {name: op_def_pb2.OpDef.FromString(data) for name, data in op_table().items()}
    shared = [op for op in known.op if op.name in table]
    assert len(shared) > 1300
    for op in shared:
        ours = table[op.name]
        for arguments, others in ((op.input_arg, ours.input_arg), (op.output_arg, ours.output_arg)):
            kinds = [(one.name, one.type, one.type_attr, one.number_attr, one.type_list_attr) for one in arguments]
            assert kinds == [
                (one.name, one.type, one.type_attr, one.number_attr, one.type_list_attr) for one in others
            ], op.name
