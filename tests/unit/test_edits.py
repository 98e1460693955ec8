"""Pure edits: what they change, what they leave alone, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import explorer
from explorer import ExplorerError, SavedModel
from explorer.editing.diff import diff
from explorer.editing.recipe import EDITS, apply_edit, apply_recipe, recipe
from explorer.errors import EditError, NotFoundError, RecipeError, UnsupportedEditError
from explorer.savedmodel import wire
from explorer.savedmodel.object_names import signature_children
from explorer.savedmodel.reader import GRAPH_DEF, fields_of

Open = Callable[[str], SavedModel]


@pytest.fixture
def sample(sample_models: Path) -> Open:
    """Opens a sample model by name."""
    return lambda name: explorer.open_saved_model(sample_models / name)


def bytes_of(model: SavedModel) -> bytes:
    """The model's file with its edits."""
    assert model.document is not None
    return model.document.to_bytes()


def test_the_given_model_and_its_file_stay_as_they_are(sample: Open) -> None:
    """An edit returns another model; the one it was given is still what it was."""
    model = sample("linear")
    before, on_disk = model.to_dict(), bytes_of(model)
    edited = explorer.rename_signature(model, "prediction", "serving_default")
    assert model.to_dict() == before
    assert model.edits == ()
    assert set(edited.meta_graph().signatures) == {"serving_default"}
    assert (model.path / "saved_model.pb").read_bytes() == on_disk == bytes_of(model)  # type: ignore[operator]


def test_renaming_there_and_back_gives_the_same_bytes(sample: Open) -> None:
    """Nothing but the name changes, so undoing it by hand restores every byte of the file."""
    model = sample("linear")
    there = explorer.rename_input(model, "prediction", "input", "a much longer name than before" * 10)
    there = explorer.rename_output(there, "prediction", "output", "")
    there = explorer.rename_signature(there, "prediction", "p" * 300)
    back = explorer.rename_signature(there, "p" * 300, "prediction")
    back = explorer.rename_input(back, "prediction", "a much longer name than before" * 10, "input")
    back = explorer.rename_output(back, "prediction", "", "output")
    assert bytes_of(there) != bytes_of(model)
    assert bytes_of(back) == bytes_of(model)


@pytest.mark.parametrize("name", ["keras3", "module", "tf_example", "image_bytes"])
def test_tf2_signature_edits_change_both_truths(sample: Open, name: str) -> None:
    """signature_def and the object graph's signature map name the same signatures after each edit."""
    model = sample(name)
    for edit in (
        lambda m: explorer.rename_signature(m, "serving_default", "renamed"),
        lambda m: explorer.copy_signature(m, "serving_default", "copy"),
        lambda m: explorer.remove_signature(m, "serving_default"),
    ):
        edited = edit(model)
        children = signature_children(edited.meta_graph())
        assert children is not None
        assert {child.name for child in children} == set(edited.meta_graph().callable_signatures)
        nodes = {child.name: child.node_id for child in children}
        original = {child.name: child.node_id for child in signature_children(model.meta_graph()) or ()}
        for key, node_id in nodes.items():
            assert node_id == original[key if key in original else "serving_default"]


@pytest.mark.parametrize("name", ["linear", "keras3", "several_meta_graphs"])
def test_the_graph_is_untouched(sample: Open, name: str) -> None:
    """The bytes of every graph are those of the source, whatever is done to its signatures."""
    model = sample(name)

    def graphs(of: SavedModel) -> list[bytes]:
        assert of.document is not None
        return [
            of.document.read_at(field.start, field.end - field.start)
            for graph in of.meta_graphs
            for field in fields_of(of.document, graph.field, GRAPH_DEF)
        ]

    key = next(iter(model.meta_graph().callable_signatures))
    edited = explorer.copy_signature(model, key, "copy")
    edited = explorer.set_method_name(edited, key, "tensorflow/serving/classify")
    edited = explorer.remove_signature(edited, "copy")
    assert graphs(edited) == graphs(model)


