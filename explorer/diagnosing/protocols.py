"""Whether a signature can be called by a protocol at all, and what a change of it does to the clients of that protocol.

The rules of REST and gRPC are those of ``tensorflow_serving/util/json_tensor.cc`` and
``tensorflow_serving/servables/tensorflow/predict_util.cc`` in https://github.com/tensorflow/serving. They come down to
this: a row names exactly the inputs of the signature; a column body names all of them, and what else it names is
ignored; gRPC names exactly the inputs but for those with a default value, which REST never uses; a loaded function
takes exactly its arguments. REST answers name the outputs only where there are several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from explorer.checking.method_rules import method_faults
from explorer.diagnosing.loading import UNKNOWN
from explorer.diagnosing.tensor_changes import (
    REST,
    Protocol,
    Reason,
    has_json_form,
    input_changes,
    is_text,
    output_changes,
)
from explorer.errors import RequestError, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.model import Signature, TensorInfo
from explorer.serving.bodies import check_callable

_EXAMPLE_METHODS = (constants.CLASSIFY_METHOD_NAME, constants.REGRESS_METHOD_NAME)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A signature as the clients of one protocol meet it.

    Attributes:
        signature: What they call.
        obstacle: Why no call of it can work, empty where calls work.
        knows_outputs: Whether the outputs are known.
        names_tensors: Whether a tensor name says what is computed. Not so in a model with an object graph, where every
            output is one of a call of a function, and the call is named anew each time the model is saved.
    """

    signature: Signature
    obstacle: str = ""
    knows_outputs: bool = True
    names_tensors: bool = False


class _Matched(NamedTuple):
    """Keys of two versions: those that belong together, those that are gone, those that are new."""

    pairs: list[tuple[str, str]]
    gone: list[str]
    new: list[str]


def find_obstacle(protocol: Protocol, signature: Signature) -> str:
    """Says why no request of a protocol can reach a signature.

    Args:
        protocol: How the requests come.
        signature: The signature, which isn't reserved.

    Returns:
        A sentence without a full stop, or an empty text where nothing is in the way.
    """
    where = f"signature {quoted(signature.key)}"
    if protocol == "tf.saved_model":
        # As tried with TensorFlow 2.21: "multiple values for argument 'self'".
        return f"{where} has an input 'self', so a loaded model can't call it" if "self" in signature.inputs else ""
    if not signature.key:
        return "a request with an empty signature name means serving_default"
    if not signature.outputs:
        return f"{where} has no outputs, and TensorFlow Serving fetches at least one"
    for key, info in (*signature.inputs.items(), *signature.outputs.items()):
        if info.encoding != "name":
            return f"{quoted(key)} of {where} is encoded as {info.encoding}, and TensorFlow Serving takes plain tensors"
    if protocol == "grpc":
        return ""
    try:
        check_callable(signature)
    except RequestError as error:
        return str(error)
    for key, info in signature.outputs.items():
        if not has_json_form(info.dtype):
            return f"output {quoted(key)} of {where} is {info.dtype}, which the REST API can't write"
    return _row_obstacle(signature) if protocol == "rest_row" else ""


def find_changes(protocol: Protocol, old: Endpoint, new: Endpoint) -> Iterator[Reason]:
    """Says what became of a signature that the clients of a protocol could call, and still can."""
    yield from _input_reasons(protocol, old, new)
    if old.knows_outputs and new.knows_outputs:
        yield from _output_reasons(protocol, old, new)
    if protocol == "grpc":
        yield from _default_reasons(old.signature, new.signature)
    if protocol != "tf.saved_model":
        yield from _method_reasons(protocol, old.signature, new.signature)


