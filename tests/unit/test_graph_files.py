"""Frozen graphs and checkpoints with a ``.meta`` become SavedModels: what is kept, what is added, what is refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from explorer.converting import graph_file
from explorer.converting.bundle import BundleTensor, bundle_content, bytes_content
from explorer.converting.constant_texts import constant_texts
from explorer.converting.devices import device_notes
from explorer.converting.graph_file import parts_of_graph
from explorer.converting.kinds import TF1_CHECKPOINT, Source
from explorer.converting.meta_file import parts_of_checkpoint
from explorer.converting.parts import Parts, open_parts
from explorer.converting.source import find_source
from explorer.editing.edits import add_signature
from explorer.errors import ConversionError, EditError, ExplorerError
from explorer.savedmodel.assets import read_assets
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.op_table import op_table
from explorer.savedmodel.overlay import FileSource
from explorer.savedmodel.reader import read_document
from explorer.savedmodel.schema import message_class
from explorer.savedmodel.wire import encode_field

FLOAT, STRING, RESOURCE = 1, 7, 20
INIT = "__saved_model_init_op"


def message(name: str) -> Any:
    """An empty message of TensorFlow's."""
    return message_class(f"tensorflow.{name}")()


def add_node(graph: Any, name: str, op: str, *inputs: str, dtype: int = 0, texts: tuple[str, ...] = ()) -> Any:
    """Adds a node to a GraphDef and gives its message."""
    node = graph.node.add()
    node.name, node.op = name, op
    node.input.extend(inputs)
    if dtype:
        node.attr["dtype"].type = dtype
    if texts:
        tensor = node.attr["value"].tensor
        tensor.dtype = STRING
        tensor.tensor_shape.dim.add().size = len(texts)
        tensor.string_val.extend(text.encode() for text in texts)
    return node


def simple_graph() -> Any:
    """``y = tanh(x + 1)``, in which a function of the library does the half of it."""
    graph = message("GraphDef")
    add_node(graph, "x", "Placeholder", dtype=FLOAT)
    one = add_node(graph, "one", "Const", dtype=FLOAT)
    one.attr["value"].tensor.dtype = FLOAT
    one.attr["value"].tensor.tensor_shape.SetInParent()
    one.attr["value"].tensor.float_val.append(1)
    add_node(graph, "sum", "AddV2", "x", "one").attr["T"].type = FLOAT
    add_node(graph, "y", "half", "sum")
    function = graph.library.function.add()
    function.signature.name = "half"
    function.signature.input_arg.add(name="a", type=FLOAT)
    function.signature.output_arg.add(name="b", type=FLOAT)
    inner = function.node_def.add(name="tanh", op="Tanh", input=["a"], device="/device:GPU:1")
    inner.attr["T"].type = FLOAT
    function.ret["b"] = "tanh:y:0"
    graph.versions.producer = 27
    return graph


def serialized(value: Any) -> bytes:
    """The bytes of a message."""
    data: bytes = value.SerializeToString(deterministic=True)
    return data


def meta_graph_of(parts: Parts) -> MetaGraph:
    """The only meta graph of what was made."""
    (meta_graph,) = read_document(parts.document).meta_graphs
    return meta_graph


def proto_of(parts: Parts) -> Any:
    """The only MetaGraphDef of what was made, parsed."""
    model: Any = message_class("tensorflow.SavedModel").FromString(parts.document.to_bytes())
    assert model.saved_model_schema_version == 1
    (meta_graph,) = model.meta_graphs
    return meta_graph


def graph_parts(folder: Path, graph: Any) -> Parts:
    """What is made of a GraphDef in a file."""
    (folder / "graph.pb").write_bytes(graph if isinstance(graph, bytes) else serialized(graph))
    return parts_of_graph(folder / "graph.pb")


def test_a_graph_stays_in_its_file(tmp_path: Path) -> None:
    """Every byte of it is kept, unknown fields too, and none is copied: the document is ranges of the file."""
    graph = simple_graph()
    later = message("GraphDef")
    add_node(later, "z", "Identity", "y").attr["T"].type = FLOAT
    data = serialized(graph) + encode_field(99, "of a later version") + serialized(later)
    parts = graph_parts(tmp_path, data)
    assert [piece.length for piece in parts.document.pieces if isinstance(piece.source, FileSource)] == [len(data)]
    assert data in parts.document.to_bytes()
    found = proto_of(parts)
    assert [node.name for node in found.graph_def.node] == ["x", "one", "sum", "y", "z"]
    assert list(found.meta_info_def.tags) == ["serve"]
    assert found.meta_info_def.tensorflow_version == ""
    assert not found.HasField("saver_def")
    assert (parts.files, parts.notes) == ({}, ())


