"""saved_model.pbtxt to binary and back, and what lies under that name instead."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import ExplorerError, ExportError, FormatError, NotASavedModelError
from explorer.savedmodel import text_format
from explorer.savedmodel.schema import descriptor_pool, message_class
from explorer.savedmodel.text_format import TextModel, parse_text, print_text

TEXT = rb"""
# proto-file: tensorflow/core/protobuf/saved_model.proto
saved_model_schema_version: 1
meta_graphs {
  meta_info_def { tags: "serve" tensorflow_version: "1.15.0" }
  graph_def {
    node {
      name: "x"
      op: "Placeholder"
      attr { key: "shape" value { shape { dim { size: -1 } dim { size: 3 } } } }
      attr { key: "dtype" value { type: DT_FLOAT } }
      attr { key: "bytes" value { s: "\000\377\n\"" } }
      attr { key: "f" value { f: nan } }
    }
  }
  collection_def {
    key: "variables"
    value { any_list { value {
      [type.googleapis.com/tensorflow.VariableDef] { variable_name: "w:0" trainable: true }
    } } }
  }
  collection_def {
    key: "cond_context"
    value { any_list { value {
      [type.googleapis.com/tensorflow.CondContextDef] {
        context_name: "c"
        values_def {
          values: "a"
          external_values { key: "b" value: "1" }
          external_values { key: "a" value: "2" }
          external_values { key: "d" value: "3" }
          external_values { key: "c" value: "4" }
        }
      }
    } } }
  }
  collection_def {
    key: "tft"
    value { any_list { value { type_url: "type.googleapis.com/tensorflow_transform.Unknown" value: "\010\001" } } }
  }
  signature_def { key: "b" value { method_name: "\303\251" } }
  signature_def { key: "a" value { inputs { key: "x" value { name: "x:0" } } } }
}
"""


def saved_model(binary: bytes) -> Any:
    """The message of our own schema."""
    return message_class("tensorflow.SavedModel").FromString(binary)


def test_text_becomes_binary() -> None:
    """Names, numbers, bytes, maps and expanded Any values arrive, and nothing is unknown."""
    found = parse_text(TEXT, "m/saved_model.pbtxt")
    assert not found.unknown_fields
    (graph,) = saved_model(found.binary).meta_graphs
    assert list(graph.meta_info_def.tags) == ["serve"]
    assert graph.graph_def.node[0].attr["bytes"].s == b'\0\xff\n"'
    assert graph.signature_def["b"].method_name == "é"
    packed = graph.collection_def["variables"].any_list.value[0]
    assert packed.type_url == "type.googleapis.com/tensorflow.VariableDef"
    variable: Any = message_class("tensorflow.VariableDef").FromString(packed.value)
    assert (variable.variable_name, variable.trainable) == ("w:0", True)
    assert graph.collection_def["tft"].any_list.value[0].value == b"\x08\x01"


def test_same_text_gives_same_bytes() -> None:
    """The binary form is one and the same each time, maps inside Any values and their order in the text included."""
    once = parse_text(TEXT, "").binary
    swapped = TEXT.replace(b'"b" value: "1"', b'"d" value: "3"', 1)
    swapped = swapped.replace(
        b'"d" value: "3" }\n          external_values { key: "c"', b'"b" value: "1" } external_values { key: "c"'
    )
    assert swapped != TEXT
    assert parse_text(TEXT, "").binary == once
    assert parse_text(swapped, "").binary == once


def test_round_trip() -> None:
    """Printed and read again, a model is the same to the byte, in ASCII, with known Any values expanded."""
    binary = parse_text(TEXT, "").binary
    text = print_text(memoryview(binary))
    assert text.isascii()
    assert b"[type.googleapis.com/tensorflow.VariableDef]" in text
    assert b'type_url: "type.googleapis.com/tensorflow_transform.Unknown"' in text
    assert parse_text(text, "") == TextModel(binary, False)
    assert print_text(parse_text(text, "").binary) == text


def test_any_values_stand_where_the_code_looks() -> None:
    """The schema has no further places for Any values; when it gains one, ``_any_values`` has to learn it."""
    found = set()
    seen = set()
    queue = [descriptor_pool().FindMessageTypeByName("tensorflow.SavedModel")]
    while queue:
        descriptor = queue.pop()
        if descriptor.full_name in seen:
            continue
        seen.add(descriptor.full_name)
        for field in descriptor.fields:
            if field.message_type is not None and field.message_type.full_name == "google.protobuf.Any":
                found.add(field.full_name)
            elif field.message_type is not None:
                queue.append(field.message_type)
    assert found == {
        "tensorflow.MetaGraphDef.MetaInfoDef.any_info",
        "tensorflow.CollectionDef.AnyList.value",
        "tensorflow.SavedObject.serialized_user_proto",
    }


def test_fields_of_the_future_are_skipped_and_told() -> None:
    """A text with fields that the schema doesn't know is read without them, and the loss is announced."""
    known = parse_text(TEXT, "").binary
    for extra in (b' brand_new { deep: [1, 2] name: "}" }', b" colour: BLUE", b" sizes: [1, 2] more < a: 'x' >"):
        for place in (b"  signature_def", b'      op: "Placeholder"', b'variable_name: "w:0"'):
            found = parse_text(TEXT.replace(place, extra + b"\n" + place, 1), "")
            assert found == TextModel(known, True)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (b"", "empty_file", "is empty"),
        (b"  \n# only a comment", "empty_file", "is empty"),
        (b" \n" * 5_000_000 + b"#\n" * 1_000_000, "empty_file", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "lfs_pointer", "git lfs pull"),
        (b'# c\nnode {\n  name: "x"\n}\n', "frozen_graph", "GraphDef"),
        (b"item {\n  id: 1\n  name: 'cat'\n}\n", "label_map", "label map"),
        (b"meta_info_def { tags: 'serve' }", "meta_graph", "MetaGraphDef"),
        (b'model_checkpoint_path: "model.ckpt-1"', "checkpoint_state", "checkpoint"),
        (b"model_config_list { }", "server_config", "TensorFlow Serving"),
        (b"<!DOCTYPE html><html>", "html", "web page"),
        (b'{"a": 1}', "json", "JSON"),
        (b"some_thing { else: 1 }", "unknown", "no meta_graphs"),
    ],
)
def test_other_files_are_named(text: bytes, kind: str, words: str) -> None:
    """What is something else is called by its name, in one line with the path."""
    with pytest.raises(NotASavedModelError, match=words) as failure:
        parse_text(text, "m/saved_model.pbtxt")
    assert failure.value.kind == kind
    assert "'m/saved_model.pbtxt'" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_binary_under_the_name_of_a_text() -> None:
    """A saved_model.pb named .pbtxt is told to be renamed, whether its bytes happen to be UTF-8 or not."""
    for binary in (parse_text(TEXT, "").binary, b"\x08\x01\x12\x00"):
        with pytest.raises(NotASavedModelError, match=r"rename it to saved_model\.pb") as failure:
            parse_text(binary, "m/saved_model.pbtxt")
        assert failure.value.kind == "binary_pbtxt"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"meta_graphs {\n  graph_def {\n", "line 2"),
        (b"saved_model_schema_version: 1\nmeta_graphs: 5", "line 2, column 14"),
        (b"saved_model_schema_version: x", "line 1, column 29"),
        (b"meta_graphs { }\n\xff\xfe", "not UTF-8 text .at byte 16"),
        (TEXT.decode().encode("utf-16"), "not UTF-8"),
        (b"meta_graphs { meta_info_def { any_info { [type.googleapis.com/no.Such] { a: 1 } } } }", "no.Such"),
        (b"meta_graphs { meta_info_def { any_info { [evil\x1b[0m/no.Such] { a: 1 } } } }", "line 1"),
        (TEXT.replace(b"DT_FLOAT", b"DT_OF_THE_FUTURE"), "DT_OF_THE_FUTURE"),
    ],
)
def test_syntax_errors_have_a_place(text: bytes, words: str) -> None:
    """What is not well formed is refused in one line with line and column, or with the byte."""
    with pytest.raises(FormatError, match=words) as failure:
        parse_text(text, "m/saved_model.pbtxt")
    assert "\n" not in str(failure.value)
    assert "\x1b" not in str(failure.value)


