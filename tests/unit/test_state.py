"""The state behind the panels: intents, errors as sentences, undo and redo, slow work elsewhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer import open_saved_model
from explorer.checking.findings import Finding
from explorer.editing.recipe import recipe_edits
from explorer.errors import EditError
from explorer.savedmodel.graph import HANDLES, read_graph
from explorer.savedmodel.model import DType, SavedModel, Shape
from explorer.state import ExplorerState, InlineExecutor
from explorer.state.previews import code_preview, request_preview
from explorer.state.tensors import short_names
from explorer.state.typed import parse_shape, parse_value
from explorer.state.verdict import verdict

RENAME = {"edit": "rename_input", "signature_key": "serving_default", "input_key": "x", "new_key": "features"}


@pytest.fixture
def state(sample_models: Path) -> ExplorerState:
    """A state over ``half_plus_two``."""
    return ExplorerState(sample_models / "half_plus_two")


def test_open_shows_the_newest_version_and_its_default_signature(state: ExplorerState) -> None:
    """A base path opens its largest version; everything that a panel needs is there."""
    assert (state.version, [version.number for version in state.versions]) == (124, [123, 124])
    assert state.signature_key == "serving_default"
    assert state.meta_graph is not None and state.meta_graph.tags == {"serve"}
    assert state.model is state.source
    assert state.counts[0].nodes > 0
    assert (state.findings, state.checking, state.error) == ((), False, "")
    assert state.export_base == str(state.model.base_path)
    assert state.export_target() == (125, "")


@pytest.mark.parametrize("path", ["", "nowhere", "broken/empty_folder", "broken/truncated", "broken/hdf5_file"])
def test_what_cannot_be_opened_becomes_a_sentence(sample_models: Path, path: str) -> None:
    """Nothing is raised for a bad path, the error is one line, and what was open stays open."""
    state = ExplorerState(sample_models / "linear")
    before = state.model
    assert state.open(str(sample_models / path) if path else "") is False
    assert state.error and "\n" not in state.error and "Traceback" not in state.error
    assert state.model is before and state.path == str(sample_models / "linear")
    assert state.choose_signature("prediction") is True
    assert state.error == "", "the next success takes the sentence away"


def test_intents_without_a_model_say_what_to_do() -> None:
    """Before anything is open every intent is a sentence, not an exception."""
    state = ExplorerState()
    intents: list[Callable[[], bool]] = [
        lambda: state.edit(RENAME),
        lambda: state.choose_version(1),
        lambda: state.choose_meta_graph(0),
        lambda: state.choose_signature("a"),
        state.undo,
        state.redo,
        state.reset,
        state.export,
        state.cancel,
    ]
    for intent in intents:
        assert intent() is False
        assert state.error
    assert request_preview(state).problem
    assert code_preview(state).python == ""


def test_edit_undo_redo_reset(state: ExplorerState) -> None:
    """Undo gives back the very model of before, redo the edited one, and reset can itself be undone."""
    source = state.model
    assert state.edit(RENAME)
    edited = state.model
    assert [dict(entry) for entry in state.edits] == [RENAME]
    assert state.signature is not None and list(state.signature.inputs) == ["features"]
    assert state.undo() and state.model is source and state.can_redo
    assert state.redo() and state.model is edited and not state.can_redo
    assert state.reset() and state.model is source
    assert state.undo() and state.model is edited


def test_new_edit_forgets_what_was_undone(state: ExplorerState) -> None:
    """After an undo, another edit leaves nothing to redo."""
    state.edit(RENAME)
    state.undo()
    state.edit({**RENAME, "new_key": "other"})
    assert not state.can_redo
    assert state.redo() is False and "nothing to redo" in state.error


def test_failed_edit_changes_nothing(state: ExplorerState) -> None:
    """An edit that can't be applied leaves model and history alone and says why."""
    before = state.model
    assert state.edit({**RENAME, "input_key": "no such input"}) is False
    assert state.model is before and not state.can_undo
    assert "no such input" in state.error


