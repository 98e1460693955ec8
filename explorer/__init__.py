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
    from explorer.checking.capabilities import Capability, scan
    from explorer.checking.checks import check
    from explorer.converting.source import find_source
    from explorer.diagnosing.compatibility import Verdict, compatibility
    from explorer.diagnosing.flow import flow_of
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
    from explorer.errors import ConversionError, ExplorerError, RequestError
    from explorer.exporting.export import export
    from explorer.render.flow_text import flow_text
    from explorer.render.frames import to_frame
    from explorer.render.html import to_html
    from explorer.render.text import to_text
    from explorer.runtime.compare_pictures import compare_pictures
    from explorer.runtime.convert import convert, export_prepared, open_source
    from explorer.runtime.example_options import example_options_for
    from explorer.runtime.image_options import image_options_for
    from explorer.runtime.numeric_test import numeric_test
    from explorer.runtime.preview_image import as_the_model_sees
    from explorer.runtime.proof import prove
    from explorer.runtime.remote import compare, remote_rest
    from explorer.runtime.remote_grpc import remote_grpc
    from explorer.runtime.rest import rest
    from explorer.runtime.server import serve
    from explorer.runtime.source_proof import prove_conversion
    from explorer.runtime.table_options import table_options_for
    from explorer.runtime.with_pictures import with_base64, with_image
    from explorer.runtime.with_rows import with_csv, with_example, with_json
    from explorer.runtime.wrap import wrap_base64, wrap_csv, wrap_example, wrap_image, wrap_json
    from explorer.runtime.write_warmup import write_warmup
    from explorer.savedmodel.feature_spec import feature_spec
    from explorer.savedmodel.model import DType, MetaGraph, SavedModel, Shape, Signature, TensorInfo
    from explorer.savedmodel.opening import open_saved_model
    from explorer.savedmodel.tf_example import example_bytes, read_example
    from explorer.serving.bodies import request_body
    from explorer.serving.clients import client_code, request_files
    from explorer.serving.example_values import example_values
    from explorer.serving.given_values import given_values
    from explorer.serving.handover import docker_command, kserve_yaml, models_config
    from explorer.serving.http_file import http_file
    from explorer.serving.images import image_value
    from explorer.serving.lint import lint
    from explorer.serving.openapi import openapi_document
    from explorer.serving.parse import parse_request
    from explorer.serving.requests import requests
    from explorer.serving.schemas import request_schema, response_schema
    from explorer.serving.shortened import shortened
    from explorer.serving.triton import triton_config
    from explorer.widgets.convert import ConvertPanel
    from explorer.widgets.drawing import DrawingPanel
    from explorer.widgets.explorer import Explorer
    from explorer.widgets.wrap import WrapPanel

__version__ = "0.1.0"

