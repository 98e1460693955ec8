"""The panel of the drawing: it follows what is chosen and drafted, unfolds, searches, and leaves nothing behind."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from explorer.state import ExplorerState
from explorer.state.flowing import FlowState
from explorer.widgets.assets import read_asset
from explorer.widgets.drawing import DrawingPanel
from explorer.widgets.panel import is_hidden

RENAME = {"edit": "rename_input", "signature_key": "serving_default", "input_key": "x", "new_key": "features"}


@pytest.fixture
def panel_of() -> Iterator[Callable[..., DrawingPanel]]:
    """Makes panels; in the end they are closed, and nothing of them may be left."""
    instances = sys.modules["ipywidgets.widgets.widget"]._instances
    before = set(instances)
    made: list[DrawingPanel] = []

    def make(*arguments: Any, **named: Any) -> DrawingPanel:
        made.append(DrawingPanel(*arguments, **named))
        return made[-1]

    yield make
    for panel in made:
        panel.close()
        panel.close()
    assert not set(instances) - before


def titles(panel: DrawingPanel, kind: str = "") -> list[str]:
    """The titles of the boxes on the page."""
    return [one["title"] for one in panel.view.drawing["boxes"] if kind in ("", one["kind"])]


def box(panel: DrawingPanel, title: str) -> dict[str, Any]:
    """A box on the page."""
    found: dict[str, Any] = next(one for one in panel.view.drawing["boxes"] if one["title"] == title)
    return found


def say(panel: DrawingPanel, **content: Any) -> None:
    """Sends the panel what its page would send."""
    panel.view._handle_custom_msg(content, [])


def sent(panel: DrawingPanel, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collects what the panel sends to its page beside its traits."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(panel.view, "send", told.append)
    return told


def test_panel_draws_a_model(panel_of: Callable[..., DrawingPanel], sample_models: Path) -> None:
    """Alone it needs no more than a path; its static form has the picture and the list."""
    panel = panel_of(sample_models / "control_flow")
    assert {"x", "steps", "largest value"} <= set(titles(panel)) and panel.view.status.endswith(" boxes")
    bundle = panel._repr_mimebundle_()
    assert "<svg" in bundle["text/html"] and "<li>" in bundle["text/html"]
    assert bundle["text/plain"].startswith("What signature serving_default runs")


def test_panel_unfolds_folds_and_folds_all(panel_of: Callable[..., DrawingPanel], sample_models: Path) -> None:
    """A click on a group unfolds it, another one folds it, and a button goes back to the beginning."""
    panel = panel_of(sample_models / "control_flow")
    first = panel.view.drawing
    say(panel, kind="unfold", id=box(panel, "while")["id"])
    assert box(panel, "while")["unfolded"] and {"condition", "body"} <= set(titles(panel))
    assert panel.flow.chosen[-1] == "n:while"
    say(panel, kind="fold", id=box(panel, "while")["id"])
    assert panel.view.drawing == first
    say(panel, kind="unfold", id=box(panel, "cond")["id"])
    say(panel, kind="fold_all")
    assert panel.view.drawing == first


def test_page_that_lags_does_no_harm(panel_of: Callable[..., DrawingPanel], sample_models: Path) -> None:
    """Messages about boxes that are gone, or that make no sense, change nothing and raise nothing."""
    panel = panel_of(sample_models / "half_plus_two")
    before = panel.view.drawing
    for content in (
        {"kind": "unfold", "id": "gone"}, {"kind": "go", "index": 3, "request": 7}, {"kind": "go"}, {"kind": "unfold"},
        {"kind": "go", "index": -1, "request": None}, {"kind": 3}, {}, {"kind": "choose", "id": None},
    ):  # fmt: skip
        say(panel, **content)
    assert panel.view.drawing == before and panel.flow.error == ""


def test_panel_follows_signature_and_draft(
    panel_of: Callable[..., DrawingPanel], copy_model: Callable[[str], Path]
) -> None:
    """Another signature is drawn anew; after an edit the keys are new and the same groups are unfolded; undo too."""
    state = ExplorerState(copy_model("module"))
    panel = panel_of(state)
    state.choose_signature("serving_default")
    assert "words" in titles(panel, "input")
    unfolded = panel.flow.unfolded
    held = box(panel, "3 captures")
    say(panel, kind="unfold", id=held["id"])
    wider = panel.flow.unfolded
    assert wider > unfolded
    assert state.edit({**RENAME, "input_key": "words"})
    assert "features" in titles(panel, "input") and panel.flow.unfolded == wider
    assert state.undo()
    assert "words" in titles(panel, "input")
    state.choose_signature("repeat")
    assert {"x", "times"} == set(titles(panel, "input")) and panel.flow.unfolded != wider
    assert "repeat" in panel.subject.value


def test_other_changes_of_the_state_draw_nothing_anew(
    panel_of: Callable[..., DrawingPanel], copy_model: Callable[[str], Path]
) -> None:
    """What has nothing to do with the signature leaves the picture as it is, the very same object."""
    state = ExplorerState(copy_model("half_plus_two"))
    panel = panel_of(state)
    flow, view = panel.flow.flow, panel.flow.view
    state.choose_export_base("/elsewhere")
    state.choose_format("column")
    assert panel.flow.flow is flow and panel.flow.view is view


def test_embedded_panel_reads_nothing_before_it_is_opened(
    panel_of: Callable[..., DrawingPanel], sample_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the Explorer it is a button at first; closed again it forgets the picture."""
    monkeypatch.setattr("explorer.state.flowing.flow_of", lambda *_: pytest.fail("it was read"))
    state = ExplorerState(sample_models / "half_plus_two")
    panel = panel_of(state, embedded=True)
    assert is_hidden(panel.view) and not is_hidden(panel.toggle)
    state.choose_format("row")
    monkeypatch.undo()
    panel.toggle.click()
    assert not is_hidden(panel.view) and titles(panel)
    panel.toggle.click()
    assert is_hidden(panel.view) and panel.flow.flow is None and not titles(panel)


