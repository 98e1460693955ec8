"""From a request to what is run, and from what was run to what is answered: the checks and sentences of the server.

Their order is that of ``http_rest_api_handler.cc``, ``predict_util.cc``, ``classifier.cc`` and ``regressor.cc`` of
https://github.com/tensorflow/serving, and of ``GetInputValues`` in ``cc/saved_model/util.cc`` of
https://github.com/tensorflow/tensorflow. Which of several names the server mentions is arbitrary; here it is the first
in file order. ``method_name`` isn't checked, as the server doesn't unless it is started with a flag for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from explorer.errors import RequestError
from explorer.savedmodel import constants
from explorer.savedmodel.model import DType, MetaGraph, Signature
from explorer.savedmodel.tensors import Tensor
from explorer.serving.signature_defs import signature_def_text
from explorer.serving.tensor_protos import MOST_DIMS, is_tensor_dtype, parsing_error, read_tensor

EXAMPLES_KEY = "inputs"
CLASSES_KEY = "classes"
SCORES_KEY = "scores"
REGRESSION_KEY = "outputs"


@dataclass(frozen=True, slots=True)
class Call:
    """What one request makes a session run.

    Attributes:
        feeds: Tensor name → value.
        fetches: The tensor names to fetch, in the order of ``output_keys``.
        output_keys: The keys that the fetched values are answered under.
        signature: The signature that was called.
    """

    feeds: Mapping[str, Tensor]
    fetches: tuple[str, ...]
    output_keys: tuple[str, ...]
    signature: Signature


def rest_signature(meta_graph: MetaGraph, signature_name: str) -> Signature:
    """The signature that a REST predict request is read for.

    Args:
        meta_graph: The meta graph that is served.
        signature_name: The name in the request; empty for ``serving_default``.

    Raises:
        RequestError: There is none, or it takes no input.
    """
    key = signature_name or constants.DEFAULT_SIGNATURE_KEY
    signature = meta_graph.signatures.get(key)
    if signature is None:
        raise _invalid(f'Serving signature name: "{key}" not found in signature def')
    if not signature.inputs:
        raise _invalid(f"Failed to get input map for signature: {signature_name or 'DEFAULT'}")
    return signature


def predict_call(
    meta_graph: MetaGraph, signature_name: str, inputs: Mapping[str, Tensor], output_filter: Sequence[str] = ()
) -> Call:
    """What a predict request runs, by REST or gRPC.

    Args:
        meta_graph: The meta graph that is served.
        signature_name: The name in the request; empty for ``serving_default``.
        inputs: Input key → value. Only what the signature needs is looked up, so a mapping may make values then.
        output_filter: The output keys that are wanted; empty for all.

    Raises:
        RequestError: There is no such signature, or keys don't fit it.
    """
    key = signature_name or constants.DEFAULT_SIGNATURE_KEY
    signature = meta_graph.signatures.get(key)
    if signature is None:
        raise RequestError(f'Serving signature key "{key}" not found.', "FAILED_PRECONDITION")
    _check_input_count(signature, inputs)
    feeds = _feeds(signature, inputs)
    output_keys = _wanted(signature, output_filter)
    fetches = tuple([signature.outputs[wanted].tensor_name or "" for wanted in output_keys])
    if len(feeds) != len(signature.inputs):
        _refuse_repeated(signature)
    return Call(feeds, fetches, output_keys, signature)


def classify_call(meta_graph: MetaGraph, signature_name: str, examples: Tensor) -> Call:
    """What a classify request runs.

    Args:
        meta_graph: The meta graph that is served.
        signature_name: The name in the request; empty for ``serving_default``.
        examples: Serialized ``tf.Example``, ``string[n]``.

    Raises:
        RequestError: There is no such signature, it can't classify, or there is no example.
    """
    signature = _example_signature(meta_graph, signature_name)
    if len(signature.inputs) != 1:
        raise _invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise _invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if EXAMPLES_KEY not in signature.inputs:
        dump = signature_def_text(meta_graph, signature)
        raise _unfit(f"No classification inputs found in SignatureDef: {dump}")
    keys = tuple(key for key in (CLASSES_KEY, SCORES_KEY) if key in signature.outputs)
    if not keys:
        raise _unfit(
            f'Expected classification signature outputs to contain at least one of "{CLASSES_KEY}" or '
            f'"{SCORES_KEY}". Signature was: {signature_def_text(meta_graph, signature)}'
        )
    return _example_call(signature, keys, examples)


def regress_call(meta_graph: MetaGraph, signature_name: str, examples: Tensor) -> Call:
    """What a regress request runs; arguments and errors as for :func:`classify_call`."""
    signature = _example_signature(meta_graph, signature_name)
    if len(signature.inputs) != 1:
        raise _invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise _invalid("Expected one output Tensor.")
    for kind, key, infos in (
        ("inputs", EXAMPLES_KEY, signature.inputs),
        ("outputs", REGRESSION_KEY, signature.outputs),
    ):
        if key not in infos:
            dump = signature_def_text(meta_graph, signature)
            raise _unfit(f"No regression {kind} found in SignatureDef: {dump}")
    return _example_call(signature, (REGRESSION_KEY,), examples)


def classifications(call: Call, outputs: Sequence[Tensor], count: int) -> list[list[tuple[bytes, float]]]:
    """The labels and scores of each example.

    Args:
        call: What was run.
        outputs: The values of ``call.fetches``.
        count: How many examples there were.

    Returns:
        For each example, pairs of label and float32 score; an empty label or 0.0 where the signature has none.

    Raises:
        RequestError: An output has another dtype or shape than a classification.
    """
    classes, scores = _classes_and_scores(call, outputs)
    for what, tensor, dtype in ((CLASSES_KEY, classes, constants.DT_STRING), (SCORES_KEY, scores, constants.DT_FLOAT)):
        if tensor is None:
            continue
        if len(tensor.shape) != 2:
            raise _invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_printed_shape(tensor)}")
        if tensor.dtype != dtype:
            raise _invalid(f"Expected {what} Tensor of {DType(dtype).name}. Got: {DType(tensor.dtype).name}")
        if tensor.shape[0] != count:
            raise _invalid(f"Expected {what} output batch size of {count}. Got: {tensor.shape[0]}")
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise _invalid(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    present = classes if classes is not None else scores
    width = 0 if present is None else present.shape[1]
    labels = [b""] * (count * width) if classes is None else classes.texts
    numbers = [0.0] * (count * width) if scores is None else _floats(scores)
    pairs = list(zip(labels, numbers, strict=True))
    return [pairs[start * width : (start + 1) * width] for start in range(count)]


def regressions(call: Call, outputs: Sequence[Tensor], count: int) -> list[float]:
    """The float32 of each example; arguments as for :func:`classifications`.

    Raises:
        RequestError: The output has another dtype or shape than a regression.
    """
    tensor = outputs[call.fetches.index(call.signature.outputs[REGRESSION_KEY].tensor_name or "")]
    if not (len(tensor.shape) == 1 or (len(tensor.shape) == 2 and tensor.shape[1] == 1)):
        raise _invalid(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got "
            + _printed_shape(tensor)
        )
    if tensor.shape[0] != count:
        raise _invalid(f"Input batch size did not match output batch size: {count} vs. {tensor.shape[0]}")
    if tensor.dtype != constants.DT_FLOAT:
        raise _invalid(f"Expected output Tensor of DT_FLOAT.  Got: {DType(tensor.dtype).name}")
    return _floats(tensor)


def _check_input_count(signature: Signature, inputs: Mapping[str, Tensor]) -> None:
    sent, known = len(inputs), len(signature.inputs)
    if sent > known or (sent < known and not signature.defaults):
        extra, missing = set(inputs) - set(signature.inputs), set(signature.inputs) - set(inputs)
        raise _invalid(
            f"input size does not match signature: {sent}!={known} len({{{_joined(inputs)}}}) != "
            f"len({{{_joined(signature.inputs)}}}). Sent extra: {{{_joined(extra)}}}. "
            f"Missing but required: {{{_joined(missing)}}}."
        )


def _feeds(signature: Signature, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    feeds: dict[str, Tensor] = {}
    used = []
    for key, info in signature.inputs.items():
        name = info.tensor_name or ""
        if key in inputs:
            tensor = inputs[key]
            used.append(key)
            if len(tensor.shape) > MOST_DIMS or not is_tensor_dtype(tensor.dtype):
                raise parsing_error(key)
        elif key in signature.defaults:
            tensor = read_tensor(signature.defaults[key], key)
        else:
            raise _invalid(
                f"Signature input alias: {key}(feed name: {name}) not found in request and no default value provided. "
                f"Inputs expected to be in the request {{{_joined(inputs)}}}, or default input alias set: "
                + _joined(signature.defaults)
            )
        feeds[name] = tensor
    if len(used) != len(inputs):
        raise _invalid(
            f"Inputs contains invalid name. Used request inputs: {_joined(used)}, request input: {_joined(inputs)}"
        )
    return feeds


def _refuse_repeated(signature: Signature) -> None:
    """Says what the session would, of two inputs that are one tensor; a mapping of feeds can't hold them."""
    names: set[str] = set()
    for info in signature.inputs.values():
        name = info.tensor_name or ""
        if name in names:
            raise _invalid(f'Endpoint "{name}" fed more than once.')
        names.add(name)


