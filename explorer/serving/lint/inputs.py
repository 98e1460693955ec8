"""The keys of a predict request: which value belongs to which input of the signature."""

from __future__ import annotations

from explorer.errors import RequestError, listed, quoted
from explorer.savedmodel.model import Signature
from explorer.serving.lint.draft import Draft
from explorer.serving.lint.keys import available_inputs, meant_inputs
from explorer.serving.lint.texts import decode_base64
from explorer.serving.lint.top_level import rename_member
from explorer.serving.lint.tree import (
    Node,
    is_base64,
    is_row_object,
    new_array,
    new_object,
    new_string,
    same_value,
    shown,
)

Cells = dict[str, list[Node]]
"""Input key → its values: one a row, or the one column."""


def row_cells(draft: Draft, rows: Node, signature: Signature) -> Cells | None:
    """Corrects the keys of rows.

    Args:
        draft: The body.
        rows: The list under ``instances``.
        signature: What is called.

    Returns:
        The values by input, in the order of the rows; None where they can't be told apart.
    """
    only = next(iter(signature.inputs)) if len(signature.inputs) == 1 else ""
    if only == "b64":
        _settle_b64_input(draft, rows.items)
    named = [row for row in rows.items if _names_inputs(row, signature)]
    if not named:
        if only:
            return {only: rows.items}
        draft.find(
            "error",
            "plain_rows",
            rows.items[0],
            f"a row is {shown(rows.items[0])}, and the signature {quoted(signature.key)} has several inputs; write "
            f"each row as an object with the keys {listed(signature.inputs)}",
            stop="it can't be told which value belongs to which input",
        )
        return None
    if len(named) < len(rows.items) and not _settle_mixed(draft, rows, named, only):
        return None
    for row in rows.items:
        if _names_inputs(row, signature):
            _drop_repeated(draft, row)
            _rename(draft, row, signature, strict=True)
    if only == "b64":  # it may stand alone only now
        _settle_b64_input(draft, rows.items)
    if not _has_all(draft, rows.items, signature):
        return None
    return {
        key: [value for row in rows.items if (value := row.get(key) if is_row_object(row) else row) is not None]
        for key in signature.inputs
    }


def column_cells(draft: Draft, columns: Node, signature: Signature) -> Cells | None:
    """Corrects the keys of columns; see :func:`row_cells`."""
    only = next(iter(signature.inputs)) if len(signature.inputs) == 1 else ""
    if not _names_inputs(columns, signature):
        if only:
            return {only: [columns]}
        draft.find(
            "error",
            "plain_columns",
            columns,
            f"'inputs' is {shown(columns)}, and the signature {quoted(signature.key)} has several inputs; write an "
            f"object with the keys {listed(signature.inputs)}",
            stop="it can't be told which value belongs to which input",
        )
        return None
    _drop_repeated(draft, columns)
    _rename(draft, columns, signature, strict=False)
    if only == "b64":
        _settle_b64_input(draft, [columns])
        if not is_row_object(columns):
            return {only: [columns]}
    if not _has_all(draft, [columns], signature):
        return None
    return {key: [value] for key in signature.inputs if (value := columns.get(key)) is not None}


def _names_inputs(node: Node, signature: Signature) -> bool:
    """Whether an object names inputs, and is not an attempt to send bytes."""
    if not is_row_object(node):
        return False
    keys = node.names()
    if len(signature.inputs) == 1 and not any(key in signature.inputs for key in keys):
        (info,) = signature.inputs.values()
        if info.dtype.base.number == 7 and any(key.lower() in ("b64", "base64", "bytes") for key in keys):
            return False
    return True


def _settle_b64_input(draft: Draft, owners: list[Node]) -> None:
    """An input called ``b64`` can't be named in the usual way: the server takes the object for bytes."""
    for row in owners:
        if is_base64(row) and decode_base64(row.members[0][1].text) is None:
            inner = row.members[0][1]
            draft.find(
                "error",
                "b64_input",
                row,
                "the input is called 'b64', and the server takes an object with that one key for base64, not for a "
                'named input; send the bare value, or {"b64": {"b64": "…"}}',
                change="the bare value was sent",
                group="b64",
            )
            row.become(inner)


