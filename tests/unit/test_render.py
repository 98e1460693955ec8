"""Models, findings, differences and edits look right as text, HTML, DataFrame and code, hostile names included."""

from __future__ import annotations

import ast
import importlib.resources
import json
import shlex
import struct
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import explorer
from explorer.checking.findings import Finding
from explorer.editing.diff import Change
from explorer.editing.recipe import EDITS, recipe_edits
from explorer.errors import RecipeError
from explorer.render.code import command_line, python_line, python_script, python_text, recipe_json
from explorer.render.html import code_html, diff_html, findings_html
from explorer.render.overview import overview, serving_status
from explorer.render.tables import Table, meta_graphs_table, printable_size, signatures_table, versions_table
from explorer.render.text import changes_text, findings_text
from explorer.savedmodel.default_values import printable_default
from explorer.savedmodel.folder import Version
from explorer.savedmodel.model import SavedModel

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e$\\href{javascript:x}{y}$</style>'\""


def tensor(dtype: str = "DT_FLOAT", shape: list[int | None] | None = None, name: str = "x:0") -> dict[str, Any]:
    """A TensorInfo as data."""
    return {"dtype": dtype, "shape": [None] if shape is None else shape, "tensor_name": name}


def signature(**more: Any) -> dict[str, Any]:
    """A signature as data."""
    return {
        "method_name": "tensorflow/serving/predict",
        "inputs": {"x": tensor()},
        "outputs": {"y": tensor(name="y:0")},
        **more,
    }


def a_model(signatures: dict[str, Any], tags: tuple[str, ...] = ("serve",), **more: Any) -> SavedModel:
    """A model with one meta graph."""
    meta_graph = {"tags": list(tags), "tensorflow_version": "2.21.0", "signatures": signatures}
    return SavedModel.from_dict({"meta_graphs": [meta_graph], **more})


RESERVED = {
    "method_name": "",
    "inputs": {},
    "outputs": {"__saved_model_init_op": {"dtype": "DT_INVALID", "shape": None, "tensor_name": "NoOp"}},
}
SMALL = a_model(
    {
        "__saved_model_init_op": RESERVED,
        "serving_default": signature(),
        "classify_it": signature(
            method_name="tensorflow/serving/classify",
            inputs={"inputs": tensor("DT_STRING", name="tf_example:0")},
            outputs={"scores": tensor(shape=[None, 1], name="scores:0")},
        ),
    },
    path="/models/half/00000124",
    version=124,
)
HOSTILE_MODEL = a_model(
    {
        HOSTILE: signature(
            method_name=HOSTILE,
            inputs={HOSTILE: tensor(name=HOSTILE), "": tensor(), " a ": tensor()},
            outputs={"s": {"dtype": "DT_FLOAT", "encoding": "coo_sparse", "components": {"values": HOSTILE}}},
        )
    },
    (HOSTILE,),
    path=f"/models/{HOSTILE.replace('/', '')}/1",
    version=1,
)

FINDINGS = [
    Finding(
        "error", "unfed", "output 'y' needs 'y_'.", "Point it at 'add:0'.", frozenset({"serve"}), "a", "output", "y"
    ),
    Finding("note", "odd", HOSTILE),
]
CHANGES = [
    Change("changed", "serve / a / input features", "key", "x", "features"),
    Change("added", "serve", "signature", None, HOSTILE),
    Change("removed", "serve", "signature", "", None),
]


class Page(HTMLParser):
    """Checks that elements are closed in order and collects what a reader sees."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.titles: list[str] = []
        self.cells: list[str] = []
        self.text = ""
        self.feed(markup)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        self.titles += [value or "" for name, value in attrs if name == "title"]
        if tag != "br":
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def test_text_of_a_model() -> None:
    """A model reads as in the documentation: header, what a server calls, signatures, then each one's tensors."""
    assert explorer.to_text(SMALL).splitlines() == [
        "half  version 124   TF1",
        "/models/half/00000124",
        "A server calls: serving_default",
        "",
        "MetaGraph serve  (TensorFlow 2.21.0)",
        "  signature              method    in → out",
        "  __saved_model_init_op  reserved  runs NoOp",
        "  serving_default        predict   x float32[?] → y float32[?]",
        "  classify_it            classify  inputs string[?] → scores float32[?, 1]",
        "",
        "serving_default  predict",
        "  direction  key  dtype    shape  tensor  encoding  default",
        "  in         x    float32  [?]    x:0     name",
        "  out        y    float32  [?]    y:0     name",
        "",
        "classify_it  classify",
        "  direction  key     dtype    shape   tensor        encoding  default",
        "  in         inputs  string   [?]     tf_example:0  name",
        "  out        scores  float32  [?, 1]  scores:0      name",
    ]


