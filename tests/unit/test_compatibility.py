"""Will clients break: what each change of a signature is for the clients of each protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import explorer
from explorer.diagnosing.compatibility import PROTOCOLS, Verdict, compatibility
from explorer.diagnosing.loading import loaded_signatures
from explorer.errors import NotFoundError
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import read_document
from explorer.savedmodel.wire import encode_field as field

ROW, COLUMN, GRPC, LOADED = PROTOCOLS
SAME, COMPATIBLE, BREAKING = "same", "compatible", "breaking"
LEVELS = (SAME, COMPATIBLE, BREAKING)
PREDICT = "tensorflow/serving/predict"
KEY = "serving_default"

Tensors = dict[str, dict[str, Any]]


def tensor(dtype: str = "float", shape: Any = (None,), name: str = "t:0", **more: Any) -> dict[str, Any]:
    """One input or output as data; float32[?] unless told otherwise."""
    return {
        "dtype": f"DT_{dtype.upper()}",
        "shape": None if shape is None else list(shape),
        "tensor_name": name,
        **more,
    }


def entry(
    inputs: Tensors | None = None,
    outputs: Tensors | None = None,
    method: str = PREDICT,
    defaults: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A signature as data: x → y, both float32[?], unless told otherwise."""
    return {
        "method_name": method,
        "inputs": {"x": tensor(name="x:0")} if inputs is None else inputs,
        "outputs": {"y": tensor(name="y:0")} if outputs is None else outputs,
        "defaults": list(defaults or {}),
        "default_values": defaults or {},
    }


def model(
    *graphs: dict[str, dict[str, Any]], tags: tuple[tuple[str, ...], ...] = (("serve",),), object_graph: bool = True
) -> SavedModel:
    """A model of some meta graphs, each given by its signatures."""
    return SavedModel.from_dict(
        {
            "meta_graphs": [
                {"tags": list(tag_list), "signatures": signatures, "object_graph": object_graph}
                for tag_list, signatures in zip(tags, graphs, strict=True)
            ]
        }
    )


def compared(before: dict[str, Any], after: dict[str, Any], **more: Any) -> dict[str, str]:
    """Protocol → verdict, where one signature became another under the same key."""
    found = compatibility(model({KEY: before}, **more), model({KEY: after}, **more))
    return {protocol: judged.verdict for protocol, judged in found.signatures[KEY].items()}


def reasons(before: dict[str, Any], after: dict[str, Any], protocol: str, **more: Any) -> str:
    """The reasons for one protocol, one a line."""
    found = compatibility(model({KEY: before}, **more), model({KEY: after}, **more))
    return "\n".join(found.signatures[KEY][protocol].reasons)


def every(verdict: str) -> dict[str, str]:
    """The same verdict for each protocol."""
    return dict.fromkeys(PROTOCOLS, verdict)


def table(row: str, column: str, grpc: str, loaded: str) -> dict[str, str]:
    """The verdicts in the order of the protocols."""
    return {ROW: row, COLUMN: column, GRPC: grpc, LOADED: loaded}


def inputs(**of: dict[str, Any]) -> dict[str, Any]:
    """A signature with these inputs."""
    return entry(inputs=dict(of))


def outputs(**of: dict[str, Any]) -> dict[str, Any]:
    """A signature with these outputs."""
    return entry(outputs=dict(of))


T = tensor()


def test_identical_models_are_the_same_for_everyone() -> None:
    """No verdict but same, and no reason."""
    found = compatibility(model({KEY: entry(), "b": entry()}), model({KEY: entry(), "b": entry()}))
    assert found.verdict == SAME
    assert {key: list(protocols) for key, protocols in found.signatures.items()} == {
        KEY: list(PROTOCOLS),
        "b": list(PROTOCOLS),
    }
    assert all(judged.reasons == () for protocols in found.signatures.values() for judged in protocols.values())


def test_verdict_as_data_has_the_documented_form() -> None:
    """The data is verdict, signatures, protocol, verdict and reasons, and JSON can hold it."""
    found = compatibility(model({KEY: entry()}), model({KEY: outputs(z=T)}))
    data = json.loads(json.dumps(found.to_dict()))
    assert list(data) == ["verdict", "signatures"]
    assert list(data["signatures"]) == [KEY]
    assert list(data["signatures"][KEY]) == ["rest_row", "rest_column", "grpc", "tf.saved_model"]
    assert data["signatures"][KEY]["grpc"] == {
        "verdict": "breaking",
        "reasons": ["output key 'y' renamed to 'z': clients that read it don't find it"],
    }


# Which signatures there are


def test_new_signature_is_compatible_and_a_gone_one_breaking() -> None:
    """Nobody called the new one; everyone who called the old one fails."""
    one, two = model({"a": entry()}), model({"a": entry(), "b": entry(inputs={"q": T})})
    found = compatibility(one, two)
    assert found.verdict == COMPATIBLE
    assert {judged.verdict for judged in found.signatures["a"].values()} == {SAME}
    assert {judged.verdict for judged in found.signatures["b"].values()} == {COMPATIBLE}
    assert "'b' is new" in found.signatures["b"][GRPC].reasons[0]
    gone = compatibility(two, one)
    assert {judged.verdict for judged in gone.signatures["b"].values()} == {BREAKING}
    assert gone.signatures["b"][LOADED].reasons == ("signature 'b' is gone: signatures['b'] raises KeyError",)


