"""What a graph file is: a frozen GraphDef, one with variables, a MetaGraphDef, a SavedModel under another name."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

from explorer.converting import kinds
from explorer.converting.graph_look import (
    GraphLook,
    MetaGraphLook,
    look_at_graph,
    look_at_meta_graph,
    look_at_text_graph,
    name_and_op,
)
from explorer.converting.kinds import Need, Source
from explorer.converting.sizes import printable_size
from explorer.errors import FormatError, listed, printable_name, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.nodes import NODE
from explorer.savedmodel.overlay import Document, FileSource
from explorer.savedmodel.text_format import LARGEST_TEXT

SIGNATURE_NEED: Final = Need(
    kinds.SIGNATURE,
    "a graph has no signatures: say which tensors go in and which come out, or take the best ranked ones",
)

_MOST_FIELDS: Final = 50


def describe_graph(path: Path) -> Source:
    """What a GraphDef in binary form is.

    Args:
        path: The file.

    Raises:
        SourceError: It can't be read.
    """
    source = FileSource(str(path))
    look = look_at_graph(Document.of(source))
    return _graph(path, source.size, look, kinds.FROZEN_GRAPH)


def describe_text_graph(path: Path) -> Source:
    """What a GraphDef in text form is.

    Args:
        path: The file.

    Raises:
        SourceError: It can't be read.
    """
    source = FileSource(str(path))
    found = _graph(path, source.size, look_at_text_graph(Document.of(source)), kinds.FROZEN_GRAPH_TEXT)
    if source.size <= LARGEST_TEXT:
        return found
    return Source(
        found.path, found.kind, found.title, found.files, found.facts,
        problem=f"text of more than {LARGEST_TEXT} bytes is not read; have TensorFlow write the graph in binary form",
        graph_file=path,
    )  # fmt: skip


def describe_meta_graph(path: Path, missing: str) -> Source:
    """What a ``.meta`` file without a checkpoint beside it is.

    Args:
        path: The file.
        missing: Which files of the checkpoint are missing, as it stands in a sentence.

    Raises:
        SourceError: It can't be read.
    """
    look = look_at_meta_graph(Document.of(FileSource(str(path))))
    problem = f"the values of its variables are missing: put {missing} beside it"
    if look.damage:
        problem = f"it is cut off or damaged: {look.damage}"
    title = f"is the graph of a checkpoint (MetaGraphDef) with {look.graph.size}, without the checkpoint"
    return Source(path, kinds.META_GRAPH, title, (path,), meta_graph_facts(look), problem=problem, graph_file=path)


def meta_graph_facts(look: MetaGraphLook) -> tuple[tuple[str, str], ...]:
    """What is worth showing of a MetaGraphDef."""
    rows = _graph_facts(look.graph)
    if look.tensorflow_version:
        rows.append(("TensorFlow version", printable_name(look.tensorflow_version)))
    if look.signatures:
        rows.append(("Signatures", str(look.signatures)))
    return tuple(rows)


def is_cut_graph(path: Path) -> bool:
    """Whether a file begins as a GraphDef does and ends in the middle of something.

    Raises:
        SourceError: It can't be read.
    """
    document = Document.of(FileSource(str(path)))
    try:
        first = next(wire.scan(document), None)
        if first is None or first.number != NODE or first.wire_type != wire.LENGTH:
            return False
        name, op = name_and_op(document, first)
    except FormatError:
        return False
    return bool(name) and op.isidentifier() and bool(look_at_graph(document).damage)


def is_saved_model(path: Path) -> bool:
    """Whether a file holds a SavedModel, whatever it is called: a version, and a meta graph with tags or an op list.

    Raises:
        SourceError: It can't be read.
    """
    document = Document.of(FileSource(str(path)))
    try:
        fields = list(itertools.islice(wire.scan(document), _MOST_FIELDS))
        graphs = [field for field in fields if field.number == 2 and field.wire_type == wire.LENGTH]
        others = {(field.number, field.wire_type) for field in fields} - {(1, wire.VARINT), (2, wire.LENGTH)}
        if not graphs or others:
            return False
        numbers = {field.number for field in itertools.islice(wire.scan(document, graphs[0]), _MOST_FIELDS)}
    except FormatError:
        return False
    return bool({1, 2} & numbers) and numbers <= set(range(1, 8))


def _graph(path: Path, size_bytes: int, look: GraphLook, kind: str) -> Source:
    facts = (("Size", printable_size(size_bytes)), *_graph_facts(look))
    text = " in text form" if kind == kinds.FROZEN_GRAPH_TEXT else ""
    problem = f"it is cut off or damaged: {look.damage}" if look.damage else ""
    if not look.nodes and not problem:
        problem = "a graph without nodes computes nothing"
    if look.variables:
        title = f"is a graph (GraphDef){text} with {look.size}, {look.variables} of them variables"
        sentence = (
            "its variables have their values in a checkpoint: convert the checkpoint and give this file as its graph, "
            "or freeze the graph first"
        )
        need = Need(kinds.CHECKPOINT, sentence)
        return Source(path, kinds.VARIABLE_GRAPH, title, (path,), facts, (need,), problem=problem, graph_file=path)
    title = f"is a frozen graph (GraphDef){text} with {look.size}"
    return Source(path, kind, title, (path,), facts, (SIGNATURE_NEED,), problem=problem, graph_file=path)


def _graph_facts(look: GraphLook) -> list[tuple[str, str]]:
    rows = [("Graph", look.size)]
    if look.functions:
        rows.append(("Functions", str(look.functions)))
    if look.variables:
        rows.append(("Variables in the graph", str(look.variables)))
    if look.placeholders:
        rows.append(("Placeholders", listed(look.placeholders, 5)))
    return rows


def other_name(path: Path) -> Source:
    """A SavedModel's own file that isn't called ``saved_model.pb``."""
    return Source(
        path,
        kinds.SAVED_MODEL,
        "holds a SavedModel under another name",
        (path,),
        problem=(
            f"call it {quoted('saved_model.pb')} in a folder of its own, with the variables/ and assets/ that belong "
            "to it, and open the folder"
        ),
    )
