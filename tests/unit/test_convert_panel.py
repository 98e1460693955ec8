"""The panel that converts a source: what it says, what one chooses, what it writes. No TensorFlow, no Keras."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from panels import LaterExecutor, nothing_left_behind, seen

from explorer.converting import kinds
from explorer.converting.source import Need, Source
from explorer.diagnosing.proof import Loading, Proof
from explorer.errors import RunCancelledError
from explorer.runtime.looking import Looked
from explorer.savedmodel.opening import open_saved_model
from explorer.state.converting import ConvertState
from explorer.widgets.convert import ConvertPanel
from explorer.widgets.panel import is_hidden


@pytest.fixture
def checkpoints(sample_models: Path, tmp_path: Path) -> Path:
    """A copy of the sample checkpoints, beside which a test may write."""
    return Path(shutil.copytree(sample_models / "checkpoints", tmp_path / "checkpoints"))


@pytest.fixture
def panels() -> Iterator[list[Any]]:
    """Where a test puts its panels, which leave nothing behind."""
    with nothing_left_behind() as opened:
        yield opened


def made(panels: list[Any], *arguments: Any, **named: Any) -> ConvertPanel:
    """A panel that is closed after the test."""
    panel = ConvertPanel(*arguments, **named)
    panels.append(panel)
    return panel


def keras(**changes: Any) -> Looked:
    """What is found out about a Keras file of three layers."""
    source = Source(Path("/models/cat.keras"), kinds.KERAS_FILE, "is a whole model of Keras 3.15.1", runs_code=True)
    given: dict[str, Any] = {
        "layers": (("picture", "InputLayer"), ("features", "Dense"), ("scores", "Dense")),
        "inputs": "picture=picture",
        "outputs": "scores=scores",
    }
    return Looked(**{"source": source, **given, **changes})


@pytest.mark.parametrize("name", ["iris_frozen.pb", "iris.ckpt-100"])
def test_it_says_what_a_source_is_and_proposes_a_signature(panels: list[Any], checkpoints: Path, name: str) -> None:
    """Title, facts, ranked outputs with reasons, the input that they need, the value of dropout; nothing is written."""
    before = sorted(checkpoints.iterdir())
    panel = made(panels, checkpoints / name)
    text = seen(panel)
    for words in ("is a ", "Outputs", "probabilities:0", "a softmax", "Inputs", "measurements:0", "keep_prob:0"):
        assert words in text
    assert [row.check.value for row in panel.outputs.rows] == [True, False]
    assert panel.fixed.rows[0].value.placeholder == "1.0"
    assert panel.convert.description == "Convert to version 1" and not panel.convert.disabled
    assert is_hidden(panel.consent) and is_hidden(panel.prove)
    assert sorted(checkpoints.iterdir()) == before


def test_conversion_by_clicks(panels: list[Any], checkpoints: Path) -> None:
    """Another output by its box, other keys by their fields: the version has them, and the code says the same."""
    panel = made(panels, checkpoints / "iris_frozen.pb")
    panel.outputs.rows[1].check.value = True
    panel.outputs.rows[1].key.take("logits")
    panel.inputs.rows[0].key.take("x")
    panel.fields["signature_key"].take("flowers")
    panel.convert.click()
    written = checkpoints / "iris_frozen-versions" / "1"
    assert panel.state.error == "" and str(written) in panel.result.value
    signature = open_saved_model(written).meta_graph().signature("flowers")
    assert {key: info.tensor_name for key, info in signature.inputs.items()} == {"x": "measurements:0"}
    assert {key: info.tensor_name for key, info in signature.outputs.items()} == {
        "probabilities": "probabilities:0",
        "logits": "logits_out:0",
    }
    python, command, proof = (code["text"] for code in panel.code.codes)
    assert 'inputs={"x": "measurements:0"}' in python and 'signature_key="flowers"' in python
    assert "--outputs probabilities=probabilities:0 logits=logits_out:0" in command and "--signature flowers" in command
    assert proof.startswith("print(explorer.prove_conversion(") and "consent=True" in proof
    assert panel.convert.description == "Convert to version 2"


def test_code_does_the_same(panels: list[Any], checkpoints: Path, tmp_path: Path) -> None:
    """The line of Python and the command write the signature that the panel writes."""
    import shlex

    import explorer
    from explorer.cli import main

    panel = made(panels, checkpoints / "iris.ckpt-100")
    panel.fields["export_base"].take(str(tmp_path / "here"))
    lines = panel.state.lines()
    panel.convert.click()
    call: dict[str, Any] = {"explorer": explorer}
    exec(lines.python, call)  # noqa: S102 - our own line, which is what is tested
    assert main(shlex.split(lines.command)[3:]) == 0
    found = [open_saved_model(tmp_path / "here" / number).meta_graphs for number in ("1", "2", "3")]
    assert found[0] == found[1] == found[2]


def test_inputs_follow_the_outputs_until_somebody_chooses_them(checkpoints: Path) -> None:
    """What nobody chose is worked out anew; what somebody left out is said to be missing, and stops the conversion."""
    state = ConvertState(checkpoints / "iris_frozen.pb")
    state.choose_tensor("outputs", "probabilities:0", False)
    assert state.outputs == {} and "at least one output" in state.missing
    state.choose_tensor("outputs", "logits_out:0", True)
    assert state.outputs == {"logits_out": "logits_out:0"} and state.inputs == {"measurements": "measurements:0"}
    assert state.missing == ""
    state.choose_tensor("inputs", "measurements:0", False)
    assert "need 'measurements:0'" in state.gap and state.lines().python == ""
    assert state.convert() is False and "need 'measurements:0'" in state.error
    assert state.add_tensors("inputs", "x=measurements")
    assert state.inputs == {"x": "measurements:0"} and state.missing == ""


def test_values_for_good(panels: list[Any], checkpoints: Path) -> None:
    """A typed value goes into the model, an empty field means the proposed one, and what is no value is said."""
    panel = made(panels, checkpoints / "iris_frozen.pb")
    value = panel.fixed.rows[0].value
    value.take("a lot")
    assert "is no number" in value.problem and panel.convert.disabled
    value.take("0.5")
    assert value.problem == "" and panel.state.constants == {"keep_prob:0": 0.5}
    assert 'constants={"keep_prob:0": 0.5}' in panel.code.codes[0]["text"]
    value.take("")
    assert panel.state.constants == {"keep_prob:0": 1.0}
    panel.role.value = "constants"
    panel.other.take("measurements=[[1, 2, 3, 4]]")
    panel.add.click()
    assert panel.state.error == "" and panel.other.value == ""
    assert panel.state.constants["measurements:0"] == [[1, 2, 3, 4]] and panel.state.inputs == {}


def test_keys_that_cannot_be_are_said_beside_them(panels: list[Any], checkpoints: Path) -> None:
    """An empty key and one that is taken leave the key before them in use."""
    panel = made(panels, checkpoints / "iris_frozen.pb")
    panel.outputs.rows[1].check.value = True
    key = panel.outputs.rows[1].key
    for text, words in (("probabilities", "taken by 'probabilities:0'"), (" ", "Give 'logits_out:0' a key")):
        key.take(text)
        assert words in key.problem and "stays 'logits_out'" in key.problem
        assert list(panel.state.outputs) == ["probabilities", "logits_out"]
    key.take("logits")
    assert key.problem == "" and list(panel.state.outputs) == ["probabilities", "logits"]
    panel.other.take("logits=measurements")
    panel.add.click()
    assert "is taken by" in panel._message.value and panel.other.value == "logits=measurements"


def test_what_is_missing_is_named_and_taken(panels: list[Any], checkpoints: Path) -> None:
    """A checkpoint without its graph lists its variables and asks for the graph; with it, it is converted."""
    (checkpoints / "iris.ckpt-100.meta").unlink()
    panel = made(panels, checkpoints / "iris.ckpt-100")
    assert "give the graph" in panel.source.value.lower() and panel.convert.disabled
    assert not is_hidden(panel.fields["graph"]) and is_hidden(panel.fields["architecture"])
    names = [row["cells"][0] for row in panel.variables.rows]
    assert len(names) == 5 and not is_hidden(panel.variables)
    panel.fields["graph"].take("nowhere.pb")
    assert "There is nothing at 'nowhere.pb'" in panel.fields["graph"].problem
    panel.fields["graph"].take(str(checkpoints / "iris_graph.pbtxt"))
    assert is_hidden(panel.variables) and not panel.convert.disabled
    panel.convert.click()
    assert panel.state.error == "" and panel.state.published.version == 1
    assert "graph=" in panel.code.codes[0]["text"] and "--graph" in panel.code.codes[1]["text"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "LFS"),
        (b"", "empty"),
        (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite"),
    ],
)
def test_what_cannot_be_converted_is_said(panels: list[Any], tmp_path: Path, content: bytes, words: str) -> None:
    """A pointer, nothing, a TFLite file: what it is, why not, and no button to press."""
    (tmp_path / "model.pb").write_bytes(content)
    panel = made(panels, tmp_path / "model.pb")
    assert words.lower() in seen(panel).lower()
    assert is_hidden(panel.convert) and is_hidden(panel.code) and is_hidden(panel.fields["export_base"])


def test_nothing_and_no_path_are_calm(panels: list[Any], tmp_path: Path) -> None:
    """Without a path there is a field; at a path with nothing the reason stands below it, live and static."""
    panel = made(panels)
    assert is_hidden(panel.convert) and "No source was given" in panel._repr_mimebundle_()["text/plain"]
    panel.look.click()
    assert "give the path" in panel._message.value.lower()
    panel.path.take(str(tmp_path / "nothing.pb"))
    panel.look.click()
    assert "nothing at" in panel._message.value and "nothing at" in panel.fallback()[1]


def test_static_form_tells_it_all(panels: list[Any], checkpoints: Path) -> None:
    """Where widgets can't be, the source, the candidates, the code and what was written are there as well."""
    panel = made(panels, checkpoints / "iris_frozen.pb")
    panel.convert.click()
    bundle = panel._repr_mimebundle_()
    for text in (bundle["text/html"], bundle["text/plain"]):
        for words in ("frozen graph", "probabilities:0", "explorer.convert(", "Version 1 is written"):
            assert words in text


