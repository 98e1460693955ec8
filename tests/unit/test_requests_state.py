"""The part of the state that makes requests and asks for answers; whoever answers is a stand-in, which runs nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from panels import LaterExecutor

from explorer.errors import RunError
from explorer.runtime.rest_api import RestAnswer
from explorer.state import ExplorerState
from explorer.state.client_codes import CLIENTS, client_codes
from explorer.state.lines import answer_lines
from explorer.state.protocols import protocol_preview
from explorer.state.value_rows import value_rows

RENAME = {"edit": "rename_input", "signature_key": "serving_default", "input_key": "x", "new_key": "features"}
Copy = Callable[[str], Path]


class FakeWarm:
    """Stands where ``WarmModel`` stands and notes what is done with it."""

    made: list[FakeWarm] = []
    gives: Callable[[str, str], RestAnswer]

    def __init__(self, model: Any, tags: Any) -> None:
        self.model, self.tags = model, frozenset(tags)
        self.asked: list[tuple[str, str]] = []
        self.is_closed = False
        FakeWarm.made.append(self)

    @property
    def is_warm(self) -> bool:
        return bool(self.asked)

    def serves(self, model: Any, tags: Any) -> bool:
        return model is self.model and frozenset(tags) == self.tags

    def ask(self, verb: str, body: str) -> RestAnswer:
        self.asked.append((verb, body))
        return FakeWarm.gives(verb, body)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> list[FakeWarm]:
    """The stand-ins that were made; they answer 200. Closing happens at once."""
    FakeWarm.made = []
    FakeWarm.gives = lambda verb, body: RestAnswer(200, f'{{"{verb}": 1}}'.encode(), latency_s=0.001)
    monkeypatch.setattr("explorer.runtime.draft.WarmModel", FakeWarm)
    monkeypatch.setattr("explorer.state.answering._close", lambda one: one.close())
    return FakeWarm.made


def png(width: int = 8, height: int = 6) -> bytes:
    """A red picture."""
    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", (width, height), (255, 0, 0)).save(made, "PNG")
    return made.getvalue()


def content(state: ExplorerState, protocol: str) -> str:
    """The whole of a request."""
    whole = protocol_preview(state, protocol).whole()
    return whole if isinstance(whole, str) else whole.hex()


def test_untouched_values_cost_no_numpy(sample_models: Path) -> None:
    """The first body, its row and the curl command are made without numpy, and are those that numpy makes."""
    state = ExplorerState(sample_models / "keras3")
    assert state.is_untouched
    light = [content(state, one) for one in ("rest_row", "rest_column", "curl")]
    texts = [row.text for row in value_rows(state)]
    assert state._made is None, "the full requests were not made"
    state.set_value("size", "[[0, 0, 0]]")
    assert not state.is_untouched
    assert [content(state, one) for one in ("rest_row", "rest_column", "curl")] == light
    assert [json.loads(row.text) for row in value_rows(state)] == [json.loads(text) for text in texts]


def test_one_value_is_in_every_protocol(sample_models: Path) -> None:
    """What is typed for an input is in REST, gRPC, KServe, curl and the client code; emptying it takes it back."""
    state = ExplorerState(sample_models / "half_plus_two")
    before = content(state, "rest_row")
    assert state.set_value("x", "[1, 2.5]")
    assert json.loads(state.body) == {"instances": [{"x": 1.0}, {"x": 2.5}]}
    assert "float_val: 2.5" in content(state, "grpc_text")
    assert np.array([1, 2.5], "<f4").tobytes().hex() in content(state, "grpc")
    assert json.loads(content(state, "kserve"))["inputs"][0]["data"] == [1.0, 2.5]
    assert '{"x": 2.5}' in content(state, "curl")
    state.choose_client("go")
    assert '"x": 2.5' in client_codes(state, "go").files["client.go"]
    assert state.values["x"].shape == (2,)
    state.set_value("x", "")
    assert content(state, "rest_row") == before


def test_what_does_not_fit_is_said_and_the_last_value_stays(sample_models: Path) -> None:
    """A half-typed list leaves the request as it is; the sentence stands beside its field."""
    state = ExplorerState(sample_models / "half_plus_two")
    state.set_value("x", "[3]")
    body = state.body
    assert state.set_value("x", "[3, "), "typing is no error of the intent"
    assert state.body == body and "no value" in state.problems["x"]
    (row,) = value_rows(state)
    assert row.text == "[3, " and "keeps the last value that fits" in row.problem
    state.set_value("x", "[[1]]")
    assert state.body == body and "2 dimensions" in state.problems["x"]
    assert not state.set_value("nobody", "1") and "'nobody'" in state.error
    assert not state.can_undo, "undo is about the model alone"


def test_filling_anew(sample_models: Path) -> None:
    """Zeros, ones and seeded random values of a batch; what was typed before is forgotten."""
    state = ExplorerState(sample_models / "keras3")
    state.set_value("size", "[[1, 2, 3]]")
    state.choose_values("ones", 2)
    assert json.loads(content(state, "rest_column"))["inputs"] == {
        "colour": [[1.0, 1.0]] * 2, "size": [[1.0, 1.0, 1.0]] * 2,
    }  # fmt: skip
    state.choose_values("random", 2, 7)
    first = content(state, "rest_row")
    colour = state.values["colour"]
    state.set_value("size", "[[1, 2, 3], [4, 5, 6]]")
    assert state.values["colour"] == colour, "the other values stay as they were made up"
    state.choose_values("random", 2, 7)
    assert content(state, "rest_row") == first
    state.choose_values("random", 2, 8)
    assert content(state, "rest_row") != first
    for wrong in (("twos", 1), ("ones", 0), ("ones", 10**9)):
        assert not state.choose_values(*wrong) and state.error


def test_features_have_rows_of_their_own(sample_models: Path) -> None:
    """A feature that is typed goes into every record; one that isn't there, or doesn't fit, is said."""
    from explorer.savedmodel.tf_example import read_example

    state = ExplorerState(sample_models / "tf_example")
    assert [row.feature for row in value_rows(state)] == ["", "age", "clicks", "country"]
    state.choose_values("zeros", 2)
    assert state.set_value("examples", "41.5", "age"), state.error
    records = [read_example(text) for text in state.values["examples"].texts]
    assert [record["age"] for record in records] == [[41.5], [41.5]]
    state.set_value("examples", '"many"', "clicks")
    assert "clicks" in state.problems["examples/clicks"]
    assert not state.set_value("examples", "1", "height") and "'height'" in state.error
    state.take_file("examples", "people.json", b'[{"age": 7.0, "country": "Peru"}]')
    assert [row.text for row in value_rows(state) if row.feature in ("age", "country")] == ["7.0", '"Peru"']


def test_files_become_values(sample_models: Path) -> None:
    """An .npy, a .json and a .csv on an input; one that holds several inputs; one that can't be read."""
    state = ExplorerState(sample_models / "keras3")
    array = io.BytesIO()
    np.save(array, np.array([[1, 2, 3]], "<f4"))
    assert state.take_file("size", "size.npy", array.getvalue()), state.error
    assert json.loads(content(state, "rest_column"))["inputs"]["size"] == [[1.0, 2.0, 3.0]]
    row = next(row for row in value_rows(state) if row.key == "size")
    assert row.file_name == "size.npy" and row.text == "" and "size.npy" in row.placeholder
    assert state.take_file("colour", "c.JSON", b"[[0.5, 0.25]]")
    assert state.values["colour"].shape == (1, 2)
    assert state.take_file(None, "all.json", b'{"size": [[9, 9, 9]], "colour": [[8, 8]]}'), state.error
    assert json.loads(content(state, "rest_row")) == {"instances": [{"colour": [8.0, 8.0], "size": [9.0, 9.0, 9.0]}]}
    before = state.body
    assert not state.take_file("size", "../../etc/x.npy", b"no numpy file")
    assert "'../../etc/x.npy'" in state.error and "savedmodel-explorer-file" not in state.error
    assert state.body == before


