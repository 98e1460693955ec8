"""A graph and the checkpoint that belongs to it, matched by names; two checkpoints of one architecture, by objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from explorer.converting.bundle import BundleTensor, bytes_content
from explorer.converting.graph_variables import GraphVariable, graph_variables
from explorer.converting.matching import match_variables
from explorer.converting.needed_variables import needed_variables
from explorer.converting.object_matching import Match, Side, matches
from explorer.converting.object_trees import VALUE, Attribute, ObjectTree
from explorer.converting.old_saver import saved_places
from explorer.converting.saver_nodes import Restored, make_saver, saver_changes, slice_text
from explorer.errors import ConversionError
from explorer.savedmodel.checkpoint_index import Variable
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.overlay import Document, apply_changes
from explorer.savedmodel.reader import read_document
from explorer.savedmodel.schema import message_class

FLOAT, INT64 = 1, 9


class Builder:
    """A MetaGraphDef that a test writes node by node."""

    def __init__(self) -> None:
        self.message: Any = message_class("tensorflow.MetaGraphDef")()
        self.message.meta_info_def.tags.append("serve")
        self.message.graph_def.versions.producer = 21

    def node(self, name: str, op: str, *inputs: str) -> Any:
        """Adds a node and gives its message."""
        node = self.message.graph_def.node.add()
        node.name, node.op = name, op
        node.input.extend(inputs)
        return node

    def variable(self, name: str, sizes: tuple[int, ...], op: str = "VariableV2", dtype: int = FLOAT) -> None:
        """Adds a variable with its initial assignment and its read."""
        node = self.node(name, op)
        node.attr["dtype"].type = dtype
        node.attr["shape"].shape.SetInParent()
        for size in sizes:
            node.attr["shape"].shape.dim.add().size = size
        self.node(f"{name}/initial", "Const")
        self.node(f"{name}/Assign", "Assign" if op != "VarHandleOp" else "AssignVariableOp", name, f"{name}/initial")
        self.node(f"{name}/read", "Identity" if op != "VarHandleOp" else "ReadVariableOp", name)

    def meta_graph(self) -> MetaGraph:
        """The meta graph, read from its bytes."""
        model: Any = message_class("tensorflow.SavedModel")(saved_model_schema_version=1)
        model.meta_graphs.add().CopyFrom(self.message)
        return read_document(Document.of_bytes(model.SerializeToString(deterministic=True))).meta_graphs[0]


def trained() -> Builder:
    """``y = x · w``, trained with Adam, with a step counter and a metric."""
    graph = Builder()
    graph.node("x", "Placeholder")
    graph.variable("w", (2, 3))
    graph.node("y", "MatMul", "x", "w/read")
    for slot in ("w/Adam", "w/Adam_1", "beta1_power"):
        graph.variable(slot, ())
    graph.variable("global_step", (), dtype=INT64)
    graph.variable("total", ())
    graph.node("gradient", "MatMul", "x", "y")
    graph.node("rate/decay", "Pow", "global_step/read", "w/initial")
    graph.node("train", "ApplyAdam", "w", "w/Adam", "w/Adam_1", "beta1_power/read", "rate/decay", "gradient")
    graph.node("train/power", "Mul", "beta1_power/read", "w/initial")
    graph.node("train/Assign", "Assign", "beta1_power", "train/power")
    graph.node("train/step", "AssignAdd", "global_step", "w/initial")
    graph.node("total/update", "AssignAdd", "total", "y")
    graph.node("accuracy", "DivNoNan", "total/read", "w/initial")
    graph.node("save/SaveV2", "SaveV2", "x", "w", "w/Adam", "global_step", "total")
    return graph


def variables_of(meta_graph: MetaGraph) -> tuple[GraphVariable, ...]:
    """The variables of a graph, its saver asked."""
    graph = read_graph(meta_graph)
    return graph_variables(meta_graph, graph, saved_places(meta_graph, graph))


def stored(**variables: tuple[int, ...]) -> dict[str, Variable]:
    """A checkpoint of floats; two underscores stand for a slash."""
    names = {name.replace("__", "/"): sizes for name, sizes in variables.items()}
    return {name: Variable(name, FLOAT, sizes, 0, None, None, None) for name, sizes in names.items()}


def match(builder: Builder, checkpoint: Mapping[str, Variable]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Node → key, and the notes."""
    meta_graph = builder.meta_graph()
    found = match_variables(read_graph(meta_graph), variables_of(meta_graph), checkpoint, "'ckpt'")
    return {one.variable.node: one.place.key for one in found.restored}, found.notes


