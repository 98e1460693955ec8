"""What must hold between the inputs and the outputs of a signature: everything needed is fed, and only once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from explorer.checking.findings import Finding
from explorer.checking.reachability import meant_tensors, unfed_placeholders
from explorer.checking.scope import Scope, tensor_names
from explorer.errors import listed, quoted
from explorer.savedmodel.assets import read_assets
from explorer.savedmodel.graph import PLACEHOLDER_OPS, Graph, split_tensor_name
from explorer.savedmodel.model import Signature

_TAKEN_APART: Final = frozenset({"If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile"})


def check_feeds(scope: Scope) -> Iterator[Finding]:
    """Examines what is fed and what is fetched together."""
    signature = scope.signature
    if not signature.is_reserved:
        yield from _check_counts(scope)
    yield from _check_fed_twice(scope)
    yield from _check_fetched_inputs(scope)
    if scope.graph is not None:
        yield from _check_fed_branches(scope, scope.graph)
        yield from _check_dependencies(scope, scope.graph)


def fed_tensors(signature: Signature) -> dict[str, str]:
    """The tensors that a request fills: tensor name → the key of the input."""
    return {name: key for key, info in signature.inputs.items() for name in tensor_names(info)}


def _check_counts(scope: Scope) -> Iterator[Finding]:
    signature = scope.signature
    if not signature.outputs:
        fed = ",".join(sorted(fed_tensors(signature)))
        yield scope.finding(
            "error",
            "no_outputs",
            f"{scope.name} has no outputs: TensorFlow Serving refuses every request to it",
            "add an output or remove the signature",
            field="output",
            subject=fed,
            edit=scope.edit("remove_signature"),
        )
    if not signature.inputs:
        yield scope.finding(
            "note",
            "no_inputs",
            f"{scope.name} has no inputs: it answers every request alike, and a REST request in row format can't "
            "call it",
            field="input",
        )


def _check_fed_twice(scope: Scope) -> Iterator[Finding]:
    keys: dict[str, list[str]] = {}
    for key, info in scope.signature.inputs.items():
        for name in tensor_names(info):
            keys.setdefault(name, []).append(key)
    for name, several in keys.items():
        if len(several) > 1:
            yield scope.finding(
                "error",
                "tensor_fed_twice",
                f"the inputs {listed(several)} of {scope.name} are one tensor, {quoted(name)}: "
                f"TensorFlow Serving refuses every request{scope.loading_fails}",
                "point them at different tensors",
                field="input",
                key=several[-1],
                subject=name,
            )


def _check_fetched_inputs(scope: Scope) -> Iterator[Finding]:
    fed = fed_tensors(scope.signature)
    for key, info in scope.signature.outputs.items():
        for name in tensor_names(info):
            if name in fed:
                yield scope.finding(
                    "error",
                    "output_is_input",
                    f"{scope.of('output', key)} is {quoted(name)}, the tensor of input {quoted(fed[name])}: TensorFlow "
                    "Serving refuses to fetch what a request feeds",
                    "point the output at the tensor that is computed from the input",
                    field="output",
                    key=key,
                    subject=name,
                )


def _check_fed_branches(scope: Scope, graph: Graph) -> Iterator[Finding]:
    """A session takes branches and loops apart before it runs a graph, and with them what would be fed.

    https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/common_runtime/lower_functional_ops.cc
    """
    for name, key in fed_tensors(scope.signature).items():
        node = graph.nodes.get(split_tensor_name(name)[0])
        if node is not None and node.op in _TAKEN_APART:
            yield scope.finding(
                "error",
                "fed_branch",
                f"{scope.of('input', key)} is {quoted(name)}, a result of the node {quoted(node.name)} ({node.op}), "
                "which TensorFlow Serving takes apart before it can be fed: every request fails",
                "point the input at the Identity node that takes this result",
                field="input",
                key=key,
                subject=name,
            )


def _check_dependencies(scope: Scope, graph: Graph) -> Iterator[Finding]:
    signature = scope.signature
    fed = fed_tensors(signature)
    fetched = [name for info in signature.outputs.values() for name in tensor_names(info)]
    if signature.is_reserved:  # loaders feed the paths of the assets when they run the init op
        fed |= {asset.tensor_name: "" for asset in read_assets(scope.meta_graph)}
    needs = graph.needs(fetched, fed)
    if needs.unfed:
        yield from _check_placeholders(scope, graph, fed)
        return
    if signature.is_reserved or not any(graph.tensor(name) for name in fetched):
        return
    for key, info in signature.inputs.items():
        names = tensor_names(info)
        known = [name for name in names if graph.tensor(name) is not None]
        if known and not needs.met.intersection(names):
            yield scope.finding(
                "warning",
                "unused_input",
                f"no output of {scope.name} depends on input {quoted(key)}: a request must fill it for nothing",
                field="input",
                key=key,
                subject=",".join(names),
            )


def _check_placeholders(scope: Scope, graph: Graph, fed: dict[str, str]) -> Iterator[Finding]:
    for key, info in scope.signature.outputs.items():
        names = tensor_names(info)
        for name in names:
            node = split_tensor_name(name)[0]
            if name not in fed and node in graph.nodes and graph.nodes[node].op in PLACEHOLDER_OPS:
                yield _output_is_placeholder(scope, graph, key, name, fed)
        unfed = [name for name in unfed_placeholders(graph, names, fed) if f"{name}:0" not in names]
        if unfed:
            one = len(unfed) == 1
            them = "it" if one else "them"
            known = [name for name in fed if graph.tensor(name) is not None]
            elsewhere = f"point the output at a tensor that needs only {listed(known, 3)}, or " if known else ""
            yield scope.finding(
                "error",
                "unfed_placeholder",
                f"{scope.of('output', key)} needs the {'placeholder' if one else 'placeholders'} {listed(unfed, 3)}, "
                f"which no input feeds: every request fails{scope.loading_fails}",
                f"{elsewhere}add a signature that feeds {them} too",
                field="output",
                key=key,
                subject=",".join(names),
            )


def _output_is_placeholder(scope: Scope, graph: Graph, key: str, name: str, fed: dict[str, str]) -> Finding:
    info = scope.signature.outputs[key]
    meant = meant_tensors(graph, fed, split_tensor_name(name)[0], info) if fed and info.encoding == "name" else []
    if len(meant) == 1:
        fix = f"the result was probably meant, which is {quoted(meant[0])}: point the output at it"
    elif meant:
        fix = f"point the output at the tensor that was meant, perhaps one of {listed(meant, 5)}"
    else:
        fix = "point the output at the tensor that was meant"
    return scope.finding(
        "error",
        "unfed_placeholder",
        f"{scope.of('output', key)} is {quoted(name)}, a placeholder that waits for a value itself and that no input "
        f"feeds: no request can be answered{scope.loading_fails}",
        fix,
        field="output",
        key=key,
        subject=name,
        edit=scope.tensor_edit("output", key, meant[0]) if len(meant) == 1 else None,
    )
