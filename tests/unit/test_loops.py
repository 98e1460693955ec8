"""Loops that are written with nodes: what is inside has a value for each turn, and no signature can hold it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import explorer
from explorer import SavedModel
from explorer.errors import EditError
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.loops import is_in_function_loop, is_in_graph_loop


def function_of(nodes: dict[str, tuple[str, list[str]]]) -> Any:
    """Something like a FunctionDef: name of a node → its op and inputs."""
    made = [SimpleNamespace(name=name, op=op, input=inputs) for name, (op, inputs) in nodes.items()]
    return SimpleNamespace(node_def=made)


def test_what_lies_between_enter_and_exit_is_inside(sample_models: Path) -> None:
    """Before the loop and from its exits on, tensors have one value."""
    graph = read_graph(explorer.open_saved_model(sample_models / "tf1_sparse").meta_graph())
    inside = {name for name in graph.nodes if is_in_graph_loop(graph, name)}
    loop = {name for name in graph.nodes if name.startswith("while_1/")}
    assert inside == loop - {"while_1/Exit", "while_1/Exit_1"}


def test_a_loop_inside_a_loop() -> None:
    """What follows the inner loop is still inside the outer one; what follows that is inside none."""
    function = function_of(
        {
            "outer": ("Enter", ["x"]),
            "merge": ("Merge", ["outer:output:0", "next:output:0"]),
            "inner": ("Enter", ["merge:output:0"]),
            "inner_merge": ("Merge", ["inner:output:0", "inner_next:output:0"]),
            "inner_next": ("NextIteration", ["inner_merge:output:0"]),
            "inner_exit": ("Exit", ["inner_merge:output:0"]),
            "between": ("Identity", ["inner_exit:output:0"]),
            "next": ("NextIteration", ["between:output:0"]),
            "exit": ("Exit", ["merge:output:0"]),
            "after": ("Identity", ["exit:output:0"]),
        }
    )
    inside = {node.name for node in function.node_def if is_in_function_loop(function, node.name)}
    assert inside == {"outer", "merge", "inner", "inner_merge", "inner_next", "inner_exit", "between", "next"}


EDITS: list[Callable[[SavedModel], SavedModel]] = [
    lambda model: explorer.add_output(model, "halve", "turn", "while_1/Less:0"),
    lambda model: explorer.set_output_tensor(model, "halve", "halved", "while_1/truediv:0"),
    lambda model: explorer.set_input_tensor(model, "halve", "x", "while_1/Identity_1:0"),
    lambda model: explorer.add_signature(model, "new", {"x": "x:0"}, {"turn": "while_1/add:0"}),
]


@pytest.mark.parametrize("edit", EDITS)
def test_no_signature_takes_a_tensor_inside_a_loop(
    edit: Callable[[SavedModel], SavedModel], sample_models: Path
) -> None:
    """It is refused with what to do instead; a tensor behind the loop is taken."""
    model = explorer.open_saved_model(sample_models / "tf1_sparse")
    with pytest.raises(EditError, match="is inside a loop and has a value for each turn.*before or after the loop"):
        edit(model)
    assert explorer.add_output(model, "halve", "again", "while_1/Exit_1:0").edits
