"""Every edit of a signature, each applied to a copy of it, with what the copy must answer then.

All copies of a model stand in one export, so that every consumer loads it once and judges every edit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from explorer.checking.checks import check, new_errors
from explorer.editing import edits
from explorer.editing.two_truths import Functions, read_plan
from explorer.errors import EditError, ExplorerError
from explorer.savedmodel.concrete_functions import read_concrete_functions
from explorer.savedmodel.graph import Graph, read_graph, split_tensor_name
from explorer.savedmodel.inner_tensors import InnerTensor, inner_tensors
from explorer.savedmodel.loops import is_in_graph_loop
from explorer.savedmodel.model import MetaGraph, SavedModel, Signature, TensorInfo

_HANDLES = (20, 21)  # DT_RESOURCE, DT_VARIANT
_FIRST_REF = 100
_MOST_EXPOSED = 12


@dataclass(frozen=True)
class Inner:
    """A tensor whose value is an answer, or is fed.

    Attributes:
        name: Its name, as an edit takes it.
        path: The call nodes that lead to its function; none for a tensor of the graph.
        tensor: What it is called in its function, or in the graph.
    """

    name: str
    path: tuple[str, ...]
    tensor: str


@dataclass(frozen=True)
class Case:
    """A signature that an edit made, and what it must be.

    Attributes:
        edit: The edit.
        source_key: The signature of the source that it was made of.
        key: Its own key.
        is_absent: Whether it must not be there.
        inputs: Name of each input → its name in the source, or the tensor whose value is fed.
        outputs: Name of each output → its name in the source, or the tensor whose value it is.
        bound: Inputs of the source that the edit gave a value.
        bits: Whether no function body changes, so that the answers are the same bits however grappler optimises.
        method_name: Its method name; None for that of the source.
        defaults: Its default values; None for those of the source, under the new names.
        refused: Inputs that must be refused when they are fed in the place of others.
    """

    edit: str
    source_key: str
    key: str
    inputs: Mapping[str, str | Inner]
    outputs: Mapping[str, str | Inner]
    is_absent: bool = False
    bound: Mapping[str, np.ndarray] = field(default_factory=dict)
    bits: bool = True
    method_name: str | None = None
    defaults: Mapping[str, np.ndarray] | None = None
    refused: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """A signature to edit.

    Attributes:
        model: The model as edits before this one left it.
        source: The signature in the source.
        key: The key for the new one.
        tags: Its meta graph.
        request: A request to the source, by the names that ``tf.saved_model.load`` has for inputs.
        is_random: Says of a tensor whether its value differs from run to run.
    """

    model: SavedModel
    source: Signature
    key: str
    tags: frozenset[str]
    request: Mapping[str, np.ndarray]
    is_random: Callable[[str], bool] = lambda name: False

    def copied(self) -> SavedModel:
        """The model with a copy of the signature."""
        return edits.copy_signature(self.model, self.source.key, self.key, tags=self.tags)

    def case(self, edit: str, **changes: Any) -> Case:
        """A case in which inputs and outputs are those of the source unless told otherwise."""
        same = Case(edit, self.source.key, self.key, same_names(self.source.inputs), same_names(self.source.outputs))
        return replace(same, **changes)

    @property
    def meta_graph(self) -> MetaGraph:
        """The meta graph."""
        return self.model.meta_graph(self.tags)

    def tensors(self) -> list[Inner]:
        """The tensors that the answer of the signature depends on, in the order of the file."""
        return [inner for inner in _tensors(self.meta_graph, self.source) if not self.is_random(inner.name)]


def names_of(key: str, info: TensorInfo) -> list[str]:
    """What ``tf.saved_model.load`` calls an input or output."""
    return (
        [f"{key}_{part}" for part in ("indices", "values", "dense_shape")] if info.encoding == "coo_sparse" else [key]
    )


def same_names(infos: Mapping[str, TensorInfo]) -> dict[str, str]:
    """Each name as it is."""
    return {name: name for key, info in infos.items() for name in names_of(key, info)}


def renamed(infos: Mapping[str, TensorInfo], keys: Mapping[str, str]) -> dict[str, str]:
    """New names → old names, for some keys that were renamed."""
    return {
        new: old
        for key, info in infos.items()
        for new, old in zip(names_of(keys.get(key, key), info), names_of(key, info), strict=True)
    }


def _tensors(meta_graph: MetaGraph, signature: Signature) -> Iterator[Inner]:
    if meta_graph.has_object_graph:
        functions = Functions(meta_graph)
        plan = read_plan(functions, signature)

        def find(name: str) -> Any:
            return functions.find(name) if functions.graph.function(name) is not None else None

        for call in plan.calls:
            for tensor in inner_tensors(functions.graph, [(call.path, call.function)], find):
                if _is_value(tensor):
                    yield Inner(tensor.name, tensor.path, tensor.edge)
        return
    graph = read_graph(meta_graph)
    fed = {name for info in signature.inputs.values() for name in _tensor_names(info)}
    behind = _nodes_behind(graph, [name for info in signature.outputs.values() for name in _tensor_names(info)], fed)
    for name in graph.nodes:
        if name in behind and not is_in_graph_loop(graph, name):
            for index in range(graph.output_count(name) or 0):
                found = graph.tensor(f"{name}:{index}")
                if found is not None and found.dtype.number < _FIRST_REF and found.dtype.number not in _HANDLES:
                    yield Inner(found.name, (), found.name)


def _nodes_behind(graph: Graph, tensor_names: list[str], fed: set[str]) -> set[str]:
    """The nodes that run for some tensors."""
    found: set[str] = set()
    pending = list(tensor_names)
    while pending:
        edge = pending.pop()
        name = edge.removeprefix("^").partition(":")[0]
        tensor_name = edge if ":" in edge else f"{name}:0"
        if (edge[:1] != "^" and tensor_name in fed) or name in found:
            continue
        found.add(name)
        pending += graph.nodes[name].inputs
    return found


def _tensor_names(info: TensorInfo) -> list[str]:
    return list(info.components.values()) if info.encoding == "coo_sparse" else [info.tensor_name or ""]


def _is_value(tensor: InnerTensor) -> bool:
    return tensor.dtype.base.number not in _HANDLES


Build = Callable[[Subject], tuple[SavedModel, Case]]


class NothingToEdit(EditError):
    """A signature that an edit has nothing to do with; the test's table must know of it."""


