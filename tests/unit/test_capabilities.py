"""What a model can reach is found wherever it hides, told by when it runs, and the model's own files aren't counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.checking import capability_ops
from explorer.checking.capabilities import Capability, dangers, find_capabilities, scan
from explorer.checking.capability_ops import kind_table, kinds_of
from explorer.checking.capability_rules import check_capabilities
from explorer.checking.checks import check
from explorer.cli import main
from explorer.errors import ExplorerError, FormatError, NotASavedModelError
from explorer.savedmodel.constants import INIT_OP_SIGNATURE_KEY
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.op_table import op_table
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import read_document
from explorer.savedmodel.wire import encode_field as field

STRING = 7
FILE_ATTRS = {"DecodeProtoV2": "descriptor_source", "EncodeProto": "descriptor_source"}


def text_attr(name: str, text: str) -> bytes:
    """An attribute that is a text."""
    return field(5, field(1, name) + field(2, field(2, text)))


def func_attr(name: str, *functions: str) -> bytes:
    """An attribute that names a function, or a list of them where there are several."""
    if len(functions) == 1:
        return field(5, field(1, name) + field(2, field(10, field(1, functions[0]))))
    return field(5, field(1, name) + field(2, field(1, b"".join(field(9, field(1, each)) for each in functions))))


def node_def(name: str, op: str, inputs: tuple[str, ...] = (), attrs: bytes = b"") -> bytes:
    """A NodeDef."""
    return field(1, name) + field(2, op) + b"".join(field(3, edge) for edge in inputs) + attrs


def const_attrs(text: str) -> bytes:
    """The attributes of a constant text."""
    return field(5, field(1, "value") + field(2, field(8, field(1, STRING) + field(8, text))))


def function_def(name: str, *nodes: bytes, arguments: tuple[str, ...] = (), attrs: bytes = b"") -> bytes:
    """A function, as an entry of a library."""
    signature = field(1, name) + b"".join(field(2, field(1, each)) for each in arguments)
    return field(1, field(1, signature) + b"".join(field(3, node) for node in nodes) + attrs)


def risky_node(op: str, name: str = "risky", inputs: tuple[str, ...] = ()) -> bytes:
    """A node of an op, told to use a file where it need not."""
    attrs = text_attr(FILE_ATTRS[op], "/tmp/descriptors") if op in FILE_ATTRS else b""
    attrs += text_attr("vocab_file", "/tmp/words") if op == "FixedUnigramCandidateSampler" else b""
    return node_def(name, op, inputs, attrs)


def object_graph(*functions: str, name: str = "_initialize", holder: str = "table") -> bytes:
    """An object graph in which an object has a function under a name."""

    def child(node_id: int, local_name: str) -> bytes:
        return field(1, field(1, node_id) + field(2, local_name))

    concrete = b"".join(field(1, function) for function in functions)
    nodes = (child(1, holder), child(2, name), field(6, concrete))
    entries = b"".join(field(2, field(1, function) + field(2, b"")) for function in functions)
    return field(7, b"".join(field(1, node) for node in nodes) + entries)


class Hidden:
    """Models that hide an op, by the place where they hide it."""

    def __init__(self, model_bytes: Any) -> None:
        self.model_bytes = model_bytes

    def _calling(self, op: str, attrs: bytes, *functions: bytes) -> SavedModel:
        """A model whose signature runs a node that names functions."""
        builder = self.model_bytes().usual_ops().placeholder("x").node("caller", op, ("x",), attrs)
        builder.library = b"".join(functions)
        made: SavedModel = builder.signature({"x": "x:0"}, {"y": "caller:0"}).model()
        return made

    def top(self, op: str) -> SavedModel:
        """In the graph."""
        builder = self.model_bytes().usual_ops().placeholder("x")
        builder.nodes.append(field(1, risky_node(op, inputs=("x",))))
        made: SavedModel = builder.compute("y", "risky").signature({"x": "x:0"}, {"y": "y:0"}).model()
        return made

    def call(self, op: str) -> SavedModel:
        """In a function that is called."""
        return self._calling("StatefulPartitionedCall", func_attr("f", "inner"), function_def("inner", risky_node(op)))

    def branch(self, op: str) -> SavedModel:
        """In a branch of a condition."""
        attrs = func_attr("then_branch", "fine") + func_attr("else_branch", "inner")
        return self._calling("If", attrs, function_def("fine"), function_def("inner", risky_node(op)))

    def loop(self, op: str) -> SavedModel:
        """In the body of a loop, as ``tf.map_fn`` makes it, inside a function that is called."""
        loop = node_def("while", "While", (), func_attr("cond", "fine") + func_attr("body", "inner"))
        return self._calling(
            "PartitionedCall", func_attr("f", "outer"),
            function_def("outer", loop), function_def("fine"), function_def("inner", risky_node(op)),
        )  # fmt: skip

    def dataset(self, op: str) -> SavedModel:
        """In a function that a dataset maps, called by one that it maps."""
        call = node_def("call", "PartitionedCall", (), func_attr("f", "inner"))
        return self._calling(
            "ParallelMapDatasetV2", func_attr("f", "outer"), function_def("outer", call),
            function_def("inner", risky_node(op)),
        )  # fmt: skip

    def map(self, op: str) -> SavedModel:
        """In a function that is mapped over tensors."""
        return self._calling("MapDefun", func_attr("f", "inner"), function_def("inner", risky_node(op)))

    def unreferenced(self, op: str) -> SavedModel:
        """In a function that nothing refers to."""
        return self._calling("Square", b"", function_def("inner", risky_node(op)))

    def init_op(self, op: str) -> SavedModel:
        """In the graph, before the op that loaders run."""
        builder = self.model_bytes().usual_ops().placeholder("x").compute("y", "x")
        builder.nodes.append(field(1, risky_node(op)))
        builder.node("init", "NoOp", ("^risky",)).signature({"x": "x:0"}, {"y": "y:0"})
        info = builder.info("init", 0, builder.shape(...))
        made: SavedModel = builder.signature({}, {INIT_OP_SIGNATURE_KEY: info}, INIT_OP_SIGNATURE_KEY, "").model()
        return made

    def initializer(self, op: str) -> SavedModel:
        """In a function of the object graph that is run to fill a table."""
        builder = (
            self.model_bytes().usual_ops().placeholder("x").compute("y", "x").signature({"x": "x:0"}, {"y": "y:0"})
        )
        builder.library = function_def("inner", risky_node(op))
        builder.extra = object_graph("inner")
        made: SavedModel = builder.model()
        return made


PLACES = {
    "top": ("graph", "", "call"),
    "call": ("inner", "call", "call"),
    "branch": ("inner", "branch", "call"),
    "loop": ("inner", "loop", "call"),
    "dataset": ("inner", "dataset", "call"),
    "map": ("inner", "map", "call"),
    "unreferenced": ("inner", "not reached", "never"),
    "init_op": ("graph", "", "load"),
    "initializer": ("inner", "call", "load"),
}


@pytest.fixture
def hidden(model_bytes: Any) -> Hidden:
    """Models that hide an op."""
    return Hidden(model_bytes)


def only(capabilities: tuple[Capability, ...]) -> Capability:
    """The one danger among some capabilities."""
    (found,) = dangers(capabilities)
    return found


@pytest.mark.parametrize("place", PLACES)
def test_every_op_of_the_table_is_found_in_every_place(hidden: Hidden, place: str) -> None:
    """Each op that can reach something is found with all its kinds, where it hides, and told by when it runs."""
    where, reached, when = PLACES[place]
    tried = 0
    for op, kinds in kind_table().items():
        found = dangers(find_capabilities(getattr(hidden, place)(op)))
        assert sorted(each.kind for each in found) == sorted(kinds), (op, place)
        for each in found:
            assert (each.op, each.node, each.where, each.reached, each.when) == (op, "risky", where, reached, when), op
            assert each.tags == {"serve"}
            assert each.signatures == (("serving_default",) if when == "call" else ()), op
            assert bool(each.started_by) == (when == "load"), op
        tried += 1
    assert tried >= 101


@pytest.mark.parametrize("place", PLACES)
def test_op_that_nobody_knows_is_unknown_and_never_safe(hidden: Hidden, place: str) -> None:
    """An op that is not in the table is found as unknown wherever it stands, whatever it is called."""
    for op in ("ExampleCustomOp", "Addons>Sum", "readfile", "ReadFile ", "", "Identity2"):
        assert only(find_capabilities(getattr(hidden, place)(op))).kind == "unknown", op


def test_ops_that_only_compute_are_not_found(model_bytes: Any) -> None:
    """None of the ops of the table that stand under no heading is reported."""
    builder = model_bytes().placeholder("x")
    plain = [op for op in op_table() if op not in kind_table()]
    for op in plain:
        builder.node(f"n/{op}", op, ("x",))
    assert len(plain) > 1500
    assert find_capabilities(builder.model()) == ()


def test_table_of_ops_is_the_one_that_was_looked_at() -> None:
    """Where the table of ops is made anew, somebody looks at what came in; see ``tools/check_capability_ops.py``."""
    assert capability_ops.reviewed_digest() == capability_ops.REVIEWED


def test_headings_name_no_op_twice_and_only_real_ones() -> None:
    """Under one heading each op stands once, and what TensorFlow has gone without is known as well."""
    for op, kinds in kind_table().items():
        assert len(set(kinds)) == len(kinds), op
    assert kinds_of("TensorForestTreePredict") == ()
    assert kinds_of("BigQueryReader") == ("network",)
    assert kinds_of("LoadTPUEmbeddingADAMParametersGradAccumDebug") == ("device",)


def test_functions_of_the_model_are_no_unknown_ops(model_bytes: Any) -> None:
    """TensorFlow 1 makes a function's name an op: such a node is a call, and what is behind it is found."""
    builder = model_bytes().placeholder("x").node("called", "my_function", ("x",))
    builder.library = function_def("my_function", node_def("read", "ReadFile"))
    found = only(find_capabilities(builder.signature({"x": "x:0"}, {"y": "called:0"}).model()))
    assert (found.op, found.where, found.when, found.reached) == ("ReadFile", "my_function", "call", "call")


