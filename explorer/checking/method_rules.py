"""What predict, classify and regress demand of a signature, as TensorFlow Serving holds it against a request.

The rules are those of ``predict_util.cc``, ``classifier.cc`` and ``regressor.cc`` in
https://github.com/tensorflow/serving/tree/master/tensorflow_serving/servables/tensorflow; what it finds out only when
an answer has come, such as a wrong rank, is read off the declared shape here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from explorer.checking.findings import Finding
from explorer.checking.scope import Scope, Side
from explorer.errors import listed, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import Signature, TensorInfo

_SUPERVISED: Final = "tensorflow/supervised/"
EXAMPLES_INPUT: Final = "inputs"
CLASSES, SCORES, OUTPUTS = "classes", "scores", "outputs"


class MethodFault(NamedTuple):
    """One demand of a method that a signature doesn't meet.

    Attributes:
        code: The rule.
        message: What is demanded and what there is, without the signature's name.
        side: The side that it is about.
        key: The input or output, None where it is about all of that side.
    """

    code: str
    message: str
    side: Literal["input", "output"]
    key: str | None = None


def check_method(scope: Scope) -> Iterator[Finding]:
    """Examines the method name of a signature, and whether the signature fits it."""
    signature = scope.signature
    if signature.is_reserved:
        return
    if signature.method_name.startswith(_SUPERVISED):
        yield scope.finding(
            "note",
            "supervised_method",
            f"{scope.name} has the method name {quoted(signature.method_name)}, which is for training and evaluation: "
            "servers don't call it",
            field="method_name",
            subject=signature.method_name,
        )
        return
    if signature.method_name not in constants.METHOD_NAMES:
        names = ", ".join(constants.METHOD_NAMES)
        named = f"the method name {quoted(signature.method_name)}" if signature.method_name else "no method name"
        yield scope.finding(
            "warning",
            "unknown_method",
            f"{scope.name} has {named}: TensorFlow Serving refuses it where it checks method names",
            f"set one of {names}",
            field="method_name",
            subject=signature.method_name,
            edit=scope.edit("set_method_name", method_name=constants.PREDICT_METHOD_NAME),
        )
        return
    for fault in method_faults(signature, signature.method_name):
        infos = scope.infos(fault.side)
        concerned = infos.values() if fault.key is None else (infos[fault.key],)
        names = ",".join(sorted(name for info in concerned for name in info.tensor_names))
        # A warning, because such a signature still answers predict requests, whatever its method name.
        yield scope.finding(
            "warning",
            fault.code,
            f"{scope.name} can't answer {signature.method} requests: {fault.message}",
            f"meet the demand, or set the method name {constants.PREDICT_METHOD_NAME}, whose clients fill any tensors",
            field="method_name" if fault.key is None else fault.side,
            key=fault.key,
            subject=names,
            edit=scope.edit("set_method_name", method_name=constants.PREDICT_METHOD_NAME),
        )


def method_faults(signature: Signature, method_name: str) -> tuple[MethodFault, ...]:
    """Says what keeps a signature from being called by a method.

    Args:
        signature: The signature, whatever its own method name is.
        method_name: One of ``constants.METHOD_NAMES``; any signature can be called by predict.

    Returns:
        The demands that aren't met.
    """
    if method_name == constants.CLASSIFY_METHOD_NAME:
        return (*_examples_faults(signature), *_classify_faults(signature))
    if method_name == constants.REGRESS_METHOD_NAME:
        return (*_examples_faults(signature), *_regress_faults(signature))
    return ()


def _examples_faults(signature: Signature) -> Iterator[MethodFault]:
    """Both methods send a batch of serialized tf.Examples, and nothing else."""
    inputs = signature.inputs
    if len(inputs) != 1 or EXAMPLES_INPUT not in inputs:
        yield MethodFault(
            "method_inputs",
            f"they fill one input named {quoted(EXAMPLES_INPUT)} with serialized tf.Examples, "
            f"but its inputs are {listed(inputs)}",
            "input",
        )
        return
    info = inputs[EXAMPLES_INPUT]
    yield from _dtype_fault(info, constants.DT_STRING, "string", "input", EXAMPLES_INPUT)
    if info.shape.rank not in (None, 1):
        yield MethodFault(
            "method_shape",
            f"input {quoted(EXAMPLES_INPUT)} gets a list of tf.Examples, shape [?], but is declared {info}",
            "input",
            EXAMPLES_INPUT,
        )


def _classify_faults(signature: Signature) -> Iterator[MethodFault]:
    outputs = signature.outputs
    if CLASSES not in outputs and SCORES not in outputs:
        yield MethodFault(
            "method_outputs",
            f"they read an output {quoted(CLASSES)} or {quoted(SCORES)}, but its outputs are {listed(outputs)}",
            "output",
        )
        return
    if len(outputs) > 2:
        yield MethodFault(
            "method_outputs",
            f"they allow at most two outputs, {quoted(CLASSES)} and {quoted(SCORES)}, "
            f"but its outputs are {listed(outputs)}",
            "output",
        )
    widths = set()
    for key, number, text in ((CLASSES, constants.DT_STRING, "string"), (SCORES, constants.DT_FLOAT, "float32")):
        if key not in outputs:
            continue
        info = outputs[key]
        yield from _dtype_fault(info, number, text, "output", key)
        if info.shape.rank not in (None, 2):
            yield MethodFault(
                "method_shape",
                f"output {quoted(key)} must have the shape [batch, classes], but is declared {info}",
                "output",
                key,
            )
        elif info.shape.dims is not None:
            widths.add(info.shape.dims[1])
    if len(widths - {None}) > 1:
        yield MethodFault(
            "method_shape",
            f"{quoted(CLASSES)} and {quoted(SCORES)} must be equally many, but are declared {outputs[CLASSES]} and "
            f"{outputs[SCORES]}",
            "output",
        )


def _regress_faults(signature: Signature) -> Iterator[MethodFault]:
    outputs = signature.outputs
    if len(outputs) != 1 or OUTPUTS not in outputs:
        yield MethodFault(
            "method_outputs",
            f"they read one output named {quoted(OUTPUTS)}, but its outputs are {listed(outputs)}",
            "output",
        )
        return
    info = outputs[OUTPUTS]
    yield from _dtype_fault(info, constants.DT_FLOAT, "float32", "output", OUTPUTS)
    dims = info.shape.dims
    if dims is not None and not (len(dims) == 1 or (len(dims) == 2 and dims[1] in (None, 1))):
        yield MethodFault(
            "method_shape",
            f"output {quoted(OUTPUTS)} must have the shape [batch] or [batch, 1], but is declared {info}",
            "output",
            OUTPUTS,
        )


def _dtype_fault(info: TensorInfo, number: int, text: str, side: Side, key: str) -> Iterator[MethodFault]:
    if info.dtype.base.number not in (number, constants.DT_INVALID):
        yield MethodFault(
            "method_dtype", f"{side} {quoted(key)} must be {text}, but is declared {info.dtype}", side, key
        )
