"""What a configuration of Keras may name: judged without Keras, which need not be installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from explorer.errors import ConversionError
from explorer.runtime.custom_objects import import_objects, named
from explorer.runtime.keras_archive import read_archive
from explorer.runtime.keras_config import DEEPEST, check_config, custom_aliases, custom_names
from explorer.runtime.keras_description import describe, keras_1_argument, needs_keras_2, unique_keys


def dense(name: str = "d", **more: Any) -> dict[str, Any]:
    """A dense layer as Keras 3 writes it."""
    config = {
        "name": name,
        "dtype": {
            "module": "keras",
            "class_name": "DTypePolicy",
            "config": {"name": "float32"},
            "registered_name": None,
        },
        "units": 2,
        "activation": "relu",
        "kernel_initializer": entry("GlorotUniform", {"seed": None}, module="keras.initializers"),
    } | more
    return entry("Dense", config)


def entry(
    class_name: Any, config: Any = None, *, module: Any = "keras.layers", registered: Any = None
) -> dict[str, Any]:
    """An object in a configuration of Keras 3."""
    found = {"module": module, "class_name": class_name, "config": config or {}, "registered_name": registered}
    return found | {"build_config": {"input_shape": [None, 3]}}


def model(*layers: Any, class_name: str = "Sequential") -> dict[str, Any]:
    """A model of some layers."""
    return entry(class_name, {"name": "m", "layers": list(layers)}, module="keras")


LAMBDA = entry("Lambda", {"name": "evil", "function": {"class_name": "__lambda__", "config": {"code": "4wEA"}}})
OLD_LAMBDA = {
    "class_name": "Lambda",
    "config": {"name": "evil", "function": ["4wEA", None, None], "function_type": "lambda"},
}


@pytest.mark.parametrize(
    "config",
    [
        model(dense()),
        model(entry("Bidirectional", {"name": "b", "layer": entry("LSTM", {"name": "l", "units": 2})})),
        model(entry("RNN", {"name": "r", "cell": entry("StackedRNNCells", {"cells": [entry("GRUCell")]})})),
        model(entry("TimeDistributed", {"name": "t", "layer": model(dense())})),
        model(entry("Activation", {"name": "a", "activation": entry("function", "gelu", module="builtins")})),
        model(entry("Mean", {"name": "op", "axis": 1}, module="keras.src.ops.numpy"), class_name="Functional"),
        model(entry("TFOpLambda", {"name": "add", "function": "math.add"})),
        model(entry("StringLookup", {"name": "s", "vocabulary": ["a", "b"]})),
        {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"name": "d", "units": 1}}]},
        {**model(dense()), "compile_config": {"loss": entry("function", "mine", module="my.losses")}},
    ],
)  # fmt: skip
def test_what_keras_writes_itself_is_let_through(config: dict[str, Any]) -> None:
    """Layers of Keras, wrapped and nested ones too, need nothing; what only compiling would need isn't looked at."""
    assert check_config(config) == ""
    assert custom_names(config) == ()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (model(LAMBDA), "layer 'evil' is a Lambda layer"),
        (model(OLD_LAMBDA), "layer 'evil' is a Lambda layer"),
        (model(model(model(LAMBDA))), "layer 'evil' is a Lambda layer"),
        (model(entry("TimeDistributed", {"name": "t", "layer": LAMBDA})), "layer 'evil' is a Lambda layer"),
        (model(entry("Bidirectional", {"name": "b", "layer": {}, "backward_layer": LAMBDA})), "'evil' is a Lambda"),
        (model(entry("Any>Lambda", {"name": "evil"})), "layer 'evil' is a Lambda layer"),
        (model(dense(activation={"class_name": "__lambda__", "config": {"value": "x"}})), "'d' is a Python lambda"),
        ({**model(dense()), "build_config": {"x": LAMBDA}}, "layer 'evil' is a Lambda layer"),
        (model(entry("TFSMLayer", {"name": "t", "filepath": "/x"})), "layer 't' is a TFSMLayer"),
        (model(entry("TorchModuleWrapper", {"name": "t", "module": "AAAA"})), "unpickle"),
        (model(entry("ResidualWrapper", {"name": "t"})), "layer 't' is a ResidualWrapper"),
        (model(entry("TFOpLambda", {"name": "o", "function": "io.read_file"})), "calls tf.io.read_file by its name"),
        (model(entry("TFOpLambda", {"name": "o", "function": "py_function"})), "calls tf.py_function by its name"),
        (model(entry("SlicingOpLambda", {"name": "o", "function": 3})), "calls nothing by its name"),
        (model(entry("StringLookup", {"name": "s", "vocabulary": "/etc/passwd"})), "from the file '/etc/passwd'"),
        (model(entry(["Dense"], {"name": "d"})), "a class that is no text"),
        (model(entry("Dense", {"name": "d"}, module=["os"])), "a class that is no text"),
        (model(entry("function", ["get"], module="keras.utils")), "a function that is no text"),
        (model(entry("__typespec__", [], module="os") | {"spec_name": "system"}), "of the type 'system'"),
    ],
)  # fmt: skip
def test_code_is_refused_wherever_it_stands_and_whoever_is_brought(config: dict[str, Any], words: str) -> None:
    """Bytecode, other files, methods by name: refused with the layer's name, whatever custom objects are given."""
    assert words in check_config(config)
    assert words in check_config(config, ["Lambda", "TFSMLayer", "evil", "Any>Lambda", "__lambda__"])


