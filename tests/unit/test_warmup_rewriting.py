"""Warm-up records that follow the edits: judged by protobuf itself, and by which tensor each key stands for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

import explorer
from explorer.errors import ExplorerError, ExportError
from explorer.exporting import warmup as exporting_warmup
from explorer.exporting.export import export_version
from explorer.exporting.lineage import served_lineage
from explorer.exporting.warmup import WarmupRewriting, rewrite_records
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import read_document
from explorer.savedmodel.warmup import contradictions, framed_record, read_records, read_warmup
from explorer.savedmodel.wire import encode_field as field

WARMUP = "assets.extra/tf_serving_warmup_requests"
FLOAT, INT32, STRING = 1, 3, 7
UNKNOWN = field(99, b"a field of the future")

Copy = Callable[[str], Path]
Edit = Callable[[SavedModel], SavedModel]


@cache
def message(name: str) -> type[Any]:
    """The few messages of TensorFlow Serving, described by hand; tensors are left as bytes."""
    file = descriptor_pb2.FileDescriptorProto(name="judge.proto", package="judge", syntax="proto3")
    spec = file.message_type.add(name="ModelSpec")
    spec.field.add(name="name", number=1, type=9, label=1)
    spec.field.add(name="signature_name", number=3, type=9, label=1)
    request = file.message_type.add(name="PredictRequest")
    request.field.add(name="model_spec", number=1, type=11, label=1, type_name=".judge.ModelSpec")
    entry = request.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=12, label=1)
    request.field.add(name="inputs", number=2, type=11, label=3, type_name=".judge.PredictRequest.InputsEntry")
    request.field.add(name="output_filter", number=3, type=9, label=3)
    log = file.message_type.add(name="PredictLog")
    log.field.add(name="request", number=1, type=11, label=1, type_name=".judge.PredictRequest")
    log.field.add(name="response", number=2, type=12, label=1)
    prediction_log = file.message_type.add(name="PredictionLog")
    prediction_log.oneof_decl.add(name="log_type")
    prediction_log.field.add(
        name="predict_log", number=6, type=11, label=1, type_name=".judge.PredictLog", oneof_index=0
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type[Any] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"judge.{name}"))
    return found


def parsed(data: bytes) -> list[Any]:
    """The records of a file as protobuf reads them."""
    return [message("PredictionLog").FromString(bytes(record.data)) for record in read_records(data, "judge")]


def tensor(content: bytes = b"\0\0\x80?", dtype: int = FLOAT, dims: tuple[int, ...] = (1,)) -> bytes:
    """A TensorProto."""
    return field(1, dtype) + field(2, b"".join(field(2, field(1, dim)) for dim in dims)) + field(4, content) + UNKNOWN


def spec(signature: str | None, unknown: bytes = UNKNOWN) -> bytes:
    """A ModelSpec in field 1."""
    return field(1, field(1, "model") + unknown + (b"" if signature is None else field(3, signature)))


def predict(
    signature: str | None, inputs: dict[str, bytes] | list[str], output_filter: list[str] | None = None
) -> bytes:
    """A PredictRequest with unknown fields between those that are known."""
    tensors = inputs if isinstance(inputs, dict) else {key: tensor(key.encode() * 9) for key in inputs}
    entries = b"".join(field(2, field(1, key) + field(2, value)) for key, value in tensors.items())
    return spec(signature) + UNKNOWN + entries + b"".join(field(3, key) for key in output_filter or ()) + field(4, b"x")


def log(kind: int, request: bytes) -> bytes:
    """A PredictionLog with metadata and an answer around the request."""
    return field(1, field(1, b"")) + field(kind, field(1, request) + field(2, b"\xff\xff")) + UNKNOWN


def framed(*records: bytes) -> bytes:
    """A TFRecord file."""
    return b"".join(framed_record(record) for record in records)


def rewritten(data: bytes, original: SavedModel, edited: SavedModel) -> WarmupRewriting:
    """What becomes of the records."""
    return rewrite_records(data, "records", original, edited)


@pytest.fixture
def two(model_bytes: type[Any]) -> SavedModel:
    """A model with the signatures a, b (two inputs, two outputs) and serving_default; each tensor has its own name."""
    bytes_of = model_bytes()
    for key in ("a", "b", "serving_default"):
        bytes_of.signature(
            {name: f"{key}_{name}:0" for name in ("x", "y")}, {name: f"{key}_{name}:0" for name in ("p", "q")}, key
        )
    return bytes_of.model()


ALL = ["x", "y"]


def test_a_renamed_signature_and_its_keys(two: SavedModel) -> None:
    """The record names what the keys are now; its tensors and all that isn't known are the same bytes."""
    edited = explorer.rename_signature(two, "a", "the new and much longer name of the signature")
    key = "the new and much longer name of the signature"
    edited = explorer.rename_input(edited, key, "x", "image")
    edited = explorer.rename_output(edited, key, "q", "scores" * 30)
    fine = log(6, predict("b", ALL, ["p"]))
    found = rewritten(framed(log(6, predict("a", ALL, ["q", "p"])), fine), two, edited)
    tensors = {"image": tensor(b"x" * 9), "y": tensor(b"y" * 9)}
    wanted = log(6, predict(key, tensors, ["scores" * 30, "p"]))
    assert found.data == framed(wanted, fine)
    assert (found.rewritten, found.dropped) == ((0,), {})
    assert "'a'" in found.stale[0] and "refuse" in found.stale[0]
    assert found.notes == ("warm-up: 1 record rewritten to the new keys",)