def test_selection_follows_the_edits(state: ExplorerState) -> None:
    """What is renamed, copied or added is chosen afterwards, and undo chooses what was chosen before."""
    state.edit({"edit": "rename_signature", "signature_key": "serving_default", "new_key": "main"})
    assert state.signature_key == "main"
    state.edit({"edit": "copy_signature", "signature_key": "main", "new_key": "copy"})
    assert state.signature_key == "copy"
    state.edit({"edit": "remove_signature", "signature_key": "copy"})
    assert state.signature_key in state.meta_graph.signatures
    tensors = {"inputs": {"a": "x:0"}, "outputs": {"b": "y:0"}, "method_name": "tensorflow/serving/predict"}
    state.edit({"edit": "add_signature", "signature_key": "new", **tensors})
    assert state.signature_key == "new"
    for expected in ("classify_x", "copy", "main", "serving_default"):
        state.undo()
        assert state.signature_key == expected


def test_edit_reaches_the_chosen_meta_graph(sample_models: Path) -> None:
    """With several meta graphs an entry without tags means the chosen one, and only that one changes."""
    state = ExplorerState(sample_models / "several_meta_graphs")
    assert state.choose_meta_graph({"serve", "gpu"})
    index = state.meta_graph_index
    before = state.model
    assert state.edit(
        {"edit": "rename_input", "signature_key": "serving_default", "input_key": "features", "new_key": "f"}
    )
    assert state.edits[0]["tags"] == ["gpu", "serve"]
    changed = [
        i
        for i, (one, other) in enumerate(zip(before.meta_graphs, state.model.meta_graphs, strict=True))
        if one != other
    ]
    assert changed == [index] == [state.meta_graph_index]


def test_meta_graph_edits_keep_a_valid_choice(sample_models: Path) -> None:
    """Copying chooses the copy, removing the last one chooses another, and new tags keep the choice."""
    state = ExplorerState(sample_models / "several_meta_graphs")
    count = len(state.model.meta_graphs)
    assert state.edit({"edit": "copy_meta_graph", "new_tags": ["eval"]})
    assert state.meta_graph_index == count and state.meta_graph.tags == {"eval"}
    assert len(state.counts) == count + 1
    assert state.edit({"edit": "set_tags", "new_tags": []})
    assert state.meta_graph_index == count and state.meta_graph.tags == frozenset()
    assert state.edit({"edit": "remove_meta_graph"})
    assert state.meta_graph_index == count - 1 and state.signature is not None


def test_second_of_two_equal_tag_sets_is_not_edited_by_mistake(sample_models: Path) -> None:
    """Of two meta graphs with the same tags, an edit while the second is chosen is refused, not made in the first."""
    state = ExplorerState(sample_models / "broken" / "duplicate_tag_sets")
    tags = [meta_graph.tags for meta_graph in state.model.meta_graphs]
    second = max(index for index, tag_set in enumerate(tags) if tags.index(tag_set) < index)
    state.choose_meta_graph(second)
    assert state.edit({"edit": "remove_signature", "signature_key": state.signature_key}) is False
    assert "same" in state.error or "two meta graphs" in state.error.lower()
    assert not state.edits


def test_versions_keep_their_edits(state: ExplorerState) -> None:
    """Looking at another version puts the edits aside and choosing the first again brings them back, undo included."""
    state.edit(RENAME)
    assert state.choose_version(123) and state.version == 123
    assert not state.edits and not state.can_undo
    assert state.choose_version(124)
    assert [dict(entry) for entry in state.edits] == [RENAME]
    assert "1 edit" in state.notice
    assert state.undo() and not state.edits


def test_unknown_version_is_a_sentence(state: ExplorerState) -> None:
    """A version that has gone says which there are, and the open one stays."""
    assert state.choose_version(7) is False
    assert "123" in state.error and state.version == 124


def test_model_made_in_python_can_be_shown(state: ExplorerState) -> None:
    """A SavedModel object opens like a path, and one made from data can be looked at and not exported."""
    assert state.open(open_saved_model(state.model.path))
    assert state.version == 124
    assert state.open(SavedModel.from_dict(state.model.to_dict()))
    assert state.signature_key == "serving_default"
    assert state.edit(RENAME) is False and "no file" in state.error


def test_mend_applies_what_a_finding_offers(sample_models: Path) -> None:
    """The article's slip is an error of the source; its fix points the output at the result and the error is gone."""
    state = ExplorerState(sample_models / "as_printed")
    errors = [found for found in state.findings if found.severity == "error"]
    assert errors and state.new_errors == ()
    assert verdict(state.model, state.findings).level == "bad"
    assert state.mend(errors[0]), state.error
    assert state.signature.outputs["output"].tensor_name == "add:0"
    assert not [found for found in state.findings if found.severity == "error"]
    assert state.mend(Finding("note", "x", "y")) is False and state.error


