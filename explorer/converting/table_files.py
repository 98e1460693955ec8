"""The files that a graph reads to fill its tables: on a machine that serves it they must lie in ``assets/``.

A graph of TensorFlow 1 holds their paths as constants. Loaders feed such a constant with the place of the asset that
``MetaGraphDef.asset_file_def`` pairs with it (``GetAssetTensors`` of ``tensorflow/cc/saved_model/loader.cc``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from explorer.converting.constant_texts import constant_of, constant_texts
from explorer.converting.initializers import TABLE_FILE_OPS
from explorer.errors import quoted
from explorer.savedmodel import wire
from explorer.savedmodel.assets import read_assets
from explorer.savedmodel.constants import ASSETS_FOLDER
from explorer.savedmodel.edges import input_node, split_tensor_name
from explorer.savedmodel.graph import Graph, read_graph
from explorer.savedmodel.object_graph import new_message
from explorer.savedmodel.overlay import Document, apply_changes, insertion_at_end
from explorer.savedmodel.reader import ASSET_FILE_DEF, fields_of, read_document

_LONGEST_PATH: Final = 4096
_SEPARATORS: Final = re.compile(r"[/\\]")


@dataclass(frozen=True, slots=True)
class TableFiles:
    """A SavedModel with the files of its tables as assets, as far as they are there.

    Attributes:
        document: Its bytes.
        files: Name in the model → the file.
        notes: What a person should know of each table and each asset, one sentence each.
    """

    document: Document
    files: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Read:
    """A table, the constant that says which file fills it, and the path in that."""

    table: str
    constant: str | None
    path: str

    @property
    def name(self) -> str:
        return _SEPARATORS.split(self.path)[-1]


def add_table_files(document: Document, folder: Path) -> TableFiles:
    """Makes an asset of each file that fills a table and lies beside the source.

    The path in the graph is that of the machine that made it; nothing is ever read there.

    Args:
        document: The bytes of a SavedModel with one meta graph.
        folder: The folder of the source, in which files of the same name are looked for.

    Raises:
        FormatError: The graph is corrupt.
    """
    (meta_graph,) = read_document(document).meta_graphs
    known = read_assets(meta_graph)
    files: dict[str, Path] = {}
    notes: list[str] = []
    for asset in known:
        found = _beside(folder, asset.filename)
        if found is None:
            notes.append(
                f"the graph needs the asset {quoted(asset.filename)}, which isn't beside the source: put it there "
                "and convert again"
            )
        else:
            files[f"{ASSETS_FOLDER}/{asset.filename}"] = found
    fed = {split_tensor_name(asset.tensor_name)[0] for asset in known}
    reads = [read for read in _reads(read_graph(meta_graph)) if read.constant not in fed]
    added: dict[str, str] = {}  # constant → file name
    paths: dict[str, set[str]] = {}
    for read in reads:
        paths.setdefault(read.name, set()).add(read.path)
    for read in reads:
        clash = len(paths[read.name]) > 1
        found = None if clash or read.constant is None else _beside(folder, read.name)
        if found is None:
            notes.append(_missing(read, clash))
            continue
        assert read.constant is not None
        added[read.constant] = read.name
        files[f"{ASSETS_FOLDER}/{read.name}"] = found
        notes.append(
            f"the table {quoted(read.table)} is filled from {quoted(read.name)}, which lies beside the source and "
            "becomes an asset"
        )
    if not added:
        return TableFiles(document, files, tuple(notes))
    assert meta_graph.field is not None
    if not fields_of(document, meta_graph.field, ASSET_FILE_DEF):  # then a collection lists those that there were
        added = {split_tensor_name(asset.tensor_name)[0]: asset.filename for asset in known} | added
    written = b"".join(_asset(constant, name) for constant, name in added.items())
    changed = apply_changes(document, [insertion_at_end(meta_graph.field, written)])
    return TableFiles(changed, files, tuple(notes))


def _reads(graph: Graph) -> list[_Read]:
    found: list[_Read] = []
    paths: dict[str, str] = {}  # constant → the path in it; many tables may be filled from one
    for node in graph.nodes.values():
        if node.op in TABLE_FILE_OPS and len(node.inputs) > 1:
            constant = constant_of(graph, node.inputs[1])
            if constant is not None and constant not in paths:
                texts = constant_texts(graph, constant) or ("",)
                paths[constant] = texts[0] if len(texts[0]) <= _LONGEST_PATH else ""
            path = paths.get(constant or "", "")
            found.append(_Read(input_node(node.inputs[0]), constant if path else None, path))
    return found


def _missing(read: _Read, clash: bool) -> str:
    start = f"the table {quoted(read.table)} is filled from"
    if not read.path:
        return f"{start} a file whose path the graph computes: it must be there on every machine that loads the model"
    if clash:
        return (
            f"{start} {quoted(read.path)}, and another table from another file of the same name, so neither becomes an "
            "asset: both paths must be there on every machine that loads the model"
        )
    return (
        f"{start} {quoted(read.path)}, a path of the machine that made the graph: put {quoted(read.name)} beside the "
        "source and convert again, and it becomes an asset"
    )


def _beside(folder: Path, name: str) -> Path | None:
    """A file of a name in a folder, or among the assets in it; a link out of the folder isn't followed.

    The graph chose the name, and what is found becomes a part of the model that others get.
    """
    root = os.path.realpath(folder).rstrip(os.sep) + os.sep
    if name in ("", ".", "..") or "\0" in name or _SEPARATORS.search(name):
        return None
    for place in (folder / name, folder / ASSETS_FOLDER / name):
        try:
            if place.is_file() and os.path.realpath(place).startswith(root):
                return place
        except OSError:  # a name that the file system doesn't take
            return None
    return None


def _asset(constant: str, name: str) -> bytes:
    asset = new_message("AssetFileDef")
    asset.tensor_info.name = f"{constant}:0"
    asset.filename = name
    return wire.encode_field(ASSET_FILE_DEF, asset.SerializeToString(deterministic=True))
