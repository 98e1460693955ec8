"""Looking into Keras files: what they are, and that a hostile one is one sentence and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.errors import ConversionError, FormatError
from explorer.runtime.keras_files import KerasFile, look_inside
from explorer.runtime.keras_files_child import answer
from explorer.runtime.keras_hdf5 import read_contents

h5py = pytest.importorskip("h5py")

TESTS = Path(__file__).resolve().parent.parent
FIXTURES = TESTS / "fixtures_keras"
CONFIG = json.dumps(
    {"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "Dense", "config": {"name": "d"}}]}}
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the installed versions write."""
    keras, tf_keras = pytest.importorskip("keras"), pytest.importorskip("tf_keras")
    folder = tmp_path_factory.mktemp("written")
    for name, framework in (("k3", keras), ("k2", tf_keras)):
        given = framework.Input((3,), name="x", dtype="int32")
        hidden = framework.layers.Embedding(5, 2, name="words")(given)
        outputs = [framework.layers.Flatten(name="flat")(hidden), framework.layers.LSTM(2, name="state")(hidden)]
        model = framework.Model(given, outputs)
        model.compile("adam", "mse")
        model.save(folder / f"{name}.keras")
        model.save(folder / f"{name}.h5")
        model.save_weights(folder / f"{name}.weights.h5")
        (folder / f"{name}.json").write_text(model.to_json())
    model.save_weights(folder / "k2_old.h5")
    return folder


@pytest.mark.parametrize(
    ("name", "form", "era", "whole"),
    [
        ("k3.keras", "keras_zip", "keras 3", True),
        ("k3.h5", "hdf5", "keras 3", True),
        ("k3.weights.h5", "hdf5", "keras 3", False),
        ("k3.json", "json", "keras 3", False),
        ("k2.keras", "keras_zip", "tf_keras", True),
        ("k2.h5", "hdf5", "tf_keras", True),
        ("k2.weights.h5", "hdf5", "tf_keras", False),
        ("k2.json", "json", "tf_keras", False),
        ("k2_old.h5", "hdf5", "tf_keras", False),
    ],
)
def test_what_todays_versions_write(written: Path, name: str, form: str, era: str, whole: bool) -> None:
    """Format, era, and of a model its layers, inputs and outputs, of weights their names, dtypes and shapes."""
    found = look_inside(written / name)
    assert (found.format, found.era, found.is_whole) == (form, era, whole)
    if found.class_name:
        assert found.class_name == "Functional"
        assert [layer.name for layer in found.layers] == ["x", "words", "flat", "state"]
        assert [(each.key, each.dtype, each.shape) for each in found.inputs] == [("x", "int32", (None, 3))]
        assert found.outputs == ("flat", "state")
        assert found.refusal == ""
    else:
        assert "architecture" in found.refusal
    if form != "json":
        assert sorted(weight.shape for weight in found.variables) == [(2, 8), (2, 8), (5, 2), (8,)]
        assert {weight.dtype for weight in found.variables} == {"float32"}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("keras_2_2_4_functional.h5", "is a whole model (Model) of Keras 2.2.4"),
        ("keras_2_2_4_lstm.h5", "is a whole model (Sequential) of Keras 2.2.4"),
        ("keras_2_0_8_sequential.h5", "is a whole model (Sequential) of Keras 2.0.8"),
        ("keras_1_2_2_sequential.h5", "is a whole model (Sequential) of Keras 1.2.2"),
        ("keras_2_2_4_weights.h5", "is a file of weights of Keras 2.2.4"),
    ],
)
def test_what_old_versions_wrote(name: str, title: str) -> None:
    """Files of before TensorFlow 2."""
    assert look_inside(FIXTURES / name).title == title


def whole(file: Any) -> Any:
    """Makes a file look like a whole model; gives the group of the layer's weights."""
    file.attrs["keras_version"] = "2.4.0"
    file.attrs["model_config"] = CONFIG
    group = file.create_group("model_weights")
    group.attrs["layer_names"] = np.array([b"d"])
    group = group.create_group("d")
    group.attrs["weight_names"] = np.array([b"kernel"])
    return group


def external_link(file: Any, group: Any, secret: Path) -> None:
    """A link to an object in another file."""
    group["kernel"] = h5py.ExternalLink(str(secret), "/secret")


def soft_link(file: Any, group: Any, secret: Path) -> None:
    """A link by path."""
    group["kernel"] = h5py.SoftLink("/model_weights/d/other")