def test_images_are_bytes_or_pixels(sample_models: Path, model_bytes: Any) -> None:
    """A texts input takes the file's bytes; one of pixels its numbers, in the scale that is chosen, with a picture."""
    state = ExplorerState(sample_models / "image_bytes")
    assert state.take_file("image_bytes", "cat.png", png()), state.error
    assert state.values["image_bytes"].texts == (png(),)
    (row,) = value_rows(state)
    assert row.picture.startswith("data:image/png;base64,") and "as they are" in row.hint and not row.has_pixels
    state = ExplorerState(pixel_model(model_bytes))
    assert state.take_file("image", "cat.png", png()), state.error
    (row,) = value_rows(state)
    assert row.has_pixels and "divided by 255" in row.hint
    assert state.values["image"].shape == (1, 4, 4, 3) and state.values["image"].to_array()[0, 0, 0].tolist() == [
        1,
        0,
        0,
    ]
    assert state.choose_scale("-1..1")
    assert state.values["image"].to_array()[0, 0, 0].tolist() == [1, -1, -1]
    assert not state.take_file("image", "cat.png", b"no image")
    assert "image" in state.error and state.values["image"].shape == (1, 4, 4, 3)


def pixel_model(model_bytes: Any) -> Any:
    """A model that takes pixels, made from bytes."""
    made = model_bytes()
    shape = made.shape(None, 4, 4, 3)
    info = made.placeholder("image", 1, shape).info("image:0", 1, shape)
    return made.signature({"image": info}, {"y": info}).model()