def test_dtypes_are_known_by_our_own_table(tmp_path: Path) -> None:
    """A frozen graph defines no ops; the definitions of those that it uses, in functions too, are added."""
    parts = graph_parts(tmp_path, simple_graph())
    ops = {op.name for op in proto_of(parts).meta_info_def.stripped_op_list.op}
    assert ops == {"Placeholder", "Const", "AddV2", "Tanh"}
    graph = read_graph(meta_graph_of(parts))
    assert [str(tensor.dtype) for tensor in graph.tensors()] == ["float32"] * 4
    model = add_signature(open_parts(parts), "serving_default", {"x": "x:0"}, {"y": "y:0"})
    assert str(model.meta_graph().signature("serving_default").outputs["y"].dtype) == "float32"


def test_ops_that_nobody_defines(tmp_path: Path) -> None:
    """An op of somebody's own library is named and stays in the graph; no signature can say the dtype of what it makes.

    A signature with the dtype 0 was written once, which no server answers to.
    """
    graph = simple_graph()
    add_node(graph, "own", "OwnOp", "y")
    add_node(graph, "known", "Identity", "own").attr["T"].type = FLOAT
    parts = graph_parts(tmp_path, graph)
    (note,) = parts.notes
    assert "'OwnOp'" in note and "not TensorFlow's own" in note and "half" not in note
    with pytest.raises(EditError, match="dtype of 'own:0' can't be told, because nothing here defines the op 'OwnOp'"):
        add_signature(open_parts(parts), "serving_default", {"x": "x:0"}, {"a": "own:0", "b": "known:0"})
    model = add_signature(open_parts(parts), "serving_default", {"x": "x:0"}, {"b": "known:0"})
    assert model.meta_graph().signature("serving_default").outputs["b"].dtype.number == FLOAT


def test_a_placeholder_without_a_shape_in_an_old_graph(tmp_path: Path) -> None:
    """Up to version 21 of GraphDef an empty shape means an unknown one; a signature said scalar once."""
    for producer, dims in ((21, None), (22, ())):
        graph = simple_graph()
        next(node for node in graph.node if node.name == "x").attr["shape"].shape.Clear()
        graph.versions.producer = producer
        model = add_signature(open_parts(graph_parts(tmp_path, graph)), "serving_default", {"x": "x:0"}, {"y": "y:0"})
        assert model.meta_graph().signature("serving_default").inputs["x"].shape.dims == dims


def test_definitions_in_the_table() -> None:
    """Every entry of the table is an OpDef under its own name; the ops of old graphs are among them."""
    for name, data in op_table().items():
        assert message_class("tensorflow.OpDef").FromString(data).name == name  # type: ignore[attr-defined]
    assert {"VariableV2", "Variable", "Enter", "Concat", "RestoreSlice", "BatchMatMul", "LookupTableFind"} <= set(
        op_table()
    )


def test_a_graph_in_text_form(tmp_path: Path) -> None:
    """Told by its content, it becomes the same model as the binary form."""
    from google.protobuf import text_format

    binary = proto_of(graph_parts(tmp_path, simple_graph()))
    text = b"# a comment\n" + text_format.MessageToString(simple_graph()).encode()
    assert proto_of(graph_parts(tmp_path, text)) == binary