def test_renamed_signature_is_told_from_a_removed_one() -> None:
    """The same signature under another key is called renamed; one that only looks alike isn't."""
    renamed = compatibility(model({"a": entry()}), model({"b": entry()}))
    assert "renamed to 'b'" in renamed.signatures["a"][ROW].reasons[0]
    another = compatibility(model({"a": entry()}), model({"b": entry(inputs={"x": tensor(name="other:0")})}))
    assert "'a' is gone" in another.signatures["a"][ROW].reasons[0]
    assert renamed.verdict == another.verdict == BREAKING


def test_without_serving_default_unnamed_requests_fail() -> None:
    """The reason says that requests which name no signature fail too, and only for that key."""
    found = compatibility(model({KEY: entry(), "b": entry()}), model({"c": entry()}))
    assert "requests that name none" in found.signatures[KEY][ROW].reasons[0]
    assert "requests that name none" not in found.signatures["b"][ROW].reasons[0]
    assert "requests that name none" not in found.signatures[KEY][LOADED].reasons[0]


def test_reserved_signatures_concern_no_client() -> None:
    """An init op that comes or goes is no signature that one calls."""
    reserved = {"__saved_model_init_op": entry(inputs={}, outputs={"__saved_model_init_op": tensor("invalid", None)})}
    found = compatibility(model({KEY: entry(), **reserved}), model({KEY: entry()}))
    assert found.verdict == SAME
    assert list(found.signatures) == [KEY]


# Which meta graph


def test_lost_serve_tag_breaks_servers_and_loading_by_tag() -> None:
    """A server asks for exactly serve; loading without tags still works, with them it doesn't."""
    found = compatibility(model({KEY: entry()}), model({KEY: entry()}, tags=(("serve", "gpu"),)))
    judged = found.signatures[KEY]
    assert {protocol: verdict.verdict for protocol, verdict in judged.items()} == every(BREAKING)
    assert "exactly the tags serve; there is gpu,serve" in judged[GRPC].reasons[0]
    assert "without any works" in judged[LOADED].reasons[0]


def test_model_that_no_server_loaded_has_no_clients_there() -> None:
    """Tags that become serve break no request, but whoever loads by the old tags."""
    found = compatibility(model({KEY: entry()}, tags=(("train",),)), model({KEY: outputs(z=T)}))
    judged = {protocol: verdict.verdict for protocol, verdict in found.signatures[KEY].items()}
    assert judged == table(COMPATIBLE, COMPATIBLE, COMPATIBLE, BREAKING)
    assert "no such request worked before, and now they do" in found.signatures[KEY][GRPC].reasons[0]
    still = compatibility(model({KEY: entry()}, tags=(("train",),)), model({KEY: outputs(z=T)}, tags=(("train",),)))
    judged = {protocol: verdict.verdict for protocol, verdict in still.signatures[KEY].items()}
    assert judged == table(SAME, SAME, SAME, BREAKING)
    assert "the tags serve; there is train, so the server can't load" in still.signatures[KEY][GRPC].reasons[0]


def test_tags_choose_the_meta_graph() -> None:
    """Only the chosen meta graph counts; asked for by its tags it is what a server started with them loads."""
    tags = (("serve",), ("serve", "gpu"))
    one, two = model({KEY: entry()}, {KEY: entry()}, tags=tags), model({KEY: entry()}, {KEY: outputs(z=T)}, tags=tags)
    assert compatibility(one, two).verdict == SAME
    found = compatibility(one, two, ["gpu", "serve"])
    assert {judged.verdict for judged in found.signatures[KEY].values()} == {COMPATIBLE, BREAKING}
    with pytest.raises(NotFoundError, match="available"):
        compatibility(one, two, "tpu")


def test_second_meta_graph_breaks_loading_without_tags_only() -> None:
    """Servers choose by tags; tf.saved_model.load wants them named once there are two."""
    one, two = model({KEY: entry()}), model({KEY: entry()}, {KEY: entry()}, tags=(("serve",), ("train",)))
    judged = {protocol: verdict.verdict for protocol, verdict in compatibility(one, two).signatures[KEY].items()}
    assert judged == table(SAME, SAME, SAME, BREAKING)
    back = compatibility(two, one)
    assert back.verdict == COMPATIBLE
    assert "meta graph train is gone" in back.signatures[KEY][LOADED].reasons[0]


def test_missing_meta_graph_is_said_for_every_protocol() -> None:
    """With two meta graphs of other tags nothing that was called is found."""
    one = model({KEY: entry()}, {}, tags=(("serve",), ("train",)))
    two = model({KEY: entry()}, {}, tags=(("a",), ("b",)))
    for judged in compatibility(one, two).signatures[KEY].values():
        assert judged.verdict == BREAKING
        assert "exactly the tags serve; there is a and b" in judged.reasons[0]


