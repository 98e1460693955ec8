"""Export: what is written, what is left out, and what is refused before anything is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import explorer
from explorer.errors import ExportError, SourceError
from explorer.exporting.export import export_version

Copy = Callable[[str], Path]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_but_the_model_file_is_taken_over(copy_model: Copy, tmp_path: Path) -> None:
    """Variables, assets and files that nobody knows come out byte for byte; the source is as it was."""
    source = copy_model("half_plus_two/00000124")
    (source / "assets.extra").mkdir()
    (source / "assets.extra" / "notes.txt").write_text("kept")
    (source / "keras_metadata.pb").write_bytes(b"kept too")
    before = files(source)
    model = explorer.rename_output(explorer.open_saved_model(source), "serving_default", "y", "result")
    written = explorer.export(model, tmp_path / "base")
    assert files(source) == before
    after = files(written)
    assert {name for name in before if before[name] != after.get(name)} == {"saved_model.pb"}
    assert set(after) == set(before)
    assert explorer.open_saved_model(written).meta_graphs == model.meta_graphs


def test_an_unedited_model_is_copied_whole(copy_model: Copy, tmp_path: Path) -> None:
    """Without an edit every file is the same, the fingerprint too, because nothing made it stale."""
    source = copy_model("keras3/1")
    written = explorer.export(explorer.open_saved_model(source), tmp_path / "base")
    assert files(written) == files(source)
    assert "fingerprint.pb" in files(written)


def test_the_next_version_beside_the_others(copy_model: Copy) -> None:
    """Exporting to the model's own base path gives one more than the largest number; older versions stay."""
    base = copy_model("half_plus_two")
    before = files(base)
    published = export_version(explorer.open_saved_model(base), base)
    assert (published.version, published.path) == (125, base / "125")
    assert {name: data for name, data in files(base).items() if not name.startswith("125/")} == before
    assert explorer.open_saved_model(base).version == 125


def test_a_version_below_the_largest_is_pointed_out(copy_model: Copy) -> None:
    """TensorFlow Serving picks the largest number, so it would never see this one."""
    base = copy_model("half_plus_two")
    published = export_version(explorer.open_saved_model(base), base, version=7)
    assert any("124" in note for note in published.notes)
    with pytest.raises(ExportError, match="already has version 7"):
        export_version(explorer.open_saved_model(base), base, version=7)


@pytest.mark.parametrize(
    ("name", "edit", "about"),
    [
        ("linear", lambda m: explorer.remove_output(m, "prediction", "output"), "prediction"),
        ("linear", lambda m: explorer.set_output_tensor(m, "prediction", "output", "Placeholder_1:0"), "Placeholder_1"),
        ("linear", lambda m: explorer.rename_input(m, "prediction", "input", "class"), "class"),
        ("linear", lambda m: explorer.rename_input(m, "prediction", "input", "self"), "self"),
        ("several_meta_graphs", lambda m: explorer.set_tags(m, ["serve"], tags=["train"]), "tags serve"),
    ],
)
def test_edits_that_break_the_model_are_refused_before_anything_is_written(
    sample_models: Path, tmp_path: Path, name: str, edit: Callable[..., explorer.SavedModel], about: str
) -> None:
    """The sentence names what breaks, and not even the base path is made."""
    model = edit(explorer.open_saved_model(sample_models / name))
    with pytest.raises(ExportError, match="nothing was written") as caught:
        explorer.export(model, tmp_path / "base")
    assert about in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize("name", ["as_printed", "broken/missing_tensor", "broken/duplicate_tag_sets"])
def test_faults_that_the_source_has_already_do_not_stop_an_export(
    sample_models: Path, tmp_path: Path, name: str
) -> None:
    """Real models break rules; renaming something else in them must still be possible."""
    model = explorer.open_saved_model(sample_models / name)
    assert any(finding.severity == "error" for finding in explorer.check(model))
    key = next(iter(model.meta_graphs[0].callable_signatures))
    explorer.export(explorer.rename_signature(model, key, "renamed"), tmp_path / "base")
    assert (tmp_path / "base" / "1" / "saved_model.pb").exists()


def test_the_articles_slip_is_mended_by_the_offered_edit(sample_models: Path, tmp_path: Path) -> None:
    """The check of as_printed offers the tensor that was meant; with it the model is sound."""
    from explorer.editing.recipe import apply_edit

    model = explorer.open_saved_model(sample_models / "as_printed")
    (fault,) = [finding for finding in explorer.check(model) if finding.severity == "error"]
    assert "no request can be answered" in fault.message
    assert fault.edit is not None and fault.edit["tensor_name"] == "add:0"
    mended = apply_edit(model, fault.edit)
    assert not [finding for finding in explorer.check(mended) if finding.severity == "error"]
    linear = explorer.open_saved_model(sample_models / "linear")
    assert mended.meta_graph().signatures == linear.meta_graph().signatures


