"""The panels: they show the state, turn clicks into intents, and leave nothing behind. No browser, no TensorFlow."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import ipywidgets
import pytest

from explorer.savedmodel.opening import open_saved_model
from explorer.state import ExplorerState
from explorer.widgets import explorer as explorer_module
from explorer.widgets.answer import AnswerPanel
from explorer.widgets.background import background_executor
from explorer.widgets.code import CodePanel
from explorer.widgets.convert import ConvertPanel
from explorer.widgets.edits import Edits, edit_in_words
from explorer.widgets.explorer import Explorer
from explorer.widgets.export import ExportPanel
from explorer.widgets.field import Field
from explorer.widgets.header import Header
from explorer.widgets.meta_graphs import MetaGraphs
from explorer.widgets.panel import Panel, close_all, is_hidden
from explorer.widgets.picker import Picker
from explorer.widgets.problems import Problems
from explorer.widgets.request import RequestPanel
from explorer.widgets.signatures import Signatures
from explorer.widgets.table import Column, Row, Table
from explorer.widgets.tensors import Tensors
from explorer.widgets.terms import TERMS
from explorer.widgets.wrap import WrapPanel

PANELS = (
    Header, Signatures, Tensors, Problems, MetaGraphs, RequestPanel, AnswerPanel, CodePanel, Edits, ExportPanel,
)  # fmt: skip
RENAME = {"edit": "rename_input", "signature_key": "serving_default", "input_key": "x", "new_key": "features"}
MODELS = (
    "linear", "half_plus_two", "as_printed", "keras3", "several_meta_graphs", "module", "image_bytes", "tf_example",
    "shapes_and_types", "text_format", "broken/hostile_names", "broken/duplicate_tag_sets",
)  # fmt: skip


def living() -> set[str]:
    """The ids of all widgets that ipywidgets holds."""
    return set(sys.modules["ipywidgets.widgets.widget"]._instances)


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Closes what a test left open, and fails if that leaves a widget behind."""
    before = living()
    opened: list[Panel] = []
    original = Panel.__init__

    def noted(panel: Panel, *arguments: Any, **named: Any) -> None:
        original(panel, *arguments, **named)
        opened.append(panel)

    Panel.__init__ = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        Panel.__init__ = original  # type: ignore[method-assign]
    for panel in opened:
        panel.close()
        panel.close()
    instances = sys.modules["ipywidgets.widgets.widget"]._instances
    left = [instances[key] for key in living() - before]
    assert not left, left


def say(widget: ipywidgets.Widget, **content: Any) -> None:
    """Sends a widget what its page would send."""
    widget._handle_custom_msg(content, [])


def shown(widget: ipywidgets.Widget) -> dict[str, Any]:
    """All that a tree of widgets sends to its page, ids and lists of models left out: what a person sees."""
    state = {
        name: value
        for name, value in widget.get_state().items()
        if not name.startswith(("_model", "_view", "_anywidget", "_esm", "_css"))
        and name not in ("layout", "style", "turn", "field_id")
    }
    children = getattr(widget, "children", ())
    state.pop("children", None)
    return {**state, "type": type(widget).__name__, "children": [shown(child) for child in children]}


def texts(panel: Panel) -> str:
    """Everything on a panel as one text."""
    return json.dumps(shown(panel), ensure_ascii=False, default=str)


@pytest.fixture
def half_plus_two(copy_model: Callable[[str], Path]) -> Explorer:
    """An Explorer on a copy of ``half_plus_two``."""
    return Explorer(copy_model("half_plus_two"))


