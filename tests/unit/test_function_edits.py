"""Edits of TensorFlow 2 signatures: both truths say the same afterwards, and nothing else in the file is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import explorer
from explorer import SavedModel
from explorer.editing.plan import Plan
from explorer.editing.two_truths import Functions, read_plan
from explorer.errors import EditError, UnsupportedEditError
from explorer.savedmodel.concrete_functions import read_concrete_functions
from explorer.savedmodel.inner_tensors import InnerTensor, find_inner, inner_tensors
from explorer.savedmodel.model import DType, Shape
from explorer.savedmodel.schema import message_class

Open = Callable[[str], SavedModel]


@pytest.fixture
def sample(sample_models: Path) -> Open:
    """Opens a sample model by its name."""
    return lambda name: explorer.open_saved_model(sample_models / name)


def message(model: SavedModel) -> Any:
    """The whole SavedModel as a message."""
    assert model.document is not None
    return message_class("tensorflow.SavedModel").FromString(model.document.to_bytes())


def plan_of(model: SavedModel, key: str) -> Plan:
    """What a signature computes, which is only told where both truths agree."""
    meta_graph = model.meta_graph()
    return read_plan(Functions(meta_graph), meta_graph.signatures[key])


def inner(model: SavedModel, key: str) -> list[InnerTensor]:
    """The tensors inside the functions of a signature."""
    functions = Functions(model.meta_graph())
    plan = plan_of(model, key)
    starts = [(call.path, call.function) for call in plan.calls]
    return list(
        inner_tensors(
            functions.graph, starts, lambda name: functions.find(name) if functions.graph.function(name) else None
        )
    )


def test_a_renamed_key_keeps_every_tensor_and_node_of_the_graph(sample: Open) -> None:
    """Servers go on fetching the same tensor; only the object graph needs another wrapper, which is appended."""
    model = sample("keras3")
    edited = explorer.rename_output(model, "serving_default", "output_0", "scores")
    before, after = message(model).meta_graphs[0], message(edited).meta_graphs[0]
    assert list(after.graph_def.node) == list(before.graph_def.node)
    count = len(before.graph_def.library.function)
    assert list(after.graph_def.library.function)[:count] == list(before.graph_def.library.function)
    assert len(after.graph_def.library.function) == count + 1
    old = model.meta_graph().signatures["serving_default"].outputs["output_0"]
    assert edited.meta_graph().signatures["serving_default"].outputs["scores"] == old
    nodes = list(before.object_graph_def.nodes)
    assert len(after.object_graph_def.nodes) == len(nodes) + 1
    changed = [index for index, node in enumerate(nodes) if after.object_graph_def.nodes[index] != node]
    assert len(changed) == 1  # the signature map
    assert nodes[changed[0]].user_object.identifier == "signature_map"
    assert set(plan_of(edited, "serving_default").outputs) == {"scores"}


def test_the_object_graph_lists_keys_in_sorted_order(sample: Open) -> None:
    """tf.saved_model.load flattens by sorted key, so the generated function's arguments must be in that order."""
    model = explorer.rename_input(sample("keras3"), "serving_default", "colour", "zz")
    meta_graph = message(model).meta_graphs[0]
    bare = meta_graph.object_graph_def.nodes[-1].bare_concrete_function
    assert list(bare.argument_keywords) == ["size", "zz"]
    function = next(
        function
        for function in meta_graph.graph_def.library.function
        if function.signature.name == bare.concrete_function_name
    )
    free = len(function.signature.input_arg) - len(
        meta_graph.object_graph_def.concrete_functions[bare.concrete_function_name].bound_inputs
    )
    named = [function.arg_attr[place].attr["_user_specified_name"].s.decode() for place in range(free)]
    assert named == ["size", "zz"]


def test_edits_of_edits_don_t_nest(sample: Open) -> None:
    """Each edit wraps the function that does the work, however many edits came before."""
    model = sample("keras3")
    once = plan_of(explorer.rename_output(model, "serve", "output_0", "a"), "serve")
    for name in ("b", "c", "d"):
        key = next(iter(model.meta_graph().signatures["serve"].outputs))
        model = explorer.rename_output(model, "serve", key, name)
    assert [call.function for call in plan_of(model, "serve").calls] == [call.function for call in once.calls]


def test_replay_gives_the_same_bytes(sample: Open) -> None:
    """Generated names are worked out from the model alone."""
    model = sample("control_flow")
    edited = explorer.add_output(model, "serving_default", "deep", "activated:0")
    edited = explorer.bind_input(edited, "serving_default", "steps", 2)
    edited = explorer.rename_input(edited, "serving_default", "x", "features/0")
    again = explorer.apply_recipe(model, explorer.recipe(edited))
    assert again.document is not None and edited.document is not None
    assert again.document.to_bytes() == edited.document.to_bytes()


