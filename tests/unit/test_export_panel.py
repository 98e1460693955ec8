"""The options of an export: what each would do is told before it is chosen, and the code says what was chosen."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from panels import LaterExecutor, nothing_left_behind, say, seen

import explorer
from explorer.cli import main
from explorer.savedmodel.records import masked_crc32c
from explorer.savedmodel.variables import read_variables
from explorer.savedmodel.warmup import read_warmup
from explorer.savedmodel.wire import encode_field as field
from explorer.state import ExplorerState
from explorer.state import options as state_options
from explorer.state.previews import code_preview
from explorer.widgets.explorer import Explorer
from explorer.widgets.export import ExportPanel
from explorer.widgets.panel import is_hidden

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
RENAME = {"edit": "rename_input", "signature_key": "predict", "input_key": "examples", "new_key": "records"}

Show = Callable[..., ExportPanel]


@pytest.fixture
def show(copy_model: Callable[[str], Path]) -> Iterator[Show]:
    """Shows the panel alone on a copy of a sample model."""
    with nothing_left_behind() as opened:

        def make(name: str, **how: Any) -> ExportPanel:
            opened.append(ExportPanel(ExplorerState(copy_model(name), **how)))
            return opened[-1]  # type: ignore[return-value]

        yield make


def test_savings_are_looked_for_when_the_options_are_opened(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are read only then, and once; the checkbox says how much there is to save."""
    calls: list[object] = []
    find = state_options.find_duplicates
    monkeypatch.setattr(state_options, "find_duplicates", lambda folder: calls.append(folder) or find(folder))
    panel = show("keras3")
    assert calls == [] and is_hidden(panel.options)
    panel.more.click()
    assert len(calls) == 1 and not is_hidden(panel.options)
    assert panel.once.description.endswith("only once: 4 of 8 are second copies, 136 bytes less")
    assert not panel.once.disabled and not panel.once.value
    panel.more.click()
    panel.more.click()
    assert len(calls) == 1


def test_duplicates_are_removed_by_the_checkbox(show: Show) -> None:
    """The new version holds each variable's bytes once and all keys, and the result says what was saved."""
    panel = show("keras3")
    source = panel.state.model.path
    panel.more.click()
    panel.once.value = True
    panel.export.click()
    written = panel.state.published.path
    data = "variables/variables.data-00000-of-00001"
    assert (source / data).stat().st_size - (written / data).stat().st_size == 136
    assert [one.name for one in read_variables(written).entries] == [one.name for one in read_variables(source).entries]
    assert "4 of 8 tensors stood twice" in panel.result.value
    told = {row["cells"][0]: (row["cells"][2], (row["note"] or {}).get("text", "")) for row in panel.files.rows}
    assert told[data] == ("written", "Variables: 4 of 8 tensors stood twice; 136 bytes less.")
    assert told["saved_model.pb"][1] == ""


def test_nothing_to_save_is_said(show: Show) -> None:
    """Where no variable stands twice the checkbox says so and can't be ticked."""
    panel = show("half_plus_two")
    panel.more.click()
    assert panel.once.disabled and panel.once.description.endswith("no variable stands twice")


def test_variables_that_are_not_there_are_a_reason(show: Show, copy_model: Callable[[str], Path]) -> None:
    """Missing data files stop nothing but this option, which says why."""
    panel = show("keras3")
    (panel.state.model.path / "variables" / "variables.data-00000-of-00001").unlink()
    panel.more.click()
    assert panel.once.disabled and "looked for" in panel.once.description
    assert panel.state.error == ""


def test_looking_takes_its_time(show: Show, sample_models: Path) -> None:
    """While variables are compared the checkbox waits; what is found about a model that is gone is dropped."""
    executor = LaterExecutor()
    panel = show("keras3", executor=executor)
    executor.work()
    panel.more.click()
    assert panel.once.disabled and "looking for them …" in panel.once.description
    late = executor.pending
    executor.pending = []
    panel.state.open(sample_models / "linear")
    executor.work()
    executor.pending = late
    executor.work()
    assert panel.state.savings is None


