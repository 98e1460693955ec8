"""Tags are made in one place, and nothing that a model says gets out of it alive."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import printable_name
from explorer.render.markup import Markup, element, escape, join, json_for_script, name_element, root, style_sheet

PACKAGE = Path(__file__).resolve().parents[2] / "explorer"
TAG_MAKER = PACKAGE / "render" / "markup.py"

HTML_TAG = re.compile(
    r"</?(a|abbr|article|aside|b|body|br|button|caption|code|col|colgroup|dd|details|div|dl|dt|em|figure|footer|form|"
    r"h[1-6]|head|header|hr|html|i|iframe|img|input|kbd|label|li|link|main|meta|nav|object|ol|optgroup|option|p|pre|s|"
    r"samp|script|section|select|small|span|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|"
    r"th|thead|title|tr|u|ul|var|video)(?=[\s/>])",
    re.IGNORECASE,
)

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></textarea><svg onload=alert(1)>",
    "&lt;b&gt;",
    "javascript:alert(1)",
    "$\\href{javascript:alert(1)}{x}$",
)


class Texts(HTMLParser):
    """Collects elements, attribute values and text as a browser's parser would see them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(markup: str) -> Texts:
    """What a parser makes of some HTML."""
    parser = Texts()
    parser.feed(markup)
    parser.close()
    return parser


def docstrings(tree: ast.AST) -> set[int]:
    """The identities of nodes that are texts standing alone: docstrings and notes below a constant."""
    return {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def tags_in(source: str) -> Iterator[int]:
    """The lines at which Python source makes HTML: a tag in a text, or an f-string that fills in a tag's name."""
    tree = ast.parse(source)
    ignored = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in ignored:
            if HTML_TAG.search(node.value):
                yield node.lineno
        elif isinstance(node, ast.JoinedStr):
            for part, following in zip(node.values, node.values[1:], strict=False):
                is_name = isinstance(following, ast.FormattedValue)
                if is_name and isinstance(part, ast.Constant) and str(part.value).endswith(("<", "</")):
                    yield node.lineno


def test_no_other_module_makes_tags() -> None:
    """Only render/markup.py has HTML tags in its texts: elsewhere a name could get between them unescaped."""
    makers = {
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in PACKAGE.rglob("*.py")
        if path != TAG_MAKER
        for line in tags_in(path.read_text(encoding="utf-8"))
    }
    assert makers == set()


@pytest.mark.parametrize("source", ["x = f'<td>{name}</td>'", "x = '<b>' + name", "x = f'</{tag}>'", "x = f'<{t} a>'"])
def test_guard_sees_tags(source: str) -> None:
    """The guard above is able to fail."""
    assert list(tags_in(source))


@pytest.mark.parametrize("source", ["'''a <b> in a docstring'''", "x = 'DT_<n>'", "x = '<unknown rank>'", "x = a < b"])
def test_guard_leaves_other_angle_brackets_alone(source: str) -> None:
    """The guard doesn't cry at docstrings, placeholders and comparisons."""
    assert not list(tags_in(source))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payload_is_text(payload: str) -> None:
    """Known attacks, as a child and as an attribute, arrive as text and attribute value, in one element."""
    page = parsed(element("td", payload, title=payload))
    assert page.tags == ["td"]
    assert page.attributes == [("title", payload)]
    assert page.text == payload


@given(st.text())
def test_any_text_is_one_element(text: str) -> None:
    """Whatever a name is, it makes exactly the element that was meant, and reads as its printable form."""
    page = parsed(element("span", text, title=text))
    assert page.tags == ["span"]
    assert page.text == printable_name(text, len(text) + 1)
    assert page.attributes == [("title", printable_name(text, len(text) + 1))]


def test_invisible_characters_are_shown() -> None:
    """Control and bidirectional characters reach no page: they become visible escapes."""
    assert escape("a\u202eb\x00\x1b[31m\u200b") == "a\\u202eb\\u0000\\u001b[31m\\u200b"


def test_markup_is_not_escaped_twice() -> None:
    """An element inside an element stays one, also in a list and behind a separator."""
    inner = element("b", "x & y")
    assert element("p", [inner, None], "<") == "<p><b>x &amp; y</b>&lt;</p>"
    assert join([inner, "a"], ", ") == "<b>x &amp; y</b>, a"
    assert isinstance(element("p", inner), Markup)


def test_joined_text_is_escaped_again() -> None:
    """Markup joined to a text by + or an f-string loses its privilege, so a slip shows as visible tags."""
    markup = element("b", "x")
    for joined in (markup + "<i>", f"{markup}<i>", "%s<i>" % markup, "".join([markup, "<i>"])):  # noqa: UP031
        assert not isinstance(joined, Markup)
        assert element("p", joined) == f"<p>{html.escape(joined)}</p>"


@pytest.mark.parametrize(
    "attributes",
    [
        {"onclick": "x"},
        {"style": "x"},
        {"href": "javascript:x"},
        {"src": "x"},
        {"srcdoc": "x"},
        {"x y": "1"},
        {"data-a b": "1"},
    ],
)
def test_dangerous_attributes_are_refused(attributes: dict[str, str]) -> None:
    """Attributes that run, fetch or restyle something, or whose name isn't one, cannot be made."""
    with pytest.raises(ValueError, match="is not made here"):
        element("a", "x", **attributes)


@pytest.mark.parametrize("tag", ["script", "style", "iframe", "svg", "B", "a b", "a>", "", "p\n"])
def test_dangerous_elements_are_refused(tag: str) -> None:
    """Elements whose content isn't text, and names that are none, cannot be made."""
    with pytest.raises(ValueError, match="is not made here"):
        element(tag, "x")


def test_attributes_that_are_off_are_left_out() -> None:
    """None and False leave an attribute out, True gives one without a value, 0 is a value."""
    made = element("details", class_=None, open=True, aria_label="a", data_n=0, id=False)
    assert made == '<details open aria-label="a" data-n="0"></details>'


def test_void_elements_have_no_end() -> None:
    """A line break is one tag."""
    assert element("br") == "<br>"


def test_root_keeps_mathjax_away() -> None:
    """The classes that MathJax 2 and 3 respect stand on the outermost element."""
    assert root("x").startswith('<div class="sme-root tex2jax_ignore mathjax_ignore">')


def test_long_name_keeps_the_whole_as_tooltip() -> None:
    """A name of more than 200 characters shows its ends and its length; the tooltip has all of it."""
    name = "a" * 300 + "<end>"
    page = parsed(name_element(name))
    assert "…" in page.text and "(305 characters)" in page.text and page.text.find("<end>") > 0
    assert page.attributes == [("title", name)]
    assert len(name_element("x" * 10_000_000)) < 20_000


def test_style_sheet_cannot_end_early() -> None:
    """A style sheet with a tag in it is refused."""
    assert style_sheet("p { margin: 0 }") == "<style>p { margin: 0 }</style>"
    with pytest.raises(ValueError, match="must not contain"):
        style_sheet("</style>")


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_for_script_is_the_same_data(data: object) -> None:
    """JSON for a script element says the same, and has no character that could end the element."""
    text = json_for_script(data)
    assert not set("<>&") & set(text) and text.isascii()
    assert json.loads(text) == data
