"""Random sequences of valid edits, and what must hold of every export of one; without TensorFlow."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import explorer
from explorer import ExplorerError, MetaGraph, SavedModel
from explorer.checking.checks import check, new_errors
from explorer.editing.inner_edits import inner_tensors_of
from explorer.editing.recipe import apply_edit, apply_recipe, recipe
from explorer.savedmodel import constants
from explorer.savedmodel.concrete_functions import read_concrete_functions
from explorer.savedmodel.graph import read_graph
from explorer.savedmodel.overlay import Change, apply_changes, insertion_at_end
from explorer.savedmodel.reader import (
    GRAPH_DEF,
    META_GRAPHS,
    META_INFO_DEF,
    OBJECT_GRAPH_DEF,
    SIGNATURE_DEF,
    VALUE,
    fields_of,
)
from explorer.savedmodel.wire import encode_field

MOST_EDITS = 6
UNKNOWN_FIELD = 1000
"""A number that no message of a SavedModel knows."""

WHOLE_MESSAGES = (META_INFO_DEF, GRAPH_DEF, OBJECT_GRAPH_DEF)

NAMES = st.one_of(
    st.sampled_from(["a", "serving_default", "scores", "ключ", "a/b", "z" * 200, ""]), st.text(min_size=1, max_size=12)
)
Entry = dict[str, Any]


def all_samples(sample_models: Path) -> list[str]:
    """Every committed sample model, as ``name/version``."""
    files = sorted(file for file in sample_models.glob("*/*/saved_model.pb*") if file.parts[-3] != "broken")
    return [f"{file.parts[-3]}/{file.parts[-2]}" for file in files]


def with_unknown_fields(folder: Path) -> None:
    """Puts fields that nobody knows into the model file and into the messages inside it."""
    model = explorer.open_saved_model(folder)
    assert model.document is not None
    if model.file_name != constants.SAVED_MODEL_PB:
        return  # text has no way to hold them
    document = model.document
    changes: list[Change] = []
    for number, meta_graph in enumerate(fields_of(document, None, META_GRAPHS)):
        changes.append(insertion_at_end(meta_graph, unknown(f"meta graph {number}")))
        for part in WHOLE_MESSAGES:
            for field in fields_of(document, meta_graph, part):
                changes.append(insertion_at_end(field, unknown(f"part {part} of {number}")))
        for signature in fields_of(document, meta_graph, SIGNATURE_DEF):
            for value in fields_of(document, signature, VALUE):
                changes.append(insertion_at_end(value, unknown(f"a signature of {number}")))
    data = apply_changes(document, changes).to_bytes() + unknown("saved model")
    (folder / model.file_name).write_bytes(data)


def unknown(where: str) -> bytes:
    """A field that nobody knows."""
    return encode_field(UNKNOWN_FIELD, f"<unknown to all: {where}>")


def draw_entry(draw: Callable[[Any], Any], model: SavedModel) -> Entry:
    """An edit that may well be valid for a model, as a recipe has it."""
    meta_graph = draw(st.sampled_from(model.meta_graphs))
    tags = {"tags": sorted(meta_graph.tags)} if len(model.meta_graphs) > 1 else {}
    keys = list(meta_graph.callable_signatures)
    of_graph = ["set_tags", "remove_meta_graph", "copy_meta_graph", "clear_devices", "strip_default_attrs"]
    edit = draw(st.sampled_from([*_OF_SIGNATURES, *_OF_SIGNATURES, *of_graph] if keys else of_graph))
    if edit in ("set_tags", "copy_meta_graph"):
        new_tags = draw(st.lists(st.sampled_from(["serve", "train", "gpu", "eval"]), unique=True, max_size=3))
        return {"edit": edit, **tags, "new_tags": new_tags}
    if edit in of_graph:
        return {"edit": edit, **tags}
    key = draw(st.sampled_from(keys))
    return {"edit": edit, **tags, "signature_key": key, **_OF_SIGNATURES[edit](draw, meta_graph, key)}


def _new_key(draw: Any, meta_graph: MetaGraph, key: str) -> Entry:
    return {"new_key": draw(NAMES)}


def _input(draw: Any, meta_graph: MetaGraph, key: str) -> str:
    inputs = list(meta_graph.signatures[key].inputs)
    assume(inputs)
    return str(draw(st.sampled_from(inputs)))


def _output(draw: Any, meta_graph: MetaGraph, key: str) -> str:
    return str(draw(st.sampled_from(list(meta_graph.signatures[key].outputs))))


def _tensor(draw: Any, meta_graph: MetaGraph, key: str) -> str:
    signature = meta_graph.signatures[key]
    if meta_graph.has_object_graph:
        names = [tensor.name for tensor in inner_tensors_of(meta_graph, signature)]
    else:
        names = [tensor.name for tensor in read_graph(meta_graph).tensors()]
    assume(names)
    return str(draw(st.sampled_from(names)))


def _value(draw: Any, meta_graph: MetaGraph, key: str, input_key: str) -> Any:
    """Zeros, or texts, of the shape of an input."""
    info = meta_graph.signatures[key].inputs[input_key]
    dims = [draw(st.integers(1, 3)) if size is None else size for size in info.shape.dims or ()]
    value: Any = 0
    if info.dtype.base.number == constants.DT_STRING:
        value = draw(st.sampled_from(["", "grün"]))
    elif str(info.dtype) == "bool":
        value = draw(st.booleans())
    for size in reversed(dims):
        value = [value] * size
    return value


def _with_value(draw: Any, meta_graph: MetaGraph, key: str) -> Entry:
    input_key = _input(draw, meta_graph, key)
    return {"input_key": input_key, "value": _value(draw, meta_graph, key, input_key)}


def _shape(draw: Any, meta_graph: MetaGraph, key: str) -> Entry:
    input_key = _input(draw, meta_graph, key)
    dims = meta_graph.signatures[key].inputs[input_key].shape.dims or (None,)
    return {
        "input_key": input_key,
        "shape": [draw(st.sampled_from([None, 2])) if size is None else size for size in dims],
    }


def _new_signature(draw: Any, meta_graph: MetaGraph, key: str) -> Entry:
    signature = meta_graph.signatures[key]
    return {
        "signature_key": draw(NAMES),
        "inputs": {draw(NAMES): info.tensor_name for info in signature.inputs.values()},
        "outputs": {draw(NAMES): info.tensor_name for info in signature.outputs.values()},
    }


def _from_function(draw: Any, meta_graph: MetaGraph, key: str) -> Entry:
    assume(meta_graph.has_object_graph)
    names = list(read_concrete_functions(meta_graph))
    assume(names)
    return {"signature_key": draw(NAMES), "function_name": draw(st.sampled_from(names))}


_OF_SIGNATURES: Mapping[str, Callable[[Any, MetaGraph, str], Entry]] = {
    "rename_signature": _new_key,
    "copy_signature": _new_key,
    "remove_signature": lambda draw, meta_graph, key: {},
    "set_method_name": lambda draw, meta_graph, key: {"method_name": draw(st.sampled_from(constants.METHOD_NAMES))},
    "rename_input": lambda draw, graph, key: {"input_key": _input(draw, graph, key), "new_key": draw(NAMES)},
    "rename_output": lambda draw, graph, key: {"output_key": _output(draw, graph, key), "new_key": draw(NAMES)},
    "remove_input": lambda draw, graph, key: {"input_key": _input(draw, graph, key)},
    "remove_output": lambda draw, graph, key: {"output_key": _output(draw, graph, key)},
    "add_output": lambda draw, graph, key: {"output_key": draw(NAMES), "tensor_name": _tensor(draw, graph, key)},
    "set_output_tensor": lambda draw, graph, key: {
        "output_key": _output(draw, graph, key), "tensor_name": _tensor(draw, graph, key)
    },
    "set_input_tensor": lambda draw, graph, key: {
        "input_key": _input(draw, graph, key), "tensor_name": _tensor(draw, graph, key)
    },
    "add_signature": _new_signature,
    "add_signature_from_function": _from_function,
    "bind_input": _with_value,
    "set_default": _with_value,
    "remove_default": lambda draw, graph, key: {"input_key": _input(draw, graph, key)},
    "set_input_shape": _shape,
}  # fmt: skip


def draw_sequence(draw: Callable[[Any], Any], source: SavedModel) -> list[SavedModel]:
    """The source, and the model after each of some valid edits."""
    models, before = [source], check(source)
    for _ in range(draw(st.integers(1, MOST_EDITS))):
        try:
            edited = apply_edit(models[-1], draw_entry(draw, models[-1]))
        except ExplorerError as error:
            assert "\n" not in str(error)
            continue
        if not new_errors(before, check(edited)):  # it would be refused by the export
            models.append(edited)
    return models


def expect_whole_export(models: list[SavedModel], base_path: Path) -> None:
    """What must hold of the export of a sequence: the rules of this module's tests.

    Args:
        models: The source, and the model after each edit.
        base_path: Where to export to.
    """
    source, edited = models[0], models[-1]
    assert source.path is not None and source.document is not None and edited.document is not None
    folder = explorer.export(edited, base_path, warmup="drop", link=True)
    written = explorer.open_saved_model(folder)
    assert written.meta_graphs == edited.meta_graphs
    if edited.file_name == constants.SAVED_MODEL_PB:
        assert (folder / edited.file_name).read_bytes() == edited.document.to_bytes()
    before, after = files(source.path), files(folder)
    own = {edited.file_name, constants.FINGERPRINT, constants.WARMUP_FILE}
    assert {name: data for name, data in after.items() if name not in own} == {
        name: data for name, data in before.items() if name not in own
    }
    data = edited.document.to_bytes()
    expect_unknown_fields(source, edited)
    replayed = apply_recipe(source, recipe(edited))
    assert replayed.document is not None and replayed.document.to_bytes() == data
    # Undo goes back to the models of before, which no edit has touched.
    back = explorer.export(source, base_path, link=True)
    assert files(back) == before


def expect_unknown_fields(source: SavedModel, edited: SavedModel) -> None:
    """Fields that nobody knows are where they were, but in what was removed."""
    assert source.document is not None and edited.document is not None
    before, after = source.document.to_bytes(), edited.document.to_bytes()
    made = {entry["edit"] for entry in edited.edits}
    for number in range(len(source.meta_graphs)):
        names = ["saved model"]
        if "remove_meta_graph" not in made:
            names += [f"meta graph {number}", *(f"part {part} of {number}" for part in WHOLE_MESSAGES)]
            if "remove_signature" not in made:
                names.append(f"a signature of {number}")
        for name in names:
            assert after.count(unknown(name)) >= before.count(unknown(name)), name


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def try_sequences(sample: Path, count: int) -> int:
    """Tries random sequences of edits of a sample with unknown fields in it; returns how many had an edit in it.

    Args:
        sample: The folder of the sample; it is copied.
        count: How many sequences.
    """
    tried = 0
    with tempfile.TemporaryDirectory() as workspace:
        folder = Path(workspace) / "source"
        shutil.copytree(sample, folder)
        with_unknown_fields(folder)
        source = explorer.open_saved_model(folder)

        @settings(
            max_examples=count,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(data=st.data())
        def sequence(data: st.DataObject) -> None:
            nonlocal tried
            models = draw_sequence(data.draw, source)
            assume(len(models) > 1)
            with tempfile.TemporaryDirectory(dir=workspace) as base_path:
                expect_whole_export(models, Path(base_path))
            tried += 1

        sequence()
    return tried
