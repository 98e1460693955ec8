"""The functions that a TensorFlow 2 model offers besides its signatures: traces of its methods, with their arguments.

``tf.saved_model.load`` gives them back as methods (``loaded.predict(x)``). Each trace is one concrete function with
fixed dtypes, shapes and Python arguments; an entry in ``SavedObjectGraph.concrete_functions`` says what it captures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import DType, MetaGraph, Shape
from explorer.savedmodel.object_graph import SIGNATURES, object_paths, read_object_graph, read_outline


@dataclass(frozen=True, slots=True)
class FunctionTensor:
    """An argument or a result of a function.

    Attributes:
        name: Its name: that of the method's parameter, or the key or place in what the method returns.
        dtype: Its dtype.
        shape: Its shape; of unknown rank where the file doesn't say.
        arg: What the FunctionDef calls it.
    """

    name: str
    dtype: DType
    shape: Shape
    arg: str


@dataclass(frozen=True, slots=True)
class ConcreteFunction:
    """A function that the object graph offers.

    Attributes:
        name: Its name in the library.
        paths: Where it hangs below the root, ``predict`` or ``layer.call``; several methods may share a trace.
        arguments: What a caller gives, captured values left out.
        results: What it returns, flattened as TensorFlow does.
        python_arguments: The Python values that this trace was made with, ``training=False`` for example.
        is_signature: Whether it is what a signature goes through.
    """

    name: str
    paths: tuple[str, ...]
    arguments: tuple[FunctionTensor, ...]
    results: tuple[FunctionTensor, ...]
    python_arguments: tuple[str, ...] = ()
    is_signature: bool = False


def read_concrete_functions(meta_graph: MetaGraph) -> Mapping[str, ConcreteFunction]:
    """Reads the functions that the object graph of a meta graph offers.

    Args:
        meta_graph: One that was read from a file.

    Returns:
        The functions by name, those with the shortest paths first; none where there is no object graph. Functions that
        make or initialise tables are left out.

    Raises:
        FormatError: Graph or object graph is corrupt.
    """
    objects = read_object_graph(meta_graph)
    if objects is None:
        return {}
    graph = read_graph(meta_graph)
    paths: dict[str, list[str]] = {}
    parameters: dict[str, tuple[str, ...]] = {}
    signatures: set[str] = set()
    for node_id, path in object_paths(objects):
        node = objects.nodes[node_id]
        names: list[str] = []
        if node.WhichOneof("kind") == "function":
            names = list(node.function.concrete_functions)
            parameters |= dict.fromkeys(names, _parameters(node.function.function_spec))
        elif node.WhichOneof("kind") == "bare_concrete_function":
            names = [node.bare_concrete_function.concrete_function_name]
        if path[:1] == (SIGNATURES,):
            signatures.update(names)
        elif names and not path[-1].startswith("_") and not path[-1].startswith("trace_"):
            for name in names:
                paths.setdefault(name, []).append(".".join(path))
    found: dict[str, ConcreteFunction] = {}
    for name in [*paths, *sorted(signatures - set(paths))]:
        if name in objects.concrete_functions and graph.function(name) is not None:
            found[name] = _described(
                name, tuple(paths.get(name, ())), objects.concrete_functions[name], read_outline(graph, name),
                parameters.get(name, ()), name in signatures,
            )  # fmt: skip
    return found


def _parameters(spec: Any) -> tuple[str, ...]:
    """The names of a method's positional parameters, without ``self``; none where the file doesn't list them."""
    for pair in spec.fullargspec.named_tuple_value.values:
        if pair.key == "args":
            names = tuple(value.string_value for value in pair.value.list_value.values)
            return names[1:] if spec.is_method else names
    return ()


def _described(
    name: str,
    paths: tuple[str, ...],
    saved: Any,
    function: Any,
    parameters: tuple[str, ...],
    is_signature: bool,
) -> ConcreteFunction:
    signature = function.signature
    free = max(len(signature.input_arg) - len(saved.bound_inputs), 0)
    specs, python = _inputs(saved.canonicalized_input_signature, parameters)
    arguments = []
    for place, arg in enumerate(signature.input_arg[:free]):
        details = function.arg_attr[place].attr if place in function.arg_attr else {}
        spec = specs[place] if len(specs) == free else None
        given = (
            details["_user_specified_name"].s.decode("utf-8", "replace") if "_user_specified_name" in details else ""
        )
        shape = spec[1] if spec is not None else _first_shape(details)
        arguments.append(
            FunctionTensor((spec[0] if spec else "") or given or arg.name, DType(arg.type), shape, arg.name)
        )
    outputs = list(_outputs(saved.output_signature))
    results = []
    for place, arg in enumerate(signature.output_arg):
        spec = outputs[place] if len(outputs) == len(signature.output_arg) else ("", Shape(None))
        results.append(FunctionTensor(spec[0] or f"output_{place}", DType(arg.type), spec[1], arg.name))
    return ConcreteFunction(name, paths, _unique(arguments), _unique(results), tuple(python), is_signature)


def _unique(tensors: list[FunctionTensor]) -> tuple[FunctionTensor, ...]:
    """The tensors, with the FunctionDef's own names where two would be called the same."""
    names = [tensor.name for tensor in tensors]
    return tuple(
        tensor if names.count(tensor.name) == 1 else FunctionTensor(tensor.arg, tensor.dtype, tensor.shape, tensor.arg)
        for tensor in tensors
    )