def test_values_follow_a_rename(copy_model: Copy) -> None:
    """What was given for an input is there under its new key, and again under the old one after undo."""
    state = ExplorerState(copy_model("half_plus_two"))
    state.set_value("x", "[4]")
    state.edit(RENAME)
    assert json.loads(state.body) == {"instances": [{"features": 4.0}]}
    state.undo()
    assert json.loads(state.body) == {"instances": [{"x": 4.0}]}
    state.edit({"edit": "rename_signature", "signature_key": "serving_default", "new_key": "main"})
    assert json.loads(state.body) == {"signature_name": "main", "instances": [{"x": 4.0}]}


def test_protocols_say_why_not(sample_models: Path) -> None:
    """Where a protocol can't carry the values there is one sentence in place of the request."""
    state = ExplorerState(sample_models / "shapes_and_types")
    state.choose_signature("sparse")
    for protocol in ("rest_row", "rest_column", "curl"):
        shown = protocol_preview(state, protocol)
        assert shown.text == "" and shown.problem.endswith(".")
    state.choose_signature("scalar")
    assert "n" in protocol_preview(state, "rest_column").text and protocol_preview(state, "rest_row").problem
    assert not state.choose_protocol("carrier pigeon")


def test_the_body_is_the_example_until_somebody_types(sample_models: Path) -> None:
    """An edited body stands against new values; it belongs to its signature; None goes back."""
    state = ExplorerState(sample_models / "half_plus_two")
    state.edit_body('{"instances": [1,]}')
    state.set_value("x", "[5]")
    assert state.body == '{"instances": [1,]}' and state.lint is not None and state.lint.status == 400
    state.choose_signature("classify_x")
    assert '"examples"' in state.body and state.verb == "classify"
    state.choose_signature("serving_default")
    assert state.correct_body() and state.body == '{"instances": [1]}'
    assert state.lint.ok
    state.edit_body(None)
    assert json.loads(state.body) == {"instances": [{"x": 5.0}]}
    state.edit_body("")
    assert state.body == "" and state.typed_body == ""


def test_nothing_runs_without_consent(sample_models: Path, warm: list[FakeWarm]) -> None:
    """The model is not even prepared; the sentence says what to pass."""
    state = ExplorerState(sample_models / "half_plus_two")
    assert not state.run_request() and "consent=True" in state.error
    assert warm == [] and not state.has_consent and state.running == ""


def test_an_answer_is_kept_with_its_body(copy_model: Copy, warm: list[FakeWarm]) -> None:
    """Verb and body reach the model; a history entry brings both back; a draft gets a process of its own."""
    state = ExplorerState(copy_model("half_plus_two"))
    assert state.run_request(consent=True), state.error
    state.choose_signature("regress_x")
    state.edit_body('{"examples": [{"x": 2.0}]}')
    state.run_request(consent=True)
    assert len(warm) == 1 and [verb for verb, _ in warm[0].asked] == ["predict", "regress"]
    first = state.answers[-1]
    state.choose_answer(first.number)
    assert state.signature_key == "serving_default" and state.answer is first and state.body == first.body
    state.edit({**RENAME})
    state.run_request(consent=True)
    assert len(warm) == 2 and warm[0].is_closed and warm[1].model is state.model
    assert json.loads(warm[1].asked[0][1]) == {"instances": [{"features": 0.0}]}
    state.close_engine()
    assert warm[1].is_closed


