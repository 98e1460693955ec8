"""``wrap`` on the command line, as far as no TensorFlow is needed: what doesn't fit is refused before it is asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from explorer.cli import main


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["image", "keras3"], "has no inputs that can take pictures"),
        (["image", "keras3", "--method", "classify"], "classify requests hold tf.Examples and nothing else"),
        (["image", "keras3", "--names", "a=b"], "--names says nothing about image; it is for example, csv and json"),
        (["example", "keras3", "--resize", "2x2"], "--resize says nothing about example; it is for image and base64"),
        (["example", "keras3", "--names", "colour"], "a name is written KEY=VALUE"),
        (["example", "keras3", "--names", "coloru=c"], "did you mean 'colour'?"),
        (["example", "keras3", "--defaults", "colour=[1,2,3]"], "has 3 values, and one row has 2"),
        (["example", "keras3", "--labels", "nowhere.txt"], "there is no file 'nowhere.txt' with labels"),
        (["example", "keras3", "--method", "regress"], "no output that regress could answer with"),
        (["example", "keras3", "--input", "colour", "--method", "classify"], "these must feed 'size' too"),
        (["example", "keras3", "--signature", "nope"], "no signature 'nope'"),
        (["example", "shapes_and_types", "--signature", "sparse"], "consists of several tensors"),
        (["csv", "keras3", "--columns", "size,colou"], "did you mean 'colour'?"),
        (["json", "keras3", "--columns", "size"], "--columns says nothing about json; it is for csv"),
        (["csv", "keras3", "--method", "classify"], "classify requests hold tf.Examples"),
        (["base64", "keras3", "--scale", "0..1"], "has no inputs that can take pictures"),
        (["base64", "defaults", "--signature", "join", "--input", "words", "--scale", "0..1"], "takes texts already"),
    ],
)
def test_what_doesnt_fit_is_refused_in_one_sentence(
    arguments: list[str], sentence: str, sample_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, the sentence on the error stream, and no folder."""
    kind, name, *others = arguments
    status = main(["wrap", kind, str(sample_models / name), "--export", str(tmp_path / "b"), *others])
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert sentence in printed.err and printed.err.count("\n") == 1
    assert not (tmp_path / "b").exists()
    assert "tensorflow" not in sys.modules
