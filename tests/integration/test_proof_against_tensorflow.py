"""Proofs with the real TensorFlow: who loads a new version, how far it is from the old one, and what can go wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import explorer
from explorer.runtime.batch_test import batch_test
from explorer.runtime.c_api import REMAPPER_OFF, CApiError, Session
from explorer.runtime.proof import LOADERS, prove
from explorer.savedmodel.tensors import Tensor

Save = Callable[[Callable[[Any], dict[str, Any]], list[int | None]], Path]
"""Saves a model of TensorFlow 1 without variables: what it makes of its float input ``x`` of a shape."""


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Builds models for one test."""

    def build(function: Callable[[Any], dict[str, Any]], shape: list[int | None]) -> Path:
        import tensorflow as tf

        folder = tmp_path / f"saved{len(list(tmp_path.iterdir()))}"
        with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
            x = tf.compat.v1.placeholder(tf.float32, shape, name="x")
            tf.compat.v1.saved_model.simple_save(session, str(folder), {"x": x}, function(x))
        return folder

    return build


def rewritten(folder: Path, change: Callable[[Any], None]) -> Path:
    """Changes the MetaGraphDef of a saved model in place."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(message.meta_graphs[0])
    path.write_bytes(message.SerializeToString())
    return folder


def test_a_renamed_tf1_model_is_proven_in_every_loader(sample_models: Path, tmp_path: Path) -> None:
    """Signature, input and output renamed: every loader takes it, and every difference is 0."""
    model = explorer.open_saved_model(sample_models / "linear")
    draft = explorer.rename_signature(model, "prediction", "scored/ключ")
    draft = explorer.rename_input(draft, "scored/ключ", "input", "x")
    draft = explorer.rename_output(draft, "scored/ключ", "output", "scores")
    proof = prove(draft, explorer.export(draft, tmp_path / "base"), consent=True)
    assert [(loading.loader, loading.before, loading.after) for loading in proof.loaders] == [
        (name, "", "") for name in LOADERS.values()
    ]
    assert [(o.before_key, o.after_key, o.largest_difference, o.equal_bits) for o in proof.compared] == [
        ("output", "scores", 0.0, True)
    ] * 3
    assert proof.holds and proof.largest_difference == 0


def test_a_copied_tf2_signature_is_proven_in_every_loader(sample_models: Path, tmp_path: Path) -> None:
    """A copy is compared with its original, and a renamed and a removed signature are told as such."""
    model = explorer.open_saved_model(sample_models / "module")
    draft = explorer.copy_signature(model, "serving_default", "copy")
    draft = explorer.remove_signature(explorer.rename_signature(draft, "repeat", "again"), "shift")
    proof = prove(draft, explorer.export(draft, tmp_path / "base"), consent=True)
    assert proof.holds and proof.largest_difference == 0
    assert {(s.before_key, s.after_key) for s in proof.signatures if s.state == "compared"} == {
        ("serving_default", "serving_default"), ("serving_default", "copy"), ("repeat", "again"),
    }  # fmt: skip
    assert [(s.before_key, s.after_key) for s in proof.signatures if s.state == "left out"] == [("shift", None)]
    assert len(proof.compared) == 5 * 3


@pytest.mark.parametrize(
    "name",
    ["estimator_like", "image_bytes", "keras2", "ragged", "shapes_and_types", "several_meta_graphs", "tf1_sparse",
     "tf1_ref_variables", "tf_example", "half_plus_two", "text_format"],
)  # fmt: skip
def test_inputs_that_models_take_are_made_up(name: str, sample_models: Path) -> None:
    """Records, images, sparse and ragged values: every signature answers, twice the same."""
    proof = prove(sample_models / name, sample_models / name, consent=True, loaders=("cpp",))
    assert [s.note for s in proof.signatures if s.state != "compared"] == []
    assert proof.holds and proof.largest_difference == 0 and proof.compared


def test_other_weights_are_seen(sample_models: Path) -> None:
    """Two versions with other weights load alike, and the proof says how far apart they are."""
    old, new = (explorer.open_saved_model(sample_models / "half_plus_two", version) for version in (123, 124))
    proof = prove(old, new, consent=True, loaders=("cpp",))
    assert not proof.holds and proof.largest_difference and proof.largest_difference > 0.01


def test_what_a_model_prints_and_draws_disturbs_nothing(tmp_path: Path) -> None:
    """Prints on both streams don't reach the protocol; random answers are told apart from wrong ones."""
    import tensorflow as tf

    class Loud(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def run(self, x: Any) -> dict[str, Any]:
            tf.print('{"task": 0, "event": "refused"}', output_stream="file:///dev/stdout")
            tf.print("loud", x)
            return {"doubled": x * 2, "drawn": x + tf.random.uniform([])}

    model = Loud()
    tf.saved_model.save(model, str(tmp_path / "loud"), signatures=model.run)
    proof = prove(tmp_path / "loud", tmp_path / "loud", consent=True, loaders=("cpp", "v2"))
    outputs = {(s.loader, o.before_key): o for s in proof.signatures for o in s.outputs}
    assert proof.holds and len(outputs) == 4
    for loader in (LOADERS["cpp"], LOADERS["v2"]):
        assert outputs[loader, "doubled"].equal_bits
        assert outputs[loader, "drawn"].varies and not outputs[loader, "drawn"].equal_bits


def test_a_model_that_crashes_a_loader_is_told_of(save: Save) -> None:
    """A function that calls itself brings tf.compat.v1's loader down; that is told, and the other loaders still run."""

    def call_itself(meta_graph: Any) -> None:
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = "around"
        argument, result = function.signature.input_arg.add(), function.signature.output_arg.add()
        argument.name, argument.type, result.name, result.type = "x", 1, "y", 1
        for nodes, fed in ((function.node_def, "x"), (meta_graph.graph_def.node, "x")):
            node = nodes.add()
            node.name, node.op = "call", "around"
            node.input.append(fed)
        function.ret["y"] = "call:y:0"
        meta_graph.signature_def["serving_default"].outputs["y"].name = "call:0"

    folder = rewritten(save(lambda x: {"y": x * 2}, [None, 2]), call_itself)
    proof = prove(folder, folder, consent=True)
    told = {loading.loader: loading.before for loading in proof.loaders}
    assert any("crashed (SIG" in reason for reason in told.values()), told
    assert list(told) == list(LOADERS.values()) and proof.holds


def test_the_c_api_agrees_with_the_session(sample_models: Path, judges: ModuleType, expected_answers: Any) -> None:
    """Numbers and texts that the C++ loader computes are the bits that tf.compat.v1 computes."""
    for name, signature_key in (("linear", "prediction"), ("shapes_and_types", "serving_default")):
        model = explorer.open_saved_model(sample_models / name)
        signature = model.meta_graph().signature(signature_key)
        case = next(case for case in expected_answers[name]["1"] if set(case["inputs"]) == set(signature.inputs))
        wanted = judges.run_v1(model.path, ["serve"], signature_key, case["inputs"])
        feeds = {}
        for key, info in signature.inputs.items():
            array = np.array(case["inputs"][key], object if info.dtype.number == 7 else np.float32)
            feeds[str(info.tensor_name)] = Tensor.from_array(array, info.dtype.number)
        assert model.path is not None
        with Session(model.path, ["serve"], REMAPPER_OFF) as session:
            answers = session.run(feeds, [str(info.tensor_name) for info in signature.outputs.values()])
        for key, answer in zip(signature.outputs, answers, strict=True):
            assert answer.to_array().tolist() == wanted[key].tolist()


def test_the_c_api_carries_every_kind_of_number(save: Save) -> None:
    """bfloat16, half, complex, texts and truth values go in and out as the same bytes."""
    import tensorflow as tf

    kinds = ["bfloat16", "float16", "float64", "complex64", "int8", "uint64", "bool", "string"]

    def cast(x: Any) -> dict[str, Any]:
        fed = {kind: tf.compat.v1.placeholder(tf.as_dtype(kind), [None], name=f"in_{kind}") for kind in kinds}
        return {"x": tf.identity(x), **{kind: tf.identity(value, name=f"out_{kind}") for kind, value in fed.items()}}

    folder = save(cast, [None])
    values = {}
    for kind in kinds:
        dtype = tf.as_dtype(kind)
        array = np.array([b"\0text", b"", b"x" * 500], object) if kind == "string" else np.array(
            [0, 1, 3], dtype.as_numpy_dtype
        )  # fmt: skip
        values[kind] = Tensor.from_array(array, dtype.as_datatype_enum)
    with Session(folder, ["serve"]) as session:
        answers = session.run({f"in_{k}:0": v for k, v in values.items()}, [f"out_{k}:0" for k in values])
        assert answers == list(values.values())
        with pytest.raises(CApiError, match="Tensor nowhere:0.* was not found in the Graph"):
            session.run({}, ["nowhere:0"])
        with pytest.raises(CApiError, match="does not have output 7"):
            session.run({}, ["out_bool:7"])
        with pytest.raises(CApiError, match="must feed a value"):
            session.run({}, ["out_bool:0"])
    with pytest.raises(CApiError, match="tags"):
        Session(folder, ["nobody"])


def test_a_baked_batch_is_found(save: Save) -> None:
    """Of three models built for a batch of one and widened, only the one that treats rows alike passes."""
    import tensorflow as tf

    def widen(meta_graph: Any) -> None:
        for node in meta_graph.graph_def.node:
            node.attr.pop("_output_shapes", None)
            if node.name == "x":
                node.attr["shape"].shape.dim[0].size = -1
        for infos in (
            meta_graph.signature_def["serving_default"].inputs,
            meta_graph.signature_def["serving_default"].outputs,
        ):
            for info in infos.values():
                info.tensor_shape.dim[0].size = -1

    rows_alike = rewritten(save(lambda x: {"y": tf.nn.softmax(x)}, [1, 3]), widen)
    rows_mixed = rewritten(save(lambda x: {"y": tf.cumsum(x, axis=0)}, [1, 3]), widen)
    one_row = rewritten(save(lambda x: {"y": tf.reshape(tf.reduce_sum(x), [1])}, [1, 3]), widen)
    assert batch_test(rows_alike, "serving_default", consent=True) == ""
    assert "not the same for 2 examples" in batch_test(rows_mixed, "serving_default", consent=True, loaders=("cpp",))
    assert "[1] for 2 examples" in batch_test(one_row, "serving_default", consent=True, loaders=("cpp",))
