"""Warm-up records of bodies that one tried: verified before they are published, and what TensorFlow itself reads."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import explorer
from explorer.errors import ExportError, RequestError, RunError
from explorer.runtime.write_warmup import write_warmup
from explorer.savedmodel.warmup import read_warmup

WARMUP = "assets.extra/tf_serving_warmup_requests"
BODIES = [
    {"instances": [1.0, 2.0, 5.0]},
    '{"inputs": {"x": [2.5]}}',
    ("regress", '{"signature_name": "regress_x", "examples": [{"x": 1.5}], "context": {"y": ["z"]}}'),
    ("classify", b'{"signature_name": "classify_x", "examples": [{"x": [0.5]}, {"x": 1.0}]}'),
]

INT_FOR_FLOAT = ("classify", '{"signature_name": "classify_x", "examples": [{"x": 1}]}')
"""The server's parser takes it, and the graph's parser doesn't: an int64 where a float is wanted."""


def version_folder(base: Path) -> Path:
    """The first version under a base path."""
    return min(base.iterdir())


def logs(folder: Path) -> list[Any]:
    """The records as TensorFlow reads the file and TensorFlow Serving's own message class reads them."""
    from tensorflow_serving.apis import prediction_log_pb2 as apis

    dataset = tf.data.TFRecordDataset(str(folder / WARMUP))
    return [apis.PredictionLog.FromString(record.numpy()) for record in dataset]


def test_bodies_become_records_that_tensorflow_serving_reads(copy_model: Callable[[str], Path], tmp_path: Path) -> None:
    """A record a body, with the values, the signature and the context that were sent."""
    model = explorer.open_saved_model(copy_model("half_plus_two"))
    written = write_warmup(model, tmp_path / "base", BODIES, consent=True)
    first, second, third, fourth = logs(written.path)
    assert first.WhichOneof("log_type") == "predict_log"
    assert tf.make_ndarray(_own(first.predict_log.request.inputs["x"])).tolist() == [1.0, 2.0, 5.0]
    assert first.predict_log.request.model_spec.signature_name == ""
    assert tf.make_ndarray(_own(second.predict_log.request.inputs["x"])).tolist() == [2.5]
    request = third.regress_log.request
    assert request.model_spec.signature_name == "regress_x"
    shared = request.input.example_list_with_context
    assert shared.context.features.feature["y"].bytes_list.value == [b"z"]
    assert list(shared.examples[0].features.feature["x"].float_list.value) == [1.5]
    listed = fourth.classify_log.request.input.example_list.examples
    assert [list(one.features.feature["x"].float_list.value) for one in listed] == [[0.5], [1.0]]
    row = next(file for file in written.files if file.name == WARMUP)
    assert (row.how, row.size_bytes) == ("written", (written.path / WARMUP).stat().st_size)
    assert "4 new" in row.reason


def _own(proto: Any) -> Any:
    """The proto as the message class of the imported TensorFlow."""
    own = tf.make_tensor_proto(0.0)
    own.ParseFromString(proto.SerializeToString())
    return own


def test_records_that_are_there_stay_or_go(copy_model: Callable[[str], Path], tmp_path: Path) -> None:
    """Kept ones come first, byte for byte; a source that is linked into the new version is not written into."""
    source = copy_model("estimator_like") / "1"
    model = explorer.open_saved_model(source)
    before = (source / WARMUP).read_bytes()
    body = json.dumps({"signature_name": "regression", "examples": [{"length": 1.0, "width": 2.0}]})
    kept = write_warmup(model, tmp_path / "base", [body], verb="regress", consent=True, link=True).path
    assert (source / WARMUP).read_bytes() == before
    assert (kept / WARMUP).read_bytes().startswith(before)
    assert len(read_warmup(kept)) == len(read_warmup(source)) + 1
    alone = write_warmup(model, tmp_path / "base", [body], verb="regress", consent=True, keep=False).path
    (only,) = read_warmup(alone)
    assert (only.kind, only.signature_name) == ("regress", "regression")
    assert [folder.name for folder in (kept, alone)] == ["1", "2"]


