"""Request bodies fit the signature, are what TensorFlow Serving reads, and are the same every time."""

from __future__ import annotations

import base64
import json
import math
import shlex
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import explorer
from explorer.errors import ExplorerError, NotFoundError, RequestError
from explorer.savedmodel.model import SavedModel
from explorer.serving.bodies import body_format, json_text, rest_path
from explorer.serving.snippets import curl_command, saved_model_cli_command, served_name

Declared = tuple[str, list[int | None] | None]


def tensor(declared: Declared, **more: Any) -> dict[str, Any]:
    """A TensorInfo as data."""
    return {"dtype": declared[0], "shape": declared[1], "tensor_name": "x:0", **more}


def a_model(
    inputs: Mapping[str, Declared | dict[str, Any]],
    signature_key: str = "serving_default",
    method: str = "predict",
    outputs: Mapping[str, Declared] | None = None,
    **more: Any,
) -> SavedModel:
    """A model with one signature."""
    signature = {
        "method_name": f"tensorflow/serving/{method}",
        "inputs": {key: info if isinstance(info, dict) else tensor(info) for key, info in inputs.items()},
        "outputs": {key: tensor(info) for key, info in (outputs or {"y": ("DT_FLOAT", [None])}).items()},
    }
    meta_graph = {"tags": ["serve"], "signatures": {signature_key: signature}}
    return SavedModel.from_dict({"meta_graphs": [meta_graph], **more})


FLOATS: dict[str, Declared] = {"x": ("DT_FLOAT", [None])}
CLASSIFY: dict[str, Declared] = {"inputs": ("DT_STRING", [None])}


@pytest.mark.parametrize(
    ("declared", "zero"),
    [
        ("DT_FLOAT", "0.0"),
        ("DT_DOUBLE", "0.0"),
        ("DT_INT8", "0"),
        ("DT_UINT8", "0"),
        ("DT_INT16", "0"),
        ("DT_INT32", "0"),
        ("DT_INT64", "0"),
        ("DT_UINT32", "0"),
        ("DT_UINT64", "0"),
        ("DT_BOOL", "false"),
        ("DT_STRING", '""'),
    ],
)
def test_zeros_of_every_dtype(declared: str, zero: str) -> None:
    """Every dtype that the REST API takes gets its own kind of nothing, in both formats, always the same."""
    model = a_model({"x": (declared, [None])})
    assert explorer.request_body(model) == f'{{"instances": [{{"x": {zero}}}]}}'
    assert explorer.request_body(model, format="column") == f'{{"inputs": {{"x": [{zero}]}}}}'
    assert explorer.request_body(model) == explorer.request_body(model)


@pytest.mark.parametrize(
    "dtype",
    ["DT_UINT16", "DT_HALF", "DT_BFLOAT16", "DT_COMPLEX64", "DT_COMPLEX128", "DT_QINT8", "DT_RESOURCE", "DT_VARIANT"]
    + ["DT_INT4", "DT_INVALID", "DT_999", "DT_FLOAT_REF"],
)
def test_dtypes_that_rest_refuses(dtype: str) -> None:
    """A dtype without a JSON form is named in the error, and so is the protocol that takes it."""
    with pytest.raises(RequestError, match=f"{dtype}.*gRPC"):
        explorer.request_body(a_model({"x": (dtype, [None])}))