def test_what_text_cannot_carry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown fields, faults with their place, braces that would end the graph, and too long a text are refused."""
    node = b'node { name: "x" op: "NoOp" }\n'
    for text, words in (
        (node + b"of_later: 3", "fields that this version doesn't know"),
        (node + b"node { name: 3 }", "line 2, column 14"),
        (node + b"}} meta_graphs {", "no text form of a GraphDef"),
        (node + b'node { name: "\xff" }', "not UTF-8"),
    ):
        with pytest.raises(ConversionError, match=words):
            graph_parts(tmp_path, text)
    monkeypatch.setattr(graph_file, "LARGEST_TEXT", 10)
    with pytest.raises(ExplorerError, match="of more than 10 bytes is not read"):
        graph_parts(tmp_path, node)


def test_a_graph_whose_fields_stand_in_another_order(tmp_path: Path) -> None:
    """Versions and library before the nodes make it no other graph."""
    graph = simple_graph()
    versions, nodes = message("GraphDef"), message("GraphDef")
    versions.versions.CopyFrom(graph.versions)
    versions.library.CopyFrom(graph.library)
    nodes.node.extend(graph.node)
    parts = graph_parts(tmp_path, serialized(versions) + serialized(nodes))
    assert proto_of(parts).graph_def == graph


def saved_model_bytes() -> bytes:
    """A SavedModel with the simple graph."""
    model = message("SavedModel")
    model.saved_model_schema_version = 1
    model.meta_graphs.add().graph_def.CopyFrom(simple_graph())
    model.meta_graphs[0].meta_info_def.tags.append("serve")
    return serialized(model)


def meta_bytes() -> bytes:
    """A MetaGraphDef with the simple graph."""
    meta = message("MetaGraphDef")
    meta.meta_info_def.tensorflow_version = "1.15.0"
    meta.graph_def.CopyFrom(simple_graph())
    return serialized(meta)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (saved_model_bytes, "is a SavedModel already: open the folder"),
        (meta_bytes, r"is a MetaGraphDef .* convert the checkpoint that lies beside it, 'graph.pb'"),
        (lambda: b'meta_info_def { tags: "a" }', r"is a MetaGraphDef"),
        (lambda: serialized(simple_graph())[:-9], "cut off or damaged"),
        (lambda: serialized(message("GraphDef")) + encode_field(4, encode_field(1, 3)), "protobuf message"),
        (lambda: b"", "is an empty file"),
        (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "Git LFS pointer"),
        (lambda: b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "HDF5"),
        (lambda: b"nonsense" * 9, "protobuf"),
    ],
)
def test_what_is_no_graph(tmp_path: Path, content: Callable[[], bytes], words: str) -> None:
    """One sentence says what the file is instead."""
    with pytest.raises(ConversionError, match=words) as told:
        graph_parts(tmp_path, content())
    assert "'" + str(tmp_path / "graph.pb") + "'" in str(told.value) and "\n" not in str(told.value)


def test_a_graph_for_no_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be longer than protobuf reads is refused before it is written."""
    monkeypatch.setattr(graph_file, "_LARGEST_MESSAGE", 100)
    with pytest.raises(ConversionError, match="2 GiB"):
        graph_parts(tmp_path, simple_graph())


def test_devices_are_told(tmp_path: Path) -> None:
    """Nodes of functions count, the most used device stands first, and a graph without devices has no note."""
    graph = simple_graph()
    assert device_notes(meta_graph_of(graph_parts(tmp_path, graph))) == (
        "one node is placed on devices of the machine that made the graph: '/device:GPU:1'",
    )
    for node in graph.node:
        node.device = "/job:worker/task:3"
    (note,) = device_notes(meta_graph_of(graph_parts(tmp_path, graph)))
    assert note.startswith("5 nodes are placed") and note.endswith("'/job:worker/task:3', '/device:GPU:1'")
    del graph.library.function[:]
    for node in graph.node:
        node.device = ""
    assert device_notes(meta_graph_of(graph_parts(tmp_path, graph))) == ()


def add_table(graph: Any, name: str, path: str = "", *, dtype_op: str = "HashTableV2") -> None:
    """Adds a table that a file fills."""
    add_node(graph, name, dtype_op)
    add_node(graph, f"{name}/path", "Const" if path else "Placeholder", dtype=STRING, texts=(path,) if path else ())
    add_node(graph, f"{name}/init", "InitializeTableFromTextFileV2", name, f"{name}/path")


def test_tables_of_a_frozen_graph(tmp_path: Path) -> None:
    """A graph has no collections: what fills a table is told by its op, and runs when the model is loaded."""
    graph = simple_graph()
    for name, table in (("fixed", "HashTableV2"), ("grows", "MutableHashTableV2")):
        add_node(graph, name, table)
        add_node(graph, f"{name}/keys", "Const", dtype=STRING, texts=("a",))
        add_node(graph, f"{name}/values", "Const", dtype=STRING, texts=("b",))
        add_node(graph, f"{name}/import", "LookupTableImportV2", name, f"{name}/keys", f"{name}/values")
    add_node(graph, "old", "HashTable")
    add_node(graph, "old/init", "InitializeTable", "old", "fixed/keys", "fixed/values")
    found = proto_of(graph_parts(tmp_path, graph))
    op = found.graph_def.node[-1]
    assert (op.op, list(op.input)) == ("NoOp", ["^fixed/import", "^old/init"])
    assert list(found.collection_def["saved_model_main_op"].node_list.value) == [op.name]
    assert found.signature_def[INIT].outputs[INIT].name == op.name
    assert "NoOp" in [one.name for one in found.meta_info_def.stripped_op_list.op]


