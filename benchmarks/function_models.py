"""Large SavedModels with a signature of TensorFlow 2: a sample model with more inside one of its functions."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from made_models import FLOAT_TYPE, NODES, VECTOR_SHAPE, constants, field, node_def

from explorer.savedmodel import wire
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.opening import open_saved_model
from explorer.savedmodel.overlay import BytesSource, Document, Piece, apply_changes, insertion_at_end
from explorer.savedmodel.reader import GRAPH_DEF, fields_of
from explorer.savedmodel.wire import Field

SAMPLE = Path(__file__).resolve().parent.parent / "sample_models" / "no_variables" / "1"
FUNCTION = "__inference_scale_10"
"""What ``serving_default`` of the sample calls: multiplies its arguments ``x`` and ``factor`` in its node ``mul``."""

SIGNATURE, OUTPUT = "serving_default", "scaled"
"""A signature of the sample, and the key of the output that is the product."""

# GraphDef.library, FunctionDefLibrary.function, FunctionDef.signature, OpDef.name, FunctionDef.node_def and .ret
_LIBRARY, _FUNCTION, _SIGNATURE, _NAME, _NODE_DEF, _RET = 2, 1, 1, 1, 3, 4


def write_function_model(folder: Path, pieces: Iterable[bytes]) -> None:
    """Writes the sample with fields added to the FunctionDef of ``FUNCTION``.

    Args:
        folder: Where; nothing may be there.
        pieces: The serialized fields, in pieces; a piece that comes more than once is held once.
    """
    model = open_saved_model(SAMPLE)
    assert model.document is not None
    added = Document(Piece(BytesSource(piece), 0, len(piece)) for piece in pieces)
    changed = apply_changes(model.document, [insertion_at_end(_function(model, model.document), added)])
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("saved_model.pb", "fingerprint.pb"))
    with (folder / "saved_model.pb").open("wb") as file:
        changed.write_to(file)


def chain_in_function() -> Iterator[bytes]:
    """50,000 nodes, each of which multiplies the one before by an argument; the last gives the product's output."""
    shapes = field(1, field(2, VECTOR_SHAPE))
    before = "mul:z:0"
    for number in range(NODES):
        name = f"block_{number // 100}/layer_{number}/mul"
        made = node_def(name, "Mul", (before, "factor"), T=FLOAT_TYPE, _output_shapes=shapes)
        yield field(_NODE_DEF, made)
        before = f"{name}:z:0"
    # Of two entries of a map that have one key the last counts.
    yield field(_RET, field(1, "identity"), field(2, before))


def weights_in_function() -> Iterator[bytes]:
    """A gigabyte of constants."""
    return constants(_NODE_DEF)


def _function(model: SavedModel, document: Document) -> Field:
    for graph in fields_of(document, model.meta_graphs[0].field, GRAPH_DEF):
        for library in fields_of(document, graph, _LIBRARY):
            for function in fields_of(document, library, _FUNCTION):
                for signature in fields_of(document, function, _SIGNATURE):
                    if FUNCTION in [wire.text(document, name) for name in fields_of(document, signature, _NAME)]:
                        return function
    raise AssertionError(f"the sample has no function {FUNCTION}")