def test_a_run_is_stopped(sample_models: Path, warm: list[FakeWarm]) -> None:
    """Cancel ends the process at once; what comes of the run afterwards is not heard, and one can ask again."""
    later = LaterExecutor()
    state = ExplorerState(executor=later)
    state.open(sample_models / "half_plus_two")
    later.work()

    def fail(verb: str, body: str) -> RestAnswer:
        raise RunError("the engine was closed")

    FakeWarm.gives = fail
    assert state.run_request(consent=True) and state.running == "loading"
    assert not state.run_request(consent=True) and "under way" in state.error
    assert state.cancel_run() and state.running == "" and warm[0].is_closed
    later.work()
    assert state.error == "" and state.answers == () and "Stopped" in state.notice
    state.run_request(consent=True)
    later.work()
    assert state.running == "" and "engine was closed" in state.error


def test_opening_another_model_ends_the_process(sample_models: Path, warm: list[FakeWarm]) -> None:
    """Values, bodies and the process go with the model; the history stays among the versions of one."""
    state = ExplorerState(sample_models / "half_plus_two")
    state.set_value("x", "[5]")
    state.edit_body("{}")
    state.run_request(consent=True)
    state.choose_version(123)
    assert warm[0].is_closed and len(state.answers) == 1 and state.typed_body is None and state.is_untouched
    state.run_request(consent=True)
    state.open(sample_models / "linear")
    assert warm[1].is_closed and state.answers == () and state.answer is None and not state.has_consent


def test_a_server_is_asked_and_both_compared(
    sample_models: Path, warm: list[FakeWarm], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server needs no consent; both give two answers, equal as JSON whatever their layout."""

    class Remote:
        def __init__(self, url: str, name: str) -> None:
            assert (url, name) == ("http://example:8501", "half_plus_two")

        def predict(self, body: str) -> RestAnswer:
            return RestAnswer(200, b'{ "predict":1.0 }')

        classify = regress = predict

    monkeypatch.setattr("explorer.runtime.remote.remote_rest", Remote)
    state = ExplorerState(sample_models / "half_plus_two")
    assert not state.run_request(where="server") and "URL" in state.error
    state.use_server(" http://example:8501 ")
    assert state.answered_by == "server" and state.run_request(), state.error
    assert warm == [] and state.answer.where == "server"
    assert answer_lines(state).python == (
        'server = explorer.remote_rest("http://example:8501", "half_plus_two")\n'
        'print(server.predict(\'{"instances": [{"x": 0.0}]}\').text)'
    )
    assert not state.run_request(where="both") and "consent" in state.error
    assert state.run_request(where="both", consent=True) and state.answer.is_equal
    assert state.answer.other.body == b'{ "predict":1.0 }'
    assert "http://example:8501/v1/models/half_plus_two:predict" in answer_lines(state).curl
    state.use_server("http://example:8501/v1/models/half_plus_two")
    assert answer_lines(state).curl.endswith(" http://example:8501/v1/models/half_plus_two:predict")


def test_only_good_bodies_are_kept(copy_model: Copy, warm: list[FakeWarm], monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that was answered with 200 becomes a record, oldest first, with consent; others are refused."""
    state = ExplorerState(copy_model("half_plus_two"))
    state.run_request(consent=True)
    FakeWarm.gives = lambda verb, body: RestAnswer(400, b'{"error": "no"}')
    state.run_request(consent=True)
    bad, good = (one.number for one in state.answers)
    assert not state.keep(bad) and "200" in state.error
    assert not state.write_warmup(consent=True) and "no body is kept" in state.error.lower()
    assert state.keep(good) and state.kept == (good,)
    assert not state.write_warmup(consent=False) and "consent" in state.error
    told: list[Any] = []

    def write(model: Any, base: Path, bodies: Any, **how: Any) -> Any:
        from explorer.exporting.export import export_version

        told.append((bodies, how["consent"]))
        return export_version(model, base)

    monkeypatch.setattr("explorer.runtime.write_warmup.write_warmup", write)
    assert state.write_warmup(consent=True), state.error
    ((bodies, consent),) = told
    assert consent is True and bodies == [("predict", '{"instances": [{"x": 0.0}]}')]
    assert "Version 125" in state.kept_written and state.kept == () and state.busy == ""


@pytest.mark.parametrize("choice", CLIENTS)
def test_every_client_is_there(sample_models: Path, choice: str) -> None:
    """Each language and hand-over gives files with text, and none fails on a model with classify and regress."""
    state = ExplorerState(sample_models / "half_plus_two")
    for key in state.meta_graph.callable_signatures:
        state.choose_signature(key)
        assert state.choose_client(choice), state.error
        found = client_codes(state, choice)
        assert found.problem == "" and found.files and all(found.files.values())
    assert not state.choose_client("cobol")