def test_lists_of_functions_and_functions_in_names_are_followed(model_bytes: Any) -> None:
    """A branch of many, and a function in the attributes of a function's name, are found and told to run."""
    builder = model_bytes().placeholder("x").node("case", "Case", ("x",), func_attr("branches", "a", "b", "c"))
    nested = field(2, field(1, "g") + field(2, field(10, field(1, "d"))))
    call = field(5, field(1, "f") + field(2, field(10, field(1, "c") + nested)))
    builder.node("call", "PartitionedCall", ("case",), call)
    builder.library = b"".join(function_def(name) for name in "ac")
    builder.library += function_def("b", node_def("read", "ReadFile")) + function_def("d", node_def("py", "PyFunc"))
    found = dangers(find_capabilities(builder.signature({"x": "x:0"}, {"y": "call:0"}).model()))
    assert [(each.op, each.when, each.reached) for each in found] == [
        ("ReadFile", "call", "branch"), ("PyFunc", "call", "call")
    ]  # fmt: skip


def test_signatures_that_run_it_are_named(model_bytes: Any) -> None:
    """Only those signatures are named that run the node; one that is fed past it is not."""
    builder = model_bytes().usual_ops().placeholder("x").node("read", "ReadFile", ("x",)).compute("y", "read")
    builder.compute("z", "x")
    builder.signature({"x": "x:0"}, {"y": "y:0"}, "reads").signature({"x": "x:0"}, {"z": "z:0"}, "computes")
    builder.signature({"read": "read:0"}, {"y": "y:0"}, "fed").signature({"x": "x:0"}, {"y": "y:0"}, "reads_too")
    found = only(find_capabilities(builder.model()))
    assert found.signatures == ("reads", "reads_too")
    assert found.when == "call"