def test_lost_object_graph_is_told_to_those_who_load() -> None:
    """Signatures stay, but the loaded object has no other attributes."""
    found = compatibility(model({KEY: entry()}), model({KEY: entry()}, object_graph=False))
    assert found.verdict == COMPATIBLE
    assert found.signatures[KEY][GRPC].verdict == SAME
    assert "no other attributes" in found.signatures[KEY][LOADED].reasons[0]


# Input keys


def test_renamed_only_input_breaks_whoever_names_it() -> None:
    """Row and column bodies may give plain values, and a call its only argument: those still work, and it is said."""
    before, after = inputs(x=T), inputs(q=T)
    assert compared(before, after) == every(BREAKING)
    assert "plain values still work" in reasons(before, after, ROW)
    assert "plain values still work" in reasons(before, after, COLUMN)
    assert "positional ones still work" in reasons(before, after, LOADED)
    assert reasons(before, after, GRPC) == "input key 'x' renamed to 'q': requests that send it fail"


def test_renamed_input_of_several_breaks() -> None:
    """A rename is recognised by what stays, where that is unambiguous; else it is a removal and an addition."""
    before, after = inputs(a=T, b=tensor("int32")), inputs(a=T, c=tensor("int32"))
    assert compared(before, after) == every(BREAKING)
    assert reasons(before, after, ROW) == "input key 'b' renamed to 'c': requests that send it fail"
    unclear = reasons(inputs(a=T, b=T), inputs(c=T, d=T), GRPC)
    assert "renamed" not in unclear
    assert "'a' is gone" in unclear and "'c' is new" in unclear


def test_removed_input_is_ignored_in_column_bodies_only() -> None:
    """Recorded of the server: a column body may name more than the signature has, a row and a gRPC request may not."""
    assert compared(inputs(x=T, b=T), inputs(x=T)) == table(BREAKING, COMPATIBLE, BREAKING, BREAKING)


def test_added_input_breaks() -> None:
    """Every protocol demands every input."""
    assert compared(inputs(x=T), inputs(x=T, b=T)) == every(BREAKING)
    assert reasons(inputs(x=T), inputs(x=T, b=T), ROW) == "input 'b' is new: requests that don't send it fail"


def test_added_input_with_a_default_is_for_grpc_alone() -> None:
    """The server fills defaults in behind the REST API, which demands every input first; loaded functions have none."""
    before, after = inputs(x=T), entry(inputs={"x": T, "b": T}, defaults={"b": "CAE="})
    assert compared(before, after) == table(BREAKING, BREAKING, COMPATIBLE, BREAKING)
    assert "over REST it must be sent" in reasons(before, after, ROW)


def test_defaults_concern_grpc_alone() -> None:
    """Removing one breaks requests that rely on it, a new one or another value doesn't."""
    without, with_one = entry(), entry(defaults={"x": "CAE="})
    assert compared(with_one, without) == table(SAME, SAME, BREAKING, SAME)
    assert compared(without, with_one) == table(SAME, SAME, COMPATIBLE, SAME)
    assert compared(with_one, entry(defaults={"x": "CAI="})) == table(SAME, SAME, COMPATIBLE, SAME)


def test_all_inputs_gone_can_not_be_called_over_rest() -> None:
    """The server refuses to call a signature without inputs over REST, even where what is sent is ignored."""
    assert compared(inputs(x=T), inputs()) == every(BREAKING)
    assert "has no inputs" in reasons(inputs(x=T), inputs(), COLUMN)


def test_input_key_that_python_refuses_breaks_loading_alone() -> None:
    """A keyword makes tf.saved_model.load refuse the whole model, so all its signatures; self the one call."""
    keyword = {KEY: entry(), "b": entry(inputs={"class": T})}
    found = compatibility(model({KEY: entry()}), model(keyword))
    judged = found.signatures[KEY]
    assert {protocol: verdict.verdict for protocol, verdict in judged.items()} == table(SAME, SAME, SAME, BREAKING)
    assert "refuses the whole model" in judged[LOADED].reasons[0]
    assert compatibility(model(keyword), model(keyword)).verdict == SAME
    selfish = compatibility(model(keyword), model({KEY: entry(), "b": entry(inputs={"self": T})}))
    assert selfish.signatures[KEY][LOADED].verdict == COMPATIBLE
    assert selfish.signatures["b"][LOADED].verdict == SAME  # neither could be called
    assert "'self'" in reasons(inputs(x=T), inputs(self=T), LOADED)


# Input dtypes


@pytest.mark.parametrize(
    ("old", "new", "rest"),
    [
        ("float", "double", COMPATIBLE),
        ("double", "float", COMPATIBLE),
        ("int32", "int64", COMPATIBLE),
        ("int64", "int32", BREAKING),
        ("uint8", "int16", COMPATIBLE),
        ("uint8", "uint32", COMPATIBLE),
        ("int8", "uint8", BREAKING),
        ("int32", "int8", BREAKING),
        ("int32", "uint64", BREAKING),
        ("uint32", "int64", COMPATIBLE),
        ("uint64", "int64", BREAKING),
        ("int32", "float", COMPATIBLE),
        ("float", "int64", BREAKING),
        ("bool", "int32", BREAKING),
        ("int32", "bool", BREAKING),
        ("string", "float", BREAKING),
        ("float", "string", BREAKING),
        ("float", "half", BREAKING),
        ("int32", "uint16", BREAKING),
    ],
)
def test_input_dtype_by_protocol(old: str, new: str, rest: str) -> None:
    """REST bodies have no dtype, only numbers that the new one takes or not; elsewhere a tensor has its dtype."""
    before, after = inputs(x=tensor(old)), inputs(x=tensor(new))
    assert compared(before, after) == table(rest, rest, BREAKING, BREAKING)