@pytest.mark.parametrize(
    ("shape", "row", "column"),
    [
        ([None, 3], [{"x": [0, 0, 0]}], [[0, 0, 0]]),
        ([2, None], [{"x": [0]}, {"x": [0]}], [[0], [0]]),
        ([None, 2, 1], [{"x": [[0], [0]]}], [[[0], [0]]]),
        (None, [{"x": 0}], [0]),
        ([-5], [{"x": 0}], [0]),
        ([2, 0], [{"x": []}, {"x": []}], [[], []]),
    ],
)
def test_zeros_have_the_declared_shape(shape: list[int | None] | None, row: object, column: object) -> None:
    """Unknown dimensions are 1, an unknown rank is one dimension, fixed sizes are kept."""
    model = a_model({"x": ("DT_INT32", shape)})
    assert json.loads(explorer.request_body(model, format="row")) == {"instances": row}
    assert json.loads(explorer.request_body(model, format="column")) == {"inputs": {"x": column}}


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"x": ("DT_FLOAT", [])}, "'x' is a scalar"),
        ({"x": ("DT_FLOAT", [None]), "n": ("DT_INT32", [])}, "'n' is a scalar"),
        ({"x": ("DT_FLOAT", [2]), "z": ("DT_FLOAT", [3])}, "batch of 2 and input 'z' one of 3"),
        ({"x": ("DT_FLOAT", [0, 2])}, "batch of 0"),
        ({"a\0b": ("DT_FLOAT", [None])}, "NUL"),
    ],
)
def test_row_where_it_is_impossible(inputs: dict[str, Declared], reason: str) -> None:
    """The column format is chosen, the reason can be asked for, and asking for rows is refused with it."""
    model = a_model(inputs)
    signature = model.meta_graph().signature("serving_default")
    assert set(json.loads(explorer.request_body(model))) == {"inputs"}
    chosen, why = body_format(signature)
    assert chosen == "column" and reason in why
    with pytest.raises(RequestError, match="row format.*column format") as raised:
        explorer.request_body(model, format="row")
    assert reason in str(raised.value)


def test_row_is_chosen_where_it_is_possible() -> None:
    """Several inputs with one batch size go in rows, each row an object with every input."""
    model = a_model({"x": ("DT_FLOAT", [None, 2]), "n": ("DT_INT64", [None])})
    assert explorer.request_body(model) == '{"instances": [{"x": [0.0, 0.0], "n": 0}]}'
    assert body_format(model.meta_graph().signature("serving_default"))[0] == "row"


def test_input_named_b64_is_no_base64() -> None:
    """The server would decode {"b64": "…"}; a string input of that name is written so that it is a named input."""
    model = a_model({"b64": ("DT_STRING", [None])})
    assert explorer.request_body(model) == '{"instances": [{"b64": {"b64": ""}}]}'
    body = json.loads(explorer.request_body(model, values={"b64": ["hé", b"\xff"]}))
    decoded = [base64.b64decode(row["b64"]["b64"]) for row in body["instances"]]
    assert decoded == ["hé".encode(), b"\xff"]
    assert explorer.request_body(model, format="column") == '{"inputs": {"b64": [""]}}'
    scalar = a_model({"b64": ("DT_STRING", [])})
    assert explorer.request_body(scalar) == '{"inputs": {"b64": {"b64": ""}}}'
    assert explorer.request_body(a_model({"b64": ("DT_FLOAT", [None])})) == '{"instances": [{"b64": 0.0}]}'
    two = a_model({"b64": ("DT_STRING", [None]), "x": ("DT_FLOAT", [None])})
    assert explorer.request_body(two) == '{"instances": [{"b64": "", "x": 0.0}]}'


def test_signature_name_comes_first_unless_default() -> None:
    """A signature other than serving_default is named in the body, before anything else."""
    body = explorer.request_body(a_model(FLOATS, "other"), "other")
    assert body == '{"signature_name": "other", "instances": [{"x": 0.0}]}'
    assert "signature_name" not in explorer.request_body(a_model(FLOATS))


def test_signature_that_is_meant_when_none_is_named() -> None:
    """serving_default, else the only one that can be called, else an error that lists what there is."""
    assert '"signature_name": "only"' in explorer.request_body(a_model(FLOATS, "only"))
    data = a_model(FLOATS, "one").to_dict()
    signatures = data["meta_graphs"][0]["signatures"]
    signatures["__saved_model_init_op"] = {"inputs": {}, "outputs": {}}
    assert '"one"' in explorer.request_body(SavedModel.from_dict(data))
    signatures["two"] = dict(signatures["one"], signature_key="two")
    with pytest.raises(NotFoundError, match="'one', 'two'") as raised:
        explorer.request_body(SavedModel.from_dict(data))
    assert raised.value.available == ("one", "two")


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_examples_for_classify_and_regress(method: str) -> None:
    """Their REST verbs take a list of examples; asked for rows or columns, or given values, it is the predict form."""
    model = a_model(CLASSIFY, "c", method)
    assert explorer.request_body(model) == '{"signature_name": "c", "examples": [{}]}'
    assert body_format(model.meta_graph().signature("c"))[0] == "examples"
    assert f"/v1/models/model:{method}" in curl_command(model)
    assert '"instances"' in explorer.request_body(model, format="row")
    assert ":predict" in curl_command(model, format="row")
    assert '{"b64": "AA=="}' in explorer.request_body(model, values={"inputs": [b"\0"]})


