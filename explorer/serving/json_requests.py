"""What predict, classify and regress bodies have in common, as ``json_tensor.cc`` of TensorFlow Serving reads it."""

from __future__ import annotations

from typing import Final

from explorer.errors import RequestError
from explorer.serving.json_text import pretty
from explorer.serving.json_values import Absent, JsonObject, JsonValue, invalid, text_of
from explorer.serving.rapidjson import parse_json

_SIGNATURE_NAME: Final = b"signature_name"


def json_object(body: bytes, value: JsonValue) -> JsonObject:
    """The JSON of a body, which must be an object.

    Raises:
        RequestError: It is something else.
    """
    if not isinstance(value, JsonObject):
        raise format_error(parse_json(body), "Is not object")  # without blocks
    return value


def signature_name(document: JsonObject) -> str:
    """The signature that a body asks for; empty where it doesn't say.

    Raises:
        RequestError: It isn't a string.
    """
    name = document.find(_SIGNATURE_NAME)
    if isinstance(name, Absent):
        return ""
    if not isinstance(name, bytes):
        raise format_error(document, "not formatted correctly. 'signature_name' key must be a string value.")
    return text_of(name)


def format_error(value: JsonValue, complaint: str) -> RequestError:
    """The error that quotes a value and complains."""
    return invalid(f"JSON Value: {text_of(pretty(value))} {complaint}")


def c_string(key: bytes) -> bytes:
    """A key as the server takes it where it reads it as a C string: up to the first zero byte."""
    return key.partition(b"\0")[0]
