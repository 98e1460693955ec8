"""Single elements against the dtype of their input: what ``json_tensor.cc`` accepts, and what it turns into another.

See ``FillTensorProto`` and ``JsonValueToDType`` in
https://github.com/tensorflow/serving/blob/master/tensorflow_serving/util/json_tensor.cc.
"""

from __future__ import annotations

import math
from typing import Final

from explorer.savedmodel import constants
from explorer.savedmodel.model import DType
from explorer.serving.lint.draft import Draft
from explorer.serving.lint.readers import TextReaders
from explorer.serving.lint.texts import check_text
from explorer.serving.lint.tree import NUMBERS, WORDS, Node, shown
from explorer.serving.lint.words import read_word

FLOATS: Final = {1: "float32", 2: "float64"}
INTEGERS: Final = {
    3: (-(2**31), 2**31 - 1),
    4: (0, 2**8 - 1),
    5: (-(2**15), 2**15 - 1),
    6: (-(2**7), 2**7 - 1),
    9: (-(2**63), 2**63 - 1),
    22: (0, 2**32 - 1),
    23: (0, 2**64 - 1),
}
"""dtype number → the whole numbers that it holds."""

_READ_AS_INT32: Final = (3, 4, 5, 6)  # the server checks int32's range for them, and cuts the rest off
_LARGEST_FLOAT32: Final = 3.4028234663852886e38
_EXACT: Final = {1: 2**24, 2: 2**53}
_DIGITS: Final = {1: 9, 2: 17}  # more significant digits than these never tell two values apart


def in_rest(dtype: DType) -> bool:
    """Whether the REST API has a JSON form for values of a dtype."""
    return dtype.base.number in (*FLOATS, *INTEGERS, constants.DT_BOOL, constants.DT_STRING)


def check_leaf(draft: Draft, key: str, node: Node, dtype: DType, readers: TextReaders) -> None:
    """Looks at one element of an input, and corrects it.

    Args:
        draft: The body.
        key: The input key.
        node: The element; no list.
        dtype: The input's dtype, one that the REST API takes.
        readers: What the graph does with it, if it is a text.
    """
    number = dtype.base.number
    if number == constants.DT_STRING:
        check_text(draft, key, node, readers)
    elif node.kind == "null":
        _check_null(draft, key, node, dtype)
    elif node.kind in ("object", "array"):
        draft.find(
            "error",
            "object_for_number" if node.kind == "object" else "ragged",
            node,
            f"{WORDS[node.kind]} stands where '{key}' wants one {dtype}"
            + ('; {"b64": …} is for strings only' if node.get("b64") is not None else ""),
            stop=f"it can't be told which number '{key}' should get there",
            group=key,
        )
    elif number == constants.DT_BOOL:
        _check_bool(draft, key, node)
    else:
        if node.kind == "string":
            _check_text_number(draft, key, node, dtype)
        elif node.kind == "bool":
            written = ("1" if node.raw == "true" else "0") + (".0" if number in FLOATS else "")
            draft.find(
                "error",
                "bool_for_number",
                node,
                f"{node.raw} stands where '{key}' wants {dtype}; the server takes true and false for bool only, so "
                f"write {written}",
                change=f"{node.raw} became {written}",
                group=key,
            )
            node.set("real" if number in FLOATS else "integer", written)
        if node.kind in NUMBERS:
            if number in FLOATS:
                _check_float(draft, key, node, number)
            else:
                _check_integer(draft, key, node, dtype)


def _check_null(draft: Draft, key: str, node: Node, dtype: DType) -> None:
    is_float = dtype.base.number in FLOATS
    draft.find(
        "error",
        "null",
        node,
        f"null stands where '{key}' wants {dtype}; the server never takes null"
        + (", so write NaN if a missing number is meant (many JSON libraries write NaN as null)" if is_float else ""),
        change="null became NaN" if is_float else "",
        stop="" if is_float else f"nobody can know which {dtype} null stands for",
        group=key,
    )
    if is_float:
        node.set("real", "NaN")


