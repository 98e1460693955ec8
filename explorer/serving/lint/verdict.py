"""What the server says to a body, to the letter, as far as it can be said without running the model."""

from __future__ import annotations

from explorer.errors import RequestError
from explorer.savedmodel.model import MetaGraph


def server_error(body: bytes, meta_graph: MetaGraph, verb: str) -> RequestError | None:
    """The error by which the server refuses a body; None where it would run the model.

    Args:
        body: The body as it is sent.
        meta_graph: The meta graph that is served.
        verb: ``predict``, ``classify`` or ``regress``.
    """
    from explorer.serving.calls import classify_call, predict_call, regress_call, rest_signature
    from explorer.serving.examples import parse_examples
    from explorer.serving.parse import begin_predict

    try:
        if verb == "predict":
            begun = begin_predict(body)
            signature = rest_signature(meta_graph, begun.signature_name)
            parsed = begun.inputs(signature)
            predict_call(meta_graph, begun.signature_name, {key: one.tensor for key, one in parsed.inputs.items()})
        else:
            examples = parse_examples(body, "classify" if verb == "classify" else "regress")
            call = classify_call if verb == "classify" else regress_call
            call(meta_graph, examples.signature_name, examples.tensor)
    except RequestError as error:
        return error
    return None


def one_line(sentence: str) -> str:
    """A sentence of the server's within one of ours; what isn't UTF-8 in it shows as ``�``."""
    return " ".join(sentence.encode("utf-8", "surrogateescape").decode("utf-8", "replace").split())
