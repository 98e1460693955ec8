"""What the functions behind a signature do: variables that no server fills, and what a training trace would do."""

from __future__ import annotations

from collections.abc import Iterator

from explorer.checking.findings import Finding
from explorer.checking.scope import Scope
from explorer.errors import ExplorerError, listed
from explorer.savedmodel.captures import unrestored_captures
from explorer.savedmodel.function_ops import ops_behind
from explorer.savedmodel.graph import Graph, split_tensor_name
from explorer.savedmodel.model import MetaGraph

_WRITES = ("Assign", "ResourceApply", "ResourceScatter", "ResourceSparseApply", "Apply", "SparseApply", "Scatter")
_WRITES_NOT = frozenset({"ScatterNd", "AssertNextDataset"})
_RANDOM = (
    "Random",
    "StatelessRandom",
    "StatelessTruncated",
    "StatelessMultinomial",
    "Truncated",
    "ParameterizedTruncated",
)
_RANDOM_OPS = frozenset({"Multinomial"})
_MOST_TOLD = 3


def check_captures(meta_graph: MetaGraph, graph: Graph) -> Iterator[Finding]:
    """Examines whether a server restores every variable that the functions take."""
    if not meta_graph.has_object_graph:
        return
    try:
        found = unrestored_captures(meta_graph, graph)
    except ExplorerError as error:
        yield Finding(
            "error", "unreadable_object_graph", f"the object graph can't be read: {error}", tags=meta_graph.tags
        )
        return
    if not found:
        return
    edges = sorted({capture.edge for capture in found})
    mends = all(capture.restored is not None for capture in found)
    yield Finding(
        "error",
        "unrestored_variables",
        f"nothing is ever restored into {len(edges)} of the variables that the signatures use "
        f"({listed(edges, _MOST_TOLD)}): tf.saved_model.load works, and every server fails with 'Could not find "
        "variable'; tf.saved_model.save writes Keras 3 models so",
        "let the functions take the variables of the same name that are restored" if mends else "save the model anew",
        meta_graph.tags,
        subject="captures",
        edit={"edit": "repair_captures", "tags": sorted(meta_graph.tags)} if mends else None,
    )


def check_training(scope: Scope) -> Iterator[Finding]:
    """Examines whether a signature of a TensorFlow 2 model does what only training should do."""
    signature, graph = scope.signature, scope.graph
    if signature.is_reserved or graph is None or not scope.meta_graph.has_object_graph:
        return
    calls = {
        split_tensor_name(name)[0] for info in signature.outputs.values() for name in info.tensor_names
    } & graph.nodes.keys()
    ops = ops_behind(graph, sorted(calls))
    writes = sorted(op for op in ops if op.startswith(_WRITES) and op not in _WRITES_NOT)
    if writes:
        yield scope.finding(
            "warning",
            "writes_variables",
            f"{scope.name} changes variables whenever it is called ({listed(writes, _MOST_TOLD)}), as a training step "
            "does: answers depend on the requests before",
            "if that isn't meant, take a function that only computes, such as the trace made with training=False",
            field="key",
            subject=",".join(writes),
        )
    random = sorted(op for op in ops if op.startswith(_RANDOM) or op in _RANDOM_OPS)
    if random:
        dropout = any("dropout" in name.lower() for op in random for name in ops[op])
        yield scope.finding(
            "warning" if dropout else "note",
            "random_answers",
            f"{scope.name} draws random numbers ({listed(random, _MOST_TOLD)})"
            + (" for dropout, as in training" if dropout else "")
            + ": it answers one request differently each time",
            "take the trace of the function that was made with training=False" if dropout else "",
            field="key",
            subject=",".join(random),
        )