def test_new_tensors_bring_the_graphs_own_dtype_and_shape(sample: Open) -> None:
    """add_signature, add_output and the two set_*_tensor take dtype and shape from the graph, not from the caller."""
    model = sample("linear")
    model = explorer.add_signature(model, "new", {"x": "Placeholder:0"}, {"y": "MatMul:0"})
    signature = model.meta_graph().signature("new")
    assert str(signature.inputs["x"]) == "float32[?, 3]"
    assert str(signature.outputs["y"]) == "float32[?, 1]"
    assert signature.method == "predict"
    model = explorer.add_output(model, "new", "sum", "add:0")
    model = explorer.set_output_tensor(model, "new", "y", "add:0")
    model = explorer.set_input_tensor(model, "new", "x", "MatMul:0")
    signature = model.meta_graph().signature("new")
    assert {key: info.tensor_name for key, info in signature.outputs.items()} == {"y": "add:0", "sum": "add:0"}
    assert (signature.inputs["x"].tensor_name, str(signature.inputs["x"])) == ("MatMul:0", "float32[?, 1]")
    model = explorer.remove_output(model, "new", "sum")
    assert set(model.meta_graph().signature("new").outputs) == {"y"}


def test_an_input_takes_its_default_with_it(sample_models: Path, tmp_path: Path) -> None:
    """A default value follows its input to the new key: a stale one would be a default for nothing."""
    graph = wire.encode_field(1, wire.encode_field(1, "x") + wire.encode_field(2, "Placeholder"))
    info = wire.encode_field(1, "x:0") + wire.encode_field(2, 1)
    entry = wire.encode_field(1, "x") + wire.encode_field(2, info)
    default = wire.encode_field(4, wire.encode_field(1, "x") + wire.encode_field(2, b"\x08\x01"))
    signature = wire.encode_field(1, entry) + wire.encode_field(2, entry) + default
    meta_graph = wire.encode_field(2, graph) + wire.encode_field(
        5, wire.encode_field(1, "s") + wire.encode_field(2, signature)
    )
    (tmp_path / "saved_model.pb").write_bytes(wire.encode_field(2, meta_graph))
    model = explorer.rename_input(explorer.open_saved_model(tmp_path), "s", "x", "y")
    assert model.meta_graph().signature("s").defaults == {"y": b"\x08\x01"}


def test_tags_and_meta_graphs(sample: Open) -> None:
    """Tags are replaced as a set; a copy brings the whole graph; the last meta graph stays."""
    model = sample("several_meta_graphs")
    model = explorer.set_tags(model, ["train", "tpu"], tags="train")
    model = explorer.copy_meta_graph(model, [], tags={"serve"})
    assert [sorted(graph.tags) for graph in model.meta_graphs] == [["tpu", "train"], ["serve"], ["gpu", "serve"], []]
    assert model.meta_graphs[3].signatures == model.meta_graphs[1].signatures
    for tags in (["tpu", "train"], ["gpu", "serve"], []):
        model = explorer.remove_meta_graph(model, tags=tags)
    with pytest.raises(EditError, match="last meta graph"):
        explorer.remove_meta_graph(model)


def test_tags_spelt_in_letters_are_mended(sample: Open) -> None:
    """A model whose tags are s, e, r, v, e gets one tag; repeated letters all go."""
    model = explorer.set_tags(sample("broken/tags_in_letters"), ["serve"])
    assert model.meta_graph().tag_list == ("serve",)


def test_of_two_entries_with_one_key_the_last_is_edited(sample: Open) -> None:
    """Loaders keep the last entry of a repeated key; an edit of it takes the hidden one away, so it can't come back."""
    model = sample("broken/duplicate_signature_key")
    (key,) = model.meta_graph().repeated_keys
    edited = explorer.rename_signature(model, key, "only")
    assert edited.meta_graph().repeated_keys == ()
    assert key not in edited.meta_graph().signatures
    assert edited.meta_graph().signature("only").inputs == model.meta_graph().signature(key).inputs


