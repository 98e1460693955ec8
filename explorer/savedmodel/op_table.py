"""The definition of every op of TensorFlow's, for graphs that don't carry those of their ops, as frozen ones don't.

The table is that of one version of TensorFlow (``tools/make_op_table.py``). Definitions only grow: an attribute that
came later has a default value, so the ops of older graphs are among them.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from explorer.savedmodel.op_defs import OP
from explorer.savedmodel.records import iter_fields, utf8_text
from explorer.savedmodel.wire import LENGTH

_NAME: Final = 1 << 3 | LENGTH


@cache
def op_table() -> Mapping[str, bytes]:
    """Op → its definition, a serialized ``OpDef``."""
    stored = zlib.decompress(resources.files("explorer.savedmodel").joinpath("op_table.bin").read_bytes())
    table: dict[str, bytes] = {}
    for tag, _, part in iter_fields(stored):
        if tag != OP << 3 | LENGTH:
            continue
        name = next(bytes(value) for inner, _, value in iter_fields(part) if inner == _NAME)
        table[utf8_text(name, "the name of an op")] = bytes(part)
    return MappingProxyType(table)
