"""Where running begins: what loaders start by themselves, and what somebody has to call.

Loaders restore the variables and run the init op (``tensorflow/cc/saved_model/loader.cc``); ``tf.saved_model.load``
makes and fills the resources of the object graph instead (``tensorflow/python/saved_model/load.py``), and of a model of
TensorFlow 1 without an init op it runs the initializers of tables and local variables (``load_v1_in_v2.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from explorer.errors import FormatError, quoted
from explorer.savedmodel import wire
from explorer.savedmodel.constants import INIT_OP_SIGNATURE_KEY
from explorer.savedmodel.model import MetaGraph, Signature
from explorer.savedmodel.object_names import object_nodes
from explorer.savedmodel.overlay import Document
from explorer.savedmodel.reader import COLLECTION_DEF, OBJECT_GRAPH_DEF, SAVER_DEF, fields_of, map_entry
from explorer.savedmodel.wire import LENGTH, VARINT, Field

Starter = Literal["init", "restore", "save", "signature", "method"]

RUN_ON_LOAD: Final = frozenset({"_initializer", "_create_resource", "_initialize", "_destroy_resource"})
"""Names under which objects hold functions that ``tf.saved_model.load`` runs, or the end of what it loaded."""

_RESTORE_METHODS: Final = frozenset({"_restore_from_tensors"})

# SaverDef
_FILENAME_TENSOR, _SAVE_TENSOR, _RESTORE_OP = 1, 2, 3
# CollectionDef, and its lists; VariableDef
_NODE_LIST, _BYTES_LIST, _VALUE = 1, 2, 1
_INITIALIZER_NAME = 2
_MAIN_OPS: Final = {
    "saved_model_main_op": "the init op",
    "legacy_init_op": "the init op",
    "table_initializer": "the initializers of tables",
    "saved_model_initializers": "the initializers of tables",
}
"""Collections whose ops loaders run → what these are in a sentence."""

_LOCAL_VARIABLES: Final = "local_variables"
# SavedObject, ObjectReference, SavedFunction, SavedBareConcreteFunction, SaveableObject, SavedAsset
_CHILDREN, _ASSET, _FUNCTION, _BARE_FUNCTION, _SAVEABLES = 1, 5, 6, 8, 11
_NODE_ID, _LOCAL_NAME = 1, 2
_CONCRETE_FUNCTIONS, _BARE_NAME = 1, 1
_SAVE_FUNCTION, _RESTORE_FUNCTION = 2, 3
_ASSET_INDEX = 1
# SavedObjectGraph.concrete_functions, SavedConcreteFunction.bound_inputs
_FUNCTION_ENTRIES, _BOUND_INPUTS = 2, 2
_SCAN_WINDOW: Final = 1 << 16
_SIGNATURES: Final = "signatures"
_LONGEST_PATH: Final = 20
_MOST_OBJECTS: Final = 500_000


@dataclass(frozen=True, slots=True)
class Root:
    """Something that running begins with.

    Attributes:
        starter: What starts it.
        name: The signature key or the path of a method; for what loaders start, what it is in a sentence.
        tensors: What is fetched or run of the graph: names of tensors and of nodes.
        fed: The tensors that are fed; what computes them doesn't run.
        functions: The functions that are run.
    """

    starter: Starter
    name: str
    tensors: tuple[str, ...] = ()
    fed: frozenset[str] = frozenset()
    functions: tuple[str, ...] = ()

    @property
    def on_load(self) -> bool:
        """Whether loading the model is enough to run it."""
        return self.starter in ("init", "restore")


@dataclass(frozen=True, slots=True)
class Roots:
    """Everything that running begins with.

    Attributes:
        roots: Those that loading starts come first.
        saver_file: The tensor that loaders feed with the path of the checkpoint; empty where there is no saver.
        bound: Function → the assets that the object graph gives it, by the position among its last arguments, and how
            many last arguments the object graph gives it.
    """

    roots: tuple[Root, ...]
    saver_file: str
    bound: Mapping[str, tuple[Mapping[int, int], int]]


@dataclass(slots=True)
class _Object:
    """An object of the object graph, as far as functions and assets go."""

    children: list[tuple[str, int]] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    saves: list[int] = field(default_factory=list)
    restores: list[int] = field(default_factory=list)
    asset: int | None = None


def read_roots(meta_graph: MetaGraph) -> Roots:
    """Finds where running begins.

    Args:
        meta_graph: One that was read from a file.

    Raises:
        FormatError: A part of the meta graph is corrupt.
    """
    document = meta_graph.document
    assert document is not None
    saver_file, saver = _saver(document, meta_graph)
    objects = _read_objects(document, meta_graph)
    bound = _bound_inputs(document, meta_graph, objects)
    roots = [
        *_init_ops(document, meta_graph),
        *saver,
        *_object_roots(objects, bound),
        *[_signature_root(signature) for signature in meta_graph.signatures.values()],
    ]
    return Roots(tuple(sorted(roots, key=lambda root: not root.on_load)), saver_file, bound)


def _signature_root(signature: Signature) -> Root:
    tensors = tuple(name for info in signature.outputs.values() for name in _names(info.tensor_names))
    if signature.key == INIT_OP_SIGNATURE_KEY:
        return Root("init", "the init op", tensors)
    fed = frozenset(name for info in signature.inputs.values() for name in _names(info.tensor_names))
    return Root("signature", signature.key, tensors, fed)


def _names(tensor_names: Iterable[str]) -> list[str]:
    """The tensors; those of a nested composite are read out of their list."""
    return [name for names in tensor_names for name in names.split(", ")]


def _init_ops(document: Document, meta_graph: MetaGraph) -> Iterator[Root]:
    for entry in fields_of(document, meta_graph.field, COLLECTION_DEF):
        name, _, value = map_entry(document, entry)
        if value is None or value.wire_type != LENGTH:
            continue
        if name in _MAIN_OPS:
            ops = [
                wire.text(document, item, f"a name in the collection {name}")
                for part in fields_of(document, value, _NODE_LIST)
                for item in fields_of(document, part, _VALUE)
            ]
            yield Root("init", _MAIN_OPS[name], tuple(ops))
        elif name == _LOCAL_VARIABLES:
            ops = [
                wire.text(document, initializer, "the name of an initializer")
                for part in fields_of(document, value, _BYTES_LIST)
                for item in fields_of(document, part, _VALUE)
                for initializer in fields_of(document, item, _INITIALIZER_NAME)
            ]
            yield Root("init", "the initializers of local variables", tuple(ops))


def _saver(document: Document, meta_graph: MetaGraph) -> tuple[str, list[Root]]:
    file_tensor, roots = "", []
    for saver in fields_of(document, meta_graph.field, SAVER_DEF):
        for part in wire.scan(document, saver):
            if part.wire_type != LENGTH:
                continue
            if part.number == _FILENAME_TENSOR:
                file_tensor = wire.text(document, part, "the name of the saver's tensor")
            elif part.number in (_SAVE_TENSOR, _RESTORE_OP):
                name = wire.text(document, part, "the name of an op of the saver")
                if part.number == _RESTORE_OP:
                    roots.append(Root("restore", "what restores the variables", (name,)))
                else:
                    roots.append(Root("save", "what saves the variables", (name,)))
    return file_tensor, roots


def _read_objects(document: Document, meta_graph: MetaGraph) -> list[_Object]:
    objects = []
    places = object_nodes(meta_graph)
    if len(places) > _MOST_OBJECTS:
        raise FormatError(f"the object graph has more than {_MOST_OBJECTS} objects: it is not looked through")
    for node in places:
        found = _Object()
        for part in wire.scan(document, node, _SCAN_WINDOW):
            if part.wire_type != LENGTH:
                continue
            if part.number == _CHILDREN:
                found.children.append(_reference(document, part))
            elif part.number == _FUNCTION:
                found.functions += _texts(document, part, _CONCRETE_FUNCTIONS)
            elif part.number == _BARE_FUNCTION:
                found.functions += _texts(document, part, _BARE_NAME)
            elif part.number == _SAVEABLES:
                _, _, saveable = map_entry(document, part)
                if saveable is not None and saveable.wire_type == LENGTH:
                    # A field of 0 isn't written, and node 0 is the root, which is no function.
                    found.saves += _numbers(document, saveable, _SAVE_FUNCTION)
                    found.restores += _numbers(document, saveable, _RESTORE_FUNCTION)
            elif part.number == _ASSET:
                found.asset = next(iter(_numbers(document, part, _ASSET_INDEX)), 0)
        objects.append(found)
    return objects


def _texts(document: Document, message: Field, number: int) -> list[str]:
    return [wire.text(document, part, "the name of a function") for part in fields_of(document, message, number)]


def _reference(document: Document, reference: Field) -> tuple[str, int]:
    name, node_id = "", 0
    for part in wire.scan(document, reference):
        if part.number == _NODE_ID and part.wire_type == VARINT:
            node_id = wire.number(document, part)
        elif part.number == _LOCAL_NAME:
            name = wire.text(document, part, "a name in the object graph")
    return name, node_id


def _numbers(document: Document, message: Field, number: int) -> list[int]:
    """The values of a repeated number, packed or not."""
    found: list[int] = []
    for part in wire.scan(document, message):
        if part.number != number:
            continue
        if part.wire_type == VARINT:
            found.append(wire.number(document, part))
        elif part.wire_type == LENGTH:
            data, at = wire.payload(document, part), 0
            try:
                while at < len(data):
                    value, at = wire.read_varint(data, at)
                    found.append(value)
            except IndexError:
                raise FormatError("a list of numbers ends in the middle of a number", part.value_start) from None
    return found


def _object_roots(objects: list[_Object], bound: Mapping[str, tuple[Mapping[int, int], int]]) -> Iterator[Root]:
    parents = _parents(objects)
    run_on_load = {node_id for found in objects for node_id in found.restores}
    for found in objects:
        run_on_load |= {node_id for name, node_id in found.children if name in RUN_ON_LOAD | _RESTORE_METHODS}
    seen: set[tuple[bool, str, tuple[str, ...]]] = set()
    named: set[str] = set()
    for node_id, found in enumerate(objects):
        if not found.functions:
            continue
        functions = tuple(dict.fromkeys(found.functions))
        named.update(functions)
        path, owner = _path(parents, node_id), node_id
        if path and path[-1].startswith("trace_"):  # a trace hangs below the function whose trace it is
            path, owner = path[:-1], parents[node_id][0]
        on_load = node_id in run_on_load or owner in run_on_load
        where = ".".join(path) or functions[0]
        if (on_load, where, functions) in seen:
            continue
        seen.add((on_load, where, functions))
        if on_load:
            yield Root("init", f"the object {quoted(where)}", functions=functions)
        elif path[:1] == (_SIGNATURES,) and len(path) == 2:
            yield Root("signature", path[1], functions=functions)
        else:
            yield Root("method", where, functions=functions)
    for name in bound:
        if name not in named:
            yield Root("method", name, functions=(name,))


def _parents(objects: list[_Object]) -> dict[int, tuple[int, str]]:
    """Each object that the root leads to → the nearest object that holds it, and its name there."""
    parents: dict[int, tuple[int, str]] = {0: (0, "")} if objects else {}
    pending = list(parents)
    for node_id in pending:
        for name, child in objects[node_id].children:
            if child >= len(objects):
                raise FormatError(f"the object graph refers to node {child}, but has only {len(objects)}")
            if child not in parents:
                parents[child] = (node_id, name)
                pending.append(child)
    return parents


def _path(parents: Mapping[int, tuple[int, str]], node_id: int) -> tuple[str, ...]:
    """The names that lead to an object, of a long way only the last."""
    names: list[str] = []
    while node_id in parents and node_id != 0 and len(names) < _LONGEST_PATH:
        node_id, name = parents[node_id]
        names.append(name)
    return tuple(reversed(names))


def _bound_inputs(
    document: Document, meta_graph: MetaGraph, objects: list[_Object]
) -> dict[str, tuple[Mapping[int, int], int]]:
    bound: dict[str, tuple[Mapping[int, int], int]] = {}
    for graph in fields_of(document, meta_graph.field, OBJECT_GRAPH_DEF):
        for entry in wire.scan(document, graph, _SCAN_WINDOW):
            if entry.number != _FUNCTION_ENTRIES or entry.wire_type != LENGTH:
                continue
            name, _, value = map_entry(document, entry)
            inputs = [] if value is None else _numbers(document, value, _BOUND_INPUTS)
            assets: dict[int, int] = {}
            for position, node_id in enumerate(inputs):
                asset = objects[node_id].asset if node_id < len(objects) else None
                if asset is not None:
                    assets[position] = asset
            bound[name] = (assets, len(inputs))
    return bound