def _rename_signature(subject: Subject) -> tuple[SavedModel, Case]:
    model = edits.copy_signature(subject.model, subject.source.key, f"{subject.key} before", tags=subject.tags)
    model = edits.rename_signature(model, f"{subject.key} before", subject.key, tags=subject.tags)
    return model, subject.case("rename_signature")


def _copy_signature(subject: Subject) -> tuple[SavedModel, Case]:
    return subject.copied(), subject.case("copy_signature")


def _remove_signature(subject: Subject) -> tuple[SavedModel, Case]:
    model = edits.remove_signature(subject.copied(), subject.key, tags=subject.tags)
    return model, subject.case("remove_signature", is_absent=True)


def _set_method_name(subject: Subject) -> tuple[SavedModel, Case]:
    other = "predict" if subject.source.method_name != "tensorflow/serving/predict" else "other"
    method_name = f"tensorflow/serving/{other}"
    model = edits.set_method_name(subject.copied(), subject.key, method_name, tags=subject.tags)
    return model, subject.case("set_method_name", method_name=method_name)


def _rename_input(subject: Subject) -> tuple[SavedModel, Case]:
    """All inputs, so that their order is the other way round."""
    keys = {key: f"{chr(ord('z') - place)}_new" for place, key in enumerate(sorted(subject.source.inputs))}
    model = subject.copied()
    for key, new_key in keys.items():
        model = edits.rename_input(model, subject.key, key, new_key, tags=subject.tags)
    return model, subject.case("rename_input", inputs=renamed(subject.source.inputs, keys))


def _rename_output(subject: Subject) -> tuple[SavedModel, Case]:
    keys = {key: f"{chr(ord('z') - place)} größer/{key}" for place, key in enumerate(sorted(subject.source.outputs))}
    model = subject.copied()
    for key, new_key in keys.items():
        model = edits.rename_output(model, subject.key, key, new_key, tags=subject.tags)
    return model, subject.case("rename_output", outputs=renamed(subject.source.outputs, keys))


