"""Damaged graphs and checkpoints: each is converted or refused in one sentence, in bounded work, and nothing runs."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import source_mutations as mutations

from explorer.converting.source import find_source
from explorer.runtime.convert import open_source
from explorer.savedmodel.checkpoint_index import Variable
from explorer.savedmodel.wire import encode_field as field

ROUNDS = int(os.environ.get("MUTATION_ROUNDS", "1"))
"""How many times the usual number of damaged files is tried."""

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SOURCES = REPOSITORY / "tests" / "fixtures_sources"
CHECKPOINTS = REPOSITORY / "sample_models" / "checkpoints"
Damage = Callable[[bytes, Random], bytes]

TEXT_GRAPH = b"""
# made by hand
node { name: "x" op: "Placeholder" attr { key: "dtype" value { type: DT_FLOAT } }
       attr { key: "shape" value { shape { dim { size: -1 } dim { size: 2 } } } } }
node { name: "w" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
       attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 2 } }
                                            tensor_content: "\\000\\000\\200?\\000\\000\\000@" } } } }
node { name: "softmax" op: "Mul" input: "x" input: "w" attr { key: "T" value { type: DT_FLOAT } } }
library { function { signature { name: "f" input_arg { name: "a" type: DT_FLOAT }
                                 output_arg { name: "b" type: DT_FLOAT } }
                     node_def { name: "n" op: "Neg" input: "a" attr { key: "T" value { type: DT_FLOAT } } }
                     ret { key: "b" value: "n:y:0" } } }
versions { producer: 27 min_consumer: 12 }
"""


@dataclass(frozen=True)
class Seed:
    """A good source, of which one file is damaged.

    Attributes:
        folder: Where its files lie.
        files: Their names, or what is unpacked under a name.
        victim: The one that is damaged.
        start: What somebody gives to ``convert``.
        rounds: How often it is damaged.
        damages: In which ways.
        graph: A graph for a checkpoint that has none.
        architecture: A SavedModel of the same architecture.
    """

    folder: Path
    files: tuple[str, ...]
    victim: str
    start: str
    rounds: int
    damages: tuple[Damage, ...]
    graph: str | None = None
    architecture: Path | None = None


MESSAGE = (mutations.damaged_message, mutations.damaged_message, mutations.damaged_bytes)
TABLE = (mutations.damaged_table, mutations.damaged_table, mutations.damaged_table, mutations.damaged_bytes)
TEXT = (mutations.damaged_bytes,)
NEW = ("iris.ckpt-100.index", "iris.ckpt-100.data-00000-of-00001", "iris.ckpt-100.meta")
OLD = REPOSITORY / "tests" / "fixtures_checkpoints"
PARTS = ("parts_v1.ckpt-00000-of-00002", "parts_v1.ckpt-00001-of-00002")
MODULE = REPOSITORY / "sample_models" / "module" / "1"

SEEDS = {
    "frozen": Seed(CHECKPOINTS, ("iris_frozen.pb",), "iris_frozen.pb", "iris_frozen.pb", 400, MESSAGE),
    "detection": Seed(SOURCES, ("detection.pb",), "detection.pb", "detection.pb", 120, MESSAGE),
    "slim": Seed(SOURCES, ("slim.pb",), "slim.pb", "slim.pb", 400, MESSAGE),
    "text": Seed(SOURCES, ("text.pbtxt",), "text.pbtxt", "text.pbtxt", 400, TEXT),
    "meta": Seed(CHECKPOINTS, NEW, NEW[2], "iris.ckpt-100", 60, MESSAGE),
    "index": Seed(CHECKPOINTS, NEW, NEW[0], "iris.ckpt-100", 160, TABLE),
    "index with a graph": Seed(CHECKPOINTS, NEW, NEW[0], "iris.ckpt-100", 160, TABLE, NEW[2]),
    "old": Seed(OLD, ("dtypes_v1.ckpt",), "dtypes_v1.ckpt", "dtypes_v1.ckpt", 350, TABLE, "graph.pb"),
    "old in parts": Seed(OLD, PARTS, PARTS[0], "parts_v1.ckpt", 300, TABLE, "graph.pb"),
    "objects": Seed(
        MODULE / "variables", ("variables.index", "variables.data-00000-of-00001"), "variables.index", "variables",
        200, TABLE, None, MODULE,
    ),
}  # fmt: skip


def content_of(seed: Seed, name: str) -> bytes:
    """A good file."""
    if name == "text.pbtxt":
        return TEXT_GRAPH
    packed = seed.folder / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.exists() else (seed.folder / name).read_bytes()


def laid_out(seed: Seed, folder: Path) -> None:
    """Copies a good source."""
    for name in seed.files:
        (folder / name).write_bytes(content_of(seed, name))
    if seed.graph == "graph.pb":
        (folder / seed.graph).write_bytes(graph_of(find_source(folder / seed.start).variables))
    if seed.architecture is not None:
        shutil.copytree(seed.architecture, folder / "architecture")


def graph_of(variables: Iterable[Variable]) -> bytes:
    """A GraphDef with these variables and an answer."""
    nodes = []
    for variable in variables:
        shape = field(7, b"".join(field(2, field(1, size)) for size in variable.shape or ()))
        dtype = field(6, variable.dtype_number)
        attributes = field(5, field(1, "dtype") + field(2, dtype)) + field(5, field(1, "shape") + field(2, shape))
        nodes.append(field(1, field(1, variable.name) + field(2, "VariableV2") + attributes))
        attributes = field(5, field(1, "T") + field(2, dtype))
        nodes.append(
            field(1, field(1, f"{variable.name}_read") + field(2, "Identity") + field(3, variable.name) + attributes)
        )
    dtype = field(5, field(1, "dtype") + field(2, field(6, 1)))
    nodes.append(field(1, field(1, "x") + field(2, "Placeholder") + dtype))
    nodes.append(
        field(
            1,
            field(1, "answer") + field(2, "Softmax") + field(3, "x") + field(5, field(1, "T") + field(2, field(6, 1))),
        )
    )
    return b"".join(nodes)


def converted(seed: Seed, folder: Path) -> None:
    """All that is done with a source before it is exported."""
    place = folder / seed.start
    graph = None if seed.graph is None else folder / seed.graph
    architecture = None if seed.architecture is None else folder / "architecture"
    open_source(place, graph=graph, architecture=architecture)


@pytest.mark.parametrize("name", SEEDS)
def test_good_sources_convert(name: str, tmp_path: Path) -> None:
    """Undamaged, each of the sources below is converted: what is refused later is refused for its damage."""
    laid_out(SEEDS[name], tmp_path)
    converted(SEEDS[name], tmp_path)


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_sources(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each damaged file is converted or refused in one sentence; nothing outside is read, and nothing is run."""
    monkeypatch.chdir(tmp_path)  # what is opened relative to an open folder is told without that folder
    seed = SEEDS[name]
    laid_out(seed, tmp_path)
    converted(seed, tmp_path)  # what is imported, is imported now
    good = content_of(seed, seed.victim)
    rejected = 0
    with mutations.small_heap():
        for number in range(ROUNDS * seed.rounds):
            random = Random(f"{name} {number}")
            damage = random.choice(seed.damages)
            (tmp_path / seed.victim).write_bytes(damage(good, random))
            with mutations.watched(tmp_path), mutations.bounded():
                try:
                    rejected += bool(mutations.sentence_of(lambda: converted(seed, tmp_path)))
                except BaseException as error:
                    error.add_note(f"damage {number} of {name!r} by {damage.__name__}")
                    raise
    assert 0 < rejected < ROUNDS * seed.rounds  # some damage is noticed, and some does no harm