def test_swaps_and_chains(two: SavedModel) -> None:
    """After a and b were swapped both keys are still there, and each record goes with its own signature."""
    edited = explorer.rename_signature(two, "a", "c")
    edited = explorer.rename_signature(edited, "b", "a")
    edited = explorer.rename_signature(edited, "c", "b")
    for old, new in (("x", "z"), ("y", "x"), ("z", "y")):
        edited = explorer.rename_input(edited, "b", old, new)
    data = framed(log(6, predict("a", ALL)), log(6, predict("b", ALL)))
    found = rewritten(data, two, edited)
    swapped = {"y": tensor(b"x" * 9), "x": tensor(b"y" * 9)}
    assert found.data == framed(log(6, predict("b", swapped)), log(6, predict("a", ALL)))
    assert all("something else" in sentence for sentence in found.stale) and len(found.stale) == 2
    back = explorer.rename_signature(explorer.rename_signature(edited, "a", "c"), "b", "a")
    back = explorer.rename_signature(back, "c", "b")
    for old, new in (("x", "z"), ("y", "x"), ("z", "y")):
        back = explorer.rename_input(back, "a", old, new)
    assert rewritten(data, two, back).data == data, "renamed back and forth, the records are as they were"


@pytest.mark.parametrize("named", [None, "", "serving_default"])
def test_no_name_means_the_default_signature(two: SavedModel, named: str | None) -> None:
    """A record that names none follows serving_default under its new key, and one may be renamed to it."""
    edited = explorer.rename_signature(two, "serving_default", "old")
    edited = explorer.rename_signature(edited, "a", "serving_default")
    found = rewritten(framed(log(6, predict(named, ALL)), log(6, predict("a", ALL))), two, edited)
    first, second = parsed(found.data or b"")
    assert first.predict_log.request.model_spec.signature_name == "old"
    assert second.predict_log.request.model_spec.signature_name == "serving_default"
    unchanged = framed(log(6, predict(named, ALL)))
    assert rewritten(unchanged, two, explorer.rename_signature(two, "a", "c")).data == unchanged