WARMUP = "assets.extra/tf_serving_warmup_requests"


def test_warm_up_records_that_an_edit_contradicts_are_refused_rewritten_or_dropped(
    copy_model: Copy, sample_models: Path, tmp_path: Path
) -> None:
    """TensorFlow Serving would refuse the version, so somebody has to say what becomes of the records."""
    source = copy_model("linear/1")
    (source / "assets.extra").mkdir()
    record = (sample_models / "broken" / "warmup_names_gone_signature" / WARMUP).read_bytes()
    (source / WARMUP).write_bytes(record)
    model = explorer.open_saved_model(source)
    model = explorer.rename_signature(model, "prediction", "old_name")
    model = explorer.rename_input(model, "old_name", "input", "x")
    assert not [finding for finding in explorer.check(model) if finding.code == "stale_warmup"], (
        "the record names old_name, so this model is the one that it fits"
    )
    fitting = explorer.open_saved_model(explorer.export(model, tmp_path / "fits"))
    assert fitting.path is not None and (fitting.path / WARMUP).read_bytes() == record
    renamed = explorer.rename_signature(fitting, "old_name", "new_name")
    with pytest.raises(ExportError, match="old_name.* choose 'drop'"):
        explorer.export(renamed, tmp_path / "base")
    rewritten = explorer.export(renamed, tmp_path / "rewritten", warmup="rewrite")
    assert b"new_name" in (rewritten / WARMUP).read_bytes() and b"old_name" not in (rewritten / WARMUP).read_bytes()
    assert not [
        finding for finding in explorer.check(explorer.open_saved_model(rewritten)) if finding.code == "stale_warmup"
    ]
    published = export_version(renamed, tmp_path / "base", warmup="drop")
    assert not (published.path / WARMUP).exists()
    assert [file.name for file in published.files if file.how == "left out"] == [WARMUP]


def test_a_source_that_changed_meanwhile_is_not_exported(copy_model: Copy, tmp_path: Path) -> None:
    """What was shown is no longer what lies on disk: one sentence, and nothing is written."""
    source = copy_model("linear/1")
    model = explorer.open_saved_model(source)
    data = bytearray((source / "saved_model.pb").read_bytes())
    with (source / "saved_model.pb").open("r+b") as file:
        file.write(data)
    os.utime(source / "saved_model.pb", ns=(0, 0))
    with pytest.raises((ExportError, SourceError), match="changed by someone else"):
        explorer.export(model, tmp_path / "base")
    assert not (tmp_path / "base" / "1").exists()


def test_models_without_a_file_are_not_exported(sample_models: Path, tmp_path: Path) -> None:
    """from_dict makes a model to look at; there are no weights to write beside it."""
    model = explorer.SavedModel.from_dict(explorer.open_saved_model(sample_models / "linear").to_dict())
    explorer.check(model)
    assert "prediction" in explorer.to_text(model)
    with pytest.raises(ExportError, match="made from data"):
        explorer.export(model, tmp_path / "base")


def test_a_text_model_with_unknown_fields_is_shown_and_not_exported(copy_model: Copy, tmp_path: Path) -> None:
    """Printing it again would lose what isn't known here."""
    source = copy_model("text_format/1")
    text = (source / "saved_model.pbtxt").read_text()
    (source / "saved_model.pbtxt").write_text(text + "field_of_the_future: 3\n")
    model = explorer.open_saved_model(source)
    assert "serving_default" in model.meta_graph().signatures
    with pytest.raises(ExportError, match="can be shown but not exported"):
        explorer.export(model, tmp_path / "base")


def test_progress_counts_up_and_cancels(copy_model: Copy, tmp_path: Path) -> None:
    """It is told the bytes done of the bytes in all; what it raises stops the export, and nothing stays behind."""
    model = explorer.open_saved_model(copy_model("keras3/1"))
    told: list[tuple[int, int]] = []
    explorer.export(model, tmp_path / "base", progress=lambda done, total: told.append((done, total)))
    assert told and told[-1][0] == told[-1][1] > 0
    assert [done for done, _ in told] == sorted(done for done, _ in told)

    class Stopped(Exception):
        pass

    def stop(_: int, __: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        explorer.export(model, tmp_path / "other", progress=stop)
    assert not (tmp_path / "other").exists()


def test_an_unedited_text_model_goes_out_as_it_came(sample_models: Path, tmp_path: Path) -> None:
    """Regression: it was printed anew from its message, so undoing every edit did not give the source's bytes."""
    model = explorer.open_saved_model(sample_models / "text_format")
    assert model.path is not None
    edited = explorer.copy_signature(model, "serving_default", "other")
    assert (
        explorer.export(edited, tmp_path / "b").joinpath(model.file_name).read_bytes()
        != (model.path / model.file_name).read_bytes()
    )
    written = explorer.export(model, tmp_path / "b") / model.file_name
    assert written.read_bytes() == (model.path / model.file_name).read_bytes()