def test_classify_that_the_verb_refuses() -> None:
    """:classify takes one input of strings named inputs; any other signature is called by predict."""
    model = a_model(FLOATS, method="classify")
    assert explorer.request_body(model) == '{"instances": [{"x": 0.0}]}'
    assert ":predict" in curl_command(model)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (a_model({}), "has no inputs"),
        (a_model(FLOATS, "__saved_model_init_op"), "is reserved"),
        (a_model(FLOATS, ""), "empty key"),
        (
            a_model({"x": {"dtype": "DT_FLOAT", "encoding": "coo_sparse", "components": {"values": "v:0"}}}),
            "encoded as coo_sparse",
        ),
        (
            a_model({"x": {"dtype": "DT_VARIANT", "encoding": "composite_tensor", "components": {"0": "v:0"}}}),
            "encoded as composite_tensor",
        ),
        (a_model({"x": ("DT_FLOAT", [None, 224, 224, 3, 50])}), "more than 5000000 elements"),
        (a_model({"x": ("DT_FLOAT", [2**62] * 200)}), "more than 5000000 elements"),
        (a_model({"x": ("DT_FLOAT", [5_000_001, 0])}), "more than 5000000 elements"),
        (a_model({f"x{n}": ("DT_FLOAT", [4_000_000]) for n in range(2)}), "elements together"),
        (a_model({"x": ("DT_FLOAT", [1] * 255)}), "at most 254"),
    ],
)
def test_signatures_that_no_request_fits(model: SavedModel, sentence: str) -> None:
    """A signature that REST cannot call gives one sentence with the reason, at once, whatever its shape says."""
    key = next(iter(model.meta_graph().signatures))
    with pytest.raises(RequestError, match=sentence) as raised:
        explorer.request_body(model, key)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400
    with pytest.raises(RequestError, match=sentence):
        body_format(model.meta_graph().signature(key))


def test_wrong_format_names_both() -> None:
    """A format that isn't one is answered with the two that are."""
    with pytest.raises(RequestError, match="'rows'.*'row' or 'column'"):
        explorer.request_body(a_model(FLOATS), format="rows")