def test_saved_model_keeps_its_signatures(panels: list[Any], copy_model: Callable[[str], Path]) -> None:
    """A SavedModel as a source has nothing to choose; it says so, and is written as a version."""
    panel = made(panels, copy_model("linear"))
    assert "signatures already" in panel.source.value and is_hidden(panel.outputs.widgets[0])
    panel.convert.click()
    assert panel.state.error == "" and panel.state.published is not None


def test_keras_needs_consent_and_its_sentence_stands_there(
    panels: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sentence says that code is run, nothing runs before the click, and without consent the state refuses."""
    calls: list[dict[str, Any]] = []

    def open_source(path: str, **named: Any) -> object:
        calls.append({"path": path, **named})
        raise RunCancelledError("stopped")

    monkeypatch.setattr("explorer.state.converting.look", lambda *_: keras())
    monkeypatch.setattr("explorer.runtime.convert.open_source", open_source)
    panel = made(panels, "/models/cat.keras")
    assert not is_hidden(panel.consent) and "Keras has to build the model" in panel.consent.value
    assert all(row.check.disabled for row in panel.inputs.rows)
    assert [(row.check.description, row.check.value) for row in panel.outputs.rows] == [
        ("scores", True), ("features", False),
    ]  # fmt: skip
    assert calls == []
    panel.fields["export_base"].take(str(tmp_path / "b"))
    python = "".join(panel.code.codes[0]["text"].split())
    assert python.startswith('explorer.convert("/models/cat.keras",') and "consent=True" in python
    assert "outputs=" not in python, "Keras knows its own outputs"
    panel.convert.click()
    assert calls[0]["consent"] is True and calls[0]["outputs"] is None
    assert "stopped" in panel.notice.value and panel.state.published is None
    panel.outputs.rows[1].check.value = True
    panel.fields["endpoints"].take("embed=features")
    panel.convert.click()
    assert calls[1]["outputs"] == {"scores": "scores", "features": "features"}
    assert calls[1]["endpoints"] == {"embed": "features"}
    panel.state.convert(consent=False)
    assert calls[2]["consent"] is False


def test_names_of_custom_objects_are_told_before_anything_runs(
    panels: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given in Python or typed, they reach the look into the file; until then a refusal stands, and no button."""
    seen_names: list[tuple[str, ...]] = []

    def look(_path: str, _graph: object, _architecture: object, custom: tuple[str, ...]) -> Looked:
        seen_names.append(custom)
        if "Scale" in custom:
            return keras()
        source = Source(
            Path("/models/cat.keras"), kinds.KERAS_FILE, "is a model", problem="what is 'Scale'?", runs_code=True
        )
        return keras(source=source, refusal="what is 'Scale'?")

    monkeypatch.setattr("explorer.state.converting.look", look)
    panel = made(panels, "/models/cat.keras")
    assert is_hidden(panel.convert) and "what is" in panel.source.value.lower()
    assert not is_hidden(panel.fields["custom_objects"])
    panel.fields["custom_objects"].take("Scale")
    assert "Scale" in panel.fields["custom_objects"].problem
    panel.fields["custom_objects"].take("Scale=my_layers:Scale")
    assert not is_hidden(panel.convert) and seen_names[-1] == ("Scale",)
    assert "--custom-objects Scale=my_layers:Scale" in panel.code.codes[1]["text"]
    assert "imported there" in panel.consent.value
    given = made(panels, "/models/cat.keras", {"Scale": threading.Event})
    assert given.state.custom_objects == "Scale=threading:Event" and not is_hidden(given.convert)
    local = made(panels, "/models/cat.keras", {"Scale": lambda x: x})
    assert "custom object 'Scale'" in local.state.error and local.state.looked is None


def test_weights_alone_ask_for_their_architecture(
    panels: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The button waits for the architecture; there are no layers to choose."""
    need = Need(kinds.ARCHITECTURE, "it holds weights and no model")
    source = Source(Path("/models/w.h5"), kinds.HDF5, "is a file of weights", needs=(need,), runs_code=True)
    found = keras(source=source, inputs="", outputs="", refusal="it holds weights and no model")
    monkeypatch.setattr("explorer.state.converting.look", lambda *_: found)
    panel = made(panels, "/models/w.h5")
    assert panel.convert.disabled and not panel.outputs.rows
    (tmp_path / "model.json").write_text("{}")
    panel.fields["architecture"].take(str(tmp_path / "model.json"))
    assert not panel.convert.disabled


def test_many_candidates_are_shown_by_and_by(panels: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Five at first and those that are taken; the button says how many more there are."""
    layers = tuple((f"layer_{number}", "Dense") for number in range(60))
    monkeypatch.setattr("explorer.state.converting.look", lambda *_: keras(layers=layers, outputs="layer_59=layer_59"))
    panel = made(panels, "/models/cat.keras")
    assert len(panel.outputs.rows) == 5 and panel.outputs.more.description == "Show 20 of 55 more"
    panel.outputs.more.click()
    panel.outputs.rows[24].check.value = True
    assert len(panel.outputs.rows) == 25 and len(panel.state.outputs) == 2
    panel.outputs.more.click()
    panel.outputs.more.click()
    assert is_hidden(panel.outputs.more) and len(panel.outputs.rows) == 60
    panel.state.look("/models/cat.keras")
    assert len(panel.outputs._table.children) == 6, "a header and five rows again"


def test_proof_is_told_what_the_conversion_was_told(
    panels: list[Any], checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing runs before the click; the click is the consent; what was changed since doesn't matter."""
    calls: list[tuple[Any, Any, dict[str, Any]]] = []

    def prove(source: object, after: object, **named: Any) -> Proof:
        calls.append((source, after, named))
        named["progress"](1, 4)
        return Proof("/old", "/new", (Loading("tf.compat.v1", "", ""),), (), network="off")

    monkeypatch.setattr("explorer.runtime.source_proof.prove_conversion", prove)
    panel = made(panels, checkpoints / "iris_frozen.pb")
    assert panel.state.prove(consent=True) is False and "convert a source first" in panel.state.error
    panel.convert.click()
    assert calls == [] and "Nothing runs before" in panel.proof_consent.value and not is_hidden(panel.prove)
    panel.inputs.rows[0].key.take("other")
    panel.prove.click()
    ((source, after, named),) = calls
    assert source == str(checkpoints / "iris_frozen.pb") and after == panel.state.published.path
    assert named["consent"] is True and named["inputs"] == {"measurements": "measurements:0"}
    assert named["outputs"] == {"probabilities": "probabilities:0"} and named["constants"] == {"keep_prob:0": 1.0}
    assert named["endpoints"] is None and named["signature_key"] == "serving_default"
    assert not is_hidden(panel.proof.result) and is_hidden(panel.prove)
    panel.convert.click()
    assert is_hidden(panel.proof.result) and not is_hidden(panel.prove)


def test_new_version_opens_below(panels: list[Any], checkpoints: Path) -> None:
    """The button shows it in an Explorer, where request, edits and export are; another source takes it away."""
    panel = made(panels, checkpoints / "iris_frozen.pb")
    panel.convert.click()
    panel.open.click()
    (explorer,) = panel.below.children
    assert explorer.state.signature_key == "serving_default" and explorer.state.version == 1
    panel.state.look(checkpoints / "iris.ckpt-100")
    assert panel.below.children == ()


def test_while_it_works_there_are_progress_and_cancel(
    panels: list[Any], checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a thread: how far it is, a button that stops it, nothing written, and it can be begun again."""
    begun = threading.Event()

    def open_source(_path: str, *, cancel: threading.Event, progress: Any, **_: Any) -> object:
        progress("building the model", 1, 4)
        begun.set()
        assert cancel.wait(30), "nobody pressed the button"
        progress("building the model", 2, 4)
        cancel.wait(0.2)  # so that the next word isn't dropped for coming too soon
        progress("building the model", 3, 4)
        raise AssertionError("it went on after it was stopped")

    with ThreadPoolExecutor(2) as threads:
        panel = made(panels, executor=threads)
        done = threading.Event()
        panel.state.observe(lambda _: None if panel.state.busy else done.set(), "busy")
        panel.state.look(checkpoints / "iris_frozen.pb")
        assert done.wait(30)
        while panel.state.gap or not panel.state.constants:  # what the outputs need is worked out in a thread too
            threading.Event().wait(0.01)
        done.clear()
        monkeypatch.setattr("explorer.runtime.convert.open_source", open_source)
        panel.convert.click()
        assert begun.wait(30) and not is_hidden(panel.progress) and not is_hidden(panel.cancel)
        assert panel.bar.value == 0.25 and "Building the model: 1 of 4" in panel.done.value
        assert panel.convert.disabled and panel.state.look("/elsewhere") is False
        panel.cancel.click()
        assert done.wait(30)
    assert "stopped; nothing was written" in panel.state.notice and panel.state.error == ""
    assert is_hidden(panel.progress) and not panel.convert.disabled
    assert not (checkpoints / "iris_frozen-versions").exists()


def test_an_overtaken_look_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """While names of custom objects are typed, only the last look counts, in whatever order they end."""
    monkeypatch.setattr("explorer.state.converting.look", lambda *given: keras(refusal=",".join(given[3])))
    later = LaterExecutor()
    state = ConvertState(executor=later)
    state.look("/models/cat.keras")
    later.work()
    state.enter("custom_objects", "A=a:A")
    state.enter("custom_objects", "A=a:A B=b:B")
    assert state.busy == "looking"
    later.work(1)
    assert state.busy == "" and state.looked.refusal == "A,B"
    later.work(0)
    assert state.looked.refusal == "A,B"


def test_hostile_names_are_text(panels: list[Any], model_bytes: Any, tmp_path: Path) -> None:
    """A tensor's name is never markup, in a label, a reason or the source's facts."""
    name = "<img/src=x onerror=alert(1)>"
    builder = model_bytes().placeholder(name).compute("softmax", name, op="Softmax")
    (tmp_path / "bad.pb").write_bytes(builder.graph_def())
    panel = made(panels, tmp_path / "bad.pb")
    panel.convert.click()
    html = [child.value for child in _all(panel) if type(child).__name__ == "HTML"]
    assert html and not any("<img" in value for value in html)
    assert "<img" not in panel.fallback()[0]


def _all(widget: Any) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _all(child)