def test_control_inputs_and_later_outputs_count(model_bytes: Any) -> None:
    """A node that only has to run before another one runs with it, and feeding one output doesn't stop the others."""
    builder = model_bytes().usual_ops().placeholder("x").node("write", "WriteFile", ("x",)).compute("y", "x", "^write")
    assert only(find_capabilities(builder.signature({"x": "x:0"}, {"y": "y:0"}).model())).when == "call"
    builder = model_bytes().usual_ops().placeholder("x").node("read", "ReaderRead", ("x",)).compute("y", "read:1")
    found = only(find_capabilities(builder.signature({"key": "read:0"}, {"y": "y:0"}).model()))
    assert found.when == "call"


def test_methods_of_the_object_graph_are_called(model_bytes: Any) -> None:
    """A traced function that no signature uses can be called after ``tf.saved_model.load``, by its path."""
    builder = model_bytes().usual_ops().placeholder("x").compute("y", "x").signature({"x": "x:0"}, {"y": "y:0"})
    builder.library = function_def("traced", node_def("py", "EagerPyFunc"))
    builder.extra = object_graph("traced", name="predict", holder="layer")
    found = only(find_capabilities(builder.model()))
    assert (found.when, found.methods, found.signatures) == ("call", ("layer.predict",), ())


@pytest.mark.parametrize("name", ["_initializer", "_create_resource", "_initialize", "_destroy_resource"])
def test_functions_that_loading_runs(model_bytes: Any, name: str) -> None:
    """What an object makes and fills its resource with runs on load, traces of it included."""
    builder = model_bytes().usual_ops().placeholder("x").compute("y", "x").signature({"x": "x:0"}, {"y": "y:0"})
    builder.library = function_def("f", node_def("write", "WriteFile"))
    builder.extra = object_graph("f", name=name)
    found = only(find_capabilities(builder.model()))
    assert (found.when, found.methods) == ("load", ())
    assert f"'table.{name}'" in found.started_by[0]


def test_functions_that_restore_an_object_run_on_load(model_bytes: Any) -> None:
    """The restore function of an object of its own kind of state runs when the checkpoint is read."""
    builder = model_bytes().usual_ops().placeholder("x")
    builder.library = function_def("saves", node_def("a", "PyFunc")) + function_def("loads", node_def("b", "PyFunc"))
    saveable = field(11, field(1, "state") + field(2, field(2, 1) + field(3, 2)))
    nodes = (saveable, field(6, field(1, "saves")), field(6, field(1, "loads")))
    entries = b"".join(field(2, field(1, name) + field(2, b"")) for name in ("saves", "loads"))
    builder.extra = field(7, b"".join(field(1, node) for node in nodes) + entries)
    assert {each.where: each.when for each in find_capabilities(builder.model())} == {"saves": "call", "loads": "load"}


