"""The panel that adds a signature for pictures, texts and rows. What traces and decodes is a stand-in."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from panels import LaterExecutor, nothing_left_behind, seen

from explorer.editing.edits import add_signature
from explorer.errors import RunCancelledError, RunError
from explorer.exporting.export import export_version
from explorer.runtime.compare_pictures import Comparison
from explorer.runtime.png import png_of
from explorer.runtime.preview_image import WARNING, ModelView
from explorer.runtime.with_pictures import image_options_of
from explorer.runtime.wrapped import Wrapped
from explorer.savedmodel.model import SavedModel
from explorer.savedmodel.opening import open_saved_model
from explorer.state import ExplorerState
from explorer.state.wrapping import WrapState
from explorer.widgets.explorer import Explorer
from explorer.widgets.panel import is_hidden
from explorer.widgets.wrap import WrapPanel

FLOAT, STRING = 1, 7


@pytest.fixture
def pictures(model_bytes: Any, tmp_path: Path) -> Path:
    """A base path with a model of two signatures: one takes pixels, one a row of numbers and texts."""
    builder = model_bytes().usual_ops()
    pixels, rows = builder.shape(None, 8, 6, 3), builder.shape(None, 2)
    builder.placeholder("image", FLOAT, pixels).placeholder("bytes", STRING).placeholder("row", FLOAT, rows)
    builder.placeholder("name", STRING).compute("scores", "image", op="Square", shape=rows)
    builder.compute("seen", "bytes", op="Cast", shape=rows).compute("sum", "row", op="Square", shape=rows)
    builder.signature(
        {"image": builder.info("image:0", FLOAT, pixels)}, {"scores": builder.info("scores:0", FLOAT, rows)}
    )
    builder.signature(
        {"row": builder.info("row:0", FLOAT, rows), "name": builder.info("name:0", STRING)},
        {"sum": builder.info("sum:0", FLOAT, rows), "more": builder.info("scores:0", FLOAT, rows)},
        key="table",
    )
    folder = tmp_path / "pictures" / "1"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(builder.to_bytes())
    return folder.parent


@pytest.fixture
def jpeg(repository: Path) -> bytes:
    """A small JPEG file."""
    return (repository / "tests" / "fixtures_images" / "colour.jpg").read_bytes()


class Stands:
    """Stands where TensorFlow would trace, decode and answer, and notes what it was asked."""

    def __init__(self) -> None:
        self.wrapped: list[tuple[Any, ...]] = []
        self.looked: list[tuple[Any, Any]] = []
        self.compared: list[tuple[Any, ...]] = []
        self.view: Any = None

    def wrap_version(
        self, kind: str, model: SavedModel, base: str, key: str, input_key: str | None, **given: Any
    ) -> tuple[Wrapped, Any]:
        """Adds a signature over a placeholder for texts, which the model has already."""
        told = given.pop("progress")
        self.wrapped.append((kind, key, input_key, {one: given[one] for one in given if one != "cancel"}))
        new = given.get("new_signature_key") or f"{key}_{kind}"
        image = None
        name = {"csv": "csv", "json": "json", "example": "examples"}.get(kind, "image_bytes")
        if kind in ("image", "base64"):
            options = {one: given[one] for one in ("size", "scale", "mean", "std", "colours") if one in given}
            image = image_options_of(model.meta_graph().signature(key), input_key, base64=kind == "base64", **options)
            name = image.input_key
        edited = add_signature(model, new, {name: "bytes:0"}, {"scores": "seen:0"})
        told(1, 2)
        return Wrapped(edited, new, key, "it is decoded", (), image), export_version(edited, base)

    def views_of(self, options: Any, images: Any, **_: Any) -> tuple[Any, ...]:
        """A black picture of the size that was asked for, or what a test wants."""
        import numpy as np

        self.looked.append((options, images))
        if self.view is not None:
            return (self.view,)
        pixels = np.zeros((options.height, options.width, 3), np.float32)
        return (ModelView(pixels, png_of(pixels.astype(np.uint8)), "JPEG", (14, 20), ("it is turned",)),)

    def compare_pictures(self, path: Path, wrapped: Wrapped, given: Any, **named: Any) -> Comparison:
        """No difference."""
        self.compared.append((path, wrapped.signature_key, given, named))
        return Comparison(0.0, "scores", len(given))


@pytest.fixture
def stands(monkeypatch: pytest.MonkeyPatch) -> Stands:
    """The stand-in."""
    made = Stands()
    monkeypatch.setattr("explorer.runtime.wrap.wrap_version", made.wrap_version)
    monkeypatch.setattr("explorer.runtime.preview_image.views_of", made.views_of)
    monkeypatch.setattr("explorer.runtime.compare_pictures.compare_pictures", made.compare_pictures)
    return made


@pytest.fixture
def panels() -> Iterator[list[Any]]:
    """Where a test puts its panels, which leave nothing behind."""
    with nothing_left_behind() as opened:
        yield opened


def made(panels: list[Any], path: Any = None, **named: Any) -> WrapPanel:
    """A panel that is closed after the test."""
    panel = WrapPanel(path, **named)
    panels.append(panel)
    return panel


def test_it_is_a_closed_button_in_the_explorer(panels: list[Any], pictures: Path, stands: Stands) -> None:
    """Its widgets come when it is opened first; nothing is asked of TensorFlow by that."""
    explorer = Explorer(pictures)
    panels.append(explorer)
    panel = explorer.wrap
    assert not panel.is_open and len(panel.children) == 4, "heading, button, room, message"
    panel.toggle.click()
    assert panel.toggle.description == "Close" and not is_hidden(panel.form)
    panel.toggle.click()
    assert is_hidden(panel.form) and is_hidden(panel.after)
    assert stands.looked == [] and stands.wrapped == []


def test_a_picture_by_clicks(panels: list[Any], pictures: Path, stands: Stands, jpeg: bytes) -> None:
    """Choices, the picture as the model sees it, the export, and at once the body of the new signature."""
    explorer = Explorer(pictures)
    panels.append(explorer)
    panel = explorer.wrap
    panel.toggle.click()
    assert panel.kind.value == "image" and "Each picture is decoded to RGB" in panel.words.value
    assert "8×6" in panel.words.value and "x / 255" in panel.words.value
    panel.choices["scale"].value = "-1..1"
    assert "x / 127.5 - 1" in panel.words.value
    panel.file._on_file("cat.jpg", jpeg)
    assert "smx-as-seen" in panel.seen.value and "cat.jpg as the model sees it" in panel.seen.value
    assert "JPEG, 14 × 20 pixels; the model gets 8 × 6 × 3" in panel.seen.value and "It is turned" in panel.seen.value
    assert stands.looked[-1][0].scale == "-1..1" and stands.looked[-1][1] == [("cat.jpg", jpeg)]
    panel.fields["new_signature_key"].take("by_picture")
    panel.export.click()
    assert stands.wrapped == [
        ("image", "serving_default", None, {"scale": "-1..1", "new_signature_key": "by_picture", "tags": None}),
    ]  # fmt: skip
    state = explorer.state
    assert panel.wrap.error == "" and state.version == 2 and state.signature_key == "by_picture"
    body = json.loads(state.body)
    assert body["signature_name"] == "by_picture" and body["instances"][0]["image_bytes"]["b64"].startswith("/9j/")
    assert '"b64": "/9j/' in explorer.request.view.codes[0]["text"]
    assert "Version 2 is written" in panel.result.value and "by_picture" in panel.result.value
    assert is_hidden(panel.form) and is_hidden(panel.export)


def test_comparison_needs_the_click(panels: list[Any], pictures: Path, stands: Stands, jpeg: bytes) -> None:
    """Offered after the export and with a picture; the sentence says what runs; the result stands in the box."""
    panel = made(panels, pictures)
    panel.wrap.take_picture("cat.jpg", jpeg)
    assert panel.wrap.compare(consent=True) is False and "nothing to compare yet" in panel.wrap.error
    panel.export.click()
    assert stands.compared == [] and "Nothing runs before" in panel.consent.value and not is_hidden(panel.compare)
    panel.compare.click()
    ((path, key, given, named),) = stands.compared
    assert path == pictures / "2" and key == "serving_default_image" and given == [("cat.jpg", jpeg)]
    assert named["consent"] is True
    assert "answers exactly as the plain one" in panel.result.value and is_hidden(panel.compare)
    panel.wrap.take_picture("dog.jpg", jpeg)
    assert panel.wrap.comparison is None and not is_hidden(panel.compare)
    for form in panel.fallback():
        assert "Version 2 is written" in form


def test_what_cannot_be_decoded_is_named_before_it_is_sent(panels: list[Any], pictures: Path, stands: Stands) -> None:
    """One sentence for the picture, the warning about the batch above the export, and no comparison."""
    panel = made(panels, pictures)
    assert WARNING.split("'")[0] in panel.warning.value and "smx-warning" in panel.warning.value
    assert not is_hidden(panel.warning)
    stands.view = "'cat.jpg' is cut short: it can't be decoded"
    panel.wrap.take_picture("cat.jpg", b"\xff\xd8\xff")
    assert "is cut short" in panel.seen.value and "smx-error" in panel.seen.value
    assert "smx-as-seen" not in panel.seen.value
    panel.export.click()
    assert panel.wrap.published is not None and is_hidden(panel.compare)
    assert panel.explorer.given == {}, "it isn't put into the request either"


def test_another_choice_shows_the_picture_anew(pictures: Path, stands: Stands, jpeg: bytes) -> None:
    """Each choice about pixels looks again; what an earlier look says after that is dropped."""
    later = LaterExecutor()
    state = WrapState(ExplorerState(pictures))
    state._executor = later
    state.follow()
    state.take_picture("cat.jpg", jpeg)
    state.choose("colours", "bgr")
    state.choose("new_signature_key", "other")
    assert len(later.pending) == 2 and state.is_looking
    later.work(1)
    assert not state.is_looking and state.view is not None and stands.looked[-1][0].colours == "bgr"
    shown = state.view
    later.work(0)
    assert state.view is shown and len(stands.looked) == 1, "a look that nobody waits for starts no process"


def test_what_does_not_fit_is_said_before_tensorflow_is_asked(
    panels: list[Any], pictures: Path, stands: Stands
) -> None:
    """A wrong size, a scale for colours, a taken key: a sentence beside the choices, and no button."""
    panel = made(panels, pictures)
    for name, value, words in (
        ("size", "9x9", "can't be brought to 9x9"),
        ("size", "wide", "is no size"),
        ("labels", "/nowhere.txt", "no file"),
        ("new_signature_key", "table", "give the new one another key"),
    ):
        panel.fields[name].take(value)
        assert words in panel.problem.value.replace("&#x27;t", "'t") and panel.export.disabled, (name, value)
        assert is_hidden(panel.code)
        panel.fields[name].take("")
        assert is_hidden(panel.problem) and not panel.export.disabled
    panel.wrap.choose("size", "9x9")
    assert panel.wrap.wrap() is False and "9x9" in panel.wrap.error and stands.wrapped == []


def test_numbers_of_ones_own(panels: list[Any], pictures: Path) -> None:
    """Their fields come with the choice; they are in the words, in Python and in the command."""
    panel = made(panels, pictures)
    assert is_hidden(panel.fields["mean"]) and is_hidden(panel.fields["std"])
    panel.choices["scale"].value = "own"
    panel.fields["mean"].take("10, 20,30")
    panel.fields["std"].take("2")
    assert not is_hidden(panel.fields["mean"]) and "[10, 20, 30]" in panel.words.value
    python, command = (code["text"] for code in panel.code.codes)
    assert "mean=[10.0, 20.0, 30.0]" in python and "std=[2.0]" in python and 'scale="own"' not in python
    assert "--mean '10, 20,30' --std 2" in command
    panel.fields["std"].take("two")
    assert "std is a number" in panel.problem.value.lower()


@pytest.mark.parametrize(
    ("kind", "choices"),
    [
        ("image", {"scale": "-1..1", "fit": "pad", "size": "8x6", "colours": "bgr", "new_input_key": "jpeg_bytes"}),
        ("image", {"scale": "own", "mean": "1,2,3", "std": "4"}),
        ("base64", {"input_key": "image", "channels": "last"}),
        ("example", {"method": "classify", "output_key": "more", "names": "row=Row name=Name", "defaults": 'name="x"'}),
        ("csv", {"columns": "name,row", "delimiter": ";"}),
        ("json", {"input_key": "row", "names": "row=Row"}),
    ],
)
def test_code_asks_for_what_the_panel_asks_for(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, kind: str, choices: dict[str, str]
) -> None:
    """The line of Python and the command come with the same arguments to where the panel comes."""
    import explorer
    from explorer.cli import main

    calls: list[tuple[Any, ...]] = []

    def wrap_version(
        kind: str, _: Any, base: Any, signature_key: str = "serving_default", input_key: Any = None, **given: Any
    ) -> Any:
        left = ("progress", "cancel", "version", "tags")
        said = {name: value for name, value in given.items() if name not in left and value is not None}
        if "only" in said:
            (input_key,) = said.pop("only")
        calls.append((kind, str(base), signature_key, input_key, said))
        raise RunError("it stops here")

    monkeypatch.setattr("explorer.runtime.wrap.wrap_version", wrap_version)
    state = WrapState(ExplorerState(pictures))
    if kind not in ("image", "base64"):
        state.explorer.choose_signature("table")
    state.follow()
    for name, value in {"kind": kind, **choices}.items():
        assert state.choose(name, value), state.error
    assert state.problem() == ""
    assert state.wrap() is False and "It stops here" in state.error
    with pytest.raises(RunError, match="it stops here"):
        eval(state.lines().python, {"explorer": explorer})  # our own line, which is what is tested
    assert main(shlex.split(state.lines().command)[3:]) == 2
    assert len(calls) == 3 and calls[0] == calls[1] == calls[2]


def test_kind_follows_the_signature(panels: list[Any], pictures: Path) -> None:
    """Pictures where an input takes them, records for several inputs; another signature begins anew."""
    panel = made(panels, pictures)
    panel.fields["new_input_key"].take("mine")
    panel.signature.value = "table"
    assert panel.kind.value == "example" and panel.wrap.new_input_key == ""
    assert is_hidden(panel.file) and is_hidden(panel.warning) and is_hidden(panel.choices["scale"])
    assert not is_hidden(panel.method) and "Serialized tf.Examples are parsed" in panel.words.value
    assert is_hidden(panel.output)
    panel.method.value = "classify"
    assert not is_hidden(panel.output) and panel.fields["new_signature_key"].placeholder == "table_classify"
    panel.kind.value = "image"
    assert "no inputs that can take pictures" in panel.problem.value and panel.export.disabled


@pytest.mark.parametrize(
    ("kind", "body"),
    [("csv", {"csv": "0.0,0.0,text"}), ("json", {"json": '{"row": [0.0, 0.0], "name": "text"}'})],
)
def test_rows_are_in_the_request_at_once(pictures: Path, stands: Stands, kind: str, body: dict[str, str]) -> None:
    """After the export the request has a row that the new signature could read."""
    state = WrapState(ExplorerState(pictures))
    state.explorer.choose_signature("table")
    state.follow()
    state.choose("kind", kind)
    assert state.wrap(), state.error
    assert json.loads(state.explorer.body)["instances"] == [body]


def test_base64_text_is_in_the_request_at_once(pictures: Path, stands: Stands, jpeg: bytes) -> None:
    """The picture that was looked at stands in the body as plain text."""
    import base64

    state = WrapState(ExplorerState(pictures))
    state.follow()
    state.choose("kind", "base64")
    state.take_picture("cat.jpg", jpeg)
    assert state.wrap(), state.error
    assert json.loads(state.explorer.body)["instances"] == [{"image_base64": base64.b64encode(jpeg).decode()}]


def test_draft_is_what_is_wrapped(panels: list[Any], pictures: Path, stands: Stands) -> None:
    """Pending edits are in the new version; the code says model, and there is no command for them."""
    explorer = ExplorerState(pictures)
    explorer.edit({"edit": "rename_output", "signature_key": "serving_default", "output_key": "scores", "new_key": "p"})
    panel = made(panels, explorer)
    (python,) = panel.code.codes
    assert python["text"].startswith("explorer.wrap_image(model, ") and "the draft" in python["note"]
    panel.export.click()
    assert "p" in open_saved_model(pictures / "2").meta_graph().signature("serving_default").outputs


def test_result_stays_until_another_signature_is_chosen(panels: list[Any], pictures: Path, stands: Stands) -> None:
    """The box and the code stand as long as the new signature is chosen; the button goes back to the choices."""
    panel = made(panels, pictures)
    panel.export.click()
    assert [code["label"] for code in panel.code.codes] == ["Python", "Command", "Request"]
    assert str(pictures) in panel.code.codes[0]["text"] and '"image_bytes"' in panel.code.codes[2]["text"]
    panel.explorer.choose_format("column")
    assert not is_hidden(panel.result)
    panel.explorer.choose_signature("table")
    assert is_hidden(panel.result) and not is_hidden(panel.form) and panel.wrap.published is None
    panel.explorer.choose_signature("serving_default")
    panel.wrap.choose("new_signature_key", "third")
    panel.export.click()
    assert panel.explorer.version == 3
    panel.another.click()
    assert not is_hidden(panel.form) and panel.wrap.wrapped is None


def test_cancel_stops_it(panels: list[Any], pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread: the button ends the tracing, nothing is written, and it can be begun again."""
    begun = threading.Event()

    def wrap_version(*_: Any, cancel: threading.Event, **__: Any) -> Any:
        begun.set()
        assert cancel.wait(30), "nobody pressed the button"
        raise RunCancelledError("stopped")

    monkeypatch.setattr("explorer.runtime.wrap.wrap_version", wrap_version)
    with ThreadPoolExecutor(2) as threads:
        panel = made(panels, pictures, executor=threads)
        done = threading.Event()
        panel.wrap.observe(lambda _: None if panel.wrap.busy else done.set(), "busy")
        panel.export.click()
        assert begun.wait(30) and not is_hidden(panel.progress) and panel.export.disabled
        assert "TensorFlow traces" in panel.done.value
        panel.cancel.click()
        assert done.wait(30)
    assert "nothing was written" in panel.notice.value and panel.wrap.error == ""
    assert is_hidden(panel.progress) and not panel.export.disabled and not (pictures / "2").exists()


