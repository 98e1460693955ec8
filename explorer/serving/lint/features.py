"""Records of ``:classify`` and ``:regress``: features as JSON, and what the model's parser wants of them.

What a JSON value becomes is in ``MakeExampleFromJsonObject`` of
https://github.com/tensorflow/serving/blob/master/tensorflow_serving/util/json_tensor.cc: the first element of a feature
decides whether it is a list of int64, of floats or of bytes.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Final

from explorer.errors import listed, quoted
from explorer.savedmodel.feature_spec import Feature, feature_spec
from explorer.serving.lint.draft import Draft
from explorer.serving.lint.readers import TextReaders
from explorer.serving.lint.texts import check_text
from explorer.serving.lint.tree import NUMBERS, WORDS, Node, is_base64, new_array, new_object, shown
from explorer.serving.lint.words import read_word

Spec = Mapping[str, Feature]

_KINDS: Final = {1: "float", 9: "int64", 7: "bytes"}
_INT64: Final = (-(2**63), 2**63 - 1)


def check_examples(draft: Draft) -> None:
    """Looks at the records of a body whose top level and signature are settled."""
    assert draft.signature is not None
    spec = feature_spec(draft.meta_graph, draft.signature)
    examples = draft.root.get("examples")
    assert examples is not None
    if examples.kind != "array":
        draft.find(
            "error",
            "examples_no_list",
            examples,
            f"'examples' is {WORDS[examples.kind]}, and the server wants a list of objects there, one a record",
            change="it was put into a list, as the only record" if examples.kind == "object" else "",
            stop="" if examples.kind == "object" else "it can't be told what the records are",
        )
        examples = new_array([examples], examples)
        draft.root.members = [(key, examples if key == "examples" else value) for key, value in draft.root.members]
    if not examples.items:
        draft.find(
            "error",
            "no_rows",
            examples,
            "'examples' is empty, and the server wants at least one record",
            stop="there is no record in the body",
        )
    context = draft.root.get("context")
    if context is not None and context.kind != "object":
        draft.find(
            "error",
            "context_no_object",
            context,
            f"'context' is {WORDS[context.kind]}, and the server wants an object of features that all records share",
            change="it was removed" if context.kind == "null" else "",
            stop="" if context.kind == "null" else "it can't be told which features 'context' holds",
        )
        draft.root.members = [(key, value) for key, value in draft.root.members if key != "context"]
        context = None
    shared: set[str] = set()
    if context is not None:
        _check_record(draft, context, spec)
        shared = set(context.names())
    for record in examples.items:
        if _settle_record(draft, record, spec):
            _check_record(draft, record, spec)
            _tell_missing(draft, record, spec, shared)


def _settle_record(draft: Draft, record: Node, spec: Spec) -> bool:
    """Makes a record an object; False where one can't."""
    if record.kind == "object" and not (is_base64(record) and "b64" not in spec):
        return True
    only = next(iter(spec)) if len(spec) == 1 else ""
    is_record = is_base64(record)
    draft.find(
        "error" if not is_record else "warning",
        "example_no_object",
        record,
        "a record in base64 is sent to :predict; here it counts as a feature called 'b64'"
        if is_record
        else f"a record is {WORDS[record.kind]}, and the server wants an object from feature name to value"
        + (f"; the model asks for {listed(spec)}" if spec else ""),
        change=f"it became the feature {quoted(only)}" if only and not is_record else "",
        stop="" if only and not is_record else "it can't be told which features these values are",
        group="record",
    )
    if only and not is_record:
        value = Node(record.kind, record.start, raw=record.raw, text=record.text)
        value.items = record.items
        value.parent, value.step = record.parent, record.step
        record.become(new_object([(only, value)], record))
        return True
    return False


def _check_record(draft: Draft, record: Node, spec: Spec) -> None:
    last = dict(record.members)
    for key, value in record.members:
        if value is not last[key]:
            draft.find(
                "warning",
                "duplicate_key",
                value,
                f"the feature {quoted(key)} stands there twice; the server takes the last one, so write it once",
                change="the repetition was removed",
                group=("repeated", key),
            )
    record.members = list(last.items())
    _rename_features(draft, record, spec)
    kept = []
    for key, value in record.members:
        if value.kind == "null":
            draft.find(
                "error",
                "null",
                value,
                f"the feature {quoted(key)} is null, which the server never takes; leave out a feature without value",
                change="the feature was left out",
                group=key,
            )
        else:
            _check_feature(draft, key, value, spec.get(key))
            kept.append((key, value))
    record.members = kept


