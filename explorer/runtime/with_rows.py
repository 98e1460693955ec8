"""A signature that takes a row of a table in one text: a serialized tf.Example, a line of CSV, a JSON object."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from explorer.checking.method_rules import EXAMPLES_INPUT
from explorer.errors import EditError, quoted
from explorer.runtime.example_options import example_options_for, example_words
from explorer.runtime.made_by import made_by
from explorer.runtime.steps.trace import TIMEOUT_S
from explorer.runtime.table_options import table_options_for, table_words
from explorer.runtime.wrapped import Labels, Tags, Wanted, Wrapped, add_signature, expect_predict
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


def with_csv(
    model: SavedModel,
    signature_key: str = constants.DEFAULT_SIGNATURE_KEY,
    columns: Sequence[str | None] | None = None,
    *,
    features: Mapping[str, Any] | None = None,
    only: Collection[str] | None = None,
    delimiter: str = ",",
    key: str = "",
    new_signature_key: str | None = None,
    method: str = "predict",
    output_key: str | None = None,
    labels: Labels = None,
    tags: Tags = None,
    timeout_s: float = TIMEOUT_S,
    cancel: threading.Event | None = None,
) -> Wrapped:
    """Adds a signature that takes a row of a table as one line of CSV.

    Args:
        model: The model, edited or not.
        signature_key: The signature.
        columns: The order of the columns, by input keys, with None for one that nothing takes; an input of several
            values takes as many columns. None for the inputs in the order of the signature.
        features: Input key → its name, or what :func:`~explorer.runtime.table_options.table_options_for` takes for it.
        only: The inputs that are fed from the line; None for all that can be.
        delimiter: What stands between two fields.
        key: The key of the new input; empty for ``csv``.
        new_signature_key: The key of the new signature; None for ``<signature>_csv``.
        method: ``"predict"``; the other methods send tf.Examples.
        output_key: The output with the scores, for ``labels``; None for the one that fits best.
        labels: The names of the classes, a list or a text file with one a line: the new signature answers ``classes``
            and ``scores`` as well.
        tags: The meta graph.
        timeout_s: How long TensorFlow may take to trace a step, in seconds.
        cancel: Ends it when it is set.

    Raises:
        EditError: The inputs can't be fed from such rows.
        RunError: TensorFlow isn't installed, or failed.
    """
    wanted = Wanted(new_signature_key, method, output_key, labels, tags, timeout_s, cancel)
    given = {"columns": columns, "features": features, "only": only, "delimiter": delimiter, "key": key}
    return _with_table("csv", model, signature_key, wanted, given)


def with_json(
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
    """Adds a signature that takes a row of a table as the text of one JSON object; arguments as for CSV."""
    wanted = Wanted(new_signature_key, method, output_key, labels, tags, timeout_s, cancel)
    return _with_table("json", model, signature_key, wanted, {"features": features, "only": only, "key": key})


def _with_table(kind: str, model: SavedModel, signature_key: str, wanted: Wanted, given: Mapping[str, Any]) -> Wrapped:
    expect_predict(wanted)
    options = table_options_for(kind, model.meta_graph(wanted.tags).signature(signature_key), **given)
    said = {name: value for name, value in given.items() if value and (name, value) != ("delimiter", ",")}
    if given["only"] is not None:
        said["only"] = list(given["only"])
    return add_signature(
        model, signature_key, (kind, options.to_dict()), wanted,
        usual_key=f"{signature_key}_{kind}", words=table_words(options), reasons=options.reasons,
        made_by=made_by(f"with_{kind}", output_key=wanted.output_key, labels=wanted.labels, **said),
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
