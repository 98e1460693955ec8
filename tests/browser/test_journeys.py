"""The Explorer in a real JupyterLab, by clicks alone: every edit, export, undo, choice of version and tags."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import judges
import pytest
from playwright.sync_api import Locator, Page, expect

import explorer

OpenNotebook = Callable[..., Page]
Copy = Callable[[str], Path]


class Clicks:
    """What a person does in the Explorer, by the names that are on the page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, name: str) -> None:
        """Presses a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def tab(self, group: str, name: str) -> None:
        """Chooses a tab."""
        self.page.get_by_role("tablist", name=group).get_by_role("tab", name=name, exact=True).click()

    def fill(self, label: str, text: str) -> None:
        """Types into a field."""
        self.page.get_by_label(label, exact=True).fill(text)

    def holds(self, label: str, text: str) -> None:
        """Waits until a field holds what the Explorer suggests."""
        expect(self.page.get_by_label(label, exact=True)).to_have_value(text)

    def pick(self, label: str, text: str, tensor: str, whole: re.Pattern[str] | None = None) -> None:
        """Searches a tensor and takes it by arrow key and Enter, as the keyboard allows.

        Inside functions the list shows the end of its name, and the field then holds the ``whole``.
        """
        field = self.page.get_by_role("combobox", name=label, exact=True)
        field.fill(text)
        # What the field showed before is listed until the kernel's answer is there.
        self.page.wait_for_function(
            """text => { const found = [...document.querySelectorAll('[role=option]')].filter(o => o.offsetParent);
                return found.length && found.every(option => option.textContent.toLowerCase().includes(text)); }""",
            arg=text,
        )
        for _ in range(50):
            field.press("ArrowDown")
            active = field.get_attribute("aria-activedescendant")
            if active and self.page.locator(f"#{active}").inner_text().startswith(tensor):
                break
        field.press("Enter")
        expect(field).to_have_value(whole or tensor)

    def choose(self, label: str, option: str | re.Pattern[str]) -> None:
        """Chooses from a list."""
        field = self.page.get_by_role("combobox", name=label, exact=True)
        expect(field).to_be_visible()
        texts = field.locator("option").all_inner_texts()
        pattern = re.compile(f"^{re.escape(option)}$") if isinstance(option, str) else option
        wanted = [index for index, text in enumerate(texts) if pattern.search(text.replace("\u00a0", " "))]
        assert wanted, f"{option} is not among {texts}"
        field.select_option(index=wanted[0])

    def table(self, name: str) -> Locator:
        """A table by its name."""
        return self.page.locator(f'table[aria-label="{name}"]')

    def sees(self, table: str, *texts: str) -> None:
        """Waits until a table shows texts, whole cells of it."""
        for text in texts:
            expect(self.table(table).get_by_text(text, exact=True).first).to_be_visible()

    def sees_not(self, table: str, text: str) -> None:
        """Waits until a table shows a text no longer."""
        expect(self.table(table).get_by_text(text, exact=True)).to_have_count(0)

    def select_signature(self, key: str) -> None:
        """Selects a row of the table of signatures."""
        self.table("Signatures").get_by_text(key, exact=True).first.click()

    def count_of_edits(self, number: int) -> None:
        """Waits until so many edits are pending."""
        expect(self.page.get_by_text("1 edit" if number == 1 else f"{number} edits", exact=True)).to_be_visible()

    def run(self, code: str) -> None:
        """Runs Python in the kernel, beside the cell that shows the Explorer ``x``."""
        status = self.page.evaluate(
            """async (code) => {
                const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
                const reply = await kernel.requestExecute({code}).done;
                return reply.content.status + (reply.content.evalue ?? "");
            }""",
            code,
        )
        assert status == "ok", status

    def export(self, version: int) -> None:
        """Exports under the number that the button offers."""
        self.press(f"Export as {version}")
        expect(self.page.get_by_text(f"● Version {version} is written:")).to_be_visible()


@pytest.fixture
def explore(open_notebook: OpenNotebook) -> Callable[..., Clicks]:
    """Shows the Explorer on a path, in a notebook of one cell."""

    def show(path: Path | str, **how: object) -> Clicks:
        page = open_notebook([f"from explorer import Explorer\nx = Explorer({str(path)!r})\nx"], **how)
        return Clicks(page)

    return show


def hashes(folder: Path) -> dict[str, str]:
    """Every file below a folder with a hash of its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_articles_model_gets_the_names_that_clients_expect(
    explore: Callable[..., Clicks], copy_model: Copy, sample_models: Path
) -> None:
    """Prediction becomes serving_default, input becomes features; TensorFlow's loaders see exactly that.

    The numbers are the same, the old version is unchanged to the byte, and the body on the page names features.
    """
    base = copy_model("linear")
    before = hashes(base / "1")
    clicks = explore(base)
    clicks.sees("Signatures", "prediction")
    clicks.press("Rename signature")
    clicks.fill("New key for signature prediction", "serving_default")
    clicks.press("Rename")
    clicks.sees("Signatures", "serving_default")
    clicks.press("Rename input input")
    clicks.fill("New key for input input", "features")
    clicks.press("Rename")
    clicks.sees("Inputs and outputs", "features")
    expect(clicks.page.get_by_text(re.compile(r'"features":')).first).to_be_visible()
    clicks.count_of_edits(2)
    clicks.export(2)
    written = base / "2"
    assert hashes(base / "1") == before
    assert {name for name, digest in hashes(written).items() if before.get(name) != digest} == {"saved_model.pb"}

    x = [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [2.0, -4.0, 0.5]]
    original = judges.run_v1(sample_models / "linear" / "1", ["serve"], "prediction", {"input": x})["output"]
    for run in (judges.run_v1, judges.run_v2):
        assert run(written, ["serve"], "serving_default", {"features": x})["output"].tolist() == original.tolist()
    assert judges.v2_signatures(written, ["serve"]) == {"serving_default": ({"features"}, {"output"})}
    assert judges.cpp_load(written, ["serve"]) == ""
    shown = judges.saved_model_cli("show", "--dir", str(written), "--all")
    assert "signature_def['serving_default']" in shown and "inputs['features']" in shown
    assert "prediction" not in shown and "inputs['input']" not in shown