def test_what_becomes_of_numbers_is_said() -> None:
    """Small integers wrap without a word, large ones are refused, and floats round."""
    assert "silently become other numbers" in reasons(inputs(x=tensor("int32")), inputs(x=tensor("int8")), ROW)
    assert "-2147483648 to 2147483647 are refused" in reasons(
        inputs(x=tensor("int64")), inputs(x=tensor("int32")), COLUMN
    )
    assert "beyond 2^24 rounded" in reasons(inputs(x=tensor("int32")), inputs(x=tensor("float")), ROW)
    assert "rounded" not in reasons(inputs(x=tensor("int16")), inputs(x=tensor("float")), ROW)
    assert "fewer digits" in reasons(inputs(x=tensor("double")), inputs(x=tensor("float")), ROW)


def test_dtype_that_is_not_declared_proves_nothing() -> None:
    """DT_INVALID in a file says nothing: gRPC requests may fit as before; the REST API can't send it at all."""
    assert compared(inputs(x=T), inputs(x=tensor("invalid"))) == table(BREAKING, BREAKING, COMPATIBLE, COMPATIBLE)
    assert compared(outputs(y=T), outputs(y=tensor("invalid"))) == every(COMPATIBLE)


def test_reference_dtype_is_no_change_of_values() -> None:
    """A reference to a variable carries values of the base dtype."""
    assert compared(outputs(y=T), outputs(y=tensor("float_ref"))) == every(SAME)


# Input shapes


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ((1, 3), (None, 3), COMPATIBLE),
        ((None, 3), (None, None), COMPATIBLE),
        ((None, 3), None, COMPATIBLE),
        ((None, 3), (1, 3), BREAKING),
        ((None, None), (None, 3), BREAKING),
        ((None, 3), (None, 4), BREAKING),
        ((None, 3), (None,), BREAKING),
        (None, (None, 3), BREAKING),
        ((None, 3), (None, -7), COMPATIBLE),
    ],
)
def test_input_shape_by_what_it_still_takes(old: Any, new: Any, verdict: str) -> None:
    """Wider is compatible; anything that takes less, or nothing of what came before, is breaking."""
    assert compared(inputs(x=tensor(shape=old)), inputs(x=tensor(shape=new))) == every(verdict)


def test_fixed_batch_is_named() -> None:
    """Where only the first dimension was fixed, the reason says which batch is left."""
    assert "only a batch of 8" in reasons(inputs(x=tensor(shape=(None, 3))), inputs(x=tensor(shape=(8, 3))), ROW)


def test_rows_need_a_common_batch_of_the_inputs() -> None:
    """Scalars and unequal batches make rows impossible, and leave the other protocols their own verdict."""
    fixed = inputs(x=tensor(shape=(2,)), b=tensor(shape=(2,)))
    wider = inputs(x=tensor(shape=(None,)), b=tensor(shape=(2,)))
    assert compared(fixed, wider) == every(COMPATIBLE)
    before, after = inputs(x=T, b=tensor(shape=(2,))), inputs(x=tensor(shape=(3,)), b=tensor(shape=(2,)))
    assert "input 'x' has a batch of 3 and input 'b' one of 2" in reasons(before, after, ROW)
    assert "is a scalar" in reasons(inputs(x=T), inputs(x=tensor(shape=())), ROW)
    assert "batch of 0" in reasons(inputs(x=T), inputs(x=tensor(shape=(0,))), ROW)
    nul = compared(entry(inputs={"a\0": T}), entry(inputs={"a\0": T}, outputs={"z": T}))
    assert nul == table(SAME, COMPATIBLE, BREAKING, BREAKING)


def test_format_that_never_worked_does_not_break() -> None:
    """What no row request could reach is no loss for rows, and a gain where one can now."""
    scalar = inputs(x=T, b=tensor(shape=()))
    changed = compared(scalar, entry(inputs={"x": T, "b": tensor(shape=())}, outputs={"z": T}))
    assert changed == table(SAME, COMPATIBLE, BREAKING, BREAKING)
    assert "no such request worked before" in reasons(
        scalar, entry(inputs={"x": T, "b": tensor(shape=())}, outputs={"z": T}), ROW
    )
    assert compared(scalar, inputs(x=T, b=T)) == table(COMPATIBLE, BREAKING, BREAKING, BREAKING)
    found = compatibility(model({"a": scalar}), model({}))
    assert {protocol: judged.verdict for protocol, judged in found.signatures["a"].items()} == table(
        SAME, BREAKING, BREAKING, BREAKING
    )