@pytest.mark.parametrize(
    ("config", "name", "words"),
    [
        (model(entry("My", {"name": "x"}, module="my.layers", registered="My")), "My", "of the module 'my.layers'"),
        (model(entry("My", {"name": "x"}, module=None, registered="pkg>My")), "My", "layer 'x' is of the class 'My'"),
        (model(entry("Dense", {"name": "x"}, module="os", registered="Dense")), "Dense", "of the module 'os'"),
        (model(entry("Dense", {}, module="kerasx", registered="Dense")), "Dense", "of the module 'kerasx'"),
        (model(entry("Dense", {"name": "x"}, registered="evil>Dense")), "evil>Dense", "registered as 'evil>Dense'"),
        (model(entry("Mean", {"name": "x"}, module="my", registered="Mean")), "Mean", "of the module 'my'"),
        (model(entry("get_file", {"name": "x"}, module="keras.utils")), "get_file", "which isn't Keras' own"),
        (model(entry("function", "get_file", module="keras.utils")), "get_file", "of the module 'keras.utils'"),
        (model(entry("function", "system", module="os")), "system", "of the module 'os'"),
        (model(dense(activation="mine")), "mine", "has the activation 'mine'"),
        (model(entry("Merge", {"name": "x"}, module=None)), "Merge", "which Keras 1 had"),
    ],
)  # fmt: skip
def test_what_isnt_of_keras_must_be_brought(config: dict[str, Any], name: str, words: str) -> None:
    """A class or function that isn't Keras' own is refused with its name, and let through with a custom object."""
    assert words in check_config(config)
    assert "custom_objects" in check_config(config)
    assert custom_names(config) == (name,)
    assert check_config(config, [name]) == ""


def test_several_missing_classes_are_named_together() -> None:
    """Who must bring two classes learns of both at once."""
    config = model(entry("A", {"name": "a"}, module=None), entry("B", {"name": "b"}, module="x"))
    assert "'A', 'B'" in check_config(config)
    assert "'B'" in check_config(config, ["A"])
    assert "'A'" not in check_config(config, ["A"])


def test_operations_in_hdf5() -> None:
    """Functions of keras.ops stand in an .h5 file without their module: Keras can't load them from it."""
    config = {"class_name": "Functional", "config": {"layers": [{"class_name": "GetItem", "config": {"name": "g"}}]}}
    assert "operation 'GetItem' of keras.ops" in check_config(config)
    assert "save the model as a .keras file" in check_config(config)


def test_initializers_of_tensorflow() -> None:
    """tf_keras writes some initializers by the module of TensorFlow that they are of."""
    constant = entry("Constant", {"value": 0.0}, module="tensorflow.python.ops.init_ops_v2")
    assert check_config(model(dense(bias_initializer=constant))) == ""
    other = entry("Constant", {"value": 0.0}, module="tensorflow.python.ops.io_ops")
    assert "'tensorflow.python.ops.io_ops'" in check_config(model(dense(bias_initializer=other)))


def test_a_brought_class_doesnt_let_a_module_be_imported() -> None:
    """Without a registered name, Keras would import the module that the file names; so that is refused."""
    config = model(entry("My", {"name": "x"}, module="antigravity", registered=None))
    assert "no registered name" in check_config(config, ["My"])


def test_aliases_are_all_names_that_keras_looks_for() -> None:
    """A class given by its bare name is found under the name that it was registered by."""
    config = model(entry("My", {"name": "x"}, module=None, registered="pkg>My"), {"class_name": "p>Old", "config": {}})
    found = custom_aliases(config, ["My", "Old"])
    assert found == {"My": "My", "pkg>My": "My", "Old": "Old", "p>Old": "Old"}


