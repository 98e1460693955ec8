"""Models without second copies of their variables, judged by TensorFlow's own loaders and checkpoint reader."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import explorer
from explorer.exporting.export import export_version
from explorer.savedmodel.checkpoint_index import OBJECT_GRAPH_KEY
from explorer.savedmodel.duplicates import find_duplicates
from explorer.savedmodel.variables import read_variables


def stored_bytes(folder: Path) -> int:
    """The size of all data files."""
    return sum(path.stat().st_size for path in (folder / "variables").glob("variables.data-*"))


def assert_same_checkpoint(first: Path, second: Path) -> None:
    """TensorFlow's reader gives the same keys, dtypes, shapes and values for both."""
    readers = [tf.train.load_checkpoint(str(folder / "variables" / "variables")) for folder in (first, second)]
    shapes = [reader.get_variable_to_shape_map() for reader in readers]
    assert shapes[0] == shapes[1]
    assert readers[0].get_variable_to_dtype_map() == readers[1].get_variable_to_dtype_map()
    for name in shapes[0]:
        values = [reader.get_tensor(name) for reader in readers]
        if name == OBJECT_GRAPH_KEY or not isinstance(values[0], np.ndarray):
            assert values[0] == values[1]
        else:
            assert values[0].tobytes() == values[1].tobytes() or values[0].tolist() == values[1].tolist()


def test_every_loader_takes_a_keras_3_model_without_copies(
    sample_models: Path, tmp_path: Path, judges: ModuleType, expected_answers: Any
) -> None:
    """Python's two loaders answer bit for bit as before, the C++ loader loads, every checkpoint key is there."""
    source = sample_models / "keras3" / "1"
    published = export_version(explorer.open_saved_model(source), tmp_path / "base", remove_duplicates=True)
    assert stored_bytes(published.path) == stored_bytes(source) - 136
    assert_same_checkpoint(source, published.path)
    assert judges.cpp_load(published.path, ["serve"]) == ""
    asked = 0
    for case in expected_answers["keras3"]["1"]:
        for run in (judges.run_v1, judges.run_v2):
            answers = [
                run(folder, ["serve"], case["signature_key"], case["inputs"]) for folder in (source, published.path)
            ]
            assert set(answers[0]) == set(answers[1]) and answers[0]
            for key in answers[0]:
                assert answers[0][key].tobytes() == answers[1][key].tobytes()
                asked += 1
    assert asked


def test_an_edited_and_linked_model_without_copies(
    sample_models: Path, tmp_path: Path, judges: ModuleType, expected_answers: Any
) -> None:
    """Together with an edit and with hardlinks it is the same model under another key."""
    source = tmp_path / "source" / "1"
    shutil.copytree(sample_models / "keras3" / "1", source)
    model = explorer.rename_signature(explorer.open_saved_model(source), "serving_default", "scores")
    written = explorer.export(model, tmp_path / "base", remove_duplicates=True, link=True)
    case = next(case for case in expected_answers["keras3"]["1"] if case["signature_key"] == "serving_default")
    old = judges.run_v2(source, ["serve"], "serving_default", case["inputs"])
    new = judges.run_v2(written, ["serve"], "scores", case["inputs"])
    assert {key: value.tobytes() for key, value in old.items()} == {key: value.tobytes() for key, value in new.items()}
    assert judges.cpp_load(written, ["serve"]) == ""


def tensors(folder: Path) -> dict[str, Any]:
    """Every tensor of a checkpoint by its key; texts stay bytes, whose zeros at the end numpy would cut off."""
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    return {name: tf.constant(reader.get_tensor(name)) for name in sorted(reader.get_variable_to_shape_map())}


def in_shards(folder: Path, values: dict[str, Any], num_shards: int) -> None:
    """Writes variables as TensorFlow writes them, in several data files."""
    prefixes = []
    for number in range(num_shards):
        part = {name: value for at, (name, value) in enumerate(values.items()) if at % num_shards == number}
        prefix = str(folder.parent / f"part-{number}")
        tf.raw_ops.SaveV2(
            prefix=prefix, tensor_names=list(part), shape_and_slices=[""] * len(part), tensors=list(part.values())
        )
        prefixes.append(prefix)
    for old in (folder / "variables").iterdir():
        old.unlink()
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=prefixes, destination_prefix=str(folder / "variables" / "variables"), delete_old_dirs=False
    )


