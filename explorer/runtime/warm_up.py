"""Replays the warm-up requests of a version, as TensorFlow Serving does before it serves it.

The rules are those of ``saved_model_warmup.cc`` and ``saved_model_warmup_util.cc`` in
``tensorflow_serving/servables/tensorflow`` of https://github.com/tensorflow/serving: every record is run, its recorded
answer isn't looked at, and the first one that fails fails the version.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from explorer.errors import FormatError, RequestError, printable_name
from explorer.runtime.grpc_api import Runnable, classify, predict, regress
from explorer.savedmodel.constants import CLASSIFY_METHOD_NAME, DEFAULT_SIGNATURE_KEY, REGRESS_METHOD_NAME, WARMUP_FILE
from explorer.savedmodel.records import read_whole
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.warmup import KINDS, LARGEST_WARMUP_BYTES, MOST_RECORDS, iter_framed
from explorer.serving import calls, messages

_SESSION_RUN: Final = next(number for number, kind in KINDS.items() if kind == "session_run")


def warm_up(folder: Path, model: Runnable) -> int:
    """Runs the warm-up requests of a version.

    Args:
        folder: The version's folder, the one that may hold ``assets.extra/``.
        model: The version, loaded from it.

    Returns:
        The number of records; 0 where there is no file of them.

    Raises:
        RequestError: A record fails, with the server's sentence; there are too many; or the file is damaged.
        RunError: The version's child process ended.
        SourceError: The file can't be read.
    """
    path = str(folder / WARMUP_FILE)
    count = 0
    for record in _records(path):
        _replay(_log(record, path), model)
        count += 1
        if count > MOST_RECORDS:
            raise _invalid(f"Number of warmup records exceeds the maximum ({MOST_RECORDS}) at {path}")
    return count


def _records(path: str) -> Iterator[memoryview]:
    """The records, one after the other: those before a damaged one are run."""
    try:
        data = read_whole(path, LARGEST_WARMUP_BYTES, "a file of warm-up requests")
        if data is not None:
            for _, record in iter_framed(data, path):
                yield record
    except FormatError as error:
        raise RequestError(f"{error}. Please verify your warmup data is in TFRecord format.", "DATA_LOSS") from None


def _log(record: memoryview, path: str) -> Any:
    from google.protobuf.message import DecodeError

    data = bytes(record)
    try:
        return message_class("tensorflow.serving.PredictionLog").FromString(data)
    except DecodeError:
        shown = printable_name(data.decode("utf-8", "surrogateescape"))
        raise _invalid(f"Failed to parse warmup record: {shown} from {path}") from None


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
    """The tasks of a multi-inference, one after the other, where the server runs them at once.

    All of them are checked before: ``TensorFlowMultiInferenceRunner::Infer`` in ``multi_inference.cc``.
    """
    made: list[tuple[str, calls.Call]] = []
    one_class = message_class("tensorflow.serving.ClassificationRequest")  # that of a regression has the same fields
    whole = messages.read_examples_request("classify", _named(one_class(input=request.input)))
    count = len(whole.examples.texts)
    for task in request.tasks:
        key = task.model_spec.signature_name or DEFAULT_SIGNATURE_KEY
        _check_task(task, key, request.tasks[0], model, [call.signature.key for _, call in made])
        if task.method_name == CLASSIFY_METHOD_NAME:
            call = calls.classify_call(model.meta_graph, key, whole.examples)
        elif task.method_name == REGRESS_METHOD_NAME:
            call = calls.regress_call(model.meta_graph, key, whole.examples)
        else:
            raise RequestError(f"Unsupported signature method_name: {task.method_name}", "UNIMPLEMENTED")
        if made and set(call.feeds) != set(made[0][1].feeds):
            raise _invalid("Input tensor must be the same for all Signatures.")
        made.append((task.method_name, call))
    if not made:
        raise _invalid("Must specify at least one target to fetch or execute." if count else "Input is empty.")
    for method_name, call in made:
        outputs = model.run(call.feeds, call.fetches)
        if method_name == CLASSIFY_METHOD_NAME:
            calls.classifications(call, outputs, count)
        else:
            calls.regressions(call, outputs, count)


def _check_task(task: Any, key: str, first: Any, model: Runnable, before: list[str]) -> None:
    if not task.model_spec.name:
        raise _invalid("Found ModelSpec with an empty model name.")
    if task.model_spec.name != first.model_spec.name:
        raise _invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
    if key in before:
        raise _invalid(f"Duplicate evaluation of signature: {key}")
    if key not in model.meta_graph.signatures:
        raise _invalid(f"Requested signature not found in model graph: {key}")


def _named(request: Any) -> bytes:
    """A recorded request as bytes; one need not name a model, and the name isn't compared."""
    if not request.model_spec.name:
        request.model_spec.name = "warm-up"
    data: bytes = request.SerializeToString()
    return data


def _invalid(sentence: str) -> RequestError:
    return RequestError(sentence, "INVALID_ARGUMENT")