def _row_obstacle(signature: Signature) -> str:
    """Why the row format is impossible: it needs a first dimension everywhere, and one batch size a side."""
    for key, info in signature.inputs.items():
        if "\0" in key:
            return f"the server cuts the input key {quoted(key)} at its NUL character where rows name it"
        if info.shape.dims and info.shape.dims[0] == 0:
            return f"input {quoted(key)} has a batch of 0, and a body has at least one row"
    for side, infos in (("input", signature.inputs), ("output", signature.outputs)):
        batches: dict[int, str] = {}
        for key, info in infos.items():
            if info.shape.rank == 0:
                return f"{side} {quoted(key)} is a scalar, and rows always have a first dimension"
            if info.shape.dims is not None and (batch := info.shape.dims[0]) is not None and batch >= 0:
                batches.setdefault(batch, key)
        if len(batches) > 1:
            (one, first), (other, second), *_ = batches.items()
            return f"{side} {quoted(first)} has a batch of {one} and {side} {quoted(second)} one of {other}"
    return ""


def _input_reasons(protocol: Protocol, old: Endpoint, new: Endpoint) -> Iterator[Reason]:
    before, after = old.signature.inputs, new.signature.inputs
    by_tensor = old.names_tensors and new.names_tensors
    matched = _match(before, after, by_tensor)
    for one, other in matched.pairs:
        name = f"input {quoted(other)}"
        if one != other:
            consequence = (
                _without_the_name(protocol) if len(before) == len(after) == 1 else "requests that send it fail"
            )
            yield Reason("breaking", f"input key {quoted(one)} renamed to {quoted(other)}: {consequence}")
        if UNKNOWN not in (before[one], after[other]):
            yield from input_changes(protocol, name, before[one], after[other])
        if by_tensor and _tensors(before[one]) != _tensors(after[other]):
            yield Reason("compatible", _retargeted(f"{name} feeds", before[one], after[other]))
    for key in matched.gone:
        if protocol == "rest_column":  # a recorded answer: inputs that the signature doesn't have are no error
            yield Reason("compatible", f"input {quoted(key)} is gone: bodies may still name it, and it is ignored")
        else:
            yield Reason("breaking", f"input {quoted(key)} is gone: requests that send it fail")
    for key in matched.new:
        if protocol == "grpc" and key in new.signature.defaults:
            yield Reason("compatible", f"input {quoted(key)} is new and has a default value: it may be left out")
        elif protocol in REST and key in new.signature.defaults:
            yield Reason("breaking", f"input {quoted(key)} is new: over REST it must be sent, its default isn't used")
        else:
            yield Reason("breaking", f"input {quoted(key)} is new: requests that don't send it fail")


def _output_reasons(protocol: Protocol, old: Endpoint, new: Endpoint) -> Iterator[Reason]:
    before, after = old.signature.outputs, new.signature.outputs
    by_tensor = old.names_tensors and new.names_tensors
    matched = _match(before, after, by_tensor)
    unnamed = protocol in REST and len(before) == len(after) == 1
    if protocol in REST and (len(before) == 1) != (len(after) == 1):
        yield Reason("breaking", _another_form(before, after))
    for one, other in matched.pairs:
        name = f"output {quoted(other)}"
        encoded = [
            is_text(info) and key.endswith(constants.BYTES_SUFFIX)
            for key, info in ((one, before[one]), (other, after[other]))
        ]
        if one != other:
            renamed = f"output key {quoted(one)} renamed to {quoted(other)}"
            if protocol in REST and is_text(before[one]) and is_text(after[other]) and encoded[0] != encoded[1]:
                sends = "now sends base64" if encoded[1] else "no longer sends base64"
                yield Reason("breaking", f"{renamed}: REST {sends}")
            elif unnamed:
                yield Reason("compatible", f"{renamed}: the only output, which answers don't name")
            else:
                yield Reason("breaking", f"{renamed}: clients that read it don't find it")
        yield from output_changes(protocol, name, before[one], after[other])
        if by_tensor and _tensors(before[one]) != _tensors(after[other]):
            yield Reason("compatible", _retargeted(f"{name} answers with", before[one], after[other]))
    for key in matched.gone:
        yield Reason("breaking", f"output {quoted(key)} is gone: clients that read it don't find it")
    for key in matched.new:
        yield Reason("compatible", f"output {quoted(key)} is new: answers hold it beside the others")