def _rename_features(draft: Draft, record: Node, spec: Spec) -> None:
    if not spec:
        return
    free = [name for name in spec if record.get(name) is None]
    for key in record.names():
        value = record.get(key)
        if key in spec or value is None:
            continue
        close = difflib.get_close_matches(key, free, n=1) or [
            name for name in free if name.casefold() == key.strip().casefold()
        ]
        required = [name for name in free if spec[name].required]
        if not close and len(record.names()) == len(required) == 1:
            close = required
        draft.find(
            "warning",
            "unknown_feature",
            value,
            f"the model asks for no feature {quoted(key)} and passes over it; it asks for {listed(spec)}",
            change=f"{quoted(key)} became {quoted(close[0])}" if close else "",
            group=key,
        )
        if close:
            record.members = [(close[0] if name == key else name, other) for name, other in record.members]
            free.remove(close[0])


def _tell_missing(draft: Draft, record: Node, spec: Spec, shared: set[str]) -> None:
    for name, feature in spec.items():
        value = record.get(name)
        if feature.required and name not in shared and (value is None or (value.kind == "array" and not value.items)):
            draft.find(
                "error",
                "missing_feature",
                record,
                f"the feature {quoted(name)} is missing; the model requires {feature.dtype}{feature.shape} and has no "
                "default, so that its parser refuses the record",
                stop=f"nobody can know the value of {quoted(name)}",
                group=name,
            )


def _check_feature(draft: Draft, key: str, value: Node, feature: Feature | None) -> None:
    if value.kind == "array" and any(item.kind == "array" for item in value.items):
        _flatten(draft, key, value)
    values = value.items if value.kind == "array" else [value]
    _drop_nulls(draft, key, value)
    values = value.items if value.kind == "array" else [value]
    if not values:
        return
    number = feature.dtype.number if feature is not None else _meant_number(values)
    if number == 7:
        for item in values:
            check_text(draft, key, item, TextReaders())
    elif number is None:
        for item in values:
            if item.kind == "object" and not is_base64(item):
                check_text(draft, key, item, TextReaders())
        _tell_mixed(draft, key, values)
    else:
        for item in values:
            _check_number(draft, key, item, number, feature is not None, values[0])
    size = None if feature is None else feature.size
    if size is not None and len(values) != size and feature is not None:
        draft.find(
            "error",
            "wrong_size",
            value,
            f"the feature {quoted(key)} has {len(values)} value{'s' if len(values) > 1 else ''}, and the model asks "
            f"for {feature.dtype}{feature.shape}, which is {size}; its parser refuses the record",
            stop=f"{quoted(key)} needs {size} value{'s' if size != 1 else ''}",
            group=(key, "size"),
        )
    if feature is None and number == 9 and all(item.kind == "integer" for item in values):
        draft.find(
            "note",
            "int_feature",
            values[0],
            f"{shown(values[0])} makes {quoted(key)} an int64 feature; a float feature must be written with a point, "
            f"as {shown(values[0])}.0",
            group=key,
        )


def _meant_number(values: list[Node]) -> int | None:
    """The dtype of a feature that the model doesn't tell; numbers with and without a point are floats."""
    kinds = {item.kind for item in values}
    if kinds <= {"string", "object"} and all(item.kind == "string" or is_base64(item) for item in values):
        return 7
    if kinds <= {"integer", "bool"}:
        return 9
    return 1 if kinds <= {"integer", "real"} else None


def _flatten(draft: Draft, key: str, value: Node) -> None:
    flat: list[Node] = []
    pending = list(reversed(value.items))
    while pending:
        item = pending.pop()
        if item.kind == "array":
            pending += reversed(item.items)
        else:
            flat.append(item)
    draft.find(
        "error",
        "nested_feature",
        value,
        f"the feature {quoted(key)} is a list of lists; a tf.Example holds flat lists only, and the model's parser "
        "gives them their shape",
        change="the lists were joined into one",
        group=(key, "nested"),
    )
    value.items = flat


