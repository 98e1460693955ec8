"""The panel that asks and shows answers; whoever answers is a stand-in here, which runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from panels import LaterExecutor, nothing_left_behind, say, seen

from explorer.runtime.rest_api import RestAnswer
from explorer.state import ExplorerState
from explorer.widgets.answer import AnswerPanel
from explorer.widgets.panel import is_hidden

BROKEN = '{"instances": [{"X": 1}]}'
GOOD = RestAnswer(200, b'{\n    "predictions": [2.5]\n}', latency_s=0.0123)


class Warm:
    """Stands where the model's process stands."""

    gives: Callable[[str, str], RestAnswer]
    closed = 0

    def __init__(self, model: Any, tags: Any) -> None:
        self.model, self.is_warm = model, False

    def serves(self, model: Any, tags: Any) -> bool:
        return model is self.model

    def ask(self, verb: str, body: str) -> RestAnswer:
        self.is_warm = True
        return Warm.gives(verb, body)

    def close(self) -> None:
        Warm.closed += 1


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch) -> type[Warm]:
    """The stand-in, which answers well."""
    monkeypatch.setattr("explorer.runtime.draft.WarmModel", Warm)
    monkeypatch.setattr("explorer.state.answering._close", lambda one: one.close())
    monkeypatch.setattr(Warm, "gives", lambda verb, body: GOOD, raising=False)
    monkeypatch.setattr(Warm, "closed", 0)
    return Warm


@pytest.fixture
def panel(copy_model: Callable[[str], Path]) -> Iterator[AnswerPanel]:
    """The panel alone on a copy of ``half_plus_two``."""
    with nothing_left_behind() as opened:
        made = AnswerPanel(ExplorerState(copy_model("half_plus_two")))
        opened.append(made)
        yield made


def type_body(panel: AnswerPanel, text: str) -> None:
    """Types into the field of the body."""
    say(panel.body, kind="typed", text=text, turn=panel.body.turn)


def test_the_field_follows_the_example_until_somebody_types(panel: AnswerPanel) -> None:
    """New values are in it; what is typed stays; Back to the example takes it back."""
    assert panel.body.value == '{"instances": [{"x": 0.0}]}' and is_hidden(panel.back)
    panel.state.set_value("x", "[3]")
    assert panel.body.value == '{"instances": [{"x": 3.0}]}'
    type_body(panel, BROKEN)
    panel.state.set_value("x", "[4]")
    assert panel.body.value == BROKEN and not is_hidden(panel.back)
    panel.back.click()
    assert panel.body.value == '{"instances": [{"x": 4.0}]}' and is_hidden(panel.findings.summary)


def test_findings_stand_below_and_are_corrected_at_a_click(panel: AnswerPanel) -> None:
    """Where, what and the server's own sentence; the button takes the corrected body."""
    type_body(panel, BROKEN)
    assert "refuses it with 400" in panel.findings.summary.value
    (row,) = panel.findings.table.rows
    assert row["cells"][0] == "✖ error" and "instances[0].X" in row["cells"][1] and "'X'" in row["cells"][2]
    panel.findings.use.click()
    assert panel.body.value == '{"instances": [{"x": 1}]}'
    assert "Nothing is wrong" in panel.findings.summary.value and is_hidden(panel.findings.box)


def test_nothing_runs_before_the_click(panel: AnswerPanel) -> None:
    """There is a sentence about running; Ctrl+Enter alone is no consent; the click is."""
    assert "executes the model's graph" in panel.consent.value.replace("&#x27;", "'")
    say(panel.body, kind="submit", text=panel.body.value, turn=panel.body.turn)
    assert panel.state.answers == ()
    panel.run.click()
    assert len(panel.state.answers) == 1 and is_hidden(panel.consent)
    say(panel.body, kind="submit", text=panel.body.value, turn=panel.body.turn)
    assert len(panel.state.answers) == 2


def test_an_answer_is_shown_with_its_code(panel: AnswerPanel) -> None:
    """Status, milliseconds, size, the JSON as it came, and the line of Python and the command that do the same."""
    panel.run.click()
    assert "● 200" in panel.result.status.value and "12.3 ms" in panel.result.status.value
    assert panel.result.view.codes[0]["text"] == GOOD.text and panel.result.view.whole(0) == GOOD.body
    python, command = (code["text"] for code in panel.result.lines.codes)
    assert "consent=True" in python and '.predict(\'{"instances": [{"x": 0.0}]}\')' in python
    assert command.startswith("printf %s ") and command.endswith(" predict")
    html, text = panel.fallback()
    assert "Status 200" in text and "2.5" in html


