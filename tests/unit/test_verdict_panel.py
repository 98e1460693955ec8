"""The panel that says whether clients break: after every edit, against the source or another version."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from panels import LaterExecutor, nothing_left_behind, seen

import explorer
from explorer.render.verdicts import PROTOCOL_NAMES
from explorer.savedmodel.model import SavedModel
from explorer.state import ExplorerState
from explorer.widgets.panel import is_hidden
from explorer.widgets.verdict import ClientsPanel

RENAME = {"edit": "rename_output", "signature_key": "serving_default", "output_key": "y", "new_key": "scores"}
CALM = "No edits yet: clients see no difference."

Show = Callable[..., ClientsPanel]


@pytest.fixture
def show(sample_models: Path) -> Iterator[Show]:
    """Shows the panel alone, on a sample model or a path."""
    with nothing_left_behind() as opened:

        def make(path: str | Path | SavedModel, **how: object) -> ClientsPanel:
            what = sample_models / path if isinstance(path, str) else path
            opened.append(ClientsPanel(ExplorerState(what, **how)))  # type: ignore[arg-type]
            return opened[-1]  # type: ignore[return-value]

        yield make


def judged(panel: ClientsPanel) -> dict[tuple[str, str], tuple[str, str]]:
    """What the table says: signature and protocol → the verdict's word and the reasons."""
    found = {}
    for row in panel.table.rows:
        key, called_by, verdict = row["cells"]
        names = called_by.replace("all", ", ".join(PROTOCOL_NAMES.values())).split(", ")
        names = [*PROTOCOL_NAMES.values()][:2] + names[1:] if names[0] == "REST" else names
        for name in names:
            found[key, name] = (verdict.split()[-1], row["note"]["text"] if row["note"] else "")
    return found


def test_without_edits_it_is_one_calm_line(show: Show) -> None:
    """With nothing to compare there is a sentence, and neither a table nor code."""
    panel = show("half_plus_two")
    assert CALM in panel.summary.value
    assert is_hidden(panel.table) and is_hidden(panel.code)
    assert panel.fallback()[1] == CALM and CALM in panel.fallback()[0]


def test_each_signature_and_protocol_is_judged_after_every_edit(show: Show) -> None:
    """The table says what ``explorer.compatibility`` says of source and draft: breaking ones first, with reasons."""
    panel = show("half_plus_two")
    for entry in (RENAME, {"edit": "remove_signature", "signature_key": "regress_x"}):
        panel.state.edit(entry)
        expected = explorer.compatibility(panel.state.source, panel.state.model)
        shown = judged(panel)
        assert shown.keys() == {
            (key, PROTOCOL_NAMES[one]) for key, protocols in expected.signatures.items() for one in protocols
        }
        for key, protocols in expected.signatures.items():
            for protocol, found in protocols.items():
                word, reasons = shown[key, PROTOCOL_NAMES[protocol]]
                assert word == found.verdict
                assert all(reason[1:] in reasons for reason in found.reasons)
        words = [row["cells"][2].split()[-1] for row in panel.table.rows]
        assert words == sorted(words, key=("breaking", "compatible", "same").index) and words[0] == "breaking"
        assert "✖ Breaking." in panel.summary.value
    assert (
        judged(panel)["serving_default", "gRPC"][1]
        == "Output key 'y' renamed to 'scores': clients that read it don't find it."
    )


def test_compatible_and_same_have_words_too(show: Show) -> None:
    """A further output is compatible, a rename there and back is the same; the words say so, not only a colour."""
    panel = show("half_plus_two")
    panel.state.edit({"edit": "copy_signature", "signature_key": "regress_x", "new_key": "second"})
    assert "● Compatible." in panel.summary.value
    panel.state.reset()
    panel.state.edit(RENAME)
    panel.state.edit({**RENAME, "output_key": "scores", "new_key": "y"})
    assert "○ The same." in panel.summary.value
    assert {word for word, _ in judged(panel).values()} == {"same"}