@pytest.mark.parametrize("levels", [40, 120, 400, 100_000])
def test_nesting_bombs_are_refused(levels: int) -> None:
    """Values within values: what no consumer could parse again is refused, not a crash; a deep model is read."""
    inner = b"values { list_value { "
    head = b"meta_graphs { object_graph_def { nodes { bare_concrete_function { "
    head += b"function_spec { fullargspec { list_value { "
    text = head + inner * levels + b"} } " * levels + b"} " * 7
    if levels == 40:
        assert parse_text(text, "").binary
        return
    with pytest.raises(FormatError, match="nested too deeply"):
        parse_text(text, "m/saved_model.pbtxt")


def test_huge_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is checked before anything is decoded, and stands in the sentence."""
    assert text_format.LARGEST_TEXT == 256 << 20
    monkeypatch.setattr(text_format, "LARGEST_TEXT", 100)
    with pytest.raises(FormatError, match="more than 100 bytes"):
        parse_text(TEXT, "")
    with pytest.raises(FormatError, match="more than 100 bytes"):
        print_text(parse_text_unlimited())


def parse_text_unlimited() -> bytes:
    """A model of some hundred bytes."""
    return b"\x08\x01" + b"\x12\x00" * 100


@pytest.mark.parametrize("place", ["top", "inside", "packed", "damaged"])
def test_text_that_would_lose_something_is_not_written(place: str) -> None:
    """A text cannot carry unknown fields, wherever they stand; then there is no text rather than a poorer one."""
    model = saved_model(parse_text(TEXT, "").binary)
    packed = model.meta_graphs[0].collection_def["variables"].any_list.value[0]
    unknown = b"\xfa\x3e\x02hi"
    if place == "top":
        binary = model.SerializeToString() + unknown
    elif place == "inside":
        model.meta_graphs[0].graph_def.node[0].MergeFromString(unknown)
        binary = model.SerializeToString()
    else:
        packed.value = packed.value + unknown if place == "packed" else b"\xff"
        binary = model.SerializeToString()
    with pytest.raises(ExportError, match=r"saved_model\.pb"):
        print_text(binary)


def test_type_urls_cannot_smuggle_text() -> None:
    """A type URL is printed as it stands; one with other characters would break out of its brackets."""
    model = saved_model(parse_text(TEXT, "").binary)
    packed = model.meta_graphs[0].collection_def["variables"].any_list.value[0]
    packed.type_url = "x] { } } } #\n/tensorflow.VariableDef"
    with pytest.raises(ExportError):
        print_text(model.SerializeToString())


def test_only_saved_models_are_printed() -> None:
    """Bytes that are no protobuf are refused."""
    with pytest.raises(FormatError, match="no serialized SavedModel"):
        print_text(b"\xff\xff")


WORDS = re.findall(rb"\"[^\"]*\"|[\w.]+|\S|\s+", TEXT)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # protobuf lets Python undo escapes
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_mutated_texts_raise_only_our_errors(data: st.DataObject) -> None:
    """A text with words moved, doubled or lost is read or refused in one line; what is read can be printed."""
    words = list(WORDS)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(words) - 1))
        words[at : at + data.draw(st.integers(0, 3))] = [data.draw(st.sampled_from(WORDS))] * data.draw(
            st.integers(0, 2)
        )
    try:
        found = parse_text(b"".join(words), "m")
    except ExplorerError as error:
        assert "\n" not in str(error)
    else:
        assert found.unknown_fields or parse_text(print_text(found.binary), "m").binary == found.binary


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    """Files of anything, alone or after a good beginning, raise only our errors."""
    for text in (data, b"meta_graphs { meta_info_def { tags: '" + data, b"meta_graphs { " + data + b"}"):
        try:
            parse_text(text, "m")
        except ExplorerError as error:
            assert "\n" not in str(error)