def _drop_nulls(draft: Draft, key: str, value: Node) -> None:
    if value.kind != "array" or not any(item.kind == "null" for item in value.items):
        return
    first = next(item for item in value.items if item.kind == "null")
    draft.find(
        "error",
        "null",
        first,
        f"null stands in the feature {quoted(key)}, and the server never takes null",
        stop=f"nobody can know the number that null stands for in {quoted(key)}",
        group=key,
    )
    value.items = [item for item in value.items if item.kind != "null"]


def _tell_mixed(draft: Draft, key: str, values: list[Node]) -> None:
    kind = values[0].kind
    odd = next((item for item in values if item.kind != kind), None)
    if odd is not None:
        draft.find(
            "error",
            "mixed_feature",
            odd,
            f"{shown(odd)} stands in the feature {quoted(key)} beside {shown(values[0])}; the first element decides "
            "what a feature holds, and all others must be like it",
            stop=f"it can't be told whether {quoted(key)} holds texts or numbers",
            group=key,
        )


def _check_number(draft: Draft, key: str, node: Node, number: int, is_known: bool, first: Node) -> None:
    """One element of a feature of floats or int64."""
    if node.kind == "string":
        _number_from_text(draft, key, node, number)
    if node.kind == "object":
        draft.find(
            "error",
            "object_for_number",
            node,
            f"an object stands in the feature {quoted(key)}, which holds {_KINDS[number]} values",
            stop=f"it can't be told which number {quoted(key)} should get",
            group=key,
        )
    elif node.kind == "bool" and number == 1:
        written = "1.0" if node.raw == "true" else "0.0"
        _replace(draft, key, node, "real", written, "bool_for_number", "is a bool, which the server makes int64")
    elif node.kind == "integer" and number == 1:
        written = f"{node.raw}.0" if len(node.raw) < 17 else f"{node.raw}e0"
        code = "int_for_float" if is_known else "mixed_feature"
        why = (
            "is written without a point, which makes it int64 in a tf.Example, and the model parses floats"
            if is_known
            else "is written without a point beside decimal numbers; the first element decides, and all must be alike"
        )
        _replace(draft, key, node, "real", written, code, why)
    elif node.kind == "real" and number == 9:
        value = float(node.raw)
        exact = math.isfinite(value) and value == int(value) and abs(value) <= 2**53
        why = "is a decimal number, which makes it a float in a tf.Example, and the model parses int64"
        if exact:
            _replace(draft, key, node, "integer", str(int(value)), "float_for_int", why)
        else:
            draft.find("error", "float_for_int", node, f"{shown(node)} of the feature {quoted(key)} {why}",
                       stop=f"{shown(node)} is no whole number", group=(key, "float_for_int"))  # fmt: skip
    elif node.kind == "integer" and not (len(node.raw) < 25 and _INT64[0] <= int(node.raw) <= _INT64[1]):
        draft.find(
            "error",
            "out_of_range",
            node,
            f"{shown(node)} of the feature {quoted(key)} is no int64, and a tf.Example has no larger whole numbers",
            stop=f"{shown(node)} doesn't fit int64",
            group=key,
        )


def _number_from_text(draft: Draft, key: str, node: Node, number: int) -> None:
    found = read_word(node.text.strip()) if node.text.strip() else None
    fits = found is not None and found.kind in NUMBERS and not found.stop
    draft.find(
        "error",
        "string_for_number",
        node,
        f"{shown(node)} is a string, and the feature {quoted(key)} holds {_KINDS[number]} values; write it without "
        "quotation marks",
        change=f"{shown(node)} became a number" if fits else "",
        stop="" if fits else f"{shown(node)} is no number",
        group=(key, "string"),
    )
    if fits and found is not None and found.kind is not None:
        raw = found.raw
        if number == 1 and found.kind == "integer":  # said already
            node.set("real", f"{raw}.0" if len(raw) < 17 else f"{raw}e0")
        else:
            node.set(found.kind, raw)


def _replace(draft: Draft, key: str, node: Node, kind: str, written: str, code: str, why: str) -> None:
    old = shown(node)
    draft.find(
        "error",
        code,
        node,
        f"{old} of the feature {quoted(key)} {why}: write {written}",
        change=f"{old} became {written}",
        group=(key, code),
    )
    node.set("real" if kind == "real" else "integer", written)