def test_image_of_zeros() -> None:
    """A body of 150,528 zeros is made from lists, without numpy and orjson, and has the whole shape."""
    code = (
        "import sys, json; from explorer.savedmodel.model import SavedModel; import explorer\n"
        "info = {'dtype': 'DT_FLOAT', 'shape': [1, 224, 224, 3], 'tensor_name': 'x:0'}\n"
        "signature = {'method_name': '', 'inputs': {'x': info}, 'outputs': {}}\n"
        "graph = {'tags': ['serve'], 'signatures': {'serving_default': signature}}\n"
        "body = json.loads(explorer.request_body(SavedModel.from_dict({'meta_graphs': [graph]})))\n"
        "image = body['instances'][0]['x']\n"
        "print(len(image), len(image[0]), len(image[0][0]), [n for n in ('numpy', 'orjson') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "224 224 3 []", done.stderr


def test_values_in_both_formats() -> None:
    """Given values stand in the body as they are; inputs left out follow their batch size."""
    model = a_model({"x": ("DT_FLOAT", [None, 2]), "n": ("DT_INT64", [None]), "b": ("DT_BOOL", [None])})
    values = {"x": [[1, 2.5], (3, 4)], "n": [2**62 + 1, -1]}
    assert explorer.request_body(model, values=values) == (
        '{"instances": [{"x": [1.0, 2.5], "n": 4611686018427387905, "b": false}, '
        '{"x": [3.0, 4.0], "n": -1, "b": false}]}'
    )
    assert json.loads(explorer.request_body(model, values=values, format="column")) == {
        "inputs": {"x": [[1.0, 2.5], [3.0, 4.0]], "n": [2**62 + 1, -1], "b": [False, False]}
    }


def test_values_decide_on_the_format_too() -> None:
    """Given batches that differ can only go in columns."""
    model = a_model({"x": ("DT_FLOAT", [None]), "z": ("DT_FLOAT", [None])})
    values = {"x": [1, 2], "z": [1]}
    assert '"inputs"' in explorer.request_body(model, values=values)
    assert body_format(model.meta_graph().signature("serving_default"), values)[0] == "column"
    assert explorer.request_body(model, values={"x": [], "z": []}) == '{"inputs": {"x": [], "z": []}}'


def test_not_a_number_and_infinity_are_bare_tokens() -> None:
    """TensorFlow Serving reads NaN, Infinity and -Infinity without quotes; the sign of -0.0 survives."""
    body = explorer.request_body(a_model(FLOATS), values={"x": [math.nan, math.inf, -math.inf, -0.0]}, format="column")
    assert body == '{"inputs": {"x": [NaN, Infinity, -Infinity, -0.0]}}'


def test_float32_arrays_are_written_short() -> None:
    """A float32 array is written with the digits that a float32 needs, NaN and infinities included; big-endian too."""
    array = np.array([[0.1, np.nan], [np.inf, 1e30]], np.float32)
    expected = '{"inputs": {"x": [[0.1, NaN], [Infinity, 1e30]]}}'
    model = a_model({"x": ("DT_FLOAT", [None, 2])})
    for value in (array, array.astype(">f4"), np.asfortranarray(array)):
        body = explorer.request_body(model, values={"x": value}, format="column")
        assert body.replace("1e+30", "1e30") == expected  # orjson writes one or the other, by its version
    scalar = a_model({"x": ("DT_FLOAT", [])})
    assert explorer.request_body(scalar, values={"x": np.float32(0.1)}) == '{"inputs": {"x": 0.1}}'
    assert explorer.request_body(a_model(FLOATS), values={"x": [np.float32(0.1)]}, format="row").endswith("0.1}]}")
    assert explorer.request_body(a_model(FLOATS), values={"x": np.zeros(0, np.float32)}) == '{"inputs": {"x": []}}'


@given(st.lists(st.floats(width=32), min_size=1))
def test_float32_values_come_back(numbers: list[float]) -> None:
    """Every float32, given as an array, is read back as the same float32."""
    array = np.array(numbers, np.float32)
    body = json.loads(explorer.request_body(a_model(FLOATS), values={"x": array}, format="column"))
    np.testing.assert_array_equal(np.array(body["inputs"]["x"], np.float32), array)


@given(st.lists(st.floats() | st.integers(-(2**53), 2**53), min_size=1))
def test_float64_values_come_back(numbers: list[float]) -> None:
    """Every double, given as a list, is read back as the same double."""
    model = a_model({"x": ("DT_DOUBLE", [None])})
    body = json.loads(explorer.request_body(model, values={"x": numbers}, format="column"))
    np.testing.assert_array_equal(np.array(body["inputs"]["x"]), np.array(numbers, np.float64))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.binary(), min_size=1))
def test_strings_come_back(strings: list[str | bytes]) -> None:
    """Texts stand as texts in ASCII, bytes in base64, and both say what was given."""
    model = a_model({"s": ("DT_STRING", [None])})
    text = explorer.request_body(model, values={"s": strings}, format="column")
    assert text.isascii() and text.isprintable()
    back = [s if isinstance(s, str) else base64.b64decode(s["b64"]) for s in json.loads(text)["inputs"]["s"]]
    assert back == strings


