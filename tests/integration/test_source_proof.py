"""Sources of conversions run beside the SavedModels made of them: frozen graphs, checkpoints, files of Keras."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import explorer
from explorer.converting.parts import Parts, open_parts
from explorer.diagnosing.proof import Proof
from explorer.errors import ConversionError, RunError
from explorer.render.proofs import proof_html, proof_sentence, proof_text
from explorer.runtime.convert_keras import convert_keras
from explorer.runtime.proof import LOADERS
from explorer.runtime.source_proof import prove_conversion
from explorer.savedmodel.overlay import Document


@dataclass(frozen=True)
class Made:
    """The files of one small net of TensorFlow 1.

    Attributes:
        folder: Where they lie.
        checkpoint: The prefix of the checkpoint with its ``.meta``.
        other: A checkpoint of the same net with other values.
        frozen: Its graph with constants for variables.
        graph: The graph with its variables.
    """

    folder: Path
    checkpoint: Path
    other: Path
    frozen: Path
    graph: Path


INPUTS, OUTPUTS = {"x": "x:0", "word": "word:0"}, {"scores": "scores:0", "number": "number:0"}
TABLE = "key_value_init/LookupTableImportV2"
"""The op that fills the table."""
CONSTANTS = {"keep_prob": 1.0, "net/is_training": False}


def build_net() -> None:
    """Builds a net with all kinds of variables, dropout, placeholders for training, and a table."""
    import tensorflow as tf

    v1 = tf.compat.v1
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    word = v1.placeholder(tf.string, [None], name="word")
    keep = v1.placeholder(tf.float32, [], name="keep_prob")
    training = v1.placeholder(tf.bool, [], name="net/is_training")
    ref = v1.get_variable("ref", [4, 6], use_resource=False)
    with tf.device("/gpu:3"):
        h = tf.nn.relu(x @ ref)
    resource = v1.get_variable("resource", [6, 6], use_resource=True)
    parts = v1.get_variable("parts", [6, 5], partitioner=v1.fixed_size_partitioner(2, 0), use_resource=False)
    h = v1.nn.dropout(h @ resource, keep_prob=keep)
    h = tf.cond(training, lambda: h + 100.0, lambda: h)
    tf.nn.softmax(h @ tf.convert_to_tensor(parts), name="scores")
    entries = tf.lookup.KeyValueTensorInitializer([f"text {n}" for n in range(100)], tf.range(100, dtype=tf.int64))
    table = tf.lookup.StaticHashTable(entries, -1)
    tf.identity(table.lookup(word), name="number")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The net as checkpoint, frozen graph and graph with variables."""
    import tensorflow as tf

    v1, folder = tf.compat.v1, tmp_path_factory.mktemp("net")
    (folder / "old").mkdir()
    config = v1.ConfigProto(allow_soft_placement=True)
    with tf.Graph().as_default() as graph, v1.Session(config=config) as session:
        v1.set_random_seed(7)
        build_net()
        saver = v1.train.Saver(sharded=True)
        session.run(v1.global_variables_initializer())
        saver.save(session, str(folder / "model.ckpt"))
        kept = ["scores", "number", TABLE]
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), kept)
        frozen.node[-1].device = "/job:worker/replica:0/task:7/device:GPU:3"  # of the machine that trained it
        (folder / "frozen.pb").write_bytes(frozen.SerializeToString())
        old = v1.train.Saver(sharded=True, write_version=v1.train.SaverDef.V1)
        old.save(session, str(folder / "old" / "model.ckpt"))
        (folder / "graph.pbtxt").write_text(str(graph.as_graph_def()))
        v1.set_random_seed(8)
        for variable in v1.global_variables():
            session.run(v1.assign(variable, variable[..., ::-1]))
        saver.save(session, str(folder / "other.ckpt"))
    return Made(folder, folder / "model.ckpt", folder / "other.ckpt", folder / "frozen.pb", folder / "graph.pbtxt")


