"""What an edit of a TensorFlow 2 signature can be given: the functions of the model, and the tensors inside them."""

from __future__ import annotations

from explorer.editing.editable import Tags, editable, expect_signature
from explorer.editing.inner_edits import inner_tensors_of
from explorer.savedmodel.concrete_functions import ConcreteFunction, read_concrete_functions
from explorer.savedmodel.inner_tensors import InnerTensor
from explorer.savedmodel.model import SavedModel


def list_functions(model: SavedModel, *, tags: Tags = None) -> tuple[ConcreteFunction, ...]:
    """The functions that ``add_signature_from_function`` can take, with their arguments and results.

    Args:
        model: The model.
        tags: The meta graph.

    Returns:
        The methods that were traced, then the functions behind signatures; none in a model without an object graph.

    Raises:
        NotFoundError: No meta graph has the tags.
    """
    return tuple(read_concrete_functions(editable(model, tags)).values())


def list_inner_tensors(model: SavedModel, signature_key: str, *, tags: Tags = None) -> tuple[InnerTensor, ...]:
    """The tensors inside the functions of a signature, which ``add_output`` and ``set_input_tensor`` can take.

    Args:
        model: The model.
        signature_key: The signature.
        tags: The meta graph.

    Returns:
        The tensors in the order of the file, each with its ``name``, ``dtype``, ``shape`` and ``op``; none in a model
        without an object graph, whose tensors are the graph's own.

    Raises:
        NotFoundError: There is no such meta graph or signature.
        EditError: What the signature computes can't be told.
    """
    meta_graph = editable(model, tags)
    signature = expect_signature(meta_graph, signature_key)
    return inner_tensors_of(meta_graph, signature) if meta_graph.has_object_graph else ()