def test_every_edit_of_a_signature_is_a_click(explore: Callable[..., Clicks], copy_model: Copy) -> None:
    """Copy, remove, add, method name, rename output, repoint, add and remove output; undo, redo and reset."""
    base = copy_model("linear")
    clicks = explore(base)
    clicks.sees("Signatures", "prediction")

    clicks.press("Copy signature")
    clicks.fill("Key of the copy of signature prediction", "serving_default")
    clicks.press("Add the copy")
    clicks.sees("Signatures", "prediction", "serving_default")
    clicks.select_signature("serving_default")

    clicks.press("Change method")
    clicks.choose("Method name", re.compile("^regress"))
    clicks.press("Set method name")
    clicks.sees("Signatures", "regress")

    clicks.press("Rename output output")
    clicks.fill("New key for output output", "scores")
    clicks.press("Rename")
    clicks.sees("Inputs and outputs", "scores")

    clicks.press("Repoint output scores")
    clicks.pick("Tensor for output scores", "matmul", "MatMul:0")
    clicks.press("Repoint")
    clicks.sees("Inputs and outputs", "MatMul:0")

    clicks.press("Add output")
    clicks.fill("Key of the new output", "sum")
    clicks.pick("Tensor of the new output", "add", "add:0")
    clicks.press("Add this output")
    clicks.sees("Inputs and outputs", "sum", "add:0")

    clicks.press("Remove output scores")
    clicks.sees_not("Inputs and outputs", "scores")

    clicks.press("Repoint input input")
    clicks.pick("Tensor for input input", "matm", "MatMul:0")
    clicks.press("Repoint")
    clicks.sees("Inputs and outputs", "MatMul:0")
    clicks.count_of_edits(7)

    clicks.press("Undo")
    clicks.sees("Inputs and outputs", "Placeholder:0")
    clicks.count_of_edits(6)
    clicks.press("Redo")
    clicks.sees("Inputs and outputs", "MatMul:0")
    clicks.press("Undo")

    clicks.press("Add signature")
    clicks.fill("Key of the new signature", "added")
    clicks.pick("Tensor to add", "placeholder", "Placeholder:0")
    clicks.holds("Key of this tensor", "Placeholder")
    clicks.fill("Key of this tensor", "x")
    clicks.press("Use as input")
    clicks.sees("Tensors of the new signature", "Placeholder:0")
    clicks.pick("Tensor to add", "add", "add:0")
    clicks.holds("Key of this tensor", "add")
    clicks.fill("Key of this tensor", "y")
    clicks.press("Use as output")
    clicks.press("Add this signature")
    clicks.sees("Signatures", "added")

    clicks.select_signature("prediction")
    clicks.press("Remove signature")
    clicks.sees_not("Signatures", "prediction")
    clicks.export(2)

    signatures = explorer.open_saved_model(base / "2").meta_graph().signatures
    assert set(signatures) == {"serving_default", "added"}
    assert signatures["serving_default"].method == "regress"
    assert {key: info.tensor_name for key, info in signatures["serving_default"].outputs.items()} == {"sum": "add:0"}
    for key, fed, out in (("serving_default", "input", "sum"), ("added", "x", "y")):
        answer = judges.run_v1(base / "2", ["serve"], key, {fed: [[1.0, 1.0, 1.0]]})[out]
        assert answer.tolist() == judges.run_v2(base / "2", ["serve"], key, {fed: [[1.0, 1.0, 1.0]]})[out].tolist()

    clicks.press("Reset")
    clicks.count_of_edits(0)
    clicks.sees("Signatures", "prediction")
    clicks.sees_not("Signatures", "added")


