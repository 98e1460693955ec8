"""Warm-up requests read from TFRecord files that are made here, one byte after the other."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import ExplorerError, FormatError
from explorer.savedmodel.records import masked_crc32c
from explorer.savedmodel.warmup import WarmupRecord, contradictions, read_warmup


def message(field: int, payload: bytes) -> bytes:
    """A length-delimited field of fewer than 128 bytes, or of any size with a longer length."""
    length, size = b"", len(payload)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([field << 3 | 2]) + length + bytes([size]) + payload


def spec(signature: str = "", model: str = "") -> bytes:
    """A ModelSpec in field 1, with a version that is to be skipped."""
    fields = message(1, model.encode()) + message(2, b"\x08\x07") + message(3, signature.encode())
    return message(1, fields)


def predict(signature: str, inputs: tuple[str, ...], output_filter: tuple[str, ...] = (), model: str = "") -> bytes:
    """A PredictRequest whose tensors are long enough to matter if they were read as fields."""
    fields = spec(signature, model)
    fields += b"".join(message(2, message(1, key.encode()) + message(2, b"\xff" * 300)) for key in inputs)
    return fields + b"".join(message(3, key.encode()) for key in output_filter)


def log(kind: int, request: bytes) -> bytes:
    """A PredictionLog with metadata and a response around the request."""
    return message(1, b"\x0a\x00") + message(kind, message(1, request) + message(2, b"\xff\xff"))


def framed(*records: bytes) -> bytes:
    """A TFRecord file."""
    out = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        out += length + struct.pack("<I", masked_crc32c(length)) + record + struct.pack("<I", masked_crc32c(record))
    return out


def make_folder(path: Path, data: bytes) -> Path:
    """A SavedModel's folder with warm-up requests."""
    (path / "assets.extra").mkdir(parents=True, exist_ok=True)
    (path / "assets.extra" / "tf_serving_warmup_requests").write_bytes(data)
    return path


def test_reads_every_kind_of_record(tmp_path: Path) -> None:
    """Names come out of all of Serving's log types, several requests of one record under one index."""
    multi = message(1, spec("c") + message(2, b"tensorflow/serving/classify")) + message(1, spec("r"))
    streamed = message(7, message(1, predict("s", ("a",))) + message(1, predict("t", ("b",))))
    data = framed(
        log(6, predict("", ("y", "x"), ("out",), "half_plus_two")),
        log(2, spec("classify_x")),
        log(3, spec("regress_x")),
        log(4, multi + message(2, b"")),
        log(5, spec("run")),
        streamed,
        b"",
    )
    assert read_warmup(make_folder(tmp_path, data)) == (
        WarmupRecord(0, "predict", "", ("x", "y"), ("out",), "half_plus_two"),
        WarmupRecord(1, "classify", "classify_x"),
        WarmupRecord(2, "regress", "regress_x"),
        WarmupRecord(3, "multi_inference", "c"),
        WarmupRecord(3, "multi_inference", "r"),
        WarmupRecord(4, "session_run", "run"),
        WarmupRecord(5, "predict_streamed", "s", ("a",)),
        WarmupRecord(5, "predict_streamed", "t", ("b",)),
        WarmupRecord(6, "empty"),
    )


def test_protobuf_merges_what_comes_twice(tmp_path: Path) -> None:
    """The last kind of a oneof counts, a message that comes twice is merged, as protobuf does."""
    twice = message(2, message(1, spec("old"))) + message(6, message(1, spec("s"))) + message(6, message(1, spec("t")))
    assert read_warmup(make_folder(tmp_path, framed(twice))) == (WarmupRecord(0, "predict", "t", ()),)


def test_no_file_is_no_records(tmp_path: Path) -> None:
    """Warm-up is optional."""
    assert read_warmup(tmp_path) == ()