def test_records_are_shown_with_what_they_name(show: Show) -> None:
    """Each warm-up record stands with number, kind, signature and inputs, and fits a model that wasn't edited."""
    panel = show("estimator_like")
    panel.more.click()
    assert [row["cells"] for row in panel.records.rows] == [
        [0, "classify", "classification", "", "● fits"],
        [1, "regress", "regression", "", "● fits"],
        [2, "predict", "predict", "examples", "● fits"],
    ]
    assert not is_hidden(panel.records) and not is_hidden(panel.warmup)


def test_records_follow_the_draft(show: Show) -> None:
    """After an edit the table says which records no longer fit and what rewriting would make of them."""
    panel = show("estimator_like")
    panel.more.click()
    panel.state.edit(RENAME)
    assert [row["cells"][4] for row in panel.records.rows] == ["● fits", "● fits", "✖ doesn't fit"]
    assert panel.records.rows[2]["note"]["text"] == "Rewriting gives it the new keys."
    panel.state.edit({"edit": "remove_signature", "signature_key": "regression"})
    assert [row["cells"][4] for row in panel.records.rows] == ["● fits", "✖ doesn't fit", "✖ doesn't fit"]
    note = panel.records.rows[1]["note"]["text"]
    assert "which was removed" in note and note.endswith("Rewriting leaves it out.")
    panel.state.reset()
    assert {row["cells"][4] for row in panel.records.rows} == {"● fits"}


def test_stale_records_are_told_before_the_export(show: Show) -> None:
    """An export that would be refused for its records says so, and no longer once they are to be rewritten."""
    panel = show("estimator_like")
    panel.state.edit(RENAME)
    assert "warm-up records name what the edits changed" in panel.refusal.value and not is_hidden(panel.refusal)
    panel.export.click()
    assert panel.state.published is None and "warm-up" in panel._message.value
    panel.more.click()
    panel.warmup.value = "rewrite"
    assert is_hidden(panel.refusal)
    panel.export.click()
    written = panel.state.published.path
    assert read_warmup(written)[2].input_keys == ("records",)
    assert "1 record rewritten to the new keys" in panel.result.value


def test_edits_that_break_the_model_are_refused_whatever_the_choice(show: Show) -> None:
    """Rewriting records takes away the refusal for records, and no other."""
    panel = show("estimator_like")
    panel.more.click()
    panel.warmup.value = "drop"
    panel.state.edit(RENAME)
    assert is_hidden(panel.refusal)
    panel.state.edit({"edit": "remove_output", "signature_key": "regression", "output_key": "outputs"})
    assert "break the model" in panel.refusal.value and not is_hidden(panel.refusal)


def test_without_records_there_is_no_choice_about_them(show: Show) -> None:
    """A model without warm-up records has neither the list nor the table once that is known."""
    panel = show("half_plus_two")
    panel.more.click()
    assert is_hidden(panel.warmup) and is_hidden(panel.records) and is_hidden(panel.records_note)


def test_damaged_records_are_a_sentence(show: Show) -> None:
    """A file that can't be read is told where the choice about it is."""
    panel = show("estimator_like")
    (panel.state.model.path / WARMUP).write_bytes(b"these are no records")
    panel.more.click()
    assert "no intact TFRecord file" in panel.records_note.value and not is_hidden(panel.records_note)
    assert not is_hidden(panel.warmup) and is_hidden(panel.records)