def test_tags_and_meta_graphs_are_clicks_too(explore: Callable[..., Clicks], copy_model: Copy) -> None:
    """Choose a meta graph by its tags, retag it, copy it, remove one; the export holds exactly that."""
    base = copy_model("several_meta_graphs")
    clicks = explore(base)
    clicks.sees("Meta graphs", "serve", "train", "gpu,serve")
    clicks.choose("tags", "gpu,serve")
    clicks.sees("Inputs and outputs", "best")
    clicks.press("Edit tags")
    clicks.page.get_by_role("checkbox", name=re.compile("^gpu")).uncheck()
    clicks.fill("Other tags", "mobile")
    clicks.press("Set tags")
    clicks.sees("Meta graphs", "mobile,serve")
    clicks.press("Copy meta graph")
    clicks.page.get_by_role("checkbox", name=re.compile("^eval")).check()
    clicks.press("Add the copy")
    clicks.sees("Meta graphs", "eval,mobile,serve")
    clicks.choose("tags", "train")
    clicks.press("Remove meta graph")
    clicks.sees_not("Meta graphs", "train")
    clicks.export(2)
    tags = [set(graph.tags) for graph in explorer.open_saved_model(base / "2").meta_graphs]
    assert tags == [{"serve"}, {"mobile", "serve"}, {"eval", "mobile", "serve"}]
    for tag_set in (["serve"], ["mobile", "serve"], ["eval", "mobile", "serve"]):
        assert judges.cpp_load(base / "2", tag_set) == ""


def test_versions_paths_and_formats_are_chosen(explore: Callable[..., Clicks], copy_model: Copy) -> None:
    """The largest version is shown first, another is chosen, another path typed; row and column switch the body."""
    base = copy_model("half_plus_two")
    clicks = explore(base)
    clicks.sees("Signatures", "classify_x", "regress_x", "serving_default")
    expect(clicks.page.get_by_role("button", name="Export as 125")).to_be_visible()
    clicks.choose("version", "123 (00000123)")
    expect(clicks.page.get_by_text(str(base / "00000123"), exact=True)).to_be_visible()
    expect(clicks.page.locator('pre[aria-label="REST row"]')).to_contain_text('"instances"')
    clicks.tab("The request", "REST column")
    expect(clicks.page.locator('pre[aria-label="REST column"]')).to_contain_text('"inputs"')
    clicks.tab("The request", "REST row")
    expect(clicks.page.locator('pre[aria-label="REST row"]')).to_contain_text('"instances"')
    clicks.fill("SavedModel path", str(copy_model("keras3")))
    clicks.press("Open")
    clicks.sees("Signatures", "serve")
    clicks.fill("SavedModel path", str(base / "nothing"))
    clicks.press("Open")
    expect(clicks.page.get_by_text(re.compile("There is nothing at")).first).to_be_visible()