def test_text_of_parts() -> None:
    """Meta graph, signature, tensor and table have their own text, and str() of them is that."""
    meta_graph = SMALL.meta_graph()
    assert str(meta_graph) == explorer.to_text(meta_graph)
    assert explorer.to_text(meta_graph) in explorer.to_text(SMALL)
    assert explorer.to_text(meta_graph.signature("serving_default")) in explorer.to_text(meta_graph)
    info = meta_graph.signature("serving_default").input("x")
    assert explorer.to_text(info).splitlines()[1:] == [
        "  dtype    shape  tensor  encoding",
        "  float32  [?]    x:0     name",
    ]
    assert explorer.to_text(Table("Empty", ("a", "b"), ())) == "Empty\n  a  b\n  (none)"


def test_text_columns_stay_aligned() -> None:
    """Numbers stand to the right, wide characters count twice, and one endless name doesn't push the others away."""
    table = Table("", ("name", "n", "last"), (("漢字", 7, "a"), ("abcd", 12345, "b"), ("n" * 500, 1, "c")))
    lines = explorer.to_text(table).splitlines()
    assert lines[1:3] == ["  漢字      7  a", "  abcd  12345  b"]
    assert lines[3].startswith("  " + "n" * 500 + "  ")


def test_text_needs_nothing_costly() -> None:
    """The text of a model, which the command line prints, is made without json, pandas, numpy and html."""
    unwanted = ("json", "pandas", "numpy", "html", "orjson", "importlib.resources", "google.protobuf")
    code = (
        "from explorer.savedmodel.model import SavedModel; import explorer, sys\n"
        "graph = {'tags': ['serve'], 'signatures': {'a': {'method_name': '', 'inputs': {}, 'outputs': {}}}}\n"
        "text = explorer.to_text(SavedModel.from_dict({'meta_graphs': [graph]}))\n"
        f"print(len(text) > 0, [name for name in {unwanted!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "True []", done.stderr


@pytest.mark.parametrize(
    "thing",
    [HOSTILE_MODEL, HOSTILE_MODEL.meta_graphs[0], FINDINGS, CHANGES],
    ids=["model", "graph", "findings", "diff"],
)
def test_text_of_hostile_names(thing: object) -> None:
    """No control or bidirectional character reaches a terminal; a name is shown whole, as visible escapes."""
    text = explorer.to_text(thing)
    assert "\x1b" not in text and "\u202e" not in text
    assert HOSTILE.replace("\x1b", "\\u001b").replace("\u202e", "\\u202e") in text


def test_names_that_one_could_overlook_are_quoted() -> None:
    """An empty key, and one with blanks at its ends, stand in quotation marks in text and HTML."""
    one = next(iter(HOSTILE_MODEL.meta_graphs[0].signatures.values()))
    assert '  in         ""' in explorer.to_text(one) and '" a "' in explorer.to_text(one)
    cells = Page(explorer.to_html(one)).cells
    assert '""' in cells and '" a "' in cells


def test_findings_and_changes_as_text() -> None:
    """Findings tell severity, place, message and fix; changes have a sign, a word, and both values."""
    assert findings_text(FINDINGS[:1]).splitlines() == [
        "error  unfed  serve / a / output y",
        "  output 'y' needs 'y_'.",
        "  Fix: Point it at 'add:0'.",
    ]
    lines = changes_text(CHANGES).splitlines()
    assert lines[0] == "~ changed  serve / a / input features  key: x → features"
    assert lines[1].startswith("+ added    serve  signature: <img")
    assert lines[2] == '− removed  serve  signature: ""'
    assert findings_text([]) == "No findings." and changes_text([]) == "No changes."


@pytest.mark.parametrize("show", [explorer.to_text, explorer.to_html, explorer.to_frame])
def test_strangers_are_refused(show: Any) -> None:
    """What isn't ours gives a TypeError that names it, not a half view."""
    for thing in (3, "text", [1, 2], object()):
        with pytest.raises(TypeError, match="has no"):
            show(thing)


def test_html_of_a_model() -> None:
    """The page has real tables with headers and captions, one style element, no script, and every name."""
    markup = explorer.to_html(SMALL)
    page = Page(markup)
    assert page.tags.count("style") == 1 and "script" not in page.tags
    assert page.tags.count("table") == 3 and page.tags.count("caption") == 1
    assert markup.count('scope="col"') == 3 + 7 + 7 and markup.count('scope="row"') == 3 + 2 + 2
    assert "half ▸ version 124" in page.text and "A server calls: serving_default" in page.text
    assert {"serving_default", "x float32[?] → y float32[?]", "tf_example:0", "runs NoOp"} <= set(page.cells)
    assert "tex2jax_ignore mathjax_ignore" in markup


@pytest.mark.parametrize(
    "thing",
    [SMALL, HOSTILE_MODEL, HOSTILE_MODEL.meta_graphs[0], FINDINGS, CHANGES, Table(HOSTILE, ("a",), ((HOSTILE,),))],
    ids=["small", "hostile", "meta graph", "findings", "changes", "table"],
)
def test_html_holds_only_what_was_meant(thing: object) -> None:
    """Whatever names say, elements and attributes come from a short list, and all of them are closed."""
    page = Page(explorer.to_html(thing))
    known = "br caption code details div em li p span strong style summary table tbody td th thead tr ul"
    assert set(page.tags) <= set(known.split())
    assert page.names <= {"aria-label", "class", "open", "role", "scope", "tabindex", "title"}
    assert not any(ord(character) < 32 and character != "\n" or character == "\u202e" for character in page.text)


def test_html_reads_the_same_without_style() -> None:
    """What GitHub leaves (no style, no classes) still says everything: nothing is told by colour alone."""
    page = Page(diff_html(CHANGES))
    assert all(word in page.text for word in ("~ changed", "+ added", "− removed"))
    findings = Page(findings_html(FINDINGS)).text
    assert "error serve / a / output y" in findings and "Fix: Point it" in findings


def test_long_names_keep_their_ends() -> None:
    """A name of more than 200 characters is cut in its middle, with the whole as its tooltip."""
    name = "layer/" * 60 + "end:0"
    page = Page(explorer.to_html(a_model({"a": signature(inputs={"x": tensor(name=name)})})))
    assert name not in page.text and "end:0 (365 characters)" in page.text
    assert name in page.titles


def test_long_tables_are_cut() -> None:
    """After 1000 rows a line says how many more there are."""
    table = Table("Long", ("n",), tuple((number,) for number in range(2345)))
    page = Page(explorer.to_html(table))
    assert len(page.cells) == 1 + 1000
    assert "… and 1345 more rows" in page.text
    assert "2344" in explorer.to_text(table)


@pytest.mark.parametrize(
    "thing",
    [
        a_model({"\u202e" * 700_000 + str(n): signature(method_name="<" * 700_000) for n in range(10)}),
        a_model({f"{n}" + '"' * 9_000: signature(method_name='"' * 9_000) for n in range(300)}),
        a_model({"a": signature(inputs={f"{n}" + "&" * 9_000: tensor() for n in range(3_000)})}),
        a_model({"a": signature()}, tuple("&" * 150 + str(n) for n in range(20_000))),
        [Finding("error", "x", "<" * 9_000) for _ in range(3_000)],
        [Change("added", "漢" * 3_000, "x", None, "漢" * 3_000) for _ in range(3_000)],
    ],
    ids=["huge names", "many signatures", "many inputs", "many tags", "findings", "changes"],
)
def test_html_has_a_limit(thing: object) -> None:
    """No model makes a page of more than 2 MB, and what is left out is counted."""
    markup = explorer.to_html(thing)
    assert len(markup.encode()) <= 2_000_000
    page = Page(markup)
    assert "…" in page.text


def test_many_meta_graphs_are_cut_and_counted() -> None:
    """Meta graphs that no longer fit are counted in a line."""
    graph = {"tags": ["t"], "signatures": {f"s{n}": signature() for n in range(200)}}
    page = Page(explorer.to_html(SavedModel.from_dict({"meta_graphs": [graph] * 30})))
    assert "more meta graphs" in page.text


def test_only_one_signature_is_unfolded_of_many() -> None:
    """With many signatures only serving_default's tensors are open at first."""
    few = a_model({key: signature() for key in ("a", "b", "serving_default")})
    many = a_model({key: signature() for key in ("a", "b", "c", "serving_default")})
    assert explorer.to_html(few).count("<details open>") == 3
    assert explorer.to_html(many).count("<details open>") == 1
    assert explorer.to_html(many).count("<details>") == 3


def test_code_as_html() -> None:
    """Code stands in a pre element line by line; tags in it are text, invisible characters visible."""
    page = Page(code_html(f"a = 1\n{HOSTILE}"))
    assert page.tags.count("pre") == 1 and page.tags.count("code") == 2
    assert "a = 1\n<img src=x onerror=alert(1)>\\u001b[31m\\u202e" in page.text
    assert "more lines" in Page(code_html(["x" * 1_000_000] * 3)).text


def test_style_is_package_data() -> None:
    """The style sheet is found as a resource, stands in the page, and refers to nothing outside it."""
    css = importlib.resources.files("explorer.render").joinpath("style.css").read_text(encoding="utf-8")
    assert f"<style>{css}</style>" in explorer.to_html(SMALL)
    assert "url(" not in css and "@import" not in css and "http" not in css
    assert css.count("{") == css.count("}")
    assert "--jp-content-font-color1" in css and "prefers-color-scheme: dark" in css and "overflow-x: auto" in css


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb: https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_can_be_read() -> None:
    """Every text colour of ours has a contrast of 4.5 to 1 or more on its background, light and dark."""
    css = importlib.resources.files("explorer.render").joinpath("style.css").read_text(encoding="utf-8")
    blocks = [block for block in css.split("{") if "--sme-back-fallback:" in block]
    assert len(blocks) == 3
    for block in blocks:
        colours = dict(
            line.strip().rstrip(";").split(": ") for line in block.split("}")[0].splitlines() if "--sme-" in line
        )
        for role in ("text-fallback", "muted-fallback", "accent", "good", "bad", "warn"):
            for back in ("back-fallback", "hover-fallback"):
                light, dark = sorted([luminance(colours[f"--sme-{role}"]), luminance(colours[f"--sme-{back}"])])[::-1]
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (role, back)


def test_frames() -> None:
    """DataFrames have snake-case columns, names as the model holds them, and whole numbers that stay whole."""
    frame = explorer.to_frame(SMALL.meta_graph())
    assert list(frame.columns) == ["signature", "method", "in_out"]
    assert frame["method"].tolist() == ["reserved", "predict", "classify"]
    assert list(explorer.to_frame(SMALL).columns) == ["tags", "signatures", "tensorflow", "object_graph"]
    one = HOSTILE_MODEL.meta_graph({HOSTILE}).signature(HOSTILE)
    assert explorer.to_frame(one)["key"].tolist() == [HOSTILE, "", " a ", "s"]
    assert list(explorer.to_frame(one).columns) == [
        "direction", "key", "dtype", "shape", "tensor", "encoding", "default",
    ]  # fmt: skip
    assert explorer.to_frame(one)["tensor"].tolist()[-1] == f"values: {HOSTILE}"
    assert len(explorer.to_frame(one.input(HOSTILE))) == 1
    counts = {0: {"nodes": 3, "functions": 0, "variables": None, "variable_bytes": 2**62, "assets": 1}}
    model = SavedModel.from_dict({"meta_graphs": [{"tags": ["a"], "signatures": {}}] * 2})
    frame = explorer.to_frame(meta_graphs_table(model, counts))
    assert frame["variable_bytes"].tolist() == [2**62, pd.NA] and str(frame["nodes"].dtype) == "Int64"
    assert explorer.to_frame(FINDINGS)["severity"].tolist() == ["error", "note"]
    assert explorer.to_frame(CHANGES)["change"].tolist() == ["changed", "added", "removed"]
    assert explorer.to_frame(Table("", ("a",), ())).empty


def test_counts_and_versions_as_text() -> None:
    """Sizes have units; of versions the largest number is the one that is served."""
    counts = {0: {"nodes": 50_000, "functions": 2, "variables": 3, "variable_bytes": 12_345, "assets": 0}}
    text = explorer.to_text(meta_graphs_table(SMALL, counts))
    assert "variables' size" in text and "12.3 KB" in text and "50000" in text
    path = SMALL.path
    assert path is not None
    versions = [Version(124, "00000124", path, True), Version(7, "7", path, False)]
    assert versions_table(versions).rows == (
        (7, "7", "no saved_model.pb", "no"),
        (124, "00000124", "SavedModel", "yes"),
    )


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 KB"), (11_345, "11.3 KB"),
        (999_949, "999.9 KB"), (999_950, "1.0 MB"), (2 * 10**9, "2.0 GB"), (3 * 10**12, "3.0 TB"),
    ],
)  # fmt: skip
def test_sizes(size: int, text: str) -> None:
    """A size has one digit after the point, and a unit that keeps it below 1000."""
    assert printable_size(size) == text


