"""Requests are checked as TensorFlow Serving checks them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.errors import RequestError
from explorer.savedmodel.model import DType, MetaGraph, Shape, Signature, TensorInfo
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.tensors import Tensor
from explorer.serving import calls

_CONFORMANCE = Path(__file__).parents[1] / "conformance"
_ONE = Tensor.from_array(np.array([1.0], "f4"), 1)
_DEFAULT = b"\x08\x01\x12\x04\x12\x02\x08\x02\x2a\x04\x00\x00\x20\x41"  # float32[2] of one value, 10
_MARKER = "goo.gle/debug"


def _graph(
    inputs: Iterable[str],
    outputs: Iterable[str] = ("y",),
    defaults: Mapping[str, bytes] | None = None,
    names: Mapping[str, str] | None = None,
) -> MetaGraph:
    names = names or {}

    def infos(keys: Iterable[str]) -> dict[str, TensorInfo]:
        return {key: TensorInfo(DType(1), Shape((None,)), names.get(key, f"{key}:0")) for key in keys}

    return MetaGraph(
        ("serve",), {"serving_default": Signature("serving_default", infos(inputs), infos(outputs), "", defaults or {})}
    )


def _examples(count: int) -> Tensor:
    return Tensor(7, (count,), texts=(b"",) * count)


def _refusal(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(RequestError) as caught:
        call()
    return caught.value.code, str(caught.value)


def test_recorded_refusals_of_signatures() -> None:
    """What classify and regress refuse before running, sentence and dump of the signature included; nothing else."""
    meta_graph = open_saved_model(_CONFORMANCE / "models" / "cls").meta_graph({"serve"})
    early = ("No ", "Expected one", "Expected classification")
    refused = passed = 0
    for line in map(json.loads, (_CONFORMANCE / "rest" / "exchanges.jsonl").read_text("utf-8").splitlines()):
        if line["verb"] not in ("classify", "regress"):
            continue
        error = json.loads(line["answer"]).get("error", "")
        if error and not error.startswith((*early, "Name: ", "Expected ", "Tensors ")):
            continue  # refused for its body
        try:
            body, _ = json.JSONDecoder().raw_decode(line["body"].lstrip())
        except ValueError:
            continue  # the server takes more than JSON
        make = calls.classify_call if line["verb"] == "classify" else calls.regress_call
        try:
            make(meta_graph, body.get("signature_name", ""), _examples(len(body["examples"])))
        except RequestError as caught:
            assert caught.status == line["status"]
            made, recorded = str(caught).partition(_MARKER), error.partition(_MARKER)
            assert made[:2] == recorded[:2]
            assert made[2].partition("\n")[2] == recorded[2].partition("\n")[2]
            refused += 1
        else:
            assert not error.startswith(early)
            passed += 1
    assert refused > 30
    assert passed > 30


def test_a_call_feeds_and_fetches_tensors() -> None:
    """Keys become tensor names, outputs in the order of the signature or of the filter."""
    graph = _graph(["a"], ["y", "z"])
    call = calls.predict_call(graph, "", {"a": _ONE})
    assert (dict(call.feeds), call.fetches, call.output_keys) == ({"a:0": _ONE}, ("y:0", "z:0"), ("y", "z"))
    call = calls.predict_call(graph, "serving_default", {"a": _ONE}, ["z", "y"])
    assert (call.fetches, call.output_keys) == (("z:0", "y:0"), ("z", "y"))


def test_unknown_signatures() -> None:
    """Three sentences: of REST, of predict itself, and of classify and regress."""
    graph = _graph(["a"])
    assert _refusal(lambda: calls.rest_signature(graph, "nope")) == (
        "INVALID_ARGUMENT", 'Serving signature name: "nope" not found in signature def',
    )  # fmt: skip
    assert _refusal(lambda: calls.predict_call(graph, "nope", {})) == (
        "FAILED_PRECONDITION", 'Serving signature key "nope" not found.',
    )  # fmt: skip
    for make in (calls.classify_call, calls.regress_call):
        assert _refusal(lambda make=make: make(graph, "nope", _examples(1))) == (  # type: ignore[misc]
            "INVALID_ARGUMENT", "No signature was found with the name: nope",
        )  # fmt: skip
    assert calls.rest_signature(graph, "").key == "serving_default"


def test_a_signature_without_inputs() -> None:
    """REST can't call it; an unnamed one is called DEFAULT."""
    graph = _graph([])
    for name, shown in (("", "DEFAULT"), ("serving_default", "serving_default")):
        code, sentence = _refusal(lambda name=name: calls.rest_signature(graph, name))  # type: ignore[misc]
        assert (code, sentence) == ("INVALID_ARGUMENT", f"Failed to get input map for signature: {shown}")