_HOMES = {
    "Capability": "checking.capabilities",
    "ConversionError": "errors",
    "ConvertPanel": "widgets.convert",
    "DType": "savedmodel.model",
    "DrawingPanel": "widgets.drawing",
    "Explorer": "widgets.explorer",
    "ExplorerError": "errors",
    "MetaGraph": "savedmodel.model",
    "Proof": "diagnosing.proof",
    "RequestError": "errors",
    "SavedModel": "savedmodel.model",
    "Shape": "savedmodel.model",
    "Signature": "savedmodel.model",
    "TensorInfo": "savedmodel.model",
    "Verdict": "diagnosing.compatibility",
    "WrapPanel": "widgets.wrap",
    "add_output": "editing.edits",
    "add_signature": "editing.edits",
    "add_signature_from_function": "editing.edits",
    "apply_recipe": "editing.recipe",
    "as_the_model_sees": "runtime.preview_image",
    "bind_input": "editing.edits",
    "check": "checking.checks",
    "clear_devices": "editing.edits",
    "client_code": "serving.clients",
    "compare": "runtime.remote",
    "compare_pictures": "runtime.compare_pictures",
    "compatibility": "diagnosing.compatibility",
    "convert": "runtime.convert",
    "copy_meta_graph": "editing.edits",
    "copy_signature": "editing.edits",
    "diff": "editing.diff",
    "docker_command": "serving.handover",
    "example_bytes": "savedmodel.tf_example",
    "example_options_for": "runtime.example_options",
    "example_values": "serving.example_values",
    "export": "exporting.export",
    "export_prepared": "runtime.convert",
    "feature_spec": "savedmodel.feature_spec",
    "find_source": "converting.source",
    "flow_of": "diagnosing.flow",
    "flow_text": "render.flow_text",
    "given_values": "serving.given_values",
    "http_file": "serving.http_file",
    "image_options_for": "runtime.image_options",
    "image_value": "serving.images",
    "kserve_yaml": "serving.handover",
    "lint": "serving.lint",
    "list_functions": "editing.listing",
    "list_inner_tensors": "editing.listing",
    "models_config": "serving.handover",
    "numeric_test": "runtime.numeric_test",
    "open_saved_model": "savedmodel.opening",
    "open_source": "runtime.convert",
    "openapi_document": "serving.openapi",
    "parse_request": "serving.parse",
    "prove": "runtime.proof",
    "prove_conversion": "runtime.source_proof",
    "read_example": "savedmodel.tf_example",
    "recipe": "editing.recipe",
    "remote_grpc": "runtime.remote_grpc",
    "remote_rest": "runtime.remote",
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
    "request_files": "serving.clients",
    "request_schema": "serving.schemas",
    "requests": "serving.requests",
    "response_schema": "serving.schemas",
    "rest": "runtime.rest",
    "scan": "checking.capabilities",
    "serve": "runtime.server",
    "set_default": "editing.edits",
    "set_input_shape": "editing.edits",
    "set_input_tensor": "editing.edits",
    "set_method_name": "editing.edits",
    "set_output_tensor": "editing.edits",
    "set_tags": "editing.edits",
    "shortened": "serving.shortened",
    "strip_default_attrs": "editing.edits",
    "table_options_for": "runtime.table_options",
    "to_frame": "render.frames",
    "to_html": "render.html",
    "to_text": "render.text",
    "triton_config": "serving.triton",
    "with_base64": "runtime.with_pictures",
    "with_csv": "runtime.with_rows",
    "with_example": "runtime.with_rows",
    "with_image": "runtime.with_pictures",
    "with_json": "runtime.with_rows",
    "wrap_base64": "runtime.wrap",
    "wrap_csv": "runtime.wrap",
    "wrap_example": "runtime.wrap",
    "wrap_image": "runtime.wrap",
    "wrap_json": "runtime.wrap",
    "write_warmup": "runtime.write_warmup",
}
"""Public name → the module that holds it."""

__all__ = [
    "Capability",
    "ConversionError",
    "ConvertPanel",
    "DType",
    "DrawingPanel",
    "Explorer",
    "ExplorerError",
    "MetaGraph",
    "Proof",
    "RequestError",
    "SavedModel",
    "Shape",
    "Signature",
    "TensorInfo",
    "Verdict",
    "WrapPanel",
    "__version__",
    "add_output",
    "add_signature",
    "add_signature_from_function",
    "apply_recipe",
    "as_the_model_sees",
    "bind_input",
    "check",
    "clear_devices",
    "client_code",
    "compare",
    "compare_pictures",
    "compatibility",
    "convert",
    "copy_meta_graph",
    "copy_signature",
    "diff",
    "docker_command",
    "example_bytes",
    "example_options_for",
    "example_values",
    "export",
    "export_prepared",
    "feature_spec",
    "find_source",
    "flow_of",
    "flow_text",
    "given_values",
    "http_file",
    "image_options_for",
    "image_value",
    "kserve_yaml",
    "lint",
    "list_functions",
    "list_inner_tensors",
    "models_config",
    "numeric_test",
    "open_saved_model",
    "open_source",
    "openapi_document",
    "parse_request",
    "prove",
    "prove_conversion",
    "read_example",
    "recipe",
    "remote_grpc",
    "remote_rest",
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
    "request_files",
    "request_schema",
    "requests",
    "response_schema",
    "rest",
    "scan",
    "serve",
    "set_default",
    "set_input_shape",
    "set_input_tensor",
    "set_method_name",
    "set_output_tensor",
    "set_tags",
    "shortened",
    "strip_default_attrs",
    "table_options_for",
    "to_frame",
    "to_html",
    "to_text",
    "triton_config",
    "with_base64",
    "with_csv",
    "with_example",
    "with_image",
    "with_json",
    "wrap_base64",
    "wrap_csv",
    "wrap_example",
    "wrap_image",
    "wrap_json",
    "write_warmup",
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