@pytest.mark.parametrize("request_bytes", [b"", field(1, b""), field(1, field(1, "m")) + field(1, b"")])
def test_a_default_request_without_a_name_gets_one(model_bytes: type[Any], request_bytes: bytes) -> None:
    """Where there is no field for the name, and even no ModelSpec, it is put in."""
    model = model_bytes().signature({}, {"p": "p:0"}).model()
    edited = explorer.rename_signature(model, "serving_default", "new")
    (found,) = parsed(rewritten(framed(log(6, request_bytes)), model, edited).data or b"")
    assert found.predict_log.request.model_spec.signature_name == "new"
    no_request = rewritten(framed(field(6, field(2, b"\xff"))), model, edited)
    assert parsed(no_request.data or b"")[0].predict_log.request.model_spec.signature_name == "new"


def test_removed_things(two: SavedModel) -> None:
    """Records of a removed signature go one by one, a removed output leaves the filter, the rest stays."""
    edited = explorer.remove_signature(two, "a")
    edited = explorer.remove_output(edited, "b", "q")
    data = framed(
        log(6, predict("a", ALL)), log(6, predict("b", ALL, ["q", "p"])), log(6, predict("b", ALL, ["q"])), b""
    )
    found = rewritten(data, two, edited)
    wanted = framed(log(6, predict("b", ALL, ["p"])), log(6, predict("b", ALL)), b"")
    assert (found.data, found.rewritten, list(found.dropped)) == (wanted, (1, 2), [0])
    assert "calls the signature 'a', which was removed" in found.dropped[0]
    assert any("'a', which was removed" in note for note in found.notes)
    none = rewritten(framed(log(6, predict("a", ALL))), two, edited)
    assert none.data is None and "no record is left" in none.notes[-1]


def test_a_copy_takes_over_from_what_was_removed(two: SavedModel) -> None:
    """Copied and then removed is renamed; while the signature is there its copy changes nothing."""
    copied = explorer.copy_signature(two, "a", "c")
    data = framed(log(6, predict("a", ALL)))
    assert rewritten(data, two, copied).data == data
    renamed = explorer.rename_input(explorer.remove_signature(copied, "a"), "c", "x", "image")
    (found,) = parsed(rewritten(data, two, renamed).data or b"")
    assert found.predict_log.request.model_spec.signature_name == "c"
    assert set(found.predict_log.request.inputs) == {"image", "y"}


def test_what_was_removed_and_added_again(model_bytes: type[Any]) -> None:
    """A key that came back is the new signature's, unless its tensors don't fit it."""
    builder = model_bytes().usual_ops().placeholder("x").placeholder("n", INT32).compute("z", "x", "x")
    model = builder.signature({"x": "x:0"}, {"z": "z:0"}, "a").model()
    gone = explorer.remove_signature(model, "a")
    data = framed(log(6, predict("a", ["x"], ["z"])))
    again = explorer.add_signature(gone, "a", {"x": "x:0"}, {"z": "z:0"})
    assert rewritten(data, model, again).data == data
    other = rewritten(data, model, explorer.add_signature(gone, "a", {"x": "n:0"}, {"z": "z:0"}))
    assert other.data is None and "with float32, and it takes int32" in other.dropped[0]
    copied = explorer.add_signature(gone, "b", {"x": "x:0"}, {"z": "z:0"})
    copied = explorer.copy_signature(copied, "b", "a")
    assert rewritten(data, model, copied).data == data
    retargeted = explorer.set_input_tensor(model, "a", "x", "n:0")
    assert "refuse" in rewritten(data, model, retargeted).stale[0]


def with_edit(model: SavedModel, data: bytes, **edit: Any) -> SavedModel:
    """A model as an edit would leave it that isn't made here: other bytes and one more entry."""
    after = read_document(Document.of_bytes(data))
    for entry in (*model.edits, edit):
        after = after.with_edit(entry)
    return after