@pytest.mark.parametrize(
    ("signatures", "tags", "served", "words"),
    [
        ({"serving_default": signature()}, ("serve",), True, "calls: serving_default"),
        ({"a": signature()}, ("serve",), True, "must name a signature: 'a'"),
        ({"__saved_model_init_op": RESERVED}, ("serve",), False, "no signature here"),
        ({"serving_default": signature()}, ("serve", "gpu"), False, "exactly the tag serve"),
        ({"serving_default": signature()}, (), False, "exactly the tag serve"),
    ],
)
def test_what_a_server_makes_of_it(signatures: Any, tags: tuple[str, ...], served: bool, words: str) -> None:
    """The line below the title says what a server with its defaults would find to call."""
    found, sentence = serving_status(a_model(signatures, tags))
    assert found is served and words in sentence


def test_overview_of_a_model_without_files() -> None:
    """A model made from data says its name and version, and asks the disk nothing: its path may be anybody's."""
    head = overview(a_model({}, path="/", version=None))
    assert (head.name, head.version, head.size_bytes) == ("SavedModel", "", None)
    assert overview(SMALL).facts == "TF1"
    assert "\u202e" not in overview(HOSTILE_MODEL).name


def test_reserved_signatures_with_odd_content() -> None:
    """A reserved signature that runs nothing says so."""
    model = a_model({"__saved_model_train_op": {"method_name": "x", "inputs": {}, "outputs": {}}})
    assert signatures_table(model.meta_graph()).rows == (("__saved_model_train_op", "reserved", "runs nothing"),)


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field of less than 128 bytes."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def shape(*sizes: int) -> bytes:
    """A tensor_shape field."""
    return field(2, b"".join(field(2, bytes([1 << 3, size])) for size in sizes))