def test_tensors_inside_functions_have_the_names_of_inlining(sample: Open) -> None:
    """A path of call nodes, the node, and the index through all of its outputs."""
    tensors = {tensor.name: tensor for tensor in inner(sample("control_flow"), "serving_default")}
    top = "StatefulPartitionedCall_1/StatefulPartitionedCall"
    deep = tensors[f"{top}/StatefulPartitionedCall/StatefulPartitionedCall/activated:0"]
    assert (str(deep.dtype), deep.shape, deep.op) == ("float32", Shape((None, 4)), "Relu")
    assert deep.edge == "activated:activations:0"
    assert f"{top}/while:3" in tensors


def test_a_tensor_is_found_by_the_end_of_its_name(sample: Open) -> None:
    """Whole name, end of the path, the function's own notation, or a bare node; several matches are all told."""
    tensors = inner(sample("keras3"), "serving_default")
    relu = next(tensor for tensor in tensors if tensor.op == "Relu")
    for name in (relu.name, "hidden_1/Relu:0", "Relu:0", "petals_1/hidden_1/Relu:activations:0", "hidden_1/Relu"):
        assert find_inner(tensors, name) == [relu], name
    assert len(find_inner(tensors, "MatMul:0")) == 2
    assert find_inner(tensors, "elu:0") == []


def test_a_whole_name_from_before_an_edit_still_means_its_tensor(sample: Open) -> None:
    """Regression: the first add_output put another call in place, and the second name of a script was not found."""
    model = sample("keras3")
    names = [tensor.name for tensor in inner(model, "serving_default") if tensor.op in ("MatMul", "Relu")]
    assert len(names) == 3
    for number, name in enumerate(names):
        model = explorer.add_output(model, "serving_default", f"out_{number}", name)
    sources = [plan_of(model, "serving_default").outputs[f"out_{number}"].source for number in range(3)]
    assert len(set(sources)) == 3
    with pytest.raises(LookupError, match="no tensor"):
        explorer.add_output(model, "serving_default", "x", "nowhere/hidden_1/Relu:0")


def test_an_exposed_tensor_leaves_the_original_functions_alone(sample: Open) -> None:
    """Functions on the path are cloned, because others may call them too."""
    model = sample("control_flow")
    edited = explorer.add_output(model, "serving_default", "deep", "product:0")
    before = {f.signature.name: f for f in message(model).meta_graphs[0].graph_def.library.function}
    after = {f.signature.name: f for f in message(edited).meta_graphs[0].graph_def.library.function}
    assert {name: after[name] for name in before} == before
    clones = set(after) - set(before)
    assert len(clones) == 4  # three functions on the path and the wrapper
    listed = message(edited).meta_graphs[0].object_graph_def.concrete_functions
    assert sum(name in listed for name in clones) == 1  # only the wrapper has its captures told
    assert edited.meta_graph().signatures["encode"] == model.meta_graph().signatures["encode"]


def test_what_a_function_answers_already_is_not_exposed_anew(sample: Open) -> None:
    """An output that is a second name for another needs no clone."""
    model = sample("keras3")
    edited = explorer.add_output(model, "serving_default", "again", "score_1/BiasAdd:0")
    before = message(model).meta_graphs[0].graph_def.library.function
    assert len(message(edited).meta_graphs[0].graph_def.library.function) == len(before) + 1
    plan = plan_of(edited, "serving_default")
    assert plan.outputs["again"].source == plan.outputs["output_0"].source


def test_a_cut_takes_what_only_led_to_the_tensor_out(sample: Open) -> None:
    """Neither the old input's layers nor their weights stay; an input that nothing needs can go, then."""
    model = sample("keras3")
    edited = explorer.set_input_tensor(model, "serving_default", "size", "hidden_1/Relu:0")
    plan = plan_of(edited, "serving_default")
    assert len(plan.captures()) == 2  # kernel and bias of the last layer, of four
    assert plan.inputs["size"].shape == Shape((None, 4))
    edited = explorer.remove_input(edited, "serving_default", "colour")
    assert set(edited.meta_graph().signatures["serving_default"].inputs) == {"size"}
    with pytest.raises(EditError, match="an output depends on it"):
        explorer.remove_input(edited, "serving_default", "size")