def test_undo_makes_it_calm_again(show: Show) -> None:
    """When the last edit is taken back nothing of the verdict is left."""
    panel = show("half_plus_two")
    before = seen(panel)
    panel.state.edit(RENAME)
    assert seen(panel) != before
    panel.state.undo()
    assert seen(panel) == before


def test_verdict_on_a_draft_that_is_gone_is_dropped(show: Show) -> None:
    """Comparisons come late and in any order; what is shown in the end is about the draft that is there."""
    executor = LaterExecutor()
    panel = show("half_plus_two", executor=executor)
    executor.work()
    panel.state.edit(RENAME)
    assert "Comparing …" in panel.summary.value
    older = executor.pending[:]
    panel.state.edit({"edit": "remove_signature", "signature_key": "regress_x"})
    executor.pending, newer = older, executor.pending[len(older) :]
    executor.pending, older = newer, executor.pending
    executor.work()
    expected = judged(panel)
    assert expected["regress_x", "gRPC"][0] == "breaking"
    executor.pending = older
    executor.work()
    assert judged(panel) == expected and "Comparing" not in panel.summary.value


def test_another_version_can_be_what_clients_know(show: Show, copy_model: Callable[[str], Path]) -> None:
    """The other versions stand in the list; the draft is judged against the chosen one, and edits are judged so too."""
    base = copy_model("half_plus_two")
    edited = explorer.rename_signature(explorer.open_saved_model(base), "regress_x", "regression")
    explorer.export(edited, base)
    panel = show(base)
    assert panel.state.version == 125
    assert [text for text, _ in panel.known.options] == ["the source, version 125", "version 124", "version 123"]
    assert panel.known.index == 0 and CALM in panel.summary.value
    panel.known.index = 1
    assert panel.state.compared_with == 124
    assert (
        judged(panel)["regress_x", "gRPC"][0] == "breaking" and judged(panel)["regression", "gRPC"][0] == "compatible"
    )
    assert "What is open against version 124." in panel.summary.value
    panel.state.edit({"edit": "rename_signature", "signature_key": "regression", "new_key": "regress_x"})
    assert {word for word, _ in judged(panel).values()} == {"same"}
    assert "The draft against version 124." in panel.summary.value
    panel.known.index = 0
    assert judged(panel)["regression", "gRPC"][0] == "breaking"
    panel.known.index = 1
    panel.state.choose_version(124)
    assert panel.state.compared_with is None and panel.known.index == 0


def test_only_one_version_is_no_choice(show: Show) -> None:
    """Where there is no other version there is no list."""
    assert is_hidden(show("linear").known)


def test_version_that_cannot_be_read_is_a_sentence(show: Show, copy_model: Callable[[str], Path]) -> None:
    """A damaged other version is told in the panel; it stops no edit, and the source can be chosen again."""
    base = copy_model("half_plus_two")
    panel = show(base)
    damaged = base / "00000123" / "saved_model.pb"
    damaged.write_bytes(b"\xff" * 10)
    panel.known.index = 1
    assert "▲" in panel.summary.value and "00000123" in panel.summary.value
    assert is_hidden(panel.table) and is_hidden(panel.code)
    assert panel.state.edit(RENAME) and panel.state.error == ""
    assert "▲" in panel.summary.value
    panel.known.index = 0
    assert "Breaking" in panel.summary.value


def test_unknown_version_is_a_sentence(show: Show) -> None:
    """From Python a version that isn't there is refused with those that are."""
    panel = show("half_plus_two")
    assert panel.state.compare_with(7) is False
    assert "123" in panel.state.error and panel.state.compared_with is None