@pytest.mark.parametrize("collection", ["saved_model_main_op", "legacy_init_op", "table_initializer"])
def test_collections_that_loaders_run(model_bytes: Any, collection: str) -> None:
    """Ops in the collections of main ops, and of initializers where there is no main op, run on load."""
    builder = model_bytes().usual_ops().placeholder("x").node("write", "WriteFile").node("init", "NoOp", ("^write",))
    builder.extra = field(4, field(1, collection) + field(2, field(1, field(1, "init"))))
    assert only(find_capabilities(builder.model())).when == "load"


def test_initializers_of_local_variables_run_on_load(model_bytes: Any) -> None:
    """Without an init op, ``tf.saved_model.load`` initialises the local variables of a model of TensorFlow 1."""
    builder = model_bytes().usual_ops().node("read", "ReadFile").node("v/Assign", "Assign", ("v", "read"))
    variable = field(1, "v:0") + field(2, "v/Assign")
    builder.extra = field(4, field(1, "local_variables") + field(2, field(2, field(1, variable))))
    assert only(find_capabilities(builder.model())).when == "load"


def test_gradients_and_twins_run_with_their_functions(model_bytes: Any) -> None:
    """A function's gradient, and another implementation of the same thing, may run in its place."""
    twin = field(5, field(1, "api_implements") + field(2, field(2, "lstm")))
    builder = model_bytes().placeholder("x").node("call", "PartitionedCall", ("x",), func_attr("f", "plain"))
    builder.library = function_def("plain", attrs=twin) + function_def("fast", node_def("a", "PyFunc"), attrs=twin)
    builder.library += function_def("slope", node_def("b", "ReadFile")) + field(
        2, field(1, "plain") + field(2, "slope")
    )
    found = find_capabilities(builder.signature({"x": "x:0"}, {"y": "call:0"}).model())
    assert {each.where: each.when for each in found} == {"fast": "call", "slope": "call"}


def test_second_node_and_second_function_of_one_name_do_not_hide_the_first(model_bytes: Any) -> None:
    """A reader keeps the last of two with one name; both are looked at."""
    builder = model_bytes().usual_ops().placeholder("x").node("y", "ReadFile", ("x",)).compute("y", "x")
    builder.library = function_def("f", node_def("a", "WriteFile")) + function_def("f")
    found = find_capabilities(builder.signature({"x": "x:0"}, {"y": "y:0"}).model())
    assert [each.op for each in found] == ["ReadFile", "WriteFile"]


def test_op_that_is_written_in_an_unusual_way(model_bytes: Any) -> None:
    """Of two ops in one node the last counts, as protobuf reads it; names may stand behind and tags be overlong."""
    builder = model_bytes().usual_ops().placeholder("x")
    builder.nodes.append(field(1, field(2, "Add") + field(3, "x") + field(2, "ReadFile") + field(1, "late")))
    overlong = b"\x92\x00" + bytes([len("WriteFile")]) + b"WriteFile"
    builder.nodes.append(field(1, field(1, "odd") + field(2, "Add") + overlong))
    builder.nodes.append(field(1, field(1, "even") + field(2, "ReadFile") + field(2, "Add")))
    found = find_capabilities(builder.model())
    assert [(each.op, each.node) for each in found] == [("ReadFile", "late"), ("WriteFile", "odd")]


def test_large_nodes_and_functions_are_looked_at(model_bytes: Any) -> None:
    """A node with a megabyte of attributes, in the graph and in a function, is no place to hide either."""
    weight = field(5, field(1, "value") + field(2, field(8, field(4, bytes(1 << 20)))))
    builder = model_bytes().placeholder("x").node("big", "Const", (), weight)
    call = node_def("call", "PartitionedCall", ("x",), weight + func_attr("f", "inner"))
    builder.nodes.append(field(1, call))
    builder.library = function_def(
        "inner", node_def("c", "Const", (), weight), node_def("read", "ReadFile", (), weight), node_def("d", "Add")
    )
    found = only(find_capabilities(builder.signature({"x": "x:0"}, {"y": "call:0"}).model()))
    assert (found.op, found.when) == ("ReadFile", "call")


def test_circles_end(model_bytes: Any) -> None:
    """Functions that call each other, nodes in a circle and names that lead to themselves end with an answer."""
    builder = model_bytes().placeholder("x").node("a", "Identity", ("b", "x")).node("b", "Identity", ("a",))
    builder.node("read", "RestoreV2", ("a",)).node("call", "PartitionedCall", ("read",), func_attr("f", "f"))
    builder.library = function_def("f", node_def("g", "PartitionedCall", ("p",), func_attr("f", "g")), arguments=("p",))
    builder.library += function_def(
        "g", node_def("f", "PartitionedCall", ("p",), func_attr("f", "f")), node_def("w", "SaveV2", ("p",)),
        arguments=("p",),
    )  # fmt: skip
    found = find_capabilities(builder.signature({"x": "x:0"}, {"y": "call:0"}).model())
    assert [(each.op, each.when, each.own) for each in found] == [
        ("RestoreV2", "call", False),
        ("SaveV2", "call", False),
    ]


