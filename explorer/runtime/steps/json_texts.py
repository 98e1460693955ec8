r"""The members of JSON objects, by operations on whole columns of texts: no loop over rows, no state.

``tf.io.decode_json_example`` reads nothing but the JSON form of a ``tf.Example``, where ``{"age": 3}`` has to be
``{"features": {"feature": {"age": {"int64List": {"value": ["3"]}}}}}``, so it is of no use for what people send.

How it goes, with ``{"a": [1, "x{"]}``:

1. Tokens are checked by one regular expression (https://www.rfc-editor.org/rfc/rfc8259), which leaves no doubt where a
   text literal begins and ends.
2. Short escapes become ``\u`` escapes, so that every quote that is left begins or ends a literal. The text is split
   at them: every second piece is the inside of a literal, and there brackets, commas and colons become ``\u`` escapes,
   too. In the others white space goes.
3. The grammar is checked on a shadow of the text, in which every literal is ``""`` and every other scalar ``v``:
   innermost lists and objects that are well-formed become ``v`` in turn, until the whole is ``v``.
4. Objects inside the outermost one become ``o``, so that a colon stands behind nothing but the keys that count; there
   the text is split.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from explorer.runtime.steps.casting import checked

DEEPEST: Final = 32
"""Lists and objects may be nested this deep, the outermost object included; deeper texts are refused."""

NUMBER: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
"""A number of JSON."""

NOT_FINITE: Final = "NaN|-?Infinity"
"""What Python's ``json`` and TensorFlow Serving take beside the standard."""

_BAD: Final = f"a text is not an object in JSON, or is nested deeper than {DEEPEST} lists and objects"

# Without the surrogates RE2 lets some bytes pass that are no UTF-8.
_LITERAL: Final = (
    r'"(?:[^"\\\x00-\x1f\x{D800}-\x{DFFF}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
)  # fmt: skip
_BETWEEN: Final = rf"(?:[ \t\r\n,:{{}}\[\]]|{_LITERAL})"
_SCALAR: Final = rf"(?:true|false|null|{NUMBER}|{NOT_FINITE})"
_TOKENS: Final = rf"{_BETWEEN}*(?:{_SCALAR}{_BETWEEN}+)*"  # an object ends with a bracket, never with a scalar

_SHORT_ESCAPES: Final = (
    (r"\\\\", r"\\u005c"), (r'\\"', r"\\u0022"), (r"\\/", "/"), (r"\\b", r"\\u0008"), (r"\\f", r"\\u000c"),
    (r"\\n", r"\\u000a"), (r"\\r", r"\\u000d"), (r"\\t", r"\\u0009"),
)  # fmt: skip
_STRUCTURE: Final = tuple((f"\\{sign}", f"\\\\u{ord(sign):04x}") for sign in "[]{},:")

_ATOM: Final = '(?:v|"")'
_INNERMOST: Final = rf'\[(?:{_ATOM}(?:,{_ATOM})*)?\]|\{{(?:"":{_ATOM}(?:,"":{_ATOM})*)?\}}'

_HIGH: Final = 0xD800
_LOW: Final = 0xDC00
_REPLACEMENT: Final = 0xFFFD


class Members(NamedTuple):
    """The members of a column of objects, those of all rows in one.

    Attributes:
        keys: string [members]; without escapes.
        are_keys: bool [members]; False for a key that is no Unicode.
        values: string [members], one form for each value: no white space, brackets and commas inside of text literals
            are escaped, and an object is ``o``.
        rows: int32 [members], the row of each.
        count: int32 scalar, how many rows there are.
    """

    keys: Any
    are_keys: Any
    values: Any
    rows: Any
    count: Any


def members_of(texts: Any) -> Members:
    """Reads a column of JSON objects.

    Args:
        texts: string [batch].

    Returns:
        Their members; a text that is no JSON object makes the step fail.
    """
    import tensorflow as tf

    replace = tf.strings.regex_replace
    count = tf.shape(texts)[0]
    has_tokens = tf.strings.regex_full_match(texts, _TOKENS)
    texts = tf.where(has_tokens, texts, "{}")
    for pattern, rewrite in _SHORT_ESCAPES:
        texts = replace(texts, pattern, rewrite)
    pieces, is_inside, rows = between_quotes(texts)

    outside = replace(replace(pieces, r"[^ \t\r\n,:{}\[\]]+", "v"), r"[ \t\r\n]+", "")
    shadow = tf.where(is_inside, "", outside)
    shadow = tf.strings.unsorted_segment_join(shadow, rows, count, separator='"')
    is_object = tf.strings.regex_full_match(shadow, r"\{.*\}")
    for _ in range(DEEPEST):
        shadow = replace(shadow, _INNERMOST, "v")
    fits = tf.reduce_all(has_tokens & is_object & (shadow == "v"))

    inside = pieces
    for pattern, rewrite in _STRUCTURE:
        inside = replace(inside, pattern, rewrite)
    texts = tf.where(is_inside, inside, replace(pieces, r"[ \t\r\n]+", ""))
    texts = tf.strings.unsorted_segment_join(texts, rows, count, separator='"')
    texts = tf.gather(texts, checked(tf.range(count), fits, _BAD))
    texts = shortened(texts, 1, 1)
    for _ in range(DEEPEST - 1):
        texts = replace(texts, r"\{[^{}]*\}", "o")

    # No text has these two characters any more: they may stand neither inside of a literal nor outside.
    found = tf.strings.split(replace(texts, r',?"([^"]*)":', "\x1e\\1\x1f"), "\x1e")
    keys, are_keys = unescaped(replace(found.flat_values, r"(?s)\x1f.*", ""))
    values = replace(found.flat_values, r"^[^\x1f]*\x1f", "", replace_global=False)
    # Before the first key nothing stands: that piece has the empty key, which no input has.
    return Members(keys, are_keys, values, tf.cast(found.value_rowids(), tf.int32), count)


