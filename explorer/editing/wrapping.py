"""What is put before and behind a signature, checked against what the signature takes and answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from explorer.editing.editable import expect_text
from explorer.editing.old_graphs import meant_shape
from explorer.editing.steps import Step, StepTensor
from explorer.errors import EditError, NotFoundError, listed, quoted
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.model import DType, MetaGraph, Signature, TensorInfo


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What the new signature is.

    Attributes:
        signature: The signature that is wrapped.
        before: The step before it; None for none.
        feeds: Input key of the signature → the result of ``before`` that it gets.
        after: The step behind it; None for none.
        takes: Argument of ``after`` → the output key of the signature that it gets.
        kept: The output keys of the signature that the new one answers too.
    """

    signature: Signature
    before: Step | None
    feeds: Mapping[str, str]
    after: Step | None
    takes: Mapping[str, str]
    kept: tuple[str, ...]

    @property
    def stays(self) -> dict[str, TensorInfo]:
        """The inputs that the step feeds none of: the new signature has them as well."""
        return {key: info for key, info in self.signature.inputs.items() if key not in self.feeds}


def make_wrapping(
    meta_graph: MetaGraph,
    signature: Signature,
    before: Step | None,
    feeds: Mapping[str, str],
    after: Step | None,
    takes: Mapping[str, str],
    outputs: Iterable[str] | None,
) -> Wrapping:
    """Says what a new signature is, if everything in it fits.

    Args:
        meta_graph: The meta graph.
        signature: The signature that is wrapped.
        before: The step before it.
        feeds: Result of ``before`` → input key.
        after: The step behind it.
        takes: Argument of ``after`` → output key.
        outputs: The outputs that the new signature answers too; None for all whose keys ``after`` leaves free.

    Raises:
        EditError: Something doesn't fit; the sentence says what.
        NotFoundError: A key isn't there.
    """
    if before is None and after is None:
        raise EditError("there is nothing to add to the signature: neither a step before it nor one behind it")
    for step in (before, after):
        _expect_sound(step)
    fed = _checked_feeds(meta_graph, signature, before, feeds)
    _expect_taken(meta_graph, signature, after, takes)
    if before is not None:
        stay = [key for key in signature.inputs if key not in fed]
        for key in (one.key for one in before.inputs):
            if key in stay:
                raise EditError(
                    f"the new signature would have two inputs {quoted(key)}: that of the step, and one of signature "
                    f"{quoted(signature.key)} that the step doesn't feed; give the step's another key"
                )
    made = [] if after is None else [one.key for one in after.outputs]
    if outputs is None:
        outputs = [key for key in signature.outputs if key not in made]
    kept = list(dict.fromkeys([outputs] if isinstance(outputs, str) else outputs))
    for key in kept:
        signature.output(key)
        if key in made:
            raise EditError(
                f"the new signature would have two outputs {quoted(key)}: that of the step, and that of signature "
                f"{quoted(signature.key)}"
            )
    if not kept and not made:
        raise EditError("the new signature would have no output, and no server runs such a signature")
    return Wrapping(signature, before, fed, after, dict(takes), tuple(kept))


def _expect_sound(step: Step | None) -> None:
    """Refuses a step with two inputs or results of one key, or an asset outside the model's folder."""
    if step is None:
        return
    for what, tensors in (("arguments", step.inputs), ("results", step.outputs)):
        keys = [one.key for one in tensors]
        for key in keys:
            expect_text(key, "a key of the step")
        if len(set(keys)) < len(keys):
            raise EditError(f"two {what} of the step have one key: {listed(keys)}")
    for table in step.tables:
        expect_text(table.asset, "the file name of an asset")
        path = PurePosixPath(table.asset)
        if not path.name or path.is_absolute() or ".." in path.parts or "\0" in table.asset or "\\" in table.asset:
            raise EditError(f"{quoted(table.asset)} is no name of a file below assets/; write it like 'labels.txt'")


def _checked_feeds(
    meta_graph: MetaGraph, signature: Signature, before: Step | None, feeds: Mapping[str, str]
) -> dict[str, str]:
    """Input key → result of the step."""
    results = {} if before is None else {one.key: one for one in before.outputs}
    fed: dict[str, str] = {}
    for result, key in feeds.items():
        if result not in results:
            raise NotFoundError("result of the step", result, results)
        info = signature.input(key)
        if key in fed:
            raise EditError(f"input {quoted(key)} would get two values, {quoted(fed[key])} and {quoted(result)}")
        fed[key] = result
        _expect_fit(meta_graph, results[result], info, f"input {quoted(key)}", "the step gives")
    if before is not None and not fed:
        raise EditError(f"nothing is said about which input gets what the step gives; it gives {listed(results)}")
    return fed


def _expect_taken(meta_graph: MetaGraph, signature: Signature, after: Step | None, takes: Mapping[str, str]) -> None:
    arguments = {} if after is None else {one.key: one for one in after.inputs}
    for key in takes:
        if key not in arguments:
            raise NotFoundError("argument of the step", key, arguments)
    for key, argument in arguments.items():
        if key not in takes:
            raise EditError(
                f"nothing is said about which output the step behind the signature gets for {quoted(key)}; signature "
                f"{quoted(signature.key)} answers {listed(signature.outputs)}"
            )
        info = signature.output(takes[key])
        _expect_fit(meta_graph, argument, info, f"output {quoted(takes[key])}", "the step takes")


def _expect_fit(meta_graph: MetaGraph, tensor: StepTensor, info: TensorInfo, what: str, verb: str) -> None:
    if info.encoding != "name":
        raise EditError(f"{what} is a {info.encoding} tensor, and a step knows only plain ones")
    known = read_graph(meta_graph).tensor(info.tensor_name or "")
    dtype = info.dtype if info.dtype.number or known is None else known.dtype
    if dtype.number and tensor.type_number != dtype.base.number:
        raise EditError(f"{what} is {dtype.base}, but {verb} {DType(tensor.type_number)}")
    shape = meant_shape(meta_graph, info.shape)
    if not tensor.shape.is_compatible_with(shape):
        raise EditError(f"{what} has the shape {shape}, but {verb} {tensor.shape}, which can't be the same")
