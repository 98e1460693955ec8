"""The panels of the request and of client code: a form for the values, tabs for the protocols, files, whole texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from panels import nothing_left_behind, say, seen

from explorer.state import ExplorerState
from explorer.widgets.client_code import ClientPanel
from explorer.widgets.code_view import Code, CodeView
from explorer.widgets.explorer import Explorer
from explorer.widgets.file_drop import FileDrop
from explorer.widgets.panel import close_all, is_hidden
from explorer.widgets.request import RequestPanel

Show = Callable[[str], RequestPanel]


@pytest.fixture
def show(sample_models: Path) -> Iterator[Show]:
    """Shows the request panel alone on a sample model."""
    with nothing_left_behind() as opened:

        def shown(name: str) -> RequestPanel:
            panel = RequestPanel(ExplorerState(sample_models / name))
            opened.append(panel)
            return panel

        yield shown


def upload(drop: FileDrop, name: str, data: bytes, part: int = 4) -> None:
    """Sends a file as the page does, in parts, the last one first."""
    parts = [data[start : start + part] for start in range(0, len(data), part)] or [b""]
    for place in reversed(range(len(parts))):
        content = {"kind": "part", "upload": "1", "name": name, "place": place, "count": len(parts)}
        drop._handle_custom_msg(content, [memoryview(parts[place])])


def in_sight(panel: RequestPanel) -> dict[str, Any]:
    """The code in sight."""
    code: dict[str, Any] = panel.view.codes[panel.view.chosen]
    return code


def test_a_row_for_each_input_with_dtype_and_shape(show: Show) -> None:
    """Every input has a field with its value and a place for a file; typing goes to the request in sight."""
    panel = show("keras3")
    first, second = (row.children for row in panel.form.rows.children)
    assert first[0].label == "colour  float32[?, 2]" and first[0].value == "[[0.0, 0.0]]"
    assert second[1].name == "File for input size"
    say(first[0], kind="typed", text="[[0.5, 1]]", turn=first[0].turn)
    assert "0.5" in in_sight(panel)["text"] and panel.state.values["colour"].shape == (1, 2)
    say(first[0], kind="typed", text="[[0.5,", turn=first[0].turn)
    assert "keeps the last value" in first[0].problem and "0.5" in in_sight(panel)["text"]
    assert first[0].value == "[[0.5,", "what is typed stays"


def test_filling_by_choice(show: Show) -> None:
    """The dropdown and the batch size fill the fields; a batch that is no number is said beside its field."""
    panel = show("half_plus_two")
    panel.form.kind.value = "ones"
    field = panel.form.rows.children[0].children[0]
    assert field.value == "[1.0]"
    say(panel.form.batch, kind="typed", text="3", turn=panel.form.batch.turn)
    assert field.value == "[1.0, 1.0, 1.0]"
    say(panel.form.batch, kind="typed", text="many", turn=panel.form.batch.turn)
    assert "whole number" in panel.form.batch.problem and field.value == "[1.0, 1.0, 1.0]"
    say(panel.form.batch, kind="typed", text="", turn=panel.form.batch.turn)
    assert panel.form.batch.problem == "" and field.value == "[1.0]"
    panel.form.kind.value = "random"
    before = field.value
    panel.form.refill.click()
    assert field.value != before


def test_tabs_say_size_and_reason(show: Show) -> None:
    """The tab in sight has the request, where it goes and how long it is; an impossible one has its reason."""
    panel = show("half_plus_two")
    labels = [code["label"] for code in panel.view.codes]
    assert labels == ["REST row", "REST column", "curl", "gRPC text", "gRPC bytes", "KServe V2"]
    assert "POST /v1/models/half_plus_two:predict · 27 bytes" in in_sight(panel)["note"]
    say(panel.view, kind="choose", place=4)
    assert in_sight(panel)["label"] == "gRPC bytes" and "38 bytes" in in_sight(panel)["note"]
    assert panel.view.whole(4) != panel.view.whole(4, to_copy=True), "bytes are saved, base64 is copied"
    panel.state.choose_signature("classify_x")
    panel.state.choose_protocol("classify")
    assert in_sight(panel)["label"] == "REST classify" and '"examples"' in in_sight(panel)["text"]
    panel = show("shapes_and_types")
    panel.state.choose_signature("scalar")
    say(panel.view, kind="choose", place=0)
    assert in_sight(panel)["bad"] and in_sight(panel)["text"] == "" and in_sight(panel)["note"].endswith(".")


def test_a_large_request_is_shortened_and_saved_whole(show: Show) -> None:
    """Little is sent before somebody asks; then the page gets all of it."""
    panel = show("half_plus_two")
    numbers = list(range(20000))
    drop = panel.form.rows.children[0].children[1]
    upload(drop, "x.json", json.dumps(numbers).encode(), 1000)
    assert len(in_sight(panel)["text"]) < 5000 and "…" in in_sight(panel)["text"] and in_sight(panel)["cut"]
    sent: list[tuple[dict[str, Any], list[bytes]]] = []
    panel.view.send = lambda content, buffers=None: sent.append((content, buffers))  # type: ignore[method-assign]
    say(panel.view, kind="save", place=0, request=7)
    content, buffers = sent.pop()
    assert content == {"kind": "whole", "request": 7, "problem": ""}
    assert [row["x"] for row in json.loads(buffers[0])["instances"]] == numbers
    say(panel.view, kind="save", place=99, request=8)
    assert sent == []


def test_a_file_stands_in_its_row(show: Show) -> None:
    """Its name, its picture and what was done stand there; Remove takes it back; a wrong one is a sentence."""
    from PIL import Image

    panel = show("image_bytes")
    row = panel.form.rows.children[0]
    import io

    made = io.BytesIO()
    Image.new("L", (3, 3)).save(made, "PNG")
    upload(row.children[1], "a<b>.png", made.getvalue())
    field, drop, back = row.children
    assert field.value == "" and field.placeholder.startswith("a<b>.png") and "as they are" in field.hint
    assert drop.picture.startswith("data:image/png;base64,") and "a<b>.png" in drop.alt
    back.click()
    assert len(row.children) == 2 and drop.picture == "" and field.value == '[{"b64": ""}]'
    panel = show("keras3")
    upload(panel.form.rows.children[0].children[1], "x.npy", b"nothing")
    assert "x.npy" in panel._message.value and not is_hidden(panel._message)


def test_parts_that_are_no_file_are_left_alone() -> None:
    """Parts without data, out of range, or of a file that is too large never become a value."""
    heard: list[tuple[str, bytes]] = []
    drop = FileDrop(lambda name, data: heard.append((name, data)), most_bytes=10)
    upload(drop, "a", b"12345678")
    upload(drop, "b", b"12345678901")
    upload(drop, "c", b"")
    for place, count in ((1, 1), (-1, 1), (0, 10**9), ("0", 1)):
        drop._handle_custom_msg({"kind": "part", "upload": "x", "name": "d", "place": place, "count": count}, [b"1"])
    drop._handle_custom_msg({"kind": "part", "upload": "x", "name": "e", "place": 0, "count": 1}, [])
    assert heard == [("a", b"12345678"), ("c", b"")]
    close_all(drop)


def test_rows_are_used_again(show: Show, sample_models: Path) -> None:
    """Another signature fills the same rows, records get one for each feature, and nothing is left when it closes."""
    panel = show("tf_example")
    labels = [row.children[0].label for row in panel.form.rows.children[1:]]
    assert labels[0] == "age  fixed float32[], required" and len(labels) == 3
    panel.state.open(sample_models / "half_plus_two")
    assert [row.children[0].label for row in panel.form.rows.children] == ["x  float32[?]"]
    panel.state.open(sample_models / "tf_example")
    assert [row.children[0].label for row in panel.form.rows.children[1:]] == labels


def test_client_code_follows_the_request(sample_models: Path) -> None:
    """Nothing is written before a language is chosen; then it has the values; hand-over says that edits are pending."""
    with nothing_left_behind() as opened:
        panel = ClientPanel(ExplorerState(sample_models / "half_plus_two"))
        opened.append(panel)
        assert is_hidden(panel.view) and "Choose a language" in seen(panel)
        assert "Choose a language" in panel._repr_mimebundle_()["text/plain"]
        panel.choice.value = "python_requests"
        assert panel.state.client == "python_requests" and panel.view.codes[0]["label"] == "client.py"
        panel.state.set_value("x", "[12.5]")
        assert "12.5" in panel.view.codes[0]["text"] and "12.5" in panel.fallback()[1]
        panel.choice.value = "triton"
        assert any("config.pbtxt" in code["label"] for code in panel.view.codes)
        panel.state.edit({"edit": "rename_input", "signature_key": "serving_default", "input_key": "x", "new_key": "z"})
        assert "without the pending edits" in panel.view.codes[0]["note"]


def test_static_form_is_the_request(show: Show) -> None:
    """HTML and text hold the request that is meant and the command, with the values that were given."""
    panel = show("half_plus_two")
    panel.state.set_value("x", "[7]")
    html, text = panel.fallback()
    assert '{"x": 7.0}' in text and "curl -d" in text and "7.0" in html


def test_embedded_panels_share_styles(sample_models: Path) -> None:
    """Closing one panel of an Explorer leaves the styles to the others, and the Explorer closes them in the end."""
    with nothing_left_behind() as opened:
        explorer = Explorer(sample_models / "half_plus_two")
        opened.append(explorer)
        explorer.client.close()
        assert explorer._layout.comm is not None and explorer.code._html_style.comm is not None


def test_a_code_view_tells_what_goes_wrong() -> None:
    """Where the whole can't be written after all, the page gets the sentence and no bytes."""
    from explorer.errors import RequestError

    def fail() -> str:
        raise RequestError("too large")

    sent: list[Any] = []
    view = CodeView()
    view.send = lambda content, buffers=None: sent.append((content, buffers))  # type: ignore[method-assign]
    view.show(Code("a", "…", is_cut=True, whole=fail, file="a.json"))
    say(view, kind="copy", place=0, request=1)
    assert sent == [({"kind": "whole", "request": 1, "problem": "too large"}, None)]
    close_all(view)