def test_a_keras_model_gets_the_names_that_clients_expect(
    explore: Callable[..., Clicks], copy_model: Copy, sample_models: Path
) -> None:
    """``output_0`` becomes ``scores``, an input and a signature get other names: every loader sees them.

    The numbers are the same, the old version is unchanged to the byte, and only saved_model.pb is written anew.
    """
    base = copy_model("keras3")
    before = hashes(base / "1")
    clicks = explore(base)
    clicks.sees("Signatures", "serve")
    clicks.press("Rename output output_0")
    clicks.fill("New key for output output_0", "scores")
    clicks.press("Rename")
    clicks.sees("Inputs and outputs", "scores")
    clicks.press("Rename input colour")
    clicks.fill("New key for input colour", "rgb")
    clicks.press("Rename")
    clicks.sees("Inputs and outputs", "rgb")
    clicks.select_signature("serve")
    clicks.press("Rename signature")
    clicks.fill("New key for signature serve", "second")
    clicks.press("Rename")
    clicks.sees("Signatures", "second")
    clicks.count_of_edits(3)
    clicks.export(2)

    written = base / "2"
    assert hashes(base / "1") == before
    assert {name for name, digest in hashes(written).items() if before.get(name) != digest} == {"saved_model.pb"}
    assert judges.v2_signatures(written, ["serve"]) == {
        "serving_default": ({"rgb", "size"}, {"scores"}),
        "second": ({"colour", "size"}, {"output_0"}),
    }
    size, colour = [[0.1, 0.2, 0.3], [4.0, -5.0, 6.0]], [[1.0, 0.0], [0.5, -2.0]]
    asked = {"size": size, "colour": colour}
    original = judges.run_v1(sample_models / "keras3" / "1", ["serve"], "serving_default", asked)["output_0"]
    for run in (judges.run_v1, judges.run_v2):
        answer = run(written, ["serve"], "serving_default", {"size": size, "rgb": colour})["scores"]
        assert answer.tolist() == original.tolist()
    assert judges.cpp_load(written, ["serve"]) == ""
    shown = judges.saved_model_cli("show", "--dir", str(written), "--all")
    assert "outputs['scores']" in shown and "inputs['rgb']" in shown and "signature_def['second']" in shown


