"""``convert`` on the command line, where no TensorFlow is needed: what a source is, and what becomes of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import explorer
from explorer.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process and gives its exit status and what it printed."""

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def checkpoints(sample_models: Path) -> Path:
    """The sample checkpoints."""
    return sample_models / "checkpoints"


def test_without_a_base_path_it_says_what_the_source_is(run: Run, checkpoints: Path) -> None:
    """Kind, facts, candidates with their reasons, and the placeholder that only training changes; no file comes."""
    status, out, err = run("convert", checkpoints / "iris.ckpt-100")
    assert (status, err) == (0, "")
    for text in (
        "is a checkpoint with 5 variables",
        "measurements:0",
        "probabilities:0",
        "softmax",
        "keep_prob",
        "1.0",
    ):
        assert text in out


@pytest.mark.parametrize("name", ["iris_frozen.pb", "iris.ckpt-100"])
def test_the_last_line_is_the_folder(run: Run, checkpoints: Path, tmp_path: Path, name: str) -> None:
    """The version is there, has the chosen signature, and why each tensor was taken stands above."""
    status, out, err = run("convert", checkpoints / name, "--export", tmp_path / "b")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == str(tmp_path / "b" / "1")
    assert "'keep_prob:0' is fixed to 1.0" in out
    signature = explorer.open_saved_model(tmp_path / "b").meta_graph().signature("serving_default")
    assert [info.tensor_name for info in signature.inputs.values()] == ["measurements:0"]
    assert [info.tensor_name for info in signature.outputs.values()] == ["probabilities:0"]
    assert run("convert", checkpoints / name, "--export", tmp_path / "b")[1].splitlines()[-1] == str(tmp_path / "b/2")


def test_what_is_named_is_taken(run: Run, checkpoints: Path, tmp_path: Path) -> None:
    """Keys, tensors, constants and the signature's key are those of the command; a bare name stands for its tensor."""
    status, out, _ = run(
        "convert", checkpoints / "iris.ckpt-100", "--export", tmp_path / "b", "--inputs", "flower=measurements",
        "--outputs", "species=probabilities:0", "logits_out:0", "--constants", "keep_prob=1", "--signature", "classify",
    )  # fmt: skip
    assert status == 0
    assert "is fixed" not in out and "input " not in out
    signature = explorer.open_saved_model(tmp_path / "b").meta_graph().signature("classify")
    assert {key: info.tensor_name for key, info in signature.inputs.items()} == {"flower": "measurements:0"}
    outputs = {key: info.tensor_name for key, info in signature.outputs.items()}
    assert outputs == {"species": "probabilities:0", "logits_out": "logits_out:0"}


def test_the_checkpoint_is_copied_byte_for_byte(run: Run, checkpoints: Path, tmp_path: Path) -> None:
    """The values of the new version are the files of the checkpoint, and no links; the source is as it was."""
    before = {path.name: path.read_bytes() for path in checkpoints.iterdir()}
    assert run("convert", checkpoints / "iris.ckpt-100", "--export", tmp_path / "b")[0] == 0
    variables = tmp_path / "b" / "1" / "variables"
    for ending in (".index", ".data-00000-of-00001"):
        assert not (variables / f"variables{ending}").is_symlink()
        assert (variables / f"variables{ending}").read_bytes() == before[f"iris.ckpt-100{ending}"]
    assert {path.name: path.read_bytes() for path in checkpoints.iterdir()} == before


WRONG = [
    (["{c}/gone.pb"], "there is nothing at"),
    (["{c}"], "several things"),
    (["{c}/iris_frozen.pb", "--outputs", "a=nowhere:0"], "no tensor 'nowhere:0'"),
    (["{c}/iris_frozen.pb", "--inputs", "a="], "KEY=VALUE"),
    (["{c}/iris_frozen.pb", "--outputs", "a=logits_out:0", "a=probabilities:0"], "stands twice"),
    (["{c}/iris_frozen.pb", "--constants", "logits_out=1"], "names no placeholder"),
    (["{c}/iris.ckpt-100", "--inputs", "keep_prob:0", "--outputs", "probabilities:0"], "'measurements:0' besides"),
    (["{c}/iris_graph.pbtxt"], "checkpoint"),
    (["{c}/iris_tf2"], "architecture"),
    (["{c}/iris_tf2", "--architecture", "{m}/linear"], "same architecture"),
    (["{c}/iris.ckpt-100.index", "--graph", "{c}/iris.keras"], "iris.keras"),
    (["{m}/README.md"], "README.md"),
]


@pytest.mark.parametrize(("arguments", "about"), WRONG, ids=[" ".join(case[0][:2])[:60] for case in WRONG])
def test_a_slip_gets_one_line_and_status_2(
    run: Run, checkpoints: Path, tmp_path: Path, arguments: list[str], about: str
) -> None:
    """One line on standard error that says what is wrong, and nothing is written."""
    filled = [argument.format(c=checkpoints, m=checkpoints.parent) for argument in arguments]
    status, _, err = run("convert", *filled, "--export", tmp_path / "b")
    assert status == 2
    assert len(err.splitlines()) == 1 and "Traceback" not in err
    assert about in err
    assert not (tmp_path / "b").exists()


def test_it_imports_no_tensorflow(checkpoints: Path, tmp_path: Path) -> None:
    """A graph and a checkpoint are converted by a process that never imports TensorFlow or Keras."""
    code = (
        "import sys; from explorer.cli import main; "
        f"assert main(['convert', {str(checkpoints / 'iris.ckpt-100')!r}, '--export', {str(tmp_path / 'b')!r}]) == 0; "
        "assert not {'tensorflow', 'keras', 'h5py'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