def test_files_of_tables_become_assets(tmp_path: Path) -> None:
    """A file of that name beside the graph is taken; the path in the graph is never read."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "words.txt").write_text("not this one")
    (tmp_path / "words.txt").write_text("a\nb\n")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "labels.txt").write_text("c\n")
    graph = simple_graph()
    for name, path in (
        ("words", str(tmp_path / "there" / "words.txt")),
        ("labels", r"C:\data\labels.txt"),
        ("missing", "/data/missing.txt"),
        ("unsafe", "/data/.."),
        ("computed", ""),
        ("twice_a", "/a/same.txt"),
        ("twice_b", "/b/same.txt"),
    ):
        add_table(graph, name, path)
    (tmp_path / "same.txt").write_text("d\n")
    parts = graph_parts(tmp_path, graph)
    assert parts.files == {
        "assets/words.txt": tmp_path / "words.txt",
        "assets/labels.txt": tmp_path / "assets" / "labels.txt",
    }
    assert [(one.filename, one.tensor_name) for one in read_assets(meta_graph_of(parts))] == [
        ("words.txt", "words/path:0"),
        ("labels.txt", "labels/path:0"),
    ]
    notes = {
        name: note
        for note in parts.notes
        for name in ("words", "labels", "missing", "unsafe", "computed")
        if f"table '{name}'" in note
    }
    assert "becomes an asset" in notes["words"] and "becomes an asset" in notes["labels"]
    assert "put 'missing.txt' beside the source" in notes["missing"]
    assert "'/data/..'" in notes["unsafe"]
    assert "whose path the graph computes" in notes["computed"]
    assert sum("another file of the same name" in note for note in parts.notes) == 2
    assert any("'computed/init' can't run when the model is loaded" in note for note in parts.notes)


def test_texts_of_constants(tmp_path: Path) -> None:
    """The last value repeats where fewer are stored than the shape says; what is computed has no text."""
    graph = simple_graph()
    node = add_node(graph, "texts", "Const", dtype=STRING, texts=("a", "b"))
    node.attr["value"].tensor.tensor_shape.dim[0].size = 4
    add_node(graph, "passed", "Identity", "texts")
    huge = add_node(graph, "huge", "Const", dtype=STRING, texts=("a",))
    huge.attr["value"].tensor.tensor_shape.dim[0].size = 1 << 60
    found = read_graph(meta_graph_of(graph_parts(tmp_path, graph)))
    assert constant_texts(found, "passed:0") == ("a", "b", "b", "b")
    assert constant_texts(found, "huge") is None
    assert constant_texts(found, "sum") is None
    assert constant_texts(found, "nowhere") is None


class Checkpoint:
    """A checkpoint of two variables and its MetaGraphDef, which a test changes before it is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tensors = {b"w": (FLOAT, (2, 3)), b"part": (FLOAT, (4,))}
        self.meta = message("MetaGraphDef")
        self.meta.meta_info_def.tensorflow_version = "1.15.0"
        graph = self.graph = self.meta.graph_def
        add_node(graph, "x", "Placeholder", dtype=FLOAT)
        for name, sizes in (("w", (2, 3)), ("part/part_0", (2,)), ("part/part_1", (2,))):
            self.variable(name, sizes)
        add_node(graph, "y", "MatMul", "x", "w/read").attr["T"].type = FLOAT
        add_node(graph, "save/Const", "Const", dtype=STRING, texts=("model",))
        self.names = add_node(graph, "save/names", "Const", dtype=STRING, texts=("w", "part", "part"))
        self.slices = add_node(graph, "save/slices", "Const", dtype=STRING, texts=("", "4 0,2", "4 2,2"))
        self.restore = add_node(graph, "save/RestoreV2", "RestoreV2", "save/Const", "save/names", "save/slices")
        self.restore.attr["dtypes"].list.type.extend([FLOAT] * 3)
        for number, name in enumerate(("w", "part/part_0", "part/part_1")):
            add_node(graph, f"save/Assign_{number}", "Assign", name, f"save/RestoreV2:{number}")
        add_node(graph, "save/restore_all", "NoOp", *[f"^save/Assign_{number}" for number in range(3)])
        self.meta.saver_def.filename_tensor_name = "save/Const:0"
        self.meta.saver_def.restore_op_name = "save/restore_all"
        self.meta.saver_def.save_tensor_name = "save/Const:0"

    def variable(self, name: str, sizes: tuple[int, ...]) -> None:
        """Adds a variable and the op that reads it."""
        node = add_node(self.graph, name, "VariableV2", dtype=FLOAT)
        node.attr["shape"].shape.SetInParent()
        for size in sizes:
            node.attr["shape"].shape.dim.add().size = size
        add_node(self.graph, f"{name}/read", "Identity", name).attr["T"].type = FLOAT

    def collect(self, name: str, *ops: str) -> None:
        """Adds ops to a collection."""
        self.meta.collection_def[name].node_list.value.extend(ops)

    def write(self) -> Source:
        """Writes the files, and says what they are."""
        tensors = []
        for name, (dtype, sizes) in self.tensors.items():
            count = 1
            for size in sizes:
                count *= size
            tensors.append(BundleTensor(name, dtype, sizes, bytes_content(bytes(4 * count))))
        index, write_data = bundle_content(tensors)
        (self.folder / "m.ckpt-7.index").write_bytes(index)
        with open(self.folder / "m.ckpt-7.data-00000-of-00001", "wb") as file:
            write_data(file)
        (self.folder / "m.ckpt-7.data-00000-of-00002").write_bytes(b"of an earlier checkpoint")
        (self.folder / "m.ckpt-7.meta").write_bytes(serialized(self.meta))
        return find_source(self.folder / "m.ckpt-7")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A checkpoint that nobody changed yet."""
    return Checkpoint(tmp_path)


def test_a_meta_file_stays_what_it_is(checkpoint: Checkpoint) -> None:
    """It gets a tag and the definitions of its ops; the files of the checkpoint are linked to, no others."""
    source = checkpoint.write()
    assert source.kind == TF1_CHECKPOINT
    parts = parts_of_checkpoint(source)
    assert parts.files == {
        "variables/variables.index": checkpoint.folder / "m.ckpt-7.index",
        "variables/variables.data-00000-of-00001": checkpoint.folder / "m.ckpt-7.data-00000-of-00001",
    }
    assert parts.notes == ()
    found = proto_of(parts)
    ops = {op.name for op in found.meta_info_def.stripped_op_list.op}
    assert ops == {node.op for node in checkpoint.graph.node}
    found.meta_info_def.ClearField("stripped_op_list")
    found.meta_info_def.ClearField("tags")
    assert found == checkpoint.meta
    assert open_parts(parts).meta_graph().tags == {"serve"}


def test_tags_and_signatures_of_a_meta_file(checkpoint: Checkpoint) -> None:
    """Signatures stay; other tags give way to the one that servers ask for, which a note says."""
    checkpoint.meta.meta_info_def.tags.extend(["train", "gpu"])
    checkpoint.meta.signature_def["own"].outputs["y"].name = "y:0"
    checkpoint.meta.meta_info_def.stripped_op_list.op.add(name="NoOp").summary = "its own definition"
    parts = parts_of_checkpoint(checkpoint.write())
    found = proto_of(parts)
    assert list(found.meta_info_def.tags) == ["serve"]
    assert found.signature_def["own"].outputs["y"].name == "y:0"
    no_ops = [op for op in found.meta_info_def.stripped_op_list.op if op.name == "NoOp"]
    assert [op.summary for op in no_ops] == ["its own definition"]
    assert parts.notes[0] == "its tags 'gpu', 'train' gave way to 'serve', which servers ask for"


def test_the_meta_file_of_another_checkpoint(checkpoint: Checkpoint) -> None:
    """A key that isn't there, and another dtype or shape, is named with what the checkpoint holds."""
    for tensors, words in (
        ({b"w": (FLOAT, (2, 3)), b"parts": (FLOAT, (4,))}, r"'part' \(float32\) \(and 1 more\).* holds 'parts', 'w'"),
        ({b"w": (3, (2, 3)), b"part": (FLOAT, (4,))}, r"'w' as float32, .* as int32\[2, 3\]"),
        ({b"w": (FLOAT, (2, 3)), b"part": (FLOAT, (5,))}, r"'part' as a part of float32\[4\], .* as float32\[5\]"),
        ({b"w": (FLOAT, (2, 4)), b"part": (FLOAT, (4,))}, r"'w' of the graph is float32\[2, 3\], and 'm.ckpt-7' holds"),
    ):  # fmt: skip
        checkpoint.tensors = tensors
        with pytest.raises(ConversionError, match=words) as told:
            parts_of_checkpoint(checkpoint.write())
        assert told.value.needs == ("graph",)