def test_inside_a_keras_model(
    explore: Callable[..., Clicks], copy_model: Copy, screenshot: Callable[..., Path]
) -> None:
    """A hidden layer becomes an output, an input is fixed, another restricted; a function becomes a signature."""
    base = copy_model("keras2")
    clicks = explore(base)
    clicks.sees("Signatures", "serving_default")
    clicks.press("Add output")
    clicks.fill("Key of the new output", "hidden")
    whole = re.compile("/petals/hidden/Relu:0$")
    clicks.pick("Tensor of the new output", "relu", "petals/hidden/Relu:0", whole)
    expect(clicks.page.get_by_text("float32[?, 4], from a node of type Relu")).to_be_visible()
    clicks.press("Add this output")
    clicks.sees("Inputs and outputs", "hidden")

    clicks.press("Add signature from a function")
    functions = clicks.table("Functions of the model")
    functions.get_by_text("training=True").first.click()
    expect(clicks.page.get_by_text(re.compile("changes variables whenever it is called"))).to_be_visible()
    screenshot(clicks.page, "function-form")
    functions.get_by_text("training=False").first.click()
    expect(clicks.page.get_by_text(re.compile("changes variables whenever it is called"))).to_be_hidden()
    clicks.fill("Key of the new signature", "petals")
    clicks.fill("Key of result output_0", "score")
    clicks.press("Add this signature")
    clicks.sees("Signatures", "petals")

    clicks.press("More for input size")
    clicks.press("Restrict shape…")
    clicks.fill("Shape of input size", "1, 3")
    clicks.press("Restrict this shape")
    clicks.sees("Inputs and outputs", "[1, 3]")
    clicks.press("Copy signature")
    clicks.fill("Key of the copy of signature petals", "always")
    clicks.press("Add the copy")
    clicks.sees("Signatures", "always")
    clicks.press("More for input size")
    clicks.fill("Value of input size", "[[1, 2")
    expect(clicks.page.get_by_text(re.compile("This is no value"))).to_be_visible()
    clicks.fill("Value of input size", "[[1, 2, 3]]")
    clicks.press("Fix this input")
    clicks.count_of_edits(5)
    clicks.export(2)

    written, x = base / "2", [[1.0, 2.0, 3.0]]
    both = judges.run_v2(written, ["serve"], "serving_default", {"size": x})
    assert set(both) == {"hidden", "score"} and both["hidden"].shape == (1, 4)
    before = judges.run_v2(base / "1", ["serve"], "serving_default", {"size": x})["score"]
    for run in (judges.run_v1, judges.run_v2):
        # A second consumer of the hidden layer prevents fusions, so the last bits may differ.
        assert abs(run(written, ["serve"], "serving_default", {"size": x})["score"] - before).max() < 1e-5
        assert run(written, ["serve"], "petals", {"size": x})["score"].tolist() == before.tolist()
        assert run(written, ["serve"], "always", {})["score"].tolist() == before.tolist()
    assert judges.cpp_load(written, ["serve"]) == ""
    clicks.press("Undo")
    clicks.count_of_edits(4)


def test_a_recipe_is_pasted_and_what_is_typed_stands(explore: Callable[..., Clicks], copy_model: Copy) -> None:
    """A recipe that doesn't fit is refused below its field; a file is loaded; no suggestion lands in typed text."""
    base = copy_model("module")
    clicks = explore(base)
    clicks.sees("Signatures", "shift")
    clicks.press("Apply a recipe…")
    clicks.fill("Recipe", '{"recipe": 1, "edits": [{"edit": "clear_device"}]}')
    clicks.press("Apply this recipe")
    expect(clicks.page.get_by_text(re.compile("there is no edit 'clear_device'"))).to_be_visible()
    recipe = '{"recipe": 1, "edits": [{"edit": "rename_signature", "signature_key": "shift", "new_key": "moved"}]}'
    with clicks.page.expect_file_chooser() as chooser:
        clicks.press("Load a file …")
    chooser.value.set_files({"name": "recipe.json", "mimeType": "application/json", "buffer": recipe.encode()})
    clicks.holds("Recipe", recipe)
    clicks.press("Apply this recipe")
    clicks.sees("Signatures", "moved")
    clicks.count_of_edits(1)

    clicks.press("Add signature")
    typed = clicks.page.get_by_label("Key of this tensor", exact=True)
    typed.press_sequentially("my", delay=20)
    clicks.page.wait_for_timeout(400)  # longer than the pause after which the page tells what was typed
    clicks.run("x.signatures.signature_form.key.fill('suggested')")
    typed.press_sequentially(" key", delay=20)
    clicks.holds("Key of this tensor", "my key")
    clicks.page.keyboard.press("Tab")
    clicks.run(
        "import asyncio\nfor _ in range(100):\n"
        "    if x.signatures.signature_form.key.value == 'my key': break\n"
        "    await asyncio.sleep(0.1)\n"
        "assert x.signatures.signature_form.key.value == 'my key'"
    )


