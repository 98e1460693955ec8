"""SavedModel Explorer: see, change and re-export TensorFlow SavedModels, without TensorFlow.

    >>> import explorer
    >>> model = explorer.open_saved_model("sample_models/half_plus_two")
    >>> model.version
    124

Every public name is loaded when it is first used, so that ``import explorer`` costs next to nothing and imports
neither TensorFlow nor pandas nor ipywidgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.checking.checks import check
    from explorer.diagnosing.compatibility import Verdict, compatibility
    from explorer.diagnosing.proof import Proof
    from explorer.editing.diff import diff
    from explorer.editing.edits import (
        add_output,
        add_signature,
        add_signature_from_function,
        bind_input,
        clear_devices,
        copy_meta_graph,
        copy_signature,
        remove_default,
        remove_input,
        remove_meta_graph,
        remove_output,
        remove_signature,
        rename_input,
        rename_output,
        rename_signature,
        repair_captures,
        repair_two_truths,
        set_default,
        set_input_shape,
        set_input_tensor,
        set_method_name,
        set_output_tensor,
        set_tags,
        strip_default_attrs,
    )
    from explorer.editing.listing import list_functions, list_inner_tensors
    from explorer.editing.recipe import apply_recipe, recipe
    from explorer.editing.repair import repair, repairs
    from explorer.errors import ExplorerError
    from explorer.exporting.export import export
    from explorer.render.frames import to_frame
    from explorer.render.html import to_html
    from explorer.render.text import to_text
    from explorer.runtime.numeric_test import numeric_test
    from explorer.runtime.proof import prove
    from explorer.savedmodel.model import DType, MetaGraph, SavedModel, Shape, Signature, TensorInfo
    from explorer.savedmodel.opening import open_saved_model
    from explorer.serving.bodies import request_body
    from explorer.widgets.explorer import Explorer

__version__ = "0.1.0"

_HOMES = {
    "DType": "savedmodel.model",
    "Explorer": "widgets.explorer",
    "ExplorerError": "errors",
    "MetaGraph": "savedmodel.model",
    "Proof": "diagnosing.proof",
    "SavedModel": "savedmodel.model",
    "Shape": "savedmodel.model",
    "Signature": "savedmodel.model",
    "TensorInfo": "savedmodel.model",
    "Verdict": "diagnosing.compatibility",
    "add_output": "editing.edits",
    "add_signature": "editing.edits",
    "add_signature_from_function": "editing.edits",
    "apply_recipe": "editing.recipe",
    "bind_input": "editing.edits",
    "check": "checking.checks",
    "clear_devices": "editing.edits",
    "compatibility": "diagnosing.compatibility",
    "copy_meta_graph": "editing.edits",
    "copy_signature": "editing.edits",
    "diff": "editing.diff",
    "export": "exporting.export",
    "list_functions": "editing.listing",
    "list_inner_tensors": "editing.listing",
    "numeric_test": "runtime.numeric_test",
    "open_saved_model": "savedmodel.opening",
    "prove": "runtime.proof",
    "recipe": "editing.recipe",
    "remove_default": "editing.edits",
    "remove_input": "editing.edits",
    "remove_meta_graph": "editing.edits",
    "remove_output": "editing.edits",
    "remove_signature": "editing.edits",
    "rename_input": "editing.edits",
    "rename_output": "editing.edits",
    "rename_signature": "editing.edits",
    "repair": "editing.repair",
    "repair_captures": "editing.edits",
    "repair_two_truths": "editing.edits",
    "repairs": "editing.repair",
    "request_body": "serving.bodies",
    "set_default": "editing.edits",
    "set_input_shape": "editing.edits",
    "set_input_tensor": "editing.edits",
    "set_method_name": "editing.edits",
    "set_output_tensor": "editing.edits",
    "set_tags": "editing.edits",
    "strip_default_attrs": "editing.edits",
    "to_frame": "render.frames",
    "to_html": "render.html",
    "to_text": "render.text",
}
"""Public name → the module that holds it."""

__all__ = [
    "DType",
    "Explorer",
    "ExplorerError",
    "MetaGraph",
    "Proof",
    "SavedModel",
    "Shape",
    "Signature",
    "TensorInfo",
    "Verdict",
    "__version__",
    "add_output",
    "add_signature",
    "add_signature_from_function",
    "apply_recipe",
    "bind_input",
    "check",
    "clear_devices",
    "compatibility",
    "copy_meta_graph",
    "copy_signature",
    "diff",
    "export",
    "list_functions",
    "list_inner_tensors",
    "numeric_test",
    "open_saved_model",
    "prove",
    "recipe",
    "remove_default",
    "remove_input",
    "remove_meta_graph",
    "remove_output",
    "remove_signature",
    "rename_input",
    "rename_output",
    "rename_signature",
    "repair",
    "repair_captures",
    "repair_two_truths",
    "repairs",
    "request_body",
    "set_default",
    "set_input_shape",
    "set_input_tensor",
    "set_method_name",
    "set_output_tensor",
    "set_tags",
    "strip_default_attrs",
    "to_frame",
    "to_html",
    "to_text",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'explorer' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"explorer.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