def test_training_alone_can_do_without() -> None:
    """Slots, powers, steps and metrics aren't needed for an answer; a weight that data meet is."""
    graph = read_graph(trained().meta_graph())
    names = [node.name for node in graph.nodes.values() if node.op == "VariableV2"]
    assert needed_variables(graph, names) == ["w"]


def test_what_cannot_be_told_is_needed() -> None:
    """A value that an answer might be made of without any data is needed unless training changes it."""
    builder = Builder()
    builder.node("x", "Placeholder")
    builder.variable("table", (5,))
    builder.node("answer", "Softmax", "table/read")
    builder.variable("handle", (5,), "VarHandleOp")
    builder.node("gathered", "ResourceGather", "handle", "x")
    graph = read_graph(builder.meta_graph())
    assert needed_variables(graph, ["table", "handle"]) == ["table", "handle"]


def test_a_graph_is_restored_as_far_as_it_answers() -> None:
    """Without the optimizer's variables in the checkpoint the rest is restored, and a note says so."""
    restored, notes = match(trained(), stored(w=(2, 3), other=(1,)))
    assert restored == {"w": "w"}
    assert "'w/Adam'" in notes[0] and "'other'" in notes[1]


def test_a_missing_weight_is_named() -> None:
    """The graph of another checkpoint is refused with what is missing and what is there."""
    with pytest.raises(
        ConversionError, match="'ckpt' lacks the variable 'w' of the graph.* it holds 'w/Adam', 'v'"
    ) as told:
        match(trained(), stored(w__Adam=(), v=(2, 3)))
    assert told.value.needs == ("graph",)
    with pytest.raises(ConversionError, match="none of the graph's variables .* is in 'ckpt', which holds 'v'"):
        match(trained(), stored(v=(2, 3)))
    with pytest.raises(
        ConversionError, match="'w' of the graph is float32.2, 3., and 'ckpt' holds 'w' as float32.3, 3."
    ):
        match(trained(), stored(w=(3, 3)))


def test_a_frozen_graph_needs_no_checkpoint() -> None:
    """A graph without variables is converted by itself."""
    builder = Builder()
    builder.node("x", "Placeholder")
    with pytest.raises(ConversionError, match="it is frozen"):
        match(builder, stored(w=()))


def test_resource_variables_are_found_by_their_shared_name() -> None:
    """A handle whose node was renamed when the graph was imported still says the name that it shares."""
    builder = Builder()
    builder.variable("imported/w", (2,), "VarHandleOp")
    builder.message.graph_def.node[0].attr["shared_name"].s = b"w"
    builder.node("y", "Neg", "imported/w/read")
    assert match(builder, stored(w=(2,)))[0] == {"imported/w": "w"}


