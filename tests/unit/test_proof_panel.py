"""The panel that proves an export on request; what runs the models is a stand-in here, which runs nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from panels import nothing_left_behind, seen

from explorer.diagnosing.proof import Loading, OutputProof, Proof, SignatureProof
from explorer.errors import RunCancelledError, RunError
from explorer.state import ExplorerState
from explorer.widgets.explorer import Explorer
from explorer.widgets.panel import is_hidden
from explorer.widgets.proof import ProofPanel

RENAME = {"edit": "rename_output", "signature_key": "serving_default", "output_key": "y", "new_key": "scores"}
LOADERS = ("C++ loader (TensorFlow Serving)", "tf.compat.v1", "tf.saved_model.load")
BUTTON = "Prove that old and new answer alike"

Copy = Callable[[str], Path]


def make_proof(*, last: float = 0.0, refused: str = "") -> Proof:
    """A proof over three loaders; the last one gives another number, or refuses the new model."""
    loadings = tuple(Loading(name, "", refused if name == LOADERS[-1] else "") for name in LOADERS)
    signatures = []
    for name in LOADERS[:2] if refused else LOADERS:
        difference = last if name == LOADERS[-1] else 0.0
        output = OutputProof("y", "scores", difference, difference == 0.0, "", difference)
        signatures.append(SignatureProof("serving_default", "serving_default", name, "compared", (output,)))
    signatures.append(SignatureProof("classify_x", "classify_x", "", "left out", (), "there are no examples"))
    return Proof("/old", "/new", loadings, tuple(signatures), network="off")


class FakeProve:
    """Stands where ``prove`` stands, notes how it was called, and gives what the test wants."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, dict[str, Any]]] = []
        self.gives: Callable[[dict[str, Any]], Proof] = lambda _: make_proof()

    def __call__(self, before: Any, after: Any, **named: Any) -> Proof:
        self.calls.append((before, after, named))
        return self.gives(named)


@pytest.fixture
def prove(monkeypatch: pytest.MonkeyPatch) -> FakeProve:
    """The stand-in."""
    fake = FakeProve()
    monkeypatch.setattr("explorer.runtime.proof.prove", fake)
    return fake


@pytest.fixture
def exported(copy_model: Copy, prove: FakeProve) -> Iterator[ProofPanel]:
    """The panel alone, after the export of a draft with a renamed output."""
    with nothing_left_behind() as opened:
        state = ExplorerState(copy_model("half_plus_two"))
        panel = ProofPanel(state)
        opened.append(panel)
        assert is_hidden(panel), "there is nothing to prove before an export"
        state.edit(RENAME)
        assert state.export(), state.error
        yield panel


def test_nothing_runs_before_the_click(exported: ProofPanel, prove: FakeProve) -> None:
    """After an export there is a button, and a sentence that it runs the code of both models in a child process."""
    assert prove.calls == []
    assert not is_hidden(exported) and not is_hidden(exported.prove)
    assert exported.prove.description == BUTTON
    assert "runs the code in both models" in exported.consent.value and "child process" in exported.consent.value
    assert all(map(is_hidden, (exported.progress, exported.result, exported.loaders, exported.outputs)))


def test_the_click_is_the_consent(exported: ProofPanel, prove: FakeProve) -> None:
    """The draft as it was exported and its path are proved, also when the draft has moved on since."""
    state = exported.state
    published = state.published
    state.reset()
    exported.prove.click()
    ((before, after, named),) = prove.calls
    assert named["consent"] is True
    assert list(before.edits) == [RENAME] and after == published.path
    assert state.busy == ""


def test_result_is_who_loads_it_and_the_largest_differences(exported: ProofPanel) -> None:
    """Three loaders, each output once with 0, what was left out with its reason, and the sentence above."""
    exported.prove.click()
    assert "● The proof holds." in exported.result.value
    assert "3 answers compared, all the same to the last bit" in exported.result.value
    assert [row["cells"] for row in exported.loaders.rows] == [[name, "loads it", "loads it"] for name in LOADERS]
    assert exported.outputs.rows[0]["cells"] == ["serving_default", "y → scores", "0", "all 3"]
    assert exported.outputs.rows[1]["note"]["text"] == "There are no examples."
    assert is_hidden(exported.prove) and is_hidden(exported.consent)
    html, text = exported.fallback()
    assert "y → scores" in html and text.startswith("The new model loads wherever")


def test_what_does_not_hold_is_said(exported: ProofPanel, prove: FakeProve) -> None:
    """A loader that refuses, or another answer in one loader, stands in its row, and the sentence is an error."""
    prove.gives = lambda _: make_proof(refused="op type not registered 'X'")
    exported.prove.click()
    assert "✖ The proof doesn" in exported.result.value and "smx-error" in exported.result.value
    assert exported.loaders.rows[2]["cells"] == [LOADERS[2], "loads it", "refuses it"]
    assert exported.loaders.rows[2]["note"] == {"level": "error", "text": "Op type not registered 'X'"}
    assert exported.outputs.rows[0]["cells"][3] == "all 2"
    exported.state.export()
    prove.gives = lambda _: make_proof(last=0.5)
    exported.prove.click()
    assert [row["cells"][2:] for row in exported.outputs.rows[:2]] == [
        ["0", f"{LOADERS[0]}, {LOADERS[1]}"],
        ["0.5", LOADERS[2]],
    ]
    assert "some of its answers differ" in exported.result.value