REFUSED: list[tuple[str, Callable[[SavedModel], SavedModel], type[ExplorerError], str]] = [
    ("linear", lambda m: explorer.rename_signature(m, "predict", "x"), NotFoundError, "did you mean 'prediction'"),
    ("linear", lambda m: explorer.rename_signature(m, "prediction", "prediction"), EditError, "already"),
    ("linear", lambda m: explorer.rename_signature(m, "prediction", "__saved_model_init_op"), EditError, "reserved"),
    ("keras3", lambda m: explorer.remove_signature(m, "__saved_model_init_op"), EditError, "reserved"),
    ("linear", lambda m: explorer.rename_signature(m, "prediction", "\ud800"), EditError, "UTF-8"),
    ("linear", lambda m: explorer.rename_signature(m, "prediction", 3), EditError, "must be text, not int"),  # type: ignore[arg-type]
    ("linear", lambda m: explorer.rename_input(m, "prediction", "x", "y"), NotFoundError, "no input 'x'"),
    ("linear", lambda m: explorer.rename_output(m, "prediction", "output", "output"), EditError, "already"),
    ("linear", lambda m: explorer.set_output_tensor(m, "prediction", "output", "sub:9"), NotFoundError, "no tensor"),
    ("linear", lambda m: explorer.set_output_tensor(m, "prediction", "output", "add"), EditError, "first tensor is"),
    ("linear", lambda m: explorer.set_output_tensor(m, "prediction", "output", "add:0"), EditError, "already"),
    ("linear", lambda m: explorer.add_output(m, "prediction", "output", "add:0"), EditError, "already"),
    ("linear", lambda m: explorer.set_tags(m, ["serve"]), EditError, "already"),
    ("linear", lambda m: explorer.set_tags(m, ["a", "a"]), EditError, "twice"),
    ("linear", lambda m: explorer.copy_meta_graph(m, ["serve"]), EditError, "already"),
    ("linear", lambda m: explorer.remove_meta_graph(m), EditError, "last meta graph"),
    ("linear", lambda m: explorer.remove_signature(m, "prediction", tags=["train"]), NotFoundError, "'serve'"),
    ("several_meta_graphs", lambda m: explorer.remove_signature(m, "x", tags=["gpu"]), NotFoundError, "gpu,serve"),
    ("keras3", lambda m: explorer.rename_output(m, "serve", "output_0", "output_0"), EditError, "already"),
    ("keras3", lambda m: explorer.add_output(m, "serve", "x", "Relu:0x"), NotFoundError, "no tensor 'Relu:0x'"),
    ("keras3", lambda m: explorer.add_output(m, "serve", "x", "MatMul:0"), EditError, "may be one of"),
    ("keras3", lambda m: explorer.add_output(m, "serve", "x", "serve/cast_readvariableop_resource:0"), NotFoundError,
     "no tensor"),
    ("keras3", lambda m: explorer.add_signature(m, "x", {}, {}), EditError, "needs an output"),
    ("keras3", lambda m: explorer.set_input_tensor(m, "serve", "size", "x:0"), NotFoundError, "no tensor 'x:0'"),
    ("control_flow", lambda m: explorer.set_input_tensor(m, "serving_default", "x", "Greater:0"), EditError,
     "still need"),
    ("keras3", lambda m: explorer.add_signature(m, "x", {}, {"y": "StatefulPartitionedCall:0"}), EditError,
     "no input feeds"),
    ("keras3", lambda m: explorer.add_signature_from_function(m, "x", "nope"), NotFoundError, "no function 'nope'"),
    ("linear", lambda m: explorer.add_signature_from_function(m, "x", "f"), UnsupportedEditError, "no object graph"),
    ("keras3", lambda m: explorer.bind_input(m, "serve", "size", "text"), EditError, "must be float32"),
    ("keras3", lambda m: explorer.bind_input(m, "serve", "size", [[1, 2], [3]]), EditError, "rectangular"),
    ("keras3", lambda m: explorer.bind_input(m, "serve", "size", [1.0]), EditError, "must have the shape"),
    ("linear", lambda m: explorer.bind_input(m, "prediction", "nope", 1), NotFoundError, "no input 'nope'"),
    ("linear", lambda m: explorer.set_input_shape(m, "prediction", "input", [None, 4]), EditError, "contradicts"),
    ("linear", lambda m: explorer.set_input_shape(m, "prediction", "input", [None, None]), EditError, "numeric test"),
    ("linear", lambda m: explorer.set_input_shape(m, "prediction", "input", [None, 3]), EditError, "already"),
    ("linear", lambda m: explorer.set_input_shape(m, "prediction", "input", [3]), EditError, "another rank"),
    ("linear", lambda m: explorer.set_input_shape(m, "prediction", "input", [-1, 3]), EditError, "None for any"),
    ("linear", lambda m: explorer.remove_default(m, "prediction", "input"), NotFoundError, "no default value"),
    ("linear", lambda m: explorer.repair_two_truths(m), EditError, "no signatures"),
    ("keras3", lambda m: explorer.repair_two_truths(m), EditError, "agree already"),
    ("keras3", lambda m: explorer.repair_captures(m), EditError, "restored already"),
    ("keras3", lambda m: explorer.copy_meta_graph(m, ["x"]), UnsupportedEditError, "single meta graph"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "edit", "error", "about"), REFUSED)