def _remove_output(subject: Subject) -> tuple[SavedModel, Case]:
    first, *others = sorted(subject.source.outputs)
    model = subject.copied()
    if others:
        kept = {key: subject.source.outputs[key] for key in others}
        model = edits.remove_output(model, subject.key, first, tags=subject.tags)
        return model, subject.case("remove_output", outputs=same_names(kept))
    inner = _middle(subject)  # an answer must stay
    model = edits.add_output(model, subject.key, "added", inner.name, tags=subject.tags)
    model = edits.remove_output(model, subject.key, first, tags=subject.tags)
    return model, subject.case("remove_output", outputs={"added": inner}, bits=False)


def _add_output(subject: Subject) -> tuple[SavedModel, Case]:
    inner = _middle(subject)
    model = edits.add_output(subject.copied(), subject.key, "added", inner.name, tags=subject.tags)
    outputs = {**same_names(subject.source.outputs), "added": inner}
    return model, subject.case("add_output", outputs=outputs, bits=False)


def _add_every_output(subject: Subject) -> tuple[SavedModel, Case]:
    """Tensors from all along the way to the answer, at once."""
    model, outputs = subject.copied(), dict[str, str | Inner](same_names(subject.source.outputs))
    for place, inner in enumerate(_spread(subject.tensors(), _MOST_EXPOSED)):
        signature = model.meta_graph(subject.tags).signatures[subject.key]
        # An edit gives the signature a call node of its own, with which the whole names then begin.
        name = next(
            other.name
            for other in _tensors(model.meta_graph(subject.tags), signature)
            if (other.path[1:], other.tensor) == (inner.path[1:], inner.tensor)
        )
        model = edits.add_output(model, subject.key, f"added_{place}", name, tags=subject.tags)
        outputs[f"added_{place}"] = inner
    return model, subject.case("add_every_output", outputs=outputs, bits=False)


def _set_output_tensor(subject: Subject) -> tuple[SavedModel, Case]:
    first = sorted(subject.source.outputs)[0]
    refusal: ExplorerError = NothingToEdit("there is no tensor that an output could become")
    for inner in _from_the_middle(subject):
        try:
            model = edits.set_output_tensor(subject.copied(), subject.key, first, inner.name, tags=subject.tags)
        except EditError as error:
            refusal = error
            continue
        outputs = {**same_names(subject.source.outputs), first: inner}
        return model, subject.case("set_output_tensor", outputs=outputs, bits=False)
    raise refusal


def _set_input_tensor(subject: Subject) -> tuple[SavedModel, Case]:
    """A tensor half way to the answer that an input can become."""
    refusal: ExplorerError = NothingToEdit("there is no tensor that an input could become")
    before = check(subject.copied())
    for inner in _from_the_middle(subject):
        for key, info in subject.source.inputs.items():
            if info.encoding != "name":
                continue
            try:
                model = edits.set_input_tensor(subject.copied(), subject.key, key, inner.name, tags=subject.tags)
            except ExplorerError as error:
                refusal = error
                continue
            if errors := new_errors(before, check(model)):
                refusal = EditError(errors[0].message)
                continue
            inputs = {**same_names(subject.source.inputs), key: inner}
            return model, subject.case("set_input_tensor", inputs=inputs, bits=False)
    raise refusal


