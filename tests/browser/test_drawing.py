"""The drawing of a signature in a real JupyterLab: walked along, unfolded, searched and zoomed, mostly by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

OpenNotebook = Callable[..., Page]

CLIPPED = """() => [...document.querySelectorAll('.smx-root *')]
    .filter(one => !one.closest('.smx-drawing-box') && !one.matches('input, .smx-offscreen'))
    .filter(one => one.clientWidth && one.scrollWidth > one.clientWidth + 1).map(one => one.className)"""
# A text that is wider than the box it stands in.
TOO_WIDE = """() => [...document.querySelectorAll('.smx-drawing-item:not(.smx-drawing-frame)')].filter(item => {
    const box = item.querySelector('rect').getBBox();
    return [...item.querySelectorAll('text')].some(text => text.getBBox().width > box.width - 2);
}).map(item => item.getAttribute('aria-label'))"""


def item(page: Page, name: str) -> Locator:
    """A box by the beginning of its accessible name."""
    return page.locator(f'[role=treeitem][aria-label^="{name}"]').first


@pytest.mark.parametrize(("width", "theme"), [(1600, "light"), (700, "dark")])
def test_drawing_by_keyboard(
    open_notebook: OpenNotebook, screenshot: Callable[..., Path], width: int, theme: str
) -> None:
    """Along the lines by arrows, into a loop by Enter, out again, to a hit of the search, and in and out by + and 0."""
    page = open_notebook(
        ["from explorer.widgets.drawing import DrawingPanel\np = DrawingPanel('sample_models/control_flow')\np"],
        width=width, height=1300, theme=theme,
    )  # fmt: skip
    loop = item(page, "while, loop")
    expect(loop).to_have_attribute("aria-expanded", "false")
    assert page.evaluate(TOO_WIDE) == [] and page.evaluate(CLIPPED) == []
    # The search field, six things beside it, then the picture: one stop, whatever is in it.
    page.get_by_role("combobox", name="Search by name or op").focus()
    for _ in range(6):
        page.keyboard.press("Tab")
    first = page.locator("[role=treeitem]:focus")
    expect(first).to_have_count(1)
    item(page, "x, input").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("[role=treeitem]:focus")).to_have_attribute("aria-selected", "true")
    for _ in range(6):
        if loop.evaluate("one => one === document.activeElement"):
            break
        page.keyboard.press("ArrowDown")
    expect(loop).to_be_focused()
    before = loop.bounding_box()
    page.keyboard.press("Enter")
    expect(item(page, "body, function")).to_be_visible()
    expect(loop).to_be_focused()
    expect(loop).to_have_attribute("aria-expanded", "true")
    after = loop.bounding_box()
    assert before is not None and after is not None and abs(after["y"] - before["y"]) < 3, "what is looked at stays"
    expect(page.locator(".smx-drawing-details")).to_contain_text("While")
    screenshot(page, f"drawing-{width}-{theme}")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(loop).to_be_focused()
    page.keyboard.press("Enter")
    expect(loop).to_have_attribute("aria-expanded", "false")
    percent = page.locator(".smx-drawing-percent")
    shown = percent.inner_text()
    page.keyboard.press("+")
    expect(percent).not_to_have_text(shown)
    page.keyboard.press("0")
    search = page.get_by_role("combobox", name="Search by name or op")
    search.fill("matmul")
    expect(page.locator(".smx-drawing [role=option]")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(item(page, "product, op")).to_be_focused()
    expect(item(page, "product, op")).to_be_in_viewport()
    screenshot(page, f"drawing-found-{width}-{theme}")
    assert page.evaluate(TOO_WIDE) == [] and page.evaluate(CLIPPED) == []


def test_drawing_by_mouse(open_notebook: OpenNotebook) -> None:
    """A click unfolds, a click on the head of a frame folds, a drag moves, and Python sees what was done."""
    page = open_notebook(
        ["from explorer.widgets.drawing import DrawingPanel\np = DrawingPanel('sample_models/control_flow')\np"],
        width=1000, height=1300,
    )  # fmt: skip
    branch = item(page, "cond, branch")
    branch.scroll_into_view_if_needed()
    branch.click()
    expect(branch).to_have_attribute("aria-expanded", "true")
    box = page.locator(".smx-drawing-box")
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Zoom in").click()
    place = box.bounding_box()
    assert place is not None
    start = box.evaluate("one => one.scrollTop")
    frame = page.locator(".smx-drawing-frame").first
    page.mouse.move(place["x"] + 40, place["y"] + 400)
    page.mouse.down()
    page.mouse.move(place["x"] + 40, place["y"] + 300, steps=4)
    page.mouse.up()
    assert box.evaluate("one => one.scrollTop") == pytest.approx(start + 100, abs=2)
    expect(frame).to_have_attribute("aria-expanded", "true")  # a drag is no click
    page.get_by_role("button", name="Fit to the width").click()
    page.get_by_label("control edges").check()
    expect(page.locator(".smx-drawing-ordered").first).to_be_attached()
    branch.locator(".smx-drawing-head").click(position={"x": 60, "y": 10})
    expect(branch).to_have_attribute("aria-expanded", "false")
    answer = page.evaluate(
        """async (code) => {
            const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
            return (await kernel.requestExecute({code}).done).content.status;
        }""",
        "assert p.flow.orders and p.flow.chosen[-1] == 'n:cond'",
    )
    assert answer == "ok"
