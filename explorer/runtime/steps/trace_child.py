"""What the child process does: builds the function of a step, traces it, and writes down what TensorFlow made of it.

A module of ``explorer.runtime.steps.trace.KINDS`` has ``make_<kind>(options)``, which gives the Python function, its
inputs (key → ``tf.TensorSpec``) in the order of its arguments, the keys of its results in their order, and, where it
looks things up, the file names of the assets from which the tables are read; their handles are its last arguments.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from explorer.editing.steps import Step, StepTensor, Table, step_to_bytes
from explorer.errors import ExplorerError
from explorer.runtime.child import NO_TENSORFLOW
from explorer.runtime.steps.canonical import canonical_functions
from explorer.runtime.steps.trace import KINDS, OPTIONS_FILE, REFUSAL_FILE, STEP_FILE
from explorer.savedmodel.model import Shape


class Made(NamedTuple):
    """What ``make_<kind>`` gives; a plain tuple does.

    Attributes:
        function: Takes a tensor for each input, then the handle of each table; gives a tensor, or several in a tuple.
        inputs: Key → ``tf.TensorSpec``, in the order of the arguments.
        outputs: The keys of the results, in their order.
        tables: File names below ``assets/``.
    """

    function: Callable[..., Any]
    inputs: Mapping[str, Any]
    outputs: Sequence[str]
    tables: Sequence[str] = ()


def main(arguments: Sequence[str]) -> int:
    """Traces steps.

    Args:
        arguments: None; kinds and options lie in the working directory, where the steps are written to.
    """
    if importlib.util.find_spec("tensorflow") is None:
        return NO_TENSORFLOW
    wanted = json.loads(Path(OPTIONS_FILE).read_text(encoding="utf-8"))
    for number, (kind, options) in enumerate(wanted):
        try:
            made = make(kind, options)
        except ExplorerError as error:
            Path(REFUSAL_FILE).write_text(str(error), encoding="utf-8")
            return 1
        Path(STEP_FILE.format(number=number)).write_bytes(step_to_bytes(traced(made)))
    return 0


def make(kind: str, options: Mapping[str, Any]) -> Made:
    """Builds the function of a step.

    Raises:
        ExplorerError: The options don't fit.
    """
    module = importlib.import_module(KINDS[kind])
    return Made(*getattr(module, f"make_{kind}")(options))


def traced(made: Made) -> Step:
    """Traces the function of a step.

    Raises:
        ValueError: It captures something, or gives other results than it says: a fault of ours.
    """
    import tensorflow as tf

    handles = [tf.TensorSpec([], tf.resource, name=f"table_{number}") for number in range(len(made.tables))]
    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name=f"argument_{at}") for at, spec in enumerate(made.inputs.values())
    ]
    function = tf.function(made.function, input_signature=[*specs, *handles], autograph=False)
    concrete = function.get_concrete_function()
    results = tf.nest.flatten(concrete.structured_outputs)
    if concrete.captured_inputs or len(results) != len(made.outputs) or len(concrete.outputs) != len(results):
        raise ValueError(f"{made.function.__name__} captures something or gives {len(results)} results")
    with tf.Graph().as_default() as graph:
        concrete.add_to_graph(graph)
        library = graph.as_graph_def(add_shapes=True).library
    top = concrete.name.decode() if isinstance(concrete.name, bytes) else concrete.name
    name, functions = canonical_functions({one.signature.name: one for one in library.function}, top)
    return Step(
        function=name,
        library=tuple(one.SerializeToString(deterministic=True) for one in functions),
        inputs=tuple(_tensor(key, spec) for key, spec in made.inputs.items()),
        outputs=tuple(_tensor(key, result) for key, result in zip(made.outputs, results, strict=True)),
        ops=_op_list(functions),
        tables=tuple(Table(asset) for asset in made.tables),
    )


def _tensor(key: str, value: Any) -> StepTensor:
    shape = Shape(None if value.shape.rank is None else tuple(value.shape.as_list()))
    return StepTensor(key, int(value.dtype.as_datatype_enum), shape)


def _op_list(functions: Sequence[Any]) -> bytes:
    """The definitions of every op that some functions use, without their documentation, as SavedModels hold them."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.framework import op_def_registry

    own = {function.signature.name for function in functions}
    names = sorted({node.op for function in functions for node in function.node_def} - own)
    ops = op_def_pb2.OpList()
    for name in names:
        definition = ops.op.add()
        definition.CopyFrom(op_def_registry.get(name))
        definition.ClearField("summary")
        definition.ClearField("description")
        for part in (*definition.input_arg, *definition.output_arg, *definition.attr):
            part.ClearField("description")
    return bytes(ops.SerializeToString(deterministic=True))