def test_sparse_encoding_reaches_no_server() -> None:
    """TensorFlow Serving takes plain tensors only, so a sparse input ends what worked, and costs nothing before."""
    sparse = tensor(
        name=None, encoding="coo_sparse", components={"values": "v:0", "indices": "i:0", "dense_shape": "s:0"}
    )  # type: ignore[arg-type]
    assert compared(inputs(x=T), inputs(x=sparse)) == every(BREAKING)
    assert compared(inputs(x=sparse), inputs(x=T)) == table(COMPATIBLE, COMPATIBLE, COMPATIBLE, BREAKING)
    composite = {"dtype": "DT_VARIANT", "encoding": "composite_tensor", "components": {"0": "v:0", "1": "w:0"}}
    fewer = {**composite, "components": {"0": "v:0"}}
    assert compared(inputs(x=composite), inputs(x=fewer)) == table(SAME, SAME, SAME, BREAKING)
    assert compared(inputs(x=sparse), inputs(x={**sparse, "dtype": "DT_INT64"})) == table(SAME, SAME, SAME, BREAKING)


# Outputs


def test_only_output_is_not_named_by_rest() -> None:
    """Renaming it changes no REST answer, and every other one."""
    assert compared(outputs(y=T), outputs(z=T)) == table(COMPATIBLE, COMPATIBLE, BREAKING, BREAKING)
    assert "answers don't name" in reasons(outputs(y=T), outputs(z=T), ROW)


def test_bytes_suffix_turns_texts_into_base64() -> None:
    """The output's key decides the encoding of strings, even where answers don't name it; of numbers it doesn't."""
    text = tensor("string")
    before, after = outputs(scores=text), outputs(scores_bytes=text)
    assert compared(before, after) == every(BREAKING)
    assert reasons(before, after, ROW) == "output key 'scores' renamed to 'scores_bytes': REST now sends base64"
    assert (
        reasons(after, before, COLUMN) == "output key 'scores_bytes' renamed to 'scores': REST no longer sends base64"
    )
    assert compared(outputs(a_bytes=text), outputs(b_bytes=text)) == table(COMPATIBLE, COMPATIBLE, BREAKING, BREAKING)
    assert compared(outputs(y=T), outputs(y_bytes=T)) == table(COMPATIBLE, COMPATIBLE, BREAKING, BREAKING)
    several = reasons(outputs(scores=text, n=T), outputs(scores_bytes=text, n=T), COLUMN)
    assert "REST now sends base64" in several


def test_second_output_changes_the_form_of_rest_answers() -> None:
    """One output is a plain value, two are objects; gRPC and loaded functions answer by name anyway."""
    assert compared(outputs(y=T), outputs(y=T, z=T)) == table(BREAKING, BREAKING, COMPATIBLE, COMPATIBLE)
    assert "become objects" in reasons(outputs(y=T), outputs(y=T, z=T), ROW)
    assert compared(outputs(y=T, z=T), outputs(y=T)) == every(BREAKING)
    assert "become plain values" in reasons(outputs(y=T, z=T), outputs(y=T), COLUMN)
    assert compared(outputs(y=T, z=T), outputs(y=T, z=T, w=T)) == every(COMPATIBLE)
    assert compared(outputs(y=T, z=T), outputs(y=T, w=tensor("int32"))) == every(BREAKING)


@pytest.mark.parametrize(
    ("old", "new", "rest"),
    [
        ("float", "double", COMPATIBLE),
        ("int32", "int64", COMPATIBLE),
        ("float", "int32", COMPATIBLE),
        ("int32", "float", BREAKING),
        ("string", "int32", BREAKING),
        ("bool", "int32", BREAKING),
        ("float", "bfloat16", BREAKING),
    ],
)
def test_output_dtype_by_protocol(old: str, new: str, rest: str) -> None:
    """JSON has whole numbers, decimals, texts and truth values; elsewhere a tensor has its dtype."""
    assert compared(outputs(y=tensor(old)), outputs(y=tensor(new))) == table(rest, rest, BREAKING, BREAKING)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ((None, 3), (1, 3), COMPATIBLE),
        ((None, 3), (None, None), COMPATIBLE),
        (None, (None, 3), COMPATIBLE),
        ((None, 3), (None, 4), BREAKING),
        ((None, 3), (None,), BREAKING),
    ],
)
def test_output_shape_by_what_clients_had_to_expect(old: Any, new: Any, verdict: str) -> None:
    """Only an answer that can't have the old shape is breaking; what is declared less exactly is said."""
    before, after = outputs(y=tensor(shape=old)), outputs(y=tensor(shape=new))
    assert compared(before, after) == every(verdict)
    if verdict == BREAKING:
        expected = "of another size" if len(old) == len(new) else "nested otherwise"
        assert expected in reasons(before, after, GRPC)


def test_rows_need_a_common_batch_of_the_outputs() -> None:
    """A scalar output, or batches that differ, can't be cut into rows; columns take any."""
    assert compared(outputs(y=T, z=T), outputs(y=T, z=tensor(shape=()))) == every(BREAKING)
    assert "scalar" in reasons(outputs(y=T, z=T), outputs(y=T, z=tensor(shape=())), ROW)
    unequal = outputs(y=tensor(shape=(1,)), z=tensor(shape=(2,)))
    assert compared(outputs(y=T, z=T), unequal) == table(BREAKING, COMPATIBLE, COMPATIBLE, COMPATIBLE)
    assert compared(unequal, outputs(y=T, z=T)) == every(COMPATIBLE)


