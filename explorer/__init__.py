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
    from explorer.editing.diff import diff
    from explorer.editing.edits import (
        add_output,
        add_signature,
        copy_meta_graph,
        copy_signature,
        remove_meta_graph,
        remove_output,
        remove_signature,
        rename_input,
        rename_output,
        rename_signature,
        set_input_tensor,
        set_method_name,
        set_output_tensor,
        set_tags,
    )
    from explorer.editing.recipe import apply_recipe, recipe
    from explorer.errors import ExplorerError
    from explorer.exporting.export import export
    from explorer.render.frames import to_frame
    from explorer.render.html import to_html
    from explorer.render.text import to_text
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
    "SavedModel": "savedmodel.model",
    "Shape": "savedmodel.model",
    "Signature": "savedmodel.model",
    "TensorInfo": "savedmodel.model",
    "add_output": "editing.edits",
    "add_signature": "editing.edits",
    "apply_recipe": "editing.recipe",
    "check": "checking.checks",
    "copy_meta_graph": "editing.edits",
    "copy_signature": "editing.edits",
    "diff": "editing.diff",
    "export": "exporting.export",
    "open_saved_model": "savedmodel.opening",
    "recipe": "editing.recipe",
    "remove_meta_graph": "editing.edits",
    "remove_output": "editing.edits",
    "remove_signature": "editing.edits",
    "rename_input": "editing.edits",
    "rename_output": "editing.edits",
    "rename_signature": "editing.edits",
    "request_body": "serving.bodies",
    "set_input_tensor": "editing.edits",
    "set_method_name": "editing.edits",
    "set_output_tensor": "editing.edits",
    "set_tags": "editing.edits",
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
    "SavedModel",
    "Shape",
    "Signature",
    "TensorInfo",
    "__version__",
    "add_output",
    "add_signature",
    "apply_recipe",
    "check",
    "copy_meta_graph",
    "copy_signature",
    "diff",
    "export",
    "open_saved_model",
    "recipe",
    "remove_meta_graph",
    "remove_output",
    "remove_signature",
    "rename_input",
    "rename_output",
    "rename_signature",
    "request_body",
    "set_input_tensor",
    "set_method_name",
    "set_output_tensor",
    "set_tags",
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