@pytest.fixture
def sharded_model(tmp_path: Path, sample_models: Path) -> Path:
    """The Keras 3 sample with its variables spread over four data files, TensorFlow's own."""
    folder = tmp_path / "sharded" / "1"
    shutil.copytree(sample_models / "keras3" / "1", folder)
    in_shards(folder, tensors(folder), 4)
    assert read_variables(folder).num_shards == 4
    return folder


def test_several_shards(sharded_model: Path, tmp_path: Path, judges: ModuleType, expected_answers: Any) -> None:
    """Copies go across data files, number and names of the files stay, and all loaders answer as before."""
    published = export_version(explorer.open_saved_model(sharded_model), tmp_path / "base", remove_duplicates=True)
    assert "variables: 4 of 8 tensors stood twice; 136 bytes less" in published.notes
    assert stored_bytes(published.path) == stored_bytes(sharded_model) - 136
    names = [{path.name for path in (folder / "variables").iterdir()} for folder in (sharded_model, published.path)]
    assert names[0] == names[1] and len(names[0]) == 5
    assert_same_checkpoint(sharded_model, published.path)
    assert judges.cpp_load(published.path, ["serve"]) == ""
    case = next(case for case in expected_answers["keras3"]["1"] if case["signature_key"] == "serving_default")
    for run in (judges.run_v1, judges.run_v2):
        old, new = (
            run(folder, ["serve"], "serving_default", case["inputs"]) for folder in (sharded_model, published.path)
        )
        assert {key: value.tobytes() for key, value in old.items()} == {
            key: value.tobytes() for key, value in new.items()
        }


def test_loaders_take_an_empty_shard(
    tmp_path: Path, sample_models: Path, judges: ModuleType, expected_answers: Any
) -> None:
    """A data file that held nothing but copies becomes empty, and no loader minds."""
    source = tmp_path / "source" / "1"
    shutil.copytree(sample_models / "keras3" / "1", source)
    every = tensors(source)
    copies = [name for name in every if name.startswith("_all_variables/")]
    others = [name for name in every if name not in copies]
    # Every second one goes into the second data file: the copies alone, and of two places the first one stays.
    order = [name for pair in zip(others[:4], copies, strict=True) for name in pair] + others[4:]
    in_shards(source, {name: every[name] for name in order}, 2)
    published = export_version(explorer.open_saved_model(source), tmp_path / "base", remove_duplicates=True)
    sizes = sorted(path.stat().st_size for path in (published.path / "variables").glob("variables.data-*"))
    assert sizes[0] == 0 and len(sizes) == 2
    assert_same_checkpoint(source, published.path)
    assert judges.cpp_load(published.path, ["serve"]) == ""
    case = next(case for case in expected_answers["keras3"]["1"] if case["signature_key"] == "serving_default")
    for run in (judges.run_v1, judges.run_v2):
        old, new = (run(folder, ["serve"], "serving_default", case["inputs"]) for folder in (source, published.path))
        assert {key: value.tobytes() for key, value in old.items()} == {
            key: value.tobytes() for key, value in new.items()
        }


def test_slices_texts_and_many_dtypes_stay(tmp_path: Path, sample_models: Path) -> None:
    """Partitioned variables and texts are moved and not merged; equal numbers of one dtype are."""
    folder = tmp_path / "slices" / "1"
    shutil.copytree(sample_models / "linear" / "1", folder)
    for old in (folder / "variables").iterdir():
        old.unlink()
    big = np.arange(3_000_000, dtype=np.float32)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        get = tf.compat.v1.get_variable
        get("a", initializer=big, use_resource=True)
        get("b", initializer=big, use_resource=True)
        split = tf.compat.v1.fixed_size_partitioner(3)
        get("split", [10, 2], initializer=tf.compat.v1.ones_initializer(), partitioner=split, use_resource=False)
        get("split2", [10, 2], initializer=tf.compat.v1.ones_initializer(), partitioner=split, use_resource=False)
        get("texts", initializer=tf.constant(["one", "two"]), use_resource=False)
        get("texts2", initializer=tf.constant(["one", "two"]), use_resource=False)
        get("whole", initializer=np.arange(7, dtype=np.int64), use_resource=True)
        get("z", initializer=np.arange(7, dtype=np.int64), use_resource=True)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "variables" / "variables"), write_meta_graph=False)
    assert set(find_duplicates(folder).names) == {"b", "z"}
    published = export_version(explorer.open_saved_model(folder), tmp_path / "base", remove_duplicates=True)
    assert "variables: 2 of 8 tensors stood twice; 12.0 MB less" in published.notes
    assert stored_bytes(published.path) == stored_bytes(folder) - big.nbytes - 56
    assert_same_checkpoint(folder, published.path)