def saver(
    builder: Any, restore: tuple[str, ...], save: tuple[str, ...] = ("save/Const",), suffix: str = ".part"
) -> Any:
    """Adds a saver of TensorFlow 1, whose ops take their files from given edges."""
    builder.node("save/Const", "PlaceholderWithDefault", ("save/default",))
    builder.node("save/default", "Const", (), const_attrs("model")).node(
        "save/suffix", "Const", (), const_attrs(suffix)
    )
    builder.node("save/join", "StringJoin", (*save, "save/suffix")).node(
        "save/shard", "ShardedFilename", ("save/join",)
    )
    builder.node("save/SaveV2", "SaveV2", ("save/shard", "x")).node("save/pack", "Pack", ("save/shard", "^save/SaveV2"))
    builder.node("save/merge", "MergeV2Checkpoints", ("save/pack", "save/Const"))
    builder.node("save/done", "Identity", ("save/Const", "^save/merge"))
    builder.node("save/RestoreV2", "RestoreV2", restore).node("save/restore_all", "NoOp", ("^save/RestoreV2",))
    definition = field(1, "save/Const:0") + field(2, "save/done:0") + field(3, "save/restore_all")
    builder.extra = field(3, definition)
    return builder


def test_the_models_own_saver_is_told_and_not_counted(model_bytes: Any) -> None:
    """What reads and writes the checkpoint that loaders name is the model's own affair."""
    found = find_capabilities(saver(model_bytes().usual_ops().placeholder("x"), ("save/Const",)).model())
    assert {(each.op, each.when) for each in found} == {
        ("RestoreV2", "load"), ("SaveV2", "call"), ("ShardedFilename", "call"), ("MergeV2Checkpoints", "call")
    }  # fmt: skip
    assert all(each.own for each in found)
    assert dangers(found) == ()


@pytest.mark.parametrize("where", ["/etc/passwd", "model"])
def test_saver_that_restores_from_another_file(model_bytes: Any, where: str) -> None:
    """A constant in the place of the loader's path is another file, read on load."""
    builder = saver(model_bytes().usual_ops().placeholder("x"), ("other",)).node(
        "other", "Const", (), const_attrs(where)
    )
    found = only(find_capabilities(builder.model()))
    assert (found.op, found.when, found.target) == ("RestoreV2", "load", where)


@pytest.mark.parametrize("suffix", ["/../../x", "..", "/.", "/../"])
def test_saver_that_leaves_its_folder(model_bytes: Any, suffix: str) -> None:
    """What is put behind the loader's path may not lead out of the folder."""
    builder = saver(model_bytes().usual_ops().placeholder("x"), ("save/Const",), suffix=suffix)
    assert {each.op for each in dangers(find_capabilities(builder.model()))} >= {"SaveV2", "ShardedFilename"}


def test_saver_that_a_signature_runs(model_bytes: Any) -> None:
    """A restore that a call runs is counted: nobody feeds it the path of the checkpoint then."""
    builder = saver(model_bytes().usual_ops().placeholder("x"), ("save/Const",))
    builder.signature({"x": "x:0"}, {"y": "save/RestoreV2:0"})
    found = only(find_capabilities(builder.model()))
    assert (found.op, found.signatures) == ("RestoreV2", ("serving_default",))


def test_saver_that_nobody_uses(model_bytes: Any) -> None:
    """Models of TensorFlow 1 keep the nodes of savers that were made before: they run for nobody."""
    builder = saver(model_bytes().usual_ops().placeholder("x"), ("save/Const",))
    builder.extra = b""
    found = find_capabilities(builder.model())
    assert {each.when for each in found} == {"never"}
    assert dangers(found) == ()
    builder.node("warm", "Const", (), const_attrs("/home/me/bert.ckpt")).node("start", "RestoreV2", ("warm",))
    assert only(find_capabilities(builder.model())).target == "/home/me/bert.ckpt"


def asset(builder: Any, tensor_name: str, filename: str) -> Any:
    """Adds an asset."""
    builder.extra += field(6, field(1, field(1, tensor_name)) + field(2, filename))
    return builder


def table_model(model_bytes: Any, path: bytes, initializer: str = "path") -> Any:
    """A model whose init op fills a table from a file."""
    builder = model_bytes().usual_ops().placeholder("x").compute("y", "x").signature({"x": "x:0"}, {"y": "y:0"})
    builder.nodes.append(field(1, path))
    builder.node("table", "HashTableV2").node("fill", "InitializeTableFromTextFileV2", ("table", initializer))
    builder.node("init", "NoOp", ("^fill",))
    info = builder.info("init", 0, builder.shape(...))
    return builder.signature({}, {INIT_OP_SIGNATURE_KEY: info}, INIT_OP_SIGNATURE_KEY, "")


def test_table_that_is_filled_from_an_asset_is_own(model_bytes: Any) -> None:
    """The loader feeds the tensor of the asset with its path."""
    builder = asset(table_model(model_bytes, node_def("path", "Const", (), const_attrs("/old"))), "path:0", "words.txt")
    (found,) = find_capabilities(builder.model())
    assert (found.own, found.when, found.kind) == (True, "load", "read_file")