def test_a_cut_keeps_side_effects_that_do_not_need_the_old_input(sample: Open) -> None:
    """A counter goes on counting when a later tensor is fed."""
    model = sample("stateful")
    key = "serving_default"
    counted = [tensor for tensor in inner(model, key) if tensor.op == "Mul" or tensor.op == "AddV2"]
    assert counted
    functions = Functions(model.meta_graph())
    ops = {node.op for call in plan_of(model, key).calls for node in functions.find(call.function).node_def}
    writes = {op for op in ops if op.startswith("Assign")}
    for tensor in counted:
        try:
            edited = explorer.set_input_tensor(model, key, "x", tensor.name)
        except EditError:
            continue
        functions = Functions(edited.meta_graph())
        left = {node.op for call in plan_of(edited, key).calls for node in functions.find(call.function).node_def}
        assert writes <= left


def test_a_bound_input_is_a_constant_of_the_wrapper(sample: Open) -> None:
    """The signature no longer has the input, and the bytes of the value stand in the generated function."""
    model = sample("keras3")
    edited = explorer.bind_input(model, "serving_default", "colour", [[0.5, -1.0]])
    assert set(edited.meta_graph().signatures["serving_default"].inputs) == {"size"}
    entry = edited.edits[-1]
    assert entry["value"] == [[0.5, -1.0]]
    function = message(edited).meta_graphs[0].graph_def.library.function[-1]
    (constant,) = [node for node in function.node_def if node.op == "Const"]
    import numpy as np

    values = np.frombuffer(constant.attr["value"].tensor.tensor_content, "<f4")
    assert values.tolist() == [0.5, -1.0]


def test_a_bound_input_of_a_graph_leaves_other_signatures_as_they_were(sample: Open) -> None:
    """The placeholder gets a default; whoever feeds it is not concerned, and two different defaults are refused."""
    model = explorer.copy_signature(sample("linear"), "prediction", "bound")
    edited = explorer.bind_input(model, "bound", "input", [[1.0, 2.0, 3.0]])
    assert edited.meta_graph().signatures["prediction"] == model.meta_graph().signatures["prediction"]
    assert not edited.meta_graph().signatures["bound"].inputs
    nodes = {node.name: node for node in message(edited).meta_graphs[0].graph_def.node}
    assert nodes["Placeholder"].op == "PlaceholderWithDefault"
    assert nodes[nodes["Placeholder"].input[0]].op == "Const"
    again = explorer.bind_input(
        explorer.copy_signature(edited, "prediction", "other"), "other", "input", [[1.0, 2.0, 3.0]]
    )
    assert not again.meta_graph().signatures["other"].inputs
    with pytest.raises(EditError, match="only one"):
        explorer.bind_input(explorer.copy_signature(edited, "prediction", "other"), "other", "input", [[9.0, 9.0, 9.0]])


@pytest.mark.parametrize("name", ["keras3", "linear"])
def test_a_restricted_shape_is_checked_by_the_model(sample: Open, name: str) -> None:
    """An EnsureShape node stands in the way of any other shape, and its definition comes with it."""
    model = sample(name)
    key = next(iter(model.meta_graph().callable_signatures))
    input_key, info = next(iter(model.meta_graph().signatures[key].inputs.items()))
    assert info.shape.dims is not None
    wanted = [4, *info.shape.dims[1:]]
    edited = explorer.set_input_shape(model, key, input_key, wanted)
    assert edited.meta_graph().signatures[key].inputs[input_key].shape == Shape(tuple(wanted))
    meta_graph = message(edited).meta_graphs[0]
    every = [*meta_graph.graph_def.node, *(n for f in meta_graph.graph_def.library.function for n in f.node_def)]
    (check,) = [node for node in every if node.op == "EnsureShape"]
    assert [dim.size for dim in check.attr["shape"].shape.dim] == wanted
    assert "EnsureShape" in {op.name for op in meta_graph.meta_info_def.stripped_op_list.op}
    assert not [found for found in explorer.check(edited) if found.severity == "error"]


def test_a_wider_shape_needs_a_test_that_says_yes(sample: Open) -> None:
    """Without a test it is refused, with one that says no as well, and the test is given the widened model."""
    narrow = explorer.set_input_shape(sample("linear"), "prediction", "input", [1, 3])
    asked: list[tuple[Shape, str, str]] = []

    def test(model: SavedModel, key: str, input_key: str) -> str:
        asked.append((model.meta_graph().signatures[key].inputs[input_key].shape, key, input_key))
        return "" if len(asked) > 1 else "the second row is wrong"

    with pytest.raises(EditError, match="numeric test"):
        explorer.set_input_shape(narrow, "prediction", "input", [None, 3])
    with pytest.raises(EditError, match="the second row is wrong"):
        explorer.set_input_shape(narrow, "prediction", "input", [None, 3], numeric_test=test)
    wide = explorer.set_input_shape(narrow, "prediction", "input", [None, 3], numeric_test=test)
    assert wide.meta_graph().signatures["prediction"].inputs["input"].shape == Shape((None, 3))
    assert asked == [(Shape((None, 3)), "prediction", "input")] * 2
    entry = {"recipe": 1, "edits": [wide.edits[-1]]}
    with pytest.raises(explorer.ExplorerError, match="numeric test"):
        explorer.apply_recipe(narrow, entry)
    assert explorer.apply_recipe(narrow, entry, numeric_test=test) == wide