def _inputs(value: Any, parameters: tuple[str, ...]) -> tuple[list[tuple[str, Shape]], list[str]]:
    """The tensors of ``(args, kwargs)`` in the order of the flattened structure, and its Python values in words."""
    specs: list[tuple[str, Shape]] = []
    python: list[str] = []
    parts = list(value.tuple_value.values)
    named: list[tuple[str, Any]] = []
    if len(parts) == 2:
        for place, item in enumerate(parts[0].tuple_value.values):
            named.append((parameters[place] if place < len(parameters) else "", item))
        fields = parts[1].dict_value.fields
        named += [(key, fields[key]) for key in sorted(fields)]
    for path, leaf in [leaf for name, item in named for leaf in _leaves(item, name, 2)]:
        kind = leaf.WhichOneof("kind")
        if kind in ("tensor_spec_value", "bounded_tensor_spec_value"):
            spec = getattr(leaf, kind)
            specs.append((spec.name or path, _shape(spec.shape)))
        elif kind == "type_spec_value":
            specs += [(name or path, shape) for name, shape in _components(leaf.type_spec_value)]
        elif kind in ("bool_value", "int64_value", "float64_value", "string_value"):
            told = repr(getattr(leaf, kind))
            python.append(f"{path}={told}" if path else told)
    return specs, python


def _outputs(value: Any) -> Iterator[tuple[str, Shape]]:
    for path, leaf in _leaves(value):
        kind = leaf.WhichOneof("kind")
        if kind in ("tensor_spec_value", "bounded_tensor_spec_value"):
            yield path, _shape(getattr(leaf, kind).shape)
        elif kind == "type_spec_value":
            yield from ((path, shape) for _, shape in _components(leaf.type_spec_value))


def _components(spec: Any) -> list[tuple[str, Shape]]:
    """The tensors of a composite, as far as its shape says: unknown here, so that the counts tell it."""
    return [("", Shape(None)) for _ in range(max(spec.num_flat_components, 1))]


def _leaves(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The leaves of a StructuredValue with the names that lead there, in the order of ``tf.nest.flatten``."""
    kind = value.WhichOneof("kind")
    if depth > 50:
        return
    if kind in ("list_value", "tuple_value"):
        for place, item in enumerate(getattr(value, kind).values):
            yield from _leaves(item, f"{path}_{place}" if path else f"output_{place}", depth + 1)
    elif kind == "dict_value":
        for key in sorted(value.dict_value.fields):
            yield from _leaves(value.dict_value.fields[key], f"{path}_{key}" if path else key, depth + 1)
    elif kind == "named_tuple_value":
        for pair in value.named_tuple_value.values:
            yield from _leaves(pair.value, f"{path}_{pair.key}" if path else pair.key, depth + 1)
    elif kind is not None:
        yield path, value


def _first_shape(details: Any) -> Shape:
    if "_output_shapes" not in details or not len(details["_output_shapes"].list.shape):
        return Shape(None)
    return _shape(details["_output_shapes"].list.shape[0])


def _shape(message: Any) -> Shape:
    if message.unknown_rank:
        return Shape(None)
    return Shape(tuple(None if dim.size == -1 else dim.size for dim in message.dim))
