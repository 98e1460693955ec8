"""Replays the warm-up requests of a version, as TensorFlow Serving does before it serves it.

The rules are those of ``saved_model_warmup.cc`` and ``saved_model_warmup_util.cc`` in
``tensorflow_serving/servables/tensorflow`` of https://github.com/tensorflow/serving: every record is run, its recorded
answer isn't looked at, and the first one that fails fails the version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from explorer.errors import FormatError, RequestError
from explorer.runtime.grpc_api import Runnable, classify, predict, regress
from explorer.savedmodel.constants import CLASSIFY_METHOD_NAME, DEFAULT_SIGNATURE_KEY, REGRESS_METHOD_NAME, WARMUP_FILE
from explorer.savedmodel.records import read_whole
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.warmup import KINDS, LARGEST_WARMUP_BYTES, read_records
from explorer.serving import messages

_SESSION_RUN: Final = next(number for number, kind in KINDS.items() if kind == "session_run")


def warm_up(folder: Path, model: Runnable) -> int:
    """Runs the warm-up requests of a version.

    Args:
        folder: The version's folder, the one that may hold ``assets.extra/``.
        model: The version, loaded from it.

    Returns:
        The number of records; 0 where there is no file of them.

    Raises:
        RequestError: A record fails, with the server's sentence; or the file is damaged.
        RunError: The version's child process ended.
        SourceError: The file can't be read.
    """
    path = str(folder / WARMUP_FILE)
    try:
        data = read_whole(path, LARGEST_WARMUP_BYTES, "a file of warm-up requests")
        records = () if data is None else read_records(data, path)
    except FormatError as error:
        raise RequestError(f"{error}. Please verify your warmup data is in TFRecord format.", "DATA_LOSS") from None
    log_class = message_class("tensorflow.serving.PredictionLog")
    for record in records:
        _replay(log_class.FromString(bytes(record.data)), model)
    return len(records)


def _replay(log: Any, model: Runnable) -> None:
    """One record; streamed ones are passed over, as a server with TensorFlow's own sessions does."""
    match log.WhichOneof("log_type"):
        case "predict_log":
            predict(model, messages.read_predict_request(_named(log.predict_log.request)))
        case "classify_log":
            classify(model, messages.read_examples_request("classify", _named(log.classify_log.request)))
        case "regress_log":
            regress(model, messages.read_examples_request("regress", _named(log.regress_log.request)))
        case "multi_inference_log":
            _replay_tasks(log.multi_inference_log.request, model)
        case "session_run_log":
            raise RequestError(f"Unsupported log_type for warmup: {_SESSION_RUN}", "UNIMPLEMENTED")


def _replay_tasks(request: Any, model: Runnable) -> None:
    """The tasks of a multi-inference, one after the other, where the server runs them at once."""
    for task in request.tasks:
        key = task.model_spec.signature_name or DEFAULT_SIGNATURE_KEY
        if key not in model.meta_graph.signatures:
            raise RequestError(f"Requested signature not found in model graph: {key}", "INVALID_ARGUMENT")
        one_class = message_class("tensorflow.serving.ClassificationRequest")
        part = one_class(model_spec=task.model_spec, input=request.input)
        if task.method_name == CLASSIFY_METHOD_NAME:
            classify(model, messages.read_examples_request("classify", _named(part)))
        elif task.method_name == REGRESS_METHOD_NAME:  # its request has the same fields
            regress(model, messages.read_examples_request("regress", _named(part)))
        else:
            raise RequestError(f"Unsupported signature method_name: {task.method_name}", "UNIMPLEMENTED")


def _named(request: Any) -> bytes:
    """A recorded request as bytes; one need not name a model, and the name isn't compared."""
    if not request.model_spec.name:
        request.model_spec.name = "warm-up"
    data: bytes = request.SerializeToString()
    return data