def test_defaults_are_set_replaced_and_removed(sample: Open) -> None:
    """A default follows its input through a rename, and goes with it."""
    model = explorer.set_default(sample("module"), "repeat", "times", 3)
    tensor = message_class("tensorflow.TensorProto").FromString(
        model.meta_graph().signatures["repeat"].defaults["times"]
    )
    assert (DType(tensor.dtype).name, tensor.tensor_content) == ("DT_INT64", (3).to_bytes(8, "little"))  # type: ignore[attr-defined]
    renamed = explorer.rename_input(model, "repeat", "times", "n")
    assert set(renamed.meta_graph().signatures["repeat"].defaults) == {"n"}
    assert renamed.meta_graph().signatures["repeat"].defaults["n"] == tensor.SerializeToString(deterministic=True)
    with pytest.raises(EditError, match="already"):
        explorer.set_default(model, "repeat", "times", 3)
    assert not explorer.remove_default(model, "repeat", "times").meta_graph().signatures["repeat"].defaults
    assert not explorer.bind_input(model, "repeat", "times", 2).meta_graph().signatures["repeat"].defaults


def test_functions_are_offered_with_their_arguments(sample: Open) -> None:
    """Methods by their path, Python arguments of a trace told, table initialisers and saver left out."""
    offered = read_concrete_functions(sample("training_trace").meta_graph())
    by_path = {path: function for function in offered.values() for path in function.paths}
    assert {"call", "predict", "predict_one", "train_step"} <= set(by_path)
    assert [tensor.name for tensor in by_path["train_step"].arguments] == ["x", "wanted"]
    assert [tensor.name for tensor in by_path["train_step"].results] == ["loss", "steps"]
    told = {function.python_arguments for function in offered.values() if "call" in function.paths}
    assert told == {("training=True",), ("training=False",)}
    assert not any("initializer" in name or "traced_save" in name for name in offered)


def test_a_signature_from_a_function(sample: Open) -> None:
    """Arguments and results get the keys that are asked for, and a training trace is warned of."""
    model = sample("training_trace")
    edited = explorer.add_signature_from_function(
        model, "one", "predict_one", {"row": "x"}, {"how many": "batch"}, "tensorflow/serving/predict"
    )
    signature = edited.meta_graph().signatures["one"]
    assert set(signature.inputs) == {"row"} and set(signature.outputs) == {"how many"}
    assert set(plan_of(edited, "one").inputs) == {"row"}
    with pytest.raises(EditError, match="traced several times.*training=True"):
        explorer.add_signature_from_function(model, "x", "call")
    with pytest.raises(EditError, match="needs 'wanted' too"):
        explorer.add_signature_from_function(model, "x", "train_step", {"x": "x"})
    with pytest.raises(LookupError, match="no argument 'y'"):
        explorer.add_signature_from_function(model, "x", "predict", {"x": "y"})
    training = explorer.add_signature_from_function(model, "train", "train_step")
    codes = {found.code for found in explorer.check(training) if found.signature_key == "train"}
    assert "writes_variables" in codes


def test_a_signature_edited_on_one_side_only_is_found_and_repaired(sample: Open) -> None:
    """Regression: a tool that edits signature_def alone leaves a model in which Python sees the old names."""
    from explorer.savedmodel.overlay import Document
    from explorer.savedmodel.reader import reread

    model = sample("keras3")
    both = message(model)
    signature = both.meta_graphs[0].signature_def["serving_default"]
    signature.outputs["scores"].CopyFrom(signature.outputs["output_0"])
    del signature.outputs["output_0"]
    both.meta_graphs[0].signature_def["extra"].CopyFrom(signature)
    del both.meta_graphs[0].signature_def["serve"]
    broken = reread(model, Document.of_bytes(both.SerializeToString(deterministic=True)))
    found = [finding for finding in explorer.repairs(broken) if finding.code == "two_truths"]
    assert found and all(finding.edit == {"edit": "repair_two_truths", "tags": ["serve"]} for finding in found)
    with pytest.raises(EditError, match="two different signatures"):
        explorer.add_output(broken, "serving_default", "x", "hidden_1/Relu:0")
    mended = explorer.repair(broken)
    assert [entry["edit"] for entry in mended.edits] == ["repair_two_truths"]
    assert mended.meta_graph().signatures == broken.meta_graph().signatures
    for key in ("serving_default", "extra"):
        assert set(plan_of(mended, key).outputs) == {"scores"}
    assert not [finding for finding in explorer.check(mended) if finding.code == "two_truths"]


