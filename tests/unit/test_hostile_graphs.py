"""Small graphs and checkpoints that are made to keep a reader busy, to fill its memory, or to lead it elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import source_mutations as mutations

from explorer.converting import kinds
from explorer.converting.bundle import BundleTensor, bytes_content
from explorer.converting.object_matching import Side, matches
from explorer.converting.object_trees import VALUE, Attribute, ObjectTree
from explorer.converting.source import find_source
from explorer.converting.v1_checkpoint import read_v1
from explorer.runtime.convert import open_source
from explorer.savedmodel.table_writer import write_table
from explorer.savedmodel.wire import encode_field as field


def attribute(name: str, value: bytes) -> bytes:
    """An attribute of a node."""
    return field(5, field(1, name) + field(2, value))


def dtype(number: int, name: str = "T") -> bytes:
    """An attribute that is a dtype."""
    return attribute(name, field(6, number))


def node(name: str, op: str, inputs: tuple[str, ...] = (), *attributes: bytes) -> bytes:
    """A node of a GraphDef."""
    edges = b"".join(field(3, edge) for edge in inputs)
    return field(1, field(1, name) + field(2, op) + edges + b"".join(attributes))


def inner(name: str, op: str, *attributes: bytes) -> bytes:
    """A node of a function that takes its argument."""
    return field(3, field(1, name) + field(2, op) + field(3, "a") + b"".join(attributes))


def function(name: str, *nodes: bytes) -> bytes:
    """A function of the library, from a float to a float."""
    signature = field(1, name) + field(2, field(1, "a") + field(3, 1)) + field(3, field(1, "b") + field(3, 1))
    return field(1, field(1, signature) + b"".join(nodes) + field(4, field(1, "b") + field(2, "n:output:0")))


def called(name: str) -> bytes:
    """The attributes of a call of a function."""
    one = field(1, field(6, 1))
    return attribute("Tin", one) + attribute("Tout", one) + attribute("f", field(10, field(1, name)))


def text(name: str, value: str) -> bytes:
    """A constant text."""
    return node(name, "Const", (), dtype(7, "dtype"), attribute("value", field(8, field(1, 7) + field(8, value))))


X = node("x", "Placeholder", (), dtype(1, "dtype"))
ANSWER = node("answer", "Softmax", ("x",), dtype(1))
FLOAT = dtype(1)
LARGE = field(2, field(2, field(1, 1 << 40)))
"""The shape of a constant."""
SPLIT = attribute("num_split", field(3, 9000))


def table(number: int, path: str) -> bytes:
    """A table that is filled from a file when the model is loaded."""
    return (
        node(f"t{number}", "HashTableV2", (), dtype(7, "key_dtype"), dtype(9, "value_dtype"))
        + text(f"path{number}", path)
        + node(f"init{number}", "InitializeTableFromTextFileV2", (f"t{number}", f"path{number}"))
    )


def nested(depth: int) -> bytes:
    """An attribute that is a function with an attribute that is a function …"""
    value = field(3, 1)
    for _ in range(depth):
        value = field(10, field(1, "f") + field(2, field(1, "k") + field(2, value)))
    return attribute("f", value)


def shape(*sizes: int) -> bytes:
    """An attribute that is a shape."""
    return attribute("shape", field(7, b"".join(field(2, field(1, size)) for size in sizes)))


GRAPHS: dict[str, Callable[[], bytes]] = {
    "a node that takes itself": lambda: X + node("y", "Add", ("x", "y"), FLOAT),
    "a circle": lambda: X + node("a", "Add", ("x", "b"), FLOAT) + node("b", "Neg", ("a",), FLOAT) + ANSWER,
    "a long chain": lambda: X
    + b"".join(node(f"n{number}", "Neg", (f"n{number - 1}" if number else "x",), FLOAT) for number in range(20_000)),
    "doubled paths": lambda: X
    + node("n0", "Add", ("x", "x"), FLOAT)
    + b"".join(node(f"n{number}", "Add", (f"n{number - 1}",) * 2, FLOAT) for number in range(1, 2000)),
    "a function that calls itself": lambda: X
    + node("y", "PartitionedCall", ("x",), called("f"))
    + field(2, function("f", inner("n", "PartitionedCall", called("f")))),
    "functions that call each other": lambda: X
    + node("y", "PartitionedCall", ("x",), called("f"))
    + field(2, function("f", inner("n", "PartitionedCall", called("g"))))
    + field(2, function("g", inner("n", "PartitionedCall", called("f")))),
    "calls that double": lambda: X
    + node("y", "PartitionedCall", ("x",), called("f0"))
    + field(
        2,
        b"".join(
            function(
                f"f{number}",
                inner("m", "PartitionedCall", called(f"f{number + 1}")),
                inner("n", "PartitionedCall", called(f"f{number + 1}")),
            )
            for number in range(100)
        ),
    ),
    "a function that isn't there": lambda: X + node("y", "PartitionedCall", ("x",), called("gone")),
    "inputs that aren't there": lambda: X + node("y", "Add", ("x", "gone:7"), FLOAT) + ANSWER,
    "one name twice": lambda: X + X + ANSWER + node("x", "Neg", ("x",), FLOAT),
    "names that are empty": lambda: node("", "Placeholder", (), dtype(1, "dtype")) + node("", "Softmax", ("",), FLOAT),
    "a gigantic shape": lambda: node("x", "Placeholder", (), dtype(1, "dtype"), shape(*[1 << 62] * 300)) + ANSWER,
    "a constant that says it is larger": lambda: X
    + node("c", "Const", (), dtype(1, "dtype"), attribute("value", field(8, field(1, 1) + LARGE)))
    + node("y", "Mul", ("x", "c"), FLOAT),
    "keep_prob of a gigantic shape": lambda: X
    + node("keep_prob", "Placeholder", (), dtype(1, "dtype"), shape(1 << 40))
    + node("y", "Mul", ("x", "keep_prob"), FLOAT),
    "outputs without end": lambda: X + node("s", "Split", ("x", "x"), FLOAT, attribute("num_split", field(3, 1 << 40))),
    "many outputs of many nodes": lambda: X
    + b"".join(node(f"s{one}", "Split", ("x", "x"), FLOAT, SPLIT) for one in range(500)),
    "an output far out": lambda: X + node("output", "Foo", ("x",)) + node("z", "Neg", ("output:900000000",), FLOAT),
    "pipelines with many outputs": lambda: ANSWER
    + X
    + node("q", "IteratorGetNext", (), attribute("output_types", field(1, field(6, b"\1" * 1_000_000)))),
    "one sum of everything": lambda: b""
    + b"".join(node(f"p{one}", "Placeholder", (), dtype(1, "dtype")) for one in range(1000))
    + node("y", "AddV2", (*(f"p{one}" for one in range(1000)), *("p0",) * 100_000), FLOAT),
    "a consumer of everything": lambda: X
    + b"".join(node(f"output_{one}", "Foo", ("x",)) for one in range(200))
    + node("z", "Neg", tuple(f"output_{one % 200}:1" for one in range(100_000)), FLOAT),
    "tables without end": lambda: X + ANSWER + b"".join(table(one, f"/data/{one}.txt") for one in range(3000)),
    "tables from one long path": lambda: X
    + ANSWER
    + text("path", "v" * 200_000)
    + b"".join(node(f"i{one}", "InitializeTableFromTextFileV2", (f"t{one}", "path")) for one in range(5000)),
    "attributes in attributes": lambda: X + node("y", "Softmax", ("x",), FLOAT, nested(1000)),
    "groups in groups": lambda: X + b"\x0b" * 50_000 + b"\x0c" * 50_000,
    "a name that is too long": lambda: X + node("y" * 1_000_000, "Softmax", ("x",), FLOAT),
    "text in text": lambda: b'node { name: "x" op: "Placeholder" } ' + b"library { function { " * 20_000,
    "text with an endless number": lambda: b'node { name: "x" op: "Placeholder" attr { key: "d" value { i: %s } } }'
    % (b"9" * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_that_are_made_to_take_long(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is converted or refused in one sentence, after work that its size bounds."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("graph.pbtxt" if name.startswith("text") else "graph.pb")
    path.write_bytes(GRAPHS[name]())
    with mutations.watched(tmp_path), mutations.bounded():
        mutations.sentence_of(lambda: find_source(path))
        mutations.sentence_of(lambda: open_source(path))


def test_paths_in_a_graph_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table's file is looked for beside the graph by its bare name: no path is followed, and no link out of there."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (tmp_path / "canary").write_text("secret\n")
    (folder / "link").symlink_to(tmp_path / "canary")
    (folder / "words.txt").write_text("one\n")
    paths = (
        "/etc/passwd",
        "../canary",
        "..",
        ".",
        "/",
        "a\0b",
        "file:///etc/passwd",
        "link",
        "gs://a/b",
        "/home/me/words.txt",
    )
    (folder / "graph.pb").write_bytes(X + ANSWER + b"".join(table(one, path) for one, path in enumerate(paths)))
    with mutations.watched(folder), mutations.bounded():
        prepared = open_source(folder / "graph.pb")
        assert prepared.model.path is not None
        taken = sorted(os.listdir(prepared.model.path / "assets"))
    assert taken == ["words.txt"]
    for note in prepared.notes:
        mutations.assert_sentence(note)


@pytest.mark.parametrize(
    "target", ["../../canary/m.ckpt", "/etc/passwd", "..", "link/m.ckpt", "", "m.ckpt/..", "a\\0b"]
)
def test_a_state_file_leads_nowhere(target: str, tmp_path: Path) -> None:
    """The file ``checkpoint`` names the latest one in its own folder, whatever path stands in it."""
    folder, canary = tmp_path / "folder", tmp_path / "canary"
    folder.mkdir()
    canary.mkdir()
    for name in ("m.ckpt.index", "m.ckpt.data-00000-of-00001"):
        (canary / name).write_bytes(b"secret")
    (folder / "link").symlink_to(canary)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{target}"\n')
    # Folders below that hold versions of a model are hinted at, links to folders among them.
    with mutations.watched(folder, lists_folders=True), mutations.bounded():
        said = mutations.sentence_of(lambda: open_source(folder))
    assert said and "secret" not in said


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A pipe would never end: it is refused by what it is, as a source and among the files of a checkpoint."""
    for name in ("graph.pb", "m.ckpt.index", "m.keras", "pipe"):
        os.mkfifo(tmp_path / name)
    for name in ("graph.pb", "m.ckpt.index", "m.ckpt", "m.keras", "pipe", ""):
        with mutations.bounded():
            said = mutations.sentence_of(lambda name=name: open_source(tmp_path / name, consent=True))
        assert said, name


