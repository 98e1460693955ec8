"""From a frozen graph to a proven SavedModel, and from a picture to an answered request, in a real JupyterLab."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from explorer.savedmodel.opening import open_saved_model

OpenNotebook = Callable[..., Page]
RUN_MS = 180_000
"""TensorFlow has to start first, on a busy machine."""

OVERFLOW = """() => [...document.querySelectorAll('.jp-OutputArea-output')]
    .filter(area => area.scrollWidth > area.clientWidth + 1).map(area => area.className)"""

PICTURES = """
import sys
import tensorflow as tf

class Model(tf.Module):
    def __init__(self):
        self.weights = tf.Variable(tf.random.stateless_normal([3, 4], [1, 2]))

    @tf.function(input_signature=[tf.TensorSpec([None, 24, 32, 3], tf.float32, name="image")])
    def serve(self, image):
        return {"scores": tf.nn.softmax(tf.reduce_mean(image, [1, 2]) @ self.weights)}

model = Model()
tf.saved_model.save(model, sys.argv[1], signatures={"serving_default": model.serve})
"""


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (700, "dark")])
def test_frozen_graph_becomes_a_proven_model_by_keyboard(
    open_notebook: OpenNotebook, sample_models: Path, tmp_path: Path, screenshot: Callable[..., Path], width: int,
    theme: str,
) -> None:  # fmt: skip
    """Outputs by their boxes, keys by their fields, the export, the proof on request, and the request to send."""
    source = tmp_path / "iris_frozen.pb"
    shutil.copy(sample_models / "checkpoints" / "iris_frozen.pb", source)
    page = open_notebook(
        [f"from explorer.widgets.convert import ConvertPanel\np = ConvertPanel({str(source)!r})\np"],
        width=width, height=2400, theme=theme,
    )  # fmt: skip
    expect(page.get_by_text("is a frozen graph (GraphDef)")).to_be_visible()
    logits = page.get_by_label("logits_out:0", exact=True)
    expect(page.get_by_label("probabilities:0", exact=True)).to_be_checked()
    logits.focus()
    page.keyboard.press("Space")
    key = page.get_by_label("Key of logits_out:0", exact=True)
    expect(key).to_be_visible()
    page.keyboard.press("Tab")
    expect(key).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("logits")
    code = page.locator('pre[aria-label="Python"]')
    expect(code).to_contain_text('"logits": "logits_out:0"')
    button = page.get_by_role("button", name="Convert to version 1")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("● Version 1 is written:")).to_be_visible()
    screenshot(page, f"convert-{width}-{theme}")
    written = open_saved_model(tmp_path / "iris_frozen-versions")
    assert set(written.meta_graph().signature("serving_default").outputs) == {"probabilities", "logits"}
    expect(page.get_by_text(re.compile("Nothing runs before you press"))).to_be_visible()
    page.get_by_role("button", name="Prove that both answer alike").click()
    expect(page.get_by_text("● The proof holds.")).to_be_visible(timeout=RUN_MS)
    screenshot(page, f"convert-proof-{width}-{theme}")
    page.get_by_role("button", name="Open in the Explorer").click()
    expect(page.locator('pre[aria-label="REST row"]')).to_contain_text('"measurements"')
    assert page.evaluate(OVERFLOW) == []


def test_picture_becomes_an_input_and_is_answered(
    open_notebook: OpenNotebook, repository: Path, tmp_path: Path, screenshot: Callable[..., Path]
) -> None:
    """Choices in the Explorer, the picture as the model sees it, the export, the same answers, the request, a 200."""
    base = tmp_path / "flowers"
    subprocess.run([sys.executable, "-c", PICTURES, str(base / "1")], check=True, capture_output=True, timeout=300)
    page = open_notebook([f"from explorer import Explorer\nx = Explorer({str(base)!r})\nx"], height=3000)
    page.get_by_role("button", name=re.compile("^Add a signature that takes image files")).click()
    panel = page.locator(".smx-wrap")
    panel.get_by_label("Pixel values", exact=True).select_option(label="-1..1")
    expect(panel.get_by_text(re.compile(r"then x / 127\.5 - 1 for each value"))).to_be_visible()
    expect(panel.get_by_text(re.compile("fails the whole batch on a server"))).to_be_visible()
    pictures = repository / "tests" / "fixtures_images"
    with page.expect_file_chooser() as choosing:
        panel.get_by_role("button", name="A picture to see as the model does").click()
    choosing.value.set_files(pictures / "half.jpg")
    expect(panel.get_by_text(re.compile("half.jpg"))).to_be_visible(timeout=RUN_MS)
    with page.expect_file_chooser() as choosing:
        panel.get_by_role("button", name="A picture to see as the model does").click()
    choosing.value.set_files(pictures / "colour.jpg")
    expect(panel.get_by_role("img", name="colour.jpg as the model sees it")).to_be_visible(timeout=RUN_MS)
    screenshot(panel, "wrap-picture")
    panel.get_by_role("button", name="Export as 2").click()
    expect(panel.get_by_text("● Version 2 is written:")).to_be_visible(timeout=RUN_MS)
    expect(page.locator('pre[aria-label="REST row"]')).to_contain_text('"image_bytes": {"b64": "/9j/')
    panel.get_by_role("button", name="Compare with the plain signature").click(timeout=RUN_MS)
    expect(panel.get_by_text(re.compile("answers exactly as the plain one does"))).to_be_visible(timeout=RUN_MS)
    screenshot(page, "wrap-result")
    page.get_by_role("button", name="Run the model", exact=True).click()
    expect(page.get_by_text("● 200", exact=True)).to_be_visible(timeout=RUN_MS)
    assert page.evaluate(OVERFLOW) == []