def external_storage(file: Any, group: Any, secret: Path) -> None:
    """Raw data that lie in another file."""
    group.create_dataset("kernel", (4,), "uint8", external=[(str(secret), 0, 4)])


def virtual_dataset(file: Any, group: Any, secret: Path) -> None:
    """A dataset put together from another file."""
    layout = h5py.VirtualLayout((2,), "float32")
    layout[:] = h5py.VirtualSource(str(secret), "secret", (2,))
    group.create_virtual_dataset("kernel", layout)


def foreign_filter(file: Any, group: Any, secret: Path) -> None:
    """A filter that only a plugin brings."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((4,))
    plan.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
    h5py.h5d.create(group.id, b"kernel", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((4,)), plan)


def reference(file: Any, group: Any, secret: Path) -> None:
    """A dataset of references."""
    group.create_dataset("kernel", (1,), h5py.ref_dtype)


def named_type(file: Any, group: Any, secret: Path) -> None:
    """A datatype that has a name."""
    group["kernel"] = np.dtype("float32")


def loop(file: Any, group: Any, secret: Path) -> None:
    """A group inside itself."""
    group["kernel"] = file["model_weights"]


def bomb(file: Any, group: Any, secret: Path) -> None:
    """A dataset of terabytes out of nothing."""
    group.create_dataset("kernel", (1 << 40,), "float32", chunks=(1 << 20,), compression="gzip")


def many_bombs(file: Any, group: Any, secret: Path) -> None:
    """Many datasets out of nothing, each of them small."""
    for number in range(40):
        group.create_dataset(f"kernel{number}", (1 << 23,), "int8", chunks=(1 << 20,))


def deep(file: Any, group: Any, secret: Path) -> None:
    """A hundred groups in one another."""
    for _ in range(100):
        group = group.create_group("g")


def no_layer(file: Any, group: Any, secret: Path) -> None:
    """A layer without weights."""
    file["model_weights"].attrs["layer_names"] = np.array([b"d", b"nowhere"])


def numbers_for_names(file: Any, group: Any, secret: Path) -> None:
    """Numbers where names belong."""
    group.attrs["weight_names"] = np.arange(3)


def config_of_numbers(file: Any, group: Any, secret: Path) -> None:
    """Numbers where a text belongs."""
    file.attrs["model_config"] = np.arange(9)


def config_of_nonsense(file: Any, group: Any, secret: Path) -> None:
    """A text that Python can't parse."""
    file.attrs["model_config"] = '{"class_name": ' + "[" * 100_000


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (external_link, "'model_weights/d/kernel' is a link to another file"),
        (soft_link, "'model_weights/d/kernel' is a symbolic link"),
        (external_storage, "the data of 'model_weights/d/kernel' lie in another file"),
        (virtual_dataset, "'model_weights/d/kernel' is a virtual dataset"),
        (foreign_filter, "compressed by the filter 32015, a plugin"),
        (reference, "holds neither numbers nor text"),
        (named_type, "neither a group nor a dataset"),
        (loop, "stands in the file twice"),
        (bomb, "would have 4398046511104 bytes"),
        (many_bombs, "made to fill the memory"),
        (deep, "deep in one another"),
        (no_layer, "names the layer 'nowhere' and has no weights of it"),
        (numbers_for_names, "'weight_names' is no text"),
        (config_of_numbers, "'model_config' is no text"),
        (config_of_nonsense, "no readable JSON"),
    ],
)
def test_hostile_hdf5(make: Callable[[Any, Any, Path], None], words: str, tmp_path: Path) -> None:
    """What leads out of the file, or is made to exhaust the reader, is refused by its place; nothing else is read."""
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["secret"] = np.array([42, 43], np.float32)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        make(file, whole(file), secret)
    found = answer(tmp_path / "m.h5", tmp_path)
    assert words in str(found.get("error"))
    secret.unlink()  # and not there at all: the same sentence, for nobody looked
    assert answer(tmp_path / "m.h5", tmp_path) == found


def test_hostile_hdf5_inside_an_archive(written: Path, tmp_path: Path) -> None:
    """The weights of a .keras file are looked into in the same way."""
    import zipfile

    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers"] = h5py.ExternalLink("/etc/passwd", "/")
    with zipfile.ZipFile(written / "k3.keras") as old, zipfile.ZipFile(tmp_path / "m.keras", "w") as new:
        for name in old.namelist():
            new.writestr(name, (tmp_path / "w.h5").read_bytes() if name == "model.weights.h5" else old.read(name))
    with pytest.raises(ConversionError, match="'layers' is a link to another file \\('/etc/passwd'\\)"):
        look_inside(tmp_path / "m.keras")
    assert [path.name for path in tmp_path.iterdir() if "looked" in path.name] == []


