"""Makes ``explorer/savedmodel/schema.pb`` from the protos of the installed TensorFlow and TensorFlow Serving.

Run it by hand when those protos have gained something that is worth reading (it needs ``tensorflow-serving-api``)::

    python tools/make_schema.py            # writes the file
    python tools/make_schema.py --check    # says whether the file is what the installed TensorFlow gives

The file is a ``FileDescriptorSet``: the protos below and all that they import, each after its imports, without
comments. Protobuf takes newer fields that it doesn't know through unharmed, so an old schema is not a wrong one.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor

TARGET = Path(__file__).resolve().parent.parent / "explorer" / "savedmodel" / "schema.pb"

PROTOS = (
    # The files of a SavedModel.
    "tensorflow/core/protobuf/saved_model",
    "tensorflow/core/protobuf/meta_graph",
    "tensorflow/core/protobuf/saved_object_graph",
    "tensorflow/core/protobuf/trackable_object_graph",
    "tensorflow/core/protobuf/tensor_bundle",
    "tensorflow/core/protobuf/fingerprint",
    # What TF1 graphs pack into the Any values of their collections (ops.register_proto_function).
    "tensorflow/core/framework/variable",
    "tensorflow/core/protobuf/control_flow",
    "tensorflow/core/protobuf/queue_runner",
    "tensorflow/core/protobuf/saver",
    # What servers are asked and answer, what warms them up, and the tf.Example that classify and regress take.
    "tensorflow/core/example/example",
    "tensorflow_serving/apis/get_model_metadata",
    "tensorflow_serving/apis/get_model_status",
    "tensorflow_serving/apis/prediction_log",
)


def make_schema() -> bytes:
    """The ``FileDescriptorSet`` of ``PROTOS`` and their imports, serialized.

    Returns:
        The same bytes every time for one TensorFlow.
    """
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for name in PROTOS:
        _add_file(importlib.import_module(f"{name.replace('/', '.')}_pb2").DESCRIPTOR, files)
    schema = descriptor_pb2.FileDescriptorSet(file=files.values())
    serialized: bytes = schema.SerializeToString(deterministic=True)
    return serialized


def _add_file(file: FileDescriptor, files: dict[str, descriptor_pb2.FileDescriptorProto]) -> None:
    if file.name in files:
        return
    for imported in file.dependencies:
        _add_file(imported, files)
    stored = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(stored)
    stored.ClearField("source_code_info")
    if stored.syntax != "editions":  # there, options decide how fields are read
        stored.ClearField("options")  # names of Java, Go and C++ packages
    files[file.name] = stored


def main() -> int:
    """Writes or compares the file; the exit status tells whether it is up to date."""
    parser = argparse.ArgumentParser(description="Makes explorer/savedmodel/schema.pb.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    made = make_schema()
    if check:
        same = TARGET.exists() and TARGET.read_bytes() == made
        sys.stdout.write(f"{TARGET.name} is {'' if same else 'not '}what this TensorFlow gives\n")
        return 0 if same else 1
    TARGET.write_bytes(made)
    sys.stdout.write(f"{TARGET.name}: {len(made)} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