def test_of_several_meta_graphs_the_chosen_one_is_judged(show: Show) -> None:
    """Clients ask by tags: an edit of one meta graph breaks its clients and no others, and the panel names it."""
    panel = show("several_meta_graphs")
    state = panel.state
    index = next(i for i, graph in enumerate(state.model.meta_graphs) if graph.tags == {"gpu", "serve"})
    state.choose_meta_graph(index)
    key = state.signature_key
    state.edit({"edit": "rename_signature", "signature_key": key, "new_key": "other"})
    assert "Breaking" in panel.summary.value and "gpu,serve" in panel.summary.value
    state.choose_meta_graph(next(i for i, graph in enumerate(state.model.meta_graphs) if graph.tags == {"serve"}))
    assert "○ The same." in panel.summary.value
    state.choose_meta_graph(index)
    state.edit({"edit": "set_tags", "new_tags": ["mobile"]})
    assert "gpu,serve" in panel.summary.value and {word for word, _ in judged(panel).values()} == {"breaking"}
    assert 'tags={"gpu", "serve"}' in panel.code.codes[0]["text"]


def test_code_does_what_the_panel_shows(show: Show, copy_model: Callable[[str], Path], tmp_path: Path) -> None:
    """The line of Python, after the session's script, prints the verdict; between two versions the command does."""
    from explorer.state.previews import code_preview

    base = copy_model("half_plus_two")
    panel = show(base)
    panel.state.edit(RENAME)
    panel.state.choose_export_base(str(tmp_path / "out"))
    assert [code["label"] for code in panel.code.codes] == ["Python"], "a draft lies in no folder"
    script = f"{code_preview(panel.state).python}\n{panel.code.codes[0]['text']}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "breaking: Some requests that worked fail" in done.stdout
    panel.state.reset()
    panel.state.compare_with(123)
    program, *arguments = shlex.split(panel.code.codes[1]["text"])
    assert program == "python"
    compared = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60)
    assert compared.returncode == 0 and "same: " in compared.stdout


def test_model_that_came_with_edits_is_compared_with_its_file(show: Show, sample_models: Path) -> None:
    """An edited model that is shown is a draft: its clients know the file."""
    model = explorer.open_saved_model(sample_models / "half_plus_two")
    panel = show(explorer.rename_output(model, "serving_default", "y", "scores"))
    assert judged(panel)["serving_default", "gRPC"][0] == "breaking"


def test_many_signatures_keep_their_reasons(show: Show) -> None:
    """A long table ends with the worst rows and a sentence that counts the others, so that no reason is lost."""
    panel = show("half_plus_two")
    for number in range(160):
        panel.state.edit({"edit": "copy_signature", "signature_key": "regress_x", "new_key": f"copy{number}"})
    panel.state.edit({"edit": "remove_signature", "signature_key": "classify_x"})
    assert len(panel.table.rows) == 150 and panel.table.rows[0]["cells"][0] == "classify_x"
    # 160 copies, two signatures as before, and two rows of the removed one, which REST columns could never call.
    assert "14 more rows" in panel.summary.value


def test_hostile_names_are_text(show: Show) -> None:
    """Names of signatures become no tag in what the panel sends, live or static."""
    panel = show("broken/hostile_names")
    keys = list(panel.state.meta_graph.signatures)
    panel.state.edit({"edit": "remove_signature", "signature_key": keys[0]})
    assert panel.table.rows
    for sent in (panel.summary.value, panel.fallback()[0]):
        assert "<script" not in sent.lower() and "<img" not in sent.lower()


def test_fallback_is_the_verdict(show: Show) -> None:
    """Where widgets can't be, the same verdict stands as HTML and text."""
    panel = show("half_plus_two")
    panel.state.edit(RENAME)
    bundle = panel._repr_mimebundle_()
    assert "renamed to" in bundle["text/html"] and bundle["text/plain"].startswith("breaking: ")


def test_panel_without_a_model_is_hidden() -> None:
    """With nothing open there is nothing to see and nothing to break."""
    with nothing_left_behind() as opened:
        panel = ClientsPanel(ExplorerState())
        opened.append(panel)
        assert is_hidden(panel)
        assert panel.state.compare_with(1) is False and panel.state.error
