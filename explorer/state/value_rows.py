"""The values of the chosen signature as rows of a form: one for each input, and for each feature of its records."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.errors import ExplorerError, printable_name
from explorer.render.tables import printable_size
from explorer.savedmodel import constants
from explorer.savedmodel.model import TensorInfo
from explorer.savedmodel.tensors import Tensor
from explorer.serving.bodies import make_body
from explorer.serving.body import json_text
from explorer.serving.images import takes_pixels
from explorer.serving.shortened import shortened_value
from explorer.state.requests import RequestsState
from explorer.state.telling import sentence

MOST_ROWS = 60
"""A form with more rows than this shows the first ones; the others can be given from Python."""

_LONGEST_TEXT = 400  # characters of a value that is shown whole
_MOST_SHOWN = 150
_KEEPS = "The request keeps the last value that fits."


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A row.

    Attributes:
        key: The input.
        feature: The feature of its records, or an empty text for the input itself.
        label: What stands before the field.
        text: What stands in it: the value as JSON; empty where it is too long for that, or is a file.
        placeholder: What then stands there instead.
        hint: What to know about the value, in a sentence.
        problem: Why what was typed doesn't fit.
        is_typed: Whether one can type a value; of records, their features are typed.
        takes_file: Whether a file can be given.
        file_name: The file that was.
        picture: A small picture of it.
        has_pixels: Whether it is an image that became numbers.
    """

    key: str
    feature: str
    label: str
    text: str = ""
    placeholder: str = ""
    hint: str = ""
    problem: str = ""
    is_typed: bool = True
    takes_file: bool = True
    file_name: str = ""
    picture: str = ""
    has_pixels: bool = False


def value_rows(state: RequestsState) -> list[ValueRow]:
    """All rows for the chosen signature, in its order; at most ``MOST_ROWS``."""
    signature = state.signature
    if signature is None or signature.is_reserved:
        return []
    texts = _texts(state)
    rows: list[ValueRow] = []
    for key, info in signature.inputs.items():
        if len(rows) >= MOST_ROWS:
            break
        rows.append(_input_row(state, key, info, texts.get(key)))
        rows.extend(_feature_rows(state, key))
    return rows[:MOST_ROWS]


def left_out(state: RequestsState, rows: Sequence[ValueRow]) -> int:
    """How many inputs have no row among some, because there are too many."""
    signature = state.signature
    shown = len({row.key for row in rows})
    return 0 if signature is None or signature.is_reserved else len(signature.inputs) - shown


def _input_row(state: RequestsState, key: str, info: TensorInfo, text: tuple[str, str] | None) -> ValueRow:
    given, features = state.given_for(key), state.features(key)
    label = f"{printable_name(key)}  {info.dtype}{info.shape}"
    if given is not None and given.file_name:
        size = printable_size(len(given.file_data)) if given.file_data else ""
        where = ", ".join(filter(None, (printable_name(given.file_name), size)))
        return ValueRow(
            key, "", label, placeholder=where, hint=_sentences(*given.notes), is_typed=not features,
            file_name=given.file_name, picture=given.picture, has_pixels=bool(given.picture) and takes_pixels(info),
        )  # fmt: skip
    whole, outline = text or ("", "")
    hint = "" if whole or not outline else "Too long to be shown whole. Type JSON, or choose a file, to replace it."
    if features:
        count = _count(state, key)
        hint = "tf.Example records, each with the features below." if count > 1 else "A tf.Example with these features."
        return ValueRow(key, "", label, hint=hint, is_typed=False)
    if given is None:
        return ValueRow(key, "", label, whole, outline, hint)
    problem = f"{_ended(given.problem)} {_KEEPS}" if given.problem else ""
    return ValueRow(key, "", label, given.text, "", _sentences(*given.notes), problem)


def _feature_rows(state: RequestsState, key: str) -> Iterator[ValueRow]:
    spec = state.features(key)
    if not spec:
        return
    record = state.record(key)
    several = _count(state, key) > 1
    for name, feature in spec.items():
        given = state.given_for(key, name)
        values = [_plain(value) for value in record.get(name, [])]
        shown = values[0] if len(values) == 1 and not feature.shape.dims else values
        text = json.dumps(shown)
        is_long = len(text) > _LONGEST_TEXT
        hint = "Shown is the first record; a value that is typed goes into all." if several else ""
        yield ValueRow(
            key, name, f"{printable_name(name)}  {feature}",
            given.text if given is not None else "" if is_long else text,
            shortened_value(shown, _MOST_SHOWN).partition("\n")[2] if is_long else "",
            hint, f"{_ended(given.problem)} {_KEEPS}" if given is not None and given.problem else "",
            takes_file=False,
        )  # fmt: skip


def _texts(state: RequestsState) -> dict[str, tuple[str, str]]:
    """Input key → its value as JSON where that is short, and in few characters."""
    meta_graph, signature = state.meta_graph, state.signature
    assert meta_graph is not None and signature is not None
    if state.is_untouched:
        try:
            inputs = make_body(signature, "column", None, meta_graph)["inputs"]
            return {key: _text(value) for key, value in inputs.items()}
        except ExplorerError:
            pass  # not REST's to send, but perhaps gRPC's
    return {key: _tensor_text(tensor) for key, tensor in state.values.items()}


def _tensor_text(tensor: Tensor) -> tuple[str, str]:
    from explorer.serving.arrays import COMPLEX, nested_of
    from explorer.serving.body import plain_values

    if tensor.dtype in COMPLEX:
        return "", f"{math.prod(tensor.shape)} complex numbers"
    nested = nested_of(tensor)
    small = math.prod(tensor.shape) <= _LONGEST_TEXT and sum(map(len, tensor.texts)) <= _LONGEST_TEXT
    return _text(plain_values(nested)) if small else ("", _outline(nested))


def _text(value: Any) -> tuple[str, str]:
    text = json_text(value) if isinstance(value, dict) else json.dumps(value)
    return (text, "") if len(text) <= _LONGEST_TEXT else ("", _outline(value))


def _outline(value: Any) -> str:
    shown = shortened_value(value, _MOST_SHOWN)
    return shown.partition("\n")[2] or shown


def _plain(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    from explorer.serving.body import plain_values

    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return plain_values(value)


def _count(state: RequestsState, key: str) -> int:
    tensor = state.values.get(key)
    return 0 if tensor is None or tensor.dtype != constants.DT_STRING else len(tensor.texts)


def _sentences(*notes: str) -> str:
    return " ".join(_ended(sentence(note)) for note in notes)


def _ended(text: str) -> str:
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
