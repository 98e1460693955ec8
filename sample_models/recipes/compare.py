"""Compares two builds of the sample models: by the bytes of their files, or by what a client can tell from outside."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FINGERPRINT = "fingerprint.pb"
"""The one file that no two exports have in common: it holds a random number."""


def different_bytes(built: Path, committed: Path) -> list[str]:
    """Says in which files two folders differ; fingerprint.pb needs only to be in both or in neither."""
    here, there = _files(built), _files(committed)
    problems = [f"{name} is not committed" for name in sorted(here - there)]
    problems += [f"{name} is committed but not built" for name in sorted(there - here)]
    for name in sorted(here & there):
        same_by_name = Path(name).name == FINGERPRINT
        if not same_by_name and (built / name).read_bytes() != (committed / name).read_bytes():
            problems.append(f"{name} has other bytes")
    return problems


def _files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def different_facts(built_root: str, committed_root: str, models: Iterable[str], report: str) -> None:
    """Writes to the file ``report`` how each model differs between two folders, whichever TensorFlow wrote it."""
    problems = {model: _differences(Path(built_root) / model, Path(committed_root) / model) for model in models}
    Path(report).write_text(json.dumps(problems), encoding="utf-8")


def _differences(built: Path, committed: Path) -> list[str]:
    here, there = _versions(built), _versions(committed)
    if here != there:
        return [f"versions {here} are built, {there} committed"]
    problems = []
    for version in here:
        new = facts_of(built / version)
        try:
            old = facts_of(committed / version)
        except Exception as error:  # a damaged file makes TensorFlow raise one of a dozen types
            problems.append(f"{version}: cannot be read: {error}")
            continue
        problems += [f"{version}: {what} is {new[what]}, was {old[what]}" for what in new if new[what] != old[what]]
    return problems


def _versions(model: Path) -> list[str]:
    return sorted(folder.name for folder in model.iterdir()) if model.is_dir() else []


def facts_of(export_dir: Path) -> dict[str, Any]:
    """What a client can tell of a SavedModel: tags, signatures with keys, dtypes and shapes, assets, variables."""
    import tensorflow as tf
    from tensorflow.python.saved_model import loader_impl

    meta_graphs = []
    for meta_graph in loader_impl.parse_saved_model(str(export_dir)).meta_graphs:
        signatures = {
            key: {
                "method_name": signature.method_name,
                "inputs": {name: _tensor_facts(info) for name, info in signature.inputs.items()},
                "outputs": {name: _tensor_facts(info) for name, info in signature.outputs.items()},
                "defaults": sorted(signature.defaults),
            }
            for key, signature in meta_graph.signature_def.items()
        }
        meta_graphs.append({"tags": sorted(meta_graph.meta_info_def.tags), "signatures": signatures})
    prefix = export_dir / "variables" / "variables"
    has_variables = prefix.with_name("variables.index").exists()
    variables = tf.train.list_variables(str(prefix)) if has_variables else []
    return {
        "meta_graphs": meta_graphs,
        "assets": sorted(file.name for file in export_dir.glob("assets/*")),
        "variable shapes": sorted(shape for name, shape in variables if not name.startswith("_CHECKPOINTABLE")),
    }


def _tensor_facts(info: Any) -> list[Any]:
    shape = None if info.tensor_shape.unknown_rank else [dim.size for dim in info.tensor_shape.dim]
    return [info.dtype, shape, info.WhichOneof("encoding")]
