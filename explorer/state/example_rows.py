"""What a client could send to a signature that takes a row of a table as one text, or a picture as base64 text."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from explorer.savedmodel.constants import DT_BOOL, DT_STRING
from explorer.savedmodel.model import Signature

if TYPE_CHECKING:
    from explorer.runtime.image_options import ImageOptions
    from explorer.runtime.row_inputs import RowInput
    from explorer.runtime.table_options import TableOptions

_FLOATS = frozenset({1, 2, 14, 19})
_MOST_VALUES = 10_000
_MOST_BYTES = 50_000  # of a picture, whose base64 text stands in a field


def example_of(kind: str, signature: Signature, input_key: str | None, given: Mapping[str, Any]) -> tuple[str, str]:
    """The new input of a signature that takes rows as texts, and a value for it as JSON; else empty texts.

    Args:
        kind: What the new signature takes.
        signature: The plain signature.
        input_key: The input that is fed; None for all.
        given: What was chosen for the rows.

    Raises:
        EditError: The inputs can't be fed from such rows.
    """
    if kind not in ("csv", "json"):
        return "", ""
    from explorer.runtime.table_options import table_options_for

    options = table_options_for(kind, signature, only=None if input_key is None else (input_key,), **given)
    return options.key, example_rows(options)


def base64_texts(data: bytes, options: ImageOptions) -> str:
    """A picture as base64 text, as often as a batch needs, as JSON; empty where it is large.

    Args:
        data: The file.
        options: What the input takes.
    """
    if len(data) > _MOST_BYTES:
        return ""
    text = base64.b64encode(data).decode("ascii")
    return json.dumps([text] * (options.batch or 1) if options.is_batched else text)


def example_rows(options: TableOptions) -> str:
    """As many rows as a batch needs, as a JSON list of texts; empty where a row would be long.

    Args:
        options: How the rows are read.
    """
    if sum(one.size or 1 for one in options.fields) > _MOST_VALUES:
        return ""
    row = _line(options) if options.kind == "csv" else _object(options)
    return json.dumps([row] * (options.batch or 1), ensure_ascii=False)


def _line(options: TableOptions) -> str:
    inputs = {one.key: one for one in options.fields}
    fields: list[Any] = []
    for key in options.columns:
        fields += [""] if key is None else [_value(inputs[key])] * (inputs[key].size or 1)
    text = io.StringIO()
    csv.writer(text, delimiter=options.delimiter, lineterminator="").writerow(fields)
    return text.getvalue()


def _object(options: TableOptions) -> str:
    return json.dumps({one.name: _nested(one) for one in options.fields}, ensure_ascii=False)


def _nested(one: RowInput) -> Any:
    made: Any = _value(one)
    for dim in reversed(one.shape):
        made = [made] * (1 if dim is None else dim)
    return made


def _value(one: RowInput) -> str | int | float | bool:
    if one.type_number == DT_STRING:
        return "text"
    if one.type_number == DT_BOOL:
        return False
    return 0.0 if one.type_number in _FLOATS else 0
