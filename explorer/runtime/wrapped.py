"""A model with one more signature: what all steps before an input have in common.

A step is traced by TensorFlow, in a child process; what runs there is ours, and nothing of the model. Putting it before
a signature is an edit of the file: weights, the old signatures and everything else stay as they are.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from explorer.editing.preprocessing import add_wrapped_signature
from explorer.errors import EditError
from explorer.runtime.answer_options import METHOD_NAMES, AnswerOptions, answer_options_for, answer_words
from explorer.runtime.image_options import ImageOptions
from explorer.runtime.steps.trace import TIMEOUT_S, trace_all
from explorer.savedmodel.model import SavedModel, Signature

Tags = Iterable[str] | None
Labels = str | os.PathLike[str] | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A model with one more signature.

    Attributes:
        model: The model, still to be exported.
        signature_key: The new signature.
        plain_key: The one that it leads to.
        words: What is done with an input before the model gets it, and with an output behind it, in a sentence.
        reasons: What was chosen, and why.
        image: How pictures are brought into shape, where they are.
    """

    model: SavedModel
    signature_key: str
    plain_key: str
    words: str
    reasons: tuple[tuple[str, str], ...] = ()
    image: ImageOptions | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for besides the step before the inputs.

    Attributes:
        new_signature_key: The key of the new signature; None for the usual one.
        method: ``predict``, ``classify`` or ``regress``.
        output_key: The output that classes or a number are made of; None for the one that fits best.
        labels: The names of the classes: a list, or the path of a text file with one a line.
        tags: The meta graph.
        timeout_s: How long TensorFlow may take to trace a step, in seconds.
        cancel: Ends it when it is set.
    """

    new_signature_key: str | None = None
    method: str = "predict"
    output_key: str | None = None
    labels: Labels = None
    tags: Tags = None
    timeout_s: float = TIMEOUT_S
    cancel: threading.Event | None = None


def expect_predict(wanted: Wanted) -> None:
    """Refuses the methods that send tf.Examples.

    Raises:
        EditError: It is one of them.
    """
    if wanted.method in METHOD_NAMES:
        raise EditError(
            f"{wanted.method} requests hold tf.Examples and nothing else, so this signature would never get one; wrap "
            "it with 'example' for that, or leave the method at predict"
        )


def answer_of(signature: Signature, wanted: Wanted) -> AnswerOptions | None:
    """What becomes of an output; None where all stay as they are.

    Raises:
        EditError: No output can be such an answer, or the labels don't fit it.
    """
    method = wanted.method
    if method == "predict":
        if wanted.labels is None:
            return None
        method = "classify"  # predict answers the classes beside what the model answers
    return answer_options_for(signature, method, wanted.output_key, wanted.labels)


def add_signature(
    model: SavedModel,
    signature_key: str,
    step: tuple[str, Mapping[str, Any]],
    wanted: Wanted,
    *,
    feeds: str | None = None,
    usual_key: str,
    words: str,
    reasons: tuple[tuple[str, str], ...] = (),
    image: ImageOptions | None = None,
    made_by: Mapping[str, object] | None = None,
) -> Wrapped:
    """Traces a step and puts it before a signature, and what else is wanted behind it.

    Args:
        model: The model, edited or not.
        signature_key: The signature.
        step: The kind and the options of the step before it.
        wanted: What is asked for besides.
        feeds: The input that the step's one result feeds; None where its results have the keys of the inputs.
        usual_key: The key of the new signature where none is asked for.
        words: What the step does.
        reasons: What was chosen for it, and why.
        image: How pictures are brought into shape.
        made_by: The call that this is a part of.

    Raises:
        EditError: It can't be put there, or no output can be such an answer.
        RunError: TensorFlow isn't installed, or failed.
    """
    new_key = wanted.new_signature_key or usual_key
    answer = answer_of(model.meta_graph(wanted.tags).signature(signature_key), wanted)
    steps = [step] if answer is None else [step, (answer.method, answer.to_dict())]
    before, *behind = trace_all(steps, timeout_s=wanted.timeout_s, cancel=wanted.cancel)
    fed = {one.key: one.key if feeds is None else feeds for one in before.outputs}
    arguments: dict[str, Any] = {"before": before, "feeds": fed, "tags": wanted.tags, "made_by": made_by}
    if answer is not None:
        (after,) = behind
        tables = tuple(dataclasses.replace(table, content=answer.asset_bytes) for table in after.tables)
        arguments["after"] = dataclasses.replace(after, tables=tables)
        arguments["takes"] = {answer.output_key: answer.output_key}
        words = f"{words}; {answer_words(answer)}"
        reasons = (*reasons, *answer.reasons)
        if wanted.method != "predict":
            arguments["outputs"] = ()
            arguments["method_name"] = answer.method_name
    edited = add_wrapped_signature(model, signature_key, new_key, **arguments)
    return Wrapped(edited, new_key, signature_key, words, reasons, image)
