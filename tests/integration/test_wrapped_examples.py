"""Signatures that take serialized tf.Examples, through predict, classify and regress of the REST rules."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import judges
import numpy as np
import pytest
import tensorflow as tf

import explorer
from explorer.cli import main
from explorer.errors import EditError
from explorer.runtime.wrap import Wrapped, with_example, wrap_version

LABELS = ("setosa", "versicolor", "größer, \"other\"")  # fmt: skip


def example(**values: Any) -> bytes:
    """A serialized tf.Example."""
    kinds: dict[type, Callable[[list[Any]], Any]] = {
        float: lambda items: tf.train.Feature(float_list=tf.train.FloatList(value=items)),
        int: lambda items: tf.train.Feature(int64_list=tf.train.Int64List(value=items)),
        bytes: lambda items: tf.train.Feature(bytes_list=tf.train.BytesList(value=items)),
    }
    features = {}
    for name, value in values.items():
        items = value if isinstance(value, list) else [value]
        features[name] = kinds[type(items[0])](items) if items else tf.train.Feature()
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def make_keras3(folder: Path) -> None:
    """An export of Keras 3 with two inputs."""
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    size, colour = keras.Input((3,), name="size"), keras.Input((), name="colour")
    joined = layers.Concatenate()([size, layers.Reshape((1,))(colour)])
    keras.Model([size, colour], layers.Dense(3, "softmax")(joined)).export(str(folder), verbose=False)


def make_keras2(folder: Path) -> None:
    """A model that Keras 2 saved."""
    import tf_keras

    tf_keras.utils.set_random_seed(1)
    layers = tf_keras.layers
    size, colour = layers.Input((3,), name="size"), layers.Input((), name="colour")
    joined = layers.Concatenate()([size, layers.Reshape((1,))(colour)])
    tf_keras.Model([size, colour], layers.Dense(3, "softmax")(joined)).save(str(folder), save_format="tf")


def make_module(folder: Path) -> None:
    """A tf.Module."""

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(np.random.default_rng(1).normal(0, 1, (4, 3)).astype(np.float32))

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 3], tf.float32, name="size"), tf.TensorSpec([None], tf.float32, name="colour"),
            ]
        )  # fmt: skip
        def score(self, size: Any, colour: Any) -> Any:
            return {"probabilities": tf.nn.softmax(tf.concat([size, colour[:, None]], 1) @ self.weights)}

    module = Module()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.score})


def make_tf1(folder: Path) -> None:
    """A graph of TensorFlow 1 with reference variables."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        size, colour = v1.placeholder(tf.float32, [None, 3], "size"), v1.placeholder(tf.float32, [None], "colour")
        weights = np.random.default_rng(1).normal(0, 1, (4, 3)).astype(np.float32)
        kernel = v1.get_variable("kernel", initializer=weights, use_resource=False)
        scores = tf.nn.softmax(tf.concat([size, colour[:, None]], 1) @ kernel)
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.predict_signature_def({"size": size, "colour": colour}, {"probabilities": scores})
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()


MAKERS: dict[str, Callable[[Path], None]] = {
    "keras3": make_keras3, "keras2": make_keras2, "module": make_module, "tf1": make_tf1,
}  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"size": [1.0, 2.5, -3.0], "colour": 0.5}, {"size": [0.0, 0.25, 7.0], "colour": -1.0},
    {"size": [1e-3, 4.0, 1.0], "colour": 2.0}, {"size": [5.0, 5.0, 5.0], "colour": 0.0},
    {"size": [-1.0, 0.5, 0.125], "colour": 9.0},
]  # fmt: skip