@pytest.mark.parametrize(
    ("proto", "text"),
    [
        (b"\x08\x01" + shape() + field(5, struct.pack("<f", 1.5)), "1.5"),
        (b"\x08\x01" + shape() + b"\x2d" + struct.pack("<f", 0.1), "0.1"),
        (b"\x08\x02" + shape(2) + field(4, struct.pack("<2d", 1, -2)), "[1, -2]"),
        (b"\x08\x03" + shape(2) + field(4, struct.pack("<2i", 7, 7)), "[7, 7]"),
        (b"\x08\x03" + shape(3) + field(7, b"\x07"), "[7, 7, 7]"),
        (b"\x08\x03" + shape() + b"\x38" + b"\xff" * 9 + b"\x01", "-1"),
        (b"\x08\x09" + shape() + field(10, b"\x96\x01"), "150"),
        (b"\x08\x0a" + shape() + field(11, b"\x01"), "true"),
        (b"\x08\x07" + shape() + field(8, b"a'\x1b\xff"), '"a\'\\\\x1b\\\\xff"'),
        (b"\x08\x01" + shape(10) + field(5, b""), "float32[10]"),
        (b"\x08\x01" + shape(2, 2), "float32[2, 2]"),
        (b"\x08\x13" + shape(), "float16[]"),
        (b"\x08\x01" + field(2, field(2, b"\x08" + b"\xff" * 8 + b"\x7f")), "float32[9223372036854775807]"),
        (b"\x08\x01" + shape() + field(5, b"\0"), "unreadable"),
        (b"\xff", "unreadable"),
        (b"", "invalid[]"),
    ],
)
def test_default_values(proto: bytes, text: str) -> None:
    """Small default values are shown, longer ones described, and bytes that are none cause no error."""
    if text.startswith('"'):
        assert printable_default(proto).isprintable() and "a'" in printable_default(proto)
    else:
        assert printable_default(proto) == text