def converted(
    meta_graph: Any, base_path: Path, prefix: Path | None = None, constants: Mapping[str, Any] | None = None
) -> Path:
    """A meta graph and a checkpoint put together as the conversion does it, exported."""
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    message.meta_graphs.add().CopyFrom(meta_graph)
    message.meta_graphs[0].meta_info_def.tags[:] = ["serve"]
    message.meta_graphs[0].collection_def["saved_model_main_op"].node_list.value[:] = [TABLE]
    files = {
        f"variables/variables{file.name.removeprefix(prefix.name)}": file
        for file in (prefix.parent.glob(f"{prefix.name}.*") if prefix is not None else ())
        if file.suffix != ".meta"
    }
    model = open_parts(Parts(Document.of_bytes(message.SerializeToString()), prefix or base_path, files))
    fixed = {f"fixed{number}": f"{name}:0" for number, name in enumerate(constants or {})}
    model = explorer.add_signature(explorer.clear_devices(model), "serving_default", {**INPUTS, **fixed}, OUTPUTS)
    for key, value in zip(fixed, (constants or {}).values(), strict=True):
        model = explorer.bind_input(model, "serving_default", key, value)
    return explorer.export(model, base_path, follow_outside_links=True)


def from_checkpoint(prefix: Path, base_path: Path, constants: Mapping[str, Any] = CONSTANTS) -> Path:
    """A checkpoint with its ``.meta``, converted."""
    import tensorflow as tf

    meta_graph = tf.compat.v1.MetaGraphDef.FromString(Path(f"{prefix}.meta").read_bytes())
    return converted(meta_graph, base_path, prefix, constants)


def from_graph(path: Path, base_path: Path) -> Path:
    """A frozen graph, converted."""
    import tensorflow as tf
    from tensorflow.python.framework.meta_graph import stripped_op_list_for_graph

    meta_graph = tf.compat.v1.MetaGraphDef()
    meta_graph.graph_def.ParseFromString(path.read_bytes())
    ops = stripped_op_list_for_graph(meta_graph.graph_def)
    meta_graph.meta_info_def.stripped_op_list.CopyFrom(ops)
    return converted(meta_graph, base_path, None, CONSTANTS)