def test_signature_without_outputs_answers_nothing() -> None:
    """TensorFlow Serving fetches at least one tensor."""
    assert compared(outputs(y=T), outputs()) == every(BREAKING)
    assert "has no outputs" in reasons(outputs(y=T), outputs(), GRPC)


def test_signature_with_an_empty_key_has_no_serving_clients() -> None:
    """An empty signature name means serving_default, over REST as over gRPC."""
    found = compatibility(model({"": entry()}), model({"": outputs(z=T)}))
    assert {protocol: judged.verdict for protocol, judged in found.signatures[""].items()} == table(
        SAME, SAME, SAME, BREAKING
    )


# Tensors and methods


def test_tensor_names_say_something_without_an_object_graph_only() -> None:
    """A retargeted output may answer other numbers; with an object graph it is just another call's name."""
    before, after = outputs(y=tensor(name="add:0")), outputs(y=tensor(name="MatMul:0"))
    assert compared(before, after, object_graph=False) == every(COMPATIBLE)
    assert "tensor 'MatMul:0' instead of 'add:0'" in reasons(before, after, GRPC, object_graph=False)
    assert compared(before, after) == every(SAME)
    mixed = compatibility(model({KEY: before}, object_graph=False), model({KEY: after}))
    assert mixed.verdict == SAME
    one, other = inputs(x=tensor(name="a:0")), inputs(x=tensor(name="b:0"))
    assert compared(one, other, object_graph=False) == every(COMPATIBLE)
    fed = reasons(one, other, ROW, object_graph=False)
    assert "input 'x' feeds the tensor 'b:0' instead of 'a:0'" in fed


def test_renames_are_told_by_the_tensor_where_it_says_something() -> None:
    """Without an object graph each key is followed to its tensor, however many look alike."""
    a, b = tensor(name="a:0"), tensor(name="b:0")
    found = reasons(inputs(one=a, two=b), inputs(three=b, four=a), GRPC, object_graph=False)
    assert "'one' renamed to 'four'" in found and "'two' renamed to 'three'" in found
    replaced = reasons(inputs(x=T, one=a), inputs(x=T, two=b), GRPC, object_graph=False)
    assert "'one' is gone" in replaced and "'two' is new" in replaced
    twice = reasons(inputs(x=T, one=a, two=a), inputs(x=T, three=a), GRPC, object_graph=False)
    assert "'one' renamed to 'three'" in twice and "'two' is gone" in twice
    both = reasons(inputs(x=T, one=a, two=a), inputs(x=T, three=a, four=a), GRPC, object_graph=False)
    assert "'one' renamed to 'three'" in both and "'two' renamed to 'four'" in both


CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
EXAMPLES = {"inputs": tensor("string")}
SCORES = {"scores": tensor(shape=(None, None))}


def test_method_name_is_compared_for_classify_and_regress_only() -> None:
    """Their requests need it on older servers; predict requests work whatever it is, unless the server compares."""
    classify = entry(EXAMPLES, SCORES, CLASSIFY)
    assert compared(classify, entry(EXAMPLES, SCORES, PREDICT)) == table(BREAKING, SAME, BREAKING, SAME)
    assert compared(entry(EXAMPLES, SCORES, PREDICT), classify) == table(COMPATIBLE, SAME, COMPATIBLE, SAME)
    assert compared(entry(), entry(method="mine")) == table(COMPATIBLE, COMPATIBLE, COMPATIBLE, SAME)
    assert "told to compare" in reasons(entry(), entry(method="mine"), COLUMN)


def test_classify_and_regress_requests_need_the_signature_to_fit() -> None:
    """What predict clients take, such as one more output, ends the requests that hold tf.Examples."""
    before = entry(EXAMPLES, {"outputs": T}, REGRESS)
    after = entry(EXAMPLES, {"outputs": T, "more": T}, REGRESS)
    assert compared(before, after) == table(BREAKING, BREAKING, BREAKING, COMPATIBLE)
    assert "regress requests fail" in reasons(before, after, GRPC)
    unfit = entry(method=REGRESS)  # never answered a regress request
    assert compared(unfit, entry(outputs={"y": T, "z": T}, method=REGRESS))[GRPC] == COMPATIBLE
    assert compared(unfit, entry())[GRPC] == COMPATIBLE


# Two truths


def test_loading_reads_the_object_graph(model_bytes: Callable[[], Any]) -> None:
    """A key or input renamed in signature_def alone is renamed for servers, and not for tf.saved_model.load."""

    def made(key: str, input_key: str, keywords: dict[str, tuple[str, ...] | None]) -> SavedModel:
        return model_bytes().signature({input_key: "x:0"}, {"y": "y:0"}, key).object_graph((), keywords).model()  # type: ignore[no-any-return]

    before = made(KEY, "x", {KEY: ("x",)})
    naive = compatibility(before, made(KEY, "q", {KEY: ("x",)})).signatures[KEY]
    assert {protocol: judged.verdict for protocol, judged in naive.items()} == table(BREAKING, BREAKING, BREAKING, SAME)
    other = compatibility(before, made(KEY, "x", {KEY: ("q",)})).signatures[KEY]
    assert {protocol: judged.verdict for protocol, judged in other.items()} == table(SAME, SAME, SAME, BREAKING)
    renamed = compatibility(before, made("b", "x", {KEY: ("x",)}))
    assert {protocol: judged.verdict for protocol, judged in renamed.signatures[KEY].items()} == table(
        BREAKING, BREAKING, BREAKING, SAME
    )
    assert {protocol: judged.verdict for protocol, judged in renamed.signatures["b"].items()} == table(
        COMPATIBLE, COMPATIBLE, COMPATIBLE, SAME
    )