def test_a_failure_is_no_answer_of_the_server(panel: AnswerPanel, warm: type[Warm], monkeypatch: Any) -> None:
    """What a crash left is said as that; an error of the server has its status."""
    own = RestAnswer(503, b'{"error": "savedmodel-explorer: the model crashed <b>"}', is_own=True)
    monkeypatch.setattr(warm, "gives", lambda verb, body: own)
    panel.run.click()
    assert "No answer: " in panel.result.status.value and "The model crashed &lt;b&gt;" in panel.result.status.value
    assert panel.history.table.rows[0]["cells"][4] == "none"
    monkeypatch.setattr(warm, "gives", lambda verb, body: RestAnswer(400, b'{"error": "no"}'))
    panel.run.click()
    assert "✖ 400" in panel.result.status.value


def test_history_brings_bodies_back(panel: AnswerPanel) -> None:
    """Choosing a row fills the field and shows the answer; good bodies can be kept and let go."""
    panel.run.click()
    type_body(panel, '{"instances": [9]}')
    panel.run.click()
    table = panel.history.table
    assert [row["cells"][0] for row in table.rows] and len(table.rows) == 2
    table.selected = table.rows[1]["id"]
    assert panel.body.value == '{"instances": [{"x": 0.0}]}'
    say(table, kind="action", action="keep", id=table.rows[0]["id"])
    assert panel.state.kept and "1 body is kept" in panel.history.consent.value
    assert panel.history.write.description == "Write version 125 with these records"
    assert table.rows[0]["actions"][0]["label"] == "Kept ✓"
    say(table, kind="action", action="drop", id=table.rows[0]["id"])
    assert panel.state.kept == () and is_hidden(panel.history.write)


def test_a_server_has_fields_of_its_own(panel: AnswerPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    """URL and name are there once a server is chosen; Ask both shows both answers and whether they are equal."""

    class Remote:
        def __init__(self, url: str, name: str) -> None:
            self.predict = lambda body: RestAnswer(200, b'{"predictions":[2.75]}')
            self.classify = self.regress = self.predict

    monkeypatch.setattr("explorer.runtime.remote.remote_rest", Remote)
    assert is_hidden(panel.place_of_server) and is_hidden(panel.both)
    panel.who.value = "server"
    assert not is_hidden(panel.place_of_server) and panel.name.placeholder == "half_plus_two"
    panel.run.click()
    assert "URL" in panel._message.value
    told = panel.consent.value
    say(panel.url, kind="typed", text="http://localhost:1", turn=panel.url.turn)
    # Leaving the field changes no sentence: the button below would move away under a mouse that is on it already.
    assert panel.state.server_url == "http://localhost:1" and panel.consent.value == told
    panel.run.click()
    assert "the server" in panel.result.status.value and is_hidden(panel.result.other)
    panel.both.click()
    assert "The answers differ." in panel.result.status.value and not is_hidden(panel.result.other)
    assert "2.75" in panel.result.other.codes[0]["text"] and "2.5" in panel.result.view.codes[0]["text"]
    assert [code["label"] for code in panel.result.lines.codes] == ["Python", "Command", "curl"]


def test_progress_and_cancel(sample_models: Path, warm: type[Warm]) -> None:
    """While it runs there are a line and a cancel button, and nothing else can be begun; cancel ends the process."""
    later = LaterExecutor()
    with nothing_left_behind() as opened:
        state = ExplorerState(sample_models / "half_plus_two", executor=later)
        panel = AnswerPanel(state)
        opened.append(panel)
        later.work()
        assert is_hidden(panel.stop)
        panel.run.click()
        assert "Loading the model" in panel.working.value and panel.run.disabled and not is_hidden(panel.stop)
        panel.stop.click()
        assert warm.closed == 1 and state.running == "" and not panel.run.disabled
        later.work()
        assert state.answers == () and is_hidden(panel.result.box)


def test_closing_the_panel_ends_the_process(sample_models: Path, warm: type[Warm]) -> None:
    """Nothing of the model is left running when nobody looks any more."""
    with nothing_left_behind() as opened:
        panel = AnswerPanel(ExplorerState(sample_models / "half_plus_two"))
        opened.append(panel)
        panel.run.click()
        assert warm.closed == 0
        panel.close()
        assert warm.closed == 1


def test_signatures_without_rest_say_so(sample_models: Path) -> None:
    """Where REST can't carry a request the reason stands at the field, and there is nothing to run."""
    with nothing_left_behind() as opened:
        panel = AnswerPanel(ExplorerState(sample_models / "shapes_and_types"))
        opened.append(panel)
        panel.state.choose_signature("sparse")
        assert panel.body.problem and panel.body.value == "" and panel.run.disabled
        type_body(panel, "{}")
        assert not panel.run.disabled and "{}" in seen(panel)