def test_records_follow_the_edits_of_a_draft(copy_model: Callable[[str], Path], tmp_path: Path) -> None:
    """A renamed input is called by its new name by new records, and by kept ones too."""
    model = explorer.open_saved_model(copy_model("half_plus_two"))
    first = write_warmup(model, tmp_path / "base", [{"instances": [1.0]}], consent=True).path
    edited = explorer.rename_input(explorer.open_saved_model(first), "serving_default", "x", "number")
    second = write_warmup(edited, tmp_path / "base", [{"instances": [{"number": 2.0}]}], consent=True).path
    assert [record.input_keys for record in read_warmup(second)] == [("number",), ("number",)]


def nothing_written(base: Path) -> bool:
    """Whether nothing is left under a base path."""
    return not base.exists() or os.listdir(base) == []


def test_without_consent_nothing_runs(copy_model: Callable[[str], Path], tmp_path: Path) -> None:
    """Verifying executes the model, which one must have said yes to."""
    model = explorer.open_saved_model(copy_model("half_plus_two"))
    with pytest.raises(RunError, match="consent=True"):
        write_warmup(model, tmp_path / "base", BODIES)
    assert nothing_written(tmp_path / "base")


@pytest.mark.parametrize(
    ("bodies", "kind", "sentence"),
    [
        ([], RequestError, "at least one"),
        ([BODIES[0], '{"instances": ["1"]}'], RequestError, "body 1 makes no warm-up record.*not of expected type"),
        ([{"instances": [1.0], "signature_name": "nope"}], RequestError, 'body 0.*"nope" not found'),
        ([{"instances": {1, 2}}], RequestError, "body 0.*JSON can't be made"),
        ([INT_FOR_FLOAT], ExportError, "nothing was published"),
        ([{"instances": [1.0]}] * 1001, ExportError, "more than 1000"),
    ],
    ids=["no body", "refused", "unknown signature", "no JSON", "fails in the graph", "too many"],
)  # fmt: skip
def test_what_fails_writes_nothing(
    bodies: list[Any], kind: type[Exception], sentence: str, copy_model: Callable[[str], Path], tmp_path: Path
) -> None:
    """One sentence on one line says why, and no version appears."""
    model = explorer.open_saved_model(copy_model("half_plus_two"))
    with pytest.raises(kind, match=sentence) as raised:
        write_warmup(model, tmp_path / "base", bodies, consent=True)
    assert "\n" not in str(raised.value)
    assert nothing_written(tmp_path / "base")


def test_damaged_records_are_not_built_upon(copy_model: Callable[[str], Path], tmp_path: Path) -> None:
    """A file that TensorFlow Serving would stumble over is not extended; without it all is well."""
    source = version_folder(copy_model("half_plus_two"))
    (source / "assets.extra").mkdir(exist_ok=True)
    (source / WARMUP).write_bytes(b"no records at all")
    model = explorer.open_saved_model(source)
    with pytest.raises(ExportError, match="keep=False"):
        write_warmup(model, tmp_path / "base", [{"instances": [1.0]}], consent=True, warmup="refuse")
    assert nothing_written(tmp_path / "base")
    written = write_warmup(model, tmp_path / "base", [{"instances": [1.0]}], consent=True, keep=False)
    assert len(logs(written.path)) == 1


def test_new_version_loads_as_a_server_loads_it(copy_model: Callable[[str], Path], tmp_path: Path, judges: Any) -> None:
    """TensorFlow's C++ loader takes the version, and nothing but the records differs from the source."""
    source = version_folder(copy_model("half_plus_two"))
    shutil.rmtree(source / "assets.extra", ignore_errors=True)
    written = write_warmup(explorer.open_saved_model(source), tmp_path / "base", BODIES[:2], consent=True).path
    assert judges.cpp_load(written, ["serve"]) == ""
    ours = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    theirs = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert ours == theirs | {WARMUP}
    for name in theirs:
        assert (written / name).read_bytes() == (source / name).read_bytes()