def test_code_holds_the_options(show: Show, tmp_path: Path) -> None:
    """Each choice stands in the script and in the command, and the command writes what the button writes."""
    panel = show("estimator_like")
    state = panel.state
    assert "export" not in code_preview(state).python
    panel.more.click()
    panel.link.value = True
    panel.follow.value = True
    panel.warmup.value = "rewrite"
    say(panel.version, kind="typed", text="7")
    state.choose_options(remove_duplicates=True)
    state.edit(RENAME)
    state.choose_export_base(str(tmp_path / "clicks"))
    code = code_preview(state)
    assert code.python.endswith(
        ', version=7, link=True, warmup="rewrite", follow_outside_links=True, remove_duplicates=True))'
    )
    assert code.command.endswith("--version 7 --link --warmup rewrite --follow-links --remove-duplicates")
    panel.export.click()
    assert state.published is not None and state.published.version == 7, state.error
    (tmp_path / "recipe.json").write_text(code.recipe, encoding="utf-8")
    arguments = shlex.split(code.command.replace(str(tmp_path / "clicks"), str(tmp_path / "command")))[3:]
    arguments[arguments.index("--recipe") + 1] = str(tmp_path / "recipe.json")
    assert main(arguments) == 0
    for name in ("saved_model.pb", str(WARMUP), "variables/variables.index"):
        assert (tmp_path / "command" / "7" / name).read_bytes() == (tmp_path / "clicks" / "7" / name).read_bytes()


def test_export_without_edits_is_code_too(show: Show) -> None:
    """Whoever only wants the duplicates gone sees an export in the code, without any edit."""
    panel = show("keras3")
    panel.more.click()
    panel.once.value = True
    code = code_preview(panel.state)
    assert "remove_duplicates=True" in code.python and code.command.endswith("--remove-duplicates")


def test_number_is_used_once(show: Show) -> None:
    """A version that was written is not offered again; a number that is none is told and not exported."""
    panel = show("linear")
    panel.more.click()
    say(panel.version, kind="typed", text="7")
    assert panel.export.description == "Export as 7" and panel.state.options.version == 7
    panel.export.click()
    assert panel.state.published.version == 7
    assert panel.version.value == "" and panel.export.description == "Export as 8"
    for wrong in ("many", "-3", "9" * 5000, "1.5"):
        say(panel.version, kind="typed", text=wrong)
        assert panel.version.problem and panel.version.value == wrong
        panel.export.click()
        assert panel.state.published.version == 7
    say(panel.version, kind="typed", text="")
    assert panel.version.problem == ""


def test_another_model_begins_without_choices(show: Show, sample_models: Path) -> None:
    """Options belong to the model that is open."""
    panel = show("estimator_like")
    panel.more.click()
    panel.link.value = True
    panel.warmup.value = "drop"
    panel.state.open(sample_models / "half_plus_two")
    assert not panel.link.value and panel.warmup.value == "refuse" and panel.records.rows == []
    assert panel.state.options.chosen() == {}


def test_unknown_option_is_a_sentence(show: Show) -> None:
    """From Python an option that there isn't is refused by its name."""
    panel = show("linear")
    assert panel.state.choose_options(compress=True) is False and "compress" in panel.state.error
    assert ExplorerState().look_into_options() is False


def test_hostile_records_are_text(show: Show) -> None:
    """Names that a warm-up record brings are printable where they are shown."""
    panel = show("estimator_like")
    path = panel.state.model.path / WARMUP
    message = field(6, field(1, field(1, field(3, "a\u202eb<script>")) + field(2, field(1, "\u200b"))))
    length = len(message).to_bytes(8, "little")
    sums = (masked_crc32c(part).to_bytes(4, "little") for part in (length, message))
    path.write_bytes(length + next(sums) + message + next(sums))
    panel.more.click()
    (row,) = panel.records.rows
    assert row["cells"][2:4] == ["a\\u202eb<script>", "\\u200b"]
    assert row["cells"][4] == "✖ doesn't fit" and "\u202e" not in row["note"]["text"]


def test_an_explorer_stays_small(sample_models: Path) -> None:
    """The verdict, the proof and the options stand in the Explorer, in its order, without flooding the first paint."""
    with nothing_left_behind() as opened:
        shown = Explorer(sample_models / "half_plus_two")
        opened.append(shown)
        assert not is_hidden(shown.clients) and is_hidden(shown.proof)
        text = seen(shown)
        assert text.index("Will clients break?") < text.index("Base path")
        assert explorer.compatibility(shown.state.source, shown.state.model).verdict == "same"