def test_good_hdf5_is_let_through(tmp_path: Path) -> None:
    """Compressed and chunked weights are what some programs write."""
    with h5py.File(tmp_path / "m.h5", "w") as file:
        group = whole(file)
        group.create_dataset("kernel", data=np.zeros((1000, 1000), np.float32), compression="gzip", shuffle=True)
    assert read_contents(tmp_path / "m.h5").arrays[0].shape == (1000, 1000)


def test_long_lists_of_names(tmp_path: Path) -> None:
    """Keras cuts lists of names that are too long for HDF5 into pieces."""
    names = [f"layer_{number}".encode() for number in range(6)]
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["layer_names0"], file.attrs["layer_names1"] = np.array(names[:4]), np.array(names[4:])
        for name in names:
            file.create_group(name).attrs["weight_names"] = np.array([], "S1")
    assert read_contents(tmp_path / "m.h5").layer_names == [name.decode() for name in names]


@pytest.mark.parametrize("name", ["keras_2_2_4_lstm.h5", "keras_2_2_4_weights.h5"])
def test_truncated(name: str, tmp_path: Path) -> None:
    """Cut short anywhere: one sentence."""
    data = (FIXTURES / name).read_bytes()
    for length in range(0, len(data), 97):
        (tmp_path / "m.h5").write_bytes(data[:length])
        found = answer(tmp_path / "m.h5", tmp_path)
        assert "\n" not in str(found["error"]), length
        assert len(str(found["error"])) < 600


def test_what_is_no_file(tmp_path: Path) -> None:
    """Other files, folders and nothing at all."""
    (tmp_path / "x.h5").write_text("hello")
    with pytest.raises(ConversionError, match="neither an HDF5 file nor a .keras file"):
        look_inside(tmp_path / "x.h5")
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ConversionError, match="is no file"):
            look_inside(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["measurements"] = np.zeros(3)
    with pytest.raises(ConversionError, match="without anything of Keras in it.*'measurements'"):
        look_inside(tmp_path / "other.h5")
    (tmp_path / "m.json").write_text('{"a": 1}')
    with pytest.raises(ConversionError, match=r"not what model.to_json\(\) gives"):
        look_inside(tmp_path / "m.json")


def test_what_a_child_tells_is_not_believed() -> None:
    """An answer with parts missing isn't taken for a file."""
    with pytest.raises(KeyError):
        from explorer.runtime.keras_files import keras_file

        keras_file(Path("x"), {"format": "hdf5"})
    assert issubclass(FormatError, ValueError)
    assert KerasFile.__dataclass_params__.frozen  # type: ignore[attr-defined]


def test_changed_files(written: Path, tmp_path: Path) -> None:
    """Thousands of changed files: this process lives, and each is described or one sentence.

    HDF5 is C: a changed file may bring the child down that looks into it, or let it go round in circles until it is
    ended; then the next child goes on.
    """
    files = [str(written / name) for name in ("k3.keras", "k3.h5", "k3.weights.h5", "k2.keras", "k2.h5", "k2_old.h5")]
    files.append(str(FIXTURES / "keras_2_2_4_functional.h5"))
    count, first, crashes = 1500, 0, 0
    command = [sys.executable, str(TESTS / "keras_mutations.py"), str(tmp_path)]
    sentences: dict[int, str] = {}
    refused = 0
    while first < count:
        done = subprocess.run(
            [*command, str(first), str(count), "7", *files], capture_output=True, text=True, timeout=500
        )
        begun = first
        for line in done.stdout.splitlines():
            number, _, found = line.partition(" ")
            begun = int(number)
            if found != "begins":
                result = json.loads(found)
                sentences[begun] = str(result.get("error", result.get("refusal")))
                refused += "error" in result
        assert done.returncode <= 0, done.stderr  # ended by a signal at most: never by a Python exception
        crashes += done.returncode < 0
        first = begun + 1
    assert len(sentences) + crashes == count
    assert refused > count / 5
    assert crashes < count / 50
    assert all("\n" not in sentence and len(sentence) < 3000 for sentence in sentences.values())