def test_depth_is_bounded() -> None:
    """A configuration that is nested without end is refused, not followed until Python gives up."""
    config: Any = {}
    for _ in range(DEEPEST * 100):
        config = {"x": config}
    assert "levels deep" in check_config(config)


def test_description_of_a_graph() -> None:
    """Inputs and outputs of a functional model by name, dtype and shape, however their places are written."""
    layers = [
        entry("InputLayer", {"name": "a", "batch_shape": [None, 3], "dtype": "int64"}),
        entry("InputLayer", {"name": "b", "batch_input_shape": [2, None], "dtype": "string"}),
        dense("one"),
    ]
    config = model(*layers, class_name="Functional")
    config["config"] |= {"input_layers": {"q": ["a", 0, 0], "p": ["b", 0, 0]}, "output_layers": ["one", 0, 0]}
    found = describe(config)
    assert found.inputs == (("q", "int64", (None, 3)), ("p", "string", (2, None)))
    assert found.outputs == ("one",)
    config["config"]["input_layers"] = [["a", 0, 0], ["b", 0, 0]]
    assert [key for key, _, _ in describe(config).inputs] == ["a", "b"]
    config["config"]["output_layers"] = [["one", 0, 0], ["one", 0, 1]]
    assert describe(config).outputs == ("one", "one_1")


@pytest.mark.parametrize(
    "config", [{}, {"config": 3}, {"class_name": 4, "config": {"layers": 3}}, {"config": {"layers": [3]}}]
)
def test_description_of_nonsense(config: dict[str, Any]) -> None:
    """What isn't well formed is left out of the description; nothing raises."""
    assert describe(config).layers == ()


def test_description_of_nonsense_places() -> None:
    """Places of inputs and outputs may be anything in a hostile file."""
    for places in (3, "x", [3, [4]], {"a": None}, [[], {}], {"class_name": "__tuple__", "items": [["d", 0, 0]]}):
        config = model(dense(), class_name="Functional")
        config["config"] |= {"input_layers": places, "output_layers": places}
        describe(config)


def test_keys_are_unique_and_fit_for_requests() -> None:
    """Two outputs of one name get two keys, and characters that a client can't send go."""
    assert unique_keys(["a", "a", "a/b", "", "_x"]) == ("a", "a_1", "a_b", "output", "x")


def test_what_keras_3_computes_otherwise_is_found() -> None:
    """hard_sigmoid has another formula in Keras 3, so a file of Keras 2 with it isn't for Keras 3."""
    assert needs_keras_2(model(entry("LSTM", {"recurrent_activation": "hard_sigmoid"}))) == "hard_sigmoid"
    assert needs_keras_2(model(dense())) == ""


def test_arguments_of_keras_1_are_found() -> None:
    """Layers of Keras 1 had other arguments, which no later Keras takes."""
    assert keras_1_argument([{"class_name": "Dense", "config": {"W_regularizer": None}}]) == "W_regularizer"
    assert keras_1_argument(model(dense())) == ""


def test_list_of_names_holds_nothing_that_runs_code() -> None:
    """The list of allowed names, made from the installed Keras, is read once more here for what must never be on it."""
    import explorer.runtime.keras_config as module

    found = json.loads(Path(module.__file__).with_name("keras_classes.json").read_text(encoding="utf-8"))
    names = {*found["classes"], *found["operations"], *found["functions"]}
    assert not names & {
        *module._CODE,
        "deserialize",
        "get_file",
        "load_model",
        "Merge",
        "FeatureSpace",
        "DenseFeatures",
    }
    words = ("read", "write", "save", "restore", "py_func", "load", "map_fn", "while", "print", "numpy_function")
    assert [symbol for symbol in found["symbols"] if any(word in symbol for word in words)] == []
    assert {"Dense", "LSTM", "Functional", "Sequential", "BatchNormalization", "TextVectorization"} <= names


