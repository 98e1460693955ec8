"""A model as it is open answers requests: from its own folder, or as a draft from one that costs nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import explorer
from explorer.errors import RunError
from explorer.runtime.draft import WarmModel, make_draft_folder

BODY = '{"instances": [{"features": 1.0}, {"features": 5.0}]}'
Copy = Callable[[str], Path]


def renamed(path: Path) -> explorer.SavedModel:
    """``half_plus_two`` with another key for its input."""
    return explorer.rename_input(explorer.open_saved_model(path), "serving_default", "x", "features")


def test_a_draft_answers_as_it_is_edited(copy_model: Copy) -> None:
    """The new key is what is asked for, the old one is refused with the server's sentence, the source is untouched."""
    path = copy_model("half_plus_two")
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    model = renamed(path)
    warm = WarmModel(model, {"serve"})
    try:
        assert not warm.is_warm and warm.serves(model, ["serve"]) and not warm.serves(renamed(path), ["serve"])
        answer = warm.ask("predict", BODY)
        assert answer.status == 200, answer.text
        assert answer.json() == {"predictions": [3.0, 5.0]} and warm.is_warm
        refused = warm.ask("predict", '{"instances": [{"x": 1.0}]}')
        assert refused.status == 400 and "named input: x" in refused.text
        assert json.loads(warm.ask("regress", '{"signature_name": "regress_x", "examples": [{"x": 1.0}]}').body)
    finally:
        warm.close()
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before
    with pytest.raises(RunError):
        warm.ask("predict", BODY)


def test_a_draft_folder_copies_nothing(copy_model: Copy, tmp_path: Path) -> None:
    """Only the model's file is written; the variables are links, and stale warm-up records stay away."""
    model = explorer.open_saved_model(copy_model("estimator_like"))
    assert model.path is not None
    key, signature = next(iter(model.meta_graph().callable_signatures.items()))
    edited = explorer.rename_input(model, key, next(iter(signature.inputs)), "records")
    (tmp_path / "draft").mkdir()
    folder = make_draft_folder(edited, tmp_path / "draft")
    written = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    assert written == [folder / "saved_model.pb"]
    assert all(file.resolve().is_relative_to(model.path) for file in folder.rglob("*") if file.is_symlink())
    assert not (folder / "assets.extra" / "tf_serving_warmup_requests").exists()
    assert explorer.open_saved_model(folder).meta_graphs == edited.meta_graphs


def test_close_ends_a_load_that_is_under_way(copy_model: Copy) -> None:
    """Whoever waits for the answer gets one that says so, long before the model would be loaded."""
    warm = WarmModel(explorer.open_saved_model(copy_model("keras3")), {"serve"})
    answers: list[object] = []
    body = '{"instances": [{"size": [1, 2, 3], "colour": [0, 0]}]}'
    asking = threading.Thread(target=lambda: answers.append(warm.ask("predict", body)))
    asking.start()
    started_s = time.monotonic()
    while not warm.is_warm and time.monotonic() - started_s < 30:
        time.sleep(0.01)
    time.sleep(0.05)
    warm.close()
    asking.join(timeout=30)
    assert not asking.is_alive()
    (answer,) = answers
    assert getattr(answer, "is_own", False) and getattr(answer, "status", 0) == 503


def test_a_third_model_cools_the_first(copy_model: Copy) -> None:
    """At most two processes stay; the first one's comes back when it is asked again."""
    model = explorer.open_saved_model(copy_model("half_plus_two"))
    models = [WarmModel(model, {"serve"}) for _ in range(3)]
    body = '{"instances": [1.0]}'
    try:
        for one in models:
            assert one.ask("predict", body).status == 200
        assert [one.is_warm for one in models] == [False, True, True]
        assert models[0].ask("predict", body).status == 200
        assert [one.is_warm for one in models] == [True, False, True]
    finally:
        for one in models:
            one.close()