def _default_reasons(old: Signature, new: Signature) -> Iterator[Reason]:
    """Defaults that came, went or changed; only gRPC requests may leave an input out."""
    for key in old.inputs:
        if key not in new.inputs:
            continue
        name = f"input {quoted(key)}"
        if key in old.defaults and key not in new.defaults:
            yield Reason("breaking", f"{name} has no default value any more: requests that leave it out fail")
        elif key in new.defaults and key not in old.defaults:
            yield Reason("compatible", f"{name} has a default value: requests may leave it out")
        elif key in old.defaults and old.defaults[key] != new.defaults[key]:
            yield Reason(
                "compatible", f"{name} has another default value: requests that leave it out may get other numbers"
            )


def _method_reasons(protocol: Protocol, old: Signature, new: Signature) -> Iterator[Reason]:
    """What a server makes of the method names; requests to ``:classify`` and ``:regress`` hold a list, as rows do."""
    changed = old.method_name != new.method_name
    change = f"method name changed from {quoted(old.method)} to {quoted(new.method)}"
    takes_examples = protocol != "rest_column" and old.method_name in _EXAMPLE_METHODS
    if takes_examples and not method_faults(old, old.method_name):
        faults = method_faults(new, old.method_name)
        for fault in faults:
            yield Reason("breaking", f"{old.method} requests fail: {fault.message}")
        if changed and not faults:
            yield Reason(
                "breaking",
                f"{change}: {old.method} requests fail where the server compares it, as older ones always do",
            )
    elif changed and new.method_name not in constants.METHOD_NAMES:
        yield Reason("compatible", f"{change}: predict requests fail only where the server is told to compare it")
    elif changed and protocol != "rest_column":
        yield Reason("compatible", f"{change}: predict requests work either way")


def _match(before: Mapping[str, TensorInfo], after: Mapping[str, TensorInfo], by_tensor: bool) -> _Matched:
    """Finds which key is which: the same, the same tensor, the only one of its kind, or the only one there is."""
    gone = [key for key in before if key not in after]
    new = [key for key in after if key not in before]
    pairs = [(key, key) for key in before if key in after]
    renamed: list[tuple[str, str]] = []
    if len(before) == len(after) == 1 and gone:
        renamed = [(gone[0], new[0])]
    for key in [] if renamed else gone:
        if by_tensor:
            alike = [other for other in new if before[key] == after[other]]
            rivals = 1
        else:
            alike = [other for other in new if _declare_the_same(before[key], after[other])]
            rivals = sum(_declare_the_same(before[key], before[other]) for other in gone)
        alike = [other for other in alike if all(other != taken for _, taken in renamed)]
        if alike and (by_tensor or len(alike) == rivals == 1):
            renamed.append((key, alike[0]))
    sources, targets = {one for one, _ in renamed}, {other for _, other in renamed}
    return _Matched(
        pairs + renamed, [key for key in gone if key not in sources], [key for key in new if key not in targets]
    )


def _tensors(info: TensorInfo) -> tuple[object, ...]:
    """The graph tensors that it stands for, each by its role."""
    return info.tensor_name, info.components


def _declare_the_same(one: TensorInfo, other: TensorInfo) -> bool:
    return (one.dtype, one.shape, one.encoding) == (other.dtype, other.shape, other.encoding)


def _without_the_name(protocol: Protocol) -> str:
    if protocol in REST:
        return "bodies that name the input fail, plain values still work"
    if protocol == "grpc":
        return "requests that send it fail"
    return "calls that name the argument fail, positional ones still work"


def _another_form(before: Mapping[str, TensorInfo], after: Mapping[str, TensorInfo]) -> str:
    count = f"{len(after)} outputs instead of {len(before)}"
    if len(before) == 1:
        return f"{count}: REST answers become objects that name the outputs, where they were plain values"
    return f"{count}: REST answers become plain values, where they were objects that name the outputs"


def _retargeted(what: str, old: TensorInfo, new: TensorInfo) -> str:
    one, other = (quoted(", ".join(info.tensor_names)) for info in (old, new))
    return f"{what} the tensor {other} instead of {one}: answers may hold other numbers"
