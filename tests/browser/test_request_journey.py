"""From a value to an answer, by clicks alone: every protocol, a broken body corrected, an image on a model."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from explorer.runtime.server import serve

OpenNotebook = Callable[..., Page]
ANSWER_MS = 180_000
"""The first answer waits for TensorFlow to start on a busy machine."""

DROP = """(element, {name, bytes}) => {
    const file = new File([new Uint8Array(bytes)], name);
    const data = new DataTransfer();
    data.items.add(file);
    for (const kind of ['dragenter', 'dragover', 'drop']) {
        element.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
    }
}"""

OVERFLOW = """() => [...document.querySelectorAll('.jp-OutputArea-output')]
    .filter(area => area.scrollWidth > area.clientWidth + 1).map(area => area.className)"""


def press(page: Page, name: str) -> None:
    """Presses a button by its name."""
    page.get_by_role("button", name=name, exact=True).click()


def explore(open_notebook: OpenNotebook, path: Path, **how: object) -> Page:
    """Shows the Explorer on a path."""
    return open_notebook([f"from explorer import Explorer\nx = Explorer({str(path)!r})\nx"], **how)


def tab(page: Page, name: str) -> None:
    """Chooses a tab of the request."""
    page.get_by_role("tablist", name="The request").get_by_role("tab", name=name, exact=True).click()


def code(page: Page, name: str) -> Locator:
    """A code in sight, by its name."""
    return page.locator(f'pre[aria-label="{name}"]')


def picture() -> bytes:
    """A small PNG."""
    from PIL import Image

    made = io.BytesIO()
    Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(made, "PNG")
    return made.getvalue()


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (700, "dark"), (700, "light"), (1280, "dark")])
def test_one_value_is_in_every_protocol(
    open_notebook: OpenNotebook, copy_model: Callable[[str], Path], screenshot: Callable[..., Path], width: int,
    theme: str,
) -> None:  # fmt: skip
    """A value that is typed is in the row body, the gRPC text, curl and the client code; one that doesn't fit is said.

    A pasted body with a slip is corrected at a click and answered with 200 after consent.
    """
    page = explore(open_notebook, copy_model("half_plus_two"), width=width, height=2400, theme=theme)
    field = page.get_by_label("x  float32[?]", exact=True)
    expect(field).to_have_value("[0.0]")
    field.fill("[1, 5")
    expect(page.get_by_text(re.compile("keeps the last value that fits"))).to_be_visible()
    field.fill("[1, 5]")
    expect(code(page, "REST row")).to_contain_text('{"x": 5.0}')
    tab(page, "gRPC text")
    expect(code(page, "gRPC text")).to_contain_text("float_val: 5.0")
    tab(page, "KServe V2")
    expect(code(page, "KServe V2")).to_contain_text('"data": [1.0, 5.0]')
    tab(page, "curl")
    expect(code(page, "curl")).to_contain_text('{"instances": [{"x": 1.0}, {"x": 5.0}]}')
    page.get_by_label("as", exact=True).select_option(label="Go")
    expect(code(page, "client.go")).to_contain_text('{"x": 5.0}')
    tab(page, "REST row")

    body = page.get_by_label("Body", exact=True)
    expect(body).to_have_value(re.compile(r'"x": 5\.0'))
    body.fill('{"instances": [{"X": 1}, {"X": 5,}]}')
    findings = page.locator('table[aria-label="What is wrong with the body"]')
    expect(findings.get_by_text(re.compile("has no input 'X'")).first).to_be_visible()
    expect(page.get_by_text(re.compile("refuses it with 400"))).to_be_visible()
    screenshot(page, f"request-lint-{width}-{theme}")
    press(page, "Use the corrected body")
    expect(body).to_have_value('{"instances": [{"x": 1}, {"x": 5}]}')
    expect(page.get_by_text("● Nothing is wrong with this body.")).to_be_visible()
    expect(page.get_by_text(re.compile("executes the model's graph"))).to_be_visible()
    press(page, "Run the model")
    expect(page.get_by_text("● 200", exact=True)).to_be_visible(timeout=ANSWER_MS)
    expect(code(page, "Answer")).to_contain_text("3.0, 5.0")
    expect(page.get_by_text(re.compile("executes the model's graph"))).to_be_hidden()
    press(page, "Back to the example")
    expect(body).to_have_value(re.compile(r'"x": 5\.0'))
    press(page, "Run the model")
    history = page.locator('table[aria-label="Answers so far"] tbody tr')
    expect(history).to_have_count(2)
    history.nth(1).click()
    expect(body).to_have_value('{"instances": [{"x": 1}, {"x": 5}]}')
    screenshot(page, f"request-answer-{width}-{theme}")
    assert page.evaluate(OVERFLOW) == []


def test_an_image_is_dropped_and_answered(
    open_notebook: OpenNotebook, copy_model: Callable[[str], Path], screenshot: Callable[..., Path]
) -> None:
    """An image file goes in as its bytes, with a picture beside it; the whole body can be saved; it is answered."""
    page = explore(open_notebook, copy_model("image_bytes"), height=2000)
    row = page.locator(".smx-value-row").first
    row.evaluate(DROP, {"name": "cat <b>.png", "bytes": list(picture())})
    expect(page.get_by_role("img", name="cat <b>.png, the image for input image_bytes")).to_be_visible()
    expect(page.get_by_text(re.compile("bytes of the file as they are"))).to_be_visible()
    expect(code(page, "REST row")).to_contain_text('"b64"')
    with page.expect_download() as saving:
        press(page, "Save REST row")
    saved = Path(saving.value.path()).read_text()
    assert saving.value.suggested_filename == "request.json" and saved.startswith('{"instances": [{"')
    tab(page, "gRPC bytes")
    with page.expect_download() as saving:
        press(page, "Save gRPC bytes")
    assert picture() in Path(saving.value.path()).read_bytes()
    tab(page, "REST row")
    press(page, "Run the model")
    expect(page.get_by_text("● 200", exact=True)).to_be_visible(timeout=ANSWER_MS)
    screenshot(page, "request-image")
    press(page, "Remove")
    expect(page.get_by_role("img", name=re.compile("cat"))).to_have_count(0)


def test_a_file_on_an_input_and_a_row_for_each_feature(
    open_notebook: OpenNotebook, copy_model: Callable[[str], Path], screenshot: Callable[..., Path]
) -> None:
    """A .json file is the value of an input; of records each feature has a row; the keyboard reaches all of it."""
    page = explore(open_notebook, copy_model("tf_example"), height=2000, width=700)
    page.get_by_label(re.compile("^country  fixed string")).fill('"Peru"')
    page.get_by_label(re.compile("^age  fixed float32")).fill("41.5")
    tab(page, "gRPC text")
    expect(code(page, "gRPC text")).to_contain_text("Peru")
    screenshot(page, "request-records")
    page = explore(open_notebook, copy_model("keras3"), height=2000, width=700)
    with page.expect_file_chooser() as choosing:
        press(page, "File for input size")
    field = page.get_by_label("size  float32[?, 3]", exact=True)
    file = FilePayload(name="size.json", mimeType="application/json", buffer=b"[[1, 2, 3]]")
    choosing.value.set_files(file)
    expect(field).to_have_attribute("placeholder", re.compile("size.json"))
    expect(code(page, "REST row")).to_contain_text("[1.0, 2.0, 3.0]")
    screenshot(page, "request-file")
    tabs = page.get_by_role("tablist", name="The request")
    tabs.get_by_role("tab", name="REST row", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(tabs.get_by_role("tab", name="REST column", exact=True)).to_have_attribute("aria-selected", "true")
    expect(code(page, "REST column")).to_contain_text('"inputs"')


def test_a_draft_and_a_server_are_asked_and_compared(
    open_notebook: OpenNotebook, copy_model: Callable[[str], Path], screenshot: Callable[..., Path]
) -> None:
    """Ask both shows two answers side by side: alike before an edit; a kept body becomes a warm-up record."""
    base = copy_model("half_plus_two")
    with serve(base, consent=True, port=0) as server:
        page = explore(open_notebook, base, height=2400)
        press(page, "a running server")
        page.get_by_label("Server URL", exact=True).fill(server.url)
        press(page, "Ask the server")
        expect(page.get_by_text("● 200", exact=True)).to_be_visible(timeout=ANSWER_MS)
        press(page, "Ask both")
        expect(page.get_by_text("Both say the same.")).to_be_visible(timeout=ANSWER_MS)
        expect(code(page, "Answer of the server")).to_contain_text("2.5")
        expect(code(page, "Answer here")).to_contain_text("2.5")
        screenshot(page, "request-both")
        press(page, "in a child process here")
        press(page, "Run the model")
        expect(page.locator('table[aria-label="Answers so far"] tbody tr')).to_have_count(3)
        page.get_by_role("button", name=re.compile("^Keep the body of")).first.click()
        press(page, "Write version 125 with these records")
        expect(page.get_by_text(re.compile("Version 125 is written with 1 record"))).to_be_visible(timeout=ANSWER_MS)
    assert (base / "125" / "assets.extra" / "tf_serving_warmup_requests").is_file()
