"""Warm-up requests are replayed in the order, and fail with the sentences, of TensorFlow Serving."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from explorer.errors import RequestError
from explorer.runtime.warm_up import warm_up
from explorer.savedmodel.constants import WARMUP_FILE
from explorer.savedmodel.model import DType, MetaGraph, Shape, Signature, TensorInfo
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.tensors import Tensor
from explorer.savedmodel.warmup import framed_record


def _signature(key: str, tensor: str, output: str) -> Signature:
    def info(name: str, dtype: int) -> TensorInfo:
        return TensorInfo(DType(dtype), Shape(None), name)

    return Signature(key, {"inputs": info(tensor, 7)}, {output: info("o:0", 1)}, "")


class Model:
    """Answers each run with a score of 1.0 for each example, and counts the runs."""

    meta_graph = MetaGraph(
        ("serve",),
        {
            found.key: found
            for found in (
                _signature("serving_default", "e:0", "outputs"),
                _signature("reg", "e:0", "outputs"),
                _signature("other", "f:0", "outputs"),
                _signature("cls", "e:0", "scores"),
            )
        },
    )

    def __init__(self) -> None:
        self.runs = 0

    def run(self, feeds: Mapping[str, Tensor], fetches: Sequence[str]) -> list[Tensor]:
        self.runs += 1
        count = len(next(iter(feeds.values())).texts)
        return [Tensor(1, (count, 1), struct.pack("<f", 1.0) * count) for _ in fetches]


def _log(text: str) -> bytes:
    log: Any = message_class("tensorflow.serving.PredictionLog")()
    data: bytes = text_format.Parse(text, log).SerializeToString()
    return data


_REGRESS = "regress_log { request { input { example_list { examples { } } } } }"


def _tasks(*tasks: str, examples: str = "examples { }") -> str:
    """A multi-inference; a task is ``name/signature/method``."""
    told = ""
    for task in tasks:
        name, key, method = task.split("/")
        spec = f'model_spec {{ name: "{name}" signature_name: "{key}" }}'
        told += f'tasks {{ {spec} method_name: "tensorflow/serving/{method}" }} '
    return f"multi_inference_log {{ request {{ {told} input {{ example_list {{ {examples} }} }} }} }}"


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes the file of warm-up requests of a version folder."""

    def written(*records: bytes, end: bytes = b"") -> Path:
        path = tmp_path / WARMUP_FILE
        path.parent.mkdir()
        path.write_bytes(b"".join(map(framed_record, records)) + end)
        return tmp_path

    return written


def _refusal(folder: Path, model: Model) -> tuple[str, str]:
    with pytest.raises(RequestError) as caught:
        warm_up(folder, model)
    return caught.value.code, str(caught.value)


def test_a_thousand_records_are_the_most(write: Any) -> None:
    """The record after the thousandth is run and then refused (``RunSavedModelWarmup`` counts behind the request)."""
    log, model = _log(_REGRESS), Model()
    folder = write(*[log] * 1001)
    assert _refusal(folder, model) == (
        "INVALID_ARGUMENT",
        f"Number of warmup records exceeds the maximum (1000) at {folder / WARMUP_FILE}",
    )
    assert model.runs == 1001
    path = folder / WARMUP_FILE
    path.write_bytes(framed_record(log) * 1000)
    assert warm_up(folder, model) == 1000


def test_records_before_a_damaged_one_are_run(write: Any) -> None:
    """The server reads and runs record by record; what is no record is DATA_LOSS, what is no log is invalid."""
    model = Model()
    folder = write(_log(_REGRESS), end=b"\x01\x02")
    code, sentence = _refusal(folder, model)
    assert (code, model.runs) == ("DATA_LOSS", 1)
    assert sentence.endswith(". Please verify your warmup data is in TFRecord format.")
    (folder / WARMUP_FILE).write_bytes(framed_record(_log(_REGRESS)) + framed_record(b"\xff\xffno"))
    code, sentence = _refusal(folder, model)
    assert (code, model.runs) == ("INVALID_ARGUMENT", 2)
    assert sentence.startswith("Failed to parse warmup record: ")


@pytest.mark.parametrize(
    ("log", "code", "sentence"),
    [
        (_tasks("/reg/regress"), "INVALID_ARGUMENT", "Found ModelSpec with an empty model name."),
        (_tasks("m/reg/regress", "n/cls/classify"), "INVALID_ARGUMENT", "All ModelSpecs in a MultiInferenceRequest "
         "must access the same model name."),
        (_tasks("m//regress", "m/serving_default/regress"), "INVALID_ARGUMENT",
         "Duplicate evaluation of signature: serving_default"),
        (_tasks("m/gone/regress"), "INVALID_ARGUMENT", "Requested signature not found in model graph: gone"),
        (_tasks("m/reg/predict"), "UNIMPLEMENTED", "Unsupported signature method_name: tensorflow/serving/predict"),
        (_tasks("m/reg/regress", "m/other/regress"), "INVALID_ARGUMENT",
         "Input tensor must be the same for all Signatures."),
        (_tasks("m/reg/regress", examples=""), "INVALID_ARGUMENT", "Input is empty."),
        (_tasks(), "INVALID_ARGUMENT", "Must specify at least one target to fetch or execute."),
    ],
)  # fmt: skip
def test_tasks_that_do_not_fit_together(write: Any, log: str, code: str, sentence: str) -> None:
    """They are refused before anything is run (``TensorFlowMultiInferenceRunner::Infer`` in ``multi_inference.cc``)."""
    model = Model()
    assert _refusal(write(_log(log)), model) == (code, sentence)
    assert model.runs == 0


def test_tasks_that_fit_together(write: Any) -> None:
    """Each of them is run."""
    model = Model()
    assert warm_up(write(_log(_tasks("m/reg/regress", "m/cls/classify"))), model) == 1
    assert model.runs == 2
