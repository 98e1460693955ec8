"""A real JupyterLab in headless Chromium: one server and browser for all tests, a fresh page and kernel for each."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import pytest
from chromium import FLAGS, NOT_FOUND, find_chromium
from jupyter_lab import LabServer, start_lab, stop_lab
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

STEP_MS = 60_000
"""The longest that one step may take: a busy machine with two cores has needed 24 s for the first one."""

expect.set_options(timeout=STEP_MS)

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}

HARMLESS = re.compile(r"Disabling terminals plugin|ResizeObserver loop")
"""What JupyterLab itself writes to the console as an error though nothing is wrong."""

# Run All Cells is lost without a word when it comes before the kernel's websocket is up, although the indicator in the
# toolbar says idle by then. So the application object is asked, down to the kernel's connection.
WAIT_FOR_KERNEL = """async () => {
    const app = window.jupyterapp;
    const pause = () => new Promise(resolve => setTimeout(resolve, 50));
    await app.restored;
    while (!app.shell.currentWidget?.context) { await pause(); }
    const panel = app.shell.currentWidget;
    await panel.context.ready;
    await panel.context.sessionContext.ready;
    const kernel = panel.context.sessionContext.session.kernel;
    await kernel.info;
    while (kernel.connectionStatus !== 'connected' || kernel.status !== 'idle') {
        await pause();
    }
}"""

RUN_ALL = """async () => {
    const app = window.jupyterapp;
    await app.commands.execute('notebook:run-all-cells');
    const cells = app.shell.currentWidget.context.model.toJSON().cells;
    return cells.filter(cell => cell.cell_type === 'code').flatMap(cell => cell.outputs)
        .filter(output => output.output_type === 'error')
        .map(output => [output.ename + ': ' + output.evalue, ...output.traceback].join('\\n'));
}"""

OpenNotebook = Callable[..., Page]


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[LabServer]:
    """A JupyterLab server over copies of the notebooks and the sample models."""
    server, process = start_lab(tmp_path_factory.mktemp("lab"), repository)
    yield server
    stop_lab(process)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; without one the test is skipped, or fails where CI is set."""
    executable = find_chromium()
    if executable is None:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(NOT_FOUND, pytrace=False)
        pytest.skip(NOT_FOUND)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def console_errors() -> list[str]:
    """What the pages of this test wrote to the console as errors, and the exceptions they didn't catch.

    The test fails in the end if there are any; one that expects some clears the list.
    """
    return []


@pytest.fixture
def open_file(
    browser: Browser, lab_server: LabServer, console_errors: list[str], request: pytest.FixtureRequest
) -> Iterator[OpenNotebook]:
    """Opens a notebook below the server's folder and runs it: ``open_file("notebooks/01-….ipynb", width=700)``.

    Arguments are the path below the folder, ``width`` and ``height`` in CSS pixels, ``theme`` ("light" or "dark") and
    ``run`` (run all cells; an error in a cell fails the test). The page is ready for clicks.
    """
    pages: list[Page] = []

    def open_it(path: str, *, width: int = 1280, height: int = 900, theme: str = "light", run: bool = True) -> Page:
        # Read by the server whenever a page is opened, so that no test sees the theme of the one before.
        lab_server.write_settings("@jupyterlab/apputils-extension/themes", {"theme": THEMES[theme]})
        context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
        context.set_default_timeout(STEP_MS)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=lab_server.url)
        page = context.new_page()
        pages.append(page)
        _collect_errors(page, console_errors)
        # A workspace of its own: the default one would restore the tabs of the test before.
        page.goto(f"{lab_server.url}/lab/workspaces/{uuid.uuid4().hex}/tree/{quote(path)}", timeout=STEP_MS)
        page.wait_for_function("window.jupyterapp !== undefined")
        _within_step(page, WAIT_FOR_KERNEL)
        page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        expect(page.locator("body")).to_have_attribute("data-jp-theme-name", THEMES[theme])
        if run:
            run_all_cells(page)
        return page

    yield open_it
    if pages and request.node.stash.get(_FAILED, False):
        for number, page in enumerate(pages):
            _screenshot(request, page, f"{request.node.name}-failed-{number}")
    noted = list(console_errors)
    for page in pages:
        page.context.close()
    lab_server.stop_kernels()
    assert not noted, "the page reported errors:\n" + "\n".join(noted)


@pytest.fixture
def open_notebook(open_file: OpenNotebook, lab_server: LabServer) -> OpenNotebook:
    """Writes a notebook of some code cells, opens it and runs it: ``open_notebook(["print(6 * 7)"], theme="dark")``.

    The kernel's folder holds ``sample_models/``; the keyword arguments are those of ``open_file``.
    """

    def open_it(cells: Sequence[str], **how: Any) -> Page:
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        name = f"test-{uuid.uuid4().hex}.ipynb"
        nbformat.write(notebook, lab_server.root / name)
        return open_file(name, **how)

    return open_it


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Callable[[Page | Locator, str], Path]:
    """Saves a picture of a page or of a part of it as ``.artifacts/<name>.png`` and gives its path."""
    return lambda what, name: _screenshot(request, what, name)


def run_all_cells(page: Page) -> None:
    """Runs every cell of the open notebook and waits until all have run.

    Raises:
        AssertionError: A cell raised; the message holds its traceback.
    """
    errors = _within_step(page, RUN_ALL)
    assert not errors, "a cell of the notebook raised:\n" + "\n".join(errors)


def _within_step(page: Page, script: str) -> Any:
    # evaluate() itself has no timeout and would wait for ever on a promise that stays open.
    limited = f"""() => Promise.race([({script})(), new Promise((_, reject) =>
        setTimeout(() => reject(new Error('not done after {2 * STEP_MS} ms')), {2 * STEP_MS}))])"""
    return page.evaluate(limited)


def _collect_errors(page: Page, errors: list[str]) -> None:
    def note(text: str) -> None:
        if not HARMLESS.search(text):
            errors.append(text)

    page.on("console", lambda message: note(f"console: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: note(f"exception: {error}"))


def _screenshot(request: pytest.FixtureRequest, what: Page | Locator, name: str) -> Path:
    folder = request.config.rootpath / ".artifacts"
    folder.mkdir(exist_ok=True)
    path = folder / (re.sub(r"[^\w.-]+", "-", name) + ".png")
    what.screenshot(path=path)
    return path


_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Notes that a test failed, so that its pages are kept as pictures."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call":
        item.stash[_FAILED] = report.failed
