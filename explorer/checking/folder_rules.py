"""What must hold of the files beside ``saved_model.pb``: the weights, the assets, and that there is one model file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from explorer.checking.findings import Finding
from explorer.errors import ExplorerError, listed, quoted
from explorer.savedmodel import constants
from explorer.savedmodel.assets import read_assets
from explorer.savedmodel.graph import has_graph, read_graph
from explorer.savedmodel.model import SavedModel

VARIABLE_OPS: Final = frozenset({"VarHandleOp", "Variable", "VariableV2", "AutoReloadVariable"})
"""Ops whose values a loader takes from ``variables/``."""

_COMPLETE: Final = ("ok", "v1_format")


def check_folder(model: SavedModel) -> tuple[Finding, ...]:
    """Examines the folder of a model: a few names are looked up, and ``variables.index`` is read.

    Args:
        model: A model that was read from a folder; of another there is nothing to say.

    Returns:
        What is wrong.
    """
    if model.path is None or model.document is None:
        return ()
    return (
        *_check_model_files(model.path),
        *_check_variables(model, model.path),
        *_check_assets(model, model.path),
        *_check_warmup(model, model.path),
    )


def _check_model_files(folder: Path) -> Iterator[Finding]:
    present = [name for name in constants.MODEL_FILE_NAMES if os.path.lexists(folder / name)]
    if len(present) > 1:
        yield Finding(
            "warning",
            "several_model_files",
            f"the folder has {listed(present)}: loaders read only {quoted(present[0])}, the rest may contradict it",
            "remove what is stale",
            subject=",".join(present),
        )


def _check_variables(model: SavedModel, folder: Path) -> Iterator[Finding]:
    from explorer.savedmodel.variables import read_variables

    names = []
    for meta_graph in model.meta_graphs:
        try:
            if has_graph(meta_graph):
                names += [node.name for node in read_graph(meta_graph).nodes.values() if node.op in VARIABLE_OPS]
        except ExplorerError:
            continue  # that the graph can't be read is said by the check of the graph
    if not names:
        return
    try:
        variables = read_variables(folder)
    except ExplorerError as error:
        yield Finding("error", "bad_variables", f"the weights can't be read: {error}", subject="variables")
        return
    if variables.status not in _COMPLETE:
        count = len(set(names))
        has = f"{count} variables" if count > 1 else f"a variable, {quoted(names[0])},"
        yield Finding(
            "error",
            "missing_variables",
            f"the graph has {has} but the weights are not complete: {variables.note}; the model can't be loaded",
            "copy the whole folder again from where it came",
            subject=variables.status,
        )


def _check_assets(model: SavedModel, folder: Path) -> Iterator[Finding]:
    for meta_graph in model.meta_graphs:
        try:
            names = list(dict.fromkeys(asset.filename for asset in read_assets(meta_graph)))
        except ExplorerError as error:
            yield Finding("error", "bad_assets", f"the list of assets can't be read: {error}", tags=meta_graph.tags)
            continue
        outside = [name for name in names if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
        missing = [
            name
            for name in names
            if name not in outside
            and f"{constants.ASSETS_FOLDER}/{name}" not in model.added_files
            and not os.path.exists(folder / constants.ASSETS_FOLDER / name)
        ]
        if outside:
            yield Finding(
                "error",
                "asset_outside",
                f"{listed(outside, 3)} among the assets leads out of the assets folder: loading the model reads a file "
                "of the machine that it is loaded on",
                tags=meta_graph.tags,
                subject=",".join(outside),
            )
        if missing:
            yield Finding(
                "error",
                "missing_assets",
                f"the folder assets/ lacks {listed(missing, 3)}, which the model reads when it is loaded",
                "copy the whole folder again from where it came",
                meta_graph.tags,
                subject=",".join(missing),
            )


def _check_warmup(model: SavedModel, folder: Path) -> Iterator[Finding]:
    from explorer.savedmodel.warmup import contradictions, read_warmup

    served = next((graph for graph in model.meta_graphs if graph.tags == {"serve"}), model.meta_graphs[0])
    try:
        faults = contradictions(
            read_warmup(folder),
            {key: (signature.inputs, signature.outputs) for key, signature in served.callable_signatures.items()},
            {key: signature.defaults for key, signature in served.callable_signatures.items()},
        )
    except ExplorerError as error:
        yield Finding("error", "bad_warmup", f"the warm-up requests can't be read: {error}", subject="warmup")
        return
    if faults:
        more = f", and {len(faults) - 1} more like this" if len(faults) > 1 else ""
        yield Finding(
            "error",
            "stale_warmup",
            f"TensorFlow Serving refuses to serve the model: {faults[0]}{more}",
            f"remove {constants.WARMUP_FILE}, or write its requests anew",
            subject="warmup",
        )