def test_a_bound_input_leaves_the_request(model_bytes: type[Any]) -> None:
    """bind_input takes the input away, and so it goes out of the records."""
    model = model_bytes().signature({"x": "x:0", "y": "y:0"}, {"p": "p:0"}, "a").model()
    bound = model_bytes().signature({"x": "x:0"}, {"p": "p:0"}, "a").to_bytes()
    edited = with_edit(model, bound, edit="bind_input", signature_key="a", input_key="y", value=3)
    found = rewritten(framed(log(6, predict("a", ALL))), model, edited)
    assert found.data == framed(log(6, predict("a", ["x"])))


def test_a_removed_default_makes_a_record_too_short(model_bytes: type[Any]) -> None:
    """A record that left an input to its default can't be filled in; it goes, with a reason."""
    model = model_bytes().signature({"x": "x:0", "y": "y:0"}, {"p": "p:0"}, "a", defaults=("y",)).model()
    without = model_bytes().signature({"x": "x:0", "y": "y:0"}, {"p": "p:0"}, "a").to_bytes()
    edited = with_edit(model, without, edit="remove_default", signature_key="a", input_key="y")
    full = log(6, predict("a", ALL))
    found = rewritten(framed(log(6, predict("a", ["x"])), full), model, edited)
    assert found.data == framed(full) and "leaves out 'y'" in found.dropped[0]


def test_a_narrower_shape_drops_what_it_excludes(model_bytes: type[Any]) -> None:
    """set_input_shape really restricts: a warm-up request of another batch would fail, so its record goes."""
    model = model_bytes().signature({"x": "x:0"}, {"p": "p:0"}, "a").model()
    narrow = model_bytes()
    narrow.signature({"x": narrow.info("x:0", FLOAT, narrow.shape(4))}, {"p": "p:0"}, "a")
    edited = with_edit(model, narrow.to_bytes(), edit="set_input_shape", signature_key="a", input_key="x", shape=[4])
    four = log(6, predict("a", {"x": tensor(b"4" * 16, FLOAT, (4,))}))
    found = rewritten(framed(log(6, predict("a", ["x"])), four), model, edited)
    assert found.data == framed(four)
    assert "with the shape [1], and it takes [4]" in found.dropped[0]


def test_other_kinds(model_bytes: type[Any]) -> None:
    """Classify, regress and multi-inference follow their signature; a session run, which names tensors, stays."""
    builder = model_bytes()
    builder.signature({"inputs": "e:0"}, {"scores": "s:0"}, "c", "tensorflow/serving/classify")
    builder.signature({"inputs": "e:0"}, {"outputs": "o:0"}, "r", "tensorflow/serving/regress")
    model = builder.model()
    edited = explorer.rename_signature(explorer.rename_signature(model, "c", "cc"), "r", "rr")

    def records(classify: str, regress: str) -> list[bytes]:
        tasks = b"".join(field(1, spec(key) + field(2, "method")) for key in (classify, regress))
        streamed = predict(classify, ["inputs"]), predict(regress, ["inputs"], ["outputs"])
        return [
            log(2, spec(classify) + field(2, b"examples")),
            log(3, spec(regress) + field(2, b"examples")),
            log(4, tasks + field(2, b"examples")),
            field(7, b"".join(field(1, request) for request in streamed)),
        ]

    session_run = log(5, spec("c"))
    found = rewritten(framed(*records("c", "r"), session_run), model, edited)
    assert found.data == framed(*records("cc", "rr"), session_run)
    gone = rewritten(framed(*records("c", "r"), session_run), model, explorer.remove_signature(model, "c"))
    assert list(gone.dropped) == [0, 2, 3] and gone.data == framed(records("c", "r")[1], session_run)
    renamed = rewritten(framed(*records("c", "r")), model, explorer.rename_input(model, "c", "inputs", "x"))
    assert "needs the input 'inputs'" in renamed.dropped[0], "a classification can't name another input"
    method = explorer.set_method_name(model, "r", "tensorflow/serving/predict")
    assert "whose method is" in rewritten(framed(*records("c", "r")), model, method).dropped[1]