def test_files_that_are_missing(checkpoint: Checkpoint) -> None:
    """A data file, the index, the graph in the ``.meta``, the ``.meta`` itself: each is named."""
    source = checkpoint.write()
    whole = Source(source.path, TF1_CHECKPOINT, "is a checkpoint", graph_file=source.graph_file)
    data = checkpoint.folder / "m.ckpt-7.data-00000-of-00001"
    for given in (whole, None):
        data.rename(data.with_name("aside"))
        with pytest.raises(ConversionError, match=r"put 'm.ckpt-7.data-00000-of-00001' beside the index"):
            parts_of_checkpoint(given or find_source(source.path))
        data.with_name("aside").rename(data)
    assert source.graph_file is not None
    source.graph_file.write_bytes(encode_field(1, encode_field(5, "1.15.0")))
    with pytest.raises(ConversionError, match="has no graph in it"):
        parts_of_checkpoint(whole)
    source.graph_file.write_bytes(b'meta_info_def { tags: "a" }')
    with pytest.raises(ConversionError, match="binary form"):
        parts_of_checkpoint(whole)
    with pytest.raises(ConversionError, match=r"has no \.meta") as told:
        parts_of_checkpoint(Source(source.path, TF1_CHECKPOINT, "is a checkpoint"))
    assert told.value.needs == ("graph",)
    (checkpoint.folder / "m.ckpt-7.index").unlink()
    with pytest.raises(ConversionError, match=r"'m.ckpt-7.index' is missing"):
        parts_of_checkpoint(whole)