def test_parts_of_a_variable_are_placed() -> None:
    """Parts lie one behind the other in the dimension in which they were cut, slots of an optimizer likewise."""
    builder = Builder()
    builder.node("x", "Placeholder")
    for number, rows in enumerate((4, 3, 3)):
        builder.variable(f"emb/part_{number}", (rows, 2))
        builder.variable(f"emb/part_{number}/Adam", (rows, 2))
        builder.variable(f"cut/part_{number}", (2, 5))
    meta_graph = builder.meta_graph()
    found = match_variables(
        read_graph(meta_graph), variables_of(meta_graph), stored(emb=(10, 2), emb__Adam=(10, 2), cut=(2, 15)), "'ckpt'"
    )
    assert {one.variable.node: (one.place.key, slice_text(one)) for one in found.restored} == {
        "emb/part_0": ("emb", "10 2 0,4:0,2"),
        "emb/part_1": ("emb", "10 2 4,3:0,2"),
        "emb/part_2": ("emb", "10 2 7,3:0,2"),
        "emb/part_0/Adam": ("emb/Adam", "10 2 0,4:0,2"),
        "emb/part_1/Adam": ("emb/Adam", "10 2 4,3:0,2"),
        "emb/part_2/Adam": ("emb/Adam", "10 2 7,3:0,2"),
        "cut/part_0": ("cut", "2 15 0,2:0,5"),
        "cut/part_1": ("cut", "2 15 0,2:5,5"),
        "cut/part_2": ("cut", "2 15 0,2:10,5"),
    }


def test_collections_and_savers_come_before_names() -> None:
    """A collection says how a variable is partitioned, and a saver under which other name it was saved."""
    builder = Builder()
    builder.node("x", "Placeholder")
    builder.variable("a", (2,))
    builder.variable("b", (3,), "VarHandleOp")
    variable: Any = message_class("tensorflow.VariableDef")(variable_name="a:0")
    variable.save_slice_info_def.full_name = "whole"
    variable.save_slice_info_def.full_shape.append(9)
    variable.save_slice_info_def.var_offset.append(7)
    builder.message.collection_def["variables"].bytes_list.value.append(variable.SerializeToString())
    for name, text in (("names", b"average/b"), ("slices", b"")):
        constant = builder.node(f"save/{name}", "Const")
        constant.attr["value"].tensor.string_val.append(text)
    builder.node("save/RestoreSlice", "RestoreSlice", "x", "save/names", "save/slices")
    builder.node("save/Identity", "Identity", "save/RestoreSlice")
    builder.node("save/Assign", "AssignVariableOp", "b", "save/Identity")
    builder.node("save/restore_all", "NoOp", "^save/Assign")
    builder.message.saver_def.restore_op_name = "save/restore_all"
    restored, _ = match(builder, stored(whole=(9,), average__b=(3,), a=(2,), b=(3,)))
    assert restored == {"a": "whole", "b": "average/b"}


def test_the_saver_restores_what_it_saves() -> None:
    """References are assigned where they lie, handles by their own op; the old saver's nodes stay and aren't run."""
    builder = trained()
    builder.variable("r", (2,), "VarHandleOp")
    builder.message.saver_def.restore_op_name = "save/restore_all"
    meta_graph = builder.meta_graph()
    graph = read_graph(meta_graph)
    found = match_variables(graph, variables_of(meta_graph), stored(w=(2, 3), r=(2,)), "'ckpt'")
    changes = saver_changes(meta_graph, graph.nodes, found.restored)
    assert meta_graph.document is not None
    changed = read_document(apply_changes(meta_graph.document, changes)).meta_graphs[0]
    nodes = read_graph(changed).nodes
    assert list(nodes)[: len(graph.nodes)] == list(graph.nodes)
    assert nodes["save_1/Assign_0"].inputs == ("w", "save_1/RestoreV2")
    assert nodes["save_1/Assign_1"].inputs == ("r", "save_1/RestoreV2:1")
    assert nodes["save_1/Assign_1"].op == "AssignVariableOp"
    assert nodes["save_1/restore_all"].inputs == ("^save_1/Assign_0", "^save_1/Assign_1")
    assert nodes["save_1/SaveV2"].inputs[3:] == ("w", "save_1/Read_1/ReadVariableOp")
    assert saved_places(changed, read_graph(changed)) == {one.variable.node: one.place for one in found.restored}