GOOD = framed(log(6, predict("s", ("x",))), log(6, predict("s", ("x",))))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (GOOD[:-1], "cut off inside a record"),
        (GOOD + b"\0\0\0", "cut off inside the head"),
        (GOOD[:20] + b"\0" + GOOD[21:], "a record has a wrong checksum"),
        (b"\1" + GOOD[1:], "a length has a wrong checksum"),
        (b'{"signature_name": "serving_default"}', "no intact TFRecord file"),
        (b"\x1f\x8b" + GOOD, "gzip"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (framed(b"", b"\x0a\xff"), "record 1 of .* is no PredictionLog"),
        (framed(log(6, spec()[:-1] + b"\xff")), "record 0"),
        (framed(message(6, message(1, message(1, message(3, b"\xff"))))), "signature name is not UTF-8"),
        (framed(*[b""] * 1001), "more than 1000 records"),
    ],
)
def test_damage_has_a_sentence(tmp_path: Path, data: bytes, words: str) -> None:
    """What Serving would refuse is refused with one line that says where."""
    with pytest.raises(FormatError, match=words) as failure:
        read_warmup(make_folder(tmp_path, data))
    assert "tf_serving_warmup_requests" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_many_records_are_read(tmp_path: Path) -> None:
    """As many as Serving takes are taken."""
    assert len(read_warmup(make_folder(tmp_path, framed(*[b""] * 1000)))) == 1000


SIGNATURES = {
    "serving_default": (("x", "y"), ("z",)),
    "c": (("inputs",), ("scores",)),
    "r": (("inputs",), ("outputs",)),
}


@pytest.mark.parametrize(
    "record",
    [
        WarmupRecord(0, "predict", "", ("x", "y"), ("z",)),
        WarmupRecord(0, "predict_streamed", "serving_default", ("x", "y")),
        WarmupRecord(0, "classify", "c"),
        WarmupRecord(0, "regress", "r"),
        WarmupRecord(0, "multi_inference", "r"),
        WarmupRecord(0, "session_run", "gone"),
        WarmupRecord(0, "empty"),
    ],
)
def test_fitting_records_contradict_nothing(record: WarmupRecord) -> None:
    """A record that Serving accepts, or that calls no signature, yields no sentence."""
    assert contradictions((record,), SIGNATURES) == ()


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (WarmupRecord(4, "predict", "old", ("x", "y")), ["record 4", "'old'", "'c', 'r', 'serving_default'"]),
        (WarmupRecord(0, "predict", "", ("x", "y", "w"), ()), ["'w'", "no input", "'serving_default' (it names none)"]),
        (WarmupRecord(0, "predict", "", ("x",), ()), ["leaves out 'y'", "fills: 'x'"]),
        (WarmupRecord(0, "predict", "", ("x", "y"), ("u", "v")), ["'u', 'v'", "are no output", "available: 'z'"]),
        (WarmupRecord(0, "classify"), ["(classify)", "'inputs'", "'x', 'y'"]),
        (WarmupRecord(0, "classify", "r"), ["'classes' or 'scores'", "available: 'outputs'"]),
        (WarmupRecord(0, "regress", "c"), ["the output 'outputs'", "available: 'scores'"]),
        (WarmupRecord(0, "multi_inference", "serving_default"), ["'inputs'"]),
        (WarmupRecord(0, "predict", "bad\nname", ()), ["bad\\u000aname"]),
    ],
)
def test_contradictions_name_what_is_there(record: WarmupRecord, words: list[str]) -> None:
    """A sentence tells the record, what it names and what is available instead, on one line."""
    sentences = contradictions((record,), SIGNATURES)
    for word in words:
        assert word in sentences[0]
    assert "\n" not in sentences[0]


def test_inputs_with_defaults_may_be_left_out() -> None:
    """Serving fills in the defaults of a signature."""
    record = WarmupRecord(0, "predict", "", ("x",))
    assert contradictions((record,), SIGNATURES, {"serving_default": ("y",)}) == ()
    assert len(contradictions((record,), SIGNATURES, {"serving_default": ("x",)})) == 1


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_mutated_records_raise_only_our_errors(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any change inside a record (checksums corrected) is read or refused with one of our errors."""
    record = bytearray(log(data.draw(st.integers(2, 8)), predict("s", ("x",), ("y",))))
    for _ in range(data.draw(st.integers(1, 5))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_warmup(make_folder(tmp_path_factory.mktemp("mutated"), framed(bytes(record))))
        contradictions(found, SIGNATURES)
    except ExplorerError as error:
        assert "\n" not in str(error)