def test_an_old_checkpoint_with_slices_without_end(tmp_path: Path) -> None:
    """A file that says one tensor is stored in 20,000 slices is read in time that grows with its size alone."""
    count = 20_000
    listed = field(1, field(1, field(1, "w") + field(2, field(2, field(1, count))) + field(3, 1)))
    slices = b"".join(
        field(2, field(1, "w") + field(2, field(1, field(1, start) + field(2, 1))) + field(3, field(5, b"\0" * 4)))
        for start in range(count)
    )
    (tmp_path / "m.ckpt").write_bytes(write_table([(b"", listed), (b"k", slices)]))
    with mutations.bounded():
        assert find_source(tmp_path / "m.ckpt").kind == kinds.V1_CHECKPOINT_NO_GRAPH
        assert len(read_v1([tmp_path / "m.ckpt"])["w"].slices) == count


def test_objects_without_end() -> None:
    """Chains and circles of objects, and names that count to 5,000, are matched in bounded work and memory."""
    count = 5000
    value = bytes_content(b"\0" * 4)
    tensors = {b"v": BundleTensor(b"v", 1, (), value)}
    chain = ObjectTree(
        tuple({"next": number + 1} for number in range(count - 1)) + ({"next": 0},),
        tuple((Attribute(VALUE, f"dense_{number}/kernel", b"v"),) for number in range(count)),
    )
    assert max(len(path) for path in chain.paths().values()) <= 2000
    many = ObjectTree(({"a": 0, "b": 0},), ((Attribute(VALUE, "/".join("s" * 5000), b"v"),) * 1000,))
    with mutations.bounded():
        for ours, theirs in ((chain, chain), (chain, many), (many, chain), (many, many)):
            for found in matches(Side(tensors, ours), Side(tensors, theirs)):
                assert set(found.keys) <= {b"v"}


def test_the_watch_hears(tmp_path: Path) -> None:
    """What these tests rest on: a file outside that is opened, and a framework that is imported, fail them."""
    (tmp_path / "canary").write_text("secret")
    (tmp_path / "folder").mkdir()
    with pytest.raises(AssertionError, match="canary"), mutations.watched(tmp_path / "folder"):
        (tmp_path / "canary").read_text()
    with pytest.raises(AssertionError, match="import of tensorflow"), mutations.watched(tmp_path):
        sys.audit("import", "tensorflow.python", None, None, None, None)
    with pytest.raises(mutations.TooLong), mutations.bounded(0.05):
        while True:
            pass