@pytest.mark.parametrize(
    ("declared", "value", "sentence"),
    [
        (("DT_INT32", [None]), [1, 1.0], r"x\[1\] is 1.0, but int32 takes a whole number"),
        (("DT_INT32", [None]), [True], r"x\[0\] is True"),
        (("DT_INT8", [None]), [200], r"x\[0\] is 200, but int8 takes a whole number from -128 to 127"),
        (("DT_UINT64", [None]), [-1], r"from 0 to 18446744073709551615"),
        (("DT_INT64", [None]), [10**5000], r"x\[0\] is a whole number of 16610 bits"),
        (("DT_BOOL", [None]), [0], r"x\[0\] is 0, but bool takes True or False"),
        (("DT_STRING", [None]), [3], r"x\[0\] is 3, but string takes a text, or bytes"),
        (("DT_STRING", [None]), ["\ud800"], "UTF-8"),
        (("DT_FLOAT", [None]), ["1"], r"x\[0\] is '1', but float32 takes a number"),
        (("DT_FLOAT", [None]), [None], r"x\[0\] is None"),
        (("DT_FLOAT", [None]), [1e39], r"x\[0\] is 1e\+39, but float32 takes a number up to 3.4028235e\+38"),
        (("DT_DOUBLE", [None]), [10**400], "number up to"),
        (("DT_FLOAT", [None]), [{"b64": ""}], r"x\[0\] is a dict"),
        (("DT_FLOAT", [None]), 1.0, r"x has no dimension, but float32\[\?\] is declared, which has 1 dimension"),
        (("DT_FLOAT", [None]), [[1.0]], "x has 2 dimensions"),
        (("DT_FLOAT", [None, 3]), [[1, 2]], r"x\[0\] has 2 elements, but float32\[\?, 3\] is declared: give 3"),
        (("DT_FLOAT", [2]), [1], "x has 1 element, .* give 2"),
        (("DT_FLOAT", None), [[1, 2], [3]], r"x\[1\] has the shape \[1\], but the elements before it have \[2\]"),
        (("DT_FLOAT", None), [[1, [2]]], r"x\[0\]\[1\] has the shape"),
        (("DT_FLOAT", [None]), np.zeros(2, np.complex64), "array of complex64"),
        (("DT_INT32", [None]), np.zeros(2, np.float32), r"x\[0\] is 0.0"),
    ],
)
def test_values_that_do_not_fit(declared: Declared, value: object, sentence: str) -> None:
    """A value that the server would refuse, or quietly change, is refused; the sentence names the element."""
    with pytest.raises(RequestError, match=sentence) as raised:
        explorer.request_body(a_model({"x": declared}), values={"x": value})
    assert "input 'x' of signature 'serving_default'" in str(raised.value)


def test_endless_nesting_ends() -> None:
    """A list that contains itself is refused as too deep, without a RecursionError."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RequestError, match="nested deeper than the 254"):
        explorer.request_body(a_model({"x": ("DT_FLOAT", None)}), values={"x": loop})


def test_unknown_input_is_named() -> None:
    """A value for an input that isn't there is an error with the inputs that are."""
    with pytest.raises(NotFoundError, match="no input 'features'.*available: 'x'"):
        explorer.request_body(a_model(FLOATS), values={"features": [1]})
    with pytest.raises(RequestError, match="mapping"):
        explorer.request_body(a_model(FLOATS), values=[1])  # type: ignore[arg-type]