def test_object_graph_is_read_with_dtypes_shapes_and_results(sample_models: Path) -> None:
    """What the object graph says of each signature of the samples is what signature_def says."""
    for name in ("module", "keras3", "shapes_and_types"):
        opened = explorer.open_saved_model(sample_models / name)
        (graph,) = opened.meta_graphs
        loaded = loaded_signatures(opened, graph)
        assert list(loaded) == list(graph.callable_signatures)
        for key, found in loaded.items():
            for mine, theirs in (
                (found.signature.inputs, graph.signatures[key].inputs),
                (found.signature.outputs, graph.signatures[key].outputs),
            ):
                assert {name: str(info) for name, info in mine.items()} == {
                    name: str(info) for name, info in theirs.items()
                }


def test_results_in_the_object_graph_are_what_loading_gives(sample_models: Path) -> None:
    """Outputs renamed in signature_def alone break gRPC, and not those who load."""
    opened = explorer.open_saved_model(sample_models / "module")
    (graph,) = opened.meta_graphs
    signature = graph.signatures[KEY]
    renamed = replace(signature, outputs={f"{key}_": info for key, info in signature.outputs.items()})
    naive = replace(opened, meta_graphs=(replace(graph, signatures={**graph.signatures, KEY: renamed}),))
    judged = compatibility(opened, naive).signatures[KEY]
    assert judged[GRPC].verdict == BREAKING
    assert judged[LOADED].verdict == SAME


def test_corrupt_object_graph_breaks_loading_alone(model_bytes: Callable[[], Any]) -> None:
    """It is a reason, not an exception."""
    good = model_bytes().signature({"x": "x:0"}, {"y": "y:0"}).object_graph((), {KEY: ("x",)})
    before = good.model()
    data = good.to_bytes()
    for broken in (field(7, field(1, field(1, field(1, 99) + field(2, "signatures")))), field(7, b"\x0a\x7f")):
        bad = model_bytes().signature({"x": "x:0"}, {"y": "y:0"})
        bad.extra = broken
        after = bad.model()
        judged = compatibility(before, after).signatures[KEY]
        assert judged[GRPC].verdict == SAME
        assert judged[LOADED].verdict == BREAKING
        assert "can't load the model" in judged[LOADED].reasons[0]
        assert compatibility(after, before).signatures[KEY][LOADED].verdict == COMPATIBLE
        assert compatibility(after, after).verdict == SAME
    assert read_document(Document.of_bytes(data)) == before


# What real edits do


def test_edits_of_a_sample_have_their_verdicts(sample_models: Path) -> None:
    """A draft against its source: the edits of a recipe are judged as versions are."""
    linear = explorer.open_saved_model(sample_models / "linear")
    copied = explorer.copy_signature(linear, "prediction", "serving_default")
    assert compatibility(linear, copied).verdict == COMPATIBLE
    assert compatibility(copied, linear).verdict == BREAKING
    (output_key,) = linear.meta_graph().signature("prediction").outputs
    renamed = explorer.rename_output(linear, "prediction", output_key, "answer")
    judged = {
        protocol: found.verdict for protocol, found in compatibility(linear, renamed).signatures["prediction"].items()
    }
    assert judged == table(COMPATIBLE, COMPATIBLE, BREAKING, BREAKING)


def test_names_in_reasons_are_printable() -> None:
    """A name that would act on a terminal is made visible."""
    found = compatibility(model({"\x1b[2J": entry()}), model({"b": entry(inputs={"\u202e": T})}))
    for protocols in found.signatures.values():
        for judged in protocols.values():
            assert all(reason.isprintable() for reason in judged.reasons)


# Properties

_keys = st.sampled_from(
    ["x", "y", "scores", "scores_bytes", "inputs", "outputs", "class", "self", "b64", "", "\x1b\u202e"]
)
_tensor = st.one_of(
    st.builds(
        tensor,
        st.sampled_from(
            ["float", "double", "int32", "int64", "uint8", "string", "bool", "half", "invalid", "float_ref"]
        ),
        st.one_of(st.none(), st.lists(st.sampled_from([None, 0, 1, 2, 3, -7]), max_size=3)),
        st.sampled_from(["a:0", "b:0", "c:1"]),
    ),
    st.just({"dtype": "DT_FLOAT", "encoding": "coo_sparse", "components": {"values": "v:0"}}),
    st.just({"dtype": "DT_VARIANT", "encoding": "composite_tensor", "components": {"0": "v:0", "1": "w:0"}}),
)
_tensors = st.dictionaries(_keys, _tensor, max_size=3)
_entry = st.builds(
    entry,
    _tensors,
    _tensors,
    st.sampled_from([PREDICT, CLASSIFY, REGRESS, "", "mine"]),
    st.dictionaries(_keys, st.sampled_from(["CAE=", "CAI="]), max_size=2),
)
_signatures = st.dictionaries(st.sampled_from([KEY, "a", "b", "", "__saved_model_init_op"]), _entry, max_size=3)
_other_tags = st.lists(st.sampled_from(["gpu", "train"]), min_size=1, max_size=2)