@given(st.binary())
def test_default_values_never_fail(proto: bytes) -> None:
    """Whatever the bytes are, the result is a printable line."""
    assert printable_default(proto).isprintable()


@given(st.text())
def test_python_literals_come_back(text: str) -> None:
    """A name as a Python literal evaluates to that name, on one line without an invisible character."""
    literal = python_text(text)
    assert ast.literal_eval(literal) == text
    assert literal.isprintable() and literal.startswith('"')


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            {"edit": "rename_input", "signature_key": "serving_default", "input_key": "x", "new_key": "features"},
            'model = explorer.rename_input(model, "serving_default", "x", "features")',
        ),
        (
            {"edit": "rename_signature", "tags": ["serve", "gpu"], "new_key": "b", "signature_key": "a"},
            'model = explorer.rename_signature(model, "a", "b", tags={"gpu", "serve"})',
        ),
        (
            {"edit": "remove_signature", "tags": [], "signature_key": "a"},
            'explorer.remove_signature(model, "a", tags=set())',
        ),
        ({"edit": "set_tags", "new_tags": ["serve"]}, 'model = explorer.set_tags(model, {"serve"})'),
        ({"edit": "set_tags", "new_tags": []}, "model = explorer.set_tags(model, set())"),
        ({"edit": "remove_meta_graph", "tags": ("a",)}, 'model = explorer.remove_meta_graph(model, tags={"a"})'),
        (
            {"edit": "add_signature", "signature_key": "a", "inputs": {"x": "x:0"}, "outputs": {"y": "y:0"}},
            'model = explorer.add_signature(model, "a", inputs={"x": "x:0"}, outputs={"y": "y:0"})',
        ),
        (
            {"edit": "add_signature_from_function", "signature_key": "a", "function_name": "f", "inputs": {"x": "y"}},
            'explorer.add_signature_from_function(model, "a", function_name="f", inputs={"x": "y"})',
        ),
        (
            {"edit": "bind_input", "signature_key": "a", "input_key": "x", "value": [[1, -0.5], [True, 1e30]]},
            'explorer.bind_input(model, "a", "x", [[1, -0.5], [True, 1e+30]])',
        ),
        (
            {"edit": "bind_input", "signature_key": "a", "input_key": "x", "value": {"b64": "/w=="}},
            'explorer.bind_input(model, "a", "x", {"b64": "/w=="})',
        ),
        (
            {"edit": "set_default", "signature_key": "a", "input_key": "x", "value": [float("inf"), float("-inf")]},
            'explorer.set_default(model, "a", "x", [float("inf"), float("-inf")])',
        ),
        (
            {"edit": "set_input_shape", "signature_key": "a", "input_key": "x", "shape": [None, 224, 3]},
            'explorer.set_input_shape(model, "a", "x", [None, 224, 3])',
        ),
        (
            {"edit": "set_input_shape", "signature_key": "a", "input_key": "x", "shape": None},
            'explorer.set_input_shape(model, "a", "x", None)',
        ),
        ({"edit": "clear_devices"}, "model = explorer.clear_devices(model)"),
        (
            {"edit": "remove_output", "signature_key": "it's \"\\\n", "output_key": "\u202e\U000e0041é\ud800"},
            'model = explorer.remove_output(model, "it\'s \\"\\\\\\n", "\\u202e\\U000e0041é\\ud800")',
        ),
    ],
)
def test_python_line(edit: dict[str, Any], line: str) -> None:
    """Every edit is the call that does the same."""
    assert python_line(edit).endswith(line)


ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(),
    "a list of texts": st.lists(st.text()),
    "a mapping from key to name": st.dictionaries(st.text(), st.text()),
    "a list of sizes, null for any, or null for any shape": st.none() | st.lists(st.none() | st.integers(0)),
    "a number, text, or lists of them": st.recursive(
        st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=6,
    ),
}
TAG_SETS = ("tags", "new_tags")


