"""Reading: every shape of file that parses is read rightly, and every other one ends in our error."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

import explorer
from explorer import DType, ExplorerError, SavedModel, Shape, TensorInfo
from explorer.errors import FormatError
from explorer.savedmodel import wire
from explorer.savedmodel.model import frozen
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import read_document


def meta_graph(*fields: bytes) -> bytes:
    """A SavedModel of one meta graph with these fields."""
    return wire.encode_field(2, b"".join(fields))


def entry(key: str, value: bytes) -> bytes:
    """An entry of a map."""
    return wire.encode_field(1, key) + wire.encode_field(2, value)


def read(data: bytes) -> SavedModel:
    """The model that some bytes are."""
    return read_document(Document.of_bytes(data))


def signature_of(*fields: bytes) -> bytes:
    """A SavedModel with one signature named s."""
    return meta_graph(wire.encode_field(5, entry("s", b"".join(fields))))


def input_of(info: bytes) -> TensorInfo:
    """The only input of a signature, read from its TensorInfo's bytes."""
    return read(signature_of(wire.encode_field(1, entry("x", info)))).meta_graph().signature("s").inputs["x"]


def test_fields_may_come_in_any_order_and_in_parts() -> None:
    """Protobuf lets a writer split a message and repeat it: parts are merged as every parser merges them."""
    data = meta_graph(
        wire.encode_field(5, entry("s", wire.encode_field(3, "first"))),
        wire.encode_field(1, wire.encode_field(4, "serve")),
        wire.encode_field(99, "unknown"),
        wire.encode_field(1, wire.encode_field(4, "gpu") + wire.encode_field(5, "2.0")),
    )
    graph = read(data + wire.encode_field(1, 1) + wire.encode_field(77, b"unknown")).meta_graph(["serve", "gpu"])
    assert (graph.tag_list, graph.tensorflow_version) == (("serve", "gpu"), "2.0")
    assert graph.signature("s").method_name == "first"


def test_of_a_repeated_signature_key_the_last_counts() -> None:
    """As in every protobuf map; the repetition is remembered, so that it can be pointed out."""
    data = meta_graph(
        wire.encode_field(5, entry("s", wire.encode_field(3, "first"))),
        wire.encode_field(5, entry("t", b"")),
        wire.encode_field(5, entry("s", wire.encode_field(3, "last"))),
    )
    graph = read(data).meta_graph()
    assert (graph.signature("s").method_name, graph.repeated_keys, list(graph.signatures)) == (
        "last",
        ("s",),
        ["t", "s"],
    )


@pytest.mark.parametrize(
    ("info", "text", "name"),
    [
        (b"", "invalid[]", ""),
        (wire.encode_field(1, "x:0") + wire.encode_field(2, 1), "float32[]", "x:0"),
        (wire.encode_field(2, 101), "float32_ref[]", ""),
        (wire.encode_field(2, 999), "dtype 999[]", ""),
        (wire.encode_field(3, wire.encode_field(3, 1)), "invalid<unknown rank>", ""),
        (
            wire.encode_field(3, wire.encode_field(2, wire.encode_field(1, -1)) + wire.encode_field(2, b"")),
            "invalid[?, 0]",
            "",
        ),
        (wire.encode_field(3, wire.encode_field(2, wire.encode_field(1, -7))), "invalid[-7]", ""),
        (wire.encode_field(3, wire.encode_field(2, wire.encode_field(1, 2)) * 2), "invalid[2, 2]", ""),
    ],
)  # fmt: skip
def test_dtypes_and_shapes(info: bytes, text: str, name: str) -> None:
    """Missing fields have protobuf's defaults, and numbers that nobody knows are kept."""
    tensor = input_of(info)
    assert (str(tensor), tensor.tensor_name, tensor.encoding) == (text, name, "name")


def test_encodings_of_several_tensors() -> None:
    """coo_sparse names its three tensors, composite_tensor lists its components; neither has one name."""
    sparse = input_of(wire.encode_field(4, wire.encode_field(1, "v:0") + wire.encode_field(3, "d:0")))
    assert (sparse.encoding, sparse.tensor_name) == ("coo_sparse", None)
    assert sparse.components == {"values": "v:0", "indices": "", "dense_shape": "d:0"}
    parts = b"".join(wire.encode_field(2, wire.encode_field(1, name)) for name in ("a:0", "b:0"))
    composite = input_of(wire.encode_field(5, parts))
    assert (composite.encoding, composite.components) == ("composite_tensor", {"0": "a:0", "1": "b:0"})
    assert composite.tensor_names == ("a:0", "b:0")
    last_wins = input_of(wire.encode_field(5, parts) + wire.encode_field(1, "x:0"))
    assert (last_wins.encoding, last_wins.tensor_name) == ("name", "x:0")