@pytest.fixture(scope="module", params=list(MAKERS))
def wrapped_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path: version 2 answers predict from records, 3 classify, and 4 predict with labels, from a draft."""
    base = tmp_path_factory.mktemp(str(request.param))
    MAKERS[str(request.param)](base / "1")
    wrap_version("example", base, base, features={"colour": {"name": "the colour", "default": 0.5}})
    wrap_version("example", base, base, method="classify", labels=LABELS)
    model = explorer.rename_signature(explorer.open_saved_model(base), "serving_default_example", "from_records")
    explorer.export(with_example(model, "serving_default", labels=LABELS, new_signature_key="named").model, base)
    return base


def plain_scores(base: Path) -> list[list[float]]:
    """What the plain signature answers for the rows."""
    with explorer.rest(base / "1", consent=True) as server:
        answer = server.predict(json.dumps({"instances": ROWS}))
    assert answer.status == 200
    found = answer.json()["predictions"]
    return [next(iter(row.values())) if isinstance(row, dict) else row for row in found]


def test_predict_takes_records(wrapped_model: Path) -> None:
    """Batches of 0, 1 and 5 records, one without a feature that has a default, answer as the plain rows do."""
    plain = plain_scores(wrapped_model)
    records = [
        example(size=row["size"], **({} if row["colour"] == 0.5 else {"the colour": row["colour"]})) for row in ROWS
    ]
    for count in (1, 5):
        instances = [{"b64": base64.b64encode(record).decode()} for record in records[:count]]
        body = json.dumps({"signature_name": "serving_default_example", "instances": instances})
        with explorer.rest(wrapped_model / "2", consent=True) as server:
            answer = server.predict(body)
        assert (answer.status, answer.json()) == (200, {"predictions": plain[:count]})
    for run in (judges.run_v1, judges.run_v2):
        for count in (0, 1, 5):
            (scores,) = run(
                wrapped_model / "2", ["serve"], "serving_default_example", {"examples": records[:count]}
            ).values()
            assert scores.shape == (count, 3)
            np.testing.assert_allclose(scores, np.reshape(plain[:count], (count, 3)), atol=1e-6)
    assert judges.cpp_load(wrapped_model / "2", ["serve"]) == ""


def test_classify_answers_the_labels(wrapped_model: Path) -> None:
    """``:classify`` gives each row's labels and scores; the labels lie among the assets, once."""
    plain = plain_scores(wrapped_model)
    with explorer.rest(wrapped_model / "3", consent=True) as server:
        body = {"signature_name": "serving_default_classify", "examples": ROWS}
        answer = server.classify(json.dumps(body))
        assert answer.status == 200
        # A feature that all rows share may stand once.
        shared = {**body, "context": {"colour": 0.5}, "examples": [{"size": ROWS[0]["size"]}]}
        assert server.classify(json.dumps(shared)).json()["results"] == answer.json()["results"][:1]
        lacking = server.classify(json.dumps({**body, "examples": [{"size": [1.0, 2.0, 3.0]}]}))
    assert answer.json()["results"] == [[list(pair) for pair in zip(LABELS, row, strict=True)] for row in plain]
    assert lacking.status == 400 and "colour" in lacking.text
    (asset,) = (wrapped_model / "3" / "assets").iterdir()
    assert asset.read_text("utf-8").splitlines() == list(LABELS)
    records = [example(**row) for row in ROWS]
    for run in (judges.run_v1, judges.run_v2):
        found = run(wrapped_model / "3", ["serve"], "serving_default_classify", {"inputs": records})
        assert found["classes"].tolist() == [[label.encode() for label in LABELS]] * 5


def test_predict_can_answer_the_labels_too(wrapped_model: Path) -> None:
    """Wrapped in a draft and exported with another edit: ``classes`` and ``scores`` beside what the model answers."""
    plain = plain_scores(wrapped_model)
    found = judges.run_v2(wrapped_model / "4", ["serve"], "named", {"examples": [example(**row) for row in ROWS]})
    assert {"classes", "scores"} < set(found) and len(found) == 3
    np.testing.assert_allclose(found["scores"], plain, atol=1e-6)
    assert found["classes"][4].tolist() == [label.encode() for label in LABELS]
    assert "from_records" in explorer.open_saved_model(wrapped_model / "4").meta_graph().signatures
    assert judges.cpp_load(wrapped_model / "4", ["serve"]) == ""


def test_the_plain_signature_stays(wrapped_model: Path) -> None:
    """It answers to the bit what it answered, and the checks find nothing new."""
    proof = explorer.prove(wrapped_model / "1", wrapped_model / "4", consent=True)
    assert proof.holds
    assert any(one.after_key == "serving_default" for one in proof.signatures)
    before = {one.code for one in explorer.check(explorer.open_saved_model(wrapped_model / "1"))}
    for version in "234":
        assert {one.code for one in explorer.check(explorer.open_saved_model(wrapped_model / version))} <= before