@pytest.mark.parametrize(
    ("inputs", "defaults", "sentence"),
    [
        ("a", {}, "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. "
                  "Missing but required: {b}."),
        ("abc", {"b": _DEFAULT}, "input size does not match signature: 3!=2 len({a,b,c}) != len({a,b}). "
                                 "Sent extra: {c}. Missing but required: {}."),
        ("b", {"b": _DEFAULT}, "Signature input alias: a(feed name: a:0) not found in request and no default value "
                               "provided. Inputs expected to be in the request {b}, or default input alias set: b"),
        ("ax", {"b": _DEFAULT}, "Inputs contains invalid name. Used request inputs: a, request input: a,x"),
        ("a", {"b": b"\x08\x00"}, "tensor parsing error: b"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(inputs: str, defaults: dict[str, bytes], sentence: str) -> None:
    """Too many, too few, unknown ones, and a default value that is none."""
    graph = _graph("ab", defaults=defaults)
    assert _refusal(lambda: calls.predict_call(graph, "", dict.fromkeys(inputs, _ONE))) == (
        "INVALID_ARGUMENT", sentence,
    )  # fmt: skip


def test_defaults_fill_in() -> None:
    """A missing input gets its default, one value spread over the shape; a given one doesn't."""
    graph = _graph("ab", defaults={"b": _DEFAULT})
    call = calls.predict_call(graph, "", {"a": _ONE})
    assert call.feeds["b:0"].to_array().tolist() == [10.0, 10.0]
    assert calls.predict_call(graph, "", {"a": _ONE, "b": _ONE}).feeds["b:0"] == _ONE


def test_output_filters() -> None:
    """Unknown and repeated keys are refused, in the order in which they stand."""
    graph = _graph("a", ["z", "y"])
    assert _refusal(lambda: calls.predict_call(graph, "", {"a": _ONE}, ["y", "q", "y"]))[1] == (
        "output tensor alias not found in signature: q Outputs expected to be in the set {y,z}."
    )
    assert _refusal(lambda: calls.predict_call(graph, "", {"a": _ONE}, ["z", "z"]))[1] == (
        "duplicate output tensor alias: z"
    )


def test_two_inputs_of_one_tensor_and_too_many_dimensions() -> None:
    """What the session or TensorFlow itself would refuse is refused in their words."""
    graph = _graph("ab", names={"a": "t:0", "b": "t:0"})
    inputs = {"a": _ONE, "b": _ONE}
    assert _refusal(lambda: calls.predict_call(graph, "", inputs))[1] == 'Endpoint "t:0" fed more than once.'
    deep = Tensor(1, (1,) * 255, bytes(4))
    assert _refusal(lambda: calls.predict_call(_graph("a"), "", {"a": deep}))[1] == "tensor parsing error: a"


@pytest.mark.parametrize("dtype", [0, 34, 99, 100, 101, 119])
def test_a_dtype_that_no_tensor_has(dtype: int) -> None:
    """An empty value is read for any dtype, and refused when ``Tensor::FromProto`` (``tensor.cc``) meets the dtype."""
    empty = {"a": Tensor(dtype, (0,))}
    assert _refusal(lambda: calls.predict_call(_graph("a"), "", empty))[1] == "tensor parsing error: a"
    for known in (17, 19, 20, 21, 29, 33):
        assert calls.predict_call(_graph("a"), "", {"a": Tensor(known, (0,))}).feeds["a:0"].dtype == known


def test_no_example() -> None:
    """The signature is checked first."""
    graph = _graph(["inputs"], ["outputs"])
    assert _refusal(lambda: calls.regress_call(graph, "", _examples(0)))[1] == "Input is empty."
    assert _refusal(lambda: calls.classify_call(graph, "", _examples(0)))[1].startswith("Expected classification")


def _floats(value: Any) -> Tensor:
    return Tensor.from_array(np.array(value, "f4"), 1)


def _texts(*shape: int) -> Tensor:
    return Tensor(7, shape, texts=(b"l",) * int(np.prod(shape)))


@pytest.mark.parametrize(
    ("keys", "outputs", "expected"),
    [
        ("classes scores", [_texts(1, 2), _floats([[1, 2]])], [[(b"l", 1.0), (b"l", 2.0)]]),
        ("scores classes", [_texts(1, 1), _floats([[1]])], [[(b"l", 1.0)]]),
        ("classes", [_texts(1, 2)], [[(b"l", 0.0), (b"l", 0.0)]]),
        ("scores other", [_floats([[3]])], [[(b"", 3.0)]]),
        ("scores", [_floats(np.zeros((1, 0)))], [[]]),
        ("scores", [_floats([3])], "Expected Tensor shape: [batch_size num_classes] but got [1]"),
        ("scores", [_texts(1, 1)], "Expected scores Tensor of DT_FLOAT. Got: DT_STRING"),
        ("classes", [_floats([[1]])], "Expected classes Tensor of DT_STRING. Got: DT_FLOAT"),
        ("classes", [_texts(2, 1)], "Expected classes output batch size of 1. Got: 2"),
        ("scores", [_floats([[1], [2]])], "Expected scores output batch size of 1. Got: 2"),
        ("classes scores", [_texts(1, 2), _floats([[1]])],
         "Tensors class and score should match in dim_size(1). Got 2 vs. 1"),
    ],
)  # fmt: skip
def test_classifications(keys: str, outputs: list[Tensor], expected: Any) -> None:
    """Labels and scores are paired; a wrong dtype or shape has its sentence."""
    call = calls.classify_call(_graph(["inputs"], keys.split()), "", _examples(1))
    if isinstance(expected, str):
        assert _refusal(lambda: calls.classifications(call, outputs, 1)) == ("INVALID_ARGUMENT", expected)
    else:
        assert calls.classifications(call, outputs, 1) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (_floats([1, 2]), [1.0, 2.0]),
        (_floats([[1], [2]]), [1.0, 2.0]),
        (_floats(1), "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []"),
        (_floats([[1, 2]]), "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [1,2]"),
        (_floats([1]), "Input batch size did not match output batch size: 2 vs. 1"),
        (Tensor(2, (2,), bytes(16)), "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
    ],
)
def test_regressions(output: Tensor, expected: Any) -> None:
    """One number an example; a wrong dtype or shape has its sentence."""
    call = calls.regress_call(_graph(["inputs"], ["outputs"]), "", _examples(2))
    if isinstance(expected, str):
        assert _refusal(lambda: calls.regressions(call, [output], 2)) == ("INVALID_ARGUMENT", expected)
    else:
        assert calls.regressions(call, [output], 2) == expected
