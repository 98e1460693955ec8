"""The command line: what scripts build on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import explorer
from explorer.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process and gives its exit status and what it printed."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as leave:  # --help and --version
            status = int(leave.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def recipe_file(folder: Path, *edits: dict[str, Any]) -> Path:
    """A recipe in a file."""
    path = folder / "recipe.json"
    path.write_text(json.dumps({"recipe": 1, "edits": edits}))
    return path


RENAME = {"edit": "rename_signature", "signature_key": "prediction", "new_key": "serving_default"}


def test_show_lists_what_a_model_has(run: Run, sample_models: Path) -> None:
    """Version, tags, keys, methods, dtypes, shapes and tensor names stand in the table."""
    status, out, err = run("show", sample_models / "half_plus_two")
    assert (status, err) == (0, "")
    for text in ("124", "serve", "classify_x", "classify", "float32", "[?, 1]", "x:0", "serving_default"):
        assert text in out


def test_show_json_is_the_models_own_dict(run: Run, sample_models: Path) -> None:
    """The JSON is to_dict of the model that Python opens, and from_dict reads it."""
    for name in ("half_plus_two", "module", "several_meta_graphs", "shapes_and_types", "broken/hostile_names"):
        status, out, _ = run("show", sample_models / name, "--json")
        model = explorer.open_saved_model(sample_models / name)
        assert status == 0
        assert json.loads(out) == model.to_dict()
        assert explorer.SavedModel.from_dict(json.loads(out)) == model


def test_show_json_follows_the_contract(run: Run, sample_models: Path) -> None:
    """Encodings, components, defaults, unknown ranks and reserved signatures have their agreed form."""
    _, out, _ = run("show", sample_models / "shapes_and_types", "--json")
    signatures = json.loads(out)["meta_graphs"][0]["signatures"]
    sparse = signatures["sparse"]["inputs"]["features"]
    assert sparse["tensor_name"] is None
    assert sparse["encoding"] == "coo_sparse"
    assert set(sparse["components"]) == {"values", "indices", "dense_shape"}
    assert signatures["any_rank"]["inputs"]["x"]["shape"] is None
    assert signatures["scalar"]["inputs"]["n"]["shape"] == []
    _, out, _ = run("show", sample_models / "module", "--json")
    signatures = json.loads(out)["meta_graphs"][0]["signatures"]
    assert signatures["__saved_model_init_op"]["reserved"] is True
    assert "reserved" not in signatures["shift"]
    assert signatures["shift"]["defaults"] == ["amount"] == list(signatures["shift"]["default_values"])


def test_show_can_be_restricted(run: Run, sample_models: Path) -> None:
    """--tags, --signature and --version choose; what isn't there is named with what is."""
    status, out, _ = run("show", sample_models / "several_meta_graphs", "--tags", "gpu,serve", "--json")
    assert status == 0
    assert [sorted(graph["tags"]) for graph in json.loads(out)["meta_graphs"]] == [["gpu", "serve"]]
    _, out, _ = run("show", sample_models / "half_plus_two", "--signature", "regress_x", "--version", 123, "--json")
    data = json.loads(out)
    assert (data["version"], list(data["meta_graphs"][0]["signatures"])) == (123, ["regress_x"])
    _, out, _ = run("show", sample_models / "several_meta_graphs", "--tags", "gpu,serve")
    assert "MetaGraph gpu,serve" in out and "finds no meta graph" not in out
    _, out, _ = run("show", sample_models / "several_meta_graphs", "--tags", "serve", "--json", "--counts")
    assert json.loads(out)["meta_graphs"][0]["counts"]["nodes"] > 5
    status, _, err = run("show", sample_models / "several_meta_graphs", "--tags", "gpu")
    assert status == 2 and "gpu,serve" in err
    status, _, err = run("show", sample_models / "half_plus_two", "--signature", "regres_x")
    assert status == 2 and "did you mean 'regress_x'" in err


def test_edit_prints_the_folder_that_it_wrote(run: Run, sample_models: Path, tmp_path: Path) -> None:
    """The last line is the version folder, and the folder holds the edit."""
    recipe = recipe_file(tmp_path, RENAME)
    status, out, err = run("edit", sample_models / "linear", "--recipe", recipe, "--export", tmp_path / "base")
    assert (status, err) == (0, "")
    folder = out.splitlines()[-1]
    assert folder == str(tmp_path / "base" / "1")
    assert set(explorer.open_saved_model(folder).meta_graph().signatures) == {"serving_default"}
    status, out, _ = run(
        "edit", sample_models / "linear", "--recipe", recipe, "--export", tmp_path / "base", "--version", 7, "--link"
    )
    assert status == 0 and out.splitlines()[-1] == str(tmp_path / "base" / "7")


def test_a_dry_run_shows_the_difference_and_writes_nothing(run: Run, sample_models: Path, tmp_path: Path) -> None:
    """The old and the new key are printed; the base path isn't even made."""
    recipe = recipe_file(tmp_path, RENAME)
    status, out, _ = run(
        "edit", sample_models / "linear", "--recipe", recipe, "--export", tmp_path / "base", "--dry-run"
    )
    assert status == 0
    assert "prediction" in out and "serving_default" in out
    assert not (tmp_path / "base").exists()


