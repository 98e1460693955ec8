"""Parsed JSON as TensorFlow Serving holds it: strings are bytes, objects keep each member, in order."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, Union

from explorer.errors import RequestError

if TYPE_CHECKING:
    from explorer.serving.number_block import NumberBlock

JsonValue = Union[None, bool, int, float, bytes, list["JsonValue"], "JsonObject", "NumberBlock"]
"""A value: an integer token is an ``int``, any other number a ``float``, a string its bytes.

A large regular array of numbers may stand as one ``NumberBlock`` where the parser was asked for them.
"""


class Absent(enum.Enum):
    """What stands for a member that isn't there, because None is JSON's null."""

    ABSENT = 0


ABSENT: Final = Absent.ABSENT


class JsonObject:
    """A JSON object.

    Attributes:
        members: Its members as they were written, repeated keys included.
    """

    __slots__ = ("members",)

    def __init__(self, members: list[tuple[bytes, JsonValue]]) -> None:
        self.members = members

    def find(self, key: bytes) -> JsonValue | Absent:
        """The value of the first member with a key, or ``ABSENT``."""
        for name, value in self.members:
            if name == key:
                return value
        return ABSENT


def type_word(value: JsonValue) -> str:
    """The word for the type of a value in the server's sentences."""
    if value is None:
        return "Null"
    if value is True or value is False:
        return "True" if value else "False"
    if isinstance(value, bytes):
        return "String"
    if isinstance(value, int | float):
        return "Number"
    return "Object" if isinstance(value, JsonObject) else "Array"


def text_of(data: bytes) -> str:
    """Bytes of a request in a sentence, those that aren't UTF-8 as ``surrogateescape`` leaves them."""
    return data.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """The inverse of :func:`text_of`; a lone surrogate becomes the three bytes that UTF-8 would have for it."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def invalid(sentence: str) -> RequestError:
    """The error by which the server refuses a body."""
    return RequestError(sentence, "INVALID_ARGUMENT")


def parse_error(what: str, offset: int) -> RequestError:
    """The error of a body that is no JSON.

    Args:
        what: RapidJSON's sentence.
        offset: Where in the body, in bytes.
    """
    return invalid(f"JSON Parse error: {what} at offset: {offset}")