@st.composite
def an_edit(draw: st.DrawFn) -> dict[str, Any]:
    """Any well-formed entry of a recipe."""
    name = draw(st.sampled_from(sorted(EDITS)))
    entry: dict[str, Any] = {"edit": name}
    for argument, what in EDITS[name][1].items():
        entry[argument] = draw(ARGUMENTS[what])
    if draw(st.booleans()):
        entry["tags"] = draw(st.lists(st.text()))
    return entry


@given(st.lists(an_edit(), max_size=4))
def test_code_says_what_the_edits_say(edits: list[dict[str, Any]]) -> None:
    """The script calls exactly the edits with their arguments, and the recipe file holds them."""
    script = python_script("it's", 3, edits, "out")
    calls = [node.value for node in ast.parse(script).body[2:-1] if isinstance(node, ast.Assign)]
    assert len(calls) == len(edits)
    for call, edit in zip(calls, edits, strict=True):
        assert isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == edit["edit"]
        given_by_name = {word.arg: word.value for word in call.keywords}
        positional = dict(zip(EDITS[edit["edit"]][1], call.args[1:], strict=False))
        said = {name: evaluated(node) for name, node in {**positional, **given_by_name}.items()}
        assert said == {
            name: set(value) if name in TAG_SETS else value for name, value in edit.items() if name != "edit"
        }
    entries = recipe_edits(json.loads(recipe_json(edits)))
    assert [dict(entry) for entry in entries] == [
        {name: sorted(set(value)) if name in TAG_SETS else value for name, value in edit.items()} for edit in edits
    ]