def test_request_prints_the_body_alone(run: Run, sample_models: Path) -> None:
    """What is printed is one JSON text, fit for a pipe, in the format that was asked for."""
    status, out, _ = run("request", sample_models / "half_plus_two")
    assert status == 0
    assert json.loads(out) == {"instances": [{"x": 0.0}]}
    _, out, _ = run("request", sample_models / "half_plus_two", "--format", "column")
    assert json.loads(out) == {"inputs": {"x": [0.0]}}
    _, out, _ = run("request", sample_models / "linear", "--signature", "prediction")
    assert json.loads(out) == {"signature_name": "prediction", "instances": [{"input": [0.0, 0.0, 0.0]}]}


WRONG: list[tuple[list[str], str]] = [
    ([], "required: COMMAND"),
    (["sow", "x"], "invalid choice: 'sow'"),
    (["show"], "required: PATH"),
    (["show", "nothing/here"], "there is nothing at"),
    (["show", "{models}/linear", "--version", "x"], "invalid int value"),
    (["show", "{models}/linear", "--version", "9"], "no version 9; available: 1"),
    (["show", "{models}/linear", "--nope"], "unrecognized arguments: --nope"),
    (["show", "{models}/broken/truncated"], "truncated"),
    (["show", "{models}/broken/lfs_pointer"], "git lfs pull"),
    (["edit", "{models}/linear"], "required: --recipe, --export"),
    (["edit", "{models}/linear", "--recipe", "{tmp}/no.json", "--export", "{tmp}/b"], "can't be read"),
    (["edit", "{models}/linear", "--recipe", "{models}/README.md", "--export", "{tmp}/b"], "is no JSON"),
    (["edit", "{models}/linear", "--recipe", "{tmp}/list.json", "--export", "{tmp}/b"], "no recipe"),
    (["edit", "{models}/linear", "--recipe", "{tmp}/gone.json", "--export", "{tmp}/b"], "doesn't fit this model"),
    (["edit", "{models}/linear", "--recipe", "{tmp}/breaks.json", "--export", "{tmp}/b"], "nothing was written"),
    (["edit", "{models}/keras3", "--recipe", "{tmp}/tf2.json", "--export", "{tmp}/b"], "single meta graph"),
    (["edit", "{models}/linear", "--recipe", "{tmp}/ok.json", "--export", "{models}/README.md"], "not a folder"),
    (["edit", "{models}/linear", "--recipe", "{tmp}/ok.json", "--export", "{tmp}/b", "--version", "-3"], "-3"),
    (["request", "{models}/linear", "--signature", "nope"], "available: 'prediction'"),
    (["request", "{models}/shapes_and_types", "--signature", "scalar", "--format", "row"], "row"),
    (["request", "{models}/linear", "--format", "rows"], "invalid choice: 'rows'"),
]


@pytest.mark.parametrize(("arguments", "about"), WRONG, ids=[" ".join(case[0][:3]) or "nothing" for case in WRONG])
def test_a_slip_gets_one_line_and_status_2(
    run: Run, sample_models: Path, tmp_path: Path, arguments: list[str], about: str
) -> None:
    """Exactly one line on standard error, nothing on standard output, no usage dump, no traceback, nothing written."""
    recipes: dict[str, Any] = {
        "list": [],
        "gone": {"recipe": 1, "edits": [{"edit": "remove_signature", "signature_key": "gone"}]},
        "ok": {"recipe": 1, "edits": [RENAME]},
        "tf2": {
            "recipe": 1,
            "edits": [{"edit": "copy_meta_graph", "new_tags": ["a"]}],
        },
        "breaks": {
            "recipe": 1,
            "edits": [{"edit": "remove_output", "signature_key": "prediction", "output_key": "output"}],
        },
    }
    for name, data in recipes.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    filled = [argument.format(models=sample_models, tmp=tmp_path) for argument in arguments]
    status, out, err = run(*filled)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1 and err.endswith("\n")
    assert about in err
    assert "Traceback" not in err and "usage:" not in err
    assert not (tmp_path / "b").exists()


def test_as_a_process(sample_models: Path, tmp_path: Path) -> None:
    """Python -m explorer: version, help, a closed pipe, and a terminal without UTF-8."""

    def process(*arguments: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "explorer", *arguments],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            timeout=60,
        )

    assert process("--version").stdout.decode().strip() == explorer.__version__
    assert b"show" in process("--help").stdout
    hostile = process("show", str(sample_models / "broken" / "hostile_names"), encoding="ascii")
    assert (hostile.returncode, hostile.stderr) == (0, b"")
    assert b"\x1b" not in hostile.stdout
    shell = f"{sys.executable} -m explorer show {sample_models / 'broken' / 'hostile_names'} --json | head -n 1"
    piped = subprocess.run(["bash", "-o", "pipefail", "-c", shell], capture_output=True, timeout=60)
    assert (piped.returncode, piped.stderr) == (0, b"")


def test_hostile_names_are_visible_in_the_terminal(run: Run, sample_models: Path) -> None:
    """No control, bidirectional or zero-width character of a name reaches the terminal; each is written out."""
    _, out, _ = run("show", sample_models / "broken" / "hostile_names")
    for character in "\x1b\x07\x9b\u202e\u2066\u200b\ufeff\u2028\r\x00":
        assert character not in out
    for visible in ("\\u001b[31m", "\\u202e", "\\u200b", "\\u2028"):
        assert visible in out
