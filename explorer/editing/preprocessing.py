"""One more signature, with a step before the inputs of another one, behind its outputs, or both.

A step is a function that TensorFlow traced elsewhere (:mod:`explorer.editing.steps`). In a model of TensorFlow 2 it
becomes one more call in what the signature computes, so that both truths have it; in a graph of TensorFlow 1 it becomes
a node. The old signature, the weights and all else stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from explorer.editing.editable import (
    Tags,
    document_of,
    editable,
    edited,
    expect_new_signature_key,
    expect_signature,
    expect_text,
)
from explorer.editing.steps import Step, StepTensor, Table, step_from_data, step_to_data
from explorer.editing.tables_in_graph import add_tables
from explorer.editing.two_truths import Functions
from explorer.editing.wrapped_in_graph import wrapped_in_graph
from explorer.editing.wrapped_in_plan import wrapped_in_plan
from explorer.editing.wrapping import make_wrapping
from explorer.savedmodel import constants
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.overlay import apply_changes
from explorer.savedmodel.reader import reread

__all__ = ["Step", "StepTensor", "Table", "add_wrapped_signature"]


def add_wrapped_signature(
    model: SavedModel,
    signature_key: str,
    new_signature_key: str,
    *,
    before: Step | Mapping[str, object] | None = None,
    feeds: Mapping[str, str] | None = None,
    after: Step | Mapping[str, object] | None = None,
    takes: Mapping[str, str] | None = None,
    outputs: Iterable[str] | None = None,
    method_name: str | None = None,
    made_by: Mapping[str, object] | None = None,
    tags: Tags = None,
) -> SavedModel:
    """Adds a signature that runs a step before another signature, behind it, or both.

    Args:
        model: The model.
        signature_key: The signature that is wrapped; it stays as it is, and so do all others.
        new_signature_key: The key of the new one.
        before: A step whose arguments become inputs of the new signature; as plain data in a recipe.
        feeds: Result of ``before`` → the input key that it feeds. An input that nothing feeds stays an input of the
            new signature, with its default value where it has one.
        after: A step that gets outputs of the signature and whose results the new one answers.
        takes: Argument of ``after`` → the output key that it gets.
        outputs: Which outputs of the signature the new one answers as well; None for all whose keys ``after`` leaves
            free.
        method_name: One of ``constants.METHOD_NAMES``; None for predict.
        made_by: The call that made the steps, for whoever reads the recipe: ``function``, and its ``arguments``.
        tags: The meta graph.

    Returns:
        The model with one more signature, and with the files that the tables of the steps bring along.

    Raises:
        NotFoundError: The signature hasn't a key that is named.
        EditError: A dtype or a shape doesn't fit, two inputs or outputs would have one key, or something stays unfed.
        UnsupportedEditError: What the signature computes can't be told, or can be there only once.
        FormatError: A step isn't what it should be.
    """
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    expect_new_signature_key(meta_graph, new_signature_key)
    method = constants.PREDICT_METHOD_NAME if method_name is None else method_name
    expect_text(method, "a method name")
    first = _step(before)
    last = _step(after)
    wrapping = make_wrapping(meta_graph, signature, first, feeds or {}, last, takes or {}, outputs)
    whole, edges = model, tuple[str, ...]()
    if tables := [table for step in (first, last) if step is not None for table in step.tables]:
        added = add_tables(meta_graph, tables, new_signature_key)
        edges = added.edges
        whole = reread(model, apply_changes(document_of(meta_graph), added.changes))
        files = {
            f"{constants.ASSETS_FOLDER}/{table.asset}": table.content for table in tables if table.content is not None
        }
        whole = replace(whole, added_files={**whole.added_files, **files})
        meta_graph = editable(whole, tags)
    functions = Functions(meta_graph)
    wrap = wrapped_in_plan if meta_graph.has_object_graph else wrapped_in_graph
    changes = wrap(functions, wrapping, new_signature_key, method, edges)
    arguments = {
        "before": None if first is None else step_to_data(first),
        "feeds": dict(feeds) if feeds else None,
        "after": None if last is None else step_to_data(last),
        "takes": dict(takes) if takes else None,
        "outputs": None if outputs is None else list(wrapping.kept),
        "method_name": method_name,
        "made_by": None if made_by is None else dict(made_by),
    }
    return edited(
        whole, meta_graph, changes, "add_wrapped_signature",
        signature_key=signature_key, new_signature_key=new_signature_key,
        **{name: value for name, value in arguments.items() if value is not None},
    )  # fmt: skip


def _step(given: Step | Mapping[str, object] | None) -> Step | None:
    return given if given is None or isinstance(given, Step) else step_from_data(given)
