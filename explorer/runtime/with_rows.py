"""A signature that takes a row of a table in one text: a serialized tf.Example, a line of CSV, a JSON object."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import Any

from explorer.checking.method_rules import EXAMPLES_INPUT
from explorer.errors import EditError, quoted
from explorer.runtime.example_options import example_options_for, example_words
from explorer.runtime.made_by import made_by
from explorer.runtime.steps.trace import TIMEOUT_S
from explorer.runtime.wrapped import Labels, Tags, Wanted, Wrapped, add_signature
from explorer.savedmodel import constants
from explorer.savedmodel.feature_spec import feature_spec
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature


def with_example(
    model: SavedModel,
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    features: Mapping[str, Any] | None = None,
    *,
    only: Collection[str] | None = None,
    key: str = "",
    new_signature_key: str | None = None,
    method: str = "predict",
    output_key: str | None = None,
    labels: Labels = None,
    tags: Tags = None,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
) -> Wrapped:
    """Adds a signature that takes serialized tf.Examples in place of the inputs.

    Args:
        model: The model, edited or not.
        signature_key: The signature.
        features: Input key → what it is called in a record, or what
            :func:`~explorer.runtime.example_options.example_options_for` takes for it: name, default, shape, padding.
        only: The inputs that are fed from records; None for all that can be.
        key: The key of the new input; empty for ``examples``, or ``inputs`` for classify and regress.
        new_signature_key: The key of the new signature; None for ``<signature>_example``, or the method's.
        method: ``predict``, ``classify`` or ``regress``: the requests that the new signature answers.
        output_key: The output that is answered by classify and regress; None for the one that fits best.
        labels: The names of the classes, a list or a text file with one a line; kept among the model's assets.
        tags: The meta graph.
        timeout_s: How long TensorFlow may take to trace a step, in seconds.
        cancel: Ends it when it is set.

    Raises:
        EditError: The inputs can't be fed from records, or no output fits the method.
        RunError: TensorFlow isn't installed, or failed.
    """
    wanted = Wanted(new_signature_key, method, output_key, labels, tags, timeout_s, cancel)
    signature = model.meta_graph(tags).signature(signature_key)
    call = made_by(
        "with_example", features=features, only=None if only is None else list(only), key=key or None,
        method=None if method == "predict" else method, output_key=output_key, labels=labels,
    )  # fmt: skip
    if not features and only is None and (parsed := _parsed_input(model.meta_graph(tags), signature)) is not None:
        return _with_records(model, signature, parsed, key, wanted, call)
    options = example_options_for(signature, features, only=only, method=method, key=key)
    kind = "example" if method == "predict" else method
    return add_signature(
        model, signature_key, ("example", options.to_dict()), wanted,
        usual_key=f"{signature_key}_{kind}", words=example_words(options), reasons=options.reasons,
        made_by=call,
    )  # fmt: skip


def _parsed_input(meta_graph: MetaGraph, signature: Signature) -> str | None:
    """The one input of a signature, where the model parses tf.Examples out of it by itself."""
    if len(signature.inputs) != 1:
        return None
    (key,) = signature.inputs
    return key if feature_spec(meta_graph, signature, key) else None


def _with_records(
    model: SavedModel, signature: Signature, input_key: str, key: str, wanted: Wanted, call: dict[str, object] | None
) -> Wrapped:
    """Only what stands behind the model is new.

    Raises:
        EditError: Nothing would be new.
    """
    already = f"input {quoted(input_key)} takes serialized tf.Examples already"
    if wanted.method == "predict" and wanted.labels is None:
        raise EditError(f"{already}; to answer classify or regress requests as well, ask for that method")
    supervised = wanted.method != "predict"
    if supervised and key not in ("", EXAMPLES_INPUT):
        raise EditError(f"{wanted.method} fills an input named {quoted(EXAMPLES_INPUT)}, so it can't be {quoted(key)}")
    dims = signature.inputs[input_key].shape.dims
    options = {
        "key": EXAMPLES_INPUT if supervised else key or input_key,
        "input_key": input_key,
        "shape": None if dims is None else list(dims),
    }
    kind = wanted.method if supervised else "example"
    return add_signature(
        model, signature.key, ("records", options), wanted, usual_key=f"{signature.key}_{kind}", words=already,
        made_by=call,
    )  # fmt: skip