def evaluated(node: ast.expr) -> object:
    """A literal's value; ``set()`` is a call to Python's grammar."""
    return set() if isinstance(node, ast.Call) else ast.literal_eval(node)


def test_python_script() -> None:
    """The script opens, edits and exports; without a version or a destination these are left out."""
    edit = {"edit": "remove_signature", "signature_key": "a"}
    assert python_script("/m/half", 124, [edit], "/out") == (
        "import explorer\n\n"
        'model = explorer.open_saved_model("/m/half", version=124)\n'
        'model = explorer.remove_signature(model, "a")\n'
        'print(explorer.export(model, "/out"))\n'
    )
    assert python_script("m", None, []) == 'import explorer\n\nmodel = explorer.open_saved_model("m")\n'


def test_recipe_file() -> None:
    """The recipe is pretty, in the order of the functions' arguments, and the same for the same edits."""
    edit = {"new_key": "b", "signature_key": "é\u202e", "tags": frozenset({"serve", "gpu"}), "edit": "copy_signature"}
    assert recipe_json([edit]).splitlines() == [
        "{",
        '  "recipe": 1,',
        '  "edits": [',
        "    {",
        '      "edit": "copy_signature",',
        '      "tags": [',
        '        "gpu",',
        '        "serve"',
        "      ],",
        '      "signature_key": "\\u00e9\\u202e",',
        '      "new_key": "b"',
        "    }",
        "  ]",
        "}",
    ]


def test_wrong_edits_have_no_code() -> None:
    """An edit that isn't one, or an argument that no edit takes, is a RecipeError with a sentence."""
    with pytest.raises(RecipeError, match="no edit 'paint'; available: 'rename_signature'"):
        python_line({"edit": "paint"})
    with pytest.raises(RecipeError, match="int cannot stand"):
        python_line({"edit": "remove_signature", "signature_key": 3})
    with pytest.raises(RecipeError, match="int cannot stand"):
        recipe_json([{"edit": "remove_signature", "signature_key": 3}])
    for write in (python_line, lambda edit: recipe_json([edit])):
        with pytest.raises(RecipeError, match="object cannot stand"):
            write({"edit": "bind_input", "signature_key": "a", "input_key": "x", "value": [object()]})
    with pytest.raises(RecipeError, match="must be texts"):
        recipe_json([{"edit": "set_tags", "new_tags": [3]}])


def test_command_line() -> None:
    """The command is one line whose words a shell gives back, and no path is taken for an option."""
    words = shlex.split(command_line("-it's $(x)", "a b.json", "/out"))
    assert words == [
        "python", "-m", "explorer", "edit", "./-it's $(x)", "--recipe", "a b.json", "--export", "/out",
    ]  # fmt: skip
