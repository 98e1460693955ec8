"""The top level of a body: ``instances``, ``inputs`` or ``examples``, and what else stands there."""

from __future__ import annotations

import difflib
from typing import Final

from explorer.errors import listed, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import Signature
from explorer.serving.lint.draft import Draft
from explorer.serving.lint.keys import meant_inputs, signatures_with
from explorer.serving.lint.tree import WORDS, Node, is_row_object, new_array, new_object, new_string, same_value

_SPELLINGS: Final = {
    "instances": ("instance", "data", "rows", "predict", "samples", "batch", "instance_list", "examples", "example"),
    "inputs": ("input", "columns"),
    "examples": ("example", "instances", "instance", "data", "rows", "inputs", "input", "features"),
}
_NAME_SPELLINGS: Final = ("signature", "signature_key", "signaturename", "signature_def", "signature_name")
_DATA_KEYS: Final = {"predict": ("instances", "inputs"), "classify": ("examples",), "regress": ("examples",)}


def settle_top_level(draft: Draft) -> None:
    """Makes the body an object with one data key of the verb, as far as one can tell what was meant."""
    root = draft.root
    if root.kind != "object":
        key = _DATA_KEYS[draft.verb][0]
        draft.find(
            "error",
            "missing_top_level",
            root,
            f"the body is {WORDS[root.kind]}, and the server wants an object with the data under '{key}'",
            change=f"the data were put under '{key}'",
            stop="" if root.kind != "null" else "there are no data in the body",
        )
        data = root if root.kind == "array" else new_array([root], root)
        draft.root = new_object([(key, data)], root)
        return
    _drop_duplicates(draft, root, "the server takes the first one, and JSON libraries take the last")
    _correct_signature_name_key(draft)
    if draft.verb == "predict":
        _settle_predict_keys(draft)
    else:
        _settle_example_keys(draft)


def rename_member(owner: Node, old: str, new: str) -> None:
    """Gives a member of an object another key."""
    owner.members = [(new if key == old else key, value) for key, value in owner.members]


def remove_member(owner: Node, key: str) -> None:
    """Takes a member out of an object."""
    owner.members = [(name, value) for name, value in owner.members if name != key]


def set_signature_name(draft: Draft, key: str) -> None:
    """Lets the body call a signature; ``serving_default`` needs no name."""
    remove_member(draft.root, "signature_name")
    if key != constants.DEFAULT_SIGNATURE_KEY:
        draft.root.members.insert(0, ("signature_name", new_string(key, draft.root)))


def _drop_duplicates(draft: Draft, owner: Node, rule: str) -> None:
    seen: dict[str, Node] = {}
    kept = []
    for key, value in owner.members:
        if key not in seen:
            seen[key] = value
            kept.append((key, value))
            continue
        is_same = same_value(seen[key], value)
        draft.find(
            "note" if is_same else "warning",
            "duplicate_key",
            value,
            f"the key {quoted(key)} stands there twice; {rule}, so write it once",
            change="the repetition was removed",
            group=("duplicate", key),
        )
    owner.members = kept


def _correct_signature_name_key(draft: Draft) -> None:
    root = draft.root
    if root.get("signature_name") is not None:
        return
    for key, value in root.members:
        spelling = key.lower().replace("-", "_").strip()
        if spelling in _NAME_SPELLINGS and value.kind == "string" and value.text in draft.meta_graph.signatures:
            draft.find(
                "warning",
                "ignored_key",
                value,
                f"the server knows no key {quoted(key)} and passes over it, so that the default signature is called; "
                "the key is 'signature_name'",
                change=f"{quoted(key)} became 'signature_name'",
            )
            rename_member(root, key, "signature_name")
            return


def _settle_predict_keys(draft: Draft) -> None:
    root = draft.root
    instances, inputs = root.get("instances"), root.get("inputs")
    if instances is not None and inputs is not None:
        _choose_one(draft, instances, inputs)
    elif instances is None and inputs is None:
        _find_predict_data(draft)
    _tell_ignored(draft, ("instances", "inputs"))