def _wanted(signature: Signature, output_filter: Sequence[str]) -> tuple[str, ...]:
    if not output_filter:
        return tuple(signature.outputs)
    seen = set()
    for key in output_filter:
        if key not in signature.outputs:
            raise _invalid(
                f"output tensor alias not found in signature: {key} Outputs expected to be in the set "
                f"{{{_joined(signature.outputs)}}}."
            )
        if key in seen:
            raise _invalid(f"duplicate output tensor alias: {key}")
        seen.add(key)
    return tuple(output_filter)


def _example_signature(meta_graph: MetaGraph, signature_name: str) -> Signature:
    key = signature_name or constants.DEFAULT_SIGNATURE_KEY
    signature = meta_graph.signatures.get(key)
    if signature is None:
        raise _invalid(f"No signature was found with the name: {key}")
    return signature


def _example_call(signature: Signature, keys: tuple[str, ...], examples: Tensor) -> Call:
    if not examples.texts:
        raise _invalid("Input is empty.")
    feeds = {signature.inputs[EXAMPLES_KEY].tensor_name or "": examples}
    fetches = tuple(signature.outputs[key].tensor_name or "" for key in keys)
    return Call(feeds, fetches, keys, signature)


def _classes_and_scores(call: Call, outputs: Sequence[Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """Told apart by the tensor's name, as the server does: one that is both counts as the classes."""
    names = dict(zip(call.output_keys, call.fetches, strict=True))
    classes = scores = None
    for name, tensor in zip(call.fetches, outputs, strict=True):
        if name == names.get(CLASSES_KEY, ""):
            classes = tensor
        elif name == names.get(SCORES_KEY, ""):
            scores = tensor
    return classes, scores


def _floats(tensor: Tensor) -> list[float]:
    numbers: list[float] = memoryview(tensor.data).cast("f").tolist()  # type: ignore[assignment]
    return numbers


def _printed_shape(tensor: Tensor) -> str:
    return "[" + ",".join(map(str, tensor.shape)) + "]"


def _joined(names: Iterable[str]) -> str:
    return ",".join(sorted(names))


def _invalid(message: str) -> RequestError:
    return RequestError(message, "INVALID_ARGUMENT")


def _unfit(message: str) -> RequestError:
    return RequestError(message, "FAILED_PRECONDITION")
