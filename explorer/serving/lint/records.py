"""Records sent to ``:predict`` as JSON objects of features, which only ``:classify`` and ``:regress`` read."""

from __future__ import annotations

import base64

from explorer.errors import RequestError, quoted
from explorer.savedmodel import constants
from explorer.serving.lint.draft import Draft
from explorer.serving.lint.features import check_examples
from explorer.serving.lint.readers import text_readers
from explorer.serving.lint.top_level import remove_member
from explorer.serving.lint.tree import Node, is_row_object, json_text, new_array, new_object, new_string


def settle_records(draft: Draft) -> None:
    """Turns records in a predict body into serialized ones, which is how ``:predict`` takes them."""
    signature = draft.signature
    if draft.verb != "predict" or signature is None or len(signature.inputs) != 1:
        return
    ((key, info),) = signature.inputs.items()
    if info.dtype.base.number != constants.DT_STRING or not text_readers(draft.meta_graph, info).records:
        if draft.root.get("examples") is not None:
            _refuse(draft, draft.root.get("examples") or draft.root)
        return
    root = draft.root
    place = next((name for name in ("examples", "instances") if root.get(name) is not None), "")
    examples = root.get(place) if place else None
    if examples is None or examples.kind != "array" or not examples.items:
        return
    if not all(_is_record(item, key) for item in examples.items):
        return
    draft.find(
        "error",
        "wrong_verb",
        examples,
        f"the records are written as objects of features, which only :classify and :regress read; :predict wants each "
        f"as a serialized tf.Example in base64 for {quoted(key)}",
        change="each record became a serialized tf.Example in base64",
    )
    members = [("examples", examples)]
    if (context := root.get("context")) is not None:
        members.append(("context", context))
    kept = [(name, value) for name, value in root.members if name == "signature_name"]
    draft.root = new_object([*kept, *members], root)
    check_examples(draft)
    draft.root = new_object([*kept, ("instances", _serialized(draft, examples))], root)


def _is_record(item: Node, key: str) -> bool:
    return is_row_object(item) and bool(item.members) and key not in item.names() and "b64" not in item.names()


def _serialized(draft: Draft, examples: Node) -> Node:
    from explorer.serving.examples import parse_examples

    records = new_object([("examples", draft.root.get("examples") or examples)], draft.root)
    if (context := draft.root.get("context")) is not None:
        records.members.append(("context", context))
    try:
        parsed = parse_examples(json_text(records).encode("utf-8"), "classify")
    except (RequestError, UnicodeEncodeError) as error:
        draft.find("error", "wrong_verb", examples, "the records can't be serialized", stop=str(error))
        return examples
    texts = [base64.b64encode(record).decode("ascii") for record in parsed.tensor.texts]
    return new_array([new_object([("b64", new_string(text, examples))], examples) for text in texts], examples)


def _refuse(draft: Draft, examples: Node) -> None:
    draft.find(
        "error",
        "wrong_verb",
        examples,
        "'examples' is what :classify and :regress take; :predict looks for 'instances' (rows) or 'inputs' (columns)",
        stop="it can't be told which inputs these features are",
    )
    remove_member(draft.root, "examples")