def test_what_cannot_be_applied_is_refused_with_a_sentence(
    sample: Open, name: str, edit: Callable[[SavedModel], SavedModel], error: type[ExplorerError], about: str
) -> None:
    """Each refusal says what is wrong and what there is, on one line."""
    with pytest.raises(error, match=about) as caught:
        edit(sample(name))
    assert "\n" not in str(caught.value)


def test_a_model_made_from_data_cannot_be_edited(sample: Open) -> None:
    """There is no file to lay a change over."""
    model = SavedModel.from_dict(sample("linear").to_dict())
    assert model == sample("linear")
    with pytest.raises(EditError, match="made from data"):
        explorer.rename_signature(model, "prediction", "x")


def test_a_recipe_replays_the_edits_to_the_byte(sample: Open) -> None:
    """What was done to a model, as JSON, done again to the same model gives the same file."""
    model = sample("several_meta_graphs")
    edited = explorer.rename_output(model, "serving_default", "scores", "s", tags={"serve"})
    edited = explorer.copy_meta_graph(edited, ["eval"], tags={"serve"})
    edited = explorer.remove_meta_graph(edited, tags={"train"})
    edited = explorer.set_method_name(edited, "serving_default", "", tags={"eval"})
    data = json.loads(json.dumps(recipe(edited)))
    assert [entry["edit"] for entry in data["edits"]] == [
        "rename_output", "copy_meta_graph", "remove_meta_graph", "set_method_name",
    ]  # fmt: skip
    again = apply_recipe(model, data)
    assert bytes_of(again) == bytes_of(edited)
    assert again == edited
    assert recipe(again) == data


def test_a_recipe_names_the_meta_graph_only_where_there_are_several(sample: Open) -> None:
    """So that a recipe made on one version applies to the next one, retagged or not."""
    edited = explorer.rename_signature(sample("linear"), "prediction", "a")
    assert recipe(edited) == {
        "recipe": 1,
        "edits": [{"edit": "rename_signature", "signature_key": "prediction", "new_key": "a"}],
    }


@pytest.mark.parametrize(
    ("data", "about"),
    [
        ([], "no recipe"),
        ({}, "no recipe"),
        ({"recipe": 2, "edits": []}, "version 2"),
        ({"recipe": 1}, "must be a list"),
        ({"recipe": 1, "edits": [3]}, "must be a list of objects"),
        ({"recipe": 1, "edits": [], "extra": 1}, "no 'extra'"),
        ({"recipe": 1, "edits": [{"edit": "rename"}]}, "edit 1 of the recipe: there is no edit 'rename'"),
        ({"recipe": 1, "edits": [{"edit": "rename_signature", "signature_key": "a"}]}, "lacks 'new_key'"),
        ({"recipe": 1, "edits": [{"edit": "remove_meta_graph", "x": 1}]}, "takes no 'x'"),
        ({"recipe": 1, "edits": [{"edit": "set_tags", "new_tags": "serve"}]}, "must be a list of texts"),
        ({"recipe": 1, "edits": [{"edit": "set_tags", "new_tags": ["a"], "tags": 1}]}, "tags of set_tags"),
        ({"recipe": 1, "edits": [{"edit": "remove_signature", "signature_key": "x"}]}, "doesn't fit this model"),
    ],
)
def test_a_recipe_that_is_wrong_says_where(sample: Open, data: Any, about: str) -> None:
    """The number of the edit, and what is wrong with it."""
    with pytest.raises(RecipeError, match=about) as caught:
        apply_recipe(sample("linear"), data)
    assert "\n" not in str(caught.value)


