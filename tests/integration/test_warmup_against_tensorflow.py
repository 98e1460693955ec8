"""Rewritten warm-up records, run: each gives on the edited model what the old one gave on the source."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import explorer
from explorer import SavedModel
from explorer.errors import ExportError
from explorer.savedmodel.records import iter_fields
from explorer.savedmodel.warmup import WarmupRecord, read_records

WARMUP = "assets.extra/tf_serving_warmup_requests"


def predict_requests(folder: Path) -> list[tuple[WarmupRecord, dict[str, Any]]]:
    """The Predict requests as TensorFlow's own TFRecord reader finds them: the record and its values."""
    path = folder / WARMUP
    data = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    ours = read_records(path.read_bytes(), str(path))
    assert [bytes(record.data) for record in ours] == data
    found = []
    for record, log in zip(ours, data, strict=True):
        (request,) = record.requests
        if request.kind == "predict":
            found.append((request, values_of(only(only(log, 6), 1))))
    return found


def only(message: bytes, number: int) -> bytes:
    """The payload of the one field with a number."""
    (payload,) = [bytes(part) for tag, _, part in iter_fields(message) if tag == number << 3 | 2]
    return payload


def values_of(request: bytes) -> dict[str, Any]:
    """The inputs of a PredictRequest, their tensors read by TensorFlow."""
    values = {}
    for tag, _, entry in iter_fields(request):
        if tag == 2 << 3 | 2:
            tensor = tf.make_tensor_proto(0.0)
            tensor.ParseFromString(only(bytes(entry), 2))
            values[only(bytes(entry), 1).decode()] = tf.make_ndarray(tensor).tolist()
    return values


def rename_everything(model: SavedModel) -> SavedModel:
    """Swaps the first two signatures, if there are two, and renames all keys of the signatures that predict."""
    keys = list(model.meta_graph().callable_signatures)
    if len(keys) > 1:
        for old, new in ((keys[0], "for a while"), (keys[1], keys[0]), ("for a while", keys[1])):
            model = explorer.rename_signature(model, old, new)
    for key, signature in model.meta_graph().callable_signatures.items():
        if signature.method == "predict":
            for name in signature.inputs:
                model = explorer.rename_input(model, key, name, f"new_{name}")
            for name in signature.outputs:
                model = explorer.rename_output(model, key, name, f"new_{name}".replace("/", "_").replace(" ", "_"))
    return model


@pytest.mark.parametrize("name", ["debug_and_unknown", "estimator_like"])
def test_rewritten_records_ask_for_the_same(name: str, sample_models: Path, tmp_path: Path, judges: ModuleType) -> None:
    """Signatures swapped and all keys renamed: each request reaches the signature that it reached, bit for bit."""
    source = tmp_path / "source" / "1"
    shutil.copytree(sample_models / name / "1", source)
    model = explorer.open_saved_model(source)
    edited = rename_everything(model)
    with pytest.raises(ExportError, match="'rewrite'"):
        explorer.export(edited, tmp_path / "base")
    written = explorer.export(edited, tmp_path / "base", warmup="rewrite")
    old, new = predict_requests(source), predict_requests(written)
    assert old and len(old) == len(new)
    for (old_record, old_values), (new_record, new_values) in zip(old, new, strict=True):
        assert set(new_values) == {f"new_{key}" for key in old_values}
        first = judges.run_v1(source, ["serve"], old_record.signature_key, old_values)
        second = judges.run_v1(written, ["serve"], new_record.signature_key, new_values)
        assert same_answers(first, second, lambda key: f"new_{key}".replace("/", "_").replace(" ", "_"))
    assert judges.cpp_load(written, ["serve"]) == ""


def same_answers(first: dict[str, np.ndarray], second: dict[str, np.ndarray], renamed: Callable[[str], str]) -> bool:
    """Whether two answers are the same to the bit, but for the names of their keys."""
    return {renamed(key): value.tolist() for key, value in first.items()} == {
        key: value.tolist() for key, value in second.items()
    }