def test_what_protobuf_merges(two: SavedModel) -> None:
    """A name, an input or a message that stands twice is one to protobuf, and so is what is written."""
    edited = explorer.rename_input(explorer.rename_signature(two, "a", "aa"), "aa", "x", "xx")
    request = spec("b") + spec("a") + predict("a", ALL) + field(2, field(1, "y") + field(1, "x") + field(2, b"twice"))
    halves = field(6, field(1, spec("b"))) + field(6, field(1, request)) + field(6, field(2, b"\xff"))
    for data in (log(6, request), halves, field(2, field(1, spec("b"))) + halves):
        (before,) = parsed(framed(data))
        (after,) = parsed(rewritten(framed(data), two, edited).data or b"")
        wanted = before.predict_log.request
        assert after.predict_log.request.model_spec.signature_name == "aa"
        assert dict(after.predict_log.request.inputs) == {"xx": b"twice", "y": wanted.inputs["y"]}
        assert wanted.inputs["x"] == b"twice"


def test_records_that_never_fitted(two: SavedModel) -> None:
    """What was wrong before stays only if it is right now; nobody guesses what its keys were meant to be."""
    wrong = log(6, predict("c", ALL))
    edited = explorer.rename_signature(two, "a", "c")
    assert rewritten(framed(wrong), two, edited).data == framed(wrong)
    found = rewritten(framed(wrong), two, two)
    assert found.data is None and found.stale == ()


def test_the_served_meta_graph_counts(model_bytes: type[Any]) -> None:
    """Edits of another meta graph change no record; tags that are moved are followed."""
    serving = model_bytes().signature({"x": "x:0"}, {"p": "p:0"}, "a")
    training = model_bytes(("train",)).signature({"x": "t:0"}, {"p": "p:0"}, "a")
    model = serving.model(training)
    data = framed(log(6, predict("a", ["x"])))
    assert rewritten(data, model, explorer.rename_signature(model, "a", "t", tags=["train"])).data == data
    moved = explorer.set_tags(model, ["old"], tags=["serve"])
    moved = explorer.rename_signature(moved, "a", "unused", tags=["old"])
    moved = explorer.rename_signature(moved, "a", "b", tags=["train"])
    moved = explorer.set_tags(moved, ["serve"], tags=["train"])
    assert {key: one.key for key, one in served_lineage(model, moved).signatures.items()} == {"a": "b"}
    (found,) = parsed(rewritten(data, model, moved).data or b"")
    assert found.predict_log.request.model_spec.signature_name == "b"
    copied = explorer.copy_meta_graph(model, ["extra"], tags=["serve"])
    copied = explorer.remove_meta_graph(copied, tags=["serve"])
    copied = explorer.set_tags(copied, ["serve"], tags=["extra"])
    copied = explorer.rename_signature(copied, "a", "c", tags=["serve"])
    assert {key: one.key for key, one in served_lineage(model, copied).signatures.items()} == {"a": "c"}


KEYS = ["a", "b", "serving_default", "c"]
NAMES = ["x", "y", "p", "q", "z"]


