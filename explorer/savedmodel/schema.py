"""Message classes of TensorFlow's protos without TensorFlow, in a descriptor pool of our own.

The descriptors lie beside this file in ``schema.pb``, a ``FileDescriptorSet`` that ``tools/make_schema.py`` made.
They must never reach protobuf's default pool: TensorFlow registers the same file names there when it is imported, and
a second registration is a ``TypeError`` (https://protobuf.dev/reference/python/python-generated/#pool).
"""

from __future__ import annotations

import threading
import warnings
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from explorer.savedmodel.records import iter_fields
from explorer.savedmodel.wire import LENGTH

if TYPE_CHECKING:
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import Message

_SCHEMA_FILE = "schema.pb"
_loading = threading.Lock()


def message_class(full_name: str) -> type[Message]:
    """The class of a message, always the same object for one name.

    Args:
        full_name: As protobuf writes it, such as ``"tensorflow.SavedModel"`` or ``"google.protobuf.Any"``.

    Returns:
        A class of protobuf's runtime; its messages don't mix with those of an imported TensorFlow, bytes go between.

    Raises:
        KeyError: The schema has no such message.
    """
    with _loading:
        return _message_class(full_name)


def descriptor_pool() -> DescriptorPool:
    """The pool that holds the schema, as ``text_format`` needs it to look inside ``Any`` values."""
    with _loading:
        return _pool()


@cache
def _message_class(full_name: str) -> type[Message]:
    from google.protobuf import message_factory

    found: type[Message] = message_factory.GetMessageClass(_pool().FindMessageTypeByName(full_name))
    return found


@cache
def _pool() -> DescriptorPool:
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.internal import api_implementation

    if api_implementation.Type() == "python":
        warnings.warn(
            "protobuf runs in its pure-Python form, which is about a hundred times slower; install protobuf from a "
            "binary wheel and unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION",
            RuntimeWarning,
            stacklevel=4,
        )
    pool = DescriptorPool()
    stored = resources.files(__package__ or "explorer.savedmodel").joinpath(_SCHEMA_FILE).read_bytes()
    for tag, _, file in iter_fields(stored):
        if tag == 1 << 3 | LENGTH:
            pool.AddSerializedFile(bytes(file))
    return pool
