"""Which signature a body calls, and which one it means."""

from __future__ import annotations

import difflib

from explorer.errors import quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import Signature
from explorer.serving.lint.draft import Draft
from explorer.serving.lint.keys import meant_inputs, signatures_with
from explorer.serving.lint.top_level import listed_signatures, remove_member, set_signature_name
from explorer.serving.lint.tree import WORDS, Node, is_row_object, shown


def settle_signature(draft: Draft) -> None:
    """Finds the signature that the body is for, and corrects ``signature_name``."""
    named = draft.root.get("signature_name")
    if named is not None and named.kind != "string":
        written = named.raw if named.raw in draft.meta_graph.signatures else ""
        is_void = named.kind == "null"
        draft.find(
            "error",
            "signature_name_type",
            named,
            f"'signature_name' is {WORDS[named.kind]}, and the server takes a string there or nothing at all",
            change=f'it became "{written}"' if written else "it was removed" if is_void else "",
            stop="" if written or is_void else f"it can't be told which signature {shown(named)} means",
        )
        remove_member(draft.root, "signature_name")
        if written:
            set_signature_name(draft, written)
        named = draft.root.get("signature_name")
    signatures = draft.meta_graph.signatures
    if named is None or not named.text:
        _settle_unnamed(draft)
    elif named.text not in signatures:
        _settle_unknown(draft, named)
    else:
        draft.signature = signatures[named.text]
    if draft.signature is not None:
        _check_callable(draft, draft.signature, named)


def _settle_unnamed(draft: Draft) -> None:
    default = draft.meta_graph.signatures.get(constants.DEFAULT_SIGNATURE_KEY)
    wanted = draft.wanted_key
    if wanted is not None and wanted != constants.DEFAULT_SIGNATURE_KEY and wanted in draft.meta_graph.signatures:
        draft.find(
            "error" if default is None else "warning",
            "missing_signature_name",
            draft.root,
            f"the body names no signature, so that the server calls 'serving_default', not {quoted(wanted)}; there is "
            "no other fallback, so name it in 'signature_name'",
            change=f"'signature_name' {quoted(wanted)} was added",
        )
        _call(draft, wanted)
        return
    found = _by_content(draft, default)
    if default is None:
        draft.find(
            "error",
            "missing_signature_name",
            draft.root,
            "the body names no signature, and the model has no 'serving_default', which alone is called then: name one "
            f"in 'signature_name'; {listed_signatures(draft)}",
            change=f"'signature_name' {quoted(found)} was added" if found else "",
            stop="" if found else "it can't be told which signature is meant",
        )
        if found:
            _call(draft, found)
    elif found and found != default.key:
        reason = f"takes {_keys_text(default)}" if draft.verb == "predict" else f"can't answer :{draft.verb}"
        draft.find(
            "error",
            "wrong_signature",
            draft.root,
            f"the body names no signature, so that the server calls 'serving_default', which {reason}; what is sent "
            f"fits {quoted(found)}: name it in 'signature_name'",
            change=f"'signature_name' {quoted(found)} was added",
        )
        _call(draft, found)
    else:
        draft.signature = default


def _settle_unknown(draft: Draft, named: Node) -> None:
    keys = list(draft.meta_graph.callable_signatures)
    folded = {key.casefold(): key for key in keys}
    close = difflib.get_close_matches(named.text, keys, n=1)
    found = folded.get(named.text.strip().casefold()) or (close[0] if close else "")
    if not found and draft.wanted_key in keys:
        found = draft.wanted_key or ""
    if not found:
        found = keys[0] if len(keys) == 1 else _by_content(draft, None)
    draft.find(
        "error",
        "wrong_signature",
        named,
        f"the model has no signature {quoted(named.text)}; {listed_signatures(draft)}",
        change=f"{quoted(named.text)} became {quoted(found)}" if found else "",
        stop="" if found else f"it can't be told which signature {quoted(named.text)} means",
    )
    if found:
        _call(draft, found)


def _call(draft: Draft, key: str) -> None:
    draft.signature = draft.meta_graph.signatures[key]
    set_signature_name(draft, key)


def _by_content(draft: Draft, default: Signature | None) -> str:
    """The one signature that fits what is sent; empty where several do, or the default one does as well."""
    if draft.verb != "predict":
        if default is not None and answers_examples(default, draft.verb):
            return default.key
        fitting = [
            key for key, signature in draft.meta_graph.callable_signatures.items()
            if answers_examples(signature, draft.verb)
        ]  # fmt: skip
        return fitting[0] if len(fitting) == 1 else ""
    keys = sent_keys(draft)
    if default is None:
        every = list(draft.meta_graph.callable_signatures)
        if len(every) == 1:
            return every[0]
    elif not keys or set(keys) <= set(default.inputs) or len(meant_inputs(keys, default)) == len(default.inputs) == 1:
        only_name = set(keys) != set(default.inputs) and len(signatures_with(draft.meta_graph, keys)) == 1
        if not only_name:
            return default.key
    fitting = signatures_with(draft.meta_graph, keys)
    return fitting[0] if len(fitting) == 1 else ""


def sent_keys(draft: Draft) -> list[str]:
    """The input keys of a predict body, none where it doesn't name them."""
    root = draft.root
    data = root.get("instances") or root.get("inputs")
    if data is not None and data.kind == "array":
        data = next((item for item in data.items if is_row_object(item)), None)
    return data.names() if data is not None and is_row_object(data) else []


def answers_examples(signature: Signature, verb: str) -> bool:
    """Whether a signature has the keys that ``:classify`` or ``:regress`` needs.

    See ``classifier.cc`` and ``regressor.cc`` in
    https://github.com/tensorflow/serving/tree/master/tensorflow_serving/servables/tensorflow.
    """
    outputs = set(signature.outputs)
    if set(signature.inputs) != {"inputs"}:
        return False
    if verb == "regress":
        return outputs == {"outputs"}
    return bool(outputs & {"classes", "scores"}) and len(outputs) <= 2


def _check_callable(draft: Draft, signature: Signature, named: Node | None) -> None:
    place = named or draft.root
    if not signature.inputs or signature.is_reserved:
        draft.find(
            "error",
            "no_inputs",
            place,
            f"the signature {quoted(signature.key)} "
            + ("is reserved for loaders" if signature.is_reserved else "has no inputs")
            + f", and the server calls no such signature; {listed_signatures(draft)}",
            stop=f"the signature {quoted(signature.key)} can't be called",
        )
        draft.signature = None
    elif draft.verb != "predict" and not answers_examples(signature, draft.verb):
        wanted = "one output 'outputs'" if draft.verb == "regress" else "outputs 'classes' or 'scores'"
        draft.find(
            "error",
            "wrong_verb",
            place,
            f"the signature {quoted(signature.key)} can't answer :{draft.verb}, which needs the one input 'inputs' and "
            f"{wanted}, and this one has {_keys_text(signature)} and outputs {_outputs_text(signature)}; send the "
            "values to :predict",
            stop=f"no body makes {quoted(signature.key)} answer :{draft.verb}",
        )
        draft.signature = None


def _keys_text(signature: Signature) -> str:
    from explorer.errors import listed

    return f"the inputs {listed(signature.inputs)}"


def _outputs_text(signature: Signature) -> str:
    from explorer.errors import listed

    return listed(signature.outputs)
