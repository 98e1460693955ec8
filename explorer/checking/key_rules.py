"""Which keys of signatures, inputs and outputs some consumer can't use, as tried with TensorFlow 2.21."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from typing import Any

from explorer.checking.findings import Finding
from explorer.checking.scope import Scope
from explorer.errors import printable_name, quoted
from explorer.savedmodel import constants

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PLAIN_ANYWHERE = re.compile(r"[A-Za-z0-9_./:$-]+")


def check_keys(scope: Scope) -> Iterator[Finding]:
    """Examines the keys of a signature, and that its defaults belong to inputs."""
    if scope.signature.is_reserved:
        return
    yield from _check_signature_key(scope)
    for key in scope.signature.inputs:
        yield from _check_input_key(scope, key)
    for key in scope.signature.outputs:
        yield from _check_output_key(scope, key)
    for key in scope.signature.defaults:
        if key not in scope.signature.inputs:
            yield scope.finding(
                "error",
                "default_without_input",
                f"{scope.name} has a default value for {quoted(key)}, which is none of its inputs",
                field="input",
                key=key,
                subject=key,
            )


def _check_signature_key(scope: Scope) -> Iterator[Finding]:
    key = scope.signature.key
    if not key:
        yield scope.finding(
            "warning",
            "empty_key",
            "a signature has an empty key: TensorFlow Serving takes an empty name for serving_default, "
            "so it can't be called there",
            "rename it",
            field="key",
            subject=key,
            edit=_rename_signature(scope),
        )
    elif not _PLAIN_ANYWHERE.fullmatch(key):
        yield _odd_key(scope, f"the key of {scope.name}", "key", None, key)


def _check_input_key(scope: Scope, key: str) -> Iterator[Finding]:
    where = scope.of("input", key)
    refused = f"the key of {where} is empty" if not key else f"{where} is named by a word of the Python language"
    if not key or keyword.iskeyword(key):
        yield scope.finding(
            "error",
            "python_keyword" if key else "empty_key",
            f"{refused}: tf.saved_model.load refuses the whole model",
            "rename it",
            field="input",
            key=key,
            subject=key,
            edit=_rename_input(scope, key),
        )
    elif key == "self":
        yield scope.finding(
            "error",
            "self_key",
            f"{where} is named 'self': after tf.saved_model.load the signature can't be called",
            "rename it",
            field="input",
            key=key,
            subject=key,
            edit=_rename_input(scope, key),
        )
    elif not _PLAIN.fullmatch(key):
        yield scope.finding(
            "warning",
            "key_not_resavable",
            f"the key of {where} has other characters than A-Z, a-z, 0-9, '_', '.', '-', or begins with one of these "
            "three: servers and loaders take it, but tf.saved_model.save refuses to save the loaded model again",
            "choose a plainer key if the model shall be saved again",
            field="input",
            key=key,
            subject=key,
        )


def _check_output_key(scope: Scope, key: str) -> Iterator[Finding]:
    if not key:
        yield scope.finding(
            "warning",
            "empty_key",
            f"an output of {scope.name} has an empty key, which few clients can ask for",
            "rename it",
            field="output",
            key=key,
            subject=key,
        )
    elif not _PLAIN_ANYWHERE.fullmatch(key):
        yield _odd_key(scope, f"the key of {scope.of('output', key)}", "output", key, key)


def _odd_key(scope: Scope, what: str, field: Any, key: str | None, text: str) -> Finding:
    invisible = printable_name(text, longest=len(text)) != text
    return scope.finding(
        "warning" if invisible else "note",
        "odd_key",
        f"{what} has {'invisible characters' if invisible else 'characters that are easily mistyped'}: "
        "every consumer takes it, but a client must write it exactly so",
        "choose letters, digits, '_', '.' and '-'",
        field=field,
        key=key,
        subject=text,
    )


def _rename_input(scope: Scope, key: str) -> Mapping[str, Any] | None:
    """A recipe entry that renames an input, None where there is none that can be applied."""
    new_key = f"{key or 'input'}_"
    if scope.meta_graph.has_object_graph or new_key in scope.signature.inputs:
        return None
    return scope.edit("rename_input", input_key=key, new_key=new_key)


def _rename_signature(scope: Scope) -> Mapping[str, Any] | None:
    if constants.DEFAULT_SIGNATURE_KEY in scope.meta_graph.signatures:
        return None
    return scope.edit("rename_signature", new_key=constants.DEFAULT_SIGNATURE_KEY)
