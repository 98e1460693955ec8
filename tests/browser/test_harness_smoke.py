"""The harness itself: a notebook runs in a real JupyterLab, widgets answer, and failures are seen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

GREETER = """\
import ipywidgets as widgets
name = widgets.Text(description="Name")
button = widgets.Button(description="Greet")
answer = widgets.Label()
button.on_click(lambda _: setattr(answer, "value", "hello, " + name.value))
widgets.VBox([name, button, answer])"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_click_reaches_the_kernel_and_its_answer_the_page(open_notebook, screenshot, theme: str) -> None:
    """Text typed into a widget and a click reach the kernel; what the kernel makes of them is seen on the page."""
    page: Page = open_notebook([GREETER, "print('DONE', 6 * 7)"], theme=theme, width=1000, height=700)
    expect(page.get_by_text("DONE 42")).to_be_visible()
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Name").press("Tab")
    page.get_by_role("button", name="Greet").click()
    expect(page.get_by_text("hello, Ada", exact=True)).to_be_visible()
    assert screenshot(page, f"harness-{theme}").stat().st_size > 5000


def test_theme_is_the_one_asked_for(open_notebook) -> None:
    """After a test in dark a page in light is light."""
    for theme in ("dark", "light"):
        page: Page = open_notebook(["1"], theme=theme)
        assert page.locator("body").get_attribute("data-jp-theme-light") == str(theme == "light").lower()


def test_error_in_a_cell_fails_the_test(open_notebook) -> None:
    """A cell that raises is not passed over: opening the notebook fails with the cell's message."""
    with pytest.raises(AssertionError, match="ZeroDivisionError: division by zero"):
        open_notebook(["1 / 0"])


def test_errors_of_the_page_are_collected(open_notebook, console_errors: list[str]) -> None:
    """What a page writes to the console as an error, or throws, is noted."""
    page: Page = open_notebook(["1"])
    assert console_errors == []
    with page.expect_event("pageerror"):
        page.evaluate("console.error('broken view'); setTimeout(() => { throw new Error('lost click') })")
    assert [text.split(": ", 1)[0] for text in console_errors] == ["console", "exception"]
    assert "broken view" in console_errors[0]
    assert "lost click" in console_errors[1]
    console_errors.clear()
