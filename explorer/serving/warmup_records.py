"""Request bodies → the records with which TensorFlow Serving warms a model up.

A record is a ``tensorflow.serving.PredictionLog`` that holds the request as gRPC would carry it
(https://www.tensorflow.org/tfx/serving/saved_model_warmup); a body becomes one by the server's own rules, so that a
body which the server refuses makes no record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from explorer.errors import RequestError, UsageError, quoted
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.warmup import MOST_RECORDS, framed_record
from explorer.serving.calls import classify_call, predict_call, regress_call, rest_signature
from explorer.serving.messages import ModelSpec, examples_request, predict_request

__all__ = ["VERBS", "warmup_file", "warmup_record"]

VERBS: Final = ("predict", "classify", "regress")


def warmup_record(
    body: str | bytes, meta_graph: MetaGraph, *, verb: str = "predict", model_name: str = "default"
) -> bytes:
    """Makes a record of a request body.

    Args:
        body: A body as it is sent to ``:predict``, ``:classify`` or ``:regress``.
        meta_graph: The meta graph that is served.
        verb: Which of the three.
        model_name: The name that the record gives the model; TensorFlow Serving doesn't compare it.

    Returns:
        A serialized ``PredictionLog``.

    Raises:
        RequestError: The server refuses the body; the sentence is the server's.
        UsageError: There is no such verb.
    """
    from explorer.serving.examples import parse_examples
    from explorer.serving.parse import begin_predict

    data = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
    log: Any = message_class("tensorflow.serving.PredictionLog")()
    if verb == "predict":
        begun = begin_predict(data)
        parsed = begun.inputs(rest_signature(meta_graph, begun.signature_name))
        inputs = {key: one.tensor for key, one in parsed.inputs.items()}
        predict_call(meta_graph, begun.signature_name, inputs)
        spec = ModelSpec(model_name, signature_name=begun.signature_name)
        log.predict_log.request.ParseFromString(predict_request(spec, inputs))
    elif verb in ("classify", "regress"):
        method: Any = verb
        examples = parse_examples(data, method)
        check = classify_call if verb == "classify" else regress_call
        check(meta_graph, examples.signature_name, examples.tensor)
        spec = ModelSpec(model_name, signature_name=examples.signature_name)
        request = examples_request(method, spec, examples.examples, examples.context)
        kept = log.classify_log if verb == "classify" else log.regress_log
        kept.request.ParseFromString(request)
    else:
        raise UsageError(f"there is no verb {quoted(verb)}; it is 'predict', 'classify' or 'regress'")
    record: bytes = log.SerializeToString(deterministic=True)
    return record


def warmup_file(records: Iterable[bytes]) -> bytes:
    """The bytes of ``assets.extra/tf_serving_warmup_requests``: a TFRecord file.

    Args:
        records: Serialized ``PredictionLog`` messages.

    Raises:
        RequestError: They are more than TensorFlow Serving takes.
    """
    every = list(records)
    if len(every) > MOST_RECORDS:
        raise RequestError(
            f"{len(every)} warm-up records are too many: TensorFlow Serving refuses a model with more than "
            f"{MOST_RECORDS}; leave some out"
        )
    return b"".join(map(framed_record, every))