def no_saver(checkpoint: Checkpoint) -> None:
    """Takes the saver away."""
    checkpoint.meta.ClearField("saver_def")


def lost_op(checkpoint: Checkpoint) -> None:
    """Lets the saver name an op that isn't there."""
    checkpoint.meta.saver_def.restore_op_name = "save_2/restore_all"


def old_restore(checkpoint: Checkpoint) -> None:
    """Lets the saver read the old format."""
    checkpoint.restore.op = "RestoreSlice"


@pytest.mark.parametrize(
    ("change", "words"),
    [(no_saver, "has no saver"), (lost_op, "'save_2/restore_all' isn't in"), (old_restore, "the old format alone")],
)
def test_a_saver_that_loaders_cannot_use(
    checkpoint: Checkpoint, change: Callable[[Checkpoint], None], words: str
) -> None:
    """Another one is added, which restores the same values, parts of a variable too; a note says so."""
    change(checkpoint)
    parts = parts_of_checkpoint(checkpoint.write())
    assert words in parts.notes[0] and "one was added that restores 3 variables" in parts.notes[0]
    found = proto_of(parts)
    nodes = {node.name: node for node in found.graph_def.node}
    assert found.saver_def.restore_op_name in nodes and found.saver_def.restore_op_name.startswith("save_1/")
    assert nodes["save_1/RestoreV2/tensor_names"].attr["value"].tensor.string_val == [b"w", b"part", b"part"]
    ops = {op.name for op in found.meta_info_def.stripped_op_list.op}
    assert {"SaveV2", "RestoreV2", "Assign"} <= ops


def test_keys_that_the_graph_computes(checkpoint: Checkpoint) -> None:
    """A saver whose keys aren't constants is believed."""
    checkpoint.names.op = "Identity"
    checkpoint.names.input.append("somewhere")
    checkpoint.tensors = {b"other": (FLOAT, (1,))}
    assert proto_of(parts_of_checkpoint(checkpoint.write())).saver_def == checkpoint.meta.saver_def


