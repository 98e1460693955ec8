"""Request bodies that don't work, as people send them: what the linter must find, and where.

The stories are those of the issue trackers and of the server's own rules. A body is either refused (its status is
given), or answered with something else than was meant (status 200).
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from explorer import SavedModel, open_saved_model

REPOSITORY = Path(__file__).resolve().parent.parent
CONFORMANCE = REPOSITORY / "tests" / "conformance" / "models"
SAMPLES = REPOSITORY / "sample_models"


@dataclass(frozen=True)
class LintCase:
    """A body that doesn't work.

    Attributes:
        story: What somebody did; its words are the test's id.
        model: A folder of tests/conformance/models or sample_models.
        body: The body.
        code: The finding.
        path: The element that it names.
        status: What the server answers; 200 where it answers something else than was meant.
        verb: Where it is sent.
        signature: The signature that is meant, where the linter can't know it from the body.
    """

    story: str
    model: str
    body: str
    code: str
    path: str
    status: int = 400
    verb: str = "predict"
    signature: str | None = None


def model_folder(name: str) -> Path:
    """Where a model of the cases lies."""
    return next(path for path in (CONFORMANCE / name, SAMPLES / name) if path.is_dir())


def open_model(name: str) -> SavedModel:
    """A model of the cases."""
    return open_saved_model(model_folder(name))


def _png() -> bytes:
    """A picture of one red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PNG = _png()
B64 = base64.b64encode(PNG).decode()
WEB_SAFE = base64.urlsafe_b64encode(b"\xfb\xff\xfe any bytes").decode()
TWICE = base64.b64encode(B64.encode()).decode()