def test_problem_is_told_before_the_edit(state: ExplorerState) -> None:
    """A key that is taken and an output that nothing feeds are told while nothing has changed."""
    taken = {"edit": "rename_signature", "signature_key": "serving_default", "new_key": "classify_x"}
    assert "already" in state.problem_with(taken) and state.refusal(taken)
    slip = {
        "edit": "set_output_tensor",
        "signature_key": "serving_default",
        "output_key": "y",
        "tensor_name": "tf_example:0",
    }
    assert "tf_example:0" in state.problem_with(slip) and state.refusal(slip) == ""
    assert state.problem_with(RENAME) == ""
    assert not state.edits and state.model is state.source


def test_errors_that_edits_bring_are_told_apart(state: ExplorerState, tmp_path: Path) -> None:
    """An edit that breaks the model is applied and shown, and an export of it is refused."""
    slip = {
        "edit": "set_output_tensor",
        "signature_key": "serving_default",
        "output_key": "y",
        "tensor_name": "tf_example:0",
    }
    assert state.edit(slip)
    assert state.new_errors
    state.choose_export_base(str(tmp_path))
    state.export()
    assert "nothing was written" in state.error
    assert list(tmp_path.iterdir()) == [] and state.busy == "" and state.published is None


def test_every_change_is_told_once(state: ExplorerState) -> None:
    """Whoever observes ``revision`` is called once an intent and sees the whole of it."""
    seen: list[tuple[int, object]] = []
    state.observe(lambda _: seen.append((len(state.edits), state.signature_key)), "revision")
    state.edit({"edit": "rename_signature", "signature_key": "serving_default", "new_key": "main"})
    assert seen == [(1, "main")]
    state.body_format = "column"  # without an intent, as from a notebook's cell
    assert len(seen) == 2


def test_equal_drafts_are_told_too(state: ExplorerState) -> None:
    """A rename there and back gives an equal model with two edits; observers of ``model`` hear of it."""
    heard: list[int] = []
    state.observe(lambda _: heard.append(len(state.edits)), "model")
    state.edit(RENAME)
    state.edit({**RENAME, "input_key": "features", "new_key": "x"})
    assert state.model == state.source and heard == [1, 2]


