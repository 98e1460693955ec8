"""Every edit of a SavedModel, each a pure function: a model and what to change → another model.

The given model stays as it is, and so does its file: the result holds the file's bytes with the change laid over
them, read again. Where a meta graph has an object graph, an edit is made in both places or refused, so that no file is
ever written in which a server and ``tf.saved_model.load`` see two different models.

Every function takes ``tags``: the tag set of the meta graph to edit, which may be left out where the model has one meta
graph, or one with exactly the tag ``serve``. Every function raises :class:`~explorer.errors.NotFoundError` for a name
that isn't there and :class:`~explorer.errors.EditError` for an edit that cannot be applied. What can be applied but
harms some consumer is applied, and shown by :func:`explorer.check`.
"""

from __future__ import annotations

from explorer.editing.function_edits import add_signature_from_function
from explorer.editing.graph_edits import clear_devices, strip_default_attrs
from explorer.editing.meta_graph_edits import copy_meta_graph, remove_meta_graph, set_tags
from explorer.editing.repair_edits import repair_captures, repair_two_truths
from explorer.editing.shape_edits import set_input_shape
from explorer.editing.signature_edits import copy_signature, remove_signature, rename_signature, set_method_name
from explorer.editing.tensor_edits import (
    add_output,
    add_signature,
    remove_input,
    remove_output,
    rename_input,
    rename_output,
    set_input_tensor,
    set_output_tensor,
)
from explorer.editing.value_edits import bind_input, remove_default, set_default

__all__ = [
    "add_output",
    "add_signature",
    "add_signature_from_function",
    "bind_input",
    "clear_devices",
    "copy_meta_graph",
    "copy_signature",
    "remove_default",
    "remove_input",
    "remove_meta_graph",
    "remove_output",
    "remove_signature",
    "rename_input",
    "rename_output",
    "rename_signature",
    "repair_captures",
    "repair_two_truths",
    "set_default",
    "set_input_shape",
    "set_input_tensor",
    "set_method_name",
    "set_output_tensor",
    "set_tags",
    "strip_default_attrs",
]