@pytest.mark.parametrize(
    ("data", "about"),
    [
        (b"", "no meta graph"),
        (wire.encode_field(9, b"x"), "no meta graph"),
        (wire.encode_field(2, 5), "wrong type"),
        (meta_graph(wire.encode_field(99, "x")), "nothing that a meta graph has"),
        (meta_graph(wire.encode_field(5, 3)), "wrong type"),
        (signature_of(wire.encode_field(1, 3)), "wrong type"),
        (signature_of(wire.encode_field(3, b"\xff\xfe")), "not UTF-8"),
        (meta_graph(wire.encode_field(1, wire.encode_field(4, 3))), "a number where text was expected"),
        (wire.encode_field(2, b"") * 1001, "more than 1000 meta graphs"),
        (signature_of(wire.encode_field(1, entry("x", wire.encode_field(2, "float")))), "a number was expected"),
    ],
)
def test_what_is_no_model_is_refused(data: bytes, about: str) -> None:
    """Each with a sentence of one line that says what is wrong."""
    with pytest.raises(ExplorerError, match=about) as caught:
        read(data)
    assert "\n" not in str(caught.value)


def test_every_truncation_ends_in_a_model_or_in_our_error(sample_models: Path) -> None:
    """A file cut off at any byte gives one sentence, or a table where the cut falls between two fields."""
    data = (sample_models / "half_plus_two" / "00000124" / "saved_model.pb").read_bytes()
    for length in range(len(data)):
        with contextlib.suppress(ExplorerError):
            assert read(data[:length]).meta_graphs


def test_mutations_end_in_a_model_or_in_our_error(sample_models: Path) -> None:
    """Bytes changed, cut out or doubled: never another exception."""
    chance = random.Random(20261122)
    for name in ("module/1", "shapes_and_types/1"):
        original = (sample_models / name / "saved_model.pb").read_bytes()
        for _ in range(1500):
            data = bytearray(original)
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(data))
                match chance.randrange(3):
                    case 0:
                        data[at] = chance.randrange(256)
                    case 1:
                        del data[at : at + chance.randrange(1, 40)]
                    case _:
                        data[at:at] = data[at : at + chance.randrange(1, 40)]
            with contextlib.suppress(ExplorerError):
                explorer.to_text(read(bytes(data)))


def test_the_model_is_frozen(sample_models: Path) -> None:
    """Nothing of it can be assigned to or put into, by accident or otherwise."""
    model = explorer.open_saved_model(sample_models / "linear")
    with pytest.raises(AttributeError):
        model.version = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        model.meta_graph().signatures["x"] = None  # type: ignore[index]


def test_dtype_names() -> None:
    """Every number has a name and every name its number, reference dtypes and unknown numbers included."""
    for number in [*range(34), 101, 107, 119, 999]:
        assert DType.from_name(DType(number).name) == DType(number)
    assert (DType(1).name, str(DType(1)), DType(101).name) == ("DT_FLOAT", "float32", "DT_FLOAT_REF")
    assert (DType(999).name, DType(19).name, str(DType(19))) == ("DT_999", "DT_HALF", "float16")
    assert DType(101).base == DType(1) and DType(1).base == DType(1)
    with pytest.raises(FormatError, match="is no dtype"):
        DType.from_name("float")


def test_shapes_that_fit() -> None:
    """Unknown fits everything; known sizes must be equal."""
    assert Shape((None, 3)).is_compatible_with(Shape((7, 3)))
    assert Shape(None).is_compatible_with(Shape((1,)))
    assert not Shape((2,)).is_compatible_with(Shape((2, 1)))
    assert not Shape((2, None)).is_compatible_with(Shape((3, 1)))


@pytest.mark.parametrize(
    ("data", "about"),
    [
        ({}, "lacks 'meta_graphs'"),
        ([], "must be a mapping"),
        ({"meta_graphs": 3}, "must be a list"),
        ({"meta_graphs": [{}]}, "lacks 'signatures', 'tags'"),
        ({"meta_graphs": [{"tags": "serve", "signatures": {}}]}, "list of texts"),
        ({"meta_graphs": [{"tags": [], "signatures": {"s": {}}}]}, "lacks 'inputs', 'outputs'"),
        ({"meta_graphs": [{"tags": [], "signatures": {"s": {"inputs": {"x": {}}, "outputs": {}}}}]}, "lacks 'dtype'"),
        ({"meta_graphs": [], "version": "1"}, "version"),
    ],
)
def test_data_that_is_no_model_is_refused(data: object, about: str) -> None:
    """from_dict says what is missing and where."""
    with pytest.raises(FormatError, match=about):
        SavedModel.from_dict(data)  # type: ignore[arg-type]


def test_parts_read_back_from_their_dicts(sample_models: Path) -> None:
    """MetaGraph, Signature and TensorInfo each have to_dict and from_dict that are inverse."""
    for name in ("module", "shapes_and_types", "keras3"):
        for graph in explorer.open_saved_model(sample_models / name).meta_graphs:
            assert explorer.MetaGraph.from_dict(graph.to_dict()) == graph
            for signature in graph.signatures.values():
                assert explorer.Signature.from_dict(signature.to_dict()) == signature
                for info in (*signature.inputs.values(), *signature.outputs.values()):
                    assert TensorInfo.from_dict(info.to_dict()) == info


def test_frozen_copies() -> None:
    """A later change of the dict that it was made from doesn't reach a frozen mapping."""
    values = {"a": 1}
    kept = frozen(values)
    values["b"] = 2
    assert kept == {"a": 1}
