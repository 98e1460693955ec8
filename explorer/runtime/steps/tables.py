"""Lines of CSV and texts of JSON objects to the inputs of a model, as ``explorer.runtime.table_options`` says.

What can't be read fails where it runs: a row is never answered with something else than it says. What a float dtype
can't hold exactly is rounded, from float64; TensorFlow's kernels make 0 of what is nearer to 0 than the smallest
normal float32, as a model's own would.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from explorer.errors import quoted
from explorer.runtime.row_inputs import RowInput
from explorer.runtime.row_values import FLOATS, Value
from explorer.runtime.steps.casting import cast_exactly, checked
from explorer.runtime.steps.example import constant
from explorer.runtime.steps.json_texts import (
    NOT_FINITE,
    NUMBER,
    between_quotes,
    last_values,
    members_of,
    shortened,
    unescaped,
)
from explorer.runtime.table_options import TableOptions
from explorer.savedmodel import constants


class _Notation(NamedTuple):
    """How scalars are written, as regular expressions."""

    number: str
    not_finite: str
    integer: str
    true: str
    false: str


_CSV: Final = _Notation(
    number=r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?",
    not_finite="(?i:nan|[-+]?inf(?:inity)?)",
    integer="[-+]?[0-9]+",
    true="(?i:true)|1",
    false="(?i:false)|0",
)
_JSON: Final = _Notation(
    number=NUMBER, not_finite=NOT_FINITE, integer="-?(?:0|[1-9][0-9]*)", true="true", false="false"
)


def make_csv(options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], tuple[str, ...]]:
    """A step from lines of CSV to the inputs of a model.

    Fields are those of ``tf.io.decode_csv``: quotes as in RFC 4180, exactly as many fields as there are columns, no
    heading. One line break at the end of a line is taken away. White space around numbers and booleans is. An empty
    field is the default of its input, and fails where that has none; of an input of several values each of its own.

    Args:
        options: :meth:`TableOptions.to_dict`.

    Raises:
        ExplorerError: These are no such options.
    """
    import tensorflow as tf

    chosen = TableOptions.from_dict(options)
    inputs = {one.key: one for one in chosen.fields}

    def explorer_csv_to_inputs(lines: Any) -> tuple[Any, ...]:
        lines = _without_breaks(tf.strings.regex_replace(lines, "\r?\n$", "", replace_global=False))
        fields = tf.io.decode_csv(lines, [[""]] * chosen.width, field_delim=chosen.delimiter)
        made: dict[str, Any] = {}
        at = 0
        for key in chosen.columns:
            taken = 1 if key is None else inputs[key].size or 0
            if key is not None:
                columns = tf.stack(fields[at : at + taken], 1)
                made[key] = _from_fields(inputs[key], columns, chosen.batch)
            at += taken
        return tuple(constant(one) if one.is_constant else made[one.key] for one in chosen.inputs)

    return _step(explorer_csv_to_inputs, chosen)


def make_json(options: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any], tuple[str, ...]]:
    """A step from texts of JSON objects to the inputs of a model.

    The texts are JSON as of RFC 8259 in UTF-8, nested up to 32 deep, and ``NaN``, ``Infinity`` and ``-Infinity``.
    A number feeds dtypes with fractions, one without a fraction and exponent integers, ``true`` and ``false`` bool, a
    text string; lists are nested as the shape of a row is. Keys that no input has are left out, of keys that stand
    twice the last one counts, and ``null`` is as if the key was missing: then the default of the input is taken, and
    where it has none the step fails. So it does for any text that isn't JSON, and for any value that doesn't fit; what
    stays unnoticed is a lone surrogate in a value or key that no input has.

    Args:
        options: :meth:`TableOptions.to_dict`.

    Raises:
        ExplorerError: These are no such options.
    """
    chosen = TableOptions.from_dict(options)

    def explorer_json_to_inputs(texts: Any) -> tuple[Any, ...]:
        members = members_of(texts)
        made = []
        for one in chosen.inputs:
            if one.is_constant:
                made.append(constant(one))
            else:
                made.append(_from_values(one, *last_values(members, one.name), chosen.batch))
        return tuple(made)

    return _step(explorer_json_to_inputs, chosen)


def _step(function: Any, chosen: TableOptions) -> tuple[Any, Mapping[str, Any], tuple[str, ...]]:
    import tensorflow as tf

    spec = tf.TensorSpec([chosen.batch], tf.string)
    return function, {chosen.key: spec}, tuple(one.key for one in chosen.inputs)


def _without_breaks(lines: Any) -> Any:
    """Lines that break inside of quotes only; ``tf.io.decode_csv`` skips what breaks stand at the start of a field."""
    import tensorflow as tf

    pieces, is_inside, _ = between_quotes(lines)
    has_none = tf.strings.regex_replace(pieces, "[\r\n]", "", replace_global=False) == pieces
    return _expect(lines, is_inside | has_none, "a text has a line break outside of quotes; give one line in each")


def _from_fields(one: RowInput, fields: Any, batch: int | None) -> Any:
    """Fields, string [batch, values of a row], as an input."""
    import tensorflow as tf

    what = f"column {quoted(one.name)}"
    fields = fields if one.is_text else tf.strings.strip(fields)
    is_empty = fields == ""
    if one.default is None:
        fields = _expect(fields, ~is_empty, f"a field of {what} is empty")
    else:
        fields = tf.where(is_empty, tf.constant([str(value) for value in one.default]), fields)
    values = fields if one.is_text else _scalars(one, fields, _CSV, what)
    return tf.ensure_shape(tf.reshape(values, [tf.shape(fields)[0], *one.shape]), [batch, *one.shape])


def _from_values(one: RowInput, texts: Any, is_given: Any, batch: int | None) -> Any:
    """Values of JSON objects, string [batch], as an input.

    Lists are split at their commas. How many brackets have to stand before and behind the scalar at a place follows
    from the place and the shape of a row.
    """
    import tensorflow as tf

    what = f"key {quoted(one.name)}"
    if one.default is None:
        texts = _expect(texts, is_given, f"a text has no value for {what}")
    else:
        texts = tf.where(is_given, texts, _default_text(one))
    pieces = tf.strings.split(texts, ",")
    lengths = tf.cast(pieces.row_lengths(), tf.int32)
    if one.is_variable:
        lengths = tf.where(texts == "[]", 0, lengths)
        width = tf.maximum(tf.reduce_max(lengths), 0)  # of no rows the maximum is the least of all numbers
    else:
        width = one.size
    scalars = pieces.to_tensor("", shape=[None, one.size])[:, :width]
    places = tf.range(width)[None, :]
    is_there = tf.sequence_mask(lengths, width)
    bare = tf.strings.regex_replace(scalars, r"^\[+", "", replace_global=False)
    opened = tf.strings.length(scalars) - tf.strings.length(bare)
    scalars = tf.strings.regex_replace(bare, r"\]+$", "", replace_global=False)
    closed = tf.strings.length(bare) - tf.strings.length(scalars)
    inner = [math.prod(dim or 0 for dim in one.shape[at:]) for at in range(1, len(one.shape))]
    opens, closes = tf.zeros_like(opened), tf.zeros_like(closed)
    if one.shape:
        opens += tf.cast(places == 0, tf.int32)
        closes += tf.cast(places == lengths[:, None] - 1, tf.int32)
    for size in inner:
        opens += tf.cast(places % size == 0, tf.int32)
        closes += tf.cast(places % size == size - 1, tf.int32)
    fits = tf.reduce_all(((opened == opens) & (closed == closes)) | ~is_there, 1)
    fits &= lengths % (inner[0] if inner else 1) == 0 if one.is_variable else lengths == width
    scalars = _expect(scalars, fits, f"a value of {what} is not {one.printable}")
    scalars = tf.where(is_there, scalars, _scalar_text(one.filling))
    values = _texts(scalars, what) if one.is_text else _scalars(one, scalars, _JSON, what)
    shape = [width // math.prod(dim or 0 for dim in one.shape[1:]), *one.shape[1:]] if one.is_variable else one.shape
    return tf.ensure_shape(tf.reshape(values, [tf.shape(texts)[0], *shape]), [batch, *one.shape])


def _scalars(one: RowInput, texts: Any, notation: _Notation, what: str) -> Any:
    """Texts as numbers or booleans of the dtype of an input."""
    import tensorflow as tf

    matches = tf.strings.regex_full_match
    if one.type_number == constants.DT_BOOL:
        is_true = matches(texts, notation.true)
        fits = is_true | matches(texts, notation.false)
        return _expect(is_true, fits, f"a value of {what} is neither true nor false")
    if one.type_number not in FLOATS:
        fits = matches(texts, notation.integer)
        texts = _expect(texts, fits, f"a value of {what} is not a whole number")
        # Of more than int64 holds, the operation itself says so.
        return cast_exactly(tf.strings.to_number(texts, tf.int64), one.type_number, what)
    is_not_finite = matches(texts, notation.not_finite)
    texts = _expect(texts, is_not_finite | matches(texts, notation.number), f"a value of {what} is not a number")
    numbers = tf.strings.to_number(texts, tf.float64)
    fits = is_not_finite | tf.math.is_finite(numbers)
    return cast_exactly(_expect(numbers, fits, f"a value of {what} is more than float64 holds"), one.type_number, what)


def _texts(literals: Any, what: str) -> Any:
    """Text literals of JSON, string [batch, values], as what they say."""
    import tensorflow as tf

    is_literal = tf.strings.regex_full_match(literals, '"[^"]*"')
    literals = _expect(literals, is_literal, f"a value of {what} is not text")
    inside = tf.reshape(shortened(literals, 1, 1), [-1])
    texts, are_texts = unescaped(inside)
    return tf.reshape(_expect(texts, are_texts, f"a value of {what} is no Unicode"), tf.shape(literals))


def _expect(values: Any, fits: Any, words: str) -> Any:
    """Values of one dimension or more, as they are; where one doesn't fit the step fails with a sentence."""
    import tensorflow as tf

    return tf.gather(values, checked(tf.range(tf.shape(values)[0]), tf.reduce_all(fits), words))


def _default_text(one: RowInput) -> str:
    """The default of an input, as :class:`~explorer.runtime.steps.json_texts.Members` have values."""
    texts = [_scalar_text(value) for value in one.default or ()]
    for at in range(len(one.shape) - 1, 0, -1):
        size = one.shape[at] or 0
        texts = [f"[{','.join(texts[start : start + size])}]" for start in range(0, len(texts), size)]
    return f"[{','.join(texts)}]" if one.shape else texts[0]


def _scalar_text(value: Value) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    units = value.encode("utf-16-be").hex()
    escapes = "".join("\\u" + units[at : at + 4] for at in range(0, len(units), 4))
    return f'"{escapes}"'