def test_a_saver_takes_a_scope_that_nobody_has() -> None:
    """No node of the graph gets a second one of its name."""
    restored = Restored(variables_of(trained().meta_graph())[0], variables_of(trained().meta_graph())[0].places[0])
    nodes, saver = make_saver(["save/Const", "save_1"], [restored])
    assert all(node.name.startswith("save_2/") for node in nodes)
    assert saver.filename_tensor_name == "save_2/Const:0" and saver.version == 2


def side(**objects: Mapping[str, str | tuple[int, ...]]) -> Side:
    """A checkpoint: object → its children by name, or the shape of a variable; ``root`` is the root."""
    numbers = {name: number for number, name in enumerate(objects)}
    children: list[dict[str, int]] = [{} for _ in objects]
    attributes: list[tuple[Attribute, ...]] = [() for _ in objects]
    tensors: dict[bytes, BundleTensor] = {}
    for name, members in objects.items():
        for member, value in members.items():
            if isinstance(value, str):
                children[numbers[name]][member] = numbers[value]
            else:
                key = f"{name}/{member}".encode()
                tensors[key] = BundleTensor(key, FLOAT, value, bytes_content(key + bytes(4 * sum(value))))
                attributes[numbers[name]] = (Attribute(VALUE, member, key),)
    return Side(tensors, ObjectTree(tuple(children), tuple(attributes)))


def first(model: Side, checkpoint: Side) -> Match:
    """The match with most variables."""
    return max(matches(model, checkpoint), key=lambda one: len(one.keys))


def test_objects_are_matched_below_any_root() -> None:
    """The model may be the root of the one and a grandchild of the other; names of variables don't count then."""
    model = side(root={"dense": "layer", "signatures": "none"}, layer={"kernel": "k"}, k={"w": (2, 3)}, none={})
    trainer = {"root": {"trainer": "t"}, "t": {"model": "m", "dense": "wrong"}, "m": {"dense": "layer"}}
    checkpoint = side(**trainer, layer={"kernel": "k"}, k={"v": (2, 3)}, wrong={"bias": "b"}, b={"w": (9,)})
    found = first(model, checkpoint)
    assert found.keys == {b"k/w": b"k/v"} and found.place == "trainer/model"
    assert first(checkpoint, model).keys == {b"k/v": b"k/w"}


def test_the_moments_of_an_optimizer_are_not_the_weights() -> None:
    """A list of variables and one of moments have the same shapes in the same order, and aren't matched."""
    model = side(root={"variables": "list"}, list={"0": "a"}, a={"dense/kernel": (2, 3)})
    optimizer = {"root": {"optimizer": "o"}, "o": {"moments": "list"}, "list": {"0": "a"}}
    assert first(model, side(**optimizer, a={"adam/dense_kernel_momentum": (2, 3)})).keys == {}


def test_circles_of_objects_end() -> None:
    """An object may be its own child, as ``save_weights`` writes it."""
    model = side(root={"root": "root", "a": "v"}, v={"w": (1,)})
    assert first(model, model).keys == {b"v/w": b"v/w"}


def test_numbers_of_layers_are_ranks() -> None:
    """``dense_6`` and ``dense_10`` are what ``dense`` and ``dense_1`` are elsewhere; three layers aren't two."""

    def layers(*names: str) -> Side:
        members = {name: {f"{name}/kernel": (2,)} for name in names}
        return side(root={name.upper(): name for name in names}, **members)

    model = layers("dense_6", "dense_10")
    model = Side(
        model.tensors, ObjectTree(({}, *model.tree.children[1:]), model.tree.attributes) if model.tree else None
    )
    found = first(model, layers("dense", "dense_1"))
    assert found.place is None
    assert found.keys == {
        b"dense_6/dense_6/kernel": b"dense/dense/kernel",
        b"dense_10/dense_10/kernel": b"dense_1/dense_1/kernel",
    }
    assert first(model, layers("dense", "dense_1", "dense_2")).keys == {}
