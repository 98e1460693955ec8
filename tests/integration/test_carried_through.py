"""What an edit must not lose: metadata of Keras, collections, warm-up records, debug files, unknown files, shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import consumers
import numpy as np
import pytest

import explorer
from explorer import SavedModel

Edit = Callable[[SavedModel], SavedModel]

# Of each model, an edit that reaches into its graph where it can, and what is carried through.
CARRIED: dict[str, tuple[Edit, set[str]]] = {
    "keras2/1": (
        lambda model: explorer.rename_output(model, "serving_default", "score", "quality"),
        {"keras_metadata.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"},
    ),
    "estimator_like/1": (
        lambda model: explorer.rename_output(model, "predict", "logits", "raw"),
        {"assets/classes.txt", "assets.extra/owner.txt", "assets.extra/tf_serving_warmup_requests"},
    ),
    "partitioned/1": (
        lambda model: explorer.rename_input(model, "rows", "ids", "numbers"),
        {"variables/variables.data-00000-of-00002", "variables/variables.data-00001-of-00002"},
    ),
    "debug_and_unknown/1": (
        lambda model: explorer.copy_signature(model, "scale", "again"),
        {
            "notes.json",
            "assets.extra/tf_serving_warmup_requests",
            "debug/saved_model_debug_info.pb",
            "reports/2021/evaluation.csv",
        },
    ),
}


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def folders(folder: Path) -> set[str]:
    """Every folder below a folder, empty ones included."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_dir()}


@pytest.mark.parametrize("name", CARRIED)
def test_every_other_file_is_carried_through(name: str, sample_models: Path, tmp_path: Path) -> None:
    """All files but the model file and the fingerprint are the same bytes, and every folder is there."""
    edit, known = CARRIED[name]
    source = sample_models / name
    folder = explorer.export(edit(explorer.open_saved_model(source)), tmp_path / "base")
    before, after = files(source), files(folder)
    assert known <= set(before)
    own = {"saved_model.pb", "fingerprint.pb"}
    assert after["saved_model.pb"] != before["saved_model.pb"] and "fingerprint.pb" not in after
    assert {name: data for name, data in after.items() if name not in own} == {
        name: data for name, data in before.items() if name not in own
    }
    assert folders(folder) == folders(source)


@pytest.mark.parametrize("name", [name for name in CARRIED if name != "keras2/1"])
def test_every_other_part_of_the_model_file_is_carried_through(name: str, sample_models: Path, tmp_path: Path) -> None:
    """Collections, saver, asset definitions, op list and graph are what they were; only signatures changed."""
    edit, _ = CARRIED[name]
    source = sample_models / name
    folder = explorer.export(edit(explorer.open_saved_model(source)), tmp_path / "base")
    before, after = (consumers.proto_of(each).meta_graphs[0] for each in (source, folder))
    if name == "estimator_like/1":
        assert len(before.collection_def) >= 3
    for part in ("collection_def", "asset_file_def"):
        assert str(getattr(after, part)) == str(getattr(before, part))
    for part in ("saver_def", "meta_info_def", "graph_def"):
        assert getattr(after, part) == getattr(before, part)
    assert after.signature_def != before.signature_def
    assert len(after.object_graph_def.nodes) == len(before.object_graph_def.nodes)


KERAS2_EDITS: dict[str, Edit] = {
    "other keys": lambda model: explorer.rename_input(
        explorer.rename_output(model, "serving_default", "score", "quality"), "serving_default", "size", "petals"
    ),
    "another output": lambda model: explorer.add_output(model, "serving_default", "hidden", "hidden/Relu:0"),
    "another signature": lambda model: explorer.copy_signature(model, "serving_default", "again"),
    "a bound input": lambda model: explorer.bind_input(
        explorer.copy_signature(model, "serving_default", "fixed"), "fixed", "size", [[1.0, 2.0, 3.0]]
    ),
    "a cut": lambda model: explorer.set_input_tensor(model, "serving_default", "size", "hidden/Relu:0"),
}


X = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 0.0]], np.float32)
Y = np.zeros((2, 2), np.float32)


class Fitted:
    """A model of Keras 2, loaded by tf_keras, and what one step of its optimizer makes of it."""

    def __init__(self, folder: Path) -> None:
        import tf_keras

        model = tf_keras.models.load_model(folder)
        self.kind = type(model), [(type(layer), layer.name) for layer in model.layers]
        self.answer = model.predict(X, verbose=0).tobytes()
        self.weights = [weight.tobytes() for weight in model.get_weights()]
        tf_keras.utils.set_random_seed(2021)  # of the dropout
        self.loss = model.fit(X, Y, epochs=1, verbose=0).history["loss"]
        self.next_weights = [weight.tobytes() for weight in model.get_weights()]
        self.optimizer = [value.numpy().tobytes() for value in model.optimizer.variables()]


@pytest.fixture(scope="module")
def fitted_source(sample_models: Path) -> Fitted:
    """The unedited model."""
    return Fitted(sample_models / "keras2" / "1")


@pytest.mark.parametrize("edit", KERAS2_EDITS.values(), ids=list(KERAS2_EDITS))
def test_tf_keras_still_loads_predicts_and_fits(
    edit: Edit, fitted_source: Fitted, sample_models: Path, tmp_path: Path
) -> None:
    """An edited model is still a model of Keras 2 with its optimizer: the next step of training is the same too."""
    model = explorer.open_saved_model(sample_models / "keras2" / "1")
    fitted = Fitted(explorer.export(edit(model), tmp_path / "base"))
    assert fitted.kind == fitted_source.kind and fitted.kind[0].__name__ == "Functional"
    assert (fitted.answer, fitted.weights) == (fitted_source.answer, fitted_source.weights)
    # Adam's moments are read with the first step; without them it would be another step.
    assert len(fitted.optimizer) > 2 * 2 and fitted.optimizer == fitted_source.optimizer
    assert (fitted.loss, fitted.next_weights) == (fitted_source.loss, fitted_source.next_weights)
    assert fitted.next_weights != fitted.weights