def test_indented_body_is_the_same_json() -> None:
    """With an indent the body says the same on several lines, lists of numbers on one line each."""
    model = a_model({"x": ("DT_FLOAT", [None, 2]), "n": ("DT_INT64", [None])}, "k")
    text = explorer.request_body(model, values={"x": [[1, 2], [3, 4]]}, indent=2)
    assert json.loads(text) == json.loads(explorer.request_body(model, values={"x": [[1, 2], [3, 4]]}))
    assert text.splitlines()[:5] == [
        "{",
        '  "signature_name": "k",',
        '  "instances": [',
        "    {",
        '      "x": [1.0, 2.0],',
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values), st.integers(0, 4))
def test_indent_never_changes_the_data(body: dict[str, Any], indent: int) -> None:
    """Whatever the body, both layouts are JSON for it."""
    assert json.loads(json_text(body, indent)) == json.loads(json_text(body)) == body


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("m",), "/v1/models/m:predict"),
        (("m", 3), "/v1/models/m/versions/3:predict"),
        (("m", None, "tensorflow/serving/classify"), "/v1/models/m:classify"),
        (("m", 3, "regress"), "/v1/models/m/versions/3:regress"),
        (("m", None, "tensorflow/supervised/training"), "/v1/models/m:predict"),
        (("a/b:c é",), "/v1/models/a%2Fb%3Ac%20%C3%A9:predict"),
    ],
)
def test_rest_path(arguments: tuple[Any, ...], path: str) -> None:
    """The path has the verb of the method, and the model's name percent-encoded."""
    assert rest_path(*arguments) == path


@pytest.mark.parametrize("key", ["x", "it's", "$(touch hacked)", "`id`", "a\\b", '"', "'; rm -rf / #", "é\u202e"])
def test_curl_command_is_safe_in_a_shell(key: str) -> None:
    """A shell hands curl exactly the body, however the input is named."""
    model = a_model({key: ("DT_FLOAT", [None])}, key)
    command = curl_command(model, key, model_name="it's", host="http://host:8501/")
    done = subprocess.run(
        ["sh", "-c", f"curl() {{ printf '%s\\n' \"$@\"; }}\n{command}"], capture_output=True, text=True, timeout=10
    )
    option, body, url = done.stdout.splitlines()
    assert option == "-d" and body == explorer.request_body(model, key)
    assert url == "http://host:8501/v1/models/it%27s:predict"


def test_curl_command_for_a_long_body() -> None:
    """A body beyond what an operating system takes as one argument goes through standard input."""
    model = a_model({"x": ("DT_FLOAT", [None, 224, 224, 3])})
    command = curl_command(model)
    stub = "curl() { shift; printf '%s ' \"$@\"; cat; }\n"
    done = subprocess.run(["sh"], input=stub + command, capture_output=True, text=True, timeout=30)
    place, url, body = done.stdout.split(" ", 2)
    assert (place, url) == ("@-", "http://localhost:8501/v1/models/model:predict")
    assert body == explorer.request_body(model)


def test_model_name_is_the_base_path() -> None:
    """The server's name for a model is guessed from the folder above the version."""
    assert served_name(a_model(FLOATS, path="/models/half_plus_two/00000124", version=124)) == "half_plus_two"
    assert served_name(a_model(FLOATS, path="/models/plain", version=None)) == "plain"
    assert served_name(a_model(FLOATS)) == "model"


def test_saved_model_cli_command() -> None:
    """The command names folder, tags and signature, quoted for a shell; a leading dash is no option."""
    model = a_model(FLOATS, "-it's", path="/a b/1", version=1)
    words = shlex.split(saved_model_cli_command(model, None, "-it's"))
    assert words == [
        "saved_model_cli", "show", "--dir", "/a b/1", "--tag_set", "serve", "--signature_def=-it's",
    ]  # fmt: skip
    assert (
        saved_model_cli_command(a_model(FLOATS), {"serve"}) == "saved_model_cli show --dir MODEL_FOLDER --tag_set serve"
    )
    with pytest.raises(NotFoundError):
        saved_model_cli_command(model, None, "other")


@pytest.mark.parametrize("tags", [[], ["a,b"], [" a"], [""]])
def test_saved_model_cli_command_for_odd_tags(tags: list[str]) -> None:
    """Tag sets that saved_model_cli cannot name are shown by --all."""
    model = SavedModel.from_dict({"meta_graphs": [{"tags": tags, "signatures": {}}]})
    assert saved_model_cli_command(model, tags).endswith("--all")


def test_errors_are_ours() -> None:
    """A meta graph or signature that isn't there is an ExplorerError too."""
    for arguments in ({"tags": ["gpu"]}, {"signature_key": "nope"}):
        with pytest.raises(ExplorerError):
            explorer.request_body(a_model(FLOATS), **arguments)