def _from_the_middle(subject: Subject) -> list[Inner]:
    """The tensors that neither a request nor an answer holds anyway, those half way first."""
    present = {info.tensor_name for info in (*subject.source.inputs.values(), *subject.source.outputs.values())}
    found = [inner for inner in subject.tensors() if inner.name not in present]
    places = sorted(range(len(found)), key=lambda place: abs(place - len(found) // 2))
    return [found[place] for place in places]


def _add_signature(subject: Subject) -> tuple[SavedModel, Case]:
    inputs = {f"in_{key}": _plain_name(info) for key, info in subject.source.inputs.items()}
    outputs = {f"out_{key}": _plain_name(info) for key, info in subject.source.outputs.items()}
    model = edits.add_signature(subject.model, subject.key, inputs, outputs, tags=subject.tags)
    case = subject.case(
        "add_signature",
        inputs={f"in_{key}": key for key in subject.source.inputs},
        outputs={f"out_{key}": key for key in subject.source.outputs},
        method_name="tensorflow/serving/predict",
        defaults={},
    )
    return model, case


def _plain_name(info: TensorInfo) -> str:
    if info.encoding != "name":
        raise NothingToEdit("add_signature knows plain tensors only")
    name = info.tensor_name or ""
    return name if split_tensor_name(name)[1] is not None else f"{name}:0"


def _spread(values: list[Inner], most: int) -> list[Inner]:
    step = max(1, -(-len(values) // most))
    return values[::step]


def _middle(subject: Subject) -> Inner:
    found = _from_the_middle(subject)
    if not found:
        raise NothingToEdit("the signature computes nothing in between")
    return found[0]


def _remove_input(subject: Subject) -> tuple[SavedModel, Case]:
    """An input of which a cut has left nothing."""
    refusal: ExplorerError | None = None
    before = check(subject.copied())
    pairs = [(key, other) for key in subject.source.inputs for other in subject.source.inputs if key != other]
    for inner in _from_the_middle(subject) if pairs else []:
        for key, other in pairs:
            try:
                model = edits.set_input_tensor(subject.copied(), subject.key, key, inner.name, tags=subject.tags)
                model = edits.remove_input(model, subject.key, other, tags=subject.tags)
            except ExplorerError as error:
                refusal = error
                continue
            if errors := new_errors(before, check(model)):
                refusal = EditError(errors[0].message)
                continue
            kept = {name: info for name, info in subject.source.inputs.items() if name != other}
            return model, subject.case("remove_input", inputs={**same_names(kept), key: inner}, bits=False)
    if refusal is not None:
        raise refusal
    model = edits.remove_input(subject.copied(), subject.key, next(iter(subject.source.inputs)), tags=subject.tags)
    return model, subject.case("remove_input", inputs={})


def _bind_input(subject: Subject) -> tuple[SavedModel, Case]:
    first, value = _first_input(subject)
    model = edits.bind_input(subject.copied(), subject.key, first, value, tags=subject.tags)
    kept = {key: info for key, info in subject.source.inputs.items() if key != first}
    return model, subject.case("bind_input", inputs=same_names(kept), bound={first: value})


def _set_input_shape(subject: Subject) -> tuple[SavedModel, Case]:
    """The shape of the request where any was allowed."""
    for key, info in subject.source.inputs.items():
        shape = info.shape
        value = subject.request[names_of(key, info)[-1]]
        if value.ndim and shape.dims != value.shape:
            model = edits.set_input_shape(subject.copied(), subject.key, key, list(value.shape), tags=subject.tags)
            axis = 0 if shape.dims is None else shape.dims.index(None)
            others = {name: other for name, other in subject.request.items() if axis == 0 and name != key}
            # Where it was the batch, the other inputs grow with it.
            refused = {name: np.concatenate([other, other]) for name, other in others.items() if _grows(other, value)}
            refused[key] = np.concatenate([value, value], axis)
            return model, subject.case("set_input_shape", refused=refused)
    raise NothingToEdit("every input has one shape")


def _grows(other: np.ndarray, value: np.ndarray) -> bool:
    return other.ndim > 0 and other.shape[0] == value.shape[0]


def _set_default(subject: Subject) -> tuple[SavedModel, Case]:
    first, value = _first_input(subject)
    if value.dtype == object:  # another than it may have
        other = np.array([text + b"?" for text in value.ravel().tolist()], object).reshape(value.shape)
    else:
        other = np.asarray(~value if value.dtype == bool else value + 1, value.dtype)
    model = edits.set_default(subject.copied(), subject.key, first, other, tags=subject.tags)
    return model, subject.case("set_default", defaults={first: other})


def _remove_default(subject: Subject) -> tuple[SavedModel, Case]:
    first, value = _first_input(subject)
    model = subject.copied()
    if first not in subject.source.defaults:
        model = edits.set_default(model, subject.key, first, value, tags=subject.tags)
    model = edits.remove_default(model, subject.key, first, tags=subject.tags)
    return model, subject.case("remove_default", defaults={})


def _first_input(subject: Subject) -> tuple[str, np.ndarray]:
    """An input with its value in the request: a plain one where there is one, if possible one with a default."""
    inputs, defaults = subject.source.inputs, subject.source.defaults
    key = min(inputs, key=lambda key: (inputs[key].encoding != "name", key not in defaults, key))
    return key, subject.request[names_of(key, inputs[key])[-1]]


def _add_signature_from_function(subject: Subject) -> tuple[SavedModel, Case]:
    """The function that the signature goes through; other functions have a test of their own."""
    if not subject.meta_graph.has_object_graph:
        edits.add_signature_from_function(subject.model, subject.key, "call", tags=subject.tags)
    keys = sorted(subject.source.outputs)
    functions = [
        function
        for function in read_concrete_functions(subject.meta_graph).values()
        if not function.is_signature
        and {tensor.name for tensor in function.arguments} == set(subject.source.inputs)
        and "training=True" not in function.python_arguments
    ]
    # A function that returns no dict has results without names; one with the right names is the better guess.
    for wanted in (keys, ["output_0"] * (len(keys) == 1)):
        for function in functions:
            if wanted and [tensor.name for tensor in function.results] == wanted:
                model = edits.add_signature_from_function(
                    subject.model, subject.key, function.name,
                    {f"of_{key}": key for key in subject.source.inputs},
                    {f"to {key}": result for key, result in zip(keys, wanted, strict=True)},
                    tags=subject.tags,
                )  # fmt: skip
                inputs = {f"of_{key}": key for key in subject.source.inputs}
                outputs = {f"to {key}": key for key in keys}
                return model, subject.case("add_signature_from_function", inputs=inputs, outputs=outputs, defaults={})
    raise NothingToEdit("no function of the object graph is the one behind the signature")


EDITS: dict[str, Build] = {
    "rename_signature": _rename_signature,
    "copy_signature": _copy_signature,
    "remove_signature": _remove_signature,
    "set_method_name": _set_method_name,
    "rename_input": _rename_input,
    "rename_output": _rename_output,
    "remove_output": _remove_output,
    "add_output": _add_output,
    "add_every_output": _add_every_output,
    "set_output_tensor": _set_output_tensor,
    "set_input_tensor": _set_input_tensor,
    "add_signature": _add_signature,
    "add_signature_from_function": _add_signature_from_function,
    "remove_input": _remove_input,
    "bind_input": _bind_input,
    "set_input_shape": _set_input_shape,
    "set_default": _set_default,
    "remove_default": _remove_default,
}
"""Edit → how it is applied to a signature."""


@dataclass(frozen=True)
class Refusal:
    """An edit that could not be done.

    Attributes:
        edit: The edit.
        source_key: The signature.
        sentence: Why not.
        model: The edited model where only the export is refused.
    """

    edit: str
    source_key: str
    sentence: str
    model: SavedModel | None = None


@dataclass(frozen=True)
class Batch:
    """A model with every edit in it.

    Attributes:
        model: The model.
        cases: What was made.
        refusals: What was refused.
    """

    model: SavedModel
    cases: list[Case]
    refusals: list[Refusal]


def every_edit(
    model: SavedModel,
    tags: frozenset[str],
    requests: Mapping[str, Mapping[str, np.ndarray]],
    is_random: Callable[[str], bool],
    names: Collection[str],
) -> Batch:
    """Applies every edit to a copy of every signature.

    Args:
        model: The model.
        tags: The meta graph.
        requests: Signature key → a request to it.
        is_random: Says of a tensor whether its value differs from run to run.
        names: The edits to apply.
    """
    source = model.meta_graph(tags)
    before = check(model)
    cases: list[Case] = []
    refusals: list[Refusal] = []
    for number, signature in enumerate(source.callable_signatures.values()):
        for edit, build in EDITS.items():
            if edit not in names:
                continue
            subject = Subject(model, signature, f"{edit}.{number}", tags, requests.get(signature.key, {}), is_random)
            try:
                edited, case = build(subject)
            except ExplorerError as error:
                refusals.append(Refusal(edit, signature.key, str(error)))
                continue
            if errors := new_errors(before, check(edited)):
                refusals.append(Refusal(edit, signature.key, errors[0].message, edited))
                continue
            model = edited
            cases.append(case)
    return Batch(model, cases, refusals)