def last_values(members: Members, name: str) -> tuple[Any, Any]:
    """The value that each row has under a key, the last one where there are several.

    Args:
        members: The members of the rows.
        name: The key.

    Returns:
        The values, string [batch], and which of them are there and not null, bool [batch]; the others are ``null``.
    """
    import tensorflow as tf

    size = tf.shape(members.values)[0]
    hits = members.are_keys & (members.keys == name.encode())
    places = tf.math.unsorted_segment_max(tf.where(hits, tf.range(size), -1), members.rows, members.count)
    values = tf.gather(tf.concat([members.values, ["null"]], 0), tf.where(places >= 0, places, size))
    return values, values != "null"


def unescaped(texts: Any) -> tuple[Any, Any]:
    r"""Resolves ``\uXXXX`` escapes, the only ones that are left; two that are a surrogate pair make one character.

    Args:
        texts: string [n], with a backslash before ``u`` and four hexadecimal digits only.

    Returns:
        The texts, and which of them are Unicode: a surrogate without its other half isn't.
    """
    import tensorflow as tf

    pieces = tf.strings.split(texts, "\\u")
    rows = tf.cast(pieces.value_rowids(), tf.int32)
    count = tf.shape(texts)[0]
    starts = tf.gather(tf.cast(pieces.row_starts(), tf.int32), rows)
    is_first = tf.range(tf.shape(rows)[0]) == starts
    flat = tf.where(is_first, tf.strings.join(["0000", pieces.flat_values]), pieces.flat_values)
    digits = tf.raw_ops.DecodePaddedRaw(input_bytes=tf.strings.substr(flat, 0, 4), fixed_length=4, out_type=tf.uint8)
    digits = tf.cast(digits, tf.int32)
    digits = tf.where(digits <= ord("9"), digits - ord("0"), digits % 32 + 9)  # "A" is 65, "a" is 97
    codes = tf.reduce_sum(digits * tf.constant([4096, 256, 16, 1]), 1)
    rest = shortened(flat, 4, 0)

    is_low = (codes >= _LOW) & (codes < 0xE000)
    is_high = (codes >= _HIGH) & (codes < _LOW)
    # The first piece of the next text isn't low, so a pair never spans two texts.
    is_pair = is_high & (rest == "") & tf.concat([is_low[1:], [False]], 0)[: tf.shape(is_low)[0]]
    ends_pair = tf.concat([[False], is_pair[:-1]], 0)[: tf.shape(is_pair)[0]]
    following = tf.concat([codes[1:], [0]], 0)[: tf.shape(codes)[0]]
    is_alone = (is_low & ~ends_pair) | (is_high & ~is_pair)
    codes = tf.where(is_pair, 0x10000 + (codes - _HIGH) * 0x400 + (following - _LOW), codes)
    codes = tf.where(is_alone | ends_pair, _REPLACEMENT, codes)
    characters = tf.raw_ops.UnicodeEncode(
        input_values=codes,
        input_splits=tf.range(tf.shape(codes, tf.int64)[0] + 1),
        errors="strict",
        output_encoding="UTF-8",
    )
    characters = tf.where(is_first | ends_pair, "", characters)
    joined = tf.strings.unsorted_segment_join(tf.strings.join([characters, rest]), rows, count)
    alone = tf.math.unsorted_segment_max(tf.cast(is_alone, tf.int32), rows, count)
    return joined, alone <= 0


def between_quotes(texts: Any) -> tuple[Any, Any, Any]:
    """Splits texts at their quotes.

    Args:
        texts: string [n].

    Returns:
        The pieces of all texts; which stand behind an odd number of quotes; and the text that each is of, int32.
    """
    import tensorflow as tf

    pieces = tf.strings.split(texts, '"')
    rows = tf.cast(pieces.value_rowids(), tf.int32)
    number = tf.range(tf.shape(rows)[0]) - tf.gather(tf.cast(pieces.row_starts(), tf.int32), rows)
    return pieces.flat_values, number % 2 == 1, rows


def shortened(texts: Any, before: int, behind: int) -> Any:
    """Texts without some bytes at their beginning and at their end."""
    import tensorflow as tf

    lengths = tf.strings.length(texts)
    return tf.strings.substr(texts, tf.fill(tf.shape(lengths), before), lengths - before - behind)
