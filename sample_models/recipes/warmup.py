"""Warm-up records of TensorFlow Serving, written byte by byte.

A TFRecord is a length, the masked CRC-32C of the length, the data, and the masked CRC-32C of the data
(https://www.tensorflow.org/tutorials/load_data/tfrecord); the data is a PredictionLog
(https://github.com/tensorflow/serving/blob/master/tensorflow_serving/apis/prediction_log.proto).
"""

from __future__ import annotations

import struct

from recipes.messages import DT_FLOAT, DT_STRING, entry, field, fields, shape

_CASTAGNOLI = 0x82F63B78


def predict_record(model_name: str, signature_name: str, input_key: str, values: list[float]) -> bytes:
    """The record of one Predict request with one float32[?] input."""
    tensor = field(1, DT_FLOAT) + field(2, shape([len(values)])) + field(4, struct.pack(f"<{len(values)}f", *values))
    request = _model_spec(model_name, signature_name) + entry(2, input_key, tensor)
    prediction_log = field(6, field(1, request))
    return tf_record(prediction_log)


def predict_strings_record(model_name: str, signature_name: str, input_key: str, values: list[bytes]) -> bytes:
    """The record of one Predict request with one string[?] input."""
    tensor = field(1, DT_STRING) + field(2, shape([len(values)])) + fields(8, values)
    request = _model_spec(model_name, signature_name) + entry(2, input_key, tensor)
    return tf_record(field(6, field(1, request)))


def classify_record(model_name: str, signature_name: str, examples: list[bytes]) -> bytes:
    """The record of one Classify request, for serialized tf.Example."""
    return tf_record(field(2, field(1, _example_request(model_name, signature_name, examples))))


def regress_record(model_name: str, signature_name: str, examples: list[bytes]) -> bytes:
    """The record of one Regress request, for serialized tf.Example."""
    return tf_record(field(3, field(1, _example_request(model_name, signature_name, examples))))


def _example_request(model_name: str, signature_name: str, examples: list[bytes]) -> bytes:
    """A ClassificationRequest or RegressionRequest, which have the same fields."""
    return _model_spec(model_name, signature_name) + field(2, field(1, fields(1, examples)))


def _model_spec(model_name: str, signature_name: str) -> bytes:
    """The first field of every request: which model and which of its signatures."""
    return field(1, field(1, model_name) + field(3, signature_name))


def tf_record(data: bytes) -> bytes:
    """One record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data))


def _masked(data: bytes) -> int:
    crc = _crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