def test_search_goes_to_what_it_found(
    panel_of: Callable[..., DrawingPanel], sample_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel searches in all functions; what is chosen is unfolded and comes into sight."""
    panel = panel_of(sample_models / "control_flow")
    told = sent(panel, monkeypatch)
    say(panel, kind="search", request=5, text="matmul")
    [message] = told
    assert message["request"] == 5 and message["status"] == "1 found"
    assert message["items"][0]["about"] == "MatMul in __inference_dense_24"
    assert "product" not in titles(panel)
    goal = panel.view.goal
    say(panel, kind="go", request=5, index=0)
    assert box(panel, "product")["id"] == panel.view.chosen == message["items"][0]["id"] and panel.view.goal == goal + 1
    say(panel, kind="search", request=6, text="no such thing")
    assert told[-1]["status"] == "nothing found" and told[-1]["items"] == []


def test_python_sets_every_piece(panel_of: Callable[..., DrawingPanel], sample_models: Path) -> None:
    """The same intents are called from Python; a path that is no box's unfolds nothing."""
    panel = panel_of(sample_models / "control_flow")
    state = panel.flow
    path = next(one.path for one in state.view.boxes if one.title == "cond")
    assert state.unfold(path) and {"then", "else"} <= set(titles(panel))
    assert state.choose(path) and panel.view.chosen == box(panel, "cond")["id"]
    assert state.show_orders(True) and any(link["order"] for link in panel.view.drawing["links"])
    assert state.unfold(("n:nowhere",)) and state.error == ""
    assert state.fold(path) and "then" not in titles(panel)


def test_panel_without_a_model_says_so(panel_of: Callable[..., DrawingPanel]) -> None:
    """With nothing open there is a sentence, no picture, and no exception, whatever is asked."""
    panel = panel_of(ExplorerState())
    assert panel.view.empty == "No SavedModel is open." and not titles(panel)
    assert panel._repr_mimebundle_()["text/plain"] == "No SavedModel is open."
    assert not panel.flow.fold_all() and "open the drawing first" in panel.flow.error


def test_corrupt_function_is_a_sentence(
    panel_of: Callable[..., DrawingPanel], sample_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be read is said where the picture would be, not raised."""
    from explorer.errors import FormatError

    def fail(*_: object) -> None:
        raise FormatError("the function 'f' is corrupt")

    monkeypatch.setattr("explorer.state.flowing.flow_of", fail)
    panel = panel_of(sample_models / "half_plus_two")
    assert "The function 'f' is corrupt" in panel.view.empty + panel._message.value


def test_slow_reading_shows_the_last_that_was_asked_for(sample_models: Path) -> None:
    """With threads, what comes late about another signature is dropped."""
    with ThreadPoolExecutor(2) as threads:
        state = ExplorerState(sample_models / "module", executor=threads)
        flow = FlowState(state, is_open=True)
        state.observe(lambda _: flow.follow(), "revision")
        for key in ("repeat", "shift", "serving_default", "repeat", "shift"):
            state.choose_signature(key)
    assert flow.flow.signature.key == "shift" and not flow.is_reading
    assert [one.title for one in flow.view.boxes if one.kind == "input"] == ["amount", "x"]


def test_names_of_a_model_are_no_ids(panel_of: Callable[..., DrawingPanel], sample_models: Path) -> None:
    """What the page gets is printable, and what it says back can only be an id that was made here."""
    panel = panel_of(sample_models / "broken" / "hostile_nodes")
    ids = [one["id"] for one in panel.view.drawing["boxes"]]
    assert len(set(ids)) == len(ids) and all(len(one) == 16 and int(one, 16) >= 0 for one in ids)
    json.dumps(panel.view.drawing)


def test_script_puts_texts_in_as_texts() -> None:
    """The page's script never makes elements out of text."""
    script = read_asset("drawing.js")
    for dangerous in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "http://",
    ):
        assert dangerous not in script.replace("http://www.w3.org/2000/svg", "")
