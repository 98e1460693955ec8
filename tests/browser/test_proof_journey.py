"""From a renamed key to its proof, by clicks alone: will clients break, the export, who loads it, what it answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

import explorer

OpenNotebook = Callable[..., Page]
PROOF_MS = 180_000
"""Three loaders, two models and the import of TensorFlow on a busy machine."""


def press(page: Page, name: str) -> None:
    """Presses a button by its name."""
    page.get_by_role("button", name=name, exact=True).click()


def table(page: Page, name: str) -> Locator:
    """A table by its name."""
    return page.locator(f'table[aria-label="{name}"]')


def explore(open_notebook: OpenNotebook, path: Path, **how: object) -> Page:
    """Shows the Explorer on a path."""
    return open_notebook([f"from explorer import Explorer\nx = Explorer({str(path)!r})\nx"], **how)


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (700, "dark")])
def test_a_renamed_keras_key_is_judged_exported_and_proved(
    open_notebook: OpenNotebook,
    copy_model: Callable[[str], Path],
    screenshot: Callable[..., Path],
    width: int,
    theme: str,
) -> None:
    """The panels say what breaks for whom, that variables stand twice, and that old and new answer alike.

    Three loaders take both models, and every output differs by 0; nothing was run before the button was pressed.
    """
    base = copy_model("keras3")
    page = explore(open_notebook, base, width=width, height=2600, theme=theme)
    expect(page.get_by_text("No edits yet: clients see no difference.")).to_be_visible()
    page.get_by_role("grid", name="Signatures").get_by_text("serving_default", exact=True).click()
    press(page, "Rename output output_0")
    page.get_by_label("New key for output output_0", exact=True).fill("scores")
    press(page, "Rename")

    clients = table(page, "What clients will see")
    expect(page.get_by_text("✖ Breaking.", exact=True)).to_be_visible()
    expect(clients.get_by_text(re.compile("'output_0' renamed to 'scores'")).first).to_be_visible()
    assert clients.locator("tbody tr").first.inner_text().split("\t")[-1].strip() == "✖ breaking"

    press(page, "Show options")
    once = page.get_by_role("checkbox", name=re.compile("stand twice only once: 4 of 8 are second copies"))
    once.check()
    expect(page.get_by_text(re.compile("remove_duplicates=True")).first).to_be_visible()
    press(page, "Hide options")
    screenshot(page, f"clients-{width}-{theme}")
    press(page, "Export as 2")
    expect(page.get_by_text("● Version 2 is written:")).to_be_visible()
    expect(page.get_by_text(re.compile("4 of 8 tensors stood twice")).first).to_be_visible()

    expect(page.get_by_text(re.compile("runs the code in both models"))).to_be_visible()
    button = page.get_by_role("button", name="Prove that old and new answer alike", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel proof", exact=True)).to_be_visible()
    expect(page.get_by_text("● The proof holds.")).to_be_visible(timeout=PROOF_MS)
    loaders = [row.inner_text().split("\t") for row in table(page, "Who loads it?").locator("tbody tr").all()]
    assert [[cell.strip() for cell in row[1:]] for row in loaders] == [["loads it", "loads it"]] * 3
    rows = table(page, "Largest difference of each output").locator("tbody tr").all()
    outputs = [[cell.strip() for cell in row.inner_text().split("\t")] for row in rows]
    assert ["serving_default", "output_0 → scores", "0", "all 3"] in outputs
    assert {row[2] for row in outputs} == {"0"}
    assert "scores" in explorer.open_saved_model(base / "2").meta_graph().signature("serving_default").outputs
    screenshot(page, f"proof-{width}-{theme}")
    overflow = page.evaluate(
        """() => [...document.querySelectorAll('.jp-OutputArea-output')]
            .filter(area => area.scrollWidth > area.clientWidth + 1).map(area => area.className)"""
    )
    assert overflow == []


def test_warm_up_records_are_rewritten_by_choice(
    open_notebook: OpenNotebook, copy_model: Callable[[str], Path], screenshot: Callable[..., Path]
) -> None:
    """A record that names a renamed key is shown, stops the export, and follows the edit once that is chosen."""
    base = copy_model("estimator_like")
    page = explore(open_notebook, base, height=2400)
    page.get_by_role("grid", name="Signatures").get_by_text("predict", exact=True).first.click()
    press(page, "Rename input examples")
    page.get_by_label("New key for input examples", exact=True).fill("records")
    press(page, "Rename")
    expect(page.get_by_text(re.compile("warm-up records name what the edits changed"))).to_be_visible()
    press(page, "Show options")
    expect(table(page, "Warm-up records").get_by_text("✖ doesn't fit")).to_be_visible()
    screenshot(page, "warm-up-options")
    page.get_by_label("Where warm-up records no longer fit").select_option(label="rewrite the records")
    expect(page.get_by_text(re.compile("warm-up records name what the edits changed"))).to_be_hidden()
    press(page, "Export as 2")
    expect(page.get_by_text("● Version 2 is written:")).to_be_visible()
    expect(page.get_by_text(re.compile("1 record rewritten to the new keys"))).to_be_visible()


def test_a_proof_is_stopped_and_another_version_compared(
    open_notebook: OpenNotebook, copy_model: Callable[[str], Path]
) -> None:
    """Cancel ends a proof and brings its button back; a choice from the list compares with another version."""
    base = copy_model("half_plus_two")
    page = explore(open_notebook, base, height=2400)
    page.get_by_label("compare with", exact=True).select_option(label="version 123")
    expect(page.get_by_text("What is open against version 123.")).to_be_visible()
    press(page, "Export as 125")
    press(page, "Prove that old and new answer alike")
    press(page, "Cancel proof")
    expect(page.get_by_text(re.compile("The proof was stopped"))).to_be_visible()
    expect(page.get_by_role("button", name="Prove that old and new answer alike", exact=True)).to_be_visible()