def test_the_request_has_the_features(wrapped_model: Path) -> None:
    """The bodies that are shown for the new signatures name the features, and the server takes them."""
    model = explorer.open_saved_model(wrapped_model / "3")
    body = explorer.request_body(model, "serving_default_classify")
    assert '"size"' in body and '"colour"' in body
    with explorer.rest(wrapped_model / "3", consent=True) as server:
        assert server.classify(body).status == 200
        body = explorer.request_body(model, "serving_default_example")
        assert '{"b64": "' in body
        assert server.predict(body).status == 200


def test_a_recipe_makes_the_same_without_tensorflow(wrapped_model: Path, tmp_path: Path) -> None:
    """The recipe holds the steps and the labels; applied to the first version it gives the same bytes."""
    first = explorer.open_saved_model(wrapped_model / "1")
    made = with_example(first, method="classify", labels=list(LABELS)).model
    again = explorer.apply_recipe(first, json.loads(json.dumps(explorer.recipe(made))))
    folders = [explorer.export(model, tmp_path / name) for name, model in (("made", made), ("again", again))]
    assert judges.tree(folders[0]) == judges.tree(folders[1])
    assert any(name.startswith("assets/labels_") for name in judges.tree(folders[0]))


def test_a_draft_answers(wrapped_model: Path) -> None:
    """The labels of a draft, which lie nowhere yet, are there when it runs."""
    from explorer.runtime.draft import WarmModel

    draft = with_example(explorer.open_saved_model(wrapped_model / "1"), method="classify", labels=LABELS).model
    warm = WarmModel(draft, {"serve"})
    try:
        answer = warm.ask("classify", json.dumps({"signature_name": "serving_default_classify", "examples": ROWS}))
    finally:
        warm.close()
    assert answer.status == 200
    assert [pair[0] for pair in answer.json()["results"][0]] == list(LABELS)


@pytest.fixture(scope="module")
def all_dtypes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Wrapped]:
    """A model that answers its inputs, of many dtypes and shapes, and its version that takes records."""
    specs = {
        "whole": tf.TensorSpec([None], tf.int32), "small": tf.TensorSpec([None, 2], tf.int8),
        "flag": tf.TensorSpec([None], tf.bool), "text": tf.TensorSpec([None, 1], tf.string),
        "double": tf.TensorSpec([None], tf.float64), "half": tf.TensorSpec([None, 2], tf.float16),
        "grid": tf.TensorSpec([None, 2, 2], tf.uint8), "row": tf.TensorSpec([None, None], tf.int64),
        "pairs": tf.TensorSpec([None, None, 2], tf.float32), "factor": tf.TensorSpec([], tf.float32),
    }  # fmt: skip
    module = tf.Module()
    module.echo = tf.function(lambda **inputs: {f"{key}_out": tf.identity(value) for key, value in inputs.items()})
    base = tmp_path_factory.mktemp("all_dtypes")
    tf.saved_model.save(module, str(base / "1"), signatures=module.echo.get_concrete_function(**specs))
    return base, wrap_version("example", base, base, features={"row": {"padding": -1}, "factor": {"default": 2.0}})[0]


def test_every_dtype_and_shape(all_dtypes: tuple[Path, Wrapped]) -> None:
    """Values arrive as they are; rows of different lengths are filled up; an input without a batch is constant."""
    base, wrapped = all_dtypes
    rows = [
        example(whole=-7, small=[1, -128], flag=1, text=b"\xff\0", double=0.5, half=[1.5, -2.0], grid=[1, 2, 3, 255],
                row=[3, 4], pairs=[1.0, 2.0]),
        example(whole=2**31 - 1, small=[0, 127], flag=0, text=b"", double=-1.0, half=[0.0, 4.0], grid=[0, 0, 0, 9],
                row=[5], pairs=[1.0, 2.0, 3.0, 4.0]),
    ]  # fmt: skip
    found = judges.run_v2(base / "2", ["serve"], wrapped.signature_key, {"examples": rows})
    assert found["whole_out"].tolist() == [-7, 2**31 - 1] and found["whole_out"].dtype == np.int32
    assert found["small_out"].tolist() == [[1, -128], [0, 127]]
    assert found["flag_out"].tolist() == [True, False]
    assert found["text_out"].tolist() == [[b"\xff\0"], [b""]]
    assert found["double_out"].tolist() == [0.5, -1.0]
    assert found["half_out"].tolist() == [[1.5, -2.0], [0.0, 4.0]]
    assert found["grid_out"].tolist() == [[[1, 2], [3, 255]], [[0, 0], [0, 9]]]
    assert found["row_out"].tolist() == [[3, 4], [5, -1]]
    assert found["pairs_out"].tolist() == [[[1, 2], [0, 0]], [[1, 2], [3, 4]]]
    assert found["factor_out"] == 2.0


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"whole": 2**31}, "whole"), ({"small": [1, -129]}, "small"), ({"grid": [1, 2, 3, 256]}, "grid"),
        ({"flag": 2}, "flag"), ({"half": [1e9, 0.0]}, "half"), ({"pairs": [1.0, 2.0, 3.0]}, "pairs"),
        ({"whole": 1.5}, "whole"), ({"small": [1]}, "small"), ({"text": []}, "text"),
    ],
)  # fmt: skip
def test_what_a_dtype_cant_hold_fails(all_dtypes: tuple[Path, Wrapped], changed: dict[str, Any], named: str) -> None:
    """Such a value fails in the server with words that name the feature, and never wraps around."""
    base, wrapped = all_dtypes
    good = {"whole": 1, "small": [1, 2], "flag": 1, "text": b"a", "double": 0.5, "half": [1.0, 2.0],
            "grid": [1, 2, 3, 4], "row": [1], "pairs": [1.0, 2.0]}  # fmt: skip
    with pytest.raises(tf.errors.InvalidArgumentError, match=named):
        judges.run_v2(base / "2", ["serve"], wrapped.signature_key, {"examples": [example(**{**good, **changed})]})