def test_two_states_share_one_lock(pictures: Path) -> None:
    """Each calls the other, from threads of their own: with two locks they could wait for each other for ever."""
    explorer = ExplorerState(pictures)
    assert WrapState(explorer).lock is explorer.lock


def test_nothing_open_is_calm(panels: list[Any], tmp_path: Path, copy_model: Callable[[str], Path]) -> None:
    """Without a model a sentence stands there, with a bad path its reason; a model without signatures is fine too."""
    assert "open a SavedModel first" in seen(made(panels))
    panel = made(panels, tmp_path / "nothing")
    assert "nothing at" in panel.opening.value and not is_hidden(panel.opening)
    panel.explorer.open(copy_model("linear"))
    assert is_hidden(panel.opening) and panel._is_made
    assert panel._repr_mimebundle_()["text/plain"]


def test_every_sample_model_has_its_choices(panels: list[Any], sample_models: Path) -> None:
    """Whatever is open and chosen, the open panel shows its choices or says in a sentence why there are none."""
    for model in ("linear", "half_plus_two", "keras3", "several_meta_graphs", "image_bytes", "tf_example", "ragged"):
        panel = made(panels, sample_models / model)
        assert panel.explorer.meta_graph is not None
        for key in panel.explorer.meta_graph.callable_signatures:
            panel.explorer.choose_signature(key)
            for kind in panel.wrap.kinds():
                panel.wrap.choose("kind", kind)
                assert bool(panel.wrap.problem()) != bool(panel.wrap.lines().python), (model, key, kind)
                assert panel.fallback()[1]