def _settle_mixed(draft: Draft, rows: Node, named: list[Node], only: str) -> bool:
    odd = next(row for row in rows.items if (row in named) != (rows.items[0] in named))
    can = bool(only) and all(len(row.names()) == 1 for row in named)
    draft.find(
        "error",
        "mixed_rows",
        odd,
        "some rows are objects that name the input and others bare values; the first row decides, and all others must "
        "be like it",
        change="all rows became bare values" if can else "",
        stop="" if can else "it can't be told which value belongs to which input",
    )
    if can:
        for row in named:
            row.become(row.members[0][1])
    return can


def _drop_repeated(draft: Draft, owner: Node) -> None:
    last = dict(owner.members)
    if len(last) == len(owner.members):
        return
    for key in last:
        values = [value for name, value in owner.members if name == key]
        if len(values) > 1:
            draft.find(
                "warning",
                "duplicate_key",
                values[-1],
                f"the key {quoted(key)} stands {len(values)} times in one object; in a row the server takes all of "
                "them and shifts the values of the rows behind it, so write it once",
                change="the repetition was removed" if same_value(values[0], values[-1]) else "the last one was kept",
                group=("repeated", key),
            )
    owner.members = list(last.items())


def _rename(draft: Draft, owner: Node, signature: Signature, *, strict: bool) -> None:
    meant = meant_inputs(owner.names(), signature)
    for key in owner.names():
        value = owner.get(key)
        if key in signature.inputs or value is None:
            continue
        where = f"the signature {quoted(signature.key)} has no input {quoted(key)}"
        if key in meant:
            draft.find(
                "error",
                "wrong_input_key",
                value,
                f"{where}; {available_inputs(signature)}. {quoted(meant[key].key)} is meant, {meant[key].why}",
                change=f"{quoted(key)} became {quoted(meant[key].key)}",
                group=("input", key),
            )
            rename_member(owner, key, meant[key].key)
        else:
            draft.find(
                "error" if strict else "warning",
                "extra_input",
                value,
                f"{where}; {available_inputs(signature)}. "
                + ("In rows the server refuses it" if strict else "In columns the server passes over it"),
                change=f"{quoted(key)} was removed",
                group=("input", key),
            )
            owner.members = [(name, other) for name, other in owner.members if name != key]


def _has_all(draft: Draft, owners: list[Node], signature: Signature) -> bool:
    complete = True
    for owner in owners:
        if not is_row_object(owner):
            continue
        for key in signature.inputs:
            if owner.get(key) is not None:
                continue
            default = _default(signature, key) if len(owners) == 1 else None
            is_row = draft.root.get("instances") is not None
            if default is not None and is_row and default.kind == "array":
                # A row has one dimension less; only a default for one row can be written into it.
                default = default.items[0] if len(default.items) == 1 else None
            has_default = key in signature.defaults
            draft.find(
                "error",
                "missing_input",
                owner,
                f"the input {quoted(key)} of the signature {quoted(signature.key)} is missing; every input must be "
                "there" + (", over REST even one with a default value, which only gRPC uses" if has_default else ""),
                change=f"{quoted(key)} got its default value" if default is not None else "",
                stop="" if default is not None else f"nobody can know the value of {quoted(key)}",
                group=("missing", key),
            )
            if default is not None:
                owner.members.append((key, default))
            else:
                complete = False
    return complete


def _default(signature: Signature, key: str) -> Node | None:
    """The default value of an input as a body holds it."""
    data = signature.defaults.get(key)
    if data is None:
        return None
    from explorer.savedmodel.schema import message_class
    from explorer.serving.tensor_protos import read_tensor

    try:
        from google.protobuf.message import DecodeError

        proto = message_class("tensorflow.TensorProto").FromString(data)
        tensor = read_tensor(proto, key)
        values = tensor.to_array().tolist()
    except (RequestError, DecodeError, ValueError):
        return None
    return _node(values)


def _node(value: object) -> Node:
    like = Node("null")
    if isinstance(value, list):
        return new_array([_node(item) for item in value], like)
    if isinstance(value, bytes):
        import base64

        try:
            return new_string(value.decode("utf-8"), like)
        except UnicodeDecodeError:
            return new_object([("b64", new_string(base64.b64encode(value).decode(), like))], like)
    if isinstance(value, bool):
        return Node("bool", raw="true" if value else "false")
    if isinstance(value, float):
        special = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
        return Node("real", raw=special.get(repr(value), repr(value)))
    return Node("integer", raw=str(value))