NAMES = st.text(max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(data=st.data())
def test_random_edits_keep_the_model_whole(sample: Open, data: st.DataObject) -> None:
    """Any sequence of edits either raises our error or gives a model that reads back equal and replays."""
    model = original = sample(data.draw(st.sampled_from(["linear", "keras3", "several_meta_graphs", "half_plus_two"])))
    for _ in range(data.draw(st.integers(1, 6))):
        meta_graph = data.draw(st.sampled_from(model.meta_graphs))
        keys = sorted(meta_graph.signatures) or [""]
        key = data.draw(st.sampled_from(keys))
        signature = meta_graph.signatures.get(key)
        tensors = sorted({*signature.inputs, *signature.outputs}) if signature else []
        values: dict[str, Any] = {
            "signature_key": key,
            "new_key": data.draw(NAMES),
            "input_key": data.draw(st.sampled_from(tensors or [""])),
            "output_key": data.draw(st.sampled_from([*tensors, "new"])),
            "tensor_name": data.draw(st.sampled_from(["add:0", "x:0", "Placeholder:0", "features:0", "nope:0"])),
            "method_name": data.draw(NAMES),
            "new_tags": data.draw(st.lists(NAMES, max_size=3, unique=True)),
            "inputs": {data.draw(NAMES): "x:0"},
            "outputs": {data.draw(NAMES): "y:0"},
            "function_name": data.draw(st.sampled_from(["serve", "nope"])),
            "value": data.draw(st.sampled_from([0, 1.5, "x", [[1.0, 2.0]], [[1.0, 2.0, 3.0]]])),
            "shape": data.draw(st.sampled_from([[1, 3], [2, 2], [None, 3], None])),
        }
        name = data.draw(st.sampled_from(sorted(EDITS)))
        entry = {"edit": name, "tags": sorted(meta_graph.tags), **{arg: values[arg] for arg in EDITS[name][1]}}
        try:
            model = apply_edit(model, entry)
        except ExplorerError:
            continue
    assert apply_recipe(original, recipe(model)) == model
    assert bytes_of(apply_recipe(original, recipe(model))) == bytes_of(model)
    for meta_graph in model.meta_graphs:
        children = signature_children(meta_graph)
        if children is not None:
            assert {child.name for child in children} == set(meta_graph.callable_signatures)
    assert bool(diff(original, model)) == (bytes_of(original) != bytes_of(model))


def test_a_diff_tells_a_rename_from_a_removal(sample: Open) -> None:
    """A renamed signature, key or tag set is one changed row; nothing is said of what stayed."""
    model = sample("linear")
    edited = explorer.rename_signature(model, "prediction", "serving_default")
    edited = explorer.rename_input(edited, "serving_default", "input", "features")
    edited = explorer.set_output_tensor(edited, "serving_default", "output", "MatMul:0")
    rows = [(row.kind, row.where, row.field, row.before, row.after) for row in diff(model, edited)]
    assert ("changed", "serve / serving_default / output output", "tensor_name", "add:0", "MatMul:0") in rows
    renamed = explorer.rename_signature(model, "prediction", "serving_default")
    assert [(row.kind, row.field, row.before, row.after) for row in diff(model, renamed)] == [
        ("changed", "key", "prediction", "serving_default")
    ]
    retagged = explorer.set_tags(model, ["serve", "gpu"])
    assert [(row.kind, row.field, row.before, row.after) for row in diff(model, retagged)] == [
        ("changed", "tags", "serve", "gpu,serve")
    ]
    assert diff(model, model) == ()
