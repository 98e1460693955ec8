"""The private schema: what is in it, and that nobody else notices it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import pytest
from google.protobuf.internal import api_implementation

from explorer.savedmodel.schema import descriptor_pool, message_class


@pytest.mark.parametrize(
    "name",
    [
        "tensorflow.SavedModel",
        "tensorflow.MetaGraphDef",
        "tensorflow.SignatureDef",
        "tensorflow.FunctionDef",
        "tensorflow.OpDef",
        "tensorflow.SavedObjectGraph",
        "tensorflow.StructuredValue",
        "tensorflow.TrackableObjectGraph",
        "tensorflow.BundleEntryProto",
        "tensorflow.FingerprintDef",
        "tensorflow.VariableDef",
        "tensorflow.WhileContextDef",
        "tensorflow.QueueRunnerDef",
        "tensorflow.SaverDef",
        "tensorflow.AssetFileDef",
        "google.protobuf.Any",
    ],
)
def test_messages_of_a_saved_model_are_there(name: str) -> None:
    """Everything that lies in a SavedModel, or in the collections of TF1, has a class, and it is one class."""
    found = message_class(name)
    assert found.DESCRIPTOR.full_name == name
    assert message_class(name) is found
    assert found.DESCRIPTOR.file.pool is descriptor_pool()


def test_unknown_message_is_a_key_error() -> None:
    """A name that the schema doesn't have is the caller's slip."""
    with pytest.raises(KeyError):
        message_class("tensorflow.NoSuchMessage")


def test_threads_share_one_pool() -> None:
    """Classes asked for at the same time fit together: a field takes a message of the other class."""
    names = ["tensorflow.SavedModel", "tensorflow.MetaGraphDef"] * 20
    with ThreadPoolExecutor(8) as pool:
        classes = list(pool.map(message_class, names))
    assert len(set(classes)) == 2
    model = classes[0]()
    model.meta_graphs.append(classes[1]())  # type: ignore[attr-defined]


def test_bytes_go_through_whole() -> None:
    """A field that the schema doesn't know is written again as it was read."""
    binary = b"\x08\x01\xfa\x3e\x02hi"
    assert message_class("tensorflow.SavedModel").FromString(binary).SerializeToString() == binary


def test_the_file_is_small() -> None:
    """The wheel doesn't grow by accident, for example by comments."""
    assert len(resources.files("explorer.savedmodel").joinpath("schema.pb").read_bytes()) < 100_000


def test_protobuf_is_the_fast_one() -> None:
    """These tests run on upb; the pure-Python form is a hundred times slower and would hide it."""
    assert api_implementation.Type() == "upb"


def run(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout + found.stderr


def test_default_pool_stays_empty() -> None:
    """Nothing is registered where TensorFlow will register the same names."""
    code = """
from explorer.savedmodel.schema import message_class
from google.protobuf import descriptor_pool
message_class("tensorflow.SavedModel")()
for name in ("tensorflow.SavedModel", "tensorflow.DataType"):
    try:
        descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        print("absent")
"""
    assert run(code).split() == ["absent", "absent"]


def test_slow_protobuf_works_and_is_pointed_out() -> None:
    """With the pure-Python form the classes work, and one warning says why it will be slow."""
    code = (
        "from explorer.savedmodel.schema import message_class as c\nprint(c('tensorflow.SavedModel')().meta_graphs)\n"
    )
    code += "c('tensorflow.GraphDef')"
    shown = run(code, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="python")
    assert "[]" in shown
    assert shown.count("RuntimeWarning") == 1


def test_import_alone_loads_no_protobuf() -> None:
    """Only a message that is asked for costs the import of protobuf."""
    code = """
import sys
import explorer.savedmodel.schema, explorer.savedmodel.text_format, explorer.savedmodel.variables
import explorer.savedmodel.warmup
print([name for name in sys.modules if name.startswith(("google.protobuf", "numpy", "tensorflow"))])
"""
    assert run(code).strip() == "[]"
