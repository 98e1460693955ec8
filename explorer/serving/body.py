"""A request body of the REST API before it is written: as data, as text, and as an outline to look at.

Arrays are written from their memory, and put into rows by cutting their text where it opens and closes: no number
becomes a Python object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from explorer.savedmodel import constants
from explorer.savedmodel.model import frozen
from explorer.serving.arrays import array_text, lists_of, row_texts
from explorer.serving.values import Values, base64_object

BodyFormat = Literal["row", "column", "examples"]
"""``examples`` is the form of ``:classify`` and ``:regress``; the other two are for ``:predict``."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The body of a REST request, before it is written.

    Attributes:
        signature_key: The signature that is called.
        format: ``"row"``, ``"column"`` or ``"examples"``.
        values: Input key → its checked values.
        members: For ``"examples"`` the members of the object: ``examples``, and ``context`` where there is one.
    """

    signature_key: str
    format: BodyFormat
    values: Mapping[str, Values]
    members: Mapping[str, Any] = field(default_factory=lambda: frozen({}))

    def data(self) -> dict[str, Any]:
        """The body as dicts, lists and scalars."""
        body = self._start()
        if self.format == "examples":
            return {**body, **self.members}
        nested = {key: plain_values(value) for key, (value, _) in self.values.items()}
        if self.format == "column":
            return {**body, "inputs": _named(nested)}
        return {**body, "instances": [_named({key: nested[key][row] for key in nested}) for row in range(self._batch)]}

    def text(self, indent: int | None = None) -> str:
        """The body as JSON in ASCII, see :func:`request_body`; arrays are written from their memory."""
        if indent is not None or self.format == "examples":
            return json_text(self.data(), indent)
        start = "{" + "".join(f"{_dumped(key)}: {_dumped(value)}, " for key, value in self._start().items())
        keys = [f"{_dumped(key)}: " for key in self.values]
        # Every text is copied once, when all are joined: some have a hundred megabytes.
        if self.format == "column":
            pieces = [f'{start}"inputs": {{']
            for key, (nested, _) in zip(keys, self.values.values(), strict=True):
                pieces += [key, self._written(nested), ", "]
            return "".join([*pieces[:-1], "}}"])
        columns = [self._rows(nested) for nested, _ in self.values.values()]
        width = 2 * len(keys)
        pieces = [""] * (self._batch * width)
        before = columns[-1][2] + "}, {"
        for place, (key, (rows, opened, closed)) in enumerate(zip(keys, columns, strict=True)):
            pieces[2 * place :: width] = [before + key + opened] * self._batch
            pieces[2 * place + 1 :: width] = rows
            before = closed + ", "
        pieces[0] = f'{start}"instances": [{{{keys[0]}{columns[0][1]}'
        return "".join([*pieces, columns[-1][2], "}]}"])

    def outline(self) -> dict[str, Any]:
        """The body as :meth:`data` has it, but with arrays, and rows that are made when they are asked for."""
        body = self._start()
        if self.format == "examples":
            return {**body, **self.members}
        if self.format == "column":
            return {**body, "inputs": {key: nested for key, (nested, _) in self.values.items()}}
        return {**body, "instances": _Rows({key: nested for key, (nested, _) in self.values.items()}, self._batch)}

    @property
    def _batch(self) -> int:
        return int(next(iter(self.values.values()))[1][0])

    def _start(self) -> dict[str, Any]:
        is_default = self.signature_key == constants.DEFAULT_SIGNATURE_KEY
        return {} if is_default else {"signature_name": self.signature_key}

    def _written(self, nested: Any) -> str:
        return array_text(nested) if hasattr(nested, "dtype") else _dumped(self._unmistakable(nested))

    def _rows(self, nested: Any) -> tuple[list[str], str, str]:
        if hasattr(nested, "dtype"):
            return row_texts(nested)
        return [_dumped(self._unmistakable(row)) for row in nested], "", ""

    def _unmistakable(self, value: Any) -> Any:
        return _named({"b64": value})["b64"] if list(self.values) == ["b64"] else value


class _Rows(Sequence[Any]):
    """The instances of a body in row format, each made when it is asked for."""

    def __init__(self, values: Mapping[str, Any], batch: int) -> None:
        self._values = values
        self._batch = batch

    def __len__(self) -> int:
        return self._batch

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self._batch:  # what tells a loop where the rows end
            raise IndexError(index)
        return {key: nested[index] for key, nested in self._values.items()}


def json_text(body: Mapping[str, Any], indent: int | None = None) -> str:
    """A body as JSON in ASCII; with ``indent`` on several lines, but lists of numbers on one."""
    return _dumped(body) if indent is None else _indented(body, indent, 0).replace("\x7f", "\\u007f")


def plain_values(nested: Any) -> Any:
    """Values as JSON has them: lists for arrays, and bytes in base64."""
    if hasattr(nested, "dtype"):
        return lists_of(nested)
    if isinstance(nested, bytes):
        return base64_object(nested)
    # Lists of zeros are one list many times: made once, they stay so.
    if not isinstance(nested, list):
        return nested
    made: dict[int, Any] = {}
    return [
        made.get(id(item)) or made.setdefault(id(item), plain_values(item)) if isinstance(item, list | bytes) else item
        for item in nested
    ]


def _dumped(value: Any) -> str:
    import json

    # DEL is the one control character that json leaves as it is.
    return json.dumps(value, default=base64_object).replace("\x7f", "\\u007f")


def _indented(value: Any, indent: int, level: int) -> str:
    import json

    items = list(value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ())
    if not any(isinstance(item, dict | list) for item in items):
        return json.dumps(value)
    start, end = "\n" + " " * (indent * (level + 1)), "\n" + " " * (indent * level)
    texts = [_indented(item, indent, level + 1) for item in items]
    if isinstance(value, Mapping):
        pairs = [f"{json.dumps(key)}: {text}" for key, text in zip(value, texts, strict=True)]
        return "{" + start + f",{start}".join(pairs) + end + "}"
    return "[" + start + f",{start}".join(texts) + end + "]"


def _named(values: dict[str, Any]) -> dict[str, Any]:
    """An object of inputs that the server can't take for bytes in base64.

    ``{"b64": "text"}`` would be decoded, even where ``b64`` is an input's key; ``{"b64": {"b64": "dGV4dA=="}}`` is
    the same text as a named input.
    """
    text = values.get("b64")
    if len(values) == 1 and isinstance(text, str):
        return {"b64": base64_object(text.encode("utf-8"))}
    return values