def random_edit(draw: Callable[[Any], Any], model: SavedModel) -> SavedModel:
    """One edit, whichever fits; the model as it is where it doesn't."""
    key, new = draw(st.sampled_from(KEYS)), draw(st.sampled_from(KEYS))
    name, other = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES))
    edits: list[Edit] = [
        lambda m: explorer.rename_signature(m, key, new),
        lambda m: explorer.rename_input(m, key, name, other),
        lambda m: explorer.rename_output(m, key, name, other),
        lambda m: explorer.copy_signature(m, key, new),
        lambda m: explorer.remove_signature(m, key),
        lambda m: explorer.remove_output(m, key, name),
    ]
    try:
        return draw(st.sampled_from([*edits[:3], *edits]))(model)
    except ExplorerError:
        return model


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A record that fits the model ``two``."""
    signature = draw(st.sampled_from([None, "", "a", "b", "serving_default"]))
    inputs = draw(st.permutations(ALL))
    output_filter = draw(st.lists(st.sampled_from(["p", "q"]), unique=True))
    tensors = {key: tensor(draw(st.binary(max_size=20)) + key.encode()) for key in inputs}
    return log(6, predict(signature, tensors, output_filter))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_random_edits(data: st.DataObject, two_models: SavedModel) -> None:
    """After any edits no record contradicts the model, and each key stands for the tensor that it stood for."""
    edited = two_models
    for _ in range(data.draw(st.integers(0, 12))):
        edited = random_edit(data.draw, edited)
    records = data.draw(st.lists(requests(), min_size=1, max_size=4))
    source = framed(*records)
    found = rewritten(source, two_models, edited)
    signatures = edited.meta_graph().callable_signatures
    kept = [record for index, record in enumerate(parsed(source)) if index not in found.dropped]
    after = parsed(found.data) if found.data is not None else []
    for old, new in zip(kept, after, strict=True):
        old_request, new_request = old.predict_log.request, new.predict_log.request
        before = two_models.meta_graph().signature(old_request.model_spec.signature_name or "serving_default")
        now = signatures[new_request.model_spec.signature_name or "serving_default"]
        tensors = [
            {signature.inputs[key].tensor_name: value for key, value in request.inputs.items()}
            for signature, request in ((before, old_request), (now, new_request))
        ]
        assert len(tensors[0]) == 2 and tensors[0] == tensors[1], "a value is fed to another tensor"
        filters = [
            [signature.outputs[key].tensor_name for key in request.output_filter]
            for signature, request in ((before, old_request), (now, new_request))
        ]
        left = {info.tensor_name for info in now.outputs.values()}
        assert filters[1] == [name for name in filters[0] if name in left], "another tensor is asked for"
    for index in found.dropped:
        key = parsed(source)[index].predict_log.request.model_spec.signature_name or "serving_default"
        tensors_left = {info.tensor_name for one in signatures.values() for info in one.inputs.values()}
        assert not tensors_left & {f"{key}_x:0", f"{key}_y:0"}, "a record is dropped whose signature is still there"
    if edited.meta_graphs == two_models.meta_graphs and not edited.edits:
        assert found.data == source
    if found.data is not None:
        keys = {key: (one.inputs, one.outputs) for key, one in signatures.items()}
        now_requests = [request for record in read_records(found.data, "after") for request in record.requests]
        assert contradictions(now_requests, keys) == ()
        assert edited.document is not None
        opened_again = read_document(edited.document)
        assert rewritten(found.data, opened_again, opened_again).data == found.data
    assert bool(found.stale) == (found.data != source)


@pytest.fixture(scope="module")
def two_models() -> SavedModel:
    """The model of the fixture ``two``, made once for all examples."""
    data = b""
    for key in ("a", "b", "serving_default"):
        tensors = b""
        for number, names in ((1, ALL), (2, ["p", "q"])):
            for name in names:
                info = field(1, f"{key}_{name}:0") + field(2, FLOAT) + field(3, field(2, field(1, -1)))
                tensors += field(number, field(1, name) + field(2, info))
        signature = tensors + field(3, "tensorflow/serving/predict")
        data += field(5, field(1, key) + field(2, signature))
    return read_document(Document.of_bytes(field(1, 1) + field(2, field(1, field(4, "serve")) + field(2, b"") + data)))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_records_raise_only_our_errors(data: st.DataObject, two_models: SavedModel) -> None:
    """Any change inside a record (checksums corrected) is rewritten, dropped or refused with one of our errors."""
    edited = explorer.rename_input(explorer.rename_signature(two_models, "a", "aa"), "aa", "x", "xx")
    record = bytearray(log(data.draw(st.integers(2, 8)), predict("a", ALL, ["p"])))
    for _ in range(data.draw(st.integers(1, 5))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = rewritten(framed(bytes(record)), two_models, edited)
    except ExplorerError as error:
        assert "\n" not in str(error)
    else:
        for sentence in (*found.notes, *found.stale):
            assert "\n" not in sentence


FITTING = log(6, predict("prediction", {"input": tensor(b"\0\0\x80?" * 6, FLOAT, (2, 3))}, ["output"]))


def with_records(source: Path, *records: bytes) -> SavedModel:
    """Writes a warm-up file into a model's folder and opens it."""
    (source / "assets.extra").mkdir(exist_ok=True)
    (source / WARMUP).write_bytes(framed(*records))
    return explorer.open_saved_model(source)