def _choose_one(draft: Draft, instances: Node, inputs: Node) -> None:
    empty = [key for key, value in (("instances", instances), ("inputs", inputs)) if _is_empty(value)]
    drop = empty[0] if len(empty) == 1 else "inputs" if same_value(instances, inputs) else ""
    draft.find(
        "error",
        "both_keys",
        inputs,
        "the body has both 'instances' (rows) and 'inputs' (columns); the server takes exactly one of them, so leave "
        "one out",
        change=f"'{drop}' was removed" if drop else "",
        stop="" if drop else "it can't be told whether 'instances' or 'inputs' is meant",
    )
    remove_member(draft.root, drop or "inputs")


def _is_empty(node: Node) -> bool:
    return node.kind == "null" or (node.kind in ("array", "object") and not node.items and not node.members)


def _find_predict_data(draft: Draft) -> None:
    root = draft.root
    examples = root.get("examples")
    if examples is not None and examples.kind == "array" and _are_examples(draft, examples):
        return  # said by settle_signature, which knows the signature
    found = _misspelt(root, ("instances", "inputs"))
    data = [(key, value) for key, value in root.members if key != "signature_name"]
    if (
        found is None
        and len(data) == 1
        and _names_no_input(draft, data[0][0])
        and data[0][1].kind in ("array", "object")
    ):
        # The only thing that can be the data, whatever it is called.
        found = data[0][0], "instances" if data[0][1].kind == "array" else "inputs"
    if found is not None:
        key, wanted = found
        value = root.get(key)
        assert value is not None
        if wanted == "instances" and value.kind == "object" and not value.get("b64"):
            lists = bool(value.members) and all(child.kind == "array" for _, child in value.members)
            wanted = "inputs" if lists else wanted
        draft.find(
            "error",
            "wrong_key",
            value,
            f"the data stand under {quoted(key)}; the server looks for 'instances' (rows) or 'inputs' (columns)",
            change=f"{quoted(key)} became '{wanted}'",
        )
        rename_member(root, key, wanted)
        return
    if data:
        draft.find(
            "error",
            "missing_top_level",
            root,
            "the body has neither 'instances' nor 'inputs'; the server looks for one of them, and the keys of the "
            "signature stand inside",
            change="everything was put under 'inputs', one tensor a key",
        )
        inner = new_object(data, root)
        root.members = [(key, value) for key, value in root.members if key == "signature_name"] + [("inputs", inner)]
    else:
        draft.find(
            "error",
            "missing_data",
            root,
            "the body has no data; the server looks for 'instances' (rows) or 'inputs' (columns)",
            stop="there are no data in the body",
        )


def _are_examples(draft: Draft, examples: Node) -> bool:
    """Whether 'examples' holds records rather than rows of some signature."""
    keys = next((item.names() for item in examples.items if item.kind == "object"), [])
    if any(item.kind != "object" for item in examples.items) or not examples.items:
        return False
    name = draft.root.get("signature_name")
    key = name.text if name is not None and name.text else draft.wanted_key or constants.DEFAULT_SIGNATURE_KEY
    signature = draft.meta_graph.signatures.get(key)
    if signature is None or set(keys) <= set(signature.inputs):
        return False
    texts = [info.dtype.base.number == constants.DT_STRING for info in signature.inputs.values()]
    return texts == [True] and not meant_inputs(keys, signature) or _takes_examples(signature)


def _takes_examples(signature: Signature) -> bool:
    return signature.method_name in (constants.CLASSIFY_METHOD_NAME, constants.REGRESS_METHOD_NAME)


def _names_no_input(draft: Draft, key: str) -> bool:
    inputs = {name for signature in draft.meta_graph.callable_signatures.values() for name in signature.inputs}
    folded = {name.casefold() for name in inputs}
    return key.casefold() not in folded and not difflib.get_close_matches(key, inputs, n=1, cutoff=0.75)


def _misspelt(root: Node, wanted: tuple[str, ...]) -> tuple[str, str] | None:
    """A key that is like one of those that the server looks for, and that one."""
    keys = [key for key in root.names() if key != "signature_name"]
    for key in keys:
        plain = key.strip().lower()
        for name in wanted:
            if plain == name:
                return key, name
    for name in wanted:
        for key in keys:
            if key.strip().lower() in _SPELLINGS[name]:
                return key, name
    for key in keys:
        close = difflib.get_close_matches(key.lower(), wanted, n=1, cutoff=0.75)
        if close:
            return key, close[0]
    return None