@pytest.mark.parametrize("filename", ["../../secret", "/etc/passwd", "C:\\secret", "a\\..\\..\\b", ""])
def test_asset_that_leads_out_of_the_folder_is_not_own(model_bytes: Any, filename: str) -> None:
    """An asset with such a name is another file."""
    builder = asset(table_model(model_bytes, node_def("path", "Placeholder")), "path:0", filename)
    assert only(find_capabilities(builder.model())).when == "load"


def test_table_that_is_filled_from_another_file(model_bytes: Any) -> None:
    """A constant path that is no asset, or one that is computed, is told by its name where it has one."""
    constant = table_model(model_bytes, node_def("path", "Const", (), const_attrs("/etc/passwd"))).model()
    assert only(find_capabilities(constant)).target == "/etc/passwd"
    computed = asset(table_model(model_bytes, node_def("path", "Placeholder"), "sum"), "path:0", "words.txt")
    computed.node("sum", "StringJoin", ("other", "path")).node("other", "Const", (), const_attrs("/etc/"))
    assert only(find_capabilities(computed.model())).target == ""


def test_constant_of_an_asset_that_a_signature_reads(model_bytes: Any) -> None:
    """In a call nobody feeds the asset's tensor: a constant keeps the value in the file."""
    builder = asset(table_model(model_bytes, node_def("path", "Const", (), const_attrs("/old"))), "path:0", "words.txt")
    builder.compute("z", "x", "^fill").signature({"x": "x:0"}, {"z": "z:0"}, "again")
    found = only(find_capabilities(builder.model()))
    assert (found.when, found.signatures, found.target) == ("load", ("again",), "/old")


@pytest.mark.parametrize("twist", ["", "assigned", "alias", "in a function"])
def test_path_of_an_asset_in_a_variable(model_bytes: Any, twist: str) -> None:
    """TensorFlow 2 keeps the path in a variable: own as long as nothing else can set that variable."""
    builder = table_model(model_bytes, node_def("path", "Placeholder"), "read")
    asset(builder, "path:0", "words.txt").node("v", "VarHandleOp", (), text_attr("shared_name", "Variable"))
    builder.node("v/Assign", "AssignVariableOp", ("v", "path")).node("read", "ReadVariableOp", ("v", "^v/Assign"))
    builder.node("other", "Const", (), const_attrs("/etc/passwd"))
    if twist == "assigned":
        builder.node("w", "AssignVariableOp", ("v", "other"))
    elif twist == "alias":
        builder.node("v2", "VarHandleOp", (), text_attr("shared_name", "Variable"))
        builder.node("w", "AssignVariableOp", ("v2", "other"))
    elif twist:
        builder.library = function_def("f", node_def("v", "VarHandleOp", (), text_attr("shared_name", "Variable")))
    (found,) = find_capabilities(builder.model())
    assert found.own == (twist == "")


@pytest.mark.parametrize(
    ("op", "attrs", "found"),
    [
        ("DecodeProtoV2", b"", False),
        ("DecodeProtoV2", text_attr("descriptor_source", "local://"), False),
        ("EncodeProto", text_attr("descriptor_source", "bytes://abc"), False),
        ("DecodeProtoV2", text_attr("descriptor_source", "/tmp/x"), True),
        ("DecodeProtoV2", field(5, field(1, "descriptor_source") + field(2, field(9, "filled_in"))), True),
        ("FixedUnigramCandidateSampler", text_attr("vocab_file", ""), False),
        ("FixedUnigramCandidateSampler", text_attr("vocab_file", "/tmp/x"), True),
        ("PrintV2", b"", True),
    ],
)
def test_ops_that_reach_a_file_only_if_told_one(model_bytes: Any, op: str, attrs: bytes, found: bool) -> None:
    """Where the attribute says that no file is used, there is nothing to tell; where it can't be read, there is."""
    assert bool(find_capabilities(model_bytes().node("n", op, (), attrs).model())) == found


def test_cache_in_memory(model_bytes: Any) -> None:
    """A dataset's cache without a file name is in memory, in a function too; one that is computed may be a file."""
    builder = model_bytes().node("d", "RangeDataset").node("none", "Const", (), const_attrs(""))
    cache = node_def("c", "CacheDatasetV2", ("d:handle:0", "none:output:0"))
    builder.library = function_def("f", node_def("none", "Const", (), const_attrs("")), cache)
    builder.node("c", "CacheDatasetV2", ("d", "none"))
    assert find_capabilities(builder.model()) == ()
    builder.node("e", "CacheDataset", ("d", "d"))
    assert {each.kind for each in find_capabilities(builder.model())} == {"read_file", "write_file"}