def stale(folder: Path) -> list[str]:
    """What the checks say of the warm-up records of a folder."""
    model = explorer.open_saved_model(folder)
    return [found.message for found in explorer.check(model) if found.code in ("stale_warmup", "bad_warmup")]


def test_an_export_rewrites(copy_model: Copy, tmp_path: Path) -> None:
    """The records of the new version fit it, it is told what became of them, and the source's stay."""
    source = copy_model("linear/1")
    model = with_records(source, FITTING, b"")
    edited = explorer.rename_output(
        explorer.rename_input(model, "prediction", "input", "image"), "prediction", "output", "y"
    )
    with pytest.raises(ExportError, match="'input'.*choose 'drop'.*'rewrite'"):
        explorer.export(edited, tmp_path / "base")
    assert not (tmp_path / "base").exists()
    published = export_version(edited, tmp_path / "base", warmup="rewrite", link=True)
    assert [record.input_keys for record in read_warmup(published.path)] == [("image",), None]
    assert stale(published.path) == []
    (row,) = [file for file in published.files if file.name == WARMUP]
    assert (row.how, row.reason) == ("written", "1 record rewritten, 0 left out")
    assert "warm-up: 1 record rewritten to the new keys" in published.notes
    assert (source / WARMUP).read_bytes() == framed(FITTING, b"")


def test_an_export_leaves_out_what_has_no_record_left(copy_model: Copy, tmp_path: Path) -> None:
    """Where every record is dropped there is no file, and both are told."""
    model = with_records(copy_model("linear/1"), FITTING)
    edited = explorer.set_method_name(model, "prediction", "tensorflow/serving/regress")
    edited = explorer.remove_signature(explorer.rename_signature(edited, "prediction", "old"), "old")
    edited = explorer.add_signature(edited, "other", {"x": "Placeholder:0"}, {"y": "add:0"})
    published = export_version(edited, tmp_path / "base", warmup="rewrite")
    (row,) = [file for file in published.files if file.name == WARMUP]
    assert row.how == "left out" and not (published.path / WARMUP).exists()
    assert any("'prediction', which was removed" in note for note in published.notes)
    assert any("no record is left" in note for note in published.notes)


@pytest.mark.parametrize("choice", ["refuse", "drop", "rewrite"])
def test_an_empty_file_is_taken_over(copy_model: Copy, tmp_path: Path, choice: Any) -> None:
    """A file without records contradicts nothing."""
    model = explorer.rename_signature(with_records(copy_model("linear/1")), "prediction", "renamed")
    published = export_version(model, tmp_path / "base", warmup=choice)
    assert (published.path / WARMUP).read_bytes() == b"" and published.notes == ()


def test_many_dropped_records_are_summed_up(two: SavedModel) -> None:
    """A thousand records don't make a thousand sentences."""
    found = rewritten(framed(*[log(6, predict("a", ALL))] * 9, b""), two, explorer.remove_signature(two, "a"))
    assert len(found.notes) == 6 and found.notes[-1] == "warm-up: 4 records more left out"


