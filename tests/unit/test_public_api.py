"""The public names: what users may build on, and what importing them costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import explorer

PUBLIC = {
    "Capability", "ConversionError", "ConvertPanel", "DType", "DrawingPanel", "Explorer", "ExplorerError",
    "MetaGraph", "Proof", "RequestError", "SavedModel", "Shape", "Signature", "TensorInfo", "Verdict", "WrapPanel",
    "__version__", "add_output", "add_signature", "add_signature_from_function", "apply_recipe", "as_the_model_sees",
    "bind_input", "check", "clear_devices", "client_code", "compare", "compare_pictures", "compatibility", "convert",
    "copy_meta_graph", "copy_signature", "diff", "docker_command", "example_bytes", "example_options_for",
    "example_values", "export", "export_prepared", "feature_spec", "find_source", "flow_of", "flow_text",
    "given_values", "http_file", "image_options_for", "image_value", "kserve_yaml", "lint", "list_functions",
    "list_inner_tensors", "models_config", "numeric_test", "open_saved_model", "open_source", "openapi_document",
    "parse_request", "prove", "prove_conversion", "read_example", "recipe", "remote_grpc", "remote_rest",
    "remove_default", "remove_input", "remove_meta_graph", "remove_output", "remove_signature", "rename_input",
    "rename_output", "rename_signature", "repair", "repair_captures", "repair_two_truths", "repairs", "request_body",
    "request_files", "request_schema", "requests", "response_schema", "rest", "scan", "serve", "set_default",
    "set_input_shape", "set_input_tensor", "set_method_name", "set_output_tensor", "set_tags", "shortened",
    "strip_default_attrs", "table_options_for", "to_frame", "to_html", "to_text", "triton_config", "with_base64",
    "with_csv", "with_example", "with_image", "with_json", "wrap_base64", "wrap_csv", "wrap_example", "wrap_image",
    "wrap_json", "write_warmup",
}  # fmt: skip


def test_the_public_names_are_these() -> None:
    """A name that comes or goes is a decision: this list and the changelog say so."""
    assert set(explorer.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(explorer, name) is not None


def test_every_public_function_is_documented_and_annotated() -> None:
    """help() says what it does, and an editor knows its types."""
    for name in sorted(PUBLIC - {"__version__"}):
        value = getattr(explorer, name)
        assert inspect.getdoc(value), name
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty, name
            assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values()), name


def test_edits_take_what_recipes_say() -> None:
    """The arguments of a recipe entry are those of the function of the same name, in the same order."""
    from explorer.editing.recipe import EDITS

    for name, (function, arguments) in EDITS.items():
        assert getattr(explorer, name) is function
        taken = list(inspect.signature(function).parameters)
        assert taken[: len(arguments) + 2] == ["model", *arguments, "tags"]
        assert taken[len(arguments) + 2 :] in ([], ["numeric_test"]), name  # a function is no data for a recipe


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after some code."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines())


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Import explorer brings neither TensorFlow nor pandas, matplotlib, ipywidgets, numpy or protobuf."""
    heavy = {"tensorflow", "keras", "pandas", "matplotlib", "ipywidgets", "numpy", "google.protobuf", "orjson"}
    assert not heavy & modules_after("import explorer")


def test_show_of_a_pb_loads_nothing_heavy(sample_models: Path) -> None:
    """The first table needs the standard library alone."""
    code = f"from explorer.cli import main\nmain(['show', {str(sample_models / 'linear')!r}])"
    heavy = {"tensorflow", "pandas", "matplotlib", "ipywidgets", "numpy", "google.protobuf", "orjson", "json"}
    assert not heavy & modules_after(code)


def test_show_edit_export_and_the_widget_leave_tensorflow_out(sample_models: Path, tmp_path: Path) -> None:
    """Inspecting, editing, exporting and the Explorer itself never import TensorFlow."""
    code = f"""
import explorer
model = explorer.open_saved_model({str(sample_models / "linear")!r})
model = explorer.rename_signature(model, "prediction", "serving_default")
explorer.check(model)
explorer.request_body(model, "serving_default")
explorer.export(model, {str(tmp_path / "base")!r})
widget = explorer.Explorer({str(sample_models / "keras3")!r})
widget._repr_mimebundle_()
"""
    assert not {"tensorflow", "keras"} & modules_after(code)
    assert (tmp_path / "base" / "1" / "saved_model.pb").exists()
