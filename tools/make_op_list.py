"""Makes ``explorer/editing/op_list.pb``: the definitions of the ops that generated functions are made of.

A SavedModel carries the definition of every op that its graph uses. An edit may bring in an op that the model has not
used before, and takes its definition from this file, so that a reader still knows the dtype of every tensor::

    python tools/make_op_list.py            # writes the file
    python tools/make_op_list.py --check    # says whether the file is what the installed TensorFlow gives
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tensorflow.core.framework import op_def_pb2
from tensorflow.python.framework import op_def_registry

TARGET = Path(__file__).resolve().parent.parent / "explorer" / "editing" / "op_list.pb"

OPS = (
    "Const",
    "EnsureShape",
    "Identity",
    "NoOp",
    "PartitionedCall",
    "Placeholder",
    "PlaceholderWithDefault",
    "StatefulPartitionedCall",
)


def make_op_list() -> bytes:
    """The ``OpList`` of ``OPS``, serialized, without descriptions."""
    op_list = op_def_pb2.OpList()
    for name in OPS:
        op = op_list.op.add()
        op.CopyFrom(op_def_registry.get(name))
        op.ClearField("summary")
        op.ClearField("description")
        for part in (*op.input_arg, *op.output_arg, *op.attr):
            part.ClearField("description")
    made: bytes = op_list.SerializeToString(deterministic=True)
    return made


def main() -> int:
    """Writes or compares the file; the exit status tells whether it is up to date."""
    parser = argparse.ArgumentParser(description="Makes explorer/editing/op_list.pb.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    made = make_op_list()
    if check:
        same = TARGET.exists() and TARGET.read_bytes() == made
        sys.stdout.write(f"{TARGET.name} is {'' if same else 'not '}what this TensorFlow gives\n")
        return 0 if same else 1
    TARGET.write_bytes(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