def test_regress_answers_one_number_a_row(tmp_path: Path, sample_models: Path) -> None:
    """``:regress`` on a TF1 model and on one whose output is [?, 1]; a rank of one is asked for."""
    for name, key, rows, expected in (
        ("half_plus_two", "serving_default", [{"x": 1.0}, {"x": -4.0}], [3.0, 0.5]),
        ("linear", "prediction", [{"input": [0.0, 0.0, 0.0]}], None),
    ):
        base = tmp_path / name
        wrapped, _ = wrap_version("example", sample_models / name, base, key, method="regress")
        with explorer.rest(base, consent=True) as server:
            answer = server.regress(json.dumps({"signature_name": wrapped.signature_key, "examples": rows}))
            plain = server.predict(json.dumps({"signature_name": key, "instances": rows}))
        assert (answer.status, plain.status) == (200, 200)
        flat = np.ravel(plain.json()["predictions"]).tolist()
        assert answer.json()["results"] == flat and len(flat) == len(rows)
        assert expected is None or flat == expected


def test_a_model_that_parses_records_itself(tmp_path: Path, sample_models: Path) -> None:
    """Its records are handed on: only the answer is new; and predict, where nothing would be new, is refused."""
    path = sample_models / "tf_example"
    wrapped, published = wrap_version("example", path, tmp_path / "b", method="regress")
    body = explorer.request_body(explorer.open_saved_model(published.path), wrapped.signature_key)
    assert json.loads(body).keys() == {"signature_name", "examples"}
    with explorer.rest(published.path, consent=True) as server:
        assert server.regress(body).status == 200
    with pytest.raises(EditError, match="takes serialized tf.Examples already"):
        wrap_version("example", path, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_the_command_takes_labels_and_names(
    tmp_path: Path, sample_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names, defaults, method and the file of the labels reach the step; the last line is the folder."""
    labels = tmp_path / "labels.txt"
    labels.write_bytes(b"\xef\xbb\xbfcat\r\ndog\r\n")
    arguments = ["--method", "classify", "--labels", str(labels), "--names", "colour=c", "--defaults", "colour=[0,1]"]
    status = main(["wrap", "example", str(sample_models / "keras3"), "--export", str(tmp_path / "b"), *arguments])
    printed = capsys.readouterr()
    assert (status, printed.err) == (0, "")
    folder = Path(printed.out.splitlines()[-1])
    assert folder == tmp_path / "b" / "1" and "2 labels" in printed.out
    with explorer.rest(folder, consent=True) as server:
        body = {"signature_name": "serving_default_classify", "examples": [{"size": [1.0, 2.0, 3.0]}]}
        answer = server.classify(json.dumps(body))
        given = server.classify(json.dumps({**body, "examples": [{"size": [1.0, 2.0, 3.0], "c": [0.0, 1.0]}]}))
    assert answer.json() == given.json()
    assert [label for label, _ in answer.json()["results"][0]] == ["cat", "dog"]
