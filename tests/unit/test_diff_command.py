"""``python -m explorer diff``: will clients of the one break on the other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import explorer
from explorer.cli import main
from explorer.diagnosing.compatibility import compatibility
from explorer.render.tables import Table
from explorer.render.verdicts import verdict_frame, verdict_html, verdict_table, verdict_text

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process and gives its exit status and what it printed."""

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main(["diff", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def base_path(sample_models: Path, tmp_path: Path) -> Path:
    """Three versions of a model: 9 and 10 mean the same, 11 renames an output; 12 is no model."""
    model = explorer.open_saved_model(sample_models / "linear")
    base = tmp_path / "linear"
    for number in (9, 10):
        shutil.copytree(str(model.path), base / str(number))
    (output_key,) = model.meta_graph().signature("prediction").outputs
    explorer.export(explorer.rename_output(model, "prediction", output_key, "answer"), base, version=11)
    (base / "12").mkdir()
    return base


def test_exit_status_tells_the_verdict(run: Run, sample_models: Path) -> None:
    """0 the same, 1 compatible, 3 breaking, and nothing on standard error."""
    half, single = sample_models / "half_plus_two", sample_models / "linear"
    assert run(single, single)[0::2] == (0, "")
    assert run(half, sample_models / "module")[0::2] == (3, "")


def test_compatible_is_1(run: Run, sample_models: Path, tmp_path: Path) -> None:
    """A further signature breaks nobody."""
    model = explorer.open_saved_model(sample_models / "linear")
    explorer.export(explorer.copy_signature(model, "prediction", "serving_default"), tmp_path / "new")
    status, out, err = run(sample_models / "linear", tmp_path / "new")
    assert (status, err) == (1, "")
    assert "compatible: Requests that worked still work" in out
    assert "signature 'serving_default' is new" in out


def test_text_shows_changes_and_the_verdict(run: Run, base_path: Path) -> None:
    """First what changed, then for whom it matters, with the reasons."""
    status, out, err = run(base_path / "10", base_path / "11")
    assert (status, err) == (3, "")
    changes, _, verdict = out.partition("\n\n")
    assert "key: " in changes and "→ answer" in changes
    assert verdict.startswith("breaking: ")
    for text in ("REST row", "REST column", "gRPC", "tf.saved_model", "renamed to 'answer'"):
        assert text in verdict


def test_json_is_the_verdict_alone(run: Run, base_path: Path) -> None:
    """The JSON is to_dict of what Python gives for the same two."""
    status, out, err = run(base_path / "10", base_path / "11", "--json")
    before, after = (explorer.open_saved_model(base_path, number) for number in (10, 11))
    assert (status, err) == (3, "")
    assert json.loads(out) == compatibility(before, after).to_dict()


def test_one_path_compares_its_two_newest_versions(run: Run, base_path: Path) -> None:
    """Numbers count as numbers, and a folder that holds no model doesn't count."""
    assert run(base_path)[0] == 3
    shutil.rmtree(base_path / "11")
    assert run(base_path)[0] == 0


def test_versions_are_chosen_by_number(run: Run, base_path: Path) -> None:
    """Of one base path both, or the first below the second; of two paths each its own."""
    assert run(base_path, "--from-version", 9, "--to-version", 10)[0] == 0
    assert run(base_path, "--from-version", 9)[0] == 3
    assert run(base_path, "--to-version", 10)[0] == 0
    assert run(base_path, base_path, "--from-version", 11)[0] == 0
    assert run(base_path, base_path, "--from-version", 9, "--to-version", 11)[0] == 3


def test_tags_choose_the_meta_graph(run: Run, sample_models: Path) -> None:
    """Asked for by its tags, a meta graph other than serve is compared."""
    several = sample_models / "several_meta_graphs"
    tags = [sorted(graph.tags) for graph in explorer.open_saved_model(several).meta_graphs]
    other = next(tag_list for tag_list in tags if tag_list != ["serve"])
    status, out, _ = run(several, several, "--tags", ",".join(other), "--json")
    assert status == 0
    expected = explorer.open_saved_model(several).meta_graph(other).callable_signatures
    assert list(json.loads(out)["signatures"]) == list(expected)


def test_errors_are_one_line(run: Run, sample_models: Path, base_path: Path, tmp_path: Path) -> None:
    """Exit status 2, and one sentence that says what there is."""
    (tmp_path / "empty").mkdir()
    linear = sample_models / "linear"
    for arguments, part in (
        ((tmp_path / "nothing",), "there is nothing at"),
        ((tmp_path / "empty",), "is an empty folder"),
        ((linear,), "no two versions to compare"),
        ((base_path / "10",), "give a second path"),
        ((base_path, "--to-version", 9), "available: 9, 10, 11"),
        ((base_path, "--to-version", 99), "has no version 99"),
        ((base_path, linear, "--from-version", 1), "available: 9, 10, 11"),
        ((linear, linear, "--tags", "nope"), "available: 'serve'"),
        ((linear, sample_models / "README.md"), "README.md"),
    ):
        status, out, err = run(*arguments)
        assert (status, out) == (2, ""), arguments
        assert err.count("\n") == 1 and err.startswith("explorer: "), err
        assert part in err, err


def test_verdict_is_shown_as_text_html_and_frame(sample_models: Path, base_path: Path) -> None:
    """One row a reason in each of them, protocols by the names that people use."""
    before, after = (explorer.open_saved_model(base_path, number) for number in (10, 11))
    verdict = compatibility(before, after)
    table = verdict_table(verdict)
    assert isinstance(table, Table)
    count = sum(max(1, len(judged.reasons)) for of in verdict.signatures.values() for judged in of.values())
    assert len(table.rows) == count >= 4
    frame = verdict_frame(verdict)
    assert list(frame.columns) == ["signature", "protocol", "verdict", "message"]
    assert len(frame) == count
    text, page = verdict_text(verdict), verdict_html(verdict)
    for row in table.rows:
        assert str(row[1]) in text and str(row[1]) in page
        assert row[3] is None or str(row[3]) in text


def test_hostile_names_stay_text() -> None:
    """A signature's key can neither make a tag nor act on a terminal."""
    signature = {"inputs": {"x": {"dtype": "DT_FLOAT", "tensor_name": "x:0"}}, "outputs": {}, "method_name": ""}
    models = [
        explorer.SavedModel.from_dict({"meta_graphs": [{"tags": ["serve"], "signatures": {key: signature}}]})
        for key in ("<script>\x1b[2J", "a")
    ]
    verdict = compatibility(models[0], models[1])
    assert "<script" not in verdict_html(verdict)
    assert "\x1b" not in verdict_text(verdict)