def _settle_example_keys(draft: Draft) -> None:
    root = draft.root
    if root.get("examples") is None:
        found = _misspelt(root, ("examples",))
        value = root.get(found[0]) if found else None
        if found is None or value is None:
            _wrap_example(draft)
            return
        draft.find(
            "error",
            "wrong_key",
            value,
            f"the data stand under {quoted(found[0])}; for :{draft.verb} the server looks for 'examples', a list of "
            "objects, one a record",
            change=f"{quoted(found[0])} became 'examples'",
        )
        rename_member(root, found[0], "examples")
    _tell_ignored(draft, ("examples", "context"))


def _wrap_example(draft: Draft) -> None:
    """A body without any data key: the features of one record, or nothing."""
    root = draft.root
    features = [(key, value) for key, value in root.members if key not in ("signature_name", "context")]
    draft.find(
        "error",
        "missing_top_level",
        root,
        f"the body has no 'examples'; for :{draft.verb} the server looks for that list of objects, one a record",
        change="the features were put under 'examples'" if features else "",
        stop="" if features else "there are no data in the body",
    )
    if features:
        record = new_object(features, root)
        root.members = [entry for entry in root.members if entry not in features]
        root.members.append(("examples", new_array([record], root)))


def _tell_ignored(draft: Draft, known: tuple[str, ...]) -> None:
    for key, value in draft.root.members:
        if key in (*known, "signature_name"):
            continue
        if key == "context" or key in ("instances", "inputs", "examples"):
            message = f"'{key}' has no effect with :{draft.verb}; the server passes over it"
        elif key == "output_filter":
            message = "'output_filter' works by gRPC only; the server passes over it here and answers all outputs"
        else:
            message = f"the server knows no key {quoted(key)} and passes over it"
        draft.find("note", "ignored_key", value, message)


def settle_list_or_columns(draft: Draft) -> None:
    """Moves columns out of ``instances``, and rows out of ``inputs``."""
    root, signature = draft.root, draft.signature
    assert signature is not None
    instances, inputs = root.get("instances"), root.get("inputs")
    if instances is not None and instances.kind == "object" and is_row_object(instances):
        is_columns = bool(instances.members) and all(value.kind == "array" for _, value in instances.members)
        if is_columns and not _is_one_row(instances, signature):
            draft.find(
                "error",
                "columns_in_instances",
                instances,
                "'instances' holds one object of lists, the column form; 'instances' is a list with one object a row, "
                "and columns stand under 'inputs'",
                change="'instances' became 'inputs'",
            )
            rename_member(root, "instances", "inputs")
            return
    if instances is not None and instances.kind != "array":
        draft.find(
            "error",
            "instances_no_list",
            instances,
            f"'instances' is {WORDS[instances.kind]}, and the server wants a list there, one element a row",
            change="it was put into a list, as the only row",
            stop="there are no data in the body" if instances.kind == "null" else "",
        )
        root.members = [
            (key, new_array([value], value) if key == "instances" else value) for key, value in root.members
        ]
    elif inputs is not None and inputs.kind == "array" and inputs.items and all(map(is_row_object, inputs.items)):
        first = inputs.items[0].names()
        if len(signature.inputs) > 1 or any(key in signature.inputs for key in first) or meant_inputs(first, signature):
            draft.find(
                "error",
                "rows_in_inputs",
                inputs,
                "'inputs' holds a list of objects, the row form; 'inputs' is one object with one tensor an input, and "
                "rows stand under 'instances'",
                change="'inputs' became 'instances'",
            )
            rename_member(root, "inputs", "instances")


def _is_one_row(node: Node, signature: Signature) -> bool:
    """Whether an object of lists is a row, because each list has one dimension less than declared."""
    for key, value in node.members:
        info = signature.inputs.get(key)
        rank = None if info is None else info.shape.rank
        depth, inner = 0, value
        while inner.kind == "array" and inner.items:
            depth, inner = depth + 1, inner.items[0]
        if rank is None or depth != rank - 1:
            return False
    return True


def other_signature(draft: Draft, keys: list[str], signature: Signature) -> str | None:
    """The one other signature that takes exactly these inputs, where this one doesn't."""
    if set(keys) == set(signature.inputs):
        return None
    found = signatures_with(draft.meta_graph, keys, signature.key)
    return found[0] if len(found) == 1 else None


def listed_signatures(draft: Draft) -> str:
    """The signatures that can be called, for a sentence."""
    return f"available: {listed(draft.meta_graph.callable_signatures)}"
