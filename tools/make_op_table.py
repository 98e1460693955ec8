"""Makes ``explorer/savedmodel/op_table.bin``: the definition of every op that TensorFlow registers, compressed.

A SavedModel carries the definitions of its ops; a frozen graph doesn't, and gets them from this file, so that a reader
knows the dtype of every tensor::

    python tools/make_op_table.py            # writes the file
    python tools/make_op_table.py --check    # says whether the file is what the installed TensorFlow gives
"""

from __future__ import annotations

import argparse
import sys
import zlib
from pathlib import Path

from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session as c_api

TARGET = Path(__file__).resolve().parent.parent / "explorer" / "savedmodel" / "op_table.bin"


def make_op_table() -> bytes:
    """The ``OpList`` of all registered ops, serialized, sorted by name, without descriptions."""
    registered = op_def_pb2.OpList.FromString(c_api.TF_GetBuffer(c_api.TF_GetAllOpList()))
    made = op_def_pb2.OpList()
    for op in sorted(registered.op, key=lambda op: op.name):
        op.ClearField("summary")
        op.ClearField("description")
        for part in (*op.input_arg, *op.output_arg, *op.attr):
            part.ClearField("description")
        made.op.append(op)
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def main() -> int:
    """Writes or compares the file; the exit status tells whether it is up to date."""
    parser = argparse.ArgumentParser(description="Makes explorer/savedmodel/op_table.bin.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    made = make_op_table()
    if check:
        same = TARGET.exists() and zlib.decompress(TARGET.read_bytes()) == made
        sys.stdout.write(f"{TARGET.name} is {'' if same else 'not '}what this TensorFlow gives\n")
        return 0 if same else 1
    TARGET.write_bytes(zlib.compress(made, 9))
    return 0


if __name__ == "__main__":
    sys.exit(main())
