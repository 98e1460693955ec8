"""File names, tags, method names and reserved keys, as TensorFlow defines them.

Sources: ``tensorflow/python/saved_model/constants.py``, ``tag_constants.py``, ``signature_constants.py`` and
``tensorflow/core/framework/types.proto``.
"""

from __future__ import annotations

SAVED_MODEL_PB = "saved_model.pb"
SAVED_MODEL_PBTXT = "saved_model.pbtxt"
SAVED_MODEL_CPB = "saved_model.cpb"
MODEL_FILE_NAMES = (SAVED_MODEL_PB, SAVED_MODEL_PBTXT, SAVED_MODEL_CPB)
"""The files that make a folder a SavedModel, in the order in which TensorFlow's loader looks for them."""

VARIABLES_FOLDER = "variables"
VARIABLES_INDEX = "variables/variables.index"
ASSETS_FOLDER = "assets"
FINGERPRINT = "fingerprint.pb"
KERAS_METADATA = "keras_metadata.pb"
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"

TAG_CONSTANTS = {
    "serve": "SERVING: the graph that answers requests; the only tag that TensorFlow Serving asks for",
    "train": "TRAINING: the graph with loss, gradients and optimizer",
    "eval": "EVAL: the graph that measures a trained model",
    "gpu": "GPU: placed for a graphics processor; stands beside another tag",
    "tpu": "TPU: placed for a tensor processing unit; stands beside another tag",
}
"""The five tags that TensorFlow names, with what each is for. Any other text is allowed too."""

DEFAULT_SIGNATURE_KEY = "serving_default"

BYTES_SUFFIX = "_bytes"
"""A key that ends so tells TensorFlow Serving's REST API, and whoever reads it, that texts are bytes, in base64."""
INIT_OP_SIGNATURE_KEY = "__saved_model_init_op"
TRAIN_OP_SIGNATURE_KEY = "__saved_model_train_op"
RESERVED_SIGNATURE_KEYS = frozenset({INIT_OP_SIGNATURE_KEY, TRAIN_OP_SIGNATURE_KEY})
"""Entries of ``signature_def`` that loaders use for themselves: an op to run, no signature that one calls."""

PREDICT_METHOD_NAME = "tensorflow/serving/predict"
CLASSIFY_METHOD_NAME = "tensorflow/serving/classify"
REGRESS_METHOD_NAME = "tensorflow/serving/regress"
METHOD_NAMES = (PREDICT_METHOD_NAME, CLASSIFY_METHOD_NAME, REGRESS_METHOD_NAME)

DT_INVALID = 0
DT_FLOAT = 1
DT_INT32 = 3
DT_STRING = 7
DT_INT64 = 9
DT_BOOL = 10
DT_RESOURCE = 20
DT_VARIANT = 21
REF_OFFSET = 100
"""A reference dtype (a variable of TensorFlow 1) is the number of its base dtype plus this."""

DTYPE_NAMES = {
    0: "invalid",
    1: "float",
    2: "double",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "half",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    26: "float8_e4m3fnuz",
    27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz",
    29: "int4",
    30: "uint4",
    31: "int2",
    32: "uint2",
    33: "float4_e2m1fn",
}
"""Number in ``types.proto`` → its name there, lower case and without ``DT_``."""

DTYPE_TEXTS = {1: "float32", 2: "float64", 19: "float16"}
"""Numbers whose usual name in Python differs from the one in ``types.proto``."""

DTYPE_SIZES = {
    1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 8: 8, 9: 8, 10: 1, 11: 1, 12: 1, 13: 4, 14: 2, 15: 2, 16: 2, 17: 2, 18: 16,
    19: 2, 22: 4, 23: 8, 24: 1, 25: 1, 26: 1, 27: 1, 28: 1,
}  # fmt: skip
"""Number → bytes per element, for dtypes whose elements have a fixed size."""