class TestCustomObjects:
    def test_texts(self, tmp_path: Path) -> None:
        """Modules and files by text; a file's path is made absolute, since the child works in another folder."""
        file = tmp_path / "layers.py"
        file.write_text("class My: pass\n")
        assert named({"My": f"{file}:My", "O": "a.b:C.d"}) == {"My": f"{file}:My", "O": "a.b:C.d"}

    @pytest.mark.parametrize("text", ["My", "a b:C", "a:", ":C", "a:1", "nowhere.py:C", "a:C;x"])
    def test_other_texts(self, text: str) -> None:
        """What isn't module:Name or file.py:Name is refused with the form."""
        with pytest.raises(ConversionError, match=r"module:Name|no file"):
            named({"My": text})

    def test_objects(self) -> None:
        """A class whose module can be imported becomes a text."""
        assert named({"P": Path, "f": json.dumps}) == {"P": f"{Path.__module__}:Path", "f": "json:dumps"}

    def test_objects_of_a_notebook(self) -> None:
        """A class of the notebook can't be found by the child: the sentence says what to do instead."""
        local = type("My", (), {"__module__": "__main__"})
        with pytest.raises(ConversionError, match=r"\.py file.*hand the model"):
            named({"My": local})

        class Inner: ...

        with pytest.raises(ConversionError, match="isn't found"):
            named({"My": Inner})
        with pytest.raises(ConversionError, match="neither a class nor a function"):
            named({"My": 3})

    def test_import(self, tmp_path: Path) -> None:
        """The child imports a file under its own name, and what lies beside it."""
        (tmp_path / "beside_it.py").write_text("VALUE = 7\n")
        (tmp_path / "my_layers_q.py").write_text(
            "from beside_it import VALUE\nclass My:\n    class In: value = VALUE\n"
        )
        found = import_objects({"My": f"{tmp_path / 'my_layers_q.py'}:My.In", "J": "json:dumps"})
        assert found["My"].value == 7
        assert found["J"] is json.dumps

    def test_import_that_fails(self, tmp_path: Path) -> None:
        """A module that raises is a sentence with its words."""
        (tmp_path / "bad_q.py").write_text("raise KeyError('no\\nway')\n")
        with pytest.raises(ConversionError, match="KeyError: 'no"):
            import_objects({"My": f"{tmp_path / 'bad_q.py'}:My"})
        with pytest.raises(ConversionError, match="can't be imported"):
            import_objects({"My": "no_such_module_q:My"})


class TestArchive:
    def write(self, path: Path, members: dict[str, bytes], **attributes: int) -> Path:
        """A zip archive."""
        import zipfile

        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                info = zipfile.ZipInfo(name)
                for attribute, value in attributes.items():
                    setattr(info, attribute, value)
                archive.writestr(info, data)
        return path

    def test_good(self, tmp_path: Path) -> None:
        """The configuration is read, the weights lie in the file that was asked for."""
        members = {"config.json": b'{"class_name": "X"}', "metadata.json": b"{}", "model.weights.h5": b"abc"}
        found = read_archive(self.write(tmp_path / "a", members | {"assets/x/v.txt": b""}), tmp_path / "w")
        assert found.config == {"class_name": "X"}
        assert found.assets == ("assets/x/v.txt",)
        assert (tmp_path / "w").read_bytes() == b"abc"

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("../x", "path out of its folder"), ("/x", "path out of its folder"), ("assets/../x", "out of its folder"),
            ("assets\\x", "out of its folder"), ("evil.py", "no Keras writes"), ("assets", "no Keras writes"),
        ],
    )  # fmt: skip
    def test_bad_members(self, tmp_path: Path, name: str, words: str) -> None:
        """A member with a path out of the folder, or that no Keras writes, is refused by its name."""
        members = {"config.json": b"{}", "model.weights.h5": b"", name: b""}
        with pytest.raises(ValueError, match=words):
            read_archive(self.write(tmp_path / "a", members), tmp_path / "w")

    def test_links_bombs_and_lacks(self, tmp_path: Path) -> None:
        """Symbolic links, members that unpack to far more than the file, and missing members are refused."""
        import zipfile

        members = {"config.json": b"{}", "model.weights.h5": b""}
        with pytest.raises(ValueError, match="symbolic link"):
            read_archive(self.write(tmp_path / "a", members, external_attr=0o120777 << 16), tmp_path / "w")
        with pytest.raises(ValueError, match="config.json"):
            read_archive(self.write(tmp_path / "b", {"model.weights.h5": b""}), tmp_path / "w")
        with pytest.raises(ValueError, match="no weights"):
            read_archive(self.write(tmp_path / "c", {"config.json": b"{}"}), tmp_path / "w")
        with zipfile.ZipFile(tmp_path / "d", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("config.json", b"{}")
            archive.writestr("model.weights.h5", bytes(100 << 20))
        with pytest.raises(ValueError, match="made to fill the disk"):
            read_archive(tmp_path / "d", tmp_path / "w")
        with pytest.raises(ValueError, match="no readable JSON"):
            read_archive(self.write(tmp_path / "e", members | {"config.json": b"[" * 200_000}), tmp_path / "w")
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "f", "w") as archive:
            archive.writestr("config.json", b"{}")
            archive.writestr("config.json", b"{}")
        with pytest.raises(ValueError, match="twice"):
            read_archive(tmp_path / "f", tmp_path / "w")