def test_what_runs_when_a_checkpoint_is_loaded(checkpoint: Checkpoint) -> None:
    """Tables and local variables; not the input pipeline of the training, nor what waits for a placeholder."""
    graph = checkpoint.graph
    add_node(graph, "table/init", "SomeInitializer")
    add_node(graph, "MakeIterator", "MakeIterator")
    add_node(graph, "waits/Assign", "Assign", "waits", "x")
    add_node(graph, "initialize_on_load", "NoOp")
    checkpoint.variable("local", ())
    checkpoint.variable("waits", ())
    checkpoint.variable("forgotten", ())
    add_node(graph, "local/Assign", "Assign", "local", "w/read")
    add_node(graph, "answer", "Pack", "y", "local/read", "waits/read", "forgotten/read")
    checkpoint.collect("table_initializer", "table/init", "MakeIterator", "gone")
    for name in ("local", "waits", "w"):
        local = message("VariableDef")
        local.variable_name, local.initializer_name = f"{name}:0", f"{name}/Assign"
        checkpoint.meta.collection_def["local_variables"].bytes_list.value.append(serialized(local))
    parts = parts_of_checkpoint(checkpoint.write())
    node = proto_of(parts).graph_def.node[-1]
    assert (node.name, list(node.input)) == ("initialize_on_load_1", ["^table/init", "^local/Assign"])
    notes = " | ".join(parts.notes)
    assert "no value for 'waits', 'forgotten'" in notes
    assert "('MakeIterator') isn't started" in notes
    assert "'waits/Assign' can't run" in notes


@pytest.mark.parametrize("collection", ["saved_model_main_op", "legacy_init_op"])
def test_an_op_that_initializes_already(checkpoint: Checkpoint, collection: str) -> None:
    """What a ``.meta`` says about it stays as it is."""
    add_node(checkpoint.graph, "table/init", "InitializeTableV2")
    checkpoint.collect("table_initializer", "table/init")
    checkpoint.collect(collection, "table/init")
    found = proto_of(parts_of_checkpoint(checkpoint.write()))
    assert INIT not in found.signature_def
    assert found.graph_def == checkpoint.graph


def test_assets_that_a_meta_file_lists(checkpoint: Checkpoint) -> None:
    """They are found beside the checkpoint or named as missing, wherever they are listed; new ones come to them."""
    for name in ("known.txt", "new.txt"):
        (checkpoint.folder / name).write_text("a\n")
    for table in ("known", "gone", "new"):
        add_table(checkpoint.graph, table, f"/data/{table}.txt")
    any_list = checkpoint.meta.collection_def["saved_model_assets"].any_list
    for name in ("known", "gone"):
        asset = message("AssetFileDef")
        asset.filename, asset.tensor_info.name = f"{name}.txt", f"{name}/path:0"
        packed = any_list.value.add()
        packed.type_url, packed.value = "type.googleapis.com/tensorflow.AssetFileDef", serialized(asset)
    parts = parts_of_checkpoint(checkpoint.write())
    assert {name for name in parts.files if name.startswith("assets/")} == {"assets/known.txt", "assets/new.txt"}
    assert [one.filename for one in read_assets(meta_graph_of(parts))] == ["known.txt", "gone.txt", "new.txt"]
    assert any("needs the asset 'gone.txt'" in note for note in parts.notes)


def test_damaged_files_end_in_a_sentence(checkpoint: Checkpoint) -> None:
    """Whatever happens to the bytes of a graph, a ``.meta`` or an index, it is converted or refused in one line."""
    chance = random.Random(5)
    source = checkpoint.write()
    whole = Source(source.path, TF1_CHECKPOINT, "is a checkpoint", graph_file=source.graph_file)
    graph = checkpoint.folder / "graph.pb"
    graph.write_bytes(serialized(simple_graph()))
    files = (graph, checkpoint.folder / "m.ckpt-7.meta", checkpoint.folder / "m.ckpt-7.index")
    refused = 0
    for turn in range(300):
        file = files[turn % 3]
        before = file.read_bytes()
        data = bytearray(before)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        file.write_bytes(data[: chance.choice([len(data), len(data), chance.randrange(len(data))])])
        try:
            parts = parts_of_graph(graph) if file is graph else parts_of_checkpoint(whole)
            device_notes(meta_graph_of(parts))
        except ExplorerError as error:
            refused += 1
            assert "\n" not in str(error)
        file.write_bytes(before)
    assert 100 < refused < 300