def test_failure_is_one_sentence_and_the_button_stays(exported: ProofPanel, prove: FakeProve) -> None:
    """Without TensorFlow, say, the reason stands in the panel, and one can try again."""

    def fail(_: object) -> Proof:
        raise RunError("running a model takes TensorFlow, which isn't installed here")

    prove.gives = fail
    exported.prove.click()
    assert "Running a model takes TensorFlow" in exported._message.value and not is_hidden(exported._message)
    assert not is_hidden(exported.prove) and not exported.prove.disabled and is_hidden(exported.progress)
    prove.gives = lambda _: make_proof()
    exported.prove.click()
    assert is_hidden(exported._message) and "holds" in exported.result.value


def test_proof_stays_with_its_export(exported: ProofPanel, copy_model: Copy) -> None:
    """Edits and undo leave the proof where it is; a new export clears it, and another model takes it away."""
    state = exported.state
    exported.prove.click()
    shown = seen(exported)
    state.undo()
    state.edit(RENAME)
    assert seen(exported) == shown
    state.export()
    assert state.proven is None and not is_hidden(exported.prove) and is_hidden(exported.result)
    exported.prove.click()
    state.open(copy_model("linear"))
    assert is_hidden(exported) and state.proven is None and state.exported is None


def test_code_says_the_same(exported: ProofPanel) -> None:
    """The line of Python and the command name the folders and the consent."""
    python, command = (code["text"] for code in exported.code.codes)
    state = exported.state
    assert python == f'print(explorer.prove(model, "{state.published.path}", consent=True))'
    assert command == f"python -m explorer prove {state.model.path} {state.published.path} --allow-running"


def test_without_consent_nothing_runs(copy_model: Copy) -> None:
    """Asked from Python without consent, or before an export, the real thing refuses with a sentence."""
    state = ExplorerState(copy_model("half_plus_two"))
    assert state.prove(consent=True) is False and "export a version first" in state.error
    state.export()
    assert state.prove(consent=False) is False and "consent=True" in state.error
    assert state.busy == "" and state.proven is None


class _Slow:
    """A proof that tells of its progress and waits until it is let go or cancelled."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, named: dict[str, Any]) -> Proof:
        named["progress"](2, 8)
        for _ in range(3000):
            if named["cancel"].wait(0.01):
                raise RunCancelledError("the run was cancelled; its child process is gone")
            if self.go.is_set():
                return make_proof()
        raise AssertionError("nobody let it go")


class _Handed:
    """Hands results over in the test's own thread."""

    def __init__(self) -> None:
        self.calls: Queue[Callable[[], None]] = Queue()

    def __call__(self, call: Callable[[], None]) -> None:
        self.calls.put(call)

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Takes over what is handed over until a condition holds."""
        while not done():
            self.calls.get(timeout=30)()


@pytest.fixture
def running(copy_model: Copy, prove: FakeProve) -> Iterator[tuple[Explorer, _Slow, _Handed]]:
    """An Explorer whose proof is under way in a thread."""
    handed, slow = _Handed(), _Slow()
    with ThreadPoolExecutor(2) as threads, nothing_left_behind() as opened:
        state = ExplorerState(copy_model("half_plus_two"), executor=threads, deliver=handed)
        explorer = Explorer(state=state)
        opened.append(explorer)
        prove.gives = slow
        state.export()
        handed.wait_for(lambda: state.published is not None and not state.checking)
        explorer.proof.prove.click()
        yield explorer, slow, handed
        slow.go.set()


def test_progress_is_shown_and_nothing_else_starts(running: tuple[Explorer, _Slow, _Handed]) -> None:
    """While it runs there are a bar, a count and a cancel button, and no second export or proof can be begun."""
    explorer, slow, handed = running
    panel, state = explorer.proof, explorer.state
    assert state.busy == "proving" and not is_hidden(panel.progress) and is_hidden(panel.prove)
    assert "Starting TensorFlow" in panel.done.value
    handed.wait_for(lambda: state.progress == (2, 8))
    assert panel.bar.value == 0.25 and "2 of 8 runs" in panel.done.value
    assert explorer.export.export.disabled and is_hidden(explorer.export.progress)
    assert state.export() is False and "under way" in state.error
    assert state.prove(consent=True) is False and "under way" in state.error
    slow.go.set()
    handed.wait_for(lambda: not state.busy)
    assert "holds" in panel.result.value and not explorer.export.export.disabled


def test_cancel_stops_it(running: tuple[Explorer, _Slow, _Handed]) -> None:
    """The cancel button ends it; that is no error, and it can be begun again."""
    explorer, _slow, handed = running
    explorer.proof.cancel.click()
    handed.wait_for(lambda: not explorer.state.busy)
    assert explorer.state.error == "" and "stopped" in explorer.state.notice
    assert explorer.state.proven is None and not is_hidden(explorer.proof.prove)


def test_opening_another_model_stops_it(running: tuple[Explorer, _Slow, _Handed], sample_models: Path) -> None:
    """A proof about a model that is gone is stopped and shows nothing on the next one."""
    explorer, _slow, handed = running
    explorer.state.open(sample_models / "linear")
    handed.wait_for(lambda: not explorer.state.busy)
    assert is_hidden(explorer.proof) and explorer.state.proven is None
    assert explorer.state.error == "" and "proof" not in explorer.state.notice


def test_panel_takes_no_widgets_before_it_is_needed(sample_models: Path) -> None:
    """Tables and buttons are made with the first export, and the static form says that nothing was proved."""
    with nothing_left_behind() as opened:
        panel = ProofPanel(ExplorerState(sample_models / "linear"))
        opened.append(panel)
        assert len(panel.children) == 3  # style sheet, heading, message
        assert "Nothing has been proved" in panel._repr_mimebundle_()["text/plain"]
        opened.append(ProofPanel(ExplorerState()))