def test_captures_that_no_server_restores_are_found_and_repaired(sample: Open) -> None:
    """Regression: Keras 3 models saved with tf.saved_model.save fail in every server (could not find variable)."""
    model = sample("keras3_saved")
    (finding,) = [found for found in explorer.check(model) if found.severity == "error"]
    assert finding.code == "unrestored_variables" and finding.edit is not None
    mended = explorer.repair(model)
    assert not [found for found in explorer.check(mended) if found.severity == "error"]
    assert mended.meta_graph().signatures == model.meta_graph().signatures
    with pytest.raises(EditError, match="restored already"):
        explorer.repair_captures(mended)


def test_devices_are_forgotten_everywhere(sample: Open) -> None:
    """No node of the graph or of a function has a device, and all else is as it was."""
    model = sample("partitioned")
    edited = explorer.clear_devices(model)

    def nodes(model: SavedModel) -> list[Any]:
        graph = message(model).meta_graphs[0].graph_def
        return [*graph.node, *(node for function in graph.library.function for node in function.node_def)]

    assert any(node.device for node in nodes(model))
    assert not any(node.device for node in nodes(edited))
    expected = nodes(model)
    for node in expected:
        node.ClearField("device")
    assert nodes(edited) == expected
    with pytest.raises(EditError, match="no node"):
        explorer.clear_devices(edited)


def test_default_attributes_are_stripped_and_the_file_says_so(sample: Open) -> None:
    """Exactly the attributes that have their op's default go; a loader finds the same values."""
    model = sample("linear")
    edited = explorer.strip_default_attrs(model)
    before, after = message(model).meta_graphs[0], message(edited).meta_graphs[0]
    assert after.meta_info_def.stripped_default_attrs
    defaults = {
        (op.name, attr.name): attr.default_value
        for op in before.meta_info_def.stripped_op_list.op
        for attr in op.attr
        if attr.HasField("default_value")
    }
    gone = 0
    for old, new in zip(before.graph_def.node, after.graph_def.node, strict=True):
        for name, value in old.attr.items():
            is_default = defaults.get((old.op, name)) == value and not name.startswith("_")
            assert (name in new.attr) is not is_default
            gone += is_default
    assert gone


def test_models_that_tensorflow_cannot_open_are_edited_all_the_same(sample: Open) -> None:
    """An op that nobody here knows doesn't matter for an edit of a signature."""
    model = sample("custom_op")
    key = next(iter(model.meta_graph().callable_signatures))
    output = next(iter(model.meta_graph().signatures[key].outputs))
    edited = explorer.rename_output(model, key, output, "renamed")
    assert "renamed" in plan_of(edited, key).outputs


def test_tensors_of_loops_and_handles_are_refused(sample: Open) -> None:
    """What has no single value, or none that a request can hold, gets a sentence."""
    with pytest.raises(LookupError, match="inside loops, branches"):
        explorer.add_output(sample("control_flow"), "serving_default", "x", "while/body/add:0")
    handle = next(tensor for tensor in inner(sample("keras3"), "serve") if str(tensor.dtype) == "resource")
    with pytest.raises(EditError, match="a handle"):
        explorer.add_output(sample("keras3"), "serve", "x", handle.name)
    with pytest.raises(UnsupportedEditError, match="single meta graph"):
        explorer.copy_meta_graph(sample("keras3"), ["other"])


def test_a_shape_that_the_default_value_does_not_have_is_refused(sample: Open) -> None:
    """A server would fill in what the model then refuses, so every request without the input would fail."""
    model = explorer.set_default(sample("defaults"), "serving_default", "x", [1.0, 2.0, 3.0])
    with pytest.raises(EditError, match=r"default value of the shape \[3\].*remove_default"):
        explorer.set_input_shape(model, "serving_default", "x", [2])
    assert explorer.set_input_shape(model, "serving_default", "x", [3]).edits
    without = explorer.remove_default(model, "serving_default", "x")
    assert explorer.set_input_shape(without, "serving_default", "x", [2]).edits
