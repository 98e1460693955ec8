"""Bodies as warm-up records: the messages, and the file that holds them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer import SavedModel, open_saved_model
from explorer.errors import RequestError, UsageError
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.warmup import MOST_RECORDS, contradictions, framed_record, read_records
from explorer.serving.warmup_records import warmup_file, warmup_record

CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance" / "models"


@pytest.fixture(scope="module")
def zoo() -> MetaGraph:
    """Signatures of every dtype."""
    return open_saved_model(CONFORMANCE / "zoo").meta_graph()


def read(record: bytes) -> Any:
    """The record as a message."""
    return message_class("tensorflow.serving.PredictionLog").FromString(record)


def test_predict_body_becomes_a_predict_request(zoo: MetaGraph) -> None:
    """Signature, input keys, dtypes, shapes and values are those that the server reads out of the body."""
    record = warmup_record('{"signature_name": "two_in", "instances": [{"a": 1.5, "b": 2}, {"a": 2, "b": 3}]}', zoo)
    request = read(record).predict_log.request
    assert request.model_spec.signature_name == "two_in"
    assert sorted(request.inputs) == ["a", "b"]
    assert (request.inputs["a"].dtype, request.inputs["b"].dtype) == (1, 3)
    assert [dim.size for dim in request.inputs["a"].tensor_shape.dim] == [2]
    assert _values(request.inputs["a"]) == [1.5, 2.0]
    assert _values(request.inputs["b"]) == [2, 3]


def _values(proto: Any) -> list[Any]:
    form = {1: "<f4", 3: "<i4"}[proto.dtype]
    if proto.tensor_content:
        return list(np.frombuffer(proto.tensor_content, form).tolist())
    return list(proto.float_val or proto.int_val)


def test_bytes_are_sent_decoded(zoo: MetaGraph) -> None:
    """What is base64 in JSON is bytes in the record."""
    record = warmup_record(b'{"signature_name": "id_string", "inputs": ["a", {"b64": "//4="}]}', zoo)
    assert list(read(record).predict_log.request.inputs["x"].string_val) == [b"a", b"\xff\xfe"]


def test_records_are_the_same_for_the_same_body(zoo: MetaGraph) -> None:
    """Nothing random is in them, so that two exports can be compared."""
    body = '{"signature_name": "two_in", "inputs": {"b": [1], "a": [2.0]}}'
    assert warmup_record(body, zoo) == warmup_record(body, zoo)


@pytest.mark.parametrize(
    ("verb", "body", "sentence"),
    [
        ("predict", "", "JSON Parse error: The document is empty"),
        ("predict", '{"instances": [null]}', "is not of expected type: float"),
        ("predict", '{"signature_name": "nope", "instances": [1.0]}', '"nope" not found'),
        ("classify", '{"instances": [1.0]}', "'examples' is expected"),
        ("classify", '{"signature_name": "nope", "examples": [{"x": 1.0}]}', "No signature was found"),
    ],
)
def test_body_that_the_server_refuses_makes_no_record(verb: str, body: str, sentence: str, zoo: MetaGraph) -> None:
    """The sentence is the server's."""
    with pytest.raises(RequestError, match=sentence):
        warmup_record(body, zoo, verb=verb)


def test_verb_must_be_one(zoo: MetaGraph) -> None:
    """Another verb is the caller's slip."""
    with pytest.raises(UsageError, match="'predict', 'classify' or 'regress'"):
        warmup_record("{}", zoo, verb="metadata")


def test_file_is_read_back_and_fits_the_model(zoo: MetaGraph) -> None:
    """Our own reader finds the records in order, and no contradiction with the signatures."""
    cls = open_saved_model(CONFORMANCE / "cls").meta_graph()
    bodies = [
        '{"signature_name": "both", "examples": [{"x": 1.0}]}',
        '{"signature_name": "both", "examples": [{}, {}]}',
    ]
    records = [warmup_record(body, cls, verb="classify") for body in bodies]
    found = read_records(warmup_file(records), "records")
    assert [bytes(one.data) for one in found] == records
    requests = [request for one in found for request in one.requests]
    assert [(request.kind, request.signature_name) for request in requests] == [("classify", "both")] * 2
    keys = {key: (one.inputs, one.outputs) for key, one in cls.callable_signatures.items()}
    assert contradictions(requests, keys) == ()
    assert read_records(warmup_file([]), "no records") == ()


def test_frame_has_the_masked_checksums_of_tfrecord() -> None:
    """Length and data, each with its CRC-32C: the example is the one that TensorFlow writes for ``b"abc"``."""
    frame = framed_record(b"abc")
    assert frame[:8] == struct.pack("<Q", 3)
    assert frame[12:15] == b"abc"
    assert len(frame) == 12 + 3 + 4
    assert frame == bytes.fromhex("0300000000000000b099490e6162636e57f121")


def test_server_takes_a_thousand_records_and_no_more() -> None:
    """One more is refused before anything is written."""
    assert len(read_records(warmup_file([b""] * MOST_RECORDS), "records")) == MOST_RECORDS
    with pytest.raises(RequestError, match="1001 warm-up records are too many"):
        warmup_file([b""] * (MOST_RECORDS + 1))


def test_model_is_only_read(zoo: MetaGraph) -> None:
    """A model from data alone, without a file, makes records as well."""
    model = SavedModel.from_dict({"meta_graphs": [zoo.to_dict()]})
    body = '{"instances": [1.0]}'
    assert warmup_record(body, model.meta_graph()) == warmup_record(body, zoo)
