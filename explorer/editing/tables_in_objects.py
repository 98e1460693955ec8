"""Lookup tables in the object graph of a TensorFlow 2 model, as ``tf.saved_model.save`` writes them.

``tf.saved_model.load`` makes the objects anew: a resource whose ``_create_resource`` gives the handle, whose
``_initialize`` fills it and whose ``_destroy_resource`` ends it
(https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/python/trackable/resource.py), and the asset that is
the file. They hang on the root, so that ``tf.saved_model.save`` finds them again. A checkpoint holds nothing of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from explorer.editing.table_nodes import make_constant, make_filling, make_table
from explorer.editing.two_truths import Functions
from explorer.editing.wrapper import set_arg_spec, unused
from explorer.errors import UnsupportedEditError
from explorer.savedmodel.constants import DT_INT32, DT_RESOURCE, DT_STRING
from explorer.savedmodel.model import MetaGraph
from explorer.savedmodel.object_graph import new_message
from explorer.savedmodel.object_names import CHILDREN, LOCAL_NAME, object_nodes, read_children
from explorer.savedmodel.overlay import Change, insertion_at_end
from explorer.savedmodel.reader import OBJECT_GRAPH_DEF, fields_of
from explorer.savedmodel.wire import encode_field

# saved_object_graph.proto, SavedObjectGraph; trackable_object_graph.proto, ObjectReference
_NODES, _CONCRETE_FUNCTIONS, _NODE_ID = 1, 2, 1
_ROOT_NAME: Final = "explorer_table"


class TableObjects(NamedTuple):
    """The objects of a table.

    Attributes:
        functions: The FunctionDefs behind them.
        filling: That of them which fills the table; it takes the path of the file and the handle.
        nodes: The SavedObjects, in the order of their numbers.
        concrete: Name of a function → its SavedConcreteFunction.
        table: The number of the object that is the table.
    """

    functions: tuple[Any, ...]
    filling: Any
    nodes: tuple[Any, ...]
    concrete: dict[str, Any]
    table: int


def table_objects(functions: Functions, first: int, asset_index: int, shared_name: str) -> TableObjects:
    """Makes the objects of a table.

    Args:
        functions: The meta graph; the functions come to its pending ones.
        first: The number of the first object.
        asset_index: Which entry of ``asset_file_def`` the file is.
        shared_name: A name that no other table has.
    """
    creator = _creator(functions, shared_name)
    filling = _filling(functions)
    destroyer = _destroyer(functions)
    asset, table = new_message("SavedObject"), new_message("SavedObject")
    asset.asset.SetInParent()
    asset.asset.asset_file_def_index = asset_index
    table.resource.SetInParent()
    table.children.add(node_id=first, local_name="_asset")
    nodes, concrete = [asset, table], {}
    for name, function, result in (
        ("_create_resource", creator, DT_RESOURCE), ("_initialize", filling, DT_INT32),
        ("_destroy_resource", destroyer, DT_INT32),
    ):  # fmt: skip
        table.children.add(node_id=first + len(nodes), local_name=name)
        nodes.append(_function_object(function))
        bound = (first, first + 1) if function is filling else ()
        concrete[function.signature.name] = _concrete_function(bound, result)
    return TableObjects((creator, filling, destroyer), filling, tuple(nodes), concrete, first + 1)


def object_changes(meta_graph: MetaGraph, tables: Sequence[TableObjects]) -> list[Change]:
    """The changes that put the objects of tables behind the others, and the tables under the root.

    Raises:
        UnsupportedEditError: The object graph has no root.
    """
    document, fields = meta_graph.document, object_nodes(meta_graph)
    if not fields or document is None:
        raise UnsupportedEditError("the object graph of this model is empty, so there is nothing to put a table under")
    taken = {child.name for child in read_children(document, fields[0])}
    data, references = b"", b""
    for table in tables:
        data += b"".join(encode_field(_NODES, _bytes(node)) for node in table.nodes)
        data += b"".join(
            encode_field(_CONCRETE_FUNCTIONS, encode_field(1, name) + encode_field(2, _bytes(function)))
            for name, function in table.concrete.items()
        )
        name = unused(_ROOT_NAME, taken)
        references += encode_field(CHILDREN, encode_field(_NODE_ID, table.table) + encode_field(LOCAL_NAME, name))
    graph = fields_of(document, meta_graph.field, OBJECT_GRAPH_DEF)[-1]
    return [insertion_at_end(fields[0], references), insertion_at_end(graph, data)]


def _creator(functions: Functions, shared_name: str) -> Any:
    function = _function(functions, "explorer_table_creator")
    make_table(function.node_def.add(name="table"), shared_name)
    _answer(function, "table:table_handle:0", DT_RESOURCE, acts="table")
    return function


def _filling(functions: Functions) -> Any:
    function = _function(functions, "explorer_table_initializer")
    function.signature.input_arg.add(name="path", type=DT_STRING)
    function.signature.input_arg.add(name="table", type=DT_RESOURCE)
    for place in range(2):
        function.arg_attr[place].attr["_output_shapes"].list.shape.add()
    make_filling(function.node_def.add(name="Filling"), "table", "path")
    make_constant(function.node_def.add(name="Const"), DT_INT32, 1)
    _answer(function, "Const:output:0", DT_INT32, acts="Filling")
    return function


def _destroyer(functions: Functions) -> Any:
    function = _function(functions, "explorer_table_destroyer")
    make_constant(function.node_def.add(name="Const"), DT_INT32, 1)
    _answer(function, "Const:output:0", DT_INT32)
    return function


def _function(functions: Functions, name: str) -> Any:
    function = new_message("FunctionDef")
    function.signature.name = functions.unused_function(name)
    function.attr["_construction_context"].s = b"kEagerRuntime"
    functions.pending[function.signature.name] = function
    return function


def _answer(function: Any, edge: str, type_number: int, acts: str = "") -> None:
    """Adds the result of a function; ``acts`` is a node that runs whether somebody takes the result or not."""
    result = function.node_def.add(name="Identity", op="Identity")
    result.input.append(edge)
    result.attr["T"].type = type_number
    result.attr["_output_shapes"].list.shape.add()
    function.signature.output_arg.add(name="identity", type=type_number)
    function.ret["identity"] = "Identity:output:0"
    if acts:
        result.input.append(f"^{acts}")
        function.signature.is_stateful = True
        function.signature.control_output.append(acts)
        function.control_ret[acts] = acts


def _function_object(function: Any) -> Any:
    """The SavedObject of a method without arguments."""
    saved = new_message("SavedObject")
    saved.function.concrete_functions.append(function.signature.name)
    spec = saved.function.function_spec
    set_arg_spec(spec, ())
    spec.input_signature.tuple_value.SetInParent()
    return saved


def _concrete_function(bound: Sequence[int], result: int) -> Any:
    saved = new_message("SavedConcreteFunction")
    saved.bound_inputs.extend(bound)
    positional, keyword = (saved.canonicalized_input_signature.tuple_value.values.add() for _ in range(2))
    positional.tuple_value.SetInParent()
    keyword.dict_value.SetInParent()
    spec = saved.output_signature.tensor_spec_value
    spec.name, spec.dtype = "unknown", result
    spec.shape.SetInParent()
    return saved


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString(deterministic=True)
    return data