@pytest.mark.parametrize("choice", ["refuse", "drop", "rewrite"])
def test_records_that_fit_are_taken_over(copy_model: Copy, tmp_path: Path, choice: Any) -> None:
    """An edit that concerns no record changes no byte of the file, whatever was chosen."""
    model = explorer.copy_signature(with_records(copy_model("linear/1"), FITTING), "prediction", "serving_default")
    published = export_version(model, tmp_path / "base", warmup=choice)
    assert (published.path / WARMUP).read_bytes() == framed(FITTING)
    assert published.notes == ()


def test_keys_that_were_swapped_are_refused(copy_model: Copy, tmp_path: Path) -> None:
    """No key is missing after a swap, and yet each record would warm up another signature."""
    model = with_records(copy_model("linear/1"), FITTING)
    model = explorer.rename_signature(explorer.copy_signature(model, "prediction", "other"), "prediction", "old")
    model = explorer.rename_signature(model, "other", "prediction")
    with pytest.raises(ExportError, match="something else.*'rewrite'"):
        explorer.export(model, tmp_path / "base")
    published = export_version(model, tmp_path / "base", warmup="rewrite")
    assert [record.signature_name for record in read_warmup(published.path)] == ["old"]


def test_what_never_fitted_is_not_carried_along_in_silence(copy_model: Copy, tmp_path: Path) -> None:
    """Nothing that an edit did, so the export goes on and says it; on request the records go."""
    model = with_records(copy_model("linear/1"), log(6, predict("gone", ["input"])), FITTING)
    (note,) = export_version(model, tmp_path / "base").notes
    assert "never fitted" in note and "'gone'" in note
    rewritten_to = export_version(model, tmp_path / "rewritten", warmup="rewrite")
    assert (rewritten_to.path / WARMUP).read_bytes() == framed(FITTING)
    assert not (export_version(model, tmp_path / "dropped", warmup="drop").path / WARMUP).exists()


def test_a_file_that_is_no_warm_up_file(copy_model: Copy, tmp_path: Path) -> None:
    """It can't be rewritten, it can be dropped, and where it is taken over that is said."""
    source = copy_model("linear/1")
    with_records(source)
    (source / WARMUP).write_bytes(b"this is no TFRecord file")
    model = explorer.rename_signature(explorer.open_saved_model(source), "prediction", "renamed")
    with pytest.raises(ExportError, match="can't be rewritten: .*no intact TFRecord.*choose 'drop'"):
        explorer.export(model, tmp_path / "base", warmup="rewrite")
    assert any("TFRecord" in note for note in export_version(model, tmp_path / "kept").notes)
    assert not (export_version(model, tmp_path / "dropped", warmup="drop").path / WARMUP).exists()


def test_a_link_out_of_the_folder_is_not_followed(copy_model: Copy, tmp_path: Path) -> None:
    """Rewriting must not carry somebody's file away through a link, unless it is asked for."""
    source = copy_model("linear/1")
    with_records(source, FITTING)
    (source / WARMUP).rename(tmp_path / "private")
    (source / WARMUP).symlink_to(tmp_path / "private")
    model = explorer.rename_signature(explorer.open_saved_model(source), "prediction", "renamed")
    with pytest.raises(ExportError, match="leaves the model's folder"):
        explorer.export(model, tmp_path / "base", warmup="rewrite")
    written = explorer.export(model, tmp_path / "base", warmup="rewrite", follow_outside_links=True)
    assert stale(written) == [] and not (written / WARMUP).is_symlink()


def test_a_result_that_does_not_fit_is_not_published(
    copy_model: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is read back; were the rewriting wrong, nothing would be published."""
    model = explorer.rename_signature(with_records(copy_model("linear/1"), FITTING), "prediction", "renamed")
    wrong = WarmupRewriting(framed(FITTING, FITTING), (0,), {}, ("stale",))
    monkeypatch.setattr(exporting_warmup, "rewrite_records", lambda *_: wrong)
    with pytest.raises(ExportError, match="don't fit the model after they were rewritten"):
        explorer.export(model, tmp_path / "base", warmup="rewrite")
    assert not (tmp_path / "base").exists()