@pytest.mark.parametrize("model", MODELS)
def test_every_sample_model_is_shown(sample_models: Path, model: str) -> None:
    """Every signature of every sample model can be looked at, live and as HTML and text."""
    explorer = Explorer(sample_models / model)
    state = explorer.state
    assert state.error == ""
    for index, meta_graph in enumerate(state.model.meta_graphs):
        state.choose_meta_graph(index)
        for key in meta_graph.signatures:
            state.choose_signature(key)
            assert state.error == ""
            assert len(explorer.signatures.table.rows) == len(meta_graph.signatures)
            signature = meta_graph.signatures[key]
            assert len(explorer.tensors.table.rows) == len(signature.inputs) + len(signature.outputs)
    bundle = explorer._repr_mimebundle_()
    assert {"text/html", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(bundle)


@pytest.mark.parametrize("panel_type", PANELS)
def test_each_panel_is_useful_alone(sample_models: Path, panel_type: type[Panel]) -> None:
    """A panel without the Explorer brings its style sheet, shows its state, follows it, and has a static form."""
    state = ExplorerState(sample_models / "half_plus_two")
    panel = panel_type(state)
    assert type(panel.children[0]).__name__ == "Sheet"
    before = texts(panel)
    state.edit({**RENAME, "input_key": "no such input"})
    assert "no such input" in texts(panel), "alone it also shows the errors of intents from Python"
    state.edit({"edit": "rename_signature", "signature_key": "serving_default", "new_key": "main"})
    state.edit({"edit": "set_tags", "new_tags": ["train"]})
    state.choose_export_base("/elsewhere")
    assert texts(panel) != before
    bundle = panel._repr_mimebundle_()
    assert bundle["text/html"] and bundle["text/plain"]


@pytest.mark.parametrize("panel_type", PANELS)
def test_panel_without_a_model_is_calm(panel_type: type[Panel]) -> None:
    """With nothing open a panel can be made, shown and asked without an exception."""
    panel = panel_type(ExplorerState())
    assert "text/plain" in panel._repr_mimebundle_()


@pytest.mark.parametrize(
    ("first", "second"),
    [("half_plus_two", "keras3"), ("several_meta_graphs", "linear"), ("broken/hostile_names", "tf_example")],
)
def test_updating_equals_building(sample_models: Path, first: str, second: str) -> None:
    """An Explorer that goes from one model to another shows what one shows that was built on the other."""
    updated = Explorer(sample_models / first)
    names = updated.state.meta_graph.callable_signatures
    updated.state.choose_signature(list(names)[-1])
    updated.state.edit({"edit": "copy_signature", "signature_key": next(iter(names)), "new_key": "another"})
    updated.state.choose_format("column")
    updated.header.path.value = str(sample_models / second)
    updated.header.open_button.click()
    built = Explorer(str(sample_models / second))
    assert updated.state.error == ""
    assert shown(updated) == shown(built)


def test_a_click_brings_along_what_was_typed(half_plus_two: Explorer, sample_models: Path) -> None:
    """The click itself says what stands in the fields: the message that tells of the typing may be heard after it.

    JupyterLab sends the messages of widgets to a subshell as soon as it has one, and those of some widgets before
    others, so that two threads of the kernel hear them. A path that was typed and opened at once was then not opened:
    the click was heard first, and opened the old path.
    """
    header = half_plus_two.header
    typed = {header.path.field_id: str(sample_models / "linear"), "of a field that is gone": "x"}
    header.open_button._handle_custom_msg({"kind": "click", "typed": typed}, [])
    assert half_plus_two.state.error == ""
    assert set(half_plus_two.state.meta_graph.signatures) == {"prediction"}


def test_undo_shows_what_was_shown(half_plus_two: Explorer) -> None:
    """After an edit and its undo only the redo button tells that something was."""
    before = shown(half_plus_two)
    half_plus_two.state.edit(RENAME)
    assert shown(half_plus_two) != before
    half_plus_two.edits.undo.click()
    assert not half_plus_two.edits.redo.disabled
    half_plus_two.edits.redo.disabled = True
    assert shown(half_plus_two) == before


def test_rendering_sends_nothing_where_nothing_changed(half_plus_two: Explorer) -> None:
    """Showing the same state again sets no trait and starts no intent."""
    changes: list[object] = []
    pending: list[ipywidgets.Widget] = [half_plus_two]
    while pending:
        widget = pending.pop()
        widget.observe(changes.append)
        pending.extend(getattr(widget, "children", ()))
    revision = half_plus_two.state.revision
    for panel in (half_plus_two.header, half_plus_two.signatures, half_plus_two.tensors, half_plus_two.export):
        panel.show()
    assert changes == [] and half_plus_two.state.revision == revision


def test_version_and_tags_are_chosen(sample_models: Path) -> None:
    """The two dropdowns of the header choose version and meta graph, and show what was chosen elsewhere."""
    explorer = Explorer(sample_models / "half_plus_two")
    assert [value for _, value in explorer.header.version.options] == [124, 123] or explorer.header.version.value == 124
    explorer.header.version.value = 123
    assert explorer.state.version == 123
    explorer.state.open(sample_models / "several_meta_graphs")
    explorer.header.tags.value = 2
    assert explorer.state.meta_graph_index == 2
    explorer.meta_graphs.table.selected = "0"
    assert explorer.state.meta_graph_index == 0 and explorer.header.tags.value == 0


def test_choice_that_fails_jumps_back(copy_model: Callable[[str], Path]) -> None:
    """A version folder that has gone leaves the dropdown on the version that is shown, with a sentence below."""
    path = copy_model("half_plus_two")
    explorer = Explorer(path)
    (path / "00000123" / "saved_model.pb").unlink()
    explorer.header.version.value = 123
    assert explorer.state.version == 124 and explorer.header.version.value == 124
    assert explorer.state.error and explorer.state.error.replace("'", "&#x27;")[:20] in explorer.header._message.value


def test_row_chooses_the_signature(half_plus_two: Explorer) -> None:
    """Selecting a row is an intent, and an intent from Python moves the selection."""
    keys = list(half_plus_two.state.meta_graph.signatures)
    half_plus_two.signatures.table.selected = str(keys.index("regress_x"))
    assert half_plus_two.state.signature_key == "regress_x"
    half_plus_two.state.choose_signature("classify_x")
    assert half_plus_two.signatures.table.selected == str(keys.index("classify_x"))


def test_input_is_renamed_by_its_row(half_plus_two: Explorer) -> None:
    """Rename in a row opens a form about it; what is typed is checked at once; the edit reaches request and code."""
    say(half_plus_two.tensors.table, kind="action", action="rename", id="input/0")
    form = half_plus_two.tensors.key_form
    assert form is not None and form.is_open and (form.key.label, form.key.value) == ("New key for input x", "x")
    assert form.key.problem == ""
    say(form.key, kind="typed", text="features")
    assert form.key.problem == "" and not half_plus_two.state.edits
    form.apply_button.click()
    assert [dict(entry) for entry in half_plus_two.state.edits] == [RENAME]
    assert not form.is_open
    assert "features" in half_plus_two.request.view.codes[0]["text"]
    assert "features" in half_plus_two.code.view.codes[0]["text"]
    assert "rename input x of serving_default to features" in texts(half_plus_two.edits)


def test_form_says_what_is_wrong_and_stays(half_plus_two: Explorer) -> None:
    """A key that is taken is told beside the field, Enter makes no edit, and Escape closes the form."""
    half_plus_two.signatures.rename.click()
    form = half_plus_two.signatures.key_form
    assert form is not None
    say(form.key, kind="typed", text="classify_x")
    assert "already" in form.key.problem
    say(form.key, kind="submit", text="classify_x")
    assert form.is_open and "already" in form.key.problem and not half_plus_two.state.edits
    say(form.key, kind="submit", text="main")
    assert not form.is_open and half_plus_two.state.signature_key == "main"
    half_plus_two.signatures.rename.click()
    say(form.key, kind="escape")
    assert not form.is_open


def test_keras_output_is_renamed_by_its_row(copy_model: Callable[[str], Path], tmp_path: Path) -> None:
    """The commonest wish of all, ``output_0`` → ``scores``: typed without a remark, applied, and exported."""
    explorer = Explorer(copy_model("keras3"))
    say(explorer.tensors.table, kind="action", action="rename", id="output/0")
    form = explorer.tensors.key_form
    assert form is not None and form.key.value == "output_0" and form.key.problem == ""
    say(form.key, kind="typed", text="scores")
    assert form.key.problem == ""
    form.apply_button.click()
    assert list(explorer.state.signature.outputs) == ["scores"] and not explorer.state.new_errors
    assert [row["cells"] for row in explorer.edits.diff.rows] == [
        ["~ changed", "serving_default / output scores", "key output_0 → scores"]
    ]
    say(explorer.export.base, kind="typed", text=str(tmp_path / "out"))
    explorer.export.export.click()
    written = open_saved_model(tmp_path / "out").meta_graph()
    assert list(written.signature("serving_default").outputs) == ["scores"]


def test_inner_tensor_is_picked_by_its_short_name(sample_models: Path) -> None:
    """On a Keras model the picker shows the end of a name and chooses the whole; a part of one is no error."""
    explorer = Explorer(sample_models / "keras3")
    explorer.tensors.add.click()
    form = explorer.tensors.tensor_form
    sent: list[dict[str, Any]] = []
    form.tensor.send = lambda content, buffers=None: sent.append(content)  # type: ignore[method-assign]
    say(form.key, kind="typed", text="hidden")
    say(form.tensor, kind="search", request=1, text="relu", dtype="")
    assert form.tensor.problem == "" and "choose" in form.tensor.hint
    assert [(item["name"], item["about"]) for item in sent[-1]["items"]] == [
        ("petals_1/hidden_1/Relu:0", "float32[?, 4]  Relu")
    ]
    assert sent[-1]["items"][0]["whole"].endswith("/petals_1/hidden_1/Relu:0")
    say(form.tensor, kind="choose", request=1, index=0)
    assert form.tensor.value == sent[-1]["items"][0]["whole"] and "float32[?, 4]" in form.tensor.hint
    form.apply_button.click()
    assert str(explorer.state.signature.outputs["hidden"]) == "float32[?, 4]" and not explorer.state.new_errors


def test_inputs_of_keras_models_are_fed_inside(sample_models: Path) -> None:
    """Repoint of an input offers only tensors inside the functions there, and cuts the function at one."""
    explorer = Explorer(sample_models / "keras2")
    say(explorer.tensors.table, kind="action", action="repoint", id="input/0")
    form = explorer.tensors.tensor_form
    assert form.tensor.problem == "", "the tensor that there is is no fault"
    sent: list[dict[str, Any]] = []
    form.tensor.send = lambda content, buffers=None: sent.append(content)  # type: ignore[method-assign]
    say(form.tensor, kind="search", request=1, text="", dtype="")
    assert sent[-1]["items"] and not [item for item in sent[-1]["items"] if item["whole"].startswith("serving")]
    say(form.tensor, kind="search", request=2, text="relu", dtype="")
    say(form.tensor, kind="choose", request=2, index=0)
    form.apply_button.click()
    assert str(explorer.state.signature.inputs["size"]) == "float32[?, 4]", explorer.state.error


def test_input_is_fixed_restricted_defaulted_and_removed(sample_models: Path) -> None:
    """More on an input's row leads to four edits; values are typed as JSON and checked while one types."""
    explorer = Explorer(sample_models / "keras3")
    panel, state = explorer.tensors, explorer.state
    rows = [row["cells"][1] for row in panel.table.rows]
    colour, size = f"input/{rows.index('colour')}", f"input/{rows.index('size')}"

    say(panel.table, kind="action", action="more", id=size)
    form = panel.input_form
    form.choice.value = "set_default"
    assert not is_hidden(form.value) and is_hidden(form.shape) and is_hidden(form.remove_default)
    say(form.value, kind="typed", text="[[1, 2,")
    assert "no value" in form.value.problem
    say(form.value, kind="typed", text="[[1, 2]]")
    assert "shape" in form.value.problem
    say(form.value, kind="submit", text="[[1, 2, 0.5]]")
    assert not form.is_open and set(state.signature.defaults) == {"size"}
    say(panel.table, kind="action", action="more", id=size)
    form.choice.value = "set_default"
    assert not is_hidden(form.remove_default) and "the default is" in form.value.hint
    form.remove_default.click()
    assert not form.is_open and not state.signature.defaults

    say(panel.table, kind="action", action="more", id=size)
    form.choice.value = "set_input_shape"
    assert form.shape.value == "?, 3" and form.shape.problem == ""
    say(form.shape, kind="typed", text="?, 3, x")
    assert "'x' is no size" in form.shape.problem
    say(form.shape, kind="typed", text="?, ?")
    assert "numeric test" in form.shape.problem, "a wider shape is refused with the reason"
    say(form.shape, kind="submit", text="[8, 3]")
    assert str(state.signature.inputs["size"].shape) == "[8, 3]"

    say(panel.table, kind="action", action="more", id=colour)
    assert form.choice.value == "bind_input"
    form.apply_button.click()
    assert "Give a value" in form.value.problem
    say(form.value, kind="submit", text="[[0.5, 0.5]]")
    assert list(state.signature.inputs) == ["size"], state.error
    say(panel.table, kind="action", action="more", id="input/0")
    form.choice.value = "remove_input"
    assert "an output depends on it" in form._problem.value
    form.apply_button.click()
    assert form.is_open and list(state.signature.inputs) == ["size"]
    assert [entry["edit"] for entry in state.edits] == [
        "set_default", "remove_default", "set_input_shape", "bind_input",
    ]  # fmt: skip


def test_signature_is_made_from_a_function(sample_models: Path) -> None:
    """The form lists functions with their traces and suggests keys; a training trace is warned of, and can be had."""
    explorer = Explorer(sample_models / "training_trace")
    panel, state = explorer.signatures, explorer.state
    panel.add_function.click()
    form = panel.function_form
    listed = [row["cells"][:2] for row in form.table.rows]
    assert ["call", "training=True"] in listed and ["call", "training=False"] in listed
    assert form.signature_key.value == "call" and form._problem.value == ""
    form.table.selected = str(listed.index(["call", "training=True"]))
    assert "smx-warning" in form._problem.value and "training=False" in form._problem.value
    form.table.selected = str(listed.index(["predict", ""]))
    assert form._problem.value == "" and form.signature_key.value == "predict"
    fields = {field.label: field for field in form._fields if not field.hidden}
    assert list(fields) == ["Key of argument x", "Key of result centred row", "Key of result score"]
    say(fields["Key of argument x"], kind="typed", text="features")
    say(fields["Key of result centred row"], kind="typed", text="score")
    assert "Two outputs" in form._problem.value
    form.apply_button.click()
    assert form.is_open and not state.edits
    say(fields["Key of result centred row"], kind="typed", text="")
    say(form.signature_key, kind="typed", text="serving_default")
    assert "already" in form._problem.value
    say(form.signature_key, kind="typed", text="answer")
    form.apply_button.click()
    assert state.signature_key == "answer", state.error
    assert (list(state.signature.inputs), list(state.signature.outputs)) == (["features"], ["score"])


def test_only_models_with_functions_offer_them(half_plus_two: Explorer, sample_models: Path) -> None:
    """A graph of TensorFlow 1 has no functions to choose from, so the button isn't there."""
    assert half_plus_two.signatures.add_function.hidden
    assert not Explorer(sample_models / "module").signatures.add_function.hidden


def test_signature_over_inner_tensors(sample_models: Path) -> None:
    """Add signature takes tensors inside the functions of the chosen signature, on both sides."""
    explorer = Explorer(sample_models / "keras3")
    explorer.signatures.add.click()
    form = explorer.signatures.signature_form
    assert "inside the functions of serving_default" in form._heading.value
    say(form.signature_key, kind="typed", text="serve")
    assert "already" in form.signature_key.problem
    say(form.signature_key, kind="typed", text="part")
    assert form.signature_key.problem == ""
    form.add_input_button.click()
    assert "Choose a tensor" in form.tensor.problem
    say(form.tensor, kind="search", request=1, text="concat:0", dtype="")
    say(form.tensor, kind="choose", request=1, index=0)
    form.add_input_button.click()
    say(form.tensor, kind="search", request=2, text="relu", dtype="")
    say(form.tensor, kind="choose", request=2, index=0)
    form.add_output_button.click()
    assert (form.tensor.problem, form._problem.value) == ("", "")
    form.apply_button.click()
    signature = explorer.state.signature
    assert (signature.key, list(signature.inputs), list(signature.outputs)) == ("part", ["concat"], ["Relu"])


def test_whole_graph_edits_stand_behind_more(half_plus_two: Explorer) -> None:
    """Devices and default attributes are two clicks away, each with what it is for; a refusal stands in the panel."""
    panel = half_plus_two.meta_graphs
    assert panel.rest is None
    panel.more.click()
    assert panel.more.description == "Less" and "GPU" in texts(panel)
    panel.clear_devices.click()
    assert [entry["edit"] for entry in half_plus_two.state.edits] == ["clear_devices"]
    assert "clear the devices" in texts(half_plus_two.edits)
    assert "graph" in half_plus_two.edits.diff.rows[0]["cells"][1], "what no signature shows is told, too"
    panel.clear_devices.click()
    assert "No node" in panel._message.value
    panel.strip.click()
    assert half_plus_two.state.edits[-1]["edit"] == "strip_default_attrs", half_plus_two.state.error
    panel.more.click()
    assert is_hidden(panel.rest)


def test_several_problems_are_mended_at_once(sample_models: Path) -> None:
    """Where two things can be mended without a choice one button does it, and one undo takes it back."""
    explorer = Explorer(sample_models / "keras3_saved")
    panel, state = explorer.problems, explorer.state
    row = next(row for row in panel.table.rows if "Nothing is ever restored" in row["cells"][2])
    assert [action["label"] for action in row["actions"]] == ["Mend"]
    assert "Let the functions take the variables" in row["cells"][2]
    assert is_hidden(panel.mend_all)
    state.edit({"edit": "remove_signature", "signature_key": "rank"})
    state.edit({"edit": "rename_signature", "signature_key": "serving_default", "new_key": "scores"})
    assert not is_hidden(panel.mend_all) and panel.mend_all.description == "Mend all 2"
    panel.mend_all.click()
    assert {entry["edit"] for entry in state.edits[2:]} == {"repair_captures", "copy_signature"}
    assert not [found for found in state.findings if found.severity != "note"]
    explorer.edits.undo.click()
    assert len(state.edits) == 2


def test_recipe_is_applied_from_its_field(half_plus_two: Explorer) -> None:
    """A pasted recipe makes its edits as one step; one that doesn't fit is refused below the field, and it stays."""
    panel, state = half_plus_two.edits, half_plus_two.state
    panel.recipe.click()
    form = panel.recipe_form
    assert form.text.lines > 1 and form.text.loads
    for text, reason in (
        ("", "Paste a recipe"),
        ("{", "no JSON"),
        ("[]", "no recipe"),
        ('{"recipe": 1, "edits": []}', "no edits"),
        (json.dumps({"recipe": 1, "edits": [RENAME, RENAME]}), "dit 2 of the recipe"),
    ):
        say(form.text, kind="submit", text=text)
        assert form.is_open and reason in form.text.problem, form.text.problem
        assert not state.edits
    edits = [RENAME, {"edit": "rename_signature", "signature_key": "serving_default", "new_key": "main"}]
    say(form.text, kind="typed", text=json.dumps({"recipe": 1, "edits": edits}))
    assert form.text.problem == ""
    half_plus_two.signatures.table.selected = "0"
    assert form.is_open, "it is about no single signature"
    form.apply_button.click()
    assert not form.is_open and [dict(entry) for entry in state.edits] == edits
    panel.undo.click()
    assert not state.edits


def test_one_form_at_a_time(half_plus_two: Explorer) -> None:
    """Opening a form closes the others, and choosing another signature closes a form about the first."""
    half_plus_two.signatures.rename.click()
    half_plus_two.signatures.method.click()
    assert not half_plus_two.signatures.key_form.is_open and half_plus_two.signatures.method_form.is_open
    say(half_plus_two.tensors.table, kind="action", action="repoint", id="output/0")
    assert not half_plus_two.signatures.method_form.is_open and half_plus_two.tensors.tensor_form.is_open
    half_plus_two.state.choose_signature("classify_x")
    assert not half_plus_two.tensors.tensor_form.is_open


def test_every_signature_edit_by_clicks(half_plus_two: Explorer) -> None:
    """Copy, method name, add and remove of a signature are each a form or a button."""
    panel, state = half_plus_two.signatures, half_plus_two.state
    panel.copy.click()
    say(panel.key_form.key, kind="submit", text="copy")
    assert state.signature_key == "copy"
    panel.method.click()
    panel.method_form.choice.value = "other"
    assert not is_hidden(panel.method_form.other)
    say(panel.method_form.other, kind="typed", text="my/method")
    panel.method_form.apply_button.click()
    assert state.signature.method_name == "my/method"
    panel.remove.click()
    assert "copy" not in state.meta_graph.signatures
    panel.add.click()
    form = panel.signature_form
    form.apply_button.click()
    assert "needs a key" in form._problem.value
    say(form.signature_key, kind="typed", text="new")
    say(form.tensor, kind="search", request=1, text="x:0", dtype="")
    say(form.tensor, kind="choose", request=1, index=0)
    assert (form.tensor.value, form.key.value) == ("x:0", "x")
    form.add_input_button.click()
    say(form.tensor, kind="search", request=2, text="y:0", dtype="")
    say(form.key, kind="typed", text="answer")
    form.add_output_button.click()
    assert [row["cells"][:2] for row in form.chosen.rows] == [["input", "x"], ["output", "answer"]]
    form.apply_button.click()
    assert state.signature_key == "new" and list(state.signature.outputs) == ["answer"]
    assert [entry["edit"] for entry in state.edits] == [
        "copy_signature",
        "set_method_name",
        "remove_signature",
        "add_signature",
    ]


def test_method_rules_are_told_before_the_edit(half_plus_two: Explorer) -> None:
    """A method name whose rules the signature breaks is told in the form, and may be set all the same."""
    half_plus_two.signatures.method.click()
    form = half_plus_two.signatures.method_form
    form.choice.value = "tensorflow/serving/classify"
    assert form._problem.value and not half_plus_two.state.edits
    form.choice.value = "tensorflow/serving/predict"
    assert form._problem.value == ""


def test_every_tensor_edit_by_clicks(half_plus_two: Explorer) -> None:
    """Repoint of an input and an output, add and remove of an output, with tensors found by the picker."""
    panel, state = half_plus_two.tensors, half_plus_two.state
    say(panel.table, kind="action", action="repoint", id="output/0")
    form = panel.tensor_form
    say(form.tensor, kind="search", request=1, text="greater:0", dtype="")
    say(form.tensor, kind="choose", request=1, index=0)
    assert "bool" in form.tensor.hint
    form.apply_button.click()
    assert state.signature.outputs["y"].tensor_name == "Greater:0"
    panel.add.click()
    assert not is_hidden(form.key)
    say(form.key, kind="typed", text="more")
    say(form.tensor, kind="search", request=2, text="y:0", dtype="")
    form.apply_button.click()
    assert state.signature.outputs["more"].tensor_name == "y:0"
    say(panel.table, kind="action", action="remove", id="output/0")
    assert list(state.signature.outputs) == ["more"]
    say(panel.table, kind="action", action="repoint", id="input/0")
    assert is_hidden(form.key)
    say(form.tensor, kind="submit", text="nothing:0")
    assert form.is_open and "nothing:0" in form.tensor.problem


def test_every_meta_graph_edit_by_clicks(sample_models: Path) -> None:
    """Tags are set, also to none with its meaning told; a meta graph is copied and removed."""
    explorer = Explorer(sample_models / "several_meta_graphs")
    panel, state = explorer.meta_graphs, explorer.state
    panel.edit_tags.click()
    form = panel.form
    assert form.boxes["serve"].value and not form.boxes["train"].value
    form.boxes["serve"].value = False
    assert "empty tag set" in form.other.hint
    form.boxes["eval"].value = True
    say(form.other, kind="typed", text=" mine, yours ")
    form.apply_button.click()
    assert state.meta_graph.tags == {"eval", "mine", "yours"}
    panel.copy.click()
    form.apply_button.click()
    assert form.is_open and "already" in form._problem.value, "a copy needs other tags"
    form.boxes["tpu"].value = True
    form.apply_button.click()
    assert state.meta_graph.tags == {"eval", "mine", "yours", "tpu"} and len(state.model.meta_graphs) == 4
    panel.remove.click()
    assert len(state.model.meta_graphs) == 3


def test_last_meta_graph_stays_and_the_panel_says_why(half_plus_two: Explorer) -> None:
    """A click that can't be done says so in the panel where it was made, and only there."""
    half_plus_two.meta_graphs.remove.click()
    assert "last meta graph" in half_plus_two.meta_graphs._message.value
    assert not is_hidden(half_plus_two.meta_graphs._message)
    assert texts(half_plus_two).count("last meta graph") == 1


def test_problem_is_mended_by_its_button(sample_models: Path) -> None:
    """The article's slip stands under its row with reason and fix, and its button mends it."""
    explorer = Explorer(sample_models / "as_printed")
    notes = [row["note"] for row in explorer.tensors.table.rows if row["note"]]
    assert notes and "add:0" in notes[0]["text"]
    assert "Not servable" in explorer.header.verdict.value
    row = explorer.problems.table.rows[0]
    say(explorer.problems.table, kind="action", action="mend", id=row["id"])
    assert explorer.state.signature.outputs["output"].tensor_name == "add:0"
    assert not [row for row in explorer.tensors.table.rows if row["note"]]
    assert "Not servable" not in explorer.header.verdict.value


def test_format_is_a_tab(half_plus_two: Explorer) -> None:
    """A click on a tab of the request is an intent; row and column stand aside where records are asked for."""
    panel, state = half_plus_two.request, half_plus_two.state
    labels = [code["label"] for code in panel.view.codes]
    assert labels[panel.view.chosen] == "REST row" and '"instances"' in panel.view.codes[0]["text"]
    say(panel.view, kind="choose", place=labels.index("REST column"))
    assert '"inputs"' in panel.view.codes[1]["text"] and state.body_format == "column"
    state.choose_format("row")
    assert panel.view.chosen == 0 and '"instances"' in panel.view.codes[0]["text"]
    state.choose_signature("classify_x")
    state.choose_protocol("classify")
    labels = [code["label"] for code in panel.view.codes]
    assert labels[panel.view.chosen] == "REST classify" and '"examples"' in panel.view.codes[panel.view.chosen]["text"]


def test_export_by_click(half_plus_two: Explorer, tmp_path: Path) -> None:
    """The button names the version it writes; path, files and proof are shown afterwards."""
    panel = half_plus_two.export
    assert panel.export.description == "Export as 125"
    half_plus_two.state.edit(RENAME)
    say(panel.base, kind="typed", text=str(tmp_path / "elsewhere"))
    assert panel.export.description == "Export as 1"
    panel.more.click()
    assert not is_hidden(panel.options)
    say(panel.version, kind="typed", text="many")
    assert panel.version.problem
    say(panel.version, kind="typed", text="7")
    assert panel.export.description == "Export as 7"
    panel.link.value = True
    panel.export.click()
    assert (tmp_path / "elsewhere" / "7" / "saved_model.pb").is_file()
    assert "Version 7 is written" in panel.result.value and "equal to the draft" in panel.result.value
    assert "linked" in {row["cells"][2] for row in panel.files.rows}
    assert not is_hidden(panel.result)


def test_refused_export_says_why_in_its_panel(half_plus_two: Explorer) -> None:
    """An edit that breaks the model is told above the button before the click, and below it after."""
    half_plus_two.state.edit(
        {
            "edit": "set_output_tensor",
            "signature_key": "serving_default",
            "output_key": "y",
            "tensor_name": "tf_example:0",
        }
    )
    assert "would be refused" in half_plus_two.export.refusal.value
    half_plus_two.export.export.click()
    assert "nothing was written" in half_plus_two.export._message.value
    assert is_hidden(half_plus_two.export.progress) and is_hidden(half_plus_two.export.result)


def test_progress_is_shown(sample_models: Path) -> None:
    """While an export is under way its bar moves and its cancel button is there."""
    state = ExplorerState(sample_models / "linear")
    panel = ExportPanel(state)
    assert is_hidden(panel.progress)
    state.busy = "exporting"
    state.progress = (500, 1000)
    assert not is_hidden(panel.progress) and panel.bar.value == 0.5
    assert panel.export.disabled and "500 bytes of 1.0 KB" in panel.done.value


def test_hostile_names_are_text(sample_models: Path) -> None:
    """No name of the hostile model becomes a tag in what is sent, and none is sent with invisible characters."""
    explorer = Explorer(sample_models / "broken" / "hostile_names")
    for key in explorer.state.meta_graph.signatures:
        explorer.state.choose_signature(key)
        pending: list[ipywidgets.Widget] = [explorer]
        while pending:
            widget = pending.pop()
            pending.extend(getattr(widget, "children", ()))
            if isinstance(widget, ipywidgets.HTML):
                tags = set(re.findall(r"<\s*/?\s*([a-zA-Z][\w-]*)", widget.value))
                assert tags <= {"p", "strong", "span", "h3", "h4", "details", "summary", "div", "code"}, widget.value
            elif isinstance(widget, Table):
                sent = json.dumps([widget.rows, widget.label], ensure_ascii=False)
                assert not re.search("[\u0000-\u001f\u202a-\u202e\u200b\ufeff]", sent)


def test_scripts_never_make_markup_and_never_go_online() -> None:
    """The scripts of the views set text only, run no text as code, and name no address."""
    scripts = [entry for entry in files("explorer.widgets").iterdir() if entry.name.endswith((".js", ".css"))]
    assert len(scripts) >= 6
    for script in scripts:
        text = re.sub(r"^\s*//.*$", "", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
        text = text.replace('"http://www.w3.org/2000/svg"', "")  # the name of a namespace, which nobody fetches
        for forbidden in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "fetch(",
            "http",
            "@import",
            "url(",
        ):
            assert forbidden not in text, f"{script.name}: {forbidden}"


def test_close_lets_go_of_the_state(sample_models: Path) -> None:
    """A closed Explorer hears no more of the state, closes all its widgets, and can be closed again."""
    before = living()
    state = ExplorerState(sample_models / "half_plus_two")
    explorer = Explorer(state=state)
    explorer.signatures.rename.click()
    explorer.signatures.add.click()
    explorer.signatures.method.click()
    explorer.tensors.add.click()
    explorer.meta_graphs.edit_tags.click()
    explorer.meta_graphs.more.click()
    explorer.edits.recipe.click()
    say(explorer.tensors.table, kind="action", action="more", id="input/0")
    explorer.close()
    explorer.close()
    assert living() == before
    state.edit(RENAME)
    assert explorer.edits.count.value.count("0 edits") == 1
    assert not any(state._trait_notifiers.get(name, {}).get("change") for name in ("revision", "progress"))


def test_first_paint_is_small(sample_models: Path) -> None:
    """An Explorer takes fewer widgets than a notebook notices, and its forms are made when they are opened."""
    before = living()
    explorer = Explorer(sample_models / "half_plus_two")
    assert len(living() - before) < 200
    assert explorer.signatures.key_form is None and explorer.tensors.tensor_form is None


def test_explorer_neither_displays_nor_prints(sample_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Making one writes nothing; it is shown when it is a cell's last value."""
    Explorer(sample_models / "half_plus_two")
    Explorer()
    assert capsys.readouterr() == ("", "")
    source = Path(explorer_module.__file__).parent
    for path in source.glob("*.py"):
        assert not re.search(r"\b(display|print)\(", path.read_text(encoding="utf-8")), path.name


def test_bad_path_is_shown_not_raised(tmp_path: Path) -> None:
    """An Explorer on a path that is no model is a path field with the reason below, live and static."""
    explorer = Explorer(tmp_path)
    assert "empty folder" in explorer.header._message.value
    assert all(is_hidden(panel) for panel in (explorer.signatures, explorer.tensors, explorer.export))
    assert "empty folder" in explorer._repr_mimebundle_()["text/plain"]
    assert texts(explorer).count("is an empty folder") == 1


def test_in_a_kernel_slow_work_goes_to_threads(sample_models: Path) -> None:
    """Where an event loop runs, the first paint needs no counts; they arrive from a thread."""

    async def cell() -> Explorer:
        explorer = Explorer(sample_models / "half_plus_two")
        assert explorer.state.signature_key == "serving_default"
        for _ in range(3000):
            if explorer.state.counts and not explorer.state.checking:
                break
            await asyncio.sleep(0.01)
        return explorer

    explorer = asyncio.run(cell())
    assert explorer.meta_graphs.table.rows[0]["cells"][2] != "…"
    assert background_executor() is None, "in a script slow work is done at once"


def test_intents_from_several_threads_leave_one_truth(sample_models: Path) -> None:
    """A kernel calls from its main thread, a subshell and workers at once; what is shown is the state in the end.

    JupyterLab sends messages of widgets to a subshell: without a lock a result that came while a click was being shown
    was lost, and a panel said "Checking …" for ever.
    """
    with ThreadPoolExecutor(2) as workers, ThreadPoolExecutor(3) as callers:
        explorer = Explorer(sample_models / "half_plus_two", executor=workers)
        calls = [
            lambda number=number: (
                explorer.state.choose_version(123 + number % 2),
                explorer.state.edit({"edit": "copy_signature", "signature_key": "regress_x", "new_key": f"c{number}"}),
                explorer.edits.undo.click(),
            )
            for number in range(30)
        ]
        for future in [callers.submit(call) for call in calls]:
            future.result(timeout=60)
    assert not explorer.state.checking
    rows = explorer.signatures.table.rows
    assert [row["cells"][0] for row in rows] == list(explorer.state.meta_graph.signatures)
    assert explorer.header.version.value == explorer.state.version
    assert "Checking" not in explorer.problems.summary.value + explorer.header.verdict.value
    fresh = Explorer(state=explorer.state)
    assert shown(explorer.problems) == shown(fresh.problems) and shown(explorer.tensors) == shown(fresh.tensors)


def test_what_is_typed_outlives_a_suggestion() -> None:
    """A text that was typed before the page heard of a fill stands against it, in the kernel and on the page."""
    field = Field("Key")
    field.fill("suggested")
    say(field, kind="typed", text="typed", turn=field.turn - 1)
    assert (field.value, field.text) == ("typed", "typed")
    say(field, kind="typed", text="more", turn=field.turn)
    assert (field.value, field.text) == ("more", "typed"), "the page has it already"
    close_all(field)


def test_picker_searches_in_the_kernel() -> None:
    """Only the best few go to the page, under the number of their question; a name goes back by its place."""
    sent: list[dict[str, Any]] = []
    asked: list[tuple[str, object]] = []
    state = ExplorerState(Path(__file__).parents[2] / "sample_models" / "half_plus_two")
    picker = Picker(
        "Tensor", lambda text, dtype, found: (asked.append((text, dtype)), found(state.search_tensors(text, dtype)))
    )
    picker.send = lambda content, buffers=None: sent.append(content)  # type: ignore[method-assign]
    picker.fill("x:0")
    say(picker, kind="search", request=1, text="x:0", dtype="")
    assert asked == [("", None)], "a field that still holds what it was filled with offers everything"
    say(picker, kind="search", request=2, text="tf_ex", dtype="7")
    assert sent[-1]["request"] == 2 and len(sent[-1]["items"]) <= 50
    assert sent[-1]["items"][0]["name"] == "tf_example:0"
    say(picker, kind="choose", request=1, index=0)
    assert picker.value == "tf_ex", "an answer to an older question chooses nothing"
    say(picker, kind="choose", request=2, index=0)
    assert picker.value == "tf_example:0"
    say(picker, kind="choose", request=2, index=999)
    say(picker, kind="nonsense")
    assert picker.value == "tf_example:0"
    close_all(picker)


def test_table_shows_rows_and_hears_its_buttons() -> None:
    """Rows are sent printable, the same rows are not sent again, and a button comes back as action and id."""
    heard: list[tuple[str, str]] = []
    table = Table(
        "Things",
        [Column("name", "name", header=True), Column("size", "number")],
        on_action=lambda *what: heard.append(what),
    )
    rows = [Row("0", ("a\u202eb", ("1 KB", 1000)), (("go", "Go", "Go to a"),), ("error", "bad"))]
    changes: list[object] = []
    table.observe(changes.append, "rows")
    table.show(rows, "0")
    table.show(rows, "0")
    assert len(changes) == 1 and table.selected == "0"
    assert table.rows[0]["cells"] == ["a\\u202eb", ["1 KB", 1000]]
    say(table, kind="action", action="go", id="0")
    say(table, kind="else")
    assert heard == [("go", "0")]
    close_all(table)


def test_every_edit_has_words() -> None:
    """Each edit of the recipe is said in words of its own, with the names that it takes."""
    from explorer.editing.recipe import EDITS, STEP_EDITS

    values = {"text": "the_value", "a list of texts": ["the_value"], "a number, text, or lists of them": ["the_value"]}
    for name, (_, arguments) in {**EDITS, **STEP_EDITS}.items():
        entry = {"edit": name, **{key: values.get(kind, {"k": "t:0"}) for key, kind in arguments.items()}}
        said = edit_in_words(entry)
        assert "_" not in said.replace("the_value", ""), said
        assert "the_value" in said or not arguments


def test_terms_are_explained_in_two_sentences() -> None:
    """Each word beside a heading has an explanation of two or three short sentences."""
    used = {term for panel in (*PANELS, ConvertPanel, WrapPanel) for term in panel.terms}
    assert used == set(TERMS)
    for term, text in TERMS.items():
        assert 2 <= len(re.findall(r"[.?!](?:\s|$)", text)) <= 3, term