CASES = [
    # "How would anyone figure out what to send?" (tfx#44, serving#1323)
    LintCase("singular instance", "half_plus_two", '{"instance": [1.0]}', "wrong_key", "instance"),
    LintCase("singular input", "half_plus_two", '{"input": {"x": [1.0]}}', "wrong_key", "input"),
    LintCase("data as in other frameworks", "half_plus_two", '{"data": [1.0, 2.0]}', "wrong_key", "data"),
    LintCase("keys without instances or inputs", "half_plus_two", '{"x": [1.0]}', "missing_top_level", ""),
    LintCase("bare list", "half_plus_two", "[1.0, 2.0]", "missing_top_level", ""),
    LintCase(
        "KServe V2 body",
        "half_plus_two",
        '{"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}',
        "v2_body",
        "inputs",
    ),
    LintCase(
        "instances and empty inputs", "half_plus_two", '{"instances": [1.0], "inputs": {}}', "both_keys", "inputs"
    ),
    LintCase(
        "other letters in the key", "half_plus_two", '{"instances": [{"X": 1.0}]}', "wrong_input_key", "instances[0].X"
    ),
    LintCase(
        "tensor name for the key",
        "half_plus_two",
        '{"instances": [{"x:0": 1.0}]}',
        "wrong_input_key",
        "instances[0]['x:0']",
    ),
    LintCase(
        "columns under instances",
        "half_plus_two",
        '{"instances": {"x": [1.0, 2.0]}}',
        "columns_in_instances",
        "instances",
    ),
    LintCase("rows under inputs", "half_plus_two", '{"inputs": [{"x": 1.0}, {"x": 2.0}]}', "rows_in_inputs", "inputs"),
    LintCase("one bare value under instances", "half_plus_two", '{"instances": 1.0}', "instances_no_list", "instances"),
    LintCase(
        "objects and values mixed", "half_plus_two", '{"instances": [{"x": 1.0}, 2.0]}', "mixed_rows", "instances[1]"
    ),
    LintCase("no rows at all", "half_plus_two", '{"instances": []}', "no_rows", "instances"),
    # Several inputs (serving#2082, serving#1047)
    LintCase(
        "input too many",
        "zoo",
        '{"signature_name": "two_in", "instances": [{"a": 1.0, "b": 2, "c": 3}]}',
        "extra_input",
        "instances[0].c",
    ),
    LintCase(
        "key field of batch prediction",
        "image_bytes",
        f'{{"instances": [{{"image_bytes": {{"b64": "{B64}"}}, "key": "1"}}]}}',
        "extra_input",
        "instances[0].key",
    ),
    LintCase(
        "input with a default value left out",
        "edited",
        '{"signature_name": "dflt", "inputs": {"a": [1.0, 2.0]}}',
        "missing_input",
        "inputs",
    ),
    LintCase(
        "input without a batch in a row",
        "shapes_and_types",
        '{"signature_name": "dtypes", "instances": [{"counts": [1, 2], "keep": true, "pixels": [1, 2, 3], '
        '"ratios": [0.5, 0.25]}]}',
        "extra_dimension",
        "instances[0].pixels",
        200,
    ),
    LintCase(
        "batches within a row",
        "zoo",
        '{"signature_name": "two_in", "instances": [{"a": [1.0, 2.0], "b": [3]}]}',
        "extra_dimension",
        "instances[0].a",
        200,
    ),
    # "1 instance works, 2 fail" (serving#1292)
    LintCase(
        "rows of two lengths",
        "zoo",
        '{"signature_name": "id_float32", "instances": [[1.0, 2.0], [3.0], [4.0, 5.0]]}',
        "ragged",
        "instances[1]",
    ),
    # Signatures (tensorflow#50405)
    LintCase("other signature, not named", "zoo", '{"instances": [{"a": 1.0, "b": 2}]}', "wrong_signature", ""),
    LintCase(
        "signature misspelt",
        "zoo",
        '{"signature_name": "tow_in", "instances": [{"a": 1.0, "b": 2}]}',
        "wrong_signature",
        "signature_name",
    ),
    LintCase(
        "signature under another key",
        "zoo",
        '{"signature": "two_in", "instances": [{"a": 1.0, "b": 2}]}',
        "ignored_key",
        "signature",
    ),
    LintCase(
        "signature null",
        "half_plus_two",
        '{"signature_name": null, "instances": [1.0]}',
        "signature_name_type",
        "signature_name",
    ),
    LintCase(
        "no default signature",
        "cls",
        '{"examples": [{"x": 1.5}]}',
        "missing_signature_name",
        "",
        400,
        "classify",
        "both",
    ),
    # dtypes
    LintCase(
        "decimal for int32",
        "zoo",
        '{"signature_name": "id_int32", "instances": [1, 2.0, 1e2]}',
        "float_for_int",
        "instances[1]",
    ),
    LintCase(
        "0 and 1 for bool",
        "zoo",
        '{"signature_name": "id_bool", "instances": [0, true, 1]}',
        "number_for_bool",
        "instances[0]",
    ),
    LintCase("true for a number", "half_plus_two", '{"instances": [true]}', "bool_for_number", "instances[0]"),
    LintCase(
        "number in quotation marks",
        "half_plus_two",
        '{"instances": [{"x": "1.5"}]}',
        "string_for_number",
        "instances[0].x",
    ),
    LintCase(
        "number for a text",
        "zoo",
        '{"signature_name": "id_string", "inputs": {"x": ["a", 7]}}',
        "number_for_string",
        "inputs.x[1]",
    ),
    LintCase("null for NaN", "half_plus_two", '{"instances": [1.0, null]}', "null", "instances[1]"),
    LintCase("nan as Python prints it", "half_plus_two", '{"instances": [nan, -inf]}', "spelling", "instances[0]"),
    # base64 and images (kserve#942, attention-ocr#93, serving#1141, hub#192)
    LintCase(
        "image as a plain base64 text", "image_bytes", f'{{"instances": ["{B64}"]}}', "plain_base64", "instances[0]"
    ),
    LintCase(
        "image as a data: URL",
        "image_bytes",
        f'{{"instances": [{{"image_bytes": "data:image/png;base64,{B64}"}}]}}',
        "data_url",
        "instances[0].image_bytes",
    ),
    LintCase(
        "base64 of base64", "image_bytes", f'{{"instances": [{{"b64": "{TWICE}"}}]}}', "double_base64", "instances[0]"
    ),
    LintCase(
        "bytes as Python prints them",
        "image_bytes",
        f'{{"instances": [{{"b64": "b\'{B64}\'"}}]}}',
        "bytes_literal",
        "instances[0]",
    ),
    LintCase(
        "web-safe base64",
        "zoo",
        f'{{"signature_name": "id_string", "instances": [{{"b64": "{WEB_SAFE}"}}]}}',
        "web_safe_base64",
        "instances[0]",
    ),
    LintCase(
        "another key beside b64",
        "zoo",
        '{"signature_name": "id_string", "instances": [{"x": {"b64": "aGk=", "name": "hi"}}]}',
        "b64_beside_key",
        "instances[0].x",
    ),
    LintCase(
        "base64 under another name",
        "image_bytes",
        f'{{"instances": [{{"image_bytes": {{"base64": "{B64}"}}}}]}}',
        "wrong_b64_key",
        "instances[0].image_bytes",
    ),
    LintCase(
        "image under another key",
        "image_bytes",
        f'{{"instances": [{{"image": {{"b64": "{B64}"}}}}]}}',
        "wrong_input_key",
        "instances[0].image",
    ),
    # Records (serving#1208, serving#1528, serving#1602)
    LintCase(
        "1 for a float feature",
        "half_plus_two",
        '{"signature_name": "classify_x", "examples": [{"x": 1}]}',
        "int_for_float",
        "examples[0].x",
        400,
        "classify",
    ),
    LintCase(
        "instances sent to classify",
        "half_plus_two",
        '{"signature_name": "classify_x", "instances": [{"x": 1.0}]}',
        "wrong_key",
        "instances",
        400,
        "classify",
    ),
    LintCase(
        "examples of a predict signature",
        "half_plus_two",
        '{"examples": [{"x": 1.0}]}',
        "wrong_signature",
        "",
        400,
        "regress",
    ),
    LintCase(
        "record as a list",
        "half_plus_two",
        '{"signature_name": "regress_x", "examples": [[1.0]]}',
        "example_no_object",
        "examples[0]",
        400,
        "regress",
    ),
    LintCase(
        "features sent to predict",
        "estimator_like",
        '{"signature_name": "predict", "instances": [{"length": 3.0, "width": 1}]}',
        "wrong_verb",
        "instances",
    ),
    LintCase(
        "text for a float feature",
        "half_plus_two",
        '{"signature_name": "regress_x", "examples": [{"x": "2.5"}]}',
        "string_for_number",
        "examples[0].x",
        400,
        "regress",
    ),
    LintCase(
        "whole numbers and decimal ones",
        "cls",
        '{"signature_name": "classes_only", "examples": [{"x": [1, 2.5]}]}',
        "mixed_feature",
        "examples[0].x[0]",
        400,
        "classify",
    ),
    # What is no JSON
    LintCase("Python's quotation marks", "half_plus_two", "{'instances': [1.0]}", "quotes", ""),
    LintCase("trailing comma", "half_plus_two", '{"instances": [1.0, 2.0,]}', "trailing_comma", "instances"),
    LintCase("bracket forgotten", "half_plus_two", '{"instances": [1.0, 2.0}', "missing_bracket", "instances"),
    LintCase(
        "array as numpy prints it",
        "half_plus_two",
        '{"instances": array([1., 2.], dtype=float32)}',
        "spelling",
        "instances",
    ),
    LintCase("comment", "half_plus_two", '{"instances": [1.0]  // one row\n}', "comment", ""),
    LintCase("tuple", "half_plus_two", '{"instances": (1.0, 2.0)}', "brackets", "instances"),
    LintCase("dumped twice", "half_plus_two", '"{\\"instances\\": [1.0]}"', "double_encoded", ""),
    LintCase("form", "half_plus_two", "instances=1.0&instances=2.0", "form_encoded", ""),
    LintCase("body in a list", "half_plus_two", '[{"instances": [1.0]}]', "wrapped_in_list", ""),
    # Outputs that rows can't hold
    LintCase(
        "scalar output asked for in rows",
        "zoo",
        '{"signature_name": "two_out_scalar", "instances": [1.0, 2.0]}',
        "rows_in_answer",
        "instances",
    ),
    # Dimensions, of which only the graph could know
    LintCase(
        "batch dimension forgotten",
        "zoo",
        '{"signature_name": "none3", "instances": [1.0, 2.0, 3.0]}',
        "missing_dimension",
        "instances",
        200,
    ),
    LintCase(
        "one list too many", "half_plus_two", '{"instances": [[1.0, 2.0, 5.0]]}', "extra_dimension", "instances[0]", 200
    ),
    LintCase(
        "scalar in a row",
        "zoo",
        '{"signature_name": "scalar_in", "instances": [3.0]}',
        "scalar_in_rows",
        "instances[0]",
        200,
    ),
    LintCase(
        "key twice in a row",
        "half_plus_two",
        '{"instances": [{"x": 3, "x": 6}, {"x": 9}]}',
        "duplicate_key",
        "instances[0].x",
        200,
    ),
]
"""Each has a corrected body that the server answers."""
