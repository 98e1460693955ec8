"""``show --json`` against TensorFlow's own protos: every field of every sample model."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from explorer.cli import main

SAMPLES = Path(__file__).parents[2] / "sample_models"


def model_folders() -> list[Path]:
    """Every version folder of every good sample model."""
    files = [*SAMPLES.glob("*/*/saved_model.pb"), *SAMPLES.glob("*/*/saved_model.pbtxt")]
    return sorted(file.parent for file in files if file.parts[-3] != "broken")


def broken_folders_that_parse() -> list[Path]:
    """Every broken sample that TensorFlow's proto can parse and that has a meta graph."""
    found = []
    for file in sorted((SAMPLES / "broken").glob("**/saved_model.pb")):
        try:
            proto = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        except Exception:
            continue
        if proto.meta_graphs and all(graph.HasField("meta_info_def") for graph in proto.meta_graphs):
            found.append(file.parent)
    return found


def proto_of(folder: Path) -> saved_model_pb2.SavedModel:
    """The model as TensorFlow parses it."""
    if (folder / "saved_model.pb").exists():
        return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return text_format.Parse((folder / "saved_model.pbtxt").read_text(), saved_model_pb2.SavedModel())


def tensor_dict(info: meta_graph_pb2.TensorInfo) -> dict[str, Any]:
    """A TensorInfo in the form of the contract."""
    encoding = info.WhichOneof("encoding") or "name"
    components: Any = None
    if encoding == "coo_sparse":
        sparse = info.coo_sparse
        components = {
            "values": sparse.values_tensor_name,
            "indices": sparse.indices_tensor_name,
            "dense_shape": sparse.dense_shape_tensor_name,
        }
    elif encoding == "composite_tensor":
        components = {str(index): part.name for index, part in enumerate(info.composite_tensor.components)}
    shape = info.tensor_shape
    try:
        dtype = types_pb2.DataType.Name(info.dtype)
    except ValueError:
        dtype = f"DT_{info.dtype}"
    return {
        "dtype": dtype,
        "shape": None if shape.unknown_rank else [None if dim.size == -1 else dim.size for dim in shape.dim],
        "tensor_name": info.name if encoding == "name" else None,
        "encoding": encoding,
        "components": components,
    }


def signature_dict(key: str, signature: meta_graph_pb2.SignatureDef) -> dict[str, Any]:
    """A SignatureDef in the form of the contract."""
    data: dict[str, Any] = {
        "signature_key": key,
        "method_name": signature.method_name,
        "inputs": {name: tensor_dict(info) for name, info in signature.inputs.items()},
        "outputs": {name: tensor_dict(info) for name, info in signature.outputs.items()},
        "defaults": sorted(signature.defaults),
        "default_values": {name: value.SerializeToString() for name, value in signature.defaults.items()},
    }
    if key in ("__saved_model_init_op", "__saved_model_train_op"):
        data["reserved"] = True
    return data


@pytest.mark.parametrize(
    "folder", [*model_folders(), *broken_folders_that_parse()], ids=lambda path: "/".join(path.parts[-3:])
)
def test_show_json_says_what_tensorflow_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tags, versions, signatures, inputs, outputs, encodings and defaults are the protos', field by field."""
    assert main(["show", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["path"] == str(folder)
    assert shown["version"] == (int(folder.name) if folder.name.isdigit() else None)
    proto = proto_of(folder)
    assert len(shown["meta_graphs"]) == len(proto.meta_graphs) > 0
    for meta_graph, expected in zip(shown["meta_graphs"], proto.meta_graphs, strict=True):
        assert meta_graph["tags"] == list(expected.meta_info_def.tags)
        assert meta_graph["tensorflow_version"] == expected.meta_info_def.tensorflow_version
        assert meta_graph["object_graph"] == expected.HasField("object_graph_def")
        for signature in meta_graph["signatures"].values():
            signature["defaults"].sort()
            signature["default_values"] = {
                key: base64.b64decode(value) for key, value in signature["default_values"].items()
            }
        assert meta_graph["signatures"] == {
            key: signature_dict(key, signature) for key, signature in expected.signature_def.items()
        }


def test_the_samples_cover_what_a_reader_must_cope_with() -> None:
    """The comparison above would prove little on plain models: these kinds are among them."""
    protos = [proto_of(folder) for folder in model_folders()]
    graphs = [graph for proto in protos for graph in proto.meta_graphs]
    infos = [
        info
        for graph in graphs
        for signature in graph.signature_def.values()
        for info in (*signature.inputs.values(), *signature.outputs.values())
    ]
    assert any(len(proto.meta_graphs) > 1 for proto in protos)
    assert any(graph.HasField("object_graph_def") for graph in graphs)
    assert any(not graph.HasField("object_graph_def") for graph in graphs)
    assert any(signature.defaults for graph in graphs for signature in graph.signature_def.values())
    assert any(info.WhichOneof("encoding") == "coo_sparse" for info in infos)
    assert any(info.tensor_shape.unknown_rank for info in infos)
    assert any(not info.tensor_shape.unknown_rank and not info.tensor_shape.dim for info in infos)
    assert {1, 2, 4, 7, 9, 10} <= {info.dtype for info in infos}


@pytest.mark.parametrize("folder", model_folders(), ids=lambda path: "/".join(path.parts[-2:]))
def test_counts_are_those_of_the_protos(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nodes, functions and assets are counted as TensorFlow's protos have them, variables as its reader lists them."""
    import tensorflow as tf

    assert main(["show", str(folder), "--json", "--counts"]) == 0
    shown = json.loads(capsys.readouterr().out)
    prefix = folder / "variables" / "variables"
    names = [name for name, _ in tf.train.list_variables(str(prefix))] if prefix.with_suffix(".index").exists() else []
    variables = [name for name in names if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    for meta_graph, expected in zip(shown["meta_graphs"], proto_of(folder).meta_graphs, strict=True):
        counts = meta_graph["counts"]
        assert counts["nodes"] == len(expected.graph_def.node)
        assert counts["functions"] == len(expected.graph_def.library.function)
        in_collection = expected.collection_def["saved_model_assets"].any_list.value
        assert counts["assets"] == max(len(expected.asset_file_def), len(in_collection))
        assert counts["variables"] == len(variables)