def test_slip_of_ours_is_said_and_raised(state: ExplorerState, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that isn't ours is shown as an error and still raised, for the log and the tests."""
    monkeypatch.setattr("explorer.state.explorer_state.apply_edit", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        state.edit(RENAME)
    assert "ZeroDivisionError" in state.error
    monkeypatch.undo()
    assert state.edit(RENAME) and state.error == ""


def test_export_writes_the_next_version_and_proves_it(copy_model: Callable[[str], Path]) -> None:
    """An export gives the next number, its proof, and the longer list of versions; the source stays as it was."""
    state = ExplorerState(copy_model("half_plus_two"))
    before = (state.model.path / "saved_model.pb").read_bytes()
    state.edit(RENAME)
    assert state.export(), state.error
    assert (state.published.version, state.busy) == (125, "")
    assert [version.number for version in state.versions] == [123, 124, 125]
    assert state.version == 124 and "equal" in state.proof
    assert state.export_target() == (126, "")
    written = open_saved_model(state.published.path)
    assert written.meta_graphs == state.model.meta_graphs
    assert (state.model.path / "saved_model.pb").read_bytes() == before


@pytest.mark.parametrize("base", ["", "  ", "file"])
def test_export_to_an_odd_place_is_a_sentence(state: ExplorerState, tmp_path: Path, base: str) -> None:
    """No base path, or one that is a file, is told before and when exporting."""
    (tmp_path / "file").write_text("x")
    state.choose_export_base(str(tmp_path / base) if base.strip() else base)
    assert state.export_target()[0] is None and state.export_target()[1]
    assert state.export() is False and state.error


class _Later:
    """Hands results over when a test says so, as an event loop does."""

    def __init__(self) -> None:
        self.calls: Queue[Callable[[], None]] = Queue()

    def __call__(self, call: Callable[[], None]) -> None:
        self.calls.put(call)

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Runs what was handed over until a condition holds."""
        while not done():
            self.calls.get(timeout=30)()


@pytest.fixture
def later() -> _Later:
    """Where the results of the threads wait."""
    return _Later()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Threads for slow work."""
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_slow_work_arrives_later(sample_models: Path, threads: ThreadPoolExecutor, later: _Later) -> None:
    """With threads the signatures are there at once; counts and findings come when they are handed over."""
    state = ExplorerState(sample_models / "as_printed", executor=threads, deliver=later)
    changed_in: set[int] = set()
    state.observe(lambda _: changed_in.add(threading.get_ident()), "revision")
    assert state.signature_key == "prediction"
    later.wait_for(lambda: bool(state.counts) and not state.checking)
    assert state.findings
    assert changed_in <= {threading.get_ident()}, "the state changes only where results are handed over"


def test_findings_about_an_older_draft_are_dropped(state: ExplorerState, monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings that arrive after the draft has moved on don't replace those about it."""
    pending: list[tuple[Any, ...]] = []
    monkeypatch.setattr(state, "run", lambda *work: pending.append(work))
    state.edit(RENAME)
    state.undo()
    (_work, then, *_), (newer, newer_then, *_) = pending[0], pending[-1]
    newer_then(newer())
    assert not state.checking
    then((("old",), ("old",)))
    assert state.findings == ()


def test_export_can_be_stopped(
    copy_model: Callable[[str], Path], threads: ThreadPoolExecutor, later: _Later, tmp_path: Path
) -> None:
    """Cancel stops an export between two reports of progress: nothing is left, and another may start."""
    state = ExplorerState(copy_model("half_plus_two"), executor=threads, deliver=later)
    later.wait_for(lambda: not state.checking)
    state.choose_export_base(str(tmp_path / "out"))
    gate = threading.Event()
    told = state._told

    def wait_and_tell(*arguments: Any) -> None:
        gate.wait(30)
        told(*arguments)

    state._told = wait_and_tell  # type: ignore[method-assign]
    assert state.export() and state.busy
    assert state.export() is False and "under way" in state.error
    assert state.cancel()
    gate.set()
    later.wait_for(lambda: not state.busy)
    assert "stopped" in state.error and state.published is None
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []
    assert state.export()
    later.wait_for(lambda: not state.busy)
    assert state.published is not None, state.error


def test_inline_executor_reports_failures() -> None:
    """Work that raises is a failed future, as with threads."""
    future = InlineExecutor().submit(lambda: 1 / 0)
    assert isinstance(future.exception(), ZeroDivisionError)
    assert InlineExecutor().submit(lambda: 3).result() == 3


def test_tensors_are_found_by_name_and_dtype(state: ExplorerState) -> None:
    """The search finds by a part of the name, and only tensors of the wanted dtype."""
    assert state.search_tensors("tf_example")[0].name == "tf_example:0"
    found = state.search_tensors("", DType(7))
    assert found and {tensor.dtype for tensor in found} == {DType(7)}
    assert state.find_tensor("x:0") is not None and state.find_tensor("nothing:0") is None


@pytest.mark.parametrize("name", ["keras3", "keras2", "module", "control_flow", "captures", "stateful"])
def test_every_offered_inner_tensor_can_be_an_output(sample_models: Path, name: str) -> None:
    """Where the graph only calls functions, what they compute is offered; each of it can be added, no handle is."""
    state = ExplorerState(sample_models / name)
    for key in state.meta_graph.callable_signatures:
        state.choose_signature(key)
        inside = state.tensors.search("", inside=True, limit=1000)
        offered = state.tensors.search("", limit=1000)
        assert inside and offered[: len(inside)] == inside
        assert {tensor.dtype.base.number for tensor in offered}.isdisjoint({20, 21})
        for tensor in offered:
            assert state.find_tensor(tensor.name) == tensor
        for tensor in inside[:40]:
            entry = {"edit": "add_output", "signature_key": key, "output_key": "new", "tensor_name": tensor.name}
            assert state.refusal(entry) == ""


def test_inner_tensors_are_ranked_like_those_of_a_graph(sample_models: Path) -> None:
    """The op itself comes before a part of a name, the path counts only where a slash was typed, an index narrows."""
    state = ExplorerState(sample_models / "keras2")
    found = [tensor.name.rpartition("petals/")[2] for tensor in state.search_tensors("matmul")]
    assert found[:2] == ["score/MatMul:0", "hidden/MatMul:0"] and "score/MatMul/ReadVariableOp:0" in found
    assert {tensor.op for tensor in state.search_tensors("partitioned")} == {"StatefulPartitionedCall"}
    assert len(state.search_tensors("statefulpartitionedcall/petals/")) > 10
    assert state.search_tensors("relu:1") == [] and len(state.search_tensors("relu:0")) == 1
    assert state.search_tensors("matmul", DType(9)) == []
    assert state.find_tensor("hidden/Relu:0") == state.search_tensors("relu")[0], "an end that is clear will do"


def test_tensors_are_read_once_for_a_draft(sample_models: Path) -> None:
    """Searches share what was read of the functions until the draft or the chosen signature is another."""
    state = ExplorerState(sample_models / "keras3")
    before = state.tensors
    assert state.tensors is before and state.search_tensors("relu")
    state.choose_format("column")
    assert state.tensors is before
    state.choose_signature("serve")
    other = state.tensors
    assert other is not before
    state.edit({"edit": "rename_output", "signature_key": "serve", "output_key": "output_0", "new_key": "scores"})
    assert state.tensors is not other and state.search_tensors("relu")


def test_short_names_tell_tensors_apart(sample_models: Path) -> None:
    """A name is cut to its end as long as no other in the list ends so."""
    state = ExplorerState(sample_models / "control_flow", version=1)
    found = state.search_tensors("x:0")
    names = short_names(found)
    assert len(set(names)) == len(names)
    for tensor, name in zip(found, names, strict=True):
        assert tensor.name == name or tensor.name.endswith(f"/{name}")
    assert short_names(found[:1]) == ["x:0"]


def test_models_whose_functions_cannot_be_told_offer_their_graph(sample_models: Path) -> None:
    """Where what a signature computes can't be read the whole graph is offered, without handles."""
    state = ExplorerState(sample_models / "half_plus_two")
    assert state.tensors.search("", limit=10_000) == [
        tensor
        for tensor in read_graph(state.meta_graph).search("", limit=10_000)
        if tensor.dtype.base.number not in HANDLES
    ]


def test_trial_tells_refusals_from_warnings(sample_models: Path) -> None:
    """A training trace can be added, and the findings of the trial say what it does; a taken key can't."""
    state = ExplorerState(sample_models / "training_trace")
    entry = {"edit": "add_signature_from_function", "signature_key": "train", "function_name": "train_step"}
    trial = state.trial(entry)
    assert trial.refusal == "" and "writes_variables" in {found.code for found in trial.findings}
    assert state.trial({**entry, "signature_key": "serving_default"}).refusal
    assert state.edit(entry) and state.signature_key == "train"
    again = state.trial({**entry, "signature_key": "again"})
    assert {found.code for found in again.findings} == {found.code for found in trial.findings}, (
        "what is known of another signature is news about this one"
    )


def test_recipe_is_one_step(state: ExplorerState) -> None:
    """All edits of a recipe are made or none; one undo takes them back; the chosen signature is followed."""
    rename = {"edit": "rename_signature", "signature_key": "serving_default", "new_key": "main"}
    text = json.dumps({"recipe": 1, "edits": [RENAME, rename]})
    assert state.apply_recipe(text), state.error
    assert [dict(entry) for entry in state.edits] == [RENAME, rename] and state.signature_key == "main"
    assert recipe_edits(json.loads(code_preview(state).recipe)) == [RENAME, rename]
    edited = state.model
    assert state.apply_recipe(text) is False and "edit 1 of the recipe" in state.error.lower()
    assert state.model is edited
    assert state.undo() and not state.edits and state.signature_key == "serving_default"


def test_repair_is_one_step(sample_models: Path) -> None:
    """What can be mended without a choice is mended in one step, and where there is nothing it says so."""
    state = ExplorerState(sample_models / "keras3_saved")
    assert [found.code for found in state.repairs()] == ["unrestored_variables"]
    assert state.repair(), state.error
    assert state.repairs() == () and [entry["edit"] for entry in state.edits] == ["repair_captures"]
    assert state.repair() is False and state.error
    assert state.undo() and not state.edits


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        (" -0.5 ", -0.5),
        ('"blue"', "blue"),
        ("true", True),
        ("[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ('{"b64": "/w=="}', {"b64": "/w=="}),
        ("[]", []),
    ],
)
def test_values_are_typed_as_json(text: str, value: object) -> None:
    """Numbers, text, true and false, and nested lists."""
    assert parse_value(text) == value and type(parse_value(text)) is type(value)


@pytest.mark.parametrize(
    "text", ["", "blue", "[1,", "1 2", "NaN", "-Infinity", "1e999", "null", "[" * 100_000, "9" * 9999]
)
def test_what_is_no_value_is_one_sentence(text: str) -> None:
    """What doesn't parse, or what no recipe could hold, is refused in a short sentence."""
    with pytest.raises(EditError) as caught:
        parse_value(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("?, 224, 224, 3", [None, 224, 224, 3]),
        ("[?, 2]", [None, 2]),
        ("(None, 2)", [None, 2]),
        ("-1,2,", [None, 2]),
        ("8", [8]),
        ("[]", []),
        ("()", []),
        ("<unknown rank>", None),
    ],
)
def test_shapes_are_typed_as_they_are_shown(text: str, shape: list[int | None] | None) -> None:
    """The text of a shape, with or without brackets, is read; Python's and the protos' ways of "any" are too."""
    assert parse_shape(text) == shape


@pytest.mark.parametrize("text", ["", "  ", "a", "1, , 2", "1.5", "²", "9" * 30, "[1"])
def test_what_is_no_shape_is_one_sentence(text: str) -> None:
    """Anything else is refused with an example of a shape."""
    with pytest.raises(EditError, match="224"):
        parse_shape(text)


@given(st.lists(st.none() | st.integers(0, 10**6), max_size=6))
def test_any_shape_is_read_as_it_is_printed(dims: list[int | None]) -> None:
    """What ``str`` says of a shape is read back as that shape."""
    assert parse_shape(str(Shape(tuple(dims)))) == dims


def test_request_follows_the_edits(state: ExplorerState) -> None:
    """The body names the input by its new key, and the format is the wanted one."""
    state.edit(RENAME)
    assert '"features"' in request_preview(state).body
    assert request_preview(state).format == "row"
    state.choose_format("column")
    assert '"inputs"' in request_preview(state).body and request_preview(state).fitting == "row"
    state.choose_signature("classify_x")
    assert request_preview(state).format == "examples"
    assert "curl" in request_preview(state).curl


def test_code_says_the_same_as_the_clicks(copy_model: Callable[[str], Path], tmp_path: Path) -> None:
    """The Python that is shown, run, makes the model that is shown; the recipe holds its edits."""
    state = ExplorerState(copy_model("half_plus_two"))
    state.edit(RENAME)
    state.edit({"edit": "remove_signature", "signature_key": "regress_x"})
    state.choose_export_base(str(tmp_path / "out"))
    code = code_preview(state)
    variables: dict[str, Any] = {}
    exec(code.python, variables)  # noqa: S102 - our own code, which is what is tested
    assert variables["model"].meta_graphs == state.model.meta_graphs
    assert open_saved_model(tmp_path / "out").meta_graphs == state.model.meta_graphs
    assert '"rename_input"' in code.recipe and "--recipe" in code.command
    assert not code.on_disk, "the signature is not on disk as it is shown"


def test_hostile_names_make_no_exception(sample_models: Path) -> None:
    """Every signature of the hostile model can be chosen, asked for its request and its code, and renamed."""
    state = ExplorerState(sample_models / "broken" / "hostile_names")
    for key in list(state.meta_graph.callable_signatures):
        assert state.choose_signature(key), state.error
        request_preview(state)
        assert code_preview(state).python
        if key not in ("", "plain"):
            assert state.edit({"edit": "rename_signature", "signature_key": key, "new_key": "plain"}), state.error
            assert state.undo()


STEPS = st.lists(st.sampled_from(["edit", "undo", "redo", "reset", "choose", "version"]), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_walk_keeps_a_valid_state(sample_models: Path, steps: list[str]) -> None:
    """After any sequence of intents the choice is valid, and undoing everything gives the source."""
    state = ExplorerState(sample_models / "half_plus_two", version=124)
    for number, step in enumerate(steps):
        if step == "edit":
            state.edit({"edit": "copy_signature", "signature_key": state.signature_key, "new_key": f"copy {number}"})
        elif step == "choose":
            state.choose_signature(list(state.meta_graph.signatures)[number % len(state.meta_graph.signatures)])
        elif step == "version":
            state.choose_version(123 + number % 2)
        else:
            getattr(state, step)()
        assert state.signature is not None
        assert state.meta_graph is state.model.meta_graphs[state.meta_graph_index]
    while state.can_undo:
        assert state.undo()
    assert state.model.meta_graphs == state.source.meta_graphs