def _check_bool(draft: Draft, key: str, node: Node) -> None:
    if node.kind == "bool":
        return
    said = node.text.strip().lower() if node.kind == "string" else node.raw
    written = {"0": "false", "1": "true", "0.0": "false", "1.0": "true", "false": "false", "true": "true"}.get(said, "")
    draft.find(
        "error",
        "number_for_bool" if node.kind in NUMBERS else "string_for_bool",
        node,
        f"{shown(node)} stands where '{key}' wants a bool; the server takes only true and false, never 0, 1 or text"
        + (f": write {written}" if written else ""),
        change=f"{shown(node)} became {written}" if written else "",
        stop="" if written else f"{shown(node)} is neither true nor false",
        group=key,
    )
    if written:
        node.set("bool", written)


def _check_text_number(draft: Draft, key: str, node: Node, dtype: DType) -> None:
    text = node.text.strip()
    found = read_word(text) if text else None
    # A comma is a decimal one in half of the world, and a thousand's one in the other.
    fits = found is not None and found.kind in NUMBERS and not found.stop
    draft.find(
        "error",
        "string_for_number",
        node,
        f"{shown(node)} is a string, and '{key}' takes {dtype}; the server makes no numbers of strings, so write it "
        "without quotation marks",
        change=f"{shown(node)} became {found.raw}" if fits and found is not None else "",
        stop="" if fits else f"{shown(node)} is no number",
        group=key,
    )
    if fits and found is not None and found.kind is not None:
        node.set(found.kind, found.raw)


def _check_float(draft: Draft, key: str, node: Node, number: int) -> None:
    value = float(node.raw)  # of any length; 'Infinity' and 'NaN' are Python's words too
    name = FLOATS[number]
    if not math.isfinite(value):
        return
    if number == 1 and abs(value) > _LARGEST_FLOAT32 * (1 + 2**-25):
        draft.find(
            "warning",
            "out_of_range",
            node,
            f"{_short(node)} is beyond float32, and the server quietly makes it infinite; '{key}' holds numbers up to "
            "3.4e38",
            stop=f"{_short(node)} doesn't fit float32",
            group=key,
        )
        return
    digits = node.raw.lower().split("e")[0].replace(".", "").lstrip("-0")
    is_inexact = (
        # A large whole number may have no equal, however few digits it has.
        value > _EXACT[number] and len(node.raw) <= 300 and int(node.raw) != int(_rounded(value, number))
        if node.kind == "integer"
        else len(digits.rstrip("0")) > _DIGITS[number]
    )
    if is_inexact:
        draft.find(
            "note",
            "precision",
            node,
            f"{_short(node)} has more digits than {name} keeps; '{key}' gets the nearest one",
            group=key,
        )


def _rounded(value: float, number: int) -> float:
    if number == 2:
        return value
    import struct

    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded


def _check_integer(draft: Draft, key: str, node: Node, dtype: DType) -> None:
    number = dtype.base.number
    lowest, highest = INTEGERS[number]
    if node.kind == "real":
        value = float(node.raw)
        whole = math.isfinite(value) and value == int(value)
        exact = whole and abs(value) <= 2**53
        draft.find(
            "error",
            "float_for_int",
            node,
            f"{_short(node)} is written as a decimal number, and '{key}' takes {dtype}; the server tells them by the "
            "point and the exponent, so that even 1.0 is refused"
            + (f": write {int(value)}" if exact else "; round it, or send it to an input that takes floats"),
            change=f"{_short(node)} became {int(value)}" if exact else "",
            stop="" if exact else f"{_short(node)} is no whole number",
            group=key,
        )
        if not exact:
            return
        node.set("integer", str(int(value)))
    value_text = node.raw
    if len(value_text) > 25:
        fits = False
        whole_number = 0
    else:
        whole_number = int(value_text)
        low, high = INTEGERS[3] if number in _READ_AS_INT32 else (lowest, highest)
        fits = low <= whole_number <= high
    if not fits:
        draft.find(
            "error",
            "out_of_range",
            node,
            f"{_short(node)} is out of the range that is read for {dtype}; '{key}' holds {lowest} to {highest}",
            stop=f"{_short(node)} doesn't fit {dtype}",
            group=(key, "refused"),
        )
    elif not lowest <= whole_number <= highest:
        size = highest - lowest + 1
        wrapped = (whole_number - lowest) % size + lowest
        draft.find(
            "warning",
            "wraps",
            node,
            f"{_short(node)} is out of range for {dtype} ({lowest} to {highest}), and the server quietly makes "
            f"{wrapped} of it",
            stop=f"{_short(node)} doesn't fit {dtype}",
            group=(key, "wraps"),
        )


def _short(node: Node) -> str:
    return shown(node)