def test_graph_that_cannot_be_read_is_no_clean_graph(model_bytes: Any) -> None:
    """A corrupt graph or library, an impossible number of nodes and a model without bytes raise."""
    builder = model_bytes().placeholder("x").node("read", "ReadFile", ("x",)).signature({"x": "x:0"}, {"y": "x:0"})
    good = builder.model()
    with pytest.raises(FormatError, match="made from data"):
        find_capabilities(SavedModel.from_dict(good.to_dict()))
    for broken in (
        field(1, field(1, "a") + b"\x12\x7fReadFile"),
        field(1, field(1, "a") + field(2, b"\xff\xfe")),
        field(1, 7),
    ):
        builder.nodes.append(broken)
        with pytest.raises(ExplorerError):
            find_capabilities(builder.model())
        builder.nodes.pop()
    builder.library = field(1, field(3, field(2, b"\xff")))
    with pytest.raises(ExplorerError):
        find_capabilities(builder.model())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_search_never_raises_anything_else(model_bytes: Any, data: st.DataObject) -> None:
    """Whatever bytes of a model are changed, it is looked through or refused; nothing else is raised."""
    builder = saver(model_bytes().usual_ops().placeholder("x"), ("save/Const",))
    builder.node("call", "StatefulPartitionedCall", ("x",), func_attr("f", "f")).signature(
        {"x": "x:0"}, {"y": "call:0"}
    )
    builder.library = function_def("f", node_def("read", "ReadFile", ("p",)), arguments=("p",))
    builder.extra += object_graph("f")
    asset(builder, "save/default:0", "words.txt")
    raw = bytearray(builder.to_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        model = read_document(Document.of_bytes(bytes(raw)))
        found = find_capabilities(model)
    except ExplorerError:
        return
    json.dumps([each.to_dict() for each in found])


GOOD = sorted(
    path.name
    for path in (Path(__file__).resolve().parents[2] / "sample_models").iterdir()
    if path.name not in ("broken", "custom_op") and list(path.glob("*/saved_model.pb*"))
)


@pytest.mark.parametrize("name", GOOD)
def test_sample_models_reach_nothing(sample_models: Path, name: str) -> None:
    """Of ordinary models only their own checkpoint and assets are told."""
    assert scan(sample_models / name) == ()
    assert check_capabilities(explorer_model(sample_models / name)) == ()


def explorer_model(path: Path) -> SavedModel:
    """The model at a path."""
    from explorer.savedmodel.opening import open_saved_model

    return open_saved_model(path)


def test_sample_model_with_an_op_of_its_own(sample_models: Path) -> None:
    """An op from a library is unknown, with the signature and the method that run it."""
    (found,) = scan(sample_models / "custom_op")
    assert (found.op, found.kind, found.when) == ("ExampleCustomOp", "unknown", "call")
    assert (found.signatures, found.methods) == (("serving_default",), ("squash",))
    assert {each.op for each in scan(sample_models / "custom_op", own=True)} > {"ExampleCustomOp", "RestoreV2"}


def test_scan_refuses_what_it_cannot_read_whole(sample_models: Path, model_bytes: Any) -> None:
    """A path without a SavedModel and a text of which parts were not understood are never clean."""
    with pytest.raises(NotASavedModelError):
        scan(sample_models / "broken" / "lfs_pointer")
    from dataclasses import replace

    model = model_bytes().placeholder("x").model()
    assert scan(model) == ()
    with pytest.raises(FormatError, match="can't be told"):
        scan(replace(model, lossy="it has fields that are not known here"))


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process and gives its exit status and what it printed."""

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_command_tells_by_its_status(run: Run, sample_models: Path, hidden: Hidden, tmp_path: Path) -> None:
    """0 where nothing was found, 1 where something was, 2 with one line where it could not be told."""
    status, out, err = run("scan", sample_models / "linear")
    assert (status, err) == (0, "")
    assert out.startswith("nothing was found")
    status, out, err = run("scan", sample_models / "custom_op")
    assert (status, err) == (1, "")
    for word in ("ExampleCustomOp", "unknown", "__inference_squash", "serving_default", "squash()"):
        assert word in out
    for name in ("lfs_pointer", "truncated", "empty_folder", "html_page", "chunked_cpb", "no_meta_graphs"):
        status, out, err = run("scan", sample_models / "broken" / name)
        assert (status, out) == (2, "")
        assert err.count("\n") == 1
    assert run("scan", tmp_path)[0] == 2
    assert run("scan", tmp_path / "nothing")[0] == 2
    document = hidden.init_op("WriteFile").document
    assert document is not None
    (tmp_path / "saved_model.pb").write_bytes(document.to_bytes())
    status, out, err = run("scan", tmp_path)
    assert status == 1
    assert "Loading the model is enough" in out


def test_command_writes_json(run: Run, sample_models: Path) -> None:
    """The JSON lists what was found under "findings", and what is the model's own apart from it."""
    status, out, _ = run("scan", sample_models / "custom_op", "--json")
    data = json.loads(out)
    assert status == 1
    (finding,) = data["findings"]
    assert {key: finding[key] for key in ("op", "kind", "where", "when")} == {
        "op": "ExampleCustomOp", "kind": "unknown", "where": finding["function"], "when": "call",
    }  # fmt: skip
    assert {entry["op"] for entry in data["own"]} == {"RestoreV2", "SaveV2", "MergeV2Checkpoints", "ShardedFilename"}
    status, out, _ = run("scan", sample_models / "half_plus_two", "--json", "--version", 123)
    assert (status, json.loads(out)["findings"], json.loads(out)["version"]) == (0, [], 123)


def test_command_looks_at_one_meta_graph(run: Run, model_bytes: Any, tmp_path: Path) -> None:
    """With --tags only that meta graph counts; tags that there are none of are an error."""
    other = model_bytes(("train",)).node("read", "ReadFile")
    document = model_bytes().placeholder("x").model(other).document
    (tmp_path / "saved_model.pb").write_bytes(document.to_bytes())
    assert run("scan", tmp_path)[0] == 1
    assert run("scan", tmp_path, "--tags", "train")[0] == 1
    assert run("scan", tmp_path, "--tags", "serve")[0] == 0
    assert run("scan", tmp_path, "--tags", "gone")[0] == 2


def test_hostile_names_are_printed_safely(run: Run, model_bytes: Any, tmp_path: Path) -> None:
    """A name can't act on the terminal, whatever is in it."""
    name = "a\x1b[31m\n\u202eb"
    builder = model_bytes().placeholder("x").node("call", "PartitionedCall", ("x",), func_attr("f", name))
    builder.library = function_def(name, node_def(name, f"Op{name}", ()), node_def("r", "ReadFile", (name,)))
    document = builder.signature({"x": "x:0"}, {"y": "call:0"}, key=name).model().document
    (tmp_path / "saved_model.pb").write_bytes(document.to_bytes())
    status, out, _ = run("scan", tmp_path)
    assert status == 1
    assert "\x1b" not in out and "\u202e" not in out and "\\u001b" in out
    for finding in check_capabilities(explorer_model(tmp_path)):
        assert "\x1b" not in finding.message and "\n" not in finding.message


@pytest.mark.parametrize(
    ("op", "place", "severity", "says"),
    [
        ("ReadFile", "init_op", "warning", "runs when the model is loaded, by the init op"),
        ("WriteFile", "loop", "warning", "runs when 'serving_default' is called"),
        ("RpcCall", "top", "warning", "talks to other machines"),
        ("PyFunc", "call", "warning", "calls a Python function"),
        ("XlaCustomCallV2", "call", "warning", "compiled code"),
        ("NoSuchOp", "call", "warning", "not one of TensorFlow's"),
        ("PyFunc", "unreferenced", "note", "nothing that loaders offer runs it"),
        ("TPUOrdinalSelector", "call", "note", "special hardware"),
        ("PrintV2", "call", "note", "prints to 'stderr'"),
    ],
)  # fmt: skip
def test_rule_says_it_in_a_sentence(hidden: Hidden, op: str, place: str, severity: str, says: str) -> None:
    """Each kind is one finding that names op, place and time; a warning says what to do."""
    model = getattr(hidden, place)(op)
    (finding,) = check_capabilities(model)
    assert finding.severity == severity
    assert finding.code.startswith("reaches_")
    assert f"'{op}'" in finding.message and says in finding.message
    assert ("graph" if PLACES[place][0] == "graph" else "'inner'") in finding.message
    assert bool(finding.fix) == (severity == "warning")
    assert not [found for found in check(model) if found.code.startswith("reaches_")], "asked for by itself"


def test_rule_tells_the_worst_of_each_kind(model_bytes: Any) -> None:
    """What runs on load comes before what runs in a call, and the other ops of that kind are named with it."""
    builder = model_bytes().usual_ops().placeholder("x").node("r", "ReadFile", ("x",)).node("m", "MatchingFiles")
    builder.node("init", "NoOp", ("^m",)).signature({"x": "x:0"}, {"y": "r:0"}).node("w", "PrintV2", ("r",))
    builder.extra = field(4, field(1, "saved_model_main_op") + field(2, field(1, field(1, "init"))))
    findings = check_capabilities(builder.model())
    assert [(found.severity, found.code) for found in findings] == [
        ("warning", "reaches_read_file"), ("note", "reaches_write_file")
    ]  # fmt: skip
    assert "'MatchingFiles'" in findings[0].message and findings[0].message.endswith("'ReadFile' does the like")
    assert check_capabilities(builder.model(), ["serve"]) == findings


def test_rule_says_what_could_not_be_read(model_bytes: Any) -> None:
    """A graph that can't be read is an error, not silence; a model from data has none."""
    builder = model_bytes().placeholder("x")
    builder.nodes.append(field(1, field(1, b"\xff") + field(2, "ReadFile")))
    (finding,) = check_capabilities(builder.model())
    assert (finding.severity, finding.code) == ("error", "unscanned")
    assert check_capabilities(SavedModel.from_dict(builder.model().to_dict())) == ()