@pytest.fixture(scope="module")
def version(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint, converted."""
    return from_checkpoint(made.checkpoint, tmp_path_factory.mktemp("base"))


def assert_same(proof: Proof, outputs: int, tolerance: float = 0.0) -> None:
    """Every output was compared in every loader, and all of them are the source's."""
    print(proof_text(proof))
    assert [(loading.loader, loading.before, loading.after) for loading in proof.loaders] == [
        (name, "", "") for name in LOADERS.values()
    ]
    assert len(proof.compared) == outputs * len(LOADERS)
    assert proof.holds and not any(output.varies for output in proof.compared)
    assert proof.largest_difference is not None and proof.largest_difference <= tolerance


def test_a_checkpoint_with_its_graph(made: Made, version: Path) -> None:
    """Nothing but the two paths is given: tensors and constants are read from the SavedModel; the difference is 0."""
    proof = prove_conversion(made.checkpoint, version, consent=True)
    assert_same(proof, 2)
    assert all(output.equal_bits for output in proof.compared)
    assert proof.before == str(made.checkpoint) and proof.source.startswith("is a checkpoint with 3 variables")


def test_a_frozen_graph(made: Made, tmp_path: Path) -> None:
    """A GraphDef whose nodes were placed on another machine; with and without what was said at the conversion."""
    version = from_graph(made.frozen, tmp_path / "base")
    proof = prove_conversion(made.frozen, version, consent=True)
    assert_same(proof, 2)
    said = prove_conversion(
        made.frozen, version, consent=True, inputs={"x": "x"}, outputs={"scores": "scores:0"}, constants=CONSTANTS
    )
    assert_same(said, 2)


def test_a_checkpoint_and_a_graph_in_another_file(made: Made, version: Path, tmp_path: Path) -> None:
    """Without its ``.meta`` a checkpoint needs a graph, as text or as a ``.meta``; variables are found by name."""
    for file in made.folder.glob("model.ckpt.[id]*"):
        shutil.copy(file, tmp_path)
    with pytest.raises(ConversionError, match="without a .meta file") as lacking:
        prove_conversion(tmp_path / "model.ckpt", version, consent=True)
    assert lacking.value.needs == ("graph",)
    for graph in (made.graph, Path(f"{made.other}.meta")):
        proof = prove_conversion(tmp_path / "model.ckpt", version, consent=True, graph=graph, loaders=("v1",))
        print(proof_text(proof))
        assert proof.holds and proof.largest_difference == 0 and len(proof.compared) == 2


def test_a_checkpoint_of_the_old_format(made: Made, version: Path) -> None:
    """TensorFlow's own saver restores it, also where it lies in several parts."""
    assert not list((made.folder / "old").glob("*.index"))
    proof = prove_conversion(made.folder / "old" / "model.ckpt", version, consent=True, loaders=("cpp",))
    assert proof.holds and proof.largest_difference == 0 and len(proof.compared) == 2


def test_other_weights_are_caught(made: Made, version: Path) -> None:
    """The values of another checkpoint under the same graph give other answers, and the sentence says so."""
    proof = prove_conversion(made.other, version, consent=True, loaders=("cpp",))
    assert not proof.holds
    assert {output.after_key: output.holds(proof.tolerance) for output in proof.compared} == {
        "scores": False, "number": True,
    }  # fmt: skip
    assert proof_sentence(proof) == "The SavedModel loads, and some of its answers differ from the source's."


def test_another_constant_is_caught(made: Made, version: Path) -> None:
    """A constant that was said, but isn't what the SavedModel has, gives other answers."""
    proof = prove_conversion(made.checkpoint, version, consent=True, loaders=("v1",), constants={"is_training": True})
    assert not proof.holds
    with pytest.raises(RunError, match="'rate' names no placeholder of the graph; placeholders: .*'keep_prob'"):
        prove_conversion(made.checkpoint, version, consent=True, constants={"rate": 0.0})


def test_another_tensor_is_caught(made: Made, version: Path) -> None:
    """A tensor that was said, but isn't what the SavedModel answers with, is compared; one that isn't there is told."""
    other = prove_conversion(
        made.checkpoint, version, consent=True, loaders=("v1",), outputs={"scores": "Relu"}, inputs={"x": "x"}
    )
    assert not other.holds and "shape" in next(output.note for output in other.compared if not output.equal_bits)
    absent = prove_conversion(made.checkpoint, version, consent=True, loaders=("v1",), outputs={"scores": "no/such:0"})
    assert not absent.holds and "the source's graph has no tensor 'no/such:0'" in proof_text(absent)
    with pytest.raises(RunError, match="has no output 'y'; it has 'scores', 'number'"):
        prove_conversion(made.checkpoint, version, consent=True, outputs={"y": "scores:0"})


def test_a_source_that_does_not_load(made: Made, version: Path, tmp_path: Path) -> None:
    """An op that TensorFlow doesn't know is told of the source, the SavedModel is still loaded, nothing is claimed."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(made.frozen.read_bytes())
    graph.node.add(name="odd", op="Odd<b>Op")
    (tmp_path / "odd.pb").write_bytes(graph.SerializeToString())
    proof = prove_conversion(tmp_path / "odd.pb", version, consent=True, loaders=("v1", "v2"))
    assert not proof.holds and not proof.compared
    assert all("the source doesn't load" in one.before and "Odd<b>Op" in one.before for one in proof.loaders)
    assert not any(one.after for one in proof.loaders)
    assert "no answer could be compared, because the source doesn't load" in proof_sentence(proof)
    assert "doesn't run" in proof_text(proof) and "<b>" not in proof_html(proof)


def test_a_savedmodel_as_its_own_source(version: Path) -> None:
    """What is a SavedModel already is proven as one."""
    proof = prove_conversion(version, version, consent=True, loaders=("v1",))
    assert proof.holds and not proof.source and proof.largest_difference == 0


def net_of(framework: ModuleType) -> Any:
    """A small net of Keras with two inputs and two outputs."""
    layers = framework.layers
    pixels, words = framework.Input((6, 6, 3), name="pixels"), framework.Input((4,), dtype="int32", name="words")
    h = layers.Conv2D(4, 3, activation="relu", name="conv")(pixels)
    h = layers.GlobalAveragePooling2D()(layers.BatchNormalization(name="norm")(h))
    h = layers.Concatenate()([h, layers.LSTM(5, name="lstm")(layers.Embedding(10, 3)(words))])
    h = layers.Dropout(0.5)(layers.Dense(8, activation="tanh", name="features")(h))
    outputs = [layers.Dense(3, activation="softmax", name="kind")(h), layers.Dense(1, name="price")(h)]
    return framework.Model([pixels, words], outputs)


def shaken(model: Any) -> Any:
    """The model with other values in every variable."""
    random = np.random.default_rng(5)
    model.set_weights([random.uniform(0.1, 0.9, value.shape).astype(value.dtype) for value in model.get_weights()])
    return model


def exported_net(model: Any, folder: Path, endpoints: Mapping[str, Any]) -> Path:
    """A SavedModel with a signature for each endpoint, which gives the tensors under keys of its own."""
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert
    def make(outputs: Mapping[str, Any]) -> Any:
        part = type(model)(model.inputs, dict(outputs))
        specs = {name: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name=name) for name, tensor in zip(
            ("pixels", "words"), model.inputs, strict=True)}  # fmt: skip
        return tf.function(lambda **inputs: part(list(inputs.values()), training=False)).get_concrete_function(**specs)

    holder = tf.Module()
    holder.weights = [getattr(variable, "_value", variable) for variable in model.variables]
    tf.saved_model.save(holder, str(folder), {key: make(outputs) for key, outputs in endpoints.items()})
    return folder


@pytest.fixture(params=["keras", "tf_keras"])
def framework(request: pytest.FixtureRequest) -> ModuleType:
    """Keras 3, and Keras 2 as it is called today."""
    return importlib.import_module(request.param)


def test_files_of_keras(framework: ModuleType, tmp_path: Path) -> None:
    """Outputs are found by their own names, by what was said, by layers; answers are the same but for rounding."""
    model = shaken(net_of(framework))
    version = exported_net(
        model,
        tmp_path / "1",
        {
            "serving_default": {"kind": model.outputs[0], "price": model.outputs[1]},
            "said": {"score": model.outputs[1], "inner": model.get_layer("lstm").output},
            "embedding": {"vector": model.get_layer("features").output},
        },
    )
    for name in ("net.keras", "net.h5"):
        model.save(tmp_path / name)
        proof = prove_conversion(
            tmp_path / name, version, consent=True, signature_key="said", inputs={"words": "words"},
            outputs={"score": "price", "inner": "lstm"}, endpoints={"embedding": "features"},
        )  # fmt: skip
        assert_same(proof, 5, 2e-6)
        assert all(output.relative_difference < 1e-5 for output in proof.compared if output.relative_difference)


def test_files_of_keras_that_were_converted(framework: ModuleType, tmp_path: Path) -> None:
    """What the conversion of Keras files writes is proven: a Sequential model, and weights with an architecture."""
    layers = framework.layers
    model = framework.Sequential([layers.Input((5,)), layers.Dense(4, activation="relu"), layers.Dense(2)])
    model.save(tmp_path / "net.keras")
    model.save_weights(tmp_path / "net.weights.h5")
    (tmp_path / "net.json").write_text(model.to_json())
    convert_keras(tmp_path / "net.keras", tmp_path / "1", consent=True)
    assert_same(prove_conversion(tmp_path / "net.keras", tmp_path / "1", consent=True), 1, 1e-6)
    proof = prove_conversion(
        tmp_path / "net.weights.h5", tmp_path / "1", consent=True, architecture=tmp_path / "net.json", loaders=("v1",)
    )
    assert proof.holds and len(proof.compared) == 1


OWN = """
import keras

class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


def test_what_is_refused_is_never_built(tmp_path: Path) -> None:
    """A Lambda layer is refused when the source is to be run, too; a class of one's own is taken where it is given."""
    import keras

    (tmp_path / "own_layers.py").write_text(OWN)
    outside = keras.Input((3,))
    keras.Model(outside, keras.layers.Lambda(lambda x: x * 2, name="odd")(outside)).save(tmp_path / "code.keras")
    version = exported_net(keras.Model(outside, keras.layers.ReLU()(outside)), tmp_path / "1", {})
    proof = prove_conversion(tmp_path / "code.keras", version, consent=True, loaders=("v2",))
    assert not proof.holds
    assert "'odd' is a Lambda layer, whose Python code is stored in the file" in proof.loaders[0].before
    module = importlib.util.spec_from_file_location("own_layers", tmp_path / "own_layers.py")
    assert module is not None and module.loader is not None
    own = importlib.util.module_from_spec(module)
    module.loader.exec_module(own)
    keras.Model(outside, own.Twice(name="twice")(outside)).save(tmp_path / "own.keras")
    given = {"Twice": f"{tmp_path / 'own_layers.py'}:Twice"}
    convert_keras(tmp_path / "own.keras", tmp_path / "2", consent=True, custom_objects=given)
    proof = prove_conversion(
        tmp_path / "own.keras", tmp_path / "2", consent=True, custom_objects=given, loaders=("v2",)
    )
    assert proof.holds and proof.largest_difference == 0 and len(proof.compared) == 1


def test_other_weights_of_keras_are_caught(framework: ModuleType, tmp_path: Path) -> None:
    """A file of the same architecture with other weights isn't what was converted."""
    model = net_of(framework)
    model.save(tmp_path / "net.keras")
    outputs = {"kind": model.outputs[0], "price": model.outputs[1]}
    version = exported_net(shaken(model), tmp_path / "1", {"serving_default": outputs})
    proof = prove_conversion(tmp_path / "net.keras", version, consent=True, loaders=("v2",))
    assert not proof.holds and len(proof.compared) == 2


def test_a_checkpoint_of_objects(framework: ModuleType, tmp_path: Path) -> None:
    """Values in a SavedModel of the same architecture: of a model of Keras by name, whatever its export is made of."""
    import tensorflow as tf

    net_of(framework).export(str(tmp_path / "architecture"))
    model = shaken(net_of(framework))
    tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt"))
    model.export(str(tmp_path / "1"))
    with pytest.raises(ConversionError, match="same variables") as lacking:
        prove_conversion(tmp_path / "ckpt", tmp_path / "1", consent=True)
    assert "architecture" in lacking.value.needs
    proof = prove_conversion(
        tmp_path / "ckpt", tmp_path / "1", consent=True, architecture=tmp_path / "architecture", loaders=("v1", "v2")
    )
    print(proof_text(proof))
    assert proof.holds and len(proof.compared) >= 4 and proof.largest_difference is not None
    assert proof.largest_difference < 1e-6
    if framework.__name__ == "keras":
        other = tmp_path / "architecture"
        assert not prove_conversion(tmp_path / "ckpt", other, consent=True, architecture=other, loaders=("v1",)).holds


def test_a_checkpoint_of_a_module(tmp_path: Path) -> None:
    """The variables of a module have one name; TensorFlow finds them by their attributes, also below others."""
    import tensorflow as tf

    class Line(tf.Module):
        """Two variables of the same name and shape."""

        def __init__(self, slope: float, start: float) -> None:
            self.slope, self.start = tf.Variable(slope, name="v"), tf.Variable(start, name="v")

        @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
        def __call__(self, x: Any) -> Any:
            return {"y": self.slope * x + self.start}

    for name, line in (("architecture", Line(1.0, 2.0)), ("1", Line(5.0, 6.0)), ("swapped", Line(6.0, 5.0))):
        tf.saved_model.save(line, str(tmp_path / name), line.__call__.get_concrete_function())
    outer = tf.train.Checkpoint(step=tf.Variable(3), parts=tf.train.Checkpoint(line=Line(5.0, 6.0)))
    outer.write(str(tmp_path / "ckpt"))
    for name, holds in (("1", True), ("swapped", False)):
        proof = prove_conversion(
            tmp_path / "ckpt", tmp_path / name, consent=True, architecture=tmp_path / "architecture", loaders=("v2",)
        )
        assert (proof.holds, len(proof.compared)) == (holds, 1)