def test_a_fault_is_mended_where_it_is_shown(explore: Callable[..., Clicks], copy_model: Copy) -> None:
    """The article's slip is named beside the output, and one click points it at the tensor that was meant."""
    base = copy_model("as_printed")
    clicks = explore(base)
    problems = clicks.table("Problems")
    expect(problems.get_by_text(re.compile("no request can be answered"))).to_be_visible()
    problems.get_by_role("button", name=re.compile("^Mend unfed_placeholder")).click()
    clicks.sees("Inputs and outputs", "add:0")
    clicks.export(2)
    answer = judges.run_v1(base / "2", ["serve"], "prediction", {"input": [[1.0, 1.0, 1.0]]})
    assert answer["output"].shape == (1, 1)


@pytest.mark.parametrize("name", ["hostile_names", "hostile_nodes"])
def test_hostile_names_stay_text(
    explore: Callable[..., Clicks], sample_models: Path, name: str, screenshot: Callable[..., Path]
) -> None:
    """Scripts, handlers and math in names are letters, live and static; nothing of them runs."""
    clicks = explore(sample_models / "broken" / name)
    page = clicks.page
    expect(clicks.table("Signatures")).to_be_visible()
    if name == "hostile_names":
        expect(clicks.table("Signatures").get_by_text("<script>window.hacked=1</script>").first).to_be_visible()
        for key in ("<script>window.hacked=1</script>", "$\\href{javascript:window.hacked=1}{x}$"):
            clicks.select_signature(key)
            expect(clicks.table("Inputs and outputs").get_by_text(key).first).to_be_visible()
    page.evaluate(
        """async (path) => {
            const panel = window.jupyterapp.shell.currentWidget;
            const model = panel.content.model;
            model.sharedModel.insertCell(1, {cell_type: 'code', source:
                `import explorer\\nm = explorer.open_saved_model(${JSON.stringify(path)})\\n` +
                `from IPython.display import display\\ndisplay(m, *m.meta_graphs)\\nprint('DONE', 6*7)`});
            await window.jupyterapp.commands.execute('notebook:run-all-cells');
        }""",
        str(sample_models / "broken" / name),
    )
    expect(page.get_by_text("DONE 42")).to_be_visible()
    screenshot(page, name)
    assert page.evaluate("window.hacked") is None
    assert page.locator(".jp-OutputArea-output script, .jp-OutputArea-output img[onerror], mjx-container").count() == 0


@pytest.mark.parametrize(
    ("name", "width", "theme"),
    [
        ("half_plus_two", 1280, "light"),
        ("half_plus_two", 1600, "dark"),
        ("linear", 700, "light"),
        ("keras3", 700, "dark"),
        ("keras3", 1280, "light"),
    ],
)
def test_nothing_is_clipped_and_nothing_comes_from_outside(
    explore: Callable[..., Clicks], sample_models: Path, lab_server: object, name: str, width: int, theme: str,
    screenshot: Callable[..., Path],
) -> None:  # fmt: skip
    """At each width the Explorer fits its cell, in both themes; every request of the page goes to the server itself."""
    clicks = explore(sample_models / name, width=width, height=1600, theme=theme)
    expect(clicks.table("Signatures")).to_be_visible()
    screenshot(clicks.page, f"explorer-{name}-{width}-{theme}")
    overflow = clicks.page.evaluate(
        """() => [...document.querySelectorAll('.jp-OutputArea-output')]
            .filter(area => area.scrollWidth > area.clientWidth + 1).map(area => area.className)"""
    )
    assert overflow == []
    requests = clicks.page.evaluate("() => performance.getEntriesByType('resource').map(entry => entry.name)")
    outside = [url for url in requests if not url.startswith((lab_server.url, "data:", "blob:"))]  # type: ignore[attr-defined]
    assert requests and outside == []


def test_the_first_notebook_runs_in_jupyterlab(open_file: OpenNotebook, screenshot: Callable[..., Path]) -> None:
    """Every cell of notebook 01 runs without an error, and its first cell shows the Explorer."""
    page = open_file("notebooks/01-what-is-in-a-savedmodel.ipynb", height=1400)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.content.scrollToItem(1)")
    expect(page.locator('table[aria-label="Signatures"]').first).to_be_visible()
    screenshot(page, "notebook-01")
