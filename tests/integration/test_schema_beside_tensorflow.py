"""The private schema and TensorFlow in one process, whichever comes first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TENSORFLOW = "import tensorflow as tf; from tensorflow.core.protobuf import saved_model_pb2, meta_graph_pb2"
OURS = """
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.text_format import parse_text, print_text
ours = message_class("tensorflow.SavedModel")
text = b'meta_graphs { collection_def { key: "v" value { any_list { value { '
text += b'[type.googleapis.com/tensorflow.VariableDef] { variable_name: "w" } } } } } }'
binary = parse_text(text, "").binary
"""
BOTH = """
from google.protobuf import text_format
theirs = saved_model_pb2.SavedModel.FromString(binary)
assert type(theirs) is not ours
assert theirs.SerializeToString(deterministic=True) == binary
assert text_format.MessageToString(theirs).encode() == print_text(binary)
assert ours.FromString(theirs.SerializeToString()).SerializeToString(deterministic=True) == binary
assert float(tf.constant(2.0) * 2) == 4.0
print("both work")
"""


@pytest.mark.parametrize("order", [(TENSORFLOW, OURS), (OURS, TENSORFLOW)], ids=["tensorflow first", "ours first"])
def test_both_orders_of_import_work(order: tuple[str, str]) -> None:
    """TensorFlow and the schema don't collide, and agree on what a message and its text are."""
    code = "\n".join([*order, BOTH])
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "both work"


def test_schema_has_the_numbers_of_tensorflow() -> None:
    """Every field of the schema has the number and type that the installed TensorFlow gives it."""
    code = """
from google.protobuf import descriptor_pool as default
from explorer.savedmodel.schema import descriptor_pool, message_class
import tensorflow
from tensorflow.core.example import example_pb2
from tensorflow.core.protobuf import fingerprint_pb2, queue_runner_pb2, saved_model_pb2, tensor_bundle_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, prediction_log_pb2
queue = [descriptor_pool().FindMessageTypeByName("tensorflow." + name) for name in
         ("SavedModel", "BundleEntryProto", "BundleHeaderProto", "FingerprintDef", "VariableDef", "WhileContextDef",
          "CondContextDef", "QueueRunnerDef", "SaverDef", "TrackableObjectGraph", "Example", "serving.PredictionLog",
          "serving.GetModelMetadataResponse", "serving.SignatureDefMap", "serving.GetModelStatusResponse")]
seen = set()
while queue:
    ours = queue.pop()
    if ours.full_name in seen:
        continue
    seen.add(ours.full_name)
    theirs = default.Default().FindMessageTypeByName(ours.full_name)
    for field in ours.fields:
        twin = theirs.fields_by_name[field.name]
        assert (field.number, field.type) == (twin.number, twin.type), field.full_name
        if field.message_type is not None:
            queue.append(field.message_type)
print(len(seen))
"""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) > 60