@st.composite
def _models(draw: st.DrawFn) -> SavedModel:
    """Models with a meta graph tagged serve and perhaps another."""
    graphs = [(("serve",), draw(_signatures))]
    if draw(st.booleans()):
        graphs.append((tuple(draw(_other_tags)), draw(_signatures)))
    tags, signatures = zip(*graphs, strict=True)
    return model(*signatures, tags=tags, object_graph=draw(st.booleans()))


def verdicts(found: Verdict) -> list[str]:
    """All verdicts of a verdict."""
    return [judged.verdict for protocols in found.signatures.values() for judged in protocols.values()]


@settings(deadline=None)
@given(_models())
def test_a_model_is_the_same_as_itself(one: SavedModel) -> None:
    """Whatever is odd about a model, nothing changed."""
    found = compatibility(one, SavedModel.from_dict(one.to_dict()))
    assert set(verdicts(found)) <= {SAME}
    assert found.verdict == SAME
    assert all(judged.reasons == () for protocols in found.signatures.values() for judged in protocols.values())


@settings(max_examples=300, deadline=None)
@given(_models(), _models())
def test_any_two_models_have_a_verdict(one: SavedModel, two: SavedModel) -> None:
    """It never raises, is the worst of its parts, lists every callable signature and gives reasons for changes."""
    found = compatibility(one, two)
    assert found.verdict == max(verdicts(found), key=LEVELS.index, default=SAME)
    keys = [key for each in (one, two) for key in each.meta_graph("serve").callable_signatures]
    assert list(found.signatures) == list(dict.fromkeys(keys))
    for protocols in found.signatures.values():
        assert list(protocols) == list(PROTOCOLS)
        for judged in protocols.values():
            assert judged.reasons or judged.verdict == SAME
            assert len(set(judged.reasons)) == len(judged.reasons)
    assert found == compatibility(one, two)


@settings(max_examples=300, deadline=None)
@given(_entry, _entry, st.booleans())
def test_what_is_the_same_one_way_is_the_same_the_other(
    one: dict[str, Any], two: dict[str, Any], objects: bool
) -> None:
    """Undoing no change is no change either."""
    if any(word in side["inputs"] for word in ("class", "") for side in (one, two)):
        return  # the whole model is refused on one side: what is lost one way is won the other
    there, back = compared(one, two, object_graph=objects), compared(two, one, object_graph=objects)
    for protocol in PROTOCOLS:
        assert (there[protocol] == SAME) == (back[protocol] == SAME), protocol


@settings(deadline=None)
@given(_models(), _models(), st.randoms())
def test_order_in_the_file_means_nothing(one: SavedModel, two: SavedModel, random: Any) -> None:
    """Signatures, inputs and outputs are unordered maps, so shuffling them changes no verdict."""

    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(item) for key, item in items}

    def other(given: SavedModel) -> SavedModel:
        data = given.to_dict()
        return SavedModel.from_dict({**data, "meta_graphs": [shuffled(graph) for graph in data["meta_graphs"]]})

    def plain(found: Verdict) -> dict[str, dict[str, str]]:
        return {key: {name: judged.verdict for name, judged in of.items()} for key, of in found.signatures.items()}

    assert plain(compatibility(one, two)) == plain(compatibility(other(one), other(two)))


@settings(deadline=None)
@given(_entry)
def test_a_further_signature_never_breaks_servers(one: dict[str, Any]) -> None:
    """What is added beside what was there is compatible for the clients of REST and gRPC, whatever it is."""
    found = compatibility(model({KEY: entry()}), model({KEY: entry(), "more": one}))
    assert all(found.signatures["more"][protocol].verdict == COMPATIBLE for protocol in (ROW, COLUMN, GRPC))
    assert all(found.signatures[KEY][protocol].verdict == SAME for protocol in (ROW, COLUMN, GRPC))


@settings(deadline=None)
@given(_tensors, _tensor)
def test_grpc_never_forgives_a_removed_output(others: dict[str, Any], one: dict[str, Any]) -> None:
    """Where a gRPC client could call the signature, a missing output is breaking."""
    before = compared(outputs(**others, gone=one), outputs(**others, gone=one))
    assert before[GRPC] == SAME
    if all(info.get("encoding", "name") == "name" for info in (*others.values(), one)):
        assert compared(outputs(**others, gone=one), outputs(**others))[GRPC] == BREAKING


def test_default_is_not_looked_into() -> None:
    """Defaults are compared as bytes; one that is no TensorProto is no error."""
    junk = base64.b64encode(b"\xff").decode()
    assert compared(entry(defaults={"x": junk}), entry(defaults={"x": "CAE="}))[GRPC] == COMPATIBLE
