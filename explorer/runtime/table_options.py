"""How lines of CSV or JSON texts become the inputs of a signature: what a person chooses, checked.

Nothing here needs TensorFlow; the traced steps are in ``explorer.runtime.steps.tables``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from explorer.errors import EditError, NotFoundError, listed, quoted
from explorer.runtime.row_inputs import RowInput, rows_for, rows_from_dict
from explorer.runtime.row_values import DOUBLE, FLOATS
from explorer.savedmodel import constants
from explorer.savedmodel.model import Signature

KINDS: Final = ("csv", "json")
"""What a row can be; also the key of the new input, where no other is given."""

MOST_COLUMNS: Final = 10_000
"""A line has this many fields at most; the graph holds a node's output for each."""

MOST_DIMENSIONS: Final = 16
"""Lists are nested this deep at most; the step takes texts of twice this depth."""

_NO_DELIMITERS: Final = '"\r\n\0'


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What is read out of lines of CSV or JSON texts.

    Attributes:
        kind: ``csv`` or ``json``.
        inputs: What a row has for each input.
        columns: For CSV, the key of the input that takes a column, in the order of the columns; an input of several
            values stands once and takes as many columns, the last dimension fastest; None for a column that nothing
            takes.
        delimiter: What stands between two fields of a line of CSV.
        batch: How many rows the model takes at a time; None for any number.
        key: The key of the new input.
        reasons: What was chosen, and why; for people.

    Raises:
        NotFoundError: There is no such kind, or an input of a column isn't there.
        EditError: There is nothing to read, or an input can't be read.
    """

    kind: str
    inputs: tuple[RowInput, ...]
    columns: tuple[str | None, ...] = ()
    delimiter: str = ","
    batch: int | None = None
    key: str = ""
    reasons: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise NotFoundError("kind of row", self.kind, KINDS)
        if not self.key:
            object.__setattr__(self, "key", self.kind)
        if not self.fields:
            raise EditError(f"there is no input that {_ROWS[self.kind]} could feed")
        if self.batch is not None and (type(self.batch) is not int or self.batch < 1):
            raise EditError("the number of rows is a whole number of 1 or above, or None for any number")
        if self.kind == "csv":
            _expect_csv(self)
        else:
            _expect_json(self)

    @property
    def fields(self) -> tuple[RowInput, ...]:
        """The inputs that rows feed; the others are constant."""
        return tuple(one for one in self.inputs if not one.is_constant)

    @property
    def width(self) -> int:
        """How many fields a line of CSV has."""
        sizes = {one.key: one.size or 0 for one in self.fields}
        return sum(1 if key is None else sizes[key] for key in self.columns)

    def to_dict(self) -> dict[str, Any]:
        """As plain data; the reasons are left out."""
        data = dataclasses.asdict(self)
        del data["reasons"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TableOptions:
        """The inverse of :meth:`to_dict`.

        Raises:
            NotFoundError: It names a kind or an input that isn't there.
            EditError: The data hasn't that form.
        """
        known = {one.name for one in dataclasses.fields(cls)} - {"reasons"}
        if unknown := sorted(set(data) - known):
            raise EditError(f"there is no option {listed(unknown)} of CSV and JSON")
        columns = data.get("columns") or ()
        if not isinstance(columns, list | tuple) or not all(key is None or isinstance(key, str) for key in columns):
            raise EditError("the columns are a list of the keys of inputs, with None for a column that nothing takes")
        return cls(
            kind=str(data.get("kind")),
            inputs=rows_from_dict(data.get("inputs")),
            columns=tuple(columns),
            delimiter=str(data.get("delimiter", ",")),
            batch=data.get("batch"),
            key=str(data.get("key") or ""),
        )


_ROWS: Final = {"csv": "lines of CSV", "json": "JSON texts"}


def table_options_for(
    kind: str,
    signature: Signature,
    columns: Sequence[str | None] | None = None,
    *,
    features: Mapping[str, Any] | None = None,
    only: Collection[str] | None = None,
    delimiter: str = ",",
    key: str = "",
) -> TableOptions:
    """The options for the inputs of a signature.

    Args:
        kind: ``csv`` or ``json``.
        signature: The signature.
        columns: The order of the columns, for CSV: keys of inputs, or the names that ``features`` gives them, and None
            for a column that nothing takes. Inputs that aren't among them stay inputs of the new signature. Without
            it, the inputs in the order of the signature.
        features: Input key → its name (the key of the JSON object), or a mapping with any of ``name``, ``default`` (a
            value for one row, where the field is empty or the key is missing or null), ``shape`` (of one row, for JSON
            with None for a length that differs) and ``padding``.
        only: The inputs that are fed; None for all that can be. The others stay inputs of the new signature.
        delimiter: What stands between two fields, for CSV: one character of ASCII.
        key: The key of the new input; empty for ``csv`` or ``json``.

    Raises:
        NotFoundError: There is no such kind, or the signature hasn't such an input.
        EditError: An input can't be fed, and the sentence says why.
    """
    if kind not in KINDS:
        raise NotFoundError("kind of row", kind, KINDS)
    if kind != "csv" and (columns is not None or delimiter != ","):
        raise EditError("a JSON object has names, and neither columns nor a delimiter; give names for the inputs")
    ordered = None if columns is None else _keys_of(columns, signature, features or {})
    if ordered is not None and only is None:
        only = [key for key in signature.inputs if key in ordered or key in (features or {})]
    rows = rows_for(signature, features, only=only)
    reasons = [*rows.reasons]
    for one in rows.inputs:
        if not one.is_constant and (words := _dtype_words(one, kind)):
            reasons.append((one.key, words))
    if kind == "csv" and ordered is None:
        ordered = tuple(one.key for one in rows.inputs if not one.is_constant)
    return TableOptions(kind, rows.inputs, ordered or (), delimiter, rows.batch, key, tuple(reasons))


def table_words(options: TableOptions) -> str:
    """What is done with a row, in one sentence."""
    inputs = {one.key: one for one in options.fields}
    if options.kind == "csv":
        head = f"lines of CSV with {options.width} field{'' if options.width == 1 else 's'} are read"
        if options.delimiter != ",":
            head += f", delimited by {options.delimiter!r}"
        parts = ["a field that nothing takes" if key is None else _words(inputs[key]) for key in options.columns]
    else:
        head = "the texts of JSON objects are read"
        parts = [_words(one) for one in options.fields]
    parts += [f"input {quoted(one.key)} always {_shown(one.default)}" for one in options.inputs if one.is_constant]
    return f"{head}: {'; '.join(parts)}"


def _words(one: RowInput) -> str:
    name = quoted(one.name) if one.name == one.key else f"{quoted(one.name)} for input {quoted(one.key)}"
    if one.is_variable:
        return f"{name} {one.printable}, filled up with {one.filling!r}"
    return f"{name} {one.printable}{', required' if one.default is None else f', else {_shown(one.default)}'}"


def _shown(values: tuple[Any, ...] | None) -> str:
    values = values or ()
    if len(set(values)) == 1:
        return repr(values[0])
    return f"[{', '.join(repr(value) for value in values[:4])}{', …' if len(values) > 4 else ''}]"


def _dtype_words(one: RowInput, kind: str) -> str:
    """What is to be known about the values of an input; empty for nothing."""
    if one.type_number == constants.DT_BOOL:
        return (
            "true and false" if kind == "json" else "true and false in any case, or 1 and 0; anything else is refused"
        )
    if one.is_text:
        return "" if kind == "json" or one.default is not None else "an empty field is refused, not an empty text"
    if one.type_number in FLOATS and one.type_number != DOUBLE:
        return f"read as float64 and cast to {one.dtype}; more than that holds is refused"
    return "" if one.type_number == DOUBLE else f"a value that {one.dtype} can't hold is refused"


def _keys_of(
    columns: Sequence[str | None], signature: Signature, features: Mapping[str, Any]
) -> tuple[str | None, ...]:
    """The keys of the inputs of columns, which may be called by their names."""
    if isinstance(columns, str) or not all(name is None or isinstance(name, str) for name in columns):
        raise EditError("the columns are a list of the keys of inputs, with None for a column that nothing takes")
    keys = {}
    for key, said in features.items():
        name = said.get("name") if isinstance(said, Mapping) else said
        if isinstance(name, str):
            keys[name] = key
    for name in columns:
        if name is not None and name not in keys and name not in signature.inputs:
            raise NotFoundError("input", name, [*signature.inputs, *keys])
    return tuple(None if name is None else keys.get(name, name) for name in columns)


def _expect_csv(options: TableOptions) -> None:
    """Raises what keeps lines of CSV from being read like this."""
    character = options.delimiter
    if len(character) != 1 or not character.isascii() or character in _NO_DELIMITERS:
        raise EditError(
            f"the delimiter {character!r} is not one character of ASCII beside the quote and the line breaks"
        )
    for one in options.fields:
        if one.is_variable:
            raise EditError(
                f"input {quoted(one.key)} has {one.printable} for one row, and a line of CSV has as many fields as "
                "every other; give the shape of one row for it, feed only other inputs, or take JSON"
            )
    fed = [one.key for one in options.fields]
    taken = [key for key in options.columns if key is not None]
    for key in taken:
        if key not in fed:
            raise NotFoundError("input that lines of CSV feed", key, fed)
    if twice := [key for key in fed if taken.count(key) > 1]:
        raise EditError(f"{listed(twice)} stands more than once among the columns; an input takes its columns in a row")
    if lacking := [key for key in fed if key not in taken]:
        raise EditError(f"the columns lack {listed(lacking)}; name every input that is fed")
    if options.width > MOST_COLUMNS:
        raise EditError(f"a line would have {options.width} fields; {MOST_COLUMNS} are read, so take JSON")


def _expect_json(options: TableOptions) -> None:
    """Raises what keeps JSON texts from being read like this."""
    if options.columns or options.delimiter != ",":
        raise EditError("a JSON object has names, and neither columns nor a delimiter")
    for one in options.fields:
        if None in one.shape[1:]:
            raise EditError(
                f"input {quoted(one.key)} has {one.printable} for one row, and only the first size may differ from "
                "row to row; give the shape of one row for it"
            )
        if len(one.shape) > MOST_DIMENSIONS:
            raise EditError(
                f"input {quoted(one.key)} has {len(one.shape)} dimensions in a row; {MOST_DIMENSIONS} are read"
            )
